/**
 * A ledger: who spent what today, how long it took, and what became of one operation. The books are in a file, in a folder that goes away.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, DateTime, Effect, FileSystem, Layer } from "effect"
import { Attribution, Llm, Money, Receipt } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { Sqlite } from "effect-bulwark/sqlite"
import { Ledger } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.orElse(Llm.model(Anthropic, "claude-haiku-4-5")))

const answer = (input: number, output: number) =>
  ScriptedProvider.text("An answer.", {
    delay: "2 millis",
    usage: { inputTokens: { total: input }, outputTokens: { total: output } }
  })

const providers = Layer.mergeAll(
  ScriptedProvider.layer(OpenAi, [
    answer(12_000, 900),
    answer(3_000, 2_500),
    ScriptedProvider.fail("Overloaded"),
    answer(40_000, 4_000)
  ]),
  ScriptedProvider.layer(Anthropic, [answer(9_000, 700)])
)

// List prices are in `Pricing.layer()`; these need no other package.
const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: "0.25", output: "2" } }),
  Pricing.model({ provider: "anthropic", model: "claude-haiku-4-5", price: { input: "1", output: "5" } })
])

/** What the application does all day; it knows nothing of the ledger. */
const work = Effect.forEach(
  [
    { tenant: "acme", user: "ada", feature: "search" },
    { tenant: "acme", user: "ada", feature: "summaries", tags: { promptVersion: "v2" } },
    { tenant: "acme", user: "grace", feature: "search" },
    { tenant: "umbrella", user: "alan", feature: "search" }
  ],
  (attribution) => Llm.generateText(llm, { prompt: "..." }).pipe(Attribution.annotate(attribution)),
  { discard: true }
)

const report = Effect.gen(function*() {
  const today = { from: DateTime.startOf(yield* DateTime.now, "day") }

  yield* Console.log("who spent what today")
  for (const row of yield* Ledger.spend({ ...today, by: ["tenant", "user", "model"] })) {
    const { model, tenant, user } = row.by
    yield* Console.log(
      `  ${tenant}/${user}: ${Money.format(row.cost)} for ${row.requests} requests to ${model}` +
        (row.unmetered === 0 ? "" : `, ${row.unmetered} of which do not say what they used`)
    )
  }

  yield* Console.log("by feature and prompt version")
  for (const { by, cost } of yield* Ledger.spend({ ...today, by: ["feature", "promptVersion"] })) {
    yield* Console.log(`  ${by.feature}, ${by.promptVersion ?? "no version"}: ${Money.format(cost)}`)
  }

  yield* Console.log("how long it took")
  for (const { by, count, total } of yield* Ledger.latency({ ...today, by: ["tenant"], percentiles: [50, 95] })) {
    yield* Console.log(`  ${by.tenant}: ${count} operations, p50 ${total.p50} ms, p95 ${total.p95} ms`)
  }

  yield* Console.log("the last one that asked anthropic")
  const { entries } = yield* Ledger.find({ where: { provider: "anthropic" }, limit: 1 })
  for (const { receipt } of entries) yield* Console.log(Receipt.render(receipt))
})

const main = Effect.gen(function*() {
  const folder = yield* FileSystem.FileSystem.use((files) => files.makeTempDirectoryScoped())
  const database = Sqlite.layer({ filename: `${folder}/ledger.db` })
  const ledger = Ledger.layer({ keep: "90 days" }).pipe(
    Layer.provide(prices),
    Layer.provideMerge(Ledger.layerStoreSql()),
    Layer.provide(database)
  )
  yield* Effect.andThen(Ledger.record(work), Effect.andThen(Ledger.flush, report)).pipe(
    Effect.provide([ledger, providers])
  )
})

NodeRuntime.runMain(Effect.scoped(main).pipe(Effect.provide(NodeServices.layer)))
