/**
 * Holding a permit: from the sending until the answer has ended, one way or another, once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Call, RateLimit } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"
import * as Opened from "../../core/Opened.ts"
import type { Part } from "../../core/Part.ts"
import * as Usage from "../../core/Usage.ts"
import { atEnd } from "./atEnd.ts"
import type { Outcome } from "./limiterAdaptive.ts"
import type { Buckets } from "./limiterBuckets.ts"
import type { Entry } from "./limiterGate.ts"

/** The call as it is passed on: what comes back is listened to where there is something to learn from it. */
export const listening = (entry: Entry): Call => {
  const { call, gate } = entry
  const readsHeaders = entry.asking.model !== undefined
  const { adapts } = gate
  if (!adapts && !readsHeaders && !gate.hasRates) return call
  const outer = call.pulse
  return {
    ...call,
    pulse: {
      attempt: () => {
        outer?.attempt()
        entry.attempted = true
      },
      response: (limits: ReadonlyArray<RateLimit>) => {
        outer?.response(limits)
        entry.responded = true
        if (readsHeaders) gate.saw(entry, limits)
      },
      parts: (content) => {
        outer?.parts(content)
        if (content && adapts) entry.firstPartAt ??= call.recorder.now()
      },
      failed: () => outer?.failed()
    }
  }
}

/** What is to be done once an `open` has ended: a flow holds its permit on, all else has it leave. */
export const settle = (
  entry: Entry,
  buckets: Buckets,
  exit: Exit.Exit<Opened.Opened, unknown>
): Effect.Effect<void> => {
  const { call, gate } = entry
  if (exit._tag === "Failure") {
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    const unsent = !entry.passedOn || (!entry.attempted && saysUnsent(error))
    if (unsent || (!entry.responded && error instanceof LlmError.ConnectionFailed)) gate.unsent(entry)
    gate.leave(entry, isRefusal(error) ? "refused" : "unknown")
    return unsent ? buckets.giveBack(entry) : Effect.void
  }
  if (exit.value._tag === "Whole") return served(entry, buckets, exit.value.parts)
  // Nobody holds a permit on for the stream of a whole call, which ought to have none.
  if (call.mode === "whole") gate.leave(entry, "unknown")
  return Effect.void
}

/** Holds the permit until the stream has ended; the scope is the last resort, where nobody reads it to its end. */
export const hold = (
  entry: Entry,
  buckets: Buckets,
  opened: Opened.Opened
): Effect.Effect<Opened.Opened, never, Scope.Scope> =>
  opened._tag === "Whole" ? Effect.succeed(opened) : Effect.as(
    Effect.addFinalizer(() => Effect.sync(() => entry.gate.leave(entry, "unknown"))),
    Opened.flow(atEnd(opened.parts, {
      finished: (parts) => served(entry, buckets, parts),
      failed: (cause) =>
        Effect.sync(() => {
          // Whoever is interrupted while reading may read on.
          if (!Cause.hasInterruptsOnly(cause)) entry.gate.leave(entry, outcomeOf(cause))
        }),
      done: Effect.sync(() => entry.gate.leave(entry, "unknown"))
    }))
  )

/** The answer has ended as it should: what it used beyond the estimate is owed. */
const served = (entry: Entry, buckets: Buckets, parts: ReadonlyArray<Part>): Effect.Effect<void> => {
  if (entry.state === "over") return Effect.void
  entry.gate.leave(entry, "served")
  const limit = entry.gate.limits.tokens
  if (limit === undefined) return Effect.void
  const finish = parts.findLast((part) => part.type === "finish")
  if (finish === undefined) return Effect.void
  const usage = Usage.fromEncoded(finish.usage)
  const owed = Usage.input(usage) + Usage.output(usage) - entry.tokens
  return owed > 0 ? buckets.owe(entry, owed, limit) : Effect.void
}

const outcomeOf = (cause: Cause.Cause<unknown>): Outcome =>
  isRefusal(Option.getOrUndefined(Cause.findErrorOption(cause))) ? "refused" : "unknown"

/** Whether a failure is one of those with which nothing is sent: for an account that waits, or by a policy inside. */
const saysUnsent = (error: unknown): boolean =>
  error instanceof LlmError.RateLimited
    ? error.parked === true
    : error instanceof LlmError.ContextLengthExceeded
    ? error.unsent === true
    : error instanceof LlmError.CircuitOpen || error instanceof LlmError.Saturated ||
      error instanceof LlmError.StoreUnavailable || error instanceof LlmError.BudgetExceeded ||
      error instanceof LlmError.UnknownPrice

/** Whether a failure says that too much is sent. */
const isRefusal = (error: unknown): boolean =>
  // One that was parked was never sent, and one that can never be sent says nothing of how many can be.
  error instanceof LlmError.RateLimited
    ? error.parked !== true && error.retryable !== false && error.scope !== "day"
    : error instanceof LlmError.TimedOut
    ? error.phase === "connect" || error.phase === "firstPart"
    : error instanceof LlmError.StreamInterrupted
    ? isRefusal(error.failure)
    : error instanceof LlmError.Overloaded || error instanceof LlmError.RequestTimeout
