/**
 * How Google's APIs say that they do not answer.
 */
import type { Kind, Problem } from "./checked.ts"
import { inSeconds, type Refusal, type Said } from "./dialect.ts"

const statuses: { readonly [code: number]: readonly [status: string, message: string] } = {
  400: ["INVALID_ARGUMENT", "Request contains an invalid argument."],
  401: ["UNAUTHENTICATED", "Request had invalid authentication credentials."],
  403: ["PERMISSION_DENIED", "The caller does not have permission"],
  404: ["NOT_FOUND", "Requested entity was not found."],
  409: ["ABORTED", "The operation was aborted."],
  429: ["RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."],
  499: ["CANCELLED", "The operation was cancelled."],
  500: ["INTERNAL", "An internal error has occurred. Please retry or report."],
  501: ["UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."],
  503: ["UNAVAILABLE", "The model is overloaded. Please try again later."],
  504: ["DEADLINE_EXCEEDED", "Deadline expired before operation could complete."]
}

const type = (name: string) => `type.googleapis.com/google.rpc.${name}`

const say = (status: number, message?: string, more?: Partial<Said>): Said => {
  const [name, usual] = statuses[status] ?? statuses[status >= 400 && status < 500 ? 400 : 500] ??
    ["UNKNOWN", "An unknown error has occurred."]
  return { status, message: message ?? usual, type: name, code: null, param: null, ...more }
}

const quota = (
  message: string,
  name: string,
  period: "Minute" | "Day",
  limit: number,
  retryAfter: number | undefined
): Said => {
  const metric = `generativelanguage.googleapis.com/${name}`
  const wait = retryAfter === undefined ? "" : `\nPlease retry in ${inSeconds(retryAfter)}.`
  return say(429, `${message}\n* Quota exceeded for metric: ${metric}, limit: ${limit}${wait}`, {
    details: [
      {
        "@type": type("Help"),
        links: [{
          description: "Learn more about Gemini API quotas",
          url: "https://ai.google.dev/gemini-api/docs/rate-limits"
        }]
      },
      {
        "@type": type("QuotaFailure"),
        violations: [{
          quotaMetric: metric,
          quotaId: `GenerateRequestsPer${period}PerProjectPerModel`,
          quotaDimensions: { location: "global" },
          quotaValue: String(limit)
        }]
      },
      ...(retryAfter === undefined ? [] : [{ "@type": type("RetryInfo"), retryDelay: inSeconds(retryAfter) }])
    ]
  })
}

const exceeded = "You exceeded your current quota, please check your plan and billing details. For more information " +
  "on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."

const kinds: { readonly [Name in Kind]: string } = {
  object: "MESSAGE",
  array: "LIST",
  string: "TYPE_STRING",
  boolean: "TYPE_BOOL",
  integer: "TYPE_INT32"
}

const wordsOf = (problem: Problem): string => {
  const name = problem.at.split(".").at(-1) ?? ""
  switch (problem.type) {
    case "missing":
      return `* GenerateContentRequest.${problem.at}: ${name} is not specified\n`
    case "kind":
      return `Invalid value at '${problem.at}' (${kinds[problem.expected]}), ${JSON.stringify(problem.value)}`
    case "least":
      return `* GenerateContentRequest.${problem.at}: ${name} must be positive.\n`
    case "other":
      return problem.message
  }
}

export const geminiRefusal = (why: Refusal): Said => {
  switch (why.type) {
    case "status":
      return say(why.code)
    case "rateLimited":
      return quota(exceeded, "generate_content_paid_tier_requests", "Minute", 1000, why.retryAfter)
    case "overloaded":
      return say(503)
    case "contextLengthExceeded":
      return say(
        400,
        `The input token count (${why.requested}) exceeds the maximum number of tokens allowed (${why.limit}).`
      )
    case "contentFiltered":
      return say(400, "The response was blocked.")
    case "insufficientQuota":
      return quota(exceeded, "generate_content_free_tier_requests", "Day", 250, undefined)
    // It does not tell a wrong method from a wrong path
    case "unknownPath":
    case "wrongMethod":
      return say(404)
    case "missingKey":
      return say(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other " +
          "form of API consumer identity to call this API."
      )
    case "wrongKey":
      return say(400, "API key not valid. Please pass a valid API key.", { code: "API_KEY_INVALID" })
    case "tooLarge":
      return say(400, `Request payload size exceeds the limit: ${why.limit} bytes.`)
    case "notJson":
      return say(400, "Invalid JSON payload received. Unexpected end of string.")
    case "invalid": {
      const { problem } = why
      return say(400, wordsOf(problem), { param: problem.at })
    }
    case "unknownModel":
      return say(
        404,
        `models/${why.model} is not found for API version v1beta, or is not supported for generateContent. ` +
          "Call ModelService.ListModels to see the list of available models and their supported methods."
      )
    case "prefillRejected":
      return say(400, "Please ensure that the last content has the role user.")
    case "defect":
      return say(500, why.message)
  }
}

export const geminiErrorBody = ({ code, details = [], message, param, status, type: name }: Said): object => {
  const all = [
    ...(code === null ? [] : [{
      "@type": type("ErrorInfo"),
      reason: code,
      domain: "googleapis.com",
      metadata: { service: "generativelanguage.googleapis.com" }
    }]),
    ...details,
    ...(param === null ? [] : [{
      "@type": type("BadRequest"),
      fieldViolations: [{ field: param, description: message }]
    }])
  ]
  return {
    error: {
      code: status,
      message,
      status: name,
      ...(all.length === 0 ? undefined : { details: all })
    }
  }
}
