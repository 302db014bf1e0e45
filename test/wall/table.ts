/**
 * The results of the wall as a table of Markdown, and its place in a page.
 */
import { seconds } from "./checks.ts"
import type { Mode } from "./lab.ts"
import type { Outcome, Scenario } from "./scenario.ts"

/** One run of one scenario. */
export interface Result extends Pick<Outcome, "asked"> {
  readonly scenario: Pick<Scenario, "modes" | "name" | "sentence">
  readonly mode: Mode
  /** The checks that did not hold, in words. */
  readonly failed: ReadonlyArray<string>
  /** How long it took, in milliseconds. */
  readonly took: number
}

const modes: ReadonlyArray<Mode> = ["streamed", "full"]

const requests = ({ asked }: Result): string => `${asked.primary} + ${asked.backup}`

const took = (result: Result): string => seconds(result.took)

/** One value where both modes have the same, and both where they differ. */
const each = (results: ReadonlyArray<Result>, print: (result: Result) => string): string =>
  [...new Set(results.map(print))].join(" / ")

const row = (results: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const { scenario } = results[0]!
  return [
    scenario.name,
    scenario.sentence,
    ...modes.map((mode) => {
      const result = results.find((result) => result.mode === mode)
      return result === undefined ? "" : result.failed.length === 0 ? "ok" : "**failed**"
    }),
    each(results, requests),
    results.map(took).join(" / ")
  ]
}

const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** A row a scenario, and beneath them what went wrong. */
export const render = (results: ReadonlyArray<Result>): string => {
  const names = [...new Set(results.map(({ scenario }) => scenario.name))]
  const wrong = results.flatMap(({ failed, mode, scenario }) =>
    failed.map((check) => `- ${scenario.name}, ${mode}: ${check}`)
  )
  return [
    line(["", "Fault, and what is expected", "streamed", "full", "requests", "time"]),
    line(["---", "---", "---", "---", "---", "---"]),
    ...names.map((name) => line(row(results.filter(({ scenario }) => scenario.name === name)))),
    ...(wrong.length === 0 ? [] : ["", "Failed:", "", ...wrong])
  ].join("\n")
}

const begin = "<!-- written by `npm run wall`: begin -->"
const end = "<!-- written by `npm run wall`: end -->"

const place = (page: string): { readonly from: number; readonly to: number } => {
  const from = page.indexOf(begin) + begin.length
  const to = page.indexOf(end)
  if (from < begin.length || to < from) throw new Error("the page has no place for the table")
  return { from, to }
}

/** What stands between the marks of a page. */
export const written = (page: string): string => {
  const { from, to } = place(page)
  return page.slice(from, to).trim()
}

/** Puts a text between the marks of a page. */
export const write = (page: string, text: string): string => {
  const { from, to } = place(page)
  return `${page.slice(0, from)}\n\n${text}\n\n${page.slice(to)}`
}
