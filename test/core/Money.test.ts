import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Option, Schema } from "effect"
import { Money } from "effect-bulwark"

const micros = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

describe("Money", () => {
  it.each<[Money.Decimal, number]>([
    [0, 0],
    ["0", 0],
    [0.1, 100_000],
    ["0.10", 100_000],
    ["0.3", 300_000],
    [1.005, 1_005_000],
    [" 2.5 ", 2_500_000],
    ["1e-6", 1],
    [1e-6, 1],
    ["0.0000010", 1],
    [9_007_199_254, 9_007_199_254_000_000],
    [1e15, Number.MAX_SAFE_INTEGER]
  ])("%s dollars are %s micro-dollars", (amount, expected) => {
    assert.strictEqual(Money.usd(amount), Money.MicroUsd.make(expected))
  })

  it.each<Money.Decimal>([-1, "-0.01", "", "  ", "free", "1,5", "$1", Number.NaN, Infinity, 0.1 + 0.2, "0.0000001"])(
    "%s is no amount of dollars",
    (amount) => {
      assert.throws(() => Money.usd(amount), RangeError)
    }
  )

  it.prop("prints what it reads", [micros], ([n]) => {
    const amount = Money.MicroUsd.make(n)
    assert.strictEqual(Money.usd(Money.format(amount).slice(1)), amount)
  })

  it.each([
    [0, "$0.00"],
    [1, "$0.000001"],
    [10, "$0.00001"],
    [1_230_000, "$1.23"],
    [1_200_000, "$1.20"],
    [Number.MAX_SAFE_INTEGER, "$9007199254.740991"]
  ])("%s prints as %s", (n, text) => {
    assert.strictEqual(Money.format(Money.MicroUsd.make(n)), text)
  })

  it.each([
    ["0", 0],
    ["0.4999999999", 0],
    ["0.5", 1],
    ["1.5", 2],
    ["2.5", 3],
    ["2.4999", 2],
    ["-1", 0],
    ["1e30", Number.MAX_SAFE_INTEGER]
  ])("%s micro-dollars are booked as %s", (decimal, expected) => {
    assert.strictEqual(Money.ofMicros(BigDecimal.fromStringUnsafe(decimal)), Money.MicroUsd.make(expected))
  })

  it.prop("adds up, and stays a safe integer", [micros, micros], ([a, b]) => {
    const sum = Money.add(Money.MicroUsd.make(a), Money.MicroUsd.make(b))
    assert.strictEqual(
      BigInt(sum),
      [BigInt(a) + BigInt(b), BigInt(Number.MAX_SAFE_INTEGER)].toSorted((x, y) => x < y ? -1 : 1)[0]
    )
    assert.strictEqual(Money.add(Money.MicroUsd.make(a), Money.zero), Money.MicroUsd.make(a))
  })

  it("is no fraction, no negative number and not beyond what is safe", () => {
    for (const n of [0.5, -1, Number.NaN, 2 ** 53]) assert.isFalse(Schema.is(Money.MicroUsd)(n), String(n))
    assert.isTrue(Option.isNone(Money.decimal("")))
  })
})
