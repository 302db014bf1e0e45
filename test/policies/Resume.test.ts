import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Layer, Redacted, Schedule, Schema, Stream } from "effect"
import { type Call, Limiter, Llm, LlmError, Opened, Part, Plan, Resume, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { chunked, cut, delta, finish } from "../core/support/chunked.ts"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, collect, OpenAi, openai, question } from "../core/support/stack.ts"
import { described, interruption, tapped, watched } from "../core/support/watch.ts"

const broken = ScriptedProvider.breakOff(["330", " m"])
const other = ScriptedProvider.text(["Bon", "jour"])
const restarted = openai.pipe(Resume.restart(anthropic))

/** One permit, and one permission for something extra; anew for each call. */
const provided = <E>(
  llm: Llm.Llm<E, OpenAi | Anthropic | RetryBudget.RetryBudget | Limiter.Limiter>
): Llm.Llm<E, OpenAi | Anthropic> =>
  Llm.make({
    plan: llm.plan,
    open: (call) =>
      Effect.flatMap(
        Layer.build(Layer.merge(
          RetryBudget.layerMemory({ capacity: 1, ratio: 0, perSecond: 0 }),
          Limiter.layerMemory({ limits: { concurrency: 1 } })
        )),
        (context) => Effect.provideContext(llm.open(call), context)
      )
  })

describe("Resume.restart: a new answer", () => {
  it.effect("follows a retraction, and is all that is left", () =>
    Effect.gen(function*() {
      const { llm, parts } = tapped(restarted)
      const ran = yield* Run.parts(llm, { openai: [broken], anthropic: [other] })
      assert.deepStrictEqual(ran.shown, ["330", " m", "<retract>", "Bon", "jour"])
      assert.deepStrictEqual(parts.filter((part) => part.type === "retract"), [{ type: "retract", reason: "closed" }])
      assert.strictEqual(Part.text(parts), "Bonjour")
      assert.deepStrictEqual(Part.toAnswer(parts), Part.toAnswer(other.parts))
      assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    }))

  const word = Schema.Literals(["", "a", " ", "Grüße ", "東京\n", "🗼"])
  const pieces = Arbitrary.schema(Schema.Array(word))
  const lengths = Arbitrary.schema(Schema.Array(Schema.Literals([1, 2, 5])))

  it.effect.prop("is told from the first one, whatever is in them, and however they are cut into pieces", [
    pieces,
    lengths,
    pieces,
    lengths
  ], ([first, firstLengths, second, secondLengths]) =>
    Effect.gen(function*() {
      const answer = (texts: ReadonlyArray<string>, provider: string): Array<Part.ProviderPart> => [
        { type: "response-metadata", modelId: provider },
        { type: "text-start", id: "0" },
        ...texts.map(delta),
        { type: "text-end", id: "0" }
      ]
      const begun = ["begun ", ...first]
      const { llm, parts } = tapped(restarted)
      const complete = [...answer(second, "second"), finish()]
      const { exit } = yield* Effect.provide(collect(Llm.streamText(llm, question)), [
        chunked(OpenAi, cut(answer(begun, "first").slice(0, -1), firstLengths)),
        chunked(Anthropic, cut(complete, secondLengths))
      ])
      assert.isTrue(Exit.isSuccess(exit))
      const at = parts.findIndex((part) => part.type === "retract")
      assert.strictEqual(Part.text(parts.slice(0, at)), begun.join(""))
      assert.deepStrictEqual(parts.slice(at + 1), complete)
      assert.deepStrictEqual(Part.toAnswer(parts), Part.toAnswer(complete))
    }))

  it.effect("is asked the same question, as a call of its own", () =>
    Effect.gen(function*() {
      const { calls, llm } = watched(anthropic)
      const ran = yield* Run.parts(Resume.restart(openai, llm), { openai: [broken], anthropic: [other] })
      assert.deepStrictEqual(ran.anthropic[0]?.request.prompt, ran.openai[0]?.request.prompt)
      assert.strictEqual(calls[0]?.openBy, undefined)
      assert.strictEqual(calls[0]?.continues, undefined)
    }))

  it.effect("may break off too, and be begun again, as often as that is allowed", () =>
    Effect.gen(function*() {
      const again = ScriptedProvider.breakOff(["Bon"])
      const once = yield* Run.parts(restarted, { openai: [broken], anthropic: [again] })
      assert.deepStrictEqual(once.shown, ["330", " m", "<retract>", "Bon"])
      assert.deepInclude(described(interruption(once.exit)), { provider: "anthropic", partial: "Bon" })
      assert.strictEqual(once.anthropic.length, 1)
      const twice = yield* Run.parts(openai.pipe(Resume.restart(anthropic, { times: 2 })), {
        openai: [broken],
        anthropic: [again, other]
      })
      assert.deepStrictEqual(twice.shown, ["330", " m", "<retract>", "Bon", "<retract>", "Bon", "jour"])
      assert.isTrue(Exit.isSuccess(twice.exit))
    }))

  it.effect("may come all at once, or from no model", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Resume.restart(anthropic.pipe(Llm.orElseSucceed(() => "No answer today."))))
      const ran = yield* Run.parts(llm, { openai: [broken], anthropic: [ScriptedProvider.fail("Overloaded")] })
      assert.deepStrictEqual(ran.shown, ["330", " m", "<retract>", "No answer today."])
      assert.isTrue(ran.receipt.degraded)
      assert.strictEqual(ran.receipt.provider, undefined)
      assert.strictEqual(ran.receipt.outcome, "success")
    }))

  it.effect("may have no parts at all", () =>
    Effect.gen(function*() {
      const nothing = Llm.make({ plan: anthropic.plan, open: () => Effect.succeed(Opened.whole([])) })
      const ran = yield* Run.parts(Resume.restart(openai, nothing), { openai: [broken] })
      assert.deepStrictEqual(ran.shown, ["330", " m", "<retract>"])
      assert.isTrue(Exit.isSuccess(ran.exit))
    }))
})

