/**
 * The service: what feeds it, who hears of alerts, and how it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, References, Scope, Stream } from "effect"
import { Attribution, Llm, type Receipt } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { LiveView, SpendAlert } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"
import { TestClock } from "effect/testing"
import { Alerts, type Begun } from "../../src/core/internal/instrument.ts"
import * as Plan from "../../src/core/Plan.ts"
import { OpenAi, openai } from "../core/support/stack.ts"
import { minute, receiptOf, start } from "./support/traffic.ts"

/** Keeps what is logged, with its level. */
const logs = () => {
  const lines: Array<readonly [string, string]> = []
  return {
    lines,
    layer: Logger.layer([
      Logger.make(({ logLevel, message }) =>
        void lines.push([logLevel, String(Array.isArray(message) ? message[0] : message)])
      )
    ])
  }
}

const request = (text: string, more?: { readonly temperature?: number }): Begun["request"] => ({
  prompt: Prompt.make(text),
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  settings: { ...more }
})

/** What the core tells an instrument of one operation. */
const operate = (asked: Begun["request"], receipt: Receipt.Receipt, operation: Begun["operation"] = "chat") =>
  Effect.withFiber((fiber) => {
    const watch = fiber.getRef(Alerts)?.operation({
      id: receipt.operationId,
      operation,
      mode: "whole",
      request: asked,
      attribution: receipt.attribution,
      plan: Plan.policy("test", { children: [] }),
      startedAt: receipt.startedAt,
      refresh: false
    }, fiber)
    watch?.closed(receipt, { error: undefined, served: undefined, answer: undefined, text: () => "" })
    return Effect.succeed(watch !== undefined)
  })

const now = Effect.map(Clock.currentTimeMillis, (at) => at)

/** So many calls of the same, one after the other. */
const loop = (times: number, more: Partial<Parameters<typeof receiptOf>[0]> = {}) =>
  Effect.gen(function*() {
    for (let n = 0; n < times; n++) {
      yield* SpendAlert.observe(
        receiptOf({ at: yield* now, feature: "agent", tokens: 100, cost: 1_000, ...more }),
        "same"
      )
      yield* TestClock.adjust("1 second")
    }
  })

const collect = Effect.gen(function*() {
  const seen: Array<SpendAlert.Alert> = []
  const stream = yield* SpendAlert.SpendAlert.use((service) => service.subscribe)
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(stream, (alert) => Effect.sync(() => seen.push(alert))),
    { startImmediately: true }
  )
  return { seen, fiber }
})

