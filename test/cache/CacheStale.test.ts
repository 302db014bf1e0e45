/**
 * Answers past their time: how long, for whom, and what is done behind them. All times are to the millisecond.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Random } from "effect"
import { Attribution, Breaker, Fallback, Llm, LlmError, type Receipt } from "effect-bulwark"
import { Cache } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { ask, counting, faulty } from "./support/cached.ts"

const second = { timeToLive: "1 second" } as const

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Lets what runs in the background go on, without time. */
const settle = TestClock.adjust(0)

describe("failures that are kept", () => {
  const negative = { errors: ["Overloaded"], timeToLive: "1 minute" } as const
  const provider = () =>
    ScriptedProvider.make(
      OpenAi,
      (_, n) => n === 0 ? ScriptedProvider.text("answer 1") : ScriptedProvider.fail("Overloaded")
    )

  it.effect("do not take the place of an answer that is given where a new one fails", () => {
    const llm = openai.pipe(Cache.through({ ...second, staleIfError: "5 seconds", negative }))
    return Effect.gen(function*() {
      yield* ask(llm)
      yield* TestClock.setTime(1_000)
      assert.strictEqual(yield* ask(llm), "stale: answer 1")
      assert.strictEqual(yield* ask(llm), "stale: answer 1")
      // Where none is given any more they are kept.
      yield* TestClock.setTime(6_000)
      assert.instanceOf(yield* Effect.flip(ask(llm)), LlmError.Overloaded)
      const asked = (yield* Cache.statistics).hits
      assert.instanceOf(yield* Effect.flip(ask(llm)), LlmError.Overloaded)
      assert.strictEqual((yield* Cache.statistics).hits, asked + 1)
    }).pipe(Effect.provide([Cache.layerMemory(), provider().layer]))
  })

  it.effect("nor of one that was asked for anew behind it, or by who did not look", () => {
    const llm = openai.pipe(Cache.through({ ...second, staleWhileRevalidate: "1 minute", negative }))
    return Effect.gen(function*() {
      yield* ask(llm)
      assert.instanceOf(yield* Effect.flip(Cache.withDirective(ask(llm), { mode: "refresh" })), LlmError.Overloaded)
      assert.strictEqual(yield* ask(llm), "hit: answer 1")
      yield* TestClock.setTime(1_000)
      assert.strictEqual(yield* ask(llm), "stale: answer 1")
      yield* settle
      assert.strictEqual((yield* Cache.statistics).failedRefreshes, 1)
      assert.strictEqual(yield* ask(llm), "stale: answer 1")
    }).pipe(Effect.provide([Cache.layerMemory(), provider().layer]))
  })
})

