import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { Attribution, Llm, LlmError, type Part, Plan } from "effect-bulwark"
import { Cache } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { collect, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { ask, counting } from "./support/cached.ts"

const hour = { timeToLive: "1 hour" } as const

const cached = openai.pipe(Cache.through(hour))

describe("Cache.through", () => {
  it.effect("a hit costs nothing, and says what it spared and who gave the answer", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "2 seconds" })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Llm.generateText(cached, question), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        const first = yield* Fiber.join(fiber)
        const second = yield* Llm.generateText(cached, question)
        assert.strictEqual(first.text, "answer 1")
        assert.strictEqual(second.text, "answer 1")
        assert.deepStrictEqual([first.receipt.cache, second.receipt.cache], ["miss", "hit"])
        assert.strictEqual(first.receipt.attempts.length, 1)
        assert.isUndefined(first.receipt.savedUsage)
        const { receipt } = second
        assert.deepStrictEqual(receipt.attempts, [])
        assert.deepStrictEqual(receipt.usage, { ...first.receipt.usage, inputUncached: 0, outputText: 0 })
        assert.deepStrictEqual(receipt.savedUsage, first.receipt.usage)
        assert.deepStrictEqual(
          [receipt.provider, receipt.model, receipt.finishReason, receipt.outcome, receipt.timings.totalMillis],
          ["openai", "gpt-5-mini", "stop", "success", 0]
        )
        const { hits, misses, savedUsage, writes } = yield* Cache.statistics
        assert.deepStrictEqual([hits, misses, writes, savedUsage.outputText], [1, 1, 1, 1])
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
      assert.strictEqual(provider.calls.length, 1)
    }))

  it.effect("an answer is fresh until its time is over, to the millisecond", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask(cached), "miss: answer 1")
      yield* TestClock.setTime(3_599_999)
      assert.strictEqual(yield* ask(cached), "hit: answer 1")
      yield* TestClock.setTime(3_600_000)
      assert.strictEqual(yield* ask(cached), "miss: answer 2")
      // Its time begins when it is there.
      yield* TestClock.setTime(7_199_999)
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
      yield* TestClock.setTime(7_200_000)
      assert.strictEqual(yield* ask(cached), "miss: answer 3")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("a stream is replayed in the very parts of the model, also where it was asked for whole", () =>
    Effect.gen(function*() {
      const parts: ReadonlyArray<Part.ProviderPart> = [
        { type: "response-metadata", id: "r1", modelId: "gpt-5-mini-2026", timestamp: "2026-01-01T00:00:00.000Z" },
        { type: "reasoning-start", id: "r" },
        { type: "reasoning-delta", id: "r", delta: "Hm." },
        { type: "reasoning-end", id: "r", metadata: { openai: { signature: "x" } } },
        ...ScriptedProvider.text(["Hel", "lo", ", 東京", " 🗼"]).parts
      ]
      yield* Effect.gen(function*() {
        const first = yield* collect(Llm.streamText(cached, question))
        const again = yield* collect(Llm.streamText(cached, question))
        assert.deepStrictEqual(again, first)
        assert.strictEqual(again.parts.length, parts.length)
        const whole = yield* Llm.generateText(cached, question)
        assert.strictEqual(whole.text, "Hello, 東京 🗼")
        assert.deepStrictEqual([whole.receipt.cache, whole.receipt.model], ["hit", "gpt-5-mini-2026"])
      }).pipe(
        Effect.provide([Cache.layerMemory(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts(parts)])])
      )
    }))

  it.effect("a whole answer is replayed as a stream", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* ask(cached)
      const { exit, parts } = yield* receipts.observe(collect(Llm.streamText(cached, question)))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(parts.map(({ type }) => type), ["text-start", "text-delta", "text-end", "finish"])
      const receipt = receipts.one()
      assert.deepStrictEqual([receipt.cache, receipt.outcome], ["hit", "success"])
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("a paced replay waits before each part but the first", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Cache.through({ ...hour, replay: { every: "20 millis" } }))
      const receipts = makeReceipts()
      yield* ask(llm)
      const at: Array<number> = []
      const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const fiber = yield* Effect.forkChild(
        receipts.observe(Stream.runForEach(
          Llm.streamText(llm, question),
          () => Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (now) => void at.push(now - started)))
        )),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [0, 20, 40, 60])
      assert.deepStrictEqual([receipts.one().outcome, receipts.one().timings.totalMillis], ["success", 60])
      // A whole answer has no pace.
      assert.strictEqual((yield* Llm.generateText(llm, question)).receipt.timings.totalMillis, 0)
      // Who stops reading has not had it all.
      const stopped = makeReceipts()
      const reader = yield* Effect.forkChild(
        stopped.observe(Stream.runDrain(Stream.take(Llm.streamText(llm, question), 2))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reader)
      assert.deepStrictEqual([stopped.one().cache, stopped.one().outcome], ["hit", "interrupted"])
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))
})

