/**
 * The adapters against the fault server: every fault becomes the failure it is, whole and streamed, whoever speaks.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, LlmError } from "effect-bulwark"
import { AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { countTokens } from "../../src/testing/internal/tokens.ts"

class P extends Provider.Service<P>()("p") {}

type Adapter = (
  options: { readonly baseUrl: string; readonly apiKey: Redacted.Redacted<string> }
) => Layer.Layer<P, never, HttpClient.HttpClient>

/** Each reads the same faults in the words of its own protocol, and has to come to the same. */
const adapters: ReadonlyArray<readonly [FaultServer.DialectName, Adapter]> = [
  ["openai-chat", (options) => OpenAiChat.layer(P, options)],
  ["openai-responses", (options) => OpenAiResponses.layer(P, options)],
  ["anthropic-messages", (options) => AnthropicMessages.layer(P, options)],
  ["gemini", (options) => Gemini.layer(P, options)]
]

/** Of what they tell how much is left; Gemini does not, before it is used up. */
const limits: { readonly [Name in FaultServer.DialectName]: ReadonlyArray<string> } = {
  "openai-chat": ["requests", "tokens"],
  "openai-responses": ["requests", "tokens"],
  "anthropic-messages": ["input-tokens", "output-tokens", "requests", "tokens"],
  gemini: []
}

const toolkit = Toolkit.make(Tool.make("get_weather", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String
}))

const handlers = toolkit.toLayer({ get_weather: ({ city }) => Effect.succeed(`It rains in ${city}.`) })

const llm = Llm.model(P, "m")

const prompt = "The first sentence says something. The second sentence says more. The third one says the rest."

const outcome = <A>(run: Effect.Effect<A, LlmError.LlmError, P>): Effect.Effect<string, never, P> =>
  Effect.match(run, {
    onFailure: (error) =>
      error._tag !== "StreamInterrupted"
        ? error._tag
        : `${error._tag} ${error.reason}${error.failure === undefined ? "" : ` ${error.failure._tag}`}`,
    onSuccess: () => "success"
  })

type Expected = string | { readonly [Name in FaultServer.DialectName]?: string } & { readonly others: string }

const expected = (name: FaultServer.DialectName, outcome: Expected): string =>
  typeof outcome === "string" ? outcome : outcome[name] ?? outcome.others

const cases: ReadonlyArray<readonly [fault: FaultServer.Fault, whole: Expected, streamed: string]> = [
  [FaultServer.healthy, "success", "success"],
  [FaultServer.rateLimited({ retryAfter: "1 second" }), "RateLimited", "RateLimited"],
  [FaultServer.overloaded, "Overloaded", "Overloaded"],
  [FaultServer.insufficientQuota, "QuotaExhausted", "QuotaExhausted"],
  [FaultServer.contentFiltered, "ContentFiltered", "ContentFiltered"],
  [FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }), "ContextLengthExceeded", "ContextLengthExceeded"],
  [FaultServer.status(400), "InvalidRequest", "InvalidRequest"],
  [FaultServer.status(401), "AuthenticationFailed", "AuthenticationFailed"],
  [FaultServer.status(403), "PermissionDenied", "PermissionDenied"],
  [FaultServer.status(500), "ServerError", "ServerError"],
  [
    FaultServer.status(502, { body: "<html></html>", headers: { "content-type": "text/html" } }),
    "ServerError",
    "ServerError"
  ],
  [FaultServer.status(503), "Overloaded", "Overloaded"],
  [FaultServer.status(504), "RequestTimeout", "RequestTimeout"],
  [FaultServer.resetConnection, "ConnectionFailed", "ConnectionFailed"],
  [FaultServer.cutAfter(2), "ConnectionFailed", "StreamInterrupted closed ConnectionFailed"],
  [FaultServer.truncatedJson, "MalformedResponse", "StreamInterrupted unfinished"],
  [FaultServer.omitDone, "success", "success"],
  // Only a response of the Responses API says that it is still in progress.
  [
    FaultServer.omitFinish,
    { "openai-responses": "MalformedResponse", others: "success" },
    "StreamInterrupted unfinished"
  ],
  [FaultServer.malformedChunkAt(1), "MalformedResponse", "success"],
  [FaultServer.errorEventAfter(0), "ServerError", "ServerError"],
  [FaultServer.errorEventAfter(2), "ServerError", "StreamInterrupted failed ServerError"],
  [FaultServer.errorEventAfter(2, { reason: "overloaded" }), "Overloaded", "StreamInterrupted failed Overloaded"],
  [
    FaultServer.errorEventAfter(2, { reason: "rateLimited", retryAfter: 1000 }),
    "RateLimited",
    "StreamInterrupted failed RateLimited"
  ],
  [FaultServer.finish("length"), "success", "success"],
  [FaultServer.finish("content_filter"), "ContentFiltered", "StreamInterrupted failed ContentFiltered"]
]

