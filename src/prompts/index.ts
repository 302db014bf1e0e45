/**
 * Prompts that are deployed, tested and rolled back like code.
 *
 * @since 0.1.0
 */
export * as Comparison from "./Comparison.ts"
export * as Experiment from "./Experiment.ts"
export * as PromptRegistry from "./PromptRegistry.ts"
export * as PromptStore from "./PromptStore.ts"
export * as PromptTemplate from "./PromptTemplate.ts"
export * as PromptVersion from "./PromptVersion.ts"
