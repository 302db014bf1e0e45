/**
 * What the calls of a process are doing right now, in the terminal: those in flight and what they wait for, those that ended last, circuits,
 * budgets, queues, and what is spent a minute.
 *
 * - {@link layer} listens to every operation of whatever it is provided to; {@link layerPriced} knows prices besides.
 * - {@link run} draws it, until it is interrupted or somebody presses `q`.
 * - {@link state} and {@link changes} are the same as data, and {@link render} makes lines of text of it: for whoever draws it elsewhere.
 *
 * **Details**
 *
 * A view keeps names, counts, times, outcomes and money: no prompt, no answer, no key, and no user or tenant. Features are shown, and so are
 * the keys of circuits and limiters, which an application may choose. What is kept is bounded, and so is what an event costs. Where there is
 * no view, calls know of none.
 *
 * What requests cost is known of those under `Budget.enforce`, and with {@link layerPriced} of those whose model has a price; of others it is
 * said how many there are.
 *
 * **Gotchas**
 *
 * It sees the operations of one process, from when the layer is built. Circuits, budgets and queues are shown as this process has last seen
 * them: a circuit from the first call that it was asked about, a limit from the first request. Of budgets, only limits that
 * all calls share, or all of one feature, are shown.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import * as Stream from "effect/Stream"
import type { Terminal } from "effect/Terminal"
import { Pricing } from "../budget/Pricing.ts"
import { Live } from "../core/internal/instrument.ts"
import type { Priced } from "./internal/instrument.ts"
import { Board } from "./internal/liveBoard.ts"
import { frame } from "./internal/liveFrame.ts"
import { show } from "./internal/liveScreen.ts"
import { type BudgetUse, type Circuit, type Finished, type InFlight, type Queue, State } from "./internal/liveState.ts"
import type { Counts } from "./internal/liveTally.ts"
import { natural } from "./internal/option.ts"
import { pricedBy } from "./internal/priced.ts"

export {
  /**
   * How far a limit of a budget is used up.
   *
   * @category models
   * @since 0.1.0
   */
  type BudgetUse,
  /**
   * The state of a circuit.
   *
   * @category models
   * @since 0.1.0
   */
  type Circuit,
  /**
   * What was counted in some time.
   *
   * @category models
   * @since 0.1.0
   */
  type Counts,
  /**
   * A call that is over.
   *
   * @category models
   * @since 0.1.0
   */
  type Finished,
  /**
   * A call that is not over.
   *
   * @category models
   * @since 0.1.0
   */
  type InFlight,
  /**
   * How many calls wait at a limiter.
   *
   * @category models
   * @since 0.1.0
   */
  type Queue,
  /**
   * What a view knows at one moment, as plain JSON.
   *
   * @category models
   * @since 0.1.0
   */
  State
}

/**
 * Knows what calls are doing.
 *
 * @category services
 * @since 0.1.0
 */
export class LiveView extends Context.Service<LiveView, {
  /** What they are doing now. */
  readonly state: Effect.Effect<State>
  /** What they are doing, again and again: see {@link changes}. */
  readonly changes: Stream.Stream<State>
}>()("effect-bulwark/telemetry/LiveView") {}

/**
 * How much a view keeps, and how often it tells.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How many of the calls that ended last are kept. Default: 50. */
  readonly finished?: number | undefined
  /** How many of the calls in flight stand in a state at most, the oldest first. All are counted. Default: 100. */
  readonly inFlight?: number | undefined
  /** How long {@link changes} waits between two states, at least 100 milliseconds. Default: 100 milliseconds. */
  readonly interval?: Duration.Input | undefined
}

const intervalOf = (where: string, input: Duration.Input = "100 millis"): number => {
  const duration = Duration.fromInputUnsafe(input)
  const millis = Duration.toMillis(duration)
  if (Number.isFinite(millis) && millis >= 100) return millis
  throw new RangeError(`${where}: \`interval\` must be at least 100 milliseconds, got ${Duration.format(duration)}`)
}

/**
 * Listens to every operation of whatever it is provided to, for as long as it lives.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * Each call of it makes a view of its own: provide one layer to the application and to {@link run}, or {@link state}, beside it. Of two views
 * around one operation, the inner one sees it.
 *
 * **Example** (What has happened)
 *
 * ```ts
 * import { Attribution, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { LiveView } from "effect-bulwark/telemetry"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" }).pipe(
 *     Attribution.annotate({ feature: "greeting" })
 *   )
 *   const { finished, total } = yield* LiveView.state
 *   return [total.calls, ...finished.map(({ feature, model, outcome }) => [feature, model, outcome])]
 * })
 *
 * await Effect.runPromise(
 *   Effect.provide(program, [LiveView.layer(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])])
 * ) // => [1, ["greeting", "gpt-5-mini", "success"]]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<LiveView> => {
  const settings = settingsOf("LiveView.layer", options)
  return Layer.effectContext(Effect.map(Clock.Clock, (clock) => viewOf(settings, clock, identity)))
}

/**
 * Like {@link layer}, and requests that no budget keeps account of have the price of their model.
 *
 * **Details**
 *
 * What a budget has booked goes first. A price that is not known, or that cannot be had without waiting, stays unknown.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPriced = (options?: Options): Layer.Layer<LiveView, never, Pricing> => {
  const settings = settingsOf("LiveView.layerPriced", options)
  return Layer.effectContext(Effect.gen(function*() {
    return viewOf(settings, yield* Clock.Clock, pricedBy(yield* Pricing))
  }))
}

interface Settings {
  readonly finished: number
  readonly inFlight: number
  readonly interval: number
}

const settingsOf = (where: string, options: Options | undefined): Settings => ({
  finished: natural(where, "finished", options?.finished ?? 50),
  inFlight: natural(where, "inFlight", options?.inFlight ?? 100),
  interval: intervalOf(where, options?.interval)
})

const viewOf = (settings: Settings, clock: Clock.Clock, priced: Priced): Context.Context<LiveView> => {
  const board = new Board({ ...settings, priced }, clock)
  const view = LiveView.of({ state: Effect.sync(() => board.state()), changes: changesOf(board, settings.interval) })
  return Context.add(Context.make(LiveView, view), Live, board)
}

/** For how long nothing is told while nothing happens: what the last minute is changes with time. */
const quietMillis = 1_000

