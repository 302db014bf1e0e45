import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Logger, Random, Schedule, Schema, Stream } from "effect"
import { Attribution, Llm, type Part, Receipt, Usage } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { delta, finish, finishUsage } from "./support/chunked.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

const usage = {
  inputTokens: { uncached: 7, total: 10, cacheRead: 3, cacheWrite: 0 },
  outputTokens: { total: 5, text: 4, reasoning: 1 }
}

const stack = openai.pipe(
  Llm.retry(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 1 }))),
  Llm.orElse(anthropic)
)

describe("the receipt of a full answer", () => {
  it.effect("tells tokens that were not counted from none, and long writes to a cache from others", () =>
    Effect.gen(function*() {
      const usageOf = (last: Part.AnswerPart) =>
        Llm.generateText(openai, question).pipe(
          Effect.map(({ receipt }) => [receipt.attempts[0]?.usage, receipt.usage]),
          Effect.provideService(OpenAi, {
            whole: () => Effect.succeed([{ type: "text", text: "330 m" }, last]),
            stream: () => Stream.die("not asked for")
          })
        )
      const none = { ...finish(), usage: { inputTokens: {}, outputTokens: {} } }
      assert.deepStrictEqual(yield* usageOf(none), [undefined, Usage.zero])
      const cached = {
        ...finish(),
        usage: { inputTokens: { uncached: 1, cacheWrite: 50 }, outputTokens: { total: 2 } },
        metadata: { bulwarkUsage: { cacheWrite1h: 20 } }
      }
      const counted = { ...Usage.zero, inputUncached: 1, inputCacheWrite: 30, inputCacheWrite1h: 20, outputText: 2 }
      assert.deepStrictEqual(yield* usageOf(cached), [counted, counted])
    }))

  it.effect("says who served it, what was tried, what was done about each failure, and when", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* TestClock.setTime(1_000_000)
      const fiber = yield* Llm.generateText(stack, question).pipe(
        receipts.observe,
        Attribution.annotate({ tenant: "acme" }),
        Effect.provide([
          ScriptedProvider.layer(OpenAi, [
            ScriptedProvider.fail("Overloaded", { delay: "300 millis" }),
            ScriptedProvider.fail("ServerError", { delay: "500 millis" })
          ]),
          ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("330 m", { delay: "1 second", usage })])
        ]),
        Random.withSeed("a"),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      const { receipt } = yield* Fiber.join(fiber)
      assert.match(receipt.operationId, /^op_[0-9a-f]{12}$/)
      assert.deepStrictEqual(receipt, {
        operationId: receipt.operationId,
        attribution: { tenant: "acme" },
        startedAt: 1_000_000,
        outcome: "success",
        provider: "anthropic",
        model: "claude-haiku-4-5",
        finishReason: "stop",
        degraded: false,
        attempts: [
          { provider: "openai", model: "gpt-5-mini", startMillis: 0, durationMillis: 300, outcome: "Overloaded" },
          { provider: "openai", model: "gpt-5-mini", startMillis: 2_300, durationMillis: 500, outcome: "ServerError" },
          {
            provider: "anthropic",
            model: "claude-haiku-4-5",
            startMillis: 2_800,
            durationMillis: 1_000,
            firstPartMillis: 1_000,
            outcome: "success",
            usage: finishUsage
          }
        ],
        events: [
          { type: "retry", atMillis: 300, afterAttempts: 1, reason: "Overloaded", delayMillis: 2_000 },
          { type: "fallback", atMillis: 2_800, afterAttempts: 2, reason: "ServerError" }
        ],
        usage: finishUsage,
        timings: { firstPartMillis: 3_800, totalMillis: 3_800 }
      })
      assert.strictEqual(receipts.one(), receipt)
    }))

  it.effect("adds up what all attempts cost, each bucket by itself", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.parts([delta("a"), finish("error")]),
        ScriptedProvider.fail("Overloaded"),
        ScriptedProvider.parts([delta("b"), finish("length")])
      ])
      const { receipt } = yield* Effect.provide(
        Llm.generateText(openai.pipe(Llm.retry(Schedule.recurs(2))), question),
        provider
      )
      assert.deepStrictEqual(receipt.attempts.map((attempt) => attempt.usage), [finishUsage, undefined, finishUsage])
      assert.deepStrictEqual(receipt.usage, {
        inputUncached: 14,
        inputCacheRead: 6,
        inputCacheWrite: 0,
        outputText: 8,
        outputReasoning: 2
      })
      assert.strictEqual(receipt.finishReason, "length")
    }))

  it.effect("names the model that says it answered", () =>
    Effect.gen(function*() {
      const served: Part.Part = { type: "response-metadata", id: "r", modelId: "gpt-5-mini-2025-08-07" }
      const unnamed: Part.Part = { type: "response-metadata", id: "r" }
      const { receipt } = yield* Llm.generateText(openai, question).pipe(
        Effect.provide(
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts([served, unnamed, delta("a"), finish()])])
        )
      )
      assert.strictEqual(receipt.model, "gpt-5-mini-2025-08-07")
      assert.strictEqual(receipt.attempts[0]?.servedModel, "gpt-5-mini-2025-08-07")
      assert.strictEqual(receipt.attempts[0]?.model, "gpt-5-mini")
    }))

  it.effect("stands on the answer before the observer has seen it, and is the same", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const answers = yield* Effect.all([
        Llm.generateText(openai, question),
        Llm.generateObject(openai, { ...question, schema: Schema.Struct({}) })
      ]).pipe(receipts.observe, Effect.provide(ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("{}"))))
      assert.strictEqual(receipts.seen.length, 2)
      assert.strictEqual(receipts.seen[0], answers[0].receipt)
      assert.strictEqual(receipts.seen[1], answers[1].receipt)
      assert.notStrictEqual(answers[0].receipt.operationId, answers[1].receipt.operationId)
    }))

  it.effect("is plain JSON", () =>
    Effect.gen(function*() {
      const { receipt } = yield* Llm.generateText(openai.pipe(Llm.orElse(anthropic)), question).pipe(
        Attribution.annotate({ user: "u", tags: { a: "b" } }),
        Effect.provide([
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("Overloaded")]),
          ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("330 m")])
        ])
      )
      const json = JSON.parse(JSON.stringify(receipt))
      assert.deepStrictEqual(json, receipt)
      const decode = Schema.decodeUnknownEffect(Receipt.Receipt, { onExcessProperty: "error" })
      assert.deepStrictEqual(yield* decode(json), receipt)
    }))

  it.prop("goes through JSON by its schema", [Receipt.Receipt], ([receipt]) => {
    const codec = Schema.fromJsonString(Receipt.Receipt)
    const json = Schema.encodeSync(codec)(receipt)
    const back = Schema.decodeSync(codec)(json)
    assert.strictEqual(Schema.encodeSync(codec)(back), json)
    // Not deeply equal to the last bit: JSON knows no minus zero.
    assert.sameMembers(Object.keys(back), Object.keys(receipt))
  })
})

