/**
 * The recommended stack in one call, over real HTTP: what becomes of a provider that is rate limited, silent, cut off, and down.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Stream } from "effect"
import { Llm, Part, Plan, Receipt } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"

class Primary extends Provider.Service<Primary>()("primary") {}
class Backup extends Provider.Service<Backup>()("backup") {}

const llm = Llm.standard({
  models: [Llm.model(Primary, "large"), Llm.model(Backup, "small")],
  resume: "restart",
  // Short limits, so that the example is quick.
  timeout: { firstPart: "300 millis", idle: "300 millis", total: "10 seconds" }
})

const faults: Record<string, ReadonlyArray<FaultServer.Fault>> = {
  "rate limited once": [FaultServer.rateLimited({ retryAfter: "100 millis" })],
  "silent": [FaultServer.silence()],
  "cut in mid-answer": [FaultServer.cutAfter(5)],
  "down": [FaultServer.forever(FaultServer.resetConnection)]
}

const main = Effect.gen(function*() {
  yield* Console.log(`${Plan.render(llm.plan)}\n${Plan.audit(llm.plan).length} warnings\n`)
  const server = yield* FaultServer.make()
  const services = Layer.mergeAll(
    Llm.layerStandard(),
    OpenAiChat.layer(Primary, { baseUrl: server.url }),
    OpenAiChat.layer(Backup, { baseUrl: server.url })
  ).pipe(Layer.provide(FetchHttpClient.layer))
  yield* Effect.forEach(Object.entries(faults), ([name, script]) =>
    Effect.andThen(
      server.script("large", script),
      Llm.streamText(llm, { prompt: "Why is the sky blue? It is a question that many have asked." }).pipe(
        Stream.runCollect,
        // A fold of the parts honours a retraction: what is printed is one answer.
        Effect.flatMap((parts) => Console.log(`${name}: ${Part.text(parts)}`)),
        Receipt.observe((receipt) => Console.log(`${Receipt.render(receipt)}\n`))
      )
    )).pipe(Effect.provide(services))
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
