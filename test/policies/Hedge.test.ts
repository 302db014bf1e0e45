import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Latch, Layer, Schedule, Scheduler, Stream } from "effect"
import { Hedge, Limiter, Llm, type LlmError, Plan, Receipt, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Run from "../core/support/run.ts"
import { makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

const { silence } = ScriptedProvider
const after = (delay: number, text = "330 m") => ScriptedProvider.text(text, { delay })
const failsAfter = (delay: number, tag: LlmError.ProviderError["_tag"] = "Overloaded") =>
  ScriptedProvider.fail(tag, { delay })

const finish = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 10 }, outputTokens: { total: 1 } }
} as const

/** A stack under a budget of its own, which all of its calls share. */
const under = <E>(
  llm: Llm.Llm<E, OpenAi | RetryBudget.RetryBudget>,
  budget?: RetryBudget.Options
): Effect.Effect<Llm.Llm<E, OpenAi> & { readonly remaining: (key?: string) => Effect.Effect<number> }> =>
  Effect.map(RetryBudget.RetryBudget, (budget) => {
    const provide = Effect.provideService(RetryBudget.RetryBudget, budget)
    return Object.assign(
      Llm.make<E, OpenAi>({ plan: llm.plan, open: (call) => provide(llm.open(call)) }),
      { remaining: (key?: string) => provide(RetryBudget.remaining({ key })) }
    )
  }).pipe(Effect.provide(RetryBudget.layerMemory(budget)))

/** Every call may be sent twice. */
const always = Llm.hedge({ after: 1_000, maxExtra: 1 })
const hedged = under(openai.pipe(always))

const attempts = (receipt: Receipt.Receipt) => receipt.attempts.map((attempt) => attempt.outcome)

describe("the settings", () => {
  it("must make sense", () => {
    for (const after of [0, "-1 seconds", "Infinity"] as const) {
      assert.throws(() => openai.pipe(Llm.hedge({ after })), RangeError, "after")
    }
    for (const maxExtra of [0, -0.1, 1.1, NaN]) {
      assert.throws(() => openai.pipe(Llm.hedge({ after: 1, maxExtra })), RangeError, "maxExtra")
    }
    for (const quantile of [0, 1, NaN]) assert.throws(() => Hedge.quantile(quantile), RangeError, "quantile")
    assert.throws(() => Hedge.quantile(0.9, { minimum: -1 }), RangeError, "minimum")
    for (const window of [0, 1.5]) assert.throws(() => Hedge.quantile(0.9, { window }), RangeError, "window")
    for (const warmUp of [0, 1.5, 11]) {
      assert.throws(() => Hedge.quantile(0.9, { window: 10, warmUp }), RangeError, "warmUp")
    }
    assert.strictEqual(Hedge.quantile(0.9, { window: 10 }).warmUp, 10)
  })

  it("stand in the plan", () => {
    const fixed = openai.pipe(Llm.hedge({ after: "2 seconds" }))
    assert.strictEqual(Plan.render(fixed.plan), "hedge after 2s, at most 2 % extra\n└─ openai/gpt-5-mini")
    const live = Llm.hedge(openai, { after: Hedge.quantile(0.95), maxExtra: 0.07 })
    assert.strictEqual(live.plan.detail, "after quantile 0.95, at most 7 % extra")
    assert.strictEqual(Plan.worstCase(live.plan), 2)
  })
})

