/**
 * Between the calls and the store: a buffer of receipts, and who writes it.
 *
 * A receipt leaves the buffer when it is written and not before, so whatever ends a write, it is there for the next one.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { Pricing } from "../../budget/Pricing.ts"
import type * as Receipt from "../../core/Receipt.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { price, readable } from "./ledgerEntry.ts"
import { type Entry, type LedgerStore, LedgerStoreError } from "./ledgerStore.ts"

export interface Settings {
  readonly bufferSize: number
  readonly batchSize: number
  readonly flushEvery: Duration.Duration
  readonly onFull: "wait" | "drop"
  readonly maxWait: Duration.Duration
  readonly writeTimeout: Duration.Duration
  readonly shutdownTimeout: Duration.Duration
}

export interface Status {
  readonly buffered: number
  readonly written: number
  readonly dropped: number
  readonly failure: LedgerStoreError | undefined
}

/** A receipt, and its entry once it has a price. */
interface Item {
  readonly receipt: Receipt.Receipt
  entry: Entry | undefined
}

/** A receipt that waits for room. */
interface Waiter {
  readonly receipt: Receipt.Receipt
  state: "waits" | "buffered" | "dropped"
  resume: () => void
}

/** How often drops are reported at most. */
const reportEvery = 10_000

/** How often a write is tried again while the store fails. */
const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("30 seconds")]).pipe(
  Schedule.jittered
)

export class Writer {
  private readonly buffer: Array<Item> = []
  private readonly waiters = new Set<Waiter>()
  private accepted = 0
  private written = 0
  private dropped = 0
  private reported = 0
  private reportedAt = -Infinity
  private closed = false
  private failure: LedgerStoreError | undefined = undefined
  private readonly some = Latch.makeUnsafe(false)
  private readonly batch = Latch.makeUnsafe(false)
  private readonly lock = Semaphore.makeUnsafe(1)

  private readonly settings: Settings
  private readonly store: LedgerStore["Service"]
  private readonly pricing: Pricing["Service"]
  private readonly clock: Clock.Clock

  constructor(
    settings: Settings,
    store: LedgerStore["Service"],
    pricing: Pricing["Service"],
    clock: Clock.Clock
  ) {
    this.settings = settings
    this.store = store
    this.pricing = pricing
    this.clock = clock
  }

  get status(): Status {
    return { buffered: this.buffer.length, written: this.written, dropped: this.dropped, failure: this.failure }
  }

