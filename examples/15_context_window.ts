/**
 * A prompt that is too long: counted before it is sent, passed on to a larger window, shortened, or read in parts.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Llm, Receipt } from "effect-bulwark"
import { ContextWindow, TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"

class Ollama extends Provider.Service<Ollama>()("ollama") {}
class Gemini extends Provider.Service<Gemini>()("gemini") {}

const local = Llm.model(Ollama, "llama3.3")
const large = Llm.model(Gemini, "gemini-3.5-flash")

const window = ({ provider }: { readonly provider: string }) => provider === "ollama" ? 4_096 : 1_048_576

const services = Layer.mergeAll(
  TokenCount.layer(),
  ScriptedProvider.layer(Ollama, () => ScriptedProvider.text("A short answer.")),
  ScriptedProvider.layer(Gemini, () => ScriptedProvider.text("An answer to something long."))
)

const book = "It was the best of times, it was the worst of times.\n\n".repeat(800)

const main = Effect.gen(function*() {
  const prompt = Prompt.make(book)
  for (const model of ["gpt-4o", "claude-opus-5", "gemini-3.5-flash", "llama3.3"]) {
    const { exact, margin, tokens } = yield* TokenCount.count({ provider: "", model, prompt })
    yield* Console.log(
      `${model.padEnd(18)} ${tokens} tokens`,
      exact ? "" : `(an estimate, ${margin} of them for safety)`
    )
  }

  const refused = yield* Effect.flip(Llm.generateText(local.pipe(ContextWindow.enforce({ window })), { prompt }))
  yield* Console.log(`\n${refused.message}`)

  // Each model checks for itself.
  const either = local.pipe(Llm.orElse(large), ContextWindow.enforce({ window }))
  yield* Console.log(`\n${Receipt.render((yield* Llm.generateText(either, { prompt })).receipt)}`)

  const conversation = Prompt.make([
    { role: "system", content: "Answer in one sentence." },
    ...Array.from({ length: 40 }, (_, turn) =>
      [
        { role: "user", content: `Question ${turn}: ${"why? ".repeat(50)}` },
        { role: "assistant", content: `Because of ${turn}.` }
      ] as const).flat(),
    { role: "user", content: "And now?" }
  ])
  const trimming = local.pipe(ContextWindow.enforce({ window, mode: "trim" }))
  yield* Console.log(`\n${Receipt.render((yield* Llm.generateText(trimming, { prompt: conversation })).receipt)}`)

  const read = yield* ContextWindow.mapReduce(local, {
    input: book,
    map: (part, index, parts) => `Summarise part ${index + 1} of ${parts}:\n\n${part}`,
    reduce: (summaries) => `Make one summary of these:\n\n${summaries.join("\n\n")}`,
    window: 4_096,
    maxOutputTokens: 400,
    approve: (plan) => Effect.as(Console.log("\nto be sent, at most:", plan), plan.calls <= 20)
  })
  yield* Console.log(`${read.receipts.length} calls: ${read.text}`)
}).pipe(Effect.provide(services))

NodeRuntime.runMain(main)
