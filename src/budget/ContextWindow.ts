/**
 * Context windows: a request is counted against the window of the model *before* it is sent, and is refused, shortened or split where
 * it does not fit.
 *
 * - {@link enforce} has every model count its requests, prompt and answer together, and fail with `ContextLengthExceeded` where they
 *   do not fit: with the numbers, and before any money is spent. Or, when asked to, it leaves out the oldest turns of the
 *   conversation until the rest fits.
 * - {@link mapReduce} reads a text that fits no window: in parts, each of which is asked about, and whose answers are put together.
 *   What that will cost is known before anything is sent.
 * - {@link chunks} cuts a text where paragraphs and sentences end, so that no part has too many tokens.
 *
 * **What goes inside, what outside**
 *
 * `enforce` may stand anywhere, since each model checks for itself: around a fallback, a prompt that is too long for the first model
 * goes on to the second. Around one model alone, it is for that one.
 *
 * **Gotchas**
 *
 * - What is not exact is counted with a margin, so that a request may be refused that would just have fitted: see `TokenCount`.
 * - A request whose model is not known to {@link Windows} is sent as it is, unless `onUnknown` says otherwise.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as References from "effect/References"
import type * as Call from "../core/Call.ts"
import type { Recorder } from "../core/internal/recorder.ts"
import * as Llm from "../core/Llm.ts"
import { ContextLengthExceeded, InvalidRequest } from "../core/LlmError.ts"
import * as Plan from "../core/Plan.ts"
import { type Window, Windows } from "./internal/windowTable.ts"
import { longest, shortened } from "./internal/windowTrim.ts"
import { TokenCount } from "./TokenCount.ts"

export * from "./internal/windowChunks.ts"
export * from "./internal/windowMapReduce.ts"
export { type Window, Windows }

/**
 * Settings of {@link enforce}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The window of the models, in tokens, or of each. Default: what {@link Windows} says. */
  readonly window?: Window | ((target: Call.Target) => Window | undefined) | undefined
  /** How many tokens are kept for the answer where `maxOutputTokens` is not set. Default: 1,024. */
  readonly reserve?: number | undefined
  /**
   * What becomes of a request that does not fit: it is refused (`refuse`, the default), or loses the oldest turns of its conversation
   * until it fits (`trim`), and is refused where that is not enough.
   */
  readonly mode?: "refuse" | "trim" | undefined
  /** How many of the newest turns are never left out; a turn begins with a message of the user. Default: 1. */
  readonly keepTurns?: number | undefined
  /**
   * What becomes of a request to a model whose window is not known: it is sent without a check (`allow`, the default), which is
   * logged at `References.UnhandledLogLevel`, or fails with `InvalidRequest` (`fail`).
   */
  readonly onUnknown?: "allow" | "fail" | undefined
}

/**
 * Has every model count its requests against its window before it sends them.
 *
 * **Details**
 *
 * Fails with `ContextLengthExceeded`, with the window as `limit`, prompt and answer together as `requested`, and `unsent`. It is a
 * failure of the model, where each model's is: a fallback inside goes on to the next one, a retry does not repeat it, no circuit
 * opens for it, and it is part of a model's `E` anyway, so that the type stays as it is. In `trim` mode what is kept is all that the
 * system says and the newest turns, each whole.
 *
 * Receipts say `rejected` for a request that was not sent, and `trim` for one that was shortened, with how many messages and tokens
 * were left out.
 *
 * **Gotchas**
 *
 * A model is one that `Llm.model` makes. What your own `open` asks is not counted.
 *
 * **Example** (A larger window where it is needed)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { ContextWindow, TokenCount } from "effect-bulwark/budget"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 * class Gemini extends Provider.Service<Gemini>()("gemini") {}
 *
 * const llm = Llm.model(Ollama, "llama3.3").pipe(
 *   Llm.orElse(Llm.model(Gemini, "gemini-3.5-flash")),
 *   ContextWindow.enforce({ window: ({ provider }) => provider === "ollama" ? 8_192 : 1_048_576 })
 * )
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "A long story. ".repeat(10_000) }).pipe(Effect.provide(Layer.mergeAll(
 *     TokenCount.layer(),
 *     ScriptedProvider.layer(Ollama, []),
 *     ScriptedProvider.layer(Gemini, [ScriptedProvider.text("Read.")])
 *   )))
 * )
 *
 * answer.receipt.model // => "gemini-3.5-flash"
 * answer.receipt.events.map((event) => event.type) // => ["rejected", "fallback"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const enforce: {
  (options?: Options): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | TokenCount>
  <E, R>(self: Llm.Llm<E, R>, options?: Options): Llm.Llm<E, R | TokenCount>
} = dual((args) => Llm.isLlm(args[0]), enforced)

function enforced<E, R>(self: Llm.Llm<E, R>, options: Options = {}): Llm.Llm<E, R | TokenCount> {
  const { keepTurns = 1, mode = "refuse", reserve = 1024, window } = options
  const illegal = (what: string, got: unknown): never => {
    throw new RangeError(`ContextWindow.enforce: ${what}, got ${String(got)}`)
  }
  if (!(reserve >= 0) || !Number.isFinite(reserve)) illegal("reserve must be a number of tokens", reserve)
  if (!Number.isInteger(keepTurns) || keepTurns < 1) illegal("keepTurns must be an integer of at least 1", keepTurns)
  if (typeof window === "number" && !(window > 0)) illegal("window must be greater than 0", window)
  const plan = Plan.policy("contextWindow", {
    detail: [mode === "trim" ? "trim" : undefined, typeof window === "number" ? `${window} tokens` : undefined]
      .filter((detail) => detail !== undefined).join(", "),
    children: [self.plan]
  })
  return Llm.make({
    plan,
    open: (call) =>
      Effect.contextWith((context: Context.Context<TokenCount>) => {
        const own = typeof window === "function"
          ? window
          : window === undefined
          ? Context.get(context, Windows)
          : () => window
        const counter = Context.get(context, TokenCount)
        const outer = call.prepare
        const prepare: Call.Prepare = (target, request) => {
          const size = own(target)
          if (size === undefined) return unknown(target, request, options.onUnknown ?? "allow")
          const check: Check = { counter, recorder: call.recorder, target, size, reserve }
          return mode === "trim" ? trim(check, request, keepTurns) : refuse(check, request)
        }
        return self.open({
          ...call,
          // What stands further out sees what is left of the request by then.
          prepare: outer === undefined
            ? prepare
            : (target, request) => Effect.flatMap(prepare(target, request), (request) => outer(target, request))
        })
      })
  })
}

interface Check {
  readonly counter: TokenCount
  readonly recorder: Recorder
  readonly target: Call.Target
  readonly size: Window
  readonly reserve: number
}

/** What a request needs, and what of it is too much; nothing where it fits. */
interface Measured {
  readonly tokens: number
  readonly exceeded: { readonly limit: number; readonly requested: number } | undefined
}

