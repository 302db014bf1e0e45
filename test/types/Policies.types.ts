/**
 * What every policy does to `E` and `R`, pinned. This file is compiled, never run.
 */
import { type Layer, Schedule } from "effect"
import { Breaker, Fallback, Hedge, Limiter, Llm, type LlmError, Resume, Retry, RetryBudget } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import type { CircuitBreaker, RateLimiter, Redis } from "effect/persistence"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

const openai = Llm.model(OpenAi, "gpt-5-mini")
const anthropic = Llm.model(Anthropic, "claude-haiku-4-5")
type Provided = LlmError.ProviderError
type CallersOwn = LlmError.InvalidRequest | LlmError.ContentFiltered

declare const mine: Llm.Llm<{ readonly _tag: "Mine" } | LlmError.Overloaded, OpenAi>
declare const infallible: Llm.Llm<never, Anthropic>

// ---- Retry.byTag: a schedule like any other ----
expectTypeOf(openai.pipe(Llm.retry(Retry.byTag({ Overloaded: Schedule.recurs(2) })))).toEqualTypeOf<typeof openai>()
// @ts-expect-error a schedule that can fail has no place there
Retry.byTag({ Overloaded: null! as Schedule.Schedule<number, unknown, "no"> })

// ---- Fallback.orElseOn: removes what is named, adds the other's ----
expectTypeOf(openai.pipe(Llm.orElseOn("ContentFiltered", infallible))).toEqualTypeOf<
  Llm.Llm<Exclude<Provided, LlmError.ContentFiltered>, OpenAi | Anthropic>
>()
expectTypeOf(Llm.orElseOn(openai, ["ContentFiltered", "RateLimited"], infallible)).toEqualTypeOf<
  Llm.Llm<Exclude<Provided, LlmError.ContentFiltered | LlmError.RateLimited>, OpenAi | Anthropic>
>()
expectTypeOf(mine.pipe(Llm.orElseOn("Mine", anthropic))).toEqualTypeOf<
  Llm.Llm<Provided, OpenAi | Anthropic>
>()
// @ts-expect-error it does not fail with that
openai.pipe(Llm.orElseOn("TimedOut", infallible))
// @ts-expect-error at least one tag
openai.pipe(Llm.orElseOn([], infallible))

// ---- Fallback.firstOf: removes what fails over, adds AllModelsExhausted ----
expectTypeOf(Fallback.firstOf([openai, anthropic])).toEqualTypeOf<
  Llm.Llm<CallersOwn | LlmError.AllModelsExhausted, OpenAi | Anthropic>
>()
expectTypeOf(Fallback.firstOf([mine, infallible])).toEqualTypeOf<
  Llm.Llm<{ readonly _tag: "Mine" } | LlmError.AllModelsExhausted, OpenAi | Anthropic>
>()
// ... which is itself something to fall back from.
expectTypeOf(Fallback.firstOf([mine]).pipe(Llm.orElse(infallible))).toEqualTypeOf<
  Llm.Llm<{ readonly _tag: "Mine" }, OpenAi | Anthropic>
>()

// ---- Fallback.cascade: the same ----
expectTypeOf(Fallback.cascade([
  { llm: openai, quality: 1, price: 1 },
  { llm: anthropic, quality: 2, price: 2 }
])).toEqualTypeOf<Llm.Llm<CallersOwn | LlmError.AllModelsExhausted, OpenAi | Anthropic>>()
expectTypeOf(Llm.generateText(infallible, { prompt: "?" }).pipe(Fallback.withMinimumQuality(1))).toEqualTypeOf(
  Llm.generateText(infallible, { prompt: "?" })
)

// ---- Breaker.guard: adds CircuitOpen, and StoreUnavailable only where that is asked for ----
expectTypeOf(openai.pipe(Breaker.guard())).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.CircuitOpen, OpenAi | Breaker.Breaker>
>()
expectTypeOf(Breaker.guard(openai, { onStoreError: "allow" })).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.CircuitOpen, OpenAi | Breaker.Breaker>
>()
expectTypeOf(openai.pipe(Breaker.guard({ onStoreError: "fail" }))).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.CircuitOpen | LlmError.StoreUnavailable, OpenAi | Breaker.Breaker>
>()
expectTypeOf(Breaker.layerMemory()).toEqualTypeOf<Layer.Layer<Breaker.Breaker>>()
expectTypeOf(Breaker.layerRedis()).toEqualTypeOf<Layer.Layer<Breaker.Breaker, never, Redis.Redis>>()
expectTypeOf(Breaker.consecutive(5)).toEqualTypeOf<CircuitBreaker.TripPolicy>()

// ---- Limiter.enforce: adds Saturated, and StoreUnavailable only where that is asked for ----
expectTypeOf(openai.pipe(Limiter.enforce())).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.Saturated, OpenAi | Limiter.Limiter>
>()
expectTypeOf(openai.pipe(Limiter.enforce({ onStoreError: "fail" }))).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.Saturated | LlmError.StoreUnavailable, OpenAi | Limiter.Limiter>
>()
expectTypeOf(Limiter.layerMemory({ limits: { concurrency: 8 } })).toEqualTypeOf<Layer.Layer<Limiter.Limiter>>()
expectTypeOf(Limiter.layerRedis({ limits: { requestsPerMinute: 60 } })).toEqualTypeOf<
  Layer.Layer<Limiter.Limiter, never, Redis.Redis>
