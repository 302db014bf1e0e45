/**
 * Asks a provider that has its answer already.
 */
import { Llm, type LlmError, type Part, Receipt } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import * as assert from "node:assert/strict"
import * as Wire from "./wire.ts"

class P extends Provider.Service<P>()("p") {}

const llm = Llm.model(P, "model-x")

/** The body of an answer. */
export type Body = string | Uint8Array<ArrayBuffer>

const clientOf = (body: Body, status: number): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body === "" ? null : body, { status })))
  )

const request: Provider.Request = {
  model: "model-x",
  prompt: Prompt.make("Hello?"),
  tools: [],
  toolChoice: "none",
  responseFormat: { type: "text" },
  settings: {}
}

/** Asks for an answer whole and streamed, and for the error of a call through the core, which knows what had been said before. */
export const asking = (make: Effect.Effect<Provider.Provider, never, HttpClient.HttpClient>) => {
  const providerOf = (body: Body, status = 200): Effect.Effect<Provider.Provider> =>
    Effect.provideService(make, HttpClient.HttpClient, clientOf(body, status))

  const whole = (body: Body, rest: Partial<Provider.Request> = {}) =>
    Effect.flatMap(providerOf(body), (provider) => provider.whole({ ...request, ...rest }))

  const streamed = (body: Body, rest: Partial<Provider.Request> = {}) =>
    Effect.flatMap(providerOf(body), (provider) => Stream.runCollect(provider.stream({ ...request, ...rest })))

  const failure = (
    body: Body,
    mode: "whole" | "stream",
    status?: number
  ): Effect.Effect<{ readonly error: LlmError.ProviderError; readonly receipt: Receipt.Receipt }> =>
    Effect.gen(function*() {
      const provider = yield* providerOf(body, status)
      const receipts: Array<Receipt.Receipt> = []
      const run: Effect.Effect<unknown, LlmError.ProviderError, P> = mode === "whole"
        ? Llm.generateText(llm, { prompt: "Hello?" })
        : Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" }))
      const error = yield* run.pipe(
        Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
        Effect.provideService(P, provider),
        Effect.flip,
        Effect.catch(() => Effect.die("it has not failed"))
      )
      return { error, receipt: receipts[0]! }
    })

  return { whole, streamed, failure }
}

/** Asks over Chat Completions. */
export const { failure, streamed, whole } = asking(OpenAiChat.make("p", {}))

/** The parts of one type. */
export const ofType = <Type extends Part.Part["type"]>(parts: ReadonlyArray<Part.Part | Part.AnswerPart>, type: Type) =>
  parts.filter((part): part is Extract<Part.Part, { type: Type }> => part.type === type)

export const finishOf = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>) => {
  const [finish, ...more] = ofType(parts, "finish")
  assert.ok(finish !== undefined && more.length === 0)
  return finish
}

export const text = (parts: ReadonlyArray<Part.Part>) => ofType(parts, "text-delta").map(({ delta }) => delta).join("")

export const thoughts = (parts: ReadonlyArray<Part.Part>) =>
  ofType(parts, "reasoning-delta").map(({ delta }) => delta).join("")

export const calls = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>) =>
  ofType(parts, "tool-call").map(({ id, name, params }) => ({ id, name, params }))

export const piece = (
  rest: { readonly index?: number | undefined; readonly id?: string; readonly type?: string },
  body: { readonly name?: string; readonly arguments?: unknown } = {}
) => Wire.event(Wire.chunk({ tool_calls: [{ ...rest, function: body }] }))
