/**
 * Random lives of a budget store, in each of its homes, against a model of it.
 *
 * `BULWARK_TEST_SEQUENCES` says how many (default: 2,000 in memory, and a part of that elsewhere).
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import type { BudgetStore } from "effect-bulwark/budget"
import { TestClock } from "effect/testing"
import { alone, open, shared, type Store } from "./support/homes.ts"
import { Model } from "./support/storeModel.ts"

const sequences = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 2_000)

const steps = 40

const most = Number.MAX_SAFE_INTEGER

const pick = <A>(...list: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, list.length - 1), (n) => list[n]!)

const accounts = ["a", "b", "c"]

/** What is charged to them comes to no more than this, as long as nobody uses more than was held. */
const limits: Record<string, number> = { a: 100, b: 60, c: most }

/** A life in which anything is asked, or one in which nobody uses more than was held, nor is anything corrected. */
const life = (store: Store, name: string, honest: boolean) =>
  Effect.gen(function*() {
    const model = new Model()
    const held = new Map<string, ReadonlyArray<number>>()
    // Of this life alone, since there is one store for all.
    const account = (short: string) => `${name}/${short}`
    const ids = Array.from({ length: 9 }, (_, n) => `${name}/${n}`)
    let now = yield* Clock.currentTimeMillis

    const amount = (short: string) =>
      short === "c" ? pick(0, 1, 2 ** 31, 2 ** 52, most - 1, most) : Random.nextIntBetween(0, 40)

    const makeLine = (short: string) =>
      Effect.gen(function*() {
        const slot = honest ? 0 : yield* pick(0, 10, 20, 30)
        return {
          account: account(short),
          amount: yield* amount(short),
          limit: honest ? limits[short]! : yield* pick(limits[short]!, 0, 50, 200),
          slot,
          since: honest ? 0 : slot - (yield* pick(0, 0, 10, 20)),
          until: yield* pick(undefined, now + 3_600_000)
        }
      })

    const reserve = Effect.gen(function*() {
      const id = yield* pick(...ids)
      const some = (yield* Random.shuffle(accounts)).slice(0, yield* Random.nextIntBetween(1, 3))
      const reservation: BudgetStore.Reservation = {
        id,
        lines: yield* Effect.forEach(some, makeLine),
        leasedUntil: now + (yield* Random.nextIntBetween(0, 2_000))
      }
      const verdict = yield* store.reserve(reservation)
      assert.deepStrictEqual(verdict, model.reserve(reservation))
      if (verdict._tag === "Reserved") held.set(id, reservation.lines.map(({ amount }) => amount))
    })

    const settle = Effect.gen(function*() {
      const id = yield* pick(...ids)
      const amounts = yield* Effect.forEach(held.get(id) ?? [1], (most) =>
        honest ? Random.nextIntBetween(0, most) : pick(0, 1, 30, most, 2 ** 52))
      assert.strictEqual(yield* store.settle(id, amounts), model.finish(id, "settled", amounts))
    })

    const void_ = Effect.gen(function*() {
      const id = yield* pick(...ids)
      assert.strictEqual(yield* store.void(id), model.finish(id, "voided", []))
    })

    const adjust = Effect.gen(function*() {
      const adjustment: BudgetStore.Adjustment = {
        id: yield* pick(...ids),
        account: account(yield* pick(...accounts)),
        slot: yield* pick(0, 10, 20, 30),
        until: yield* pick(undefined, now + 3_600_000),
        by: yield* pick(-1_000, -7, -1, 0, 3, 50, most, -most)
      }
      assert.strictEqual(yield* store.adjust(adjustment), model.adjust(adjustment))
    })

    const check = Effect.gen(function*() {
      for (const short of accounts) {
        const query = { account: account(short), since: honest ? 0 : yield* pick(-20, 0, 10, 20, 30, 40) }
        const balance = yield* store.balance(query)
        assert.deepStrictEqual(balance, model.balance(query.account, query.since, now))
        if (honest) {
          assert.isAtMost(balance.used + balance.reserved, limits[short]!)
        }
      }
    })

    const pass = Effect.gen(function*() {
      const millis = yield* Random.nextIntBetween(1, 1_000)
      yield* TestClock.adjust(millis)
      now += millis
      const unsettled = yield* store.unsettled({ limit: 1_000 })
      assert.sameDeepMembers(
        unsettled.filter(({ id }) =>
          ids.includes(id)
        ),
        model.pending.flatMap(([id, { holds, leasedUntil }]) => leasedUntil <= now ? [{ id, leasedUntil, holds }] : [])
      )
      for (const [n, { leasedUntil }] of unsettled.entries()) {
        if (n > 0) assert.isAtLeast(leasedUntil, unsettled[n - 1]!.leasedUntil)
      }
    })

    for (let step = 0; step < steps; step++) {
      yield* yield* pick(reserve, reserve, reserve, settle, settle, void_, check, pass, honest ? check : adjust)
    }
    // Nothing leaks.
    for (const [id] of model.pending) assert.strictEqual(yield* store.void(id), model.finish(id, "voided", []))
    yield* check
    for (const short of accounts) {
      assert.strictEqual((yield* store.balance({ account: account(short), since: -1_000 })).reserved, 0)
    }
  }).pipe(Random.withSeed(name))

for (const home of [...alone, ...shared]) {
  home.describe(`a budget store as its model has it: ${home.name}`, () => {
    for (const honest of [true, false]) {
      it.effect(honest ? "where nobody uses more than was held" : "whatever is asked", () =>
        Effect.gen(function*() {
          const store = yield* Effect.flatMap(home.place, open)
          const count = Math.ceil(sequences * home.share / 2)
          for (let n = 0; n < count; n++) yield* life(store, `${honest} ${n}`, honest)
        }), 60_000 + sequences * 100)
    }
  })
}
