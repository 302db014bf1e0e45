/**
 * A store that fails, or never answers, in each phase; with what becomes of the call, and of the books.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { books, budget, type Fault, faulty } from "./support/budget.ts"

const limits: ReadonlyArray<Budget.Limit> = [
  { resource: "usd", limit: "1", window: Budget.total },
  { resource: "requests", limit: 100, window: Budget.total }
]

const within = (options: Budget.EnforceOptions) =>
  Llm.generateText(openai.pipe(Budget.enforce({ maxOutputTokens: 100, ...options })), question)

const quick = () => ScriptedProvider.text("Hi", { delay: "1 second" })

const options = { limits, storeTimeout: "250 millis", lease: "10 minutes" } as const

const setUp = (test: (store: ReturnType<typeof faulty>) => Effect.Effect<void, unknown, Budget.Budget | OpenAi>) =>
  Effect.suspend(() => {
    const store = faulty()
    return Effect.provide(test(store), [budget(options, store.layer), ScriptedProvider.layer(OpenAi, quick)])
  })

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forkChild(Effect.exit(effect), { startImmediately: true })

for (const fault of ["fails", "is silent"] as const satisfies ReadonlyArray<Fault>) {
  // A question that was not answered may have been understood.
  for (const does of [false, true]) {
    describe(`a store that ${fault}${does ? ", and has done what it was asked" : ""}`, () => {
      it.effect("when it is asked to reserve: nothing is sent, and nothing stays held", () =>
        setUp((store) =>
          Effect.gen(function*() {
            Object.assign(store.faults, { reserve: fault, does })
            const fiber = yield* start(within({}))
            yield* TestClock.adjust("250 millis")
            const exit = yield* Fiber.join(fiber)
            assert(Exit.isFailure(exit))
            const error = yield* Effect.flip(exit)
            assert(error._tag === "StoreUnavailable")
            assert.deepStrictEqual([error.store, error.operation], ["budget", "reserve"])
            assert.deepStrictEqual(store.asked, ["reserve", "void"])
            assert.deepStrictEqual(yield* books(), [[0, 0], [0, 0]])
          })
        ))

      it.effect("when it is asked to reserve, where that is allowed: it is sent, and booked afterwards", () =>
        setUp((store) =>
          Effect.gen(function*() {
            Object.assign(store.faults, { reserve: fault, does })
            const fiber = yield* start(within({ onStoreError: "allow" }))
            yield* TestClock.adjust("250 millis")
            yield* TestClock.adjust("1 second")
            const exit = yield* Fiber.join(fiber)
            assert(Exit.isSuccess(exit))
            assert.strictEqual(exit.value.receipt.cost, 12)
            assert.deepStrictEqual(yield* books(), [[12, 0], [1, 0]])
          })
        ))

      it.effect("when it is told how a call ended: the answer is there, and the books are right as soon as they can be", () =>
        setUp((store) =>
          Effect.gen(function*() {
            Object.assign(store.faults, { finish: fault, does })
            const fiber = yield* start(within({}))
            yield* TestClock.adjust("1 second")
            // It is waited for, and not for long.
            yield* TestClock.adjust("250 millis")
            const exit = yield* Fiber.join(fiber)
            assert(Exit.isSuccess(exit))
            assert.strictEqual(exit.value.text, "Hi")
            if (!does) assert.deepStrictEqual(yield* books(), [[0, 210], [0, 1]])
            yield* TestClock.adjust("1 minute")
            store.faults.finish = undefined
            yield* TestClock.adjust("1 minute")
            assert.deepStrictEqual(yield* books(), [[12, 0], [1, 0]])
          })
        ))
    })
  }

  describe(`a store that ${fault} for good`, () => {
    it.effect("leaves what it could not be told in sight, to be resolved by hand", () =>
      setUp((store) =>
        Effect.gen(function*() {
          const lost = yield* Budget.changes.pipe(
            Stream.filter((change) => change._tag === "Unsettled"),
            Stream.take(2),
            Stream.runCollect,
            Effect.forkChild({ startImmediately: true })
          )
          yield* Effect.yieldNow
          store.faults.finish = fault
          const fibers = yield* Effect.all([start(within({})), start(within({}))])
          for (let n = 0; n < 20; n++) yield* TestClock.adjust("1 minute")
          for (const fiber of fibers) assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
          assert.strictEqual((yield* Fiber.join(lost)).length, 2)
          store.faults.finish = undefined
          const tries = store.asked.length
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(store.asked.length, tries, "it is not asked for ever")
          assert.deepStrictEqual((yield* Budget.status()).map(({ unsettled }) => unsettled), [420, 2])
          const [one, other] = yield* Budget.unsettled()
          assert.deepStrictEqual(one!.holds.map(({ amount }) => amount), [210, 1])
          assert.isTrue(yield* Budget.resolve(one!, "used"))
          assert.isFalse(yield* Budget.resolve(one!, "used"))
          assert.isTrue(yield* Budget.resolve(other!, "unused"))
          assert.deepStrictEqual(yield* books(), [[210, 0], [1, 0]])
        })
      ))

    it.effect("does not keep a layer open", () =>
      Effect.gen(function*() {
        const store = faulty()
        const fiber = yield* start(
          Effect.gen(function*() {
            store.faults.finish = fault
            return yield* within({})
          }).pipe(Effect.provide([budget(options, store.layer), ScriptedProvider.layer(OpenAi, quick)]))
        )
        yield* TestClock.adjust("1 second")
        yield* TestClock.adjust("250 millis")
        yield* TestClock.adjust("250 millis")
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      }))

    it.effect("is reported to who asks", () =>
      setUp((store) =>
        Effect.gen(function*() {
          store.faults.ask = fault
          store.faults.finish = fault
          for (
            const question of [
              Effect.asVoid(Budget.status()),
              Effect.asVoid(Budget.remaining()),
              Effect.asVoid(Budget.unsettled()),
              Budget.adjust({ resource: "usd", by: 1 }),
              Effect.asVoid(Budget.resolve({ id: "res_1", leasedUntil: 0, holds: [] }, "unused"))
            ]
          ) {
            const fiber = yield* start(question)
            yield* TestClock.adjust("250 millis")
            const exit = yield* Fiber.join(fiber)
            assert(Exit.isFailure(exit))
            assert.strictEqual((yield* Effect.flip(exit))._tag, "StoreUnavailable")
          }
        })
      ))
  })
}

describe("an interruption", () => {
  it.effect("while the store is asked: nothing is sent, and nothing stays held", () =>
    setUp((store) =>
      Effect.gen(function*() {
        Object.assign(store.faults, { reserve: "is silent", does: true })
        const fiber = yield* start(within({}))
        yield* TestClock.adjust("100 millis")
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(store.asked, ["reserve", "void"])
        assert.deepStrictEqual(yield* books(), [[0, 0], [0, 0]])
      })
    ))

  it.effect("while the store is told: it is told all the same, once", () =>
    setUp((store) =>
      Effect.gen(function*() {
        store.faults.finish = "is silent"
        const fiber = yield* start(within({}))
        yield* TestClock.adjust("1 second")
        // It waits for the store no longer than anybody else.
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("250 millis")
        yield* Fiber.join(interrupting)
        store.faults.finish = undefined
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* books(), [[12, 0], [1, 0]])
      })
    ))
})
