/**
 * How answers end and what they cost, in the spellings of all servers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failure, finishOf, ofType, streamed, text, thoughts, whole } from "./support/ask.ts"
import * as Wire from "./support/wire.ts"

describe("usage", () => {
  const usageOf = (usage: unknown) =>
    Effect.map(whole(Wire.answer({ content: "x" }, {}, { usage })), (parts) => finishOf(parts).usage)

  it.effect("includes what is cached and what is thought", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* usageOf({
          prompt_tokens: 100,
          completion_tokens: 30,
          total_tokens: 130,
          prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 10 },
          completion_tokens_details: { reasoning_tokens: 20 }
        }),
        {
          inputTokens: { uncached: 30, total: 100, cacheRead: 60, cacheWrite: 10 },
          outputTokens: { total: 30, text: 10, reasoning: 20 }
        }
      )
    }))

  it.effect("is never negative", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* usageOf({
          prompt_tokens: 7,
          completion_tokens: 10,
          prompt_tokens_details: { cached_tokens: 161 },
          completion_tokens_details: { reasoning_tokens: 11 }
        }),
        {
          inputTokens: { uncached: 0, total: 7, cacheRead: 161 },
          outputTokens: { total: 10, text: 0, reasoning: 11 }
        }
      )
    }))

  it.effect("counts reasoning in, where the server counts it beside", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 35,
        completion_tokens_details: { reasoning_tokens: 20 }
      })
      assert.deepStrictEqual(usage.outputTokens, { total: 25, text: 5, reasoning: 20 })
    }))

  it.effect("knows DeepSeek's words", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        prompt_tokens: 10,
        completion_tokens: 1,
        prompt_cache_hit_tokens: 4,
        prompt_cache_miss_tokens: 6
      })
      assert.deepStrictEqual(usage.inputTokens, { uncached: 6, total: 10, cacheRead: 4 })
    }))

  it.effect("is absent where it is absent, or nonsense", () =>
    Effect.gen(function*() {
      for (
        const usage of [undefined, null, {}, "x", { prompt_tokens: -1, completion_tokens: 1.5 }, { prompt_tokens: "9" }]
      ) {
        assert.deepStrictEqual(yield* usageOf(usage), { inputTokens: {}, outputTokens: {} })
      }
    }))

  const totals = (body: string) =>
    Effect.map(streamed(body), (parts) => {
      const { usage } = finishOf(parts)
      return [usage.inputTokens.total, usage.outputTokens.total]
    })
  const tokens = (output: number) => ({ usage: { prompt_tokens: 9, completion_tokens: output } })

  it.effect("of a stream is the last one, wherever it stands", () =>
    Effect.gen(function*() {
      // Cumulative, on every chunk.
      assert.deepStrictEqual(
        yield* totals(
          Wire.event(Wire.chunk({ content: "a" }, {}, tokens(1))) +
            Wire.event(Wire.chunk({ content: "b" }, {}, tokens(2))) +
            Wire.finishChunk("stop", tokens(3)) + Wire.done
        ),
        [9, 3]
      )
      // After the finish reason, which is repeated, or null again.
      for (const finish_reason of ["stop", null]) {
        assert.deepStrictEqual(
          yield* totals(
            Wire.textChunk("a") + Wire.finishChunk() +
              Wire.event(Wire.chunk({ content: "" }, { finish_reason }, tokens(4))) + Wire.done
          ),
          [9, 4]
        )
      }
      // In Groq's own place.
      assert.deepStrictEqual(
        yield* totals(Wire.textChunk("a") + Wire.finishChunk("stop", { x_groq: tokens(5) }) + Wire.done),
        [9, 5]
      )
    }))
})

describe("finish reasons", () => {
  const reasons: ReadonlyArray<readonly [raw: string | null, reason: string]> = [
    ["stop", "stop"],
    ["eos", "stop"],
    ["length", "length"],
    ["model_length", "length"],
    ["tool_calls", "tool-calls"],
    ["function_call", "tool-calls"],
    ["content_filter", "content-filter"],
    ["error", "error"],
    ["insufficient_system_resource", "error"],
    ["something new", "other"],
    ["", "unknown"],
    [null, "unknown"]
  ]
  for (const [raw, reason] of reasons) {
    it.effect(`${raw} is ${reason}`, () =>
      Effect.gen(function*() {
        const finish = finishOf(yield* whole(Wire.answer({ content: "x" }, { finish_reason: raw })))
        assert.strictEqual(finish.reason, reason)
      }))
  }

  it.effect("keep the first that is not empty", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ content: "a" }, { finish_reason: "" })) + Wire.finishChunk("length") +
          Wire.finishChunk("stop") + Wire.done
      )
      assert.strictEqual(finishOf(parts).reason, "length")
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { finishReason: "length" })
    }))

  it.effect("are errors where the upstream's own word is", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(
        Wire.textChunk("a") +
          Wire.event(Wire.chunk({}, { finish_reason: "stop", native_finish_reason: "network_error" })) + Wire.done,
        "stream"
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "ServerError")
    }))
})

describe("reasoning", () => {
  const shapes: { readonly [name: string]: ReadonlyArray<object> } = {
    "reasoning_content": [{ reasoning_content: "one " }, { reasoning_content: "two" }],
    "reasoning": [{ reasoning: "one " }, { reasoning: "two" }],
    "both": [{ reasoning: "one ", reasoning_content: "one " }, { reasoning: "two", reasoning_content: "two" }],
    "details": [{ reasoning_details: [{ type: "reasoning.text", text: "one " }] }, {
      reasoning_details: [{ summary: "two" }]
    }],
    "parts": [{
      content: [{ type: "thinking", thinking: [{ type: "text", text: "one " }, { type: "text", text: "two" }] }]
    }]
  }
  for (const [name, deltas] of Object.entries(shapes)) {
    it.effect(`may stand in ${name}`, () =>
      Effect.gen(function*() {
        const parts = yield* streamed(
          deltas.map((delta) => Wire.event(Wire.chunk(delta))).join("") +
            Wire.event(Wire.chunk({ content: [{ type: "text", text: "said" }] })) +
            Wire.finishChunk()
        )
        assert.strictEqual(thoughts(parts), "one two")
        assert.strictEqual(text(parts), "said")
        assert.deepStrictEqual(ofType(parts, "reasoning-start").length, 1)
      }))
  }

  it.effect("may come again after the first words", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ reasoning: "a" })) + Wire.textChunk("b") + Wire.event(Wire.chunk({ reasoning: "c" })) +
          Wire.finishChunk()
      )
      assert.deepStrictEqual(
        parts.flatMap((part) => part.type.endsWith("-start") && "id" in part ? [`${part.type} ${part.id}`] : []),
        ["reasoning-start 0", "text-start 1", "reasoning-start 2"]
      )
    }))
})
