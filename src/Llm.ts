/**
 * Calls to language models, as values: a model, the policies around it, and what consumers ask of it.
 *
 * @since 0.1.0
 */
export * from "./core/Generate.ts"
export * from "./core/Llm.ts"
export { orElse, orElseOn, orElseSucceed } from "./policies/Fallback.ts"
export { hedge } from "./policies/Hedge.ts"
export { retry } from "./policies/Retry.ts"
export { layerStandard, standard } from "./policies/Standard.ts"
export { timeout } from "./policies/Timeout.ts"
export { model } from "./providers/Provider.ts"
