/**
 * Embedding models: texts in, vectors out, over the same named providers that answer prompts, with the same keys and the same failures.
 *
 * - One request for each batch, and as few batches as the provider takes. Nothing is retried here: {@link perRequest} says what is done
 *   around each request.
 * - Vectors are in the order of the texts, one for each, finite, all of one length, and of the length that was asked for. An answer that
 *   is otherwise is a `MalformedResponse`, and never half an answer.
 * - An account that has been told to wait (`Retry-After`) waits with its embeddings too, and the other way round.
 *
 * **Gotchas**
 *
 * - Vectors of two models, or of two lengths, have nothing to do with each other: there is no fallback from one to another.
 * - A provider bounds the tokens of a request too. Long texts need smaller batches: set `batchSize`.
 * - Policies of an `Llm` (a limiter, a breaker) do not apply, and there is no receipt.
 *
 * @since 0.1.0
 */
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Pipeable from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import { ownServices } from "../core/internal/ownServices.ts"
import { InvalidRequest, MalformedResponse, type ProviderError, toAiError } from "../core/LlmError.ts"
import { watchedEmbedding } from "./internal/embedWatched.ts"
import { parkingOf } from "./internal/parking.ts"
import type * as Provider from "./Provider.ts"

/**
 * Marks values of {@link Embedding}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: TypeId = "~effect-bulwark/providers/Embedding"

/**
 * Marks values of {@link Embedding}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export type TypeId = "~effect-bulwark/providers/Embedding"

/**
 * An embedding model that may fail with `E` and needs `R`. `Dimensions` is the length of its vectors, where that was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Embedding<out E, out R, out Dimensions extends number | undefined = number | undefined>
  extends Pipeable.Pipeable
{
  readonly [TypeId]: TypeId
  /** The provider's name. */
  readonly provider: string
  /** The provider's name for the model. */
  readonly model: string
  /** How many numbers a vector has, where that was asked for. */
  readonly dimensions: Dimensions
  /** How many requests run at once. */
  readonly concurrency: number
  /** The most texts of one request. */
  readonly batchSize: Effect.Effect<number, never, R>
  /** Embeds some texts in one request. */
  readonly request: (inputs: ReadonlyArray<string>) => Effect.Effect<Provider.Embedded, E, R>
}

/**
 * What can be said of an embedding model.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<Dimensions extends number | undefined = number | undefined> {
  /** How many numbers a vector should have, which not every model lets you choose. Default: as many as the model gives. */
  readonly dimensions?: Dimensions
  /** Any other fields of the request, in the provider's own words, such as Gemini's `taskType`. */
  readonly extra?: { readonly [field: string]: unknown } | undefined
  /** The most texts of one request. Default: as many as the provider takes. */
  readonly batchSize?: number | undefined
  /** How many requests run at once, where the texts are more than one request takes. Default: 1. */
  readonly concurrency?: number | undefined
}

const Proto = {
  [TypeId]: TypeId,
  pipe() {
    return pipeArguments(this, arguments)
  }
}

const make = <E, R, Dimensions extends number | undefined>(
  fields: Omit<Embedding<E, R, Dimensions>, TypeId | "pipe">
): Embedding<E, R, Dimensions> => Object.assign(Object.create(Proto), fields)

const checkCount = (option: string, value: number | undefined): void => {
  if (value === undefined || Number.isSafeInteger(value) && value > 0) return
  throw new RangeError(`Embedding.model: \`${option}\` must be a positive integer, got ${value}`)
}

