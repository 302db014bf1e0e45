/**
 * What one retry learns from others: an account that has been told to wait, a budget that is used up, a circuit that is probed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { Llm, LlmError, Plan, Retry } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const ok = ScriptedProvider.text("330 m")
const limited = (seconds: number, rest: { readonly retryable?: boolean } = {}) =>
  ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.seconds(seconds), ...rest }))
const jittered = Schedule.exponential("500 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))

describe("an account that has been told to wait", () => {
  const ask = <E>(llm: Llm.Llm<E, OpenAi | Anthropic>) =>
    Effect.map(Llm.generateText(llm, question), (answer) => answer.text)

  it.effect("waits with all its calls, and not in step", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, index) => index === 0 ? limited(10) : ok)
      const receipts = makeReceipts()
      const llm = openai.pipe(Llm.retry(jittered))
      const fiber = yield* Effect.all([
        ask(llm),
        ...Array.from({ length: 20 }, (_, index) => Effect.delay(ask(llm), Duration.millis(100 * (index + 1))))
      ], { concurrency: "unbounded" }).pipe(
        receipts.observe,
        Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).length, 21)
      // One request learnt it; nobody else sent one before the time had come.
      const times = Run.times(provider.calls)
      assert.strictEqual(times.length, 22)
      assert.strictEqual(times[0], 0)
      assert.isTrue(times.slice(1).every((at) => at > 10_300 && at < 10_700))
      assert.isTrue(new Set(times).size > 15)
      const waiting = receipts.seen.filter((receipt) => receipt.attempts.length === 1)
      assert.strictEqual(waiting.length, 20)
      for (const receipt of waiting) {
        assert.deepStrictEqual(receipt.events.map((event) => [event.type, event.reason]), [
          ["rejected", "RateLimited"],
          ["retry", "RateLimited"]
        ])
      }
    }))

  it.effect("that was told many times at once comes back at many times", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, index) =>
        // Each of them is on its way when the first one is told.
        index < 50 ? { ...limited(2), delay: "100 millis" } : ok)
      const fiber = yield* Effect.replicateEffect(ask(openai.pipe(Llm.retry(jittered))), 50, {
        concurrency: "unbounded"
      }).pipe(
        Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      const times = Run.times(provider.calls).slice(50)
      assert.strictEqual(times.length, 50)
      assert.isTrue(times.every((at) => at >= 2_100 && at < 2_800))
      assert.isAbove(new Set(times).size, 40)
    }))

  it.effect("sends nothing for who does not wait, and falls back", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [limited(10), ok])
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* ask(openai.pipe(Llm.orElse(anthropic))), "other")
        yield* TestClock.adjust("9 seconds")
        const error = yield* Effect.flip(ask(openai))
        assert(error._tag === "RateLimited")
        assert.deepStrictEqual([error.parked, error.provider, error.model], [true, "openai", "gpt-5-mini"])
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(1))
        assert.include(error.message, "nothing was sent")
        assert.strictEqual(yield* ask(openai.pipe(Llm.orElse(anthropic))), "other")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* ask(openai), "330 m")
      }).pipe(Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, () => ScriptedProvider.text("other"))]))
      assert.deepStrictEqual(Run.times(provider.calls), [0, 10_000])
    }))

  it.effect("is told by a stream that breaks off, too", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.breakOff(["330"], new LlmError.Overloaded({ retryAfter: Duration.seconds(5) }))
      ])
      yield* Effect.gen(function*() {
        yield* Effect.exit(Stream.runDrain(Llm.streamText(openai, question)))
        const error = yield* Effect.flip(ask(openai))
        assert.isTrue(error._tag === "RateLimited" && error.parked === true)
      }).pipe(Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]))
    }))

  it.effect("is not parked by what is about one request, by what waiting cannot mend, or by another account", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        limited(10, { retryable: false }),
        ScriptedProvider.fail(new LlmError.InvalidRequest({ retryAfter: Duration.seconds(10) })),
        ScriptedProvider.fail(new LlmError.Overloaded({})),
        limited(10)
      ])
      yield* Effect.gen(function*() {
        for (const tag of ["RateLimited", "InvalidRequest", "Overloaded", "RateLimited"]) {
          const error = yield* Effect.flip(ask(openai))
          assert.strictEqual(error._tag, tag)
          assert.isTrue(error._tag !== "RateLimited" || error.parked === undefined)
        }
        assert.strictEqual(yield* ask(anthropic), "other")
      }).pipe(Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("other")])]))
      assert.strictEqual(provider.calls.length, 4)
    }))

  it.effect("is one account, unless the provider says what shares a quota", () =>
    Effect.gen(function*() {
      const inner = ScriptedProvider.make(OpenAi, (request) => request.model === "gpt-5-mini" ? limited(10) : ok)
      const nano = Llm.model(OpenAi, "gpt-5-nano")
      const other = ScriptedProvider.layer(Anthropic, [])
      const both = Effect.gen(function*() {
        yield* Effect.exit(ask(openai))
        return yield* Effect.exit(ask(nano))
      })
      const shared = yield* Effect.provide(both, [inner.layer, other])
      assert.isTrue(Exit.isFailure(shared))
      const byModel = Layer.effect(
        OpenAi,
        Effect.map(OpenAi, (provider): Provider.Provider => ({ ...provider, quotaDomain: (request) => request.model }))
      ).pipe(Layer.provide(inner.layer))
      const apart = yield* Effect.provide(both, [byModel, other])
      assert.deepStrictEqual(apart, Exit.succeed("330 m"))
    }))

  it.effect("waits in each quota for as long as that was told", () =>
    Effect.gen(function*() {
      const inner = ScriptedProvider.make(OpenAi, (request, index) =>
        index > 1 ? ok : limited(request.model === "gpt-5-mini" ? 5 : 50))
      const byModel = Layer.effect(
        OpenAi,
        Effect.map(OpenAi, (provider): Provider.Provider => ({
          ...provider,
          quotaDomain: (request) =>
            request.model
        }))
      ).pipe(Layer.provide(inner.layer))
      const nano = Llm.model(OpenAi, "gpt-5-nano")
      yield* Effect.gen(function*() {
        yield* Effect.exit(ask(openai))
        yield* Effect.exit(ask(nano))
        yield* TestClock.adjust("10 seconds")
        // The one is over, and the other one is not because of it.
        assert.strictEqual(yield* ask(openai), "330 m")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(nano))))
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(yield* ask(nano), "330 m")
      }).pipe(Effect.provide([byModel, ScriptedProvider.layer(Anthropic, [])]))
    }))

  it.effect("is asked again after an hour, however long it was told to wait", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [limited(86_400), ok])
      yield* Effect.gen(function*() {
        yield* Effect.exit(ask(openai))
        yield* TestClock.adjust("59 minutes")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(openai))))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* ask(openai), "330 m")
      }).pipe(Effect.provide([provider.layer, ScriptedProvider.layer(Anthropic, [])]))
    }))
})

/** Changes the call, as a policy further out would. */
const within = <E, R>(self: Llm.Llm<E, R>, change: Partial<Parameters<typeof self.open>[0]>): Llm.Llm<E, R> =>
  Llm.make({ plan: self.plan, open: (call) => self.open({ ...call, ...change }) })

