import { assert, describe, it } from "@effect/vitest"
import { Sqlite } from "effect-bulwark/sqlite"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

const memory = Sqlite.layer({ filename: ":memory:" })

/** A file of its own for a test. */
const file = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-sqlite-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "test.db")
)

const counter = Effect.flatMap(
  SqlClient,
  (sql) =>
    Effect.andThen(
      sql`CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)`,
      sql`INSERT INTO counter VALUES (1, 0)`
    )
)

const count = Effect.flatMap(
  SqlClient,
  (sql) => Effect.map(sql<{ readonly n: number }>`SELECT n FROM counter`, (rows) => rows[0]?.n)
)

describe("Sqlite", () => {
  it.effect("values come back as they went in", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, real REAL, bytes BLOB, flag INTEGER, missing TEXT)`
      yield* sql`INSERT INTO t ${
        sql.insert({
          id: 1,
          text: "Ünïcode's \"quotes\"",
          real: 0.5,
          bytes: new Uint8Array([0, 255]),
          flag: true,
          missing: null
        })
      }`
      assert.deepStrictEqual(yield* sql`SELECT * FROM t`, [
        { id: 1, text: "Ünïcode's \"quotes\"", real: 0.5, bytes: new Uint8Array([0, 255]), flag: 1, missing: null }
      ])
      assert.deepStrictEqual(yield* sql`SELECT id, text FROM t`.values, [[1, "Ünïcode's \"quotes\""]])
      assert.deepStrictEqual(yield* sql`SELECT ${Number.MAX_SAFE_INTEGER} AS n`, [{ n: Number.MAX_SAFE_INTEGER }])
    }).pipe(Effect.provide(memory)))

  it.effect("a stream has all rows, and one that is left early leaves the database as it was", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE t (n INTEGER PRIMARY KEY)`
      yield* sql`WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 299) INSERT INTO t SELECT n FROM s`
      const rows = sql<{ readonly n: number }>`SELECT n FROM t ORDER BY n`.stream
      assert.deepStrictEqual(
        yield* Stream.runCollect(Stream.map(rows, ({ n }) => n)),
        Array.from({ length: 300 }, (_, n) => n)
      )
      assert.strictEqual((yield* Stream.runCollect(Stream.take(rows, 3))).length, 3)
      yield* sql`DROP TABLE t`
    }).pipe(Effect.provide(memory)))

  it.effect("a violated constraint is a typed reason that names the column", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE t (a TEXT UNIQUE, b TEXT NOT NULL)`
      yield* sql`INSERT INTO t VALUES ('x', 'y')`
      const unique = yield* Effect.flip(sql`INSERT INTO t VALUES ('x', 'y')`)
      assert.strictEqual(unique.reason._tag, "UniqueViolation")
      assert.strictEqual("constraint" in unique.reason && unique.reason.constraint, "t.a")
      assert.strictEqual((yield* Effect.flip(sql`INSERT INTO t (a) VALUES ('z')`)).reason._tag, "ConstraintError")
      assert.strictEqual((yield* Effect.flip(sql`SELEC`)).reason._tag, "UnknownError")
    }).pipe(Effect.provide(memory)))

  it.effect("a transaction that fails leaves nothing, one inside it only what it did itself", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* counter
      const add = sql`UPDATE counter SET n = n + 1`
      yield* Effect.exit(sql.withTransaction(Effect.andThen(add, Effect.fail("no"))))
      assert.strictEqual(yield* count, 0)
      yield* sql.withTransaction(
        Effect.andThen(add, Effect.exit(sql.withTransaction(Effect.andThen(add, Effect.fail("no")))))
      )
      assert.strictEqual(yield* count, 1)
    }).pipe(Effect.provide(memory)))

  it.effect("fibers do not get between the statements of a transaction", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* counter
      const add = sql.withTransaction(Effect.gen(function*() {
        const n = yield* count
        yield* Effect.yieldNow
        yield* sql`UPDATE counter SET n = ${n! + 1}`
      }))
      yield* Effect.all(Array.from({ length: 100 }, () => add), { concurrency: "unbounded" })
      assert.strictEqual(yield* count, 100)
    }).pipe(Effect.provide(memory)))

  it.effect("an interrupted transaction is rolled back, and the next one runs", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* counter
      const fiber = yield* Effect.forkChild(
        sql.withTransaction(Effect.andThen(sql`UPDATE counter SET n = 7`, Effect.never)),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* count, 0)
    }).pipe(Effect.provide(memory)))

  it.effect("what was written is there for the next who opens the file", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const open = Sqlite.layer({ filename, durability: "power" })
      yield* Effect.provide(counter, open, { local: true })
      assert.strictEqual(yield* Effect.provide(count, open, { local: true }), 0)
    }))

  it.effect("a lock of somebody else is waited for, and given up after `busyTimeout`", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const layer = Sqlite.layer({ filename, busyTimeout: "2 seconds" })
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* counter
        const other = new DatabaseSync(filename)
        const add = sql.withTransaction(sql`UPDATE counter SET n = n + 1`)

        other.exec("BEGIN IMMEDIATE")
        const waiting = yield* Effect.forkChild(add, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.isUndefined(waiting.pollUnsafe())
        // Readers do not wait.
        assert.strictEqual(yield* Effect.provide(count, layer, { local: true }), 0)
        other.exec("COMMIT")
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiting)
        assert.strictEqual(yield* count, 1)

        other.exec("BEGIN IMMEDIATE")
        const tired = yield* Effect.forkChild(Effect.flip(add), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        const { reason } = yield* Fiber.join(tired)
        assert.strictEqual(reason._tag, "LockTimeoutError")
        other.exec("ROLLBACK")
        other.close()
        yield* add
        assert.strictEqual(yield* count, 2)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("a file that cannot be opened is a typed failure", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(count, Sqlite.layer({ filename: "/nowhere/at/all.db" })))
      assert.strictEqual("reason" in error && error.reason._tag, "ConnectionError")
    }))

  it.effect("takes its options from the configuration", () =>
    count.pipe(
      Effect.flip,
      Effect.provide(
        Sqlite.layerConfig({ filename: Config.String("DATABASE") }).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ DATABASE: ":memory:" })))
        )
      ),
      Effect.map((error) => assert.strictEqual(error._tag, "SqlError"))
    ))

  it("refuses options that are not legal, and names them", () => {
    assert.throws(() => Sqlite.layer({ filename: "" }), RangeError, "filename")
    // @ts-expect-error there is no such durability
    assert.throws(() => Sqlite.layer({ filename: "x", durability: "none" }), RangeError, "durability")
  })

  it.effect("migrations of `effect/sql` run against it, once", () =>
    Effect.gen(function*() {
      const filename = yield* file
      const migrate = Migrator.make({})({ loader: Migrator.fromRecord({ "0001_counter": counter }) })
      const layer = Sqlite.layer({ filename })
      assert.deepStrictEqual(yield* Effect.provide(migrate, layer, { local: true }), [[1, "counter"]])
      assert.deepStrictEqual(yield* Effect.provide(migrate, layer, { local: true }), [])
    }))
})
