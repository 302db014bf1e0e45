/**
 * How a provider of the Messages API is made, and what is said where its options are not legal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, Resume } from "effect-bulwark"
import { AnthropicMessages } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { expectTypeOf } from "vitest"
import * as Wire from "./support/messagesWire.ts"
import { isMade } from "./support/optionsSuite.ts"
import * as Replay from "./support/replayServer.ts"
import { P } from "./support/request.ts"

isMade<AnthropicMessages.Options>("AnthropicMessages", {
  layer: (options) => AnthropicMessages.layer(P, options),
  layerConfig: (options) => AnthropicMessages.layerConfig(P, options),
  make: AnthropicMessages.make,
  baseUrl: "https://api.anthropic.com/v1",
  path: "/messages",
  keyHeader: ["x-api-key", ""],
  answer: Wire.textAnswer("hi"),
  illegal: [
    ["version", { version: "2023\n" }, "characters that a header cannot carry"],
    ["betas", { betas: ["one", "two, three"] }, "names of features"],
    ["defaultMaxTokens", { defaultMaxTokens: 0 }, "positive number of tokens, got 0"],
    ["defaultMaxTokens", { defaultMaxTokens: 1.5 }, "positive number of tokens, got 1.5"],
    ["thinking", { thinking: "much" as "budget" }, "\"adaptive\" or \"budget\", got \"much\""],
    ["jsonFormat", { jsonFormat: "json" as "tool" }, "\"schema\" or \"tool\", got \"json\""]
  ]
})

it("needs a client, and fails only with what is wrong with the configuration", () => {
  expectTypeOf(AnthropicMessages.layer(P, {})).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(AnthropicMessages.layer(P)).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(AnthropicMessages.layerConfig(P, { apiKey: Config.Redacted("ANTHROPIC_API_KEY") })).toEqualTypeOf<
    Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>
  >()
})

const llm = Llm.model(P, "m")

describe("an answer that breaks off", () => {
  it.effect("is gone on with from where it ended", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest((request, response) =>
        Replay.reply(
          server.requests.length === 1
            ? { body: Wire.begun("The tower ", "is 330 "), breaks: true }
            : { body: Wire.streamOf(Wire.textBlock(0, "metres ", "high.")) }
        )(request, response)
      )
      const words = yield* Stream.runCollect(
        Llm.textDeltas(Llm.streamText(llm.pipe(Resume.continue(llm)), { prompt: "How high is it?" }))
      ).pipe(
        Effect.provide(
          AnthropicMessages.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
        )
      )
      assert.strictEqual(words.join(""), "The tower is 330 metres high.")
      const { messages } = JSON.parse(server.requests[1]?.body ?? "{}") as { readonly messages: ReadonlyArray<unknown> }
      assert.deepStrictEqual(messages.at(-1), {
        role: "assistant",
        content: [{ type: "text", text: "The tower is 330" }]
      })
    }))
})
