/**
 * What calls may use and cost.
 *
 * @since 0.1.0
 */
export * as BudgetStore from "./BudgetStore.ts"
