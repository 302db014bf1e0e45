/**
 * What a `LanguageModel` answers arrives as it was sent: whole, streamed, and as JSON of a schema.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Llm, type LlmError, type Part } from "effect-bulwark"
import { LanguageModelProvider } from "effect-bulwark/providers"
import { AiError, LanguageModel, type Response, Telemetry, Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import * as Answers from "../core/support/answers.ts"
import { collect } from "../core/support/stack.ts"
import { request } from "./support/request.ts"
import { finish, llm, modelOf, P, question, type Script } from "./support/scriptedModel.ts"

const anything = { parameters: Schema.Unknown, success: Schema.Unknown, failure: Schema.Unknown } as const

const tools: ReadonlyArray<Tool.Any> = [
  Tool.make("Weather", { ...anything, failureMode: "return" }),
  Tool.make("Lookup", { ...anything, failureMode: "return" })
]

const asked = request({ tools })

const providerOf = (script: Script) => Effect.provide(LanguageModelProvider.make("p"), modelOf(script))

const whole = (parts: ReadonlyArray<Response.PartEncoded>) =>
  Effect.flatMap(providerOf({ whole: () => Effect.succeed([...parts]) }), (provider) => provider.whole(asked))

const streamed = (parts: ReadonlyArray<Response.StreamPartEncoded>) =>
  Effect.flatMap(
    providerOf({ stream: () => Stream.fromIterable(parts) }),
    (provider) => Stream.runCollect(provider.stream(asked))
  )

/** What says no more than its absence is not sent along. */
const plain = (parts: ReadonlyArray<object>): Array<unknown> =>
  parts.map((part) =>
    Object.fromEntries(
      Object.entries(part).filter(([name, value]) =>
        !(name === "metadata" && Object.keys(value as object).length === 0) &&
        !((name === "providerExecuted" || name === "preliminary") && value === false)
      )
    )
  )

describe("parts", () => {
  it.effect.prop("of any full answer go through unchanged", [Answers.answer], ([answer]) =>
    Effect.gen(function*() {
      const end: ReadonlyArray<Part.AnswerPart> = answer.some((part) => part.type === "finish") ? [] : [finish]
      const sent = [...answer, ...end]
      const arrived = yield* whole(sent)
      assert.deepStrictEqual<unknown>(arrived, plain(sent))
      // Plain JSON, to be stored.
      assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(arrived)), plain(sent))
    }))

  it.effect.prop("of any stream go through unchanged", [Answers.streamParts], ([parts]) =>
    Effect.gen(function*() {
      const arrived = yield* streamed(parts)
      assert.deepStrictEqual<unknown>(arrived, plain(parts))
      assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(arrived)), plain(parts))
    }))

  it.effect("come as they were sent, not all at the end", () =>
    Effect.gen(function*() {
      const chunks: Array<number> = []
      const provider = yield* providerOf({
        stream: () =>
          Stream.fromArrays<ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded>>>(
            [{ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: "a" }],
            [{ type: "text-delta", id: "0", delta: "b" }],
            [{ type: "text-end", id: "0" }, finish]
          )
      })
      yield* Stream.runForEachArray(provider.stream(asked), (parts) => Effect.sync(() => chunks.push(parts.length)))
      assert.deepStrictEqual(chunks, [2, 1, 2])
    }))

  it.effect("of tools are encoded as their schemas say, files sent to the model included", () =>
    Effect.gen(function*() {
      const day = "2026-02-03T00:00:00.000Z"
      const Clock = Tool.make("Clock", { success: Schema.Struct({ day: Schema.DateTimeUtcFromString }) })
      const parts: Array<Response.PartEncoded> = [
        { type: "tool-call", id: "1", name: "Clock", params: {}, providerExecuted: true },
        {
          type: "tool-result",
          id: "1",
          name: "Clock",
          result: { day },
          isFailure: false,
          providerExecuted: true,
          modelOutput: [{ type: "text", text: "now", options: {} }, {
            type: "file",
            mediaType: "image/png",
            data: "AAEC",
            options: {}
          }]
        },
        finish
      ]
      const provider = yield* providerOf({ whole: () => Effect.succeed(parts) })
      const arrived = yield* provider.whole(request({ tools: [Clock] }))
      assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(arrived)), JSON.parse(JSON.stringify(parts)))
    }))

  it.effect("show no secret header", () =>
    Effect.gen(function*() {
      const headers = { "x-id": "1", "set-cookie": Redacted.make("sk-5ecret") }
      const [part] = yield* whole([{ ...finish, response: { status: 200, headers } }])
      assert(part?.type === "finish")
      assert.deepStrictEqual(part.response?.headers, { "x-id": "1", "set-cookie": "<redacted>" })
    }))

  it.effect("that effect/ai does not know are a malformed response", () =>
    Effect.gen(function*() {
      const strange = { type: "hologram" } as unknown as Response.FinishPartEncoded
      const hidden = { type: "tool-result", id: "1", name: "Unlisted", result: 1, isFailure: false } as const
      for (const part of [strange, hidden]) {
        assert.strictEqual((yield* Effect.flip(whole([part])))["_tag"], "MalformedResponse")
        assert.strictEqual((yield* Effect.flip(streamed([part])))["_tag"], "MalformedResponse")
      }
    }))
})