describe("the receipt of a call that gave no answer", () => {
  it.effect("names nobody as having served it, also where an answer came that would not do", () =>
    Effect.gen(function*() {
      const truncated = ScriptedProvider.parts([delta("a"), finish("length")])
      const stacks = [
        Llm.whole(openai).pipe(Llm.orElse(anthropic)),
        Llm.retry(Llm.whole(openai), Schedule.recurs(1), { while: () => true }).pipe(Llm.orElse(anthropic)),
        Llm.retry(Llm.whole(openai), Schedule.recurs(1), { while: () => true })
      ]
      for (const stack of stacks) {
        const receipts = makeReceipts()
        yield* Llm.generateText(stack, question).pipe(
          Effect.flip,
          receipts.observe,
          Effect.provide([
            ScriptedProvider.layer(OpenAi, [truncated, ScriptedProvider.fail("Overloaded")]),
            ScriptedProvider.layer(Anthropic, [ScriptedProvider.fail("Overloaded")])
          ])
        )
        const receipt = receipts.one()
        assert.strictEqual(receipt.outcome, "Overloaded")
        assert.isUndefined(receipt.provider)
        assert.isUndefined(receipt.model)
        assert.isUndefined(receipt.finishReason)
        assert.isUndefined(receipt.timings.firstPartMillis)
        // It is paid for all the same.
        assert.deepStrictEqual(receipt.usage, finishUsage)
      }
    }))

  it.effect("is there when the call failed", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* Llm.generateText(stack, question).pipe(
        Effect.flip,
        receipts.observe,
        Effect.provide([
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("QuotaExhausted")]),
          ScriptedProvider.layer(Anthropic, [ScriptedProvider.fail("InvalidRequest")])
        ])
      )
      const receipt = receipts.one()
      assert.strictEqual(receipt.outcome, "InvalidRequest")
      assert.isUndefined(receipt.provider)
      assert.isUndefined(receipt.model)
      assert.isUndefined(receipt.finishReason)
      assert.isUndefined(receipt.timings.firstPartMillis)
      assert.deepStrictEqual(receipt.attempts.map((attempt) => attempt.outcome), ["QuotaExhausted", "InvalidRequest"])
      assert.deepStrictEqual(receipt.events.map((event) => [event.type, event.reason]), [[
        "fallback",
        "QuotaExhausted"
      ]])
    }))

  it.effect("is there when the call was interrupted, in an attempt or between two", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const run = (step: ScriptedProvider.Step) =>
        Llm.generateText(openai.pipe(Llm.retry(Schedule.spaced("1 minute"))), question).pipe(
          receipts.observe,
          Effect.provide(ScriptedProvider.layer(OpenAi, [step])),
          Effect.forkChild({ startImmediately: true })
        )
      for (const step of [ScriptedProvider.silence, ScriptedProvider.fail("Overloaded")]) {
        const fiber = yield* run(step)
        yield* TestClock.adjust("7 seconds")
        yield* Fiber.interrupt(fiber)
      }
      const [during, between] = receipts.seen
      assert.strictEqual(receipts.seen.length, 2)
      assert.strictEqual(during?.outcome, "interrupted")
      assert.deepInclude(during?.attempts[0], { outcome: "interrupted", durationMillis: 7_000 })
      assert.strictEqual(between?.outcome, "interrupted")
      assert.deepInclude(between?.attempts[0], { outcome: "Overloaded", durationMillis: 0 })
      assert.strictEqual(between?.timings.totalMillis, 7_000)
    }))

  it.effect("is there when the call died", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      // A call for which the script has no step is a defect.
      const exit = yield* Llm.generateText(openai, question).pipe(
        receipts.observe,
        Effect.provide(ScriptedProvider.layer(OpenAi, [])),
        Effect.exit
      )
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(receipts.one().outcome, "defect")
      assert.strictEqual(receipts.one().attempts[0]?.outcome, "defect")
    }))
})

