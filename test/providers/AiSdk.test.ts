/**
 * What is asked of AI SDK models, and of whom.
 */
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider"
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { asked, askedV3, outdated, P, textAnswer, v3, v4, whole } from "./support/aiSdkModel.ts"
import { request } from "./support/request.ts"

describe("sources", () => {
  it.effect("one model answers to its own name only", () =>
    Effect.gen(function*() {
      const { model, seen } = v4({ generate: textAnswer })
      const ask = (id: string) => Llm.generateText(Llm.model(P, id), { prompt: "Hello?" })
      const [answer, error] = yield* Effect.all([ask("model-x"), Effect.flip(ask("other"))]).pipe(
        Effect.provide(AiSdk.layer(P, model))
      )
      assert.strictEqual(answer.text, "hi")
      assert.strictEqual(error._tag, "ModelNotFound")
      assert.strictEqual(seen.length, 1)
    }))

  it.effect("a function is asked for the model by its name, and none is sent anything but what was asked of it", () =>
    Effect.gen(function*() {
      const names: Array<string> = []
      const source = (name: string) => {
        names.push(name)
        return (name === "new" ? v4({ generate: textAnswer }) : v3({ generate: textAnswer })).model
      }
      for (const model of ["new", "old"]) yield* whole(source, { model })
      assert.deepStrictEqual(names, ["new", "old"])
    }))

  it("that are none are refused at once", () => {
    for (const version of ["v2", "v5", undefined]) {
      assert.throws(() => AiSdk.layer(P, outdated(version)), RangeError, /only v4 and v3 are understood/)
    }
    for (const none of ["openai/gpt-5-mini", undefined, {}, { languageModel: () => v4({}).model }]) {
      // @ts-expect-error none of them is a source
      assert.throws(() => AiSdk.layer(P, none), RangeError, /no language model of the AI SDK/)
    }
    // @ts-expect-error there is no such domain
    assert.throws(() => AiSdk.make("p", v4({}).model, { quotaDomain: "key" }), RangeError, /quotaDomain/)
  })

  it.effect("that give what is no model of ours fail the call", () =>
    Effect.gen(function*() {
      const v2 = yield* Effect.flip(whole(() => outdated("v2")))
      assert(v2._tag === "InvalidRequest")
      assert.include(v2.message, "specification v2")
      // @ts-expect-error a source has to give a model
      const none = yield* Effect.flip(whole(() => "gpt-5-mini"))
      assert(none._tag === "InvalidRequest")
      assert.strictEqual(none.parameter, "model")
    }))

  it("may count quotas by model", () => {
    const domain = (quotaDomain?: "account" | "model") =>
      AiSdk.make("p", v4({}).model, { quotaDomain }).quotaDomain?.(request())
    assert.deepStrictEqual([domain(), domain("account"), domain("model")], [undefined, undefined, "model-x"])
  })
})

const Weather = Tool.make("weather", {
  description: "Tells the weather.",
  parameters: Schema.Struct({ city: Schema.String, day: Schema.optional(Schema.String) }),
  success: Schema.String
})
const Strict = Weather.annotate(Tool.Strict, true)
const Clock = Tool.make("clock", { success: Schema.String })
const Search = Tool.providerDefined({
  id: "openai.web_search",
  customName: "Search",
  providerName: "web_search",
  args: Schema.Struct({ searchContextSize: Schema.String }),
  requiresHandler: true,
  success: Schema.String
})({ searchContextSize: "low", failureMode: "return" })

