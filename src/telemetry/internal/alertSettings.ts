/**
 * How alerts are decided: options, their defaults, and what of them is legal.
 */
import * as Duration from "effect/Duration"
import type * as Money from "../../core/Money.ts"
import { natural } from "./option.ts"

/** A minute: how often decisions are taken. */
export const minute = 60_000

/** Times are counted in minutes. */
const minutesOf = (name: string, input: Duration.Input): number => {
  const duration = Duration.fromInputUnsafe(input)
  const minutes = Duration.toMillis(duration) / minute
  if (Number.isSafeInteger(minutes) && minutes >= 1) return minutes
  throw new RangeError(`SpendAlert: \`${name}\` must be whole minutes, got ${Duration.format(duration)}`)
}

const minutesOrNone = (name: string, input: Duration.Input): number => {
  const duration = Duration.fromInputUnsafe(input)
  const minutes = Duration.toMillis(duration) / minute
  if (Number.isSafeInteger(minutes) && minutes >= 0) return minutes
  throw new RangeError(`SpendAlert: \`${name}\` must be whole minutes or 0, got ${Duration.format(duration)}`)
}

const whole = (name: string, value: number, minimum?: number, maximum?: number): number =>
  natural("SpendAlert", name, value, minimum, maximum)

const above = (name: string, value: number, minimum: number): number => {
  if (Number.isFinite(value) && value > minimum) return value
  throw new RangeError(`SpendAlert: \`${name}\` must be a number above ${minimum}, got ${value}`)
}

const atLeast = (name: string, value: number, minimum: number): number => {
  if (Number.isFinite(value) && value >= minimum) return value
  throw new RangeError(`SpendAlert: \`${name}\` must be a number of at least ${minimum}, got ${value}`)
}

const share = (name: string, value: number): number => {
  if (value >= 0 && value < 1) return value
  throw new RangeError(`SpendAlert: \`${name}\` must be a number from 0 to below 1, got ${value}`)
}

/**
 * More is spent than is usual at this time of the day.
 *
 * @category options
 * @since 0.1.0
 */
export interface SpendRateOptions {
  /** How many spreads above the median count. Default: 6. */
  readonly sensitivity?: number | undefined
  /** How many times what is usual it must be at least, twice that before there are days to compare with. Default: 2. */
  readonly ratio?: number | undefined
  /**
   * How many times it must be what was reached on two of the past days within three hours of the same time; twice that before there are days
   * to compare with. 0: that does not count. Default: 1.5.
   */
  readonly news?: number | undefined
  /** How much more than usual an hour it must be at least, in micro-dollars. Default: 5 dollars. */
  readonly minimumExcess?: Money.MicroUsd | undefined
  /** The same in tokens, for calls whose cost is not known. Default: 2,000,000. */
  readonly minimumExcessTokens?: number | undefined
  /** How many calls there must be in the window. Default: 10. */
  readonly minimumCalls?: number | undefined
  /** Over how many days it looks back. Default: 14. */
  readonly days?: number | undefined
  /** For how many days the same time must be known before days are compared. Default: 3. */
  readonly minimumDays?: number | undefined
  /** For how many minutes it must last. Default: 3. */
  readonly confirm?: number | undefined
  /** After what time that it lasts it is what is usual. Default: 1 day. */
  readonly acceptAfter?: Duration.Input | undefined
}

/**
 * Spending has jumped within minutes, and stays there.
 *
 * @category options
 * @since 0.1.0
 */
export interface SpendStepOptions {
  /** What the sum of deviations must come to. Default: 8. */
  readonly threshold?: number | undefined
  /** How many times what came before it must be at least, twice that before there are days to compare with. Default: 2. */
  readonly ratio?: number | undefined
  /**
   * How many times it must be what was reached on two of the past days within three hours of the same time; twice that before there are days
   * to compare with. 0: that does not count. Default: 1.5.
   */
  readonly news?: number | undefined
  /** How much more an hour it must be at least, in micro-dollars. Default: 5 dollars. */
  readonly minimumExcess?: Money.MicroUsd | undefined
  /** The same in tokens, for calls whose cost is not known. Default: 2,000,000. */
  readonly minimumExcessTokens?: number | undefined
  /** How many calls there must be since the jump. Default: 10. */
  readonly minimumCalls?: number | undefined
  /** After what time that it lasts it is what is usual. Default: 1 hour. */
  readonly acceptAfter?: Duration.Input | undefined
}

