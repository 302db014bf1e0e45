/**
 * The buckets that a process keeps: as effect's own, and forgotten when they are full.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { MemoryBuckets } from "../../src/policies/internal/limiterMemory.ts"

const asking = (key: string, tokens: number, limit: number, allowOverflow = false) => ({
  key,
  tokens,
  limit,
  refillRate: Duration.millis(60_000 / limit),
  allowOverflow
})

it.effect("they hold what those of effect hold, whatever is taken when, also while others are forgotten", () =>
  Effect.gen(function*() {
    const theirs = yield* RateLimiter.RateLimiterStore
    const ours = new MemoryBuckets()
    let forgotten = 0
    let before = 0
    for (let step = 0; step < 6_000; step++) {
      const random = (step * 7_919) % 1_009
      const options = asking(
        // A few that are used all the time, and many that are used once.
        step % 2 === 0 ? `often ${random % 5}` : `once ${step}`,
        1 + random % 11,
        step % 2 === 0 ? 30 + random % 5 : 60,
        random % 3 === 0
      )
      assert.deepStrictEqual(yield* ours.tokenBucket(options), yield* theirs.tokenBucket(options), `step ${step}`)
      if (ours.size < before) forgotten += before - ours.size
      before = ours.size
      yield* TestClock.adjust(random % 40)
    }
    assert.isAtLeast(forgotten, 1_000)
  }).pipe(Effect.provide(Layer.fresh(RateLimiter.layerStoreMemory))))

it.effect("they are as many as there are that are not full, about", () =>
  Effect.gen(function*() {
    const buckets = new MemoryBuckets()
    for (let tenant = 0; tenant < 50_000; tenant++) {
      yield* buckets.tokenBucket(asking(`tenant ${tenant}`, 1, 60))
      // Each is full again after a second, and a hundred come in one.
      if (tenant % 10 === 9) yield* TestClock.adjust(100)
    }
    assert.isAtMost(buckets.size, 1_000)
  }))

it.effect("they hold no more than the limit, however much is given back", () =>
  Effect.gen(function*() {
    const buckets = new MemoryBuckets()
    const left = (tokens: number, allowOverflow = false) =>
      Effect.map(buckets.tokenBucket(asking("a", tokens, 60, allowOverflow)), ([left]) => left)
    assert.strictEqual(yield* left(2), 58)
    yield* left(-1, true)
    assert.strictEqual(yield* left(0), 59)
    yield* TestClock.adjust("1 second")
    yield* left(-5, true)
    assert.strictEqual(yield* left(60), 0)
    assert.strictEqual(yield* left(1), -1)
  }))
