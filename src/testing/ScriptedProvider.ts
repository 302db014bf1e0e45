/**
 * A provider that does what a test tells it: a Layer for any named provider, without a network.
 *
 * Each call to it takes the next step of a script: an answer, a failure, a delay, a cut in mid-stream. All time passes on
 * Effect's `Clock`, so that under `TestClock` hours take no time at all, and the calls it saw are on record. It embeds, too: by default
 * whatever it is asked to.
 *
 * **Gotchas**
 *
 * A call for which the script has no step dies with a message that says so: a test should know how often it calls. For an
 * endless script use a function.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { RateLimit } from "../core/Call.ts"
import { outcomeOf, outcomeOfCause } from "../core/internal/recorder.ts"
import * as LlmError from "../core/LlmError.ts"
import * as Part from "../core/Part.ts"
import type * as Usage from "../core/Usage.ts"
import type * as Provider from "../providers/Provider.ts"
import { type Options, type SeenEmbedding, serveEmbeddings } from "./internal/scriptedEmbeddings.ts"

export { type EmbedScript, type Options, type SeenEmbedding, vectors } from "./internal/scriptedEmbeddings.ts"

/**
 * What the provider does in one call, as data.
 *
 * @category models
 * @since 0.1.0
 */
export interface Step {
  /** How long it is silent before anything else. Default: not at all. */
  readonly delay?: Duration.Input | undefined
  /** How long it waits before each further part. Default: not at all. */
  readonly between?: Duration.Input | undefined
  /** When the response begins, before the first part: status and headers. Default: with the first part, where there is one. */
  readonly response?: Duration.Input | undefined
  /** What the headers say of its limits. Default: nothing. */
  readonly rateLimits?: ReadonlyArray<RateLimit> | undefined
  /** The parts it sends. */
  readonly parts: ReadonlyArray<Part.ProviderPart>
  /** What comes after them: a proper end, a cut of the connection, silence, or a failure. Default: `end`. */
  readonly ending?: "end" | "cut" | "stall" | LlmError.ProviderError | undefined
}

/**
 * What the provider does in each call: the nth step for the nth call, or a function of the request and its index (from 0).
 *
 * @category models
 * @since 0.1.0
 */
export type Script = ReadonlyArray<Step> | ((request: Provider.Request, index: number) => Step)

/**
 * A call that the provider saw.
 *
 * @category models
 * @since 0.1.0
 */
export interface SeenCall {
  /** What was asked. */
  readonly request: Provider.Request
  /** Whether the whole answer was asked for, or a stream. */
  readonly transport: "whole" | "stream"
  /** When it came, in milliseconds since 1970, by the `Clock`. */
  readonly at: number
  /** How it ended: `success`, `interrupted`, or the tag of the failure; absent while it runs. */
  readonly outcome?: string | undefined
}

/**
 * A scripted provider: its layer, and what it saw.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptedProvider<Self> {
  /** The provider, scripted. */
  readonly layer: Layer.Layer<Self>
  /** The calls it saw so far, in order; a live view. */
  readonly calls: ReadonlyArray<SeenCall>
  /** The requests for embeddings it saw so far, in order; a live view. */
  readonly embeddings: ReadonlyArray<SeenEmbedding>
}

// ---------------------------------------------------------------------------------------------------------------------
// steps
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What can be said of any step that answers.
 *
 * @category steps
 * @since 0.1.0
 */
export interface AnswerOptions {
  /** Why the answer ends. Default: `stop`. */
  readonly finishReason?: Extract<Part.ProviderPart, { readonly type: "finish" }>["reason"] | undefined
  /** What it costs, in tokens. Default: 10 in, and a token for each piece of text out. */
  readonly usage?: Usage.Encoded | undefined
  /** How long the provider is silent before the first part. */
  readonly delay?: Duration.Input | undefined
  /** How long it waits before each further part. */
  readonly between?: Duration.Input | undefined
}

const timing = (options: AnswerOptions | undefined) => ({ delay: options?.delay, between: options?.between })

const finish = (tokens: number, reason: string, options: AnswerOptions | undefined): Part.ProviderPart => ({
  type: "finish",
  reason: options?.finishReason ?? (reason as "stop"),
  usage: options?.usage ?? {
    inputTokens: { uncached: 10, total: 10, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: tokens, text: tokens, reasoning: 0 }
  }
})