const measure = ({ counter, reserve, size, target }: Check, request: Call.Request): Effect.Effect<Measured> =>
  Effect.map(counter.count({ ...target, ...request }), ({ tokens }) => {
    const requested = tokens + Math.ceil(request.settings.maxOutputTokens ?? reserve)
    const { input, total } = typeof size === "number" ? { input: size, total: size } : size
    return {
      tokens,
      exceeded: requested > total
        ? { limit: Math.floor(total), requested }
        : tokens > input
        ? { limit: Math.floor(input), requested: tokens }
        : undefined
    }
  })

const refused = (
  { recorder, target }: Check,
  exceeded: { readonly limit: number; readonly requested: number }
): Effect.Effect<never, ContextLengthExceeded> =>
  Effect.suspend(() => {
    recorder.event("rejected", "ContextLengthExceeded")
    return Effect.fail(new ContextLengthExceeded({ ...target, ...exceeded, unsent: true }))
  })

const refuse = (check: Check, request: Call.Request): Effect.Effect<Call.Request, ContextLengthExceeded> =>
  Effect.flatMap(
    measure(check, request),
    ({ exceeded }) => exceeded === undefined ? Effect.succeed(request) : refused(check, exceeded)
  )

const trim = (
  check: Check,
  request: Call.Request,
  keepTurns: number
): Effect.Effect<Call.Request, ContextLengthExceeded> =>
  Effect.flatMap(measure(check, request), (whole) => {
    if (whole.exceeded === undefined) return Effect.succeed(request)
    const prompts = shortened(request.prompt, keepTurns)
    let least = whole.exceeded
    const fits = (prompt: Call.Request["prompt"]) =>
      Effect.map(measure(check, { ...request, prompt }), (measured) => {
        if (measured.exceeded === undefined) return { prompt, tokens: measured.tokens }
        if (measured.exceeded.requested < least.requested) least = measured.exceeded
        return undefined
      })
    return Effect.flatMap(longest(prompts.slice(1), fits), (found) => {
      if (found === undefined) return refused(check, least)
      const messages = request.prompt.content.length - found.prompt.content.length
      check.recorder.event("trim", `${messages} messages, ${whole.tokens - found.tokens} tokens`)
      return Effect.succeed({ ...request, prompt: found.prompt })
    })
  })

const unknown = (
  target: Call.Target,
  request: Call.Request,
  onUnknown: "allow" | "fail"
): Effect.Effect<Call.Request, InvalidRequest> =>
  onUnknown === "fail"
    ? Effect.fail(
      new InvalidRequest({
        ...target,
        parameter: "model",
        problem: "the context window of the model is not known, so nothing was sent"
      })
    )
    : Effect.flatMap(References.UnhandledLogLevel, (level) =>
      Effect.as(
        level === undefined
          ? Effect.void
          : Effect.logWithLevel(level)(
            `ContextWindow: the window of ${target.provider}/${target.model} is not known; the request is sent without a check`
          ),
        request
      ))
