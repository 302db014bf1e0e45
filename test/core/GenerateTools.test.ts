import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Layer, Schedule, Schema, Stream } from "effect"
import { Llm, LlmError, type Part } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { AiError, Tool, Toolkit } from "effect/ai"
import { fromToolError } from "../../src/core/internal/languageModel.ts"
import { finish } from "./support/chunked.ts"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question, textOf } from "./support/stack.ts"
import { handlers, Station, station, toolkit, UnknownCity } from "./support/weather.ts"

const tools = Layer.provide(handlers, Layer.succeed(Station, station))

/** What the model answers with; its secret must not be in any message. */
const call = (name: string, params: unknown) => ScriptedProvider.toolCall(name, params, { id: "call_1" })
const secret = "Atlant1s"

const generate = (...steps: ReadonlyArray<ScriptedProvider.Step>) =>
  Llm.generateText(openai, { ...question, toolkit }).pipe(
    Effect.provide([tools, ScriptedProvider.layer(OpenAi, steps)])
  )

const stream = (...steps: ReadonlyArray<ScriptedProvider.Step>) =>
  collect(Llm.streamText(openai, { ...question, toolkit })).pipe(
    Effect.provide([tools, ScriptedProvider.layer(OpenAi, steps)])
  )

describe("a text with tools", () => {
  it.effect("has the tools' results in it", () =>
    Effect.gen(function*() {
      const answer = yield* generate(call("Weather", { city: "Paris" }))
      assert.deepStrictEqual(answer.toolCalls.map((part) => [part.id, part.name, part.params]), [
        ["call_1", "Weather", { city: "Paris" }]
      ])
      assert.deepStrictEqual(answer.toolResults.map((part) => [part.id, part.isFailure, part.result]), [
        ["call_1", false, { celsius: 21 }]
      ])
      assert.strictEqual(answer.finishReason, "tool-calls")
      assert.strictEqual(answer.receipt.attempts.length, 1)
    }))

  it.effect("tells the provider of the tools, and of the choice", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("no tool needed"))
      const answer = yield* Effect.all([
        Llm.generateText(openai, { ...question, toolkit }),
        Llm.generateText(openai, { ...question, toolkit, toolChoice: { tool: "Weather" } }),
        Llm.generateText(openai, { ...question, toolkit, toolChoice: { oneOf: ["Forecast"] } })
      ]).pipe(Effect.provide([tools, provider.layer]))
      assert.deepStrictEqual(answer.map(({ text }) => text), Array(3).fill("no tool needed"))
      assert.deepStrictEqual(
        provider.calls.map(({ request }) => [request.toolChoice, request.tools.map((tool) => tool.name)]),
        [
          ["auto", ["Weather", "Forecast"]],
          [{ tool: "Weather" }, ["Weather", "Forecast"]],
          [{ oneOf: ["Forecast"] }, ["Forecast"]]
        ]
      )
    }))

  it.effect("fails as a handler fails, where the tool says so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate(call("Weather", { city: secret })))
      assert.instanceOf(error, UnknownCity)
      assert.deepInclude(error, { city: secret })
    }))

  it.effect("hands a handler's failure to the model, where the tool says so", () =>
    Effect.gen(function*() {
      const answer = yield* generate(call("Forecast", { city: secret }))
      const [result] = answer.toolResults
      assert.isTrue(result?.isFailure)
      assert.instanceOf(result?.result, UnknownCity)
    }))

  it.effect("is InvalidOutput when the model calls a tool that there is not", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate(call("Telephone", { number: secret })))
      assert(error._tag === "InvalidOutput")
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    }))

  it.effect("says nothing of what the model says a tool is called", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate(call(`${secret} is a city`, {})))
      assert(error._tag === "InvalidOutput")
      assert.notProperty(error, "toolName")
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    }))

  it("names a tool that effect/ai names only where it can be nothing but a name", () => {
    const named = ["Telephone", "x", `${secret} is a city`, "a".repeat(65), ""].map((toolName) =>
      fromToolError(AiError.make({
        module: "Toolkit",
        method: "handle",
        reason: new AiError.ToolNotFoundError({ toolName, availableTools: [] })
      })).toolName
    )
    assert.deepStrictEqual(named, ["Telephone", "x", undefined, undefined, undefined])
  })

  it.effect("is InvalidOutput when the model calls a tool with the wrong parameters", () =>
    Effect.gen(function*() {
      for (const params of [{ town: secret }, { city: 7, secret }, secret, null]) {
        const error = yield* Effect.flip(generate(call("Weather", params)))
        assert(error._tag === "InvalidOutput")
        assert.notInclude(JSON.stringify(error) + error.message, secret)
      }
    }))

  it.effect("is ToolFailed when a handler returns what its own schema does not allow", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(generate(call("Weather", { city: "Nowhere" })))
      assert(error._tag === "ToolFailed")
      assert.strictEqual(error.toolName, "Weather")
    }))

  it.effect("dies as a handler dies", () =>
    Effect.gen(function*() {
      const Bomb = Toolkit.make(Tool.make("Bomb", { success: Schema.String }))
      const exit = yield* Llm.generateText(openai, { ...question, toolkit: Bomb }).pipe(
        Effect.exit,
        Effect.provide([
          Bomb.toLayer({ Bomb: () => Effect.die(new Error("a bug in the tool")) }),
          ScriptedProvider.layer(OpenAi, [call("Bomb", {})])
        ])
      )
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }))

  it.effect("fails with the failures of the stack, unharmed by what lies between", () =>
    Effect.gen(function*() {
      const failure = new LlmError.ContextLengthExceeded({ limit: 8_192 })
      assert.strictEqual(yield* Effect.flip(generate(ScriptedProvider.fail(failure))), failure)
      class Mine extends Schema.TaggedError<Mine>()("Mine", {}) {}
      const mine = new Mine()
      const custom = Llm.make({ plan: openai.plan, open: () => Effect.fail(mine) })
      const errors = yield* Effect.all([
        Effect.flip(Llm.generateText(custom, { ...question, toolkit })),
        Effect.flip(Llm.generateObject(custom, { ...question, toolkit, schema: Schema.Struct({}) })),
        Effect.flip(Stream.runDrain(Llm.streamText(custom, { ...question, toolkit })))
      ]).pipe(Effect.provide(tools))
      assert.deepStrictEqual(errors.map((error) => error === mine), [true, true, true])
    }))

  it.effect("is retried and falls back like any other", () =>
    Effect.gen(function*() {
      const stack = openai.pipe(Llm.retry(Schedule.recurs(1)), Llm.orElse(anthropic))
      const answer = yield* Llm.generateText(stack, { ...question, toolkit }).pipe(Effect.provide([
        tools,
        ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("Overloaded"), ScriptedProvider.fail("Overloaded")]),
        ScriptedProvider.layer(Anthropic, [call("Weather", { city: "Paris" })])
      ]))
      assert.strictEqual(answer.toolResults.length, 1)
      assert.deepStrictEqual(answer.receipt.attempts.map((attempt) => attempt.outcome), [
        "Overloaded",
        "Overloaded",
        "success"
      ])
    }))

  it.effect("leaves tool calls alone where asked to", () =>
    Effect.gen(function*() {
      const answer = yield* Llm.generateText(openai, { ...question, toolkit, disableToolCallResolution: true }).pipe(
        Effect.provide([tools, ScriptedProvider.layer(OpenAi, [call("Weather", { city: secret })])])
      )
      assert.strictEqual(answer.toolCalls.length, 1)
      assert.strictEqual(answer.toolResults.length, 0)
    }))
})

