/**
 * Budgets in SQLite: a step is a transaction that has the write lock from its beginning, so that nobody else writes between its
 * statements.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { TransactionConnection } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Balance, Hold, State, Verdict } from "./store.ts"
import { maxAmount, mismatch } from "./storeHome.ts"
import { type Database, holdsJson, linesJson, pendingForget, slotForget, type Steps } from "./storeTables.ts"

export const create = ({ prefix: p, sql }: Database): Effect.Effect<void, SqlError> =>
  Effect.forEach(
    [
      `CREATE TABLE ${p}slots (
        account TEXT NOT NULL,
        slot INTEGER NOT NULL,
        used INTEGER NOT NULL,
        reserved INTEGER NOT NULL,
        forget_at INTEGER,
        PRIMARY KEY (account, slot)
      ) WITHOUT ROWID`,
      `CREATE INDEX ${p}slots_forget ON ${p}slots (forget_at) WHERE forget_at IS NOT NULL`,
      `CREATE TABLE ${p}reservations (
        id TEXT PRIMARY KEY NOT NULL,
        state TEXT NOT NULL,
        due INTEGER NOT NULL,
        forget_at INTEGER,
        holds TEXT NOT NULL
      ) WITHOUT ROWID`,
      `CREATE INDEX ${p}reservations_due ON ${p}reservations (state, due)`
    ],
    (statement) => sql.unsafe(statement),
    { discard: true }
  )

export const least = "min"

export const holds = "json_each(r.holds) AS h"

export const skipLocked = ""

export const makeSteps = ({ prefix: p, remember, sql }: Database): Steps => {
  // Written once: composing and tracing them takes several times as long as SQLite does.
  const statement = <A>(text: string) => (...parameters: ReadonlyArray<unknown>) =>
    Effect.flatMap(
      sql.transactionService,
      // Rows are what the statement says.
      ([connection]) => connection.execute(text, parameters, undefined) as Effect.Effect<ReadonlyArray<A>, SqlError>
    )

  // The transaction provides its connection, which the type does not say.
  const transaction = <A>(step: Effect.Effect<A, SqlError, TransactionConnection>) =>
    sql.withTransaction(step) as Effect.Effect<A, SqlError>

  const stateOf = statement<{ readonly state: State }>(`SELECT state FROM ${p}reservations WHERE id = ?`)

  const note = statement(`INSERT INTO ${p}reservations (id, state, due, forget_at, holds) VALUES (?, ?, ?, ?, ?)`)

  const balances = statement<Balance & { readonly state: State | null }>(`
    SELECT
      (SELECT state FROM ${p}reservations WHERE id = ?) AS state,
      min(coalesce(sum(s.used), 0), ${maxAmount}) AS used,
      min(coalesce(sum(s.reserved), 0), ${maxAmount}) AS reserved
    FROM json_each(?) l
    LEFT JOIN ${p}slots s ON s.account = l.value ->> 'account' AND s.slot >= l.value ->> 'since'
    GROUP BY l.key ORDER BY l.key`)

  // NULL is never.
  const forgetLater = `forget_at = CASE
    WHEN forget_at IS NULL OR excluded.forget_at IS NULL THEN NULL ELSE max(forget_at, excluded.forget_at) END`

  const hold = statement(`
    INSERT INTO ${p}slots (account, slot, used, reserved, forget_at)
    SELECT value ->> 'account', value ->> 'slot', 0, value ->> 'amount', value ->> 'forgetAt'
    FROM json_each(?) WHERE true
    ON CONFLICT (account, slot) DO UPDATE SET reserved = reserved + excluded.reserved, ${forgetLater}`)

  const end = statement<{ readonly holds: string }>(`
    UPDATE ${p}reservations SET state = ?, due = ? WHERE id = ? AND state = 'pending' RETURNING holds`)

  const letGo = statement(`
    UPDATE ${p}slots SET
      used = min(used + (c.value ->> 'used'), ${maxAmount}),
      reserved = max(reserved - (c.value ->> 'amount'), 0)
    FROM json_each(?) c WHERE account = c.value ->> 'account' AND slot = c.value ->> 'slot'`)

  const change = statement(`
    INSERT INTO ${p}slots (account, slot, used, reserved, forget_at) VALUES (?1, ?2, max(?3, 0), 0, ?4)
    ON CONFLICT (account, slot) DO UPDATE SET used = max(min(used + ?3, ${maxAmount}), 0), ${forgetLater}`)

  return {
    reserve: (reservation) =>
      Clock.clockWith((clock) => {
        const { id, leasedUntil } = reservation
        const now = clock.currentTimeMillisUnsafe()
        const lines = linesJson(reservation, now, remember)
        return transaction(Effect.gen(function*() {
          const rows = yield* balances(id, lines)
          const state = rows[0]!.state
          if (state !== null) return { _tag: "Repeated", state } satisfies Verdict
          const after: Array<Balance> = []
          for (const [n, { amount, limit }] of reservation.lines.entries()) {
            const { reserved, used } = rows[n]!
            // Exact as far as it matters: a sum that is no safe integer is more than any limit.
            if (used + reserved + amount > limit) {
              return { _tag: "Exceeded", line: n, balance: { used, reserved } } satisfies Verdict
            }
            after.push({ used, reserved: reserved + amount })
          }
          yield* note(id, "pending", leasedUntil, pendingForget(reservation, now, remember), holdsJson(reservation))
          yield* hold(lines)
          return { _tag: "Reserved", balances: after } satisfies Verdict
        }))
      }),

    finish: (id, amounts) =>
      Clock.clockWith((clock) => {
        const due = clock.currentTimeMillisUnsafe() + remember
        const as = amounts === undefined ? "voided" : "settled"
        return transaction(Effect.gen(function*() {
          const [ended] = yield* end(as, due, id)
          if (ended === undefined) {
            const [known] = yield* stateOf(id)
            if (known !== undefined) return known.state === as ? "repeated" : "refused"
            if (as === "voided") yield* note(id, as, due, null, "[]")
            return "unknown"
          }
          // What this store has written.
          const holds = JSON.parse(ended.holds) as ReadonlyArray<Hold>
          if (amounts !== undefined && amounts.length !== holds.length) return yield* mismatch
          yield* letGo(JSON.stringify(
            holds.map(({ account, amount, slot }, n) => ({ account, slot, amount, used: amounts?.[n] ?? 0 }))
          ))
          return "applied"
        }))
      }),

    adjust: ({ account, by, id, slot, until }) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return transaction(Effect.gen(function*() {
          const [known] = yield* stateOf(id)
          if (known !== undefined) return "repeated"
          yield* note(id, "settled", now + remember, null, "[]")
          yield* change(account, slot, by, slotForget(until, now, remember))
          return "applied"
        }))
      })
  }
}
