/**
 * An upstream that answers requests to models: the boundary between Bulwark and a wire protocol.
 *
 * Each provider is a service with a name and a type of its own, so that the `R` of a program lists exactly the upstreams it
 * can touch, and a test swaps each of them by a Layer.
 *
 * - A provider sends exactly one request for each call. It never retries and never follows a redirect.
 * - It classifies every failure into a `ProviderError`, before and during a stream.
 * - Its stream ends with a `finish` part. One that ends without is interrupted, which Bulwark sees to.
 * - A hint to wait (`Retry-After`) parks the whole account: until then every call of its quota domain fails with `RateLimited`
 *   at once, and nothing is sent. A retry around it waits for as long as that takes.
 *
 * **Gotchas**
 *
 * Two accounts with one protocol are two providers: give each a class.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Call from "../core/Call.ts"
import { openAttempt } from "../core/internal/openAttempt.ts"
import * as Llm from "../core/Llm.ts"
import type { ProviderError } from "../core/LlmError.ts"
import type { Opened } from "../core/Opened.ts"
import type { AnswerPart, ProviderPart } from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"
import { parkingOf } from "./internal/parking.ts"

/**
 * What one model of a provider is asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request extends Call.Request {
  /** The provider's name for the model. */
  readonly model: string
  /** To be called when the response begins, whatever its status, with what its headers say of the provider's limits. */
  readonly onResponse?: ((limits: ReadonlyArray<Call.RateLimit>) => void) | undefined
}

/**
 * What an embedding model of a provider is asked, in one request.
 *
 * @category models
 * @since 0.1.0
 */
export interface EmbedRequest {
  /** The provider's name for the model. */
  readonly model: string
  /** The texts: at least one, and no more than the provider takes at once. */
  readonly inputs: ReadonlyArray<string>
  /** How many numbers a vector should have. Default: as many as the model gives. */
  readonly dimensions?: number | undefined
  /** Any other fields of the request, in the provider's own words. */
  readonly extra?: { readonly [field: string]: unknown } | undefined
}

/**
 * Vectors, and what they cost.
 *
 * @category models
 * @since 0.1.0
 */
export interface Embedded {
  /** One vector a text, in the order of the texts. */
  readonly vectors: ReadonlyArray<ReadonlyArray<number>>
  /** The tokens of the texts, where the provider says how many they are. */
  readonly inputTokens: number | undefined
}

/**
 * What a provider embeds with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Embedder {
  /** Embeds some texts, in one request. */
  readonly embed: (request: EmbedRequest) => Effect.Effect<Embedded, ProviderError>
  /** The most texts that one request may have. */
  readonly maxInputs: number
}

/**
 * An upstream that answers requests to models.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider {
  /** Asks for the whole answer at once. */
  readonly whole: (request: Request) => Effect.Effect<ReadonlyArray<AnswerPart>, ProviderError>
  /** Asks for the answer in parts, as they come. */
  readonly stream: (request: Request) => Stream.Stream<ProviderPart, ProviderError>
  /** Embeds texts, where the provider can: see `Embedding`. */
  readonly embedder?: Embedder | undefined
  /**
   * Which requests share a quota. When the provider tells one of them to wait (`retryAfter`), all of its domain wait: until
   * then nothing of it is sent. Default: the account, which is all of them.
   */
  readonly quotaDomain?: ((request: Request | EmbedRequest) => string) | undefined
}

/**
 * The class of a named provider: a service key that knows the provider's name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key<in out Self> extends Context.Service<Self, Provider> {
  /** The provider's name, as receipts, plans and errors give it. */
  readonly providerName: string
}

/**
 * The class of a named provider, to be extended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Class<Self, Name extends string>
  extends Context.ServiceClass<Self, `effect-bulwark/providers/Provider/${Name}`, Provider>
{
  readonly providerName: Name
}

/**
 * Declares a named provider.
 *
 * **Example** (Two upstreams, two types)
 *
 * ```ts
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * OpenAi.providerName // => "openai"
 * Ollama.providerName // => "ollama"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self>() => <const Name extends string>(name: Name): Class<Self, Name> =>
  Object.assign(
    Context.Service<Self, Provider>()(`effect-bulwark/providers/Provider/${name}` as const),
    { providerName: name }
  )

/**
 * One model of one provider: what every stack of policies is built around.
 *
 * **Details**
 *
 * Settings given here are the model's own defaults: those of `Llm.withSettings` around it win, and those of the call win over
 * all.
 *
 * **Example** (A model with its settings)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini", { reasoningEffort: "low", maxOutputTokens: 800 })
 *
 * llm.plan.detail // => "openai/gpt-5-mini"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = <Self>(
  provider: Key<Self>,
  id: string,
  settings?: Call.Settings
): Llm.Llm<ProviderError, Self> => {
  const target: Call.Target = { provider: provider.providerName, model: id }
  return Llm.make({
    plan: Plan.model(provider.providerName, id, settings),
    open: (call) =>
      Effect.flatMap(provider, (service) => {
        const asked: Call.Request = settings === undefined
          ? call.request
          : { ...call.request, settings: Call.mergeSettings(settings, call.request.settings) }
        return call.prepare === undefined
          ? send(service, target, call, asked)
          : Effect.flatMap(call.prepare(target, asked), (prepared) => send(service, target, call, prepared))
      })
  })
}

/** Sends one request, unless the account has been told to wait. */
const send = (
  service: Provider,
  { model, provider }: Call.Target,
  call: Call.Call,
  asked: Call.Request
): Effect.Effect<Opened, ProviderError, Scope.Scope> => {
  const request: Request = { ...asked, model, onResponse: call.pulse?.response }
  const parking = parkingOf(provider, service, request)
  const refusal = parking.refusal(call.recorder.now())
  if (refusal !== undefined) {
    call.recorder.event("rejected", refusal._tag)
    return Effect.fail(refusal)
  }
  return openAttempt(call, {
    provider,
    model,
    request,
    whole: (settings) => service.whole(settings === request.settings ? request : { ...request, settings }),
    stream: (settings) => service.stream(settings === request.settings ? request : { ...request, settings }),
    failed: (error) => parking.failed(error, call.recorder.now())
  })
}
