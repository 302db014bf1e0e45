/**
 * How many operations a second the homes of the ledger write, from receipts to rows.
 *
 * Run alone with `node --conditions=effect-bulwark/source test/bench/ledger.ts`. Postgres is a server of this machine, where the tests
 * find it.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as addresses from "../support/addresses.ts"
import { attempt, entry, usage } from "../telemetry/support/entries.ts"
import { layerOf, type Place } from "../telemetry/support/places.ts"
import { processorMicros, table, times, whole } from "./measure.ts"

const count = times(20_000)

const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 1 } })
])

/** Of two requests each. */
const receipts = Array.from({ length: count }, (_, n) =>
  entry(
    `op_${n}`,
    n,
    [
      { attempt: attempt({ outcome: "Overloaded" }) },
      { attempt: attempt({ usage: usage(1_000, 200), firstPartMillis: 300 }) }
    ],
    { attribution: { tenant: `tenant-${n % 50}`, user: `user-${n % 1_000}`, tags: { team: "core" } } }
  ).receipt)

const measured = (name: string, place: Place) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const [began, worked] = [performance.now(), processorMicros()]
    for (const receipt of receipts) yield* ledger.record(receipt)
    const recorded = performance.now()
    yield* ledger.flush
    const [written, work] = [performance.now(), processorMicros() - worked]
    yield* Ledger.spend({ from: 0, to: count, by: ["tenant", "model"] })
    const spent = performance.now()
    yield* Ledger.latency({ from: 0, to: count, by: ["tenant"] })
    const latency = performance.now()
    return [
      name,
      whole(count / (written - began) * 1_000),
      (work / count).toFixed(1),
      ((recorded - began) / count * 1_000).toFixed(1),
      (spent - written).toFixed(0),
      (latency - spent).toFixed(0)
    ]
  }).pipe(
    Effect.provide(
      Ledger.layer({ bufferSize: count }).pipe(Layer.provide(prices), Layer.provideMerge(layerOf(place)))
    )
  )

const inPostgres = async (): Promise<ReadonlyArray<string>> => {
  if (!(await addresses.listens(addresses.postgres))) return ["Postgres", "**not measured: it does not answer**"]
  const schema = `bulwark_bench_${process.pid}_ledger`
  const ask = (statement: string) =>
    Effect.runPromise(
      Effect.provide(SqlClient.SqlClient.use((sql) => sql.unsafe(statement)), PgClient.layer(addresses.postgres))
    )
  await ask(`CREATE SCHEMA ${schema}`)
  try {
    return await Effect.runPromise(measured("Postgres", { home: "postgres", schema }))
  } finally {
    await ask(`DROP SCHEMA ${schema} CASCADE`)
  }
}

/** The table of all homes. */
export const ledgerTable = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
  try {
    const rows = [
      await Effect.runPromise(measured("memory", { home: "memory" })),
      await Effect.runPromise(measured("SQLite in memory", { home: "sqlite", filename: ":memory:" })),
      await Effect.runPromise(measured("SQLite, a file", { home: "sqlite", filename: join(folder, "ledger.db") })),
      await inPostgres()
    ]
    return table(
      [
        `${whole(count)} operations of two requests each`,
        "operations written a second",
        "µs of this process's processor an operation",
        "µs that the call waits",
        "`spend` over all, ms",
        "`latency` over all, ms"
      ],
      rows
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) process.stdout.write(`${await ledgerTable()}\n`)
