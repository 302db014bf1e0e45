import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule, Stream } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Run from "../core/support/run.ts"
import { anthropic, makeProbe, OpenAi, openai, question } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

const timedOut = <E>(ran: Run.Ran<unknown, E | LlmError.TimedOut>) =>
  Effect.map(Effect.flip(ran.exit), (error) => {
    assert(error instanceof LlmError.TimedOut, `it failed with ${LlmError.tagOf(error)}`)
    // Whatever passed, nothing is left of the request or of the watch.
    assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    return [error.phase, Duration.toMillis(error.limit), ran.receipt.timings.totalMillis] as const
  })

const paced = (delay: number, between: number, words = ["a", "b", "c"]) =>
  ScriptedProvider.text(words, { delay, between })

for (const [kind, run] of Object.entries(kinds)) {
  describe(`the limit of the first part: ${kind}`, () => {
    it.effect("ends a model that is silent", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.timeout({ firstPart: "8 seconds" })), {
          openai: [ScriptedProvider.silence]
        })
        assert.deepStrictEqual(yield* timedOut(ran), ["firstPart", 8_000, 8_000])
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted"])
        assert.deepStrictEqual(ran.receipt.attempts.map(({ durationMillis, outcome }) => [outcome, durationMillis]), [
          ["TimedOut", 8_000]
        ])
        assert.deepStrictEqual(ran.receipt.events, [{
          type: "timeout",
          atMillis: 8_000,
          afterAttempts: 1,
          reason: "firstPart"
        }])
      }))

    it.effect("is met by content, not by what comes before it", () =>
      Effect.gen(function*() {
        // Parts come at 2 s (start) and 4 s (a).
        const llm = (millis: number) => openai.pipe(Llm.timeout({ firstPart: millis }))
        const late = yield* run(llm(3_999), { openai: [paced(2_000, 2_000)] })
        assert.deepStrictEqual(yield* timedOut(late), ["firstPart", 3_999, 3_999])
        const inTime = yield* run(llm(4_001), { openai: [paced(2_000, 2_000)] })
        assert.strictEqual(inTime.receipt.outcome, "success")
      }))

    it.effect("does not end a model that is long-winded", () =>
      Effect.gen(function*() {
        const words = Array.from({ length: 100 }, (_, index) => `${index} `)
        const ran = yield* run(openai.pipe(Llm.timeout({ firstPart: "3 seconds", idle: "2 seconds" })), {
          openai: [paced(1_000, 1_000, words)]
        })
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.strictEqual(ran.receipt.timings.totalMillis, 103_000)
        assert.deepStrictEqual(ran.receipt.events, [])
        assert.deepStrictEqual(ran.openai.map((call) => call.transport), ["stream"])
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("bounds each attempt inside a retry, and the model inside a fallback", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(
          Llm.timeout({ firstPart: "5 seconds" }),
          Llm.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))),
          Llm.orElse(anthropic)
        )
        const ran = yield* run(llm, { openai: () => ScriptedProvider.silence, anthropic: [paced(0, 0)] })
        assert.deepStrictEqual(Run.times(ran.openai), [0, 6_000])
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted", "interrupted"])
        assert.deepStrictEqual(Run.times(ran.anthropic), [11_000])
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
          "TimedOut",
          "TimedOut",
          "success"
        ])
      }))

    it.effect("bounds all it is put around together", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(
          Llm.retry(Schedule.spaced("2 seconds")),
          Llm.orElse(anthropic),
          Llm.timeout({ firstPart: "5 seconds" })
        )
        const ran = yield* run(llm, { openai: [ScriptedProvider.fail("Overloaded"), ScriptedProvider.silence] })
        assert.deepStrictEqual(yield* timedOut(ran), ["firstPart", 5_000, 5_000])
      }))

    it.effect("is by attempt where it is a schedule, and the last one holds on", () =>
      Effect.gen(function*() {
        const limit = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 }))
        const llm = openai.pipe(
          Llm.timeout({ firstPart: limit }),
          Llm.retry(Schedule.recurs(4))
        )
        const ran = yield* run(llm, { openai: () => ScriptedProvider.silence })
        // 1 s, 2 s, 4 s, and 4 s from then on.
        assert.deepStrictEqual(Run.times(ran.openai), [0, 1_000, 3_000, 7_000, 11_000])
        assert.deepStrictEqual(yield* timedOut(ran), ["firstPart", 4_000, 15_000])
      }))
  })

  describe(`the limit of the whole: ${kind}`, () => {
    it.effect("bounds retries, waits and fallbacks together", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(
          Llm.retry(Schedule.spaced("4 seconds").pipe(Schedule.upTo({ times: 1 }))),
          Llm.orElse(anthropic),
          Llm.timeout({ total: "10 seconds" })
        )
        const ran = yield* run(llm, {
          openai: () => ScriptedProvider.fail("Overloaded", { delay: "1 second" }),
          anthropic: [ScriptedProvider.silence]
        })
        assert.deepStrictEqual(Run.times(ran.openai), [0, 5_000])
        assert.deepStrictEqual(Run.times(ran.anthropic), [6_000])
        assert.deepStrictEqual(yield* timedOut(ran), ["total", 10_000, 10_000])
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
          "Overloaded",
          "Overloaded",
          "TimedOut"
        ])
      }))

    it.effect("passes during a wait, too", () =>
      Effect.gen(function*() {
        // The wait would end in time, but the deadline is put around another one that does not know of it.
        const llm = openai.pipe(
          Llm.retry(Schedule.spaced("4 seconds")),
          Llm.timeout({ total: "10 seconds" })
        )
        const ran = yield* run(llm, { openai: () => ScriptedProvider.fail("Overloaded") })
        assert.deepStrictEqual(Run.times(ran.openai), [0, 4_000, 8_000])
        // 12 s is too late: given up at 8 s, with what failed.
        assert.strictEqual(ran.receipt.outcome, "Overloaded")
        assert.strictEqual(ran.receipt.timings.totalMillis, 8_000)
      }))

    it.effect("asks for the answer in the way the caller does", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.timeout({ total: "10 seconds" })), { openai: [paced(0, 0)] })
        assert.deepStrictEqual(ran.openai.map((call) => call.transport), [kind === "a stream" ? "stream" : "whole"])
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("is the nearest of those around, and the one who set it says so", () =>
      Effect.gen(function*() {
        for (const [inner, outer] of [[5_000, 9_000], [9_000, 5_000], [5_000, 5_000]] as const) {
          const llm = openai.pipe(Llm.timeout({ total: inner }), Llm.timeout({ total: outer }))
          const ran = yield* run(llm, { openai: [ScriptedProvider.silence] })
          assert.deepStrictEqual(yield* timedOut(ran), ["total", 5_000, 5_000])
          assert.strictEqual(ran.receipt.events.length, 1)
        }
      }))

    it.effect("of an inner model that has passed leaves the outer one its time", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(
          Llm.timeout({ total: "3 seconds" }),
          Llm.orElse(anthropic),
          Llm.timeout({ total: "10 seconds" })
        )
        const ran = yield* run(llm, { openai: [ScriptedProvider.silence], anthropic: [paced(1_000, 0)] })
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.deepStrictEqual(Run.times(ran.anthropic), [3_000])
      }))
  })
}

