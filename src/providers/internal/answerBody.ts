/**
 * The body of a response that should be an answer.
 */
import type { ProviderError } from "../../core/LlmError.ts"
import { type Exchange, malformed, webPage } from "./classify.ts"
import { type Fields, isFields, isHtml, json, trimBody } from "./read.ts"

/** The JSON object that a body holds, or why it holds none. */
export const readObject = (
  exchange: Exchange,
  body: string
): { readonly value: Fields } | { readonly failure: ProviderError } => {
  const trimmed = trimBody(body)
  if (isHtml(trimmed)) return { failure: webPage(exchange) }
  if (trimmed === "") return { failure: malformed(exchange, "it is empty") }
  const value = json(trimmed)
  // Most likely cut off, which need not happen again.
  if (value === undefined) return { failure: malformed(exchange, "it is not JSON, or not whole") }
  const answer = Array.isArray(value) ? value.find(isFields) : value
  return isFields(answer) ? { value: answer } : { failure: malformed(exchange, "it is not a JSON object") }
}
