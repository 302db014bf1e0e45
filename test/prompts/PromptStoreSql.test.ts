/**
 * What is particular to prompts in SQL databases: tables, rows that somebody has edited, transactions, and what happens on failure.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, type Scope, Stream } from "effect"
import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { Sqlite } from "effect-bulwark/sqlite"
import { SqlClient, type SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as addresses from "../support/addresses.ts"
import * as Postgres from "../support/postgres.ts"
import { makeProxy } from "../support/proxy.ts"
import { served } from "./support/files.ts"
import { draft, file } from "./support/homes.ts"
import { score, until } from "./support/storeSuite.ts"

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
    client: Effect.map(
      Postgres.schema,
      (schema) => Layer.fresh(Postgres.layer(schema, { minConnections: 1, maxConnections: 2 }))
    )
  }
]

const open = (client: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>, options?: PromptStore.SqlOptions) =>
  Effect.map(
    Layer.build(Layer.provideMerge(PromptStore.layerSql(options), client)),
    (context) => ({
      store: Context.get(context, PromptStore.PromptStore),
      sql: Context.get(context, SqlClient.SqlClient)
    })
  )

for (const { client, describe, name } of databases) {
  describe(`a prompt store in ${name}`, () => {
    it.effect("makes its tables once, whoever is first, and others with another prefix", () =>
      Effect.gen(function*() {
        const database = yield* client
        const [first] = yield* Effect.forEach([1, 2, 3], () => open(database), { concurrency: "unbounded" })
        const other = yield* open(database, { prefix: "other_" })
        yield* first!.store.publish(draft("a", "one"))
        assert.deepStrictEqual(yield* other.store.versions("a"), [])
        const { store } = yield* open(database)
        assert.strictEqual((yield* store.versions("a")).length, 1)
      }))

    it.effect("serves no row that somebody has edited, and all others", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        for (const text of ["one", "two", "three"]) yield* store.publish(draft("a", text))
        yield* store.publish(draft("b", "one"))
        yield* store.label({ name: "a", label: "production", version: 2 })
        yield* store.label({ name: "a", label: "staging", version: 1 })
        yield* sql`UPDATE bulwark_prompts_versions SET document = replace(document, 'two', 'very secret') WHERE version = 2`
        yield* sql`UPDATE bulwark_prompts_versions SET document = '{}' WHERE version = 3`
        yield* sql`UPDATE bulwark_prompts_versions SET written = written + 100 WHERE name = 'a'`
        yield* sql`UPDATE bulwark_prompts_labels SET written = written + 100`
        yield* sql`UPDATE bulwark_prompts_revision SET n = n + 100`
        // For whoever reads it now for the first time.
        const { labels, problems, versions } = yield* served(store)
        assert.deepStrictEqual(versions, { "a@1": "one", "b@1": "one" })
        assert.deepStrictEqual(labels, { "a/staging": 1 })
        assert.sameMembers(problems, ["Hash versions: a@2", "Invalid versions: a@3", "Missing labels: a/production"])
        assert.notInclude(JSON.stringify((yield* store.snapshot).problems), "secret")
        const error = yield* Effect.flip(store.version("a", 2))
        assert.strictEqual(error._tag, "PromptStoreError")
        assert.notInclude(String(error.cause), "secret")
        assert.strictEqual((yield* store.publish(draft("a", "four"))).version, 4)
        // And it can be mended by moving the label.
        yield* store.label({ name: "a", label: "production", version: 4 })
        assert.strictEqual((yield* served(store)).labels["a/production"], 4)
      }))

    it.effect("notices that the database was put back to what it was", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        yield* store.publish(draft("a", "one"))
        yield* store.publish(draft("a", "two"))
        yield* store.snapshot
        yield* sql`DELETE FROM bulwark_prompts_versions WHERE version = 2`
        yield* sql`UPDATE bulwark_prompts_revision SET n = 1`
        assert.deepStrictEqual((yield* served(store)).versions, { "a@1": "one" })
      }))

    it.effect("fails where the database does, does nothing by halves, and says so", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        yield* store.publish(draft("a", "one"))
        const { revision } = yield* store.snapshot
        yield* sql`ALTER TABLE bulwark_prompts_labels RENAME TO away`
        const error = yield* Effect.flip(store.label({ name: "a", label: "production", version: 1 }))
        assert(error._tag === "PromptStoreError")
        assert.strictEqual(error.operation, "label")
        assert.strictEqual((yield* Effect.flip(store.snapshot)).operation, "snapshot")
        yield* sql`ALTER TABLE away RENAME TO bulwark_prompts_labels`
        yield* sql`ALTER TABLE bulwark_prompts_revision RENAME TO away`
        assert.strictEqual((yield* Effect.flip(store.publish(draft("a", "two"))))._tag, "PromptStoreError")
        yield* sql`ALTER TABLE away RENAME TO bulwark_prompts_revision`
        assert.deepStrictEqual(yield* store.history("a"), [])
        assert.strictEqual((yield* store.snapshot).revision, revision)
        assert.strictEqual((yield* store.publish(draft("a", "two"))).version, 2)
      }))

    it.effect("says when it goes away, and when it is there again", () =>
      Effect.gen(function*() {
        const { sql, store } = yield* open(yield* client)
        const seen: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(store.changes, () =>
            Effect.match(store.snapshot, {
              onSuccess: () => void seen.push("there"),
              onFailure: () => void seen.push("away")
            })),
          { startImmediately: true }
        )
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(
          TestClock.withLive(Effect.sleep("5 millis")),
          TestClock.adjust("500 millis")
        )))
        const sees = (last: string) => until(Effect.sync(() => seen.at(-1) === last))
        yield* sees("there")
        yield* sql`ALTER TABLE bulwark_prompts_revision RENAME TO away`
        yield* sees("away")
        yield* sql`ALTER TABLE away RENAME TO bulwark_prompts_revision`
        yield* sees("there")
      }))

    it.effect("forgets old scores, in the background", () =>
      Effect.gen(function*() {
        const database = yield* client
        const { store } = yield* open(database)
        yield* store.score([score("1", { at: 0 }), score("2", { at: 7_200_000 })])
        yield* TestClock.adjust("3 hours")
        const other = yield* open(database, { keepScores: "90 minutes" })
        yield* until(Effect.map(other.store.scores({ name: "a" }), (scores) => scores.length === 1))
        assert.deepStrictEqual((yield* store.scores({ name: "a" })).map(({ id }) => id), ["2"])
      }))
  })
}

describe("a prompt store in SQLite", () => {
  it.effect("fails inside a transaction of the same client, and not outside", () =>
    Effect.gen(function*() {
      const { sql, store } = yield* open(Sqlite.layer({ filename: ":memory:" }))
      const error = yield* Effect.flip(sql.withTransaction(store.publish(draft("a", "one"))))
      assert(error._tag === "PromptStoreError")
      assert.include(String(error.cause), "transaction")
      assert.strictEqual((yield* store.publish(draft("a", "one"))).version, 1)
    }))
})

Postgres.describePostgres("a prompt store in Postgres", () => {
  it.effect("is not part of the transaction around it, and needs no level of isolation", () =>
    Effect.gen(function*() {
      const schema = yield* Postgres.schema
      const client = Postgres.layer(schema, {
        startupParameters: { default_transaction_isolation: "serializable" }
      })
      const { sql, store } = yield* open(client)
      yield* Effect.flip(
        sql.withTransaction(Effect.andThen(store.publish(draft("a", "one")), Effect.fail("rolled back")))
      )
      const published = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => store.publish(draft("a", `text ${n}`)), {
        concurrency: "unbounded"
      })
      assert.sameMembers(published.map(({ version }) => version), [2, 3, 4, 5, 6])
    }))
})

Postgres.describePostgres("a prompt store in Postgres that freezes", () => {
  it.live(
    "keeps nobody waiting for longer than the registry waits, and is read again afterwards",
    () =>
      Effect.gen(function*() {
        const schema = yield* Postgres.schema
        const proxy = yield* makeProxy(addresses.postgres)
        const { store } = yield* open(
          Postgres.layer(schema, { maxConnections: 1, host: "127.0.0.1", port: proxy.port })
        )
        const { store: direct } = yield* open(Postgres.layer(schema, { maxConnections: 1 }))
        yield* direct.publish(draft("a", "one"))
        const registry = Context.get(
          yield* Layer.build(
            PromptRegistry.layer({ storeTimeout: "500 millis" }).pipe(
              Layer.provide(Layer.succeed(PromptStore.PromptStore, store))
            )
          ),
          PromptRegistry.PromptRegistry
        )
        yield* direct.label({ name: "a", label: "production", version: 1 })
        proxy.freeze("all")
        assert.strictEqual((yield* Effect.flip(registry.reload))._tag, "PromptStoreError")
        assert.isDefined((yield* registry.status).staleSince)
        assert.isTrue(registry.prompts.serving.source.prompts.has("a"))
        proxy.thaw()
        yield* Effect.retry(registry.reload, Schedule.spaced("20 millis"))
        assert.isUndefined((yield* registry.status).staleSince)
        assert.strictEqual(registry.prompts.serving.source.prompts.get("a")!.labels.get("production"), 1)
      }),
    60_000
  )
})

describe("options of a prompt store in a SQL database", () => {
  it("are refused where they are not legal, by name", () => {
    for (const prefix of ["", "a-", "A", "1a", "a".repeat(41), "a;"]) {
      assert.throws(() => PromptStore.layerSql({ prefix }), RangeError, "prefix")
    }
    assert.throws(() => PromptStore.layerSql({ pollEvery: 0 }), RangeError, "pollEvery")
    assert.throws(() => PromptStore.layerSql({ keepScores: -1 }), RangeError, "keepScores")
  })
})
