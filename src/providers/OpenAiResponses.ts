/**
 * OpenAI's Responses API, and with it the servers that speak it: Azure OpenAI, OpenRouter, vLLM and others.
 *
 * - One request for each call. Nothing is retried and no redirect is followed.
 * - Every failure is classified, before and during a stream, by code, status and the words that the API is known to use.
 * - A stream that has had its last event is complete; one that ends without is interrupted.
 * - What a model has thought goes back to it in the next turn: by its id, or encrypted where nothing is stored.
 * - A conversation is sent anew with each request, or goes on from the answer that the API remembers.
 * - Interrupting the call, or no longer reading its stream, closes the connection.
 * - Keys are not in errors, spans or logs.
 * - Texts are embedded at the same server: see `Embedding`.
 *
 * **Gotchas**
 *
 * - The API knows no texts at which an answer ends: `settings.stop` is an `InvalidRequest`. `settings.seed` has no counterpart
 *   either, and is not sent.
 * - OpenAI keeps prompts and answers for 30 days, unless `store` is false.
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
import { openAiEmbed } from "./internal/openAiEmbed.ts"
import { openAiHeaders } from "./internal/openAiHeaders.ts"
import { oneOf } from "./internal/option.ts"
import { responsesProtocol } from "./internal/responsesProtocol.ts"
import type * as Provider from "./Provider.ts"

/**
 * Where a server is, how it is authorised, what it keeps, and how a conversation goes on.
 *
 * **Details**
 *
 * | Server | Options |
 * | --- | --- |
 * | OpenAI | `apiKey` |
 * | OpenAI, nothing stored | `apiKey`, `store: false`, `encryptedReasoning: true` |
 * | Azure OpenAI, v1 | `baseUrl: "https://NAME.openai.azure.com/openai/v1"`, `apiKey`, `apiKeyHeader: "api-key"`; the model is the deployment |
 * | Azure OpenAI, before v1 | `baseUrl: "https://NAME.openai.azure.com/openai"`, `apiKey`, `apiKeyHeader: "api-key"`, `query: { "api-version": "2025-04-01-preview" }` |
 * | OpenRouter | `baseUrl: "https://openrouter.ai/api/v1"`, `apiKey` |
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The key. Leave it out where the server asks for none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /**
   * The header that carries the key. Default: `Authorization`, with the key as a bearer token; any other header carries
   * the key as it is.
   */
  readonly apiKeyHeader?: string | undefined
  /** The URL up to, and without, `/responses`. Default: `https://api.openai.com/v1`. */
  readonly baseUrl?: string | undefined
  /** Parameters of the URL, such as Azure's `api-version`. */
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** The organisation that is billed, at OpenAI. */
  readonly organization?: string | undefined
  /** The project that is billed, at OpenAI. */
  readonly project?: string | undefined
  /** More headers. They win over all others. Those that are `Redacted` are kept out of spans and logs, like the key. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** Whether the API keeps prompts and answers. Default: as the server likes, which is true at OpenAI. */
  readonly store?: boolean | undefined
  /**
   * Asks for what a model has thought in an encrypted form, in which it can go back where nothing is stored. Models that do not think
   * refuse it. Default: false.
   */
  readonly encryptedReasoning?: boolean | undefined
  /** Asks for summaries of what the model thinks, which are reasoning parts. Models that do not think refuse it. Default: none. */
  readonly reasoningSummary?: "auto" | "concise" | "detailed" | undefined
  /**
   * How a conversation goes on. `stateless`: every request holds the whole prompt. `previousResponse`: a request goes on from the last
   * answer in its prompt that the API remembers (`previous_response_id`), and holds only what came after it. The id stands in the
   * options of the answer's parts, where `Prompt.fromResponseParts` puts it. Default: `stateless`.
   */
  readonly conversation?: "stateless" | "previousResponse" | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself, as OpenAI mostly does. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /**
   * The most bytes that a whole answer, or the tool parameters of a streamed one, may have. Default: 32 MiB, and 128 MiB of embeddings.
   */
  readonly maxBodyBytes?: number | undefined
  /**
   * The most bytes that a line of a stream may have, and the most characters of an event. The last event repeats the whole answer.
   * Default: 16 MiB.
   */
  readonly maxEventBytes?: number | undefined
}

const module = "OpenAiResponses"

const defaultMaxEventBytes = 16 * 1024 * 1024

/** Checks the options at once; the client comes later. */
const prepare = (provider: string, options: Options): MakeProvider => {
  const dialect = {
    store: options.store,
    encryptedReasoning: options.encryptedReasoning ?? false,
    reasoningSummary: oneOf(module, "reasoningSummary", options.reasoningSummary, ["auto", "concise", "detailed"]),
    conversation: oneOf(module, "conversation", options.conversation, ["stateless", "previousResponse"]) ?? "stateless"
  }
  if (dialect.conversation === "previousResponse" && dialect.store === false) {
    throw new RangeError(
      `${module}: \`conversation\` cannot go on from answers that are not kept: leave out \`store: false\``
    )
  }
  const endpoint = (path: string, maxBodyBytes?: number) =>
    makeEndpoint(module, path, {
      ...options,
      maxBodyBytes: options.maxBodyBytes ?? maxBodyBytes,
      baseUrl: options.baseUrl ?? "https://api.openai.com/v1",
      maxEventBytes: options.maxEventBytes ?? defaultMaxEventBytes,
      ownHeaders: openAiHeaders(options)
    })
  return overChannel(module, {
    provider,
    endpoint: endpoint("/responses"),
    protocol: responsesProtocol(provider, dialect)
  }, {
    embedding: openAiEmbed(provider, endpoint("/embeddings", defaultMaxEmbedBytes), "base64"),
    quotaDomain: options.quotaDomain
  })
}

/**
 * Makes a provider that speaks the Responses API; `name` is what its errors and receipts call it.
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
 * Serves a named provider over the Responses API.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (A conversation that the API remembers)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { OpenAiResponses, Provider } from "effect-bulwark/providers"
 * import { Effect, Layer, Redacted } from "effect"
 * import { Prompt } from "effect/ai"
 * import { FetchHttpClient } from "effect/http"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini", { reasoningEffort: "low" })
 *
 * const program = Effect.gen(function*() {
 *   const asked = Prompt.make("Which rivers meet in Passau?")
 *   const first = yield* Llm.generateText(llm, { prompt: asked })
 *   // Of this only the last message is sent, and the id of the answer before it.
 *   const prompt = asked.pipe(
 *     Prompt.concat(Prompt.fromResponseParts(first.content)),
 *     Prompt.concat("And which of them is the longest?")
 *   )
 *   return yield* Llm.generateText(llm, { prompt })
 * })
 *
 * const layer = OpenAiResponses.layer(OpenAi, {
 *   apiKey: Redacted.make("sk-..."),
 *   conversation: "previousResponse"
 * }).pipe(Layer.provide(FetchHttpClient.layer))
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
 * Serves a named provider over the Responses API, with options from the configuration.
 *
 * **Details**
 *
 * An option that is not legal is a `ConfigError` here, that names the option.
 *
 * **Example** (A key from the environment)
 *
 * ```ts
 * import { OpenAiResponses, Provider } from "effect-bulwark/providers"
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const layer = OpenAiResponses.layerConfig(OpenAi, {
 *   apiKey: Config.Redacted("OPENAI_API_KEY")
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
