/**
 * An A/B test of a prompt, from its start to the rollback: ten per cent of the users get the new version, answers are scored, a comparison
 * says what is chance and what is not, and a guard-rail stops a version that does harm, by itself.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Random, Schema } from "effect"
import { Attribution, Llm } from "effect-bulwark"
import { Comparison, Experiment, PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const summarize = PromptRegistry.define("summarize", {
  variables: Schema.Struct({ document: Schema.String }),
  models: { small: Llm.model(OpenAi, "gpt-5-mini") },
  model: "small"
})

const prompts = PromptRegistry.layer().pipe(Layer.provide(PromptStore.layerMemory))

// It stands for a model. The third version asks for more than it can give: one call in four fails.
const model = ScriptedProvider.layer(
  OpenAi,
  (request, index) =>
    JSON.stringify(request.prompt).includes("exhaustively") && index % 4 === 0
      ? ScriptedProvider.fail("ServerError")
      : ScriptedProvider.text("A summary.", {
        usage: {
          inputTokens: { total: 400 + index % 7 },
          outputTokens: { total: (JSON.stringify(request.prompt).includes("briefly") ? 40 : 90) + index % 11 }
        }
      })
)

// Each user asks once, and says whether it helped: a summary of the second version does more often.
const ask = (user: string) =>
  Effect.gen(function*() {
    const { receipt } = yield* PromptRegistry.generateText(summarize, { document: "Once upon a time." })
    const helped = (yield* Random.next) < (receipt.prompt?.version === 2 ? 0.85 : 0.7)
    yield* PromptRegistry.score(receipt.operationId, "helpful", helped ? 1 : 0, { by: user })
  }).pipe(Attribution.annotate({ user }), Effect.ignore)

const traffic = (from: number, to: number) =>
  Effect.forEach(Array.from({ length: to - from }, (_, index) => `user-${from + index}`), ask, { discard: true })

const main = Effect.gen(function*() {
  yield* PromptRegistry.publish(summarize, { user: "Summarize: {{ document }}" })
  yield* PromptRegistry.label(summarize, { label: "production", version: 1, by: "ada" })
  yield* PromptRegistry.publish(summarize, { user: "Summarize briefly: {{ document }}" })

  yield* Experiment.start(summarize, {
    id: "briefer",
    variants: { control: { weight: 90 }, candidate: { version: 2, weight: 10 } },
    guardRails: [{ measure: "errorRate", above: 0.1, calls: 50 }],
    by: "eve",
    reason: "are brief summaries as helpful?"
  })
  yield* traffic(0, 400)
  const early = yield* PromptRegistry.compare(summarize, [1, 2], { experiment: "briefer" })
  yield* Console.log(`After 400 calls:\n${Comparison.render(early)}\n`)

  // Not enough to tell, and nothing is broken: more users. Whoever has the candidate keeps it.
  yield* Experiment.reweigh(summarize, "briefer", {
    weights: { control: 50, candidate: 50 },
    by: "eve",
    reason: "no harm so far"
  })
  yield* traffic(0, 2_000)
  const late = yield* PromptRegistry.compare(summarize, [1, 2], { experiment: "briefer" })
  yield* Console.log(`After 2,400 calls:\n${Comparison.render(late)}\n`)

  const helpful = Comparison.difference(late, 2, "quality.helpful")
  if (helpful?.verdict === "significant" && helpful.difference! > 0) {
    yield* Experiment.promote(summarize, "briefer", "candidate", { by: "eve", reason: "more helpful" })
    yield* Console.log("The candidate is promoted.")
  }

  // The next idea is a bad one. Nobody has to notice.
  yield* PromptRegistry.publish(summarize, { user: "Summarize exhaustively: {{ document }}" })
  yield* Experiment.start(summarize, {
    id: "longer",
    variants: { control: { weight: 90 }, candidate: { version: 3, weight: 10 } },
    guardRails: [{ measure: "errorRate", above: 0.1, calls: 20 }],
    by: "eve"
  })
  yield* traffic(0, 1_000)
  for (const { id, variants } of yield* Experiment.list(summarize)) {
    for (const { name, stopped } of variants) {
      if (stopped !== undefined) yield* Console.log(`${id}: ${name} is stopped by the ${stopped.by}: ${stopped.reason}`)
    }
  }
  yield* Experiment.stop(summarize, "longer", { by: "eve", reason: "it fails too often" })

  // And what was promoted can be rolled back, as any version.
  yield* PromptRegistry.rollback(summarize, { by: "ada", reason: "customers miss the details" })
  for (const { by, from, reason, version } of yield* PromptRegistry.history(summarize)) {
    yield* Console.log(
      `production: ${from ?? "nothing"} → ${version ?? "nothing"} by ${by}${reason === undefined ? "" : `: ${reason}`}`
    )
  }
}).pipe(Random.withSeed("experiment"), Effect.provide([prompts, model]))

NodeRuntime.runMain(main)
