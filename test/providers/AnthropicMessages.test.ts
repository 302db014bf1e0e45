/**
 * How a provider of the Messages API is made, and what is said where its options are not legal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, Resume } from "effect-bulwark"
import { AnthropicMessages, Provider } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { expectTypeOf } from "vitest"
import * as Wire from "./support/messagesWire.ts"
import * as Replay from "./support/replayServer.ts"

class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

const llm = Llm.model(Anthropic, "m")

const secret = Redacted.make("sk-1")

describe("layer", () => {
  it("needs a client, and cannot fail", () => {
    expectTypeOf(AnthropicMessages.layer(Anthropic, {})).toEqualTypeOf<
      Layer.Layer<Anthropic, never, HttpClient.HttpClient>
    >()
    expectTypeOf(AnthropicMessages.layer(Anthropic)).toEqualTypeOf<
      Layer.Layer<Anthropic, never, HttpClient.HttpClient>
    >()
  })

  const illegal: ReadonlyArray<readonly [option: string, options: AnthropicMessages.Options, mend: string]> = [
    ["baseUrl", { baseUrl: "api.anthropic.com" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "https://user:pass@example.com" }, "use `apiKey` or `headers`"],
    ["baseUrl", { baseUrl: "https://example.com/v1/messages" }, "must end before /messages"],
    ["apiKey", { apiKey: Redacted.make(" ") }, "leave it out"],
    ["apiKey", { apiKey: Redacted.make("sk-1\n") }, "line break"],
    ["apiKeyHeader", { apiKey: secret, apiKeyHeader: "api key" }, "name of a header"],
    ["headers.anthropic-version", { version: "2023\n" }, "characters that a header cannot carry"],
    ["betas", { betas: ["one", "two, three"] }, "names of features"],
    ["defaultMaxTokens", { defaultMaxTokens: 0 }, "positive number of tokens, got 0"],
    ["defaultMaxTokens", { defaultMaxTokens: 1.5 }, "positive number of tokens, got 1.5"],
    ["thinking", { thinking: "much" as "budget" }, "one of adaptive, budget, got \"much\""],
    ["jsonFormat", { jsonFormat: "json" as "tool" }, "one of schema, tool, got \"json\""],
    ["maxBodyBytes", { maxBodyBytes: 0 }, "positive number of bytes, got 0"],
    ["maxEventBytes", { maxEventBytes: NaN }, "positive number of bytes, got NaN"],
    ["quotaDomain", { quotaDomain: "key" as "model" }, "\"account\" or \"model\", got \"key\""]
  ]
  for (const [option, options, mend] of illegal) {
    it(`refuses ${option}: ${mend}`, () => {
      const error = catching(() => AnthropicMessages.layer(Anthropic, options))
      assert.instanceOf(error, RangeError)
      assert.include(error.message, `AnthropicMessages: \`${option}\``)
      assert.include(error.message, mend)
      assert.notInclude(error.message, "sk-1")
      assert.notInclude(error.message, "pass@")
    })
  }
})

const catching = (run: () => unknown): Error => {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error("it has not thrown")
}

describe("layerConfig", () => {
  const options = {
    apiKey: Config.Redacted("ANTHROPIC_API_KEY"),
    baseUrl: Config.String("ANTHROPIC_BASE_URL").pipe(Config.withDefault("https://api.anthropic.com/v1"))
  }

  const ask = (env: { readonly [name: string]: string }) =>
    Llm.generateText(llm, { prompt: "Hello?" }).pipe(
      Effect.provide(
        AnthropicMessages.layerConfig(Anthropic, options).pipe(
          Layer.provide(FetchHttpClient.layer),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
        )
      )
    )

  it("fails with what is wrong with the configuration", () => {
    expectTypeOf(AnthropicMessages.layerConfig(Anthropic, options)).toEqualTypeOf<
      Layer.Layer<Anthropic, Config.ConfigError, HttpClient.HttpClient>
    >()
  })

  it.effect("reads the options", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: Wire.textAnswer("hi") }))
      yield* ask({ ANTHROPIC_API_KEY: "sk-env", ANTHROPIC_BASE_URL: `${server.url}/v1/` })
      assert.strictEqual(server.requests[0]?.url, "/v1/messages")
      assert.strictEqual(server.requests[0]?.headers["x-api-key"], "sk-env")
    }))

  it.effect("misses what is missing, and names the option that is not legal", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask({})))._tag, "ConfigError")
      const error = yield* Effect.flip(ask({ ANTHROPIC_API_KEY: "sk-env", ANTHROPIC_BASE_URL: "localhost" }))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "`baseUrl`")
    }))
})

describe("make", () => {
  it.effect("names the provider", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ status: 529, body: "" }))
      const provider = yield* AnthropicMessages.make("mine", { baseUrl: server.url }).pipe(
        Effect.provide(FetchHttpClient.layer)
      )
      const error = yield* Llm.generateText(llm, { prompt: "Hello?" }).pipe(
        Effect.provideService(Anthropic, provider),
        Effect.flip
      )
      assert.strictEqual(error._tag, "Overloaded")
      assert.strictEqual(error.provider, "mine")
      assert.strictEqual(error.model, "m")
    }))
})

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
          AnthropicMessages.layer(Anthropic, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
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
