/**
 * The tables of the ledger in a SQL database: one row an operation, one row a request.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Identifier } from "effect/sql/Statement"
import { MicroUsd } from "../../core/Money.ts"
import type { PromptReference } from "../../core/PromptReference.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { withCost } from "./ledgerEntry.ts"
import { type Entry, promptVersionOf } from "./ledgerStore.ts"

export interface Database {
  /** Without the application's transformations of names. */
  readonly sql: SqlClient
  /** What the names of tables begin with: letters, digits and underscores. */
  readonly prefix: string
  readonly operations: Identifier
  readonly attempts: Identifier
  readonly dialect: Dialect
}

/** Where databases differ. */
export interface Dialect {
  readonly types: Record<Type, string>
  /** The elements of a JSON array, each a column `value`. */
  readonly elements: (sql: SqlClient, json: string) => Fragment
  readonly tag: (sql: SqlClient, name: string) => Fragment
  readonly least: string
}

/** Identifiers compare byte by byte, as everywhere else. */
export type Type = "id" | "text" | "integer" | "real"

export const sqlite: Dialect = {
  types: { id: "TEXT", text: "TEXT", integer: "INTEGER", real: "REAL" },
  elements: (sql, json) => sql`json_each(${json})`,
  tag: (sql, name) => sql`(SELECT t.value FROM json_each(o.tags) AS t WHERE t.key = ${name})`,
  least: "min"
}

export const postgres: Dialect = {
  types: { id: "text COLLATE \"C\"", text: "text", integer: "bigint", real: "double precision" },
  elements: (sql, json) => sql`json_array_elements(CAST(CAST(${json} AS text) AS json))`,
  tag: (sql, name) => sql`(CAST(o.tags AS json) ->> CAST(${name} AS text))`,
  least: "least"
}

const required = "NOT NULL"

const key = { started_at: ["integer", required], operation_id: ["id", required] } as const

/** The columns of a table, with their types. */
export type Columns = { readonly [column: string]: readonly [type: Type, constraint?: typeof required] }

export const operationColumns = {
  ...key,
  outcome: ["text", required],
  user_id: ["text"],
  tenant: ["text"],
  feature: ["text"],
  request_id: ["text"],
  prompt_version: ["text"],
  prompt: ["text"],
  tags: ["text"],
  provider: ["text"],
  model: ["text"],
  finish_reason: ["text"],
  degraded: ["integer", required],
  events: ["text", required],
  first_part_ms: ["real"],
  total_ms: ["real", required]
} as const satisfies Columns

export const attemptColumns = {
  ...key,
  n: ["integer", required],
  provider: ["text", required],
  model: ["text", required],
  served_model: ["text"],
  outcome: ["text", required],
  start_ms: ["real", required],
  duration_ms: ["real", required],
  first_part_ms: ["real"],
  input_uncached: ["integer"],
  input_cache_read: ["integer"],
  input_cache_write: ["integer"],
  input_cache_write_1h: ["integer"],
  output_text: ["integer"],
  output_reasoning: ["integer"],
  cost_micro_usd: ["integer"],
  cost_estimated: ["integer", required]
} as const satisfies Columns

export const create = (database: Database): Effect.Effect<void, SqlError> => {
  const { attempts, dialect, operations, prefix, sql } = database
  const columns = (of: Columns) =>
    sql.csv(
      Object.entries(of).map(([name, [type, constraint = ""]]) => `${name} ${dialect.types[type]} ${constraint}`)
    )
  const index = (name: string, on: Identifier, columns: string, where: string) =>
    sql`CREATE INDEX ${sql(`${prefix}${name}`)} ON ${on} (${sql.literal(columns)}) WHERE ${sql.literal(where)}`
  return Effect.all([
    sql`CREATE TABLE ${operations} (${columns(operationColumns)}, PRIMARY KEY (started_at, operation_id))`,
    sql`CREATE TABLE ${attempts} (
      ${columns(attemptColumns)},
      PRIMARY KEY (started_at, operation_id, n),
      FOREIGN KEY (started_at, operation_id) REFERENCES ${operations} (started_at, operation_id) ON DELETE CASCADE
    )`,
    sql`CREATE INDEX ${sql(`${prefix}operations_id`)} ON ${operations} (operation_id)`,
    index("operations_request", operations, "request_id", "request_id IS NOT NULL"),
    index("operations_tenant", operations, "tenant, started_at", "tenant IS NOT NULL"),
    index("operations_user", operations, "user_id, started_at", "user_id IS NOT NULL")
  ], { discard: true })
}

type Row<Of extends Columns> = { readonly [Column in keyof Of]: string | number | null }

