/**
 * What a bucket of permissions is.
 */
import type * as Effect from "effect/Effect"
import type { ExtraCalls } from "../../core/Call.ts"

export interface Bucket extends ExtraCalls {
  /** Takes one permission; false where there is none. */
  readonly withdraw: Effect.Effect<boolean>
  /** Puts back what an answer earns. */
  readonly deposit: Effect.Effect<void>
  /** How many permissions there are; fractions of one as well. */
  readonly remaining: Effect.Effect<number>
}
