/**
 * What must hold for every composition of policies, whatever the providers do: any stack of up to six policies, any script of up
 * to six steps, a stream or a full answer, read quickly, slowly, or given up.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Metric, Schema, Stream, Tracer } from "effect"
import { Llm, LlmError, Part, type Receipt } from "effect-bulwark"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, type Numbers, numbers, type Tree } from "../telemetry/support/recorded.ts"
import { permitsTaken, policies, policyNames, services, type Stack } from "./support/policies.ts"

const Behaviour = Schema.Literals([
  "answers",
  "answers slowly",
  "answers late",
  "fails",
  "is limited",
  "refuses",
  "does not understand",
  "is silent",
  "breaks off",
  "breaks off late",
  "stalls",
  "fails in mid-answer",
  "is truncated",
  "calls a tool and breaks off",
  "finishes without a word"
])

type Behaviour = typeof Behaviour.Type

const Recipe = Schema.Struct({
  policies: Schema.Array(Schema.Literals(policyNames as [typeof policyNames[number]])).check(Schema.isMaxLength(6)),
  openai: Schema.Array(Behaviour).check(Schema.isMaxLength(6)),
  anthropic: Schema.Array(Behaviour).check(Schema.isMaxLength(6)),
  mode: Schema.Literals(["whole", "stream"]),
  /** When the caller goes away, in seconds; not at all at 0. */
  leavesAfter: Schema.Literals([0, 0, 0, 1, 7, 12]),
  /** How long the reader takes for each part, in seconds. */
  reads: Schema.Literals([0, 0, 3])
})

const words = ["one ", "two ", "three ", "four "]

/** Each word says which answer it belongs to. */
const marked = (answer: string) => words.map((word) => `<${answer}>${word}`)

const stepOf = (behaviour: Behaviour, answer: string): ScriptedProvider.Step => {
  const text = marked(answer)
  switch (behaviour) {
    case "answers":
      return ScriptedProvider.text(text)
    case "answers slowly":
      return ScriptedProvider.text(text, { delay: "2 seconds", between: "2 seconds" })
    case "answers late":
      return ScriptedProvider.text(text, { delay: "8 seconds" })
    case "fails":
      return ScriptedProvider.fail("Overloaded", { delay: "1 second" })
    case "is limited":
      return ScriptedProvider.fail(new LlmError.RateLimited({}), { delay: "10 millis" })
    case "refuses":
      return ScriptedProvider.fail("ContentFiltered")
    case "does not understand":
      return ScriptedProvider.fail("InvalidRequest")
    case "is silent":
      return ScriptedProvider.silence
    case "breaks off":
      return ScriptedProvider.breakOff(text.slice(0, 2))
    case "breaks off late":
      return ScriptedProvider.breakOff(text.slice(0, 3), "cut", { delay: "1 second", between: "3 seconds" })
    case "stalls":
      return ScriptedProvider.breakOff(text.slice(0, 2), "stall", { between: "1 second" })
    case "fails in mid-answer":
      return ScriptedProvider.breakOff(text.slice(0, 1), "ServerError")
    case "is truncated":
      return ScriptedProvider.text(text, { finishReason: "length" })
    case "calls a tool and breaks off":
      return ScriptedProvider.parts([
        { type: "tool-params-start", id: "call_1", name: "Weather" },
        { type: "tool-params-delta", id: "call_1", delta: `{"city":` }
      ])
    case "finishes without a word":
      return ScriptedProvider.text([])
  }
}

const script = (provider: string, behaviours: ReadonlyArray<Behaviour>): ScriptedProvider.Script => (request, index) =>
  stepOf(
    behaviours[index] ?? "answers",
    `${provider}${index}${continues(request.prompt.content.at(-1)?.role) ? "+" : ""}`
  )

const continues = (role: string | undefined): boolean => role === "assistant"

const answersIn = (
  text: string
): ReadonlyArray<string> => [...new Set([...text.matchAll(/<(.*?)>/g)].map(([, id]) => id!))]

