/**
 * The upstreams that the tests of the core and the policies call, and what they watch them with.
 */
import { assert } from "@effect/vitest"
import { Clock, Effect, type Exit, Metric, Stream } from "effect"
import { Llm, type Part, Receipt } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import type { Response } from "effect/ai"

export class OpenAi extends Provider.Service<OpenAi>()("openai") {}
export class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

export const openai = Llm.model(OpenAi, "gpt-5-mini")
export const anthropic = Llm.model(Anthropic, "claude-haiku-4-5")

/** What is asked where the question does not matter. */
export const question = { prompt: "How high is the Eiffel tower?" }

/** Keeps the receipts of the operations inside an effect. */
export const makeReceipts = () => {
  const seen: Array<Receipt.Receipt> = []
  return {
    seen,
    /** The one receipt there must be. */
    one: (): Receipt.Receipt => {
      assert.strictEqual(seen.length, 1)
      return seen[0]!
    },
    observe: <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Receipt.observe(effect, (receipt) => Effect.sync(() => seen.push(receipt)))
  }
}

/** Runs a stream to its end, and keeps what came before a failure, which `Stream.runCollect` would lose. */
export const collect = <A, E, R>(
  stream: Stream.Stream<A, E, R>
): Effect.Effect<{ readonly parts: Array<A>; readonly exit: Exit.Exit<void, E> }, never, R> =>
  Effect.suspend(() => {
    const parts: Array<A> = []
    return Effect.map(
      Effect.exit(Stream.runForEach(stream, (part) => Effect.sync(() => parts.push(part)))),
      (exit) => ({ parts, exit })
    )
  })

/** The visible text of decoded parts. */
export const textOf = (parts: ReadonlyArray<Response.AnyPart | Part.Decoded>): string =>
  parts.map((part) => part.type === "text-delta" ? part.delta : part.type === "text" ? part.text : "").join("")

/** Counts the timers and fibers that an effect leaves running. */
export interface Probe {
  readonly timers: () => number
  /** How many timers there have been. */
  readonly sleeps: () => number
  readonly fibers: () => number
  readonly watch: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const makeProbe: Effect.Effect<Probe> = Clock.clockWith((clock) =>
  Effect.sync(() => {
    let timers = 0
    let sleeps = 0
    let fibers = 0
    const counting: Clock.Clock = {
      ...clock,
      sleep: (duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            timers++
            sleeps++
          }),
          () => clock.sleep(duration),
          () => Effect.sync(() => void timers--)
        )
    }
    return {
      timers: () => timers,
      sleeps: () => sleeps,
      fibers: () => fibers,
      watch: (effect) =>
        effect.pipe(
          Effect.provideService(Clock.Clock, counting),
          Effect.provideService(Metric.FiberRuntimeMetrics, {
            recordFiberStart: () => void fibers++,
            recordFiberEnd: () => void fibers--
          })
        )
    }
  })
)
