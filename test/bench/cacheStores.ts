/**
 * What a hit, a miss and a write cost in each home of a cache, with the reading and checking of the value, and what an entry takes in memory.
 *
 * Run with `node --expose-gc --conditions=effect-bulwark/source test/bench/cacheStores.ts [memory|sqlite|postgres|redis ...]`. The last two
 * ask the servers of this machine, where the tests find them. Figures are of this process's processor, medians of several rounds: what a
 * busy machine and the servers do besides is not in them.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Layer, Redacted, Result } from "effect"
import type { Part } from "effect-bulwark"
import { Sqlite } from "effect-bulwark/sqlite"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as CacheEncryption from "../../src/cache/CacheEncryption.ts"
import * as CacheStore from "../../src/cache/CacheStore.ts"
import { decode, encode, type Entry } from "../../src/cache/internal/cacheValue.ts"
import * as addresses from "../support/addresses.ts"

const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
const prefix = `bench_${process.pid}_`

const schema = `bulwark_bench_${process.pid}`
const server = PgClient.layer(addresses.postgres)
const postgres = PgClient.layer({
  ...addresses.postgres,
  maxConnections: 16,
  startupParameters: { search_path: schema }
})
const redis = NodeRedis.layer({ socket: addresses.redis })
const keys = CacheEncryption.layer({
  current: "bench",
  keys: { bench: Redacted.make(Buffer.alloc(32, 7).toString("base64")) }
})

const overRedis = CacheStore.layerRedis({ prefix }).pipe(Layer.provide(redis))

const homes: ReadonlyArray<{
  readonly home: string
  readonly name: string
  readonly store: Layer.Layer<CacheStore.CacheStore, unknown>
  readonly count: number
}> = [
  { home: "memory", name: "memory", store: CacheStore.layerMemory({ maxEntries: 100_000 }), count: 20_000 },
  {
    home: "sqlite",
    name: "SQLite, a file",
    store: CacheStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: join(folder, "cache.db") }))),
    count: 1_000
  },
  {
    home: "postgres",
    name: "Postgres",
    store: CacheStore.layerSql().pipe(Layer.provide(postgres)),
    count: 500
  },
  { home: "redis", name: "Redis", store: overRedis, count: 2_000 },
  {
    home: "redis",
    name: "Redis, encrypted",
    store: overRedis.pipe(CacheEncryption.encrypted, Layer.provide(keys)),
    count: 2_000
  }
]

/** An answer that was streamed in so many parts of some 5 tokens. */
const entryOf = (key: string, deltas: number): Entry => ({
  _tag: "Answer",
  key,
  storedAt: 1_700_000_000_000,
  freshFor: 3_600_000,
  staleFor: 0,
  staleIfErrorFor: 0,
  computeMillis: 1_200,
  provider: "openai",
  model: "gpt-5-mini",
  finishReason: "stop",
  parts: [
    { type: "response-metadata", id: key, modelId: "gpt-5-mini", timestamp: "2026-11-01T00:00:00.000Z" },
    { type: "text-start", id: "0" },
    ...Array.from({ length: deltas }, (_, n): Part.ProviderPart => ({
      type: "text-delta",
      id: "0",
      delta: `${key}, part number ${n}`
    })),
    { type: "text-end", id: "0" },
    {
      type: "finish",
      reason: "stop",
      usage: { inputTokens: { uncached: 900, total: 900 }, outputTokens: { total: deltas * 5, text: deltas * 5 } }
    }
  ]
})

const valueOf = (key: string, deltas: number) => Result.getOrThrow(encode(entryOf(key, deltas)))

const tags = ["tenant:acme", "model:gpt-5-mini", "prompt:summary@3"]
const timeToLive = Duration.hours(1)
const keyOf = (n: number) => `${n}`.padStart(64, "0")

/** Microseconds of this processor that a step takes: the median of some rounds. */
const measure = (count: number, step: (n: number) => Effect.Effect<unknown, CacheStore.CacheStoreError>) =>
  Effect.gen(function*() {
    const rounds: Array<number> = []
    for (let round = 0; round < 7; round++) {
      const before = process.cpuUsage()
      for (let n = 0; n < count; n++) yield* step(n)
      const { system, user } = process.cpuUsage(before)
      rounds.push((system + user) / count)
    }
    return rounds.toSorted((a, b) => a - b)[3]!
  })

