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
 * - {@link layerSql}: SQLite, for one machine and the processes on it, or Postgres, for a fleet.
 * - {@link layerRedis}: a fleet.
 * - {@link layerPersistence}: any backing store of `effect/persistence`.
 *
 * **Gotchas**
 *
 * A store answers or fails; it does not wait for ever, but who asks it should set a limit of their own.
 *
 * Values are as readable as the home they are in, unless `CacheEncryption` stands before it. Keys and tags always are.
 *
 * A home that is set back to an earlier state, by a backup or by a replica that was behind, is set back with its generations: what was
 * invalidated in between is there again. Clear it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BackingPersistence } from "effect/persistence/Persistence"
import * as Redis from "effect/persistence/Redis"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { atOnce } from "./internal/atOnce.ts"
import {
  CacheStore,
  CacheStoreError,
  type Found,
  type Statistics,
  type Unreadable,
  type Value
} from "./internal/store.ts"
import { MemoryStore } from "./internal/storeMemory.ts"
import * as Backing from "./internal/storePersistence.ts"
import { makeStore } from "./internal/storeRecords.ts"
import * as Keys from "./internal/storeRedis.ts"
import { makeSql } from "./internal/storeSql.ts"

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
      lookup: atOnce((key, tags) => timed((now) => memory.lookup(key, tags, now))),
      write: atOnce((key, value, { generation, timeToLive }) =>
        timed((now) => memory.write(key, value, generation, Duration.toMillis(timeToLive), now))
      ),
      remove: (key) => timed((now) => memory.remove(key, now)),
      invalidate: (tag) => timed((now) => memory.invalidate(tag, now)),
      clear: Effect.sync(() => memory.clear()),
      lease: atOnce((key, holder, duration) =>
        timed((now) => memory.leases.lease(key, holder, now, Duration.toMillis(duration)))
      ),
      release: atOnce((key, holder) => Effect.sync(() => memory.leases.release(key, holder))),
      statistics: Effect.sync(() => ({
        entries: memory.size,
        bytes: memory.bytes,
        evictions: memory.evictions
      }))
    })
  })
}

/**
 * Where a cache is in a backing store.
 *
 * @category models
 * @since 0.1.0
 */
export interface PersistenceOptions {
  /** The id of the store there. Default: `"bulwark:cache"`. */
  readonly storeId?: string | undefined
}

/**
 * Keeps a cache in any backing store of `effect/persistence`.
 *
 * **When to use**
 *
 * Use for homes that Effect knows and this module has no layer of its own for, such as a `KeyValueStore`.
 *
 * **Details**
 *
 * Values live for at most 400 days. A tag has a small record of its own, which is forgotten 400 days after its first use or last
 * invalidation: its values are then asked for once more.
 *
 * Clearing makes everything unfindable first, and then does what the backing store does to clear itself.
 *
 * **Gotchas**
 *
 * Leases are known to this process alone.
 *
 * Where two processes use a tag for the first time at the same moment, what one of them writes may be lost.
 *
 * What is no JSON is not there for a backing store: it is a miss that nobody hears of.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPersistence = (
  options?: PersistenceOptions
): Layer.Layer<CacheStore, never, BackingPersistence> =>
  Layer.effect(
    CacheStore,
    Effect.gen(function*() {
      const backing = yield* (yield* BackingPersistence).make(options?.storeId ?? "bulwark:cache")
      return makeStore(Backing.makeRecords(backing), Backing.makeLeases())
    })
  )

/**
 * Where a cache is in a SQL database.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlOptions {
  /**
   * What the names of our tables begin with, and the id of the store in Effect's: at most 40 lower-case letters, digits and underscores, and
   * no digit first. Default: `"bulwark_cache_"`.
   */
  readonly prefix?: string | undefined
}

/**
 * Keeps a cache in a SQL database, SQLite or Postgres, and makes the tables where they are missing.
 *
 * **When to use**
 *
 * Use for a cache that outlives the process, and for several processes that share it.
 *
 * **Details**
 *
 * Values are in the table `effect_persistence` of `effect/persistence`, as in {@link layerPersistence}, which says how long they are kept;
 * what is over is deleted in the background. Leases are in a table beside it, and hold for all who share it, by the clock of whoever asks.
 *
 * A step is not part of the transaction it is taken in. In Postgres it has a connection of its own. SQLite's client has only one connection,
 * so inside a transaction of the same client a step fails, at once; give the store a client of its own.
 *
 * Whoever is interrupted while they wait goes at once; the question is withdrawn in the background. A database that does not answer
 * while the layer is built fails it after 30 seconds.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Another database than these is one as well, as a defect.
 *
 * **Example** (In a file)
 *
 * ```ts
 * import { CacheStore } from "effect-bulwark/cache"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Layer } from "effect"
 *
 * const store = CacheStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: "answers.db" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (
  options?: SqlOptions
): Layer.Layer<CacheStore, SqlError | MigrationError, SqlClient> => {
  const prefix = options?.prefix ?? "bulwark_cache_"
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(prefix)) {
    throw new RangeError(
      `CacheStore.layerSql: \`prefix\` must be at most 40 of a-z, 0-9 and _, with no digit first, got ${
        JSON.stringify(prefix)
      }`
    )
  }
  return Layer.effect(CacheStore, makeSql(prefix))
}

/**
 * Where a cache is in Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions {
  /** What all keys begin with, in braces. Default: `"bulwark:cache"`. */
  readonly prefix?: string | undefined
}

/**
 * Keeps a cache in Redis, so that all processes with one prefix share it.
 *
 * **When to use**
 *
 * Use for a fleet.
 *
 * **Details**
 *
 * A look-up is one `MGET`, a write one `SET`. Keys begin with `{prefix}:`: in a cluster the braces make a cache live on one node, so that a
 * value and its generations can be read together. Use caches with several prefixes to spread them.
 *
 * Values and tags live as in {@link layerPersistence}, by the clock of Redis, and so do leases. Clearing makes everything unfindable first,
 * and then deletes the values, a thousand at a time.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * With a `maxmemory-policy` that evicts, Redis drops what was not used for long, and so bounds the cache. Where it drops the record of a tag,
 * the tag's values are misses. Where it drops the mark that a key was removed, an answer that was asked for before that and written after it
 * can be found.
 *
 * **Example** (Shared by a fleet)
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { CacheStore } from "effect-bulwark/cache"
 * import { Layer } from "effect"
 *
 * const store = CacheStore.layerRedis({ prefix: "summaries:cache" }).pipe(
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options?: RedisOptions): Layer.Layer<CacheStore, never, Redis.Redis> => {
  const prefix = options?.prefix ?? "bulwark:cache"
  // Or the braces would be no hash tag.
  if (prefix === "" || prefix.startsWith("}")) {
    throw new RangeError(
      `CacheStore.layerRedis: \`prefix\` must not be empty or begin with a brace, got ${JSON.stringify(prefix)}`
    )
  }
  return Layer.effect(
    CacheStore,
    Effect.map(
      Redis.Redis,
      (redis) => makeStore(Keys.makeRecords({ redis, prefix }), Keys.makeLeases({ redis, prefix }))
    )
  )
}

const positive = (name: string, value: number): number => {
  if (!(Number.isSafeInteger(value) && value > 0)) {
    throw new RangeError(`CacheStore.layerMemory: \`${name}\` must be a positive integer, got ${value}`)
  }
  return value
}
