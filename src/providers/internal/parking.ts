/**
 * Accounts that have been told to wait: what one call learns of `Retry-After` holds for all that share the quota.
 */
import * as Duration from "effect/Duration"
import * as LlmError from "../../core/LlmError.ts"

// Whoever is told to wait for a day should not be silent for a day on one server's word: it is asked again after an hour.
const longestMillis = 3_600_000

// Timers fire up to a millisecond early by the clock: whoever has waited is not sent back for that.
const timerSlack = 2

// By provider service, so that two layers of one name (two tests, two accounts) know nothing of each other.
const domains = new WeakMap<object, Map<string, number>>()

/** For how many milliseconds nothing of a domain may be sent; 0 where something may. */
export const parkedFor = (provider: object, domain: () => string, now: number): number => {
  const parked = domains.get(provider)
  if (parked === undefined) return 0
  const key = domain()
  const until = parked.get(key)
  if (until === undefined) return 0
  if (until - now > timerSlack) return until - now
  parked.delete(key)
  if (parked.size === 0) domains.delete(provider)
  return 0
}

/** Takes note of a failure that asks to wait. */
export const park = (provider: object, domain: () => string, error: LlmError.ProviderError, now: number): void => {
  const retryAfter = LlmError.retryAfter(error)
  // What is not transient is about this one request: a larger one than the limit allows, say.
  if (retryAfter === undefined || !LlmError.isTransient(error)) return
  const until = now + Math.min(Duration.toMillis(retryAfter), longestMillis)
  let parked = domains.get(provider)
  if (parked === undefined) domains.set(provider, parked = new Map())
  const key = domain()
  parked.set(key, Math.max(until, parked.get(key) ?? 0))
}
