/**
 * Embeddings as OpenAI has them, over loopback: what is sent, as the official client sends it, and what is understood.
 */
import { assert, describe, it } from "@effect/vitest"
import { Embedding, OpenAiChat } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import OpenAI from "openai"
import { embeds } from "./support/embedSuite.ts"
import * as Replay from "./support/replayServer.ts"
import { P } from "./support/request.ts"

const base64 = (...numbers: ReadonlyArray<number>): string =>
  Buffer.from(new Uint8Array(Float32Array.from(numbers).buffer)).toString("base64")

const answer = (data: ReadonlyArray<object>, rest: object = {}): string =>
  JSON.stringify({ object: "list", model: "served", data, usage: { prompt_tokens: 5, total_tokens: 5 }, ...rest })

const inOrder = (...vectors: ReadonlyArray<unknown>): string =>
  answer(vectors.map((embedding, index) => ({ object: "embedding", index, embedding })))

embeds((options) => OpenAiChat.layer(P, options), inOrder)

const asked = Effect.fnUntraced(function*<A, E>(
  run: Effect.Effect<A, E, P>,
  body: string,
  options: OpenAiChat.Options = {}
) {
  const server = yield* Replay.make
  server.onRequest(Replay.reply({ body }))
  const result = yield* run.pipe(Effect.provide(
    OpenAiChat.layer(P, { ...options, baseUrl: server.url + (options.baseUrl ?? "/v1") }).pipe(
      Layer.provide(FetchHttpClient.layer)
    )
  ))
  const [request] = server.requests
  assert(request !== undefined)
  return { result, request, sent: JSON.parse(request.body) as unknown }
})

describe("requests", () => {
  const texts = ["Why is the sky blue?", "Because of Rayleigh scattering."]

  const official = (
    options: { readonly dimensions?: number; readonly encoding_format?: "float"; readonly user?: string }
  ) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({
        body: options.encoding_format === "float" ? inOrder([1, 2], [3, 4]) : inOrder(base64(1, 2), base64(3, 4)),
        headers: { "content-type": "application/json" }
      }))
      const client = new OpenAI({ apiKey: "k", baseURL: `${server.url}/v1`, maxRetries: 0, logLevel: "off" })
      const { data } = yield* Effect.promise(() => client.embeddings.create({ model: "m", input: texts, ...options }))
      const [request] = server.requests
      return {
        request,
        sent: JSON.parse(request?.body ?? "") as unknown,
        vectors: data.map(({ embedding }) => embedding)
      }
    })

  const calls: ReadonlyArray<
    readonly [name: string, Parameters<typeof official>[0], Embedding.Options, OpenAiChat.Options]
  > = [
    ["plain", {}, {}, {}],
    ["shorter", { dimensions: 2 }, { dimensions: 2 }, {}],
    ["in words", { encoding_format: "float" }, {}, { embeddingFormat: "float" }],
    ["with more fields", { user: "u-1" }, { extra: { user: "u-1" } }, {}]
  ]
  for (const [name, official_, options, adapter] of calls) {
    it.effect(`are those of the official client: ${name}`, () =>
      Effect.gen(function*() {
        const expected = yield* official(official_)
        const { request, result, sent } = yield* asked(
          Embedding.embedMany(Embedding.model(P, "m", options), texts),
          inOrder(base64(1, 2), base64(3, 4)),
          { ...adapter, apiKey: Redacted.make("k") }
        )
        assert.deepStrictEqual(sent, expected.sent)
        assert.strictEqual(request.url, expected.request?.url)
        assert.strictEqual(request.method, expected.request?.method)
        for (const header of ["authorization", "content-type", "accept"]) {
          assert.strictEqual(request.headers[header], expected.request?.headers[header])
        }
        assert.deepStrictEqual(result, { vectors: expected.vectors, inputTokens: 5 })
      }))
  }

  it.effect("go to an Azure deployment", () =>
    Effect.gen(function*() {
      const { request } = yield* asked(Embedding.embed(Embedding.model(P, "my embeddings"), "a"), inOrder([1]), {
        dialect: OpenAiChat.azureDeployments,
        baseUrl: "/openai/deployments/{model}",
        apiKey: Redacted.make("k")
      })
      assert.strictEqual(request.url, "/openai/deployments/my%20embeddings/embeddings?api-version=2024-10-21")
      assert.strictEqual(request.headers["api-key"], "k")
    }))

  it.effect("carry what all requests of the provider carry", () =>
    Effect.gen(function*() {
      const { request } = yield* asked(Embedding.embed(Embedding.model(P, "m"), "a"), inOrder([1]), {
        project: "proj-1",
        headers: { "x-more": "1" }
      })
      assert.strictEqual(request.headers["openai-project"], "proj-1")
      assert.strictEqual(request.headers["x-more"], "1")
    }))

  it.effect("that cannot be written are refused", () =>
    Effect.gen(function*() {
      const model = Embedding.model(P, "m", { extra: { n: 1n } })
      const error = yield* Embedding.embed(model, "a").pipe(
        Effect.provide(OpenAiChat.layer(P).pipe(Layer.provide(FetchHttpClient.layer))),
        Effect.flip
      )
      assert.strictEqual(error._tag, "InvalidRequest")
    }))
})

