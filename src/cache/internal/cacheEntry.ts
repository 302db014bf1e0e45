/**
 * What a cache keeps of a call: its answer, or the failure that stands for it. As JSON it has a version, and it is checked when it is
 * read: what another version has written, or what was changed, is no entry.
 */
import * as Response from "effect/ai/Response"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { LlmError } from "../../core/LlmError.ts"
import * as Money from "../../core/Money.ts"
import type { ProviderPart } from "../../core/Part.ts"
import { Usage } from "../../core/Usage.ts"
import type { Value } from "../CacheStore.ts"

interface Common {
  /** When it was there, in milliseconds since 1970. */
  readonly storedAt: number
}

export interface AnswerEntry extends Common {
  readonly _tag: "Answer"
  /** How long it took to get, in milliseconds. */
  readonly computeMillis: number
  readonly provider: string
  readonly model: string
  readonly finishReason: string
  readonly usage: Usage | undefined
  readonly cost: Money.MicroUsd | undefined
  readonly parts: ReadonlyArray<ProviderPart>
}

export interface FailureEntry extends Common {
  readonly _tag: "Failure"
  readonly error: LlmError
  /** Of which stack: another one may not be able to fail like this. */
  readonly stack: string
}

export type Entry = AnswerEntry | FailureEntry

const version = 1

const Head = { version: Schema.Literal(version), storedAt: Schema.Finite }

const Stored = Schema.Union([
  Schema.Struct({
    ...Head,
    type: Schema.Literal("answer"),
    computeMillis: Schema.Finite,
    provider: Schema.String,
    model: Schema.String,
    finishReason: Schema.String,
    usage: Schema.optionalKey(Usage),
    cost: Schema.optionalKey(Money.MicroUsd),
    // Checked one by one, which is quicker for those that make up nearly all of an answer.
    parts: Schema.Array(Schema.Unknown)
  }),
  Schema.Struct({
    ...Head,
    type: Schema.Literal("failure"),
    error: Schema.toCodecJson(LlmError),
    stack: Schema.String
  })
])

const decodeStored = Schema.decodeUnknownExit(Stored)
const encodeError = Schema.encodeSync(Schema.toCodecJson(LlmError))
const decodePart = Schema.decodeUnknownExit(Response.StreamPart())

/** An entry as JSON, and how long its text is. */
export const encodeEntry = (entry: Entry): { readonly value: Value; readonly length: number } => {
  const { storedAt } = entry
  const text = JSON.stringify(
    entry._tag === "Failure"
      ? { version, type: "failure", storedAt, error: encodeError(entry.error), stack: entry.stack }
      : {
        version,
        type: "answer",
        storedAt,
        computeMillis: entry.computeMillis,
        provider: entry.provider,
        model: entry.model,
        finishReason: entry.finishReason,
        usage: entry.usage,
        cost: entry.cost,
        parts: entry.parts
      }
  )
  // Read back, so that what is replayed is the same from every home, and nobody holds on to a part of it.
  return { value: JSON.parse(text) as Value, length: text.length }
}

// A store in memory hands out the same object again and again, and values never change.
const decoded = new WeakMap<Value, Entry>()

/** Reads an entry; nothing where it is none. */
export const decodeEntry = (value: Value): Entry | undefined => {
  const known = decoded.get(value)
  if (known !== undefined) return known
  const entry = read(value)
  if (entry !== undefined) decoded.set(value, entry)
  return entry
}

const read = (value: Value): Entry | undefined => {
  const exit = decodeStored(value)
  if (!Exit.isSuccess(exit)) return undefined
  const stored = exit.value
  const { storedAt } = stored
  if (stored.type === "failure") return { _tag: "Failure", storedAt, error: stored.error, stack: stored.stack }
  const { parts } = stored
  if (!areParts(parts)) return undefined
  return {
    _tag: "Answer",
    storedAt,
    computeMillis: stored.computeMillis,
    provider: stored.provider,
    model: stored.model,
    finishReason: stored.finishReason,
    usage: stored.usage,
    cost: stored.cost,
    parts
  }
}

/** Whether these are parts of an answer that is whole: its end is there, and nothing after it. */
const areParts = (parts: ReadonlyArray<unknown>): parts is ReadonlyArray<ProviderPart> =>
  parts.every(isPart) && parts.findIndex((part) => part.type === "finish") === parts.length - 1 && parts.length > 0

const isPart = (part: unknown): part is ProviderPart => {
  if (typeof part !== "object" || part === null || !("type" in part)) return false
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return "delta" in part && typeof part.delta === "string" && "id" in part && typeof part.id === "string" &&
        (!("metadata" in part) || (typeof part.metadata === "object" && part.metadata !== null))
    case "error":
      return false
    default:
      return Exit.isSuccess(decodePart(part))
  }
}
