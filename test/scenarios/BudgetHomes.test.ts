/**
 * Budgets of whole stacks over real stores: in one process with calls that end in every way there is, and in several, of which some are
 * killed. These stores keep their own time, so the clock is a real one.
 *
 * `BULWARK_TEST_CALLS` says how many calls (default: 1,000 in memory, 300 elsewhere).
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, References, Schedule, Stream } from "effect"
import { Attribution, Llm, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import { ScriptedProvider } from "effect-bulwark/testing"
import { SqlClient } from "effect/sql"
import { books, budget } from "../budget/support/budget.ts"
import { alone, shared } from "../budget/support/homes.ts"
import { layerOf, type Place } from "../budget/support/places.ts"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import * as addresses from "../support/addresses.ts"
import * as Postgres from "../support/postgres.ts"
import * as Processes from "../support/processes.ts"
import { makeProxy } from "../support/proxy.ts"
import * as Redis from "../support/redis.ts"
import type { Said, Task } from "./support/budgetWorker.ts"

/** What fails here is told of, as it should be, at length. */
const quiet = Layer.succeed(References.UnhandledLogLevel, undefined)

const pieces = ["one ", "two ", "three "]

/** Every request does something else, and what it does is decided by chance. */
const script = (chances: ReadonlyArray<number>): ScriptedProvider.Script => (_, index) => {
  const slow = { delay: "3 millis", between: "3 millis" } as const
  switch (chances[index % chances.length]) {
    case 0:
      return ScriptedProvider.breakOff(pieces, "cut", slow)
    case 1:
      return ScriptedProvider.fail("Overloaded", { delay: "2 millis" })
    case 2:
      return ScriptedProvider.silence
    case 3:
      return ScriptedProvider.breakOff(pieces, "Overloaded", slow)
    default:
      return ScriptedProvider.text(pieces, slow)
  }
}

/** The store, and whether a limit was passed at any time. */
const watched = (store: Layer.Layer<BudgetStore.BudgetStore>) => {
  let reserved = 0
  const layer = Layer.effect(
    BudgetStore.BudgetStore,
    Effect.map(BudgetStore.BudgetStore, (store) =>
      BudgetStore.BudgetStore.of({
        ...store,
        reserve: (reservation) =>
          Effect.tap(store.reserve(reservation), (verdict) =>
            Effect.sync(() => {
              if (verdict._tag !== "Reserved") return
              reserved++
              for (const [n, { limit }] of reservation.lines.entries()) {
                const { reserved, used } = verdict.balances[n]!
                assert.isAtMost(used + reserved, limit)
              }
            }))
      }))
  ).pipe(Layer.provide(store))
  return { layer, reserved: () => reserved }
}

// Tests run on loaded machines.
const patient = { storeTimeout: "30 seconds" } as const

const calls = (name: string) => Number(process.env["BULWARK_TEST_CALLS"] ?? (name === "memory" ? 1_000 : 300))

