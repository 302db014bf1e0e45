/**
 * Every way a call can fail, as a flat union of tagged errors, and one table that says what each means.
 *
 * Policies never match messages: they ask {@link table} whether a failure is transient (worth sending again), fails over
 * (worth asking another model), counts against the provider's circuit, and what to tell one's own HTTP caller. The same
 * table is printed in `docs/errors.md`.
 *
 * All errors survive a round trip through JSON by way of the {@link LlmError} schema. None prints a key, a prompt or an
 * answer: messages are made of our own words, numbers and machine-readable codes, and whatever else a provider wrote is
 * kept in `detail`, redacted.
 *
 * **Gotchas**
 *
 * `Redacted.value(error.detail)` is the provider's own message. It can quote the request, so log it with care.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import type * as Duration from "effect/Duration"
import type { LlmError as AnyLlmError } from "./internal/errors.ts"
import { type Row, table } from "./internal/errorTable.ts"

export * from "./internal/errors.ts"

export {
  /**
   * One row of {@link table}.
   *
   * @category table
   * @since 0.1.0
   */
  type Row,
  /**
   * The one table: what each failure means to policies, to one's own callers and to `effect/ai`.
   *
   * **Details**
   *
   * A row a tag. Errors that are not Bulwark's own have no row: they are not transient and do not fail over.
   *
   * @category table
   * @since 0.1.0
   */
  table
}

/**
 * The tags of the failures that another model may not have: what `Llm.orElse` handles.
 *
 * @category table
 * @since 0.1.0
 */
export type FailsOverTag = {
  [Tag in keyof typeof table]: (typeof table)[Tag]["failsOver"] extends true ? Tag : never
}[keyof typeof table]

/**
 * What is left of an error type when everything that fails over is handled.
 *
 * @category table
 * @since 0.1.0
 */
export type ExcludeFailsOver<E> = Exclude<E, { readonly _tag: FailsOverTag }>

const rowOf = (error: unknown): Row | undefined => {
  const tag = tagOf(error)
  return tag !== undefined && Object.hasOwn(table, tag) ? table[tag as keyof typeof table] : undefined
}

/**
 * The `_tag` of an error, where it has one.
 *
 * @category getters
 * @since 0.1.0
 */
export const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? error._tag
    : undefined

const isKnown = (error: unknown): error is AnyLlmError => rowOf(error) !== undefined

/**
 * How long the provider asked to wait, where the error says so.
 *
 * @category getters
 * @since 0.1.0
 */
export const retryAfter = (error: unknown): Duration.Duration | undefined =>
  !isKnown(error)
    ? undefined
    : error._tag === "StreamInterrupted"
    ? error.retryAfter ?? error.failure?.retryAfter
    : error.retryAfter

/**
 * Whether sending the same request again may succeed.
 *
 * **Details**
 *
 * The table decides by tag, and the error itself knows better: a rate limit that the request exceeds all by itself, or a
 * provider's own word (`x-should-retry`), is in its `retryable`; an interrupted stream is as transient as the failure
 * behind it; and once the total limit has passed there is no time to try again.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isTransient = (error: unknown): boolean => {
  const row = rowOf(error)
  if (row === undefined || !isKnown(error)) return false
  if (error.retryable !== undefined) return error.retryable
  if (error._tag === "StreamInterrupted" && error.failure !== undefined) return isTransient(error.failure)
  if (error._tag === "TimedOut" && error.phase === "total") return false
  return row.transient
}

/**
 * Whether another model may succeed where this one failed.
 *
 * @category predicates
 * @since 0.1.0
 */
export const failsOver = <E>(error: E): error is Extract<E, { readonly _tag: FailsOverTag }> =>
  rowOf(error)?.failsOver === true

