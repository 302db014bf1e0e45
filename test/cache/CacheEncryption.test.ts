/**
 * Encryption of what a cache keeps.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Layer, Redacted, Result } from "effect"
import { Redis } from "effect/persistence"
import { inspect } from "node:util"
import * as CacheEncryption from "../../src/cache/CacheEncryption.ts"
import * as CacheStore from "../../src/cache/CacheStore.ts"
import * as Services from "../support/redis.ts"
import { get, minute, put, type Store } from "./support/homes.ts"
import { redis } from "./support/places.ts"

const secret = (byte: number) => Redacted.make(Buffer.alloc(32, byte).toString("base64"))

const one: CacheEncryption.Options = { current: "one", keys: { one: secret(1) } }
const both: CacheEncryption.Options = { current: "two", keys: { one: secret(1), two: secret(2) } }
const two: CacheEncryption.Options = { current: "two", keys: { two: secret(2) } }

const value = { answer: "the secret answer", nested: [{ text: "\ud83d\u0000 é 漢" }] }

/** What stands before a store, with keys. */
const before = (store: Store, options: CacheEncryption.Options) =>
  Effect.map(
    Layer.build(
      Layer.succeed(CacheStore.CacheStore, store).pipe(
        CacheEncryption.encrypted,
        Layer.provide(CacheEncryption.layer(options))
      )
    ),
    Context.get(CacheStore.CacheStore)
  )

const inMemory = Effect.map(Layer.build(Layer.fresh(CacheStore.layerMemory())), Context.get(CacheStore.CacheStore))

const unreadable = (store: Store, key: string) =>
  Effect.map(store.lookup(key, []), (found) => {
    assert.isUndefined(found.value)
    return found.unreadable
  })

