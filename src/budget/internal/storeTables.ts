/**
 * The tables of budgets in a SQL database, and how they are asked.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { SqlClient } from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"
import type { Identifier } from "effect/sql/Statement"
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

/**
 * Runs a step on its own: the caller's transaction is not its own, since what was spent stays spent when that is rolled back, and who
 * gives up waiting goes at once, while a driver takes its time to withdraw the question from a server that does not answer.
 */
export const apart = (sql: SqlClient, what = "Budgets") => {
  const shared = sql.onDialectOrElse({ sqlite: () => true, orElse: () => false })
  return <A, E>(step: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber): Effect.Effect<A, E | SqlError> => {
        if (shared && Context.getOption(fiber.context, sql.transactionService)._tag === "Some") {
          // It would wait for the transaction around it, which waits for it.
          return Effect.fail(
            new SqlError({
              reason: new UnknownError({
                cause: undefined,
                message: `${what} cannot be asked inside a transaction of a client that has a single connection`
              })
            })
          )
        }
        return Effect.flatMap(
          Effect.forkDetach(
            Effect.updateContext(
              step,
              (context: Context.Context<never>) => Context.omit(sql.transactionService)(context)
            ),
            {
              startImmediately: true
            }
          ),
          (running) =>
            Effect.onInterrupt(restore(Fiber.join(running)), () => Effect.sync(() => running.interruptUnsafe()))
        )
      })
    )
}
