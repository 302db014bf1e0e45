/**
 * How a provider of the Gemini API is made, and what is said where its options are not legal.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import { Gemini, Provider } from "effect-bulwark/providers"
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
import * as Wire from "./support/geminiWire.ts"

class Google extends Provider.Service<Google>()("google") {}

const secret = Redacted.make("AIza-1")

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
    expectTypeOf(Gemini.layer(Google)).toEqualTypeOf<Layer.Layer<Google, never, HttpClient.HttpClient>>()
  })

  const illegal: ReadonlyArray<readonly [option: string, options: Gemini.Options, mend: string]> = [
    ["baseUrl", { baseUrl: "generativelanguage.googleapis.com" }, "absolute http or https URL"],
    ["baseUrl", { baseUrl: "https://example.com/v1?key=AIza-1" }, "use `query`"],
    ["query", { query: { key: secret } }, "use `apiKey`"],
    ["query", { query: { API_KEY: "AIza-1" } }, "use `apiKey`"],
    ["apiKey", { apiKey: Redacted.make("") }, "leave it out"],
    ["apiKey", { apiKey: Redacted.make("AIza-1\n") }, "line break"],
    ["apiKeyHeader", { apiKey: secret, apiKeyHeader: "api key" }, "name of a header"],
    ["thinking", { thinking: "much" as "level" }, "\"level\" or \"budget\", got \"much\""],
    ["quotaDomain", { quotaDomain: "key" as "model" }, "\"account\" or \"model\", got \"key\""],
    ["maxBodyBytes", { maxBodyBytes: 0 }, "positive number of bytes, got 0"],
    ["maxEventBytes", { maxEventBytes: 1.5 }, "positive number of bytes, got 1.5"]
  ]
  for (const [option, options, mend] of illegal) {
    it(`refuses ${option}: ${mend}`, () => {
      let thrown: unknown
      try {
        Gemini.layer(Google, options)
      } catch (error) {
        thrown = error
      }
      assert.instanceOf(thrown, RangeError)
      assert.include(thrown.message, `Gemini: \`${option}\``)
      assert.include(thrown.message, mend)
      if (option !== "baseUrl") assert.notInclude(thrown.message, "AIza-1")
    })
  }
})

describe("layerConfig", () => {
  const options = {
    apiKey: Config.Redacted("GEMINI_API_KEY"),
    baseUrl: Config.String("GEMINI_BASE_URL").pipe(
      Config.withDefault("https://generativelanguage.googleapis.com/v1beta")
    )
  }

  const ask = (env: { readonly [name: string]: string }) =>
    Effect.gen(function*() {
      const { client, requests } = recording()
      yield* Llm.generateText(Llm.model(Google, "gemini-2.5-flash"), { prompt: "Hello?" }).pipe(
        Effect.provide(
          Gemini.layerConfig(Google, options).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
          )
        )
      )
      return requests[0]!
    })

  it("fails with what is wrong with the configuration", () => {
    expectTypeOf(Gemini.layerConfig(Google, options)).toEqualTypeOf<
      Layer.Layer<Google, Config.ConfigError, HttpClient.HttpClient>
    >()
  })

  it.effect("reads the options", () =>
    Effect.gen(function*() {
      const request = yield* ask({ GEMINI_API_KEY: "AIza-env" })
      assert.strictEqual(
        request.url,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
      )
      assert.strictEqual(request.headers["x-goog-api-key"], "AIza-env")
    }))

  it.effect("misses what is missing", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask({})))._tag, "ConfigError")
    }))

  it.effect("names the option that is not legal", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask({ GEMINI_API_KEY: "AIza-env", GEMINI_BASE_URL: "localhost" }))
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

  const made = (options: Gemini.Options) => {
    const { client, requests } = recording()
    return Effect.map(
      Effect.provideService(Gemini.make("mine", options), HttpClient.HttpClient, client),
      (provider) => ({ provider, requests })
    )
  }

  it.effect("names the provider, also where nothing is sent", () =>
    Effect.gen(function*() {
      const { provider, requests } = yield* made({})
      const error = yield* Effect.flip(provider.whole({ ...request, settings: { temperature: NaN } }))
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

  it.effect("reports that there is an answer, though it say nothing of limits", () =>
    Effect.gen(function*() {
      const { provider } = yield* made({})
      const seen: Array<number> = []
      yield* provider.whole({ ...request, onResponse: (limits) => void seen.push(limits.length) })
      assert.deepStrictEqual(seen, [0])
    }))
})
