/**
 * Reads what a server says went wrong into one shape, whatever dialect it speaks. What the facts mean is decided in
 * `classify.ts`.
 *
 * Known shapes: `{error: {...}}`, `{error: "..."}` with the code beside it, the flat `{object: "error", message}`,
 * `{detail}` (a text, or a list of validation errors), `{message}` alone, `{errors: [...]}`, any of them in an array,
 * and any of them as JSON inside the message or the `metadata.raw` of another (gateways wrap what their upstream said).
 */
import { count, type Fields, fields, isFields, isHtml, items, json, number, text, trimBody, word } from "./read.ts"
import { goDuration } from "./retryAfter.ts"

/** What a server said about a failure. */
export interface ErrorFacts {
  /** The server's words; those of the upstream it wraps come first. */
  readonly message: string
  /** Machine-readable codes, types and reasons, in lower case, the most specific first. */
  readonly codes: ReadonlyArray<string>
  /** The same as the server wrote them. */
  readonly rawCodes: ReadonlyArray<string>
  /** The HTTP status that the body claims. */
  readonly status: number | undefined
  readonly param: string | undefined
  readonly requestId: string | undefined
  /** What a content policy found. */
  readonly categories: ReadonlyArray<string>
  readonly flagged: boolean
  /** When a limit is renewed. */
  readonly resetsAt: string | undefined
  /** Milliseconds to wait, where the body has a field for it. */
  readonly retryAfterMillis: number | undefined
  /** The names of the quotas that are used up. */
  readonly quotas: ReadonlyArray<string>
  /** Tokens of the context window, and of the request. */
  readonly contextLimit: number | undefined
  readonly contextRequested: number | undefined
  /** The body is a web page. */
  readonly html: boolean
  /** The body is JSON. */
  readonly json: boolean
}

interface Draft {
  messages: Array<string>
  codes: Array<string>
  status: number | undefined
  param: string | undefined
  requestId: string | undefined
  categories: Array<string>
  flagged: boolean
  resetsAt: string | undefined
  retryAfterMillis: number | undefined
  quotas: Array<string>
  contextLimit: number | undefined
  contextRequested: number | undefined
}

const draft = (): Draft => ({
  messages: [],
  codes: [],
  status: undefined,
  param: undefined,
  requestId: undefined,
  categories: [],
  flagged: false,
  resetsAt: undefined,
  retryAfterMillis: undefined,
  quotas: [],
  contextLimit: undefined,
  contextRequested: undefined
})

const finish = (self: Draft, source: { readonly html: boolean; readonly json: boolean }): ErrorFacts => ({
  ...self,
  message: [...new Set(self.messages)].join(" | "),
  codes: self.codes.map((code) => code.toLowerCase()),
  rawCodes: self.codes,
  html: source.html,
  json: source.json
})

/** Reads the body of an error response. */
export const readErrorBody = (body: string): ErrorFacts => {
  const trimmed = trimBody(body)
  if (isHtml(trimmed)) return finish(draft(), { html: true, json: false })
  const value = json(trimmed)
  if (value === undefined) {
    const facts = draft()
    if (trimmed !== "") readWords(facts, trimmed, 0)
    return finish(facts, { html: false, json: false })
  }
  return readErrorValue(value)
}

/** Reads an error that is JSON already: an event of a stream, or a part of an answer. */
export const readErrorValue = (value: unknown): ErrorFacts => {
  const facts = draft()
  readValue(facts, value, 0)
  return finish(facts, { html: false, json: true })
}

// Gateways wrap gateways, but whoever nests deeper than this means harm.
const maxDepth = 4

const readValue = (facts: Draft, value: unknown, depth: number): void => {
  if (depth > maxDepth) return
  if (typeof value === "string") return readWords(facts, value, depth)
  if (Array.isArray(value)) return readValue(facts, value.find(isFields), depth + 1)
  if (!isFields(value)) return
  if (isFields(value["error"])) readValue(facts, value["error"], depth + 1)
  else if (Array.isArray(value["errors"]) && value["errors"].length > 0) readValue(facts, value["errors"], depth + 1)
  // What is nested is closer to the cause, so it comes first; what stands around it fills the gaps.
  readMetadata(facts, fields(value["metadata"]), depth)
  readCodes(facts, value)
  readInner(facts, value)
  // JSON inside the words comes last: it may be an upstream's, but also a request that is quoted.
  readMessage(facts, value, depth)
  facts.param ??= text(value["param"])
  facts.requestId ??= text(value["request_id"])
  facts.contextLimit ??= count(value["n_ctx"])
  facts.contextRequested ??= count(value["n_prompt_tokens"])
  const seconds = number(value["retry_after"])
  if (seconds !== undefined && seconds > 0) facts.retryAfterMillis ??= seconds * 1000
}