describe("Resume.restart: consumers", () => {
  it.effect("that show bare words never show those of two answers", () =>
    Effect.gen(function*() {
      const ran = yield* Run.stream(restarted, { openai: [broken], anthropic: [other] })
      assert.strictEqual(ran.texts.join(""), "330 m")
      assert.deepInclude(described(interruption(ran.exit)), { partial: "330 m", reason: "closed" })
      // The answer that nobody could be shown is given up.
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
      assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
    }))

  it.effect("that have shown no word yet are shown those of the new one", () =>
    Effect.gen(function*() {
      const thought: ScriptedProvider.Step = {
        parts: [{ type: "reasoning-start", id: "0" }, { type: "reasoning-delta", id: "0", delta: "Hm." }],
        ending: "cut"
      }
      const ran = yield* Run.stream(restarted, { openai: [thought], anthropic: [other] })
      assert.strictEqual(yield* ran.exit, "Bonjour")
    }))

  it.effect("of a full answer are not concerned", () =>
    Effect.gen(function*() {
      const ran = yield* Run.text(restarted, { openai: [broken] })
      assert.strictEqual(interruption(ran.exit).reason, "closed")
      assert.deepStrictEqual(ran.receipt.events, [])
      assert.strictEqual(ran.anthropic.length, 0)
      const retried = yield* Run.text(restarted.pipe(Llm.retry(Schedule.recurs(1))), {
        openai: [broken, ScriptedProvider.text("330 m")]
      })
      assert.strictEqual(yield* retried.exit, "330 m")
    }))

  it.effect("that cannot read a retraction have the break as it is, and nobody else is asked", () =>
    Effect.gen(function*() {
      const first = ScriptedProvider.make(OpenAi, () => broken)
      const second = ScriptedProvider.make(Anthropic, [])
      const layers = Layer.merge(first.layer, second.layer)
      const model = yield* LanguageModel.LanguageModel.pipe(
        Effect.provide(Layer.provide(Llm.layerLanguageModel(restarted), layers))
      )
      const ai = yield* collect(model.streamText(question))
      const error = yield* Effect.flip(ai.exit)
      assert.strictEqual(error.reason._tag, "InternalProviderError")
      const Clock = Tool.make("Clock", { success: Schema.String })
      const toolkit = Toolkit.make(Clock)
      const tools = yield* collect(Llm.streamText(restarted, { ...question, toolkit })).pipe(
        Effect.provide([layers, toolkit.toLayer({ Clock: () => Effect.succeed("noon") })])
      )
      assert.strictEqual(described(interruption(tools.exit)).partial, "330 m")
      assert.strictEqual(first.calls.length, 2)
      assert.strictEqual(second.calls.length, 0)
    }))
})

