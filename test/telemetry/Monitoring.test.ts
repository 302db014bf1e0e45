/**
 * The rules for Prometheus and the dashboard for Grafana that are shipped: that they read what telemetry writes, and that they are whole.
 */
import { assert, describe, it } from "@effect/vitest"
import { LlmError } from "effect-bulwark"
import { type MetricDefinition, metrics, other } from "../../src/telemetry/Conventions.ts"
import {
  alerts,
  dashboard,
  exposed,
  known,
  page,
  queries,
  readKnown,
  recordings,
  unitTests,
  unitTestsOf
} from "./support/monitoring.ts"
import { read, type Selector } from "./support/promql.ts"

/** Everything that reads series: where it stands, and the expression. */
const expressions = [
  ...recordings.map(({ expr, record }) => ({ where: record, expr })),
  ...alerts.map(({ alert, expr, labels }) => ({ where: `${alert} ${labels["long_window"] ?? ""}`, expr })),
  ...queries.map(({ expr, where }) => ({ where, expr })),
  ...dashboard.annotations.list.flatMap(({ expr }) => expr === undefined ? [] : [{ where: "annotations", expr }])
]

const selectors: ReadonlyArray<Selector> = expressions.flatMap(({ expr }) => readKnown(expr).selectors)

/** Labels that a template of Prometheus, or the legend of a panel, names. */
const named = (template: string, pattern: RegExp): ReadonlyArray<string> =>
  [...template.matchAll(pattern)].map(([, label]) => label ?? "")

/** The heading of a section, as GitHub makes an anchor of it. */
const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
  heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
)

describe("the reader of PromQL", () => {
  const catalogue = new Map([["a_total", ["x", "y"]], ["b_bucket", ["x", "le"]], ["one", []]])
  it.each([
    ["rate(a_total[5m])", ["x", "y"]],
    ["sum by (y) (rate(a_total{x=~\"1|2\"}[5m]))", ["y"]],
    ["sum without (y) (a_total)", ["x"]],
    ["sum(a_total) * 2", []],
    ["histogram_quantile(0.5, sum by (x, le) (rate(b_bucket[5m])))", ["x"]],
    ["a_total / on (x) group_left () sum by (x) (a_total) > 0.5", ["x", "y"]],
    ["a_total / on (x) sum by (x) (a_total)", ["x"]],
    ["a_total / ignoring (y) sum by (x) (a_total)", ["x"]],
    ["sum by (x) (a_total) > scalar(one)", ["x"]],
    ["label_replace(sum by (x) (a_total offset 1d), \"day\", \"1\", \"\", \"\")", ["x", "day"]],
    ["sum by (x) (a_total) or sum by (y) (a_total)", ["x", "y"]],
    ["a_total > 1 and on (x) b_bucket", ["x", "y"]],
    ["-sum by (x) (avg_over_time(a_total[1h:5m]))", ["x"]],
    ["absent(a_total)", []],
    ["scalar(one) * 2", undefined]
  ])("%s", (expression, labels) => {
    assert.deepStrictEqual(read(expression, catalogue), {
      labels,
      problems: [],
      selectors: read(expression, catalogue).selectors
    })
  })

  it.each([
    ["sum by (x) (a_total", "does not parse"],
    ["sum(c_total)", "nobody defines c_total"],
    ["{__name__=\"a_total\"}", "nobody defines"],
    ["a_total{z=\"1\"}", "no label z"],
    ["sum by (z) (a_total)", "no label z"],
    ["sum by (y) (sum by (x) (a_total))", "no label y"],
    ["sum without (z) (a_total)", "no label z"],
    ["a_total / sum by (x) (a_total)", "labels x, y meet x"],
    ["a_total and sum by (x) (a_total)", "labels x, y meet x"],
    ["a_total / on (z) a_total", "no label z"],
    ["histogram_quantile(0.5, a_total)", "no label le"],
    ["a_total > scalar(a_total)", "more than one series"],
    ["predict_linear(a_total[1h], 60)", "predict_linear is not known"]
  ])("%s: %s", (expression, problem) => {
    assert.include(read(expression, catalogue).problems.join("\n"), problem)
  })
})

describe("expressions", () => {
  it("parse, and read what there is", () => {
    assert.deepStrictEqual(
      expressions.flatMap(({ expr, where }) => readKnown(expr).problems.map((problem) => `${where}: ${problem}`)),
      []
    )
  })

  it("ask for bounds that the buckets have", () => {
    const bounds = new Map(
      Object.values(metrics).map(({ buckets, name }: MetricDefinition) => [`${name}_bucket`, buckets?.map(String)])
    )
    const asked = selectors.flatMap(({ matchers, name }) =>
      matchers.filter(({ label }) => label === "le").map(({ operator, value }) => ({ name, operator, value }))
    )
    assert.isNotEmpty(asked)
    for (const { name, operator, value } of asked) {
      assert.strictEqual(operator, "=")
      assert.include(bounds.get(name) ?? [], value, name)
    }
  })

  it("ask for outcomes that there are", () => {
    const outcomes = ["success", "interrupted", "defect", other, ...Object.keys(LlmError.table)]
    for (const { matchers, name } of selectors) {
      for (const { label, value } of matchers.filter(({ value }) => value !== ".*")) {
        if (label !== "outcome") continue
        for (const outcome of value.split("|")) assert.include(outcomes, outcome, name)
      }
    }
  })
})

