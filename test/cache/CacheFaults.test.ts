/**
 * A store that fails or is silent, in each phase, and values that cannot be read: what becomes of calls, and how long they wait.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, References } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import type { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { makeReceipts, type OpenAi, openai, question } from "../core/support/stack.ts"
import { ask, counting, type Fault, faulty } from "./support/cached.ts"

const hour = { timeToLive: "1 hour", storeTimeout: "200 millis" } as const
const allowing = openai.pipe(Cache.through(hour))
const failing = openai.pipe(Cache.through({ ...hour, onStoreError: "fail" }))

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Keeps what is logged. */
const logging = () => {
  const lines: Array<string> = []
  return {
    lines,
    layer: Layer.mergeAll(
      Logger.layer([Logger.make(({ cause, message }) => void lines.push(`${message} ${JSON.stringify(cause)}`))]),
      Layer.succeed(References.MinimumLogLevel, "All"),
      Layer.succeed(References.UnhandledLogLevel, "Warn")
    )
  }
}

const timeOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const exit = yield* Effect.exit(effect)
    return { exit, millis: (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - before }
  })

for (const fault of ["fails", "is silent"] as const satisfies ReadonlyArray<Fault>) {
  const waits = fault === "fails" ? 0 : 200

  describe(`a store that ${fault}`, () => {
    const world = (
      test: (
        store: ReturnType<typeof faulty>,
        provider: ReturnType<typeof counting>,
        lines: ReadonlyArray<string>
      ) => Effect.Effect<void, unknown, OpenAi | Cache.Cache>,
      options?: ScriptedProvider.AnswerOptions
    ) =>
      Effect.suspend(() => {
        const store = faulty()
        const provider = counting(options)
        const logs = logging()
        return Effect.provide(test(store, provider, logs.lines), [store.cache, provider.layer, logs.layer])
      })

    it.effect(`when it is asked: the call goes on after ${waits} ms, and its answer is not kept`, () =>
      world((store, provider, lines) =>
        Effect.gen(function*() {
          store.faults.lookup = fault
          const fiber = yield* start(timeOf(ask(allowing)))
          yield* TestClock.adjust("1 second")
          const { exit, millis } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(exit, Exit.succeed("miss: answer 1"))
          assert.strictEqual(millis, waits)
          assert.deepStrictEqual(store.asked, ["lookup"])
          assert.isAbove(lines.length, 0)
          assert.isFalse(lines.some((line) => line.includes(question.prompt)))
          delete store.faults.lookup
          assert.strictEqual(yield* ask(allowing), "miss: answer 2")
          assert.strictEqual((yield* Cache.statistics).storeErrors, 1)
          assert.strictEqual(provider.calls.length, 2)
        })
      ))

    it.effect("when it is asked, where that is not allowed: nothing is sent", () =>
      world((store, provider) =>
        Effect.gen(function*() {
          store.faults.lookup = fault
          const receipts = makeReceipts()
          const fiber = yield* start(timeOf(receipts.observe(Effect.flip(ask(failing)))))
          yield* TestClock.adjust("1 second")
          const { exit, millis } = yield* Fiber.join(fiber)
          assert(Exit.isSuccess(exit))
          assert.instanceOf(exit.value, LlmError.StoreUnavailable)
          assert.strictEqual(millis, waits)
          assert.strictEqual(provider.calls.length, 0)
          assert.deepStrictEqual(receipts.one().events.map(({ reason, type }) => [type, reason]), [[
            "rejected",
            "StoreUnavailable"
          ]])
        })
      ))

    it.effect("when it is asked by many at once: they share one request all the same", () =>
      world((store, provider) =>
        Effect.gen(function*() {
          store.faults.lookup = fault
          const fiber = yield* start(
            Effect.all(Array.from({ length: 20 }, () => ask(allowing)), { concurrency: "unbounded" })
          )
          yield* TestClock.adjust("2 seconds")
          const results = yield* Fiber.join(fiber)
          assert.strictEqual(results.length, 20)
          assert.strictEqual(provider.calls.length, 1)
        }), { delay: "1 second" }))

    it.effect("when it is told the answer: the answer is there, and is not kept", () =>
      world((store) =>
        Effect.gen(function*() {
          store.faults.write = fault
          const fiber = yield* start(timeOf(ask(failing)))
          yield* TestClock.adjust("1 second")
          const { exit, millis } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(exit, Exit.succeed("miss: answer 1"))
          assert.strictEqual(millis, 0)
          delete store.faults.write
          assert.strictEqual(yield* ask(failing), "miss: answer 2")
          assert.strictEqual(yield* ask(failing), "hit: answer 2")
        })
      ))

    it.effect("when it is asked for a lease: the call is made without, and its answer kept", () =>
      world((store) =>
        Effect.gen(function*() {
          store.faults.lease = fault
          store.faults.release = fault
          const fiber = yield* start(timeOf(ask(failing)))
          yield* TestClock.adjust("1 second")
          const { exit, millis } = yield* Fiber.join(fiber)
          assert.deepStrictEqual(exit, Exit.succeed("miss: answer 1"))
          assert.strictEqual(millis, waits)
          assert.strictEqual(yield* ask(failing), "hit: answer 1")
        })
      ))

    it.effect("when something is to be forgotten: whoever asks for that hears it", () =>
      world((store) =>
        Effect.gen(function*() {
          store.all(fault)
          for (const effect of [Cache.invalidate({ tag: "a" }), Cache.invalidate({ key: "a" }), Cache.clear]) {
            const fiber = yield* start(Effect.flip(effect))
            yield* TestClock.adjust("1 second")
            assert.instanceOf(yield* Fiber.join(fiber), LlmError.StoreUnavailable)
          }
          const fiber = yield* start(Cache.statistics)
          yield* TestClock.adjust("1 second")
          assert.isUndefined((yield* Fiber.join(fiber)).store)
        })
      ))

    it.effect("when the layer closes with something to write: not for longer than it says", () =>
      Effect.gen(function*() {
        const store = faulty()
        const fiber = yield* start(timeOf(Effect.provide(
          Effect.andThen(Effect.sync(() => store.faults.write = fault), ask(allowing)),
          [store.cache, counting().layer]
        )))
        yield* TestClock.adjust("10 seconds")
        const { exit, millis } = yield* Fiber.join(fiber)
        assert.deepStrictEqual(exit, Exit.succeed("miss: answer 1"))
        assert.isAtMost(millis, 1_000)
      }))
  })
}

