import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Usage } from "effect-bulwark"

const tokens = Schema.Literals([0, 1, 40, 100_000])
const encoded = Schema.Struct({
  inputTokens: Schema.Struct({
    uncached: Schema.optionalKey(tokens),
    total: Schema.optionalKey(tokens),
    cacheRead: Schema.optionalKey(tokens),
    cacheWrite: Schema.optionalKey(tokens)
  }),
  outputTokens: Schema.Struct({
    total: Schema.optionalKey(tokens),
    text: Schema.optionalKey(tokens),
    reasoning: Schema.optionalKey(tokens)
  })
})

describe("Usage", () => {
  it("reads totals that include their parts", () => {
    assert.deepStrictEqual(
      Usage.fromEncoded({
        inputTokens: { total: 100, cacheRead: 70, cacheWrite: 10 },
        outputTokens: { total: 30, reasoning: 12 }
      }),
      { inputUncached: 20, inputCacheRead: 70, inputCacheWrite: 10, outputText: 18, outputReasoning: 12 }
    )
  })

  it("takes a bucket's own number before the difference", () => {
    assert.deepStrictEqual(
      Usage.fromEncoded({
        inputTokens: { uncached: 5, total: 100, cacheRead: 70 },
        outputTokens: { text: 7, total: 30, reasoning: 12 }
      }),
      { inputUncached: 5, inputCacheRead: 70, inputCacheWrite: 0, outputText: 7, outputReasoning: 12 }
    )
  })

  it("makes nothing negative of a server that counts more in a part than in all", () => {
    assert.deepStrictEqual(
      Usage.fromEncoded({
        inputTokens: { total: 10, cacheRead: 64 },
        outputTokens: { total: 3, reasoning: 128 }
      }),
      { inputUncached: 0, inputCacheRead: 64, inputCacheWrite: 0, outputText: 0, outputReasoning: 128 }
    )
  })

  it("is zero where nothing is known", () => {
    assert.deepStrictEqual(Usage.fromEncoded({ inputTokens: {}, outputTokens: {} }), Usage.zero)
    assert.strictEqual(Usage.input(Usage.zero) + Usage.output(Usage.zero), 0)
  })

  it("tells what a server does not count from what it counts as nothing", () => {
    assert.isUndefined(Usage.fromFinish({ usage: { inputTokens: {}, outputTokens: {} } }))
    assert.deepStrictEqual(Usage.fromFinish({ usage: { inputTokens: { total: 0 }, outputTokens: {} } }), Usage.zero)
    assert.deepStrictEqual(Usage.fromFinish({ usage: { inputTokens: {}, outputTokens: { total: 3 } } }), {
      ...Usage.zero,
      outputText: 3
    })
  })

  it("tells writes to a cache that stay for an hour apart, each counted once", () => {
    const finish = (cacheWrite1h: unknown) => ({
      usage: { inputTokens: { uncached: 10, cacheWrite: 300 }, outputTokens: { total: 5 } },
      // Metadata is whatever an adapter hands over.
      metadata: { bulwarkUsage: { cacheWrite1h } } as never
    })
    const usage = { ...Usage.zero, inputUncached: 10, inputCacheWrite: 300, outputText: 5 }
    assert.deepStrictEqual(Usage.fromFinish(finish(200)), { ...usage, inputCacheWrite: 100, inputCacheWrite1h: 200 })
    assert.deepStrictEqual(Usage.fromFinish(finish(999)), { ...usage, inputCacheWrite: 0, inputCacheWrite1h: 300 })
    for (const nonsense of [0, -1, 1.5, Number.NaN, "200", null]) {
      assert.deepStrictEqual(Usage.fromFinish(finish(nonsense)), usage)
    }
    assert.deepStrictEqual(Usage.fromFinish({ ...finish(1), metadata: { bulwarkUsage: null } as never }), usage)
  })

  it.prop("always fits its schema", [encoded], ([encoded]) => {
    Schema.decodeSync(Usage.Usage)(Usage.fromEncoded(encoded))
  })

  it.prop("adds up bucket by bucket, in any order, with zero as the unit", [Usage.Usage, Usage.Usage], ([a, b]) => {
    const sum = Usage.add(a, b)
    for (const bucket of Object.keys(Usage.zero) as Array<keyof Usage.Usage>) {
      assert.strictEqual(sum[bucket], (a[bucket] ?? 0) + (b[bucket] ?? 0))
    }
    assert.strictEqual(sum.inputCacheWrite1h ?? 0, (a.inputCacheWrite1h ?? 0) + (b.inputCacheWrite1h ?? 0))
    assert.strictEqual(Usage.input(sum), Usage.input(a) + Usage.input(b))
    assert.deepStrictEqual(Usage.add(b, a), sum)
    assert.deepStrictEqual(Usage.add(a, Usage.zero), a)
  })

  it("sums each side in each of its buckets", () => {
    const usage: Usage.Usage = {
      inputUncached: 1,
      inputCacheRead: 10,
      inputCacheWrite: 100,
      outputText: 1_000,
      outputReasoning: 10_000
    }
    assert.strictEqual(Usage.input(usage), 111)
    assert.strictEqual(Usage.output(usage), 11_000)
  })
})
