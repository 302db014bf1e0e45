/**
 * Keys and prompts stay where they belong, however a server echoes them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { appearances, makeSpans, unwrapped } from "../../support/observe.ts"
import * as Replay from "./replayServer.ts"
import { llm, type P } from "./request.ts"

export const key = "sk-planted-0123456789abcdef"

const headerSecret = "planted-header-secret"

const querySecret = "planted-query-secret"

export const prompt = "Why is the planted prompt blue?"

/** All that must not be seen. */
export const echo = `${key} ${headerSecret} ${querySecret} Bearer ${key}: ${prompt}`

/** An error that echoes it everywhere. */
export const error = {
  message: echo,
  type: key,
  code: headerSecret,
  param: key,
  innererror: { code: key, content_filter_result: { [key]: { filtered: true } } },
  metadata: { reasons: [key], raw: echo, resets_at: key, headers: { "X-RateLimit-Reset": key } },
  details: [{ reason: key }]
}

const echoHeaders = {
  "x-request-id": key,
  "request-id": headerSecret,
  "cf-ray": key.slice(0, 12),
  "retry-after": key,
  location: `https://example.com/?key=${key}`,
  "x-echo": key
}

/** The layer of the adapter under test. */
export type Adapter = (
  options: {
    readonly baseUrl: string
    readonly apiKey: Redacted.Redacted<string>
    readonly apiKeyHeader: string
    readonly headers: { readonly [name: string]: Redacted.Redacted<string> }
    readonly query: { readonly [name: string]: Redacted.Redacted<string> }
  }
) => Layer.Layer<P, never, HttpClient.HttpClient>

/** What a server answers. */
export interface Plant {
  readonly status: number
  readonly body: string
  readonly breaks?: boolean
}

/** What any server may answer. */
export const commonPlants: { readonly [name: string]: Plant } = {
  ...Object.fromEntries([307, 400, 401, 402, 403, 404, 429, 500, 503].map((status): [string, Plant] => [
    `an error with status ${status}`,
    { status, body: JSON.stringify({ error, request_id: key }) }
  ])),
  "an error that is a text": { status: 400, body: echo },
  "an error that is a web page": { status: 502, body: `<html><title>${echo}</title></html>` },
  "an answer that is an error": { status: 200, body: JSON.stringify({ error }) },
  "an answer that is a web page": { status: 200, body: `<html><title>${echo}</title></html>` },
  "an answer that is no JSON": { status: 200, body: echo },
  "a broken answer": { status: 200, body: `{"x":"${echo}`, breaks: true }
}

const leaks = (text: string): Array<string> =>
  [key, key.slice(0, 12), headerSecret, querySecret, prompt, "planted prompt"].filter((secret) => text.includes(secret))

/** What is asked, in every way there is. */
export interface Runs {
  readonly [mode: string]: Effect.Effect<unknown, LlmError.ProviderError, P>
}

const answers: Runs = {
  whole: Llm.generateText(llm, { prompt }),
  stream: Stream.runDrain(Llm.streamText(llm, { prompt }))
}

/** Declares the suite. `traced` is whether the adapter has spans of its own, beside that of whoever calls. */
export const keepsSecrets = (
  adapter: Adapter,
  plants: { readonly [name: string]: Plant },
  { runs = answers, traced = true }: { readonly runs?: Runs; readonly traced?: boolean } = {}
): void => {
  describe("secrets", () => {
    for (const [name, { body, breaks, status }] of Object.entries(plants)) {
      for (const [mode, run] of Object.entries(runs)) {
        it.effect(`are not in what is seen of ${name} (${mode})`, () =>
          Effect.gen(function*() {
            const { spans, tracer } = makeSpans()
            const logs: Array<string> = []
            const server = yield* Replay.make
            server.onRequest(Replay.reply({ status, headers: echoHeaders, body, breaks }))
            const error = yield* run.pipe(
              Effect.tapCause((cause) => Effect.logError("failed", cause)),
              Effect.withSpan("call"),
              Effect.flip,
              Effect.provide(Layer.mergeAll(
                adapter({
                  baseUrl: server.url,
                  apiKey: Redacted.make(key),
                  apiKeyHeader: "api-key",
                  headers: { "x-more": Redacted.make(headerSecret) },
                  query: { sig2: Redacted.make(querySecret) }
                }).pipe(Layer.provide(FetchHttpClient.layer)),
                Logger.layer([Logger.map(Logger.formatJson, (line) => void logs.push(line))]),
                Layer.succeed(Tracer.Tracer, tracer),
                // Even for those who want the headers of requests in their spans.
                Layer.succeed(HttpClient.TracerHeaderFilter, (_: string, phase: string) => phase === "request")
              )),
              Effect.catch(() => Effect.die("it has not failed"))
            )
            assert.include(server.requests[0]?.headers["api-key"], key)
            for (const [how, text] of Object.entries(appearances(error))) assert.deepStrictEqual(leaks(text), [], how)
            assert.isAbove(spans.length, traced ? 1 : 0)
            assert.deepStrictEqual(leaks(inspect(spans, { depth: 12 })), [], "spans")
            assert.deepStrictEqual(
              leaks(JSON.stringify(spans.map((span) => Object.fromEntries(span.attributes)))),
              [],
              "span attributes"
            )
            assert.strictEqual(logs.length, 1)
            assert.deepStrictEqual(leaks(logs.join("\n")), [], "logs")
            // Whoever unwraps or stores the provider's own words finds the prompt in them, but never a secret.
            assert.deepStrictEqual(
              leaks(unwrapped(error)).filter((leak) => !leak.includes("prompt")),
              [],
              "detail"
            )
          }))
      }
    }
  })
}
