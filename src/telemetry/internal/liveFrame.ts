/**
 * Draws a state: lines of text that fit into a terminal, whatever its size.
 *
 * Where there are too few rows, each section gets its heading and a row, then another row in turn, as long as there are any; its heading
 * says how many it does not show.
 */
import type { BudgetUse, Circuit, Finished, InFlight, Queue, State } from "./liveState.ts"
import {
  bar,
  type Cell,
  cell,
  type Column,
  dollars,
  flow,
  line,
  narrow,
  percent,
  short,
  sparkline,
  type Style,
  table,
  time,
  whole,
  widthOf
} from "./liveText.ts"

export interface Size {
  readonly columns: number
  readonly rows: number
}

type Line = ReadonlyArray<Cell>

/** What is drawn with a heading of its own. The rows are drawn when it is known how many there are room for. */
interface Section {
  readonly title: string
  /** How many there are, and how many of them could be drawn. */
  readonly count: number
  readonly most: number
  readonly rows: (shown: number) => ReadonlyArray<Line>
}

export const frame = (
  state: State,
  { columns, rows }: Size,
  color: boolean,
  hint: string
): ReadonlyArray<string> => {
  const drawn = (lines: ReadonlyArray<Line>): ReadonlyArray<string> => lines.map((cells) => line(cells, columns, color))
  // However many numbers there are, what goes on is to be seen as well.
  const top = [
    ...drawn(head(state, columns, hint)),
    ...drawn(numbers(state, columns)).slice(0, Math.max(1, Math.floor(rows / 3)))
  ].slice(0, rows)
  const sections = sectionsOf(state, columns).filter(({ count }) => count > 0)
  const airy = share(sections, rows - top.length - sections.length)
  const dense = share(sections, rows - top.length)
  // Lines between sections, where that leaves room for all, but for the last few of a long list.
  const isAiry = sections.every(({ most }, n) => airy[n]! >= Math.min(most, n === sections.length - 1 ? 5 : most))
  const shown = isAiry ? airy : dense
  return [
    ...top,
    ...sections.flatMap(({ count, rows, title }, index) => {
      const room = shown[index]!
      if (room < 0) return []
      const hidden = count - room
      const heading = [
        cell(title, "bold"),
        cell(` ${short(count)}`),
        ...(hidden > 0 ? [cell(`, ${short(hidden)} not shown`, "dim")] : [])
      ]
      return drawn([...(isAiry ? [[]] : []), heading, ...rows(room)])
    })
  ]
}

/** How many rows each section gets below its heading; -1 where there is no room for that either. */
const share = (sections: ReadonlyArray<Section>, rows: number): ReadonlyArray<number> => {
  const shown = sections.map(() => -1)
  let left = Math.max(0, rows)
  // A heading and a row each, as far as it goes; of the last one the heading alone.
  sections.forEach((_, index) => {
    const taken = Math.min(2, left)
    shown[index] = taken - 1
    left -= taken
  })
  for (let grown = true; grown && left > 0;) {
    grown = false
    sections.forEach(({ most }, index) => {
      if (left > 0 && shown[index]! < most) {
        shown[index]!++
        left--
        grown = true
      }
    })
  }
  return shown
}

const head = (state: State, columns: number, hint: string): ReadonlyArray<Line> => {
  const words = `${short(state.running)} in flight`
  const room = columns - "BULWARK  ".length - words.length - hint.length
  return [[
    cell("BULWARK", "bold"),
    cell(`  ${words}`),
    ...(hint === "" || room < 2 ? [] : [cell(" ".repeat(room)), cell(hint, "dim")])
  ]]
}

/** What is said of a count; nothing where there is none. */
const some = (count: number, one: string, many: string, style?: Style): ReadonlyArray<Cell> =>
  count === 0 ? [] : [cell(`${short(count)} ${count === 1 ? one : many}`, style)]

