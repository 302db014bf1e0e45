/**
 * Google's Gemini API, and with it the servers that speak it: Vertex AI, and gateways that offer a route for it.
 *
 * - One request for each call. Nothing is retried and no redirect is followed.
 * - Every failure is classified, before and during a stream, by reason, status and the words that the API is known to use.
 * - A stream that has had its finish reason is complete; one that ends without is interrupted.
 * - What a model has signed (a call, a thought, a text) goes back as it came, with its signature, in the next turn.
 * - Interrupting the call, or no longer reading its stream, closes the connection.
 * - The key travels in a header, never in a URL, and is not in errors, spans or logs.
 * - Texts are embedded at the same server: see `Embedding`.
 *
 * **Gotchas**
 *
 * - Models before Gemini 3 refuse to be asked for JSON and offered tools at once.
 * - A prompt that is blocked is a `ContentFiltered` with the stage `prompt`. What it cost is not known.
 * - Timeouts are not this module's: put `Llm.timeout` around the model. HTTP clients have limits of their own, though:
 *   `fetch` in Node gives up when headers take longer than five minutes, as those of a long answer that is not streamed
 *   can.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { layerFromConfig, type MakeProvider, overChannel } from "./internal/adapter.ts"
import { defaultMaxEmbedBytes } from "./internal/embed.ts"
import { makeEndpoint } from "./internal/endpoint.ts"
import { geminiEmbedBatch, geminiEmbedSingle } from "./internal/geminiEmbed.ts"
import { geminiProtocol } from "./internal/geminiProtocol.ts"
import { oneOf } from "./internal/option.ts"
import type * as Provider from "./Provider.ts"

/**
 * Where a server is, how it is authorised, and what its models understand.
 *
 * **Details**
 *
 * | Server | Options |
 * | --- | --- |
 * | Gemini API | `apiKey` |
 * | Vertex AI | `baseUrl: "https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/publishers/google"`, `apiKey` (an access token), `apiKeyHeader: "Authorization"`, `embeddings: "single"` |
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The key. Leave it out where the server asks for none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** The header that carries the key: `Authorization` carries it as a bearer token, any other as it is. Default: `x-goog-api-key`. */
  readonly apiKeyHeader?: string | undefined
  /** The URL up to, and without, `/models/`. Default: `https://generativelanguage.googleapis.com/v1beta`. */
  readonly baseUrl?: string | undefined
  /** Parameters of the URL. The key is not one of them. */
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** More headers. They win over all others. Those that are `Redacted` are kept out of spans and logs, like the key. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /**
   * How `settings.reasoningEffort` is said. `level`: as `thinkingLevel`, in capitals (`minimal`, `low`, `medium`, `high`).
   * `budget`: as a number of tokens (`minimal` and `low` 1024, `medium` 8192, `high` 24576). A number (`"2048"`, and `"-1"` for as
   * much as the model likes) is a budget either way, and so is `none`, which is 0. Models that think in levels are also those that
   * refuse calls without a signature: calls that another model made are marked as such. Default: `level`, but `budget` for models
   * whose name begins with `gemini-1` or `gemini-2`, or is no Gemini's.
   */
  readonly thinking?: "level" | "budget" | undefined
  /** Asks for summaries of what the model thinks, which are reasoning parts. Models that do not think refuse it. Default: false. */
  readonly includeThoughts?: boolean | undefined
  /**
   * How texts are embedded: `batch`, up to 100 in one request (`batchEmbedContents`), or `single`, one a request (`embedContent`), which
   * is what Vertex AI has. Default: `batch`.
   */
  readonly embeddings?: "batch" | "single" | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself, as the Gemini API mostly does. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /**
   * The most bytes that a whole answer, or the tool parameters of a streamed one, may have. Default: 32 MiB, and 128 MiB of embeddings.
   */
  readonly maxBodyBytes?: number | undefined
  /** The most bytes that a line of a stream may have, and the most characters of an event. An image is one event. Default: 16 MiB. */
  readonly maxEventBytes?: number | undefined
}

