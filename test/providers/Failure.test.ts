import { assert, describe, it } from "@effect/vitest"
import { Failure } from "effect-bulwark/providers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"

const origin = { provider: "acme", model: "acme-1" }

describe("Failure", () => {
  it.effect("an error response is what it means, by code, status and words", () =>
    Effect.gen(function*() {
      const tagOf = (status: number, body: string) =>
        Effect.map(Effect.flip(Failure.fromResponse({ ...origin, status, body })), ({ _tag }) => _tag)
      assert.strictEqual(yield* tagOf(401, ""), "AuthenticationFailed")
      assert.strictEqual(yield* tagOf(429, "{}"), "RateLimited")
      assert.strictEqual(yield* tagOf(429, `{"error":{"code":"insufficient_quota"}}`), "QuotaExhausted")
      assert.strictEqual(yield* tagOf(500, "<html>"), "ServerError")
      assert.strictEqual(yield* tagOf(302, ""), "InvalidRequest")
      assert.strictEqual(yield* tagOf(200, "<html>"), "MalformedResponse")
    }))

  it.effect("a date to come again at counts from the clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-01-01T00:00:00Z"))
      const error = yield* Effect.flip(Failure.fromResponse({
        ...origin,
        status: 429,
        headers: { "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT" },
        body: ""
      }))
      assert.strictEqual(error._tag, "RateLimited")
      assert.deepStrictEqual("retryAfter" in error && error.retryAfter, Duration.seconds(7))
    }))

  it.effect("names of headers may be written in either case", () =>
    Effect.gen(function*() {
      const headers = { "Retry-After": "7", "X-Request-Id": "req-1", "X-Should-Retry": undefined }
      const error = yield* Effect.flip(Failure.fromResponse({ ...origin, status: 429, headers, body: "" }))
      assert(error._tag === "RateLimited")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(7))
      assert.strictEqual(error.requestId, "req-1")
    }))

  it.effect("an error inside an answer is an object that holds it, the error itself, or a text", () =>
    Effect.gen(function*() {
      for (
        const error of [
          { error: { type: "overloaded_error", message: "Overloaded" } },
          { type: "overloaded_error", message: "Overloaded" },
          "Overloaded"
        ]
      ) {
        assert.strictEqual((yield* Effect.flip(Failure.fromAnswer(origin, error)))._tag, "Overloaded")
      }
    }))

  it.effect("of a broken connection only the system's code is kept", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Failure.fromConnection(
        origin,
        new TypeError("fetch failed for key-0123456789", {
          cause: Object.assign(new Error("key-0123456789"), { code: "ECONNRESET" })
        })
      ))
      assert.strictEqual(error._tag, "ConnectionFailed")
      assert.strictEqual("code" in error && error.code, "ECONNRESET")
      assert.notInclude(inspect(error, { depth: 10, showHidden: true }), "0123456789")
    }))

  it.effect("secrets that a server echoes are in no field", () =>
    Effect.gen(function*() {
      const key = "key-0123456789abcdef"
      const secrets = [Redacted.make(key)]
      const body = JSON.stringify({ error: { message: `no such key: ${key}`, code: key } })
      for (
        const failing of [
          Failure.fromResponse({ ...origin, secrets, status: 401, headers: { "x-request-id": key }, body }),
          Failure.fromAnswer({ ...origin, secrets }, JSON.parse(body))
        ]
      ) {
        const error = yield* Effect.flip(failing)
        assert.notInclude(inspect(error, { depth: 10, showHidden: true }), key)
        const detail = "detail" in error && error.detail !== undefined ? Redacted.value(error.detail) : ""
        assert.include(detail, "no such key")
        assert.notInclude(detail, key)
      }
    }))
})
