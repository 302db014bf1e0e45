/**
 * Metrics, each with one series for every combination of labels that it has had.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type { MetricDefinition } from "../Conventions.ts"

/** What a metric looks up whenever it is updated, and nothing else: it is asked for with every part of an answer. */
export class MetricContexts {
  private last: Context.Context<never> = Context.empty()
  private registry: Metric.MetricRegistry | undefined = undefined
  private attributes: Metric.Metric.AttributeSet | undefined = undefined

  of(fiber: Fiber.Fiber<unknown, unknown>): Context.Context<never> {
    const registry = fiber.getRef(Metric.MetricRegistry)
    const attributes = fiber.getRef(Metric.CurrentMetricAttributes)
    if (registry !== this.registry || attributes !== this.attributes) {
      this.registry = registry
      this.attributes = attributes
      this.last = Context.make(Metric.MetricRegistry, registry).pipe(
        Context.add(Metric.CurrentMetricAttributes, attributes)
      )
    }
    return this.last
  }
}

/** One series of a metric, by the values of its labels, in the order in which the definition has them. */
export class Meter {
  private readonly series = new Map<string, Metric.Metric<number, unknown>>()
  private readonly definition: MetricDefinition
  private readonly labels: ReadonlyArray<string>

  constructor(definition: MetricDefinition, features: boolean) {
    this.definition = definition
    this.labels = features && definition.byFeature ? [...definition.labels, "feature"] : definition.labels
  }

  /** Counts up, observes, or sets, as the metric is of a kind. Values that are left out are not among the labels. */
  update(context: Context.Context<never>, amount: number, ...values: ReadonlyArray<string | undefined>): void {
    this.of(...values).updateUnsafe(amount, context)
  }

  /** Changes a gauge by so much. */
  modify(context: Context.Context<never>, amount: number, ...values: ReadonlyArray<string | undefined>): void {
    this.of(...values).modifyUnsafe(amount, context)
  }

  /** One series, for those who update it often. */
  of(...values: ReadonlyArray<string | undefined>): Metric.Metric<number, unknown> {
    const key = values.length === 1 ? values[0] ?? "" : values.join("\0")
    let series = this.series.get(key)
    if (series === undefined) this.series.set(key, series = this.make(values))
    return series
  }

  private make(values: ReadonlyArray<string | undefined>): Metric.Metric<number, unknown> {
    const { buckets, meaning: description, name, type, unit } = this.definition
    // Exporters take the unit of a metric from this attribute, and Prometheus text leaves it out.
    const attributes: Record<string, string> = { unit }
    this.labels.forEach((label, index) => {
      const value = values[index]
      if (value !== undefined) attributes[label] = value
    })
    switch (type) {
      case "counter":
        return Metric.counter(name, { description, attributes, incremental: true })
      case "gauge":
        return Metric.gauge(name, { description, attributes })
      case "histogram":
        return Metric.histogram(name, { description, attributes, boundaries: buckets ?? [] })
    }
  }
}
