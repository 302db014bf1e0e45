/**
 * Token usage in disjoint buckets.
 *
 * Providers report usage in overlapping totals: "input tokens" that include cached ones here and exclude them there,
 * "output tokens" with or without reasoning. `Usage` counts each token in exactly one bucket, so that sums are right and
 * each bucket can be priced on its own. All numbers are tokens.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/ai/Response"
import * as Schema from "effect/Schema"
import { longWrites } from "./internal/cacheWrites.ts"

const Tokens = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Tokens of one attempt, or of several added up, each counted in exactly one bucket.
 *
 * @category models
 * @since 0.1.0
 */
export const Usage = Schema.Struct({
  /** Input tokens that were neither read from nor written to the provider's prompt cache. */
  inputUncached: Tokens,
  /** Input tokens read from the provider's prompt cache. */
  inputCacheRead: Tokens,
  /** Input tokens written to the provider's prompt cache, for as long as it keeps them by itself. */
  inputCacheWrite: Tokens,
  /** Input tokens written to the provider's prompt cache for an hour, where it charges for that apart. Absent: none. */
  inputCacheWrite1h: Schema.optionalKey(Tokens),
  /** Output tokens the caller can see. */
  outputText: Tokens,
  /** Output tokens spent on reasoning. */
  outputReasoning: Tokens
})

/**
 * Tokens of one attempt, or of several added up, each counted in exactly one bucket.
 *
 * @category models
 * @since 0.1.0
 */
export type Usage = typeof Usage.Type

/**
 * No tokens at all: the unit of {@link add}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const zero: Usage = {
  inputUncached: 0,
  inputCacheRead: 0,
  inputCacheWrite: 0,
  outputText: 0,
  outputReasoning: 0
}

/**
 * The usage in `effect/ai`'s encoded response vocabulary, as it stands on a `finish` part.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoded = typeof Response.Usage.Encoded

/**
 * Reads a provider's usage into disjoint buckets.
 *
 * **Details**
 *
 * Missing buckets are derived from the totals. Servers are known to report more cached than input tokens, or more
 * reasoning than output tokens: what a subtraction would make negative is 0.
 *
 * **Example** (Totals that include their parts)
 *
 * ```ts
 * import { Usage } from "effect-bulwark"
 *
 * Usage.fromEncoded({
 *   inputTokens: { total: 100, cacheRead: 80 },
 *   outputTokens: { total: 30, reasoning: 10 }
 * })
 * // => { inputUncached: 20, inputCacheRead: 80, inputCacheWrite: 0, outputText: 20, outputReasoning: 10 }
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const fromEncoded = (usage: Encoded): Usage => {
  const { inputTokens: input, outputTokens: output } = usage
  const inputCacheRead = input.cacheRead ?? 0
  const inputCacheWrite = input.cacheWrite ?? 0
  const outputReasoning = output.reasoning ?? 0
  return {
    inputUncached: input.uncached ?? Math.max(0, (input.total ?? 0) - inputCacheRead - inputCacheWrite),
    inputCacheRead,
    inputCacheWrite,
    outputText: output.text ?? Math.max(0, (output.total ?? 0) - outputReasoning),
    outputReasoning
  }
}

const isUsage = Schema.is(Usage)

/**
 * The usage that a `finish` part reports, or `undefined` where the provider did not say what was used: that is not nothing.
 *
 * **Details**
 *
 * What a report leaves out counts as 0. One with what can be no number of tokens, a fraction or less than 0, says nothing. Of the tokens written to a cache, those that stay for an hour are told apart where the
 * provider tells.
 *
 * **Example** (A server that does not count)
 *
 * ```ts
 * import { Usage } from "effect-bulwark"
 *
 * Usage.fromFinish({ usage: { inputTokens: {}, outputTokens: {} } }) // => undefined
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const fromFinish = (part: {
  readonly usage: Encoded
  readonly metadata?: Response.ProviderMetadata | undefined
}): Usage | undefined => {
  const { inputTokens, outputTokens } = part.usage
  const said = [...Object.values(inputTokens), ...Object.values(outputTokens)].some((count) => count !== undefined)
  if (!said) return undefined
  const usage = fromEncoded(part.usage)
  // What is no number of tokens says nothing of what was used.
  if (!isUsage(usage)) return undefined
  const long = Math.min(usage.inputCacheWrite, longWrites(part.metadata))
  return long === 0 ? usage : { ...usage, inputCacheWrite: usage.inputCacheWrite - long, inputCacheWrite1h: long }
}

/**
 * Adds two usages bucket by bucket.
 *
 * @category combining
 * @since 0.1.0
 */
export const add = (self: Usage, that: Usage): Usage => ({
  inputUncached: self.inputUncached + that.inputUncached,
  inputCacheRead: self.inputCacheRead + that.inputCacheRead,
  inputCacheWrite: self.inputCacheWrite + that.inputCacheWrite,
  ...(self.inputCacheWrite1h === undefined && that.inputCacheWrite1h === undefined
    ? undefined
    : { inputCacheWrite1h: (self.inputCacheWrite1h ?? 0) + (that.inputCacheWrite1h ?? 0) }),
  outputText: self.outputText + that.outputText,
  outputReasoning: self.outputReasoning + that.outputReasoning
})

/**
 * All input tokens, cached or not.
 *
 * @category getters
 * @since 0.1.0
 */
export const input = (self: Usage): number =>
  self.inputUncached + self.inputCacheRead + self.inputCacheWrite + (self.inputCacheWrite1h ?? 0)

/**
 * All output tokens, reasoning included.
 *
 * @category getters
 * @since 0.1.0
 */
export const output = (self: Usage): number => self.outputText + self.outputReasoning