for (const home of [alone[0]!, ...shared]) {
  home.describe(`a budget around a whole stack: ${home.name}`, () => {
    it.live(
      "is right, however calls end: no limit is passed, nothing stays held, and what is booked was sent",
      () =>
        Effect.gen(function*() {
          const count = calls(home.name)
          const store = watched(layerOf(yield* home.place))
          const chances = yield* Effect.replicateEffect(Random.nextIntBetween(0, 12), 1_009)
          const first = ScriptedProvider.make(OpenAi, script(chances))
          const second = ScriptedProvider.make(Anthropic, script(chances.toReversed()))
          const receipts = makeReceipts()
          // A full answer costs 16 or 160: the last calls find nothing left.
          const usd = count * 12
          const llm = openai.pipe(
            Llm.timeout({ idle: "200 millis", firstPart: "200 millis" }),
            Llm.hedge({ after: "8 millis", maxExtra: 1 }),
            Llm.retry(Schedule.spaced("2 millis").pipe(Schedule.upTo({ times: 2 }))),
            Llm.orElse(anthropic.pipe(Llm.timeout({ idle: "200 millis", firstPart: "200 millis" }))),
            Budget.enforce({ maxOutputTokens: 20 })
          )
          yield* Effect.gen(function*() {
            const one = Effect.gen(function*() {
              const stream = yield* Random.nextBoolean
              const leaves = yield* Random.nextIntBetween(0, 60)
              const fiber = yield* (stream
                ? Stream.runDrain(Llm.streamText(llm, question))
                : Effect.asVoid(Llm.generateText(llm, question))).pipe(
                  receipts.observe,
                  Effect.exit,
                  Effect.forkChild({ startImmediately: true })
                )
              // Half of them are left alone.
              if (leaves < 30) {
                yield* Effect.sleep(leaves)
                yield* Fiber.interrupt(fiber)
              } else yield* Fiber.await(fiber)
            })
            yield* Effect.replicateEffect(one, count, { concurrency: 25, discard: true })

            assert.strictEqual(receipts.seen.length, count)
            const attempts = receipts.seen.flatMap(({ attempts }) => attempts)
            const sent = [...first.calls, ...second.calls]
            const [[spent, heldUsd], [requests, heldRequests]] = (yield* books()) as [
              [number, number],
              [number, number]
            ]
            assert.deepStrictEqual([heldUsd, heldRequests], [0, 0])
            assert.isAtMost(spent, usd)
            // Each request that the providers have seen is in the books and on a receipt, once.
            assert.strictEqual(requests, sent.length)
            assert.strictEqual(attempts.length, sent.length)
            assert.strictEqual(attempts.reduce((sum, { cost }) => sum + cost!, 0), spent)
            // And of those that were served whole it is what the providers say.
            const served = (calls: typeof first.calls) => calls.filter(({ outcome }) => outcome === "success").length
            const exact = attempts.filter(({ outcome }) => outcome === "success")
            assert.isAtMost(exact.length, served(sent))
            for (const { cost, provider } of exact) assert.strictEqual(cost, provider === "openai" ? 16 : 160)
            // The test is one of everything only if everything has happened.
            const outcomes = new Set(receipts.seen.map(({ outcome }) => outcome))
            for (const outcome of ["success", "interrupted", "BudgetExceeded"]) {
              assert.isTrue(outcomes.has(outcome), outcome)
            }
            assert.isAtLeast(store.reserved(), sent.length)
            assert.deepStrictEqual(yield* Budget.unsettled(), [])
          }).pipe(Effect.provide([
            budget({
              ...patient,
              limits: [
                { resource: "usd", limit: (usd / 1_000_000).toFixed(6), window: Budget.total },
                { resource: "requests", limit: 1_000_000, window: Budget.rolling("1 hour"), scope: "user" }
              ]
            }, store.layer),
            RetryBudget.layerMemory(),
            first.layer,
            second.layer
          ]))
        }),
      60_000
    )
  })
}

const worker = new URL("./support/budgetWorker.ts", import.meta.url)

const begin = (task: Task) => Processes.begin(worker, task)

const run = (task: Task) => Effect.map(Processes.run(worker, task), (said) => JSON.parse(said) as Said)

const acme = Attribution.annotate({ tenant: "acme" })

/** A budget in a place, as one more process has it. */
const open = (place: Place, limits: ReadonlyArray<Budget.Limit>, lease = 60_000) =>
  budget({ ...patient, limits, lease }, layerOf(place))

