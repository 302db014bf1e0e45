/**
 * How every adapter over HTTP is made: what is said where its options are not legal, what it reads from the configuration, what its name
 * is in errors, and who shares its quota.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { llm, P, request } from "./request.ts"

/** The options that all of them have. */
interface Options {
  readonly apiKey?: Redacted.Redacted<string>
  readonly apiKeyHeader?: string
  readonly baseUrl?: string
  readonly headers?: { readonly [name: string]: string }
  readonly quotaDomain?: "account" | "model"
  readonly maxBodyBytes?: number
  readonly maxEventBytes?: number
}

/** Options that are not legal, the option that is named, and what is said of it. */
type Illegal<Own> = ReadonlyArray<readonly [option: string, options: Own, mend: string]>

interface Adapter<Own> {
  readonly layer: (options: Own) => Layer.Layer<P, never, HttpClient.HttpClient>
  readonly layerConfig: (options: {
    readonly apiKey: Config.Config<Redacted.Redacted<string>>
    readonly baseUrl: Config.Config<string | undefined>
  }) => Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>
  readonly make: (name: string, options: Options) => Effect.Effect<Provider.Provider, never, HttpClient.HttpClient>
  /** Where it asks the model `model-x`, where nothing else is said, and how it is authorised. */
  readonly baseUrl: string
  readonly path: string
  readonly keyHeader: readonly [name: string, prefix: string]
  /** The body of an answer. */
  readonly answer: string
  /** Options of its own that are not legal. */
  readonly illegal: Illegal<Own>
}

const ask = Llm.generateText(llm, { prompt: "Hello?" })

const recording = (body: string, status = 200) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) => {
    requests.push(request)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })))
  })
  return { requests, client }
}

/** Declares the suite for `module`. */
export const isMade = <Own>(
  module: string,
  adapter: Adapter<Options & Own>
): void => {
  const { answer, baseUrl, keyHeader: [keyHeader, prefix], path } = adapter

  describe("layer", () => {
    const apiKey = Redacted.make("sk-1")
    const common: Illegal<Options> = [
      ["baseUrl", { baseUrl: "api.example.com" }, "absolute http or https URL"],
      ["baseUrl", { baseUrl: "ftp://example.com" }, "absolute http or https URL"],
      ["baseUrl", { baseUrl: "" }, "absolute http or https URL"],
      ["baseUrl", { baseUrl: "https://user:pass@example.com" }, "use `apiKey` or `headers`"],
      ["baseUrl", { baseUrl: "https://example.com/v1?api-version=1" }, "use `query`"],
      ["baseUrl", { baseUrl: `https://example.com/v1${path}/` }, `must end before ${path}`],
      ["apiKey", { apiKey: Redacted.make("") }, "leave it out"],
      ["apiKey", { apiKey: Redacted.make(" ") }, "leave it out"],
      ["apiKey", { apiKey: Redacted.make("sk-1\n") }, "line break"],
      ["apiKeyHeader", { apiKey, apiKeyHeader: "api key" }, "name of a header"],
      ["headers.x-y", { headers: { "x-y": "\u0000" } }, "characters that a header cannot carry"],
      ["maxBodyBytes", { maxBodyBytes: 0 }, "positive number of bytes, got 0"],
      ["maxBodyBytes", { maxBodyBytes: Infinity }, "positive number of bytes, got Infinity"],
      ["maxEventBytes", { maxEventBytes: 1.5 }, "positive number of bytes, got 1.5"],
      ["maxEventBytes", { maxEventBytes: NaN }, "positive number of bytes, got NaN"],
      ["quotaDomain", { quotaDomain: "key" as "model" }, "\"account\" or \"model\", got \"key\""]
    ]
    // (What all adapters have are options of this one.)
    for (const [option, options, mend] of [...common as Illegal<Options & Own>, ...adapter.illegal]) {
      it(`refuses ${option}: ${mend}`, () => {
        const error = catching(() => adapter.layer(options))
        assert.instanceOf(error, RangeError)
        assert.include(error.message, `${module}: \`${option}\``)
        assert.include(error.message, mend)
        assert.notInclude(error.message, "sk-1")
        assert.notInclude(error.message, "pass@")
      })
    }
  })

  describe("layerConfig", () => {
    const configured = (env: { readonly [name: string]: string }) =>
      Effect.gen(function*() {
        const { client, requests } = recording(answer)
        yield* Effect.provide(
          ask,
          adapter.layerConfig({
            apiKey: Config.Redacted("THE_KEY"),
            baseUrl: Config.String("THE_BASE_URL").pipe(Config.withDefault(undefined))
          }).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
          )
        )
        return requests[0]!
      })

    const pathOf = (base: string) => base + path.replace("{model}", "model-x")

    it.effect("reads the options", () =>
      Effect.gen(function*() {
        const request = yield* configured({ THE_KEY: "sk-env" })
        assert.strictEqual(request.url, pathOf(baseUrl))
        assert.strictEqual(request.headers[keyHeader], `${prefix}sk-env`)
        assert.strictEqual(
          (yield* configured({ THE_KEY: "sk-env", THE_BASE_URL: "http://localhost:1/v1/" })).url,
          pathOf("http://localhost:1/v1")
        )
      }))

    it.effect("misses what is missing", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(configured({})))._tag, "ConfigError")
      }))

    it.effect("names the option that is not legal", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(configured({ THE_KEY: "sk-env", THE_BASE_URL: "localhost" }))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, `${module}: \`baseUrl\``)
      }))
  })

  describe("make", () => {
    const made = (client: HttpClient.HttpClient, options: Options = {}) =>
      Effect.provideService(adapter.make("mine", options), HttpClient.HttpClient, client)

    const failing = (client: HttpClient.HttpClient) =>
      Effect.flatMap(made(client), (provider) => Effect.flip(Effect.provideService(ask, P, provider)))

    it.effect("names the provider", () =>
      Effect.gen(function*() {
        const error = yield* failing(recording("", 500).client)
        assert.strictEqual(error._tag, "ServerError")
        assert.strictEqual(error.provider, "mine")
        assert.strictEqual(error.model, "model-x")
      }))

    it.effect("names the provider, also where nothing is sent", () =>
      Effect.gen(function*() {
        const { client, requests } = recording(answer)
        const provider = yield* made(client)
        const error = yield* Effect.flip(provider.whole(request({ settings: { temperature: NaN } })))
        assert.strictEqual(error._tag, "InvalidRequest")
        assert.strictEqual(error.provider, "mine")
        assert.strictEqual(error.model, "model-x")
        assert.strictEqual(requests.length, 0)
      }))

    it.effect("endures clients that fail on statuses", () =>
      Effect.gen(function*() {
        const error = yield* failing(HttpClient.filterStatusOk(recording("", 503).client))
        assert.strictEqual(error._tag, "Overloaded")
      }))

    it.effect("shares a quota as it is told", () =>
      Effect.gen(function*() {
        const { client } = recording(answer)
        assert.isUndefined((yield* made(client)).quotaDomain)
        assert.isUndefined((yield* made(client, { quotaDomain: "account" })).quotaDomain)
        assert.strictEqual((yield* made(client, { quotaDomain: "model" })).quotaDomain?.(request()), "model-x")
      }))

    it.effect("reports that there is an answer, though it say nothing of limits", () =>
      Effect.gen(function*() {
        const provider = yield* made(recording(answer).client)
        const seen: Array<number> = []
        yield* provider.whole(request({ onResponse: (limits) => void seen.push(limits.length) }))
        assert.deepStrictEqual(seen, [0])
      }))
  })
}

const catching = (run: () => unknown): Error => {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error("it has not thrown")
}
