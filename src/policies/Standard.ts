/**
 * The recommended stack in one call: {@link standard}, which is `Llm.standard`, and the layers it needs.
 *
 * For each model, from the inside out:
 *
 * 1. limits on each attempt: 10 seconds for the first part (only while a fallback remains: the last model may take the rest of the
 *    time, since reasoning models are slow to start), 15 seconds of silence;
 * 2. a hedge and a limiter, where they are asked for;
 * 3. 2 retries, with backoff and jitter, never earlier than the provider asks for. A model that was silent is not asked again while
 *    another one is left;
 * 4. a circuit breaker: 5 calls in a row that failed open it for 15 seconds.
 *
 * And around all of them:
 *
 * 5. the fallback: one model after the other. What no model can help with ends it at once;
 * 6. going on after an answer has broken off, where it is asked for;
 * 7. a retry budget, so that an outage is not made worse;
 * 8. a deadline: 2 minutes in all.
 *
 * Each can be changed or left out, and the type of the stack follows. It is made of the policies that you would write by hand, in
 * the order in which you would write them; `docs/standard.md` says why in that order.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import type * as Llm from "../core/Llm.ts"
import * as LlmError from "../core/LlmError.ts"
import * as Breaker from "./Breaker.ts"
import * as Fallback from "./Fallback.ts"
import * as Hedge from "./Hedge.ts"
import * as Limiter from "./Limiter.ts"
import * as Resume from "./Resume.ts"
import * as Retry from "./Retry.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Timeout from "./Timeout.ts"

/**
 * What a {@link standard} stack is made of. Only the models have to be given.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Whom to ask, in this order: a model, or a stack of your own. */
  readonly models: readonly [Llm.Any, ...ReadonlyArray<Llm.Any>]
  /**
   * Limits that differ from the default ones: `firstPart` 10 seconds, `idle` 15 seconds, `total` 2 minutes, and none on `connect`.
   * An infinite one is none. `firstPart` holds for all models but the last, which may take the rest of the time: give that one a
   * limit of its own, with `Llm.timeout` around the model, where it should not.
   */
  readonly timeout?: Timeout.Limits | undefined
  /** When to try again. Default: `Retry.transient`. */
  readonly retry?: Schedule.Schedule<unknown> | false | undefined
  /** The longest wait that is obeyed when a provider asks for it. Default: 20 seconds. */
  readonly maxRetryAfter?: Duration.Input | undefined
  /**
   * The circuit of each model. Default: one by provider and model; a `key` that is a string is one circuit for all of them. When
   * circuits open is the `Breaker`'s to say: see {@link layerStandard}.
   */
  readonly breaker?: Breaker.GuardOptions | false | undefined
  /** How many calls, requests and tokens may be sent. Default: as many as come. */
  readonly limiter?: Limiter.EnforceOptions | boolean | undefined
  /** When to ask a second time. Default: never. */
  readonly hedge?: Hedge.Options | false | undefined
  /**
   * What to do when an answer breaks off after it has begun: to begin again, by way of a `retract` part, or to continue where that
   * is possible. The next models are asked, or the only one. Default: nothing, the stream fails with `StreamInterrupted`.
   */
  readonly resume?: "restart" | "continue" | false | undefined
  /** The budget of retries and hedges. Default: one for all. How large it is says {@link layerStandard}. */
  readonly retryBudget?: RetryBudget.KeyOptions | false | undefined
}

/** What an option was given; `undefined` where it was not. */
type Given<O, Key extends string> = O extends { readonly [K in Key]?: infer V } ? unknown extends V ? undefined : V
  : undefined

type Off = false | undefined

type StoreError<O, Key extends string> = Given<O, Key> extends infer V ?
  V extends { readonly onStoreError?: infer On } ? "fail" extends On ? LlmError.StoreUnavailable : never : never
  : never

type CandidateError<O extends Options> =
  | Llm.Error<O["models"][number]>
  | LlmError.TimedOut
  | ([Given<O, "breaker">] extends [false] ? never : LlmError.CircuitOpen | StoreError<O, "breaker">)
  | ([Given<O, "limiter">] extends [Off] ? never : LlmError.Saturated | StoreError<O, "limiter">)

/**
 * The failures of a {@link standard} stack.
 *
 * @category models
 * @since 0.1.0
 */
export type StandardError<O extends Options> =
  // Of a list whose length is not known, both.
  | (1 extends O["models"]["length"] ? CandidateError<O> : never)
  | (O["models"]["length"] extends 1 ? never
    : LlmError.ExcludeFailsOver<CandidateError<O>> | LlmError.AllModelsExhausted | LlmError.TimedOut)

