import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Redacted, Schedule, Stream } from "effect"
import { Llm, LlmError, type Part } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { chunked, cut, delta, finish, finishUsage } from "./support/chunked.ts"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question, textOf } from "./support/stack.ts"

const words: Array<Part.ProviderPart> = [{ type: "text-start", id: "0" }, delta("330"), delta(" m")]

/** What a stream of these pieces comes to: what was delivered, how it ended, and its receipt. */
const flow = (
  pieces: ReadonlyArray<ReadonlyArray<Part.ProviderPart>>,
  end?: Effect.Effect<void, LlmError.ProviderError>
) =>
  Effect.gen(function*() {
    const receipts = makeReceipts()
    // Policies that must have no effect once the answer flows.
    const llm = openai.pipe(Llm.retry(Schedule.recurs(3)), Llm.orElse(anthropic), Llm.orElseSucceed(() => "no answer"))
    const backup = ScriptedProvider.make(Anthropic, [])
    const answered = yield* collect(Llm.streamText(llm, question)).pipe(
      receipts.observe,
      Effect.provide([chunked(OpenAi, pieces, end), backup.layer])
    )
    const receipt = receipts.one()
    assert.strictEqual(backup.calls.length, 0)
    assert.strictEqual(receipt.attempts.length, 1)
    assert.deepStrictEqual(receipt.events, [])
    return { ...answered, receipt }
  })

const interruptedOf = (exit: Exit.Exit<unknown, LlmError.StreamInterrupted>) =>
  Effect.map(Effect.flip(exit), (error) => {
    assert.strictEqual(error._tag, "StreamInterrupted")
    assert.strictEqual(error.provider, "openai")
    assert.strictEqual(error.model, "gpt-5-mini")
    return error
  })

