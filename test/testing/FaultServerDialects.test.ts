/**
 * What is the same in all dialects, seen without a client: what is sent when, and where.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { tokenize } from "../../src/testing/internal/tokens.ts"

const answer = "One two three, four five six."

const count = tokenize(answer).length

interface Dialect {
  readonly name: FaultServer.DialectName
  /** Below the origin. */
  readonly path: string
  readonly streamPath?: string
  readonly headers?: Record<string, string>
  readonly body: object
  /** What a stream has sent before its first token. */
  readonly opened: string
  /** How a token is recognised. */
  readonly token: RegExp
  readonly unknownPath: string
  readonly keyHeader: string
  readonly models: string
}

const messages = [{ role: "user", content: "Count!" }]

const dialects: ReadonlyArray<Dialect> = [
  {
    name: "openai-chat",
    path: "/v1/chat/completions",
    body: { model: "m", messages },
    opened: "\"role\":\"assistant\"",
    token: /"delta":\{"content":"[^"]/g,
    unknownPath: "/v1/chat",
    keyHeader: "api-key",
    models: "\"object\":\"list\""
  },
  {
    name: "openai-responses",
    path: "/openai/v1/responses",
    body: { model: "m", input: "Count!" },
    opened: "response.content_part.added",
    token: /"type":"response.output_text.delta"/g,
    unknownPath: "/v1/response",
    keyHeader: "api-key",
    models: "\"object\":\"list\""
  },
  {
    name: "anthropic-messages",
    path: "/anthropic/v1/messages",
    headers: { "anthropic-version": "2023-06-01" },
    body: { model: "m", max_tokens: 100, messages },
    opened: "event: ping",
    token: /"type":"text_delta"/g,
    unknownPath: "/v1/complete",
    keyHeader: "x-api-key",
    models: "\"display_name\":\"m\""
  },
  {
    name: "gemini",
    path: "/v1beta/models/m:generateContent",
    streamPath: "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse",
    headers: { "x-goog-api-client": "test" },
    body: { contents: [{ parts: [{ text: "Count!" }] }] },
    // Its headers are all that it sends before the first token
    opened: "",
    token: /"parts":\[\{"text":"[^"]/g,
    unknownPath: "/v1beta/models/m:countTokens",
    keyHeader: "x-goog-api-key",
    models: "\"models/m\""
  }
]

const sleep = (millis: number) => Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, millis)))

const eventually = Effect.fnUntraced(function*(what: string, condition: Effect.Effect<boolean>) {
  for (let tries = 0; tries < 400; tries++) {
    if (yield* condition) return
    yield* sleep(10)
  }
  assert.fail(`never happened: ${what}`)
})

const request = (
  server: FaultServer.FaultServer,
  dialect: Dialect,
  options: RequestInit & { readonly path?: string; readonly stream?: boolean } = {}
) =>
  Effect.promise(() => {
    const { headers, path, stream, ...init } = options
    const streamed = stream === true && dialect.streamPath === undefined ? { stream } : {}
    return fetch(new URL(path ?? (stream === true ? dialect.streamPath : undefined) ?? dialect.path, server.url), {
      method: "POST",
      body: JSON.stringify({ ...dialect.body, ...streamed }),
      ...init,
      headers: { ...dialect.headers, ...headers }
    })
  })

const text = (response: Response) => Effect.promise(() => response.text())

/** A response that is being read. */
const reading = (response: Response) => {
  const state = { received: "", ended: false }
  const read = async () => {
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) state.received += chunk
  }
  // How it ends is seen by what has come
  void read().catch(() => {}).finally(() => {
    state.ended = true
  })
  return state
}