interface Seen {
  readonly version: number
  readonly at: number
}

const changesOf = (board: Board, interval: number): Stream.Stream<State> => {
  const tell = (now: number): Effect.Effect<readonly [State, Seen]> =>
    Effect.sync(() => [board.state(), { version: board.version, at: now }])
  const next = (seen: Seen): Effect.Effect<readonly [State, Seen]> =>
    Effect.flatMap(Effect.sleep(interval), () => {
      const now = board.now()
      return board.version !== seen.version || board.inFlight > 0 || now - seen.at >= quietMillis
        ? tell(now)
        : next(seen)
    })
  return Stream.unfold<Seen | undefined, State, never, never>(
    undefined,
    (seen) => Effect.suspend(() => seen === undefined ? tell(board.now()) : next(seen))
  )
}

/**
 * What calls are doing now.
 *
 * @category getters
 * @since 0.1.0
 */
export const state: Effect.Effect<State, never, LiveView> = Effect.flatMap(LiveView, (view) => view.state)

/**
 * What calls are doing: at once, and then whenever something has happened.
 *
 * **Details**
 *
 * Two states are at least `interval` apart. While a call is in flight there is one after each, since time passes for it, and otherwise at
 * least one a second. Whoever reads slowly gets fewer, never old ones.
 *
 * @category streams
 * @since 0.1.0
 */
export const changes: Stream.Stream<State, never, LiveView> = Stream.unwrap(
  Effect.map(LiveView, (view) => view.changes)
)

/**
 * How a state is drawn.
 *
 * @category options
 * @since 0.1.0
 */
export interface RenderOptions {
  /** How wide a line is at most, in cells. */
  readonly columns: number
  /** How many lines there are at most. */
  readonly rows: number
  /** Whether the lines are coloured, with ANSI escape sequences. Default: `false`. */
  readonly color?: boolean | undefined
  /** What stands in the corner. Default: nothing. */
  readonly hint?: string | undefined
}

/**
 * Draws a state as lines of text, none of which is wider than `columns`, and no more of them than `rows`.
 *
 * **Details**
 *
 * Wide characters count as two cells. Names are cut where there is no room, and what a terminal would obey in them is replaced by a picture
 * of it: a name cannot move the cursor or change colours. Where there is little room, columns and rows are left out, those that say most
 * last; headings say how many rows are not shown.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (One call)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { LiveView } from "effect-bulwark/telemetry"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" })
 *   const [title] = LiveView.render(yield* LiveView.state, { columns: 80, rows: 24 })
 *   return title
 * })
 *
 * await Effect.runPromise(
 *   Effect.provide(program, [LiveView.layer(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])])
 * ) // => "BULWARK  0 in flight"
 * ```
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (state: State, options: RenderOptions): ReadonlyArray<string> =>
  frame(
    state,
    {
      columns: natural("LiveView.render", "columns", options.columns),
      rows: natural("LiveView.render", "rows", options.rows)
    },
    options.color ?? false,
    options.hint ?? ""
  )

/**
 * How a view is run.
 *
 * @category options
 * @since 0.1.0
 */
export interface RunOptions {
  /** How long to wait between two frames, at least 100 milliseconds. Default: 100 milliseconds. */
  readonly interval?: Duration.Input | undefined
  /** Whether there are colours. Default: what `TerminalCapabilities` of `effect/cli` says, which knows `NO_COLOR`. */
  readonly color?: boolean | undefined
}

/**
 * Draws the view on the terminal, until it is interrupted or somebody presses `q`.
 *
 * **When to use**
 *
 * Use beside an application: `Effect.raceFirst(application, LiveView.run())` ends both when one of them ends.
 *
 * **Details**
 *
 * It draws on the terminal's other screen, without a cursor, and puts both back however it ends. Only lines that have changed are written.
 * The size of the terminal is followed. Esc and Ctrl+D end it like `q`; Ctrl+C ends it by interruption. `r` draws everything again. Where
 * input is no terminal, keys are not read.
 *
 * Where output is no terminal, nothing is drawn, and nothing ends it but interruption: then one last frame is printed, as plain lines.
 *
 * What is written to the terminal by others, such as logs, stands in the frame until its line changes: send logs to a file while a view is
 * run. Fails where the terminal cannot be written to.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * While it reads keys, Ctrl+C sends no signal to the process: it ends the view, and whatever it is raced with.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (options?: RunOptions): Effect.Effect<void, PlatformError, LiveView | Terminal> => {
  const settings = { intervalMillis: intervalOf("LiveView.run", options?.interval), color: options?.color }
  return Effect.flatMap(LiveView, (view) => show(view.state, settings))
}
