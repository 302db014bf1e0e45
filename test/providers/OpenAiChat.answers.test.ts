/**
 * What answers become, whole and streamed, in all the ways in which servers write them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError, type Part, Receipt } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Wire from "./support/wire.ts"

class P extends Provider.Service<P>()("p") {}

const llm = Llm.model(P, "model-x")

const clientOf = (body: string): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body === "" ? null : body)))
  )

const providerOf = (body: string): Effect.Effect<Provider.Provider> =>
  Effect.provideService(OpenAiChat.make("p", {}), HttpClient.HttpClient, clientOf(body))

const request: Provider.Request = {
  model: "model-x",
  prompt: Prompt.make("Hello?"),
  tools: [],
  toolChoice: "none",
  responseFormat: { type: "text" },
  settings: {}
}

const whole = (body: string, rest: Partial<Provider.Request> = {}) =>
  Effect.flatMap(providerOf(body), (provider) => provider.whole({ ...request, ...rest }))

const streamed = (body: string, rest: Partial<Provider.Request> = {}) =>
  Effect.flatMap(providerOf(body), (provider) => Stream.runCollect(provider.stream({ ...request, ...rest })))

/** The error of a call through the core, which knows what had been said before. */
const failure = (
  body: string,
  mode: "whole" | "stream"
): Effect.Effect<{ readonly error: LlmError.ProviderError; readonly receipt: Receipt.Receipt }> =>
  Effect.gen(function*() {
    const provider = yield* providerOf(body)
    const receipts: Array<Receipt.Receipt> = []
    const run: Effect.Effect<unknown, LlmError.ProviderError, P> = mode === "whole"
      ? Llm.generateText(llm, { prompt: "Hello?" })
      : Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" }))
    const error = yield* run.pipe(
      Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
      Effect.provideService(P, provider),
      Effect.flip,
      Effect.catch(() => Effect.die("it has not failed"))
    )
    return { error, receipt: receipts[0]! }
  })

const ofType = <Type extends Part.Part["type"]>(parts: ReadonlyArray<Part.Part | Part.AnswerPart>, type: Type) =>
  parts.filter((part): part is Extract<Part.Part, { type: Type }> => part.type === type)

const finishOf = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>) => {
  const [finish, ...more] = ofType(parts, "finish")
  assert(finish !== undefined && more.length === 0)
  return finish
}

const text = (parts: ReadonlyArray<Part.Part>) => ofType(parts, "text-delta").map(({ delta }) => delta).join("")

const thoughts = (parts: ReadonlyArray<Part.Part>) =>
  ofType(parts, "reasoning-delta").map(({ delta }) => delta).join("")

const calls = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>) =>
  ofType(parts, "tool-call").map(({ id, name, params }) => ({ id, name, params }))

const piece = (
  rest: { readonly index?: number | undefined; readonly id?: string; readonly type?: string },
  body: { readonly name?: string; readonly arguments?: unknown } = {}
) => Wire.event(Wire.chunk({ tool_calls: [{ ...rest, function: body }] }))

const metadata = {
  type: "response-metadata",
  id: "chatcmpl-1",
  modelId: "served-model",
  timestamp: "2023-11-14T22:13:20.000Z"
}

