/**
 * What is sent to the Responses API: prompts, tools, formats and settings in its form, as OpenAI's own types have it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"
import type {
  ResponseCreateParams,
  ResponseFormatTextJSONSchemaConfig,
  ResponseInputContent,
  ResponseInputItem
} from "openai/resources/responses/responses"
import { type Dialect, encodeRequest } from "../../../src/providers/internal/responsesRequest.ts"
import { toolSchema } from "../../../src/providers/internal/toolSchema.ts"
import type { Request } from "../../../src/providers/Provider.ts"
import { writing } from "../support/request.ts"

const dialect: Dialect = {
  store: undefined,
  encryptedReasoning: false,
  reasoningSummary: undefined,
  conversation: "stateless"
}

const { encode, refuse } = writing<ResponseCreateParams>()(encodeRequest, dialect, "gpt-5-mini")

const same = (actual: ResponseCreateParams, expected: ResponseCreateParams) => assert.deepStrictEqual(actual, expected)

const hello = [{ role: "user" as const, content: "Hello?" }]

describe("the body", () => {
  it("is as small as can be", () => {
    same(encode({}), { model: "gpt-5-mini", input: hello })
    same(encode({}, {}, true), { model: "gpt-5-mini", input: hello, stream: true })
  })

  it("carries the settings, but for what the API has no word for", () => {
    const settings = { maxOutputTokens: 100, temperature: 0, topP: 0.5, stop: [], seed: 1, reasoningEffort: "low" }
    same(encode({ settings }), {
      model: "gpt-5-mini",
      input: hello,
      max_output_tokens: 100,
      temperature: 0,
      top_p: 0.5,
      reasoning: { effort: "low" }
    })
  })

  it("is refused where an answer is to end at a text", () => {
    const failure = refuse({ settings: { stop: ["secret words"] } })
    assert.strictEqual(failure.parameter, "settings.stop")
    assert.notInclude(failure.message, "secret words")
  })

  it("is refused where a number is none", () => {
    const failure = refuse({ settings: { temperature: NaN } })
    assert.strictEqual(failure.parameter, "settings.temperature")
  })

  it("says what is stored, and what of thoughts comes back", () => {
    same(encode({}, { store: false, encryptedReasoning: true, reasoningSummary: "auto" }), {
      model: "gpt-5-mini",
      input: hello,
      store: false,
      include: ["reasoning.encrypted_content"],
      reasoning: { summary: "auto" }
    })
    assert.strictEqual(encode({}, { store: true }).store, true)
    assert.deepStrictEqual(
      encode({ settings: { reasoningEffort: "high" } }, { reasoningSummary: "concise" }).reasoning,
      {
        effort: "high",
        summary: "concise"
      }
    )
  })

  it("merges extra fields, which win over all", () => {
    const body = encode({
      responseFormat: { type: "json", objectName: "list", schema: Schema.Struct({ a: Schema.String }) },
      settings: {
        temperature: 0,
        reasoningEffort: "low",
        extra: {
          temperature: 1,
          reasoning: { context: "all_turns" },
          text: { verbosity: "low" },
          tools: [{ type: "web_search" }],
          prompt_cache_key: "k"
        }
      }
    })
    assert.strictEqual(body.temperature, 1)
    assert.deepStrictEqual(body.reasoning, { effort: "low", context: "all_turns" })
    assert.strictEqual(body.text?.verbosity, "low")
    assert.strictEqual(body.text?.format?.type, "json_schema")
    assert.deepStrictEqual(body.tools, [{ type: "web_search" }])
    assert.strictEqual(body.prompt_cache_key, "k")
  })
})

const inputOf = (prompt: Prompt.RawInput, own: Partial<Dialect> = {}) =>
  encode({ prompt: Prompt.make(prompt) }, own).input

const sent = (prompt: Prompt.RawInput, expected: Array<ResponseInputItem>, own: Partial<Dialect> = {}) =>
  assert.deepStrictEqual(inputOf(prompt, own), expected)

const call = (id: string, openai?: Prompt.ProviderOptions[string], params: unknown = { id }) => ({
  type: "tool-call" as const,
  id,
  name: "f",
  params,
  ...(openai === undefined ? {} : { options: { openai } })
})

const result = (id: string, rest: object = {}) => ({
  type: "tool-result" as const,
  id,
  name: "f",
  isFailure: false,
  result: { at: "noon" } as unknown,
  ...rest
})

const says = (text: string, openai?: Prompt.ProviderOptions[string]) => ({
  type: "text" as const,
  text,
  ...(openai === undefined ? {} : { options: { openai } })
})

const thinks = (text: string, openai?: Prompt.ProviderOptions[string]) => ({
  type: "reasoning" as const,
  text,
  ...(openai === undefined ? {} : { options: { openai } })
})

describe("the input", () => {
  it("holds messages of all roles where they stand, calls and their outputs", () => {
    sent([
      { role: "system", content: "Be brief." },
      { role: "user", content: "What time is it?" },
      { role: "assistant", content: [says("Let me "), says("see."), call("call_1", undefined, { zone: "UTC" })] },
      { role: "tool", content: [result("call_1"), result("call_2", { isFailure: true, result: "broken" })] },
      { role: "assistant", content: "Noon." },
      { role: "system", content: "Be kind." },
      { role: "user", content: [says("And"), says("now?")] }
    ], [
      { role: "system", content: "Be brief." },
      { role: "user", content: "What time is it?" },
      { role: "assistant", content: "Let me see." },
      { type: "function_call", call_id: "call_1", name: "f", arguments: "{\"zone\":\"UTC\"}" },
      { type: "function_call_output", call_id: "call_1", output: "{\"at\":\"noon\"}" },
      { type: "function_call_output", call_id: "call_2", output: "broken" },
      { role: "assistant", content: "Noon." },
      { role: "system", content: "Be kind." },
      { role: "user", content: [{ type: "input_text", text: "And" }, { type: "input_text", text: "now?" }] }
    ])
  })

  it("leaves out what only the application or another provider needs", () => {
    sent([
      {
        role: "assistant",
        content: [
          thinks("another's thought", { signature: "s" }),
          { type: "tool-call", id: "s1", name: "search", params: {}, providerExecuted: true },
          { type: "tool-result", id: "s1", name: "search", isFailure: false, result: 1, providerExecuted: true },
          says(""),
          call("c1"),
          { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
        ]
      },
      { role: "tool", content: [{ type: "tool-approval-response", approvalId: "a1", approved: true }] }
    ], [{ type: "function_call", call_id: "c1", name: "f", arguments: "{\"id\":\"c1\"}" }])
  })

  it("gives tool results as the tool wants them seen", () => {
    const seen = (...modelOutput: ReadonlyArray<object>) =>
      inputOf([{
        role: "tool",
        content: [result("c1", { result: { secret: 1 }, modelOutput })] as ReadonlyArray<Prompt.ToolMessagePartEncoded>
      }])
    const expected: Array<ResponseInputItem> = [{
      type: "function_call_output",
      call_id: "c1",
      output: [
        { type: "input_text", text: "a" },
        { type: "input_image", detail: "auto", image_url: "data:image/png;base64,AQID" }
      ]
    }]
    assert.deepStrictEqual(
      seen({ type: "text", text: "a" }, { type: "file", mediaType: "image/png", data: "AQID" }),
      expected
    )
    assert.deepStrictEqual(seen({ type: "text", text: "a" }), [
      { type: "function_call_output", call_id: "c1", output: "a" }
    ])
  })

  it("gives back calls of tools that take free text as such", () => {
    sent([
      { role: "assistant", content: [call("c1", { custom: true }, "print(1)"), call("c2", { custom: true })] },
      { role: "tool", content: [result("c1", { result: "1" }), result("c2")] }
    ], [
      { type: "custom_tool_call", call_id: "c1", name: "f", input: "print(1)" },
      { type: "function_call", call_id: "c2", name: "f", arguments: "{\"id\":\"c2\"}" },
      { type: "custom_tool_call_output", call_id: "c1", output: "1" },
      { type: "function_call_output", call_id: "c2", output: "{\"at\":\"noon\"}" }
    ])
  })

  it("is refused where it cannot be said", () => {
    const at = (message: Prompt.MessageEncoded) => refuse({ prompt: Prompt.make([message]) }).parameter
    assert.strictEqual(
      at({ role: "assistant", content: [{ type: "file", mediaType: "image/png", data: "AQID" }] }),
      "messages[0].content[0]"
    )
    assert.strictEqual(
      at({ role: "assistant", content: [says("x"), call("c1", undefined, { n: 1n })] }),
      "messages[0].content[1]"
    )
    assert.strictEqual(at({ role: "tool", content: [result("c1", { result: 1n })] }), "messages[0].content[0]")
    assert.strictEqual(
      at({ role: "user", content: [{ type: "file", mediaType: "audio/wav", data: "AQID" }] }),
      "messages[0].content[0]"
    )
  })
})

describe("thoughts", () => {
  it("go back with what was written after them, and its ids", () => {
    sent([{
      role: "assistant",
      content: [
        thinks("one", { itemId: "rs_1", outputIndex: 0 }),
        thinks("two", { itemId: "rs_1", outputIndex: 0, encryptedContent: "e1" }),
        says("I look.", { itemId: "msg_1", outputIndex: 1, phase: "commentary" }),
        says(" Now.", {
          itemId: "msg_1",
          outputIndex: 1,
          annotations: [{ type: "file_path", file_id: "f", index: 0 }]
        }),
        call("c1", { itemId: "fc_1", outputIndex: 2 })
      ]
    }], [
      {
        type: "reasoning",
        id: "rs_1",
        summary: [{ type: "summary_text", text: "one" }, { type: "summary_text", text: "two" }],
        encrypted_content: "e1"
      },
      {
        type: "message",
        id: "msg_1",
        status: "completed",
        role: "assistant",
        phase: "commentary",
        content: [
          { type: "output_text", text: "I look.", annotations: [] },
          { type: "output_text", text: " Now.", annotations: [{ type: "file_path", file_id: "f", index: 0 }] }
        ]
      },
      { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: "{\"id\":\"c1\"}" }
    ])
  })

  it("may say nothing, or be those of an open model", () => {
    sent([{
      role: "assistant",
      content: [
        thinks("", { itemId: "rs_1", encryptedContent: "e1" }),
        thinks("raw", { itemId: "rs_2", kind: "text" }),
        call("c1")
      ]
    }], [
      { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "e1" },
      { type: "reasoning", id: "rs_2", summary: [], content: [{ type: "reasoning_text", text: "raw" }] },
      { type: "function_call", call_id: "c1", name: "f", arguments: "{\"id\":\"c1\"}" }
    ])
  })

  it("stay behind where nothing comes after them", () => {
    sent([{ role: "assistant", content: [says("Yes."), thinks("hm", { itemId: "rs_1" })] }], [
      { role: "assistant", content: "Yes." }
    ])
    sent([{ role: "assistant", content: [thinks("hm", { itemId: "rs_1" })] }], [])
  })

  it("that are missing take the ids with them, which the API would miss them for", () => {
    sent([{
      role: "assistant",
      content: [
        thinks("hm"),
        says("Yes.", { itemId: "msg_1", phase: "final_answer" }),
        call("c1", { itemId: "fc_1" }),
        says("No.", { itemId: "msg_2" })
      ]
    }], [
      { role: "assistant", content: "Yes.", phase: "final_answer" },
      { type: "function_call", call_id: "c1", name: "f", arguments: "{\"id\":\"c1\"}" },
      { role: "assistant", content: "No." }
    ])
  })

  const order = (content: ReadonlyArray<Prompt.AssistantMessagePartEncoded>) =>
    (inputOf([{ role: "assistant", content }]) as Array<{ readonly id?: string; readonly call_id?: string }>).map((
      item
    ) => item.id ?? item.call_id)

  it("stand before the calls that they led to, though calls are told last", () => {
    assert.deepStrictEqual(
      order([
        thinks("a", { itemId: "rs_1", outputIndex: 0 }),
        thinks("b", { itemId: "rs_2", outputIndex: 2 }),
        call("c1", { itemId: "fc_1", outputIndex: 1 }),
        call("c2", { itemId: "fc_2", outputIndex: 3 })
      ]),
      ["rs_1", "fc_1", "rs_2", "fc_2"]
    )
  })

  it("of two answers are not mixed", () => {
    assert.deepStrictEqual(
      order([
        thinks("a", { itemId: "rs_1", outputIndex: 0 }),
        says("A", { itemId: "msg_1", outputIndex: 1 }),
        thinks("b", { itemId: "rs_2", outputIndex: 0 }),
        says("B", { itemId: "msg_2", outputIndex: 1 })
      ]),
      ["rs_1", "msg_1", "rs_2", "msg_2"]
    )
  })
})

describe("a conversation that the API remembers", () => {
  const previousResponse = { conversation: "previousResponse" } as const

  const answered = (id: string) => ({
    role: "assistant" as const,
    content: [says("Yes."), says("So.", { responseId: id })]
  })

  const question = { role: "user" as const, content: "And?" }

  it("goes on from its last answer", () => {
    const prompt: Prompt.RawInput = [
      { role: "system", content: "Be brief." },
      question,
      answered("resp_1"),
      question,
      answered("resp_2"),
      { role: "tool", content: [result("c1")] },
      question
    ]
    same(encode({ prompt: Prompt.make(prompt) }, previousResponse), {
      model: "gpt-5-mini",
      previous_response_id: "resp_2",
      input: [
        { type: "function_call_output", call_id: "c1", output: "{\"at\":\"noon\"}" },
        { role: "user", content: "And?" }
      ]
    })
    assert.notProperty(encode({ prompt: Prompt.make(prompt) }), "previous_response_id")
    assert.strictEqual(encode({ prompt: Prompt.make(prompt) }).input?.length, 7)
  })

  it("goes on past answers of other models", () => {
    same(
      encode(
        {
          prompt: Prompt.make([question, answered("resp_1"), question, { role: "assistant", content: "No." }, question])
        },
        previousResponse
      ),
      {
        model: "gpt-5-mini",
        previous_response_id: "resp_1",
        input: [question, { role: "assistant", content: "No." }, question]
      }
    )
  })

  it("begins where there is no answer, or nothing after it", () => {
    const input = (prompt: Prompt.RawInput) => {
      const body = encode({ prompt: Prompt.make(prompt) }, previousResponse)
      assert.notProperty(body, "previous_response_id")
      return body.input?.length
    }
    assert.strictEqual(input([]), 0)
    assert.strictEqual(input([question]), 1)
    assert.strictEqual(input([question, { role: "assistant", content: "No." }, question]), 3)
    assert.strictEqual(input([question, answered("resp_1")]), 2)
    assert.strictEqual(input([{ role: "user", content: [says("x", { responseId: "resp_1" })] }, question]), 2)
  })

  it("knows the calls of free text that are not sent again", () => {
    const prompt: Prompt.RawInput = [
      { role: "assistant", content: [call("c1", { custom: true, responseId: "resp_1" }, "print(1)")] },
      { role: "tool", content: [result("c1", { result: "1" })] }
    ]
    sent(prompt, [{ type: "custom_tool_call_output", call_id: "c1", output: "1" }], previousResponse)
  })

  it("may be named by hand: then the prompt is sent as it is", () => {
    for (const extra of [{ previous_response_id: "resp_9" }, { conversation: "conv_1" }]) {
      const body = encode(
        { prompt: Prompt.make([question, answered("resp_1"), question]), settings: { extra } },
        previousResponse
      )
      assert.strictEqual(body.input?.length, 3)
      assert.deepStrictEqual(body, { model: "gpt-5-mini", input: body.input!, ...extra })
    }
  })
})

describe("files", () => {
  const part = (data: string | Uint8Array | URL, mediaType: string, rest: object = {}) => {
    const input = inputOf([{ role: "user", content: [{ type: "file", mediaType, data, ...rest }] }])
    return (input as ReadonlyArray<{ readonly content: ReadonlyArray<ResponseInputContent> }>)[0]?.content[0]
  }

  it("are images, inline, by address or by id", () => {
    const image = (image_url: string, detail: "auto" | "low" = "auto"): ResponseInputContent => ({
      type: "input_image",
      detail,
      image_url
    })
    const inline = "data:image/png;base64,AQID"
    assert.deepStrictEqual(part(new Uint8Array([1, 2, 3]), "image/png"), image(inline))
    assert.deepStrictEqual(part("AQID", "IMAGE/PNG"), image(inline))
    assert.deepStrictEqual(part(inline, "image/png"), image(inline))
    assert.deepStrictEqual(part(new URL(inline), "image/png"), image(inline))
    assert.deepStrictEqual(part("AQID", "image/*"), image("data:image/jpeg;base64,AQID"))
    assert.deepStrictEqual(
      part("https://example.com/x.png", "image/png", { options: { openai: { imageDetail: "low" } } }),
      image("https://example.com/x.png", "low")
    )
    const uploaded: ResponseInputContent = { type: "input_image", detail: "auto", file_id: "file-1" }
    assert.deepStrictEqual(part("file-1", "image/png"), uploaded)
  })

  it("are documents, inline, by address or by id", () => {
    const inline = (filename: string, file_data: string): ResponseInputContent => ({
      type: "input_file",
      filename,
      file_data
    })
    assert.deepStrictEqual(
      part("AQID", "application/pdf"),
      inline("document.pdf", "data:application/pdf;base64,AQID")
    )
    assert.deepStrictEqual(
      part(new Uint8Array([1, 2, 3]), "application/pdf", { fileName: "report.pdf" }),
      inline("report.pdf", "data:application/pdf;base64,AQID")
    )
    assert.deepStrictEqual(part("AQID", "text/plain"), inline("document.txt", "data:text/plain;base64,AQID"))
    assert.deepStrictEqual(part("AQID", "text/markdown"), inline("document.md", "data:text/markdown;base64,AQID"))
    assert.deepStrictEqual(part("AQID", "text/csv"), inline("document.csv", "data:text/csv;base64,AQID"))
    assert.deepStrictEqual(
      part("AQID", "application/vnd.ms-excel"),
      inline("document.bin", "data:application/vnd.ms-excel;base64,AQID")
    )
    const address: ResponseInputContent = { type: "input_file", file_url: "https://example.com/x.pdf" }
    assert.deepStrictEqual(part(new URL("https://example.com/x.pdf"), "application/pdf"), address)
    const uploaded: ResponseInputContent = { type: "input_file", file_id: "file_1" }
    assert.deepStrictEqual(part("file_1", "application/pdf"), uploaded)
  })
})

describe("tools", () => {
  const Weather = Tool.make("weather", {
    description: "Tells the weather.",
    parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) })
  })
  const Clock = Tool.make("clock")

  it("are functions, and strict only where they say so: the API takes silence for a yes", () => {
    const strict = Weather.annotate(Tool.Strict, true)
    assert.deepStrictEqual(encode({ tools: [Weather, strict, Clock] }).tools, [
      {
        type: "function",
        name: "weather",
        description: "Tells the weather.",
        parameters: toolSchema(Weather).jsonSchema,
        strict: false
      },
      {
        type: "function",
        name: "weather",
        description: "Tells the weather.",
        parameters: toolSchema(strict).jsonSchema,
        strict: true
      },
      { type: "function", name: "clock", parameters: toolSchema(Clock).jsonSchema, strict: false }
    ])
    assert.notDeepEqual(toolSchema(Weather).jsonSchema, toolSchema(strict).jsonSchema)
  })

  it("are chosen", () => {
    const choice = (toolChoice: Request["toolChoice"]) => {
      const { tool_choice, tools } = encode({ tools: [Weather, Clock], toolChoice })
      assert.strictEqual(tools?.length, 2)
      return tool_choice
    }
    const allowed = (mode: "auto" | "required"): ResponseCreateParams["tool_choice"] => ({
      type: "allowed_tools",
      mode,
      tools: [{ type: "function", name: "clock" }]
    })
    assert.strictEqual(choice("auto"), "auto")
    assert.strictEqual(choice("none"), "none")
    assert.strictEqual(choice("required"), "required")
    assert.deepStrictEqual(choice({ tool: "clock" }), { type: "function", name: "clock" })
    assert.deepStrictEqual(choice({ oneOf: ["clock"] }), allowed("auto"))
    assert.deepStrictEqual(choice({ mode: "required", oneOf: ["clock"] }), allowed("required"))
    assert.strictEqual(choice({ oneOf: ["clock", "weather"] }), "auto")
    assert.strictEqual(choice({ mode: "required", oneOf: ["clock", "weather"] }), "required")
  })

  it("that are not there cannot be chosen", () => {
    assert.strictEqual(refuse({ tools: [Weather], toolChoice: { tool: "clock" } }).parameter, "toolChoice")
    assert.strictEqual(refuse({ tools: [Weather], toolChoice: { oneOf: ["clock"] } }).parameter, "toolChoice")
    assert.strictEqual(refuse({ toolChoice: "required" }).parameter, "toolChoice")
    assert.notProperty(encode({ toolChoice: "none" }), "tool_choice")
  })

  it("of another provider are refused", () => {
    const Search = Tool.providerDefined({ id: "openai.web_search", customName: "search", providerName: "web_search" })()
    const failure = refuse({ tools: [Weather, Search] })
    assert.strictEqual(failure.parameter, "tools[1]")
    assert.include(failure.message, "settings.extra")
  })
})

describe("JSON", () => {
  const format = (schema: Schema.Codec<unknown, unknown>, objectName = "city"): ResponseFormatTextJSONSchemaConfig => {
    const format = encode({ responseFormat: { type: "json", objectName, schema } }).text?.format
    assert(format?.type === "json_schema")
    return format
  }

  it("is asked for by schema, strictly where the schema can be", () => {
    const strict = format(Schema.Struct({ name: Schema.String, inhabitants: Schema.optionalKey(Schema.Int) }))
    assert.strictEqual(strict.name, "city")
    assert.isTrue(strict.strict)
    assert.deepStrictEqual(strict.schema["required"], ["name", "inhabitants"])
    const list = format(Schema.Array(Schema.Int), "my numbers!")
    assert.strictEqual(list.name, "my_numbers_")
    assert.isFalse(list.strict)
  })
})
