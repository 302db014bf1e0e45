import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { Llm } from "effect-bulwark"
import { ContextWindow } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai } from "../core/support/stack.ts"
import { counting, ofMessages, words } from "./support/counting.ts"

const options = {
  map: (part: string) => `Read: ${part}`,
  reduce: (answers: ReadonlyArray<string>) => `Join: ${answers.join(" | ")}`,
  maxOutputTokens: 10,
  window: 100
}

const world = (script: ScriptedProvider.Script = () => ScriptedProvider.text("An answer of five words.")) => {
  const provider = ScriptedProvider.make(OpenAi, script)
  return {
    calls: provider.calls,
    questions: () => provider.calls.map(({ request }) => JSON.stringify(request.prompt.content)),
    layer: Layer.merge(provider.layer, counting())
  }
}

const book = (length: number) => Array.from({ length }, (_, index) => `word${index}`).join(" ")

describe("ContextWindow.mapReduce", () => {
  it.effect("asks about each part, then about the answers, and sums what that cost", () => {
    const { calls, layer, questions } = world()
    const receipts = makeReceipts()
    return Effect.gen(function*() {
      const result = yield* receipts.observe(ContextWindow.mapReduce(openai, { ...options, input: book(150) }))
      assert.strictEqual(result.text, "An answer of five words.")
      assert.deepStrictEqual(result.plan, {
        chunks: 2,
        calls: 3,
        inputTokens: result.plan.inputTokens,
        outputTokens: 30
      })
      assert.strictEqual(calls.length, 3)
      assert.include(questions()[0], "Read: word0 ")
      assert.include(questions()[1], "word149")
      assert.include(questions()[2], "Join: An answer of five words. | An answer of five words.")
      assert.deepStrictEqual(calls.map(({ request }) => request.settings.maxOutputTokens), [10, 10, 10])
      assert.deepStrictEqual(result.usage, {
        inputUncached: 30,
        inputCacheRead: 0,
        inputCacheWrite: 0,
        outputText: 3,
        outputReasoning: 0
      })
      assert.deepStrictEqual(result.receipts, receipts.seen)
      assert.strictEqual(result.answer.receipt, receipts.seen[2])
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks once about what fits, and about nothing at all", () =>
    Effect.gen(function*() {
      for (const input of [book(10), ""]) {
        const { calls, layer } = world()
        const result = yield* ContextWindow.mapReduce(openai, { ...options, input }).pipe(Effect.provide(layer))
        assert.strictEqual(calls.length, 1)
        assert.deepStrictEqual([result.plan.chunks, result.plan.calls], [1, 1])
      }
    }))

  it.effect("says how many parts there are", () => {
    const { layer, questions } = world()
    return Effect.gen(function*() {
      yield* ContextWindow.mapReduce(openai, {
        ...options,
        input: book(250),
        map: (part, index, parts) => `Part ${index + 1} of ${parts}: ${part}`
      })
      assert.include(questions()[2], "Part 3 of 4: ")
    }).pipe(Effect.provide(layer))
  })

  it.effect.prop(
    "never sends more than it announced, nor anything that does not fit, and always ends",
    [
      Arbitrary.schema(Schema.Literals([1, 90, 200, 700, 2500])),
      Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 5, 10, 10, 40, 200])), { minLength: 1, maxLength: 6 }),
      Arbitrary.schema(Schema.Literals([60, 100, 400]))
    ],
    ([length, lengths, window]) => {
      const answerOf = (index: number) => "said ".repeat(lengths[index % lengths.length]!)
      const { calls, layer } = world((_, index) => ScriptedProvider.text(answerOf(index)))
      const settings = { ...options, window, input: book(length) }
      return Effect.gen(function*() {
        const plan = yield* ContextWindow.planMapReduce(openai, settings)
        const exit = yield* Effect.exit(ContextWindow.mapReduce(openai, settings))
        assert.isAtMost(calls.length, plan.calls)
        const sizes = calls.map(({ request }) => ofMessages(request.prompt.content))
        for (const size of sizes) assert.isAtMost(size + options.maxOutputTokens, window)
        assert.isAtMost(sizes.reduce((sum, size) => sum + size, 0), plan.inputTokens)
        if (Exit.isSuccess(exit)) {
          assert.deepStrictEqual(exit.value.plan, plan)
        } else {
          // Only where answers do not keep to their limit.
          assert.isTrue(calls.some((_, index) => words(answerOf(index)) > options.maxOutputTokens))
          const error = yield* Effect.flip(exit)
          assert.include(["ContextLengthExceeded", "MapReduceRefused"], error._tag)
          if (error._tag === "MapReduceRefused") assert.strictEqual(error.reason, "exceeded")
        }
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("reads the answers in rounds where they are too many for one question", () => {
    const { calls, layer, questions } = world(() => ScriptedProvider.text("said ".repeat(10)))
    return Effect.gen(function*() {
      const result = yield* ContextWindow.mapReduce(openai, { ...options, input: book(2500) })
      assert.isAtMost(calls.length, result.plan.calls)
      assert.isAbove(questions().filter((question) => question.includes("Join:")).length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives up, and says so, where answers do not become shorter", () => {
    const { calls, layer } = world(() => ScriptedProvider.text("said ".repeat(80)))
    return Effect.gen(function*() {
      const settings = { ...options, input: book(500) }
      const error = yield* Effect.flip(ContextWindow.mapReduce(openai, settings))
      assert(error._tag === "ContextLengthExceeded")
      assert.strictEqual(error.limit, 100)
      assert.isAbove(error.requested!, 100)
      assert.strictEqual(calls.length, (yield* ContextWindow.planMapReduce(openai, settings)).chunks)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends no more than it announced, where answers are too long", () => {
    const { calls, layer } = world(() => ScriptedProvider.text("said ".repeat(40)))
    return Effect.gen(function*() {
      const settings = { ...options, window: 400, input: book(700) }
      const error = yield* Effect.flip(ContextWindow.mapReduce(openai, settings))
      assert(error._tag === "MapReduceRefused")
      assert.strictEqual(error.reason, "exceeded")
      assert.include(error.message, "answers were longer")
      assert.strictEqual(calls.length, (yield* ContextWindow.planMapReduce(openai, settings)).chunks)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends nothing where it would be too much, or is not approved", () => {
    const { calls, layer } = world()
    const settings = { ...options, input: book(500) }
    return Effect.gen(function*() {
      const plan = yield* ContextWindow.planMapReduce(openai, settings)
      const tokens = plan.inputTokens + plan.outputTokens
      for (const maximum of [{ calls: plan.calls - 1 }, { tokens: tokens - 1 }]) {
        const error = yield* Effect.flip(ContextWindow.mapReduce(openai, { ...settings, maximum }))
        assert(error._tag === "MapReduceRefused")
        assert.deepStrictEqual(
          [error.reason, error.calls, error.inputTokens, error.outputTokens],
          ["maximum", plan.calls, plan.inputTokens, plan.outputTokens]
        )
        assert.include(error.message, `${plan.calls} calls`)
      }
      const asked: Array<ContextWindow.MapReducePlan> = []
      const approve = (plan: ContextWindow.MapReducePlan) =>
        Effect.sync(() => {
          asked.push(plan)
          return false
        })
      const error = yield* Effect.flip(ContextWindow.mapReduce(openai, { ...settings, approve }))
      assert.strictEqual(error._tag === "MapReduceRefused" && error.reason, "notApproved")
      assert.deepStrictEqual(asked, [plan])
      const failing = ContextWindow.mapReduce(openai, { ...settings, approve: () => Effect.fail("no" as const) })
      assert.strictEqual(yield* Effect.flip(failing), "no")
      assert.strictEqual(calls.length, 0)
      yield* ContextWindow.mapReduce(openai, {
        ...settings,
        maximum: { calls: plan.calls, tokens },
        approve: () => Effect.succeed(true)
      })
      assert.isAbove(calls.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends nothing where the window is too small for it", () => {
    const { calls, layer } = world()
    return Effect.gen(function*() {
      const refused = (settings: Partial<typeof options>) =>
        Effect.map(
          Effect.flip(ContextWindow.mapReduce(openai, { ...options, ...settings, input: book(500) })),
          (error) => {
            assert(error._tag === "ContextLengthExceeded")
            assert.isTrue(error.unsent)
            assert.isAbove(error.requested!, error.limit!)
          }
        )
      yield* refused({ window: 40 })
      yield* refused({ map: () => "word ".repeat(80) })
      // Two answers and the question about them.
      yield* refused({ maxOutputTokens: 40 })
      yield* refused({ map: (part) => `${part} ${part}` })
      assert.strictEqual(calls.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes the smallest window of the models it may ask", () => {
    const first = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Yes."))
    const second = ScriptedProvider.make(Anthropic, () => ScriptedProvider.text("Yes."))
    const { window: _, ...settings } = { ...options, input: book(300) }
    return Effect.gen(function*() {
      const plan = ContextWindow.planMapReduce(openai.pipe(Llm.orElse(anthropic)), settings)
      const windows =
        (openai: number, anthropic: number | undefined) => ({ provider }: { readonly provider: string }) =>
          provider === "openai" ? openai : anthropic
      const chunks = (openai: number, anthropic: number | undefined) =>
        Effect.map(
          Effect.provideService(plan, ContextWindow.Windows, windows(openai, anthropic)),
          ({ chunks }) => chunks
        )
      assert.strictEqual(yield* chunks(100, 1000), yield* chunks(1000, 100))
      assert.isAbove(yield* chunks(100, 1000), yield* chunks(1000, 1000))
      // One that is not known is taken to be small.
      assert.strictEqual(yield* chunks(10_000, undefined), 1)
      assert.strictEqual(
        (yield* ContextWindow.planMapReduce(openai, { ...settings, input: book(9000) }).pipe(
          Effect.provideService(ContextWindow.Windows, () => undefined)
        )).chunks,
        2
      )
    }).pipe(Effect.provide(Layer.mergeAll(first.layer, second.layer, counting())))
  })

  it.effect("takes no half answer for a whole one", () => {
    const { layer } = world(() => ScriptedProvider.text("An answer of", { finishReason: "length" }))
    return Effect.gen(function*() {
      const error = yield* Effect.flip(ContextWindow.mapReduce(openai, { ...options, input: book(200) }))
      assert.strictEqual(error._tag, "OutputTruncated")
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks as many questions at a time as it may, and none any more when one has failed or it is interrupted", () => {
    const slow = (request: unknown, index: number) =>
      index === 3
        ? ScriptedProvider.fail("InvalidRequest", { delay: "1 second" })
        : ScriptedProvider.text("Yes.", { delay: "2 seconds" })
    return Effect.gen(function*() {
      for (const interrupted of [false, true]) {
        const { calls, layer } = world(slow)
        const fiber = yield* ContextWindow.mapReduce(openai, { ...options, input: book(1000), concurrency: 3 }).pipe(
          Effect.provide(layer),
          Effect.forkChild({ startImmediately: true })
        )
        // Counting takes longer than a fiber may run at a time.
        for (let turn = 0; turn < 100 && calls.length === 0; turn++) yield* Effect.yieldNow
        yield* TestClock.adjust("1 second")
        assert.strictEqual(calls.length, 3)
        if (interrupted) yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(calls.length, interrupted ? 3 : 6)
        assert.isTrue(calls.every(({ outcome }) => outcome !== undefined))
      }
    })
  })

  it("takes no options that cannot be", () => {
    for (
      const wrong of [
        { chunkTokens: 31 },
        { maxOutputTokens: 0 },
        { window: 0 },
        { concurrency: 0 },
        { overlapTokens: -1 }
      ]
    ) {
      assert.throws(() => ContextWindow.mapReduce(openai, { ...options, input: "", ...wrong }), RangeError)
      assert.throws(() => ContextWindow.planMapReduce(openai, { ...options, input: "", ...wrong }), RangeError)
    }
  })
})
