/**
 * A queue before a model: two calls at a time, people before batch work, and no for those who would wait too long.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer } from "effect"
import { Limiter, Llm, Receipt } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.timeout({ firstPart: "8 seconds" }),
  Limiter.enforce()
)

const services = Layer.merge(
  Limiter.layerMemory({ limits: { concurrency: 2, queue: { size: 4, maxWait: "1 second" } } }),
  // Stands for a model that takes its time.
  ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!", { delay: "100 millis" }))
)

const ask = (who: string, priority: "interactive" | "batch") =>
  Llm.generateText(llm, { prompt: `I am ${who}.` }).pipe(
    Limiter.withPriority(priority),
    Receipt.observe((receipt) =>
      Console.log(
        `${who.padEnd(10)} ${receipt.outcome.padEnd(10)} after ${receipt.timings.totalMillis} ms`,
        receipt.events.map((event) => `${event.type}: ${event.reason}`).join(", ")
      )
    ),
    Effect.catchTag("Saturated", (error) => Console.log(`           ${error.message}`)),
    Effect.ignore
  )

const main = Effect.gen(function*() {
  const batch = yield* Effect.forkChild(
    Effect.forEach([1, 2, 3, 4, 5, 6], (n) => ask(`batch ${n}`, "batch"), { concurrency: "unbounded" })
  )
  yield* Effect.sleep("20 millis")
  // The newest batch call makes room in the queue, and the others wait a little longer.
  yield* ask("a person", "interactive")
  yield* Console.log(yield* Limiter.status("openai/gpt-5-mini"))
  yield* Fiber.join(batch)
}).pipe(Effect.provide(services))

NodeRuntime.runMain(main)
