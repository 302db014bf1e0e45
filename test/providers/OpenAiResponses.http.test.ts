/**
 * What the Responses API does over real sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Call, Llm, LlmError } from "effect-bulwark"
import { OpenAiResponses } from "effect-bulwark/providers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { ask, loopback, read, showsNoKey } from "./support/loopback.ts"
import * as Replay from "./support/replayServer.ts"
import { llm, P, request } from "./support/request.ts"
import * as Wire from "./support/responsesWire.ts"
import { overSockets } from "./support/socketSuite.ts"

const isStreamed = ({ body }: Replay.Recorded): boolean => body.includes("\"stream\":true")

overSockets((options) => OpenAiResponses.layer(P, options), {
  path: "/responses",
  isStreamed,
  answer: Wire.textAnswer,
  stream: Wire.streamOf,
  begun: Wire.begun,
  finished: Wire.streamOf,
  error: Wire.error("server_error")
})

const { failing, provide, requestOf } = loopback(
  (options: OpenAiResponses.Options) => OpenAiResponses.layer(P, options),
  Wire.textAnswer("hi")
)

showsNoKey(OpenAiResponses.make, {
  keyHeader: ["authorization", "Bearer "],
  isStreamed,
  answer: Wire.textAnswer("hi"),
  stream: Wire.streamOf("hi")
})

describe("requests", () => {
  it.effect("carry the key as a bearer token, and no trace", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({ baseUrl: "/v1/", apiKey: Redacted.make("sk-1") })
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.url, "/v1/responses")
      assert.strictEqual(request.headers.authorization, "Bearer sk-1")
      assert.strictEqual(request.headers["content-type"], "application/json")
      assert.isUndefined(request.headers["traceparent"])
    }))

  it.effect("go to Azure", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({
        baseUrl: "/openai/v1",
        apiKey: Redacted.make("azure-1"),
        apiKeyHeader: "api-key",
        query: { "api-version": "preview" }
      }, Llm.generateText(Llm.model(P, "my-deployment"), { prompt: "Hello?" }))
      assert.strictEqual(request.url, "/openai/v1/responses?api-version=preview")
      assert.strictEqual(request.headers["api-key"], "azure-1")
      assert.isUndefined(request.headers.authorization)
      assert.strictEqual((JSON.parse(request.body) as { readonly model: string }).model, "my-deployment")
    }))

  it.effect("carry the organisation, the project and other headers", () =>
    Effect.gen(function*() {
      const { headers } = yield* requestOf({
        organization: "org-1",
        project: "proj-1",
        headers: { "x-secret": Redacted.make("s-1"), "OpenAI-Beta": "x" }
      })
      assert.strictEqual(headers["openai-organization"], "org-1")
      assert.strictEqual(headers["openai-project"], "proj-1")
      assert.strictEqual(headers["x-secret"], "s-1")
      assert.strictEqual(headers["openai-beta"], "x")
    }))

  it.effect("report what the headers say of limits", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({
        headers: { "x-ratelimit-limit-requests": "50", "x-ratelimit-remaining-requests": "49" },
        body: Wire.textAnswer("hi")
      }))
      const provider = yield* OpenAiResponses.make("p", { baseUrl: server.url }).pipe(
        Effect.provide(FetchHttpClient.layer)
      )
      const seen: Array<Call.RateLimit> = []
      yield* provider.whole(request({ onResponse: (limits) => void seen.push(...limits) }))
      assert.deepStrictEqual(seen.map(({ limit, remaining, resource }) => [resource, limit, remaining]), [
        ["requests", 50, 49]
      ])
    }))
})

describe("bounds", () => {
  it.effect("an event is read up to `maxEventBytes`", () =>
    Effect.gen(function*() {
      const error = yield* failing(
        { body: Wire.created() + `data: {"x":"${"x".repeat(5000)}`, cuts: 500 },
        { maxEventBytes: 1000 },
        read
      )
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxEventBytes")
      assert.isFalse(LlmError.isTransient(error))
    }))

  it.effect("the last event may repeat an answer longer than other protocols' events", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const text = "word ".repeat(400_000)
      server.onRequest(Replay.reply({ body: Wire.streamOf(text), cuts: 65_536 }))
      const said = yield* Stream.runFold(
        Llm.textDeltas(Llm.streamText(llm, { prompt: "Hello?" })),
        () => 0,
        (length, delta) => length + delta.length
      ).pipe(provide(server))
      assert.strictEqual(said, text.length)
    }))

  const kept: { readonly [what: string]: string } = {
    "the parameters of tool calls": Wire.added(0, Wire.call("f", "")) +
      Wire.event({ type: "response.function_call_arguments.delta", output_index: 0, delta: "x".repeat(1000) })
        .repeat(20),
    "parameters that are said anew": Wire.added(0, Wire.call("f", "")) +
      ["x", "y"].map((sign) =>
        Wire.event({ type: "response.function_call_arguments.done", output_index: 0, arguments: sign.repeat(6000) })
      ).join(""),
    "annotations": Wire.growing(0, "one") +
      Wire.event({
        type: "response.output_text.annotation.added",
        output_index: 0,
        content_index: 0,
        annotation: { type: "file_path", file_id: "x".repeat(1000) }
      }).repeat(20),
    "encrypted thoughts": Wire.growing(0, "one") +
      Wire.done(1, Wire.reasoning([], { encrypted_content: "x".repeat(12_000) }))
  }
  for (const [what, body] of Object.entries(kept)) {
    it.effect(`${what} are kept up to \`maxBodyBytes\``, () =>
      Effect.gen(function*() {
        const error = yield* failing({ body: Wire.created() + body }, { maxBodyBytes: 10_000 }, read)
        const failure = error._tag === "StreamInterrupted" ? error.failure : error
        assert(failure?._tag === "MalformedResponse")
        assert.include(failure.problem, "maxBodyBytes")
      }))
  }

  it.effect("what is kept counts in the last event too", () =>
    Effect.gen(function*() {
      const body = Wire.created() + Wire.completed([Wire.call("f", JSON.stringify({ x: "x".repeat(12_000) }))])
      const error = yield* failing({ body }, { maxBodyBytes: 10_000 }, read)
      assert.strictEqual(error._tag, "MalformedResponse")
    }))
})

describe("errors", () => {
  const body = (code: string | null, message = "no", param: string | null = null) =>
    JSON.stringify({ error: { message, type: "invalid_request_error", param, code } })

  const kinds: ReadonlyArray<readonly [status: number, code: string | null, tag: string, message?: string]> = [
    [400, "model_not_found", "ModelNotFound", "The requested model 'x' does not exist."],
    [400, "context_length_exceeded", "ContextLengthExceeded"],
    [400, null, "ContextLengthExceeded", "Your input exceeds the context window of this model."],
    [400, "previous_response_not_found", "InvalidRequest"],
    [404, "previous_response_not_found", "InvalidRequest"],
    [404, null, "InvalidRequest", "Previous response with id 'resp_1' not found."],
    [
      404,
      null,
      "InvalidRequest",
      "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."
    ],
    [400, "invalid_encrypted_content", "InvalidRequest"],
    [400, null, "InvalidRequest", "Item 'rs_1' of type 'reasoning' was provided without its required following item."],
    [400, "image_content_policy_violation", "ContentFiltered"],
    [400, "unsupported_image_media_type", "InvalidRequest"],
    [401, "invalid_api_key", "AuthenticationFailed"],
    [403, "unsupported_country_region_territory", "PermissionDenied"],
    [429, "insufficient_quota", "QuotaExhausted"],
    [429, "rate_limit_exceeded", "RateLimited"],
    [500, "server_error", "ServerError"],
    [503, "server_is_overloaded", "Overloaded"]
  ]
  for (const [status, code, tag, message] of kinds) {
    it.effect(`${status} ${code ?? message} is ${tag}`, () =>
      Effect.gen(function*() {
        for (const mode of [ask, read]) {
          const error = yield* failing({ status, body: body(code, message) }, {}, mode)
          assert.strictEqual(error._tag, tag)
          assert.strictEqual(error.status, status)
          if (code !== null) assert.strictEqual(error.code, code)
        }
      }))
  }

  it.effect("say which field is wrong, and who is asked about it", () =>
    Effect.gen(function*() {
      const error = yield* failing({
        status: 400,
        headers: { "x-request-id": "req_1" },
        body: body(
          "previous_response_not_found",
          "Previous response with id 'resp_1' not found.",
          "previous_response_id"
        )
      })
      assert(error._tag === "InvalidRequest")
      assert.strictEqual(error.parameter, "previous_response_id")
      assert.strictEqual(error.requestId, "req_1")
      assert.notInclude(error.message, "resp_1")
    }))

  it.effect("say how long to wait", () =>
    Effect.gen(function*() {
      const error = yield* failing({
        status: 429,
        headers: { "retry-after": "7" },
        body: body("rate_limit_exceeded")
      })
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
    }))
})
