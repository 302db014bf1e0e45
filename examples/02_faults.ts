/**
 * What becomes of each fault, over real HTTP: a server that misbehaves on command, and one stack of policies.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schedule } from "effect"
import { Llm, Receipt } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Backup extends Provider.Service<Backup>()("backup") {}

// Short waits, so that the example is quick.
const quickly = Schedule.exponential("20 millis").pipe(Schedule.upTo({ times: 2 }))

const llm = Llm.model(OpenAi, "primary").pipe(
  Llm.timeout({ firstPart: "300 millis", idle: "300 millis" }),
  Llm.retry(quickly),
  Llm.orElse(Llm.model(Backup, "fallback")),
  Llm.timeout({ total: "10 seconds" })
)

const faults: Record<string, ReadonlyArray<FaultServer.Fault>> = {
  "rate limited once": [FaultServer.rateLimited({ retryAfter: "100 millis" })],
  "rate limited for a minute": [FaultServer.rateLimited({ retryAfter: "1 minute" })],
  "overloaded for ever": [FaultServer.forever(FaultServer.overloaded)],
  "connection reset": [FaultServer.resetConnection],
  "silence": [FaultServer.silence()],
  "cut in mid-answer": [FaultServer.cutAfter(5)],
  "stalled in mid-answer": [FaultServer.stallAfter(5)],
  "failed in mid-answer": [FaultServer.errorEventAfter(5)],
  "one malformed chunk": [FaultServer.malformedChunkAt(3)],
  "no [DONE]": [FaultServer.omitDone],
  "context too long": [FaultServer.contextLengthExceeded({ limit: 8_192, requested: 9_000 })],
  "content filtered": [FaultServer.contentFiltered],
  "invalid request": [FaultServer.status(400)]
}

const main = Effect.gen(function*() {
  const server = yield* FaultServer.make()
  const options = { baseUrl: server.url }
  const providers = Layer.mergeAll(OpenAiChat.layer(OpenAi, options), OpenAiChat.layer(Backup, options)).pipe(
    Layer.provide(FetchHttpClient.layer)
  )
  for (const [name, script] of Object.entries(faults)) {
    yield* server.script("primary", script)
    yield* Llm.generateText(llm, { prompt: "Why is the sky blue? It is a question that many have asked." }).pipe(
      Receipt.observe((receipt) =>
        Console.log(
          `${name.padEnd(26)} ${receipt.attempts.map((attempt) => attempt.outcome).join(" → ").padEnd(60)} ` +
            (receipt.outcome === "success" ? `answered by ${receipt.model}` : `fails with ${receipt.outcome}`)
        )
      ),
      // What is left in the type after the fallback: the caller's own errors, and the fallback's.
      Effect.catchTags({
        InvalidRequest: () => Effect.void,
        ContentFiltered: () => Effect.void
      }),
      Effect.provide(providers)
    )
  }
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
