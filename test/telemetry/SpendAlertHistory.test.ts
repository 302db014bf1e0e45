/**
 * What is known of the past: over a restart, from a ledger, and of the future.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schema } from "effect"
import { Money, type Receipt } from "effect-bulwark"
import { SpendAlert } from "effect-bulwark/telemetry"
import { TestClock } from "effect/testing"
import { calls, chance, day, hour, minute, receiptOf, start, usual } from "./support/traffic.ts"

const noon = start + 5 * day + 12 * hour

/** Some days of calls each minute, in the rhythm of the day. */
const days = (from: number, to: number): Array<Receipt.Receipt> => {
  const receipts: Array<Receipt.Receipt> = []
  for (let at = from; at < to; at += minute) {
    const busy = at % day >= 8 * hour && at % day < 18 * hour ? 10 : 1
    for (let n = 0; n < busy; n++) {
      receipts.push(receiptOf({ at, feature: "search", tokens: 1_000, cost: 10_000 }))
    }
  }
  return receipts
}

let learned: SpendAlert.History | undefined
const history = (): SpendAlert.History => learned ??= SpendAlert.replay(days(start, noon)).history

const Json = Schema.fromJsonString(SpendAlert.History)

describe("SpendAlert's history", () => {
  it.effect("goes through JSON, and a program that begins with it knows what is usual", () =>
    Effect.gen(function*() {
      const text = yield* Schema.encodeEffect(Json)(history())
      const decoded = yield* Schema.decodeEffect(Json)(text)
      assert.deepStrictEqual(decoded, history())
      yield* TestClock.setTime(noon + minute)
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(
          (yield* SpendAlert.snapshot).series.map(({ scope }) => scope),
          history().series.map(({ scope }) => scope)
        )
        for (let n = 0; n < 12; n++) {
          for (let call = 0; call < 60; call++) {
            yield* SpendAlert.observe(
              receiptOf({ at: yield* Clock.currentTimeMillis, feature: "search", tokens: 1_000, cost: 10_000 })
            )
          }
          yield* TestClock.adjust("1 minute")
        }
        const alerts = yield* SpendAlert.recent
        assert.sameMembers(alerts.map(({ key }) => key), [
          "SpendStep/search/gpt-5-mini",
          "SpendRate/search/gpt-5-mini"
        ])
        const rate = alerts.find(({ _tag }) => _tag === "SpendRate")
        assert.strictEqual(rate?.evidence.baseline, "days")
        // Ten calls a minute at a cent each, in dollars an hour.
        assert.strictEqual(rate?.expected, 6_000_000)
      }).pipe(Effect.provide(SpendAlert.layer({ history: decoded })))
    }))

  it.effect("without it nobody is told at once", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(noon)
      for (let n = 0; n < 12; n++) {
        for (let call = 0; call < 60; call++) {
          yield* SpendAlert.observe(receiptOf({ at: 0, feature: "search", tokens: 1_000, cost: 10_000 }))
        }
        yield* TestClock.adjust("1 minute")
      }
      assert.deepStrictEqual(yield* SpendAlert.recent, [])
    }).pipe(Effect.provide(SpendAlert.layer())))

  it.effect("a restart in the middle of things changes nothing for what comes later", () =>
    Effect.gen(function*() {
      const cut = start + 4 * day + 7 * hour
      const before = days(start, cut)
      const after = days(cut, noon)
      const jump = Array.from({ length: 20 * 60 }, (_, n) =>
        receiptOf({ at: noon + Math.floor(n / 60) * minute, feature: "search", tokens: 1_000, cost: 10_000 }))
      const whole = SpendAlert.replay([...before, ...after, ...jump])
      const first = SpendAlert.replay(before)
      const text = yield* Schema.encodeEffect(Json)(first.history)
      const second = SpendAlert.replay([...after, ...jump], { history: yield* Schema.decodeEffect(Json)(text) })
      const late = (alerts: ReadonlyArray<SpendAlert.Alert>) =>
        alerts.flatMap(({ at, key, state }) =>
          at > cut + hour ? [[key, state]] : []
        )
      assert.deepStrictEqual(late(second.alerts), late(whole.alerts))
      assert.deepStrictEqual(late(second.alerts).length, 2)
    }))

  it.effect("of the future, of years ago, or of nothing is no reason to fail", () =>
    Effect.gen(function*() {
      for (const at of [start - 400 * day, noon + 4_000 * day]) {
        yield* TestClock.setTime(Math.max(0, at))
        yield* Effect.gen(function*() {
          yield* SpendAlert.observe(receiptOf({ at, feature: "search", cost: 10 }))
          yield* TestClock.adjust("1 hour")
          assert.deepStrictEqual(yield* SpendAlert.recent, [])
        }).pipe(Effect.provide(SpendAlert.layer({ history: history() })))
      }
      assert.deepStrictEqual(SpendAlert.replay([]).history.series, [])
      assert.deepStrictEqual(
        SpendAlert.replay([], { history: history() }).history.series.length,
        history().series.length
      )
    }))

  it.effect("that is none is a typed failure when it is read", () =>
    Effect.gen(function*() {
      for (const text of ["", "{}", "{\"version\":2}", JSON.stringify({ ...history(), at: null })]) {
        const error = yield* Effect.flip(Schema.decodeEffect(Json)(text))
        assert.strictEqual(error._tag, "SchemaError")
      }
    }))

  it("holds no call, no user and no text of theirs", () => {
    const receipts = Array.from(
      { length: 200 },
      (_, n) =>
        receiptOf({ at: start + n * minute, feature: "search", tenant: "acme", user: "ada", tokens: 5, cost: 5 })
    )
    const text = JSON.stringify(SpendAlert.replay(receipts, { fingerprint: () => "s3cret" }).history)
    assert.notMatch(text, /acme|ada|s3cret|op_/)
  })

  it("of more series than there is room for keeps those that have", () => {
    const receipts = Array.from(
      { length: 300 },
      (_, n) => receiptOf({ at: start + n * minute, feature: `f${n % 5}`, model: `m${n % 3}`, cost: n })
    )
    const { history } = SpendAlert.replay(receipts)
    const { history: small } = SpendAlert.replay([], { history, maxSeries: 2 })
    assert.deepStrictEqual(
      small.series.map(({ feature, model, scope }) => [scope, feature, model]).slice(3),
      [["feature", "f0", undefined], ["model", "f0", "m0"], ["model", "f0", "m2"], ["feature", "f1", undefined]]
    )
    const overall = (known: SpendAlert.History) => known.series.find(({ scope }) => scope === "all")?.money?.values
    assert.deepStrictEqual(overall(small)?.slice(0, 20), overall(history)?.slice(0, 20))
    assert.isUndefined(small.series.find(({ feature, scope }) => feature === "_OTHER" && scope === "feature")?.money)
  })

  it("of receipts with times that are none leaves them out", () => {
    const odd = [Number.NaN, Infinity, -Infinity].map((at) => receiptOf({ at, feature: "odd", cost: 5 }))
    const { history } = SpendAlert.replay([...odd, receiptOf({ at: start, feature: "search", cost: 5 })])
    assert.isFalse(history.series.some(({ feature }) => feature === "odd"))
  })

  it("options can be tried on the past", { timeout: 30_000 }, () => {
    const random = chance("past")
    const receipts = [...calls(random, usual, start, start + 6 * day)].map(({ receipt }) => receipt)
    const usually = SpendAlert.replay(receipts).alerts.length
    const nervous = SpendAlert.replay(receipts, {
      spendRate: { sensitivity: 2, minimumCalls: 1, news: 1, minimumExcess: Money.usd(1) },
      errorRate: { sensitivity: 1, minimumIncrease: 0 }
    })
    assert.isAbove(nervous.alerts.length, usually)
  })
})
