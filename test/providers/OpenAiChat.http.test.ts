/**
 * What Chat Completions does over real sockets: what it sends, what it refuses to follow, and that nothing stays open.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, LlmError } from "effect-bulwark"
import { OpenAiChat } from "effect-bulwark/providers"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { ServerResponse } from "node:http"
import { makeSpans } from "../support/observe.ts"
import { loopback, showsNoKey } from "./support/loopback.ts"
import * as Replay from "./support/replayServer.ts"
import { llm, P } from "./support/request.ts"
import { failure, overSockets } from "./support/socketSuite.ts"
import * as Wire from "./support/wire.ts"

const provider = (
  server: Replay.ReplayServer,
  client: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer,
  options: OpenAiChat.Options = {}
): Layer.Layer<P> => OpenAiChat.layer(P, { baseUrl: server.url, ...options }).pipe(Layer.provide(client))

const ask = Llm.generateText(llm, { prompt: "Hello?" })

const read = Llm.streamText(llm, { prompt: "Hello?" })

const words = Stream.runCollect(Llm.textDeltas(read))

const isStreamed = ({ body }: Replay.Recorded): boolean => body.includes("\"stream\":true")

overSockets((options) => OpenAiChat.layer(P, options), {
  path: "/chat/completions",
  isStreamed,
  answer: (content) => Wire.answer({ content }),
  stream: Wire.streamOf,
  begun: (...words) => words.map(Wire.textChunk).join(""),
  finished: (...words) => words.map(Wire.textChunk).join("") + Wire.finishChunk(),
  error: Wire.event({ error: { message: "no", code: 500 } })
})

showsNoKey(OpenAiChat.make, {
  keyHeader: ["authorization", "Bearer "],
  isStreamed,
  answer: Wire.answer({ content: "hi" }),
  stream: Wire.streamOf("hi")
})

describe("what the application has set for fetch", () => {
  const init = Layer.succeed(FetchHttpClient.RequestInit, { headers: { "x-from": "application" }, redirect: "follow" })

  const check = (wire: (server: Replay.ReplayServer) => Layer.Layer<P>) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ status: 307, headers: { location: "/elsewhere" }, body: "" }))
      assert.strictEqual((yield* failure(ask, wire(server)))._tag, "InvalidRequest")
      assert.strictEqual(server.requests[0]?.headers["x-from"], "application")
      assert.strictEqual(server.requests.length, 1)
    })

  it.effect("is kept when its layer has it, but for redirects", () =>
    check((server) => provider(server, Layer.provide(FetchHttpClient.layer, init))))

  it.effect("is kept when the call has it, but for redirects", () =>
    check((server) => Layer.mergeAll(provider(server), init) as Layer.Layer<P>))

  it.effect("includes fetch itself", () =>
    Effect.gen(function*() {
      const seen: Array<RequestInit | undefined> = []
      const fake: typeof globalThis.fetch = (_, init) => {
        seen.push(init)
        return Promise.resolve(new Response(Wire.answer({ content: "hi" })))
      }
      const client = FetchHttpClient.layer.pipe(Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fake)))
      const answer = yield* ask.pipe(Effect.provide(OpenAiChat.layer(P, {}).pipe(Layer.provide(client))))
      assert.strictEqual(answer.text, "hi")
      assert.strictEqual(seen[0]?.redirect, "manual")
    }))
})

describe("requests", () => {
  const { requestOf } = loopback(
    (options: OpenAiChat.Options) => OpenAiChat.layer(P, options),
    Wire.answer({ content: "hi" })
  )

  it.effect("carry the key as a bearer token", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({ baseUrl: "/v1", apiKey: Redacted.make("sk-1") })
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.url, "/v1/chat/completions")
      assert.strictEqual(request.headers.authorization, "Bearer sk-1")
      assert.strictEqual(request.headers["content-type"], "application/json")
    }))

  it.effect("go to an Azure deployment", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({
        baseUrl: "/openai/deployments/{model}/",
        apiKey: Redacted.make("azure-1"),
        apiKeyHeader: "api-key",
        query: { "api-version": "2024-10-21" }
      }, Llm.generateText(Llm.model(P, "my deployment/1"), { prompt: "Hello?" }))
      assert.strictEqual(
        request.url,
        "/openai/deployments/my%20deployment%2F1/chat/completions?api-version=2024-10-21"
      )
      assert.strictEqual(request.headers["api-key"], "azure-1")
      assert.isUndefined(request.headers.authorization)
    }))

  it.effect("carry the organisation, the project and other headers", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({
        organization: "org-1",
        project: "proj-1",
        headers: { "HTTP-Referer": "https://example.com", "x-secret": Redacted.make("s-1") }
      })
      assert.strictEqual(request.headers["openai-organization"], "org-1")
      assert.strictEqual(request.headers["openai-project"], "proj-1")
      assert.strictEqual(request.headers["http-referer"], "https://example.com")
      assert.strictEqual(request.headers["x-secret"], "s-1")
      assert.isUndefined(request.headers.authorization)
    }))

  it.effect("do not pass on the trace", () =>
    Effect.gen(function*() {
      const request = yield* requestOf({})
      assert.isUndefined(request.headers["traceparent"])
      assert.isUndefined(request.headers["b3"])
    }))
})

describe("spans", () => {
  const spansOf = (prepare: <A, E>(self: Effect.Effect<A, E, P>) => Effect.Effect<A, E, P>) =>
    Effect.gen(function*() {
      const { spans, tracer } = makeSpans()
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ status: 503, body: "" }))
      yield* failure(prepare(ask).pipe(Effect.provideService(Tracer.Tracer, tracer)), provider(server))
      return { server, spans }
    })

  it.effect("say where a request went, and what came of it", () =>
    Effect.gen(function*() {
      const { server, spans } = yield* spansOf((self) => self)
      const span = spans.find(({ kind }) => kind === "client")
      assert.strictEqual(span?.name, "POST")
      assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
        "http.request.method": "POST",
        "url.full": `${server.url}/chat/completions`,
        "server.address": "127.0.0.1",
        "server.port": Number(new URL(server.url).port),
        "http.response.status_code": 503,
        "error.type": "503"
      })
      if (span?.status._tag !== "Ended") return assert.fail("the span is open")
      const { exit } = span.status
      const errors = Exit.isFailure(exit) ? Cause.prettyErrors(exit.cause) : []
      assert.deepStrictEqual(errors.map(({ message, name }) => [name, message]), [["503", "HTTP 503"]])
    }))

  it.effect("are not made where the application wants none", () =>
    Effect.gen(function*() {
      const { spans } = yield* spansOf(Effect.provideService(HttpClient.TracerDisabledWhen, () => true))
      assert.deepStrictEqual(spans.filter(({ kind }) => kind === "client"), [])
    }))
})

describe("bounds", () => {
  const endless = (piece: string, head: { readonly status?: number; readonly first?: string } = {}) => {
    let written = 0
    const handler: Replay.Handler = (_, response) => {
      response.writeHead(head.status ?? 200)
      if (head.first !== undefined) response.write(head.first)
      pump(response)
    }
    const pump = (response: ServerResponse): void => {
      if (response.destroyed) return
      written += piece.length
      if (response.write(piece)) setImmediate(() => pump(response))
      else response.once("drain", () => pump(response))
    }
    return { handler, written: () => written }
  }

  const stopsReading = (
    run: Effect.Effect<unknown, LlmError.ProviderError, P>,
    source: ReturnType<typeof endless>,
    options: OpenAiChat.Options
  ) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(source.handler)
      const error = yield* failure(run, provider(server, FetchHttpClient.layer, options))
      yield* server.allClosed
      return error
    })

  const piece = "x".repeat(10_000)

  it.effect("a whole answer is read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const source = endless(piece)
      const error = yield* stopsReading(ask, source, { maxBodyBytes: 100_000 })
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxBodyBytes")
      assert.isFalse(LlmError.isTransient(error))
    }))

  it.effect("what comes instead of a stream is read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const error = yield* stopsReading(words, endless(piece), { maxBodyBytes: 100_000 })
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxBodyBytes")
    }))

  it.effect("an error is read as far as an error goes", () =>
    Effect.gen(function*() {
      const source = endless(piece, { status: 503 })
      const error = yield* stopsReading(ask, source, {})
      assert.strictEqual(error._tag, "Overloaded")
    }))

  it.effect("an event is read up to `maxEventBytes`", () =>
    Effect.gen(function*() {
      const source = endless(piece, { first: "data: {\"x\":\"" })
      const error = yield* stopsReading(words, source, { maxEventBytes: 50_000 })
      assert(error._tag === "MalformedResponse")
      assert.include(error.problem, "maxEventBytes")
    }))

  it.effect("the parameters of tool calls are read up to `maxBodyBytes`", () =>
    Effect.gen(function*() {
      const call = (rest: object) =>
        Wire.event(Wire.chunk({ tool_calls: [{ index: 0, function: { arguments: piece }, ...rest }] }))
      const source = endless(call({}), { first: call({ id: "call_1", function: { name: "f", arguments: "" } }) })
      const error = yield* stopsReading(Stream.runDrain(read), source, { maxBodyBytes: 100_000 })
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
    }))

  it.effect("a stream may be as long as it likes", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      const text = Arr.makeBy(200, (index) => `word ${index} `)
      server.onRequest(Replay.reply({ body: Wire.streamOf(...text) }))
      const deltas = yield* words.pipe(
        Effect.provide(provider(server, FetchHttpClient.layer, { maxBodyBytes: 1000, maxEventBytes: 1000 }))
      )
      assert.strictEqual(deltas.join(""), text.join(""))
    }))
})
