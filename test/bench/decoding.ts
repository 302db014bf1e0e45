/**
 * What is measured of reading a streamed answer: the same bytes to what each library hands its user. Nobody sends anything:
 * each client is given a `fetch`, or an `HttpClient`, that has the answer already.
 */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import type { LanguageModelV4 } from "@ai-sdk/provider"
import Anthropic from "@anthropic-ai/sdk"
import { GoogleGenAI } from "@google/genai"
import { AnthropicMessages, Gemini, OpenAiChat, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import OpenAI from "openai"

/** The bytes of an answer. */
export interface Answer {
  readonly events: number
  readonly bytes: Uint8Array
  /** Each event by itself. */
  readonly pieces: ReadonlyArray<Uint8Array>
  /** What the events hold. */
  readonly data: ReadonlyArray<string>
}

const encoder = new TextEncoder()

const answerOf = (events: ReadonlyArray<string>): Answer => ({
  events: events.length,
  bytes: encoder.encode(events.join("")),
  pieces: events.map((event) => encoder.encode(event)),
  data: events.map((event) => /data: (\{.*\})/.exec(event)?.[1]).filter((data) => data !== undefined)
})

const words = (deltas: number): ReadonlyArray<string> =>
  Array.from({ length: deltas }, (_, index) => [" the", " quick", " brown", "\n\n", " naïve", " \"fox\""][index % 6]!)

const chat = (deltas: number): Answer => {
  const chunk = (delta: object, finish: string | null = null): string =>
    `data: ${
      JSON.stringify({
        id: "chatcmpl-Bk3dVxW9ZyQ0tqU7mJp2rT5sLcXaE",
        object: "chat.completion.chunk",
        created: 1_763_000_000,
        model: "gpt-5-mini-2025-08-07",
        service_tier: "default",
        system_fingerprint: null,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
        obfuscation: "Xq9"
      })
    }\n\n`
  return answerOf([
    chunk({ role: "assistant", content: "", refusal: null }),
    ...words(deltas).map((content) => chunk({ content })),
    chunk({}, "stop"),
    "data: [DONE]\n\n"
  ])
}

const messages = (deltas: number): Answer => {
  const event = (data: { readonly type: string; readonly [field: string]: unknown }): string =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
  return answerOf([
    event({
      type: "message_start",
      message: {
        id: "msg_01XFDUDYJgAACzvnptvVoYEL",
        type: "message",
        role: "assistant",
        model: "claude-haiku-4-5",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 9, output_tokens: 1 }
      }
    }),
    event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    ...words(deltas).map((text) =>
      event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })
    ),
    event({ type: "content_block_stop", index: 0 }),
    event({
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: deltas }
    }),
    event({ type: "message_stop" })
  ])
}

const gemini = (deltas: number): Answer => {
  const chunk = (text: string, tokens: number, last = false): string =>
    `data: ${
      JSON.stringify({
        candidates: [{
          content: { parts: [{ text }], role: "model" },
          ...(last ? { finishReason: "STOP" } : undefined),
          index: 0
        }],
        usageMetadata: { promptTokenCount: 9, candidatesTokenCount: tokens, totalTokenCount: 9 + tokens },
        modelVersion: "gemini-3.5-flash",
        responseId: "x9bVaKq1Hs6Bz7IP8tWn2Ac"
      })
    }\r\n\r\n`
  return answerOf([...words(deltas).map((text, index) => chunk(text, index)), chunk("", deltas, true)])
}

/** The pieces in which an answer arrives: of so many bytes, or each event by itself. */
const cut = (answer: Answer, size: number | "event"): ReadonlyArray<Uint8Array> =>
  size === "event" ? answer.pieces : Array.from(
    { length: Math.ceil(answer.bytes.length / size) },
    (_, index) => answer.bytes.subarray(index * size, (index + 1) * size)
  )

const responseOf = (chunks: ReadonlyArray<Uint8Array>): Response => {
  let next = 0
  return new Response(
    new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const chunk = chunks[next++]
        if (chunk === undefined) controller.close()
        else controller.enqueue(chunk)
      }
    }),
    { headers: { "content-type": "text/event-stream" } }
  )
}

const fetchOf = (chunks: ReadonlyArray<Uint8Array>): typeof globalThis.fetch => () =>
  Promise.resolve(responseOf(chunks))

const count = async (items: AsyncIterable<unknown>): Promise<number> => {
  let seen = 0
  for await (const _ of items) seen++
  return seen
}

/** Reads an answer to its end, and gives how many things it was handed. */
type Task = () => Promise<number>

class P extends Provider.Service<P>()("p") {}

