/**
 * How long an answer can be by its request.
 */
import type { Settings } from "../../core/Call.ts"

const boundFields = ["max_tokens", "max_completion_tokens", "max_output_tokens"]

const natural = (value: unknown): number | undefined =>
  typeof value === "number" && value > 0 && Number.isFinite(value) ? Math.ceil(value) : undefined

/** How long the answer can be by what the settings say, those fields that they add to the request by themselves included. */
export const boundOf = (settings: Settings): number | undefined => {
  const { extra, maxOutputTokens } = settings
  if (extra === undefined) return maxOutputTokens
  const config = extra.generationConfig
  const said = [
    ...boundFields.map((field) => natural(extra[field])),
    natural(typeof config === "object" && config !== null && "maxOutputTokens" in config ? config.maxOutputTokens : 0)
  ].filter((bound) => bound !== undefined)
  // They win over what they stand for; of several it is not known which one the provider reads.
  return said.length === 0 ? maxOutputTokens : Math.max(...said)
}

/** How many answers are asked for. */
export const answersOf = (settings: Settings): number => natural(settings.extra?.n) ?? 1