for (const home of shared) {
  home.describe(`processes that share a budget: ${home.name}`, () => {
    it.live("are served as often as there is room for, and no more", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        // A call costs 12 at most, and does.
        const limits: ReadonlyArray<Budget.Limit> = [
          { resource: "usd", limit: "0.001200", window: Budget.total, scope: "tenant" },
          { resource: "tokens", limit: 100_000, window: Budget.rolling("1 hour") }
        ]
        yield* Effect.gen(function*() {
          // The tables are there.
          assert.deepStrictEqual(yield* acme(books()), [[0, 0], [0, 0]])
          const task: Task = { place, limits, lease: 60_000, calls: 60, answers: true }
          const said = yield* Effect.all([run(task), run(task), run(task)], { concurrency: "unbounded" })
          const sum = (of: keyof Said) => said.reduce((sum, one) => sum + one[of], 0)
          assert.deepStrictEqual([sum("served"), sum("refused"), sum("sent")], [100, 80, 100], JSON.stringify(said))
          assert.deepStrictEqual(yield* books({ tenant: "acme" }), [[1_200, 0], [1_100, 0]])
        }).pipe(Effect.provide(open(place, limits)))
      }), 60_000)

    it.live(
      "what one of them held when it was killed stays held, and in sight, until somebody says what became of it",
      () =>
        Effect.gen(function*() {
          const place = yield* home.place
          const limits: ReadonlyArray<Budget.Limit> = [
            { resource: "requests", limit: 3, window: Budget.calendar("month"), scope: "tenant" }
          ]
          yield* Effect.scoped(Effect.gen(function*() {
            const child = yield* begin({ place, limits, lease: 300, calls: 3, answers: false })
            while ((child.output().match(/sent/g)?.length ?? 0) < 3) {
              assert.isNull(child.exitCode, child.output())
              yield* Effect.sleep("5 millis")
            }
            child.kill("SIGKILL")
            yield* Processes.ended(child)
          }))
          const call = acme(Llm.generateText(openai.pipe(Budget.enforce({ maxOutputTokens: 1 })), question))
          yield* Effect.gen(function*() {
            yield* Budget.unsettled().pipe(
              Effect.repeat({ until: (all) => all.length === 3, schedule: Schedule.spaced("20 millis") })
            )
            const [status] = yield* Budget.status({ tenant: "acme" })
            assert.deepStrictEqual([status!.used, status!.reserved, status!.unsettled, status!.remaining], [0, 3, 3, 0])
            assert.strictEqual((yield* Effect.flip(call))._tag, "BudgetExceeded")
            const [first, second, third] = yield* Budget.unsettled()
            assert.isTrue(yield* Budget.resolve(first!, "used"))
            assert.isTrue(yield* Budget.resolve(second!, "unused"))
            assert.isFalse(yield* Budget.resolve(second!, "used"))
            yield* call
            assert.strictEqual((yield* Effect.flip(call))._tag, "BudgetExceeded")
            assert.deepStrictEqual((yield* Budget.unsettled()).map(({ id }) => id), [third!.id])
            assert.deepStrictEqual(yield* books({ tenant: "acme" }), [[2, 1]])
          }).pipe(Effect.provide([
            open(place, limits),
            ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hi")])
          ]))
        }),
      60_000
    )
  })
}

/** The application's, and that of the books. */
const only = Sqlite.layer({ filename: ":memory:" })

it.live(
  "a call whose answer is read inside a transaction of SQLite's only connection is booked after it",
  () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
      const answer = yield* Stream.toPull(Llm.streamText(llm, question))
      yield* answer
      yield* sql.withTransaction(Effect.flip(Effect.forever(answer)))
      yield* Effect.repeat(books(), {
        until: ([line]) => line![0] === 12 && line![1] === 0,
        schedule: Schedule.spaced("20 millis")
      }).pipe(Effect.timeout("20 seconds"))
    }).pipe(
      Effect.provide([
        budget(
          { limits: [{ resource: "usd", limit: "1", window: Budget.total }], storeTimeout: "200 millis" },
          Layer.orDie(Layer.provide(Layer.fresh(BudgetStore.layerSql()), only))
        ),
        only,
        ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hi", { between: "5 millis" })),
        quiet
      ])
    ),
  30_000
)

