/**
 * What comes out of a program and into a collector, over real HTTP, by each of the ways that Effect has: read with the official schema.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Layer, Metric, Option } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { type Attributes, lastOf, type Metric as Exported, type Receiver, receiver, type Span } from "./support/otlp.ts"
import * as Sdk from "./support/sdk.ts"

const resource = { serviceName: "shop", serviceVersion: "1.2.3" }

interface Way {
  readonly contentType: string
  readonly compresses: boolean
  /** What is held is sent when the layer is closed. */
  readonly layer: (receiver: Receiver) => Layer.Layer<never>
}

const ofEffect = (format: "layerJson" | "layerProtobuf", compression: "gzip" | "none"): Way => ({
  contentType: format === "layerJson" ? "application/json" : "application/x-protobuf",
  compresses: compression === "gzip",
  layer: ({ url }) =>
    Layer.effectDiscard(Effect.void).pipe(
      Layer.provideMerge(Otlp[format]({ baseUrl: url, resource, compression })),
      Layer.provide(FetchHttpClient.layer)
    )
})

const ofSdk = (format: Sdk.Format, processor: "batch" | "simple"): Way => ({
  contentType: format === "json" ? "application/json" : "application/x-protobuf",
  compresses: false,
  layer: ({ url }) => Sdk.layer({ url, format, processor })
})

const ways: { readonly [name: string]: Way } = {
  "Otlp.layerJson": ofEffect("layerJson", "none"),
  "Otlp.layerProtobuf": ofEffect("layerProtobuf", "none"),
  "Otlp.layerJson, gzipped": ofEffect("layerJson", "gzip"),
  "Otlp.layerProtobuf, gzipped": ofEffect("layerProtobuf", "gzip"),
  "NodeSdk, JSON in batches": ofSdk("json", "batch"),
  "NodeSdk, JSON one by one": ofSdk("json", "simple"),
  "NodeSdk, protobuf in batches": ofSdk("protobuf", "batch"),
  "NodeSdk, protobuf one by one": ofSdk("protobuf", "simple")
}

const began = Date.parse("2026-01-02T03:04:05.678Z")

const at = (millis: number): bigint => BigInt(began + millis) * 1_000_000n

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly message: string }> {}

/** Spans of every kind and end, one within another, with all that may stand on them. */
const traced = Effect.gen(function*() {
  const order = yield* Effect.currentSpan
  yield* TestClock.adjust("2 millis")
  yield* Effect.annotateCurrentSpan({
    text: "Ähre",
    empty: "",
    whole: 3,
    negative: -3,
    large: 2 ** 53 - 1,
    fraction: 0.25,
    yes: true,
    no: false,
    names: ["a", "b"],
    numbers: [1, 2]
  })
  yield* Effect.void.pipe(
    Effect.andThen(TestClock.adjust("5 millis")),
    Effect.andThen(Effect.flatMap(Effect.currentSpan, (span) =>
      Effect.sync(() => {
        span.event("bulwark.retry", at(4), { "bulwark.reason": "RateLimited", "bulwark.delay_ms": 1.5 })
        span.event("plain", at(5))
      }))),
    Effect.withSpan("charge", { kind: "client", links: [{ span: order, attributes: { why: "billed" } }] })
  )
  yield* Effect.fail(new OutOfStock({ message: "none left" })).pipe(
    Effect.withSpan("reserve", { kind: "producer" }),
    Effect.ignore
  )
  yield* Effect.die(new TypeError("broken")).pipe(
    Effect.withSpan("ship", { kind: "consumer" }),
    Effect.exit
  )
  const waiting = yield* Effect.never.pipe(
    Effect.withSpan("wait"),
    Effect.forkChild({ startImmediately: true })
  )
  yield* TestClock.adjust("1 millis")
  yield* Fiber.interrupt(waiting)
}).pipe(Effect.withSpan("order", { kind: "server" }))

const boundaries = [0.01, 0.02, 0.04, 0.08]

/** As a metric says what its unit is: by an attribute. */
const metered = Effect.gen(function*() {
  const duration = Metric.histogram("shop.duration", { boundaries, description: "How long it took.", attributes: { unit: "s" } })
  for (const seconds of [0.005, 0.01, 0.011, 0.05, 7]) {
    yield* Metric.update(Metric.withAttributes(duration, { model: "small" }), seconds)
  }
  yield* Metric.update(Metric.withAttributes(duration, { model: "large" }), 0.03)
  yield* Metric.update(
    Metric.histogram("shop.tokens", { boundaries: [1, 4, 16, 67_108_864], attributes: { unit: "{token}", type: "input" } }),
    5
  )
  yield* Metric.update(Metric.counter("shop_orders_total", { incremental: true, attributes: { unit: "{order}" } }), 3)
  yield* Metric.update(Metric.gauge("shop_used_ratio", { attributes: { unit: "1", scope: "all" } }), 0.25)
  yield* Metric.update(Metric.gauge("shop_plain"), 2)
})

/** Runs something with all that it does going to a receiver, and closes the way there. */
const exported = <A, E>(way: Way, program: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const collector = yield* receiver
    yield* TestClock.setTime(began)
    yield* program.pipe(
      Effect.provide(way.layer(collector)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    return collector
  })

it.effect.each(Object.entries(ways))("DEBUG %s", ([_, way]) => Effect.gen(function*() {
  const c = yield* exported(way, Effect.andThen(traced, metered))
  console.log(_, c.received.problems, c.received.requests.map((r) => [r.signal, r.contentType, r.encoding, r.bytes]))
  if (_ === "Otlp.layerJson" || _ === "NodeSdk, protobuf in batches") console.dir([c.received.spans, c.received.metrics], { depth: 9 })
}))
