/**
 * What every home of budgets does: the words and the service that `BudgetStore` hands on.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * One account that a reservation holds something of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  /** The account's name. */
  readonly account: string
  /** The most that may be used and held of the account, in the slots that count. */
  readonly limit: number
  /** How much is held. */
  readonly amount: number
  /** The slot it is charged to, in milliseconds since 1970; 0 where time does not matter. */
  readonly slot: number
  /** The first slot that counts, which is `slot` or an earlier one. Later ones than `slot` count too. */
  readonly since: number
  /** When the slot no longer counts for anybody, in milliseconds since 1970, and may be forgotten; `undefined` for never. */
  readonly until: number | undefined
}

/**
 * What is asked for: all of the lines, or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reservation {
  /** Made by the caller; unique. */
  readonly id: string
  /** At least one, each account at most once. */
  readonly lines: ReadonlyArray<Line>
  /** When the lease runs out, in milliseconds since 1970. */
  readonly leasedUntil: number
}

/**
 * What an account holds, in the slots that count.
 *
 * **Details**
 *
 * A sum that is no safe integer any more is given as the largest one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Balance {
  /** What was used. */
  readonly used: number
  /** What is held by reservations, those that are unsettled included. */
  readonly reserved: number
}

/**
 * What an account holds, and how much of it is in doubt.
 *
 * @category models
 * @since 0.1.0
 */
export interface Standing extends Balance {
  /** The part of `reserved` that is held by reservations whose lease has run out. */
  readonly unsettled: number
}

/**
 * The answer to a reservation.
 *
 * - `Reserved`: it holds. The balances are those after it, one a line.
 * - `Exceeded`: nothing holds. The first line that does not fit, and its account's balance.
 * - `Repeated`: this id was seen before; what became of it stands.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict =
  | { readonly _tag: "Reserved"; readonly balances: ReadonlyArray<Balance> }
  | { readonly _tag: "Exceeded"; readonly line: number; readonly balance: Balance }
  | { readonly _tag: "Repeated"; readonly state: State }

/**
 * What became of a reservation.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "pending" | "settled" | "voided"

/**
 * What became of a second phase.
 *
 * - `applied`: now, in time or late.
 * - `repeated`: the same phase was applied before; nothing changes.
 * - `refused`: the other phase was applied before.
 * - `unknown`: there is no such reservation, or no longer.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "applied" | "repeated" | "refused" | "unknown"

/**
 * A reservation that nobody has settled.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unsettled {
  readonly id: string
  readonly leasedUntil: number
  /** What it holds, in the order of its lines. */
  readonly holds: ReadonlyArray<Hold>
}

/**
 * What a reservation holds of an account.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hold {
  readonly account: string
  readonly slot: number
  readonly amount: number
}

/**
 * A change of what was used of an account, by hand.
 *
 * @category models
 * @since 0.1.0
 */
export interface Adjustment {
  /** Made by the caller; unique among adjustments and reservations. */
  readonly id: string
  readonly account: string
  /** The slot that is changed. */
  readonly slot: number
  /** When the slot no longer counts for anybody, as in a {@link Line}. */
  readonly until: number | undefined
  /** How much more was used, or, where it is negative, how much less. */
  readonly by: number
}

/**
 * The store did not do what it was asked to, or did and could not say so.
 *
 * @category errors
 * @since 0.1.0
 */
export class BudgetStoreError extends Schema.TaggedError<BudgetStoreError>()("BudgetStoreError", {
  /** What it was asked to do. */
  operation: Schema.Literals(["reserve", "settle", "void", "balance", "adjust", "unsettled"]),
  cause: Schema.Defect()
}) {
  /**
   * Says what the store was asked to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `The budget store could not be asked to ${asked[this.operation]}`
  }
}

const asked = {
  reserve: "reserve",
  settle: "settle",
  void: "void",
  balance: "tell a balance",
  adjust: "adjust",
  unsettled: "list what is unsettled"
}

/**
 * Where budgets are kept.
 *
 * **Gotchas**
 *
 * What is no legal question (an amount that is no safe integer, an account twice, other amounts than lines) is a mistake of the program
 * that asks: a `RangeError`, as a defect, and nothing is done.
 *
 * @category services
 * @since 0.1.0
 */
export class BudgetStore extends Context.Service<BudgetStore, {
  /** Holds all of the lines, or nothing. */
  readonly reserve: (reservation: Reservation) => Effect.Effect<Verdict, BudgetStoreError>
  /**
   * Counts what was really used, an amount for each line in the order of the reservation, and lets go what was held.
   */
  readonly settle: (id: string, amounts: ReadonlyArray<number>) => Effect.Effect<Outcome, BudgetStoreError>
  /**
   * Lets go what was held: nothing was used. Where the id is unknown it is voided all the same: a reservation that was under way
   * arrives too late and is `Repeated`.
   */
  readonly void: (id: string) => Effect.Effect<Outcome, BudgetStoreError>
  /** What an account holds, from a slot on. */
  readonly balance: (
    query: { readonly account: string; readonly since: number }
  ) => Effect.Effect<Standing, BudgetStoreError>
  /**
   * Changes what was used of an account, by hand. What was used is never less than nothing: a larger correction sets it to 0. It is
   * `repeated` where its id was seen before.
   */
  readonly adjust: (adjustment: Adjustment) => Effect.Effect<"applied" | "repeated", BudgetStoreError>
  /** Reservations whose lease has run out, the oldest first, and at most `limit` of them. */
  readonly unsettled: (
    query: { readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<Unsettled>, BudgetStoreError>
}>()("effect-bulwark/budget/BudgetStore") {}
