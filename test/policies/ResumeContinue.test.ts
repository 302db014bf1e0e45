import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Schema, Stream } from "effect"
import { Llm, Opened, Part, Resume } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Prompt, Tool, Toolkit } from "effect/ai"
import { delta, finish } from "../core/support/chunked.ts"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, collect, OpenAi, openai, question } from "../core/support/stack.ts"
import { described, interruption, tapped, watched } from "../core/support/watch.ts"

const broken = ScriptedProvider.breakOff(["It is", " 330 "])
const rest = ScriptedProvider.text(["metres", " high."])
const continued = openai.pipe(Resume.continue(anthropic))

/** The messages that a request ends with, by role and text. */
const messages = (call: ScriptedProvider.SeenCall | undefined) =>
  call?.request.prompt.content.map((message) => [
    message.role,
    typeof message.content === "string"
      ? message.content
      : message.content.map((part) => part.type === "text" ? part.text : part.type).join("|")
  ])

describe("Resume.continue: one text", () => {
  it.effect("in one block, with one start, one end and one finish", () =>
    Effect.gen(function*() {
      const { llm, parts } = tapped(continued)
      const ran = yield* Run.parts(llm, {
        openai: [broken],
        anthropic: [ScriptedProvider.parts([
          { type: "response-metadata", modelId: "claude" },
          { type: "text-start", id: "msg" },
          { type: "text-delta", id: "msg", delta: "metres" },
          { type: "text-end", id: "msg", metadata: { anthropic: { cited: true } } },
          finish()
        ])]
      })
      assert.isTrue(Exit.isSuccess(ran.exit))
      assert.deepStrictEqual(parts, [
        { type: "text-start", id: "0" },
        delta("It is"),
        delta(" 330 "),
        { type: "response-metadata", modelId: "claude" },
        delta("metres"),
        { type: "text-end", id: "0", metadata: { anthropic: { cited: true } } },
        finish()
      ])
      assert.deepStrictEqual(Part.toAnswer(parts)[0], {
        type: "text",
        text: "It is 330 metres",
        metadata: { anthropic: { cited: true } }
      })
      assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    }))

  it.effect("asked for with its beginning as the last message", () =>
    Effect.gen(function*() {
      const { calls, llm } = watched(anthropic)
      const ran = yield* Run.parts(openai.pipe(Resume.continue(llm)), { openai: [broken], anthropic: [rest] })
      assert.deepStrictEqual(messages(ran.anthropic[0]), [["user", question.prompt], ["assistant", "It is 330"]])
      assert.deepInclude(calls[0], { continues: "It is 330 ", retractable: false, openBy: undefined })
    }))

  it.effect("in one message with the beginning that the caller gave", () =>
    Effect.gen(function*() {
      const begun = (content: Prompt.AssistantMessageEncoded["content"]) =>
        Prompt.make([{ role: "user", content: "?" }, { role: "assistant", content }])
      const asked = (prompt: Prompt.Prompt) =>
        Effect.gen(function*() {
          const second = ScriptedProvider.make(Anthropic, [rest])
          const { exit } = yield* Effect.provide(collect(Llm.streamText(continued, { prompt })), [
            ScriptedProvider.layer(OpenAi, [broken]),
            second.layer
          ])
          assert.isTrue(Exit.isSuccess(exit))
          return messages(second.calls[0])
        })
      assert.deepStrictEqual(yield* asked(begun("Well: ")), [["user", "?"], ["assistant", "Well: It is 330"]])
      assert.deepStrictEqual(
        yield* asked(begun([{ type: "reasoning", text: "Hm." }])),
        [["user", "?"], ["assistant", "reasoning|It is 330"]]
      )
    }))

  it.effect("also for readers of bare words, for tools, and for effect/ai", () =>
    Effect.gen(function*() {
      const words = yield* Run.stream(continued, { openai: [broken], anthropic: [rest] })
      assert.strictEqual(yield* words.exit, "It is 330 metres high.")
      const layers = Layer.merge(
        ScriptedProvider.layer(OpenAi, () => broken),
        ScriptedProvider.layer(Anthropic, () => rest)
      )
      const Clock = Tool.make("Clock", { success: Schema.String })
      const toolkit = Toolkit.make(Clock)
      const tools = yield* Stream.runCollect(Llm.streamText(continued, { ...question, toolkit })).pipe(
        Effect.provide([layers, toolkit.toLayer({ Clock: () => Effect.succeed("noon") })])
      )
      assert.strictEqual(Part.text(tools), "It is 330 metres high.")
      const model = yield* LanguageModel.LanguageModel.pipe(
        Effect.provide(Layer.provide(Llm.layerLanguageModel(continued), layers))
      )
      assert.strictEqual(Part.text(yield* Stream.runCollect(model.streamText(question))), "It is 330 metres high.")
    }))

  it.effect("is no matter for a full answer", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(continued, { openai: [broken] })
      assert.strictEqual(interruption(ran.exit).reason, "closed")
      assert.strictEqual(ran.anthropic.length, 0)
    }))

  it.effect("may break off several times", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.continue(anthropic, { times: 2 }))
      const { llm: tap, parts } = tapped(llm)
      const ran = yield* Run.parts(tap, {
        openai: [broken],
        anthropic: [ScriptedProvider.breakOff([" metres"]), ScriptedProvider.text([" high", "."])]
      })
      assert.strictEqual(ran.shown.join(""), "It is 330 metres high.")
      assert.strictEqual(parts.filter((part) => part.type === "text-start").length, 1)
      assert.deepStrictEqual(messages(ran.anthropic[1])?.at(-1), ["assistant", "It is 330 metres"])
      // One time too many.
      const failed = yield* Run.parts(llm, {
        openai: [broken],
        anthropic: [
          ScriptedProvider.breakOff(["It is 330 metres"]),
          ScriptedProvider.breakOff(["It is 330 metres high", " or"], "Overloaded")
        ]
      })
      assert.strictEqual(failed.shown.join(""), "It is 330 metres high or")
      assert.deepStrictEqual(described(interruption(failed.exit)), {
        provider: "anthropic",
        partial: "It is 330 metres high or",
        reason: "failed",
        failure: "Overloaded",
        usage: undefined
      })
    }))

  it.effect("ends where it had ended, when only its finish was missing", () =>
    Effect.gen(function*() {
      const ended: ScriptedProvider.Step = {
        parts: ScriptedProvider.text("It is 330 metres high.").parts.slice(0, -1),
        ending: "cut"
      }
      for (const between of [undefined, Duration.seconds(1)]) {
        const { llm, parts } = tapped(continued)
        const ran = yield* Run.parts(llm, {
          openai: [{ ...ended, between }],
          anthropic: [ScriptedProvider.parts([finish()])]
        })
        assert.isTrue(Exit.isSuccess(ran.exit))
        assert.deepStrictEqual(parts, [
          { type: "text-start", id: "0" },
          delta("It is 330 metres high."),
          { type: "text-end", id: "0" },
          finish()
        ])
        // Where nobody goes on from it, nothing of it is kept back.
        const alone = tapped(continued)
        const left = yield* Run.parts(alone.llm, {
          openai: [{ ...ended, between }],
          anthropic: [ScriptedProvider.fail("Overloaded")]
        })
        assert.strictEqual(described(interruption(left.exit)).partial, "It is 330 metres high.")
        assert.deepStrictEqual(alone.parts, parts.slice(0, -1))
      }
    }))

  it.effect("holds back no end of a block for longer than the next part takes", () =>
    Effect.gen(function*() {
      const step = ScriptedProvider.parts([
        ...ScriptedProvider.text("one").parts.slice(0, -1),
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "two" },
        { type: "text-end", id: "1" },
        finish()
      ])
      for (const between of [undefined, Duration.seconds(1)]) {
        const { llm, parts } = tapped(continued)
        yield* Run.parts(llm, { openai: [{ ...step, between }] })
        assert.deepStrictEqual(parts, [...step.parts])
      }
    }))
})

