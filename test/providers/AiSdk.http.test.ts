/**
 * What the packages of the AI SDK do over real sockets: OpenAI's and Anthropic's of specification v4, and v3 of those for servers
 * like OpenAI's.
 */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import { FaultServer } from "effect-bulwark/testing"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Messages from "./support/messagesWire.ts"
import * as Replay from "./support/replayServer.ts"
import { P } from "./support/request.ts"
import * as Responses from "./support/responsesWire.ts"
import { overSockets, type Words } from "./support/socketSuite.ts"
import * as Wire from "./support/wire.ts"

interface Options {
  readonly baseUrl: string
  readonly apiKey?: Redacted.Redacted<string>
}

// A redirect would take the key to wherever it points.
const fetchHere: typeof fetch = (input, init) => fetch(input, { ...init, redirect: "manual" })

const settings = ({ apiKey, baseUrl }: Options) => ({
  baseURL: baseUrl,
  apiKey: apiKey === undefined ? "k" : Redacted.value(apiKey),
  fetch: fetchHere
})

const sources: { readonly [name: string]: (options: Options) => AiSdk.Source } = {
  "OpenAI, Chat Completions": (options) => createOpenAI(settings(options)).chat,
  "OpenAI, Responses": (options) => createOpenAI(settings(options)),
  "Anthropic": (options) => createAnthropic(settings(options)),
  "OpenAI-compatible, v3": (options) =>
    createOpenAICompatible({ name: "compatible", ...settings(options), includeUsage: true })
}

const isStreamed = ({ body }: Replay.Recorded) => /"stream":true/.test(body)

const chat: Words = {
  path: "/chat/completions",
  isStreamed,
  answer: (content) => Wire.answer({ content }),
  stream: Wire.streamOf,
  begun: (...words) => words.map(Wire.textChunk).join(""),
  error: Wire.event({ error: { message: "no", type: "server_error", code: null, param: null } })
}

const wires: { readonly [name: string]: Words } = {
  "OpenAI, Chat Completions": chat,
  "OpenAI, Responses": {
    path: "/responses",
    isStreamed,
    answer: Responses.textAnswer,
    stream: Responses.streamOf,
    begun: Responses.begun,
    error: Responses.error("server_error", "no")
  },
  "Anthropic": {
    path: "/messages",
    isStreamed,
    answer: Messages.textAnswer,
    stream: (...words) => Messages.streamOf(Messages.textBlock(0, ...words)),
    begun: Messages.begun,
    error: Messages.error("api_error", "no")
  },
  "OpenAI-compatible, v3": chat
}

// The packages bring `fetch` along, so that no other client is used.
for (const [name, wire] of Object.entries(wires)) {
  describe(name, () => {
    overSockets((options) => AiSdk.layer(P, sources[name]!(options)), wire, {
      "the package's fetch": FetchHttpClient.layer
    })
  })
}

const llm = Llm.model(P, "model-x")

const ask = Llm.generateText(llm, { prompt: "Hello?" })

const read = Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" }))

const withSource = (source: AiSdk.Source) => Effect.provide(AiSdk.layer(P, source), { local: true })

const failing = (source: AiSdk.Source, mode: Effect.Effect<unknown, LlmError.ProviderError, P>) =>
  mode.pipe(Effect.flip, withSource(source), Effect.catch(() => Effect.die("it has not failed")))

const errorBodies: { readonly [name: string]: (type: string, message: string) => string } = {
  "OpenAI, Chat Completions": (code, message) => JSON.stringify({ error: { message, type: "x", code, param: null } }),
  "OpenAI, Responses": (code, message) => JSON.stringify({ error: { message, type: "x", code, param: null } }),
  "Anthropic": (type, message) => JSON.stringify({ type: "error", error: { type, message } }),
  "OpenAI-compatible, v3": (code, message) => JSON.stringify({ error: { message, type: "x", code, param: null } })
}

const tooLong = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."

