/**
 * Budgets in a SQL database: what its dialects have in common.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Identifier } from "effect/sql/Statement"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { apart } from "../../sqlite/internal/apart.ts"
import type { Hold } from "./store.ts"
import { type Home, maxAmount } from "./storeHome.ts"
import * as Postgres from "./storePostgres.ts"
import * as Sqlite from "./storeSqlite.ts"
import type { Database } from "./storeTables.ts"

export const makeHome = (
  { prefix, remember }: { readonly prefix: string; readonly remember: number }
): Effect.Effect<Home, SqlError | Migrator.MigrationError, SqlClient | Scope.Scope> =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = sql.onDialectOrElse({
      sqlite: () => Sqlite,
      pg: () => Postgres,
      orElse: () => {
        throw new RangeError("BudgetStore.layerSql: the database must be SQLite or Postgres")
      }
    })
    const [reservations, slots] = [sql(`${prefix}reservations`), sql(`${prefix}slots`)]
    const database: Database = { sql, prefix, reservations, slots, remember }
    const [least, holds] = [sql.literal(dialect.least), sql.literal(dialect.holds)]
    yield* Effect.provideService(
      Migrator.make({})({
        loader: Migrator.fromRecord({ "0001_tables": dialect.create(database) }),
        table: `${prefix}migrations`
      }),
      SqlClient,
      sql
    )
    yield* Effect.forkScoped(housekeeping(database, sql.literal(dialect.skipLocked)))

    const { adjust, finish, reserve } = dialect.makeSteps(database)
    const run = apart(sql, "Budgets")
    return {
      reserve: (reservation) => run(reserve(reservation)),
      finish: (id, amounts) => run(finish(id, amounts)),
      adjust: (adjustment) => run(adjust(adjustment)),

      balance: (account, since) =>
        run(Clock.clockWith((clock) => {
          const sum = (of: Fragment) => sql`${least}(coalesce(sum(${of}), 0), ${sql.literal(String(maxAmount))})`
          const unsettled = sql`
            SELECT ${sum(sql`CAST(h.value ->> 'amount' AS bigint)`)} FROM ${reservations} AS r, ${holds}
            WHERE r.state = 'pending' AND r.due <= ${clock.currentTimeMillisUnsafe()}
              AND h.value ->> 'account' = ${account} AND CAST(h.value ->> 'slot' AS bigint) >= ${since}`
          return Effect.map(
            sql<Sums>`
              SELECT ${sum(sql`used`)} AS used, ${sum(sql`reserved`)} AS reserved, (${unsettled}) AS unsettled
              FROM ${slots} WHERE account = ${account} AND slot >= ${since}`,
            ([sums]) => {
              const reserved = Number(sums!.reserved)
              // A reservation may outlive its slots.
              return { used: Number(sums!.used), reserved, unsettled: Math.min(Number(sums!.unsettled), reserved) }
            }
          )
        })),

      unsettled: (limit) =>
        run(Clock.clockWith((clock) =>
          Effect.map(
            sql<{ readonly id: string; readonly due: number | string; readonly holds: string }>`
              SELECT id, due, holds FROM ${reservations}
              WHERE state = 'pending' AND due <= ${clock.currentTimeMillisUnsafe()}
              ORDER BY due LIMIT ${limit}`,
            (rows) =>
              rows.map(({ due, holds, id }) => ({
                id,
                leasedUntil: Number(due),
                // What this store has written.
                holds: JSON.parse(holds) as ReadonlyArray<Hold>
              }))
          )
        ))
    }
  })

/** As numbers, or as text where the database has larger ones. */
interface Sums {
  readonly used: number | string
  readonly reserved: number | string
  readonly unsettled: number | string
}

/** Few enough that nobody waits for long. */
const rowsAtOnce = 500

/** Forgets what is over, a few rows at a time: at once, and then from time to time. */
const housekeeping = ({ reservations, slots, sql }: Database, skipLocked: Fragment): Effect.Effect<void> => {
  const forget = (table: Identifier, key: Fragment, over: (now: number) => Fragment) =>
    Effect.repeat(
      Clock.clockWith((clock) =>
        sql`
          WITH gone AS MATERIALIZED (
            SELECT ${key} FROM ${table} WHERE ${over(clock.currentTimeMillisUnsafe())} LIMIT ${rowsAtOnce} ${skipLocked}
          )
          DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM gone) RETURNING 1 AS forgotten`.pipe(
          // A server that does not answer shall have its connection back.
          Effect.timeout("30 seconds")
        )
      ),
      { until: (rows) => rows.length < rowsAtOnce, schedule: Schedule.spaced("10 millis") }
    )
  return forget(slots, sql`account, slot`, (now) => sql`forget_at <= ${now}`).pipe(
    Effect.andThen(forget(reservations, sql`id`, (now) => sql`state IN ('settled', 'voided') AND due <= ${now}`)),
    // Those that hold something of a total are there for good, and stand in nobody's way.
    Effect.andThen(
      forget(reservations, sql`id`, (now) => sql`state = 'pending' AND due <= ${now} AND forget_at <= ${now}`)
    ),
    Effect.catchCause((cause) => reportUnhandled("BudgetStore could not forget what is over", cause)),
    Effect.repeat(Schedule.spaced("1 minute").pipe(Schedule.jittered)),
    Effect.asVoid
  )
}
