/**
 * The adapter beside OpenAI's own client: for the same calls both send the same, and of the same answers both read the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, Part } from "effect-bulwark"
import { OpenAiResponses, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import OpenAI from "openai"
import type {
  ResponseCreateParamsNonStreaming,
  ResponseCreateParamsStreaming
} from "openai/resources/responses/responses"
import { structuredOutput } from "../../src/core/internal/structuredOutput.ts"
import { toolSchema } from "../../src/providers/internal/toolSchema.ts"
import * as Replay from "./support/replayServer.ts"
import * as Wire from "./support/responsesWire.ts"

class P extends Provider.Service<P>()("p") {}

const llm = Llm.model(P, "gpt-5-mini")

const start = Effect.gen(function*() {
  const server = yield* Replay.make
  const client = new OpenAI({
    apiKey: "sk-1",
    baseURL: `${server.url}/v1`,
    organization: "org-1",
    project: "proj-1",
    maxRetries: 0,
    logLevel: "off"
  })
  const layer = OpenAiResponses.layer(P, {
    baseUrl: `${server.url}/v1`,
    apiKey: Redacted.make("sk-1"),
    organization: "org-1",
    project: "proj-1"
  }).pipe(Layer.provide(FetchHttpClient.layer))
  return { server, client, layer }
})

/** Asks both, and compares what has arrived. */
const sameRequest = <E>(
  run: Effect.Effect<unknown, E, P>,
  params: ResponseCreateParamsNonStreaming | ResponseCreateParamsStreaming,
  options: OpenAiResponses.Options = {}
) =>
  Effect.gen(function*() {
    const { client, server } = yield* start
    const streamed = params.stream === true
    server.onRequest(Replay.reply({
      headers: { "content-type": streamed ? "text/event-stream" : "application/json" },
      body: streamed ? Wire.streamOf("{\"name\":\"x\"}") : Wire.textAnswer("{\"name\":\"x\"}")
    }))
    const adapter = OpenAiResponses.layer(P, {
      ...options,
      baseUrl: `${server.url}/v1`,
      apiKey: Redacted.make("sk-1"),
      organization: "org-1",
      project: "proj-1"
    })
    yield* run.pipe(Effect.provide(adapter.pipe(Layer.provide(FetchHttpClient.layer))))
    yield* Effect.promise(async () => {
      const answer = await client.responses.create(params)
      if ("output" in answer) return
      for await (const _ of answer);
    })
    const [ours, theirs, ...more] = server.requests
    assert.deepStrictEqual(more, [])
    assert(ours !== undefined && theirs !== undefined)
    assert.deepStrictEqual(JSON.parse(ours.body), JSON.parse(theirs.body))
    assert.strictEqual(ours.method, theirs.method)
    assert.strictEqual(ours.url, theirs.url)
    for (const header of ["authorization", "content-type", "openai-organization", "openai-project"]) {
      assert.isString(theirs.headers[header])
      assert.strictEqual(ours.headers[header], theirs.headers[header], header)
    }
  })

