/**
 * Where budgets are kept: what has been used of each account, what is reserved, and what became of each reservation.
 *
 * A reservation has two phases. The first holds an amount of one or more accounts, all of them or none. The second either *settles* it
 * with what was really used, or *voids* it; one of the two, once.
 *
 * - *pending*: it holds its amounts.
 * - *settled*: what was used counts, and nothing is held. An actual amount may be more than was held: the books say what was used.
 * - *voided*: nothing counts and nothing is held.
 * - *unsettled*: it is pending and its lease has run out, since whoever made it died or hangs. Its amounts may have been spent, so they
 *   are held on and count against the limit, and they are visible. It can still be settled or voided, late, by whoever made it or by hand.
 *
 * So what is used and what is held of an account are never more than its limit together, except where more was used than was held, or
 * someone says so by hand.
 *
 * Every step is atomic, and repeating it changes nothing: ids are made by the client, so a step whose answer was lost can be sent again.
 *
 * **Details**
 *
 * Amounts are safe integers that are not negative: tokens, requests or micro-USD. An account is a name, and time is cut into slots, so that a
 * window can pass: a line names the slot it is charged to and the first slot that still counts. A calendar day has one slot and counts that
 * one; a rolling hour has many short ones and counts those of an hour; a total has a single slot for all time. A reservation stays with the
 * slots it was made for, however long it takes.
 *
 * Slots and leases are the caller's times, from its `Clock`. A clock that steps back charges an older slot, and what newer slots hold still
 * counts.
 *
 * **Gotchas**
 *
 * A store answers or fails; it does not wait for ever, but who asks it should set a limit of their own.
 *
 * @since 0.1.0
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
  /** The first slot that counts. Later ones than `slot` count too. */
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
  /** The time of the caller, in milliseconds since 1970. */
  readonly now: number
  /** When the lease runs out, in milliseconds since 1970. */
  readonly leasedUntil: number
}

/**
 * What an account holds, in the slots that count.
 *
 * @category models
 * @since 0.1.0
 */
export interface Balance {
  /** What was used. */
  readonly used: number
  /** What is held by reservations, those that are unsettled included. */
  readonly reserved: number
  /** What is held by reservations whose lease has run out. */
  readonly unsettled: number
}

/**
 * The answer to a reservation.
 *
 * - `Reserved`: it holds. The balances are those after it, one a line.
 * - `Exceeded`: nothing holds. The first line that does not fit, and its account's balance.
 * - `Repeated`: a reservation with this id was made before; what became of it stands.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict =
  | { readonly _tag: "Reserved"; readonly balances: ReadonlyArray<Balance> }
  | { readonly _tag: "Exceeded"; readonly line: number; readonly balance: Balance }
  | { readonly _tag: "Repeated"; readonly state: "pending" | "settled" | "voided" }

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
  /** What it holds, by account. */
  readonly holds: ReadonlyArray<{ readonly account: string; readonly slot: number; readonly amount: number }>
}

/**
 * The store did not do what it was asked to.
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
    return `The budget store could not be asked to ${this.operation}`
  }
}

/**
 * Where budgets are kept.
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
  /** Lets go what was held: nothing was used. */
  readonly void: (id: string) => Effect.Effect<Outcome, BudgetStoreError>
  /** What an account holds, from a slot on; `now` tells whose lease has run out. */
  readonly balance: (
    query: { readonly account: string; readonly since: number; readonly now: number }
  ) => Effect.Effect<Balance, BudgetStoreError>
  /** Changes what was used of an account, by hand. What was used is never less than nothing: a larger correction sets it to 0. */
  readonly adjust: (
    change: {
      readonly account: string
      readonly slot: number
      readonly until: number | undefined
      readonly by: number
    }
  ) => Effect.Effect<void, BudgetStoreError>
  /** Reservations whose lease has run out, the oldest first. */
  readonly unsettled: (
    query: { readonly now: number; readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<Unsettled>, BudgetStoreError>
}>()("effect-bulwark/budget/BudgetStore") {}
