/**
 * From a receipt to an entry: text that every database takes, and what each request cost.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Pricing from "../../budget/Pricing.ts"
import type { UnknownPrice } from "../../core/LlmError.ts"
import * as Money from "../../core/Money.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import type { Entry } from "./ledgerStore.ts"

/** What an index of Postgres takes, whatever the characters. */
const maxLength = 512

/**
 * Text that every database takes: neither a NUL nor half a character can be written to Postgres, nor can its indexes hold text of any length.
 * One such name would hold up all receipts that come after it.
 */
const text = (value: string): string => value.slice(0, maxLength).toWellFormed().replaceAll("\0", "\uFFFD")

/** Whole numbers, and times to the microsecond: databases give them back as they went in. */
const number = (value: number): number => Number.isInteger(value) ? value : Math.round(value * 1_000) / 1_000

const clean = (value: unknown): unknown => {
  if (typeof value === "string") return text(value)
  if (typeof value === "number") return number(value)
  if (Array.isArray(value)) return value.map(clean)
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [text(name), clean(field)]))
  }
  return value
}

const isUsage = Schema.is(Usage.Usage)

/** A server may report what is no number of tokens: then it does not say what was used. */
const metered = (attempt: Receipt.Attempt): Receipt.Attempt => {
  if (attempt.usage === undefined || isUsage(attempt.usage)) return attempt
  const { usage: _, ...rest } = attempt
  return rest
}

const isCost = Schema.is(Money.MicroUsd)

/** What somebody else has kept account of, if it is an amount. */
const accounted = (attempt: Receipt.Attempt): Receipt.Attempt => {
  if (attempt.cost === undefined || isCost(attempt.cost)) return attempt
  const { cost: _, costEstimated: __, ...rest } = attempt
  return rest
}

/** The receipt as all homes keep it. */
export const readable = (receipt: Receipt.Receipt): Receipt.Receipt => {
  // A receipt is plain JSON and stays one of the same form.
  const cleaned = clean(receipt) as Receipt.Receipt
  const attempts = cleaned.attempts.map((attempt) => accounted(metered(attempt)))
  return {
    ...cleaned,
    startedAt: Math.floor(cleaned.startedAt),
    attempts,
    usage: attempts.reduce((sum, { usage }) => usage === undefined ? sum : Usage.add(sum, usage), Usage.zero)
  }
}

/** What a request cost: what was booked for it, or else its price. */
const costOf = (
  receipt: Receipt.Receipt,
  attempt: Receipt.Attempt
): Effect.Effect<Money.MicroUsd | undefined, never, Pricing.Pricing> => {
  const { model, provider, servedModel, startMillis, usage } = attempt
  if (attempt.cost !== undefined) return Effect.succeed(attempt.cost)
  if (usage === undefined) return Effect.undefined
  const cost = (model: string): Effect.Effect<Money.MicroUsd, UnknownPrice, Pricing.Pricing> =>
    Pricing.cost({ provider, model, at: receipt.startedAt + startMillis }, usage)
  return cost(model).pipe(
    // What only the server knows by name, like whatever stands behind a deployment.
    Effect.catch((unknown) => servedModel === undefined ? Effect.fail(unknown) : cost(servedModel)),
    Effect.orElseSucceed(() => undefined),
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      (cause) => Effect.as(reportUnhandled("Ledger could not price a request", cause), undefined)
    )
  )
}

export const price = (receipt: Receipt.Receipt): Effect.Effect<Entry, never, Pricing.Pricing> =>
  Effect.map(
    Effect.forEach(
      receipt.attempts,
      (attempt) => Effect.map(costOf(receipt, attempt), (cost) => cost === undefined ? attempt : { ...attempt, cost })
    ),
    (attempts) => ({ receipt: withCost({ ...receipt, attempts }) })
  )

/** The receipt with what all of its attempts cost, where that is known of each. */
export const withCost = ({ cost: _, ...receipt }: Receipt.Receipt): Receipt.Receipt => {
  const costs = receipt.attempts.flatMap(({ cost }) => cost === undefined ? [] : [cost])
  return costs.length === 0 || costs.length < receipt.attempts.length
    ? receipt
    : { ...receipt, cost: costs.reduce(Money.add, Money.zero) }
}
