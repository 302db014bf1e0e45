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
 * - Texts are embedded at the same server: see `Embedding`.
 *
 * **Gotchas**
 *
 * Timeouts are not this module's: put `Llm.timeout` around the model. HTTP clients have limits of their own, though:
 * `fetch` in Node gives up when headers take longer than five minutes, as those of a long answer that is not streamed
 * can.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { layerFromConfig, type MakeProvider, overChannel } from "./internal/adapter.ts"
import type { Dialect } from "./internal/chatDialects.ts"
import { chatProtocol } from "./internal/chatProtocol.ts"
import { defaultMaxEmbedBytes } from "./internal/embed.ts"
import { makeEndpoint } from "./internal/endpoint.ts"
import { openAiEmbed } from "./internal/openAiEmbed.ts"
import { openAiHeaders } from "./internal/openAiHeaders.ts"
import { oneOf } from "./internal/option.ts"
import { compact } from "./internal/read.ts"
import type * as Provider from "./Provider.ts"

export * from "./internal/chatDialects.ts"

/**
 * Where a server is, how it is authorised, and how it likes its requests.
 *
 * **Details**
 *
 * A server that differs from OpenAI's own has a preset, to be given as `dialect`: {@link azure}, {@link azureDeployments},
 * {@link openRouter}, {@link groq}, {@link together}, {@link deepSeek}, {@link mistral}, {@link xai}, {@link vllm}, {@link ollama},
 * {@link llamaCpp}, {@link lmStudio}. What is set beside it wins.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Dialect {
  /** What the server is, where it is not OpenAI's: a preset, or one of your own. Options that are set win over it. */
  readonly dialect?: Dialect | undefined
  /** The key. Leave it out where the server asks for none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** The organisation that is billed, at OpenAI. */
  readonly organization?: string | undefined
  /** The project that is billed, at OpenAI. */
  readonly project?: string | undefined
  /** More headers. They win over all others. Those that are `Redacted` are kept out of spans and logs, like the key. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /**
   * The most bytes that a whole answer, or the tool parameters of a streamed one, may have. Default: 32 MiB, and 128 MiB of embeddings.
   */
  readonly maxBodyBytes?: number | undefined
  /** The most bytes that a line of a stream may have, and the most characters of an event. Default: 1 MiB. */
  readonly maxEventBytes?: number | undefined
}

/**
 * The options in the form that {@link layerConfig} takes: each as a `Config`, but the dialect as it is.
 *
 * @category models
 * @since 0.1.0
 */
export type ConfigOptions =
  | Config.Config<Options>
  | (
    & { readonly dialect?: Dialect | undefined }
    & { readonly [Name in Exclude<keyof Options, "dialect">]?: Config.Wrap<Options[Name]> }
  )

const module = "OpenAiChat"

/** What the words of a dialect may be. */
const words = {
  maxTokensField: ["max_completion_tokens", "max_tokens"],
  seedField: ["seed", "random_seed"],
  reasoningEffort: ["reasoning_effort", "reasoning", "thinking"],
  reasoningField: ["reasoning_content", "reasoning"],
  jsonMode: ["schema", "schema-and-prompt", "prompt"],
  toolChoice: ["named", "words", "ignored"],
  toolCallIds: ["any", "nine"],
  embeddingFormat: ["base64", "float"]
} satisfies { readonly [Name in keyof Dialect]?: ReadonlyArray<Dialect[Name]> }

const checkWords = (options: Dialect): void => {
  for (const [name, allowed] of Object.entries<ReadonlyArray<string>>(words)) {
    oneOf<string | undefined>(module, name, options[name as keyof typeof words], allowed)
  }
}

/** Checks the options at once; the client comes later. */
const prepare = (provider: string, { dialect, ...own }: Options): MakeProvider => {
  // One that is set to `undefined` is not set: else a key could go to another server than its own.
  const options: Omit<Options, "dialect"> = { ...dialect, ...compact(own) }
  checkWords(options)
  const endpoint = (path: string, maxBodyBytes?: number) =>
    makeEndpoint(module, path, {
      ...options,
      maxBodyBytes: options.maxBodyBytes ?? maxBodyBytes,
      baseUrl: options.baseUrl ?? "https://api.openai.com/v1",
      ownHeaders: openAiHeaders(options)
    })
  return overChannel(module, {
    provider,
    endpoint: endpoint("/chat/completions"),
    protocol: chatProtocol(provider, options)
  }, {
    embedding: openAiEmbed(
      provider,
      endpoint("/embeddings", defaultMaxEmbedBytes),
      options.embeddingFormat ?? "base64"
    ),
    quotaDomain: options.quotaDomain
  })
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
 *   OpenAiChat.layer(Ollama, { dialect: OpenAiChat.ollama })
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
 * An option that is not legal is a `ConfigError` here, that names the option. A dialect is given as it is.
 *
 * **Example** (Keys from the environment)
 *
 * ```ts
 * import { OpenAiChat, Provider } from "effect-bulwark/providers"
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Groq extends Provider.Service<Groq>()("groq") {}
 *
 * const layer = Layer.mergeAll(
 *   OpenAiChat.layerConfig(OpenAi, {
 *     apiKey: Config.Redacted("OPENAI_API_KEY"),
 *     baseUrl: Config.String("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1"))
 *   }),
 *   OpenAiChat.layerConfig(Groq, { dialect: OpenAiChat.groq, apiKey: Config.Redacted("GROQ_API_KEY") })
 * ).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @see {@link layer} for options that are known beforehand.
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <Self>(
  provider: Provider.Key<Self>,
  options: ConfigOptions
): Layer.Layer<Self, Config.ConfigError, HttpClient.HttpClient> =>
  layerFromConfig<Self, Options>(
    provider,
    Config.isConfig(options) ? options : { ...options, dialect: Config.succeed(options.dialect) },
    prepare
  )
