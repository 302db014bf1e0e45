/**
 * `Fallback.cascade`: tiers of models, the cheapest that is good enough first, and better ones where its answer is not.
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import type { Call, Request } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import * as Llm from "../../core/Llm.ts"
import * as LlmError from "../../core/LlmError.ts"
import type * as Opened from "../../core/Opened.ts"
import * as Part from "../../core/Part.ts"
import * as Plan from "../../core/Plan.ts"
import { exhausted, failuresOf } from "./exhausted.ts"
import { isLate, type OpenWithin, openWithin } from "./reserve.ts"

/**
 * One tier of a {@link cascade}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tier<out E, out R> {
  /** Whom to ask. */
  readonly llm: Llm.Llm<E, R>
  /** How good its answers are, on a scale of your own: a request's minimum quality is compared with it. */
  readonly quality: number
  /** What it costs, in a unit of your own (micro-USD for a million tokens, say): cheaper tiers are asked first. */
  readonly price: number
}

/**
 * Settings of {@link cascade}.
 *
 * @category options
 * @since 0.1.0
 */
export interface CascadeOptions {
  /**
   * What is wrong with an answer, in a word or two of your own for the receipt, or `undefined` where it will do. Default:
   * {@link shortcoming}.
   */
  readonly shortcoming?: ((answer: ReadonlyArray<Part.AnswerPart>, request: Request) => string | undefined) | undefined
}

/**
 * The quality that the requests in force need at least; 0 unless {@link withMinimumQuality} says otherwise.
 *
 * @category references
 * @since 0.1.0
 */
export const MinimumQuality: Context.Reference<number> = Context.Reference<number>(
  "effect-bulwark/policies/Fallback/MinimumQuality",
  { defaultValue: () => 0 }
)

/**
 * Says how good the answers inside an effect have to be at least: tiers below that are not asked.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMinimumQuality: {
  (quality: number): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, quality: number): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, quality: number): Effect.Effect<A, E, R> =>
    Effect.provideService(self, MinimumQuality, quality)
)

// How models begin when they will not answer. Looked for at the very beginning, so that an answer about refusals is not one.
const refusal =
  /^[^\p{L}]*(?:(?:i['’]?m|i am)?\s*(?:very |so |really )?sorry[,.!]?\s*(?:but\s+)?)?(?:unfortunately,?\s*)?(?:i\s+(?:can(?:['’]?t|not)|won['’]?t|am (?:not able|unable) to)|i['’]m (?:not able|unable) to)\s+(?:help|assist|do|provide|answer|comply|fulfil|create|write|generate|discuss|continue|engage|support|share|offer|give)/iu

const isContent = (part: Part.AnswerPart): boolean =>
  part.type !== "response-metadata" && part.type !== "finish" && part.type !== "reasoning" &&
  (part.type !== "text" || part.text.trim() !== "")

/**
 * What is wrong with an answer, as far as can be told without another model: it is `empty`, a `refusal`, or `invalid`, which
 * it is where JSON was asked for and it does not decode.
 *
 * **Gotchas**
 *
 * A refusal is recognised by how English ones begin ("I'm sorry, but I can't help ..."). For more than that, give
 * {@link cascade} a function of your own, which may ask this one first.
 *
 * @category predicates
 * @since 0.1.0
 */
export const shortcoming = (answer: ReadonlyArray<Part.AnswerPart>, request: Request): string | undefined => {
  if (!answer.some(isContent)) return "empty"
  const text = Part.text(answer)
  if (refusal.test(text)) return "refusal"
  if (request.responseFormat.type === "text" || answer.some((part) => part.type === "tool-call")) return undefined
  const exit = Effect.runSyncExit(
    structuredOutput(request.responseFormat.schema).decode(text) as Effect.Effect<unknown>
  )
  // A schema that needs services, or time, is decoded by the operation itself.
  return Exit.hasFails(exit) ? "invalid" : undefined
}

