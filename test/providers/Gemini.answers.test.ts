/**
 * What answers of the Gemini API become, whole and streamed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, Part, Usage } from "effect-bulwark"
import { Gemini, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { asking, calls, finishOf, ofType, text, thoughts } from "./support/ask.ts"
import * as Wire from "./support/geminiWire.ts"
import * as Replay from "./support/replayServer.ts"

const { failure, streamed, whole } = asking(Gemini.make("p", {}))

const metadata = { type: "response-metadata", id: "resp-1", modelId: "served-model" }

/** The same chunks in every form in which a server may send them. */
const forms = (...chunks: ReadonlyArray<object>) =>
  Effect.gen(function*() {
    const events = Wire.events(...chunks)
    const list = JSON.stringify(chunks)
    const parts = yield* streamed(events)
    const folded = Part.toAnswer(parts)
    assert.deepStrictEqual(Part.toAnswer(yield* streamed(list)), folded, "a list instead of a stream")
    assert.deepStrictEqual(yield* whole(list), folded, "a list instead of an answer")
    assert.deepStrictEqual(yield* whole(events), folded, "a stream instead of an answer")
    if (chunks.length === 1) {
      assert.deepStrictEqual(yield* whole(JSON.stringify(chunks[0])), folded, "an answer")
      assert.deepStrictEqual(Part.toAnswer(yield* streamed(JSON.stringify(chunks[0]))), folded, "instead of a stream")
    }
    return parts
  })