for (const dialect of dialects) {
  const tokensIn = (received: string) => received.match(dialect.token)?.length ?? 0

  describe(`FaultServer, ${dialect.name}`, () => {
    it.effect("is found by its path, and logged by its name", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ answers: { m: answer } })
        for (const stream of [false, true]) {
          const response = yield* request(server, dialect, { stream })
          assert.strictEqual(response.status, 200)
          assert.strictEqual(response.headers.get("date"), "Thu, 01 Jan 1970 00:00:00 GMT")
          yield* text(response)
        }
        const log = yield* server.requests
        assert.deepStrictEqual(
          log.map((entry) => [entry.dialect, entry.model, entry.stream, entry.tokensSent, entry.end]),
          [[dialect.name, "m", false, count, "complete"], [dialect.name, "m", true, count, "complete"]]
        )
        assert.deepStrictEqual(log[0]?.body, dialect.body)
      }))

    it.effect("is what a client's other requests are answered in, too", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ apiKey: "right", models: ["m"] })
        const headers = { [dialect.keyHeader]: "right" }
        const listed = yield* request(server, dialect, { path: "/v1/models", method: "GET", body: null, headers })
        assert.include(yield* text(listed), dialect.models)
        const astray = yield* request(server, dialect, { path: dialect.unknownPath, headers })
        assert.strictEqual(astray.status, 404)
        const wrongMethod = yield* request(server, dialect, { method: "GET", body: null, headers })
        assert.strictEqual(wrongMethod.status, dialect.name === "gemini" ? 404 : 405)
        for (const response of [astray, wrongMethod]) {
          assert.property(JSON.parse(yield* text(response)), "error")
        }
        for (const key of [{}, { [dialect.keyHeader]: "wrong-key" }]) {
          const refused = yield* request(server, dialect, { headers: key })
          assert.include([400, 401, 403], refused.status)
          assert.notInclude(yield* text(refused), "wrong-key")
        }
        const notJson = yield* request(server, dialect, { body: "{", headers })
        assert.strictEqual(notJson.status, 400)
        const log = yield* server.requests
        assert.deepStrictEqual(log.map((entry) => entry.dialect), [
          // A list of models is everybody's
          dialect.name === "openai-responses" ? "openai-chat" : dialect.name,
          undefined,
          ...Array<string>(4).fill(dialect.name)
        ])
        assert.isTrue(log.every((entry) => entry.fault === undefined))
        assert.notInclude(JSON.stringify(log), "wrong-key")
      }))

    it.effect("opens at once, and holds back the first token, then each of them", () =>
      Effect.gen(function*() {
        const fault = FaultServer.all(
          FaultServer.delayFirstToken("10 seconds"),
          FaultServer.delayBetweenTokens("1 second")
        )
        const server = yield* FaultServer.make({ answers: { m: answer }, script: { m: [fault] } })
        const state = reading(yield* request(server, dialect, { stream: true }))
        yield* eventually("it has opened", Effect.sync(() => state.received.includes(dialect.opened)))
        yield* sleep(20)
        assert.strictEqual(tokensIn(state.received), 0)
        yield* TestClock.adjust("10 seconds")
        for (let tokens = 1; tokens <= count; tokens++) {
          yield* eventually(`token ${tokens}`, Effect.sync(() => tokensIn(state.received) === tokens))
          yield* sleep(5)
          assert.strictEqual(tokensIn(state.received), tokens)
          yield* TestClock.adjust("1 second")
        }
        yield* eventually("the end", Effect.sync(() => state.ended))
      }))

    it.effect("stalls after so many tokens, and is cut after so many", () =>
      Effect.gen(function*() {
        const fault = FaultServer.all(FaultServer.stallAfter(2, "1 minute"), FaultServer.cutAfter(4))
        const server = yield* FaultServer.make({ answers: { m: answer }, script: { m: [fault] } })
        const state = reading(yield* request(server, dialect, { stream: true }))
        yield* eventually("two tokens", Effect.sync(() => tokensIn(state.received) === 2))
        yield* sleep(20)
        assert.strictEqual(tokensIn(state.received), 2)
        yield* TestClock.adjust("1 minute")
        yield* eventually("the cut", Effect.sync(() => state.ended))
        yield* server.awaitIdle
        assert.deepInclude((yield* server.requests)[0], {
          fault: "stallAfter+cutAfter",
          tokensSent: 4,
          end: "server-cut"
        })
      }))

    it.live("notices a client that hangs up", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({
          answers: { m: answer },
          script: { m: [FaultServer.stallAfter(2), FaultServer.silence()] }
        })
        yield* Effect.scoped(Effect.gen(function*() {
          const signal = yield* Effect.abortSignal
          const state = reading(yield* request(server, dialect, { stream: true, signal }))
          yield* eventually("two tokens", Effect.sync(() => tokensIn(state.received) === 2))
        }))
        yield* server.awaitIdle
        const silent = yield* Effect.forkChild(
          Effect.promise((signal) =>
            fetch(new URL(dialect.path, server.url), {
              method: "POST",
              body: JSON.stringify(dialect.body),
              headers: dialect.headers ?? {},
              signal
            })
          ),
          { startImmediately: true }
        )
        yield* eventually("it is asked", Effect.map(server.requests, (log) => log[1]?.fault !== undefined))
        silent.interruptUnsafe()
        yield* server.awaitIdle
        const log = yield* server.requests
        assert.deepStrictEqual(log.map(({ end, tokensSent }) => [end, tokensSent]), [
          ["client-closed", 2],
          ["client-closed", 0]
        ])
      }))

    it.effect("a fault beyond the end happens at the end, and one malformed chunk is one", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({
          answers: { m: answer },
          script: { m: [FaultServer.errorEventAfter(1000, { message: "Broken." }), FaultServer.malformedChunkAt(1000)] }
        })
        const failed = yield* Effect.flatMap(request(server, dialect, { stream: true }), text)
        assert.strictEqual(tokensIn(failed), count)
        assert.include(failed, "Broken.")
        const malformed = yield* Effect.flatMap(request(server, dialect, { stream: true }), text)
        const data = malformed.split(/\r?\n/).flatMap((line) => line.startsWith("data: ") ? [line.slice(6)] : [])
        const isJson = (event: string): boolean => {
          try {
            return JSON.parse(event) !== undefined
          } catch {
            return event === "[DONE]"
          }
        }
        assert.strictEqual(data.filter((event) => !isJson(event)).length, 1)
      }))

    it.effect("two servers send the same bytes", () =>
      Effect.gen(function*() {
        const script = {
          m: [FaultServer.rateLimited({ retryAfter: 1500 }), FaultServer.errorEventAfter(2), FaultServer.overloaded]
        }
        const run = Effect.gen(function*() {
          const server = yield* FaultServer.make({ script })
          return yield* Effect.forEach([false, true, false, true, false], (stream) =>
            Effect.flatMap(request(server, dialect, { stream }), (response) =>
              Effect.map(text(response), (body) => [response.status, [...response.headers], body])))
        }).pipe(Effect.scoped)
        const first = yield* run
        assert.deepStrictEqual(
          first.map(([status]) =>
            status
          ),
          [
            429,
            200,
            dialect.name === "anthropic-messages" ? 529 : 503,
            200,
            200
          ]
        )
        assert.deepStrictEqual(yield* run, first)
      }))
  })
}

describe("FaultServer, one script for all", () => {
  it.effect("models are known by name, whoever asks for them", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ script: { m: dialects.map(() => FaultServer.status(500)) } })
      for (const dialect of dialects) assert.strictEqual((yield* request(server, dialect)).status, 500)
      for (const dialect of dialects) assert.strictEqual((yield* request(server, dialect)).status, 200)
      assert.deepStrictEqual((yield* server.requests).map(({ dialect }) => dialect), [
        ...dialects.map(({ name }) => name),
        ...dialects.map(({ name }) => name)
      ])
    }))
})
