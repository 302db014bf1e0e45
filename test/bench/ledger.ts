/**
 * How many operations a second the homes of the ledger write, from receipts to rows: `node --conditions=effect-bulwark/source
 * test/bench/ledger.ts`. Postgres is left out where there is none.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as addresses from "../support/addresses.ts"
import { attempt, entry, usage } from "../telemetry/support/entries.ts"
import { layerOf, type Place } from "../telemetry/support/places.ts"

const count = 20_000

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

const measure = (name: string, place: Place) =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    const started = performance.now()
    for (const receipt of receipts) yield* ledger.record(receipt)
    const recorded = performance.now()
    yield* ledger.flush
    const written = performance.now()
    yield* Ledger.spend({ from: 0, to: count, by: ["tenant", "model"] })
    const spent = performance.now()
    yield* Ledger.latency({ from: 0, to: count, by: ["tenant"] })
    const measured = performance.now()
    // oxlint-disable-next-line no-console
    console.log(
      `${name}: ${Math.round(count / (written - started) * 1_000)} operations/s written; ` +
        `${((recorded - started) / count * 1_000).toFixed(1)} µs a call; ` +
        `spend over ${count}: ${(spent - written).toFixed(0)} ms, latency: ${(measured - spent).toFixed(0)} ms`
    )
  }).pipe(
    Effect.provide(
      Ledger.layer({ bufferSize: count }).pipe(Layer.provide(prices), Layer.provideMerge(layerOf(place)))
    )
  )

const folder = mkdtempSync(join(tmpdir(), "bulwark-ledger-bench-"))
const schema = `bulwark_bench_${randomUUID().replaceAll("-", "")}`
const postgres = PgClient.layer({ ...addresses.postgres, username: "postgres", database: "postgres" })
const ask = (statement: string) =>
  Effect.provide(SqlClient.SqlClient.use((sql) => sql.unsafe(statement)), postgres, { local: true })

const main = Effect.gen(function*() {
  yield* measure("memory", { home: "memory" })
  yield* measure("SQLite in memory", { home: "sqlite", filename: ":memory:" })
  yield* measure("SQLite in a file", { home: "sqlite", filename: join(folder, "ledger.db") })
  if ((yield* Effect.exit(ask(`CREATE SCHEMA ${schema}`)))._tag === "Failure") return
  yield* Effect.ensuring(
    measure("Postgres", { home: "postgres", schema }),
    Effect.ignore(ask(`DROP SCHEMA ${schema} CASCADE`))
  )
})

await Effect.runPromise(Effect.ensuring(main, Effect.sync(() => rmSync(folder, { recursive: true }))))
