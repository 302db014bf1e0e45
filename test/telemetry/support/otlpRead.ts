/**
 * What tests see of requests in OpenTelemetry's protocol: spans, metrics and logs, each in one shape.
 *
 * What the protocol's types cannot say is held to here: a key that stands twice among attributes, a value that is two at once, buckets
 * that do not add up, bounds that do not rise, a series that stands twice, a sum without temporality, a span that ends before it begins
 * are failures. Requests as protobuf are turned into the protocol's JSON first, so both come out the same.
 */
import {
  type AnyValueJson,
  decodeLogs,
  decodeMetrics,
  decodeTraces,
  type DoubleJson,
  type HistogramJson,
  type KeyValueJson,
  type MetricJson,
  type NumbersJson,
  type ResourceJson,
  type ScopeJson,
  type SummaryJson
} from "./otlpJson.ts"

/**
 * The value of an attribute. Integers are bigints and doubles are numbers, so that tests can tell them apart; bytes are base64.
 */
export type Value =
  | string
  | boolean
  | bigint
  | number
  | null
  | { readonly bytes: string }
  | ReadonlyArray<Value>
  | { readonly entries: Attributes }

export interface Attributes {
  readonly [key: string]: Value
}

export interface Resource {
  readonly resource: Attributes
  readonly scope: { readonly name: string; readonly version: string }
}

export interface SpanEvent {
  readonly name: string
  readonly time: bigint
  readonly attributes: Attributes
}

export interface SpanLink {
  readonly traceId: string
  readonly spanId: string
  readonly attributes: Attributes
}

export interface Span extends Resource {
  readonly name: string
  readonly kind: "unspecified" | "internal" | "server" | "client" | "producer" | "consumer"
  readonly traceId: string
  readonly spanId: string
  /** Undefined for roots. */
  readonly parentSpanId: string | undefined
  /** In nanoseconds since 1970. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Attributes
  readonly events: ReadonlyArray<SpanEvent>
  readonly links: ReadonlyArray<SpanLink>
  readonly status: { readonly code: "unset" | "ok" | "error"; readonly message: string }
}

export interface Point {
  readonly attributes: Attributes
  readonly start: bigint
  readonly time: bigint
  /** Of gauges and sums: a bigint where it was sent as an integer. */
  readonly value?: number | bigint
  /** Of histograms and summaries. */
  readonly count?: number
  readonly sum?: number
  readonly min?: number
  readonly max?: number
  /** Of histograms: upper bounds, and how many lie in each bucket, one more than there are bounds. */
  readonly bounds?: ReadonlyArray<number>
  readonly counts?: ReadonlyArray<number>
}

export interface Metric extends Resource {
  readonly name: string
  readonly description: string
  readonly unit: string
  readonly type: "gauge" | "sum" | "histogram" | "summary"
  /** Undefined for gauges and summaries. */
  readonly temporality: "cumulative" | "delta" | undefined
  /** Undefined for all but sums. */
  readonly monotonic: boolean | undefined
  readonly points: ReadonlyArray<Point>
}

export interface Log extends Resource {
  readonly time: bigint
  readonly severity: number
  readonly body: Value
  readonly attributes: Attributes
  readonly traceId: string | undefined
  readonly spanId: string | undefined
}

const refuse = (reason: string): never => {
  throw new TypeError(reason)
}

const number = (value: DoubleJson | undefined): number => Number(value ?? 0)

const count = (value: string | number | undefined): number => {
  const counted = Number(value ?? 0)
  return Number.isSafeInteger(counted) && counted >= 0 ? counted : refuse(`${value} is no count`)
}

const valueOf = (json: AnyValueJson): Value => {
  const set = Object.keys(json)
  if (set.length > 1) refuse(`a value is ${set.join(" and ")} at once`)
  if (json.stringValue !== undefined) return json.stringValue
  if (json.boolValue !== undefined) return json.boolValue
  if (json.intValue !== undefined) {
    const value = BigInt(json.intValue)
    return BigInt.asIntN(64, value) === value ? value : refuse(`${value} has more than 64 bits`)
  }
  if (json.doubleValue !== undefined) return number(json.doubleValue)
  if (json.bytesValue !== undefined) return { bytes: json.bytesValue }
  if (json.arrayValue !== undefined) return (json.arrayValue.values ?? []).map(valueOf)
  if (json.kvlistValue !== undefined) return { entries: attributesOf(json.kvlistValue.values) }
  return null
}