describe("requests", () => {
  it.effect("are the same for a question", () =>
    sameRequest(
      Llm.generateText(llm, {
        prompt: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hello?" }],
        settings: { maxOutputTokens: 100, temperature: 0, topP: 0.5, reasoningEffort: "low" }
      }),
      {
        model: "gpt-5-mini",
        input: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hello?" }],
        max_output_tokens: 100,
        temperature: 0,
        top_p: 0.5,
        reasoning: { effort: "low" }
      }
    ))

  it.effect("are the same for a stream, of which nothing is stored", () =>
    sameRequest(
      Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })),
      {
        model: "gpt-5-mini",
        input: [{ role: "user", content: "Hello?" }],
        reasoning: { summary: "auto" },
        store: false,
        include: ["reasoning.encrypted_content"],
        stream: true
      },
      { store: false, encryptedReasoning: true, reasoningSummary: "auto" }
    ))

  const Weather = Tool.make("weather", {
    description: "Tells the weather.",
    parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Int) }),
    success: Schema.String
  })
  const Time = Tool.make("time", { success: Schema.String }).annotate(Tool.Strict, true)
  const toolkit = Toolkit.make(Weather, Time)
  const handlers = toolkit.toLayer({ weather: () => Effect.succeed("fine"), time: () => Effect.succeed("noon") })

  it.effect("are the same for tools", () =>
    sameRequest(
      Llm.generateText(llm, { prompt: "Hello?", toolkit, toolChoice: { tool: "weather" } }).pipe(
        Effect.provide(handlers)
      ),
      {
        model: "gpt-5-mini",
        input: [{ role: "user", content: "Hello?" }],
        tools: [
          {
            type: "function",
            name: "weather",
            description: "Tells the weather.",
            parameters: toolSchema(Weather).jsonSchema,
            strict: false
          },
          { type: "function", name: "time", parameters: toolSchema(Time).jsonSchema, strict: true }
        ],
        tool_choice: { type: "function", name: "weather" }
      }
    ))

  it.effect("are the same for JSON", () => {
    const schema = Schema.Struct({ name: Schema.String })
    return sameRequest(
      Llm.generateObject(llm, { prompt: "Hello?", schema, objectName: "city" }),
      {
        model: "gpt-5-mini",
        input: [{ role: "user", content: "Hello?" }],
        text: {
          format: { type: "json_schema", name: "city", schema: structuredOutput(schema).jsonSchema, strict: true }
        }
      }
    )
  })

  it.effect("are the same for images and documents", () =>
    sameRequest(
      Llm.generateText(llm, {
        prompt: [{
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "file", mediaType: "image/png", data: "AQID" },
            { type: "file", mediaType: "image/png", data: "https://example.com/x.png" },
            { type: "file", mediaType: "application/pdf", data: "AQID", fileName: "x.pdf" },
            { type: "file", mediaType: "application/pdf", data: "https://example.com/x.pdf" },
            { type: "file", mediaType: "application/pdf", data: "file-1" }
          ]
        }]
      }),
      {
        model: "gpt-5-mini",
        input: [{
          role: "user",
          content: [
            { type: "input_text", text: "What is this?" },
            { type: "input_image", detail: "auto", image_url: "data:image/png;base64,AQID" },
            { type: "input_image", detail: "auto", image_url: "https://example.com/x.png" },
            { type: "input_file", filename: "x.pdf", file_data: "data:application/pdf;base64,AQID" },
            { type: "input_file", file_url: "https://example.com/x.pdf" },
            { type: "input_file", file_id: "file-1" }
          ]
        }]
      }
    ))

  it.effect("are the same for what was said before, and what the API remembers of it", () => {
    const known = (openai: Prompt.ProviderOptions[string]) => ({ options: { openai } })
    const prompt = Prompt.make([
      { role: "user", content: "Hello?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm", ...known({ itemId: "rs_1", encryptedContent: "e1" }) },
          { type: "text", text: "Hi.", ...known({ itemId: "msg_1" }) },
          {
            type: "tool-call",
            id: "call_1",
            name: "time",
            params: {},
            ...known({ itemId: "fc_1", responseId: "resp_1" })
          }
        ]
      },
      { role: "tool", content: [{ type: "tool-result", id: "call_1", name: "time", isFailure: false, result: "noon" }] }
    ])
    const output = { type: "function_call_output" as const, call_id: "call_1", output: "noon" }
    return Effect.andThen(
      sameRequest(Llm.generateText(llm, { prompt }), {
        model: "gpt-5-mini",
        input: [
          { role: "user", content: "Hello?" },
          {
            type: "reasoning",
            id: "rs_1",
            summary: [{ type: "summary_text", text: "hm" }],
            encrypted_content: "e1"
          },
          {
            type: "message",
            id: "msg_1",
            status: "completed",
            role: "assistant",
            content: [{ type: "output_text", text: "Hi.", annotations: [] }]
          },
          { type: "function_call", id: "fc_1", call_id: "call_1", name: "time", arguments: "{}" },
          output
        ]
      }),
      sameRequest(
        Stream.runDrain(Llm.streamText(llm, { prompt })),
        { model: "gpt-5-mini", previous_response_id: "resp_1", input: [output], stream: true },
        { conversation: "previousResponse" }
      )
    )
  })
})

describe("answers", () => {
  const output = [
    Wire.reasoning(["Let me", " see"]),
    Wire.message("Hello"),
    Wire.call("time", "{\"zone\":\"UTC\"}")
  ]
  const events = Wire.created() + Wire.reasoningItem(0, ["Let me", " see"]) + Wire.textItem(1, "Hel", "lo") +
    Wire.callItem(2, "time", ["{\"zone\":", "\"UTC\"}"]) + Wire.completed(output)

  it.effect("are read alike, streamed and whole", () =>
    Effect.gen(function*() {
      const { client, layer, server } = yield* start
      server.onRequest((request, response) => {
        const streamed = request.body.includes("\"stream\":true")
        return Replay.reply({
          headers: { "content-type": streamed ? "text/event-stream" : "application/json" },
          body: streamed ? events : Wire.answer(output)
        })(request, response)
      })
      const provider = yield* P.pipe(Effect.provide(layer))
      const request = {
        model: "gpt-5-mini",
        prompt: Prompt.make("Hello?"),
        tools: [],
        toolChoice: "auto" as const,
        responseFormat: { type: "text" as const },
        settings: {}
      }
      const parts = yield* Stream.runCollect(provider.stream(request))
      const whole = yield* provider.whole(request)
      assert.deepStrictEqual(Part.toAnswer(parts), whole)
      const params = { model: "gpt-5-mini", input: "Hello?" }
      const theirs = yield* Effect.promise(() => client.responses.create(params))
      const final = yield* Effect.promise(() => client.responses.stream(params).finalResponse())
      for (const { output, output_text, usage } of [theirs, final]) {
        assert.strictEqual(Part.text(parts), output_text)
        const thought = output.flatMap((item) => item.type === "reasoning" ? item.summary.map(({ text }) => text) : [])
        assert.strictEqual(
          parts.filter((part) => part.type === "reasoning-delta").map(({ delta }) => delta).join(""),
          thought.join("")
        )
        const calls = output.flatMap((item) =>
          item.type === "function_call"
            ? [{ id: item.call_id, name: item.name, params: JSON.parse(item.arguments) as unknown }]
            : []
        )
        assert.strictEqual(calls.length, 1)
        assert.deepStrictEqual(
          parts.filter((part) => part.type === "tool-call").map(({ id, name, params }) => ({ id, name, params })),
          calls
        )
        const finish = parts.find((part) => part.type === "finish")
        assert.strictEqual(finish?.usage.inputTokens.total, usage?.input_tokens)
        assert.strictEqual(finish?.usage.outputTokens.total, usage?.output_tokens)
      }
    }))
})