for (const [name, adapter] of adapters) {
  /** An account of its own, since one that has been told to wait waits. */
  const account = (server: FaultServer.FaultServer, key = "right") =>
    adapter({ baseUrl: server.url, apiKey: Redacted.make(key) }).pipe(Layer.provide(FetchHttpClient.layer))

  const ask = (server: FaultServer.FaultServer, model = llm) =>
    Llm.generateText(model, { prompt }).pipe(Effect.provide(account(server)))

  const flow = (server: FaultServer.FaultServer) =>
    Stream.runCollect(Llm.textDeltas(Llm.streamText(llm, { prompt }))).pipe(Effect.provide(account(server)))

  describe(`${name} against the fault server`, () => {
    for (const [index, [fault, whole, streamed]] of cases.entries()) {
      it.effect(`${index}: ${FaultServer.describe(fault)}`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make({ script: { m: [fault, fault] } })
          const answered = outcome(Llm.generateText(llm, { prompt }))
          assert.strictEqual(yield* Effect.provide(answered, account(server), { local: true }), expected(name, whole))
          const flowed = outcome(Stream.runDrain(Llm.streamText(llm, { prompt })))
          assert.strictEqual(yield* Effect.provide(flowed, account(server), { local: true }), streamed)
          const log = yield* server.requests
          assert.deepStrictEqual(log.map(({ dialect, stream }) => ({ dialect, stream })), [
            { dialect: name, stream: false },
            { dialect: name, stream: true }
          ])
        }))
    }

    it.effect("says the same whole and streamed, and at the same price", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ apiKey: "right", answers: { m: "One two three, four five six." } })
        const whole = yield* ask(server)
        assert.strictEqual(whole.text, "One two three, four five six.")
        assert.strictEqual(whole.finishReason, "stop")
        assert.strictEqual((yield* flow(server)).join(""), whole.text)
        const { inputUncached, outputText } = whole.receipt.usage
        assert.strictEqual(inputUncached, countTokens(prompt))
        assert.strictEqual(outputText, countTokens(whole.text))
        const log = yield* server.requests
        assert.deepStrictEqual(log.map(({ tokensSent }) => tokensSent), [outputText, outputText])
      }))

    it.effect("is told how long to wait, and how much is too much", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({
          script: {
            m: [
              FaultServer.rateLimited({ retryAfter: "20 seconds" }),
              FaultServer.contextLengthExceeded({ limit: 8192, requested: 9000 })
            ]
          }
        })
        const limited = yield* Effect.flip(ask(server))
        assert.deepStrictEqual(LlmError.retryAfter(limited), Duration.seconds(20))
        const long = yield* Effect.flip(ask(server))
        assert(long._tag === "ContextLengthExceeded")
        // Responses does not tell them
        const numbers = name === "openai-responses" ? [undefined, undefined] : [8192, 9000]
        assert.deepStrictEqual([long.limit, long.requested], numbers)
      }))

    it.effect("a key and a model that are not right", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ apiKey: "right", models: ["m"] })
        const wrong = yield* Llm.generateText(llm, { prompt }).pipe(
          Effect.provide(account(server, "wrong")),
          Effect.flip
        )
        assert.strictEqual(wrong._tag, "AuthenticationFailed")
        assert.strictEqual((yield* Effect.flip(ask(server, Llm.model(P, "other"))))._tag, "ModelNotFound")
        assert.strictEqual(yield* outcome(ask(server)).pipe(Effect.provide(account(server))), "success")
      }))

    it.effect("objects are of their schema", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const schema = Schema.Struct({
          title: Schema.String,
          points: Schema.Array(Schema.String),
          source: Schema.NullOr(Schema.String)
        })
        const answer = yield* Llm.generateObject(llm, { prompt, schema }).pipe(Effect.provide(account(server)))
        assert.isTrue(Schema.is(schema)(answer.value))
        assert.include(prompt, answer.value.points[0] ?? "?")
      }))

    it.effect("tools are called with what they take, and what they give is quoted", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const question = { prompt: "What is the weather in Paris today?", toolkit }
        const called = yield* Llm.generateText(llm, question).pipe(Effect.provide([account(server), handlers]))
        assert.strictEqual(called.finishReason, "tool-calls")
        assert.deepStrictEqual(called.toolCalls.map(({ name, params }) => ({ name, params })), [
          { name: "get_weather", params: { city: "Paris" } }
        ])
        assert.strictEqual(called.toolResults[0]?.result, "It rains in Paris.")
        const flowed = yield* Stream.runCollect(Llm.streamText(llm, question)).pipe(
          Effect.provide([account(server), handlers])
        )
        const ofTool = (type: "tool-call" | "tool-result") => flowed.filter((part) => part.type === type)
        assert.deepInclude(ofTool("tool-call")[0], { name: "get_weather", params: { city: "Paris" } })
        assert.deepInclude(ofTool("tool-result")[0], { result: "It rains in Paris." })
        const answered = yield* Llm.generateText(llm, {
          prompt: Prompt.concat(Prompt.make(question.prompt), Prompt.fromResponseParts(called.content)),
          toolkit
        }).pipe(Effect.provide([account(server), handlers]))
        assert.include(answered.text, "According to get_weather: \"It rains in Paris.\".")
        assert.strictEqual(answered.finishReason, "stop")
      }))

    it.effect("hears of its limits where the API tells them", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const heard: Array<string> = []
        const listening: typeof llm = Llm.make({
          plan: llm.plan,
          open: (call) =>
            llm.open({
              ...call,
              pulse: {
                attempt: () => {},
                response: (limits) => heard.push(...limits.map(({ resource }) => resource)),
                parts: () => {},
                failed: () => {}
              }
            })
        })
        yield* ask(server, listening)
        assert.deepStrictEqual(heard.toSorted(), limits[name])
      }))
  })
}
