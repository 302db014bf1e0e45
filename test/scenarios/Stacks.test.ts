/**
 * Any stack of policies over any weather: what holds, whatever stands inside what.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Random, Schedule, Schema } from "effect"
import { Llm, type LlmError, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as Run from "../core/support/run.ts"
import { type Anthropic, anthropic, type OpenAi, openai } from "../core/support/stack.ts"

type Failure = LlmError.ProviderError | LlmError.TimedOut | LlmError.OutputTruncated
type Stack = Llm.Llm<Failure, OpenAi | Anthropic>

// Types are widened: here they are put together by chance.
const policies: Record<string, (self: Stack) => Stack> = {
  retry: (self) =>
    Llm.retry(self, Schedule.exponential("700 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))),
  retryAtOnce: (self) => Llm.retry(self, Schedule.recurs(1)),
  firstPart: (self) => Llm.timeout(self, { firstPart: "3 seconds" }),
  idle: (self) => Llm.timeout(self, { idle: "2 seconds" }),
  total: (self) => Llm.timeout(self, { total: "9 seconds" }),
  all: (self) => Llm.timeout(self, { firstPart: "4 seconds", idle: "1500 millis", total: "12 seconds" }),
  orElse: (self) => Llm.orElse(self, anthropic),
  whole: (self) => Llm.whole(self),
  settings: (self) => Llm.withSettings(self, { seed: 1 }),
  orElseSucceed: (self) => Llm.orElseSucceed(self, (error) => `nobody: ${error._tag}`)
}

const words = ["one ", "two ", "three"]

const weather: Record<string, ScriptedProvider.Step> = {
  fine: ScriptedProvider.text(words, { delay: "300 millis", between: "100 millis" }),
  atOnce: ScriptedProvider.text(words),
  slow: ScriptedProvider.text(words, { delay: "2 seconds", between: "1 second" }),
  longSilence: ScriptedProvider.text(words, { delay: "20 seconds" }),
  silence: ScriptedProvider.silence,
  overloaded: ScriptedProvider.fail("Overloaded", { delay: "50 millis" }),
  limited: ScriptedProvider.fail("RateLimited"),
  invalid: ScriptedProvider.fail("InvalidRequest"),
  noKey: ScriptedProvider.fail("AuthenticationFailed"),
  empty: ScriptedProvider.parts([]),
  cut: ScriptedProvider.breakOff(["one "], "cut", { between: "1 second" }),
  stall: ScriptedProvider.breakOff(["one ", "two "], "stall", { between: "1 second" }),
  broken: ScriptedProvider.breakOff(["one "], "ServerError"),
  truncated: ScriptedProvider.text(["one "], { finishReason: "length" }),
  filtered: ScriptedProvider.text(["one "], { finishReason: "content-filter" })
}

/** What breaks an answer after it has begun, which is where a stream and a full answer part ways. */
const breaksOff = new Set(["cut", "stall", "broken", "truncated", "filtered"])

const names = <A>(record: Record<string, A>) => Schema.Literals(Object.keys(record) as [string, ...Array<string>])

const day = Arbitrary.all({
  policies: Arbitrary.array(Arbitrary.schema(names(policies)), { maxLength: 6 }),
  openai: Arbitrary.array(Arbitrary.schema(names(weather)), { minLength: 1, maxLength: 4 }),
  anthropic: Arbitrary.array(Arbitrary.schema(names(weather)), { minLength: 1, maxLength: 2 })
})

const stackOf = (list: ReadonlyArray<string>) => list.reduce((stack, name) => policies[name]!(stack), openai as Stack)

const scriptOf = (list: ReadonlyArray<string>) => (_: unknown, index: number) => weather[list[index % list.length]!]!

/** A run that knows nothing of the ones before: a clock and a seed of its own. */
const afresh = <A, E>(run: Effect.Effect<A, E>) => Effect.provide(Random.withSeed(run, "the same"), TestClock.layer())

const options = { arbitrary: { runs: 400 }, timeout: 60_000 }

