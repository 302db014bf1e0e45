/**
 * A budget inside of a shared request: the request is charged once, whoever began it and whoever waits for it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { books, budget } from "../budget/support/budget.ts"
import { openai } from "../core/support/stack.ts"
import { makeWorld } from "./support/flights.ts"

const hello = ScriptedProvider.text(["Hel", "lo ", "all!"], { delay: 100, between: 10 })

const limits: Budget.Options = {
  limits: [
    { resource: "requests", limit: 10, window: Budget.calendar("day") },
    { resource: "usd", limit: 1, window: Budget.calendar("day") }
  ]
}

const charged = Effect.map(Layer.build(budget(limits)), (services) => {
  const enforced = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
  return {
    books: Effect.provideContext(books(), services),
    llm: Llm.make({
      plan: enforced.plan,
      open: (call) => Effect.provideContext(enforced.open(call), services)
    }).pipe(SingleFlight.share({ key: () => "" }))
  }
})

describe("SingleFlight", () => {
  for (const kind of ["whole", "stream"] as const) {
    it.effect(`one charge for all, also where the one who began it has left (${kind})`, () =>
      Effect.gen(function*() {
        const { books, llm } = yield* charged
        const world = yield* makeWorld([hello])
        const callers = yield* Effect.forEach([1, 2, 3], () => world[kind](llm))
        yield* TestClock.adjust(50)
        assert.deepStrictEqual((yield* books)[0], [0, 1])
        yield* callers[0]!.leave
        assert.deepStrictEqual((yield* books)[0], [0, 1])
        yield* TestClock.adjust(1000)
        // 10 tokens in and 3 out, at 1 and 2 micro-dollars.
        assert.deepStrictEqual(yield* books, [[1, 0], [16, 0]])
        assert.deepStrictEqual(
          callers.map((caller) => [caller.receipt().cost, caller.receipt().saved] as Array<unknown>),
          [
            [undefined, undefined],
            [16, undefined],
            [undefined, 16]
          ]
        )
        yield* world.settled
      }))

    it.effect(`what is cancelled with the last one is settled, on the receipt of that one (${kind})`, () =>
      Effect.gen(function*() {
        const { books, llm } = yield* charged
        const world = yield* makeWorld([hello])
        const callers = yield* Effect.forEach([1, 2], () => world[kind](llm))
        yield* TestClock.adjust(115)
        for (const caller of callers) yield* caller.leave
        const after = yield* books
        assert.deepStrictEqual(after[0], [1, 0])
        assert.strictEqual(after[1]![1], 0)
        assert.deepStrictEqual(callers.map((caller) => caller.receipt().cost) as Array<unknown>, [
          undefined,
          after[1]![0]
        ])
        yield* world.settled
      }))
  }
})
