/**
 * What holds whatever comes in.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { SpendAlert } from "effect-bulwark/telemetry"
import { Engine } from "../../src/telemetry/internal/alertEngine.ts"
import { deviations } from "../../src/telemetry/internal/alertErrors.ts"
import { Fingerprint } from "../../src/telemetry/internal/alertFingerprint.ts"
import { Loops } from "../../src/telemetry/internal/alertLoops.ts"
import { settingsOf } from "../../src/telemetry/internal/alertSettings.ts"
import { quantile, robust, Slots } from "../../src/telemetry/internal/alertSlots.ts"
import { Step } from "../../src/telemetry/internal/alertStep.ts"
import { Watch } from "../../src/telemetry/internal/alertWatch.ts"
import { calls, chance, day, hour, minute, receiptOf, start, type Stream, usual } from "./support/traffic.ts"

const engineOf = (options: Parameters<typeof settingsOf>[0] = {}) => {
  const alerts: Array<SpendAlert.Alert> = []
  return { alerts, engine: new Engine(settingsOf(options), (alert) => alerts.push(alert)) }
}

const isAlert = Schema.is(SpendAlert.Alert)
const isHistory = Schema.is(SpendAlert.History)

/** On the fifth day at noon there is more of everything. */
const busier = (stream: Stream): Stream => ({
  ...stream,
  rate: (at) => stream.rate(at) * (at > start + 4 * day + 12 * hour ? 8 : 1)
})

const Recipe = Schema.Array(Schema.Struct({
  at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: day })),
  feature: Schema.optionalKey(Schema.Literals(["a", "b"])),
  tokens: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))),
  cost: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000_000 }))),
  outcome: Schema.Literals(["success", "Overloaded", "interrupted"]),
  times: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
})).check(Schema.isMaxLength(15))

