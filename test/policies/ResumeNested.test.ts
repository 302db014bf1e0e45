/**
 * Going on, inside and around other policies, and interrupted at every stage.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Redacted, Schedule, Stream } from "effect"
import { Llm, Resume } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { chunked, delta } from "../core/support/chunked.ts"
import * as Run from "../core/support/run.ts"
import {
  Anthropic,
  anthropic,
  collect,
  makeProbe,
  makeReceipts,
  OpenAi,
  openai,
  question
} from "../core/support/stack.ts"
import { interruption } from "../core/support/watch.ts"

class Groq extends Provider.Service<Groq>()("groq") {}

const groq = Llm.model(Groq, "llama-3.3-70b")
const second = Duration.seconds(1)
const broken = ScriptedProvider.breakOff(["It is", " 330 "])
const other = ScriptedProvider.text(["330", " metres."])

const interrupted = (exit: Exit.Exit<unknown, unknown>) => {
  const { failure, partial, provider, reason } = interruption(exit)
  return {
    provider,
    partial: Redacted.value(partial),
    reason,
    failure: failure?._tag === "TimedOut" ? `TimedOut ${failure.phase}` : failure?._tag
  }
}

/** With a third provider. */
const withGroq = <E, R>(llm: Llm.Llm<E, R>, script: ScriptedProvider.Script) => {
  const scripted = ScriptedProvider.make(Groq, script)
  return {
    calls: scripted.calls,
    llm: Llm.make({
      plan: llm.plan,
      open: (
        call
      ): Effect.Effect<
        Effect.Success<ReturnType<typeof llm.open>>,
        E,
        Exclude<Effect.Services<ReturnType<typeof llm.open>>, Groq>
      > => Effect.provide(llm.open(call), scripted.layer)
    })
  }
}

const both = {
  restart: openai.pipe(Resume.restart(anthropic, { times: 2 })),
  continue: openai.pipe(Resume.continue(anthropic, { times: 2 }))
} as const

describe("the limit over all", () => {
  for (const [name, llm] of Object.entries(both)) {
    it.effect(`passes while ${name} waits for an answer: what was delivered is in the failure`, () =>
      Effect.gen(function*() {
        const ran = yield* Run.parts(llm.pipe(Llm.timeout({ total: "5 seconds" })), {
          openai: [broken],
          anthropic: [ScriptedProvider.silence]
        })
        assert.deepStrictEqual(interrupted(ran.exit), {
          provider: "openai",
          partial: "It is 330 ",
          reason: "timedOut",
          failure: "TimedOut total"
        })
        assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
        assert.deepStrictEqual(Run.outcomes(ran.anthropic), ["interrupted"])
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
          "StreamInterrupted",
          "TimedOut"
        ])
        assert.deepStrictEqual([ran.receipt.outcome, ran.receipt.provider], ["StreamInterrupted", "openai"])
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))

    it.effect(`passes while ${name} waits for a retry or a fallback of its own`, () =>
      Effect.gen(function*() {
        const retrying = anthropic.pipe(Llm.retry(Schedule.spaced("2 seconds")))
        for (const that of [retrying, Llm.orElse(retrying, openai)]) {
          const stack = (name === "restart" ? Resume.restart(openai, that) : Resume.continue(openai, that)).pipe(
            Llm.timeout({ total: "5 seconds" })
          )
          const ran = yield* Run.parts(stack, {
            openai: [broken, ScriptedProvider.silence],
            anthropic: (_, index) => index === 0 ? ScriptedProvider.fail("Overloaded") : ScriptedProvider.silence
          })
          assert.deepInclude(interrupted(ran.exit), { partial: "It is 330 ", failure: "TimedOut total" })
          assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
          assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
        }
      }))

    it.effect(`passes after ${name} has gone on`, () =>
      Effect.gen(function*() {
        const ran = yield* Run.parts(llm.pipe(Llm.timeout({ total: "5 seconds" })), {
          openai: [broken],
          anthropic: [ScriptedProvider.breakOff(["It is 330 metres"], "stall", { between: second })]
        })
        // Of an answer that was begun again only the new one; of one text, all that was delivered, and that once.
        assert.deepStrictEqual(interrupted(ran.exit), {
          provider: "anthropic",
          partial: "It is 330 metres",
          reason: "timedOut",
          failure: "TimedOut total"
        })
        assert.strictEqual(ran.receipt.timings.totalMillis, 5_000)
        assert.deepStrictEqual(Run.outcomes(ran.anthropic), ["interrupted"])
      }))

    it.effect(`is no longer watched once ${name} has all of the answer, however slow the reader is`, () =>
      Effect.gen(function*() {
        const receipts = makeReceipts()
        const template = anthropic.pipe(Llm.orElseSucceed(() => "No answer today."))
        for (const that of [anthropic, template]) {
          const stack = (name === "restart" ? Resume.restart(openai, that) : Resume.continue(openai, that)).pipe(
            Llm.timeout({ total: "5 seconds" })
          )
          const fiber = yield* Llm.streamText(stack, question).pipe(
            Stream.runForEach(() => Effect.sleep("2 seconds")),
            receipts.observe,
            Effect.provide([
              chunked(OpenAi, [[delta("It is"), delta(" 330 ")]]),
              ScriptedProvider.layer(Anthropic, () => that === anthropic ? other : ScriptedProvider.fail("Overloaded"))
            ]),
            Effect.exit,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("1 minute")
          const exit = yield* Fiber.join(fiber)
          if (name === "continue" && that === template) assert.strictEqual(interrupted(exit).partial, "It is 330 ")
          else assert.isTrue(Exit.isSuccess(exit))
        }
      }))
  }

  it.effect("is still watched after the break", () =>
    Effect.gen(function*() {
      const words = Array.from({ length: 20 }, (_, index) => `${index} `)
      const ran = yield* Run.parts(both.restart.pipe(Llm.timeout({ total: "5 seconds", idle: "2 seconds" })), {
        openai: [broken],
        anthropic: [ScriptedProvider.text(words, { between: "900 millis" })]
      })
      assert.strictEqual(ran.shown.slice(3).join(""), "0 1 2 3 4 ")
      assert.deepInclude(interrupted(ran.exit), { partial: "0 1 2 3 4 ", failure: "TimedOut total" })
    }))
})

