/**
 * One policy inside another, on three bad days.
 */
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Breaker, Limiter, Llm, type Part, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../../core/support/stack.ts"
import { permitsTaken, policies, type PolicyName, type Stack } from "./policies.ts"

/** Counts what circuits are told. */
const countingBreaker = () => {
  const told = { Success: 0, Failure: 0, Ignored: 0 }
  const store = Layer.effect(
    Breaker.BreakerStore,
    Effect.map(Breaker.BreakerStore, (store): Breaker.BreakerStore["Service"] => ({
      ...store,
      record: (options) => {
        told[options.outcome]++
        return store.record(options)
      }
    }))
  ).pipe(Layer.provide(Breaker.layerStoreMemory()))
  return { told, layer: Breaker.layer({ trip: Breaker.consecutive(3) }).pipe(Layer.provide(store)) }
}

/** What a day looked like: requests to the first and the second provider, what circuits were told, and how the calls ended. */
export interface Day {
  readonly requests: readonly [openai: number, anthropic: number]
  readonly circuits: readonly [success: number, failure: number, ignored: number]
  readonly ends: ReadonlyArray<string>
}

const never = "still waiting"

const read = (llm: Stack, mode: "whole" | "stream") =>
  Effect.suspend(() => {
    const shown: Array<string> = []
    const see = (part: Part.Decoded): void => {
      if (part.type === "text-delta") shown.push(part.delta)
      else if (part.type === "retract") shown.push("<retract>")
    }
    const reading: Effect.Effect<void, unknown, Llm.Services<Stack>> = mode === "whole"
      ? Effect.map(Llm.generateText(llm, question), (answer) => void shown.push(answer.text))
      : Stream.runForEach(Llm.streamText(llm, question), (part) => Effect.sync(() => see(part)))
    return Effect.map(Effect.exit(reading), (exit) => ({ exit, shown: shown.join("") }))
  })

/** One day: so many calls, one after the other, each given an hour. */
const day = (
  pair: readonly [inner: PolicyName, outer: PolicyName],
  mode: "whole" | "stream",
  step: ScriptedProvider.Step,
  calls: number
) =>
  Effect.gen(function*() {
    const probe = yield* makeProbe
    const receipts = makeReceipts()
    const breaker = countingBreaker()
    const first = ScriptedProvider.make(OpenAi, () => step)
    const second = ScriptedProvider.make(Anthropic, () => ScriptedProvider.text("Bonjour"))
    const llm = policies[pair[1]](policies[pair[0]](openai))
    const ends: Array<string> = []
    let left = 0
    yield* Effect.gen(function*() {
      for (let call = 0; call < calls; call++) {
        const fiber = yield* read(llm, mode).pipe(
          receipts.observe,
          probe.watch,
          Effect.forkChild({ startImmediately: true })
        )
        // Not an hour at once: a circuit should not have forgotten the call before.
        yield* TestClock.adjust(calls > 1 ? "10 seconds" : "1 hour")
        const ended = fiber.pollUnsafe()
        yield* Fiber.interrupt(fiber)
        const receipt = receipts.seen[call]!
        ends.push(
          ended === undefined
            ? never
            : Exit.isSuccess(ended)
            ? `${ended.value.shown}${receipt.outcome === "success" ? "" : ` ${receipt.outcome}`}`.trim()
            : receipt.outcome
        )
        left += probe.timers() + probe.fibers() + (yield* permitsTaken(llm))
      }
    }).pipe(Effect.provide([
      breaker.layer,
      Limiter.layerMemory({ limits: { concurrency: 2 } }),
      RetryBudget.layerMemory(),
      first.layer,
      second.layer
    ]))
    const attempts = receipts.seen.reduce((sum, receipt) => sum + receipt.attempts.length, 0)
    return {
      day: {
        requests: [first.calls.length, second.calls.length],
        circuits: [breaker.told.Success, breaker.told.Failure, breaker.told.Ignored],
        ends
      } satisfies Day,
      /** What is still running, or held. */
      left,
      /** Requests that no receipt knows of. */
      unknown: first.calls.length + second.calls.length - attempts
    }
  })

/** The three days, by name. */
export const days = {
  overloaded: (pair: readonly [PolicyName, PolicyName]) => day(pair, "whole", ScriptedProvider.fail("Overloaded"), 4),
  silent: (pair: readonly [PolicyName, PolicyName]) => day(pair, "whole", ScriptedProvider.silence, 1),
  cut: (pair: readonly [PolicyName, PolicyName]) => day(pair, "stream", ScriptedProvider.breakOff(["330"]), 1)
}

export type DayName = keyof typeof days

/** `requests | what circuits were told | how the calls ended`. */
export const summary = ({ circuits, ends, requests }: Day): string => {
  const told = circuits.some((count) => count > 0) ? circuits.join("/") : "-"
  const all = ends.every((end) => end === ends[0]) && ends.length > 1
  return `${requests.join("+")} | ${told} | ${all ? `${ends.length} × ${ends[0]}` : ends.join(", ")}`
}
