/**
 * Bulwark: a functional resilience framework for calls to language models. One namespace a concept.
 *
 * @since 0.1.0
 */
export * as Attribution from "./core/Attribution.ts"
export * as Call from "./core/Call.ts"
export * as LlmError from "./core/LlmError.ts"
export * as Money from "./core/Money.ts"
export * as Opened from "./core/Opened.ts"
export * as Part from "./core/Part.ts"
export * as Plan from "./core/Plan.ts"
export * as PromptReference from "./core/PromptReference.ts"
export * as Receipt from "./core/Receipt.ts"
export * as Usage from "./core/Usage.ts"
export * as Llm from "./Llm.ts"
export * as Breaker from "./policies/Breaker.ts"
export * as Fallback from "./policies/Fallback.ts"
export * as Hedge from "./policies/Hedge.ts"
export * as Limiter from "./policies/Limiter.ts"
export * as Resume from "./policies/Resume.ts"
export * as Retry from "./policies/Retry.ts"
export * as RetryBudget from "./policies/RetryBudget.ts"
export * as Standard from "./policies/Standard.ts"
export * as Timeout from "./policies/Timeout.ts"
