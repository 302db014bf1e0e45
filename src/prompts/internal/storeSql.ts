/**
 * Prompts in a SQL database. The same questions are put to SQLite and Postgres.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { apart } from "../../sqlite/internal/apart.ts"
import type * as Version from "../PromptVersion.ts"
import type {
  ExperimentRecord,
  LabelEvent,
  LabelMove,
  PromptStoreError,
  Score,
  ScoreQuery,
  ScoreTotal
} from "./store.ts"
import { type Home, moving, outage, publishing, remarks, saving, taken, untouched } from "./storeHome.ts"
import { inOrder } from "./storeMemory.ts"
import { makeSnapshot, versionOf } from "./storeSqlSnapshot.ts"
import { create, type Database, postgres, sqlite, tables } from "./storeSqlTables.ts"

export interface Settings {
  readonly prefix: string
  readonly pollEvery: Duration.Duration
  readonly keepScores: Duration.Duration | undefined
}

type Run = <A, E>(step: Effect.Effect<A, E>) => Effect.Effect<A, E | SqlError>

/** Somebody changes something: nobody else does meanwhile. Whoever has changed something says so, and nothing is half done. */
type Change = <A, E>(
  step: (written: number, said: () => void) => Effect.Effect<A, E | SqlError>
) => Effect.Effect<A, E | SqlError>

export const makeHome = (
  { keepScores, pollEvery, prefix }: Settings
): Effect.Effect<Home, SqlError | Migrator.MigrationError, SqlClient | Scope.Scope> =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient).withoutTransforms()
    const dialect = sql.onDialectOrElse({
      sqlite: () => sqlite,
      pg: () => postgres,
      orElse: () => {
        throw new RangeError("PromptStore.layerSql: the database must be SQLite or Postgres")
      }
    })
    const database = tables(sql, dialect, prefix)
    yield* Effect.provideService(
      Migrator.make({})({
        loader: Migrator.fromRecord({ "0001_tables": create(database, prefix) }),
        table: `${prefix}migrations`
      }),
      SqlClient,
      sql
    )
    const pubsub = yield* PubSub.sliding<void>(1)
    const run = apart(sql, "Prompts")
    const change = changing(database, run, pubsub)
    if (keepScores !== undefined) yield* Effect.forkScoped(forgetting(database, Duration.toMillis(keepScores)))
    return {
      ...questions(database, run),
      snapshot: yield* makeSnapshot(database, run),
      changes: changes(database, run, pubsub, pollEvery),
      publish: (draft, hash, now) => change(publish(database, draft, hash, now)),
      adopt: (version) => change(adopt(database, version)),
      label: (move, now) => change(label(database, move, now)),
      saveExperiment: (save, now) =>
        change((written, said) =>
          Effect.gen(function*() {
            const { document, id, name } = save
            const [last] = yield* sql<{ readonly revision: number | string }>`
              SELECT revision FROM ${database.experiments} WHERE name = ${name} AND id = ${id}
              ORDER BY revision DESC LIMIT 1`
            const revision = Number(last?.revision ?? 0)
            yield* saving(save, revision)
            const record: ExperimentRecord = {
              name,
              id,
              revision: revision + 1,
              document,
              at: now,
              ...remarks(save, "by", "reason")
            }
            yield* sql`INSERT INTO ${database.experiments} ${
              sql.insert({ name, id, revision: record.revision, document: JSON.stringify(record), written })
            }`
            said()
            return record
          })
        )
    }
  })

const changing = ({ dialect, revision, sql }: Database, run: Run, pubsub: PubSub.PubSub<void>): Change => (step) =>
  Effect.suspend(() => {
    let changed = false
    const said = () => {
      changed = true
    }
    const transaction = sql.withTransaction(Effect.gen(function*() {
      for (const statement of dialect.begin) yield* sql.unsafe(statement)
      const [row] = yield* sql<{ readonly n: number | string }>`
        SELECT n FROM ${revision} ${sql.literal(dialect.forUpdate)}`
      const answer = yield* step(Number(row!.n) + 1, said)
      if (changed) yield* sql`UPDATE ${revision} SET n = n + 1`
      return answer
    }))
    return Effect.onExit(run(transaction), () =>
      Effect.sync(() => {
        // Also where nobody heard of the end of it.
        if (changed) PubSub.publishUnsafe(pubsub, undefined)
      }))
  })

