/**
 * What the homes of prompts have in common: which questions are legal, and what becomes of them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Stream from "effect/Stream"
import { PromptReference } from "../../core/PromptReference.ts"
import * as Version from "../PromptVersion.ts"
import {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
} from "./store.ts"

export type Operation = PromptStoreError["operation"]

/** What a home does with a question that is legal. What it fails with otherwise is an outage. */
export interface Home {
  readonly snapshot: Effect.Effect<Snapshot, unknown>
  readonly changes: Stream.Stream<void>
  readonly version: (name: string, version: number) => Effect.Effect<Version.PromptVersion | undefined, unknown>
  readonly versions: (name: string) => Effect.Effect<ReadonlyArray<Version.PromptVersion>, unknown>
  readonly publish: (draft: Version.Draft, hash: string, now: number) => Effect.Effect<Version.PromptVersion, unknown>
  readonly adopt: (version: Version.PromptVersion) => Effect.Effect<Version.PromptVersion, unknown>
  readonly label: (move: LabelMove, now: number) => Effect.Effect<LabelEvent, unknown>
  readonly history: (name: string) => Effect.Effect<ReadonlyArray<LabelEvent>, unknown>
  readonly experiments: (name: string | undefined) => Effect.Effect<ReadonlyArray<ExperimentRecord>, unknown>
  readonly saveExperiment: (save: ExperimentSave, now: number) => Effect.Effect<ExperimentRecord, unknown>
  readonly experimentHistory: (name: string, id: string) => Effect.Effect<ReadonlyArray<ExperimentRecord>, unknown>
  readonly score: (scores: ReadonlyArray<Score>) => Effect.Effect<void, unknown>
  readonly scores: (query: ScoreQuery, limit: number) => Effect.Effect<ReadonlyArray<Score>, unknown>
  readonly scoreTotals: (query: ScoreQuery) => Effect.Effect<ReadonlyArray<ScoreTotal>, unknown>
  readonly pruneScores: (before: number) => Effect.Effect<number, unknown>
}

/** A store in a home. */
export const makeStore = (home: Home): PromptStore["Service"] =>
  PromptStore.of({
    snapshot: asked("snapshot", home.snapshot),
    changes: home.changes,
    version: (name, version) => asked("version", home.version(name, version)),
    versions: (name) => asked("versions", home.versions(name)),
    publish: (draft) =>
      Effect.flatMap(
        legal("publish", draft.name, draftOf, draft),
        (draft) =>
          Effect.flatMap(
            Version.hash(draft.content),
            (hash) => stamped((now) => changed("publish", home.publish(draft, hash, now)))
          )
      ),
    adopt: (version) =>
      Effect.flatMap(
        legal("adopt", version.name, versionOf, version),
        (version) =>
          Effect.flatMap(Version.hash(version.content), (hash) =>
            hash === version.hash
              ? changed("adopt", home.adopt(version))
              : Effect.fail(
                new PromptRefused({
                  operation: "adopt",
                  reason: "Hash",
                  name: version.name,
                  problem: `the hash of version ${version.version} is not that of its content`,
                  remedy: "Take the version from where it was published, as it is"
                })
              ))
      ),
    label: (move) =>
      Effect.flatMap(
        legal("label", move.name, moveOf, move),
        () => stamped((now) => changed("label", home.label(move, now)))
      ),
    history: (name) => asked("history", home.history(name)),
    experiments: (name) => asked("experiments", home.experiments(name)),
    saveExperiment: (save) =>
      Effect.flatMap(
        legal("saveExperiment", save.name, saveOf, save),
        () => stamped((now) => changed("saveExperiment", home.saveExperiment(save, now)))
      ),
    experimentHistory: (name, id) => asked("experimentHistory", home.experimentHistory(name, id)),
    score: (scores) =>
      scores.length === 0 ? Effect.void : Effect.flatMap(
        legal("score", scores[0]!.prompt.name, scoresOf, scores),
        (scores) => refusable("score", home.score(scores))
      ),
    scores: ({ limit = 1_000, ...query }) =>
      Number.isSafeInteger(limit) && limit >= 1
        ? asked("scores", home.scores(query, limit))
        : Effect.die(
          new RangeError(`PromptStore.scores: \`limit\` must be a whole number of at least 1, got ${limit}`)
        ),
    scoreTotals: (query) => asked("scoreTotals", home.scoreTotals(query)),
    pruneScores: (before) => refusable("pruneScores", home.pruneScores(before))
  })

