/**
 * How many of the tokens that were written to a prompt cache stay for an hour, on their way from an adapter to the usage.
 * `effect/ai` counts what was written in one number, and providers charge for it by how long it is kept: so the split
 * travels beside the usage, on the `finish` part.
 */
import type * as Response from "effect/ai/Response"

const key = "bulwarkUsage"

/** Metadata of a `finish` part: so many of its cache writes stay for an hour. */
export const longWritesMetadata = (tokens: number | undefined): Response.ProviderMetadata =>
  tokens === undefined || tokens === 0 ? {} : { [key]: { cacheWrite1h: tokens } }

/** How many of the cache writes stay for an hour, as far as the part says. */
export const longWrites = (metadata: Response.ProviderMetadata | undefined): number => {
  const usage = metadata?.[key]
  if (typeof usage !== "object" || usage === null || !("cacheWrite1h" in usage)) return 0
  const tokens = usage["cacheWrite1h"]
  return typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens > 0 ? tokens : 0
}
