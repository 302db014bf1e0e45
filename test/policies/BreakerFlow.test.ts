/**
 * Streams behind a circuit: their outcome is known at the end, and not before.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { Breaker, Llm, LlmError, Opened, type Part } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { delta, finish } from "../core/support/chunked.ts"
import { collect, makeProbe, OpenAi, openai, question, textOf } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"
const second = Duration.seconds(1)
const slowly = { delay: second, between: second } as const
const fails = (tag: LlmError.ProviderError["_tag"]) => ScriptedProvider.fail(tag)

/** A provider that does as it is told at the moment, behind a circuit that opens at once. */
const world = (options: Breaker.Options = { trip: Breaker.consecutive(1), openDuration: "10 seconds" }) => {
  const now: { step: ScriptedProvider.Step } = { step: fails("Overloaded") }
  const provider = ScriptedProvider.make(OpenAi, () => now.step)
  return {
    now,
    calls: provider.calls,
    layer: Layer.mergeAll(provider.layer, Breaker.layerMemory(options))
  }
}

const llm = openai.pipe(Breaker.guard())
const answer = Llm.streamText(llm, question)
const tagOf = (key: string) =>
  Effect.flatMap(Breaker.Breaker, (breaker) => Effect.map(breaker.state(key), (state) => state._tag))

/** Reads a stream in the background. */
const reading = Effect.forkChild(collect(answer), { startImmediately: true })