describe("an answer", () => {
  it.effect("becomes parts, whatever its form", () =>
    Effect.gen(function*() {
      const parts = yield* forms(
        Wire.chunk([{ text: "h", thought: true }, { text: "m", thought: true }, Wire.text("Hel")]),
        Wire.chunk([Wire.text("lo"), Wire.call("f", { x: 1 }, { id: "fc-1" }), Wire.call("g", undefined)]),
        Wire.finished([])
      )
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts, [
        metadata,
        { type: "reasoning-start", id: "0" },
        { type: "reasoning-delta", id: "0", delta: "h" },
        { type: "reasoning-delta", id: "0", delta: "m" },
        { type: "reasoning-end", id: "0" },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "Hel" },
        { type: "text-delta", id: "1", delta: "lo" },
        { type: "text-end", id: "1" },
        { type: "tool-params-start", id: "fc-1", name: "f" },
        { type: "tool-params-delta", id: "fc-1", delta: "{\"x\":1}" },
        { type: "tool-params-end", id: "fc-1" },
        { type: "tool-params-start", id: "resp-1_1", name: "g" },
        { type: "tool-params-delta", id: "resp-1_1", delta: "{}" },
        { type: "tool-params-end", id: "resp-1_1" },
        {
          type: "tool-call",
          id: "fc-1",
          name: "f",
          params: { x: 1 },
          metadata: { google: { functionCallId: "fc-1" } }
        },
        { type: "tool-call", id: "resp-1_1", name: "g", params: {} },
        {
          type: "finish",
          reason: "tool-calls",
          usage: { inputTokens: { uncached: 9, total: 9 }, outputTokens: { total: 3, text: 3 } },
          response: undefined,
          metadata: { google: { finishReason: "STOP", usage: Wire.usage } }
        }
      ])
      assert.strictEqual(text(parts), "Hello")
      assert.strictEqual(thoughts(parts), "hm")
    }))

  it.effect("says when it was made", () =>
    Effect.gen(function*() {
      const parts = yield* forms(
        Wire.finished([Wire.text("hi")], "STOP", {}, { createTime: "2026-08-19T14:38:22.858Z" })
      )
      assert.deepStrictEqual<unknown>(parts[0], { ...metadata, timestamp: "2026-08-19T14:38:22.000Z" })
    }))

  it.effect("may be silent", () =>
    Effect.gen(function*() {
      for (const parts of [undefined, [], [Wire.text("")], [{}]]) {
        const [described, finish, ...more] = yield* forms(Wire.finished(parts))
        assert.strictEqual(described?.type, "response-metadata")
        assert.strictEqual(finish?.type === "finish" && finish.reason, "stop")
        assert.deepStrictEqual(more, [])
      }
    }))

  it.effect("keeps apart what is signed, with its signature", () =>
    Effect.gen(function*() {
      const sign = (thoughtSignature: string) => ({ thoughtSignature })
      const parts = yield* forms(
        Wire.chunk([{ text: "hm", thought: true, ...sign("s1") }, { text: "so", thought: true }]),
        Wire.chunk([Wire.text("one"), { ...Wire.text("two"), ...sign("s2") }, Wire.text("three")]),
        Wire.chunk([{ ...Wire.call("f", {}), ...sign("s3") }]),
        Wire.finished([{ ...Wire.text(""), ...sign("s4") }])
      )
      const signed = (thoughtSignature: string) => ({ metadata: { google: { thoughtSignature } } })
      assert.deepStrictEqual<ReadonlyArray<unknown>>(Part.toAnswer(parts).slice(1, -1), [
        { type: "reasoning", text: "hm", ...signed("s1") },
        { type: "reasoning", text: "so" },
        { type: "text", text: "one" },
        { type: "text", text: "two", ...signed("s2") },
        { type: "text", text: "three" },
        { type: "text", text: "", ...signed("s4") },
        { type: "tool-call", id: "resp-1_0", name: "f", params: {}, ...signed("s3") }
      ])
    }))

  it.effect("has files, and sources", () =>
    Effect.gen(function*() {
      const image = { inlineData: { mimeType: "image/png", data: "AQID" } }
      const groundingMetadata = {
        groundingChunks: [
          { web: { uri: "https://example.com/a", title: "A" } },
          { web: { uri: "https://example.com/b" } },
          { web: { uri: "no address" } },
          { retrievedContext: {} }
        ]
      }
      const parts = yield* forms(
        Wire.finished(
          [
            image,
            { ...image, thought: true },
            { inlineData: { mimeType: "image/png", data: "no base64!" } },
            { inlineData: {} },
            Wire.text("Look!")
          ],
          "STOP",
          { groundingMetadata }
        )
      )
      assert.deepStrictEqual<ReadonlyArray<unknown>>(ofType(parts, "file"), [
        { type: "file", mediaType: "image/png", data: "AQID" }
      ])
      assert.deepStrictEqual<ReadonlyArray<unknown>>(ofType(parts, "source"), [
        { type: "source", sourceType: "url", id: "0", url: "https://example.com/a", title: "A" },
        { type: "source", sourceType: "url", id: "1", url: "https://example.com/b", title: "https://example.com/b" }
      ])
      const own = finishOf(parts).metadata?.["google"] as { readonly [field: string]: unknown }
      assert.deepStrictEqual(own["groundingMetadata"], groundingMetadata)
      assert.deepStrictEqual(own["ignoredParts"], ["inlineData"])
    }))

  it.effect("may hold what nobody knows yet", () =>
    Effect.gen(function*() {
      const parts = yield* forms(
        { somethingNew: 1 },
        Wire.chunk([Wire.text("hi"), { executableCode: { code: "1" } }, { hologram: {} }], { avgLogprobs: -0.1 }, {
          x: null
        }),
        { candidates: null, usageMetadata: null },
        { candidates: [{ index: 1, content: { parts: [Wire.text("another one")] }, finishReason: "MAX_TOKENS" }] },
        Wire.finished([null as unknown as object, "x" as unknown as object, Wire.text("!")], "STOP", { tokenCount: 1 })
      )
      assert.strictEqual(text(parts), "hi!")
      const finish = finishOf(parts)
      assert.strictEqual(finish.reason, "stop")
      const own = finish.metadata?.["google"] as { readonly [field: string]: unknown }
      assert.deepStrictEqual(own["ignoredParts"], ["executableCode", "hologram"])
    }))
})

