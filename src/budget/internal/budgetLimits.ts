/**
 * Limits as data: what is limited, for whom, and in what time; and what a limit is at a moment, for a call.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Attribution } from "../../core/Attribution.ts"
import * as Money from "../../core/Money.ts"

export const Resource = Schema.Literals(["usd", "tokens", "requests"])

export type Resource = typeof Resource.Type

export const Window = Schema.Union([
  Schema.TaggedStruct("PerCall", {}),
  Schema.TaggedStruct("Rolling", { millis: Schema.Int.check(Schema.isGreaterThan(0)) }),
  Schema.TaggedStruct("Calendar", { unit: Schema.Literals(["hour", "day", "week", "month"]), timeZone: Schema.String }),
  Schema.TaggedStruct("Total", {})
])

export type Window = typeof Window.Type

const Key = Schema.Union([
  Schema.Literals(["tenant", "user", "feature", "requestId"]),
  Schema.Struct({ tag: Schema.String })
])

export const Scope = Schema.Union([Schema.Literal("global"), Key, Schema.NonEmptyArray(Key)])

export type Scope = typeof Scope.Type

const Fraction = Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1))

export const Limit = Schema.Struct({
  /** What is limited: money (`usd`), tokens of input and output together, or requests. */
  resource: Resource,
  /** The most there may be: dollars as a decimal (`"2.50"`), or a whole number of tokens or requests. */
  limit: Schema.Union([Schema.Finite, Schema.String]),
  /** In what time. */
  window: Window,
  /** For whom: each that differs in it has an account of their own. Default: `global`, one account for all. */
  scope: Schema.optionalKey(Scope),
  /** At which fractions of the limit to warn. Default: never. */
  warnAt: Schema.optionalKey(Schema.Array(Fraction))
})

export type Limit = typeof Limit.Type

type ScopeKey = typeof Key.Type

/** A part of time in which a limit holds. */
export interface Period {
  /** What is used now is charged to it. */
  readonly slot: number
  /** The first that counts. */
  readonly since: number
  /** When it no longer counts for anybody. */
  readonly until: number | undefined
}

/** A limit, ready for use. Amounts of money are micro-dollars. */
export interface Ready {
  readonly limit: Limit
  readonly resource: Resource
  readonly most: number
  readonly warnAt: ReadonlyArray<number>
  /** In words. */
  readonly scope: string
  readonly window: string
  /** Of the call alone: nothing outlives it. */
  readonly perCall: boolean
  readonly account: (attribution: Attribution) => string
  readonly period: (now: number) => Period
}

const fail = (where: string, what: string): never => {
  throw new RangeError(`Budget.layer: ${where}: ${what}`)
}

const isLimit = Schema.is(Limit)

/** Checks limits, and makes them ready. */
export const ready = (limits: ReadonlyArray<Limit>): ReadonlyArray<Ready> => {
  const names = new Set<string>()
  return limits.map((limit, index) => {
    const where = `limits[${index}]`
    if (!isLimit(limit)) return fail(where, `it is not a limit: ${JSON.stringify(limit)}`)
    if (limit.window._tag === "PerCall" && limit.warnAt !== undefined) {
      return fail(where, "a limit of one call has no warnAt: whoever is warned has had the answer")
    }
    const keys = keysOf(limit.scope ?? "global")
    const window = windowOf(limit.window)
    const name = `${limit.resource}/${window.name}/${keys.map(nameOf).join(",")}`
    if (names.has(name)) fail(where, `there are two limits of ${name}`)
    names.add(name)
    return {
      limit,
      resource: limit.resource,
      most: amountOf(limit, where),
      warnAt: (limit.warnAt ?? []).toSorted((one, other) => one - other),
      scope: keys.length === 0 ? "global" : keys.map(nameOf).join(", "),
      window: window.label,
      perCall: limit.window._tag === "PerCall",
      account: keys.length === 0
        ? () => name
        : (attribution) => `${name}/${JSON.stringify(keys.map((key) => valueOf(key, attribution) ?? null))}`,
      period: window.period
    }
  })
}

