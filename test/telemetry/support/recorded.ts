/**
 * What telemetry says of a program, in a form that can be compared with what was expected: spans as a tree with their times, and metrics as
 * numbers by name and labels.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { makeSpans } from "../../support/observe.ts"

/** A span and what is below it, in the order in which they began. Times are milliseconds. */
export interface Tree {
  readonly span: string
  readonly kind: Tracer.SpanKind
  readonly from: number
  readonly to: number | "still open"
  readonly status: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<readonly [name: string, at: number, attributes: Readonly<Record<string, unknown>>]>
  readonly links: number
  readonly below: ReadonlyArray<Tree>
}

const millis = (nanos: bigint): number => Number(nanos) / 1_000_000

const statusOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  return Cause.prettyErrors(exit.cause).map(({ message, name }) => `${name}: ${message}`).join("; ")
}

/** Ids are by chance. */
const shown = (attributes: ReadonlyMap<string, unknown>): Record<string, unknown> =>
  Object.fromEntries([...attributes].map(([key, value]) => [key, key === "bulwark.operation.id" ? "op" : value]))

/** A tracer, and what it has been told. */
export const makeTracer = () => {
  const { spans, tracer } = makeSpans()
  const treeOf = (span: Tracer.NativeSpan): Tree => ({
    span: span.name,
    kind: span.kind,
    from: millis(span.startTime),
    to: span.status._tag === "Ended" ? millis(span.status.endTime) : "still open",
    status: span.status._tag === "Ended" ? statusOf(span.status.exit) : "still open",
    attributes: shown(span.attributes),
    events: span.events.map(([name, at, attributes]) => [name, millis(at), attributes] as const),
    links: span.links.length,
    // (By its id: a span may be hidden behind another object.)
    below: spans.filter(({ parent }) => Option.getOrUndefined(parent)?.spanId === span.spanId).map(treeOf)
  })
  return {
    tracer,
    spans,
    /** The spans that hang from none. */
    trees: (): ReadonlyArray<Tree> => spans.filter(({ parent }) => Option.isNone(parent)).map(treeOf)
  }
}

/** Counters and gauges as their value, histograms as how many there were and what they come to together. */
export type Numbers = Readonly<Record<string, number | readonly [count: number, sum: number]>>

const labelled = (id: string, attributes: Metric.Metric.AttributeSet | undefined): string => {
  const labels = Object.entries(attributes ?? {}).filter(([key]) => key !== "unit").map(([key, value]) =>
    `${key}=${value}`
  )
  return labels.length === 0 ? id : `${id}{${labels.join(",")}}`
}

const rounded = (value: number): number => Math.round(value * 1e9) / 1e9

/** All metrics, but those that are 0. */
export const numbers: Effect.Effect<Numbers> = Effect.map(Metric.snapshot, (snapshot) => {
  const all: Record<string, Numbers[string]> = {}
  for (const metric of snapshot) {
    const name = labelled(metric.id, metric.attributes)
    switch (metric.type) {
      case "Counter":
        all[name] = rounded(Number(metric.state.count))
        break
      case "Gauge":
        all[name] = rounded(Number(metric.state.value))
        break
      case "Histogram":
        all[name] = [metric.state.count, rounded(metric.state.sum)]
        break
    }
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 0))
})

/** What has been counted since. */
export const since = (before: Numbers, after: Numbers): Numbers => {
  const changed: Record<string, Numbers[string]> = {}
  for (const [name, value] of Object.entries(after)) {
    const was = before[name]
    if (typeof value === "number") {
      const change = rounded(value - (typeof was === "number" ? was : 0))
      if (change !== 0) changed[name] = change
    } else {
      const [count, sum] = typeof was === "object" ? was : [0, 0]
      if (value[0] !== count) changed[name] = [value[0] - count, rounded(value[1] - sum)]
    }
  }
  return changed
}
