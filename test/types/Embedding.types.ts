/**
 * What embedding models fail with and need, pinned. This file is compiled, never run.
 */
import { Effect, type Layer } from "effect"
import { LlmError, Retry } from "effect-bulwark"
import { Embedding, Provider } from "effect-bulwark/providers"
import type { EmbeddingModel } from "effect/ai"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const plain = Embedding.model(OpenAi, "text-embedding-3-small")
expectTypeOf(plain).toEqualTypeOf<Embedding.Embedding<LlmError.ProviderError, OpenAi, undefined>>()
const sized = Embedding.model(OpenAi, "text-embedding-3-small", { dimensions: 256 })
expectTypeOf(sized).toEqualTypeOf<Embedding.Embedding<LlmError.ProviderError, OpenAi, 256>>()
expectTypeOf(Embedding.model(OpenAi, "m", { batchSize: 10 })).toEqualTypeOf<typeof plain>()

expectTypeOf(Embedding.embed(plain, "a")).toEqualTypeOf<
  Effect.Effect<ReadonlyArray<number>, LlmError.ProviderError, OpenAi>
>()
expectTypeOf(Embedding.embedMany(sized, ["a"])).toEqualTypeOf<
  Effect.Effect<Provider.Embedded, LlmError.ProviderError, OpenAi>
>()

// ---- what is done around a request adds and removes what it says ----
const retried = sized.pipe(
  Embedding.perRequest(Effect.retry({ schedule: Retry.transient, while: LlmError.isTransient }))
)
expectTypeOf(retried).toEqualTypeOf<typeof sized>()
const limited = plain.pipe(Embedding.perRequest(Effect.timeout("5 seconds")))
expectTypeOf<"TimeoutError" extends EmbedErrorTag<typeof limited> ? true : false>().toEqualTypeOf<true>()
const caught = plain.pipe(Embedding.perRequest(Effect.catchTag("ContextLengthExceeded", () => Effect.die("too long"))))
expectTypeOf<"ContextLengthExceeded" extends EmbedErrorTag<typeof caught> ? true : false>().toEqualTypeOf<false>()

type EmbedErrorTag<M> = M extends Embedding.Embedding<infer E, infer _R> ?
  E extends { readonly _tag: infer T } ? T : never
  : never

// ---- as effect/ai's model: its dimensions only where they were asked for ----
expectTypeOf(Embedding.layerEmbeddingModel(plain)).toEqualTypeOf<
  Layer.Layer<EmbeddingModel.EmbeddingModel, never, OpenAi>
>()
expectTypeOf(Embedding.layerEmbeddingModel(sized)).toEqualTypeOf<
  Layer.Layer<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, never, OpenAi>
>()
declare const perhaps: Embedding.Embedding<never, OpenAi>
expectTypeOf(Embedding.layerEmbeddingModel(perhaps)).toEqualTypeOf<
  Layer.Layer<EmbeddingModel.EmbeddingModel, never, OpenAi>
>()
