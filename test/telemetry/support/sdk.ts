/**
 * OpenTelemetry's own SDK, set up as applications do it under Effect: its exporters for traces, in batches or one by one, and for
 * metrics a periodic reader over an exporter that is made of its own serializers.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import type * as Resource from "@effect/opentelemetry/Resource"
import { OTLPTraceExporter as JsonTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { OTLPTraceExporter as ProtobufTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto"
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer"
import {
  AggregationTemporality,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics
} from "@opentelemetry/sdk-metrics"
import { BatchSpanProcessor, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as OtlpExporter from "effect/observability/OtlpExporter"

export type Format = "json" | "protobuf"

const contentTypes = { json: "application/json", protobuf: "application/x-protobuf" } as const

/** Sends metrics to a receiver. */
export const metricExporter = (url: string, format: Format): PushMetricExporter => {
  const running = new Set<Promise<void>>()
  const serializer = format === "json" ? JsonMetricsSerializer : ProtobufMetricsSerializer
  const send = async (metrics: ResourceMetrics): Promise<void> => {
    // The serializers come with an SDK of their own, of the same shape: to the compiler its enums are others.
    const body = serializer.serializeRequest(
      metrics as unknown as Parameters<typeof serializer.serializeRequest>[0]
    )
    if (body === undefined) throw new TypeError("the metrics cannot be serialized")
    const response = await fetch(`${url}/v1/metrics`, {
      method: "POST",
      headers: { "content-type": contentTypes[format] },
      body: new Uint8Array(body)
    })
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`the receiver answers ${response.status}`)
  }
  return {
    export: (metrics, done) => {
      const sending = send(metrics).then(
        () => done({ code: 0 }),
        (error: Error) => done({ code: 1, error })
      )
      running.add(sending)
      void sending.finally(() => running.delete(sending))
    },
    selectAggregationTemporality: () => AggregationTemporality.CUMULATIVE,
    forceFlush: async () => void await Promise.all(running),
    shutdown: async () => void await Promise.all(running)
  }
}

export interface Options {
  readonly url: string
  readonly format: Format
  readonly processor: "batch" | "simple"
  readonly shutdownTimeout?: Duration.Input
  /** How many spans a batch may wait for; what is more is dropped. Default: that of the SDK, 2,048. */
  readonly maxQueueSize?: number
}

/** The SDK, sending all to one receiver. What it holds is sent when it is told to flush, as Effect's own exporters are, or is closed. */
export const layer = (
  { format, maxQueueSize, processor, shutdownTimeout, url }: Options
): Layer.Layer<Resource.Resource | OtlpExporter.Flusher> =>
  Layer.unwrap(Effect.sync(() => {
    const Exporter = format === "json" ? JsonTraceExporter : ProtobufTraceExporter
    const exporter = new Exporter({ url: `${url}/v1/traces` })
    const spanProcessor = processor === "batch"
      ? new BatchSpanProcessor(exporter, maxQueueSize === undefined ? {} : { maxQueueSize })
      : new SimpleSpanProcessor(exporter)
    const metricReader = new PeriodicExportingMetricReader({
      exporter: metricExporter(url, format),
      exportIntervalMillis: 3_600_000
    })
    return Layer.merge(
      NodeSdk.layer(() => ({
        resource: { serviceName: "shop", serviceVersion: "1.2.3" },
        spanProcessor,
        metricReader,
        shutdownTimeout
      })),
      Layer.succeed(OtlpExporter.Flusher, {
        flush: Effect.promise(async () => {
          await Promise.all([spanProcessor.forceFlush(), metricReader.forceFlush()])
        }),
        register: () => Effect.void
      })
    )
  }))
