/**
 * What a reservation and its settlement cost together, in each home of budgets, with few accounts and with many.
 *
 * Run with `node --conditions=effect-bulwark/source test/bench/budgetStores.ts [memory|sqlite|postgres|redis ...]`. The last two ask the
 * servers of this machine, where the tests find them.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Layer } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as addresses from "../support/addresses.ts"

const limit = Number.MAX_SAFE_INTEGER

const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
const prefix = `bench_${process.pid}_`

const postgres = PgClient.layer({ ...addresses.postgres, maxConnections: 16 })
const redis = NodeRedis.layer({ socket: addresses.redis })

const sqlite = (durability: "process" | "power", accounts: number) =>
  Sqlite.layer({ filename: join(folder, `${durability}-${accounts}.db`), durability })

interface Case {
  readonly home: string
  readonly name: string
  readonly store: Layer.Layer<BudgetStore.BudgetStore, unknown>
  readonly accounts: number
  readonly pairs: number
  readonly atOnce: number
}

const cases: ReadonlyArray<Case> = [
  ...[1, 100_000, 1_000_000].map((accounts) => ({
    home: "memory",
    name: "memory",
    store: Layer.fresh(BudgetStore.layerMemory),
    accounts,
    pairs: 1_000_000,
    atOnce: 1
  })),
  ...[1, 100_000, 1_000_000].map((accounts) => ({
    home: "sqlite",
    name: "SQLite, a file",
    store: BudgetStore.layerSql().pipe(Layer.provide(sqlite("process", accounts))),
    accounts,
    pairs: 100_000,
    atOnce: 1
  })),
  {
    home: "sqlite",
    name: "SQLite, a file, durability \"power\"",
    store: BudgetStore.layerSql().pipe(Layer.provide(sqlite("power", 1))),
    accounts: 1,
    pairs: 5_000,
    atOnce: 1
  },
  ...([[1, 1], [1, 16], [10_000, 16]] as const).map(([accounts, atOnce]) => ({
    home: "postgres",
    name: "Postgres",
    store: BudgetStore.layerSql({ prefix }).pipe(Layer.provide(postgres)),
    accounts,
    pairs: 10_000,
    atOnce
  })),
  ...([[1, 1], [1, 16], [10_000, 16]] as const).map(([accounts, atOnce]) => ({
    home: "redis",
    name: "Redis",
    store: BudgetStore.layerRedis({ prefix }).pipe(Layer.provide(redis)),
    accounts,
    pairs: 20_000,
    atOnce
  }))
]

const pair = (store: BudgetStore.BudgetStore["Service"], n: number, account: string, slot: number) => {
  const id = `reservation ${n}`
  return Effect.andThen(
    store.reserve({
      id,
      lines: [{ account, limit, amount: 20, slot, since: slot, until: slot + 86_400_000 }],
      leasedUntil: slot + 60_000
    }),
    store.settle(id, [10])
  )
}

const each = (
  count: number,
  atOnce: number,
  step: (n: number) => Effect.Effect<unknown, BudgetStore.BudgetStoreError>
) =>
  Effect.forEach(
    Array.from({ length: atOnce }, (_, fiber) => fiber),
    (fiber) =>
      Effect.gen(function*() {
        for (let n = fiber; n < count; n += atOnce) yield* step(n)
      }),
    { concurrency: "unbounded", discard: true }
  )

const measure = ({ accounts, atOnce, pairs, store }: Case) =>
  Effect.gen(function*() {
    const budgets = yield* BudgetStore.BudgetStore
    const slot = Date.now()
    // Every account is there before time is taken.
    yield* each(accounts, atOnce, (n) =>
      budgets.adjust({ id: `fill ${n}`, account: `tenant ${n}`, slot, until: slot + 86_400_000, by: 1 }))
    const some = (from: number, count: number) =>
      each(count, atOnce, (n) =>
        pair(budgets, from + n, `tenant ${(n * 7_919) % accounts}`, slot))
    const warm = Math.ceil(pairs / 10)
    yield* some(0, warm)
    const before = process.cpuUsage()
    const [took] = yield* Effect.timed(some(warm, pairs))
    const { system, user } = process.cpuUsage(before)
    return { micros: Duration.toMillis(took) * 1_000 / pairs, cpu: (system + user) / pairs }
  }).pipe(Effect.provide(store))

/** Nothing of it stays on the servers. */
const clean: Record<string, Effect.Effect<void, unknown>> = {
  postgres: Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const table of ["slots", "reservations", "migrations"]) yield* sql`DROP TABLE IF EXISTS ${sql(prefix + table)}`
    for (const name of ["reserve", "finish", "adjust", "lock_id", "lock_accounts"]) {
      yield* sql`DROP FUNCTION IF EXISTS ${sql(prefix + name)}`
    }
  }).pipe(Effect.provide(postgres)),
  redis: Effect.gen(function*() {
    const redis = yield* Redis.Redis
    const keys = yield* redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
    yield* Effect.forEach(keys, (key) => redis.send("UNLINK", key), { concurrency: 100, discard: true })
  }).pipe(Effect.provide(redis))
}

const asked = process.argv.slice(2)
const wanted = cases.filter(({ home }) => asked.length === 0 || asked.includes(home))

// What a busy machine does besides is in the time, and not in the processor's time of this process.
console.log("| Home | accounts | at once | µs a pair | of this processor | pairs a second |\n|---|---|---|---|---|---|")
for (const one of wanted) {
  const { cpu, micros } = await Effect.runPromise(measure(one))
  const numbers = [one.accounts, one.atOnce].map((n) => n.toLocaleString("en"))
  console.log(
    `| ${
      [one.name, ...numbers, micros.toFixed(1), cpu.toFixed(1), Math.round(1e6 / micros).toLocaleString("en")].join(
        " | "
      )
    } |`
  )
}
for (const [home, sweep] of Object.entries(clean)) {
  if (wanted.some((one) => one.home === home)) await Effect.runPromise(sweep)
}
rmSync(folder, { recursive: true })
