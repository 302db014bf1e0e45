/**
 * What is recorded, and what happens to it on its way to the store.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  ManagedRuntime,
  References,
  Stream
} from "effect"
import { Attribution, Llm, Money, Receipt } from "effect-bulwark"
import { Budget, Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { books, budget } from "../budget/support/budget.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { attempt, entry, usage } from "./support/entries.ts"

const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 10 } }),
  Pricing.model({ provider: "openai", model: "gpt-5-mini", since: "2026-01-01", price: { input: 2, output: 20 } }),
  Pricing.model({ provider: "openai", model: "served", price: { input: 5, output: 5 } })
])

const answer = ScriptedProvider.text("330 m", { usage: { inputTokens: { total: 100 }, outputTokens: { total: 10 } } })

const receipt = (id: string, at = 0) => entry(id, at, [{ attempt: attempt({ usage: usage(100, 10) }) }]).receipt

/** A store that can be made to fail or hang, around one in memory. */
const makeStore = Effect.gen(function*() {
  const inner = yield* Effect.map(
    Layer.build(Layer.fresh(Ledger.layerStoreMemory())),
    Context.get(Ledger.LedgerStore)
  )
  const control = {
    does: "write" as "write" | "fail" | "die" | "hang",
    batches: [] as Array<ReadonlyArray<string>>,
    failed: 0
  }
  const failure = new Ledger.LedgerStoreError({ operation: "write", cause: new Error("down") })
  const store = Ledger.LedgerStore.of({
    ...inner,
    write: (entries) =>
      Effect.suspend(() => {
        if (control.does === "hang") return Effect.never
        if (control.does === "die") throw new Error("a bug")
        if (control.does === "fail") {
          control.failed++
          return Effect.fail(failure)
        }
        control.batches.push(entries.map(({ receipt }) => receipt.operationId))
        return inner.write(entries)
      })
  })
  return { control, layer: Layer.succeed(Ledger.LedgerStore, store) }
})

/** Keeps what is logged. */
const logs = () => {
  const messages: Array<string> = []
  return {
    messages,
    layer: Logger.layer([
      Logger.make(({ message }) => void messages.push(String(Array.isArray(message) ? message[0] : message)))
    ])
  }
}

const provided = (store: Layer.Layer<Ledger.LedgerStore>, options?: Ledger.Options) =>
  Ledger.layer(options).pipe(Layer.provide(prices), Layer.provideMerge(store))

const ids = Effect.map(Ledger.find(), ({ entries }) => entries.map(({ receipt }) => receipt.operationId))

const offer = (...receipts: ReadonlyArray<Receipt.Receipt>) =>
  Ledger.Ledger.use((ledger) => Effect.forEach(receipts, ledger.record, { discard: true }))

