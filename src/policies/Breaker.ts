/**
 * Circuit breakers: a model that fails again and again is not asked for a while.
 *
 * {@link guard} puts a call behind a circuit; {@link Breaker} is the service that keeps the circuits, one a key.
 *
 * - **Closed**: calls run. The trip policy ({@link consecutive}, {@link rate}) says when failures open the circuit.
 * - **Open**: calls fail with `CircuitOpen` at once, and nothing is sent, until the open time has passed. When it does is in
 *   `retryAfter`.
 * - **Half-open**: the next call is the probe, and others are still refused while it runs. It is one request: retries and hedges
 *   inside hold still. When it succeeds the circuit closes, when it fails the circuit opens again, and when it is interrupted, or
 *   ends in a way that says nothing about the provider, the next call is the probe.
 *
 * The breaker never waits. It sees one outcome a call, and takes it at the end: a full answer when it is there, a stream when it
 * has ended. What counts against the provider is in the table of errors (`LlmError.table`, column `breaker`): an outage does, and
 * so does an answer that breaks off in the middle; a request that is not valid, a refusal by a content policy and an interruption
 * say nothing.
 *
 * **What goes inside, what outside**
 *
 * Inside: one model, its limits for each attempt (a limit outside only interrupts, which counts for nothing) and its retries (the
 * breaker should see what is left when they have given up). Outside: fallbacks, to which `CircuitOpen` is a reason to ask the
 * next model at once, and the total limit.
 *
 * **Gotchas**
 *
 * - A layer has the circuits, so use one layer: `Breaker.layerMemory()` written twice is two sets of circuits.
 * - A retry around a breaker knocks at a closed door. It does not retry `CircuitOpen`, but each of its attempts is an outcome.
 * - The default key is the model. Stacks with one model and one layer share a circuit, which is what they should. Two guards of
 *   one key around each other do not work: while the outer one probes, the inner one refuses.
 * - Only what happened while the circuit was closed counts. The outcome of a call that was let through before it opened changes
 *   nothing any more.
 * - A probe that is a stream is over when the stream is. Whoever reads it slowly keeps the circuit half-open for as long.
 * - A provider that asks to wait (`Retry-After`) parks its account by itself; calls that are held back by that count for nothing.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type * as Redis from "effect/persistence/Redis"
import * as PubSub from "effect/PubSub"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"
import type { Call } from "../core/Call.ts"
import { targetOf } from "../core/internal/target.ts"
import * as Llm from "../core/Llm.ts"
import { CircuitOpen, StoreUnavailable } from "../core/LlmError.ts"
import * as Opened from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import { atEnd } from "./internal/atEnd.ts"
import { Circuits, openDurations, type Permit, rejectionOf, type Settings } from "./internal/breakerCircuits.ts"
import * as Outcome from "./internal/breakerOutcome.ts"
import {
  BreakerStore,
  layerStoreMemory,
  layerStoreRedis,
  type MemoryStoreOptions,
  type RedisStoreOptions
} from "./internal/breakerStore.ts"
import { reportUnhandled } from "./internal/reportUnhandled.ts"
import { isLate } from "./internal/reserve.ts"
import { sharedKey } from "./internal/sharedKey.ts"

export { BreakerStore, layerStoreMemory, layerStoreRedis, type MemoryStoreOptions, type RedisStoreOptions }

/**
 * Marks values of {@link Breaker}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: TypeId = "~effect-bulwark/policies/Breaker"

/**
 * Marks values of {@link Breaker}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export type TypeId = "~effect-bulwark/policies/Breaker"

/**
 * The state of a circuit: effect's `CircuitBreaker.State`.
 *
 * **Gotchas**
 *
 * A circuit whose open time has passed is still `Open`, with a `retryAfter` of zero, until a call asks.
 *
 * @category models
 * @since 0.1.0
 */
export type State = CircuitBreaker.State

/**
 * A circuit's change of state: effect's `CircuitBreaker.Transition`.
 *
 * @category models
 * @since 0.1.0
 */
