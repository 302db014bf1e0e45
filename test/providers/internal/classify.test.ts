/**
 * What failures are taken for, by codes, statuses and words as providers document them.
 */
import { assert, describe, it } from "@effect/vitest"
import { LlmError } from "effect-bulwark"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { classifyInBand, classifyResponse, type Failure } from "../../../src/providers/internal/classify.ts"
import { kindOfStatus } from "../../../src/providers/internal/classifyCodes.ts"
import { classifyConnection } from "../../../src/providers/internal/classifyTransport.ts"

const now = Date.UTC(2026, 0, 15, 12, 0, 0)

const origin = { provider: "p", model: "m", secrets: ["sk-secret-key"] }

const classify = (
  status: number,
  body: unknown,
  headers: { readonly [name: string]: string } = {}
): Failure => classifyResponse({ origin, status, headers, now }, typeof body === "string" ? body : JSON.stringify(body))

const inBand = (body: unknown): Failure => classifyInBand({ origin, status: 200, headers: {}, now }, body)

const millis = (failure: Failure): number | undefined =>
  failure.retryAfter === undefined ? undefined : Duration.toMillis(failure.retryAfter)

const openai = (
  message: string,
  code: string | number | null = null,
  type: string | null = "invalid_request_error"
) => ({
  error: { message, type, param: null, code }
})

describe("statuses, when nothing more is known", () => {
  const expected: { readonly [tag: string]: ReadonlyArray<number> } = {
    InvalidRequest: [400, 405, 413, 415, 418, 422, 424, 501],
    AuthenticationFailed: [401],
    QuotaExhausted: [402],
    PermissionDenied: [403],
    RequestTimeout: [408, 504, 524],
    RateLimited: [429],
    ServerError: [409, 499, 500, 502, 505, 520, 521, 522, 523, 525, 526, 530],
    Overloaded: [498, 503, 529]
  }
  for (const [tag, statuses] of Object.entries(expected)) {
    for (const status of statuses) {
      it(`${status} is ${tag}`, () => {
        for (const body of ["", "{}", "nonsense", "<!DOCTYPE html><h1>no</h1>", "error code: 1", "[]", "null", "0"]) {
          const failure = classify(status, body)
          assert.strictEqual(failure._tag, tag, body)
          assert.strictEqual(failure.status, status)
        }
      })
    }
  }

  it("404 is a model only where the words name one", () => {
    assert.strictEqual(classify(404, openai("The model `x` does not exist"))._tag, "ModelNotFound")
    assert.strictEqual(
      classify(404, openai("The API deployment for this resource does not exist."))._tag,
      "ModelNotFound"
    )
    assert.strictEqual(classify(404, { detail: "Not Found" })._tag, "InvalidRequest")
    assert.strictEqual(classify(404, "")._tag, "InvalidRequest")
    assert.strictEqual(classify(404, "<html>models</html>")._tag, "InvalidRequest")
    assert.strictEqual(classify(404, openai("Invalid URL (POST /v1/models/chat)"))._tag, "InvalidRequest")
    assert.strictEqual(kindOfStatus(404), "ModelNotFound")
  })
})

