/**
 * Usages to price, and a second opinion on what they cost, in nothing but integers.
 */
import { Schema } from "effect"
import type { Usage } from "effect-bulwark"

const some = Schema.Union([
  Schema.Literals([0, 1, 2, 3, 127_999, 128_000, 128_001, 200_000, 200_001, 271_999, 272_000, 272_001]),
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_000_000 }))
])

/** Any usage, also of every size at which prices change. */
export const AnyUsage = Schema.Struct({
  inputUncached: some,
  inputCacheRead: some,
  inputCacheWrite: some,
  inputCacheWrite1h: Schema.optionalKey(some),
  outputText: some,
  outputReasoning: some
})

/** A usage of which most buckets are empty. */
export const usage = (buckets: Partial<Usage.Usage>): Usage.Usage => ({
  inputUncached: 0,
  inputCacheRead: 0,
  inputCacheWrite: 0,
  outputText: 0,
  outputReasoning: 0,
  ...buckets
})

const digits = 30

/** A decimal, as an integer of so many digits behind the point. */
export const scaled = (decimal: string): bigint => {
  const [, whole = "0", fraction = "", exponent = "0"] = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(decimal) ?? [""]
  const shift = digits - fraction.length + Number(exponent)
  if (decimal === "" || shift < 0) throw new Error(`not a decimal: ${decimal}`)
  return BigInt(whole + fraction) * 10n ** BigInt(shift)
}

/** Tokens at dollars for a million, in micro-dollars, halves up. */
export const expected = (charges: ReadonlyArray<readonly [tokens: number, decimal: string]>): number => {
  const sum = charges.reduce((total, [tokens, decimal]) => total + BigInt(tokens) * scaled(decimal), 0n)
  const unit = 10n ** BigInt(digits)
  return Number((2n * sum + unit) / (2n * unit))
}