describe("Resume.continue: what goes on", () => {
  it.effect("leaves out its reasoning, and keeps its calls of tools", () =>
    Effect.gen(function*() {
      const { llm, parts } = tapped(continued)
      const call = { type: "tool-call", id: "call_1", name: "Clock", params: {} } as const
      yield* Run.parts(llm, {
        openai: [broken],
        anthropic: [ScriptedProvider.parts([
          { type: "reasoning-start", id: "0" },
          { type: "reasoning-delta", id: "0", delta: "Where was I?" },
          { type: "reasoning-end", id: "0" },
          { type: "text-start", id: "1" },
          { type: "text-delta", id: "1", delta: "metres." },
          { type: "text-end", id: "1" },
          { type: "reasoning-start", id: "2" },
          { type: "reasoning-end", id: "2" },
          call,
          finish("tool-calls")
        ])]
      })
      assert.deepStrictEqual(parts.slice(3), [
        delta("metres."),
        { type: "text-end", id: "0" },
        { type: "reasoning-start", id: "2" },
        { type: "reasoning-end", id: "2" },
        call,
        finish("tool-calls")
      ])
      const other = tapped(continued)
      yield* Run.parts(other.llm, {
        openai: [broken],
        anthropic: [ScriptedProvider.parts([call, delta("Later."), finish("tool-calls")])]
      })
      // The text is at its end before the call.
      assert.deepStrictEqual(other.parts.slice(3), [
        { type: "text-end", id: "0" },
        call,
        delta("Later."),
        finish("tool-calls")
      ])
    }))

  it.effect("is not held back for longer than it could be a repetition", () =>
    Effect.gen(function*() {
      const at: Array<readonly [string, number]> = []
      const second = Duration.seconds(1)
      const llm = Llm.make({
        plan: continued.plan,
        open: (call) =>
          Effect.map(continued.open(call), (opened) =>
            Opened.mapFlow(
              opened,
              Stream.tap((part) =>
                Effect.sync(() => part.type === "text-delta" && at.push([part.delta, call.recorder.now()]))
              )
            ))
      })
      yield* Run.parts(llm, {
        openai: [ScriptedProvider.breakOff(["The tower is of iron, the tower is"])],
        // "the" might still be the beginning of "the tower is", which "the m" is not.
        anthropic: [ScriptedProvider.text([" high", " and"], { between: second })]
      })
      assert.deepStrictEqual(at.slice(1), [[" high", 1_000], [" and", 2_000]])
      at.length = 0
      yield* Run.parts(llm, {
        openai: [ScriptedProvider.breakOff(["The tower is of iron, the tower is"])],
        anthropic: [ScriptedProvider.text(["the", " tower", " stands"], { between: second })]
      })
      assert.deepStrictEqual(at.slice(1).map(([text]) => text), ["the tower stands"])
    }))

  it.effect("is no template", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.continue(anthropic.pipe(Llm.orElseSucceed(() => "No answer today."))))
      const ran = yield* Run.parts(llm, { openai: [broken], anthropic: [ScriptedProvider.fail("Overloaded")] })
      assert.strictEqual(ran.shown.join(""), "It is 330 ")
      assert.deepInclude(described(interruption(ran.exit)), { provider: "openai", partial: "It is 330 " })
      assert.isFalse(ran.receipt.degraded)
      assert.strictEqual(ran.receipt.provider, "openai")
    }))

  it.effect("need not end its answer properly", () =>
    Effect.gen(function*() {
      // One of a user's own making: no finish, and no block.
      const mine = Llm.make({ plan: anthropic.plan, open: () => Effect.succeed(Opened.whole([delta("It is 3")])) })
      const ran = yield* Run.parts(Resume.continue(openai, mine), { openai: [broken] })
      assert.strictEqual(ran.shown.join(""), "It is 330 It is 3")
      const none = Llm.make({ plan: anthropic.plan, open: () => Effect.succeed(Opened.whole([])) })
      const empty = yield* Run.parts(Resume.continue(openai, none), { openai: [broken] })
      assert.isTrue(Exit.isSuccess(empty.exit))
    }))
})

