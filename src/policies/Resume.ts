/**
 * Going on after an answer has broken off in the middle, when its beginning has been delivered already.
 *
 * Until the first content part, retries and fallbacks mend what fails, and nobody notices. After it, they are over. What an answer
 * then ends with is `StreamInterrupted`, unless one of these two is asked to go on:
 *
 * - {@link restart} begins a new answer. A `retract` part comes first, and unsays all that came before it.
 * - {@link continue} has a model go on from the text that was delivered. The reader sees one text.
 *
 * Neither adds a failure: where it cannot go on, the consumer gets the `StreamInterrupted` there was, with the text, the usage and
 * the cause. Neither acts where that is pointless or forbidden:
 *
 * - the output limit cut the answer (`truncated`), a content policy withheld it, or the request was refused;
 * - the total limit has passed, or the deadline of the call;
 * - the call is the one probe of a circuit;
 * - the model to ask is the very one that broke off, and a `RetryBudget` around it has nothing left.
 *
 * A full answer is delivered only whole, so that there is nothing to go on from: there, both pass everything through.
 *
 * **What goes inside, what outside**
 *
 * Inside: whatever opens an answer, with its limits, retries, circuits and fallbacks. Limits on silence (`idle`) belong there too: they
 * are what notices that an answer has come to a halt. Outside: a retry budget and the total limit. A restart goes around a continue.
 *
 * **Gotchas**
 *
 * - A retraction cannot call back what a consumer has done. Tools may have run; a bare string that was printed stays printed, which is
 *   why `Llm.textDeltas` fails where a text it has shown is retracted.
 * - A restart needs a consumer who reads `retract`: `Llm.streamText` without a toolkit. Elsewhere (with a toolkit, or through `effect/ai`'s
 *   `LanguageModel`) the `StreamInterrupted` stays, and nobody is asked.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Scope from "effect/Scope"
import type { Call } from "../core/Call.ts"
import * as Llm from "../core/Llm.ts"
import * as Opened from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import { Continuing } from "./internal/resumeContinue.ts"
import { goingOn, openIn, type Way } from "./internal/resumeFlow.ts"
import { Restarting } from "./internal/resumeRestart.ts"

/**
 * Settings of {@link restart}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How many times to go on, at most, in one call. Default: 1. */
  readonly times?: number | undefined
}

/**
 * Settings of {@link continue}.
 *
 * @category options
 * @since 0.1.0
 */
export interface ContinueOptions extends Options {
  /**
   * What to do where the second answer begins with what the first one ended with: `remove` the repetition, or `keep` it, for a provider
   * that is known to go on exactly where the text ends. Default: `remove`.
   */
  readonly overlap?: "remove" | "keep" | undefined
}

const timesOf = (name: string, options: Options | undefined): number => {
  const times = options?.times ?? 1
  if (!(Number.isSafeInteger(times) && times >= 1)) {
    throw new RangeError(`Resume.${name}: times must be a whole number of at least 1, got ${times}`)
  }
  return times
}

const planOf = (name: string, self: Plan.Plan, that: Plan.Plan, times: number): Plan.Plan =>
  Plan.policy(name, {
    children: [
      self,
      times === 1 ? that : Plan.policy("again", { detail: `up to ${times} times`, repeats: times, children: [that] })
    ]
  })

const resume = <E, R, E2, R2>(
  self: Llm.Llm<E, R>,
  that: Llm.Llm<E2, R2>,
  options: {
    readonly plan: Plan.Plan
    readonly times: number
    readonly holdsStill: (call: Call) => boolean
    readonly way: (call: Call) => Way
  }
): Llm.Llm<E, R | R2> =>
  Llm.make({
    plan: options.plan,
    open: (call): Effect.Effect<Opened.Opened, E, R | R2 | Scope.Scope> =>
      call.mode === "whole" || call.single || options.holdsStill(call)
        ? self.open(call)
        : Effect.contextWith((context: Context.Context<R2 | Scope.Scope>) => {
          const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
          return Effect.map(openIn(self.open(call), scope), (opened) =>
            Opened.mapFlow(
              opened,
              (parts) => goingOn({ call, parts, scope, that, context, times: options.times, way: options.way(call) })
            ))
        })
  })