/**
 * The services that a {@link standard} stack needs.
 *
 * @category models
 * @since 0.1.0
 */
export type StandardServices<O extends Options> =
  | Llm.Services<O["models"][number]>
  | ([Given<O, "breaker">] extends [false] ? never : Breaker.Breaker)
  | ([Given<O, "limiter">] extends [Off] ? never : Limiter.Limiter)
  | ([Given<O, "hedge">] extends [Off] ? never : RetryBudget.RetryBudget)
  | ([Given<O, "retryBudget">] extends [false] ? never : RetryBudget.RetryBudget)

const defaults = { firstPart: "10 seconds", idle: "15 seconds", total: "2 minutes" } as const

type AnyLlm = Llm.Llm<unknown, unknown>

// A silent model is not asked again while another one is left: it has had its time.
const unlessSilent = (error: unknown): boolean => LlmError.isTransient(error) && !(error instanceof LlmError.TimedOut)

const candidateOf = (self: AnyLlm, options: Options, remaining: number): AnyLlm => {
  const { breaker, hedge, limiter, maxRetryAfter, retry, timeout } = options
  let llm: AnyLlm = Timeout.timeout(self, {
    connect: timeout?.connect,
    firstPart: remaining > 0 ? timeout?.firstPart ?? defaults.firstPart : undefined,
    idle: timeout?.idle ?? defaults.idle
  })
  if (limiter !== undefined && limiter !== false) llm = Limiter.enforce(llm, limiter === true ? {} : limiter)
  if (hedge !== undefined && hedge !== false) llm = Hedge.hedge(llm, hedge)
  if (retry !== false) {
    llm = Retry.retry(llm, retry ?? Retry.transient, {
      maxRetryAfter,
      while: remaining > 0 ? unlessSilent : LlmError.isTransient
    })
  }
  return breaker === false ? llm : Breaker.guard(llm, breaker ?? {})
}

const inTurn = (candidates: ReadonlyArray<AnyLlm>): AnyLlm =>
  candidates.length === 1 ? candidates[0]! : Fallback.firstOf(candidates)

/**
 * Builds the recommended stack around one model, or several.
 *
 * **Details**
 *
 * With several models it fails with `AllModelsExhausted` when all have failed, and as the model fails where no other can help.
 * With one it fails as that one does. The services that it needs come from {@link layerStandard}.
 *
 * **Example** (Two models, and an answer that is begun again when it breaks off)
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
 * const llm = Llm.standard({
 *   models: [Llm.model(OpenAi, "gpt-5-mini"), Llm.model(Ollama, "llama3.3")],
 *   resume: "restart"
 * })
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Hello?" }).pipe(Effect.provide(Layer.mergeAll(
 *     Llm.layerStandard(),
 *     ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("QuotaExhausted")]),
 *     ScriptedProvider.layer(Ollama, [ScriptedProvider.text("Hello!")])
 *   )))
 * )
 *
 * answer.receipt.model // => "llama3.3"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const standard = <const O extends Options>(options: O): Llm.Llm<StandardError<O>, StandardServices<O>> => {
  const { resume, retryBudget, timeout } = options
  const candidates = options.models.map((model, index, { length }) => candidateOf(model, options, length - index - 1))
  let llm = inTurn(candidates)
  if (resume === "restart" || resume === "continue") {
    // Whoever has just broken off comes last in line, unless there is nobody else.
    const next = inTurn(candidates.length === 1 ? candidates : candidates.slice(1))
    llm = resume === "restart" ? Resume.restart(llm, next, { times: 2 }) : Resume.continue(llm, next, { times: 2 })
  }
  if (retryBudget !== false) llm = RetryBudget.guard(llm, retryBudget)
  llm = Timeout.timeout(llm, { total: timeout?.total ?? defaults.total })
  // Built from a list, where the compiler cannot follow; `test/types` holds it to the types of the same stack by hand.
  return llm as Llm.Llm<StandardError<O>, StandardServices<O>>
}

/**
 * The services that a {@link standard} stack needs, in this process.
 *
 * **When to use**
 *
 * Use it to begin with. Where several processes share an account, provide `Breaker.layerRedis` and `RetryBudget.layerRedis`
 * instead, so that they share what they know of it; where there is a limiter, provide a `Limiter` besides.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStandard = (options?: {
  readonly breaker?: Breaker.Options | undefined
  readonly retryBudget?: RetryBudget.Options | undefined
}): Layer.Layer<Breaker.Breaker | RetryBudget.RetryBudget> =>
  Layer.merge(Breaker.layerMemory(options?.breaker), RetryBudget.layerMemory(options?.retryBudget))