describe("who shares", () => {
  const as = (attribution: Attribution.Attribution) => <E, R>(llm: Llm.Llm<E, R>) =>
    ask(llm).pipe(Attribution.annotate(attribution))

  it.effect("the calls of one tenant, and by themselves those without any", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* as({ tenant: "acme", user: "ann" })(cached), "miss: answer 1")
      assert.strictEqual(yield* as({ tenant: "acme", user: "bob" })(cached), "hit: answer 1")
      assert.strictEqual(yield* as({ tenant: "umbrella" })(cached), "miss: answer 2")
      assert.strictEqual(yield* as({})(cached), "miss: answer 3")
      assert.strictEqual(yield* as({ user: "acme" })(cached), "hit: answer 3")
      // Neither of these is nobody.
      assert.strictEqual(yield* as({ tenant: "" })(cached), "miss: answer 4")
      assert.strictEqual(yield* as({ tenant: "undefined" })(cached), "miss: answer 5")
      // Two names that look alike.
      assert.strictEqual(yield* as({ tenant: "caf\u00e9" })(cached), "miss: answer 6")
      assert.strictEqual(yield* as({ tenant: "cafe\u0301" })(cached), "miss: answer 7")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("the calls of one user of one tenant; a call without a user passes by", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Cache.through({ ...hour, scope: "user" }))
      assert.strictEqual(yield* as({ tenant: "acme", user: "ann" })(llm), "miss: answer 1")
      assert.strictEqual(yield* as({ tenant: "acme", user: "ann" })(llm), "hit: answer 1")
      assert.strictEqual(yield* as({ tenant: "acme", user: "bob" })(llm), "miss: answer 2")
      assert.strictEqual(yield* as({ tenant: "umbrella", user: "ann" })(llm), "miss: answer 3")
      assert.strictEqual(yield* as({ user: "ann" })(llm), "miss: answer 4")
      assert.strictEqual(yield* as({ tenant: "acme" })(llm), "bypass: answer 5")
      assert.strictEqual(yield* as({ tenant: "acme" })(llm), "bypass: answer 6")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))

  it.effect("everybody; and whoever a function says", () =>
    Effect.gen(function*() {
      const open = openai.pipe(Cache.through({ ...hour, scope: "public" }))
      assert.strictEqual(yield* as({ tenant: "acme" })(open), "miss: answer 1")
      assert.strictEqual(yield* as({})(open), "hit: answer 1")
      const byFeature = openai.pipe(Cache.through({ ...hour, scope: ({ attribution }) => attribution.feature }))
      assert.strictEqual(yield* as({ feature: "search" })(byFeature), "miss: answer 2")
      assert.strictEqual(yield* as({ feature: "search", tenant: "acme" })(byFeature), "hit: answer 2")
      assert.strictEqual(yield* as({ tenant: "search" })(byFeature), "bypass: answer 3")
      // The scopes are apart, whatever they are called.
      assert.strictEqual(yield* as({ tenant: "search" })(cached), "miss: answer 4")
    }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))
})

