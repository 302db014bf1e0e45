/**
 * The same day twice: time from the clock and chance from a seed make two runs one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { Attribution, Llm, LlmError, Receipt, Retry } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, OpenAi, openai } from "../core/support/stack.ts"

const stack = openai.pipe(
  Llm.timeout({ firstPart: "8 seconds", idle: "4 seconds" }),
  Llm.retry(Retry.transient),
  Llm.orElse(anthropic),
  Llm.timeout({ total: "60 seconds" }),
  Llm.orElseSucceed((error) => error._tag)
)

/** A provider whose moods depend on what it is asked alone. */
const moody = (request: { readonly prompt: { readonly content: ReadonlyArray<unknown> } }, index: number) => {
  const asked = JSON.stringify(request.prompt).length + index
  switch (asked % 7) {
    case 0:
      return ScriptedProvider.fail(new LlmError.RateLimited({}), { delay: "100 millis" })
    case 1:
      return ScriptedProvider.breakOff(["one ", "two "], "cut", { between: "50 millis" })
    case 2:
      return ScriptedProvider.silence
    case 3:
      return ScriptedProvider.breakOff(["one ", "two "], "stall", { delay: "1 second" })
    case 4:
      return ScriptedProvider.fail("QuotaExhausted")
    default:
      return ScriptedProvider.text(["one ", "two ", `${index}`], { delay: "500 millis", between: "20 millis" })
  }
}

/** 200 calls at once, full and streamed, for as many users. */
const day = Effect.gen(function*() {
  const log: Array<string> = []
  const receipts: Array<Receipt.Receipt> = []
  const one = (index: number) =>
    Effect.gen(function*() {
      yield* Effect.sleep(index * 37)
      const prompt = `question ${"?".repeat(index % 50)} of ${index}`
      const text = yield* index % 2 === 0
        ? Effect.map(Llm.generateText(stack, { prompt }), (answer) => answer.text)
        : Llm.streamText(stack, { prompt }).pipe(
          Llm.textDeltas,
          Stream.runFold(() => "", (all, delta) => all + delta),
          Effect.catchTag("StreamInterrupted", (error) => Effect.succeed(error.message))
        )
      log.push(`${index}: ${text}`)
      return index
    }).pipe(Attribution.annotate({ user: `user-${index}` }))

  const fiber = yield* Effect.forEach(Array.from({ length: 200 }, (_, index) => index), one, { concurrency: 50 }).pipe(
    Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
    Effect.provide([ScriptedProvider.layer(OpenAi, moody), ScriptedProvider.layer(Anthropic, moody)]),
    Random.withSeed("the same day"),
    Effect.forkChild({ startImmediately: true })
  )
  yield* TestClock.adjust("1 hour")
  yield* Fiber.join(fiber)
  return { log, receipts }
}).pipe(Effect.provide(TestClock.layer()))

describe("the same day twice", () => {
  it.effect("has the same answers and the same receipts, in the same order", () =>
    Effect.gen(function*() {
      const first = yield* day
      const second = yield* day
      assert.deepStrictEqual(first.log, second.log)
      assert.deepStrictEqual(first.receipts, second.receipts)
      // A day on which nothing happened would prove nothing.
      const outcomes = new Set(first.receipts.flatMap((receipt) => receipt.attempts.map((attempt) => attempt.outcome)))
      assert.includeMembers([...outcomes], [
        "RateLimited",
        "StreamInterrupted",
        "TimedOut",
        "QuotaExhausted",
        "success"
      ])
    }))

  it.effect("mixes up no two calls", () =>
    Effect.gen(function*() {
      const { log, receipts } = yield* day
      assert.strictEqual(log.length, 200)
      assert.strictEqual(new Set(receipts.map((receipt) => receipt.operationId)).size, 200)
      assert.strictEqual(new Set(receipts.map((receipt) => receipt.attribution.user)).size, 200)
    }))
})