describe("finish reasons", () => {
  const reasons = {
    STOP: "stop",
    MAX_TOKENS: "length",
    SAFETY: "content-filter",
    RECITATION: "content-filter",
    BLOCKLIST: "content-filter",
    PROHIBITED_CONTENT: "content-filter",
    SPII: "content-filter",
    IMAGE_SAFETY: "content-filter",
    IMAGE_PROHIBITED_CONTENT: "content-filter",
    IMAGE_RECITATION: "content-filter",
    LANGUAGE: "other",
    OTHER: "other",
    NO_IMAGE: "other",
    SOMETHING_NEW: "other"
  }
  for (const [raw, reason] of Object.entries(reasons)) {
    it.effect(`${raw} is ${reason}`, () =>
      Effect.gen(function*() {
        const finish = finishOf(yield* forms(Wire.finished([Wire.text("hi")], raw, { finishMessage: "So it is." })))
        assert.strictEqual(finish.reason, reason)
        const own = finish.metadata?.["google"] as { readonly [field: string]: unknown }
        assert.strictEqual(own["finishReason"], raw)
        assert.strictEqual(own["finishMessage"], "So it is.")
      }))
  }

  it.effect("that stand on every chunk mean the last one", () =>
    Effect.gen(function*() {
      const parts = yield* forms(Wire.finished([Wire.text("one")]), Wire.finished([Wire.text(" two")], "MAX_TOKENS"))
      assert.strictEqual(text(parts), "one two")
      assert.strictEqual(finishOf(parts).reason, "length")
    }))

  it.effect("calls are calls, unless a filter has cut them", () =>
    Effect.gen(function*() {
      const called = (raw: string) =>
        Effect.map(forms(Wire.finished([Wire.call("f", { x: 1 })], raw)), (parts) => [
          finishOf(parts).reason,
          calls(parts).length
        ])
      assert.deepStrictEqual(yield* called("STOP"), ["tool-calls", 1])
      assert.deepStrictEqual(yield* called("OTHER"), ["tool-calls", 1])
      assert.deepStrictEqual(yield* called("MAX_TOKENS"), ["length", 1])
      assert.deepStrictEqual(yield* called("SAFETY"), ["content-filter", 0])
    }))

  it.effect("are missing: a stream is interrupted, however it comes, and a whole answer is as it is", () =>
    Effect.gen(function*() {
      for (
        const candidate of [{}, { finishReason: null }, { finishReason: "" }, {
          finishReason: "FINISH_REASON_UNSPECIFIED"
        }]
      ) {
        const chunk = Wire.chunk([Wire.text("one"), Wire.call("f", {})], candidate)
        assert.strictEqual(finishOf(yield* whole(JSON.stringify(chunk))).reason, "tool-calls")
        for (const body of [Wire.event(chunk), JSON.stringify([chunk])]) {
          assert.deepStrictEqual(calls(yield* streamed(body)), [])
          const { error } = yield* failure(body, "stream")
          assert(error._tag === "StreamInterrupted")
          assert.strictEqual(error.reason, "unfinished")
          assert.strictEqual(Redacted.value(error.partial), "one")
        }
      }
      assert.strictEqual(finishOf(yield* whole(JSON.stringify(Wire.chunk([Wire.text("one")])))).reason, "unknown")
    }))

  const erred = {
    MALFORMED_FUNCTION_CALL: "cannot be read",
    UNEXPECTED_TOOL_CALL: "was not offered",
    TOO_MANY_TOOL_CALLS: "too many tools",
    MALFORMED_RESPONSE: "cannot be read"
  }
  for (const [raw, problem] of Object.entries(erred)) {
    it.effect(`${raw} is the model's failure`, () =>
      Effect.gen(function*() {
        const chunk = Wire.finished([Wire.call("f", {})], raw, { finishMessage: "print(secret words)" })
        for (const [body, mode] of [[JSON.stringify(chunk), "whole"], [JSON.stringify(chunk), "stream"]] as const) {
          const { error } = yield* failure(body, mode)
          assert(error._tag === "MalformedResponse")
          assert.include(error.problem, problem)
          assert.strictEqual(error.code, raw)
          assert.strictEqual(error.requestId, "resp-1")
          assert.strictEqual(Redacted.value(error.detail!), "print(secret words)")
          assert.notInclude(error.message, "secret words")
        }
        const { error } = yield* failure(Wire.begun("one") + Wire.event(chunk), "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.failure?._tag, "MalformedResponse")
      }))
  }

  it.effect("MISSING_THOUGHT_SIGNATURE is the request's fault", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(Wire.answer(undefined, "MISSING_THOUGHT_SIGNATURE"), "whole")
      assert(error._tag === "InvalidRequest")
      assert.include(error.message, "thought signature")
    }))
})

