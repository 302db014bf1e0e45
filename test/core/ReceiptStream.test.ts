import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { Llm, Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

const stack = openai.pipe(Llm.retry(Schedule.spaced("2 seconds")), Llm.orElse(anthropic))
const slowly = { delay: "1 second", between: "1 second" } as const

/** Reads a stream to where the reader wants to, for as long as it takes. */
const read = <A>(
  steps: ReadonlyArray<ScriptedProvider.Step>,
  use: (
    stream: Stream.Stream<string, Llm.Error<typeof stack>, OpenAi | Anthropic>
  ) => Effect.Effect<A, never, OpenAi | Anthropic>
) =>
  Effect.gen(function*() {
    const receipts = makeReceipts()
    const provider = ScriptedProvider.make(OpenAi, steps)
    const fiber = yield* use(Llm.textDeltas(Llm.streamText(stack, question))).pipe(
      receipts.observe,
      Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 minute")
    const value = yield* Fiber.join(fiber)
    return { value, receipt: receipts.one(), calls: provider.calls }
  })

describe("the receipt of a stream", () => {
  it.effect("of a whole answer says when it began and when it ended", () =>
    Effect.gen(function*() {
      const { receipt, value } = yield* read(
        [ScriptedProvider.fail("Overloaded"), ScriptedProvider.text(["a", "b"], slowly)],
        (stream) => collect(stream)
      )
      assert.deepStrictEqual(value.parts, ["a", "b"])
      assert.strictEqual(receipt.outcome, "success")
      assert.strictEqual(receipt.finishReason, "stop")
      // Parts come at 3 s (start), 4 s (a), 5 s (b), 6 s (end) and 7 s (finish).
      assert.deepStrictEqual(receipt.timings, { firstPartMillis: 4_000, totalMillis: 7_000 })
      assert.deepStrictEqual(receipt.attempts, [
        { provider: "openai", model: "gpt-5-mini", startMillis: 0, durationMillis: 0, outcome: "Overloaded" },
        {
          provider: "openai",
          model: "gpt-5-mini",
          startMillis: 2_000,
          durationMillis: 5_000,
          firstPartMillis: 2_000,
          outcome: "success",
          usage: { inputUncached: 10, inputCacheRead: 0, inputCacheWrite: 0, outputText: 2, outputReasoning: 0 }
        }
      ])
    }))

  it.effect("that was cut says so, and who had begun to answer", () =>
    Effect.gen(function*() {
      const { receipt, value } = yield* read([ScriptedProvider.breakOff(["a", "b"], "cut", slowly)], collect)
      assert.deepStrictEqual(value.parts, ["a", "b"])
      assert.isTrue(Exit.isFailure(value.exit))
      assert.strictEqual(receipt.outcome, "StreamInterrupted")
      assert.strictEqual(receipt.provider, "openai")
      assert.strictEqual(receipt.model, "gpt-5-mini")
      assert.isUndefined(receipt.finishReason)
      assert.deepInclude(receipt.attempts[0], { outcome: "StreamInterrupted", durationMillis: 3_000 })
    }))

  it.effect("that never began says what failed", () =>
    Effect.gen(function*() {
      const { receipt } = yield* read([ScriptedProvider.fail("InvalidRequest")], collect)
      assert.strictEqual(receipt.outcome, "InvalidRequest")
      assert.isUndefined(receipt.provider)
      assert.isUndefined(receipt.timings.firstPartMillis)
    }))

  it.effect("that the consumer left says interrupted, and when", () =>
    Effect.gen(function*() {
      const { calls, receipt, value } = yield* read(
        [ScriptedProvider.text(["a", "b", "c"], slowly)],
        (stream) => Effect.orDie(Stream.runCollect(Stream.take(stream, 1)))
      )
      assert.deepStrictEqual(value, ["a"])
      assert.strictEqual(receipt.outcome, "interrupted")
      assert.strictEqual(receipt.provider, "openai")
      assert.deepInclude(receipt.attempts[0], { outcome: "interrupted", durationMillis: 2_000 })
      assert.deepStrictEqual(receipt.timings, { firstPartMillis: 2_000, totalMillis: 2_000 })
      assert.strictEqual(calls[0]?.outcome, "interrupted")
    }))

  it.effect("that the consumer left after it had all arrived says success", () =>
    Effect.gen(function*() {
      const { receipt } = yield* read(
        [ScriptedProvider.text(["a", "b", "c"])],
        (stream) => Effect.orDie(Stream.runCollect(Stream.take(stream, 1)))
      )
      assert.strictEqual(receipt.outcome, "success")
    }))

  it.effect("whose consumer failed says interrupted: the call is not what failed", () =>
    Effect.gen(function*() {
      for (const problem of [Effect.fail({ _tag: "DiskFull" }), Effect.die(new Error("a bug in the consumer"))]) {
        const { receipt } = yield* read(
          [ScriptedProvider.text(["a", "b", "c"], slowly)],
          (stream) => Effect.exit(Stream.runForEach(stream, () => problem))
        )
        assert.strictEqual(receipt.attempts[0]?.outcome, "interrupted")
        assert.strictEqual(receipt.outcome, "interrupted")
      }
    }))

  it.effect("that was interrupted says so, before and after it began", () =>
    Effect.gen(function*() {
      for (const [seconds, provider] of [[1, undefined], [3, "openai"]] as const) {
        const receipts = makeReceipts()
        const fiber = yield* Stream.runDrain(Llm.streamText(openai, question)).pipe(
          receipts.observe,
          Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(["a", "b", "c"], slowly)])),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(seconds * 1_000)
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.strictEqual(receipts.one().outcome, "interrupted")
        assert.strictEqual(receipts.one().provider, provider)
        assert.strictEqual(receipts.one().attempts[0]?.outcome, "interrupted")
      }
    }))

  it.effect("that was interrupted over its last words says so, though they had all arrived", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const fiber = yield* Llm.streamText(openai, question).pipe(
        Stream.runForEach(() => Effect.never),
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("a")])),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(receipts.one().outcome, "interrupted")
      assert.strictEqual(receipts.one().attempts[0]?.outcome, "success")
    }))

  it.effect("is closed after the provider's stream is", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.text(["a", "b", "c"], slowly)])
      const seen: Array<string | undefined> = []
      const fiber = yield* Stream.runDrain(Stream.take(Llm.streamText(openai, question), 1)).pipe(
        Receipt.observe(() => Effect.sync(() => void seen.push(provider.calls[0]?.outcome))),
        Effect.provide(provider.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["interrupted"])
    }))

  it.effect("is one for each time it is run", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const stream = Llm.streamText(openai, question)
      yield* Effect.all([Stream.runCollect(stream), Stream.runCollect(stream)]).pipe(
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("a")))
      )
      assert.strictEqual(receipts.seen.length, 2)
      assert.notStrictEqual(receipts.seen[0]?.operationId, receipts.seen[1]?.operationId)
    }))

  it.effect("is none for a stream that nobody reads", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* Effect.asVoid(Effect.scoped(Stream.toPull(Llm.streamText(openai, question)))).pipe(
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, []))
      )
      assert.strictEqual(receipts.seen.length, 0)
    }))
})

describe("the receipt of a stream that is pulled by hand", () => {
  it.effect("says what it failed with, also where that was dealt with", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(Llm.streamText(openai, question))
        const exit = yield* Effect.exit(pull)
        assert.isTrue(Exit.isFailure(exit))
      })).pipe(
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("Overloaded")]))
      )
      assert.strictEqual(receipts.one().outcome, "Overloaded")
    }))
})
