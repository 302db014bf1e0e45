/**
 * What the headers of a response say of a provider's limits.
 */
import type { RateLimit } from "../../core/Call.ts"
import { buckets, type HeaderFields, resetMillis } from "./retryAfter.ts"

const count = (value: string | undefined): number | undefined => {
  const trimmed = value?.trim()
  return trimmed !== undefined && /^\d+$/.test(trimmed) ? Number(trimmed) : undefined
}

/** One entry a resource of which the headers say how much is left. */
export const rateLimits = (headers: HeaderFields, now: number): ReadonlyArray<RateLimit> =>
  buckets(headers).filter(({ resource }) => resource !== "").map((bucket) => {
    const reset = resetMillis(headers[bucket.reset], now)
    return {
      resource: bucket.resource,
      limit: count(headers[bucket.limit]),
      remaining: count(headers[bucket.remaining]),
      resetsAt: reset === undefined ? undefined : now + reset
    }
  })
