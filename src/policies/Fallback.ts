/**
 * Asking someone else: another model, or no model at all.
 *
 * {@link orElse} and {@link orElseSucceed} are `Llm.orElse` and `Llm.orElseSucceed` in the namespace users import.
 *
 * - A fallback runs when the call fails *before* its first content part. Afterwards the answer has begun, and another model's
 *   words must not follow.
 * - An invalid request is invalid everywhere, and a refusal by a content policy is not routed around: both stay in `E`.
 *
 * **What goes inside, what outside**
 *
 * Inside: a model with its retries and its limits for each attempt. Outside: the total limit.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Llm from "../core/Llm.ts"
import * as LlmError from "../core/LlmError.ts"
import * as Opened from "../core/Opened.ts"
import * as Part from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"

/**
 * Asks a second `Llm` when the first one fails with something that another model may not have.
 *
 * **Details**
 *
 * The failures that it handles leave the type (`LlmError.FailsOverTag`); those it does not (`InvalidRequest`,
 * `ContentFiltered`, and errors of your own) stay, and the second one's are added.
 *
 * **Example** (Two providers)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.orElse(Llm.model(Ollama, "llama3.3")))
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Hello?" }).pipe(Effect.provide(Layer.mergeAll(
 *     ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("Overloaded")]),
 *     ScriptedProvider.layer(Ollama, [ScriptedProvider.text("Hello!")])
 *   )))
 * )
 *
 * answer.receipt.model // => "llama3.3"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const orElse: {
  <E2, R2>(
    that: Llm.Llm<E2, R2>
  ): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<LlmError.ExcludeFailsOver<E> | E2, R | R2>
  <E, R, E2, R2>(
    self: Llm.Llm<E, R>,
    that: Llm.Llm<E2, R2>
  ): Llm.Llm<LlmError.ExcludeFailsOver<E> | E2, R | R2>
} = dual(
  2,
  <E, R, E2, R2>(
    self: Llm.Llm<E, R>,
    that: Llm.Llm<E2, R2>
  ): Llm.Llm<LlmError.ExcludeFailsOver<E> | E2, R | R2> =>
    Llm.make({
      plan: Plan.policy("orElse", { children: [self.plan, that.plan] }),
      open: (call) =>
        Effect.catch(
          Llm.attempt(self.open(call)),
          (
            error
          ): Effect.Effect<Opened.Opened, LlmError.ExcludeFailsOver<E> | E2, R2 | Scope.Scope> => {
            if (!LlmError.failsOver(error)) {
              // What is left of `E` when nothing in it fails over; TypeScript cannot see it through the table.
              return Effect.fail(error as LlmError.ExcludeFailsOver<E>)
            }
            call.recorder.event("fallback", error._tag)
            return that.open(call)
          }
        )
    })
)

/**
 * Answers without a model when all else has failed: a template, a rule, the raw text.
 *
 * **Details**
 *
 * Every failure is handled, also an invalid request and a refusal, so `E` is empty. The receipt says that the answer is
 * `degraded`, and its usage is that of the attempts that failed. A stream that has already begun is not replaced.
 *
 * **Example** (A template instead of a summary)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.orElseSucceed((error) => `No summary today (${error._tag}).`)
 * )
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Summarise: ..." }).pipe(
 *     Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("QuotaExhausted")]))
 *   )
 * )
 *
 * answer.text // => "No summary today (QuotaExhausted)."
 * answer.receipt.degraded // => true
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const orElseSucceed: {
  <E>(
    answer: (error: E) => string | ReadonlyArray<Part.AnswerPart>
  ): <R>(self: Llm.Llm<E, R>) => Llm.Llm<never, R>
  <E, R>(
    self: Llm.Llm<E, R>,
    answer: (error: NoInfer<E>) => string | ReadonlyArray<Part.AnswerPart>
  ): Llm.Llm<never, R>
} = dual(
  2,
  <E, R>(
    self: Llm.Llm<E, R>,
    answer: (error: E) => string | ReadonlyArray<Part.AnswerPart>
  ): Llm.Llm<never, R> =>
    Llm.make({
      plan: Plan.policy("orElseSucceed", { children: [self.plan] }),
      open: (call) =>
        Effect.catch(Llm.attempt(self.open(call)), (error) =>
          Effect.sync(() => {
            call.recorder.event("degraded", LlmError.tagOf(error) ?? "failure")
            call.recorder.degraded = true
            return Opened.whole(Part.fromAnswer(finished(answer(error))))
          }))
    })
)

const noUsage = { inputTokens: { total: 0 }, outputTokens: { total: 0 } } as const

const finished = (answer: string | ReadonlyArray<Part.AnswerPart>): ReadonlyArray<Part.AnswerPart> => {
  const parts: ReadonlyArray<Part.AnswerPart> = typeof answer === "string" ? [{ type: "text", text: answer }] : answer
  return parts.some((part) => part.type === "finish")
    ? parts
    : [...parts, { type: "finish", reason: "stop", usage: noUsage }]
}
