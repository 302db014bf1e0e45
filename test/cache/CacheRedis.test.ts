/**
 * A Redis that freezes, thaws and dies while calls are made.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, References, Schedule } from "effect"
import { LlmError } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import { openai } from "../core/support/stack.ts"
import * as addresses from "../support/addresses.ts"
import { makeProxy } from "../support/proxy.ts"
import { describeRedis, tidyPrefix } from "../support/redis.ts"
import { ask, counting } from "./support/cached.ts"

const storeTimeout = 300

/** For some seconds: machines are loaded. */
const often = Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 100 }))

const llm = openai.pipe(Cache.through({ timeToLive: "1 hour", storeTimeout }))
const strict = openai.pipe(Cache.through({ timeToLive: "1 hour", storeTimeout, onStoreError: "fail" }))

describeRedis("a Redis that", () => {
  it.live(
    "freezes and dies costs a bounded delay, and a failure only where that is asked for",
    () =>
      Effect.gen(function*() {
        const proxy = yield* makeProxy(addresses.redis)
        const prefix = `{${yield* tidyPrefix}}`
        const provider = counting()
        const redis = NodeRedis.layer({
          socket: { host: "127.0.0.1", port: proxy.port, reconnectStrategy: false },
          disableOfflineQueue: true
        })
        yield* Effect.gen(function*() {
          assert.strictEqual(yield* ask(llm), "miss: answer 1")
          yield* Effect.repeat(ask(llm), { until: (result) => result === "hit: answer 1", schedule: often })
          assert.strictEqual(yield* ask(llm), "hit: answer 1")
          proxy.freeze()
          assert.strictEqual(yield* ask(llm), "miss: answer 2")
          assert.instanceOf(yield* Effect.flip(ask(strict)), LlmError.StoreUnavailable)
          const many = yield* Effect.all(Array.from({ length: 50 }, () => ask(llm)), { concurrency: "unbounded" })
          assert.isTrue(many.every((result) => !result.startsWith("hit")))
          proxy.thaw()
          // What was kept is still there, once the connection has caught up.
          yield* Effect.repeat(ask(llm), { until: (result) => result === "hit: answer 1", schedule: often })
          assert.strictEqual(yield* ask(llm), "hit: answer 1")
          proxy.die()
          yield* Effect.sleep("50 millis")
          assert.isTrue((yield* ask(llm)).startsWith("miss: "))
          assert.instanceOf(yield* Effect.flip(ask(strict)), LlmError.StoreUnavailable)
          assert.isAbove((yield* Cache.statistics).storeErrors, 0)
        }).pipe(
          Effect.provide([
            Cache.layer({ storeTimeout: "200 millis" }).pipe(
              Layer.provide(CacheStore.layerRedis({ prefix })),
              Layer.provide(redis)
            ),
            provider.layer
          ])
        )
      }).pipe(Effect.provideService(References.UnhandledLogLevel, undefined)),
    30_000
  )
})