describe("a stream", () => {
  it.effect("becomes parts", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ role: "assistant", content: "" })) +
          Wire.event(Wire.chunk({ reasoning_content: "hm" })) +
          Wire.textChunk("Hel") +
          Wire.textChunk("lo") +
          piece({ index: 0, id: "c1" }, { name: "f", arguments: "" }) +
          piece({ index: 0 }, { arguments: "{\"x\":" }) +
          piece({ index: 0 }, { arguments: "1}" }) +
          Wire.finishChunk("tool_calls", { system_fingerprint: "fp_1", service_tier: "default" }) +
          Wire.event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }) +
          Wire.done
      )
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts, [
        metadata,
        { type: "reasoning-start", id: "0" },
        { type: "reasoning-delta", id: "0", delta: "hm" },
        { type: "reasoning-end", id: "0" },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "Hel" },
        { type: "text-delta", id: "1", delta: "lo" },
        { type: "text-end", id: "1" },
        { type: "tool-params-start", id: "c1", name: "f" },
        { type: "tool-params-delta", id: "c1", delta: "{\"x\":" },
        { type: "tool-params-delta", id: "c1", delta: "1}" },
        { type: "tool-params-end", id: "c1" },
        { type: "tool-call", id: "c1", name: "f", params: { x: 1 } },
        {
          type: "finish",
          reason: "tool-calls",
          usage: { inputTokens: { uncached: 9, total: 9 }, outputTokens: { total: 3, text: 3 } },
          response: undefined,
          metadata: {
            openai: {
              finishReason: "tool_calls",
              systemFingerprint: "fp_1",
              serviceTier: "default",
              usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 }
            }
          }
        }
      ])
    }))

  it.effect("is described by the first chunk that describes it", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event({ id: "", model: "", created: 0, choices: [], prompt_filter_results: [] }) + Wire.streamOf("hi")
      )
      assert.deepStrictEqual<unknown>(parts[0], metadata)
      assert.strictEqual(ofType(parts, "response-metadata").length, 1)
    }))

  const say = Wire.streamOf("Hello", ", \u2028\u0085 wörld 🌍")
  const framings: { readonly [name: string]: string } = {
    "CRLF": say.replaceAll("\n", "\r\n"),
    "CR": say.replaceAll("\n", "\r"),
    "a byte order mark": `\uFEFF${say}`,
    "blank lines before it": `\n\n\r\n${say}`,
    "comments": `: hi\n\n: ping\n${say.replaceAll("data:", ": keep-alive\ndata:")}`,
    "other fields": say.replaceAll("data:", "id: 1\nretry: 10\nx: y\nevent: message\ndata:"),
    "no space after the colon": say.replaceAll("data: ", "data:"),
    "data on several lines": say.replaceAll(",\"object\"", ",\ndata: \"object\""),
    "no [DONE]": say.replace(Wire.done, ""),
    "no blank line at the end": say.replace(`\n\n${Wire.done}`, ""),
    "[DONE] without a line end": say.trimEnd(),
    "anything after [DONE]": `${say}data: {no json}\n\n${Wire.textChunk("more")}`,
    "annotations": say.replaceAll(
      "data: {",
      `${Wire.event({ id: "", choices: [{ index: 0, content_filter_offsets: {} }] })}data: {`
    )
  }
  for (const [name, body] of Object.entries(framings)) {
    it.effect(`may have ${name}`, () =>
      Effect.gen(function*() {
        const parts = yield* streamed(body)
        assert.strictEqual(text(parts), "Hello, \u2028\u0085 wörld 🌍")
        assert.strictEqual(finishOf(parts).reason, "stop")
      }))
  }

  it.effect("is not whole without a finish reason", () =>
    Effect.gen(function*() {
      const bodies = [
        "",
        ": nothing\n\n",
        Wire.textChunk("one"),
        Wire.textChunk("one") + Wire.done,
        Wire.textChunk("one") + Wire.finishChunk("") + Wire.done,
        Wire.streamOf("one").slice(0, -100)
      ]
      for (const body of bodies) {
        const { error } = yield* failure(body, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), body.includes("one") ? "one" : "")
      }
    }))

  it.effect("may have a chunk that is no JSON", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.textChunk("one") + Wire.event("{oops") + Wire.event("7") + Wire.finishChunk() + Wire.done
      )
      assert.strictEqual(text(parts), "one")
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { malformedChunks: 2 })
    }))

  it.effect("is none where no chunk is JSON", () =>
    Effect.gen(function*() {
      for (const body of [Wire.event("{oops"), Wire.event("{oops") + Wire.done]) {
        const { error } = yield* failure(body, "stream")
        assert.strictEqual(error._tag, "MalformedResponse")
      }
    }))

  it.effect("says what its first choice says", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event({ choices: [{ index: 0, delta: { content: "a" } }, { index: 1, delta: { content: "b" } }] }) +
          Wire.event({ choices: [{ index: 1, delta: {}, finish_reason: "length" }] }) +
          Wire.event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })
      )
      assert.strictEqual(text(parts), "a")
      assert.strictEqual(finishOf(parts).reason, "stop")
    }))

  it.effect("endures chunks of any shape", () =>
    Effect.gen(function*() {
      const strange = [
        {},
        { choices: null },
        { choices: [null, 1, "x", []] },
        { choices: [{}] },
        { choices: [{ delta: null }] },
        { choices: [{ delta: { content: 7, tool_calls: "x", reasoning: {} } }] },
        { choices: [{ delta: { tool_calls: [] } }] },
        { choices: [{ delta: { content: [null, { type: "image" }, { type: "text" }] } }] },
        { usage: "lots", system_fingerprint: 7, created: "now", id: 7 },
        []
      ]
      const parts = yield* streamed(
        Wire.textChunk("a") + strange.map(Wire.event).join("") + Wire.textChunk("b") + Wire.finishChunk()
      )
      assert.strictEqual(text(parts), "ab")
    }))

  it.effect("may come where none was asked for, and the other way round", () =>
    Effect.gen(function*() {
      const answered = yield* whole(Wire.streamOf("Hel", "lo"))
      assert.deepStrictEqual(ofType(answered as ReadonlyArray<Part.Part>, "finish").length, 1)
      assert.deepInclude(answered as ReadonlyArray<unknown>, { type: "text", text: "Hello" })
      const parts = yield* streamed(Wire.answer({ content: "Hello" }))
      assert.strictEqual(text(parts), "Hello")
      assert.strictEqual(finishOf(parts).reason, "stop")
      const { error } = yield* failure(Wire.textChunk("one"), "whole")
      assert.strictEqual(error._tag, "StreamInterrupted")
    }))
})

