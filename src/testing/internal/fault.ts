import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const Millis = Schema.Union([Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)), Schema.Literal("Infinity")])

const ErrorFields = Schema.Struct({
  /** The text for people. */
  message: Schema.optionalKey(Schema.String),
  /** The family of the error, such as `"invalid_request_error"` or `"server_error"`. */
  type: Schema.optionalKey(Schema.String),
  /** The request field at fault, or `null`. */
  param: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** The machine-readable name, such as `"rate_limit_exceeded"`, or `null`. */
  code: Schema.optionalKey(Schema.NullOr(Schema.String))
})

/**
 * The fields of an error object as OpenAI sends it; each has a default that depends on the status.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorFields = typeof ErrorFields.Type

/**
 * What is wrong with one answer, as plain data.
 *
 * **When to use**
 *
 * Use the constructors to write a fault in code, and this schema to read one from JSON.
 *
 * **Details**
 *
 * Every field stands for one disturbance, and several may hold at once: first the delays, then a reset or an error status,
 * then what happens to the answer. Without any field the answer is healthy. Delays are milliseconds or `"Infinity"`.
 *
 * Tokens are counted from 0: `cutAfter: 3` lets three tokens pass. A number beyond the end of the answer means its end,
 * after the last token and before the finish reason, so that a fault always shows.
 *
 * **Gotchas**
 *
 * A field that is misspelt is dropped when a fault is read, unless the decoder is told `onExcessProperty: "error"`.
 *
 * **Example** (Reading a script from JSON)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 * import * as Schema from "effect/Schema"
 *
 * const Script = Schema.fromJsonString(Schema.Array(FaultServer.Fault))
 *
 * export const script = Schema.decodeEffect(Script)(`[{ "status": { "code": 503 } }, { "cutAfter": 3 }]`, {
 *   onExcessProperty: "error"
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const Fault = Schema.Struct({
  /** How long nothing at all is sent. */
  silence: Schema.optionalKey(Millis),
  /** How long the status line and headers are held back. */
  delayHeaders: Schema.optionalKey(Millis),
  /** Destroys the connection (TCP RST) before a byte is sent. */
  resetConnection: Schema.optionalKey(Schema.Literal(true)),
  /** Answers with this status and an error body. */
  status: Schema.optionalKey(Schema.Struct({
    code: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
    /** What the request log calls it; default `status 503`, with the code. */
    name: Schema.optionalKey(Schema.String),
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    /** The fields of the official error body that differ from what is usual with the status. */
    error: Schema.optionalKey(ErrorFields),
    /** Another body: JSON, or a string to be sent as it is. */
    body: Schema.optionalKey(Schema.Json)
  })),
  /** How long the first token is held back; headers and role chunk are sent before. */
  delayFirstToken: Schema.optionalKey(Millis),
  /** How long each further token is held back; replaces the pace of the server. */
  delayBetweenTokens: Schema.optionalKey(Millis),
  /** After so many tokens nothing more is sent for a time. */
  stallAfter: Schema.optionalKey(Schema.Struct({ tokens: Schema.Natural, for: Millis })),
  /** After so many tokens an error is sent in the stream, which then ends. */
  errorEventAfter: Schema.optionalKey(Schema.Struct({ tokens: Schema.Natural, error: ErrorFields })),
  /** After so many tokens the connection is destroyed. */
  cutAfter: Schema.optionalKey(Schema.Natural),
  /** The token with this number comes in a chunk that is not JSON. */
  malformedChunkAt: Schema.optionalKey(Schema.Natural),
  /** Only the first half of the last event is sent. */
  truncatedJson: Schema.optionalKey(Schema.Literal(true)),
  /** The stream ends without finish reason, usage and `[DONE]`. */
  omitFinish: Schema.optionalKey(Schema.Literal(true)),
  /** The stream ends without `[DONE]`. */
  omitDone: Schema.optionalKey(Schema.Literal(true)),
  /** The finish reason sent. */
  finish: Schema.optionalKey(Schema.String),
  /** The fault is never used up. */
  forever: Schema.optionalKey(Schema.Literal(true))
})

