/**
 * What every home of prompts does: the words and the service that `PromptStore` hands on.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { PromptReference } from "../../core/PromptReference.ts"
import type { Draft, PromptVersion } from "../PromptVersion.ts"

/**
 * One prompt: its versions, and which of them its labels point to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly name: string
  /** All versions, by number, the first one first. */
  readonly versions: ReadonlyMap<number, PromptVersion>
  /** The number of the version that each label points to. It is one of `versions`. */
  readonly labels: ReadonlyMap<string, number>
  /** The experiments of the prompt, by their ids. */
  readonly experiments: ReadonlyMap<string, ExperimentRecord>
}

/**
 * Everything that prompts are served from, as it was at one moment. It never changes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  /** Changes whenever something that is served does; says nothing else. */
  readonly revision: string
  /** The prompts, by name. */
  readonly prompts: ReadonlyMap<string, Entry>
  /** What is wrong with what is kept, and how to mend it; the rest is served. */
  readonly problems: ReadonlyArray<Problem>
  /** Where a part of it could not be read anew: since when, in milliseconds since 1970. What was last read of that part is served. */
  readonly staleSince: number | undefined
}

/**
 * Something that is kept and cannot be served.
 *
 * **Details**
 *
 * It never quotes what a prompt says.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  /**
   * What is wrong.
   *
   * - `Unreadable`: it cannot be read, or not now.
   * - `Outside`: it is a link to somewhere else.
   * - `TooLarge`, `TooMany`: there is more than the limit.
   * - `Encoding`: it is not UTF-8.
   * - `Syntax`: it is no YAML, or has more aliases than are legal.
   * - `Invalid`: its fields are not those of what it should be.
   * - `Name`: it is in the wrong place, or not named as it should be.
   * - `Duplicate`: there are two of one number.
   * - `Missing`: the number before it is not there, or the version that a label points to.
   * - `Hash`: it was changed after it was published.
   * - `Unpinned`: its hash is not in the lock file, where it must be.
   * - `Conflict`: two stores have different versions of one number.
   */
  readonly kind:
    | "Unreadable"
    | "Outside"
    | "TooLarge"
    | "TooMany"
    | "Encoding"
    | "Syntax"
    | "Invalid"
    | "Name"
    | "Duplicate"
    | "Missing"
    | "Hash"
    | "Unpinned"
    | "Conflict"
  /** Where: a path below the folder of prompts, or a row of a table. */
  readonly source: string
  /** The line in the file, from 1. */
  readonly line?: number | undefined
  /** The column in the line, from 1. */
  readonly column?: number | undefined
  /** The prompt, where it is known. */
  readonly name?: string | undefined
  /** The version, where it is known. */
  readonly version?: number | undefined
  /** What is wrong, as a sentence. */
  readonly message: string
  /** How to mend it, as a sentence. */
  readonly remedy: string
  /** Whether what was there before it went wrong is served on. */
  readonly lastGood: boolean
}

/**
 * A label is to point to another version.
 *
 * @category models
 * @since 0.1.0
 */
export interface LabelMove {
  /** The prompt. */
  readonly name: string
  /** The label: `production`, `staging`, ... */
  readonly label: string
  /** The version it shall point to; `undefined` takes the label away. */
  readonly version: number | undefined
  /** The version it must point to for the move to happen, or `"nothing"` where there must be no such label. Default: whatever it is. */
  readonly from?: number | "nothing" | undefined
  /** Who moves it. */
  readonly by?: string | undefined
  /** Why. */
  readonly reason?: string | undefined
}

/**
 * A label was moved.
 *
 * @category models
 * @since 0.1.0
 */
export interface LabelEvent {
  readonly name: string
  readonly label: string
  /** Its place in the history of the prompt: a later event has a higher one. */
  readonly sequence: number
  /** Where it pointed to before; `undefined` where there was no such label. */
  readonly from: number | undefined
  /** Where it points to; `undefined` where it was taken away. */
  readonly version: number | undefined
  /** When, in milliseconds since 1970. */
  readonly at: number
  readonly by?: string | undefined
  readonly reason?: string | undefined
}

