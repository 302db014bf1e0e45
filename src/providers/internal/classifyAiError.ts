/**
 * What an `AiError` is among our failures.
 *
 * Its reason is what the model's package makes of the failure; what the server itself said (status, headers, body, code) goes
 * through the same classification as everything that our own adapters read, and counts where it says more. An error that was
 * ours before it became an `AiError` is that error again.
 */
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as LlmError from "../../core/LlmError.ts"
import { classifyClaimed, classifyInBand, type Origin } from "./classify.ts"
import type { Kind } from "./classifyCodes.ts"
import { classifyUnsent } from "./classifyTransport.ts"
import { readErrorBody, readErrorValue } from "./errorBody.ts"
import { compact, isFields, text } from "./read.ts"
import type { HeaderFields } from "./retryAfter.ts"

/** The failure behind an `AiError`; `now` in milliseconds since 1970. */
export const classifyAiError = (origin: Origin, error: AiError.AiError, now: number): LlmError.ProviderError => {
  const own = LlmError.fromAiError(error)
  return own === undefined ? classifyReason(origin, error.reason, now) : asProviderError(own)
}

/** The failure behind an `error` part of a stream, whose shape is the model's own. */
export const classifyErrorPart = (origin: Origin, error: unknown, now: number): LlmError.ProviderError =>
  AiError.isAiError(error)
    ? classifyAiError(origin, error, now)
    : AiError.isAiErrorReason(error)
    ? classifyReason(origin, error, now)
    : classifyInBand(
      { origin, status: 200, headers: {}, now },
      error instanceof Error ? { message: error.message, code: (error as { readonly code?: unknown }).code } : error
    )

const classifyReason = (origin: Origin, reason: AiError.AiErrorReason, now: number): LlmError.ProviderError => {
  switch (reason._tag) {
    case "RateLimitError":
      return refine(origin, reason, "RateLimited", now)
    case "QuotaExhaustedError":
      return refine(origin, reason, "QuotaExhausted", now)
    case "AuthenticationError":
      return refine(
        origin,
        reason,
        reason.kind === "InsufficientPermissions" ? "PermissionDenied" : "AuthenticationFailed",
        now
      )
    case "ContentPolicyError":
      return refine(origin, reason, "ContentFiltered", now)
    case "InvalidRequestError":
      return refine(origin, reason, "InvalidRequest", now)
    case "InternalProviderError":
    case "UnknownError":
      return refine(origin, reason, "ServerError", now)
    case "InvalidResponseError":
      // Under a status of failure it is an error that could not be read, otherwise an answer that could not.
      return (reason.http?.response?.status ?? 200) >= 400
        ? refine(origin, reason, "ServerError", now)
        : malformed(origin, reason, "it is not what the model's package expects")
    case "NetworkError":
      return network(origin, reason)
    case "InvalidOutputError":
      return malformed(origin, reason, "its parts are not what effect/ai expects")
    case "StructuredOutputError":
      return malformed(origin, reason, "it is not JSON of the schema")
    case "ToolNotFoundError":
      return malformed(origin, reason, "it calls a tool that is not in the toolkit")
    case "ToolParameterValidationError":
      return malformed(origin, reason, "the parameters of a tool call do not fit its schema")
    case "InvalidToolResultError":
    case "ToolResultEncodingError":
      return malformed(origin, reason, "the result of a tool does not fit its schema")
    case "UnsupportedSchemaError":
      return invalid(origin, reason, "responseFormat", "the model's package cannot express the schema")
    case "ToolConfigurationError":
      return invalid(origin, reason, "tools", "a tool is configured wrongly")
    case "ToolkitRequiredError":
      return invalid(origin, reason, "prompt", "the prompt holds approvals of tools that are not resolved")
    case "InvalidUserInputError":
      return invalid(origin, reason, "prompt", "the model does not take something that the prompt holds")
  }
}

const network = (origin: Origin, reason: AiError.NetworkError): LlmError.ProviderError => {
  const failure = classifyUnsent(origin, reason.reason, reason.cause)
  return failure._tag === "ConnectionFailed" || failure._tag === "RequestTimeout"
    ? new LlmError[failure._tag]({
      ...common(origin, reason),
      ...compact({ code: failure.code, retryable: failure.retryable })
    })
    : failure
}

/** The reasons that a server's own words can be behind. */
type FromServer = Extract<AiError.AiErrorReason, { readonly _tag: "UnknownError" } | { readonly http?: unknown }>