>()
expectTypeOf<Layer.Services<ReturnType<typeof Limiter.layer>>>().toEqualTypeOf<RateLimiter.RateLimiterStore>()
expectTypeOf(Llm.generateText(infallible, { prompt: "?" }).pipe(Limiter.withPriority("batch"))).toEqualTypeOf(
  Llm.generateText(infallible, { prompt: "?" })
)

// ---- RetryBudget.guard and Llm.hedge: add no failure ----
expectTypeOf(openai.pipe(Llm.retry(Retry.transient), RetryBudget.guard())).toEqualTypeOf<
  Llm.Llm<Provided, OpenAi | RetryBudget.RetryBudget>
>()
expectTypeOf(openai.pipe(Llm.hedge({ after: "2 seconds" }))).toEqualTypeOf<
  Llm.Llm<Provided, OpenAi | RetryBudget.RetryBudget>
>()
openai.pipe(Llm.hedge({ after: Hedge.quantile(0.95) }))
expectTypeOf(RetryBudget.layerMemory()).toEqualTypeOf<Layer.Layer<RetryBudget.RetryBudget>>()
expectTypeOf(RetryBudget.layerRedis()).toEqualTypeOf<Layer.Layer<RetryBudget.RetryBudget, never, Redis.Redis>>()

// ---- Resume: adds no failure, for what cannot be mended stays what it was ----
expectTypeOf(openai.pipe(Resume.restart(anthropic))).toEqualTypeOf<Llm.Llm<Provided, OpenAi | Anthropic>>()
expectTypeOf(infallible.pipe(Resume.restart(openai))).toEqualTypeOf<Llm.Llm<never, OpenAi | Anthropic>>()
expectTypeOf(infallible.pipe(Resume.continue(openai))).toEqualTypeOf<Llm.Llm<never, OpenAi | Anthropic>>()

// ---- Llm.standard: as exact as the same stack by hand ----
const limits = Llm.timeout({ firstPart: "10 seconds", idle: "15 seconds" })
const byHand = Fallback.firstOf([
  openai.pipe(limits, Llm.retry(Retry.transient), Breaker.guard()),
  anthropic.pipe(limits, Llm.retry(Retry.transient), Breaker.guard())
]).pipe(RetryBudget.guard(), Llm.timeout({ total: "2 minutes" }))
expectTypeOf(Llm.standard({ models: [openai, anthropic] })).toEqualTypeOf<typeof byHand>()
expectTypeOf(Llm.standard({ models: [openai, anthropic], resume: "restart" })).toEqualTypeOf<typeof byHand>()
expectTypeOf(Llm.standard({ models: [openai] })).toEqualTypeOf<
  Llm.Llm<
    Provided | LlmError.TimedOut | LlmError.CircuitOpen,
    OpenAi | Breaker.Breaker | RetryBudget.RetryBudget
  >
>()
expectTypeOf(Llm.standard({ models: [openai], breaker: false, retryBudget: false })).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.TimedOut, OpenAi>
>()
expectTypeOf(Llm.standard({ models: [openai], breaker: false, retryBudget: false, hedge: { after: 1_000 } }))
  .toEqualTypeOf<Llm.Llm<Provided | LlmError.TimedOut, OpenAi | RetryBudget.RetryBudget>>()
expectTypeOf(Llm.standard({ models: [openai], breaker: false, limiter: true })).toEqualTypeOf<
  Llm.Llm<
    Provided | LlmError.TimedOut | LlmError.Saturated,
    OpenAi | Limiter.Limiter | RetryBudget.RetryBudget
  >
>()
expectTypeOf(Llm.standard({ models: [openai, anthropic], breaker: { onStoreError: "fail" } })).toEqualTypeOf<
  Llm.Llm<
    CallersOwn | LlmError.StoreUnavailable | LlmError.AllModelsExhausted | LlmError.TimedOut,
    OpenAi | Anthropic | Breaker.Breaker | RetryBudget.RetryBudget
  >
>()
expectTypeOf(Llm.standard({ models: [mine, infallible], breaker: false, retryBudget: false })).toEqualTypeOf<
  Llm.Llm<
    { readonly _tag: "Mine" } | LlmError.AllModelsExhausted | LlmError.TimedOut,
    OpenAi | Anthropic
  >
>()
// Of a list whose length is not known: as the only one fails, or as all of them do.
declare const configured: readonly [typeof openai, ...ReadonlyArray<typeof openai>]
expectTypeOf(Llm.standard({ models: configured, breaker: false, retryBudget: false })).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.TimedOut | LlmError.AllModelsExhausted, OpenAi>
>()
expectTypeOf(Llm.layerStandard()).toEqualTypeOf<Layer.Layer<Breaker.Breaker | RetryBudget.RetryBudget>>()
// @ts-expect-error at least one model
Llm.standard({ models: [] })
// @ts-expect-error there is no such option
Llm.standard({ models: [openai], resume: "again" })
