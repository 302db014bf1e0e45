/**
 * The quote is the most that a request can cost, whatever becomes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { type Call, Usage } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { Prompt } from "effect/ai"
import { quote, spent } from "../../src/budget/internal/budgetQuote.ts"
import { TokenCount } from "../../src/budget/TokenCount.ts"
import { counts } from "./support/budget.ts"

const Rate = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40_000 }))
const Size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5_000 }))

/** Rates in thousandths of a dollar; the tiers may be dearer or cheaper. */
const Case = Schema.Struct({
  input: Rate,
  output: Rate,
  cacheRead: Rate,
  cacheWrite: Rate,
  reasoning: Rate,
  tiers: Schema.Array(Schema.Struct({ above: Size, input: Rate, output: Rate })).check(Schema.isMaxLength(2)),
  counted: Size,
  bound: Size,
  /** How much of that was used, and in which buckets. */
  shares: Schema.Tuple([
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
  ])
})

const dollars = (rate: number): number => rate / 1_000

const request: Call.Request = {
  prompt: Prompt.make("Hello?"),
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  settings: {}
}

const asked: Call.Asked = { provider: "openai", model: "m", request, transport: "stream" }

describe("a quote", () => {
  it.effect.prop(
    "is never less than what is booked",
    [Arbitrary.schema(Case)],
    ([one]) => {
      const above = [...new Set(one.tiers.map((tier) => tier.above))]
      const prices = Pricing.layerOf([
        Pricing.model({
          provider: "openai",
          model: "m",
          price: {
            input: dollars(one.input),
            output: dollars(one.output),
            cacheRead: dollars(one.cacheRead),
            cacheWrite: dollars(one.cacheWrite),
            reasoning: dollars(one.reasoning),
            tiers: above.map((above, n) => ({
              above,
              input: dollars(one.tiers[n]!.input),
              output: dollars(one.tiers[n]!.output)
            }))
          }
        })
      ])
      return Effect.gen(function*() {
        const counter = {
          ...yield* TokenCount,
          count: () => Effect.succeed({ tokens: one.counted, exact: true, margin: 0 })
        }
        const quoted = yield* quote(asked, {
          pricing: yield* Pricing.Pricing,
          counter,
          limited: new Set(["usd"]),
          maxOutputTokens: one.bound
        })
        assert.deepStrictEqual(quoted.settings, { maxOutputTokens: one.bound })
        const [used, cached, written, thought] = one.shares
        const input = Math.floor(one.counted * used)
        const inputCacheRead = Math.floor(input * cached)
        const inputCacheWrite = Math.floor((input - inputCacheRead) * written)
        const outputReasoning = Math.floor(one.bound * thought)
        const usage: Usage.Usage = {
          inputUncached: input - inputCacheRead - inputCacheWrite,
          inputCacheRead,
          inputCacheWrite,
          outputReasoning,
          outputText: Math.floor((one.bound - outputReasoning) * used)
        }
        const options = { counter, unreported: "seen" } as const
        const ending = { sent: true, whole: true, error: undefined, seen: () => "x".repeat(10_000) }
        const said = yield* spent(asked, quoted, { ...ending, usage }, options)
        assert.strictEqual(said.amounts.usd, yield* Pricing.cost({ provider: "openai", model: "m" }, usage))
        assert.strictEqual(said.amounts.tokens, Usage.input(usage) + Usage.output(usage))
        const guessed = yield* spent(asked, quoted, { ...ending, whole: false, usage: undefined }, options)
        for (const { amounts } of [said, guessed]) {
          assert.isAtMost(amounts.usd, quoted.most.usd)
          assert.isAtMost(amounts.tokens, quoted.most.tokens)
        }
      }).pipe(Effect.provide([prices, counts]))
    },
    { arbitrary: { runs: 2_000 } }
  )

  it.effect("looks at tiers below as well, which may be dearer", () =>
    Effect.gen(function*() {
      const counter = { ...yield* TokenCount, count: () => Effect.succeed({ tokens: 20, exact: true, margin: 0 }) }
      const quoted = yield* quote(asked, {
        pricing: yield* Pricing.Pricing,
        counter,
        limited: new Set(["usd"]),
        maxOutputTokens: 1
      })
      // Ten tokens at 100, and not twenty at 1.
      assert.strictEqual(quoted.most.usd, 1_001)
    }).pipe(Effect.provide([
      counts,
      Pricing.layerOf([
        Pricing.model({
          provider: "openai",
          model: "m",
          price: { input: 100, output: 1, tiers: [{ above: 10, input: 1 }] }
        })
      ])
    ])))
})