describe("requests", () => {
  it.effect("hold nothing that was not asked for", () =>
    Effect.gen(function*() {
      const prompt = [{ role: "user", content: [{ type: "text", text: "Hello?" }] }]
      assert.deepStrictEqual<object>(yield* asked({}), { prompt })
      assert.deepStrictEqual<object>(yield* askedV3({}), { prompt })
    }))

  it.effect("hold the settings", () =>
    Effect.gen(function*() {
      const settings = { maxOutputTokens: 9, temperature: 0, topP: 0.5, stop: ["."], seed: 7 }
      const { prompt: _, ...options } = yield* asked({ settings: { ...settings, reasoningEffort: "xhigh" } })
      assert.deepStrictEqual<object>(options, {
        maxOutputTokens: 9,
        temperature: 0,
        topP: 0.5,
        stopSequences: ["."],
        seed: 7,
        reasoning: "xhigh"
      })
      assert.deepStrictEqual<object>(
        { ...(yield* askedV3({ settings })), prompt: 0, reasoning: 0 },
        { ...options, prompt: 0, reasoning: 0 }
      )
    }))

  it.effect("hold extra fields, which win", () =>
    Effect.gen(function*() {
      const extra = {
        topK: 3,
        presencePenalty: 1,
        frequencyPenalty: 1,
        headers: { "x-more": "1" },
        temperature: 1,
        providerOptions: { openai: { serviceTier: "flex" } }
      }
      for (const ask of [asked, askedV3]) {
        const { prompt: _, ...options } = yield* ask({ settings: { temperature: 0, extra } })
        assert.deepStrictEqual<object>(options, extra)
      }
    }))

  it.effect("hold tools, in strict mode where they ask for it, and those of providers", () =>
    Effect.gen(function*() {
      for (const ask of [asked, askedV3]) {
        const { toolChoice, tools } = yield* ask({
          tools: [Weather, Strict, Search],
          toolChoice: "auto"
        })
        assert.deepStrictEqual<unknown>(toolChoice, { type: "auto" })
        const [weather, strict, search] = tools ?? []
        assert(weather?.type === "function" && strict?.type === "function")
        assert.strictEqual(weather.name, "weather")
        assert.strictEqual(weather.description, "Tells the weather.")
        assert.isFalse("strict" in weather)
        assert.deepInclude(weather.inputSchema, { type: "object", required: ["city"] })
        assert.isTrue(strict.strict)
        assert.deepInclude(strict.inputSchema, { required: ["city", "day"], additionalProperties: false })
        assert.deepStrictEqual<unknown>(search, {
          type: "provider",
          id: "openai.web_search",
          name: "Search",
          args: { searchContextSize: "low" }
        })
      }
    }))

  it.effect("say whether tools may, must or must not be called", () =>
    Effect.gen(function*() {
      const choice = (toolChoice: Parameters<typeof asked>[0]["toolChoice"]) =>
        Effect.map(asked({ tools: [Weather, Clock], toolChoice: toolChoice! }), ({ toolChoice, tools }) => [
          toolChoice,
          tools?.map(({ name }) => name)
        ])
      const both = ["weather", "clock"]
      assert.deepStrictEqual<unknown>(yield* choice("auto"), [{ type: "auto" }, both])
      assert.deepStrictEqual<unknown>(yield* choice("none"), [{ type: "none" }, both])
      assert.deepStrictEqual<unknown>(yield* choice("required"), [{ type: "required" }, both])
      assert.deepStrictEqual<unknown>(yield* choice({ tool: "clock" }), [{ type: "tool", toolName: "clock" }, both])
      assert.deepStrictEqual<unknown>(yield* choice({ oneOf: ["clock"] }), [{ type: "auto" }, ["clock"]])
      assert.deepStrictEqual<unknown>(
        yield* choice({ mode: "required", oneOf: ["clock"] }),
        [{ type: "required" }, ["clock"]]
      )
      assert.strictEqual((yield* Effect.flip(choice({ tool: "other" })))._tag, "InvalidRequest")
    }))

  it.effect("hold the schema of an answer", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({ name: Schema.String })
      for (const ask of [asked, askedV3]) {
        const { responseFormat } = yield* ask({ responseFormat: { type: "json", objectName: "a city!", schema } })
        assert(responseFormat?.type === "json")
        assert.strictEqual(responseFormat.name, "a_city_")
        assert.deepInclude(responseFormat.schema, { type: "object", required: ["name"] })
      }
    }))

  it.effect("that the specification has no words for are not sent", () =>
    Effect.gen(function*() {
      const refused = (run: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>) =>
        Effect.map(Effect.flip(run), ({ _tag, message }) => {
          assert.strictEqual(_tag, "InvalidRequest")
          return message
        })
      assert.include(yield* refused(asked({ settings: { reasoningEffort: "2048" } })), "settings.reasoningEffort")
      assert.include(yield* refused(askedV3({ settings: { reasoningEffort: "low" } })), "specification v3")
      assert.include(yield* refused(asked({ settings: { extra: { openai: {} } } })), "providerOptions")
      assert.include(yield* refused(asked({ settings: { extra: { prompt: [] } } })), "settings.extra")
      assert.include(yield* refused(askedV3({ settings: { extra: { reasoning: "low" } } })), "settings.extra")
      assert.include(yield* refused(asked({ settings: { temperature: Number.NaN } })), "settings.temperature")
      const options = { openai: "no" }
      assert.include(
        yield* refused(asked({ prompt: Prompt.make([{ role: "system", content: "x", options }]) })),
        "messages[0].options"
      )
    }))
})