describe("errors of servers", () => {
  const kinds: ReadonlyArray<readonly [status: number, type: string, message: string, tag: string]> = [
    [400, "x", tooLong, "ContextLengthExceeded"],
    [400, "x", "no", "InvalidRequest"],
    [401, "invalid_api_key", "no", "AuthenticationFailed"],
    [403, "permission_error", "no", "PermissionDenied"],
    [404, "model_not_found", "no", "ModelNotFound"],
    [429, "rate_limit_exceeded", "no", "RateLimited"],
    [429, "insufficient_quota", "no", "QuotaExhausted"],
    [500, "x", "no", "ServerError"],
    [503, "x", "no", "Overloaded"],
    [529, "overloaded_error", "no", "Overloaded"]
  ]
  for (const name of Object.keys(sources)) {
    for (const [status, type, message, tag] of kinds) {
      it.effect(`${name}: ${status} ${type} is ${tag}`, () =>
        Effect.gen(function*() {
          const server = yield* Replay.make
          const headers = { "content-type": "application/json", "retry-after": "3", "x-request-id": "req_1" }
          server.onRequest(Replay.reply({ status, headers, body: errorBodies[name]!(type, message) }))
          for (const mode of [ask, read]) {
            server.requests.length = 0
            const error = yield* failing(sources[name]!({ baseUrl: server.url }), mode)
            assert.strictEqual(error._tag, tag)
            assert.strictEqual(error.status, status)
            assert.strictEqual(error.requestId, "req_1")
            assert.deepStrictEqual(error.retryAfter, Duration.seconds(3))
            assert.strictEqual(server.requests.length, 1)
          }
        }))
    }

    it.effect(`${name}: a status without a body is known by itself, and no answer is none`, () =>
      Effect.gen(function*() {
        const server = yield* Replay.make
        const source = sources[name]!({ baseUrl: server.url })
        for (
          const [reply, tag] of [
            [{ status: 500, body: "" }, "ServerError"],
            [{ status: 401, body: "<html>no</html>" }, "AuthenticationFailed"],
            [{ body: "<html>hi</html>" }, "MalformedResponse"],
            [{ body: "{\"id\":" }, "MalformedResponse"],
            [{ body: "{}" }, "MalformedResponse"]
          ] as const
        ) {
          server.onRequest(Replay.reply(reply))
          assert.strictEqual((yield* failing(source, ask))._tag, tag)
        }
      }))

    it.effect(`${name}: a stream that ends too early is interrupted`, () =>
      Effect.gen(function*() {
        const server = yield* Replay.make
        server.onRequest(Replay.reply({ body: wires[name]!.begun("one", " two") }))
        const error = yield* failing(sources[name]!({ baseUrl: server.url }), read)
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), "one two")
      }))

    it.effect(`${name}: an error after the first words interrupts the stream`, () =>
      Effect.gen(function*() {
        const server = yield* Replay.make
        server.onRequest(Replay.reply({ body: wires[name]!.begun("one") + wires[name]!.error, cuts: 40 }))
        const error = yield* failing(sources[name]!({ baseUrl: server.url }), read)
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.failure?._tag, "ServerError")
        assert.strictEqual(Redacted.value(error.partial), "one")
      }))
  }
})

const weather = Tool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
const toolkit = Toolkit.make(weather)
const handlers = toolkit.toLayer({ weather: ({ city }) => Effect.succeed(`fine in ${city}`) })

describe("tools", () => {
  const call = { id: "c1", type: "function", function: { name: "weather", arguments: "{\"city\":\"Bern\"}" } }
  const item = Responses.call("weather", call.function.arguments, { call_id: "c1" })
  const answers: { readonly [name: string]: { readonly whole: string; readonly streamed: string } } = {
    "OpenAI, Chat Completions": {
      whole: Wire.answer({ content: null, tool_calls: [call] }, { finish_reason: "tool_calls" }),
      streamed: Wire.event(Wire.chunk({ tool_calls: [{ index: 0, ...call }] })) + Wire.finishChunk("tool_calls") +
        Wire.done
    },
    "OpenAI, Responses": {
      whole: Responses.answer([item]),
      streamed: Responses.created() +
        Responses.callItem(0, "weather", ["{\"city\":\"Bern\"}"], { id: "fc_1", call_id: "c1" }) +
        Responses.completed([item])
    },
    "Anthropic": {
      whole: Messages.answer([{ type: "tool_use", id: "c1", name: "weather", input: { city: "Bern" } }], {
        stop_reason: "tool_use"
      }),
      streamed: Messages.streamOf(Messages.callBlock(0, "c1", "weather", "{\"city\":", "\"Bern\"}"), "tool_use")
    },
    get "OpenAI-compatible, v3"() {
      return this["OpenAI, Chat Completions"]!
    }
  }
  for (const name of Object.keys(sources)) {
    it.effect(`${name}: are offered, called and answered`, () =>
      Effect.gen(function*() {
        const server = yield* Replay.make
        server.onRequest((request, response) =>
          Replay.reply({ body: answers[name]![isStreamed(request) ? "streamed" : "whole"] })(request, response)
        )
        const options = { prompt: "Weather?", toolkit }
        yield* Effect.gen(function*() {
          const whole = yield* Llm.generateText(llm, options)
          assert.strictEqual(whole.finishReason, "tool-calls")
          assert.deepStrictEqual(whole.toolResults.map(({ result }) => result), ["fine in Bern"])
          const parts = yield* Stream.runCollect(Llm.streamText(llm, options))
          const results = parts.flatMap((part) => part.type === "tool-result" ? [part.result] : [])
          assert.deepStrictEqual(results, ["fine in Bern"])
        }).pipe(withSource(sources[name]!({ baseUrl: server.url })), Effect.provide(handlers))
        assert.include(server.requests[0]?.body, "\"weather\"")
      }))
  }
})

