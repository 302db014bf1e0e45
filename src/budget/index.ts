/**
 * Money: what calls cost.
 *
 * @since 0.1.0
 */
export * as Pricing from "./Pricing.ts"
