/**
 * Answers that are kept, and calls that are shared.
 *
 * @since 0.1.0
 */
export * as Cache from "./Cache.ts"
export * as CacheEncryption from "./CacheEncryption.ts"
export * as CacheKey from "./CacheKey.ts"
export * as CacheStore from "./CacheStore.ts"
export * as SingleFlight from "./SingleFlight.ts"