const module = "Gemini"

const defaultMaxEventBytes = 16 * 1024 * 1024

/** Checks the options at once; the client comes later. */
const prepare = (provider: string, options: Options): MakeProvider => {
  const { includeThoughts = false, query } = options
  const thinking = oneOf(module, "thinking", options.thinking, ["level", "budget"])
  const embeddings = oneOf(module, "embeddings", options.embeddings, ["batch", "single"])
  if (Object.keys(query ?? {}).some((name) => /^(?:key|api[_-]?key|access_token)$/i.test(name))) {
    throw new RangeError(`${module}: \`query\` must not hold the key, because URLs are recorded: use \`apiKey\``)
  }
  const endpoint = (method: string, query: Options["query"], maxBodyBytes?: number) =>
    makeEndpoint(module, `/models/{model}:${method}`, {
      ...options,
      query,
      maxBodyBytes: options.maxBodyBytes ?? maxBodyBytes,
      apiKeyHeader: options.apiKeyHeader ?? "x-goog-api-key",
      baseUrl: options.baseUrl ?? "https://generativelanguage.googleapis.com/v1beta",
      maxEventBytes: options.maxEventBytes ?? defaultMaxEventBytes
    })
  return overChannel(module, {
    provider,
    endpoint: endpoint("generateContent", query),
    streamEndpoint: endpoint("streamGenerateContent", { ...query, alt: "sse" }),
    protocol: geminiProtocol(provider, { thinking, includeThoughts })
  }, {
    embedding: embeddings === "single"
      ? geminiEmbedSingle(provider, endpoint("embedContent", query, defaultMaxEmbedBytes))
      : geminiEmbedBatch(provider, endpoint("batchEmbedContents", query, defaultMaxEmbedBytes)),
    quotaDomain: options.quotaDomain
  })
}

/**
 * Makes a provider that speaks the Gemini API; `name` is what its errors and receipts call it.
 *
 * **When to use**
 *
 * Use where a provider is built by hand. A {@link layer} is what programs need.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  name: string,
  options: Options = {}
): Effect.Effect<Provider.Provider, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, prepare(name, options))

/**
 * Serves a named provider over the Gemini API.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (A model that thinks, and a cheaper one behind it)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Gemini, Provider } from "effect-bulwark/providers"
 * import { Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class Google extends Provider.Service<Google>()("google") {}
 *
 * const llm = Llm.model(Google, "gemini-3-pro-preview", { reasoningEffort: "high" }).pipe(
 *   Llm.orElse(Llm.model(Google, "gemini-2.5-flash", { reasoningEffort: "none" }))
 * )
 *
 * const layer = Gemini.layer(Google, { apiKey: Redacted.make("AIza..."), quotaDomain: "model" }).pipe(
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @see {@link layerConfig} to read the options from the environment.
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self>(
  provider: Provider.Key<Self>,
  options: Options = {}
): Layer.Layer<Self, never, HttpClient.HttpClient> => Layer.effect(provider, make(provider.providerName, options))

/**
 * Serves a named provider over the Gemini API, with options from the configuration.
 *
 * **Details**
 *
 * An option that is not legal is a `ConfigError` here, that names the option.
 *
 * **Example** (A key from the environment)
 *
 * ```ts
 * import { Gemini, Provider } from "effect-bulwark/providers"
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class Google extends Provider.Service<Google>()("google") {}
 *
 * const layer = Gemini.layerConfig(Google, {
 *   apiKey: Config.Redacted("GEMINI_API_KEY")
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @see {@link layer} for options that are known beforehand.
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <Self>(
  provider: Provider.Key<Self>,
  options: Config.Wrap<Options>
): Layer.Layer<Self, Config.ConfigError, HttpClient.HttpClient> => layerFromConfig(provider, options, prepare)
