/**
 * The circuits behind a `Breaker`: what is asked of the store, within its time, and what is told of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as Take from "effect/Take"
import { StoreUnavailable } from "../../core/LlmError.ts"
import { type BreakerStore, storeError } from "./breakerStore.ts"
import { reportUnhandled } from "./reportUnhandled.ts"

type Store = BreakerStore["Service"]
type StoreFailure = CircuitBreaker.CircuitBreakerError

/** The settings of a breaker, read and checked. */
export interface Settings {
  readonly trip: CircuitBreaker.TripPolicy
  /** How long the nth opening in a row lasts, from 1. */
  readonly openDuration: (opening: number) => Effect.Effect<Duration.Duration>
  readonly maxOpenDuration: Duration.Duration
  readonly slowFirstPartMillis: number | undefined
  readonly storeTimeout: Duration.Duration
}

// What Redis cannot store is an outcome that is lost, and a circuit that stays closed.
const longest = Duration.days(365)

// Each try is undone only by a call that trips the circuit of itself at that very moment.
const mostTries = 10

/** Told of a change of state by the call that led to it. */
type Told = (transition: CircuitBreaker.Transition) => void

/** A call that was let through. Its outcome is recorded once, however often it is told. */
export class Permit {
  readonly probe: boolean
  private readonly circuits: Circuits
  private readonly key: string
  private readonly admission: CircuitBreaker.Admission
  private readonly told: Told
  /** Keeps the slot of a probe in a shared store. */
  private readonly lease: Scope.Closeable | undefined
  private settled = false

  constructor(
    circuits: Circuits,
    key: string,
    admission: CircuitBreaker.Admission,
    told: Told,
    lease: Scope.Closeable | undefined
  ) {
    this.told = told
    this.probe = admission.probe
    this.circuits = circuits
    this.key = key
    this.admission = admission
    this.lease = lease
  }

  /** To be run uninterruptibly: an outcome that is taken note of has to be recorded as well. */
  settle(outcome: CircuitBreaker.Outcome): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.settled) return Effect.void
      this.settled = true
      const recorded = this.circuits.record(this.key, this.admission, outcome, this.told)
      return this.lease === undefined ? recorded : Effect.ensuring(recorded, Scope.close(this.lease, Exit.void))
    })
  }
}

export class Circuits {
  readonly settings: Settings
  readonly transitions: PubSub.PubSub<Take.Take<CircuitBreaker.Transition>>
  private readonly store: Store

  constructor(
    store: Store,
    settings: Settings,
    transitions: PubSub.PubSub<Take.Take<CircuitBreaker.Transition>>
  ) {
    this.store = store
    this.settings = settings
    this.transitions = transitions
  }

  /** Asks to let a call through. To be run uninterruptibly: a permit that nobody hears of is never given back. */
  admit(key: string, told: Told): Effect.Effect<Permit, StoreFailure, Scope.Scope> {
    const { store } = this
    if (store.local) {
      return Effect.flatMap(store.admit(key), (admission) => this.permit(key, admission, told, undefined))
    }
    // A slot that the store gave, but too late to be heard of, is free again when the lease lapses that nobody renews.
    const lease = Scope.makeUnsafe()
    return Effect.onError(
      Effect.flatMap(
        this.inTime(Scope.provide(store.admit(key), lease)),
        (admission) => this.permit(key, admission, told, lease)
      ),
      (cause) => Scope.close(lease, Exit.failCause(cause))
    )
  }

  private permit(
    key: string,
    admission: CircuitBreaker.Admission,
    told: Told,
    lease: Scope.Closeable | undefined
  ): Effect.Effect<Permit> {
    const permit = new Permit(this, key, admission, told, lease)
    if (admission.transition === undefined) return Effect.succeed(permit)
    told(admission.transition)
    return Effect.as(this.publish(admission.transition), permit)
  }

  /** Tells the store of an outcome. A store that cannot be told does not spoil the call: that is logged. */
  record(
    key: string,
    admission: CircuitBreaker.Admission,
    outcome: CircuitBreaker.Outcome,
    told: Told
  ): Effect.Effect<void> {
    const { trip } = this.settings
    // Only what can open a circuit needs to know for how long: under a rate, that may be a success too.
    const opens = outcome._tag === "Failure" ||
      (outcome._tag === "Success" && trip._tag === "Rate" && !admission.probe)
    const tell = (openFor: Duration.Duration) =>
      this.inTime(
        this.store.record({ key, generation: admission.generation, outcome: outcome._tag, tripPolicy: trip, openFor })
      )
    return Effect.matchCauseEffect(
      opens ? Effect.flatMap(this.openFor(admission, outcome), tell) : tell(Duration.zero),
      {
        onSuccess: (transition) => {
          if (transition === undefined) return Effect.void
          told(transition)
          return this.publish(transition)
        },
        onFailure: (cause) => reportUnhandled("Breaker could not record an outcome", cause)
      }
    )
  }

  private openFor(
    admission: CircuitBreaker.Admission,
    outcome: CircuitBreaker.Outcome
  ): Effect.Effect<Duration.Duration> {
    const asked = outcome._tag === "Failure" ? outcome.retryAfter : undefined
    return Effect.map(this.settings.openDuration(admission.consecutiveOpenings + 1), (own) => {
      const duration = asked === undefined
        ? own
        : Duration.max(own, Duration.min(asked, this.settings.maxOpenDuration))
      return Duration.min(duration, longest)
    })
  }

