/**
 * A bucket of permissions in this process.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Bucket } from "./retryBudgetBucket.ts"

/** What every bucket goes by. */
export interface Limits {
  readonly capacity: number
  readonly ratio: number
  readonly perSecond: number
}

// Ten tenths make one, whatever the sum of them says.
const almostOne = 1 - 1e-9

const granted = Effect.succeed(true)
const denied = Effect.succeed(false)

/** A full bucket. */
export const makeBucket = ({ capacity, perSecond, ratio }: Limits): Bucket => {
  let tokens = capacity
  let filledAt: number | undefined = undefined

  const fill = (now: number): void => {
    // A clock that was set back must not stop the trickle until it has caught up.
    if (filledAt !== undefined && now > filledAt) {
      tokens = Math.min(capacity, tokens + (now - filledAt) / 1_000 * perSecond)
    }
    filledAt = now
  }

  return {
    withdraw: Clock.clockWith((clock) => {
      fill(clock.currentTimeMillisUnsafe())
      if (tokens < almostOne) return denied
      tokens = Math.max(0, tokens - 1)
      return granted
    }),
    // What trickles in meanwhile is added later: the sum is the same.
    deposit: Effect.sync(() => {
      tokens = Math.min(capacity, tokens + ratio)
    }),
    remaining: Clock.clockWith((clock) => {
      fill(clock.currentTimeMillisUnsafe())
      return Effect.succeed(tokens)
    })
  }
}