interface VersionRow {
  readonly name: string
  readonly version: number | string
  readonly hash: string
  readonly document: string
}

/** What was published, or a failure that says that it cannot be served. */
const served = (
  { document, hash, name, version }: VersionRow
): Effect.Effect<Version.PromptVersion, PromptStoreError> =>
  Effect.flatMap(versionOf(name, Number(version), hash, document), (read) =>
    "kind" in read
      ? Effect.fail(outage("version", new Error(`${read.source}: ${read.message}. ${read.remedy}`)))
      : Effect.succeed(read))

const publish =
  ({ sql, versions }: Database, draft: Version.Draft, hash: string, now: number) =>
  (written: number, said: () => void) =>
    Effect.gen(function*() {
      const { name } = draft
      const [last] = yield* sql<VersionRow>`
        SELECT name, version, hash, document FROM ${versions} WHERE name = ${name} ORDER BY version DESC LIMIT 1`
      const [same] = draft.version === undefined ? [] : yield* sql<VersionRow>`
        SELECT name, version, hash, document FROM ${versions} WHERE name = ${name} AND version = ${draft.version}`
      const { _tag, version } = yield* publishing(
        draft,
        hash,
        last === undefined ? undefined : { version: Number(last.version), hash: last.hash },
        same
      )
      if (_tag === "Repeat") return yield* served((same ?? last)!)
      const published: Version.PromptVersion = { ...draft, version, hash, createdAt: now }
      yield* sql`INSERT INTO ${versions} ${
        sql.insert({ name, version, hash, document: JSON.stringify(published), written })
      }`
      said()
      return published
    })

const adopt = ({ sql, versions }: Database, version: Version.PromptVersion) => (written: number, said: () => void) =>
  Effect.gen(function*() {
    const { hash, name, version: number } = version
    const [known] = yield* sql<VersionRow>`
        SELECT name, version, hash, document FROM ${versions} WHERE name = ${name} AND version = ${number}`
    if (known !== undefined) return yield* known.hash === hash ? served(known) : taken(name, number)
    yield* sql`INSERT INTO ${versions} ${
      sql.insert({ name, version: number, hash, document: JSON.stringify(version), written })
    }`
    said()
    return version
  })

const label =
  ({ events, labels, sql, versions }: Database, move: LabelMove, now: number) => (written: number, said: () => void) =>
    Effect.gen(function*() {
      const { label, name, version } = move
      const [pointing] = yield* sql<{ readonly version: number | string | null }>`
        SELECT version FROM ${labels} WHERE name = ${name} AND label = ${label}`
      const current = pointing === undefined || pointing.version === null ? undefined : Number(pointing.version)
      if (current === version) {
        const [last] = yield* sql<{ readonly document: string }>`
          SELECT document FROM ${events} WHERE name = ${name} AND label = ${label} ORDER BY sequence DESC LIMIT 1`
        if (last !== undefined) return eventOf(last)
        if (version === undefined) return untouched(move, now)
      }
      const known = version === undefined ? [] : yield* sql`
        SELECT 1 AS known FROM ${versions} WHERE name = ${name} AND version = ${version}`
      yield* moving(move, current, known.length > 0)
      const [last] = yield* sql<{ readonly sequence: number | string | null }>`
        SELECT max(sequence) AS sequence FROM ${events} WHERE name = ${name}`
      const event: LabelEvent = {
        name,
        label,
        sequence: Number(last?.sequence ?? 0) + 1,
        from: current,
        version,
        at: now,
        ...remarks(move, "by", "reason")
      }
      yield* sql`INSERT INTO ${events} ${
        sql.insert({ name, sequence: event.sequence, label, document: JSON.stringify(event) })
      }`
      yield* sql`
        INSERT INTO ${labels} ${sql.insert({ name, label, version: version ?? null, written })}
        ON CONFLICT (name, label) DO UPDATE SET version = excluded.version, written = excluded.written`
      said()
      return event
    })

