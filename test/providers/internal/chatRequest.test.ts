/**
 * What is sent: prompts, tools, formats and settings in the protocol's form.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"
import type { Dialect } from "../../../src/providers/internal/chatDialects.ts"
import { encodeRequest } from "../../../src/providers/internal/chatRequest.ts"
import { toolSchema } from "../../../src/providers/internal/toolSchema.ts"
import type { Request } from "../../../src/providers/Provider.ts"
import { writing } from "../support/request.ts"

const dialect: Dialect = {}

interface Encoded {
  readonly [field: string]: unknown
  readonly messages: ReadonlyArray<unknown>
}

const { encode, refuse } = writing<Encoded>()(encodeRequest, dialect)

const user = (...content: ReadonlyArray<Prompt.UserMessagePartEncoded>) => Prompt.make([{ role: "user", content }])

describe("the body", () => {
  it("is as small as can be", () => {
    assert.deepStrictEqual(encode({}), { model: "m", messages: [{ role: "user", content: "Hello?" }] })
  })

  it("asks for a stream, and its usage", () => {
    const streamed = encode({}, {}, true)
    assert.isTrue(streamed["stream"])
    assert.deepStrictEqual(streamed["stream_options"], { include_usage: true })
    assert.isUndefined(encode({}, { streamUsage: false }, true)["stream_options"])
  })

  it("carries the settings", () => {
    const settings = {
      maxOutputTokens: 10,
      temperature: 0,
      topP: 0.5,
      stop: ["x"],
      seed: 1,
      reasoningEffort: "low"
    }
    assert.deepStrictEqual(encode({ settings }), {
      model: "m",
      messages: [{ role: "user", content: "Hello?" }],
      max_completion_tokens: 10,
      temperature: 0,
      top_p: 0.5,
      stop: ["x"],
      seed: 1,
      reasoning_effort: "low"
    })
    assert.strictEqual(encode({ settings }, { maxTokensField: "max_tokens" })["max_tokens"], 10)
    assert.isUndefined(encode({ settings: { stop: [] } })["stop"])
  })

  it("lets extra fields win over all", () => {
    const extra = { temperature: 1, model: "other", provider: { order: ["a"] } }
    const body = encode({ settings: { temperature: 0, extra } })
    assert.strictEqual(body["temperature"], 1)
    assert.strictEqual(body["model"], "other")
    assert.deepStrictEqual(body["provider"], { order: ["a"] })
  })

  it("merges extra objects, but for those of another type", () => {
    const body = encode({
      responseFormat: { type: "json", objectName: "list", schema: Schema.Struct({ a: Schema.String }) },
      settings: {
        reasoningEffort: "low",
        extra: { reasoning: { exclude: true }, response_format: { type: "json_object" } }
      }
    }, { reasoningEffort: "reasoning" })
    assert.deepStrictEqual(body["reasoning"], { effort: "low", exclude: true })
    assert.deepStrictEqual(body["response_format"], { type: "json_object" })
  })

  it("is refused where a number is none", () => {
    const failure = refuse({ settings: { temperature: NaN } })
    assert.strictEqual(failure.parameter, "settings.temperature")
    assert.include(failure.message, "finite number")
  })
})

describe("messages", () => {
  const messages = (prompt: Prompt.RawInput, own: Partial<Dialect> = {}) =>
    encode({ prompt: Prompt.make(prompt) }, own).messages

  it("of all roles", () => {
    assert.deepStrictEqual(
      messages([
        { role: "system", content: "Be brief." },
        { role: "user", content: "What time is it?" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "hm" },
            { type: "text", text: "Let me see." },
            { type: "tool-call", id: "call_1", name: "time", params: { zone: "UTC" } }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "call_1", name: "time", isFailure: false, result: { at: "noon" } }
          ]
        },
        { role: "assistant", content: "Noon." }
      ]),
      [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What time is it?" },
        {
          role: "assistant",
          content: "Let me see.",
          tool_calls: [{ id: "call_1", type: "function", function: { name: "time", arguments: "{\"zone\":\"UTC\"}" } }]
        },
        { role: "tool", tool_call_id: "call_1", content: "{\"at\":\"noon\"}" },
        { role: "assistant", content: "Noon." }
      ]
    )
  })

  it("send reasoning back where the dialect has a field for it", () => {
    const prompt: Prompt.RawInput = [{
      role: "assistant",
      content: [{ type: "reasoning", text: "hm" }, { type: "text", text: "yes" }]
    }]
    assert.deepStrictEqual(messages(prompt), [{ role: "assistant", content: "yes" }])
    assert.deepStrictEqual(
      messages(prompt, { reasoningField: "reasoning_content" }),
      [{ role: "assistant", content: "yes", reasoning_content: "hm" }]
    )
  })

  it("leave out what only the application or another provider needs", () => {
    assert.deepStrictEqual(
      messages([
        {
          role: "assistant",
          content: [
            { type: "tool-call", id: "s1", name: "search", params: {}, providerExecuted: true },
            { type: "tool-result", id: "s1", name: "search", isFailure: false, result: 1, providerExecuted: true },
            { type: "tool-call", id: "c1", name: "pay", params: {} },
            { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
          ]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: true }] }
      ]),
      [{
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "pay", arguments: "{}" } }]
      }]
    )
  })

  it("leave out a model's silence", () => {
    assert.deepStrictEqual(messages([{ role: "assistant", content: [{ type: "reasoning", text: "hm" }] }]), [])
  })

  it("give tool results as the tool wants them seen", () => {
    const result = (part: object) =>
      messages([{
        role: "tool",
        content: [{ type: "tool-result", id: "c1", name: "t", isFailure: false, result: null, ...part }]
      }])[0]
    assert.deepStrictEqual(result({ result: "plain" }), { role: "tool", tool_call_id: "c1", content: "plain" })
    assert.deepStrictEqual(result({ result: undefined }), { role: "tool", tool_call_id: "c1", content: "null" })
    assert.deepStrictEqual(
      result({
        result: { secret: 1 },
        modelOutput: [
          { type: "text", text: "seen" },
          { type: "file", mediaType: "image/png", data: "AAAA" }
        ]
      }),
      { role: "tool", tool_call_id: "c1", content: "seen\n[image/png omitted]" }
    )
  })
})

describe("files", () => {
  const parts = (...content: ReadonlyArray<Prompt.UserMessagePartEncoded>) =>
    (encode({ prompt: user(...content) }).messages[0] as { readonly content: ReadonlyArray<unknown> }).content

  it("stand beside text", () => {
    assert.deepStrictEqual(
      parts({ type: "text", text: "What is this?" }, {
        type: "file",
        mediaType: "image/png",
        data: new URL("https://example.com/x.png")
      }),
      [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: "https://example.com/x.png" } }
      ]
    )
  })

  it("are images in all forms", () => {
    const url = (data: string | Uint8Array | URL, mediaType = "image/png") =>
      (parts({ type: "file", mediaType, data })[0] as { readonly image_url: { readonly url: string } }).image_url.url
    assert.strictEqual(url(new Uint8Array([1, 2, 3])), "data:image/png;base64,AQID")
    assert.strictEqual(url("AQID"), "data:image/png;base64,AQID")
    assert.strictEqual(url("data:image/webp;base64,AQID"), "data:image/webp;base64,AQID")
    assert.strictEqual(url("https://example.com/x.png"), "https://example.com/x.png")
    assert.strictEqual(url(new URL("data:image/gif;base64,AQID")), "data:image/gif;base64,AQID")
    assert.strictEqual(url("AQID", "image/*"), "data:image/jpeg;base64,AQID")
    assert.strictEqual(url("AQID", "Image/PNG"), "data:image/png;base64,AQID")
  })

  it("say how closely to look", () => {
    assert.deepStrictEqual(
      parts({ type: "file", mediaType: "image/png", data: "AQID", options: { openai: { imageDetail: "low" } } }),
      [{ type: "image_url", image_url: { url: "data:image/png;base64,AQID", detail: "low" } }]
    )
  })

  it("are sounds and documents", () => {
    assert.deepStrictEqual(
      parts(
        { type: "file", mediaType: "audio/mpeg", data: new Uint8Array([1, 2, 3]) },
        { type: "file", mediaType: "audio/wav", data: "data:audio/wav;base64,AQID" },
        { type: "file", mediaType: "application/pdf", data: "AQID", fileName: "a.pdf" },
        { type: "file", mediaType: "application/pdf", data: "file-123" }
      ),
      [
        { type: "input_audio", input_audio: { data: "AQID", format: "mp3" } },
        { type: "input_audio", input_audio: { data: "AQID", format: "wav" } },
        { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AQID" } },
        { type: "file", file: { file_id: "file-123" } }
      ]
    )
  })

  it("that the protocol does not know are refused, saying where they are", () => {
    const failure = refuse({
      prompt: Prompt.make([
        { role: "system", content: "x" },
        {
          role: "user",
          content: [{ type: "text", text: "secret words" }, { type: "file", mediaType: "video/mp4", data: "AQID" }]
        }
      ])
    })
    assert.strictEqual(failure.parameter, "messages[1].content[1]")
    assert.include(failure.message, "video/mp4")
    assert.notInclude(failure.message, "secret words")
    for (const mediaType of ["audio/wav", "application/pdf"]) {
      assert.include(
        refuse({ prompt: user({ type: "file", mediaType, data: new URL("https://example.com/x") }) }).message,
        "not as a URL"
      )
    }
    assert.notInclude(
      refuse({ prompt: user({ type: "file", mediaType: "secret words", data: "AQID" }) }).message,
      "secret words"
    )
  })

  it("do not stand in answers", () => {
    const failure = refuse({
      prompt: Prompt.make([{ role: "assistant", content: [{ type: "file", mediaType: "image/png", data: "AQID" }] }])
    })
    assert.strictEqual(failure.parameter, "messages[0].content[0]")
  })
})

describe("tools", () => {
  const Weather = Tool.make("weather", {
    description: "Tells the weather.",
    parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) })
  })
  const Clock = Tool.make("clock")

  it("are functions with a schema", () => {
    const body = encode({ tools: [Weather, Clock] })
    const [weather, clock] = body["tools"] as ReadonlyArray<{
      readonly type: string
      readonly function: { readonly name: string; readonly parameters: { readonly [keyword: string]: unknown } }
    }>
    assert.strictEqual(weather?.type, "function")
    assert.strictEqual(weather?.function.name, "weather")
    assert.deepStrictEqual(weather?.function.parameters["required"], ["city"])
    assert.notProperty(weather?.function, "strict")
    assert.deepStrictEqual(clock?.function.parameters, { type: "object", additionalProperties: false, properties: {} })
    assert.strictEqual(body["tool_choice"], "auto")
  })

  it("are strict where they ask for it, and get their parameters back as they want them", () => {
    const Strict = Weather.annotate(Tool.Strict, true)
    const [tool] = encode({ tools: [Strict] })["tools"] as ReadonlyArray<{
      readonly function: { readonly strict: boolean; readonly parameters: { readonly required: ReadonlyArray<string> } }
    }>
    assert.isTrue(tool?.function.strict)
    assert.deepStrictEqual(tool?.function.parameters.required, ["city", "days"])
    const { restore } = toolSchema(Strict)
    assert.deepStrictEqual(restore({ city: "Paris", days: null }), { city: "Paris" })
    assert.deepStrictEqual(restore({ city: "Paris", days: 2 }), { city: "Paris", days: 2 })
    // What does not fit is the toolkit's to refuse.
    assert.deepStrictEqual(restore({ town: "Paris" }), { town: "Paris" })
  })

  it("may be described by a schema of one's own", () => {
    const Dynamic = Tool.dynamic("any", { parameters: { type: "object", properties: { x: { type: "string" } } } })
    const [tool] = encode({ tools: [Dynamic] })["tools"] as ReadonlyArray<
      { readonly function: { readonly parameters: unknown } }
    >
    assert.deepStrictEqual(tool?.function.parameters, { type: "object", properties: { x: { type: "string" } } })
  })

  it("are chosen", () => {
    const choice = (toolChoice: Request["toolChoice"]) => {
      const body = encode({ tools: [Weather, Clock], toolChoice })
      return [body["tool_choice"], (body["tools"] as ReadonlyArray<unknown>).length]
    }
    assert.deepStrictEqual(choice("none"), ["none", 2])
    assert.deepStrictEqual(choice("required"), ["required", 2])
    assert.deepStrictEqual(choice({ tool: "clock" }), [{ type: "function", function: { name: "clock" } }, 2])
    assert.deepStrictEqual(choice({ oneOf: ["clock"] }), ["auto", 1])
    assert.deepStrictEqual(choice({ mode: "required", oneOf: ["clock"] }), ["required", 1])
  })

  it("that are not there cannot be chosen", () => {
    assert.strictEqual(refuse({ tools: [Weather], toolChoice: { tool: "clock" } }).parameter, "toolChoice")
    assert.strictEqual(refuse({ tools: [Weather], toolChoice: { oneOf: ["clock"] } }).parameter, "toolChoice")
    assert.strictEqual(refuse({ toolChoice: "required" }).parameter, "toolChoice")
    assert.notProperty(encode({ toolChoice: "none" }), "tool_choice")
  })

  it("of another provider are refused", () => {
    const Search = Tool.providerDefined({ id: "acme.search", customName: "search", providerName: "web_search" })()
    const failure = refuse({ tools: [Weather, Search] })
    assert.strictEqual(failure.parameter, "tools[1]")
    assert.include(failure.message, "over Chat Completions: use `settings.extra`")
  })
})

describe("JSON", () => {
  const City = Schema.Struct({ name: Schema.String, inhabitants: Schema.optionalKey(Schema.Int) })

  it("is asked for by schema, strict where it can be", () => {
    const format = encode({
      responseFormat: { type: "json", objectName: "a city!", schema: City }
    })["response_format"] as {
      readonly type: string
      readonly json_schema: {
        readonly name: string
        readonly strict: boolean
        readonly schema: { readonly required: unknown }
      }
    }
    assert.strictEqual(format.type, "json_schema")
    assert.strictEqual(format.json_schema.name, "a_city_")
    assert.isTrue(format.json_schema.strict)
    assert.deepStrictEqual(format.json_schema.schema.required, ["name", "inhabitants"])
  })

  it("is asked for plainly where it cannot", () => {
    const format = encode({
      responseFormat: { type: "json", objectName: "numbers", schema: Schema.Array(Schema.Int) }
    })["response_format"] as {
      readonly json_schema: { readonly strict: boolean; readonly schema: { readonly type: unknown } }
    }
    assert.isFalse(format.json_schema.strict)
    assert.strictEqual(format.json_schema.schema.type, "array")
  })
})