describe("several limits", () => {
  it.effect("pass in their order, whichever policy they stand in", () =>
    Effect.gen(function*() {
      const cases = [
        [{ firstPart: 5_000, total: 9_000 }, "firstPart", 5_000],
        [{ firstPart: 9_000, total: 5_000 }, "total", 5_000],
        [{ idle: 1_000, total: 5_000 }, "total", 5_000],
        [{ firstPart: 1, total: 5_000 }, "firstPart", 1],
        [{ firstPart: Schedule.spaced(1), total: 5_000 }, "firstPart", 1]
      ] as const
      for (const [limits, phase, millis] of cases) {
        const together = yield* Run.text(openai.pipe(Llm.timeout(limits)), { openai: [ScriptedProvider.silence] })
        assert.deepStrictEqual(yield* timedOut(together), [phase, millis, millis])
        const { total, ...inner } = limits
        const apart = yield* Run.text(openai.pipe(Llm.timeout(inner), Llm.timeout({ total })), {
          openai: [ScriptedProvider.silence]
        })
        assert.deepStrictEqual(yield* timedOut(apart), [phase, millis, millis])
      }
    }))

  it.effect("that pass at once are the total one: there is no time to try again", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.timeout({ firstPart: 5_000, total: 5_000 })), {
        openai: [ScriptedProvider.silence]
      })
      assert.deepStrictEqual(yield* timedOut(ran), ["total", 5_000, 5_000])
    }))

  it.effect("keep to those further out", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(
        Llm.timeout({ idle: "5 seconds", total: "1 minute" }),
        Llm.timeout({ total: "10 seconds" })
      )
      const ran = yield* Run.text(llm, { openai: [ScriptedProvider.silence] })
      assert.deepStrictEqual(yield* timedOut(ran), ["total", 10_000, 10_000])
    }))

  it.effect("of parts are all told of the parts that arrive", () =>
    Effect.gen(function*() {
      const inner = openai.pipe(Llm.timeout({ idle: "2 seconds" }))
      const llm = inner.pipe(Llm.retry(Schedule.recurs(1)), Llm.timeout({ firstPart: "3 seconds", idle: "20 seconds" }))
      const inTime = yield* Run.text(llm, { openai: [paced(1_000, 1_000, [..."abcdefgh"])] })
      assert.strictEqual(inTime.receipt.outcome, "success")
      assert.strictEqual(inTime.receipt.attempts[0]?.firstPartMillis, 2_000)
      // The outer one waits for the first part of the second attempt, since the first one had its own.
      const late = yield* Run.text(llm, {
        openai: [ScriptedProvider.breakOff("a", "cut", { delay: 1_000, between: 1_000 }), ScriptedProvider.silence]
      })
      assert.deepStrictEqual(yield* timedOut(late), ["firstPart", 3_000, 5_000])
    }))

  it.effect("of parts are kept by the inner and the outer policy alike", () =>
    Effect.gen(function*() {
      for (const [inner, outer] of [[3_000, 5_000], [5_000, 3_000]] as const) {
        const llm = openai.pipe(Llm.timeout({ firstPart: inner }), Llm.timeout({ firstPart: outer }))
        const silent = yield* Run.text(llm, { openai: [ScriptedProvider.silence] })
        assert.deepStrictEqual(yield* timedOut(silent), ["firstPart", 3_000, 3_000])
      }
    }))
})