describe("FaultServer", () => {
  const packages = ["OpenAI, Chat Completions", "OpenAI-compatible, v3"] as const
  for (const name of packages) {
    it.effect(`${name}: answers, whole and streamed, with usage`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ answers: { "model-x": "Good morning." } })
        const source = sources[name]!({ baseUrl: server.url })
        yield* Effect.gen(function*() {
          const whole = yield* ask
          assert.strictEqual(whole.text, "Good morning.")
          assert.strictEqual(whole.finishReason, "stop")
          assert.isAbove(whole.usage.outputTokens.total ?? 0, 0)
          const words = yield* Stream.runCollect(Llm.textDeltas(Llm.streamText(llm, { prompt: "Hello?" })))
          assert.isAbove(words.length, 1)
          assert.strictEqual(words.join(""), "Good morning.")
        }).pipe(withSource(source))
        assert.lengthOf(yield* server.requests, 2)
      }))

    it.effect(`${name}: JSON of a schema`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const schema = Schema.Struct({ name: Schema.String, tags: Schema.Array(Schema.String) })
        const source = name === "OpenAI-compatible, v3"
          ? createOpenAICompatible({ name: "c", baseURL: server.url, supportsStructuredOutputs: true })
          : sources[name]!({ baseUrl: server.url })
        const { value } = yield* Llm.generateObject(llm, { prompt: "Who?", schema }).pipe(withSource(source))
        assert.isString(value.name)
      }))

    it.effect(`${name}: faults, one request each`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const faults: ReadonlyArray<readonly [Parameters<typeof server.script>[1][number], string]> = [
          [FaultServer.rateLimited({ retryAfter: "2 seconds" }), "RateLimited"],
          [FaultServer.cutAfter(2), "StreamInterrupted"]
        ]
        for (const [fault, tag] of faults) {
          yield* server.reset
          yield* server.script("model-x", [fault])
          const error = yield* failing(sources[name]!({ baseUrl: server.url }), read)
          assert.strictEqual(error._tag, tag)
          if (tag === "RateLimited") assert.deepStrictEqual(error.retryAfter, Duration.seconds(2))
          assert.lengthOf(yield* server.requests, 1)
        }
      }))

    it.effect(`${name}: interruption hangs up`, () =>
      Effect.gen(function*() {
        // Under the clock of tests, the pace never passes.
        const server = yield* FaultServer.make({ pace: "1 second", answers: { "model-x": "one two three" } })
        const first = yield* Deferred.make<void>()
        const fiber = yield* Llm.streamText(llm, { prompt: "Hello?" }).pipe(
          Stream.runForEach(() => Deferred.succeed(first, undefined)),
          withSource(sources[name]!({ baseUrl: server.url })),
          Effect.forkChild({ startImmediately: true })
        )
        while ((yield* server.requests).length === 0) yield* Effect.promise(() => new Promise(setImmediate))
        yield* Fiber.interrupt(fiber)
        yield* server.awaitIdle
        assert.strictEqual((yield* server.requests)[0]?.end, "client-closed")
      }))
  }
})