describe("recording rules", () => {
  it("their level is their labels", () => {
    for (const { expr, record } of recordings) {
      assert.match(record, /^[a-z_]+:[a-z0-9_]+:[a-z0-9_]+$/)
      const labels = (readKnown(expr).labels ?? []).filter((label) => label !== "le")
      assert.strictEqual(record.split(":")[0], labels.length === 0 ? "target" : labels.join("_"), record)
    }
  })

  it("read the windows that they are named after", () => {
    const windowOf = (name: string): string | undefined => /\d+[mhd]$/.exec(name)?.[0]
    for (const { expr, record } of recordings) {
      const ranges = [...expr.matchAll(/\[(\w+)\]/g)].map(([, range]) => range)
      const read = readKnown(expr).selectors.map(({ name }) => windowOf(name))
      for (const window of ranges.length > 0 ? ranges : read) assert.strictEqual(window, windowOf(record), record)
    }
  })

  it("are used, or explained on the page", () => {
    const used = new Set(selectors.map(({ name }) => name))
    for (const { record } of recordings) {
      assert.isTrue(used.has(record) || page.includes(`\`${record}\``), record)
    }
  })

  it("stand once", () => {
    assert.strictEqual(new Set(recordings.map(({ record }) => record)).size, recordings.length)
  })

  it("know nothing that is recorded after them", () => {
    const before = new Map(exposed)
    for (const { expr, record } of recordings) {
      const { labels, problems } = read(expr, before)
      assert.deepStrictEqual(problems, [], record)
      before.set(record, labels ?? [])
    }
  })
})

describe("availability", () => {
  const excludedBy = (metric: string, operator: string): ReadonlyArray<ReadonlyArray<string>> =>
    selectors.filter(({ name }) => name === metric)
      .flatMap(({ matchers }) => matchers.filter(({ label }) => label === "outcome"))
      .filter((matcher) => matcher.operator === operator)
      .map(({ value }) => value.split("|").toSorted())

  /** Failures that are none of the provider's, but what its failures lead to, or that it does not serve what it is asked for. */
  const besides = ["CircuitOpen", "AllModelsExhausted", "PermissionDenied", "ModelNotFound"]

  const excluded = [
    "interrupted",
    "defect",
    other,
    ...Object.entries(LlmError.table)
      .filter(([tag, row]) => row.breaker === "ignore" && !besides.includes(tag))
      .map(([tag]) => tag)
  ].toSorted()

  it.each(["job_outcome:llm_operations:rate5m", "job_model_endpoint_outcome:llm_attempts:rate5m"])(
    "%s: counts what the table of errors lays on the provider",
    (metric) => {
      assert.sameDeepMembers([...excludedBy(metric, "!~")], [excluded, [...excluded, "success"].toSorted()])
    }
  )

  it("whatever is excluded has an alert of its own", () => {
    const watched = excludedBy("job_outcome:llm_operations:rate5m", "=~").flat()
    const otherwise = [
      "interrupted", // Nobody's failure.
      "Saturated", // LlmSaturated
      "BudgetExceeded" // LlmBudgetRefuses
    ]
    assert.deepStrictEqual([...watched, ...otherwise].toSorted(), excluded)
  })

  it("the page says so", () => {
    for (const tag of [...excluded, ...besides]) assert.include(page, tag)
  })
})

