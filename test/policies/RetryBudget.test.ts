import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, type Layer, Random, Schedule, Stream } from "effect"
import { Llm, Plan, Retry, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"

import * as Run from "../core/support/run.ts"
import { makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { counted } from "../support/counted.ts"

const every = (millis: number, retries = 5) => Schedule.spaced(millis).pipe(Schedule.upTo({ times: retries }))
const ok = ScriptedProvider.text("330 m")
const overloaded = ScriptedProvider.fail("Overloaded")
const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

/** A budget of exactly so much, and the stack put under it. */
const withBudget = (options: RetryBudget.Options) =>
  Effect.map(RetryBudget.RetryBudget, (budget) => {
    const provide = Effect.provideService(RetryBudget.RetryBudget, budget)
    return {
      under: <E>(llm: Llm.Llm<E, OpenAi | RetryBudget.RetryBudget>): Llm.Llm<E, OpenAi> =>
        Llm.make({ plan: llm.plan, open: (call) => provide(llm.open(call)) }),
      remaining: (key?: string) => provide(RetryBudget.remaining({ key }))
    }
  }).pipe(Effect.provide(RetryBudget.layerMemory(options)))

describe("the settings", () => {
  it("must make sense", () => {
    for (const capacity of [0, 0.5, -1, NaN, Infinity]) {
      assert.throws(() => RetryBudget.layerMemory({ capacity }), RangeError, "capacity")
    }
    for (const wrong of [-0.1, NaN, Infinity]) {
      assert.throws(() => RetryBudget.layerMemory({ ratio: wrong }), RangeError, "ratio")
      assert.throws(() => RetryBudget.layerRedis({ perSecond: wrong }), RangeError, "perSecond")
    }
    for (const storeTimeout of [0, "-1 seconds", "Infinity"] as const) {
      assert.throws(() => RetryBudget.layerRedis({ storeTimeout }), RangeError, "storeTimeout")
    }
    RetryBudget.layerMemory({ capacity: 1, ratio: 0, perSecond: 0 })
  })

  it("stand in the plan", () => {
    assert.strictEqual(Plan.render(openai.pipe(RetryBudget.guard()).plan), "retryBudget\n└─ openai/gpt-5-mini")
    const plan = RetryBudget.guard(openai.pipe(Llm.retry(every(1, 2))), { key: "openai" }).plan
    assert.strictEqual(Plan.render(plan).split("\n")[0], "retryBudget openai")
    assert.strictEqual(Plan.worstCase(plan), 3)
  })
})

describe("a bucket", () => {
  const bucket = (options: RetryBudget.Options) =>
    Effect.map(RetryBudget.RetryBudget, (budget) => budget.bucket("a")).pipe(
      Effect.provide(RetryBudget.layerMemory(options))
    )

  it.effect("begins full, and is empty when all has been taken", () =>
    Effect.gen(function*() {
      const { remaining, withdraw } = yield* bucket({ capacity: 2, perSecond: 0 })
      assert.strictEqual(yield* remaining, 2)
      assert.deepStrictEqual([yield* withdraw, yield* withdraw, yield* withdraw], [true, true, false])
      assert.strictEqual(yield* remaining, 0)
    }))

  it.effect("has 20 permissions by default, a tenth back for an answer, and one back every two seconds", () =>
    Effect.gen(function*() {
      const { deposit, remaining, withdraw } = yield* bucket({})
      assert.strictEqual(yield* remaining, 20)
      for (let taken = 0; taken < 20; taken++) assert.isTrue(yield* withdraw)
      assert.isFalse(yield* withdraw)
      yield* deposit
      assert.strictEqual(yield* remaining, 0.1)
      yield* TestClock.adjust("2 seconds")
      assert.approximately(yield* remaining, 1.1, 1e-9)
    }))

  it.effect("has one again after ten tenths, and not before", () =>
    Effect.gen(function*() {
      const { deposit, withdraw } = yield* bucket({ capacity: 1, ratio: 0.1, perSecond: 0 })
      assert.isTrue(yield* withdraw)
      for (let answers = 0; answers < 9; answers++) yield* deposit
      assert.isFalse(yield* withdraw)
      yield* deposit
      assert.isTrue(yield* withdraw)
      assert.isFalse(yield* withdraw)
    }))

  it.effect("never holds more than its capacity", () =>
    Effect.gen(function*() {
      const { deposit, remaining, withdraw } = yield* bucket({ capacity: 3, ratio: 1, perSecond: 1 })
      yield* deposit
      assert.strictEqual(yield* remaining, 3)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* remaining, 3)
      yield* withdraw
      yield* TestClock.adjust("400 millis")
      yield* deposit
      assert.strictEqual(yield* remaining, 3)
    }))

  it.effect("goes on filling when the clock is set back", () =>
    Effect.gen(function*() {
      const { remaining, withdraw } = yield* bucket({ capacity: 5, perSecond: 1 })
      const clock = yield* Clock.Clock
      const at = <A>(now: number, effect: Effect.Effect<A>) =>
        Effect.provideService(effect, Clock.Clock, { ...clock, currentTimeMillisUnsafe: () => now })
      for (let taken = 0; taken < 5; taken++) yield* at(10_000, withdraw)
      assert.strictEqual(yield* at(0, remaining), 0)
      assert.strictEqual(yield* at(2_000, remaining), 2)
    }))

  it.effect("is one for a key, and begins anew with its layer", () =>
    Effect.gen(function*() {
      const use = Effect.gen(function*() {
        const budget = yield* RetryBudget.RetryBudget
        assert.strictEqual(budget.bucket("a"), budget.bucket("a"))
        assert.isTrue(yield* budget.bucket("a").withdraw)
        assert.isFalse(yield* budget.bucket("a").withdraw)
        assert.isTrue(yield* budget.bucket("b").withdraw)
      })
      const layer = () => RetryBudget.layerMemory({ capacity: 1, perSecond: 0 })
      yield* Effect.provide(use, layer())
      yield* Effect.provide(use, layer())
    }))
})

describe("a retry", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`of ${kind}: runs while there are permissions, and then fails at once with the error at hand`, () =>
      Effect.gen(function*() {
        const { remaining, under } = yield* withBudget({ capacity: 2, perSecond: 0 })
        const llm = under(openai.pipe(Llm.retry(every(1_000)), RetryBudget.guard()))
        const first = yield* run(llm, { openai: () => overloaded })
        assert.deepStrictEqual(Run.times(first.openai), [0, 1_000, 2_000])
        assert.strictEqual(first.receipt.outcome, "Overloaded")
        assert.strictEqual(first.receipt.timings.totalMillis, 2_000)
        assert.deepStrictEqual(first.receipt.events.map(({ type }) => type), ["retry", "retry"])
        assert.strictEqual(yield* remaining(), 0)
        // The first request of a call needs no permission.
        const second = yield* run(llm, { openai: () => overloaded })
        assert.strictEqual(second.openai.length, 1)
        assert.strictEqual(second.receipt.timings.totalMillis, 0)
        assert.deepStrictEqual(second.receipt.events, [])
        assert.strictEqual(second.probe.timers() + second.probe.fibers(), 0)
      }))

    it.effect(`of ${kind}: lets a fallback around it run`, () =>
      Effect.gen(function*() {
        const { under } = yield* withBudget({ capacity: 1, perSecond: 0 })
        const llm = under(openai.pipe(Llm.retry(every(1_000)), RetryBudget.guard(), Llm.orElseSucceed(() => "none")))
        yield* run(llm, { openai: () => overloaded })
        const ran = yield* run(llm, { openai: () => overloaded })
        assert.isTrue(ran.receipt.degraded)
        assert.strictEqual(ran.openai.length, 1)
      }))
  }

  it.effect("outside asks nobody", () =>
    Effect.gen(function*() {
      const { remaining, under } = yield* withBudget({ capacity: 1, perSecond: 0 })
      const ran = yield* Run.text(under(openai.pipe(RetryBudget.guard(), Llm.retry(every(10)))), {
        openai: () => overloaded
      })
      assert.strictEqual(ran.openai.length, 6)
      assert.strictEqual(yield* remaining(), 1)
    }))

  it.effect("that is interrupted while it waits leaves nothing running", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, () => overloaded)
      const llm = openai.pipe(Llm.retry(every(10_000)), RetryBudget.guard())
      const fiber = yield* Llm.generateText(llm, question).pipe(
        receipts.observe,
        Effect.provide([provider.layer, RetryBudget.layerMemory()]),
        probe.watch,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(receipts.one().outcome, "interrupted")
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }))
})