describe("Resume.restart: an answer that cannot be opened", () => {
  // Ends with what the provider says it cost.
  const costly: ScriptedProvider.Step = ScriptedProvider.text(["330", " m"], { finishReason: "error" })

  for (
    const failing of [
      ScriptedProvider.fail("Overloaded"),
      ScriptedProvider.fail("InvalidRequest"),
      ScriptedProvider.fail("ContentFiltered"),
      ScriptedProvider.fail("AuthenticationFailed", { delay: "3 seconds" }),
      ScriptedProvider.parts([])
    ]
  ) {
    const name = typeof failing.ending === "object" ? failing.ending._tag : "an empty one"
    it.effect(`leaves the break what it was: ${name}`, () =>
      Effect.gen(function*() {
        const alone = yield* Run.parts(openai, { openai: [costly] })
        const expected = described(interruption(alone.exit))
        assert.isDefined(expected.usage)
        assert.strictEqual(expected.failure, "ServerError")
        const ran = yield* Run.parts(openai.pipe(Resume.restart(anthropic, { times: 3 })), {
          openai: [costly],
          anthropic: [failing]
        })
        assert.deepStrictEqual(described(interruption(ran.exit)), expected)
        assert.deepStrictEqual(ran.shown, ["330", " m"])
        assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), [
          "StreamInterrupted",
          name === "an empty one" ? "StreamInterrupted" : name
        ])
        assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
        assert.strictEqual(ran.receipt.provider, "openai")
        assert.strictEqual(ran.probe.timers() + ran.probe.fibers(), 0)
      }))
  }

  it.effect("may fail with anything, of which the type says nothing", () =>
    Effect.gen(function*() {
      const mine: Llm.Llm<"my own", never> = Llm.make({ plan: anthropic.plan, open: () => Effect.fail("my own") })
      const ran = yield* Run.parts(Resume.restart(openai, mine), { openai: [broken] })
      assert.strictEqual(described(interruption(ran.exit)).provider, "openai")
    }))

  it.effect("does not hide a defect, nor acts on one", () =>
    Effect.gen(function*() {
      const cut = new LlmError.StreamInterrupted({ partial: Redacted.make(""), reason: "closed" })
      const both = Llm.make({
        plan: openai.plan,
        open: () =>
          Effect.succeed(Opened.flow(Stream.concat(
            Stream.succeed(delta("a")),
            Stream.failCause(Cause.combine(Cause.fail(cut), Cause.die("a bug")))
          )))
      })
      const first = yield* Run.parts(Resume.restart(both, anthropic), {})
      assert(Exit.isFailure(first.exit) && Cause.hasDies(first.exit.cause))
      assert.deepStrictEqual(first.receipt.events, [])
      const mine = Llm.make({ plan: anthropic.plan, open: () => Effect.die("a bug") })
      const ran = yield* Run.parts(Resume.restart(openai, mine), { openai: [broken] })
      assert(Exit.isFailure(ran.exit) && Cause.hasDies(ran.exit.cause))
    }))
})

