/**
 * What becomes of calls when the store of the circuits does not do its part.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Logger, type LogLevel, References, Stream } from "effect"
import { Breaker, Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { CircuitBreaker, Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"
const ok = ScriptedProvider.text(["330", " m"])

type Store = Breaker.BreakerStore["Service"]
type Operation = "admit" | "record" | "state" | "reset"

const unavailable = new CircuitBreaker.CircuitBreakerError({
  reason: new CircuitBreaker.CircuitBreakerStoreError({ message: "no connection" })
})

const faults = {
  "fails": Effect.fail(unavailable),
  "hangs for ever": Effect.never,
  "dies": Effect.die(new Error("a bug"))
} as const

/** A store far away, of which some operations do not work; the others do. */
const faulty = (
  operations: ReadonlyArray<Operation>,
  fault: Effect.Effect<never, CircuitBreaker.CircuitBreakerError>
) =>
  Layer.effect(
    Breaker.BreakerStore,
    Effect.map(Breaker.BreakerStore, (store): Store => {
      const broken = (operation: Operation) => operations.includes(operation)
      return {
        local: false,
        admit: (key) => broken("admit") ? fault : store.admit(key),
        record: (options) => broken("record") ? fault : store.record(options),
        state: (key) => broken("state") ? fault : store.state(key),
        reset: (key) => broken("reset") ? fault : store.reset(key)
      }
    })
  ).pipe(Layer.provide(Breaker.layerStoreMemory()))

const world = (options: {
  readonly broken: ReadonlyArray<Operation>
  readonly fault: Effect.Effect<never, CircuitBreaker.CircuitBreakerError>
}) => {
  const now: { step: ScriptedProvider.Step } = { step: ok }
  const provider = ScriptedProvider.make(OpenAi, () => now.step)
  const logged: Array<{ readonly level: LogLevel.LogLevel; readonly message: string }> = []
  const logger = Logger.make(({ logLevel, message }) => {
    logged.push({ level: logLevel, message: String(Array.isArray(message) ? message[0] : message) })
  })
  return {
    now,
    calls: provider.calls,
    logged,
    layer: Layer.mergeAll(
      provider.layer,
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "All"),
      Breaker.layer({ trip: Breaker.consecutive(1), openDuration: "10 seconds" }).pipe(
        Layer.provide(faulty(options.broken, options.fault))
      )
    )
  }
}