describe("Receipt.observe", () => {
  const hello = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!"))
  const note = (log: Array<string>, name: string) => () => Effect.sync(() => void log.push(name))

  it.effect("runs inner observers first, each once an operation", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      yield* Effect.gen(function*() {
        yield* Llm.generateText(openai, question).pipe(
          Receipt.observe(note(log, "innermost")),
          Receipt.observe(note(log, "inner"))
        )
        yield* Llm.generateText(openai, question)
      }).pipe(Receipt.observe(note(log, "outer")), Effect.provide(hello))
      // What is called outside of it is none of its business.
      yield* Effect.provide(Llm.generateText(openai, question), hello)
      assert.deepStrictEqual(log, ["innermost", "inner", "outer", "outer"])
    }))

  it.effect("lets no observer change the operation, or silence another, and logs the one that dies", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const lines: Array<string> = []
      const logger = Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))
      const answer = yield* Llm.generateText(openai, question).pipe(
        Receipt.observe(() => Effect.die(new Error("a bug in the observer"))),
        Receipt.observe(note(log, "outer")),
        Effect.provide([hello, Logger.layer([logger])])
      )
      assert.strictEqual(answer.text, "Hello!")
      assert.include(lines.join("\n"), "a bug in the observer")
      assert.deepStrictEqual(log, ["outer"])
    }))

  it.effect("gives observers the services of where they were set", () =>
    Effect.gen(function*() {
      const names: Array<string | undefined> = []
      const keep = () => Effect.map(Effect.service(Attribution.Current), (current) => void names.push(current.feature))
      yield* Llm.generateText(openai, question).pipe(
        Attribution.annotate({ feature: "inside" }),
        Receipt.observe(keep),
        Attribution.annotate({ feature: "outside" }),
        Effect.provide(hello)
      )
      assert.deepStrictEqual(names, ["outside"])
    }))

  it.effect("is not cut short by the interruption of the call", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const stored = yield* Deferred.make<void>()
      const fiber = yield* Llm.generateText(openai, question).pipe(
        Receipt.observe((receipt) => Effect.andThen(Deferred.await(stored), note(log, receipt.outcome)())),
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.silence])),
        Effect.forkChild({ startImmediately: true })
      )
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Deferred.succeed(stored, undefined)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(log, ["interrupted"])
    }))
})