export type Transition = CircuitBreaker.Transition

/**
 * When a circuit opens: effect's `CircuitBreaker.TripPolicy`.
 *
 * @see {@link consecutive} and {@link rate}
 * @category models
 * @since 0.1.0
 */
export type TripPolicy = CircuitBreaker.TripPolicy

/**
 * Opens after so many failures in a row, in the order in which calls end.
 *
 * **When to use**
 *
 * Use where there are few calls, or where one success shows that all is well again.
 *
 * **Details**
 *
 * Throws a `RangeError` where it is no integer of at least 1.
 *
 * @category trip policies
 * @since 0.1.0
 */
export const consecutive: (failures: number) => TripPolicy = CircuitBreaker.consecutive

/**
 * Opens when so large a part of the last calls has failed.
 *
 * **When to use**
 *
 * Use where there are many calls at once: under load some of them succeed even in an outage, and failures are never in a row.
 *
 * **Details**
 *
 * `threshold` is the part, from 0 to 1 (default: 0.5), `size` the number of calls that are looked back on (default: 100), and
 * `minimumCalls` how many of them there must be (default: `size`). Throws a `RangeError` where they make no sense.
 *
 * @category trip policies
 * @since 0.1.0
 */
export const rate: (options: {
  readonly threshold?: number | undefined
  readonly size?: number | undefined
  readonly minimumCalls?: number | undefined
}) => TripPolicy = CircuitBreaker.rate

/**
 * The circuits of a program, and what an operator does with them.
 *
 * **Details**
 *
 * - `state` reads a circuit, wherever it is kept.
 * - `transitions` are those that this instance has made, by its calls or by hand, from when the stream is run. It ends with the
 *   layer. A subscriber that falls behind by more than 128 misses the oldest ones.
 * - `open` opens a circuit by hand for some time (default: 1 hour), after which there is a probe as ever. `close` closes it, with a
 *   clean slate. Both are for all processes that share the store; calls that are under way change nothing any more.
 *
 * **Example** (Taking a model out of service)
 *
 * ```ts
 * import { Breaker, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Breaker.guard())
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* Breaker.Breaker
 *   yield* breaker.open("openai/gpt-5-mini", "10 minutes")
 *   const refused = yield* Effect.flip(Llm.generateText(llm, { prompt: "Hello?" }))
 *   yield* breaker.close("openai/gpt-5-mini")
 *   const answer = yield* Llm.generateText(llm, { prompt: "Hello?" })
 *   return [refused._tag, answer.text]
 * }).pipe(Effect.provide(Layer.mergeAll(
 *   Breaker.layerMemory(),
 *   ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])
 * )))
 *
 * await Effect.runPromise(program) // => ["CircuitOpen", "Hello!"]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export interface Breaker {
  readonly [TypeId]: TypeId
  readonly state: (key: string) => Effect.Effect<State, StoreUnavailable>
  readonly transitions: Stream.Stream<Transition>
  readonly open: (key: string, duration?: Duration.Input) => Effect.Effect<void, StoreUnavailable>
  readonly close: (key: string) => Effect.Effect<void, StoreUnavailable>
  /** @internal */
  readonly circuits: Circuits
}

/**
 * The circuits of a program.
 *
 * @category services
 * @since 0.1.0
 */
export const Breaker: Context.Service<Breaker, Breaker> = Context.Service<Breaker>("effect-bulwark/policies/Breaker")

