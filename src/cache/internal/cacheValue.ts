/**
 * What a cache keeps of an answer, or of a failure, and how it is written.
 *
 * A value is a JSON object with the version of this form and the key that it was written under. `encode` copies what it is given and freezes
 * the copy, so that nobody who holds the answer can change what is kept. `decode` believes nothing: a value of another version, of another
 * key, or of another form is told apart and is not handed out. A value that this process has seen before is not looked at again: a hit in
 * memory costs one look into a map.
 *
 * What `decode` gives may be shared with everybody who hits the same value, and is frozen: changing it throws. `thaw` copies a part for those
 * who have to hand on one that may be changed.
 */
import * as Response from "effect/ai/Response"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { LlmError } from "../../core/LlmError.ts"
import { LlmError as LlmErrorSchema } from "../../core/LlmError.ts"
import * as Money from "../../core/Money.ts"
import type { ProviderPart } from "../../core/Part.ts"
import { Usage } from "../../core/Usage.ts"
import type { Unreadable, Value } from "./store.ts"

/** The version of the form. A change that older code would misread needs another one. */
export const version = 1

/** What there is to say of any value. Times are in milliseconds, and lengths of time count from `storedAt`. */
export interface Common {
  /** The key of the cache. */
  readonly key: string
  /** When it was written, since 1970. */
  readonly storedAt: number
  /** How long it is served without further ado. */
  readonly freshFor: number
  /** How long it may be served while it is asked for anew. */
  readonly staleFor: number
  /** How long it may be served where asking anew fails. */
  readonly staleIfErrorFor: number
  /** How long it took to come by. */
  readonly computeMillis: number
}

export interface AnswerEntry extends Common {
  readonly _tag: "Answer"
  /** The provider and the model that answered. */
  readonly provider: string
  readonly model: string
  readonly finishReason?: string | undefined
  readonly usage?: Usage | undefined
  /** In micro-USD. */
  readonly cost?: Money.MicroUsd | undefined
  /** The answer, from the first part to the finish. */
  readonly parts: ReadonlyArray<ProviderPart>
}

export interface FailureEntry extends Common {
  readonly _tag: "Failure"
  readonly error: LlmError
  /** Whose it is, where not all who have the key can fail so. */
  readonly stack?: string | undefined
}

export type Entry = AnswerEntry | FailureEntry

/**
 * Why a value is not handed out, or cannot be written.
 *
 * - what a store says (`notJson`, `malformed`, `notEncrypted`, `unknownKey`, `undecryptable`); `malformed` also where a part is none;
 * - `version`: another version of this library has written it;
 * - `foreignKey`: it was written under another key;
 * - `unencodable`: what was to be written is no plain JSON.
 */
export class CacheValueError extends Schema.TaggedError<CacheValueError>()("CacheValueError", {
  reason: Schema.Literals([
    "notJson",
    "malformed",
    "notEncrypted",
    "unknownKey",
    "undecryptable",
    "version",
    "foreignKey",
    "unencodable"
  ])
}) {
  override get message(): string {
    return said[this.reason]
  }
}

const said: Record<Unreadable | "version" | "foreignKey" | "unencodable", string> = {
  notJson: "A cached value is not read: it is no JSON, or was cut",
  malformed: "A cached value is not read: it does not have the form that it should have",
  notEncrypted: "A cached value is not read: it is not encrypted",
  unknownKey: "A cached value is not read: it is encrypted with a key that `CacheEncryption` was not given",
  undecryptable: "A cached value is not read: it was changed or moved, or its encryption key is another one",
  version: "A cached value is not read: another version of the library has written it",
  foreignKey: "A cached value is not read: it was written under another key",
  unencodable: "An answer is not cached: some of it is no plain JSON"
}

/** What is known of values that were written or read here. */
const decoded = new WeakMap<Value, Entry>()

export const encode = (entry: Entry): Result.Result<Value, CacheValueError> => {
  const { _tag, ...rest } = entry
  let body: object = rest
  if (entry._tag === "Failure") {
    const { _tag, error, ...common } = entry
    const failure = encodeError(error)
    if (Result.isFailure(failure)) return refuse("unencodable")
    body = { ...common, failure: failure.success }
  }
  const value = copy({ v: version, ...body }, 0)
  // An object gives an object.
  return value === undefined || decode(entry.key, value as Value)._tag === "Failure"
    ? refuse("unencodable")
    : Result.succeed(value as Value)
}

