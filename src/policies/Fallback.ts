/**
 * Asking someone else: another model, a better one, or no model at all.
 *
 * {@link orElse}, {@link orElseOn} and {@link orElseSucceed} are also in the `Llm` namespace.
 *
 * - A fallback runs when the call fails *before* its first content part. Afterwards the answer has begun, and another model's
 *   words must not follow. (`Resume` is for what comes after.)
 * - An invalid request is invalid everywhere, and a refusal by a content policy is not routed around: both stay in `E`.
 *   {@link orElseOn} handles exactly the failures it is given, a refusal among them where it is asked for by name.
 * - While a fallback remains, a candidate that has to live within a deadline is given up in time: a quarter of what is left is
 *   kept for one fallback, half of it for two or more.
 *
 * **What goes inside, what outside**
 *
 * Inside: a model with its limits, retries and circuit breaker. Outside: the total limit.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import type { Call } from "../core/Call.ts"
import * as Llm from "../core/Llm.ts"
import * as LlmError from "../core/LlmError.ts"
import * as Opened from "../core/Opened.ts"
import * as Part from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"
import { exhausted, failuresOf } from "./internal/exhausted.ts"
import { isLate, type OpenWithin, openWithin } from "./internal/reserve.ts"

export * from "./internal/cascade.ts"

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
  ): Llm.Llm<LlmError.ExcludeFailsOver<E> | E2, R | R2> => {
    const open = openWithin(self)
    return Llm.make({
      plan: Plan.policy("orElse", { children: [self.plan, that.plan] }),
      open: (call) =>
        Effect.catch(
          Llm.attempt(open(call, 1)),
          (
            error
          ): Effect.Effect<Opened.Opened, LlmError.ExcludeFailsOver<E> | E2, R2 | Scope.Scope> => {
            if (!LlmError.failsOver(error)) {
              // What is left of `E` when nothing in it fails over; TypeScript cannot see it through the table.
              return Effect.fail(error as LlmError.ExcludeFailsOver<E>)
            }
            return next(self, that, call, error._tag)
          }
        )
    })
  }
)

/** Goes on to the next candidate, where there is time for it. */
const next = <E, R>(
  self: Llm.Any,
  that: Llm.Llm<E, R>,
  call: Call,
  reason: string
): Effect.Effect<Opened.Opened, E, R | Scope.Scope> => {
  if (isLate(call)) return Effect.never
  call.recorder.event("fallback", reason, undefined, Plan.first(that.plan), Plan.first(self.plan))
  return that.open(call)
}

type Tags<E> = E extends { readonly _tag: infer Tag extends string } ? Tag : never

/**
 * Asks a second `Llm` when the first one fails in one of the ways that are named, and only then.
 *
 * **When to use**
 *
 * Use for what {@link orElse} leaves alone on purpose, such as a refusal by a content policy, or where one failure has a
 * fallback of its own: a larger window for a prompt that is too long.
 *
 * **Details**
 *
 * The failures that are named leave the type, and the second one's are added. Your own errors can be named too.
 *
 * **Example** (A larger window where it is needed, and only there)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Gemini extends Provider.Service<Gemini>()("gemini") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.orElseOn("ContextLengthExceeded", Llm.model(Gemini, "gemini-3.5-flash"))
 * )
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "A long one" }).pipe(Effect.provide(Layer.mergeAll(
 *     ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("ContextLengthExceeded")]),
 *     ScriptedProvider.layer(Gemini, [ScriptedProvider.text("Read.")])
 *   )))
 * )
 *
 * answer.receipt.model // => "gemini-3.5-flash"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const orElseOn: {
  <const Tag extends Tags<E> | Arr.NonEmptyReadonlyArray<Tags<E>>, E, E2, R2>(
    tags: Tag,
    that: Llm.Llm<E2, R2>
  ): <R>(self: Llm.Llm<E, R>) => Llm.Llm<Unnamed<E, Tag> | E2, R | R2>
  <E, R, const Tag extends Tags<E> | Arr.NonEmptyReadonlyArray<Tags<E>>, E2, R2>(
    self: Llm.Llm<E, R>,
    tags: Tag,
    that: Llm.Llm<E2, R2>
  ): Llm.Llm<Unnamed<E, Tag> | E2, R | R2>
} = dual(
  3,
  <E, R, const Tag extends Tags<E> | Arr.NonEmptyReadonlyArray<Tags<E>>, E2, R2>(
    self: Llm.Llm<E, R>,
    tags: Tag,
    that: Llm.Llm<E2, R2>
  ): Llm.Llm<Unnamed<E, Tag> | E2, R | R2> => {
    const named = new Set<string>(typeof tags === "string" ? [tags] : tags)
    const open = openWithin(self)
    // Time is kept for the fallback only where it would be asked after a limit has passed.
    const remaining = named.has("TimedOut") ? 1 : 0
    return Llm.make({
      plan: Plan.policy("orElseOn", { detail: [...named].join(", "), children: [self.plan, that.plan] }),
      open: (call) =>
        Effect.catch(
          Llm.attempt(open(call, remaining)),
          (error): Effect.Effect<Opened.Opened, Unnamed<E, Tag> | E2, R2 | Scope.Scope> => {
            const tag = LlmError.tagOf(error)
            return tag !== undefined && named.has(tag)
              ? next(self, that, call, tag)
              // What is left of `E` when none of the tags fits.
              : Effect.fail(error as Unnamed<E, Tag>)
          }
        )
    })
  }
)

/**
 * What is left of an error type when the failures with these tags are handled.
 *
 * @category models
 * @since 0.1.0
 */