describe("a full answer", () => {
  it.effect("becomes parts", () =>
    Effect.gen(function*() {
      const parts = yield* whole(Wire.answer({
        content: "Hello",
        reasoning: "hm",
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{\"x\":1}" } }]
      }, { finish_reason: "tool_calls" }))
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts.slice(0, -1), [
        metadata,
        { type: "reasoning", text: "hm" },
        { type: "text", text: "Hello" },
        { type: "tool-call", id: "c1", name: "f", params: { x: 1 } }
      ])
      assert.strictEqual(finishOf(parts).reason, "tool-calls")
    }))

  it.effect("may have blank lines before it", () =>
    Effect.gen(function*() {
      const parts = yield* whole(`\n\n  \n${Wire.answer({ content: "Hello" })}\n`)
      assert.deepInclude(parts as ReadonlyArray<unknown>, { type: "text", text: "Hello" })
    }))

  it.effect("is malformed where it is none", () =>
    Effect.gen(function*() {
      const bodies = [
        "",
        "{\"id\":",
        "7",
        "[]",
        "{}",
        "{\"choices\":null}",
        "{\"choices\":[]}",
        "{\"choices\":[{}]}",
        "<html></html>",
        "words"
      ]
      for (const body of bodies) {
        const { error } = yield* failure(body, "whole")
        assert.strictEqual(error._tag, "MalformedResponse", body)
      }
    }))
})

