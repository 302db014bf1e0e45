/**
 * Collectors that hang, fail, refuse, break off or are slow: what they cost the calls is nothing, what is kept for them is bounded, and so
 * is how long they are waited for in the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Metric, Scope, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter } from "effect/observability"
import { TestClock } from "effect/testing"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { type Behaviour, type Receiver, receiver } from "./support/otlp.ts"
import * as Sdk from "./support/sdk.ts"

const behaviours: { readonly [name: string]: Behaviour } = {
  hangs: { _tag: "Hang" },
  "answers 503": { _tag: "Fail", status: 503 },
  "asks to wait for 1000 seconds": { _tag: "Fail", status: 429, retryAfter: 1_000 },
  "breaks off": { _tag: "Close" },
  "is slow": { _tag: "Slow", millis: 50 },
  refuses: { _tag: "Refuse" },
  accepts: { _tag: "Accept" }
}

const shutdownMillis = 1_000

const otlp = ({ url }: Receiver) =>
  Telemetry.layerOtlp({ baseUrl: url, resource: { serviceName: "shop" }, shutdownTimeout: shutdownMillis }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const sdk = ({ url }: Receiver) =>
  Layer.merge(
    Telemetry.layer(),
    Sdk.layer({ url, format: "protobuf", processor: "batch", shutdownTimeout: shutdownMillis })
  )

const ways: { readonly [name: string]: (receiver: Receiver) => Layer.Layer<OtlpExporter.Flusher> } = {
  layerOtlp: otlp,
  "layer beside NodeSdk": sdk
}

/** More than the exporters take in one batch, or keep. Each has two spans. */
const calls = 1_200

const call = Effect.map(Llm.generateText(openai, question), ({ text }) => text)

const provider = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("330 m"))

/** When the pieces of an answer come, from the beginning of the call. */
const arrivals = Effect.gen(function*() {
  const began = yield* Clock.currentTimeMillis
  const times: Array<number> = []
  const reading = yield* Stream.runForEach(
    Llm.textDeltas(Llm.streamText(openai, question)),
    () => Effect.map(Clock.currentTimeMillis, (now) => void times.push(now - began))
  ).pipe(
    Effect.provide(
      ScriptedProvider.layer(
        OpenAi,
        () => ScriptedProvider.text(["3", "3", "0"], { delay: "30 millis", between: "10 millis" })
      ),
      { local: true }
    ),
    Effect.forkChild({ startImmediately: true })
  )
  yield* TestClock.adjust("100 millis")
  yield* Fiber.join(reading)
  return times
})

/** Lets what is under way in real time go on: sockets, promises. */
const breathe = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))

/** Lets time pass, and everything that it leads to, until something is so. Fails where it is not so in that time. */
const passUntil = (what: string, millis: number, isSo: () => boolean) =>
  Effect.gen(function*() {
    const step = millis / 50
    for (let passed = 0; !isSo(); passed += step) {
      for (let turn = 0; turn < 5 && !isSo(); turn++) yield* breathe
      if (isSo()) return
      assert.isBelow(passed, millis, what)
      yield* TestClock.adjust(step)
    }
  })

/** Something that can be closed, and is at the end. */
const opened = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.merge(layer, provider), scope)
    // With the clock, the console and the metrics of the test.
    return { context: Context.merge(yield* Effect.context<never>(), context), scope }
  })

/**
 * Closes it, while time passes, and says how much has. (The layers of `NodeSdk` die of an exporter that has failed, as they close.)
 */
const closed = (scope: Scope.Closeable) =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* passUntil("it is closed", 5_000, () => closing.pollUnsafe() !== undefined)
    return (yield* Clock.currentTimeMillis) - before
  })

const test = (name: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.effect(name, () => Effect.provideService(Effect.suspend(body), Metric.MetricRegistry, new Map()))

describe.each(Object.entries(ways))("%s", (_, way) => {
  describe.each(Object.entries(behaviours))("to a collector that %s", (_, behaviour) => {
    test("costs calls not one turn, nor a moment", () =>
      Effect.gen(function*() {
        const collector = yield* receiver
        yield* collector.behave(behaviour)
        const { context, scope } = yield* opened(way(collector))
        // What waited for anything at all could not be run like this.
        const exit = Effect.runSyncExitWith(context)(Effect.forEach(Array.from({ length: calls }), () => call))
        assert.isTrue(Exit.isSuccess(exit))
        if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit.value, Array.from({ length: calls }, () => "330 m"))
        assert.strictEqual(yield* Clock.currentTimeMillis, 0)
        // And again, while what has been sent is under way, or has come to nothing.
        if (behaviour._tag !== "Refuse") {
          yield* passUntil("something is sent", 10_000, () => collector.received.requests.length > 0)
        }
        assert.isTrue(Exit.isSuccess(Effect.runSyncExitWith(context)(call)))
        assert.isAtMost(yield* closed(scope), shutdownMillis)
      }))

    test("holds nothing of a stream back", () =>
      Effect.gen(function*() {
        const collector = yield* receiver
        yield* collector.behave(behaviour)
        const { context, scope } = yield* opened(way(collector))
        const without = yield* arrivals
        assert.strictEqual(without.length, 3)
        // What is there already is on its way meanwhile.
        assert.isTrue(Exit.isSuccess(Effect.runSyncExitWith(context)(call)))
        yield* Effect.forkChild(Effect.provide(Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => flush), context))
        assert.deepStrictEqual(yield* Effect.provide(arrivals, context), without)
        assert.isAtMost(yield* closed(scope), shutdownMillis)
      }))
  })
})