describe("SpendAlert", () => {
  describe("is fed", () => {
    it.effect("by the operations of the program, by what they ask", () =>
      Effect.gen(function*() {
        const { seen } = yield* collect
        for (let n = 0; n < 10; n++) {
          assert.isTrue(yield* operate(request("again"), receiptOf({ at: yield* now, feature: "agent", cost: 10 })))
          yield* operate(request("again", { temperature: n }), receiptOf({ at: yield* now, feature: "agent" }))
          yield* operate(request(`other ${n}`), receiptOf({ at: yield* now, feature: "agent" }))
        }
        yield* Effect.yieldNow
        assert.deepStrictEqual(seen.map(({ _tag, feature, observed, state }) => [_tag, feature, observed, state]), [
          ["Loop", "agent", 10, "firing"]
        ])
        assert.include(JSON.stringify(seen), "\"cost\":100")
        assert.notInclude(JSON.stringify(seen), "again")
        assert.strictEqual((yield* SpendAlert.status).observed, 30)
      }).pipe(Effect.provide(SpendAlert.layer({ loop: { times: 10 } }))))

    it.effect("by calls as they are made: whole, streamed, failed, by text and by tools that ask the same", () =>
      Effect.gen(function*() {
        const ask = { prompt: [{ role: "user" as const, content: "How high is the Eiffel tower?" }] }
        yield* Effect.gen(function*() {
          for (let n = 0; n < 3; n++) {
            yield* Llm.generateText(openai, ask)
            yield* Stream.runDrain(Llm.streamText(openai, ask))
            yield* Effect.exit(Llm.generateText(openai, ask))
            yield* Llm.generateText(openai, { prompt: `How high is tower ${n}?` })
          }
        }).pipe(Attribution.annotate({ feature: "towers", user: "ada" }))
        const alerts = yield* SpendAlert.recent
        assert.deepStrictEqual(alerts.map(({ _tag, feature, model, observed }) => [_tag, feature, model, observed]), [
          ["Loop", "towers", "gpt-5-mini", 9]
        ])
        assert.notMatch(JSON.stringify([alerts, yield* SpendAlert.snapshot]), /Eiffel|ada/)
        assert.strictEqual((yield* SpendAlert.status).observed, 12)
        const errors = (yield* SpendAlert.snapshot).series.find(({ scope }) => scope === "all")?.errors
        assert.isDefined(errors)
      }).pipe(Effect.provide([
        SpendAlert.layer({ loop: { times: 9 } }),
        ScriptedProvider.layer(
          OpenAi,
          Array.from(
            { length: 12 },
            (_, n) => n % 4 === 2 ? ScriptedProvider.fail("Overloaded") : ScriptedProvider.text("330 m")
          )
        )
      ])))

    it.effect("beside others that watch", () =>
      Effect.gen(function*() {
        yield* Llm.generateText(openai, { prompt: "?" })
        assert.strictEqual((yield* SpendAlert.status).observed, 1)
        assert.strictEqual((yield* LiveView.state).total.calls, 1)
      }).pipe(
        Effect.provide([
          SpendAlert.layer(),
          LiveView.layer(),
          ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("!")])
        ])
      ))

    it.effect("by whoever observes", () =>
      Effect.gen(function*() {
        const { seen } = yield* collect
        yield* loop(29)
        assert.deepStrictEqual(seen, [])
        yield* loop(1)
        assert.strictEqual(seen.length, 1)
        assert.deepStrictEqual(yield* SpendAlert.active, seen)
        assert.deepStrictEqual(yield* SpendAlert.recent, seen)
      }).pipe(Effect.provide(SpendAlert.layer())))

    it.effect("by nobody where no layer is provided", () =>
      Effect.gen(function*() {
        assert.isFalse(yield* operate(request("?"), receiptOf({ at: 0 })))
      }))

    it.effect("and that the vector of the same is asked for often is no loop, but counts", () =>
      Effect.gen(function*() {
        for (let n = 0; n < 100; n++) {
          yield* operate(request("again"), receiptOf({ at: yield* now, feature: "search", cost: 10 }), "embeddings")
        }
        assert.deepStrictEqual(yield* SpendAlert.recent, [])
        assert.strictEqual((yield* SpendAlert.status).observed, 100)
      }).pipe(Effect.provide(SpendAlert.layer())))

    it.effect("and what a cache has answered is no loop", () =>
      Effect.gen(function*() {
        const cached = { ...receiptOf({ at: 0, feature: "agent" }), attempts: [] }
        for (let n = 0; n < 100; n++) yield* SpendAlert.observe(cached, "same")
        assert.deepStrictEqual(yield* SpendAlert.recent, [])
      }).pipe(Effect.provide(SpendAlert.layer())))
  })

  it.effect("an alert begins once, and is over once", () =>
    Effect.gen(function*() {
      const { seen } = yield* collect
      yield* loop(120)
      assert.deepStrictEqual(seen.map(({ state }) => state), ["firing"])
      yield* TestClock.adjust("30 minutes")
      assert.deepStrictEqual(seen.map(({ resolution, state }) => [state, resolution]), [
        ["firing", undefined],
        ["resolved", "recovered"]
      ])
      assert.strictEqual(seen[0]?.key, seen[1]?.key)
      assert.deepStrictEqual(yield* SpendAlert.active, [])
    }).pipe(Effect.provide(SpendAlert.layer())))

  it.effect("is not told again within the cool-down, but after it", () =>
    Effect.gen(function*() {
      const { seen } = yield* collect
      yield* loop(40)
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual(seen.length, 2)
      yield* loop(60)
      assert.strictEqual(seen.length, 2)
      yield* TestClock.adjust("2 hours")
      yield* loop(60)
      assert.strictEqual(seen.length, 3)
    }).pipe(Effect.provide(SpendAlert.layer({ coolDown: "1 hour" }))))

  it.effect("repeats itself where that is asked for", () =>
    Effect.gen(function*() {
      const { seen } = yield* collect
      yield* loop(600)
      assert.isAtLeast(seen.filter(({ state }) => state === "firing").length, 4)
    }).pipe(Effect.provide(SpendAlert.layer({ repeatEvery: "2 minutes" }))))

  it.effect("names the tenant where that is asked for, and never the user", () =>
    Effect.gen(function*() {
      yield* loop(30, { tenant: "acme", user: "ada@example.com" })
      const [alert] = yield* SpendAlert.recent
      assert.strictEqual(alert?._tag === "Loop" ? alert.tenant : undefined, "acme")
      assert.notInclude(JSON.stringify(alert), "ada")
    }).pipe(Effect.provide(SpendAlert.layer({ loop: { tenant: true } }))))

  it.effect("tells apart tenants, users and features that ask the same", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 200; n++) yield* loop(1, { tenant: `t${n % 10}` })
      for (let n = 0; n < 200; n++) yield* loop(1, { user: `u${n % 10}` })
      for (let n = 0; n < 200; n++) yield* loop(1, { feature: `f${n % 10}` })
      assert.deepStrictEqual(yield* SpendAlert.recent, [])
    }).pipe(Effect.provide(SpendAlert.layer())))

  describe("spending", () => {
    /** Eight hours of calls each minute, and then more of them. */
    const spend = (minutes: number, calls: number, cost: number | undefined, tokens = 1_000) =>
      Effect.gen(function*() {
        for (let n = 0; n < minutes; n++) {
          for (let call = 0; call < calls; call++) {
            yield* SpendAlert.observe(receiptOf({
              at: yield* now,
              feature: "search",
              tokens,
              ...(cost === undefined ? undefined : { cost })
            }))
          }
          yield* TestClock.adjust("1 minute")
        }
      })

    it.effect("that jumps is told by step and rate, and is over when it is over", () =>
      Effect.gen(function*() {
        const { seen } = yield* collect
        yield* TestClock.setTime(start)
        yield* spend(480, 4, 10_000)
        assert.deepStrictEqual(seen, [])
        const jumped = yield* now
        yield* spend(20, 40, 10_000)
        assert.sameMembers(seen.map(({ key }) => key), [
          "SpendStep/search/gpt-5-mini",
          "SpendRate/search/gpt-5-mini"
        ])
        for (const alert of seen) {
          assert.isAtMost(alert.at - jumped, 10 * minute)
          assert.isAtMost(Math.abs(alert.beganAt - jumped), 5 * minute)
          assert.isAtMost(Math.abs(alert.expected - 2_400_000), 100_000)
        }
        yield* spend(60, 4, 10_000)
        assert.deepStrictEqual(seen.slice(2).map(({ resolution }) => resolution), ["recovered", "recovered"])
        const [, , over] = seen
        // 20 minutes at 0.36 dollars a minute more than usual, about.
        assert.isAbove(over?._tag === "SpendStep" || over?._tag === "SpendRate" ? over.excess : 0, 5_000_000)
      }).pipe(Effect.provide(SpendAlert.layer())), 30_000)

    it.effect("whose cost is not known is watched by its tokens, or by a price", () =>
      Effect.gen(function*() {
        yield* spend(480, 4, undefined)
        yield* spend(20, 40, undefined, 20_000)
        const alerts = yield* SpendAlert.recent
        const rate = alerts.find(({ _tag }) => _tag === "SpendRate")
        assert.strictEqual(rate?._tag === "SpendRate" ? rate.unit : undefined, "tokens")
        assert.strictEqual(rate?.key, "SpendRate/search/gpt-5-mini/tokens")
        const prices = Pricing.layerOf([
          Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 10, output: 10 } })
        ])
        const priced = yield* Layer.build(Layer.provide(SpendAlert.layerPriced(), prices))
        yield* Effect.provideContext(Effect.andThen(spend(480, 4, undefined), spend(20, 40, undefined)), priced)
        const keys = (yield* Effect.provideContext(SpendAlert.recent, priced)).map(({ key }) => key)
        assert.include(keys, "SpendRate/search/gpt-5-mini")
      }).pipe(Effect.provide(SpendAlert.layer())), 30_000)

    it.effect("a receipt that is none costs nobody anything, and is counted and reported", () => {
      const { layer, lines } = logs()
      // It may have come from anywhere.
      const none = { ...receiptOf({ at: 0 }), attempts: null } as unknown as Receipt.Receipt
      return Effect.gen(function*() {
        yield* SpendAlert.observe(none)
        yield* SpendAlert.observe(none)
        yield* TestClock.adjust("1 minute")
        yield* operate(request("?"), none)
        yield* TestClock.adjust("1 minute")
        const { failed, observed } = yield* SpendAlert.status
        assert.deepStrictEqual([failed, observed], [3, 0])
        assert.deepStrictEqual(
          lines,
          [2, 3].map((count) => [
            "Warn",
            `SpendAlert: 0 alerts were dropped by slow subscribers so far, ${count} calls could not be counted`
          ])
        )
      }).pipe(
        Effect.provide(Layer.provide(SpendAlert.layer(), layer)),
        Effect.provideService(References.UnhandledLogLevel, "Warn")
      )
    })
  })

  describe("subscribers", () => {
    it.effect("that are slow hold up nobody, and what they miss is counted", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const seen: Array<string | undefined> = []
        const stream = yield* SpendAlert.SpendAlert.use((service) => service.subscribe)
        const fiber = yield* Effect.forkChild(
          Stream.runForEach(stream, (alert) =>
            Effect.andThen(Deferred.await(gate), Effect.sync(() => seen.push(alert.feature)))),
          { startImmediately: true }
        )
        for (let n = 0; n < 20; n++) {
          for (let times = 0; times < 2; times++) {
            yield* SpendAlert.observe(receiptOf({ at: 0, feature: `f${n}` }), "same")
          }
        }
        // None of it has waited for anybody.
        assert.strictEqual((yield* SpendAlert.status).dropped, 16)
        yield* Deferred.succeed(gate, undefined)
        for (let n = 0; n < 50; n++) {
          yield* Effect.yieldNow
        }
        assert.deepStrictEqual(seen.slice(-4), ["f16", "f17", "f18", "f19"])
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(SpendAlert.layer({ bufferSize: 4, loop: { times: 2 } }))))

    it.effect("have what there is when the layer is closed, and then an end", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(SpendAlert.layer(), scope)
        const service = Context.get(context, SpendAlert.SpendAlert)
        const fiber = yield* Effect.forkChild(Stream.runCollect(service.alerts), { startImmediately: true })
        yield* Effect.provideContext(loop(30), context)
        yield* Scope.close(scope, Exit.void)
        const alerts = yield* Fiber.join(fiber)
        assert.strictEqual(alerts.length, 1)
        // Whoever comes late finds it over, and what is observed is nobody's business.
        yield* service.observe(receiptOf({ at: 0 }))
        assert.deepStrictEqual(yield* Stream.runCollect(service.alerts), [])
        assert.strictEqual((yield* service.status).observed, 30)
      }))

    it.effect("that go away are forgotten", () =>
      Effect.gen(function*() {
        const first = yield* Effect.forkChild(Stream.runHead(SpendAlert.alerts), { startImmediately: true })
        yield* loop(30)
        assert.strictEqual((yield* Fiber.join(first))._tag, "Some")
        yield* loop(30, { feature: "other" })
        yield* loop(30, { feature: "third" })
        assert.strictEqual((yield* SpendAlert.status).dropped, 0)
      }).pipe(Effect.provide(SpendAlert.layer({ bufferSize: 1 }))))
  })

  describe("hooks", () => {
    it.effect("log by severity", () => {
      const { layer, lines } = logs()
      return Effect.gen(function*() {
        yield* loop(30)
        yield* TestClock.adjust("30 minutes")
        assert.deepStrictEqual(lines.map(([level]) => level), ["Error", "Info"])
        assert.match(lines[0]?.[1] ?? "", /^"agent" on "gpt-5-mini": the same was asked 30 times in 10 min, for \$0.03/)
      }).pipe(Effect.provide(SpendAlert.log.pipe(Layer.provideMerge(SpendAlert.layer()), Layer.provide(layer))))
    })

    it.effect("have what there is when the layer is closed, for five seconds", () =>
      Effect.gen(function*() {
        const seen: Array<string | undefined> = []
        const hook = SpendAlert.hook((alert) =>
          Effect.andThen(
            alert.feature === "c" ? Effect.never : Effect.yieldNow,
            Effect.sync(() => seen.push(alert.feature))
          )
        )
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(hook.pipe(Layer.provideMerge(SpendAlert.layer())), scope)
        yield* Effect.provideContext(
          Effect.gen(function*() {
            for (const feature of ["a", "b", "c", "d"]) {
              for (let n = 0; n < 30; n++) yield* SpendAlert.observe(receiptOf({ at: 0, feature }), "same")
            }
          }),
          context
        )
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(seen, ["a", "b"])
      }))

    it.effect("that fail, die or throw are reported, and go on", () => {
      const { layer, lines } = logs()
      const seen: Array<string | undefined> = []
      const hook = SpendAlert.hook((alert) => {
        seen.push(alert.feature)
        if (alert.feature === "a") return Effect.fail("no")
        if (alert.feature === "b") return Effect.die("no")
        throw new Error("no")
      })
      return Effect.gen(function*() {
        for (const feature of ["a", "b", "c"]) yield* loop(30, { feature })
        assert.deepStrictEqual(seen, ["a", "b", "c"])
        assert.strictEqual(lines.filter(([, line]) => line === "A hook of SpendAlert failed").length, 3)
      }).pipe(
        Effect.provide(hook.pipe(Layer.provideMerge(SpendAlert.layer()), Layer.provide(layer))),
        Effect.provideService(References.UnhandledLogLevel, "Warn")
      )
    })
  })

  describe("keeps", () => {
    it.effect(
      "nothing of a suspended machine: what came before is not what came just before",
      () =>
        Effect.gen(function*() {
          const service = yield* SpendAlert.SpendAlert
          yield* service.observe(receiptOf({ at: 0, feature: "search", cost: 10 }))
          yield* TestClock.adjust("3 days")
          assert.deepStrictEqual(yield* SpendAlert.recent, [])
        }).pipe(Effect.provide(SpendAlert.layer())),
      30_000
    )

    it.effect("the key the same for the same, and another for another", () =>
      Effect.gen(function*() {
        yield* loop(30, { feature: "a/b", model: "c" })
        yield* loop(30, { feature: "a", model: "b/c" })
        const keys = (yield* SpendAlert.recent).map(({ key }) => key.split("/").slice(0, 3).join("/"))
        assert.deepStrictEqual(keys, ["Loop/a%2Fb/c", "Loop/a/b%2Fc"])
      }).pipe(Effect.provide(SpendAlert.layer())))
  })

  describe("options that are not legal", () => {
    it.each([
      [{ window: "7 minutes" }, /^SpendAlert: `window` must go into an hour/],
      [{ window: "30 seconds" }, /^SpendAlert: `window` must be whole minutes, got 30s/],
      [{ maxSeries: 0 }, /^SpendAlert: `maxSeries` must be a whole number from 1 to 10000, got 0/],
      [{ bufferSize: 0.5 }, /^SpendAlert: `bufferSize` must be a whole number of at least 1, got 0.5/],
      [{ spendRate: { ratio: 1 } }, /^SpendAlert: `spendRate.ratio` must be a number above 1, got 1/],
      [{ spendRate: { days: 2, minimumDays: 3 } }, /^SpendAlert: `spendRate.minimumDays` .* from 1 to 2, got 3/],
      [{ spendStep: { threshold: Number.NaN } }, /^SpendAlert: `spendStep.threshold` .*, got NaN/],
      [
        { tokensPerCall: { sensitivity: 0 } },
        /^SpendAlert: `tokensPerCall.sensitivity` must be a number above 0/
      ],
      [{ errorRate: { minimumIncrease: 1 } }, /^SpendAlert: `errorRate.minimumIncrease` .* below 1, got 1/],
      [{ loop: { times: 1 } }, /^SpendAlert: `loop.times` must be a whole number of at least 2, got 1/],
      [{ coolDown: "1 second" }, /^SpendAlert: `coolDown` must be whole minutes or 0, got 1s/],
      [{ repeatEvery: 0 }, /^SpendAlert: `repeatEvery` must be whole minutes, got 0/]
    ] as ReadonlyArray<[SpendAlert.LayerOptions, RegExp]>)("%j", (options, message) => {
      assert.throws(() => SpendAlert.layer(options), RangeError, message)
    })

    it("a history of other windows", () => {
      const { history } = SpendAlert.replay([], { window: "5 minutes" })
      assert.throws(
        () => SpendAlert.layer({ history }),
        RangeError,
        /`history` must be of windows of 10 minutes, got 5/
      )
    })

    it("detectors that are off say nothing", () => {
      const receipts = Array.from({ length: 100 }, (_, n) => receiptOf({ at: start + n, feature: "a" }))
      assert.strictEqual(SpendAlert.replay(receipts, { fingerprint: () => "same" }).alerts.length, 1)
      assert.deepStrictEqual(SpendAlert.replay(receipts, { fingerprint: () => "same", loop: false }).alerts, [])
    })
  })
})
