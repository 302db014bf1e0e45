/**
 * Between the calls and those who hear of alerts: calls add up, a fiber decides each minute, and whoever listens does so at their own pace.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Instrument, OperationWatch } from "../../core/internal/instrument.ts"
import type { Request } from "../../core/internal/request.ts"
import type * as Receipt from "../../core/Receipt.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { Engine } from "./alertEngine.ts"
import { Fingerprint } from "./alertFingerprint.ts"
import type { History } from "./alertHistory.ts"
import type { Alert } from "./alertModel.ts"
import { minute, type Settings } from "./alertSettings.ts"
import type { Priced } from "./instrument.ts"

/** So many of the last alerts are kept. */
const keptAlerts = 100

export interface Status {
  readonly observed: number
  readonly failed: number
  readonly series: number
  readonly dropped: number
}

const nothing = () => {}

/** By all of what is asked, whoever is asked it. */
export const fingerprintOf = (request: Request): number => {
  const fingerprint = new Fingerprint().add(request.prompt.content).add(request.responseFormat.type)
  for (const tool of request.tools) fingerprint.text(tool.name)
  return fingerprint.add(request.toolChoice).add(request.settings).number
}

export class Hub {
  private readonly engine: Engine
  private readonly subscribers = new Set<Queue.Queue<Alert, Cause.Done>>()
  private readonly last: Array<Alert> = []
  private readonly some = Latch.makeUnsafe(false)
  private closed = false
  private observed = 0
  private failed = 0
  private dropped = 0
  private reported = 0
  private failure: unknown = undefined
  private readonly settings: Settings
  private readonly bufferSize: number
  private readonly clock: Clock.Clock
  private readonly priced: Priced

  constructor(
    settings: Settings,
    bufferSize: number,
    clock: Clock.Clock,
    history: History | undefined,
    priced: Priced
  ) {
    this.settings = settings
    this.bufferSize = bufferSize
    this.clock = clock
    this.priced = priced
    this.engine = new Engine(settings, (alert) => this.tell(alert))
    if (history !== undefined) this.engine.load(history, clock.currentTimeMillisUnsafe())
    if (this.engine.started) this.some.openUnsafe()
  }

  get status(): Status {
    return { observed: this.observed, failed: this.failed, series: this.engine.size, dropped: this.dropped }
  }

  get recent(): ReadonlyArray<Alert> {
    return [...this.last]
  }

  get active(): ReadonlyArray<Alert> {
    return this.engine.active
  }

  get history(): History {
    return this.engine.save()
  }

  /** Counts an operation. Nothing that goes wrong here is the call's business. */
  observe(receipt: Receipt.Receipt, fingerprint: () => string | number | undefined): void {
    if (this.closed) return
    this.some.openUnsafe()
    try {
      this.engine.observe(this.priced(receipt), fingerprint(), this.clock.currentTimeMillisUnsafe())
      this.observed++
    } catch (error) {
      this.failed++
      this.failure = error
    }
  }

  /** Watches the operations of a program. */
  get instrument(): Instrument {
    const looks = this.settings.loop !== undefined
    return {
      operation: ({ operation, request }): OperationWatch => ({
        span: undefined,
        attempt: () => undefined,
        decided: nothing,
        noted: nothing,
        joined: nothing,
        closed: (receipt) =>
          // That the vector of the same text is asked for often is no loop: many look for the same.
          this.observe(receipt, () =>
            looks && operation === "chat" && receipt.attempts.length > 0 ? fingerprintOf(request) : undefined)
      })
    }
  }

  private tell(alert: Alert): void {
    this.last.push(alert)
    if (this.last.length > keptAlerts) this.last.shift()
    for (const queue of this.subscribers) {
      if (Queue.sizeUnsafe(queue) >= this.bufferSize) this.dropped++
      Queue.offerUnsafe(queue, alert)
    }
  }

  /** The alerts from now on, for as long as the scope is open or this is. */
  readonly subscribe: Effect.Effect<Stream.Stream<Alert>, never, Scope.Scope> = Effect.map(
    Effect.acquireRelease(
      Effect.suspend(() =>
        Effect.tap(Queue.sliding<Alert, Cause.Done>(this.bufferSize), (queue) =>
          Effect.sync(() => {
            if (this.closed) Queue.endUnsafe(queue)
            else this.subscribers.add(queue)
          }))
      ),
      (queue) =>
        Effect.sync(() => {
          this.subscribers.delete(queue)
          // What is there may still be read.
          Queue.endUnsafe(queue)
        })
    ),
    Stream.fromQueue
  )

  /** Decides once a minute, from the first call on. */
  readonly run: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(Effect.andThen(
      this.some.await,
      Effect.suspend(() => {
        const now = this.clock.currentTimeMillisUnsafe()
        return Effect.andThen(Effect.sleep(minute - now % minute), this.decide)
      })
    ))
  )

  private readonly decide: Effect.Effect<void> = Effect.suspend(() => {
    this.engine.advance(this.clock.currentTimeMillisUnsafe())
    const lost = this.failed + this.dropped - this.reported
    if (lost === 0) return Effect.void
    this.reported += lost
    return reportUnhandled(
      `SpendAlert: ${this.dropped} alerts were dropped by slow subscribers so far, ${this.failed} calls could not be counted`,
      this.failure === undefined ? Cause.empty : Cause.die(this.failure)
    )
  })

  /** Whoever listens has what there is, and then it is over. */
  readonly close: Effect.Effect<void> = Effect.sync(() => {
    this.closed = true
    for (const queue of this.subscribers) Queue.endUnsafe(queue)
    this.subscribers.clear()
  })
}
