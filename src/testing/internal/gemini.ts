/**
 * Google's Gemini API, in the field order of the real API.
 */
import * as Option from "effect/Option"
import type { Answer } from "./answer.ts"
import { parseJson } from "./checked.ts"
import { bearerOf, type Dialect, type Draft, type Event, headerOf, ordinalId, type Writing } from "./dialect.ts"
import { geminiErrorBody, geminiRefusal } from "./geminiRefusal.ts"
import { methodOf, parseGeminiRequest } from "./geminiRequest.ts"

/** The word for why an answer ends; what is none of ours is sent as it is. A call is an end like any other. */
const finishReason = (finish: string): string => {
  switch (finish) {
    case "stop":
    case "tool_calls":
      return "STOP"
    case "length":
      return "MAX_TOKENS"
    case "content_filter":
      return "SAFETY"
    default:
      return finish
  }
}

const endOf = (finish: string | null) => {
  if (finish === null) return {}
  const reason = finishReason(finish)
  return {
    finishReason: reason,
    ...(reason === "SAFETY"
      ? { safetyRatings: [{ category: "HARM_CATEGORY_DANGEROUS_CONTENT", probability: "HIGH", blocked: true }] }
      : undefined)
  }
}

const usageOf = ({ promptTokens }: Answer, output: number) => ({
  promptTokenCount: promptTokens,
  ...(output === 0 ? undefined : { candidatesTokenCount: output }),
  totalTokenCount: promptTokens + output,
  promptTokensDetails: [{ modality: "TEXT", tokenCount: promptTokens }]
})

/** A call that the limit has cut is not sent, for its arguments are no JSON. */
const callOf = ({ answer, envelope }: Draft): ReadonlyArray<object> =>
  Option.match(parseJson(answer.tokens.join("")), {
    onNone: () => [],
    onSome: (args) => [{
      functionCall: { name: answer.tool, args, id: ordinalId("call_", 12, envelope.ordinal) }
    }]
  })

const write = (draft: Draft): Writing => {
  const { answer, envelope, target } = draft
  const { tool, tokens } = answer
  const response = (candidate: object | undefined, output: number) => ({
    ...(candidate === undefined
      ? { promptFeedback: { blockReason: "SAFETY" } }
      : { candidates: [candidate] }),
    usageMetadata: usageOf(answer, output),
    modelVersion: envelope.model,
    responseId: ordinalId("", 23, envelope.ordinal)
  })
  const candidate = (parts: ReadonlyArray<object>, finish: string | null) => ({
    content: { ...(parts.length === 0 ? undefined : { parts }), role: "model" },
    ...endOf(finish),
    index: 0
  })
  const whole = (finish: string | null) => {
    if (answer.blocked) return response(undefined, 0)
    const parts = tool === undefined ? [{ text: tokens.join("") }] : callOf(draft)
    return response(candidate(parts, finish), tokens.length)
  }
  const event = (value: object): Event => ({ data: JSON.stringify(value) })
  const streamed = target.query.get("alt") === "sse"
  let framed = 0
  return {
    whole,
    wholeError: geminiErrorBody,
    contentType: streamed ? "text/event-stream" : jsonType,
    // Without `alt=sse` the stream is one array, whose elements come one after the other
    frame: ({ data }) => streamed ? `data: ${data}\r\n\r\n` : `${framed++ === 0 ? "[" : ",\r\n"}${data}`,
    trailer: () => streamed ? "" : framed === 0 ? "[]" : "\r\n]",
    opening: [],
    // A call comes in one piece
    pieces: tool === undefined ? tokens.length : callOf(draft).length,
    piece: (index) =>
      event(
        tool === undefined
          ? response(candidate([{ text: tokens[index] }], null), index + 1)
          : response(candidate(callOf(draft), null), tokens.length)
      ),
    ending: (finish) => ({
      closing: [],
      finish: event(
        answer.blocked ? response(undefined, 0) : response(candidate([{ text: "" }], finish), tokens.length)
      ),
      usage: [],
      done: undefined
    }),
    failing: (said) => [event(geminiErrorBody(said))]
  }
}

const jsonType = "application/json; charset=UTF-8"

export const gemini: Dialect = {
  name: "gemini",
  jsonType,
  answersAt: (path) => methodOf(path) !== undefined,
  speaks: (target) =>
    /\/v1(?:alpha|beta)\//.test(target.path) || headerOf(target, "x-goog-api-key") !== undefined ||
    headerOf(target, "x-goog-api-client") !== undefined,
  keyOf: (target) => headerOf(target, "x-goog-api-key") ?? target.query.get("key") ?? bearerOf(target),
  read: parseGeminiRequest,
  headers: (_, elapsed) => ({
    vary: "Origin, X-Origin, Referer",
    "x-content-type-options": "nosniff",
    "server-timing": `gfet4t7; dur=${elapsed}`
  }),
  // It tells no limits before they are reached
  limits: () => ({}),
  refusal: geminiRefusal,
  errorBody: geminiErrorBody,
  write,
  models: (names) => ({
    models: names.map((name) => ({
      name: `models/${name}`,
      version: "001",
      displayName: name,
      inputTokenLimit: 1_048_576,
      outputTokenLimit: 65_536,
      supportedGenerationMethods: ["generateContent"]
    }))
  }),
  blocksPrompts: true
}
