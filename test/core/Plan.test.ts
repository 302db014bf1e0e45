import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Llm, type LlmError, Plan, Retry } from "effect-bulwark"
import { anthropic, openai } from "./support/stack.ts"

const twice = Schedule.recurs(2)

describe("Plan.render", () => {
  it("prints a stack as a tree, outermost policy first", () => {
    const llm = openai.pipe(
      Llm.timeout({ firstPart: "8 seconds", idle: "15 seconds" }),
      Llm.retry(Retry.transient),
      Llm.orElse(anthropic.pipe(Llm.retry(Schedule.recurs(1)), Llm.whole)),
      Llm.orElseSucceed(() => ""),
      Llm.timeout({ total: "1 minute" })
    )
    assert.strictEqual(
      Plan.render(llm.plan),
      [
        "timeout total 1m",
        "└─ orElseSucceed",
        "   └─ orElse",
        "      ├─ retry up to 2 times",
        "      │  └─ timeout first part 8s, idle 15s",
        "      │     └─ openai/gpt-5-mini",
        "      └─ whole",
        "         └─ retry up to 1 time",
        "            └─ anthropic/claude-haiku-4-5"
      ].join("\n")
    )
    assert.strictEqual(String(llm), Plan.render(llm.plan))
    assert.deepStrictEqual(JSON.parse(JSON.stringify(llm)).plan, llm.plan)
  })

  it("says what has no bound, and what depends on the attempt", () => {
    assert.strictEqual(
      String(openai.pipe(Llm.timeout({ firstPart: Schedule.exponential("1 second") }), Llm.retry(Schedule.forever))),
      "retry without bound\n└─ timeout first part by attempt\n   └─ openai/gpt-5-mini"
    )
  })

  it("prints a model by itself", () => {
    assert.strictEqual(String(openai), "openai/gpt-5-mini")
  })
})

describe("Plan.worstCase", () => {
  const worst = (llm: Llm.Any) => Plan.worstCase(llm.plan)

  it("counts the first call and its retries", () => {
    assert.strictEqual(worst(openai), 1)
    assert.strictEqual(worst(openai.pipe(Llm.retry(Schedule.recurs(0)))), 1)
    assert.strictEqual(worst(openai.pipe(Llm.retry(twice))), 3)
    assert.strictEqual(worst(openai.pipe(Llm.retry(Retry.transient))), 3)
  })

  it("multiplies retries around each other", () => {
    assert.strictEqual(worst(openai.pipe(Llm.retry(twice), Llm.retry(Schedule.recurs(4)))), 15)
  })

  it("adds up the models of a fallback", () => {
    assert.strictEqual(worst(openai.pipe(Llm.retry(twice), Llm.orElse(anthropic))), 4)
    assert.strictEqual(worst(openai.pipe(Llm.orElse(anthropic), Llm.retry(twice))), 6)
    assert.strictEqual(worst(openai.pipe(Llm.orElse(anthropic), Llm.orElse(openai))), 3)
  })

  it("is not changed by limits, demands and answers without a model", () => {
    const llm = openai.pipe(
      Llm.retry(twice),
      Llm.timeout({ total: "1 second" }),
      Llm.whole,
      Llm.orElseSucceed(() => ""),
      Llm.withSettings({ seed: 1 })
    )
    assert.strictEqual(worst(llm), 3)
  })

  it("is infinite where nothing bounds the retries", () => {
    assert.strictEqual(worst(openai.pipe(Llm.retry(Schedule.forever))), Infinity)
    assert.strictEqual(worst(openai.pipe(Llm.retry(Schedule.exponential("1 second")))), Infinity)
    assert.strictEqual(worst(openai.pipe(Llm.retry(Schedule.forever), Llm.orElse(anthropic))), Infinity)
  })

  it("counts what fits into a duration", () => {
    const spaced = Schedule.spaced("1 second").pipe(Schedule.upTo({ duration: "10 seconds" }))
    assert.isTrue(worst(openai.pipe(Llm.retry(spaced))) >= 11)
    assert.isTrue(worst(openai.pipe(Llm.retry(spaced))) <= 12)
  })

  it("is infinite where only a real call can tell", () => {
    const byError = Schedule.recurs(3).pipe(
      Schedule.setInputType<LlmError.ProviderError>(),
      Schedule.while(({ input }) => input._tag === "Overloaded")
    )
    assert.strictEqual(worst(openai.pipe(Llm.retry(byError))), Infinity)
    const byGuard = Schedule.recurs(3).pipe(
      Schedule.setInputType<LlmError.ProviderError>(),
      Schedule.while(({ input }) => "retryAfter" in input)
    )
    assert.strictEqual(worst(openai.pipe(Llm.retry(byGuard))), Infinity)
    const failing = Schedule.recurs(3).pipe(Schedule.tap(() => Effect.fail("no" as const)))
    assert.strictEqual(worst(openai.pipe(Llm.retry(failing))), Infinity)
    const asynchronous = Schedule.recurs(3).pipe(
      Schedule.tap(() => Effect.andThen(Effect.sleep(1), Clock.currentTimeMillis))
    )
    assert.strictEqual(worst(openai.pipe(Llm.retry(asynchronous))), Infinity)
  })

  it("counts the policies of others by what they declare", () => {
    const custom = Plan.policy("mine", { repeats: 4, children: [openai.plan, anthropic.plan] })
    assert.strictEqual(Plan.worstCase(custom), 8)
    // Nothing to call is nothing, however often.
    assert.strictEqual(Plan.worstCase(Plan.policy("mine", { repeats: Infinity, children: [] })), 0)
  })
})