describe("answers", () => {
  const many = (body: string, ...inputs: ReadonlyArray<string>) =>
    Effect.map(asked(Embedding.embedMany(Embedding.model(P, "m"), inputs), body), ({ result }) => result)

  it.effect("are put in order", () =>
    Effect.gen(function*() {
      const body = answer([
        { index: 2, embedding: [3, 0] },
        { index: 0, embedding: [1, 0] },
        { index: 1, embedding: [2, 0] }
      ])
      assert.deepStrictEqual((yield* many(body, "a", "b", "c")).vectors, [[1, 0], [2, 0], [3, 0]])
    }))

  it.effect("are in order where they do not say", () =>
    Effect.gen(function*() {
      const body = answer([{ embedding: [1, 0] }, { embedding: base64(2, 0) }])
      assert.deepStrictEqual((yield* many(body, "a", "b")).vectors, [[1, 0], [2, 0]])
    }))

  it.effect("have the numbers that were sent, to the last bit", () =>
    Effect.gen(function*() {
      const numbers = [0.1, -1e-7, 3.4e38, 1.4e-45, -0, 1 / 3].map(Math.fround)
      assert.deepStrictEqual((yield* many(inOrder(base64(...numbers)), "a")).vectors, [numbers])
    }))

  it.effect("say what they cost, or do not", () =>
    Effect.gen(function*() {
      const data = [{ index: 0, embedding: [1] }]
      assert.strictEqual((yield* many(answer(data), "a")).inputTokens, 5)
      assert.strictEqual((yield* many(answer(data, { usage: { total_tokens: 4 } }), "a")).inputTokens, 4)
      assert.strictEqual((yield* many(answer(data, { usage: undefined }), "a")).inputTokens, undefined)
      assert.strictEqual((yield* many(answer(data, { usage: { prompt_tokens: -1 } }), "a")).inputTokens, undefined)
    }))

  const wrong: { readonly [what: string]: string } = {
    "one vector too few": inOrder([1]),
    "one vector too many": inOrder([1], [2], [3]),
    "two vectors of one place": answer([{ index: 1, embedding: [1] }, { index: 1, embedding: [2] }]),
    "a vector of a place that is none": answer([{ index: 0, embedding: [1] }, { index: 2, embedding: [2] }]),
    "a place that is no number": answer([{ index: 0, embedding: [1] }, { index: "x", embedding: [2] }]),
    "vectors of two lengths": inOrder([1], [2, 3]),
    "bytes that are cut": inOrder(base64(1), Buffer.from([0, 0, 0]).toString("base64")),
    "bytes that are none": inOrder(base64(1), "!!!!"),
    "bytes of something that is no number": inOrder(base64(1), base64(Number.NaN))
  }
  for (const [what, body] of Object.entries(wrong)) {
    it.effect(`with ${what} are malformed`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(many(body, "a", "b"))
        assert.strictEqual(error._tag, "MalformedResponse")
      }))
  }
})
