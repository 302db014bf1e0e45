/**
 * The limits of a minute, as token buckets of a store that may be shared by a fleet.
 *
 * A bucket holds a minute's worth and refills steadily. What a call needs is taken when it is there, and not before: a call
 * that gives up while it waits leaves nothing behind.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { StoreUnavailable } from "../../core/LlmError.ts"
import type { Entry } from "./limiterGate.ts"
import type { BucketStore } from "./limiterMemory.ts"
import { reportUnhandled } from "./reportUnhandled.ts"

/** After a store has not answered in time it is not asked, in milliseconds: or every call in turn would wait for it. */
const restMillis = 1_000

const minute = 60_000

export class Buckets {
  private readonly store: BucketStore
  /** In milliseconds; absent where the store cannot hang. */
  private readonly timeout: number | undefined
  private restsUntil = Number.NEGATIVE_INFINITY
  private readonly writes = new Set<Fiber.Fiber<void>>()

  constructor(store: BucketStore, timeout: number | undefined) {
    this.store = store
    this.timeout = timeout
  }

  /** Takes an amount, or says in how many milliseconds it will be there; 0 where it has been taken. */
  take(
    entry: Entry,
    resource: "requests" | "tokens",
    amount: number,
    limit: number
  ): Effect.Effect<number, StoreUnavailable> {
    return Effect.suspend(() => {
      const allow = entry.asking.onStoreError === "allow"
      const unavailable = (): Effect.Effect<number, StoreUnavailable> => {
        if (allow) return Effect.succeed(0)
        entry.call.recorder.event("rejected", "StoreUnavailable")
        return Effect.fail(
          new StoreUnavailable({ ...entry.asking.asked, store: "limiter", operation: `take ${resource}` })
        )
      }
      if (this.rests(entry)) return unavailable()
      return Effect.matchCauseEffect(this.ask(entry, resource, amount, limit, false), {
        onSuccess: ([remaining, elapsed]) => {
          if (remaining >= 0) {
            if (resource === "requests") entry.requestsTaken = amount
            else entry.tokensTaken = amount
            return Effect.succeed(0)
          }
          // A fraction of a millisecond is no time to sleep for.
          return Effect.succeed(Math.max(1, Math.ceil(Math.ceil(-remaining) * minute / limit - elapsed)))
        },
        onFailure: (cause): Effect.Effect<number, StoreUnavailable> =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(Cause.map(cause, absurd))
            : Effect.andThen(
              reportUnhandled(
                `Limiter: the store is not available, ${allow ? "sending without its limits" : "nothing is sent"}`,
                cause
              ),
              unavailable()
            )
      })
    })
  }

  /** Takes more tokens than there are: what an answer has used beyond the estimate. */
  owe(entry: Entry, tokens: number, limit: number): Effect.Effect<void> {
    return this.afterwards(this.settle(entry, "tokens", tokens, limit))
  }

  /** Gives back what a call took that was not sent. */
  giveBack(entry: Entry): Effect.Effect<void> {
    const { requestsTaken, tokensTaken } = entry
    if (requestsTaken === 0 && tokensTaken === 0) return Effect.void
    entry.requestsTaken = 0
    entry.tokensTaken = 0
    const { gate } = entry
    const { requests = 0, tokens = 0 } = gate.limits
    const back = (resource: "requests" | "tokens", amount: number, limit: number): Effect.Effect<void> =>
      amount === 0 ? Effect.void : this.settle(entry, resource, -amount, limit)
    return this.afterwards(
      back("requests", requestsTaken, requests).pipe(
        Effect.andThen(back("tokens", tokensTaken, tokens)),
        Effect.andThen(Effect.sync(() => gate.freed()))
      )
    )
  }

  /** Waits for what is still being written: no longer than for the store. */
  readonly written: Effect.Effect<void> = Effect.suspend(() => Effect.asVoid(Fiber.awaitAll(this.writes)))

  /** Writes what nobody waits for: an answer that has been paid for is handed on first. */
  private afterwards(write: Effect.Effect<void>): Effect.Effect<void> {
    return this.timeout === undefined ? write : Effect.map(
      Effect.forkDetach(write, { startImmediately: true }),
      (fiber) => {
        if (fiber.pollUnsafe() !== undefined) return
        this.writes.add(fiber)
        fiber.addObserver(() => void this.writes.delete(fiber))
      }
    )
  }

  private settle(
    entry: Entry,
    resource: "requests" | "tokens",
    amount: number,
    limit: number
  ): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.rests(entry)
        ? Effect.void
        : Effect.catchCause(
          Effect.asVoid(this.ask(entry, resource, amount, limit, true)),
          (cause) =>
            Cause.hasInterruptsOnly(cause)
              ? Effect.void
              : reportUnhandled("Limiter: the store is not available, what a call has used is not counted", cause)
        )
    )
  }

  private rests(entry: Entry): boolean {
    return this.timeout !== undefined && entry.call.recorder.now() < this.restsUntil
  }

  private ask(
    entry: Entry,
    resource: string,
    tokens: number,
    limit: number,
    allowOverflow: boolean
  ): Effect.Effect<readonly [remaining: number, elapsedMillis: number], unknown> {
    const asked = this.store.tokenBucket({
      key: `${entry.gate.key}:${resource}`,
      tokens,
      limit,
      refillRate: Duration.millis(minute / limit),
      allowOverflow
    })
    return this.timeout === undefined ? asked : Effect.timeoutOrElse(asked, {
      duration: this.timeout,
      orElse: () => {
        this.restsUntil = entry.call.recorder.now() + restMillis
        return Effect.fail(`no answer within ${this.timeout} ms`)
      }
    })
  }
}

// An interruption has no error in it.
const absurd = (error: unknown): never => {
  throw error
}