const refine = (origin: Origin, reason: FromServer, claimed: Kind, now: number): LlmError.ProviderError => {
  const http = "http" in reason ? reason.http : undefined
  const said = http?.body === undefined || http.body.trim() === ""
    ? readErrorValue({ error: { ...codesOf(reason.metadata), message: descriptionOf(reason) } })
    : readErrorBody(http.body)
  const status = http?.response?.status
  const wait = "retryAfter" in reason && reason.retryAfter !== undefined ? Duration.toMillis(reason.retryAfter) : 0
  const resetsAt = "resetAt" in reason && reason.resetAt !== undefined ? DateTime.formatIso(reason.resetAt) : undefined
  return classifyClaimed(
    {
      origin,
      status: status !== undefined && status >= 400 ? status : undefined,
      headers: headersOf(http?.response),
      now
    },
    {
      ...said,
      param: said.param ?? ("parameter" in reason ? reason.parameter : undefined),
      resetsAt: said.resetsAt ?? resetsAt,
      retryAfterMillis: said.retryAfterMillis ?? (wait > 0 ? Math.ceil(wait) : undefined)
    },
    claimed,
    metadataOf(reason.metadata)
  )
}

const descriptionOf = (reason: AiError.AiErrorReason): string | undefined =>
  "description" in reason ? reason.description : undefined

/**
 * The codes in a reason's metadata. Each package has its own key for it, and beneath that they agree: `errorCode`, `errorType`
 * and `requestId`.
 */
const codesOf = (metadata: AiError.ProviderMetadata) => {
  for (const value of Object.values(metadata)) {
    if (!isFields(value)) continue
    const code = text(value["errorCode"]) ?? text(value["code"])
    const type = text(value["errorType"]) ?? text(value["type"])
    const requestId = text(value["requestId"])
    if (code !== undefined || type !== undefined || requestId !== undefined) {
      return { code, type, request_id: requestId }
    }
  }
  return undefined
}

const headersOf = (response: typeof AiError.HttpResponseDetails.Type | undefined): HeaderFields =>
  Object.fromEntries(
    Object.entries(response?.headers ?? {}).flatMap(([name, value]) =>
      typeof value === "string" ? [[name.toLowerCase(), value]] : []
    )
  )

const metadataOf = (metadata: AiError.ProviderMetadata): string =>
  Object.keys(metadata).length === 0 ? "" : JSON.stringify(metadata)

const maxDetail = 500

const detailOf = (description: string | undefined, metadata: AiError.ProviderMetadata | undefined) => {
  const detail = [description ?? "", metadataOf(metadata ?? {})].filter((part) => part !== "").join(" | ")
  return detail === "" ? undefined : { detail: Redacted.make(detail.slice(0, maxDetail)) }
}

const common = (origin: Origin, reason: AiError.AiErrorReason) => ({
  provider: origin.provider,
  model: origin.model,
  ...detailOf(descriptionOf(reason), "metadata" in reason ? reason.metadata : undefined)
})

const malformed = (origin: Origin, reason: AiError.AiErrorReason, problem: string): LlmError.MalformedResponse =>
  new LlmError.MalformedResponse({ ...common(origin, reason), problem })

const invalid = (
  origin: Origin,
  reason: AiError.AiErrorReason,
  parameter: string,
  problem: string
): LlmError.InvalidRequest => new LlmError.InvalidRequest({ ...common(origin, reason), parameter, problem })

/**
 * A failure of ours, as one that a provider may have. What a policy failed with becomes what that means to whoever asks the
 * model: as transient as before, with its tag as the code.
 */
const asProviderError = (error: LlmError.LlmError): LlmError.ProviderError => {
  switch (error._tag) {
    case "CircuitOpen":
    case "AllModelsExhausted":
      return new LlmError.Overloaded(within(error))
    case "Saturated":
      return new LlmError.RateLimited(within(error))
    case "TimedOut":
      return new LlmError.RequestTimeout(within(error))
    case "StoreUnavailable":
      return new LlmError.ServerError(within(error))
    case "BudgetExceeded":
      return new LlmError.QuotaExhausted(within(error))
    case "UnknownPrice":
      return new LlmError.ModelNotFound(within(error))
    case "OutputTruncated":
      return new LlmError.MalformedResponse({ ...within(error), problem: "it was cut by the output limit" })
    case "InvalidOutput":
      return new LlmError.MalformedResponse({ ...within(error), problem: error.problem })
    case "ToolFailed":
      return new LlmError.InvalidRequest({ ...within(error), parameter: "tools", problem: error.problem })
    case "PromptInvalid":
    case "PromptNotFound":
      return new LlmError.InvalidRequest({ ...within(error), parameter: "prompt", problem: "it cannot be made" })
    default:
      return error
  }
}

const within = (error: LlmError.LlmError) => ({
  ...compact({
    provider: error.provider,
    model: error.model,
    status: error.status,
    requestId: error.requestId,
    retryAfter: error.retryAfter,
    detail: error.detail
  }),
  code: error._tag,
  retryable: LlmError.isTransient(error)
})
