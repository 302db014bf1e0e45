/**
 * How long a server asks to wait, from all the places where servers say so. What is not a time to come is no hint:
 * zero, negative, unreadable and past values are ignored rather than guessed at.
 */
import * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** Header names in lower case. */
export interface HeaderFields {
  readonly [name: string]: string | undefined
}

/** The longest time a timer can be set to. A longer wait is cut to it, which is 24 days, and so still honest. */
export const longestMillis = 2 ** 31 - 1

// Whole milliseconds, never fewer than asked for; the inner rounding takes away what binary fractions add.
const positive = (millis: number): number | undefined =>
  Number.isFinite(millis) && millis > 0
    ? Math.min(Math.ceil(Math.round(millis * 1000) / 1000), longestMillis)
    : undefined

const decimal = /^\d+(?:\.\d+)?$/

const decimalMillis = (value: string | undefined, unit: number): number | undefined => {
  const trimmed = value?.trim()
  return trimmed !== undefined && decimal.test(trimmed) ? positive(Number(trimmed) * unit) : undefined
}

/** `retry-after-ms` (milliseconds), then `retry-after` (seconds, or an HTTP date). */
export const fromHeaders = (headers: HeaderFields, now: number): number | undefined =>
  decimalMillis(headers["retry-after-ms"], 1) ??
    decimalMillis(headers["retry-after"], 1000) ??
    httpDate(headers["retry-after"], now)

// `Date.parse` accepts nearly anything ("Zun, 29 Sep"), so only the three forms of RFC 9110 are read.
const httpDate = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  const date = Headers.parseHttpDate(value)
  return Result.isSuccess(date) ? positive(DateTime.toEpochMillis(date.success) - now) : undefined
}

const unitMillis: { readonly [unit: string]: number } = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000
}

const compound = /^(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+$/

/** A duration as Go prints it: `6m0s`, `17ms`, `2m59.56s`. */
export const goDuration = (value: string): number | undefined => {
  if (!compound.test(value)) return undefined
  let millis = 0
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|d|h|m|s)/g)) {
    millis += Number(amount) * (unitMillis[unit ?? ""] ?? 0)
  }
  return positive(millis)
}

const hint =
  /(?:try again|retry)(?: in| after) (?:((?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+)(?![a-z\d])|(\d+(?:\.\d+)?) ?(milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?))/i

const wordMillis = (word: string): number =>
  word.startsWith("milli")
    ? 1
    : word.startsWith("s")
    ? 1000
    : word.startsWith("m")
    ? 60_000
    : word.startsWith("h")
    ? 3_600_000
    : 86_400_000

/** "Please try again in 9m38.016s", "retry after 3 seconds". */
export const fromText = (message: string): number | undefined => {
  const match = hint.exec(message)
  if (match === null) return undefined
  const [, duration, amount, unit] = match
  return duration === undefined
    ? positive(Number(amount) * wordMillis((unit ?? "").toLowerCase()))
    : goDuration(duration.toLowerCase())
}

/** When something resets: a Go duration from now, an RFC 3339 date, or seconds or milliseconds since 1970. */
export const resetMillis = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  const trimmed = value.trim()
  const duration = goDuration(trimmed)
  if (duration !== undefined) return duration
  if (decimal.test(trimmed)) {
    const amount = Number(trimmed)
    // Seconds since 1970 have ten digits and milliseconds thirteen; what is shorter counts from now.
    return positive(amount >= 1e12 ? amount - now : amount >= 1e9 ? amount * 1000 - now : amount * 1000)
  }
  return /^\d{4}-\d\d-\d\dT/.test(trimmed) ? positive(Date.parse(trimmed) - now) : undefined
}

/** The reset of the bucket that is empty, where rate limit headers name one; the latest where there are several. */
export const fromBuckets = (headers: HeaderFields, now: number): number | undefined => {
  let latest: number | undefined
  for (const bucket of buckets(headers)) {
    if (headers[bucket.remaining]?.trim() !== "0") continue
    const reset = resetMillis(headers[bucket.reset], now)
    if (reset !== undefined && (latest === undefined || reset > latest)) latest = reset
  }
  return latest
}

/** What rate limit headers say how much is left of, and the names of the headers that say it. */
export interface Bucket {
  /** Empty where the headers do not say of what: then it is not known whether they count requests or tokens. */
  readonly resource: string
  readonly remaining: string
  readonly reset: string
  readonly limit: string
}

// x-ratelimit-remaining-tokens (OpenAI and most who follow it), x-ratelimit-remaining (OpenRouter).
const standard = /^x-ratelimit-remaining(?:$|-(.*)$)/
const anthropic = /^anthropic-ratelimit-(.*)-remaining$/

export const buckets = (headers: HeaderFields): ReadonlyArray<Bucket> =>
  Object.keys(headers).flatMap((remaining): ReadonlyArray<Bucket> => {
    const match = standard.exec(remaining) ?? anthropic.exec(remaining)
    return match === null ? [] : [{
      resource: match[1] ?? "",
      remaining,
      reset: remaining.replace("remaining", "reset"),
      limit: remaining.replace("remaining", "limit")
    }]
  })
