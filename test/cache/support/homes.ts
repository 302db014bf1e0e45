/**
 * The homes that caches have, for the suites that each of them has to pass.
 */
import { describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { Redis as RedisService } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as CacheStore from "../../../src/cache/CacheStore.ts"
import * as Postgres from "../../support/postgres.ts"
import * as Redis from "../../support/redis.ts"
import { layerOf, type Place, postgres, redis, sqlite } from "./places.ts"

export type Store = CacheStore.CacheStore["Service"]

/** What somebody else may do to what a home keeps. */
export interface Vandal {
  /** Deletes what is kept under names that begin so. */
  readonly lose: (start: string) => Effect.Effect<unknown, unknown>
  /** Puts a text where there was a record. */
  readonly overwrite: (name: string, text: string) => Effect.Effect<unknown, unknown>
}

export interface Home {
  readonly name: string
  readonly describe: (title: string, suite: () => void) => void
  /** A place that nobody else has, for as long as the scope lasts. */
  readonly place: Effect.Effect<Place, never, Scope.Scope>
  /** Whose time it is. */
  readonly clock: "test" | "real"
  /** How much is asked of it, compared to the memory. */
  readonly share: number
}

const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-cache-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => join(folder, "cache.db")
)

/** Those that only one process sees. */
export const alone: ReadonlyArray<Home> = [
  { name: "memory", describe, place: Effect.succeed({ home: "memory" }), clock: "test", share: 1 },
  { name: "a backing store in memory", describe, place: Effect.succeed({ home: "backing" }), clock: "test", share: 1 },
  {
    name: "SQLite in memory",
    describe,
    place: Effect.succeed({ home: "sqlite", filename: ":memory:" }),
    clock: "test",
    share: 0.2
  }
]

/** Those that processes share. */
export const shared: ReadonlyArray<Home> = [
  {
    name: "SQLite in a file",
    describe,
    place: Effect.map(file, (filename) => ({ home: "sqlite", filename })),
    clock: "test",
    share: 0.1
  },
  {
    name: "Postgres",
    describe: Postgres.describePostgres,
    place: Effect.map(Postgres.schema, (schema) => ({ home: "postgres", schema })),
    clock: "test",
    share: 0.05
  },
  {
    name: "Redis",
    describe: Redis.describeRedis,
    place: Effect.map(Redis.tidyPrefix, (prefix) => ({ home: "redis", prefix })),
    clock: "real",
    share: 0.1
  }
]

/** One more client of a place. */
export const open = (place: Place): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layerOf(place))), Context.get(CacheStore.CacheStore))

/** A test with a store of its own, at time 0. */
export const test = (home: Home) =>
(
  title: string,
  body: (store: Store, place: Place) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.effect(title, () =>
    Effect.gen(function*() {
      const place = yield* home.place
      yield* body(yield* open(place), place)
    }))

/** Time passes: that of the test, or real time where the home's clock is its own. */
export const pass = (home: Home, duration: Duration.Input) =>
  home.clock === "test" ? TestClock.adjust(duration) : TestClock.withLive(Effect.sleep(duration))

/** Somebody else's hands in a place that processes share. */
export const vandalOf = (place: Place): Effect.Effect<Vandal, never, Scope.Scope> => {
  switch (place.home) {
    case "sqlite":
      return Effect.map(Layer.build(sqlite(place)), (context) => sqlVandal(Context.get(context, SqlClient.SqlClient)))
    case "postgres":
      return Effect.map(Layer.build(postgres(place)), (context) => sqlVandal(Context.get(context, SqlClient.SqlClient)))
    case "redis":
      return Effect.map(Layer.build(redis), (context) => {
        const redis = Context.get(context, RedisService.Redis)
        return {
          lose: (start) =>
            Effect.flatMap(
              redis.send<ReadonlyArray<string>>("KEYS", `{${place.prefix}}:${start}*`),
              (keys) => keys.length === 0 ? Effect.void : redis.send("DEL", ...keys)
            ),
          overwrite: (name, text) => redis.send("SET", `{${place.prefix}}:${name}`, text)
        }
      })
    default:
      return Effect.die(`nobody else sees ${place.home}`)
  }
}

const sqlVandal = (sql: SqlClient.SqlClient): Vandal => ({
  lose: (start) => sql`DELETE FROM effect_persistence WHERE id LIKE ${`${start}%`}`,
  overwrite: (name, text) =>
    sql`
      INSERT INTO effect_persistence (store_id, id, value) VALUES ('bulwark_cache_', ${name}, ${text})
      ON CONFLICT (store_id, id) DO UPDATE SET value = excluded.value`
})

export const minute = Duration.minutes(1)

/** Looks up, makes a value, and writes it. */
export const put = (
  store: Store,
  key: string,
  value: CacheStore.Value,
  tags: ReadonlyArray<string> = [],
  timeToLive: Duration.Duration = minute
) => Effect.flatMap(store.lookup(key, tags), ({ generation }) => store.write(key, value, { generation, timeToLive }))

/** The value that is found. */
export const get = (store: Store, key: string, tags: ReadonlyArray<string> = []) =>
  Effect.map(store.lookup(key, tags), ({ value }) => value)
