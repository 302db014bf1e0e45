/**
 * How Anthropic says that it does not answer.
 */
import type { Kind, Problem } from "./checked.ts"
import type { Refusal, Said } from "./dialect.ts"

const types: { readonly [status: number]: readonly [type: string, message: string] } = {
  400: ["invalid_request_error", "The request was not valid."],
  401: ["authentication_error", "invalid x-api-key"],
  402: ["billing_error", "There is a problem with your billing or payment information."],
  403: ["permission_error", "Your API key does not have permission to use the specified resource."],
  404: ["not_found_error", "Not found"],
  409: ["conflict_error", "The request conflicts with the current state of the resource."],
  413: ["request_too_large", "Request exceeds the maximum size"],
  429: ["rate_limit_error", "This request would exceed your account's rate limit. Please try again later."],
  504: ["timeout_error", "Request timed out"],
  529: ["overloaded_error", "Overloaded"]
}

/** The API tells its clients whether to try again. */
const shouldRetry = (status: number): boolean => status === 408 || status === 409 || status === 429 || status >= 500

const say = (status: number, message?: string, headers?: Readonly<Record<string, string>>): Said => {
  const [type, usual] = types[status] ??
    (status >= 400 && status < 500 ? ["invalid_request_error", "The request was not valid."] : [
      "api_error",
      "Internal server error"
    ])
  return {
    status,
    message: message ?? usual,
    type,
    code: null,
    param: null,
    headers: { "x-should-retry": String(shouldRetry(status)), ...headers }
  }
}

const kinds: { readonly [Name in Kind]: string } = {
  object: "an object",
  array: "a valid list",
  string: "a valid string",
  boolean: "a valid boolean",
  integer: "a valid integer"
}

const wordsOf = (problem: Problem): string => {
  switch (problem.type) {
    case "missing":
      return `${problem.at}: Field required`
    case "kind":
      return `${problem.at}: Input should be ${kinds[problem.expected]}`
    case "least":
      return `${problem.at}: must be greater than or equal to ${problem.least}`
    case "other":
      return problem.message
  }
}

/** `timeIn` formats the time that is so many milliseconds from now. */
export const messagesRefusal = (why: Refusal, timeIn: (millis: number) => string): Said => {
  switch (why.type) {
    case "status":
      return say(why.code)
    case "rateLimited":
      return say(
        429,
        "This request would exceed your organization's rate limit of 4,000 requests per minute.",
        why.retryAfter === undefined ? undefined : {
          "retry-after": String(Math.ceil(why.retryAfter / 1000)),
          "anthropic-ratelimit-requests-limit": "4000",
          "anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": timeIn(Math.ceil(why.retryAfter / 1000) * 1000)
        }
      )
    case "overloaded":
      return say(529)
    case "contextLengthExceeded":
      return say(400, `prompt is too long: ${why.requested} tokens > ${why.limit} maximum`)
    case "contentFiltered":
      return say(400, "Output blocked by content filtering policy")
    case "insufficientQuota":
      return say(
        400,
        "Your credit balance is too low to access the Anthropic API. " +
          "Please go to Plans & Billing to upgrade or purchase credits."
      )
    case "unknownPath":
      return say(404)
    case "wrongMethod":
      return say(405, "Method Not Allowed", { allow: why.allow })
    case "missingKey":
      return say(401, "x-api-key header is required")
    case "wrongKey":
      return say(401)
    case "tooLarge":
      return say(413)
    case "notJson":
      return say(400, "The request body is not valid JSON")
    case "invalid":
      return say(400, wordsOf(why.problem))
    case "unknownModel":
      return say(404, `model: ${why.model}`)
    case "prefillRejected":
      return say(
        400,
        "This model does not support assistant message prefill. The conversation must end with a user message."
      )
    case "defect":
      return say(500, why.message)
  }
}