const stamped = <A, E>(step: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.currentTimeMillis, step)

const asked = <A>(operation: Operation, step: Effect.Effect<A, unknown>): Effect.Effect<A, PromptStoreError> =>
  Effect.mapError(step, (cause) => outage(operation, cause))

const refusable = <A>(
  operation: Operation,
  step: Effect.Effect<A, unknown>
): Effect.Effect<A, PromptStoreError | PromptRefused> =>
  Effect.mapError(step, (cause) => cause instanceof PromptRefused ? cause : outage(operation, cause))

const changed = <A>(
  operation: Operation,
  step: Effect.Effect<A, unknown>
): Effect.Effect<A, PromptStoreError | PromptConflict | PromptRefused> =>
  Effect.mapError(
    step,
    (cause) => cause instanceof PromptConflict || cause instanceof PromptRefused ? cause : outage(operation, cause)
  )

export const outage = (operation: Operation, cause: unknown): PromptStoreError =>
  cause instanceof PromptStoreError ? cause : new PromptStoreError({ operation, cause })

// What is written is checked as it would be when it is read again.

/** How long what people write about a change may be, in UTF-16 code units. */
export const maxRemark = 2_000

/** How much a version or a document may be, in UTF-16 code units of JSON: some times more than any window of a model. */
export const maxDocument = 4_000_000

const Remark = Schema.String.check(Schema.isMaxLength(maxRemark))

/** Postgres has no text with a zero in it, and nobody has half a character. */
const Key = Schema.String.check(
  Schema.isMinLength(1),
  Schema.isMaxLength(256),
  Schema.makeFilter((text) => text.isWellFormed() && !text.includes("\0"), {
    expected: "well-formed text without the character U+0000"
  })
)

const Small = <S extends Schema.Top>(schema: S) =>
  schema.check(
    Schema.makeFilter((value) => JSON.stringify(value).length <= maxDocument, {
      expected: `at most ${maxDocument} characters of JSON`
    })
  )

const Move = Schema.Struct({
  name: Version.Name,
  label: Version.Label,
  version: Schema.UndefinedOr(Version.VersionNumber),
  from: Schema.optional(Schema.Union([Version.VersionNumber, Schema.Literal("nothing")])),
  by: Schema.optional(Remark),
  reason: Schema.optional(Remark)
})

const Save = Small(Schema.Struct({
  name: Version.Name,
  id: Version.Name,
  document: Schema.Json,
  from: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  by: Schema.optional(Remark),
  reason: Schema.optional(Remark)
}))

const ScoreRecord = Schema.Struct({
  id: Key,
  operationId: Key,
  prompt: Schema.Struct({
    ...PromptReference.fields,
    name: Version.Name,
    version: Version.VersionNumber,
    label: Schema.optionalKey(Key),
    experiment: Schema.optionalKey(Key),
    variant: Schema.optionalKey(Key)
  }),
  metric: Key,
  value: Schema.Finite,
  at: Schema.Int,
  by: Schema.optional(Remark),
  comment: Schema.optional(Remark)
})

// A field of a version that nobody knows is one that somebody misspelt.
const exactly = { onExcessProperty: "error" } as const

const draftOf = Schema.decodeUnknownEffect(Small(Version.Draft), exactly)
const versionOf = Schema.decodeUnknownEffect(Small(Version.PromptVersion), exactly)
const moveOf = Schema.decodeUnknownEffect(Move)
const saveOf = Schema.decodeUnknownEffect(Save)
const scoresOf = Schema.decodeUnknownEffect(Schema.Array(ScoreRecord))

const legal = <A>(
  operation: Operation,
  name: unknown,
  decode: (input: unknown) => Effect.Effect<A, Schema.SchemaError>,
  input: unknown
): Effect.Effect<A, PromptRefused> =>
  Effect.mapError(decode(input), ({ issue }) =>
    new PromptRefused({
      operation,
      reason: "Invalid",
      name: typeof name === "string" ? name.slice(0, 100) : "?",
      problem: describeIssue(issue),
      remedy: "Correct the field and ask again"
    }))

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** What is wrong and where, without what was there. Of a path, what `isName` denies is left out: a key of a record is a value. */
export const describeIssue = (issue: SchemaIssue.Issue, isName: (segment: string) => boolean = () => true): string =>
  issuesOf(issue).issues.map(({ message, path }) => {
    const at = pathOf(path).map((segment) => isName(segment) ? segment : "[...]")
    return at.length === 0 ? message : `${message} at ${at.join(".")}`
  }).join("; ")

