import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Redacted, Schedule, Stream } from "effect"
import { Llm, LlmError, Opened, Part, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Answers from "./support/answers.ts"
import { chunked, cut, delta, finish } from "./support/chunked.ts"
import { makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

/** Asks the provider for a stream, as a policy does that has to see the parts arrive. */
const streamed = Llm.make({
  plan: Plan.policy("streamed", { children: [openai.plan] }),
  open: (call) => openai.open({ ...call, transport: "stream" })
})

const finished = (answer: ReadonlyArray<Part.AnswerPart>): Array<Part.AnswerPart> => [
  ...answer.filter((part) => part.type !== "finish"),
  finish()
]

describe("a whole answer", () => {
  it.effect("is asked for in one piece, and in parts where a policy has to see them", () =>
    Effect.gen(function*() {
      for (const [llm, transport] of [[openai, "whole"], [streamed, "stream"]] as const) {
        const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.text("330 m")])
        const answer = yield* Effect.provide(Llm.generateText(llm, question), provider.layer)
        assert.strictEqual(answer.text, "330 m")
        assert.deepStrictEqual(provider.calls.map((call) => call.transport), [transport])
      }
    }))

  it.effect.prop("is the same over either transport", [Answers.answer], ([answer]) =>
    Effect.gen(function*() {
      const parts = Part.fromAnswer(finished(answer))
      const answers = yield* Effect.all([Llm.generateText(openai, question), Llm.generateText(streamed, question)])
        .pipe(
          Effect.provide(ScriptedProvider.layer(OpenAi, () => ({ parts })))
        )
      assert.deepStrictEqual(answers[0].content, answers[1].content)
      assert.deepStrictEqual(answers[0].content, finished(answer).map(Part.decodeAnswer))
    }))

  it.effect("never comes as a flow", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (const llm of [openai, streamed]) {
        const spy = Llm.make({
          plan: llm.plan,
          open: (call) => Effect.tap(llm.open(call), (opened) => Effect.sync(() => seen.push(opened._tag)))
        })
        yield* Effect.provide(
          Llm.generateText(spy, question),
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(["330", " m"])])
        )
      }
      assert.deepStrictEqual(seen, ["Whole", "Whole"])
    }))

  it.effect("that a policy opens with a flow all the same is a defect, with a receipt", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const wrong = Llm.make({
        plan: Plan.policy("wrong", { children: [] }),
        open: () => Effect.succeed(Opened.flow(Stream.make(delta("a"), finish())))
      })
      const exit = yield* Effect.exit(receipts.observe(Llm.generateText(wrong, question)))
      assert(Exit.isFailure(exit))
      assert.include(Cause.pretty(exit.cause), "Opened.whole")
      assert.deepStrictEqual(receipts.seen.map((receipt) => receipt.outcome), ["defect"])
    }))

  const words: Array<Part.ProviderPart> = [{ type: "text-start", id: "0" }, delta("330"), delta(" m")]

  for (const [name, llm] of [["in one piece", openai], ["in parts", streamed]] as const) {
    describe(name, () => {
      it.effect("that never finished is interrupted", () =>
        Effect.gen(function*() {
          const error = yield* Llm.generateText(llm, question).pipe(
            Effect.flip,
            Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts(words)]))
          )
          assert(error._tag === "StreamInterrupted")
          assert.strictEqual(error.reason, "unfinished")
          assert.strictEqual(Redacted.value(error.partial), "330 m")
          assert.strictEqual(error.provider, "openai")
        }))

      for (const reason of ["content-filter", "error"] as const) {
        const tag = reason === "error" ? "ServerError" : "ContentFiltered"
        it.effect(`that finishes with ${reason} is ${tag}`, () =>
          Effect.gen(function*() {
            const receipts = makeReceipts()
            const error = yield* Llm.generateText(llm, question).pipe(
              Effect.flip,
              receipts.observe,
              Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts([...words, finish(reason)])]))
            )
            assert.strictEqual(error._tag, tag)
            assert.strictEqual(error.provider, "openai")
            assert.strictEqual(error.model, "gpt-5-mini")
            assert.strictEqual(receipts.seen[0]?.attempts[0]?.outcome, tag)
            // What was withheld is paid for all the same.
            assert.strictEqual(receipts.seen[0]?.usage.outputText, 4)
          }))
      }

      it.effect("is retried however much of it had arrived, and nothing of that is in the answer", () =>
        Effect.gen(function*() {
          const provider = ScriptedProvider.make(OpenAi, [
            ScriptedProvider.parts(words),
            ScriptedProvider.breakOff(["324"], "ServerError"),
            ScriptedProvider.text("330 m")
          ])
          const answer = yield* Llm.generateText(llm.pipe(Llm.retry(Schedule.recurs(2))), question).pipe(
            Effect.provide(provider.layer)
          )
          assert.strictEqual(answer.text, "330 m")
          assert.deepStrictEqual(answer.receipt.attempts.map((attempt) => attempt.outcome), [
            "StreamInterrupted",
            "ServerError",
            "success"
          ])
        }))
    })
  }

  it.effect("in parts ends with its finish part, whatever the server sends after it", () =>
    Effect.gen(function*() {
      for (const pieces of [[1], [10]]) {
        const answer = yield* Llm.generateText(streamed, question).pipe(
          Effect.provide(chunked(
            OpenAi,
            cut([...words, finish(), delta(" or so"), finish("length")], pieces),
            Effect.fail(new LlmError.ServerError({}))
          ))
        )
        assert.strictEqual(answer.text, "330 m")
        assert.strictEqual(answer.finishReason, "stop")
      }
    }))

  it.effect("in parts says what had arrived when it is cut", () =>
    Effect.gen(function*() {
      const error = yield* Llm.generateText(streamed, question).pipe(
        Effect.flip,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.breakOff(["330", " m"])]))
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "closed")
      assert.strictEqual(Redacted.value(error.partial), "330 m")
    }))
})