interface Documents {
  readonly document: string
}

/** What this store has written. */
const parse = <A>(rows: ReadonlyArray<Documents>): ReadonlyArray<A> =>
  rows.map(({ document }) => JSON.parse(document) as A)

const eventOf = ({ document }: Documents): LabelEvent => {
  const { from, version, ...event } = JSON.parse(document) as LabelEvent
  // What is undefined is not in JSON.
  return { ...event, from, version }
}

const questions = (database: Database, run: Run) => {
  const { dialect, events, experiments, scores, sql, versions } = database
  const select = sql`SELECT name, version, hash, document FROM ${versions}`
  return {
    version: (name, version) =>
      Effect.flatMap(
        run(sql<VersionRow>`${select} WHERE name = ${name} AND version = ${version}`),
        ([row]) => row === undefined ? Effect.undefined : served(row)
      ),

    versions: (name) =>
      Effect.flatMap(
        run(sql<VersionRow>`${select} WHERE name = ${name} ORDER BY version`),
        (rows) => Effect.forEach(rows, served)
      ),

    history: (name) =>
      Effect.map(
        run(sql<Documents>`SELECT document FROM ${events} WHERE name = ${name} ORDER BY sequence`),
        (rows) => rows.map(eventOf)
      ),

    experiments: (name) =>
      Effect.map(
        run(sql<Documents>`
          SELECT e.document FROM ${experiments} AS e WHERE ${name === undefined ? sql`1 = 1` : sql`e.name = ${name}`}
          AND NOT EXISTS (
            SELECT 1 FROM ${experiments} AS later
            WHERE later.name = e.name AND later.id = e.id AND later.revision > e.revision
          ) ORDER BY e.name, e.id`),
        (rows) => parse<ExperimentRecord>(rows)
      ),

    experimentHistory: (name, id) =>
      Effect.map(
        run(sql<Documents>`
          SELECT document FROM ${experiments} WHERE name = ${name} AND id = ${id} ORDER BY revision`),
        (rows) => parse<ExperimentRecord>(rows)
      ),

    score: (records) => {
      const column = (name: string, type: "text" | "integer" | "real") =>
        sql.literal(`CAST(e.value ->> '${name}' AS ${type === "text" ? "text" : dialect[type]})`)
      return run(sql`
        INSERT INTO ${scores} (id, scored_at, name, version, experiment, variant, metric, value, document)
        SELECT ${column("id", "text")}, ${column("at", "integer")}, ${column("name", "text")}, ${
        column("version", "integer")
      }, ${column("experiment", "text")}, ${column("variant", "text")}, ${column("metric", "text")}, ${
        column("value", "real")
      }, ${column("document", "text")}
        FROM ${dialect.elements(sql, JSON.stringify(records.map(scoreRow)))} AS e WHERE true
        ON CONFLICT (id) DO NOTHING`)
    },

    scores: (query, limit) =>
      Effect.map(
        run(sql<Documents>`
          SELECT document FROM ${scores} WHERE ${asking(database, query)} ORDER BY scored_at DESC, id LIMIT ${limit}`),
        (rows) => parse<Score>(rows)
      ),

    scoreTotals: (query) =>
      Effect.map(
        run(sql<TotalRow>`
          SELECT version, experiment, variant, metric, count(*) AS count, min(mean) AS mean,
            sum((value - mean) * (value - mean)) AS squares, min(value) AS least, max(value) AS most
          FROM (
            SELECT version, experiment, variant, metric, value,
              avg(value) OVER (PARTITION BY version, experiment, variant, metric) AS mean
            FROM ${scores} WHERE ${asking(database, query)}
          ) AS asked
          GROUP BY version, experiment, variant, metric`),
        (rows) => rows.map(totalOf).toSorted(inOrder)
      ),

    pruneScores: (before) => run(prune(database, before))
  } satisfies Partial<Home>
}