describe("Resume.continue: where nobody can go on", () => {
  const start = { type: "text-start", id: "0" } as const
  const toolStart = { type: "tool-params-start", id: "call_1", name: "Clock" } as const
  const thought = [{ type: "reasoning-start", id: "9" }, { type: "reasoning-delta", id: "9", delta: "Hm." }] as const
  const steps: Record<string, ReadonlyArray<Part.ProviderPart>> = {
    "the parameters of a tool call have begun": [start, delta("Let me see."), { type: "text-end", id: "0" }, toolStart],
    "a tool has been called": [
      start,
      delta("Let me see."),
      { type: "text-end", id: "0" },
      { type: "tool-call", id: "call_1", name: "Clock", params: {} }
    ],
    "a tool has been called without a word": [{ type: "tool-call", id: "call_1", name: "Clock", params: {} }],
    "a thought is not finished": [...thought],
    "a thought was not finished before the text": [...thought, start, delta("Well")],
    "a thought came after the text": [start, delta("Well"), ...thought, { type: "reasoning-end", id: "9" }],
    "there is a thought and no text": [...thought, { type: "reasoning-end", id: "9" }],
    "there are two texts": [
      start,
      delta("One"),
      { type: "text-end", id: "0" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "Two" }
    ],
    "two texts come at once": [start, delta("One"), { type: "text-delta", id: "1", delta: "Two" }],
    "there is a file": [start, delta("See"), { type: "file", mediaType: "image/png", data: "AAEC" }],
    "there is only whitespace": [start, delta("\n ")]
  }
  for (const [name, parts] of Object.entries(steps)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const step: ScriptedProvider.Step = { parts, ending: "cut" }
        const alone = tapped(openai)
        const expected = interruption((yield* Run.parts(alone.llm, { openai: [step] })).exit)
        const { llm, parts: seen } = tapped(continued)
        const ran = yield* Run.parts(llm, { openai: [step] })
        assert.deepStrictEqual(described(interruption(ran.exit)), described(expected))
        assert.deepStrictEqual(seen, alone.parts)
        assert.strictEqual(ran.anthropic.length, 0)
        assert.deepStrictEqual(ran.receipt.events, [])
      }))
  }

  it.effect("but after a thought that is finished, and beside its sources, a text can be gone on from", () =>
    Effect.gen(function*() {
      const step: ScriptedProvider.Step = {
        parts: [
          { type: "response-metadata", modelId: "gpt" },
          ...thought,
          { type: "reasoning-end", id: "9" },
          start,
          delta("Well"),
          { type: "source", sourceType: "url", id: "1", url: "https://example.org/", title: "" }
        ],
        ending: "cut"
      }
      const ran = yield* Run.parts(continued, { openai: [step], anthropic: [ScriptedProvider.text([", 330 m."])] })
      assert.strictEqual(ran.shown.join(""), "Well, 330 m.")
    }))

  it.effect("in a prompt that ends with its answer: the break stays what it was", () =>
    Effect.gen(function*() {
      const costly = ScriptedProvider.text(["It is", " 330"], { finishReason: "error" })
      const expected = described(interruption((yield* Run.parts(openai, { openai: [costly] })).exit))
      assert.isDefined(expected.usage)
      const ran = yield* Run.parts(openai.pipe(Resume.continue(anthropic, { times: 5 })), {
        openai: [costly],
        anthropic: [ScriptedProvider.fail("InvalidRequest")]
      })
      assert.deepStrictEqual(described(interruption(ran.exit)), expected)
      assert.deepStrictEqual([expected.partial, expected.failure], ["It is 330", "ServerError"])
      assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
        "StreamInterrupted",
        "InvalidRequest"
      ])
      assert.deepStrictEqual([ran.receipt.outcome, ran.receipt.provider], ["StreamInterrupted", "openai"])
    }))

  it.effect("and a refusal is not gone on from", () =>
    Effect.gen(function*() {
      for (const finishReason of ["content-filter", "length"] as const) {
        const ran = yield* Run.parts(Llm.whole(openai).pipe(Resume.continue(anthropic)), {
          openai: [ScriptedProvider.text("It is", { finishReason })]
        })
        assert.strictEqual(described(interruption(ran.exit)).partial, "It is")
        assert.strictEqual(ran.anthropic.length, 0)
      }
    }))
})

describe("Resume.continue: its receipt", () => {
  it.effect("tells of all requests, who served in the end, and when the first word came", () =>
    Effect.gen(function*() {
      const ran = yield* Run.parts(continued, {
        openai: [ScriptedProvider.breakOff(["It is"], "cut", { delay: "1 second" })],
        anthropic: [ScriptedProvider.text(" 330 m.", { delay: "2 seconds" })]
      })
      const { attempts, events, outcome, provider, timings, usage } = ran.receipt
      assert.deepStrictEqual(events, [{ type: "resume", atMillis: 1_000, afterAttempts: 1, reason: "closed" }])
      assert.deepStrictEqual(attempts.map((attempt) => attempt.outcome), ["StreamInterrupted", "success"])
      assert.deepStrictEqual([provider, outcome], ["anthropic", "success"])
      assert.deepStrictEqual(timings, { firstPartMillis: 1_000, totalMillis: 3_000 })
      assert.strictEqual(usage.outputText, 1)
    }))
})
