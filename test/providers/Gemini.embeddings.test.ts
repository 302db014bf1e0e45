/**
 * Embeddings of the Gemini API, over loopback: what is sent, as the official client sends it, and what is understood.
 */
import { assert, describe, it } from "@effect/vitest"
import { GoogleGenAI } from "@google/genai"
import { Embedding, Gemini } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { embeds } from "./support/embedSuite.ts"
import * as Replay from "./support/replayServer.ts"
import { P } from "./support/request.ts"

const batch = (...vectors: ReadonlyArray<unknown>): string =>
  JSON.stringify({ embeddings: vectors.map((values) => ({ values })) })

const single = (values: unknown): string => JSON.stringify({ embedding: { values } })

embeds((options) => Gemini.layer(P, options), batch)

describe("one at a time", () => {
  embeds((options) => Gemini.layer(P, { ...options, embeddings: "single" }), (vector) => single(vector))
})

const asked = Effect.fnUntraced(function*<A, E>(
  run: Effect.Effect<A, E, P>,
  body: (request: Replay.Recorded) => string,
  options: Gemini.Options = {}
) {
  const server = yield* Replay.make
  server.onRequest((request, response) => Replay.reply({ body: body(request) })(request, response))
  const result = yield* run.pipe(Effect.provide(
    Gemini.layer(P, { ...options, baseUrl: server.url + (options.baseUrl ?? "/v1beta") }).pipe(
      Layer.provide(FetchHttpClient.layer)
    )
  ))
  return { result, requests: server.requests }
})

const sent = ({ body }: Replay.Recorded): unknown => JSON.parse(body)

describe("requests", () => {
  const texts = ["Why is the sky blue?", "Because of Rayleigh scattering."]

  const official = Effect.fnUntraced(
    function*(config: { readonly outputDimensionality?: number; readonly taskType?: string }) {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: batch([1, 2], [3, 4]), headers: { "content-type": "application/json" } }))
      const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: server.url, apiVersion: "v1beta" } })
      yield* Effect.promise(() =>
        client.models.embedContent({ model: "gemini-embedding-001", contents: texts, config })
      )
      const [request] = server.requests
      assert(request !== undefined)
      return request
    }
  )

  const calls: ReadonlyArray<readonly [name: string, Parameters<typeof official>[0], Embedding.Options]> = [
    ["plain", {}, {}],
    ["shorter", { outputDimensionality: 2 }, { dimensions: 2 }],
    ["for a task", { taskType: "RETRIEVAL_QUERY" }, { extra: { taskType: "RETRIEVAL_QUERY" } }]
  ]
  for (const [name, config, options] of calls) {
    it.effect(`are those of the official client: ${name}`, () =>
      Effect.gen(function*() {
        const expected = yield* official(config)
        const { requests: [request], result } = yield* asked(
          Embedding.embedMany(Embedding.model(P, "gemini-embedding-001", options), texts),
          () => batch([1, 2], [3, 4]),
          { apiKey: Redacted.make("k") }
        )
        assert(request !== undefined)
        assert.deepStrictEqual(sent(request), withoutRoles(sent(expected)))
        assert.strictEqual(request.url, expected.url)
        assert.strictEqual(request.headers["x-goog-api-key"], "k")
        // The API does not say what it cost, and so nor do we.
        assert.deepStrictEqual(result, { vectors: [[1, 2], [3, 4]], inputTokens: undefined })
      }))
  }

  it.effect("are of a hundred texts at most", () =>
    Effect.gen(function*() {
      const inputs = Array.from({ length: 201 }, (_, index) => `text ${index}`)
      const { requests, result } = yield* asked(Embedding.embedMany(Embedding.model(P, "m"), inputs), (request) => {
        const { requests } = sent(request) as {
          readonly requests: ReadonlyArray<
            { readonly content: { readonly parts: ReadonlyArray<{ readonly text: string }> } }
          >
        }
        return batch(...requests.map(({ content }) => [Number(content.parts[0]?.text.slice(5))]))
      })
      assert.strictEqual(requests.length, 3)
      assert.deepStrictEqual(result.vectors, inputs.map((_, index) => [index]))
    }))

  it.effect("are of one text where the server takes no more", () =>
    Effect.gen(function*() {
      const model = Embedding.model(P, "gemini-embedding-2", { dimensions: 1, extra: { taskType: "CLUSTERING" } })
      const { requests, result } = yield* asked(
        Embedding.embedMany(model, ["a", "b"]),
        (request) => single([request.body.includes("\"a\"") ? 1 : 2]),
        { embeddings: "single", baseUrl: "/v1/publishers/google" }
      )
      assert.deepStrictEqual(
        requests.map(sent),
        ["a", "b"].map((text) => ({
          content: { parts: [{ text }] },
          embedContentConfig: { outputDimensionality: 1, taskType: "CLUSTERING" }
        }))
      )
      assert.strictEqual(requests[0]?.url, "/v1/publishers/google/models/gemini-embedding-2:embedContent")
      assert.deepStrictEqual(result.vectors, [[1], [2]])
      const plain = yield* asked(Embedding.embed(Embedding.model(P, "m"), "a"), () => single([1]), {
        embeddings: "single"
      })
      assert.deepStrictEqual(plain.requests.map(sent), [{ content: { parts: [{ text: "a" }] } }])
    }))
})

// The client says whose words they are, which for an embedding means nothing.
const withoutRoles = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, inner: unknown) => key === "role" ? undefined : inner))

describe("answers", () => {
  it.effect("say what they cost, where they do", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ embeddings: [{ values: [1] }], usageMetadata: { promptTokenCount: 6 } })
      const { result } = yield* asked(Embedding.embedMany(Embedding.model(P, "m"), ["a"]), () => body)
      assert.strictEqual(result.inputTokens, 6)
    }))
})
