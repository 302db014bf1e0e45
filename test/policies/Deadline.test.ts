/**
 * One deadline for all that a call does: whoever comes last still has time, and nothing is sent after it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Schedule } from "effect"
import { Fallback, Llm, type LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Run from "../core/support/run.ts"
import { type Anthropic, anthropic, OpenAi, openai } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const
const ok = ScriptedProvider.text("Bonjour")
const total = Llm.timeout({ total: "60 seconds" })

for (const [kind, run] of Object.entries(kinds)) {
  describe(`a fallback within a deadline: ${kind}`, () => {
    const forms: Record<string, Llm.Llm<LlmError.LlmError, Anthropic | OpenAi>> = {
      orElse: openai.pipe(Llm.orElse(anthropic), total),
      "orElseOn TimedOut": openai.pipe(
        Llm.timeout({ firstPart: "5 minutes" }),
        Llm.orElseOn(["TimedOut", "Overloaded"], anthropic),
        total
      ),
      firstOf: Fallback.firstOf([openai, anthropic]).pipe(total),
      // Its own limits see to it: there is no second watch.
      "firstOf, of one that is watched": Fallback.firstOf([
        openai.pipe(Llm.timeout({ firstPart: "5 minutes" }), Llm.retry(Schedule.recurs(2))),
        anthropic
      ]).pipe(total),
      cascade: Fallback.cascade([
        { llm: openai, quality: 1, price: 1 },
        { llm: anthropic, quality: 1, price: 2 }
      ]).pipe(total)
    }

    for (const [name, llm] of Object.entries(forms)) {
      it.effect(`${name}: is left a quarter of it by a model that is silent`, () =>
        Effect.gen(function*() {
          const ran = yield* run(llm, { openai: [ScriptedProvider.silence], anthropic: [ok] })
          assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
          assert.deepStrictEqual(Run.times(ran.anthropic), [45_000])
          assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted"])
          // The receipt says why.
          assert.strictEqual(ran.receipt.attempts[0]?.outcome, "TimedOut")
          assert.strictEqual(ran.receipt.events[0]?.type, "timeout")
          assert.deepStrictEqual([ran.probe.timers(), ran.probe.fibers()], [0, 0])
        }))
    }

    it.effect("is left it by a retry that is watched, whenever its attempts begin", () =>
      Effect.gen(function*() {
        const watched = openai.pipe(Llm.timeout({ idle: "5 minutes" }), Llm.retry(Schedule.spaced("20 seconds")))
        const ran = yield* run(watched.pipe(Llm.orElse(anthropic), total), {
          openai: [ScriptedProvider.fail("Overloaded", { delay: "4 seconds" }), ScriptedProvider.silence],
          anthropic: [ok]
        })
        assert.deepStrictEqual(Run.times(ran.openai), [0, 24_000])
        assert.deepStrictEqual(Run.times(ran.anthropic), [45_000])
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
          "Overloaded",
          "TimedOut",
          "success"
        ])
      }))

    it.effect("is reached before a retry would wait too long for it", () =>
      Effect.gen(function*() {
        const llm = openai.pipe(Llm.retry(Schedule.spaced("20 seconds")), Llm.orElse(anthropic), total)
        const ran = yield* run(llm, { openai: () => ScriptedProvider.fail("Overloaded"), anthropic: [ok] })
        assert.deepStrictEqual(Run.times(ran.openai), [0, 20_000, 40_000])
        // The next retry would come at 60 s, and the model's own time ends at 45 s: there is nothing to wait for.
        assert.deepStrictEqual(Run.times(ran.anthropic), [40_000])
      }))

    it.effect("is left it by limits that are none", () =>
      Effect.gen(function*() {
        for (
          const limits of [
            { idle: Infinity },
            { firstPart: Schedule.recurs(0) },
            { connect: Schedule.recurs(0), idle: Infinity }
          ]
        ) {
          const ran = yield* run(openai.pipe(Llm.timeout(limits), Llm.orElse(anthropic), total), {
            openai: [ScriptedProvider.silence],
            anthropic: [ok]
          })
          assert.deepStrictEqual(Run.times(ran.anthropic).map((at, _, [first = 0]) => at - first), [0])
          assert.strictEqual(ran.receipt.attempts[1]?.startMillis, 45_000)
        }
      }))

    it.effect("and the one that was given up says how long it had", () =>
      Effect.gen(function*() {
        for (const first of [openai, openai.pipe(Llm.timeout({ idle: "5 minutes" }))]) {
          const ran = yield* run(Fallback.firstOf([first, anthropic]).pipe(total), {
            openai: [ScriptedProvider.silence],
            anthropic: [ScriptedProvider.fail("Overloaded")]
          })
          const error = yield* Effect.flip(ran.exit)
          const failure = error._tag === "AllModelsExhausted" ? error.failures[0] : undefined
          assert(failure?._tag === "TimedOut")
          assert.deepStrictEqual([failure.phase, failure.limit], ["total", Duration.seconds(45)])
        }
      }))

    it.effect("each of several is left its share", () =>
      Effect.gen(function*() {
        const third = Llm.model(OpenAi, "gpt-5-nano")
        const ran = yield* run(Fallback.firstOf([openai, anthropic, third]).pipe(total), {
          openai: [ScriptedProvider.silence, ok],
          anthropic: [ScriptedProvider.silence]
        })
        assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
        assert.deepStrictEqual(Run.times(ran.openai), [0, 52_500])
        assert.deepStrictEqual(Run.times(ran.anthropic), [30_000])
      }))

    it.effect("may use it up: the last one is bounded by the deadline alone", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic), total), {
          openai: [ScriptedProvider.fail("Overloaded")],
          anthropic: [ScriptedProvider.silence]
        })
        assert.strictEqual(ran.receipt.outcome, "TimedOut")
        assert.strictEqual(ran.receipt.timings.totalMillis, 60_000)
      }))

    it.effect("is not asked when the deadline has passed", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic), Llm.orElse(anthropic), total), {
          openai: [ScriptedProvider.silence],
          anthropic: () => ScriptedProvider.silence
        })
        assert.strictEqual(ran.receipt.outcome, "TimedOut")
        assert.strictEqual(ran.receipt.timings.totalMillis, 60_000)
        assert.isTrue(ran.anthropic.every((call) => call.at < 60_000))
      }))

    it.effect("without a deadline waits for ever, as it was told", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic)), { openai: [ScriptedProvider.silence] })
        assert.strictEqual(ran.receipt.outcome, "interrupted")
        assert.strictEqual(ran.probe.sleeps(), 0)
      }))
  })
}

describe("a deadline within a deadline", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`${kind}: the nearer one ends the call, whichever stands outside`, () =>
      Effect.gen(function*() {
        for (const [inner, outer] of [["20 seconds", "50 seconds"], ["50 seconds", "20 seconds"]] as const) {
          const ran = yield* run(openai.pipe(Llm.timeout({ total: inner }), Llm.timeout({ total: outer })), {
            openai: [ScriptedProvider.silence]
          })
          const error = yield* Effect.flip(ran.exit)
          assert(error._tag === "TimedOut")
          assert.deepStrictEqual([error.phase, error.limit], ["total", Duration.seconds(20)])
          assert.strictEqual(ran.receipt.timings.totalMillis, 20_000)
          // One of them watches: the other has nothing to add.
          assert.strictEqual(ran.receipt.events.length, 1)
        }
      }))
  }
})

describe("a stream that has begun", () => {
  it.effect("is no longer bound to leave time for a fallback", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(openai.pipe(Llm.orElse(anthropic), total), {
        openai: [ScriptedProvider.text(["a", "b", "c"], { delay: "40 seconds", between: "3 seconds" })]
      })
      assert.deepStrictEqual(ran.exit, Exit.succeed("abc"))
    }))
})
