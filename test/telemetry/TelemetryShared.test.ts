/**
 * Callers that come, read and go at random, over flights, caches, hedges, retries and resumes that they share, in any order that a scheduler
 * may choose: what metrics add up to is what receipts add up to, and what the providers have seen, and every span has its end and its place.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Option, Schedule, Scheduler, Stream, Tracer } from "effect"
import { Llm, type Receipt, Resume, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache, SingleFlight } from "effect-bulwark/cache"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { type Dice, dice, scheduler } from "../cache/support/seeded.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, type Numbers, numbers } from "./support/recorded.ts"

const seeds = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 150)
const first = Number(process.env["BULWARK_TEST_SEED"] ?? 1)

const tick = 5

const usage = { inputTokens: { total: 100, cacheRead: 40 }, outputTokens: { total: 20, reasoning: 5 } }

/** What a provider does in its nth call. */
const stepOf = (chance: Dice, n: number): ScriptedProvider.Step => {
  const words = Array.from({ length: 1 + chance.below(4) }, (_, word) => `${n}.${word} `)
  const timing = { delay: tick * chance.below(8), between: tick * chance.below(4) }
  switch (chance.below(8)) {
    case 0:
      return ScriptedProvider.fail(chance.pick(["Overloaded", "InvalidRequest"]), timing)
    case 1:
      return ScriptedProvider.breakOff(words, chance.pick(["cut", "ServerError"]), timing)
    case 2:
      return ScriptedProvider.silence
    default:
      return ScriptedProvider.text(words, { ...timing, usage })
  }
}

const budget = Budget.layer({ limits: [{ resource: "usd", limit: "1000", window: Budget.total }] }).pipe(Layer.provide([
  BudgetStore.layerMemory,
  TokenCount.layerEstimate(),
  Pricing.layerOf([
    Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 10 } }),
    Pricing.model({ provider: "anthropic", model: "claude-haiku-4-5", price: { input: 2, output: 20 } })
  ])
]))

type Services =
  | OpenAi
  | Anthropic
  | SingleFlight.SingleFlight
  | Cache.Cache
  | Budget.Budget
  | RetryBudget.RetryBudget

/** A stack that is shared in one way or another, or not at all. */
const stackOf = (chance: Dice): Llm.Llm<unknown, Services> => {
  const retried = openai.pipe(
    Llm.timeout({ firstPart: 6 * tick, idle: 4 * tick }),
    Llm.retry(Schedule.spaced(tick).pipe(Schedule.upTo({ times: 2 })))
  )
  const answered = chance.pick([
    (): Llm.Llm<unknown, OpenAi | Anthropic | RetryBudget.RetryBudget> => retried,
    () => retried.pipe(Llm.orElse(anthropic)),
    () => retried.pipe(Llm.hedge({ after: 3 * tick, maxExtra: 1 }), Llm.orElse(anthropic)),
    () => retried.pipe(Resume.continue(anthropic)),
    () => retried.pipe(Resume.restart(anthropic))
  ])()
  const paid = answered.pipe(Budget.enforce({ maxOutputTokens: 100 }))
  const shared = chance.pick([
    (): Llm.Llm<unknown, Services> => paid,
    () => paid.pipe(SingleFlight.share({ key: () => "the same" })),
    () => paid.pipe(SingleFlight.share({ key: () => "the same" })),
    () => paid.pipe(Cache.through({ timeToLive: 8 * tick })),
    () => paid.pipe(Cache.through({ timeToLive: 4 * tick, staleWhileRevalidate: 20 * tick }))
  ])()
  return chance.pick([
    (): Llm.Llm<unknown, Services> => shared,
    () => shared,
    () => shared.pipe(Llm.timeout({ total: 12 * tick })),
    () => shared.pipe(Llm.hedge({ after: 4 * tick, maxExtra: 1 })),
    () => shared.pipe(Llm.retry(Schedule.recurs(1)))
  ])()
}

interface Plan {
  readonly comes: number
  readonly leaves: number | undefined
  readonly call: Effect.Effect<unknown, unknown, Services>
}

const planOf = (chance: Dice, llm: Llm.Llm<unknown, Services>): Plan => {
  const pace = chance.pick([0, 0, tick, 4 * tick])
  return {
    comes: chance.below(16),
    leaves: chance.chance(0.4) ? chance.below(24) : undefined,
    call: chance.chance(0.5)
      ? Llm.generateText(llm, question)
      : Stream.runForEach(Llm.streamText(llm, question), () => pace === 0 ? Effect.void : Effect.sleep(pace))
  }
}

/** Whatever is due has been done, so that time can go on. */
const quiet = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

// ---------------------------------------------------------------------------------------------------------------------
// sums
// ---------------------------------------------------------------------------------------------------------------------

