import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Redacted, Schedule, Schema } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { finish } from "../core/support/chunked.ts"
import { full } from "../core/support/errors.ts"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, OpenAi, openai, question } from "../core/support/stack.ts"
import { failing } from "../core/support/watch.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const
const other = ScriptedProvider.text("Bonjour")

for (const [kind, run] of Object.entries(kinds)) {
  describe(`orElse: ${kind}`, () => {
    it.effect("asks the other model after each failure that it may not have, and after no other", () =>
      Effect.gen(function*() {
        for (const error of Object.values(full)) {
          const ran = yield* run(failing<LlmError.LlmError>(error).pipe(Llm.orElse(anthropic)), { anthropic: [other] })
          if (LlmError.table[error._tag].failsOver) {
            assert.isTrue(Exit.isSuccess(ran.exit), error._tag)
            assert.strictEqual(ran.receipt.provider, "anthropic")
            assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [
              ["fallback", error._tag]
            ])
          } else {
            assert.strictEqual(yield* Effect.flip(ran.exit), error)
            assert.strictEqual(ran.anthropic.length, 0)
            assert.deepStrictEqual(ran.receipt.events, [])
          }
        }
      }))

    it.effect("leaves an invalid request and a refusal to the caller", () =>
      Effect.gen(function*() {
        for (const tag of ["InvalidRequest", "ContentFiltered"] as const) {
          const ran = yield* run(openai.pipe(Llm.orElse(anthropic)), { openai: [ScriptedProvider.fail(tag)] })
          assert.strictEqual(ran.receipt.outcome, tag)
          assert.strictEqual(ran.anthropic.length, 0)
        }
        const refused = yield* run(openai.pipe(Llm.orElse(anthropic)), {
          openai: [ScriptedProvider.parts([finish("content-filter")])]
        })
        assert.strictEqual(refused.receipt.outcome, "ContentFiltered")
        assert.strictEqual(refused.anthropic.length, 0)
      }))

    it.effect("leaves errors of others to the caller, whatever they look like", () =>
      Effect.gen(function*() {
        class Mine extends Schema.TaggedError<Mine>()("Mine", {}) {}
        for (const error of [new Mine(), "no", new Error("no"), { _tag: "toString" }, undefined]) {
          const ran = yield* run(failing<unknown>(error).pipe(Llm.orElse(anthropic)), {})
          assert.strictEqual(yield* Effect.flip(ran.exit), error)
          assert.strictEqual(ran.anthropic.length, 0)
        }
      }))

    it.effect("fails as the other model fails", () =>
      Effect.gen(function*() {
        const failure = new LlmError.ModelNotFound({ provider: "anthropic" })
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic)), {
          openai: [ScriptedProvider.fail("Overloaded")],
          anthropic: [ScriptedProvider.fail(failure)]
        })
        assert.strictEqual(yield* Effect.flip(ran.exit), failure)
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["Overloaded", "ModelNotFound"])
      }))

    it.effect("asks one after the other, each once", () =>
      Effect.gen(function*() {
        const third = Llm.model(OpenAi, "gpt-5-nano")
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic), Llm.orElse(third)), {
          openai: [ScriptedProvider.fail("Overloaded", { delay: "1 second" }), ScriptedProvider.text("third")],
          anthropic: [ScriptedProvider.fail("ModelNotFound", { delay: "2 seconds" })]
        })
        assert.deepStrictEqual(
          ran.receipt.attempts.map(({ model, startMillis }) => [model, startMillis]),
          [["gpt-5-mini", 0], ["claude-haiku-4-5", 1_000], ["gpt-5-nano", 3_000]]
        )
        assert.strictEqual(ran.receipt.model, "gpt-5-nano")
      }))

    it.effect("lets a defect through", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElse(anthropic)), { openai: [] })
        assert(Exit.isFailure(ran.exit) && Cause.hasDies(ran.exit.cause))
        assert.strictEqual(ran.anthropic.length, 0)
        assert.strictEqual(ran.receipt.outcome, "defect")
      }))

    it.effect("takes no interruption for a failure", () =>
      Effect.gen(function*() {
        const first = ScriptedProvider.make(OpenAi, [ScriptedProvider.silence])
        const second = ScriptedProvider.make(Anthropic, [])
        const llm = openai.pipe(Llm.orElse(anthropic), Llm.orElseSucceed(() => ""))
        const fiber = yield* Llm.generateText(llm, question).pipe(
          Effect.provide([first.layer, second.layer]),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.strictEqual(second.calls.length, 0)
      }))

    it.effect("lets go of what the first one held before it asks the second", () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const holding = Llm.make({
          plan: openai.plan,
          open: (call) =>
            Effect.andThen(Effect.addFinalizer(() => Effect.sync(() => void log.push("released"))), openai.open(call))
        })
        const noting = Llm.make({
          plan: anthropic.plan,
          open: (call) => Effect.andThen(Effect.sync(() => void log.push("asked")), anthropic.open(call))
        })
        yield* run(holding.pipe(Llm.orElse(noting)), {
          openai: [ScriptedProvider.fail("Overloaded")],
          anthropic: [other]
        })
        assert.deepStrictEqual(log, ["released", "asked"])
      }))
  })

  describe(`orElseSucceed: ${kind}`, () => {
    it.effect("answers after each failure, with what it makes of it", () =>
      Effect.gen(function*() {
        for (const error of Object.values(full)) {
          const llm = failing<LlmError.LlmError>(error).pipe(Llm.orElseSucceed((error) => `no answer: ${error._tag}`))
          const ran = yield* run(llm, {})
          assert.strictEqual(yield* ran.exit, `no answer: ${error._tag}`)
          assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [
            ["degraded", error._tag]
          ])
        }
      }))

    it.effect("says in the receipt that no model has answered, and what was paid for all the same", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElseSucceed(() => "no answer")), {
          openai: [ScriptedProvider.parts([finish("error")])]
        })
        assert.isTrue(ran.receipt.degraded)
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.isUndefined(ran.receipt.provider)
        assert.isUndefined(ran.receipt.model)
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["ServerError"])
        assert.strictEqual(ran.receipt.usage.inputUncached, 7)
      }))

    it.effect("has nothing to say when the model answers", () =>
      Effect.gen(function*() {
        const ran = yield* run(openai.pipe(Llm.orElseSucceed(() => "no answer")), { openai: [other] })
        assert.strictEqual(yield* ran.exit, "Bonjour")
        assert.isFalse(ran.receipt.degraded)
        assert.strictEqual(ran.receipt.provider, "openai")
      }))

    it.effect("is not asked about a defect, and dies of its own", () =>
      Effect.gen(function*() {
        const died = yield* run(openai.pipe(Llm.orElseSucceed(() => "no answer")), { openai: [] })
        assert.strictEqual(died.receipt.outcome, "defect")
        const bug = new Error("a bug in the template")
        const llm = openai.pipe(Llm.orElseSucceed((): string => {
          throw bug
        }))
        const ran = yield* run(llm, { openai: [ScriptedProvider.fail("Overloaded")] })
        assert(Exit.isFailure(ran.exit))
        assert.deepStrictEqual(ran.exit.cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect), [
          bug
        ])
      }))
  })
}

