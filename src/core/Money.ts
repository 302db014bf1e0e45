/**
 * Amounts of money: whole micro-dollars (0.000001 USD), as safe integers.
 *
 * A price is a decimal, a sum of prices is exact, and what is booked is a whole number of micro-dollars: no float takes part, so a
 * million bookings add up to what they say. All amounts are US dollars, and none is negative.
 *
 * **Gotchas**
 *
 * The largest amount is `Number.MAX_SAFE_INTEGER` micro-dollars, nine billion dollars. What would be more counts as that.
 *
 * @since 0.1.0
 */
import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * A whole number of micro-dollars, 0 or more.
 *
 * @category models
 * @since 0.1.0
 */
export const MicroUsd = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)).pipe(
  Schema.brand("effect-bulwark/core/Money/MicroUsd")
)

/**
 * A whole number of micro-dollars, 0 or more.
 *
 * @category models
 * @since 0.1.0
 */
export type MicroUsd = typeof MicroUsd.Type

/**
 * A decimal number of dollars, as one writes it: `"0.10"`, `2.5`.
 *
 * **Gotchas**
 *
 * A number is read as it prints, so `0.1` is exact and `0.1 + 0.2` is `0.30000000000000004`. Text is always what it says.
 *
 * @category models
 * @since 0.1.0
 */
export type Decimal = number | string

/**
 * No money: the unit of {@link add}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const zero: MicroUsd = MicroUsd.make(0)

/**
 * An amount of dollars.
 *
 * **Details**
 *
 * Throws a `RangeError` where it is none, is negative, or is finer than a micro-dollar.
 *
 * **Example** (Ten cents)
 *
 * ```ts
 * import { Money } from "effect-bulwark"
 *
 * Money.usd("0.10") // => Money.MicroUsd.make(100_000)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const usd = (amount: Decimal): MicroUsd => {
  const micros = Option.map(decimal(amount), (value) => BigDecimal.multiply(value, million))
  if (Option.isNone(micros) || BigDecimal.isNegative(micros.value) || BigDecimal.normalize(micros.value).scale > 0) {
    throw new RangeError(
      `Money.usd: the amount must be dollars from 0 up, to six decimals, got ${JSON.stringify(amount)}`
    )
  }
  return ofMicros(micros.value)
}

/**
 * Reads a decimal exactly as it is written, where it is one.
 *
 * @category converting
 * @since 0.1.0
 */
export const decimal = (value: Decimal): Option.Option<BigDecimal.BigDecimal> =>
  typeof value === "number"
    ? BigDecimal.fromNumber(value)
    // What a form or an environment variable leaves empty is not 0.
    : value.trim() === ""
    ? Option.none()
    : BigDecimal.fromString(value.trim())

const million = BigDecimal.fromBigInt(1_000_000n)

/**
 * A decimal number of micro-dollars as a whole one, rounded half up.
 *
 * **Details**
 *
 * Half up, because it is what bills do and what is right on average: over many bookings the error is nothing, where rounding up
 * would add half a micro-dollar to each.
 *
 * @category converting
 * @since 0.1.0
 */
export const ofMicros = (micros: BigDecimal.BigDecimal): MicroUsd =>
  MicroUsd.make(
    Math.max(
      0,
      Math.min(
        Number.MAX_SAFE_INTEGER,
        BigDecimal.toNumberUnsafe(BigDecimal.round(micros, { scale: 0, mode: "half-ceil" }))
      )
    )
  )

/**
 * Adds two amounts.
 *
 * @category combining
 * @since 0.1.0
 */
export const add = (self: MicroUsd, that: MicroUsd): MicroUsd =>
  MicroUsd.make(Math.min(Number.MAX_SAFE_INTEGER, self + that))

/**
 * Prints an amount, with as many decimals as it has, and at least two.
 *
 * **Example** (Large and small)
 *
 * ```ts
 * import { Money } from "effect-bulwark"
 *
 * Money.format(Money.usd("1.5")) // => "$1.50"
 * Money.format(Money.MicroUsd.make(1_234)) // => "$0.001234"
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const format = (self: MicroUsd): string => {
  const micros = self % 1_000_000
  const decimals = String(micros).padStart(6, "0").replace(/0{1,4}$/, "")
  return `$${(self - micros) / 1_000_000}.${decimals}`
}
