/**
 * How a provider of the Responses API is made, and what is said where its options are not legal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import { OpenAiResponses, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { expectTypeOf } from "vitest"
import * as Wire from "./support/responsesWire.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const secret = Redacted.make("sk-1")

const recording = () => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) => {
    requests.push(request)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(Wire.textAnswer("hi"))))
  })
  return { requests, client }
}

describe("layer", () => {
  it("needs a client, and cannot fail", () => {
    expectTypeOf(OpenAiResponses.layer(OpenAi)).toEqualTypeOf<Layer.Layer<OpenAi, never, HttpClient.HttpClient>>()
  })

  const illegal: ReadonlyArray<readonly [option: string, options: OpenAiResponses.Options, mend: string]> = [
    ["baseUrl", { baseUrl: "api.openai.com" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "https://api.openai.com/v1/responses" }, "must end before /responses"],
    ["baseUrl", { baseUrl: "https://example.com/v1?api-version=preview" }, "use `query`"],
    ["apiKey", { apiKey: Redacted.make("") }, "leave it out"],
    ["apiKey", { apiKey: Redacted.make("sk-1\n") }, "line break"],
    ["apiKeyHeader", { apiKey: secret, apiKeyHeader: "api key" }, "name of a header"],
    ["reasoningSummary", { reasoningSummary: "long" as "auto" }, "auto, concise, detailed, got \"long\""],
    ["conversation", { conversation: "endless" as "stateless" }, "stateless, previousResponse, got \"endless\""],
    ["conversation", { conversation: "previousResponse", store: false }, "leave out `store: false`"],
    ["quotaDomain", { quotaDomain: "key" as "model" }, "\"account\" or \"model\", got \"key\""],
    ["maxBodyBytes", { maxBodyBytes: 0 }, "positive number of bytes, got 0"],
    ["maxEventBytes", { maxEventBytes: 1.5 }, "positive number of bytes, got 1.5"]
  ]
  for (const [option, options, mend] of illegal) {
    it(`refuses ${option}: ${mend}`, () => {
      let thrown: unknown
      try {
        OpenAiResponses.layer(OpenAi, options)
      } catch (error) {
        thrown = error
      }
      assert.instanceOf(thrown, RangeError)
      assert.include(thrown.message, `OpenAiResponses: \`${option}\``)
      assert.include(thrown.message, mend)
      assert.notInclude(thrown.message, "sk-1")
    })
  }
})

describe("layerConfig", () => {
  const options = {
    apiKey: Config.Redacted("OPENAI_API_KEY"),
    baseUrl: Config.String("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1"))
  }

  const ask = (env: { readonly [name: string]: string }) =>
    Effect.gen(function*() {
      const { client, requests } = recording()
      yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" }).pipe(
        Effect.provide(
          OpenAiResponses.layerConfig(OpenAi, options).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
          )
        )
      )
      return requests[0]!
    })

  it("fails with what is wrong with the configuration", () => {
    expectTypeOf(OpenAiResponses.layerConfig(OpenAi, options)).toEqualTypeOf<
      Layer.Layer<OpenAi, Config.ConfigError, HttpClient.HttpClient>
    >()
  })

  it.effect("reads the options", () =>
    Effect.gen(function*() {
      const request = yield* ask({ OPENAI_API_KEY: "sk-env" })
      assert.strictEqual(request.url, "https://api.openai.com/v1/responses")
      assert.strictEqual(request.headers["authorization"], "Bearer sk-env")
    }))

  it.effect("misses what is missing", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask({})))._tag, "ConfigError")
    }))

  it.effect("names the option that is not legal", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask({ OPENAI_API_KEY: "sk-env", OPENAI_BASE_URL: "localhost" }))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "`baseUrl`")
    }))
})

describe("make", () => {
  const request: Provider.Request = {
    model: "m",
    prompt: Prompt.make("Hello?"),
    tools: [],
    toolChoice: "none",
    responseFormat: { type: "text" },
    settings: {}
  }

  const made = (options: OpenAiResponses.Options) => {
    const { client, requests } = recording()
    return Effect.map(
      Effect.provideService(OpenAiResponses.make("mine", options), HttpClient.HttpClient, client),
      (provider) => ({ provider, requests })
    )
  }

  it.effect("names the provider, also where nothing is sent", () =>
    Effect.gen(function*() {
      const { provider, requests } = yield* made({})
      const error = yield* Effect.flip(provider.whole({ ...request, settings: { stop: ["x"] } }))
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.strictEqual(error.provider, "mine")
      assert.strictEqual(error.model, "m")
      assert.strictEqual(requests.length, 0)
    }))

  it.effect("shares a quota as it is told", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* made({})).provider.quotaDomain)
      const { provider } = yield* made({ quotaDomain: "model" })
      assert.strictEqual(provider.quotaDomain?.(request), "m")
    }))
})
