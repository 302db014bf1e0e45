/**
 * Going on after an answer has broken off, when part of it has been delivered already.
 *
 * After the first content part a call can no longer be retried or replaced: its consumer has seen the words. What is left is to
 * go on from there, and only where that is asked for:
 *
 * - {@link restart} begins again. A `retract` part comes first and unsays all that came before, so that nobody can mistake the
 *   words of two answers for one.
 * - {@link continue} has the text gone on with, where a provider accepts the beginning of an answer, and takes out what is said
 *   twice.
 *
 * Neither adds a failure: what cannot be mended stays the `StreamInterrupted` that it was, with the text that was delivered, its
 * usage and its cause, whatever has become of the attempt to mend it.
 *
 * **What goes inside, what outside**
 *
 * Inside: the whole fallback, with its limits on silence (`idle`), so that a stall is a break too. Outside: the retry budget and the
 * total limit.
 *
 * **Gotchas**
 *
 * - Only streams break off. A full answer is delivered only whole, so there a break is one more failure to retry or fall back from.
 * - A consumer has to understand a `retract` part. `Part.toAnswer` and `Part.text` do. `Llm.textDeltas` yields bare strings, which
 *   cannot be unsaid: there it is a `StreamInterrupted`. Where a consumer cannot understand it (`effect/ai`'s `LanguageModel`, and
 *   streams with a toolkit, whose tools may have run by then), nothing is begun again.
 * - It is not done where it cannot help: when the answer reached its output limit, when a content policy stopped it, when the time is up.
 *
 * @since 0.2.0
 */
import { dual } from "effect/Function"
import type { Call } from "../core/Call.ts"
import * as Llm from "../core/Llm.ts"
import type { StreamInterrupted } from "../core/LlmError.ts"
import type { Part } from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"
import { Continuation } from "./internal/resumeContinue.ts"
import { type Resumption, resuming } from "./internal/resumeFlow.ts"

/**
 * Settings of {@link restart}.
 *
 * @category options
 * @since 0.2.0
 */
export interface RestartOptions {
  /** How many times it is begun again: a whole number from 1. Default: 1. */
  readonly times?: number | undefined
}

/**
 * Settings of {@link continue}.
 *
 * @category options
 * @since 0.2.0
 */
export interface ContinueOptions {
  /** How many times it is gone on with: a whole number from 1. Default: 1. */
  readonly times?: number | undefined
  /**
   * What to do with words that are said again at the seam: `remove` them, or `keep` them, for providers that are known to go on
   * exactly where the text ends. Default: `remove`.
   */
  readonly overlap?: "remove" | "keep" | undefined
}

const timesOf = (name: string, times: number | undefined): number => {
  if (times === undefined) return 1
  if (Number.isInteger(times) && times >= 1) return times
  throw new RangeError(`Resume.${name}: times must be a whole number of at least 1, got ${times}`)
}

const detailOf = (times: number): string => times === 1 ? "" : `up to ${times} times`

const isDataFirst = (args: IArguments): boolean => Llm.isLlm(args[0]) && Llm.isLlm(args[1])

/**
 * Begins again with another `Llm` when an answer breaks off, after a `retract` part.
 *
 * **When to use**
 *
 * Use for consumers that can take words back: a page that renders the answer anew, a fold of its parts, a program that acts on whole
 * answers only.
 *
 * **Details**
 *
 * The other one is asked the same question. When its first content part is there, the `retract` part is delivered, and then its parts.
 * When it cannot be opened, the consumer gets the break that it would have had without it. The same `Llm` may be given again.
 *
 * Throws a `RangeError` where `times` is not a whole number of at least 1.
 *
 * **Example** (A second beginning)
 *
 * ```ts
 * import { Llm, Part, Resume } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer, Stream } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Groq extends Provider.Service<Groq>()("groq") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Resume.restart(Llm.model(Groq, "llama-3.3-70b")))
 *
 * const parts = await Effect.runPromise(
 *   Stream.runCollect(Llm.streamText(llm, { prompt: "How high is it?" })).pipe(Effect.provide(Layer.mergeAll(
 *     ScriptedProvider.layer(OpenAi, [ScriptedProvider.breakOff(["It is ", "3"])]),
 *     ScriptedProvider.layer(Groq, [ScriptedProvider.text(["330 ", "metres."])])
 *   )))
 * )
 *
 * parts.flatMap((part) => part.type === "text-delta" ? part.delta : part.type === "retract" ? "⟲" : []).join("|")
 * // => "It is |3|⟲|330 |metres."
 * Part.text(parts) // => "330 metres."
 * ```
 *
 * @category combinators
 * @since 0.2.0
 */
