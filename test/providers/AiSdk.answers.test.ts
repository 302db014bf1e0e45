/**
 * What AI SDK models answer, as parts.
 */
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider"
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError, Part, Receipt, type Usage } from "effect-bulwark"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { answer, asked, P, streamed, usage, v3, v4, whole } from "./support/aiSdkModel.ts"
import { calls, finishOf, ofType, text } from "./support/ask.ts"

const finish = (rest: object = {}): LanguageModelV4StreamPart => ({
  type: "finish",
  finishReason: { unified: "stop", raw: "end" },
  usage,
  ...rest
})

const ended = (unified: string, raw?: string) => ({ finishReason: { unified, raw } })

const streamedParts = (...parts: ReadonlyArray<unknown>) =>
  Effect.map(streamed(v4({ stream: parts as ReadonlyArray<LanguageModelV4StreamPart> }).model), (all) => [...all])

const wholeParts = (content: ReadonlyArray<unknown>, rest: object = {}) =>
  whole(v4({ generate: () => answer(content, rest) }).model)

const ownCall = (id: string, input: unknown, rest: object = {}) => ({
  type: "tool-call",
  toolCallId: id,
  toolName: "weather",
  input,
  ...rest
})

const openai = { openai: { a: 1 } }

/** Every piece of an answer that is the same whole and streamed, and the part it is. */
const pieces: ReadonlyArray<readonly [name: string, piece: object, part: Part.AnswerPart]> = [
  ["a file as base64", { type: "file", mediaType: "image/png", data: { type: "data", data: "AAAA" } }, {
    type: "file",
    mediaType: "image/png",
    data: "AAAA"
  }],
  [
    "a file as bytes",
    {
      type: "file",
      mediaType: "a/b",
      data: { type: "data", data: new Uint8Array([0, 0, 0]) },
      providerMetadata: openai
    },
    { type: "file", mediaType: "a/b", data: "AAAA", metadata: openai }
  ],
  [
    "a file inside its address",
    { type: "file", mediaType: "a/b", data: { type: "url", url: new URL("data:a/b;base64,AAAA") } },
    { type: "file", mediaType: "a/b", data: "AAAA" }
  ],
  [
    "a file that stands elsewhere",
    { type: "file", mediaType: "a/b", data: { type: "url", url: new URL("https://example.com/x") } },
    {
      type: "source",
      sourceType: "url",
      id: "https://example.com/x",
      url: "https://example.com/x",
      title: "https://example.com/x",
      metadata: { aiSdk: { mediaType: "a/b" } }
    }
  ],
  [
    "a file of a thought",
    { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AAAA" }, providerMetadata: openai },
    { type: "file", mediaType: "image/png", data: "AAAA", metadata: { ...openai, aiSdk: { reasoning: true } } }
  ],
  ["a file, as v3 has it", { type: "file", mediaType: "a/b", data: "AAAA" }, {
    type: "file",
    mediaType: "a/b",
    data: "AAAA"
  }],
  ["bytes, as v3 has them", { type: "file", mediaType: "a/b", data: new Uint8Array([0, 0, 0]) }, {
    type: "file",
    mediaType: "a/b",
    data: "AAAA"
  }],
  ["a page", { type: "source", sourceType: "url", id: "s", url: "https://a.example/", title: "A" }, {
    type: "source",
    sourceType: "url",
    id: "s",
    url: "https://a.example/",
    title: "A"
  }],
  ["a page without a title", { type: "source", sourceType: "url", id: "s", url: "https://a.example/" }, {
    type: "source",
    sourceType: "url",
    id: "s",
    url: "https://a.example/",
    title: "https://a.example/"
  }],
  [
    "a document",
    {
      type: "source",
      sourceType: "document",
      id: "s",
      mediaType: "a/b",
      title: "A",
      filename: "a",
      providerMetadata: openai
    },
    { type: "source", sourceType: "document", id: "s", mediaType: "a/b", title: "A", fileName: "a", metadata: openai }
  ],
  [
    "a call that the provider answers",
    ownCall("1", "{\"q\":1}", { providerExecuted: true, providerMetadata: openai }),
    { type: "tool-call", id: "1", name: "weather", params: { q: 1 }, providerExecuted: true, metadata: openai }
  ],
  ["such a call that is no JSON", ownCall("1", "q", { providerExecuted: true }), {
    type: "tool-call",
    id: "1",
    name: "weather",
    params: "q",
    providerExecuted: true
  }],
  [
    "the provider's result",
    { type: "tool-result", toolCallId: "1", toolName: "weather", result: { a: [1] }, providerMetadata: openai },
    {
      type: "tool-result",
      id: "1",
      name: "weather",
      result: { a: [1] },
      isFailure: false,
      providerExecuted: true,
      metadata: openai
    }
  ],
  [
    "a result that is a failure, and not the last",
    { type: "tool-result", toolCallId: "1", toolName: "weather", result: "no", isError: true, preliminary: true },
    {
      type: "tool-result",
      id: "1",
      name: "weather",
      result: "no",
      isFailure: true,
      providerExecuted: true,
      preliminary: true
    }
  ],
  ["a request for approval", { type: "tool-approval-request", approvalId: "a", toolCallId: "1" }, {
    type: "tool-approval-request",
    approvalId: "a",
    toolCallId: "1"
  }],
  [
    "what only the provider understands",
    { type: "custom", kind: "openai.compaction", providerMetadata: openai },
    { type: "text", text: "", metadata: { ...openai, aiSdk: { custom: "openai.compaction" } } }
  ]
]

describe("parts", () => {
  for (const [name, piece, part] of pieces) {
    it.effect(`are read: ${name}`, () =>
      Effect.gen(function*() {
        const [first, last, ...more] = yield* wholeParts([piece])
        assert.deepStrictEqual(first, part)
        assert.strictEqual(last?.type, "finish")
        assert.lengthOf(more, 0)
        const [same] = Part.toAnswer(yield* streamedParts(piece, finish()))
        assert.deepStrictEqual(same, part)
        // All of it is understood by whoever reads decoded parts.
        for (const each of yield* streamedParts(piece, finish())) Part.decode(each)
      }))
  }

  it.effect("that are not known, or not readable, are named at the end", () =>
    Effect.gen(function*() {
      const unread = [
        { type: "video", data: "x" },
        { type: "file", mediaType: "a/b", data: "not base64" },
        { type: "file" },
        { type: "source", sourceType: "url", id: "s", url: "no url" },
        { type: "tool-result" },
        { type: "tool-approval-request" },
        { type: "custom" },
        { type: "tool-call", providerExecuted: true },
        { type: "two words" },
        {},
        null
      ]
      const ignored = [
        "video",
        "file",
        "source",
        "tool-result",
        "tool-approval-request",
        "custom",
        "tool-call",
        "unknown"
      ]
      const [only, ...more] = yield* streamedParts({ type: "raw", rawValue: {} }, { type: "ping" }, ...unread, finish())
      assert(only?.type === "finish")
      assert.lengthOf(more, 0)
      assert.deepInclude(only.metadata?.["aiSdk"], { ignoredParts: ignored })
      const answered = yield* wholeParts(unread)
      assert.deepStrictEqual(finishOf(answered).metadata?.["aiSdk"], {
        finishReason: "stop",
        usage: { in: 10, out: 5 },
        ignoredParts: ignored
      })
    }))
})

describe("texts and thoughts", () => {
  it.effect("are read as they come", () =>
    Effect.gen(function*() {
      const parts = yield* streamedParts(
        { type: "stream-start", warnings: [{ type: "unsupported", feature: "seed" }] },
        { type: "response-metadata", id: "r", modelId: "served", timestamp: new Date(0) },
        { type: "reasoning-start", id: "0", providerMetadata: openai },
        { type: "reasoning-delta", id: "0", delta: "Hm" },
        { type: "reasoning-delta", id: "0", delta: "", providerMetadata: { anthropic: { signature: "s" } } },
        { type: "reasoning-end", id: "0" },
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "" },
        { type: "text-delta", id: "0", delta: "hi" },
        { type: "text-end", id: "0", citations: [{ source: { id: "s" }, startIndex: 0 }] },
        finish({ providerMetadata: { openai: { tier: "flex", gone: undefined } } })
      )
      assert.deepStrictEqual<unknown>(parts, [
        { type: "response-metadata", id: "r", modelId: "served", timestamp: "1970-01-01T00:00:00.000Z" },
        { type: "reasoning-start", id: "0", metadata: openai },
        { type: "reasoning-delta", id: "0", delta: "Hm" },
        { type: "reasoning-delta", id: "0", delta: "", metadata: { anthropic: { signature: "s" } } },
        { type: "reasoning-end", id: "0" },
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "hi" },
        { type: "text-end", id: "0", metadata: { aiSdk: { citations: [{ source: { id: "s" }, startIndex: 0 }] } } },
        {
          type: "finish",
          reason: "stop",
          usage: {
            inputTokens: { uncached: 6, total: 10, cacheRead: 3, cacheWrite: 1 },
            outputTokens: { total: 5, text: 3, reasoning: 2 }
          },
          response: undefined,
          metadata: {
            openai: { tier: "flex" },
            aiSdk: {
              finishReason: "end",
              usage: { in: 10, out: 5 },
              warnings: [{ type: "unsupported", feature: "seed" }]
            }
          }
        }
      ])
      for (const part of parts) Part.decode(part)
    }))

  it.effect("are the same whole", () =>
    Effect.gen(function*() {
      const parts = yield* wholeParts([
        { type: "reasoning", text: "Hm", providerMetadata: openai },
        { type: "text", text: "hi", citations: [{ source: { id: "s" } }] },
        { type: "text", text: "" }
      ], { response: { id: "r", modelId: "served", timestamp: new Date(Number.NaN), headers: {} } })
      assert.deepStrictEqual<unknown>(parts.slice(0, -1), [
        { type: "response-metadata", id: "r", modelId: "served" },
        { type: "reasoning", text: "Hm", metadata: openai },
        { type: "text", text: "hi", metadata: { aiSdk: { citations: [{ source: { id: "s" } }] } } },
        { type: "text", text: "" }
      ])
    }))

  it.effect("need no beginning and no end, and may use an id again", () =>
    Effect.gen(function*() {
      const parts = yield* streamedParts(
        { type: "text-delta", id: "t", delta: "one" },
        { type: "text-start", id: "t" },
        { type: "text-delta", id: "t", delta: "two" },
        { type: "reasoning-delta", id: "t", delta: "hm" },
        finish()
      )
      assert.deepStrictEqual(Part.toAnswer(parts).slice(0, -1), [
        { type: "text", text: "one" },
        { type: "text", text: "two" },
        { type: "reasoning", text: "hm" }
      ])
      assert.lengthOf(ofType(parts, "text-end"), 2)
      assert.lengthOf(ofType(parts, "reasoning-end"), 1)
    }))

  it.effect("that are drafts of JSON are left out where the model says which is the answer", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({ name: Schema.String })
      const content = [{ type: "text", text: "draft" }, { type: "reasoning", text: "hm" }, {
        type: "text",
        text: "last"
      }]
      const { model } = v4({ generate: () => answer(content, { structuredOutputText: "{\"name\":\"Bern\"}" }) })
      const llm = Llm.model(P, "model-x")
      yield* Effect.gen(function*() {
        const object = yield* Llm.generateObject(llm, { prompt: "Where?", schema })
        assert.deepStrictEqual(object.value, { name: "Bern" })
        assert.strictEqual((yield* Llm.generateText(llm, { prompt: "Where?" })).text, "draftlast")
      }).pipe(Effect.provide(AiSdk.layer(P, model)))
    }))
})

