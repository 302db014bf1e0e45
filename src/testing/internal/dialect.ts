/**
 * What the protocols of providers differ in. Everything else of the server (scripts, answers, delays, cuts) is the same for all.
 */
import type { Answer } from "./answer.ts"
import type { Asked } from "./asked.ts"
import type { Checked, Problem } from "./checked.ts"
import type { ErrorFields } from "./fault.ts"

/**
 * The protocols that the server speaks.
 *
 * @category models
 * @since 0.1.0
 */
export type DialectName = "openai-chat" | "openai-responses" | "anthropic-messages" | "gemini"

export type Headers = Readonly<Record<string, string>>

/** What a request says outside its body. */
export interface Target {
  readonly path: string
  readonly query: URLSearchParams
  /** By their names in lower case. (Not in Node's own type: what is public must compile without it.) */
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
}

/** Why a request is refused: by a fault, or because it may not be answered. */
export type Refusal =
  | { readonly type: "status"; readonly code: number }
  | { readonly type: "rateLimited"; readonly retryAfter: number | undefined }
  | { readonly type: "overloaded" }
  | { readonly type: "contextLengthExceeded"; readonly limit: number; readonly requested: number }
  | { readonly type: "contentFiltered" }
  | { readonly type: "insufficientQuota" }
  | { readonly type: "unknownPath"; readonly method: string; readonly path: string }
  | { readonly type: "wrongMethod"; readonly method: string; readonly path: string; readonly allow: string }
  | { readonly type: "missingKey" }
  | { readonly type: "wrongKey" }
  | { readonly type: "tooLarge"; readonly limit: number }
  | { readonly type: "notJson" }
  | { readonly type: "invalid"; readonly problem: Problem }
  | { readonly type: "unknownModel"; readonly model: string }
  | { readonly type: "prefillRejected" }
  | { readonly type: "defect"; readonly message: string }

/** An error as a dialect says it; what a field of it is called is the dialect's own. */
export interface Said {
  readonly status: number
  readonly message: string
  readonly type: string
  readonly code: string | null
  readonly param: string | null
  readonly headers?: Headers
  /** What the error has beside, in dialects that have such a thing. */
  readonly details?: ReadonlyArray<object>
}

/** What every object of one answer repeats. */
export interface Envelope {
  /** The number of the request, from 1, from which every id is made. */
  readonly ordinal: number
  /** Seconds since 1970. */
  readonly created: number
  readonly model: string
}

/** What there is to write an answer from. */
export interface Draft {
  readonly answer: Answer
  readonly envelope: Envelope
  /** The body of the request. */
  readonly body: unknown
  readonly target: Target
}

export interface Event {
  readonly name?: string
  /** JSON, but for what ends a stream. */
  readonly data: string
}

/** The end of a stream that nothing disturbs. */
export interface Ending {
  /** What closes the parts of the answer. */
  readonly closing: ReadonlyArray<Event>
  /** Says why the answer ends. */
  readonly finish: Event
  readonly usage: ReadonlyArray<Event>
  /** Says that nothing follows, where that is said apart. */
  readonly done: Event | undefined
}

/** An answer in the words of a dialect. */
export interface Writing {
  /** The answer as one object. */
  readonly whole: (finish: string | null) => object
  /** An error in the place of a whole answer, though its status be 200. */
  readonly wholeError: (said: Said) => object
  readonly contentType: string
  /** An event as it is sent, in its turn. */
  readonly frame: (event: Event) => string
  /** What closes a body that ends in good order, be the answer whole or not. */
  readonly trailer: () => string
  /** What comes before the first token. */
  readonly opening: ReadonlyArray<Event>
  /** How many pieces the tokens come in; mostly one each. */
  readonly pieces: number
  readonly piece: (index: number) => Event
  readonly ending: (finish: string) => Ending
  /** An error after so many pieces. */
  readonly failing: (said: Said, index: number) => ReadonlyArray<Event>
}

export interface Dialect {
  readonly name: DialectName
  /** The type of its JSON. */
  readonly jsonType: string
  /** Whether this is where its models answer. */
  readonly answersAt: (path: string) => boolean
  /** Whether a request to anywhere else looks like that of its clients. */
  readonly speaks: (target: Target) => boolean
  /** The key that a request carries. */
  readonly keyOf: (target: Target) => string | undefined
  readonly read: (body: unknown, target: Target) => Checked<Asked>
  /** Headers of every response. */
  readonly headers: (ordinal: number, elapsed: number) => Headers
  /** Headers that tell the limits of an account, of a request that is answered. */
  readonly limits: (promptTokens: number, now: number) => Headers
  readonly refusal: (refusal: Refusal, now: number) => Said
  readonly errorBody: (said: Said, ordinal: number) => object
  readonly write: (draft: Draft) => Writing
  readonly models: (names: ReadonlyArray<string>) => object
  /** Whether a prompt that is refused is answered, with an answer that says so. */
  readonly blocksPrompts: boolean
}

/** The error of a fault: what the dialect says of its reason, but for what the fault itself says. */
export const sayFault = (dialect: Dialect, code: number, error: ErrorFields, now: number): Said => {
  const usual = dialect.refusal(reasonOf(code, error), now)
  return {
    ...usual,
    message: error.message ?? usual.message,
    type: error.type ?? usual.type,
    code: error.code === undefined ? usual.code : error.code,
    param: error.param === undefined ? usual.param : error.param
  }
}

const reasonOf = (code: number, error: ErrorFields): Refusal => {
  switch (error.reason) {
    case undefined:
      return { type: "status", code }
    case "rateLimited":
      return { type: error.reason, retryAfter: error.retryAfter }
    case "contextLengthExceeded":
      return { type: error.reason, limit: error.limit ?? 128_000, requested: error.requested ?? 128_001 }
    default:
      return { type: error.reason }
  }
}

/** An id that says which request it belongs to. */
export const ordinalId = (prefix: string, length: number, ordinal: number): string =>
  `${prefix}${String(ordinal).padStart(length, "0")}`

export const headerOf = ({ headers }: Target, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "object" ? value[0] : value
}

export const bearerOf = (target: Target): string | undefined =>
  /^Bearer\s+(.+)$/i.exec(headerOf(target, "authorization") ?? "")?.[1]

/** A server-sent event. */
export const sse = ({ data, name }: Event): string => `${name === undefined ? "" : `event: ${name}\n`}data: ${data}\n\n`

/** An event whose name is its type. */
export const typed = <const Data extends { readonly type: string }>(data: Data): Event => ({
  name: data.type,
  data: JSON.stringify(data)
})

/**
 * The same text with the first colon missing: no parser takes it for JSON.
 */
export const broken = (json: string): string => json.replace(":", "")

/** Milliseconds as seconds, not rounded: `1500` is `1.5s`. */
export const inSeconds = (millis: number): string => `${millis / 1000}s`
