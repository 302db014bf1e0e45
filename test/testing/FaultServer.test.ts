import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Net from "node:net"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { countTokens } from "../../src/testing/internal/tokens.ts"

const story = "The harbour of Rotterdam handles more containers than any other harbour in Europe. " +
  "Its cranes work day and night. Ships from Asia bring containers full of electronics. " +
  "In 2024 the harbour handled 13 million containers. Workers complain about the noise at night."

const question = (overrides: Record<string, unknown> = {}) => ({
  model: "test-model",
  messages: [{ role: "user", content: story }],
  ...overrides
})

const streamed = (overrides: Record<string, unknown> = {}) => question({ stream: true, ...overrides })

interface Connection {
  readonly socket: Net.Socket
  /** Everything received so far. */
  readonly text: () => string
  /** How the connection ended: "end" in good order for TCP, or the error code. */
  readonly closed: Promise<string>
}

// A bare socket shows what no HTTP client does: every byte, and how the connection ended
const connect = (
  server: FaultServer.FaultServer,
  body: unknown,
  options: { readonly path?: string; readonly method?: string; readonly headers?: Record<string, string> } = {}
): Connection => {
  const url = new URL(server.url)
  const payload = Buffer.from(typeof body === "string" ? body : JSON.stringify(body))
  const socket = Net.connect(Number(url.port), url.hostname)
  const parts: Array<Buffer> = []
  socket.on("data", (part) => parts.push(part))
  const closed = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    socket.on("close", () => resolve("end"))
  })
  const headers = { host: "test", connection: "close", "content-length": String(payload.length), ...options.headers }
  socket.write([
    `${options.method ?? "POST"} ${options.path ?? "/v1/chat/completions"} HTTP/1.1`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "",
    ""
  ].join("\r\n"))
  socket.write(payload)
  return { socket, text: () => Buffer.concat(parts).toString("utf8"), closed }
}

const sleep = (millis: number) => Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, millis)))

const eventually = Effect.fnUntraced(function*(what: string, condition: Effect.Effect<boolean>) {
  for (let tries = 0; tries < 400; tries++) {
    if (yield* condition) return
    yield* sleep(10)
  }
  assert.fail(`never happened: ${what}`)
})

const parse = (raw: string) => {
  const [head = "", ...rest] = raw.split("\r\n\r\n")
  const [statusLine = "", ...lines] = head.split("\r\n")
  const headers = Object.fromEntries(lines.map((line) => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  }))
  const payload = rest.join("\r\n\r\n")
  return {
    status: Number(statusLine.split(" ")[1]),
    headers,
    body: headers["transfer-encoding"] === "chunked" ? dechunk(payload) : payload,
    whole: headers["transfer-encoding"] === "chunked"
      ? payload.endsWith("0\r\n\r\n")
      : Buffer.byteLength(payload) === Number(headers["content-length"])
  }
}

// Sizes count bytes; the stories of these tests are plain ASCII
const dechunk = (payload: string): string => {
  let body = ""
  let at = 0
  for (;;) {
    const line = payload.indexOf("\r\n", at)
    if (line < 0) return body
    const size = Number.parseInt(payload.slice(at, line), 16)
    if (!(size > 0)) return body
    body += payload.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

const ask = Effect.fnUntraced(function*(
  server: FaultServer.FaultServer,
  body: unknown,
  options?: Parameters<typeof connect>[2]
) {
  const connection = connect(server, body, options)
  const closed = yield* Effect.promise(() => connection.closed)
  return { raw: connection.text(), closed, ...parse(connection.text()) }
})

const Chunk = Schema.Struct({
  choices: Schema.Array(Schema.Struct({
    delta: Schema.Struct({ content: Schema.optionalKey(Schema.NullOr(Schema.String)) }),
    finish_reason: Schema.NullOr(Schema.String)
  }))
})

const events = (body: string) => body.split("\n\n").filter((event) => event !== "").map((event) => event.slice(6))

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const read = (body: string) => {
  const all = events(body)
  const chunks = all.filter(isJson).map((event): unknown => JSON.parse(event)).filter(Schema.is(Chunk))
  const choices = chunks.flatMap((chunk) => chunk.choices)
  return {
    events: all,
    tokens: choices.map((choice) => choice.delta.content ?? "").filter((token) => token !== ""),
    text: choices.map((choice) => choice.delta.content ?? "").join(""),
    finish: choices.map((choice) => choice.finish_reason).find((reason) => reason !== null),
    done: all.at(-1) === "[DONE]"
  }
}

const Completion = Schema.Struct({
  choices: Schema.Tuple([
    Schema.Struct({
      message: Schema.Struct({ content: Schema.String }),
      finish_reason: Schema.NullOr(Schema.String)
    })
  ])
})

const content = (body: string) => Schema.decodeSync(Schema.fromJsonString(Completion))(body).choices[0]

const ErrorBody = Schema.fromJsonString(Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.String,
    param: Schema.NullOr(Schema.String),
    code: Schema.NullOr(Schema.String)
  })
}))