const conversation = Prompt.make([
  {
    role: "system",
    content: "Be brief.",
    options: { anthropic: { cacheControl: { type: "ephemeral" } }, openai: null }
  },
  {
    role: "user",
    content: [
      { type: "text", text: "See these.", options: { openai: { a: 1 } } },
      { type: "file", mediaType: "image/*", data: "data:image/png;base64,AAAA", fileName: "a.png" },
      { type: "file", mediaType: "application/pdf", data: new Uint8Array([1, 2]) }
    ],
    options: { openai: { b: 2 } }
  },
  {
    role: "assistant",
    content: [
      { type: "reasoning", text: "Hm.", options: { anthropic: { signature: "s" } } },
      { type: "text", text: "Well." },
      { type: "file", mediaType: "image/png", data: "BBBB" },
      { type: "tool-call", id: "1", name: "weather", params: { city: "Bern" }, options: { google: { t: "x" } } },
      { type: "tool-call", id: "2", name: "clock", params: "{}" },
      { type: "tool-call", id: "3", name: "search", params: { q: "x" }, providerExecuted: true },
      { type: "tool-result", id: "3", name: "search", result: [1], isFailure: false, providerExecuted: true },
      { type: "tool-call", id: "4", name: "mcp", params: {}, providerExecuted: true },
      { type: "tool-approval-request", approvalId: "a4", toolCallId: "4" },
      { type: "tool-approval-request", approvalId: "a1", toolCallId: "1" }
    ]
  },
  {
    role: "tool",
    content: [
      { type: "tool-approval-response", approvalId: "a4", approved: false, reason: "no" },
      { type: "tool-approval-response", approvalId: "a1", approved: true },
      { type: "tool-result", id: "1", name: "weather", result: "fine", isFailure: false, options: { x: { y: 1 } } },
      { type: "tool-result", id: "2", name: "clock", result: "broken", isFailure: true },
      { type: "tool-result", id: "5", name: "c", result: { a: 1 }, isFailure: false },
      { type: "tool-result", id: "6", name: "c", result: { a: 1 }, isFailure: true },
      { type: "tool-result", id: "7", name: "c", result: { type: "execution-denied", reason: "r" }, isFailure: true },
      {
        type: "tool-result",
        id: "8",
        name: "c",
        result: 0,
        isFailure: false,
        modelOutput: [
          { type: "text", text: "see" },
          { type: "file", mediaType: "image/png", data: "CCCC" },
          { type: "file", mediaType: "application/pdf", data: "DDDD", fileName: "d.pdf" },
          { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png") }
        ]
      },
      {
        type: "tool-result",
        id: "9",
        name: "c",
        result: 0,
        isFailure: true,
        modelOutput: [{ type: "text", text: "one" }, { type: "text", text: "two" }]
      }
    ]
  }
])

const results = (content: ReadonlyArray<unknown>) => [
  {
    type: "tool-result",
    toolCallId: "1",
    toolName: "weather",
    output: { type: "text", value: "fine" },
    providerOptions: { x: { y: 1 } }
  },
  { type: "tool-result", toolCallId: "2", toolName: "clock", output: { type: "error-text", value: "broken" } },
  { type: "tool-result", toolCallId: "5", toolName: "c", output: { type: "json", value: { a: 1 } } },
  { type: "tool-result", toolCallId: "6", toolName: "c", output: { type: "error-json", value: { a: 1 } } },
  { type: "tool-result", toolCallId: "7", toolName: "c", output: { type: "execution-denied", reason: "r" } },
  { type: "tool-result", toolCallId: "8", toolName: "c", output: { type: "content", value: content } },
  { type: "tool-result", toolCallId: "9", toolName: "c", output: { type: "error-text", value: "one\ntwo" } }
]

const expected = (file: (data: unknown) => unknown, content: ReadonlyArray<unknown>) => [
  { role: "system", content: "Be brief.", providerOptions: { anthropic: { cacheControl: { type: "ephemeral" } } } },
  {
    role: "user",
    content: [
      { type: "text", text: "See these.", providerOptions: { openai: { a: 1 } } },
      { type: "file", mediaType: "image/*", data: file("AAAA"), filename: "a.png" },
      { type: "file", mediaType: "application/pdf", data: file(new Uint8Array([1, 2])) }
    ],
    providerOptions: { openai: { b: 2 } }
  },
  {
    role: "assistant",
    content: [
      { type: "reasoning", text: "Hm.", providerOptions: { anthropic: { signature: "s" } } },
      { type: "text", text: "Well." },
      { type: "file", mediaType: "image/png", data: file("BBBB") },
      {
        type: "tool-call",
        toolCallId: "1",
        toolName: "weather",
        input: { city: "Bern" },
        providerOptions: { google: { t: "x" } }
      },
      { type: "tool-call", toolCallId: "2", toolName: "clock", input: {} },
      { type: "tool-call", toolCallId: "3", toolName: "search", input: { q: "x" }, providerExecuted: true },
      { type: "tool-result", toolCallId: "3", toolName: "search", output: { type: "json", value: [1] } },
      { type: "tool-call", toolCallId: "4", toolName: "mcp", input: {}, providerExecuted: true }
    ]
  },
  {
    role: "tool",
    content: [{ type: "tool-approval-response", approvalId: "a4", approved: false, reason: "no" }, ...results(content)]
  }
]

describe("prompts", () => {
  it.effect("are written in specification v4", () =>
    Effect.gen(function*() {
      const { prompt } = yield* asked({ prompt: conversation })
      const file = (data: unknown) => ({ type: "data", data })
      assert.deepStrictEqual<unknown>(
        prompt,
        expected(file, [
          { type: "text", text: "see" },
          { type: "file", mediaType: "image/png", data: file("CCCC") },
          { type: "file", mediaType: "application/pdf", data: file("DDDD"), filename: "d.pdf" },
          { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("https://example.com/a.png") } }
        ])
      )
    }))

  it.effect("are written in specification v3", () =>
    Effect.gen(function*() {
      const { prompt } = yield* askedV3({ prompt: conversation })
      assert.deepStrictEqual<unknown>(
        prompt,
        expected((data) => data, [
          { type: "text", text: "see" },
          { type: "image-data", mediaType: "image/png", data: "CCCC" },
          { type: "file-data", mediaType: "application/pdf", data: "DDDD", filename: "d.pdf" },
          { type: "image-url", url: "https://example.com/a.png" }
        ])
      )
    }))

  it.effect("hold addresses of files that the model takes, and no others", () =>
    Effect.gen(function*() {
      const ask = (
        supportedUrls: Record<string, Array<RegExp>>,
        data: string | URL,
        mediaType = "image/png",
        model: typeof v4 | typeof v3 = v4
      ) => {
        const { model: made, seen } = model({ generate: textAnswer, supportedUrls: Promise.resolve(supportedUrls) })
        const prompt = Prompt.make([{ role: "user", content: [{ type: "file", mediaType, data }] }])
        return Effect.map(whole(made, { prompt }), () => {
          const [message] = (seen[0] as LanguageModelV4CallOptions).prompt
          return typeof message?.content === "object" && message.content[0]?.type === "file"
            ? message.content[0].data
            : undefined
        })
      }
      const url = "https://example.com/A.png"
      const href = new URL(url)
      assert.deepStrictEqual<unknown>(yield* ask({ "image/*": [/^https:/g] }, url), { type: "url", url: href })
      assert.deepStrictEqual<unknown>(yield* ask({ "*/*": [/a\.png$/] }, href, "image/*"), { type: "url", url: href })
      assert.deepStrictEqual<unknown>(yield* ask({ "*": [/^gs:/] }, "gs://b/a"), {
        type: "url",
        url: new URL("gs://b/a")
      })
      assert.deepStrictEqual<unknown>(yield* ask({ "image/png": [/./] }, href, "image/png", v3), href)
      for (
        const [supported, mediaType] of [
          [{}, "image/png"],
          [{ "image/*": [/^http:/] }, "image/png"],
          [{ "image/*": [/./] }, "application/pdf"],
          [{ "image/png": [/./] }, "image/*"]
        ] as const
      ) {
        const error = yield* Effect.flip(ask(supported as Record<string, Array<RegExp>>, url, mediaType))
        assert(error._tag === "InvalidRequest")
        assert.include(error.message, "messages[0].content[0]")
        assert.notInclude(error.message, "example.com")
      }
      assert.strictEqual((yield* Effect.flip(ask({ "*": [/./] }, "https://")))._tag, "InvalidRequest")
    }))

  it.effect("hold what v3 has no word for only in v4", () =>
    Effect.gen(function*() {
      const prompt = (options: { readonly [key: string]: Schema.Json }, type: "text" | "file") =>
        Prompt.make([{
          role: "assistant",
          content: [
            type === "text"
              ? { type, text: "", options: { aiSdk: options, openai: { id: "c" } } }
              : { type, mediaType: "image/png", data: "AAAA", options: { aiSdk: options } }
          ]
        }])
      const custom = prompt({ custom: "openai.compaction" }, "text")
      const thought = prompt({ reasoning: true }, "file")
      assert.deepStrictEqual<unknown>((yield* asked({ prompt: custom })).prompt[0]?.content, [
        { type: "custom", kind: "openai.compaction", providerOptions: { openai: { id: "c" } } }
      ])
      assert.deepStrictEqual<unknown>((yield* asked({ prompt: thought })).prompt[0]?.content, [
        { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AAAA" } }
      ])
      for (const unsayable of [custom, thought]) {
        const error = yield* Effect.flip(askedV3({ prompt: unsayable }))
        assert(error._tag === "InvalidRequest")
        assert.strictEqual(error.parameter, "messages[0].content[0]")
      }
    }))
})

describe("what is seen", () => {
  it("of a provider has no secret", () => {
    const secret = "planted-secret"
    const provider = AiSdk.make("p", v4({}).model, { secrets: [Redacted.make(secret)] })
    assert.notInclude(inspect(provider, { depth: 12, showHidden: true }), secret)
  })
})
