/**
 * Calls that hang, with and without a hedge: a second request for the few that need one.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Random } from "effect"
import { Hedge, Llm, RetryBudget } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const bare = Llm.model(OpenAi, "gpt-5-mini")

// Never more than 2 % extra requests, and none in an outage.
const hedged = bare.pipe(
  Llm.hedge({ after: Hedge.quantile(0.95, { minimum: "20 millis" }) }),
  RetryBudget.guard()
)

const count = 3_000

/** Answers within 20 milliseconds, but for 1.5 in 100 that take a second. */
const provider = Effect.map(
  Random.Random,
  (random) =>
    ScriptedProvider.make(OpenAi, () =>
      ScriptedProvider.text("Hello!", {
        delay: random.nextDoubleUnsafe() < 0.015 ? 1_000 : 5 + 15 * random.nextDoubleUnsafe()
      }))
)

const measure = (name: string, llm: Llm.Llm<unknown, OpenAi | RetryBudget.RetryBudget>) =>
  Effect.gen(function*() {
    const openai = yield* provider
    const times = yield* Effect.forEach(
      Array.from({ length: count }),
      () => Effect.map(Llm.generateText(llm, { prompt: "Hello?" }), (answer) => answer.receipt.timings.totalMillis),
      { concurrency: 50 }
    ).pipe(Effect.provide([openai.layer, RetryBudget.layerMemory()]))
    const sorted = times.toSorted((a, b) => a - b)
    const extra = (openai.calls.length - count) / count
    yield* Console.log(
      `${name.padEnd(10)} p50 ${sorted[count * 0.5]} ms, p99 ${sorted[count * 0.99]} ms, ` +
        `${(extra * 100).toFixed(1)} % extra requests`
    )
  }).pipe(Random.withSeed("hedge"))

NodeRuntime.runMain(Effect.andThen(measure("bare", bare), measure("hedged", hedged)))
