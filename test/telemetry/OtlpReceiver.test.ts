/**
 * The receiver itself: it takes what the protocol allows, refuses what it does not, and misbehaves as it is told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { gzipSync } from "node:zlib"
import { NotReceived, type Receiver, receiver } from "./support/otlp.ts"
import { logsOf, metricsOf, spansOf } from "./support/otlpRead.ts"

const span = {
  traceId: "5b8efff798038103d269b633813fc60c",
  spanId: "eee19b7ec3c1b174",
  name: "one",
  kind: 2,
  startTimeUnixNano: "1544712660000000000",
  endTimeUnixNano: "1544712661000000001",
  attributes: [{ key: "n", value: { intValue: "3" } }]
}

const traces = (...spans: ReadonlyArray<object>) => ({ resourceSpans: [{ scopeSpans: [{ spans }] }] })

const metrics = (...metrics: ReadonlyArray<object>) => ({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] })

const post = (
  { url }: Receiver,
  body: string | Uint8Array<ArrayBuffer>,
  { headers = { "content-type": "application/json" }, path = "/v1/traces", method = "POST" }: {
    readonly headers?: Record<string, string>
    readonly path?: string
    readonly method?: string
  } = {}
) => Effect.promise((signal) => fetch(`${url}${path}`, { method, headers, body, signal }))

/** Without an answer. */
const refused = (receiver: Receiver, body: string) => Effect.exit(post(receiver, body))

describe("what is read", () => {
  it("is what the protocol writes", () => {
    const [read] = spansOf(traces(span))
    assert.deepStrictEqual(read, {
      resource: {},
      scope: { name: "", version: "" },
      name: "one",
      kind: "server",
      traceId: "5b8efff798038103d269b633813fc60c",
      spanId: "eee19b7ec3c1b174",
      parentSpanId: undefined,
      start: 1544712660000000000n,
      end: 1544712661000000001n,
      attributes: { n: 3n },
      events: [],
      links: [],
      status: { code: "unset", message: "" }
    })
    const value = (value: object) => spansOf(traces({ ...span, attributes: [{ key: "a", value }] }))[0]?.attributes["a"]
    assert.strictEqual(value({ intValue: "-9223372036854775808" }), -(2n ** 63n))
    assert.strictEqual(value({ intValue: 7 }), 7n)
    assert.strictEqual(value({ doubleValue: 7 }), 7)
    assert.strictEqual(value({ doubleValue: "Infinity" }), Number.POSITIVE_INFINITY)
    assert.isNaN(value({ doubleValue: "NaN" }))
    assert.deepStrictEqual(value({ arrayValue: { values: [{ boolValue: true }, {}] } }), [true, null])
    assert.deepStrictEqual(
      value({ kvlistValue: { values: [{ key: "b", value: { bytesValue: "AA==" } }] } }),
      { entries: { b: { bytes: "AA==" } } }
    )
  })

  const histogram = {
    count: "3",
    sum: 3,
    bucketCounts: ["1", "2"],
    explicitBounds: [1],
    startTimeUnixNano: "1",
    timeUnixNano: "2"
  }
  const histograms = (...dataPoints: ReadonlyArray<object>) =>
    metrics({ name: "h", histogram: { aggregationTemporality: 2, dataPoints } })

  it.each<[string, () => unknown]>([
    ["a field that is not known", () => spansOf(traces({ ...span, names: "two" }))],
    [
      "a field that is not known, of a value",
      () => spansOf(traces({ ...span, attributes: [{ key: "a", value: { floatValue: 1 } }] }))
    ],
    ["a field in the manner of protobuf", () => spansOf({ resource_spans: [] })],
    ["an enum by its name", () => spansOf(traces({ ...span, kind: "SPAN_KIND_SERVER" }))],
    ["an enum that is not known", () => spansOf(traces({ ...span, kind: 6 }))],
    ["a time that is a number", () => spansOf(traces({ ...span, startTimeUnixNano: 1 }))],
    ["a span that ends before it begins", () => spansOf(traces({ ...span, endTimeUnixNano: "1" }))],
    ["an id as base64", () => spansOf(traces({ ...span, spanId: "7uGbfsPBsXQ=" }))],
    ["an id of zeros", () => spansOf(traces({ ...span, spanId: "0000000000000000" }))],
    ["an id of another length", () => spansOf(traces({ ...span, traceId: "5b8efff798038103" }))],
    ["an attribute twice", () => spansOf(traces({ ...span, attributes: [...span.attributes, ...span.attributes] }))],
    ["an attribute without a key", () => spansOf(traces({ ...span, attributes: [{ key: "", value: {} }] }))],
    [
      "a value that is two at once",
      () => spansOf(traces({ ...span, attributes: [{ key: "a", value: { intValue: "1", stringValue: "1" } }] }))
    ],
    [
      "a value of more than 64 bits",
      () => spansOf(traces({ ...span, attributes: [{ key: "a", value: { intValue: "9223372036854775808" } }] }))
    ],
    ["null", () => spansOf(traces({ ...span, attributes: null }))],
    ["buckets that do not add up", () => metricsOf(histograms({ ...histogram, count: "4" }))],
    ["buckets that are too few", () => metricsOf(histograms({ ...histogram, explicitBounds: [1, 2] }))],
    [
      "bounds that do not rise",
      () => metricsOf(histograms({ ...histogram, explicitBounds: [2, 2], bucketCounts: [1, 1, 1] }))
    ],
    ["a series that stands twice", () => metricsOf(histograms(histogram, histogram))],
    ["a metric that stands twice", () => {
      const metric = { name: "g", gauge: { dataPoints: [] } }
      return metricsOf(metrics(metric, metric))
    }],
    ["a histogram without temporality", () => metricsOf(metrics({ name: "h", histogram: { dataPoints: [] } }))],
    ["a metric without data", () => metricsOf(metrics({ name: "m" }))],
    [
      "a point with two values",
      () => metricsOf(metrics({ name: "g", gauge: { dataPoints: [{ asInt: "1", asDouble: 1 }] } }))
    ],
    [
      "a severity that is not known",
      () => logsOf({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityNumber: 25 }] }] }] })
    ]
  ])("is not %s", (_, read) => {
    assert.doesNotThrow(() => metricsOf(histograms(histogram)))
    assert.throws(read)
  })
})

