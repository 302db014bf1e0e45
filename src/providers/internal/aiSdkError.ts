/**
 * Classifies whatever an AI SDK model throws, rejects with, or hands on as an error part.
 *
 * The SDK's errors are known by the symbols that mark them. They hold the request (its URL, its body, at times its headers) and pieces
 * of the answer: nothing of them is passed on but what `classify.ts` lets through.
 */
import * as Redacted from "effect/Redacted"
import * as LlmError from "../../core/LlmError.ts"
import { keysIn } from "./aiSdkKeys.ts"
import type { Asked } from "./aiSdkRequest.ts"
import { classifyInBand, classifyResponse, type Exchange, malformed, webPage } from "./classify.ts"
import { brokenStream, classifyConnection } from "./classifyTransport.ts"
import { isError } from "./errorBody.ts"
import { compact, type Fields, isFields, isHtml, json, Names, text, trimBody } from "./read.ts"
import type { HeaderFields } from "./retryAfter.ts"

/** What is known where an error comes up. */
export interface Where {
  /** The response, as far as there is one: its status is 0 where there is none. */
  readonly exchange: Exchange
  /** Whether the answer has begun to flow. */
  readonly flowing: boolean
  readonly tools: Asked["tools"]
}

export const classifyError = (where: Where, error: unknown): LlmError.ProviderError => {
  const { origin } = where.exchange
  try {
    const chain = causesOf(error)
    const known = { ...origin, secrets: [...origin.secrets, ...keysIn(chain)] }
    return decide({ ...where, exchange: { ...where.exchange, origin: known } }, error, chain)
  } catch {
    // Whoever throws something that cannot even be looked at has failed.
    return new LlmError.ServerError({ provider: origin.provider, model: origin.model })
  }
}

/** The headers of the response that an error is about, and its status. */
export const responseOf = (
  error: unknown
): { readonly status: number; readonly headers: HeaderFields } | undefined => {
  const call = causesOf(error).find((cause) => nameOf(cause) === "AI_APICallError")
  const status = call?.["statusCode"]
  return typeof status === "number" ? { status, headers: headersOf(call?.["responseHeaders"]) } : undefined
}

/** Headers with their names in lower case. */
export const headersOf = (headers: unknown): HeaderFields => {
  if (!isFields(headers)) return {}
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => typeof value === "string" ? [[name.toLowerCase(), value]] : [])
  )
}

/** An error and those behind it. */
const causesOf = (error: unknown): ReadonlyArray<Fields> => {
  const chain: Array<Fields> = []
  for (let current = error; isFields(current) && chain.length < 8; current = current["cause"]) chain.push(current)
  return chain
}

const marker = /^vercel\.ai\.error\.(AI_\w+)$/

/** The name under which the SDK knows an error, whichever copy of the SDK has made it. */
const nameOf = (error: Fields): string | undefined => {
  for (const symbol of Object.getOwnPropertySymbols(error)) {
    const name = marker.exec(Symbol.keyFor(symbol) ?? "")?.[1]
    if (name !== undefined) return name
  }
  const name = text(error["name"])
  return name?.startsWith("AI_") === true ? name : undefined
}

const decide = (where: Where, error: unknown, chain: ReadonlyArray<Fields>): LlmError.ProviderError => {
  const call = chain.find((cause) => nameOf(cause) === "AI_APICallError")
  if (call !== undefined) return classifyCall(where, call)
  return classifyNamed(where, chain) ??
    classifyTransport(where, chain) ??
    classifyValue(where, error) ??
    new LlmError.ServerError(common(where, chain[0]))
}

/** The error of a response, or of none: what an adapter over HTTP would have seen. */
const classifyCall = (where: Where, call: Fields): LlmError.ProviderError => {
  const { exchange } = where
  const { data, message, responseBody, statusCode } = call
  if (typeof statusCode !== "number") {
    return classifyNamed(where, causesOf(call["cause"])) ?? connectionError(where, call)
  }
  const response: Exchange = { ...exchange, status: statusCode, headers: headersOf(call["responseHeaders"]) }
  const succeeded = statusCode >= 200 && statusCode < 300
  // Some providers put a whole answer that says `failed` here, and make up the status.
  if (isFields(responseBody)) {
    const inside = { ...response, status: 200 }
    return isError(responseBody) ? classifyInBand(inside, responseBody) : malformed(inside, unread)
  }
  const body = text(responseBody)
  if (!succeeded) {
    return classifyResponse(response, body ?? (data === undefined ? text(message) : JSON.stringify(data)) ?? "")
  }
  if (body !== undefined) return classifyAnswer(response, body)
  const causes = causesOf(call["cause"])
  return classifyNamed({ ...where, exchange: response }, causes) ??
    classifyTransport(where, causes) ??
    malformed(response, responseBody === "" ? "it is empty" : unread)
}

const unread = "the provider's package cannot read it"

/** A response with status 200 that the SDK could not read. */
const classifyAnswer = (response: Exchange, body: string): LlmError.ProviderError => {
  const trimmed = trimBody(body)
  if (isHtml(trimmed)) return webPage(response)
  const value = json(trimmed)
  if (value === undefined) return malformed(response, "it is not JSON, or not whole")
  return isFields(value) && isError(value) ? classifyInBand(response, value) : malformed(response, unread)
}

const common = ({ exchange: { origin } }: Where, error?: Fields) => {
  const words = text(error?.["message"])
  return {
    provider: origin.provider,
    model: origin.model,
    ...(words === undefined
      ? undefined
      : { detail: Redacted.make(new Names(origin.secrets).scrub(words).slice(0, maxDetail)) })
  }
}

const maxDetail = 500

