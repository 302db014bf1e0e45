/**
 * Where circuits are kept: effect's own stores, and a way to begin a circuit anew.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Redis from "effect/persistence/Redis"

type EffectStore = CircuitBreaker.CircuitBreakerStore["Service"]

/**
 * Where the circuits of a `Breaker` are kept: `effect/persistence`'s `CircuitBreakerStore`, and what an operator needs besides.
 *
 * **Details**
 *
 * - `admit`, `record` and `state` are those of `CircuitBreaker.CircuitBreakerStore`.
 * - `reset` makes a circuit begin anew: closed, nothing counted, and whatever is under way at that moment changes nothing any
 *   more.
 * - `local` is true where every operation is done at once, in this process, so that none needs a limit on its time.
 *
 * @category services
 * @since 0.1.0
 */
export class BreakerStore extends Context.Service<BreakerStore, {
  readonly admit: EffectStore["admit"]
  readonly record: EffectStore["record"]
  readonly state: EffectStore["state"]
  readonly reset: (key: string) => Effect.Effect<void, CircuitBreaker.CircuitBreakerError>
  readonly local: boolean
}>()("effect-bulwark/policies/Breaker/BreakerStore") {}

/**
 * Settings of a store in memory.
 *
 * @category options
 * @since 0.1.0
 */
export interface MemoryStoreOptions {
  /** After which time without calls a circuit is forgotten, which is to say closed. Default: 1 hour. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

/**
 * Settings of a store in Redis.
 *
 * @category options
 * @since 0.1.0
 */
export interface RedisStoreOptions {
  /** What the names of its keys begin with. Default: `bulwark:breaker:`. */
  readonly prefix?: string | undefined
  /**
   * For how long the slot of a probe is kept for a process that is not heard of any more; renewed while the probe runs.
   * Default: 10 seconds.
   */
  readonly probeLease?: Duration.Input | undefined
  /** After which time without calls a circuit is forgotten, which is to say closed. Default: 1 hour. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

// Stands in no key that anybody would choose.
const separator = "\u0000"

/**
 * Keeps circuits in this process.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStoreMemory = (options?: MemoryStoreOptions): Layer.Layer<BreakerStore> =>
  Layer.effect(
    BreakerStore,
    Effect.map(CircuitBreaker.CircuitBreakerStore, (store) => {
      // Effect's store forgets no circuit on demand, so that one that begins anew does so under a new name.
      const lives = new Map<string, number>()
      const nameOf = (key: string): string => {
        const life = lives.get(key)
        return life === undefined ? key : `${key}${separator}${life}`
      }
      return BreakerStore.of({
        local: true,
        admit: (key) => {
          const name = nameOf(key)
          return name === key ? store.admit(key) : Effect.mapBoth(store.admit(name), {
            onSuccess: (admission) =>
              admission.transition === undefined
                ? admission
                : { ...admission, transition: { ...admission.transition, key } },
            onFailure: (error) => renamed(error, key)
          })
        },
        // An outcome of an earlier life carries a generation that the new one does not know.
        record: (options) => {
          const name = nameOf(options.key)
          return name === options.key ? store.record(options) : Effect.map(
            store.record({ ...options, key: name }),
            (transition) => transition === undefined ? undefined : { ...transition, key: options.key }
          )
        },
        state: (key) => Effect.map(store.state(nameOf(key)), (state) => ({ ...state, key })),
        reset: (key) => Effect.sync(() => void lives.set(key, (lives.get(key) ?? 1) + 1))
      })
    })
  ).pipe(Layer.provide(CircuitBreaker.layerStoreMemory(options)))

const renamed = (error: CircuitBreaker.CircuitBreakerError, key: string): CircuitBreaker.CircuitBreakerError => {
  switch (error.reason._tag) {
    case "CircuitOpen":
      return new CircuitBreaker.CircuitBreakerError({
        reason: new CircuitBreaker.CircuitOpen({ key, retryAfter: error.reason.retryAfter })
      })
    case "CircuitHalfOpen":
      return new CircuitBreaker.CircuitBreakerError({ reason: new CircuitBreaker.CircuitHalfOpen({ key }) })
    case "CircuitBreakerStoreError":
      return error
  }
}

/**
 * Keeps circuits in Redis, so that all processes with one prefix share them, each probe included.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStoreRedis = (options?: RedisStoreOptions): Layer.Layer<BreakerStore, never, Redis.Redis> => {
  const prefix = options?.prefix ?? "bulwark:breaker:"
  return Layer.effect(
    BreakerStore,
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const store = yield* CircuitBreaker.CircuitBreakerStore
      return BreakerStore.of({
        ...store,
        local: false,
        reset: (key) =>
          Effect.mapError(
            Effect.asVoid(redis.send("DEL", `${prefix}${key}`)),
            (error) => storeError("Failed to reset the circuit", error.cause)
          )
      })
    })
  ).pipe(Layer.provide(CircuitBreaker.layerStoreRedis({ ...options, prefix })))
}

/** What a store fails with when it does not answer. */
export const storeError = (message: string, cause?: unknown): CircuitBreaker.CircuitBreakerError =>
  new CircuitBreaker.CircuitBreakerError({
    reason: new CircuitBreaker.CircuitBreakerStoreError(cause === undefined ? { message } : { message, cause })
  })
