/**
 * Budgets of tests: prices and counts that can be reckoned in the head, and stores that fail when they are told to.
 */
import { Effect, Layer } from "effect"
import type { Attribution } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"

/** A token in costs a micro-dollar and one out two; of Anthropic, ten times that. */
export const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: () => true, price: { input: 1, output: 2 } }),
  Pricing.model({ provider: "anthropic", model: () => true, price: { input: 10, output: 20 } })
])

/** What a prompt is counted as. The scripted provider reports as many. */
export const promptTokens = 10

/** A letter is a token. */
export const counts = Layer.succeed(TokenCount.TokenCount, {
  [TokenCount.TypeId]: TokenCount.TypeId,
  count: () => Effect.succeed({ tokens: promptTokens, exact: true, margin: 0 }),
  countText: (_, text) => Effect.succeed({ tokens: text.length, exact: true, margin: 0 }),
  tokenizer: () => {
    throw new Error("nobody asks for it")
  }
})

/** Whose call it is does not matter. */
export const nobody: Attribution.Attribution = {}

/** A budget in memory, and its store beside it. */
export const budget = (options: Budget.Options, store = BudgetStore.layerMemory) =>
  Budget.layer(options).pipe(Layer.provideMerge(Layer.mergeAll(store, prices, counts)))

/** What is used and held of the limits, in their order. */
export const books = (who: Attribution.Attribution = nobody) =>
  Effect.map(Budget.status(who), (all) => all.map(({ reserved, used }) => [used, reserved] as const))

export type Fault = "fails" | "is silent" | undefined

/** A store in memory that fails, or does not answer, where it is told to; whatever it is asked is done all the same where `does` says so. */
export const faulty = () => {
  const faults: { reserve: Fault; finish: Fault; ask: Fault; does: boolean } = {
    reserve: undefined,
    finish: undefined,
    ask: undefined,
    does: false
  }
  const asked: Array<string> = []
  const step = <A>(
    operation: BudgetStore.BudgetStoreError["operation"],
    fault: () => Fault,
    effect: Effect.Effect<A, BudgetStore.BudgetStoreError>
  ) =>
    Effect.suspend(() => {
      asked.push(operation)
      const now = fault()
      if (now === undefined) return effect
      return Effect.andThen(
        faults.does ? Effect.asVoid(effect) : Effect.void,
        now === "fails"
          ? Effect.fail(new BudgetStore.BudgetStoreError({ operation, cause: new Error("so the test says") }))
          : Effect.never
      )
    })
  const layer = Layer.effect(
    BudgetStore.BudgetStore,
    Effect.map(BudgetStore.BudgetStore, (store) =>
      BudgetStore.BudgetStore.of({
        reserve: (reservation) => step("reserve", () => faults.reserve, store.reserve(reservation)),
        settle: (id, amounts) => step("settle", () => faults.finish, store.settle(id, amounts)),
        void: (id) => step("void", () => faults.finish, store.void(id)),
        adjust: (adjustment) => step("adjust", () => faults.finish, store.adjust(adjustment)),
        balance: (query) => step("balance", () => faults.ask, store.balance(query)),
        unsettled: (query) => step("unsettled", () => faults.ask, store.unsettled(query))
      }))
  ).pipe(Layer.provide(BudgetStore.layerMemory))
  return { faults, asked, layer }
}