/**
 * The HTTP status to answer one's own caller with; 500 for errors that are not Bulwark's.
 *
 * **Example** (Answering an HTTP request)
 *
 * ```ts
 * import { LlmError } from "effect-bulwark"
 *
 * LlmError.toHttpStatus(new LlmError.Overloaded({})) // => 503
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const toHttpStatus = (error: unknown): number => rowOf(error)?.httpStatus ?? 500

/**
 * The failure in `effect/ai`'s vocabulary, for code written against its `LanguageModel`.
 *
 * **Details**
 *
 * The reason is the one the table names. Errors that are not Bulwark's own become `UnknownError`, with their tag as the
 * description; an `AiError` stays as it is.
 *
 * @see {@link fromAiError} for the way back.
 * @category converting
 * @since 0.1.0
 */
export const toAiError = (error: unknown, method: string): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  const reason = toReason(error)
  if (isKnown(error)) originals.set(reason, error)
  return AiError.make({ module: "effect-bulwark", method, reason })
}

// Beside the reason, not in it: a reason is data that others print and store.
const originals = new WeakMap<AiError.AiErrorReason, AnyLlmError>()

/**
 * The failure behind an `AiError` that {@link toAiError} made: what an `Llm` served as a `LanguageModel` really failed with.
 *
 * **Details**
 *
 * There is none behind the errors of others, nor behind one that was stored or sent and read back.
 *
 * **Example** (The tag behind a reason)
 *
 * ```ts
 * import { LlmError } from "effect-bulwark"
 *
 * const error = LlmError.toAiError(new LlmError.Overloaded({}), "generateText")
 *
 * error.reason._tag // => "InternalProviderError"
 * LlmError.fromAiError(error)?._tag // => "Overloaded"
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const fromAiError = (error: AiError.AiError): AnyLlmError | undefined => originals.get(error.reason)

const toReason = (error: unknown): AiError.AiErrorReason => {
  if (!isKnown(error)) {
    return new AiError.UnknownError({ description: tagOf(error) ?? "an error without a tag" })
  }
  const description = error.message
  const metadata = {
    bulwark: {
      tag: error._tag,
      ...(error.provider === undefined ? undefined : { provider: error.provider }),
      ...(error.model === undefined ? undefined : { model: error.model })
    }
  }
  switch (error._tag) {
    case "RateLimited":
    case "Saturated":
      return new AiError.RateLimitError({ retryAfter: error.retryAfter, metadata })
    case "QuotaExhausted":
    case "BudgetExceeded":
      return new AiError.QuotaExhaustedError({ resetAt: error.resetsAt, metadata })
    case "AuthenticationFailed":
      return new AiError.AuthenticationError({ kind: "InvalidKey", description, metadata })
    case "PermissionDenied":
      return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description, metadata })
    case "ModelNotFound":
    case "UnknownPrice":
      return new AiError.InvalidRequestError({ parameter: "model", description, metadata })
    case "InvalidRequest":
      return new AiError.InvalidRequestError({ parameter: error.parameter, description, metadata })
    case "ContextLengthExceeded":
    case "PromptInvalid":
    case "PromptNotFound":
      return new AiError.InvalidRequestError({ parameter: "prompt", description, metadata })
    case "ContentFiltered":
      return new AiError.ContentPolicyError({ description, metadata })
    case "MalformedResponse":
      return new AiError.InvalidResponseError({ description, metadata })
    case "OutputTruncated":
    case "InvalidOutput":
      return new AiError.InvalidOutputError({ description, metadata })
    case "ToolFailed":
      return new AiError.InvalidToolResultError({ toolName: error.toolName ?? "unknown", description })
    case "ConnectionFailed":
      return new AiError.NetworkError({
        reason: "TransportError",
        method: "POST",
        url: error.provider ?? "unknown",
        description
      })
    case "Overloaded":
    case "ServerError":
    case "RequestTimeout":
    case "StreamInterrupted":
    case "TimedOut":
    case "CircuitOpen":
    case "StoreUnavailable":
    case "AllModelsExhausted":
      return new AiError.InternalProviderError({ description, metadata })
  }
}