describe("restart and continue", () => {
  it.effect("begins again where the text cannot be gone on with", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.continue(anthropic), Resume.restart(openai))
      const ran = yield* Run.parts(llm, {
        openai: [broken, other],
        anthropic: [ScriptedProvider.fail("InvalidRequest")]
      })
      assert.deepStrictEqual(ran.shown, ["It is", " 330 ", "<retract>", "330", " metres."])
      assert.deepStrictEqual(ran.receipt.attempts.map(({ outcome, provider }) => `${provider} ${outcome}`), [
        "openai StreamInterrupted",
        "anthropic InvalidRequest",
        "openai success"
      ])
      assert.deepStrictEqual(ran.receipt.events.map((event) => event.type), ["resume", "resume"])
      assert.strictEqual(ran.receipt.provider, "openai")
      // The other way round: what was begun again is gone on with, and only that.
      const around = openai.pipe(Resume.restart(openai), Resume.continue(anthropic))
      const again = yield* Run.parts(around, {
        openai: [broken, broken],
        anthropic: [ScriptedProvider.text("metres.")]
      })
      assert.deepStrictEqual(again.shown, ["It is", " 330 ", "<retract>", "It is", " 330 ", "metres."])
      assert.isTrue(Exit.isSuccess(again.exit))
    }))

  it.effect("go on with a text that was begun again, whatever stood in its place before", () =>
    Effect.gen(function*() {
      const called: ScriptedProvider.Step = {
        parts: [
          { type: "reasoning-start", id: "0" },
          { type: "tool-call", id: "call_1", name: "Clock", params: {} },
          delta("Well")
        ],
        ending: "cut"
      }
      const llm = openai.pipe(Resume.restart(openai), Resume.continue(anthropic))
      const ran = yield* Run.parts(llm, { openai: [called, broken], anthropic: [ScriptedProvider.text("metres.")] })
      assert.deepStrictEqual(ran.shown, ["Well", "<retract>", "It is", " 330 ", "metres."])
      assert.isTrue(Exit.isSuccess(ran.exit))
    }))

  it.effect("do not unsay, in going on with a text, what was delivered of it", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.continue(anthropic.pipe(Resume.restart(openai)), { times: 2 }))
      const ran = yield* Run.parts(llm, {
        openai: [broken],
        anthropic: [ScriptedProvider.breakOff("metres"), ScriptedProvider.text(" high.")]
      })
      assert.deepStrictEqual(ran.shown, ["It is", " 330 ", "metres", " high."])
      // And it is gone on with from one place only.
      const twice = openai.pipe(Resume.continue(anthropic.pipe(Resume.continue(openai))))
      const left = yield* Run.parts(twice, { openai: [broken], anthropic: [ScriptedProvider.breakOff("metres")] })
      assert.deepInclude(interrupted(left.exit), { provider: "anthropic", partial: "It is 330 metres" })
    }))

  it.effect("go on with whatever a fallback opens", () =>
    Effect.gen(function*() {
      for (const [name, seen] of [["restart", "330 metres."], ["continue", "It is 330  metres."]] as const) {
        const that = anthropic.pipe(Llm.orElse(groq))
        const stack = name === "restart" ? Resume.restart(openai, that) : Resume.continue(openai, that)
        const { calls, llm } = withGroq(stack, [
          name === "restart" ? other : ScriptedProvider.text("  metres.")
        ])
        const ran = yield* Run.parts(llm, { openai: [broken], anthropic: [ScriptedProvider.fail("Overloaded")] })
        assert.isTrue(Exit.isSuccess(ran.exit))
        assert.isTrue(ran.shown.join("").endsWith(seen))
        assert.strictEqual(calls.length, 1)
        assert.deepStrictEqual(ran.receipt.events.map((event) => event.type), ["resume", "fallback"])
        assert.strictEqual(ran.receipt.provider, "groq")
      }
    }))

  it.effect("have the time that is left of the deadline, not that of an opening long past", () =>
    Effect.gen(function*() {
      // A candidate of a fallback has until 7.5 s to open. Its answer breaks off after that.
      const stack = openai.pipe(
        Resume.restart(anthropic.pipe(Llm.orElse(openai))),
        Llm.orElse(groq),
        Llm.timeout({ total: "10 seconds" })
      )
      const { llm } = withGroq(stack, [])
      const ran = yield* Run.parts(llm, {
        openai: [ScriptedProvider.breakOff(["a", "b"], "cut", { delay: second, between: "4 seconds" }), other],
        anthropic: [ScriptedProvider.fail("Overloaded")]
      })
      assert.isAbove(ran.receipt.events[0]!.atMillis, 7_500)
      assert.deepStrictEqual(ran.shown, ["a", "b", "<retract>", "330", " metres."])
    }))

  it.effect("end well inside and around a demand for whole answers", () =>
    Effect.gen(function*() {
      const truncated = ScriptedProvider.text(["330", " metres"], { finishReason: "length" })
      const around = yield* Run.parts(Llm.whole(both.restart), { openai: [broken], anthropic: [truncated] })
      assert.deepInclude(interrupted(around.exit), {
        provider: "anthropic",
        partial: "330 metres",
        reason: "truncated"
      })
      assert.deepStrictEqual(around.shown, ["It is", " 330 ", "<retract>", "330", " metres"])
      const continued = yield* Run.parts(Llm.whole(both.continue), {
        openai: [broken],
        anthropic: [ScriptedProvider.text(["It is 330", " metres"], { finishReason: "length" })]
      })
      assert.deepInclude(interrupted(continued.exit), { partial: "It is 330 metres", reason: "truncated" })
    }))

  it.effect("say so where a hedge stands around them", () =>
    Effect.gen(function*() {
      const template = Resume.restart(openai, anthropic.pipe(Llm.orElseSucceed(() => "No answer today.")))
      // What a hedge does: the call goes on in a branch of its receipt.
      const llm = Llm.make({
        plan: template.plan,
        open: (call) => {
          const recorder = call.recorder.branch()
          return Effect.map(template.open({ ...call, recorder }), (opened) => {
            call.recorder.adopt(recorder)
            return opened
          })
        }
      })
      const ran = yield* Run.parts(llm, { openai: [broken], anthropic: [ScriptedProvider.fail("Overloaded")] })
      assert.isTrue(ran.receipt.degraded)
      const served = yield* Run.parts(llm, { openai: [broken], anthropic: [other] })
      assert.strictEqual(served.receipt.provider, "anthropic")
      assert.isFalse(served.receipt.degraded)
    }))
})

