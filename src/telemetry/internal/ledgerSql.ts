/**
 * The ledger in a SQL database. The same questions are put to SQLite and Postgres.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Identifier } from "effect/sql/Statement"
import { MicroUsd } from "../../core/Money.ts"
import { apart } from "../../sqlite/internal/apart.ts"
import {
  type Condition,
  type Dimension,
  type Entry,
  type Grouping,
  type Measuring,
  type Paging,
  type RankedValue,
  type Span,
  type SpendGroup,
  tagOf
} from "./ledgerStore.ts"
import {
  attemptColumns,
  attemptRows,
  type Columns,
  create,
  type Database,
  entryOf,
  type Found,
  operationColumns,
  operationRow,
  postgres,
  sqlite
} from "./ledgerTables.ts"

export const makeHome = (prefix: string) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = sql.onDialectOrElse({
      sqlite: () => sqlite,
      pg: () => postgres,
      orElse: () => {
        throw new RangeError("Ledger.layerStoreSql: the database must be SQLite or Postgres")
      }
    })
    const [operations, attempts] = [sql(`${prefix}operations`), sql(`${prefix}attempts`)]
    const database: Database = { sql, prefix, operations, attempts, dialect }
    yield* Effect.provideService(
      Migrator.make({})({
        loader: Migrator.fromRecord({ "0001_tables": create(database) }),
        table: `${prefix}migrations`
      }),
      SqlClient,
      sql
    )
    return {
      write: (entries: ReadonlyArray<Entry>) => write(database, entries),
      spend: (grouping: Grouping) => spend(database, grouping),
      latency: (measuring: Measuring) => latency(database, measuring),
      find: (paging: Paging) => find(database, paging),
      prune: (before: number) => prune(database, before)
    }
  })

const write = ({ attempts, dialect, operations, sql }: Database, entries: ReadonlyArray<Entry>) => {
  // As JSON: one statement whatever the size of the batch.
  const insert = (table: Identifier, columns: Columns, rows: ReadonlyArray<object>) => {
    const names = Object.keys(columns)
    const values = Object.entries(columns).map(([name, [type]]) =>
      `CAST(e.value ->> '${name}' AS ${type === "id" ? "text" : dialect.types[type]})`
    )
    return sql`
      INSERT INTO ${table} (${sql.csv(names)})
      SELECT ${sql.csv(values)} FROM ${dialect.elements(sql, JSON.stringify(rows))} AS e WHERE true
      ON CONFLICT DO NOTHING`
  }
  const transaction = sql.withTransaction(Effect.andThen(
    insert(operations, operationColumns, entries.map(operationRow)),
    insert(attempts, attemptColumns, entries.flatMap(attemptRows))
  ))
  // Whoever flushes may be in a transaction, and roll it back.
  return apart(sql, "The ledger")(Effect.asVoid(transaction))
}

/** The stretches of time that are asked about, as a table. */
const spansTable = ({ dialect, sql }: Database, spans: ReadonlyArray<Span>): Fragment => {
  const column = (name: keyof Span) => sql.literal(`CAST(s.value ->> '${name}' AS bigint)`)
  return sql`spans (starts, begins, ends) AS (
    SELECT ${column("start")}, ${column("from")}, ${column("to")} FROM ${
    dialect.elements(sql, JSON.stringify(spans))
  } AS s
  )`
}

const operationFields = {
  tenant: "o.tenant",
  user: "o.user_id",
  feature: "o.feature",
  promptVersion: "o.prompt_version",
  outcome: "o.outcome",
  requestId: "o.request_id",
  operationId: "o.operation_id"
} as const

const field = ({ dialect, sql }: Database, name: Condition["field"]): Fragment => {
  if (name === "provider" || name === "model") return sql.literal(`a.${name}`)
  return Object.hasOwn(operationFields, name)
    // It is one of them.
    ? sql.literal(operationFields[name as keyof typeof operationFields])
    : dialect.tag(sql, tagOf(name)!)
}

const oneOf = (database: Database, { field: name, values }: Condition): Fragment =>
  isOneOf(database, field(database, name), values)

const isOneOf = ({ sql }: Database, of: Fragment, values: ReadonlyArray<string>): Fragment =>
  values.length === 0 ? sql`1 = 0` : sql`${of} IN ${sql.in(values)}`

const ofRequests = ({ field }: Condition): boolean => field === "provider" || field === "model"

