import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Fallback, Llm, Part } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const

const small = { llm: openai, quality: 0.6, price: 1 }
const large = { llm: anthropic, quality: 0.9, price: 10 }
// In whichever order they are given.
const llm = Fallback.cascade([large, small])

const good = ScriptedProvider.text("330 m")
const better = ScriptedProvider.text("330.0 m")
const refusal = ScriptedProvider.text("I'm sorry, but I can't help with that.")
const empty = ScriptedProvider.text([])

for (const [kind, run] of Object.entries(kinds)) {
  describe(`cascade: ${kind}`, () => {
    it.effect("asks the cheapest", () =>
      Effect.gen(function*() {
        const ran = yield* run(llm, { openai: [good] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
        assert.deepStrictEqual([ran.openai.length, ran.anthropic.length], [1, 0])
        assert.deepStrictEqual(ran.receipt.events, [])
        assert.strictEqual(ran.receipt.provider, "openai")
      }))

    for (const [reason, step] of Object.entries({ refusal, empty })) {
      it.effect(`asks a better one after an answer that is ${reason}`, () =>
        Effect.gen(function*() {
          const ran = yield* run(llm, { openai: [step], anthropic: [better] })
          assert.deepStrictEqual(ran.exit, Exit.succeed("330.0 m"))
          assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [["escalate", reason]])
          assert.strictEqual(ran.receipt.provider, "anthropic")
          // What would not do was paid for all the same.
          assert.strictEqual(ran.receipt.attempts[0]?.outcome, "success")
          assert.strictEqual(ran.receipt.usage.inputUncached, 20)
        }))
    }

    it.effect("asks a better one after a failure that it may not have", () =>
      Effect.gen(function*() {
        const ran = yield* run(llm, { openai: [ScriptedProvider.fail("Overloaded")], anthropic: [better] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("330.0 m"))
        assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [[
          "escalate",
          "Overloaded"
        ]])
      }))

    it.effect("leaves an invalid request to the caller", () =>
      Effect.gen(function*() {
        const ran = yield* run(llm, { openai: [ScriptedProvider.fail("InvalidRequest")] })
        assert.strictEqual(ran.receipt.outcome, "InvalidRequest")
        assert.strictEqual(ran.anthropic.length, 0)
      }))

    it.effect("begins with the quality that the request needs", () =>
      Effect.gen(function*() {
        const cascaded = Llm.make<Llm.Error<typeof llm>, OpenAi | Anthropic>({
          plan: llm.plan,
          open: (call) => Fallback.withMinimumQuality(llm.open(call), 0.7)
        })
        const ran = yield* run(cascaded, { anthropic: [better] })
        assert.deepStrictEqual([ran.openai.length, ran.anthropic.length], [0, 1])
        // What a tier just has is enough.
        const exactly = Llm.make<Llm.Error<typeof llm>, OpenAi | Anthropic>({
          plan: llm.plan,
          open: (call) => Fallback.withMinimumQuality(llm.open(call), small.quality)
        })
        assert.strictEqual((yield* run(exactly, { openai: [good] })).openai.length, 1)
      }))

    it.effect("fails where nobody has that quality", () =>
      Effect.gen(function*() {
        const demanding = Llm.make<Llm.Error<typeof llm>, OpenAi | Anthropic>({
          plan: llm.plan,
          open: (call) => Fallback.withMinimumQuality(llm.open(call), 0.95)
        })
        const error = yield* Effect.flip((yield* run(demanding, {})).exit)
        assert(error._tag === "AllModelsExhausted")
        assert.strictEqual(error.minimumQuality, 0.95)
        assert.strictEqual(error.message, "no model has the quality that was asked for (0.95)")
      }))

    it.effect("serves the last one's answer as it is, and fails where all have failed", () =>
      Effect.gen(function*() {
        const served = yield* run(llm, { openai: [empty], anthropic: [refusal] })
        assert.deepStrictEqual(served.exit, Exit.succeed("I'm sorry, but I can't help with that."))
        const failed = yield* run(llm, {
          openai: [ScriptedProvider.fail("Overloaded")],
          anthropic: [ScriptedProvider.fail("ServerError")]
        })
        const error = yield* Effect.flip(failed.exit)
        assert(error._tag === "AllModelsExhausted")
        assert.deepStrictEqual(error.failures.map((failure) => failure._tag), ["Overloaded", "ServerError"])
      }))

    it.effect("judges by a function of one's own", () =>
      Effect.gen(function*() {
        const picky = Fallback.cascade([small, large], {
          shortcoming: (answer) => Part.text(answer).includes("330.0") ? undefined : "imprecise"
        })
        const ran = yield* run(picky, { openai: [good], anthropic: [better] })
        assert.deepStrictEqual(ran.receipt.events.map((event) => event.reason), ["imprecise"])
      }))
  })
}

describe("cascade", () => {
  it.effect("holds back a stream until it is known to be good, and lets the last one's flow", () =>
    Effect.gen(function*() {
      const pieces = ScriptedProvider.text(["I can't help", " with that"], { between: "1 second" })
      const held = yield* Run.stream(llm, { openai: [pieces], anthropic: [ScriptedProvider.breakOff(["330"])] })
      // Nothing of the first answer, and what the last one said before it broke off.
      assert.deepStrictEqual(held.texts, ["330"])
      assert.strictEqual(held.receipt.outcome, "StreamInterrupted")
    }))

  it.effect("retries nothing of a cut in an answer that is held back: the next tier is asked", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(llm, { openai: [ScriptedProvider.breakOff(["330"])], anthropic: [better] })
      assert.deepStrictEqual(ran.texts, ["330.0 m"])
      assert.deepStrictEqual(ran.receipt.events.map((event) => [event.type, event.reason]), [
        ["escalate", "StreamInterrupted"]
      ])
    }))

  it.effect("lets go of an answer that will not do before it asks the next", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const holding = Llm.make<Llm.Error<typeof openai>, OpenAi>({
        plan: openai.plan,
        open: (call) =>
          Effect.andThen(Effect.addFinalizer(() => Effect.sync(() => log.push("let go"))), openai.open(call))
      })
      const asking = Llm.make<Llm.Error<typeof anthropic>, Anthropic>({
        plan: anthropic.plan,
        open: (call) => Effect.andThen(Effect.sync(() => log.push("asked")), anthropic.open(call))
      })
      const tiers = Fallback.cascade([{ ...small, llm: holding }, { ...large, llm: asking }])
      yield* Run.stream(tiers, { openai: [empty], anthropic: [better] })
      assert.deepStrictEqual(log, ["let go", "asked"])
    }))

  it.effect("asks a better one for an object that does not decode", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const Height = Schema.Struct({ metres: Schema.Finite })
      for (const bad of ["330 m", `{"metres":"tall"}`, `{"metres":330`]) {
        const answer = yield* Llm.generateObject(llm, { ...question, schema: Height }).pipe(
          receipts.observe,
          Effect.provide([
            ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(bad)]),
            ScriptedProvider.layer(Anthropic, [ScriptedProvider.text(`{"metres":330}`)])
          ])
        )
        assert.deepStrictEqual(answer.value, { metres: 330 })
      }
      assert.deepStrictEqual(receipts.seen.map((receipt) => receipt.events[0]?.reason), [
        "invalid",
        "invalid",
        "invalid"
      ])
    }))

  it("refuses tiers that cannot be compared", () => {
    assert.throws(() => Fallback.cascade([]), RangeError)
    assert.throws(() => Fallback.cascade([{ ...small, price: Number.NaN }]), RangeError)
    assert.throws(() => Fallback.cascade([{ ...small, quality: Infinity }]), RangeError)
  })
})