const attributesOf = (json: ReadonlyArray<KeyValueJson> | undefined): Attributes => {
  const attributes: { [key: string]: Value } = {}
  for (const { key, value } of json ?? []) {
    if (key === "") refuse("an attribute has no key")
    if (Object.hasOwn(attributes, key)) refuse(`the attribute ${key} stands twice`)
    attributes[key] = valueOf(value ?? {})
  }
  return attributes
}

const whole = (id: string, name: string): string => {
  if (/^0+$/.test(id)) refuse(`${name}: an id is zero`)
  return id.toLowerCase()
}

const resourceOf = (
  resource: ResourceJson | undefined,
  scope: ScopeJson | undefined
): Resource => ({
  resource: attributesOf(resource?.attributes),
  scope: { name: scope?.name ?? "", version: scope?.version ?? "" }
})

const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const
const statuses = ["unset", "ok", "error"] as const
const temporalities = [undefined, "delta", "cumulative"] as const

/** The spans of a request. Throws where something is wrong. */
export const spansOf = (json: unknown): ReadonlyArray<Span> =>
  (decodeTraces(json).resourceSpans ?? []).flatMap(({ resource, scopeSpans = [] }) =>
    scopeSpans.flatMap(({ scope, spans = [] }) =>
      spans.map((span): Span => {
        const start = BigInt(span.startTimeUnixNano ?? 0)
        const end = BigInt(span.endTimeUnixNano ?? 0)
        if (end < start) refuse(`${span.name} ends before it begins`)
        return {
          ...resourceOf(resource, scope),
          name: span.name,
          kind: kinds[span.kind ?? 0] ?? "unspecified",
          traceId: whole(span.traceId, span.name),
          spanId: whole(span.spanId, span.name),
          parentSpanId: span.parentSpanId ? whole(span.parentSpanId, span.name) : undefined,
          start,
          end,
          attributes: attributesOf(span.attributes),
          events: (span.events ?? []).map((event) => ({
            name: event.name ?? "",
            time: BigInt(event.timeUnixNano ?? 0),
            attributes: attributesOf(event.attributes)
          })),
          links: (span.links ?? []).map((link) => ({
            traceId: whole(link.traceId, span.name),
            spanId: whole(link.spanId, span.name),
            attributes: attributesOf(link.attributes)
          })),
          status: { code: statuses[span.status?.code ?? 0] ?? "unset", message: span.status?.message ?? "" }
        }
      })
    )
  )

const pointOf = (json: {
  readonly attributes?: ReadonlyArray<KeyValueJson>
  readonly startTimeUnixNano?: string
  readonly timeUnixNano?: string
}) => ({
  attributes: attributesOf(json.attributes),
  start: BigInt(json.startTimeUnixNano ?? 0),
  time: BigInt(json.timeUnixNano ?? 0)
})

const numberOf = (name: string, json: NumbersJson[number]): Point => {
  if (json.asDouble !== undefined && json.asInt !== undefined) refuse(`${name}: a point has two values`)
  return { ...pointOf(json), value: json.asInt === undefined ? number(json.asDouble) : BigInt(json.asInt) }
}

const numbersOf = (name: string, points: NumbersJson | undefined): ReadonlyArray<Point> =>
  (points ?? []).map((json) => numberOf(name, json))

const summaryOf = (json: SummaryJson): Point => ({ ...pointOf(json), count: count(json.count), sum: number(json.sum) })

