/**
 * One connection to a SQLite database.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"

export type Durability = "process" | "power"

export interface SqliteConnection extends Connection {
  /** Whether a transaction is open. */
  readonly isTransaction: () => boolean
}

export interface Settings {
  readonly filename: string
  readonly durability: Durability
  readonly busyTimeout: Duration.Duration
}

// What a program asks is some dozens of statements; one that writes its values into them must not fill the memory.
const maxPrepared = 256

export const open = ({ busyTimeout, durability, filename }: Settings): Effect.Effect<
  SqliteConnection,
  SqlError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const attempt = <A>(operation: string, run: () => A): Effect.Effect<A, SqlError> =>
      Effect.try({
        try: run,
        catch: (cause) => failure(cause, operation)
      })
    // Only here is the module of Node loaded, which older ones lack and other runtimes may.
    const { DatabaseSync } = yield* Effect.tryPromise({
      try: () => import("node:sqlite"),
      catch: (cause) => failure(cause, "open")
    })
    const database = yield* Effect.acquireRelease(
      attempt("open", () => new DatabaseSync(filename, { timeout: 0, enableForeignKeyConstraints: true })),
      (database) => Effect.sync(() => database.close())
    )
    // A lock is waited for here and not in SQLite, which would stop the whole thread.
    const schedule = backoff.pipe(Schedule.upTo({ duration: busyTimeout }))
    const locked = ({ reason }: SqlError): boolean => reason._tag === "LockTimeoutError" && !database.isTransaction
    // Most statements find no lock, and are not to pay for the waiting.
    const waiting = <A>(self: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
      Effect.catchIf(self, locked, () => Effect.retry(self, { while: locked, schedule }))
    yield* waiting(attempt("open", () => {
      database.exec("PRAGMA journal_mode = WAL")
      database.exec(`PRAGMA synchronous = ${durability === "power" ? "FULL" : "NORMAL"}`)
    }))
    return connection(database, waiting, attempt)
  })

const backoff = Schedule.min([Schedule.exponential("1 millis"), Schedule.spaced("50 millis")]).pipe(Schedule.jittered)

const connection = (
  database: DatabaseSync,
  waiting: <A>(self: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>,
  attempt: <A>(operation: string, run: () => A) => Effect.Effect<A, SqlError>
): SqliteConnection => {
  const kept = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => database.prepare(sql)
  const prepared = (sql: string): StatementSync => {
    const statement = kept.get(sql) ?? prepare(sql)
    // Behind those that were used before it: the first is the one to go.
    kept.delete(sql)
    kept.set(sql, statement)
    if (kept.size > maxPrepared) kept.delete(kept.keys().next().value!)
    return statement
  }
  const execute =
    (statementOf: (sql: string) => StatementSync): Connection["execute"] => (sql, params, transformRows) =>
      waiting(attempt("execute", () => {
        const rows = statementOf(sql).all(...params.map(parameter)).map(plain)
        return transformRows === undefined ? rows : transformRows(rows)
      }))
  const executeValues: Connection["executeValues"] = (sql, params) =>
    waiting(attempt("execute", () => {
      // A statement of its own: the kept ones give rows as objects.
      const statement = prepare(sql)
      statement.setReturnArrays(true)
      // (Node's types do not know of it.)
      return statement.all(...params.map(parameter)) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
    }))
  return {
    isTransaction: () => database.isTransaction,
    execute: execute(prepared),
    executeUnprepared: execute(prepare),
    executeRaw: (sql, params) => waiting(attempt("execute", () => prepared(sql).run(...params.map(parameter)))),
    executeValues,
    executeValuesUnprepared: executeValues,
    executeStream: (sql, params, transformRows) =>
      Stream.unwrap(Effect.map(
        // A statement that is being read cannot be asked again, so it is not one of the kept ones.
        Effect.acquireRelease(
          attempt("execute", () => prepare(sql).iterate(...params.map(parameter))),
          (rows) => Effect.sync(() => rows.return?.())
        ),
        (rows) =>
          Stream.paginate(undefined, () =>
            attempt("execute", () => {
              const batch: Array<object> = []
              for (let row = rows.next(); row.done !== true; row = rows.next()) {
                batch.push(plain(row.value))
                if (batch.length === rowsAtOnce) break
              }
              const more = batch.length < rowsAtOnce ? Option.none() : Option.some(undefined)
              return [transformRows === undefined ? batch : transformRows(batch), more]
            }))
      ))
  }
}

const rowsAtOnce = 128

/** Rows come without a prototype, which is not what anybody expects to compare them with. */
const plain = (row: object): object => ({ ...row })

const parameter = (value: unknown): SQLInputValue =>
  value === undefined ? null : typeof value === "boolean" ? Number(value) : value as SQLInputValue

const failure = (cause: unknown, operation: string): SqlError =>
  new SqlError({
    reason: classifySqliteError(withNumber(cause), { message: `SQLite could not ${operation}`, operation })
  })

/** Node has SQLite's number in a field of another name than other drivers. */
const withNumber = (cause: unknown): unknown =>
  cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause
