/**
 * The presets: what exactly a rich call is in each dialect, over loopback, and that answers of the server's own shape are understood.
 */
import { assert, describe, it } from "@effect/vitest"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { expectTypeOf } from "vitest"
import { calls, finishOf, ofType, text, thoughts } from "./support/ask.ts"
import * as Replay from "./support/replayServer.ts"
import * as Wire from "./support/wire.ts"

class P extends Provider.Service<P>()("p") {}

const time = Tool.make("time", { parameters: Schema.Struct({ zone: Schema.String }), success: Schema.String })

const weather = Tool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })

const rich: Provider.Request = {
  model: "model-x",
  prompt: Prompt.make([
    { role: "system", content: "Be brief." },
    { role: "user", content: "What time is it?" },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm" },
        { type: "tool-call", id: "call_PTLP8xhu3uwZk4l3nlnrrJha", name: "time", params: { zone: "UTC" } }
      ]
    },
    {
      role: "tool",
      content: [
        { type: "tool-result", id: "call_PTLP8xhu3uwZk4l3nlnrrJha", name: "time", isFailure: false, result: "noon" }
      ]
    },
    { role: "user", content: "And the weather?" }
  ]),
  tools: [time, weather],
  toolChoice: { tool: "weather" },
  responseFormat: { type: "json", objectName: "report", schema: Schema.Struct({ sky: Schema.String }) },
  settings: { maxOutputTokens: 10, temperature: 0.5, topP: 0.9, stop: ["x"], seed: 7, reasoningEffort: "low" }
}

const schema = {
  type: "object",
  properties: { sky: { type: "string" } },
  required: ["sky"],
  additionalProperties: false
}

const inWords = `Answer with a JSON value that fits this JSON schema, and with nothing else:\n${JSON.stringify(schema)}`

const toolOf = (name: string, parameter: string) => ({
  type: "function",
  function: {
    name,
    parameters: {
      type: "object",
      properties: { [parameter]: { type: "string" } },
      required: [parameter],
      additionalProperties: true
    }
  }
})

/** The messages of the rich call, as far as dialects differ in them. */
const messages = (
  own: { readonly id?: string; readonly system?: string; readonly reasoning?: { readonly [field: string]: string } } =
    {}
) => {
  const { id = "call_PTLP8xhu3uwZk4l3nlnrrJha", reasoning, system = "Be brief." } = own
  return [
    { role: "system", content: system },
    { role: "user", content: "What time is it?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id, type: "function", function: { name: "time", arguments: "{\"zone\":\"UTC\"}" } }],
      ...reasoning
    },
    { role: "tool", tool_call_id: id, content: "noon" },
    { role: "user", content: "And the weather?" }
  ]
}

/** What OpenAI itself is sent. */
const plain = {
  model: "model-x",
  messages: messages(),
  tools: [toolOf("time", "zone"), toolOf("weather", "city")],
  tool_choice: { type: "function", function: { name: "weather" } },
  response_format: { type: "json_schema", json_schema: { name: "report", schema, strict: true } },
  temperature: 0.5,
  top_p: 0.9,
  stop: ["x"],
  max_completion_tokens: 10,
  seed: 7,
  reasoning_effort: "low",
  stream: true,
  stream_options: { include_usage: true }
}

const { max_completion_tokens: _, ...withoutLimit } = plain

const older = { ...withoutLimit, max_tokens: 10 }

const { seed: _seed, stream_options: _usage, ...bare } = older

const { reasoning_effort: _effort, ...withoutEffort } = plain

const alone = { tools: [toolOf("weather", "city")], tool_choice: "required" }

interface Case {
  readonly dialect: OpenAiChat.Dialect
  /** Where the server itself is, if that is known. */
  readonly url: string
  /** The options that are needed beside the preset. */
  readonly own?: OpenAiChat.Options
  readonly path?: string
  readonly header?: string
  readonly quotas: "account" | "model"
  readonly body: object
}

const azureUrl = "/openai/deployments/{model}"

const cases: { readonly [name in keyof typeof OpenAiChat]?: Case } = {
  azure: {
    dialect: OpenAiChat.azure,
    url: "https://<resource>.openai.azure.com/openai/v1",
    header: "api-key",
    quotas: "model",
    body: plain
  },
  azureDeployments: {
    dialect: OpenAiChat.azureDeployments,
    url: "https://<resource>.openai.azure.com/openai/deployments/{model}",
    own: { baseUrl: azureUrl },
    path: "/openai/deployments/model-x/chat/completions?api-version=2024-10-21",
    header: "api-key",
    quotas: "model",
    body: plain
  },
  openRouter: {
    dialect: OpenAiChat.openRouter,
    url: "https://openrouter.ai/api/v1",
    quotas: "model",
    body: { ...withoutEffort, reasoning: { effort: "low" }, messages: messages({ reasoning: { reasoning: "hm" } }) }
  },
  groq: { dialect: OpenAiChat.groq, url: "https://api.groq.com/openai/v1", quotas: "model", body: plain },
  together: {
    dialect: OpenAiChat.together,
    url: "https://api.together.xyz/v1",
    quotas: "model",
    body: { ...older, messages: messages({ system: `Be brief.\n\n${inWords}` }) }
  },
  deepSeek: {
    dialect: OpenAiChat.deepSeek,
    url: "https://api.deepseek.com",
    quotas: "account",
    body: {
      ...older,
      response_format: { type: "json_object" },
      messages: messages({ system: `Be brief.\n\n${inWords}`, reasoning: { reasoning_content: "hm" } })
    }
  },
  mistral: {
    dialect: OpenAiChat.mistral,
    url: "https://api.mistral.ai/v1",
    quotas: "account",
    body: { ...bare, random_seed: 7, messages: messages({ id: "c00000000" }) }
  },
  xai: { dialect: OpenAiChat.xai, url: "https://api.x.ai/v1", quotas: "model", body: plain },
  vllm: { dialect: OpenAiChat.vllm, url: "http://localhost:8000/v1", quotas: "account", body: plain },
  ollama: {
    dialect: OpenAiChat.ollama,
    url: "http://localhost:11434/v1",
    quotas: "account",
    body: { ...older, ...alone, messages: messages({ reasoning: { reasoning: "hm" } }) }
  },
  llamaCpp: {
    dialect: OpenAiChat.llamaCpp,
    url: "http://localhost:8080/v1",
    quotas: "account",
    body: { ...older, ...alone }
  },
  lmStudio: {
    dialect: OpenAiChat.lmStudio,
    url: "http://localhost:1234/v1",
    quotas: "account",
    body: { ...older, ...alone }
  }
}

const sent = Effect.fnUntraced(function*(options: OpenAiChat.Options, request: Provider.Request) {
  const server = yield* Replay.make
  server.onRequest(Replay.reply({ body: Wire.streamOf("hi") }))
  const layer = OpenAiChat.layer(P, {
    apiKey: Redacted.make("k-1"),
    ...options,
    baseUrl: server.url + (options.baseUrl ?? "/base")
  })
  yield* Effect.flatMap(P, (provider) => Stream.runDrain(provider.stream(request))).pipe(
    Effect.provide(layer.pipe(Layer.provide(FetchHttpClient.layer)))
  )
  const [recorded] = server.requests
  assert(recorded !== undefined)
  return { ...recorded, json: JSON.parse(recorded.body) as { readonly [field: string]: unknown } }
})

const bodyOf = (dialect: OpenAiChat.Dialect, request: Partial<Provider.Request>) =>
  Effect.map(sent({ dialect }, { ...rich, ...request }), ({ json }) => json)

describe("a preset", () => {
  it("stands here for every one there is", () => {
    const presets = Object.entries(OpenAiChat).flatMap(([name, value]) => typeof value === "object" ? [name] : [])
    assert.deepStrictEqual(Object.keys(cases).toSorted(), presets.toSorted())
  })

  for (const [name, expected] of Object.entries(cases)) {
    it.effect(`says in the words of ${name} what a rich call is`, () =>
      Effect.gen(function*() {
        const { headers, json, url } = yield* sent({ ...expected.own, dialect: expected.dialect }, rich)
        assert.deepStrictEqual(json, expected.body)
        assert.strictEqual(url, expected.path ?? "/base/chat/completions")
        const header = expected.header ?? "authorization"
        assert.strictEqual(headers[header], header === "authorization" ? "Bearer k-1" : "k-1")
        assert.strictEqual("authorization" in headers, header === "authorization")
        assert.strictEqual(expected.dialect.baseUrl, expected.url)
        assert.strictEqual(expected.dialect.quotaDomain ?? "account", expected.quotas)
      }))
  }

  it.effect("is not needed for OpenAI", () =>
    Effect.map(sent({}, rich), ({ json }) => assert.deepStrictEqual(json, plain)))

  it.effect("loses to the options beside it, but not to those that are not set", () =>
    Effect.gen(function*() {
      const { json, url } = yield* sent({
        dialect: { ...OpenAiChat.mistral, query: { from: "preset" } },
        maxTokensField: "max_completion_tokens",
        streamUsage: true,
        seedField: undefined
      }, rich)
      assert.strictEqual(url, "/base/chat/completions?from=preset")
      assert.strictEqual(json["max_completion_tokens"], 10)
      assert.notProperty(json, "max_tokens")
      assert.deepStrictEqual(json["stream_options"], { include_usage: true })
      assert.strictEqual(json["random_seed"], 7)
    }))

  it("of Azure needs a place, so that no key goes anywhere else", () => {
    for (const dialect of [OpenAiChat.azure, OpenAiChat.azureDeployments]) {
      for (const baseUrl of [{}, { baseUrl: undefined }]) {
        assert.throws(
          () => OpenAiChat.layer(P, { dialect, ...baseUrl, apiKey: Redacted.make("k-1") }),
          RangeError,
          "`baseUrl` must be an absolute http or https URL, got \"https://<resource>.openai.azure.com"
        )
      }
    }
  })

  const illegal = { jsonMode: "xml", toolChoice: "no", seedField: "s", toolCallIds: "ten", embeddingFormat: "int8" }
  for (const [option, value] of Object.entries(illegal)) {
    it(`is refused where its ${option} is none`, () => {
      assert.throws(
        () => OpenAiChat.layer(P, { dialect: { [option]: value } as OpenAiChat.Dialect }),
        RangeError,
        `OpenAiChat: \`${option}\` must be `
      )
    })
  }
})

describe("layerConfig", () => {
  it.effect("takes a dialect as it is, and the rest from the configuration", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: Wire.answer({ content: "hi" }) }))
      const layer = OpenAiChat.layerConfig(P, {
        dialect: OpenAiChat.mistral,
        apiKey: Config.Redacted("KEY"),
        baseUrl: Config.String("URL"),
        reasoningField: Config.succeed(undefined)
      })
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>>()
      yield* Effect.flatMap(P, (provider) => provider.whole(rich)).pipe(
        Effect.provide(layer.pipe(
          Layer.provide(FetchHttpClient.layer),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ KEY: "k-2", URL: server.url })))
        ))
      )
      const body = JSON.parse(server.requests[0]?.body ?? "") as object
      assert.strictEqual(server.requests[0]?.headers.authorization, "Bearer k-2")
      assert.propertyVal(body, "max_tokens", 10)
      assert.propertyVal(body, "random_seed", 7)
    }))

  it.effect("takes options that are one configuration", () =>
    Effect.gen(function*() {
      const layer = OpenAiChat.layerConfig(P, Config.succeed({ dialect: OpenAiChat.azure }))
      const error = yield* Effect.flip(Layer.build(layer.pipe(Layer.provide(FetchHttpClient.layer))))
      assert.include(error.message, "`baseUrl`")
    }))
})

