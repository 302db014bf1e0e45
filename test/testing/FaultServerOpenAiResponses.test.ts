import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import OpenAI from "openai"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { countTokens } from "../../src/testing/internal/tokens.ts"
import {
  attempt,
  breaks,
  collect,
  failing,
  openAiOf,
  rejection,
  story,
  Summary,
  summarySchema,
  WeatherParameters,
  weatherParameters,
  weatherQuestion
} from "./support/clients.ts"

const asking = { model: "m", input: story }

const eventsOf = (client: OpenAI, parameters: Partial<OpenAI.Responses.ResponseCreateParamsStreaming> = {}) =>
  attempt(async () => collect(await client.responses.create({ ...asking, ...parameters, stream: true })))

const fails = failing(
  openAiOf,
  async (client, streamed) =>
    streamed ? collect(await client.responses.create({ ...asking, stream: true })) : client.responses.create(asking)
)

const weather = {
  type: "function" as const,
  name: "get_weather",
  parameters: weatherParameters,
  strict: true
}

const Arguments = Schema.fromJsonString(WeatherParameters)

describe("FaultServer and the official openai client's responses", () => {
  it.live("full answer, with its usage and what was asked", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "test-key" })
      const answer = yield* attempt(() =>
        openAiOf(server).responses.create({ ...asking, instructions: "Be brief.", temperature: 0.5 })
      )
      assert.deepInclude(answer, {
        object: "response",
        status: "completed",
        error: null,
        incomplete_details: null,
        instructions: "Be brief.",
        temperature: 0.5,
        model: "m"
      })
      for (const sentence of answer.output_text.split(/(?<=\.) /)) assert.include(story, sentence)
      const input = countTokens(story) + countTokens("Be brief.")
      const output = countTokens(answer.output_text)
      assert.deepStrictEqual(answer.usage, {
        input_tokens: input,
        input_tokens_details: { cache_write_tokens: 0, cached_tokens: 0 },
        output_tokens: output,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: input + output
      })
      assert.match(answer._request_id ?? "", /^req_/)
      assert.deepInclude((yield* server.requests)[0], {
        dialect: "openai-responses",
        path: "/v1/responses",
        model: "m"
      })
    }))

  it.live("every event of a stream is numbered, and the last has the whole answer", () =>
    Effect.gen(function*() {
      const client = openAiOf(yield* FaultServer.make())
      const full = yield* attempt(() => client.responses.create(asking))
      const events = yield* eventsOf(client)
      assert.deepStrictEqual(events.map((event) => event.sequence_number), events.map((_, index) => index))
      const types = events.map((event) => event.type).filter((type, index, all) => type !== all[index - 1])
      assert.deepStrictEqual(types, [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed"
      ])
      const text = events.flatMap((event) => event.type === "response.output_text.delta" ? [event.delta] : [])
      assert.isAbove(text.length, 10)
      assert.strictEqual(text.join(""), full.output_text)
      const last = events.at(-1)
      assert(last?.type === "response.completed")
      assert.deepStrictEqual(last.response.usage, full.usage)
      // The client's own accumulator accepts them too
      const final = yield* attempt(() => client.responses.stream(asking).finalResponse())
      assert.deepInclude(final, { status: "completed", output_text: full.output_text })
    }))

  it.live("tools: a call, full and streamed, then an answer that quotes the results", () =>
    Effect.gen(function*() {
      const client = openAiOf(yield* FaultServer.make())
      const parameters = { model: "m", input: weatherQuestion, tools: [weather] }
      const full = yield* attempt(() => client.responses.create(parameters))
      const call = full.output[0]
      assert(call?.type === "function_call")
      assert.deepInclude(call, { name: "get_weather", status: "completed" })
      yield* Schema.decodeEffect(Arguments)(call.arguments)

      const streamed = yield* attempt(() => client.responses.stream(parameters).finalResponse())
      const again = streamed.output[0]
      assert(again?.type === "function_call")
      assert.strictEqual(again.arguments, call.arguments)

      const other = { ...weather, name: "other", parameters: { type: "object", properties: {} } }
      const forced = yield* attempt(() =>
        client.responses.create({
          ...parameters,
          tools: [weather, other],
          tool_choice: { type: "function", name: "other" }
        })
      )
      assert.deepInclude(forced.output[0], { type: "function_call", name: "other", arguments: "{}" })
      const none = yield* attempt(() => client.responses.create({ ...parameters, tool_choice: "none" }))
      assert.strictEqual(none.output[0]?.type, "message")

      const answered = yield* attempt(() =>
        client.responses.create({
          ...parameters,
          input: [
            { role: "user", content: weatherQuestion },
            call,
            { type: "function_call_output", call_id: call.call_id, output: "18 degrees and rain" }
          ]
        })
      )
      assert.include(answered.output_text, "get_weather: \"18 degrees and rain\"")
    }))

  it.live("json schema and json object", () =>
    Effect.gen(function*() {
      const client = openAiOf(yield* FaultServer.make())
      const parameters = {
        ...asking,
        text: { format: { type: "json_schema" as const, name: "summary", strict: true, schema: summarySchema } }
      }
      const answer = yield* attempt(() => client.responses.parse(parameters))
      const summary = yield* Schema.decodeUnknownEffect(Summary)(answer.output_parsed)
      assert.include(story, summary.keyPoints[0] ?? "?")
      const streamed = yield* attempt(() => client.responses.stream(parameters).finalResponse())
      assert.strictEqual(streamed.output_text, answer.output_text)
      const object = yield* attempt(() =>
        client.responses.create({ ...asking, text: { format: { type: "json_object" } } })
      )
      assert.isObject(JSON.parse(object.output_text))
    }))

  it.live("an answer that is cut by the limit, or by a filter, is incomplete", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const short = yield* attempt(() => client.responses.create({ ...asking, max_output_tokens: 16 }))
      assert.deepInclude(short, { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })
      assert.strictEqual(short.usage?.output_tokens, 16)
      const streamed = yield* eventsOf(client, { max_output_tokens: 16 })
      assert.strictEqual(streamed.at(-1)?.type, "response.incomplete")
      yield* server.script("*", [FaultServer.finish("content_filter")])
      const filtered = yield* attempt(() => client.responses.create(asking))
      assert.deepInclude(filtered, { status: "incomplete", incomplete_details: { reason: "content_filter" } })
      const low = yield* rejection(() => client.responses.create({ ...asking, max_output_tokens: 5 }))
      assert(low instanceof OpenAI.BadRequestError)
      assert.deepStrictEqual([low.code, low.param], ["integer_below_min_value", "max_output_tokens"])
    }))

  it.live("refusals become the client's own errors", () =>
    Effect.gen(function*() {
      const limited = yield* fails(FaultServer.rateLimited({ retryAfter: "3 seconds" }))
      assert(limited instanceof OpenAI.RateLimitError)
      assert.strictEqual(limited.headers.get("retry-after"), "3")
      const long = yield* fails(FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }), true)
      assert(long instanceof OpenAI.BadRequestError)
      assert.deepStrictEqual([long.code, long.param], ["context_length_exceeded", "input"])
      const filtered = yield* fails(FaultServer.contentFiltered)
      assert(filtered instanceof OpenAI.BadRequestError)
      assert.strictEqual(filtered.code, "invalid_prompt")
      const quota = yield* fails(FaultServer.insufficientQuota, true)
      assert(quota instanceof OpenAI.RateLimitError)
      assert.strictEqual(quota.type, "insufficient_quota")
      assert.instanceOf(yield* fails(FaultServer.overloaded, true), OpenAI.InternalServerError)
      const server = yield* FaultServer.make({ apiKey: "right", models: ["m"] })
      const wrong = yield* rejection(() => openAiOf(server, "wrong").responses.create(asking))
      assert.instanceOf(wrong, OpenAI.AuthenticationError)
      const unknown = yield* rejection(() => openAiOf(server, "right").responses.create({ ...asking, model: "other" }))
      assert(unknown instanceof OpenAI.BadRequestError)
      assert.deepStrictEqual([unknown.code, unknown.param], ["model_not_found", "model"])
    }))

  it.live("requests that are not valid", () =>
    Effect.gen(function*() {
      const client = openAiOf(yield* FaultServer.make())
      const cases: ReadonlyArray<readonly [OpenAI.Responses.ResponseCreateParamsNonStreaming, string]> = [
        [{ input: "hi" }, "model"],
        [{ model: "m" }, "input"],
        [{ model: "m", input: [] }, "input"],
        [{ model: "m", input: [{ role: "user", content: 5 as unknown as string }] }, "input[0].content"],
        [{ model: "m", input: [{ role: "robot" as "user", content: "" }] }, "input[0].role"],
        [{ ...asking, tools: [weather], tool_choice: { type: "function", name: "other" } }, "tool_choice"],
        [{ ...asking, previous_response_id: "resp_1" }, "previous_response_id"],
        [{ ...asking, text: { format: { type: "xml" as "text" } } }, "text.format.type"]
      ]
      for (const [parameters, param] of cases) {
        const error = yield* rejection(() => client.responses.create(parameters))
        assert(error instanceof OpenAI.BadRequestError)
        assert.strictEqual(error.param, param)
      }
    }))

  it.live("an error inside the stream breaks it, with what it is about", () =>
    Effect.gen(function*() {
      const error = yield* fails(
        FaultServer.errorEventAfter(2, { reason: "rateLimited", retryAfter: 11_054 }),
        true
      )
      assert(error instanceof OpenAI.APIError)
      assert.deepStrictEqual([error.status, error.code], [undefined, "rate_limit_exceeded"])
      assert.include(error.message, "Please try again in 11054ms")
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.forever(FaultServer.errorEventAfter(2))] } })
      const failed = yield* attempt(() => openAiOf(server).responses.create(asking))
      assert.strictEqual(failed.status, "failed")
      assert.strictEqual(failed.error?.code, "server_error")
      const raw = yield* attempt(async () => {
        const response = await openAiOf(server).responses.create({ ...asking, stream: true }).asResponse()
        return response.text()
      })
      const names = raw.split("\n").filter((line) => line.startsWith("event: "))
      assert.deepStrictEqual(names.slice(-2), ["event: error", "event: response.failed"])
    }))

  it.live("what breaks on the way breaks the call", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* fails(FaultServer.resetConnection), OpenAI.APIConnectionError)
      assert.instanceOf(yield* fails(FaultServer.resetConnection, true), OpenAI.APIConnectionError)
      for (const [fault, streamed] of breaks) assert.instanceOf(yield* fails(fault, streamed), Error)
      // A stream without its last event ends like any other, and nothing says that it is not whole but what is missing
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.omitFinish] } })
      const events = yield* eventsOf(openAiOf(server))
      assert.strictEqual(events.at(-1)?.type, "response.output_item.done")
    }))
})
