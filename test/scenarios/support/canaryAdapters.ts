/**
 * The adapters, and what the servers of their protocols can answer.
 */
import { AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses, type Provider } from "effect-bulwark/providers"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Google from "../../providers/support/geminiWire.ts"
import * as Messages from "../../providers/support/messagesWire.ts"
import * as Responses from "../../providers/support/responsesWire.ts"
import * as Chat from "../../providers/support/wire.ts"
import { content, echo, error, type Options, type Plant, secrets } from "./canary.ts"

export interface Adapter {
  readonly layer: <Self>(
    provider: Provider.Key<Self>,
    options: Options
  ) => Layer.Layer<Self, never, HttpClient.HttpClient>
  readonly isStreamed: (url: string, body: string) => boolean
  /** What the protocol's servers can answer, beside what all can. */
  readonly plants: { readonly [name: string]: Plant }
}

const inBody = (_: string, body: string): boolean => body.includes("\"stream\":true")

const call = { name: "Weather", params: { city: content.params } }

const unfit = { town: content.params }

const chatChunk = (delta: object, rest: object = {}): string =>
  Chat.event(Chat.chunk(delta, rest, { id: secrets.key, model: secrets.key, system_fingerprint: secrets.key }))

const chatCall = (name: string, params: unknown) => ({
  tool_calls: [{ index: 0, id: "c1", type: "function", function: { name, arguments: JSON.stringify(params) } }]
})

const chat = (message: object, rest: object = {}): Plant => ({
  whole: Chat.answer(message, rest, {
    id: secrets.key,
    model: echo,
    usage: { prompt_tokens: echo, [secrets.key]: echo },
    [secrets.key]: echo
  }),
  stream: chatChunk(message) + chatChunk({}, { finish_reason: "stop", ...rest }) +
    Chat.event({ choices: [], usage: { completion_tokens: echo, [secrets.key]: echo } }) + Chat.done
})

const openAiChat: Adapter = {
  layer: (provider, options) => OpenAiChat.layer(provider, options),
  isStreamed: inBody,
  plants: {
    "a good answer": chat({ content: content.text, reasoning_content: content.reasoning, [secrets.key]: echo }),
    "a good answer, cut at its limit": chat({ content: content.text }, { finish_reason: "length" }),
    "a call of a tool": chat(chatCall(call.name, call.params), { finish_reason: "tool_calls" }),
    "a call that does not fit": chat(chatCall(call.name, unfit), { finish_reason: "tool_calls" }),
    "a call of nothing": chat(chatCall(content.params, call.params), { finish_reason: "tool_calls" }),
    "a call that is no JSON": chat({ tool_calls: [{ index: 0, function: { name: "Weather", arguments: echo } }] }, {
      finish_reason: "tool_calls"
    }),
    "a refusal": chat({ refusal: content.refusal }),
    "a filtered answer": chat({ content: content.text }, {
      finish_reason: "content_filter",
      content_filter_results: { [secrets.key]: { filtered: true }, [content.text]: { filtered: true } }
    }),
    "an end that nobody knows": chat({ content: content.text }, { finish_reason: secrets.key }),
    "an end that is an error": chat({ content: content.text }, { finish_reason: "error", native_finish_reason: echo }),
    "an error before the first word": { ...both(JSON.stringify({ error })), stream: Chat.event({ error }) },
    "an error after the first word": {
      ...both(JSON.stringify({ error })),
      stream: chatChunk({ content: content.text }) + Chat.event({ error })
    },
    "an error after the end": {
      ...chat({ content: content.text }),
      stream: chatChunk({ content: content.text }, { finish_reason: "stop" }) + Chat.event({ error }) + Chat.done
    },
    "an answer that breaks off": {
      whole: Chat.answer({ content: content.text }).slice(0, -20),
      stream: chatChunk({ content: content.text }),
      breaks: true
    },
    "an answer that just ends": {
      whole: "{",
      stream: chatChunk({ reasoning_content: content.reasoning, ...chatCall(call.name, call.params) })
    },
    "things that nobody knows": {
      ...chat({ content: [{ type: secrets.key }, { type: "text", text: content.text }, { type: echo }] }),
      stream: Chat.event({ type: secrets.key }) + Chat.event({ object: echo }) +
        chatChunk({ content: content.text, [secrets.key]: echo }) + Chat.finishChunk() + Chat.done
    }
  }
}

function both(body: string): Plant {
  return { whole: body, stream: body }
}

const planted = {
  id: secrets.key,
  model: secrets.key,
  usage: { input_tokens: echo, [secrets.key]: echo },
  [secrets.key]: echo
}

const responses = (output: ReadonlyArray<object>, rest: object = {}): Plant => {
  const { incomplete_details: details, status } = { status: "completed", incomplete_details: undefined, ...rest }
  const whole = Responses.response(output, { ...planted, ...rest })
  return {
    whole: JSON.stringify(whole),
    stream: Responses.created(planted) +
      output.map((item, index) => Responses.added(index, item) + Responses.done(index, item)).join("") +
      Responses.event({ type: `response.${details === undefined ? status : "incomplete"}`, response: whole })
  }
}

