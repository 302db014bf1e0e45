/**
 * Budgets: a day's money for everybody and a part of it for each tenant; a cheaper model when it runs low, and an end to a loop that
 * runs away.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Attribution, Llm, Money, Plan } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const good = Llm.model(OpenAi, "large")
const cheap = Llm.model(OpenAi, "small")

// The cheaper model when less than a third is left.
const byBudget = Llm.make({
  plan: Plan.policy("byBudget", { children: [good.plan, cheap.plan] }),
  open: (call) =>
    Effect.flatMap(Budget.remaining(call.attribution), ({ fraction }) => (fraction < 1 / 3 ? cheap : good).open(call))
})

const llm = byBudget.pipe(Budget.enforce({ maxOutputTokens: 200 }))

const budget = Budget.layer({
  limits: [
    { resource: "usd", limit: "1", window: Budget.calendar("day") },
    { resource: "usd", limit: "0.01", window: Budget.rolling("1 hour"), scope: "tenant", warnAt: [0.5] }
  ]
}).pipe(Layer.provide([
  BudgetStore.layerMemory,
  TokenCount.layerEstimate(),
  Pricing.layerOf([
    Pricing.model({ provider: "openai", model: "large", price: { input: 2, output: 10 } }),
    Pricing.model({ provider: "openai", model: "small", price: { input: "0.2", output: 1 } })
  ])
]))

// Stands for a model that always has something to add.
const provider = ScriptedProvider.layer(OpenAi, () =>
  ScriptedProvider.text("And another thing!", {
    usage: { inputTokens: { total: 20 }, outputTokens: { total: 180 } }
  }))

const ask = Effect.gen(function*() {
  const { receipt } = yield* Llm.generateText(llm, { prompt: "Anything else?" })
  yield* Console.log(`${receipt.model!.padEnd(6)} ${receipt.cost === undefined ? "?" : Money.format(receipt.cost)}`)
})

const main = Effect.gen(function*() {
  // An agent in a loop.
  yield* Effect.forever(ask).pipe(
    Effect.catchTag("BudgetExceeded", (error) => Console.log(error.message)),
    Attribution.annotate({ tenant: "acme" })
  )
  // Others are not concerned.
  yield* ask.pipe(Attribution.annotate({ tenant: "umbrella" }))
  const left = yield* Budget.remaining({ tenant: "acme" })
  yield* Console.log(`acme has ${left.usd === undefined ? "no limit" : Money.format(left.usd)} left`)
}).pipe(Effect.provide([budget, provider]))

NodeRuntime.runMain(main)
