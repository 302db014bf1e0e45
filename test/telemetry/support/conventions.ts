/**
 * Whether what was exported is what `Conventions` says: its names, types, units, buckets and labels, and nothing beside.
 *
 * What Effect and its exporters add by themselves is let through: the exception of a failure, the mark of an interruption, lines of the
 * log as events, and, where nobody takes it out, the unit of a metric as an attribute.
 */
import * as Conventions from "../../../src/telemetry/Conventions.ts"
import { lastOf, type Metric, type Received, type Span, type SpanEvent, type Value } from "./otlp.ts"

/** What was exported. */
export type Exported = Pick<Received, "spans" | "metrics">

export interface Options {
  /** Which spans are looked at. Default: all. */
  readonly ours?: (span: Span) => boolean
  /** Attributes that the application itself puts on spans, and labels on metrics. Default: none. */
  readonly application?: ReadonlyArray<string>
  /** Whether points may have the attribute `unit`. Default: no. */
  readonly units?: boolean
}

type On = Conventions.AttributeDefinition["on"][number]

const definitions: ReadonlyMap<string, Conventions.AttributeDefinition> = new Map(
  Object.values(Conventions.attributes).map((definition) => [definition.key, definition])
)

const events: ReadonlyMap<string, Conventions.EventDefinition> = new Map(
  Object.values(Conventions.events).map((definition) => [definition.name, definition])
)

const metrics: ReadonlyMap<string, Conventions.MetricDefinition> = new Map(
  Object.values(Conventions.metrics).map((definition) => [definition.name, definition])
)

const isOf = (value: Value, type: Conventions.AttributeDefinition["type"]): boolean => {
  switch (type) {
    case "string":
    case "boolean":
      return typeof value === type
    case "string[]":
      return Array.isArray(value) && value.every((item) => typeof item === "string")
    case "int":
      return typeof value === "bigint"
    case "double":
      // A whole number is one to JavaScript, however it is meant.
      return typeof value === "number" || typeof value === "bigint"
  }
}

const attributeProblems = (
  attributes: { readonly [key: string]: Value },
  on: On,
  allowed: ReadonlyArray<string>
): ReadonlyArray<string> =>
  Object.entries(attributes).flatMap(([key, value]) => {
    if (allowed.includes(key)) return []
    const definition = definitions.get(key)
    if (definition === undefined) return [`has an attribute that is none: ${key}`]
    if (!definition.on.includes(on)) return [`has an attribute that is not for it: ${key}`]
    return isOf(value, definition.type) ? [] : [`${key} is no ${definition.type}`]
  })

/** What stands for the parts of names. */
const parts: { readonly [part: string]: string } = {
  model: Conventions.attributes.requestModel.key,
  provider: Conventions.attributes.providerName.key,
  method: Conventions.attributes.httpMethod.key,
  tool: Conventions.attributes.toolName.key
}

/** Which of the spans of `Conventions` it is, by its name and what stands on it. */
export const spanType = ({ attributes, kind, name }: Span): keyof typeof Conventions.spans | undefined => {
  const types = ["operation", "embeddings", "attempt", "http", "tool"] as const
  return types.find((type) => {
    const definition = Conventions.spans[type]
    // Where no model is known, an operation is one all the same.
    const filled = definition.name.replaceAll(/\{(\w+)\}/g, (_, part: string) => {
      const value = attributes[parts[part] ?? ""]
      return typeof value === "string" ? value : ""
    })
    return filled.trim() === name && definition.kind === kind
  })
}

/** What Effect's own logger makes of log lines, on the span in which they are written. */
const isLog = ({ attributes }: SpanEvent): boolean => Object.hasOwn(attributes, "effect.logLevel")

const exceptions = ["exception.type", "exception.message", "exception.stacktrace"]

const eventProblems = (
  { attributes, name }: SpanEvent,
  on: keyof typeof Conventions.spans
): ReadonlyArray<string> => {
  const beside = (known: ReadonlyArray<string>) =>
    Object.keys(attributes).filter((key) => !known.includes(key)).map((key) => `the event ${name} has ${key}`)
  if (name === "exception") return beside(exceptions)
  const definition = events.get(name)
  if (definition === undefined) return [`has an event that is none: ${name}`]
  return [
    ...(on === "operation" ? [] : [`has the event ${name}, which is for operations`]),
    ...beside(definition.attributes),
    ...attributeProblems(attributes, "event", []).map((problem) => `the event ${name}: ${problem}`)
  ]
}