/**
 * An experiment as it is kept: a document whose meaning the store does not know, and its revision.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExperimentRecord {
  /** The prompt. */
  readonly name: string
  /** What tells it from other experiments with this prompt. */
  readonly id: string
  /** 1 when it is saved first, and one more each time. */
  readonly revision: number
  readonly document: Schema.Json
  /** When it was saved, in milliseconds since 1970. */
  readonly at: number
  readonly by?: string | undefined
  readonly reason?: string | undefined
}

/**
 * An experiment is to be saved.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExperimentSave {
  readonly name: string
  readonly id: string
  readonly document: Schema.Json
  /** The revision that it was read at, 0 where it is new: the save happens if it still has that one. */
  readonly from: number
  readonly by?: string | undefined
  readonly reason?: string | undefined
}

/**
 * How good one answer was, by one measure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Score {
  /** Made by whoever scores; unique: what is sent again changes nothing. */
  readonly id: string
  /** The operation whose answer it is about, as on its receipt. */
  readonly operationId: string
  /** What the answer was made with. */
  readonly prompt: PromptReference
  /** The measure: `helpful`, `stars`, ... */
  readonly metric: string
  /** A finite number. */
  readonly value: number
  /** When, in milliseconds since 1970. */
  readonly at: number
  readonly by?: string | undefined
  readonly comment?: string | undefined
}

/**
 * Which scores.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScoreQuery {
  /** The prompt. */
  readonly name: string
  /** The versions. Default: all. */
  readonly versions?: ReadonlyArray<number> | undefined
  /** The measure. Default: all. */
  readonly metric?: string | undefined
  /** The experiment. Default: any, or none. */
  readonly experiment?: string | undefined
  /** From this time on, in milliseconds since 1970. Default: all of the past. */
  readonly from?: number | undefined
  /** Until before this time. Default: no end. */
  readonly until?: number | undefined
}

/**
 * The scores of one version, in one variant, by one measure, summed up.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScoreTotal {
  readonly version: number
  readonly experiment: string | undefined
  readonly variant: string | undefined
  readonly metric: string
  /** How many there are: at least 1. */
  readonly count: number
  readonly mean: number
  /** The squares of the differences to the mean, summed up: divided by `count - 1` it is the variance of a sample. */
  readonly squares: number
  readonly least: number
  readonly most: number
}

