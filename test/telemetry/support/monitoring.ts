/**
 * What stands in `monitoring/`, read as it is shipped, and the names that it may use.
 */
import { Schema } from "effect"
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse } from "yaml"
import { type MetricDefinition, metrics } from "../../../src/telemetry/Conventions.ts"
import { type Catalogue, type Read, read } from "./promql.ts"

const root = fileURLToPath(new URL("../../../", import.meta.url))

/** Where the files are. */
export const folder = `${root}monitoring/`

/** The rule files, relative to the folder. */
export const ruleFiles = { recording: "prometheus/recording.rules.yml", alerts: "prometheus/alerts.rules.yml" }

/** The unit tests of the rules, relative to the folder. */
export const unitTests = globSync("prometheus/tests/*.yml", { cwd: folder }).map((file) => file.replaceAll("\\", "/"))
  .toSorted()

export const page = readFileSync(`${root}docs/monitoring.md`, "utf8")

const Words = Schema.Record(Schema.String, Schema.String)

const rulesOf = <A>(file: string, rule: Schema.Decoder<A>) =>
  Schema.decodeUnknownSync(Schema.Struct({
    groups: Schema.Array(Schema.Struct({ name: Schema.String, interval: Schema.String, rules: Schema.Array(rule) }))
  }))(parse(readFileSync(folder + file, "utf8"))).groups.flatMap(({ rules }) => rules)

/** Recording rules. */
export const recordings = rulesOf(
  ruleFiles.recording,
  Schema.Struct({ record: Schema.String, expr: Schema.String })
)

/** Alert rules. */
export const alerts = rulesOf(
  ruleFiles.alerts,
  Schema.Struct({
    alert: Schema.String,
    expr: Schema.String,
    for: Schema.optionalKey(Schema.String),
    labels: Words,
    annotations: Schema.Struct({ summary: Schema.String, description: Schema.String, runbook_url: Schema.String })
  })
)

const UnitTests = Schema.Struct({
  rule_files: Schema.Array(Schema.String),
  tests: Schema.Array(Schema.Struct({
    name: Schema.String,
    promql_expr_test: Schema.Array(Schema.Struct({
      expr: Schema.String,
      eval_time: Schema.String,
      exp_samples: Schema.Array(Schema.Struct({ labels: Schema.String, value: Schema.Finite }))
    }))
  }))
})

/** The unit tests of a file. */
export const unitTestsOf = (file: string) =>
  Schema.decodeUnknownSync(UnitTests)(parse(readFileSync(folder + file, "utf8")))

const Dashboard = Schema.Struct({
  uid: Schema.String,
  title: Schema.String,
  schemaVersion: Schema.Int,
  annotations: Schema.Struct({ list: Schema.Array(Schema.Struct({ expr: Schema.optionalKey(Schema.String) })) }),
  templating: Schema.Struct({
    list: Schema.Array(Schema.Struct({
      name: Schema.String,
      type: Schema.String,
      allValue: Schema.optionalKey(Schema.String),
      definition: Schema.optionalKey(Schema.String)
    }))
  }),
  panels: Schema.Array(Schema.Struct({
    id: Schema.Int,
    type: Schema.String,
    title: Schema.String,
    description: Schema.String,
    gridPos: Schema.Struct({ x: Schema.Int, y: Schema.Int, w: Schema.Int, h: Schema.Int }),
    datasource: Schema.optionalKey(Schema.Struct({ type: Schema.String, uid: Schema.String })),
    fieldConfig: Schema.optionalKey(Schema.Struct({ defaults: Schema.Struct({ unit: Schema.String }) })),
    transformations: Schema.optionalKey(Schema.Array(Schema.Struct({ id: Schema.String, options: Schema.Unknown }))),
    targets: Schema.optionalKey(Schema.Array(Schema.Struct({
      refId: Schema.String,
      expr: Schema.String,
      legendFormat: Schema.String,
      instant: Schema.Boolean,
      format: Schema.String,
      datasource: Schema.Struct({ type: Schema.String, uid: Schema.String })
    })))
  }))
})

/** The dashboard. */
export const dashboard = Schema.decodeUnknownSync(Dashboard)(
  JSON.parse(readFileSync(`${folder}grafana/bulwark.json`, "utf8"))
)

/** Every query of the dashboard, and where it stands. */
export const queries = dashboard.panels.flatMap(({ targets = [], title }) =>
  targets.map(({ datasource, expr, format, instant, legendFormat, refId }) => ({
    where: `${title} ${refId}`,
    datasource,
    expr,
    format,
    instant,
    legendFormat
  }))
)

/** A query as Grafana sends it where everything is chosen. */
export const chosen = (expression: string): string =>
  expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(job|model|endpoint|feature)\b/g, ".*")

/** Names as they stand in the text that Prometheus reads. */
const sanitised = (name: string): string => name.replaceAll(".", "_")

/** What Prometheus adds to each series that it scrapes. */
const ofTarget = ["job", "instance"]

/** The series that applications have, and their labels. */
export const exposed: Catalogue = new Map(
  Object.values(metrics).flatMap(
    ({ byFeature, labels, name, type }: MetricDefinition): ReadonlyArray<readonly [string, ReadonlyArray<string>]> => {
      const own = [...labels.map(sanitised), ...byFeature ? ["feature"] : [], ...ofTarget]
      const base = sanitised(name)
      return type === "histogram"
        ? [[`${base}_bucket`, [...own, "le"]], [`${base}_sum`, own], [`${base}_count`, own]]
        : [[base, own]]
    }
  )
)

/** Those series, what the recording rules make of them, in the order of the file, and Prometheus' own account of alerts. */
export const known: Catalogue = recordings.reduce<Catalogue>(
  (before, { expr, record }) => new Map(before).set(record, read(expr, before).labels ?? []),
  new Map(exposed).set("ALERTS", ["alertname", "alertstate", "severity", ...ofTarget])
)

/** Reads an expression that may use all of them. */
export const readKnown = (expression: string): Read => read(chosen(expression), known)
