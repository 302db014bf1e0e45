/**
 * What calls may use: tokens and context windows.
 *
 * @since 0.1.0
 */
export * as ContextWindow from "./ContextWindow.ts"
export * as TokenCount from "./TokenCount.ts"