/** A store behind a proxy, on the same server as one that is not. */
const proxied = [
  {
    name: "Postgres",
    describe: Postgres.describePostgres,
    make: Effect.gen(function*() {
      const proxy = yield* makeProxy(addresses.postgres)
      const schema = yield* Postgres.schema
      const store = (port?: number) =>
        BudgetStore.layerSql().pipe(
          Layer.provide(Postgres.layer(schema, port === undefined ? {} : { port })),
          Layer.orDie
        )
      return { proxy, near: store(), far: store(proxy.port) }
    })
  },
  {
    name: "Redis",
    describe: Redis.describeRedis,
    make: Effect.gen(function*() {
      const proxy = yield* makeProxy(addresses.redis)
      const prefix = yield* Redis.tidyPrefix
      const store = (port: number) =>
        BudgetStore.layerRedis({ prefix }).pipe(
          Layer.provide(Layer.orDie(NodeRedis.layer({ socket: { ...addresses.redis, port } })))
        )
      return { proxy, near: store(addresses.redis.port), far: store(proxy.port) }
    })
  }
]

for (const { describe: describeService, make, name } of proxied) {
  describeService(`a store that freezes: ${name}`, () => {
    const limits: ReadonlyArray<Budget.Limit> = [{ resource: "usd", limit: "1", window: Budget.total }]

    const settled = (expected: readonly [used: number, reserved: number]) =>
      Effect.repeat(books(), {
        until: ([line]) => line![0] === expected[0] && line![1] === expected[1],
        schedule: Schedule.spaced("20 millis")
      }).pipe(Effect.timeout("20 seconds"))

    it.live(
      "holds nothing afterwards of what it was asked while it was frozen, and hangs no call",
      () =>
        Effect.gen(function*() {
          const { far, near, proxy } = yield* make
          const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
          const call = Llm.generateText(llm, question)
          yield* Effect.gen(function*() {
            const other = yield* Layer.build(Layer.fresh(budget({ ...patient, limits }, near)))
            yield* call
            proxy.freeze("all")
            const errors = yield* Effect.all([Effect.flip(call), Effect.flip(call), Effect.flip(call)], {
              concurrency: "unbounded"
            }).pipe(Effect.timeout("20 seconds"))
            assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
              "StoreUnavailable",
              "StoreUnavailable",
              "StoreUnavailable"
            ])
            proxy.thaw()
            // What was asked late has no effect, whichever of the two comes first: another client sees nothing held.
            yield* Effect.provide(settled([12, 0]), other)
            yield* Effect.sleep("500 millis")
            yield* Effect.provide(settled([12, 0]), other)
            yield* call.pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 100 }))
            assert.deepStrictEqual(yield* Effect.provide(books(), other), [[24, 0]])
          }).pipe(Effect.provide([
            budget({ limits, storeTimeout: "150 millis" }, far),
            ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hi")),
            quiet
          ]))
        }),
      60_000
    )

    it.live(
      "has all in its books afterwards that was sent while it was frozen, where that is allowed",
      () =>
        Effect.gen(function*() {
          const { far, near, proxy } = yield* make
          const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100, onStoreError: "allow" }))
          const call = Llm.generateText(llm, question)
          yield* Effect.gen(function*() {
            const other = yield* Layer.build(Layer.fresh(budget({ ...patient, limits }, near)))
            yield* call
            proxy.freeze("all")
            const answers = yield* Effect.all([call, call, call], { concurrency: "unbounded" }).pipe(
              Effect.timeout("20 seconds")
            )
            assert.deepStrictEqual(answers.map(({ text }) => text), ["Hi", "Hi", "Hi"])
            proxy.thaw()
            yield* Effect.provide(settled([48, 0]), other)
          }).pipe(Effect.provide([
            budget({ limits, storeTimeout: "150 millis" }, far),
            ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hi")),
            quiet
          ]))
        }),
      60_000
    )
  })
}
