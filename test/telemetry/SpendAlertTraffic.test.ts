/**
 * Months of traffic: how often somebody is told of nothing, and how soon of something.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SpendAlert } from "effect-bulwark/telemetry"
import { Engine } from "../../src/telemetry/internal/alertEngine.ts"
import { type Options, settingsOf } from "../../src/telemetry/internal/alertSettings.ts"
import { calls, chance, day, hour, minute, start, type Stream, usual } from "./support/traffic.ts"

/** What is told of the calls of some time. */
const told = (
  seed: string,
  streams: ReadonlyArray<Stream>,
  from: number,
  to: number,
  options: Options & { readonly history?: SpendAlert.History } = {}
) => {
  const alerts: Array<SpendAlert.Alert> = []
  const engine = new Engine(settingsOf(options), (alert) => alerts.push(alert))
  if (options.history !== undefined) engine.load(options.history, from)
  for (const { at, fingerprint, receipt } of calls(chance(seed), streams, from, to)) {
    engine.advance(at, 1_440)
    engine.observe(receipt, fingerprint, at)
  }
  engine.advance(to, 1_440)
  return { alerts, history: engine.save() }
}

const firing = (alerts: ReadonlyArray<SpendAlert.Alert>, tag?: SpendAlert.Alert["_tag"]) =>
  alerts.filter((alert) => alert.state === "firing" && (tag === undefined || alert._tag === tag))

describe("SpendAlert over months", () => {
  // 20 months of it, measured by hand: 7 alerts, all within the first week of a month that begins without a history.
  it("tells of at most one thing a month where there is nothing", { timeout: 60_000 }, () => {
    const alerts = [1, 4].flatMap((seed) => firing(told(String(seed), usual, start, start + 30 * day).alerts))
    assert.isAtMost(alerts.length, 2, JSON.stringify(alerts.map(({ at, key }) => [new Date(at), key])))
  })

  it("tells of next to nothing in three weeks that begin with a history", { timeout: 60_000 }, () => {
    const { history } = told("before", usual, start, start + 7 * day)
    const { alerts } = told("after", usual, start + 7 * day, start + 28 * day, { history })
    assert.isAtMost(firing(alerts).length, 1, JSON.stringify(firing(alerts)))
  })

  describe("after two weeks", () => {
    const noon = start + 15 * day + 12 * hour
    let known: SpendAlert.History | undefined
    const history = () => known ??= told("weeks", usual, start, noon).history

    /** In minutes. */
    const after = ({ at }: SpendAlert.Alert) => (at - noon) / minute

    /** What is told in the hours after something has begun at noon. */
    const from = (change: (stream: Stream) => Stream, seed: string, hours = 2) => {
      const { alerts } = told(seed, usual.map(change), noon, noon + hours * hour, { history: history() })
      return firing(alerts)
    }

    const only = (feature: string, change: (stream: Stream) => Partial<Stream>) => (stream: Stream): Stream =>
      stream.feature === feature ? { ...stream, ...change(stream) } : stream

    it("five times the spending is told within minutes", { timeout: 60_000 }, () => {
      for (const seed of ["a", "b", "c"]) {
        const alerts = from(only("search", ({ rate }) => ({ rate: (at) => 5 * rate(at) })), seed)
        const step = alerts.find(({ _tag }) => _tag === "SpendStep")
        const rate = alerts.find(({ _tag }) => _tag === "SpendRate")
        assert.isDefined(step)
        assert.isDefined(rate)
        assert.isAtMost(after(step), 8)
        assert.isAtMost(after(rate), 12)
        assert.strictEqual(step.feature, "search")
        assert.isAbove(step.observed, 3 * step.expected)
        assert.isAtMost(Math.abs(step.beganAt - noon), 10 * minute)
        // What the part explains is not told of the whole.
        assert.deepStrictEqual(alerts.filter(({ scope }) => scope !== "model").map(({ key }) => key), [])
      }
    })

    it("a runaway loop is told within two minutes", { timeout: 60_000 }, () => {
      for (const seed of ["a", "b", "c"]) {
        const alerts = from(only("search", () => ({ rate: () => 20, fingerprint: () => "the same" })), seed, 1)
        const loop = alerts.find(({ _tag }) => _tag === "Loop")
        assert.isDefined(loop)
        assert.isAtMost(after(loop), 2.5)
        assert.strictEqual(loop.severity, "critical")
        assert.strictEqual(firing(alerts, "Loop").length, 1)
      }
    })

    it("twice the tokens are told within some eighty calls", { timeout: 60_000 }, () => {
      for (const seed of ["a", "b", "c"]) {
        const alerts = from(only("chat", ({ tokens }) => ({ tokens: (at) => 2 * tokens(at) })), seed)
        const alert = alerts.find(({ _tag, model }) => _tag === "TokensPerCall" && model === "gpt-5-mini")
        assert.isDefined(alert)
        // Five calls a minute, of which the longest are sixty times the shortest.
        assert.isAtMost(after(alert), 45)
        assert.isAbove(alert.observed, 1.5 * alert.expected)
      }
    })

    it(
      "a fifth of calls that fail, of which it was one in a hundred, is told within minutes",
      { timeout: 60_000 },
      () => {
        for (const seed of ["a", "b", "c"]) {
          const alerts = from(only("chat", () => ({ errors: () => 0.2 })), seed)
          const alert = alerts.find(({ _tag }) => _tag === "ErrorRate")
          assert.isDefined(alert)
          assert.isAtMost(after(alert), 12)
          assert.isAbove(alert.observed, 0.08)
          assert.isBelow(alert.expected, 0.03)
        }
      }
    )

    it("a dearer model in place of another is told of the feature", { timeout: 60_000 }, () => {
      const { alerts } = told(
        "a",
        usual.flatMap((stream) =>
          stream.feature === "search" ? [{ ...stream, model: "gpt-5-pro", price: 10 * stream.price }] : [stream]
        ),
        noon,
        noon + hour,
        { history: history() }
      )
      // Of the pair with the new model nothing is known yet.
      const [first] = firing(alerts)
      assert.deepStrictEqual([first?.scope, first?.feature], ["feature", "search"])
      assert.isAtMost((first?.at ?? Infinity) - noon, 15 * minute)
    })

    it("growth over days is no step", { timeout: 60_000 }, () => {
      const grows = (stream: Stream): Stream =>
        stream.feature === "reports" ? stream : {
          ...stream,
          rate: (at) => stream.rate(at) * (1 + 2 * (at - noon) / (3 * day))
        }
      assert.deepStrictEqual(firing(from(grows, "a", 72), "SpendStep").map(({ key }) => key), [])
    })

    it("nobody is woken for less than the least amount", { timeout: 60_000 }, () => {
      const cheap = only("search", ({ price, rate }) => ({ rate: (at) => 5 * rate(at), price: price / 20 }))
      assert.deepStrictEqual(firing(from(cheap, "a"), "SpendStep").map(({ key }) => key), [])
    })
  })
})