describe("calls", () => {
  const input = (id: string, rest: object = {}) => ({ type: "tool-input-start", id, toolName: "weather", ...rest })

  it.effect("are handed on at the end", () =>
    Effect.gen(function*() {
      const parts = yield* streamedParts(
        input("1", { providerMetadata: openai }),
        { type: "tool-input-delta", id: "1", delta: "{\"city\":" },
        { type: "tool-input-delta", id: "1", delta: "\"Bern\"}" },
        { type: "tool-input-end", id: "1" },
        ownCall("1", "{\"city\":\"Bern\"}", { providerMetadata: openai }),
        ownCall("2", ""),
        { type: "text-delta", id: "t", delta: "one moment" },
        finish(ended("tool-calls"))
      )
      assert.deepStrictEqual(parts.map(({ type }) => type), [
        "tool-params-start",
        "tool-params-delta",
        "tool-params-delta",
        "tool-params-end",
        "text-start",
        "text-delta",
        "text-end",
        "tool-call",
        "tool-call",
        "finish"
      ])
      assert.deepStrictEqual(calls(parts), [
        { id: "1", name: "weather", params: { city: "Bern" } },
        { id: "2", name: "weather", params: {} }
      ])
      assert.deepStrictEqual(ofType(parts, "tool-call")[0]?.metadata, openai)
      assert.strictEqual(finishOf(parts).reason, "tool-calls")
    }))

  it.effect("whose parameters come as a text are JSON all the same", () =>
    Effect.gen(function*() {
      const words = "say \"hi\"\n\u{1F600} \\"
      const parts = yield* streamedParts(
        input("1", { inputEncoding: "text" }),
        ...words.split("").map((delta) => ({ type: "tool-input-delta", id: "1", delta })),
        { type: "tool-input-end", id: "1" },
        ownCall("1", JSON.stringify(words)),
        finish()
      )
      const written = ofType(parts, "tool-params-delta").map(({ delta }) => delta).join("")
      assert.strictEqual(JSON.parse(written), words)
      assert.deepStrictEqual(calls(parts), [{ id: "1", name: "weather", params: words }])
    }))

  it.effect("stand where they stand in a whole answer", () =>
    Effect.gen(function*() {
      const parts = yield* wholeParts([ownCall("1", "{}"), { type: "text", text: "hi" }])
      assert.deepStrictEqual(parts.map(({ type }) => type), ["tool-call", "text", "finish"])
      assert.strictEqual(finishOf(parts).reason, "tool-calls")
    }))

  it.effect("with parameters that are no JSON are a malformed answer, never one to run", () =>
    Effect.gen(function*() {
      for (const broken of ["{\"city\":", "Bern", undefined]) {
        const runs: ReadonlyArray<Effect.Effect<unknown, LlmError.ProviderError>> = [
          streamedParts(ownCall("1", broken), finish()),
          wholeParts([ownCall("1", broken)])
        ]
        for (const run of runs) {
          const error = yield* Effect.flip(run)
          assert(error._tag === "MalformedResponse")
          assert.notInclude(error.message, "Bern")
        }
      }
      for (const nameless of [{ toolName: undefined }, { toolCallId: "" }]) {
        const error = yield* Effect.flip(wholeParts([ownCall("1", "{}", nameless)]))
        assert.strictEqual(error._tag, "MalformedResponse")
      }
    }))

  it.effect("are not handed on where the answer did not end well", () =>
    Effect.gen(function*() {
      for (const unified of ["content-filter", "error", "length", "interrupted"]) {
        const cut = yield* streamedParts(ownCall("1", "{\"city\":"), finish(ended(unified)))
        assert.lengthOf(calls(cut), 0)
        assert.lengthOf(calls(yield* wholeParts([ownCall("1", "{}")], ended(unified))), 0)
      }
      // At the limit, what came before the last call is whole.
      const content = [ownCall("1", "{}"), ownCall("2", "{}")]
      assert.lengthOf(calls(yield* wholeParts(content, ended("length"))), 1)
      assert.lengthOf(calls(yield* streamedParts(...content, finish(ended("length")))), 1)
      const before = [ownCall("1", "{}"), { type: "text-delta", id: "t", delta: "x" }]
      assert.lengthOf(calls(yield* streamedParts(...before, finish(ended("length")))), 1)
    }))

  it.effect("of strict tools are brought back into their form, and run", () =>
    Effect.gen(function*() {
      const weather = Tool.make("weather", {
        parameters: Schema.Struct({ city: Schema.String, day: Schema.optional(Schema.String) }),
        success: Schema.String
      }).annotate(Tool.Strict, true)
      const seen: Array<unknown> = []
      const search = Tool.providerDefined({
        id: "openai.web_search",
        customName: "search",
        providerName: "web_search",
        parameters: Schema.Unknown,
        success: Schema.Unknown
      })(undefined)
      const toolkit = Toolkit.make(weather, search)
      const content = [
        ownCall("1", "{\"city\":\"Bern\",\"day\":null}"),
        ownCall("2", "{}", { toolName: "search", providerExecuted: true }),
        { type: "tool-result", toolCallId: "2", toolName: "search", result: ["found"] }
      ]
      const result = yield* Llm.generateText(Llm.model(P, "model-x"), { prompt: "Weather?", toolkit }).pipe(
        Effect.provide(Layer.mergeAll(
          AiSdk.layer(P, v4({ generate: () => answer(content) }).model),
          toolkit.toLayer({
            weather: (params) =>
              Effect.sync(() => {
                seen.push(params)
                return "fine"
              })
          })
        ))
      )
      assert.deepStrictEqual(seen, [{ city: "Bern" }])
      const results = result.toolResults.map(({ name, providerExecuted, result }) => [name, providerExecuted, result])
      assert.deepStrictEqual<unknown>(results, [["search", true, ["found"]], ["weather", false, "fine"]])
    }))
})

