import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Attribution, Llm, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"
import { makeReceipts, OpenAi, openai, question } from "./support/stack.ts"

const hello = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!", { delay: "1 second" }))

const attributed = Llm.generateText(openai, question).pipe(Effect.map((answer) => answer.receipt.attribution))

/** Runs an effect for as long as it needs. */
const run = <A, E>(effect: Effect.Effect<A, E, OpenAi>) =>
  Effect.gen(function*() {
    const fiber = yield* effect.pipe(Effect.provide(hello), Effect.forkChild({ startImmediately: true }))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("Attribution", () => {
  it.effect("is empty where nobody sets it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* run(attributed), {})
    }))

  it.effect("nests: inner fields win, tags are merged", () =>
    Effect.gen(function*() {
      const attribution = yield* run(attributed.pipe(
        Attribution.annotate({ feature: "search", user: "u2", tags: { a: "inner", b: "inner" } }),
        Attribution.annotate({ tags: { d: "between" } }),
        Attribution.annotate({ tenant: "acme", user: "u1", requestId: "r", tags: { a: "outer", c: "outer" } })
      ))
      assert.deepStrictEqual(attribution, {
        tenant: "acme",
        user: "u2",
        requestId: "r",
        feature: "search",
        tags: { a: "inner", b: "inner", c: "outer", d: "between" }
      })
    }))

  it.effect("ends with its region", () =>
    Effect.gen(function*() {
      const attributions = yield* run(Effect.all([
        attributed,
        Attribution.annotate(attributed, { tenant: "acme" }),
        attributed
      ]))
      assert.deepStrictEqual(attributions, [{}, { tenant: "acme" }, {}])
    }))

  it.effect("does not leak between regions that run at the same time", () =>
    Effect.gen(function*() {
      const tenants = Array.from({ length: 50 }, (_, index) => `tenant ${index}`)
      const attributions = yield* run(Effect.forEach(
        tenants,
        (tenant, index) =>
          Effect.sleep(index % 7).pipe(
            Effect.andThen(Attribution.annotate(Effect.all([attributed, attributed], { concurrency: 2 }), { tenant })),
            Attribution.annotate({ feature: `feature ${index % 3}` })
          ),
        { concurrency: "unbounded" }
      ))
      assert.deepStrictEqual(
        attributions,
        tenants.map((tenant, index) => [{ feature: `feature ${index % 3}`, tenant }, {
          feature: `feature ${index % 3}`,
          tenant
        }])
      )
    }))

  it.effect("is that of whoever runs a stream, not of whoever made it", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const stream = yield* Attribution.annotate(Effect.sync(() => Llm.streamText(openai, question)), { user: "maker" })
      yield* run(Stream.runDrain(stream).pipe(receipts.observe, Attribution.annotate({ user: "reader" })))
      assert.deepStrictEqual(receipts.one().attribution, { user: "reader" })
    }))

  it.effect("is known to policies", () =>
    Effect.gen(function*() {
      const seen: Array<Attribution.Attribution> = []
      const policy = Llm.make({
        plan: Plan.policy("by tenant", { children: [openai.plan] }),
        open: (call) => {
          seen.push(call.attribution)
          return openai.open(call)
        }
      })
      yield* run(Attribution.annotate(Llm.generateText(policy, question), { tenant: "acme" }))
      assert.deepStrictEqual(seen, [{ tenant: "acme" }])
    }))

  it.effect("reaches calls with tools, and calls through effect/ai's model", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const toolkit = Toolkit.make(Tool.make("Lookup", { success: Schema.String }))
      const layer = Layer.provide(Llm.layerLanguageModel(openai), hello)
      // The model is made before, and outside of, the region.
      const model = yield* Effect.provide(LanguageModel.LanguageModel, layer).pipe(
        Attribution.annotate({ user: "maker", tenant: "maker" })
      )
      yield* run(
        Effect.all([
          Llm.generateText(openai, { ...question, toolkit }),
          Stream.runDrain(Llm.streamText(openai, { ...question, toolkit })),
          model.generateText(question),
          Stream.runDrain(model.streamText(question))
        ]).pipe(
          Effect.provide(toolkit.toLayer({ Lookup: () => Effect.succeed("") })),
          receipts.observe,
          Attribution.annotate({ user: "caller" })
        )
      )
      assert.deepStrictEqual(receipts.seen.map((receipt) => receipt.attribution), [
        { user: "caller" },
        { user: "caller" },
        { user: "caller" },
        { user: "caller" }
      ])
    }))

  it("merges without changing either", () => {
    const a = { user: "a", tags: { x: "1" } }
    const b = { tenant: "b", tags: { y: "2" } }
    assert.deepStrictEqual(Attribution.merge(a, b), { user: "a", tenant: "b", tags: { x: "1", y: "2" } })
    assert.deepStrictEqual(a, { user: "a", tags: { x: "1" } })
    assert.deepStrictEqual(b, { tenant: "b", tags: { y: "2" } })
    assert.deepStrictEqual(Attribution.merge(a, {}), a)
    assert.deepStrictEqual(Attribution.merge({}, b), b)
  })
})
