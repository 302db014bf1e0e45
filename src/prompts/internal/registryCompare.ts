/**
 * Versions side by side: what was observed of their calls, how their answers were scored, and what of it may be chance.
 */
import type { Observed } from "./experimentGuard.ts"
import {
  meanInterval,
  percentile,
  rates,
  type Sample,
  sampleOf,
  type Test,
  together,
  welch,
  wilson
} from "./statistics.ts"
import type { ScoreTotal } from "./store.ts"

/**
 * A rate or a mean, and the interval that holds the true one, with the confidence of the comparison.
 *
 * @category models
 * @since 0.1.0
 */
export interface Figure {
  /** A `rate`, from 0 to 1, has Wilson's interval; a `mean` has that of Student's t. */
  readonly kind: "rate" | "mean"
  /** Of how many values. */
  readonly count: number
  readonly mean: number
  /** Where the interval begins; `undefined` of the mean of one value. */
  readonly low: number | undefined
  /** Where the interval ends. */
  readonly high: number | undefined
}

/**
 * What is known of one version.
 *
 * @category models
 * @since 0.1.0
 */
export interface Side {
  readonly version: number
  /** How many calls were observed, without those that say nothing about a prompt. */
  readonly calls: number
  /** How many of them succeeded. */
  readonly success: Figure | undefined
  /** By measure: how the answers were scored. Where all scores are 0 or 1, it is a rate. */
  readonly quality: { readonly [metric: string]: Figure }
  /** How long successful calls took, in milliseconds, without answers from a cache. */
  readonly latency: Figure & { readonly p50: number; readonly p95: number; readonly p99: number } | undefined
  /** Tokens of their input. */
  readonly inputTokens: Figure | undefined
  /** Tokens of their output. */
  readonly outputTokens: Figure | undefined
  /** What a call cost, where that is known, in micro-dollars. */
  readonly cost: Figure | undefined
}

/**
 * How one version differs from the first one, in one measure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Difference {
  /** The version that is compared with. */
  readonly baseline: number
  readonly version: number
  /** `success`, `latency`, `inputTokens`, `outputTokens`, `cost`, or `quality.` and the measure of the scores. */
  readonly measure: string
  /** Of `version`, less that of `baseline`; `undefined` where one of them has no value. */
  readonly difference: number | undefined
  /** Where the interval of the difference begins. */
  readonly low: number | undefined
  /** Where it ends. */
  readonly high: number | undefined
  /** How likely a difference of this size is, if there is none in truth. */
  readonly pValue: number | undefined
  /**
   * `significant`: by chance it would rarely be as large. `not significant`: nothing is known to differ, which is not to say that nothing
   * does. `too few`: one of them has fewer values than it takes to say anything.
   */
  readonly verdict: "significant" | "not significant" | "too few"
}

/**
 * Versions of a prompt, side by side.
 *
 * @category models
 * @since 0.1.0
 */
export interface Comparison {
  readonly prompt: string
  /** The confidence of all intervals: 0.95, say. A difference is significant when its p-value is below the rest, 0.05. */
  readonly confidence: number
  /** How many values each version needs. */
  readonly minimum: number
  readonly sides: ReadonlyArray<Side>
  /** How the other versions differ from the first one. */
  readonly differences: ReadonlyArray<Difference>
}

/** What is known of one version, before anything is computed. */
export class Tally {
  readonly version: number
  calls = 0
  successes = 0
  readonly millis: Array<number> = []
  readonly inputTokens: Array<number> = []
  readonly outputTokens: Array<number> = []
  readonly costs: Array<number> = []

  constructor(version: number) {
    this.version = version
  }

  add({ cost, served, success }: Observed): void {
    if (success !== undefined) {
      this.calls++
      if (success) this.successes++
    }
    if (served !== undefined) {
      this.millis.push(served.millis)
      this.inputTokens.push(served.inputTokens)
      this.outputTokens.push(served.outputTokens)
    }
    if (cost !== undefined) this.costs.push(cost)
  }
}