/**
 * Calls take more tokens than is usual.
 *
 * @category options
 * @since 0.1.0
 */
export interface TokensPerCallOptions {
  /** How many spreads above the median count. Default: 4.5. */
  readonly sensitivity?: number | undefined
  /** How many times what is usual it must be at least. Default: 1.5. */
  readonly ratio?: number | undefined
  /** How many tokens a call it must be more at least. Default: 200. */
  readonly minimumExcess?: number | undefined
  /** How many calls the running mean is of, about. Default: 80. */
  readonly calls?: number | undefined
  /** For how many minutes with calls it must last. Default: 2. */
  readonly confirm?: number | undefined
  /** After what time that it lasts it is what is usual. Default: 1 day. */
  readonly acceptAfter?: Duration.Input | undefined
}

/**
 * More calls fail than is usual.
 *
 * @category options
 * @since 0.1.0
 */
export interface ErrorRateOptions {
  /** How many standard deviations above what is usual count. Default: 5. */
  readonly sensitivity?: number | undefined
  /** How much higher the share must be at least. Default: 0.05, five points. */
  readonly minimumIncrease?: number | undefined
  /** How many calls there must be. Default: 20. */
  readonly minimumCalls?: number | undefined
  /** How many must have failed. Default: 5. */
  readonly minimumErrors?: number | undefined
  /** For how many minutes it must last. Default: 2. */
  readonly confirm?: number | undefined
  /** After what time that it lasts it is what is usual. Default: 1 day. */
  readonly acceptAfter?: Duration.Input | undefined
}

/**
 * The same is asked again and again.
 *
 * @category options
 * @since 0.1.0
 */
export interface LoopOptions {
  /** How many times in the window are too many. Default: 30. */
  readonly times?: number | undefined
  /** The time in which they are counted. Default: 10 minutes. */
  readonly window?: Duration.Input | undefined
  /** What the calls must have cost at least, where that is known, in micro-dollars. Default: 0. */
  readonly minimumCost?: Money.MicroUsd | undefined
  /** Whether the tenant stands on the alert. Default: false. */
  readonly tenant?: boolean | undefined
}

/**
 * What is watched, and from where on it is out of the ordinary.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How long the windows are over which spending and failures are counted: 1, 2, 3, 5, 6, 10, 15, 20 or 30 minutes. Default: 10 minutes. */
  readonly window?: Duration.Input | undefined
  /** How many pairs of feature and model, and how many features, are told apart. The others are one: `_OTHER`. Default: 200. */
  readonly maxSeries?: number | undefined
  /** Of more that is spent than is usual at this time of the day. `false`: not watched. */
  readonly spendRate?: SpendRateOptions | false | undefined
  /** Of spending that has jumped. `false`: not watched. */
  readonly spendStep?: SpendStepOptions | false | undefined
  /** Of calls that take more tokens than they used to. `false`: not watched. */
  readonly tokensPerCall?: TokensPerCallOptions | false | undefined
  /** Of more calls that fail than usual. `false`: not watched. */
  readonly errorRate?: ErrorRateOptions | false | undefined
  /** Of the same that is asked again and again. `false`: not watched. */
  readonly loop?: LoopOptions | false | undefined
  /** How long things must be as before until an alert is over. Default: 10 minutes. */
  readonly resolveAfter?: Duration.Input | undefined
  /** For how long after an alert is over there is no other one with the same key. Default: 15 minutes. */
  readonly coolDown?: Duration.Input | undefined
  /** How often an alert that is not over is told again. Default: never. */
  readonly repeatEvery?: Duration.Input | undefined
}

/** What both kinds of alerts of spending ask for. */
const spendOf = (
  kind: "spendRate" | "spendStep",
  options: Pick<SpendRateOptions, keyof SpendRateOptions & keyof SpendStepOptions>,
  acceptAfter: Duration.Input
) => ({
  news: atLeast(`${kind}.news`, options.news ?? 1.5, 0),
  ratio: above(`${kind}.ratio`, options.ratio ?? 2, 1),
  minimumExcess: whole(`${kind}.minimumExcess`, options.minimumExcess ?? 5_000_000),
  minimumExcessTokens: whole(`${kind}.minimumExcessTokens`, options.minimumExcessTokens ?? 2_000_000),
  minimumCalls: whole(`${kind}.minimumCalls`, options.minimumCalls ?? 10),
  acceptAfter: minutesOf(`${kind}.acceptAfter`, options.acceptAfter ?? acceptAfter)
})

