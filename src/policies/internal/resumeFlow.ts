/**
 * What both ways of going on have in common: an answer flows, breaks off, and another one takes its place.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Call } from "../../core/Call.ts"
import { toPull } from "../../core/internal/pull.ts"
import type { Recorder } from "../../core/internal/recorder.ts"
import type { Llm } from "../../core/Llm.ts"
import * as LlmError from "../../core/LlmError.ts"
import * as Opened from "../../core/Opened.ts"
import type { Part } from "../../core/Part.ts"
import * as Plan from "../../core/Plan.ts"

export type Parts = Arr.NonEmptyReadonlyArray<Part>

type PartsPull = Pull.Pull<Parts, LlmError.StreamInterrupted>

/** What one way of going on does with the parts of an answer; made anew for each call. */
export interface Way {
  /** What is handed on of the parts that have arrived; nothing where all of it is held back. */
  readonly hand: ((parts: Parts) => Parts | undefined) | undefined
  /** What is left to hand on where no more parts come: the answer has ended, or it has broken off for good. */
  readonly rest: (ended: boolean) => Parts | undefined
  /** How to ask for what comes after the break, where that is possible. */
  readonly next: (error: LlmError.StreamInterrupted) => Call | undefined
  /** What is handed on of the first parts of the answer that takes over; nothing where it will not do. */
  readonly takeOver: (answer: Answer, error: LlmError.StreamInterrupted) => Taken | undefined
  /** What the consumer is told of a break that stays one. */
  readonly failure: (error: LlmError.StreamInterrupted) => LlmError.StreamInterrupted
}

/** What is handed on first of an answer that takes over. */
export interface Taken {
  readonly parts: Parts | undefined
}

/** An answer that could be opened, up to its first parts. */
export interface Answer {
  /** Absent where it ended without any. */
  readonly first: Parts | undefined
  readonly pull: PartsPull
  readonly scope: Scope.Closeable
  readonly recorder: Recorder
}

/** Whether to go on at all: a refusal is not routed around, a cut by the output limit is no break, and there must be time. */
const mayGoOn = (call: Call, error: LlmError.StreamInterrupted): boolean => {
  const { failure, reason } = error
  if (reason === "truncated") return false
  if (failure !== undefined) {
    if (!LlmError.failsOver(failure)) return false
    if (failure._tag === "TimedOut" && failure.phase === "total") return false
  }
  return call.deadline === undefined || call.recorder.now() < call.deadline
}

/** Runs an `open` in a scope that is closed when it fails, and later by whoever has it. */
export const openIn = <A, E, R>(
  open: Effect.Effect<A, E, R>,
  scope: Scope.Closeable
): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.onExit(
    Scope.provide(open, scope),
    (exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
  )

/** Opens the answer that takes over; nothing where it cannot be opened. */
const openAnew = <E, R>(
  that: Llm<E, R>,
  call: Call,
  context: Context.Context<R | Scope.Scope>
): Effect.Effect<Answer | undefined> =>
  Effect.suspend(() => {
    const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
    const opening: Effect.Effect<Answer, E | LlmError.StreamInterrupted, R | Scope.Scope> = Effect.flatMap(
      Effect.flatMap(that.open(call), (opened) => toPull(Opened.stream(opened))),
      (pull) => {
        const answer = (first: Parts | undefined) => ({ first, pull, scope, recorder: call.recorder })
        return Pull.matchEffect(pull, {
          onSuccess: (parts) => Effect.succeed(answer(parts)),
          onFailure: Effect.failCause,
          onDone: () => Effect.succeed(answer(undefined))
        })
      }
    )
    return Effect.provideContext(
      Effect.orElseSucceed(openIn(opening, scope), () => undefined),
      context
    )
  })

// Asking the very model that has just broken off is a retry; asking another one is not.
const isRetry = (call: Call, that: Llm<unknown, unknown>): boolean => {
  const { serving } = call.recorder
  return serving !== undefined && Plan.models(that.plan)[0] === `${serving.provider}/${serving.model}`
}

const permission = (call: Call, that: Llm<unknown, unknown>): Effect.Effect<boolean> =>
  call.extraCalls === undefined || !isRetry(call, that) ? Effect.succeed(true) : call.extraCalls.withdraw

/** An answer that goes on, so many times, where it breaks off. */
export const goingOn = <E, R>(options: {
  readonly call: Call
  readonly parts: Stream.Stream<Part, LlmError.StreamInterrupted>
  /** What holds the answer, and nothing else. */
  readonly scope: Scope.Closeable
  readonly that: Llm<E, R>
  /** What `that` needs, with the scope of the call. */
  readonly context: Context.Context<R | Scope.Scope>
  readonly times: number
  readonly way: Way
}): Stream.Stream<Part, LlmError.StreamInterrupted> => {
  const { call, context, that, way } = options
  let { scope, times: left } = options
  let next: PartsPull
  let ended: PartsPull | undefined

  /** Hands on what is left, and then ends. */
  const end = (ending: PartsPull, isEnd: boolean): PartsPull => {
    ended = ending
    const rest = way.rest(isEnd)
    return rest === undefined ? ending : Effect.succeed(rest)
  }
  const step: PartsPull = Effect.suspend(() => ended ?? next)
  const handed = (parts: Parts | undefined): PartsPull => parts === undefined ? step : Effect.succeed(parts)

  const follow = (pull: PartsPull): void => {
    const { hand } = way
    next = Pull.matchEffect(pull, {
      onSuccess: hand === undefined ? Effect.succeed : (parts): PartsPull => handed(hand(parts)),
      onFailure: (cause): PartsPull => {
        const error = Cause.hasDies(cause) ? undefined : cause.reasons.find(Cause.isFailReason)?.error
        return error === undefined ? Effect.failCause(cause) : broken(error)
      },
      onDone: () => end(Cause.done(), true)
    })
  }
  const stays = (error: LlmError.StreamInterrupted): PartsPull => end(Effect.fail(way.failure(error)), false)

  const broken = (error: LlmError.StreamInterrupted): PartsPull => {
    if (left === 0 || !mayGoOn(call, error)) return stays(error)
    const anew = way.next(error)
    if (anew === undefined) return stays(error)
    return Effect.flatMap(permission(call, that), (granted): PartsPull => {
      if (!granted) return stays(error)
      left--
      call.recorder.event("resume", error.reason)
      return Effect.flatMap(
        // A connection that is merely silent is still open, and a permit may still be held.
        Effect.andThen(Effect.uninterruptible(Scope.close(scope, Exit.fail(error))), openAnew(that, anew, context)),
        (answer): PartsPull => {
          if (answer === undefined) return stays(error)
          scope = answer.scope
          const taken = way.takeOver(answer, error)
          if (taken === undefined) return stays(error)
          follow(answer.first === undefined ? Cause.done() : answer.pull)
          return handed(taken.parts)
        }
      )
    })
  }

  return Stream.unwrap(Effect.map(Scope.provide(toPull(options.parts), scope), (pull) => {
    follow(pull)
    return Stream.fromPull(Effect.succeed(step))
  }))
}