/** Values of which a rate or a mean is made. */
interface Measured extends Sample {
  readonly binary: boolean
}

const measured = (values: ReadonlyArray<number>): Measured => ({ ...sampleOf(values), binary: false })

/** All values are between 0 and 1, and as large as their squares: they are 0 or 1. */
const isBinary = ({ count, least, mean, most, squares }: ScoreTotal): boolean =>
  least >= 0 && most <= 1 && Math.abs(squares + count * mean * mean - count * mean) < 1e-9 * count

/** By version: each version's measures. */
const scored = (totals: ReadonlyArray<ScoreTotal>): Map<string, Map<number, Measured>> => {
  const metrics = new Map<string, Map<number, Measured>>()
  for (const [metric, rows] of Map.groupBy(totals, ({ metric }) => metric)) {
    const binary = rows.every(isBinary)
    metrics.set(
      metric,
      new Map(
        Array.from(Map.groupBy(rows, ({ version }) => version), ([version, rows]) => [
          version,
          { ...rows.map((row): Sample => row).reduce(together), binary }
        ])
      )
    )
  }
  return metrics
}

const successes = ({ count, mean }: Sample): number => Math.round(count * mean)

const figureOf = (values: Measured, confidence: number): Figure => {
  const { binary, count, mean } = values
  const interval = binary
    ? wilson(successes(values), count, confidence)
    : count < 2
    ? undefined
    : meanInterval(values, confidence)
  return { kind: binary ? "rate" : "mean", count, mean, low: interval?.low, high: interval?.high }
}

const tested = (one: Measured, other: Measured, confidence: number): Test | undefined =>
  one.count === 0 || other.count === 0
    ? undefined
    : one.binary && other.binary
    ? rates({ successes: successes(one), of: one.count }, { successes: successes(other), of: other.count }, confidence)
    : one.count < 2 || other.count < 2
    ? undefined
    : welch(one, other, confidence)

const none: Measured = { count: 0, mean: 0, squares: 0, binary: false }

export const comparison = (
  { confidence, minimum, prompt, tallies, totals }: {
    readonly prompt: string
    readonly tallies: ReadonlyArray<Tally>
    readonly totals: ReadonlyArray<ScoreTotal>
    readonly confidence: number
    readonly minimum: number
  }
): Comparison => {
  const metrics = scored(totals)
  const measures = new Map<string, ReadonlyArray<Measured>>([
    [
      "success",
      tallies.map(({ calls, successes }) => ({
        count: calls,
        mean: calls === 0 ? 0 : successes / calls,
        squares: 0,
        binary: true
      }))
    ],
    ["latency", tallies.map(({ millis }) => measured(millis))],
    ["inputTokens", tallies.map(({ inputTokens }) => measured(inputTokens))],
    ["outputTokens", tallies.map(({ outputTokens }) => measured(outputTokens))],
    ["cost", tallies.map(({ costs }) => measured(costs))],
    ...Array.from(
      metrics,
      ([metric, versions]) =>
        [`quality.${metric}`, tallies.map(({ version }) => versions.get(version) ?? none)] as const
    )
  ])
  const side = (tally: Tally, index: number): Side => {
    const figure = (measure: string): Figure | undefined => {
      const values = measures.get(measure)![index]!
      return values.count === 0 ? undefined : figureOf(values, confidence)
    }
    const latency = figure("latency")
    const millis = tally.millis.toSorted((one, other) => one - other)
    return {
      version: tally.version,
      calls: tally.calls,
      success: figure("success"),
      quality: Object.fromEntries(
        Array.from(metrics.keys()).flatMap((metric) => {
          const quality = figure(`quality.${metric}`)
          return quality === undefined ? [] : [[metric, quality]]
        })
      ),
      latency: latency === undefined ? undefined : {
        ...latency,
        p50: percentile(millis, 0.5),
        p95: percentile(millis, 0.95),
        p99: percentile(millis, 0.99)
      },
      inputTokens: figure("inputTokens"),
      outputTokens: figure("outputTokens"),
      cost: figure("cost")
    }
  }
  const differences = tallies.slice(1).flatMap(({ version }, index) =>
    Array.from(measures).flatMap(([measure, values]): ReadonlyArray<Difference> => {
      const [one, other] = [values[0]!, values[index + 1]!]
      // Nobody measures it.
      if (one.count === 0 && other.count === 0 && measure !== "success") return []
      const test = tested(one, other, confidence)
      return [{
        baseline: tallies[0]!.version,
        version,
        measure,
        difference: test?.difference,
        low: test?.low,
        high: test?.high,
        pValue: test?.pValue,
        verdict: test === undefined || Math.min(one.count, other.count) < minimum
          ? "too few"
          : test.pValue < 1 - confidence
          ? "significant"
          : "not significant"
      }]
    })
  )
  return { prompt, confidence, minimum, sides: tallies.map(side), differences }
}