export const decode = (key: string, value: Value): Result.Result<Entry, CacheValueError> => {
  let entry = decoded.get(value)
  if (entry === undefined) {
    if (value["v"] !== version) return typeof value["v"] === "number" ? refuse("version") : refuse("malformed")
    if (!isCommon(value)) return refuse("malformed")
    if (value.key !== key) return refuse("foreignKey")
    entry = entryOf(value)
    if (entry === undefined) return refuse("malformed")
    decoded.set(value, entry)
  }
  return entry.key === key ? Result.succeed(entry) : refuse("foreignKey")
}

/** A part that its reader may change. */
export const thaw = (part: ProviderPart): ProviderPart => thawed(part)

const thawed = <A>(value: A): A => {
  if (typeof value !== "object" || value === null) return value
  // A copy of an array is an array.
  if (Array.isArray(value)) return value.map(thawed) as A
  const copied: Record<string, unknown> = {}
  for (const name in value) set(copied, name, thawed(value[name]))
  // It has what the other has.
  return copied as A
}

const refuse = (reason: CacheValueError["reason"]) => Result.fail(new CacheValueError({ reason }))

const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

const isCommon = Schema.is(
  Schema.Struct({
    v: Schema.Literal(version),
    key: Schema.String,
    storedAt: Schema.Finite,
    freshFor: Millis,
    staleFor: Millis,
    staleIfErrorFor: Millis,
    computeMillis: Millis
  })
)

const isStreamPart = Schema.is(Schema.toEncoded(Response.StreamPart()))

const isAnswer = Schema.is(
  Schema.Struct({
    provider: Schema.String,
    model: Schema.String,
    finishReason: Schema.optionalKey(Schema.String),
    usage: Schema.optionalKey(Usage),
    cost: Schema.optionalKey(Money.MicroUsd),
    parts: Schema.Array(Schema.Unknown)
  })
)

const ErrorJson = Schema.toCodecJson(LlmErrorSchema)
const encodeError = Schema.encodeResult(ErrorJson)
const decodeError = Schema.decodeUnknownResult(ErrorJson)

const entryOf = (value: Common & Value): Entry | undefined => {
  const { computeMillis, freshFor, key, staleFor, staleIfErrorFor, storedAt } = value
  const common = { key, storedAt, freshFor, staleFor, staleIfErrorFor, computeMillis }
  if ("failure" in value) {
    const error = decodeError(value["failure"])
    const stack = value["stack"]
    return Result.isSuccess(error) && (stack === undefined || typeof stack === "string")
      ? Object.freeze({
        _tag: "Failure",
        ...common,
        error: error.success,
        ...(stack === undefined ? undefined : { stack })
      })
      : undefined
  }
  const answer: unknown = value
  if (!isAnswer(answer)) return
  const { cost, finishReason, model, parts, provider, usage } = answer
  return parts.every(isProviderPart)
    ? Object.freeze({ _tag: "Answer", ...common, provider, model, finishReason, usage, cost, parts })
    : undefined
}

// Texts are nearly all there is, and are checked by hand: it takes a tenth of the time.
const isProviderPart = (part: unknown): part is ProviderPart => {
  if (typeof part !== "object" || part === null || !("type" in part)) return false
  if (part.type === "error") return false
  if (part.type === "text-delta" && "id" in part && "delta" in part && !("metadata" in part)) {
    return typeof part.id === "string" && typeof part.delta === "string"
  }
  return isStreamPart(part)
}

/** Deeper than any answer is, and not so deep that a stack overflows. */
const maxDepth = 200

/** A frozen copy as JSON would make it, without what is `undefined`; or `undefined` where JSON would lose or change more than that. */
const copy = (value: unknown, depth: number): Schema.Json | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      // JSON has no other zero than 0.
      return Number.isFinite(value) ? value + 0 : undefined
    case "object":
      return value === null ? null : depth < maxDepth ? copyObject(value, depth + 1) : undefined
  }
}

const copyObject = (value: object, depth: number): Schema.Json | undefined => {
  if (Array.isArray(value)) {
    const items: Array<Schema.Json> = []
    // By index, since a hole is no JSON either.
    for (let n = 0; n < value.length; n++) {
      const item = copy(value[n], depth)
      if (item === undefined) return
      items.push(item)
    }
    return Object.freeze(items)
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return
  const copied: Record<string, Schema.Json> = {}
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue
    const one = copy(member, depth)
    if (one === undefined) return
    set(copied, name, one)
  }
  return Object.freeze(copied)
}

/** As an own member, whatever its name. */
const set = (object: Record<string, unknown>, name: string, value: unknown): void => {
  if (name === "__proto__") {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  } else object[name] = value
}
