/**
 * Embeddings beside the Responses API: those of OpenAI, which `OpenAiChat.embeddings.test.ts` is about.
 */
import { assert, describe, it } from "@effect/vitest"
import { Embedding, OpenAiResponses } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { embeds } from "./support/embedSuite.ts"
import * as Replay from "./support/replayServer.ts"
import { P } from "./support/request.ts"

const answer = (...vectors: ReadonlyArray<ReadonlyArray<number>>): string =>
  JSON.stringify({ data: vectors.map((embedding, index) => ({ index, embedding })), usage: { prompt_tokens: 5 } })

embeds((options) => OpenAiResponses.layer(P, options), answer)

describe("requests", () => {
  it.effect("go to the same server, with what all requests of the provider carry", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body: answer([1, 2], [3, 4]) }))
      const layer = OpenAiResponses.layer(P, {
        baseUrl: `${server.url}/openai/v1`,
        apiKey: Redacted.make("k"),
        apiKeyHeader: "api-key",
        project: "proj-1",
        query: { "api-version": "preview" },
        store: false
      }).pipe(Layer.provide(FetchHttpClient.layer))
      const embedded = yield* Embedding.embedMany(Embedding.model(P, "m", { dimensions: 2 }), ["a", "b"]).pipe(
        Effect.provide(layer)
      )
      assert.deepStrictEqual(embedded, { vectors: [[1, 2], [3, 4]], inputTokens: 5 })
      const [request] = server.requests
      assert(request !== undefined)
      assert.strictEqual(request.url, "/openai/v1/embeddings?api-version=preview")
      assert.strictEqual(request.headers["api-key"], "k")
      assert.strictEqual(request.headers["openai-project"], "proj-1")
      assert.deepStrictEqual(JSON.parse(request.body), {
        model: "m",
        input: ["a", "b"],
        encoding_format: "base64",
        dimensions: 2
      })
    }))
})