describe("ends", () => {
  const reasons: ReadonlyArray<readonly [unified: unknown, raw: string | undefined, reason: string]> = [
    ["stop", "stop", "stop"],
    ["length", "max_tokens", "length"],
    ["content-filter", "refusal", "content-filter"],
    ["tool-calls", "tool_use", "tool-calls"],
    ["error", undefined, "error"],
    ["other", "new", "other"],
    ["stop", "pause_turn", "pause"],
    ["new", "new", "other"],
    [undefined, undefined, "unknown"]
  ]
  for (const [unified, raw, reason] of reasons) {
    it.effect(`${String(unified)} (${raw}) is ${reason}`, () =>
      Effect.gen(function*() {
        const end = { finishReason: unified === undefined ? undefined : { unified, raw } }
        const parts = [yield* streamedParts(finish(end)), yield* wholeParts([], end)]
        for (const answered of parts) {
          assert.strictEqual(finishOf(answered).reason, reason)
          const own = finishOf(answered).metadata?.["aiSdk"]
          assert.deepInclude(own, raw === undefined ? { usage: { in: 10, out: 5 } } : { finishReason: raw })
        }
      }))
  }

  it.effect("without a finish part, or with one that says so, are none", () =>
    Effect.gen(function*() {
      const said = { type: "text-delta", id: "t", delta: "one" } as const
      const llm = Llm.model(P, "model-x")
      for (const parts of [[said], [said, finish(ended("interrupted"))]]) {
        const error = yield* Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })).pipe(
          Effect.flip,
          Effect.provide(AiSdk.layer(P, v4({ stream: parts as ReadonlyArray<LanguageModelV4StreamPart> }).model), {
            local: true
          })
        )
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), "one")
      }
      const { model } = v4({ generate: () => answer([{ type: "text", text: "one" }], ended("interrupted")) })
      const error = yield* Llm.generateText(llm, { prompt: "Hello?" }).pipe(
        Effect.flip,
        Effect.provide(AiSdk.layer(P, model))
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "unfinished")
    }))

  it.effect("by a content filter fail the call, with the provider's word for it", () =>
    Effect.gen(function*() {
      const failing = (raw: string) =>
        Llm.generateText(Llm.model(P, "model-x"), { prompt: "Hello?" }).pipe(
          Effect.flip,
          Effect.provide(AiSdk.layer(P, v4({ generate: () => answer([], ended("content-filter", raw)) }).model), {
            local: true
          })
        )
      const words = [["PROHIBITED_CONTENT", ["PROHIBITED_CONTENT"]], ["refusal", []], [
        "sk-planted-0123456789",
        []
      ]] as const
      for (const [raw, categories] of words) {
        const error = yield* failing(raw)
        assert(error._tag === "ContentFiltered")
        assert.deepStrictEqual<ReadonlyArray<string>>(error.categories, categories)
      }
    }))

  it.effect("say what was used, as far as it is known", () =>
    Effect.gen(function*() {
      const used = (usage: unknown) => Effect.map(wholeParts([], { usage }), (parts) => finishOf(parts).usage)
      const none: Usage.Encoded = { inputTokens: {}, outputTokens: {} }
      for (const odd of [undefined, null, {}, { inputTokens: 5, outputTokens: Number.NaN }]) {
        assert.deepStrictEqual(yield* used(odd), none)
      }
      assert.deepStrictEqual(
        yield* used({ inputTokens: { total: 5, noCache: undefined }, outputTokens: { total: -1, text: 0.5 } }),
        { inputTokens: { total: 5 }, outputTokens: {} }
      )
      const receipts: Array<Receipt.Receipt> = []
      yield* Llm.generateText(Llm.model(P, "model-x"), { prompt: "Hello?" }).pipe(
        Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
        Effect.provide(AiSdk.layer(P, v4({ generate: () => answer([]) }).model))
      )
      assert.deepStrictEqual(receipts[0]?.usage, {
        inputUncached: 6,
        inputCacheRead: 3,
        inputCacheWrite: 1,
        outputText: 3,
        outputReasoning: 2
      })
    }))
})

