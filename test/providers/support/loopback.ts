/**
 * One adapter against one server on loopback: what it sends, and what it makes of an answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { makeSpans, printed } from "../../support/observe.ts"
import * as Replay from "./replayServer.ts"
import { llm, P } from "./request.ts"

/** A call, whole or streamed. */
export type Call = Effect.Effect<unknown, LlmError.ProviderError, P>

export const ask: Call = Llm.generateText(llm, { prompt: "Hello?" })

export const read: Call = Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" }))

/** `baseUrl` is what is added to the server's address, and `answer` what is answered where nothing else is said. */
export const loopback = <Options extends { readonly baseUrl?: string | undefined }>(
  layer: (options: Options) => Layer.Layer<P, never, HttpClient.HttpClient>,
  answer: string
) => {
  const provide = (server: Replay.ReplayServer, options?: Options) =>
    Effect.provide(
      // (It is the options, with another address.)
      layer({ ...options, baseUrl: server.url + (options?.baseUrl ?? "") } as Options).pipe(
        Layer.provide(FetchHttpClient.layer)
      ),
      { local: true }
    )

  /** The failure of a call that a server answers like this. */
  const failing = (reply: Parameters<typeof Replay.reply>[0], options?: Options, run = ask) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply(reply))
      const error: LlmError.ProviderError = yield* run.pipe(Effect.flip, provide(server, options))
      assert.strictEqual(server.requests.length, 1)
      return error
    })

  /** The request that is sent. */
  const requestOf = (options?: Options, run = ask, body = answer) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body }))
      yield* run.pipe(provide(server, options), Effect.withSpan("outer"))
      const [request] = server.requests
      assert(request !== undefined)
      return request
    })

  return { provide, failing, requestOf }
}

/** Declares that nobody sees the key of a provider that works as it should. */
export const showsNoKey = (
  make: (
    name: string,
    options: { readonly baseUrl: string; readonly apiKey: Redacted.Redacted<string> }
  ) => Effect.Effect<Provider.Provider, never, HttpClient.HttpClient>,
  { answer, isStreamed, keyHeader: [name, prefix], stream }: {
    readonly keyHeader: readonly [name: string, prefix: string]
    readonly isStreamed: (request: Replay.Recorded) => boolean
    readonly answer: string
    readonly stream: string
  }
): void => {
  describe("what is seen", () => {
    it.effect("of the provider, its URLs and its spans has no key", () =>
      Effect.gen(function*() {
        const { spans, tracer } = makeSpans()
        const server = yield* Replay.make
        server.onRequest((request, response) =>
          Replay.reply({ body: isStreamed(request) ? stream : answer })(request, response)
        )
        const key = "sk-planted-1234567890"
        const provider = yield* make("p", { baseUrl: server.url, apiKey: Redacted.make(key) }).pipe(
          Effect.provide(FetchHttpClient.layer)
        )
        yield* Effect.andThen(ask, read).pipe(
          Effect.provideService(P, provider),
          Effect.provideService(Tracer.Tracer, tracer)
        )
        assert.strictEqual(server.requests.length, 2)
        for (const { headers, url } of server.requests) {
          assert.strictEqual(headers[name], prefix + key)
          assert.notInclude(url, key)
        }
        assert.notInclude(printed(provider), key)
        assert.isAtLeast(spans.filter(({ kind }) => kind === "client").length, 2)
        assert.notInclude(printed(spans), key)
      }))
  })
}