/**
 * What is wrong with one answer, as plain data.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

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
 * The body is the official error object, with the fields that usually come with the status unless `message`, `type`,
 * `param` or `code` say otherwise. `body` replaces it: JSON, or a string that is sent as it is (`text/plain` unless
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

const named = (name: string, code: number, error: ErrorFields, headers?: Record<string, string>): Fault => ({
  status: { code, name, error, ...(headers === undefined ? {} : { headers }) }
})

/**
 * Answers 429 `rate_limit_exceeded`.
 *
 * **Details**
 *
 * `retryAfter` is told in the message and in the header `Retry-After` (whole seconds, rounded up), and in
 * `Retry-After-Ms` when it is not a whole number of seconds. Without it the server gives no hint.
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
  const message = "Rate limit reached for requests per min (RPM): Limit 10000, Used 10000, Requested 1."
  const fields = { type: "requests", param: null, code: "rate_limit_exceeded" }
  if (options.retryAfter === undefined) return named("rateLimited", 429, { message, ...fields })
  const wait = millis("rateLimited", options.retryAfter)
  if (wait === "Infinity") throw new RangeError("FaultServer.rateLimited: retryAfter must be finite")
  return named(
    "rateLimited",
    429,
    { message: `${message} Please try again in ${wait % 1000 === 0 ? `${wait / 1000}s` : `${wait}ms`}.`, ...fields },
    {
      "retry-after": String(Math.ceil(wait / 1000)),
      ...(wait % 1000 === 0 ? {} : { "retry-after-ms": String(wait) })
    }
  )
}

/**
 * Answers 503 `server_is_overloaded`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const overloaded: Fault = named("overloaded", 503, {})

/**
 * Answers 400 `context_length_exceeded`; both numbers are tokens.
 *
 * @category constructors
 * @since 0.1.0
 */
export const contextLengthExceeded = (options: { readonly limit: number; readonly requested: number }): Fault =>
  named("contextLengthExceeded", 400, {
    message: `This model's maximum context length is ${options.limit} tokens. However, your messages resulted in ` +
      `${options.requested} tokens. Please reduce the length of the messages.`,
    type: "invalid_request_error",
    param: "messages",
    code: "context_length_exceeded"
  })

/**
 * Answers 400 `content_policy_violation`: the prompt is refused.
 *
 * **When to use**
 *
 * Use it for a refused prompt; for an answer that a filter stops half-way see {@link finish} with `"content_filter"`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const contentFiltered: Fault = named("contentFiltered", 400, {
  message: "Your request was rejected as a result of our safety system.",
  type: "invalid_request_error",
  param: null,
  code: "content_policy_violation"
})

/**
 * Answers 429 `insufficient_quota`: the account has no money left, and waiting cannot help.
 *
 * @category constructors
 * @since 0.1.0
 */
export const insufficientQuota: Fault = named("insufficientQuota", 429, {
  message: "You exceeded your current quota, please check your plan and billing details.",
  type: "insufficient_quota",
  param: null,
  code: "insufficient_quota"
})

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
 * In a stream, headers and the first chunk, which has a role and no content, are sent at once. A full answer is
 * held back as a whole.
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
 * A full answer is cut half-way through its body, whose `Content-Length` announces all of it.
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
 * Ends the stream without `[DONE]`; the finish reason and the usage are sent.
 *
 * **Gotchas**
 *
 * Some real servers never send it, so a client should take such an answer as whole. A full answer has no such end, and
 * stays healthy.
 *
 * @category constructors
 * @since 0.1.0
 */
export const omitDone: Fault = { omitDone: true }

/**
 * Ends the stream without finish reason, usage and `[DONE]`, although the connection closes in good order.
 *
 * **Details**
 *
 * In a full answer the finish reason is `null`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const omitFinish: Fault = { omitFinish: true }

/**
 * Sends `data: {"error": ...}` in the stream after so many tokens, and ends it.
 *
 * **Details**
 *
 * Status and headers say 200 by then. A full answer is a 200 with the error as its body, as some gateways send it. Default
 * is a `server_error`.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` unless `tokens` is an integer of at least 0.
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
 * Sends this finish reason, such as `"length"` or `"content_filter"`, with an answer that is otherwise whole.
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

/**
 * What a fault is called in the request log, such as `"rateLimited"` or `"delayFirstToken+cutAfter"`.
 *
 * @category getters
 * @since 0.1.0
 */
export const describe = (fault: Fault): string => {
  const names = Object.keys(Fault.fields)
    .filter((field) => field !== "forever" && fault[field as keyof Fault] !== undefined)
    .map((field) => (field === "status" ? fault.status?.name ?? `status ${fault.status?.code}` : field))
  return names.length === 0 ? "healthy" : names.join("+")
}
