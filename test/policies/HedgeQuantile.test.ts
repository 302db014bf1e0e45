import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import { Hedge, Llm, type Receipt, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { LatencyWindow } from "../../src/policies/internal/hedgeLatencies.ts"
import * as Run from "../core/support/run.ts"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { counted } from "../support/counted.ts"

/** A stack under a budget of its own, which all of its calls share. */
const under = <E>(llm: Llm.Llm<E, OpenAi | RetryBudget.RetryBudget>): Effect.Effect<Llm.Llm<E, OpenAi>> =>
  Effect.map(
    RetryBudget.RetryBudget,
    (budget) =>
      Llm.make<E, OpenAi>({
        plan: llm.plan,
        open: (call) => Effect.provideService(llm.open(call), RetryBudget.RetryBudget, budget)
      })
  ).pipe(Effect.provide(RetryBudget.layerMemory({ capacity: 1_000 })))

type Run = (
  llm: Llm.Llm<unknown, OpenAi>,
  scripts: Run.Scripts
) => Effect.Effect<{ readonly receipt: Receipt.Receipt }>

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const satisfies Record<string, Run>
const after = (delay: number) => ScriptedProvider.text("330 m", { delay })
const hanging = () => ScriptedProvider.text("330 m", { delay: 60_000 })

/** Calls that take so long, one after the other. */
const calls = (llm: Llm.Llm<unknown, OpenAi>, delays: ReadonlyArray<number>, run: Run = Run.text) =>
  Effect.forEach(delays, (delay) => run(llm, { openai: () => after(delay) }), { discard: true })

/** How long a call that hangs waits before it is sent a second time. */
const waited = (llm: Llm.Llm<unknown, OpenAi>, run: Run = Run.text) =>
  Effect.map(run(llm, { openai: hanging }), ({ receipt }) => receipt.events[0]?.delayMillis)

const times = (count: number, delay: number) => Array.from({ length: count }, () => delay)

/** 20, 40, ... 400 milliseconds, in no order. */
const twenty = Array.from({ length: 20 }, (_, index) => (index * 7 % 20 + 1) * 20)

describe("a live quantile", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`of ${kind}: is that of the calls before`, () =>
      Effect.gen(function*() {
        for (const [quantile, wait] of [[0.5, 200], [0.95, 380], [0.951, 400], [0.99, 400]] as const) {
          const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(quantile), maxExtra: 1 })))
          yield* calls(llm, twenty, run)
          assert.strictEqual(yield* waited(llm, run), wait)
        }
      }))
  }

  it.effect("is not known before so many calls", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.5), maxExtra: 1 })))
      yield* calls(llm, times(18, 200))
      assert.isUndefined(yield* waited(llm))
      assert.isUndefined(yield* waited(llm))
      assert.strictEqual(yield* waited(llm), 200)
      const early = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.5, { warmUp: 2 }), maxExtra: 1 })))
      yield* calls(early, [200, 200])
      // The fewer are left to send, the longer the wait: 3 of 5.
      assert.strictEqual(yield* waited(early), 280)
    }))

  it.effect("is no less than the minimum", () =>
    Effect.gen(function*() {
      for (const [minimum, wait] of [[undefined, 100], ["350 millis", 350], [0, 20]] as const) {
        const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.95, { minimum }), maxExtra: 1 })))
        yield* calls(llm, times(20, 20))
        assert.strictEqual(yield* waited(llm), wait)
      }
    }))

  it.effect("looks back on so many calls, and no further", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.9, { window: 10 }), maxExtra: 1 })))
      yield* calls(llm, [...times(10, 900), ...times(8, 300)])
      assert.strictEqual(yield* waited(llm), 900)
      yield* calls(llm, times(10, 300))
      assert.strictEqual(yield* waited(llm), 300)
    }))

  it.effect("keeps full answers and streams apart", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.5), maxExtra: 1 })))
      yield* calls(llm, times(20, 800), Run.text)
      assert.isUndefined(yield* waited(llm, Run.stream))
      yield* calls(llm, times(20, 200), Run.stream)
      assert.strictEqual(yield* waited(llm, Run.stream), 200)
      assert.strictEqual(yield* waited(llm, Run.text), 800)
    }))

  it.effect("does not count calls that fail or never open", () =>
    Effect.gen(function*() {
      const llm = yield* under(
        openai.pipe(Llm.hedge({ after: Hedge.quantile(0.5, { warmUp: 2 }), maxExtra: 1 }), Llm.timeout({ total: 900 }))
      )
      yield* calls(llm, times(5, 1_000))
      for (let call = 0; call < 5; call++) yield* Run.text(llm, { openai: [ScriptedProvider.fail("Overloaded")] })
      assert.isUndefined(yield* waited(llm))
      yield* calls(llm, [300, 300])
      assert.strictEqual(yield* waited(llm), 300)
    }))

  it.effect("counts a call that was sent twice as the time that it took", () =>
    Effect.gen(function*() {
      const llm = yield* under(
        openai.pipe(Llm.hedge({ after: Hedge.quantile(0.99, { window: 3, warmUp: 3 }), maxExtra: 1 }))
      )
      yield* calls(llm, times(10, 200))
      const ran = yield* Run.text(llm, { openai: [hanging(), after(150)] })
      assert.strictEqual(ran.receipt.timings.totalMillis, 350)
      yield* calls(llm, [200])
      assert.strictEqual(yield* waited(llm), 350)
    }))

  it.effect("is stretched the more, the fewer second requests are left", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: Hedge.quantile(0.5), maxExtra: 0.25 })))
      yield* calls(llm, times(40, 200))
      const waits: Array<number | undefined> = []
      for (let call = 0; call < 7; call++) waits.push(yield* waited(llm))
      // 5 left, then 4.25, 3.5, ...: 200 ms and a fifth of that for each that is not.
      assert.deepStrictEqual(waits.map((wait) => Math.round(wait ?? NaN)), [200, 230, 260, 290, 320, 350, NaN])
    }))

  it.effect("has no part in a wait that was given", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: 500, maxExtra: 1 })))
      yield* calls(llm, times(30, 20))
      assert.strictEqual(yield* waited(llm), 500)
    }))
})

