import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Duration,
  Effect,
  type Exit,
  Fiber,
  Layer,
  Logger,
  References,
  Schedule,
  type Scope,
  Stream
} from "effect"
import { type Call, Limiter, Llm, LlmError, type Opened, type Usage } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"
const llm = openai.pipe(Limiter.enforce())

const text = <E, R>(llm: Llm.Llm<E, R>, prompt: string = question.prompt) =>
  Effect.asVoid(Llm.generateText(llm, { prompt }))
const stream = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const world = (
  limits: Limiter.Limits,
  script: ScriptedProvider.Script = () => ScriptedProvider.text("Hello!"),
  options?: Omit<Limiter.Options, "limits">
) => {
  const provider = ScriptedProvider.make(OpenAi, script)
  return {
    times: () => provider.calls.map((call) => call.at),
    layer: Layer.merge(provider.layer, Limiter.layerMemory({ limits, ...options }))
  }
}

const saturated = <A, E>(exit: Exit.Exit<A, E>) =>
  Effect.map(Effect.flip(exit), (error) => {
    assert(error instanceof LlmError.Saturated, `it failed with ${LlmError.tagOf(error)}`)
    const { limit, queued, reason, resource, retryAfter } = error
    return { resource, reason, limit, queued, retryAfter: retryAfter && Duration.toMillis(retryAfter) }
  })

type Bucket = RateLimiter.RateLimiterStore["Service"]["tokenBucket"]

/** A store that has nothing but buckets. */
const storeOf = (tokenBucket: Bucket) => Layer.mock(RateLimiter.RateLimiterStore, { tokenBucket })

const usage = (input: number, output: number): Usage.Encoded => ({
  inputTokens: { total: input, uncached: input, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: output, text: output, reasoning: 0 }
})

/** No more than a full bucket and what has flowed in since, in any stretch of time. */
const assertWithin = (sent: ReadonlyArray<{ readonly at: number; readonly amount: number }>, perMinute: number) => {
  for (let from = 0; from < sent.length; from++) {
    let sum = 0
    for (let to = from; to < sent.length; to++) {
      sum += sent[to]!.amount
      const allowed = perMinute + (sent[to]!.at - sent[from]!.at) * perMinute / 60_000
      assert.isAtMost(sum, allowed + 1e-6, `from ${sent[from]!.at} to ${sent[to]!.at}`)
    }
  }
}