describe("calls", () => {
  it.effect("that cannot be run are no answer", () =>
    Effect.gen(function*() {
      const bad = [
        [{ functionCall: {} }, "no name"],
        [{ functionCall: { name: "", args: {} } }, "no name"],
        [Wire.call("f", "{\"x\":1}"), "not an object"],
        [Wire.call("f", [1]), "not an object"]
      ] as const
      for (const [part, problem] of bad) {
        for (const mode of ["whole", "stream"] as const) {
          const { error } = yield* failure(Wire.answer([part]), mode)
          assert(error._tag === "MalformedResponse")
          assert.include(error.problem, problem)
        }
      }
    }))

  it.effect("have ids that differ from answer to answer", () =>
    Effect.gen(function*() {
      const ids = (rest: object) =>
        Effect.map(forms(Wire.finished([Wire.call("f", {}), Wire.call("f", {})], "STOP", {}, rest)), (parts) =>
          calls(parts).map(({ id }) => id))
      assert.deepStrictEqual(yield* ids({ responseId: "a" }), ["a_0", "a_1"])
      assert.deepStrictEqual(yield* ids({ responseId: "b" }), ["b_0", "b_1"])
      assert.deepStrictEqual(yield* ids({ responseId: undefined }), ["call_0", "call_1"])
    }))

  const Add = Tool.make("add", {
    parameters: Schema.Struct({ a: Schema.Int, b: Schema.Int }),
    success: Schema.Int
  })

  it.effect("go out, are run, and come back with their ids and signatures", () =>
    Effect.gen(function*() {
      class P extends Provider.Service<P>()("p") {}
      const llm = Llm.model(P, "gemini-3-pro")
      const toolkit = Toolkit.make(Add)
      const server = yield* Replay.make
      const add = { ...Wire.call("add", { a: 1, b: 2 }, { id: "fc-1" }), thoughtSignature: "s1" }
      const more = Wire.call("add", { a: 3, b: 4 })
      server.onRequest((request, response) =>
        Replay.reply({
          body: request.body.includes("functionResponse")
            ? Wire.streamOf("3 and 7")
            : Wire.events(
              Wire.chunk([{ text: "Let me see.", thought: true }, Wire.text("I add.")]),
              Wire.chunk([add]),
              Wire.chunk([more]),
              Wire.finished([{ text: "", thoughtSignature: "s2" }])
            )
        })(request, response)
      )
      yield* Effect.gen(function*() {
        const prompt = Prompt.make("1 + 2, 3 + 4?")
        const first = yield* Stream.runCollect(Llm.streamText(llm, { prompt, toolkit }))
        const history = Prompt.concat(
          prompt,
          Prompt.fromResponseParts(first)
        )
        const second = yield* Stream.runCollect(Llm.textDeltas(Llm.streamText(llm, { prompt: history, toolkit })))
        assert.strictEqual(second.join(""), "3 and 7")
      }).pipe(
        Effect.provide(Layer.merge(
          Gemini.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer)),
          toolkit.toLayer({ add: ({ a, b }) => Effect.succeed(a + b) })
        ))
      )
      const body = JSON.parse(server.requests[1]?.body ?? "") as { readonly contents: ReadonlyArray<unknown> }
      assert.deepStrictEqual(body.contents, [
        { role: "user", parts: [{ text: "1 + 2, 3 + 4?" }] },
        {
          role: "model",
          parts: [
            { text: "I add." },
            { text: "", thoughtSignature: "s2" },
            add,
            { functionCall: { name: "add", args: { a: 3, b: 4 } } }
          ]
        },
        {
          role: "user",
          parts: [
            { functionResponse: { id: "fc-1", name: "add", response: { output: 3 } } },
            { functionResponse: { name: "add", response: { output: 7 } } }
          ]
        }
      ])
    }))
})

