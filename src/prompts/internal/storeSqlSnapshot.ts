/**
 * What is in a SQL database, read anew: only what was written since the last time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import type { SqlError } from "effect/sql/SqlError"
import * as Version from "../PromptVersion.ts"
import type { Entry, ExperimentRecord, Problem, Snapshot } from "./store.ts"
import { byName } from "./storeHome.ts"
import type { Database } from "./storeSqlTables.ts"

interface Row {
  readonly kind: "revision" | "version" | "label" | "experiment"
  readonly name: string | null
  readonly item: string | null
  readonly number: number | string | null
  readonly document: string | null
}

/** One statement, which sees one moment. */
const rowsSince = ({ experiments, labels, revision, sql, versions }: Database, since: number) =>
  sql<Row>`
    SELECT 'revision' AS kind, CAST(NULL AS text) AS name, CAST(NULL AS text) AS item, n AS number, CAST(NULL AS text) AS document
    FROM ${revision}
    UNION ALL
    SELECT 'version', name, hash, version, document FROM ${versions} WHERE written > ${since}
    UNION ALL
    SELECT 'label', name, label, version, NULL FROM ${labels} WHERE written > ${since}
    UNION ALL
    SELECT 'experiment', e.name, e.id, e.revision, e.document FROM ${experiments} AS e
    WHERE e.written > ${since} AND NOT EXISTS (
      SELECT 1 FROM ${experiments} AS later WHERE later.name = e.name AND later.id = e.id AND later.revision > e.revision
    )`

/** One prompt, while it is read. A version that cannot be served is a problem. */
interface Reading {
  readonly versions: Map<number, Version.PromptVersion>
  readonly labels: Map<string, number>
  readonly experiments: Map<string, ExperimentRecord>
  readonly problems: Map<string, Problem>
}

interface State {
  readonly written: number
  readonly readings: ReadonlyMap<string, Reading>
  readonly snapshot: Snapshot
}

const nothing: State = {
  written: 0,
  readings: new Map(),
  snapshot: { revision: "0", prompts: new Map(), problems: [], staleSince: undefined }
}

export const makeSnapshot = (
  database: Database,
  run: <A, E>(step: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>
): Effect.Effect<Effect.Effect<Snapshot, SqlError>> =>
  Effect.map(Semaphore.make(1), (semaphore) => {
    let state = nothing
    return semaphore.withPermits(1)(Effect.gen(function*() {
      let rows = yield* run(rowsSince(database, state.written))
      // A database that was put back to what it was: what has been read of it is not there any more.
      if (writtenOf(rows) < state.written) {
        state = nothing
        rows = yield* run(rowsSince(database, 0))
      }
      const written = writtenOf(rows)
      if (written > state.written) state = yield* advance(state, written, rows)
      return state.snapshot
    }))
  })

const writtenOf = (rows: ReadonlyArray<Row>): number =>
  Number(rows.find(({ kind }) => kind === "revision")?.number ?? 0)

const advance = (state: State, written: number, rows: ReadonlyArray<Row>): Effect.Effect<State> =>
  Effect.gen(function*() {
    const readings = new Map(state.readings)
    const changed = new Map<string, Reading>()
    for (const row of rows) {
      if (row.kind === "revision") continue
      const name = row.name!
      const reading = changed.get(name) ?? copy(readings.get(name))
      changed.set(name, reading)
      readings.set(name, reading)
      yield* take(reading, name, row)
    }
    const prompts = new Map(state.snapshot.prompts)
    for (const [name, reading] of changed) prompts.set(name, entryOf(name, reading))
    const problems = Array.from(readings, ([name, reading]) => [
      ...reading.problems.values(),
      ...danglingOf(name, reading)
    ]).flat()
    return {
      written,
      readings,
      snapshot: { revision: String(written), prompts: byName(prompts.values()), problems, staleSince: undefined }
    }
  })

const copy = (reading: Reading | undefined): Reading => ({
  versions: new Map(reading?.versions),
  labels: new Map(reading?.labels),
  experiments: new Map(reading?.experiments),
  problems: new Map(reading?.problems)
})

const take = (reading: Reading, name: string, { document, item, kind, number }: Row): Effect.Effect<void> => {
  switch (kind) {
    case "version":
      return Effect.map(versionOf(name, Number(number), item!, document!), (read) => {
        if ("kind" in read) reading.problems.set(read.source, read)
        else reading.versions.set(read.version, read)
      })
    case "label":
      return Effect.sync(() => {
        if (number === null) reading.labels.delete(item!)
        else reading.labels.set(item!, Number(number))
      })
    default:
      // What this store has written.
      return Effect.sync(() => void reading.experiments.set(item!, JSON.parse(document!) as ExperimentRecord))
  }
}

const decode = Schema.decodeUnknownExit(Schema.fromJsonString(Version.PromptVersion))

/** A row as a version, if it is still as it was published. */
export const versionOf = (
  name: string,
  number: number,
  hash: string,
  document: string
): Effect.Effect<Version.PromptVersion | Problem> => {
  const decoded = decode(document)
  const problem = (kind: Problem["kind"], message: string): Problem => ({
    kind,
    source: `versions: ${name}@${number}`,
    name,
    version: number,
    message,
    remedy: "Put the row back as it was, or move the labels to another version",
    lastGood: false
  })
  if (Exit.isFailure(decoded) || decoded.value.name !== name || decoded.value.version !== number) {
    return Effect.succeed(problem("Invalid", "the row is not what was published"))
  }
  return Effect.map(Version.hash(decoded.value.content), (actual) =>
    actual === hash && actual === decoded.value.hash
      ? decoded.value
      : problem("Hash", "the content was changed after it was published"))
}

const entryOf = (name: string, { experiments, labels, versions }: Reading): Entry => ({
  name,
  versions: new Map(Array.from(versions).toSorted(([one], [other]) => one - other)),
  labels: new Map(inOrder(Array.from(labels).filter(([, version]) => versions.has(version)))),
  experiments: new Map(inOrder(Array.from(experiments)))
})

const inOrder = <A>(entries: ReadonlyArray<readonly [string, A]>): ReadonlyArray<readonly [string, A]> =>
  entries.toSorted(([one], [other]) => one < other ? -1 : 1)

const danglingOf = (name: string, { labels, versions }: Reading): ReadonlyArray<Problem> =>
  Array.from(labels)
    .filter(([, version]) => !versions.has(version))
    .map(([label, version]) => ({
      kind: "Missing",
      source: `labels: ${name}/${label}`,
      name,
      version,
      message: `the label ${label} points to version ${version}, which cannot be served`,
      remedy: "Move the label to another version",
      lastGood: false
    }))
