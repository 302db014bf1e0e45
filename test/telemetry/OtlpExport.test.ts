/**
 * What comes out of a program and into a collector, over real HTTP, by each of the ways that Effect has: read with the official schema.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Layer, Metric } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpExporter, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { lastOf, type Point, type Receiver, receiver, type Span } from "./support/otlp.ts"
import * as Sdk from "./support/sdk.ts"

const resource = { serviceName: "shop", serviceVersion: "1.2.3" }

interface Way {
  readonly contentType: string
  readonly compresses: boolean
  /** What is held is sent when the layer is closed. */
  readonly layer: (receiver: Receiver) => Layer.Layer<OtlpExporter.Flusher>
}

const ofEffect = (format: "layerJson" | "layerProtobuf", compression: "gzip" | "none"): Way => ({
  contentType: format === "layerJson" ? "application/json" : "application/x-protobuf",
  compresses: compression === "gzip",
  layer: ({ url }) => Layer.provide(Otlp[format]({ baseUrl: url, resource, compression }), FetchHttpClient.layer)
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
  const duration = Metric.histogram("shop.duration", {
    boundaries,
    description: "How long it took.",
    attributes: { unit: "s" }
  })
  for (const seconds of [0.005, 0.01, 0.011, 0.05, 7]) {
    yield* Metric.update(Metric.withAttributes(duration, { model: "small" }), seconds)
  }
  yield* Metric.update(Metric.withAttributes(duration, { model: "large" }), 0.03)
  yield* Metric.update(
    Metric.histogram("shop.tokens", {
      boundaries: [1, 4, 16, 67_108_864],
      attributes: { unit: "{token}", type: "input" }
    }),
    5
  )
  yield* Metric.update(Metric.counter("shop_orders_total", { incremental: true, attributes: { unit: "{order}" } }), 3)
  yield* Metric.update(Metric.gauge("shop_used_ratio", { attributes: { unit: "1", scope: "all" } }), 0.25)
  yield* Metric.update(Metric.gauge("shop_plain"), 2)
})

/** What is sent, without the attribute that only says the unit. */
const withoutUnits = Layer.effect(
  OtlpSerialization.OtlpSerialization,
  Effect.map(OtlpSerialization.OtlpSerialization, (inner) => ({
    ...inner,
    metrics: (data) => {
      for (const { scopeMetrics } of data.resourceMetrics) {
        for (const { metrics } of scopeMetrics) {
          for (const { gauge, histogram, sum } of metrics) {
            for (const point of (gauge ?? histogram ?? sum)?.dataPoints ?? []) {
              point.attributes = (point.attributes ?? []).filter(({ key }) => key !== "unit")
            }
          }
        }
      }
      return inner.metrics(data)
    }
  }))
).pipe(Layer.provide(OtlpSerialization.layerProtobuf))

