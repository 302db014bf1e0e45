import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Schedule } from "effect"
import { Fallback, Llm, LlmError, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { full } from "../core/support/errors.ts"
import * as Run from "../core/support/run.ts"
import { anthropic, OpenAi, openai } from "../core/support/stack.ts"
import { failing } from "../core/support/watch.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const
const once = Schedule.recurs(1)

for (const [kind, run] of Object.entries(kinds)) {
  describe(`firstOf: ${kind}`, () => {
    it.effect("asks one after the other until one opens", () =>
      Effect.gen(function*() {
        const third = Llm.model(OpenAi, "gpt-5-nano")
        const ran = yield* run(Fallback.firstOf([openai, anthropic, third]), {
          openai: [ScriptedProvider.fail("Overloaded"), ScriptedProvider.text("third")],
          anthropic: [ScriptedProvider.fail("ModelNotFound")]
        })
        assert.deepStrictEqual(ran.exit, Exit.succeed("third"))
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.model), [
          "gpt-5-mini",
          "claude-haiku-4-5",
          "gpt-5-nano"
        ])
        assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [
          ["fallback", "Overloaded"],
          ["fallback", "ModelNotFound"]
        ])
      }))

    it.effect("knows in the end how each of them failed, and every request that was sent", () =>
      Effect.gen(function*() {
        const overloaded = new LlmError.Overloaded({ provider: "openai", model: "gpt-5-mini" })
        const llm = Fallback.firstOf([openai.pipe(Llm.retry(once)), anthropic])
        const ran = yield* run(llm, {
          openai: [ScriptedProvider.fail("ServerError"), ScriptedProvider.fail(overloaded)],
          anthropic: [ScriptedProvider.fail("QuotaExhausted", { delay: "1 second" })]
        })
        const error = yield* Effect.flip(ran.exit)
        assert(error._tag === "AllModelsExhausted")
        assert.deepStrictEqual(error.failures.map((failure) => failure._tag), ["Overloaded", "QuotaExhausted"])
        assert.strictEqual(error.failures[0], overloaded)
        assert.deepStrictEqual(error.attempts.map((attempt) => [attempt.provider, attempt.outcome]), [
          ["openai", "ServerError"],
          ["openai", "Overloaded"],
          ["anthropic", "QuotaExhausted"]
        ])
        assert.deepStrictEqual(error.attempts, ran.receipt.attempts)
        assert.strictEqual(error.message, "all models failed: openai/gpt-5-mini Overloaded; QuotaExhausted")
        assert.isUndefined(error.retryAfter)
      }))

    it.effect("says when the first of them can be asked again, where all have said when", () =>
      Effect.gen(function*() {
        const wait = (seconds: number) => failing(new LlmError.RateLimited({ retryAfter: Duration.seconds(seconds) }))
        const ran = yield* run(Fallback.firstOf([wait(30), wait(10), wait(20)]), {})
        const error = yield* Effect.flip(ran.exit)
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(10))
        const some = yield* run(Fallback.firstOf([wait(30), failing(new LlmError.Overloaded({}))]), {})
        assert.isUndefined((yield* Effect.flip(some.exit)).retryAfter)
      }))

    it.effect("ends with what no other model can help with", () =>
      Effect.gen(function*() {
        for (const error of Object.values(full)) {
          const ran = yield* run(Fallback.firstOf([failing<LlmError.LlmError>(error), anthropic]), {
            anthropic: [ScriptedProvider.text("Bonjour")]
          })
          if (LlmError.table[error._tag].failsOver) assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
          else assert.strictEqual(yield* Effect.flip(ran.exit), error)
        }
      }))

    it.effect("counts the failures of one within another", () =>
      Effect.gen(function*() {
        const inner = Fallback.firstOf([failing(new LlmError.Overloaded({})), failing(new LlmError.ServerError({}))])
        const ran = yield* run(Fallback.firstOf([inner, failing(new LlmError.ConnectionFailed({}))]), {})
        const error = yield* Effect.flip(ran.exit)
        assert(error._tag === "AllModelsExhausted")
        assert.deepStrictEqual(error.failures.map((failure) => failure._tag), [
          "Overloaded",
          "ServerError",
          "ConnectionFailed"
        ])
      }))

    it.effect("is itself something to fall back from", () =>
      Effect.gen(function*() {
        const llm = Fallback.firstOf([failing(new LlmError.Overloaded({}))]).pipe(Llm.orElse(anthropic))
        const ran = yield* run(llm, { anthropic: [ScriptedProvider.text("Bonjour")] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
      }))
  })
}

describe("firstOf", () => {
  it("needs someone to ask", () => {
    assert.throws(() => Fallback.firstOf([]), /^Fallback.firstOf: there must be at least one candidate, got none$/)
  })

  it("stands in the plan", () => {
    assert.strictEqual(
      String(Fallback.firstOf([openai, anthropic])),
      "firstOf\n├─ openai/gpt-5-mini\n└─ anthropic/claude-haiku-4-5"
    )
    assert.strictEqual(Plan.worstCase(Fallback.firstOf([openai, anthropic]).plan), 2)
  })
})
