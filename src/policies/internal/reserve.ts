/**
 * Time for those who come next: while a fallback remains, a candidate may not take all that is left of the deadline.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Call } from "../../core/Call.ts"
import type { Llm } from "../../core/Llm.ts"
import type { TimedOut } from "../../core/LlmError.ts"
import type { Opened } from "../../core/Opened.ts"
import type { Plan } from "../../core/Plan.ts"
import { giveUp } from "./giveUp.ts"

/** The share of the time that is left which is kept for one fallback, and the most that is kept for several. */
const perFallback = 0.25
const most = 0.5

/** Until when the call may open; it is unbounded where it has no deadline. */
export const openUntil = (call: Call): number => Math.min(call.deadline ?? Infinity, call.openBy ?? Infinity)

const attemptLimits: ReadonlyArray<string> = ["connect", "firstPart", "idle"]

// Policies that wait for nothing but what is inside them, or ask first whether there is time.
const punctual: ReadonlyArray<string> = ["retry", "breaker", "whole"]

/**
 * Whether a candidate keeps to `openBy` by itself: all of its requests are watched by a limit on attempts, and nothing around them
 * waits longer. It then needs no second watch, which is most of what a fallback costs.
 */
const keepsTime = (plan: Plan): boolean =>
  (plan.policy === "timeout" && (plan.limits ?? []).some((limit) => attemptLimits.includes(limit))) ||
  (punctual.includes(plan.policy) && plan.children.every(keepsTime))

/** Opens a candidate after which so many others remain, in the time that is its own. */
export type OpenWithin<E, R> = (
  call: Call,
  remaining: number
) => Effect.Effect<Opened, E | TimedOut, R | Scope.Scope>

export const openWithin = <E, R>(self: Llm<E, R>): OpenWithin<E, R> => {
  const watched = keepsTime(self.plan)
  return (call, remaining) => {
    const until = openUntil(call)
    if (until === Infinity || remaining === 0) return self.open(call)
    return Effect.suspend(() => {
      const now = call.recorder.now()
      const own = Math.max(0, until - now) * (1 - Math.min(most, perFallback * remaining))
      const inner = { ...call, openBy: now + own }
      return watched ? self.open(inner) : watching(self.open(inner), call, own)
    })
  }
}

const watching = <E, R>(
  open: Effect.Effect<Opened, E, R>,
  call: Call,
  own: number
): Effect.Effect<Opened, E | TimedOut, R> =>
  Effect.suspend(() => {
    const first = call.recorder.attempts.length
    const over = Effect.suspend(() => Effect.fail(giveUp(call.recorder, first, "total", own)))
    return Effect.raceFirst(open, Effect.andThen(Effect.sleep(own), over))
  })

/** Whether there is time left to open anything; where there is none, whoever set the limit is about to end the call. */
export const isLate = (call: Call): boolean => call.recorder.now() >= openUntil(call)
