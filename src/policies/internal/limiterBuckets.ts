/**
 * The limits of a minute, as token buckets of a store that may be shared by a fleet.
 *
 * A bucket holds a minute's worth and refills steadily. What a call needs is taken when it is there, and not before: a call
 * that gives up while it waits leaves nothing behind.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RateLimiterStore } from "effect/persistence/RateLimiter"
import { UnhandledLogLevel } from "effect/References"
import { StoreUnavailable } from "../../core/LlmError.ts"
import type { Entry } from "./limiterGate.ts"

/** After a store has not answered in time it is not asked, in milliseconds: or every call in turn would wait for it. */
const restMillis = 1_000

const minute = 60_000

export class Buckets {
  private readonly store: RateLimiterStore["Service"]
  /** In milliseconds; absent where the store cannot hang. */
  private readonly timeout: number | undefined
  private restsUntil = Number.NEGATIVE_INFINITY

  constructor(store: RateLimiterStore["Service"], timeout: number | undefined) {
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
        return Effect.fail(new StoreUnavailable({ ...entry.asked(), store: "limiter", operation: `take ${resource}` }))
      }
      if (this.rests(entry)) return unavailable()
      return Effect.matchCauseEffect(this.ask(entry, resource, amount, limit, false), {
        onSuccess: ([remaining, elapsed]) =>
          // A fraction of a millisecond is no time to sleep for.
          Effect.succeed(remaining >= 0 ? 0 : Math.max(1, Math.ceil(Math.ceil(-remaining) * minute / limit - elapsed))),
        onFailure: (cause): Effect.Effect<number, StoreUnavailable> =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(Cause.map(cause, absurd))
            : Effect.andThen(
              report(
                `Limiter: the store is not available, ${allow ? "sending without its limits" : "nothing is sent"}`,
                cause
              ),
              unavailable()
            )
      })
    })
  }

  /** Gives an amount back, or takes more than there is: what a call turned out to cost. */
  settle(entry: Entry, resource: "requests" | "tokens", amount: number, limit: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.rests(entry)
        ? Effect.void
        : Effect.catchCause(
          Effect.asVoid(this.ask(entry, resource, amount, limit, true)),
          (cause) =>
            Cause.hasInterruptsOnly(cause)
              ? Effect.void
              : report("Limiter: the store is not available, what a call has used is not counted", cause)
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

const report = (message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const level = fiber.getRef(UnhandledLogLevel)
    return level === undefined ? Effect.void : Effect.logWithLevel(level)(message, cause)
  })