export type Unnamed<E, Tag extends string | ReadonlyArray<string>> = Exclude<
  E,
  { readonly _tag: Tag extends ReadonlyArray<string> ? Tag[number] : Tag }
>

/**
 * Asks several `Llm`s, one after the other, until one opens.
 *
 * **When to use**
 *
 * Use instead of a chain of {@link orElse} where the caller should know how each of them failed.
 *
 * **Details**
 *
 * Fails with `AllModelsExhausted` when all have failed in ways that another model might not: it holds the last failure of each
 * candidate and every request that was sent. A failure that no other model can help with ends it at once, as it is.
 *
 * Throws a `RangeError` where there is no candidate.
 *
 * **Example** (Three providers)
 *
 * ```ts
 * import { Fallback, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Fallback.firstOf([Llm.model(OpenAi, "gpt-5-mini"), Llm.model(Ollama, "llama3.3")])
 *
 * const failed = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Hello?" }).pipe(
 *     Effect.catchTag("AllModelsExhausted", (error) => Effect.succeed(error.message)),
 *     Effect.provide(Layer.mergeAll(
 *       ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("Overloaded")]),
 *       ScriptedProvider.layer(Ollama, [ScriptedProvider.fail("ConnectionFailed")])
 *     ))
 *   )
 * )
 *
 * failed // => "all models failed: Overloaded; ConnectionFailed"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const firstOf = <const Candidates extends ReadonlyArray<Llm.Any>>(
  candidates: Candidates
): Llm.Llm<
  LlmError.ExcludeFailsOver<Llm.Error<Candidates[number]>> | LlmError.AllModelsExhausted,
  Llm.Services<Candidates[number]>
> => {
  // What every candidate is at most; a list of different ones has no type of its own.
  const list = candidates as ReadonlyArray<Llm.Llm<Llm.Error<Candidates[number]>, Llm.Services<Candidates[number]>>>
  if (list.length === 0) throw new RangeError("Fallback.firstOf: there must be at least one candidate, got none")
  const ready = list.map((candidate) => ({ plan: candidate.plan, open: openWithin(candidate) }))
  return Llm.make({
    plan: Plan.policy("firstOf", { children: list.map((candidate) => candidate.plan) }),
    open: (call) => oneOf(ready, call, 0, [])
  })
}

interface Candidate<E, R> {
  readonly plan: Plan.Plan
  readonly open: OpenWithin<E, R>
}

/** Asks the candidates from one on; `failures` are those of the ones before it. */
const oneOf = <E, R>(
  candidates: ReadonlyArray<Candidate<E, R>>,
  call: Call,
  index: number,
  failures: ReadonlyArray<LlmError.CandidateFailure>
): Effect.Effect<Opened.Opened, LlmError.ExcludeFailsOver<E> | LlmError.AllModelsExhausted, R | Scope.Scope> => {
  const remaining = candidates.length - index - 1
  return Effect.catch(
    Llm.attempt(candidates[index]!.open(call, remaining)),
    (
      error
    ): Effect.Effect<
      Opened.Opened,
      LlmError.ExcludeFailsOver<E> | LlmError.AllModelsExhausted,
      R | Scope.Scope
    > => {
      // As in `orElse`.
      if (!LlmError.failsOver(error)) return Effect.fail(error as LlmError.ExcludeFailsOver<E>)
      const all = [...failures, ...failuresOf(error)]
      if (remaining === 0) return Effect.fail(exhausted(call, all))
      if (isLate(call)) return Effect.never
      call.recorder.event(
        "fallback",
        error._tag,
        undefined,
        Plan.first(candidates[index + 1]!.plan),
        Plan.first(candidates[index]!.plan)
      )
      return oneOf(candidates, call, index + 1, all)
    }
  )
}

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
