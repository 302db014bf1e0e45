/**
 * Frames, line by line.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Money } from "effect-bulwark"
import { LiveView } from "effect-bulwark/telemetry"
import { CliOutput } from "effect/cli"
import { TestClock } from "effect/testing"
import {
  bar,
  cell,
  cut,
  dollars,
  fit,
  line,
  percent,
  plain,
  short,
  sparkline,
  time,
  widthOf
} from "../../src/telemetry/internal/liveText.ts"
import { arrive, ask, begin, close, decide, receiptOf, usage } from "./support/live.ts"

const view = Effect.provide(LiveView.layer())

/** An afternoon: calls that wait for all that one can wait for, and a few that are over. */
const busy = Effect.gen(function*() {
  for (let minute = 1; minute <= 6; minute++) {
    for (let n = 0; n < minute; n++) {
      const operation = yield* begin("op", { attribution: { feature: "search" } })
      ask(operation).ended(undefined)
      close(
        operation,
        receiptOf([{ usage: usage(1_200, 300), cost: Money.MicroUsd.make(1_500) }], {
          cache: "miss",
          ...(n === 4 ? { outcome: "ContentFiltered" } : undefined)
        })
      )
    }
    yield* TestClock.adjust("1 minute")
  }
  const writes = yield* begin("1", { attribution: { feature: "support" } })
  const stream = ask(writes)
  yield* TestClock.adjust("9 seconds")
  arrive(stream, Array.from({ length: 84 }, () => "hello, world"), true)
  const retries = yield* begin("2", { attribution: { feature: "検索機能" } })
  ask(retries, "claude-haiku-4-5", "anthropic").ended(new Error("overloaded"))
  decide(retries, "retry", "Overloaded", 4_000)
  const queued = yield* begin("3", { mode: "whole", attribution: { feature: "summaries" } })
  queued.noted({ _tag: "Queue", limiter: "openai", interactive: 1, batch: 2 })
  ;(yield* begin("4", { mode: "whole", refresh: true })).joined(undefined)
  yield* TestClock.adjust("800 millis")
  const hedged = yield* begin("5", { mode: "whole" })
  ask(hedged, "large")
  decide(hedged, "hedge", "slow", 0)
  ask(hedged, "large")
  for (const [feature, used] of [["support", 40_000], ["search", 91_000]] as const) {
    queued.noted({
      _tag: "Balance",
      scope: "feature",
      resource: "tokens",
      window: "1 hour",
      feature,
      used,
      limit: 100_000
    })
  }
  queued.noted({
    _tag: "Balance",
    scope: "global",
    resource: "usd",
    window: "day",
    feature: undefined,
    used: 630_000,
    limit: 1_000_000
  })
  queued.noted({ _tag: "Circuit", circuit: "anthropic/claude-haiku-4-5", from: "HalfOpen", to: "Closed" })
  queued.noted({ _tag: "Circuit", circuit: "openai/gpt-5-mini", from: "Closed", to: "Open" })
  const answered = yield* begin("6", { attribution: { feature: "chat" } })
  decide(answered, "fallback", "Overloaded")
  close(answered, receiptOf([{ outcome: "Overloaded" }, { outcome: "ServerError" }], { degraded: true }))
  const hit = yield* begin("7", { attribution: { feature: "chat" } })
  close(hit, receiptOf([], { cache: "hit", provider: "openai", model: "gpt-5-mini" }))
  close(yield* begin("8"), receiptOf([], { outcome: "interrupted" }))
  yield* TestClock.adjust("400 millis")
  return yield* LiveView.state
})

const frame = (options: LiveView.RenderOptions) =>
  Effect.map(Effect.provide(busy, LiveView.layer()), (state) => LiveView.render(state, options))