  state(key: string): Effect.Effect<CircuitBreaker.State, StoreUnavailable> {
    return this.byHand("state", this.inTime(this.store.state(key)))
  }

  /** Opens a circuit by hand, whatever its state. */
  open(key: string, duration: Duration.Duration): Effect.Effect<void, StoreUnavailable> {
    const { store } = this
    const openFor = Duration.min(duration, longest)
    // Effect's stores know one way to be opened, so it is taken: a circuit that begins anew fails once, and that is enough.
    const attempt = Effect.gen({ self: this }, function*() {
      yield* this.inTime(store.reset(key))
      const admission = yield* this.inTime(Effect.scoped(store.admit(key)))
      return yield* this.inTime(store.record({
        key,
        generation: admission.generation,
        outcome: "Failure",
        tripPolicy: CircuitBreaker.consecutive(1),
        openFor
      }))
    })
    const tries = (left: number): Effect.Effect<CircuitBreaker.Transition, StoreFailure> =>
      Effect.matchEffect(attempt, {
        onSuccess: (transition) => transition === undefined ? again(left) : Effect.succeed(transition),
        onFailure: (error) => error.reason._tag === "CircuitBreakerStoreError" ? Effect.fail(error) : again(left)
      })
    const again = (left: number): Effect.Effect<CircuitBreaker.Transition, StoreFailure> =>
      left === 0 ? Effect.fail(storeError("Failed to open the circuit by hand")) : tries(left - 1)
    return this.byHand(
      "open",
      Effect.gen({ self: this }, function*() {
        const before = yield* this.inTime(store.state(key))
        const opened = yield* tries(mostTries)
        if (before._tag === "Open") yield* this.publish({ key, from: "Open", to: "HalfOpen" })
        yield* this.publish({
          key,
          from: before._tag === "Closed" ? "Closed" : "HalfOpen",
          to: "Open",
          retryAfter: openFor,
          consecutiveOpenings: opened.to === "Open" ? opened.consecutiveOpenings : 1
        })
      })
    )
  }

  /** Closes a circuit by hand, whatever its state. */
  close(key: string): Effect.Effect<void, StoreUnavailable> {
    const { store } = this
    return this.byHand(
      "close",
      Effect.gen({ self: this }, function*() {
        const before = yield* this.inTime(store.state(key))
        yield* this.inTime(store.reset(key))
        // There is no edge from open to closed: whoever follows the transitions is led there all the same.
        if (before._tag === "Open") yield* this.publish({ key, from: "Open", to: "HalfOpen" })
        if (before._tag !== "Closed") yield* this.publish({ key, from: "HalfOpen", to: "Closed" })
      })
    )
  }

  // Half of it must not be done: a circuit that was reset to be opened would be closed.
  private byHand<A>(operation: string, effect: Effect.Effect<A, StoreFailure>): Effect.Effect<A, StoreUnavailable> {
    return Effect.uninterruptible(Effect.catchCause(effect, (cause) =>
      Effect.andThen(
        reportUnhandled(`Breaker store unavailable (${operation})`, cause),
        Effect.fail(new StoreUnavailable({ store: "breaker", operation }))
      )))
  }

  private inTime<A, E, R>(operation: Effect.Effect<A, E, R>): Effect.Effect<A, E | StoreFailure, R> {
    if (this.store.local) return operation
    return Effect.timeoutOrElse(operation, {
      duration: this.settings.storeTimeout,
      orElse: () =>
        Effect.fail(storeError(`The store did not answer within ${Duration.format(this.settings.storeTimeout)}`))
    })
  }

  private publish(transition: CircuitBreaker.Transition): Effect.Effect<void> {
    return Effect.asVoid(PubSub.publish(this.transitions, [transition]))
  }
}

/** Why a call was not let through; absent where the store is at fault. */
export const rejectionOf = (
  cause: Cause.Cause<StoreFailure>
): CircuitBreaker.CircuitOpen | CircuitBreaker.CircuitHalfOpen | undefined => {
  const reason = cause.reasons.find(Cause.isFailReason)?.error.reason
  return reason === undefined || reason._tag === "CircuitBreakerStoreError" ? undefined : reason
}

/** How long each opening in a row lasts: always the same, or the schedule's nth delay, and its last one from then on. */
export const openDurations = (
  input: Duration.Duration | Schedule.Schedule<unknown, number>
): Settings["openDuration"] => {
  if (!Schedule.isSchedule(input)) {
    const same = Effect.succeed(input)
    return () => same
  }
  // The schedule is run from its beginning, as if only its own delays had passed: what counts is the time spent open.
  return (opening) =>
    Effect.gen(function*() {
      const step = yield* Schedule.toStep(input)
      let now = yield* Clock.currentTimeMillis
      let delay = Duration.zero
      for (let nth = 1; nth <= opening; nth++) {
        const next = yield* Effect.exit(step(now, nth))
        if (Exit.isFailure(next)) break
        delay = next.value[1]
        now += Duration.toMillis(delay)
      }
      return delay
    })
}