/**
 * Answers with a text, in one piece or in several.
 *
 * @category steps
 * @since 0.1.0
 */
export const text = (pieces: string | ReadonlyArray<string>, options?: AnswerOptions): Step => {
  const deltas = typeof pieces === "string" ? [pieces] : pieces
  return {
    ...timing(options),
    parts: [
      { type: "text-start", id: "0" },
      ...deltas.map((delta) => ({ type: "text-delta", id: "0", delta } as const)),
      { type: "text-end", id: "0" },
      finish(deltas.length, "stop", options)
    ]
  }
}

/**
 * Answers with a call of a tool.
 *
 * @category steps
 * @since 0.1.0
 */
export const toolCall = (name: string, params: unknown, options?: AnswerOptions & { readonly id?: string }): Step => ({
  ...timing(options),
  parts: [
    { type: "tool-call", id: options?.id ?? `call_${name}`, name, params },
    finish(1, "tool-calls", options)
  ]
})

/**
 * Sends exactly these parts.
 *
 * @category steps
 * @since 0.1.0
 */
export const parts = (parts: ReadonlyArray<Part.ProviderPart>, options?: AnswerOptions): Step => ({
  ...timing(options),
  parts
})

/**
 * Fails, by the tag of the error or with the error itself.
 *
 * @category steps
 * @since 0.1.0
 */
export const fail = (
  error: LlmError.ProviderError["_tag"] | LlmError.ProviderError,
  options?: { readonly delay?: Duration.Input | undefined }
): Step => ({ delay: options?.delay, parts: [], ending: typeof error === "string" ? errorOf(error) : error })

/**
 * Is silent for ever.
 *
 * @category steps
 * @since 0.1.0
 */
export const silence: Step = { parts: [], ending: "stall" }

/**
 * Sends pieces of text, and then breaks off: the connection is cut, goes silent, or the provider fails.
 *
 * @category steps
 * @since 0.1.0
 */
export const breakOff = (
  pieces: string | ReadonlyArray<string>,
  ending: "cut" | "stall" | LlmError.ProviderError["_tag"] | LlmError.ProviderError = "cut",
  options?: AnswerOptions
): Step => ({
  ...text(pieces, options),
  parts: text(pieces, options).parts.slice(0, -2),
  ending: typeof ending === "string" && ending !== "cut" && ending !== "stall" ? errorOf(ending) : ending
})