describe("SpendAlert, whatever comes in", () => {
  it("says the same of the same", { timeout: 30_000 }, () => {
    const run = () => {
      const { alerts, engine } = engineOf()
      const busy = usual.map(busier)
      for (const { at, fingerprint, receipt } of calls(chance("same"), busy, start, start + 6 * day)) {
        engine.advance(at)
        engine.observe(receipt, fingerprint, at)
      }
      return { alerts, history: engine.save() }
    }
    const one = run()
    assert.isAbove(one.alerts.length, 0)
    assert.deepStrictEqual(one, run())
    for (const alert of one.alerts) assert.isTrue(isAlert(alert), JSON.stringify(alert))
    assert.isTrue(isHistory(one.history))
  })

  it("every alert that begins has an end before it begins again", { timeout: 30_000 }, () => {
    const { alerts, engine } = engineOf({ coolDown: 0, resolveAfter: "1 minute" })
    const random = chance("pairs")
    for (let n = 0; n < 8 * 1_440; n++) {
      const at = start + n * minute
      engine.advance(at)
      const wild = Math.floor(n / 60) % 12 === 11
      for (let call = 0; call < (wild ? 40 : 5); call++) {
        const failed = random.nextDoubleUnsafe() < (wild ? 0.5 : 0.01)
        engine.observe(
          receiptOf({
            at,
            feature: "a",
            tokens: wild ? 9_000 : 1_000,
            cost: 9_000,
            ...(failed ? { outcome: "TimedOut" } : {})
          }),
          wild ? "same" : String(random.nextDoubleUnsafe()),
          at
        )
      }
    }
    engine.advance(start + 12 * day, 10_000)
    const open = new Set<string>()
    for (const { key, state } of alerts) {
      assert.strictEqual(open.has(key), state === "resolved", key)
      if (state === "firing") open.add(key)
      else open.delete(key)
    }
    assert.sameMembers([...open], engine.active.map(({ key }) => key))
    for (const tag of ["SpendRate", "SpendStep", "TokensPerCall", "ErrorRate", "Loop"]) {
      assert.isTrue(alerts.some(({ _tag }) => _tag === tag), tag)
    }
  })

  it("a constant stream is never out of the ordinary", { timeout: 30_000 }, () => {
    for (const each of [1, 7, 60]) {
      for (const cost of [1, 50_000, 5_000_000]) {
        const { alerts, engine } = engineOf()
        for (let n = 0; n < 5 * 1_440; n++) {
          const at = start + n * minute
          engine.advance(at)
          if (n % each !== 0) continue
          for (let call = 0; call < 3; call++) {
            engine.observe(receiptOf({ at, feature: "a", tokens: 500, cost }), `${n}/${call}`, at)
          }
        }
        assert.deepStrictEqual(alerts.map(({ message }) => message), [], `every ${each} minutes, ${cost}`)
      }
    }
  })

  it("what stays is told once, and then is what is usual", { timeout: 30_000 }, () => {
    const { alerts, engine } = engineOf()
    const random = chance("stays")
    const change = start + 5 * day + 12 * hour
    for (let at = start; at < start + 9 * day; at += minute) {
      engine.advance(at)
      const later = at >= change
      for (let call = 0; call < (later ? 20 : 4); call++) {
        const tokens = Math.round((later ? 3_000 : 1_000) * (0.7 + 0.6 * random.nextDoubleUnsafe()))
        const failed = random.nextDoubleUnsafe() < (later ? 0.3 : 0.01)
        engine.observe(
          receiptOf({ at, feature: "a", tokens, cost: tokens * 20, ...(failed ? { outcome: "Overloaded" } : {}) }),
          `${at}/${call}`,
          at
        )
      }
    }
    for (const tag of ["SpendRate", "SpendStep", "TokensPerCall", "ErrorRate"]) {
      const told = alerts.filter(({ _tag }) => _tag === tag)
      assert.deepStrictEqual(told.map(({ resolution }) => resolution), [undefined, "accepted"], tag)
      const [begin, end] = told
      assert.isAtMost((begin?.at ?? Infinity) - change, 15 * minute)
      assert.strictEqual(end?.severity, begin?.severity)
      assert.strictEqual(end?.beganAt, begin?.beganAt)
    }
  })

  it("what is dearer on Mondays is told of two of them", { timeout: 30_000 }, () => {
    const { alerts, engine } = engineOf()
    for (let at = start + day; at < start + 29 * day; at += minute) {
      engine.advance(at)
      const monday = new Date(at).getUTCDay() === 1
      for (let call = 0; call < (monday ? 20 : 5); call++) {
        engine.observe(receiptOf({ at, feature: "a", cost: 30_000 }), undefined, at)
      }
    }
    const weeks = alerts.flatMap(({ at, state, _tag }) =>
      state === "firing" ? [`${_tag} ${Math.floor((at - start) / (7 * day))}`] : []
    )
    assert.includeMembers(["SpendRate 1", "SpendRate 2", "SpendStep 1", "SpendStep 2"], weeks)
    assert.include(weeks, "SpendRate 1")
  })

  it("the order of what happens at the same time makes no difference", { timeout: 30_000 }, () => {
    const of = (backwards: boolean) => {
      const random = chance("order")
      const receipts = Array.from({ length: 600 }, (_, n) =>
        Array.from({ length: 6 }, () => ({
          ...receiptOf({
            at: start + n * minute + 1_000,
            feature: `f${Math.floor(random.nextDoubleUnsafe() * 2)}`,
            tokens: 1 + Math.floor(random.nextDoubleUnsafe() * (n > 580 ? 90_000 : 3_000)),
            cost: Math.floor(random.nextDoubleUnsafe() * (n > 580 ? 900_000 : 30_000)),
            outcome: random.nextDoubleUnsafe() < (n > 580 ? 0.5 : 0.01) ? "Overloaded" : "success"
          }),
          operationId: ""
        })))
      return SpendAlert.replay(receipts.flatMap((group) => backwards ? group.toReversed() : group))
    }
    const one = of(false)
    assert.isAbove(one.alerts.length, 0)
    const sorted = (alerts: ReadonlyArray<SpendAlert.Alert>) => alerts.toSorted((a, b) => a.key.localeCompare(b.key))
    const other = of(true)
    assert.deepStrictEqual(sorted(other.alerts), sorted(one.alerts))
    // Series come in the order in which they were first seen.
    const byName = ({ series }: SpendAlert.History) =>
      series.toSorted((a, b) =>
        JSON.stringify([a.scope, a.feature]).localeCompare(JSON.stringify([b.scope, b.feature]))
      )
    assert.deepStrictEqual(byName(other.history), byName(one.history))
  })

  it("sums are those of the calls", () => {
    const { engine } = engineOf()
    const random = chance("sums")
    const window = 10 * minute
    const sums = new Map<number, number>()
    for (let n = 0; n < 600; n++) {
      const at = start + n * minute
      engine.advance(at)
      for (const model of ["a", "b"]) {
        const cost = Math.floor(random.nextDoubleUnsafe() * 1_000)
        engine.observe(receiptOf({ at, feature: "a", model, cost }), undefined, at)
        sums.set(Math.floor(at / window), (sums.get(Math.floor(at / window)) ?? 0) + cost)
      }
    }
    engine.advance(start + 600 * minute)
    const { series } = engine.save()
    for (const scope of ["all", "feature"]) {
      const money = series.find((one) => one.scope === scope && one.feature !== "_OTHER")?.money
      assert.deepStrictEqual(money?.values, [...sums.values()])
      assert.strictEqual(money?.from, start / window)
    }
    const leaves = series.filter((one) => one.scope === "model" && one.money !== undefined)
    const added = leaves[0]?.money?.values.map((value, n) => (value ?? 0) + (leaves[1]?.money?.values[n] ?? 0))
    assert.deepStrictEqual(added, [...sums.values()])
  })

  it("part of a window is not taken for all of it", () => {
    const { engine } = engineOf()
    for (let n = 5; n < 60; n++) {
      engine.advance(start + n * minute)
      engine.observe(receiptOf({ at: start + n * minute, cost: 100 }), undefined, start + n * minute)
    }
    engine.advance(start + hour)
    const money = engine.save().series[0]?.money
    assert.strictEqual(money?.from, start / (10 * minute) + 1)
    assert.deepStrictEqual(money?.values, [1_000, 1_000, 1_000, 1_000, 1_000])
  })

  it("of calls that have stopped nothing is left that could be out of the ordinary", { timeout: 30_000 }, () => {
    const { alerts, engine } = engineOf()
    const until = start + day
    for (let at = start; at < until; at += minute) {
      engine.advance(at)
      for (let call = 0; call < 5; call++) {
        const tokens = at > until - 30 * minute ? 9_000 + call : 1_000 + call
        engine.observe(receiptOf({ at, feature: "a", tokens }), undefined, at)
      }
    }
    engine.advance(until + 3 * hour, 1_440)
    const told = alerts.filter(({ _tag }) => _tag === "TokensPerCall")
    assert.deepStrictEqual(told.map(({ resolution }) => resolution), [undefined, "gone"])
    assert.isAtMost((told[1]?.at ?? Infinity) - until, 61 * minute)
  })

  it(
    "a million different features take the place of so many, and the known ones stay known",
    { timeout: 30_000 },
    () => {
      const { alerts, engine } = engineOf({ maxSeries: 20 })
      engine.observe(receiptOf({ at: start, feature: "known", cost: 10 }), undefined, start)
      const receipt = receiptOf({ at: start, cost: 10, tokens: 10 })
      for (let n = 0; n < 1_000_000; n++) {
        const at = start + n
        if (n % 10_000 === 0) engine.advance(at)
        engine.observe({ ...receipt, attribution: { feature: `hostile ${n}` } }, n, at)
      }
      engine.observe(receiptOf({ at: start, feature: "known", cost: 10 }), undefined, start + 1_000_000)
      assert.isAtMost(engine.size, 40)
      const { series } = engine.save()
      assert.isAtMost(series.length, 43)
      assert.isTrue(series.some(({ feature }) => feature === "known"))
      assert.isTrue(series.some(({ feature, scope }) => feature === "_OTHER" && scope === "feature"))
      assert.deepStrictEqual(alerts.map(({ message }) => message), [])
      // A day later there is room again.
      for (let n = 0; n < 26 * 60; n++) {
        const at = start + hour + n * minute
        engine.advance(at)
        engine.observe(receiptOf({ at, feature: "known", cost: 10 }), undefined, at)
      }
      const late = start + 28 * hour
      engine.observe(receiptOf({ at: late, feature: "late", cost: 10 }), undefined, late)
      assert.sameMembers(engine.save().series.flatMap(({ feature, scope }) => scope === "feature" ? [feature] : []), [
        "_OTHER",
        "known",
        "late"
      ])
    }
  )

  it("names of any kind and length", () => {
    const { alerts, engine } = engineOf({ loop: { times: 2 } })
    const names = [
      "",
      "_OTHER",
      "*",
      "-",
      "__proto__",
      "constructor",
      "a/b",
      "\u0000",
      "\uD800",
      "🦊",
      "x".repeat(1_000_000)
    ]
    for (const feature of [undefined, ...names]) {
      for (const model of names) {
        for (let n = 0; n < 2; n++) {
          const receipt = receiptOf({ at: start, ...(feature === undefined ? {} : { feature }), model, cost: 1 })
          engine.observe(receipt, "same", start)
        }
      }
    }
    assert.strictEqual(new Set(alerts.map(({ key }) => key)).size, alerts.length)
    assert.isAbove(alerts.length, 50)
    for (const alert of alerts) {
      assert.isTrue(isAlert(alert))
      assert.isBelow(alert.message.length + alert.key.length, 3_000)
    }
    assert.isTrue(isHistory(JSON.parse(JSON.stringify(engine.save()))))
  })

  it("receipts without cost, usage, attempts or attribution, and with numbers that are none", () => {
    const { alerts, engine } = engineOf()
    const odd = [Number.NaN, Infinity, -Infinity, -1, 1e300]
    for (let n = 0; n < 400; n++) {
      const at = start + n * minute
      engine.advance(at)
      engine.observe({ ...receiptOf({ at }), attempts: [] }, "x", at)
      engine.observe(receiptOf({ at }), undefined, at)
      engine.observe(receiptOf({ at, outcome: "interrupted" }), undefined, at)
      for (const number of odd) {
        const receipt = receiptOf({ at, tokens: 5 })
        const attempts = receipt.attempts.map((attempt) => ({
          ...attempt,
          cost: number,
          usage: { ...attempt.usage, inputUncached: number }
        }))
        // Receipts may come from elsewhere, and say anything.
        engine.observe({ ...receipt, cost: number, attempts } as unknown as typeof receipt, `${n}${number}`, at)
      }
    }
    assert.deepStrictEqual(alerts.filter(({ _tag }) => _tag !== "SpendRate"), [])
    assert.isTrue(isHistory(JSON.parse(JSON.stringify(engine.save()))))
  })

  it("a clock that is set back, or far ahead, is no reason for an alert, and it goes on", { timeout: 30_000 }, () => {
    const { alerts, engine } = engineOf()
    const run = (from: number, minutes: number, times = 1) => {
      for (let n = 0; n < minutes; n++) {
        const at = from + n * minute
        engine.advance(at)
        for (let call = 0; call < 5 * times; call++) {
          engine.observe(receiptOf({ at, feature: "a", tokens: 500, cost: 50_000 }), `${n}/${call}`, at)
        }
      }
    }
    run(start, 600)
    run(start - 7 * day, 600)
    run(start + 400 * day, 600)
    run(start + 2 * day, 600)
    assert.deepStrictEqual(alerts, [])
    run(start + 2 * day + 600 * minute, 15, 10)
    assert.isTrue(alerts.some(({ _tag }) => _tag === "SpendStep"))
    // A few seconds back are nothing at all.
    const length = alerts.length
    engine.advance(start + 2 * day + 614 * minute - 20_000)
    engine.observe(receiptOf({ at: 0, feature: "a" }), undefined, start + 2 * day)
    assert.strictEqual(alerts.length, length)
  })

  it.prop(
    "any receipts at any times make alerts and histories of the right form, in whatever order they come",
    [Arbitrary.schema(Recipe)],
    ([recipe]) => {
      const receipts = recipe.flatMap(({ at, times, ...rest }) =>
        Array.from({ length: times }, () => receiptOf({ at: start + at, ...rest }))
      )
      const options = { fingerprint: () => "same", loop: { times: 5 } }
      const { alerts, history } = SpendAlert.replay(receipts, options)
      for (const alert of alerts) assert.isTrue(isAlert(alert), JSON.stringify(alert))
      assert.isTrue(isHistory(history))
      const again = SpendAlert.replay(receipts.toReversed(), options)
      assert.deepStrictEqual(again.alerts.map(({ key }) => key).toSorted(), alerts.map(({ key }) => key).toSorted())
    },
    { timeout: 60_000 }
  )

  describe("of the parts", () => {
    it("a sketch never says more than there was, and finds what comes often among a hundred thousand others", () => {
      const loops = new Loops(10 * minute)
      const random = chance("sketch")
      const counts = new Map<number, number>()
      const often = 4_242
      for (let n = 0; n < 100_000; n++) {
        const hash = n % 100 === 0 ? often : Math.floor(random.nextDoubleUnsafe() * 2 ** 53)
        const entry = loops.add(hash, n, 1)
        counts.set(hash, (counts.get(hash) ?? 0) + 1)
        assert.isAtMost(loops.count(entry, hash, n), counts.get(hash)!)
      }
      const entry = loops.add(often, 100_000, 1)
      assert.isAbove(loops.count(entry, often, 100_000), 900)
    })

    it("a window slides", () => {
      const loops = new Loops(10 * minute)
      const entry = loops.add(1, 0, 0)
      for (let n = 0; n < 99; n++) loops.add(1, 9 * minute, 0)
      assert.strictEqual(loops.count(entry, 1, 9 * minute), 100)
      assert.strictEqual(loops.count(entry, 1, 15 * minute), 50)
      assert.strictEqual(loops.count(entry, 1, 20 * minute), 0)
    })

    it("fingerprints tell apart what is different, and only that", () => {
      const of = (value: unknown) => new Fingerprint().add(value).number
      const different = [
        "",
        "a",
        "b",
        "ab",
        ["a", "b"],
        ["ab"],
        [["a"], "b"],
        { a: "b" },
        { a: "b", c: [] },
        { a: { b: 1 } },
        { a: { b: 1.5 } },
        { a: {}, b: 1 },
        1,
        "1",
        true,
        false,
        null,
        2 ** 40,
        2 ** 40 + 1,
        -0.5,
        new Uint8Array([1, 2]),
        new Uint8Array([2, 1]),
        "x".repeat(1_000) + "a" + "x".repeat(1_000),
        "x".repeat(1_000) + "b" + "x".repeat(1_000)
      ]
      assert.strictEqual(new Set(different.map(of)).size, different.length)
      assert.deepStrictEqual(structuredClone(different).map(of), different.map(of))
      const round: { self?: unknown } = {}
      round.self = round
      assert.isTrue(Number.isSafeInteger(of(round)))
      const random = chance("fingerprints")
      const many = new Set(Array.from({ length: 200_000 }, () => of(String(random.nextDoubleUnsafe()))))
      assert.isAtLeast(many.size, 199_999)
      // Also where only every other character differs.
      const sparse = new Set(Array.from({ length: 200_000 }, (_, n) => of(`x${n.toString(36).split("").join("x")}`)))
      assert.isAtLeast(sparse.size, 199_999)
    })

    it("deviations are those of the usual test where there are many, and never more than can be", () => {
      // 100 of 1,000 where 5 % are usual: (0.1 - 0.05) / sqrt(0.05 * 0.95 / 1,000) = 7.25 by the normal approximation, which is too much.
      assert.isAtMost(Math.abs(deviations(100, 1_000, 0.05) - 6.4), 0.3)
      assert.strictEqual(deviations(0, 100, 0.01), 0)
      assert.strictEqual(deviations(1, 100, 0.01), 0)
      assert.isTrue(Number.isFinite(deviations(100, 100, 0.01)))
    })

    it("medians and spreads", () => {
      assert.strictEqual(quantile(Float64Array.of(1, 2, 3, 4), 0.5), 2.5)
      // One value out of the ordinary changes next to nothing.
      const ordinary = Float64Array.from({ length: 99 }, (_, n) => 100 + n % 10)
      const one = robust(ordinary.slice())
      const other = robust(Float64Array.from([...ordinary, 1e9]))
      assert.isAtMost(Math.abs(one.median - other.median), 1)
      assert.isAtMost(Math.abs(one.spread - other.spread), 1)
    })

    it("of one day that is known it is taken that it may be like this one", () => {
      const slots = new Slots(10, 14, 3)
      for (let slot = 0; slot < 144 + 60; slot++) slots.put(slot, slot >= 60 && slot < 100 ? 500 : 10)
      const expectation = slots.expect(144 + 60)
      assert.strictEqual(expectation?.baseline, "hours")
      assert.strictEqual(expectation?.expected, 500)
    })

    it("a single minute out of the ordinary is no jump, however far", () => {
      const step = new Step(settingsOf().spendStep!, 5_000_000)
      let jumps = 0
      for (let n = 0; n < 200; n++) {
        if (step.update(n, n === 100 ? 1e9 : 100_000, 10, undefined, false)) jumps++
      }
      assert.strictEqual(jumps, 0)
      for (let n = 200; n < 206; n++) if (step.update(n, 1_000_000, 10, undefined, false)) jumps++
      assert.isAbove(jumps, 0)
    })

    it("what is now and then as before is not over, and what is so for long is", () => {
      const watch = new Watch({ resolveAfter: 3, coolDown: 5, repeatEvery: undefined }, {
        confirm: 2,
        acceptAfter: 1_000
      })
      const changes = (from: number, pattern: string) =>
        [...pattern].map((what, n) => watch.update(from + n, what === "h", what === "c", what === "x"))
      assert.deepStrictEqual(changes(0, "h.h."), [undefined, undefined, undefined, undefined])
      assert.deepStrictEqual(changes(4, "hh"), [undefined, "begins"])
      assert.deepStrictEqual(changes(6, "cc.cc.cchcc.").filter((change) => change !== undefined), [])
      assert.deepStrictEqual(changes(18, "ccc"), [undefined, undefined, "recovered"])
      // Not before the cool-down is over, and then at once.
      assert.deepStrictEqual(changes(21, "hhhhh"), [undefined, undefined, undefined, undefined, "begins"])
    })

    it("what one day reached is news again, what two days reached is not", () => {
      const slots = new Slots(10, 14, 3)
      const perDay = 144
      for (let slot = 0; slot < 5 * perDay; slot++) {
        const high = slot === 60 || slot === 2 * perDay + 61 ? 1_000 : 0
        slots.put(slot, slot === perDay + 60 ? 5_000 : 10 + high)
      }
      const expectation = slots.expect(5 * perDay + 60)
      assert.strictEqual(expectation?.baseline, "days")
      assert.strictEqual(expectation?.expected, 10)
      assert.strictEqual(expectation?.ceiling, 1_010)
    })
  })
})