for (const [kind, run] of Object.entries(kinds)) {
  describe(`${kind}: a second request`, () => {
    it.effect("is not sent where the first one opens in time", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [after(999)] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["success"])
        assert.deepStrictEqual(ran.receipt.events, [])
        assert.deepStrictEqual(attempts(ran.receipt), ["success"])
        assert.strictEqual(ran.receipt.timings.firstPartMillis, 999)
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("costs no timer where the first one opens at once", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [ScriptedProvider.text("330 m")] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.strictEqual(ran.probe.sleeps(), 0)
        assert.strictEqual(ran.probe.fibers(), 0)
      }))

    it.effect("is sent after the wait, and wins: the first one is cancelled", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [silence, after(200)] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual(Run.times(ran.openai), [0, 1_000])
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted", "success"])
        const { receipt } = ran
        assert.strictEqual(receipt.outcome, "success")
        assert.deepStrictEqual(attempts(receipt), ["interrupted", "success"])
        assert.deepStrictEqual(receipt.attempts.map(({ durationMillis }) => durationMillis), [1_200, 200])
        const [event] = receipt.events
        assert.strictEqual(receipt.events.length, 1)
        assert.deepStrictEqual(
          [event?.type, event?.reason, event?.atMillis, event?.delayMillis],
          ["hedge", "slow", 1_000, 1_000]
        )
        assert.strictEqual(receipt.model, "gpt-5-mini")
        assert.strictEqual(receipt.finishReason, "stop")
        assert.strictEqual(receipt.timings.firstPartMillis, 1_200)
        // What the loser cost is unknown.
        assert.isUndefined(receipt.attempts[0]?.usage)
        assert.deepStrictEqual(receipt.usage, receipt.attempts[1]?.usage)
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
        assert.include(Receipt.render(receipt), "slow: ask a second time")
      }))

    it.effect("is cancelled where the first one opens after all", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [after(1_500, "first"), after(2_000, "second")] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("first"))
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["success", "interrupted"])
        assert.deepStrictEqual(ran.receipt.attempts.map(({ durationMillis }) => durationMillis), [1_500, 500])
        assert.strictEqual(ran.receipt.timings.totalMillis, 1_500)
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("is not sent after a failure, which fails at once", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [failsAfter(500)] })
        assert.strictEqual(ran.receipt.outcome, "Overloaded")
        assert.strictEqual(ran.receipt.timings.totalMillis, 500)
        assert.strictEqual(ran.openai.length, 1)
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("is not sent where the first one opens or fails in the moment of its turn", () =>
      Effect.gen(function*() {
        for (const first of [after(1_000), failsAfter(1_000)]) {
          const ran = yield* run(yield* hedged, { openai: [first] })
          assert.strictEqual(ran.openai.length, 1)
          assert.deepStrictEqual(ran.receipt.events, [])
        }
      }))

    it.effect("goes on where the first one fails", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [failsAfter(1_500), after(2_000)] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual(attempts(ran.receipt), ["Overloaded", "success"])
        assert.strictEqual(ran.receipt.timings.totalMillis, 3_000)
      }))

    it.effect("may fail while the first one goes on", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, { openai: [after(3_000), failsAfter(500)] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual(attempts(ran.receipt), ["success", "Overloaded"])
      }))

    it.effect("and the first one may both fail: the call fails as the later one does", () =>
      Effect.gen(function*() {
        const firstFirst = yield* run(yield* hedged, {
          openai: [failsAfter(1_500, "Overloaded"), failsAfter(1_500, "ServerError")]
        })
        assert.strictEqual(firstFirst.receipt.outcome, "ServerError")
        assert.strictEqual(firstFirst.receipt.timings.totalMillis, 2_500)
        const secondFirst = yield* run(yield* hedged, {
          openai: [failsAfter(2_500, "Overloaded"), failsAfter(500, "ServerError")]
        })
        assert.strictEqual(secondFirst.receipt.outcome, "Overloaded")
        assert.deepStrictEqual(attempts(secondFirst.receipt), ["Overloaded", "ServerError"])
        const together = yield* run(yield* hedged, {
          openai: [failsAfter(2_000, "Overloaded"), failsAfter(1_000, "ServerError")]
        })
        assert.strictEqual(together.receipt.timings.totalMillis, 2_000)
        assert.deepStrictEqual(attempts(together.receipt), ["Overloaded", "ServerError"])
        for (const ran of [firstFirst, secondFirst, together]) {
          assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
        }
      }))

    it.effect("that is a bug ends the call, as a bug", () =>
      Effect.gen(function*() {
        // The script has no second step, which is a defect.
        const ran = yield* run(yield* hedged, { openai: [silence] })
        assert(Exit.isFailure(ran.exit) && Cause.hasDies(ran.exit.cause))
        assert.strictEqual(ran.receipt.outcome, "defect")
        assert.deepStrictEqual(Run.outcomes(ran.openai), ["interrupted", undefined])
        assert.strictEqual(ran.receipt.timings.totalMillis, 1_000)
      }))

    it.effect("opens in the same moment as the first: one of them is handed on, the other one closed", () =>
      Effect.gen(function*() {
        const ran = yield* run(yield* hedged, {
          openai: [
            ScriptedProvider.text(["first", "!"], { delay: 2_000, between: 100 }),
            ScriptedProvider.text(["second", "!"], { delay: 1_000, between: 100 })
          ]
        })
        assert(Exit.isSuccess(ran.exit))
        assert.include(["first!", "second!"], ran.exit.value)
        assert.deepStrictEqual(ran.receipt.attempts.filter(({ outcome }) => outcome === "success").length, 1)
        assert.deepStrictEqual(Run.outcomes(ran.openai).toSorted(), ["interrupted", "success"])
        const winner = ran.exit.value === "first!" ? 0 : 1
        assert.strictEqual(ran.receipt.attempts[winner]?.outcome, "success")
        assert.strictEqual(ran.receipt.finishReason, "stop")
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect("is not sent in a probe, which is one request", () =>
      Effect.gen(function*() {
        const llm = yield* hedged
        const probing = Llm.make({ plan: llm.plan, open: (call) => llm.open({ ...call, single: true }) })
        const ran = yield* run(probing, { openai: [after(5_000)] })
        assert.strictEqual(ran.openai.length, 1)
        assert.strictEqual(ran.receipt.outcome, "success")
        // One for the provider's delay.
        assert.strictEqual(ran.probe.sleeps(), 1)
      }))

    it.effect("is not waited for where the call would be over by then", () =>
      Effect.gen(function*() {
        const llm = yield* under(openai.pipe(always, Llm.timeout({ total: 1_000 })))
        const ran = yield* run(llm, { openai: [silence] })
        assert.strictEqual(ran.receipt.outcome, "TimedOut")
        assert.strictEqual(ran.openai.length, 1)
        assert.strictEqual(ran.probe.sleeps(), 1)
        const longer = yield* run(yield* under(openai.pipe(always, Llm.timeout({ total: 1_001 }))), {
          openai: [silence, ScriptedProvider.text("330 m")]
        })
        assert.deepStrictEqual(longer.exit, Exit.succeed("330 m"))
      }))
  })
}