const readCodes = (facts: Draft, value: Fields): void => {
  const { code, status, type } = value
  for (const candidate of [code, type, status]) {
    const name = word(candidate)
    // A URL is the type of a problem document (RFC 9457), and no code.
    if (name === undefined || name === "error" || name.includes("/") || facts.codes.includes(name)) continue
    facts.codes.push(name)
  }
  for (const candidate of [code, status, value["status_code"], value["raw_status_code"]]) {
    const claimed = number(candidate)
    if (claimed !== undefined && Number.isInteger(claimed) && claimed >= 400 && claimed <= 599) facts.status ??= claimed
  }
}

const readMessage = (facts: Draft, value: Fields, depth: number): void => {
  const { detail, error, message } = value
  if (typeof message === "string") readWords(facts, message, depth)
  else if (isFields(message)) readValue(facts, message, depth + 1)
  if (typeof error === "string") readWords(facts, error, depth)
  if (typeof detail === "string") readWords(facts, detail, depth)
  for (const problem of items(detail)) {
    const { loc, msg, type } = fields(problem)
    if (typeof msg === "string") facts.messages.push(msg)
    if (typeof type === "string") facts.codes.push(type)
    facts.param ??= text(items(loc).at(-1))
  }
}

const readWords = (facts: Draft, words: string, depth: number): void => {
  const nested = depth < maxDepth ? embedded(words) : undefined
  if (nested !== undefined) readValue(facts, nested, depth + 1)
  if (words.trim() !== "") facts.messages.push(words)
}

/** Azure's inner error, Anthropic's details, and the typed details of Google's APIs. */
const readInner = (facts: Draft, value: Fields): void => {
  const inner = fields(value["innererror"])
  const innerCode = text(inner["code"])
  if (innerCode !== undefined) facts.codes.push(innerCode)
  for (const results of [inner["content_filter_result"], inner["content_filter_results"]]) {
    facts.categories.push(...filteredCategories(results))
  }
  const detailCode = text(fields(value["details"])["error_code"])
  if (detailCode !== undefined) facts.codes.push(detailCode)
  for (const item of items(value["details"])) {
    const { fieldViolations, reason, retryDelay, violations } = fields(item)
    if (typeof reason === "string") facts.codes.push(reason)
    if (typeof retryDelay === "string") facts.retryAfterMillis ??= goDuration(retryDelay)
    facts.param ??= text(fields(items(fieldViolations)[0])["field"])
    for (const violation of items(violations)) {
      const { quotaId, quotaMetric } = fields(violation)
      for (const quota of [quotaId, quotaMetric]) if (typeof quota === "string") facts.quotas.push(quota)
    }
  }
}

/** OpenRouter's metadata: whose limit it is, when it resets, what was flagged, and what the upstream said. */
const readMetadata = (facts: Draft, metadata: Fields, depth: number): void => {
  readValue(facts, metadata["raw"], depth + 1)
  const source = text(metadata["limit_source"])
  if (source !== undefined) facts.codes.push(source)
  facts.resetsAt ??= text(metadata["resets_at"])
  for (const [name, value] of Object.entries(fields(metadata["headers"]))) {
    if (name.toLowerCase() === "x-ratelimit-reset") facts.resetsAt ??= word(value)
  }
  for (const reason of items(metadata["reasons"])) {
    facts.flagged = true
    if (typeof reason === "string") facts.categories.push(reason)
  }
  if ("flagged_input" in metadata) facts.flagged = true
}

/** The categories of a content filter's result that were filtered. */
export const filteredCategories = (results: unknown): Array<string> =>
  Object.entries(fields(results)).flatMap(([category, verdict]) =>
    fields(verdict)["filtered"] === true ? [category] : []
  )

const nestedKeys = ["error", "errors", "message", "detail"]

/** The first error object inside a text: gateways put what their upstream said into their own message. */
export const embedded = (words: string): Fields | undefined => {
  let start = words.indexOf("{")
  // A bound on the work: nobody writes ten braces before the object.
  for (let tries = 0; start !== -1 && tries < 10; tries++) {
    const end = closing(words, start)
    const value = end === undefined ? undefined : json(words.slice(start, end + 1))
    if (isFields(value) && nestedKeys.some((key) => key in value)) return value
    start = words.indexOf("{", start + 1)
  }
  return undefined
}

/** Where the object that begins at `start` ends. */
const closing = (words: string, start: number): number | undefined => {
  let depth = 0
  let quoted = false
  for (let index = start; index < words.length; index++) {
    const character = words[index]
    if (quoted) {
      if (character === "\\") index++
      else if (character === "\"") quoted = false
    } else if (character === "\"") quoted = true
    else if (character === "{") depth++
    else if (character === "}" && --depth === 0) return index
  }
  return undefined
}

/** Whether an event, or a body that should be an answer, is an error. */
export const isError = (body: Fields): boolean => {
  const { choices, error } = body
  if (error !== undefined && error !== null && error !== "" && error !== false) return true
  if (body["object"] === "error" || body["type"] === "error") return true
  if (Array.isArray(body["errors"]) && body["errors"].length > 0 && !Array.isArray(choices)) return true
  return !("choices" in body) && (typeof body["message"] === "string" || "detail" in body)
}
