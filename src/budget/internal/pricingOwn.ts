/**
 * Prices that an application gives itself: checked where they are written, so that a mistake shows when the program starts.
 */
import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import * as Money from "../../core/Money.ts"
import { isFree, mapRates, type Price, priceOf, resolve, type Said } from "./pricingRates.ts"

/** A price as one writes it. */
export interface PriceInput extends Said<Money.Decimal> {
  readonly tiers?: ReadonlyArray<Partial<Said<Money.Decimal>> & { readonly above: number }> | undefined
}

/** Reads a decimal from 0 up, or says which one is none. */
export const nonNegative = (what: string, value: Money.Decimal): BigDecimal.BigDecimal => {
  const exact = Money.decimal(value)
  if (Option.isNone(exact) || BigDecimal.isNegative(exact.value)) {
    throw new RangeError(`${what} must be a decimal from 0 up, got ${JSON.stringify(value)}`)
  }
  return exact.value
}

/** Reads a count of tokens, where it is given. */
export const tokens = (what: string, value: number | undefined): number | undefined => {
  if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
    throw new RangeError(`${what} must be a whole number from 1 up, got ${value}`)
  }
  return value
}

const parts = ["cacheRead", "cacheWrite", "cacheWrite1h", "output", "reasoning", "request"] as const

/** Reads a price. One of which all is 0 is refused: what costs nothing is said in so many words. */
export const readPriceInput = (what: string, input: PriceInput): Price => {
  const { tiers = [], ...base } = input
  const ratesOf = (where: string, said: Said<Money.Decimal>) => {
    const rates: { -readonly [Name in keyof Said<BigDecimal.BigDecimal>]: BigDecimal.BigDecimal } & {
      input: BigDecimal.BigDecimal
    } = { input: nonNegative(`${where}.input`, said.input) }
    for (const part of parts) {
      const value = said[part]
      if (value !== undefined) rates[part] = nonNegative(`${where}.${part}`, value)
    }
    return resolve(rates)
  }
  const price = priceOf(
    ratesOf(what, base),
    tiers.map(({ above, ...tier }, index) => {
      const where = `${what}.tiers[${index}]`
      const start = above === 0 ? 0 : tokens(`${where}.above`, above)
      // What a tier says nothing of stays as it is below.
      const named = Object.fromEntries(Object.entries(tier).filter(([, value]) => value !== undefined))
      return { above: start ?? 0, rates: ratesOf(where, { ...base, ...named }) }
    })
  )
  if (isFree(price)) throw new RangeError(`${what} is 0 throughout: say \`Pricing.free\` if that is meant`)
  return price
}

/** The part of a price that is left after a discount. */
export const readDiscount = (what: string, discount: Money.Decimal): BigDecimal.BigDecimal => {
  const left = BigDecimal.subtract(BigDecimal.fromBigInt(1n), nonNegative(what, discount))
  if (!BigDecimal.isGreaterThan(left, BigDecimal.fromBigInt(0n))) {
    throw new RangeError(`${what} must be less than 1, which is everything, got ${JSON.stringify(discount)}`)
  }
  return left
}

/** A price of which a part is left. */
export const scale = (price: Price, factor: BigDecimal.BigDecimal): Price =>
  mapRates(price, (rate) => BigDecimal.multiply(rate, factor))

/** The time from which something holds, in milliseconds. */
export const readSince = (what: string, since: string | undefined): number => {
  if (since === undefined) return Number.NEGATIVE_INFINITY
  const at = Date.parse(since)
  if (Number.isNaN(at)) throw new RangeError(`${what} must be an ISO date, got ${JSON.stringify(since)}`)
  return at
}
