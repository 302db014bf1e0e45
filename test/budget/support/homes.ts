/**
 * The homes that budgets have, for the suites that each of them has to pass.
 */
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Postgres from "../../support/postgres.ts"
import * as Redis from "../../support/redis.ts"
import { layerOf, type Place } from "./places.ts"

export type Store = BudgetStore.BudgetStore["Service"]

export interface Home<P extends Place = Place> {
  readonly name: string
  readonly describe: (title: string, suite: () => void) => void
  /** A place that nobody else has, for as long as the scope lasts. */
  readonly place: Effect.Effect<P, never, Scope.Scope>
  /** How much is asked of it, compared to the memory. */
  readonly share: number
}

/** A file of its own. */
export const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-budget-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "budget.db")
)

/** Those that only one process sees. */
export const alone: ReadonlyArray<Home> = [
  { name: "memory", describe, place: Effect.succeed({ home: "memory" }), share: 1 },
  {
    name: "SQLite in memory",
    describe,
    place: Effect.succeed({ home: "sqlite", filename: ":memory:" }),
    share: 0.1
  }
]

/** Those that processes share. */
export const shared: ReadonlyArray<Home> = [
  {
    name: "SQLite in a file",
    describe,
    place: Effect.map(file, (filename) => ({ home: "sqlite", filename })),
    share: 0.05
  },
  {
    name: "Postgres",
    describe: Postgres.describePostgres,
    place: Effect.map(Postgres.schema, (schema) => ({ home: "postgres", schema })),
    share: 0.02
  },
  {
    name: "Redis",
    describe: Redis.describeRedis,
    place: Effect.map(Redis.tidyPrefix, (prefix) => ({ home: "redis", prefix })),
    share: 0.05
  }
]

/** One more client of a place. */
export const open = (place: Place): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.map(Layer.build(layerOf(place)), Context.get(BudgetStore.BudgetStore))

/** A test with a store of its own, at time 0. */
export const test =
  (home: Home) => (title: string, body: (store: Store) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.effect(title, () => Effect.flatMap(Effect.flatMap(home.place, open), body))

/** A line of an account that has one slot for all time, unless it says otherwise. */
export const line = (
  account: string,
  amount: number,
  limit: number,
  more?: Partial<BudgetStore.Line>
): BudgetStore.Line => ({
  account,
  amount,
  limit,
  slot: 0,
  since: 0,
  until: undefined,
  ...more
})

/** A reservation whose lease runs out after a minute, at time 0. */
export const reservation = (id: string, ...lines: ReadonlyArray<BudgetStore.Line>): BudgetStore.Reservation => ({
  id,
  lines,
  leasedUntil: 60_000
})
