/**
 * The statistics of comparisons, against published tables and worked examples.
 */
import { assert, describe, it } from "@effect/vitest"
import { murmur3 } from "../../src/prompts/internal/murmur.ts"
import {
  fisher,
  incompleteBeta,
  logGamma,
  meanInterval,
  normalQuantile,
  normalTails,
  percentile,
  rates,
  ratesTails,
  sampleOf,
  studentCdf,
  studentQuantile,
  studentTails,
  together,
  variance,
  welch,
  wilson
} from "../../src/prompts/internal/statistics.ts"

const near = (actual: number, expected: number, within = 5e-4) => assert.approximately(actual, expected, within)

describe("the hash", () => {
  it("is MurmurHash3, x86, 32 bits: its published vectors", () => {
    const vectors: ReadonlyArray<readonly [string, number, number]> = [
      ["", 0, 0],
      ["", 1, 0x514e28b7],
      ["", 0xffffffff, 0x81f16f39],
      ["test", 0, 0xba6bd213],
      ["test", 0x9747b28c, 0x704b81dc],
      ["Hello, world!", 0, 0xc0363e43],
      ["Hello, world!", 0x9747b28c, 0x24884cba],
      ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
      ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
      ["a", 0x9747b28c, 0x7fa09ea6],
      ["aa", 0x9747b28c, 0x5d211726],
      ["aaa", 0x9747b28c, 0x283e0130],
      ["aaaa", 0x9747b28c, 0x5a97808a],
      // Of UTF-8, not of UTF-16.
      ["ππππππππ", 0x9747b28c, 0xd58063c1]
    ]
    for (const [text, seed, hash] of vectors) assert.strictEqual(murmur3(text, seed), hash, text)
  })
})

describe("functions", () => {
  it("gamma: factorials, and the half", () => {
    for (const [x, factorial] of [[1, 1], [2, 1], [5, 24], [11, 3_628_800]] as const) {
      near(logGamma(x), Math.log(factorial), 1e-12)
    }
    near(logGamma(0.5), Math.log(Math.sqrt(Math.PI)), 1e-13)
    near(logGamma(0.25), Math.log(3.625609908221908), 1e-12)
  })

  it("incomplete beta: closed forms, and its mirror", () => {
    for (const x of [0, 0.1, 0.37, 0.5, 0.9, 1]) {
      near(incompleteBeta(x, 1, 1), x, 1e-14)
      near(incompleteBeta(x, 2, 1), x * x, 1e-13)
      near(incompleteBeta(x, 0.5, 0.5), 2 / Math.PI * Math.asin(Math.sqrt(x)), 1e-13)
      near(incompleteBeta(x, 3, 7) + incompleteBeta(1 - x, 7, 3), 1, 1e-13)
    }
  })

  it("normal: the table", () => {
    for (
      const [z, tails] of [[0, 1], [0.5, 0.617075], [1, 0.3173105], [1.96, 0.0499958], [3, 0.0026998]] as const
    ) near(normalTails(z), tails, 1e-7)
    near(normalTails(6) / 1.9731753e-9, 1, 1e-7)
    assert.strictEqual(normalTails(-1.5), normalTails(1.5))
    assert.strictEqual(normalTails(Number.POSITIVE_INFINITY), 0)
    near(normalQuantile(0.05), 1.959963985, 1e-9)
    near(normalQuantile(0.01), 2.575829304, 1e-9)
  })

  it("Student's t: the table", () => {
    // Two-sided critical values: degrees of freedom; 0.20, 0.10, 0.05, 0.02, 0.01.
    const table: ReadonlyArray<readonly [number, ReadonlyArray<number>]> = [
      [1, [3.078, 6.314, 12.706, 31.821, 63.657]],
      [2, [1.886, 2.920, 4.303, 6.965, 9.925]],
      [5, [1.476, 2.015, 2.571, 3.365, 4.032]],
      [10, [1.372, 1.812, 2.228, 2.764, 3.169]],
      [30, [1.310, 1.697, 2.042, 2.457, 2.750]],
      [60, [1.296, 1.671, 2.000, 2.390, 2.660]],
      [120, [1.289, 1.658, 1.980, 2.358, 2.617]],
      [1e9, [1.282, 1.645, 1.960, 2.326, 2.576]]
    ]
    for (const [degrees, row] of table) {
      for (const [index, tails] of [0.2, 0.1, 0.05, 0.02, 0.01].entries()) {
        near(studentQuantile(tails, degrees), row[index]!, 5.1e-4)
        near(studentTails(studentQuantile(tails, degrees), degrees), tails, 1e-9)
      }
    }
    // One degree of freedom is Cauchy's distribution, two have a closed form.
    for (const t of [-3, -0.4, 0, 1, 7]) {
      near(studentCdf(t, 1), 0.5 + Math.atan(t) / Math.PI, 1e-13)
      near(studentCdf(t, 2), 0.5 + t / (2 * Math.sqrt(2 + t * t)), 1e-13)
    }
    // Where the normal distribution takes over, nothing jumps.
    near(studentTails(2, 9_999_999), studentTails(2, 10_000_001), 5e-8)
  })
})