describe("usage", () => {
  const usageOf = (...usages: ReadonlyArray<object>) =>
    Effect.map(
      streamed(Wire.events(
        ...usages.map((usageMetadata) => Wire.chunk([Wire.text("x")], {}, { usageMetadata })),
        { candidates: [{ finishReason: "STOP" }] }
      )),
      (parts) => finishOf(parts).usage
    )

  it.effect("is counted in buckets that do not overlap", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        promptTokenCount: 100,
        cachedContentTokenCount: 80,
        toolUsePromptTokenCount: 7,
        candidatesTokenCount: 30,
        thoughtsTokenCount: 12,
        totalTokenCount: 149
      })
      assert.deepStrictEqual<unknown>(usage, {
        inputTokens: { uncached: 27, total: 107, cacheRead: 80 },
        outputTokens: { total: 42, text: 30, reasoning: 12 }
      })
      const buckets = Usage.fromEncoded(usage)
      assert.strictEqual(Usage.input(buckets) + Usage.output(buckets), 149)
    }))

  it.effect("is cumulative, and a chunk need not repeat it", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf(
        { promptTokenCount: 9, thoughtsTokenCount: 5 },
        { promptTokenCount: 9, candidatesTokenCount: 2 },
        { promptTokenCount: 9, candidatesTokenCount: 4, trafficType: "ON_DEMAND" }
      )
      assert.deepStrictEqual<unknown>(usage, {
        inputTokens: { uncached: 9, total: 9 },
        outputTokens: { total: 9, text: 4, reasoning: 5 }
      })
    }))

  it.effect("is what is said, and no more", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual<unknown>(yield* usageOf({}), { inputTokens: {}, outputTokens: {} })
      assert.deepStrictEqual<unknown>(yield* usageOf({ promptTokenCount: 5, cachedContentTokenCount: 8 }), {
        inputTokens: { uncached: 0, total: 5, cacheRead: 8 },
        outputTokens: {}
      })
      assert.deepStrictEqual<unknown>(yield* usageOf({ thoughtsTokenCount: 2, promptTokenCount: "many" }), {
        inputTokens: {},
        outputTokens: { total: 2, text: 0, reasoning: 2 }
      })
    }))
})

