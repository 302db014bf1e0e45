/**
 * Which `LanguageModel` serves which name, when it is built and when released.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { LanguageModelProvider } from "effect-bulwark/providers"
import { LanguageModel, Prompt } from "effect/ai"
import { failureOf, modelOf, P, question, saying } from "./support/scriptedModel.ts"

describe("several models", () => {
  /** A layer that says when it is built and released. */
  const watched = (log: Array<string>, id: string) =>
    Layer.effect(
      LanguageModel.LanguageModel,
      Effect.acquireRelease(
        Effect.sync(() => log.push(`+${id}`)),
        () => Effect.sync(() => log.push(`-${id}`))
      ).pipe(Effect.andThen(Effect.provide(LanguageModel.LanguageModel, modelOf(saying(id)))))
    )

  const textFrom = (id: string) => Effect.map(Llm.generateText(Llm.model(P, id), question), ({ text }) => text)

  it.effect("of a record are built with the provider, once, and released with it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        LanguageModelProvider.layerModels(P, { a: watched(log, "a"), b: watched(log, "b") }),
        scope
      )
      assert.deepStrictEqual(log, ["+a", "+b"])
      const texts = yield* Effect.forEach(["a", "b", "a"], textFrom).pipe(Effect.provide(context))
      assert.deepStrictEqual(texts, ["a", "b", "a"])
      for (const id of ["c", "toString", "__proto__"]) {
        const error = yield* failureOf(textFrom(id)).pipe(Effect.provide(context))
        assert.strictEqual(error._tag, "ModelNotFound")
        assert.deepStrictEqual([error.provider, error.model], ["p", id])
      }
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log, ["+a", "+b", "-b", "-a"])
    }))

  it.effect("of a record fail the provider where one cannot be built, and release the others", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const broken = Layer.effect(LanguageModel.LanguageModel, Effect.fail("no key" as const))
      const error = yield* failureOf(Effect.scoped(
        Layer.build(LanguageModelProvider.layerModels(P, { a: watched(log, "a"), b: broken }))
      ))
      assert.strictEqual(error, "no key")
      assert.deepStrictEqual(log, ["+a", "-a"])
    }))

  it.effect("that are looked up are built when asked for, once also by many at once, and released with the provider", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        LanguageModelProvider.layerLookup(P, (id) => id.length === 1 ? watched(log, id) : undefined),
        scope
      )
      assert.deepStrictEqual(log, [])
      const texts = yield* Effect.forEach(["a", "a", "b", "a"], textFrom, { concurrency: "unbounded" }).pipe(
        Effect.provide(context)
      )
      assert.deepStrictEqual(texts, ["a", "a", "b", "a"])
      assert.deepStrictEqual(log, ["+a", "+b"])
      const error = yield* failureOf(textFrom("long")).pipe(Effect.provide(context))
      assert.deepStrictEqual([error._tag, error.model], ["ModelNotFound", "long"])
      yield* Effect.provide(textFrom("a"), context)
      assert.deepStrictEqual(log, ["+a", "+b"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log.toSorted(), ["+a", "+b", "-a", "-b"])
    }))

  it.effect("that are looked up fail the call where one cannot be built, and the next call tries again", () =>
    Effect.gen(function*() {
      let builds = 0
      const layer = LanguageModelProvider.layerLookup(P, () =>
        Layer.unwrap(Effect.suspend(() =>
          builds++ === 0
            ? Effect.fail(new LlmError.ConnectionFailed({ provider: "vault" }))
            : Effect.succeed(modelOf(saying("at last")))
        )))
      yield* Effect.gen(function*() {
        const error = yield* failureOf(textFrom("a"))
        assert.deepStrictEqual([error._tag, error.provider], ["ConnectionFailed", "vault"])
        assert.strictEqual(yield* textFrom("a"), "at last")
        assert.strictEqual(yield* textFrom("a"), "at last")
      }).pipe(Effect.provide(layer))
      assert.strictEqual(builds, 2)
    }))

  it.effect("outlive the call that has built them, also one that was interrupted", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const slow = Layer.unwrap(Effect.as(Deferred.await(gate), watched(log, "a")))
      yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(textFrom("a"), { startImmediately: true })
        const second = yield* Effect.forkChild(textFrom("a"), { startImmediately: true })
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(second), "a")
        assert.strictEqual(yield* textFrom("a"), "a")
        assert.deepStrictEqual(log, ["+a"])
      }).pipe(Effect.provide(LanguageModelProvider.layerLookup(P, () => slow)))
    }))

  it.effect("are built from what the provider was made with, not from what the first caller has", () =>
    Effect.gen(function*() {
      class Name extends Context.Service<Name, string>()("test/Name") {}
      const named = Layer.unwrap(Effect.map(Name, (name) => modelOf(saying(name))))
      const layer = LanguageModelProvider.layerLookup(P, () => named).pipe(
        Layer.provide(Layer.succeed(Name, "the provider's"))
      )
      const text = yield* Effect.gen(function*() {
        const context = yield* Layer.build(layer)
        return yield* textFrom("a").pipe(Effect.provideService(Name, "the caller's"), Effect.provide(context))
      })
      assert.strictEqual(text, "the provider's")
    }))

  it.effect("share what they share, and wait apart where that is asked for", () =>
    Effect.gen(function*() {
      let clients = 0
      class Client extends Context.Service<Client, number>()("test/Client") {}
      const client = Layer.effect(Client, Effect.sync(() => ++clients))
      const model = () => Layer.unwrap(Effect.map(Client, () => modelOf(saying("hi")))).pipe(Layer.provide(client))
      const provider = yield* Effect.provide(
        P,
        LanguageModelProvider.layerModels(P, { a: model(), b: model() }, {
          quotaDomain: "model"
        })
      )
      assert.strictEqual(clients, 1)
      const request = { ...question, prompt: Prompt.make("a"), tools: [], toolChoice: "auto", settings: {} } as const
      assert.strictEqual(
        provider.quotaDomain?.({ ...request, model: "a", responseFormat: { type: "text" } }),
        "a"
      )
    }))
})
