/**
 * What prices do to `E` and `R`, pinned. This file is compiled, never run.
 */
import type { Effect, Layer } from "effect"
import { type LlmError, Money, type Receipt, type Usage } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { expectTypeOf } from "vitest"

declare const usage: Usage.Usage
declare const attempt: Receipt.Attempt
declare const entry: Pricing.Entry

const ask = { provider: "openai", model: "gpt-5-mini" }

// ---- a price is known, or that it is not stands in the type ----
expectTypeOf(Pricing.lookup(ask)).toEqualTypeOf<Effect.Effect<Pricing.Entry, LlmError.UnknownPrice, Pricing.Pricing>>()
expectTypeOf(Pricing.cost(ask, usage)).toEqualTypeOf<
  Effect.Effect<Money.MicroUsd, LlmError.UnknownPrice, Pricing.Pricing>
>()
expectTypeOf(Pricing.costOf(entry, usage, { batch: true })).toEqualTypeOf<
  Effect.Effect<Money.MicroUsd, LlmError.UnknownPrice>
>()

// ---- nothing is taken for 0 ----
// @ts-expect-error what was used may not be known
Pricing.cost(ask, attempt.usage)
// @ts-expect-error a price must be said, or that there is none
Pricing.model(ask)
// @ts-expect-error and of input, always
Pricing.model({ ...ask, price: { output: 1 } })
// @ts-expect-error free is a word
Pricing.model({ ...ask, price: 0 })
Pricing.model({ ...ask, price: Pricing.free })

// ---- money is not any number ----
expectTypeOf(Money.usd("0.10")).toEqualTypeOf<Money.MicroUsd>()
// @ts-expect-error tokens are no money
Money.add(Money.zero, usage.outputText)
// @ts-expect-error and no sum is, unless it was added up as one
expectTypeOf(Money.zero + Money.zero).toEqualTypeOf<Money.MicroUsd>()

// ---- layers ----
expectTypeOf(Pricing.layer()).toEqualTypeOf<Layer.Layer<Pricing.Pricing>>()
expectTypeOf(Pricing.layerOf([])).toEqualTypeOf<Layer.Layer<Pricing.Pricing>>()
expectTypeOf(Pricing.layerExtend([])).toEqualTypeOf<Layer.Layer<Pricing.Pricing, never, Pricing.Pricing>>()