/**
 * The store did not do what it was asked to, or did and could not say so. Asking again later may help.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptStoreError extends Schema.TaggedError<PromptStoreError>()("PromptStoreError", {
  /** What it was asked to do. */
  operation: Schema.Literals([
    "snapshot",
    "version",
    "versions",
    "publish",
    "adopt",
    "label",
    "history",
    "experiments",
    "saveExperiment",
    "experimentHistory",
    "score",
    "scores",
    "scoreTotals",
    "pruneScores",
    "pin"
  ]),
  cause: Schema.Defect()
}) {
  /**
   * Says what the store was asked to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `The prompt store could not be asked to ${asked[this.operation]}`
  }
}

const asked: { readonly [Operation in PromptStoreError["operation"]]: string } = {
  snapshot: "say what there is",
  version: "find a version",
  versions: "list versions",
  publish: "publish a version",
  adopt: "take over a version",
  label: "move a label",
  history: "list what became of labels",
  experiments: "list experiments",
  saveExperiment: "save an experiment",
  experimentHistory: "list what became of an experiment",
  score: "keep a score",
  scores: "list scores",
  scoreTotals: "sum up scores",
  pruneScores: "forget scores",
  pin: "pin versions"
}

/**
 * Somebody else was first: it is not as it was expected to be, and nothing was done. Read again, and decide anew.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptConflict extends Schema.TaggedError<PromptConflict>()("PromptConflict", {
  /** The prompt. */
  name: Schema.String,
  /** What is not as expected. */
  subject: Schema.Literals(["version", "label", "experiment"]),
  /** Which one: a number, a label, or the id of an experiment. */
  key: Schema.String,
  /** What was expected. */
  expected: Schema.String,
  /** What there is. */
  actual: Schema.String
}) {
  /**
   * Says what was expected, and what there is.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const { actual, expected, key, name, subject } = this
    return `${subject} ${JSON.stringify(key)} of the prompt ${
      JSON.stringify(name)
    } was expected to be ${expected}, but is ${actual}: read it again and decide anew`
  }
}

/**
 * The store does not do such a thing, and nothing was done.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptRefused extends Schema.TaggedError<PromptRefused>()("PromptRefused", {
  /** What it was asked to do. */
  operation: PromptStoreError.fields.operation,
  /**
   * Why not: the store is only for reading; there is no such version; a name, or another field, is not legal; the hash is not that of the
   * content.
   */
  reason: Schema.Literals(["ReadOnly", "UnknownVersion", "Invalid", "Hash"]),
  /** The prompt. */
  name: Schema.String,
  /** What is wrong, as a sentence. */
  problem: Schema.String,
  /** How to mend it, as a sentence. */
  remedy: Schema.String
}) {
  /**
   * Says what is wrong, and how to mend it.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the prompt store refuses to ${asked[this.operation]} of ${
      JSON.stringify(this.name)
    }: ${this.problem}. ${this.remedy}`
  }
}

/**
 * Where prompts are kept.
 *
 * **Gotchas**
 *
 * A question about a prompt that is not there is no failure: there are no versions, and no history.
 *
 * @category services
 * @since 0.1.0
 */
export class PromptStore extends Context.Service<PromptStore, {
  /** Everything that prompts are served from, as it is now. */
  readonly snapshot: Effect.Effect<Snapshot, PromptStoreError>
  /**
   * Emits at once, and then whenever the snapshot may have changed, or could not be read, or can be read again. It does not end, and does
   * not fail: the snapshot does.
   */
  readonly changes: Stream.Stream<void>
  /** A version, by its number. */
  readonly version: (name: string, version: number) => Effect.Effect<PromptVersion | undefined, PromptStoreError>
  /** All versions of a prompt, the first one first. */
  readonly versions: (name: string) => Effect.Effect<ReadonlyArray<PromptVersion>, PromptStoreError>
  /**
   * Appends a version, with the number that comes next. A draft that names its number must name that one. What is the last version
   * already, or the version of the number it names, is not published again: the answer is the version that is there.
   */
  readonly publish: (draft: Draft) => Effect.Effect<PromptVersion, PromptStoreError | PromptConflict | PromptRefused>
  /**
   * Takes over a version from another store, with its number, its time and its author, whether or not the numbers before it are there. A
   * version that is there already, with the same hash, stays as it is.
   */
  readonly adopt: (
    version: PromptVersion
  ) => Effect.Effect<PromptVersion, PromptStoreError | PromptConflict | PromptRefused>
  /**
   * Moves a label, if it still points to where it is said to, and records who did so, when and why. A label that points there already
   * stays, whatever `from` says, and nothing is recorded: the answer is what moved it there.
   */
  readonly label: (move: LabelMove) => Effect.Effect<LabelEvent, PromptStoreError | PromptConflict | PromptRefused>
  /** What became of the labels of a prompt, the first event first. */
  readonly history: (name: string) => Effect.Effect<ReadonlyArray<LabelEvent>, PromptStoreError>
  /** The experiments with a prompt, as they were saved last; of all prompts without a name. */
  readonly experiments: (name?: string) => Effect.Effect<ReadonlyArray<ExperimentRecord>, PromptStoreError>
  /** Saves an experiment, if nobody else has saved it in between. */
  readonly saveExperiment: (
    save: ExperimentSave
  ) => Effect.Effect<ExperimentRecord, PromptStoreError | PromptConflict | PromptRefused>
  /** An experiment as it was each time it was saved, the first time first. */
  readonly experimentHistory: (
    name: string,
    id: string
  ) => Effect.Effect<ReadonlyArray<ExperimentRecord>, PromptStoreError>
  /** Keeps scores, all of them or none. One whose id was seen before is left as it is. */
  readonly score: (scores: ReadonlyArray<Score>) => Effect.Effect<void, PromptStoreError | PromptRefused>
  /** Scores, the newest first, and at most `limit` of them (1,000 if nothing else is said). */
  readonly scores: (
    query: ScoreQuery & { readonly limit?: number | undefined }
  ) => Effect.Effect<ReadonlyArray<Score>, PromptStoreError>
  /** Scores, summed up by version, experiment, variant and measure. */
  readonly scoreTotals: (query: ScoreQuery) => Effect.Effect<ReadonlyArray<ScoreTotal>, PromptStoreError>
  /** Forgets the scores from before a time, in milliseconds since 1970, and says how many they were. */
  readonly pruneScores: (before: number) => Effect.Effect<number, PromptStoreError | PromptRefused>
}>()("effect-bulwark/prompts/PromptStore") {}
