/**
 * What calls may use and cost: money, tokens, requests and context windows.
 *
 * @since 0.1.0
 */
export * as Budget from "./Budget.ts"
export * as BudgetStore from "./BudgetStore.ts"
export * as ContextWindow from "./ContextWindow.ts"
export * as Pricing from "./Pricing.ts"
export * as TokenCount from "./TokenCount.ts"
