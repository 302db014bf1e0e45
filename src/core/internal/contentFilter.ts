/**
 * What an adapter knows of a content filter that ended an answer, on its way to the error. It travels on the `finish`
 * part, beside the usage, because what the filter has withheld is paid for all the same.
 */
import type * as Response from "effect/ai/Response"
import * as Redacted from "effect/Redacted"
import { ContentFiltered } from "./errors.ts"

const key = "bulwark"

/** Metadata of a `finish` part with the reason `content-filter`. */
export const contentFilterMetadata = (
  categories: ReadonlyArray<string>,
  refusal: string | undefined
): Response.ProviderMetadata => ({
  [key]: { contentFilter: { categories, ...(refusal === undefined ? undefined : { refusal }) } }
})

const maxDetail = 500

/** The failure of an answer that a content filter ended. */
export const contentFiltered = (
  origin: { readonly provider: string; readonly model: string },
  metadata: Response.ProviderMetadata | undefined
): ContentFiltered => {
  const filter = field(field(metadata, key), "contentFilter")
  const categories = field(filter, "categories")
  const refusal = field(filter, "refusal")
  return new ContentFiltered({
    provider: origin.provider,
    model: origin.model,
    stage: "answer",
    categories: Array.isArray(categories) ? categories.filter((name) => typeof name === "string") : [],
    ...(typeof refusal === "string" ? { detail: Redacted.make(refusal.slice(0, maxDetail)) } : undefined)
  })
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as { readonly [name: string]: unknown })[name]
    : undefined