describe("usage", () => {
  const usageOf = (usage: unknown) =>
    Effect.map(whole(Wire.answer({ content: "x" }, {}, { usage })), (parts) => finishOf(parts).usage)

  it.effect("includes what is cached and what is thought", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* usageOf({
          prompt_tokens: 100,
          completion_tokens: 30,
          total_tokens: 130,
          prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
          completion_tokens_details: { reasoning_tokens: 20 }
        }),
        {
          inputTokens: { uncached: 30, total: 100, cacheRead: 60, cacheWrite: 10 },
          outputTokens: { total: 30, text: 10, reasoning: 20 }
        }
      )
    }))

  it.effect("is never negative", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* usageOf({
          prompt_tokens: 7,
          completion_tokens: 10,
          prompt_tokens_details: { cached_tokens: 161 },
          completion_tokens_details: { reasoning_tokens: 11 }
        }),
        {
          inputTokens: { uncached: 0, total: 7, cacheRead: 161 },
          outputTokens: { total: 10, text: 0, reasoning: 11 }
        }
      )
    }))

  it.effect("counts reasoning in, where the server counts it beside", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 35,
        completion_tokens_details: { reasoning_tokens: 20 }
      })
      assert.deepStrictEqual(usage.outputTokens, { total: 25, text: 5, reasoning: 20 })
    }))

  it.effect("knows DeepSeek's words", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        prompt_tokens: 10,
        completion_tokens: 1,
        prompt_cache_hit_tokens: 4,
        prompt_cache_miss_tokens: 6
      })
      assert.deepStrictEqual(usage.inputTokens, { uncached: 6, total: 10, cacheRead: 4 })
    }))

  it.effect("is absent where it is absent, or nonsense", () =>
    Effect.gen(function*() {
      for (
        const usage of [undefined, null, {}, "x", { prompt_tokens: -1, completion_tokens: 1.5 }, { prompt_tokens: "9" }]
      ) {
        assert.deepStrictEqual(yield* usageOf(usage), { inputTokens: {}, outputTokens: {} })
      }
    }))

  const totals = (body: string) =>
    Effect.map(streamed(body), (parts) => {
      const { usage } = finishOf(parts)
      return [usage.inputTokens.total, usage.outputTokens.total]
    })
  const tokens = (output: number) => ({ usage: { prompt_tokens: 9, completion_tokens: output } })

  it.effect("of a stream is the last one, wherever it stands", () =>
    Effect.gen(function*() {
      // Cumulative, on every chunk.
      assert.deepStrictEqual(
        yield* totals(
          Wire.event(Wire.chunk({ content: "a" }, {}, tokens(1))) +
            Wire.event(Wire.chunk({ content: "b" }, {}, tokens(2))) +
            Wire.finishChunk("stop", tokens(3)) + Wire.done
        ),
        [9, 3]
      )
      // After the finish reason, which is repeated, or null again.
      for (const finish_reason of ["stop", null]) {
        assert.deepStrictEqual(
          yield* totals(
            Wire.textChunk("a") + Wire.finishChunk() +
              Wire.event(Wire.chunk({ content: "" }, { finish_reason }, tokens(4))) + Wire.done
          ),
          [9, 4]
        )
      }
      // In Groq's own place.
      assert.deepStrictEqual(
        yield* totals(Wire.textChunk("a") + Wire.finishChunk("stop", { x_groq: tokens(5) }) + Wire.done),
        [9, 5]
      )
    }))
})

describe("finish reasons", () => {
  const reasons: ReadonlyArray<readonly [raw: string | null, reason: string]> = [
    ["stop", "stop"],
    ["eos", "stop"],
    ["length", "length"],
    ["model_length", "length"],
    ["tool_calls", "tool-calls"],
    ["function_call", "tool-calls"],
    ["content_filter", "content-filter"],
    ["error", "error"],
    ["insufficient_system_resource", "error"],
    ["something new", "other"],
    ["", "unknown"],
    [null, "unknown"]
  ]
  for (const [raw, reason] of reasons) {
    it.effect(`${raw} is ${reason}`, () =>
      Effect.gen(function*() {
        const finish = finishOf(yield* whole(Wire.answer({ content: "x" }, { finish_reason: raw })))
        assert.strictEqual(finish.reason, reason)
      }))
  }

  it.effect("keep the first that is not empty", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ content: "a" }, { finish_reason: "" })) + Wire.finishChunk("length") +
          Wire.finishChunk("stop") + Wire.done
      )
      assert.strictEqual(finishOf(parts).reason, "length")
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { finishReason: "length" })
    }))

  it.effect("are errors where the upstream's own word is", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(
        Wire.textChunk("a") +
          Wire.event(Wire.chunk({}, { finish_reason: "stop", native_finish_reason: "network_error" })) + Wire.done,
        "stream"
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "ServerError")
    }))
})

