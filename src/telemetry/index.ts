/**
 * What calls did and what they cost, for those who run the application.
 *
 * @since 0.1.0
 */
export * as Ledger from "./Ledger.ts"
