/**
 * What applications say of prices, and what usages cost by them.
 */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Effect, Layer, Schema } from "effect"
import { type LlmError, Money, Usage } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { TestClock } from "effect/testing"
import { AnyUsage, expected, usage } from "./support/money.ts"

const ask = { provider: "mine", model: "m" }

const only = (options: Omit<Parameters<typeof Pricing.model>[0], "provider" | "model">) =>
  Pricing.layerOf([Pricing.model({ ...ask, ...options })])

const costs = (price: Pricing.PriceInput | typeof Pricing.free, used: Usage.Usage) =>
  Effect.runSync(Effect.provide(Pricing.cost(ask, used), only({ price })))

const failure = <A, R>(effect: Effect.Effect<A, LlmError.UnknownPrice, R>) =>
  Effect.map(Effect.flip(effect), ({ message, missing, model, provider }) => ({ message, missing, model, provider }))

const usd = (rate: BigDecimal.BigDecimal | undefined) => rate === undefined ? undefined : BigDecimal.format(rate)

// A price with at most so many digits as providers write.
const decimal = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200_000_000 }))
const text = (n: number): string => BigDecimal.format(BigDecimal.make(BigInt(n), 6))

describe("a cost", () => {
  it("is what each bucket costs, for a million tokens", () => {
    const price = { input: 1, cacheRead: 2, cacheWrite: 4, cacheWrite1h: 8, output: 16, reasoning: 32 }
    assert.strictEqual(costs(price, usage({ inputUncached: 1_000_000 })), Money.usd(1))
    assert.strictEqual(costs(price, usage({ inputCacheRead: 1_000_000 })), Money.usd(2))
    assert.strictEqual(costs(price, usage({ inputCacheWrite: 1_000_000 })), Money.usd(4))
    assert.strictEqual(costs(price, usage({ inputCacheWrite1h: 1_000_000 })), Money.usd(8))
    assert.strictEqual(costs(price, usage({ outputText: 1_000_000 })), Money.usd(16))
    assert.strictEqual(costs(price, usage({ outputReasoning: 1_000_000 })), Money.usd(32))
    assert.strictEqual(costs(price, Usage.zero), Money.zero)
  })

  it("of what has no price of its own is that of what it is a part of", () => {
    const price = { input: 3, output: 5 }
    for (const bucket of ["inputUncached", "inputCacheRead", "inputCacheWrite", "inputCacheWrite1h"] as const) {
      assert.strictEqual(costs(price, usage({ [bucket]: 1_000_000 })), Money.usd(3), bucket)
    }
    assert.strictEqual(costs(price, usage({ outputReasoning: 1_000_000 })), Money.usd(5))
    assert.strictEqual(costs({ ...price, cacheWrite: 4 }, usage({ inputCacheWrite1h: 1_000_000 })), Money.usd(4))
  })

  it("counts the request itself, once", () => {
    assert.strictEqual(costs({ input: 1, request: "0.005" }, Usage.zero), Money.usd("0.005"))
    assert.strictEqual(costs({ input: 1, request: "0.0000005" }, Usage.zero), Money.MicroUsd.make(1))
    assert.strictEqual(costs({ input: 1, request: "0.012" }, usage({ inputUncached: 2_000 })), Money.usd("0.014"))
  })

  it.each<[Money.Decimal, number, number]>([
    ["0.075", 6, 0], // 0.45
    ["0.1", 5, 1], // 0.5
    [0.1, 5, 1],
    ["0.1", 4, 0],
    ["0.7", 5, 4], // 3.5, and 3.4999999999999996 in floats
    [0.7, 5, 4],
    ["1.1", 15, 17], // 16.5, and 16.5 times 1.0000000000000001 in floats
    ["0.3", 3, 1],
    ["0.000001", 499_999, 0],
    ["0.000001", 500_000, 1]
  ])("at %s a million, %s tokens cost %s micro-dollars", (input, tokens, micros) => {
    assert.strictEqual(costs({ input }, usage({ inputUncached: tokens })), Money.MicroUsd.make(micros))
  })

  it("is rounded once, and not bucket by bucket", () => {
    const each = { inputUncached: 1, inputCacheRead: 1, inputCacheWrite: 1, outputText: 1, outputReasoning: 1 }
    assert.strictEqual(costs({ input: "0.4", output: "0.4" }, usage(each)), Money.MicroUsd.make(2))
    assert.strictEqual(costs({ input: "0.1", output: "0.2" }, usage({ inputUncached: 1, outputText: 2 })), 1)
  })

  it("that would be beyond what can be counted is the most that can be", () => {
    const all = usage({ inputUncached: Number.MAX_SAFE_INTEGER })
    assert.strictEqual(costs({ input: 1_000_000 }, all), Money.MicroUsd.make(Number.MAX_SAFE_INTEGER))
    assert.strictEqual(costs({ input: 1 }, all), Money.MicroUsd.make(Number.MAX_SAFE_INTEGER))
  })

  it.prop("is what integers say it is", [AnyUsage, decimal, decimal, decimal, decimal, decimal, decimal], (args) => {
    const [used, input, cacheRead, cacheWrite, cacheWrite1h, output, reasoning] = args
    const price = {
      input: text(input + 1),
      cacheRead: text(cacheRead),
      cacheWrite: text(cacheWrite),
      cacheWrite1h: text(cacheWrite1h),
      output: text(output),
      reasoning: text(reasoning)
    }
    assert.strictEqual(
      costs(price, used),
      Money.MicroUsd.make(expected([
        [used.inputUncached, price.input],
        [used.inputCacheRead, price.cacheRead],
        [used.inputCacheWrite, price.cacheWrite],
        [used.inputCacheWrite1h ?? 0, price.cacheWrite1h],
        [used.outputText, price.output],
        [used.outputReasoning, price.reasoning]
      ]))
    )
  }, { arbitrary: { runs: 300 } })

  it.prop(
    "adds up to within a micro-dollar, never falls, and is never negative",
    [AnyUsage, AnyUsage, decimal],
    (args) => {
      const [one, other, n] = args
      const price = { input: text(n + 1), cacheRead: text(Math.floor(n / 10)), output: text(n * 5), request: "0.001" }
      const [a, b, both] = [costs(price, one), costs(price, other), costs(price, Usage.add(one, other))]
      // The request is charged once for the sum, and twice for the two.
      assert.isAtMost(Math.abs(both + 1_000 - (a + b)), 1)
      assert.isAtLeast(both, Math.max(a, b))
      assert.isAtLeast(Math.min(a, b), 1_000)
    },
    { arbitrary: { runs: 300 } }
  )

  it("of what is said to be free is nothing", () => {
    const all = usage({ inputUncached: 1e9, inputCacheWrite1h: 1e9, outputText: 1e9, outputReasoning: 1e9 })
    assert.strictEqual(costs(Pricing.free, all), Money.zero)
  })

  it.effect("of output is not known where its price is not", () =>
    Effect.gen(function*() {
      const entry = yield* Pricing.lookup(ask)
      assert.strictEqual(yield* Pricing.costOf(entry, usage({ inputUncached: 1_000_000 })), Money.usd("0.02"))
      for (const bucket of ["outputText", "outputReasoning"] as const) {
        assert.deepStrictEqual(yield* failure(Pricing.costOf(entry, usage({ [bucket]: 1 }))), {
          provider: "mine",
          model: "m",
          missing: "output",
          message:
            "mine/m: the price of its output is not known; give it one with `Pricing.model`, or say which provider of " +
            "the catalogue it is"
        })
      }
    }).pipe(Effect.provide(only({ price: { input: "0.02" } }))))

  it.effect("in batches is the price in batches, and not known without one", () =>
    Effect.gen(function*() {
      const used = usage({ inputUncached: 1_000_000, outputText: 1_000_000 })
      const batch = Pricing.cost(ask, used, { batch: true })
      const price = { input: 2, output: 10 }
      assert.strictEqual(yield* Effect.provide(batch, only({ price, batch: { input: 1, output: 5 } })), Money.usd(6))
      assert.strictEqual(yield* Effect.provide(batch, only({ price, batch: Pricing.free })), Money.zero)
      assert.strictEqual((yield* failure(Effect.provide(batch, only({ price })))).missing, "batch")
      assert.strictEqual(yield* Effect.provide(Pricing.cost(ask, used), only({ price })), Money.usd(12))
    }))
})