/** Runs an effect for as long as it takes, and tells how long that was. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let millis = 0; millis < 2_000 && fiber.pollUnsafe() === undefined; millis++) yield* TestClock.adjust(1)
    const exit = fiber.pollUnsafe()
    assert.isDefined(exit, "it still waits")
    return { exit: exit!, millis: (yield* Clock.currentTimeMillis) - before }
  })

const text = <E, R>(llm: Llm.Llm<E, R>) => Effect.map(Llm.generateText(llm, question), (answer) => answer.text)
const stream = <E, R>(llm: Llm.Llm<E, R>) =>
  Llm.streamText(llm, question).pipe(Llm.textDeltas, Stream.runCollect, Effect.map((texts) => texts.join("")))
const kinds = { "a full answer": text, "a stream": stream } as const

const allowing = openai.pipe(Breaker.guard())
const strict = openai.pipe(Breaker.guard({ onStoreError: "fail" }))

for (const [name, fault] of Object.entries(faults)) {
  const bound = name === "hangs for ever" ? 250 : 0
  for (const [kind, ask] of Object.entries(kinds)) {
    describe(`a store that ${name}: ${kind}`, () => {
      it.effect("the call is made all the same, unrecorded, and that is logged", () => {
        const { calls, layer, logged, now } = world({ broken: ["admit"], fault })
        return Effect.gen(function*() {
          const receipts = makeReceipts()
          const probe = yield* makeProbe
          const { exit, millis } = yield* timed(probe.watch(receipts.observe(ask(allowing))))
          assert.strictEqual(yield* exit, "330 m")
          assert.strictEqual(millis, bound)
          assert.deepStrictEqual(receipts.one().events, [])
          assert.deepStrictEqual(logged.map(({ message }) => message), [
            "Breaker store unavailable, the call goes on unrecorded"
          ])
          assert.strictEqual(probe.timers() + probe.fibers(), 0)
          now.step = ScriptedProvider.fail("Overloaded")
          for (let n = 0; n < 3; n++) {
            const { exit } = yield* timed(ask(allowing))
            assert.strictEqual((yield* Effect.flip(exit))._tag, "Overloaded")
          }
          assert.strictEqual(calls.length, 4)
        }).pipe(Effect.provide(layer))
      })

      it.effect("the call fails where that is asked for, and nothing is sent", () => {
        const { calls, layer, logged } = world({ broken: ["admit"], fault })
        return Effect.gen(function*() {
          const receipts = makeReceipts()
          const { exit, millis } = yield* timed(receipts.observe(ask(strict)))
          const error = yield* Effect.flip(exit)
          assert(error instanceof LlmError.StoreUnavailable)
          assert.strictEqual(error.store, "breaker")
          assert.strictEqual(error.operation, "admit")
          assert.strictEqual(error.provider, "openai")
          assert.strictEqual(millis, bound)
          assert.strictEqual(calls.length, 0)
          assert.deepStrictEqual(receipts.one().events.map(({ reason, type }) => [type, reason]), [
            ["rejected", "StoreUnavailable"]
          ])
          assert.strictEqual(logged.length, 1)
        }).pipe(Effect.provide(layer))
      })

      it.effect("an outcome that cannot be recorded is lost, logged, and spoils nothing", () => {
        const { layer, logged, now } = world({ broken: ["record"], fault })
        return Effect.gen(function*() {
          for (const llm of [allowing, strict]) {
            logged.length = 0
            now.step = ok
            const good = yield* timed(ask(llm))
            assert.strictEqual(yield* good.exit, "330 m")
            assert.strictEqual(good.millis, bound)
            now.step = ScriptedProvider.fail("Overloaded")
            const bad = yield* timed(ask(llm))
            assert.strictEqual((yield* Effect.flip(bad.exit))._tag, "Overloaded")
            assert.strictEqual(bad.millis, bound)
            assert.deepStrictEqual(logged.map(({ message }) => message), [
              "Breaker could not record an outcome",
              "Breaker could not record an outcome"
            ])
          }
          const breaker = yield* Breaker.Breaker
          assert.strictEqual((yield* breaker.state(key))._tag, "Closed")
        }).pipe(Effect.provide(layer))
      })

      it.effect("a call that is interrupted meanwhile ends in time", () => {
        const { calls, layer } = world({ broken: ["admit"], fault })
        return Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(ask(allowing), { startImmediately: true })
          const { millis } = yield* timed(Fiber.interrupt(fiber))
          assert.isAtMost(millis, 250)
          // Where the store does not answer at all, the call was interrupted before it was made.
          assert.strictEqual(calls.length, bound === 0 ? 1 : 0)
        }).pipe(Effect.provide(layer))
      })
    })
  }

  it.effect(`a store that ${name} is told of to those who ask by hand`, () => {
    const all = world({ broken: ["admit", "record", "state", "reset"], fault })
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      for (
        const [operation, effect] of [
          ["state", breaker.state(key)],
          ["open", breaker.open(key)],
          ["close", breaker.close(key)]
        ] as const
      ) {
        const { exit, millis } = yield* timed(effect)
        assert(Exit.isFailure(exit))
        const error = yield* Effect.flip(exit)
        assert(error instanceof LlmError.StoreUnavailable)
        assert.strictEqual(error.operation, operation)
        assert.strictEqual(millis, bound)
      }
    }).pipe(Effect.provide(all.layer))
  })
}

describe("a store far away", () => {
  it.effect("is waited for as long as is said", () =>
    Effect.gen(function*() {
      const { exit, millis } = yield* timed(text(strict))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(millis, 40)
    }).pipe(Effect.provide(Layer.mergeAll(
      ScriptedProvider.layer(OpenAi, []),
      Logger.layer([]),
      Breaker.layer({ storeTimeout: "40 millis" }).pipe(Layer.provide(faulty(["admit"], Effect.never)))
    ))))

  it.effect("works like one at hand, and leaves nothing behind", () => {
    const { calls, layer, logged, now } = world({ broken: [], fault: Effect.never })
    return Effect.gen(function*() {
      const probe = yield* makeProbe
      const ask = probe.watch(Effect.exit(text(strict)))
      now.step = ScriptedProvider.fail("Overloaded")
      yield* ask
      yield* ask
      yield* TestClock.adjust("10 seconds")
      now.step = ok
      yield* ask
      yield* probe.watch(stream(strict))
      assert.strictEqual(calls.length, 3)
      assert.deepStrictEqual(logged, [])
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives its lease up when the probe is over, however it ends, and when it does not answer in time", () => {
    let held = 0
    let slow = false
    const now: { step: ScriptedProvider.Step } = { step: ok }
    const provider = ScriptedProvider.make(OpenAi, () => now.step)
    const leasing = Layer.effect(
      Breaker.BreakerStore,
      Effect.map(Breaker.BreakerStore, (store): Store => ({
        ...store,
        local: false,
        admit: (key) =>
          Effect.gen(function*() {
            yield* Effect.acquireRelease(Effect.sync(() => void held++), () => Effect.sync(() => void held--))
            if (slow) return yield* Effect.never
            return yield* store.admit(key)
          })
      }))
    ).pipe(Layer.provide(Breaker.layerStoreMemory()))
    return Effect.gen(function*() {
      for (const ask of [text(allowing), stream(allowing)]) {
        const steps: ReadonlyArray<ScriptedProvider.Step> = [
          ok,
          ScriptedProvider.fail("InvalidRequest"),
          ScriptedProvider.breakOff("a")
        ]
        for (const step of steps) {
          now.step = { ...step, delay: "1 second" }
          const fiber = yield* Effect.forkChild(Effect.exit(ask), { startImmediately: true })
          assert.strictEqual(held, 1)
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(fiber)
          assert.strictEqual(held, 0)
        }
        now.step = ScriptedProvider.silence
        const fiber = yield* Effect.forkChild(ask, { startImmediately: true })
        assert.strictEqual(held, 1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(held, 0)
        slow = true
        now.step = ok
        yield* timed(ask)
        slow = false
        assert.strictEqual(held, 0)
      }
    }).pipe(Effect.provide(Layer.mergeAll(
      provider.layer,
      Logger.layer([]),
      Breaker.layer({ trip: Breaker.consecutive(100) }).pipe(Layer.provide(leasing))
    )))
  })
})

describe("what a store fails with", () => {
  it.effect("is logged at the level that is set for it, or not at all", () => {
    const { layer, logged } = world({ broken: ["admit"], fault: faults["fails"] })
    return Effect.gen(function*() {
      yield* text(allowing)
      yield* Effect.provideService(text(allowing), References.UnhandledLogLevel, "Debug")
      yield* Effect.provideService(text(allowing), References.UnhandledLogLevel, undefined)
      assert.deepStrictEqual(logged.map(({ level }) => level), ["Error", "Debug"])
    }).pipe(Effect.provide(layer))
  })
})

describe("a circuit that others trip while it is opened by hand", () => {
  it.effect("is open for as long as was said", () => {
    let trips = 3
    const tripping = Layer.effect(
      Breaker.BreakerStore,
      Effect.map(Breaker.BreakerStore, (store): Store => ({
        ...store,
        // Someone fails between the reset and what comes after it.
        reset: (key) =>
          Effect.andThen(
            store.reset(key),
            Effect.suspend(() =>
              trips-- <= 0 ? Effect.void : Effect.scoped(
                Effect.flatMap(store.admit(key), ({ generation }) =>
                  Effect.asVoid(store.record({
                    key,
                    generation,
                    outcome: "Failure",
                    tripPolicy: Breaker.consecutive(1),
                    openFor: Duration.seconds(1)
                  })))
              )
            )
          )
      }))
    ).pipe(Layer.provide(Breaker.layerStoreMemory()))
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      yield* breaker.open(key, "5 minutes")
      const state = yield* breaker.state(key)
      assert(state._tag === "Open")
      assert.strictEqual(trips, -1)
    }).pipe(Effect.provide(Breaker.layer().pipe(Layer.provide(tripping))))
  })
})

describe("Redis", () => {
  it.effect("has its keys where the prefix says", () => {
    const commands: Array<ReadonlyArray<string>> = []
    const recording = Layer.succeed(Redis.Redis, {
      send: (command, ...args) =>
        Effect.suspend(() => {
          commands.push([command, ...args])
          return Effect.fail(new Redis.RedisError({ cause: new Error("not today") }))
        }),
      subscribe: () => Effect.die("not asked for"),
      eval: (script) => (...params) =>
        Effect.suspend(() => {
          commands.push(["EVAL", String(script.params(...params)[0])])
          return Effect.fail(new Redis.RedisError({ cause: new Error("not today") }))
        }),
      reserve: Effect.die("not asked for")
    })
    return Effect.gen(function*() {
      for (const [options, prefix] of [[{}, "bulwark:breaker:"], [{ prefix: "eu:" }, "eu:"]] as const) {
        commands.length = 0
        yield* Effect.gen(function*() {
          const store = yield* Breaker.BreakerStore
          yield* Effect.flip(Effect.scoped(store.admit("a")))
          const error = yield* Effect.flip(store.reset("a"))
          assert.strictEqual(error.reason._tag, "CircuitBreakerStoreError")
        }).pipe(Effect.provide(Breaker.layerStoreRedis(options).pipe(Layer.provide(recording))))
        assert.deepStrictEqual(commands, [["EVAL", `${prefix}a`], ["DEL", `${prefix}a`]])
      }
    })
  })
})
