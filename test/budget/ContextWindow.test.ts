import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, References, Schedule, Schema, Stream } from "effect"
import { Breaker, Limiter, Llm, LlmError, Plan } from "effect-bulwark"
import { ContextWindow, TokenCount } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai } from "../core/support/stack.ts"
import { counting, ofMessages } from "./support/counting.ts"

const answered = () => ScriptedProvider.text("Yes.")

const world = () => {
  const first = ScriptedProvider.make(OpenAi, answered)
  const second = ScriptedProvider.make(Anthropic, answered)
  return { first, second, layer: Layer.mergeAll(first.layer, second.layer, counting()) }
}

/** A prompt of so many words, which is a request of four tokens more. */
const wordy = (words: number) => ({ prompt: "word ".repeat(words) })

const settings = { maxOutputTokens: 10 }

const text = <E, R>(llm: Llm.Llm<E, R>, words: number) =>
  Effect.asVoid(Llm.generateText(llm, { ...wordy(words), settings }))
const stream = <E, R>(llm: Llm.Llm<E, R>, words: number) =>
  Stream.runDrain(Llm.streamText(llm, { ...wordy(words), settings }))
const object = <E, R>(llm: Llm.Llm<E, R>, words: number) =>
  Effect.ignore(Llm.generateObject(llm, { ...wordy(words), settings, schema: Schema.Struct({ a: Schema.String }) }))

for (const [kind, ask] of Object.entries({ "a full answer": text, "a stream": stream })) {
  describe(`ContextWindow.enforce: ${kind}`, () => {
    it.effect("is asked for where prompt and answer just fit, and refused with the numbers where they do not", () => {
      const { first, layer } = world()
      const receipts = makeReceipts()
      const llm = openai.pipe(ContextWindow.enforce({ window: 100 }))
      return Effect.gen(function*() {
        yield* ask(llm, 86)
        assert.strictEqual(first.calls.length, 1)
        const error = yield* Effect.flip(receipts.observe(ask(llm, 87)))
        assert.instanceOf(error, LlmError.ContextLengthExceeded)
        const { limit, model, provider, requested, unsent } = error
        assert.deepStrictEqual({ limit, requested, unsent, provider, model }, {
          limit: 100,
          requested: 101,
          unsent: true,
          provider: "openai",
          model: "gpt-5-mini"
        })
        assert.include(error.message, "context window of 100 tokens (101 requested), so nothing was sent")
        assert.notInclude(error.message, "word")
        assert.strictEqual(first.calls.length, 1)
        const receipt = receipts.only()
        assert.deepStrictEqual(receipt.attempts, [])
        assert.deepStrictEqual(receipt.events.map(({ reason, type }) => [type, reason]), [
          ["rejected", "ContextLengthExceeded"]
        ])
      }).pipe(Effect.provide(layer))
    })

    it.effect("goes on to the model with the larger window, wherever the policy stands", () =>
      Effect.gen(function*() {
        const window = ({ provider }: { readonly provider: string }) => provider === "openai" ? 50 : 500
        for (
          const llm of [
            openai.pipe(Llm.orElse(anthropic), ContextWindow.enforce({ window })),
            openai.pipe(ContextWindow.enforce({ window: 50 }), Llm.orElse(anthropic)),
            openai.pipe(
              Llm.retry(Schedule.recurs(3)),
              Breaker.guard({ key: "first" }),
              Llm.orElse(anthropic),
              Llm.timeout({ firstPart: "1 second", total: "10 seconds" }),
              ContextWindow.enforce({ window })
            )
          ]
        ) {
          const { first, layer, second } = world()
          yield* ask(llm, 100).pipe(Effect.provide(Layer.merge(layer, Breaker.layerMemory())))
          assert.deepStrictEqual([first.calls.length, second.calls.length], [0, 1])
          yield* ask(llm, 10).pipe(Effect.provide(Layer.merge(layer, Breaker.layerMemory())))
          assert.deepStrictEqual([first.calls.length, second.calls.length], [1, 1])
        }
      }))
  })
}