describe("of two requests for a stream", () => {
  it.effect("the winner flows on, and nothing of the other is in it", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(yield* hedged, {
        openai: [
          ScriptedProvider.text(["a", "b", "c"], { delay: 1_500, between: 100 }),
          ScriptedProvider.text(["x", "y", "z"], { delay: 200, between: 2_000 })
        ]
      })
      // The second begins before the first does, and takes longer to end. Its first part is no content.
      assert.deepStrictEqual(ran.texts, ["a", "b", "c"])
      const slow = yield* Run.stream(yield* hedged, {
        openai: [silence, ScriptedProvider.text(["x", "y", "z"], { delay: 200, between: 2_000 })]
      })
      assert.deepStrictEqual(slow.texts, ["x", "y", "z"])
      assert.strictEqual(slow.receipt.timings.firstPartMillis, 3_200)
      assert.strictEqual(slow.receipt.timings.totalMillis, 11_200)
      assert.strictEqual(slow.probe.timers() + slow.probe.fibers(), 0)
    }))

  it.effect("the winner may break off, and is not replaced", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(yield* hedged, {
        openai: [silence, ScriptedProvider.breakOff(["33"], "cut", { delay: 200 })]
      })
      assert.deepStrictEqual(ran.texts, ["33"])
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
      assert.deepStrictEqual(attempts(ran.receipt), ["interrupted", "StreamInterrupted"])
      assert.strictEqual(ran.openai.length, 2)
    }))

  it.effect("a reader who stops early ends what is left", () =>
    Effect.gen(function*() {
      const probe = yield* makeProbe
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [silence, ScriptedProvider.text(["a", "b"], { between: 1_000 })])
      const fiber = yield* Llm.streamText(yield* hedged, question).pipe(
        Llm.textDeltas,
        Stream.take(1),
        Stream.runCollect,
        receipts.observe,
        Effect.provide(provider.layer),
        probe.watch,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a"])
      assert.deepStrictEqual(Run.outcomes(provider.calls), ["interrupted", "interrupted"])
      assert.strictEqual(receipts.one().outcome, "interrupted")
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }))
})