export const restart: {
  <E2, R2>(that: Llm.Llm<E2, R2>, options?: RestartOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | R2>
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: RestartOptions): Llm.Llm<E, R | R2>
} = dual(
  isDataFirst,
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: RestartOptions): Llm.Llm<E, R | R2> => {
    const times = timesOf("restart", options?.times)
    return Llm.make<E, R | R2>({
      plan: Plan.policy("restart", { detail: detailOf(times), children: [self.plan, that.plan] }),
      open: (call) =>
        call.mode === "stream" && call.retractable
          ? resuming(self, that, call, times, () => new Restart(call))
          : self.open(call)
    })
  }
)

/** Hands everything on as it is, and says when it is no longer to be believed. */
class Restart implements Resumption {
  private readonly call: Call

  constructor(call: Call) {
    this.call = call
  }

  ask(): Call {
    return this.call
  }

  see<Parts>(parts: Parts): Parts {
    return parts
  }

  end(): undefined {
    return undefined
  }

  begin(error: StreamInterrupted): readonly [Part] {
    return [{ type: "retract", reason: error.reason }]
  }

  complete(error: StreamInterrupted): StreamInterrupted {
    return error
  }
}

/**
 * Has another `Llm` go on with the text of an answer that broke off.
 *
 * **When to use**
 *
 * Use for long texts with providers that go on from a given beginning (an assistant message at the end of the prompt), such as
 * Anthropic's older models, vLLM and llama.cpp.
 *
 * **Details**
 *
 * - The other one is asked with the delivered text as the last message, without white space at its end, which some refuse. Its words
 *   follow in the same block; white space and words that it says again are taken out.
 * - It is not tried where more than one text has been delivered, or a tool call or a thought with it: nobody can go on from half of
 *   one. Nor where the text had been ended, and only the finish was missing.
 * - When the other one refuses (with a 400, say), the consumer gets the break that it would have had without it.
 *
 * Throws a `RangeError` where `times` is not a whole number of at least 1.
 *
 * **Gotchas**
 *
 * Whether words are said again can only be guessed: at least 12 characters, of at least 6 kinds, that the text ends and the
 * continuation begins with; or all of the text, down to 3 characters. What is shorter is kept, for a text may well go on with the
 * word that it ended with. `overlap: "keep"` leaves everything as it comes.
 *
 * **Example** (One text from two answers)
 *
 * ```ts
 * import { Llm, Part, Resume } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Stream } from "effect"
 *
 * class Vllm extends Provider.Service<Vllm>()("vllm") {}
 *
 * const model = Llm.model(Vllm, "llama-3.3-70b")
 * const llm = model.pipe(Resume.continue(model))
 *
 * const parts = await Effect.runPromise(
 *   Stream.runCollect(Llm.streamText(llm, { prompt: "How high is it?" })).pipe(
 *     Effect.provide(ScriptedProvider.layer(Vllm, [
 *       ScriptedProvider.breakOff(["The tower ", "is 330 "]),
 *       ScriptedProvider.text(["metres ", "high."])
 *     ]))
 *   )
 * )
 *
 * Part.text(parts) // => "The tower is 330 metres high."
 * ```
 *
 * @category combinators
 * @since 0.2.0
 */
const continue_: {
  <E2, R2>(that: Llm.Llm<E2, R2>, options?: ContinueOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | R2>
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: ContinueOptions): Llm.Llm<E, R | R2>
} = dual(
  isDataFirst,
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: ContinueOptions): Llm.Llm<E, R | R2> => {
    const times = timesOf("continue", options?.times)
    const removesOverlap = options?.overlap !== "keep"
    return Llm.make<E, R | R2>({
      plan: Plan.policy("continue", { detail: detailOf(times), children: [self.plan, that.plan] }),
      open: (call) =>
        call.mode === "stream"
          ? resuming(self, that, call, times, () => new Continuation(call, removesOverlap))
          : self.open(call)
    })
  }
)

export { continue_ as continue }
