import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { full } from "../core/support/errors.ts"
import * as Run from "../core/support/run.ts"
import { anthropic, openai } from "../core/support/stack.ts"
import { failing } from "../core/support/watch.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const
const other = ScriptedProvider.text("Bonjour")

for (const [kind, run] of Object.entries(kinds)) {
  describe(`orElseOn: ${kind}`, () => {
    it.effect("handles what is named, and nothing else", () =>
      Effect.gen(function*() {
        for (const error of Object.values(full)) {
          const llm = failing<LlmError.LlmError>(error).pipe(
            Llm.orElseOn(["ContextLengthExceeded", "ContentFiltered"], anthropic)
          )
          const ran = yield* run(llm, { anthropic: [other] })
          if (error._tag === "ContextLengthExceeded" || error._tag === "ContentFiltered") {
            assert.isTrue(Exit.isSuccess(ran.exit), error._tag)
            assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [
              ["fallback", error._tag]
            ])
          } else {
            assert.strictEqual(yield* Effect.flip(ran.exit), error)
            assert.strictEqual(ran.anthropic.length, 0)
          }
        }
      }))

    it.effect("routes a refusal around where that is asked for by name", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElseOn("ContentFiltered", anthropic)), {
          openai: [ScriptedProvider.fail("ContentFiltered")],
          anthropic: [other]
        })
        assert.strictEqual(ran.receipt.provider, "anthropic")
      }))

    it.effect("knows errors of one's own", () =>
      Effect.gen(function*() {
        class Mine extends Schema.TaggedError<Mine>()("Mine", {}) {}
        const llm = failing<Mine | LlmError.Overloaded>(new Mine()).pipe(Llm.orElseOn("Mine", anthropic))
        const ran = yield* run(llm, { anthropic: [other] })
        assert.strictEqual(ran.receipt.provider, "anthropic")
      }))

    it.effect("fails as the other one fails", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElseOn("Overloaded", anthropic)), {
          openai: [ScriptedProvider.fail("Overloaded")],
          anthropic: [ScriptedProvider.fail("ServerError")]
        })
        assert.strictEqual(ran.receipt.outcome, "ServerError")
      }))

    it.effect("does not act once the answer flows", () =>
      Effect.gen(function*() {
        const ran = yield* Run.stream(openai.pipe(Llm.orElseOn("StreamInterrupted", anthropic)), {
          openai: [ScriptedProvider.breakOff(["330"])]
        })
        assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
        assert.strictEqual(ran.anthropic.length, 0)
      }))
  })
}

describe("orElseOn", () => {
  it("says in the plan what it handles", () => {
    const llm = openai.pipe(Llm.orElseOn(["ContentFiltered", "RateLimited"], anthropic))
    assert.strictEqual(
      String(llm),
      "orElseOn ContentFiltered, RateLimited\n├─ openai/gpt-5-mini\n└─ anthropic/claude-haiku-4-5"
    )
  })
})