describe("LiveView.render", () => {
  it.effect("has room for everything", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* frame({ columns: 100, rows: 34, hint: "q quits" }), [
        "BULWARK  5 in flight                                                                         q quits",
        "last 60s  8 calls  0% errors  100% cached  4 requests  1 retry  1 fallback  1 hedge  1 interrupted",
        "in all    29 calls  9% errors  5% cached  25 requests  1 retry  1 fallback  1 hedge  1 interrupted",
        "  25k in, 6300 out  $0.0315",
        "spend     ▂▃▅▆▇█▁ $0 this minute",
        "",
        "IN FLIGHT 5",
        " 10s  support    openai/gpt-5-mini           #1     receiving                 84 parts  1008 chars",
        "1.2s  検索機能   anthropic/claude-haiku-4-5  #1     retry in 2.8s Overloaded",
        "1.2s  summaries                                     queue 1.2s openai",
        "1.2s  (refresh)                                     another's answer 1.2s",
        "0.4s  -          openai/large                #2 ×2  answer 0.4s",
        "",
        "BUDGETS 3",
        "feature search   tokens  1 hour  ██████████████████░░  91%       91k / 100k",
        "global           usd     day     ████████████░░░░░░░░  63%  $0.6300 / $1.00",
        "feature support  tokens  1 hour  ████████░░░░░░░░░░░░  40%       40k / 100k",
        "",
        "CIRCUITS 2",
        "openai/gpt-5-mini           open    for 0.4s",
        "anthropic/claude-haiku-4-5  closed  for 0.4s",
        "",
        "QUEUES 1",
        "openai  1 interactive  2 batch",
        "",
        "FINISHED 24, 16 not shown",
        "1.0s  -                          interrupted",
        "1.0s  chat    openai/gpt-5-mini  success          hit",
        "1.0s  chat    openai/gpt-5-mini  degraded              2 requests",
        "1.0s  search  openai/gpt-5-mini  success                           1200 in, 300 out  $0.0015",
        "1.0s  search  openai/gpt-5-mini  ContentFiltered                   1200 in, 300 out  $0.0015",
        "1.0s  search  openai/gpt-5-mini  success                           1200 in, 300 out  $0.0015",
        "1.0s  search  openai/gpt-5-mini  success                           1200 in, 300 out  $0.0015",
        "1.0s  search  openai/gpt-5-mini  success                           1200 in, 300 out  $0.0015"
      ])
    }))

  it.effect("leaves out what says least, where there is little room", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* frame({ columns: 40, rows: 24 }), [
        "BULWARK  5 in flight",
        "last 60s  8 calls  0% errors",
        "  100% cached  4 requests  1 retry",
        "  1 fallback  1 hedge  1 interrupted",
        "in all    29 calls  9% errors  5% cached",
        "  25 requests  1 retry  1 fallback",
        "  1 hedge  1 interrupted",
        "  25k in, 6300 out  $0.0315",
        "spend     ▂▃▅▆▇█▁ $0 this minute",
        "IN FLIGHT 5, 2 not shown",
        " 10s support gpt-5-mini receiving",
        "1.2s 検索機… claude-ha… retry in 2.8s O…",
        "1.2s summar…            queue 1.2s open…",
        "BUDGETS 3, 1 not shown",
        "feature sear… tokens 91%      91k / 100k",
        "global        usd    63% $0.6300 / $1.00",
        "CIRCUITS 2",
        "openai/gpt-5-mini        open   for 0.4s",
        "anthropic/claude-haiku-… closed for 0.4s",
        "QUEUES 1",
        "openai 1 interactive 2 batch",
        "FINISHED 24, 22 not shown",
        "1.0s -               interrupted",
        "1.0s chat gpt-5-mini success     hit"
      ])
    }))

  it.effect("has no more room than it is given", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* frame({ columns: 80, rows: 10 }), [
        "BULWARK  5 in flight",
        "last 60s  8 calls  0% errors  100% cached  4 requests  1 retry  1 fallback",
        "  1 hedge  1 interrupted",
        "in all    29 calls  9% errors  5% cached  25 requests  1 retry  1 fallback",
        "IN FLIGHT 5, 4 not shown",
        "10s  support  openai/gpt-5-mini  #1  receiving  84 parts  1008 chars",
        "BUDGETS 3, 2 not shown",
        "feature search  tokens  1 hour  ██████████████████░░  91%  91k / 100k",
        "CIRCUITS 2, 1 not shown",
        "openai/gpt-5-mini  open  for 0.4s"
      ])
    }))

  it.effect("is as wide as what there is to say", () =>
    Effect.gen(function*() {
      const wide = yield* frame({ columns: 200, rows: 34 })
      assert.deepStrictEqual(wide.slice(1, 9), [
        "last 60s  8 calls  0% errors  100% cached  4 requests  1 retry  1 fallback  1 hedge  1 interrupted",
        "in all    29 calls  9% errors  5% cached  25 requests  1 retry  1 fallback  1 hedge  1 interrupted  25k in, 6300 out  $0.0315",
        "spend     ▂▃▅▆▇█▁ $0 this minute",
        "",
        "IN FLIGHT 5",
        " 10s  support    openai/gpt-5-mini           #1     receiving                 84 parts  1008 chars",
        "1.2s  検索機能   anthropic/claude-haiku-4-5  #1     retry in 2.8s Overloaded",
        "1.2s  summaries                                     queue 1.2s openai"
      ])
    }))

  it.effect("is never wider or taller than it may be, whatever that is, and shows more where there is more room", () =>
    Effect.gen(function*() {
      const state = yield* busy
      for (let columns = 1; columns <= 120; columns++) {
        let before = 0
        for (const rows of [1, 2, 3, 5, 8, 13, 21, 34, 55]) {
          const lines = LiveView.render(state, { columns, rows, hint: "q quits" })
          assert.isAtMost(lines.length, rows)
          assert.isAtLeast(lines.length, before)
          before = lines.length
          for (const line of lines) assert.isAtMost(CliOutput.displayWidth(line), columns, line)
        }
      }
    }).pipe(view))

  it.effect("says nothing of what there is not", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(LiveView.render(yield* LiveView.state, { columns: 80, rows: 24, hint: "q quits" }), [
        "BULWARK  0 in flight                                                     q quits",
        "last 60s  0 calls",
        "in all    0 calls"
      ])
    }).pipe(view))

  it.effect("colours what is to be seen, where it is asked to", () =>
    Effect.gen(function*() {
      const state = yield* busy
      const lines = LiveView.render(state, { columns: 100, rows: 34, color: true })
      assert.strictEqual(lines[0], "\u001b[1mBULWARK\u001b[0m  5 in flight")
      assert.isTrue(lines.some((line) => line.startsWith("openai/gpt-5-mini           \u001b[31mopen")))
      assert.isTrue(lines.some((line) => line.includes("\u001b[31m██████████████████░░\u001b[0m")))
      for (const line of lines) assert.isAtMost(CliOutput.displayWidth(line), 100)
    }).pipe(view))

  it.effect("a name cannot make the terminal do anything", () =>
    Effect.gen(function*() {
      const evil = "\u001b[2J\u001b]0;title\u0007\u009b31m\r\nnext\u202egnp\u2028\u200bx\ud800"
      const operation = yield* begin("op", { attribution: { feature: evil } })
      ask(operation, evil, evil)
      decide(operation, "retry", evil, 1)
      operation.noted({ _tag: "Circuit", circuit: evil, from: evil, to: evil })
      operation.noted({ _tag: "Queue", limiter: evil, interactive: 1, batch: 1 })
      operation.noted({
        _tag: "Balance",
        scope: evil,
        resource: evil,
        window: evil,
        feature: evil,
        used: 1,
        limit: Number.NaN
      })
      close(operation, receiptOf([], { outcome: evil, provider: evil, model: evil }))
      ask(yield* begin("op", { attribution: { feature: evil } }), evil, evil)
      const state = yield* LiveView.state
      for (const color of [false, true]) {
        const lines = LiveView.render(state, { columns: 200, rows: 50, color })
        const text = lines.join("\n")
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(text.replaceAll(/\u001b\[\d+m/g, "").replaceAll("\n", ""), /\p{Cc}|\p{Cf}|\p{Zl}|\p{Cs}/u)
        assert.include(text, "␛[2J␛]0;title␇�31m␍␊nextgnp x�")
      }
    }).pipe(view))

  it("refuses sizes that are none", () => {
    const state = Effect.runSync(Effect.provide(LiveView.state, LiveView.layer()))
    assert.throws(
      () => LiveView.render(state, { columns: 0, rows: 24 }),
      RangeError,
      "LiveView.render: `columns` must be a whole number of at least 1, got 0"
    )
    assert.throws(() => LiveView.render(state, { columns: 80, rows: 2.5 }), RangeError, "`rows`")
  })
})

