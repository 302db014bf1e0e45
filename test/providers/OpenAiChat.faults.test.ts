/**
 * Chat Completions against the fault server: every fault becomes the failure it is, whole and streamed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

class P extends Provider.Service<P>()("p") {}

const llm = Llm.model(P, "m")

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
  [FaultServer.omitDone, "success", "success"],
  [FaultServer.omitFinish, "success", "StreamInterrupted unfinished"],
  [FaultServer.malformedChunkAt(1), "MalformedResponse", "success"],
  [FaultServer.errorEventAfter(2), "ServerError", "StreamInterrupted failed"],
  [FaultServer.finish("content_filter"), "ContentFiltered", "StreamInterrupted failed"]
]

describe("against the fault server", () => {
  for (const [index, [fault, whole, streamed]] of cases.entries()) {
    it.effect(`${index}: ${FaultServer.describe(fault)}`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", [fault, fault])
        // An account each, since one that has been told to wait waits.
        const account = () => OpenAiChat.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
        const answered = outcome(Llm.generateText(llm, { prompt }))
        assert.strictEqual(yield* Effect.provide(answered, account()), whole)
        const flowed = outcome(Stream.runDrain(Llm.streamText(llm, { prompt })))
        assert.strictEqual(yield* Effect.provide(flowed, account()), streamed)
        assert.strictEqual((yield* server.requests).length, 2)
      }))
  }

  it.effect("objects are of their schema", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const schema = Schema.Struct({ title: Schema.String, points: Schema.Array(Schema.String) })
      const answer = yield* Llm.generateObject(llm, { prompt, schema }).pipe(
        Effect.provide(OpenAiChat.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer)))
      )
      assert.isTrue(Schema.is(schema)(answer.value))
    }))
})