it.effect("an answer that is being written when the layer closes is written", () =>
  Effect.gen(function*() {
    const written: Array<string> = []
    const slow = Layer.effect(
      CacheStore.CacheStore,
      Effect.map(CacheStore.CacheStore, (store) =>
        CacheStore.CacheStore.of({
          ...store,
          write: (key, value, options) =>
            Effect.andThen(
              Effect.sleep("150 millis"),
              Effect.andThen(Effect.sync(() => written.push(key)), store.write(key, value, options))
            )
        }))
    ).pipe(Layer.provide(CacheStore.layerMemory()))
    const fiber = yield* start(
      Effect.provide(ask(allowing), [Cache.layer().pipe(Layer.provide(slow)), counting().layer])
    )
    yield* TestClock.adjust("150 millis")
    assert.strictEqual(yield* Fiber.join(fiber), "miss: answer 1")
    assert.strictEqual(written.length, 1)
  }))

describe("values that cannot be read", () => {
  for (
    const [what, change] of [
      ["of another version", (value) => ({ ...value, v: 99 })],
      ["of another key", (value) => ({ ...value, key: "0".repeat(64) })],
      ["that are something else", () => ({ hello: "world" })],
      ["that were cut", (value) => ({ ...value, parts: (value["parts"] as ReadonlyArray<never>).slice(0, -1) })],
      ["with parts that are none", (value) => ({ ...value, parts: [{ type: "text-delta", delta: 1 }] })]
    ] as ReadonlyArray<readonly [string, (value: CacheStore.Value) => CacheStore.Value]>
  ) {
    it.effect(`${what}: are a miss, are logged, and are mended`, () =>
      Effect.gen(function*() {
        const logs = logging()
        let broken = false
        const store = Layer.effect(
          CacheStore.CacheStore,
          Effect.map(CacheStore.CacheStore, (store) =>
            CacheStore.CacheStore.of({
              ...store,
              lookup: (key, tags) =>
                Effect.map(
                  store.lookup(key, tags),
                  (found) => broken && found.value !== undefined ? { ...found, value: change(found.value) } : found
                ),
              write: (...args) => {
                broken = false
                return store.write(...args)
              }
            }))
        ).pipe(Layer.provide(CacheStore.layerMemory()))
        yield* Effect.gen(function*() {
          assert.strictEqual(yield* ask(failing), "miss: answer 1")
          broken = true
          assert.strictEqual(yield* ask(failing), "miss: answer 2")
          assert.strictEqual(yield* ask(failing), "hit: answer 2")
          const { storeErrors, undecodable } = yield* Cache.statistics
          assert.strictEqual(storeErrors, 0)
          assert.isAtLeast(undecodable, 1)
          assert.isAbove(logs.lines.length, 0)
          assert.isFalse(logs.lines.some((line) => line.includes("answer 1")))
        }).pipe(Effect.provide([Cache.layer().pipe(Layer.provide(store)), counting().layer, logs.layer]))
      }))
  }
})

it.effect("a request that contains itself passes by the cache, and fails where it is sent", () =>
  Effect.gen(function*() {
    const own: { self?: unknown } = {}
    own.self = own
    const { receipt } = yield* Llm.generateText(allowing, {
      ...question,
      settings: { extra: own as Record<string, never> }
    })
    assert.strictEqual(receipt.cache, "bypass")
  }).pipe(Effect.provide([Cache.layerMemory(), counting().layer])))
