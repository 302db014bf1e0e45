/**
 * Anthropic's Messages API, and with it the servers that speak it: gateways, z.ai, and others that offer a route for it.
 *
 * - One request for each call. Nothing is retried and no redirect is followed.
 * - Every failure is classified, before and during a stream, by type, status and the words that the API is known to use.
 * - A stream that has had its stop reason is complete; one that ends without is interrupted.
 * - What a model has thought comes with its signature, and goes back as it came in the next turn.
 * - Interrupting the call, or no longer reading its stream, closes the connection.
 * - Keys are not in errors, spans or logs.
 *
 * **Gotchas**
 *
 * - The API wants to know how long an answer may be. Where neither the model's nor the call's settings say
 *   `maxOutputTokens`, it is `defaultMaxTokens`.
 * - `settings.seed` has no counterpart, and is not sent.
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
import { makeEndpoint } from "./internal/endpoint.ts"
import { messagesProtocol } from "./internal/messagesProtocol.ts"
import { oneOf } from "./internal/option.ts"
import type * as Provider from "./Provider.ts"

/**
 * Where a server is, how it is authorised, and what its models understand.
 *
 * **Details**
 *
 * | Models | Options |
 * | --- | --- |
 * | Anthropic's, from Claude Opus 4.6 and Sonnet 4.6 on | `apiKey` |
 * | Those before, which do not take `thinking: { type: "adaptive" }` | `apiKey`, `thinking: "budget"` |
 * | Those that know no structured output, and most other servers | `apiKey`, `thinking: "budget"`, `jsonFormat: "tool"` |
 * | Behind a gateway with a bearer token | `apiKey`, `apiKeyHeader: "authorization"`, `baseUrl` |
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The key. Leave it out where the server asks for none. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** The header that carries the key: `Authorization` carries it as a bearer token, any other as it is. Default: `x-api-key`. */
  readonly apiKeyHeader?: string | undefined
  /** The URL up to, and without, `/messages`. Default: `https://api.anthropic.com/v1`. */
  readonly baseUrl?: string | undefined
  /** The version of the API. `2026-10-21` refuses `temperature` and `topP`. Default: `2023-06-01`. */
  readonly version?: string | undefined
  /** The names of beta features to switch on, for the header `anthropic-beta`. */
  readonly betas?: ReadonlyArray<string> | undefined
  /** Parameters of the URL. */
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** More headers. They win over all others. Those that are `Redacted` are kept out of spans and logs, like the key. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** The most tokens of an answer for which no setting says it, thoughts included. Default: 8192. */
  readonly defaultMaxTokens?: number | undefined
  /**
   * How `settings.reasoningEffort` is said. `adaptive`: the model decides how much to think, guided by `output_config.effort`, which
   * is sent as it is (`low`, `medium`, `high`, ...). `budget`: as a number of tokens that thoughts may have, which is a share of
   * the output (`minimal` 10 %, `low` 20 %, `medium` 50 %, `high` 80 %, `xhigh` 90 %, `max` 95 %, at least 1024 tokens), or the
   * number itself (`"2048"`). `none` switches thinking off either way. Default: `adaptive`.
   */
  readonly thinking?: "adaptive" | "budget" | undefined
  /**
   * How JSON of a schema is asked for. `schema`: as structured output, which the API enforces. `tool`: as the parameters of a tool
   * that has to be called, which older models and other servers understand too. A schema that the API cannot enforce (its root is no
   * object, it refers to itself) is always asked for as a tool. Default: `schema`.
   */
  readonly jsonFormat?: "schema" | "tool" | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /** The most bytes that a whole answer, or the tool parameters of a streamed one, may have. Default: 32 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** The most bytes that a line of a stream may have, and the most characters of an event. Default: 1 MiB. */
  readonly maxEventBytes?: number | undefined
}

const module = "AnthropicMessages"

/** Checks the options at once; the client comes later. */
const prepare = (provider: string, options: Options): MakeProvider => {
  const betas = options.betas ?? []
  for (const beta of betas) {
    if (!/^[\w.:-]+$/.test(beta)) {
      throw new RangeError(`${module}: \`betas\` must be names of features, got ${JSON.stringify(beta)}`)
    }
  }
  const defaultMaxTokens = options.defaultMaxTokens ?? 8192
  if (!Number.isSafeInteger(defaultMaxTokens) || defaultMaxTokens < 1) {
    throw new RangeError(`${module}: \`defaultMaxTokens\` must be a positive number of tokens, got ${defaultMaxTokens}`)
  }
  const dialect = {
    defaultMaxTokens,
    thinking: oneOf(module, "thinking", options.thinking, ["adaptive", "budget"]) ?? "adaptive",
    jsonFormat: oneOf(module, "jsonFormat", options.jsonFormat, ["schema", "tool"]) ?? "schema"
  }
  const endpoint = makeEndpoint(module, "/messages", {
    ...options,
    apiKeyHeader: options.apiKeyHeader ?? "x-api-key",
    baseUrl: options.baseUrl ?? "https://api.anthropic.com/v1",
    ownHeaders: [
      ["version", "anthropic-version", options.version ?? "2023-06-01"],
      ["betas", "anthropic-beta", betas.length === 0 ? undefined : betas.join(",")]
    ]
  })
  return overChannel(module, { provider, endpoint, protocol: messagesProtocol(provider, dialect) }, {
    quotaDomain: options.quotaDomain
  })
}

/**
 * Makes a provider that speaks the Messages API; `name` is what its errors and receipts call it.
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
 * Serves a named provider over the Messages API.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (A long system prompt that is kept in the cache)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { AnthropicMessages, Provider } from "effect-bulwark/providers"
 * import { Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}
 *
 * const program = Llm.generateText(Llm.model(Anthropic, "claude-sonnet-4-6", { maxOutputTokens: 1000 }), {
 *   prompt: [
 *     {
 *       role: "system",
 *       content: "The handbook: ...",
 *       options: { anthropic: { cacheControl: { type: "ephemeral" } } }
 *     },
 *     { role: "user", content: "How do I file expenses?" }
 *   ]
 * })
 *
 * const layer = AnthropicMessages.layer(Anthropic, { apiKey: Redacted.make("sk-ant-...") }).pipe(
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
 * Serves a named provider over the Messages API, with options from the configuration.
 *
 * **Details**
 *
 * An option that is not legal is a `ConfigError` here, that names the option.
 *
 * **Example** (A key from the environment)
 *
 * ```ts
 * import { AnthropicMessages, Provider } from "effect-bulwark/providers"
 * import { Config, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}
 *
 * const layer = AnthropicMessages.layerConfig(Anthropic, {
 *   apiKey: Config.Redacted("ANTHROPIC_API_KEY")
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
