/**
 * Every ordered pair of policies, on three bad days: how many requests leave, what circuits hear, and what the caller gets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type DayName, days, summary } from "./support/matrix.ts"
import { pinned } from "./support/pinned.ts"
import { policyNames } from "./support/policies.ts"

const order: ReadonlyArray<DayName> = ["overloaded", "silent", "cut"]

describe("each policy inside each other", () => {
  for (const inner of policyNames) {
    for (const outer of policyNames) {
      const pair = `${inner} > ${outer}` as const
      it.effect(pair, () =>
        Effect.gen(function*() {
          const seen: Array<string> = []
          for (const name of order) {
            const { day, left, unknown } = yield* days[name]([inner, outer])
            seen.push(summary(day))
            // Receipts know of every request; no timer, fiber or permit is left.
            assert.deepStrictEqual({ left, unknown }, { left: 0, unknown: 0 }, name)
          }
          assert.deepStrictEqual(seen, [...pinned[pair]])
        }))
    }
  }
})
