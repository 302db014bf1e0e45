/**
 * What prices and budgets do to `E` and `R`, pinned. This file is compiled, never run.
 */
import type { Effect, Layer, Stream } from "effect"
import { Llm, type LlmError, Money, type Receipt, type Usage } from "effect-bulwark"
import { Budget, type BudgetStore, Pricing, type TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
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

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Ollama extends Provider.Service<Ollama>()("ollama") {}

const openai = Llm.model(OpenAi, "gpt-5-mini")
const ollama = Llm.model(Ollama, "llama3.3")
type Provided = LlmError.ProviderError
type Refused = LlmError.BudgetExceeded | LlmError.UnknownPrice

// ---- Budget.enforce: adds what it refuses with, and StoreUnavailable unless it is told to go on without its store ----
expectTypeOf(openai.pipe(Budget.enforce())).toEqualTypeOf<
  Llm.Llm<Provided | Refused | LlmError.StoreUnavailable, OpenAi | Budget.Budget>
>()
expectTypeOf(Budget.enforce(openai, { maxOutputTokens: 100, unreported: "quote" })).toEqualTypeOf<
  Llm.Llm<Provided | Refused | LlmError.StoreUnavailable, OpenAi | Budget.Budget>
>()
expectTypeOf(openai.pipe(Budget.enforce({ onStoreError: "allow" }))).toEqualTypeOf<
  Llm.Llm<Provided | Refused, OpenAi | Budget.Budget>
>()
// ... whatever is handled inside, and a fallback around it handles what another model may not have.
expectTypeOf(openai.pipe(Llm.orElseSucceed(() => ""), Budget.enforce({ onStoreError: "allow" }))).toEqualTypeOf<
  Llm.Llm<Refused, OpenAi | Budget.Budget>
>()
expectTypeOf(openai.pipe(Budget.enforce(), Llm.orElse(ollama))).toEqualTypeOf<
  Llm.Llm<Provided | LlmError.StoreUnavailable, OpenAi | Ollama | Budget.Budget>
>()
expectTypeOf(openai.pipe(Budget.enforce(), Llm.orElseSucceed((error) => error._tag))).toEqualTypeOf<
  Llm.Llm<never, OpenAi | Budget.Budget>
>()

// ---- how things stand ----
expectTypeOf(Budget.status()).toEqualTypeOf<
  Effect.Effect<ReadonlyArray<Budget.Status>, LlmError.StoreUnavailable, Budget.Budget>
>()
expectTypeOf(Budget.remaining({ tenant: "acme" })).toEqualTypeOf<
  Effect.Effect<Budget.Remaining, LlmError.StoreUnavailable, Budget.Budget>
>()
expectTypeOf(Budget.changes).toEqualTypeOf<Stream.Stream<Budget.Change, never, Budget.Budget>>()
expectTypeOf(Budget.layer({ limits: [] })).toEqualTypeOf<
  Layer.Layer<Budget.Budget, never, BudgetStore.BudgetStore | Pricing.Pricing | TokenCount.TokenCount>
>()
// @ts-expect-error there is no such resource
Budget.layer({ limits: [{ resource: "eur", limit: 1, window: Budget.total }] })
// @ts-expect-error a limit has a window
Budget.layer({ limits: [{ resource: "usd", limit: 1 }] })
