/**
 * The books: what is asked of the store, for how long, and what becomes of what it could not be told.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import type { Attribution } from "../../core/Attribution.ts"
import type { BudgetExceeded } from "../../core/LlmError.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import type { BudgetStore, BudgetStoreError, Line, Outcome, Verdict } from "../BudgetStore.ts"
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
    | Requested & { readonly _tag: "Unsettled" }
  )

/** A request, and what it has used, or at most can. */
export interface Requested extends Amounts {
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
  /** That of the layer, in which nobody's transaction is. */
  readonly context: Context.Context<never>
  readonly changes: PubSub.PubSub<Change>
  /** How many requests at most wait to be booked while the store is down: whatever comes on top of them is tried once. */
  readonly mostWaiting?: number
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
   * has run out. It goes on in the background, whoever is interrupted. What it gives is the wait for it, which is no longer than the
   * store may take.
   */
  write(
    request: Requested,
    attribution: Attribution,
    step: Effect.Effect<Outcome, BudgetStoreError>
  ): Effect.Effect<Effect.Effect<void>> {
    const tried = this.inTime(step)
    const lost = (why: string, cause: Cause.Cause<unknown> = Cause.empty): Effect.Effect<void> => {
      const { id, requests, tokens, usd } = request
      return Effect.andThen(
        Effect.annotateLogs(reportUnhandled(`Budget could not book a request, ${id}: ${why}`, cause), {
          usd,
          tokens,
          requests
        }),
        this.publish((at) => ({ _tag: "Unsettled", at, attribution, ...request }))
      )
    }
    const insisting = Effect.catch(
      tried,
      (error) =>
        Effect.flatMap(
          FiberSet.size(this.options.writes),
          (waiting) =>
            waiting >= (this.options.mostWaiting ?? mostWaiting)
              ? Effect.fail(error)
              : Effect.andThen(
                reportUnhandled("Budget could not reach its store, and goes on trying", Cause.fail(error)),
                this.insisting(tried)
              )
        )
    )
    const written = insisting.pipe(
      Effect.matchCauseEffect({
        onFailure: (cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : lost("the store cannot be reached", cause),
        onSuccess: (outcome) => outcome === "refused" ? lost("somebody has settled it as something else") : Effect.void
      }),
      Effect.onInterrupt(() => lost("the layer is closed"))
    )
    return Effect.map(
      FiberSet.run(this.options.writes, written, { startImmediately: true }),
      (fiber) => fiber.pollUnsafe() !== undefined ? Effect.void : this.waitFor(Fiber.await(fiber))
    )
  }

  /** Without the caller's context: a transaction that is in it is over by then, or ought to be. */
  private insisting<A, E>(tried: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const { context, lease } = this.options
    const retried = Effect.delay(Effect.retry(tried, again(lease)), "100 millis")
    return Effect.updateContext(retried, (_: Context.Context<never>): Context.Context<never> => context)
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

const mostWaiting = 10_000

const again = (lease: number) =>
  Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")]).pipe(
    Schedule.upTo({ duration: Duration.millis(lease) })
  )