describe("requests per minute", () => {
  it.effect("come as a burst first, and then as the bucket refills, in order", () => {
    const { layer, times } = world({ requestsPerMinute: 6 })
    return Effect.gen(function*() {
      const receipts = makeReceipts()
      const fibers = yield* Effect.replicateEffect(fork(receipts.observe(text(llm))), 9)
      assert.strictEqual(times().length, 6)
      assert.deepStrictEqual(yield* Limiter.status(key), {
        inFlight: 0,
        queued: { interactive: 3, batch: 0 },
        limit: undefined
      })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times(), [0, 0, 0, 0, 0, 0, 10_000, 20_000, 30_000])
      assert.deepStrictEqual(
        receipts.seen.map((receipt) => receipt.events.map((event) => [event.type, event.reason, event.delayMillis])),
        [[], [], [], [], [], [], ...[10_000, 20_000, 30_000].map((millis) => [["queue", "requests", millis]])]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("are never more than a bucket allows, whatever arrives when", () => {
    const { layer, times } = world({ requestsPerMinute: 7, queue: { maxWait: "10 minutes" } })
    return Effect.gen(function*() {
      const fibers = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => (index * index * 997) % 240_000),
        (at) => fork(Effect.andThen(Effect.sleep(at), text(llm)))
      )
      yield* TestClock.adjust("20 minutes")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(times().length, 40)
      assertWithin(times().map((at) => ({ at, amount: 1 })), 7)
      // ... and no less: it never idles while somebody waits.
      assert.isAtMost(times().at(-1)!, 33 * 60_000 / 7 + 7)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuse at once what would wait too long, and say for how long", () => {
    const { layer, times } = world({ requestsPerMinute: 2, queue: { maxWait: "20 seconds" } })
    return Effect.gen(function*() {
      yield* Effect.replicateEffect(text(llm), 2)
      yield* TestClock.adjust("5 seconds")
      const exit = yield* Effect.exit(text(llm))
      assert.deepStrictEqual(yield* saturated(exit), {
        resource: "requests",
        reason: "waitTooLong",
        limit: 2,
        queued: 1,
        retryAfter: 25_000
      })
      yield* TestClock.adjust("5 seconds")
      const fiber = yield* fork(text(llm))
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times(), [0, 0, 30_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuse at once what would wait past the deadline", () => {
    const { layer } = world({ requestsPerMinute: 2 })
    const bounded = llm.pipe(Llm.timeout({ total: "25 seconds" }))
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      yield* Effect.replicateEffect(text(llm), 2)
      const exit = yield* Effect.exit(probe.watch(text(bounded)))
      assert.deepStrictEqual((yield* saturated(exit)).retryAfter, 30_000)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuse at once what would wait past a candidate's share of the deadline", () => {
    const { layer, times } = world({ requestsPerMinute: 2 })
    const other = ScriptedProvider.make(Anthropic, () => ScriptedProvider.text("Bonjour"))
    // 30 seconds to wait, of 36; but a quarter is the fallback's.
    const both = llm.pipe(Llm.orElse(anthropic), Llm.timeout({ total: "36 seconds" }))
    return Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* Effect.replicateEffect(text(llm), 2)
      const fiber = yield* fork(receipts.observe(text(both)))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(other.calls.map((call) => call.at), [0])
      assert.deepStrictEqual(receipts.one().events.map((event) => [event.type, event.reason]), [
        ["rejected", "Saturated"],
        ["fallback", "Saturated"]
      ])
      assert.strictEqual(times().length, 2)
    }).pipe(Effect.provide([layer, other.layer]))
  })

  for (const [kind, ask] of [["full answers", text], ["streams", stream]] as const) {
    it.effect(`are not used up by ${kind} of an account that has been told to wait, nor are tokens`, () => {
      const left = { resource: "requests", limit: undefined, remaining: 30, resetsAt: 60_000 }
      const { layer, times } = world(
        { requestsPerMinute: 6, tokensPerMinute: 600, queue: { maxWait: 0 } },
        (_, index) =>
          index === 0
            ? {
              ...ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.seconds(1) })),
              response: 0,
              rateLimits: [left]
            }
            : ScriptedProvider.text("Hello!", { usage: usage(1, 1) }),
        { estimateTokens: () => 100 }
      )
      return Effect.gen(function*() {
        for (let index = 0; index <= 40; index++) {
          const error = yield* Effect.flip(ask(llm))
          assert(error instanceof LlmError.RateLimited, `it failed with ${error._tag}`)
          assert.strictEqual(error.parked === true, index > 0)
        }
        assert.deepStrictEqual(times(), [0])
        yield* TestClock.adjust("1 second")
        yield* Effect.replicateEffect(ask(llm), 5)
        assert.deepStrictEqual(times(), [0, 1_000, 1_000, 1_000, 1_000, 1_000])
        // The first one was sent, and cost what it cost.
        assert.strictEqual((yield* saturated(yield* Effect.exit(ask(llm)))).resource, "requests")
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("are not used up by what a limiter or a breaker inside refuses", () => {
    const { layer, times } = world({ requestsPerMinute: 3 }, undefined)
    let open = true
    const refusing = Llm.make({
      plan: openai.plan,
      open: (call: Call.Call): Effect.Effect<Opened.Opened, LlmError.LlmError, OpenAi | Scope.Scope> =>
        open
          ? Effect.fail(new LlmError.CircuitOpen({ key: "openai", retryAfter: Duration.seconds(1) }))
          : openai.open(call)
    }).pipe(Limiter.enforce())
    return Effect.gen(function*() {
      for (let index = 0; index < 10; index++) {
        assert.strictEqual((yield* Effect.flip(text(refusing)))._tag, "CircuitOpen")
      }
      open = false
      yield* Effect.replicateEffect(text(refusing), 3)
      assert.deepStrictEqual(times(), [0, 0, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("are used up by a request that was sent before the account was told to wait", () => {
    const { layer, times } = world(
      { requestsPerMinute: 3, queue: { maxWait: 0 } },
      () => ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.seconds(1) }))
    )
    // The second attempt is parked, the first one was not.
    const retrying = openai.pipe(Llm.retry(Schedule.recurs(1)), Limiter.enforce())
    return Effect.gen(function*() {
      const ran: Array<string> = []
      for (let index = 0; index < 4; index++) {
        const fiber = yield* fork(Effect.flip(text(retrying.pipe(Llm.timeout({ total: "10 minutes" })))))
        yield* TestClock.adjust("5 seconds")
        ran.push((yield* Fiber.join(fiber))._tag)
      }
      assert.deepStrictEqual(ran, ["RateLimited", "RateLimited", "RateLimited", "Saturated"])
      assert.isAtLeast(times().length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("hold no permit while they wait", () => {
    const { layer, times } = world(
      { requestsPerMinute: 1, concurrency: 1, queue: { maxWait: "2 minutes" } },
      () => ScriptedProvider.text("Hello!", { delay: "1 second" })
    )
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(fork(text(llm)), 2)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* Limiter.status(key)).inFlight, 0)
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times(), [0, 60_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("let interactive calls go before batch calls, also the one whose turn it is", () => {
    const { layer } = world({ requestsPerMinute: 6, queue: { maxWait: "2 minutes" } })
    const order: Array<string> = []
    const named = (name: string, priority: "interactive" | "batch") =>
      fork(
        Effect.andThen(text(llm), Effect.sync(() => void order.push(name))).pipe(Limiter.withPriority(priority))
      )
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      yield* Effect.replicateEffect(text(llm), 6)
      yield* named("b1", "batch")
      yield* named("b2", "batch")
      yield* TestClock.adjust("5 seconds")
      yield* named("i1", "interactive")
      assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 1, batch: 2 })
      yield* named("i2", "interactive")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(order, ["i1", "i2", "b1", "b2"])
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("go to the next in the queue when the one whose turn it is goes away", () => {
    const { layer, times } = world({ requestsPerMinute: 6 })
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      yield* Effect.replicateEffect(text(llm), 6)
      const first = yield* fork(probe.watch(text(llm)))
      const second = yield* fork(probe.watch(text(llm)))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(second)
      assert.strictEqual(times().at(-1), 10_000)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are counted apart by limiters that are apart, and by key", () => {
    const limits: Limiter.Limits = { requestsPerMinute: 1, queue: { maxWait: 0 } }
    return Effect.gen(function*() {
      // Built side by side, as in one program.
      const memo = yield* Layer.makeMemoMap
      const scope = yield* Effect.scope
      const one = yield* Layer.buildWithMemoMap(Limiter.layerMemory({ limits }), memo, scope)
      const other = yield* Layer.buildWithMemoMap(Limiter.layerMemory({ limits }), memo, scope)
      yield* text(llm).pipe(Effect.provideContext(one))
      yield* text(llm).pipe(Effect.provideContext(other))
      assert.strictEqual(
        (yield* saturated(yield* Effect.exit(text(llm).pipe(Effect.provideContext(one))))).reason,
        "waitTooLong"
      )
      yield* text(openai.pipe(Limiter.enforce({ key: "other" }))).pipe(Effect.provideContext(one))
    }).pipe(Effect.provide(ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!"))))
  })
})

describe("tokens per minute", () => {
  it.effect("are taken by a quarter of the characters, and as many as the answer may have", () => {
    // 400 characters are 100 tokens, and 50 for the answer.
    const { layer, times } = world(
      { tokensPerMinute: 300 },
      () => ScriptedProvider.text("Hello!", { usage: usage(1, 1) })
    )
    const asking = llm.pipe(Llm.withSettings({ maxOutputTokens: 50 }))
    return Effect.gen(function*() {
      const receipts = makeReceipts()
      const fibers = yield* Effect.replicateEffect(fork(receipts.observe(text(asking, "a".repeat(400)))), 3)
      assert.deepStrictEqual(times(), [0, 0])
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times(), [0, 0, 30_000])
      assert.deepStrictEqual(receipts.seen.at(-1)!.events, [
        { type: "queue", atMillis: 30_000, afterAttempts: 0, reason: "tokens", delayMillis: 30_000 }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("count all that is said in a prompt", () => {
    const seen: Array<number> = []
    const { layer } = world({ tokensPerMinute: 1_000 })
    const watching = Limiter.layer({ limits: { tokensPerMinute: 1_000 } }).pipe(
      Layer.provide(storeOf((options) =>
        Effect.sync(() => {
          seen.push(options.tokens)
          return [1, 0] as const
        })
      ))
    )
    return Effect.gen(function*() {
      yield* Llm.generateText(llm, {
        prompt: [
          { role: "system", content: "a".repeat(40) },
          {
            role: "user",
            content: [
              { type: "text", text: "a".repeat(20) },
              { type: "file", mediaType: "image/png", data: new Uint8Array(10_000) }
            ]
          },
          {
            role: "assistant",
            content: [
              { type: "reasoning", text: "a".repeat(12) },
              { type: "tool-call", id: "1", name: "look", params: { at: "it" }, providerExecuted: false }
            ]
          },
          { role: "tool", content: [{ type: "tool-result", id: "1", name: "look", isFailure: false, result: [1, 2] }] }
        ]
      })
      // 40 + 20 + 12 characters, "look" and {"at":"it"}, [1,2]: 92, a quarter of which are 23. The answer used less.
      assert.deepStrictEqual(seen, [23])
    }).pipe(Effect.provide([layer, watching]))
  })

  it.effect("that an answer used beyond the estimate are owed", () => {
    const estimate = { estimateTokens: () => 10 }
    const run = (ask: Effect.Effect<void, LlmError.LlmError, OpenAi | Limiter.Limiter>) => {
      const { layer, times } = world(
        { tokensPerMinute: 60, queue: { maxWait: "2 minutes" } },
        () => ScriptedProvider.text(["a", "b"], { usage: usage(30, 20) }),
        estimate
      )
      return Effect.gen(function*() {
        const start = yield* Clock.currentTimeMillis
        yield* ask
        // 60 - 10 - 40 = 10 are left, and 10 are taken; then 40 are owed, so that 50 have to come in.
        yield* ask
        const fiber = yield* fork(ask)
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(times().map((at) => at - start), [0, 0, 50_000])
      }).pipe(Effect.provide(layer))
    }
    return Effect.gen(function*() {
      yield* run(text(llm.pipe(Llm.timeout({ total: "10 minutes" }))))
      yield* run(stream(llm))
    })
  })

  it.effect("that an answer did not use are not given back", () => {
    const { layer, times } = world(
      { tokensPerMinute: 60 },
      () => ScriptedProvider.text("a", { usage: usage(1, 1) }),
      { estimateTokens: () => 60 }
    )
    return Effect.gen(function*() {
      yield* text(llm)
      const exit = yield* Effect.exit(text(llm))
      assert.strictEqual((yield* saturated(exit)).retryAfter, 60_000)
      assert.strictEqual(times().length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuse at once what is more than a minute's worth", () => {
    const { layer, times } = world({ tokensPerMinute: 100, requestsPerMinute: 1 })
    return Effect.gen(function*() {
      const exit = yield* Effect.exit(text(llm, "a".repeat(404)))
      assert.deepStrictEqual(yield* saturated(exit), {
        resource: "tokens",
        reason: "tooLarge",
        limit: 100,
        queued: 0,
        retryAfter: undefined
      })
      // It has cost nobody a request.
      yield* text(llm)
      assert.strictEqual(times().length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are never more than a bucket allows, together with the debts", () => {
    const cost = (index: number) => 20 + (index * 37) % 60
    const sent: Array<{ readonly at: number; readonly amount: number }> = []
    const { layer, times } = world(
      { tokensPerMinute: 120, queue: { maxWait: "30 minutes" } },
      (_, index) => ScriptedProvider.text("a", { usage: usage(cost(index), 0) }),
      { estimateTokens: () => 20 }
    )
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(fork(text(llm)), 25)
      yield* TestClock.adjust("40 minutes")
      yield* Fiber.joinAll(fibers)
      times().forEach((at, index) => sent.push({ at, amount: cost(index) }))
      // The last one is what it is: what it costs beyond the estimate shows only afterwards.
      const most = Math.max(...sent.map(({ amount }) => amount)) - 20
      for (let to = 1; to < sent.length; to++) {
        const sum = sent.slice(0, to + 1).reduce((sum, { amount }) => sum + amount, 0)
        assert.isAtMost(sum, 120 + sent[to]!.at * 120 / 60_000 + most)
      }
      const total = sent.reduce((sum, { amount }) => sum + amount, 0)
      assert.isAtLeast(sent.at(-1)!.at, (total - 120 - most - 60) * 500)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that are waited for in vain cost no request", () => {
    const { layer } = world(
      { requestsPerMinute: 2, tokensPerMinute: 60, queue: { maxWait: "5 seconds" } },
      undefined,
      { estimateTokens: () => 40 }
    )
    return Effect.gen(function*() {
      yield* text(llm)
      for (let index = 0; index < 5; index++) {
        const { resource } = yield* saturated(yield* Effect.exit(text(llm)))
        assert.strictEqual(resource, "tokens")
      }
      yield* TestClock.adjust("20 seconds")
      yield* text(llm)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that are waited for, and not to the end, cost no request", () => {
    // Two requests a minute: one taken and kept would be missed for half of one.
    const { layer, times } = world(
      { requestsPerMinute: 2, tokensPerMinute: 60, queue: { size: 1, maxWait: "90 seconds" } },
      () => ScriptedProvider.text("Hello!", { usage: usage(1, 1) }),
      { estimateTokens: (request) => request.settings.maxOutputTokens ?? 1 }
    )
    const large = llm.pipe(Llm.withSettings({ maxOutputTokens: 60 }))
    const batch = <A, E, R>(effect: Effect.Effect<A, E, R>) => fork(Limiter.withPriority(effect, "batch"))
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      yield* text(llm)
      yield* TestClock.adjust("30 seconds")
      yield* text(llm)
      // One request is left, and 59 tokens: interrupted at the turn ...
      const first = yield* fork(probe.watch(text(large)))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(first)
      // ... and pushed aside, to be refused for another interactive call.
      const second = yield* batch(probe.watch(Effect.exit(text(large))))
      const third = yield* fork(probe.watch(text(large)))
      assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 1, batch: 1 })
      const fourth = yield* fork(probe.watch(text(large)))
      assert.strictEqual((yield* saturated(yield* Fiber.join(second))).reason, "queueFull")
      yield* Fiber.interrupt(third)
      yield* Fiber.interrupt(fourth)
      yield* text(llm)
      assert.deepStrictEqual(times(), [0, 30_000, 30_100])
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
      const { resource } = yield* saturated(
        yield* Effect.exit(text(llm.pipe(Llm.timeout({ total: "1 second" }))))
      )
      assert.strictEqual(resource, "requests")
    }).pipe(Effect.provide(layer))
  })

  it.effect("that are waited for by one who was pushed aside cost no request when it gives up", () => {
    const { layer, times } = world(
      { requestsPerMinute: 3, tokensPerMinute: 60, queue: { maxWait: "5 seconds" } },
      () => ScriptedProvider.text("Hello!", { usage: usage(1, 1) }),
      { estimateTokens: (request) => request.settings.maxOutputTokens ?? 1 }
    )
    const sized = (maxOutputTokens: number) => text(llm.pipe(Llm.withSettings({ maxOutputTokens })))
    return Effect.gen(function*() {
      yield* sized(6)
      // Two requests are left, and 54 tokens: 4 seconds to wait, of 5.
      const aside = yield* fork(Limiter.withPriority(Effect.exit(sized(58)), "batch"))
      yield* TestClock.adjust("1 second")
      // It takes its place, and would be done after 5 seconds of its own.
      const other = yield* fork(sized(60))
      assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 1, batch: 1 })
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* saturated(yield* Fiber.join(aside))).resource, "tokens")
      yield* Fiber.interrupt(other)
      yield* Effect.replicateEffect(text(llm), 2)
      assert.deepStrictEqual(times(), [0, 5_000, 5_000])
      assert.strictEqual((yield* saturated(yield* Effect.exit(text(llm)))).resource, "requests")
    }).pipe(Effect.provide(layer))
  })

  it.effect("of an estimate that is no number are none", () => {
    const { layer, times } = world({ tokensPerMinute: 10 }, undefined, { estimateTokens: () => Number.NaN })
    return Effect.gen(function*() {
      yield* text(llm)
      assert.strictEqual(times().length, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("what headers say", () => {
  type Says = (index: number) => ReadonlyArray<Call.RateLimit>
  const limits = (resource: string, remaining: number, resetsAt: number, limit?: number): Call.RateLimit => ({
    resource,
    limit,
    remaining,
    resetsAt
  })

  /** A provider that says something of its limits as its answers begin, after a delay. */
  const saying = (says: Says, options?: { readonly limits?: Limiter.Limits; readonly delay?: number }) => {
    const times: Array<number> = []
    const provider: Provider.Provider = {
      whole: (request) =>
        Clock.clockWith((clock) => {
          const index = times.push(clock.currentTimeMillisUnsafe()) - 1
          return Effect.map(Effect.sleep(options?.delay ?? 0), () => {
            request.onResponse?.(says(index))
            return [
              { type: "text", text: "Hello!" },
              { type: "finish", reason: "stop", usage: usage(1, 1) }
            ]
          })
        }),
      stream: () => Stream.empty
    }
    return {
      times,
      layer: Layer.mergeAll(
        Layer.succeed(OpenAi, provider),
        Limiter.layerMemory({ limits: options?.limits ?? {}, estimateTokens: () => 30 })
      )
    }
  }

  it.effect("nothing is left, of nobody knows how much: calls wait until it is whole again", () => {
    const { layer, times } = saying((index) => [limits("requests", index === 0 ? 0 : 50, 20_000)])
    return Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* text(llm)
      const fibers = yield* Effect.replicateEffect(fork(receipts.observe(text(llm))), 3)
      yield* TestClock.adjust("19999 millis")
      assert.strictEqual(times.length, 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times, [0, 20_000, 20_000, 20_000])
      assert.deepStrictEqual(receipts.seen[0]!.events, [
        { type: "queue", atMillis: 20_000, afterAttempts: 0, reason: "requests", delayMillis: 20_000 }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("longer than anyone may wait: refused at once", () => {
    const { layer, times } = saying(() => [limits("requests", 0, 40_000, 1)])
    return Effect.gen(function*() {
      yield* text(llm)
      yield* TestClock.adjust("5 seconds")
      const exit = yield* Effect.exit(text(llm))
      assert.deepStrictEqual(yield* saturated(exit), {
        resource: "requests",
        reason: "waitTooLong",
        limit: 1,
        queued: 0,
        retryAfter: 35_000
      })
      assert.strictEqual(times.length, 1)
      const bounded = yield* Effect.exit(text(llm.pipe(Llm.timeout({ total: "10 seconds" }))))
      assert.strictEqual((yield* saturated(bounded)).reason, "waitTooLong")
    }).pipe(Effect.provide(layer))
  })

  it.effect("nothing is left of what refills steadily: calls wait for as much as they need", () => {
    // One a second.
    const { layer, times } = saying((index) => index === 0 ? [limits("requests", 0, 60_000, 60)] : [])
    return Effect.gen(function*() {
      yield* text(llm)
      const fibers = yield* Effect.replicateEffect(fork(text(llm)), 3)
      yield* TestClock.adjust("3500 millis")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(times, [0, 1_000, 2_000, 3_000])
      // What has flowed in since is there.
      yield* TestClock.adjust("2500 millis")
      yield* Effect.replicateEffect(text(llm), 3)
      assert.deepStrictEqual(times.slice(4), [6_000, 6_000, 6_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("tokens of what refills steadily are waited for by the estimate", () => {
    const { layer, times } = saying((index) => index === 0 ? [limits("tokens", 10, 59_000, 600)] : [])
    return Effect.gen(function*() {
      yield* text(llm)
      const fibers = yield* Effect.replicateEffect(fork(text(llm)), 2)
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.joinAll(fibers)
      // Ten a second: 20 are missing, and then 30.
      assert.deepStrictEqual(times, [0, 2_000, 5_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("however many were sent since, what is whole again is waited for no longer", () => {
    const { layer, times } = saying((index) => index === 0 ? [limits("requests", 5, 6_000, 10)] : [], { delay: 1_000 })
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(fork(text(llm)), 30)
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      const next = yield* fork(text(llm))
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(next)
      assert.strictEqual(times.at(-1), 6_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is held for an hour at most, and a day's limit is waited for as it refills", () => {
    const day = 86_400_000
    const { layer } = saying(() => [limits("requests", 0, day)])
    const daily = saying((index) => index === 0 ? [limits("requests", 0, day, 14_400)] : [])
    return Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* text(llm)
        assert.strictEqual((yield* saturated(yield* Effect.exit(text(llm)))).retryAfter, 3_600_000)
      }).pipe(Effect.provide(layer))
      yield* Effect.gen(function*() {
        yield* text(llm)
        const fiber = yield* fork(text(llm))
        yield* TestClock.adjust("6 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(daily.times, [0, 6_000])
      }).pipe(Effect.provide(daily.layer))
    })
  })

  it.effect("of a bucket that refills: none is refused that it has room for, and none waits long", () => {
    let level = 60
    let at = 0
    let refused = 0
    const provider: Provider.Provider = {
      whole: (request) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          level = Math.min(60, level + (now - at) / 1_000)
          at = now
          const fits = level >= 1
          if (fits) level--
          else refused++
          request.onResponse?.([limits("requests", Math.floor(level), now + (60 - level) * 1_000, 60)])
          return !fits ? Effect.fail(new LlmError.RateLimited({})) : Effect.succeed([
            { type: "text", text: "Hello!" },
            { type: "finish", reason: "stop", usage: usage(1, 1) }
          ])
        }),
      stream: () => Stream.empty
    }
    return Effect.gen(function*() {
      const receipts = makeReceipts()
      yield* Effect.replicateEffect(text(llm), 60)
      const fibers = yield* Effect.forEach(
        Array.from({ length: 126 }, (_, index) => Math.round((index + 1) * 1_000 / 0.7)),
        (at) => fork(Effect.andThen(Effect.sleep(at), receipts.observe(text(llm))))
      )
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.joinAll(fibers)
      const waits = receipts.seen.flatMap((receipt) => receipt.events).map((event) => event.delayMillis ?? 0)
      assert.isAtMost(Math.max(0, ...waits), 1_000)
      assert.strictEqual(refused, 0)
    }).pipe(Effect.provide([Layer.succeed(OpenAi, provider), Limiter.layerMemory({ limits: {} })]))
  })

  /** Says once that five are left, of nobody knows how many, and then has no connection for a while. */
  const disconnecting = (failures: number) =>
    ScriptedProvider.make(OpenAi, (_, index) =>
      index === 0
        ? { ...ScriptedProvider.text("Hello!"), rateLimits: [limits("requests", 5, 20_000)] }
        : index <= failures
        ? ScriptedProvider.fail("ConnectionFailed")
        : ScriptedProvider.text("Hello!"))

  for (const [kind, ask] of [["full answers", text], ["streams", stream]] as const) {
    it.effect(`is not used up by ${kind} for which there was no connection`, () => {
      const provider = disconnecting(20)
      return Effect.gen(function*() {
        yield* ask(llm)
        for (let index = 0; index < 20; index++) {
          assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "ConnectionFailed")
        }
        yield* Effect.replicateEffect(ask(llm), 5)
        const fiber = yield* fork(ask(llm))
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(provider.calls.slice(20).map((call) => call.at), [0, 0, 0, 0, 0, 0, 20_000])
      }).pipe(Effect.provide([provider.layer, Limiter.layerMemory({ limits: {} })]))
    })
  }

  it.effect("is counted right where an answer is overtaken by connections that fail", () => {
    const script = (_: Provider.Request, index: number): ScriptedProvider.Step => {
      switch (index) {
        case 0:
          return { ...ScriptedProvider.text("Hello!", { delay: 2_000 }), rateLimits: [limits("requests", 2, 20_000)] }
        case 1:
        case 2:
          return ScriptedProvider.fail("ConnectionFailed", { delay: 1_000 })
        default:
          return ScriptedProvider.text("Hello!")
      }
    }
    const provider = ScriptedProvider.make(OpenAi, script)
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(fork(Effect.exit(text(llm))), 3)
      yield* TestClock.adjust("2 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      const next = yield* Effect.replicateEffect(fork(text(llm)), 3)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.joinAll(next)
      // Two, and no more than two.
      assert.deepStrictEqual(provider.calls.slice(3).map((call) => call.at), [2_000, 2_000, 20_000])
    }).pipe(Effect.provide([provider.layer, Limiter.layerMemory({ limits: {} })]))
  })

  it.effect("is not used up by a call that goes away as its turn comes", () => {
    const script = (_: Provider.Request, index: number): ScriptedProvider.Step =>
      index === 0
        ? { ...ScriptedProvider.text("Hello!"), rateLimits: [limits("requests", 2, 20_000)] }
        : index === 1
        ? ScriptedProvider.silence
        : ScriptedProvider.text("Hello!")
    const provider = ScriptedProvider.make(OpenAi, script)
    return Effect.gen(function*() {
      yield* text(llm)
      const silent = yield* fork(text(llm))
      const next = yield* fork(text(llm))
      // The permit of the first is handed to the second, which is on its way out.
      silent.interruptUnsafe()
      next.interruptUnsafe()
      yield* Fiber.await(silent)
      yield* Fiber.await(next)
      yield* text(llm)
      assert.deepStrictEqual(provider.calls.map((call) => call.at), [0, 0, 0])
    }).pipe(Effect.provide([provider.layer, Limiter.layerMemory({ limits: { concurrency: 1 } })]))
  })

  it.effect("is used up by those that have had a response, whatever they fail with, or may have reached it", () => {
    const script = (_: Provider.Request, index: number): ScriptedProvider.Step =>
      index === 0
        ? { ...ScriptedProvider.text("Hello!"), rateLimits: [limits("requests", 2, 20_000)] }
        : index === 1
        ? ScriptedProvider.silence
        : { parts: [], response: 0, ending: new LlmError.ConnectionFailed({}) }
    const provider = ScriptedProvider.make(OpenAi, script)
    return Effect.gen(function*() {
      yield* text(llm)
      const silent = yield* fork(text(llm))
      yield* Fiber.interrupt(silent)
      yield* Effect.exit(text(llm))
      const fiber = yield* fork(Effect.exit(text(llm)))
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(provider.calls.map((call) => call.at), [0, 0, 0, 20_000])
    }).pipe(Effect.provide([provider.layer, Limiter.layerMemory({ limits: {} })]))
  })

  it.effect("fewer tokens than the next call is taken to need: it waits", () => {
    const { layer, times } = saying((index) => [limits("tokens", index === 0 ? 70 : 29, 10_000 * (index + 1))])
    return Effect.gen(function*() {
      yield* text(llm)
      // 70, and then 29.
      yield* text(llm)
      const fiber = yield* fork(text(llm))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 0, 20_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("tokens that were sent since are counted, by the estimate", () => {
    const { layer, times } = saying((index) => [limits("tokens", index === 0 ? 70 : 100, 20_000)], { delay: 1_000 })
    return Effect.gen(function*() {
      const first = yield* fork(text(llm))
      yield* TestClock.adjust("1 second")
      // 70, 40, and then 10.
      const next = yield* Effect.replicateEffect(fork(text(llm)), 3)
      assert.strictEqual(times.length, 3)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.joinAll([first, ...next])
      assert.deepStrictEqual(times, [0, 1_000, 1_000, 2_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a full bucket that is smaller than the call is no reason to wait", () => {
    const { layer, times } = saying(() => [limits("tokens", 20, 10_000, 20)])
    return Effect.gen(function*() {
      yield* text(llm)
      yield* text(llm)
      assert.deepStrictEqual(times, [0, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("input or output tokens that are used up are waited for", () => {
    const { layer, times } = saying((index) => [
      limits("input-tokens", index === 0 ? 0 : 10, 10_000, index === 0 ? undefined : 100),
      limits("output-tokens", 10, 50_000),
      limits("something-else", 0, 50_000)
    ])
    return Effect.gen(function*() {
      yield* text(llm)
      const fiber = yield* fork(text(llm))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 10_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("input or output tokens that refill steadily are waited for by their part of the estimate", () => {
    const run = (resource: string, at: number) => {
      let start = 0
      // Ten a second; 30 in all, of which 5 are for the answer.
      const { layer, times } = saying((index) => index === 0 ? [limits(resource, 0, start + 60_000, 600)] : [])
      const asking = llm.pipe(Llm.withSettings({ maxOutputTokens: 5 }))
      return Effect.gen(function*() {
        start = yield* Clock.currentTimeMillis
        yield* text(asking)
        const fiber = yield* fork(text(asking))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(times.map((at) => at - start), [0, at])
      }).pipe(Effect.provide(layer))
    }
    return Effect.andThen(run("input-tokens", 2_500), run("output-tokens", 500))
  })

  it.effect("what was sent since is counted", () => {
    // Two are left after the first one, and three more are sent before its answer says so.
    const { layer, times } = saying((index) => [limits("requests", 4 - index, 20_000)], { delay: 1_000 })
    return Effect.gen(function*() {
      const first = yield* fork(text(llm))
      yield* TestClock.adjust("1 second")
      const next = yield* Effect.replicateEffect(fork(text(llm)), 6)
      assert.strictEqual(times.length, 5)
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.joinAll([first, ...next])
      assert.deepStrictEqual(times, [0, 1_000, 1_000, 1_000, 1_000, 20_000, 20_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a later answer knows more than an earlier one that comes after it", () => {
    const delays = [5_000, 1_000]
    const times: Array<number> = []
    const provider: Provider.Provider = {
      whole: (request) =>
        Clock.clockWith((clock) => {
          const index = times.push(clock.currentTimeMillisUnsafe()) - 1
          return Effect.map(Effect.sleep(delays[index] ?? 0), () => {
            request.onResponse?.([limits("requests", index === 0 ? 9 : 0, 20_000)])
            return [{ type: "finish", reason: "stop", usage: usage(1, 1) }]
          })
        }),
      stream: () => Stream.empty
    }
    return Effect.gen(function*() {
      yield* Effect.replicateEffect(fork(text(llm)), 2)
      yield* TestClock.adjust("6 seconds")
      const fiber = yield* fork(text(llm))
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 0, 20_000])
    }).pipe(Effect.provide([Layer.succeed(OpenAi, provider), Limiter.layerMemory({ limits: {} })]))
  })

  it.effect("one who waits is let go by an answer that knows better", () => {
    const { layer, times } = saying((index) => [limits("requests", index === 0 ? 0 : 50, 20_000)], { delay: 1_000 })
    return Effect.gen(function*() {
      yield* fork(text(llm))
      yield* TestClock.adjust("500 millis")
      yield* fork(text(llm))
      yield* TestClock.adjust("600 millis")
      const fiber = yield* fork(text(llm))
      assert.strictEqual(times.length, 2)
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(times, [0, 500, 1_500])
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of one model is nothing to another that it falls back to", () => {
    const { layer, times } = saying(() => [limits("requests", 0, 20_000)])
    const both = openai.pipe(Llm.orElse(anthropic), Limiter.enforce())
    return Effect.gen(function*() {
      yield* text(both)
      yield* text(both)
      assert.deepStrictEqual(times, [0, 0])
    }).pipe(Effect.provide([layer, ScriptedProvider.layer(Anthropic, [])]))
  })

  it.effect("outer policies hear of it too", () => {
    const { layer } = saying(() => [limits("requests", 5, 20_000)], { limits: { concurrency: 1 } })
    const heard: Array<string> = []
    const listening = Llm.make({
      plan: llm.plan,
      open: (call: Call.Call) =>
        llm.open({
          ...call,
          pulse: {
            attempt: () => void heard.push("attempt"),
            response: (limits) => void heard.push(`response ${limits.length}`),
            parts: (content) => void heard.push(`parts ${content}`),
            failed: () => void heard.push("failed")
          }
        })
    })
    return Effect.gen(function*() {
      yield* text(listening)
      assert.deepStrictEqual(heard, ["attempt", "response 1", "parts true"])
    }).pipe(Effect.provide(layer))
  })
})

describe("a store", () => {
  const broken: Bucket = () =>
    Effect.fail(
      new RateLimiter.RateLimiterError({
        reason: new RateLimiter.RateLimitStoreError({ message: "no connection" })
      })
    )

  const withStore = (tokenBucket: Bucket, limits: Limiter.Limits = { requestsPerMinute: 1 }) => {
    const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Hello!", { usage: usage(50, 50) }))
    const logged: Array<string> = []
    return {
      calls: provider.calls,
      logged,
      layer: Layer.mergeAll(
        provider.layer,
        Limiter.layer({ limits }).pipe(
          Layer.provide(storeOf(tokenBucket))
        ),
        Logger.layer([Logger.make(({ logLevel, message }) => {
          logged.push(`${logLevel}: ${String(Array.isArray(message) ? message[0] : message)}`)
        })]),
        Layer.succeed(References.UnhandledLogLevel, "Warn")
      )
    }
  }

  const strict = openai.pipe(Limiter.enforce({ onStoreError: "fail" }))

  for (
    const [what, bucket] of [
      ["fails", broken],
      ["dies", () => Effect.die(new Error("a bug"))]
    ] as ReadonlyArray<readonly [string, Bucket]>
  ) {
    it.effect(`that ${what} is done without, or not, as one wants`, () => {
      const { calls, layer, logged } = withStore(bucket)
      return Effect.gen(function*() {
        yield* text(llm)
        yield* text(llm)
        assert.strictEqual(calls.length, 2)
        const receipts = makeReceipts()
        const error = yield* Effect.flip(receipts.observe(text(strict)))
        assert(error instanceof LlmError.StoreUnavailable)
        assert.deepStrictEqual([error.store, error.operation, error.provider], ["limiter", "take requests", "openai"])
        assert.deepStrictEqual(receipts.one().events.map((event) => [event.type, event.reason]), [
          ["rejected", "StoreUnavailable"]
        ])
        assert.strictEqual(calls.length, 2)
        assert.deepStrictEqual(logged, [
          "Warn: Limiter: the store is not available, sending without its limits",
          "Warn: Limiter: the store is not available, sending without its limits",
          "Warn: Limiter: the store is not available, nothing is sent"
        ])
        assert.deepStrictEqual(yield* Limiter.status(key), {
          inFlight: 0,
          queued: { interactive: 0, batch: 0 },
          limit: undefined
        })
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("that hangs is not waited for, and not asked again for a while", () => {
    let asked = 0
    const { calls, layer, logged } = withStore(() => {
      asked++
      return Effect.never
    }, { requestsPerMinute: 1, tokensPerMinute: 1_000 })
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      const fibers = yield* Effect.replicateEffect(fork(probe.watch(text(llm))), 20)
      yield* TestClock.adjust("249 millis")
      assert.strictEqual(calls.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(calls.length, 20)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(asked, 1)
      assert.strictEqual(logged.length, 1)
      yield* TestClock.adjust("1 second")
      const fiber = yield* fork(Effect.exit(text(strict)))
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(LlmError.tagOf(yield* Effect.flip(yield* Fiber.join(fiber))), "StoreUnavailable")
      assert.strictEqual(asked, 2)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that hangs when a debt is due does not keep an answer, and has written it when the layer is gone", () => {
    const written: Array<number> = []
    const { layer } = withStore(
      (options) =>
        options.allowOverflow
          ? Effect.andThen(Effect.sleep("100 millis"), Effect.sync(() => [written.push(options.tokens), 0] as const))
          : Effect.succeed([1, 0] as const),
      { tokensPerMinute: 1_000 }
    )
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      const answers = yield* fork(
        Effect.gen(function*() {
          const whole = yield* Llm.generateText(llm, question)
          yield* stream(llm)
          const at = yield* Clock.currentTimeMillis
          assert.deepStrictEqual([whole.text, at, written.length], ["Hello!", 0, 0])
        }).pipe(probe.watch, Effect.provide(layer))
      )
      // The layer waits for what is being written, and no longer.
      assert.isUndefined(answers.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(answers)
      assert.strictEqual(written.length, 2)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    })
  })

  it.effect("that was not there to take from is given nothing back", () => {
    const asked: Array<number> = []
    const { layer } = withStore((options) => {
      asked.push(options.tokens)
      return asked.length === 1 ? broken(options) : Effect.succeed([1, 0] as const)
    })
    const refusing = Llm.make({
      plan: openai.plan,
      open: () => Effect.fail(new LlmError.RateLimited({ parked: true }))
    }).pipe(Limiter.enforce())
    return Effect.gen(function*() {
      yield* Effect.exit(text(refusing))
      assert.deepStrictEqual(asked, [1])
      yield* Effect.exit(text(refusing))
      assert.deepStrictEqual(asked, [1, 1, -1])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that fails or hangs when a debt is due costs an answer no more than that", () => {
    let taken = 0
    const { layer, logged } = withStore(
      (options) => {
        taken++
        return options.allowOverflow ? Effect.never : Effect.succeed([1, 0] as const)
      },
      { tokensPerMinute: 1_000 }
    )
    return Effect.gen(function*() {
      const fiber = yield* fork(Llm.generateText(llm, question))
      yield* TestClock.adjust("250 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).text, "Hello!")
      assert.strictEqual(taken, 2)
      assert.deepStrictEqual(logged, ["Warn: Limiter: the store is not available, what a call has used is not counted"])
    }).pipe(Effect.provide(layer))
  })

  /** Takes 10 ms to answer. */
  const slowly = Effect.map(
    RateLimiter.RateLimiterStore,
    (store): Bucket => (options) => Effect.andThen(Effect.sleep(10), store.tokenBucket(options))
  ).pipe(
    Effect.provide(Layer.fresh(RateLimiter.layerStoreMemory))
  )

  it.effect("that takes its time is no wait for those behind", () =>
    Effect.gen(function*() {
      const { calls, layer } = withStore(yield* slowly, { requestsPerMinute: 3, queue: { maxWait: 0 } })
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.replicateEffect(fork(Effect.exit(text(llm))), 5)
        yield* TestClock.adjust("100 millis")
        const exits = yield* Effect.forEach(fibers, Fiber.join)
        assert.strictEqual(calls.length, 3)
        for (const exit of exits.slice(3)) {
          assert.deepStrictEqual((yield* saturated(exit)).resource, "requests")
        }
      }).pipe(Effect.provide(layer))
    }))

  it.effect("that is asked for a batch call makes it give way, where that has to wait", () =>
    Effect.gen(function*() {
      const { layer } = withStore(yield* slowly, { requestsPerMinute: 6 })
      const order: Array<string> = []
      const named = (priority: "interactive" | "batch") =>
        fork(
          Effect.andThen(text(llm), Effect.sync(() => void order.push(priority))).pipe(
            Limiter.withPriority(priority)
          )
        )
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.replicateEffect(fork(text(llm)), 6)
        yield* TestClock.adjust("100 millis")
        yield* Fiber.joinAll(fibers)
        yield* named("batch")
        yield* TestClock.adjust("5 millis")
        yield* named("interactive")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(order, ["interactive"])
        yield* TestClock.adjust("11 seconds")
        assert.deepStrictEqual(order, ["interactive", "batch"])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("is not asked where there is nothing to ask it", () => {
    const { calls, layer, logged } = withStore(broken, { concurrency: 1 })
    return Effect.gen(function*() {
      yield* text(strict)
      assert.strictEqual(calls.length, 1)
      assert.deepStrictEqual(logged, [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that is slow is interrupted with the call", () => {
    const { calls, layer } = withStore(() => Effect.never)
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      const fiber = yield* fork(probe.watch(text(llm)))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(calls.length, 0)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
      assert.strictEqual((yield* Limiter.status(key)).queued.interactive, 0)
    }).pipe(Effect.provide(layer))
  })
})
