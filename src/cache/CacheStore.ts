/**
 * Where a cache is kept: values by key, with generations for their tags, and leases.
 *
 * A value is found until its time is over, it is removed, or one of its tags is invalidated. Invalidating a tag takes one step however many
 * values have it: the tag gets a new *generation*, a number or id that was never used before, and a value is found only under the generations
 * that held when it was *begun*. So a look-up comes before the answer is asked for, and what it says is given back with the answer:
 *
 * - `lookup` says whether there is a value, and which generations hold now;
 * - the answer is asked for, which takes its time;
 * - `write` keeps it under those generations. Where a tag was invalidated in between, it is written and never found.
 *
 * A generation that is lost (evicted, expired, swept away) is replaced by a new one, never by one that was there before. So no loss brings
 * back what was invalidated; it only costs misses.
 *
 * **Homes**
 *
 * - {@link layerMemory}: one process, bounded in entries and in bytes; what was not used for the longest time goes first.
 *
 * **Gotchas**
 *
 * A store answers or fails; it does not wait for ever, but who asks it should set a limit of their own.
 *
 * Values are as readable as the home they are in.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  CacheStore,
  CacheStoreError,
  type Found,
  type Statistics,
  type Unreadable,
  type Value
} from "./internal/store.ts"
import { MemoryStore } from "./internal/storeMemory.ts"

export { CacheStore, CacheStoreError, type Found, type Statistics, type Unreadable, type Value }

/**
 * How much a process keeps.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  /** The most values: a positive integer. Default: 10,000. */
  readonly maxEntries?: number | undefined
  /**
   * The most bytes that keys and values take in memory, as estimated from their texts and parts: a positive integer. Default: 67,108,864
   * (64 MiB).
   */
  readonly maxBytes?: number | undefined
}

/**
 * Keeps a cache in the process.
 *
 * **When to use**
 *
 * Use for one process, where the cache need not outlive it, and in tests. A hit costs a few microseconds, since nothing is encoded.
 *
 * **Details**
 *
 * Where there is no more room, the value goes that was not found or written for the longest time. A value that is larger than all the room
 * is not kept. Values whose time is over go when they are looked up, or for want of room.
 *
 * What tags and keys are invalid is remembered for an hour after it was last needed, and for as long as any value may live.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (An invalidated tag)
 *
 * ```ts
 * import { CacheStore } from "effect-bulwark/cache"
 * import { Duration, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* CacheStore.CacheStore
 *   const { generation } = yield* store.lookup("question", ["model"])
 *   yield* store.write("question", { answer: 42 }, { generation, timeToLive: Duration.minutes(5) })
 *   const hit = yield* store.lookup("question", ["model"])
 *   yield* store.invalidate("model")
 *   const miss = yield* store.lookup("question", ["model"])
 *   return [hit.value, miss.value]
 * })
 *
 * const values = await Effect.runPromise(Effect.provide(program, CacheStore.layerMemory({ maxEntries: 1_000 })))
 *
 * values // => [{ answer: 42 }, undefined]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<CacheStore> => {
  const bounds = {
    maxEntries: positive("maxEntries", options?.maxEntries ?? 10_000),
    maxBytes: positive("maxBytes", options?.maxBytes ?? 64 * 1024 * 1024)
  }
  return Layer.sync(CacheStore, () => {
    const memory = new MemoryStore(bounds)
    const timed = <A>(step: (now: number) => A): Effect.Effect<A> =>
      Clock.clockWith((clock) => Effect.succeed(step(clock.currentTimeMillisUnsafe())))
    return CacheStore.of({
      lookup: (key, tags) => timed((now) => memory.lookup(key, tags, now)),
      write: (key, value, { generation, timeToLive }) =>
        timed((now) => memory.write(key, value, generation, Duration.toMillis(timeToLive), now)),
      remove: (key) => timed((now) => memory.remove(key, now)),
      invalidate: (tag) => timed((now) => memory.invalidate(tag, now)),
      clear: Effect.sync(() => memory.clear()),
      lease: (key, holder, duration) =>
        timed((now) => memory.leases.lease(key, holder, now, Duration.toMillis(duration))),
      release: (key, holder) => Effect.sync(() => memory.leases.release(key, holder)),
      statistics: Effect.sync(() => ({
        entries: memory.size,
        bytes: memory.bytes,
        evictions: memory.evictions
      }))
    })
  })
}

const positive = (name: string, value: number): number => {
  if (!(Number.isSafeInteger(value) && value > 0)) {
    throw new RangeError(`CacheStore.layerMemory: \`${name}\` must be a positive integer, got ${value}`)
  }
  return value
}
