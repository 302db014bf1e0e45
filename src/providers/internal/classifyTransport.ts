/**
 * Classifies what goes wrong below HTTP: no connection, a broken one, a request that could not be sent.
 *
 * The errors of an HTTP client hold the request with its headers, so nothing of them is passed on but the system's
 * code.
 */
import type * as HttpClientError from "effect/http/HttpClientError"
import * as Redacted from "effect/Redacted"
import * as LlmError from "../../core/LlmError.ts"
import type { Failure, Origin } from "./classify.ts"
import { isFields } from "./read.ts"

const systemCode = /^[A-Z][A-Za-z0-9_]{2,63}$/

interface Trace {
  readonly codes: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
}

/** The codes and names of an error and of those behind it. `fetch` says nothing itself: its cause does. */
const trace = (error: unknown): Trace => {
  const codes: Array<string> = []
  const names: Array<string> = []
  let current = error
  for (let depth = 0; depth < 8 && isFields(current); depth++) {
    const { cause, code, errors, name, reason } = current
    if (typeof code === "string" && systemCode.test(code)) codes.push(code)
    if (typeof name === "string") names.push(name)
    current = cause ?? (isFields(reason) ? reason : Array.isArray(errors) ? errors[0] : undefined)
  }
  return { codes, names }
}

const timeouts: ReadonlySet<string> = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"])

// A certificate does not become valid by asking again.
const isCertificate = (code: string): boolean => /CERT|^UNABLE_TO_|^ERR_TLS_|^ERR_SSL_|^HOSTNAME_MISMATCH$/.test(code)

// No name, no route, nobody there, or nobody one trusts, in the words of Node, its `fetch`, and Bun.
const unconnected =
  /^(?:ENOTFOUND|EAI_[A-Z]+|ECONNREFUSED|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ConnectionRefused|FailedToOpenSocket)$/

/** Whether a failure with this code is one of making a connection: nothing was sent over it. */
export const neverConnected = (code: string | undefined): boolean =>
  code !== undefined && (unconnected.test(code) || isCertificate(code))

/** What a failure of the connection is, before or during an answer. */
export const classifyConnection = (
  origin: Origin,
  error: unknown
): LlmError.ConnectionFailed | LlmError.RequestTimeout => {
  const { codes, names } = trace(error)
  const code = codes.at(-1)
  const common = {
    provider: origin.provider,
    model: origin.model,
    ...(code === undefined ? undefined : { code })
  }
  // `AbortSignal.timeout` and the client's own limits: whoever set them gave up waiting.
  if (codes.some((name) => timeouts.has(name)) || names.includes("TimeoutError")) {
    return new LlmError.RequestTimeout(common)
  }
  return new LlmError.ConnectionFailed({
    ...common,
    ...(codes.some(isCertificate) ? { retryable: false } : undefined)
  })
}

/** What a failure to send a request is: `reason` says at which step, `error` what the system says. */
export const classifyUnsent = (
  origin: Origin,
  reason: HttpClientError.HttpClientError["reason"]["_tag"],
  error: unknown
): Failure => {
  switch (reason) {
    case "InvalidUrlError":
      return new LlmError.InvalidRequest({ ...who(origin), problem: "the URL is not valid: check the base URL" })
    case "EncodeError":
      return new LlmError.InvalidRequest({ ...who(origin), problem: "the HTTP client cannot send the request" })
    default:
      return classifyConnection(origin, error)
  }
}

const who = (origin: Origin) => ({ provider: origin.provider, model: origin.model })

/** The error of a stream whose connection broke; what had arrived by then is filled in where it is known. */
export const brokenStream = (origin: Origin, error: unknown): LlmError.StreamInterrupted =>
  new LlmError.StreamInterrupted({
    ...who(origin),
    partial: Redacted.make(""),
    reason: "closed",
    failure: classifyConnection(origin, error)
  })
