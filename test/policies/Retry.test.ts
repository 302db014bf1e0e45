import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Random, Redacted, Schedule, Schema } from "effect"
import { Llm, LlmError, Plan, Retry } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Run from "../core/support/run.ts"
import { anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const every = (millis: number, retries = 5) => Schedule.spaced(millis).pipe(Schedule.upTo({ times: retries }))
const ok = ScriptedProvider.text("330 m")
const fails = (tag: LlmError.ProviderError["_tag"]) => ScriptedProvider.fail(tag)
const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

describe("which failures are retried", () => {
  const tags = Object.keys(LlmError.table).filter((tag) =>
    ![
      "OutputTruncated",
      "InvalidOutput",
      "ToolFailed",
      "TimedOut",
      "CircuitOpen",
      "Saturated",
      "StoreUnavailable",
      "BudgetExceeded",
      "UnknownPrice",
      "AllModelsExhausted",
      "PromptInvalid",
      "PromptNotFound"
    ].includes(tag)
  ) as Array<LlmError.ProviderError["_tag"]>

  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`${kind}: those that are transient by the table, and no others`, () =>
      Effect.gen(function*() {
        for (const tag of tags) {
          const transient = LlmError.table[tag].transient
          const ran = yield* run(openai.pipe(Llm.retry(every(1_000))), { openai: [fails(tag), ok] })
          assert.deepStrictEqual(Run.outcomes(ran.openai), transient ? [tag, "success"] : [tag])
          assert.strictEqual(ran.receipt.outcome, transient ? "success" : tag)
        }
      }))
  }

  it.effect("not one that says it is not worth it, but one that says it is", () =>
    Effect.gen(function*() {
      const tooLarge = ScriptedProvider.fail(new LlmError.RateLimited({ retryable: false }))
      const odd = ScriptedProvider.fail(new LlmError.InvalidRequest({ retryable: true }))
      const llm = openai.pipe(Llm.retry(every(1_000)))
      assert.strictEqual((yield* Run.text(llm, { openai: [tooLarge] })).receipt.outcome, "RateLimited")
      assert.strictEqual((yield* Run.text(llm, { openai: [odd, ok] })).receipt.outcome, "success")
    }))

  it.effect("those that a predicate names, whatever the table says", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const llm = Llm.retry(openai, every(1_000), {
        while: (error) => {
          seen.push(error._tag)
          return error._tag === "ModelNotFound"
        }
      })
      const ran = yield* Run.text(llm, { openai: [fails("ModelNotFound"), fails("Overloaded")] })
      assert.strictEqual(ran.receipt.outcome, "Overloaded")
      assert.deepStrictEqual(seen, ["ModelNotFound", "Overloaded"])
    }))

  it.effect("our own limits, but not the total one", () =>
    Effect.gen(function*() {
      const inner = openai.pipe(Llm.timeout({ firstPart: "2 seconds" }), Llm.retry(every(1_000)))
      const first = yield* Run.text(inner, { openai: [ScriptedProvider.silence, ok] })
      assert.strictEqual(first.receipt.outcome, "success")
      const total = openai.pipe(Llm.timeout({ total: "2 seconds" }), Llm.retry(every(1_000)))
      const second = yield* Run.text(total, { openai: [ScriptedProvider.silence] })
      assert.strictEqual(second.receipt.outcome, "TimedOut")
    }))

  it.effect("no errors of others, unless a predicate names them", () =>
    Effect.gen(function*() {
      class Mine extends Schema.TaggedError<Mine>()("Mine", {}) {}
      let opened = 0
      const custom = Llm.make({
        plan: Plan.policy("custom", { children: [] }),
        open: () =>
          Effect.suspend(() => {
            opened++
            return Effect.fail(new Mine())
          })
      })
      yield* Effect.flip(Llm.generateText(custom.pipe(Llm.retry(Schedule.recurs(2))), question))
      assert.strictEqual(opened, 1)
      yield* Effect.flip(Llm.generateText(Llm.retry(custom, Schedule.recurs(2), { while: () => true }), question))
      assert.strictEqual(opened, 4)
    }))

  it.effect("no defects", () =>
    Effect.gen(function*() {
      // The script has no step for the first call, which is a defect.
      const ran = yield* Run.text(openai.pipe(Llm.retry(every(1_000))), { openai: [] })
      assert(Exit.isFailure(ran.exit) && Cause.hasDies(ran.exit.cause))
      assert.strictEqual(ran.openai.length, 1)
    }))

  it.effect("nothing after the first content", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(every(1_000)))
      for (const ending of ["cut", "Overloaded", "RateLimited"] as const) {
        const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.breakOff(["330"], ending)] })
        assert.deepStrictEqual(ran.texts, ["330"])
        assert.strictEqual(ran.openai.length, 1)
        assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
        assert.deepStrictEqual(ran.receipt.events, [])
      }
    }))
})

