/**
 * What a reservation and its settlement cost together, in each home of budgets, with few accounts and with many.
 *
 * Run alone with `node --conditions=effect-bulwark/source test/bench/budgetStores.ts [memory|sqlite|postgres|redis ...]`. The last two
 * are servers of this machine, where the tests find them.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as addresses from "../support/addresses.ts"
import { processorMicros, table, times, whole } from "./measure.ts"

const limit = Number.MAX_SAFE_INTEGER

const day = 86_400_000

const prefix = `bench_${process.pid}_`

/** Of so many rounds counts the best: whatever else the machine does can only add. */
const rounds = 3

interface Case {
  readonly name: string
  readonly accounts: number
  readonly atOnce: number
  /** In each round. */
  readonly pairs: number
}

/** Microseconds a pair: of time, and of the processors' work for this process. */
interface Pair {
  readonly time: number
  readonly work: number
}

interface Row extends Case {
  readonly pair: Pair
}

const best = (all: ReadonlyArray<Pair>): Pair => ({
  time: Math.min(...all.map(({ time }) => time)),
  work: Math.min(...all.map(({ work }) => work))
})

/** No two neighbours, so that what is asked for is not what the processor has just seen. */
const accountOf = (n: number, accounts: number): string => `tenant ${(n * 7_919) % accounts}`

const each = (count: number, atOnce: number, step: (n: number) => Effect.Effect<unknown, unknown>) =>
  Effect.forEach(
    Array.from({ length: atOnce }, (_, fiber) => fiber),
    (fiber) =>
      Effect.gen(function*() {
        for (let n = fiber; n < count; n += atOnce) yield* step(n)
      }),
    { concurrency: "unbounded", discard: true }
  )

/** Accounts, by asking for each. */
const adjusted = ({ accounts, atOnce }: Case, slot: number) =>
  BudgetStore.BudgetStore.use((store) =>
    each(
      accounts,
      atOnce,
      (n) => store.adjust({ id: `fill ${n}`, account: `tenant ${n}`, slot, until: slot + day, by: 1 })
    )
  )

/** Accounts, in one statement. */
const inserted = (table: string, series: (accounts: number) => string) => ({ accounts }: Case, slot: number) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(
      `INSERT INTO ${table} (account, slot, used, reserved, forget_at) ${
        series(accounts)
      } SELECT 'tenant ' || n, ${slot}, 1, 0, ` +
        `${slot + 2 * day} FROM series WHERE true ON CONFLICT (account, slot) DO NOTHING`
    )
  )

const measured = <R>(one: Case, fill: (one: Case, slot: number) => Effect.Effect<unknown, unknown, R>) =>
  Effect.gen(function*() {
    const store = yield* BudgetStore.BudgetStore
    const slot = Date.now()
    // Every account is there before time is taken.
    yield* fill(one, slot)
    const some = (from: number, count: number) =>
      each(count, one.atOnce, (n) => {
        const id = `reservation ${from + n} of ${slot}`
        const account = accountOf(from + n, one.accounts)
        return Effect.andThen(
          store.reserve({
            id,
            lines: [{ account, limit, amount: 20, slot, since: slot, until: slot + day }],
            leasedUntil: slot + 60_000
          }),
          store.settle(id, [10])
        )
      })
    yield* some(0, Math.ceil(one.pairs / 5))
    const all: Array<Pair> = []
    for (let round = 1; round <= rounds; round++) {
      const [began, worked] = [performance.now(), processorMicros()]
      yield* some(round * one.pairs, one.pairs)
      all.push({
        time: (performance.now() - began) * 1_000 / one.pairs,
        work: (processorMicros() - worked) / one.pairs
      })
    }
    return { ...one, pair: best(all) }
  })

