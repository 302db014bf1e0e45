/**
 * A cache: the same question is paid for once a tenant, a crowd shares one request, and an outage is bridged by old answers.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Attribution, Llm, Money } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  // Inside: what is found in the cache costs nothing.
  Budget.enforce({ maxOutputTokens: 500 }),
  Cache.through({
    timeToLive: "2 seconds",
    staleIfError: "1 hour",
    tags: ["towers"]
  }),
  // Outside: each caller waits for as long as it likes.
  Llm.timeout({ total: "30 seconds" })
)

const budget = Budget.layer({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }).pipe(Layer.provide([
  BudgetStore.layerMemory,
  TokenCount.layerEstimate(),
  Pricing.layerOf([Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: "0.25", output: 2 } })])
]))

// Stands for a model that is down from the fourth request on.
const provider = ScriptedProvider.make(OpenAi, (_, index) =>
  index < 3
    ? ScriptedProvider.text(["330 ", "metres."], {
      delay: "50 millis",
      usage: { inputTokens: { total: 200 }, outputTokens: { total: 300 } }
    })
    : ScriptedProvider.fail("Overloaded"))

const ask = Effect.map(Llm.generateText(llm, { prompt: "How high is the Eiffel tower?" }), ({ receipt, text }) => {
  const money = receipt.saved === undefined ? "" : `, spared ${Money.format(receipt.saved)}`
  return `${receipt.cache}: ${text} (${receipt.attempts.length} requests${money})`
})

const main = Effect.gen(function*() {
  const acme = Attribution.annotate({ tenant: "acme" })
  yield* Console.log("A crowd:")
  const crowd = yield* Effect.all(Array.from({ length: 1_000 }, () => ask), { concurrency: "unbounded" }).pipe(acme)
  for (const line of new Set(crowd)) yield* Console.log(`  ${line}`)

  yield* Console.log("Once more, and another tenant:")
  yield* Console.log(`  ${yield* ask.pipe(acme)}`)
  yield* Console.log(`  ${yield* ask.pipe(Attribution.annotate({ tenant: "umbrella" }))}`)

  yield* Console.log("The tower has grown:")
  yield* Cache.invalidate({ tag: "towers" })
  yield* Console.log(`  ${yield* ask.pipe(acme)}`)

  yield* Effect.sleep("2100 millis")
  yield* Console.log("Its time is over, and the model is down:")
  yield* Console.log(`  ${yield* ask.pipe(acme)}`)

  const { coalesced, hits, misses, saved, stale } = yield* Cache.statistics
  yield* Console.log(
    `${misses} misses, ${coalesced} coalesced, ${hits} hits, ${stale} stale; spared ${Money.format(saved)}; ` +
      `the provider saw ${provider.calls.length} requests`
  )
}).pipe(Effect.provide([Cache.layerMemory(), budget, provider.layer]))

NodeRuntime.runMain(main)
