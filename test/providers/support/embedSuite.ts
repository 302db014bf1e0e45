/**
 * What every protocol does when it embeds over real sockets: it sends once, understands every refusal, follows no redirect, leaves
 * nothing open, and says nothing that is secret.
 */
import { assert, describe, it } from "@effect/vitest"
import { LlmError } from "effect-bulwark"
import { Embedding } from "effect-bulwark/providers"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Replay from "./replayServer.ts"
import { P } from "./request.ts"
import { commonPlants, keepsSecrets, prompt } from "./secretsSuite.ts"
import { clients } from "./socketSuite.ts"

/** The layer of the adapter under test. */
export type Adapter = (options: {
  readonly baseUrl: string
  readonly apiKey?: Redacted.Redacted<string>
  readonly apiKeyHeader?: string
  readonly headers?: { readonly [name: string]: Redacted.Redacted<string> }
  readonly query?: { readonly [name: string]: Redacted.Redacted<string> }
  readonly maxBodyBytes?: number
}) => Layer.Layer<P, never, HttpClient.HttpClient>

const model = Embedding.model(P, "model-x")

/** Declares the suite; `answer` is the body of an answer with these vectors. */
export const embeds = (
  adapter: Adapter,
  answer: (...vectors: ReadonlyArray<ReadonlyArray<number>>) => string
): void => {
  const over = (
    server: Replay.ReplayServer,
    options: { readonly maxBodyBytes?: number; readonly apiKey?: Redacted.Redacted<string> } = {},
    client: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer
  ) => Effect.provide(adapter({ baseUrl: server.url, ...options }).pipe(Layer.provide(client)), { local: true })

  const failure = (reply: Parameters<typeof Replay.reply>[0], options: { readonly maxBodyBytes?: number } = {}) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply(reply))
      const error = yield* Effect.flip(over(server, options)(Embedding.embed(model, "a")))
      assert.strictEqual(server.requests.length, 1)
      assert.strictEqual(error.provider, "p")
      assert.strictEqual(error.model, "model-x")
      return error
    })

  describe("failures", () => {
    const statuses: ReadonlyArray<readonly [number, LlmError.ProviderError["_tag"]]> = [
      [400, "InvalidRequest"],
      [401, "AuthenticationFailed"],
      [402, "QuotaExhausted"],
      [403, "PermissionDenied"],
      [408, "RequestTimeout"],
      [429, "RateLimited"],
      [500, "ServerError"],
      [502, "ServerError"],
      [503, "Overloaded"],
      [504, "RequestTimeout"],
      [529, "Overloaded"]
    ]
    for (const [status, tag] of statuses) {
      it.effect(`${status} is ${tag}`, () =>
        Effect.gen(function*() {
          for (const body of ["", "<html><title>no</title></html>", JSON.stringify({ error: { message: "no" } })]) {
            const error = yield* failure({ status, body })
            assert.strictEqual(error._tag, tag)
            assert.strictEqual(error.status, status)
          }
        }))
    }

    it.effect("say when to come again", () =>
      Effect.gen(function*() {
        const error = yield* failure({ status: 429, headers: { "retry-after": "7" }, body: "" })
        assert.strictEqual(Duration.toSeconds(error.retryAfter ?? 0), 7)
        assert.isTrue(LlmError.isTransient(error))
      }))

    it.effect("say what a text is too long for", () =>
      Effect.gen(function*() {
        const message = "This model's maximum context length is 8192 tokens, however you requested 9000 tokens."
        const error = yield* failure({ status: 400, body: JSON.stringify({ error: { message } }) })
        assert.strictEqual(error._tag, "ContextLengthExceeded")
      }))

    it.effect("come with a status of success, too", () =>
      Effect.gen(function*() {
        const error = yield* failure({ body: JSON.stringify({ error: { code: 429, message: "slow down" } }) })
        assert.strictEqual(error._tag, "RateLimited")
      }))

    const malformed: { readonly [what: string]: string } = {
      "nothing": "",
      "a web page": "<!doctype html><title>no</title>",
      "half an answer": answer([1, 2]).slice(0, -3),
      "a list": "[]",
      "an answer without vectors": "{}",
      "a vector of words": answer([1, 2]).replace("[1,2]", "[\"1\",\"2\"]"),
      "a vector that is none": answer([1, 2]).replace("[1,2]", "null"),
      "a number that is not finite": answer([1, 2]).replace("[1,2]", "[1e999,2]"),
      "an empty vector": answer([])
    }
    for (const [what, body] of Object.entries(malformed)) {
      it.effect(`${what} is malformed`, () =>
        Effect.map(failure({ body }), (error) => assert.strictEqual(error._tag, "MalformedResponse")))
    }

    it.effect("an answer that is larger than is allowed is malformed, and not read on", () =>
      Effect.gen(function*() {
        const error = yield* failure({ body: answer([1, 2]) }, { maxBodyBytes: 10 })
        assert.strictEqual(error._tag, "MalformedResponse")
        assert.include(error.message, "maxBodyBytes")
        assert.isFalse(LlmError.isTransient(error))
      }))

    it.effect("a broken connection is one", () =>
      Effect.gen(function*() {
        assert.strictEqual(
          (yield* failure({ body: answer([1, 2]).slice(0, 5), breaks: true }))._tag,
          "ConnectionFailed"
        )
      }))
  })

  for (const [name, client] of Object.entries(clients)) {
    describe(`connections, with ${name}`, () => {
      it.effect("bring the vector", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(Replay.reply({ body: answer([0.5, -0.25]), cuts: 3 }))
          assert.deepStrictEqual(yield* over(server, {}, client)(Embedding.embed(model, "a")), [0.5, -0.25])
        }))

      for (const [when, begun] of [["headers", false], ["body", true]] as const) {
        it.effect(`are closed by an interruption while the ${when} are awaited`, () =>
          Effect.gen(function*() {
            const server = yield* Replay.make
            server.onRequest((_, response) => {
              if (!begun) return
              response.writeHead(200)
              response.write("{")
            })
            yield* over(server, {}, client)(Effect.gen(function*() {
              const fiber = yield* Effect.forkChild(Embedding.embed(model, "a"), { startImmediately: true })
              yield* server.arrived(1)
              yield* Effect.repeat(Effect.yieldNow, { times: 20 })
              assert.strictEqual(server.open(), 1)
              yield* Fiber.interrupt(fiber)
              yield* server.allClosed
            }))
          }))
      }

      it.effect("are not redirected", () =>
        Effect.gen(function*() {
          const elsewhere = yield* Replay.make
          const server = yield* Replay.make
          for (const status of [301, 302, 307, 308]) {
            server.onRequest(Replay.reply({ status, headers: { location: elsewhere.url }, body: "" }))
            const error = yield* Effect.flip(
              over(server, { apiKey: Redacted.make("sk-secret") }, client)(Embedding.embed(model, "a"))
            )
            assert.strictEqual(error._tag, "InvalidRequest")
          }
          assert.strictEqual(elsewhere.requests.length, 0)
        }))
    })
  }

  keepsSecrets((options) => adapter(options), commonPlants, { runs: { embed: Embedding.embed(model, prompt) } })
}
