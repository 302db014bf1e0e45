/**
 * Databases as they are: shared by processes, of which one is killed, in transactions, out of order, and as bytes in a file.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Attribution, Llm } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import { Ledger } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { OpenAi, openai } from "../core/support/stack.ts"
import * as Postgres from "../support/postgres.ts"
import { attempt, entry, usage } from "./support/entries.ts"
import { file, open, shared } from "./support/homes.ts"
import type { Task } from "./support/worker.ts"

const worker = fileURLToPath(new URL("./support/worker.ts", import.meta.url))

/** Runs a process, to its end or until it has said so many lines, and then kills it. */
const run = (task: Task, killAfter = Infinity) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const child = spawn(process.execPath, ["--conditions=effect-bulwark/source", worker, JSON.stringify(task)], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    let said = ""
    const lines = () => said.split("\n").slice(0, -1)
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text
      if (lines().length >= killAfter) child.kill("SIGKILL")
    })
    child.on("close", (code, signal) => {
      const expected = killAfter === Infinity ? code === 0 : signal === "SIGKILL"
      resume(expected ? Effect.succeed(lines()) : Effect.die(new Error(`the worker ended with ${code ?? signal}`)))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const total = (store: Ledger.LedgerStore["Service"]) =>
  Effect.map(
    Effect.provideService(Ledger.spend({ from: 0, to: 10_000_000 }), Ledger.LedgerStore, store),
    ([row]) => row
  )

for (const home of shared) {
  home.describe(`Ledger in ${home.name}, of several processes`, () => {
    it.live("all that they wrote is there, once", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        yield* Effect.forEach(["a", "b"], (name) => run({ place, name, count: 100 }), { concurrency: "unbounded" })
        // And one of them again, as after a crash that nobody is sure of.
        yield* run({ place, name: "b", count: 100 })
        const row = yield* total(yield* open(place))
        assert.deepStrictEqual([row?.operations, row?.requests, row?.cost], [200, 600, 600_000_000])
      }), 60_000)

    it.live(
      "one that is killed loses what was not written, and leaves no half of an operation",
      () =>
        Effect.gen(function*() {
          const place = yield* home.place
          const said = yield* run({ place, name: "a", count: undefined }, 8)
          const store = yield* open(place)
          const row = yield* total(store)
          assert(row !== undefined)
          // What had been flushed is there; behind it, the buffer may be.
          assert.isAtLeast(row.operations, Number(said.at(-1)))
          const found = yield* store.find({ from: 0, to: 10_000_000, where: [], after: undefined, limit: 10_000 })
          assert.lengthOf(found, row.operations)
          for (const { receipt } of found) {
            assert.lengthOf(receipt.attempts, 3)
            assert.deepStrictEqual(receipt.attempts.map(({ cost }) => cost), [1_000_000, 1_000_000, 1_000_000] as never)
          }
          assert.strictEqual(row.cost, row.operations * 3_000_000 as never)
          // None is missing among those that are there.
          const numbers = found.map(({ receipt }) => receipt.startedAt).toSorted((a, b) => a - b)
          assert.deepStrictEqual(numbers, numbers.map((_, n) => n))
        }),
      60_000
    )
  })
}

const prices = Pricing.layerOf([])

it.effect("neither prompts nor answers nor keys are in the file", () =>
  Effect.gen(function*() {
    const filename = yield* file
    const [prompt, answer, failed, tenant] = [
      "canary-prompt-7f3a",
      "canary-answer-91bc",
      "canary-partial-4d1e",
      "tenant-2c"
    ]
    const ask = Llm.generateText(openai, { prompt }).pipe(Attribution.annotate({ tenant }), Ledger.record)
    const bytes = yield* Effect.gen(function*() {
      yield* ask
      yield* Effect.exit(ask)
      yield* Ledger.flush
      assert.lengthOf((yield* Ledger.find()).entries, 2)
      return Buffer.concat(globSync(`${dirname(filename)}/*`).map((path) => readFileSync(path)))
    }).pipe(
      Effect.provide(
        Ledger.layer().pipe(
          Layer.provide(prices),
          Layer.provideMerge(Ledger.layerStoreSql()),
          Layer.provide(Sqlite.layer({ filename })),
          Layer.provideMerge(
            ScriptedProvider.layer(OpenAi, [
              ScriptedProvider.text(answer),
              ScriptedProvider.breakOff(failed)
            ])
          )
        )
      )
    )
    assert.isTrue(bytes.includes(tenant))
    for (const canary of [prompt, answer, failed]) assert.isFalse(bytes.includes(canary), canary)
  }))

