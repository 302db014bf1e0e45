/**
 * What a view knows of operations that it is told of.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Money, type Receipt } from "effect-bulwark"
import { LiveView } from "effect-bulwark/telemetry"
import { TestClock } from "effect/testing"
import { Live } from "../../src/core/internal/instrument.ts"
import { arrive, ask, begin, close, decide, receiptOf, usage } from "./support/live.ts"

const view = (options?: LiveView.Options) => Effect.provide(LiveView.layer(options))

const micros = Money.MicroUsd.make

/** What the oldest call in flight is doing. */
const oldest = Effect.map(LiveView.state, ({ inFlight: [call] }) => call)

describe("LiveView", () => {
  it.effect("tells what a call is doing, from its beginning to its end", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op_1", { attribution: { feature: "search", user: "ada" } })
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* oldest, {
        id: "op_1",
        feature: "search",
        stream: true,
        refresh: false,
        startedAt: 0,
        elapsedMillis: 200,
        requests: 0,
        running: 0,
        phase: "starting",
        phaseMillis: 200,
        parts: 0,
        characters: 0
      })

      const first = ask(operation)
      yield* TestClock.adjust("300 millis")
      assert.deepInclude(yield* oldest, {
        provider: "openai",
        model: "gpt-5-mini",
        requests: 1,
        running: 1,
        phase: "sending",
        phaseMillis: 300,
        elapsedMillis: 500
      })

      // What comes before content is no first part.
      first.arrived?.([{ type: "text-start", id: "0" }], false)
      assert.deepInclude(yield* oldest, { phase: "sending", parts: 1, characters: 0 })
      first.ended(new Error("overloaded"))
      assert.deepInclude(yield* oldest, { phase: "between", running: 0 })
      decide(operation, "retry", "Overloaded", 2_000)
      yield* TestClock.adjust("500 millis")
      assert.deepInclude(yield* oldest, { phase: "retrying", phaseMillis: 500, leftMillis: 1_500, on: "Overloaded" })

      yield* TestClock.adjust("1500 millis")
      const second = ask(operation, "claude-haiku-4-5", "anthropic")
      arrive(second, ["Hello", ", "], true)
      yield* TestClock.adjust("100 millis")
      arrive(second, ["world"])
      yield* TestClock.adjust("40 millis")
      assert.deepInclude(yield* oldest, {
        provider: "anthropic",
        model: "claude-haiku-4-5",
        requests: 2,
        phase: "receiving",
        phaseMillis: 40,
        parts: 3,
        characters: 12
      })

      second.ended(undefined)
      close(
        operation,
        receiptOf([{ outcome: "Overloaded" }, {
          provider: "anthropic",
          model: "claude-haiku-4-5",
          usage: usage(100, 20),
          cost: micros(50)
        }], {
          provider: "anthropic",
          model: "claude-haiku-4-5-20251001",
          timings: { firstPartMillis: 2_500, totalMillis: 2_640 }
        })
      )
      const state = yield* LiveView.state
      assert.deepStrictEqual(state.inFlight, [])
      assert.deepStrictEqual(state.finished, [{
        id: "op_1",
        feature: "search",
        refresh: false,
        provider: "anthropic",
        model: "claude-haiku-4-5-20251001",
        outcome: "success",
        degraded: false,
        endedAt: 2_640,
        tookMillis: 2_640,
        firstPartMillis: 2_500,
        requests: 2,
        inputTokens: 100,
        outputTokens: 20
      }])
      assert.deepInclude(state.total, {
        calls: 1,
        succeeded: 1,
        requests: 2,
        retries: 1,
        cost: micros(50),
        unpriced: 0
      })
    }).pipe(view()))

  it.effect("tells how long calls wait for their turn, and for the request of another", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op_1")
      operation.noted({ _tag: "Queue", limiter: "openai", interactive: 3, batch: 1 })
      yield* TestClock.adjust("1 second")
      // Others come and go.
      operation.noted({ _tag: "Queue", limiter: "openai", interactive: 2, batch: 1 })
      assert.deepInclude(yield* oldest, { phase: "queued", phaseMillis: 1_000, on: "openai" })
      assert.deepStrictEqual((yield* LiveView.state).queues, [{ limiter: "openai", interactive: 2, batch: 1 }])
      decide(operation, "queue", "requests", 1_000)
      assert.deepInclude(yield* oldest, { phase: "starting" })

      // Who gives up is told after that how many are left, and waits no more.
      operation.noted({ _tag: "Queue", limiter: "openai", interactive: 3, batch: 1 })
      assert.deepInclude(yield* oldest, { phase: "queued", phaseMillis: 0 })
      decide(operation, "timeout", "firstPart")
      operation.noted({ _tag: "Queue", limiter: "openai", interactive: 2, batch: 1 })
      assert.deepInclude(yield* oldest, { phase: "starting" })

      operation.joined(undefined)
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* oldest, { phase: "sharing", phaseMillis: 2_000 })
    }).pipe(view()))

  it.effect("of two requests at once shows the one that has brought the most", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op_1")
      const first = ask(operation, "slow")
      decide(operation, "hedge", "slow", 1_000)
      const second = ask(operation, "fast")
      assert.deepInclude(yield* oldest, { model: "fast", running: 2, phase: "sending" })
      arrive(first, ["a", "b"], true)
      assert.deepInclude(yield* oldest, { model: "slow", parts: 2, phase: "receiving" })
      arrive(second, ["a", "b", "c"], true)
      first.ended(undefined)
      first.ended(undefined)
      assert.deepInclude(yield* oldest, { model: "fast", parts: 3, running: 1, requests: 2 })
      assert.strictEqual((yield* LiveView.state).total.hedges, 1)
    }).pipe(view()))

  it.effect("a decision that comes before the end of the request that led to it stands", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op_1")
      const attempt = ask(operation)
      decide(operation, "retry", "Overloaded", 1_000)
      attempt.ended(new Error("overloaded"))
      assert.deepInclude(yield* oldest, { phase: "retrying", leftMillis: 1_000 })
    }).pipe(view()))

  it.effect("what goes on after an operation is over brings nothing back", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op_1")
      const shared = ask(operation)
      close(operation, receiptOf([], { outcome: "interrupted" }))
      close(operation, receiptOf([], { outcome: "success" }))
      const late = ask(operation)
      arrive(shared, ["a"], true)
      decide(operation, "retry", "Overloaded", 10)
      shared.ended(undefined)
      late.ended(undefined)
      const state = yield* LiveView.state
      assert.strictEqual(state.running, 0)
      assert.strictEqual(state.finished.length, 1)
      assert.deepInclude(state.total, { calls: 1, interrupted: 1, succeeded: 0, requests: 2, retries: 1 })
    }).pipe(view()))

  it.effect("counts the last 60 seconds, by the minute, and all in all", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(90_500)
      yield* Effect.gen(function*() {
        const call = (outcome: string, more?: Partial<Receipt.Receipt>) =>
          Effect.map(begin("op"), (operation) => {
            ask(operation).ended(undefined)
            close(operation, receiptOf([{ usage: usage(10, 5), cost: micros(100) }], { outcome, ...more }))
          })
        yield* call("success", { cache: "miss" })
        yield* call("Overloaded")
        yield* TestClock.adjust("31 seconds") // 2:01
        yield* call("success", { cache: "hit", attempts: [], usage: usage(0, 0) })
        yield* call("success", { cache: "coalesced" })
        yield* call("success", { cache: "bypass" })
        const early = yield* LiveView.state
        assert.deepInclude(early.lastMinute, {
          calls: 5,
          succeeded: 4,
          failed: 1,
          cached: 2,
          missed: 1,
          cost: micros(400)
        })
        assert.deepStrictEqual(
          early.minutes.map(({ at, calls, cost }) => ({ at, calls, cost })),
          [{ at: 60_000, calls: 2, cost: micros(200) }, { at: 120_000, calls: 3, cost: micros(200) }]
        )

        yield* TestClock.adjust("29 seconds") // 2:30, a second after which the first two are older than a minute
        assert.strictEqual((yield* LiveView.state).lastMinute.calls, 3)
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual((yield* LiveView.state).lastMinute.calls, 0)

        yield* TestClock.adjust("58 minutes") // 1:01:01
        const late = yield* LiveView.state
        assert.strictEqual(late.minutes.length, 60)
        assert.deepInclude(late.minutes[0], { at: 120_000, calls: 3 })
        assert.strictEqual(late.minutes.reduce((sum, { calls }) => sum + calls, 0), 3)
        assert.deepInclude(late.total, { calls: 5, inputTokens: 40, outputTokens: 20, cost: micros(400) })
      }).pipe(view())
    }))

  it.effect("what a request cost is unknown and not nothing, where it has no price", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op")
      close(
        operation,
        receiptOf([{ usage: usage(10, 5), cost: micros(7) }, { usage: usage(10, 5) }, { outcome: "Overloaded" }])
      )
      const { finished, total } = yield* LiveView.state
      assert.deepInclude(total, { cost: micros(7), unpriced: 1 })
      assert.notProperty(finished[0], "cost")
    }).pipe(view()))

  it.effect("knows circuits and budgets as they were last seen", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op")
      operation.noted({ _tag: "Circuit", circuit: "openai/gpt-5-mini", from: "Closed", to: "Open" })
      yield* TestClock.adjust("30 seconds")
      operation.noted({ _tag: "Circuit", circuit: "openai/gpt-5-mini", from: "Open", to: "HalfOpen" })
      // Another process may have changed it; what was known already is no news.
      operation.noted({ _tag: "CircuitSeen", circuit: "openai/gpt-5-mini", state: "Closed" })
      yield* TestClock.adjust("10 seconds")
      operation.noted({ _tag: "CircuitSeen", circuit: "openai/gpt-5-mini", state: "Closed" })
      const balance = { _tag: "Balance", scope: "feature", resource: "usd", window: "1 hour", limit: 1_000 } as const
      operation.noted({ ...balance, feature: "search", used: 10 })
      operation.noted({ ...balance, feature: "chat", used: 20 })
      operation.noted({ ...balance, feature: "search", used: 30 })
      const { budgets, circuits } = yield* LiveView.state
      assert.deepStrictEqual(circuits, [{ circuit: "openai/gpt-5-mini", state: "Closed", since: 30_000 }])
      assert.deepStrictEqual(budgets.map(({ feature, used }) => [feature, used]), [["search", 30], ["chat", 20]])
    }).pipe(view()))

  it.effect("keeps no more than there is room for", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op")
      for (let n = 0; n < 1_000; n++) {
        operation.noted({ _tag: "Circuit", circuit: `open ${n % 3}`, from: "Closed", to: "Open" })
        operation.noted({ _tag: "Circuit", circuit: `closed ${n}`, from: "HalfOpen", to: "Closed" })
        operation.noted({ _tag: "Queue", limiter: `limiter ${n}`, interactive: n, batch: 0 })
        operation.noted({
          _tag: "Balance",
          scope: "feature",
          resource: "usd",
          window: "1 hour",
          feature: `${"f".repeat(1_000)}${n}`,
          used: n,
          limit: 1_000
        })
        const other = yield* begin(`other ${n}`)
        if (n % 2 === 0) close(other, receiptOf([]))
      }
      const state = yield* LiveView.state
      assert.strictEqual(state.circuits.length, 64)
      // What is closed makes room, not what is open.
      assert.strictEqual(state.circuits.filter(({ state }) => state === "Open").length, 3)
      assert.strictEqual(state.queues.length, 64)
      assert.strictEqual(state.budgets.length, 1)
      assert.strictEqual(state.budgets[0]?.feature?.length, 128)
      assert.deepStrictEqual(state.finished.map(({ id }) => id), ["other 998", "other 996", "other 994"])
      assert.deepStrictEqual(state.inFlight.map(({ id }) => id), ["op", "other 1"])
      assert.strictEqual(state.running, 501)
    }).pipe(view({ finished: 3, inFlight: 2 })))

  it.effect("has neither prompts nor answers nor users in it", () =>
    Effect.gen(function*() {
      const operation = yield* begin("op", { attribution: { user: "ada lovelace", tenant: "acme corporation" } })
      arrive(ask(operation), ["The secret of the answer"], true)
      close(operation, receiptOf([{}]))
      yield* begin("op", { attribution: { user: "ada lovelace", tenant: "acme corporation" } })
      const state = yield* LiveView.state
      assert.match(JSON.stringify(state), /gpt-5-mini/)
      assert.notMatch(JSON.stringify(state), /secret|nobody|ada|acme/i)
      assert.deepStrictEqual(
        yield* Schema.decodeUnknownEffect(LiveView.State)(JSON.parse(JSON.stringify(state))),
        state
      )
    }).pipe(view()))

  it.effect("tells of changes, at most ten times a second and at least once", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [at: number, calls: number]> = []
      const fiber = yield* LiveView.changes.pipe(
        Stream.runForEach(({ at, total }) => Effect.sync(() => seen.push([at, total.calls]))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2500 millis")
      assert.deepStrictEqual(seen, [[0, 0], [1_000, 0], [2_000, 0]])
      seen.length = 0
      for (let n = 0; n < 100; n++) close(yield* begin("op"), receiptOf([]))
      yield* TestClock.adjust("600 millis")
      assert.deepStrictEqual(seen, [[2_600, 100]])
      seen.length = 0
      const operation = yield* begin("op")
      yield* TestClock.adjust("300 millis")
      close(operation, receiptOf([]))
      yield* TestClock.adjust("600 millis")
      assert.deepStrictEqual(seen.map(([at]) => at), [3_200, 3_300, 3_400, 3_500])
      yield* Fiber.interrupt(fiber)
    }).pipe(view()))

  it.effect("where there is none, nobody is told", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* Live)
      assert.isDefined(yield* Effect.provide(Live, LiveView.layer()))
    }))

  it.effect("of two views around an operation, the inner one sees it", () =>
    Effect.gen(function*() {
      const inner = Effect.andThen(begin("op"), LiveView.state).pipe(Effect.provide(Layer.fresh(LiveView.layer())))
      assert.strictEqual((yield* inner).running, 1)
      assert.strictEqual((yield* LiveView.state).running, 0)
    }).pipe(view()))

  it("refuses options that are not legal", () => {
    assert.throws(
      () => LiveView.layer({ finished: 0 }),
      RangeError,
      "LiveView.layer: `finished` must be a whole number of at least 1, got 0"
    )
    assert.throws(() => LiveView.layer({ inFlight: 1.5 }), RangeError, "`inFlight`")
    assert.throws(
      () => LiveView.layer({ interval: "99 millis" }),
      RangeError,
      "LiveView.layer: `interval` must be at least 100 milliseconds, got 99ms"
    )
    assert.throws(() => LiveView.run({ interval: 0 }), RangeError, "LiveView.run: `interval`")
    assert.throws(() => LiveView.layer({ interval: "Infinity" }), RangeError, "`interval`")
  })
})