/** The SDK's errors by their names: those that say what is wrong before anything is sent, and those of answers. */
const classifyNamed = (where: Where, chain: ReadonlyArray<Fields>): LlmError.ProviderError | undefined => {
  for (const error of chain) {
    const invalid = (problem: string, parameter?: string) =>
      new LlmError.InvalidRequest({ ...common(where, error), ...compact({ parameter }), problem })
    // Their messages quote the answer.
    const misshapen = (problem: string) => malformed(where.exchange, problem)
    switch (nameOf(error)) {
      case undefined:
        continue
      case "AI_LoadAPIKeyError":
        return new LlmError.AuthenticationFailed(common(where, error))
      case "AI_LoadSettingError":
        return invalid("a setting of the provider is missing")
      case "AI_NoSuchModelError":
      case "AI_NoSuchProviderError":
        return new LlmError.ModelNotFound(common(where, error))
      case "AI_UnsupportedFunctionalityError":
        return invalid("the provider's package does not support something that is asked for")
      case "AI_InvalidPromptError":
        return invalid("the provider's package does not accept the prompt", "prompt")
      case "AI_InvalidArgumentError":
        return invalid(
          "the provider's package does not accept an option",
          new Names(where.exchange.origin.secrets).parameter(error["argument"])
        )
      case "AI_NoSuchProviderReferenceError":
        return invalid("a file of the prompt is one of another provider")
      case "AI_TooManyEmbeddingValuesForCallError":
        return invalid("there are too many values for one call")
      case "AI_TypeValidationError":
        return classifyInvalidValue(where, error["value"]) ?? misshapen("its form is not the provider's")
      case "AI_JSONParseError":
        return misshapen("it is not JSON, or not whole")
      case "AI_EmptyResponseBodyError":
        return misshapen("it is empty")
      case "AI_InvalidResponseDataError":
        // Specification v3 has no other word for a stream that ends too early.
        return where.flowing && /without a finish reason/.test(text(error["message"]) ?? "")
          ? unfinished(where)
          : misshapen("its data are not valid")
      case "AI_NoContentGeneratedError":
        return misshapen("it has no content")
      case "AI_DownloadError":
        return where.exchange.status === 0
          ? invalid("a file of the prompt cannot be downloaded")
          : malformed(where.exchange, "it is larger than the provider's package allows", { retryable: false })
    }
  }
  return undefined
}

/** What has not the form that the SDK expects may be an error of the server, or an option of a tool. */
const classifyInvalidValue = (where: Where, value: unknown): LlmError.ProviderError | undefined => {
  if (where.tools.some((tool) => tool.type === "provider" && tool.args === value)) {
    return new LlmError.InvalidRequest({
      ...common(where),
      parameter: "tools",
      problem: "the arguments of a tool that the provider defines are not valid"
    })
  }
  return isFields(value) && isError(value) ? classifyInBand({ ...where.exchange, status: 200 }, value) : undefined
}

const unfinished = ({ exchange: { origin } }: Where): LlmError.StreamInterrupted =>
  new LlmError.StreamInterrupted({
    provider: origin.provider,
    model: origin.model,
    partial: Redacted.make(""),
    reason: "unfinished"
  })

const connectionError = ({ exchange: { origin }, flowing }: Where, error: unknown): LlmError.ProviderError =>
  flowing ? brokenStream(origin, error) : classifyConnection(origin, error)

const classifyTransport = (where: Where, chain: ReadonlyArray<Fields>): LlmError.ProviderError | undefined => {
  if (chain.some(({ code }) => code === "ERR_INVALID_URL")) {
    return new LlmError.InvalidRequest({ ...common(where), problem: "the URL is not valid: check the base URL" })
  }
  return chain.some(isTransport) ? connectionError(where, chain[0]) : undefined
}

// Codes of the system and of HTTP clients. Those of Node that say a program is wrong are not among them.
const networkCode =
  /^(?:E[A-Z]{2,}|UND_ERR_\w+|Connection\w+|FailedToOpenSocket|CERT_\w+|\w+_CERT\w*|UNABLE_TO_\w+|HOSTNAME_MISMATCH)$/
const networkErrors = /^ERR_(?:TLS|SSL|SOCKET|HTTP2|STREAM|NETWORK|INTERNET)/

// What `fetch` says, here and elsewhere, where its error has no code.
const networkWords = /fetch failed|failed to fetch|load failed|network|terminated|reading a body from connection/i

const isTransport = (error: Fields): boolean => {
  const { code, message, name } = error
  if (typeof code === "string" && (networkCode.test(code) || networkErrors.test(code))) return true
  if (name === "AbortError" || name === "TimeoutError" || name === "ResponseAborted") return true
  return name === "TypeError" && typeof message === "string" && networkWords.test(message)
}

/** What is no error of the SDK's: what a server has sent, mostly, as it was. */
const classifyValue = (where: Where, error: unknown): LlmError.ProviderError | undefined => {
  const inside: Exchange = { ...where.exchange, status: 200 }
  if (typeof error === "string") return classifyInBand(inside, error)
  if (!isFields(error)) return undefined
  const { data, statusCode } = error
  const status = typeof statusCode === "number" && statusCode >= 400 && statusCode <= 599 ? statusCode : undefined
  // The SDK's gateway, and packages with errors of their own.
  if (error instanceof Error) {
    return status === undefined
      ? undefined
      : classifyResponse(
        { ...inside, status },
        JSON.stringify({ error: { message: error.message, type: error["type"] } })
      )
  }
  // An error of a stream as packages of the SDK hand it on. Where they know no status they say 500.
  const body = isFields(data) ? data : error
  return classifyInBand(inside, status === undefined || status === 500 ? body : { status_code: status, ...body })
}
