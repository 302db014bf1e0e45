import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { countTokens } from "../../src/testing/internal/tokens.ts"
import {
  attempt,
  breaks,
  collect,
  failing,
  rejection,
  story,
  Summary,
  summarySchema,
  WeatherParameters,
  weatherParameters,
  weatherQuestion
} from "./support/clients.ts"

// The client adds the version itself
const clientOf = (server: FaultServer.FaultServer, apiKey = "test-key") =>
  new Anthropic({ apiKey, baseURL: new URL(server.url).origin, maxRetries: 0, logLevel: "off" })

const user = (content: string) => ({ role: "user" as const, content })

const asking = { model: "m", max_tokens: 1000, messages: [user(story)] }

const raw = (client: Anthropic, parameters = asking) =>
  attempt(async () => (await client.messages.create({ ...parameters, stream: true }).asResponse()).text())

const namesIn = (body: string): ReadonlyArray<string> =>
  body.split("\n").flatMap((line) => line.startsWith("event: ") ? [line.slice("event: ".length)] : [])

const fails = failing(
  clientOf,
  (client, streamed) => streamed ? client.messages.stream(asking).finalMessage() : client.messages.create(asking)
)

const weather = { name: "get_weather", input_schema: weatherParameters }

describe("FaultServer and the official Anthropic client", () => {
  it.live("full answer, with its usage and limits", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "test-key" })
      const client = clientOf(server)
      const { data: answer, request_id, response } = yield* attempt(() =>
        client.messages.create({ ...asking, system: "Be brief." }).withResponse()
      )
      assert.deepInclude(answer, {
        type: "message",
        role: "assistant",
        model: "m",
        stop_reason: "end_turn",
        stop_sequence: null,
        stop_details: null
      })
      const [block] = answer.content
      assert(block?.type === "text")
      for (const sentence of block.text.split(/(?<=\.) /)) assert.include(story, sentence)
      assert.deepInclude(answer.usage, {
        input_tokens: countTokens(story) + countTokens("Be brief."),
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        output_tokens: countTokens(block.text)
      })
      assert.match(request_id ?? "", /^req_/)
      for (const bucket of ["requests", "tokens", "input-tokens", "output-tokens"]) {
        for (const what of ["limit", "remaining", "reset"]) {
          assert.isTrue(response.headers.has(`anthropic-ratelimit-${bucket}-${what}`))
        }
      }
      assert.isNull(response.headers.get("x-ratelimit-limit-requests"))
      const page = yield* attempt(() => client.models.list())
      assert.deepEqual(page.data.map((model) => model.id), ["m"])
      assert.deepInclude((yield* server.requests)[0], {
        dialect: "anthropic-messages",
        path: "/v1/messages",
        model: "m"
      })
      assert.notInclude(JSON.stringify(yield* server.requests), "test-key")
    }))

  it.live("a stream, event by event, and as the client's own accumulator reads it", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const full = yield* attempt(() => client.messages.create(asking))
      const names = namesIn(yield* raw(client)).filter((name, index, all) => name !== all[index - 1])
      assert.deepStrictEqual(names, [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop"
      ])
      const events = yield* attempt(async () => collect(await client.messages.create({ ...asking, stream: true })))
      const start = events[0]
      assert(start?.type === "message_start")
      assert.deepInclude(start.message.usage, { input_tokens: full.usage.input_tokens, output_tokens: 1 })
      const final = yield* attempt(() => client.messages.stream(asking).finalMessage())
      assert.deepStrictEqual(final.content, full.content)
      assert.deepInclude(final, { stop_reason: "end_turn", stop_details: null })
      assert.strictEqual(final.usage.output_tokens, full.usage.output_tokens)
      assert.strictEqual(final.usage.input_tokens, full.usage.input_tokens)
    }))

  it.live("tools: a call, full and streamed, then an answer that quotes the results", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const parameters = { ...asking, messages: [user(weatherQuestion)], tools: [weather] }
      const full = yield* attempt(() => client.messages.create(parameters))
      assert.strictEqual(full.stop_reason, "tool_use")
      const [call] = full.content
      assert(call?.type === "tool_use")
      assert.strictEqual(call.name, "get_weather")
      yield* Schema.decodeUnknownEffect(WeatherParameters)(call.input)

      const streamed = yield* attempt(() => client.messages.stream(parameters).finalMessage())
      assert.strictEqual(streamed.stop_reason, "tool_use")
      const [again] = streamed.content
      assert(again?.type === "tool_use")
      assert.deepStrictEqual(again.input, call.input)

      const other = { name: "other", input_schema: { type: "object" as const } }
      const forced = yield* attempt(() =>
        client.messages.create({
          ...parameters,
          tools: [weather, other],
          tool_choice: { type: "tool", name: "other" }
        })
      )
      assert.deepInclude(forced.content[0], { type: "tool_use", name: "other", input: {} })
      const none = yield* attempt(() => client.messages.create({ ...parameters, tool_choice: { type: "none" } }))
      assert.strictEqual(none.stop_reason, "end_turn")

      const answered = yield* attempt(() =>
        client.messages.create({
          ...parameters,
          messages: [
            user(weatherQuestion),
            { role: "assistant", content: full.content },
            { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "18 degrees and rain" }] }
          ]
        })
      )
      assert.deepInclude(answered.content[0], { text: "According to get_weather: \"18 degrees and rain\"." })
    }))

  it.live("a limit within a call cuts its parameters", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const parameters = { ...asking, max_tokens: 3, tools: [weather] }
      const full = yield* attempt(() => client.messages.create(parameters))
      assert.strictEqual(full.stop_reason, "max_tokens")
      assert.deepInclude(full.content[0], { type: "tool_use", input: {} })
      const deltas = (yield* raw(client, parameters)).match(/"partial_json":"[^"]/g) ?? []
      assert.isAtLeast(deltas.length, 1)
    }))

  it.live("json of a schema", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const answer = yield* attempt(() =>
        client.messages.create({
          ...asking,
          output_config: { format: { type: "json_schema", schema: summarySchema } }
        })
      )
      const [block] = answer.content
      assert(block?.type === "text")
      const summary = yield* Schema.decodeEffect(Schema.fromJsonString(Summary))(block.text)
      assert.include(story, summary.keyPoints[0] ?? "?")
    }))

  it.live("limits, stop sequences, and an answer without a word", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { m: "One two three, four five six." } })
      const client = clientOf(server)
      const short = yield* attempt(() => client.messages.create({ ...asking, max_tokens: 3 }))
      assert.deepStrictEqual([short.stop_reason, short.usage.output_tokens], ["max_tokens", 3])
      const stopping = { ...asking, stop_sequences: ["zebra", ","] }
      for (
        const stopped of [
          yield* attempt(() => client.messages.create(stopping)),
          yield* attempt(() => client.messages.stream(stopping).finalMessage())
        ]
      ) {
        assert.deepInclude(stopped.content[0], { text: "One two three" })
        assert.deepInclude(stopped, { stop_reason: "stop_sequence", stop_sequence: "," })
      }
      const nothing = { ...asking, stop_sequences: ["One"] }
      assert.deepStrictEqual((yield* attempt(() => client.messages.create(nothing))).content, [])
      assert.deepStrictEqual((yield* attempt(() => client.messages.stream(nothing).finalMessage())).content, [])
    }))

  it.live("a model that refuses says so in its stop reason", () =>
    Effect.gen(function*() {
      const refusal = FaultServer.forever(FaultServer.finish("content_filter"))
      const client = clientOf(yield* FaultServer.make({ script: { m: [refusal] } }))
      for (
        const message of [
          yield* attempt(() => client.messages.create(asking)),
          yield* attempt(() => client.messages.stream(asking).finalMessage())
        ]
      ) {
        assert.strictEqual(message.stop_reason, "refusal")
        assert.deepInclude(message.stop_details, { type: "refusal" })
      }
    }))

  it.live("words of the assistant at the end", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({
        answers: { m: "One two three.", strict: "One two three." },
        prefill: { m: "continue", strict: "reject" }
      })
      const client = clientOf(server)
      const messages = [user("Count!"), { role: "assistant" as const, content: "One two" }]
      const answer = yield* attempt(() => client.messages.create({ ...asking, messages }))
      assert.deepInclude(answer.content[0], { text: " three." })
      const refused = yield* rejection(() => client.messages.create({ ...asking, model: "strict", messages }))
      assert(refused instanceof Anthropic.BadRequestError)
      assert.include(refused.message, "does not support assistant message prefill")
    }))

  it.live("refusals become the client's own errors", () =>
    Effect.gen(function*() {
      const limited = yield* fails(FaultServer.rateLimited({ retryAfter: "1500 millis" }))
      assert(limited instanceof Anthropic.RateLimitError)
      assert.strictEqual(limited.type, "rate_limit_error")
      assert.match(limited.requestID ?? "", /^req_/)
      assert.strictEqual(limited.headers.get("retry-after"), "2")
      assert.strictEqual(limited.headers.get("anthropic-ratelimit-requests-remaining"), "0")
      const full = yield* fails(FaultServer.overloaded, true)
      assert(full instanceof Anthropic.OverloadedError)
      assert.deepStrictEqual([full.status, full.type], [529, "overloaded_error"])
      const long = yield* fails(FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }))
      assert(long instanceof Anthropic.BadRequestError)
      assert.strictEqual(long.apiMessage, "prompt is too long: 20 tokens > 10 maximum")
      const poor = yield* fails(FaultServer.insufficientQuota, true)
      assert(poor instanceof Anthropic.BadRequestError)
      assert.include(poor.apiMessage, "credit balance is too low")
      assert.instanceOf(yield* fails(FaultServer.contentFiltered), Anthropic.BadRequestError)
      assert.instanceOf(yield* fails(FaultServer.status(402)), Anthropic.PaymentRequiredError)
      assert.instanceOf(yield* fails(FaultServer.status(403)), Anthropic.PermissionDeniedError)
      assert.instanceOf(yield* fails(FaultServer.status(500)), Anthropic.InternalServerError)
      assert.instanceOf(yield* fails(FaultServer.status(504)), Anthropic.GatewayTimeoutError)
      const own = yield* fails(FaultServer.status(429, { message: "Enough.", code: "enforced_spend_limit_reached" }))
      assert(own instanceof Anthropic.RateLimitError)
      assert.deepStrictEqual([own.apiMessage, own.errorCode], ["Enough.", "enforced_spend_limit_reached"])
    }))

  it.live("keys, models and requests that are not right", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "right", models: ["m"], maxBodyBytes: 4000 })
      const client = clientOf(server, "right")
      const wrong = yield* rejection(() => clientOf(server, "wrong").messages.create(asking))
      assert(wrong instanceof Anthropic.AuthenticationError)
      assert.strictEqual(wrong.type, "authentication_error")
      const bearer = new Anthropic({ apiKey: null, authToken: "right", baseURL: server.url, maxRetries: 0 })
      assert.strictEqual((yield* attempt(() => bearer.messages.create(asking))).stop_reason, "end_turn")
      const unknown = yield* rejection(() => client.messages.create({ ...asking, model: "other" }))
      assert(unknown instanceof Anthropic.NotFoundError)
      assert.strictEqual(unknown.apiMessage, "model: other")
      const large = yield* rejection(() => client.messages.create({ ...asking, messages: [user("x".repeat(5000))] }))
      assert(large instanceof Anthropic.ContentTooLargeError)
      assert.strictEqual(large.type, "request_too_large")
      const astray = yield* rejection(() => client.get("/v1/nowhere"))
      assert(astray instanceof Anthropic.NotFoundError)
      assert.strictEqual(astray.type, "not_found_error")

      const { max_tokens, messages, model } = asking
      const cases: ReadonlyArray<readonly [body: object, message: string]> = [
        [{ max_tokens, messages }, "model: Field required"],
        [{ model, messages }, "max_tokens: Field required"],
        [{ model, max_tokens }, "messages: Field required"],
        [{ ...asking, max_tokens: 0 }, "max_tokens: must be greater than or equal to 1"],
        [{ ...asking, max_tokens: "many" }, "max_tokens: Input should be a valid integer"],
        [{ ...asking, messages: [] }, "messages: at least one message is required"],
        [{ ...asking, messages: [{ role: "user" }] }, "messages.0.content: Field required"],
        [
          { ...asking, messages: [{ role: "robot", content: "" }] },
          "messages.0.role: Input should be 'user' or 'assistant'"
        ],
        [
          { ...asking, messages: [{ role: "user", content: [{ type: "text", text: "" }] }] },
          "messages: text content blocks must be non-empty"
        ],
        [{ ...asking, stream: "yes" }, "stream: Input should be a valid boolean"],
        [{ ...asking, tools: [{ name: "f" }] }, "tools.0.input_schema: Field required"],
        [
          { ...asking, tools: [weather], tool_choice: { type: "tool", name: "g" } },
          "Tool 'g' not found in provided tools"
        ]
      ]
      for (const [body, message] of cases) {
        const error = yield* rejection(() => client.post("/v1/messages", { body }))
        assert(error instanceof Anthropic.BadRequestError)
        assert.deepStrictEqual([error.type, error.apiMessage], ["invalid_request_error", message])
      }
      const system = yield* rejection(() =>
        client.post("/v1/messages", { body: { ...asking, messages: [{ role: "system", content: "Be brief." }] } })
      )
      assert(system instanceof Anthropic.BadRequestError)
      assert.include(system.message, "Unexpected role")
      const unversioned = yield* attempt(() =>
        fetch(`${server.url}/messages`, {
          method: "POST",
          headers: { "x-api-key": "right" },
          body: JSON.stringify(asking)
        }).then((response) => response.text())
      )
      assert.include(unversioned, "anthropic-version: header is required")
    }))

  it.live("an error inside the stream breaks it, with what it is about", () =>
    Effect.gen(function*() {
      const error = yield* fails(FaultServer.errorEventAfter(2, { reason: "overloaded" }), true)
      assert(error instanceof Anthropic.APIError)
      assert.deepStrictEqual([error.status, error.type, error.apiMessage], [
        undefined,
        "overloaded_error",
        "Overloaded"
      ])
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.errorEventAfter(2)] } })
      const names = namesIn(yield* raw(clientOf(server)))
      assert.deepStrictEqual(names.slice(-3), ["content_block_delta", "content_block_delta", "error"])
    }))

  it.live("what breaks on the way breaks the call", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* fails(FaultServer.resetConnection), Anthropic.APIConnectionError)
      assert.instanceOf(yield* fails(FaultServer.resetConnection, true), Anthropic.APIConnectionError)
      for (const [fault, streamed] of [...breaks, [FaultServer.truncatedJson, true]] as const) {
        assert.instanceOf(yield* fails(fault, streamed), Error)
      }
    }))

  it.live("ends that are missing are missing: the client takes the answer as it is", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.omitFinish, FaultServer.omitDone] } })
      assert.deepStrictEqual(namesIn(yield* raw(clientOf(server))).slice(-1), ["content_block_stop"])
      assert.deepStrictEqual(namesIn(yield* raw(clientOf(server))).slice(-1), ["message_delta"])
    }))
})
