/**
 * What goes wrong inside an answer: content filters, and errors after a good beginning.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { failure, finishOf, streamed } from "./support/ask.ts"
import * as Wire from "./support/wire.ts"

describe("content filters", () => {
  const refusal = "I cannot help with that."
  const usage = { prompt_tokens: 9, completion_tokens: 3 }

  it.effect("and refusals fail the call, which is paid for all the same", () =>
    Effect.gen(function*() {
      const bodies = [
        [Wire.answer({ content: null, refusal }, {}, { usage }), "whole"],
        [Wire.event(Wire.chunk({ refusal })) + Wire.finishChunk("stop", { usage }) + Wire.done, "stream"]
      ] as const
      for (const [body, mode] of bodies) {
        const { error, receipt } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.strictEqual(error.stage, "answer")
        assert.strictEqual(Redacted.value(error.detail!), refusal)
        assert.notInclude(error.message, refusal)
        assert.strictEqual(receipt.usage.inputUncached, 9)
        assert.strictEqual(receipt.usage.outputText, 3)
      }
    }))

  it.effect("name what they have found", () =>
    Effect.gen(function*() {
      const filtered = {
        finish_reason: "content_filter",
        content_filter_results: { violence: { filtered: true, severity: "high" }, hate: { filtered: false } }
      }
      for (
        const [body, mode] of [
          [Wire.answer({ content: "" }, filtered), "whole"],
          [Wire.event(Wire.chunk({}, filtered)), "stream"]
        ] as const
      ) {
        const { error } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.deepStrictEqual(error.categories, ["violence"])
      }
    }))

  it.effect("interrupt what has begun", () =>
    Effect.gen(function*() {
      for (
        const end of [Wire.finishChunk("content_filter"), Wire.event(Wire.chunk({ refusal })) + Wire.finishChunk()]
      ) {
        const { error } = yield* failure(Wire.textChunk("one") + end + Wire.done, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(Redacted.value(error.partial), "one")
        assert.strictEqual(error.failure?._tag, "ContentFiltered")
      }
    }))
})

describe("errors inside an answer", () => {
  const shapes: { readonly [name: string]: object } = {
    "an error": { error: { message: "slow down", code: 429 } },
    "an error beside no choices": { id: "x", choices: [], error: { message: "slow down", code: 429 } },
    "an error beside a choice": {
      error: { message: "slow down", code: "rate_limit_exceeded" },
      choices: [{ index: 0, delta: { content: "" }, finish_reason: "error" }]
    },
    "a flat error": { object: "error", message: "slow down", code: 429 },
    "an error in an error": { error: { object: "error", message: "slow down", code: 429 } },
    "an error that is a text": { error: "Rate limit reached" },
    "a message alone": { message: "Rate limit reached" }
  }
  for (const [name, error] of Object.entries(shapes)) {
    it.effect(`may be ${name}`, () =>
      Effect.gen(function*() {
        const first = yield* failure(Wire.event(error) + Wire.done, "stream")
        assert.strictEqual(first.error._tag, "RateLimited")
        const later = yield* failure(Wire.textChunk("one") + Wire.event(error) + Wire.done, "stream")
        assert(later.error._tag === "StreamInterrupted")
        assert.strictEqual(later.error.failure?._tag, "RateLimited")
        assert.strictEqual(Redacted.value(later.error.partial), "one")
        const full = yield* failure(JSON.stringify(error), "whole")
        assert.strictEqual(full.error._tag, "RateLimited")
      }))
  }

  it.effect("may be an event of their own, or a field", () =>
    Effect.gen(function*() {
      const named = "event: error\ndata: {\"code\":429,\"status_code\":429}\n\n"
      assert.strictEqual((yield* failure(named, "stream")).error._tag, "RateLimited")
      const field = "error: {\"error\":{\"code\":429}}\n\n"
      assert.strictEqual((yield* failure(`${Wire.event(Wire.chunk({}))}${field}`, "stream")).error._tag, "RateLimited")
    }))

  it.effect("come after the last words, and change nothing", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.textChunk("one") + Wire.finishChunk("length") +
          Wire.event({ error: { code: "too_much" }, usage: { prompt_tokens: 9 } }) + Wire.done
      )
      assert.strictEqual(finishOf(parts).reason, "length")
      assert.strictEqual(finishOf(parts).usage.inputTokens.total, 9)
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { errorAfterFinish: "too_much" })
    }))

  it.effect("may be the choice's own", () =>
    Effect.gen(function*() {
      const body = Wire.answer({ content: "" }, { finish_reason: "error", error: { code: 429, message: "slow down" } })
      assert.strictEqual((yield* failure(body, "whole")).error._tag, "RateLimited")
    }))
})