describe("an answer", () => {
  const budget = { capacity: 2, ratio: 0.25, perSecond: 0 }
  const spent = Effect.gen(function*() {
    const made = yield* withBudget(budget)
    const llm = made.under(openai.pipe(Llm.retry(every(10, 2)), RetryBudget.guard()))
    yield* Run.text(llm, { openai: () => overloaded })
    assert.strictEqual(yield* made.remaining(), 0)
    return { ...made, llm }
  })

  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`(${kind}) puts something back, and a failure does not`, () =>
      Effect.gen(function*() {
        const { llm, remaining } = yield* spent
        yield* run(llm, { openai: [ok] })
        assert.strictEqual(yield* remaining(), 0.25)
        yield* run(llm, { openai: [overloaded] })
        yield* run(llm, { openai: [ScriptedProvider.fail("InvalidRequest")] })
        assert.strictEqual(yield* remaining(), 0.25)
        yield* run(llm, { openai: [ok] })
        yield* run(llm, { openai: [ok] })
        yield* run(llm, { openai: [ok] })
        assert.strictEqual(yield* remaining(), 1)
        const retried = yield* run(llm, { openai: [overloaded, ok] })
        assert.strictEqual(retried.receipt.outcome, "success")
        assert.strictEqual(yield* remaining(), 0.25)
      }))

    it.effect(`(${kind}) that never came puts nothing back`, () =>
      Effect.gen(function*() {
        const { llm, remaining } = yield* spent
        const ran = yield* run(llm, { openai: [ScriptedProvider.silence] })
        assert.strictEqual(ran.receipt.outcome, "interrupted")
        assert.strictEqual(yield* remaining(), 0)
      }))

    it.effect(`(${kind}) that no model gave puts nothing back`, () =>
      Effect.gen(function*() {
        const { remaining, under } = yield* spent
        const template = under(openai.pipe(Llm.orElseSucceed(() => "none"), RetryBudget.guard()))
        const ran = yield* run(template, { openai: [overloaded] })
        assert.isTrue(ran.receipt.degraded)
        assert.strictEqual(yield* remaining(), 0)
      }))
  }

  it.effect("counts when it opens, also where it breaks off", () =>
    Effect.gen(function*() {
      const { llm, remaining } = yield* spent
      const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.breakOff(["330"])] })
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
      assert.strictEqual(yield* remaining(), 0.25)
    }))
})

