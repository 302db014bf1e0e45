/**
 * Embeddings: the nearest of some sentences to a question. One request fails, and only that one is sent again.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { LlmError, Retry } from "effect-bulwark"
import { Embedding, Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const model = Embedding.model(OpenAi, "text-embedding-3-small", { dimensions: 256, batchSize: 2 }).pipe(
  Embedding.perRequest(Effect.retry({ schedule: Retry.transient, while: LlmError.isTransient }))
)

const sentences = [
  "The sky is blue because short waves are scattered most.",
  "Lighthouses guided ships along the coast for centuries.",
  "Bread rises because yeast makes gas from sugar.",
  "The sea is salty because rivers carry salt to it."
]

// (Vectors have length one, as those of most models do.)
const similarity = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  a.reduce((sum, number, index) => sum + number * (b[index] ?? 0), 0)

// Vectors of no model, in which texts are near that share words. The second request fails.
const openai = ScriptedProvider.make(OpenAi, [], {
  embed: (request, index) => index === 1 ? Effect.fail(new LlmError.Overloaded({})) : ScriptedProvider.vectors(request)
})

const main = Effect.gen(function*() {
  const { inputTokens, vectors } = yield* Embedding.embedMany(model, sentences)
  const question = yield* Embedding.embed(model, "Why is the sky blue?")
  const ranked = vectors
    .map((vector, index) => ({ score: similarity(question, vector), sentence: sentences[index] }))
    .toSorted((a, b) => b.score - a.score)
  for (const { score, sentence } of ranked) yield* Console.log(score.toFixed(2), sentence)
  const outcomes = openai.embeddings.map(({ outcome, request }) => `${request.inputs.length} texts: ${outcome}`)
  yield* Console.log(`\n${inputTokens} tokens; ${outcomes.join(", ")}`)
}).pipe(Effect.provide(openai.layer))

NodeRuntime.runMain(main)