describe("content policies", () => {
  const ratings = [
    { category: "HARM_CATEGORY_HARASSMENT", probability: "NEGLIGIBLE" },
    { category: "HARM_CATEGORY_HATE_SPEECH", probability: "MEDIUM" },
    { category: "HARM_CATEGORY_DANGEROUS_CONTENT", probability: "HIGH", blocked: true }
  ]

  it.effect("may block a prompt", () =>
    Effect.gen(function*() {
      for (const blockReason of ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "JAILBREAK", "SOMETHING_NEW"]) {
        const body = {
          promptFeedback: { blockReason, blockReasonMessage: "Because.", safetyRatings: ratings },
          responseId: "resp-1"
        }
        for (
          const [sent, mode] of [
            [JSON.stringify(body), "whole"],
            [JSON.stringify([body]), "stream"],
            [Wire.event(body), "stream"]
          ] as const
        ) {
          const { error } = yield* failure(sent, mode)
          assert(error._tag === "ContentFiltered")
          assert.strictEqual(error.stage, "prompt")
          assert.strictEqual(error.code, blockReason)
          assert.strictEqual(error.requestId, "resp-1")
          assert.deepStrictEqual(error.categories, ["HARM_CATEGORY_DANGEROUS_CONTENT"])
          assert.strictEqual(Redacted.value(error.detail!), "Because.")
          assert.notInclude(error.message, "Because.")
        }
      }
    }))

  it.effect("say what they have found, or what they are", () =>
    Effect.gen(function*() {
      const categories = (blockReason: string, safetyRatings: unknown) =>
        Effect.map(
          failure(JSON.stringify({ promptFeedback: { blockReason, safetyRatings } }), "whole"),
          ({ error }) => error._tag === "ContentFiltered" ? error.categories : error._tag
        )
      assert.deepStrictEqual(yield* categories("SAFETY", ratings.slice(0, 2)), ["HARM_CATEGORY_HATE_SPEECH"])
      assert.deepStrictEqual(yield* categories("SAFETY", ratings.slice(0, 1)), [])
      assert.deepStrictEqual(yield* categories("PROHIBITED_CONTENT", undefined), ["PROHIBITED_CONTENT"])
    }))

  it.effect("do not always block", () =>
    Effect.gen(function*() {
      for (const promptFeedback of [{ safetyRatings: ratings }, { blockReason: "BLOCK_REASON_UNSPECIFIED" }, null]) {
        const parts = yield* forms(Wire.finished([Wire.text("hi")], "STOP", {}, { promptFeedback }))
        assert.strictEqual(finishOf(parts).reason, "stop")
      }
    }))

  it.effect("may withhold an answer, which is paid for all the same", () =>
    Effect.gen(function*() {
      const chunk = Wire.finished(undefined, "SAFETY", { safetyRatings: ratings, finishMessage: "Because." })
      for (const [body, mode] of [[JSON.stringify(chunk), "whole"], [Wire.event(chunk), "stream"]] as const) {
        const { error, receipt } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.strictEqual(error.stage, "answer")
        assert.deepStrictEqual(error.categories, ["HARM_CATEGORY_DANGEROUS_CONTENT"])
        assert.strictEqual(Redacted.value(error.detail!), "Because.")
        assert.strictEqual(receipt.usage.inputUncached, 9)
        assert.strictEqual(receipt.usage.outputText, 3)
      }
      const { error } = yield* failure(Wire.answer([], "RECITATION"), "whole")
      assert.deepStrictEqual(error._tag === "ContentFiltered" && error.categories, ["RECITATION"])
    }))

  it.effect("interrupt what has begun", () =>
    Effect.gen(function*() {
      const ends = [Wire.finished(undefined, "SAFETY"), { promptFeedback: { blockReason: "SAFETY" } }]
      for (const end of ends) {
        const { error } = yield* failure(Wire.begun("one") + Wire.event(end), "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(Redacted.value(error.partial), "one")
        assert.strictEqual(error.failure?._tag, "ContentFiltered")
      }
    }))
})

describe("what is no answer", () => {
  it.effect("is malformed", () =>
    Effect.gen(function*() {
      const bodies = {
        "it is empty": "",
        "it is not JSON": "{\"candidates\":[{\"content\"",
        "it is not a JSON object": "[]",
        "it is a web page": "<!DOCTYPE html><title>Gemini</title>",
        "it has no candidates": JSON.stringify({ usageMetadata: Wire.usage, responseId: "resp-1" })
      }
      for (const [problem, body] of Object.entries(bodies)) {
        const { error } = yield* failure(body, "whole")
        assert(error._tag === "MalformedResponse", problem)
        assert.include(error.problem, problem)
      }
      const { error } = yield* failure(JSON.stringify({ candidates: [] }), "stream")
      assert.strictEqual(error._tag, "MalformedResponse")
    }))

  it.effect("is counted and skipped inside a stream", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        `: hi\r\n\r\n${Wire.begun("one")}data: {"candidates":\r\n\r\n${Wire.streamOf(" two")}data: [DONE]\r\n\r\n`
      )
      assert.strictEqual(text(parts), "one two")
      const own = finishOf(parts).metadata?.["google"] as { readonly [field: string]: unknown }
      assert.strictEqual(own["malformedChunks"], 1)
    }))

  it.effect("is a list that was cut", () =>
    Effect.gen(function*() {
      const list = JSON.stringify([Wire.chunk([Wire.text("one")]), Wire.finished([Wire.text("two")])])
      for (const body of [list.slice(0, -1), list.slice(0, 20)]) {
        const { error } = yield* failure(body, "stream")
        assert.strictEqual(error._tag, "MalformedResponse")
      }
    }))
})

