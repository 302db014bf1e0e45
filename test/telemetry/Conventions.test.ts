/**
 * The names are those of OpenTelemetry's registry where they say so, and ours where they do not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Registry from "@opentelemetry/semantic-conventions/incubating"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as Conventions from "../../src/telemetry/Conventions.ts"
import { violations } from "./support/conventions.ts"
import type { Metric, Span } from "./support/otlp.ts"

const { attributes, events, metrics, sourceOf, spans } = Conventions

/** Where the registry's package stands. */
const folder = dirname(
  createRequire(import.meta.url).resolve("@opentelemetry/semantic-conventions/incubating")
)

const constants = (prefix: string): ReadonlySet<string> =>
  new Set(
    Object.entries(Registry)
      .filter(([name]) => name.startsWith(prefix))
      .flatMap(([, value]) => typeof value === "string" ? [value] : [])
  )

const registeredAttributes = constants("ATTR_")
const registeredMetrics = constants("METRIC_")

/** What the package's declarations say of each name: a description, examples, and whether it is out of use. */
const documented: ReadonlyMap<string, string> = new Map(
  ["stable_attributes", "experimental_attributes", "stable_metrics", "experimental_metrics"].flatMap((file) =>
    [
      ...readFileSync(join(folder, `${file}.d.ts`), "utf8").matchAll(
        /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*export declare const (?:ATTR|METRIC)_\w+: "([^"]+)";/g
      )
    ].map(([, text = "", name = ""]) => [name, text] as const)
  )
)

/** The attributes of our metrics that are not ours: those of the metrics that are not. */
const labelsOfTheField = Object.values(metrics)
  .filter(({ name }) => sourceOf(name) === "OpenTelemetry")
  .flatMap(({ labels }) => labels)

describe("names", () => {
  it("follow the pinned version", () => {
    const { version } = JSON.parse(readFileSync(join(folder, "../../package.json"), "utf8")) as { version: string }
    const minor = (text: string) => text.split(".").slice(0, 2).join(".")
    assert.strictEqual(version, "1.41.1")
    assert.strictEqual(minor(Conventions.version), minor(version))
  })

  it("of the field are in the registry, and in use", () => {
    const ofTheField = (names: ReadonlyArray<string>) => names.filter((name) => sourceOf(name) === "OpenTelemetry")
    const keys = ofTheField(Object.values(attributes).map(({ key }) => key))
    const names = ofTheField(Object.values(metrics).map(({ name }) => name))
    assert.isAbove(keys.length, 25)
    assert.strictEqual(names.length, 4)
    for (const key of [...keys, ...labelsOfTheField]) {
      assert.isTrue(registeredAttributes.has(key), `${key} is not in the registry`)
    }
    for (const name of names) assert.isTrue(registeredMetrics.has(name), `${name} is not in the registry`)
    for (const name of [...keys, ...names, ...labelsOfTheField]) {
      const text = documented.get(name)
      assert.isDefined(text, name)
      assert.notInclude(text ?? "", "@deprecated", name)
    }
  })

  it("that are out of use would be seen", () => {
    for (const name of ["gen_ai.system", "gen_ai.usage.prompt_tokens"]) {
      assert.isTrue(registeredAttributes.has(name))
      assert.include(documented.get(name) ?? "", "@deprecated", name)
    }
  })

  it("of ours are not in the registry", () => {
    const ours = [
      ...Object.values(attributes).map(({ key }) => key),
      ...Object.values(metrics).map(({ name }) => name),
      ...Object.values(events).map(({ name }) => name)
    ].filter((name) => sourceOf(name) === "Bulwark")
    assert.isAbove(ours.length, 40)
    for (const name of ours) {
      assert.isFalse(registeredAttributes.has(name) || registeredMetrics.has(name), name)
      assert.isFalse([...constants("EVENT_")].includes(name), name)
      assert.match(name, /^(bulwark\.[a-z_.]+|llm_[a-z_]+)$/)
    }
  })

  it("stand once each", () => {
    for (
      const names of [
        Object.values(attributes).map(({ key }) => key),
        Object.values(events).map(({ name }) => name),
        Object.values(metrics).map(({ name }) => name),
        Object.values(spans).map(({ name }) => name),
        // As Prometheus writes them.
        Object.values(metrics).map(({ name }) => name.replaceAll(".", "_"))
      ]
    ) assert.strictEqual(new Set(names).size, names.length)
  })

  it("of events are made of attributes that may stand on events", () => {
    const allowed = Object.values(attributes).filter(({ on }) => on.includes("event")).map(({ key }) => key)
    const used = Object.values(events).flatMap(({ attributes }) => attributes)
    for (const key of used) assert.include(allowed, key)
    for (const key of allowed) assert.include(used, key)
  })

  it("of metrics are as Prometheus wants them", () => {
    for (const { labels, name, type, unit } of Object.values(metrics)) {
      assert.notInclude([...labels], "unit", "exporters take the unit from it")
      assert.notInclude([...labels], "le", "is the bound of a bucket")
      if (sourceOf(name) === "OpenTelemetry") continue
      assert.match(name, /^[a-z][a-z0-9_]*$/)
      assert.strictEqual(name.endsWith("_total"), type === "counter", name)
      for (const label of labels) assert.match(label, /^[a-z][a-z0-9_]*$/)
      // A collector adds the unit to the name where it is not there, `ratio` to gauges of unit 1, and nothing of what is in braces.
      if (type === "gauge" && unit === "1") assert.match(name, /_ratio$/)
      if (unit === "s") assert.include(name.split("_"), "seconds", name)
      if (!["s", "1"].includes(unit)) assert.match(unit, /^\{[a-zA-Z]+\}$/, name)
    }
  })
})