describe("a stream with tools", () => {
  const types = (parts: ReadonlyArray<{ readonly type: string }>) => parts.map((part) => part.type)

  it.effect("has the tools' results among its parts, before the end", () =>
    Effect.gen(function*() {
      const { exit, parts } = yield* stream(ScriptedProvider.parts([
        { type: "tool-params-start", id: "call_1", name: "Weather" },
        { type: "tool-params-delta", id: "call_1", delta: `{"city":"Paris"}` },
        { type: "tool-params-end", id: "call_1" },
        { type: "tool-call", id: "call_1", name: "Weather", params: { city: "Paris" } },
        finish("tool-calls")
      ]))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(types(parts), [
        "tool-params-start",
        "tool-params-delta",
        "tool-params-end",
        "tool-call",
        "tool-result",
        "finish"
      ])
      const result = parts.find((part) => part.type === "tool-result")
      assert.deepStrictEqual(result?.result, { celsius: 21 })
    }))

  it.effect("runs tools while the answer still flows", () =>
    Effect.gen(function*() {
      const ran = yield* Deferred.make<void>()
      const Note = Toolkit.make(Tool.make("Note", { success: Schema.String }))
      const words: Array<Part.ProviderPart> = [
        { type: "tool-call", id: "call_1", name: "Note", params: {} },
        { type: "text-delta", id: "0", delta: "Noted." },
        finish("stop")
      ]
      // The provider waits for the tool before it goes on: were tools run at the end, this would never end.
      const provider = Layer.succeed(OpenAi, {
        whole: () => Effect.die("it streams"),
        stream: () =>
          Stream.fromIterable(words).pipe(
            Stream.rechunk(1),
            Stream.tap((part) => part.type === "finish" ? Deferred.await(ran) : Effect.void)
          )
      })
      const parts = yield* Stream.runCollect(Llm.streamText(openai, { ...question, toolkit: Note })).pipe(
        Effect.provide([Note.toLayer({ Note: () => Effect.as(Deferred.succeed(ran, undefined), "ok") }), provider])
      )
      assert.sameMembers(types(parts), ["tool-call", "text-delta", "tool-result", "finish"])
      assert.strictEqual(types(parts).at(-1), "finish")
    }))

  it.effect("fails with what went wrong with a tool", () =>
    Effect.gen(function*() {
      const cases = [
        [call("Weather", { city: secret }), "UnknownCity"],
        [call("Telephone", { number: secret }), "InvalidOutput"],
        [call("Weather", { town: secret }), "InvalidOutput"],
        [call("Weather", { city: "Nowhere" }), "ToolFailed"]
      ] as const
      for (const [step, tag] of cases) {
        const error = yield* Effect.flip((yield* stream(step)).exit)
        assert.strictEqual(error._tag, tag)
        assert.notInclude(error.message, secret)
      }
    }))

  it.effect("is interrupted like any other, after what it had said", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const { exit, parts } = yield* receipts.observe(stream(ScriptedProvider.breakOff(["330", " m"])))
      assert.strictEqual(textOf(parts), "330 m")
      assert.strictEqual((yield* Effect.flip(exit))._tag, "StreamInterrupted")
      assert.strictEqual(receipts.one().outcome, "StreamInterrupted")
    }))

  it.effect("does not begin again after a tool has run", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [{
        ...call("Weather", { city: "Paris" }),
        parts: call("Weather", { city: "Paris" }).parts.slice(0, 1),
        ending: "cut"
      }])
      const stack = openai.pipe(Llm.retry(Schedule.recurs(3)))
      const { exit } = yield* collect(Llm.streamText(stack, { ...question, toolkit })).pipe(
        Effect.provide([tools, provider.layer])
      )
      assert.strictEqual((yield* Effect.flip(exit))._tag, "StreamInterrupted")
      assert.strictEqual(provider.calls.length, 1)
    }))
})
