/**
 * What the headers of a response say of a provider's limits.
 */
import type { RateLimit } from "../../core/Call.ts"
import { type HeaderFields, resetMillis } from "./retryAfter.ts"

// x-ratelimit-remaining-requests (OpenAI and most who follow it), anthropic-ratelimit-requests-remaining.
const resourceOf = (name: string): readonly [resource: string, reset: string, limit: string] | undefined => {
  const openai = /^x-ratelimit-remaining-([a-z-]+)$/.exec(name)?.[1]
  if (openai !== undefined) return [openai, `x-ratelimit-reset-${openai}`, `x-ratelimit-limit-${openai}`]
  const anthropic = /^anthropic-ratelimit-([a-z-]+)-remaining$/.exec(name)?.[1]
  return anthropic === undefined
    ? undefined
    : [anthropic, `anthropic-ratelimit-${anthropic}-reset`, `anthropic-ratelimit-${anthropic}-limit`]
}

const count = (value: string | undefined): number | undefined => {
  const trimmed = value?.trim()
  return trimmed !== undefined && /^\d+$/.test(trimmed) ? Number(trimmed) : undefined
}

/** One entry a resource of which the headers say how much is left. */
export const rateLimits = (headers: HeaderFields, now: number): ReadonlyArray<RateLimit> => {
  const limits: Array<RateLimit> = []
  for (const name of Object.keys(headers)) {
    const found = resourceOf(name)
    if (found === undefined) continue
    const [resource, resetName, limitName] = found
    const remaining = count(headers[name])
    const reset = resetMillis(headers[resetName], now)
    limits.push({
      resource,
      limit: count(headers[limitName]),
      remaining,
      resetsAt: reset === undefined ? undefined : now + reset
    })
  }
  return limits
}
