import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { Call, Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Tool, Toolkit } from "effect/ai"
import { OpenAi, question } from "./support/stack.ts"

/** The settings that the provider gets. */
const sent = <E>(run: Effect.Effect<unknown, E, OpenAi>, answer = ScriptedProvider.text("{}")) =>
  Effect.gen(function*() {
    const provider = ScriptedProvider.make(OpenAi, [answer])
    yield* Effect.provide(run, provider.layer)
    assert.strictEqual(provider.calls.length, 1)
    return provider.calls[0]?.request.settings
  })

const llm = Llm.model(OpenAi, "gpt-5-mini", {
  temperature: 0.1,
  topP: 0.1,
  seed: 1,
  maxOutputTokens: 1,
  extra: { a: "model", b: "model", c: "model" }
}).pipe(
  Llm.withSettings({ topP: 0.2, seed: 2, maxOutputTokens: 2, extra: { b: "inner", c: "inner" } }),
  Llm.withSettings({ seed: 3, maxOutputTokens: 3, extra: { c: "outer" } })
)

const settings = { maxOutputTokens: 4, stop: ["."], extra: { d: "call" } }

const merged = {
  temperature: 0.1,
  topP: 0.2,
  seed: 3,
  maxOutputTokens: 4,
  stop: ["."],
  extra: { a: "model", b: "inner", c: "outer", d: "call" }
}

const toolkit = Toolkit.make(Tool.make("Lookup", { success: Schema.String }))
const handlers = toolkit.toLayer({ Lookup: () => Effect.succeed("") })

describe("settings", () => {
  it.effect("win from the inside out: the model's, those around it, those of the call", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({})
      const runs = [
        Llm.generateText(llm, { ...question, settings }),
        Llm.generateObject(llm, { ...question, schema, settings }),
        Stream.runDrain(Llm.streamText(llm, { ...question, settings })),
        Effect.provide(Llm.generateText(llm, { ...question, toolkit, settings }), handlers),
        Effect.provide(Llm.generateObject(llm, { ...question, schema, toolkit, settings }), handlers),
        Effect.provide(Stream.runDrain(Llm.streamText(llm, { ...question, toolkit, settings })), handlers)
      ]
      for (const run of runs) assert.deepStrictEqual(yield* sent(run), merged)
    }))

  it.effect("that say undefined say nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* sent(Llm.generateText(llm, { ...question, settings: { seed: undefined, extra: undefined } })),
        { temperature: 0.1, topP: 0.2, seed: 3, maxOutputTokens: 3, extra: { a: "model", b: "inner", c: "outer" } }
      )
    }))

  it.effect("stay absent where nobody sets any", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent(Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), question)), {})
    }))

  it("merge without changing either", () => {
    const a: Call.Settings = { temperature: 1, extra: { x: 1, y: 1 } }
    const b: Call.Settings = { temperature: 0, topP: undefined, extra: { y: 2 } }
    assert.deepStrictEqual(Call.mergeSettings(a, b), { temperature: 0, extra: { x: 1, y: 2 } })
    assert.deepStrictEqual(a, { temperature: 1, extra: { x: 1, y: 1 } })
    assert.deepStrictEqual(b, { temperature: 0, topP: undefined, extra: { y: 2 } })
    assert.deepStrictEqual(Call.mergeSettings({}, b), { temperature: 0, extra: { y: 2 } })
    assert.deepStrictEqual(Call.mergeSettings(a, {}), a)
  })

  it.effect("around a stack reach each of its models, and add no node to the plan", () =>
    Effect.gen(function*() {
      const stack = Llm.model(OpenAi, "a").pipe(Llm.orElse(Llm.model(OpenAi, "b")), Llm.withSettings({ seed: 7 }))
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.fail("Overloaded"), ScriptedProvider.text("x")])
      yield* Effect.provide(Llm.generateText(stack, question), provider.layer)
      assert.deepStrictEqual(provider.calls.map((call) => [call.request.model, call.request.settings]), [
        ["a", { seed: 7 }],
        ["b", { seed: 7 }]
      ])
      assert.strictEqual(String(stack), "orElse\n├─ openai/a\n└─ openai/b")
    }))
})