describe("a caller who goes away", () => {
  const slowly = ScriptedProvider.text(["a", "b"], { delay: 500, between: 500 })
  const stages = {
    "while there is one request": { at: 500, script: [silence], outcomes: ["interrupted"] },
    "while there are two": { at: 1_500, script: [silence, silence], outcomes: ["interrupted", "interrupted"] },
    "in the winner's answer": { at: 2_200, script: [silence, slowly], outcomes: ["interrupted", "interrupted"] }
  }
  for (const [name, { at, outcomes, script }] of Object.entries(stages)) {
    for (const kind of ["a full answer", "a stream"] as const) {
      it.effect(`${kind}, ${name}: nothing goes on`, () =>
        Effect.gen(function*() {
          const probe = yield* makeProbe
          const receipts = makeReceipts()
          const provider = ScriptedProvider.make(OpenAi, script)
          const llm = yield* hedged
          const call = kind === "a stream"
            ? Stream.runDrain(Llm.streamText(llm, question))
            : Llm.generateText(llm, question)
          const fiber = yield* Effect.asVoid(call).pipe(
            receipts.observe,
            Effect.provide(provider.layer),
            probe.watch,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(at)
          assert.isUndefined(fiber.pollUnsafe())
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(Run.outcomes(provider.calls), outcomes)
          assert.strictEqual(receipts.one().outcome, "interrupted")
          assert.deepStrictEqual(attempts(receipts.one()), outcomes)
          assert.strictEqual(probe.timers() + probe.fibers(), 0)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(provider.calls.length, outcomes.length)
        }))
    }
  }
})

describe("what a request holds", () => {
  /** When the socket of each request was opened and closed, in milliseconds. */
  const sockets = (kind: keyof typeof kinds, script: ScriptedProvider.Script) =>
    Effect.gen(function*() {
      const log: Array<string> = []
      let opened = 0
      const note = (what: string, socket: number) =>
        Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now - begun} ${what} ${socket}`))
      const socket = Effect.acquireRelease(
        Effect.suspend(() => {
          const number = ++opened
          return Effect.as(note("opens", number), number)
        }),
        (number) => note("closes", number)
      )
      const begun = yield* Clock.currentTimeMillis
      const holding = Layer.effect(
        OpenAi,
        Effect.map(OpenAi, (provider) =>
          OpenAi.of({
            whole: (request) => Effect.scoped(Effect.andThen(socket, provider.whole(request))),
            stream: (request) => Stream.unwrap(Effect.as(socket, provider.stream(request)))
          }))
      ).pipe(Layer.provide(ScriptedProvider.layer(OpenAi, script)))
      const llm = yield* hedged
      const call = kind === "a stream"
        ? Stream.runDrain(Llm.streamText(llm, question))
        : Effect.asVoid(Llm.generateText(llm, question))
      const fiber = yield* Effect.exit(call).pipe(
        Effect.provide(holding),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      return log
    })

  it.effect("is let go of with the other one's opening, also in a stream", () =>
    Effect.gen(function*() {
      const slow = ScriptedProvider.text("330 m", { delay: 100, between: 500 })
      assert.deepStrictEqual(yield* sockets("a stream", [silence, slow]), [
        "0 opens 1",
        "1000 opens 2",
        "1600 closes 1",
        "2600 closes 2"
      ])
      assert.deepStrictEqual(yield* sockets("a full answer", [silence, slow]), [
        "0 opens 1",
        "1000 opens 2",
        "2600 closes 2",
        "2600 closes 1"
      ])
    }))

  it.effect("is let go of where both open at once, though both did", () =>
    Effect.gen(function*() {
      const log = yield* sockets("a stream", [
        ScriptedProvider.parts([{ type: "text-delta", id: "0", delta: "first" }, finish], {
          delay: 2_000,
          between: 10_000
        }),
        ScriptedProvider.parts([{ type: "text-delta", id: "0", delta: "second" }, finish], {
          delay: 1_000,
          between: 10_000
        })
      ])
      assert.deepStrictEqual(log.slice(0, 2), ["0 opens 1", "1000 opens 2"])
      assert.deepStrictEqual(log.slice(2).map((line) => line.split(" ").slice(0, 2).join(" ")), [
        "2000 closes",
        "12000 closes"
      ])
    }))

  it.effect("is let go of with its own failure, while the other one goes on", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sockets("a stream", [failsAfter(1_500), after(5_000)]), [
        "0 opens 1",
        "1000 opens 2",
        "1500 closes 1",
        "6000 closes 2"
      ])
    }))
})

describe("at one and the same moment", () => {
  /** A clock on which all sleeps end together. */
  const together = (latch: Latch.Latch) => (clock: Clock.Clock): Clock.Clock => ({ ...clock, sleep: () => latch.await })

  for (const kind of ["a full answer", "a stream"] as const) {
    const ask = (llm: Llm.Llm<LlmError.ProviderError, OpenAi | RetryBudget.RetryBudget>) =>
      kind === "a stream"
        ? Stream.runDrain(Llm.streamText(llm, question))
        : Effect.asVoid(Llm.generateText(llm, question))

    it.effect(`${kind}: two requests open, and exactly one is handed on`, () =>
      // Fibers run on until they wait, and only where they give way to each other is anything left to happen at once. So they
      // do it after every few steps, with each number of steps in turn.
      Effect.forEach(Array.from({ length: 60 }, (_, index) => index + 5), (steps) =>
        Effect.gen(function*() {
          const settle = Effect.repeat(Effect.yieldNow, { times: 500 })
          const latch = yield* Latch.make()
          const receipts = makeReceipts()
          const log: Array<string> = []
          let calls = 0
          const request = Effect.acquireRelease(
            Effect.sync(() => {
              const number = ++calls
              log.push(`opens ${number}`)
              return number
            }),
            (number) => Effect.sync(() => void log.push(`closes ${number}`))
          )
          const answer = (number: number) => ({ ...finish, reason: number === 1 ? "stop" : "length" } as const)
          const provider = Layer.succeed(OpenAi, {
            whole: () => Effect.scoped(Effect.map(Effect.tap(request, latch.await), (number) => [answer(number)])),
            stream: () =>
              Stream.unwrap(Effect.map(Effect.tap(request, latch.await), (number) =>
                Stream.concat(
                  Stream.make({ type: "text-delta", id: "0", delta: "330 m" } as const),
                  Stream.fromEffect(Effect.as(
                    Effect.tap(Effect.sleep(1), () => Effect.sync(() => log.push(`ends ${number}`))),
                    answer(number)
                  ))
                )))
          })
          const fiber = yield* ask(openai.pipe(always)).pipe(
            receipts.observe,
            Effect.provide([provider, RetryBudget.layerMemory()]),
            Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
            Effect.forkChild({ startImmediately: true })
          )
          yield* settle
          yield* TestClock.adjust(1_000)
          yield* settle
          assert.deepStrictEqual(log, ["opens 1", "opens 2"])
          yield* latch.open
          yield* settle
          yield* TestClock.adjust(1_000)
          yield* Fiber.join(fiber)
          const receipt = receipts.one()
          const winner = receipt.finishReason === "stop" ? 0 : 1
          assert.strictEqual(receipt.attempts[winner]?.outcome, "success")
          if (kind === "a stream") {
            // The loser is closed before the winner goes on.
            const [won, lost] = [winner + 1, 2 - winner]
            assert.deepStrictEqual(log.slice(2), [`closes ${lost}`, `ends ${won}`, `closes ${won}`])
            assert.strictEqual(receipt.attempts[1 - winner]?.outcome, "interrupted")
          }
        }), { discard: true }))

    for (const [name, step] of Object.entries({ opens: after(500), fails: failsAfter(500) })) {
      it.effect(`${kind}: the first one ${name} and the second one's turn comes: that is not sent`, () =>
        Effect.gen(function*() {
          const latch = yield* Latch.make()
          const provider = ScriptedProvider.make(OpenAi, () => step)
          const fiber = yield* Effect.exit(ask(openai.pipe(always))).pipe(
            Effect.provide([provider.layer, RetryBudget.layerMemory()]),
            Effect.updateService(Clock.Clock, together(latch)),
            Effect.forkChild({ startImmediately: true })
          )
          yield* latch.open
          yield* Fiber.join(fiber)
          assert.strictEqual(provider.calls.length, 1)
        }))

      it.effect(`${kind}: the first one ${name} and the second one is permitted: that is not sent`, () =>
        Effect.gen(function*() {
          const latch = yield* Latch.make()
          let asked = 0
          const budget = Layer.succeed(RetryBudget.RetryBudget, {
            bucket: () => ({
              withdraw: Effect.suspend(() => {
                asked++
                return Effect.as(latch.await, true)
              }),
              deposit: Effect.void,
              remaining: Effect.succeed(1)
            })
          })
          const receipts = makeReceipts()
          const provider = ScriptedProvider.make(OpenAi, () => step)
          let sleeps = 0
          const fiber = yield* Effect.exit(ask(openai.pipe(always))).pipe(
            receipts.observe,
            Effect.provide([provider.layer, budget]),
            // The provider's own sleep, the first one, is as long as the permission takes.
            Effect.updateService(Clock.Clock, (clock) => ({
              ...clock,
              sleep: (duration) => sleeps++ === 0 ? latch.await : clock.sleep(duration)
            })),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(1_000)
          assert.strictEqual(asked, 1)
          yield* latch.open
          yield* Fiber.join(fiber)
          assert.strictEqual(provider.calls.length, 1)
          assert.deepStrictEqual(receipts.one().events, [])
        }))
    }
  }
})

