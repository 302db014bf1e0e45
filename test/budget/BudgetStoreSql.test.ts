/**
 * What is particular to budgets in SQL databases: tables, transactions, and what happens while the database does not answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Exit, Fiber, Layer, type Scope, String } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import { Reactivity } from "effect/reactivity"
import { Migrator, SqlClient, type SqlError, Statement } from "effect/sql"
import { TestClock } from "effect/testing"
import { DatabaseSync } from "node:sqlite"
import * as addresses from "../support/addresses.ts"
import * as Postgres from "../support/postgres.ts"
import { makeProxy } from "../support/proxy.ts"
import { file, line, reservation } from "./support/homes.ts"

interface Database {
  readonly name: string
  readonly describe: (title: string, suite: () => void) => void
  /** A database that nobody else has; each layer is a client of it. */
  readonly client: Effect.Effect<Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>, never, Scope.Scope>
}

const databases: ReadonlyArray<Database> = [
  { name: "SQLite", describe, client: Effect.map(file, (filename) => Layer.fresh(Sqlite.layer({ filename }))) },
  {
    name: "Postgres",
    describe: Postgres.describePostgres,
    client: Effect.map(Postgres.schema, (schema) =>
      // A new connection has a time limit, which would pass with the time of the test.
      Layer.fresh(Postgres.layer(schema, { minConnections: 1, maxConnections: 1 })))
  }
]

const open = (client: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>, options?: BudgetStore.SqlOptions) =>
  Effect.map(
    Layer.build(Layer.provideMerge(BudgetStore.layerSql(options), client)),
    (context) => ({
      store: Context.get(context, BudgetStore.BudgetStore),
      sql: Context.get(context, SqlClient.SqlClient)
    })
  )

