/**
 * The tables of `docs/telemetry.md`, made from the names that telemetry uses and the table of errors. What stands around them is
 * written by hand.
 */
import { LlmError } from "effect-bulwark"
import { Conventions } from "effect-bulwark/telemetry"
import { readFileSync } from "node:fs"

const code = (text: string): string => `\`${text}\``

const codes = (texts: ReadonlyArray<string>): string => texts.map(code).join(", ")

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const { attributes, events, metrics, other, spans, version } = Conventions

const names =
  `Names that begin with \`bulwark.\` or \`llm_\` are ours. All others are those of OpenTelemetry's semantic conventions
${version}.`

const spanTable = table(
  ["Span", "Kind", "What it stands for"],
  Object.values(spans).map(({ kind, meaning, name }) => [code(name), kind, meaning])
)

const attributesOn = (on: (typeof attributes)[keyof typeof attributes]["on"][number]): string =>
  table(
    ["Attribute", "Type", "What it says"],
    Object.values(attributes)
      .filter((attribute) => attribute.on.includes(on))
      .map(({ key, meaning, type }) => [code(key), type, meaning])
  )

const eventTable = table(
  ["Event", "Attributes", "What happened"],
  Object.values(events).map(({ attributes, meaning, name }) => [code(name), codes(attributes), meaning])
)

const all: ReadonlyArray<Conventions.MetricDefinition> = Object.values(metrics)

const metricTable = table(
  ["Metric", "Type", "Unit", "Labels", "What it counts"],
  all.map(({ byFeature, labels, meaning, name, type, unit }) => [
    code(name),
    type,
    code(unit),
    codes(labels) + (byFeature ? `${labels.length === 0 ? "" : ", "}(\`feature\`)` : ""),
    meaning
  ])
)

/** Histograms that have the same bounds stand in one row. */
const bucketTable = (): string => {
  const byBounds = new Map<string, Array<string>>()
  for (const { buckets, name } of all) {
    if (buckets === undefined) continue
    const bounds = buckets.map((bound) => bound.toLocaleString("en-US", { maximumFractionDigits: 6 })).join(" · ")
    byBounds.set(bounds, [...byBounds.get(bounds) ?? [], name])
  }
  return table(["Upper bounds", "Histograms"], [...byBounds].map(([bounds, names]) => [bounds, codes(names)]))
}

const errorTypes = table(
  [code(attributes.errorType.key), "What it means"],
  [
    ...Object.entries(LlmError.table).map(([tag, { meaning }]) => [code(tag), meaning]),
    [code("defect"), "A fault in the program, or in what it was made of: not a failure that stands in the type."],
    [code(other), "A failure that is not of this library: of a policy, a check or a tool of the application's own."]
  ]
)

/** The tables, by the names that they have on the page. */
export const sections: Readonly<Record<string, string>> = {
  names,
  spans: spanTable,
  "attributes of operations": attributesOn("operation"),
  "attributes of attempts": attributesOn("attempt"),
  "attributes of HTTP requests": attributesOn("http"),
  "attributes of tools": attributesOn("tool"),
  "attributes of events": attributesOn("event"),
  events: eventTable,
  metrics: metricTable,
  buckets: bucketTable(),
  "error types": errorTypes
}

/** A text with its sections replaced by new ones, each between the comments that name it. */
export const fill = (page: string, sections: Readonly<Record<string, string>>): string =>
  Object.entries(sections).reduce((page, [name, content]) => {
    const [begin, end] = [`<!-- ${name}: made by npm run docs -->\n`, `<!-- end of ${name} -->`]
    const [before, within, ...more] = page.split(begin)
    const after = within?.split(end)
    if (before === undefined || after?.length !== 2 || more.length > 0) {
      throw new Error(`The page needs one section that begins with "${begin.trim()}" and ends with "${end}"`)
    }
    return `${before}${begin}\n${content}\n\n${end}${after[1]}`
  }, page)

/** The page. */
export const render = (): string =>
  fill(readFileSync(new URL("../../docs/telemetry.md", import.meta.url), "utf8"), sections)