describe("the cap", () => {
  /** A second request to each first one that hangs: how many there were after each call. */
  const hanging = (llm: Llm.Llm<unknown, OpenAi>, calls: number) =>
    Effect.gen(function*() {
      const sent: Array<number> = []
      for (let call = 0; call < calls; call++) {
        const ran = yield* Run.text(llm, { openai: () => after(3_000) })
        sent.push(ran.openai.length - 1)
      }
      return sent
    })

  it.effect("is a share of the calls, of which none is there to begin with", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: 1_000, maxExtra: 0.25 })))
      assert.deepStrictEqual(yield* hanging(llm, 8), [0, 0, 0, 1, 0, 0, 0, 1])
      const usual = yield* under(openai.pipe(Llm.hedge({ after: 1_000 })))
      const sent = yield* hanging(usual, 100)
      assert.deepStrictEqual(sent.flatMap((extra, call) => extra === 1 ? [call] : []), [49, 99])
    }))

  it.effect("saves up to 5 for later", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: 1_000, maxExtra: 0.25 })))
      for (let call = 0; call < 100; call++) yield* Run.text(llm, { openai: [ScriptedProvider.text("330 m")] })
      assert.deepStrictEqual(yield* hanging(llm, 9), [1, 1, 1, 1, 1, 1, 0, 0, 1])
    }))

  it.effect("is the budget's too: where that has nothing left, no second request is sent", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(always), { capacity: 2, ratio: 0, perSecond: 0 })
      assert.deepStrictEqual(yield* hanging(llm, 4), [1, 1, 0, 0])
      assert.strictEqual(yield* llm.remaining(), 0)
    }))

  it.effect("keeps its own permission where the budget denies one", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(Llm.hedge({ after: 1_000, maxExtra: 0.5 })), {
        capacity: 1,
        ratio: 0.2,
        perSecond: 0
      })
      // The budget has one permission, and another one after five answers. By then more than one is saved here.
      assert.deepStrictEqual(yield* hanging(llm, 7), [0, 1, 0, 0, 0, 0, 1])
    }))

  it.effect("is that of the guard around it, where there is one", () =>
    Effect.gen(function*() {
      const llm = yield* under(
        openai.pipe(always, RetryBudget.guard({ key: "openai" })),
        { capacity: 3, ratio: 0, perSecond: 0 }
      )
      assert.deepStrictEqual(yield* hanging(llm, 2), [1, 1])
      assert.strictEqual(yield* llm.remaining("openai"), 1)
      assert.strictEqual(yield* llm.remaining(), 3)
    }))

  it.effect("is paid for by answers, once, with a guard around it or in it or without one", () =>
    Effect.gen(function*() {
      const retried = openai.pipe(Llm.retry(Schedule.recurs(1)))
      const stacks = [
        retried.pipe(always),
        retried.pipe(always, RetryBudget.guard()),
        retried.pipe(RetryBudget.guard(), always)
      ]
      for (const stack of stacks) {
        const llm = yield* under(stack, { capacity: 2, ratio: 0.25, perSecond: 0 })
        yield* Run.text(llm, { openai: () => failsAfter(0) })
        assert.strictEqual(yield* llm.remaining(), 1)
        yield* Run.text(llm, { openai: [after(0)] })
        assert.strictEqual(yield* llm.remaining(), 1.25)
      }
    }))

  it.effect("is one for a budget's layer and a policy, and begins anew with either", () =>
    Effect.gen(function*() {
      const half = openai.pipe(Llm.hedge({ after: 1_000, maxExtra: 0.5 }))
      assert.deepStrictEqual(yield* hanging(yield* under(half), 3), [0, 1, 0])
      assert.deepStrictEqual(yield* hanging(yield* under(half), 3), [0, 1, 0])
      const llm = yield* under(half)
      yield* hanging(llm, 1)
      assert.deepStrictEqual(yield* hanging(llm, 1), [1])
    }))

  it.effect("holds in an outage in which everything hangs", () =>
    Effect.gen(function*() {
      // An hour passes with each call here, in which anything that trickled in would fill the budget up.
      const llm = yield* under(openai.pipe(always, Llm.timeout({ firstPart: 5_000 })), { perSecond: 0 })
      let extra = 0
      for (let call = 0; call < 100; call++) {
        extra += (yield* Run.text(llm, { openai: () => silence })).openai.length - 1
      }
      assert.strictEqual(extra, 20)
    }))
})