const errorOf = (tag: LlmError.ProviderError["_tag"]): LlmError.ProviderError => {
  switch (tag) {
    case "ContentFiltered":
      return new LlmError.ContentFiltered({ stage: "prompt", categories: [] })
    case "MalformedResponse":
      return new LlmError.MalformedResponse({ problem: "so the script says" })
    case "StreamInterrupted":
      return new LlmError.StreamInterrupted({ partial: Redacted.make(""), reason: "closed" })
    default:
      return new LlmError[tag]({})
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the provider
// ---------------------------------------------------------------------------------------------------------------------

const cut = () => new LlmError.StreamInterrupted({ partial: Redacted.make(""), reason: "closed" })

const end = (step: Step): Effect.Effect<void, LlmError.ProviderError> => {
  const { ending = "end" } = step
  return ending === "end"
    ? Effect.void
    : ending === "stall"
    ? Effect.never
    : Effect.fail(ending === "cut" ? cut() : ending)
}

const isNow = (duration: Duration.Input | undefined): boolean =>
  duration === undefined || Duration.isZero(Duration.fromInputUnsafe(duration))

const streamOf = (
  step: Step,
  request: Provider.Request
): Stream.Stream<Part.ProviderPart, LlmError.ProviderError> => {
  const wait = (duration: Duration.Input | undefined) => isNow(duration) ? Effect.void : Effect.sleep(duration ?? 0)
  const sent = isNow(step.between)
    ? Stream.fromIterable(step.parts)
    : Stream.fromIterable(step.parts.entries()).pipe(
      Stream.mapEffect(([index, part]) => Effect.as(index === 0 ? Effect.void : wait(step.between), part)),
      // One part a pull, as it would come over a wire.
      Stream.rechunk(1)
    )
  return Stream.unwrap(
    Effect.as(beginning(step, request), Stream.concat(sent, Stream.drain(Stream.fromEffect(end(step)))))
  )
}

/** The silence before the first part, in which the response begins. */
const beginning = (step: Step, request: Provider.Request): Effect.Effect<void> => {
  const delay = isNow(step.delay) ? Duration.zero : Duration.fromInputUnsafe(step.delay ?? 0)
  const response = step.response === undefined
    ? delay
    : Duration.min(delay, Duration.fromInputUnsafe(step.response))
  const responds = step.parts.length > 0 || step.response !== undefined || step.rateLimits !== undefined
  const respond = responds ? Effect.sync(() => request.onResponse?.(step.rateLimits ?? [])) : Effect.void
  const sleep = (duration: Duration.Duration) => Duration.isZero(duration) ? Effect.void : Effect.sleep(duration)
  return Effect.andThen(sleep(response), Effect.andThen(respond, sleep(Duration.subtract(delay, response))))
}

const wholeOf = (
  step: Step,
  request: Provider.Request
): Effect.Effect<ReadonlyArray<Part.AnswerPart>, LlmError.ProviderError> =>
  step.ending === undefined && isNow(step.delay) && isNow(step.between)
    ? Effect.andThen(beginning(step, request), Effect.sync(() => Part.toAnswer(step.parts)))
    : Effect.map(Stream.runCollect(streamOf(step, request)), Part.toAnswer)

/**
 * Builds a scripted provider, and keeps a record of what it saw.
 *
 * **Example** (What a retry does)
 *
 * ```ts
 * import { Llm, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const openai = ScriptedProvider.make(OpenAi, [ScriptedProvider.fail("Overloaded"), ScriptedProvider.text("Hello!")])
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.retry(Retry.transient))
 *
 * await Effect.runPromise(Llm.generateText(llm, { prompt: "Hello?" }).pipe(Effect.provide(openai.layer)))
 *
 * openai.calls.map((call) => call.outcome) // => ["Overloaded", "success"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Self>(
  provider: Provider.Key<Self>,
  script: Script,
  options: Options = {}
): ScriptedProvider<Self> => {
  const calls: Array<{ -readonly [Key in keyof SeenCall]: SeenCall[Key] }> = []
  const embeddings: Array<SeenEmbedding> = []

  const take = (request: Provider.Request, transport: SeenCall["transport"]) =>
    Clock.clockWith((clock) => {
      const index = calls.length
      const call = { request, transport, at: clock.currentTimeMillisUnsafe() }
      calls.push(call)
      const step = typeof script === "function" ? script(request, index) : script[index]
      return step === undefined
        ? Effect.die(
          new Error(
            `ScriptedProvider ${provider.providerName}: call ${
              index + 1
            } has no step; the script ends after ${script.length}`
          )
        )
        : Effect.succeed({ call: call as typeof calls[number], step })
    })

  return {
    calls,
    embeddings,
    layer: Layer.succeed(provider, {
      embedder: serveEmbeddings(embeddings, options),
      whole: (request) =>
        Effect.flatMap(
          take(request, "whole"),
          ({ call, step }) =>
            Effect.onExit(wholeOf(step, request), (exit) =>
              Effect.sync(() => {
                call.outcome = outcomeOf(exit)
              }))
        ),
      stream: (request) =>
        Stream.unwrap(Effect.map(take(request, "stream"), ({ call, step }) => {
          let finished = false
          return streamOf(step, request).pipe(
            Stream.mapArray((parts) => {
              finished ||= parts.some((part) => part.type === "finish")
              return parts
            }),
            Stream.tapCause((cause) =>
              Effect.sync(() => {
                call.outcome = outcomeOfCause(cause)
              })
            ),
            // Its reader may have failed, which is no failure of the call: to the provider, the reader went away.
            Stream.onExit(() =>
              Effect.sync(() => {
                call.outcome ??= finished ? "success" : "interrupted"
              })
            )
          )
        }))
    })
  }
}

/**
 * A scripted provider as a layer, where a test does not ask what it saw.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Self>(provider: Provider.Key<Self>, script: Script, options?: Options): Layer.Layer<Self> =>
  make(provider, script, options).layer