describe("reasoning", () => {
  const shapes: { readonly [name: string]: ReadonlyArray<object> } = {
    "reasoning_content": [{ reasoning_content: "one " }, { reasoning_content: "two" }],
    "reasoning": [{ reasoning: "one " }, { reasoning: "two" }],
    "both": [{ reasoning: "one ", reasoning_content: "one " }, { reasoning: "two", reasoning_content: "two" }],
    "details": [{ reasoning_details: [{ type: "reasoning.text", text: "one " }] }, {
      reasoning_details: [{ summary: "two" }]
    }],
    "parts": [{
      content: [{ type: "thinking", thinking: [{ type: "text", text: "one " }, { type: "text", text: "two" }] }]
    }]
  }
  for (const [name, deltas] of Object.entries(shapes)) {
    it.effect(`may stand in ${name}`, () =>
      Effect.gen(function*() {
        const parts = yield* streamed(
          deltas.map((delta) => Wire.event(Wire.chunk(delta))).join("") +
            Wire.event(Wire.chunk({ content: [{ type: "text", text: "said" }] })) +
            Wire.finishChunk()
        )
        assert.strictEqual(thoughts(parts), "one two")
        assert.strictEqual(text(parts), "said")
        assert.deepStrictEqual(ofType(parts, "reasoning-start").length, 1)
      }))
  }

  it.effect("may come again after the first words", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ reasoning: "a" })) + Wire.textChunk("b") + Wire.event(Wire.chunk({ reasoning: "c" })) +
          Wire.finishChunk()
      )
      assert.deepStrictEqual(
        parts.flatMap((part) => part.type.endsWith("-start") && "id" in part ? [`${part.type} ${part.id}`] : []),
        ["reasoning-start 0", "text-start 1", "reasoning-start 2"]
      )
    }))
})

