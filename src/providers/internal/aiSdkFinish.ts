/**
 * How an AI SDK answer ended and what it cost.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import { contentFilterMetadata } from "../../core/internal/contentFilter.ts"
import type * as Usage from "../../core/Usage.ts"
import { jsonObjectOf, jsonOf } from "./aiSdkPart.ts"
import { ownKey } from "./aiSdkPrompt.ts"
import { identifiers } from "./classify.ts"
import { compact, count, type Fields, fields, items, type Names, text } from "./read.ts"

/** How an answer ended. `interrupted` is no end: the provider's stream closed before its last word. */
export interface Ending {
  readonly reason: Response.FinishReason | "interrupted"
  readonly raw: string | undefined
}

/** Reads a finish reason. `calls` is whether there are calls that the application is to answer. */
export const readEnding = (finishReason: unknown, calls: boolean): Ending => {
  const { raw, unified } = fields(finishReason)
  const word = text(raw)
  const reason = word === "pause_turn" ? "pause" : reasonOf(unified)
  return { reason: calls && (reason === "stop" || reason === "other") ? "tool-calls" : reason, raw: word }
}

const reasonOf = (unified: unknown): Ending["reason"] => {
  switch (unified) {
    case "stop":
    case "length":
    case "content-filter":
    case "tool-calls":
    case "error":
    case "interrupted":
      return unified
    case undefined:
      return "unknown"
    default:
      return "other"
  }
}

/** Reads a usage, which is in our buckets already. What it does not say stays out. */
const readUsage = (usage: Fields): Usage.Encoded => {
  const input = fields(usage["inputTokens"])
  const output = fields(usage["outputTokens"])
  return {
    inputTokens: compact({
      uncached: count(input["noCache"]),
      total: count(input["total"]),
      cacheRead: count(input["cacheRead"]),
      cacheWrite: count(input["cacheWrite"])
    }),
    outputTokens: compact({
      total: count(output["total"]),
      text: count(output["text"]),
      reasoning: count(output["reasoning"])
    })
  }
}

// Words that say no more than that there is a policy.
const general: ReadonlySet<string> = new Set(["content_filter", "content-filter", "refusal", "SAFETY", "stop"])

/** What is known of an answer beside its parts. */
export interface FinishFacts {
  readonly raw: string | undefined
  readonly usage: unknown
  readonly providerMetadata: unknown
  readonly warnings: unknown
  readonly ignoredParts: ReadonlyArray<string>
}

/** The `finish` part of an answer. */
export const finishPart = (
  names: Names,
  reason: Response.FinishReason,
  facts: FinishFacts
): Response.FinishPartEncoded => {
  const { raw } = facts
  const usage = fields(facts.usage)
  const warnings = items(facts.warnings)
  return {
    type: "finish",
    reason,
    usage: readUsage(usage),
    response: undefined,
    metadata: {
      ...jsonObjectOf(facts.providerMetadata),
      // Each of them is JSON.
      [ownKey]: compact({
        finishReason: raw,
        usage: jsonObjectOf(usage["raw"]),
        warnings: warnings.length === 0 ? undefined : jsonOf(warnings),
        ignoredParts: facts.ignoredParts.length === 0 ? undefined : identifiers(names, facts.ignoredParts)
      }) as Schema.JsonObject,
      ...(reason === "content-filter"
        ? contentFilterMetadata(raw === undefined || general.has(raw) ? [] : identifiers(names, [raw]), undefined)
        : undefined)
    }
  }
}
