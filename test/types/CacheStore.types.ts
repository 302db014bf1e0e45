/**
 * What stores of a cache need and how they fail, pinned. This file is compiled, never run.
 */
import type { Config, Duration, Effect, Layer, Redacted } from "effect"
import type { Persistence, Redis } from "effect/persistence"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import { expectTypeOf } from "vitest"
import * as CacheEncryption from "../../src/cache/CacheEncryption.ts"
import * as CacheStore from "../../src/cache/CacheStore.ts"

declare const store: CacheStore.CacheStore["Service"]
declare const minute: Duration.Duration
declare const secret: Redacted.Redacted<string>

// ---- each home says what it needs, and how it may fail to come up ----
expectTypeOf(CacheStore.layerMemory()).toEqualTypeOf<Layer.Layer<CacheStore.CacheStore>>()
expectTypeOf(CacheStore.layerPersistence()).toEqualTypeOf<
  Layer.Layer<CacheStore.CacheStore, never, Persistence.BackingPersistence>
>()
expectTypeOf(CacheStore.layerSql()).toEqualTypeOf<
  Layer.Layer<CacheStore.CacheStore, SqlError.SqlError | Migrator.MigrationError, SqlClient.SqlClient>
>()
expectTypeOf(CacheStore.layerRedis()).toEqualTypeOf<Layer.Layer<CacheStore.CacheStore, never, Redis.Redis>>()

// ---- a store fails in one way ----
expectTypeOf(store.lookup("key", ["tag"])).toEqualTypeOf<Effect.Effect<CacheStore.Found, CacheStore.CacheStoreError>>()
expectTypeOf(store.lease("key", "holder", minute)).toEqualTypeOf<Effect.Effect<boolean, CacheStore.CacheStoreError>>()
expectTypeOf(store.clear).toEqualTypeOf<Effect.Effect<void, CacheStore.CacheStoreError>>()

// ---- a value is written under what held when it was begun ----
store.write("key", { answer: 42 }, { generation: "1", timeToLive: minute })
// @ts-expect-error it must be said
store.write("key", { answer: 42 }, { timeToLive: minute })
// @ts-expect-error and what is written is an object
store.write("key", "answer", { generation: "1", timeToLive: minute })
// @ts-expect-error of JSON
store.write("key", { at: new Date() }, { generation: "1", timeToLive: minute })

// ---- a cache that is encrypted needs keys, and one without does not ----
const encrypted = CacheStore.layerRedis().pipe(CacheEncryption.encrypted)
expectTypeOf(encrypted).toEqualTypeOf<
  Layer.Layer<CacheStore.CacheStore, never, Redis.Redis | CacheEncryption.CacheEncryption>
>()
expectTypeOf(CacheEncryption.layer({ current: "a", keys: { a: secret } })).toEqualTypeOf<
  Layer.Layer<CacheEncryption.CacheEncryption, CacheEncryption.CacheEncryptionError>
>()
declare const wrapped: Config.Wrap<CacheEncryption.Options>
expectTypeOf(CacheEncryption.layerConfig(wrapped)).toEqualTypeOf<
  Layer.Layer<CacheEncryption.CacheEncryption, CacheEncryption.CacheEncryptionError | Config.ConfigError>
>()
// @ts-expect-error a secret is redacted
CacheEncryption.layer({ current: "a", keys: { a: "secret" } })
