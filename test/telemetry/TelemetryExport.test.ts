/**
 * What Bulwark's telemetry sends, over real HTTP and read with the official schema: its names, how its spans hang together, and its counts.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Metric, Schedule } from "effect"
import { Llm } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { OpenAiChat } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { FaultServer, ScriptedProvider } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import * as Conventions from "../../src/telemetry/Conventions.ts"
import { Anthropic, anthropic, OpenAi, openai, question } from "../core/support/stack.ts"
import { seen, violations } from "./support/conventions.ts"
import { lastOf, type Point, type Received, type Receiver, receiver, type Span } from "./support/otlp.ts"
import * as Scenarios from "./support/scenarios.ts"
import * as Sdk from "./support/sdk.ts"

interface Way {
  /** Whether the unit of a metric goes out as an attribute too. */
  readonly units: boolean
  /** Whether it is tried with all scenarios, or with some. */
  readonly thoroughly: boolean
  /** The metrics that it has no use for. */
  readonly without: ReadonlyArray<string>
  readonly layer: (receiver: Receiver, options: Telemetry.Options) => Layer.Layer<never>
}

/** Nothing is sent until the layer is closed: hours pass at once here, and no collector answers as fast. */
const rest = "10000 days"
const maxBatchSize = 100_000

const ofEffect = (protocol: "protobuf" | "json"): Way => ({
  units: false,
  thoroughly: protocol === "protobuf",
  without: [Conventions.metrics.unpriced.name],
  layer: ({ url }, options) =>
    Telemetry.layerOtlp({
      ...options,
      baseUrl: url,
      protocol,
      resource: { serviceName: "shop" },
      maxBatchSize,
      tracerExportInterval: rest,
      metricsExportInterval: rest,
      loggerExportInterval: rest
    }).pipe(Layer.provide(FetchHttpClient.layer))
})

/** Of one provider alone: the models of the other have no price. */
const prices = Pricing.layerOf([
  Pricing.model({ provider: "anthropic", model: () => true, price: { input: 1, output: 2 } })
])

const ofSdk = (format: Sdk.Format): Way => ({
  units: true,
  thoroughly: false,
  without: [],
  layer: ({ url }, options) =>
    Layer.merge(
      Layer.provide(Telemetry.layerPriced(options), prices),
      Sdk.layer({ url, format, processor: "batch", maxQueueSize: maxBatchSize })
    )
})

const ways: { readonly [name: string]: Way } = {
  "layerOtlp, protobuf": ofEffect("protobuf"),
  "layerOtlp, JSON": ofEffect("json"),
  "layerPriced beside NodeSdk, protobuf": ofSdk("protobuf"),
  "layerPriced beside NodeSdk, JSON": ofSdk("json")
}

/** All that came of something, once the way there is closed. */
const exported = <A, E>(way: Way, options: Telemetry.Options, program: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const collector = yield* receiver
    yield* program.pipe(
      Effect.provide(way.layer(collector, options)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    assert.deepStrictEqual(collector.received.problems, [])
    return collector.received
  })

const printed = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner)

const named = ({ spans }: Pick<Received, "spans">, name: string): ReadonlyArray<Span> =>
  spans.filter((span) => span.name === name).toSorted((a, b) => a.start < b.start ? -1 : 1)

const one = (received: Pick<Received, "spans">, name: string): Span => {
  const [span, ...others] = named(received, name)
  return span !== undefined && others.length === 0
    ? span
    : assert.fail(`${name}: ${others.length} among ${received.spans.map(({ name }) => name).join(", ")}`)
}

/** A point with its labels alone, wherever its unit stands. */
const labelled = ({ attributes: { unit: _, ...labels }, ...point }: Point) => ({ labels, ...point })

const content = [
  Conventions.attributes.systemInstructions.key,
  Conventions.attributes.inputMessages.key,
  Conventions.attributes.outputMessages.key
]

