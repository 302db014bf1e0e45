/**
 * Shows frames on a terminal, and leaves it as it was.
 */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Terminal from "effect/Terminal"
import { frame, type Size } from "./liveFrame.ts"
import type { State } from "./liveState.ts"

export interface Settings {
  readonly intervalMillis: number
  readonly color: boolean | undefined
}

const escape = "\u001b["

/** The other screen, so that what stood in the terminal is there again afterwards; no cursor; and no line goes on in the next one. */
const enter = `${escape}?1049h${escape}?25l${escape}?7l`

const leave = `${escape}0m${escape}?7h${escape}?25h${escape}?1049l`

/** What a terminal is taken to be that does not know its size. */
const usual: Size = { columns: 80, rows: 24 }

const sizeOf = (terminal: Terminal.Terminal): Effect.Effect<Size> =>
  Effect.zipWith(terminal.columns, terminal.rows, (columns, rows) => ({
    columns: columns >= 1 ? Math.floor(columns) : usual.columns,
    rows: rows >= 1 ? Math.floor(rows) : usual.rows
  }))

export const show = (
  current: Effect.Effect<State>,
  settings: Settings
): Effect.Effect<void, PlatformError, Terminal.Terminal> =>
  Effect.gen(function*() {
    const terminal = yield* Terminal.Terminal
    const { canAnimate, canColor, canPrompt } = yield* TerminalCapabilities
    const color = settings.color ?? canColor
    if (!canAnimate) return yield* Effect.onExit(Effect.never, () => print(terminal, current, color))
    const screen = new Screen(terminal, current, color, canPrompt ? "q quits, r redraws" : "")
    const pressed = yield* Effect.acquireUseRelease(
      Effect.void,
      () =>
        Effect.andThen(
          terminal.display(enter),
          Effect.raceFirst(
            // What is written before `readInput` has returned is written into the screen that it belongs to.
            screen.run(settings.intervalMillis),
            canPrompt ? Effect.scoped(keys(terminal, screen)) : Effect.never
          )
        ),
      // Whoever cannot be written to has no screen to leave.
      () => Effect.ignore(terminal.display(leave))
    )
    // In this mode of a terminal, the key sends no signal: what it stands for is done here.
    if (pressed === "interrupt") return yield* Effect.interrupt
  })

/** One last frame, where nobody watches. */
const print = (terminal: Terminal.Terminal, current: Effect.Effect<State>, color: boolean): Effect.Effect<void> =>
  Effect.zipWith(current, sizeOf(terminal), (state, size) => `${frame(state, size, color, "").join("\n")}\n`).pipe(
    Effect.flatMap(terminal.display),
    Effect.ignore
  )

class Screen {
  private readonly terminal: Terminal.Terminal
  private readonly current: Effect.Effect<State>
  private readonly color: boolean
  private readonly hint: string
  private size: Size = { columns: 0, rows: 0 }
  private shown: ReadonlyArray<string> = []
  private spoilt = true

  constructor(terminal: Terminal.Terminal, current: Effect.Effect<State>, color: boolean, hint: string) {
    this.terminal = terminal
    this.current = current
    this.color = color
    this.hint = hint
  }

  run(intervalMillis: number): Effect.Effect<never, PlatformError> {
    return Effect.forever(Effect.andThen(this.draw, Effect.sleep(intervalMillis)))
  }

  /** Draws all of the next frame, whatever stands there. */
  spoil(): void {
    this.spoilt = true
  }

  private readonly draw: Effect.Effect<void, PlatformError> = Effect.suspend(() =>
    Effect.flatMap(Effect.zip(this.current, sizeOf(this.terminal)), ([state, size]) => {
      const lines = frame(state, size, this.color, this.hint)
      const changes = this.changes(lines, size)
      return changes === "" ? Effect.void : this.terminal.display(changes)
    })
  )

  /** What to write so that the lines stand there. */
  private changes(lines: ReadonlyArray<string>, size: Size): string {
    const anew = this.spoilt || size.columns !== this.size.columns || size.rows !== this.size.rows
    const before = anew ? [] : this.shown
    this.spoilt = false
    this.size = size
    this.shown = lines
    const written = Array.from({ length: Math.max(lines.length, before.length) }, (_, n) => {
      const text = lines[n] ?? ""
      // The line is cleared first: at its end the cursor would stand on what was written last.
      return text === (before[n] ?? "") ? "" : `${escape}${n + 1};1H${escape}2K${text}`
    }).join("")
    return anew ? `${escape}2J${written}` : written
  }
}

/** Until somebody wants to go: then how. Where keys have come to an end without that, nobody can. */
const keys = (
  terminal: Terminal.Terminal,
  screen: Screen
): Effect.Effect<"quit" | "interrupt", never, Scope.Scope> =>
  Effect.flatMap(terminal.readInput, (queue) => {
    const next: Effect.Effect<"quit" | "interrupt"> = Effect.matchEffect(Queue.take(queue), {
      onFailure: () => Effect.never,
      onSuccess: ({ key: { ctrl, name } }) => {
        if (ctrl && name === "c") return Effect.succeed("interrupt" as const)
        if (name === "escape" || (ctrl ? name === "d" : name === "q")) return Effect.succeed("quit" as const)
        if (ctrl ? name === "l" : name === "r") screen.spoil()
        return next
      }
    })
    return next
  })
