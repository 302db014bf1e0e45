/**
 * One operation: a call is made, opened, used, and its receipt closed, however it ends.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Attribution from "../Attribution.ts"
import type { Call, Request } from "../Call.ts"
import type { Llm } from "../Llm.ts"
import type { StreamInterrupted } from "../LlmError.ts"
import * as Opened from "../Opened.ts"
import * as Part from "../Part.ts"
import type { Plan } from "../Plan.ts"
import * as Receipt from "../Receipt.ts"
import { below } from "./below.ts"
import { type Begun, watch } from "./instrument.ts"
import { errorOf, outcomeOf, Recorder } from "./recorder.ts"

/** 48 random bits. */
export const operationId = (random: Random.Random): string =>
  `op_${Math.floor(random.nextDoubleUnsafe() * 2 ** 48).toString(16).padStart(12, "0")}`

/** The receipt of an operation that begins now, of which whoever watches is told. */
export const recorderOf = (
  fiber: Fiber.Fiber<unknown, unknown>,
  clock: Clock.Clock,
  begins: Omit<Begun, "startedAt">
): Recorder => {
  const startedAt = clock.currentTimeMillisUnsafe()
  const watched = watch(fiber, () => ({ ...begins, startedAt }))
  return new Recorder(begins.id, begins.attribution, clock, undefined, startedAt, watched)
}

const makeCall = (
  fiber: Fiber.Fiber<unknown, unknown>,
  plan: Plan,
  mode: Call["mode"],
  request: Request,
  retractable: boolean
): Call => {
  const attribution = fiber.getRef(Attribution.Current)
  const id = operationId(fiber.getRef(Random.Random))
  return {
    id,
    mode,
    transport: mode,
    request,
    deadline: undefined,
    openBy: undefined,
    attempt: 0,
    single: false,
    extraCalls: undefined,
    account: undefined,
    retractable,
    continues: undefined,
    prepare: undefined,
    attribution,
    prompt: undefined,
    pulse: undefined,
    recorder: recorderOf(fiber, fiber.getRef(Clock.Clock), {
      id,
      operation: "chat",
      mode,
      request,
      attribution,
      plan,
      refresh: false
    })
  }
}

/**
 * Begins an operation, and restores interruption around what runs in it: one that has begun, and that others have been told of, cannot be
 * interrupted before it is known how it ends.
 */
export const begun = <A, E, R>(
  operation: (
    fiber: Fiber.Fiber<unknown, unknown>,
    restore: <B, E2, R2>(effect: Effect.Effect<B, E2, R2>) => Effect.Effect<B, E2, R2>
  ) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => Effect.withFiber((fiber) => operation(fiber, restore)))

/** A full answer and its receipt. */
export interface Settled<A> {
  readonly value: A
  readonly answer: ReadonlyArray<Part.AnswerPart>
  readonly receipt: Receipt.Receipt
}

/** Runs one call to its full answer, which `settle` may still refuse. */
export const runWhole = <E, R, A, E2, R2>(
  llm: Llm<E, R>,
  request: Request,
  settle: (answer: ReadonlyArray<Part.AnswerPart>, call: Call) => Effect.Effect<A, E2, R2>
): Effect.Effect<Settled<A>, E | E2, Exclude<R, Scope.Scope> | R2> =>
  begun((fiber, restore) => {
    const call = makeCall(fiber, llm.plan, "whole", request, true)
    const observer = fiber.getRef(Receipt.Observer)
    const run = Effect.flatMap(Effect.scoped(llm.open(call)), (opened) => {
      if (opened._tag === "Flow") {
        return Effect.die(
          new Error("An Llm opened a call for a whole answer with a stream: `open` must collect it (Opened.whole)")
        )
      }
      const answer = Part.toAnswer(opened.parts)
      return Effect.map(
        settle(answer, call),
        (value): Settled<A> => ({ value, answer, receipt: call.recorder.close("success", undefined, answer) })
      )
    })
    return Effect.onExit(
      restore(below(call.recorder.watch, run)),
      (exit) => observer(call.recorder.close(outcomeOf(exit), errorOf(exit)))
    )
  })

/** Runs one call as a stream of its parts; `retractable` where the reader understands a `retract` part. */
export const runStream = <E, R>(
  llm: Llm<E, R>,
  request: Request,
  retractable: boolean
): Stream.Stream<Part.Part, E | StreamInterrupted, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(begun((fiber, restore) => {
    const call = makeCall(fiber, llm.plan, "stream", request, retractable)
    const observer = fiber.getRef(Receipt.Observer)
    let flowing = false
    let unopened: Exit.Exit<unknown, unknown> | undefined
    // Registered before anything else, so that it runs after every attempt has ended.
    return Effect.andThen(
      Effect.addFinalizer((exit) =>
        // Whoever pulls by hand may have dealt with the failure, which is one all the same.
        observer(
          flowing
            ? call.recorder.close(outcomeOfFlow(call.recorder, exit), errorOf(exit))
            : call.recorder.close(outcomeOf(unopened ?? exit), errorOf(unopened ?? exit))
        )
      ),
      Effect.onExit(
        Effect.map(restore(below(call.recorder.watch, llm.open(call))), (opened) => {
          flowing = true
          return Opened.stream(opened)
        }),
        (exit) => {
          if (exit._tag === "Failure") unopened = exit
          return Effect.void
        }
      )
    )
  }))

// The exit is that of whoever reads. One who stops reading ends the stream with success, but has not had the answer; and what
// a reader's own code fails with is no failure of the call.
const outcomeOfFlow = (recorder: Recorder, exit: Exit.Exit<unknown, unknown>): string => {
  const outcome = outcomeOf(exit)
  if (outcome === "interrupted" || outcome === "StreamInterrupted") return outcome
  return recorder.serving?.outcome ?? (outcome === "success" ? outcome : "interrupted")
}
