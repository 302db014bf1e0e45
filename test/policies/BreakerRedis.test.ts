/**
 * Circuits that processes share through a real Redis: each "process" here has a connection and a breaker of its own.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Stream } from "effect"
import { Breaker, Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { collect, OpenAi, openai, question } from "../core/support/stack.ts"
import * as addresses from "../support/addresses.ts"
import { makeProxy } from "../support/proxy.ts"
import * as Redis from "../support/redis.ts"

const key = "openai/gpt-5-mini"
const ok = ScriptedProvider.text(["330", " m"])
const fails = ScriptedProvider.fail("Overloaded")

const llm = openai.pipe(Breaker.guard())
const strict = openai.pipe(Breaker.guard({ onStoreError: "fail" }))
const text = <E, R>(llm: Llm.Llm<E, R>) => Effect.map(Llm.generateText(llm, question), (answer) => answer.text)
const stream = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))

const now: { step: ScriptedProvider.Step } = { step: ok }

/** Processes that share circuits, and one provider. */
const processes = (count: number, options: Breaker.Options & Breaker.RedisStoreOptions) =>
  Effect.gen(function*() {
    now.step = ok
    const prefix = Redis.prefix()
    const provider = ScriptedProvider.make(OpenAi, () => now.step)
    const upstream = yield* Layer.build(provider.layer)
    const contexts = yield* Effect.forEach(
      Array.from({ length: count }),
      () =>
        Layer.build(Layer.fresh(
          Breaker.layerRedis({ prefix, storeTimeout: "5 seconds", ...options }).pipe(Layer.provide(Redis.layer))
        ))
    )
    return { calls: provider.calls, at: contexts.map((context) => Context.merge(context, upstream)) }
  })

const in_ = <R2>(context: Context.Context<R2>) => Effect.provideContext(context)

const stateIn = (context: Context.Context<Breaker.Breaker>) => Context.get(context, Breaker.Breaker).state(key)