describe("text in a terminal", () => {
  it("counts cells, not characters", () => {
    for (
      const [text, width] of [
        ["search", 6],
        ["検索", 4],
        ["ｱｲ", 2],
        ["e\u0301", 1],
        ["👍🏽", 2],
        ["👨‍👩‍👧‍👦", 2],
        ["🇩🇪", 2],
        ["❤️", 2],
        ["한국", 4]
      ] as const
    ) {
      assert.strictEqual(widthOf(text), width, text)
    }
  })

  it("cuts between characters, and never in one", () => {
    assert.strictEqual(cut("search", 6), "search")
    assert.strictEqual(cut("search", 5), "sear…")
    assert.strictEqual(cut("search", 1), "…")
    assert.strictEqual(cut("search", 0), "")
    assert.strictEqual(cut("検索機能", 8), "検索機能")
    assert.strictEqual(cut("検索機能", 7), "検索機…")
    assert.strictEqual(cut("検索機能", 6), "検索…")
    assert.strictEqual(fit("検索機能", 6), "検索… ")
    assert.strictEqual(cut("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 3), "👨‍👩‍👧‍👦…")
    assert.strictEqual(fit("ab", 4), "ab  ")
    assert.strictEqual(fit("ab", 4, true), "  ab")
  })

  it("makes lines of cells, as many as there is room for", () => {
    const cells = [cell("検索", "red"), cell("abc"), cell("def", "dim")]
    assert.strictEqual(line(cells, 20, false), "検索abcdef")
    assert.strictEqual(line(cells, 7, false), "検索abc")
    assert.strictEqual(line(cells, 5, false), "検索…")
    assert.strictEqual(line(cells, 8, true), "\u001b[31m検索\u001b[0mabc\u001b[2m…\u001b[0m")
  })

  it("has pictures of what a terminal would obey", () => {
    assert.strictEqual(plain("a\u001bb\u0000c\u007fd\u0085e\tf"), "a␛b␀c␡d�e␉f")
    assert.strictEqual(plain("\u202ea\u2066b\ufeffc\u00add"), "abcd")
    assert.strictEqual(plain("👨‍👩‍👧"), "👨‍👩‍👧")
  })

  it("says numbers in few characters", () => {
    assert.deepStrictEqual(
      [0, 7, 9_999, 10_000, 12_345, 999_499, 999_500, 1_500_000, 2_000_000_000, 3e12].map(short),
      ["0", "7", "9999", "10k", "12k", "999k", "1.0M", "1.5M", "2.0G", "3.00T"]
    )
    assert.deepStrictEqual(
      [0, 40, 9_940, 9_950, 59_400, 59_600, 3_599_000, 3_600_000, 86_399_000, 90_000_000].map(time),
      ["0.0s", "0.0s", "9.9s", "10s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d01h"]
    )
    assert.deepStrictEqual(
      [0, 1, 999, 1_500, 999_900, 1_000_000, 99_990_000, 123_456_789, 12_345_000_000].map(dollars),
      ["$0", "$0.000001", "$0.000999", "$0.0015", "$0.9999", "$1.00", "$99.99", "$123", "$12k"]
    )
    assert.deepStrictEqual([percent(1, 3), percent(0, 0), percent(5, 4)], ["33%", "-", "125%"])
  })

  it("draws bars and lines", () => {
    assert.deepStrictEqual([0, 0.5, 0.99, 1, 2, -1].map((fraction) => bar(fraction, 4)), [
      "░░░░",
      "██░░",
      "███░",
      "████",
      "████",
      "░░░░"
    ])
    assert.strictEqual(sparkline([]), "")
    assert.strictEqual(sparkline([0, 0]), "▁▁")
    assert.strictEqual(sparkline([0, 1, 50, 100]), "▁▂▅█")
  })
})