describe("with a limit around it", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`${kind}: the first part of either counts`, () =>
      Effect.gen(function*() {
        const llm = yield* under(openai.pipe(always, Llm.timeout({ firstPart: 3_000, idle: 3_000 })))
        const served = yield* run(llm, { openai: [silence, after(1_900)] })
        assert.deepStrictEqual(served.exit, Exit.succeed("330 m"))
        const neither = yield* run(llm, { openai: [silence, silence] })
        assert.strictEqual(neither.receipt.outcome, "TimedOut")
        assert.strictEqual(neither.receipt.timings.totalMillis, 3_000)
        assert.deepStrictEqual(attempts(neither.receipt), ["TimedOut", "TimedOut"])
        assert.strictEqual(neither.probe.timers() + neither.probe.fibers(), 0)
      }))

    it.effect(`${kind}: a limit inside bounds each request`, () =>
      Effect.gen(function*() {
        const llm = yield* under(openai.pipe(Llm.timeout({ firstPart: 3_000 }), always))
        const ran = yield* run(llm, { openai: [silence, after(2_500)] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual(attempts(ran.receipt), ["TimedOut", "success"])
        const both = yield* run(llm, { openai: [silence, silence] })
        assert.strictEqual(both.receipt.timings.totalMillis, 4_000)
        assert.strictEqual(both.receipt.outcome, "TimedOut")
        assert.deepStrictEqual(attempts(both.receipt), ["TimedOut", "TimedOut"])
      }))
  }

  it.effect("a second request is no new connection to wait for, once the first one has one", () =>
    Effect.gen(function*() {
      // It has a response after 100 ms, and its first word after 4 seconds.
      const first = ScriptedProvider.parts(
        [{ type: "response-metadata" }, { type: "text-delta", id: "0", delta: "330 m" }, finish],
        { delay: 100, between: 3_900 }
      )
      const llm = yield* under(openai.pipe(always, Llm.timeout({ connect: 2_000 })))
      const ran = yield* Run.stream(llm, { openai: [first, silence] })
      assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
      assert.deepStrictEqual(attempts(ran.receipt), ["success", "interrupted"])
    }))

  it.effect("the silence of one that goes on is noticed, though the other one has failed", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(always, Llm.timeout({ idle: 2_000 })))
      const stalled = ScriptedProvider.breakOff(["33", "0"], "stall", { delay: 500, between: 600 })
      const ran = yield* Run.text(llm, { openai: [stalled, failsAfter(2_000)] })
      // The last word at 1.7 seconds.
      assert.strictEqual(ran.receipt.outcome, "TimedOut")
      assert.strictEqual(ran.receipt.timings.totalMillis, 3_700)
      assert.deepStrictEqual(attempts(ran.receipt), ["TimedOut", "Overloaded"])
    }))

  it.effect("an idle winner of a stream is given up", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(always, Llm.timeout({ firstPart: 5_000, idle: 2_000 })))
      const ran = yield* Run.stream(llm, {
        openai: [silence, ScriptedProvider.breakOff(["33"], "stall", { delay: 200 })]
      })
      assert.deepStrictEqual(ran.texts, ["33"])
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
      assert.strictEqual(ran.receipt.timings.totalMillis, 3_200)
      assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    }))
})

