import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Redacted, Schedule, Schema, Stream } from "effect"
import { Llm, LlmError, Part, Plan, Retry } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Answers from "./support/answers.ts"
import { chunked, cut, delta, finish } from "./support/chunked.ts"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question, textOf } from "./support/stack.ts"

const metadata: Part.Part = { type: "response-metadata", id: "r1", modelId: "gpt-5-mini-2025-08-07" }
const start: Part.Part = { type: "text-start", id: "0" }
const end: Part.Part = { type: "text-end", id: "0" }

/** Tells when the call inside has opened, and with what. */
const spied = (seen: Array<{ readonly at: number; readonly tag: string }>) =>
  Llm.make({
    plan: Plan.policy("spy", { children: [openai.plan] }),
    open: (call) =>
      Effect.flatMap(openai.open(call), (opened) =>
        Effect.map(Clock.currentTimeMillis, (at) => {
          seen.push({ at, tag: opened._tag })
          return opened
        }))
  })

const types = (parts: ReadonlyArray<{ readonly type: string }>) => parts.map((part) => part.type)

describe("opening a stream", () => {
  it.effect("ends with the first content part, and holds back what came before it", () =>
    Effect.gen(function*() {
      const opened: Array<{ readonly at: number; readonly tag: string }> = []
      const arrived: Array<readonly [number, string]> = []
      const provider = ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.parts([metadata, start, delta(""), delta("a"), delta("b"), end, finish()], {
          delay: "1 second",
          between: "1 second"
        })
      ])
      const fiber = yield* Llm.streamText(spied(opened), question).pipe(
        Stream.runForEach((part) => Effect.map(Clock.currentTimeMillis, (now) => void arrived.push([now, part.type]))),
        Effect.provide(provider),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("3999 millis")
      assert.deepStrictEqual(arrived, [])
      assert.deepStrictEqual(opened, [])
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(opened, [{ at: 4_000, tag: "Flow" }])
      assert.deepStrictEqual(arrived, [
        [4_000, "response-metadata"],
        [4_000, "text-start"],
        [4_000, "text-delta"],
        [4_000, "text-delta"],
        [5_000, "text-delta"],
        [6_000, "text-end"],
        [7_000, "finish"]
      ])
    }))

  const lengths = Schema.Array(Schema.Literals([1, 2, 3]))

  it.effect.prop("drops no part and changes no order, however the parts come", [Answers.answer, lengths], ([
    answer,
    lengths
  ]) => {
    const parts = [...Part.fromAnswer(answer.filter((part) => part.type !== "finish")), finish()]
    return Effect.map(
      collect(Llm.streamText(openai, question)).pipe(Effect.provide(chunked(OpenAi, cut(parts, lengths)))),
      (answered) => {
        assert.isTrue(Exit.isSuccess(answered.exit))
        assert.deepStrictEqual<ReadonlyArray<unknown>>(answered.parts, parts.map(Part.decode))
      }
    )
  })

  it.effect("is not over with empty deltas and markers: another model may still answer", () =>
    Effect.gen(function*() {
      const first = chunked(
        OpenAi,
        [[metadata], [start], [delta("")], [delta(""), end]],
        Effect.fail(new LlmError.Overloaded({}))
      )
      const second = ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("330 m")])
      const parts = yield* Llm.streamText(openai.pipe(Llm.orElse(anthropic)), question).pipe(
        Stream.runCollect,
        Effect.provide([first, second])
      )
      assert.deepStrictEqual(types(parts), ["text-start", "text-delta", "text-end", "finish"])
      assert.strictEqual(textOf(parts), "330 m")
    }))

  for (
    const part of [
      delta("a"),
      { type: "reasoning-delta", id: "0", delta: "hm" },
      { type: "tool-params-delta", id: "0", delta: "{" },
      { type: "tool-call", id: "0", name: "Weather", params: {} },
      { type: "file", mediaType: "image/png", data: "AAEC" }
    ] satisfies Array<Part.Part>
  ) {
    it.effect(`is over with a ${part.type}: no other model answers`, () =>
      Effect.gen(function*() {
        const first = chunked(OpenAi, [[metadata], [part]], Effect.fail(new LlmError.Overloaded({})))
        const second = ScriptedProvider.make(Anthropic, [])
        const answered = yield* collect(Llm.streamText(openai.pipe(Llm.orElse(anthropic)), question)).pipe(
          Effect.provide([first, second.layer])
        )
        assert.deepStrictEqual(types(answered.parts), ["response-metadata", part.type])
        assert.strictEqual(second.calls.length, 0)
        const error = yield* Effect.flip(answered.exit)
        assert.strictEqual(error._tag, "StreamInterrupted")
      }))
  }

  it.effect("retries a stream that ends without its finish part, whatever it sent before", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.parts([]),
        ScriptedProvider.parts([metadata, start, delta(""), end]),
        ScriptedProvider.text("330 m")
      ])
      const llm = openai.pipe(Llm.retry(Schedule.recurs(2)))
      const parts = yield* Llm.streamText(llm, question).pipe(
        Stream.runCollect,
        receipts.observe,
        Effect.provide(provider.layer)
      )
      assert.deepStrictEqual(types(parts), ["text-start", "text-delta", "text-end", "finish"])
      assert.deepStrictEqual(receipts.seen[0]?.attempts.map((attempt) => attempt.outcome), [
        "StreamInterrupted",
        "StreamInterrupted",
        "success"
      ])
    }))

  it.effect("says why a stream without content broke off, and with whom", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.parts([metadata]),
        ScriptedProvider.breakOff([], "cut")
      ])
      yield* Effect.gen(function*() {
        for (const reason of ["unfinished", "closed"]) {
          const error = yield* Effect.flip(Stream.runDrain(Llm.streamText(openai, question)))
          assert(error._tag === "StreamInterrupted")
          assert.strictEqual(error.reason, reason)
          assert.strictEqual(error.provider, "openai")
          assert.strictEqual(error.model, "gpt-5-mini")
          assert.strictEqual(Redacted.value(error.partial), "")
          assert.isUndefined(error.usage)
        }
      }).pipe(Effect.provide(provider))
    }))

  it.effect("takes an empty answer for an answer", () =>
    Effect.gen(function*() {
      const parts = yield* Llm.streamText(openai.pipe(Llm.retry(Retry.transient)), question).pipe(
        Stream.runCollect,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts([metadata, finish()])]))
      )
      assert.deepStrictEqual(types(parts), ["response-metadata", "finish"])
    }))

  it.effect("fails with a content filter that leaves no word, which is not retried", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.parts([metadata, start, delta(""), end, finish("content-filter")])
      ])
      const error = yield* Llm.streamText(openai.pipe(Llm.retry(Schedule.recurs(3))), question).pipe(
        Stream.runDrain,
        Effect.flip,
        Effect.provide(provider.layer)
      )
      assert(error._tag === "ContentFiltered")
      assert.strictEqual(error.stage, "answer")
      assert.strictEqual(error.provider, "openai")
      assert.strictEqual(error.model, "gpt-5-mini")
      assert.strictEqual(provider.calls.length, 1)
    }))

  it.effect("retries an answer that finishes with an error before it has said a word", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.parts([metadata, finish("error")]),
        ScriptedProvider.text("330 m")
      ])
      const parts = yield* Llm.streamText(openai.pipe(Llm.retry(Schedule.recurs(1))), question).pipe(
        Stream.runCollect,
        receipts.observe,
        Effect.provide(provider.layer)
      )
      assert.strictEqual(textOf(parts), "330 m")
      assert.deepStrictEqual(receipts.seen[0]?.attempts.map((attempt) => attempt.outcome), ["ServerError", "success"])
    }))

  it.effect("lets a defect of the provider through as it is", () =>
    Effect.gen(function*() {
      const defect = new Error("a bug in the adapter")
      const receipts = makeReceipts()
      const exit = yield* Llm.streamText(openai.pipe(Llm.retry(Schedule.recurs(3)), Llm.orElse(anthropic)), question)
        .pipe(
          Stream.runDrain,
          receipts.observe,
          Effect.exit,
          Effect.provide([
            chunked(OpenAi, [[metadata]], Effect.die(defect)),
            ScriptedProvider.layer(Anthropic, [])
          ])
        )
      assert(Exit.isFailure(exit))
      assert.deepStrictEqual(exit.cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect), [defect])
      assert.deepStrictEqual(receipts.seen.map((receipt) => receipt.outcome), ["defect"])
      assert.deepStrictEqual(receipts.seen[0]?.attempts.map((attempt) => attempt.outcome), ["defect"])
    }))

  it.effect("asks for nothing before somebody reads", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.text("a"), ScriptedProvider.text("b")])
      const stream = Llm.streamText(openai, question)
      yield* Effect.yieldNow
      assert.strictEqual(provider.calls.length, 0)
      // ... and asks anew for each reader.
      const texts = yield* Effect.all([Stream.runCollect(stream), Stream.runCollect(stream)]).pipe(
        Effect.provide(provider.layer)
      )
      assert.deepStrictEqual(texts.map(textOf), ["a", "b"])
    }))
})
