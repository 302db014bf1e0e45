/**
 * Answers that are kept, and calls that are shared.
 *
 * @since 0.1.0
 */
export * as CacheKey from "./CacheKey.ts"
