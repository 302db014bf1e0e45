import * as Duration from "effect/Duration"
import type * as Schema from "effect/Schema"
import type { ErrorFields, Fault } from "./fault.ts"

const millis = (name: string, input: Duration.Input): number | "Infinity" => {
  const duration = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (!(duration >= 0)) {
    throw new RangeError(`FaultServer.${name}: the duration must not be negative, got ${duration} ms`)
  }
  return duration === Number.POSITIVE_INFINITY ? "Infinity" : duration
}

const count = (name: string, tokens: number): number => {
  if (Number.isInteger(tokens) && tokens >= 0) return tokens
  throw new RangeError(`FaultServer.${name}: tokens must be an integer >= 0, got ${tokens}`)
}

/**
 * No fault: the answer is sent whole.
 *
 * **When to use**
 *
 * Use it as the placeholder for a good request between bad ones.
 *
 * @category constructors
 * @since 0.1.0
 */
export const healthy: Fault = {}

/**
 * Answers with an error status.
 *
 * **Details**
 *
 * The body is the official error object of the dialect, with the fields that usually come with the status, or with the `reason`
 * where one is given, unless `message`, `type`, `param` or `code` say otherwise. `body` replaces it: JSON, or a string that is sent as it is (`text/plain` unless
 * `headers` name another type).
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless the status is an integer from 200 to 599.
 *
 * **Example** (A proxy in front of the model fails)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 *
 * export const badGateway = FaultServer.status(502, {
 *   headers: { "content-type": "text/html" },
 *   body: "<html><body><h1>502 Bad Gateway</h1></body></html>"
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const status = (code: number, options: ErrorFields & {
  readonly body?: Schema.Json
  readonly headers?: Readonly<Record<string, string>>
} = {}): Fault => {
  if (!Number.isInteger(code) || code < 200 || code > 599) {
    throw new RangeError(`FaultServer.status: the status must be an integer in [200, 599], got ${code}`)
  }
  const { body, headers, ...error } = options
  return {
    status: {
      code,
      ...(headers === undefined ? {} : { headers }),
      ...(Object.keys(error).length === 0 ? {} : { error }),
      ...(body === undefined ? {} : { body })
    }
  }
}

const named = (code: number, reason: NonNullable<ErrorFields["reason"]>, error: ErrorFields = {}): Fault => ({
  status: { code, name: reason, error: { reason, ...error } }
})

/**
 * Refuses the request because of a rate limit: 429 in all dialects.
 *
 * **Details**
 *
 * `retryAfter` is told as each provider tells it. OpenAI: in the message and in the header `Retry-After` (whole seconds, rounded up),
 * and in `Retry-After-Ms` when it is not a whole number of seconds. Anthropic: in `Retry-After`, and in the reset of the bucket
 * that is empty. Gemini: in the message and in a `RetryInfo`. Without it the server gives no hint.
 *
 * **Example** (Two refusals, then an answer)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.make()
 *   const refusal = FaultServer.rateLimited({ retryAfter: "2 seconds" })
 *   yield* server.script("*", [refusal, refusal])
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const rateLimited = (options: { readonly retryAfter?: Duration.Input | undefined } = {}): Fault => {
  if (options.retryAfter === undefined) return named(429, "rateLimited")
  const retryAfter = millis("rateLimited", options.retryAfter)
  if (retryAfter === "Infinity") throw new RangeError("FaultServer.rateLimited: retryAfter must be finite")
  return named(429, "rateLimited", { retryAfter })
}

/**
 * Refuses the request because there is no capacity: 503, or Anthropic's 529.
 *
 * @category constructors
 * @since 0.1.0
 */
export const overloaded: Fault = named(503, "overloaded")

/**
 * Refuses the request because it is too long: 400; both numbers are tokens.
 *
 * **Gotchas**
 *
 * OpenAI's Responses API does not tell the numbers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const contextLengthExceeded = (options: { readonly limit: number; readonly requested: number }): Fault =>
  named(400, "contextLengthExceeded", { limit: options.limit, requested: options.requested })

/**
 * Refuses the prompt because of a content policy: 400, but for Gemini.
 *
 * **When to use**
 *
 * Use it for a refused prompt; for an answer that a filter stops half-way see {@link finish} with `"content_filter"`.
 *
 * **Details**
 *
 * Gemini answers 200, with a `blockReason` and no candidate.
 *
 * @category constructors
 * @since 0.1.0
 */
export const contentFiltered: Fault = named(400, "contentFiltered")

/**
 * Refuses the request because the account has no money left, and waiting cannot help: 429, or Anthropic's 400.
 *
 * @category constructors
 * @since 0.1.0
 */
export const insufficientQuota: Fault = named(429, "insufficientQuota")

