/**
 * Every check of the wall fails for some stack that is broken on purpose: a wall that nothing can fail proves nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { attempt, http, scripted } from "../wall/attempt.ts"
import { broken } from "../wall/broken.ts"
import type { Lab } from "../wall/lab.ts"
import type { Outcome, Scenario } from "../wall/scenario.ts"
import { scenarios } from "../wall/scenarios.ts"

const tests = scenarios.flatMap((scenario) => scenario.modes.map((mode) => ({ scenario, mode })))

/** Broken stacks that between them fail nearly every check: the others are asked where one has held. */
const telling = [
  "impatient",
  "blind",
  "hammering",
  "dying",
  "unwritten",
  "wrongModel",
  "bare",
  "overbilled",
  "stammering"
].map((name) => broken[name]!)
const others = Object.values(broken).filter((stackOf) => !telling.includes(stackOf))

/** Seeds between which the checks of a scenario may differ; a load is much the same with any. */
const seedsOf = (scenario: Scenario) => scenario.name === "X15" ? [0] : [0, 1]

/** How much slower it goes once more, where a check has held: what should be quick is not, on a machine that has much else to do. */
const slower = 4

/** The checks that hold for every one of the broken stacks. */
const vacuous = (
  scenario: Scenario,
  run: (stackOf: Lab["stackOf"], seed: number, slowness: number) => Effect.Effect<Outcome>,
  options: { readonly concurrency: number }
) =>
  Effect.gen(function*() {
    const held = new Set<string>()
    const failed = new Set<string>()
    const allFailed = () => failed.size > 0 && [...held].every((what) => failed.has(what))
    // Once every check has failed the others can only fail again; but some checks are there with some seeds only.
    const runs = [telling, others].flatMap((stacks) =>
      [
        seedsOf(scenario).map((seed) => ({ stacks, seed, slowness: 1, always: stacks === telling })),
        { stacks, seed: 0, slowness: slower, always: false }
      ].flat()
    )
    for (const { always, seed, slowness, stacks } of runs) {
      if (allFailed() && !always) break
      for (let next = 0; next < stacks.length; next += options.concurrency) {
        const outcomes = yield* Effect.forEach(
          stacks.slice(next, next + options.concurrency),
          (stackOf) => run(stackOf, seed, slowness),
          options
        )
        for (const check of outcomes.flatMap(({ checks }) => checks)) (check.holds ? held : failed).add(check.what)
        if (allFailed()) break
      }
    }
    assert.isAbove(failed.size, 0)
    return [...held].filter((what) => !failed.has(what))
  })

describe("without a network", () => {
  for (const { mode, scenario } of tests.filter(({ scenario }) => !scenario.wire)) {
    it.effect(`${scenario.name}, ${mode}: every check can fail`, () =>
      Effect.gen(function*() {
        const held = yield* vacuous(scenario, (stackOf, seed) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(attempt(scenario, scripted({ mode, seed, stackOf })), {
              startImmediately: true
            })
            yield* TestClock.adjust("10 hours")
            return yield* Fiber.join(fiber)
          }), { concurrency: 1 })
        assert.deepStrictEqual(held, [])
      }))
  }
})

describe.concurrent("over HTTP", () => {
  for (const { mode, scenario } of tests.filter(({ scenario }) => scenario.wire)) {
    it.live(`${scenario.name}, ${mode}: every check can fail`, () =>
      Effect.gen(function*() {
        const held = yield* vacuous(
          scenario,
          (stackOf, seed, slowness) =>
            attempt(
              scenario,
              http({
                mode,
                seed,
                stackOf,
                slack: 500,
                load: 60,
                scale: (scenario.name === "X15" ? 20 : 100) / slowness
              })
            ),
          { concurrency: 3 }
        )
        assert.deepStrictEqual(held, [])
      }), 120_000)
  }
})