describe("both specifications", () => {
  it.effect("are answered alike", () =>
    Effect.gen(function*() {
      const content = [
        { type: "reasoning" as const, text: "hm" },
        { type: "text" as const, text: "hi", providerMetadata: openai },
        { type: "tool-call" as const, toolCallId: "1", toolName: "weather", input: "{}" }
      ]
      const generate = () => answer(content)
      assert.deepStrictEqual(yield* whole(v3({ generate }).model), yield* whole(v4({ generate }).model))
      const stream = [
        { type: "stream-start" as const, warnings: [] },
        { type: "text-start" as const, id: "0" },
        { type: "text-delta" as const, id: "0", delta: "hi" },
        { type: "text-end" as const, id: "0" },
        content[2]! as Extract<LanguageModelV4StreamPart, { type: "tool-call" }>,
        { type: "finish" as const, finishReason: { unified: "stop" as const, raw: undefined }, usage }
      ]
      assert.deepStrictEqual(yield* streamed(v3({ stream }).model), yield* streamed(v4({ stream }).model))
    }))

  it.effect.prop(
    "say the same whole and streamed, however it is cut, and take it back in the next turn",
    [
      Schema.Array(Schema.Struct({
        kind: Schema.Literals(["text", "reasoning", "tool-call", "custom"]),
        words: Schema.Array(Schema.NonEmptyString).check(Schema.isMaxLength(4)),
        signed: Schema.Boolean
      })).check(Schema.isMaxLength(6))
    ],
    ([blocks]) =>
      Effect.gen(function*() {
        const signature = (signed: boolean) => signed ? { providerMetadata: { anthropic: { signature: "s" } } } : {}
        const wholes = blocks.map(({ kind, signed, words }, index) =>
          kind === "tool-call"
            ? ownCall(`c${index}`, JSON.stringify({ words }), signature(signed))
            : kind === "custom"
            ? { type: kind, kind: "openai.compaction", ...signature(signed) }
            : { type: kind, text: words.join(""), ...signature(signed) }
        )
        const stream = blocks.flatMap(({ kind, signed, words }, index): ReadonlyArray<unknown> =>
          kind === "tool-call" || kind === "custom" ? [wholes[index]] : [
            { type: `${kind}-start`, id: String(index) },
            ...words.map((delta) => ({ type: `${kind}-delta`, id: String(index), delta })),
            { type: `${kind}-end`, id: String(index), ...signature(signed) }
          ]
        )
        const end = ended("stop", "end")
        const answered = yield* wholeParts(wholes, end)
        const flowed = Part.toAnswer(yield* streamedParts(...stream, finish(end)))
        // Calls come last in a stream.
        const callsLast = (parts: ReadonlyArray<Part.AnswerPart>) => parts.toSorted((a, b) => rank(a) - rank(b))
        assert.deepStrictEqual(flowed, callsLast(answered))
        const prompt = Prompt.fromResponseParts(answered.map(Part.decodeAnswer))
        const [message] = (yield* asked({ prompt })).prompt
        assert.deepStrictEqual<unknown>(
          message?.content ?? [],
          wholes.map((piece) => {
            const { input, providerMetadata, ...rest } = piece as {
              readonly input?: string
              readonly providerMetadata?: object
            }
            return Object.assign(
              rest,
              input === undefined ? undefined : { input: JSON.parse(input) },
              providerMetadata === undefined ? undefined : { providerOptions: providerMetadata }
            )
          })
        )
      })
  )
})

