/**
 * What is measured of Bulwark: a provider that answers at once, alone and under each policy.
 */
import { Context, Effect, Layer, Schedule, Scope, Stream } from "effect"
import { Breaker, Fallback, Llm, LlmError, Resume, Retry, RetryBudget } from "effect-bulwark"
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

type Services = OpenAi | Groq | Breaker.Breaker | RetryBudget.RetryBudget

// For the life of the process.
const shared = await Effect.runPromise(Layer.buildWithScope(Llm.layerStandard(), Scope.makeUnsafe()))

const context = (deltas: number): Context.Context<Services> =>
  shared.pipe(Context.add(OpenAi, provider(deltas)), Context.add(Groq, provider(deltas)))

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
  "+ breaker": bare.pipe(Breaker.guard()),
  "+ retry budget": bare.pipe(RetryBudget.guard()),
  "+ firstOf": Fallback.firstOf([bare, other]),
  "+ restart": bare.pipe(Resume.restart(other)),
  "retry, orElse, timeouts, orElseSucceed": bare.pipe(
    Llm.retry(Retry.transient),
    Llm.orElse(other),
    Llm.timeout(limits),
    Llm.orElseSucceed(() => "")
  ),
  "Llm.standard": Llm.standard({ models: [bare, other], resume: "restart" })
} satisfies Record<string, Llm.Llm<unknown, Services>>

/**
 * What one would write without Bulwark: Effect's own operators around the provider, and nothing that knows of parts, receipts,
 * circuits or budgets.
 */
export const naive = (): () => Promise<unknown> => {
  const request = { model: "m", prompt: "Hello?" }
  const ask = (provider: Provider.Provider) => Effect.suspend(() => provider.whole(request as never))
  const [first, second] = [provider(1), provider(1)]
  const program = ask(first).pipe(
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.fail(new LlmError.Overloaded({}))
    }),
    Effect.retry({ schedule: Schedule.exponential("500 millis"), times: 2, while: LlmError.isTransient }),
    Effect.catch(() => ask(second)),
    Effect.timeout("2 minutes")
  )
  return () => Effect.runPromise(program)
}

/** A full answer, as a promise. */
export const generate = (llm: Llm.Llm<unknown, Services>): () => Promise<unknown> => {
  const program = Effect.provideContext(Llm.generateText(llm, { prompt: "Hello?" }), context(1))
  return () => Effect.runPromise(program)
}

/** A stream of so many deltas, read to its end. */
export const stream = (llm: Llm.Llm<unknown, Services>, deltas: number): () => Promise<unknown> => {
  const program = Effect.provideContext(Stream.runDrain(Llm.streamText(llm, { prompt: "Hello?" })), context(deltas))
  return () => Effect.runPromise(program)
}

/** The provider's own stream, read to its end: what there is without Bulwark. */
export const rawStream = (deltas: number): () => Promise<unknown> => {
  const parts = streamed(deltas)
  const program = Stream.runDrain(Stream.rechunk(Stream.fromIterable(parts), 1))
  return () => Effect.runPromise(program)
}
