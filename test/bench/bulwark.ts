/**
 * What is measured of Bulwark: a provider that answers at once, alone and under each policy.
 */
import { Context, Effect, Stream } from "effect"
import { Llm, Retry } from "effect-bulwark"
import type { Part } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Groq extends Provider.Service<Groq>()("groq") {}

const usage = { inputTokens: { total: 10 }, outputTokens: { total: 1 } } as const

const answer: ReadonlyArray<Part.AnswerPart> = [
  { type: "text", text: "Hello!" },
  { type: "finish", reason: "stop", usage }
]

const streamed = (deltas: number): ReadonlyArray<Part.ProviderPart> => [
  { type: "text-start", id: "0" },
  ...Array.from({ length: deltas }, () => ({ type: "text-delta", id: "0", delta: "word " } as const)),
  { type: "text-end", id: "0" },
  { type: "finish", reason: "stop", usage }
]

/** A provider that answers at once; its streams come one part a pull, as they would over a wire. */
const provider = (deltas: number): Provider.Provider => {
  const parts = streamed(deltas)
  return {
    whole: () => Effect.succeed(answer),
    stream: () => Stream.rechunk(Stream.fromIterable(parts), 1)
  }
}

const context = (deltas: number): Context.Context<OpenAi | Groq> =>
  Context.make(OpenAi, provider(deltas)).pipe(Context.add(Groq, provider(deltas)))

const bare = Llm.model(OpenAi, "gpt-5-mini")
const other = Llm.model(Groq, "llama-3.3-70b")
const limits = { firstPart: "8 seconds", idle: "15 seconds", total: "60 seconds" } as const

/** The stacks, by name: the first one is what the others are measured against. */
export const stacks = {
  "bare provider": bare,
  "+ retry": bare.pipe(Llm.retry(Retry.transient)),
  "+ orElse": bare.pipe(Llm.orElse(other)),
  "+ orElseSucceed": bare.pipe(Llm.orElseSucceed(() => "")),
  "+ timeout (total)": bare.pipe(Llm.timeout({ total: "60 seconds" })),
  "+ timeout (first part, idle, total)": bare.pipe(Llm.timeout(limits)),
  "all of them": bare.pipe(
    Llm.retry(Retry.transient),
    Llm.orElse(other),
    Llm.timeout(limits),
    Llm.orElseSucceed(() => "")
  )
} satisfies Record<string, Llm.Llm<unknown, OpenAi | Groq>>

/** A full answer, as a promise. */
export const generate = (llm: Llm.Llm<unknown, OpenAi | Groq>): () => Promise<unknown> => {
  const program = Effect.provideContext(Llm.generateText(llm, { prompt: "Hello?" }), context(1))
  return () => Effect.runPromise(program)
}

/** A stream of so many deltas, read to its end. */
export const stream = (llm: Llm.Llm<unknown, OpenAi | Groq>, deltas: number): () => Promise<unknown> => {
  const program = Effect.provideContext(Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })), context(deltas))
  return () => Effect.runPromise(program)
}

/** The provider's own stream, read to its end: what there is without Bulwark. */
export const rawStream = (deltas: number): () => Promise<unknown> => {
  const parts = streamed(deltas)
  const program = Stream.runDrain(Stream.rechunk(Stream.fromIterable(parts), 1))
  return () => Effect.runPromise(program)
}
