/**
 * What one call wants of the cache, and what is forgotten.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Attribution, Llm, type PromptReference } from "effect-bulwark"
import { Cache, CacheKey } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Prompt } from "effect/ai"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, type OpenAi, openai, question } from "../core/support/stack.ts"
import { ask, counting } from "./support/cached.ts"

const hour = { timeToLive: "1 hour" } as const
const cached = openai.pipe(Cache.through(hour))

const wants = (directive: Cache.Directive, llm: Llm.Llm<unknown, OpenAi | Cache.Cache> = cached) =>
  ask(llm).pipe(Cache.withDirective(directive))

const world = () => Effect.provide([Cache.layerMemory(), counting().layer])

describe("directives", () => {
  it.effect("skip: nothing is read, shared or written", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* wants({ mode: "skip" }), "bypass: answer 1")
      assert.strictEqual(yield* ask(cached), "miss: answer 2")
      assert.strictEqual(yield* wants({ mode: "skip" }), "bypass: answer 3")
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
      assert.strictEqual((yield* Cache.statistics).bypassed, 2)
    }).pipe(world()))

  it.effect("refresh: a model is asked, and its answer kept", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask(cached), "miss: answer 1")
      assert.strictEqual(yield* wants({ mode: "refresh" }), "miss: answer 2")
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
    }).pipe(world()))

  it.effect("refresh shares no call that is under way; writeOnly does", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "1 second" })
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(["default", "refresh", "writeOnly", "refresh"] as const, (mode) =>
          Effect.forkChild(wants({ mode }), { startImmediately: true }))
        yield* TestClock.adjust("1 second")
        const results = yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(results, ["miss: answer 1", "miss: answer 2", "coalesced: answer 1", "miss: answer 3"])
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("readOnly: what is found is given, and what is not is not kept", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* wants({ mode: "readOnly" }), "miss: answer 1")
      assert.strictEqual(yield* wants({ mode: "readOnly" }), "miss: answer 2")
      assert.strictEqual(yield* ask(cached), "miss: answer 3")
      assert.strictEqual(yield* wants({ mode: "readOnly" }), "hit: answer 3")
    }).pipe(world()))

  it.effect("readOnly: a call that keeps its answer does not share one that does not", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "1 second" })
      yield* Effect.gen(function*() {
        const reading = yield* Effect.forkChild(wants({ mode: "readOnly" }), { startImmediately: true })
        const writing = yield* Effect.forkChild(ask(cached), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(reading)
        yield* Fiber.join(writing)
        assert.strictEqual(yield* ask(cached), "hit: answer 2")
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("readOnly: an old answer is given and not asked for anew", () =>
    Effect.gen(function*() {
      const provider = counting()
      const llm = openai.pipe(Cache.through({ timeToLive: "1 second", staleWhileRevalidate: "1 minute" }))
      yield* Effect.gen(function*() {
        yield* ask(llm)
        yield* TestClock.setTime(1_000)
        assert.strictEqual(yield* wants({ mode: "readOnly" }, llm), "stale: answer 1")
        yield* TestClock.adjust(0)
        assert.strictEqual(provider.calls.length, 1)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))

  it.effect("writeOnly: nothing is read", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask(cached), "miss: answer 1")
      assert.strictEqual(yield* wants({ mode: "writeOnly" }), "miss: answer 2")
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
    }).pipe(world()))

  it.effect("maximumAge, to the millisecond, of fresh and of old answers", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(
        Cache.through({ timeToLive: "10 seconds", staleWhileRevalidate: "10 seconds", staleIfError: "1 minute" })
      )
      yield* ask(llm)
      yield* TestClock.setTime(5_000)
      assert.strictEqual(yield* wants({ maximumAge: "5 seconds" }, llm), "hit: answer 1")
      assert.strictEqual(yield* wants({ mode: "readOnly", maximumAge: 4_999 }, llm), "miss: answer 2")
      yield* TestClock.setTime(15_000)
      assert.strictEqual(yield* wants({ mode: "readOnly", maximumAge: "15 seconds" }, llm), "stale: answer 1")
      assert.strictEqual(yield* wants({ maximumAge: 14_999 }, llm), "miss: answer 3")
    }).pipe(world()))

  it.effect("the inner one wins, and tags add up", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* wants({ mode: "default" }).pipe(Cache.withDirective({ mode: "skip" })),
        "miss: answer 1"
      )
      const directive = yield* Effect.service(Cache.CurrentDirective).pipe(
        Cache.withDirective({ tags: ["b"] }),
        Cache.withDirective({ mode: "skip", tags: ["a"] })
      )
      assert.deepStrictEqual(directive, { mode: "skip", tags: ["a", "b"] })
    }).pipe(world()))

  it.effect("holds for streams, and through a LanguageModel", () =>
    Effect.gen(function*() {
      const stream = Stream.runDrain(Llm.streamText(cached, question))
      yield* stream
      yield* stream.pipe(Cache.withDirective({ mode: "refresh" }))
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
    }).pipe(world()))
})

describe("invalidation", () => {
  const as = (attribution: Attribution.Attribution) => ask(cached).pipe(Attribution.annotate(attribution))

  it.effect("by key", () =>
    Effect.gen(function*() {
      yield* ask(cached)
      const request = {
        prompt: Prompt.make(question.prompt),
        tools: [],
        toolChoice: "none",
        settings: {},
        responseFormat: { type: "text" }
      } as const
      const key = yield* CacheKey.make({ scope: CacheKey.tenantOf({}), plan: openai.plan, request })
      yield* Cache.invalidate({ key: "0".repeat(64) })
      assert.strictEqual(yield* ask(cached), "hit: answer 1")
      yield* Cache.invalidate({ key })
      assert.strictEqual(yield* ask(cached), "miss: answer 2")
    }).pipe(world()))

  it.effect("by the keys that the changes tell", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(Cache.changes, 3)), {
        startImmediately: true
      })
      yield* Effect.yieldNow
      yield* ask(cached)
      yield* ask(cached)
      const changes = yield* Fiber.join(fiber)
      assert.deepStrictEqual(changes.map(({ _tag }) => _tag).toSorted(), ["Hit", "Miss", "Written"])
      assert.strictEqual(new Set(changes.map(({ key }) => key)).size, 1)
      yield* Cache.invalidate({ key: changes[0]!.key! })
      assert.strictEqual(yield* ask(cached), "miss: answer 2")
    }).pipe(world()))

  it.effect("by tag, of the policy and of the call", () =>
    Effect.gen(function*() {
      const tagged = openai.pipe(
        Cache.through({ ...hour, tags: ({ attribution }) => [`feature ${attribution.feature}`, "all"] })
      )
      const of = (feature: string, tags: ReadonlyArray<string> = []) =>
        ask(tagged).pipe(Attribution.annotate({ feature }), Cache.withDirective({ tags }))
      yield* of("search")
      yield* of("chat")
      yield* of("chat", ["caf\u00e9"])
      yield* Cache.invalidate({ tag: "feature search" })
      assert.strictEqual(yield* of("search"), "miss: answer 4")
      assert.strictEqual(yield* of("chat"), "hit: answer 2")
      yield* Cache.invalidate({ tag: "cafe\u0301" })
      assert.strictEqual(yield* of("chat", ["caf\u00e9"]), "miss: answer 5")
      assert.strictEqual(yield* of("chat"), "hit: answer 2")
      yield* Cache.invalidate({ tag: "all" })
      assert.strictEqual(yield* of("chat"), "miss: answer 6")
    }).pipe(world()))

  it.effect("by model, of stacks that have it anywhere", () =>
    Effect.gen(function*() {
      const both = openai.pipe(Llm.orElse(anthropic), Cache.through(hour))
      yield* ask(both)
      yield* ask(cached)
      yield* Cache.invalidate({ model: "anthropic/claude-haiku-4-5" })
      assert.strictEqual(yield* ask(both), "miss: answer 3")
      assert.strictEqual(yield* ask(cached), "hit: answer 2")
      yield* Cache.invalidate({ model: "openai/gpt-5-mini" })
      assert.strictEqual(yield* ask(cached), "miss: answer 4")
    }).pipe(world(), Effect.provide(ScriptedProvider.layer(Anthropic, []))))

  it.effect("by prompt, and by one of its versions", () =>
    Effect.gen(function*() {
      const of = (version: number) => {
        const prompt: PromptReference.PromptReference = { name: "summary", version, hash: `h${version}` }
        return ask(Llm.make({ plan: cached.plan, open: (call) => cached.open({ ...call, prompt }) }))
      }
      yield* of(1)
      yield* of(2)
      yield* ask(cached)
      yield* Cache.invalidate({ prompt: "summary", version: 1 })
      assert.strictEqual(yield* of(1), "miss: answer 4")
      assert.strictEqual(yield* of(2), "hit: answer 2")
      yield* Cache.invalidate({ prompt: "summary" })
      assert.strictEqual(yield* of(2), "miss: answer 5")
      assert.strictEqual(yield* ask(cached), "hit: answer 3")
    }).pipe(world()))

  it.effect("by scope", () =>
    Effect.gen(function*() {
      const byUser = openai.pipe(Cache.through({ ...hour, scope: "user" }))
      const open = openai.pipe(Cache.through({ ...hour, scope: "public" }))
      const own = openai.pipe(Cache.through({ ...hour, scope: () => "team" }))
      const user = (attribution: Attribution.Attribution) => ask(byUser).pipe(Attribution.annotate(attribution))
      const all = Effect.all([
        as({ tenant: "a" }),
        as({ tenant: "b" }),
        as({}),
        user({ tenant: "a", user: "u" }),
        user({ tenant: "a", user: "v" }),
        user({ tenant: "b", user: "u" }),
        ask(open),
        ask(own)
      ])
      const missed = Effect.map(all, (results) => results.flatMap((result, n) => result.startsWith("miss") ? [n] : []))
      assert.deepStrictEqual(yield* missed, [0, 1, 2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(yield* missed, [])
      for (
        const [scope, expected] of [
          [{ tenant: "a", user: "u" }, [3]],
          [{ tenant: "a" }, [0, 3, 4]],
          [{}, [2]],
          ["public", [6]],
          [{ own: "team" }, [7]],
          [{ tenant: "" }, []]
        ] as const
      ) {
        yield* Cache.invalidate({ scope })
        assert.deepStrictEqual(yield* missed, [...expected], JSON.stringify(scope))
      }
      yield* Cache.clear
      assert.deepStrictEqual(yield* missed, [0, 1, 2, 3, 4, 5, 6, 7])
    }).pipe(world()))

  it.effect("what was asked before is not kept, and whoever asks after does not share it", () =>
    Effect.gen(function*() {
      const provider = counting({ delay: "1 second" })
      yield* Effect.gen(function*() {
        const before = yield* Effect.forkChild(wants({ tags: ["doc"] }), { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        yield* Cache.invalidate({ tag: "doc" })
        const after = yield* Effect.forkChild(wants({ tags: ["doc"] }), { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* Fiber.join(before), "miss: answer 1")
        const between = yield* Effect.forkChild(wants({ tags: ["doc"] }), { startImmediately: true })
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* Fiber.join(after), "miss: answer 2")
        assert.strictEqual(yield* Fiber.join(between), "coalesced: answer 2")
        assert.strictEqual(yield* wants({ tags: ["doc"] }), "hit: answer 2")
        assert.strictEqual(provider.calls.length, 2)
      }).pipe(Effect.provide([Cache.layerMemory(), provider.layer]))
    }))
})
