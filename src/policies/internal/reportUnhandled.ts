/**
 * Failures of stores that nobody else hears of.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { UnhandledLogLevel } from "effect/References"

/** Logs a failure that has no caller to receive it, at the level that Effect keeps for such; without one it is silent. */
export const reportUnhandled = (message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const level = fiber.getRef(UnhandledLogLevel)
    return level === undefined ? Effect.void : Effect.logWithLevel(level)(message, cause)
  })
