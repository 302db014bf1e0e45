/**
 * Token buckets in process, which are forgotten once they are full again: a bucket that nobody has taken from for a minute is
 * the same as none, and there may be one for each tenant.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RateLimiterStore } from "effect/persistence/RateLimiter"

/** What is asked of a store. */
export type BucketStore = Pick<RateLimiterStore["Service"], "tokenBucket">

interface Bucket {
  tokens: number
  lastRefill: number
  /** By the latest who asked. */
  limit: number
  refillMillis: number
}

/** How many buckets there may be before full ones are looked for. */
const manyBuckets = 1_000

export class MemoryBuckets implements BucketStore {
  private readonly buckets = new Map<string, Bucket>()
  private sweepAt = manyBuckets

  /** How many buckets are remembered. */
  get size(): number {
    return this.buckets.size
  }

  readonly tokenBucket: BucketStore["tokenBucket"] = ({ allowOverflow, key, limit, refillRate, tokens }) =>
    Effect.clockWith((clock) =>
      Effect.sync(() => {
        const now = clock.currentTimeMillisUnsafe()
        const bucket = this.bucket(key, limit, Duration.toMillis(refillRate), now)
        refill(bucket, now)
        const left = bucket.tokens - tokens
        // What is given back to a bucket that has filled up since is lost.
        if (allowOverflow || left >= 0) bucket.tokens = Math.min(limit, left)
        return [left, Math.max(0, now - bucket.lastRefill)] as const
      })
    )

  private bucket(key: string, limit: number, refillMillis: number, now: number): Bucket {
    const known = this.buckets.get(key)
    if (known !== undefined) {
      known.limit = limit
      known.refillMillis = refillMillis
      return known
    }
    if (this.buckets.size >= this.sweepAt) this.sweep(now)
    const bucket: Bucket = { tokens: limit, lastRefill: now, limit, refillMillis }
    this.buckets.set(key, bucket)
    return bucket
  }

  private sweep(now: number): void {
    for (const [key, bucket] of this.buckets) {
      refill(bucket, now)
      if (bucket.tokens >= bucket.limit) this.buckets.delete(key)
    }
    this.sweepAt = Math.max(manyBuckets, this.buckets.size * 2)
  }
}

const refill = (bucket: Bucket, now: number): void => {
  const { limit, refillMillis } = bucket
  const ticks = Math.floor((now - bucket.lastRefill) / refillMillis)
  if (ticks > 0) {
    bucket.tokens = Math.min(limit, bucket.tokens + ticks)
    bucket.lastRefill += ticks * refillMillis
  }
  if (bucket.tokens >= limit) bucket.lastRefill = now
}
