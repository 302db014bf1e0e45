/**
 * How a Chat Completions answer ended and what it cost, in the spellings of the servers that speak the protocol.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import { contentFilterMetadata } from "../../core/internal/contentFilter.ts"
import type * as Usage from "../../core/Usage.ts"
import { namesOf } from "./finish.ts"
import { compact, count, type Fields, fields, isFields, type Names } from "./read.ts"

/** OpenRouter passes on the upstream's own word: one that says error is an error, whatever stands beside it. */
export const isNativeError = (choice: Fields): boolean => {
  const native = choice["native_finish_reason"]
  return native === "error" || native === "network_error"
}

/** The usage of a body or an event. Old Groq streams have it in a place of its own. */
export const usageField = (body: Fields): Fields | undefined => {
  const usage = body["usage"]
  if (isFields(usage)) return usage
  const groq = fields(body["x_groq"])["usage"]
  return isFields(groq) ? groq : undefined
}

const noUsage: Usage.Encoded = { inputTokens: {}, outputTokens: {} }

/** Reads a usage. Its totals include their parts; what a server does not say stays out. */
export const readUsage = (usage: Fields | undefined): Usage.Encoded => {
  if (usage === undefined) return noUsage
  const inputDetails = fields(usage["prompt_tokens_details"] ?? usage["input_tokens_details"])
  const outputDetails = fields(usage["completion_tokens_details"] ?? usage["output_tokens_details"])
  const input = count(usage["prompt_tokens"]) ?? count(usage["input_tokens"])
  const cacheRead = count(inputDetails["cached_tokens"]) ?? count(usage["prompt_cache_hit_tokens"])
  const cacheWrite = count(inputDetails["cache_write_tokens"]) ?? count(inputDetails["cache_creation_tokens"])
  const reasoning = count(outputDetails["reasoning_tokens"]) ?? count(usage["reasoning_tokens"])
  const output = outputTotal(count(usage["completion_tokens"]) ?? count(usage["output_tokens"]), {
    input,
    reasoning,
    total: count(usage["total_tokens"])
  })
  return {
    inputTokens: compact({
      // Servers are known to report more cached tokens than input tokens.
      uncached: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0) - (cacheWrite ?? 0)),
      total: input,
      cacheRead,
      cacheWrite
    }),
    outputTokens: compact({
      total: output,
      text: output === undefined ? undefined : Math.max(0, output - (reasoning ?? 0)),
      reasoning
    })
  }
}

// Some servers count reasoning beside the completion and not in it, which shows in their total.
const outputTotal = (
  output: number | undefined,
  { input, reasoning, total }: {
    readonly input: number | undefined
    readonly reasoning: number | undefined
    readonly total: number | undefined
  }
): number | undefined =>
  output !== undefined && reasoning !== undefined && reasoning > 0 && total === (input ?? 0) + output + reasoning
    ? output + reasoning
    : output

/** What is known of an answer beside its parts, as the metadata of its `finish` part. */
export interface FinishFacts {
  readonly raw: string | undefined
  readonly native: string | undefined
  readonly systemFingerprint: string | undefined
  readonly serviceTier: string | undefined
  readonly usage: Fields | undefined
  readonly refusal: string | undefined
  readonly categories: ReadonlyArray<string>
  /** The names of fields and parts of the message that are not read, and of events that are not known. */
  readonly ignoredParts: ReadonlySet<string>
  readonly ignoredEvents: ReadonlySet<string>
  readonly malformedChunks: number
  readonly errorAfterFinish: string | undefined
}

/** The `finish` part of an answer. */
export const finishPart = (
  names: Names,
  reason: Response.FinishReason,
  facts: FinishFacts
): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage: readUsage(facts.usage),
  response: undefined,
  metadata: {
    openai: compact({
      finishReason: facts.raw,
      nativeFinishReason: facts.native,
      systemFingerprint: facts.systemFingerprint,
      serviceTier: facts.serviceTier,
      // It came from JSON, and so it is JSON.
      usage: facts.usage as Schema.JsonObject | undefined,
      ignoredParts: namesOf(names, facts.ignoredParts),
      ignoredEvents: namesOf(names, facts.ignoredEvents),
      malformedChunks: facts.malformedChunks === 0 ? undefined : facts.malformedChunks,
      errorAfterFinish: facts.errorAfterFinish
    }) as Schema.JsonObject,
    ...(reason === "content-filter" ? contentFilterMetadata(facts.categories, facts.refusal) : undefined)
  }
})
