/**
 * Each policy, interrupted: while the call opens, while its answer flows, and as the loser of a hedge. It is no failure, the request
 * is cancelled, and nothing is left.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Breaker, Hedge, Limiter, Llm, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { permitsTaken, policies, policyNames, type Stack } from "./support/policies.ts"

const modes = {
  "a full answer": (llm: Stack) => Effect.asVoid(Llm.generateText(llm, question)),
  "a stream": (llm: Stack) => Stream.runDrain(Llm.streamText(llm, question))
}

// One failure would open a circuit.
const services = () =>
  Layer.mergeAll(
    Breaker.layerMemory({ trip: Breaker.consecutive(1) }),
    Limiter.layerMemory({ limits: { concurrency: 2 } }),
    RetryBudget.layerMemory()
  )

const run = (
  llm: Stack,
  call: (llm: Stack) => Effect.Effect<void, unknown, Llm.Services<Stack>>,
  script: ScriptedProvider.Script,
  leavesAfter: number | undefined
) =>
  Effect.gen(function*() {
    const probe = yield* makeProbe
    const receipts = makeReceipts()
    const first = ScriptedProvider.make(OpenAi, script)
    return yield* Effect.gen(function*() {
      const fiber = yield* call(llm).pipe(receipts.observe, probe.watch, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(leavesAfter ?? "1 minute")
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      const breaker = yield* Breaker.Breaker
      assert.strictEqual((yield* breaker.state("openai/gpt-5-mini"))._tag, "Closed")
      assert.strictEqual(yield* permitsTaken(llm), 0)
      assert.deepStrictEqual([probe.timers(), probe.fibers()], [0, 0])
      return { exit, receipt: receipts.one(), outcomes: first.calls.map((seen) => seen.outcome) }
    }).pipe(Effect.provide([
      services(),
      first.layer,
      ScriptedProvider.layer(Anthropic, () => ScriptedProvider.text("Bonjour"))
    ]))
  })

for (const [mode, call] of Object.entries(modes)) {
  describe(`interrupted, ${mode}`, () => {
    for (const name of policyNames) {
      const llm = policies[name](openai)

      it.effect(`${name}: at open`, () =>
        Effect.gen(function*() {
          const ran = yield* run(llm, call, () => ScriptedProvider.silence, 3_000)
          assert.isTrue(Exit.isFailure(ran.exit))
          assert.strictEqual(ran.receipt.outcome, "interrupted")
          assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["interrupted"])
          assert.deepStrictEqual(ran.outcomes, ["interrupted"])
        }))

      it.effect(`${name}: while the answer arrives`, () =>
        Effect.gen(function*() {
          const slow = ScriptedProvider.text(["a", "b", "c", "d"], { delay: "1 second", between: "1 second" })
          const ran = yield* run(llm, call, () => slow, 3_500)
          assert.strictEqual(ran.receipt.outcome, "interrupted")
          assert.deepStrictEqual(ran.outcomes, ["interrupted"])
        }))

      it.effect(`${name}: as the loser of a hedge`, () =>
        Effect.gen(function*() {
          const hedged = Hedge.hedge(llm, { after: "2 seconds", maxExtra: 1 })
          const ran = yield* run(
            hedged,
            call,
            (_, index) => index === 0 ? ScriptedProvider.silence : ScriptedProvider.text(["a", "b"]),
            undefined
          )
          assert.isTrue(Exit.isSuccess(ran.exit))
          assert.deepStrictEqual(ran.outcomes, ["interrupted", "success"])
          assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["interrupted", "success"])
          assert.deepStrictEqual([ran.receipt.outcome, ran.receipt.provider], ["success", "openai"])
        }))
    }
  })
}
