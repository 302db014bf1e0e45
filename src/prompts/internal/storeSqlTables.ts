/**
 * The tables of prompts in a SQL database. SQLite and Postgres have the same.
 *
 * Whoever changes anything has the lock of the one row of `revision`, so changes come one after the other, and each has a revision that
 * is higher than those before. A row knows at which revision it was written, so what is new is found without reading the rest.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment, Identifier } from "effect/sql/Statement"

export interface Database {
  /** Without the application's transformations of names. */
  readonly sql: SqlClient
  readonly dialect: Dialect
  readonly revision: Identifier
  readonly versions: Identifier
  readonly labels: Identifier
  readonly events: Identifier
  readonly experiments: Identifier
  readonly scores: Identifier
}

/** What SQLite and Postgres do in manners of their own. */
export interface Dialect {
  readonly text: string
  readonly integer: string
  readonly real: string
  /** The elements of a JSON array, as rows with a `value`. */
  readonly elements: (sql: SqlClient, json: string) => Fragment
  /** The row of the revision, locked. */
  readonly forUpdate: string
  readonly skipLocked: string
  /** What a transaction begins with. */
  readonly begin: ReadonlyArray<string>
}

export const sqlite: Dialect = {
  text: "TEXT",
  integer: "INTEGER",
  real: "REAL",
  elements: (sql, json) => sql`json_each(${json})`,
  // A transaction has the lock from its beginning.
  forUpdate: "",
  skipLocked: "",
  begin: []
}

export const postgres: Dialect = {
  text: "text COLLATE \"C\"",
  integer: "bigint",
  real: "double precision",
  elements: (sql, json) => sql`json_array_elements(CAST(CAST(${json} AS text) AS json))`,
  forUpdate: "FOR UPDATE",
  skipLocked: "FOR UPDATE SKIP LOCKED",
  begin: [
    // What is read after the lock must be what others have committed before.
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    // A client that hangs must not keep the lock from all others.
    "SET LOCAL idle_in_transaction_session_timeout = '10s'"
  ]
}

export const tables = (sql: SqlClient, dialect: Dialect, prefix: string): Database => ({
  sql,
  dialect,
  revision: sql(`${prefix}revision`),
  versions: sql(`${prefix}versions`),
  labels: sql(`${prefix}labels`),
  events: sql(`${prefix}label_events`),
  experiments: sql(`${prefix}experiments`),
  scores: sql(`${prefix}scores`)
})

export const create = (database: Database, prefix: string): Effect.Effect<void, SqlError> => {
  const { dialect, events, experiments, labels, revision, scores, sql, versions } = database
  const [text, integer, real] = [sql.literal(dialect.text), sql.literal(dialect.integer), sql.literal(dialect.real)]
  const index = (name: string, on: Identifier, columns: string) =>
    sql`CREATE INDEX ${sql(`${prefix}${name}`)} ON ${on} (${sql.literal(columns)})`
  return Effect.all([
    sql`CREATE TABLE ${revision} (one ${integer} PRIMARY KEY CHECK (one = 1), n ${integer} NOT NULL)`,
    sql`INSERT INTO ${revision} (one, n) VALUES (1, 0)`,
    sql`CREATE TABLE ${versions} (
      name ${text} NOT NULL,
      version ${integer} NOT NULL,
      hash ${text} NOT NULL,
      document ${text} NOT NULL,
      written ${integer} NOT NULL,
      PRIMARY KEY (name, version)
    )`,
    index("versions_written", versions, "written"),
    // A label that was taken away points to no version.
    sql`CREATE TABLE ${labels} (
      name ${text} NOT NULL,
      label ${text} NOT NULL,
      version ${integer},
      written ${integer} NOT NULL,
      PRIMARY KEY (name, label)
    )`,
    index("labels_written", labels, "written"),
    sql`CREATE TABLE ${events} (
      name ${text} NOT NULL,
      sequence ${integer} NOT NULL,
      label ${text} NOT NULL,
      document ${text} NOT NULL,
      PRIMARY KEY (name, sequence)
    )`,
    index("label_events_label", events, "name, label, sequence"),
    sql`CREATE TABLE ${experiments} (
      name ${text} NOT NULL,
      id ${text} NOT NULL,
      revision ${integer} NOT NULL,
      document ${text} NOT NULL,
      written ${integer} NOT NULL,
      PRIMARY KEY (name, id, revision)
    )`,
    index("experiments_written", experiments, "written"),
    // What a score has no part in is no text.
    sql`CREATE TABLE ${scores} (
      id ${text} PRIMARY KEY,
      scored_at ${integer} NOT NULL,
      name ${text} NOT NULL,
      version ${integer} NOT NULL,
      experiment ${text} NOT NULL,
      variant ${text} NOT NULL,
      metric ${text} NOT NULL,
      value ${real} NOT NULL,
      document ${text} NOT NULL
    )`,
    index("scores_name", scores, "name, scored_at"),
    index("scores_time", scores, "scored_at")
  ], { discard: true })
}
