/**
 * Every ordered pair of policies, on one bad day: how many requests leave, and what the caller gets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule } from "effect"
import { Llm, type LlmError, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

type Failure = LlmError.ProviderError | LlmError.TimedOut
type Stack = Llm.Llm<Failure, OpenAi | Anthropic>

// Each policy in its plainest form; types are widened, since here only the counts matter.
const policies = {
  retry: (self: Stack): Stack => Llm.retry(self, Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))),
  timeout: (self: Stack): Stack => Llm.timeout(self, { firstPart: "10 seconds" }),
  orElse: (self: Stack): Stack => Llm.orElse(self, anthropic),
  orElseSucceed: (self: Stack): Stack => Llm.orElseSucceed(self, (error) => `no answer: ${error._tag}`)
}

interface Pinned {
  /** Requests to the first provider, when it is overloaded for ever. */
  readonly overloaded: number
  /** Requests to the first provider, when it is silent for ever. */
  readonly silent: number
  /** Requests to the second provider in either case, which answers. */
  readonly second: readonly [overloaded: number, silent: number]
  /** What the caller has in the end. */
  readonly ends: readonly [overloaded: string, silent: string]
}

const never = "still waiting"
const degraded = (tag: string) => `no answer: ${tag}`

// Read `inner > outer`: the policy that is applied first stands inside.
const pinned: Record<string, Pinned> = {
  "retry > timeout": { overloaded: 3, silent: 1, second: [0, 0], ends: ["Overloaded", "TimedOut"] },
  "retry > orElse": { overloaded: 3, silent: 1, second: [1, 0], ends: ["Bonjour", never] },
  "retry > orElseSucceed": { overloaded: 3, silent: 1, second: [0, 0], ends: [degraded("Overloaded"), never] },
  "retry > retry": { overloaded: 9, silent: 1, second: [0, 0], ends: ["Overloaded", never] },
  "timeout > retry": { overloaded: 3, silent: 3, second: [0, 0], ends: ["Overloaded", "TimedOut"] },
  "timeout > orElse": { overloaded: 1, silent: 1, second: [1, 1], ends: ["Bonjour", "Bonjour"] },
  "timeout > orElseSucceed": {
    overloaded: 1,
    silent: 1,
    second: [0, 0],
    ends: [degraded("Overloaded"), degraded("TimedOut")]
  },
  "timeout > timeout": { overloaded: 1, silent: 1, second: [0, 0], ends: ["Overloaded", "TimedOut"] },
  "orElse > retry": { overloaded: 1, silent: 1, second: [1, 0], ends: ["Bonjour", never] },
  // The limit is around both: the silent one leaves the other no time.
  "orElse > timeout": { overloaded: 1, silent: 1, second: [1, 0], ends: ["Bonjour", "TimedOut"] },
  "orElse > orElse": { overloaded: 1, silent: 1, second: [1, 0], ends: ["Bonjour", never] },
  "orElse > orElseSucceed": { overloaded: 1, silent: 1, second: [1, 0], ends: ["Bonjour", never] },
  // There is nothing left to retry, to wait for or to fall back from.
  "orElseSucceed > retry": { overloaded: 1, silent: 1, second: [0, 0], ends: [degraded("Overloaded"), never] },
  "orElseSucceed > timeout": { overloaded: 1, silent: 1, second: [0, 0], ends: [degraded("Overloaded"), "TimedOut"] },
  "orElseSucceed > orElse": { overloaded: 1, silent: 1, second: [0, 0], ends: [degraded("Overloaded"), never] },
  "orElseSucceed > orElseSucceed": {
    overloaded: 1,
    silent: 1,
    second: [0, 0],
    ends: [degraded("Overloaded"), never]
  }
}

const run = (stack: Stack, step: ScriptedProvider.Step) =>
  Effect.gen(function*() {
    const probe = yield* makeProbe
    const receipts = makeReceipts()
    const first = ScriptedProvider.make(OpenAi, () => step)
    const second = ScriptedProvider.make(Anthropic, () => ScriptedProvider.text("Bonjour"))
    const fiber = yield* Llm.generateText(stack, question).pipe(
      receipts.observe,
      Effect.provide([first.layer, second.layer]),
      probe.watch,
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    const exit = fiber.pollUnsafe()
    if (exit === undefined) yield* Fiber.interrupt(fiber)
    const receipt = receipts.only()
    return {
      first: first.calls.length,
      second: second.calls.length,
      end: exit === undefined
        ? never
        : Exit.isSuccess(exit)
        ? exit.value.text
        : receipt.outcome,
      attempts: receipt.attempts.length,
      degraded: receipt.degraded,
      left: probe.timers() + probe.fibers()
    }
  })

describe("each policy inside each other", () => {
  const names = Object.keys(policies) as Array<keyof typeof policies>
  for (const inner of names) {
    for (const outer of names) {
      const name = `${inner} > ${outer}`
      const stack = policies[outer](policies[inner](openai))
      it.effect(name, () =>
        Effect.gen(function*() {
          const expected = pinned[name]!
          const overloaded = yield* run(stack, ScriptedProvider.fail("Overloaded"))
          const silent = yield* run(stack, ScriptedProvider.silence)
          assert.deepStrictEqual(
            {
              overloaded: overloaded.first,
              silent: silent.first,
              second: [overloaded.second, silent.second],
              ends: [overloaded.end, silent.end]
            },
            { ...expected, second: [...expected.second], ends: [...expected.ends] }
          )
          // The receipt knows of every request, and nothing is left running.
          assert.strictEqual(overloaded.attempts, overloaded.first + overloaded.second)
          assert.strictEqual(silent.attempts, silent.first + silent.second)
          assert.strictEqual(overloaded.degraded, overloaded.end.startsWith("no answer"))
          assert.strictEqual(overloaded.left + silent.left, 0)
          // The plan had said how many there could be.
          assert.isAtMost(overloaded.attempts, Plan.worstCase(stack.plan))
          assert.isAtMost(silent.attempts, Plan.worstCase(stack.plan))
        }))
    }
  }

  it("leaves no pair out", () => {
    assert.deepStrictEqual(
      Object.keys(pinned).toSorted(),
      names.flatMap((inner) => names.map((outer) => `${inner} > ${outer}`)).toSorted()
    )
  })
})