describe("Ledger", () => {
  describe("records", () => {
    const ledger = provided(Ledger.layerStoreMemory())

    it.effect("the receipt of an operation, with its price", () =>
      Effect.gen(function*() {
        const { receipt } = yield* Llm.generateText(openai, question).pipe(
          Attribution.annotate({ tenant: "acme", tags: { promptVersion: "v1" } }),
          Ledger.record
        )
        yield* Ledger.flush
        const cost = Money.MicroUsd.make(200)
        const attempts = receipt.attempts.map((attempt) => ({ ...attempt, cost }))
        assert.deepStrictEqual((yield* Ledger.find()).entries, [{ receipt: { ...receipt, attempts, cost } }])
        assert.deepStrictEqual(yield* Ledger.status, { buffered: 0, written: 1, dropped: 0, failure: undefined })
      }).pipe(Effect.provide([ledger, ScriptedProvider.layer(OpenAi, [answer])])))

    it.effect("streams, failures, interruptions and what fibers do", () =>
      Effect.gen(function*() {
        const fails = Llm.generateText(anthropic, question)
        yield* Effect.gen(function*() {
          yield* Stream.runDrain(Llm.streamText(openai, question))
          yield* Effect.exit(fails)
          yield* Fiber.join(yield* Effect.forkChild(Llm.generateText(openai, question)))
          const fiber = yield* Effect.forkChild(Llm.generateText(openai, question), { startImmediately: true })
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }).pipe(Ledger.record)
        yield* Ledger.flush
        const [row] = yield* Ledger.spend({ from: 0 })
        assert.deepStrictEqual(row?.outcomes, { success: 2, Overloaded: 1, interrupted: 1 })
        assert.deepStrictEqual([row?.requests, row?.unmetered, row?.cost], [4, 2, 400])
      }).pipe(
        Effect.provide([
          ledger,
          ScriptedProvider.layer(OpenAi, [answer, answer, ScriptedProvider.silence]),
          ScriptedProvider.layer(Anthropic, [ScriptedProvider.fail("Overloaded")])
        ])
      ))

    it.effect("an operation once, though two observe it, and other observers see it too", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const see = (name: string) => Receipt.observe(() => Effect.sync(() => seen.push(name)))
        yield* Llm.generateText(openai, question).pipe(see("inner"), Ledger.record, see("outer"), Ledger.record)
        yield* Ledger.flush
        assert.lengthOf(yield* ids, 1)
        assert.deepStrictEqual(seen, ["inner", "outer"])
      }).pipe(Effect.provide([ledger, ScriptedProvider.layer(OpenAi, [answer])])))

    it.effect("of a whole application, by its layer, on top of other observers", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const app = Llm.generateText(openai, question).pipe(
          Effect.provide([
            Ledger.layerRecord.pipe(Layer.provideMerge(ledger)),
            ScriptedProvider.layer(OpenAi, [answer])
          ]),
          Receipt.observe(() => Effect.sync(() => seen.push("outer")))
        )
        yield* app
        assert.deepStrictEqual(seen, ["outer"])

        const runtime = ManagedRuntime.make(
          ScriptedProvider.layer(OpenAi, [answer, answer]).pipe(
            Layer.provideMerge(Ledger.layerRecord),
            Layer.provideMerge(Layer.fresh(ledger))
          )
        )
        yield* Effect.promise(async () => {
          await runtime.runPromise(Llm.generateText(openai, question))
          await runtime.runPromise(Llm.generateText(openai, question))
          assert.lengthOf(await runtime.runPromise(Effect.andThen(Ledger.flush, ids)), 2)
          await runtime.dispose()
        })
      }))

    it.effect("a layer that is launched records what is done in its making", () =>
      Effect.gen(function*() {
        const done = yield* Deferred.make<void>()
        const app = Layer.effectDiscard(
          Effect.andThen(
            Effect.forkScoped(Effect.andThen(Llm.generateText(openai, question), Deferred.succeed(done, undefined))),
            Effect.void
          )
        )
        const running = yield* Effect.forkChild(Layer.launch(app).pipe(Ledger.record))
        yield* Deferred.await(done)
        yield* Fiber.interrupt(running)
        yield* Ledger.flush
        assert.lengthOf(yield* ids, 1)
      }).pipe(Effect.provide([ledger, ScriptedProvider.layer(OpenAi, [answer])])))
  })

  describe("prices", () => {
    it.effect("each request at its own time, by what was asked for or else by what served, and nothing else is 0", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        const year = Date.parse("2026-01-01T00:00:00Z")
        const used = usage(1_000_000, 0)
        yield* Effect.gen(function*() {
          yield* offer(
            entry("op_turn", year - 1_000, [
              { attempt: attempt({ usage: used, startMillis: 999 }) },
              { attempt: attempt({ usage: used, startMillis: 1_000 }) },
              { attempt: attempt({ usage: used, model: "deployment", servedModel: "served" }) },
              { attempt: attempt({ usage: used, model: "unheard-of", servedModel: "unheard-of-2" }) },
              { attempt: attempt({ outcome: "RateLimited" }) }
            ]).receipt
          )
          yield* Ledger.flush
          const { entries } = yield* Ledger.find()
          assert.deepStrictEqual(
            entries[0]?.receipt.attempts.map(({ cost }) => cost),
            [1_000_000, 2_000_000, 5_000_000, undefined, undefined] as never
          )
          assert.isUndefined(entries[0]?.receipt.cost)
          const [row] = yield* Ledger.spend({ from: 0, to: "2027-01-01" })
          assert.deepStrictEqual([row?.cost, row?.unpriced, row?.unmetered], [8_000_000, 1, 1])
        }).pipe(Effect.provide(provided(layer)))
      }))

    it.effect("what was booked is what it cost, and that is what the price says of what the provider says", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
        yield* Effect.gen(function*() {
          const receipts = makeReceipts()
          yield* Effect.forEach(
            Array.from({ length: 6 }),
            () => Effect.exit(Stream.runDrain(Llm.streamText(llm, question)))
          ).pipe(receipts.observe, Ledger.record)
          yield* Ledger.flush
          const recorded = (yield* Ledger.find()).entries.map(({ receipt }) => receipt)
          assert.sameDeepMembers([...recorded], receipts.seen)
          const attempts = receipts.seen.flatMap(({ attempts }) => attempts)
          assert.deepStrictEqual(
            attempts.map(({ cost, costEstimated, usage }) => [cost, costEstimated, usage !== undefined]),
            [
              [14, undefined, true],
              [201, undefined, true],
              [0, undefined, false],
              [18, true, false],
              [210, true, false],
              [10, true, false]
            ] as never
          )
          for (const { cost, model, provider, usage } of attempts) {
            if (usage !== undefined) assert.strictEqual(cost, yield* Pricing.cost({ provider, model }, usage))
          }
          const [row] = yield* Ledger.spend({ from: 0, to: "2100-01-01" })
          const [[used]] = (yield* books()) as [readonly [number, number]]
          assert.deepStrictEqual(
            [row?.cost, row?.estimated, row?.unpriced, row?.unmetered, row?.requests],
            [used, 3, 0, 0, 6] as never
          )
        }).pipe(Effect.provide([
          // The ledger has other prices: what was booked stands.
          Ledger.layer().pipe(
            Layer.provide(
              Pricing.layerOf([Pricing.model({ provider: "openai", model: () => true, price: { input: 99 } })])
            ),
            Layer.provideMerge(layer)
          ),
          budget({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }),
          ScriptedProvider.layer(OpenAi, [
            ScriptedProvider.text(["Hel", "lo!"]),
            ScriptedProvider.text("Hello!", { usage: { inputTokens: { total: 1 }, outputTokens: { total: 100 } } }),
            ScriptedProvider.fail("RateLimited"),
            ScriptedProvider.breakOff("Hell"),
            ScriptedProvider.text("Hello!", { usage: { inputTokens: {}, outputTokens: {} } }),
            ScriptedProvider.fail("ConnectionFailed")
          ])
        ]))
      }))

    it.effect("an amount that is none is not one", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        yield* Effect.gen(function*() {
          const bad = { cost: Money.MicroUsd.make(1), costEstimated: true }
          yield* offer({
            ...receipt("op_a"),
            attempts: [
              attempt({ ...bad, cost: -1 as Money.MicroUsd }),
              attempt({ ...bad, cost: 0.5 as Money.MicroUsd, usage: usage(1_000_000, 0) })
            ]
          })
          yield* Ledger.flush
          const [found] = (yield* Ledger.find()).entries
          assert.deepStrictEqual(found?.receipt.attempts.map(({ cost, costEstimated }) => [cost, costEstimated]), [
            [undefined, undefined],
            [1_000_000, undefined]
          ] as never)
        }).pipe(Effect.provide(provided(layer)))
      }))

    it.effect("a Pricing that dies prices nothing, and is reported", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        const log = logs()
        const broken = Layer.succeed(Pricing.Pricing, { lookup: () => Effect.die(new Error("broken")) })
        yield* Effect.gen(function*() {
          yield* offer(receipt("op_a"))
          yield* Ledger.flush
          assert.isUndefined((yield* Ledger.find()).entries[0]?.receipt.attempts[0]?.cost)
        }).pipe(Effect.provide([Ledger.layer().pipe(Layer.provide(broken), Layer.provideMerge(layer)), log.layer]))
        assert.deepStrictEqual(log.messages, ["Ledger could not price a request"])
      }))
  })

  describe("writes", () => {
    it.effect("a batch when there is one, and less after a while", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          yield* offer(receipt("op_1"))
          yield* TestClock.adjust("999 millis")
          assert.deepStrictEqual(control.batches, [])
          yield* TestClock.adjust("1 millis")
          assert.deepStrictEqual(control.batches, [["op_1"]])
          yield* offer(receipt("op_2"), receipt("op_3"), receipt("op_4"))
          yield* TestClock.adjust("1 millis")
          assert.deepStrictEqual(control.batches, [["op_1"], ["op_2", "op_3"], ["op_4"]])
        }).pipe(Effect.provide(provided(layer, { batchSize: 2 })))
      }))

    it.effect("what is left when it is closed", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.provide(
          offer(receipt("op_1"), receipt("op_2"), receipt("op_3")),
          provided(layer, { batchSize: 2 })
        )
        assert.deepStrictEqual(control.batches, [["op_1", "op_2"], ["op_3"]])
      }))

    it.effect("while the store is down it keeps all, tries again, and reports", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        const log = logs()
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"), receipt("op_2"))
          yield* TestClock.adjust("2 seconds")
          const { failure, ...counts } = yield* Ledger.status
          assert.deepStrictEqual(counts, { buffered: 2, written: 0, dropped: 0 })
          assert.strictEqual(failure?._tag, "LedgerStoreError")
          assert.isAtLeast(control.failed, 2)
          // Not at every moment, however long it lasts.
          const before = control.failed
          yield* TestClock.adjust("10 minutes")
          assert.isAtMost(control.failed - before, 60)
          assert.isAtLeast(control.failed - before, 10)
          control.does = "write"
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(yield* Ledger.status, { buffered: 0, written: 2, dropped: 0, failure: undefined })
        }).pipe(Effect.provide(provided(layer).pipe(Layer.provideMerge(log.layer))))
        assert.deepStrictEqual(control.batches, [["op_1", "op_2"]])
        assert.strictEqual(log.messages[0], "Ledger could not write, keeps what it has and tries again")
        assert.lengthOf(log.messages, control.failed)
      }))

    it.effect("a store that dies is one that fails", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "die"
          yield* offer(receipt("op_1"))
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual((yield* Effect.flip(Ledger.flush))._tag, "LedgerStoreError")
          control.does = "write"
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(yield* Ledger.status, { buffered: 0, written: 1, dropped: 0, failure: undefined })
        }).pipe(Effect.provide(provided(layer)))
      }))

    it.effect("without a word where no level is set for it", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        const log = logs()
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"))
          yield* TestClock.adjust("5 seconds")
          control.does = "write"
        }).pipe(
          Effect.provide(provided(layer).pipe(Layer.provideMerge(log.layer))),
          Effect.provideService(References.UnhandledLogLevel, undefined)
        )
        assert.deepStrictEqual(log.messages, [])
        assert.isAbove(control.failed, 0)
      }))

    it.effect("a write that hangs is given up and made again", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "hang"
          yield* offer(receipt("op_1"))
          const flushing = yield* Effect.forkChild(Effect.flip(Ledger.flush), { startImmediately: true })
          yield* TestClock.adjust("9999 millis")
          assert.isUndefined(flushing.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          const error = yield* Fiber.join(flushing)
          assert.strictEqual(error.operation, "write")
          assert(error.cause instanceof Cause.TimeoutError)
          control.does = "write"
          yield* Ledger.flush
        }).pipe(Effect.provide(provided(layer, { flushEvery: "1 hour" })))
        assert.deepStrictEqual(control.batches, [["op_1"]])
      }))

    it.effect("whoever is interrupted while flushing loses nothing", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "hang"
          yield* offer(receipt("op_1"))
          const flushing = yield* Effect.forkChild(Ledger.flush, { startImmediately: true })
          yield* Fiber.interrupt(flushing)
          control.does = "write"
          yield* Ledger.flush
          assert.deepStrictEqual(yield* ids, ["op_1"])
        }).pipe(Effect.provide(provided(layer, { flushEvery: "1 hour" })))
      }))
  })

  describe("a full buffer", () => {
    it.effect("drops, counts and reports", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        const log = logs()
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(...["op_1", "op_2", "op_3", "op_4", "op_5"].map((id) => receipt(id)))
          assert.deepInclude(yield* Ledger.status, { buffered: 2, dropped: 3 })
          assert.deepStrictEqual(log.messages, ["Ledger has dropped 1 receipts"])
          control.does = "write"
          yield* Ledger.flush
          assert.deepStrictEqual(yield* ids, ["op_2", "op_1"])
          // There is room again.
          yield* offer(receipt("op_6"))
          yield* Ledger.flush
          assert.deepInclude(yield* Ledger.status, { buffered: 0, written: 3, dropped: 3 })
        }).pipe(Effect.provide(
          provided(layer, { bufferSize: 2, flushEvery: "1 hour", batchSize: 10 }).pipe(Layer.provideMerge(log.layer))
        ))
        // Those of which nothing was said.
        assert.deepStrictEqual(log.messages.slice(1), ["Ledger has dropped 2 receipts"])
      }))

    it.effect("makes operations wait after their answer, until there is room", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"))
          const waiting = yield* Effect.forEach(
            ["op_2", "op_3"],
            (id) => Effect.forkChild(offer(receipt(id)), { startImmediately: true })
          )
          yield* TestClock.adjust("900 millis")
          assert.isUndefined(waiting[0]!.pollUnsafe())
          control.does = "write"
          yield* Effect.forEach([1, 2, 3], () => Ledger.flush)
          yield* Effect.forEach(waiting, Fiber.join)
          assert.deepStrictEqual(yield* ids, ["op_3", "op_2", "op_1"])
          assert.deepInclude(yield* Ledger.status, { buffered: 0, written: 3, dropped: 0 })
        }).pipe(Effect.provide(provided(layer, { bufferSize: 1, onFull: "wait", flushEvery: "1 hour" })))
      }))

    it.effect("does not keep an operation longer than it may, and the answer is not lost", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"))
          const asking = yield* Effect.forkChild(
            Llm.generateText(openai.pipe(Llm.timeout({ total: "100 millis" })), question).pipe(Ledger.record),
            { startImmediately: true }
          )
          yield* TestClock.adjust("999 millis")
          assert.isUndefined(asking.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          assert.strictEqual((yield* Fiber.join(asking)).text, "330 m")
          assert.deepInclude(yield* Ledger.status, { buffered: 1, dropped: 1 })
          control.does = "write"
        }).pipe(
          Effect.provide([
            provided(layer, { bufferSize: 1, onFull: "wait", flushEvery: "1 hour" }),
            ScriptedProvider.layer(OpenAi, [answer])
          ])
        )
      }))

    it.effect("lets go at once whoever is interrupted while waiting, and counts what that costs", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"))
          const waiting = yield* Effect.forkChild(offer(receipt("op_2")), { startImmediately: true })
          yield* Fiber.interrupt(waiting)
          assert.deepInclude(yield* Ledger.status, { buffered: 1, dropped: 1 })
          control.does = "write"
          yield* Ledger.flush
          assert.deepStrictEqual(yield* ids, ["op_1"])
        }).pipe(Effect.provide(provided(layer, { bufferSize: 1, onFull: "wait", flushEvery: "1 hour" })))
      }))
  })

  describe("its end", () => {
    it.effect("takes no longer than it may, and says what was lost", () =>
      Effect.gen(function*() {
        for (const does of ["fail", "hang"] as const) {
          const { control, layer } = yield* makeStore
          const log = logs()
          const ending = yield* Effect.gen(function*() {
            control.does = does
            yield* offer(receipt("op_1"), receipt("op_2"))
          }).pipe(
            Effect.provide(provided(layer, { shutdownTimeout: "3 seconds" }).pipe(Layer.provideMerge(log.layer))),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("2999 millis")
          assert.isUndefined(ending.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          assert(Exit.isSuccess(yield* Fiber.await(ending)))
          assert.strictEqual(log.messages.at(-1), "Ledger has dropped 2 receipts")
        }
      }))

    it.effect("waits for a store that comes back in time", () =>
      Effect.gen(function*() {
        const { control, layer } = yield* makeStore
        const ending = yield* Effect.gen(function*() {
          control.does = "fail"
          yield* offer(receipt("op_1"), receipt("op_2"))
        }).pipe(Effect.provide(provided(layer, { batchSize: 1 })), Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("1 second")
        control.does = "write"
        yield* TestClock.adjust("8 seconds")
        yield* Fiber.join(ending)
        assert.deepStrictEqual(control.batches, [["op_1"], ["op_2"]])
      }))

    it.effect("what comes after it is dropped, and counted", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        const ledger = yield* Effect.provide(Ledger.Ledger, provided(layer, { onFull: "wait" }))
        yield* ledger.record(receipt("op_late"))
        assert.deepInclude(yield* ledger.status, { buffered: 0, dropped: 1 })
      }))
  })

  describe("retention", () => {
    it.effect("forgets hourly what is older than it is kept", () =>
      Effect.gen(function*() {
        const { layer } = yield* makeStore
        yield* Effect.gen(function*() {
          yield* offer(receipt("op_old", 0), receipt("op_young", 3_600_000))
          yield* TestClock.adjust("23 hours")
          assert.deepStrictEqual(yield* ids, ["op_young", "op_old"])
          yield* TestClock.adjust("2 hours")
          assert.deepStrictEqual(yield* ids, ["op_young"])
        }).pipe(Effect.provide(provided(layer, { keep: "1 day" })))
      }))

    it.effect("the memory keeps as many as it may", () =>
      Effect.gen(function*() {
        const store = yield* Ledger.LedgerStore
        yield* store.write(["a", "b", "c", "d"].map((id, n) => entry(id, n, [])))
        assert.deepStrictEqual(yield* ids, ["d", "c"])
      }).pipe(Effect.provide(Ledger.layerStoreMemory({ capacity: 2 }))))
  })

  it("options that are not legal are named", () => {
    for (
      const [name, options] of Object.entries<Ledger.Options>({
        bufferSize: { bufferSize: 0 },
        batchSize: { batchSize: 1.5 },
        flushEvery: { flushEvery: 0 },
        maxWait: { maxWait: "-1 seconds" },
        writeTimeout: { writeTimeout: Infinity },
        shutdownTimeout: { shutdownTimeout: 0 },
        keep: { keep: 0 },
        onFull: { onFull: "explode" as never }
      })
    ) assert.throws(() => Ledger.layer(options), RangeError, `\`${name}\``)
    assert.throws(() => Ledger.layerStoreMemory({ capacity: 0 }), RangeError, "`capacity`")
    for (const prefix of ["", "a-b", "1a", "a".repeat(41), "a\"; DROP"]) {
      assert.throws(() => Ledger.layerStoreSql({ prefix }), RangeError, "`prefix`")
    }
  })
})
