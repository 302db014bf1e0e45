/**
 * What a home of the ledger is asked: plain data, so that all homes give the same answers.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Money from "../../core/Money.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"

/**
 * One operation as the ledger has it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The receipt, as it was closed, and with what its `attempts` cost, where that is known. */
  readonly receipt: Receipt.Receipt
}

/**
 * What spending is told apart by: `promptVersion` is the prompt on the receipt (`summarize@3`) or, where there is none, the tag of that
 * name, and `tag:team` is the tag `team`.
 *
 * @category models
 * @since 0.1.0
 */
export type Dimension = OperationDimension | "provider" | "model"

/**
 * What is the same for all requests of an operation.
 *
 * @category models
 * @since 0.1.0
 */
export type OperationDimension = "tenant" | "user" | "feature" | "promptVersion" | `tag:${string}`

/** Of an operation: a dimension, or one of the things that single ones are found by. */
export type OperationField = OperationDimension | "outcome" | "requestId" | "operationId"

/**
 * Must be one of some values.
 *
 * @category models
 * @since 0.1.0
 */
export interface Condition {
  /** What: a dimension, how it ended, or an id. */
  readonly field: OperationField | "provider" | "model"
  /** The values; whatever is missing is none of them. */
  readonly values: ReadonlyArray<string>
}

/**
 * A stretch of time, in milliseconds since 1970: from `from` until before `to`. Its name is `start`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Span {
  readonly start: number
  readonly from: number
  readonly to: number
}

/**
 * Which operations, and what they are told apart by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Grouping {
  /** Stretches of time that do not overlap: an operation belongs to the one that it began in. */
  readonly spans: ReadonlyArray<Span>
  readonly by: ReadonlyArray<Dimension>
  readonly where: ReadonlyArray<Condition>
}

/**
 * What requests used and cost together.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sums {
  /** What the requests cost of which that is known, those included of which it is `estimated`. */
  readonly cost: Money.MicroUsd
  /** Requests that do not say what they used, and whose `cost` is the most that it can be, since `Budget.enforce` kept account of them. */
  readonly estimated: number
  /** Requests that say what they used, of which the price is not known: `cost` leaves them out. */
  readonly unpriced: number
  /**
   * Requests that do not say what they used, and of which nobody kept account: most of them were refused. `cost` and `usage` leave them
   * out.
   */
  readonly unmetered: number
  /** Their tokens. */
  readonly usage: Required<Usage.Usage>
}

/**
 * A group of operations with one outcome.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpendGroup extends Sums {
  readonly start: number
  /** The values of the dimensions, in order. */
  readonly keys: ReadonlyArray<string | null>
  readonly outcome: string
  readonly operations: number
  readonly requests: number
}

/**
 * What is measured: all of it, or until the first part; of operations, or of each of their requests.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measuring extends Grouping {
  readonly of: "operations" | "requests"
  readonly until: "end" | "firstPart"
  /** Thousandths of a percent. */
  readonly thousandths: ReadonlyArray<number>
}

/**
 * The value that stands at a rank of a group of `count`, from 1 on, smallest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface RankedValue {
  readonly start: number
  readonly keys: ReadonlyArray<string | null>
  readonly count: number
  readonly rank: number
  readonly value: number
}

/**
 * Where a page ends: the next one begins after it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cursor {
  readonly startedAt: number
  readonly operationId: string
}

/**
 * A page of operations, newest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Paging {
  readonly from: number
  readonly to: number
  readonly where: ReadonlyArray<Condition>
  readonly after: Cursor | undefined
  readonly limit: number
}

/**
 * The store did not do what it was asked to, or did and could not say so.
 *
 * @category errors
 * @since 0.1.0
 */
export class LedgerStoreError extends Schema.TaggedError<LedgerStoreError>()("LedgerStoreError", {
  /** What it was asked to do. */
  operation: Schema.Literals(["write", "spend", "latency", "find", "prune"]),
  cause: Schema.Defect()
}) {
  /**
   * Says what the store was asked to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `The ledger's store could not ${this.operation}`
  }
}

/**
 * Where the ledger is.
 *
 * **Details**
 *
 * An operation is known by the millisecond it began in and its id. Writing one again changes nothing. A batch is written whole or not at all.
 *
 * @category services
 * @since 0.1.0
 */
export class LedgerStore extends Context.Service<LedgerStore, {
  readonly write: (entries: ReadonlyArray<Entry>) => Effect.Effect<void, LedgerStoreError>
  readonly spend: (grouping: Grouping) => Effect.Effect<ReadonlyArray<SpendGroup>, LedgerStoreError>
  readonly latency: (measuring: Measuring) => Effect.Effect<ReadonlyArray<RankedValue>, LedgerStoreError>
  readonly find: (paging: Paging) => Effect.Effect<ReadonlyArray<Entry>, LedgerStoreError>
  /** Forgets operations that began before a time, and says how many. */
  readonly prune: (before: number) => Effect.Effect<number, LedgerStoreError>
}>()("effect-bulwark/telemetry/LedgerStore") {}

export const noSums: Sums = {
  cost: Money.zero,
  estimated: 0,
  unpriced: 0,
  unmetered: 0,
  usage: { ...Usage.zero, inputCacheWrite1h: 0 }
}

/** What a request adds. */
export const sumsOf = ({ cost, costEstimated, usage }: Receipt.Attempt): Sums => ({
  cost: cost ?? Money.zero,
  estimated: costEstimated === true ? 1 : 0,
  unpriced: usage !== undefined && cost === undefined ? 1 : 0,
  unmetered: usage === undefined && cost === undefined ? 1 : 0,
  usage: { ...noSums.usage, ...usage }
})

export const addSums = (self: Sums, that: Sums): Sums => ({
  cost: Money.add(self.cost, that.cost),
  estimated: self.estimated + that.estimated,
  unpriced: self.unpriced + that.unpriced,
  unmetered: self.unmetered + that.unmetered,
  usage: { ...noSums.usage, ...Usage.add(self.usage, that.usage) }
})

/** The rank of a percentile among `count` values: the smallest that at least so many of them are not above. */
export const rankOf = (thousandths: number, count: number): number =>
  Number((BigInt(count) * BigInt(thousandths) + 99_999n) / 100_000n)

/** The tag that says which version of a prompt was used. */
export const promptVersionTag = "promptVersion"

/** Which version of a prompt was used: `summarize@3` where it came from a registry, else what the tag says. */
export const promptVersionOf = ({ attribution: { tags }, prompt }: Receipt.Receipt): string | undefined =>
  prompt !== undefined
    ? `${prompt.name}@${prompt.version}`
    : tags !== undefined && Object.hasOwn(tags, promptVersionTag)
    ? tags[promptVersionTag]
    : undefined

/** The tag that a dimension or field stands for, if it is one. */
export const tagOf = (field: Condition["field"]): string | undefined =>
  field.startsWith("tag:") ? field.slice("tag:".length) : undefined