describe("ContextWindow.enforce", () => {
  it.effect("counts an object's request too", () => {
    const { first, layer } = world()
    return object(openai.pipe(ContextWindow.enforce({ window: 50 })), 100).pipe(
      Effect.tap(() => Effect.sync(() => assert.strictEqual(first.calls.length, 0))),
      Effect.provide(layer)
    )
  })

  it.effect("is the failure of each model, told of all of them where none will do", () => {
    const { layer } = world()
    return Effect.gen(function*() {
      const llm = openai.pipe(Llm.orElse(anthropic), ContextWindow.enforce({ window: 50 }))
      const error = yield* Effect.flip(text(llm, 100))
      assert.strictEqual(error._tag, "ContextLengthExceeded")
      assert.strictEqual(error.model, "claude-haiku-4-5")
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps room for the answer: as the call says, the model, or the reserve", () => {
    const { layer } = world()
    const requested = (
      llm: Llm.Llm<LlmError.ProviderError, OpenAi | TokenCount.TokenCount>,
      maxOutputTokens?: number
    ) =>
      Effect.flatMap(
        Effect.flip(Llm.generateText(llm, { ...wordy(96), settings: { maxOutputTokens } })),
        (error) => error._tag === "ContextLengthExceeded" ? Effect.succeed(error.requested) : Effect.die(error)
      )
    const enforce = ContextWindow.enforce({ window: 90, reserve: 7 })
    const limited = Llm.model(OpenAi, "gpt-5-mini", { maxOutputTokens: 20 })
    return Effect.gen(function*() {
      assert.strictEqual(yield* requested(openai.pipe(enforce)), 107)
      assert.strictEqual(yield* requested(openai.pipe(ContextWindow.enforce({ window: 90 }))), 1124)
      assert.strictEqual(yield* requested(limited.pipe(enforce)), 120)
      assert.strictEqual(yield* requested(limited.pipe(enforce), 30), 130)
    }).pipe(Effect.provide(layer))
  })

  it.effect("knows of limits on the prompt alone", () => {
    const { first, layer } = world()
    const llm = openai.pipe(ContextWindow.enforce({ window: { total: 500, input: 50 } }))
    return Effect.gen(function*() {
      yield* text(llm, 46)
      const error = yield* Effect.flip(text(llm, 47))
      assert.strictEqual(error._tag, "ContextLengthExceeded")
      if (error._tag === "ContextLengthExceeded") assert.deepStrictEqual([error.limit, error.requested], [50, 51])
      assert.strictEqual(first.calls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks what is around it too, and the nearest first", () => {
    const { first, layer } = world()
    const history = conversation(6)
    const llm = openai.pipe(
      ContextWindow.enforce({ window: 60, mode: "trim" }),
      ContextWindow.enforce({ window: 70 })
    )
    return Effect.gen(function*() {
      yield* Llm.generateText(llm, { prompt: history, settings })
      assert.isAtMost(ofMessages(first.calls[0]!.request.prompt.content), 50)
      const strict = llm.pipe(ContextWindow.enforce({ window: 20 }))
      assert.strictEqual(
        (yield* Effect.flip(Llm.generateText(strict, { prompt: history, settings })))._tag,
        "ContextLengthExceeded"
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives a limiter inside or outside nothing to count for what was not sent", () =>
    Effect.gen(function*() {
      const limits = Limiter.layerMemory({ limits: { requestsPerMinute: 1 } })
      const { first, layer } = world()
      const llm = openai.pipe(ContextWindow.enforce({ window: 50 }), Limiter.enforce())
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(text(llm, 100)))._tag, "ContextLengthExceeded")
        yield* text(llm, 10)
        assert.strictEqual(first.calls.length, 1)
      }).pipe(Effect.provide(Layer.merge(layer, limits)))
    }))

  it.effect("of a model whose window is not known lets pass, and says so, or refuses", () => {
    const { first, layer } = world()
    const window = () => undefined
    return Effect.gen(function*() {
      yield* text(openai.pipe(ContextWindow.enforce({ window })), 1000)
      assert.strictEqual(first.calls.length, 1)
      const error = yield* Effect.flip(text(openai.pipe(ContextWindow.enforce({ window, onUnknown: "fail" })), 1))
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.include(error.message, "context window of the model is not known")
      assert.strictEqual(first.calls.length, 1)
    }).pipe(Effect.provide(layer), Effect.provideService(References.UnhandledLogLevel, undefined))
  })

  it.effect("takes its windows from a catalogue, where there is one", () => {
    const { layer } = world()
    const llm = openai.pipe(ContextWindow.enforce())
    return Effect.gen(function*() {
      yield* text(llm, 1000)
      const error = yield* Effect.flip(
        Effect.provideService(text(llm, 1000), ContextWindow.Windows, () => 500)
      )
      assert.strictEqual(error._tag === "ContextLengthExceeded" ? error.limit : 0, 500)
    }).pipe(Effect.provide(layer))
  })

  it.effect("with real counts, counts its own way", () => {
    const openaiScript = ScriptedProvider.make(OpenAi, answered)
    const llm = Llm.model(OpenAi, "gpt-4").pipe(ContextWindow.enforce())
    return Effect.gen(function*() {
      // 8,192 tokens: 7 around the message, 1,024 for the answer.
      yield* Llm.generateText(llm, { prompt: " the".repeat(8192 - 1024 - 7) })
      const error = yield* Effect.flip(Llm.generateText(llm, { prompt: " the".repeat(8192 - 1024 - 6) }))
      assert.strictEqual(error._tag === "ContextLengthExceeded" ? error.requested : 0, 8193)
      assert.strictEqual(openaiScript.calls.length, 1)
    }).pipe(Effect.provide(Layer.merge(openaiScript.layer, TokenCount.layer({ encoding: "cl100k_base" }))))
  })

  it("is in the plan, and takes no options that cannot be", () => {
    const llm = openai.pipe(ContextWindow.enforce({ window: 8192, mode: "trim" }))
    assert.strictEqual(Plan.render(llm.plan), "contextWindow trim, 8192 tokens\n└─ openai/gpt-5-mini")
    assert.strictEqual(String(openai.pipe(ContextWindow.enforce())), "contextWindow\n└─ openai/gpt-5-mini")
    for (const options of [{ reserve: -1 }, { reserve: NaN }, { keepTurns: 0 }, { keepTurns: 1.5 }, { window: 0 }]) {
      assert.throws(() => ContextWindow.enforce(openai, options), RangeError)
    }
  })
})

/** So many turns of ten words each, after what the system says. */
const conversation = (turns: number): Prompt.Prompt =>
  Prompt.make([
    { role: "system", content: "Be brief." },
    ...Array.from({ length: turns }, (_, turn) =>
      [
        { role: "user", content: `Question ${turn} has five words.` },
        { role: "assistant", content: `Answer ${turn} has five words.` }
      ] as const).flat(),
    { role: "user", content: "And now?" }
  ])

const call = (id: string) =>
  Prompt.makeMessage("assistant", {
    content: [Prompt.makePart("tool-call", { id, name: "look", params: {}, providerExecuted: false })]
  })
const result = (id: string) =>
  Prompt.makeMessage("tool", {
    content: [
      Prompt.makePart("tool-result", { id, name: "look", isFailure: false, providerExecuted: false, result: "seen" })
    ]
  })

const trimmed = (prompt: Prompt.Prompt, window: number, keepTurns = 1) =>
  Effect.gen(function*() {
    const { first, layer } = world()
    const receipts = makeReceipts()
    const llm = openai.pipe(ContextWindow.enforce({ window, mode: "trim", keepTurns }))
    const exit = yield* Effect.result(
      receipts.observe(Llm.generateText(llm, { prompt, settings })).pipe(Effect.provide(layer))
    )
    return { exit, sent: first.calls.map((call) => call.request.prompt.content), receipt: receipts.only() }
  })

describe("ContextWindow.enforce({ mode: \"trim\" })", () => {
  it.effect("leaves out as few of the oldest turns as it must, and says how many", () =>
    Effect.gen(function*() {
      // 6 + 4 × 18 + 6 tokens, and 10 for the answer.
      const prompt = conversation(4)
      assert.strictEqual(ofMessages(prompt.content), 84)
      const all = yield* trimmed(prompt, 94)
      assert.deepStrictEqual(all.sent, [prompt.content])
      assert.deepStrictEqual(all.receipt.events, [])
      const some = yield* trimmed(prompt, 93)
      assert.deepStrictEqual(some.sent, [[prompt.content[0]!, ...prompt.content.slice(3)]])
      assert.deepStrictEqual(some.receipt.events.map(({ reason, type }) => [type, reason]), [
        ["trim", "2 messages, 18 tokens"]
      ])
      const last = yield* trimmed(prompt, 22)
      assert.deepStrictEqual(last.sent, [[prompt.content[0]!, prompt.content.at(-1)!]])
      const none = yield* trimmed(prompt, 21)
      assert.deepStrictEqual(none.sent, [])
      assert(none.exit._tag === "Failure" && none.exit.failure._tag === "ContextLengthExceeded")
      // What would have been left.
      assert.deepStrictEqual([none.exit.failure.limit, none.exit.failure.requested], [21, 22])
    }))

  it.effect("keeps as many turns as it is told", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* trimmed(conversation(4), 40, 2)).sent[0]?.length, 4)
      assert.deepStrictEqual((yield* trimmed(conversation(4), 39, 2)).sent, [])
    }))

  it.effect("never parts a call from its result, across turns too", () =>
    Effect.gen(function*() {
      const user = (content: string) =>
        Prompt.makeMessage("user", { content: [Prompt.makePart("text", { text: content })] })
      const prompt = Prompt.fromMessages([
        user("one two three four five"),
        user("one two three four five"),
        call("a"),
        user("one two three four five"),
        result("a"),
        user("last")
      ])
      // The cut before the third turn is not open.
      const { sent } = yield* trimmed(prompt, 10 + ofMessages(prompt.content.slice(1)) - 1)
      assert.deepStrictEqual(sent, [prompt.content.slice(5)])
    }))

  const message: Arbitrary.Arbitrary<ReadonlyArray<Prompt.Message>> = Arbitrary.map(
    Arbitrary.schema(Schema.Struct({
      kind: Schema.Literals(["system", "user", "user", "assistant", "call", "open", "close"]),
      words: Schema.Literals([0, 1, 5, 20]),
      id: Schema.Literals(["1", "2", "3"])
    })),
    ({ id, kind, words }): ReadonlyArray<Prompt.Message> => {
      const text = "word ".repeat(words)
      switch (kind) {
        case "system":
          return [Prompt.makeMessage("system", { content: text })]
        case "user":
        case "assistant":
          return Prompt.make([{ role: kind, content: text }]).content
        case "call":
          return [call(id), result(id)]
        case "open":
          return [call(id)]
        case "close":
          return [result(id)]
      }
    }
  )

  it.effect.prop(
    "fits or fails, and keeps the laws",
    [
      Arbitrary.map(Arbitrary.array(message, { maxLength: 16 }), (messages) => Prompt.fromMessages(messages.flat())),
      Arbitrary.schema(Schema.Literals([20, 40, 80, 160])),
      Arbitrary.schema(Schema.Literals([1, 2]))
    ],
    ([prompt, window, keepTurns]) =>
      Effect.gen(function*() {
        const { exit, sent } = yield* trimmed(prompt, window, keepTurns)
        const size = (messages: ReadonlyArray<Prompt.Message>) => ofMessages(messages) + settings.maxOutputTokens
        const [kept] = sent
        if (exit._tag === "Failure") {
          assert.strictEqual(exit.failure._tag, "ContextLengthExceeded")
          assert.isAbove(size(prompt.content), window)
          return
        }
        assert(kept !== undefined)
        assert.isAtMost(size(kept), window)
        if (size(prompt.content) <= window) return assert.deepStrictEqual(kept, prompt.content)
        // All that the system says, and an unbroken end of what else was said.
        const spoken = (messages: ReadonlyArray<Prompt.Message>) => messages.filter(({ role }) => role !== "system")
        const system = (messages: ReadonlyArray<Prompt.Message>) => messages.filter(({ role }) => role === "system")
        assert.deepStrictEqual(system(kept), system(prompt.content))
        const before = spoken(prompt.content)
        const after = spoken(kept)
        assert.deepStrictEqual(after, before.slice(before.length - after.length))
        assert.isBelow(after.length, before.length)
        // It begins with the user, and the last turns are whole.
        assert.strictEqual(after[0]?.role, "user")
        const turns = (messages: ReadonlyArray<Prompt.Message>) => messages.filter(({ role }) => role === "user").length
        assert.isAtLeast(turns(after), Math.min(keepTurns, turns(before)))
        // No result without the call that it had.
        const firstKept = before.length - after.length
        const calls = new Map<string, number>()
        for (const [index, { content }] of before.entries()) {
          for (const part of typeof content === "string" ? [] : content) {
            if (part.type === "tool-call") calls.set(part.id, index)
            if (part.type === "tool-result" && index >= firstKept && calls.has(part.id)) {
              assert.isAtLeast(calls.get(part.id)!, firstKept)
            }
          }
        }
      })
  )

  it.effect("counts few of the prompts it could send", () =>
    Effect.gen(function*() {
      const calls = { requests: 0, texts: 0 }
      const first = ScriptedProvider.make(OpenAi, answered)
      const llm = openai.pipe(ContextWindow.enforce({ window: 1000, mode: "trim" }))
      yield* Llm.generateText(llm, { prompt: conversation(1000), settings }).pipe(
        Effect.provide(Layer.merge(first.layer, counting(calls)))
      )
      assert.isAtMost(calls.requests, 12)
    }))

  it.effect("is for each model by itself", () => {
    const first = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("Overloaded"))
    const second = ScriptedProvider.make(Anthropic, answered)
    const llm = openai.pipe(
      Llm.orElse(anthropic),
      ContextWindow.enforce({ window: ({ provider }) => provider === "openai" ? 60 : 90, mode: "trim" })
    )
    return Effect.gen(function*() {
      yield* Llm.generateText(llm, { prompt: conversation(6), settings })
      const [small, large] = [first, second].map(({ calls }) => calls[0]!.request.prompt.content.length)
      assert.deepStrictEqual([small, large], [6, 8])
    }).pipe(Effect.provide(Layer.mergeAll(first.layer, second.layer, counting())))
  })
})

