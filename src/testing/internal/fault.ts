import * as Schema from "effect/Schema"

const Millis = Schema.Union([Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)), Schema.Literal("Infinity")])

const ErrorFields = Schema.Struct({
  /** What it is about: each dialect has a status, a type, words and headers of its own for it. */
  reason: Schema.optionalKey(Schema.Literals([
    "rateLimited",
    "overloaded",
    "contextLengthExceeded",
    "contentFiltered",
    "insufficientQuota"
  ])),
  /** How long to wait, in milliseconds, where the reason is `rateLimited`; default: nothing is said of it. */
  retryAfter: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
  /** The tokens that a model takes, and those that it was given, where the reason is `contextLengthExceeded`. */
  limit: Schema.optionalKey(Schema.Natural),
  requested: Schema.optionalKey(Schema.Natural),
  /** The text for people. */
  message: Schema.optionalKey(Schema.String),
  /** The family of the error, such as `"invalid_request_error"` or `"server_error"`; Gemini's `"INVALID_ARGUMENT"`. */
  type: Schema.optionalKey(Schema.String),
  /** The request field at fault, or `null`. */
  param: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** The machine-readable name, such as `"rate_limit_exceeded"`, or `null`. */
  code: Schema.optionalKey(Schema.NullOr(Schema.String))
})

/**
 * What an error says; each field has a default that depends on the reason, or else on the status.
 *
 * **Details**
 *
 * | | OpenAI | Anthropic | Gemini |
 * | --- | --- | --- | --- |
 * | `message` | `error.message` | `error.message` | `error.message` |
 * | `type` | `error.type` | `error.type` | `error.status` |
 * | `code` | `error.code` | `error.details.error_code` | the `reason` of an `ErrorInfo` in `error.details` |
 * | `param` | `error.param` | | the `field` of a `BadRequest` in `error.details` |
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
    /** The status; where the error has a reason, it is the dialect's own for it. */
    code: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
    /** What the request log calls it; default `status 503`, with the code. */
    name: Schema.optionalKey(Schema.String),
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    /** The fields of the official error body that differ from what is usual with the status. */
    error: Schema.optionalKey(ErrorFields),
    /** Another body: JSON, or a string to be sent as it is. */
    body: Schema.optionalKey(Schema.Json)
  })),
  /** How long the first token is held back; headers and what opens the answer are sent before. */
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
  /** The stream ends without finish reason, usage and what ends it. */
  omitFinish: Schema.optionalKey(Schema.Literal(true)),
  /** The stream ends without `[DONE]`, or what is like it. */
  omitDone: Schema.optionalKey(Schema.Literal(true)),
  /** The finish reason sent, in Chat Completions' words or the dialect's own. */
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
