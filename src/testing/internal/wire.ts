/**
 * The objects of the Chat Completions wire format, in the field order of the real API.
 */
import type { Answer } from "./answer.ts"
import type { ErrorBody } from "./request.ts"

export type { ErrorBody }

/** What every object of one answer repeats. */
export interface Envelope {
  /** The number of the request, from which every id is made. */
  readonly ordinal: number
  /** Seconds since 1970. */
  readonly created: number
  readonly model: string
}

const fingerprint = "fp_5f20662549"

const ordinalId = (prefix: string, length: number, ordinal: number) =>
  `${prefix}${String(ordinal).padStart(length, "0")}`

export const requestId = (ordinal: number): string => ordinalId("req_", 32, ordinal)

export const usage = (answer: Answer) => ({
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

export const completion = (envelope: Envelope, answer: Answer, finishReason: string | null) => {
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
    usage: usage(answer),
    service_tier: "default",
    system_fingerprint: fingerprint
  }
}

/**
 * The chunks of one streamed answer.
 */
export const chunks = (envelope: Envelope, answer: Answer, includeUsage: boolean) => {
  const chunk = (choices: ReadonlyArray<object>, total: object | null = null) => ({
    id: ordinalId("chatcmpl-", 29, envelope.ordinal),
    object: "chat.completion.chunk",
    created: envelope.created,
    model: envelope.model,
    service_tier: "default",
    system_fingerprint: fingerprint,
    choices,
    // The real API adds the field to every chunk once usage is asked for
    ...(includeUsage ? { usage: total } : {})
  })
  const choice = (delta: object, finishReason: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finishReason }])
  return {
    first: answer.tool === undefined
      ? choice({ role: "assistant", content: "", refusal: null })
      : choice({
        role: "assistant",
        content: null,
        tool_calls: [{ index: 0, ...call(envelope, answer.tool, "") }],
        refusal: null
      }),
    token: (text: string) =>
      answer.tool === undefined
        ? choice({ content: text })
        : choice({ tool_calls: [{ index: 0, function: { arguments: text } }] }),
    finish: (reason: string) => choice({}, reason),
    usage: () => chunk([], usage(answer))
  }
}

export const models = (names: ReadonlyArray<string>) => ({
  object: "list",
  data: names.map((id) => ({ id, object: "model", created: 1_735_689_600, owned_by: "bulwark" }))
})

export const event = (data: string): string => `data: ${data}\n\n`

/**
 * The same text with the first colon missing: no parser takes it for JSON.
 */
export const broken = (json: string): string => json.replace(":", "")

/**
 * The headers by which the real API tells its limits; the numbers follow from the request alone.
 */
export const limits = (promptTokens: number): Record<string, string> => ({
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": "9999",
  "x-ratelimit-remaining-tokens": String(Math.max(0, 2_000_000 - promptTokens)),
  "x-ratelimit-reset-requests": "6ms",
  "x-ratelimit-reset-tokens": `${Math.ceil(promptTokens * 0.03)}ms`
})

const defaults = (status: number): Omit<ErrorBody, "param"> => {
  switch (status) {
    case 401:
      return { message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" }
    case 403:
      return { message: "You are not allowed to do this.", type: "invalid_request_error", code: null }
    case 404:
      return { message: "The model does not exist.", type: "invalid_request_error", code: "model_not_found" }
    case 429:
      return { message: "Rate limit reached for requests.", type: "requests", code: "rate_limit_exceeded" }
    case 503:
      return {
        message: "The server is currently overloaded. Please try again later.",
        type: "service_unavailable_error",
        code: "server_is_overloaded"
      }
    default:
      return status >= 500 || status < 400
        ? {
          message: "The server had an error while processing your request. Sorry about that!",
          type: "server_error",
          code: null
        }
        : { message: "The request was not valid.", type: "invalid_request_error", code: null }
  }
}

/**
 * An error in the official format; what is not given is what the real API sends with that status.
 */
export const errorBody = (status: number, error: Partial<ErrorBody> = {}): { readonly error: ErrorBody } => {
  const standard = defaults(status)
  return {
    error: {
      message: error.message ?? standard.message,
      type: error.type ?? standard.type,
      param: error.param ?? null,
      code: error.code === undefined ? standard.code : error.code
    }
  }
}