describe("staleWhileRevalidate", () => {
  const llm = openai.pipe(Cache.through({ ...second, staleWhileRevalidate: "2 seconds" }))

  it.effect("gives the old answer at once while a new one is asked for behind it", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const slow = ScriptedProvider.make(OpenAi, (_, n) =>
        ScriptedProvider.text(`answer ${n + 1}`, n === 0 ? undefined : { delay: "300 millis" }))
      yield* receipts.observe(Effect.gen(function*() {
        assert.strictEqual(yield* ask(llm), "miss: answer 1")
        yield* TestClock.setTime(999)
        assert.strictEqual(yield* ask(llm), "hit: answer 1")
        yield* TestClock.setTime(1_000)
        assert.strictEqual(yield* ask(llm), "stale: answer 1")
        assert.strictEqual(yield* ask(llm), "stale: answer 1")
        yield* settle
        assert.strictEqual(slow.calls.length, 2)
        yield* TestClock.setTime(1_299)
        assert.strictEqual(yield* ask(llm), "stale: answer 1")
        yield* TestClock.setTime(1_300)
        yield* settle
        assert.strictEqual(yield* ask(llm), "hit: answer 2")
        assert.strictEqual(slow.calls.length, 2)
        const { failedRefreshes, misses, refreshes, stale } = yield* Cache.statistics
        assert.deepStrictEqual([stale, refreshes, failedRefreshes, misses], [3, 1, 0, 1])
      })).pipe(Attribution.annotate({ tenant: "acme" }), Effect.provide([Cache.layerMemory(), slow.layer]))
      // The refresh is on a receipt of its own, and so on the bill.
      const stale = receipts.seen.filter(({ cache }) =>
        cache === "stale"
      )
      assert.isTrue(stale.every(({ attempts }) => attempts.length === 0))
      const asked = receipts.seen.filter(({ attempts }) => attempts.length > 0)
      assert.deepStrictEqual(asked.map(({ cache, outcome }) => [cache, outcome]), [["miss", "success"], [
        "miss",
        "success"
      ]])
      assert.deepStrictEqual(asked.map(({ attribution }) => attribution), [{ tenant: "acme" }, { tenant: "acme" }])
      assert.strictEqual(asked[1]!.timings.totalMillis, 300)
      assert.strictEqual(new Set(receipts.seen.map(({ operationId }) => operationId)).size, receipts.seen.length)
    }))

  it.effect("until its own time is over", () =>
    Effect.gen(function*() {
      yield* ask(llm)
      yield* TestClock.setTime(2_999)
      assert.strictEqual(yield* ask(llm), "stale: answer 1")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("and not a millisecond longer", () =>
    Effect.gen(function*() {
      yield* ask(llm)
      yield* TestClock.setTime(3_000)
      assert.strictEqual(yield* ask(llm), "miss: answer 2")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("a refresh that fails is not tried again at once, and the old answer is given until then", () =>
    Effect.gen(function*() {
      const long = openai.pipe(Cache.through({ ...second, staleWhileRevalidate: "1 minute" }))
      const provider = ScriptedProvider.make(
        OpenAi,
        (_, n) => n === 0 || n === 2 ? ScriptedProvider.text(`answer ${n + 1}`) : ScriptedProvider.fail("Overloaded")
      )
      yield* Effect.gen(function*() {
        yield* ask(long)
        yield* TestClock.setTime(2_000)
        assert.strictEqual(yield* ask(long), "stale: answer 1")
        yield* settle
        assert.strictEqual(provider.calls.length, 2)
        yield* TestClock.setTime(6_999)
        assert.strictEqual(yield* ask(long), "stale: answer 1")
        yield* settle
        assert.strictEqual(provider.calls.length, 2)
        yield* TestClock.setTime(7_000)
        assert.strictEqual(yield* ask(long), "stale: answer 1")
        yield* settle
        assert.strictEqual(yield* ask(long), "hit: answer 3")
        assert.strictEqual((yield* Cache.statistics).failedRefreshes, 1)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("a refresh outlives the call that led to it, and ends with the layer", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, n) =>
        ScriptedProvider.text(`answer ${n + 1}`, n === 0 ? undefined : { delay: "1 minute" }))
      yield* Effect.gen(function*() {
        yield* ask(llm)
        yield* TestClock.setTime(1_000)
        const fiber = yield* start(Effect.andThen(ask(llm), Effect.never))
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.isUndefined(provider.calls[1]?.outcome)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
      assert.strictEqual(provider.calls[1]?.outcome, "interrupted")
    }))

  it.effect("the old answer is given for as long as a stack says that reads it, not one that wrote it", () =>
    Effect.gen(function*() {
      const strict = openai.pipe(Cache.through(second))
      yield* ask(llm)
      yield* TestClock.setTime(1_000)
      assert.strictEqual(yield* ask(strict), "miss: answer 2")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))
})

const failable: { readonly [tag: string]: LlmError.ProviderError["_tag"] } = Object.fromEntries(
  ([
    "RateLimited",
    "QuotaExhausted",
    "Overloaded",
    "ServerError",
    "RequestTimeout",
    "ConnectionFailed",
    "AuthenticationFailed",
    "PermissionDenied",
    "ModelNotFound",
    "InvalidRequest",
    "ContextLengthExceeded",
    "ContentFiltered",
    "MalformedResponse",
    "StreamInterrupted"
  ] as const).map((tag) => [tag, tag])
)

describe("staleIfError", () => {
  const llm = openai.pipe(Cache.through({ ...second, staleIfError: "10 seconds" }))
  const failing = (error: LlmError.ProviderError["_tag"], options?: { readonly delay: "1 second" }) =>
    ScriptedProvider.make(
      OpenAi,
      (_, n) => n === 0 ? ScriptedProvider.text("answer 1") : ScriptedProvider.fail(error, options)
    )

  it.effect("gives the old answer where no new one is to be had, with the failure on the receipt", () =>
    Effect.gen(function*() {
      yield* ask(llm)
      yield* TestClock.setTime(10_999)
      const { receipt, text } = yield* Llm.generateText(llm, question)
      assert.strictEqual(text, "answer 1")
      assert.deepStrictEqual(
        [receipt.cache, receipt.outcome, receipt.attempts.map(({ outcome }) => outcome), receipt.model],
        ["stale", "success", ["Overloaded"], "gpt-5-mini"]
      )
      assert.isDefined(receipt.savedUsage)
      yield* TestClock.setTime(11_000)
      assert.instanceOf(yield* Effect.flip(ask(llm)), LlmError.Overloaded)
    }).pipe(Effect.provide([Cache.layerMemory(), failing("Overloaded").layer])))

  it.effect("what counts is when the failure is there", () =>
    Effect.gen(function*() {
      // Each on its own: what is shared fails for all at once.
      const alone = openai.pipe(Cache.through({ ...second, staleIfError: "10 seconds", coalesce: false }))
      yield* ask(alone)
      yield* TestClock.setTime(9_999)
      const intime = yield* start(ask(alone))
      yield* TestClock.setTime(10_000)
      const late = yield* start(Effect.flip(ask(alone)))
      yield* TestClock.setTime(10_999)
      assert.strictEqual(yield* Fiber.join(intime), "stale: answer 1")
      yield* TestClock.setTime(11_000)
      assert.instanceOf(yield* Fiber.join(late), LlmError.Overloaded)
    }).pipe(Effect.provide([
      Cache.layerMemory(),
      failing("Overloaded", { delay: "1 second" }).layer
    ])))

  for (const [tag, row] of Object.entries(LlmError.table)) {
    const make = failable[tag]
    if (make === undefined) continue
    it.effect(`${tag} is ${row.transient ? "" : "not "}a reason`, () =>
      Effect.gen(function*() {
        const provider = ScriptedProvider.make(OpenAi, (_, n) =>
          n === 0 ? ScriptedProvider.text("answer 1") : ScriptedProvider.fail(make))
        yield* Effect.gen(function*() {
          yield* ask(llm)
          yield* TestClock.setTime(5_000)
          const exit = yield* Effect.exit(ask(llm))
          assert.strictEqual(Exit.isSuccess(exit), row.transient)
        }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
      }))
  }

  it.effect("a circuit that has opened, and models that all failed, are reasons as what is behind them is", () =>
    Effect.gen(function*() {
      const guarded = Fallback.firstOf([openai.pipe(Breaker.guard()), anthropic]).pipe(
        Cache.through({ ...second, staleIfError: "1 hour" })
      )
      const openaiDown = failing("Overloaded")
      const anthropicDown = ScriptedProvider.make(Anthropic, () => ScriptedProvider.fail("AuthenticationFailed"))
      yield* Effect.gen(function*() {
        yield* ask(guarded)
        yield* TestClock.setTime(1_000)
        assert.strictEqual(yield* ask(guarded), "stale: answer 1")
        assert.strictEqual(yield* ask(guarded), "stale: answer 1")
        assert.strictEqual(openaiDown.calls.length, 2)
      }).pipe(Effect.provide([
        Cache.layerMemory(),
        Breaker.layerMemory({ trip: Breaker.consecutive(1) }),
        openaiDown.layer,
        anthropicDown.layer
      ]))
    }))

  it.effect("both: first it is given at once, then only where there is an error", () =>
    Effect.gen(function*() {
      const both = openai.pipe(
        Cache.through({ ...second, staleWhileRevalidate: "2 seconds", staleIfError: "10 seconds" })
      )
      yield* ask(both)
      yield* TestClock.setTime(3_000)
      const { receipt } = yield* Llm.generateText(both, question)
      assert.deepStrictEqual([receipt.cache, receipt.attempts.length], ["stale", 1])
      yield* TestClock.setTime(11_000)
      yield* Effect.flip(ask(both))
    }).pipe(Effect.provide([Cache.layerMemory(), failing("ServerError").layer])))
})

describe("earlyRefresh", () => {
  it.effect("is likelier the nearer the end and the longer an answer takes, as the formula says", () =>
    Effect.gen(function*() {
      // It takes 100 ms to get; of those who read it d ms before its end, a share of exp(-d / 100) refreshes it.
      const trials = 100
      for (const [before, expected] of [[300, Math.exp(-3)], [100, Math.exp(-1)], [30, Math.exp(-0.3)]] as const) {
        let early = 0
        for (let n = 0; n < trials; n++) {
          const provider = counting({ delay: "100 millis" })
          yield* Effect.gen(function*() {
            const began = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            const llm = openai.pipe(Cache.through({ ...second, earlyRefresh: true }))
            const fiber = yield* start(ask(llm))
            yield* TestClock.adjust("100 millis")
            yield* Fiber.join(fiber)
            yield* TestClock.setTime(began + 100 + 1_000 - before)
            assert.strictEqual(yield* ask(llm), "hit: answer 1")
            yield* settle
            early += provider.calls.length - 1
          }).pipe(Effect.provide([Cache.layerMemory(), provider.layer], { local: true }))
        }
        // Four standard deviations.
        const allowed = 4 * Math.sqrt(expected * (1 - expected) / trials)
        assert.isBelow(
          Math.abs(early / trials - expected),
          allowed,
          `${before} ms before the end: ${early} of ${trials}`
        )
      }
    }).pipe(Random.withSeed("early")))

  it.effect("is off where nobody asks for it, and comes earlier with a larger beta", () =>
    Effect.gen(function*() {
      for (
        const [earlyRefresh, least, most] of [[false, 0, 0], [{ beta: 0 }, 0, 0], [{ beta: 1_000 }, 1, 1]] as const
      ) {
        const provider = counting({ delay: "100 millis" })
        yield* Effect.gen(function*() {
          const llm = openai.pipe(Cache.through({ timeToLive: "10 seconds", earlyRefresh }))
          const fiber = yield* start(ask(llm))
          yield* TestClock.adjust("100 millis")
          yield* Fiber.join(fiber)
          assert.strictEqual(yield* ask(llm), "hit: answer 1")
          yield* settle
          assert.isAtLeast(provider.calls.length - 1, least)
          assert.isAtMost(provider.calls.length - 1, most)
        }).pipe(Effect.provide([Cache.layerMemory(), provider.layer], { local: true }))
      }
    }).pipe(Random.withSeed("early")))
})

describe("determinism", () => {
  const run = (seed: string) =>
    Effect.gen(function*() {
      const receipts: Array<Receipt.Receipt> = []
      const seen = makeReceipts()
      const llm = openai.pipe(
        Cache.through({ ...second, earlyRefresh: true, staleWhileRevalidate: "1 second", staleIfError: "5 seconds" })
      )
      const provider = ScriptedProvider.make(OpenAi, (_, n) =>
        n % 3 === 2
          ? ScriptedProvider.fail("Overloaded")
          : ScriptedProvider.text(`answer ${n}`, { delay: "150 millis" }))
      yield* seen.observe(Effect.gen(function*() {
        for (let n = 0; n < 60; n++) {
          yield* start(Effect.exit(ask(llm)))
          yield* TestClock.adjust("130 millis")
        }
      })).pipe(Effect.provide([Cache.layerMemory(), provider.layer], { local: true }))
      return [...receipts, ...seen.seen]
    }).pipe(Random.withSeed(seed))

  it.effect("the same seed gives the same receipts", () =>
    Effect.gen(function*() {
      const first = yield* run("a")
      yield* TestClock.setTime(0)
      const again = yield* run("a")
      assert.isAbove(first.length, 60)
      assert.deepStrictEqual(again, first)
    }))
})

describe("where the store fails behind an old answer", () => {
  it.effect("without leases it is refreshed all the same, once in this process", () =>
    Effect.gen(function*() {
      const store = faulty()
      const provider = counting()
      const llm = openai.pipe(Cache.through({ ...second, staleWhileRevalidate: "1 minute" }))
      yield* Effect.gen(function*() {
        yield* ask(llm)
        store.faults.lease = "fails"
        yield* TestClock.setTime(1_000)
        yield* ask(llm)
        yield* ask(llm)
        yield* settle
        assert.strictEqual(provider.calls.length, 2)
        assert.strictEqual(yield* ask(llm), "hit: answer 2")
      }).pipe(Effect.provide(Layer.mergeAll(store.cache, provider.layer)))
      assert.include(store.asked, "lease")
    }))
})
