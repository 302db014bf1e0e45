import { assert, describe, it } from "@effect/vitest"
import { rateLimits } from "../../../src/providers/internal/rateLimits.ts"

const now = Date.UTC(2026, 10, 21)

describe("rate limit headers", () => {
  it("are read as OpenAI sends them", () => {
    assert.deepStrictEqual(
      rateLimits({
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
        "content-type": "application/json"
      }, now),
      [
        { resource: "requests", limit: 500, remaining: 499, resetsAt: now + 120 },
        { resource: "tokens", limit: 200_000, remaining: 0, resetsAt: now + 360_000 }
      ]
    )
  })

  it("are read as Anthropic sends them", () => {
    assert.deepStrictEqual(
      rateLimits({
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-21T00:00:02Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "12000",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-21T00:01:00Z"
      }, now),
      [
        { resource: "requests", limit: 50, remaining: 49, resetsAt: now + 2_000 },
        { resource: "input-tokens", limit: 30_000, remaining: 12_000, resetsAt: now + 60_000 }
      ]
    )
  })

  it("say what can be read of them, and nothing that cannot", () => {
    assert.deepStrictEqual(rateLimits({ "x-ratelimit-remaining-requests": "many" }, now), [
      { resource: "requests", limit: undefined, remaining: undefined, resetsAt: undefined }
    ])
    // A reset that has passed is none.
    assert.deepStrictEqual(
      rateLimits({
        "x-ratelimit-remaining-tokens": " 7 ",
        "x-ratelimit-reset-tokens": "2026-11-20T00:00:00Z"
      }, now),
      [{ resource: "tokens", limit: undefined, remaining: 7, resetsAt: undefined }]
    )
    assert.deepStrictEqual(rateLimits({ "retry-after": "3" }, now), [])
  })
})
