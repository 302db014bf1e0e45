/**
 * How a provider is made, and what is said where its options are not legal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { expectTypeOf } from "vitest"
import * as Wire from "./support/wire.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const secret = Redacted.make("sk-1")

describe("layer", () => {
  it("needs a client, and cannot fail", () => {
    expectTypeOf(OpenAiChat.layer(OpenAi, {})).toEqualTypeOf<Layer.Layer<OpenAi, never, HttpClient.HttpClient>>()
    expectTypeOf(OpenAiChat.layer(OpenAi)).toEqualTypeOf<Layer.Layer<OpenAi, never, HttpClient.HttpClient>>()
  })

  const illegal: ReadonlyArray<readonly [option: string, options: OpenAiChat.Options, mend: string]> = [
    ["baseUrl", { baseUrl: "api.openai.com" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "ftp://example.com" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "https://user:pass@example.com" }, "use `apiKey` or `headers`"],
    ["baseUrl", { baseUrl: "https://example.com/v1?api-version=1" }, "use `query`"],
    ["baseUrl", { baseUrl: "https://example.com/v1/chat/completions/" }, "must end before /chat/completions"],
    ["apiKey", { apiKey: Redacted.make("") }, "leave it out"],
    ["apiKey", { apiKey: Redacted.make("sk-1\n") }, "line break"],
    ["apiKeyHeader", { apiKey: secret, apiKeyHeader: "api key" }, "name of a header"],
    ["headers.x-y", { headers: { "x-y": "\u0000" } }, "characters that a header cannot carry"],
    ["maxBodyBytes", { maxBodyBytes: 0 }, "positive number of bytes, got 0"],
    ["maxBodyBytes", { maxBodyBytes: Infinity }, "positive number of bytes, got Infinity"],
    ["maxEventBytes", { maxEventBytes: 1.5 }, "positive number of bytes, got 1.5"],
    ["quotaDomain", { quotaDomain: "key" as "model" }, "\"account\" or \"model\", got \"key\""],
    ["maxTokensField", { maxTokensField: "tokens" as "max_tokens" }, "max_completion_tokens"]
  ]
  for (const [option, options, mend] of illegal) {
    it(`refuses ${option}: ${mend}`, () => {
      const error = catching(() => OpenAiChat.layer(OpenAi, options))
      assert.instanceOf(error, RangeError)
      assert.include(error.message, `OpenAiChat: \`${option}\``)
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
    apiKey: Config.Redacted("OPENAI_API_KEY"),
    baseUrl: Config.String("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1"))
  }

  const ask = (env: { readonly [name: string]: string }) =>
    Effect.gen(function*() {
      const requests: Array<HttpClientRequest.HttpClientRequest> = []
      const client = HttpClient.make((request) => {
        requests.push(request)
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(Wire.answer({ content: "hi" }))))
      })
      yield* Llm.generateText(Llm.model(OpenAi, "m"), { prompt: "Hello?" }).pipe(
        Effect.provide(
          OpenAiChat.layerConfig(OpenAi, options).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
          )
        )
      )
      return requests[0]!
    })

  it("fails with what is wrong with the configuration", () => {
    expectTypeOf(OpenAiChat.layerConfig(OpenAi, options)).toEqualTypeOf<
      Layer.Layer<OpenAi, Config.ConfigError, HttpClient.HttpClient>
    >()
  })

  it.effect("reads the options", () =>
    Effect.gen(function*() {
      const request = yield* ask({ OPENAI_API_KEY: "sk-env" })
      assert.strictEqual(request.url, "https://api.openai.com/v1/chat/completions")
      assert.strictEqual(request.headers["authorization"], "Bearer sk-env")
      assert.strictEqual(
        (yield* ask({ OPENAI_API_KEY: "sk-env", OPENAI_BASE_URL: "http://localhost:1/v1/" })).url,
        "http://localhost:1/v1/chat/completions"
      )
    }))

  it.effect("misses what is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask({}))
      assert.strictEqual(error._tag, "ConfigError")
    }))

  it.effect("names the option that is not legal", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask({ OPENAI_API_KEY: "sk-env", OPENAI_BASE_URL: "localhost" }))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "`baseUrl`")
    }))
})

describe("make", () => {
  it.effect("names the provider", () =>
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status: 500 })))
      )
      const provider = yield* Effect.provideService(OpenAiChat.make("mine"), HttpClient.HttpClient, client)
      const error = yield* Llm.generateText(Llm.model(OpenAi, "m"), { prompt: "Hello?" }).pipe(
        Effect.provideService(OpenAi, provider),
        Effect.flip
      )
      assert.strictEqual(error.provider, "mine")
      assert.strictEqual(error.model, "m")
    }))

  it.effect("endures clients that fail on statuses, or cannot send", () =>
    Effect.gen(function*() {
      const client = HttpClient.filterStatusOk(HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("", { status: 503 })))
      ))
      const provider = yield* Effect.provideService(OpenAiChat.make("mine"), HttpClient.HttpClient, client)
      const error = yield* Llm.generateText(Llm.model(OpenAi, "m"), { prompt: "Hello?" }).pipe(
        Effect.provideService(OpenAi, provider),
        Effect.flip
      )
      assert.strictEqual(error._tag, "Overloaded")
    }))
})
