/**
 * Money, tokens and context windows: what calls cost and may use.
 *
 * @since 0.1.0
 */
export * as Budget from "./Budget.ts"
export * as BudgetStore from "./BudgetStore.ts"
export * as ContextWindow from "./ContextWindow.ts"
export * as Pricing from "./Pricing.ts"
export * as TokenCount from "./TokenCount.ts"
