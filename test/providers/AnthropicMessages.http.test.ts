/**
 * What the Messages API does over real sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import { AnthropicMessages } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import * as Wire from "./support/messagesWire.ts"
import * as Replay from "./support/replayServer.ts"
import { overSockets, P } from "./support/socketSuite.ts"

overSockets((options) => AnthropicMessages.layer(P, options), {
  path: "/messages",
  isStreamed: ({ body }) => body.includes("\"stream\":true"),
  answer: Wire.textAnswer,
  stream: (...words) => Wire.streamOf(Wire.textBlock(0, ...words)),
  begun: Wire.begun,
  finished: (...words) => Wire.start() + Wire.textBlock(0, ...words) + Wire.ending(),
  error: Wire.error("api_error", "no")
})

const llm = Llm.model(P, "model-x")

const ask = Llm.generateText(llm, { prompt: "Hello?" })

const provide = (server: Replay.ReplayServer, options: AnthropicMessages.Options = {}) =>
  Effect.provide(
    AnthropicMessages.layer(P, { baseUrl: server.url, ...options }).pipe(Layer.provide(FetchHttpClient.layer)),
    { local: true }
  )

describe("requests", () => {
  const requestOf = (options: AnthropicMessages.Options) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: Wire.textAnswer("hi") }))
      yield* ask.pipe(provide(server, options), Effect.withSpan("outer"))
      const [request] = server.requests
      assert(request !== undefined)
      return request
    })

  it.effect("carry the key, the version, and no trace", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({ apiKey: Redacted.make("sk-ant-1") })
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.url, "/messages")
      assert.strictEqual(request.headers["x-api-key"], "sk-ant-1")
      assert.strictEqual(request.headers["anthropic-version"], "2023-06-01")
      assert.strictEqual(request.headers["content-type"], "application/json")
      assert.isUndefined(request.headers["anthropic-beta"])
      assert.isUndefined(request.headers.authorization)
      assert.isUndefined(request.headers["traceparent"])
    }))

  it.effect("carry beta features, another version, and headers of one's own", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({
        apiKey: Redacted.make("token-1"),
        apiKeyHeader: "Authorization",
        version: "2024-01-01",
        betas: ["one-2025-01-01", "two-2025-02-02"],
        headers: { "x-more": Redacted.make("s-1"), "Anthropic-Version": "2025-01-01" },
        query: { region: "eu" }
      })
      assert.strictEqual(request.url, "/messages?region=eu")
      assert.strictEqual(request.headers.authorization, "Bearer token-1")
      assert.isUndefined(request.headers["x-api-key"])
      assert.strictEqual(request.headers["anthropic-beta"], "one-2025-01-01,two-2025-02-02")
      assert.strictEqual(request.headers["anthropic-version"], "2025-01-01")
      assert.strictEqual(request.headers["x-more"], "s-1")
    }))
})

describe("limits", () => {
  it.effect("are reported from the headers of every answer", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const seen: Array<ReadonlyArray<string>> = []
      server.onRequest(Replay.reply({
        headers: {
          "anthropic-ratelimit-requests-limit": "50",
          "anthropic-ratelimit-requests-remaining": "49",
          "anthropic-ratelimit-input-tokens-remaining": "1000"
        },
        body: Wire.textAnswer("hi")
      }))
      const provider = yield* AnthropicMessages.make("p", { baseUrl: server.url }).pipe(
        Effect.provide(FetchHttpClient.layer)
      )
      yield* provider.whole({
        model: "m",
        prompt: Prompt.make("Hello?"),
        tools: [],
        toolChoice: "none",
        responseFormat: { type: "text" },
        settings: {},
        onResponse: (limits) =>
          seen.push(limits.map(({ limit, remaining, resource }) => `${resource} ${remaining}/${limit}`))
      })
      assert.deepStrictEqual(seen.map((limits) => limits.toSorted()), [[
        "input-tokens 1000/undefined",
        "requests 49/50"
      ]])
    }))

  it.effect("the parameters of tool calls are read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const piece = { type: "input_json_delta", partial_json: "x".repeat(1000) }
      server.onRequest(Replay.reply({
        body: Wire.start() + Wire.blockStart(0, { type: "tool_use", id: "t", name: "f", input: {} }) +
          Wire.delta(0, piece).repeat(200)
      }))
      const error = yield* Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })).pipe(
        Effect.flip,
        provide(server, { maxBodyBytes: 100_000 })
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
    }))

  it.effect("an event is read up to `maxEventBytes`", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: Wire.start() + `data: {"x":"${"x".repeat(5000)}`, cuts: 500 }))
      const error = yield* Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })).pipe(
        Effect.flip,
        provide(server, { maxEventBytes: 1000 })
      )
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxEventBytes")
    }))
})

describe("waiting", () => {
  const failing = (status: number, headers: { readonly [name: string]: string }, type: string) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const body = JSON.stringify({ type: "error", error: { type, message: "no" }, request_id: "req_1" })
      server.onRequest(Replay.reply({ status, headers, body }))
      const error: LlmError.ProviderError = yield* ask.pipe(Effect.flip, provide(server))
      return { error, server }
    })

  it.effect("is as long as `retry-after` says", () =>
    Effect.gen(function*() {
      const { error } = yield* failing(429, { "retry-after": "7" }, "rate_limit_error")
      assert.strictEqual(error._tag, "RateLimited")
      assert.strictEqual(error.code, "rate_limit_error")
      assert.strictEqual(error.requestId, "req_1")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
    }))

  it.effect("is as long as the exhausted limit takes, where nothing else is said", () =>
    Effect.gen(function*() {
      const { error } = yield* failing(429, {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "1970-01-01T00:00:09Z"
      }, "rate_limit_error")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(9))
    }))

  for (
    const [status, type, tag] of [
      [401, "authentication_error", "AuthenticationFailed"],
      [402, "billing_error", "QuotaExhausted"],
      [403, "permission_error", "PermissionDenied"],
      [409, "conflict_error", "ServerError"],
      [413, "request_too_large", "InvalidRequest"],
      [500, "api_error", "ServerError"],
      [504, "timeout_error", "RequestTimeout"],
      [529, "overloaded_error", "Overloaded"],
      [418, "some_new_error", "InvalidRequest"],
      [599, "some_new_error", "ServerError"]
    ] as const
  ) {
    it.effect(`${status} ${type} is ${tag}`, () =>
      Effect.gen(function*() {
        const { error, server } = yield* failing(status, {}, type)
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.status, status)
        assert.strictEqual(server.requests.length, 1)
      }))
  }
})

describe("what is seen", () => {
  it.effect("of the provider and its spans has no key", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: Wire.textAnswer("hi") }))
      const key = "sk-ant-planted-1234567890"
      const provider = yield* AnthropicMessages.make("p", { baseUrl: server.url, apiKey: Redacted.make(key) }).pipe(
        Effect.provide(FetchHttpClient.layer)
      )
      yield* ask.pipe(
        Effect.provideService(P, provider),
        Effect.provideService(
          Tracer.Tracer,
          Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              spans.push(span)
              return span
            }
          })
        )
      )
      assert.strictEqual(server.requests[0]?.headers["x-api-key"], key)
      assert.notInclude(inspect(provider, { depth: 12, showHidden: true }), key)
      assert.isAbove(spans.length, 0)
      assert.notInclude(inspect(spans, { depth: 12, showHidden: true }), key)
    }))
})
