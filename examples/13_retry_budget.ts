/**
 * A retry budget: what an outage leads to with it, and without.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schedule } from "effect"
import { Llm, RetryBudget } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const retried = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.retry(Schedule.exponential("1 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 2 })))
)

const outage = Effect.fnUntraced(function*(name: string, llm: Llm.Llm<unknown, OpenAi | RetryBudget.RetryBudget>) {
  const openai = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("Overloaded"))
  yield* Effect.replicateEffect(Effect.exit(Llm.generateText(llm, { prompt: "Hello?" })), 1_000, { concurrency: 10 })
    .pipe(
      Effect.provide([openai.layer, RetryBudget.layerMemory()])
    )
  yield* Console.log(`${name}: ${openai.calls.length} requests for 1000 calls that all fail`)
})

const main = Effect.andThen(
  outage("without a budget", retried),
  outage("with a budget", retried.pipe(RetryBudget.guard()))
)

NodeRuntime.runMain(main)
