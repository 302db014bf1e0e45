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
import * as Tracer from "effect/Tracer"
import * as Attribution from "../Attribution.ts"
import type { Call, Request } from "../Call.ts"
import type { Llm } from "../Llm.ts"
import type { StreamInterrupted } from "../LlmError.ts"
import * as Opened from "../Opened.ts"
import * as Part from "../Part.ts"
import type { Plan } from "../Plan.ts"
import * as Receipt from "../Receipt.ts"
import { type OperationWatch, watch } from "./instrument.ts"
import { errorOf, outcomeOf, Recorder } from "./recorder.ts"

/** 48 random bits. */
const operationId = (random: Random.Random): string =>
  `op_${Math.floor(random.nextDoubleUnsafe() * 2 ** 48).toString(16).padStart(12, "0")}`

const makeCall = (
  fiber: Fiber.Fiber<unknown, unknown>,
  plan: Plan,
  mode: Call["mode"],
  request: Request,
  retractable: boolean
): Call => {
  const attribution = fiber.getRef(Attribution.Current)
  const id = operationId(fiber.getRef(Random.Random))
  const clock = fiber.getRef(Clock.Clock)
  const startedAt = clock.currentTimeMillisUnsafe()
  const watched = watch(fiber, { id, mode, request, attribution, plan, startedAt, refresh: false })
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
    recorder: new Recorder(id, attribution, clock, undefined, startedAt, watched)
  }
}

/** What runs within an operation hangs below its span. */
const below = <A, E, R>(
  operation: OperationWatch | undefined,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  operation?.span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, operation.span)

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
  Effect.withFiber((fiber) => {
    const observer = fiber.getRef(Receipt.Observer)
    let recorder: Recorder | undefined
    // It begins inside of what closes it: between two steps a fiber may be interrupted.
    const run = Effect.suspend(() => {
      const call = makeCall(fiber, llm.plan, "whole", request, true)
      recorder = call.recorder
      const opened = Effect.flatMap(Effect.scoped(llm.open(call)), (opened) => {
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
      return below(recorder.watch, opened)
    })
    return Effect.onExit(
      run,
      (exit) => recorder === undefined ? Effect.void : observer(recorder.close(outcomeOf(exit), errorOf(exit)))
    )
  })

/** Runs one call as a stream of its parts; `retractable` where the reader understands a `retract` part. */
export const runStream = <E, R>(
  llm: Llm<E, R>,
  request: Request,
  retractable: boolean
): Stream.Stream<Part.Part, E | StreamInterrupted, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(Effect.withFiber((fiber) => {
    const observer = fiber.getRef(Receipt.Observer)
    let recorder: Recorder | undefined
    let flowing = false
    let unopened: Exit.Exit<unknown, unknown> | undefined
    const open = Effect.suspend(() => {
      const call = makeCall(fiber, llm.plan, "stream", request, retractable)
      recorder = call.recorder
      return below(recorder.watch, llm.open(call))
    })
    // Registered before anything else, so that it runs after every attempt has ended, and whenever there is something to close.
    return Effect.andThen(
      Effect.addFinalizer((exit) => {
        if (recorder === undefined) return Effect.void
        // Whoever pulls by hand may have dealt with the failure, which is one all the same.
        return observer(
          flowing
            ? recorder.close(outcomeOfFlow(recorder, exit), errorOf(exit))
            : recorder.close(outcomeOf(unopened ?? exit), errorOf(unopened ?? exit))
        )
      }),
      Effect.onExit(
        Effect.map(open, (opened) => {
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
