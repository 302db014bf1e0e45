/**
 * What tests see of an `Llm` from outside: its parts, its calls, and how its stream broke off.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Redacted, Stream } from "effect"
import { type Call, Llm, LlmError, Opened, type Part, Plan } from "effect-bulwark"

/** An `Llm` that fails with this, without asking anybody. */
export const failing = <E>(error: E): Llm.Llm<E, never> =>
  Llm.make({ plan: Plan.policy("failing", { children: [] }), open: () => Effect.fail(error) })

/** Keeps the parts as they are handed on, before they are decoded. */
export const tapped = <E, R>(self: Llm.Llm<E, R>) => {
  const parts: Array<Part.Part> = []
  const llm = Llm.make({
    plan: self.plan,
    open: (call) =>
      Effect.map(
        self.open(call),
        (opened) => Opened.mapFlow(opened, Stream.tap((part) => Effect.sync(() => parts.push(part))))
      )
  })
  return { llm, parts }
}

/** Keeps the calls that are passed down. */
export const watched = <E, R>(self: Llm.Llm<E, R>) => {
  const calls: Array<Call.Call> = []
  const llm = Llm.make({
    plan: self.plan,
    open: (call) =>
      Effect.suspend(() => {
        calls.push(call)
        return self.open(call)
      })
  })
  return { llm, calls }
}

/** The interruption that a stream ended with. */
export const interruption = (exit: Exit.Exit<unknown, unknown>): LlmError.StreamInterrupted => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  assert(error?._tag === "Fail" && error.error instanceof LlmError.StreamInterrupted, "it is not interrupted")
  return error.error
}

/** What there is to know of an interruption. */
export const described = (error: LlmError.StreamInterrupted) => ({
  provider: error.provider,
  partial: Redacted.value(error.partial),
  reason: error.reason,
  failure: error.failure?._tag,
  usage: error.usage
})