/**
 * One embedding model of one provider.
 *
 * **Details**
 *
 * A provider that embeds nothing fails with `InvalidRequest`. Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (A question and the text that answers it)
 *
 * ```ts
 * import { Embedding, Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const model = Embedding.model(OpenAi, "text-embedding-3-small", { dimensions: 256 })
 *
 * const { vectors } = await Effect.runPromise(
 *   Embedding.embedMany(model, ["Why is the sky blue?", "Short waves are scattered most."]).pipe(
 *     Effect.provide(ScriptedProvider.layer(OpenAi, []))
 *   )
 * )
 *
 * vectors.map((vector) => vector.length) // => [256, 256]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = <Self, Dimensions extends number | undefined = undefined>(
  provider: Provider.Key<Self>,
  id: string,
  options: Options<Dimensions> = {}
): Embedding<ProviderError, Self, Dimensions> => {
  const { batchSize, concurrency = 1, dimensions, extra } = options
  checkCount("dimensions", dimensions)
  checkCount("batchSize", batchSize)
  checkCount("concurrency", concurrency)
  const origin = { provider: provider.providerName, model: id }

  const send = (
    service: Provider.Provider,
    inputs: ReadonlyArray<string>
  ): Effect.Effect<Provider.Embedded, ProviderError> =>
    Clock.clockWith((clock) => {
      const { embedder } = service
      if (embedder === undefined) {
        return Effect.fail(
          new InvalidRequest({ ...origin, problem: "this provider embeds nothing: ask one that has an `embedder`" })
        )
      }
      const request = { model: id, inputs, dimensions, extra }
      const parking = parkingOf(provider.providerName, service, request)
      const refusal = parking.refusal(clock.currentTimeMillisUnsafe())
      if (refusal !== undefined) return Effect.fail(refusal)
      const sent = embedder.embed(request).pipe(
        Effect.tapError((error) => Effect.sync(() => parking.failed(error, clock.currentTimeMillisUnsafe()))),
        Effect.flatMap((embedded) => {
          const problem = problemOf(embedded, inputs.length, dimensions)
          return problem === undefined
            ? Effect.succeed(embedded)
            : Effect.fail(new MalformedResponse({ ...origin, ...problem }))
        })
      )
      return watchedEmbedding(provider.providerName, request, sent)
    })

  return make({
    ...origin,
    // Left out, it is not there, which is what the type says.
    dimensions: dimensions as Dimensions,
    concurrency,
    batchSize: Effect.map(provider, ({ embedder }) => batchSize ?? embedder?.maxInputs ?? Number.MAX_SAFE_INTEGER),
    request: (inputs) => Effect.flatMap(provider, (service) => send(service, inputs))
  })
}

const problemOf = (
  { vectors }: Provider.Embedded,
  count: number,
  dimensions: number | undefined
): { readonly problem: string; readonly retryable?: boolean } | undefined => {
  if (vectors.length !== count) return { problem: `it has ${vectors.length} vectors for ${count} texts` }
  const length = vectors[0]?.length ?? 0
  if (length === 0) return { problem: "a vector is empty" }
  if (vectors.some((vector) => vector.length !== length)) return { problem: "its vectors are not all of one length" }
  if (vectors.some((vector) => !vector.every(Number.isFinite))) {
    return { problem: "a vector holds something that is not a finite number" }
  }
  // The next answer will be no other.
  return dimensions === undefined || length === dimensions
    ? undefined
    : { problem: `its vectors have ${length} dimensions and not ${dimensions}`, retryable: false }
}

/**
 * Says what is done around each request: retries, a time limit, a permit.
 *
 * **When to use**
 *
 * Use instead of a retry around all of {@link embedMany}, which would embed again, and pay again, what has been embedded.
 *
 * **Details**
 *
 * The type says what it adds and removes.
 *
 * **Example** (Retry what is transient, and not before the provider wants to be asked again)
 *
 * ```ts
 * import { LlmError, Retry } from "effect-bulwark"
 * import { Embedding, Provider } from "effect-bulwark/providers"
 * import { Duration, Effect, Schedule } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const patient = Retry.transient.pipe(
 *   Schedule.setInputType<LlmError.LlmError>(),
 *   Schedule.modifyDelay(({ duration, input }) =>
 *     Effect.succeed(Duration.max(duration, LlmError.retryAfter(input) ?? Duration.zero))
 *   )
 * )
 *
 * const model = Embedding.model(OpenAi, "text-embedding-3-small").pipe(
 *   Embedding.perRequest(Effect.retry({ schedule: patient, while: LlmError.isTransient }))
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const perRequest: {
  <E, R, E2, R2>(
    around: (request: Effect.Effect<Provider.Embedded, E, R>) => Effect.Effect<Provider.Embedded, E2, R2>
  ): <Dimensions extends number | undefined>(
    self: Embedding<E, R, Dimensions>
  ) => Embedding<E2, R | R2, Dimensions>
  <E, R, Dimensions extends number | undefined, E2, R2>(
    self: Embedding<E, R, Dimensions>,
    around: (request: Effect.Effect<Provider.Embedded, E, R>) => Effect.Effect<Provider.Embedded, E2, R2>
  ): Embedding<E2, R | R2, Dimensions>
} = dual(
  2,
  <E, R, Dimensions extends number | undefined, E2, R2>(
    self: Embedding<E, R, Dimensions>,
    around: (request: Effect.Effect<Provider.Embedded, E, R>) => Effect.Effect<Provider.Embedded, E2, R2>
  ): Embedding<E2, R | R2, Dimensions> =>
    make<E2, R | R2, Dimensions>({
      provider: self.provider,
      model: self.model,
      dimensions: self.dimensions,
      concurrency: self.concurrency,
      batchSize: self.batchSize,
      request: (inputs) => around(self.request(inputs))
    })
)

/**
 * Embeds one text.
 *
 * @category embedding
 * @since 0.1.0
 */