/**
 * Settings of a {@link Breaker}. They hold for all of its circuits.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** When a circuit opens. Default: `consecutive(5)`. */
  readonly trip?: TripPolicy | undefined
  /**
   * How long it stays open, or a schedule whose nth delay is that of the nth opening in a row, its last one holding on. The count
   * begins anew once the circuit has stayed closed for as long as it was last open. Default: 15 seconds.
   */
  readonly openDuration?: Duration.Input | Schedule.Schedule<unknown, number> | undefined
  /** The longest open time that a provider's `Retry-After` can lead to. It does not bound `openDuration`. Default: 1 hour. */
  readonly maxOpenDuration?: Duration.Input | undefined
  /**
   * A first content part that took longer than this counts as a failure, even if the answer is good. It is the time of the request
   * that served, without retries and waits before it. To see first parts, full answers are then streamed from the provider, as with
   * `Llm.timeout({ firstPart })`. Default: none is too slow.
   */
  readonly slowFirstPart?: Duration.Input | undefined
  /** How long to wait for the store, where it is not in this process. Default: 250 milliseconds. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * Keeps circuits in the store that is provided.
 *
 * **When to use**
 *
 * Use with a store of your own. For the usual ones there are {@link layerMemory} and {@link layerRedis}.
 *
 * **Details**
 *
 * Throws a `RangeError` where a duration is not longer than zero, or is endless.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Breaker, never, BreakerStore> => {
  const settings = settingsOf(options)
  return Layer.effect(
    Breaker,
    Effect.gen(function*() {
      const store = yield* BreakerStore
      const transitions = yield* PubSub.sliding<Take.Take<Transition>>(128)
      yield* Effect.addFinalizer(() => PubSub.end(transitions, Exit.void))
      const circuits = new Circuits(store, settings, transitions)
      return Breaker.of({
        [TypeId]: TypeId,
        state: (key) => circuits.state(key),
        transitions: Stream.fromPubSubTake(transitions),
        open: (key, duration) => circuits.open(key, longerThanZero("Breaker.open: duration", duration ?? "1 hour")),
        close: (key) => circuits.close(key),
        circuits
      })
    })
  )
}

/**
 * Keeps circuits in this process.
 *
 * **Example** (Patient with the first opening, and less so with each further one)
 *
 * ```ts
 * import { Breaker } from "effect-bulwark"
 * import { Schedule } from "effect"
 *
 * const breakers = Breaker.layerMemory({
 *   trip: Breaker.rate({ threshold: 0.5, size: 20, minimumCalls: 10 }),
 *   openDuration: Schedule.min([Schedule.exponential("5 seconds"), Schedule.spaced("2 minutes")]),
 *   slowFirstPart: "20 seconds"
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: Options & MemoryStoreOptions): Layer.Layer<Breaker> =>
  Layer.provide(layer(options), layerStoreMemory(options))

/**
 * Keeps circuits in Redis: processes with one prefix share them, and send one probe between them.
 *
 * **Details**
 *
 * Times are those of the Redis server. One that does not answer in time is dealt with as {@link guard} says (`onStoreError`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options?: Options & RedisStoreOptions): Layer.Layer<Breaker, never, Redis.Redis> =>
  Layer.provide(layer(options), layerStoreRedis(options))

/**
 * Settings of {@link guard}.
 *
 * @category options
 * @since 0.1.0
 */
export interface GuardOptions {
  /**
   * Which circuit a call belongs to, or how to tell. Default: the models of the plan, `provider/model`, joined by `+`.
   */
  readonly key?: string | ((call: Call) => string) | undefined
  /**
   * What happens to a call when the store does not answer: it is made all the same, and its outcome is lost (`allow`), or it fails
   * with `StoreUnavailable` (`fail`). Either is logged. Default: `allow`.
   */
  readonly onStoreError?: "allow" | "fail" | undefined
}

