/**
 * Prices, and what a usage costs by them. All is exact: decimals, rounded once at the end.
 */
import * as Arr from "effect/Array"
import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import * as Money from "../../core/Money.ts"
import * as Usage from "../../core/Usage.ts"

/** What is charged, each in US dollars for a million tokens. Every bucket of `Usage` has exactly one of them. */
export interface Rates {
  readonly input: BigDecimal.BigDecimal
  readonly cacheRead: BigDecimal.BigDecimal
  readonly cacheWrite: BigDecimal.BigDecimal
  readonly cacheWrite1h: BigDecimal.BigDecimal
  /** Absent for models that write nothing, such as embeddings. */
  readonly output: BigDecimal.BigDecimal | undefined
  readonly reasoning: BigDecimal.BigDecimal | undefined
  /** For the request itself, in US dollars. */
  readonly request: BigDecimal.BigDecimal
}

/** Rates by the size of the input: of the tiers that begin below it, the last one holds for the whole request. */
export interface Price {
  readonly rates: Rates
  readonly tiers: ReadonlyArray<{ readonly above: number; readonly rates: Rates }>
}

/** What somebody has said of a price; what is left out costs what it is a part of. */
export interface Said<A> {
  readonly input: A
  readonly cacheRead?: A | undefined
  readonly cacheWrite?: A | undefined
  readonly cacheWrite1h?: A | undefined
  readonly output?: A | undefined
  readonly reasoning?: A | undefined
  readonly request?: A | undefined
}

const nothing = BigDecimal.fromBigInt(0n)

/** Fills in what is left out. */
export const resolve = (said: Said<BigDecimal.BigDecimal>): Rates => {
  const cacheWrite = said.cacheWrite ?? said.input
  return {
    input: said.input,
    cacheRead: said.cacheRead ?? said.input,
    cacheWrite,
    cacheWrite1h: said.cacheWrite1h ?? cacheWrite,
    output: said.output,
    reasoning: said.reasoning ?? said.output,
    request: said.request ?? nothing
  }
}

/** The tiers of a price, from the smallest input up. */
export const priceOf = (rates: Rates, tiers: Price["tiers"]): Price => ({
  rates,
  tiers: tiers.toSorted((one, other) => one.above - other.above)
})

/** The price with each rate changed. */
export const mapRates = (
  price: Price,
  change: (rate: BigDecimal.BigDecimal, name: keyof Rates) => BigDecimal.BigDecimal
): Price => {
  const all = ({ cacheRead, cacheWrite, cacheWrite1h, input, output, reasoning, request }: Rates): Rates => ({
    input: change(input, "input"),
    cacheRead: change(cacheRead, "cacheRead"),
    cacheWrite: change(cacheWrite, "cacheWrite"),
    cacheWrite1h: change(cacheWrite1h, "cacheWrite1h"),
    output: output === undefined ? undefined : change(output, "output"),
    reasoning: reasoning === undefined ? undefined : change(reasoning, "reasoning"),
    request: change(request, "request")
  })
  return { rates: all(price.rates), tiers: price.tiers.map(({ above, rates }) => ({ above, rates: all(rates) })) }
}

/** A price of which nothing costs anything. */
export const free: Price = { rates: resolve({ input: nothing, output: nothing }), tiers: [] }

/** Whether nothing of it costs anything. */
export const isFree = (price: Price): boolean =>
  [price.rates, ...price.tiers.map(({ rates }) => rates)].every((rates) =>
    Object.values(rates).every((rate: BigDecimal.BigDecimal | undefined) =>
      rate === undefined || BigDecimal.isZero(rate)
    )
  )

const million = BigDecimal.fromBigInt(1_000_000n)

/** What one request costs, or nothing where it has tokens that have no price. */
export const costOf = (price: Price, usage: Usage.Usage): Option.Option<Money.MicroUsd> => {
  const size = Usage.input(usage)
  const rates = Option.match(Arr.findLast(price.tiers, ({ above }) => size > above), {
    onNone: () => price.rates,
    onSome: (tier) => tier.rates
  })
  // A dollar for a million tokens is a micro-dollar for a token.
  const charges = [
    [usage.inputUncached, rates.input],
    [usage.inputCacheRead, rates.cacheRead],
    [usage.inputCacheWrite, rates.cacheWrite],
    [usage.inputCacheWrite1h ?? 0, rates.cacheWrite1h],
    [usage.outputText, rates.output],
    [usage.outputReasoning, rates.reasoning]
  ] as const
  let micros = BigDecimal.multiply(rates.request, million)
  for (const [tokens, rate] of charges) {
    if (tokens === 0) continue
    if (rate === undefined) return Option.none()
    micros = BigDecimal.sum(micros, BigDecimal.multiply(rate, BigDecimal.fromBigInt(BigInt(tokens))))
  }
  return Option.some(Money.ofMicros(micros))
}
