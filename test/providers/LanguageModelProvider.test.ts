/**
 * How a `LanguageModel` is asked: what it is told, and what it cannot be told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Redacted, Stream } from "effect"
import { type Call, Llm, LlmError, Receipt } from "effect-bulwark"
import { LanguageModelProvider, OpenAiChat } from "effect-bulwark/providers"
import { Chat, type LanguageModel, Prompt, ResponseIdTracker, Tool, Toolkit } from "effect/ai"
import { FetchHttpClient } from "effect/http"
import * as Schema from "effect/Schema"
import { request } from "./support/request.ts"
import { asks, failureOf, finish, llm, modelOf, P, question, saying, type Script } from "./support/scriptedModel.ts"

const serving = (script: Script, options?: LanguageModelProvider.Options) =>
  LanguageModelProvider.layer(P, options).pipe(Layer.provide(modelOf(script)))

/** A model that keeps what its package would have sent. */
const spying = () => {
  const seen: Array<LanguageModel.ProviderOptions> = []
  const { stream, whole } = saying("330 m")
  const script: Script = {
    whole: (options) => {
      seen.push(options)
      return whole!(options)
    },
    stream: (options) => {
      seen.push(options)
      return stream!(options)
    }
  }
  return { seen, script }
}

describe("one model", () => {
  it.effect("answers whatever name it is asked by, whole and streamed", () =>
    Effect.gen(function*() {
      const other = Llm.model(P, "anything else")
      const [whole, streamed] = yield* Effect.all([
        Llm.generateText(other, question),
        Stream.runCollect(Llm.textDeltas(Llm.streamText(llm, question)))
      ]).pipe(Effect.provide(serving(saying("330 m"))))
      assert.strictEqual(whole.text, "330 m")
      assert.strictEqual(whole.usage.outputTokens.total, 3)
      assert.strictEqual(whole.receipt.attempts[0]?.model, "anything else")
      assert.deepStrictEqual(streamed, ["330 m"])
    }))

  it.effect("is made by hand under any name", () =>
    Effect.gen(function*() {
      const provider = yield* Effect.provide(LanguageModelProvider.make("by hand"), modelOf({}))
      const error = yield* failureOf(provider.whole(request({ settings: { seed: 1 } })))
      assert.strictEqual(error.provider, "by hand")
    }))

  it("refuses options that are not legal, at once", () => {
    const wrong = (options: object) => () => LanguageModelProvider.layer(P, options)
    assert.throws(wrong({ settings: ["temperature"] }), RangeError, "withRequest")
    assert.throws(wrong({ otherSettings: "drop" }), RangeError, "otherSettings")
    assert.throws(wrong({ quotaDomain: "planet" }), RangeError, "quotaDomain")
    assert.throws(() => LanguageModelProvider.layerModels(P, {}, { quotaDomain: "planet" as "model" }), RangeError)
    assert.throws(
      () => LanguageModelProvider.layerLookup(P, () => undefined, { quotaDomain: "planet" as "model" }),
      RangeError
    )
  })
})