/**
 * Settings of {@link guard} with which a call never fails because of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface AllowingOptions extends GuardOptions {
  readonly onStoreError?: "allow" | undefined
}

/**
 * Puts calls behind a circuit.
 *
 * **Details**
 *
 * A call that is refused fails with `CircuitOpen`; its `retryAfter` says how long the circuit stays open, and is absent while a
 * probe runs. Nothing is sent, and the receipt says `rejected`. An outcome that the store could not be told is logged, and lost.
 *
 * Throws a `RangeError` where there is no `key` and no model in the plan.
 *
 * **Example** (The next model at once, while one is down)
 *
 * ```ts
 * import { Breaker, Llm, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Groq extends Provider.Service<Groq>()("groq") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Breaker.guard(),
 *   Llm.orElse(Llm.model(Groq, "llama-3.3-70b"))
 * )
 *
 * const openai = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("Overloaded"))
 *
 * const answers = await Effect.runPromise(
 *   Effect.replicateEffect(Llm.generateText(llm, { prompt: "Hello?" }), 10).pipe(
 *     Effect.provide(Layer.mergeAll(
 *       Breaker.layerMemory({ trip: Breaker.consecutive(3) }),
 *       openai.layer,
 *       ScriptedProvider.layer(Groq, () => ScriptedProvider.text("Hello!"))
 *     ))
 *   )
 * )
 *
 * answers.length // => 10
 * openai.calls.length // => 3
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const guard: {
  (options?: AllowingOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | CircuitOpen, R | Breaker>
  (options: GuardOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | CircuitOpen | StoreUnavailable, R | Breaker>
  <E, R>(self: Llm.Llm<E, R>, options?: AllowingOptions): Llm.Llm<E | CircuitOpen, R | Breaker>
  <E, R>(self: Llm.Llm<E, R>, options: GuardOptions): Llm.Llm<E | CircuitOpen | StoreUnavailable, R | Breaker>
} = dual((args) => Llm.isLlm(args[0]), guarded)

function guarded<E, R>(self: Llm.Llm<E, R>, options?: AllowingOptions): Llm.Llm<E | CircuitOpen, R | Breaker>
function guarded<E, R>(
  self: Llm.Llm<E, R>,
  options: GuardOptions
): Llm.Llm<E | CircuitOpen | StoreUnavailable, R | Breaker>
function guarded<E, R>(
  self: Llm.Llm<E, R>,
  options?: GuardOptions
): Llm.Llm<E | CircuitOpen | StoreUnavailable, R | Breaker> {
  const { detail, models, of } = sharedKey("Breaker.guard", self.plan, options?.key)
  const fails = options?.onStoreError === "fail"
  const asked = models.length === 1 ? targetOf(models[0]) : undefined

  const refuse = (
    call: Call,
    key: string,
    retryAfter: Duration.Duration | undefined
  ): Effect.Effect<never, CircuitOpen> => {
    call.recorder.event("rejected", "CircuitOpen")
    return Effect.fail(new CircuitOpen({ ...asked, key, ...(retryAfter === undefined ? undefined : { retryAfter }) }))
  }

  return Llm.make({
    plan: Plan.policy("breaker", { detail, children: [self.plan] }),
    open: (call) =>
      Effect.flatMap(Breaker, ({ circuits }) => {
        const key = of(call)
        return Effect.uninterruptibleMask((restore) =>
          Effect.matchCauseEffect(circuits.admit(key, changesOf(call)), {
            onSuccess: (permit): Effect.Effect<Opened.Opened, E, R | Scope.Scope> => {
              seen(call, key, permit.probe ? "HalfOpen" : "Closed")
              return open(self, call, permit, circuits.settings.slowFirstPartMillis, restore)
            },
            onFailure: (
              cause
            ): Effect.Effect<Opened.Opened, E | CircuitOpen | StoreUnavailable, R | Scope.Scope> => {
              const rejection = rejectionOf(cause)
              if (rejection !== undefined) {
                seen(call, key, rejection._tag === "CircuitOpen" ? "Open" : "HalfOpen")
                return refuse(call, key, rejection._tag === "CircuitOpen" ? rejection.retryAfter : undefined)
              }
              if (!fails) {
                return Effect.andThen(
                  reportUnhandled("Breaker store unavailable, the call goes on unrecorded", cause),
                  restore(Effect.suspend(() => self.open(call)))
                )
              }
              call.recorder.event("rejected", "StoreUnavailable")
              return Effect.andThen(
                reportUnhandled("Breaker store unavailable, the call is refused", cause),
                Effect.fail(new StoreUnavailable({ ...asked, store: "breaker", operation: "admit" }))
              )
            }
          })
        )
      })
  })
}

/** Somebody else may have changed it: another process, or somebody by hand. */
const seen = ({ recorder }: Call, circuit: string, state: State["_tag"]): void => {
  if (recorder.watch !== undefined) recorder.note({ _tag: "CircuitSeen", circuit, state })
}

