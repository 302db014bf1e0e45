/**
 * A cache among other policies: who sees what, what is counted, and what is paid for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { Attribution, Breaker, Fallback, Llm, LlmError, Resume, Retry, RetryBudget } from "effect-bulwark"
import { Budget, ContextWindow, TokenCount } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { budget } from "../budget/support/budget.ts"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question, textOf } from "../core/support/stack.ts"
import { ask, counting } from "./support/cached.ts"

const hour = { timeToLive: "1 hour" } as const
const cached = openai.pipe(Cache.through(hour))

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const many = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.all(Array.from({ length: count }, () => effect), { concurrency: "unbounded" })

describe("coalescing", () => {
  it.effect("ten thousand callers at once, one request", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "3 seconds" })
      yield* Effect.gen(function*() {
        const fiber = yield* start(many(10_000, ask(cached)))
        yield* TestClock.adjust("3 seconds")
        const results = yield* Fiber.join(fiber)
        assert.strictEqual(results.filter((result) => result === "coalesced: answer 1").length, 9_999)
        assert.strictEqual(results.filter((result) => result === "miss: answer 1").length, 1)
        const { coalesced, misses, savedUsage } = yield* Cache.statistics
        assert.deepStrictEqual([misses, coalesced, savedUsage.outputText], [1, 9_999, 9_999])
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
      assert.strictEqual(provider.calls.length, 1)
    }))

  it.effect("callers and streams share, each with the same parts; the sums of receipts are what was sent", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(
        OpenAi,
        () => ScriptedProvider.text(["Hel", "lo", "!"], { delay: "1 second", between: "100 millis" })
      )
      const receipts = makeReceipts()
      yield* Effect.gen(function*() {
        const first = yield* start(collect(Llm.streamText(cached, question)))
        yield* TestClock.adjust("1150 millis")
        const late = yield* start(collect(Llm.streamText(cached, question)))
        const whole = yield* start(Llm.generateText(cached, question))
        yield* TestClock.adjust("1 minute")
        const parts = (yield* Fiber.join(first)).parts
        assert.deepStrictEqual((yield* Fiber.join(late)).parts, parts)
        assert.strictEqual((yield* Fiber.join(whole)).text, textOf(parts))
      }).pipe(receipts.observe, Effect.provide([Cache.layerMemory(), provider.layer]))
      assert.strictEqual(provider.calls.length, 1)
      assert.deepStrictEqual(receipts.seen.map(({ cache }) => cache).toSorted(), ["coalesced", "coalesced", "miss"])
      assert.strictEqual(receipts.seen.flatMap(({ attempts }) => attempts).length, 1)
      for (const receipt of receipts.seen) {
        assert.deepStrictEqual([receipt.outcome, receipt.provider, receipt.model], ["success", "openai", "gpt-5-mini"])
        assert.strictEqual(receipt.savedUsage === undefined, receipt.cache === "miss")
      }
    }))

  it.effect("whoever is interrupted harms nobody, and its answer is kept", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "2 seconds" })
      yield* Effect.gen(function*() {
        const leader = yield* start(ask(cached))
        const follower = yield* start(ask(cached))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(leader)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(follower), "coalesced: answer 1")
        assert.strictEqual(yield* ask(cached), "hit: answer 1")
        assert.strictEqual(provider.calls.length, 1)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("when the last one leaves the request is cancelled, and nobody waits for its turn", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "2 seconds" })
      yield* Effect.gen(function*() {
        const both = yield* start(many(2, ask(cached)))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(both)
        assert.strictEqual(provider.calls[0]?.outcome, "interrupted")
        const next = yield* start(ask(cached))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Fiber.join(next), "miss: answer 2")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("a failure reaches all who wait and is forgotten", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, n) =>
        n === 0 ? ScriptedProvider.fail("Overloaded", { delay: "1 second" }) : ScriptedProvider.text("Hi"))
      yield* Effect.gen(function*() {
        const fiber = yield* start(many(10, Effect.flip(ask(cached))))
        yield* TestClock.adjust("1 second")
        const errors = yield* Fiber.join(fiber)
        assert.isTrue(errors.every((error) =>
          error._tag === "Overloaded"
        ))
        assert.strictEqual(yield* ask(cached), "miss: Hi")
        assert.strictEqual(provider.calls.length, 2)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("two stacks that can fail in other ways share what is kept, and not what is under way", () =>
    Effect.gen(function*() {
      const safe = openai.pipe(Llm.orElseSucceed(() => "Sorry."), Cache.through(hour))
      const provider = ScriptedProvider.make(
        OpenAi,
        (_, n) => n < 2 ? ScriptedProvider.fail("Overloaded", { delay: "1 second" }) : ScriptedProvider.text("Hi")
      )
      yield* Effect.gen(function*() {
        const failing = yield* start(Effect.flip(ask(cached)))
        const never = yield* start(ask(safe))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(failing))._tag, "Overloaded")
        assert.strictEqual(yield* Fiber.join(never), "miss: Sorry.")
        assert.strictEqual(yield* ask(cached), "miss: Hi")
        assert.strictEqual(yield* ask(safe), "hit: Hi")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("not where it is not wanted", () =>
    Effect.gen(function*() {
      const alone = openai.pipe(Cache.through({ ...hour, coalesce: false }))
      const provider = counting({ delay: "1 second" })
      yield* Effect.gen(function*() {
        const fiber = yield* start(many(3, ask(alone)))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["miss: answer 1", "miss: answer 2", "miss: answer 3"])
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))
})

describe("Retry, Timeout, Fallback, Breaker", () => {
  it.effect("retries inside are of the one shared call, and their wait is everybody's", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(Retry.transient), Cache.through(hour), Llm.timeout({ total: "1 minute" }))
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.fail("Overloaded"), ScriptedProvider.text("Hi")])
      yield* Effect.gen(function*() {
        const receipts = makeReceipts()
        const fiber = yield* start(receipts.observe(many(3, ask(llm))))
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* Fiber.join(fiber), ["miss: Hi", "coalesced: Hi", "coalesced: Hi"])
        assert.deepStrictEqual(receipts.seen.map(({ attempts }) => attempts.length).toSorted(), [0, 0, 2])
        assert.strictEqual((yield* Llm.generateText(llm, question)).receipt.attempts.length, 0)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("each caller has a deadline of its own", () =>
    Effect.gen(function*() {
      const hasty = cached.pipe(Llm.timeout({ total: "1 second" }))
      const patient = cached.pipe(Llm.timeout({ total: "1 minute" }))
      const provider = counting({ delay: "5 seconds" })
      yield* Effect.gen(function*() {
        const first = yield* start(Effect.exit(ask(hasty)))
        const second = yield* start(ask(patient))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* Fiber.join(second)).split(": ")[1], "answer 1")
        assert.strictEqual(provider.calls.length, 1)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("a hit says who gave the answer, also where that was a fallback", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.orElse(anthropic), Cache.through(hour))
      yield* ask(llm)
      const { receipt } = yield* Llm.generateText(llm, question)
      assert.deepStrictEqual([receipt.cache, receipt.provider, receipt.model], ["hit", "anthropic", "claude-haiku-4-5"])
    }).pipe(Effect.provide([
      Cache.layerMemory(),
      ScriptedProvider.layer(OpenAi, () => ScriptedProvider.fail("QuotaExhausted")),
      ScriptedProvider.layer(Anthropic, () => ScriptedProvider.text("Hi"))
    ])))

  it.effect("a probe of a circuit is never answered by a cache", () =>
    Effect.gen(function*() {
      const llm = cached.pipe(Breaker.guard({ key: "k" }))
      const provider = counting()
      yield* Effect.gen(function*() {
        yield* ask(llm)
        const breaker = yield* Breaker.Breaker
        yield* breaker.open("k", "1 second")
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* ask(llm), "bypass: answer 2")
        assert.strictEqual(yield* ask(llm), "hit: answer 1")
      }).pipe(Effect.provide([Cache.layerMemory(), Breaker.layerMemory(), provider.layer]))
    }))

  it.effect("inside one of several requests at once it is on the receipt too", () =>
    Effect.gen(function*() {
      const llm = cached.pipe(Llm.hedge({ after: "1 second", maxExtra: 1 }))
      yield* ask(llm)
      assert.strictEqual(yield* ask(llm), "hit: answer 1")
    }).pipe(Effect.provide([Cache.layerMemory(), RetryBudget.layerMemory(), counting().layer])))
})

describe("Fallback.cascade", () => {
  it.effect("what is good enough for some is not for those who need a better one", () => {
    const cheap = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("A sketch of an answer."))
    const dear = ScriptedProvider.make(Anthropic, () => ScriptedProvider.text("An answer that was thought over."))
    const llm = Fallback.cascade([
      { llm: openai, price: 1, quality: 0.5 },
      { llm: anthropic, price: 10, quality: 0.9 }
    ]).pipe(Cache.through({ timeToLive: "1 hour" }))
    return Effect.gen(function*() {
      assert.strictEqual(yield* ask(llm), "miss: A sketch of an answer.")
      const better = Fallback.withMinimumQuality(ask(llm), 0.8)
      assert.strictEqual(yield* better, "miss: An answer that was thought over.")
      assert.strictEqual(yield* better, "hit: An answer that was thought over.")
      assert.strictEqual(yield* ask(llm), "hit: A sketch of an answer.")
    }).pipe(Effect.provide([Cache.layerMemory(), cheap.layer, dear.layer]))
  })
})

describe("Budget", () => {
  it.effect("inside: the shared call is charged once, and what is kept costs nothing", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }), Cache.through(hour))
      const receipts = makeReceipts()
      yield* Effect.gen(function*() {
        const fiber = yield* start(receipts.observe(many(20, ask(llm))))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        yield* receipts.observe(ask(llm))
        const [usd, requests] = yield* Budget.status({})
        // 10 tokens in at 1, one out at 2.
        assert.deepStrictEqual([usd?.used, usd?.reserved, requests?.used], [12, 0, 1])
        assert.strictEqual((yield* Cache.statistics).saved, 20 * 12)
      }).pipe(Effect.provide([
        Cache.layerMemory(),
        budget({
          limits: [
            { resource: "usd", limit: "1", window: Budget.total },
            { resource: "requests", limit: 1, window: Budget.total }
          ]
        }),
        counting({ delay: "1 second" }).layer
      ]))
      assert.strictEqual(receipts.seen.filter(({ cost }) => cost !== undefined).length, 1)
      assert.deepStrictEqual(
        new Set(receipts.seen.map(({ cache, saved }) => `${cache} ${saved}`)),
        new Set(["miss undefined", "coalesced 12", "hit 12"])
      )
    }))
})

describe("Resume", () => {
  it.effect("whoever goes on from a text is answered by a model", () =>
    Effect.gen(function*() {
      const llm = cached.pipe(Resume.continue(openai))
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.breakOff(["The tower ", "is "]),
        ScriptedProvider.text(["330 ", "metres."]),
        ScriptedProvider.text("It is 330 metres.")
      ])
      yield* Effect.gen(function*() {
        const { exit, parts } = yield* collect(Llm.streamText(llm, question))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(textOf(parts), "The tower is 330 metres.")
        // Half of it was none to keep, and the other half is none.
        assert.strictEqual(yield* ask(cached), "miss: It is 330 metres.")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("inside, what was put together is kept as what it is", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.continue(openai), Cache.through(hour))
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.breakOff(["The tower ", "is "]),
        ScriptedProvider.text(["330 ", "metres."])
      ])
      yield* Effect.gen(function*() {
        const first = yield* collect(Llm.streamText(llm, question))
        assert.strictEqual(textOf(first.parts), "The tower is 330 metres.")
        assert.strictEqual(yield* ask(llm), "hit: The tower is 330 metres.")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))
})

describe("objects, tools, LanguageModel", () => {
  const City = Schema.Struct({ name: Schema.String, country: Schema.String })

  it.effect("an object is kept where it is one", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.text("{\"name\":\"Paris\"}"),
        ScriptedProvider.text("Paris, of course"),
        ScriptedProvider.text("{\"name\":\"Paris\",\"country\":\"France\"}")
      ])
      const object = Llm.generateObject(cached, { prompt: "Where?", schema: City })
      yield* Effect.gen(function*() {
        assert.instanceOf(yield* Effect.flip(object), LlmError.InvalidOutput)
        assert.instanceOf(yield* Effect.flip(object), LlmError.InvalidOutput)
        const first = yield* object
        const again = yield* object
        assert.deepStrictEqual([first.receipt.cache, again.receipt.cache], ["miss", "hit"])
        assert.deepStrictEqual(again.value, { name: "Paris", country: "France" })
        // The same text for another question.
        assert.strictEqual(provider.calls.length, 3)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  const Weather = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
  const toolkit = Toolkit.make(Weather)

  it.effect("calls of tools are asked for anew, or are given again where that is wanted", () =>
    Effect.gen(function*() {
      for (const toolCalls of [false, true]) {
        const ran: Array<string> = []
        const llm = openai.pipe(Cache.through({ ...hour, toolCalls }))
        const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.toolCall("Weather", { city: "Rome" }))
        const handlers = toolkit.toLayer({ Weather: ({ city }) => Effect.sync(() => `${ran.push(city)}`) })
        const run = Llm.generateText(llm, { prompt: "Weather?", toolkit })
        yield* Effect.gen(function*() {
          const first = yield* run
          const again = yield* run
          assert.deepStrictEqual([first.receipt.cache, again.receipt.cache], ["miss", toolCalls ? "hit" : "miss"])
          assert.deepStrictEqual(again.toolCalls.map(({ params }) => params), [{ city: "Rome" }])
          // Tools are run, whoever has called them.
          assert.strictEqual(ran.length, 2)
        }).pipe(Effect.provide([Cache.layerMemory(), provider.layer, handlers], { local: true }))
        assert.strictEqual(provider.calls.length, toolCalls ? 1 : 2)
      }
    }))

  it.effect("what is asked by way of a LanguageModel is the same, and its attribution is the caller's", () =>
    Effect.gen(function*() {
      const provider = counting()
      const program = Effect.gen(function*() {
        const model = yield* LanguageModel.LanguageModel
        const generate = Effect.map(model.generateText(question), ({ text }) => text)
        const as = (tenant: string) => Attribution.annotate({ tenant })
        return [
          yield* generate.pipe(as("a")),
          yield* generate.pipe(as("a")),
          yield* generate.pipe(as("b")),
          yield* Effect.map(Stream.runCollect(model.streamText(question)), textOf).pipe(as("a")),
          yield* generate.pipe(as("a"), Cache.withDirective({ mode: "refresh" })),
          yield* ask(cached).pipe(as("a"))
        ]
      })
      const results = yield* program.pipe(Effect.provide(
        Llm.layerLanguageModel(cached).pipe(Layer.provideMerge(Layer.mergeAll(Cache.layerMemory(), provider.layer)))
      ))
      assert.deepStrictEqual(results, ["answer 1", "answer 1", "answer 2", "answer 1", "answer 3", "hit: answer 3"])
    }))
})

describe("ContextWindow around it", () => {
  it.effect("what is cut off of a request is not asked, and makes it another one", () =>
    Effect.gen(function*() {
      const conversation = (first: string) => ({
        prompt: [
          { role: "user" as const, content: first },
          { role: "assistant" as const, content: "Yes." },
          { role: "user" as const, content: "And now?" }
        ]
      })
      // A letter is a token.
      const counts = Layer.succeed(TokenCount.TokenCount, {
        [TokenCount.TypeId]: TokenCount.TypeId,
        count: (request) => Effect.succeed({ tokens: JSON.stringify(request.prompt).length, exact: true, margin: 0 }),
        countText: (_, text) => Effect.succeed({ tokens: text.length, exact: true, margin: 0 }),
        tokenizer: () => assert.fail("nobody asks for it")
      })
      const tight = cached.pipe(ContextWindow.enforce({ mode: "trim", window: () => 400, reserve: 10 }))
      const provider = counting()
      yield* Effect.gen(function*() {
        const say = (llm: typeof tight, first: string) =>
          Effect.map(Llm.generateText(llm, conversation(first)), ({ receipt, text }) => ({
            said: `${receipt.cache}: ${text}`,
            trims: receipt.events.filter(({ type }) => type === "trim").length
          }))
        const long = "x".repeat(300)
        assert.deepStrictEqual(yield* say(tight, long), { said: "miss: answer 1", trims: 1 })
        assert.deepStrictEqual(yield* say(tight, long), { said: "hit: answer 1", trims: 0 })
        assert.strictEqual(provider.calls[0]!.request.prompt.content.length, 1)
        // The same conversation as it is.
        const { receipt } = yield* Llm.generateText(cached, conversation(long))
        assert.strictEqual(receipt.cache, "miss")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer, counts]))
    }))
})
