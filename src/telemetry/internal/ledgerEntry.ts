/**
 * From a receipt to an entry: text that every database takes, and a price for each request.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Pricing from "../../budget/Pricing.ts"
import type { UnknownPrice } from "../../core/LlmError.ts"
import type * as Money from "../../core/Money.ts"
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

/** The receipt as all homes keep it. */
export const readable = (receipt: Receipt.Receipt): Receipt.Receipt => {
  // A receipt is plain JSON and stays one of the same form.
  const cleaned = clean(receipt) as Receipt.Receipt
  const attempts = cleaned.attempts.map(metered)
  return {
    ...cleaned,
    startedAt: Math.floor(cleaned.startedAt),
    attempts,
    usage: attempts.reduce((sum, { usage }) => usage === undefined ? sum : Usage.add(sum, usage), Usage.zero)
  }
}

const costOf = (
  receipt: Receipt.Receipt,
  attempt: Receipt.Attempt
): Effect.Effect<Money.MicroUsd | undefined, never, Pricing.Pricing> => {
  const { model, provider, servedModel, startMillis, usage } = attempt
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
    Effect.forEach(receipt.attempts, (attempt) => costOf(receipt, attempt)),
    (costs) => ({ receipt, costs })
  )
