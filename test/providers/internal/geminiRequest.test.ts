/**
 * What is sent to the Gemini API: prompts, tools, formats and settings in its form.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"
import { type Dialect, encodeRequest } from "../../../src/providers/internal/geminiRequest.ts"
import type { Request } from "../../../src/providers/Provider.ts"
import { writing } from "../support/request.ts"

const dialect: Dialect = { thinking: undefined, includeThoughts: false }

interface Encoded {
  readonly [field: string]: unknown
  readonly contents: ReadonlyArray<unknown>
  readonly generationConfig?: { readonly [field: string]: unknown }
}

const { encode, refuse } = writing<Encoded>()(encodeRequest, dialect, "gemini-3-pro-preview")

const hello = [{ role: "user", parts: [{ text: "Hello?" }] }]

describe("the body", () => {
  it("is as small as can be", () => {
    assert.deepStrictEqual(encode({}), { contents: hello })
  })

  it("carries the settings", () => {
    const settings = { maxOutputTokens: 10, temperature: 0, topP: 0.5, stop: ["x"], seed: 1 }
    assert.deepStrictEqual(encode({ settings }), {
      contents: hello,
      generationConfig: { maxOutputTokens: 10, temperature: 0, topP: 0.5, seed: 1, stopSequences: ["x"] }
    })
    assert.notProperty(encode({ settings: { stop: [] } }), "generationConfig")
  })

  it("merges extra fields, which win over all", () => {
    const extra = {
      generationConfig: { temperature: 1, topK: 3, thinkingConfig: { includeThoughts: true } },
      safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "OFF" }],
      cachedContent: "cachedContents/1"
    }
    const body = encode({ settings: { temperature: 0, topP: 0.5, reasoningEffort: "low", extra } })
    assert.deepStrictEqual(body, {
      contents: hello,
      generationConfig: {
        temperature: 1,
        topP: 0.5,
        topK: 3,
        thinkingConfig: { thinkingLevel: "LOW", includeThoughts: true }
      },
      safetySettings: extra.safetySettings,
      cachedContent: "cachedContents/1"
    })
  })

  it("is refused where a number is none", () => {
    const failure = refuse({ settings: { temperature: NaN } })
    assert.strictEqual(failure.parameter, "settings.temperature")
    assert.include(failure.message, "finite number")
  })
})

describe("thinking", () => {
  const config = (reasoningEffort: string | undefined, model: string, own: Partial<Dialect> = {}) =>
    encode({ model, settings: { reasoningEffort } }, own).generationConfig?.["thinkingConfig"]

  it("is said in levels to Gemini 3 and later, as it is", () => {
    for (const model of ["gemini-3-pro-preview", "gemini-3.6-flash", "gemini-10-pro", "gemini-flash-latest"]) {
      assert.deepStrictEqual(config("low", model), { thinkingLevel: "LOW" })
      assert.deepStrictEqual(config("something-new", model), { thinkingLevel: "SOMETHING-NEW" })
    }
  })

  it("is said in tokens to those before, and to others", () => {
    for (const model of ["gemini-2.5-pro", "gemini-2-flash", "gemini-1.5-pro", "gemma-3", "my-model"]) {
      assert.deepStrictEqual(config("high", model), { thinkingBudget: 24_576 })
      assert.deepStrictEqual(config("medium", model), { thinkingBudget: 8192 })
      assert.deepStrictEqual(config("low", model), { thinkingBudget: 1024 })
      assert.deepStrictEqual(config("minimal", model), { thinkingBudget: 1024 })
    }
    const failure = refuse({ model: "gemini-2.5-pro", settings: { reasoningEffort: "toString" } })
    assert.strictEqual(failure.parameter, "settings.reasoningEffort")
    assert.include(failure.message, "none, minimal, low, medium, high")
  })

  it("is said as one is told to say it", () => {
    assert.deepStrictEqual(config("low", "gemini-2.5-pro", { thinking: "level" }), { thinkingLevel: "LOW" })
    assert.deepStrictEqual(config("low", "gemini-3-pro", { thinking: "budget" }), { thinkingBudget: 1024 })
  })

  it("is a number of tokens where it is a number, and none where it is none", () => {
    for (const model of ["gemini-3-pro", "gemini-2.5-flash"]) {
      assert.deepStrictEqual(config("2048", model), { thinkingBudget: 2048 })
      assert.deepStrictEqual(config("-1", model), { thinkingBudget: -1 })
      assert.deepStrictEqual(config("none", model, { includeThoughts: true }), { thinkingBudget: 0 })
    }
  })

  it("is summed up on demand", () => {
    assert.isUndefined(config(undefined, "gemini-3-pro"))
    assert.deepStrictEqual(config(undefined, "gemini-3-pro", { includeThoughts: true }), { includeThoughts: true })
    assert.deepStrictEqual(config("low", "gemini-3-pro", { includeThoughts: true }), {
      thinkingLevel: "LOW",
      includeThoughts: true
    })
  })
})

describe("contents", () => {
  const body = (prompt: Prompt.RawInput, model = "gemini-2.5-flash") => encode({ prompt: Prompt.make(prompt), model })
  const contents = (prompt: Prompt.RawInput, model?: string) => body(prompt, model).contents

  it("are of the user and the model, beside the system's instructions", () => {
    const { contents, systemInstruction } = body([
      { role: "system", content: "Be brief." },
      { role: "user", content: "What time is it?" },
      { role: "assistant", content: [{ type: "text", text: "Noon." }] },
      { role: "system", content: "Be kind." },
      { role: "system", content: "" },
      {
        role: "user",
        content: [{ type: "text", text: "And" }, { type: "text", text: "" }, { type: "text", text: "now?" }]
      }
    ])
    assert.deepStrictEqual(systemInstruction, { parts: [{ text: "Be brief." }, { text: "Be kind." }] })
    assert.deepStrictEqual(contents, [
      { role: "user", parts: [{ text: "What time is it?" }] },
      { role: "model", parts: [{ text: "Noon." }] },
      { role: "user", parts: [{ text: "And" }, { text: "now?" }] }
    ])
  })

  it("have to be there", () => {
    for (const prompt of [[], [{ role: "system" as const, content: "Be brief." }]]) {
      assert.include(refuse({ prompt: Prompt.make(prompt) }).message, "no message with content")
    }
  })

  const call = (id: string, name: string, options?: { readonly [field: string]: string }) => ({
    type: "tool-call" as const,
    id,
    name,
    params: { id },
    ...(options === undefined ? {} : { options: { google: options } })
  })

  const result = (id: string, name: string, rest: object = {}) => ({
    type: "tool-result" as const,
    id,
    name,
    isFailure: false,
    result: { at: "noon" } as unknown,
    ...rest
  })

  it("hold calls and their results, with the ids that the API has given", () => {
    assert.deepStrictEqual(
      contents([
        {
          role: "assistant",
          content: [
            { type: "text", text: "Let me see." },
            call("fc-1", "time", { functionCallId: "fc-1" }),
            call("resp-1_1", "place"),
            call("call_9", "price", { functionCallId: "another" })
          ]
        },
        { role: "tool", content: [result("fc-1", "time"), result("resp-1_1", "place", { result: "here" })] },
        { role: "tool", content: [result("call_9", "price", { isFailure: true, result: undefined })] },
        { role: "user", content: "Thanks!" }
      ]),
      [
        {
          role: "model",
          parts: [
            { text: "Let me see." },
            { functionCall: { id: "fc-1", name: "time", args: { id: "fc-1" } } },
            { functionCall: { name: "place", args: { id: "resp-1_1" } } },
            { functionCall: { name: "price", args: { id: "call_9" } } }
          ]
        },
        {
          role: "user",
          parts: [
            { functionResponse: { id: "fc-1", name: "time", response: { output: { at: "noon" } } } },
            { functionResponse: { name: "place", response: { output: "here" } } },
            { functionResponse: { name: "price", response: { error: null } } }
          ]
        },
        { role: "user", parts: [{ text: "Thanks!" }] }
      ]
    )
  })

  it("give tool results as the tool wants them seen", () => {
    const seen = (...modelOutput: ReadonlyArray<object>) =>
      contents([{
        role: "tool",
        content: [result("c1", "look", { result: { secret: 1 }, modelOutput })] as ReadonlyArray<
          Prompt.ToolMessagePartEncoded
        >
      }])[0]
    assert.deepStrictEqual(
      seen({ type: "text", text: "a" }, { type: "file", mediaType: "image/png", data: "AQID" }, {
        type: "text",
        text: "b"
      }),
      {
        role: "user",
        parts: [{
          functionResponse: {
            name: "look",
            response: { output: "a\nb" },
            parts: [{ inlineData: { mimeType: "image/png", data: "AQID" } }]
          }
        }]
      }
    )
    const failure = refuse({
      prompt: Prompt.make([{
        role: "tool",
        content: [
          result("c1", "look", {
            modelOutput: [{ type: "file", mediaType: "image/png", data: new URL("https://example.com/x.png") }]
          })
        ] as ReadonlyArray<Prompt.ToolMessagePartEncoded>
      }])
    })
    assert.strictEqual(failure.parameter, "messages[0].content[0].modelOutput[0]")
  })

  it("leave out what only the application or another provider needs", () => {
    assert.deepStrictEqual(
      contents([
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "another's thought" },
            { type: "tool-call", id: "s1", name: "search", params: {}, providerExecuted: true },
            { type: "tool-result", id: "s1", name: "search", isFailure: false, result: 1, providerExecuted: true },
            call("c1", "pay"),
            { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
          ]
        },
        { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: true }] }
      ]),
      [{ role: "model", parts: [{ functionCall: { name: "pay", args: { id: "c1" } } }] }]
    )
  })

  it("carry what was signed, as it was", () => {
    const options = (thoughtSignature: string) => ({ google: { thoughtSignature } })
    assert.deepStrictEqual(
      contents([{
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm", options: options("s1") },
          { type: "text", text: "one" },
          { type: "text", text: "two", options: options("s2") },
          { type: "text", text: "", options: options("s3") },
          { type: "file", mediaType: "image/png", data: "AQID", options: options("s4") },
          call("c1", "f"),
          call("c2", "f", { thoughtSignature: "s5" })
        ]
      }], "gemini-3-pro"),
      [{
        role: "model",
        parts: [
          { text: "hm", thought: true, thoughtSignature: "s1" },
          { text: "one" },
          { text: "two", thoughtSignature: "s2" },
          { text: "", thoughtSignature: "s3" },
          { inlineData: { mimeType: "image/png", data: "AQID" }, thoughtSignature: "s4" },
          { functionCall: { name: "f", args: { id: "c1" } } },
          { functionCall: { name: "f", args: { id: "c2" } }, thoughtSignature: "s5" }
        ]
      }]
    )
  })

  it("say of another model's calls that they are not signed, to models that ask", () => {
    const prompt: Prompt.RawInput = [
      { role: "assistant", content: [{ type: "text", text: "Yes." }, call("c1", "f"), call("c2", "f")] },
      { role: "tool", content: [result("c1", "f"), result("c2", "f")] },
      { role: "assistant", content: [{ type: "text", text: "Done." }] }
    ]
    const signatures = (model: string) =>
      (contents(prompt, model) as ReadonlyArray<
        { readonly parts: ReadonlyArray<{ readonly thoughtSignature?: string }> }
      >)
        .map(({ parts }) => parts.map(({ thoughtSignature }) => thoughtSignature))
    const none = undefined
    assert.deepStrictEqual(signatures("gemini-3-pro"), [
      [none, "skip_thought_signature_validator", none],
      [none, none],
      [none]
    ])
    assert.deepStrictEqual(signatures("gemini-2.5-pro"), [[none, none, none], [none, none], [none]])
  })

  it("are refused where a call has no object", () => {
    const failure = refuse({
      prompt: Prompt.make([{
        role: "assistant",
        content: [{ type: "tool-call", id: "c1", name: "f", params: "secret words" }]
      }])
    })
    assert.strictEqual(failure.parameter, "messages[0].content[0]")
    assert.notInclude(failure.message, "secret words")
    const big = refuse({
      prompt: Prompt.make([{ role: "tool", content: [result("c1", "f", { result: 1n })] }])
    })
    assert.strictEqual(big.parameter, "messages[0].content[0]")
  })
})

describe("files", () => {
  const part = (data: string | Uint8Array | URL, mediaType = "image/png") =>
    (encode({ prompt: Prompt.make([{ role: "user", content: [{ type: "file", mediaType, data }] }]) }).contents[0] as {
      readonly parts: ReadonlyArray<unknown>
    }).parts[0]

  it("are sent inline", () => {
    const inline = (mimeType: string) => ({ inlineData: { mimeType, data: "AQID" } })
    assert.deepStrictEqual(part(new Uint8Array([1, 2, 3])), inline("image/png"))
    assert.deepStrictEqual(part("AQID", "Application/PDF"), inline("application/pdf"))
    assert.deepStrictEqual(part("data:audio/mp3;base64,AQID", "audio/mp3"), inline("audio/mp3"))
    assert.deepStrictEqual(part(new URL("data:video/mp4;base64,AQID"), "video/mp4"), inline("video/mp4"))
    assert.deepStrictEqual(part("AQID", "image/*"), inline("image/jpeg"))
  })

  it("are sent by address", () => {
    const file = (fileUri: string, mimeType?: string) => ({
      fileData: { ...(mimeType === undefined ? {} : { mimeType }), fileUri }
    })
    const uploaded = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert.deepStrictEqual(part(uploaded, "video/mp4"), file(uploaded, "video/mp4"))
    assert.deepStrictEqual(part(new URL("https://example.com/x.png")), file("https://example.com/x.png", "image/png"))
    assert.deepStrictEqual(part("gs://bucket/x.pdf", "application/pdf"), file("gs://bucket/x.pdf", "application/pdf"))
    assert.deepStrictEqual(part(new URL("gs://bucket/x.pdf"), "image/*"), file("gs://bucket/x.pdf"))
  })

  it("of no exact type are refused", () => {
    const failure = refuse({
      prompt: Prompt.make([{ role: "user", content: [{ type: "file", mediaType: "audio/*", data: "AQID" }] }])
    })
    assert.strictEqual(failure.parameter, "messages[0].content[0]")
    assert.include(failure.message, "audio/*")
  })
})

describe("tools", () => {
  const Weather = Tool.make("weather", {
    description: "Tells the weather.",
    parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) })
  })
  const Clock = Tool.make("clock")

  const declarations = (tools: ReadonlyArray<Tool.Any>) =>
    (encode({ tools })["tools"] as ReadonlyArray<
      { readonly functionDeclarations: ReadonlyArray<{ readonly [field: string]: unknown }> }
    >)[0]?.functionDeclarations ?? []

  it("are functions with a JSON schema, where they take anything", () => {
    const [weather, clock] = declarations([Weather, Clock])
    assert.strictEqual(weather?.["name"], "weather")
    assert.strictEqual(weather?.["description"], "Tells the weather.")
    const schema = weather?.["parametersJsonSchema"] as { readonly [keyword: string]: unknown }
    assert.strictEqual(schema["type"], "object")
    assert.deepStrictEqual(schema["required"], ["city"])
    assert.deepStrictEqual(clock, { name: "clock" })
  })

  it("may be described by a schema of one's own", () => {
    const open = { type: "object", additionalProperties: { type: "string" } } as const
    const [tool] = declarations([Tool.dynamic("any", { parameters: open })])
    assert.deepStrictEqual(tool?.["parametersJsonSchema"], { ...open, properties: {} })
  })

  it("are chosen", () => {
    const choice = (toolChoice: Request["toolChoice"], tools: ReadonlyArray<Tool.Any> = [Weather, Clock]) => {
      const body = encode({ tools, toolChoice })
      const [offered] = body["tools"] as ReadonlyArray<{ readonly functionDeclarations: ReadonlyArray<unknown> }>
      return [
        (body["toolConfig"] as { readonly functionCallingConfig: unknown }).functionCallingConfig,
        offered?.functionDeclarations.length
      ]
    }
    assert.deepStrictEqual(choice("auto"), [{ mode: "AUTO" }, 2])
    assert.deepStrictEqual(choice("none"), [{ mode: "NONE" }, 2])
    assert.deepStrictEqual(choice("required"), [{ mode: "ANY" }, 2])
    assert.deepStrictEqual(choice({ tool: "clock" }), [{ mode: "ANY", allowedFunctionNames: ["clock"] }, 2])
    assert.deepStrictEqual(choice({ oneOf: ["clock"] }), [{ mode: "AUTO" }, 1])
    assert.deepStrictEqual(choice({ mode: "required", oneOf: ["clock"] }), [
      { mode: "ANY", allowedFunctionNames: ["clock"] },
      1
    ])
    const strict = [Weather.annotate(Tool.Strict, true), Clock]
    assert.deepStrictEqual(choice("auto", strict), [{ mode: "VALIDATED" }, 2])
    assert.deepStrictEqual(choice("required", strict), [{ mode: "ANY" }, 2])
  })

  it("that are not there cannot be chosen", () => {
    assert.strictEqual(refuse({ tools: [Weather], toolChoice: { tool: "clock" } }).parameter, "toolChoice")
    assert.strictEqual(refuse({ toolChoice: "required" }).parameter, "toolChoice")
    assert.notProperty(encode({ toolChoice: "none" }), "toolConfig")
  })

  it("of another provider are refused", () => {
    const Search = Tool.providerDefined({ id: "acme.search", customName: "search", providerName: "web_search" })()
    const failure = refuse({ tools: [Weather, Search] })
    assert.strictEqual(failure.parameter, "tools[1]")
    assert.include(failure.message, "settings.extra")
  })
})

describe("JSON", () => {
  it("is asked for by schema", () => {
    const schema = Schema.Struct({ name: Schema.String, inhabitants: Schema.optionalKey(Schema.Int) })
    const config = encode({
      responseFormat: { type: "json", objectName: "city", schema },
      settings: { temperature: 0 }
    }).generationConfig
    assert.strictEqual(config?.["temperature"], 0)
    assert.strictEqual(config?.["responseMimeType"], "application/json")
    const json = config?.["responseJsonSchema"] as { readonly [keyword: string]: unknown }
    assert.strictEqual(json["type"], "object")
    assert.deepStrictEqual(json["required"], ["name", "inhabitants"])
    const list = encode({
      responseFormat: { type: "json", objectName: "numbers", schema: Schema.Array(Schema.Int) }
    }).generationConfig
    assert.strictEqual((list!["responseJsonSchema"] as { readonly type: unknown }).type, "array")
  })
})