describe("a stream that has begun", () => {
  it.effect("is neither replaced nor completed", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.orElse(anthropic), Llm.orElseSucceed(() => "no answer"))
      for (const ending of ["cut", "Overloaded", "QuotaExhausted"] as const) {
        const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.breakOff(["330"], ending)] })
        assert.deepStrictEqual(ran.texts, ["330"])
        assert.strictEqual((yield* Effect.flip(ran.exit))._tag, "StreamInterrupted")
        assert.strictEqual(ran.anthropic.length, 0)
        assert.isFalse(ran.receipt.degraded)
      }
    }))

  it.effect("is one answer of one model, whichever began it", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(openai.pipe(Llm.orElse(anthropic)), {
        openai: [ScriptedProvider.breakOff([], "Overloaded")],
        anthropic: [ScriptedProvider.breakOff(["Bon"])]
      })
      assert.deepStrictEqual(ran.texts, ["Bon"])
      const error = yield* Effect.flip(ran.exit)
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.provider, "anthropic")
      assert.strictEqual(Redacted.value(error.partial), "Bon")
    }))
})

describe("an answer without a model", () => {
  it.effect("may be made of parts, and ends as they say", () =>
    Effect.gen(function*() {
      const llm = failing(new LlmError.Overloaded({})).pipe(Llm.orElseSucceed(() => [
        { type: "reasoning", text: "nobody is there" },
        { type: "text", text: "Try again" },
        { type: "text", text: " later." },
        finish("other")
      ]))
      const answer = yield* Llm.generateText(llm, question)
      assert.strictEqual(answer.text, "Try again later.")
      assert.strictEqual(answer.reasoningText, "nobody is there")
      assert.strictEqual(answer.finishReason, "other")
    }))

  it.effect("ends like any other where they do not say", () =>
    Effect.gen(function*() {
      const llm = failing(new LlmError.Overloaded({})).pipe(Llm.orElseSucceed(() => [{ type: "text", text: "later" }]))
      const answer = yield* Llm.generateText(llm, question)
      assert.strictEqual(answer.finishReason, "stop")
      assert.strictEqual(answer.usage.inputTokens.total, 0)
      assert.strictEqual(answer.usage.outputTokens.total, 0)
    }))

  it.effect("has no model behind it, also where one had given an answer that would not do", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(Llm.whole(openai).pipe(Llm.orElseSucceed((error) => error._tag)), {
        openai: [ScriptedProvider.parts([finish("length")])]
      })
      assert.strictEqual(yield* ran.exit, "OutputTruncated")
      assert.isTrue(ran.receipt.degraded)
      assert.isUndefined(ran.receipt.provider)
      assert.isUndefined(ran.receipt.finishReason)
    }))

  it.effect("is decoded like any other", () =>
    Effect.gen(function*() {
      const llm = failing(new LlmError.Overloaded({})).pipe(Llm.orElseSucceed(() => `{"metres":330}`))
      const answer = yield* Llm.generateObject(llm, { ...question, schema: Schema.Struct({ metres: Schema.Finite }) })
      assert.deepStrictEqual(answer.value, { metres: 330 })
      assert.isTrue(answer.receipt.degraded)
    }))

  it.effect("comes when the limit of the whole has passed", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(
        Llm.retry(Schedule.spaced("1 second")),
        Llm.timeout({ total: Duration.seconds(5) }),
        Llm.orElseSucceed((error) => error._tag)
      )
      const ran = yield* Run.text(llm, { openai: () => ScriptedProvider.silence })
      assert.strictEqual(yield* ran.exit, "TimedOut")
      assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
      assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted"])
    }))
})
