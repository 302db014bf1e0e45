/**
 * Where prompts are kept: their versions, the labels that point to them, experiments, and scores.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
} from "./internal/store.ts"
import { makeStore } from "./internal/storeHome.ts"
import { makeHome as makeMemoryHome } from "./internal/storeMemory.ts"
import { makeHome as makeSqlHome } from "./internal/storeSql.ts"

export {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
}

/**
 * Keeps prompts in the process.
 *
 * **When to use**
 *
 * Use in tests, and over the files of a project while it is developed.
 *
 * **Details**
 *
 * Of scores it keeps the last 100,000.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<PromptStore> = Layer.effect(PromptStore, Effect.map(makeMemoryHome, makeStore))

/**
 * Where prompts are in a SQL database, and how changes are noticed.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlOptions {
  /**
   * What the names of the tables begin with: at most 40 lower-case letters, digits and underscores, and no digit first. Default:
   * `"bulwark_prompts_"`.
   */
  readonly prefix?: string | undefined
  /** How often `changes` asks whether another process has changed anything: one row is read. Default: 1 second. */
  readonly pollEvery?: Duration.Input | undefined
  /** How long scores are kept: what is older is forgotten, hourly. Default: for ever. */
  readonly keepScores?: Duration.Input | undefined
}

const positive = (where: string, input: Duration.Input): Duration.Duration => {
  const duration = Duration.fromInputUnsafe(input)
  if (Duration.isFinite(duration) && Duration.isPositive(duration)) return duration
  throw new RangeError(`PromptStore.${where} must be a time longer than none, got ${Duration.format(duration)}`)
}

/**
 * Keeps prompts in a SQL database, SQLite or Postgres, and makes its tables where they are missing.
 *
 * **When to use**
 *
 * Use for prompts that are published and rolled back while the application runs.
 *
 * **Details**
 *
 * The tables are made by `effect/sql`'s `Migrator`, which keeps account in a table of its own, next to that of the application. Versions,
 * events of labels and what experiments were are only ever appended.
 *
 * Changes are made one after the other, each whole or not at all; scores are no changes, and wait for nobody. A snapshot is one moment, and
 * reads only what was written since the one before.
 *
 * A step is not part of the transaction it is taken in. SQLite's client has only one connection, so inside a transaction of the same client
 * a step fails, at once.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Another database than these is one as well, as a defect.
 *
 * **Gotchas**
 *
 * A version whose row was edited by hand is not served: its hash tells. Rows that were deleted by hand are served on by processes that have
 * read them.
 *
 * In Postgres, whoever stops in the middle of a change, and does not even end, keeps all other changes waiting for up to 10 seconds. Reading
 * waits for nobody.
 *
 * **Example** (In a file)
 *
 * ```ts
 * import { PromptStore } from "effect-bulwark/prompts"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Layer } from "effect"
 *
 * const store = PromptStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: "prompts.db" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (options?: SqlOptions): Layer.Layer<PromptStore, SqlError | MigrationError, SqlClient> => {
  const prefix = options?.prefix ?? "bulwark_prompts_"
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(prefix)) {
    throw new RangeError(
      `PromptStore.layerSql: \`prefix\` must be at most 40 of a-z, 0-9 and _, with no digit first, got ${
        JSON.stringify(prefix)
      }`
    )
  }
  const settings = {
    prefix,
    pollEvery: positive("layerSql: `pollEvery`", options?.pollEvery ?? "1 second"),
    keepScores: options?.keepScores === undefined ? undefined : positive("layerSql: `keepScores`", options.keepScores)
  }
  return Layer.effect(PromptStore, Effect.map(makeSqlHome(settings), makeStore))
}
