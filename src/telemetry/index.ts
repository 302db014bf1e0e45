/**
 * What calls did and what they cost, for those who run the application.
 *
 * @since 0.1.0
 */
export * as Conventions from "./Conventions.ts"
export * as Ledger from "./Ledger.ts"
export * as LiveView from "./LiveView.ts"
export * as SpendAlert from "./SpendAlert.ts"
export * as Telemetry from "./Telemetry.ts"
