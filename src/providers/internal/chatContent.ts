/**
 * What stands in a message of a Chat Completions answer, whole or as a delta: text, reasoning, refusal, tool calls.
 */
import type * as Schema from "effect/Schema"
import { type Fields, fields, items, json, text } from "./read.ts"

/** Takes the pieces of a message in their order. */
export interface Sink {
  readonly text: (text: string) => void
  readonly reasoning: (text: string) => void
  readonly refusal: (text: string) => void
  /** Takes the name of what is not read. */
  readonly ignored: (name: string) => void
}

const known: ReadonlySet<string> = new Set([
  "role",
  "content",
  "refusal",
  "reasoning",
  "reasoning_content",
  "reasoning_details",
  "tool_calls",
  "function_call"
])

const isEmpty = (value: unknown): boolean =>
  value === null || value === undefined || value === "" || Array.isArray(value) && value.length === 0

/** Hands over the pieces of a message. Reasoning comes first: that is how models think. */
export const readContent = (message: Fields, sink: Sink): void => {
  const reasoning = text(message["reasoning_content"]) ?? text(message["reasoning"])
  if (reasoning !== undefined) sink.reasoning(reasoning)
  else if (Array.isArray(message["reasoning_details"])) {
    for (const detail of message["reasoning_details"]) {
      const thought = text(fields(detail)["text"]) ?? text(fields(detail)["summary"])
      if (thought !== undefined) sink.reasoning(thought)
    }
  }
  const { content, refusal } = message
  if (typeof content === "string") {
    if (content !== "") sink.text(content)
  } else if (Array.isArray(content)) {
    for (const part of content) readPart(fields(part), sink)
  }
  if (typeof refusal === "string" && refusal !== "") sink.refusal(refusal)
  for (const field in message) if (!known.has(field) && !isEmpty(message[field])) sink.ignored(field)
}

/** Mistral sends lists of typed parts where its models think aloud. */
const readPart = (part: Fields, sink: Sink): void => {
  switch (part["type"]) {
    case "text":
    case "output_text": {
      const words = text(part["text"])
      if (words !== undefined) sink.text(words)
      return
    }
    case "thinking": {
      const { thinking } = part
      const thought = typeof thinking === "string"
        ? thinking
        : items(thinking).map((piece) => text(fields(piece)["text"]) ?? "").join("")
      if (thought !== "") sink.reasoning(thought)
      return
    }
    case "refusal": {
      const words = text(part["refusal"])
      if (words !== undefined) sink.refusal(words)
      return
    }
    default:
      sink.ignored(text(part["type"]) ?? "unknown")
  }
}

/** One tool call, or a piece of one. */
export interface CallPiece {
  readonly index: number | undefined
  readonly id: string | undefined
  readonly name: string | undefined
  readonly params: string
  /** The parameters are free text and not JSON. */
  readonly custom: boolean
}

/** The tool calls of a message, and the single function call of the protocol's first generation. */
export const readCalls = (message: Fields): ReadonlyArray<CallPiece> => {
  const { function_call: legacy, tool_calls: calls } = message
  if (Array.isArray(calls)) return calls.map((call) => readCall(fields(call)))
  if (typeof legacy === "object" && legacy !== null) return [readCall({ index: 0, function: legacy })]
  return noCalls
}

const noCalls: ReadonlyArray<CallPiece> = []

const readCall = (call: Fields): CallPiece => {
  const custom = fields(call["custom"])
  const isCustom = call["type"] === "custom" || "input" in custom
  const body = isCustom ? custom : fields(call["function"])
  const params = isCustom ? body["input"] : body["arguments"]
  const { index } = call
  return {
    index: typeof index === "number" ? index : undefined,
    id: text(call["id"]),
    name: text(body["name"]),
    // Some servers send the parameters as the object itself.
    params: typeof params === "string" ? params : params === undefined || params === null ? "" : JSON.stringify(params),
    custom: isCustom
  }
}

/** The parameters of a finished tool call, or `undefined` where they are not the JSON they should be. */
export const finishedParams = (params: string, custom: boolean): Schema.Json | undefined => {
  if (custom) return params
  const trimmed = params.trim()
  return trimmed === "" ? {} : json(trimmed) as Schema.Json | undefined
}
