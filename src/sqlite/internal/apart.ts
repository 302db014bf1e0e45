/**
 * Asking a SQL database apart from whatever transaction is around.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { SqlClient } from "effect/sql/SqlClient"
import { SqlError, UnknownError } from "effect/sql/SqlError"

/**
 * Runs a step on its own: the caller's transaction is not its own, since what was done stays done when that is rolled back, and who
 * gives up waiting goes at once, while a driver takes its time to withdraw the question from a server that does not answer.
 */
export const apart = (sql: SqlClient, what: string) => {
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
            { startImmediately: true }
          ),
          (running) =>
            Effect.onInterrupt(restore(Fiber.join(running)), () => Effect.sync(() => running.interruptUnsafe()))
        )
      })
    )
}