describe("a window of measurements", () => {
  it.effect("has the quantiles that sorting all of them would give", () =>
    Effect.gen(function*() {
      const random = yield* Random.Random
      for (const size of [1, 2, 7, 50]) {
        const window = new LatencyWindow(size)
        const all: Array<number> = []
        for (let count = 1; count <= 300; count++) {
          // Few different values: equal ones are what goes wrong.
          const value = Math.floor(random.nextDoubleUnsafe() * 20) / 4
          window.add(value)
          all.push(value)
          const last = all.slice(-size).toSorted((a, b) => a - b)
          assert.strictEqual(window.size, last.length)
          for (const share of [0.001, 0.5, 0.95, 1]) {
            assert.strictEqual(window.quantile(share), last[Math.ceil(share * last.length) - 1])
          }
        }
      }
    }).pipe(Random.withSeed("window")))
})

describe("thousands of calls", () => {
  /** What the documentation speaks of. */
  const published = 20_000
  const usual = counted(5_000, published)

  interface Day {
    /** By size, in milliseconds. */
    readonly times: ReadonlyArray<number>
    readonly extra: number
  }

  /** 100 calls a second, or one after the other. */
  const day = (
    llm: Llm.Llm<unknown, OpenAi | RetryBudget.RetryBudget>,
    seed: string,
    latency: (random: () => number, index: number) => number,
    { count = usual, how = "at once" }: { readonly count?: number; readonly how?: "at once" | "in turn" } = {}
  ): Effect.Effect<Day> =>
    Effect.gen(function*() {
      const random = yield* Random.Random
      const next = () => random.nextDoubleUnsafe()
      const provider = ScriptedProvider.make(
        OpenAi,
        (_, index) => ScriptedProvider.text("330 m", { delay: latency(next, index) })
      )
      const times: Array<number> = []
      const one = Effect.map(
        Llm.generateText(llm, question),
        (answer) => void times.push(answer.receipt.timings.totalMillis)
      )
      const running = how === "in turn" ? Effect.repeat(one, { times: count - 1 }) : Effect.gen(function*() {
        const fibers: Array<Fiber.Fiber<void, unknown>> = []
        for (let call = 0; call < count; call++) {
          fibers.push(yield* Effect.forkChild(one, { startImmediately: true }))
          yield* Effect.sleep(10)
        }
        for (const fiber of fibers) yield* Fiber.join(fiber)
      })
      const fiber = yield* Effect.orDie(running).pipe(
        Effect.provide([provider.layer, RetryBudget.layerMemory()]),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 days")
      yield* Fiber.join(fiber)
      return { times: times.toSorted((a, b) => a - b), extra: provider.calls.length - count }
    }).pipe(Random.withSeed(seed))

  const quantile = ({ times }: Day, share: number) => times[Math.ceil(share * times.length) - 1]!

  const uniform = (random: () => number) => 150 + 100 * random()
  // Log-normal: a tail of calls that are late, but do not hang.
  const tailed = (random: () => number) =>
    200 * Math.exp(0.4 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()))
  const straggling = (usual: (random: () => number) => number) => (random: () => number) =>
    random() < 0.015 ? 5_000 : usual(random)

  const live = openai.pipe(Llm.hedge({ after: Hedge.quantile(0.95) }))
  const fixed = openai.pipe(Llm.hedge({ after: "500 millis" }))

  const hangs = {
    "a live quantile": { llm: live, latency: straggling(uniform), how: "at once", count: usual },
    "a live quantile, among calls that are late": {
      llm: live,
      latency: straggling(tailed),
      how: "at once",
      count: published
    },
    "a live quantile, one after the other": { llm: live, latency: straggling(tailed), how: "in turn", count: usual },
    "half a second": { llm: fixed, latency: straggling(tailed), how: "at once", count: usual }
  } as const

  it.effect("of which 1.5 % hang have a p99 of 5 seconds", () =>
    Effect.gen(function*() {
      assert.strictEqual(quantile(yield* day(openai, "a", straggling(tailed), { how: "in turn" }), 0.99), 5_000)
    }))

  for (const [after, { count, how, latency, llm }] of Object.entries(hangs)) {
    for (const seed of ["a", "b"].slice(0, counted(1, 2))) {
      it.effect(`of which 1.5 % hang: after ${after}, p99 is a fifth, for 2 % extra (seed ${seed})`, () =>
        Effect.gen(function*() {
          const ran = yield* day(llm, seed, latency, { how, count })
          assert.isAtMost(quantile(ran, 0.99), 1_000)
          assert.isAtMost(ran.extra, count * 0.02)
          assert.isAtLeast(ran.extra, count * 0.01)
          // What was quick stays so.
          assert.isAtMost(quantile(ran, 0.5), 210)
        }))
    }
  }

  for (const [after, llm] of Object.entries({ "a live quantile": live, "half a second": fixed })) {
    it.effect(`that are all slow: 2 % extra after ${after}, and no more`, () =>
      Effect.gen(function*() {
        const ran = yield* day(llm, "slow", () => 5_000)
        assert.isAtMost(ran.extra, usual * 0.02)
        // A live one learns that slow is usual now.
        if (llm === fixed) assert.isAtLeast(ran.extra, usual * 0.019)
        else assert.isAtMost(ran.extra, usual * 0.001)
      }))
  }

  it.effect("that become slow halfway: 2 % extra, and no more", () =>
    Effect.gen(function*() {
      const halfway = (random: () => number, index: number) => index < usual / 2 ? uniform(random) : 5_000
      const ran = yield* day(live, "halfway", halfway)
      assert.isAtMost(ran.extra, usual * 0.02)
      assert.isAtLeast(ran.extra, 1)
    }))
})
