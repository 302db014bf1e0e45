/**
 * A model behind a real connection: Chat Completions behind `Llm.layerLanguageModel`, as a provider again. Every fault is the
 * failure that it is without the way round, and nothing stays open.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { LanguageModelProvider, OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"
import { llm, P } from "./support/scriptedModel.ts"

class Inner extends Provider.Service<Inner>()("inner") {}

const bridged = (server: FaultServer.FaultServer) =>
  LanguageModelProvider.layer(P).pipe(
    Layer.provide(Llm.layerLanguageModel(Llm.model(Inner, "m"))),
    Layer.provide(OpenAiChat.layer(Inner, { baseUrl: server.url })),
    Layer.provide(FetchHttpClient.layer)
  )

const prompt = "The first sentence says something. The second sentence says more. The third one says the rest."

const outcome = <A>(run: Effect.Effect<A, LlmError.LlmError, P>): Effect.Effect<string, never, P> =>
  Effect.match(run, {
    onFailure: (error) => error._tag === "StreamInterrupted" ? `${error._tag} ${error.reason}` : error._tag,
    onSuccess: () => "success"
  })

const cases: ReadonlyArray<readonly [fault: FaultServer.Fault, whole: string, streamed: string]> = [
  [FaultServer.healthy, "success", "success"],
  [FaultServer.rateLimited({ retryAfter: "1 second" }), "RateLimited", "RateLimited"],
  [FaultServer.overloaded, "Overloaded", "Overloaded"],
  [FaultServer.insufficientQuota, "QuotaExhausted", "QuotaExhausted"],
  [FaultServer.contentFiltered, "ContentFiltered", "ContentFiltered"],
  [FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }), "ContextLengthExceeded", "ContextLengthExceeded"],
  [FaultServer.resetConnection, "ConnectionFailed", "ConnectionFailed"],
  [FaultServer.truncatedJson, "MalformedResponse", "StreamInterrupted unfinished"],
  [FaultServer.omitFinish, "success", "StreamInterrupted unfinished"],
  [FaultServer.errorEventAfter(2), "ServerError", "StreamInterrupted failed"],
  [FaultServer.finish("content_filter"), "ContentFiltered", "StreamInterrupted failed"]
]

describe("a model over HTTP", () => {
  for (const [index, [fault, whole, streamed]] of cases.entries()) {
    it.effect(`${index}: ${FaultServer.describe(fault)}`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", [fault, fault])
        // An account each, since one that has been told to wait waits.
        const answered = outcome(Llm.generateText(llm, { prompt }))
        assert.strictEqual(yield* Effect.provide(answered, bridged(server)), whole)
        const flowed = outcome(Stream.runDrain(Llm.streamText(llm, { prompt })))
        assert.strictEqual(yield* Effect.provide(flowed, bridged(server)), streamed)
        assert.strictEqual((yield* server.requests).length, 2)
      }))
  }

  it.effect("is retried by the policies around it, once a request", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", [FaultServer.overloaded, FaultServer.resetConnection, FaultServer.healthy])
      const answer = yield* Llm.generateText(llm.pipe(Llm.retry(Schedule.recurs(2))), { prompt }).pipe(
        Effect.provide(bridged(server))
      )
      assert.deepStrictEqual(answer.receipt.attempts.map((attempt) => attempt.outcome), [
        "Overloaded",
        "ConnectionFailed",
        "success"
      ])
      assert.strictEqual((yield* server.requests).length, 3)
    }))

  it.effect("writes objects of their schema", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const schema = Schema.Struct({ title: Schema.String, points: Schema.Array(Schema.String) })
      const answer = yield* Llm.generateObject(llm, { prompt, schema }).pipe(Effect.provide(bridged(server)))
      assert.isTrue(Schema.is(schema)(answer.value))
      const direct = yield* Llm.generateObject(Llm.model(Inner, "m"), { prompt, schema }).pipe(
        Effect.provide(
          OpenAiChat.layer(Inner, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
        )
      )
      assert.isTrue(Schema.is(schema)(direct.value))
      // To the server it makes no difference.
      const bodies = (yield* server.requests).map(({ body }) => body)
      assert.deepStrictEqual(bodies[0], bodies[1])
    }))

  for (const mode of ["whole", "streamed"]) {
    it.effect(`that is ${mode} hangs up when the call is interrupted`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", [mode === "whole" ? FaultServer.silence() : FaultServer.stallAfter(1)])
        const run: Effect.Effect<unknown, LlmError.LlmError, P> = mode === "whole"
          ? Llm.generateText(llm, { prompt })
          : Stream.runDrain(Llm.streamText(llm, { prompt }))
        const fiber = yield* run.pipe(Effect.provide(bridged(server)), Effect.forkChild({ startImmediately: true }))
        // A real server: turns of the event loop, until it has the request.
        while ((yield* server.requests)[0]?.fault === undefined) {
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* Fiber.interrupt(fiber)
        yield* server.awaitIdle
        assert.strictEqual((yield* server.requests)[0]?.end, "client-closed")
      }))
  }
})
