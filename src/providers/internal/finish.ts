/**
 * What the answers of all protocols say of themselves: how they ended, and which model gave them.
 */
import type * as Response from "effect/ai/Response"
import { identifiers } from "./classify.ts"
import { compact, count, type Fields, fields, type Names, text } from "./read.ts"

/** The finish reason a server's word stands for. */
export const finishReason = (raw: string): Response.FinishReason => {
  switch (raw) {
    case "stop":
    case "eos":
    case "end_turn":
    case "stop_sequence":
    case "completed":
    case "STOP":
      return "stop"
    case "length":
    case "max_tokens":
    case "max_output_tokens":
    case "model_length":
    case "model_context_window_exceeded":
    case "MAX_TOKENS":
      return "length"
    case "tool_calls":
    case "function_call":
    case "tool_use":
      return "tool-calls"
    case "content_filter":
    case "refusal":
    case "SAFETY":
    case "RECITATION":
    case "BLOCKLIST":
    case "PROHIBITED_CONTENT":
    case "SPII":
    case "IMAGE_SAFETY":
    case "IMAGE_PROHIBITED_CONTENT":
    case "IMAGE_RECITATION":
    case "MODEL_ARMOR":
      return "content-filter"
    case "pause_turn":
      return "pause"
    case "error":
    case "failed":
    case "insufficient_system_resource":
    case "MALFORMED_FUNCTION_CALL":
    case "UNEXPECTED_TOOL_CALL":
    case "TOO_MANY_TOOL_CALLS":
    case "MALFORMED_RESPONSE":
    case "MISSING_THOUGHT_SIGNATURE":
      return "error"
    case "":
      return "unknown"
    default:
      return "other"
  }
}

/** The `response-metadata` part of an answer, where it says anything about itself. */
export const metadataPart = (names: Names, body: Fields): Response.ResponseMetadataPartEncoded | undefined => {
  const id = text(names.scrub(text(body["id"]) ?? ""))
  const modelId = names.model(body["model"])
  if (id === undefined && modelId === undefined) return undefined
  return { type: "response-metadata", ...compact({ id, modelId, timestamp: timestamp(body["created"]) }) }
}

/** The names of what was left out of an answer, for its metadata; `undefined` where nothing was. */
export const namesOf = (names: Names, ignored: ReadonlySet<string>): Array<string> | undefined =>
  ignored.size === 0 ? undefined : identifiers(names, ignored)

const latestDate = 8.64e12

const timestamp = (created: unknown): string | undefined => {
  const seconds = count(created)
  return seconds === undefined || seconds === 0 || seconds > latestDate
    ? undefined
    : new Date(seconds * 1000).toISOString()
}

/**
 * Adds what an event says of the usage to what is known. Counts are cumulative, so the later one counts, but an event need not
 * repeat them all.
 */
export const mergeUsage = (self: Fields | undefined, that: unknown): Fields | undefined => {
  const said = fields(that)
  const values = Object.values(said)
  if (values.length === 0) return self
  // Mostly with every event of a stream.
  if (!values.some(isAbsent)) return { ...self, ...said }
  const known = Object.entries(said).filter(([, value]) => !isAbsent(value))
  return known.length === 0 ? self : { ...self, ...Object.fromEntries(known) }
}

const isAbsent = (value: unknown): boolean => value === null || value === undefined
