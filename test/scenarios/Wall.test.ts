/**
 * The wall, quickly: without a network at the published times, and over real HTTP in a twentieth of them, for many seeds.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { attempt, failed, http, scripted } from "../wall/attempt.ts"
import { scenarios } from "../wall/scenarios.ts"

const seeds = Array.from({ length: 20 }, (_, seed) => seed)

const tests = scenarios.flatMap((scenario) => scenario.modes.map((mode) => ({ scenario, mode })))

describe("at the published times, without a network", () => {
  for (const { mode, scenario } of tests.filter(({ scenario }) => !scenario.wire)) {
    it.effect(`${scenario.name}, ${mode}: ${scenario.sentence}`, () =>
      Effect.forEach(seeds, (seed) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(attempt(scenario, scripted({ mode, seed })), { startImmediately: true })
          yield* TestClock.adjust("1 hour")
          assert.isDefined(fiber.pollUnsafe(), `seed ${seed} hangs`)
          const { checks } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(failed(checks), [], `seed ${seed}`)
        }), { discard: true }))
  }
})

const scale = 20

/** How late a loaded machine may be, in milliseconds of its own. */
const slack = 3_000

/** What takes long, and has been seen above for all seeds, is seen here for a few. */
const slow: Record<string, number> = { S06: 3, S07: 3, S09: 3, S15: 1, X08: 1, X14: 3, X15: 2 }

describe.concurrent("over HTTP, in a twentieth of the time", () => {
  for (const { mode, scenario } of tests) {
    it.live(
      `${scenario.name}, ${mode}: ${scenario.sentence}`,
      () =>
        Effect.forEach(
          seeds.slice(0, slow[scenario.name] ?? seeds.length),
          (seed) =>
            Effect.map(attempt(scenario, http({ mode, seed, scale, slack })), ({ checks }) =>
              assert.deepStrictEqual(failed(checks), [], `seed ${seed}`)),
          { concurrency: 4, discard: true }
        ),
      40_000
    )
  }
})