const numbers = (state: State, columns: number): ReadonlyArray<Line> => {
  const { lastMinute, minutes, total } = state
  const counted = (counts: State["total"]): ReadonlyArray<Cell> => {
    const ended = counts.succeeded + counts.failed
    return [
      cell(`${short(counts.calls)} ${counts.calls === 1 ? "call" : "calls"}`),
      ...(ended === 0 ? [] : [cell(
        `${percent(counts.failed, ended)} errors`,
        counts.failed === 0 ? undefined : "red"
      )]),
      ...(counts.cached + counts.missed === 0
        ? []
        : [cell(`${percent(counts.cached, counts.cached + counts.missed)} cached`)]),
      ...some(counts.requests, "request", "requests"),
      ...some(counts.retries, "retry", "retries", "yellow"),
      ...some(counts.fallbacks, "fallback", "fallbacks", "yellow"),
      ...some(counts.hedges, "hedge", "hedges", "yellow"),
      ...some(counts.rejected, "rejected", "rejected", "yellow"),
      ...some(counts.interrupted, "interrupted", "interrupted"),
      ...(counts.inputTokens + counts.outputTokens === 0
        ? []
        : [cell(`${short(counts.inputTokens)} in, ${short(counts.outputTokens)} out`)]),
      ...(counts.cost === 0 ? [] : [cell(dollars(counts.cost), "green")]),
      ...(counts.unpriced === 0 ? [] : [cell(`${short(counts.unpriced)} without a price`, "dim")])
    ]
  }
  const spent = minutes.map(({ cost }) => cost)
  const now = ` ${dollars(spent.at(-1) ?? 0)} this minute`
  const label = "spend     "
  const room = Math.max(0, columns - widthOf(label) - widthOf(now))
  return [
    ...flow(cell("last 60s", "dim"), counted(lastMinute), columns),
    ...flow(cell("in all  ", "dim"), counted(total), columns),
    ...(total.cost === 0
      ? []
      : [[cell(label, "dim"), cell(sparkline(spent.slice(-room).slice(room === 0 ? 1 : 0)), "green"), cell(now)]])
  ]
}

const sectionsOf = (state: State, columns: number): ReadonlyArray<Section> => [
  section("IN FLIGHT", state.running, state.inFlight, (rows) => table(inFlight(rows, columns), columns)),
  section("BUDGETS", state.budgets.length, state.budgets.toSorted(byUse), (rows) => table(budgets(rows), columns)),
  section(
    "CIRCUITS",
    state.circuits.length,
    state.circuits.toSorted((a, b) => order(a.state) - order(b.state)),
    (rows) => table(circuits(rows, state.at), columns)
  ),
  ...[state.queues.filter(({ batch, interactive }) => batch + interactive > 0)].map((waiting) =>
    section("QUEUES", waiting.length, waiting, (rows) => table(queues(rows), columns))
  ),
  section(
    "FINISHED",
    state.finished.length,
    state.finished,
    (rows) => table(finished(rows, columns), columns)
  )
]

const section = <A>(
  title: string,
  count: number,
  items: ReadonlyArray<A>,
  rows: (items: ReadonlyArray<A>) => ReadonlyArray<Line>
): Section => ({ title, count, most: items.length, rows: (shown) => rows(items.slice(0, shown)) })

const column = <A>(
  items: ReadonlyArray<A>,
  of: (item: A) => Cell | string,
  least: number,
  rank: number,
  right?: boolean
): Column => ({
  cells: items.map((item) => {
    const drawn = of(item)
    return typeof drawn === "string" ? cell(drawn) : drawn
  }),
  least,
  rank,
  right
})

const featureOf = ({ feature, refresh }: { readonly feature?: string; readonly refresh: boolean }): string =>
  refresh ? `${feature ?? ""} (refresh)`.trimStart() : feature ?? "-"

/** In a narrow frame without the provider, since models tell more. */
const modelOf = (
  { model, provider }: { readonly provider?: string; readonly model?: string },
  columns: number
): string => model === undefined ? "" : provider === undefined || columns < narrow ? model : `${provider}/${model}`

const inFlight = (calls: ReadonlyArray<InFlight>, columns: number): ReadonlyArray<Column> => [
  column(calls, ({ elapsedMillis }) => time(elapsedMillis), whole, 1, true),
  column(calls, featureOf, columns < narrow ? 7 : 9, 4),
  column(calls, (call) => cell(modelOf(call, columns), "cyan"), columns < narrow ? 10 : 16, 3),
  column(
    calls,
    ({ requests, running }) => requests === 0 ? "" : running > 1 ? `#${requests} ×${running}` : `#${requests}`,
    whole,
    5
  ),
  column(calls, (call) => cell(waitsFor(call), styleOf(call)), 16, 2),
  column(calls, ({ parts }) => parts === 0 ? "" : `${short(parts)} ${parts === 1 ? "part" : "parts"}`, whole, 6, true),
  column(calls, ({ characters }) => characters === 0 ? "" : `${short(characters)} chars`, whole, 7, true)
]

/** Whoever waits for the next part for so long may wait in vain. */
const stalledMillis = 2_000

