/**
 * An embedded database: an `effect/sql` client over SQLite, which is part of Node. No server, no package to install.
 *
 * - A file is in WAL mode: readers and one writer do not wait for each other, and several processes may share it.
 * - A transaction that a program begins takes the write lock at once (`BEGIN IMMEDIATE`), so it never finds out at its end that another
 *   has written.
 * - Where another process holds the lock, a statement tries again, backing off and without blocking the event loop, until `busyTimeout`
 *   has passed. Then it fails with the reason `LockTimeoutError`.
 * - Statements are prepared once and kept, within bounds. Closing the layer's scope closes the database.
 *
 * **Gotchas**
 *
 * A statement runs in the thread of the program and takes it for as long as the statement takes: this is for many short statements.
 * A file must be on a disk of this machine, since SQLite's locks do not hold over a network.
 *
 * What `":memory:"` holds is gone with the layer, and nobody else can see it.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { type Durability, open } from "./internal/connection.ts"

/**
 * Where the database is, and how it behaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The path of the file, which is made where there is none, or `":memory:"`. */
  readonly filename: string
  /**
   * What an acknowledged transaction survives: `"process"`, the end of the process, however abrupt, or `"power"`, that of the machine
   * as well, at about a tenth of the speed. Default: `"process"`.
   */
  readonly durability?: Durability | undefined
  /** How long a statement waits for a lock that another process holds. Default: 5 seconds. */
  readonly busyTimeout?: Duration.Input | undefined
}

/**
 * Opens a database, for as long as the scope lasts. It fails with a `SqlError` where the file cannot be opened.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options
): Effect.Effect<SqlClient.SqlClient, SqlError.SqlError, Scope.Scope | Reactivity.Reactivity> => {
  const { durability = "process", filename } = options
  const busyTimeout = Duration.fromInputUnsafe(options.busyTimeout ?? "5 seconds")
  if (filename === "") throw new RangeError("Sqlite: `filename` must not be empty")
  if (durability !== "process" && durability !== "power") {
    throw new RangeError(`Sqlite: \`durability\` must be "process" or "power", got ${JSON.stringify(durability)}`)
  }
  return Effect.gen(function*() {
    const connection = yield* open({ filename, durability, busyTimeout })
    return yield* SqlClient.make({
      ...SqlClient.makeSqliteAcquirers({
        connection: Effect.succeed(connection),
        semaphore: yield* Semaphore.make(1),
        isTransaction: ({ isTransaction }) => isTransaction()
      }),
      compiler: Statement.makeCompilerSqlite(),
      driver: "sqlite-node",
      beginTransaction: "BEGIN IMMEDIATE",
      prepareTransactionControls: true,
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      spanAttributes: [["db.system.name", "sqlite"]]
    })
  })
}

/**
 * Provides a database.
 *
 * **Example** (A table in memory)
 *
 * ```ts
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE words (word TEXT PRIMARY KEY)`
 *   yield* sql`INSERT INTO words ${sql.insert([{ word: "bulwark" }, { word: "rampart" }])}`
 *   return yield* sql`SELECT word FROM words ORDER BY word`
 * })
 *
 * const rows = await Effect.runPromise(Effect.provide(program, Sqlite.layer({ filename: ":memory:" })))
 *
 * rows // => [{ word: "bulwark" }, { word: "rampart" }]
 * ```
 *
 * @see {@link layerConfig} to read the options from the environment.
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))

/**
 * Provides a database, with options from the configuration.
 *
 * @see {@link layer} for options that are known beforehand.
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<SqlClient.SqlClient, Config.ConfigError | SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, Effect.flatMap(Config.unwrap(options), make)).pipe(Layer.provide(Reactivity.layer))