describe("an answer that flows", () => {
  it.effect("counts as a failure when it breaks off, and not before", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      for (const ending of ["cut", "Overloaded", "ServerError"] as const) {
        const breaker = yield* Breaker.Breaker
        yield* breaker.close(key)
        now.step = ScriptedProvider.breakOff(["a", "b"], ending, slowly)
        const fiber = yield* reading
        yield* TestClock.adjust("2999 millis")
        assert.strictEqual(yield* tagOf(key), "Closed")
        yield* TestClock.adjust("1 second")
        const { exit, parts } = yield* Fiber.join(fiber)
        assert.strictEqual(textOf(parts), "ab")
        assert.strictEqual((yield* Effect.flip(exit))._tag, "StreamInterrupted")
        assert.strictEqual(yield* tagOf(key), "Open", ending)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for as long an open time as the failure in it", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      now.step = ScriptedProvider.breakOff("a", new LlmError.Overloaded({ retryAfter: Duration.minutes(2) }))
      yield* collect(answer)
      const state = yield* Effect.flatMap(Breaker.Breaker, (breaker) => breaker.state(key))
      assert(state._tag === "Open")
      assert.deepStrictEqual(state.retryAfter, Duration.minutes(2))
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts as a failure when one of our limits cuts it off inside", () => {
    const { layer, now } = world()
    const limited = openai.pipe(Llm.timeout({ idle: "5 seconds" }), Breaker.guard())
    return Effect.gen(function*() {
      now.step = ScriptedProvider.breakOff("a", "stall", slowly)
      const fiber = yield* Effect.forkChild(collect(Llm.streamText(limited, question)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      const { exit } = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(yield* tagOf(key), "Open")
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts as a success when a policy on content, or our own demand for a whole one, ends it", () => {
    const { layer, now } = world({ trip: Breaker.consecutive(2), openDuration: "10 seconds" })
    const whole = Llm.whole(openai).pipe(Breaker.guard())
    return Effect.gen(function*() {
      const endings = [
        [llm, ScriptedProvider.parts([delta("a"), finish("content-filter")], slowly), "failed"],
        [whole, ScriptedProvider.parts([delta("a"), finish("length")], slowly), "truncated"]
      ] as const
      for (const [stack, step, reason] of endings) {
        now.step = fails("Overloaded")
        yield* collect(answer)
        now.step = step
        const fiber = yield* Effect.forkChild(collect(Llm.streamText(stack, question)), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        const error = yield* Effect.flip((yield* Fiber.join(fiber)).exit)
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, reason)
        // It is between two failures, which are not in a row.
        now.step = fails("Overloaded")
        yield* collect(answer)
        assert.strictEqual(yield* tagOf(key), "Closed")
        yield* Effect.flatMap(Breaker.Breaker, (breaker) => breaker.close(key))
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts as a success at its end, whether or not anybody pulls once more", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      for (
        const read of [
          Stream.runDrain(answer),
          Stream.runDrain(Stream.takeUntil(answer, (part) => part.type === "finish"))
        ]
      ) {
        now.step = fails("Overloaded")
        yield* collect(answer)
        yield* TestClock.adjust("10 seconds")
        now.step = ScriptedProvider.text(["a", "b"], slowly)
        const fiber = yield* Effect.forkChild(read, { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(yield* tagOf(key), "HalfOpen")
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* tagOf(key), "Closed")
        // Long enough for the count of openings to begin anew.
        yield* TestClock.adjust("10 seconds")
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts as a success also where it is all there at once", () => {
    const { layer, now } = world()
    const ready: ReadonlyArray<Part.Part> = [delta("a"), finish("stop")]
    return Effect.gen(function*() {
      const flows = [
        Opened.whole(ready),
        Opened.flow(Stream.fromIterable(ready)),
        // Whatever ends without a failure has ended well: how an answer may end is not the breaker's to say.
        Opened.flow(Stream.fromIterable(ready.slice(0, 1)))
      ]
      for (const opened of flows) {
        now.step = fails("Overloaded")
        yield* collect(answer)
        yield* TestClock.adjust("10 seconds")
        const stack = Llm.make({ plan: openai.plan, open: () => Effect.succeed(opened) }).pipe(Breaker.guard())
        yield* collect(Llm.streamText(stack, question))
        assert.strictEqual(yield* tagOf(key), "Closed")
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("says nothing when its reader goes away in the middle", () => {
    const { layer, now } = world({ trip: Breaker.consecutive(2), openDuration: "10 seconds" })
    return Effect.gen(function*() {
      const leavings = [
        Effect.asVoid(Stream.runDrain(Stream.take(answer, 2))),
        Effect.ignore(
          Stream.runForEach(
            answer,
            (part) => part.type === "text-delta" ? Effect.fail("a reader's own fault") : Effect.void
          )
        ),
        Effect.gen(function*() {
          const fiber = yield* reading
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.interrupt(fiber)
        })
      ]
      for (const leave of leavings) {
        now.step = fails("Overloaded")
        yield* collect(answer)
        now.step = ScriptedProvider.text(["a", "b", "c"], slowly)
        const fiber = yield* Effect.forkChild(leave, { startImmediately: true })
        yield* TestClock.adjust("2500 millis")
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* tagOf(key), "Closed")
        // Had it been a success, this would not be the second failure in a row.
        now.step = fails("Overloaded")
        yield* collect(answer)
        assert.strictEqual(yield* tagOf(key), "Open")
        yield* Effect.flatMap(Breaker.Breaker, (breaker) => breaker.close(key))
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps the slot of the probe until it has ended", () => {
    const { calls, layer, now } = world()
    return Effect.gen(function*() {
      yield* collect(answer)
      yield* TestClock.adjust("10 seconds")
      now.step = ScriptedProvider.text(["a", "b", "c"], slowly)
      const probe = yield* reading
      const others = yield* Effect.forEach(Array.from({ length: 999 }), () => reading)
      for (let n = 0; n < 4; n++) {
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip((yield* collect(answer)).exit))._tag, "CircuitOpen")
      }
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Exit.isSuccess((yield* Fiber.join(probe)).exit))
      for (const { exit } of yield* Fiber.joinAll(others)) {
        assert.strictEqual((yield* Effect.flip(exit))._tag, "CircuitOpen")
      }
      assert.strictEqual(calls.length, 2)
      assert.strictEqual(yield* tagOf(key), "Closed")
    }).pipe(Effect.provide(layer))
  })

  it.effect("frees the slot of the probe when its reader goes away, or never comes", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      yield* collect(answer)
      yield* TestClock.adjust("10 seconds")
      now.step = ScriptedProvider.text(["a", "b", "c"], slowly)
      const leaving = yield* Effect.forkChild(Stream.runDrain(Stream.take(answer, 2)), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(leaving)
      const state = yield* Effect.flatMap(Breaker.Breaker, (breaker) => breaker.state(key))
      assert(state._tag === "HalfOpen")
      assert.isFalse(state.probing)
      // Opened, and then nobody reads: the scope of the call ends it.
      let call: Parameters<typeof llm.open>[0] | undefined
      const noting = Llm.make({
        plan: openai.plan,
        open: (given) => {
          call = given
          return Effect.fail("not today")
        }
      })
      yield* collect(Llm.streamText(noting, question))
      const scope = yield* Scope.make()
      now.step = ScriptedProvider.text(["a", "b"])
      const opened = yield* Scope.provide(llm.open(call!), scope)
      assert.strictEqual(opened._tag, "Flow")
      assert.strictEqual((yield* Effect.flip((yield* collect(answer)).exit))._tag, "CircuitOpen")
      yield* Scope.close(scope, Exit.void)
      yield* collect(answer)
      assert.strictEqual(yield* tagOf(key), "Closed")
    }).pipe(Effect.provide(layer))
  })

  it.effect("opens the circuit again when the probe breaks off", () => {
    const { calls, layer, now } = world()
    return Effect.gen(function*() {
      yield* collect(answer)
      yield* TestClock.adjust("10 seconds")
      now.step = ScriptedProvider.breakOff("a")
      const { exit } = yield* collect(answer)
      assert.strictEqual((yield* Effect.flip(exit))._tag, "StreamInterrupted")
      assert.strictEqual(yield* tagOf(key), "Open")
      assert.strictEqual(calls.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts as slow from its first part on, and only once", () => {
    const { layer, now } = world({
      trip: Breaker.consecutive(2),
      openDuration: "10 seconds",
      slowFirstPart: "3 seconds"
    })
    return Effect.gen(function*() {
      now.step = { ...ScriptedProvider.breakOff(["a", "b", "c"], "cut"), delay: "4 seconds" }
      const fiber = yield* reading
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(fiber)
      // It was slow, and it broke off: one failure.
      assert.strictEqual(yield* tagOf(key), "Closed")
      yield* TestClock.adjust("1 second")
      now.step = { ...ScriptedProvider.text(["a", "b"]), delay: "4 seconds" }
      const again = yield* reading
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(again)
      assert.strictEqual(yield* tagOf(key), "Open")
    }).pipe(Effect.provide(layer))
  })

  it.effect("hands on every part as it comes", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      now.step = ScriptedProvider.text(["a", "b", "c"], slowly)
      const bare = yield* Effect.forkChild(collect(Llm.streamText(openai, question)), { startImmediately: true })
      const guarded = yield* reading
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* Fiber.join(guarded)).parts, (yield* Fiber.join(bare)).parts)
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts a defect of the stream against the provider", () => {
    const { layer } = world()
    return Effect.gen(function*() {
      const broken = Llm.make({
        plan: openai.plan,
        open: () =>
          Effect.succeed(Opened.flow(Stream.concat(
            Stream.make(delta("a")),
            Stream.die(new Error("a bug"))
          )))
      }).pipe(Breaker.guard())
      const { exit } = yield* collect(Llm.streamText(broken, question))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(yield* tagOf(key), "Open")
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves nothing behind, however it ends", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      const watched = probe.watch(collect(answer))
      const steps = [
        ScriptedProvider.text(["a", "b"]),
        ScriptedProvider.breakOff("a"),
        ScriptedProvider.text("a")
      ]
      for (const step of steps) {
        now.step = step
        yield* watched
        yield* TestClock.adjust("5 seconds")
      }
      yield* TestClock.adjust("5 seconds")
      now.step = ScriptedProvider.breakOff("a", "stall")
      const fiber = yield* Effect.forkChild(watched, { startImmediately: true })
      assert.strictEqual(yield* tagOf(key), "HalfOpen")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
      assert.strictEqual(probe.sleeps(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that is a full answer to the end is one outcome, also where it was cut on the way", () => {
    const { calls, layer, now } = world()
    const collected = openai.pipe(Llm.timeout({ idle: "5 seconds" }), Breaker.guard())
    return Effect.gen(function*() {
      now.step = ScriptedProvider.breakOff(["a", "b"])
      const error = yield* Effect.flip(Llm.generateText(collected, question))
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(Redacted.value(error.partial), "ab")
      assert.strictEqual(yield* tagOf(key), "Open")
      assert.strictEqual(calls.length, 1)
    }).pipe(Effect.provide(layer))
  })
})
