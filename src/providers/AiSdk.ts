/**
 * The models of the Vercel AI SDK: any language model of `@ai-sdk/provider`, specification v4 or v3, as a provider.
 *
 * - One request for each call, sent by the provider's own package. Nothing is retried: models of the SDK do not, only its
 *   `generateText` and `streamText` do, which are not used here.
 * - Every failure is classified, before and during a stream, just as for an adapter of Bulwark's own: by status, codes and words, with
 *   the `Retry-After` of the response.
 * - A stream is complete with its finish part; one that ends without, or that the provider itself calls interrupted, is interrupted.
 * - Calls of tools are handed on when the answer has ended well, and only if their parameters are JSON.
 * - Interrupting the call, or no longer reading its stream, aborts the request.
 *
 * `@ai-sdk/provider` is an optional peer dependency, of which only types are used. So this module has a subpath of its own.
 *
 * **Gotchas**
 *
 * - The request is sent by the SDK's `fetch`, not by the `HttpClient` of Effect. It follows redirects unless it is told not to.
 * - The key belongs to the SDK. Whatever looks like a key is kept out of errors; `secrets` keeps out the others.
 * - What is asked of a file by its address has to be among the model's `supportedUrls`: nothing is downloaded.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { quotaDomainOf } from "./internal/adapter.ts"
import * as Exchange from "./internal/aiSdkExchange.ts"
import { type Model as AnyModel, modelProblem, type Source as AnySource } from "./internal/aiSdkModel.ts"
import type * as Provider from "./Provider.ts"

/**
 * A language model of the AI SDK: a `LanguageModelV4`, or a `LanguageModelV3`.
 *
 * @category models
 * @since 0.1.0
 */
export type Model = AnyModel

/**
 * Where models come from: one model, or a function that finds a model by its name.
 *
 * **Details**
 *
 * A provider of the SDK (`openai`, `createOpenAI({ ... })`) is such a function, and so are its methods (`openai.chat`,
 * `registry.languageModel`). One model answers to its own `modelId` only; all other names are `ModelNotFound`.
 *
 * @category models
 * @since 0.1.0
 */
export type Source = AnySource

/**
 * What the SDK does not say of its provider.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /** What must not stand in an error, beside what looks like a key: the SDK does not hand out the key it was given. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
}

const module = "AiSdk"

/** Checks everything at once. */
const prepare = (name: string, source: Source, options: Options): () => Provider.Provider => {
  const problem = typeof source === "function" ? undefined : modelProblem(source)
  if (problem !== undefined) throw new RangeError(`${module}: \`source\` must be a model or a function: ${problem}`)
  const domain = quotaDomainOf(module, options.quotaDomain)
  const secrets = (options.secrets ?? []).map(Redacted.value)
  // It stands in no property that would be printed.
  const channel: Exchange.Channel = { provider: name, source, secrets }
  return () => ({
    whole: (request) => Exchange.whole(channel, request),
    stream: (request) => Exchange.stream(channel, request),
    ...domain
  })
}

/**
 * Makes a provider of AI SDK models; `name` is what its errors and receipts call it.
 *
 * **When to use**
 *
 * Use where a provider is built by hand. A {@link layer} is what programs need.
 *
 * **Details**
 *
 * Throws a `RangeError` where the source or an option is not legal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, source: Source, options: Options = {}): Provider.Provider =>
  prepare(name, source, options)()

/**
 * Serves a named provider with AI SDK models.
 *
 * **Details**
 *
 * Throws a `RangeError` where the source or an option is not legal: a model of specification v2, for one. Where a function gives such a
 * model, the call fails with `InvalidRequest`.
 *
 * **Example** (Two providers of the SDK, one behind the other)
 *
 * ```ts
 * import { createAnthropic } from "@ai-sdk/anthropic"
 * import { createOpenAI } from "@ai-sdk/openai"
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import * as AiSdk from "effect-bulwark/providers/AiSdk"
 * import { Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini", { reasoningEffort: "low" }).pipe(
 *   Llm.orElse(Llm.model(Anthropic, "claude-haiku-4-5"))
 * )
 *
 * const layer = Layer.mergeAll(
 *   AiSdk.layer(OpenAi, createOpenAI({ apiKey: "sk-..." })),
 *   AiSdk.layer(Anthropic, createAnthropic({ apiKey: "sk-ant-..." }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self>(
  provider: Provider.Key<Self>,
  source: Source,
  options: Options = {}
): Layer.Layer<Self> => Layer.sync(provider, prepare(provider.providerName, source, options))