describe("choices of tools", () => {
  const choice = (toolChoice: Provider.Request["toolChoice"], dialect: OpenAiChat.Dialect) =>
    Effect.map(bodyOf(dialect, { toolChoice }), (body) => [
      (body["tools"] as ReadonlyArray<{ readonly function: { readonly name: string } }> | undefined)?.map((tool) =>
        tool.function.name
      ),
      body["tool_choice"]
    ])

  it.effect("are words where only those are understood", () =>
    Effect.gen(function*() {
      const both = ["time", "weather"]
      for (const word of ["auto", "none", "required"] as const) {
        assert.deepStrictEqual(yield* choice(word, OpenAiChat.llamaCpp), [both, word])
      }
      assert.deepStrictEqual(yield* choice({ tool: "time" }, OpenAiChat.lmStudio), [["time"], "required"])
      assert.deepStrictEqual(yield* choice({ oneOf: ["time"] }, OpenAiChat.lmStudio), [["time"], "auto"])
      assert.deepStrictEqual(yield* choice({ oneOf: both, mode: "required" }, OpenAiChat.lmStudio), [both, "required"])
    }))

  it.effect("are made by what is offered where none is understood", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* choice("none", OpenAiChat.ollama), [undefined, undefined])
      assert.deepStrictEqual(yield* choice("auto", OpenAiChat.ollama), [["time", "weather"], "auto"])
      assert.deepStrictEqual(yield* choice("required", OpenAiChat.ollama), [["time", "weather"], "required"])
      assert.deepStrictEqual(yield* choice({ tool: "time" }, OpenAiChat.ollama), [["time"], "required"])
    }))
})

describe("ids of tool calls", () => {
  const ids = (...given: ReadonlyArray<string>) =>
    Effect.map(
      bodyOf(OpenAiChat.mistral, {
        prompt: Prompt.make([
          {
            role: "assistant",
            content: given.map((id) => ({ type: "tool-call", id, name: "time", params: {} } as const))
          },
          {
            role: "tool",
            content: given.map((
              id
            ) => ({ type: "tool-result", id, name: "time", isFailure: false, result: "" } as const))
          }
        ])
      }),
      ({ messages }) => {
        const [asked, ...told] = messages as ReadonlyArray<
          { readonly tool_calls: ReadonlyArray<{ readonly id: string }>; readonly tool_call_id: string }
        >
        const calls = asked?.tool_calls.map(({ id }) => id)
        assert.deepStrictEqual(told.map(({ tool_call_id }) => tool_call_id), calls)
        return calls
      }
    )

  it.effect("of nine letters and digits stay, and others become so", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ids("abcDEF123", "call_1", "2", "call_1"), [
        "abcDEF123",
        "c00000000",
        "c00000001",
        "c00000000"
      ])
    }))

  it.effect("are never two of one name", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ids("call_1", "c00000000", "c00000001", "x"), [
        "c00000000",
        "c00000001",
        "c00000002",
        "c00000003"
      ])
    }))
})

describe("JSON in words", () => {
  it.effect("stands in a message of the system, be there one or not", () =>
    Effect.gen(function*() {
      const { messages } = yield* bodyOf(OpenAiChat.deepSeek, { prompt: Prompt.make("Hello?") })
      assert.deepStrictEqual(messages, [
        { role: "system", content: inWords },
        { role: "user", content: "Hello?" }
      ])
      const text = yield* bodyOf(OpenAiChat.deepSeek, {
        prompt: Prompt.make("Hello?"),
        responseFormat: { type: "text" }
      })
      assert.deepStrictEqual(text["messages"], [{ role: "user", content: "Hello?" }])
      assert.notProperty(text, "response_format")
    }))
})

describe("reasoning", () => {
  it.effect("is turned off in the server's own words", () =>
    Effect.gen(function*() {
      const off = (dialect: OpenAiChat.Dialect) => bodyOf(dialect, { settings: { reasoningEffort: "none" } })
      const deepSeek = yield* off(OpenAiChat.deepSeek)
      assert.deepStrictEqual(deepSeek["thinking"], { type: "disabled" })
      assert.notProperty(deepSeek, "reasoning_effort")
      assert.strictEqual((yield* off({}))["reasoning_effort"], "none")
      assert.deepStrictEqual((yield* off(OpenAiChat.openRouter))["reasoning"], { effort: "none" })
    }))

  it.effect("goes back with calls even where another model had none", () =>
    Effect.gen(function*() {
      const prompt = Prompt.make([
        { role: "assistant", content: [{ type: "tool-call", id: "1", name: "time", params: {} }] },
        { role: "assistant", content: "Noon." }
      ])
      const assistant = (dialect: OpenAiChat.Dialect) =>
        Effect.map(bodyOf(dialect, { prompt, responseFormat: { type: "text" } }), ({ messages }) =>
          (messages as ReadonlyArray<{ readonly reasoning_content?: string; readonly reasoning?: string }>).map((
            { reasoning, reasoning_content }
          ) => [reasoning_content, reasoning]))
      const none = [undefined, undefined]
      assert.deepStrictEqual(yield* assistant(OpenAiChat.deepSeek), [["", undefined], none])
      assert.deepStrictEqual(yield* assistant(OpenAiChat.openRouter), [none, none])
      assert.deepStrictEqual(yield* assistant({}), [none, none])
    }))
})