const errorOf = (body: string) => Schema.decodeSync(ErrorBody)(body).error

const last = (server: FaultServer.FaultServer) =>
  Effect.map(server.requests, (log) => log.at(-1) ?? assert.fail("no request was logged"))

const sentBy = (server: FaultServer.FaultServer) => Effect.map(server.requests, (log) => log.at(-1)?.tokensSent ?? 0)

const asked = (server: FaultServer.FaultServer) =>
  eventually("the request is scripted", Effect.map(server.requests, (log) => log.at(-1)?.fault !== undefined))

const withFault = (...faults: ReadonlyArray<FaultServer.Fault>) =>
  FaultServer.make({ script: { "*": [FaultServer.all(...faults)] } })

describe("FaultServer", () => {
  describe("healthy answers on the wire", () => {
    it.effect("a full answer is one JSON object with the official headers", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const answer = yield* ask(server, question())
        assert.strictEqual(answer.status, 200)
        assert.isTrue(answer.whole)
        assert.strictEqual(answer.headers["content-type"], "application/json")
        assert.match(answer.headers["x-request-id"] ?? "", /^req_\d{32}$/)
        for (const kind of ["requests", "tokens"]) {
          for (const what of ["limit", "remaining", "reset"]) {
            assert.property(answer.headers, `x-ratelimit-${what}-${kind}`)
          }
        }
        assert.strictEqual(answer.headers["date"], "Thu, 01 Jan 1970 00:00:00 GMT")
        const { message, finish_reason } = content(answer.body)
        assert.strictEqual(finish_reason, "stop")
        for (const sentence of message.content.split(/(?<=\.) /)) {
          assert.include(story, sentence)
        }
        assert.deepEqual(Object.keys(JSON.parse(answer.body)), [
          "id",
          "object",
          "created",
          "model",
          "choices",
          "usage",
          "service_tier",
          "system_fingerprint"
        ])
      }))

    it.effect("a stream says the same, token by token, then the finish reason, usage and [DONE]", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const full = content((yield* ask(server, question())).body).message.content
        const answer = yield* ask(server, streamed({ stream_options: { include_usage: true } }))
        const stream = read(answer.body)
        assert.match(answer.headers["content-type"] ?? "", /^text\/event-stream/)
        assert.isTrue(answer.whole)
        assert.strictEqual(stream.tokens.join(""), full)
        assert.isAbove(stream.tokens.length, 10)
        for (const token of stream.tokens) assert.isAtMost(token.length, 6)
        assert.strictEqual(stream.finish, "stop")
        assert.isTrue(stream.done)
        assert.deepInclude(JSON.parse(stream.events.at(0) ?? ""), {
          object: "chat.completion.chunk",
          choices: [{
            index: 0,
            delta: { role: "assistant", content: "", refusal: null },
            logprobs: null,
            finish_reason: null
          }],
          usage: null
        })
        const prompt = countTokens(story)
        assert.deepInclude(JSON.parse(stream.events.at(-2) ?? ""), {
          choices: [],
          usage: {
            prompt_tokens: prompt,
            completion_tokens: stream.tokens.length,
            total_tokens: prompt + stream.tokens.length,
            prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
            completion_tokens_details: {
              reasoning_tokens: 0,
              audio_tokens: 0,
              accepted_prediction_tokens: 0,
              rejected_prediction_tokens: 0
            }
          }
        })
        assert.notInclude((yield* ask(server, streamed())).body, "usage")
      }))

    it.effect("two servers send the same bytes for the same requests", () =>
      Effect.gen(function*() {
        const script = { faulty: [FaultServer.rateLimited({ retryAfter: 1500 }), FaultServer.cutAfter(2)] }
        const run = Effect.gen(function*() {
          const server = yield* FaultServer.make({ script })
          return yield* Effect.forEach([
            question(),
            streamed({ stream_options: { include_usage: true } }),
            streamed({ model: "faulty" }),
            streamed({ model: "faulty" }),
            question({
              response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } }
            }),
            "{",
            question({ tools: [{ type: "function", function: { name: "f" } }] })
          ], (body) => Effect.map(ask(server, body), (answer) => answer.raw))
        }).pipe(Effect.scoped)
        const first = yield* run
        assert.isTrue(first.every((raw) => raw.length > 100))
        assert.deepEqual(yield* run, first)
      }))
  })

  describe("scripts", () => {
    it.effect("the nth request for a model takes the nth fault, then it is healthy", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("a", [FaultServer.overloaded, FaultServer.healthy, FaultServer.status(500)])
        yield* server.script("*", [FaultServer.forever(FaultServer.status(502))])
        const statuses = yield* Effect.forEach(
          ["a", "b", "a", "a", "b", "a"],
          (model) => Effect.map(ask(server, question({ model })), (answer) => answer.status)
        )
        assert.deepEqual(statuses, [503, 502, 200, 500, 502, 200])
        assert.deepEqual((yield* server.requests).map((request) => request.fault), [
          "overloaded",
          "status 502",
          "healthy",
          "status 500",
          "status 502",
          "healthy"
        ])
      }))

    it.effect("reset restores the first script and empties the log", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ script: { "*": [FaultServer.overloaded] } })
        const first = yield* ask(server, question())
        yield* server.script("*", [])
        yield* server.reset
        assert.deepEqual(yield* server.requests, [])
        const second = yield* ask(server, question())
        assert.strictEqual(second.status, 503)
        assert.strictEqual(second.raw, first.raw)
      }))

    it.effect("a fault is plain data, and survives JSON", () =>
      Effect.gen(function*() {
        const all = [
          FaultServer.healthy,
          FaultServer.status(418, {
            message: "m",
            type: "t",
            param: "p",
            code: null,
            headers: { a: "b" },
            body: { x: [1] }
          }),
          FaultServer.rateLimited({ retryAfter: "1500 millis" }),
          FaultServer.overloaded,
          FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }),
          FaultServer.contentFiltered,
          FaultServer.insufficientQuota,
          FaultServer.silence(),
          FaultServer.delayHeaders("1 second"),
          FaultServer.delayFirstToken("1 second"),
          FaultServer.delayBetweenTokens("1 second"),
          FaultServer.resetConnection,
          FaultServer.cutAfter(1),
          FaultServer.stallAfter(1),
          FaultServer.stallAfter(1, "1 second"),
          FaultServer.malformedChunkAt(1),
          FaultServer.omitDone,
          FaultServer.omitFinish,
          FaultServer.errorEventAfter(1, { message: "m" }),
          FaultServer.truncatedJson,
          FaultServer.finish("length"),
          FaultServer.forever(FaultServer.all(FaultServer.delayFirstToken(5), FaultServer.cutAfter(3)))
        ]
        const codec = Schema.fromJsonString(Schema.Array(FaultServer.Fault))
        assert.deepEqual(yield* Schema.decodeEffect(codec)(JSON.stringify(all)), all)
        assert.strictEqual(FaultServer.describe(all.at(-1) ?? {}), "delayFirstToken+cutAfter")
        assert.throws(() => FaultServer.cutAfter(-1), RangeError)
        assert.throws(() => FaultServer.stallAfter(0.5), RangeError)
        assert.throws(() => FaultServer.status(199), RangeError)
        assert.throws(() => FaultServer.delayHeaders(-5), RangeError)
        assert.throws(() => FaultServer.make({ port: 70000 }), RangeError)
      }))
  })

  describe("refusals", () => {
    const cases: ReadonlyArray<readonly [FaultServer.Fault, number, string | null, string]> = [
      [FaultServer.rateLimited(), 429, "rate_limit_exceeded", "requests"],
      [FaultServer.overloaded, 503, "server_is_overloaded", "service_unavailable_error"],
      [FaultServer.insufficientQuota, 429, "insufficient_quota", "insufficient_quota"],
      [FaultServer.contentFiltered, 400, "content_policy_violation", "invalid_request_error"],
      [
        FaultServer.contextLengthExceeded({ limit: 8192, requested: 9000 }),
        400,
        "context_length_exceeded",
        "invalid_request_error"
      ],
      [FaultServer.status(500), 500, null, "server_error"],
      [FaultServer.status(403, { code: "model_not_found" }), 403, "model_not_found", "invalid_request_error"]
    ]
    for (const [fault, status, code, type] of cases) {
      it.effect(`${FaultServer.describe(fault)}, full and streamed`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make({ script: { "*": [FaultServer.forever(fault)] } })
          for (const body of [question(), streamed()]) {
            const answer = yield* ask(server, body)
            assert.strictEqual(answer.status, status)
            assert.strictEqual(errorOf(answer.body).code, code)
            assert.strictEqual(errorOf(answer.body).type, type)
            assert.isTrue(answer.whole)
            assert.deepInclude(yield* last(server), { status, end: "complete", tokensSent: 0 })
          }
        }))
    }

    it.effect("rateLimited tells when to come back", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("*", [
          FaultServer.rateLimited({ retryAfter: "20 seconds" }),
          FaultServer.rateLimited({ retryAfter: "1500 millis" }),
          FaultServer.rateLimited()
        ])
        const answers = yield* Effect.forEach([1, 2, 3], () => ask(server, question()))
        assert.deepEqual(answers.map((answer) => answer.headers["retry-after"]), ["20", "2", undefined])
        assert.deepEqual(answers.map((answer) => answer.headers["retry-after-ms"]), [undefined, "1500", undefined])
        assert.include(answers[0]?.body, "try again in 20s")
      }))

    it.effect("status sends any body and header as given", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("*", [
          FaultServer.status(502, { body: "<h1>502</h1>", headers: { "Content-Type": "text/html" } }),
          FaultServer.status(200, { body: { error: "odd" } })
        ])
        const html = yield* ask(server, question())
        assert.deepEqual([html.status, html.body, html.headers["content-type"]], [502, "<h1>502</h1>", "text/html"])
        const odd = yield* ask(server, question())
        assert.deepEqual([odd.status, odd.body], [200, "{\"error\":\"odd\"}"])
      }))
  })

  describe("broken answers", () => {
    it.effect("resetConnection resets before a byte", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.resetConnection)
        const answer = yield* ask(server, question())
        assert.deepEqual([answer.raw, answer.closed], ["", "ECONNRESET"])
        yield* server.awaitIdle
        assert.deepInclude(yield* last(server), { fault: "resetConnection", status: undefined, end: "reset" })
      }))

    it.effect("cutAfter ends the connection after so many tokens, without the end of the message", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.cutAfter(3))
        const answer = yield* ask(server, streamed())
        assert.strictEqual(read(answer.body).tokens.length, 3)
        assert.isFalse(answer.whole)
        assert.isUndefined(read(answer.body).finish)
        yield* server.awaitIdle
        assert.deepInclude(yield* last(server), { fault: "cutAfter", status: 200, tokensSent: 3, end: "server-cut" })
      }))

    it.effect("cutAfter in full mode sends less than Content-Length announces", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.cutAfter(3))
        const answer = yield* ask(server, question())
        assert.isAbove(Number(answer.headers["content-length"]), answer.body.length)
        assert.isAbove(answer.body.length, 0)
        yield* server.awaitIdle
        assert.strictEqual((yield* last(server)).end, "server-cut")
      }))

    it.effect("malformedChunkAt breaks one chunk among good ones", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.malformedChunkAt(2))
        const answer = yield* ask(server, streamed())
        const all = events(answer.body)
        assert.deepEqual(all.flatMap((event, index) => (isJson(event) || event === "[DONE]" ? [] : [index])), [3])
        assert.isTrue(answer.whole)
        assert.strictEqual(read(answer.body).finish, "stop")
        yield* server.script("*", [FaultServer.malformedChunkAt(2)])
        const full = yield* ask(server, question())
        assert.isTrue(full.whole)
        assert.isFalse(isJson(full.body))
      }))

    it.effect("omitDone, omitFinish and finish change the end and nothing else", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const healthy = read((yield* ask(server, streamed())).body)
        const end = Effect.fnUntraced(function*(fault: FaultServer.Fault) {
          yield* server.script("*", [fault])
          const answer = yield* ask(server, streamed())
          assert.isTrue(answer.whole)
          assert.strictEqual((yield* last(server)).end, "complete")
          const stream = read(answer.body)
          assert.strictEqual(stream.text, healthy.text)
          return [stream.finish, stream.done]
        })
        assert.deepEqual(yield* end(FaultServer.omitDone), ["stop", false])
        assert.deepEqual(yield* end(FaultServer.omitFinish), [undefined, false])
        assert.deepEqual(yield* end(FaultServer.finish("content_filter")), ["content_filter", true])
        yield* server.script("*", [FaultServer.omitFinish, FaultServer.finish("length"), FaultServer.omitDone])
        const full = yield* Effect.forEach([1, 2, 3], () => ask(server, question()))
        assert.deepEqual(full.map((answer) => content(answer.body).finish_reason), [null, "length", "stop"])
      }))

    it.effect("errorEventAfter sends an error inside the stream and ends it", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const fault = FaultServer.errorEventAfter(2, { message: "Overloaded", code: "server_is_overloaded" })
        yield* server.script("*", [fault, FaultServer.errorEventAfter(0), fault])
        const [late, first, full] = yield* Effect.all([
          ask(server, streamed()),
          ask(server, streamed()),
          ask(server, question())
        ])
        assert.isTrue(late.whole)
        assert.strictEqual(read(late.body).tokens.length, 2)
        assert.deepEqual(errorOf(events(late.body).at(-1) ?? ""), {
          message: "Overloaded",
          type: "server_error",
          param: null,
          code: "server_is_overloaded"
        })
        assert.strictEqual(events(first.body).length, 2)
        assert.deepEqual([full.status, errorOf(full.body).message], [200, "Overloaded"])
      }))

    it.effect("truncatedJson ends in the middle of an object, in good order for HTTP", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ script: { "*": [FaultServer.forever(FaultServer.truncatedJson)] } })
        const full = yield* ask(server, question())
        assert.isTrue(full.whole)
        assert.isFalse(isJson(full.body))
        const stream = yield* ask(server, streamed())
        assert.isTrue(stream.whole)
        assert.isFalse(stream.body.endsWith("\n\n"))
        assert.isUndefined(read(stream.body).finish)
        assert.isFalse(isJson(events(stream.body).at(-1) ?? ""))
      }))

    it.effect("a fault beyond the end of the answer happens at its end", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const whole = read((yield* ask(server, streamed())).body)
        yield* server.script("*", [
          FaultServer.cutAfter(10_000),
          FaultServer.malformedChunkAt(10_000),
          FaultServer.errorEventAfter(10_000)
        ])
        const cut = yield* ask(server, streamed())
        assert.deepEqual([read(cut.body).text, read(cut.body).finish], [whole.text, undefined])
        const malformed = yield* ask(server, streamed())
        assert.strictEqual(read(malformed.body).tokens.length, whole.tokens.length - 1)
        const error = read((yield* ask(server, streamed())).body)
        assert.deepEqual([error.text, error.finish], [whole.text, undefined])
      }))
  })

  describe("delays", () => {
    for (const fault of [FaultServer.delayHeaders("10 seconds"), FaultServer.silence("10 seconds")]) {
      it.effect(`${FaultServer.describe(fault)} sends nothing until the time is over`, () =>
        Effect.gen(function*() {
          const server = yield* withFault(fault)
          const connection = connect(server, streamed())
          yield* asked(server)
          yield* TestClock.adjust("9 seconds")
          yield* sleep(20)
          assert.strictEqual(connection.text(), "")
          assert.strictEqual(yield* server.inFlight, 1)
          yield* TestClock.adjust("1 second")
          yield* Effect.promise(() => connection.closed)
          assert.isTrue(read(parse(connection.text()).body).done)
          const { arrivedAt, endedAt } = yield* last(server)
          assert.deepEqual([arrivedAt, endedAt], [0, 10_000])
        }))
    }

    it.effect("delayFirstToken sends headers and the role at once", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.delayFirstToken("10 seconds"))
        const connection = connect(server, streamed())
        yield* eventually("the role arrives", Effect.sync(() => connection.text().includes("assistant")))
        yield* sleep(20)
        assert.deepEqual(read(parse(connection.text()).body).tokens, [])
        yield* TestClock.adjust("10 seconds")
        yield* Effect.promise(() => connection.closed)
        assert.isTrue(read(parse(connection.text()).body).done)
      }))

    it.effect("delayBetweenTokens and pace hold back every token but the first", () =>
      Effect.gen(function*() {
        for (
          const options of [
            { script: { "*": [FaultServer.delayBetweenTokens("1 second")] } },
            { pace: "1 second" } as const
          ]
        ) {
          const server = yield* FaultServer.make(options)
          const connection = connect(server, streamed({ max_tokens: 4 }))
          for (let tokens = 1; tokens <= 4; tokens++) {
            yield* eventually("a token arrives", Effect.map(sentBy(server), (sent) => sent === tokens))
            yield* sleep(10)
            assert.strictEqual(yield* sentBy(server), tokens)
            yield* TestClock.adjust("1 second")
          }
          yield* Effect.promise(() => connection.closed)
          assert.strictEqual(read(parse(connection.text()).body).finish, "length")
        }
      }))

    it.effect("a full answer takes as long as its stream", () =>
      Effect.gen(function*() {
        const server = yield* withFault(FaultServer.delayFirstToken("2 seconds"), FaultServer.delayBetweenTokens(1000))
        const connection = connect(server, question({ max_tokens: 4 }))
        yield* asked(server)
        yield* TestClock.adjust("4 seconds")
        yield* sleep(20)
        assert.strictEqual(connection.text(), "")
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => connection.closed)
        assert.strictEqual(content(parse(connection.text()).body).finish_reason, "length")
      }))

    it.effect("stallAfter pauses, then goes on", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({
          script: { "*": [FaultServer.forever(FaultServer.stallAfter(3, "1 minute"))] }
        })
        const connection = connect(server, streamed())
        yield* eventually("three tokens", Effect.sync(() => read(parse(connection.text()).body).tokens.length === 3))
        yield* sleep(20)
        assert.strictEqual(read(parse(connection.text()).body).tokens.length, 3)
        yield* TestClock.adjust("1 minute")
        yield* Effect.promise(() => connection.closed)
        assert.isTrue(read(parse(connection.text()).body).done)

        const full = connect(server, question())
        yield* eventually("half a body", Effect.sync(() => full.text().includes("chat.completion")))
        assert.isFalse(parse(full.text()).whole)
        yield* TestClock.adjust("1 minute")
        yield* Effect.promise(() => full.closed)
        assert.isTrue(parse(full.text()).whole)
        assert.strictEqual(content(parse(full.text()).body).finish_reason, "stop")
      }))

    it.effect("faults compose: a silence that ends in a reset, a slow start that ends in a cut", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("*", [
          FaultServer.all(FaultServer.silence("5 seconds"), FaultServer.resetConnection),
          FaultServer.all(FaultServer.stallAfter(2, "5 seconds"), FaultServer.cutAfter(2))
        ])
        const silent = connect(server, question())
        yield* asked(server)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Effect.promise(() => silent.closed), "ECONNRESET")
        const slow = connect(server, streamed())
        yield* eventually("two tokens", Effect.sync(() => read(parse(slow.text()).body).tokens.length === 2))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Effect.promise(() => slow.closed), "end")
        assert.isFalse(parse(slow.text()).whole)
      }))
  })

  describe("requests that are not valid", () => {
    const refused = Effect.fnUntraced(function*(
      body: unknown,
      expected: { readonly status: number; readonly param?: string | null; readonly code?: string | null },
      options?: Parameters<typeof connect>[2]
    ) {
      const server = yield* FaultServer.make({
        apiKey: "right",
        models: ["test-model"],
        maxBodyBytes: 4000,
        script: { "*": [FaultServer.forever(FaultServer.status(418))] }
      })
      const answer = yield* ask(server, body, { headers: { authorization: "Bearer right" }, ...options })
      const error = errorOf(answer.body)
      assert.strictEqual(answer.status, expected.status)
      assert.strictEqual(error.type, "invalid_request_error")
      if (expected.param !== undefined) assert.strictEqual(error.param, expected.param)
      if (expected.code !== undefined) assert.strictEqual(error.code, expected.code)
      assert.deepInclude(yield* last(server), { status: expected.status, fault: undefined, end: "complete" })
      return { answer, error }
    })

    it.effect("wrong paths, methods and bodies", () =>
      Effect.gen(function*() {
        yield* refused(question(), { status: 404 }, { path: "/v1/chat" })
        const { answer } = yield* refused("", { status: 405, code: "method_not_supported" }, { method: "GET" })
        assert.strictEqual(answer.headers["allow"], "POST")
        yield* refused("{\"model\":", { status: 400, param: null })
        yield* refused("", { status: 400, param: null })
        yield* refused(question({ padding: "x".repeat(5000) }), { status: 413 })
      }))

    it.effect("keys", () =>
      Effect.gen(function*() {
        const wrong = yield* refused(question(), { status: 401, code: "invalid_api_key" }, {
          headers: { authorization: "Bearer wrong-key" }
        })
        assert.notInclude(wrong.answer.raw, "wrong-key")
        yield* refused(question(), { status: 401, code: "invalid_api_key" }, { headers: { "api-key": "wrong-key" } })
        yield* refused(question(), { status: 401, code: null }, { headers: {} })
      }))

    it.effect("fields", () =>
      Effect.gen(function*() {
        const user = { role: "user", content: "hi" }
        const tool = { type: "function", function: { name: "f" } }
        const cases: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
          [{ messages: [user] }, "model"],
          [{ model: 1, messages: [user] }, "model"],
          [{ model: "test-model" }, "messages"],
          [question({ messages: "hi" }), "messages"],
          [question({ messages: [] }), "messages"],
          [question({ messages: [{ role: "robot", content: "" }] }), "messages[0].role"],
          [question({ messages: [user, { role: "user", content: 5 }] }), "messages[1].content"],
          [question({ n: 2 }), "n"],
          [question({ stream: "yes" }), "stream"],
          [question({ stream_options: { include_usage: true } }), "stream_options"],
          [question({ max_tokens: 0 }), "max_tokens"],
          [question({ max_completion_tokens: 1.5 }), "max_completion_tokens"],
          [question({ stop: ["1", "2", "3", "4", "5"] }), "stop"],
          [question({ tool_choice: "auto" }), "tool_choice"],
          [question({ tools: [tool], tool_choice: { type: "function", function: { name: "g" } } }), "tool_choice"],
          [question({ tools: [{ type: "function" }] }), "tools[0].function"],
          [question({ response_format: { type: "xml" } }), "response_format.type"],
          [question({ response_format: { type: "json_schema" } }), "response_format.json_schema"]
        ]
        for (const [body, param] of cases) yield* refused(body, { status: 400, param })
        yield* refused(question({ model: "other" }), { status: 404, code: "model_not_found" })
      }))
  })

  describe("the log", () => {
    it.effect("keeps what was asked, and never a key", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ apiKey: "sk-secret" })
        yield* ask(server, streamed(), {
          path: "/v1/chat/completions?api-key=sk-secret",
          headers: {
            authorization: "Bearer sk-secret",
            "api-key": "sk-secret",
            cookie: "sk-secret",
            "x-tenant": "acme"
          }
        })
        yield* ask(server, "not json", { headers: { "api-key": "sk-secret" } })
        const log = yield* server.requests
        assert.notInclude(JSON.stringify(log), "sk-secret")
        assert.deepInclude(log[0], {
          index: 0,
          arrivedAt: 0,
          method: "POST",
          path: "/v1/chat/completions",
          model: "test-model",
          stream: true,
          fault: "healthy",
          status: 200,
          end: "complete",
          endedAt: 0
        })
        assert.strictEqual(log[0]?.headers["x-tenant"], "acme")
        assert.deepEqual(log[0]?.body, streamed())
        assert.deepInclude(log[1], { index: 1, body: undefined, model: undefined, fault: undefined, status: 400 })
      }))

    it.effect("lists the models served, scripted or asked for", () =>
      Effect.gen(function*() {
        const names = Effect.fnUntraced(function*(options: FaultServer.Options) {
          const server = yield* FaultServer.make(options)
          yield* server.script("scripted", [])
          yield* ask(server, question({ model: "asked" }))
          const answer = yield* ask(server, "", { method: "GET", path: "/v1/models" })
          const list = JSON.parse(answer.body) as { data: Array<{ id: string; object: string }> }
          return list.data.map((model) => model.id)
        })
        assert.deepEqual(yield* names({}), ["asked", "scripted"])
        assert.deepEqual(yield* names({ models: ["only"] }), ["only"])
      }))
  })

  describe("lifetime", () => {
    it.live("a client that hangs up is noticed, and nothing is left behind", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({
          pace: "5 millis",
          script: { quiet: [FaultServer.silence()], stalled: [FaultServer.stallAfter(1)] }
        })
        const paced = connect(server, streamed())
        yield* eventually("two tokens", Effect.sync(() => read(parse(paced.text()).body).tokens.length >= 2))
        const quiet = connect(server, question({ model: "quiet" }))
        const stalled = connect(server, streamed({ model: "stalled" }))
        yield* eventually("three in flight", Effect.map(server.inFlight, (count) => count === 3))
        yield* eventually("a token", Effect.sync(() => read(parse(stalled.text()).body).tokens.length === 1))
        for (const { socket } of [paced, quiet, stalled]) socket.destroy()
        yield* server.awaitIdle
        const log = yield* server.requests
        assert.deepEqual(log.map((request) => request.end), ["client-closed", "client-closed", "client-closed"])
        const sent = log.map((request) => request.tokensSent)
        yield* sleep(50)
        assert.deepEqual((yield* server.requests).map((request) => request.tokensSent), sent)
        assert.strictEqual(yield* server.inFlight, 0)
        yield* eventually("no sockets", Effect.map(server.openConnections, (count) => count === 0))
      }))

    it.live("a client that hangs up while it sends is noticed too", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const { socket } = connect(server, "{", { headers: { "content-length": "1000" } })
        yield* eventually("in flight", Effect.map(server.inFlight, (count) => count === 1))
        socket.destroy()
        yield* server.awaitIdle
        assert.deepInclude(yield* last(server), { end: "client-closed", status: undefined })
      }))

    it.live("a client that does not read holds the stream back", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const schema = { type: "array", items: { type: "string" }, minItems: 40_000 }
        const connection = connect(
          server,
          streamed({
            response_format: { type: "json_schema", json_schema: { name: "long", schema } }
          })
        )
        yield* Effect.promise(() => new Promise<void>((resolve) => connection.socket.once("data", () => resolve())))
        connection.socket.pause()
        const sent = sentBy(server)
        let before = -1
        let still = 0
        yield* eventually(
          "the stream stands still",
          Effect.map(sent, (now) => {
            still = now === before && now > 0 ? still + 1 : 0
            before = now
            return still === 20
          })
        )
        assert.isUndefined((yield* last(server)).end)
        connection.socket.resume()
        yield* Effect.promise(() => connection.closed)
        assert.isAbove(yield* sent, before)
        assert.isTrue(parse(connection.text()).whole)
        assert.strictEqual((yield* last(server)).end, "complete")
      }), 30_000)

    it.live("closing the scope ends every response at once", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* FaultServer.make({
          script: { quiet: [FaultServer.silence()], stalled: [FaultServer.forever(FaultServer.stallAfter(1))] }
        }).pipe(Scope.provide(scope))
        const connections: ReadonlyArray<Connection> = [
          connect(server, question({ model: "quiet" })),
          connect(server, streamed({ model: "stalled" })),
          connect(server, question({ model: "stalled" })),
          connect(server, "{", { headers: { "content-length": "1000" } })
        ]
        yield* eventually("in flight", Effect.map(server.inFlight, (count) => count === connections.length))
        yield* Scope.close(scope, Exit.void)
        for (const { closed } of connections) yield* Effect.promise(() => closed)
        assert.isTrue((yield* server.requests).every((request) => request.end === "server-cut"))
        assert.strictEqual(yield* server.inFlight, 0)
        assert.strictEqual(yield* server.openConnections, 0)
        const again = connect(server, question())
        assert.strictEqual(yield* Effect.promise(() => again.closed), "ECONNREFUSED")
      }))

    it.live("a port in use is a typed failure, and a freed one can be used again", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const first = yield* FaultServer.make().pipe(Scope.provide(scope))
        const port = Number(new URL(first.url).port)
        const error = yield* Effect.flip(FaultServer.make({ port }))
        assert.strictEqual(error._tag, "FaultServerError")
        assert.include(error.message, String(port))
        yield* Scope.close(scope, Exit.void)
        const second = yield* FaultServer.make({ port })
        assert.strictEqual(second.url, first.url)
      }))

    it.live("awaitIdle waits for the response to be closed", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ pace: "2 millis" })
        yield* server.awaitIdle
        const connection = connect(server, streamed())
        yield* eventually("in flight", Effect.map(server.inFlight, (count) => count === 1))
        const idle = yield* Effect.forkChild(server.awaitIdle, { startImmediately: true })
        assert.isUndefined(idle.pollUnsafe())
        yield* Fiber.join(idle)
        assert.strictEqual((yield* last(server)).end, "complete")
        yield* Effect.promise(() => connection.closed)
      }))
  })

  it.layer(FaultServer.layer({ apiKey: "shared" }))("as a layer", (shared) => {
    shared.effect("is one server for all", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.FaultServer
        const answer = yield* ask(server, question(), { headers: { "api-key": "shared" } })
        assert.strictEqual(answer.status, 200)
      }))
    shared.effect("whose log the next test sees", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.FaultServer
        assert.strictEqual((yield* server.requests).length, 1)
      }))
  })
})
