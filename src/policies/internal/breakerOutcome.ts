/**
 * What the end of a call says about the health of whom it asked.
 */
import * as Cause from "effect/Cause"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as LlmError from "../../core/LlmError.ts"

const byTable = (error: unknown): boolean => {
  const tag = LlmError.tagOf(error)
  return tag !== undefined && Object.hasOwn(LlmError.table, tag) &&
    LlmError.table[tag as keyof typeof LlmError.table].breaker === "failure"
}

const countsAgainst = (error: unknown): boolean => {
  if (error instanceof LlmError.RateLimited) {
    // Nothing was sent; or this one request is larger than the limit, which says nothing about any other.
    if (error.parked === true || error.retryable === false) return false
  }
  if (error instanceof LlmError.StreamInterrupted) {
    // An answer that was long enough to be cut, or that a content policy withheld, is one all the same.
    return error.reason !== "truncated" && (error.failure === undefined || byTable(error.failure))
  }
  return byTable(error)
}

const of = (
  cause: Cause.Cause<unknown>,
  otherwise: CircuitBreaker.Outcome
): CircuitBreaker.Outcome => {
  if (Cause.hasInterruptsOnly(cause)) return CircuitBreaker.ignored
  if (Cause.hasDies(cause)) return CircuitBreaker.failure()
  const failure = cause.reasons.find(Cause.isFailReason)
  return failure !== undefined && countsAgainst(failure.error)
    ? CircuitBreaker.failure({ retryAfter: LlmError.retryAfter(failure.error) })
    : otherwise
}

const isTotal = (cause: Cause.Cause<unknown>): boolean => {
  const failure = cause.reasons.find(Cause.isFailReason)
  return failure !== undefined && failure.error instanceof LlmError.TimedOut && failure.error.phase === "total"
}

/**
 * Of a call that could not be opened. What is no fault of the provider is no proof of its health either; nor is a limit on time from
 * further out, which is the caller's hurry.
 */
export const ofOpening = (cause: Cause.Cause<unknown>, isLate: () => boolean): CircuitBreaker.Outcome =>
  isTotal(cause) && isLate() ? CircuitBreaker.ignored : of(cause, CircuitBreaker.ignored)

/** Of an answer that broke off. Its beginning proves that the provider answers. */
export const ofFlow = (cause: Cause.Cause<LlmError.StreamInterrupted>): CircuitBreaker.Outcome =>
  of(cause, CircuitBreaker.success)