describe("tiers", () => {
  const price = {
    input: 2,
    cacheRead: "0.2",
    output: 10,
    // Not in order, on purpose.
    tiers: [{ above: 500_000, input: 8 }, { above: 200_000, input: 4, output: 20 }]
  }

  it("hold for the whole request, from one token above", () => {
    assert.strictEqual(costs(price, usage({ inputUncached: 200_000, outputText: 1_000_000 })), Money.usd("10.40"))
    assert.strictEqual(costs(price, usage({ inputUncached: 200_001 })), Money.MicroUsd.make(800_004))
    assert.strictEqual(costs(price, usage({ inputUncached: 500_000 })), Money.usd(2))
    assert.strictEqual(costs(price, usage({ inputUncached: 500_001 })), Money.MicroUsd.make(4_000_008))
  })

  it("go by all input, cached or not, and by no output", () => {
    const parts = { inputUncached: 50_000, inputCacheRead: 50_000, inputCacheWrite: 50_000, inputCacheWrite1h: 50_001 }
    assert.strictEqual(costs(price, usage(parts)), Money.MicroUsd.make(150_001 * 4 + 10_000))
    assert.strictEqual(costs(price, usage({ ...parts, inputCacheWrite1h: 50_000 })), Money.MicroUsd.make(310_000))
    assert.strictEqual(costs(price, usage({ outputText: 1_000_000 })), Money.usd(10))
  })

  it.effect("leave what they do not name as it is without them", () =>
    Effect.gen(function*() {
      const { price: { rates, tiers } } = yield* Pricing.lookup(ask)
      assert.deepStrictEqual(
        [rates, ...tiers.map((tier) => tier.rates)].map((one) =>
          [one.input, one.cacheRead, one.cacheWrite, one.output, one.reasoning].map(usd)
        ),
        [["2", "0.2", "2", "10", "10"], ["4", "0.2", "4", "20", "20"], ["8", "0.2", "8", "10", "10"]]
      )
      assert.deepStrictEqual(tiers.map(({ above }) => above), [200_000, 500_000])
    }).pipe(Effect.provide(only({ price }))))
})

