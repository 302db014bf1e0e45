/**
 * What the Gemini API does over real sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import { Gemini } from "effect-bulwark/providers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Wire from "./support/geminiWire.ts"
import { ask, loopback, read, showsNoKey } from "./support/loopback.ts"
import * as Replay from "./support/replayServer.ts"
import { llm, P } from "./support/request.ts"
import { overSockets } from "./support/socketSuite.ts"

const isStreamed = ({ url }: Replay.Recorded): boolean => url.includes(":streamGenerateContent")

overSockets((options) => Gemini.layer(P, options), {
  path: "/models/model-x:generateContent",
  isStreamed,
  answer: Wire.textAnswer,
  stream: Wire.streamOf,
  begun: Wire.begun,
  finished: Wire.streamOf,
  error: Wire.event(Wire.error(500, "INTERNAL"))
})

const { failing, provide, requestOf } = loopback(
  (options: Gemini.Options) => Gemini.layer(P, options),
  Wire.textAnswer("hi")
)

showsNoKey(Gemini.make, {
  keyHeader: ["x-goog-api-key", ""],
  isStreamed,
  answer: Wire.textAnswer("hi"),
  stream: Wire.streamOf("hi")
})

describe("requests", () => {
  it.effect("carry the key in a header, and no trace", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({ apiKey: Redacted.make("AIza-1") })
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.url, "/models/model-x:generateContent")
      assert.strictEqual(request.headers["x-goog-api-key"], "AIza-1")
      assert.strictEqual(request.headers["content-type"], "application/json")
      assert.isUndefined(request.headers.authorization)
      assert.isUndefined(request.headers["traceparent"])
    }))

  it.effect("for streams go elsewhere, in the same words", () =>
    Effect.gen(function*() {
      const options = { apiKey: Redacted.make("AIza-1"), query: { more: "1", alt: "json" } }
      const streamed = yield* requestOf(options, read, Wire.streamOf("hi"))
      assert.strictEqual(streamed.url, "/models/model-x:streamGenerateContent?more=1&alt=sse")
      assert.strictEqual(streamed.headers["x-goog-api-key"], "AIza-1")
      assert.strictEqual(streamed.body, (yield* requestOf(options)).body)
    }))

  it.effect("go to Vertex AI", () =>
    Effect.gen(function*() {
      const request = yield* requestOf(
        {
          baseUrl: "/v1/projects/p/locations/l/publishers/google/",
          apiKey: Redacted.make("ya29.token"),
          apiKeyHeader: "Authorization",
          headers: { "x-more": Redacted.make("s-1") }
        },
        Llm.generateText(Llm.model(P, "my model/1"), { prompt: "Hello?" })
      )
      assert.strictEqual(
        request.url,
        "/v1/projects/p/locations/l/publishers/google/models/my%20model%2F1:generateContent"
      )
      assert.strictEqual(request.headers.authorization, "Bearer ya29.token")
      assert.isUndefined(request.headers["x-goog-api-key"])
      assert.strictEqual(request.headers["x-more"], "s-1")
    }))
})

describe("bounds", () => {
  it.effect("an event is read up to `maxEventBytes`", () =>
    Effect.gen(function*() {
      const error = yield* failing(
        { body: `data: {"x":"${"x".repeat(5000)}`, cuts: 500 },
        { maxEventBytes: 1000 },
        read
      )
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxEventBytes")
    }))

  it.effect("a list of chunks is read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const body = JSON.stringify([Wire.chunk([Wire.text("x".repeat(5000))]), Wire.finished([])])
      for (const mode of [ask, read]) {
        const error = yield* failing({ body, cuts: 500 }, { maxBodyBytes: 1000 }, mode)
        assert(error._tag === "MalformedResponse")
        assert.include(error.problem, "maxBodyBytes")
      }
    }))

  it.effect("the parameters of tool calls are read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const body = Wire.events(Wire.chunk([Wire.call("f", { x: "x".repeat(1000) })])).repeat(20)
      const error = yield* failing({ body }, { maxBodyBytes: 10_000 }, read)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
    }))

  it.effect("an event may hold a whole image", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const data = "AAAA".repeat(1_000_000)
      server.onRequest(Replay.reply({
        body: Wire.event(Wire.finished([{ inlineData: { mimeType: "image/png", data } }]))
      }))
      const files = yield* Llm.streamText(llm, { prompt: "Draw!" }).pipe(
        Stream.filter(({ type }) => type === "file"),
        Stream.runCollect,
        provide(server)
      )
      assert.strictEqual(files.length, 1)
    }))
})

describe("errors", () => {
  const info = (reason: string) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason })
  const quota = (quotaId: string) => ({
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    violations: [{ quotaMetric: "generativelanguage.googleapis.com/generate_requests", quotaId }]
  })
  const retryInfo = (retryDelay: string) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })

  const kinds: ReadonlyArray<readonly [tag: string, error: object]> = [
    ["InvalidRequest", Wire.error(400, "INVALID_ARGUMENT")],
    [
      "AuthenticationFailed",
      Wire.error(400, "INVALID_ARGUMENT", "API key not valid.", { details: [info("API_KEY_INVALID")] })
    ],
    ["AuthenticationFailed", Wire.error(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.")],
    ["AuthenticationFailed", Wire.error(401, "UNAUTHENTICATED")],
    ["PermissionDenied", Wire.error(400, "FAILED_PRECONDITION", "User location is not supported for the API use.")],
    ["QuotaExhausted", Wire.error(400, "FAILED_PRECONDITION", "Please enable billing on your project.")],
    ["QuotaExhausted", Wire.error(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.")],
    ["PermissionDenied", Wire.error(403, "PERMISSION_DENIED")],
    ["ModelNotFound", Wire.error(404, "NOT_FOUND", "models/x is not found for API version v1beta")],
    ["InvalidRequest", Wire.error(404, "NOT_FOUND", "Requested entity was not found.")],
    ["RateLimited", Wire.error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")],
    ["QuotaExhausted", Wire.error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", { details: [retryInfo("7200s")] })],
    ["Overloaded", Wire.error(429, "RESOURCE_EXHAUSTED", "no", { details: [info("MODEL_CAPACITY_EXHAUSTED")] })],
    ["ServerError", Wire.error(499, "CANCELLED")],
    ["ServerError", Wire.error(500, "INTERNAL")],
    ["Overloaded", Wire.error(503, "UNAVAILABLE")],
    ["RequestTimeout", Wire.error(504, "DEADLINE_EXCEEDED")],
    ["ServerError", Wire.error(599, "SOMETHING_NEW")],
    ["InvalidRequest", Wire.error(418, "SOMETHING_NEW")]
  ]
  for (const [index, [tag, error]] of kinds.entries()) {
    const { code, message, status } = (error as { readonly error: { readonly [field: string]: unknown } }).error
    it.effect(`${index}: ${String(code)} ${String(status)} is ${tag}: ${String(message)}`, () =>
      Effect.gen(function*() {
        for (const body of [error, [error]]) {
          for (const mode of [ask, read]) {
            const failure = yield* failing({ status: Number(code), body: JSON.stringify(body) }, {}, mode)
            assert.strictEqual(failure._tag, tag)
            assert.strictEqual(failure.status, code)
          }
        }
        // The same, in a response that had begun well.
        for (const body of [Wire.event(error), JSON.stringify([error])]) {
          assert.strictEqual((yield* failing({ body }, {}, read))._tag, tag)
        }
      }))
  }

  it.effect("that are no JSON are known by their status", () =>
    Effect.gen(function*() {
      for (const body of ["", "<html><title>Error 503</title></html>", "{\"error\":"]) {
        assert.strictEqual((yield* failing({ status: 503, body }))._tag, "Overloaded")
        assert.strictEqual((yield* failing({ status: 403, body }))._tag, "PermissionDenied")
      }
    }))

  it.effect("say how long to wait, and for what", () =>
    Effect.gen(function*() {
      const limited = (quotaId: string, ...details: ReadonlyArray<object>) =>
        failing({
          status: 429,
          body: JSON.stringify(
            Wire.error(
              429,
              "RESOURCE_EXHAUSTED",
              "You exceeded your current quota, please check your plan and billing details.",
              {
                details: [quota(quotaId), ...details]
              }
            )
          )
        })
      const minute = yield* limited("GenerateRequestsPerMinutePerProjectPerModel", retryInfo("34.4s"))
      assert(minute._tag === "RateLimited")
      assert.strictEqual(minute.scope, "requests")
      assert.strictEqual(minute.code, "RESOURCE_EXHAUSTED")
      assert.deepStrictEqual(minute.retryAfter, Duration.millis(34_400))
      // The delay of a daily quota is a minute's, and helps nobody.
      const day = yield* limited("GenerateRequestsPerDayPerProjectPerModel-FreeTier", retryInfo("34s"))
      assert.strictEqual(day._tag, "QuotaExhausted")
      assert.isUndefined(day.retryAfter)
    }))

  it.effect("quote the reason before the status, and the field that is wrong", () =>
    Effect.gen(function*() {
      const details = [
        info("API_KEY_SERVICE_BLOCKED"),
        {
          "@type": "type.googleapis.com/google.rpc.BadRequest",
          fieldViolations: [{ field: "generation_config.temperature", description: "no" }]
        }
      ]
      const denied = yield* failing({
        status: 403,
        body: JSON.stringify(Wire.error(403, "PERMISSION_DENIED", "no", { details }))
      })
      assert.strictEqual(denied.code, "API_KEY_SERVICE_BLOCKED")
      const invalid = yield* failing({
        status: 400,
        body: JSON.stringify(Wire.error(400, "INVALID_ARGUMENT", "no", { details: details.slice(1) }))
      })
      assert(invalid._tag === "InvalidRequest")
      assert.strictEqual(invalid.code, "INVALID_ARGUMENT")
      assert.strictEqual(invalid.parameter, "generation_config.temperature")
    }))
})