const changesOf = (call: Call) => ({ from, key, to }: Transition): void =>
  call.recorder.note({ _tag: "Circuit", circuit: key, from, to })

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Opens a call that was let through, and sees to it that its outcome is recorded. */
const open = <E, R>(
  self: Llm.Llm<E, R>,
  call: Call,
  permit: Permit,
  slowMillis: number | undefined,
  restore: Restore
): Effect.Effect<Opened.Opened, E, R | Scope.Scope> => {
  const began = slowMillis === undefined ? 0 : call.recorder.now()
  const inner: Call = !permit.probe && slowMillis === undefined ? call : {
    ...call,
    single: permit.probe || call.single,
    // Only parts show whether an answer is slow to begin or merely long.
    transport: slowMillis === undefined ? call.transport : "stream"
  }
  return Effect.matchCauseEffect(restore(Effect.suspend(() => self.open(inner))), {
    onFailure: (cause) =>
      Effect.andThen(permit.settle(Outcome.ofOpening(cause, () => isLate(call))), Effect.failCause(cause)),
    onSuccess: (opened): Effect.Effect<Opened.Opened, never, Scope.Scope> => {
      // How long the first part took is known by now, and nothing that comes later changes it.
      if (slowMillis !== undefined && firstPartMillis(call, began) > slowMillis) {
        return Effect.as(permit.settle(CircuitBreaker.failure()), opened)
      }
      return opened._tag === "Whole"
        ? Effect.as(permit.settle(CircuitBreaker.success), opened)
        : Effect.flatMap(Effect.scope, (scope) =>
          Effect.as(
            // Whoever stops reading in the middle says nothing about the provider.
            Scope.addFinalizer(scope, Effect.uninterruptible(permit.settle(CircuitBreaker.ignored))),
            Opened.flow(atEnd(opened.parts, {
              finished: () => Effect.uninterruptible(permit.settle(CircuitBreaker.success)),
              failed: (cause) => Effect.uninterruptible(permit.settle(Outcome.ofFlow(cause))),
              done: Effect.uninterruptible(permit.settle(CircuitBreaker.success))
            }))
          ))
    }
  })
}

/** How long the request that serves took to its first part; where that is not on record, how long it took to open. */
const firstPartMillis = (call: Call, began: number): number => {
  const serving = call.recorder.serving
  return serving?.firstPartAt === undefined || serving.startedAt < began
    ? call.recorder.now() - began
    : serving.firstPartAt - serving.startedAt
}

const longerThanZero = (what: string, input: Duration.Input): Duration.Duration => {
  const duration = Duration.fromInputUnsafe(input)
  if (!(Duration.toMillis(duration) > 0)) {
    throw new RangeError(`${what} must be longer than zero, got ${Duration.format(duration)}`)
  }
  return duration
}

const settingsOf = (options: Options | undefined): Settings => {
  const finite = (name: keyof Options, input: Duration.Input): Duration.Duration => {
    const duration = longerThanZero(`Breaker.layer: ${name}`, input)
    if (!Duration.isFinite(duration)) throw new RangeError(`Breaker.layer: ${name} must end some time, got Infinity`)
    return duration
  }
  const openDuration = options?.openDuration ?? "15 seconds"
  const slow = options?.slowFirstPart === undefined
    ? Infinity
    : Duration.toMillis(longerThanZero("Breaker.layer: slowFirstPart", options.slowFirstPart))
  return {
    trip: options?.trip ?? consecutive(5),
    openDuration: openDurations(
      Schedule.isSchedule(openDuration) ? openDuration : finite("openDuration", openDuration)
    ),
    maxOpenDuration: finite("maxOpenDuration", options?.maxOpenDuration ?? "1 hour"),
    slowFirstPartMillis: Number.isFinite(slow) ? slow : undefined,
    storeTimeout: finite("storeTimeout", options?.storeTimeout ?? "250 millis")
  }
}