describe("the beginning of an answer", () => {
  it.effect("is marked where the server wants it so", () =>
    Effect.gen(function*() {
      const last = (dialect: OpenAiChat.Dialect, prompt: Prompt.Prompt) =>
        Effect.map(
          bodyOf(dialect, { prompt, responseFormat: { type: "text" } }),
          ({ messages }) => (messages as ReadonlyArray<object>).at(-1)
        )
      const begun = Prompt.make([{ role: "user", content: "Count." }, { role: "assistant", content: "One, " }])
      assert.deepStrictEqual(yield* last(OpenAiChat.mistral, begun), {
        role: "assistant",
        content: "One, ",
        prefix: true
      })
      assert.deepStrictEqual(yield* last({}, begun), { role: "assistant", content: "One, " })
      assert.deepStrictEqual(yield* last(OpenAiChat.mistral, Prompt.make("Count.")), {
        role: "user",
        content: "Count."
      })
    }))
})

describe("answers", () => {
  const answered = (dialect: OpenAiChat.Dialect, body: string) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body }))
      return yield* Effect.flatMap(P, (provider) => Stream.runCollect(provider.stream(rich))).pipe(
        Effect.provide(
          OpenAiChat.layer(P, { dialect, baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
        )
      )
    })

  const chunks = (...chunks: ReadonlyArray<object>) => chunks.map(Wire.event).join("") + Wire.done

  const usage = { prompt_tokens: 20, completion_tokens: 6, total_tokens: 26 }

  it.effect("of Mistral: thoughts among typed parts, whole calls, the usage on the last chunk", () =>
    Effect.gen(function*() {
      const parts = yield* answered(
        OpenAiChat.mistral,
        chunks(
          Wire.chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "Let me see. " }] }] }),
          Wire.chunk({ content: "Sunny." }),
          Wire.chunk(
            {
              tool_calls: [{
                id: "zIxq7hDKd",
                index: 0,
                function: { name: "weather", arguments: "{\"city\":\"Oslo\"}" }
              }]
            },
            { finish_reason: "tool_calls" },
            { usage }
          )
        )
      )
      assert.strictEqual(thoughts(parts), "Let me see. ")
      assert.strictEqual(text(parts), "Sunny.")
      assert.deepStrictEqual(calls(parts), [{ id: "zIxq7hDKd", name: "weather", params: { city: "Oslo" } }])
      assert.strictEqual(finishOf(parts).usage.outputTokens.total, 6)
    }))

  it.effect("of DeepSeek: thoughts in a field of their own, hits of its cache", () =>
    Effect.gen(function*() {
      const parts = yield* answered(
        OpenAiChat.deepSeek,
        `: keep-alive\n\n${
          chunks(
            Wire.chunk({ content: null, reasoning_content: "Hm." }),
            Wire.chunk({ content: "{\"sky\":\"blue\"}", reasoning_content: null }),
            Wire.chunk({ content: "" }, { finish_reason: "stop" }, {
              usage: { ...usage, prompt_cache_hit_tokens: 16, prompt_cache_miss_tokens: 4 }
            })
          )
        }`
      )
      assert.strictEqual(thoughts(parts), "Hm.")
      assert.strictEqual(text(parts), "{\"sky\":\"blue\"}")
      assert.strictEqual(finishOf(parts).usage.inputTokens.cacheRead, 16)
    }))

  it.effect("of OpenRouter: comments, reasoning, the upstream's own finish reason, usage after it", () =>
    Effect.gen(function*() {
      const parts = yield* answered(
        OpenAiChat.openRouter,
        `: OPENROUTER PROCESSING\n\n${
          chunks(
            Wire.chunk({ content: "", reasoning: "Hm.", reasoning_details: [{ type: "reasoning.text", text: "Hm." }] }),
            Wire.chunk({ content: "Blue." }),
            Wire.chunk({ content: "" }, { finish_reason: "stop", native_finish_reason: "end_turn" }),
            Wire.chunk({ content: "" }, { finish_reason: "stop", native_finish_reason: "end_turn" }, { usage })
          )
        }`
      )
      assert.strictEqual(thoughts(parts), "Hm.")
      assert.strictEqual(text(parts), "Blue.")
      assert.strictEqual(finishOf(parts).reason, "stop")
      assert.strictEqual(finishOf(parts).usage.inputTokens.total, 20)
    }))

  it.effect("of Groq: usage in a place of its own", () =>
    Effect.gen(function*() {
      const parts = yield* answered(
        OpenAiChat.groq,
        chunks(
          Wire.chunk({ role: "assistant", content: "" }, {}, { x_groq: { id: "req_1" } }),
          Wire.chunk({ reasoning: "Hm.", channel: "analysis" }),
          Wire.chunk({ content: "Blue." }),
          Wire.chunk({}, { finish_reason: "stop" }, { x_groq: { id: "req_1", usage } })
        )
      )
      assert.strictEqual(thoughts(parts), "Hm.")
      assert.strictEqual(text(parts), "Blue.")
      assert.strictEqual(finishOf(parts).usage.outputTokens.total, 6)
    }))

  it.effect("of Azure: a chunk about the prompt first, and filters that found nothing", () =>
    Effect.gen(function*() {
      const parts = yield* answered(
        { ...OpenAiChat.azure, query: {} },
        chunks(
          { id: "", model: "", choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }] },
          Wire.chunk({ content: "Blue." }, { content_filter_results: { hate: { filtered: false, severity: "safe" } } }),
          Wire.chunk({}, { finish_reason: "stop", content_filter_results: {} }),
          {
            id: "",
            model: "",
            choices: [{ index: 0, finish_reason: null, content_filter_offsets: { check_offset: 3 } }]
          }
        )
      )
      assert.strictEqual(text(parts), "Blue.")
      assert.strictEqual(finishOf(parts).reason, "stop")
    }))

  it.effect("of servers on this machine: thoughts in either field, whole calls, timings", () =>
    Effect.gen(function*() {
      const call = {
        id: "call_7",
        index: 0,
        type: "function",
        function: { name: "time", arguments: "{\"zone\":\"UTC\"}" }
      }
      const end = Wire.chunk({}, { finish_reason: "tool_calls" }, { usage, timings: { prompt_n: 1 } })
      for (const dialect of [OpenAiChat.ollama, OpenAiChat.llamaCpp, OpenAiChat.lmStudio, OpenAiChat.vllm]) {
        for (const field of ["reasoning", "reasoning_content"]) {
          const parts = yield* answered(
            dialect,
            chunks(Wire.chunk({ content: "", [field]: "Hm." }), Wire.chunk({ tool_calls: [call] }), end)
          )
          assert.strictEqual(thoughts(parts), "Hm.")
          assert.deepStrictEqual(calls(parts), [{ id: "call_7", name: "time", params: { zone: "UTC" } }])
          assert.strictEqual(finishOf(parts).reason, "tool-calls")
        }
      }
    }))

  it.effect("of Together and xAI: numbers for reasons, more cached than there was", () =>
    Effect.gen(function*() {
      const details = {
        prompt_tokens_details: { cached_tokens: 161 },
        completion_tokens_details: { reasoning_tokens: 2 }
      }
      for (const dialect of [OpenAiChat.together, OpenAiChat.xai]) {
        const parts = yield* answered(
          dialect,
          chunks(
            Wire.chunk({ content: "Blue.", token_id: 7 }, { seed: 1, logprobs: null }),
            Wire.chunk({ content: "" }, { finish_reason: "eos" }, { usage: { ...usage, prompt_tokens: 7, ...details } })
          )
        )
        assert.strictEqual(text(parts), "Blue.")
        assert.strictEqual(finishOf(parts).reason, "stop")
        assert.strictEqual(finishOf(parts).usage.inputTokens.uncached, 0)
        assert.strictEqual(ofType(parts, "text-start").length, 1)
      }
    }))
})