describe("what is kept", () => {
  const twice = (step: ScriptedProvider.Step, options?: Partial<Cache.Options>) =>
    Effect.gen(function*() {
      const llm = Cache.through(openai, { ...hour, ...options } as Cache.AllowingOptions)
      const provider = ScriptedProvider.make(OpenAi, () => step)
      const results = yield* Effect.provide(
        Effect.replicateEffect(
          Effect.map(Effect.exit(Llm.generateText(llm, question)), (exit) =>
            Exit.isSuccess(exit) ? exit.value.receipt.cache : Cause.findErrorOption(exit.cause)),
          2
        ),
        [Cache.layerMemory(), provider.layer]
      )
      return { asked: provider.calls.length, results }
    })

  for (const finishReason of ["length", "other", "unknown", "pause"] as const) {
    it.effect(`not an answer that ended with ${finishReason}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* twice(ScriptedProvider.text("Hel", { finishReason })), {
          asked: 2,
          results: ["miss", "miss"]
        })
      }))
  }

  it.effect("tool calls only where they are asked for", () =>
    Effect.gen(function*() {
      const call = ScriptedProvider.toolCall("Weather", { city: "Rome" })
      assert.strictEqual((yield* twice(call)).asked, 2)
      assert.strictEqual((yield* twice(call, { toolCalls: true })).asked, 1)
      // Some servers end such answers with another word.
      const stopped = ScriptedProvider.toolCall("Weather", { city: "Rome" }, { finishReason: "stop" })
      assert.strictEqual((yield* twice(stopped)).asked, 2)
      assert.strictEqual((yield* twice(stopped, { toolCalls: true })).asked, 1)
    }))

  it.effect("what a function of the answer says, but for what is no answer", () =>
    Effect.gen(function*() {
      const cut = ScriptedProvider.text("Hel", { finishReason: "length" })
      assert.strictEqual((yield* twice(cut, { cacheable: ({ text }) => text === "Hel" })).asked, 1)
      assert.strictEqual((yield* twice(ScriptedProvider.text("Hi"), { cacheable: () => false })).asked, 2)
      const withheld = ScriptedProvider.text("Hel", { finishReason: "content-filter" })
      assert.strictEqual((yield* twice(withheld, { cacheable: () => true })).asked, 2)
    }))

  it.effect("no failure", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* twice(ScriptedProvider.fail("ContentFiltered"))).asked, 2)
      assert.strictEqual((yield* twice(ScriptedProvider.breakOff(["Hel", "lo"]))).asked, 2)
    }))

  it.effect("no stream that broke off, or that nobody read to its end", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.breakOff(["Hel", "lo"]),
        ScriptedProvider.text(["Hel", "lo"], { between: "1 second" }),
        ScriptedProvider.text("Hello")
      ])
      yield* Effect.gen(function*() {
        yield* collect(Llm.streamText(cached, question))
        const fiber = yield* Effect.forkChild(Stream.runDrain(Stream.take(Llm.streamText(cached, question), 2)), {
          startImmediately: true
        })
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* ask(cached), "miss: Hello")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("no answer that comes from no model", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.orElseSucceed(() => "We are closed."), Cache.through(hour))
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.fail("InvalidRequest"),
        ScriptedProvider.text("Hello")
      ])
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* ask(llm), "miss: We are closed.")
        assert.strictEqual(yield* ask(llm), "miss: Hello")
        assert.strictEqual(yield* ask(llm), "hit: Hello")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("nothing that is too large", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask(cached), "miss: answer 1")
      assert.strictEqual(yield* ask(cached), "miss: answer 2")
      assert.strictEqual((yield* Cache.statistics).refused, 2)
    }).pipe(Effect.provide([Cache.layerMemory({ maxEntryBytes: 100 }), counting().layer])))

  it("options that make no sense", () => {
    for (
      const options of [
        { timeToLive: 0 },
        { timeToLive: "Infinity" },
        { ...hour, staleIfError: -1 },
        { ...hour, earlyRefresh: { beta: -1 } },
        { ...hour, negative: { errors: [], timeToLive: 0 } },
        { ...hour, storeTimeout: 0 },
        { ...hour, coalesce: { lease: 0 } }
      ] as ReadonlyArray<Cache.AllowingOptions>
    ) assert.throws(() => Cache.through(openai, options), RangeError)
    assert.throws(() => Cache.layer({ maxEntryBytes: 0 }), RangeError)
    assert.throws(() => Cache.layer({ storeTimeout: "0 seconds" }), RangeError)
  })

  it("says so in the plan", () => {
    assert.strictEqual(
      Plan.render(openai.pipe(Cache.through({ ...hour, scope: "user", staleIfError: "1 day" })).plan),
      "cache 1h, by user, 1d stale if there is an error\n└─ openai/gpt-5-mini"
    )
  })
})

describe("failures that are kept", () => {
  const negative = { errors: ["ContentFiltered"], timeToLive: "10 seconds" } as const
  const llm = openai.pipe(Cache.through({ ...hour, negative }))

  it.effect("are given again, for their own time", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("ContentFiltered"))
      yield* Effect.gen(function*() {
        const receipts = makeReceipts()
        const failing = receipts.observe(Effect.flip(Llm.generateText(llm, question)))
        const first = yield* failing
        yield* TestClock.setTime(9_999)
        const second = yield* failing
        assert.deepStrictEqual(second, first)
        assert.instanceOf(second, LlmError.ContentFiltered)
        assert.strictEqual(provider.calls.length, 1)
        yield* TestClock.setTime(10_000)
        yield* failing
        assert.strictEqual(provider.calls.length, 2)
        assert.deepStrictEqual(receipts.seen.map(({ cache, outcome }) => [cache, outcome]), [
          ["miss", "ContentFiltered"],
          ["hit", "ContentFiltered"],
          ["miss", "ContentFiltered"]
        ])
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("only those that were chosen, and only by stacks that can fail so", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, n) =>
        n === 1 ? ScriptedProvider.fail("ContentFiltered") : ScriptedProvider.fail("InvalidRequest"))
      yield* Effect.gen(function*() {
        yield* Effect.flip(Llm.generateText(llm, question))
        assert.instanceOf(yield* Effect.flip(Llm.generateText(llm, question)), LlmError.ContentFiltered)
        assert.strictEqual(provider.calls.length, 2)
        // It has the same key: whom it asks, and what, is the same.
        const never = openai.pipe(
          Llm.orElseSucceed(() =>
            "Sorry."
          ),
          Cache.through({ ...hour, negative })
        )
        assert.strictEqual(yield* ask(never), "miss: Sorry.")
        assert.strictEqual(provider.calls.length, 3)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))
})
