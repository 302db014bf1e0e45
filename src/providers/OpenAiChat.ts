/**
 * OpenAI's Chat Completions protocol, and with it every server that speaks it: Azure OpenAI, OpenRouter, Groq,
 * Together, DeepSeek, Mistral, xAI, Ollama, vLLM, llama.cpp, LM Studio and more.
 *
 * - One request for each call. Nothing is retried and no redirect is followed.
 * - Every failure is classified, before and during a stream, by code, status and the words that servers are known to
 *   use.
 * - A stream that has had its finish reason is complete; one that ends without is interrupted.
 * - Interrupting the call, or no longer reading its stream, closes the connection.
 * - Keys are not in errors, spans or logs.
 *
 * **Gotchas**
 *
 * Timeouts are not this module's: put `Llm.timeout` around the model. HTTP clients have limits of their own, though:
 * `fetch` in Node gives up when headers take longer than five minutes, as those of a long answer that is not streamed
 * can.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { layerFromConfig, type MakeProvider, overChannel } from "./internal/adapter.ts"
import { chatProtocol } from "./internal/chatProtocol.ts"
import { makeEndpoint } from "./internal/endpoint.ts"
import type * as Provider from "./Provider.ts"

/**
 * Where a server is, how it is authorised, and how it likes its requests.
 *
 * **Details**
 *
 * | Server | Options |
 * | --- | --- |
 * | OpenAI | `apiKey` |
 * | Azure OpenAI, v1 | `baseUrl: "https://NAME.openai.azure.com/openai/v1"`, `apiKey`, `apiKeyHeader: "api-key"` |
 * | Azure OpenAI, deployments | `baseUrl: "https://NAME.openai.azure.com/openai/deployments/{model}"`, `apiKey`, `apiKeyHeader: "api-key"`, `query: { "api-version": "2024-10-21" }`; the model is the deployment |
 * | OpenRouter | `baseUrl: "https://openrouter.ai/api/v1"`, `apiKey` |
 * | Groq | `baseUrl: "https://api.groq.com/openai/v1"`, `apiKey` |
 * | Mistral | `baseUrl: "https://api.mistral.ai/v1"`, `apiKey`, `maxTokensField: "max_tokens"`, `streamUsage: false` |
 * | Ollama | `baseUrl: "http://localhost:11434/v1"`, `maxTokensField: "max_tokens"` |
 * | vLLM | `baseUrl: "http://localhost:8000/v1"` |
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
  /**
   * The URL up to, and without, `/chat/completions`. A `{model}` in it is replaced by the model's name. Default:
   * `https://api.openai.com/v1`.
   */
  readonly baseUrl?: string | undefined
  /** Parameters of the URL, such as Azure's `api-version`. */
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** The organisation that is billed, at OpenAI. */
  readonly organization?: string | undefined
  /** The project that is billed, at OpenAI. */
  readonly project?: string | undefined
  /** More headers. They win over all others. Those that are `Redacted` are kept out of spans and logs, like the key. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /**
   * The field for `maxOutputTokens`. Reasoning models at OpenAI know only the newer name, some other servers only the
   * older. Default: `max_completion_tokens`.
   */
  readonly maxTokensField?: "max_completion_tokens" | "max_tokens" | undefined
  /** Asks for the usage of streamed answers, with `stream_options`, which some servers do not know. Default: true. */
  readonly streamUsage?: boolean | undefined
  /**
   * The field in which a model's earlier reasoning is sent back to it. DeepSeek and Kimi want it with tool calls; other
   * servers ignore or refuse it. Default: it is not sent back.
   */
  readonly reasoningField?: "reasoning_content" | "reasoning" | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself, as OpenAI mostly does. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /** The most bytes that a whole answer, or the tool parameters of a streamed one, may have. Default: 32 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** The most bytes that a line of a stream may have, and the most characters of an event. Default: 1 MiB. */
  readonly maxEventBytes?: number | undefined
}

const module = "OpenAiChat"

/** Checks the options at once; the client comes later. */
const prepare = (provider: string, options: Options): MakeProvider => {
  const endpoint = makeEndpoint(module, "/chat/completions", {
    ...options,
    baseUrl: options.baseUrl ?? "https://api.openai.com/v1",
    headers: {
      ...(options.organization === undefined ? undefined : { "openai-organization": options.organization }),
      ...(options.project === undefined ? undefined : { "openai-project": options.project }),
      ...options.headers
    }
  })
  const maxTokensField = options.maxTokensField ?? "max_completion_tokens"
  if (maxTokensField !== "max_completion_tokens" && maxTokensField !== "max_tokens") {
    throw new RangeError(
      `${module}: \`maxTokensField\` must be "max_completion_tokens" or "max_tokens", got ${
        JSON.stringify(maxTokensField)
      }`
    )
  }
  const dialect = { maxTokensField, streamUsage: options.streamUsage ?? true, reasoningField: options.reasoningField }
  return overChannel(module, { provider, endpoint, protocol: chatProtocol(provider, dialect) }, options.quotaDomain)
}

/**
 * Makes a provider that speaks Chat Completions; `name` is what its errors and receipts call it.
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
 * Serves a named provider over Chat Completions.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (OpenAI, and a model on one's own machine)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { OpenAiChat, Provider } from "effect-bulwark/providers"
 * import { Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.orElse(Llm.model(Ollama, "llama3.2")))
 *
 * const layer = Layer.mergeAll(
 *   OpenAiChat.layer(OpenAi, { apiKey: Redacted.make("sk-...") }),
 *   OpenAiChat.layer(Ollama, { baseUrl: "http://localhost:11434/v1", maxTokensField: "max_tokens" })
 * ).pipe(Layer.provide(FetchHttpClient.layer))
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
 * Serves a named provider over Chat Completions, with options from the configuration.
 *
 * **Details**
 *
 * An option that is not legal is a `ConfigError` here, that names the option.
 *
 * **Example** (A key from the environment)
 *
 * ```ts
 * import { OpenAiChat, Provider } from "effect-bulwark/providers"
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const layer = OpenAiChat.layerConfig(OpenAi, {
 *   apiKey: Config.Redacted("OPENAI_API_KEY"),
 *   baseUrl: Config.String("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1"))
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
