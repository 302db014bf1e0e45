/**
 * What a provider's headers say is left, less what has been sent since, and more by what has flowed in since.
 *
 * A provider's bucket refills steadily, and what its headers call the reset is when it is *full* again: from empty to full it
 * has then gone through every level between. So where the limit is known, a call waits for what it needs, and not for the whole.
 * Of a provider that counts by fixed windows that is a guess, and too early: it costs a refusal, which says what to wait for.
 */
import type { RateLimit } from "../../core/Call.ts"

/** How much had been sent when a request was: what its response knows of. */
export interface Mark {
  readonly requests: number
  readonly tokens: number
  /** The tokens of the request itself. */
  readonly own: number
}

/** A wait that a provider's headers ask for, in milliseconds. */
export interface HeaderWait {
  readonly resource: "requests" | "tokens"
  readonly limit: number
  readonly millis: number
}

interface Known {
  /** How much may have been sent in all, by the count below, without what flows in. */
  upTo: number
  readonly mark: number
  readonly remaining: number
  readonly limit: number | undefined
  readonly seenAt: number
  /** How much flows in each millisecond; 0 where nobody knows. */
  readonly perMilli: number
  /** When it is whole again. */
  readonly until: number
}

// As for an account that has been told to wait: whatever one header says, the provider is asked again after an hour.
const longestMillis = 3_600_000

/** How many requests that were none are remembered, for responses that are overtaken by them. */
const mostReturned = 1_000

export class HeaderLimits {
  private readonly known = new Map<string, Known>()
  private requests = 0
  private tokens = 0
  /** Those that were counted and never reached the provider, since the latest response. */
  private returned: Array<Mark> = []
  /** Whether estimates are of use: from the first response on that counts tokens. */
  countsTokens = false

  /** A request is sent. */
  sent(tokens: number): Mark {
    this.requests++
    this.tokens += tokens
    return { requests: this.requests, tokens: this.tokens, own: tokens }
  }

  /** The request that was sent at a mark has not reached the provider. */
  unsent(mark: Mark): void {
    // What is known already from responses to later requests does not count it.
    for (const [resource, known] of this.known) {
      if (resource === "requests") {
        if (mark.requests > known.mark) known.upTo++
      } else if (mark.tokens > known.mark) known.upTo += mark.own
    }
    if (this.returned.length === mostReturned) this.returned.shift()
    this.returned.push(mark)
  }

  /** The response to the request that was sent at a mark has begun. */
  saw(limits: ReadonlyArray<RateLimit>, mark: Mark, now: number): void {
    if (this.returned.length > 0) this.returned = this.returned.filter((one) => one.requests > mark.requests)
    for (const { limit, remaining, resetsAt, resource } of limits) {
      const isTokens = resource.endsWith("tokens")
      if (!isTokens && resource !== "requests") continue
      if (isTokens) this.countsTokens = true
      if (remaining === undefined || resetsAt === undefined) continue
      const at = isTokens ? mark.tokens : mark.requests
      const before = this.known.get(resource)
      // Responses overtake each other: the one to the later request knows more.
      if (before !== undefined && before.mark > at && before.until > now) continue
      let upTo = at + remaining
      for (const { own } of this.returned) upTo += isTokens ? own : 1
      this.known.set(resource, {
        upTo,
        mark: at,
        remaining,
        limit,
        seenAt: now,
        perMilli: limit === undefined || limit <= remaining || resetsAt <= now
          ? 0
          : (limit - remaining) / (resetsAt - now),
        until: Math.min(resetsAt, now + longestMillis)
      })
    }
  }

  /** The longest wait for a request of so many tokens, so many of them for its answer, if there is one. */
  wait(now: number, tokens: number, output: number): HeaderWait | undefined {
    let wait: HeaderWait | undefined
    for (const [resource, known] of this.known) {
      const rest = known.until - now
      if (rest <= 0) {
        this.known.delete(resource)
        continue
      }
      const missing = this.missing(resource, known, tokens, output)
      if (missing <= 0) continue
      // A hair less, for sums of fractions.
      const millis = known.perMilli === 0
        ? rest
        : Math.min(rest, Math.ceil(known.seenAt + missing / known.perMilli - now - 1e-6))
      if (millis <= 0 || (wait !== undefined && wait.millis >= millis)) continue
      wait = {
        resource: resource === "requests" ? "requests" : "tokens",
        limit: known.limit ?? known.remaining,
        millis
      }
    }
    return wait
  }

  /** How much has to flow in, from when it was known on, before a request fits. */
  private missing(resource: string, known: Known, tokens: number, output: number): number {
    const most = known.limit ?? Infinity
    const some = (amount: number): number => Math.max(1, Math.min(amount, most))
    switch (resource) {
      case "requests":
        return 1 - (known.upTo - this.requests)
      case "tokens":
        return some(tokens) - (known.upTo - this.tokens)
      // How the estimates of all that was sent divide into these is not known: only what is used up counts.
      default:
        return known.remaining > 0 ? 0 : some(resource === "output-tokens" ? output : tokens - output)
    }
  }

  /** Whether anything is known that a call could have to wait for. */
  isSilent(): boolean {
    return this.known.size === 0
  }
}