describe("an encrypted cache", () => {
  it.effect("gives back what it was given, and keeps nothing of it that can be read", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      const store = yield* before(plain, one)
      assert.isUndefined(yield* get(store, "a"))
      yield* put(store, "a", value, ["x"])
      assert.deepStrictEqual(yield* get(store, "a", ["x"]), value)
      const kept = yield* get(plain, "a", ["x"])
      assert.hasAllKeys(kept, ["encrypted", "keyId", "data"])
      assert.notInclude(JSON.stringify(kept), "secret")
      assert.notInclude(Buffer.from(String(kept!["data"]), "base64").toString("latin1"), "secret")
      // The rest is that of the home.
      yield* store.invalidate("x")
      assert.isUndefined((yield* store.lookup("a", ["x"])).unreadable)
      assert.isUndefined(yield* get(store, "a", ["x"]))
      assert.isTrue(yield* store.lease("a", "me", minute))
      assert.isFalse(yield* plain.lease("a", "you", minute))
      assert.strictEqual((yield* plain.statistics).entries, (yield* store.statistics).entries)
    }))

  it.effect("encrypts the same value otherwise each time", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      const store = yield* before(plain, one)
      const seen = new Set<unknown>()
      for (let n = 0; n < 100; n++) {
        yield* put(store, "a", value)
        seen.add((yield* get(plain, "a"))!["data"])
      }
      assert.strictEqual(seen.size, 100)
    }))

  it.effect("rotates its keys", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      const [old, rotating, rotated] = [
        yield* before(plain, one),
        yield* before(plain, both),
        yield* before(plain, two)
      ]
      yield* put(old, "a", value)
      assert.deepStrictEqual(yield* get(rotating, "a"), value)
      assert.strictEqual(yield* unreadable(rotated, "a"), "unknownKey")
      yield* put(rotating, "a", value)
      assert.deepStrictEqual(yield* get(rotated, "a"), value)
      assert.strictEqual(yield* unreadable(old, "a"), "unknownKey")
    }))

  it.effect("misses what was moved, changed, cut, or is plain, and says why", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      const store = yield* before(plain, both)
      yield* put(store, "a", value)
      const kept = (yield* get(plain, "a"))!
      const data = Buffer.from(String(kept["data"]), "base64")
      const cases: Array<readonly [string, string | undefined, CacheStore.Value]> = [
        ["as it was", undefined, kept],
        ["plain", "notEncrypted", value],
        ["of another form", "notEncrypted", { ...kept, encrypted: 2 }],
        ["without data", "notEncrypted", { encrypted: 1, keyId: "two" }],
        ["without a key", "notEncrypted", { encrypted: 1, data: kept["data"]! }],
        ["of an unknown key", "unknownKey", { ...kept, keyId: "three" }],
        ["of another key", "undecryptable", { ...kept, keyId: "one" }],
        ["no Base64", "undecryptable", { ...kept, data: "?" }],
        ["empty", "undecryptable", { ...kept, data: "" }]
      ]
      for (let length = 1; length < data.length; length += 7) {
        cases.push([`cut after ${length} bytes`, "undecryptable", {
          ...kept,
          data: data.subarray(0, length).toString("base64")
        }])
      }
      for (let at = 0; at < data.length; at += 5) {
        const changed = Buffer.from(data)
        changed[at]! ^= 1
        cases.push([`changed at ${at}`, "undecryptable", { ...kept, data: changed.toString("base64") }])
      }
      for (const [how, reason, raw] of cases) {
        yield* put(plain, "a", raw)
        const found = yield* store.lookup("a", [])
        assert.strictEqual(found.unreadable, reason, how)
        assert.deepStrictEqual(found.value, reason === undefined ? value : undefined, how)
        // What was found of the home still holds.
        yield* store.write("a", value, { generation: found.generation, timeToLive: minute })
        assert.deepStrictEqual(yield* get(store, "a"), value)
      }
      yield* put(plain, "b", kept)
      assert.strictEqual(yield* unreadable(store, "b"), "undecryptable")
      // Encrypted, and no value.
      const encryption = Context.get(yield* Layer.build(CacheEncryption.layer(both)), CacheEncryption.CacheEncryption)
      for (const text of ["no JSON", "[]", "null"]) {
        yield* put(plain, "a", { encrypted: 1, ...(yield* encryption.encrypt(text, "a")) })
        assert.strictEqual(yield* unreadable(store, "a"), "malformed")
      }
    }))

  it.effect("fails where its encryption does", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      const broken = CacheEncryption.CacheEncryption.of({
        encrypt: () => Effect.fail("the key service is down"),
        decrypt: () => Effect.fail("the key service is down")
      })
      const store = Context.get(
        yield* Layer.build(
          Layer.succeed(CacheStore.CacheStore, plain).pipe(
            CacheEncryption.encrypted,
            Layer.provide(Layer.succeed(CacheEncryption.CacheEncryption, broken))
          )
        ),
        CacheStore.CacheStore
      )
      const write = yield* Effect.flip(put(store, "a", value))
      assert.strictEqual(write.operation, "write")
      assert.isUndefined(yield* get(plain, "a"))
      yield* put(plain, "a", { encrypted: 1, keyId: "one", data: "AAAA" })
      assert.strictEqual((yield* Effect.flip(store.lookup("a", []))).operation, "lookup")
    }))

  it.effect("needs keys that are keys, and tells none of them", () =>
    Effect.gen(function*() {
      const key = (text: string): CacheEncryption.Options => ({ current: "one", keys: { one: Redacted.make(text) } })
      const short = Buffer.from("a secret that is too short").toString("base64")
      for (
        const [options, reason, mend] of [
          [{ ...one, current: "other" }, "missing", "add it to `keys`"],
          [{ current: "one", keys: {} }, "missing", "add it to `keys`"],
          [key("a secret that is no Base64!"), "notBase64", "openssl rand -base64 32"],
          [key(short), "length", "openssl rand -base64 32"],
          [key(""), "length", "openssl rand -base64 32"],
          [{ current: "one", keys: { one: secret(1), two: Redacted.make(short) } }, "length", "\"two\""]
        ] as const
      ) {
        const exit = yield* Effect.exit(Layer.build(CacheEncryption.layer(options)))
        assert.isTrue(Exit.isFailure(exit))
        const error = yield* Effect.flip(Layer.build(CacheEncryption.layer(options)))
        assert.strictEqual(error.reason, reason)
        assert.include(error.message, mend)
        for (const text of [inspect(exit, { depth: 10 }), String(error), JSON.stringify(error)]) {
          assert.notInclude(text, "a secret")
          assert.notInclude(text, short)
        }
      }
    }))

  it.effect("takes its keys from the configuration", () =>
    Effect.gen(function*() {
      const plain = yield* inMemory
      yield* put(yield* before(plain, one), "a", value)
      const fromConfig = Layer.build(
        Layer.succeed(CacheStore.CacheStore, plain).pipe(
          CacheEncryption.encrypted,
          Layer.provide(CacheEncryption.layerConfig({
            current: Config.String("CURRENT"),
            keys: Config.all({ one: Config.Redacted("ONE") })
          }))
        )
      )
      const provider = (env: Record<string, string>) =>
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))
      const store = yield* fromConfig.pipe(
        provider({ CURRENT: "one", ONE: `${Redacted.value(secret(1))}\n` }),
        Effect.map(Context.get(CacheStore.CacheStore))
      )
      assert.deepStrictEqual(yield* get(store, "a"), value)
      assert.strictEqual((yield* Effect.flip(provider({ CURRENT: "one" })(fromConfig)))._tag, "ConfigError")
    }))

  it.effect("says what it cannot decrypt as a result, and not as a failure", () =>
    Effect.gen(function*() {
      const encryption = Context.get(yield* Layer.build(CacheEncryption.layer(one)), CacheEncryption.CacheEncryption)
      const sealed = yield* encryption.encrypt("text", "context")
      assert.deepStrictEqual(yield* encryption.decrypt(sealed, "context"), Result.succeed("text"))
      assert.deepStrictEqual(yield* encryption.decrypt(sealed, "other"), Result.fail("undecryptable"))
    }))
})

Services.describeRedis("an encrypted cache in Redis", () => {
  it.effect("leaves nothing there that can be read", () =>
    Effect.gen(function*() {
      const prefix = yield* Services.tidyPrefix
      const layer = CacheStore.layerRedis({ prefix }).pipe(
        CacheEncryption.encrypted,
        Layer.provide(CacheEncryption.layer(one)),
        Layer.provideMerge(redis)
      )
      yield* Effect.gen(function*() {
        const store = yield* CacheStore.CacheStore
        const client = yield* Redis.Redis
        yield* put(store, "a", value, ["x"])
        assert.deepStrictEqual(yield* get(store, "a", ["x"]), value)
        const keys = yield* client.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
        for (const key of keys) assert.notInclude(yield* client.send<string>("GET", key), "answer")
      }).pipe(Effect.provide(layer))
    }))
})
