/**
 * How an answer of the Messages API ended and what it cost.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import { longWritesMetadata } from "../../core/internal/cacheWrites.ts"
import { contentFilterMetadata } from "../../core/internal/contentFilter.ts"
import type * as Usage from "../../core/Usage.ts"
import { namesOf } from "./finish.ts"
import { compact, count, type Fields, fields, type Names } from "./read.ts"

const none: Usage.Encoded = { inputTokens: {}, outputTokens: {} }

/**
 * Reads a usage. The API's `input_tokens` are those that have nothing to do with the cache, so the total is a sum. What it does
 * not say stays out.
 */
export const readUsage = (usage: Fields | undefined): Usage.Encoded => {
  if (usage === undefined) return none
  const uncached = count(usage["input_tokens"])
  const cacheRead = count(usage["cache_read_input_tokens"])
  const cacheWrite = count(usage["cache_creation_input_tokens"]) ?? written(fields(usage["cache_creation"]))
  const output = count(usage["output_tokens"])
  const reasoning = count(fields(usage["output_tokens_details"])["thinking_tokens"])
  return {
    inputTokens: compact({
      uncached,
      total: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0),
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

// The same number, by how long it is kept.
const written = (creation: Fields): number | undefined => {
  const short = count(creation["ephemeral_5m_input_tokens"])
  const long = count(creation["ephemeral_1h_input_tokens"])
  return short === undefined && long === undefined ? undefined : (short ?? 0) + (long ?? 0)
}

/** What is known of an answer beside its parts, as the metadata of its `finish` part. */
export interface FinishFacts {
  readonly raw: string | undefined
  readonly stopSequence: string | undefined
  readonly usage: Fields | undefined
  readonly refusal: string | undefined
  readonly categories: ReadonlyArray<string>
  /** The types of blocks that are not read, and of events and deltas that are not known. */
  readonly ignoredBlocks: ReadonlySet<string>
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
    anthropic: compact({
      finishReason: facts.raw,
      stopSequence: facts.stopSequence,
      // It came from JSON, and so it is JSON.
      usage: facts.usage as Schema.JsonObject | undefined,
      ignoredParts: namesOf(names, facts.ignoredBlocks),
      ignoredEvents: namesOf(names, facts.ignoredEvents),
      malformedChunks: facts.malformedChunks === 0 ? undefined : facts.malformedChunks,
      errorAfterFinish: facts.errorAfterFinish
    }) as Schema.JsonObject,
    ...longWritesMetadata(count(fields(facts.usage?.["cache_creation"])["ephemeral_1h_input_tokens"])),
    ...(reason === "content-filter" ? contentFilterMetadata(facts.categories, facts.refusal) : undefined)
  }
})