const all = (sql: SqlClient, clauses: ReadonlyArray<Fragment>): Fragment =>
  clauses.length === 0 ? sql`1 = 1` : sql.and(clauses)

const ofOperation = "a.started_at = o.started_at AND a.operation_id = o.operation_id"

/** The conditions on operations alone: those on requests hold for one of theirs. */
const onOperations = (database: Database, where: ReadonlyArray<Condition>): ReadonlyArray<Fragment> => {
  const { attempts, sql } = database
  const [requests, operations] = [where.filter(ofRequests), where.filter((condition) => !ofRequests(condition))]
  return [
    ...operations.map((condition) => oneOf(database, condition)),
    ...(requests.length === 0 ? [] : [sql`EXISTS (
      SELECT 1 FROM ${attempts} AS a WHERE ${sql.literal(ofOperation)} AND ${
      sql.and(requests.map((condition) => oneOf(database, condition)))
    }
    )`])
  ]
}

const keysOf = (by: ReadonlyArray<Dimension>): ReadonlyArray<string> => by.map((_, n) => `k${n}`)

const keyed = (database: Database, by: ReadonlyArray<Dimension>): ReadonlyArray<Fragment> =>
  by.map((dimension, n) => database.sql`${field(database, dimension)} AS ${database.sql.literal(`k${n}`)}`)

type Row<Column extends string, Text extends string = never> =
  & { readonly [_ in Column]: number | string }
  & { readonly [_ in Text]: string }
  & { readonly [key: `k${number}`]: string | null }

const counted = {
  requests: "count(a.n)",
  cost: "coalesce(sum(a.cost_micro_usd), 0)",
  estimated: "coalesce(sum(a.cost_estimated), 0)",
  unpriced: "count(CASE WHEN a.cost_micro_usd IS NULL THEN a.input_uncached END)",
  unmetered: "count(CASE WHEN a.cost_micro_usd IS NULL AND a.input_uncached IS NULL THEN a.n END)",
  uncached: "coalesce(sum(a.input_uncached), 0)",
  cache_read: "coalesce(sum(a.input_cache_read), 0)",
  cache_write: "coalesce(sum(a.input_cache_write), 0)",
  cache_write_1h: "coalesce(sum(a.input_cache_write_1h), 0)",
  answer: "coalesce(sum(a.output_text), 0)",
  reasoning: "coalesce(sum(a.output_reasoning), 0)"
}

const countedNames = Object.keys(counted) as ReadonlyArray<keyof typeof counted>

const spend = (
  database: Database,
  { by, spans, where }: Grouping
): Effect.Effect<ReadonlyArray<SpendGroup>, SqlError> => {
  const { attempts, dialect, operations, sql } = database
  const keys = keysOf(by)
  const groups = ["starts", ...keys, "outcome"]
  return Effect.map(
    sql<Row<"starts" | "operations" | keyof typeof counted, "outcome">>`
      WITH ${spansTable(database, spans)}, asked AS (
        SELECT ${
      sql.csv([
        "s.starts",
        ...keyed(database, by),
        "o.started_at",
        "o.operation_id",
        "o.outcome",
        ...countedNames.map((name) => `${counted[name]} AS ${name}`)
      ])
    }
        FROM spans AS s
        JOIN ${operations} AS o ON o.started_at >= s.begins AND o.started_at < s.ends
        LEFT JOIN ${attempts} AS a ON ${sql.literal(ofOperation)}
        WHERE ${all(sql, where.map((condition) => oneOf(database, condition)))}
        GROUP BY ${sql.csv(["s.starts", ...keys, "o.started_at", "o.operation_id", "o.outcome"])}
      )
      SELECT ${
      sql.csv([
        ...groups,
        "count(*) AS operations",
        // As large as numbers are.
        ...countedNames.map((name) => `${dialect.least}(sum(${name}), ${Number.MAX_SAFE_INTEGER}) AS ${name}`)
      ])
    } FROM asked GROUP BY ${sql.csv(groups)}`,
    (rows) =>
      rows.map((row): SpendGroup => ({
        start: Number(row.starts),
        keys: by.map((_, n) => row[`k${n}`] ?? null),
        outcome: row.outcome,
        operations: Number(row.operations),
        requests: Number(row.requests),
        cost: MicroUsd.make(Number(row.cost)),
        estimated: Number(row.estimated),
        unpriced: Number(row.unpriced),
        unmetered: Number(row.unmetered),
        usage: {
          inputUncached: Number(row.uncached),
          inputCacheRead: Number(row.cache_read),
          inputCacheWrite: Number(row.cache_write),
          inputCacheWrite1h: Number(row.cache_write_1h),
          outputText: Number(row.answer),
          outputReasoning: Number(row.reasoning)
        }
      }))
  )
}

