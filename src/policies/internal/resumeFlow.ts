/**
 * A flow that goes on in another one when it breaks off: what `Resume.restart` and `Resume.continue` share.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Call } from "../../core/Call.ts"
import { toPull } from "../../core/internal/pull.ts"
import * as Llm from "../../core/Llm.ts"
import type { StreamInterrupted } from "../../core/LlmError.ts"
import * as Opened from "../../core/Opened.ts"
import type { Part } from "../../core/Part.ts"
import { isLate } from "./reserve.ts"

export type Parts = Arr.NonEmptyReadonlyArray<Part>
type PartsPull<Done = void> = Pull.Pull<Parts, StreamInterrupted, Done>

/** What a policy does with the parts of a call, and how it goes on after a break. A new one for each call. */
export interface Resumption {
  /** Looks at what is handed on, and may change it; `undefined` where nothing of it is to be handed on yet. */
  readonly see: (parts: Parts) => Parts | undefined
  /** What is left to hand on when a flow has ended well. */
  readonly end: () => Parts | undefined
  /** How to ask for the rest; `undefined` where that is not possible. */
  readonly ask: (error: StreamInterrupted) => Call | undefined
  /** What is handed on first, now that there is a rest. */
  readonly begin: (error: StreamInterrupted) => Parts | undefined
  /** What has been delivered stands in the failure. */
  readonly complete: (error: StreamInterrupted) => StreamInterrupted
}

/** Whether going on can help, and is allowed: nothing mends a limit on output or on time, and a refusal is not routed around. */
const isResumable = (error: StreamInterrupted, call: Call): boolean => {
  if (error.reason === "truncated" || isLate(call)) return false
  const failure = error.failure
  switch (failure?._tag) {
    case undefined:
      return true
    case "ContentFiltered":
    case "InvalidRequest":
      return false
    case "TimedOut":
      return failure.phase !== "total"
    default:
      return true
  }
}

/** Opens in a scope of its own, so that what has broken off can be let go of before the call is over. */
const openWithScope = <E, R>(
  self: Llm.Llm<E, R>,
  call: Call
): Effect.Effect<readonly [Opened.Opened, Scope.Closeable], E, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) => {
    const scope = Scope.forkUnsafe(outer)
    return Effect.map(
      Effect.onExit(
        Scope.provide(self.open(call), scope),
        (exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
      ),
      (opened) => [opened, scope] as const
    )
  })

/** Opens a call; where it is a flow, it goes on in `that`, so many times, as the resumption says. */
export const resuming = <E, R, E2, R2>(
  self: Llm.Llm<E, R>,
  that: Llm.Llm<E2, R2>,
  call: Call,
  times: number,
  make: () => Resumption
): Effect.Effect<Opened.Opened, E, R | R2 | Scope.Scope> =>
  Effect.flatMap(openWithScope(self, call), ([opened, scope]) =>
    opened._tag === "Whole"
      ? Effect.succeed(opened)
      : Effect.contextWith((context: Context.Context<R2 | Scope.Scope>) =>
        Effect.succeed(Opened.flow(flowing(opened.parts, scope, that, context, call, times, make())))
      ))

const flowing = <E2, R2>(
  first: Stream.Stream<Part, StreamInterrupted>,
  firstScope: Scope.Closeable,
  that: Llm.Llm<E2, R2>,
  context: Context.Context<R2 | Scope.Scope>,
  call: Call,
  times: number,
  resumption: Resumption
): Stream.Stream<Part, StreamInterrupted> =>
  Stream.unwrap(Effect.map(Scope.provide(toPull(first), firstScope), (firstPull) => {
    let pull: PartsPull<unknown> = firstPull
    let scope = firstScope
    let left = times
    let over = false
    let failed: StreamInterrupted | undefined

    const recover = (error: StreamInterrupted): PartsPull => {
      const next = left > 0 && isResumable(error, call) ? resumption.ask(error) : undefined
      if (next === undefined) return fail(error)
      left--
      call.recorder.event("resume", error.reason)
      // What has broken off is let go of first: a connection that stalls is still a connection.
      return Effect.andThen(
        Scope.close(scope, Exit.fail(error)),
        Effect.matchEffect(Effect.provideContext(openWithScope(that, next), context), {
          // Whatever became of the attempt to mend it, the break is what the consumer hears of.
          onFailure: () => fail(error),
          onSuccess: ([opened, openedScope]) =>
            Effect.flatMap(Scope.provide(toPull(Opened.stream(opened)), openedScope), (openedPull) => {
              pull = openedPull
              scope = openedScope
              const begin = resumption.begin(error)
              return begin === undefined ? step : Effect.succeed(begin)
            })
        })
      )
    }

    const fail = (error: StreamInterrupted): PartsPull => {
      over = true
      const held = resumption.end()
      const completed = resumption.complete(error)
      if (held === undefined) return Effect.fail(completed)
      failed = completed
      return Effect.succeed(held)
    }

    const step: PartsPull = Effect.suspend(() => {
      if (failed !== undefined) return Effect.fail(failed)
      if (over) return Cause.done()
      return Effect.matchEffect(pull, {
        onSuccess: (parts): PartsPull => {
          const seen = resumption.see(parts)
          return seen === undefined ? step : Effect.succeed(seen)
        },
        onFailure: (error): PartsPull => {
          if (!Cause.isDone(error)) return recover(error)
          over = true
          const held = resumption.end()
          return held === undefined ? Cause.done() : Effect.succeed(held)
        }
      })
    })
    return Stream.fromPull(Effect.succeed(step))
  }))