const run = (recipe: typeof Recipe.Type) =>
  Effect.gen(function*() {
    const probe = yield* makeProbe
    const receipts = makeReceipts()
    const telemetry = makeTracer()
    const first = ScriptedProvider.make(OpenAi, script("openai", recipe.openai))
    const second = ScriptedProvider.make(Anthropic, script("anthropic", recipe.anthropic))
    const llm = recipe.policies.reduce<Stack>((stack, name) => policies[name](stack), openai)
    const parts: Array<Part.Part> = []
    // What stands around a deadline is not bound by it.
    const deadline = recipe.policies.at(-1) === "total" ? 60_000 : Infinity
    return yield* Effect.gen(function*() {
      const call = recipe.mode === "whole"
        ? Effect.map(Llm.generateText(llm, question), (answer) => {
          parts.push(...Part.fromAnswer([{ type: "text", text: answer.text }]))
        })
        : Stream.runForEach(Llm.streamText(llm, question), (part) =>
          Effect.andThen(
            Effect.sync(() => parts.push(part as Part.Part)),
            recipe.reads === 0 ? Effect.void : Effect.sleep(recipe.reads * 1000)
          ))
      const fiber = yield* call.pipe(receipts.observe, probe.watch, Effect.forkChild({ startImmediately: true }))
      if (recipe.leavesAfter > 0) {
        yield* TestClock.adjust(recipe.leavesAfter * 1000)
        yield* Fiber.interrupt(fiber)
      }
      // By parts, so that whoever wakes can do what it woke for.
      for (let minute = 0; minute < 10; minute++) yield* TestClock.adjust("1 minute")
      // A stack without limits may wait for ever: that is what it was told.
      if (fiber.pollUnsafe() === undefined) yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      const receipt = receipts.one()
      const calls = [...first.calls, ...second.calls]
      const shown = Part.text(parts)

      // One answer: what is shown between two retractions comes from one request, or from one that was told to continue.
      for (const segment of segments(parts)) {
        const answers = answersIn(Part.text(segment)).filter((answer) => !answer.endsWith("+"))
        assert.isTrue(answers.length <= 1, `two answers in one: ${answers.join(", ")}`)
      }
      // Nothing is said twice.
      const said = shown.replaceAll(/<.*?>/g, "")
      for (const word of words) {
        assert.isTrue(said.split(word).length <= 2 || recipe.policies.includes("continue"), `said twice: ${shown}`)
      }
      // What is served as whole is whole.
      if (Exit.isSuccess(exit) && recipe.mode === "whole" && answersIn(shown).length > 0) {
        assert.strictEqual(said, words.join(""))
      }
      // Nothing is sent after the deadline, nothing lasts longer, and whatever was sent has ended.
      for (const sent of calls) assert.isTrue(sent.at < deadline, `sent at ${sent.at}`)
      if (recipe.reads === 0) {
        assert.isTrue(
          receipt.timings.totalMillis <= deadline + 50 || deadline === Infinity,
          `it took ${receipt.timings.totalMillis}`
        )
      }
      assert.isTrue(calls.every((sent) => sent.outcome !== undefined))
      // The receipt has every request.
      assert.strictEqual(receipt.attempts.length, calls.length)
      assert.isTrue(receipt.attempts.every((attempt) => attempt.outcome !== undefined))
      // No request after the first content, unless to go on from there.
      if (recipe.mode === "stream" && parts.length > 0 && !receipt.events.some((event) => event.type === "resume")) {
        assert.isFalse(parts.some((part) => part.type === "retract"))
      }
      // Telemetry says what the receipt says, once, and all of it is over.
      told(receipt, telemetry.trees(), yield* numbers)
      // Nothing is left behind.
      assert.strictEqual(yield* permitsTaken(llm), 0)
      assert.deepStrictEqual([probe.timers(), probe.fibers()], [0, 0])
    }).pipe(
      Effect.provide([services(), first.layer, second.layer, Telemetry.layer()]),
      Effect.provideService(Tracer.Tracer, telemetry.tracer),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

const told = (receipt: Receipt.Receipt, trees: ReadonlyArray<Tree>, counted: Numbers): void => {
  const operation = trees.find(({ span }) => span.startsWith("chat "))
  if (operation === undefined || trees.length !== 1) return assert.fail(`${trees.length} spans hang from none`)
  const attempts = operation.below
  for (const { attributes, from, to } of [operation, ...attempts]) {
    assert.isNumber(to, "a span is still open")
    assert.isAtLeast(from, operation.from)
    assert.isAtMost(Number(to), Number(operation.to))
    assert.isDefined(attributes["bulwark.outcome"])
  }
  assert.strictEqual(operation.attributes["bulwark.outcome"], receipt.outcome)
  assert.deepStrictEqual(
    attempts.map(({ attributes }) => attributes["bulwark.outcome"]),
    receipt.attempts.map(({ outcome }) => outcome)
  )
  assert.deepStrictEqual(
    attempts.map(({ from, to }) => [from, Number(to) - from]),
    receipt.attempts.map(({ durationMillis, startMillis }) => [receipt.startedAt + startMillis, durationMillis])
  )
  const decisions = receipt.events.map(({ type }) => `bulwark.${type}`)
  assert.deepStrictEqual(
    operation.events.map(([name]) => name).filter((name) => decisions.includes(name)),
    decisions
  )
  const total = (name: string): number =>
    Object.entries(counted)
      .filter(([series]) => series === name || series.startsWith(`${name}{`))
      .reduce((sum, [, value]) => sum + (typeof value === "number" ? value : value[0]), 0)
  assert.strictEqual(total("llm_attempts_total"), receipt.attempts.length)
  assert.strictEqual(total("gen_ai.client.operation.duration"), receipt.attempts.length)
  assert.strictEqual(total("llm_request_duration_seconds"), 1)
  assert.strictEqual(total("llm_policy_events_total"), receipt.events.length)
  assert.strictEqual(total("llm_retries_total"), receipt.events.filter(({ type }) => type === "retry").length)
  for (const gauge of ["llm_requests_in_flight", "llm_attempts_in_flight", "llm_queue_depth"]) {
    assert.strictEqual(total(gauge), 0, gauge)
  }
}

/** What lies between two retractions, the retracted among it. */
const segments = (parts: ReadonlyArray<Part.Part>): ReadonlyArray<ReadonlyArray<Part.Part>> => {
  const all: Array<Array<Part.Part>> = [[]]
  for (const part of parts) {
    if (part.type === "retract") all.push([])
    else all.at(-1)!.push(part)
  }
  return all
}

describe("every composition of policies", () => {
  it.effect.prop(
    "keeps to what it promises",
    [Arbitrary.schema(Recipe)],
    ([recipe]) => run(recipe),
    { timeout: 120_000, arbitrary: { runs: 3_000 } }
  )
})