describe("what a request says", () => {
  const Weather = Tool.make("Weather", {
    description: "The weather in a city",
    parameters: Schema.Struct({ day: Schema.DateTimeUtcFromString }),
    success: Schema.Struct({ celsius: Schema.Finite })
  })
  const Forecast = Tool.make("Forecast", { parameters: Schema.Struct({ day: Schema.String }) })
  const toolkit = Toolkit.make(Weather, Forecast)
  const handled: Array<unknown> = []
  const handlers = toolkit.toLayer({
    Weather: ({ day }) => Effect.sync(() => (handled.push(day.toJSON()), { celsius: 21 })),
    Forecast: () => Effect.void
  })

  for (
    const toolChoice of ["auto", "none", "required", { tool: "Weather" }, {
      mode: "required",
      oneOf: ["Weather"]
    }] as const
  ) {
    it.effect(`the messages, the tools, and the choice ${JSON.stringify(toolChoice)}`, () =>
      Effect.gen(function*() {
        const { script, seen } = spying()
        const prompt = Prompt.make([{ role: "system", content: "Be short." }, { role: "user", content: "Hello?" }])
        const options = { prompt, toolkit, toolChoice, disableToolCallResolution: true } as const
        yield* Llm.generateText(llm, options).pipe(Effect.provide(serving(script)))
        yield* Stream.runDrain(Llm.streamText(llm, options)).pipe(Effect.provide(serving(script)))
        const offered = typeof toolChoice === "object" && "oneOf" in toolChoice ? [Weather] : [Weather, Forecast]
        assert.strictEqual(seen.length, 2)
        for (const options of seen) {
          assert.deepStrictEqual(options.prompt, prompt)
          assert.deepStrictEqual(options.tools, offered)
          assert.deepStrictEqual(options.toolChoice, toolChoice)
          assert.deepStrictEqual(options.responseFormat, { type: "text" })
        }
      }))
  }

  it.effect("tools are run once, by the core, with the parameters as the model wrote them", () =>
    Effect.gen(function*() {
      handled.length = 0
      const day = "2026-02-03T00:00:00.000Z"
      const call = { type: "tool-call", id: "call_1", name: "Weather", params: { day } } as const
      const layer = Layer.merge(
        handlers,
        serving({
          whole: () => Effect.succeed([call, { ...finish, reason: "tool-calls" }]),
          stream: () => Stream.make(call, { ...finish, reason: "tool-calls" } as const)
        })
      )
      const whole = yield* Llm.generateText(llm, { ...question, toolkit }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(whole.toolCalls[0]?.params, { day })
      assert.deepStrictEqual(whole.toolResults[0]?.result, { celsius: 21 })
      const streamed = yield* Stream.runCollect(Llm.streamText(llm, { ...question, toolkit })).pipe(
        Effect.provide(layer)
      )
      assert.deepStrictEqual(streamed.map((part) => part.type), ["tool-call", "tool-result", "finish"])
      assert.deepStrictEqual(handled, [day, day])
    }))

  it.effect("calls that do not fit are the core's to judge, with what they cost", () =>
    Effect.gen(function*() {
      for (const call of [{ name: "Weather", params: { day: 1 } }, { name: "Nothing", params: {} }]) {
        const answer = () =>
          Effect.succeed([{ type: "tool-call" as const, id: "1", ...call }, {
            ...finish,
            reason: "tool-calls" as const
          }])
        const error = yield* failureOf(Llm.generateText(llm, { ...question, toolkit })).pipe(
          Effect.provide(Layer.merge(handlers, serving({ whole: answer })))
        )
        assert.strictEqual(error._tag, "InvalidOutput")
      }
    }))

  it.effect("approvals that nobody resolves are an invalid request", () =>
    Effect.gen(function*() {
      const prompt = Prompt.make([
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: [
            { type: "tool-call", id: "call_1", name: "Weather", params: { day: "x" }, providerExecuted: false },
            { type: "tool-approval-request", approvalId: "a", toolCallId: "call_1" }
          ]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a", approved: true }] }
      ])
      const withTools = (tools: ReadonlyArray<Tool.Any>) =>
        Effect.flatMap(P, (provider) => provider.whole(request({ prompt, tools })))
      for (const tools of [[], [Weather]]) {
        const error = yield* failureOf(withTools(tools)).pipe(Effect.provide(serving(saying("no"))))
        assert(error._tag === "InvalidRequest")
        assert.strictEqual(error.parameter, "prompt")
      }
    }))

  it.effect("the whole prompt, once, whatever a tracker takes for known", () =>
    Effect.gen(function*() {
      const { script, seen } = spying()
      const tracker = yield* ResponseIdTracker.make
      const identified: Script = {
        ...script,
        whole: (options) =>
          Effect.map(script.whole!(options), (parts) => [{ type: "response-metadata", id: "resp_1" }, ...parts])
      }
      yield* Effect.gen(function*() {
        const chat = yield* Chat.empty
        yield* chat.generateText({ prompt: "One?" })
        yield* chat.generateText({ prompt: "Two?" })
        yield* Stream.runDrain(chat.streamText({ prompt: "Three?" }))
      }).pipe(
        Effect.provideService(ResponseIdTracker.ResponseIdTracker, tracker),
        Effect.provide(Layer.provide(Llm.layerLanguageModel(llm), serving(identified)))
      )
      assert.deepStrictEqual(seen.map((options) => options.prompt.content.length), [1, 3, 5])
      for (const options of seen) {
        assert.isUndefined(options.incrementalPrompt)
        assert.isUndefined(options.previousResponseId)
      }
    }))
})

describe("settings", () => {
  class Config
    extends Context.Service<Config, { readonly model?: string; readonly temperature?: number | undefined }>()(
      "test/Config"
    )
  {}
  const configured = () => {
    const seen: Array<unknown> = []
    const read = Effect.map(Effect.serviceOption(Config), (config) => void seen.push(config))
    const { stream, whole } = saying("hi")
    const script: Script = {
      whole: (options) => Effect.andThen(read, whole!(options)),
      // Read when the stream is pulled, long after it has begun.
      stream: (options) => Stream.concat(Stream.fromEffectDrain(read), stream!(options))
    }
    return { seen, script }
  }
  const passing: LanguageModelProvider.Options = {
    settings: ["temperature"],
    withRequest: (answer, { model, settings }) =>
      Effect.provideService(answer, Config, { model, temperature: settings.temperature })
  }
  const each: { readonly [Name in keyof Required<Call.Settings>]: NonNullable<Call.Settings[Name]> } = {
    maxOutputTokens: 1,
    temperature: 0,
    topP: 0,
    stop: ["."],
    seed: 0,
    reasoningEffort: "low",
    extra: { user: "u" }
  }

  for (const [name, value] of Object.entries(each)) {
    it.effect(`${name} is refused where nothing passes it on`, () =>
      Effect.gen(function*() {
        for (const [, run] of asksWith({ [name]: value })) {
          const error = yield* failureOf(run).pipe(Effect.provide(serving({})))
          assert(error._tag === "InvalidRequest")
          assert.strictEqual(error.parameter, name)
          assert.strictEqual(error.provider, "p")
        }
      }))
  }

  const asksWith = (settings: Call.Settings) => [
    ["whole", Effect.asVoid(Llm.generateText(llm, { ...question, settings }))] as const,
    ["streamed", Stream.runDrain(Llm.streamText(llm, { ...question, settings }))] as const
  ]

  it.effect("are passed on with the model's name, until the end of a stream", () =>
    Effect.gen(function*() {
      const { script, seen } = configured()
      for (const [, run] of asksWith({ temperature: 0.5 })) yield* Effect.provide(run, serving(script, passing))
      const expected = { _tag: "Some", value: { model: "m", temperature: 0.5 } }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(seen)).map(({ value }: { value: unknown }) => value), [
        expected.value,
        expected.value
      ])
    }))

  it.effect("that the hook does not name are refused all the same, but not those that say nothing", () =>
    Effect.gen(function*() {
      const { script } = configured()
      const layer = serving(script, passing)
      for (const [, run] of asksWith({ temperature: 0.5, seed: 1 })) {
        const error = yield* failureOf(run).pipe(Effect.provide(layer))
        assert(error._tag === "InvalidRequest")
        assert.strictEqual(error.parameter, "seed")
        assert.include(error.message, "pass it on with `withRequest` and name it in `settings`")
      }
      for (const [, run] of asksWith({ stop: [], extra: {}, seed: undefined })) yield* Effect.provide(run, layer)
    }))

  it.effect("are left out where that is asked for", () =>
    Effect.gen(function*() {
      for (const [, run] of asksWith(each)) {
        yield* Effect.provide(run, serving(saying("hi"), { otherSettings: "ignore" }))
      }
    }))

  it.effect("can be refused by the hook", () =>
    Effect.gen(function*() {
      const refusal = new LlmError.InvalidRequest({ parameter: "temperature", problem: "too hot" })
      const layer = serving(saying("hi"), { settings: ["temperature"], withRequest: () => Effect.fail(refusal) })
      for (const [, run] of asksWith({ temperature: 2 })) {
        assert.strictEqual(yield* failureOf(run).pipe(Effect.provide(layer)), refusal)
      }
    }))
})