const histogramOf = (name: string, json: HistogramJson): Point => {
  const bounds = (json.explicitBounds ?? []).map(number)
  const counts = (json.bucketCounts ?? []).map(count)
  const all = count(json.count)
  if (counts.length > 0) {
    if (counts.length !== bounds.length + 1) refuse(`${name}: ${bounds.length} bounds, ${counts.length} buckets`)
    if (counts.reduce((sum, one) => sum + one, 0) !== all) refuse(`${name}: buckets do not add up to ${all}`)
  } else if (bounds.length > 0) refuse(`${name}: bounds without buckets`)
  if (bounds.some((bound, index) => index > 0 && !(bound > (bounds[index - 1] ?? bound)))) {
    refuse(`${name}: bounds do not rise`)
  }
  return {
    ...pointOf(json),
    count: all,
    sum: number(json.sum),
    ...(json.min === undefined ? {} : { min: number(json.min) }),
    ...(json.max === undefined ? {} : { max: number(json.max) }),
    bounds,
    counts
  }
}

const dataOf = ({ name, gauge, sum, histogram, summary }: MetricJson): Pick<
  Metric,
  "type" | "temporality" | "monotonic" | "points"
> => {
  if ([gauge, sum, histogram, summary].filter((data) => data !== undefined).length > 1) refuse(`${name} is two things`)
  const temporalityOf = (temporality: number | undefined) =>
    temporalities[temporality ?? 0] ?? refuse(`${name} has no temporality`)
  if (gauge !== undefined) {
    return { type: "gauge", temporality: undefined, monotonic: undefined, points: numbersOf(name, gauge.dataPoints) }
  }
  if (sum !== undefined) {
    return {
      type: "sum",
      temporality: temporalityOf(sum.aggregationTemporality),
      monotonic: sum.isMonotonic ?? false,
      points: numbersOf(name, sum.dataPoints)
    }
  }
  if (histogram !== undefined) {
    return {
      type: "histogram",
      temporality: temporalityOf(histogram.aggregationTemporality),
      monotonic: undefined,
      points: (histogram.dataPoints ?? []).map((json) => histogramOf(name, json))
    }
  }
  if (summary !== undefined) {
    return {
      type: "summary",
      temporality: undefined,
      monotonic: undefined,
      points: (summary.dataPoints ?? []).map(summaryOf)
    }
  }
  return refuse(`${name} has no data`)
}

const keyOf = (attributes: Attributes): string =>
  JSON.stringify(
    Object.entries(attributes).toSorted(([a], [b]) => a < b ? -1 : 1),
    (_, value: unknown) => typeof value === "bigint" ? `${value}n` : value
  )

/** The metrics of a request. Throws where something is wrong. */
export const metricsOf = (json: unknown): ReadonlyArray<Metric> =>
  (decodeMetrics(json).resourceMetrics ?? []).flatMap(({ resource, scopeMetrics = [] }) =>
    scopeMetrics.flatMap(({ scope, metrics = [] }) => {
      const names = new Set<string>()
      return metrics.map((metric): Metric => {
        if (names.has(metric.name)) refuse(`${metric.name} stands twice`)
        names.add(metric.name)
        const data = dataOf(metric)
        const series = new Set(data.points.map(({ attributes }) => keyOf(attributes)))
        if (series.size < data.points.length) refuse(`${metric.name} has a point twice`)
        return {
          ...resourceOf(resource, scope),
          name: metric.name,
          description: metric.description ?? "",
          unit: metric.unit ?? "",
          ...data
        }
      })
    })
  )

/** The records of a request for logs. Throws where something is wrong. */
export const logsOf = (json: unknown): ReadonlyArray<Log> =>
  (decodeLogs(json).resourceLogs ?? []).flatMap(({ resource, scopeLogs = [] }) =>
    scopeLogs.flatMap(({ scope, logRecords = [] }) =>
      logRecords.map((log): Log => ({
        ...resourceOf(resource, scope),
        time: BigInt(log.timeUnixNano ?? log.observedTimeUnixNano ?? 0),
        severity: log.severityNumber ?? 0,
        body: valueOf(log.body ?? {}),
        attributes: attributesOf(log.attributes),
        traceId: log.traceId || undefined,
        spanId: log.spanId || undefined
      }))
    )
  )
