/**
 * The tables of budgets in a SQL database, and how they are asked.
 */
import type * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Identifier } from "effect/sql/Statement"
import { apart as runApart } from "../../sqlite/internal/apart.ts"
import type { Reservation } from "./store.ts"
import { type Home, pendingForgottenAt, slotForgottenAt } from "./storeHome.ts"

export interface Database {
  /** Without the application's transformations of names. */
  readonly sql: SqlClient
  /** What the names of tables begin with: letters, digits and underscores. */
  readonly prefix: string
  readonly slots: Identifier
  readonly reservations: Identifier
  readonly remember: number
}

/** What dialects do in manners of their own. */
export interface Steps {
  readonly reserve: (reservation: Reservation) => Effect.Effect<Effect.Success<ReturnType<Home["reserve"]>>, SqlError>
  readonly finish: (
    id: string,
    amounts: ReadonlyArray<number> | undefined
  ) => Effect.Effect<Effect.Success<ReturnType<Home["finish"]>>, SqlError>
  readonly adjust: (
    ...adjustment: Parameters<Home["adjust"]>
  ) => Effect.Effect<Effect.Success<ReturnType<Home["adjust"]>>, SqlError>
}

/** The lines of a reservation, for a database to read. */
export const linesJson = ({ lines }: Reservation, now: number, remember: number): string =>
  JSON.stringify(lines.map(({ account, amount, limit, since, slot, until }) => ({
    account,
    amount,
    limit,
    since,
    slot,
    forgetAt: orNull(slotForgottenAt(until, now, remember))
  })))

export const holdsJson = ({ lines }: Reservation): string =>
  JSON.stringify(lines.map(({ account, amount, slot }) => ({ account, slot, amount })))

export const slotForget = (until: number | undefined, now: number, remember: number): number | null =>
  orNull(slotForgottenAt(until, now, remember))

export const pendingForget = (reservation: Reservation, now: number, remember: number): number | null =>
  orNull(pendingForgottenAt(reservation, now, remember))

/** Never is NULL. */
const orNull = (time: number): number | null => time === Infinity ? null : time

/** Runs a step on its own: what was spent stays spent when a transaction around it is rolled back. */
export const apart = (sql: SqlClient) => runApart(sql, "Budgets")