const responsesCall = (name: string, params: unknown): Plant =>
  responses([Responses.call(name, JSON.stringify(params), { id: secrets.key })])

const responsesText = Responses.message(content.text, { id: secrets.key }, {
  annotations: [{ type: "url_citation", url: echo, title: echo, start_index: 0, end_index: 1 }, { type: secrets.key }]
})

const openAiResponses: Adapter = {
  layer: (provider, options) => OpenAiResponses.layer(provider, options),
  isStreamed: inBody,
  plants: {
    "a good answer": responses([
      Responses.reasoning([content.reasoning], { id: secrets.key, encrypted_content: echo }),
      responsesText
    ]),
    "a good answer, in pieces": {
      ...responses([responsesText]),
      stream: Responses.created(planted) + Responses.textItem(0, content.text) +
        Responses.completed([responsesText], planted)
    },
    "a good answer, cut at its limit": responses([responsesText], {
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" }
    }),
    "a call of a tool": responsesCall(call.name, call.params),
    "a call that does not fit": responsesCall(call.name, unfit),
    "a call of nothing": responsesCall(content.params, call.params),
    "a call that is no JSON": responses([Responses.call("Weather", echo)]),
    "a refusal": responses([Responses.refusal(content.refusal)]),
    "a filtered answer": responses([responsesText], {
      status: "incomplete",
      incomplete_details: { reason: "content_filter" },
      content_filters: [{ content_filter_results: { [secrets.key]: { filtered: true }, [echo]: { filtered: true } } }]
    }),
    "an end that nobody knows": responses([responsesText], {
      status: "incomplete",
      incomplete_details: { reason: secrets.key }
    }),
    "an error before the first word": {
      ...both(JSON.stringify({ error })),
      stream: Responses.created(planted) + Responses.event({ ...error, type: "error" })
    },
    "an answer that has failed": {
      ...both(Responses.answer([], { status: "failed", error })),
      stream: Responses.begun(content.text) + Responses.failed(error)
    },
    "an error after the first word": {
      ...both(JSON.stringify({ error })),
      stream: Responses.begun(content.text) + Responses.event({ type: "error", error })
    },
    "an answer that breaks off": {
      whole: Responses.textAnswer(content.text).slice(0, -20),
      stream: Responses.begun(content.text),
      breaks: true
    },
    "an answer that just ends": {
      whole: "{",
      stream: Responses.begun(content.text) + Responses.callItem(1, "Weather", [JSON.stringify(call.params)])
    },
    "things that nobody knows": {
      ...responses([{ type: secrets.key, id: echo }, { type: echo }, responsesText]),
      stream: Responses.created(planted) + Responses.event({ type: `response.${secrets.key}`, text: echo }) +
        Responses.event({ type: echo }) + Responses.added(0, { type: secrets.key }) +
        Responses.textItem(1, content.text) +
        Responses.completed([{ type: echo }, responsesText], planted)
    }
  }
}

const messagesStart = Messages.event({
  type: "message_start",
  message: { id: secrets.key, model: secrets.key, usage: { input_tokens: echo, [secrets.key]: echo } }
})

const messages = (
  blocks: ReadonlyArray<object>,
  stream: string,
  rest: { stop_reason?: string; [field: string]: unknown } = {}
): Plant => ({
  whole: Messages.answer(blocks, { id: secrets.key, model: content.user, [secrets.key]: echo, ...rest }),
  stream: messagesStart + stream + Messages.ending(rest.stop_reason ?? "end_turn", rest, { [secrets.key]: echo }) +
    Messages.stop
})

const messagesText = messages(
  [{ type: "thinking", thinking: content.reasoning, signature: secrets.key }, { type: "text", text: content.text }],
  Messages.block(
    0,
    { type: "thinking", thinking: "" },
    { type: "thinking_delta", thinking: content.reasoning },
    { type: "signature_delta", signature: secrets.key }
  ) + Messages.textBlock(1, content.text)
)

const messagesCall = (name: string, input: unknown): Plant =>
  messages(
    [{ type: "tool_use", id: "t1", name, input }],
    Messages.callBlock(0, "t1", name, JSON.stringify(input)),
    { stop_reason: "tool_use" }
  )

const messagesEnd = (stop_reason: string, rest: object = {}): Plant =>
  messages([{ type: "text", text: content.text }], Messages.textBlock(0, content.text), { ...rest, stop_reason })

