/**
 * Text in the cells of a terminal: cut and padded to a width, and without anything in it that a terminal would obey.
 */
import * as CliOutput from "effect/cli/CliOutput"

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** A piece of a line. */
export interface Cell {
  readonly text: string
  readonly style?: Style | undefined
}

export const cell = (text: string, style?: Style): Cell => ({ text, style })

const codes: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 }

/**
 * Names come from anywhere, and a terminal does what control characters say: each is replaced by a picture of itself. Those that turn the
 * direction of text, or that nobody sees, go as well, but for the joiners that emoji are made with.
 */
export const plain = (text: string): string =>
  text.toWellFormed()
    .replace(/\p{Cc}/gu, (control) => {
      const code = control.charCodeAt(0)
      return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd"
    })
    .replace(/[\p{Zl}\p{Zp}]/gu, " ")
    .replace(/(?![\u200c\u200d])\p{Cf}/gu, "")

/** How many cells a text takes. */
export const widthOf = (text: string): number => printable.test(text) ? text.length : CliOutput.displayWidth(text)

const printable = /^[ -~]*$/

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** As much of a text as there is room for, with a mark where something is missing. */
export const cut = (text: string, width: number): string => {
  const clean = plain(text)
  if (widthOf(clean) <= width) return clean
  if (width < 1) return ""
  let kept = ""
  let taken = 0
  for (const { segment } of segmenter.segment(clean)) {
    const wide = widthOf(segment)
    if (taken + wide > width - 1) break
    kept += segment
    taken += wide
  }
  return `${kept}…`
}

/** Exactly so wide. */
export const fit = (text: string, width: number, right = false): string => {
  const short = cut(text, width)
  const padding = " ".repeat(Math.max(0, width - widthOf(short)))
  return right ? padding + short : short + padding
}

const paint = ({ style, text }: Cell, color: boolean): string =>
  !color || style === undefined || text.trim() === "" ? text : `\u001b[${codes[style]}m${text}\u001b[0m`

/** A line of cells, as much of it as there is room for. */
export const line = (cells: ReadonlyArray<Cell>, columns: number, color: boolean): string => {
  const painted: Array<string> = []
  let left = columns
  for (const { style, text } of cells) {
    if (left === 0) break
    const short = cut(text, left)
    left -= widthOf(short)
    painted.push(paint({ text: short, style }, color))
  }
  return painted.join("").trimEnd()
}

/** Puts pieces side by side, on as many lines as it takes; each piece is on one. */
export const flow = (
  head: Cell,
  pieces: ReadonlyArray<Cell>,
  columns: number
): ReadonlyArray<ReadonlyArray<Cell>> => {
  const gap = "  "
  const lines: Array<Array<Cell>> = [[head]]
  let taken = widthOf(head.text)
  let fresh = false
  for (const piece of pieces) {
    const wide = widthOf(plain(piece.text))
    if (!fresh && taken + gap.length + wide > columns) {
      lines.push([cell(gap)])
      taken = gap.length
      fresh = true
    }
    if (!fresh) {
      lines.at(-1)!.push(cell(gap))
      taken += gap.length
    }
    lines.at(-1)!.push(piece)
    taken += wide
    fresh = false
  }
  return lines
}

/** Below so many columns there is room for the most important alone. */
export const narrow = 60

/** Of a column: it is not cut. */
export const whole = Number.POSITIVE_INFINITY

/** A column of a table. */
export interface Column {
  readonly cells: ReadonlyArray<Cell>
  /** How narrow it may get before columns are left out. */
  readonly least: number
  /** Which one is left out first: the one with the highest. */
  readonly rank: number
  readonly right?: boolean | undefined
}

/** The lines of a table: where there is little room, columns are cut, and then left out. Empty ones are never there. */
export const table = (columns: ReadonlyArray<Column>, width: number): ReadonlyArray<ReadonlyArray<Cell>> => {
  const gap = width < narrow ? 1 : 2
  let kept = columns
    .map((column) => ({ ...column, width: Math.max(0, ...column.cells.map(({ text }) => widthOf(plain(text)))) }))
    .filter((column) => column.width > 0)
  const least = (): number =>
    kept.reduce((sum, column) => sum + Math.min(column.width, column.least), gap * (kept.length - 1))
  while (kept.length > 1 && least() > width) {
    const last = Math.max(...kept.map(({ rank }) => rank))
    kept = kept.filter(({ rank }) => rank !== last)
  }
  let excess = kept.reduce((sum, column) => sum + column.width, gap * (kept.length - 1)) - width
  for (; excess > 0; excess--) {
    const widest = kept.reduce((a, b) =>
      b.width - Math.min(b.least, b.width) > a.width - Math.min(a.least, a.width) ? b : a
    )
    widest.width--
  }
  const rows = Math.max(0, ...columns.map(({ cells }) => cells.length))
  return Array.from({ length: rows }, (_, row) =>
    kept.flatMap((column, n) => {
      const { style, text } = column.cells[row] ?? cell("")
      const fitted = cell(fit(text, column.width, column.right), style)
      return n === 0 ? [fitted] : [cell(" ".repeat(gap)), fitted]
    }))
}

/** A number in as few characters as it takes to know it. */
export const short = (count: number): string => {
  if (count < 10_000) return String(Math.round(count))
  for (const [unit, size] of [["k", 1e3], ["M", 1e6], ["G", 1e9]] as const) {
    const value = count / size
    if (value < 999.5) return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)}${unit}`
  }
  return `${(count / 1e12).toPrecision(3)}T`
}

/** A time in as few characters as it takes to know it. */
export const time = (millis: number): string => {
  const two = (value: number): string => String(value).padStart(2, "0")
  if (millis < 9_950) return `${(millis / 1_000).toFixed(1)}s`
  const seconds = Math.round(millis / 1_000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours}h${two(minutes % 60)}m` : `${Math.floor(hours / 24)}d${two(hours % 24)}h`
}

/** Micro-dollars: the more it is, the fewer decimals. */
export const dollars = (micros: number): string => {
  const amount = micros / 1_000_000
  return micros === 0
    ? "$0"
    : amount >= 10_000
    ? `$${short(amount)}`
    : `$${amount.toFixed(amount >= 100 ? 0 : amount >= 1 ? 2 : amount >= 0.001 ? 4 : 6)}`
}

export const percent = (part: number, whole: number): string =>
  whole <= 0 ? "-" : `${Math.round((part / whole) * 100)}%`

/** How much of a bar is full, from 0 to 1. */
export const bar = (fraction: number, width: number): string => {
  const full = Math.max(0, Math.min(width, Math.floor(fraction * width)))
  return "█".repeat(full) + "░".repeat(width - full)
}

const levels = "▁▂▃▄▅▆▇█"

/** A column for each value, the highest of them up to the top; what is more than nothing is never at the bottom. */
export const sparkline = (values: ReadonlyArray<number>): string => {
  const most = Math.max(0, ...values)
  return values
    .map((value) => levels[value <= 0 ? 0 : Math.max(1, Math.round((value / most) * (levels.length - 1)))])
    .join("")
}