describe("tool calls", () => {
  const f = { name: "f" }
  const shapes: ReadonlyArray<readonly [name: string, body: string, expected: ReadonlyArray<unknown>]> = [
    [
      "in pieces, by index",
      piece({ index: 0, id: "a" }, f) + piece({ index: 1, id: "b" }, { name: "g" }) +
      piece({ index: 0 }, { arguments: "{\"x\"" }) + piece({ index: 1 }, { arguments: "{}" }) +
      piece({ index: 0 }, { arguments: ":1}" }),
      [
        { id: "a", name: "f", params: { x: 1 } },
        { id: "b", name: "g", params: {} }
      ]
    ],
    ["with indices that begin anywhere", piece({ index: 3, id: "a" }, f) + piece({ index: 3 }, { arguments: "{}" }), [
      { id: "a", name: "f", params: {} }
    ]],
    ["at once", piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\":1}" }), [{
      id: "a",
      name: "f",
      params: { x: 1 }
    }]],
    ["without parameters", piece({ index: 0, id: "a" }, { name: "f", arguments: "" }), [{
      id: "a",
      name: "f",
      params: {}
    }]],
    [
      "all with one index",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{}" }) +
      piece({ index: 0, id: "b" }, { name: "f", arguments: "{}" }),
      [
        { id: "a", name: "f", params: {} },
        { id: "b", name: "f", params: {} }
      ]
    ],
    [
      "without an index",
      piece({ id: "a" }, { name: "f", arguments: "{\"x\"" }) + piece({}, { arguments: ":1}" }) +
      piece({ id: "b" }, { name: "g", arguments: "{}" }),
      [
        { id: "a", name: "f", params: { x: 1 } },
        { id: "b", name: "g", params: {} }
      ]
    ],
    ["without index and id", piece({}, { name: "f", arguments: "{}" }) + piece({}, { name: "g", arguments: "{}" }), [
      { id: "call_0", name: "f", params: {} },
      { id: "call_1", name: "g", params: {} }
    ]],
    [
      "with id and name in every piece",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\"" }) +
      piece({ index: 0, id: "a" }, { name: "f", arguments: ":1}" }),
      [{ id: "a", name: "f", params: { x: 1 } }]
    ],
    [
      "with another id in every piece",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\"" }) +
      piece({ index: 0, id: "z" }, { arguments: ":1}" }),
      [{ id: "a", name: "f", params: { x: 1 } }]
    ],
    ["with parameters that are an object", piece({ index: 0, id: "a" }, { name: "f", arguments: { x: 1 } }), [
      { id: "a", name: "f", params: { x: 1 } }
    ]],
    [
      "of the first generation",
      Wire.event(Wire.chunk({ function_call: { name: "f", arguments: "{\"x\"" } })) +
      Wire.event(Wire.chunk({ function_call: { arguments: ":1}" } })),
      [{ id: "call_0", name: "f", params: { x: 1 } }]
    ],
    [
      "with free text",
      Wire.event(
        Wire.chunk({ tool_calls: [{ index: 0, id: "a", type: "custom", custom: { name: "f", input: "no" } }] })
      ),
      [
        { id: "a", name: "f", params: "no" }
      ]
    ]
  ]
  for (const [name, body, expected] of shapes) {
    it.effect(`come ${name}`, () =>
      Effect.gen(function*() {
        for (const reason of ["tool_calls", "stop"]) {
          const parts = yield* streamed(body + Wire.finishChunk(reason) + Wire.done)
          assert.deepStrictEqual<ReadonlyArray<unknown>>(calls(parts), expected)
          assert.strictEqual(finishOf(parts).reason, "tool-calls")
          // Every call that began has ended, before it is a call.
          for (const { id } of ofType(parts, "tool-params-start")) {
            const types = parts.filter((part) => "id" in part && part.id === id).map(({ type }) => type)
            assert.deepStrictEqual(types.filter((type) => type !== "tool-params-delta"), [
              "tool-params-start",
              "tool-params-end",
              "tool-call"
            ])
          }
        }
      }))
  }

  const half = piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\":" })

  it.effect("that are cut are none", () =>
    Effect.gen(function*() {
      const cut = yield* streamed(half + Wire.finishChunk("length") + Wire.done)
      assert.deepStrictEqual(calls(cut), [])
      assert.strictEqual(finishOf(cut).reason, "length")
      for (const reason of ["content_filter", "error"]) {
        const whole = piece({ index: 0, id: "a" }, { name: "f", arguments: "{}" })
        assert.deepStrictEqual(calls(yield* streamed(whole + Wire.finishChunk(reason))), [])
      }
      const { error } = yield* failure(half, "stream")
      assert.strictEqual(error._tag, "StreamInterrupted")
    }))

  it.effect("that are no JSON are malformed", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(half + Wire.finishChunk("tool_calls") + Wire.done, "stream")
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
      const full = Wire.answer({ tool_calls: [{ id: "a", function: { name: "f", arguments: "{\"x\":" } }] }, {
        finish_reason: "tool_calls"
      })
      assert.strictEqual((yield* failure(full, "whole")).error._tag, "MalformedResponse")
      const nameless = Wire.answer({ tool_calls: [{ id: "a", function: { arguments: "{}" } }] })
      assert.strictEqual((yield* failure(nameless, "whole")).error._tag, "MalformedResponse")
    }))

  it.effect("of strict tools have the parameters that the tools expect", () =>
    Effect.gen(function*() {
      const tool = Tool.make("f", {
        parameters: Schema.Struct({ x: Schema.Int, y: Schema.optionalKey(Schema.Int) })
      }).annotate(Tool.Strict, true)
      const params = { tools: [tool], toolChoice: "auto" as const }
      const call = { name: "f", arguments: "{\"x\":1,\"y\":null}" }
      const parts = yield* streamed(piece({ index: 0, id: "a" }, call) + Wire.finishChunk("tool_calls"), params)
      assert.deepStrictEqual(calls(parts)[0]?.params, { x: 1 })
      const answered = yield* whole(Wire.answer({ tool_calls: [{ id: "a", function: call }] }), params)
      assert.deepStrictEqual(calls(answered)[0]?.params, { x: 1 })
    }))
})