describe("ContextWindow.Windows", () => {
  it.effect.each(
    [
      ["gpt-4", 8192],
      ["gpt-4-turbo-2024-04-09", 128_000],
      ["gpt-4o-mini", 128_000],
      ["gpt-4.1-nano", 1_047_576],
      ["o3-mini", 200_000],
      ["gpt-5-mini-2025-08-07", { total: 400_000, input: 272_000 }],
      ["gpt-5.2", { total: 400_000, input: 272_000 }],
      ["gpt-5.4-mini", { total: 400_000, input: 272_000 }],
      ["openai/gpt-5.5", { total: 1_050_000, input: 922_000 }],
      ["gpt-5-chat-latest", 128_000],
      ["gpt-oss-120b", 131_072],
      ["claude-3-5-sonnet-20241022", 200_000],
      ["claude-opus-4-20250514", 200_000],
      ["anthropic/claude-opus-4.5", 200_000],
      ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000],
      ["claude-haiku-4-5", 200_000],
      ["claude-sonnet-4-6", 1_000_000],
      ["claude-opus-4-8", 1_000_000],
      ["claude-opus-5", 1_000_000],
      ["gemini-1.5-pro-002", 2_097_152],
      ["gemini-3.5-flash", { total: 1_114_112, input: 1_048_576 }],
      ["gemini-2.5-flash-image", undefined],
      ["llama3.3", undefined],
      ["gpt-4o-realtime-preview", 16_000]
    ] as const
  )("knows %s", ([model, window]) =>
    Effect.gen(function*() {
      const windows = yield* ContextWindow.Windows
      assert.deepStrictEqual(windows({ provider: "any", model }), window)
    }))
})

// A prompt is what it was: nothing of it is in what says that it was too long.
it.effect("no word of a prompt is in a receipt or an error", () => {
  const { layer } = world()
  const receipts = makeReceipts()
  const secret = "swordfish "
  const parts = [Prompt.makePart("text", { text: secret.repeat(100) })]
  const prompt = Prompt.fromMessages([
    Prompt.makeMessage("user", { content: parts }),
    Prompt.makeMessage("user", { content: parts })
  ])
  return Effect.gen(function*() {
    const llm = openai.pipe(ContextWindow.enforce({ window: 120, mode: "trim" }))
    yield* receipts.observe(Llm.generateText(llm, { prompt, settings }))
    const error = yield* Effect.flip(
      receipts.observe(Llm.generateText(openai.pipe(ContextWindow.enforce({ window: 20, mode: "trim" })), { prompt }))
    )
    assert.notInclude(JSON.stringify([receipts.seen, error]) + error.message, "swordfish")
    assert.deepStrictEqual(receipts.seen.map(({ events }) => events.map(({ type }) => type)), [["trim"], ["rejected"]])
  }).pipe(Effect.provide(layer))
})