/** The type that the examples of the registry have. */
const typeOf = (key: string): string | undefined => {
  const examples = [...(documented.get(key) ?? "").matchAll(/@example (.+)/g)].map(([, example = ""]) => example.trim())
  const type = (example: string) =>
    /^\[".*"\]$/.test(example)
      ? "string[]"
      : /^-?\d+$/.test(example)
      ? "int"
      : /^-?\d+\.\d+$/.test(example)
      ? "double"
      : /^(true|false)$/.test(example)
      ? "boolean"
      : "string"
  const [first, ...others] = new Set(examples.map(type))
  return others.length > 0 ? undefined : first
}

describe("types", () => {
  it("of attributes are those of the registry's examples", () => {
    const compared = Object.values(attributes).flatMap(({ key, type }) => {
      const registered = sourceOf(key) === "OpenTelemetry" ? typeOf(key) : undefined
      return registered === undefined ? [] : [[key, type, registered]]
    })
    assert.isAbove(compared.length, 15)
    for (const [key, type, registered] of compared) assert.strictEqual(type, registered, key)
  })
})

describe("values", () => {
  /** The values that a text names: those in backticks. */
  const named = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, value]) => value)

  it("that are well known are the registry's", () => {
    assert.strictEqual(Conventions.other, Registry.ERROR_TYPE_VALUE_OTHER)
    assert.deepStrictEqual(named(attributes.operationName.meaning), [
      Registry.GEN_AI_OPERATION_NAME_VALUE_CHAT,
      Registry.GEN_AI_OPERATION_NAME_VALUE_EMBEDDINGS,
      Registry.GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL
    ])
    assert.strictEqual(spans.embeddings.name, `${Registry.GEN_AI_OPERATION_NAME_VALUE_EMBEDDINGS} {model}`)
    assert.strictEqual(spans.tool.name, `${Registry.GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL} {tool}`)
    assert.strictEqual(spans.operation.name, `${Registry.GEN_AI_OPERATION_NAME_VALUE_CHAT} {model}`)
    assert.deepStrictEqual(named(attributes.outputType.meaning), [
      Registry.GEN_AI_OUTPUT_TYPE_VALUE_TEXT,
      Registry.GEN_AI_OUTPUT_TYPE_VALUE_JSON
    ])
    assert.deepStrictEqual(named(metrics.tokenUsage.meaning), [
      Registry.GEN_AI_TOKEN_TYPE_VALUE_INPUT,
      Registry.GEN_AI_TOKEN_TYPE_VALUE_OUTPUT
    ])
  })
})

describe("buckets", () => {
  const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

  it("of the conventions' metrics are those that they publish", () => {
    assert.deepStrictEqual(metrics.tokenUsage.buckets, [
      1,
      4,
      16,
      64,
      256,
      1024,
      4096,
      16384,
      65536,
      262144,
      1048576,
      4194304,
      16777216,
      67108864
    ])
    for (const { buckets } of [metrics.operationDuration, metrics.timeToFirstChunk, metrics.timePerOutputChunk]) {
      assert.deepStrictEqual(buckets, seconds)
    }
    assert.strictEqual(metrics.tokenUsage.unit, "{token}")
    for (const { unit } of [metrics.operationDuration, metrics.timeToFirstChunk, metrics.timePerOutputChunk]) {
      assert.strictEqual(unit, "s")
    }
  })

  it("rise, and are those of histograms alone", () => {
    for (const { buckets, name, type } of Object.values(metrics)) {
      assert.strictEqual(buckets !== undefined, type === "histogram", name)
      buckets?.forEach((bound, index) => {
        assert.isTrue(Number.isFinite(bound) && bound > (buckets[index - 1] ?? 0), `${name}: ${bound}`)
      })
    }
  })
})