/**
 * Accepts the request and sends nothing for a time, forever by default; then answers.
 *
 * **When to use**
 *
 * Use it for a server that hangs. To hang up in the end, combine it with {@link resetConnection}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const silence = (duration: Duration.Input = "Infinity"): Fault => ({ silence: millis("silence", duration) })

/**
 * Holds back status line and headers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delayHeaders = (duration: Duration.Input): Fault => ({ delayHeaders: millis("delayHeaders", duration) })

/**
 * Holds back the first token.
 *
 * **Details**
 *
 * In a stream, headers and what comes before the first token are sent at once: a chunk with a role and no content, the start of
 * the message and of its first block; Gemini has nothing there. A full answer is held back as a whole.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delayFirstToken = (duration: Duration.Input): Fault => ({
  delayFirstToken: millis("delayFirstToken", duration)
})

/**
 * Holds back every token but the first.
 *
 * **Details**
 *
 * Replaces the `pace` of the server. A full answer is held back by the sum.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delayBetweenTokens = (duration: Duration.Input): Fault => ({
  delayBetweenTokens: millis("delayBetweenTokens", duration)
})

/**
 * Destroys the connection (TCP RST) before a byte is sent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resetConnection: Fault = { resetConnection: true }

/**
 * Destroys the connection after so many tokens.
 *
 * **Details**
 *
 * A full answer is cut half-way through its body, whose `Content-Length` announces all of it. Gemini streams a call of a tool in
 * one piece, which here counts as one token.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless `tokens` is an integer of at least 0.
 *
 * **Example** (A slow start, then a cut)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 *
 * export const fault = FaultServer.all(FaultServer.delayFirstToken("1 second"), FaultServer.cutAfter(5))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const cutAfter = (tokens: number): Fault => ({ cutAfter: count("cutAfter", tokens) })

/**
 * Sends nothing for a time after so many tokens, forever by default; then goes on.
 *
 * **Details**
 *
 * A full answer stalls half-way through its body.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless `tokens` is an integer of at least 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stallAfter = (tokens: number, duration: Duration.Input = "Infinity"): Fault => ({
  stallAfter: { tokens: count("stallAfter", tokens), for: millis("stallAfter", duration) }
})

/**
 * Sends the token with this number (from 0) in a chunk that is not JSON; the chunks around it are good.
 *
 * **Details**
 *
 * A full answer is not JSON as a whole.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless `token` is an integer of at least 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const malformedChunkAt = (token: number): Fault => ({ malformedChunkAt: count("malformedChunkAt", token) })

/**
 * Ends the stream without `[DONE]`, or Anthropic's `message_stop`; the finish reason and the usage are sent.
 *
 * **Gotchas**
 *
 * Some real servers never send it, so a client should take such an answer as whole. A full answer has no such end, nor have
 * the streams of Responses and Gemini, and stay healthy.
 *
 * @category constructors
 * @since 0.1.0
 */
export const omitDone: Fault = { omitDone: true }

/**
 * Ends the stream without finish reason, usage and what ends it, although the connection closes in good order.
 *
 * **Details**
 *
 * In a full answer the finish reason is `null` or not there, and the status of a response is `in_progress`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const omitFinish: Fault = { omitFinish: true }

/**
 * Sends an error in the stream after so many tokens, and ends it.
 *
 * **Details**
 *
 * It is `data: {"error": ...}` of Chat Completions and Gemini, an event `error` of Anthropic, and `error` and `response.failed` of
 * Responses. Status and headers say 200 by then. A full answer is a 200 with the error as its body, as some gateways send it, or a
 * response that has failed. Default is a failure of the server.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless `tokens` is an integer of at least 0.
 *
 * **Example** (Overloaded in mid-answer)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 *
 * // Anthropic's `overloaded_error`, Google's `UNAVAILABLE`, OpenAI's `server_is_overloaded`
 * export const fault = FaultServer.errorEventAfter(5, { reason: "overloaded" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const errorEventAfter = (tokens: number, error: ErrorFields = {}): Fault => ({
  errorEventAfter: { tokens: count("errorEventAfter", tokens), error }
})

/**
 * Sends only the first half of the JSON, although the connection closes in good order.
 *
 * **Details**
 *
 * In a stream that is the event with the finish reason, after all tokens. A full answer is cut, with a `Content-Length`
 * that fits what is sent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const truncatedJson: Fault = { truncatedJson: true }

/**
 * Sends this finish reason with an answer that is otherwise whole.
 *
 * **Details**
 *
 * Each dialect has its own words for `"stop"`, `"length"`, `"tool_calls"` and `"content_filter"`: `"length"` is Anthropic's
 * `max_tokens`, Gemini's `MAX_TOKENS` and an incomplete response because of `max_output_tokens`. Any other is sent as it is.
 *
 * @category constructors
 * @since 0.1.0
 */
export const finish = (reason: string): Fault => ({ finish: reason })

/**
 * Makes one fault of several; where two set the same field the later wins.
 *
 * @category combining
 * @since 0.1.0
 */
export const all = (...faults: ReadonlyArray<Fault>): Fault => Object.assign({}, ...faults) as Fault

/**
 * A fault that is never used up: from its turn on, every request meets it.
 *
 * @category combining
 * @since 0.1.0
 */
export const forever = (fault: Fault): Fault => ({ ...fault, forever: true })