describe("what is kept for a collector", () => {
  const seconds = 1_000

  const many = (context: Context.Context<OpenAi | OtlpExporter.Flusher>, times: number) =>
    assert.isTrue(
      Exit.isSuccess(
        Effect.runSyncExitWith(context)(Effect.forEach(Array.from({ length: times }), () => call, { discard: true }))
      )
    )

  const flushed = (context: Context.Context<OtlpExporter.Flusher>) =>
    Effect.provide(Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => flush), context)

  test("is dropped, and so is what comes in the minute after, where it fails", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const { received } = collector
      yield* collector.behave({ _tag: "Fail", status: 503 })
      const { context, scope } = yield* opened(otlp(collector))
      many(context, 10)
      const flushing = yield* Effect.forkChild(flushed(context), { startImmediately: true })
      yield* passUntil("it is given up", 30 * seconds, () => flushing.pollUnsafe() !== undefined)
      // Once, and three times again.
      assert.strictEqual(received.requests.filter(({ signal }) => signal === "traces").length, 4)

      const before = received.requests.length
      many(context, 5_000)
      for (let passed = 0; passed < 30; passed++) {
        yield* TestClock.adjust("1 second")
        yield* breathe
      }
      assert.strictEqual(received.requests.length, before)

      yield* collector.behave({ _tag: "Accept" })
      yield* TestClock.adjust("1 minute")
      many(context, 3)
      yield* passUntil("what is new comes", 30 * seconds, () => received.spans.length > 0)
      yield* closed(scope)
      assert.strictEqual(received.spans.length, 6)
      assert.deepStrictEqual(received.problems, [])
    }))

  test("is let go of where it hangs, and counts as a failure", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      yield* collector.behave({ _tag: "Hang" })
      const { context, scope } = yield* opened(otlp(collector))
      many(context, 2_500)
      // A request for each full batch: 5,000 spans, a thousand in each.
      yield* passUntil("they are sent", 5 * seconds, () => collector.held() >= 5)
      yield* passUntil("they are let go of", 60 * seconds, () => collector.held() === 0)
      const before = collector.received.requests.length
      many(context, 5_000)
      yield* TestClock.adjust("10 seconds")
      yield* breathe
      assert.deepStrictEqual([collector.held(), collector.received.requests.length], [0, before])
      assert.isAtMost(yield* closed(scope), shutdownMillis)
    }))

  test("is no more than the queue of the SDK holds", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const { context, scope } = yield* opened(sdk(collector))
      many(context, 5_000)
      yield* flushed(context)
      const { length } = collector.received.spans
      assert.isAtLeast(length, 2_048)
      // And the batch that was on its way.
      assert.isAtMost(length, 2_048 + 512)
      yield* closed(scope)
    }))

  test("goes out in batches of a thousand", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const { context, scope } = yield* opened(otlp(collector))
      many(context, 1_250)
      yield* flushed(context)
      yield* collector.waitFor("all spans", ({ spans }) => spans.length === 2_500 ? true : undefined)
      assert.strictEqual(collector.received.requests.filter(({ signal }) => signal === "traces").length, 3)
      yield* closed(scope)
    }))
})

describe("closing", () => {
  test("waits for a collector that hangs as long as it is told, for all signals together", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      yield* collector.behave({ _tag: "Hang" })
      const { context, scope } = yield* opened(otlp(collector))
      assert.isTrue(Exit.isSuccess(Effect.runSyncExitWith(context)(Effect.andThen(call, Effect.log("done")))))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* collector.waitFor("spans, metrics and logs", () => collector.held() === 3 ? true : undefined)
      yield* TestClock.adjust(shutdownMillis - 1)
      yield* breathe
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      assert.strictEqual(yield* Clock.currentTimeMillis, shutdownMillis)
      yield* collector.waitFor("the end of the requests", () => collector.held() === 0 ? true : undefined)
    }))
})
