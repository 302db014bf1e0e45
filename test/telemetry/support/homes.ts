/**
 * The homes that a ledger has, for the suites that each of them has to pass.
 */
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { Ledger } from "effect-bulwark/telemetry"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Postgres from "../../support/postgres.ts"
import { layerOf, type Place } from "./places.ts"

export type Store = Ledger.LedgerStore["Service"]

export interface Home {
  readonly name: string
  readonly describe: (title: string, suite: () => void) => void
  /** A place that nobody else has, for as long as the scope lasts. */
  readonly place: Effect.Effect<Place, never, Scope.Scope>
}

/** A file of its own. */
export const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-ledger-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "ledger.db")
)

/** Those that processes share. */
export const shared: ReadonlyArray<Home> = [
  { name: "SQLite in a file", describe, place: Effect.map(file, (filename) => ({ home: "sqlite", filename })) },
  {
    name: "Postgres",
    describe: Postgres.describePostgres,
    place: Effect.map(Postgres.schema, (schema) => ({ home: "postgres", schema }))
  }
]

export const homes: ReadonlyArray<Home> = [
  { name: "memory", describe, place: Effect.succeed({ home: "memory" }) },
  { name: "SQLite in memory", describe, place: Effect.succeed({ home: "sqlite", filename: ":memory:" }) },
  ...shared
]

/** One more client of a place. */
export const open = (place: Place): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.map(Layer.build(layerOf(place)), Context.get(Ledger.LedgerStore))

/** A test with a store of its own, at time 0. */
export const test =
  (home: Home) =>
  (title: string, body: (store: Store) => Effect.Effect<void, unknown, Scope.Scope | Ledger.LedgerStore>) =>
    it.effect(title, () =>
      Effect.flatMap(
        Effect.flatMap(home.place, open),
        (store) => Effect.provideService(body(store), Ledger.LedgerStore, store)
      ))
