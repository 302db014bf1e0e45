/**
 * What is sent: prompts, tools, formats and settings in the form of the Messages API.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"
import { type Dialect, encodeRequest } from "../../../src/providers/internal/messagesRequest.ts"
import type { Request } from "../../../src/providers/Provider.ts"
import { writing } from "../support/request.ts"

const dialect: Dialect = { defaultMaxTokens: 8192, thinking: "adaptive", jsonFormat: "schema" }

interface Encoded {
  readonly [field: string]: unknown
  readonly messages: ReadonlyArray<{ readonly role: string; readonly content: ReadonlyArray<unknown> }>
}

const { encode, refuse } = writing<Encoded>()(encodeRequest, dialect)

const hello = [{ role: "user", content: [{ type: "text", text: "Hello?" }] }]

describe("the body", () => {
  it("is as small as can be", () => {
    assert.deepStrictEqual(encode({}), { model: "m", max_tokens: 8192, messages: hello })
  })

  it("asks for a stream", () => {
    assert.isTrue(encode({}, {}, true)["stream"])
  })

  it("carries the settings, but no seed", () => {
    const settings = { maxOutputTokens: 10, temperature: 0, topP: 0.5, stop: ["x"], seed: 1 }
    assert.deepStrictEqual(encode({ settings }), {
      model: "m",
      max_tokens: 10,
      messages: hello,
      temperature: 0,
      top_p: 0.5,
      stop_sequences: ["x"]
    })
    assert.isUndefined(encode({ settings: { stop: [] } })["stop_sequences"])
    assert.strictEqual(encode({}, { defaultMaxTokens: 99 })["max_tokens"], 99)
  })

  it("lets extra fields win over all", () => {
    const body = encode({
      settings: { temperature: 0, extra: { temperature: 1, service_tier: "auto", max_tokens: 5 } }
    })
    assert.strictEqual(body["temperature"], 1)
    assert.strictEqual(body["service_tier"], "auto")
    assert.strictEqual(body["max_tokens"], 5)
  })

  it("merges extra objects, but for those of another type", () => {
    const body = encode({
      responseFormat: { type: "json", objectName: "list", schema: Schema.Struct({ a: Schema.String }) },
      settings: {
        maxOutputTokens: 4000,
        reasoningEffort: "high",
        extra: { output_config: { effort: "low" }, thinking: { type: "disabled" } }
      }
    }, { thinking: "budget" })
    const output = body["output_config"] as { readonly effort?: string; readonly format?: { readonly type: string } }
    assert.strictEqual(output.effort, "low")
    assert.strictEqual(output.format?.type, "json_schema")
    assert.deepStrictEqual(body["thinking"], { type: "disabled" })
  })

  it("is refused where a number is none", () => {
    assert.strictEqual(refuse({ settings: { maxOutputTokens: NaN } }).parameter, "settings.maxOutputTokens")
  })
})

describe("thinking", () => {
  const thinking = (reasoningEffort: string, own: Partial<Dialect> = {}, maxOutputTokens?: number) => {
    const body = encode({ settings: { reasoningEffort, maxOutputTokens } }, own)
    return { thinking: body["thinking"], output: body["output_config"] }
  }

  it("is adaptive, with an effort", () => {
    assert.deepStrictEqual(thinking("high"), { thinking: { type: "adaptive" }, output: { effort: "high" } })
  })

  it("has a budget, where models want one", () => {
    const budget = (effort: string, maxOutputTokens?: number) =>
      thinking(effort, { thinking: "budget" }, maxOutputTokens)
    assert.deepStrictEqual(budget("medium", 10_000), {
      thinking: { type: "enabled", budget_tokens: 5000 },
      output: undefined
    })
    assert.deepStrictEqual(budget("low", 2000).thinking, { type: "enabled", budget_tokens: 1024 })
    assert.deepStrictEqual(budget("2048").thinking, { type: "enabled", budget_tokens: 2048 })
    assert.deepStrictEqual(budget("max").thinking, { type: "enabled", budget_tokens: 7782 })
  })

  it("is switched off", () => {
    const off = { thinking: { type: "disabled" }, output: undefined }
    assert.deepStrictEqual(thinking("none"), off)
    assert.deepStrictEqual(thinking("none", { thinking: "budget" }), off)
  })

  it("is refused where its budget is none", () => {
    const refused = (reasoningEffort: string, maxOutputTokens?: number) =>
      refuse({ settings: { reasoningEffort, maxOutputTokens } }, { thinking: "budget" })
    assert.include(refused("lots").message, "a number of tokens")
    assert.include(refused("toString").message, "a number of tokens")
    assert.include(refused("100").message, "at least 1024")
    assert.include(refused("low", 1000).message, "raise `maxOutputTokens`")
    assert.strictEqual(refused("9000").parameter, "settings.reasoningEffort")
  })
})

describe("messages", () => {
  const encoded = (prompt: Prompt.RawInput) => encode({ prompt: Prompt.make(prompt) })

  const contents = (prompt: Prompt.RawInput) => encoded(prompt).messages.map(({ content }) => content)

  it("of all roles", () => {
    const body = encoded([
      { role: "system", content: "Be brief." },
      { role: "system", content: "Be kind." },
      { role: "user", content: "What time is it, here and there?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm", options: { anthropic: { signature: "sig-1" } } },
          { type: "reasoning", text: "", options: { anthropic: { redactedData: "data-1" } } },
          { type: "reasoning", text: "somebody else's" },
          { type: "text", text: "Let me see." },
          { type: "tool-call", id: "call_1", name: "time", params: { zone: "UTC" } },
          { type: "tool-call", id: "call:2", name: "time", params: "{\"zone\":\"CET\"}" }
        ]
      },
      {
        role: "tool",
        content: [{ type: "tool-result", id: "call_1", name: "time", isFailure: false, result: { at: "noon" } }]
      },
      {
        role: "tool",
        content: [{ type: "tool-result", id: "call:2", name: "time", isFailure: true, result: "no such zone" }]
      },
      { role: "user", content: "So?" },
      { role: "assistant", content: "Noon." },
      { role: "user", content: "Thanks." }
    ])
    assert.deepStrictEqual(body["system"], [{ type: "text", text: "Be brief." }, { type: "text", text: "Be kind." }])
    assert.deepStrictEqual(body.messages, [
      { role: "user", content: [{ type: "text", text: "What time is it, here and there?" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "sig-1" },
          { type: "redacted_thinking", data: "data-1" },
          { type: "text", text: "Let me see." },
          { type: "tool_use", id: "call_1", name: "time", input: { zone: "UTC" } },
          { type: "tool_use", id: "call_2", name: "time", input: { zone: "CET" } }
        ]
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_1", content: "{\"at\":\"noon\"}" },
          { type: "tool_result", tool_use_id: "call_2", content: "no such zone", is_error: true },
          { type: "text", text: "So?" }
        ]
      },
      { role: "assistant", content: [{ type: "text", text: "Noon." }] },
      { role: "user", content: [{ type: "text", text: "Thanks." }] }
    ])
  })

  it("put results before what a user says", () => {
    const [, , results] = contents([
      { role: "user", content: "Hello?" },
      { role: "assistant", content: [{ type: "tool-call", id: "c", name: "f", params: {} }] },
      { role: "user", content: "And?" },
      { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "1" }] }
    ])
    assert.deepStrictEqual(results, [
      { type: "tool_result", tool_use_id: "c", content: "1" },
      { type: "text", text: "And?" }
    ])
  })

  it("that end with a beginning of the answer end without white space", () => {
    const prefill = (text: string) =>
      encoded([{ role: "user", content: "Count." }, { role: "assistant", content: text }])
    assert.deepStrictEqual(prefill("one, two, \n").messages.at(-1), {
      role: "assistant",
      content: [{ type: "text", text: "one, two," }]
    })
    assert.deepStrictEqual(prefill(" \n").messages.at(-1)?.role, "user")
    assert.deepStrictEqual(
      contents([{ role: "assistant", content: "Hi \n" }, { role: "user", content: "Hello" }])[0],
      [{ type: "text", text: "Hi \n" }]
    )
  })

  it("leave out what providers executed themselves", () => {
    const [content] = contents([{
      role: "assistant",
      content: [
        { type: "tool-call", id: "s", name: "search", params: {}, providerExecuted: true },
        { type: "tool-result", id: "s", name: "search", isFailure: false, result: {}, providerExecuted: true },
        { type: "text", text: "Found." }
      ]
    }])
    assert.deepStrictEqual(content, [{ type: "text", text: "Found." }])
  })

  it("with images, documents and texts", () => {
    const bytes = new Uint8Array([1, 2, 3])
    const [content] = contents([{
      role: "user",
      content: [
        { type: "text", text: "Look:" },
        { type: "file", mediaType: "image/png", data: bytes },
        { type: "file", mediaType: "image/*", data: "AQID" },
        { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png") },
        { type: "file", mediaType: "image/png", data: new URL("data:image/png;base64,AQID") },
        { type: "file", mediaType: "application/pdf", fileName: "a.pdf", data: bytes },
        {
          type: "file",
          mediaType: "application/pdf",
          data: new URL("https://example.com/a.pdf"),
          options: { anthropic: { citations: { enabled: true }, context: "draft" } }
        },
        { type: "file", mediaType: "application/pdf", data: "file_011" },
        { type: "file", mediaType: "text/plain", data: new TextEncoder().encode("Grüße") }
      ]
    }])
    const inline = (media_type: string) => ({ type: "base64", media_type, data: "AQID" })
    assert.deepStrictEqual(content, [
      { type: "text", text: "Look:" },
      { type: "image", source: inline("image/png") },
      { type: "image", source: inline("image/jpeg") },
      { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      { type: "image", source: inline("image/png") },
      { type: "document", source: inline("application/pdf"), title: "a.pdf" },
      {
        type: "document",
        source: { type: "url", url: "https://example.com/a.pdf" },
        context: "draft",
        citations: { enabled: true }
      },
      { type: "document", source: { type: "file", file_id: "file_011" } },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "Grüße" } }
    ])
  })

  it("with results that hold images", () => {
    const [, , content] = contents([
      { role: "user", content: "Draw." },
      { role: "assistant", content: [{ type: "tool-call", id: "c", name: "draw", params: {} }] },
      {
        role: "tool",
        content: [{
          type: "tool-result",
          id: "c",
          name: "draw",
          isFailure: false,
          result: {},
          modelOutput: [{ type: "text", text: "Here:" }, { type: "file", mediaType: "image/png", data: "AQID" }]
        }]
      }
    ])
    assert.deepStrictEqual(content, [{
      type: "tool_result",
      tool_use_id: "c",
      content: [
        { type: "text", text: "Here:" },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "AQID" } }
      ]
    }])
  })

  it("with marks for the prompt cache", () => {
    const short = { type: "ephemeral" }
    const long = { type: "ephemeral", ttl: "1h" }
    const marked = (cacheControl: Prompt.ProviderOptions[string]) => ({ anthropic: { cacheControl } })
    const body = encoded([
      { role: "system", content: "A handbook.", options: marked(long) },
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [{ type: "text", text: "one", options: marked(short) }, { type: "text", text: "two" }]
      },
      {
        role: "assistant",
        content: [
          { type: "text", text: "three" },
          { type: "reasoning", text: "four", options: { anthropic: { signature: "s" } } }
        ],
        options: marked(short)
      },
      { role: "user", content: "five" }
    ])
    assert.deepStrictEqual(body["system"], [
      { type: "text", text: "A handbook.", cache_control: long },
      { type: "text", text: "Be brief." }
    ])
    assert.deepStrictEqual(body.messages.map(({ content }) => content), [
      [{ type: "text", text: "one", cache_control: short }, { type: "text", text: "two" }],
      [
        { type: "text", text: "three", cache_control: short },
        { type: "thinking", thinking: "four", signature: "s" }
      ],
      [{ type: "text", text: "five" }]
    ])
  })

  const unsayable: ReadonlyArray<readonly [what: string, prompt: Prompt.RawInput, parameter: string]> = [
    ["nothing", [], "prompt"],
    ["no message but the system's", [{ role: "system", content: "Be brief." }], "prompt"],
    ["a message without a word", [{ role: "user", content: " \n" }], "prompt"],
    [
      "audio",
      [{ role: "user", content: [{ type: "file", mediaType: "audio/wav", data: "AQID" }] }],
      "messages[0].content[0]"
    ],
    [
      "a text by address",
      [{ role: "user", content: [{ type: "file", mediaType: "text/plain", data: new URL("https://example.com/a") }] }],
      "messages[0].content[0]"
    ],
    [
      "a file in an answer",
      [{ role: "assistant", content: [{ type: "file", mediaType: "image/png", data: "AQID" }] }],
      "messages[0].content[0]"
    ],
    [
      "parameters that are no object",
      [{ role: "assistant", content: [{ type: "tool-call", id: "c", name: "f", params: [1] }] }],
      "messages[0].content[0]"
    ],
    [
      "a mark that is none",
      [{ role: "user", content: "Hello?", options: { anthropic: { cacheControl: "1h" } } }],
      "messages[0]"
    ]
  ]
  for (const [what, prompt, parameter] of unsayable) {
    it(`are refused with ${what}`, () => {
      assert.strictEqual(refuse({ prompt: Prompt.make(prompt) }).parameter, parameter)
    })
  }
})

const Time = Tool.make("time", { description: "Tells the time.", parameters: Schema.Struct({ zone: Schema.String }) })

const Add = Tool.make("add", {
  parameters: Schema.Struct({ a: Schema.Int, b: Schema.optional(Schema.Int) })
}).annotate(Tool.Strict, true)

describe("tools", () => {
  const tools = (rest: Partial<Request>) => {
    const body = encode({ tools: [Time, Add], ...rest })
    return {
      names: (body["tools"] as ReadonlyArray<{ name: string }> | undefined)?.map(({ name }) => name),
      choice: body["tool_choice"]
    }
  }

  it("are described", () => {
    const [time, add] = encode({ tools: [Time, Add] })["tools"] as ReadonlyArray<{ readonly [field: string]: unknown }>
    assert.deepStrictEqual(time, {
      name: "time",
      description: "Tells the time.",
      input_schema: {
        type: "object",
        properties: { zone: { type: "string" } },
        required: ["zone"],
        additionalProperties: true
      }
    })
    assert.isTrue(add?.["strict"])
    const schema = add?.["input_schema"] as { readonly required: unknown; readonly additionalProperties: unknown }
    assert.deepStrictEqual(schema.required, ["a", "b"])
    assert.isFalse(schema.additionalProperties)
  })

  it("are chosen in all ways", () => {
    assert.deepStrictEqual(tools({ toolChoice: "auto" }), { names: ["time", "add"], choice: { type: "auto" } })
    assert.deepStrictEqual(tools({ toolChoice: "required" }).choice, { type: "any" })
    assert.deepStrictEqual(tools({ toolChoice: "none" }), { names: ["time", "add"], choice: { type: "none" } })
    assert.deepStrictEqual(tools({ toolChoice: { tool: "add" } }).choice, { type: "tool", name: "add" })
    assert.deepStrictEqual(tools({ toolChoice: { oneOf: ["add"] } }), { names: ["add"], choice: { type: "auto" } })
    assert.deepStrictEqual(tools({ toolChoice: { oneOf: ["add"], mode: "required" } }).choice, { type: "any" })
    assert.deepStrictEqual(tools({ tools: [], toolChoice: "none" }), { names: undefined, choice: undefined })
  })

  it("that are not there cannot be chosen", () => {
    assert.strictEqual(refuse({ toolChoice: "required" }).parameter, "toolChoice")
    assert.strictEqual(refuse({ tools: [Time], toolChoice: { tool: "add" } }).parameter, "toolChoice")
  })

  it("that a provider defines are refused", () => {
    const search = Tool.providerDefined({
      id: "anthropic.web_search_20250305",
      customName: "Search",
      providerName: "web_search",
      args: Schema.Struct({})
    })({})
    const failure = refuse({ tools: [search] })
    assert.strictEqual(failure.parameter, "tools[0]")
    assert.include(failure.message, "over the Messages API: use `settings.extra`")
  })
})

describe("JSON of a schema", () => {
  const format = (schema: Schema.Top, objectName = "Answer!"): Partial<Request> => ({
    responseFormat: { type: "json", objectName, schema } as Request["responseFormat"],
    toolChoice: "none"
  })

  const Answer = Schema.Struct({ title: Schema.String, pages: Schema.Int.check(Schema.isGreaterThan(0)) })

  it("is asked for as structured output, in the words that the API knows", () => {
    const body = encode({ ...format(Answer), settings: { reasoningEffort: "low" } })
    const output = body["output_config"] as {
      readonly effort: string
      readonly format: { readonly type: string; readonly schema: { readonly [keyword: string]: unknown } }
    }
    assert.strictEqual(output.effort, "low")
    assert.strictEqual(output.format.type, "json_schema")
    assert.deepStrictEqual(output.format.schema["required"], ["title", "pages"])
    assert.isFalse(output.format.schema["additionalProperties"])
    assert.notInclude(JSON.stringify(output.format.schema), "exclusiveMinimum")
    assert.isUndefined(body["tools"])
  })

  it("is asked for as a tool, where the server knows nothing else", () => {
    const body = encode(format(Answer), { jsonFormat: "tool" })
    const [tool] = body["tools"] as ReadonlyArray<
      { readonly name: string; readonly input_schema: { readonly type: string } }
    >
    assert.strictEqual(tool?.name, "Answer_")
    assert.strictEqual(tool?.input_schema.type, "object")
    assert.deepStrictEqual(body["tool_choice"], { type: "tool", name: "Answer_" })
    assert.isUndefined(body["output_config"])
  })

  it("is asked for as a tool, where the API cannot enforce the schema", () => {
    const body = encode(format(Schema.Array(Schema.String), "list"))
    const [tool] = body["tools"] as ReadonlyArray<{ readonly input_schema: { readonly [keyword: string]: unknown } }>
    assert.deepStrictEqual(tool?.input_schema["required"], ["value"])
    assert.isUndefined(body["output_config"])
  })

  it("leaves the model free to call other tools first", () => {
    const body = encode({ ...format(Answer, "time"), tools: [Time], toolChoice: "auto" }, { jsonFormat: "tool" })
    assert.deepStrictEqual((body["tools"] as ReadonlyArray<{ name: string }>).map(({ name }) => name), [
      "time",
      "time_"
    ])
    assert.deepStrictEqual(body["tool_choice"], { type: "any" })
  })

  it("cannot be forced from a model that thinks", () => {
    const failure = refuse({ ...format(Answer), settings: { reasoningEffort: "low" } }, { jsonFormat: "tool" })
    assert.strictEqual(failure.parameter, "settings.reasoningEffort")
  })
})
