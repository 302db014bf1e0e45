/**
 * What Chat Completions and Responses have in common: keys, headers, and the way in which errors are said.
 */
import type { Problem } from "./checked.ts"
import {
  bearerOf,
  type Dialect,
  headerOf,
  type Headers,
  inSeconds,
  ordinalId,
  type Refusal,
  type Said
} from "./dialect.ts"

/** In every response. */
const headers = (ordinal: number, elapsed: number): Headers => ({
  "openai-version": "2020-10-01",
  "openai-processing-ms": String(elapsed),
  "x-request-id": ordinalId("req_", 32, ordinal)
})

/**
 * The headers by which the real API tells its limits; the numbers follow from the request alone.
 */
const limits = (promptTokens: number): Headers => ({
  "x-ratelimit-limit-requests": "10000",
  "x-ratelimit-limit-tokens": "2000000",
  "x-ratelimit-remaining-requests": "9999",
  "x-ratelimit-remaining-tokens": String(Math.max(0, 2_000_000 - promptTokens)),
  "x-ratelimit-reset-requests": "6ms",
  "x-ratelimit-reset-tokens": `${Math.ceil(promptTokens * 0.03)}ms`
})

const article = (kind: string) => `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value

const wordsOf = (problem: Problem): { readonly message: string; readonly code: string } => {
  const { at } = problem
  switch (problem.type) {
    case "missing":
      return { message: `Missing required parameter: '${at}'.`, code: "missing_required_parameter" }
    case "kind":
      return {
        message: `Invalid type for '${at}': expected ${article(problem.expected)}, but got ${
          article(kindOf(problem.value))
        } instead.`,
        code: "invalid_type"
      }
    case "least":
      return {
        message:
          `Invalid '${at}': integer below minimum value. Expected a value >= ${problem.least}, but got ${problem.value} instead.`,
        code: "integer_below_min_value"
      }
    case "other":
      return problem
  }
}

const invalidRequest = (status: number, message: string, code: string | null, param: string | null = null): Said => ({
  status,
  message,
  type: "invalid_request_error",
  code,
  param
})

const ofStatus = (status: number): Said => {
  switch (status) {
    case 401:
      return invalidRequest(status, "Incorrect API key provided.", "invalid_api_key")
    case 403:
      return invalidRequest(status, "You are not allowed to do this.", null)
    case 404:
      return invalidRequest(status, "The model does not exist.", "model_not_found")
    case 429:
      return {
        status,
        message: "Rate limit reached for requests.",
        type: "requests",
        code: "rate_limit_exceeded",
        param: null
      }
    case 503:
      return {
        status,
        message: "The server is currently overloaded. Please try again later.",
        type: "service_unavailable_error",
        code: "server_is_overloaded",
        param: null
      }
    default:
      return status >= 500 || status < 400
        ? {
          status,
          message: "The server had an error while processing your request. Sorry about that!",
          type: "server_error",
          code: null,
          param: null
        }
        : invalidRequest(status, "The request was not valid.", null)
  }
}

const rateLimited = (retryAfter: number | undefined): Said => {
  const message = "Rate limit reached for requests per min (RPM): Limit 10000, Used 10000, Requested 1."
  if (retryAfter === undefined) return { ...ofStatus(429), message }
  const whole = retryAfter % 1000 === 0
  return {
    ...ofStatus(429),
    message: `${message} Please try again in ${whole ? inSeconds(retryAfter) : `${retryAfter}ms`}.`,
    headers: {
      "retry-after": String(Math.ceil(retryAfter / 1000)),
      ...(whole ? undefined : { "retry-after-ms": String(retryAfter) })
    }
  }
}

const refusal = (why: Refusal): Said => {
  switch (why.type) {
    case "status":
      return ofStatus(why.code)
    case "rateLimited":
      return rateLimited(why.retryAfter)
    case "overloaded":
      return ofStatus(503)
    case "contextLengthExceeded":
      return invalidRequest(
        400,
        `This model's maximum context length is ${why.limit} tokens. However, your messages resulted in ` +
          `${why.requested} tokens. Please reduce the length of the messages.`,
        "context_length_exceeded",
        "messages"
      )
    case "contentFiltered":
      return invalidRequest(
        400,
        "Your request was rejected as a result of our safety system.",
        "content_policy_violation"
      )
    case "insufficientQuota":
      return {
        status: 429,
        message: "You exceeded your current quota, please check your plan and billing details.",
        type: "insufficient_quota",
        code: "insufficient_quota",
        param: null
      }
    case "unknownPath":
      return invalidRequest(404, `Invalid URL (${why.method} ${why.path})`, null)
    case "wrongMethod":
      return {
        ...invalidRequest(405, `Not allowed to ${why.method} on ${why.path}.`, "method_not_supported"),
        headers: { allow: why.allow }
      }
    case "missingKey":
      return invalidRequest(401, "You didn't provide an API key.", null)
    case "wrongKey":
      return ofStatus(401)
    case "tooLarge":
      return invalidRequest(413, `The body is larger than ${why.limit} bytes.`, null)
    case "notJson":
      return invalidRequest(400, "We could not parse the JSON body of your request.", null)
    case "invalid": {
      const { code, message } = wordsOf(why.problem)
      return invalidRequest(400, message, code, why.problem.at)
    }
    case "unknownModel":
      return invalidRequest(
        404,
        `The model \`${why.model}\` does not exist or you do not have access to it.`,
        "model_not_found"
      )
    case "prefillRejected":
      return invalidRequest(
        400,
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        null
      )
    case "defect":
      return { ...ofStatus(500), message: why.message }
  }
}

/** Everything but what is asked and answered. */
export const openAi = {
  jsonType: "application/json",
  // Its words are those for whoever asks in no other's way
  speaks: () => false,
  keyOf: (target) => bearerOf(target) ?? headerOf(target, "api-key"),
  headers,
  limits,
  refusal,
  errorBody: ({ code, message, param, type }) => ({ error: { message, type, param, code } }),
  models: (names) => ({
    object: "list",
    data: names.map((id) => ({ id, object: "model", created: 1_735_689_600, owned_by: "bulwark" }))
  }),
  blocksPrompts: false
} satisfies Partial<Dialect>
