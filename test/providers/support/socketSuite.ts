/**
 * What every protocol does over real sockets: it sends once, follows no redirect, and leaves nothing open.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Llm, LlmError } from "effect-bulwark"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Replay from "./replayServer.ts"
import { llm, type P } from "./request.ts"

/** The layer of the adapter under test. */
export type Adapter = (
  options: { readonly baseUrl: string; readonly apiKey?: Redacted.Redacted<string> }
) => Layer.Layer<P, never, HttpClient.HttpClient>

/** Answers in the protocol's form. */
export interface Words {
  /** What is added to the base URL. */
  readonly path: string
  readonly isStreamed: (request: Replay.Recorded) => boolean
  readonly answer: (text: string) => string
  /** A stream that says these words, up to its end; without its end; and with its finish reason, but no more. */
  readonly stream: (...words: ReadonlyArray<string>) => string
  readonly begun: (...words: ReadonlyArray<string>) => string
  /** Leave it out where the adapter cannot know of a finish reason before the stream has ended. */
  readonly finished?: (...words: ReadonlyArray<string>) => string
  /** A failure of the server, as the first event of a stream. */
  readonly error: string
}

export const clients: { readonly [name: string]: Layer.Layer<HttpClient.HttpClient> } = {
  fetch: FetchHttpClient.layer,
  undici: NodeHttpClient.layerUndici,
  "node:http": NodeHttpClient.layerNodeHttpOptions({ keepAlive: true })
}

const ask = Llm.generateText(llm, { prompt: "Hello?" })

const read = Llm.streamText(llm, { prompt: "Hello?" })

const words = Stream.runCollect(Llm.textDeltas(read))

/** The failure of a call, whole or streamed. */
export const failure = (
  run: Effect.Effect<unknown, LlmError.ProviderError, P>,
  layer: Layer.Layer<P>
): Effect.Effect<LlmError.ProviderError> =>
  run.pipe(Effect.flip, Effect.provide(layer, { local: true }), Effect.catch(() => Effect.die("it has not failed")))

const hang: Replay.Handler = () => {}

/** Begins an answer, and never ends it. */
const begin = (body: string): Replay.Handler => (_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(body)
}

/** A few turns of the event loop, for what has been written to arrive. */
const turns = Effect.repeat(Effect.yieldNow, { times: 20 })

