/**
 * What the memory lets go.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { makeStore } from "../../src/budget/internal/storeHome.ts"
import { MemoryStore } from "../../src/budget/internal/storeMemory.ts"
import { line, reservation } from "./support/homes.ts"

const minute = 60_000

const make = () => {
  const memory = new MemoryStore(10 * minute)
  return { memory, store: makeStore(memory) }
}

describe("a budget store in memory", () => {
  it.effect("is as large as what counts, whoever came by", () =>
    Effect.gen(function*() {
      const { memory, store } = make()
      let largest = 0
      for (let n = 0; n < 40_000; n++) {
        const slot = Math.floor(n / 100) * minute
        // A tenant that comes once, of whom nobody is settled again, and one that is always there.
        yield* store.reserve(reservation(
          `once ${n}`,
          line(`tenant ${n}`, 1, 10, { slot, since: slot, until: slot + minute }),
          line("all", 1, 100_000, { slot, since: slot, until: slot + minute })
        ))
        if (n % 3 !== 0) yield* store.settle(`once ${n}`, [1, 1])
        if (n % 100 === 99) yield* TestClock.adjust(minute)
        largest = Math.max(largest, memory.size.accounts + memory.size.pending + memory.size.finished)
      }
      // Some 12 minutes are remembered, of 100 tenants each, and what nobody has looked at yet is no more than that again.
      assert.isAtMost(largest, 2 * 12 * 300)
    }))

  it.effect("remembers what is over for ten minutes", () =>
    Effect.gen(function*() {
      const { memory, store } = make()
      const day = { slot: 0, since: 0, until: minute }
      yield* store.reserve(reservation("settled", line("a", 5, 10, day)))
      yield* store.settle("settled", [4])
      yield* store.reserve(reservation("lost", line("a", 5, 10, day)))
      yield* store.reserve(reservation("total", line("b", 5, 10, day), line("c", 5, 10)))
      yield* TestClock.adjust(10 * minute - 1)
      assert.strictEqual(yield* store.settle("settled", [4]), "repeated")
      assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 4, reserved: 5, unsettled: 5 })
      yield* TestClock.adjust(minute + 1)
      assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 0, reserved: 0, unsettled: 0 })
      // Others come by, and what is over goes.
      for (let n = 0; n < 5; n++) {
        yield* store.reserve(reservation(`${n}`, line("c", 1, 10)))
        yield* store.void(`${n}`)
      }
      assert.strictEqual(yield* store.settle("settled", [4]), "unknown")
      assert.strictEqual(yield* store.settle("lost", [5]), "unknown")
      assert.deepStrictEqual(memory.size, { accounts: 1, pending: 1, finished: 5 })
      // What holds something of a total stays, and what it held of a day that is over is nowhere.
      assert.strictEqual(yield* store.settle("total", [1, 2]), "applied")
      assert.deepStrictEqual(yield* store.balance({ account: "b", since: 0 }), { used: 0, reserved: 0, unsettled: 0 })
      assert.deepStrictEqual(yield* store.balance({ account: "c", since: 0 }), { used: 2, reserved: 0, unsettled: 0 })
    }))

  it.effect("holds what is asked of an account that it is about to forget, beside a new one", () =>
    Effect.gen(function*() {
      const old = Array.from({ length: 20 }, (_, n) => `old ${n}`)
      // Wherever it is in looking for what to forget.
      const stores = yield* Effect.forEach(old, () =>
        Effect.gen(function*() {
          const { store } = make()
          for (const name of old) yield* store.adjust({ id: name, account: name, slot: 0, until: minute, by: 3 })
          return store
        }))
      yield* TestClock.adjust(20 * minute)
      const now = { slot: 20 * minute, since: 20 * minute, until: 21 * minute }
      for (const [n, store] of stores.entries()) {
        const asked = ["new", old[n]!]
        yield* store.reserve(reservation("both", ...asked.map((name) => line(name, 1, 10, now))))
        for (const account of asked) {
          const { reserved, used } = yield* store.balance({ account, since: 0 })
          assert.deepStrictEqual([used, reserved], [0, 1], account)
        }
      }
    }))

  it.effect("remembers a hundred thousand that are over, however fast they come", () =>
    Effect.gen(function*() {
      const { memory, store } = make()
      for (let n = 0; n < 100_010; n++) yield* store.void(`${n}`)
      assert.strictEqual(memory.size.finished, 100_000)
      assert.strictEqual(yield* store.settle("9", [1]), "unknown")
      assert.strictEqual(yield* store.settle("10", [1]), "refused")
    }))
})