describe("codes beat statuses", () => {
  const cases: ReadonlyArray<readonly [status: number, code: string, tag: string]> = [
    [400, "model_not_found", "ModelNotFound"],
    [403, "model_not_found", "ModelNotFound"],
    [400, "model_decommissioned", "ModelNotFound"],
    [404, "DeploymentNotFound", "ModelNotFound"],
    [429, "insufficient_quota", "QuotaExhausted"],
    [429, "organization_spend_limit_exceeded", "QuotaExhausted"],
    [400, "billing_hard_limit_reached", "QuotaExhausted"],
    [429, "1113", "QuotaExhausted"],
    [401, "PermissionDenied", "PermissionDenied"],
    [403, "unsupported_country_region_territory", "PermissionDenied"],
    [400, "context_length_exceeded", "ContextLengthExceeded"],
    [400, "string_above_max_length", "InvalidRequest"],
    [400, "content_filter", "ContentFiltered"],
    [400, "content_policy_violation", "ContentFiltered"],
    [400, "invalid_prompt", "ContentFiltered"],
    [429, "slow_down", "RateLimited"],
    [429, "RateLimitReached", "RateLimited"],
    [503, "server_is_overloaded", "Overloaded"],
    [498, "capacity_exceeded", "Overloaded"],
    [400, "tool_use_failed", "MalformedResponse"],
    [500, "timeout_error", "RequestTimeout"],
    [404, "previous_response_not_found", "InvalidRequest"],
    [404, "invalid_encrypted_content", "InvalidRequest"],
    [500, "invalid_base64_image", "InvalidRequest"],
    [500, "failed_to_download_image", "InvalidRequest"],
    [400, "image_content_policy_violation", "ContentFiltered"],
    [400, "bio_policy", "ContentFiltered"],
    [400, "misalignment_policy_violation", "ContentFiltered"],
    [400, "data_residency_mismatch", "PermissionDenied"],
    [500, "vector_store_timeout", "RequestTimeout"]
  ]
  for (const [status, code, tag] of cases) {
    it(`${status} ${code} is ${tag}`, () => {
      assert.strictEqual(classify(status, openai("words", code))._tag, tag)
      assert.strictEqual(classify(status, openai("words", null, code))._tag, tag)
      assert.strictEqual(classify(status, { object: "error", message: "words", code })._tag, tag)
      assert.strictEqual(inBand(openai("words", code))._tag, tag)
    })
  }

  it("and a type may stand for a status, where there is none", () => {
    const exchange = { origin, status: 200, headers: {}, now }
    const statuses = { invalid_request_error: 400 }
    const failure = classifyInBand(exchange, openai("words"), statuses)
    assert.strictEqual(failure._tag, "InvalidRequest")
    assert.strictEqual(failure.status, 400)
    assert.strictEqual(classifyInBand(exchange, openai("words", 503), statuses)._tag, "Overloaded")
    assert.strictEqual(classifyInBand(exchange, openai("words", "slow_down"), statuses)._tag, "RateLimited")
    assert.strictEqual(classifyInBand(exchange, openai("words"))._tag, "ServerError")
  })

  it("but not those that name more than one thing", () => {
    assert.strictEqual(
      classify(401, openai("Authentication Fails", "invalid_request_error"))._tag,
      "AuthenticationFailed"
    )
    assert.strictEqual(classify(402, openai("Insufficient Balance", "invalid_request_error"))._tag, "QuotaExhausted")
    assert.strictEqual(classify(400, openai("cannot use tools", null, "api_error"))._tag, "InvalidRequest")
    assert.strictEqual(classify(503, openai("try later", null, "server_error"))._tag, "Overloaded")
  })
})