describe("content filters", () => {
  const refusal = "I cannot help with that."
  const usage = { prompt_tokens: 9, completion_tokens: 3 }

  it.effect("and refusals fail the call, which is paid for all the same", () =>
    Effect.gen(function*() {
      const bodies = [
        [Wire.answer({ content: null, refusal }, {}, { usage }), "whole"],
        [Wire.event(Wire.chunk({ refusal })) + Wire.finishChunk("stop", { usage }) + Wire.done, "stream"]
      ] as const
      for (const [body, mode] of bodies) {
        const { error, receipt } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.strictEqual(error.stage, "answer")
        assert.strictEqual(Redacted.value(error.detail!), refusal)
        assert.notInclude(error.message, refusal)
        assert.strictEqual(receipt.usage.inputUncached, 9)
        assert.strictEqual(receipt.usage.outputText, 3)
      }
    }))

  it.effect("name what they have found", () =>
    Effect.gen(function*() {
      const filtered = {
        finish_reason: "content_filter",
        content_filter_results: { violence: { filtered: true, severity: "high" }, hate: { filtered: false } }
      }
      for (
        const [body, mode] of [
          [Wire.answer({ content: "" }, filtered), "whole"],
          [Wire.event(Wire.chunk({}, filtered)), "stream"]
        ] as const
      ) {
        const { error } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.deepStrictEqual(error.categories, ["violence"])
      }
    }))

  it.effect("interrupt what has begun", () =>
    Effect.gen(function*() {
      for (
        const end of [Wire.finishChunk("content_filter"), Wire.event(Wire.chunk({ refusal })) + Wire.finishChunk()]
      ) {
        const { error } = yield* failure(Wire.textChunk("one") + end + Wire.done, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(Redacted.value(error.partial), "one")
        assert.strictEqual(error.failure?._tag, "ContentFiltered")
      }
    }))
})

describe("errors inside an answer", () => {
  const shapes: { readonly [name: string]: object } = {
    "an error": { error: { message: "slow down", code: 429 } },
    "an error beside no choices": { id: "x", choices: [], error: { message: "slow down", code: 429 } },
    "an error beside a choice": {
      error: { message: "slow down", code: "rate_limit_exceeded" },
      choices: [{ index: 0, delta: { content: "" }, finish_reason: "error" }]
    },
    "a flat error": { object: "error", message: "slow down", code: 429 },
    "an error in an error": { error: { object: "error", message: "slow down", code: 429 } },
    "an error that is a text": { error: "Rate limit reached" },
    "a message alone": { message: "Rate limit reached" }
  }
  for (const [name, error] of Object.entries(shapes)) {
    it.effect(`may be ${name}`, () =>
      Effect.gen(function*() {
        const first = yield* failure(Wire.event(error) + Wire.done, "stream")
        assert.strictEqual(first.error._tag, "RateLimited")
        const later = yield* failure(Wire.textChunk("one") + Wire.event(error) + Wire.done, "stream")
        assert(later.error._tag === "StreamInterrupted")
        assert.strictEqual(later.error.failure?._tag, "RateLimited")
        assert.strictEqual(Redacted.value(later.error.partial), "one")
        const full = yield* failure(JSON.stringify(error), "whole")
        assert.strictEqual(full.error._tag, "RateLimited")
      }))
  }

  it.effect("may be an event of their own, or a field", () =>
    Effect.gen(function*() {
      const named = "event: error\ndata: {\"code\":429,\"status_code\":429}\n\n"
      assert.strictEqual((yield* failure(named, "stream")).error._tag, "RateLimited")
      const field = "error: {\"error\":{\"code\":429}}\n\n"
      assert.strictEqual((yield* failure(`${Wire.event(Wire.chunk({}))}${field}`, "stream")).error._tag, "RateLimited")
    }))

  it.effect("come after the last words, and change nothing", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.textChunk("one") + Wire.finishChunk("length") +
          Wire.event({ error: { code: "too_much" }, usage: { prompt_tokens: 9 } }) + Wire.done
      )
      assert.strictEqual(finishOf(parts).reason, "length")
      assert.strictEqual(finishOf(parts).usage.inputTokens.total, 9)
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { errorAfterFinish: "too_much" })
    }))

  it.effect("may be the choice's own", () =>
    Effect.gen(function*() {
      const body = Wire.answer({ content: "" }, { finish_reason: "error", error: { code: 429, message: "slow down" } })
      assert.strictEqual((yield* failure(body, "whole")).error._tag, "RateLimited")
    }))
})
