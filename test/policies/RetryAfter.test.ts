import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted, Schedule } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Run from "../core/support/run.ts"
import { anthropic, openai } from "../core/support/stack.ts"

const ok = ScriptedProvider.text("330 m")

const limited = (retryAfter: Duration.Input) =>
  ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.fromInputUnsafe(retryAfter) }))

const every = (duration: Duration.Input) => Schedule.spaced(duration).pipe(Schedule.upTo({ times: 3 }))

describe("a provider that says when to come back", () => {
  it.effect("is obeyed where it asks for longer than the schedule", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(every("1 second"))), {
        openai: [limited("7500 millis"), limited("3 seconds"), ok]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 8_500, 12_500])
      assert.deepStrictEqual(ran.receipt.events.map((event) => event.delayMillis), [8_500, 4_000])
    }))

  it.effect("is not asked earlier than the schedule says", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(every("5 seconds"))), {
        openai: [limited("1 second"), limited(0), ok]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 5_000, 10_000])
    }))

  it.effect("is heard through whatever kind of failure says so", () =>
    Effect.gen(function*() {
      const retryAfter = Duration.seconds(9)
      const interrupted = new LlmError.StreamInterrupted({
        partial: Redacted.make(""),
        reason: "failed",
        failure: new LlmError.Overloaded({ retryAfter })
      })
      const ran = yield* Run.text(openai.pipe(Llm.retry(every("1 second"))), {
        openai: [
          ScriptedProvider.fail(new LlmError.Overloaded({ retryAfter })),
          ScriptedProvider.fail(interrupted),
          ScriptedProvider.fail("Overloaded"),
          ok
        ]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 10_000, 20_000, 21_000])
    }))

  it.effect("is given up at once where it asks for longer than 20 seconds", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(every("1 second")))
      const patient = yield* Run.text(llm, { openai: [limited("20 seconds"), ok] })
      assert.deepStrictEqual(Run.times(patient.openai), [0, 21_000])
      const tooLong = yield* Run.text(llm, { openai: [limited("20001 millis")] })
      assert.strictEqual(tooLong.receipt.outcome, "RateLimited")
      assert.strictEqual(tooLong.receipt.timings.totalMillis, 0)
      assert.deepStrictEqual(tooLong.receipt.events, [])
    }))

  it.effect("is given up at once where it asks for longer than the policy allows, and the fallback runs", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(every("1 second"), { maxRetryAfter: "2 seconds" }), Llm.orElse(anthropic))
      const ran = yield* Run.text(llm, { openai: [limited("2 seconds"), limited("3 seconds")], anthropic: [ok] })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 3_000])
      assert.deepStrictEqual(Run.times(ran.anthropic), [3_000])
      assert.strictEqual(ran.receipt.outcome, "success")
    }))

  it.effect("may ask for a year", () =>
    Effect.gen(function*() {
      for (const huge of [Duration.days(365), Duration.millis(Number.MAX_SAFE_INTEGER), Duration.infinity]) {
        const ran = yield* Run.text(openai.pipe(Llm.retry(every("1 second"))), { openai: [limited(huge)] })
        assert.strictEqual(ran.receipt.timings.totalMillis, 0)
      }
    }))

  it.effect("is obeyed for longer than 20 seconds where the policy says so", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(every("1 second"), { maxRetryAfter: "10 minutes" })), {
        openai: [limited("5 minutes"), ok]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 301_000])
    }))

  it.effect("does not count as a limit to the schedule's own delays", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(every("1 minute"), { maxRetryAfter: "1 second" })), {
        openai: [ScriptedProvider.fail("Overloaded"), ok]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 60_000])
    }))
})

describe("a deadline", () => {
  const within = (total: Duration.Input, schedule = every("1 second")) =>
    openai.pipe(Llm.retry(schedule), Llm.timeout({ total }))

  it.effect("is no reason to wait for what must come too late: the failure is the last one's own", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(within("10 seconds"), { openai: [limited("15 seconds")] })
      assert.strictEqual(ran.receipt.outcome, "RateLimited")
      assert.strictEqual(ran.receipt.timings.totalMillis, 0)
      assert.deepStrictEqual(ran.receipt.events, [])
    }))

  it.effect("counts from the beginning of the call", () =>
    Effect.gen(function*() {
      const step = ScriptedProvider.fail("Overloaded", { delay: "3 seconds" })
      const ran = yield* Run.text(within("10 seconds"), { openai: () => step })
      // The third failure is at 11 s, so it does not come: the deadline is at 10 s.
      assert.deepStrictEqual(Run.times(ran.openai), [0, 4_000, 8_000])
      assert.strictEqual(ran.receipt.outcome, "TimedOut")
      assert.strictEqual(ran.receipt.timings.totalMillis, 10_000)
    }))

  it.effect("leaves out a retry that could only begin with it", () =>
    Effect.gen(function*() {
      const early = yield* Run.text(within("10 seconds", every("9999 millis")), {
        openai: [ScriptedProvider.fail("Overloaded"), ok]
      })
      assert.strictEqual(early.receipt.outcome, "success")
      const late = yield* Run.text(within("10 seconds", every("10 seconds")), {
        openai: [ScriptedProvider.fail("Overloaded")]
      })
      assert.strictEqual(late.receipt.outcome, "Overloaded")
      assert.strictEqual(late.receipt.timings.totalMillis, 0)
    }))

  it.effect("leaves the fallback its time", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(every("1 second")), Llm.orElse(anthropic), Llm.timeout({ total: "10 seconds" }))
      const ran = yield* Run.text(llm, { openai: [limited("15 seconds")], anthropic: [ok] })
      assert.strictEqual(ran.receipt.outcome, "success")
      assert.deepStrictEqual(Run.times(ran.anthropic), [0])
    }))

  it.effect("is the nearest of those around", () =>
    Effect.gen(function*() {
      for (const [inner, outer] of [["5 seconds", "1 minute"], ["1 minute", "5 seconds"]] as const) {
        const llm = openai.pipe(
          Llm.retry(every("6 seconds")),
          Llm.timeout({ total: inner }),
          Llm.timeout({ total: outer })
        )
        const ran = yield* Run.text(llm, { openai: [ScriptedProvider.fail("Overloaded")] })
        assert.strictEqual(ran.receipt.outcome, "Overloaded")
        assert.strictEqual(ran.receipt.timings.totalMillis, 0)
      }
    }))
})
