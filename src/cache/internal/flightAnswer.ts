/**
 * What a flight tells, and whom; `../SingleFlight.ts` is where it is documented as a whole.
 */
import type * as Effect from "effect/Effect"
import type { MicroUsd } from "../../core/Money.ts"
import type { Opened } from "../../core/Opened.ts"
import type { ProviderPart } from "../../core/Part.ts"
import type { Usage } from "../../core/Usage.ts"

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
