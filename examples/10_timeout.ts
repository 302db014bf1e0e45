/**
 * Limits: until the response, until the first part, between parts, and a deadline over all, of which a fallback keeps a share.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Stream } from "effect"
import { Llm, Receipt } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class Slow extends Provider.Service<Slow>()("slow") {}
class Quick extends Provider.Service<Quick>()("quick") {}

const perAttempt = Llm.timeout({ connect: "100 millis", firstPart: "200 millis", idle: "200 millis" })

const llm = Llm.model(Slow, "a").pipe(
  perAttempt,
  Llm.orElse(Llm.model(Quick, "b").pipe(perAttempt)),
  Llm.timeout({ total: "2 seconds" })
)

const misbehaviour: Record<string, ScriptedProvider.Step> = {
  "nobody responds": ScriptedProvider.silence,
  "a response without a word": { ...ScriptedProvider.silence, response: "10 millis" },
  "a first part that comes late": { ...ScriptedProvider.text("Late.", { delay: "300 millis" }), response: "10 millis" },
  "silence in mid-answer": ScriptedProvider.breakOff(["So far, "], "stall")
}

const main = Effect.forEach(
  Object.entries(misbehaviour),
  ([name, step]) =>
    Llm.streamText(llm, { prompt: "Hello?" }).pipe(
      Llm.textDeltas,
      Stream.catchTag("StreamInterrupted", (error) => Stream.succeed(`[${error.message}]`)),
      Stream.mkString,
      Effect.flatMap((text) => Console.log(`\n${name}: ${text}`)),
      Receipt.observe((receipt) => Console.log(Receipt.render(receipt))),
      Effect.provide(Layer.merge(
        ScriptedProvider.layer(Slow, [step]),
        ScriptedProvider.layer(Quick, [ScriptedProvider.text("Hello!")])
      ))
    )
)

NodeRuntime.runMain(main)
