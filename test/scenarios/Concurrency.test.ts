/**
 * Many calls at once through one stack: each has its own answer, its own receipt, its own retries and its own limits.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Schedule, Stream } from "effect"
import { Attribution, Llm, type Receipt } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeProbe, makeReceipts, OpenAi, openai } from "../core/support/stack.ts"

const count = 200

const stack = openai.pipe(
  Llm.timeout({ firstPart: "6 seconds", idle: "3 seconds" }),
  Llm.retry(Schedule.exponential("1 second").pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))),
  Llm.orElse(anthropic),
  Llm.timeout({ total: "2 minutes" })
)

/** The number in the question. */
const numberOf = (request: Provider.Request): number => {
  const [message] = request.prompt.content
  const part = message?.role === "user" ? message.content[0] : undefined
  return part?.type === "text" ? Number(part.text) : NaN
}

const echo = (name: string, number: number) =>
  ScriptedProvider.text([`${name} `, "answers ", `${number}`], { delay: 100 + number % 13, between: 10 + number % 5 })

/** Which trouble a call has depends on its number alone, and on how often it has come before. */
const makeMoody = () => {
  const before = new Map<number, number>()
  return (request: Provider.Request): ScriptedProvider.Step => {
    const number = numberOf(request)
    const times = before.get(number) ?? 0
    before.set(number, times + 1)
    switch (number % 5) {
      case 1:
        return times < 2 ? ScriptedProvider.fail("Overloaded", { delay: number }) : echo("openai", number)
      case 2:
        return times < 1 ? ScriptedProvider.silence : echo("openai", number)
      case 3:
        return ScriptedProvider.fail("QuotaExhausted", { delay: number })
      default:
        return echo("openai", number)
    }
  }
}

const expected = (number: number) => ({
  text: `${number % 5 === 3 ? "anthropic" : "openai"} answers ${number}`,
  attempts: [
    ["success"],
    ["Overloaded", "Overloaded", "success"],
    ["TimedOut", "success"],
    ["QuotaExhausted", "success"],
    ["success"]
  ][number % 5]
})

describe(`${count} calls at once`, () => {
  it.effect("do not mix", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const receipts = makeReceipts()
      const openaiProvider = ScriptedProvider.make(OpenAi, makeMoody())
      const anthropicProvider = ScriptedProvider.make(Anthropic, (request) => echo("anthropic", numberOf(request)))

      const call = (number: number) => {
        const options = { prompt: `${number}`, settings: { seed: number } }
        const text = number % 2 === 0
          ? Effect.map(Llm.generateText(stack, options), (answer) => answer.text)
          : Effect.map(Stream.runCollect(Llm.textDeltas(Llm.streamText(stack, options))), (texts) => texts.join(""))
        return Attribution.annotate(text, { user: `${number}`, tenant: `${number % 7}` })
      }
      const fiber = yield* Effect.forEach(Array.from({ length: count }, (_, number) => number), call, {
        concurrency: "unbounded"
      }).pipe(
        receipts.observe,
        Effect.provide([openaiProvider.layer, anthropicProvider.layer]),
        Random.withSeed("a day"),
        probe.watch,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 hour")
      const texts = yield* Fiber.join(fiber)

      assert.deepStrictEqual(texts, texts.map((_, number) => expected(number).text))
      const byUser = new Map<string | undefined, Receipt.Receipt>(
        receipts.seen.map((receipt) => [receipt.attribution.user, receipt])
      )
      assert.strictEqual(receipts.seen.length, count)
      assert.strictEqual(byUser.size, count)
      assert.strictEqual(new Set(receipts.seen.map((receipt) => receipt.operationId)).size, count)
      for (let number = 0; number < count; number++) {
        const receipt = byUser.get(`${number}`)
        assert.strictEqual(receipt?.attribution.tenant, `${number % 7}`)
        assert.deepStrictEqual(receipt?.attempts.map((attempt) => attempt.outcome), expected(number).attempts)
        assert.strictEqual(receipt?.provider, number % 5 === 3 ? "anthropic" : "openai")
        assert.strictEqual(receipt?.usage.outputText, 3)
      }
      // Each request carried what its own call had set.
      for (const { request } of [...openaiProvider.calls, ...anthropicProvider.calls]) {
        assert.strictEqual(request.settings.seed, numberOf(request))
      }
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }))

  it.effect("are interrupted one by one: the others do not notice", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, (request) => echo("openai", numberOf(request)))
      const fibers = yield* Effect.forEach(Array.from({ length: count }, (_, number) => number), (number) =>
        Llm.generateText(stack, { prompt: `${number}` }).pipe(
          Attribution.annotate({ user: `${number}` }),
          Effect.forkChild({ startImmediately: true })
        )).pipe(receipts.observe, Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]))
      yield* TestClock.adjust("50 millis")
      yield* Effect.forEach(fibers, (fiber, number) =>
        number % 3 === 0 ? Fiber.interrupt(fiber) : Effect.void)
      yield* TestClock.adjust("1 minute")
      const outcomes = new Map(receipts.seen.map((receipt) => [receipt.attribution.user, receipt.outcome]))
      for (const [number, fiber] of fibers.entries()) {
        assert.strictEqual(outcomes.get(`${number}`), number % 3 === 0 ? "interrupted" : "success")
        if (number % 3 !== 0) {
          assert.strictEqual((yield* Fiber.join(fiber)).text, `openai answers ${number}`)
        }
      }
      assert.strictEqual(receipts.seen.length, count)
    }))
})