describe("guards around each other", () => {
  it.effect("with the same key take and put back once", () =>
    Effect.gen(function*() {
      const { remaining, under } = yield* withBudget({ capacity: 5, ratio: 0.25, perSecond: 0 })
      const llm = under(openai.pipe(
        Llm.retry(every(10)),
        RetryBudget.guard(),
        RetryBudget.guard({ key: "other" }),
        RetryBudget.guard()
      ))
      yield* Run.text(llm, { openai: [overloaded, overloaded, ok] })
      assert.strictEqual(yield* remaining(), 3.25)
      assert.strictEqual(yield* remaining("other"), 3.25)
    }))

  it.effect("with different keys have to agree", () =>
    Effect.gen(function*() {
      const { remaining, under } = yield* withBudget({ capacity: 3, perSecond: 0 })
      const one = under(openai.pipe(Llm.retry(every(10, 2)), RetryBudget.guard({ key: "one" })))
      yield* Run.text(one, { openai: () => overloaded })
      const both = under(
        openai.pipe(Llm.retry(every(10)), RetryBudget.guard({ key: "two" }), RetryBudget.guard({ key: "one" }))
      )
      const ran = yield* Run.text(both, { openai: () => overloaded })
      assert.strictEqual(ran.openai.length, 2)
      assert.strictEqual(yield* remaining("one"), 0)
    }))

  it.effect("with different keys: one provider's outage takes nothing from the other", () =>
    Effect.gen(function*() {
      const { remaining, under } = yield* withBudget({ capacity: 2, perSecond: 0 })
      const llm = under(openai.pipe(Llm.retry(every(10)), RetryBudget.guard({ key: "openai" })))
      yield* Run.text(llm, { openai: () => overloaded })
      assert.strictEqual(yield* remaining("openai"), 0)
      assert.strictEqual(yield* remaining("anthropic"), 2)
    }))
})

