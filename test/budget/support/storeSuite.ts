/**
 * What every home of budgets has to do.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect } from "effect"
import type { BudgetStore } from "effect-bulwark/budget"
import { TestClock } from "effect/testing"
import { type Home, line, reservation, type Store, test as testOf } from "./homes.ts"

const most = Number.MAX_SAFE_INTEGER

const holds = (store: Store, account: string, used: number, reserved: number, since = 0) =>
  Effect.map(store.balance({ account, since }), (balance) =>
    assert.deepStrictEqual(
      { used: balance.used, reserved: balance.reserved },
      { used, reserved },
      `balance of ${account} since ${since}`
    ))

const reserved = (...balances: ReadonlyArray<BudgetStore.Balance>): BudgetStore.Verdict => ({
  _tag: "Reserved",
  balances
})

export const suite = (home: Home): void => {
  const test = testOf(home)

  home.describe(`a budget store: ${home.name}`, () => {
    test("holds what is reserved, counts what is settled, and lets go the rest", (store) =>
      Effect.gen(function*() {
        yield* holds(store, "a", 0, 0)
        assert.deepStrictEqual(
          yield* store.reserve(reservation("1", line("a", 60, 100))),
          reserved({ used: 0, reserved: 60 })
        )
        assert.deepStrictEqual(
          yield* store.reserve(reservation("2", line("a", 40, 100))),
          reserved({ used: 0, reserved: 100 })
        )
        assert.strictEqual(yield* store.settle("1", [25]), "applied")
        yield* holds(store, "a", 25, 40)
        assert.strictEqual(yield* store.void("2"), "applied")
        yield* holds(store, "a", 25, 0)
      }))

    test("refuses what does not fit, at the limit exactly, and leaves no trace of it", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(reservation("1", line("a", 70, 100)))
        yield* store.settle("1", [50])
        yield* store.reserve(reservation("2", line("a", 20, 100)))
        const refused: BudgetStore.Verdict = { _tag: "Exceeded", line: 0, balance: { used: 50, reserved: 20 } }
        assert.deepStrictEqual(yield* store.reserve(reservation("3", line("a", 31, 100))), refused)
        yield* holds(store, "a", 50, 20)
        // Nothing was made, so the id is free.
        assert.strictEqual(yield* store.settle("3", [31]), "unknown")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("3", line("a", 30, 100))),
          reserved({ used: 50, reserved: 50 })
        )
        // A limit is what the line says, now.
        assert.strictEqual((yield* store.reserve(reservation("4", line("a", 1, 100))))._tag, "Exceeded")
        assert.strictEqual((yield* store.reserve(reservation("4", line("a", 1, 101))))._tag, "Reserved")
      }))

    test("takes nothing, where nothing fits as well", (store) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* store.reserve(reservation("1", line("a", 0, 0))),
          reserved({ used: 0, reserved: 0 })
        )
        assert.strictEqual(yield* store.settle("1", [0]), "applied")
        assert.strictEqual((yield* store.reserve(reservation("2", line("a", 1, 0))))._tag, "Exceeded")
        yield* store.adjust({ id: "3", account: "a", slot: 0, until: undefined, by: 5 })
        // Not even nothing fits where more was used than there is.
        assert.strictEqual((yield* store.reserve(reservation("4", line("a", 0, 4))))._tag, "Exceeded")
        assert.strictEqual((yield* store.reserve(reservation("5", line("a", 0, 5))))._tag, "Reserved")
      }))

    test("holds all lines or none, and names the first that does not fit", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(reservation("1", line("b", 10, 10), line("c", 10, 10)))
        assert.deepStrictEqual(
          yield* store.reserve(
            reservation("2", line("z", 5, 10), line("c", 1, 10), line("b", 1, 10), line("a", 5, 10))
          ),
          { _tag: "Exceeded", line: 1, balance: { used: 0, reserved: 10 } } satisfies BudgetStore.Verdict
        )
        for (const account of ["z", "a"]) yield* holds(store, account, 0, 0)
        assert.deepStrictEqual(
          yield* store.reserve(reservation("3", line("z", 5, 10), line("b", 2, 20), line("a", 1, 10))),
          reserved({ used: 0, reserved: 5 }, { used: 0, reserved: 12 }, { used: 0, reserved: 1 })
        )
        // Amounts are in the order of the lines.
        assert.strictEqual(yield* store.settle("3", [1, 2, 3]), "applied")
        for (const [account, used, held] of [["z", 1, 0], ["b", 2, 10], ["a", 3, 0]] as const) {
          yield* holds(store, account, used, held)
        }
      }))

    test("takes as many lines as there are, and names of any kind", (store) =>
      Effect.gen(function*() {
        const names = Array.from({ length: 40 }, (_, n) => `tenant:${n}/{"a"} 'ü' %s ${"x".repeat(n)} \u{1F4B0}\\`)
        const verdict = yield* store.reserve(reservation("a'b\"c\\{}", ...names.map((name, n) => line(name, n, 100))))
        assert.deepStrictEqual(verdict, reserved(...names.map((_, n) => ({ used: 0, reserved: n }))))
        assert.strictEqual(yield* store.settle("a'b\"c\\{}", names.map(() => 7)), "applied")
        for (const name of names) yield* holds(store, name, 7, 0)
      }))

    test("counts what was used, less or more than was held", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(reservation("1", line("a", 10, 10)))
        yield* store.settle("1", [25])
        yield* holds(store, "a", 25, 0)
        assert.deepStrictEqual(
          yield* store.reserve(reservation("2", line("a", 1, 10))),
          { _tag: "Exceeded", line: 0, balance: { used: 25, reserved: 0 } } satisfies BudgetStore.Verdict
        )
      }))

    test("counts safe integers exactly, and no further", (store) =>
      Effect.gen(function*() {
        yield* store.reserve(reservation("1", line("a", most - 1, most)))
        yield* holds(store, "a", 0, most - 1)
        assert.strictEqual((yield* store.reserve(reservation("2", line("a", 2, most))))._tag, "Exceeded")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("2", line("a", 1, most))),
          reserved({ used: 0, reserved: most })
        )
        assert.deepStrictEqual(
          yield* store.reserve(reservation("3", line("a", most, most))),
          { _tag: "Exceeded", line: 0, balance: { used: 0, reserved: most } } satisfies BudgetStore.Verdict
        )
        yield* store.settle("1", [most - 2])
        yield* holds(store, "a", most - 2, 1)
        yield* store.settle("2", [most])
        yield* holds(store, "a", most, 0)
        // Of several slots, too.
        yield* store.adjust({ id: "4", account: "a", slot: 1, until: undefined, by: most })
        yield* store.adjust({ id: "5", account: "a", slot: 1, until: undefined, by: 1 })
        yield* holds(store, "a", most, 0)
        yield* store.adjust({ id: "6", account: "a", slot: 1, until: undefined, by: -1 })
        yield* holds(store, "a", most - 1, 0, 1)
        assert.strictEqual((yield* store.reserve(reservation("7", line("a", 1, most))))._tag, "Exceeded")
      }))

    test("takes times from far before and far after", (store) =>
      Effect.gen(function*() {
        const far = { slot: -most, since: -most, until: most }
        yield* store.reserve({ ...reservation("1", line("a", 3, 10, far)), leasedUntil: most })
        yield* store.reserve(reservation("2", line("a", 3, 10, { slot: most, since: -most, until: most })))
        yield* holds(store, "a", 0, 6, -most)
        yield* holds(store, "a", 0, 3, -most + 1)
        yield* store.settle("1", [2])
        yield* holds(store, "a", 2, 3, -most)
      }))

    test("settles or voids, once", (store) =>
      Effect.gen(function*() {
        for (const id of ["settled", "voided"]) yield* store.reserve(reservation(id, line("a", 10, 100)))
        assert.strictEqual(yield* store.settle("settled", [4]), "applied")
        assert.strictEqual(yield* store.settle("settled", [9]), "repeated")
        assert.strictEqual(yield* store.void("settled"), "refused")
        assert.strictEqual(yield* store.void("voided"), "applied")
        assert.strictEqual(yield* store.void("voided"), "repeated")
        assert.strictEqual(yield* store.settle("voided", [4]), "refused")
        assert.strictEqual(yield* store.settle("nobody", [4]), "unknown")
        yield* holds(store, "a", 4, 0)
      }))

    test("makes a reservation once, whatever became of it", (store) =>
      Effect.gen(function*() {
        const again = (id: string, state: BudgetStore.State) =>
          Effect.map(store.reserve(reservation(id, line("a", 10, 100), line("b", 1, 0))), (verdict) =>
            assert.deepStrictEqual(verdict, { _tag: "Repeated", state }))
        yield* store.reserve(reservation("1", line("a", 10, 100)))
        yield* again("1", "pending")
        yield* store.settle("1", [4])
        yield* again("1", "settled")
        yield* store.reserve(reservation("2", line("a", 10, 100)))
        yield* store.void("2")
        yield* again("2", "voided")
        yield* holds(store, "a", 4, 0)
      }))

    test("voids what has not arrived yet", (store) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* store.void("late"), "unknown")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("late", line("a", 10, 100))),
          { _tag: "Repeated", state: "voided" } satisfies BudgetStore.Verdict
        )
        assert.strictEqual(yield* store.void("late"), "repeated")
        assert.strictEqual(yield* store.settle("late", [1]), "refused")
        yield* holds(store, "a", 0, 0)
      }))

    test("counts a day by its slot: a new one is empty, and a call stays with the one it was made for", (store) =>
      Effect.gen(function*() {
        const [monday, tuesday] = [0, 1_000].map((slot) => ({ slot, since: slot, until: slot + 1_000 }))
        yield* store.reserve(reservation("1", line("a", 100, 100, monday)))
        assert.strictEqual((yield* store.reserve(reservation("2", line("a", 1, 100, monday))))._tag, "Exceeded")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("3", line("a", 30, 100, tuesday))),
          reserved({ used: 0, reserved: 30 })
        )
        // It ends when Monday is over.
        yield* TestClock.adjust(1_500)
        yield* store.settle("1", [90])
        yield* holds(store, "a", 0, 30, 1_000)
        yield* holds(store, "a", 90, 30, 0)
      }))

    test("counts a rolling window by the slots in it", (store) =>
      Effect.gen(function*() {
        const at = (slot: number) => ({ slot, since: slot - 20, until: slot + 30 })
        for (const slot of [0, 10, 20]) {
          yield* store.reserve(reservation(`${slot}`, line("a", 30, 100, at(slot))))
        }
        assert.deepStrictEqual(
          yield* store.reserve(reservation("early", line("a", 11, 100, at(20)))),
          { _tag: "Exceeded", line: 0, balance: { used: 0, reserved: 90 } } satisfies BudgetStore.Verdict
        )
        yield* store.settle("10", [5])
        // The slot at 0 has passed.
        assert.deepStrictEqual(
          yield* store.reserve(reservation("30", line("a", 65, 100, at(30)))),
          reserved({ used: 5, reserved: 95 })
        )
        yield* holds(store, "a", 5, 125)
        yield* holds(store, "a", 0, 95, 11)
      }))

    test("counts newer slots for a clock that has stepped back", (store) =>
      Effect.gen(function*() {
        const at = (slot: number) => ({ slot, since: slot, until: slot + 100 })
        yield* store.reserve(reservation("1", line("a", 60, 100, at(500))))
        assert.deepStrictEqual(
          yield* store.reserve(reservation("2", line("a", 41, 100, at(400)))),
          { _tag: "Exceeded", line: 0, balance: { used: 0, reserved: 60 } } satisfies BudgetStore.Verdict
        )
        yield* store.reserve(reservation("3", line("a", 40, 100, at(400))))
        // What is charged to the older slot is none of the newer.
        yield* holds(store, "a", 0, 60, 500)
        yield* holds(store, "a", 0, 100, 400)
      }))

    test("a slot that is long over holds what it is charged with", (store) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 hour")
        yield* store.reserve({
          ...reservation("1", line("a", 10, 10, { slot: 5, since: 5, until: 10 })),
          leasedUntil: 2 * 3_600_000
        })
        yield* holds(store, "a", 0, 10, 5)
        assert.strictEqual(yield* store.settle("1", [8]), "applied")
        yield* holds(store, "a", 8, 0, 5)
      }))

    test("shows what nobody has settled, which counts on, and takes its settlement late", (store) =>
      Effect.gen(function*() {
        const lease = (id: string, leasedUntil: number, ...lines: ReadonlyArray<BudgetStore.Line>) =>
          store.reserve({ id, lines, leasedUntil })
        yield* lease("second", 200, line("a", 20, 100))
        yield* lease("first", 100, line("a", 10, 100), line("b", 1, 1, { slot: 7, since: 0 }))
        yield* lease("third", 300, line("a", 30, 100))
        yield* lease("done", 50, line("a", 30, 100))
        yield* store.settle("done", [2])
        const ids = (limit: number) => Effect.map(store.unsettled({ limit }), (found) => found.map(({ id }) => id))

        yield* TestClock.adjust(99)
        assert.deepStrictEqual(yield* ids(10), [])
        assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), {
          used: 2,
          reserved: 60,
          unsettled: 0
        })
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* store.unsettled({ limit: 10 }), [{
          id: "first",
          leasedUntil: 100,
          holds: [{ account: "a", slot: 0, amount: 10 }, { account: "b", slot: 7, amount: 1 }]
        }])
        assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), {
          used: 2,
          reserved: 60,
          unsettled: 10
        })
        assert.deepStrictEqual(yield* store.balance({ account: "b", since: 0 }), { used: 0, reserved: 1, unsettled: 1 })
        assert.deepStrictEqual(yield* store.balance({ account: "b", since: 8 }), { used: 0, reserved: 0, unsettled: 0 })
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(yield* ids(10), ["first", "second", "third"])
        assert.deepStrictEqual(yield* ids(2), ["first", "second"])
        assert.deepStrictEqual(yield* ids(0), [])
        assert.strictEqual((yield* lease("more", 900, line("a", 39, 100)))._tag, "Exceeded")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("first", line("a", 1, 100))),
          { _tag: "Repeated", state: "pending" } satisfies BudgetStore.Verdict
        )

        assert.strictEqual(yield* store.settle("first", [11, 0]), "applied")
        assert.strictEqual(yield* store.settle("first", [11, 0]), "repeated")
        assert.strictEqual(yield* store.void("second"), "applied")
        assert.deepStrictEqual(yield* ids(10), ["third"])
        assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), {
          used: 13,
          reserved: 30,
          unsettled: 30
        })
      }))

    test("is corrected by hand, up and down, but not below nothing, and once", (store) =>
      Effect.gen(function*() {
        const adjust = (id: string, by: number, slot = 0) =>
          store.adjust({ id, account: "a", slot, until: undefined, by })
        yield* store.reserve(reservation("0", line("a", 10, 100)))
        assert.strictEqual(yield* adjust("1", 50), "applied")
        assert.strictEqual(yield* adjust("1", 50), "repeated")
        yield* holds(store, "a", 50, 10)
        assert.strictEqual(yield* adjust("2", -20), "applied")
        yield* holds(store, "a", 30, 10)
        assert.strictEqual(yield* adjust("3", -31), "applied")
        yield* holds(store, "a", 0, 10)
        // A slot that nobody knew.
        assert.strictEqual(yield* adjust("4", -5, 9), "applied")
        assert.strictEqual(yield* adjust("5", 7, 9), "applied")
        yield* holds(store, "a", 7, 10)
        // Ids are everybody's.
        assert.strictEqual(yield* adjust("0", 50), "repeated")
        assert.deepStrictEqual(
          yield* store.reserve(reservation("4", line("a", 1, 100))),
          { _tag: "Repeated", state: "settled" } satisfies BudgetStore.Verdict
        )
        yield* store.settle("0", [10])
        yield* holds(store, "a", 17, 0)
      }))

    test("refuses what is no legal question, as a defect, and does nothing", (store) =>
      Effect.gen(function*() {
        const dies = (effect: Effect.Effect<unknown, unknown>, what: string) =>
          Effect.gen(function*() {
            const exit = yield* Effect.exit(effect)
            const defect = exit._tag === "Failure" ? Cause.squash(exit.cause) : undefined
            assert(defect instanceof RangeError, what)
            assert.include(defect.message, what)
          })
        yield* dies(store.reserve(reservation("1")), "lines")
        yield* dies(store.reserve(reservation("1", line("a", 1, 1), line("a", 1, 1))), "two lines")
        for (const amount of [-1, 0.5, Number.NaN, Infinity, most + 1]) {
          yield* dies(store.reserve(reservation("1", line("a", amount, 1))), "amount")
          yield* dies(store.reserve(reservation("1", line("a", 1, amount))), "limit")
        }
        yield* dies(store.reserve(reservation("1", line("a", 1, 1, { slot: 0.5 }))), "slot")
        yield* dies(store.reserve(reservation("1", line("a", 1, 1, { slot: 5, since: 6 }))), "count")
        yield* dies(store.reserve(reservation("1", line("a", 1, 1, { until: Infinity }))), "until")
        yield* dies(store.reserve({ ...reservation("1", line("a", 1, 1)), leasedUntil: Infinity }), "leasedUntil")
        yield* dies(store.balance({ account: "a", since: Number.NaN }), "since")
        yield* dies(store.unsettled({ limit: -1 }), "limit")
        yield* dies(store.adjust({ id: "1", account: "a", slot: 0, until: undefined, by: 0.5 }), "by")
        assert.strictEqual(yield* store.settle("1", [1]), "unknown")

        yield* store.reserve(reservation("2", line("a", 1, 9), line("b", 1, 9)))
        for (const amounts of [[], [1], [1, 1, 1]]) yield* dies(store.settle("2", amounts), "amount for each line")
        yield* dies(store.settle("2", [1, -1]), "amount")
        yield* holds(store, "a", 0, 1)
        assert.strictEqual(yield* store.settle("2", [1, 1]), "applied")
      }))
  })
}
