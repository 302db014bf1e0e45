/**
 * OpenAI's Chat Completions, in the field order of the real API.
 */
import type { Answer } from "./answer.ts"
import { parseRequest } from "./chatRequest.ts"
import { fieldsOf } from "./checked.ts"
import { type Dialect, type Draft, type Envelope, type Event, ordinalId, sse, type Writing } from "./dialect.ts"
import { openAi } from "./openAi.ts"

const fingerprint = "fp_5f20662549"

const usageOf = (answer: Answer) => ({
  prompt_tokens: answer.promptTokens,
  completion_tokens: answer.tokens.length,
  total_tokens: answer.promptTokens + answer.tokens.length,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0
  }
})

const call = (envelope: Envelope, name: string, args: string) => ({
  id: ordinalId("call_", 24, envelope.ordinal),
  type: "function",
  function: { name, arguments: args }
})

const completion = ({ answer, envelope }: Draft, finishReason: string | null) => {
  const text = answer.tokens.join("")
  return {
    id: ordinalId("chatcmpl-", 29, envelope.ordinal),
    object: "chat.completion",
    created: envelope.created,
    model: envelope.model,
    choices: [{
      index: 0,
      message: answer.tool === undefined
        ? { role: "assistant", content: text, refusal: null, annotations: [] }
        : {
          role: "assistant",
          content: null,
          tool_calls: [call(envelope, answer.tool, text)],
          refusal: null,
          annotations: []
        },
      logprobs: null,
      finish_reason: finishReason
    }],
    usage: usageOf(answer),
    service_tier: "default",
    system_fingerprint: fingerprint
  }
}

const write = (draft: Draft): Writing => {
  const { answer, body, envelope } = draft
  const includeUsage = fieldsOf(fieldsOf(body).stream_options).include_usage === true
  const chunk = (choices: ReadonlyArray<object>, usage: object | null = null): Event => ({
    data: JSON.stringify({
      id: ordinalId("chatcmpl-", 29, envelope.ordinal),
      object: "chat.completion.chunk",
      created: envelope.created,
      model: envelope.model,
      service_tier: "default",
      system_fingerprint: fingerprint,
      choices,
      // The real API adds the field to every chunk once usage is asked for
      ...(includeUsage ? { usage } : undefined)
    })
  })
  const choice = (delta: object, finishReason: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finishReason }])
  return {
    whole: (finish) => completion(draft, finish),
    wholeError: (said) => openAi.errorBody(said),
    contentType: "text/event-stream; charset=utf-8",
    frame: sse,
    trailer: () => "",
    opening: [
      answer.tool === undefined
        ? choice({ role: "assistant", content: "", refusal: null })
        : choice({
          role: "assistant",
          content: null,
          tool_calls: [{ index: 0, ...call(envelope, answer.tool, "") }],
          refusal: null
        })
    ],
    pieces: answer.tokens.length,
    piece: (index) => {
      const text = answer.tokens[index]
      return answer.tool === undefined
        ? choice({ content: text })
        : choice({ tool_calls: [{ index: 0, function: { arguments: text } }] })
    },
    ending: (finish) => ({
      closing: [],
      finish: choice({}, finish),
      usage: includeUsage ? [chunk([], usageOf(answer))] : [],
      done: { data: "[DONE]" }
    }),
    failing: (said) => [{ data: JSON.stringify(openAi.errorBody(said)) }]
  }
}

export const chat: Dialect = {
  ...openAi,
  name: "openai-chat",
  answersAt: (path) => path.endsWith("/chat/completions"),
  read: parseRequest,
  write
}
