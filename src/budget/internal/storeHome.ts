/**
 * What the homes of budgets have in common: which questions are legal, and how long what is over is kept.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  type Adjustment,
  BudgetStore,
  BudgetStoreError,
  type Line,
  type Outcome,
  type Reservation,
  type Standing,
  type Unsettled,
  type Verdict
} from "./store.ts"

/** What a home does with a question that is legal. */
export interface Home {
  readonly reserve: (reservation: Reservation) => Effect.Effect<Verdict, unknown>
  /** Settles with amounts, voids without. */
  readonly finish: (id: string, amounts: ReadonlyArray<number> | undefined) => Effect.Effect<Outcome, unknown>
  readonly balance: (account: string, since: number) => Effect.Effect<Standing, unknown>
  readonly adjust: (adjustment: Adjustment) => Effect.Effect<"applied" | "repeated", unknown>
  readonly unsettled: (limit: number) => Effect.Effect<ReadonlyArray<Unsettled>, unknown>
}

/** A store in a home. */
export const makeStore = (home: Home): BudgetStore["Service"] =>
  BudgetStore.of({
    reserve: (reservation) =>
      ask("reserve", () => {
        checkReservation(reservation)
        return home.reserve(reservation)
      }),
    settle: (id, amounts) =>
      ask("settle", () => {
        for (const amount of amounts) natural("amount", amount)
        return home.finish(id, amounts)
      }),
    void: (id) => ask("void", () => home.finish(id, undefined)),
    balance: ({ account, since }) =>
      ask("balance", () => {
        time("since", since)
        return home.balance(account, since)
      }),
    adjust: (adjustment) =>
      ask("adjust", () => {
        checkAdjustment(adjustment)
        return home.adjust(adjustment)
      }),
    unsettled: ({ limit }) =>
      ask("unsettled", () => {
        natural("limit", limit)
        return home.unsettled(limit)
      })
  })

const ask = <A>(
  operation: BudgetStoreError["operation"],
  step: () => Effect.Effect<A, unknown>
): Effect.Effect<A, BudgetStoreError> =>
  Effect.mapError(Effect.suspend(step), (cause) => new BudgetStoreError({ operation, cause }))

export interface HomeOptions {
  /**
   * How long a reservation that is over is remembered, so that repeating it changes nothing, and a slot after its time, for those whose
   * clock is behind. Default: 10 minutes.
   */
  readonly remember?: Duration.Input | undefined
}

export const defaultRemember: Duration.Input = "10 minutes"

export const rememberMillis = (where: string, options: HomeOptions | undefined): number => {
  const remember = Duration.fromInputUnsafe(options?.remember ?? defaultRemember)
  const millis = Duration.toMillis(remember)
  if (!(millis >= 1 && millis <= maxRememberMillis)) {
    throw new RangeError(
      `BudgetStore.${where}: \`remember\` must be from 1 millisecond to 10,000 days, got ${Duration.format(remember)}`
    )
  }
  return Math.ceil(millis)
}

const maxRememberMillis = Duration.toMillis(Duration.days(10_000))

/** The largest amount, and the largest sum: books that come to more say this much. */
export const maxAmount = Number.MAX_SAFE_INTEGER

/**
 * When a slot may be forgotten: when nobody counts it any more and some time has passed. One whose time is over counts for somebody
 * whose clock is behind, or it would not be charged.
 */
export const slotForgottenAt = (until: number | undefined, now: number, remember: number): number =>
  until === undefined ? Infinity : Math.min(Math.max(until, now) + remember, maxAmount)

/** When a reservation that nobody settles may be forgotten: when nobody counts any of its slots any more. */
export const pendingForgottenAt = ({ leasedUntil, lines }: Reservation, now: number, remember: number): number =>
  Math.max(
    slotForgottenAt(leasedUntil, now, remember),
    ...lines.map(({ until }) => slotForgottenAt(until, now, remember))
  )

const checkReservation = ({ leasedUntil, lines }: Reservation): void => {
  time("leasedUntil", leasedUntil)
  if (lines.length === 0) throw new RangeError("BudgetStore.reserve: a reservation must have lines")
  for (let n = 0; n < lines.length; n++) checkLine(lines[n]!)
  if (repeats(lines)) throw new RangeError("BudgetStore.reserve: an account must not have two lines")
}

const checkLine = ({ amount, limit, since, slot, until }: Line): void => {
  natural("limit", limit)
  natural("amount", amount)
  time("slot", slot)
  time("since", since)
  if (until !== undefined) time("until", until)
  if (since > slot) throw new RangeError(`BudgetStore: a line's slot must count, but ${slot} is before ${since}`)
}

const repeats = (lines: ReadonlyArray<Line>): boolean =>
  lines.length > 1 && new Set(lines.map(({ account }) => account)).size < lines.length

const checkAdjustment = ({ by, slot, until }: Adjustment): void => {
  time("slot", slot)
  time("by", by)
  if (until !== undefined) time("until", until)
}

/** What is wrong where a reservation is settled with other amounts than it has lines. */
export const mismatch = Effect.suspend(() =>
  Effect.die(new RangeError("BudgetStore.settle: there must be an amount for each line"))
)

const natural = (name: string, value: number): void => {
  if (!(Number.isSafeInteger(value) && value >= 0)) {
    throw new RangeError(`BudgetStore: \`${name}\` must be a safe integer of at least 0, got ${value}`)
  }
}

const time = (name: string, value: number): void => {
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`BudgetStore: \`${name}\` must be a safe integer, got ${value}`)
  }
}
