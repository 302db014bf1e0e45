import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Redacted, Schedule, Stream } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { chunked, delta, finish } from "../core/support/chunked.ts"
import * as Run from "../core/support/run.ts"
import { anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const second = Duration.seconds(1)

/** How a stream was cut off: by which limit, after what, and when. */
const cutOff = <E>(ran: Run.Streamed<E>) =>
  Effect.map(Effect.flip(ran.exit), (error) => {
    assert(error instanceof LlmError.StreamInterrupted, `it failed with ${LlmError.tagOf(error)}`)
    assert.strictEqual(error.reason, "timedOut")
    assert(error.failure?._tag === "TimedOut")
    assert.strictEqual(error.provider, "openai")
    assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted"])
    assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
    assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    return {
      phase: error.failure.phase,
      limit: Duration.toMillis(error.failure.limit),
      partial: Redacted.value(error.partial),
      at: ran.receipt.timings.totalMillis
    }
  })

describe("the limit of silence", () => {
  const llm = openai.pipe(Llm.timeout({ idle: "5 seconds" }))

  it.effect("ends an answer that has come to a halt", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(llm, {
        openai: [ScriptedProvider.breakOff(["a", "b"], "stall", { delay: second, between: second })]
      })
      assert.deepStrictEqual(ran.texts, ["a", "b"])
      // The last part came at 3 s.
      assert.deepStrictEqual(yield* cutOff(ran), { phase: "idle", limit: 5_000, partial: "ab", at: 8_000 })
      assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.durationMillis), [8_000])
      assert.deepStrictEqual(ran.receipt.events, [{
        type: "timeout",
        atMillis: 8_000,
        afterAttempts: 1,
        reason: "idle"
      }])
    }))

  it.effect("counts from each part anew", () =>
    Effect.gen(function*() {
      const step = (between: number) => ScriptedProvider.text(["a", "b", "c"], { delay: second, between })
      const inTime = yield* Run.stream(llm, { openai: [step(4_999)] })
      assert.isTrue(Exit.isSuccess(inTime.exit))
      assert.strictEqual(inTime.probe.timers() + inTime.probe.fibers(), 0)
      const late = yield* Run.stream(llm, { openai: [step(5_001)] })
      assert.deepStrictEqual(yield* cutOff(late), { phase: "idle", limit: 5_000, partial: "a", at: 11_001 })
    }))

  it.effect("does not count the time that the reader takes", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(
        llm,
        { openai: [ScriptedProvider.text(["a", "b", "c"], { delay: second, between: "4 seconds" })] },
        () => Effect.sleep("7 seconds")
      )
      assert.isTrue(Exit.isSuccess(ran.exit))
      assert.deepStrictEqual(ran.texts, ["a", "b", "c"])
      assert.deepStrictEqual(ran.receipt.events, [])
    }))

  it.effect("counts the silence after a slow reader has come back", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(
        llm,
        { openai: [ScriptedProvider.breakOff(["a", "b"], "stall", { between: second })] },
        () => Effect.sleep("7 seconds")
      )
      // "a" at 1 s, read until 8 s; "b" at 9 s, read until 16 s; then silence.
      assert.deepStrictEqual(yield* cutOff(ran), { phase: "idle", limit: 5_000, partial: "ab", at: 21_000 })
    }))

  it.effect("does not bound the wait for the first part", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.text("a", { delay: "20 minutes" })] })
      assert.isTrue(Exit.isSuccess(ran.exit))
    }))

  it.effect("is by attempt where it is a schedule", () =>
    Effect.gen(function*() {
      const byAttempt = openai.pipe(
        Llm.timeout({ idle: Schedule.exponential("1 second") }),
        Llm.retry(Schedule.recurs(2))
      )
      const ran = yield* Run.stream(byAttempt, {
        openai: [
          ScriptedProvider.fail("Overloaded"),
          ScriptedProvider.fail("Overloaded"),
          ScriptedProvider.breakOff("a", "stall")
        ]
      })
      // The third delay of the schedule is 4 s.
      assert.strictEqual(ran.receipt.timings.totalMillis, 4_000)
    }))

  it.effect("never leads to another answer once this one has begun", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(llm.pipe(Llm.retry(Schedule.recurs(3)), Llm.orElse(anthropic)), {
        openai: [ScriptedProvider.breakOff("a", "stall")]
      })
      yield* cutOff(ran)
      assert.strictEqual(ran.anthropic.length, 0)
    }))
})