/** Runs something with all that it does going to a receiver, and closes the way there. */
const exported = <A, E>(way: Way, program: Effect.Effect<A, E, OtlpExporter.Flusher>) =>
  Effect.gen(function*() {
    const collector = yield* receiver
    yield* TestClock.setTime(began)
    yield* program.pipe(
      Effect.provide(way.layer(collector)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    assert.deepStrictEqual(collector.received.problems, [])
    return collector
  })

const flush = Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => flush)

/** A point without its times, which of the SDK are those of the machine. */
const pointOf = ({ start, time, ...point }: Point) => {
  assert.isTrue(start <= time)
  return point
}

const byName = (spans: ReadonlyArray<Span>) => Object.fromEntries(spans.map((span) => [span.name, span]))

describe.each(Object.entries(ways))("%s", (_, way) => {
  it.effect("sends spans as they were", () =>
    Effect.gen(function*() {
      const { received: { requests, spans } } = yield* exported(way, traced)
      const sent = requests.filter(({ signal }) => signal === "traces")
      assert.isNotEmpty(sent)
      for (const { contentType, encoding } of sent) {
        assert.strictEqual(contentType, way.contentType)
        assert.strictEqual(encoding, way.compresses ? "gzip" : undefined)
      }

      // One trace, whose spans hang below each other.
      assert.strictEqual(spans.length, 5)
      assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)
      assert.strictEqual(new Set(spans.map(({ spanId }) => spanId)).size, 5)
      const { charge, order, reserve, ship, wait } = byName(spans)
      if (!charge || !order || !reserve || !ship || !wait) return assert.fail("a span is missing")
      assert.strictEqual(order.parentSpanId, undefined)
      for (const child of [charge, reserve, ship, wait]) assert.strictEqual(child.parentSpanId, order.spanId)
      assert.deepStrictEqual(
        [order, charge, reserve, ship, wait].map(({ kind }) => kind),
        ["server", "client", "producer", "consumer", "internal"]
      )
      for (const { resource } of spans) {
        assert.strictEqual(resource["service.name"], "shop")
        assert.strictEqual(resource["service.version"], "1.2.3")
      }

      // To the nanosecond, which no double holds; one within the other.
      assert.deepStrictEqual([order, charge, reserve, ship, wait].map(({ end, start }) => [start, end]), [
        [at(0), at(8)],
        [at(2), at(7)],
        [at(7), at(7)],
        [at(7), at(7)],
        [at(7), at(8)]
      ])

      assert.deepStrictEqual(order.attributes, {
        text: "Ähre",
        empty: "",
        whole: 3n,
        negative: -3n,
        large: 2n ** 53n - 1n,
        fraction: 0.25,
        yes: true,
        no: false,
        names: ["a", "b"],
        numbers: [1n, 2n]
      })
      assert.deepStrictEqual(charge.events, [
        {
          name: "bulwark.retry",
          time: at(4),
          attributes: { "bulwark.reason": "RateLimited", "bulwark.delay_ms": 1.5 }
        },
        { name: "plain", time: at(5), attributes: {} }
      ])
      assert.deepStrictEqual(charge.links, [
        { traceId: order.traceId, spanId: order.spanId, attributes: { why: "billed" } }
      ])

      // Failures and defects are errors, and stand there as exceptions, messages and all; interruption is neither.
      assert.deepStrictEqual([order, charge, reserve, ship, wait].map(({ status }) => status), [
        { code: "ok", message: "" },
        { code: "ok", message: "" },
        { code: "error", message: "none left" },
        { code: "error", message: "broken" },
        { code: "unset", message: "" }
      ])
      for (const [span, type] of [[reserve, "OutOfStock"], [ship, "TypeError"]] as const) {
        assert.deepStrictEqual(span.events.map(({ name }) => name), ["exception"])
        assert.strictEqual(span.events[0]?.attributes["exception.type"], type)
        assert.strictEqual(span.events[0]?.attributes["exception.message"], span.status.message)
      }
      assert.deepStrictEqual(wait.attributes, { "effect.fiber.interrupted": true })
    }))

  it.effect("sends metrics as they were, with the unit that their attribute says", () =>
    Effect.gen(function*() {
      const { received } = yield* exported(way, metered)
      const sent = received.requests.filter(({ signal }) => signal === "metrics")
      assert.isNotEmpty(sent)
      for (const { contentType } of sent) assert.strictEqual(contentType, way.contentType)
      const of = (name: string) => {
        const metric = lastOf(received, name)
        if (metric === undefined) return assert.fail(`${name} is missing`)
        const { description, monotonic, points, temporality, type, unit } = metric
        return { description, monotonic, temporality, type, unit, points: points.map(pointOf) }
      }
      assert.deepStrictEqual(of("shop.duration"), {
        description: "How long it took.",
        type: "histogram",
        unit: "s",
        temporality: "cumulative",
        monotonic: undefined,
        points: [
          {
            // The attribute that says the unit goes out as one.
            attributes: { unit: "s", model: "small" },
            count: 5,
            sum: 7.076,
            min: 0.005,
            max: 7,
            bounds: boundaries,
            // A bound belongs to the bucket below it.
            counts: [2, 1, 0, 1, 1]
          },
          {
            attributes: { unit: "s", model: "large" },
            count: 1,
            sum: 0.03,
            min: 0.03,
            max: 0.03,
            bounds: boundaries,
            counts: [0, 0, 1, 0, 0]
          }
        ]
      })
      assert.deepStrictEqual(of("shop.tokens"), {
        description: "",
        type: "histogram",
        unit: "{token}",
        temporality: "cumulative",
        monotonic: undefined,
        points: [{
          attributes: { unit: "{token}", type: "input" },
          count: 1,
          sum: 5,
          min: 5,
          max: 5,
          bounds: [1, 4, 16, 67_108_864],
          counts: [0, 0, 1, 0, 0]
        }]
      })
      assert.deepStrictEqual(of("shop_orders_total"), {
        description: "",
        type: "sum",
        unit: "{order}",
        temporality: "cumulative",
        monotonic: true,
        points: [{ attributes: { unit: "{order}" }, value: 3 }]
      })
      assert.deepStrictEqual(of("shop_used_ratio"), {
        description: "",
        type: "gauge",
        unit: "1",
        temporality: undefined,
        monotonic: undefined,
        points: [{ attributes: { unit: "1", scope: "all" }, value: 0.25 }]
      })
      assert.deepStrictEqual(of("shop_plain"), {
        description: "",
        type: "gauge",
        unit: "1",
        temporality: undefined,
        monotonic: undefined,
        points: [{ attributes: {}, value: 2 }]
      })
    }))

  it.effect("sends metrics cumulatively, from one beginning", () =>
    Effect.gen(function*() {
      const { received: { metrics } } = yield* exported(
        way,
        Effect.gen(function*() {
          yield* metered
          yield* flush
          yield* TestClock.adjust("1 second")
          yield* metered
          yield* flush
        })
      )
      const of = (name: string) => metrics.filter((metric) => metric.name === name).map(({ points }) => points[0])
      const [first, second] = of("shop_orders_total")
      assert.strictEqual(first?.value, 3)
      assert.strictEqual(second?.value, 6)
      assert.strictEqual(first?.start, second?.start)
      assert.isTrue((first?.time ?? 0n) <= (second?.time ?? 0n))
      const [once, twice] = of("shop.duration")
      assert.deepStrictEqual([once?.count, twice?.count], [5, 10])
      assert.deepStrictEqual(twice?.counts, once?.counts?.map((count) => 2 * count))
    }))
})

describe("units", () => {
  it.effect("leave no label in the text for Prometheus", () =>
    Effect.gen(function*() {
      yield* metered
      const text = yield* PrometheusMetrics.format()
      assert.notInclude(text, "unit=")
      assert.include(text, `shop_duration_bucket{model="small",le="0.01"} 2`)
      assert.include(text, `shop_tokens_count{type="input"} 1`)
      assert.include(text, "shop_orders_total 3")
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("can be kept from going out as attributes too", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      yield* Effect.andThen(metered, flush).pipe(
        Effect.provide(
          Otlp.layer({ baseUrl: collector.url, resource }).pipe(
            Layer.provide([FetchHttpClient.layer, withoutUnits])
          )
        ),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.strictEqual(lastOf(collector.received, "shop.duration")?.unit, "s")
      assert.strictEqual(lastOf(collector.received, "shop_orders_total")?.unit, "{order}")
      for (const { name, points } of collector.received.metrics) {
        for (const { attributes } of points) assert.notProperty(attributes, "unit", name)
      }
    }))
})