const failsHalfway = <E>(database: Layer.Layer<SqlClient.SqlClient, E>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const ledger = yield* Ledger.Ledger
    yield* ledger.record(entry("op_1", 0, [{ attempt: attempt({ usage: usage(1, 1) }) }]).receipt)
    yield* sql`ALTER TABLE bulwark_ledger_attempts RENAME TO elsewhere`
    const error = yield* Effect.flip(ledger.flush)
    assert.strictEqual(error.operation, "write")
    assert.deepStrictEqual(yield* sql`SELECT operation_id FROM bulwark_ledger_operations`, [])
    yield* sql`ALTER TABLE elsewhere RENAME TO bulwark_ledger_attempts`
    yield* ledger.flush
    assert.deepStrictEqual((yield* Ledger.find()).entries.map(({ receipt }) => receipt.attempts.length), [1])
  }).pipe(
    Effect.provide(
      Ledger.layer({ flushEvery: "1 hour" }).pipe(
        Layer.provide(prices),
        Layer.provideMerge(Layer.fresh(Ledger.layerStoreSql())),
        Layer.provideMerge(database)
      )
    )
  )

it.effect("a batch of which a part cannot be written is not written, and then is (SQLite)", () =>
  failsHalfway(Sqlite.layer({ filename: ":memory:" })))

const flushesInTransaction = <E>(database: Layer.Layer<SqlClient.SqlClient, E>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const ledger = yield* Ledger.Ledger
    yield* Effect.exit(sql.withTransaction(
      Effect.gen(function*() {
        yield* ledger.record(entry("op_1", 0, [{ attempt: attempt({ usage: usage(1, 1) }) }]).receipt)
        yield* ledger.flush
        return yield* Effect.fail("roll back")
      })
    ))
    assert.lengthOf((yield* Ledger.find()).entries, 1)
    assert.deepInclude(yield* Ledger.status, { written: 1 })
  }).pipe(
    Effect.provide(
      Ledger.layer().pipe(
        Layer.provide(prices),
        Layer.provideMerge(Ledger.layerStoreSql()),
        Layer.provideMerge(database)
      )
    )
  )

Postgres.describePostgres("Ledger in Postgres, of one client", () => {
  it.live("a batch of which a part cannot be written is not written, and then is", () =>
    Effect.flatMap(Postgres.schema, (schema) => failsHalfway(Postgres.layer(schema))))

  it.live("what is flushed stays written when that is rolled back", () =>
    Effect.flatMap(Postgres.schema, (schema) => flushesInTransaction(Postgres.layer(schema))))
})

it.live("in a transaction of SQLite's only connection a flush fails at once, and nothing is lost", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const ledger = yield* Ledger.Ledger
    yield* ledger.record(entry("op_a", 0, []).receipt)
    const error = yield* Effect.flip(sql.withTransaction(ledger.flush))
    assert(error._tag === "LedgerStoreError")
    assert.include(String(error.cause), "transaction")
    yield* ledger.flush
    assert.strictEqual((yield* Ledger.find()).entries.length, 1)
  }).pipe(
    Effect.provide(
      Ledger.layer({ flushEvery: "1 hour", writeTimeout: "1 hour" }).pipe(
        Layer.provide(prices),
        Layer.provideMerge(Layer.fresh(Ledger.layerStoreSql())),
        Layer.provideMerge(Sqlite.layer({ filename: ":memory:" }))
      )
    )
  ))

it.effect("questions about a tenant, a user or an id go by an index", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const plan = (where: string) =>
      Effect.map(
        sql.unsafe<{ readonly detail: string }>(
          `EXPLAIN QUERY PLAN SELECT * FROM bulwark_ledger_operations AS o WHERE ${where}`
        ),
        (rows) => rows.map(({ detail }) => detail).join("; ")
      )
    assert.include(yield* plan("started_at >= 1 AND started_at < 2"), "SEARCH o USING INDEX sqlite_autoindex")
    for (const [column, index] of [["tenant", "tenant"], ["user_id", "user"]] as const) {
      assert.include(
        yield* plan(`started_at >= 1 AND started_at < 2 AND ${column} = 'a'`),
        `SEARCH o USING INDEX bulwark_ledger_operations_${index} (${column}=? AND started_at>?`
      )
    }
    assert.include(yield* plan("operation_id IN ('a')"), "SEARCH o USING INDEX bulwark_ledger_operations_id")
    assert.include(yield* plan("request_id IN ('a')"), "SEARCH o USING INDEX bulwark_ledger_operations_request")
  }).pipe(
    Effect.provide(Layer.fresh(Ledger.layerStoreSql()).pipe(Layer.provideMerge(Sqlite.layer({ filename: ":memory:" }))))
  ))