/** A change of an amount, which may be negative. */
export const amountBy = (resource: Resource, by: Money.Decimal): number => {
  const text = String(by).trim()
  const negative = text.startsWith("-")
  const amount = amountIn(resource, negative ? text.slice(1) : text)
  if (amount === undefined) {
    throw new RangeError(
      `Budget.adjust: \`by\` must be ${forms[resource]}, more or less than 0, got ${JSON.stringify(by)}`
    )
  }
  return negative ? -amount : amount
}

const amountOf = ({ limit, resource }: Limit, where: string): number =>
  amountIn(resource, limit) ?? fail(where, `limit must be ${forms[resource]}, from 0 up, got ${JSON.stringify(limit)}`)

const forms: Record<Resource, string> = {
  usd: "dollars, to six decimals",
  tokens: "a whole number of tokens",
  requests: "a whole number of requests"
}

/** An amount as the books have it, or nothing where it is none. */
const amountIn = (resource: Resource, decimal: Money.Decimal): number | undefined => {
  if (resource === "usd") {
    try {
      return Money.usd(decimal)
    } catch {
      return undefined
    }
  }
  const amount = typeof decimal === "number" ? decimal : Number(decimal.trim() === "" ? NaN : decimal)
  return Number.isSafeInteger(amount) && amount >= 0 ? amount : undefined
}

const keysOf = (scope: Scope): ReadonlyArray<ScopeKey> =>
  scope === "global" ? [] : typeof scope === "string" || "tag" in scope ? [scope] : scope

const nameOf = (key: ScopeKey): string => typeof key === "string" ? key : `tag:${key.tag}`

const valueOf = (key: ScopeKey, attribution: Attribution): string | undefined =>
  typeof key === "string"
    ? attribution[key]
    : attribution.tags !== undefined && Object.hasOwn(attribution.tags, key.tag)
    ? attribution.tags[key.tag]
    : undefined

const forEver: Period = { slot: 0, since: 0, until: undefined }

interface Times {
  /** The same for as long as the window is the same: accounts are named by it. */
  readonly name: string
  readonly label: string
  readonly period: (now: number) => Period
}

const windowOf = (window: Window): Times => {
  switch (window._tag) {
    case "PerCall":
      return { name: "call", label: "call", period: () => forEver }
    case "Total":
      return { name: "total", label: "total", period: () => forEver }
    case "Rolling":
      return rolling(window.millis)
    case "Calendar":
      return calendar(window.unit, window.timeZone)
  }
}

/** How many slots a rolling window is cut into. */
const parts = 60

// What is as old as the window may be in the slot that the window begins in, and so all of that slot counts: for longer than it
// must, and never for too short.
const rolling = (millis: number): Times => {
  const grain = Math.max(1, Math.ceil(millis / parts))
  return {
    name: `rolling:${millis}`,
    label: `rolling ${Duration.format(Duration.millis(millis))}`,
    period: (now) => {
      const slot = Math.floor(now / grain) * grain
      return {
        slot,
        since: Math.floor((now - millis) / grain) * grain,
        until: slot + grain + millis
      }
    }
  }
}

const hour = 3_600_000

const calendar = (unit: "hour" | "day" | "week" | "month", timeZone: string): Times => {
  const zone = Option.getOrElse(
    DateTime.zoneMakeNamed(timeZone),
    () => fail("window", `there is no time zone ${JSON.stringify(timeZone)}`)
  )
  const startOf = (now: number): readonly [number, number] => {
    const at = DateTime.makeZonedUnsafe(now, { timeZone: zone })
    if (unit === "hour") {
      // By the offset: an hour that a clock shows twice is two hours.
      const offset = DateTime.zonedOffset(at)
      const start = Math.floor((now + offset) / hour) * hour - offset
      return [start, start + hour]
    }
    const start = DateTime.startOf(at, unit, { weekStartsOn: 1 })
    const next = DateTime.add(start, { [`${unit}s`]: 1 })
    return [DateTime.toEpochMillis(start), DateTime.toEpochMillis(next)]
  }
  let known: Period & { readonly until: number } = { slot: 0, since: 0, until: 0 }
  return {
    name: `${unit}:${timeZone}`,
    label: `calendar ${unit} (${timeZone})`,
    period: (now) => {
      if (now >= known.slot && now < known.until) return known
      const [slot, until] = startOf(now)
      return known = { slot, since: slot, until }
    }
  }
}
