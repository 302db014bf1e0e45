/**
 * Which budgets the retries and hedges of a call answer to.
 */
import * as Effect from "effect/Effect"
import type { Call, ExtraCalls } from "../../core/Call.ts"
import type { Bucket } from "./retryBudgetBucket.ts"

/** Several budgets around each other: an extra call needs a permission of each. */
class Several implements ExtraCalls {
  readonly buckets: ReadonlyArray<ExtraCalls>
  readonly withdraw: Effect.Effect<boolean>

  constructor(inner: ExtraCalls, outer: ExtraCalls) {
    this.buckets = outer instanceof Several ? [inner, ...outer.buckets] : [inner, outer]
    // Where the outer one denies what the inner one has granted, that permission is lost, and not a request too many sent.
    this.withdraw = Effect.flatMap(inner.withdraw, (granted) => granted ? outer.withdraw : Effect.succeed(false))
  }
}

/** The call under one more budget; the same call where that budget is around it already. */
export const cover = (call: Call, bucket: Bucket): Call => {
  const outer = call.extraCalls
  if (outer === undefined) return { ...call, extraCalls: bucket }
  if (outer === bucket || (outer instanceof Several && outer.buckets.includes(bucket))) return call
  return { ...call, extraCalls: new Several(bucket, outer) }
}

/** Pays for an answer, where a model gave one: what a template or a cache answers is no sign that a provider is well. */
export const payIn = (call: Call, bucket: Bucket): Effect.Effect<void> =>
  call.recorder.serving === undefined ? Effect.void : bucket.deposit