describe("what an application says", () => {
  it.effect("is all that is known without a catalogue", () =>
    Effect.gen(function*() {
      const entry = yield* Pricing.lookup(ask)
      assert.deepStrictEqual({ ...entry, price: undefined }, {
        provider: "mine",
        model: "m",
        id: "m",
        contextWindow: 8_192,
        maxOutput: 1_024,
        price: undefined,
        batch: undefined,
        sources: [{ name: "contract", asOf: "2026-11-01" }]
      })
      const message =
        "mine/other: the price is not known; give it one with `Pricing.model`, or say which provider of the " +
        "catalogue it is"
      const nobody = { provider: "mine", model: "other", missing: undefined, message }
      assert.deepStrictEqual(yield* failure(Pricing.lookup({ ...ask, model: "other" })), nobody)
      assert.deepStrictEqual(yield* failure(Pricing.cost({ ...ask, model: "other" }, Usage.zero)), nobody)
      assert.strictEqual((yield* failure(Pricing.lookup({ ...ask, provider: "openai" }))).provider, "openai")
      // Names are names: no letter more, no letter other.
      for (const model of ["M", " m", "m-2", ""]) yield* failure(Pricing.lookup({ ...ask, model }))
    }).pipe(
      Effect.provide(
        only({
          price: { input: 1 },
          contextWindow: 8_192,
          maxOutput: 1_024,
          source: { name: "contract", asOf: "2026-11-01" }
        })
      )
    ))

  it.effect("later wins, also over the layers below", () =>
    Effect.gen(function*() {
      const one = (model: Pricing.Scope["model"], input: number) =>
        Pricing.model({ provider: "mine", model, price: { input } })
      const input = (model: string) =>
        Effect.map(Pricing.lookup({ provider: "mine", model }), ({ price }) => usd(price.rates.input))
      const asked = Effect.all([input("a"), input("ab"), input("b")])
      const below = Pricing.layerOf([one((name) => name.startsWith("a"), 1), one("ab", 2), one("b", 3)])
      assert.deepStrictEqual(yield* Effect.provide(asked, below), ["1", "2", "3"])
      const above = Pricing.layerExtend([one("a", 9)]).pipe(Layer.provide(below))
      assert.deepStrictEqual(yield* Effect.provide(asked, above), ["9", "2", "3"])
      const all = Pricing.layerExtend([one(() => true, 7)]).pipe(Layer.provide(above))
      assert.deepStrictEqual(yield* Effect.provide(asked, all), ["7", "7", "7"])
    }))

  it.effect("holds from when it says, to the millisecond, by the clock or by the time of the request", () =>
    Effect.gen(function*() {
      const from = Date.parse("2027-01-01T00:00:00Z")
      const input = (at?: number) => Effect.map(Pricing.lookup({ ...ask, at }), ({ price }) => usd(price.rates.input))
      assert.strictEqual(yield* input(from - 1), "1")
      assert.strictEqual(yield* input(from), "2")
      yield* TestClock.setTime(from - 1)
      assert.strictEqual(yield* input(), "1")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* input(), "2")
      assert.strictEqual(yield* input(0), "1")
      // What it is called makes no difference.
      const { price } = yield* Pricing.lookup({ provider: "alias", model: "m", at: from })
      assert.strictEqual(usd(price.rates.input), "2")
    }).pipe(Effect.provide(Pricing.layerOf([
      Pricing.model({ ...ask, price: { input: 1 } }),
      Pricing.model({ ...ask, price: { input: 2 }, since: "2027-01-01" }),
      Pricing.alias({ provider: "alias", model: "m", of: ask })
    ]))))

  it.effect("takes discounts off everything, exactly", () =>
    Effect.gen(function*() {
      const entry = yield* Pricing.lookup(ask)
      assert.deepStrictEqual(
        [entry.price.rates, entry.price.tiers[0]?.rates, entry.batch?.rates].map((rates) =>
          rates && [rates.input, rates.cacheRead, rates.output, rates.request].map(usd)
        ),
        [["0.204", "0.068", "1.36", "0.0068"], ["0.408", "0.068", "1.36", "0.0068"], ["0.102", "0.102", "0.68", "0"]]
      )
      assert.strictEqual(entry.contextWindow, 4_096)
      assert.strictEqual(usd((yield* Pricing.lookup({ ...ask, model: "n" })).price.rates.input), "0.85")
      yield* failure(Pricing.lookup({ ...ask, model: "unknown" }))
    }).pipe(Effect.provide(Pricing.layerOf([
      Pricing.model({
        ...ask,
        contextWindow: 4_096,
        price: { input: "0.3", cacheRead: "0.1", output: 2, request: "0.01", tiers: [{ above: 1, input: "0.6" }] },
        batch: { input: "0.15", output: 1 }
      }),
      Pricing.model({ ...ask, model: "n", price: { input: 1 } }),
      Pricing.discount({ provider: "mine", discount: "0.15" }),
      Pricing.discount({ ...ask, discount: 0.2 }),
      Pricing.discount({ provider: "other", discount: "0.99" })
    ]))))

  it.effect("gives a model another name, and says who was asked about", () =>
    Effect.gen(function*() {
      const entry = yield* Pricing.lookup({ provider: "azure-eu", model: "prod" })
      assert.deepStrictEqual([entry.provider, entry.model, entry.id], ["azure-eu", "prod", "m"])
      assert.strictEqual(usd(entry.price.rates.input), "0.9")
      const { model, provider } = yield* failure(Pricing.lookup({ provider: "azure-eu", model: "lost" }))
      assert.deepStrictEqual([provider, model], ["azure-eu", "lost"])
      // It builds on what was said before it only: so this ends.
      yield* failure(Pricing.lookup({ provider: "azure-eu", model: "itself" }))
    }).pipe(Effect.provide(Pricing.layerOf([
      Pricing.model({ ...ask, price: { input: 1 } }),
      Pricing.alias({ provider: "azure-eu", model: "prod", of: ask }),
      Pricing.alias({ provider: "azure-eu", model: "lost", of: { ...ask, model: "nobody" } }),
      Pricing.alias({ provider: "azure-eu", model: "itself", of: { provider: "azure-eu", model: "itself" } }),
      Pricing.discount({ provider: "azure-eu", discount: "0.1" })
    ]))))

  const price = { input: 1, output: 2 }
  it.each<[string, RegExp, () => unknown]>([
    [
      "all of it 0",
      /price is 0 throughout.*Pricing\.free/,
      () => Pricing.model({ ...ask, price: { input: 0, output: "0.00" } })
    ],
    ["a batch of 0", /batch is 0 throughout/, () => Pricing.model({ ...ask, price, batch: { input: 0 } })],
    ["nothing", /price\.input/, () => Pricing.model({ ...ask, price: { input: "" } })],
    ["less than nothing", /price\.output/, () => Pricing.model({ ...ask, price: { input: 1, output: -1 } })],
    ["no number", /price\.input/, () => Pricing.model({ ...ask, price: { input: Number.NaN } })],
    [
      "a bad tier",
      /tiers\[0\]\.input/,
      () => Pricing.model({ ...ask, price: { ...price, tiers: [{ above: 1, input: "x" }] } })
    ],
    ["a bad start", /tiers\[0\]\.above/, () => Pricing.model({ ...ask, price: { ...price, tiers: [{ above: -1 }] } })],
    ["no window", /contextWindow/, () => Pricing.model({ ...ask, price, contextWindow: 0 })],
    ["half an answer", /maxOutput/, () => Pricing.model({ ...ask, price, maxOutput: 1.5 })],
    ["no date", /since/, () => Pricing.model({ ...ask, price, since: "soon" })],
    ["all off", /discount/, () => Pricing.discount({ provider: "mine", discount: 1 })],
    ["more than all off", /discount/, () => Pricing.discount({ provider: "mine", discount: "1.5" })],
    ["a surcharge", /discount/, () => Pricing.discount({ provider: "mine", discount: "-0.1" })]
  ])("is refused where it makes no sense: %s", (_, message, make) => {
    assert.throws(make, message)
    assert.throws(make, RangeError)
  })

  it("may have a part that costs nothing", () => {
    assert.strictEqual(costs({ input: 1, cacheWrite: 0 }, usage({ inputCacheWrite: 1_000_000 })), Money.zero)
    assert.strictEqual(costs({ input: 0, output: 1 }, usage({ inputUncached: 5, outputText: 1_000_000 })), Money.usd(1))
  })
})
