/**
 * One request for all who ask the same at the same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Llm, LlmError, Part, Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { OpenAi, openai, question, textOf } from "../core/support/stack.ts"
import { makeWorld, shared, usageOf } from "./support/flights.ts"

const hello = ScriptedProvider.text(["Hel", "lo ", "all!"], { delay: 100, between: 10 })

const attempts = (callers: ReadonlyArray<{ readonly receipt: () => { readonly attempts: ReadonlyArray<unknown> } }>) =>
  callers.map((caller) => caller.receipt().attempts.length)

describe("SingleFlight", () => {
  it.effect("asks once for a full answer", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const first = yield* world.whole(shared)
      yield* TestClock.adjust(50)
      const second = yield* world.whole(shared)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([first, second].map((caller) => [caller.ended(), caller.text()]), [
        ["success", "Hello all!"],
        ["success", "Hello all!"]
      ])
      assert.strictEqual(world.calls.length, 1)
      const { receipt } = { receipt: second.receipt() }
      assert.deepInclude(receipt, { cache: "coalesced", outcome: "success", provider: "openai", model: "gpt-5-mini" })
      assert.deepInclude(receipt, { finishReason: "stop", attempts: [], events: [] })
      assert.deepStrictEqual(receipt.savedUsage, first.receipt().usage)
      assert.deepStrictEqual(receipt.timings, { firstPartMillis: 100, totalMillis: 100 })
      assert.strictEqual(first.receipt().cache, undefined)
      assert.strictEqual(first.receipt().savedUsage, undefined)
      assert.deepStrictEqual(attempts([first, second]), [1, 0])
      yield* world.settled
    }))

  it.effect("hands whoever joins a stream all of its parts", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const first = yield* world.stream(shared)
      yield* TestClock.adjust(50)
      const second = yield* world.stream(shared)
      yield* TestClock.adjust(60)
      assert.strictEqual(first.text(), "Hel")
      const third = yield* world.stream(shared)
      assert.strictEqual(third.text(), "Hel")
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([first, second, third].map((caller) => caller.text()), ["Hello ", "Hello ", "Hello "])
      yield* TestClock.adjust(1000)
      assert.strictEqual(first.text(), "Hello all!")
      assert.deepStrictEqual(second.parts, first.parts)
      assert.deepStrictEqual(third.parts, first.parts)
      assert.deepStrictEqual(attempts([first, second, third]), [1, 0, 0])
      assert.strictEqual(third.receipt().timings.firstPartMillis, 0)
      assert.deepStrictEqual(usageOf(world.receipts), first.receipt().usage)
      yield* world.settled
    }))

  it.effect("hands a stream's answer to whoever waits for all of it, and the other way round", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello, hello])
      const streams = yield* world.stream(shared)
      yield* TestClock.adjust(115)
      const collects = yield* world.whole(shared)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([streams.text(), collects.text()], ["Hello all!", "Hello all!"])
      const waits = yield* world.whole(shared)
      yield* TestClock.adjust(50)
      const at = yield* world.stream(shared)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([waits.text(), at.text()], ["Hello all!", "Hello all!"])
      assert.deepStrictEqual(Part.toAnswer(at.parts as Array<never>).length, 2)
      assert.deepStrictEqual(world.calls.map((call) => call.transport), ["stream", "whole"])
      yield* world.settled
    }))

  it.effect("shares nothing between keys, nor without one, nor one after the other", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld(() => hello)
      const of = (key: string | undefined) => openai.pipe(SingleFlight.share({ key: () => key }))
      for (const llm of [of("a"), of("b"), of(undefined), of(undefined), Llm.withSettings(of("a"), {}), shared]) {
        yield* world.whole(llm)
      }
      // The same key, with another policy inside.
      yield* world.whole(openai.pipe(Llm.timeout({ total: "1 minute" }), SingleFlight.share({ key: () => "a" })))
      yield* TestClock.adjust(1000)
      assert.strictEqual(world.calls.length, 6)
      yield* world.whole(of("a"))
      yield* TestClock.adjust(1000)
      assert.strictEqual(world.calls.length, 7)
      yield* world.settled
    }))

  // By default fewer streams, which take longer to read.
  const callers = process.env["BULWARK_TEST_CALLERS"]
  const answers = {
    whole: Effect.map(Llm.generateText(shared, question), ({ text }) => text),
    stream: Effect.map(Stream.runCollect(Llm.streamText(shared, question)), textOf)
  }
  for (const [kind, usual] of [["whole", 10_000], ["stream", 2_000]] as const) {
    const many = Number(callers ?? usual)
    it.effect(`${many} callers, one request (${kind})`, () =>
      Effect.gen(function*() {
        const provider = ScriptedProvider.make(OpenAi, [hello])
        const flights = yield* SingleFlight.make()
        const texts = new Set<string>()
        let [receipts, requests, coalesced] = [0, 0, 0]
        yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: many }),
            () => Effect.map(answers[kind], (text) => texts.add(text)),
            { concurrency: "unbounded", discard: true }
          ).pipe(
            Receipt.observe(({ attempts, cache }) =>
              Effect.sync(() => {
                receipts++
                requests += attempts.length
                if (cache === "coalesced") coalesced++
              })
            ),
            Effect.provide(provider.layer),
            Effect.provideService(SingleFlight.SingleFlight, flights)
          )
        )
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual([...texts], ["Hello all!"])
        assert.deepStrictEqual([provider.calls.length, receipts, requests, coalesced], [1, many, 1, many - 1])
        assert.strictEqual(yield* flights.size, 0)
      }), 60_000)
  }

  it.effect("a failure reaches all who wait, and nobody after", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.fail("Overloaded", { delay: 100 }), hello])
      // In the very tick of the failure, before the others have heard of it.
      let late: Effect.Success<ReturnType<typeof world.whole>> | undefined
      const first = yield* world.whole(shared.pipe(Llm.orElseSucceed(() => "none")))
      const callers = [yield* world.whole(shared), yield* world.stream(shared)]
      yield* TestClock.adjust(99)
      assert.strictEqual(first.ended(), undefined)
      yield* TestClock.adjust(1)
      late = yield* world.whole(shared)
      for (const caller of callers) assert.instanceOf(caller.ended(), LlmError.Overloaded)
      assert.strictEqual(first.text(), "none")
      yield* TestClock.adjust(1000)
      assert.strictEqual(late.text(), "Hello all!")
      assert.deepStrictEqual(attempts([first, ...callers, late]), [1, 0, 0, 1])
      assert.strictEqual(late.receipt().cache, undefined)
      assert.strictEqual(callers[0]!.receipt().savedUsage, undefined)
      yield* world.settled
    }))
})