describe("with retries", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`${kind}: inside, each of the two tries again by itself`, () =>
      Effect.gen(function*() {
        const llm = yield* under(openai.pipe(Llm.retry(Schedule.recurs(1)), always))
        const ran = yield* run(llm, {
          openai: [failsAfter(500), failsAfter(1_500), failsAfter(200), after(200)]
        })
        // First: 0 to 0.5 s, again to 2 s. Second: 1 s to 1.2 s, again to 1.4 s.
        assert.deepStrictEqual(Run.times(ran.openai).map((time) => time - ran.openai[0]!.at), [0, 500, 1_000, 1_200])
        assert.deepStrictEqual(attempts(ran.receipt), ["Overloaded", "interrupted", "Overloaded", "success"])
        assert.deepStrictEqual(ran.receipt.events.map(({ type }) => type), ["retry", "hedge", "retry"])
        assert.strictEqual(ran.receipt.model, "gpt-5-mini")
        assert.strictEqual(ran.receipt.timings.totalMillis, 1_400)
        // Two retries and a second request, less what the answer brought.
        assert.approximately(yield* llm.remaining(), 20, 0.001)
      }))

    it.effect(`${kind}: outside, the two are tried again together`, () =>
      Effect.gen(function*() {
        const llm = yield* under(openai.pipe(always, Llm.retry(Schedule.recurs(1))))
        const ran = yield* run(llm, {
          openai: [failsAfter(2_000), failsAfter(500), silence, after(200)]
        })
        assert.deepStrictEqual(Run.times(ran.openai).map((time) => time - ran.openai[0]!.at), [0, 1_000, 2_000, 3_000])
        assert.deepStrictEqual(attempts(ran.receipt), ["Overloaded", "Overloaded", "interrupted", "success"])
        assert.deepStrictEqual(ran.receipt.events.map(({ type }) => type), ["hedge", "retry", "hedge"])
        assert.strictEqual(ran.receipt.outcome, "success")
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))
  }

  it.effect("around each other, hedges are capped by one budget", () =>
    Effect.gen(function*() {
      const llm = yield* under(openai.pipe(always, Llm.hedge({ after: 1_500, maxExtra: 1 })), {
        capacity: 2,
        perSecond: 0
      })
      const ran = yield* Run.text(llm, { openai: () => after(10_000) })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 1_000, 1_500])
      assert.deepStrictEqual(attempts(ran.receipt), ["success", "interrupted", "interrupted"])
    }))
})

