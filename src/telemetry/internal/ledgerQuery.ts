/**
 * From what one asks to what a home is asked, and from its groups to rows.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import {
  addSums,
  type Condition,
  type Cursor,
  type Dimension,
  type Entry,
  LedgerStore,
  type LedgerStoreError,
  type Measuring,
  noSums,
  type RankedValue,
  rankOf,
  type Span,
  type SpendGroup,
  type Sums
} from "./ledgerStore.ts"

type Values = string | ReadonlyArray<string>

/**
 * Which operations, by their fields: one of the given values. Without a field it does not matter.
 *
 * **Details**
 *
 * `outcome` is `success`, `interrupted`, `defect` or the tag of an error. `provider` and `model` are those that a request was sent to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Where {
  readonly tenant?: Values | undefined
  readonly user?: Values | undefined
  readonly feature?: Values | undefined
  readonly promptVersion?: Values | undefined
  readonly provider?: Values | undefined
  readonly model?: Values | undefined
  readonly outcome?: Values | undefined
  readonly requestId?: Values | undefined
  readonly operationId?: Values | undefined
  readonly tags?: { readonly [name: string]: Values } | undefined
}

/**
 * The lengths of time buckets. A week begins on Monday.
 *
 * @category models
 * @since 0.1.0
 */
export type Bucket = "minute" | "hour" | "day" | "week" | "month"

/**
 * Which operations, and how they are grouped.
 *
 * @category options
 * @since 0.1.0
 */
export interface Query<By extends ReadonlyArray<Dimension> = ReadonlyArray<Dimension>> {
  /** From when on: a date, text that is one, or milliseconds since 1970. An operation belongs to the time it began at. */
  readonly from: DateTime.DateTime.Input
  /** Until before when. Default: now, and including it. */
  readonly to?: DateTime.DateTime.Input | undefined
  /** What to tell apart. Default: nothing. */
  readonly by?: By | undefined
  /** What to cut the time into, 10,000 pieces at most. Default: one piece. */
  readonly bucket?: Bucket | undefined
  /** Where days begin: the name of a time zone. Default: `UTC`. */
  readonly timeZone?: string | undefined
  /** Which operations. Default: all of them. */
  readonly where?: Where | undefined
}

/**
 * Which operations or requests, how they are grouped, and what is told of how long they took.
 *
 * @category options
 * @since 0.1.0
 */
export interface LatencyQuery<
  By extends ReadonlyArray<Dimension> = ReadonlyArray<Dimension>,
  Percentiles extends ReadonlyArray<number> = ReadonlyArray<number>
> extends Query<By> {
  /** Above 0, at most 100, to three decimals. Default: 50, 95 and 99. */
  readonly percentiles?: Percentiles | undefined
}

/**
 * What a group of operations used and cost.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpendRow<By extends Dimension = Dimension> extends Sums {
  /** The values of the dimensions; `undefined` where an operation has none. */
  readonly by: { readonly [_ in By]: string | undefined }
  /** When the bucket begins, or, without one, `from`; in milliseconds since 1970. */
  readonly start: number
  /** How many requests were sent. */
  readonly requests: number
  /** How many operations there were. One that asked two models is in the rows of both. */
  readonly operations: number
  /** How they ended. */
  readonly outcomes: { readonly [outcome: string]: number }
}

/**
 * How long a group of operations or requests took, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface LatencyRow<By extends Dimension = Dimension, Percentile extends number = number> {
  /** The values of the dimensions; `undefined` where an operation has none. */
  readonly by: { readonly [_ in By]: string | undefined }
  /** When the bucket begins, or, without one, `from`; in milliseconds since 1970. */
  readonly start: number
  /** How many there were. */
  readonly count: number
  /** Over all. */
  readonly total: { readonly [_ in `p${Percentile}`]: number }
  /** Until the first content part, of those that had one, if any had. */
  readonly firstPart: { readonly [_ in `p${Percentile}`]: number } | undefined
}

/**
 * Which operations, and how many at once.
 *
 * @category options
 * @since 0.1.0
 */
export interface FindQuery {
  /** From when on. Default: always. */
  readonly from?: DateTime.DateTime.Input | undefined
  /** Until before when. Default: always. */
  readonly to?: DateTime.DateTime.Input | undefined
  /** Which operations. Default: all of them. */
  readonly where?: Where | undefined
  /** The `next` of the page before. */
  readonly after?: Cursor | undefined
  /** How many, at most 10,000. Default: 100. */
  readonly limit?: number | undefined
}

