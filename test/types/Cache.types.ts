/**
 * What a cache does to `E` and `R`, pinned. This file is compiled, never run.
 */
import type { Effect, Layer, Stream } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { Cache, CacheKey, type CacheStore } from "effect-bulwark/cache"
import { Provider } from "effect-bulwark/providers"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
const openai = Llm.model(OpenAi, "gpt-5-mini")
type Provided = LlmError.ProviderError

const hour = { timeToLive: "1 hour" } as const

// ---- adds a service, and a failure only where it may fail because of its store ----
expectTypeOf(openai.pipe(Cache.through(hour))).toEqualTypeOf<Llm.Llm<Provided, OpenAi | Cache.Cache>>()
expectTypeOf(Cache.through(openai, hour)).toEqualTypeOf<Llm.Llm<Provided, OpenAi | Cache.Cache>>()
expectTypeOf(openai.pipe(Cache.through({ ...hour, onStoreError: "allow" }))).toEqualTypeOf<
  Llm.Llm<Provided, OpenAi | Cache.Cache>
>()
expectTypeOf(openai.pipe(Cache.through({ ...hour, onStoreError: "fail" }))).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.StoreUnavailable, OpenAi | Cache.Cache>
>()
declare const onStoreError: "allow" | "fail"
expectTypeOf(Cache.through(openai, { ...hour, onStoreError })).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.StoreUnavailable, OpenAi | Cache.Cache>
>()
// ... on top of what is inside, and whatever is kept: failures among it.
expectTypeOf(openai.pipe(Budget.enforce({ onStoreError: "allow" }), Cache.through(hour))).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.BudgetExceeded | LlmError.UnknownPrice, OpenAi | Budget.Budget | Cache.Cache>
>()
expectTypeOf(
  openai.pipe(
    Llm.orElseSucceed(() => ""),
    Cache.through({ ...hour, negative: { errors: ["ContentFiltered"], timeToLive: "10 seconds" } })
  )
).toEqualTypeOf<Llm.Llm<never, OpenAi | Cache.Cache>>()

// ---- options ----
// @ts-expect-error there is a time to live
Cache.through({})
// @ts-expect-error no such scope
Cache.through({ ...hour, scope: "team" })
// @ts-expect-error no such failure
Cache.through({ ...hour, negative: { errors: ["Boom"], timeToLive: 1 } })
// @ts-expect-error a failure that is kept has a time of its own
Cache.through({ ...hour, negative: { errors: ["ContentFiltered"] } })

// ---- layers ----
expectTypeOf(Cache.layer()).toEqualTypeOf<Layer.Layer<Cache.Cache, never, CacheStore.CacheStore>>()
expectTypeOf(Cache.layerMemory({ maxEntries: 100 })).toEqualTypeOf<Layer.Layer<Cache.Cache>>()

// ---- what one does with it ----
declare const ask: Effect.Effect<string, LlmError.Overloaded, OpenAi>
expectTypeOf(ask.pipe(Cache.withDirective({ mode: "refresh" }))).toEqualTypeOf(ask)
// @ts-expect-error no such word
Cache.withDirective({ mode: "reload" })
expectTypeOf(Cache.invalidate({ tag: "terms" })).toEqualTypeOf<
  Effect.Effect<void, LlmError.StoreUnavailable, Cache.Cache>
>()
expectTypeOf(Cache.invalidate({ scope: { tenant: "acme" } })).toEqualTypeOf<
  Effect.Effect<void, LlmError.StoreUnavailable, Cache.Cache>
>()
// @ts-expect-error it must be said what
Cache.invalidate({})
expectTypeOf(Cache.clear).toEqualTypeOf<Effect.Effect<void, LlmError.StoreUnavailable, Cache.Cache>>()
expectTypeOf(Cache.statistics).toEqualTypeOf<Effect.Effect<Cache.Statistics, never, Cache.Cache>>()
expectTypeOf(Cache.changes).toEqualTypeOf<Stream.Stream<Cache.Change, never, Cache.Cache>>()
expectTypeOf(CacheKey.userOf({})).toEqualTypeOf<CacheKey.Scope | undefined>()
expectTypeOf(CacheKey.encode({})).toEqualTypeOf<string>()