describe("whoever leaves", () => {
  const slow = { delay: second, between: second } as const
  // One part a second: "a" at 2 s, "b" at 3 s, a break; then the same again, from 5 s on.
  const first = ScriptedProvider.breakOff(["a", "b"], "cut", slow)
  const next = ScriptedProvider.text(["c", "d"], slow)

  for (const [name, llm] of Object.entries(both)) {
    for (
      const [stage, at] of [["the first answer", 2_500], ["its opening anew", 3_500], [
        "the second answer",
        5_500
      ]] as const
    ) {
      it.effect(`${name}: in the middle of ${stage} leaves nothing behind`, () =>
        Effect.gen(function*() {
          const probe = yield* makeProbe
          const receipts = makeReceipts()
          const openAi = ScriptedProvider.make(OpenAi, [first])
          const anthropicAi = ScriptedProvider.make(Anthropic, [next])
          const fiber = yield* collect(Llm.streamText(llm.pipe(Llm.timeout({ total: "1 hour" })), question)).pipe(
            receipts.observe,
            Effect.provide([openAi.layer, anthropicAi.layer]),
            probe.watch,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(at)
          assert.isUndefined(fiber.pollUnsafe())
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(probe.timers() + probe.fibers(), 0)
          const outcomes = [...Run.outcomes(openAi.calls), ...Run.outcomes(anthropicAi.calls)]
          assert.deepStrictEqual(
            outcomes,
            stage === "the first answer" ? ["interrupted"] : ["StreamInterrupted", "interrupted"]
          )
          assert.strictEqual(receipts.one().outcome, "interrupted")
          assert.strictEqual(receipts.one().attempts.at(-1)?.outcome, "interrupted")
        }))
    }

    it.effect(`${name}: and stops reading, closes the answer that it was reading`, () =>
      Effect.gen(function*() {
        const probe = yield* makeProbe
        const openAi = ScriptedProvider.make(OpenAi, [ScriptedProvider.breakOff(["a", "b"])])
        const anthropicAi = ScriptedProvider.make(Anthropic, [ScriptedProvider.text(["c", "d"], { between: second })])
        const fiber = yield* Llm.streamText(llm, question).pipe(
          Stream.takeUntil((part) => part.type === "text-delta" && part.delta === "c"),
          Stream.runDrain,
          Effect.provide([openAi.layer, anthropicAi.layer]),
          probe.watch,
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(Run.outcomes(anthropicAi.calls), ["interrupted"])
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
      }))
  }
})
