import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Schedule, Scope, Stream } from "effect"
import { Llm, LlmError, Opened, type Part, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { contentFilterMetadata } from "../../src/core/internal/contentFilter.ts"
import { delta, finish } from "./support/chunked.ts"
import { makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

describe("Llm", () => {
  it("is a value with a plan", () => {
    assert.isTrue(Llm.isLlm(openai))
    assert.isTrue(Llm.isLlm(openai.pipe(Llm.whole)))
    for (const other of [undefined, null, {}, openai.plan, Effect.void]) assert.isFalse(Llm.isLlm(other))
    assert.strictEqual(`${openai}`, "openai/gpt-5-mini")
    assert.deepStrictEqual(JSON.parse(JSON.stringify(openai)), {
      _id: "effect-bulwark/Llm",
      plan: { policy: "model", detail: "openai/gpt-5-mini", repeats: 1, children: [] }
    })
  })

  it("takes its policies in a pipe or as a call", () => {
    const other = Llm.model(OpenAi, "gpt-5-nano")
    assert.deepStrictEqual(Llm.orElse(openai, other).plan, openai.pipe(Llm.orElse(other)).plan)
    assert.deepStrictEqual(Llm.orElseSucceed(openai, () => "").plan, openai.pipe(Llm.orElseSucceed(() => "")).plan)
    assert.deepStrictEqual(Llm.timeout(openai, { idle: 1 }).plan, openai.pipe(Llm.timeout({ idle: 1 })).plan)
    assert.deepStrictEqual(Llm.withSettings(openai, {}).plan, openai.pipe(Llm.withSettings({})).plan)
  })
})

describe("Llm.attempt", () => {
  /** Opens something, holds on to it, and then does this. */
  const opening = <E>(log: Array<string>, then: Effect.Effect<Opened.Opened, E>) =>
    Llm.attempt(Effect.andThen(Effect.addFinalizer(() => Effect.sync(() => void log.push("released"))), then))

  it.effect("lets go at once of what a failure, a defect or an interruption leaves", () =>
    Effect.gen(function*() {
      for (const end of [Effect.fail("no"), Effect.die("no"), Effect.interrupt]) {
        const log: Array<string> = []
        const scope = yield* Scope.make()
        const exit = yield* opening(log, end).pipe(Scope.provide(scope), Effect.exit)
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(log, ["released"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(log, ["released"])
      }
    }))

  it.effect("lets go of what it held when it is interrupted from outside", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      const fiber = yield* opening(log, Effect.never).pipe(
        Scope.provide(scope),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["released"])
    }))

  it.effect("holds on to what a success has opened, for as long as the call", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      yield* opening(log, Effect.succeed(Opened.whole([]))).pipe(Scope.provide(scope))
      assert.deepStrictEqual(log, [])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log, ["released"])
    }))
})

describe("Opened", () => {
  const parts: Array<Part.Part> = [delta("a"), finish()]
  const shout = (stream: Stream.Stream<Part.Part, LlmError.StreamInterrupted>) =>
    Stream.map(stream, (part): Part.Part => part.type === "text-delta" ? { ...part, delta: `${part.delta}!` } : part)

  it.effect("is a stream either way", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Stream.runCollect(Opened.stream(Opened.whole(parts))), parts)
      assert.deepStrictEqual(yield* Stream.runCollect(Opened.stream(Opened.flow(Stream.fromIterable(parts)))), parts)
    }))

  it.effect("changes what still flows, and nothing that is all there", () =>
    Effect.gen(function*() {
      const whole = Opened.whole(parts)
      assert.strictEqual(Opened.mapFlow(whole, shout), whole)
      const flow = Opened.mapFlow(Opened.flow(Stream.fromIterable(parts)), shout)
      assert.strictEqual(flow._tag, "Flow")
      assert.deepStrictEqual(yield* Stream.runCollect(Opened.stream(flow)), [delta("a!"), finish()])
    }))

  it.effect("may be whole in a stream: an answer that was kept is read like any other", () =>
    Effect.gen(function*() {
      const kept = Llm.make({
        plan: Plan.policy("kept", { children: [] }),
        open: () => Effect.succeed(Opened.whole(parts))
      })
      const texts = yield* Stream.runCollect(Llm.textDeltas(Llm.streamText(kept, question)))
      assert.deepStrictEqual(texts, ["a"])
    }))
})

describe("a refusal", () => {
  it.effect("says of what, as far as the adapter knows, and keeps the model's own words to itself", () =>
    Effect.gen(function*() {
      const refusal = {
        ...finish("content-filter"),
        metadata: contentFilterMetadata(["violence", "hate"], "I must not.")
      }
      const error = yield* Llm.generateText(openai, question).pipe(
        Effect.flip,
        Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts([refusal])]))
      )
      assert(error._tag === "ContentFiltered")
      assert.deepStrictEqual(error.categories, ["violence", "hate"])
      assert(error.detail !== undefined)
      assert.strictEqual(Redacted.value(error.detail), "I must not.")
      assert.notInclude(error.message + JSON.stringify(error), "I must not")
    }))
})

describe("a policy of one's own", () => {
  // As in the documentation of `Llm.make`.
  const cooling = <E, R>(self: Llm.Llm<E, R>): Llm.Llm<E, R> =>
    Llm.make({
      plan: Plan.policy("cooling", { children: [self.plan] }),
      open: (call) =>
        self.open({
          ...call,
          request: { ...call.request, settings: { ...call.request.settings, temperature: 1 / (1 + call.attempt) } }
        })
    })

  it.effect("works for texts, streams and effect/ai's model alike", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(
        OpenAi,
        (_, index) => index % 2 === 0 ? ScriptedProvider.fail("Overloaded") : ScriptedProvider.text("330 m")
      )
      const llm = openai.pipe(cooling, Llm.retry(Schedule.recurs(1)), Llm.withSettings({ seed: 7 }))
      yield* Effect.all([
        Llm.generateText(llm, question),
        Stream.runDrain(Llm.streamText(llm, question)),
        Effect.provide(LanguageModel.generateText(question), Llm.layerLanguageModel(llm))
      ]).pipe(Effect.provide(provider.layer))
      assert.deepStrictEqual(
        provider.calls.map(({ request }) => [request.settings.temperature, request.settings.seed]),
        Array.from({ length: 6 }, (_, index) => [index % 2 === 0 ? 1 : 0.5, 7])
      )
    }))

  it.effect("may refuse a call that has opened: that is its failure, not the provider's", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [
        ScriptedProvider.text(["a", "b"], { between: "1 second" })
      ])
      const refusing = Llm.make({
        plan: Plan.policy("refusing", { children: [openai.plan] }),
        open: (call) => Effect.andThen(openai.open(call), Effect.fail(new LlmError.InvalidOutput({ problem: "rude" })))
      })
      const receipts = makeReceipts()
      const fiber = yield* Stream.runDrain(Llm.streamText(refusing, question)).pipe(
        Effect.flip,
        receipts.observe,
        Effect.provide(provider.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "InvalidOutput")
      assert.strictEqual(receipts.one().outcome, "InvalidOutput")
      assert.deepStrictEqual(receipts.one().attempts.map((attempt) => attempt.outcome), ["interrupted"])
      assert.deepStrictEqual(provider.calls.map((call) => call.outcome), ["interrupted"])
    }))
})
