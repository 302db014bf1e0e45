/**
 * A store that fails, or never answers, in each phase; with what becomes of the call, and of the books.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FiberSet, Layer, Logger, Option, PubSub, References, type Scope, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Budget, BudgetStore, TokenCount } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Books } from "../../src/budget/internal/budgetBooks.ts"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { books, budget, counts, type Fault, faulty, prices } from "./support/budget.ts"

const limits: ReadonlyArray<Budget.Limit> = [
  { resource: "usd", limit: "1", window: Budget.total },
  { resource: "requests", limit: 100, window: Budget.total }
]

const within = (options: Budget.EnforceOptions) =>
  Llm.generateText(openai.pipe(Budget.enforce({ maxOutputTokens: 100, ...options })), question)

const quick = () => ScriptedProvider.text("Hi", { delay: "1 second" })

const options = { limits, storeTimeout: "250 millis", lease: "10 minutes" } as const

const setUp = (
  test: (
    store: ReturnType<typeof faulty>
  ) => Effect.Effect<void, unknown, Budget.Budget | BudgetStore.BudgetStore | OpenAi | Scope.Scope>
) =>
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
            store.faults.reserve = undefined
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

describe("a store that is down for long", () => {
  it.effect("while requests are sent all the same: each is booked when it is back, over the limit or not", () =>
    Effect.gen(function*() {
      const store = faulty()
      yield* Effect.gen(function*() {
        Object.assign(store.faults, { reserve: "fails", finish: "is silent" })
        const fibers = yield* Effect.replicateEffect(start(within({ onStoreError: "allow" })), 5)
        yield* TestClock.adjust("10 seconds")
        for (const fiber of fibers) assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
        yield* TestClock.adjust("5 minutes")
        Object.assign(store.faults, { reserve: undefined, finish: undefined })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* books(), [[60, 0], [5, 0]])
      }).pipe(Effect.provide([
        budget({ ...options, limits: [{ ...limits[0]!, limit: "0.000030" }, limits[1]!] }, store.layer),
        ScriptedProvider.layer(OpenAi, quick)
      ]))
    }))

  it.effect("keeps nobody who gets no answer from it any longer than once", () =>
    setUp((store) =>
      Effect.gen(function*() {
        Object.assign(store.faults, { reserve: "is silent", finish: "is silent" })
        const fiber = yield* start(within({}))
        yield* TestClock.adjust("250 millis")
        assert.isDefined(fiber.pollUnsafe())
        Object.assign(store.faults, { reserve: undefined, finish: undefined })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* books(), [[0, 0], [0, 0]])
      })
    ))

  it.effect("what waits for it is bounded, and what does not is tried once and told of", () =>
    Effect.gen(function*() {
      const store = faulty()
      yield* Effect.gen(function*() {
        const changes = yield* PubSub.unbounded<Budget.Change>()
        const seen = yield* PubSub.subscribe(changes)
        const books = new Books({
          store: yield* BudgetStore.BudgetStore,
          limits: [],
          storeTimeout: 250,
          lease: 600_000,
          writes: yield* FiberSet.make(),
          context: yield* Effect.context(),
          changes,
          mostWaiting: 10
        })
        const request = { provider: "openai", model: "gpt-5-mini", usd: 12, tokens: 11, requests: 1 }
        const voided = () => store.asked.filter((operation) => operation === "void").length
        const { store: asked } = books.options
        store.faults.finish = "fails"
        // Nobody waits.
        yield* Effect.forEach(
          Array.from({ length: 15 }, (_, n) => `${n}`),
          (id) => books.write({ ...request, id }, {}, asked.void(id)),
          { discard: true }
        )
        assert.strictEqual(voided(), 15)
        const lost = yield* PubSub.takeUpTo(seen, 100)
        assert.deepStrictEqual(
          lost.map((change) => change._tag === "Unsettled" && [change.id, change.usd]),
          ["10", "11", "12", "13", "14"].map((id) => [id, 12])
        )
        store.faults.finish = undefined
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(voided(), 25)
        assert.strictEqual(yield* FiberSet.size(books.options.writes), 0)
      }).pipe(Effect.provide(store.layer), Effect.provideService(References.UnhandledLogLevel, undefined))
    }))

  it.effect("what it could not be told when the layer is closed is told of, with what it is", () =>
    Effect.gen(function*() {
      const store = faulty()
      const lines: Array<string> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push(`${String(message)} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`)
      })
      const fiber = yield* start(
        Effect.gen(function*() {
          store.faults.finish = "is silent"
          return yield* within({})
        }).pipe(
          Effect.provide([budget(options, store.layer), ScriptedProvider.layer(OpenAi, quick), Logger.layer([logger])])
        )
      )
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("250 millis")
      yield* TestClock.adjust("250 millis")
      yield* Fiber.join(fiber)
      assert.match(
        lines.at(-1)!,
        /could not book a request, res_\w+: the layer is closed \{"usd":12,"tokens":11,"requests":1\}/
      )
    }))
})

describe("what has become of a reservation meanwhile", () => {
  const changes = (tag: "Unsettled") =>
    Effect.gen(function*() {
      const seen: Array<Budget.Change> = []
      yield* Budget.changes.pipe(
        Stream.runForEach((change) => Effect.sync(() => change._tag === tag && seen.push(change))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      return seen
    })

  it.effect("the store has lost it: it is booked all the same", () =>
    Effect.gen(function*() {
      // As a server that is started again without what it had not written yet.
      const forgetful = Layer.effect(
        BudgetStore.BudgetStore,
        Effect.map(BudgetStore.BudgetStore, (store) => {
          let reserved = 0
          return BudgetStore.BudgetStore.of({
            ...store,
            reserve: (reservation) =>
              Effect.suspend(() =>
                reserved++ > 0
                  ? store.reserve(reservation)
                  : Effect.succeed({
                    _tag: "Reserved",
                    balances: reservation.lines.map(() => ({ used: 0, reserved: 0 }))
                  })
              )
          })
        })
      ).pipe(Layer.provide(BudgetStore.layerMemory))
      yield* Effect.gen(function*() {
        const fiber = yield* start(within({}))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
        assert.deepStrictEqual(yield* books(), [[12, 0], [1, 0]])
      }).pipe(Effect.provide([budget(options, forgetful), ScriptedProvider.layer(OpenAi, quick)]))
    }))

  for (const as of ["used", "unused"] as const) {
    it.effect(`somebody has resolved it as ${as}: ${as === "used" ? "that stands" : "what it used is told of"}`, () =>
      setUp(() =>
        Effect.gen(function*() {
          const lost = yield* changes("Unsettled")
          const reserved = yield* Budget.changes.pipe(Stream.runHead, Effect.forkChild({ startImmediately: true }))
          yield* Effect.yieldNow
          const fiber = yield* start(within({}))
          const change = Option.getOrThrow(yield* Fiber.join(reserved))
          assert(change._tag === "Reserved")
          const hold = (amount: number) => ({ account: "", slot: 0, amount })
          assert.isTrue(yield* Budget.resolve({ id: change.id, leasedUntil: 0, holds: [hold(210), hold(1)] }, as))
          yield* TestClock.adjust("1 second")
          assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
          yield* Effect.yieldNow
          assert.deepStrictEqual(
            lost.map((change) => change._tag === "Unsettled" && [change.usd, change.tokens]),
            as === "used" ? [] : [[12, 11]]
          )
          assert.deepStrictEqual(yield* books(), as === "used" ? [[210, 0], [1, 0]] : [[0, 0], [0, 0]])
        })
      ))
  }
})

describe("an interruption", () => {
  it.effect("while what was seen of a broken answer is counted: it is booked all the same", () =>
    Effect.gen(function*() {
      const slow = Layer.effect(
        TokenCount.TokenCount,
        Effect.map(TokenCount.TokenCount, (counter) => ({
          ...counter,
          countText: (...asked: Parameters<typeof counter.countText>) =>
            Effect.delay(counter.countText(...asked), "1 second")
        }))
      ).pipe(Layer.provide(counts))
      const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
      yield* Effect.gen(function*() {
        const fiber = yield* start(Stream.runDrain(Llm.streamText(llm, question)))
        yield* TestClock.adjust("500 millis")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(yield* books(), [[10 + 2 * 5, 0], [1, 0]])
      }).pipe(Effect.provide([
        Budget.layer(options).pipe(Layer.provide(Layer.mergeAll(BudgetStore.layerMemory, prices, slow))),
        ScriptedProvider.layer(OpenAi, [ScriptedProvider.breakOff("Hello")])
      ]))
    }))

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