/**
 * Some operations, and where to go on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly entries: ReadonlyArray<Entry>
  /** Where the next page begins, if there is one. */
  readonly next: Cursor | undefined
}

export const spend = <const By extends ReadonlyArray<Dimension> = []>(
  query: Query<By>
): Effect.Effect<ReadonlyArray<SpendRow<By[number]>>, LedgerStoreError, LedgerStore> =>
  Effect.gen(function*() {
    const spans = spansOf("spend", query, yield* Clock.currentTimeMillis)
    const by = query.by ?? []
    const store = yield* LedgerStore
    const groups = yield* store.spend({ spans, by, where: conditions(query.where) })
    return [...Map.groupBy(groups, groupKey).values()].map((members): SpendRow<By[number]> => {
      const outcomes: Record<string, number> = {}
      for (const { operations, outcome } of members) outcomes[outcome] = (outcomes[outcome] ?? 0) + operations
      const { cost, estimated, unmetered, unpriced, usage } = members.reduce(addSums, noSums)
      return {
        by: keysOf(by, members[0]!),
        start: members[0]!.start,
        cost,
        estimated,
        unpriced,
        unmetered,
        usage,
        requests: members.reduce((sum, { requests }) => sum + requests, 0),
        operations: members.reduce((sum, { operations }) => sum + operations, 0),
        outcomes
      }
    }).toSorted((a, b) => a.start - b.start || b.cost - a.cost || compareKeys(a.by, b.by))
  })

export const latencyOf =
  <D extends Dimension>(of: Measuring["of"]) =>
  <const By extends ReadonlyArray<D> = [], const P extends ReadonlyArray<number> = [50, 95, 99]>(
    query: LatencyQuery<By, P>
  ): Effect.Effect<ReadonlyArray<LatencyRow<By[number], P[number]>>, LedgerStoreError, LedgerStore> =>
    Effect.gen(function*() {
      const name = of === "operations" ? "latency" : "requestLatency"
      const spans = spansOf(name, query, yield* Clock.currentTimeMillis)
      const by = query.by ?? []
      const percentiles: ReadonlyArray<number> = query.percentiles ?? [50, 95, 99]
      const thousandths = percentiles.map((percentile) => thousandthsOf(name, percentile))
      const store = yield* LedgerStore
      const measure = (until: Measuring["until"]) =>
        Effect.map(
          store.latency({ spans, by, where: conditions(query.where), of, until, thousandths }),
          (values) => Map.groupBy(values, groupKey)
        )
      const [totals, firstParts] = yield* Effect.all([measure("end"), measure("firstPart")])
      const read = (values: ReadonlyArray<RankedValue>) => {
        const { count } = values[0]!
        const entries = percentiles.map((percentile, n) => {
          const rank = rankOf(thousandths[n]!, count)
          return [`p${percentile}`, values.find((value) => value.rank === rank)!.value]
        })
        // One field a percentile.
        return Object.fromEntries(entries) as LatencyRow<By[number], P[number]>["total"]
      }
      return [...totals].map(([key, values]): LatencyRow<By[number], P[number]> => {
        const firstPart = firstParts.get(key)
        return {
          by: keysOf(by, values[0]!),
          start: values[0]!.start,
          count: values[0]!.count,
          total: read(values),
          firstPart: firstPart === undefined ? undefined : read(firstPart)
        }
      }).toSorted((a, b) => a.start - b.start || b.count - a.count || compareKeys(a.by, b.by))
    })

const defaultLimit = 100
const maxLimit = 10_000

export const find = (query: FindQuery = {}): Effect.Effect<Page, LedgerStoreError, LedgerStore> =>
  Effect.gen(function*() {
    const limit = query.limit ?? defaultLimit
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= maxLimit)) {
      throw new RangeError(`Ledger.find: \`limit\` must be a whole number from 1 to ${maxLimit}, got ${limit}`)
    }
    const store = yield* LedgerStore
    const found = yield* store.find({
      from: query.from === undefined ? -maxTime : millisOf("find: `from`", query.from),
      to: query.to === undefined ? maxTime : millisOf("find: `to`", query.to),
      where: conditions(query.where),
      after: query.after,
      limit: limit + 1
    })
    const entries = found.slice(0, limit)
    const last = entries.at(-1)?.receipt
    return {
      entries,
      next: found.length > limit && last !== undefined
        ? { startedAt: last.startedAt, operationId: last.operationId }
        : undefined
    }
  })