describe.each(Object.entries(ways))("%s", (_, way) => {
  it.effect("sends what `Conventions` says, whatever happens, and all of it", () =>
    Effect.gen(function*() {
      const received = yield* exported(
        way,
        { content: true, features: true, attribution: ["user", "tenant", "feature", "requestId"] },
        way.thoroughly ? Scenarios.all : Scenarios.some
      )
      assert.deepStrictEqual(violations(received, { units: way.units }), [])
      const told = seen(received)
      assert.deepStrictEqual(told.attributes, Object.values(Conventions.attributes).map(({ key }) => key))
      assert.deepStrictEqual(told.events, Object.values(Conventions.events).map(({ name }) => name))
      assert.deepStrictEqual(
        told.metrics,
        Object.values(Conventions.metrics).map(({ name }) => name).filter((name) => !way.without.includes(name))
      )
      assert.sameMembers([...told.spans], Object.keys(Conventions.spans))

      // What was asked and answered is where it is meant to be, and nowhere else.
      for (const key of content) {
        assert.isTrue(received.spans.some(({ attributes }) => String(attributes[key]).includes(Scenarios.secret)), key)
      }
      const others = received.spans.map((span) => ({
        ...span,
        attributes: Object.entries(span.attributes).filter(([key]) => !content.includes(key))
      }))
      assert.notInclude(printed(others), Scenarios.secret)
      assert.notInclude(printed([received.metrics, received.logs]), Scenarios.secret)

      // Nothing is under way any more.
      for (const { name } of [Conventions.metrics.inFlight, Conventions.metrics.attemptsInFlight]) {
        const points = lastOf(received, name)?.points ?? []
        assert.isNotEmpty(points)
        for (const { value } of points) assert.strictEqual(Number(value), 0, name)
      }
    }), 60_000)

  it.effect(
    "sends nothing of what was asked and answered, nor whose it was, where nobody asks for it",
    () =>
      Effect.gen(function*() {
        const received = yield* exported(way, {}, Scenarios.some)
        assert.deepStrictEqual(violations(received, { units: way.units }), [])
        assert.isAbove(received.spans.length, 100)
        const all = printed([received.spans, received.metrics, received.logs])
        assert.notInclude(all, Scenarios.secret)
        assert.notInclude(all, "acme")
        assert.notInclude(all, "\"ada\"")
        assert.include(all, "summaries")
      }),
    60_000
  )

  it.effect("sends the tree of a call: operation, requests, HTTP", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({
        script: { "gpt-5-mini": [FaultServer.overloaded, FaultServer.contentFiltered] }
      })
      const llm = openai.pipe(
        Llm.retry(Schedule.recurs(1)),
        Llm.orElseOn(["ContentFiltered"], anthropic)
      )
      const program = Llm.generateText(llm, question).pipe(
        Effect.withSpan("handler", { kind: "server" }),
        Effect.provide([
          OpenAiChat.layer(OpenAi, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer)),
          ScriptedProvider.layer(Anthropic, () => ScriptedProvider.text("330 m"))
        ])
      )
      const received = yield* exported(way, {}, program)
      const handler = one(received, "handler")
      const operation = one(received, "chat gpt-5-mini")
      const [overloaded, filtered] = named(received, "attempt openai/gpt-5-mini")
      const answered = one(received, "attempt anthropic/claude-haiku-4-5")
      const requests = named(received, Conventions.spans.http.name.replace("{method}", "POST"))
      if (!overloaded || !filtered) return assert.fail("a request is missing")
      assert.strictEqual(received.spans.length, 7)
      assert.strictEqual(new Set(received.spans.map(({ traceId }) => traceId)).size, 1)
      assert.strictEqual(handler.parentSpanId, undefined)
      assert.strictEqual(operation.parentSpanId, handler.spanId)
      for (const attempt of [overloaded, filtered, answered]) assert.strictEqual(attempt.parentSpanId, operation.spanId)
      assert.deepStrictEqual(
        new Set(requests.map(({ parentSpanId }) => parentSpanId)),
        new Set([overloaded.spanId, filtered.spanId])
      )
      // Each lies within the one that it hangs below.
      for (const span of received.spans) {
        const parent = received.spans.find(({ spanId }) => spanId === span.parentSpanId) ?? span
        assert.isTrue(parent.start <= span.start && span.end <= parent.end, span.name)
      }
      assert.deepStrictEqual(
        [operation, overloaded, filtered, answered].map(({ attributes, kind, status }) => [
          kind,
          status.code,
          attributes["bulwark.outcome"],
          attributes["error.type"]
        ]),
        [
          ["internal", "ok", "success", undefined],
          ["client", "error", "Overloaded", "Overloaded"],
          ["client", "error", "ContentFiltered", "ContentFiltered"],
          ["client", "ok", "success", undefined]
        ]
      )
      assert.deepStrictEqual(overloaded.events.map(({ attributes, name }) => [name, attributes["exception.type"]]), [
        ["exception", "Overloaded"]
      ])
      assert.deepStrictEqual(
        operation.events.map(({ attributes, name }) => [name, attributes["bulwark.reason"]]).slice(0, 2),
        [["bulwark.retry", "Overloaded"], ["bulwark.fallback", "ContentFiltered"]]
      )
      assert.strictEqual(operation.attributes["bulwark.attempts"], 3n)
      assert.deepStrictEqual([overloaded, filtered, answered].map(({ attributes }) => attributes["bulwark.attempt"]), [
        1n,
        2n,
        3n
      ])
    }))

  it.effect("sends times and counts as they are, to the bucket", () =>
    Effect.gen(function*() {
      const began = Date.parse("2026-01-02T03:04:05.678Z")
      yield* TestClock.setTime(began)
      const received = yield* exported(
        way,
        {},
        Effect.gen(function*() {
          const asking = yield* Effect.forkChild(Llm.generateText(openai, question), { startImmediately: true })
          yield* TestClock.adjust("30 millis")
          yield* Fiber.join(asking)
        }).pipe(Effect.provide(
          ScriptedProvider.layer(OpenAi, () =>
            ScriptedProvider.text("330 m", {
              delay: "30 millis",
              usage: {
                inputTokens: { total: 100, uncached: 50, cacheRead: 30, cacheWrite: 20 },
                outputTokens: { total: 30, text: 20, reasoning: 10 }
              }
            }))
        ))
      )
      const operation = one(received, "chat gpt-5-mini")
      const attempt = one(received, "attempt openai/gpt-5-mini")
      for (const { end, start } of [operation, attempt]) {
        assert.deepStrictEqual([start, end], [BigInt(began) * 1_000_000n, BigInt(began + 30) * 1_000_000n])
      }
      assert.strictEqual(attempt.attributes["gen_ai.usage.input_tokens"], 100n)
      assert.strictEqual(attempt.attributes["gen_ai.usage.output_tokens"], 30n)

      const points = (name: string) => (lastOf(received, name)?.points ?? []).map(labelled)
      const [duration, ...others] = points("gen_ai.client.operation.duration")
      assert.isEmpty(others)
      assert.deepStrictEqual([duration?.count, duration?.sum], [1, 0.03])
      // 0.02 < 0.03 <= 0.04.
      assert.strictEqual(duration?.counts?.indexOf(1), 2)
      assert.deepStrictEqual(duration?.labels, {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini"
      })
      assert.deepStrictEqual(
        points("gen_ai.client.token.usage").map(({ counts, labels, sum }) => [
          labels["gen_ai.token.type"],
          sum,
          counts?.indexOf(1)
        ]).toSorted(),
        [["input", 100, 4], ["output", 30, 3]]
      )
      assert.deepStrictEqual(
        Object.fromEntries(
          points("llm_tokens_used_total").map(({ labels, value }) => [labels["type"], Number(value)])
        ),
        { input: 50, cache_read: 30, cache_write: 20, output: 20, reasoning: 10 }
      )
      assert.deepStrictEqual(points("llm_attempts_total").map(({ labels, value }) => [labels, Number(value)]), [
        [{ model: "gpt-5-mini", endpoint: "openai", outcome: "success" }, 1]
      ])
      assert.deepStrictEqual(points("llm_request_duration_seconds").map(({ labels, sum }) => [labels, sum]), [
        [{ model: "gpt-5-mini", endpoint: "openai", outcome: "success" }, 0.03]
      ])
    }))
})

describe("the name of the service", () => {
  const name = (options: Telemetry.OtlpOptions, environment: { readonly [name: string]: string }) =>
    Effect.gen(function*() {
      const collector = yield* receiver
      yield* Effect.void.pipe(
        Effect.withSpan("one"),
        Effect.provide(
          Telemetry.layerOtlp({ ...options, baseUrl: collector.url }).pipe(Layer.provide(FetchHttpClient.layer))
        ),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment)),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      return one(collector.received, "one").resource["service.name"]
    })

  it.effect("is what is said, or what the environment says, or unknown", () =>
    Effect.gen(function*() {
      const environment = { OTEL_SERVICE_NAME: "from the environment" }
      assert.strictEqual(yield* name({ resource: { serviceName: "said" } }, environment), "said")
      assert.strictEqual(yield* name({}, environment), "from the environment")
      assert.strictEqual(
        yield* name({ resource: { serviceVersion: "1" } }, { OTEL_RESOURCE_ATTRIBUTES: "service.name=among+others" }),
        "among+others"
      )
      assert.strictEqual(yield* name({}, {}), "unknown_service")
      assert.strictEqual(yield* name({ resource: { serviceVersion: "1" } }, {}), "unknown_service")
    }))
})
