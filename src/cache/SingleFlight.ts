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
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Call } from "../core/Call.ts"
import type { MicroUsd } from "../core/Money.ts"
import type { Opened } from "../core/Opened.ts"
import type { ProviderPart } from "../core/Part.ts"
import type { Usage } from "../core/Usage.ts"

/**
 * An answer that has been given upstream, whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  /** All its parts. What was unsaid by a `retract` is not among them. */
  readonly parts: ReadonlyArray<ProviderPart>
  /** Whether it came from no model: a template, a rule, the raw text. */
  readonly degraded: boolean
  /** The provider that served it, where one did. */
  readonly provider: string | undefined
  /** The model that served it, where one did: as it says of itself, or else as it was asked for. */
  readonly model: string | undefined
  /** Why it ended. */
  readonly finishReason: string | undefined
  /** The tokens that it used, without those of attempts that failed; absent where the provider did not say. */
  readonly usage: Usage | undefined
  /** What that cost, where somebody kept account of it. In micro-dollars. */
  readonly cost: MicroUsd | undefined
  /** When it was asked for, in milliseconds since 1970. */
  readonly startedAt: number
  /** How long it took from there until it was whole, in milliseconds. */
  readonly durationMillis: number
}

/**
 * Who is told of what happens in a flight. Of those that take part, the hooks of the one that began it count.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hooks {
  /**
   * Told once, when the answer is whole and all of the upstream call is closed, also where nobody waits any more. Until it has ended, callers
   * still join the flight and get its answer, so it must end in bounded time. Not told of an answer that was larger than `maxBytes`. One that
   * dies is logged, and harms nobody.
   */
  readonly whole?: ((answer: Answer) => Effect.Effect<void>) | undefined
}

/**
 * A call that has opened, by a request of its own or by one that it shares.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shared {
  readonly opened: Opened
  /** Whether another call had begun the request. */
  readonly joined: boolean
}

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