const latency = (
  database: Database,
  { by, of, spans, thousandths, until, where }: Measuring
): Effect.Effect<ReadonlyArray<RankedValue>, SqlError> => {
  const { attempts, operations, sql } = database
  const requests = of === "requests"
  const measured = sql.literal(
    until === "firstPart" ? `${requests ? "a" : "o"}.first_part_ms` : requests ? "a.duration_ms" : "o.total_ms"
  )
  const conditions = requests
    ? where.map((condition) =>
      condition.field === "outcome"
        ? isOneOf(database, sql.literal("a.outcome"), condition.values)
        : oneOf(database, condition)
    )
    : onOperations(database, where)
  const group = ["starts", ...keysOf(by)]
  return Effect.map(
    sql<Row<"starts" | "amount" | "place" | "measured">>`
      WITH ${spansTable(database, spans)}, measured AS (
        SELECT ${sql.csv(["s.starts", ...keyed(database, by), sql`${measured} AS measured`])}
        FROM spans AS s
        JOIN ${operations} AS o ON o.started_at >= s.begins AND o.started_at < s.ends
        ${requests ? sql`JOIN ${attempts} AS a ON ${sql.literal(ofOperation)}` : sql``}
        WHERE ${all(sql, [sql`${measured} IS NOT NULL`, ...conditions])}
      ), ranked AS (
        SELECT ${sql.csv([...group, "measured"])},
          row_number() OVER (PARTITION BY ${sql.csv(group)} ORDER BY measured) AS place,
          count(*) OVER (PARTITION BY ${sql.csv(group)}) AS amount
        FROM measured
      )
      SELECT * FROM ranked WHERE place IN (${
      sql.csv(thousandths.map((thousandth) => `(amount * ${thousandth} + 99999) / 100000`))
    })`,
    (rows) =>
      rows.map((row) => ({
        start: Number(row.starts),
        keys: by.map((_, n) => row[`k${n}`] ?? null),
        count: Number(row.amount),
        rank: Number(row.place),
        value: Number(row.measured)
      }))
  )
}

const find = (
  database: Database,
  { after, from, limit, to, where }: Paging
): Effect.Effect<ReadonlyArray<Entry>, SqlError> => {
  const { attempts, operations, sql } = database
  const newestFirst = "o.started_at DESC, o.operation_id DESC"
  const conditions = [
    sql`o.started_at >= ${from} AND o.started_at < ${to}`,
    ...(after === undefined ? [] : [sql`(o.started_at, o.operation_id) < (${after.startedAt}, ${after.operationId})`]),
    ...onOperations(database, where)
  ]
  // In one statement: operations and requests are of one moment.
  return Effect.map(
    sql<Found>`
      WITH page AS (
        SELECT o.* FROM ${operations} AS o WHERE ${sql.and(conditions)}
        ORDER BY ${sql.literal(newestFirst)} LIMIT ${limit}
      )
      SELECT o.*, ${sql.csv(Object.keys(attemptColumns).map((column) => `a.${column} AS a_${column}`))}
      FROM page AS o LEFT JOIN ${attempts} AS a ON ${sql.literal(ofOperation)}
      ORDER BY ${sql.literal(newestFirst)}, a.n`,
    (rows) =>
      [...Map.groupBy(rows, (row) => `${row.started_at} ${row.operation_id}`).values()]
        // No group is empty.
        .map((found) => entryOf(found as [Found, ...Array<Found>]))
  )
}

/** Few enough that nobody waits for long. */
const prunedAtOnce = 500

const prune = ({ operations, sql }: Database, before: number): Effect.Effect<number, SqlError> =>
  Effect.suspend(() => {
    let pruned = 0
    return sql`
      DELETE FROM ${operations} WHERE (started_at, operation_id) IN (
        SELECT started_at, operation_id FROM ${operations} WHERE started_at < ${before}
        ORDER BY started_at LIMIT ${prunedAtOnce}
      ) RETURNING 1 AS pruned`.pipe(
      Effect.tap((rows) => {
        pruned += rows.length
        return Effect.void
      }),
      Effect.repeat({ until: (rows) => rows.length < prunedAtOnce, schedule: Schedule.spaced("10 millis") }),
      Effect.map(() => pruned)
    )
  })
