/**
 * Any `LanguageModel` of `effect/ai` as a provider: the models of Effect's own packages, of others, and of one's own, with our
 * policies around them.
 *
 * - One call of the model for each call. It runs no tools: their calls are parts of the answer.
 * - What an `AiError` says is classified anew by status, headers, body and codes, as far as it has them, before and during a stream.
 * - A stream that has had its `finish` part is complete; one that ends without is interrupted.
 * - Interrupting the call, or no longer reading its stream, interrupts the model.
 *
 * **Gotchas**
 *
 * - A `LanguageModel` takes no settings with a request. Those that are set are an `InvalidRequest`, unless `withRequest` passes
 *   them on.
 * - It streams no JSON: such an answer comes in one piece, even where it is streamed.
 * - Whatever the model retries by itself cannot be seen. Switch it off: retries belong to one owner.
 *
 * @since 0.1.0
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"
import type { Settings } from "../core/Call.ts"
import { ModelNotFound, type ProviderError } from "../core/LlmError.ts"
import { quotaDomainOf } from "./internal/adapter.ts"
import { type Bridge, makeProvider } from "./internal/languageModelExchange.ts"
import { oneOf } from "./internal/option.ts"
import type * as Provider from "./Provider.ts"

/**
 * How requests are passed on for which `LanguageModel` has no words, and what shares a quota.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Runs a request with what `LanguageModel` has no words for: settings, and the model's name. Most packages read them from a
   * service of their own (`OpenAiLanguageModel.withConfigOverride`). It is run around a full answer, and around the beginning of
   * a streamed one; the services it provides are there until the end of both.
   */
  readonly withRequest?:
    | (<A>(
      answer: Effect.Effect<A, ProviderError>,
      request: Provider.Request
    ) => Effect.Effect<A, ProviderError>)
    | undefined
  /** The settings that `withRequest` passes on. Default: none. */
  readonly settings?: ReadonlyArray<keyof Settings> | undefined
  /** What becomes of a request with other settings: it is an `InvalidRequest`, or goes without them. Default: `fail`. */
  readonly otherSettings?: "fail" | "ignore" | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
}

const module = "LanguageModelProvider"

/** Checks the options at once; the models come later. */
const prepare = (
  provider: string,
  options: Options
): (modelOf: Bridge["modelOf"]) => Provider.Provider => {
  const { settings = [], withRequest } = options
  const otherSettings = oneOf(module, "otherSettings", options.otherSettings, ["fail", "ignore"])
  const domain = quotaDomainOf(module, options.quotaDomain)
  if (settings.length > 0 && withRequest === undefined) {
    throw new RangeError(
      `${module}: \`settings\` names what \`withRequest\` passes on, but there is no \`withRequest\``
    )
  }
  const supported = otherSettings === "ignore" ? "all" : new Set(settings)
  return (modelOf) => ({ ...makeProvider({ provider, modelOf, withRequest, supported }), ...domain })
}

/**
 * Makes a provider of the `LanguageModel` in the context; `name` is what its errors and receipts call it.
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
): Effect.Effect<Provider.Provider, never, LanguageModel.LanguageModel> => {
  const provider = prepare(name, options)
  return Effect.map(LanguageModel.LanguageModel, (model) => provider(() => Effect.succeed(model)))
}

/**
 * Serves a named provider by one `LanguageModel`, whatever model is asked for.
 *
 * **When to use**
 *
 * Use for a model that is bound to one name already, or that learns the name in `withRequest`.
 *
 * **Details**
 *
 * The name of the model is what errors and receipts say. Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (A model that is there already)
 *
 * ```ts
 * import { Llm, Retry } from "effect-bulwark"
 * import { LanguageModelProvider, Provider } from "effect-bulwark/providers"
 * import { Effect, Layer, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * class Local extends Provider.Service<Local>()("local") {}
 *
 * const echo = Layer.effect(
 *   LanguageModel.LanguageModel,
 *   LanguageModel.make({
 *     generateText: () => Effect.succeed([{ type: "text", text: "Hello!" }]),
 *     streamText: () => Stream.empty
 *   })
 * )
 *
 * const llm = Llm.model(Local, "echo").pipe(Llm.retry(Retry.transient))
 *
 * const answer = await Llm.generateText(llm, { prompt: "Hello?" }).pipe(
 *   Effect.provide(LanguageModelProvider.layer(Local).pipe(Layer.provide(echo))),
 *   Effect.runPromise
 * )
 *
 * answer.text // => "Hello!"
 * ```
 *
 * @see {@link layerModels} for several models.
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self>(
  provider: Provider.Key<Self>,
  options: Options = {}
): Layer.Layer<Self, never, LanguageModel.LanguageModel> => Layer.effect(provider, make(provider.providerName, options))

/**
 * Serves a named provider by a layer for each model.
 *
 * **Details**
 *
 * All of them are built with the provider and live as long; what they share is built once. If one cannot be built, neither can
 * the provider. A model that has no layer is `ModelNotFound`. Throws a `RangeError` that names the option, where one is not
 * legal.
 *
 * **Example** (Two models)
 *
 * ```ts
 * import { LanguageModelProvider, Provider } from "effect-bulwark/providers"
 * import { Effect, Layer, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * class Local extends Provider.Service<Local>()("local") {}
 *
 * const model = (answer: string) =>
 *   Layer.effect(
 *     LanguageModel.LanguageModel,
 *     LanguageModel.make({
 *       generateText: () => Effect.succeed([{ type: "text", text: answer }]),
 *       streamText: () => Stream.empty
 *     })
 *   )
 *
 * const layer = LanguageModelProvider.layerModels(Local, { polite: model("Good day."), short: model("Hi.") })
 * ```
 *
 * @see {@link layerLookup} for models whose names are not known beforehand.
 * @category layers
 * @since 0.1.0
 */
export const layerModels = <
  Self,
  const Models extends {
    readonly [model: string]: Layer.Layer<LanguageModel.LanguageModel, unknown, unknown>
  }
>(
  provider: Provider.Key<Self>,
  models: Models,
  options: Options = {}
): Layer.Layer<Self, Layer.Error<Models[keyof Models]>, Layer.Services<Models[keyof Models]>> => {
  const prepared = prepare(provider.providerName, options)
  type Model = Models[keyof Models]
  const entries = Object.entries(models) as Array<
    // (What each of them can fail with and needs is in the union of all.)
    [string, Layer.Layer<LanguageModel.LanguageModel, Layer.Error<Model>, Layer.Services<Model>>]
  >
  return Layer.effect(
    provider,
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      // One for all of them, so that what they share is built once.
      const memoMap = Layer.CurrentMemoMap.forkOrCreate(yield* Effect.context<never>())
      const byId = new Map<string, LanguageModel.LanguageModel>()
      for (const [id, layer] of entries) {
        const built = yield* Layer.buildWithMemoMap(layer, memoMap, scope)
        byId.set(id, Context.get(built, LanguageModel.LanguageModel))
      }
      return prepared((id) => {
        const model = byId.get(id)
        return model === undefined ? Effect.fail(notFound(provider, id)) : Effect.succeed(model)
      })
    })
  )
}

const notFound = (provider: { readonly providerName: string }, model: string): ModelNotFound =>
  new ModelNotFound({ provider: provider.providerName, model })

/**
 * Serves a named provider by a function from the name of a model to its layer.
 *
 * **When to use**
 *
 * Use where the names of the models are not known beforehand.
 *
 * **Details**
 *
 * A layer is built when its model is first asked for, and lives as long as the provider; what several of them share is built
 * once. If building fails, so does the call, and the next one tries again: a layer that can fail must do so with a
 * `ProviderError`. A name without a layer is `ModelNotFound`. Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * A name that comes from outside and always has a layer is a layer for ever: answer `undefined` for names that you do not know.
 *
 * **Example** (Whatever begins with `echo-`)
 *
 * ```ts
 * import { LanguageModelProvider, Provider } from "effect-bulwark/providers"
 * import { Effect, Layer, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * class Local extends Provider.Service<Local>()("local") {}
 *
 * const model = (answer: string) =>
 *   Layer.effect(
 *     LanguageModel.LanguageModel,
 *     LanguageModel.make({
 *       generateText: () => Effect.succeed([{ type: "text", text: answer }]),
 *       streamText: () => Stream.empty
 *     })
 *   )
 *
 * const layer = LanguageModelProvider.layerLookup(
 *   Local,
 *   (id) => id.startsWith("echo-") ? model(id.slice(5)) : undefined
 * )
 * ```
 *
 * @see {@link layerModels} for models that are known.
 * @category layers
 * @since 0.1.0
 */
export const layerLookup = <
  Self,
  L extends Layer.Layer<LanguageModel.LanguageModel, ProviderError, unknown>
>(
  provider: Provider.Key<Self>,
  lookup: (model: string) => L | undefined,
  options: Options = {}
): Layer.Layer<Self, never, Layer.Services<L>> => {
  const prepared = prepare(provider.providerName, options)
  return Layer.effect(
    provider,
    Effect.gen(function*() {
      // A model is built from what the provider was made with, whoever asks for it first.
      const services = Layer.succeedContext(yield* Effect.context<Layer.Services<L>>())
      const layers = yield* LayerMap.make((id: string) => {
        // (What it can fail with and needs is in `L`.)
        const layer = lookup(id) as
          | Layer.Layer<LanguageModel.LanguageModel, ProviderError, Layer.Services<L>>
          | undefined
        return layer === undefined
          ? Layer.effect(LanguageModel.LanguageModel, Effect.fail(notFound(provider, id)))
          : Layer.provide(layer, services)
      }, { idleTimeToLive: Duration.infinity })
      return prepared((id) =>
        layers.contextEffect(id).pipe(
          Effect.map((context) => Context.get(context, LanguageModel.LanguageModel)),
          // What failed is not kept. (Whoever only stopped waiting for it has not failed.)
          Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : layers.invalidate(id))
        )
      )
    })
  )
}