/** Declares the suite. `over` are the clients to run it with: those that the adapter uses. */
export const overSockets = (adapter: Adapter, wire: Words, over = clients): void => {
  const provider = (
    server: Replay.ReplayServer,
    client: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer,
    options: { readonly apiKey?: Redacted.Redacted<string> } = {}
  ): Layer.Layer<P> => adapter({ baseUrl: server.url, ...options }).pipe(Layer.provide(client))

  for (const [name, client] of Object.entries(over)) {
    describe(`interruption, with ${name}`, () => {
      const interrupted = (
        run: Effect.Effect<unknown, LlmError.ProviderError, P>,
        handler: Replay.Handler,
        begun: (server: Replay.ReplayServer) => Effect.Effect<unknown> = (server) => server.arrived(1)
      ) =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(handler)
          yield* Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(run, { startImmediately: true })
            yield* begun(server)
            assert.strictEqual(server.open(), 1)
            yield* Fiber.interrupt(fiber)
            yield* server.allClosed
          }).pipe(Effect.provide(provider(server, client)))
        })

      it.effect("closes the connection while it waits for headers, whole", () => interrupted(ask, hang))

      it.effect("closes the connection while it waits for headers, streamed", () => interrupted(words, hang))

      it.effect("closes the connection while a whole answer arrives", () =>
        interrupted(ask, begin("{\"id\":"), (server) => Effect.andThen(server.arrived(1), turns)))

      it.effect("closes the connection while a stream flows", () =>
        Effect.gen(function*() {
          const first = yield* Deferred.make<void>()
          const reading = Stream.runForEach(Llm.textDeltas(read), () => Deferred.succeed(first, undefined))
          yield* interrupted(reading, begin(wire.begun("one")), () => Deferred.await(first))
        }))

      it.effect("closes the connection when the consumer stops reading", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(begin(wire.begun("one", "two")))
          yield* Effect.gen(function*() {
            const taken = yield* Stream.runCollect(Stream.take(Llm.textDeltas(read), 1))
            assert.deepStrictEqual(taken, ["one"])
            yield* server.allClosed
          }).pipe(Effect.provide(provider(server, client)))
        }))

      it.effect("closes the connection of an answer that fails", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(begin(wire.error))
          yield* Effect.gen(function*() {
            const error = yield* Effect.flip(words)
            assert.strictEqual(error._tag, "ServerError")
            yield* server.allClosed
          }).pipe(Effect.provide(provider(server, client)))
        }))
    })

    describe(`connections, with ${name}`, () => {
      it.effect("are used again, streamed and whole", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest((request, response) =>
            Replay.reply({
              body: wire.isStreamed(request) ? wire.stream("hi") : wire.answer("hi")
            })(
              request,
              response
            )
          )
          yield* Effect.gen(function*() {
            for (const run of [ask, words, words, words, words, ask]) yield* run
          }).pipe(Effect.provide(provider(server, client)))
          assert.strictEqual(server.requests.length, 6)
          // A client may need a moment to put a connection back, and make a second one in the meantime.
          assert.isAtMost(server.connections(), 2)
        }))

      it.effect("that are refused fail the call", () =>
        Effect.gen(function*() {
          const port = yield* Effect.scoped(Effect.map(Replay.make, ({ url }) => url))
          for (const run of [ask, words]) {
            const error = yield* failure(run, adapter({ baseUrl: port }).pipe(Layer.provide(client)))
            assert.strictEqual(error._tag, "ConnectionFailed")
            assert.strictEqual(error.code, "ECONNREFUSED")
            assert.isTrue(LlmError.isTransient(error))
          }
        }))

      it.effect("that break before the headers fail the call", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest((_, response) => void response.destroy())
          for (const run of [ask, words]) {
            assert.strictEqual((yield* failure(run, provider(server, client)))._tag, "ConnectionFailed")
          }
        }))

      it.effect("that break inside a whole answer fail the call", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(Replay.reply({ body: "{\"id\":", breaks: true }))
          assert.strictEqual((yield* failure(ask, provider(server, client)))._tag, "ConnectionFailed")
        }))

      it.effect("that break inside a stream interrupt it", () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          server.onRequest(
            Replay.reply({ body: wire.begun("one", " two"), cuts: 200, breaks: true })
          )
          const error = yield* failure(words, provider(server, client))
          assert(error._tag === "StreamInterrupted")
          assert.strictEqual(error.reason, "closed")
          assert.strictEqual(error.failure?._tag, "ConnectionFailed")
          assert.strictEqual(Redacted.value(error.partial), "one two")
        }))

      const { finished } = wire
      if (finished !== undefined) {
        it.effect("that break after the finish reason take nothing away", () =>
          Effect.gen(function*() {
            const server = yield* Replay.make
            server.onRequest(Replay.reply({ body: finished("one"), cuts: 200, breaks: true }))
            assert.deepStrictEqual(yield* words.pipe(Effect.provide(provider(server, client))), ["one"])
          }))
      }
    })

    describe(`redirects, with ${name}`, () => {
      it.effect("are not followed", () =>
        Effect.gen(function*() {
          const elsewhere = yield* Replay.make
          elsewhere.onRequest(Replay.reply({ body: wire.answer("stolen") }))
          const server = yield* Replay.make
          for (const status of [301, 302, 303, 307, 308]) {
            server.onRequest(
              Replay.reply({ status, headers: { location: `${elsewhere.url}${wire.path}` }, body: "" })
            )
            for (const run of [ask, words]) {
              const error = yield* failure(run, provider(server, client, { apiKey: Redacted.make("sk-secret") }))
              assert(error._tag === "InvalidRequest")
              assert.strictEqual(error.status, status)
              assert.include(error.message, "set the base URL to where it redirects to")
              assert.notInclude(error.message, elsewhere.url)
            }
          }
          assert.strictEqual(elsewhere.requests.length, 0)
        }))
    })
  }

  describe("requests", () => {
    it.effect("are sent once, whatever comes back", () =>
      Effect.gen(function*() {
        const server = yield* Replay.make
        for (const status of [408, 409, 429, 500, 503]) {
          server.requests.length = 0
          server.onRequest(Replay.reply({ status, headers: { "retry-after": "0" }, body: "" }))
          yield* failure(ask, provider(server))
          assert.strictEqual(server.requests.length, 1)
        }
      }))
  })
}