describe("a limit that is none", () => {
  it("is refused when the policy is made", () => {
    for (const limit of [0, "0 millis", -1, Duration.seconds(-5), Number.NaN] as const) {
      for (const name of ["firstPart", "idle", "total"] as const) {
        assert.throws(() => Llm.timeout(openai, { [name]: limit }), RangeError, `Llm.timeout: ${name} must be`)
      }
    }
  })

  it.effect("does nothing: infinite, absent, or a schedule without a delay", () =>
    Effect.gen(function*() {
      const none = [
        {},
        { firstPart: undefined },
        { firstPart: Duration.infinity, idle: Infinity, total: Duration.infinity },
        { firstPart: Schedule.recurs(0), total: Schedule.recurs(0) },
        { firstPart: Schedule.forever, idle: Schedule.forever, total: Schedule.forever }
      ]
      for (const limits of none) {
        const ran = yield* Run.text(openai.pipe(Llm.timeout(limits)), { openai: [paced(1_800_000, 0)] })
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.deepStrictEqual(ran.openai.map((call) => call.transport), ["whole"])
      }
    }))
})

describe("a watch", () => {
  it.effect("does not sleep again and again for what a sleep rounds off", () =>
    Effect.gen(function*() {
      // Waits in fractions of a millisecond, as jitter makes them. These leave a rest that is too small to sleep for.
      for (const wait of [634.789_064, 603.043_314, 574.240_26, 817.875_297]) {
        const llm = openai.pipe(
          Llm.retry(Schedule.spaced(Duration.millis(wait))),
          Llm.timeout({ firstPart: "4 seconds", idle: "1500 millis", total: "12 seconds" })
        )
        const ran = yield* Run.text(llm, {
          openai: [ScriptedProvider.breakOff("one ", "ServerError"), ScriptedProvider.silence]
        }).pipe(Effect.provide(TestClock.layer()))
        assert.isAtMost(ran.probe.sleeps(), 10)
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["ServerError", "TimedOut"])
        assert.closeTo(ran.receipt.timings.totalMillis, 4_000 + wait, 0.01)
      }
    }))

  it.effect("does not look at all while parts come in time", () =>
    Effect.gen(function*() {
      const words = Array.from({ length: 1_000 }, () => "a")
      const ran = yield* Run.stream(openai.pipe(Llm.timeout({ idle: "1 minute" })), {
        openai: [ScriptedProvider.text(words, { between: "20 millis" })]
      })
      assert.strictEqual(ran.texts.length, 1_000)
      // 20 s of parts: the provider sleeps before each of them, and the watch at most twice.
      assert.isAtMost(ran.probe.sleeps(), 1_002 + 2)
    }))
})

describe("a race with a limit", () => {
  it.effect("leaves nothing behind when the caller goes away", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.timeout({ firstPart: "8 seconds", idle: "4 seconds", total: "1 minute" }))
      for (const run of [Llm.generateText(llm, question), Stream.runDrain(Llm.streamText(llm, question))]) {
        const probe = yield* makeProbe
        const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.silence])
        const fiber = yield* Effect.asVoid(run).pipe(
          Effect.provide(provider.layer),
          probe.watch,
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 second")
        assert.isAbove(probe.timers(), 0)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
        assert.deepStrictEqual(Run.outcomes(provider.calls), ["interrupted"])
      }
    }))

  it.effect("hands on a failure and a defect as they are", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.timeout({ firstPart: "8 seconds", total: "1 minute" }))
      const failed = yield* Run.text(llm, { openai: [ScriptedProvider.fail("InvalidRequest", { delay: "1 second" })] })
      assert.strictEqual(failed.receipt.outcome, "InvalidRequest")
      const died = yield* Run.text(llm, { openai: [] })
      assert.strictEqual(died.receipt.outcome, "defect")
      assert.strictEqual(failed.probe.timers() + died.probe.timers(), 0)
    }))
})