describe("when a failure is retried", () => {
  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`${kind}: by the schedule, from the moment of the failure`, () =>
      Effect.gen(function*() {
        const slow = ScriptedProvider.fail("Overloaded", { delay: "50 millis" })
        const ran = yield* run(
          openai.pipe(Llm.retry(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 })))),
          { openai: () => slow }
        )
        assert.deepStrictEqual(Run.times(ran.openai), [0, 150, 400, 850])
        assert.deepStrictEqual(ran.receipt.events.map(({ atMillis, delayMillis }) => [atMillis, delayMillis]), [
          [50, 100],
          [200, 200],
          [450, 400]
        ])
        assert.strictEqual(ran.receipt.outcome, "Overloaded")
        assert.strictEqual(ran.receipt.timings.totalMillis, 900)
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))
  }

  it.effect("at once, where the schedule says so", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(openai.pipe(Llm.retry(Schedule.recurs(2))), { openai: () => fails("Overloaded") })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 0, 0])
    }))

  it.effect("anew for each call", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(every(1_000, 1)))
      const provider = ScriptedProvider.make(OpenAi, () => fails("Overloaded"))
      const fiber = yield* Effect.all([
        Effect.flip(Llm.generateText(llm, question)),
        Effect.flip(Llm.generateText(llm, question))
      ]).pipe(Effect.provide(provider.layer), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(Run.times(provider.calls), [0, 1_000, 1_000, 2_000])
    }))

  it.effect("as long as a schedule that looks at the error goes on", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<LlmError.ProviderError>(),
        Schedule.while(({ input }) => input._tag === "Overloaded")
      )
      const ran = yield* Run.text(openai.pipe(Llm.retry(schedule)), {
        openai: [fails("Overloaded"), fails("Overloaded"), fails("ServerError")]
      })
      assert.deepStrictEqual(Run.outcomes(ran.openai), ["Overloaded", "Overloaded", "ServerError"])
      assert.strictEqual(ran.receipt.outcome, "ServerError")
    }))

  it.effect("for as long as the schedule's own limit allows, the time of the calls included", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "5 seconds" }))
      const ran = yield* Run.text(openai.pipe(Llm.retry(schedule)), {
        openai: () => ScriptedProvider.fail("Overloaded", { delay: "2 seconds" })
      })
      assert.deepStrictEqual(Run.times(ran.openai), [0, 3_000, 6_000])
    }))

  it.effect("fails as the schedule fails", () =>
    Effect.gen(function*() {
      const schedule = Schedule.recurs(3).pipe(Schedule.tap(() => Effect.fail("no more" as const)))
      const error = yield* Llm.generateText(openai.pipe(Llm.retry(schedule)), question).pipe(
        Effect.flip,
        Effect.provide(ScriptedProvider.layer(OpenAi, [fails("Overloaded")]))
      )
      assert.strictEqual(error, "no more")
    }))

  it.effect("with a fifth more or less, by the seed", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        Run.text(openai.pipe(Llm.retry(Retry.transient)), { openai: () => fails("Overloaded") }).pipe(
          Effect.map((ran) => ran.receipt.events.map((event) => event.delayMillis ?? -1)),
          Random.withSeed(seed)
        )
      const seen = new Set<number>()
      for (const seed of ["a", "b", "c", "d", "e", "f", "g", "h"]) {
        const delays = yield* run(seed)
        assert.deepStrictEqual(yield* run(seed), delays)
        assert.strictEqual(delays.length, 2)
        for (const [index, base] of [500, 1_000].entries()) {
          assert.isAtLeast(delays[index] ?? 0, base * 0.8)
          assert.isAtMost(delays[index] ?? 0, base * 1.2)
        }
        seen.add(delays[0] ?? 0)
      }
      assert.isAtLeast(seen.size, 7)
    }))
})

