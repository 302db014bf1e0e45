/**
 * A cache in a SQL database: records in the table of `effect/persistence`, and leases in one of ours.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BackingPersistence, layerBackingSql } from "effect/persistence/Persistence"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import { ConnectionError, isSqlError, SqlError } from "effect/sql/SqlError"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { apart } from "../../sqlite/internal/apart.ts"
import type { CacheStore } from "./store.ts"
import { makeRecords } from "./storePersistence.ts"
import { type LeaseHome, makeStore, type Read, type Records } from "./storeRecords.ts"

export const makeSql = (
  prefix: string
): Effect.Effect<CacheStore["Service"], SqlError | Migrator.MigrationError, SqlClient | Scope.Scope> =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    sql.onDialectOrElse({
      sqlite: () => {},
      pg: () => {},
      orElse: () => {
        throw new RangeError("CacheStore.layerSql: the database must be SQLite or Postgres")
      }
    })
    const { entries, leases } = yield* Effect.all({ entries: makeEntries(prefix), leases: makeLeases(prefix) }).pipe(
      // A server that does not answer.
      Effect.timeoutOrElse({
        duration: "30 seconds",
        orElse: () =>
          Effect.fail(
            new SqlError({
              reason: new ConnectionError({
                cause: undefined,
                message: "The tables of the cache were not made in time"
              })
            })
          )
      })
    )
    const run = apart(sql, "Caches")
    return makeStore({
      read: (names) => run(entries.read(names)),
      write: (...record) => run(entries.write(...record)),
      establish: (...record) => run(entries.establish(...record)),
      remove: (name) => run(entries.remove(name)),
      clear: run(entries.clear)
    }, {
      lease: (...lease) => run(leases.lease(...lease)),
      release: (...lease) => run(leases.release(...lease))
    })
  })

const makeEntries = (storeId: string): Effect.Effect<Records, SqlError, SqlClient | Scope.Scope> =>
  Layer.build(Layer.fresh(layerBackingSql)).pipe(
    Effect.flatMap((context) => Context.get(context, BackingPersistence).make(storeId)),
    Effect.map(makeRecords),
    Effect.flatMap((records) =>
      Effect.map(SqlClient, (sql) => establishing(records, sql.withoutTransforms(), storeId))
    ),
    // Its failures are defects there.
    Effect.catchDefect((defect) => isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect)),
    // Of several who make a table in Postgres at once, some fail, and find it when they look again.
    Effect.retry({ times: 5, schedule: Schedule.jittered(Schedule.spaced("50 millis")) })
  )

/** Of several who establish a record at once one does, and the others see it: Effect's stores can only replace. */
const establishing = (records: Records, sql: SqlClient, storeId: string): Records => {
  const table = sql("effect_persistence")
  return {
    ...records,
    establish: (name, record, millis) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return Effect.flatMap(
          sql`
            INSERT INTO ${table} AS entry (store_id, id, value, expires)
            VALUES (${storeId}, ${name}, ${JSON.stringify(record)}, ${millis === undefined ? null : now + millis})
            ON CONFLICT (store_id, id) DO UPDATE SET value = excluded.value, expires = excluded.expires
            WHERE entry.expires <= ${now}
            RETURNING id`.unprepared,
          (rows): Effect.Effect<Read, unknown> =>
            rows.length > 0 ? Effect.succeed(record) : Effect.map(records.read([name]), ([there]) => there)
        )
      })
  }
}

const makeLeases = (
  prefix: string
): Effect.Effect<LeaseHome, SqlError | Migrator.MigrationError, SqlClient | Scope.Scope> =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const table = sql(`${prefix}leases`)
    yield* Effect.provideService(
      Migrator.make({})({
        loader: Migrator.fromRecord({
          "0001_leases": sql`CREATE TABLE ${table} (name TEXT PRIMARY KEY, holder TEXT NOT NULL, due BIGINT NOT NULL)`
        }),
        table: `${prefix}migrations`
      }),
      SqlClient,
      sql
    )
    const forget = Clock.clockWith((clock) => sql`DELETE FROM ${table} WHERE due <= ${clock.currentTimeMillisUnsafe()}`)
    yield* forget.pipe(
      Effect.timeout("30 seconds"),
      Effect.catchCause((cause) => reportUnhandled("CacheStore could not forget leases that are over", cause)),
      Effect.repeat(Schedule.spaced("5 minutes").pipe(Schedule.jittered)),
      Effect.forkScoped
    )
    return {
      lease: (name, holder, millis) =>
        Clock.clockWith((clock) => {
          const now = clock.currentTimeMillisUnsafe()
          return Effect.map(
            sql`
              INSERT INTO ${table} AS lease (name, holder, due) VALUES (${name}, ${holder}, ${now + millis})
              ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, due = excluded.due
              WHERE lease.due <= ${now} OR lease.holder = excluded.holder
              RETURNING name`,
            (rows) => rows.length > 0
          )
        }),
      release: (name, holder) => sql`DELETE FROM ${table} WHERE name = ${name} AND holder = ${holder}`
    }
  })