describe("words", () => {
  const context: ReadonlyArray<readonly [status: number, words: string, limit?: number, requested?: number]> = [
    [
      400,
      "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
      4096,
      5000
    ],
    [
      400,
      "This model's maximum context length is 4,096 tokens. However, you requested 5,000 tokens (4,000 in the messages).",
      4096,
      5000
    ],
    [
      400,
      "This model's maximum context length is 100 tokens. However, you requested 50 output tokens and your prompt contains at " +
      "least 80 input tokens, for a total of at least 130 tokens.",
      100,
      130
    ],
    [
      400,
      "'max_tokens' is too large: 60. This model's maximum context length is 100 tokens and your request has 50 input tokens",
      100,
      110
    ],
    [400, "The decoder prompt (length 70) is longer than the maximum model length of 60.", 60, 70],
    [400, "The input (90 tokens) is longer than the model's context length (80 tokens).", 80, 90],
    [400, "prompt is too long: 210000 tokens > 200000 maximum", 200_000, 210_000],
    [400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", 200_000, 210_000],
    [400, "The input token count (300) exceeds the maximum number of tokens allowed (200).", 200, 300],
    [400, "request (9000 tokens) exceeds the available context size (8192 tokens)", 8192, 9000],
    [500, "Context size has been exceeded."],
    [
      400,
      "Prompt contains 900 tokens and 0 draft tokens, too large for model with 800 maximum context length",
      800,
      900
    ],
    [
      422,
      "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4000 `inputs` tokens and 512 `max_new_tokens`",
      4097,
      4512
    ],
    [400, "This model's maximum prompt length is 131072 but the request contains 140000 tokens.", 131_072, 140_000],
    [400, "(n_keep: 5000 >= n_ctx: 4096)", 4096, 5000],
    [
      400,
      "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of " +
      "only 4096 tokens",
      4096,
      5000
    ],
    [
      400,
      "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
      8192,
      9000
    ],
    [400, "prompt too long; exceeded max context length by 12 tokens"],
    [400, "Your input exceeds the context window of this model."],
    [400, "too many tokens: size limit exceeded by 30 tokens"],
    [403, "The maximum context length is 8192 for this model", 8192],
    [413, "prompt is too long"]
  ]
  for (const [status, words, limit, requested] of context) {
    it(`context: ${words}`, () => {
      for (const failure of [classify(status, openai(words)), inBand({ error: words })]) {
        assert(failure._tag === "ContextLengthExceeded")
        assert.strictEqual(failure.limit, limit)
        assert.strictEqual(failure.requested, requested)
      }
    })
  }

  const others: ReadonlyArray<readonly [status: number, words: string, tag: string]> = [
    [400, "max_tokens is too large: 9000. This model supports at most 4096 completion tokens.", "InvalidRequest"],
    [400, "Invalid 'user': string too long. Expected a string with maximum length 64.", "InvalidRequest"],
    [400, "Your credit balance is too low to access the API.", "QuotaExhausted"],
    [403, "Key limit exceeded. Manage it in the settings.", "QuotaExhausted"],
    [429, "You exceeded your current quota, please check your plan and billing details.", "QuotaExhausted"],
    [429, "Rate limit reached. Manage billing at https://example.com/settings/billing", "RateLimited"],
    [429, "Your rate limit is 60 queries per minute.", "RateLimited"],
    [400, "Incorrect API key provided. You can obtain one in the console.", "AuthenticationFailed"],
    [400, "API key not valid. Please pass a valid API key.", "AuthenticationFailed"],
    [400, "User location is not supported for the API use.", "PermissionDenied"],
    [400, "acme/unknown is not a valid model ID", "ModelNotFound"],
    [404, "No endpoints found that support tool use", "ModelNotFound"],
    [404, "No allowed providers are available for the selected model.", "ModelNotFound"],
    [
      400,
      "The response was filtered due to the prompt triggering Azure OpenAI’s content management policy.",
      "ContentFiltered"
    ],
    [403, "Your chosen model requires moderation and your input was flagged", "ContentFiltered"],
    [500, "Overloaded", "Overloaded"],
    [500, "we saw your prompt violating our usage policy and crashed", "ServerError"],
    [429, "No capacity available for model x", "Overloaded"],
    [522, "the origin is overloaded", "ServerError"]
  ]
  for (const [status, words, tag] of others) {
    it(`${status}: ${words}`, () => assert.strictEqual(classify(status, openai(words))._tag, tag))
  }

  it("tell what a policy held back", () => {
    const failure = classify(400, openai("Output blocked by content filtering policy"))
    assert(failure._tag === "ContentFiltered")
    assert.strictEqual(failure.stage, "answer")
  })

  it("decide alone inside a stream that names no status", () => {
    assert.strictEqual(inBand({ error: { message: "Rate limit reached for requests" } })._tag, "RateLimited")
    assert.strictEqual(inBand({ error: { message: "The model is overloaded" } })._tag, "Overloaded")
    assert.strictEqual(inBand({ error: { message: "Request timed out" } })._tag, "RequestTimeout")
    assert.strictEqual(inBand({ error: { message: "boom" } })._tag, "ServerError")
    assert.strictEqual(inBand({ error: {} })._tag, "ServerError")
    assert.isUndefined(inBand({ error: {} }).status)
  })
})

describe("Google's quotas", () => {
  const google = (
    details: ReadonlyArray<unknown>,
    message = "You exceeded your current quota, please check your plan"
  ) => ({
    error: { code: 429, status: "RESOURCE_EXHAUSTED", message, details }
  })

  it("are rate limits, in the same words as OpenAI's empty account", () => {
    const failure = classify(
      429,
      google([
        { violations: [{ quotaId: "InputTokensPerModelPerMinute", quotaMetric: "input_token_count" }] },
        { retryDelay: "34.4s" }
      ])
    )
    assert.strictEqual(failure._tag, "RateLimited")
    assert.strictEqual(millis(failure), 34_400)
  })

  it("are exhausted by the day, far away, or never granted", () => {
    assert.strictEqual(classify(429, google([{ violations: [{ quotaId: "RequestsPerDay" }] }]))._tag, "QuotaExhausted")
    assert.strictEqual(classify(429, google([{ retryDelay: "4000s" }]))._tag, "QuotaExhausted")
    assert.strictEqual(classify(429, google([], "Quota exceeded, limit: 0"))._tag, "QuotaExhausted")
  })

  it("may be a lack of capacity", () => {
    assert.strictEqual(classify(429, google([{ reason: "MODEL_CAPACITY_EXHAUSTED" }]))._tag, "Overloaded")
  })

  it("come in arrays, too", () => {
    assert.strictEqual(classify(429, [google([])])._tag, "RateLimited")
  })

  it("are trusted where a gateway says 500", () => {
    const failure = classify(500, { error: { code: 429, message: "slow" } })
    assert.strictEqual(failure._tag, "RateLimited")
    assert.strictEqual(failure.status, 429)
  })
})

describe("bodies of any shape", () => {
  const words = "Insufficient Balance"
  const shapes: { readonly [name: string]: unknown } = {
    "an error object": { error: { message: words } },
    "an error text": { error: words },
    "a code beside it": { code: "invalid-argument", error: words },
    "flat": { object: "error", message: words },
    "a message alone": { message: words },
    "a detail": { detail: words },
    "details": { detail: [{ msg: words, loc: ["body", "x"] }] },
    "a message that is an object": { message: { detail: [{ msg: words }] } },
    "a list of errors": { errors: [{ message: words, code: 8007 }], success: false },
    "an array": [{ error: { message: words } }],
    "wrapped by a gateway": {
      error: { message: "Provider returned error", metadata: { raw: { error: { message: words } } } }
    },
    "wrapped as text": {
      error: { message: "Provider returned error", metadata: { raw: JSON.stringify({ error: { message: words } }) } }
    },
    "JSON in a message": { error: { message: JSON.stringify({ error: { message: words } }) } },
    "JSON inside words": {
      error: { message: `Error from {provider}: ${JSON.stringify({ error: { message: words } })} at f:1` }
    },
    "plain text": words
  }
  for (const [name, body] of Object.entries(shapes)) {
    it(name, () => {
      const text = typeof body === "string" ? body : JSON.stringify(body)
      for (const padded of [text, `\uFEFF\n\n  ${text}\n`]) {
        const failure = classify(400, padded)
        assert.strictEqual(failure._tag, "QuotaExhausted")
        assert.include(Redacted.value(failure.detail!), words)
      }
    })
  }

  it("never throw, however deep or strange", () => {
    const deep = "[".repeat(5000) + "]".repeat(5000)
    const nested = Array.from({ length: 30 }).reduce<unknown>((inner) => ({ error: inner }), { message: "x" })
    for (
      const body of [deep, "{".repeat(2000), JSON.stringify(nested), "{\"error\":[null]}", "{\"error\":{\"code\":{}}}"]
    ) {
      assert.strictEqual(classify(500, body)._tag, "ServerError")
    }
  })

  it("that quote the request are not taken in by it", () => {
    const quote = JSON.stringify({ error: { message: "x", code: "rate_limit_exceeded" } })
    assert.strictEqual(classify(400, openai(`cannot read ${quote}`, "invalid_value"))._tag, "InvalidRequest")
  })

  it("may hold numbers that are none", () => {
    const failure = classify(400, {
      error: { code: 400, type: "exceed_context_size_error", message: "", n_ctx: 1.5, n_prompt_tokens: "x" }
    })
    assert(failure._tag === "ContextLengthExceeded")
    assert.isUndefined(failure.limit)
  })

  it("of web pages are nobody's words", () => {
    const failure = classify(502, "<html><h1>insufficient_quota</h1></html>")
    assert.strictEqual(failure._tag, "ServerError")
    assert.isUndefined(failure.detail)
  })
})

describe("rate limits", () => {
  const scopes: ReadonlyArray<readonly [body: unknown, scope: string | undefined]> = [
    [
      openai(
        "Rate limit reached on tokens per min (TPM): Limit 300, Used 200, Requested 150",
        "rate_limit_exceeded",
        "tokens"
      ),
      "tokens"
    ],
    [openai("Rate limit reached", "rate_limit_exceeded", "requests"), "requests"],
    [openai("on tokens per day (TPD): Limit 100", "rate_limit_exceeded", "tokens"), "day"],
    [openai("have exceeded call rate limit of your tier", "429", null), "requests"],
    [openai("have exceeded token rate limit of your tier", "429", null), "tokens"],
    [
      { error: { code: 429, message: "busy", metadata: { limit_source: "upstream_provider_shared_pool" } } },
      "upstream"
    ],
    [openai("Rate limit reached"), undefined]
  ]
  for (const [body, scope] of scopes) {
    it(`have a scope: ${scope}`, () => {
      const failure = classify(429, body)
      assert(failure._tag === "RateLimited")
      assert.strictEqual(failure.scope, scope)
      assert.isTrue(LlmError.isTransient(failure))
    })
  }

  it("that one request exceeds cannot be waited for", () => {
    for (
      const words of [
        "Request too large for m on tokens per min (TPM): Limit 300, Requested 315.",
        "on tokens per min (TPM): Limit 300, Requested 315."
      ]
    ) {
      assert.isFalse(LlmError.isTransient(classify(429, openai(words, "rate_limit_exceeded"))))
      assert.isFalse(LlmError.isTransient(classify(413, openai(words, "rate_limit_exceeded"))))
    }
  })

  it("in flight pass when what is in flight has landed", () => {
    const failure = classify(
      402,
      { error: { code: 402, message: "busy", metadata: { limit_source: "openrouter_in_flight_budget" } } },
      { "retry-after": "2" }
    )
    assert(failure._tag === "RateLimited")
    assert.strictEqual(failure.scope, "concurrency")
    assert.strictEqual(millis(failure), 2000)
  })

  it("say when, by header first, then by word, then by bucket", () => {
    const buckets = { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7s" }
    const words = openai("Please try again in 3s")
    assert.strictEqual(millis(classify(429, words, { ...buckets, "retry-after": "9" })), 9000)
    assert.strictEqual(millis(classify(429, words, buckets)), 3000)
    assert.strictEqual(millis(classify(429, "", buckets)), 7000)
    assert.strictEqual(millis(classify(400, words, buckets)), undefined)
    assert.strictEqual(millis(classify(503, { retry_after: 120 })), 120_000)
  })

  it("of a day say when the day ends", () => {
    const failure = classify(429, {
      error: {
        code: 429,
        message: "free-models-per-day",
        metadata: { headers: { "X-RateLimit-Reset": String(now + 5000) } }
      }
    })
    assert(failure._tag === "QuotaExhausted")
    assert.strictEqual(DateTime.toEpochMillis(failure.resetsAt!), now + 5000)
  })
})

describe("what an error carries", () => {
  it("has the provider's word on trying again", () => {
    assert.isTrue(LlmError.isTransient(classify(400, "", { "x-should-retry": "true" })))
    assert.isFalse(LlmError.isTransient(classify(500, "", { "x-should-retry": "false" })))
    assert.isTrue(LlmError.isTransient(classify(500, "", { "x-should-retry": "maybe" })))
  })

  it("has the id of the request, wherever it stands", () => {
    for (const header of ["x-request-id", "apim-request-id", "mistral-correlation-id", "x-ds-trace-id", "cf-ray"]) {
      assert.strictEqual(classify(500, "", { [header]: "req_1" }).requestId, "req_1")
    }
    assert.strictEqual(classify(500, { request_id: "req_2" }).requestId, "req_2")
    assert.strictEqual(
      classify(503, openai("Please include the request ID ba26ecc19b891d51c802 in your message.")).requestId,
      "ba26ecc19b891d51c802"
    )
    assert.isUndefined(classify(500, openai("no request id was given to the application")).requestId)
    assert.isUndefined(classify(500, "", { "x-request-id": "not an id" }).requestId)
  })

  it("has a code only where it looks like one", () => {
    assert.strictEqual(classify(500, openai("x", "some.code:1-2_3")).code, "some.code:1-2_3")
    assert.strictEqual(classify(500, openai("x", 500, "server_error")).code, "server_error")
    assert.strictEqual(classify(500, openai("x", "what the user wrote", "t")).code, "t")
    assert.isUndefined(classify(500, openai("x", "sk-secret-key", null)).code)
    assert.isUndefined(classify(500, openai("x", "c".repeat(65), null)).code)
  })

  it("has the parameter at fault", () => {
    const failure = classify(400, { error: { message: "x", param: "messages[0].role" } })
    assert(failure._tag === "InvalidRequest")
    assert.strictEqual(failure.parameter, "messages[0].role")
    const prompt = classify(400, { error: { message: "x", param: "tell me why" } })
    assert(prompt._tag === "InvalidRequest")
    assert.isUndefined(prompt.parameter)
  })

  it("has what a filter found", () => {
    const failure = classify(400, {
      error: {
        code: "content_filter",
        message: "filtered",
        innererror: {
          content_filter_result: {
            hate: { filtered: true },
            violence: { filtered: false },
            jailbreak: { filtered: true }
          }
        }
      }
    })
    assert(failure._tag === "ContentFiltered")
    assert.deepStrictEqual(failure.categories, ["hate", "jailbreak"])
    assert.strictEqual(failure.stage, "prompt")
  })

  it("has the provider's words, without secrets, and not too many", () => {
    const failure = classify(400, openai(`your key sk-secret-key is ${"long ".repeat(500)}`))
    const detail = Redacted.value(failure.detail!)
    assert.include(detail, "<redacted>")
    assert.notInclude(detail, "sk-secret-key")
    assert.strictEqual(detail.length, 500)
    assert.notInclude(failure.message, "long")
  })
})

describe("connections", () => {
  const error = (code: string) => new TypeError("fetch failed", { cause: Object.assign(new Error("x"), { code }) })

  it("that fail are transient, but for certificates", () => {
    for (const code of ["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_SOCKET"]) {
      const failure = classifyConnection(origin, error(code))
      assert.strictEqual(failure._tag, "ConnectionFailed")
      assert.strictEqual(failure.code, code)
      assert.isTrue(LlmError.isTransient(failure))
    }
    for (const code of ["SELF_SIGNED_CERT_IN_CHAIN", "CERT_HAS_EXPIRED", "ERR_TLS_CERT_ALTNAME_INVALID"]) {
      assert.isFalse(LlmError.isTransient(classifyConnection(origin, error(code))))
    }
  })

  it("may have been given up on", () => {
    assert.strictEqual(classifyConnection(origin, error("UND_ERR_HEADERS_TIMEOUT"))._tag, "RequestTimeout")
    assert.strictEqual(classifyConnection(origin, new DOMException("x", "TimeoutError"))._tag, "RequestTimeout")
  })

  it("may fail with anything", () => {
    for (const strange of [undefined, null, "x", 1, {}, new AggregateError([error("ECONNREFUSED")])]) {
      assert.strictEqual(classifyConnection(origin, strange)._tag, "ConnectionFailed")
    }
  })
})