const rank = ({ type }: Part.AnswerPart): number => type === "finish" ? 2 : type === "tool-call" ? 1 : 0

describe("interruption", () => {
  const interrupted = (run: (signal: { seen?: AbortSignal }) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function*() {
      const signal: { seen?: AbortSignal } = {}
      const fiber = yield* Effect.forkChild(run(signal), { startImmediately: true })
      yield* Effect.yieldNow
      assert.isFalse(signal.seen?.aborted)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(signal.seen?.aborted)
    })

  it.effect("aborts a whole answer", () =>
    interrupted((signal) =>
      whole(
        v4({
          generate: ({ abortSignal }) => {
            signal.seen = abortSignal!
            return new Promise(() => {})
          }
        }).model
      )
    ))

  it.effect("aborts a stream before it begins, and closes it when it begins all the same", () =>
    Effect.gen(function*() {
      const begun = Promise.withResolvers<object>()
      const closed = Promise.withResolvers<void>()
      yield* interrupted((signal) =>
        streamed(
          v4({
            stream: ({ abortSignal }) => {
              signal.seen = abortSignal!
              return begun.promise
            }
          }).model
        )
      )
      begun.resolve({ stream: new ReadableStream({ cancel: () => closed.resolve() }) })
      yield* Effect.promise(() => closed.promise)
    }))

  it.effect("aborts a stream that flows, and so does whoever stops to read", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const flowing = (signal: { seen?: AbortSignal }) =>
        v4({
          stream: ({ abortSignal }) => {
            signal.seen = abortSignal!
            return Promise.resolve({
              stream: new ReadableStream({
                start: (controller) => controller.enqueue({ type: "text-delta", id: "t", delta: "one" }),
                cancel: () => void cancelled++
              })
            })
          }
        }).model
      yield* interrupted((signal) => streamed(flowing(signal)))
      assert.strictEqual(cancelled, 1)
      const signal: { seen?: AbortSignal } = {}
      const taken = yield* Stream.runCollect(
        Llm.textDeltas(Llm.streamText(Llm.model(P, "model-x"), { prompt: "Hello?" })).pipe(Stream.take(1))
      ).pipe(Effect.provide(AiSdk.layer(P, flowing(signal))))
      assert.deepStrictEqual(taken, ["one"])
      assert.isTrue(signal.seen?.aborted)
      assert.strictEqual(cancelled, 2)
    }))

  it.effect("leaves a stream alone that has been read to its end", () =>
    Effect.gen(function*() {
      let cancelled = false
      const parts = [{ type: "text-delta", id: "t", delta: "hi" }, finish()]
      const stream = new ReadableStream({
        pull: (controller) => parts.length === 0 ? controller.close() : controller.enqueue(parts.shift()),
        cancel: () => void (cancelled = true)
      }, { highWaterMark: 0 })
      assert.strictEqual(text(yield* streamed(v4({ stream: () => Promise.resolve({ stream }) }).model)), "hi")
      assert.isFalse(cancelled)
    }))

  it.effect("is no failure of the model", () =>
    Effect.gen(function*() {
      const { model } = v4({
        generate: ({ abortSignal }) =>
          new Promise((_, reject) => abortSignal!.addEventListener("abort", () => reject(abortSignal!.reason)))
      })
      const fiber = yield* Effect.forkChild(whole(model), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert(exit._tag === "Failure" && Cause.hasInterruptsOnly(exit.cause))
    }))
})
