import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Logger, References, Schedule } from "effect"
import { Llm, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"

import { makeProbe, OpenAi, openai, question } from "../core/support/stack.ts"
import * as TestRedis from "../support/redis.ts"

const bucketOf = (layer: Layer.Layer<RetryBudget.RetryBudget>, key = "default") =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, RetryBudget.RetryBudget).bucket(key))

const takeAll = (bucket: RetryBudget.Bucket, most = 1_000) =>
  Effect.gen(function*() {
    let taken = 0
    while (taken < most && (yield* bucket.withdraw)) taken++
    return taken
  })

const repeat = (times: number, effect: Effect.Effect<void>) => Effect.repeat(effect, { times: times - 1 })

TestRedis.describeRedis("a budget in Redis", () => {
  /** As many processes as it is asked for, on one Redis and one prefix. */
  const fleet = (options?: RetryBudget.RedisOptions) => {
    const prefix = TestRedis.prefix()
    const layer = RetryBudget.layerRedis({ perSecond: 0, storeTimeout: "5 seconds", ...options, prefix })
    return { prefix, process: (key?: string) => bucketOf(Layer.provide(layer, TestRedis.layer), key) }
  }

  it.live("is one for all processes", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 5 })
      const one = yield* process()
      const two = yield* process()
      assert.strictEqual(yield* one.remaining, 5)
      assert.strictEqual(yield* takeAll(one, 3), 3)
      assert.strictEqual(yield* two.remaining, 2)
      assert.strictEqual(yield* takeAll(two), 2)
      assert.isFalse(yield* one.withdraw)
    }).pipe(Effect.scoped))

  it.live("is another one for another key", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 2 })
      assert.strictEqual(yield* takeAll(yield* process("openai")), 2)
      assert.strictEqual(yield* takeAll(yield* process("groq")), 2)
    }).pipe(Effect.scoped))

  it.live("hands out no permission twice, however many ask at once", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 10 })
      const processes = yield* Effect.all([process(), process(), process()])
      const granted = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, index) => processes[index % 3]!),
        (bucket) => bucket.withdraw,
        { concurrency: "unbounded" }
      )
      assert.strictEqual(granted.filter((granted) => granted).length, 10)
    }).pipe(Effect.scoped))

  it.live("hears of answers with the next withdrawal, also of those of another process", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 5, ratio: 0.5 })
      const one = yield* process()
      const two = yield* process()
      yield* takeAll(one)
      yield* Effect.sleep("20 millis")
      yield* repeat(4, one.deposit)
      yield* repeat(2, two.deposit)
      assert.isFalse(yield* (yield* process()).withdraw)
      assert.strictEqual(yield* takeAll(one), 2)
      assert.strictEqual(yield* takeAll(two), 1)
    }).pipe(Effect.scoped))

  it.live("never holds more than its capacity", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 3, ratio: 1 })
      const bucket = yield* process()
      yield* takeAll(bucket)
      yield* Effect.sleep("20 millis")
      yield* repeat(50, bucket.deposit)
      assert.strictEqual(yield* bucket.remaining, 3)
    }).pipe(Effect.scoped))

  it.live("fills with time, by the clock of Redis", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 3, perSecond: 10 })
      const bucket = yield* process()
      yield* takeAll(bucket)
      yield* Effect.sleep("250 millis")
      const remaining = yield* bucket.remaining
      assert.isAtLeast(remaining, 2)
      assert.isAtMost(remaining, 3)
    }).pipe(Effect.scoped))

  it.live("leaves nothing in Redis for ever, unless it never fills by itself", () =>
    Effect.gen(function*() {
      const trickling = fleet({ capacity: 3, perSecond: 2 })
      const still = fleet({ capacity: 3, perSecond: 0 })
      const redis = yield* Layer.build(TestRedis.layer)
      const expiry = (prefix: string) => Context.get(redis, Redis.Redis).send<number>("PTTL", `${prefix}default`)
      yield* takeAll(yield* trickling.process())
      yield* takeAll(yield* still.process())
      const left = yield* expiry(trickling.prefix)
      assert.isAtMost(left, 2_500)
      assert.isAtLeast(left, 1_000)
      assert.strictEqual(yield* expiry(still.prefix), -1)
    }).pipe(Effect.scoped))

  // The processes' own clocks stand at any hour: what counts is how long ago things were.
  it.effect("does not count what was earned while it was full: a fleet goes into an outage with one bucket", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 20, ratio: 0.1 })
      const processes = yield* Effect.all(Array.from({ length: 10 }, () => process()))
      // Ten good minutes, in which nothing had to be retried.
      for (let second = 0; second < 600; second++) {
        yield* TestClock.adjust("1 second")
        for (const bucket of processes) yield* repeat(10, bucket.deposit)
      }
      yield* TestClock.adjust("10 seconds")
      // Then all of them fail.
      let granted = 0
      for (let round = 0; round < 30; round++) {
        for (const bucket of processes) granted += (yield* bucket.withdraw) ? 1 : 0
      }
      assert.strictEqual(granted, 20)
    }).pipe(Effect.scoped))

  it.live("counts half of what was earned half before and half after it was full", () =>
    Effect.gen(function*() {
      const { process } = fleet({ capacity: 20, ratio: 1 })
      const one = yield* process()
      const two = yield* process()
      const deposit = Effect.andThen(two.deposit, Effect.sleep("100 millis"))
      yield* repeat(5, deposit)
      yield* takeAll(one)
      yield* repeat(5, deposit)
      const counted = yield* takeAll(two)
      assert.isAtLeast(counted, 3)
      assert.isAtMost(counted, 7)
    }).pipe(Effect.scoped))

  it.live("holds back the retries of calls", () =>
    Effect.gen(function*() {
      const prefix = TestRedis.prefix()
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("Overloaded"))
      const llm = openai.pipe(Llm.retry(Schedule.recurs(5)), RetryBudget.guard())
      const call = Effect.flip(Llm.generateText(llm, question))
      yield* Effect.andThen(call, call).pipe(
        Effect.provide([
          provider.layer,
          Layer.provide(RetryBudget.layerRedis({ capacity: 3, perSecond: 0, prefix }), TestRedis.layer)
        ])
      )
      assert.strictEqual(provider.calls.length, 2 + 3)
    }))
})

