/**
 * What every home of a cache does: the words and the service that `CacheStore` hands on.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * A value as a store keeps it: a plain JSON object whose meaning the store does not know.
 *
 * **Gotchas**
 *
 * The memory keeps the very object it is given and hands out the same one: it must never change. What reads values may then remember
 * by identity what it has found in one, and a hit costs no decoding. `undefined` is no JSON: homes lose it.
 *
 * @category models
 * @since 0.1.0
 */
export type Value = Schema.JsonObject

/** Whether it is an object, and so may be a value. */
export const isValue = (value: Schema.Json | undefined): value is Value =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Why a value that is there is not handed out.
 *
 * - `notJson`: its text is no JSON, or was cut.
 * - `malformed`: it is JSON, and not what a store has written.
 * - `notEncrypted`: it is plain, where values are encrypted.
 * - `unknownKey`: it is encrypted with a key that is not here.
 * - `undecryptable`: it was changed, or belongs to another key of the cache, or its key has another secret.
 *
 * @category models
 * @since 0.1.0
 */
export type Unreadable = "notJson" | "malformed" | "notEncrypted" | "unknownKey" | "undecryptable"

/**
 * What a look-up finds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Found {
  /** The value, where there is one that nothing has made invalid since it was begun. */
  readonly value: Value | undefined
  /** What holds of the key and its tags as of now, to be given back with the value that is begun now. It means nothing to others. */
  readonly generation: string
  /** Why there is no value, where something is there that cannot be read. Writing a value mends it. */
  readonly unreadable?: Unreadable | undefined
}

/**
 * What a store knows of what it holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statistics {
  /** How many values there are, those included that are out of date and not yet swept away. Absent where a store cannot tell cheaply. */
  readonly entries?: number | undefined
  /** About how many bytes they take. Absent where a store cannot tell cheaply. */
  readonly bytes?: number | undefined
  /** How many were dropped for want of room, by this store, since it was made. Absent where the store does not do that itself. */
  readonly evictions?: number | undefined
}

/**
 * The store did not do what it was asked to, or did and could not say so.
 *
 * @category errors
 * @since 0.1.0
 */
export class CacheStoreError extends Schema.TaggedError<CacheStoreError>()("CacheStoreError", {
  /** What it was asked to do. */
  operation: Schema.Literals([
    "lookup",
    "write",
    "remove",
    "invalidate",
    "clear",
    "lease",
    "release",
    "statistics"
  ]),
  cause: Schema.Defect()
}) {
  /**
   * Says what the store was asked to do.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `The cache store could not be asked to ${asked[this.operation]}`
  }
}

const asked = {
  lookup: "look up a value",
  write: "write a value",
  remove: "remove a value",
  invalidate: "invalidate a tag",
  clear: "forget everything",
  lease: "lease a key",
  release: "release a key",
  statistics: "tell what it holds"
}

/**
 * Where a cache is kept.
 *
 * **Details**
 *
 * Keys and tags are texts of any kind. An operation is all that it says or, where it fails, any part of it; all of them can be repeated.
 *
 * @category services
 * @since 0.1.0
 */
export class CacheStore extends Context.Service<CacheStore, {
  /**
   * Finds the value of a key. `tags` are all tags of it, in any order, each time the same: a value that was looked up under other tags,
   * or before one of them was invalidated, is not found.
   */
  readonly lookup: (key: string, tags: ReadonlyArray<string>) => Effect.Effect<Found, CacheStoreError>
  /**
   * Keeps a value for so long. `generation` is what the look-up said before the value was begun: what was made invalid since is
   * written and never found. A time to live that is not positive writes nothing.
   */
  readonly write: (key: string, value: Value, options: {
    readonly generation: string
    readonly timeToLive: Duration.Duration
  }) => Effect.Effect<void, CacheStoreError>
  /** Forgets the value of a key, and one that is being made, if it was looked up before. */
  readonly remove: (key: string) => Effect.Effect<void, CacheStoreError>
  /** From now on no value with that tag is found that was looked up before: for all who share the store, in one step. */
  readonly invalidate: (tag: string) => Effect.Effect<void, CacheStoreError>
  /** From now on no value is found that was looked up before. */
  readonly clear: Effect.Effect<void, CacheStoreError>
  /**
   * Takes a lease of a key, and says whether it is now the holder's: one holder has it at a time, until it is released or the time is over.
   * The holder may take it again, which prolongs it. It has nothing to do with the key's value.
   */
  readonly lease: (key: string, holder: string, duration: Duration.Duration) => Effect.Effect<boolean, CacheStoreError>
  /** Gives a lease back. It does nothing where the holder does not have it. */
  readonly release: (key: string, holder: string) => Effect.Effect<void, CacheStoreError>
  /** What it holds, as far as it knows. */
  readonly statistics: Effect.Effect<Statistics, CacheStoreError>
}>()("effect-bulwark/cache/CacheStore") {}