describe("the limit of silence, where a full answer is collected", () => {
  it.effect("ends an answer that has come to a halt, which is then asked for again", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.timeout({ idle: "5 seconds" }), Llm.retry(Schedule.recurs(1)))
      const ran = yield* Run.text(llm, {
        openai: [
          ScriptedProvider.breakOff(["a", "b"], "stall", { delay: second, between: second }),
          ScriptedProvider.text("330 m")
        ]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 8_000])
      assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted", "success"])
      assert.strictEqual(yield* ran.exit, "330 m")
      assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["TimedOut", "success"])
    }))

  it.effect("does not take the wait of a retry for silence", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(Schedule.spaced("20 seconds")), Llm.timeout({ idle: "5 seconds" }))
      const ran = yield* Run.text(llm, {
        openai: [ScriptedProvider.breakOff(["a", "b"]), ScriptedProvider.text("330 m")]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 20_000])
      assert.strictEqual(yield* ran.exit, "330 m")
    }))

  it.effect("passes in time, whatever the other limits are", () =>
    Effect.gen(function*() {
      for (const firstPart of [Duration.seconds(2), Duration.seconds(60), Duration.hours(2)]) {
        for (const other of [{}, { total: "30 minutes" }] as const) {
          const llm = openai.pipe(Llm.timeout({ firstPart, idle: "5 seconds", ...other }))
          const ran = yield* Run.text(llm, {
            openai: [ScriptedProvider.breakOff(["a", "b"], "stall", { delay: second })]
          })
          const error = yield* Effect.flip(ran.exit)
          assert(error._tag === "TimedOut")
          assert.strictEqual(error.phase, "idle")
          assert.strictEqual(ran.receipt.timings.totalMillis, 6_000)
        }
      }
    }))

  it.effect("gives way to the limit of the first part in each attempt it is around", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(
        Llm.retry(Schedule.recurs(1)),
        Llm.timeout({ firstPart: "5 seconds", idle: "1 minute" })
      )
      const ran = yield* Run.text(llm, {
        openai: [ScriptedProvider.breakOff(["a"], "cut", { delay: second, between: second }), ScriptedProvider.silence]
      })
      // The first attempt has content at 2 s and breaks off; the second one is silent from then on.
      assert.deepStrictEqual(Run.times(ran.openai), [0, 2_000])
      const error = yield* Effect.flip(ran.exit)
      assert(error._tag === "TimedOut")
      assert.strictEqual(error.phase, "firstPart")
      assert.strictEqual(ran.receipt.timings.totalMillis, 7_000)
      // The same, where silence has been waited for by the time that the second attempt begins.
      const later = yield* Run.text(llm, {
        openai: [
          ScriptedProvider.breakOff(["a", "b", "c"], "cut", { delay: second, between: "2 seconds" }),
          ScriptedProvider.silence
        ]
      })
      assert.strictEqual(later.receipt.attempts[1]?.startMillis, 7_000)
      assert.strictEqual(later.receipt.timings.totalMillis, 12_000)
    }))
})

describe("the limit of the whole, while the answer flows", () => {
  const llm = openai.pipe(Llm.timeout({ total: "5 seconds" }))

  it.effect("ends an answer that goes on and on", () =>
    Effect.gen(function*() {
      const words = Array.from({ length: 20 }, (_, index) => `${index}`)
      const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.text(words, { between: "900 millis" })] })
      assert.deepStrictEqual(ran.texts, ["0", "1", "2", "3", "4"])
      assert.deepStrictEqual(yield* cutOff(ran), { phase: "total", limit: 5_000, partial: "01234", at: 5_000 })
    }))

  it.effect("counts from the beginning of the call, not of the answer", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(
        openai.pipe(Llm.retry(Schedule.spaced("2 seconds")), Llm.timeout({ total: "5 seconds" })),
        { openai: [ScriptedProvider.fail("Overloaded"), ScriptedProvider.breakOff("a", "stall", { delay: second })] }
      )
      assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
    }))

  it.effect("passes before the one of silence, where it is nearer", () =>
    Effect.gen(function*() {
      const stalled = ScriptedProvider.breakOff("a", "stall", { between: second })
      const both = yield* Run.stream(openai.pipe(Llm.timeout({ idle: "10 seconds", total: "4 seconds" })), {
        openai: [stalled]
      })
      assert.deepInclude(yield* cutOff(both), { phase: "total", at: 4_000 })
      const apart = yield* Run.stream(
        openai.pipe(Llm.timeout({ idle: "2 seconds" }), Llm.timeout({ total: "4 seconds" })),
        {
          openai: [stalled]
        }
      )
      assert.deepInclude(yield* cutOff(apart), { phase: "idle", at: 3_000 })
    }))

  it.effect("is over with the answer, however long the reader takes over its last words", () =>
    Effect.gen(function*() {
      for (const between of [0, 500]) {
        const ran = yield* Run.stream(
          llm,
          { openai: [ScriptedProvider.text(["a", "b"], { between })] },
          (text) => text === "b" ? Effect.sleep("1 minute") : Effect.void
        )
        assert.deepStrictEqual(ran.texts, ["a", "b"])
        if (between === 0) {
          // All had arrived in one piece: there is nothing left that could come too late.
          assert.isTrue(Exit.isSuccess(ran.exit))
          assert.strictEqual(ran.receipt.outcome, "success")
          assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["success"])
          assert.deepStrictEqual(ran.receipt.events, [])
        } else {
          // The end of the answer is still to come when the reader is back, which is too late.
          assert.deepInclude(yield* cutOff(ran), { phase: "total", partial: "ab" })
        }
      }
    }))

  it.effect("holds against a reader who is slow, whatever is there to read by then", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const receipts = makeReceipts()
      const pieces = [..."abcd"].map((text) => [delta(text)])
      const fiber = yield* Llm.streamText(llm, question).pipe(
        Llm.textDeltas,
        Stream.runForEach((text) => Effect.andThen(Effect.sync(() => texts.push(text)), Effect.sleep("2 seconds"))),
        Effect.flip,
        receipts.observe,
        Effect.provide(chunked(OpenAi, [...pieces, [finish()]])),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "timedOut")
      assert.strictEqual(Redacted.value(error.partial), "abc")
      assert.deepStrictEqual(texts, ["a", "b", "c"])
      assert.strictEqual(receipts.one().outcome, "StreamInterrupted")
      assert.deepStrictEqual(receipts.one().attempts.map((attempt) => attempt.outcome), ["TimedOut"])
    }))
})