// ---- as text ----

const digits = (value: number): string =>
  Number.isInteger(value) || Math.abs(value) >= 1_000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))

/** A figure in the unit that people read. */
const shown = (measure: string, kind: Figure["kind"], value: number): string =>
  kind === "rate"
    ? `${(value * 100).toFixed(1)} %`
    : measure === "latency"
    ? `${Math.round(value)} ms`
    : measure === "cost"
    ? `$${(value / 1e6).toFixed(6)}`
    : digits(value)

const interval = (measure: string, { high, kind, low, mean }: Figure): string =>
  low === undefined || high === undefined
    ? shown(measure, kind, mean)
    : `${shown(measure, kind, mean)} (${shown(measure, kind, low)} to ${shown(measure, kind, high)})`

export const describe = ({ confidence, differences, minimum, prompt, sides }: Comparison): string => {
  const lines: Array<string> = []
  const kinds = new Map<string, Figure["kind"]>()
  for (const { calls, cost, inputTokens, latency, outputTokens, quality, success, version } of sides) {
    lines.push(`${prompt}@${version}: ${calls} calls`)
    const rows: ReadonlyArray<readonly [string, Figure | undefined]> = [
      ["success", success],
      ...Object.entries(quality).map(([metric, figure]) => [`quality.${metric}`, figure] as const),
      ["latency", latency],
      ["inputTokens", inputTokens],
      ["outputTokens", outputTokens],
      ["cost", cost]
    ]
    for (const [measure, figure] of rows) {
      if (figure === undefined) continue
      kinds.set(measure, figure.kind)
      const percentiles = measure === "latency" && latency !== undefined
        ? `, p50 ${Math.round(latency.p50)}, p95 ${Math.round(latency.p95)}, p99 ${Math.round(latency.p99)} ms`
        : ""
      const count = figure.count === calls ? "" : `, n = ${figure.count}`
      lines.push(`  ${measure.padEnd(16)} ${interval(measure, figure)}${percentiles}${count}`)
    }
  }
  for (const { baseline, difference, high, low, measure, pValue, verdict, version } of differences) {
    const kind = kinds.get(measure) ?? "mean"
    const sign = (value: number) => {
      const text = shown(measure, kind, Math.abs(value))
      return `${value < 0 && /[1-9]/.test(text) ? "−" : "+"}${text}`
    }
    const title = `@${version} against @${baseline}, ${measure}`.padEnd(38)
    const figures = difference === undefined || low === undefined || high === undefined || pValue === undefined
      ? ""
      : `${sign(difference)} (${sign(low)} to ${sign(high)}), p ${
        pValue < 0.001 ? "< 0.001" : `= ${pValue.toFixed(3)}`
      }: `
    const few = verdict === "too few" ? `: it takes ${minimum} values of each` : ""
    lines.push(`${title} ${figures}${verdict}${few}`)
  }
  lines.push(`Intervals are of ${digits(confidence * 100)} % confidence.`)
  return lines.join("\n")
}