describe("any stack of policies", () => {
  it.effect.prop(
    "sends what its plan allows, tells of all of it, and leaves nothing behind",
    [day],
    ([day]) =>
      Effect.gen(function*() {
        const stack = stackOf(day.policies)
        const scripts = { openai: scriptOf(day.openai), anthropic: scriptOf(day.anthropic) }
        const slowly = (stack: Stack, scripts: Run.Scripts) =>
          Run.stream(stack, scripts, () => Effect.sleep("2500 millis"))
        for (const run of [Run.text, Run.stream, slowly]) {
          const ran = yield* run(stack, scripts)
          const { attempts, outcome, timings } = ran.receipt
          assert.isAtMost(attempts.length, Plan.worstCase(stack.plan))
          // Every request is in the receipt, with how it ended, and none runs on.
          assert.strictEqual(attempts.length, ran.openai.length + ran.anthropic.length)
          assert.notInclude([...Run.outcomes(ran.openai), ...Run.outcomes(ran.anthropic)], undefined)
          assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
          // They follow one another: the next begins when the one before is over.
          for (const [index, attempt] of attempts.entries()) {
            const before = attempts[index - 1]
            if (before !== undefined) assert.isAtLeast(attempt.startMillis, before.startMillis + before.durationMillis)
            assert.isAtMost(attempt.startMillis + attempt.durationMillis, timings.totalMillis)
          }
          // The receipt and the caller were told the same.
          assert.strictEqual(outcome === "success", Exit.isSuccess(ran.exit))
          // The limit of the whole holds; but a reader who is in the midst of a word is not torn from it.
          if (day.policies.at(-1) === "total") assert.isAtMost(timings.totalMillis, run === slowly ? 11_500 : 9_000)
        }
      }),
    options
  )

  it.effect.prop(
    "does the same for a stream as for a full answer, until the answer has begun",
    [day],
    ([day]) =>
      Effect.gen(function*() {
        const stack = stackOf(day.policies)
        const steady = (list: ReadonlyArray<string>) => list.map((name) => breaksOff.has(name) ? "fine" : name)
        const scripts = { openai: scriptOf(steady(day.openai)), anthropic: scriptOf(steady(day.anthropic)) }
        const full = yield* afresh(Run.text(stack, scripts))
        const stream = yield* afresh(Run.stream(stack, scripts))
        // A limit on a full answer that came in one piece could not have seen its parts: its end is where they differ.
        if (day.policies.some((name) => name === "total" || name === "all" || name === "idle")) return
        const summary = ({ receipt }: Run.Ran<unknown, unknown>) => [
          receipt.outcome,
          receipt.attempts.map((attempt) => [attempt.provider, attempt.outcome]),
          receipt.events.map((event) => [event.type, event.reason])
        ]
        assert.deepStrictEqual(summary(stream), summary(full))
        if (Exit.isSuccess(full.exit)) assert.strictEqual(stream.texts.join(""), full.exit.value)
      }),
    options
  )

  it.effect.prop(
    "hands on the words of one answer only, from the first to the last",
    [day],
    ([day]) =>
      Effect.gen(function*() {
        const ran = yield* Run.stream(stackOf(day.policies), {
          openai: scriptOf(day.openai),
          anthropic: scriptOf(day.anthropic)
        })
        const text = ran.texts.join("")
        assert.isTrue(words.join("").startsWith(text) || text.startsWith("nobody: "), text)
        if (Exit.isSuccess(ran.exit) && !ran.receipt.degraded && ran.receipt.finishReason === "stop") {
          assert.strictEqual(text, words.join(""))
        }
        // What has been read was read from the last attempt: nothing is asked once there are words.
        if (text !== "" && !ran.receipt.degraded) {
          const last = ran.receipt.attempts.at(-1)
          assert.isDefined(last?.firstPartMillis)
          for (const before of ran.receipt.attempts.slice(0, -1)) assert.isUndefined(before.firstPartMillis)
        }
      }),
    options
  )

  it.effect.prop("does the same thing twice", [day], ([day]) =>
    Effect.gen(function*() {
      const stack = stackOf(day.policies)
      const scripts = { openai: scriptOf(day.openai), anthropic: scriptOf(day.anthropic) }
      for (const run of [Run.text, Run.stream]) {
        const first = yield* afresh(run(stack, scripts))
        const second = yield* afresh(run(stack, scripts))
        assert.deepStrictEqual(second.receipt, first.receipt)
      }
    }), options)

  it.effect.prop(
    "never fails where an answer without a model is outermost, until one has begun",
    [day],
    ([day]) =>
      Effect.gen(function*() {
        const stack = Llm.orElseSucceed(stackOf(day.policies), (error) => `nobody: ${error._tag}`)
        const scripts = { openai: scriptOf(day.openai), anthropic: scriptOf(day.anthropic) }
        const full = yield* Run.text(stack, scripts)
        assert.include(["success", "interrupted"], full.receipt.outcome)
        const stream = yield* Run.stream(stack, scripts)
        assert.include(["success", "interrupted", "StreamInterrupted"], stream.receipt.outcome)
        assert.isFalse(stream.receipt.outcome === "StreamInterrupted" && stream.texts.length === 0)
      }),
    options
  )
})

describe("the plan's count", () => {
  it.effect("is reached when all fails", () =>
    Effect.gen(function*() {
      const twice = Schedule.recurs(2)
      const stacks: Array<Llm.Llm<Failure, OpenAi | Anthropic>> = [
        openai,
        openai.pipe(Llm.retry(twice)),
        openai.pipe(Llm.retry(twice), Llm.orElse(anthropic.pipe(Llm.retry(Schedule.recurs(4))))),
        openai.pipe(Llm.retry(twice), Llm.orElse(anthropic), Llm.retry(twice), Llm.timeout({ total: "1 minute" })),
        openai.pipe(Llm.retry(twice), Llm.retry(twice), Llm.whole, Llm.retry(twice))
      ]
      for (const stack of stacks) {
        const overloaded = () => ScriptedProvider.fail("Overloaded")
        for (const run of [Run.text, Run.stream]) {
          const ran = yield* run(stack, { openai: overloaded, anthropic: overloaded })
          assert.strictEqual(ran.receipt.attempts.length, Plan.worstCase(stack.plan))
        }
      }
    }))
})