describe("a receiver", () => {
  it.live("answers what it reads, and keeps it", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const body = JSON.stringify(traces(span))
      const response = yield* post(collector, body)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(yield* Effect.promise(() => response.text()), "{}")
      yield* post(collector, gzipSync(body), {
        headers: { "content-type": "application/json; charset=utf-8", "content-encoding": "gzip" }
      })
      yield* post(collector, new Uint8Array(0), { headers: { "content-type": "application/x-protobuf" } })
      assert.deepStrictEqual(collector.received.spans.map(({ name }) => name), ["one", "one"])
      assert.deepStrictEqual(
        collector.received.requests.map(({ bytes, encoding }) => [bytes, encoding]),
        [[body.length, undefined], [gzipSync(body).length, "gzip"], [0, undefined]]
      )
    }))

  it.live("refuses what it cannot read, and says why to those who wait", () =>
    Effect.gen(function*() {
      const json = { "content-type": "application/json" }
      const protobuf = { "content-type": "application/x-protobuf" }
      for (
        const [status, body, how] of [
          [400, "{", {}],
          [400, JSON.stringify(traces({ ...span, names: "two" })), {}],
          // Field 15, a varint, which no request has.
          [400, new Uint8Array([0x78, 0x01]), { headers: protobuf }],
          // A length that goes past the end.
          [400, new Uint8Array([0x0a, 0x7f, 0x01]), { headers: protobuf }],
          [400, "{}", { headers: { ...json, "content-encoding": "gzip" } }],
          [415, "{}", { headers: { ...json, "content-encoding": "br" } }],
          [415, "{}", { headers: { "content-type": "text/plain" } }],
          [404, "{}", { path: "/v1/traces/" }],
          [405, "{}", { method: "PUT" }]
        ] as const
      ) {
        const collector = yield* receiver
        assert.strictEqual((yield* post(collector, body, how)).status, status)
        assert.strictEqual(collector.received.problems.length, 1)
        assert.isEmpty(collector.received.spans)
        const error = yield* Effect.flip(collector.waitFor("a span", ({ spans }) => spans[0]))
        assert.instanceOf(error, NotReceived)
        assert.deepStrictEqual(error.problems, collector.received.problems)
      }
    }))

  it.live("says when what is waited for has come", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const waiting = yield* Effect.forkChild(
        collector.waitFor("two spans", ({ spans }) => spans.length === 2 ? spans : undefined),
        { startImmediately: true }
      )
      yield* post(collector, JSON.stringify(traces(span)))
      yield* post(collector, JSON.stringify(traces({ ...span, spanId: "eee19b7ec3c1b175" })))
      assert.strictEqual((yield* Fiber.join(waiting)).length, 2)
    }))

  it.live("misbehaves as it is told, and comes back", () =>
    Effect.gen(function*() {
      const collector = yield* receiver
      const body = JSON.stringify(traces(span))

      yield* collector.behave({ _tag: "Fail", status: 429, retryAfter: 7 })
      const limited = yield* post(collector, body)
      assert.strictEqual(limited.status, 429)
      assert.strictEqual(limited.headers.get("retry-after"), "7")
      yield* collector.behave({ _tag: "Fail", status: 503 })
      assert.strictEqual((yield* post(collector, body)).status, 503)

      yield* collector.behave({ _tag: "Close" })
      assert.strictEqual((yield* refused(collector, body))._tag, "Failure")

      yield* collector.behave({ _tag: "Hang" })
      const hanging = yield* Effect.forkChild(post(collector, body), { startImmediately: true })
      yield* collector.waitFor("a request that hangs", () => collector.held() === 1 ? true : undefined)
      yield* Fiber.interrupt(hanging)
      yield* collector.waitFor("its end", () => collector.held() === 0 ? true : undefined)
      assert.isEmpty(collector.received.spans)

      yield* collector.behave({ _tag: "Refuse" })
      const before = collector.received.requests.length
      assert.strictEqual((yield* refused(collector, body))._tag, "Failure")
      assert.strictEqual(collector.received.requests.length, before)

      yield* collector.behave({ _tag: "Slow", millis: 20 })
      assert.strictEqual((yield* post(collector, body)).status, 200)
      yield* collector.behave({ _tag: "Accept" })
      assert.strictEqual((yield* post(collector, body)).status, 200)
      assert.strictEqual(collector.received.spans.length, 2)
      assert.deepStrictEqual(collector.received.problems, [])
    }))
})
