/**
 * The books: what is asked of the store, for how long, and what becomes of what it could not be told.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import type { Attribution } from "../../core/Attribution.ts"
import type { BudgetExceeded } from "../../core/LlmError.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import type { BudgetStore, BudgetStoreError, Line, Verdict } from "../BudgetStore.ts"
import type { Ready, Resource } from "./budgetLimits.ts"
import type { Amounts } from "./budgetQuote.ts"

/** Something that happened to a budget. */
export type Change =
  & {
    /** When, in milliseconds since 1970. */
    readonly at: number
    readonly attribution: Attribution
  }
  & (
    | Requested & { readonly _tag: "Reserved" }
    | Requested & { readonly _tag: "Settled"; readonly estimated: boolean }
    | Requested & { readonly _tag: "Voided" }
    | { readonly _tag: "Exceeded"; readonly error: BudgetExceeded }
    | Warning & { readonly _tag: "Warned" }
    | { readonly _tag: "Adjusted"; readonly resource: Resource; readonly by: number }
    | { readonly _tag: "Unsettled"; readonly id: string }
  )

interface Requested extends Amounts {
  /** The id of the reservation. */
  readonly id: string
  readonly provider: string
  readonly model: string
}

interface Warning {
  readonly resource: Resource
  readonly scope: string
  readonly window: string
  readonly fraction: number
  readonly used: number
  readonly limit: number
}

export interface BooksOptions {
  readonly store: BudgetStore["Service"]
  readonly limits: ReadonlyArray<Ready>
  /** In milliseconds. */
  readonly storeTimeout: number
  /** In milliseconds. */
  readonly lease: number
  readonly writes: FiberSet.FiberSet
  readonly changes: PubSub.PubSub<Change>
}

export class Books {
  readonly options: BooksOptions
  /** The limits that are kept in the store. */
  readonly shared: ReadonlyArray<Ready>
  readonly ofCall: ReadonlyArray<Ready>
  readonly limited: ReadonlySet<Resource>
  /** Until when there is no need to warn again, by account and fraction. */
  private readonly warned = new Map<string, number>()

  constructor(options: BooksOptions) {
    this.options = options
    this.shared = options.limits.filter(({ perCall }) => !perCall)
    this.ofCall = options.limits.filter(({ perCall }) => perCall)
    this.limited = new Set(options.limits.map(({ resource }) => resource))
  }

  /** What is asked of the store for a request. */
  lines(attribution: Attribution, most: Amounts, now: number): ReadonlyArray<Line> {
    return this.shared.map((limit) => ({
      account: limit.account(attribution),
      limit: limit.most,
      amount: most[limit.resource],
      ...limit.period(now)
    }))
  }

  reserve(
    id: string,
    lines: ReadonlyArray<Line>,
    now: number
  ): Effect.Effect<Verdict, Cause.TimeoutError | BudgetStoreError> {
    return this.inTime(this.options.store.reserve({ id, lines, leasedUntil: Math.ceil(now + this.options.lease) }))
  }

  /** A question that the store has only so much time to answer. */
  inTime<A, E>(question: Effect.Effect<A, E>): Effect.Effect<A, E | Cause.TimeoutError> {
    return Effect.timeoutOrElse(question, {
      duration: Duration.millis(this.options.storeTimeout),
      orElse: () => Effect.fail(new Cause.TimeoutError("The store of the budgets did not answer in time"))
    })
  }

  /**
   * Writes something that has to be written: at once, and, where the store fails or does not answer, again and again until the lease
   * has run out. It is waited for no longer than the store may take, and goes on in the background, whoever is interrupted.
   */
  write(id: string, attribution: Attribution, step: Effect.Effect<unknown, BudgetStoreError>): Effect.Effect<void> {
    const tried = this.inTime(step)
    const written = Effect.catchCause(
      Effect.catch(tried, (error) =>
        Effect.andThen(
          reportUnhandled("Budget could not reach its store, and goes on trying", Cause.fail(error)),
          Effect.retry(tried, again(this.options.lease))
        )),
      (cause) =>
        Effect.andThen(
          reportUnhandled(`Budget could not reach its store: ${id} stays unsettled`, cause),
          this.publish((at) => ({ _tag: "Unsettled", at, attribution, id }))
        )
    )
    return Effect.flatMap(
      FiberSet.run(this.options.writes, Effect.asVoid(written), { startImmediately: true }),
      (fiber) => fiber.pollUnsafe() !== undefined ? Effect.void : this.waitFor(Fiber.await(fiber))
    )
  }

  private waitFor(effect: Effect.Effect<unknown>): Effect.Effect<void> {
    return Effect.timeoutOrElse(Effect.asVoid(effect), {
      duration: Duration.millis(this.options.storeTimeout),
      orElse: () => Effect.void
    })
  }

  /** What is left to write is given a last chance when the layer closes. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => this.waitFor(FiberSet.awaitEmpty(this.options.writes)))
  }

  publish(change: (at: number) => Change): Effect.Effect<void> {
    return Clock.clockWith((clock) =>
      Effect.sync(() => {
        PubSub.publishUnsafe(this.options.changes, change(clock.currentTimeMillisUnsafe()))
      })
    )
  }

  /** Warns of what a limit has used, once a fraction and window. */
  warn(
    limit: Ready,
    used: number,
    now: number,
    attribution: Attribution,
    say: (words: string) => void
  ): Effect.Effect<void> {
    if (limit.warnAt.length === 0 || !(used >= limit.warnAt[0]! * limit.most)) return Effect.void
    const due = limit.warnAt.filter((fraction) =>
      used >= fraction * limit.most && this.rings(limit, attribution, fraction, now)
    )
    return Effect.forEach(due, (fraction) => {
      const { resource, scope, window } = limit
      const words = `${Math.round(fraction * 100)} % of the budget is used (${resource}, ${scope}, ${window})`
      say(words)
      return Effect.andThen(
        Effect.annotateLogs(Effect.logWarning(words), { used, limit: limit.most }),
        this.publish((at) => ({
          _tag: "Warned",
          at,
          attribution,
          resource,
          scope,
          window,
          fraction,
          used,
          limit: limit.most
        }))
      )
    }, { discard: true })
  }

  private rings(limit: Ready, attribution: Attribution, fraction: number, now: number): boolean {
    const key = `${limit.account(attribution)} ${fraction}`
    const until = this.warned.get(key)
    if (until !== undefined && now < until) return false
    this.warned.delete(key)
    this.warned.set(key, limit.period(now).until ?? Infinity)
    // Bounded: the oldest may ring once more.
    if (this.warned.size > mostWarned) this.warned.delete(this.warned.keys().next().value!)
    return true
  }
}

const mostWarned = 10_000

const again = (lease: number) =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")]).pipe(
    Schedule.upTo({ duration: Duration.millis(lease) })
  )