describe("a budget whose store", () => {
  const store = (send: Effect.Effect<never, Redis.RedisError>): Layer.Layer<Redis.Redis> =>
    Layer.effect(
      Redis.Redis,
      Redis.make({ send: () => send, subscribe: () => Effect.die("not used"), connect: Effect.die("not used") })
    )
  const down = store(Effect.suspend(() => Effect.fail(new Redis.RedisError({ cause: new Error("ECONNREFUSED") }))))
  const frozen = store(Effect.never)

  /** What is logged while an effect runs. */
  const logging = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const seen: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void seen.push(`${logLevel}: ${String(message)}`))
      return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, seen }))
    })

  const bucket = (redis: Layer.Layer<Redis.Redis>, options?: RetryBudget.RedisOptions) =>
    bucketOf(Layer.provide(RetryBudget.layerRedis({ capacity: 2, ratio: 0.5, perSecond: 0, ...options }), redis))

  it.effect("fails: each process goes by a bucket of its own", () =>
    Effect.gen(function*() {
      const one = yield* bucket(down)
      const two = yield* bucket(down)
      assert.strictEqual(yield* one.remaining, 2)
      assert.strictEqual(yield* takeAll(one), 2)
      yield* repeat(2, one.deposit)
      assert.strictEqual(yield* takeAll(one), 1)
      assert.strictEqual(yield* takeAll(two), 2)
    }).pipe(Effect.scoped))

  it.effect("fails: there are no extra calls where it says so", () =>
    Effect.gen(function*() {
      const denying = yield* bucket(down, { onStoreError: "deny" })
      assert.isFalse(yield* denying.withdraw)
      assert.strictEqual(yield* denying.remaining, 0)
    }).pipe(Effect.scoped))

  it.effect("fails is reported, at the level for what nobody handles", () =>
    Effect.gen(function*() {
      const { withdraw } = yield* bucket(down)
      assert.deepStrictEqual((yield* logging(withdraw)).seen, ["Error: RetryBudget could not reach its store"])
      const warned = yield* logging(Effect.provideService(withdraw, References.UnhandledLogLevel, "Warn"))
      assert.deepStrictEqual(warned.seen, ["Warn: RetryBudget could not reach its store"])
      const silent = yield* logging(Effect.provideService(withdraw, References.UnhandledLogLevel, undefined))
      assert.deepStrictEqual(silent.seen, [])
    }).pipe(Effect.scoped))

  it.effect("does not answer is waited for as long as it says, and no longer", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const after = (bucket: RetryBudget.Bucket) =>
        Effect.gen(function*() {
          const begun = yield* Clock.currentTimeMillis
          const fiber = yield* Effect.flatMap(
            bucket.withdraw,
            (granted) => Effect.map(Clock.currentTimeMillis, (now) => [granted, now - begun] as const)
          ).pipe(
            logging,
            probe.watch,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("1 minute")
          return (yield* Fiber.join(fiber)).value
        })
      assert.deepStrictEqual(yield* after(yield* bucket(frozen)), [true, 250])
      const denying = yield* bucket(frozen, { storeTimeout: "2 seconds", onStoreError: "deny" })
      assert.deepStrictEqual(yield* after(denying), [false, 2_000])
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.scoped))

  it.effect("does not answer holds up no one who goes away", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const { withdraw } = yield* bucket(frozen)
      const fiber = yield* withdraw.pipe(probe.watch, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(probe.timers(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.scoped))

  it.effect("is not asked by calls that succeed", () =>
    Effect.gen(function*() {
      let asked = 0
      const counting = store(Effect.suspend(() => {
        asked++
        return Effect.fail(new Redis.RedisError({ cause: "down" }))
      }))
      yield* Llm.generateText(openai.pipe(Llm.retry(Schedule.recurs(2)), RetryBudget.guard()), question).pipe(
        Effect.provide([
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("330 m")]),
          Layer.provide(RetryBudget.layerRedis(), counting)
        ])
      )
      assert.strictEqual(asked, 0)
    }))
})