describe("a stream that has begun", () => {
  for (const pieces of [[3], [1], [2, 1]]) {
    it.effect(`is interrupted when it ends without its finish part (pieces of ${pieces})`, () =>
      Effect.gen(function*() {
        const { exit, parts, receipt } = yield* flow(cut(words, pieces))
        assert.strictEqual(textOf(parts), "330 m")
        const error = yield* interruptedOf(exit)
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), "330 m")
        assert.isUndefined(error.failure)
        assert.isUndefined(error.usage)
        assert.strictEqual(receipt.outcome, "StreamInterrupted")
        assert.strictEqual(receipt.attempts[0]?.outcome, "StreamInterrupted")
      }))
  }

  it.effect("is interrupted when the connection is cut", () =>
    Effect.gen(function*() {
      const cut = new LlmError.StreamInterrupted({ partial: Redacted.make("an adapter's guess"), reason: "closed" })
      const { exit, parts } = yield* flow([words], Effect.fail(cut))
      assert.strictEqual(textOf(parts), "330 m")
      const error = yield* interruptedOf(exit)
      assert.strictEqual(error.reason, "closed")
      assert.strictEqual(Redacted.value(error.partial), "330 m")
      assert.isUndefined(error.failure)
    }))

  it.effect("keeps what an adapter knows of the cut", () =>
    Effect.gen(function*() {
      const failure = new LlmError.RateLimited({ scope: "upstream" })
      const { exit } = yield* flow(
        [words],
        Effect.fail(new LlmError.StreamInterrupted({ partial: Redacted.make(""), reason: "failed", failure }))
      )
      const error = yield* interruptedOf(exit)
      assert.strictEqual(error.reason, "failed")
      assert.strictEqual(error.failure, failure)
    }))

  const failures = [
    new LlmError.RateLimited({}),
    new LlmError.Overloaded({}),
    new LlmError.ServerError({ status: 500 }),
    new LlmError.RequestTimeout({}),
    new LlmError.InvalidRequest({}),
    new LlmError.ContentFiltered({ stage: "answer", categories: ["violence"] }),
    new LlmError.MalformedResponse({ problem: "no choices" })
  ]
  for (const failure of failures) {
    it.effect(`is interrupted by ${failure._tag}`, () =>
      Effect.gen(function*() {
        const { exit, parts, receipt } = yield* flow(cut(words, [1]), Effect.fail(failure))
        assert.strictEqual(textOf(parts), "330 m")
        const error = yield* interruptedOf(exit)
        assert.strictEqual(error.reason, "failed")
        assert.strictEqual(error.failure, failure)
        assert.strictEqual(Redacted.value(error.partial), "330 m")
        assert.strictEqual(receipt.attempts[0]?.outcome, "StreamInterrupted")
      }))
  }

  it.effect("is closed, not failed, when the connection fails", () =>
    Effect.gen(function*() {
      const failure = new LlmError.ConnectionFailed({})
      const { exit } = yield* flow([words], Effect.fail(failure))
      const error = yield* interruptedOf(exit)
      assert.strictEqual(error.reason, "closed")
      assert.strictEqual(error.failure, failure)
    }))

  it.effect("keeps the partial text to what a reader saw", () =>
    Effect.gen(function*() {
      const parts: Array<Part.ProviderPart> = [
        { type: "reasoning-delta", id: "r", delta: "hm" },
        { type: "tool-params-delta", id: "t", delta: "{" },
        delta("330"),
        { type: "file", mediaType: "image/png", data: "AAEC" }
      ]
      const { exit } = yield* flow([parts])
      assert.strictEqual(Redacted.value((yield* interruptedOf(exit)).partial), "330")
    }))

  for (const reason of ["content-filter", "error"] as const) {
    for (const pieces of [[1], [10]]) {
      it.effect(`hands on the words before the finish reason ${reason}, then fails (pieces of ${pieces})`, () =>
        Effect.gen(function*() {
          const { exit, parts, receipt } = yield* flow(cut([...words, finish(reason)], pieces))
          assert.deepStrictEqual(parts.map((part) => part.type), ["text-start", "text-delta", "text-delta"])
          const error = yield* interruptedOf(exit)
          assert.strictEqual(error.reason, "failed")
          assert.strictEqual(error.failure?._tag, reason === "error" ? "ServerError" : "ContentFiltered")
          assert.strictEqual(error.failure?.provider, "openai")
          assert.strictEqual(Redacted.value(error.partial), "330 m")
          // The finish part has told what it cost, and that is charged.
          assert.deepStrictEqual(error.usage, finishUsage)
          assert.deepStrictEqual(receipt.usage, finishUsage)
          assert.strictEqual(receipt.outcome, "StreamInterrupted")
          assert.strictEqual(receipt.attempts[0]?.outcome, "StreamInterrupted")
        }))
    }
  }

  for (const pieces of [[1], [10], [4, 1]]) {
    it.effect(`ends with its finish part, whatever the server sends after it (pieces of ${pieces})`, () =>
      Effect.gen(function*() {
        const { exit, parts, receipt } = yield* flow(
          cut([...words, finish(), delta("ignore"), { type: "response-metadata", modelId: "other" }], pieces),
          Effect.fail(new LlmError.ServerError({}))
        )
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(parts.map((part) => part.type), ["text-start", "text-delta", "text-delta", "finish"])
        assert.strictEqual(receipt.outcome, "success")
        assert.strictEqual(receipt.model, "gpt-5-mini")
        assert.strictEqual(receipt.attempts[0]?.outcome, "success")
      }))
  }

  it.effect("dies with a defect of the provider, and the receipt says so", () =>
    Effect.gen(function*() {
      const defect = new Error("a bug in the adapter")
      const { exit, parts, receipt } = yield* flow([words], Effect.die(defect))
      assert.strictEqual(textOf(parts), "330 m")
      assert(Exit.isFailure(exit))
      assert.deepStrictEqual(exit.cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect), [defect])
      assert.strictEqual(receipt.outcome, "defect")
      assert.strictEqual(receipt.attempts[0]?.outcome, "defect")
    }))

  it.effect("is cancelled upstream when the consumer stops reading", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.text(["a", "b", "c"], { between: "1 second" })
      ])
      const fiber = yield* Llm.streamText(openai, question).pipe(
        Llm.textDeltas,
        Stream.take(2),
        Stream.runCollect,
        Effect.provide(provider.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a", "b"])
      assert.strictEqual(provider.calls[0]?.outcome, "interrupted")
    }))

  it.effect("pulls from upstream no faster than the consumer reads", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.text(["a", "b", "c"], { between: "1 second" })])
      const read: Array<string> = []
      const fiber = yield* Llm.streamText(openai, question).pipe(
        Llm.textDeltas,
        Stream.runForEach((text) => Effect.andThen(Effect.sleep("1 minute"), Effect.sync(() => read.push(text)))),
        Effect.provide(provider.layer),
        Effect.forkChild({ startImmediately: true })
      )
      // Were the parts buffered ahead of the reader, the provider would be done by now.
      yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(read, ["a"])
      assert.isUndefined(provider.calls[0]?.outcome)
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(read, ["a", "b", "c"])
      assert.strictEqual(provider.calls[0]?.outcome, "success")
    }))
})
