/**
 * What calls may use and what they cost: prices, tokens, context windows.
 *
 * @since 0.1.0
 */
export * as ContextWindow from "./ContextWindow.ts"
export * as Pricing from "./Pricing.ts"
export * as TokenCount from "./TokenCount.ts"