/** What nobody can do without who keeps as much in memory: the same questions to the same number of maps, and nothing else. */
const plainMaps = (one: Case): Row => {
  interface Slot {
    used: number
    reserved: number
  }
  const accounts = new Map<string, Slot>()
  const pending = new Map<string, Slot>()
  const finished = new Map<string, string>()
  const oldest = finished.keys()
  for (let n = 0; n < one.accounts; n++) accounts.set(`tenant ${n}`, { used: 1, reserved: 0 })
  const some = (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      const id = `reservation ${n}`
      const slot = accounts.get(accountOf(n, one.accounts))
      if (slot === undefined || pending.has(id) || finished.has(id)) throw new Error("so it is not filled")
      slot.reserved += 20
      pending.set(id, slot)
      const held = pending.get(id)
      if (held === undefined) throw new Error("so it is not held")
      held.reserved -= 20
      held.used += 10
      pending.delete(id)
      finished.set(id, "settled")
      // As many are remembered as in the store.
      if (finished.size > 100_000) finished.delete(oldest.next().value ?? "")
    }
  }
  some(0, Math.ceil(one.pairs / 5))
  const all: Array<Pair> = []
  for (let round = 1; round <= rounds; round++) {
    const [began, worked] = [performance.now(), processorMicros()]
    some(round * one.pairs, one.pairs)
    all.push({ time: (performance.now() - began) * 1_000 / one.pairs, work: (processorMicros() - worked) / one.pairs })
  }
  return { ...one, pair: best(all) }
}

type Home = () => Promise<ReadonlyArray<Row>>

const oneByOne = <A>(all: ReadonlyArray<A>, run: (one: A) => Effect.Effect<Row, unknown>) =>
  Effect.runPromise(Effect.forEach(all, run))

const memoryName = "memory"

const plain = "nothing but maps, in plain code"

const memory: Home = async () => {
  const cases = [1, times(100_000), times(1_000_000)].map((accounts) => ({
    name: memoryName,
    accounts,
    atOnce: 1,
    pairs: times(100_000)
  }))
  const floor = cases.map((one) => plainMaps({ ...one, name: plain }))
  const rows = await oneByOne(
    cases,
    (one) => Effect.provide(measured(one, adjusted), Layer.fresh(BudgetStore.layerMemory))
  )
  return [...rows, ...floor]
}