export const prune = (options: {
  readonly before: DateTime.DateTime.Input
}): Effect.Effect<number, LedgerStoreError, LedgerStore> =>
  Effect.suspend(() => {
    const before = millisOf("prune: `before`", options.before)
    return Effect.flatMap(LedgerStore, (store) => store.prune(before))
  })

/** The last millisecond of dates. */
const maxTime = 8.64e15

const millisOf = (where: string, input: DateTime.DateTime.Input): number => {
  const time = DateTime.make(input)
  if (time._tag === "None") throw new RangeError(`Ledger.${where} is no time: ${String(input)}`)
  return DateTime.toEpochMillis(time.value)
}

const thousandthsOf = (name: string, percentile: number): number => {
  const thousandths = Math.round(percentile * 1_000)
  if (!(percentile > 0 && percentile <= 100 && thousandths / 1_000 === percentile)) {
    throw new RangeError(
      `Ledger.${name}: \`percentiles\` must be above 0 and at most 100, to three decimals, got ${percentile}`
    )
  }
  return thousandths
}

const maxBuckets = 10_000

/** The stretches of time of a query, of which those at its ends may be shorter than they are long. */
const spansOf = (
  name: string,
  { bucket, from: first, timeZone = "UTC", to: last }: Query,
  now: number
): ReadonlyArray<Span> => {
  const from = millisOf(`${name}: \`from\``, first)
  const to = last === undefined ? now + 1 : millisOf(`${name}: \`to\``, last)
  if (bucket === undefined) return [{ start: from, from, to }]
  const zone = DateTime.zoneFromString(timeZone)
  if (zone._tag === "None") {
    throw new RangeError(
      `Ledger.${name}: \`timeZone\` must be the name of a time zone, got ${JSON.stringify(timeZone)}`
    )
  }
  const startOf = (millis: number): number =>
    DateTime.toEpochMillis(
      DateTime.startOf(DateTime.setZone(DateTime.makeUnsafe(millis), zone.value), bucket, { weekStartsOn: 1 })
    )
  const spans: Array<Span> = []
  for (let start = startOf(from); start < to;) {
    const next = after(start, bucket, zone.value)
    spans.push({ start, from: Math.max(start, from), to: Math.min(next, to) })
    if (spans.length > maxBuckets) {
      throw new RangeError(`Ledger.${name}: from \`from\` to \`to\` are more than ${maxBuckets} buckets of a ${bucket}`)
    }
    start = next
  }
  return spans
}

const after = (start: number, bucket: Bucket, zone: DateTime.TimeZone): number => {
  if (bucket === "minute") return start + 60_000
  // An hour that the clock goes through twice is two.
  if (bucket === "hour") return start + 3_600_000
  const zoned = DateTime.setZone(DateTime.makeUnsafe(start), zone)
  return DateTime.toEpochMillis(
    DateTime.add(zoned, bucket === "day" ? { days: 1 } : bucket === "week" ? { weeks: 1 } : { months: 1 })
  )
}

const conditions = ({ tags, ...fields }: Where = {}): ReadonlyArray<Condition> => {
  const named = Object.entries(fields).concat(
    Object.entries(tags ?? {}).map(([tag, values]) => [`tag:${tag}`, values])
  )
  return named.flatMap(([field, values]): ReadonlyArray<Condition> =>
    values === undefined ? [] : [{
      // The names of a `Where`, or a tag.
      field: field as Condition["field"],
      values: typeof values === "string" ? [values] : values
    }]
  )
}

const groupKey = ({ keys, start }: SpendGroup | RankedValue): string => JSON.stringify([start, ...keys])

const keysOf = <By extends Dimension>(
  by: ReadonlyArray<By>,
  { keys }: SpendGroup | RankedValue
): SpendRow<By>["by"] =>
  // One field a dimension.
  Object.fromEntries(by.map((dimension, n) => [dimension, keys[n] ?? undefined])) as SpendRow<By>["by"]

const compareKeys = (a: object, b: object): number => {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
  return left < right ? -1 : left > right ? 1 : 0
}
