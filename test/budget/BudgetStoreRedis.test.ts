/**
 * What is particular to budgets in Redis: keys, round trips, and that Redis forgets by itself.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Logger } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as addresses from "../support/addresses.ts"
import { makeProxy } from "../support/proxy.ts"
import * as TestRedis from "../support/redis.ts"
import { line, reservation } from "./support/homes.ts"

const open = (options: BudgetStore.RedisOptions, redis = TestRedis.layer) =>
  Effect.map(
    Layer.build(Layer.provideMerge(BudgetStore.layerRedis(options), redis)),
    (context) => ({ store: Context.get(context, BudgetStore.BudgetStore), redis: Context.get(context, Redis.Redis) })
  )

const keysOf = (redis: Redis.Redis["Service"], prefix: string) =>
  Effect.map(
    redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`),
    (keys) => keys.map((key) => key.slice(prefix.length + 3)).toSorted()
  )

TestRedis.describeRedis("a budget store in Redis", () => {
  it.effect("has keys of one hash tag", () =>
    Effect.gen(function*() {
      const prefix = yield* TestRedis.tidyPrefix
      const { redis, store } = yield* open({ prefix })
      yield* store.reserve(reservation("1", line("a", 5, 10), line("{b}", 5, 10)))
      yield* store.reserve(reservation("2", line("a", 5, 10)))
      yield* store.void("2")
      const keys = yield* redis.send<ReadonlyArray<string>>("KEYS", `*${prefix}*`)
      assert.sameMembers(
        [...keys],
        ["account:a", "account:{b}", "pending", "reservation:1", "reservation:2"].map((key) => `{${prefix}}:${key}`)
      )
      const slots = yield* Effect.forEach(keys, (key) => redis.send<number>("CLUSTER", "KEYSLOT", key)).pipe(
        // A server that is not part of a cluster does not say.
        Effect.orElseSucceed(() => [0])
      )
      assert.strictEqual(new Set(slots).size, 1)
    }))

  it.effect("asks once a step", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const counting = Layer.effect(
        Redis.Redis,
        Effect.flatMap(Redis.Redis, (redis) =>
          Redis.make({
            send: (command, ...args) => {
              sent.push(command)
              return redis.send(command, ...args)
            },
            subscribe: () => Effect.die("unused"),
            connect: Effect.die("unused")
          }))
      ).pipe(Layer.provide(TestRedis.layer))
      const { store } = yield* open({ prefix: yield* TestRedis.tidyPrefix }, counting)
      const steps = (id: string) =>
        Effect.gen(function*() {
          yield* store.reserve(reservation(id, line("a", 5, 100), line("b", 5, 100)))
          yield* store.settle(id, [1, 2])
          yield* store.void(id)
          yield* store.adjust({ id: `by hand ${id}`, account: "a", slot: 0, until: undefined, by: 1 })
          yield* store.balance({ account: "a", since: 0 })
          yield* store.unsettled({ limit: 10 })
        })
      yield* steps("1")
      sent.length = 0
      yield* steps("2")
      assert.deepStrictEqual(sent, Array.from({ length: 6 }, () => "EVALSHA"))
    }))

  it.live("forgets what is over, without being asked", () =>
    Effect.gen(function*() {
      const prefix = yield* TestRedis.tidyPrefix
      const { redis, store } = yield* open({ prefix, remember: "100 millis" })
      const now = Date.now()
      const soon = { slot: now, since: now, until: now + 100 }
      const lease = { leasedUntil: now + 50 }
      yield* store.reserve({ ...reservation("lost", line("a", 5, 10, soon)), ...lease })
      yield* store.reserve({ ...reservation("settled", line("a", 5, 10, soon)), ...lease })
      yield* store.settle("settled", [5])
      yield* store.adjust({ id: "by hand", account: "b", slot: 0, until: now + 100, by: 1 })
      yield* store.void("nobody")
      while ((yield* keysOf(redis, prefix)).length > 0) yield* Effect.sleep("20 millis")
      assert.strictEqual(yield* store.settle("lost", [5]), "unknown")

      // What counts for somebody stays, and with it only what belongs to it.
      yield* store.reserve({ ...reservation("total", line("a", 5, 10), line("c", 1, 1, soon)), ...lease })
      yield* store.reserve({ ...reservation("short", line("c", 0, 1, soon)), ...lease })
      while ((yield* keysOf(redis, prefix)).length > 3) yield* Effect.sleep("20 millis")
      assert.deepStrictEqual(yield* keysOf(redis, prefix), ["account:a", "pending", "reservation:total"])
      // Its name goes when somebody looks.
      assert.strictEqual(yield* redis.send<number>("ZCARD", `{${prefix}}:pending`), 2)
      assert.deepStrictEqual((yield* store.unsettled({ limit: 10 })).map(({ id }) => id), ["total"])
      assert.strictEqual(yield* redis.send<number>("ZCARD", `{${prefix}}:pending`), 1)
      assert.strictEqual(yield* store.settle("total", [5, 1]), "applied")
      assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 5, reserved: 0, unsettled: 0 })
      assert.deepStrictEqual(yield* store.balance({ account: "c", since: 0 }), { used: 0, reserved: 0, unsettled: 0 })
    }), 20_000)

  it.effect("forgets the names of what it has lost while others come by", () =>
    Effect.gen(function*() {
      const prefix = yield* TestRedis.tidyPrefix
      const { redis, store } = yield* open({ prefix })
      for (let n = 0; n < 20; n++) yield* store.reserve(reservation(`lost ${n}`, line("a", 0, 10)))
      for (let n = 0; n < 20; n++) yield* redis.send("DEL", `{${prefix}}:reservation:lost ${n}`)
      for (let n = 0; n < 1_000; n++) {
        yield* store.reserve(reservation(`${n}`, line("a", 0, 10)))
        yield* store.void(`${n}`)
      }
      assert.isAtMost(yield* redis.send<number>("ZCARD", `{${prefix}}:pending`), 1)
    }))

  it.effect("takes times from the caller: its clock may be anywhere", () =>
    Effect.gen(function*() {
      // By the clock of Redis all of it was over half a century ago.
      const { store } = yield* open({ prefix: yield* TestRedis.tidyPrefix })
      yield* TestClock.adjust("1 hour")
      yield* store.reserve({
        ...reservation("1", line("a", 5, 10, { slot: 0, since: 0, until: 7_200_000 })),
        leasedUntil: 3_700_000
      })
      assert.deepStrictEqual(yield* store.unsettled({ limit: 10 }), [])
      assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 0, reserved: 5, unsettled: 0 })
      assert.strictEqual(yield* store.settle("1", [5]), "applied")
    }))

  it.effect("knows its scripts again after Redis has forgotten them", () =>
    Effect.gen(function*() {
      const { redis, store } = yield* open({ prefix: yield* TestRedis.tidyPrefix })
      yield* store.reserve(reservation("1", line("a", 5, 10)))
      yield* redis.send("SCRIPT", "FLUSH")
      assert.strictEqual((yield* store.reserve(reservation("2", line("a", 5, 10))))._tag, "Reserved")
      assert.strictEqual(yield* store.settle("1", [5]), "applied")
    }))

  it.effect("fails where Redis does, and says at what", () =>
    Effect.gen(function*() {
      const prefix = yield* TestRedis.tidyPrefix
      const { redis, store } = yield* open({ prefix })
      yield* redis.send("SET", `{${prefix}}:account:a`, "somebody else's")
      const error = yield* Effect.flip(store.reserve(reservation("1", line("a", 5, 10))))
      assert.strictEqual(error._tag, "BudgetStoreError")
      assert.strictEqual(error.operation, "reserve")
      assert.strictEqual(error.message, "The budget store could not be asked to reserve")
      assert.strictEqual(yield* store.settle("1", [5]), "unknown")
      yield* redis.send("DEL", `{${prefix}}:account:a`)
    }))

  for (const fault of ["freeze", "die"] as const) {
    it.live(`${fault}: whoever asks goes when they have waited long enough`, () =>
      Effect.gen(function*() {
        const proxy = yield* makeProxy(addresses.redis)
        const { store } = yield* open(
          { prefix: yield* TestRedis.tidyPrefix },
          Layer.orDie(NodeRedis.layer({ socket: { host: "127.0.0.1", port: proxy.port, reconnectStrategy: false } }))
        )
        yield* store.reserve(reservation("1", line("a", 5, 10)))
        proxy[fault]()
        const [took, exit] = yield* Effect.timed(
          Effect.exit(Effect.timeout(store.settle("1", [5]), "100 millis"))
        )
        assert.isTrue(Exit.isFailure(exit))
        assert.isTrue(Duration.isLessThan(took, Duration.seconds(2)), Duration.format(took))
        if (fault === "die") return
        proxy.thaw()
        // It had been asked.
        assert.include(["applied", "repeated"], yield* store.settle("1", [5]))
        assert.deepStrictEqual(yield* store.balance({ account: "a", since: 0 }), { used: 5, reserved: 0, unsettled: 0 })
      }).pipe(Effect.provide(Logger.layer([]))))
  }
})

it("refuses options that are not legal, and names them", () => {
  for (const prefix of ["", "}a"]) assert.throws(() => BudgetStore.layerRedis({ prefix }), RangeError, "prefix")
  for (const remember of [0, Infinity, "-1 seconds"] as const) {
    assert.throws(() => BudgetStore.layerRedis({ remember }), RangeError, "remember")
  }
})