const sqlite: Home = async () => {
  const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
  const fill = inserted(
    "bulwark_budget_slots",
    (accounts) => `WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n < ${accounts - 1})`
  )
  const cases = [
    ...[1, times(1_000_000)].map((accounts) => ({
      name: "SQLite, a file",
      accounts,
      pairs: times(3_000),
      durability: "process" as const
    })),
    { name: "SQLite, a file, durability \"power\"", accounts: 1, pairs: times(500), durability: "power" as const }
  ]
  try {
    return await oneByOne(cases, ({ durability, ...one }) =>
      measured({ ...one, atOnce: 1 }, fill).pipe(
        Effect.provide(
          Layer.fresh(BudgetStore.layerSql()).pipe(
            Layer.provideMerge(
              Sqlite.layer({ filename: join(folder, `${durability}-${one.accounts}.db`), durability })
            )
          )
        )
      ))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const postgres: Home = async () => {
  const connected = (schema: string) =>
    PgClient.layer({ ...addresses.postgres, maxConnections: 16, startupParameters: { search_path: schema } })
  const ask = (statement: string) =>
    Effect.provide(SqlClient.SqlClient.use((sql) => sql.unsafe(statement)), connected("public"), { local: true })
  const schema = `bulwark_${prefix}budgets`
  const fill = inserted(
    "bulwark_budget_slots",
    (accounts) => `WITH series AS (SELECT n FROM generate_series(0, ${accounts - 1}) AS n)`
  )
  // Autovacuum would look at so many new rows within a minute. Until then plans are made for the few there were, and take ten times as long.
  const filled: typeof fill = (one, slot) =>
    Effect.andThen(fill(one, slot), SqlClient.SqlClient.use((sql) => sql.unsafe("ANALYZE bulwark_budget_slots")))
  const cases = ([[1, 1], [1, 16], [times(1_000_000), 16]] as const).map(([accounts, atOnce]) => ({
    name: "Postgres",
    accounts,
    atOnce,
    pairs: times(atOnce === 1 ? 1_000 : 3_000)
  }))
  await Effect.runPromise(ask(`CREATE SCHEMA ${schema}`))
  try {
    return await oneByOne(cases, (one) =>
      measured(one, filled).pipe(
        Effect.provide(Layer.fresh(BudgetStore.layerSql()).pipe(Layer.provideMerge(connected(schema))))
      ))
  } finally {
    await Effect.runPromise(ask(`DROP SCHEMA ${schema} CASCADE`))
  }
}

const redis: Home = async () => {
  const connected = NodeRedis.layer({ socket: addresses.redis })
  // Each account is a question to the server: a million would take a minute.
  const cases = ([[1, 1], [1, 16], [times(100_000), 16]] as const).map(([accounts, atOnce]) => ({
    name: "Redis",
    accounts,
    atOnce,
    pairs: times(atOnce === 1 ? 2_000 : 5_000)
  }))
  const clean = Effect.gen(function*() {
    const redis = yield* Redis.Redis
    const keys = yield* redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
    for (let n = 0; n < keys.length; n += 1_000) yield* redis.send("UNLINK", ...keys.slice(n, n + 1_000))
  })
  try {
    return await oneByOne(cases, (one) =>
      measured(one, adjusted).pipe(
        Effect.provide(Layer.fresh(BudgetStore.layerRedis({ prefix })).pipe(Layer.provide(connected)))
      ))
  } finally {
    await Effect.runPromise(Effect.provide(clean, connected))
  }
}

const homes = { memory, sqlite, postgres, redis } satisfies Record<string, Home>

const services: Record<string, { readonly name: string; readonly address: addresses.Address }> = {
  postgres: { name: "Postgres", address: addresses.postgres },
  redis: { name: "Redis", address: addresses.redis }
}

/** Of a server that does not answer it says so. */
export type Measured = Row | { readonly absent: string }

/** What is measured of some homes. */
export const measureStores = async (wanted: ReadonlyArray<string> = Object.keys(homes)) => {
  const rows: Array<Measured> = []
  for (const [key, home] of Object.entries(homes)) {
    if (!wanted.includes(key)) continue
    const service = services[key]
    if (service !== undefined && !(await addresses.listens(service.address))) rows.push({ absent: service.name })
    else rows.push(...await home())
  }
  return rows
}

export const storesTable = (rows: ReadonlyArray<Measured>): string =>
  table(
    [
      "Reserving and settling",
      "accounts",
      "at once",
      "µs of this process's processor a pair",
      "µs a pair",
      "pairs a second"
    ],
    rows.map((row) => {
      if ("absent" in row) return [row.absent, "**not measured: it does not answer**", "", "", "", ""]
      const { accounts, atOnce, name, pair: { time, work } } = row
      return [name, whole(accounts), `${atOnce}`, work.toFixed(1), time.toFixed(1), whole(1e6 / time)]
    })
  )

/** What the memory takes, beside what is left when everything but its maps is left out. */
export const memoryVerdict = (rows: ReadonlyArray<Measured>): string => {
  const of = (wanted: string) => rows.flatMap((row) => "absent" in row || row.name !== wanted ? [] : [row])
  const floor = of(plain)
  return of(memoryName).map(({ accounts, pair }, n) =>
    `${pair.work.toFixed(1)} µs with ${whole(accounts)} account${accounts === 1 ? "" : "s"} (of them its maps: ${
      floor[n]?.pair.work.toFixed(1) ?? "?"
    })`
  ).join(", ")
}

if (import.meta.main) {
  const asked = process.argv.slice(2)
  process.stdout.write(`${storesTable(await measureStores(asked.length === 0 ? undefined : asked))}\n`)
}