/**
 * Asks the cheapest model of sufficient quality, and a better one where its answer will not do.
 *
 * **Details**
 *
 * - Of the tiers whose quality is at least the request's minimum ({@link withMinimumQuality}), the cheapest is asked first.
 * - When it fails in a way that another model might not, or when its *answer* is not good enough (`shortcoming`), the next
 *   one is asked. The answer that would not do is paid for, and stands in the receipt.
 * - The last tier's answer is served as it is, since nobody better is left to ask.
 * - When all have failed, or none has the quality that was asked for: `AllModelsExhausted`.
 *
 * Throws a `RangeError` where there is no tier, or a quality or price is not a number.
 *
 * **Gotchas**
 *
 * To judge an answer one has to have it: in a stream too, the answers of all tiers but the last are held back until they are
 * complete.
 *
 * **Example** (A small model first)
 *
 * ```ts
 * import { Fallback, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Fallback.cascade([
 *   { llm: Llm.model(OpenAi, "gpt-5.5"), quality: 0.9, price: 10 },
 *   { llm: Llm.model(OpenAi, "gpt-5-mini"), quality: 0.6, price: 1 }
 * ])
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Prove it." }).pipe(
 *     Effect.provide(ScriptedProvider.layer(OpenAi, [
 *       ScriptedProvider.text("I'm sorry, but I can't help with that."),
 *       ScriptedProvider.text("Let n be even. ...")
 *     ]))
 *   )
 * )
 *
 * answer.receipt.attempts.map((attempt) => attempt.model) // => ["gpt-5-mini", "gpt-5.5"]
 * answer.receipt.events.map((event) => event.reason) // => ["refusal"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const cascade = <const Tiers extends ReadonlyArray<Tier<unknown, unknown>>>(
  tiers: Tiers,
  options?: CascadeOptions
): Llm.Llm<
  LlmError.ExcludeFailsOver<Llm.Error<Tiers[number]["llm"]>> | LlmError.AllModelsExhausted,
  Llm.Services<Tiers[number]["llm"]>
> => {
  type E = Llm.Error<Tiers[number]["llm"]>
  type R = Llm.Services<Tiers[number]["llm"]>
  // What every tier is at most; a list of different ones has no type of its own.
  const list = (tiers as ReadonlyArray<Tier<E, R>>).toSorted((a, b) => a.price - b.price)
  if (list.length === 0) throw new RangeError("Fallback.cascade: there must be at least one tier, got none")
  for (const { price, quality } of list) {
    if (!Number.isFinite(price) || !Number.isFinite(quality)) {
      throw new RangeError(`Fallback.cascade: price and quality must be finite, got ${price} and ${quality}`)
    }
  }
  const ranked = list.map(({ llm, quality }): Ranked<E, R> => ({ quality, plan: llm.plan, open: openWithin(llm) }))
  const judge = options?.shortcoming ?? shortcoming
  return Llm.make({
    plan: Plan.policy("cascade", { children: list.map((tier) => tier.llm.plan) }),
    open: (call) =>
      Effect.flatMap(MinimumQuality, (minimum) => {
        const good = ranked.filter((tier) => tier.quality >= minimum)
        return Arr.isReadonlyArrayNonEmpty(good)
          ? tierOf(good, call, judge, 0, [])
          : Effect.fail(exhausted(call, [], minimum))
      })
  })
}

/** A tier in its place. */
interface Ranked<E, R> {
  readonly quality: number
  readonly plan: Plan.Plan
  readonly open: OpenWithin<E, R>
}

const tierOf = <E, R>(
  tiers: Arr.NonEmptyReadonlyArray<Ranked<E, R>>,
  call: Call,
  judge: NonNullable<CascadeOptions["shortcoming"]>,
  index: number,
  failures: ReadonlyArray<LlmError.CandidateFailure>
): Effect.Effect<Opened.Opened, LlmError.ExcludeFailsOver<E> | LlmError.AllModelsExhausted, R | Scope.Scope> => {
  type Result = Effect.Effect<
    Opened.Opened,
    LlmError.ExcludeFailsOver<E> | LlmError.AllModelsExhausted,
    R | Scope.Scope
  >
  const { open } = tiers[index]!
  const remaining = tiers.length - index - 1
  const escalate = (reason: string, all: ReadonlyArray<LlmError.CandidateFailure>): Result => {
    if (isLate(call)) return Effect.never
    call.recorder.event(
      "escalate",
      reason,
      undefined,
      Plan.first(tiers[index + 1]!.plan),
      Plan.first(tiers[index]!.plan)
    )
    return tierOf(tiers, call, judge, index + 1, all)
  }
  const opened = remaining === 0 ? open(call, 0) : Effect.flatMap(
    open({ ...call, mode: "whole" }, remaining),
    (opened): Effect.Effect<Opened.Opened, NotGoodEnough> => {
      if (opened._tag === "Flow") return Effect.succeed(opened)
      const reason = judge(Part.toAnswer(opened.parts), call.request)
      return reason === undefined ? Effect.succeed(opened) : Effect.fail(new NotGoodEnough(reason))
    }
  )
  // An answer that will not do is let go of like one that failed, before the next tier is asked.
  return Effect.catch(Llm.attempt<E | LlmError.TimedOut | NotGoodEnough, R>(opened), (error): Result => {
    if (error instanceof NotGoodEnough) return escalate(error.reason, failures)
    // What is left of `E` when nothing in it fails over.
    if (!LlmError.failsOver(error)) return Effect.fail(error as LlmError.ExcludeFailsOver<E>)
    const all = [...failures, ...failuresOf(error)]
    return remaining === 0 ? Effect.fail(exhausted(call, all)) : escalate(error._tag, all)
  })
}

/** Leads from an answer that will not do to the next tier, and no further. */
class NotGoodEnough {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}
