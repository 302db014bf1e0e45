/**
 * What a provider says of its limits: heard by policies, over real HTTP, whatever the status.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { type Call, Llm } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"

class P extends Provider.Service<P>()("p") {}

const limited = (code: number): FaultServer.Fault => ({
  status: {
    code,
    headers: {
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "3",
      "x-ratelimit-reset-requests": "2s"
    }
  }
})

/** Listens as a policy would. */
const listening = <E, R>(self: Llm.Llm<E, R>, heard: Array<string>): Llm.Llm<E, R> =>
  Llm.make({
    plan: self.plan,
    open: (call) => {
      const pulse: Call.Pulse = {
        attempt: () => heard.push("attempt"),
        response: (limits) =>
          heard.push(
            `response ${limits.map(({ limit, remaining, resource }) => `${resource} ${remaining}/${limit}`).join()}`
          ),
        parts: () => heard.at(-1) === "parts" || heard.push("parts"),
        failed: () => heard.push("failed")
      }
      return self.open({ ...call, pulse })
    }
  })

// What the server says when nothing is wrong.
const healthy = "response requests 9999/10000,tokens 1999998/2000000"

describe("the response of a request", () => {
  it.effect("is heard of before its parts, and with what it says of limits", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", [limited(500), {}, {}])
      const heard: Array<string> = []
      const llm = listening(Llm.model(P, "m"), heard)
      yield* Effect.gen(function*() {
        yield* Effect.exit(Llm.generateText(llm, { prompt: "Hello?" }))
        yield* Llm.generateText(llm, { prompt: "Hello?" })
        yield* Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" }))
      }).pipe(Effect.provide(OpenAiChat.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))))
      assert.deepStrictEqual(heard, [
        "attempt",
        "response requests 3/60",
        "failed",
        "attempt",
        healthy,
        "parts",
        "attempt",
        healthy,
        "parts"
      ])
    }))

  it.effect("parks the account, or the model alone where that has the quota", () =>
    Effect.gen(function*() {
      for (const [quotaDomain, outcome] of [["account", "RateLimited"], ["model", "answered"]] as const) {
        const server = yield* FaultServer.make()
        yield* server.script("m", [FaultServer.rateLimited({ retryAfter: "1 minute" })])
        const ask = (model: string) =>
          Llm.generateText(Llm.model(P, model), { prompt: "Hello?" }).pipe(
            Effect.match({ onFailure: (error) => error._tag as string, onSuccess: () => "answered" })
          )
        const outcomes = yield* Effect.all([ask("m"), ask("m"), ask("n")]).pipe(
          Effect.provide(
            OpenAiChat.layer(P, { baseUrl: server.url, quotaDomain }).pipe(Layer.provide(FetchHttpClient.layer)),
            { local: true }
          )
        )
        assert.deepStrictEqual(outcomes, ["RateLimited", "RateLimited", outcome])
        assert.strictEqual((yield* server.requests).length, quotaDomain === "account" ? 1 : 2)
      }
    }))
})
