import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { Llm, LlmError, Opened, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"
import { chunked, cut, delta, finish, finishUsage } from "./support/chunked.ts"
import { collect, makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

describe("generateText", () => {
  it.effect("asks with the messages it is given, and for text", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("330 m"))
      const messages = Prompt.make([
        { role: "system", content: "Answer in one word." },
        { role: "user", content: [{ type: "text", text: "How high is the Eiffel tower?" }] }
      ])
      yield* Effect.provide(
        Effect.all([
          Llm.generateText(openai, question),
          Llm.generateText(openai, { prompt: messages }),
          Stream.runDrain(Llm.streamText(openai, { prompt: messages }))
        ]),
        provider.layer
      )
      assert.deepStrictEqual(provider.calls.map((call) => call.request.prompt), [
        Prompt.make(question.prompt),
        messages,
        messages
      ])
      for (const { request } of provider.calls) {
        assert.strictEqual(request.model, "gpt-5-mini")
        assert.deepStrictEqual(request.tools, [])
        assert.strictEqual(request.toolChoice, "none")
        assert.deepStrictEqual(request.responseFormat, { type: "text" })
      }
    }))

  it.effect("gives effect/ai's response", () =>
    Effect.gen(function*() {
      const answer = yield* Llm.generateText(openai, question).pipe(
        Effect.provide(ScriptedProvider.layer(OpenAi, [
          ScriptedProvider.parts([
            { type: "reasoning-start", id: "r" },
            { type: "reasoning-delta", id: "r", delta: "hm" },
            { type: "reasoning-end", id: "r" },
            delta("330"),
            delta(" m"),
            finish("length")
          ])
        ]))
      )
      assert.strictEqual(answer.text, "330 m")
      assert.strictEqual(answer.reasoningText, "hm")
      assert.strictEqual(answer.finishReason, "length")
      assert.strictEqual(answer.usage.outputTokens.text, 4)
      assert.instanceOf(answer, Llm.Answer)
    }))

  it.effect("fails with the failure of the provider, as it is", () =>
    Effect.gen(function*() {
      const failure = new LlmError.RateLimited({ provider: "openai", scope: "tokens" })
      const error = yield* Llm.generateText(openai, question).pipe(
        Effect.flip,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail(failure)]))
      )
      assert.strictEqual(error, failure)
    }))
})

describe("textDeltas", () => {
  it.effect("keeps what a reader sees, and the failure", () =>
    Effect.gen(function*() {
      const answered = yield* collect(Llm.textDeltas(Llm.streamText(openai, question))).pipe(
        Effect.provide(chunked(OpenAi, [
          [{ type: "reasoning-delta", id: "r", delta: "hm" }, delta("330")],
          [delta("")],
          [{ type: "file", mediaType: "image/png", data: "" }, delta(" m")]
        ]))
      )
      assert.deepStrictEqual(answered.parts, ["330", "", " m"])
      assert.strictEqual((yield* Effect.flip(answered.exit))._tag, "StreamInterrupted")
    }))

  it.effect("reads encoded parts as well", () =>
    Effect.gen(function*() {
      const texts = yield* Stream.runCollect(Llm.textDeltas(Stream.make(delta("a"), finish(), delta("b"))))
      assert.deepStrictEqual(texts, ["a", "b"])
    }))
})

describe("Llm.whole", () => {
  const llm = Llm.whole(openai)

  it.effect("fails with an answer that the output limit cut", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const error = yield* Llm.generateText(llm, question).pipe(
        Effect.flip,
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, [
          ScriptedProvider.parts([delta("330"), delta(" m"), finish("length")])
        ]))
      )
      assert(error._tag === "OutputTruncated")
      assert.strictEqual(Redacted.value(error.partial), "330 m")
      assert.deepStrictEqual(error.usage, finishUsage)
      assert.strictEqual(error.provider, "openai")
      assert.strictEqual(error.model, "gpt-5-mini")
      assert.strictEqual(receipts.one().outcome, "OutputTruncated")
      assert.deepStrictEqual(receipts.one().usage, finishUsage)
    }))

  it.effect("changes nothing else", () =>
    Effect.gen(function*() {
      for (const reason of ["stop", "tool-calls", "pause", "other", "unknown"] as const) {
        const provider = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.parts([delta("330"), finish(reason)]))
        const answer = yield* Effect.provide(Llm.generateText(llm, question), provider)
        assert.strictEqual(answer.finishReason, reason)
        const parts = yield* Effect.provide(Stream.runCollect(Llm.streamText(llm, question)), provider)
        assert.deepStrictEqual(parts.map((part) => part.type), ["text-delta", "finish"])
      }
    }))

  for (const pieces of [[1], [10]]) {
    it.effect(`interrupts a stream that the output limit cut (pieces of ${pieces})`, () =>
      Effect.gen(function*() {
        const receipts = makeReceipts()
        const answered = yield* collect(Llm.streamText(llm, question)).pipe(
          receipts.observe,
          Effect.provide(chunked(OpenAi, cut([delta("330"), delta(" m"), finish("length")], pieces)))
        )
        // A cut answer is never served as a whole one: the finish part does not come.
        assert.notInclude(answered.parts.map((part) => part.type), "finish")
        const error = yield* Effect.flip(answered.exit)
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "truncated")
        assert(error.failure?._tag === "OutputTruncated")
        assert.strictEqual(Redacted.value(error.failure.partial), "330 m")
        assert.strictEqual(Redacted.value(error.partial), "330 m")
        assert.deepStrictEqual(error.usage, finishUsage)
        assert.isFalse(LlmError.isTransient(error))
        assert.strictEqual(receipts.one().outcome, "StreamInterrupted")
        // What had been said has been delivered, in whatever pieces it came.
        assert.strictEqual(
          answered.parts.map((part) => part.type === "text-delta" ? part.delta : "").join(""),
          "330 m"
        )
      }))
  }

  it.effect("serves no cut answer for a whole one, whoever has given it", () =>
    Effect.gen(function*() {
      const others = (opened: Opened.Opened) =>
        Llm.whole(Llm.make({ plan: Plan.policy("kept", { children: [] }), open: () => Effect.succeed(opened) }))
      const parts = [delta("330"), finish("length")]
      const flow = yield* collect(Llm.streamText(others(Opened.flow(Stream.fromIterable(parts))), question))
      assert.deepStrictEqual(flow.parts.map((part) => part.type), ["text-delta"])
      const error = yield* Effect.flip(flow.exit)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "truncated")
      const truncated = yield* Effect.flip(Llm.generateText(others(Opened.whole(parts)), question))
      assert(truncated._tag === "OutputTruncated")
      assert.strictEqual(Redacted.value(truncated.partial), "330")
    }))

  it.effect("lets another model answer", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.parts([delta("330"), finish("length")]),
        ScriptedProvider.text("330 m")
      ])
      const answer = yield* Effect.provide(Llm.generateText(llm.pipe(Llm.orElse(openai)), question), provider)
      assert.strictEqual(answer.text, "330 m")
    }))
})
