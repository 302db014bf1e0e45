/**
 * Anthropic's Messages, in the field order of the real API.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { Answer } from "./answer.ts"
import { parseJson } from "./checked.ts"
import {
  bearerOf,
  type Dialect,
  type Draft,
  headerOf,
  ordinalId,
  type Said,
  sse,
  typed,
  type Writing
} from "./dialect.ts"
import { messagesRefusal } from "./messagesRefusal.ts"
import { parseMessagesRequest } from "./messagesRequest.ts"

/** The word for why an answer ends; what is none of ours is sent as it is. */
const stopReason = (finish: string | null, { stopSequence }: Answer): string | null => {
  switch (finish) {
    case "stop":
      return stopSequence === undefined ? "end_turn" : "stop_sequence"
    case "length":
      return "max_tokens"
    case "tool_calls":
      return "tool_use"
    case "content_filter":
      return "refusal"
    default:
      return finish
  }
}

const endOf = (finish: string | null, answer: Answer) => {
  const stop_reason = stopReason(finish, answer)
  return {
    stop_reason,
    stop_sequence: stop_reason === "stop_sequence" ? answer.stopSequence ?? null : null,
    stop_details: stop_reason === "refusal" ? { type: "refusal", category: null, explanation: null } : null
  }
}

const inputUsage = ({ promptTokens }: Answer) => ({
  input_tokens: promptTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0
})

const usageOf = (answer: Answer, output: number) => ({
  ...inputUsage(answer),
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: output,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: "standard",
  inference_geo: "not_available"
})

const messageOf = (
  { answer, envelope }: Draft,
  content: ReadonlyArray<object>,
  finish: string | null,
  output: number
) => ({
  model: envelope.model,
  id: ordinalId("msg_", 24, envelope.ordinal),
  type: "message",
  role: "assistant",
  content,
  ...endOf(finish, answer),
  usage: usageOf(answer, output)
})

/** Parameters of a call that the limit has cut are left out, for they are no JSON. */
const toolUse = ({ answer, envelope }: Draft, input: string) => ({
  type: "tool_use",
  id: ordinalId("toolu_", 24, envelope.ordinal),
  name: answer.tool,
  input: Option.getOrElse(parseJson(input), () => ({})),
  caller: { type: "direct" }
})

const errorBody = ({ code, message, type }: Said, ordinal: number) => ({
  type: "error",
  error: { type, message, ...(code === null ? undefined : { details: { error_code: code } }) },
  request_id: ordinalId("req_", 24, ordinal)
})

const write = (draft: Draft): Writing => {
  const { answer, envelope } = draft
  const count = answer.tokens.length
  const isCall = answer.tool !== undefined
  // An answer without a word has no block
  const hasBlock = isCall || count > 0
  const content = (input: string) =>
    isCall ? [toolUse(draft, input)] : hasBlock ? [{ type: "text", text: input, citations: null }] : []
  const delta = (words: string) =>
    typed({
      type: "content_block_delta",
      index: 0,
      delta: isCall ? { type: "input_json_delta", partial_json: words } : { type: "text_delta", text: words }
    })
  return {
    whole: (finish) => messageOf(draft, content(answer.tokens.join("")), finish, count),
    wholeError: (said) => errorBody(said, envelope.ordinal),
    contentType: "text/event-stream; charset=utf-8",
    frame: sse,
    trailer: () => "",
    opening: [
      typed({ type: "message_start", message: messageOf(draft, [], null, Math.min(1, count)) }),
      ...content("").map((content_block) => typed({ type: "content_block_start", index: 0, content_block })),
      typed({ type: "ping" }),
      ...(isCall ? [delta("")] : [])
    ],
    pieces: count,
    piece: (index) => delta(answer.tokens[index] ?? ""),
    ending: (finish) => ({
      closing: hasBlock ? [typed({ type: "content_block_stop", index: 0 })] : [],
      finish: typed({
        type: "message_delta",
        delta: endOf(finish, answer),
        usage: { ...inputUsage(answer), output_tokens: count }
      }),
      usage: [],
      done: typed({ type: "message_stop" })
    }),
    failing: (said) => [typed(errorBody(said, envelope.ordinal))]
  }
}

const formatTime = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis)).replace(/\.\d+Z$/, "Z")

export const messages: Dialect = {
  name: "anthropic-messages",
  jsonType: "application/json",
  answersAt: (path) => path.endsWith("/messages"),
  speaks: (target) => headerOf(target, "anthropic-version") !== undefined,
  keyOf: (target) => headerOf(target, "x-api-key") ?? bearerOf(target),
  read: parseMessagesRequest,
  headers: (ordinal) => ({
    "request-id": ordinalId("req_", 24, ordinal),
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000000"
  }),
  limits: (promptTokens, now) => {
    const buckets = {
      requests: [4000, 1],
      tokens: [2_400_000, promptTokens],
      "input-tokens": [2_000_000, promptTokens],
      "output-tokens": [400_000, 0]
    } as const
    return Object.fromEntries(
      Object.entries(buckets).flatMap(([name, [limit, used]]) => [
        [`anthropic-ratelimit-${name}-limit`, String(limit)],
        [`anthropic-ratelimit-${name}-remaining`, String(Math.max(0, limit - used))],
        [`anthropic-ratelimit-${name}-reset`, formatTime(now)]
      ])
    )
  },
  refusal: (why, now) => messagesRefusal(why, (millis) => formatTime(now + millis)),
  errorBody,
  write,
  models: (names) => ({
    data: names.map((id) => ({ type: "model", id, display_name: id, created_at: "2025-01-01T00:00:00Z" })),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null
  }),
  blocksPrompts: false
}
