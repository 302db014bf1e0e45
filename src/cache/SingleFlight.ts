/**
 * One upstream call for all who ask the same at the same time.
 *
 * Whoever asks first begins a *flight*: the upstream call, in a fiber and a scope of its own. Whoever asks the same while it runs joins it,
 * and gets the same parts: what has flowed so far, and then what follows. {@link share} does that for an `Llm`; `Cache.through` does it for what
 * a cache does not have.
 *
 * - Nobody owns a flight. It goes on as long as one of those who take part waits for it: interrupting the one who began it, or a limit of theirs
 *   that passes, harms nobody else. When the last one leaves, the upstream call is cancelled at once, and nobody joins it any more.
 * - A failure reaches all who wait, and is forgotten at once: whoever asks in the very tick after it begins anew. An answer that breaks off
 *   reaches each reader as the parts that had come, and then the same `StreamInterrupted`.
 * - Each request stands on the receipt of exactly one call: of the one that began the flight, or, if that one leaves early, of the one that has
 *   waited longest. The others say `cache: "coalesced"`, who served them, and what they saved.
 *
 * **What goes inside, what outside**
 *
 * Inside: whatever costs money or sends something: models, retries, fallbacks, `Budget.enforce`. The one shared call is charged once. Outside:
 * limits on how long a caller waits (`Llm.timeout({ total })`), which then are each caller's own.
 *
 * **Gotchas**
 *
 * - The key must determine the answer, who may see it, and which failures are possible: whoever has the key gets the answer.
 * - The upstream call is made with what the first caller has: services, attribution, budget, deadline. Where it fails because that caller's time
 *   was up, those who have more time ask anew.
 * - A stream that joins a call for a whole answer gets all its parts at once, when the answer is there. So a limit on the first part
 *   (`Llm.timeout({ firstPart })`) should stand inside, around the model.
 * - Upstream is read as fast as it comes, however slowly anybody reads, up to `maxBytes`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Call } from "../core/Call.ts"
import * as Llm from "../core/Llm.ts"
import type { Opened } from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import type { Answer, Hooks, Shared } from "./internal/flightAnswer.ts"
import { Flights } from "./internal/flights.ts"

export type { Answer, Hooks, Shared }

/**
 * The flights of a program.
 *
 * @category services
 * @since 0.1.0
 */
export class SingleFlight extends Context.Service<SingleFlight, {
  /**
   * Opens a call: joins the flight of its key, where there is one, or begins one.
   *
   * **Details**
   *
   * `begin` opens the upstream call, with the call it is given. It runs in a fiber and a scope of the flight, with the services of whoever
   * began it. A call that goes on from a text (`continues`), and one that must send its own request (`single`), join nothing and are joined by
   * nobody.
   *
   * All who use a key must use it for a `begin` with the same failures: the type `E` of whoever joins is that of whoever began.
   */
  readonly open: <E, R>(
    key: string,
    call: Call,
    begin: (call: Call) => Effect.Effect<Opened, E, R | Scope.Scope>,
    hooks?: Hooks
  ) => Effect.Effect<Shared, E, R | Scope.Scope>
  /** How many flights there are now. */
  readonly size: Effect.Effect<number>
}>()("effect-bulwark/cache/SingleFlight") {}

/**
 * Settings of {@link make} and {@link layer}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * How much of an answer a flight keeps for those who come late and those who read slowly, in UTF-8 bytes or so of its parts. Default: 4 MiB.
   *
   * A larger answer cannot be joined any more, and is not told to `whole`. What all readers have had of it is dropped. Where all of them are
   * slow, upstream waits for them; where only some are, those that lag more than this behind are cut off, with a `StreamInterrupted` of
   * reason `closed`.
   */
  readonly maxBytes?: number | undefined
}

/**
 * Flights that end with a scope: what is under way when it closes is interrupted, for all who wait.
 *
 * Throws a `RangeError` where `maxBytes` is no whole number of at least 1.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Effect.Effect<SingleFlight["Service"], never, Scope.Scope> => {
  const maxBytes = options?.maxBytes ?? 4 * 1024 * 1024
  if (!(Number.isInteger(maxBytes) && maxBytes >= 1)) {
    throw new RangeError(`SingleFlight.make: maxBytes must be a whole number of at least 1, got ${maxBytes}`)
  }
  return Effect.map(Scope.Scope, (scope) => {
    const flights = new Flights(scope, maxBytes)
    return SingleFlight.of({
      open: (key, call, begin, hooks) => flights.open(key, call, begin, hooks),
      size: Effect.sync(() => flights.size)
    })
  })
}

/**
 * The flights of a program, for {@link share}. Use one layer: two of them share nothing.
 *
 * Throws a `RangeError` where `maxBytes` is no whole number of at least 1.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<SingleFlight> => Layer.effect(SingleFlight, make(options))

/**
 * Settings of {@link share}.
 *
 * @category options
 * @since 0.1.0
 */
export interface ShareOptions {
  /**
   * What makes calls the same: everything that the answer depends on, and whoever may see it (the tenant, the user). A call without a key
   * shares nothing. The policies inside are part of the key as they are printed, without being mentioned.
   */
  readonly key: (call: Call) => string | undefined
}

/**
 * Makes one upstream call for all who ask the same at the same time, and remembers nothing of it.
 *
 * **When to use**
 *
 * Use it where answers may not be kept, but the same question comes from many sides at once. `Cache.through` does it too, with a key of all that is
 * asked.
 *
 * **Example** (Two callers, one request)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { SingleFlight } from "effect-bulwark/cache"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const summary = (article: number) =>
 *   Llm.model(OpenAi, "gpt-5-mini").pipe(SingleFlight.share({ key: ({ attribution }) => `${attribution.tenant}: ${article}` }))
 *
 * const openai = ScriptedProvider.make(OpenAi, [ScriptedProvider.text("In short: ...", { delay: "10 millis" })])
 *
 * const ask = Llm.generateText(summary(7), { prompt: "Summarize article 7: ..." })
 *
 * const answers = await Effect.runPromise(
 *   Effect.all([ask, ask], { concurrency: 2 }).pipe(Effect.provide([openai.layer, SingleFlight.layer()]))
 * )
 *
 * answers.map((answer) => answer.text) // => ["In short: ...", "In short: ..."]
 * answers.map((answer) => answer.receipt.attempts.length) // => [1, 0]
 * answers.map((answer) => answer.receipt.cache) // => [undefined, "coalesced"]
 * openai.calls.length // => 1
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const share: {
  (options: ShareOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | SingleFlight>
  <E, R>(self: Llm.Llm<E, R>, options: ShareOptions): Llm.Llm<E, R | SingleFlight>
} = dual(2, <E, R>(self: Llm.Llm<E, R>, options: ShareOptions): Llm.Llm<E, R | SingleFlight> => {
  const policies = Plan.render(self.plan)
  return Llm.make({
    plan: Plan.policy("singleFlight", { children: [self.plan] }),
    open: (call): Effect.Effect<Opened, E, R | SingleFlight | Scope.Scope> => {
      const key = options.key(call)
      if (key === undefined) return self.open(call)
      return Effect.flatMap(
        SingleFlight,
        (flights) => Effect.map(flights.open(JSON.stringify([policies, key]), call, self.open), ({ opened }) => opened)
      )
    }
  })
})