describe("what is exported", () => {
  const resource = { resource: {}, scope: { name: "effect", version: "4.1.0" } }
  const operation: Span = {
    ...resource,
    name: "chat m",
    kind: "internal",
    traceId: "5b8efff798038103d269b633813fc60c",
    spanId: "eee19b7ec3c1b174",
    parentSpanId: undefined,
    start: 1n,
    end: 9n,
    attributes: { "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "bulwark.attempts": 1n },
    events: [
      { name: "bulwark.retry", time: 2n, attributes: { "bulwark.reason": "x", "bulwark.delay_ms": 3n } },
      { name: "a line of the log", time: 2n, attributes: { "effect.logLevel": "INFO", "effect.fiberId": 1n } }
    ],
    links: [],
    status: { code: "ok", message: "" }
  }
  const attempt: Span = {
    ...operation,
    name: "attempt p/m",
    kind: "client",
    spanId: "eee19b7ec3c1b175",
    parentSpanId: operation.spanId,
    attributes: {
      "gen_ai.provider.name": "p",
      "gen_ai.request.model": "m",
      "gen_ai.response.finish_reasons": ["stop"],
      "effect.fiber.interrupted": true
    },
    events: [{ name: "exception", time: 2n, attributes: { "exception.type": "RateLimited" } }]
  }
  const http: Span = {
    ...attempt,
    name: spans.http.name.replace("{method}", "POST"),
    spanId: "eee19b7ec3c1b176",
    parentSpanId: attempt.spanId,
    attributes: { "http.request.method": "POST", "http.response.status_code": 200n },
    events: []
  }
  const metric: Metric = {
    ...resource,
    name: metrics.operationDuration.name,
    description: metrics.operationDuration.meaning,
    unit: "s",
    type: "histogram",
    temporality: "cumulative",
    monotonic: undefined,
    points: [{
      attributes: { "error.type": "x" },
      start: 1n,
      time: 2n,
      bounds: [...metrics.operationDuration.buckets ?? []]
    }]
  }

  const of = (spans: ReadonlyArray<Span>, exported: ReadonlyArray<Metric> = []) =>
    violations({ spans, metrics: exported })

  it("is let through where it is as it should be", () => {
    assert.deepStrictEqual(of([operation, attempt, http], [metric]), [])
    const point = { ...metric.points[0]!, attributes: { unit: "s", env: "test" } }
    assert.deepStrictEqual(
      violations({ spans: [], metrics: [{ ...metric, points: [point] }] }, { units: true, application: ["env"] }),
      []
    )
    assert.deepStrictEqual(
      violations({ spans: [{ ...operation, name: "mine" }], metrics: [] }, { ours: ({ name }) => name !== "mine" }),
      []
    )
  })

  it.each<[string, ReadonlyArray<Span>, ReadonlyArray<Metric>]>([
    ["a span of another name", [{ ...operation, name: "chat n" }], []],
    ["a span of another kind", [{ ...operation, kind: "client" }], []],
    ["an attribute that is none", [{ ...operation, attributes: { ...operation.attributes, "bulwark.x": "y" } }], []],
    [
      "an attribute of other spans",
      [{ ...operation, attributes: { ...operation.attributes, "bulwark.attempt": 1n } }],
      []
    ],
    ["an attribute of another type", [{
      ...operation,
      attributes: { ...operation.attributes, "bulwark.attempts": 1.5 }
    }], []],
    ["an event that is none", [{ ...operation, events: [{ name: "bulwark.x", time: 1n, attributes: {} }] }], []],
    ["an event with more to it", [{
      ...operation,
      events: [{ name: "bulwark.trim", time: 1n, attributes: { "bulwark.reason": "x" } }]
    }], []],
    [
      "an event elsewhere",
      [operation, { ...attempt, events: [{ name: "bulwark.trim", time: 1n, attributes: {} }] }],
      []
    ],
    ["an exception with more to it", [{
      ...operation,
      events: [{ name: "exception", time: 1n, attributes: { "exception.x": "y" } }]
    }], []],
    ["a request below nothing", [attempt], []],
    ["HTTP below an operation", [operation, { ...http, parentSpanId: operation.spanId }], []],
    ["a child that begins before", [operation, { ...attempt, start: 0n }], []],
    ["a child of another trace", [operation, { ...attempt, traceId: operation.spanId.repeat(2) }], []],
    ["a metric that is none", [], [{ ...metric, name: "llm_x" }]],
    ["a metric of another type", [], [{ ...metric, type: "gauge" }]],
    ["a metric of another unit", [], [{ ...metric, unit: "ms" }]],
    ["a metric that says something else", [], [{ ...metric, description: "" }]],
    ["a metric of deltas", [], [{ ...metric, temporality: "delta" }]],
    ["other buckets", [], [{ ...metric, points: [{ ...metric.points[0]!, bounds: [1] }] }]],
    ["a label that is none", [], [{ ...metric, points: [{ ...metric.points[0]!, attributes: { user: "u" } }] }]],
    ["a unit as a label", [], [{ ...metric, points: [{ ...metric.points[0]!, attributes: { unit: "s" } }] }]],
    ["a label that is empty", [], [{
      ...metric,
      points: [{ ...metric.points[0]!, attributes: { "error.type": "" } }]
    }]],
    ["a label that is no string", [], [{
      ...metric,
      points: [{ ...metric.points[0]!, attributes: { "error.type": 1n } }]
    }]]
  ])("is not let through: %s", (_, spans, exported) => {
    assert.strictEqual(of(spans, exported).length, 1)
  })
})