export const pathOf = (
  path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
): ReadonlyArray<string> => (path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment))

/** What becomes of a draft. */
export type Publishing =
  | { readonly _tag: "Append"; readonly version: number }
  | { readonly _tag: "Repeat"; readonly version: number }

/** What becomes of a draft, where `last` is the last version and `same` the one with the number it names. */
export const publishing = (
  draft: Version.Draft,
  hash: string,
  last: { readonly version: number; readonly hash: string } | undefined,
  same: { readonly hash: string } | undefined
): Effect.Effect<Publishing, PromptConflict> => {
  const next = (last?.version ?? 0) + 1
  const { version } = draft
  if (version === undefined) {
    return Effect.succeed(
      last?.hash === hash ? { _tag: "Repeat", version: last.version } : { _tag: "Append", version: next }
    )
  }
  if (same !== undefined) {
    return same.hash === hash
      ? Effect.succeed({ _tag: "Repeat", version })
      : taken(draft.name, version)
  }
  return version === next ? Effect.succeed({ _tag: "Append", version }) : Effect.fail(
    new PromptConflict({
      name: draft.name,
      subject: "version",
      key: String(version),
      expected: "the next one",
      actual: `not: the next one is ${next}`
    })
  )
}

export const taken = (name: string, version: number): Effect.Effect<never, PromptConflict> =>
  Effect.fail(
    new PromptConflict({
      name,
      subject: "version",
      key: String(version),
      expected: "new, or the same",
      actual: "there, with another content"
    })
  )

/** Whether a label that points to `current` may be moved. `undefined`: it points there already. */
export const moving = (
  { from, label, name, version }: LabelMove,
  current: number | undefined,
  known: boolean
): Effect.Effect<void, PromptConflict | PromptRefused> => {
  if (from !== undefined && (from === "nothing" ? undefined : from) !== current) {
    return Effect.fail(
      new PromptConflict({
        name,
        subject: "label",
        key: label,
        expected: pointing(from === "nothing" ? undefined : from),
        actual: pointing(current)
      })
    )
  }
  return version === undefined || known ? Effect.void : Effect.fail(
    new PromptRefused({
      operation: "label",
      reason: "UnknownVersion",
      name,
      problem: `there is no version ${version}`,
      remedy: "Publish the version, and then move the label"
    })
  )
}

const pointing = (version: number | undefined): string =>
  version === undefined ? "pointing nowhere" : `pointing to version ${version}`

/** What a label that was never moved answers to being taken away. */
export const untouched = ({ label, name }: LabelMove, now: number): LabelEvent => ({
  name,
  label,
  sequence: 0,
  from: undefined,
  version: undefined,
  at: now
})

export const saving = ({ from, id, name }: ExperimentSave, current: number): Effect.Effect<void, PromptConflict> =>
  from === current ? Effect.void : Effect.fail(
    new PromptConflict({
      name,
      subject: "experiment",
      key: id,
      expected: `at revision ${from}`,
      actual: `at revision ${current}`
    })
  )

/** What a home that is only read answers. */
export const readOnly = (operation: Operation, name: string, remedy: string): Effect.Effect<never, PromptRefused> =>
  Effect.fail(
    new PromptRefused({ operation, reason: "ReadOnly", name, problem: "this store is only for reading", remedy })
  )

/** Remarks that are there. */
export const remarks = <K extends string>(
  record: { readonly [Key in K]?: string | undefined },
  ...keys: ReadonlyArray<K>
): { readonly [Key in K]?: string } => {
  const said: { [Key in K]?: string } = {}
  for (const key of keys) if (record[key] !== undefined) said[key] = record[key]
  return said
}

/** Entries, in the order of their names. */
export const byName = (entries: Iterable<Entry>): ReadonlyMap<string, Entry> =>
  new Map(
    Array.from(entries, (entry) => [entry.name, entry] as const).toSorted(([one], [other]) => one < other ? -1 : 1)
  )
