/**
 * How a Responses answer ended, beside its parts.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import { contentFilterMetadata } from "../../core/internal/contentFilter.ts"
import { readUsage } from "./chatFinish.ts"
import { identifiers } from "./classify.ts"
import { filteredCategories } from "./errorBody.ts"
import { namesOf } from "./finish.ts"
import { compact, type Fields, fields, items, type Names, text } from "./read.ts"

/** What is known of an answer beside its parts, as the metadata of its `finish` part. */
export interface FinishFacts {
  readonly raw: string
  /** The answer itself, as far as its last event repeats it. */
  readonly response: Fields
  readonly usage: Fields | undefined
  readonly refusal: string
  readonly ignoredItems: ReadonlySet<string>
  readonly ignoredEvents: ReadonlySet<string>
  readonly malformedChunks: number
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
      serviceTier: text(facts.response["service_tier"]),
      // It came from JSON, and so it is JSON.
      usage: facts.usage as Schema.JsonObject | undefined,
      ignoredParts: namesOf(names, facts.ignoredItems),
      ignoredEvents: namesOf(names, facts.ignoredEvents),
      malformedChunks: facts.malformedChunks === 0 ? undefined : facts.malformedChunks
    }),
    ...(reason === "content-filter"
      ? contentFilterMetadata(categoriesOf(names, facts.response), text(names.scrub(facts.refusal)))
      : undefined)
  }
})

/** Azure says what its filters have found, of the prompt and of the answer. */
const categoriesOf = (names: Names, response: Fields): ReadonlyArray<string> =>
  identifiers(
    names,
    items(response["content_filters"]).flatMap((filter) => filteredCategories(fields(filter)["content_filter_results"]))
  )