const bench = (count: number, deltas: number) =>
  Effect.gen(function*() {
    const store = yield* CacheStore.CacheStore
    const values = Array.from({ length: Math.min(count, 1_000) }, (_, n) => valueOf(keyOf(n), deltas))
    const { generation } = yield* store.lookup("none", tags)
    const write = yield* measure(count, (n) =>
      store.write(keyOf(n % values.length), values[n % values.length]!, { generation, timeToLive }))
    const hit = yield* measure(count, (n) =>
      Effect.map(store.lookup(keyOf(n % values.length), tags), ({ value }) => {
        Result.getOrThrow(decode(keyOf(n % values.length), value!))
      }))
    const miss = yield* measure(count, (n) =>
      store.lookup(`none ${n}`, tags))
    const encoded = yield* measure(Math.min(count, 1_000), (n) => Effect.sync(() => valueOf(keyOf(n), deltas)))
    return { hit, miss, write, encoded }
  })

const asked = process.argv.slice(2)
const wanted = homes.filter(({ home }) => asked.length === 0 || asked.includes(home))

if (wanted.some(({ home }) => home === "postgres")) {
  await Effect.runPromise(
    Effect.provide(Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE SCHEMA ${sql(schema)}`), server)
  )
}

console.log("| Home | parts of text | µs a hit | a miss | a write | and encoding it |\n|---|---|---|---|---|---|")
for (const { count, name, store } of wanted) {
  for (const deltas of [1, 200]) {
    const figures = await Effect.runPromise(
      bench(deltas === 1 ? count : Math.ceil(count / 4), deltas).pipe(Effect.provide(Layer.fresh(store)))
    )
    const { encoded, hit, miss, write } = figures
    console.log(`| ${[name, deltas, ...[hit, miss, write, encoded].map((n) => n.toFixed(1))].join(" | ")} |`)
  }
}

const heap = () => {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

if (globalThis.gc !== undefined && wanted.some(({ home }) => home === "memory")) {
  console.log("\n| Memory | parts of text | bytes an entry | as estimated | as JSON |\n|---|---|---|---|---|")
  for (const deltas of [1, 20, 200]) {
    const count = deltas === 200 ? 1_000 : 5_000
    const row = await Effect.runPromise(
      Effect.gen(function*() {
        const store = yield* CacheStore.CacheStore
        const { generation } = yield* store.lookup("none", tags)
        const before = heap()
        // Each from JSON of its own, as from a provider, so that no text is shared.
        for (let n = 0; n < count; n++) {
          const entry: Entry = JSON.parse(JSON.stringify(entryOf(keyOf(n), deltas)))
          yield* store.write(keyOf(n), Result.getOrThrow(encode(entry)), { generation, timeToLive })
        }
        const bytes = (heap() - before) / count
        const estimated = (yield* store.statistics).bytes! / count
        return [
          "memory",
          deltas,
          Math.round(bytes),
          Math.round(estimated),
          JSON.stringify(valueOf(keyOf(1), deltas)).length
        ]
      }).pipe(Effect.provide(CacheStore.layerMemory({ maxBytes: 2 ** 40 })))
    )
    console.log(`| ${row.join(" | ")} |`)
  }
}

/** Nothing of it stays on the servers. */
const clean: Record<string, Effect.Effect<void, unknown>> = {
  postgres: Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`DROP SCHEMA IF EXISTS ${sql(schema)} CASCADE`
  }).pipe(Effect.provide(server)),
  redis: Effect.gen(function*() {
    const redis = yield* Redis.Redis
    const found = yield* redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
    yield* Effect.forEach(found, (key) => redis.send("UNLINK", key), { concurrency: 100, discard: true })
  }).pipe(Effect.provide(redis))
}
for (const [home, sweep] of Object.entries(clean)) {
  if (wanted.some((one) => one.home === home)) await Effect.runPromise(sweep)
}
rmSync(folder, { recursive: true })
