/**
 * The metrics of an application that is busy, in the text that Prometheus scrapes, made of their definitions alone.
 */
import { Effect, Metric } from "effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { type MetricDefinition, metrics } from "../../../src/telemetry/Conventions.ts"

/** Values of labels. Nothing where the label is not there. */
const values: Readonly<Record<string, ReadonlyArray<string | undefined>>> = {
  "circuit": ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"],
  "endpoint": ["openai"],
  "error.type": [undefined, "Overloaded"],
  "feature": [undefined, "chat"],
  "from": ["openai/gpt-5-mini"],
  "gen_ai.operation.name": ["chat"],
  "gen_ai.provider.name": ["openai"],
  "gen_ai.request.model": ["gpt-5-mini", "gpt-5"],
  "gen_ai.token.type": ["input", "output"],
  "limiter": ["openai/gpt-5-mini"],
  "model": ["gpt-5-mini", "gpt-5"],
  "outcome": ["success", "Overloaded", "interrupted"],
  "priority": ["interactive", "batch"],
  "reason": ["Overloaded", "a \"quoted\" reason"],
  "resource": ["usd", "tokens"],
  "result": ["hit", "stale", "miss", "coalesced", "bypass"],
  "scope": ["global"],
  "to": ["anthropic/claude-haiku-4-5"],
  "window": ["1 day"],
  "winner": ["first", "second"]
}

const types: Readonly<Record<string, ReadonlyArray<string>>> = {
  [metrics.tokensUsed.name]: ["input", "cache_read", "cache_write", "output", "reasoning"],
  [metrics.decisions.name]: ["retry", "fallback", "rejected", "timeout", "degraded"]
}

/** Every combination of values of the labels of a metric. */
const combinations = ({ byFeature, labels, name }: MetricDefinition): ReadonlyArray<Record<string, string>> => {
  let all: ReadonlyArray<ReadonlyArray<readonly [label: string, value: string]>> = [[]]
  for (const label of [...labels, ...byFeature ? ["feature"] : []]) {
    const found = label === "type" ? types[name] : values[label]
    if (found === undefined) throw new Error(`No values of the label ${label} of ${name}`)
    all = all.flatMap((before) => found.map((value) => value === undefined ? before : before.concat([[label, value]])))
  }
  return all.map((labelled) => Object.fromEntries(labelled))
}

const advance = (definition: MetricDefinition, round: number): Effect.Effect<void> => {
  const { buckets = [], meaning: description, name, type } = definition
  return Effect.forEach(
    combinations(definition),
    (attributes, index) => {
      switch (type) {
        case "counter":
          return Metric.update(Metric.counter(name, { description, attributes, incremental: true }), 1 + index)
        case "gauge":
          return Metric.update(Metric.gauge(name, { description, attributes }), (round + index) % 3)
        case "histogram": {
          const histogram = Metric.histogram(name, { description, attributes, boundaries: buckets })
          // One in each bucket, and one beyond them.
          return Effect.forEach([0, ...buckets], (bound) => Metric.update(histogram, bound * 1.5), { discard: true })
        }
      }
    },
    { discard: true }
  )
}

/** The text, each time with a little more in it. */
export const make = Effect.sync(() => {
  const registry = new Map()
  let round = 0
  return Effect.suspend(() => {
    round++
    return Effect.andThen(
      Effect.forEach(Object.values(metrics), (definition) => advance(definition, round), { discard: true }),
      PrometheusMetrics.format()
    )
  }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
})