describe("errors in a stream", () => {
  const error = Wire.error(503, "UNAVAILABLE", "The model is overloaded.")

  it.effect("are the call's own before the first word", () =>
    Effect.gen(function*() {
      for (
        const body of [
          Wire.events(error),
          Wire.events(Wire.chunk([]), error),
          JSON.stringify([Wire.chunk([Wire.text("one")]), error])
        ]
      ) {
        assert.strictEqual((yield* failure(body, "stream")).error._tag, "Overloaded")
      }
    }))

  it.effect("interrupt it after that", () =>
    Effect.gen(function*() {
      const { error: interrupted } = yield* failure(Wire.begun("one") + Wire.event(error), "stream")
      assert(interrupted._tag === "StreamInterrupted")
      assert.strictEqual(interrupted.reason, "failed")
      assert.strictEqual(interrupted.failure?._tag, "Overloaded")
      assert.strictEqual(Redacted.value(interrupted.partial), "one")
    }))

  it.effect("come too late after its end", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(Wire.streamOf("one") + Wire.event(error))
      assert.strictEqual(text(parts), "one")
      const own = finishOf(parts).metadata?.["google"] as { readonly [field: string]: unknown }
      assert.strictEqual(own["errorAfterFinish"], "503")
    }))
})

describe("whatever a server sends", () => {
  const chunk = Wire.finished(
    [
      { text: "hm", thought: true },
      { ...Wire.text("hi"), thoughtSignature: "s" },
      Wire.call("f", { x: 1 }, { id: "c" }),
      { inlineData: { mimeType: "image/png", data: "AQID" } }
    ],
    "STOP",
    {
      finishMessage: "m",
      safetyRatings: [{ category: "C", probability: "HIGH" }],
      groundingMetadata: { groundingChunks: [{ web: { uri: "https://example.com", title: "t" } }] }
    },
    { promptFeedback: { safetyRatings: [] }, createTime: "2026-08-19T14:38:22Z" }
  )

  /** The chunk with each of its values, at any depth, replaced by another. */
  const damaged = (value: unknown, by: unknown): ReadonlyArray<unknown> => {
    if (typeof value !== "object" || value === null) return [by]
    const copies = [by]
    for (const [key, item] of Object.entries(value)) {
      for (const next of damaged(item, by)) {
        copies.push(Array.isArray(value) ? value.with(Number(key), next) : { ...value, [key]: next })
      }
    }
    return copies
  }

  it.effect("is an answer or a typed failure", () =>
    Effect.gen(function*() {
      let answers = 0
      for (const by of [null, "", "x", -1, 1e308, true, [], {}, [null], { error: {} }]) {
        for (const sent of damaged(chunk, by)) {
          for (const body of [JSON.stringify(sent), `data: ${JSON.stringify(sent)}\n\n`, JSON.stringify([sent])]) {
            const parts = yield* Effect.catch(streamed(body), () => Effect.succeed([]))
            // What the rest of the library does with them.
            for (const part of parts) Part.decode(part)
            if (parts.length > 0) answers++
          }
        }
      }
      assert.isAbove(answers, 500)
    }))
})