describe("the end of an answer", () => {
  it.effect("that is whole needs no finish part", () =>
    Effect.gen(function*() {
      const layer = LanguageModelProvider.layer(P).pipe(
        Layer.provide(modelOf({ whole: () => Effect.succeed([{ type: "text", text: "330 m" }]) }))
      )
      const answer = yield* Llm.generateText(llm, question).pipe(Effect.provide(layer))
      assert.strictEqual(answer.text, "330 m")
      assert.strictEqual(answer.finishReason, "unknown")
    }))

  it.effect("that is streamed does", () =>
    Effect.gen(function*() {
      const layer = LanguageModelProvider.layer(P).pipe(
        Layer.provide(modelOf({ stream: () => Stream.make({ type: "text-delta", id: "0", delta: "330" } as const) }))
      )
      const { exit, parts } = yield* collect(Llm.streamText(llm, question)).pipe(Effect.provide(layer))
      assert.strictEqual(parts.length, 1)
      const error: LlmError.ProviderError = yield* Effect.flip(exit)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "unfinished")
      assert.strictEqual(Redacted.value(error.partial), "330")
    }))
})

describe("JSON of a schema", () => {
  const schema = Schema.Struct({
    name: Schema.String,
    day: Schema.DateTimeUtcFromString,
    nick: Schema.optionalKey(Schema.String.annotate({ description: "What friends say" })),
    scores: Schema.Record(Schema.String, Schema.Finite),
    point: Schema.Tuple([Schema.Finite, Schema.Finite])
  }).annotate({ identifier: "Person" })

  // As strict JSON schema has it: nothing is optional, and there are neither records nor tuples.
  const text = JSON.stringify({
    name: "Ada",
    day: "2026-02-03T00:00:00.000Z",
    nick: null,
    scores: [{ 0: "chess", 1: 3 }],
    point: { 0: 1, 1: 2 }
  })

  const parts: Array<Response.PartEncoded> = [{ type: "text", text }, finish]

  const transformers: { readonly [name: string]: LanguageModel.CodecTransformer } = {
    "none of its own": LanguageModel.defaultCodecTransformer,
    "OpenAI's": toCodecOpenAI,
    "Anthropic's": toCodecAnthropic
  }

  const serving = (
    generateText: Parameters<typeof LanguageModel.make>[0]["generateText"],
    codecTransformer?: LanguageModel.CodecTransformer
  ) =>
    LanguageModelProvider.layer(P).pipe(Layer.provide(Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({ generateText, streamText: () => Stream.die("it streams no JSON"), codecTransformer })
    )))

  for (const [name, transform] of Object.entries(transformers)) {
    it.effect(`is asked for as our own adapters ask, and decodes, of a model with ${name} rewriting`, () =>
      Effect.gen(function*() {
        const seen: Array<LanguageModel.ProviderOptions["responseFormat"]> = []
        const layer = serving((options) =>
          Effect.sync(() => {
            seen.push(options.responseFormat)
            return parts
          }), transform)
        const answer = yield* Llm.generateObject(llm, { ...question, schema }).pipe(Effect.provide(layer))
        assert.strictEqual(answer.value.name, "Ada")
        assert.deepStrictEqual(answer.value.scores, { chess: 3 })
        assert.deepStrictEqual(answer.value.point, [1, 2])
        assert.isFalse("nick" in answer.value)
        assert.strictEqual(answer.text, text)
        const [format] = seen
        assert(format?.type === "json")
        assert.strictEqual(format.objectName, "Person")
        // What it sends is strict whichever way it rewrites it, and loses no description.
        // (Any schema is a codec here: what the model does with it is all that counts.)
        const { jsonSchema } = transform(format.schema as unknown as Schema.Codec<unknown>)
        const own = toCodecOpenAI(schema).jsonSchema
        if (transform !== toCodecAnthropic) assert.deepStrictEqual(jsonSchema["required"], own["required"])
        if (transform === toCodecOpenAI) assert.deepStrictEqual(jsonSchema, own)
        assert.include(JSON.stringify(jsonSchema), "What friends say")
        // The model itself finds nothing wrong with it.
        const { codec } = transform(format.schema as unknown as Schema.Codec<unknown>)
        yield* Schema.decodeEffect(Schema.fromJsonString(codec))(text)
      }))
  }

  it.effect("that has no strict form is asked for as it is", () =>
    Effect.gen(function*() {
      const either = Schema.Union([
        Schema.Struct({ a: Schema.String }),
        Schema.Struct({ b: Schema.optionalKey(Schema.Finite) })
      ])
      const layer = serving(() => Effect.succeed([{ type: "text", text: `{"b":1}` }, finish]))
      const answer = yield* Llm.generateObject(llm, { ...question, schema: either }).pipe(Effect.provide(layer))
      assert.deepStrictEqual<unknown>(answer.value, { b: 1 })
    }))

  it.effect("comes in one piece where it has to be streamed", () =>
    Effect.gen(function*() {
      const limited = llm.pipe(Llm.timeout({ idle: "1 minute" }))
      const answer = yield* Llm.generateObject(limited, { ...question, schema }).pipe(
        Effect.provide(serving(() => Effect.succeed(parts)))
      )
      assert.strictEqual(answer.value.name, "Ada")
    }))

  it.effect("that does not decode is an invalid output, with its text and what it cost", () =>
    Effect.gen(function*() {
      for (const said of [`{"name":1}`, "Ada, I think", ""]) {
        const error = yield* Llm.generateObject(llm, { ...question, schema }).pipe(
          Effect.flip,
          Effect.provide(serving(() => Effect.succeed([{ type: "text", text: said }, finish])))
        )
        assert(error._tag === "InvalidOutput")
        assert(error.text !== undefined)
        assert.strictEqual(Redacted.value(error.text), said)
        assert.strictEqual(error.usage?.outputText, 3)
      }
    }))

  it.effect("that was cut is a truncated output", () =>
    Effect.gen(function*() {
      const cut = [{ type: "text" as const, text: `{"name":"A` }, { ...finish, reason: "length" as const }]
      const error = yield* Llm.generateObject(llm, { ...question, schema }).pipe(
        Effect.flip,
        Effect.provide(serving(() => Effect.succeed(cut)))
      )
      assert(error._tag === "OutputTruncated")
      assert.strictEqual(Redacted.value(error.partial), `{"name":"A`)
    }))

  it.effect("can be calls of tools instead", () =>
    Effect.gen(function*() {
      const call = { type: "tool-call", id: "1", name: "Weather", params: 1 } as const
      const provider = yield* providerOf({ whole: () => Effect.succeed([call, finish]) })
      const responseFormat = { type: "json", objectName: "person", schema } as const
      assert.deepStrictEqual<unknown>(yield* provider.whole(request({ tools, responseFormat })), [call, finish])
    }))

  it.effect("leaves the caller's transformer of spans in force", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* Llm.generateObject(llm, { ...question, schema }).pipe(
        Effect.provideService(Telemetry.CurrentSpanTransformer, ({ response }) => {
          for (const part of response) seen.push(part.type)
        }),
        Effect.provide(serving(() => Effect.succeed(parts)))
      )
      assert.deepStrictEqual(seen, ["text", "finish"])
    }))

  it.effect("of a model that is not made by effect/ai's own constructor fails as its errors say", () =>
    Effect.gen(function*() {
      const reason = new AiError.StructuredOutputError({ description: "no", responseText: "Ada" })
      const failed = Effect.fail(AiError.make({ module: "M", method: "m", reason }))
      const base = yield* Effect.provide(LanguageModel.LanguageModel, modelOf({}))
      const model = LanguageModel.LanguageModel.of({ ...base, generateObject: () => failed as never })
      const error = yield* Llm.generateObject(llm, { ...question, schema }).pipe(
        Effect.flip,
        Effect.provide(
          LanguageModelProvider.layer(P).pipe(Layer.provide(Layer.succeed(LanguageModel.LanguageModel, model)))
        )
      )
      assert.strictEqual(error._tag, "MalformedResponse")
    }))
})