/** Adds up by key. */
class Sums {
  private readonly sums = new Map<string, number>()

  add(key: string, amount: number): void {
    if (amount !== 0) this.sums.set(key, (this.sums.get(key) ?? 0) + amount)
  }

  get all(): ReadonlyArray<readonly [string, number]> {
    return [...this.sums].map(([key, sum]) => [key, Math.round(sum * 1e6) / 1e6] as const).toSorted()
  }
}

const ofMetrics = (counted: Numbers): Sums => {
  const sums = new Sums()
  for (const [series, value] of Object.entries(counted)) {
    const [, name = "", labels = ""] = /^([^{]*)\{?([^}]*)/.exec(series) ?? []
    const label = (key: string) => new RegExp(`(?:^|,)${key}=([^,]*)`).exec(labels)?.[1]
    const [count, sum] = typeof value === "number" ? [value, value] : value
    switch (name) {
      case "llm_attempts_total":
        sums.add(`attempts ${label("endpoint")} ${label("outcome")}`, count)
        break
      case "gen_ai.client.operation.duration":
        sums.add("attempts in time", count)
        sums.add("seconds of attempts", sum)
        break
      case "llm_tokens_used_total":
        sums.add(`tokens ${label("type")}`, sum)
        break
      case "gen_ai.client.token.usage":
        sums.add(`all tokens ${label("gen_ai.token.type")}`, sum)
        break
      case "llm_request_cost_dollars":
        sums.add("priced", count)
        sums.add("dollars", sum)
        break
      case "llm_policy_events_total":
        sums.add(`decided ${label("type")}`, count)
        break
      case "llm_request_duration_seconds":
        sums.add(`operations ${label("outcome")}`, count)
        sums.add("seconds of operations", sum)
        break
      case "llm_cache_results_total":
        sums.add(`cache ${label("result")}`, count)
        break
      case "llm_cache_saved_tokens_total":
        sums.add("saved tokens", sum)
        break
      case "llm_cache_saved_dollars_total":
        sums.add("saved dollars", sum)
        break
      case "llm_requests_in_flight":
      case "llm_attempts_in_flight":
        sums.add(name, sum)
        break
    }
  }
  return sums
}

const ofReceipts = (receipts: ReadonlyArray<Receipt.Receipt>, refreshes: ReadonlySet<string>): Sums => {
  const sums = new Sums()
  for (const receipt of receipts) {
    const { attempts, cache, events, operationId, outcome, saved = 0, savedUsage, timings } = receipt
    for (const { cost, durationMillis, outcome, provider, usage } of attempts) {
      sums.add(`attempts ${provider} ${outcome}`, 1)
      sums.add("attempts in time", 1)
      sums.add("seconds of attempts", durationMillis / 1000)
      if (cost !== undefined) {
        sums.add("priced", 1)
        sums.add("dollars", cost / 1e6)
      }
      if (usage === undefined) continue
      sums.add("tokens input", usage.inputUncached)
      sums.add("tokens cache_read", usage.inputCacheRead)
      sums.add("tokens output", usage.outputText)
      sums.add("tokens reasoning", usage.outputReasoning)
      sums.add("all tokens input", usage.inputUncached + usage.inputCacheRead)
      sums.add("all tokens output", usage.outputText + usage.outputReasoning)
    }
    for (const { type } of events) sums.add(`decided ${type}`, 1)
    if (!refreshes.has(operationId)) {
      sums.add(`operations ${outcome}`, 1)
      sums.add("seconds of operations", timings.totalMillis / 1000)
      if (cache !== undefined) sums.add(`cache ${cache}`, 1)
    }
    if (savedUsage !== undefined) {
      sums.add(
        "saved tokens",
        savedUsage.inputUncached + savedUsage.inputCacheRead + savedUsage.outputText + savedUsage.outputReasoning
      )
    }
    sums.add("saved dollars", saved / 1e6)
  }
  return sums
}

// ---------------------------------------------------------------------------------------------------------------------
// the crowd
// ---------------------------------------------------------------------------------------------------------------------

const play = (seed: number) => {
  const chance = dice(seed)
  const { spans, tracer } = makeTracer()
  const receipts = makeReceipts()
  const providers = [
    ScriptedProvider.make(OpenAi, (_, n) => stepOf(chance, n)),
    ScriptedProvider.make(Anthropic, (_, n) => stepOf(chance, n))
  ] as const
  const llm = stackOf(chance)
  const plans = Array.from({ length: 2 + chance.below(6) }, () => planOf(chance, llm))

  const crowd = Effect.gen(function*() {
    const callers: Array<{ readonly plan: Plan; readonly fiber: Fiber.Fiber<unknown, unknown> }> = []
    for (let now = 0; now < 25; now++) {
      for (const plan of plans) {
        if (plan.comes !== now) continue
        const fiber = yield* receipts.observe(plan.call).pipe(Effect.forkDetach({ startImmediately: true }))
        callers.push({ plan, fiber })
      }
      for (const { fiber, plan } of callers) {
        if (plan.leaves === now) yield* Effect.forkDetach(Fiber.interrupt(fiber))
      }
      yield* quiet
      yield* TestClock.adjust(tick)
    }
    for (let n = 0; n < 10; n++) {
      yield* TestClock.adjust(30 * tick)
      yield* quiet
    }
    yield* Effect.forEach(callers, ({ fiber }) => Fiber.interrupt(fiber), { concurrency: "unbounded" })
    // (A cache renews for itself, within its lease.)
    yield* TestClock.adjust("10 minutes")
    yield* quiet
  })

  const program = Effect.gen(function*() {
    const layers = Layer.mergeAll(
      Telemetry.layer(),
      providers[0].layer,
      providers[1].layer,
      budget,
      SingleFlight.layer(),
      Cache.layerMemory(),
      RetryBudget.layerMemory(),
      Layer.succeed(Tracer.Tracer, tracer)
    )
    yield* Effect.provide(crowd, layers)
    yield* quiet

    const refreshes = new Set(
      spans.flatMap(({ attributes }) =>
        attributes.get("bulwark.cache.refresh") === true ? [String(attributes.get("bulwark.operation.id"))] : []
      )
    )
    const sums = ofReceipts(receipts.seen, refreshes).all
    assert.deepStrictEqual(ofMetrics(yield* numbers).all, sums)

    // What providers have seen stands on receipts, once.
    const asked = providers.flatMap(({ calls }) => calls)
    const attempts = receipts.seen.flatMap(({ attempts }) => attempts)
    const given = (of: ReadonlyArray<{ readonly outcome?: string | undefined }>, outcome: string) =>
      of.filter((one) => one.outcome === outcome).length
    assert.strictEqual(given(attempts, "success"), given(asked, "success"))
    // (Between the record of a request and the request a fiber may be interrupted.)
    assert.isAtLeast(attempts.length, asked.length)
    assert.isAtMost(attempts.length - asked.length, given(attempts, "interrupted"))

    // Every span has its end and its place.
    const byId = new Map(receipts.seen.map((receipt) => [receipt.operationId, receipt]))
    const operations = spans.filter(({ name }) => name.startsWith("chat "))
    const requests = spans.filter(({ name }) => name.startsWith("attempt "))
    assert.deepStrictEqual(spans.filter(({ status }) => status._tag !== "Ended").map(({ name }) => name), [])
    assert.strictEqual(operations.length, receipts.seen.length)
    assert.strictEqual(operations.length + requests.length, spans.length)
    for (const { attributes } of operations) {
      const receipt = byId.get(String(attributes.get("bulwark.operation.id")))
      assert.strictEqual(attributes.get("bulwark.outcome"), receipt?.outcome)
      assert.strictEqual(attributes.get("bulwark.attempts"), receipt?.attempts.length)
    }
    assert.deepStrictEqual(
      requests.map(({ attributes }) => String(attributes.get("bulwark.outcome"))).toSorted(),
      attempts.map(({ outcome }) => outcome).toSorted()
    )
    for (const span of requests) {
      const above = Option.getOrUndefined(span.parent)
      assert.isTrue(operations.some((operation) => operation === above), "a request hangs from no operation")
    }
    for (const { links } of operations) {
      for (const { span } of links) {
        assert.isTrue(operations.some((operation) => operation === span), "a link to nowhere")
      }
      assert.strictEqual(new Set(links.map(({ span }) => span.spanId)).size, links.length, "a link twice")
    }
    return { attempts: attempts.length, links: operations.flatMap(({ links }) => links).length, sums }
  })
  return Effect.runPromise(
    program.pipe(
      Effect.scoped,
      Effect.provide(TestClock.layer({ warningDelay: "1 hour" })),
      Effect.provideService(Metric.MetricRegistry, new Map()),
      Effect.provideService(Scheduler.Scheduler, scheduler(chance, chance.pick([0, 0.02, 0.2])))
    )
  )
}

describe("a crowd", () => {
  it("is counted once, whoever leaves when", { timeout: 120_000 }, async () => {
    const seen = new Set<string>()
    let links = 0
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        const played = await play(seed)
        links += played.links
        for (const [key] of played.sums) seen.add(key)
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
    // It has been about what it is meant to be about.
    if (seeds >= 100) {
      for (
        const key of [
          "cache coalesced",
          "cache stale",
          "decided hedge",
          "decided resume",
          "saved dollars",
          "attempts openai interrupted"
        ]
      ) {
        assert.isTrue(seen.has(key), key)
      }
      assert.isAbove(links, 50)
    }
  })
})
