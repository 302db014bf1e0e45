/**
 * The shipped rules and the dashboard against Prometheus itself: `promtool` checks and tests the rules, and a server that scrapes all
 * metrics answers every query.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Schedule, Schema } from "effect"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { describeProgram } from "../support/program.ts"
import * as Exposition from "./support/exposition.ts"
import {
  alerts,
  chosen,
  dashboard,
  exposed,
  folder,
  queries,
  readKnown,
  recordings,
  ruleFiles,
  unitTests
} from "./support/monitoring.ts"
import * as Prometheus from "./support/prometheus.ts"

/** What `promtool` says, and whether it is content. */
const promtool = (...parameters: ReadonlyArray<string>) =>
  Effect.callback<{ readonly content: boolean; readonly output: string }>((resume) => {
    const child = execFile("promtool", parameters, { cwd: folder }, (error, stdout, stderr) => {
      resume(Effect.succeed({ content: error === null, output: `${error?.message ?? ""}\n${stdout}\n${stderr}` }))
    })
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

describeProgram("promtool")("promtool", () => {
  it.live("check rules", () =>
    Effect.gen(function*() {
      const { content, output } = yield* promtool("check", "rules", ...Object.values(ruleFiles))
      assert.isTrue(content, output)
      assert.include(output, `SUCCESS: ${recordings.length} rules found`)
      assert.include(output, `SUCCESS: ${alerts.length} rules found`)
    }))

  for (const file of unitTests) {
    it.live(
      `test rules ${file}`,
      () => Effect.map(promtool("test", "rules", file), ({ content, output }) => assert.isTrue(content, output)),
      60_000
    )
  }
})

/** Series as the API gives them. */
const Series = Schema.Struct({ result: Schema.Array(Schema.Unknown) })

const Rules = Schema.Struct({
  groups: Schema.Array(Schema.Struct({
    rules: Schema.Array(Schema.Struct({
      name: Schema.String,
      health: Schema.String,
      lastError: Schema.optionalKey(Schema.String)
    }))
  }))
})

const Alerts = Schema.Struct({
  alerts: Schema.Array(Schema.Struct({
    labels: Schema.Record(Schema.String, Schema.String),
    annotations: Schema.Record(Schema.String, Schema.String)
  }))
})

/** Of the rules, that they run every second: a test does not wait for a minute. */
const hurried = (file: string): string =>
  readFileSync(folder + file, "utf8").replaceAll(/(?<=^ +interval: )\w+$/gm, "1s")

/** Every alert rule, made to fire with a value of a half and a value for each of its labels. */
const firing = JSON.stringify({
  groups: [{
    name: "firing",
    rules: alerts.map(({ alert, annotations, expr, labels }) => ({
      alert,
      annotations,
      labels: { ...labels, firing: "yes" },
      expr: (readKnown(expr).labels ?? []).reduce(
        (series, label) => `label_replace(${series}, "${label}", "the ${label}", "", "")`,
        "vector(0.5)"
      )
    }))
  }]
})

/** What reads the days before: there are none. */
const ofDaysBefore = "job:llm_request_cost_dollars:median_increase1h"

describeProgram("prometheus")("Prometheus", () => {
  it.live("answers every query of the dashboard, and renders every alert", () =>
    Effect.gen(function*() {
      const text = yield* Exposition.make
      const prometheus = yield* Prometheus.begin(text, [...Object.values(ruleFiles).map(hurried), firing])

      /** How many series there are. */
      const count = (path: string, parameters: Readonly<Record<string, string>>) =>
        prometheus.ask(path, parameters).pipe(
          Effect.flatMap(Schema.decodeUnknownEffect(Series)),
          Effect.map(({ result }) => result.length)
        )
      const query = (expr: string, instant: boolean) =>
        instant
          ? count("query", { query: chosen(expr) })
          : Effect.flatMap(Clock.currentTimeMillis, (now) =>
            count("query_range", {
              query: chosen(expr),
              start: `${now / 1_000 - 10}`,
              end: `${now / 1_000}`,
              step: "1"
            }))

      /** What there is nothing of, or what was wrong. */
      const missing = Effect.gen(function*() {
        const problems: Array<string> = []
        for (const name of exposed.keys()) {
          if ((yield* count("query", { query: name })) === 0) problems.push(`no series ${name}`)
        }
        for (const { expr, instant, where } of queries) {
          const found = yield* query(expr, instant)
          if (found === 0 && !expr.includes(ofDaysBefore)) problems.push(`nothing in ${where}: ${expr}`)
        }
        for (const { definition, name } of dashboard.templating.list) {
          const [, selector = ""] = /^label_values\((.+), \w+\)$/.exec(definition ?? "") ?? []
          if (definition === undefined) continue
          const found = yield* prometheus.ask(`label/${name}/values`, { "match[]": chosen(selector) })
          if (!Array.isArray(found) || found.length === 0) problems.push(`no values of ${name}`)
        }
        const { groups } = yield* Effect.flatMap(prometheus.ask("rules"), Schema.decodeUnknownEffect(Rules))
        const rules = groups.flatMap(({ rules }) => rules)
        if (rules.length !== recordings.length + 2 * alerts.length) problems.push(`${rules.length} rules`)
        for (const { health, lastError, name } of rules) {
          if (health !== "ok") problems.push(`${name} is ${health}: ${lastError}`)
        }
        return problems
      })

      yield* Effect.flatMap(
        missing,
        (problems) => problems.length === 0 ? Effect.void : Effect.fail(problems.join("\n"))
      )
        .pipe(
          Effect.retry(Schedule.spaced("500 millis").pipe(Schedule.upTo({ duration: "18 seconds" }))),
          Effect.mapError((problem) => `${problem}\n${prometheus.output()}`)
        )

      const answer = yield* Effect.flatMap(prometheus.ask("alerts"), Schema.decodeUnknownEffect(Alerts))
      const fired = answer.alerts.filter(({ labels }) => labels["firing"] === "yes")
      assert.strictEqual(fired.length, alerts.length)
      for (const { annotations, labels } of fired) {
        const rule = alerts.find(({ alert }) => alert === labels["alertname"])
        assert.match(labels["severity"] ?? "", /^(critical|warning)$/)
        for (const [name, rendered] of Object.entries(annotations)) {
          assert.notMatch(rendered, /\{\{|\}\}|<no value>|<error|%!/, name)
        }
        for (const [, label = ""] of (rule?.annotations.summary ?? "").matchAll(/\$labels\.(\w+)/g)) {
          assert.include(annotations["summary"], labels[label])
        }
      }
    }), 40_000)
})