describe("Resume.restart: which breaks", () => {
  const idle = openai.pipe(Llm.timeout({ idle: "5 seconds" }))
  const total = openai.pipe(Llm.timeout({ total: "5 seconds" }))
  const whole = Llm.whole(openai)
  const stall = ScriptedProvider.breakOff(["330", " m"], "stall")
  const mended: Record<string, readonly [Llm.Llm<LlmError.LlmError, OpenAi>, ScriptedProvider.Step]> = {
    "a connection that is cut": [openai, broken],
    "an answer without an end": [openai, ScriptedProvider.parts(broken.parts)],
    "a provider that fails": [openai, ScriptedProvider.breakOff(["330", " m"], "ServerError")],
    "a provider with no capacity": [openai, ScriptedProvider.breakOff(["330", " m"], "Overloaded")],
    "silence": [idle, stall]
  }
  for (const [name, [llm, step]] of Object.entries(mended)) {
    it.effect(`mends ${name}`, () =>
      Effect.gen(function*() {
        const ran = yield* Run.parts(Resume.restart(llm, anthropic), { openai: [step], anthropic: [other] })
        assert.deepStrictEqual(ran.shown, ["330", " m", "<retract>", "Bon", "jour"])
        assert.notInclude(Run.outcomes(ran.openai), undefined)
      }))
  }

  const left: Record<string, readonly [Llm.Llm<LlmError.LlmError, OpenAi>, ScriptedProvider.Step]> = {
    "a cut by the output limit": [whole, ScriptedProvider.text(["330", " m"], { finishReason: "length" })],
    "a refusal": [openai, ScriptedProvider.text(["330", " m"], { finishReason: "content-filter" })],
    "a refusal that comes as an error": [openai, ScriptedProvider.breakOff(["330", " m"], "ContentFiltered")],
    "an invalid request": [openai, ScriptedProvider.breakOff(["330", " m"], "InvalidRequest")],
    "the limit over all": [total, stall]
  }
  for (const [name, [llm, step]] of Object.entries(left)) {
    it.effect(`leaves alone ${name}`, () =>
      Effect.gen(function*() {
        const alone = yield* Run.parts(llm, { openai: [step] })
        const ran = yield* Run.parts(Resume.restart(llm, anthropic), { openai: [step] })
        assert.deepStrictEqual(described(interruption(ran.exit)), described(interruption(alone.exit)))
        assert.strictEqual(ran.anthropic.length, 0)
        assert.deepStrictEqual(ran.receipt.events, alone.receipt.events)
      }))
  }

  it.effect("leaves alone what breaks when the deadline has passed, or in a probe", () =>
    Effect.gen(function*() {
      const changes: ReadonlyArray<Partial<Call.Call>> = [{ deadline: 0 }, { single: true }]
      for (const change of changes) {
        const llm = Llm.make({ plan: restarted.plan, open: (call) => restarted.open({ ...call, ...change }) })
        const ran = yield* Run.parts(llm, { openai: [broken] })
        assert.strictEqual(described(interruption(ran.exit)).partial, "330 m")
        assert.strictEqual(ran.anthropic.length, 0)
      }
    }))
})