export const operationRow = ({ receipt }: Entry): Row<typeof operationColumns> => {
  const { attribution, timings } = receipt
  return {
    started_at: receipt.startedAt,
    operation_id: receipt.operationId,
    outcome: receipt.outcome,
    user_id: attribution.user ?? null,
    tenant: attribution.tenant ?? null,
    feature: attribution.feature ?? null,
    request_id: attribution.requestId ?? null,
    prompt_version: promptVersionOf(receipt) ?? null,
    prompt: receipt.prompt === undefined ? null : JSON.stringify(receipt.prompt),
    tags: attribution.tags === undefined ? null : JSON.stringify(attribution.tags),
    provider: receipt.provider ?? null,
    model: receipt.model ?? null,
    finish_reason: receipt.finishReason ?? null,
    degraded: receipt.degraded ? 1 : 0,
    events: JSON.stringify(receipt.events),
    first_part_ms: timings.firstPartMillis ?? null,
    total_ms: timings.totalMillis
  }
}

export const attemptRows = ({ receipt }: Entry): ReadonlyArray<Row<typeof attemptColumns>> =>
  receipt.attempts.map((attempt, n) => {
    const { usage } = attempt
    return {
      started_at: receipt.startedAt,
      operation_id: receipt.operationId,
      n,
      provider: attempt.provider,
      model: attempt.model,
      served_model: attempt.servedModel ?? null,
      outcome: attempt.outcome,
      start_ms: attempt.startMillis,
      duration_ms: attempt.durationMillis,
      first_part_ms: attempt.firstPartMillis ?? null,
      input_uncached: usage?.inputUncached ?? null,
      input_cache_read: usage?.inputCacheRead ?? null,
      input_cache_write: usage?.inputCacheWrite ?? null,
      input_cache_write_1h: usage?.inputCacheWrite1h ?? null,
      output_text: usage?.outputText ?? null,
      output_reasoning: usage?.outputReasoning ?? null,
      cost_micro_usd: attempt.cost ?? null,
      cost_estimated: attempt.costEstimated === true ? 1 : 0
    }
  })

/** What is read of an operation: its row, and that of a request of it with `a_` before the names; larger numbers come as text. */
export type Found =
  & { readonly [Column in keyof typeof operationColumns]: string | number | null }
  & { readonly [Column in keyof typeof attemptColumns as `a_${Column}`]: string | number | null }

/** The entry that such rows were made of, in the order of requests. */
export const entryOf = (rows: readonly [Found, ...Array<Found>]): Entry => {
  const row = rows[0]
  // Only columns that may be missing are.
  const number = (value: string | number | null) => Number(value)
  const text = (value: string | number | null) => String(value)
  const attempts = rows.flatMap((found): ReadonlyArray<Receipt.Attempt> =>
    found.a_n === null ? [] : [{
      provider: text(found.a_provider),
      model: text(found.a_model),
      ...given("servedModel", found.a_served_model, text),
      startMillis: number(found.a_start_ms),
      durationMillis: number(found.a_duration_ms),
      ...given("firstPartMillis", found.a_first_part_ms, number),
      outcome: text(found.a_outcome),
      ...given("usage", found.a_input_uncached, (inputUncached): Usage.Usage => ({
        inputUncached: number(inputUncached),
        inputCacheRead: number(found.a_input_cache_read),
        inputCacheWrite: number(found.a_input_cache_write),
        ...given("inputCacheWrite1h", found.a_input_cache_write_1h, number),
        outputText: number(found.a_output_text),
        outputReasoning: number(found.a_output_reasoning)
      })),
      ...given("cost", found.a_cost_micro_usd, (cost) => MicroUsd.make(number(cost))),
      ...(number(found.a_cost_estimated) === 1 ? { costEstimated: true } : undefined)
    }]
  )
  return {
    receipt: withCost({
      operationId: text(row.operation_id),
      attribution: {
        ...given("user", row.user_id, text),
        ...given("tenant", row.tenant, text),
        ...given("feature", row.feature, text),
        ...given("requestId", row.request_id, text),
        // JSON that was written from a receipt, here and below.
        ...given("tags", row.tags, (tags) => JSON.parse(text(tags)) as Record<string, string>)
      },
      ...given("prompt", row.prompt, (prompt) => JSON.parse(text(prompt)) as PromptReference),
      startedAt: number(row.started_at),
      outcome: text(row.outcome),
      ...given("provider", row.provider, text),
      ...given("model", row.model, text),
      ...given("finishReason", row.finish_reason, text),
      degraded: number(row.degraded) === 1,
      attempts,
      events: JSON.parse(text(row.events)) as ReadonlyArray<Receipt.Event>,
      usage: attempts.reduce((sum, { usage }) => usage === undefined ? sum : Usage.add(sum, usage), Usage.zero),
      timings: { ...given("firstPartMillis", row.first_part_ms, number), totalMillis: number(row.total_ms) }
    })
  }
}

const given = <Name extends string, A>(
  name: Name,
  value: string | number | null,
  read: (value: string | number) => A
): { readonly [_ in Name]?: A } =>
  // The only field, if it is there.
  (value === null ? {} : { [name]: read(value) }) as { readonly [_ in Name]?: A }
