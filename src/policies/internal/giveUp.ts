/**
 * Giving up on a call whose limit has passed.
 */
import * as Duration from "effect/Duration"
import type { Recorder } from "../../core/internal/recorder.ts"
import { TimedOut } from "../../core/LlmError.ts"

/** In milliseconds. A clock may run in fractions, which a sleep rounds: what is left of that is not slept for, over and over. */
export const noTime = 0.001

/**
 * The failure of a limit that has passed, in milliseconds, with the receipt told why: the requests that still run of those that
 * began at an index or later are about to be interrupted.
 */
export const giveUp = (recorder: Recorder, firstAttempt: number, phase: TimedOut["phase"], limit: number): TimedOut => {
  const timedOut = new TimedOut({ phase, limit: Duration.millis(limit) })
  recorder.endSince(firstAttempt, timedOut._tag)
  recorder.event("timeout", phase)
  return timedOut
}
