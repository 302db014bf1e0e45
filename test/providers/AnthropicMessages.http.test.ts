/**
 * What the Messages API does over real sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import { AnthropicMessages } from "effect-bulwark/providers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import { loopback, read, showsNoKey } from "./support/loopback.ts"
import * as Wire from "./support/messagesWire.ts"
import * as Replay from "./support/replayServer.ts"
import { P, request } from "./support/request.ts"
import { overSockets } from "./support/socketSuite.ts"

const isStreamed = ({ body }: Replay.Recorded): boolean => body.includes("\"stream\":true")

overSockets((options) => AnthropicMessages.layer(P, options), {
  path: "/messages",
  isStreamed,
  answer: Wire.textAnswer,
  stream: (...words) => Wire.streamOf(Wire.textBlock(0, ...words)),
  begun: Wire.begun,
  finished: (...words) => Wire.start() + Wire.textBlock(0, ...words) + Wire.ending(),
  error: Wire.error("api_error", "no")
})

const { failing, requestOf } = loopback(
  (options: AnthropicMessages.Options) => AnthropicMessages.layer(P, options),
  Wire.textAnswer("hi")
)

showsNoKey(AnthropicMessages.make, {
  keyHeader: ["x-api-key", ""],
  isStreamed,
  answer: Wire.textAnswer("hi"),
  stream: Wire.streamOf(Wire.textBlock(0, "hi"))
})

describe("requests", () => {
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
      yield* provider.whole(request({
        onResponse: (limits) =>
          seen.push(limits.map(({ limit, remaining, resource }) => `${resource} ${remaining}/${limit}`))
      }))
      assert.deepStrictEqual(seen.map((limits) => limits.toSorted()), [[
        "input-tokens 1000/undefined",
        "requests 49/50"
      ]])
    }))

  it.effect("the parameters of tool calls are read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const piece = { type: "input_json_delta", partial_json: "x".repeat(1000) }
      const body = Wire.start() + Wire.blockStart(0, { type: "tool_use", id: "t", name: "f", input: {} }) +
        Wire.delta(0, piece).repeat(200)
      const error = yield* failing({ body }, { maxBodyBytes: 100_000 }, read)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
    }))

  it.effect("an event is read up to `maxEventBytes`", () =>
    Effect.gen(function*() {
      const body = Wire.start() + `data: {"x":"${"x".repeat(5000)}`
      const error = yield* failing({ body, cuts: 500 }, { maxEventBytes: 1000 }, read)
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxEventBytes")
    }))
})

describe("waiting", () => {
  const refused = (status: number, headers: { readonly [name: string]: string }, type: string) =>
    failing({
      status,
      headers,
      body: JSON.stringify({ type: "error", error: { type, message: "no" }, request_id: "req_1" })
    })

  it.effect("is as long as `retry-after` says", () =>
    Effect.gen(function*() {
      const error = yield* refused(429, { "retry-after": "7" }, "rate_limit_error")
      assert.strictEqual(error._tag, "RateLimited")
      assert.strictEqual(error.code, "rate_limit_error")
      assert.strictEqual(error.requestId, "req_1")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
    }))

  it.effect("is as long as the exhausted limit takes, where nothing else is said", () =>
    Effect.gen(function*() {
      const error = yield* refused(429, {
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
        const error = yield* refused(status, {}, type)
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.status, status)
      }))
  }
})