describe("around a model", () => {
  it.effect("interruption reaches it, whole and streamed", () =>
    Effect.gen(function*() {
      for (const [, run] of asks) {
        const ended = yield* Deferred.make<void>()
        const begun = yield* Deferred.make<void>()
        const silence = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(ended, undefined))
        )
        const layer = serving({ whole: () => silence, stream: () => Stream.fromEffect(silence) })
        const fiber = yield* run.pipe(Effect.provide(layer), Effect.forkChild({ startImmediately: true }))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* Deferred.isDone(ended))
      }
    }))

  it.effect("a reader that has had enough ends its stream", () =>
    Effect.gen(function*() {
      let released = false
      const layer = serving({
        stream: () =>
          Stream.make({ type: "text-delta", id: "0", delta: "a" } as const).pipe(
            Stream.concat(Stream.never),
            Stream.ensuring(Effect.sync(() => {
              released = true
            }))
          )
      })
      yield* Llm.streamText(llm, question).pipe(Stream.take(1), Stream.runDrain, Effect.provide(layer))
      assert.isTrue(released)
    }))

  it.effect("defects stay defects", () =>
    Effect.gen(function*() {
      const defect = new Error("a bug")
      for (const [, run] of asks) {
        const layer = serving({ whole: () => Effect.die(defect), stream: () => Stream.die(defect) })
        const exit = yield* Effect.exit(Effect.provide(run, layer))
        assert(Exit.isFailure(exit))
        assert.deepStrictEqual(exit.cause.reasons.map((reason) => reason._tag === "Die" && reason.defect), [defect])
      }
    }))

  it.effect("an Llm that is served as one leaves one receipt", () =>
    Effect.gen(function*() {
      const receipts: Array<Receipt.Receipt> = []
      const inner = Layer.provide(Llm.layerLanguageModel(llm), serving(saying("hi")))
      const outer = LanguageModelProvider.layer(P).pipe(Layer.provide(inner))
      for (const [, run] of asks) {
        yield* Receipt.observe(run, (receipt) => Effect.sync(() => receipts.push(receipt))).pipe(Effect.provide(outer))
      }
      assert.deepStrictEqual(receipts.map((receipt) => receipt.outcome), ["success", "success"])
    }))

  it("needs nothing but the model", () => {
    // An adapter of ours behind a `LanguageModel` behind an adapter: the layers fit.
    const layer: Layer.Layer<P> = LanguageModelProvider.layer(P).pipe(
      Layer.provide(Llm.layerLanguageModel(llm)),
      Layer.provide(OpenAiChat.layer(P, { apiKey: Redacted.make("sk-123456") })),
      Layer.provide(FetchHttpClient.layer)
    )
    assert.isTrue(Layer.isLayer(layer))
  })
})