describe("rates", () => {
  it("have Wilson's interval: Newcombe's table of 1998", () => {
    for (
      const [successes, of, low, high] of [
        [81, 263, 0.2553, 0.3662],
        [15, 148, 0.0624, 0.1605],
        [0, 20, 0, 0.1611],
        [1, 29, 0.0061, 0.1718]
      ] as const
    ) {
      const interval = wilson(successes, of, 0.95)
      near(interval.low, low, 5.1e-5)
      near(interval.high, high, 5.1e-5)
    }
    assert.deepStrictEqual(wilson(0, 0, 0.95), { low: 0, high: 1 })
    assert.strictEqual(wilson(20, 20, 0.95).high, 1)
  })

  it("differ by Newcombe's interval: his examples", () => {
    for (
      const [a, m, b, n, low, high] of [
        [56, 70, 48, 80, 0.0524, 0.3339],
        [9, 10, 3, 10, 0.1705, 0.8090],
        [5, 56, 0, 29, -0.0381, 0.1926],
        [0, 10, 0, 10, -0.2775, 0.2775],
        [10, 10, 0, 20, 0.6791, 1]
      ] as const
    ) {
      // His difference is the first less the second.
      const test = rates({ successes: b, of: n }, { successes: a, of: m }, 0.95)
      near(test.low, low, 5.1e-5)
      near(test.high, high, 5.1e-5)
    }
  })

  it("are tested exactly where they are few: the lady who tasted tea", () => {
    near(fisher({ successes: 3, of: 4 }, { successes: 1, of: 4 }), 34 / 70, 1e-10)
    near(fisher({ successes: 4, of: 4 }, { successes: 0, of: 4 }), 2 / 70, 1e-10)
    near(fisher({ successes: 1, of: 12 }, { successes: 9, of: 12 }), 0.002759456, 1e-9)
    // Four of each are expected to succeed, so it is the exact test.
    assert.strictEqual(
      ratesTails({ successes: 1, of: 12 }, { successes: 7, of: 12 }),
      fisher({ successes: 1, of: 12 }, { successes: 7, of: 12 })
    )
    assert.strictEqual(ratesTails({ successes: 50, of: 50 }, { successes: 60, of: 60 }), 1)
  })

  it("are tested by chi-squared where they are many", () => {
    // 20 of 50 and 30 of 50: chi-squared is 4.
    near(ratesTails({ successes: 20, of: 50 }, { successes: 30, of: 50 }), 0.04550026, 1e-8)
  })
})

describe("means", () => {
  it("are tested by Welch's t-test: worked examples", () => {
    const automatic = "21.4 18.7 18.1 14.3 24.4 22.8 19.2 17.8 16.4 17.3 15.2 10.4 10.4 14.7 21.5 15.5 15.2 13.3 19.2"
      .split(" ").map(Number)
    // Student's own data on sleep (1908), and those of Motor Trend (1974), as R's `t.test` gives them.
    const examples: ReadonlyArray<{
      readonly one: ReadonlyArray<number>
      readonly other: ReadonlyArray<number>
      readonly t: number
      readonly degrees: number
      readonly p: number
      readonly low: number
      readonly high: number
    }> = [
      {
        one: [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
        other: [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
        t: 1.8608,
        degrees: 17.776,
        p: 0.07939,
        low: -0.2054832,
        high: 3.3654832
      },
      {
        one: automatic,
        other: [21, 21, 22.8, 32.4, 30.4, 33.9, 27.3, 26, 30.4, 15.8, 19.7, 15, 21.4],
        t: 3.7671,
        degrees: 18.332,
        p: 0.001374,
        low: 3.209684,
        high: 11.280194
      }
    ]
    for (const { degrees, high, low, one, other, p, t } of examples) {
      const test = welch(sampleOf(one), sampleOf(other), 0.95)
      near(test.t, t, 5.1e-5)
      near(test.degrees, degrees, 5.1e-4)
      near(test.pValue, p, 5.1e-6)
      near(test.low, low, 5.1e-7)
      near(test.high, high, 5.1e-7)
    }
  })

  it("without any spread differ for certain, or not at all", () => {
    const [one, other] = [sampleOf([1, 1, 1]), sampleOf([2, 2, 2])]
    assert.deepInclude(welch(one, other, 0.95), { difference: 1, low: 1, high: 1, pValue: 0 })
    assert.deepInclude(welch(one, one, 0.95), { difference: 0, low: 0, high: 0, pValue: 1 })
  })

  it("have Student's interval", () => {
    const { high, low } = meanInterval(sampleOf([4, 5, 6, 7, 8]), 0.95)
    near(low, 6 - 2.776 * Math.sqrt(2.5 / 5))
    near(high, 6 + 2.776 * Math.sqrt(2.5 / 5))
  })

  it("of parts are those of the whole", () => {
    const [one, other] = [[1, 2, 4, 8], [100, -3, 7]]
    const whole = sampleOf([...one, ...other])
    const parts = together(sampleOf(one), sampleOf(other))
    near(parts.mean, whole.mean, 1e-12)
    near(variance(parts), variance(whole), 1e-9)
  })

  it("percentiles are values that were there", () => {
    const values = Array.from({ length: 200 }, (_, index) => index + 1)
    assert.deepStrictEqual([0.5, 0.95, 0.99].map((share) => percentile(values, share)), [100, 190, 198])
    assert.strictEqual(percentile([7], 0.99), 7)
  })
})
