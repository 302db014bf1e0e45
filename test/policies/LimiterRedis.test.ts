import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Schedule } from "effect"
import { Limiter, Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Redis } from "effect/persistence"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import * as TestRedis from "../support/redis.ts"

const llm = openai.pipe(Limiter.enforce())
const ask = Effect.exit(Llm.generateText(llm, question))

/** Two processes of a fleet, each with a connection of its own. */
const fleet = (limits: Limiter.Limits, tokens = 1) =>
  Effect.gen(function*() {
    const prefix = TestRedis.prefix()
    const provider = ScriptedProvider.make(OpenAi, () =>
      ScriptedProvider.text("Hello!", {
        usage: { inputTokens: { total: tokens }, outputTokens: { total: 0 } }
      }))
    const process = Layer.build(
      Layer.fresh(
        Limiter.layerRedis({ limits, prefix, estimateTokens: () => 10, storeTimeout: "5 seconds" }).pipe(
          Layer.provide(Layer.fresh(TestRedis.layer)),
          Layer.merge(provider.layer)
        )
      )
    )
    const [one, other] = [yield* process, yield* process]
    assert.notStrictEqual(Context.get(one, Limiter.Limiter), Context.get(other, Limiter.Limiter))
    return {
      prefix,
      calls: provider.calls,
      one: Effect.provideContext(ask, one),
      other: Effect.provideContext(ask, other)
    }
  })

const successes = (exits: ReadonlyArray<{ readonly _tag: string }>) =>
  exits.filter((exit) => exit._tag === "Success").length

TestRedis.describeRedis("a fleet's limiters, in Redis", () => {
  it.live("share the requests of a minute", () =>
    Effect.gen(function*() {
      const { calls, one, other } = yield* fleet({ requestsPerMinute: 5, queue: { maxWait: 0 } })
      const exits = yield* Effect.all(Array.from({ length: 12 }, (_, index) => index % 2 === 0 ? one : other), {
        concurrency: "unbounded"
      })
      assert.strictEqual(successes(exits), 5)
      assert.strictEqual(calls.length, 5)
      const refused = exits.find((exit) => exit._tag === "Failure")!
      const error = yield* Effect.flip(refused)
      assert(error instanceof LlmError.Saturated)
      assert.deepStrictEqual([error.resource, error.reason, error.limit], ["requests", "waitTooLong", 5])
    }))

  it.live("share the tokens of a minute, and what an answer used beyond the estimate", () =>
    Effect.gen(function*() {
      const { calls, one, other, prefix } = yield* fleet({ tokensPerMinute: 100, queue: { maxWait: 0 } }, 95)
      assert.strictEqual((yield* one)._tag, "Success")
      // An answer is handed on before what it used is written.
      const redis = yield* Redis.Redis
      yield* Effect.repeat(
        redis.send<string>("GET", `${prefix}openai/gpt-5-mini:tokens`),
        { schedule: Schedule.spaced("5 millis"), until: (left) => Number(left) < 90 }
      )
      // 5 are left, whoever asks.
      for (const process of [other, one]) {
        const error = yield* Effect.flip(yield* process)
        assert(error instanceof LlmError.Saturated)
        assert.strictEqual(error.resource, "tokens")
      }
      assert.strictEqual(calls.length, 1)
    }).pipe(Effect.provide(TestRedis.layer)))

  it.live("have what was not sent back, all of it and no more", () =>
    Effect.gen(function*() {
      const prefix = TestRedis.prefix()
      const provider = ScriptedProvider.make(OpenAi, (_, index) =>
        index === 0
          ? ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.seconds(2) }))
          : ScriptedProvider.text("Hello!", { usage: { inputTokens: { total: 1 }, outputTokens: { total: 0 } } }))
      const layer = Limiter.layerRedis({
        limits: { requestsPerMinute: 5, tokensPerMinute: 50, queue: { maxWait: 0 } },
        prefix,
        estimateTokens: () => 10,
        storeTimeout: "5 seconds"
      }).pipe(Layer.provide(TestRedis.layer), Layer.merge(provider.layer))
      yield* Effect.gen(function*() {
        for (let index = 0; index < 20; index++) {
          const error = yield* Effect.flip(Llm.generateText(llm, question))
          assert(error instanceof LlmError.RateLimited, `it failed with ${error._tag}`)
        }
        yield* Effect.sleep("2050 millis")
        const exits = yield* Effect.replicateEffect(ask, 10)
        assert.strictEqual(successes(exits), 4)
        assert.strictEqual(provider.calls.length, 5)
      }).pipe(Effect.provide(layer))
    }))

  it.live("wait for what refills", () =>
    Effect.gen(function*() {
      // One every 200 ms, after the first 300.
      const { calls, one, other } = yield* fleet({ requestsPerMinute: 300, tokensPerMinute: 3_000 })
      const exits = yield* Effect.all(Array.from({ length: 304 }, (_, index) => index % 2 === 0 ? one : other), {
        concurrency: "unbounded"
      })
      assert.strictEqual(successes(exits), 304)
      const first = calls[0]!.at
      assert.isAtLeast(calls.at(-1)!.at - first, 600)
    }), 30_000)

  it.live("keep their keys under the prefix, and forget them", () =>
    Effect.gen(function*() {
      const { one, prefix } = yield* fleet({ requestsPerMinute: 60, tokensPerMinute: 6_000 })
      yield* one
      const redis = yield* Redis.Redis
      for (const resource of ["requests", "tokens"]) {
        const left = yield* redis.send<number>("PTTL", `${prefix}openai/gpt-5-mini:${resource}`)
        assert.isTrue(left > 0 && left <= 1_000, `${resource}: ${left}`)
      }
    }).pipe(Effect.provide(TestRedis.layer)))

  it.live("go on where Redis is gone, or not, as one wants", () => {
    const gone = Layer.succeed(Redis.Redis, {
      send: () => Effect.fail(new Redis.RedisError({ cause: "gone" })),
      eval: () => () => Effect.fail(new Redis.RedisError({ cause: "gone" }))
    } as never)
    return Effect.gen(function*() {
      assert.strictEqual((yield* ask)._tag, "Success")
      const strict = Llm.generateText(openai.pipe(Limiter.enforce({ onStoreError: "fail" })), question)
      assert.strictEqual((yield* Effect.flip(strict))._tag, "StoreUnavailable")
    }).pipe(Effect.provide([
      ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!")),
      Limiter.layerRedis({ limits: { requestsPerMinute: 1 } }).pipe(Layer.provide(gone)),
      Logger.layer([])
    ]))
  })
})