const anthropicMessages: Adapter = {
  layer: (provider, options) => AnthropicMessages.layer(provider, options),
  isStreamed: inBody,
  plants: {
    "a good answer": messagesText,
    "a good answer, cut at its limit": messagesEnd("max_tokens"),
    "a call of a tool": messagesCall(call.name, call.params),
    "a call that does not fit": messagesCall(call.name, unfit),
    "a call of nothing": messagesCall(content.params, call.params),
    "a call that is no JSON": messages(
      [{ type: "tool_use", id: "t1", name: "", input: { x: echo } }],
      Messages.callBlock(0, "t1", "Weather", echo),
      { stop_reason: "tool_use" }
    ),
    "a refusal": messagesEnd("refusal", {
      stop_details: { category: secrets.key, explanation: `${content.refusal} ${echo}` }
    }),
    "an end that nobody knows": messagesEnd(secrets.key, { stop_sequence: echo }),
    "an error before the first word": {
      ...both(JSON.stringify({ type: "error", error })),
      stream: messagesStart + Messages.event({ type: "error", error })
    },
    "an error after the first word": {
      ...both(JSON.stringify({ type: "error", error })),
      stream: Messages.begun(content.text) + Messages.event({ type: "error", error })
    },
    "an error after the end": {
      ...messagesText,
      stream: messagesStart + Messages.textBlock(0, content.text) + Messages.ending() +
        Messages.event({ type: "error", error })
    },
    "an answer that breaks off": {
      whole: Messages.textAnswer(content.text).slice(0, -20),
      stream: Messages.begun(content.text),
      breaks: true
    },
    "an answer that just ends": {
      whole: "{",
      stream: Messages.begun(content.text) + Messages.blockStop(0) +
        Messages.callBlock(1, "t1", "Weather", JSON.stringify(call.params))
    },
    "things that nobody knows": messages(
      [{ type: secrets.key, text: echo }, { type: echo }, { type: "text", text: content.text }],
      Messages.event({ type: secrets.key, text: echo }) + Messages.event({ type: echo }) +
        Messages.block(0, { type: secrets.key, text: echo }, { type: secrets.key }) +
        Messages.block(1, { type: "text", text: content.text }, { type: secrets.key, text: echo })
    )
  }
}

const about = { modelVersion: secrets.key, responseId: secrets.key, [secrets.key]: echo }

const gemini = (parts: ReadonlyArray<object>, reason = "STOP", candidate: object = {}): Plant => {
  const rest = { ...about, usageMetadata: { promptTokenCount: echo, [secrets.key]: echo } }
  return {
    whole: Google.answer(parts, reason, candidate, rest),
    stream: Google.events(Google.chunk(parts, {}, rest), Google.finished([], reason, candidate, rest))
  }
}

const ratings = [{ category: secrets.key, probability: "HIGH" }, { category: echo, blocked: true }]

const geminiAdapter: Adapter = {
  layer: (provider, options) => Gemini.layer(provider, options),
  isStreamed: (url) => url.includes("streamGenerateContent"),
  plants: {
    "a good answer": gemini([
      { text: content.reasoning, thought: true, thoughtSignature: secrets.key },
      Google.text(content.text)
    ]),
    "a good answer, cut at its limit": gemini([Google.text(content.text)], "MAX_TOKENS"),
    "a call of a tool": gemini([Google.call(call.name, call.params)]),
    "a call that does not fit": gemini([Google.call(call.name, unfit)]),
    "a call of nothing": gemini([Google.call(content.params, call.params)]),
    "a call that is no object": gemini([Google.call(call.name, echo)]),
    "a prompt that was blocked": both(JSON.stringify({
      promptFeedback: { blockReason: secrets.key, blockReasonMessage: echo, safetyRatings: ratings },
      ...about
    })),
    "a filtered answer": gemini([Google.text(content.text)], "SAFETY", {
      finishMessage: `${content.refusal} ${echo}`,
      safetyRatings: ratings
    }),
    "an end that nobody knows": gemini([Google.text(content.text)], secrets.key, { finishMessage: echo }),
    "a model that erred": gemini([Google.text(content.text)], "MALFORMED_FUNCTION_CALL", { finishMessage: echo }),
    "an error before the first word": { ...both(JSON.stringify([{ error }])), stream: Google.events({ error }) },
    "an error after the first word": {
      ...both(JSON.stringify([{ error }])),
      stream: Google.begun(content.text) + Google.event({ error })
    },
    "an error after the end": {
      ...gemini([Google.text(content.text)]),
      stream: Google.events(Google.finished([Google.text(content.text)]), { error })
    },
    "an answer that breaks off": {
      whole: Google.textAnswer(content.text).slice(0, -20),
      stream: Google.begun(content.text),
      breaks: true
    },
    "an answer that just ends": { whole: "{", stream: Google.begun(content.text) },
    "things that nobody knows": gemini(
      [
        { [secrets.key]: echo },
        { [echo]: echo },
        Google.text(content.text)
      ],
      "STOP",
      { [secrets.key]: echo, groundingMetadata: { groundingChunks: [{ web: { uri: echo, title: echo } }] } }
    )
  }
}

/** One line an adapter. */
export const adapters: { readonly [name: string]: Adapter } = {
  OpenAiChat: openAiChat,
  OpenAiResponses: openAiResponses,
  AnthropicMessages: anthropicMessages,
  Gemini: geminiAdapter
}
