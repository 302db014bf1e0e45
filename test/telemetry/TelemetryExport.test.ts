/**
 * What Bulwark's telemetry sends, over real HTTP and read with the official schema: its names, and how its spans hang together.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { Telemetry } from "effect-bulwark/telemetry"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { seen, violations } from "./support/conventions.ts"
import { type Receiver, receiver } from "./support/otlp.ts"
import * as Scenarios from "./support/scenarios.ts"
import * as Sdk from "./support/sdk.ts"

const everything: Telemetry.Options = {
  content: true,
  features: true,
  attribution: ["user", "tenant", "feature", "requestId"]
}

it.effect("DEBUG", () => Effect.gen(function*() {
  const c = yield* receiver
  yield* TestClock.setTime(Date.parse("2026-01-02T03:04:05.678Z"))
  const rest = "10000 days"
  yield* Scenarios.all.pipe(
    Effect.provide(Telemetry.layerOtlp({ ...everything, baseUrl: c.url, protocol: "protobuf", resource: { serviceName: "shop" }, tracerExportInterval: rest, metricsExportInterval: rest, loggerExportInterval: rest }).pipe(Layer.provide(FetchHttpClient.layer))),
    Effect.provideService(Metric.MetricRegistry, new Map()))
  console.log(c.received.problems, c.received.spans.length, c.received.requests.length)
  console.log(violations(c.received))
  console.log(seen(c.received))
}), 60_000)
