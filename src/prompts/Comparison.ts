/**
 * Versions of a prompt side by side, as `PromptRegistry.compare` gives them: success, quality, latency, tokens and cost, each with its
 * interval of confidence, and whether versions differ by more than chance would have it.
 *
 * @since 0.1.0
 */
import { type Comparison, describe, type Difference, type Figure, type Side } from "./internal/registryCompare.ts"

export { type Comparison, type Difference, type Figure, type Side }

/**
 * Prints a comparison, for people.
 *
 * @category printing
 * @since 0.1.0
 */
export const render: (comparison: Comparison) => string = describe

/**
 * How a version differs from the first one in one measure: `success`, `latency`, `inputTokens`, `outputTokens`, `cost`, or `quality.` and
 * the measure of the scores. `undefined` where nothing of that was measured.
 *
 * @category getters
 * @since 0.1.0
 */
export const difference = (comparison: Comparison, version: number, measure: string): Difference | undefined =>
  comparison.differences.find((difference) => difference.version === version && difference.measure === measure)
