/**
 * How a Gemini answer ended and what it cost; and the ends that are none: a prompt that was blocked, a model that erred.
 */
import type * as Response from "effect/ai/Response"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { contentFilterMetadata } from "../../core/internal/contentFilter.ts"
import * as LlmError from "../../core/LlmError.ts"
import type * as Usage from "../../core/Usage.ts"
import { type Exchange, identifiers, requestIdOf } from "./classify.ts"
import { namesOf } from "./finish.ts"
import { compact, count, type Fields, fields, items, Names, text } from "./read.ts"

/**
 * Reads a usage. Of the input, the API counts the prompt (with what was cached of it) and the results of its own tools apart; of
 * the output, what can be seen and the thoughts. What it does not say stays out.
 */
export const readUsage = (usage: Fields | undefined): Usage.Encoded => {
  const counted = fields(usage)
  const prompt = count(counted["promptTokenCount"])
  const tools = count(counted["toolUsePromptTokenCount"])
  const cacheRead = count(counted["cachedContentTokenCount"])
  const visible = count(counted["candidatesTokenCount"])
  const reasoning = count(counted["thoughtsTokenCount"])
  const input = sum(prompt, tools)
  const output = sum(visible, reasoning)
  return {
    inputTokens: compact({
      uncached: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0)),
      total: input,
      cacheRead
    }),
    outputTokens: compact({ total: output, text: output === undefined ? undefined : visible ?? 0, reasoning })
  }
}

const sum = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined && other === undefined ? undefined : (one ?? 0) + (other ?? 0)

// Words that say no more than that there is a policy.
const general: ReadonlySet<string> = new Set(["SAFETY", "IMAGE_SAFETY", "OTHER"])

/** What a policy found: the categories it has rated high, or its own word for it. */
const categoriesOf = (names: Names, ratings: unknown, word: string): ReadonlyArray<string> => {
  const rated = items(ratings).map(fields)
  const blocked = rated.filter((rating) => rating["blocked"] === true)
  const found = blocked.length > 0
    ? blocked
    : rated.filter(({ probability }) => probability === "MEDIUM" || probability === "HIGH")
  const categories = identifiers(names, found.flatMap(({ category }) => text(category) ?? []))
  return categories.length > 0 || general.has(word) ? categories : identifiers(names, [word])
}

/** What is known of an answer beside its parts, as the metadata of its `finish` part. */
export interface FinishFacts {
  readonly raw: string
  /** The candidate's fields beside its content; the last ones count. */
  readonly candidate: Fields
  readonly usage: Fields | undefined
  /** The kinds of parts that are not read. */
  readonly ignoredParts: ReadonlySet<string>
  readonly malformedChunks: number
  readonly errorAfterFinish: string | undefined
}

/** The `finish` part of an answer. */
export const finishPart = (
  names: Names,
  reason: Response.FinishReason,
  facts: FinishFacts
): Response.FinishPartEncoded => {
  const { candidate, raw } = facts
  const message = text(candidate["finishMessage"])
  return {
    type: "finish",
    reason,
    usage: readUsage(facts.usage),
    response: undefined,
    metadata: {
      // It came from JSON, and so it is JSON.
      google: compact({
        finishReason: text(raw),
        finishMessage: message,
        usage: facts.usage,
        safetyRatings: candidate["safetyRatings"],
        groundingMetadata: candidate["groundingMetadata"],
        citationMetadata: candidate["citationMetadata"],
        ignoredParts: namesOf(names, facts.ignoredParts),
        malformedChunks: facts.malformedChunks === 0 ? undefined : facts.malformedChunks,
        errorAfterFinish: facts.errorAfterFinish
      }) as Schema.JsonObject,
      ...(reason === "content-filter"
        ? contentFilterMetadata(
          categoriesOf(names, candidate["safetyRatings"], raw),
          message === undefined ? undefined : names.scrub(message)
        )
        : undefined)
    }
  }
}

/** Why the prompt was blocked, where it was. */
export const blockReason = (chunk: Fields): string | undefined => {
  const reason = text(fields(chunk["promptFeedback"])["blockReason"])
  return reason === "BLOCK_REASON_UNSPECIFIED" || reason === "BLOCKED_REASON_UNSPECIFIED" ? undefined : reason
}

/** The error of a prompt that was blocked: nothing of an answer was written. */
export const promptBlocked = (exchange: Exchange, chunk: Fields, reason: string): LlmError.ContentFiltered => {
  const { blockReasonMessage, safetyRatings } = fields(chunk["promptFeedback"])
  const names = new Names(exchange.origin.secrets)
  return new LlmError.ContentFiltered({
    ...describe(names, exchange, { code: reason, id: chunk["responseId"], message: blockReasonMessage }),
    stage: "prompt",
    categories: [...categoriesOf(names, safetyRatings, reason)]
  })
}

const problems: { readonly [reason: string]: string } = {
  MALFORMED_FUNCTION_CALL: "the model wrote a tool call that cannot be read",
  UNEXPECTED_TOOL_CALL: "the model called a tool that was not offered to it",
  TOO_MANY_TOOL_CALLS: "the model called too many tools in a row",
  MALFORMED_RESPONSE: "the model wrote an answer that cannot be read"
}

/** The error of an answer that the API itself calls a failure. */
export const modelErred = (
  exchange: Exchange,
  { finishMessage, raw, responseId }: {
    readonly raw: string
    readonly finishMessage: unknown
    readonly responseId: string | undefined
  }
): LlmError.MalformedResponse | LlmError.InvalidRequest => {
  const names = new Names(exchange.origin.secrets)
  const common = describe(names, exchange, { code: raw, id: responseId, message: finishMessage })
  return raw === "MISSING_THOUGHT_SIGNATURE"
    ? new LlmError.InvalidRequest({ ...common, problem: "a tool call of the prompt has lost its thought signature" })
    : new LlmError.MalformedResponse({
      ...common,
      problem: (Object.hasOwn(problems, raw) ? problems[raw] : undefined) ?? "the model failed"
    })
}

const maxDetail = 500

const describe = (
  names: Names,
  { headers, origin, status }: Exchange,
  said: { readonly code: string; readonly id: unknown; readonly message: unknown }
) => {
  const message = text(said.message)
  return {
    provider: origin.provider,
    model: origin.model,
    status,
    ...compact({
      code: names.identifier(said.code),
      requestId: requestIdOf(names, headers) ?? names.identifier(said.id),
      detail: message === undefined ? undefined : Redacted.make(names.scrub(message).slice(0, maxDetail))
    })
  }
}