const scoreRow = (score: Score) => ({
  id: score.id,
  at: score.at,
  name: score.prompt.name,
  version: score.prompt.version,
  experiment: score.prompt.experiment ?? "",
  variant: score.prompt.variant ?? "",
  metric: score.metric,
  value: score.value,
  document: JSON.stringify(score)
})

const asking = (
  { dialect, sql }: Database,
  { experiment, from, metric, name, until, versions }: ScoreQuery
): Fragment =>
  sql.and([
    sql`name = ${name}`,
    ...versions === undefined ? [] : [sql`version IN (
      SELECT CAST(CAST(v.value AS text) AS bigint) FROM ${dialect.elements(sql, JSON.stringify(versions))} AS v
    )`],
    ...metric === undefined ? [] : [sql`metric = ${metric}`],
    ...experiment === undefined ? [] : [sql`experiment = ${experiment}`],
    ...from === undefined ? [] : [sql`scored_at >= ${from}`],
    ...until === undefined ? [] : [sql`scored_at < ${until}`]
  ])

interface TotalRow {
  readonly version: number | string
  readonly experiment: string
  readonly variant: string
  readonly metric: string
  readonly count: number | string
  readonly mean: number
  readonly squares: number
  readonly least: number
  readonly most: number
}

const totalOf = (row: TotalRow): ScoreTotal => ({
  version: Number(row.version),
  experiment: row.experiment === "" ? undefined : row.experiment,
  variant: row.variant === "" ? undefined : row.variant,
  metric: row.metric,
  count: Number(row.count),
  mean: Number(row.mean),
  squares: Number(row.squares),
  least: Number(row.least),
  most: Number(row.most)
})

/** Few enough that nobody waits for long. */
const rowsAtOnce = 500

const prune = ({ dialect, scores, sql }: Database, before: number): Effect.Effect<number, SqlError> => {
  let forgotten = 0
  return Effect.map(
    Effect.repeat(
      sql`
        DELETE FROM ${scores} WHERE id IN (
          SELECT id FROM ${scores} WHERE scored_at < ${before} LIMIT ${rowsAtOnce} ${sql.literal(dialect.skipLocked)}
        ) RETURNING 1 AS forgotten`.pipe(Effect.tap((rows) =>
        Effect.sync(() => {
          forgotten += rows.length
        })
      )),
      { until: (rows) => rows.length < rowsAtOnce }
    ),
    () => forgotten
  )
}

const forgetting = (database: Database, keep: number): Effect.Effect<unknown> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => prune(database, now - keep)).pipe(
    Effect.catchCause((cause) => reportUnhandled("PromptStore could not forget old scores", cause)),
    Effect.repeat(Schedule.spaced("1 hour"))
  )

const changes = (
  { revision, sql }: Database,
  run: Run,
  pubsub: PubSub.PubSub<void>,
  pollEvery: Duration.Duration
): Stream.Stream<void> => {
  const ask = run(sql<{ readonly n: number | string }>`SELECT n FROM ${revision}`).pipe(
    Effect.map(([row]): string => String(row?.n)),
    // A server that does not answer is none.
    Effect.timeout("10 seconds"),
    Effect.orElseSucceed(() => "nothing")
  )
  return Stream.unwrap(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(pubsub)
    // Before the first signal: what changes afterwards is not missed.
    let seen = yield* ask
    const polled = Stream.fromEffectRepeat(
      Effect.map(Effect.andThen(Effect.sleep(pollEvery), ask), (now) => {
        const changed = now !== seen
        seen = now
        return changed
      })
    ).pipe(Stream.filter((changed) => changed), Stream.map((): void => undefined))
    return Stream.concat(Stream.succeed(undefined), Stream.merge(Stream.fromSubscription(subscription), polled))
  }))
}
