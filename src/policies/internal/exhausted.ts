/**
 * The error of a call for which every candidate has failed.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { Call } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"

const isCandidateFailure = Schema.is(LlmError.CandidateFailure)

/** What a candidate has failed with: one that has asked several itself has failed as often. */
export const failuresOf = (error: unknown): ReadonlyArray<LlmError.CandidateFailure> =>
  error instanceof LlmError.AllModelsExhausted ? error.failures : isCandidateFailure(error) ? [error] : []

export const exhausted = (
  call: Call,
  failures: ReadonlyArray<LlmError.CandidateFailure>,
  minimumQuality?: number
): LlmError.AllModelsExhausted => {
  const waits = failures.flatMap((failure) => LlmError.retryAfter(failure) ?? [])
  return new LlmError.AllModelsExhausted({
    failures,
    attempts: call.recorder.attemptsSoFar(),
    ...(minimumQuality === undefined ? undefined : { minimumQuality }),
    // When the first of them can be asked again, where each has said when.
    ...(waits.length === 0 || waits.length < failures.length
      ? undefined
      : { retryAfter: waits.reduce((soonest, wait) => Duration.min(soonest, wait)) })
  })
}
