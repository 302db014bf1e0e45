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

/** What a request has to do with waiting. */
export interface Parking {
  /** The failure of a request of which nothing may be sent for now, because others of its quota have been told to wait. */
  readonly refusal: (now: number) => LlmError.RateLimited | undefined
  /** Takes note of a failure that asks to wait. */
  readonly failed: (error: LlmError.ProviderError, now: number) => void
}

/** The parking of a request. What it shares a quota with is the provider's to say; by default, all others of it. */
export const parkingOf = <Request extends { readonly model: string }>(
  name: string,
  provider: { readonly quotaDomain?: ((request: Request) => string) | undefined },
  request: Request
): Parking => {
  const domain = () => provider.quotaDomain?.(request) ?? ""
  return {
    refusal: (now) => {
      const parked = parkedFor(provider, domain, now)
      return parked === 0
        ? undefined
        : new LlmError.RateLimited({
          provider: name,
          model: request.model,
          retryAfter: Duration.millis(parked),
          parked: true
        })
    },
    failed: (error, now) => park(provider, domain, error, now)
  }
}

/** For how many milliseconds nothing of a domain may be sent; 0 where something may. */
const parkedFor = (provider: object, domain: () => string, now: number): number => {
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
const park = (provider: object, domain: () => string, error: LlmError.ProviderError, now: number): void => {
  const retryAfter = LlmError.retryAfter(error)
  // What is not transient is about this one request: a larger one than the limit allows, say.
  if (retryAfter === undefined || !LlmError.isTransient(error)) return
  const until = now + Math.min(Duration.toMillis(retryAfter), longestMillis)
  let parked = domains.get(provider)
  if (parked === undefined) domains.set(provider, parked = new Map())
  const key = domain()
  parked.set(key, Math.max(until, parked.get(key) ?? 0))
}
