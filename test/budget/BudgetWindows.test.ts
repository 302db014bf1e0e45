/**
 * Windows: what counts when, and that nothing is forgotten early.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Effect, Fiber, Layer, Schema } from "effect"
import { Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { ready } from "../../src/budget/internal/budgetLimits.ts"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { books, budget } from "./support/budget.ts"

const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 1 }))
const ask = Llm.generateText(llm, question)
const refused = Effect.map(Effect.flip(ask), (error) => error._tag)

const layer = (window: Budget.Window) =>
  Layer.merge(
    budget({ limits: [{ resource: "requests", limit: 1, window }] }),
    ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hi"))
  )

const at = (iso: string) => TestClock.setTime(DateTime.toEpochMillis(DateTime.makeUnsafe(iso)))

const hour = 3_600_000

describe("a window of the calendar", () => {
  const cases: ReadonlyArray<
    readonly [unit: "hour" | "day" | "week" | "month", timeZone: string, first: string, still: string, next: string]
  > = [
    ["hour", "UTC", "2026-03-01T10:00:00Z", "2026-03-01T10:59:59.999Z", "2026-03-01T11:00:00Z"],
    ["hour", "Asia/Kolkata", "2026-03-01T10:30:00Z", "2026-03-01T11:29:59.999Z", "2026-03-01T11:30:00Z"],
    // An hour that the clock shows twice.
    ["hour", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:59:59.999Z", "2026-10-25T01:00:00Z"],
    ["day", "UTC", "2026-03-01T00:00:00Z", "2026-03-01T23:59:59.999Z", "2026-03-02T00:00:00Z"],
    ["day", "America/New_York", "2026-03-01T05:00:00Z", "2026-03-02T04:59:59.999Z", "2026-03-02T05:00:00Z"],
    // A day of 23 hours, and one of 25.
    ["day", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59.999Z", "2026-03-29T22:00:00Z"],
    ["day", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59.999Z", "2026-10-25T23:00:00Z"],
    ["week", "UTC", "2026-03-02T00:00:00Z", "2026-03-08T23:59:59.999Z", "2026-03-09T00:00:00Z"],
    ["month", "UTC", "2028-02-01T00:00:00Z", "2028-02-29T23:59:59.999Z", "2028-03-01T00:00:00Z"],
    ["month", "Europe/Berlin", "2026-02-28T23:00:00Z", "2026-03-31T21:59:59.999Z", "2026-03-31T22:00:00Z"]
  ]
  for (const [unit, timeZone, first, still, next] of cases) {
    it.effect(`${unit}, ${timeZone}, from ${first}`, () =>
      Effect.gen(function*() {
        yield* at(first)
        yield* ask
        yield* at(still)
        assert.strictEqual(yield* refused, "BudgetExceeded")
        const [status] = yield* Budget.status()
        assert.strictEqual(status!.resetsAt, DateTime.toEpochMillis(DateTime.makeUnsafe(next)))
        yield* at(next)
        yield* ask
        assert.strictEqual(yield* refused, "BudgetExceeded")
      }).pipe(Effect.provide(layer(Budget.calendar(unit, { timeZone })))))
  }

  it.effect("a call that lasts into the next day is booked to the day in which it began", () =>
    Effect.gen(function*() {
      yield* at("2026-03-01T23:59:59Z")
      const fiber = yield* ask.pipe(Effect.forkChild({ startImmediately: true }))
      assert.deepStrictEqual(yield* books(), [[0, 1]])
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* books(), [[0, 0]])
      yield* at("2026-03-01T23:59:59Z")
      assert.deepStrictEqual(yield* books(), [[1, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [{ resource: "requests", limit: 1, window: Budget.calendar("day") }] }),
      ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hi", { delay: "3 seconds" })])
    ])))

  it.effect("a clock that steps back opens no second day", () =>
    Effect.gen(function*() {
      yield* at("2026-03-02T00:00:01Z")
      yield* ask
      yield* at("2026-03-01T23:59:59Z")
      assert.strictEqual(yield* refused, "BudgetExceeded")
    }).pipe(Effect.provide(layer(Budget.calendar("day")))))
})

describe("a rolling window", () => {
  it.effect("forgets nothing early, and at most a sixtieth late", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour + 90_500)
      yield* ask
      yield* TestClock.setTime(11 * hour + 90_499)
      assert.strictEqual(yield* refused, "BudgetExceeded")
      yield* TestClock.setTime(11 * hour + 90_500 + hour / 60)
      yield* ask
    }).pipe(Effect.provide(layer(Budget.rolling("1 hour")))))

  it.effect.prop(
    "counts all that is as old as it, whatever its length",
    [
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000_000 }))),
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4_000_000_000_000 }))),
      Arbitrary.schema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 })))
    ],
    ([millis, then, times]) =>
      Effect.sync(() => {
        const [limit] = ready([{ resource: "usd", limit: 1, window: Budget.rolling(millis) }])
        const now = then + Math.floor(millis * times)
        const { slot, until } = limit!.period(then)
        const { since } = limit!.period(now)
        assert.isTrue(since <= limit!.period(now).slot)
        if (now - then <= millis) assert.isTrue(slot >= since, "forgotten early")
        if (now - then > millis + Math.ceil(millis / 60)) assert.isTrue(slot < since, "forgotten late")
        // And a store may drop a slot when nobody counts it any more, not before.
        assert.strictEqual(until! <= now, slot < since)
      }),
    { arbitrary: { runs: 5_000 } }
  )

  it.effect("a clock that steps back counts what was booked later", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      yield* ask
      yield* TestClock.setTime(9.5 * hour)
      assert.strictEqual(yield* refused, "BudgetExceeded")
    }).pipe(Effect.provide(layer(Budget.rolling("1 hour")))))
})

describe("all time", () => {
  it.effect("is one window", () =>
    Effect.gen(function*() {
      yield* ask
      yield* TestClock.adjust("10000 days")
      assert.strictEqual(yield* refused, "BudgetExceeded")
    }).pipe(Effect.provide(layer(Budget.total))))
})