/** Real time passes until it is so. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.andThen(TestClock.withLive(Effect.sleep("5 millis")), condition), { until: (so) => so })

const rows = (sql: SqlClient.SqlClient, table: string) =>
  Effect.map(sql<{ readonly n: unknown }>`SELECT count(*) AS n FROM ${sql(table)}`, ([row]) => Number(row?.n))

const minute = 60_000

for (const { client, describe, name } of databases) {
  describe(`a budget store in ${name}`, () => {
    it.effect("makes its tables once, whoever is first, and leaves the application's migrations alone", () =>
      Effect.gen(function*() {
        const database = yield* client
        const stores = yield* Effect.forEach([1, 2, 3, 4], () => open(database), { concurrency: "unbounded" })
        const { sql } = stores[0]!
        const migrate = Migrator.make({})({
          loader: Migrator.fromRecord({ "0001_own": sql`CREATE TABLE own (id INTEGER)` })
        })
        assert.deepStrictEqual(yield* Effect.provideService(migrate, SqlClient.SqlClient, sql), [[1, "own"]])
        const other = yield* open(database, { prefix: "other_" })
        yield* other.store.reserve(reservation("1", line("a", 5, 10)))
        for (const { store } of stores) {
          assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), {
            used: 0,
            reserved: 0,
            unsettled: 0
          })
        }
        assert.strictEqual(yield* rows(sql, "bulwark_budget_migrations"), 1)
        assert.strictEqual(yield* rows(sql, "other_reservations"), 1)
      }))

    it.effect("forgets what is over, in the background", () =>
      Effect.gen(function*() {
        const database = yield* client
        const { sql, store } = yield* open(database)
        const soon = { slot: 0, since: 0, until: minute }
        const count = 1_100
        for (let n = 0; n < count; n++) {
          yield* store.adjust({ id: `by hand ${n}`, account: `tenant ${n}`, slot: 0, until: minute, by: 1 })
        }
        yield* store.reserve(reservation("settled", line("a", 5, 10, soon)))
        yield* store.settle("settled", [5])
        yield* store.reserve(reservation("lost", line("a", 5, 10, soon)))
        yield* store.reserve(reservation("total", line("b", 5, 10, soon), line("c", 5, 10)))
        const left = Effect.all([rows(sql, "bulwark_budget_slots"), rows(sql, "bulwark_budget_reservations")])

        yield* TestClock.adjust(10 * minute - 1)
        assert.deepStrictEqual(yield* left, [count + 3, count + 3])
        assert.strictEqual(yield* store.settle("settled", [5]), "repeated")
        assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 5, reserved: 5, unsettled: 5 })

        // More of them than go at once.
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(
          // Long enough for the database to answer before a time limit has passed.
          TestClock.withLive(Effect.sleep("100 millis")),
          TestClock.adjust("10 seconds")
        )))
        yield* until(Effect.map(left, ([slots, reservations]) => slots === 1 && reservations === 1))
        assert.strictEqual(yield* store.settle("settled", [5]), "unknown")
        assert.strictEqual(yield* store.settle("lost", [5]), "unknown")
        // What holds something of a total stays, and what it held of a day that is over is nowhere.
        assert.strictEqual(yield* store.settle("total", [1, 2]), "applied")
        assert.deepStrictEqual(yield* store.balance({ account: "b", since: 0 }), { used: 0, reserved: 0, unsettled: 0 })
        assert.deepStrictEqual(yield* store.balance({ account: "c", since: 0 }), { used: 2, reserved: 0, unsettled: 0 })
      }), 60_000)

    it.effect("keeps a slot as long as the longest who counts it", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        const forgetAt = Effect.map(
          sql<{ readonly forget_at: unknown }>`SELECT forget_at FROM bulwark_budget_slots`,
          ([row]) => row?.forget_at == null ? undefined : Number(row.forget_at)
        )
        for (
          const [n, [until, kept]]
            of ([[100, 100], [50, 100], [200, 200], [undefined, undefined], [300, undefined]] as const)
              .entries()
        ) {
          yield* n % 2 === 0
            ? store.reserve(reservation(`${n}`, line("a", 0, 10, { until })))
            : store.adjust({ id: `${n}`, account: "a", slot: 0, until, by: 0 })
          assert.strictEqual(yield* forgetAt, kept === undefined ? undefined : kept + 10 * minute)
        }
      }))

    it.effect("fails where the database does, and says at what", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        yield* sql`DROP TABLE bulwark_budget_slots`
        const error = yield* Effect.flip(store.reserve(reservation("1", line("a", 5, 10))))
        assert.strictEqual(error._tag, "BudgetStoreError")
        assert.strictEqual(error.operation, "reserve")
        assert.strictEqual((yield* Effect.flip(store.balance({ account: "a", since: 0 }))).operation, "balance")
        // Nothing is left of the half that could be done.
        assert.strictEqual(yield* rows(sql, "bulwark_budget_reservations"), 0)
      }))

    it.live("an interrupted step is whole or nothing, and the next one runs", () =>
      Effect.gen(function*() {
        const { store } = yield* open(yield* client)
        for (let n = 0; n < 60; n++) {
          const fiber = yield* Effect.forkChild(
            store.reserve(reservation(`${n}`, line("a", 1, 100), line("b", 1, 100))),
            {
              startImmediately: true
            }
          )
          if (n % 3 > 0) yield* Effect.sleep(n % 3 - 1)
          yield* Fiber.interrupt(fiber)
          // As whoever gave up should.
          assert.include(["applied", "unknown"], yield* store.void(`${n}`))
        }
        for (const account of ["a", "b"]) {
          assert.deepStrictEqual(yield* store.balance({ account, since: 0 }), { used: 0, reserved: 0, unsettled: 0 })
        }
      }))
  })
}

describe("a budget store in SQLite", () => {
  it.effect("fails inside a transaction of the same client, and not outside", () =>
    Effect.gen(function*() {
      const { sql, store } = yield* open(Sqlite.layer({ filename: ":memory:" }))
      const error = yield* Effect.flip(sql.withTransaction(store.reserve(reservation("1", line("a", 5, 10)))))
      assert(error._tag === "BudgetStoreError")
      assert.include(globalThis.String(error.cause), "transaction")
      assert.strictEqual((yield* store.reserve(reservation("1", line("a", 5, 10))))._tag, "Reserved")
    }))

  it.live("whoever asks goes when they have waited long enough for the lock of somebody else", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const { store } = yield* open(Sqlite.layer({ filename, busyTimeout: "20 seconds" }))
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      const [took, exit] = yield* Effect.timed(
        Effect.exit(Effect.timeout(store.reserve(reservation("1", line("a", 5, 10))), "100 millis"))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.isTrue(Duration.isLessThan(took, Duration.seconds(2)), Duration.format(took))
      other.exec("COMMIT")
      other.close()
      // It is withdrawn, and its connection is free.
      assert.strictEqual(yield* store.void("1"), "unknown")
      assert.strictEqual((yield* store.reserve(reservation("2", line("a", 10, 10))))._tag, "Reserved")
    }))
})

Postgres.describePostgres("a budget store in Postgres", () => {
  it.effect("is not part of the transaction around it", () =>
    Effect.gen(function*() {
      const { sql, store } = yield* open(Postgres.layer(yield* Postgres.schema))
      yield* Effect.flip(sql.withTransaction(Effect.andThen(
        store.reserve(reservation("1", line("a", 5, 10))),
        Effect.fail("rolled back")
      )))
      assert.strictEqual(yield* store.settle("1", [5]), "applied")
    }))

  it.effect("has names of its own, whatever the client makes of names", () =>
    Effect.gen(function*() {
      const { store } = yield* open(Postgres.layer(yield* Postgres.schema, {
        transformQueryNames: String.camelToSnake,
        transformResultNames: String.snakeToCamel
      }))
      yield* store.reserve({ ...reservation("1", line("a", 5, 10)), leasedUntil: 0 })
      assert.deepStrictEqual(yield* store.unsettled({ limit: 1 }), [
        { id: "1", leasedUntil: 0, holds: [{ account: "a", slot: 0, amount: 5 }] }
      ])
    }))

  it.effect("fails under another level of isolation, whose sums would be those of before", () =>
    Effect.gen(function*() {
      const schema = yield* Postgres.schema
      yield* open(Postgres.layer(schema))
      const { store } = yield* open(
        Postgres.layer(schema, { startupParameters: { default_transaction_isolation: "repeatable read" } })
      )
      const error = yield* Effect.flip(store.reserve(reservation("1", line("a", 5, 10))))
      assert.strictEqual(error.operation, "reserve")
    }))

  for (const thaws of [true, false]) {
    it.live(
      `whoever asks goes when they have waited long enough, and the connection is free ${
        thaws ? "when the server answers again" : "though it never answers again"
      }`,
      () =>
        Effect.gen(function*() {
          const proxy = yield* makeProxy(addresses.postgres)
          const { store } = yield* open(
            Postgres.layer(yield* Postgres.schema, { host: "127.0.0.1", port: proxy.port, maxConnections: 1 })
          )
          yield* store.reserve(reservation("1", line("a", 5, 10)))
          // What the store does in the background when it begins is over by then.
          for (let n = 0; n < 20; n++) yield* store.balance({ account: "a", since: 0 })
          proxy.freeze()
          const [took, exit] = yield* Effect.timed(
            Effect.exit(Effect.timeout(store.settle("1", [5]), "100 millis"))
          )
          assert.isTrue(Exit.isFailure(exit))
          assert.isTrue(Duration.isLessThan(took, Duration.seconds(2)), Duration.format(took))
          if (thaws) proxy.thaw()
          // It may have arrived before.
          assert.include(["applied", "repeated"], yield* store.settle("1", [5]))
          assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), {
            used: 5,
            reserved: 0,
            unsettled: 0
          })
        }),
      30_000
    )
  }
})

describe("a budget store in a SQL database", () => {
  it("refuses options that are not legal, and names them", () => {
    for (const prefix of ["", "a-", "A", "1a", "a".repeat(41), "a;"]) {
      assert.throws(() => BudgetStore.layerSql({ prefix }), RangeError, "prefix")
    }
    assert.throws(() => BudgetStore.layerSql({ remember: 0 }), RangeError, "remember")
  })

  it.effect("is in SQLite or in Postgres", () =>
    Effect.gen(function*() {
      const mysql = Layer.effect(
        SqlClient.SqlClient,
        SqlClient.make({
          acquirer: Effect.never,
          compiler: Statement.makeCompiler({ ...compiler, dialect: "mysql" }),
          driver: "mysql",
          spanAttributes: []
        })
      ).pipe(Layer.provide(Reactivity.layer))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(BudgetStore.layerSql(), mysql))))
      assert(Exit.isFailure(exit))
      const defect = Cause.squash(exit.cause)
      assert(defect instanceof RangeError)
      assert.include(defect.message, "SQLite or Postgres")
    }))
})

const compiler: Omit<Statement.CompilerOptions, "dialect"> = {
  placeholder: () => "?",
  onIdentifier: (name) => name,
  onCustom: () => ["", []],
  onRecordUpdate: () => ["", []]
}