describe("what an attempt is told", () => {
  /** Keeps the numbers of the attempts that it sees. */
  const counted = (seen: Array<number>) =>
    Llm.make({
      plan: openai.plan,
      open: (call) => {
        seen.push(call.attempt)
        return openai.open(call)
      }
    })

  it.effect("its number, from 0", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      yield* Run.text(counted(seen).pipe(Llm.retry(Schedule.recurs(3))), { openai: () => fails("Overloaded") })
      assert.deepStrictEqual(seen, [0, 1, 2, 3])
      // Also where nobody retries.
      yield* Run.text(counted(seen), { openai: [ok] })
      assert.strictEqual(seen.at(-1), 0)
    }))

  it.effect("by the innermost retry around it", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const llm = counted(seen).pipe(Llm.retry(Schedule.recurs(1)), Llm.retry(Schedule.recurs(2)))
      const ran = yield* Run.text(llm, { openai: () => fails("Overloaded") })
      assert.deepStrictEqual(seen, [0, 1, 0, 1, 0, 1])
      assert.strictEqual(ran.openai.length, Plan.worstCase(llm.plan))
    }))
})

describe("a failed attempt", () => {
  /** A model that holds something while it is open. */
  const holding = (log: Array<string>) =>
    Llm.make({
      plan: openai.plan,
      open: (call) =>
        Effect.flatMap(
          Effect.acquireRelease(
            Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now} acquire ${call.attempt}`)),
            () => Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now} release ${call.attempt}`))
          ),
          () => openai.open(call)
        )
    })

  for (const [kind, run] of Object.entries(kinds)) {
    it.effect(`lets go of what it held before the wait (${kind})`, () =>
      Effect.gen(function*() {
        const log: Array<string> = []
        yield* run(holding(log).pipe(Llm.retry(every(1_000))), {
          openai: [
            ScriptedProvider.fail("Overloaded", { delay: "10 millis" }),
            fails("Overloaded"),
            ScriptedProvider.text(["a", "b"], { between: "1 second" })
          ]
        })
        assert.deepStrictEqual(log, [
          "0 acquire 0",
          "10 release 0",
          "1010 acquire 1",
          "1010 release 1",
          "2010 acquire 2",
          // The one that wins holds on while its answer flows.
          "6010 release 2"
        ])
      }))
  }

  it.effect("is the last one when the caller goes away during the wait", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const probe = yield* makeProbe
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [fails("Overloaded")])
      const fiber = yield* Llm.generateText(holding(log).pipe(Llm.retry(every(60_000))), question).pipe(
        receipts.observe,
        Effect.provide(provider.layer),
        probe.watch,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(probe.timers(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(provider.calls.length, 1)
      assert.deepStrictEqual(log, ["0 acquire 0", "0 release 0"])
      assert.strictEqual(receipts.one().outcome, "interrupted")
    }))

  it.effect("is what the call fails with when the attempts are used up: the last one's own error", () =>
    Effect.gen(function*() {
      const last = new LlmError.StreamInterrupted({
        partial: Redacted.make(""),
        reason: "failed",
        failure: new LlmError.Overloaded({ retryAfter: Duration.seconds(1) })
      })
      const ran = yield* Run.text(openai.pipe(Llm.retry(every(1_000, 1))), {
        openai: [fails("Overloaded"), ScriptedProvider.fail(last)]
      })
      assert.strictEqual(yield* Effect.flip(ran.exit), last)
    }))
})

describe("what a plan knows of a schedule", () => {
  it("is found out when somebody asks, and not before", () => {
    let ran = 0
    const telling = Schedule.recurs(3).pipe(Schedule.tap(() => Effect.sync(() => ran++)))
    const llm = openai.pipe(Llm.retry(telling), Llm.orElse(anthropic))
    assert.strictEqual(ran, 0)
    assert.strictEqual(Plan.worstCase(llm.plan), 5)
    const once = ran
    assert.include(String(llm), "up to 3 times")
    assert.strictEqual(ran, once)
  })

  it.effect("is nothing where the schedule looks at the error, however it does", () =>
    Effect.gen(function*() {
      const picky = Schedule.recurs(5).pipe(
        Schedule.setInputType<LlmError.ProviderError>(),
        Schedule.while(({ input }) => Effect.succeed(input instanceof LlmError.RateLimited))
      )
      const llm = openai.pipe(Llm.retry(picky))
      assert.strictEqual(Plan.worstCase(llm.plan), Infinity)
      const ran = yield* Run.text(llm, { openai: () => fails("RateLimited") })
      assert.strictEqual(ran.openai.length, 6)
    }))
})
