import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Schedule, Schema, Stream, Tracer } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { AiError, Chat, LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question, textOf } from "./support/stack.ts"
import { handlers, Station, station, toolkit } from "./support/weather.ts"

const tools = Layer.provide(handlers, Layer.succeed(Station, station))

const modelOver = (...steps: ReadonlyArray<ScriptedProvider.Step>) =>
  Layer.provide(Llm.layerLanguageModel(openai), ScriptedProvider.layer(OpenAi, steps))

describe("an Llm as effect/ai's LanguageModel", () => {
  it.effect("generates texts, objects and streams", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({ metres: Schema.Finite })
      const [text, object, parts] = yield* Effect.all([
        LanguageModel.generateText(question),
        LanguageModel.generateObject({ ...question, schema }),
        Stream.runCollect(LanguageModel.streamText(question))
      ]).pipe(Effect.provide(modelOver(
        ScriptedProvider.text("330 m"),
        ScriptedProvider.text(`{"metres":330}`),
        ScriptedProvider.text(["330", " m"])
      )))
      assert.strictEqual(text.text, "330 m")
      assert.strictEqual(text.usage.inputTokens.total, 10)
      assert.deepStrictEqual(object.value, { metres: 330 })
      assert.strictEqual(textOf(parts), "330 m")
      assert.deepStrictEqual(parts.map((part) => part.type), [
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish"
      ])
    }))

  it.effect("asks for a schema as the Llm itself does", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({ metres: Schema.optionalKey(Schema.Finite) })
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text(`{"metres":null}`))
      const object = yield* LanguageModel.generateObject({ ...question, schema, objectName: "height" }).pipe(
        Effect.provide(Layer.provide(Llm.layerLanguageModel(openai), provider.layer))
      )
      // Strict JSON schema has no optional properties: null stands for absent.
      assert.deepStrictEqual(object.value, {})
      const format = provider.calls[0]?.request.responseFormat
      assert(format?.type === "json")
      assert.strictEqual(format.objectName, "height")
      assert.strictEqual(format.schema, schema)
    }))

  it.effect("makes a chat with tools resilient without a changed line", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.fail("Overloaded"),
        ScriptedProvider.toolCall("Weather", { city: "Paris" }),
        ScriptedProvider.fail("ServerError"),
        ScriptedProvider.text("It is 21 °C.")
      ])
      const llm = openai.pipe(Llm.retry(Schedule.recurs(1)))
      const answer = yield* Effect.gen(function*() {
        const chat = yield* Chat.fromPrompt([{ role: "system", content: "You are a weather station." }])
        const first = yield* chat.generateText({ prompt: "What is the weather in Paris?", toolkit })
        assert.deepStrictEqual(first.toolResults[0]?.result, { celsius: 21 })
        return yield* chat.generateText({ prompt: "In words, please.", toolkit })
      }).pipe(Effect.provide([Layer.provide(Llm.layerLanguageModel(llm), provider.layer), tools]))
      assert.strictEqual(answer.text, "It is 21 °C.")
      assert.strictEqual(provider.calls.length, 4)
      // The history, with the tool's result, goes along with the second question.
      const roles = provider.calls[3]?.request.prompt.content.map((message) => message.role)
      assert.deepStrictEqual(roles, ["system", "user", "assistant", "tool", "user"])
    }))

  it.effect("fails with the reasons of an AiError", () =>
    Effect.gen(function*() {
      const failure = new LlmError.RateLimited({ provider: "openai", retryAfter: Duration.seconds(3) })
      const fiber = yield* Effect.all([
        Effect.flip(LanguageModel.generateText(question)),
        // The account has been told to wait by then.
        Effect.delay(Effect.flip(Stream.runDrain(LanguageModel.streamText(question))), "3 seconds")
      ]).pipe(
        Effect.provide(modelOver(ScriptedProvider.fail(failure), ScriptedProvider.fail(failure))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("3 seconds")
      const errors = yield* Fiber.join(fiber)
      for (const [index, method] of ["generateText", "streamText"].entries()) {
        const error = errors[index]
        assert(AiError.isAiError(error) && error.reason._tag === "RateLimitError")
        assert.strictEqual(error.method, method)
        assert.deepStrictEqual(error.reason.retryAfter, Duration.seconds(3))
        assert.deepStrictEqual<unknown>(error.reason.metadata, { bulwark: { tag: "RateLimited", provider: "openai" } })
      }
    }))

  it.effect("fails a stream that broke off, after what it had said", () =>
    Effect.gen(function*() {
      const { exit, parts } = yield* collect(LanguageModel.streamText(question)).pipe(
        Effect.provide(modelOver(ScriptedProvider.breakOff(["330"])))
      )
      assert.strictEqual(textOf(parts), "330")
      const error = yield* Effect.flip(exit)
      assert(AiError.isAiError(error))
      assert.strictEqual(error.reason._tag, "InternalProviderError")
    }))

  it.effect("leaves effect/ai's own errors as they are", () =>
    Effect.gen(function*() {
      const error = yield* LanguageModel.generateText({ ...question, toolkit }).pipe(
        Effect.flip,
        Effect.provide([modelOver(ScriptedProvider.toolCall("Weather", { town: "Paris" })), tools])
      )
      assert(AiError.isAiError(error))
      assert.strictEqual(error.reason._tag, "ToolParameterValidationError")
    }))

  it.effect("leaves a receipt with the caller's observer, by the caller's clock", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const outside = makeReceipts()
      const stack = openai.pipe(Llm.retry(Schedule.spaced("1 second")), Llm.orElse(anthropic))
      // Made under another observer, and used long after.
      const model = yield* Effect.provide(
        LanguageModel.LanguageModel,
        Layer.provide(Llm.layerLanguageModel(stack), [
          ScriptedProvider.layer(OpenAi, () => ScriptedProvider.fail("QuotaExhausted", { delay: "2 seconds" })),
          ScriptedProvider.layer(Anthropic, () => ScriptedProvider.text("330 m"))
        ])
      ).pipe(outside.observe)
      yield* TestClock.adjust("1 hour")
      const fiber = yield* Effect.all([model.generateText(question), Stream.runDrain(model.streamText(question))]).pipe(
        receipts.observe,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(outside.seen.length, 0)
      assert.deepStrictEqual(receipts.seen.map((receipt) => [receipt.startedAt, receipt.timings.totalMillis]), [
        [3_600_000, 2_000],
        [3_602_000, 2_000]
      ])
    }))

  it.effect("asks the upstreams it was made with, whatever the caller has of the same name", () =>
    Effect.gen(function*() {
      const strange = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("from elsewhere"))
      const model = yield* Effect.provide(
        LanguageModel.LanguageModel,
        modelOver(ScriptedProvider.text("330 m"), ScriptedProvider.text("330 m"))
      )
      const [text, parts] = yield* Effect.all([
        model.generateText(question),
        Stream.runCollect(model.streamText(question))
      ]).pipe(Effect.provide(strange.layer))
      assert.strictEqual(text.text, "330 m")
      assert.strictEqual(textOf(parts), "330 m")
      assert.strictEqual(strange.calls.length, 0)
    }))

  it.effect("does not hang later calls on the span in which it was made", () =>
    Effect.gen(function*() {
      const parents: Array<string | undefined> = []
      const spied = Llm.make({
        plan: openai.plan,
        open: (call) =>
          Effect.flatMap(
            Effect.contextWith((context: Context.Context<never>) =>
              Effect.succeed(Context.getOption(context, Tracer.ParentSpan))
            ),
            (span) => {
              const chain: Array<string> = []
              for (let at = span; at._tag === "Some" && at.value._tag === "Span"; at = at.value.parent) {
                chain.push(at.value.name)
              }
              parents.push(chain.join(" < "))
              return openai.open(call)
            }
          )
      })
      const model = yield* Effect.provide(
        LanguageModel.LanguageModel,
        Layer.provide(Llm.layerLanguageModel(spied), ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("a")))
      ).pipe(Effect.withSpan("start-up"))
      yield* Effect.withSpan(model.generateText(question), "request")
      yield* model.generateText(question)
      assert.deepStrictEqual(parents, ["LanguageModel.generateText < request", "LanguageModel.generateText"])
    }))

  it.effect("ends the request when the caller goes away", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.silence)
      const layer = Layer.provide(Llm.layerLanguageModel(openai), provider.layer)
      for (const run of [LanguageModel.generateText(question), Stream.runDrain(LanguageModel.streamText(question))]) {
        const fiber = yield* run.pipe(Effect.provide(layer), Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      }
      assert.deepStrictEqual(provider.calls.map((call) => call.outcome), ["interrupted", "interrupted"])
    }))
})
