/**
 * An answer that breaks off in the middle: begun again by another model, or gone on with from where it stopped.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Stream } from "effect"
import { Llm, Receipt, Resume } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class Flaky extends Provider.Service<Flaky>()("flaky") {}
class Steady extends Provider.Service<Steady>()("steady") {}

// Silence is noticed by the limit inside; what was silent is then given up.
const flaky = Llm.model(Flaky, "a").pipe(Llm.timeout({ idle: "100 millis" }))
const steady = Llm.model(Steady, "b")

const stacks = {
  "without it": flaky,
  "restart": flaky.pipe(Resume.restart(steady)),
  "continue": flaky.pipe(Resume.continue(steady))
}

// One that is asked to go on says the last words again; they are left out.
const script: ScriptedProvider.Script = ({ prompt }) =>
  ScriptedProvider.text(
    prompt.content.at(-1)?.role === "assistant"
      ? ["Eiffel tower is", " in Paris."]
      : ["In ", "Paris."]
  )

const main = Effect.forEach(
  Object.entries(stacks),
  ([name, llm]) =>
    Llm.streamText(llm, { prompt: "Where is the Eiffel tower?" }).pipe(
      Stream.map((part) => part.type === "text-delta" ? part.delta : part.type === "retract" ? " [retracted] " : ""),
      Stream.catchTag("StreamInterrupted", (error) => Stream.succeed(` [${error.message}]`)),
      Stream.mkString,
      Effect.flatMap((text) => Console.log(`\n${name}: ${text}`)),
      Receipt.observe((receipt) => Console.log(Receipt.render(receipt))),
      Effect.provide(Layer.merge(
        ScriptedProvider.layer(Flaky, [ScriptedProvider.breakOff(["The ", "Eiffel tower is "], "stall")]),
        ScriptedProvider.layer(Steady, script)
      ))
    )
)

NodeRuntime.runMain(main)
