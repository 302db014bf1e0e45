import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Schedule } from "effect"
import { Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Run from "../core/support/run.ts"
import { openai } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

const responding = (response: Duration.Input, delay: Duration.Input): ScriptedProvider.Step => ({
  ...ScriptedProvider.text("330 m", { delay }),
  response
})

for (const [kind, run] of Object.entries(kinds)) {
  describe(`a limit on connecting: ${kind}`, () => {
    it.effect("ends a request to which nobody responds", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.timeout({ connect: "5 seconds" })), {
          openai: [ScriptedProvider.silence, responding("6 seconds", "7 seconds")]
        })
        const error = yield* Effect.flip(ran.exit)
        assert(error._tag === "TimedOut")
        assert.strictEqual(error.phase, "connect")
        assert.deepStrictEqual(error.limit, Duration.seconds(5))
        assert.strictEqual(error.message, "no response within 5s")
        assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
        assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [["timeout", "connect"]])
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted"])
        assert.deepStrictEqual([ran.probe.timers(), ran.probe.fibers()], [0, 0])
      }))

    it.effect("is not for a response that has begun and thinks", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.timeout({ connect: "5 seconds" })), {
          openai: [responding("4 seconds", "5 minutes")]
        })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
      }))

    it.effect("stands beside a limit on the first part", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(Llm.timeout({ connect: "5 seconds", firstPart: "30 seconds" }))
        const thinking = yield* run(llm, { openai: [responding("1 second", "31 seconds")] })
        const error = yield* Effect.flip(thinking.exit)
        assert(error._tag === "TimedOut")
        assert.deepStrictEqual([error.phase, thinking.receipt.timings.totalMillis], ["firstPart", 30_000])
        const silent = yield* run(llm, { openai: [ScriptedProvider.silence] })
        assert.strictEqual(silent.receipt.timings.totalMillis, 5_000)
      }))

    it.effect("is for each attempt, by a schedule where one is given", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(
          Llm.timeout({ connect: Schedule.exponential("2 seconds") }),
          Llm.retry(Schedule.recurs(2))
        )
        const ran = yield* run(llm, { openai: () => ScriptedProvider.silence })
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.durationMillis), [2_000, 4_000, 8_000])
      }))

    it.effect("begins anew with each attempt that a retry inside makes", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(Llm.retry(Schedule.spaced("10 seconds")), Llm.timeout({ connect: "5 seconds" }))
        const ran = yield* run(llm, {
          openai: [
            { ...ScriptedProvider.fail("Overloaded", { delay: "4 seconds" }), response: "1 second" },
            ScriptedProvider.silence
          ]
        })
        assert.strictEqual(ran.receipt.outcome, "TimedOut")
        // The second attempt has its own five seconds, and the wait before it counts for nothing.
        assert.strictEqual(ran.receipt.timings.totalMillis, 19_000)
      }))
  })
}