  /** Takes a receipt, if there is room or there soon is. */
  readonly record = (receipt: Receipt.Receipt): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!this.closed && this.buffer.length < this.settings.bufferSize && this.waiters.size === 0) {
        this.push(receipt)
        return Effect.void
      }
      return this.closed || this.settings.onFull === "drop" ? this.drop(1) : this.wait(receipt)
    })

  /** Writes what has been taken so far. */
  readonly flush: Effect.Effect<void, LedgerStoreError> = Effect.suspend(() => {
    const target = this.accepted
    return Effect.whileLoop({
      while: () => this.written < target && this.buffer.length > 0,
      body: () => this.writeBatch,
      step: () => {}
    })
  })

  /** Writes when there is a batch, or something has waited long enough; tries again for as long as the store fails. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    const batch = Effect.timeoutOption(this.batch.await, this.settings.flushEvery)
    // Whoever fills the batch wakes this, and must not be the one who writes it.
    const aside = Effect.andThen(Effect.yieldNow, this.flushPatiently)
    return Effect.forever(Effect.andThen(this.some.await, Effect.andThen(batch, aside)))
  })

  /** Writes what is left, for as long as that may take. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.onExit(
      Effect.timeoutOption(
        Effect.interruptible(Effect.whileLoop({
          while: () => this.buffer.length > 0,
          body: () => this.flushPatiently,
          step: () => {}
        })),
        this.settings.shutdownTimeout
      ),
      () => {
        this.closed = true
        const lost = this.buffer.splice(0).length + this.waiters.size
        for (const waiter of this.waiters) this.settle(waiter, "dropped")
        this.dropped += lost
        return this.report(true)
      }
    )
  )

  private get flushPatiently(): Effect.Effect<void> {
    return this.flush.pipe(
      Effect.tapError((error) =>
        reportUnhandled("Ledger could not write, keeps what it has and tries again", Cause.fail(error))
      ),
      Effect.retry(backoff),
      // The schedule has no end.
      Effect.orDie
    )
  }

  private push(receipt: Receipt.Receipt): void {
    this.buffer.push({ receipt, entry: undefined })
    this.accepted++
    this.signal()
  }

  private signal(): void {
    const { length } = this.buffer
    if (length > 0) this.some.openUnsafe()
    else this.some.closeUnsafe()
    if (length >= Math.min(this.settings.batchSize, this.settings.bufferSize)) this.batch.openUnsafe()
    else this.batch.closeUnsafe()
  }

  private settle(waiter: Waiter, state: "buffered" | "dropped"): void {
    this.waiters.delete(waiter)
    waiter.state = state
    waiter.resume()
  }

  private wait(receipt: Receipt.Receipt): Effect.Effect<void> {
    return Effect.suspend(() => {
      const waiter: Waiter = { receipt, state: "waits", resume: () => {} }
      this.waiters.add(waiter)
      const room = Effect.callback<void>((resume) => {
        waiter.resume = () => resume(Effect.void)
        if (waiter.state !== "waits") waiter.resume()
      })
      return Effect.onExit(
        // Whoever has the answer may go before this is settled, also where their last step cannot be interrupted otherwise.
        Effect.timeoutOption(Effect.interruptible(room), this.settings.maxWait),
        () => {
          if (waiter.state !== "waits") return Effect.void
          this.waiters.delete(waiter)
          return this.drop(1)
        }
      )
    })
  }

  private drop(count: number): Effect.Effect<void> {
    this.dropped += count
    return this.report(false)
  }

  /** Reports drops: the first at once, more of them from time to time. */
  private report(last: boolean): Effect.Effect<void> {
    const now = this.clock.currentTimeMillisUnsafe()
    const unreported = this.dropped - this.reported
    if (unreported === 0 || (!last && now - this.reportedAt < reportEvery)) return Effect.void
    this.reported = this.dropped
    this.reportedAt = now
    return reportUnhandled(
      `Ledger has dropped ${unreported} receipts`,
      this.failure === undefined ? Cause.empty : Cause.fail(this.failure)
    )
  }

  private readonly writeBatch: Effect.Effect<void, LedgerStoreError> = this.lock.withPermit(Effect.suspend(() => {
    // Only whoever has the lock takes from the front.
    const items = this.buffer.slice(0, this.settings.batchSize)
    return items.length === 0 ? Effect.void : Effect.forEach(items, this.priced).pipe(
      Effect.flatMap((entries) => this.bounded(this.safely(entries))),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) {
            const error = Cause.findError(exit.cause)
            if (error._tag === "Success") this.failure = error.success
            return
          }
          this.failure = undefined
          this.buffer.splice(0, items.length)
          this.written += items.length
          for (const waiter of this.waiters) {
            if (this.buffer.length >= this.settings.bufferSize) break
            this.push(waiter.receipt)
            this.settle(waiter, "buffered")
          }
          this.signal()
        })
      )
    )
  }))

  private readonly priced = (item: Item): Effect.Effect<Entry> =>
    item.entry !== undefined
      ? Effect.succeed(item.entry)
      : Effect.suspend(() => price(readable(item.receipt))).pipe(
        Effect.provideService(Pricing, this.pricing),
        Effect.tap((entry) => Effect.sync(() => void (item.entry = entry)))
      )

  /** A store that dies has failed: whoever writes goes on. */
  private safely(entries: ReadonlyArray<Entry>): Effect.Effect<void, LedgerStoreError> {
    return Effect.catchDefect(
      Effect.suspend(() => this.store.write(entries)),
      (cause) => Effect.fail(new LedgerStoreError({ operation: "write", cause }))
    )
  }

  /** A write that does not end is left alone: its driver takes its time to withdraw it, and to do it twice changes nothing. */
  private bounded(write: Effect.Effect<void, LedgerStoreError>): Effect.Effect<void, LedgerStoreError> {
    const { writeTimeout } = this.settings
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.forkDetach(write, { startImmediately: true }),
        (fiber) =>
          restore(Effect.timeoutOrElse(Fiber.join(fiber), {
            duration: writeTimeout,
            orElse: () =>
              Effect.fail(
                new LedgerStoreError({
                  operation: "write",
                  cause: new Cause.TimeoutError(`The write took longer than ${Duration.format(writeTimeout)}`)
                })
              )
          })).pipe(Effect.onExit(() => Effect.sync(() => fiber.interruptUnsafe())))
      )
    )
  }
}
