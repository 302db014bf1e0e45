/**
 * A view of calls through real policies.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Schedule, Stream } from "effect"
import { Attribution, Breaker, Limiter, Llm, Money, RetryBudget } from "effect-bulwark"
import { Budget, Pricing } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { LiveView, Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Live } from "../../src/core/internal/instrument.ts"
import { budget } from "../budget/support/budget.ts"
import { Anthropic, anthropic, OpenAi, openai, question } from "../core/support/stack.ts"

const once = Schedule.spaced("10 seconds").pipe(Schedule.upTo({ times: 1 }))

const oldest = Effect.map(LiveView.state, ({ inFlight: [call] }) => call)

const answer = (options?: ScriptedProvider.AnswerOptions) =>
  ScriptedProvider.text("330 m", {
    usage: { inputTokens: { total: 100 }, outputTokens: { total: 10 } },
    ...options
  })

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("LiveView, through a stack", () => {
  it.effect("sees a retry, a fallback, the parts of the answer, and the end", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(once), Llm.orElse(anthropic))
      const fiber = yield* Llm.streamText(llm, question).pipe(
        Stream.runDrain,
        Attribution.annotate({ feature: "search", user: "ada" }),
        fork
      )
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* oldest, {
        feature: "search",
        stream: true,
        model: "gpt-5-mini",
        requests: 1,
        phase: "sending",
        phaseMillis: 1_000
      })
      yield* TestClock.adjust("4 seconds")
      assert.deepInclude(yield* oldest, {
        phase: "retrying",
        on: "Overloaded",
        phaseMillis: 3_000,
        leftMillis: 7_000,
        running: 0
      })
      yield* TestClock.adjust("8 seconds")
      // The second request has failed as well, and the other model is asked.
      assert.deepInclude(yield* oldest, { provider: "anthropic", requests: 3, phase: "sending", phaseMillis: 1_000 })
      yield* TestClock.adjust("4500 millis")
      assert.deepInclude(yield* oldest, { phase: "receiving", characters: 4, phaseMillis: 500 })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)

      const { finished, inFlight, lastMinute, total } = yield* LiveView.state
      assert.deepStrictEqual(inFlight, [])
      assert.deepInclude(total, { calls: 1, succeeded: 1, requests: 3, retries: 1, fallbacks: 1, unpriced: 1 })
      assert.deepInclude(lastMinute, { requests: 0, succeeded: 1 })
      assert.deepInclude(finished[0], {
        feature: "search",
        provider: "anthropic",
        model: "claude-haiku-4-5",
        outcome: "success",
        firstPartMillis: 17_000,
        tookMillis: 20_000,
        requests: 3
      })
    }).pipe(Effect.provide([
      LiveView.layer(),
      ScriptedProvider.layer(OpenAi, [
        { ...ScriptedProvider.fail("Overloaded"), delay: "2 seconds" },
        ScriptedProvider.fail("Overloaded")
      ]),
      ScriptedProvider.layer(Anthropic, [
        ScriptedProvider.text(["330 ", "m"], { delay: "4 seconds", between: "1 second" })
      ])
    ])))

  it.effect("sees both requests of a hedge", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.hedge({ after: "2 seconds", maxExtra: 1 }), RetryBudget.guard())
      const fiber = yield* fork(Llm.generateText(llm, question))
      yield* TestClock.adjust("3 seconds")
      assert.deepInclude(yield* oldest, { requests: 2, running: 2, phase: "sending" })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      const { finished, total } = yield* LiveView.state
      assert.deepInclude(total, { hedges: 1, requests: 2, succeeded: 1 })
      assert.strictEqual(finished[0]?.tookMillis, 4_000)
    }).pipe(Effect.provide([
      LiveView.layer(),
      RetryBudget.layerMemory(),
      ScriptedProvider.layer(OpenAi, [answer({ delay: "1 minute" }), answer({ delay: "2 seconds" })])
    ])))

  it.effect("sees who waits at a limiter, and nobody when they have gone", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Limiter.enforce())
      const fibers = yield* Effect.forEach([1, 2, 3], () => fork(Effect.exit(Llm.generateText(llm, question))))
      yield* TestClock.adjust("4 seconds")
      const waiting = yield* LiveView.state
      assert.deepStrictEqual(waiting.inFlight.map(({ on, phase, phaseMillis }) => [phase, phaseMillis, on]), [
        ["sending", 4_000, undefined],
        ["queued", 4_000, "openai/gpt-5-mini"],
        ["queued", 4_000, "openai/gpt-5-mini"]
      ])
      assert.deepStrictEqual(waiting.queues, [{ limiter: "openai/gpt-5-mini", interactive: 2, batch: 0 }])
      yield* Fiber.interrupt(fibers[2]!)
      yield* TestClock.adjust("3 seconds")
      const served = yield* LiveView.state
      assert.deepStrictEqual(served.inFlight.map(({ phase }) => phase), ["sending"])
      assert.deepStrictEqual(served.queues, [{ limiter: "openai/gpt-5-mini", interactive: 0, batch: 0 }])
      assert.deepInclude(served.total, { succeeded: 1, interrupted: 1, failed: 0 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* LiveView.state).running, 0)
    }).pipe(Effect.provide([
      LiveView.layer(),
      Limiter.layerMemory({ limits: { concurrency: 1 } }),
      ScriptedProvider.layer(OpenAi, () => answer({ delay: "5 seconds" }))
    ])))

  it.effect("sees that who has left a queue waits in it no more", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Limiter.enforce(), Llm.timeout({ firstPart: "2 seconds" }), Llm.retry(once))
      yield* fork(Llm.generateText(openai.pipe(Limiter.enforce()), question))
      yield* fork(Effect.exit(Llm.generateText(llm, question)))
      const second = Effect.map(LiveView.state, ({ inFlight }) => inFlight[1])
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* second, { phase: "queued", phaseMillis: 1_000 })
      yield* TestClock.adjust("5 seconds")
      // It has been told of its leaving after the limit had passed.
      assert.deepInclude(yield* second, { phase: "retrying", on: "TimedOut" })
    }).pipe(Effect.provide([
      LiveView.layer(),
      Limiter.layerMemory({ limits: { concurrency: 1 } }),
      ScriptedProvider.layer(OpenAi, () => answer({ delay: "1 minute" }))
    ])))

  it.effect("sees a circuit open, and close again", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Breaker.guard())
      const ask = Effect.exit(Llm.generateText(llm, question))
      yield* Effect.replicateEffect(ask, 7)
      const state = Effect.map(LiveView.state, ({ circuits: [circuit] }) => circuit)
      assert.deepStrictEqual(yield* state, { circuit: "openai/gpt-5-mini", state: "Open", since: 0 })
      assert.deepInclude((yield* LiveView.state).total, { failed: 7, requests: 5, rejected: 2 })
      yield* TestClock.adjust("20 seconds")
      yield* ask
      assert.deepStrictEqual(yield* state, { circuit: "openai/gpt-5-mini", state: "Closed", since: 20_000 })
    }).pipe(Effect.provide([
      LiveView.layer(),
      Breaker.layerMemory(),
      ScriptedProvider.layer(OpenAi, (_, index) => index < 5 ? ScriptedProvider.fail("Overloaded") : answer())
    ])))

  it.effect("sees budgets fill, and what was spent", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
      yield* Llm.generateText(llm, question).pipe(Attribution.annotate({ feature: "search", tenant: "acme" }))
      const { budgets, finished, lastMinute, minutes } = yield* LiveView.state
      assert.deepStrictEqual(
        budgets.map(({ feature, limit, resource, scope, used }) => ({ feature, limit, resource, scope, used })),
        [
          { feature: undefined, limit: 1_000_000, resource: "usd", scope: "global", used: lastMinute.cost },
          { feature: "search", limit: 10_000, resource: "tokens", scope: "feature", used: 110 }
        ]
      )
      assert.isAbove(lastMinute.cost, 0)
      assert.strictEqual(finished[0]?.cost, lastMinute.cost)
      assert.strictEqual(minutes.at(-1)?.cost, lastMinute.cost)
      assert.notInclude(JSON.stringify(yield* LiveView.state), "acme")
    }).pipe(Effect.provide([
      LiveView.layer(),
      budget({
        limits: [
          { resource: "usd", limit: "1", window: Budget.total },
          { resource: "tokens", limit: 10_000, window: Budget.total, scope: "feature" },
          { resource: "usd", limit: "1", window: Budget.total, scope: "tenant" }
        ]
      }),
      ScriptedProvider.layer(OpenAi, () => answer())
    ])))

  it.effect("knows what requests cost that no budget keeps account of, where it knows prices", () =>
    Effect.gen(function*() {
      yield* Llm.generateText(openai, question)
      yield* Llm.generateText(anthropic, question)
      assert.deepInclude((yield* LiveView.state).total, { cost: Money.MicroUsd.make(100 * 2 + 10 * 20), unpriced: 1 })
    }).pipe(Effect.provide([
      LiveView.layerPriced().pipe(Layer.provide(Pricing.layerOf([
        Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 2, output: 20 } })
      ]))),
      ScriptedProvider.layer(OpenAi, () => answer()),
      ScriptedProvider.layer(Anthropic, () => answer())
    ])))

  it.effect("sees what a cache does, and whose answer is shared", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Cache.through({ timeToLive: "1 hour" }))
      const crowd = yield* Effect.forEach([1, 2, 3], () => fork(Llm.generateText(llm, question)))
      yield* TestClock.adjust("1 second")
      const state = yield* LiveView.state
      assert.deepStrictEqual(
        state.inFlight.map(({ phase }) => phase).toSorted(),
        ["sending", "sharing", "sharing"]
      )
      assert.strictEqual(state.total.requests, 1)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.forEach(crowd, Fiber.join)
      yield* Llm.generateText(llm, question)
      const { finished, total } = yield* LiveView.state
      assert.deepStrictEqual(finished.map(({ cache }) => cache).toSorted(), ["coalesced", "coalesced", "hit", "miss"])
      assert.deepInclude(total, { calls: 4, succeeded: 4, requests: 1, cached: 3, missed: 1, inputTokens: 100 })
      assert.strictEqual((yield* LiveView.state).running, 0)
    }).pipe(Effect.provide([
      LiveView.layer(),
      Cache.layerMemory(),
      ScriptedProvider.layer(OpenAi, () => answer({ delay: "5 seconds" }))
    ])))

  it.effect("a leader that leaves is gone, though its request goes on", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Cache.through({ timeToLive: "1 hour" }))
      const [leader, ...followers] = yield* Effect.forEach([1, 2, 3], () => fork(Llm.generateText(llm, question)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(leader!)
      assert.deepStrictEqual((yield* LiveView.state).inFlight.map(({ phase }) => phase), ["sharing", "sharing"])
      yield* TestClock.adjust("5 seconds")
      yield* Effect.forEach(followers, Fiber.join)
      assert.deepInclude((yield* LiveView.state).total, { interrupted: 1, succeeded: 2, requests: 1 })
      assert.strictEqual((yield* LiveView.state).running, 0)
    }).pipe(Effect.provide([
      LiveView.layer(),
      Cache.layerMemory(),
      ScriptedProvider.layer(OpenAi, () => answer({ delay: "5 seconds" }))
    ])))

  it.effect("whenever a call is interrupted, it is gone", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(once), Limiter.enforce(), Cache.through({ timeToLive: "1 hour" }))
      for (
        const [kind, call] of Object.entries({
          whole: Llm.generateText(llm, question),
          stream: Stream.runDrain(Llm.streamText(llm, question))
        })
      ) {
        // Between any two steps, since fibers yield to each other every so many.
        for (const steps of [2, 3, 5, 7]) {
          for (let turns = 0; turns < 60; turns++) {
            const fiber = yield* fork(Effect.provideService(call, References.MaxOpsBeforeYield, steps))
            for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            const { running, total } = yield* LiveView.state
            assert.strictEqual(running, 0, `${kind}, after ${turns} turns of ${steps} steps`)
            assert.strictEqual(total.calls, total.interrupted)
          }
        }
      }
      assert.isAbove((yield* LiveView.state).total.requests, 0)
    }).pipe(Effect.provide([
      LiveView.layer(),
      Cache.layerMemory(),
      Limiter.layerMemory({ limits: { concurrency: 1 } }),
      ScriptedProvider.layer(OpenAi, () => answer({ delay: "1 minute" }))
    ])))

  it.effect("stands beside telemetry, and leaves nothing behind", () =>
    Effect.gen(function*() {
      yield* Llm.generateText(openai, question).pipe(Effect.provide(LiveView.layer()))
      assert.isUndefined(yield* Live)
      yield* Llm.generateText(openai, question)
      assert.strictEqual(
        yield* Effect.andThen(Llm.generateText(openai, question), LiveView.state).pipe(
          Effect.map(({ total }) => total.calls),
          Effect.provide(LiveView.layer())
        ),
        1
      )
    }).pipe(Effect.provide([Telemetry.layer(), ScriptedProvider.layer(OpenAi, () => answer())])))
})