Redis.describeRedis("circuits in Redis", () => {
  it.live("are one for all processes", () =>
    Effect.gen(function*() {
      const { at: [a, b], calls } = yield* processes(2, {
        trip: Breaker.consecutive(3),
        openDuration: "800 millis"
      })
      now.step = fails
      yield* Effect.exit(text(llm).pipe(in_(a!)))
      yield* Effect.exit(stream(llm).pipe(in_(b!)))
      assert.strictEqual((yield* stateIn(b!))._tag, "Closed")
      yield* Effect.exit(text(llm).pipe(in_(a!)))
      for (const context of [a!, b!]) {
        assert.strictEqual((yield* stateIn(context))._tag, "Open")
        const refused = yield* Effect.flip(text(llm).pipe(in_(context)))
        assert(refused instanceof LlmError.CircuitOpen)
        assert.isTrue(Duration.isLessThanOrEqualTo(refused.retryAfter!, Duration.millis(800)))
      }
      assert.strictEqual(calls.length, 3)
      yield* Effect.sleep("850 millis")
      now.step = ok
      yield* text(llm).pipe(in_(b!))
      assert.strictEqual((yield* stateIn(a!))._tag, "Closed")
    }).pipe(Effect.scoped))

  for (const [kind, ask] of [["a full answer", text], ["a stream", stream]] as const) {
    it.live(`send one probe between them, for as long as it takes: ${kind}`, () =>
      Effect.gen(function*() {
        const { at, calls } = yield* processes(2, {
          trip: Breaker.consecutive(1),
          openDuration: "50 millis",
          // Shorter than the probe, so that it has to be renewed.
          probeLease: "300 millis"
        })
        now.step = fails
        yield* Effect.exit(ask(llm).pipe(in_(at[0]!)))
        yield* Effect.sleep("60 millis")
        now.step = { ...ok, delay: "900 millis" }
        const fibers = yield* Effect.forEach(
          Array.from({ length: 50 }),
          (_, n) => Effect.forkChild(Effect.exit(ask(llm).pipe(in_(at[n % 2]!))), { startImmediately: true })
        )
        yield* Effect.sleep("600 millis")
        assert.strictEqual((yield* Effect.flip(ask(llm).pipe(in_(at[1]!))))._tag, "CircuitOpen")
        const exits = yield* Fiber.joinAll(fibers)
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        assert.strictEqual(calls.length, 2)
        assert.strictEqual((yield* stateIn(at[1]!))._tag, "Closed")
      }).pipe(Effect.scoped))
  }

  it.live("free the slot of a probe at once when it is interrupted", () =>
    Effect.gen(function*() {
      const { at: [a, b], calls } = yield* processes(2, { trip: Breaker.consecutive(1), openDuration: "50 millis" })
      now.step = fails
      yield* Effect.exit(text(llm).pipe(in_(a!)))
      yield* Effect.sleep("60 millis")
      now.step = ScriptedProvider.breakOff("a", "stall")
      const probe = yield* Effect.forkChild(collect(Llm.streamText(llm, question)).pipe(in_(a!)), {
        startImmediately: true
      })
      while (calls.length < 2) yield* Effect.sleep("5 millis")
      assert.strictEqual((yield* Effect.flip(text(llm).pipe(in_(b!))))._tag, "CircuitOpen")
      yield* Fiber.interrupt(probe)
      now.step = ok
      yield* text(llm).pipe(in_(b!))
      assert.strictEqual((yield* stateIn(a!))._tag, "Closed")
    }).pipe(Effect.scoped))

  it.live("open and close by hand for all processes", () =>
    Effect.gen(function*() {
      const { at: [a, b], calls } = yield* processes(2, { trip: Breaker.consecutive(1) })
      const [here, there] = [Context.get(a!, Breaker.Breaker), Context.get(b!, Breaker.Breaker)]
      // An outcome of before changes nothing, neither of the one nor of the other.
      now.step = { ...fails, delay: "200 millis" }
      const early = yield* Effect.forkChild(Effect.exit(text(llm).pipe(in_(b!))), { startImmediately: true })
      while (calls.length < 1) yield* Effect.sleep("5 millis")
      yield* here.open(key, "5 minutes")
      const state = yield* there.state(key)
      assert(state._tag === "Open")
      assert.isTrue(Duration.isGreaterThan(state.retryAfter, Duration.minutes(4)))
      assert.strictEqual((yield* Effect.flip(text(llm).pipe(in_(b!))))._tag, "CircuitOpen")
      yield* there.close(key)
      assert.deepStrictEqual(yield* here.state(key), { _tag: "Closed", key })
      yield* Fiber.join(early)
      assert.strictEqual((yield* here.state(key))._tag, "Closed")
      now.step = ok
      yield* text(llm).pipe(in_(a!))
      assert.strictEqual(calls.length, 2)
      // For ever is as long as Redis can keep.
      yield* here.open(key, Duration.infinity)
      assert.strictEqual((yield* there.state(key))._tag, "Open")
    }).pipe(Effect.scoped))

  it.live("tell their own transitions only", () =>
    Effect.gen(function*() {
      const { at: [a, b] } = yield* processes(2, { trip: Breaker.consecutive(1), openDuration: "50 millis" })
      const heard: Array<string> = []
      for (const [name, context] of [["a", a!], ["b", b!]] as const) {
        yield* Context.get(context, Breaker.Breaker).transitions.pipe(
          Stream.runForEach(({ from, to }) => Effect.sync(() => void heard.push(`${name}: ${from} > ${to}`))),
          Effect.forkScoped({ startImmediately: true })
        )
      }
      now.step = fails
      yield* Effect.exit(text(llm).pipe(in_(a!)))
      yield* Effect.sleep("60 millis")
      now.step = ok
      yield* text(llm).pipe(in_(b!))
      for (let n = 0; n < 100 && heard.length < 3; n++) yield* Effect.sleep("10 millis")
      assert.deepStrictEqual(heard, ["a: Closed > Open", "b: Open > HalfOpen", "b: HalfOpen > Closed"])
    }).pipe(Effect.scoped))

  it.live("are counted by a rate, too", () =>
    Effect.gen(function*() {
      const { at, calls } = yield* processes(2, { trip: Breaker.rate({ threshold: 0.5, size: 6 }) })
      for (const [n, step] of [ok, fails, ok, fails, ok, fails].entries()) {
        assert.strictEqual((yield* stateIn(at[0]!))._tag, "Closed")
        now.step = step
        yield* Effect.exit(text(llm).pipe(in_(at[n % 2]!)))
      }
      const state = yield* stateIn(at[0]!)
      assert(state._tag === "Open")
      assert.strictEqual(calls.length, 6)
    }).pipe(Effect.scoped))
})

Redis.describeRedis("a Redis that goes away", () => {
  const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timed(Effect.exit(effect))

  for (const fault of ["freeze", "die"] as const) {
    it.live(`${fault}: calls are made all the same, or fail, within the time of the store`, () =>
      Effect.gen(function*() {
        const proxy = yield* makeProxy(addresses.redis)
        const provider = ScriptedProvider.make(OpenAi, () => ok)
        const context = yield* Layer.build(Layer.mergeAll(
          provider.layer,
          Breaker.layerRedis({ prefix: Redis.prefix(), storeTimeout: "100 millis" }).pipe(
            Layer.provide(Layer.orDie(NodeRedis.layer({
              socket: { host: "127.0.0.1", port: proxy.port, reconnectStrategy: false }
            })))
          )
        ))
        assert.strictEqual(yield* text(strict).pipe(in_(context)), "330 m")
        proxy[fault]()
        for (const ask of [text, stream] as const) {
          const [took, exit] = yield* timed(ask(llm).pipe(in_(context)))
          assert.isTrue(Exit.isSuccess(exit))
          assert.isTrue(Duration.isLessThan(took, Duration.seconds(2)), Duration.format(took))
          const [failed, refused] = yield* timed(ask(strict).pipe(in_(context)))
          assert.strictEqual((yield* Effect.flip(refused))._tag, "StoreUnavailable")
          assert.isTrue(Duration.isLessThan(failed, Duration.seconds(2)), Duration.format(failed))
        }
        assert.strictEqual(provider.calls.length, 3)
        const breaker = Context.get(context, Breaker.Breaker)
        assert.strictEqual((yield* Effect.flip(breaker.open(key)))._tag, "StoreUnavailable")
        // Or the client would wait for its replies before it closes.
        if (fault === "freeze") proxy.thaw()
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))
  }
})