export const embed = <E, R>(self: Embedding<E, R>, input: string): Effect.Effect<ReadonlyArray<number>, E, R> =>
  // (A request that succeeds has a vector for each text.)
  Effect.map(self.request([input]), ({ vectors }) => vectors[0] ?? [])

/**
 * Embeds texts, in as few requests as the provider takes.
 *
 * **Details**
 *
 * It succeeds with all vectors or fails with the first failure; requests that are under way then are interrupted. No texts are no
 * request. The tokens are those of all requests, and unknown where they are of one.
 *
 * @category embedding
 * @since 0.1.0
 */
export const embedMany = <E, R>(
  self: Embedding<E, R>,
  inputs: ReadonlyArray<string>
): Effect.Effect<Provider.Embedded, E, R> =>
  inputs.length === 0
    ? Effect.succeed({ vectors: [], inputTokens: 0 })
    : Effect.flatMap(self.batchSize, (size) =>
      Effect.map(
        Effect.forEach(Arr.chunksOf(inputs, size), self.request, { concurrency: self.concurrency }),
        (batches) => ({
          vectors: batches.flatMap(({ vectors }) => vectors),
          inputTokens: batches.reduce<number | undefined>(
            (sum, { inputTokens }) => sum === undefined || inputTokens === undefined ? undefined : sum + inputTokens,
            0
          )
        })
      ))

/**
 * Serves a model as `effect/ai`'s `EmbeddingModel`, and the length of its vectors as its `Dimensions`, where that was asked for.
 *
 * **Details**
 *
 * Failures become the reasons of an `AiError` that `docs/errors.md` lists; their own tag is in the reason's metadata. Single texts that
 * are embedded at the same time share requests.
 *
 * **Example** (Code that knows nothing of providers)
 *
 * ```ts
 * import { Embedding, Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* EmbeddingModel.EmbeddingModel
 *   const { vector } = yield* model.embed("Why is the sky blue?")
 *   return vector.length === (yield* EmbeddingModel.Dimensions)
 * })
 *
 * const layer = Embedding.layerEmbeddingModel(Embedding.model(OpenAi, "text-embedding-3-small", { dimensions: 256 })).pipe(
 *   Layer.provide(ScriptedProvider.layer(OpenAi, []))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => true
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEmbeddingModel = <E, R, Dimensions extends number | undefined>(
  self: Embedding<E, R, Dimensions>
): Layer.Layer<Served<Dimensions>, never, R> =>
  Layer.effectContext(Effect.contextWith((context: Context.Context<R>) =>
    Effect.map(
      EmbeddingModel.make({
        embedMany: ({ inputs }) =>
          embedMany(self, inputs).pipe(
            Effect.mapError((error) => toAiError(error, "embedMany")),
            Effect.map(({ inputTokens, vectors }) => ({
              results: vectors.map((vector) => [...vector]),
              usage: { inputTokens }
            })),
            Effect.updateContext(ownServices(context))
          )
      }),
      (model) => {
        const served = Context.make(EmbeddingModel.EmbeddingModel, model)
        // The condition of the type, which nothing but a cast can follow.
        return (self.dimensions === undefined
          ? served
          : Context.add(served, EmbeddingModel.Dimensions, self.dimensions)) as Context.Context<Served<Dimensions>>
      }
    )
  ))

/**
 * What {@link layerEmbeddingModel} serves.
 *
 * @category models
 * @since 0.1.0
 */
export type Served<Dimensions extends number | undefined> =
  | EmbeddingModel.EmbeddingModel
  | ([Dimensions] extends [number] ? EmbeddingModel.Dimensions : never)