const bulwark = (
  adapter: Layer.Layer<P, never, HttpClient.HttpClient>,
  model: string,
  chunks: ReadonlyArray<Uint8Array>
): Task => {
  const client = HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, responseOf(chunks)))
  )
  const request: Provider.Request = {
    model,
    prompt: Prompt.make("Hello?"),
    tools: [],
    toolChoice: "auto",
    responseFormat: { type: "text" },
    settings: {}
  }
  const program = Effect.flatMap(P, (provider) => Stream.runFold(provider.stream(request), () => 0, (seen) => seen + 1))
    .pipe(Effect.provide(adapter), Effect.provideService(HttpClient.HttpClient, client))
  return () => Effect.runPromise(program)
}

const aiSdk = (model: LanguageModelV4): Task => async () => {
  const { stream } = await model.doStream({
    prompt: [{ role: "user", content: [{ type: "text", text: "Hello?" }] }]
  })
  return count(stream)
}

const apiKey = "no-key"

const key = Redacted.make(apiKey)

const chatReaders = (chunks: ReadonlyArray<Uint8Array>): Record<string, Task> => {
  const fetch = fetchOf(chunks)
  const openai = new OpenAI({ apiKey, fetch, maxRetries: 0 })
  const body = { model: "gpt-5-mini", messages: [{ role: "user" as const, content: "Hello?" }] }
  return {
    "Bulwark: `OpenAiChat`": bulwark(OpenAiChat.layer(P, { apiKey: key }), "gpt-5-mini", chunks),
    "openai: `create({ stream: true })`": async () =>
      count(await openai.chat.completions.create({ ...body, stream: true })),
    "openai: `stream()`": async () => count(openai.chat.completions.stream(body)),
    "AI SDK: @ai-sdk/openai, `doStream`": aiSdk(createOpenAI({ apiKey, fetch }).chat("gpt-5-mini"))
  }
}

const messagesReaders = (chunks: ReadonlyArray<Uint8Array>): Record<string, Task> => {
  const fetch = fetchOf(chunks)
  const anthropic = new Anthropic({ apiKey, fetch, maxRetries: 0 })
  const body = {
    model: "claude-haiku-4-5",
    max_tokens: 64_000,
    messages: [{ role: "user" as const, content: "Hello?" }]
  }
  return {
    "Bulwark: `AnthropicMessages`": bulwark(AnthropicMessages.layer(P, { apiKey: key }), "claude-haiku-4-5", chunks),
    "@anthropic-ai/sdk: `create({ stream: true })`": async () =>
      count(await anthropic.messages.create({ ...body, stream: true })),
    "@anthropic-ai/sdk: `stream()`": async () => count(anthropic.messages.stream(body)),
    "AI SDK: @ai-sdk/anthropic, `doStream`": aiSdk(createAnthropic({ apiKey, fetch })("claude-haiku-4-5"))
  }
}

const geminiReaders = (chunks: ReadonlyArray<Uint8Array>): Record<string, Task> => {
  const google = new GoogleGenAI({ apiKey })
  const answering = fetchOf(chunks)
  return {
    "Bulwark: `Gemini`": bulwark(Gemini.layer(P, { apiKey: key }), "gemini-3.5-flash", chunks),
    // It takes no `fetch` of one's own.
    "@google/genai: `generateContentStream`": async () => {
      const fetch = globalThis.fetch
      globalThis.fetch = answering
      try {
        return await count(await google.models.generateContentStream({ model: "gemini-3.5-flash", contents: "Hello?" }))
      } finally {
        globalThis.fetch = fetch
      }
    }
  }
}

/** How much of a body comes at once: as a fast network cuts it, or as a model speaks. */
export const sizes = { "16 KiB at once": 16_384, "an event at once": "event" } as const

export type Size = keyof typeof sizes

export interface Decoding {
  readonly answer: Answer
  /** Ours first, the floor last. */
  readonly readers: (size: Size) => Promise<Record<string, Task>>
}

/** The least that a reader can do. */
export const floor = "nothing but the web stream and `JSON.parse`"

const least = (chunks: ReadonlyArray<Uint8Array>, { data }: Answer): Task => async () => {
  for await (const _ of responseOf(chunks).body ?? []) {
    // All bytes have to be fetched.
  }
  return data.map((event) => JSON.parse(event) as unknown).length
}

const decoding = (answer: Answer, readers: (chunks: ReadonlyArray<Uint8Array>) => Record<string, Task>): Decoding => ({
  answer,
  readers: async (size) => {
    const chunks = cut(answer, sizes[size])
    const tasks = { ...readers(chunks), [floor]: least(chunks, answer) }
    for (const [name, run] of Object.entries(tasks)) {
      const seen = await run()
      if (seen < answer.data.length - 10) {
        throw new Error(`${name} has handed on ${seen} of ${answer.data.length} events`)
      }
    }
    return tasks
  }
})

/** The answers of so many deltas and who reads them, by protocol. */
export const decodings = (deltas: number): Record<string, Decoding> => ({
  "Chat Completions": decoding(chat(deltas), chatReaders),
  "Messages": decoding(messages(deltas), messagesReaders),
  "Gemini": decoding(gemini(deltas), geminiReaders)
})