describe("a retry that is not free", () => {
  const failing = [ScriptedProvider.fail("Overloaded"), ScriptedProvider.fail("Overloaded"), ok]

  it.effect("asks for permission before each further request", () =>
    Effect.gen(function*() {
      let left = 1
      const withdraw = Effect.sync(() => left-- > 0)
      const ran = yield* Run.text(within(openai.pipe(Llm.retry(jittered)), { extraCalls: { withdraw } }), {
        openai: failing
      })
      assert.strictEqual(ran.receipt.outcome, "Overloaded")
      assert.strictEqual(ran.openai.length, 2)
      assert.strictEqual(ran.receipt.events.length, 1)
      assert.strictEqual(left, -1)
    }))

  it.effect("asks for none where nothing was sent, or would be", () =>
    Effect.gen(function*() {
      let asked = 0
      const withdraw = Effect.sync(() => ++asked > 0)
      const parked = ScriptedProvider.fail(new LlmError.RateLimited({ parked: true, retryAfter: Duration.seconds(1) }))
      const retried = within(openai.pipe(Llm.retry(jittered)), { extraCalls: { withdraw } })
      const ran = yield* Run.text(retried, { openai: [parked, ok] })
      assert.strictEqual(ran.receipt.outcome, "success")
      yield* Run.text(retried, { openai: [ScriptedProvider.fail("InvalidRequest")] })
      yield* Run.text(retried, { openai: [limited(60)] })
      assert.strictEqual(asked, 0)
    }))

  it.effect("does not happen in a probe", () =>
    Effect.gen(function*() {
      for (const run of [Run.text, Run.stream]) {
        const ran = yield* run(within(openai.pipe(Llm.retry(jittered)), { single: true }), { openai: failing })
        assert.strictEqual(ran.receipt.outcome, "Overloaded")
        assert.strictEqual(ran.openai.length, 1)
      }
    }))
})

describe("Retry.byTag", () => {
  const schedule = Retry.byTag({
    ConnectionFailed: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
    Overloaded: Schedule.exponential("10 seconds").pipe(Schedule.upTo({ times: 2 }))
  })

  it.effect("waits for each kind of failure by its own schedule, which counts only those", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(schedule)), {
        openai: [
          ScriptedProvider.fail("ConnectionFailed"),
          ScriptedProvider.fail("Overloaded"),
          ScriptedProvider.fail("ConnectionFailed"),
          ScriptedProvider.fail("Overloaded"),
          ok
        ]
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 1_000, 11_000, 12_000, 32_000])
      const ended = yield* Run.text(openai.pipe(Llm.retry(schedule)), {
        openai: () => ScriptedProvider.fail("ConnectionFailed")
      })
      assert.strictEqual(ended.openai.length, 3)
    }))

  it.effect("begins anew with each call", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(schedule))
      for (let call = 0; call < 3; call++) {
        const ran = yield* Run.text(llm, { openai: [ScriptedProvider.fail("Overloaded"), ok] })
        assert.deepStrictEqual(Run.times(ran.openai).map((at, _, [first = 0]) => at - first), [0, 10_000])
      }
    }))

  it.effect("does not retry what it does not name, or does otherwise", () =>
    Effect.gen(function*() {
      const script = { openai: [ScriptedProvider.fail("ServerError"), ok] }
      assert.strictEqual((yield* Run.text(openai.pipe(Llm.retry(schedule)), script)).openai.length, 1)
      const otherwise = Retry.byTag({ Overloaded: Schedule.recurs(1) }, { otherwise: Schedule.spaced("3 seconds") })
      const ran = yield* Run.text(openai.pipe(Llm.retry(otherwise)), script)
      assert.deepStrictEqual(Run.times(ran.openai).map((at, _, [first = 0]) => at - first), [0, 3_000])
    }))

  it("is counted in the plan as often as all of them allow", () => {
    assert.strictEqual(Plan.worstCase(openai.pipe(Llm.retry(schedule)).plan), 5)
    assert.strictEqual(
      Plan.worstCase(openai.pipe(Llm.retry(Retry.byTag({}, { otherwise: Schedule.spaced("1 second") }))).plan),
      Infinity
    )
  })
})