describe("Resume.restart: what it shares with other policies", () => {
  it.effect("asks a retry budget for the same model again, and not for another one", () =>
    Effect.gen(function*() {
      const again = Resume.restart(openai, openai, { times: 2 }).pipe(RetryBudget.guard())
      const denied = yield* Run.parts(provided(again), { openai: [broken, broken] })
      assert.deepStrictEqual(denied.shown, ["330", " m", "<retract>", "330", " m"])
      assert.strictEqual(denied.receipt.events.length, 1)
      const another = Resume.restart(openai, anthropic, { times: 2 }).pipe(RetryBudget.guard())
      const ran = yield* Run.parts(provided(another), {
        openai: [broken],
        // The second time it is the same one again, for which there is one permission.
        anthropic: [broken, other]
      })
      assert.deepStrictEqual(ran.shown, ["330", " m", "<retract>", "330", " m", "<retract>", "Bon", "jour"])
    }))

  it.effect("closes what has broken off before it asks again, and what it asked in vain at once", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const noting = (name: string, llm: Llm.Llm<LlmError.ProviderError, OpenAi | Anthropic>) =>
        Llm.make({
          plan: llm.plan,
          open: (call) =>
            Effect.andThen(
              Effect.addFinalizer(() => Effect.sync(() => seen.push(`${name} closed`))),
              Effect.suspend(() => {
                seen.push(`${name} opens`)
                return llm.open(call)
              })
            )
        })
      const llm = Resume.restart(noting("first", openai), noting("second", anthropic))
      yield* Run.parts(llm, { openai: [broken], anthropic: [other] })
      assert.deepStrictEqual(seen, ["first opens", "first closed", "second opens", "second closed"])
      seen.length = 0
      const reporting = Llm.make({
        plan: llm.plan,
        open: (call) =>
          Effect.map(
            llm.open(call),
            (opened) => Opened.mapFlow(opened, Stream.tapError(() => Effect.sync(() => seen.push("failed"))))
          )
      })
      yield* Run.parts(reporting, { openai: [broken], anthropic: [ScriptedProvider.fail("Overloaded")] })
      assert.deepStrictEqual(seen, ["first opens", "first closed", "second opens", "second closed", "failed"])
    }))

  it.effect("lets go of what has broken off before it asks again", () =>
    Effect.gen(function*() {
      const first = ScriptedProvider.make(OpenAi, [ScriptedProvider.breakOff(["330"], "stall")])
      const outcomes: Array<string | undefined> = []
      // The same permit for both.
      const limited = <E, R>(llm: Llm.Llm<E, R>) => Limiter.enforce(llm, { key: "one" })
      const llm = provided(
        openai.pipe(Llm.timeout({ idle: "5 seconds" }), limited, Resume.restart(limited(anthropic)))
      )
      const own = Llm.make({
        plan: llm.plan,
        open: (call) => Effect.provide(llm.open(call), first.layer)
      })
      const ran = yield* Run.parts(own, {
        anthropic: () => {
          outcomes.push(...Run.outcomes(first.calls))
          return other
        }
      })
      assert.deepStrictEqual(ran.shown, ["330", "<retract>", "Bon", "jour"])
      assert.deepStrictEqual(outcomes, ["interrupted"])
      assert.deepStrictEqual(ran.receipt.attempts.map((attempt) => attempt.outcome), ["TimedOut", "success"])
    }))
})

describe("Resume.restart: its receipt", () => {
  it.effect("tells of the break, and of who served in the end", () =>
    Effect.gen(function*() {
      const ran = yield* Run.parts(restarted, {
        openai: [ScriptedProvider.breakOff(["330"], "cut", { delay: "1 second" })],
        anthropic: [ScriptedProvider.parts([
          { type: "response-metadata", modelId: "claude-haiku-4-5-20251001" },
          delta("Bonjour"),
          finish()
        ], { delay: "2 seconds" })]
      })
      const { attempts, events, finishReason, model, outcome, provider, timings } = ran.receipt
      assert.deepStrictEqual(events, [{ type: "resume", atMillis: 1_000, afterAttempts: 1, reason: "closed" }])
      assert.deepStrictEqual(
        attempts.map((
          { outcome, provider, startMillis, usage }
        ) => [provider, outcome, startMillis, usage !== undefined]),
        [["openai", "StreamInterrupted", 0, false], ["anthropic", "success", 1_000, true]]
      )
      assert.deepStrictEqual([provider, model, outcome, finishReason], [
        "anthropic",
        "claude-haiku-4-5-20251001",
        "success",
        "stop"
      ])
      assert.deepStrictEqual(timings, { firstPartMillis: 3_000, totalMillis: 3_000 })
      assert.strictEqual(ran.receipt.usage.outputText, 4)
    }))
})

describe("Resume: settings", () => {
  it("must be possible", () => {
    for (const times of [0, -1, 1.5, NaN, Infinity]) {
      assert.throws(() => Resume.restart(openai, anthropic, { times }), RangeError, `Resume.restart: times`)
      assert.throws(() => openai.pipe(Resume.continue(anthropic, { times })), RangeError, `Resume.continue: times`)
    }
  })

  it("stand in the plan, which counts the most there can be", () => {
    assert.strictEqual(String(restarted), "restart\n├─ openai/gpt-5-mini\n└─ anthropic/claude-haiku-4-5")
    assert.strictEqual(Plan.worstCase(restarted.plan), 2)
    const thrice = Resume.continue(openai, anthropic, { times: 3 })
    assert.strictEqual(
      String(thrice),
      "continue\n├─ openai/gpt-5-mini\n└─ again up to 3 times\n   └─ anthropic/claude-haiku-4-5"
    )
    assert.strictEqual(Plan.worstCase(thrice.plan), 4)
  })
})
