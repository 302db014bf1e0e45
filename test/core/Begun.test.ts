/**
 * Whoever is told that something begins is told that it ends, wherever it is interrupted.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, References, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { type Instrument, Live } from "../../src/core/internal/instrument.ts"
import { budget } from "../budget/support/budget.ts"
import { OpenAi, openai, question } from "./support/stack.ts"

const counting = () => {
  const counts = { operations: 0, closed: 0, attempts: 0, ended: 0 }
  const instrument: Instrument = {
    operation: () => {
      counts.operations++
      return {
        span: undefined,
        attempt: () => {
          counts.attempts++
          return { span: undefined, propagates: false, arrived: () => {}, ended: () => counts.ended++ }
        },
        decided: () => {},
        noted: () => {},
        joined: () => {},
        closed: () => counts.closed++
      }
    }
  }
  return { counts, instrument }
}

const enforced = openai.pipe(Budget.enforce({ maxOutputTokens: 10 }))

describe("what begins", () => {
  for (
    const [name, call] of Object.entries({
      "a whole answer": Llm.generateText(openai, question),
      "a stream": Stream.runDrain(Llm.streamText(openai, question)),
      "a whole answer under a budget": Llm.generateText(enforced, question),
      "a stream under a budget": Stream.runDrain(Llm.streamText(enforced, question))
    })
  ) {
    it.effect(`ends, wherever ${name} is interrupted`, () =>
      Effect.gen(function*() {
        const { counts, instrument } = counting()
        // Fibers yield to each other every so many steps: with these, between any two.
        for (const steps of [2, 3, 4, 5, 7, 9]) {
          for (let turns = 0; turns < 120; turns++) {
            const fiber = yield* call.pipe(
              Effect.provideService(References.MaxOpsBeforeYield, steps),
              Effect.provideService(Live, instrument),
              Effect.forkChild({ startImmediately: true })
            )
            for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            const where = `after ${turns} turns of ${steps} steps`
            assert.strictEqual(counts.closed, counts.operations, where)
            assert.strictEqual(counts.ended, counts.attempts, where)
          }
        }
        assert.isAbove(counts.attempts, 100)
        assert.isAbove(counts.operations, counts.attempts)
      }).pipe(Effect.provide([
        budget({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }),
        ScriptedProvider.layer(OpenAi, () => ({ ...ScriptedProvider.text("330 m"), delay: "1 minute" }))
      ])))
  }
})