const spanProblems = (span: Span, application: ReadonlyArray<string>): ReadonlyArray<string> => {
  const type = spanType(span)
  if (type === undefined) return [`is no span of ours, of kind ${span.kind}`]
  return [
    ...attributeProblems(span.attributes, type === "embeddings" ? "operation" : type, [
      ...application,
      "effect.fiber.interrupted"
    ]),
    ...span.events.filter((event) => !isLog(event)).flatMap((event) => eventProblems(event, type))
  ]
}

const exportedTypes = { counter: "sum", gauge: "gauge", histogram: "histogram" } as const

const metricProblems = (metric: Metric, allowed: ReadonlyArray<string>): ReadonlyArray<string> => {
  const definition = metrics.get(metric.name)
  if (definition === undefined) return ["is no metric of ours"]
  const { buckets, byFeature, labels, meaning, type, unit } = definition
  const known = [...labels, ...(byFeature ? ["feature"] : []), ...allowed]
  const same = <A>(what: string, is: A, should: A) =>
    JSON.stringify(is) === JSON.stringify(should)
      ? []
      : [`its ${what} is ${JSON.stringify(is)}, not ${JSON.stringify(should)}`]
  return [
    ...same("type", metric.type, exportedTypes[type]),
    ...same("unit", metric.unit, unit),
    ...same("description", metric.description, meaning),
    ...(type === "gauge" ? [] : same("temporality", metric.temporality, "cumulative")),
    ...(type === "counter" ? same("monotonic", metric.monotonic, true) : []),
    ...metric.points.flatMap(({ attributes, bounds }) => [
      ...(type === "histogram" ? same("buckets", bounds, buckets) : []),
      ...Object.entries(attributes).flatMap(([key, value]) =>
        !known.includes(key)
          ? [`has a label that is none: ${key}`]
          : typeof value !== "string"
          ? [`its label ${key} is no string`]
          : value === ""
          ? [`its label ${key} is empty`]
          : []
      )
    ])
  ]
}

/** Requests to providers hang below operations, HTTP below requests, and no child begins before its parent. */
const structureProblems = (spans: ReadonlyArray<Span>): ReadonlyArray<string> => {
  const byId = new Map(spans.map((span) => [span.spanId, span]))
  const above: { readonly [Type in keyof typeof Conventions.spans]?: ReadonlyArray<keyof typeof Conventions.spans> } = {
    attempt: ["operation", "embeddings"],
    http: ["attempt"]
  }
  return spans.flatMap((span) => {
    const type = spanType(span)
    if (type === undefined) return []
    const parent = span.parentSpanId === undefined ? undefined : byId.get(span.parentSpanId)
    const expected = above[type]
    return [
      ...(expected === undefined || (parent !== undefined && expected.some((type) => spanType(parent) === type))
        ? []
        : [`${span.name}: hangs below ${parent?.name ?? "nothing"}`]),
      ...(parent === undefined || (parent.traceId === span.traceId && parent.start <= span.start)
        ? []
        : [`${span.name}: is of another trace, or begins before what it hangs below`])
    ]
  })
}

const noted = (name: string, problems: ReadonlyArray<string>) => problems.map((problem) => `${name}: ${problem}`)

/** All that is not as `Conventions` has it, in words, each once. */
export const violations = (
  { metrics, spans }: Exported,
  { application = [], ours = () => true, units = false }: Options = {}
): ReadonlyArray<string> => {
  const looked = spans.filter(ours)
  return [
    ...new Set([
      ...looked.flatMap((span) => noted(span.name, spanProblems(span, application))),
      ...structureProblems(looked),
      ...metrics.flatMap((metric) =>
        noted(metric.name, metricProblems(metric, units ? [...application, "unit"] : application))
      )
    ])
  ]
}

/** What of `Conventions` was seen: to know how much a run has tried. */
export const seen = (exported: Exported) => {
  const keys = new Set(exported.spans.flatMap(({ attributes, events }) => [
    ...Object.keys(attributes),
    ...events.flatMap(({ attributes }) => Object.keys(attributes))
  ]))
  const names = new Set(exported.spans.flatMap(({ events }) => events.map(({ name }) => name)))
  return {
    spans: new Set(exported.spans.map(spanType)),
    attributes: [...definitions.keys()].filter((key) => keys.has(key)),
    events: [...events.keys()].filter((name) => names.has(name)),
    metrics: [...metrics.keys()].filter((name) =>
      lastOf({ ...exported, logs: [], requests: [], problems: [] }, name) !== undefined
    )
  }
}