describe("Fallback.shortcoming", () => {
  const request = {
    prompt: Prompt.make("?"),
    tools: [],
    toolChoice: "none",
    responseFormat: { type: "text" },
    settings: {}
  } as const
  const of = (text: string) => Fallback.shortcoming([{ type: "text", text }], request)

  it.each([
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I cannot assist with this request.",
    "Sorry, but I can’t provide instructions for that.",
    "I can't help with that.",
    "I cannot fulfill this request.",
    "I am unable to assist.",
    "I'm unable to help with that request.",
    "Unfortunately, I can't do that.",
    "I won't provide that information."
  ])("knows a refusal: %s", (text) => assert.strictEqual(of(text), "refusal"))

  it.each([
    "The tower is 330 m high.",
    "I can't believe it is 330 m high!",
    "I'm sorry to hear that. Here is what you can do: ...",
    "A model says \"I'm sorry, but I can't help with that\" when it refuses.",
    "Sorry seems to be the hardest word."
  ])("and what is none: %s", (text) => assert.isUndefined(of(text)))

  it("knows an empty answer from one without words", () => {
    assert.strictEqual(of(" \n"), "empty")
    assert.strictEqual(Fallback.shortcoming([{ type: "reasoning", text: "Hm." }], request), "empty")
    assert.isUndefined(Fallback.shortcoming([{ type: "tool-call", id: "1", name: "t", params: {} }], request))
  })
})