const waitsFor = ({ leftMillis, on, phase, phaseMillis, stream }: InFlight): string => {
  switch (phase) {
    case "starting":
      return "starting"
    case "queued":
      return `queue ${time(phaseMillis)} ${on ?? ""}`.trimEnd()
    case "sending":
      return `${stream ? "first part" : "answer"} ${time(phaseMillis)}`
    case "receiving":
      return phaseMillis < stalledMillis ? "receiving" : `next part ${time(phaseMillis)}`
    case "retrying":
      return `retry in ${time(leftMillis ?? 0)} ${on ?? ""}`.trimEnd()
    case "sharing":
      return `another's answer ${time(phaseMillis)}`
    case "between":
      return "between requests"
  }
}

const styleOf = ({ phase, phaseMillis }: InFlight): Style | undefined =>
  phase === "retrying" || phase === "queued" ? "yellow" : phase === "receiving" && phaseMillis < stalledMillis
    ? "green"
    : undefined

const fractionOf = ({ limit, used }: BudgetUse): number => limit <= 0 ? 1 : used / limit

const byUse = (self: BudgetUse, that: BudgetUse): number => fractionOf(that) - fractionOf(self)

const budgets = (limits: ReadonlyArray<BudgetUse>): ReadonlyArray<Column> => {
  const amount = (resource: string, value: number): string => resource === "usd" ? dollars(value) : short(value)
  const style = (limit: BudgetUse): Style =>
    fractionOf(limit) >= 0.9 ? "red" : fractionOf(limit) >= 0.7 ? "yellow" : "green"
  return [
    column(limits, ({ feature, scope }) => feature === undefined ? scope : `${scope} ${feature}`, 8, 3),
    column(limits, ({ resource }) => resource, whole, 4),
    column(limits, ({ window }) => window, 8, 5),
    column(limits, (limit) => cell(bar(fractionOf(limit), 20), style(limit)), whole, 6),
    column(limits, (limit) => cell(percent(fractionOf(limit), 1), style(limit)), whole, 1, true),
    column(
      limits,
      ({ limit, resource, used }) => `${amount(resource, used)} / ${amount(resource, limit)}`,
      whole,
      2,
      true
    )
  ]
}

const order = (state: string): number => state === "Open" ? 0 : state === "HalfOpen" ? 1 : 2

const circuits = (known: ReadonlyArray<Circuit>, now: number): ReadonlyArray<Column> => [
  column(known, ({ circuit }) => circuit, 8, 2),
  column(
    known,
    ({ state }) =>
      state === "Open"
        ? cell("open", "red")
        : state === "HalfOpen"
        ? cell("half open", "yellow")
        : state === "Closed"
        ? cell("closed", "green")
        : cell(state),
    whole,
    1
  ),
  column(known, ({ since }) => cell(`for ${time(Math.max(0, now - since))}`, "dim"), whole, 3)
]

const queues = (waiting: ReadonlyArray<Queue>): ReadonlyArray<Column> => [
  column(waiting, ({ limiter }) => limiter, 8, 2),
  column(waiting, ({ interactive }) => `${short(interactive)} interactive`, whole, 1),
  column(waiting, ({ batch }) => `${short(batch)} batch`, whole, 3)
]

const finished = (calls: ReadonlyArray<Finished>, columns: number): ReadonlyArray<Column> => [
  column(calls, ({ tookMillis }) => time(tookMillis), whole, 2, true),
  column(calls, featureOf, columns < narrow ? 7 : 9, 4),
  column(calls, (call) => cell(modelOf(call, columns), "cyan"), columns < narrow ? 10 : 16, 3),
  column(
    calls,
    ({ degraded, outcome }) =>
      outcome !== "success"
        ? cell(outcome, outcome === "interrupted" ? "dim" : "red")
        : degraded
        ? cell("degraded", "yellow")
        : cell("success", "green"),
    7,
    1
  ),
  column(calls, ({ cache }) => cache === undefined || cache === "miss" ? "" : cache, whole, 7),
  column(calls, ({ requests }) => requests < 2 ? "" : `${short(requests)} requests`, whole, 8),
  column(
    calls,
    ({ inputTokens, outputTokens }) =>
      inputTokens + outputTokens === 0 ? "" : `${short(inputTokens)} in, ${short(outputTokens)} out`,
    whole,
    6,
    true
  ),
  column(calls, ({ cost }) => cost === undefined ? "" : cell(dollars(cost), "green"), whole, 5, true)
]