/**
 * Begins a new answer where one breaks off, and says so.
 *
 * **When to use**
 *
 * Use it where the consumer can take back what it has shown: a user interface, or code that folds the parts with `Part.toAnswer` or
 * `Part.text`.
 *
 * **Details**
 *
 * `that` is asked the same question. Once its first content part is there, a `retract` part is delivered, and then the parts of the new
 * answer; the receipt has an event `resume`, and says that the new one served. A new answer that breaks off too is restarted again, as
 * long as there are `times` left.
 *
 * The failures of `that` are not in the type: where it cannot be opened, the consumer gets the `StreamInterrupted` of the answer that it
 * has the beginning of, and the receipt tells what `that` failed with.
 *
 * Throws a `RangeError` where `times` is not a whole number of at least 1.
 *
 * **Example** (Another model begins again)
 *
 * ```ts
 * import { Llm, Part, Resume } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Stream } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Groq extends Provider.Service<Groq>()("groq") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.timeout({ idle: "15 seconds" }),
 *   Resume.restart(Llm.model(Groq, "llama-3.3-70b"))
 * )
 *
 * const parts = await Effect.runPromise(
 *   Llm.streamText(llm, { prompt: "Where is the Eiffel tower?" }).pipe(
 *     Stream.runCollect,
 *     Effect.provide([
 *       ScriptedProvider.layer(OpenAi, [ScriptedProvider.breakOff(["It ", "is in"])]),
 *       ScriptedProvider.layer(Groq, [ScriptedProvider.text(["In ", "Paris."])])
 *     ])
 *   )
 * )
 *
 * parts.map((part) => part.type === "text-delta" ? part.delta : part.type)
 * // => ["text-start", "It ", "is in", "retract", "text-start", "In ", "Paris.", "text-end", "finish"]
 *
 * Part.text(parts) // => "In Paris."
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const restart: {
  <E2, R2>(
    that: Llm.Llm<E2, R2>,
    options?: Options
  ): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | R2>
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: Options): Llm.Llm<E, R | R2>
} = dual(
  (args) => Llm.isLlm(args[1]),
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: Options): Llm.Llm<E, R | R2> => {
    const times = timesOf("restart", options)
    return resume(self, that, {
      plan: planOf("restart", self.plan, that.plan, times),
      times,
      holdsStill: (call) => !call.retractable,
      way: (call) => new Restarting(call)
    })
  }
)

/**
 * Has a model go on from the text that was delivered, where an answer breaks off.
 *
 * **When to use**
 *
 * Use it where the beginning cannot be taken back, or is too long to pay for twice, and `that` accepts a prompt that ends with the
 * beginning of its own answer. Many do not, or do not with every setting (reasoning, JSON): then the break stays one.
 *
 * **Details**
 *
 * `that` is asked the same question, with what was delivered as a last message of the assistant, without the whitespace at its end,
 * which some providers refuse. Its text goes on in the same block. Left out of it is what had been delivered already:
 *
 * - that whitespace, as far as the second answer begins with it;
 * - a repetition (`overlap: "remove"`): the longest end of the text that the second answer begins with, where it has at least 12
 *   characters, 6 of them different, or is the whole text, down to 3 characters. What may still become one is held back until that is decided;
 * - its reasoning, which has no place in the middle of a text.
 *
 * Only a text can be gone on from. The break stays one where a tool call had begun, where reasoning was not finished before the
 * text began, where there is more than one block of text, a file, or no text yet; also where `that` cannot be opened, or answers with a
 * template (`Llm.orElseSucceed`). The `StreamInterrupted` of an answer that was continued has all that was delivered as its `partial`.
 *
 * Throws a `RangeError` where `times` is not a whole number of at least 1.
 *
 * **Gotchas**
 *
 * - A repetition and a text that says the same thing twice look alike. Where an answer may hold the same line twice in a row (tables,
 *   code), and the provider is known to go on exactly, set `overlap: "keep"`.
 * - A model that does not understand what it is asked may begin again in other words, or remark on it. Try it with the very model.
 * - The `finish` part tells the usage of the last request; the receipt adds up all.
 *
 * **Example** (Going on in the middle of a sentence)
 *
 * ```ts
 * import { Llm, Part, Resume } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Stream } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Resume.continue(Llm.model(Anthropic, "claude-haiku-4-5")))
 *
 * const parts = await Effect.runPromise(
 *   Llm.streamText(llm, { prompt: "Where is the Eiffel tower?" }).pipe(
 *     Stream.runCollect,
 *     Effect.provide([
 *       ScriptedProvider.layer(OpenAi, [ScriptedProvider.breakOff(["The Eiffel ", "tower is "])]),
 *       ScriptedProvider.layer(Anthropic, [ScriptedProvider.text(["The Eiffel tower", " is in ", "Paris."])])
 *     ])
 *   )
 * )
 *
 * Part.text(parts) // => "The Eiffel tower is in Paris."
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
const continue_: {
  <E2, R2>(
    that: Llm.Llm<E2, R2>,
    options?: ContinueOptions
  ): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | R2>
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: ContinueOptions): Llm.Llm<E, R | R2>
} = dual(
  (args) => Llm.isLlm(args[1]),
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: ContinueOptions): Llm.Llm<E, R | R2> => {
    const times = timesOf("continue", options)
    const overlap = options?.overlap ?? "remove"
    return resume(self, that, {
      plan: planOf("continue", self.plan, that.plan, times),
      times,
      // Whoever has it continued goes on from what comes of it too.
      holdsStill: (call) => call.continues !== undefined,
      way: (call) => new Continuing(call, overlap)
    })
  }
)

export { continue_ as continue }
