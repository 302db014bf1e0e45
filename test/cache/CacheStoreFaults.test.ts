/**
 * A cache whose home is dead or frozen: it fails, and does not wait for ever.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as CacheStore from "../../src/cache/CacheStore.ts"
import * as addresses from "../support/addresses.ts"
import * as Postgres from "../support/postgres.ts"
import { makeProxy } from "../support/proxy.ts"
import * as Redis from "../support/redis.ts"
import { minute, put } from "./support/homes.ts"

const storeOf = <E>(layer: Layer.Layer<CacheStore.CacheStore, E>) =>
  Effect.map(Layer.build(layer), Context.get(CacheStore.CacheStore))

Postgres.describePostgres("a cache in a Postgres that does not answer", () => {
  const client = (port: number) => Layer.build(PgClient.layer({ ...addresses.postgres, port, maxConnections: 2 }))

  it.effect("fails to come up, after half a minute", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(addresses.postgres)
      const services = yield* client(proxy.port)
      proxy.freeze("all")
      const building = yield* Effect.forkChild(
        storeOf(CacheStore.layerSql().pipe(Layer.provide(Layer.succeedContext(services)))).pipe(Effect.flip),
        { startImmediately: true }
      )
      yield* TestClock.withLive(Effect.sleep(50))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(building.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      const error = yield* TestClock.withLive(Effect.timeout(Fiber.join(building), "5 seconds"))
      assert.strictEqual(error._tag, "SqlError")
      proxy.thaw()
    }), 20_000)

  it.live("lets go at once who does not want to wait", () =>
    Effect.gen(function*() {
      const schema = yield* Postgres.schema
      const proxy = yield* makeProxy(addresses.postgres)
      const services = yield* Layer.build(
        PgClient.layer({ ...addresses.postgres, port: proxy.port, startupParameters: { search_path: schema } })
      )
      const store = yield* storeOf(CacheStore.layerSql().pipe(Layer.provide(Layer.succeedContext(services))))
      yield* put(store, "a", { n: 1 })
      proxy.freeze()
      for (const step of [store.lookup("a", []), store.lease("a", "me", minute), store.clear]) {
        const fiber = yield* Effect.forkChild(step, { startImmediately: true })
        yield* Effect.sleep(10)
        yield* Effect.timeout(Fiber.interrupt(fiber), "5 seconds")
      }
      proxy.thaw()
    }), 20_000)
})

Redis.describeRedis("a cache in a Redis that is gone", () => {
  it.live("fails with what it was asked, and with what came of it", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(addresses.redis)
      const store = yield* storeOf(
        CacheStore.layerRedis({ prefix: Redis.prefix() }).pipe(
          Layer.provide(
            NodeRedis.layer({
              socket: { host: "127.0.0.1", port: proxy.port, reconnectStrategy: false },
              disableOfflineQueue: true
            })
          )
        )
      )
      proxy.die()
      yield* Effect.sleep(20)
      for (
        const [operation, step] of [
          ["lookup", store.lookup("a", ["x"])],
          ["write", store.write("a", {}, { generation: "1", timeToLive: minute })],
          ["remove", store.remove("a")],
          ["invalidate", store.invalidate("x")],
          ["clear", store.clear],
          ["lease", store.lease("a", "me", minute)],
          ["release", store.release("a", "me")]
        ] as const
      ) {
        const error = yield* Effect.flip(step as Effect.Effect<unknown, CacheStore.CacheStoreError>)
        assert.strictEqual(error._tag, "CacheStoreError")
        assert.strictEqual(error.operation, operation)
        assert.include(error.message, "could not be asked to")
      }
    }), 20_000)
})
