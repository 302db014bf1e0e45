/**
 * The same work with other libraries, each with its own fake model that answers at once.
 */
import { AIMessageChunk } from "@langchain/core/messages"
import { FakeListChatModel, FakeStreamingChatModel } from "@langchain/core/utils/testing"
import { generateText, streamText } from "ai"
import { convertArrayToReadableStream, MockLanguageModelV4 } from "ai/test"
import * as Cockatiel from "cockatiel"

// ---- cockatiel: policies around any function ----
const policies = Cockatiel.wrap(
  Cockatiel.retry(Cockatiel.handleAll, { maxAttempts: 2, backoff: new Cockatiel.ExponentialBackoff() }),
  Cockatiel.circuitBreaker(Cockatiel.handleAll, {
    halfOpenAfter: 30_000,
    breaker: new Cockatiel.ConsecutiveBreaker(5)
  }),
  Cockatiel.timeout(60_000, Cockatiel.TimeoutStrategy.Aggressive)
)

export const plainFunction = (): Promise<unknown> => Promise.resolve("Hello!")

export const cockatiel = (): Promise<unknown> => policies.execute(plainFunction)

// ---- AI SDK ----
const usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}
const finishReason = { unified: "stop", raw: "stop" } as const

export const aiModel = (deltas: number) =>
  new MockLanguageModelV4({
    doGenerate: () =>
      Promise.resolve({ content: [{ type: "text", text: "Hello!" }], finishReason, usage, warnings: [] }),
    doStream: () =>
      Promise.resolve({
        stream: convertArrayToReadableStream([
          { type: "stream-start" as const, warnings: [] },
          { type: "text-start" as const, id: "0" },
          ...Array.from({ length: deltas }, () => ({ type: "text-delta", id: "0", delta: "word " } as const)),
          { type: "text-end" as const, id: "0" },
          { type: "finish" as const, finishReason, usage }
        ])
      })
  })

export const aiGenerate = (): () => Promise<unknown> => {
  const model = aiModel(1)
  return () => generateText({ model, prompt: "Hello?" })
}

export const aiStream = (deltas: number): () => Promise<unknown> => {
  return async () => {
    const result = streamText({ model: aiModel(deltas), prompt: "Hello?" })
    let length = 0
    for await (const text of result.textStream) length += text.length
    return length
  }
}

// ---- LangChain ----
const fake = () => new FakeListChatModel({ responses: ["Hello!"] })

export const langchainBare = (): () => Promise<unknown> => {
  const model = fake()
  return () => model.invoke("Hello?")
}

export const langchain = (): () => Promise<unknown> => {
  const model = fake().withRetry({ stopAfterAttempt: 3 }).withFallbacks([fake()])
  return () => model.invoke("Hello?")
}

export const langchainStream = (deltas: number): () => Promise<unknown> => {
  const chunks = Array.from({ length: deltas }, () => new AIMessageChunk("word "))
  const model = new FakeStreamingChatModel({ chunks, sleep: 0 })
  return async () => {
    let length = 0
    for await (const chunk of await model.stream("Hello?")) length += String(chunk.content).length
    return length
  }
}
