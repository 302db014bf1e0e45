/**
 * What hangs below the spans of an operation and of its requests.
 */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { type AttemptWatch, type OperationWatch, Propagates } from "./instrument.ts"

/** What runs within an operation hangs below its span. */
export const below = <A, E, R>(
  operation: OperationWatch | undefined,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  operation?.span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, operation.span)

/** What is sent hangs below the span of the request, and tells of it where it may. */
export const sentBelow = <A, E, R>(attempt: AttemptWatch, sent: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const hung = attempt.span === undefined ? sent : Effect.provideService(sent, Tracer.ParentSpan, attempt.span)
  // (Also where it is not: what is sent may be part of a request to a provider that is told.)
  return Effect.provideService(hung, Propagates, attempt.propagates)
}