describe("100 calls a second for a minute", () => {
  const calls = 6_000

  /** What a minute of traffic, or the beginning of one, sends, and what came of it. */
  const minute = (
    seed: string,
    script: (random: () => number) => ScriptedProvider.Step,
    budget: Layer.Layer<RetryBudget.RetryBudget>,
    count = calls
  ) =>
    Effect.gen(function*() {
      const random = yield* Random.Random
      const provider = ScriptedProvider.make(OpenAi, () => script(() => random.nextDoubleUnsafe()))
      const llm = openai.pipe(Llm.retry(Retry.transient), RetryBudget.guard())
      let failed = 0
      const one = Effect.catch(Effect.asVoid(Llm.generateText(llm, question)), () => Effect.sync(() => void failed++))
      const fiber = yield* Effect.forEach(
        Array.from({ length: count }, (_, index) => index),
        (index) => Effect.andThen(Effect.sleep(index * 10), one),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.provide([provider.layer, budget]), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(fiber)
      return {
        sent: provider.calls.length,
        failed,
        failures: provider.calls.filter((call) => call.outcome !== "success").length
      }
    }).pipe(Random.withSeed(seed))

  for (const tag of ["Overloaded", "ConnectionFailed"] as const) {
    it.effect(`in a total outage (${tag}) lead to hardly any more requests than calls`, () =>
      Effect.gen(function*() {
        const { failed, sent } = yield* minute("outage", () => ScriptedProvider.fail(tag), RetryBudget.layerMemory())
        assert.strictEqual(failed, calls)
        assert.isAtMost(sent / calls, 1.01)
        // The budget is a limit, and no ban.
        assert.isAtLeast(sent, calls + 20)
      }))
  }

  it.effect("in a total outage would lead to three times as many without it", () =>
    Effect.gen(function*() {
      const { sent } = yield* minute(
        "outage",
        () => overloaded,
        RetryBudget.layerMemory({ capacity: 100_000 }),
        calls / 10
      )
      assert.strictEqual(sent, 3 * calls / 10)
    }))

  for (const seed of ["a", "b", "c"].slice(0, counted(1, 3))) {
    it.effect(`with 2 % of failures have nearly all of them retried (seed ${seed})`, () =>
      Effect.gen(function*() {
        const { failed, failures, sent } = yield* minute(
          seed,
          (random) => random() < 0.02 ? overloaded : ok,
          RetryBudget.layerMemory()
        )
        assert.isAtLeast(failures, 80)
        assert.isAtLeast((sent - calls) / failures, 0.95)
        assert.isAtMost(failed / calls, 0.001)
      }))
  }

  it.effect("with an outage in the middle have their failures retried again after it", () =>
    Effect.gen(function*() {
      let index = 0
      const { failed } = yield* minute(
        "middle",
        () => {
          const at = index++
          return at >= 2_000 && at < 3_000 ? overloaded : at % 50 === 0 ? overloaded : ok
        },
        RetryBudget.layerMemory()
      )
      assert.isAtLeast(failed, 900)
      // But for the first few seconds after it.
      assert.isAtMost(failed, 1_030)
    }))
})

describe("a reader of a stream", () => {
  it.effect("who stops early has had an answer", () =>
    Effect.gen(function*() {
      const { remaining, under } = yield* withBudget({ capacity: 2, ratio: 0.5, perSecond: 0 })
      const llm = under(openai.pipe(Llm.retry(every(10, 1)), RetryBudget.guard()))
      yield* Run.text(llm, { openai: () => overloaded })
      yield* Llm.streamText(llm, question).pipe(
        Stream.take(1),
        Stream.runDrain,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ok]))
      )
      assert.strictEqual(yield* remaining(), 1.5)
    }))
})
