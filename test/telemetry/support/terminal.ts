/**
 * A terminal that does what it is told, as far as a view tells it anything: what stands on its screens can be looked at.
 */
import { Effect, Layer, Option, type PlatformError, Queue, Terminal } from "effect"
import type { Cause } from "effect"
import { TerminalCapabilities } from "effect/cli"

export interface TestTerminal {
  readonly layer: Layer.Layer<Terminal.Terminal>
  /** All that was written, piece by piece. */
  readonly written: ReadonlyArray<string>
  /** How often it was written to. */
  readonly writes: () => number
  /** The lines of the screen that is shown, without those at the end that are empty. */
  readonly lines: () => ReadonlyArray<string>
  readonly screen: () => "usual" | "other"
  readonly cursor: () => boolean
  readonly wraps: () => boolean
  readonly press: (name: string, options?: { readonly ctrl?: boolean }) => Effect.Effect<void>
  /** No key will be pressed any more. */
  readonly endInput: Effect.Effect<void>
  /** How many listen to keys. */
  readonly listeners: () => number
  readonly resize: (columns: number, rows: number) => void
  /** Somebody else writes. */
  readonly scribble: (line: number, text: string) => void
}

export interface Options {
  readonly columns?: number
  readonly rows?: number
  readonly capabilities?: Partial<TerminalCapabilities.TerminalCapabilities>
  /** What writing fails with, from the nth time on. */
  readonly failsFrom?: { readonly write: number; readonly error: PlatformError.PlatformError }
}

export const make = (options: Options = {}): TestTerminal => {
  let size = { columns: options.columns ?? 80, rows: options.rows ?? 24 }
  let screen: "usual" | "other" = "usual"
  let cursor = true
  let wraps = true
  let listeners = 0
  const written: Array<string> = []
  const screens = { usual: new Array<string>(), other: new Array<string>() }
  let at = 0
  let input: Queue.Queue<Terminal.UserInput, Cause.Done> | undefined

  const obey = (sequence: string): void => {
    const move = /^\[(\d+);1H$/.exec(sequence)
    if (sequence === "[?1049h") screen = "other"
    else if (sequence === "[?1049l") screen = "usual"
    else if (sequence === "[?25l") cursor = false
    else if (sequence === "[?25h") cursor = true
    else if (sequence === "[?7l") wraps = false
    else if (sequence === "[?7h") wraps = true
    else if (sequence === "[2J") screens[screen] = []
    else if (sequence === "[2K") screens[screen][at] = ""
    else if (move !== null) at = Number(move[1]) - 1
    else if (!/^\[\d+m$/.test(sequence)) throw new Error(`the terminal does not know ${JSON.stringify(sequence)}`)
  }

  const write = (text: string): void => {
    written.push(text)
    // oxlint-disable-next-line no-control-regex
    for (const [, sequence, plain = ""] of text.matchAll(/(?:\u001b(\[\??[\d;]*[A-Za-z]))|([^\u001b]+|\u001b)/g)) {
      if (sequence !== undefined) obey(sequence)
      else {
        plain.split("\n").forEach((piece, n) => {
          if (n > 0) at++
          screens[screen][at] = (screens[screen][at] ?? "") + piece
        })
      }
    }
  }

  const terminal = Terminal.make({
    columns: Effect.sync(() => size.columns),
    rows: Effect.sync(() => size.rows),
    size: Effect.die("not used"),
    readLine: Effect.die("not used"),
    readInput: Effect.acquireRelease(
      Effect.gen(function*() {
        listeners++
        return input = yield* Queue.make<Terminal.UserInput, Cause.Done>()
      }),
      () => Effect.sync(() => listeners--)
    ),
    display: (text) =>
      Effect.suspend(() => {
        if (options.failsFrom !== undefined && written.length >= options.failsFrom.write) {
          return Effect.fail(options.failsFrom.error)
        }
        write(text)
        return Effect.void
      })
  })

  return {
    layer: Layer.mergeAll(
      Layer.succeed(Terminal.Terminal, terminal),
      Layer.succeed(TerminalCapabilities.TerminalCapabilities, {
        canColor: false,
        canAnimate: true,
        canPrompt: true,
        ...options.capabilities
      })
    ),
    written,
    writes: () => written.length,
    lines: () => Array.from(screens[screen], (line) => line ?? "").join("\n").trimEnd().split("\n"),
    screen: () => screen,
    cursor: () => cursor,
    wraps: () => wraps,
    press: (name, { ctrl = false } = {}) =>
      Effect.suspend(() =>
        input === undefined
          ? Effect.die("nobody listens")
          : Queue.offer(input, { input: Option.some(name), key: { name, ctrl, meta: false, shift: false } })
      ),
    endInput: Effect.suspend(() => input === undefined ? Effect.die("nobody listens") : Queue.end(input)),
    listeners: () => listeners,
    resize: (columns, rows) => {
      size = { columns, rows }
    },
    scribble: (line, text) => {
      screens[screen][line] = text
    }
  }
}
