/**
 * Waiting at a gate: in the queue, and at the turn.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Saturated, type StoreUnavailable } from "../../core/LlmError.ts"
import type { Buckets } from "./limiterBuckets.ts"
import type { Entry, Resource } from "./limiterGate.ts"
import { openUntil } from "./reserve.ts"

/**
 * Brings a call to its permit. Whoever runs it has the call leave the gate again, whatever becomes of it.
 */
export const admit = (entry: Entry, buckets: Buckets): Effect.Effect<void, Saturated | StoreUnavailable> => {
  const { gate } = entry
  const { tokens } = gate.limits
  if (tokens !== undefined && entry.tokens > tokens) return saturated(entry, "tokens", "tooLarge", tokens)
  const wait = gate.headerWait(entry, entry.arrivedAt)
  if (wait !== undefined && isTooLong(entry, entry.arrivedAt + wait.millis)) {
    return saturated(entry, wait.resource, "waitTooLong", wait.limit, wait.millis)
  }
  gate.enter(entry)
  return entry.state === "granted" ? Effect.void : advance(entry, buckets)
}

/**
 * How long whoever has waited long enough looks on while another one asks the store, in milliseconds: a few of those, and it may be
 * its own turn.
 */
const tripMillis = 5

const advance = (entry: Entry, buckets: Buckets): Effect.Effect<void, Saturated | StoreUnavailable> =>
  Effect.suspend(() => {
    entry.woken = false
    const { gate } = entry
    const now = entry.call.recorder.now()
    switch (entry.state) {
      case "turn":
        return takeTurn(entry, buckets, now)
      case "queued": {
        const left = entry.giveUpAt - now
        if (left <= 0) {
          if (gate.isMoving()) return Effect.andThen(pause(entry, tripMillis), advance(entry, buckets))
          gate.bottleneck(entry)
          return saturated(entry, entry.resource, "waitTooLong", entry.limit)
        }
        return Effect.andThen(pause(entry, left), advance(entry, buckets))
      }
      case "refused":
        return saturated(entry, entry.resource, "queueFull", entry.limit)
      default:
        if (entry.waited) entry.call.recorder.event("queue", entry.resource, now - entry.arrivedAt)
        return Effect.void
    }
  })

const takeTurn = (
  entry: Entry,
  buckets: Buckets,
  now: number
): Effect.Effect<void, Saturated | StoreUnavailable> => {
  const { gate } = entry
  const { requests, tokens } = gate.limits
  const wait = gate.headerWait(entry, now)
  if (wait !== undefined) return hold(entry, buckets, now, wait.resource, wait.limit, wait.millis)
  const pass = Effect.suspend(() => {
    gate.pass(entry)
    return advance(entry, buckets)
  })
  const takeTokens = tokens === undefined || entry.tokens === 0 ? pass : Effect.flatMap(
    buckets.take(entry, "tokens", entry.tokens, tokens),
    (millis) => millis === 0 ? pass : hold(entry, buckets, entry.call.recorder.now(), "tokens", tokens, millis)
  )
  if (requests === undefined || entry.hasRequest) return takeTokens
  return Effect.flatMap(buckets.take(entry, "requests", 1, requests), (millis) => {
    const now = entry.call.recorder.now()
    if (millis > 0) return hold(entry, buckets, now, "requests", requests, millis)
    entry.hasRequest = true
    return takeTokens
  })
}

/** Waits at the turn, or gives up at once where it would wait too long. */
const hold = (
  entry: Entry,
  buckets: Buckets,
  now: number,
  resource: "requests" | "tokens",
  limit: number,
  millis: number
): Effect.Effect<void, Saturated | StoreUnavailable> => {
  if (isTooLong(entry, now + millis)) return saturated(entry, resource, "waitTooLong", limit, millis)
  entry.waited = true
  entry.resource = resource
  entry.limit = limit
  if (!entry.gate.pauses(entry)) return advance(entry, buckets)
  return Effect.andThen(
    pause(entry, millis),
    Effect.suspend(() => {
      entry.pausing = false
      return advance(entry, buckets)
    })
  )
}

const isTooLong = (entry: Entry, until: number): boolean => until > entry.giveUpAt || until >= openUntil(entry.call)

const saturated = (
  entry: Entry,
  resource: Resource,
  reason: Saturated["reason"],
  limit: number,
  retryAfter?: number
): Effect.Effect<never, Saturated> =>
  Effect.suspend(() => {
    const { call, gate } = entry
    call.recorder.event("rejected", "Saturated")
    return Effect.fail(
      new Saturated({
        ...entry.asking.asked,
        key: gate.key,
        resource,
        reason,
        limit,
        queued: gate.queued("interactive") + gate.queued("batch"),
        ...(retryAfter === undefined ? undefined : { retryAfter: Duration.millis(retryAfter) })
      })
    )
  })

const woken = (entry: Entry): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (entry.woken) return resume(Effect.void)
    // Later: whoever wakes it is in the midst of its own, and a queue may be longer than a stack is deep.
    entry.resume = () => resume(Effect.yieldNow)
    return Effect.sync(() => {
      entry.resume = undefined
    })
  })

/** Sleeps until the call is woken, or the time has passed. */
const pause = (entry: Entry, millis: number): Effect.Effect<void> =>
  millis === Infinity
    ? woken(entry)
    : Effect.timeoutOrElse(woken(entry), { duration: millis, orElse: () => Effect.void })
