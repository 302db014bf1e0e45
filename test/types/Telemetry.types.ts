/**
 * What telemetry needs, and what it provides. This file is compiled, never run.
 */
import type { Layer } from "effect"
import type { Call } from "effect-bulwark"
import type { Pricing } from "effect-bulwark/budget"
import { Conventions, Telemetry } from "effect-bulwark/telemetry"
import type { HttpClient, HttpRouter } from "effect/http"
import type { Otlp, OtlpExporter, PrometheusMetrics } from "effect/observability"
import { expectTypeOf } from "vitest"

// ---- layers: none can fail; prices, a client and a router are asked for where they are used ----
expectTypeOf<Parameters<typeof Telemetry.layer>>().toEqualTypeOf<[options?: Telemetry.Options | undefined]>()
expectTypeOf(Telemetry.layer()).toEqualTypeOf<Layer.Layer<never>>()
expectTypeOf<Parameters<typeof Telemetry.layerPriced>>().toEqualTypeOf<[options?: Telemetry.Options | undefined]>()
expectTypeOf(Telemetry.layerPriced()).toEqualTypeOf<Layer.Layer<never, never, Pricing.Pricing>>()
expectTypeOf<Parameters<typeof Telemetry.layerOtlp>>().toEqualTypeOf<[options?: Telemetry.OtlpOptions | undefined]>()
expectTypeOf(Telemetry.layerOtlp()).toEqualTypeOf<
  Layer.Layer<OtlpExporter.Flusher, never, HttpClient.HttpClient>
>()
expectTypeOf<Parameters<typeof Telemetry.layerPrometheus>>().toEqualTypeOf<
  [options?: PrometheusMetrics.HttpOptions | undefined]
>()
expectTypeOf(Telemetry.layerPrometheus()).toEqualTypeOf<Layer.Layer<never, never, HttpRouter.HttpRouter>>()

// ---- options ----
expectTypeOf<Telemetry.Options["content"]>().toEqualTypeOf<boolean | Telemetry.Content | undefined>()
expectTypeOf<Telemetry.Content["redact"]>().toEqualTypeOf<
  ((text: string, place: Telemetry.Place) => string) | undefined
>()
expectTypeOf<Telemetry.Place>().toEqualTypeOf<"system" | "input" | "output">()
expectTypeOf<Telemetry.Options["propagate"]>().toEqualTypeOf<boolean | ((target: Call.Target) => boolean) | undefined>()
expectTypeOf<Telemetry.Options["features"]>().toEqualTypeOf<boolean | ReadonlyArray<string> | undefined>()
expectTypeOf<NonNullable<Telemetry.Options["attribution"]>[number]>().toEqualTypeOf<
  "user" | "tenant" | "feature" | "requestId"
>()
// Whatever the exporters of `effect/observability` take, and where to by default.
expectTypeOf<Omit<Telemetry.OtlpOptions, keyof Telemetry.Options | "baseUrl" | "protocol">>().toEqualTypeOf<
  Omit<Parameters<typeof Otlp.layer>[0], "baseUrl">
>()
expectTypeOf<Telemetry.OtlpOptions["baseUrl"]>().toEqualTypeOf<string | undefined>()
expectTypeOf<Telemetry.OtlpOptions["protocol"]>().toEqualTypeOf<"protobuf" | "json" | undefined>()

// @ts-expect-error: tags are no attributes of spans
void Telemetry.layer({ attribution: ["tags"] })
// @ts-expect-error: nothing else is sent over OTLP
void Telemetry.layerOtlp({ protocol: "grpc" })
// @ts-expect-error: it is `metrics`
void Telemetry.layer({ metric: false })

// ---- names, as data ----
expectTypeOf<(typeof Conventions.spans)["operation"]["name"]>().toEqualTypeOf<"chat {model}">()
expectTypeOf<keyof typeof Conventions.spans>().toEqualTypeOf<
  "operation" | "attempt" | "http" | "embeddings" | "tool"
>()
expectTypeOf(Conventions.attributes.errorType).toEqualTypeOf<Conventions.AttributeDefinition>()
expectTypeOf(Conventions.events.retry).toEqualTypeOf<Conventions.EventDefinition>()
expectTypeOf(Conventions.metrics.requestDuration).toEqualTypeOf<Conventions.MetricDefinition>()
expectTypeOf<Conventions.MetricDefinition["type"]>().toEqualTypeOf<"counter" | "gauge" | "histogram">()
expectTypeOf(Conventions.sourceOf).toEqualTypeOf<(name: string) => Conventions.Source>()
expectTypeOf<Conventions.Source>().toEqualTypeOf<"OpenTelemetry" | "Bulwark">()
expectTypeOf<typeof Conventions.version>().toEqualTypeOf<"1.41.0">()
expectTypeOf<typeof Conventions.other>().toEqualTypeOf<"_OTHER">()

// @ts-expect-error: there is no such metric
void Conventions.metrics.requests
