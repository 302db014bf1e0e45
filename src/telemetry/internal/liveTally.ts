/**
 * What is counted, all in all and by time: rings of buckets, so that counting is a few additions and old counts need no clearing.
 */
import * as Schema from "effect/Schema"
import * as Money from "../../core/Money.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

export const Counts = Schema.Struct({
  /** Calls that began. */
  calls: Count,
  /** Calls that ended with an answer. */
  succeeded: Count,
  /** Calls that ended with an error or a defect. */
  failed: Count,
  /** Calls that were interrupted, which is no failure. */
  interrupted: Count,
  /** Requests that were sent to providers. */
  requests: Count,
  /** How often the same was tried again. */
  retries: Count,
  /** How often another model was asked, since one had failed or its answer would not do. */
  fallbacks: Count,
  /** How often a second request was sent beside the first. */
  hedges: Count,
  /** How often nothing was sent: a circuit, a limit, a budget or a window said so. */
  rejected: Count,
  /** Calls that a cache spared a request of their own: `hit`, `stale` or `coalesced`. */
  cached: Count,
  /** Calls that passed a cache which did not have the answer. */
  missed: Count,
  /** Tokens of prompts. */
  inputTokens: Count,
  /** Tokens of answers, reasoning among them. */
  outputTokens: Count,
  /** What requests cost, as far as that is known, in micro-dollars. */
  cost: Money.MicroUsd,
  /** Requests that used tokens, or may have, and whose cost is not known. */
  unpriced: Count
})

export type Counts = typeof Counts.Type

/** The counts as they are counted. */
export class Tally {
  calls = 0
  succeeded = 0
  failed = 0
  interrupted = 0
  requests = 0
  retries = 0
  fallbacks = 0
  hedges = 0
  rejected = 0
  cached = 0
  missed = 0
  inputTokens = 0
  outputTokens = 0
  cost = 0
  unpriced = 0

  add(that: Tally): void {
    for (const field of fields) this[field] = Math.min(Number.MAX_SAFE_INTEGER, this[field] + that[field])
  }

  clear(): void {
    for (const field of fields) this[field] = 0
  }

  get counts(): Counts {
    return { ...this, cost: Money.MicroUsd.make(this.cost) }
  }
}

export type Field = keyof Counts

const fields = Object.keys(Counts.fields) as ReadonlyArray<Field>

/** Counts of the last while, in buckets of the same time. */
class Ring {
  readonly width: number
  private readonly buckets: ReadonlyArray<{ /** Which one it is, counted from 1970. */ index: number; tally: Tally }>

  constructor(width: number, size: number) {
    this.width = width
    this.buckets = Array.from({ length: size }, () => ({ index: Number.NEGATIVE_INFINITY, tally: new Tally() }))
  }

  at(now: number): Tally {
    const index = Math.floor(now / this.width)
    const bucket = this.buckets[this.place(index)]!
    if (bucket.index !== index) {
      bucket.index = index
      bucket.tally.clear()
    }
    return bucket.tally
  }

  /** The buckets up to a moment, the oldest first, each with the time at which it begins. */
  until(now: number): ReadonlyArray<readonly [at: number, tally: Tally]> {
    const last = Math.floor(now / this.width)
    return this.buckets.map((_, n) => {
      const index = last - this.buckets.length + 1 + n
      const bucket = this.buckets[this.place(index)]!
      return [index * this.width, bucket.index === index ? bucket.tally : none]
    })
  }

  private place(index: number): number {
    return ((index % this.buckets.length) + this.buckets.length) % this.buckets.length
  }
}

const none = new Tally()

/** Counts since the beginning, of the last minute, and by the minute of the last hour. */
export class Series {
  private readonly all = new Tally()
  private readonly seconds = new Ring(1_000, 60)
  private readonly hour = new Ring(60_000, 60)
  private readonly startedAt: number

  constructor(startedAt: number) {
    this.startedAt = startedAt
  }

  count(now: number, field: Field, by = 1): void {
    for (const tally of [this.all, this.seconds.at(now), this.hour.at(now)]) {
      tally[field] = Math.min(Number.MAX_SAFE_INTEGER, tally[field] + by)
    }
  }

  get total(): Counts {
    return this.all.counts
  }

  lastMinute(now: number): Counts {
    const sum = new Tally()
    for (const [, tally] of this.seconds.until(now)) sum.add(tally)
    return sum.counts
  }

  /** By the minute, the oldest first, as far back as it has counted; the last one is not over. */
  minutes(now: number): ReadonlyArray<Counts & { readonly at: number }> {
    return this.hour.until(now).flatMap(([at, tally]) =>
      at + this.hour.width <= this.startedAt ? [] : [{ at, ...tally.counts }]
    )
  }
}
