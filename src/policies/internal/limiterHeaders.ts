/**
 * What a provider's headers say is left, less what has been sent since.
 */
import type { RateLimit } from "../../core/Call.ts"

/** How much had been sent when a request was: what its response knows of. */
export interface Mark {
  readonly requests: number
  readonly tokens: number
}

/** A wait that a provider's headers ask for, in milliseconds. */
export interface HeaderWait {
  readonly resource: "requests" | "tokens"
  readonly limit: number
  readonly millis: number
}

interface Known {
  /** How much may have been sent in all, by the count below, until it is whole again. */
  readonly upTo: number
  readonly mark: number
  readonly limit: number | undefined
  readonly resetsAt: number
}

export class HeaderLimits {
  private readonly known = new Map<string, Known>()
  private requests = 0
  private tokens = 0
  /** Whether estimates are of use: from the first response on that counts tokens. */
  countsTokens = false

  /** A request is sent. */
  sent(tokens: number): Mark {
    this.requests++
    this.tokens += tokens
    return { requests: this.requests, tokens: this.tokens }
  }

  /** The response to the request that was sent at a mark has begun. */
  saw(limits: ReadonlyArray<RateLimit>, mark: Mark, now: number): void {
    for (const { limit, remaining, resetsAt, resource } of limits) {
      const isTokens = resource.endsWith("tokens")
      if (!isTokens && resource !== "requests") continue
      if (resource === "tokens") this.countsTokens = true
      if (remaining === undefined || resetsAt === undefined) continue
      const at = isTokens ? mark.tokens : mark.requests
      const before = this.known.get(resource)
      // Responses overtake each other: the one to the later request knows more.
      if (before !== undefined && before.mark > at && before.resetsAt > now) continue
      this.known.set(resource, { upTo: at + remaining, mark: at, limit, resetsAt })
    }
  }

  /** The longest wait for a request of so many tokens, if there is one. */
  wait(now: number, tokens: number): HeaderWait | undefined {
    let wait: HeaderWait | undefined
    for (const [resource, known] of this.known) {
      const millis = known.resetsAt - now
      if (millis <= 0) {
        this.known.delete(resource)
        continue
      }
      // Nobody knows how an estimate divides into input and output: of those, only one that is used up counts.
      const left = resource === "requests"
        ? known.upTo - this.requests
        : resource === "tokens"
        ? known.upTo - this.tokens
        : known.upTo - known.mark
      const needed = resource === "tokens" ? Math.max(1, Math.min(tokens, known.limit ?? tokens)) : 1
      if (left >= needed || (wait !== undefined && wait.millis >= millis)) continue
      wait = {
        resource: resource === "requests" ? "requests" : "tokens",
        limit: known.limit ?? known.upTo - known.mark,
        millis
      }
    }
    return wait
  }

  /** Whether anything is known that a call could have to wait for. */
  isSilent(): boolean {
    return this.known.size === 0
  }
}