const spendRateOf = (options: SpendRateOptions) => {
  const days = whole("spendRate.days", options.days ?? 14, 1, 60)
  return {
    sensitivity: above("spendRate.sensitivity", options.sensitivity ?? 6, 0),
    ...spendOf("spendRate", options, "1 day"),
    days,
    minimumDays: whole("spendRate.minimumDays", options.minimumDays ?? Math.min(3, days), 1, days),
    confirm: whole("spendRate.confirm", options.confirm ?? 3)
  }
}

const spendStepOf = (options: SpendStepOptions) => ({
  threshold: above("spendStep.threshold", options.threshold ?? 8, 0),
  ...spendOf("spendStep", options, "1 hour")
})

const tokensPerCallOf = (options: TokensPerCallOptions) => ({
  sensitivity: above("tokensPerCall.sensitivity", options.sensitivity ?? 4.5, 0),
  ratio: above("tokensPerCall.ratio", options.ratio ?? 1.5, 1),
  minimumExcess: atLeast("tokensPerCall.minimumExcess", options.minimumExcess ?? 200, 0),
  calls: whole("tokensPerCall.calls", options.calls ?? 80),
  confirm: whole("tokensPerCall.confirm", options.confirm ?? 2),
  acceptAfter: minutesOf("tokensPerCall.acceptAfter", options.acceptAfter ?? "1 day")
})

const errorRateOf = (options: ErrorRateOptions) => ({
  sensitivity: above("errorRate.sensitivity", options.sensitivity ?? 5, 0),
  minimumIncrease: share("errorRate.minimumIncrease", options.minimumIncrease ?? 0.05),
  minimumCalls: whole("errorRate.minimumCalls", options.minimumCalls ?? 20),
  minimumErrors: whole("errorRate.minimumErrors", options.minimumErrors ?? 5),
  confirm: whole("errorRate.confirm", options.confirm ?? 2),
  acceptAfter: minutesOf("errorRate.acceptAfter", options.acceptAfter ?? "1 day")
})

const loopOf = (options: LoopOptions) => ({
  times: whole("loop.times", options.times ?? 30, 2),
  windowMillis: minutesOf("loop.window", options.window ?? "10 minutes") * minute,
  minimumCost: whole("loop.minimumCost", options.minimumCost ?? 0, 0),
  tenant: options.tenant ?? false
})

const optional = <O, S>(options: O | false | undefined, settings: (options: Partial<O>) => S): S | undefined =>
  options === false ? undefined : settings(options ?? {})

const windowOf = (input: Duration.Input): number => {
  const minutes = minutesOf("window", input)
  if (minutes <= 30 && 60 % minutes === 0) return minutes
  throw new RangeError(`SpendAlert: \`window\` must go into an hour, and be at most half of it, got ${minutes}m`)
}

export const settingsOf = (options: Options = {}) => ({
  /** In minutes, as all times here. */
  window: windowOf(options.window ?? "10 minutes"),
  maxSeries: whole("maxSeries", options.maxSeries ?? 200, 1, 10_000),
  spendRate: optional(options.spendRate, spendRateOf),
  spendStep: optional(options.spendStep, spendStepOf),
  /** Of which the others keep the days, whether or not they are compared with. */
  days: options.spendRate === false ? spendRateOf({}) : spendRateOf(options.spendRate ?? {}),
  tokensPerCall: optional(options.tokensPerCall, tokensPerCallOf),
  errorRate: optional(options.errorRate, errorRateOf),
  loop: optional(options.loop, loopOf),
  resolveAfter: minutesOf("resolveAfter", options.resolveAfter ?? "10 minutes"),
  coolDown: minutesOrNone("coolDown", options.coolDown ?? "15 minutes"),
  repeatEvery: options.repeatEvery === undefined ? undefined : minutesOf("repeatEvery", options.repeatEvery)
})

export type Settings = ReturnType<typeof settingsOf>

export type SpendRateSettings = NonNullable<Settings["spendRate"]>
export type SpendStepSettings = NonNullable<Settings["spendStep"]>
export type TokensPerCallSettings = NonNullable<Settings["tokensPerCall"]>
export type ErrorRateSettings = NonNullable<Settings["errorRate"]>
export type LoopSettings = NonNullable<Settings["loop"]>
