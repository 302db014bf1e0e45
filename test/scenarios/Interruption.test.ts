/**
 * A caller who goes away: whatever stage the call is in, nothing is left behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const stack = openai.pipe(
  Llm.timeout({ firstPart: "10 seconds", idle: "10 seconds" }),
  Llm.retry(Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 2 }))),
  Llm.orElse(anthropic.pipe(Llm.timeout({ firstPart: "10 seconds" }))),
  Llm.timeout({ total: "60 seconds" }),
  Llm.orElseSucceed(() => "nothing")
)

const answer = ScriptedProvider.text(["a", "b", "c"], { delay: "2 seconds", between: "2 seconds" })

interface Stage {
  readonly after: number
  readonly openai: ReadonlyArray<ScriptedProvider.Step>
  readonly anthropic?: ReadonlyArray<ScriptedProvider.Step>
  /** What the providers saw of the calls, in order. */
  readonly outcomes: ReadonlyArray<string>
}

const stages: Record<string, Stage> = {
  "before the first part": { after: 1_000, openai: [answer], outcomes: ["interrupted"] },
  "while it waits to try again": {
    after: 3_000,
    openai: [ScriptedProvider.fail("Overloaded")],
    outcomes: ["Overloaded"]
  },
  "in the second attempt": {
    after: 6_000,
    openai: [ScriptedProvider.fail("Overloaded"), answer],
    outcomes: ["Overloaded", "interrupted"]
  },
  "in the fallback": {
    after: 1_000,
    openai: [ScriptedProvider.fail("QuotaExhausted")],
    anthropic: [answer],
    outcomes: ["QuotaExhausted", "interrupted"]
  },
  "while parts arrive": { after: 7_000, openai: [answer], outcomes: ["interrupted"] },
  "in a stall in mid-answer": {
    after: 5_000,
    openai: [ScriptedProvider.breakOff(["a", "b"], "stall")],
    outcomes: ["interrupted"]
  }
}

const operations = {
  "a full answer": Llm.generateText(stack, question),
  "a stream": Stream.runDrain(Llm.streamText(stack, question))
}

describe("a caller who goes away", () => {
  for (const [kind, operation] of Object.entries(operations)) {
    for (const [name, stage] of Object.entries(stages)) {
      it.effect(`${kind}, ${name}`, () =>
        Effect.gen(function*() {
          const probe = yield* makeProbe
          const receipts = makeReceipts()
          const first = ScriptedProvider.make(OpenAi, stage.openai)
          const second = ScriptedProvider.make(Anthropic, stage.anthropic ?? [])
          const fiber = yield* Effect.asVoid(operation).pipe(
            receipts.observe,
            Effect.provide([first.layer, second.layer]),
            probe.watch,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(stage.after)
          assert.isUndefined(fiber.pollUnsafe(), "it is still under way")
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(
            [...first.calls, ...second.calls].map((call) => call.outcome),
            [...stage.outcomes]
          )
          assert.strictEqual(receipts.one().outcome, "interrupted")
          assert.isFalse(receipts.one().degraded)
          assert.strictEqual(probe.timers(), 0)
          assert.strictEqual(probe.fibers(), 0)
          // Nothing comes to life later.
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(first.calls.length + second.calls.length, stage.outcomes.length)
        }))
    }
  }

  it.effect("a reader who has had enough ends the request, and no timer goes on", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [answer])
      const fiber = yield* Llm.streamText(stack, question).pipe(
        Llm.textDeltas,
        Stream.take(1),
        Stream.runCollect,
        receipts.observe,
        Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]),
        probe.watch,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a"])
      assert.deepStrictEqual(provider.calls.map((call) => call.outcome), ["interrupted"])
      assert.strictEqual(receipts.one().outcome, "interrupted")
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }))
})
