/**
 * The JSON of OpenTelemetry's protocol, read strictly: a field that the protocol does not know, a time that is no decimal string, an
 * enum by its name, an id that is no hex is a failure.
 *
 * **Gotchas**
 *
 * 64-bit integers other than times may be numbers, as protobuf's JSON mapping has it for those who read, where they are safe integers.
 * Exponential histograms are not known here: nothing in Effect makes them.
 */
import * as Schema from "effect/Schema"

const optional = Schema.optionalKey
const matching = (pattern: RegExp) => Schema.String.check(Schema.isPattern(pattern))
const list = <S extends Schema.Constraint>(schema: S) => optional(Schema.Array(schema))
const enumeration = (last: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: last }))

const Time = optional(matching(/^\d{1,20}$/))
const Int64 = Schema.Union([matching(/^-?\d{1,20}$/), Schema.Int])
const Double = Schema.Union([Schema.Finite, Schema.Literals(["NaN", "Infinity", "-Infinity"])])
const UInt32 = optional(enumeration(2 ** 32 - 1))
const TraceId = matching(/^[0-9a-f]{32}$/i)
const SpanId = matching(/^[0-9a-f]{16}$/i)

export interface AnyValueJson {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: string | number
  readonly doubleValue?: typeof Double.Type
  readonly bytesValue?: string
  readonly arrayValue?: { readonly values?: ReadonlyArray<AnyValueJson> }
  readonly kvlistValue?: { readonly values?: ReadonlyArray<KeyValueJson> }
}

export interface KeyValueJson {
  readonly key: string
  readonly value?: AnyValueJson
}

const AnyValue: Schema.Codec<AnyValueJson> = Schema.Struct({
  stringValue: optional(Schema.String),
  boolValue: optional(Schema.Boolean),
  intValue: optional(Int64),
  doubleValue: optional(Double),
  bytesValue: optional(Schema.String),
  arrayValue: optional(Schema.Struct({ values: list(Schema.suspend(() => AnyValue)) })),
  kvlistValue: optional(Schema.Struct({ values: list(Schema.suspend(() => KeyValue)) }))
})

const KeyValue: Schema.Codec<KeyValueJson> = Schema.Struct({ key: Schema.String, value: optional(AnyValue) })

const attributed = { attributes: list(KeyValue), droppedAttributesCount: UInt32 }
const ResourceJson = Schema.Struct(attributed)
const ScopeJson = Schema.Struct({ name: optional(Schema.String), version: optional(Schema.String), ...attributed })
const schemaUrl = optional(Schema.String)

const Traces = Schema.Struct({
  resourceSpans: list(Schema.Struct({
    resource: optional(ResourceJson),
    schemaUrl,
    scopeSpans: list(Schema.Struct({
      scope: optional(ScopeJson),
      schemaUrl,
      spans: list(Schema.Struct({
        traceId: TraceId,
        spanId: SpanId,
        traceState: optional(Schema.String),
        parentSpanId: optional(Schema.Union([SpanId, Schema.Literal("")])),
        flags: UInt32,
        name: Schema.String,
        kind: optional(enumeration(5)),
        startTimeUnixNano: Time,
        endTimeUnixNano: Time,
        ...attributed,
        events: list(Schema.Struct({ timeUnixNano: Time, name: optional(Schema.String), ...attributed })),
        droppedEventsCount: UInt32,
        links: list(Schema.Struct({
          traceId: TraceId,
          spanId: SpanId,
          traceState: optional(Schema.String),
          flags: UInt32,
          ...attributed
        })),
        droppedLinksCount: UInt32,
        status: optional(Schema.Struct({ message: optional(Schema.String), code: optional(enumeration(2)) }))
      }))
    }))
  }))
})

const point = { attributes: list(KeyValue), startTimeUnixNano: Time, timeUnixNano: Time, flags: UInt32 }

const Numbers = list(Schema.Struct({ ...point, asDouble: optional(Double), asInt: optional(Int64) }))

const Temporality = optional(enumeration(2))

const Metrics = Schema.Struct({
  resourceMetrics: list(Schema.Struct({
    resource: optional(ResourceJson),
    schemaUrl,
    scopeMetrics: list(Schema.Struct({
      scope: optional(ScopeJson),
      schemaUrl,
      metrics: list(Schema.Struct({
        name: Schema.String,
        description: optional(Schema.String),
        unit: optional(Schema.String),
        metadata: list(KeyValue),
        gauge: optional(Schema.Struct({ dataPoints: Numbers })),
        sum: optional(Schema.Struct({
          dataPoints: Numbers,
          aggregationTemporality: Temporality,
          isMonotonic: optional(Schema.Boolean)
        })),
        histogram: optional(Schema.Struct({
          aggregationTemporality: Temporality,
          dataPoints: list(Schema.Struct({
            ...point,
            count: optional(Int64),
            sum: optional(Double),
            min: optional(Double),
            max: optional(Double),
            bucketCounts: list(Int64),
            explicitBounds: list(Double)
          }))
        })),
        summary: optional(Schema.Struct({
          dataPoints: list(Schema.Struct({
            ...point,
            count: optional(Int64),
            sum: optional(Double),
            quantileValues: list(Schema.Struct({ quantile: optional(Double), value: optional(Double) }))
          }))
        }))
      }))
    }))
  }))
})

const Logs = Schema.Struct({
  resourceLogs: list(Schema.Struct({
    resource: optional(ResourceJson),
    schemaUrl,
    scopeLogs: list(Schema.Struct({
      scope: optional(ScopeJson),
      schemaUrl,
      logRecords: list(Schema.Struct({
        timeUnixNano: Time,
        observedTimeUnixNano: Time,
        severityNumber: optional(enumeration(24)),
        severityText: optional(Schema.String),
        body: optional(AnyValue),
        ...attributed,
        flags: UInt32,
        traceId: optional(Schema.Union([TraceId, Schema.Literal("")])),
        spanId: optional(Schema.Union([SpanId, Schema.Literal("")])),
        eventName: optional(Schema.String)
      }))
    }))
  }))
})

export type DoubleJson = typeof Double.Type
export type ResourceJson = typeof ResourceJson.Type
export type ScopeJson = typeof ScopeJson.Type
export type NumbersJson = typeof Numbers.schema.Type

export type MetricJson = NonNullable<
  NonNullable<
    NonNullable<(typeof Metrics.Type)["resourceMetrics"]>[number]["scopeMetrics"]
  >[number]["metrics"]
>[number]

export type HistogramJson = NonNullable<NonNullable<MetricJson["histogram"]>["dataPoints"]>[number]
export type SummaryJson = NonNullable<NonNullable<MetricJson["summary"]>["dataPoints"]>[number]

const strictly = { onExcessProperty: "error" } as const

export const decodeTraces = Schema.decodeUnknownSync(Traces, strictly)
export const decodeMetrics = Schema.decodeUnknownSync(Metrics, strictly)
export const decodeLogs = Schema.decodeUnknownSync(Logs, strictly)
