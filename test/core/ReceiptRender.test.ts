import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { Llm, Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

/** The receipt of a call, in print. */
const printed = <E>(llm: Llm.Llm<E, OpenAi | Anthropic>, steps: {
  readonly openai?: ReadonlyArray<ScriptedProvider.Step>
  readonly anthropic?: ReadonlyArray<ScriptedProvider.Step>
}) =>
  Effect.gen(function*() {
    const receipts = makeReceipts()
    const fiber = yield* Llm.generateText(llm, question).pipe(
      receipts.observe,
      Effect.provide([
        ScriptedProvider.layer(OpenAi, steps.openai ?? []),
        ScriptedProvider.layer(Anthropic, steps.anthropic ?? [])
      ]),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    yield* Fiber.await(fiber)
    return Receipt.render(receipts.one()).split("\n")
  })

describe("Receipt.render", () => {
  it.effect("prints attempts and decisions in the order in which they happened", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(
        Llm.timeout({ firstPart: "5 seconds" }),
        Llm.retry(Schedule.spaced("1500 millis").pipe(Schedule.upTo({ times: 2 }))),
        Llm.orElse(anthropic)
      )
      assert.deepStrictEqual(
        yield* printed(llm, {
          openai: [
            ScriptedProvider.fail("RateLimited", { delay: "250 millis" }),
            ScriptedProvider.silence,
            ScriptedProvider.fail("Overloaded")
          ],
          anthropic: [ScriptedProvider.text("330 m", { delay: "1 second" })]
        }),
        [
          "at      attempt                     outcome      took    tokens",
          "─".repeat(69),
          "0.00 s  openai/gpt-5-mini           RateLimited  0.25 s",
          "0.25 s    RateLimited: retry after 1.50 s",
          "1.75 s  openai/gpt-5-mini           TimedOut     5.00 s",
          "6.75 s    stop waiting (firstPart)",
          "6.75 s    TimedOut: retry after 1.50 s",
          "8.25 s  openai/gpt-5-mini           Overloaded   0.00 s",
          "8.25 s    Overloaded: ask the next model",
          "8.25 s  anthropic/claude-haiku-4-5  success      1.00 s  10 in, 1 out",
          "─".repeat(69),
          "total   anthropic/claude-haiku-4-5  success      9.25 s  10 in, 1 out"
        ]
      )
    }))

  it.effect("says when the answer came from no model", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* printed(openai.pipe(Llm.orElseSucceed(() => "no answer today")), {
          openai: [ScriptedProvider.fail("QuotaExhausted")]
        }),
        [
          "at      attempt            outcome         took    tokens",
          "─".repeat(62),
          "0.00 s  openai/gpt-5-mini  QuotaExhausted  0.00 s",
          "0.00 s    QuotaExhausted: answer without a model",
          "─".repeat(62),
          "total   no model           success         0.00 s  0 in, 0 out"
        ]
      )
    }))

  it.effect("prints a decision between two attempts of the same instant between them", () =>
    Effect.gen(function*() {
      const lines = yield* printed(openai.pipe(Llm.retry(Schedule.recurs(2))), {
        openai: [
          ScriptedProvider.fail("Overloaded"),
          ScriptedProvider.fail("ServerError"),
          ScriptedProvider.fail("InvalidRequest")
        ]
      })
      assert.deepStrictEqual(lines.slice(2, -2).map((line) => line.trim().split(/ {2,}/).at(-1)), [
        "0.00 s",
        "Overloaded: retry after 0.00 s",
        "0.00 s",
        "ServerError: retry after 0.00 s",
        "0.00 s"
      ])
      assert.match(lines.at(-1) ?? "", /^total +InvalidRequest +0\.00 s +0 in, 0 out$/)
    }))

  it.effect("prints a limit that passed and what was done about it in one go", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.timeout({ firstPart: "5 seconds" }), Llm.retry(Schedule.recurs(1)))
      const lines = yield* printed(llm, { openai: [ScriptedProvider.silence, ScriptedProvider.text("330 m")] })
      assert.deepStrictEqual(lines.slice(2, -2).map((line) => line.replaceAll(/ +/g, " ")), [
        "0.00 s openai/gpt-5-mini TimedOut 5.00 s",
        "5.00 s stop waiting (firstPart)",
        "5.00 s TimedOut: retry after 0.00 s",
        "5.00 s openai/gpt-5-mini success 0.00 s 10 in, 1 out"
      ])
    }))

  it("prints a call that never reached a provider", () => {
    const lines = Receipt.render({
      operationId: "op_0",
      attribution: {},
      startedAt: 0,
      outcome: "interrupted",
      degraded: false,
      attempts: [],
      events: [],
      usage: { inputUncached: 0, inputCacheRead: 0, inputCacheWrite: 0, outputText: 0, outputReasoning: 0 },
      timings: { totalMillis: 1_234 }
    }).split("\n")
    assert.strictEqual(lines.length, 4)
    assert.match(lines[3] ?? "", /^total +interrupted +1\.23 s +0 in, 0 out$/)
  })
})