describe("a request that waits for its turn", () => {
  it.effect("has not begun, and is not hedged", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("330 m", { delay: "1 second" }))
      const receipts = makeReceipts()
      const llm = openai.pipe(Limiter.enforce(), Llm.hedge({ after: "1500 millis", maxExtra: 1 }))
      const fiber = yield* Effect.replicateEffect(Llm.generateText(llm, question), 5, { concurrency: "unbounded" })
        .pipe(
          receipts.observe,
          Effect.provide([
            provider.layer,
            RetryBudget.layerMemory(),
            Limiter.layerMemory({ limits: { concurrency: 1 } })
          ]),
          Effect.forkChild({ startImmediately: true })
        )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).length, 5)
      assert.strictEqual(provider.calls.length, 5)
      assert.isFalse(receipts.seen.some((receipt) => receipt.events.some((event) => event.type === "hedge")))
    }))

  it.effect("is hedged once it has had its time", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, (_, index) =>
        ScriptedProvider.text("330 m", { delay: index === 1 ? "1 minute" : "1 second" }))
      const llm = openai.pipe(Limiter.enforce(), Llm.hedge({ after: "1500 millis", maxExtra: 1 }))
      const fiber = yield* Effect.replicateEffect(Llm.generateText(llm, question), 2, { concurrency: "unbounded" })
        .pipe(
          Effect.provide([
            provider.layer,
            RetryBudget.layerMemory(),
            Limiter.layerMemory({ limits: { concurrency: 2 } })
          ]),
          Effect.forkChild({ startImmediately: true })
        )
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).length, 2)
      assert.deepStrictEqual(
        provider.calls.map((call) =>
          call.at
        ),
        [0, 0, 1_500]
      )
    }))
})