describe("alert rules", () => {
  const label = (rule: typeof alerts[number]): string => [rule.alert, rule.labels["long_window"] ?? ""].join(" ").trim()

  it.each(alerts)("$alert: says what it means and what to do", (rule) => {
    const { alert, annotations: { description, runbook_url, summary }, expr, labels } = rule
    assert.match(labels["severity"] ?? "", /^(critical|warning|\{\{.*\}\}critical\{\{.*\}\}warning\{\{.*\}\})$/)
    assert.isNotEmpty(summary)
    assert.isAbove(description.length, 80)
    assert.strictEqual(runbook_url, `docs/monitoring.md#${alert.toLowerCase()}`)
    assert.include(anchors, alert.toLowerCase())
    const there = [...readKnown(expr).labels ?? [], ...Object.keys(labels)]
    for (const text of [summary, description, ...Object.values(labels)]) {
      for (const name of named(text, /\$labels\.(\w+)/g)) assert.include(there, name, text)
    }
  })

  it("of burn rates read the windows of their labels", () => {
    const burns = alerts.filter(({ labels }) => labels["slo"] !== undefined)
    assert.strictEqual(burns.length, 8)
    for (const { alert, expr, labels: { long_window, short_window } } of burns) {
      const windows = [...expr.matchAll(/:ratio_rate(\w+) >|\[(\w+)\]/g)].map(([, ratio, range]) => ratio ?? range)
      assert.deepStrictEqual(windows, [long_window, short_window, long_window], alert)
    }
  })

  it("whoever is told apart has a name of its own", () => {
    assert.strictEqual(new Set(alerts.map(label)).size, alerts.length)
  })

  it("the page has no runbook of another alert", () => {
    const sections = [...page.matchAll(/^### (Llm\w+)$/gm)].map(([, name]) => name)
    assert.sameMembers(sections, [...new Set(alerts.map(({ alert }) => alert))])
  })

  it("each is tested: that it fires, and that it does not", () => {
    const tested = unitTests.flatMap((file) => unitTestsOf(file).tests.flatMap((one) => one.promql_expr_test))
    for (const rule of alerts) {
      const about = tested.filter(({ expr }) => expr.includes(`alertname="${rule.alert}"`))
        // The windows of one name are tested one by one.
        .filter(({ expr }) =>
          rule.labels["long_window"] === undefined || !expr.includes("long_window") ||
          expr.includes(`long_window="${rule.labels["long_window"]}"`)
        )
      assert.isTrue(
        about.some(({ exp_samples, expr }) =>
          expr.includes("alertstate=\"firing\"") && exp_samples.some(({ labels }) => labels.includes(rule.alert))
        ),
        `nothing makes ${label(rule)} fire`
      )
      assert.isTrue(
        about.some(({ exp_samples }) => exp_samples.length === 0),
        `nothing keeps ${label(rule)} from firing`
      )
    }
  })
})

describe("the dashboard", () => {
  const { panels, templating } = dashboard

  it("is for Grafana 10 and later, with its data source to choose", () => {
    assert.isAtLeast(dashboard.schemaVersion, 38)
    assert.deepStrictEqual(templating.list.map(({ name }) => name), [
      "datasource",
      "job",
      "model",
      "endpoint",
      "feature"
    ])
    const source = { type: "prometheus", uid: "${datasource}" }
    for (const { datasource, title, type } of panels) {
      assert.deepStrictEqual(datasource, type === "row" ? undefined : source, title)
    }
    for (const { datasource, where } of queries) assert.deepStrictEqual(datasource, source, where)
  })

  it("variables are values of labels that there are, and all of them where none is chosen", () => {
    for (const { allValue, definition, name } of templating.list) {
      if (name === "datasource") continue
      const [, selector = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(definition ?? "") ?? []
      assert.strictEqual(label, name)
      const { labels, problems } = readKnown(selector)
      assert.deepStrictEqual(problems, [])
      assert.include(labels ?? [], name)
      // Series without a feature are among all, to which an empty label belongs.
      assert.strictEqual(allValue, ".*")
    }
  })

  it("panels have ids of their own, a description, a unit and legends", () => {
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    for (const { description, fieldConfig, targets, title, type } of panels) {
      assert.isAbove(description.length, 20, title)
      if (type === "row") continue
      assert.isNotEmpty(fieldConfig?.defaults.unit, title)
      assert.isNotEmpty(targets, title)
      assert.strictEqual(new Set(targets?.map(({ refId }) => refId)).size, targets?.length, title)
    }
    for (const { expr, format, legendFormat, where } of queries) {
      if (format === "table") continue
      assert.isNotEmpty(legendFormat, where)
      // A legend that leaves one out does not tell the series apart.
      assert.sameMembers([...readKnown(expr).labels ?? []], [...named(legendFormat, /\{\{(\w+)\}\}/g)], where)
    }
  })

  it("rows of a table come together: their queries have the same labels, and no name", () => {
    const tables = queries.filter(({ format }) => format === "table")
    assert.isNotEmpty(tables)
    for (const { expr, where } of tables) {
      // What is aggregated has lost the name of its series, in which the queries differ.
      assert.match(expr, /^(sum|max|min) by /, where)
      assert.sameMembers([...readKnown(expr).labels ?? []], ["job", "model", "endpoint"], where)
    }
  })

  it("panels lie side by side, within the grid", () => {
    const taken = new Map<string, string>()
    for (const { gridPos: { h, w, x, y }, title } of panels) {
      assert.isTrue(x >= 0 && w > 0 && x + w <= 24 && y >= 0 && h > 0, title)
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          const other = taken.get(`${column}/${line}`)
          assert.isUndefined(other, `${title} lies on ${other}`)
          taken.set(`${column}/${line}`, title)
        }
      }
    }
  })

  it("every metric is on it, or read by what is recorded for it", () => {
    const used = new Set(selectors.map(({ name }) => name))
    for (const { name, type } of Object.values(metrics)) {
      const base = name.replaceAll(".", "_")
      const series = type === "histogram" ? [`${base}_bucket`, `${base}_sum`, `${base}_count`] : [base]
      assert.isTrue(series.some((one) => used.has(one)), name)
      for (const one of series) assert.isTrue(known.has(one))
    }
  })
})
