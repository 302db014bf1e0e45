/**
 * A program under telemetry, run until it is over, with all that telemetry says of it.
 */
import { Effect, type Exit, Fiber, Layer, Metric, Tracer } from "effect"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, OpenAi } from "../../core/support/stack.ts"
import { makeTracer, type Numbers, numbers, since, type Tree } from "./recorded.ts"

export interface Scripts {
  readonly openai?: ScriptedProvider.Script
  readonly anthropic?: ScriptedProvider.Script
}

export interface Watched<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly trees: ReadonlyArray<Tree>
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  /** What it has counted. */
  readonly counted: Numbers
}

/** Runs a program for up to an hour, in which nothing takes time but what it waits for. */
export const watched = <A, E>(
  program: Effect.Effect<A, E, OpenAi | Anthropic>,
  scripts: Scripts = {},
  options?: Telemetry.Options
): Effect.Effect<Watched<A, E>> =>
  Effect.gen(function*() {
    const { spans, tracer, trees } = makeTracer()
    const openai = ScriptedProvider.make(OpenAi, scripts.openai ?? [])
    const anthropic = ScriptedProvider.make(Anthropic, scripts.anthropic ?? [])
    const before = yield* numbers
    const fiber = yield* program.pipe(
      Effect.provide([Telemetry.layer(options), openai.layer, anthropic.layer, Layer.succeed(Tracer.Tracer, tracer)]),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    const exit = yield* Fiber.await(fiber)
    const after = yield* numbers
    return { exit, trees: trees(), spans, counted: since(before, after) }
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
