/**
 * Who watches operations as they happen: telemetry, a live view, alerts. Where nobody does, a call pays for reading that nobody does.
 *
 * What is told here is what no receipt can tell, since it is told in time: that something begins, is decided, arrives, or ends. Whoever
 * is told does nothing that takes time. Where one throws, as a tracer of the application may, that is logged, once an operation, and
 * harms neither the call nor what others are told.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { Attribution } from "../Attribution.ts"
import type * as Part from "../Part.ts"
import type { Plan } from "../Plan.ts"
import type { PromptReference } from "../PromptReference.ts"
import type * as Receipt from "../Receipt.ts"
import type { Usage } from "../Usage.ts"
import type { Request, Target } from "./request.ts"

/** An operation that begins. */
export interface Begun {
  readonly id: string
  /** What is asked for: an answer, or vectors. Vectors have no receipt of their own. */
  readonly operation: "chat" | "embeddings"
  readonly mode: "whole" | "stream"
  readonly request: Request
  readonly attribution: Attribution
  readonly plan: Plan
  /** In milliseconds since 1970. */
  readonly startedAt: number
  /** Whether it is for the cache alone, which renews an answer behind the back of those who read the old one. */
  readonly refresh: boolean
}

/** What is told of a call beside the decisions on its receipt. */
export type Note =
  /** A cache has said what it does for the call. */
  | { readonly _tag: "Cache"; readonly result: Receipt.CacheResult }
  /** A version of a prompt is what is asked. */
  | { readonly _tag: "Prompt"; readonly prompt: PromptReference }
  /** A circuit has changed its state, and the call was the occasion. */
  | { readonly _tag: "Circuit"; readonly circuit: string; readonly from: string; readonly to: string }
  /** A circuit was asked, and has this state, as far as can be told from what it said. */
  | { readonly _tag: "CircuitSeen"; readonly circuit: string; readonly state: string }
  /** One of two requests of a race has answered first; `second` where that is the one that was sent later. */
  | { readonly _tag: "Hedged"; readonly winner: "first" | "second" }
  /** Room was taken in a budget before a request is sent, or what it used was booked after it. */
  | {
    readonly _tag: "Reserved" | "Settled"
    readonly provider: string
    readonly model: string
    /** In micro-dollars, where the price is known. */
    readonly cost: number | undefined
    readonly tokens: number
    readonly estimated: boolean
  }
  /** How far a limit of a budget is used up that all calls share, or all of one feature. */
  | {
    readonly _tag: "Balance"
    readonly scope: string
    readonly resource: string
    readonly window: string
    readonly feature: string | undefined
    readonly used: number
    readonly limit: number
  }
  /** A budget has refused a request. */
  | { readonly _tag: "Refused"; readonly scope: string; readonly resource: string; readonly window: string }
  /** How many calls wait at a limiter. */
  | { readonly _tag: "Queue"; readonly limiter: string; readonly interactive: number; readonly batch: number }

/** How an operation has ended, as far as its receipt does not say. */
export interface Ending {
  /** What it has failed with, where it has. */
  readonly error: unknown
  /** The model that was asked and whose answer it was, where there is one. */
  readonly served: Target | undefined
  /** The answer, where it was asked for as a whole. */
  readonly answer: ReadonlyArray<Part.AnswerPart> | undefined
  /** The text of it that has arrived. */
  readonly text: () => string
}

/** One request to a provider, as far as it has got: it changes until it has ended. */
export interface Attempted {
  readonly provider: string
  readonly model: string
  /** In milliseconds since 1970. */
  readonly startedAt: number
  readonly firstPartAt: number | undefined
  /** The model that says it answered. */
  readonly servedModel: string | undefined
  /** How it has ended, as receipts name it. */
  readonly outcome: string | undefined
  readonly usage: Usage | undefined
  readonly finishReason: string | undefined
}

/** Watches one request to a provider. */
export interface AttemptWatch {
  /** The span of the request, under which whatever is sent hangs. */
  readonly span: Tracer.AnySpan | undefined
  /** Whether the provider is told of the trace. */
  readonly propagates: boolean
  /** Content has arrived for the first time. */
  readonly began?: (() => void) | undefined
  /**
   * Parts have arrived, in one piece; `first` where there is content among them for the first time. Absent where nobody wants to hear of
   * each: that is what costs most. A function, and no method.
   */
  readonly arrived?: ((parts: ReadonlyArray<Part.Part>, first: boolean) => void) | undefined
  readonly ended: (error: unknown) => void
}

/** Watches one operation. */
export interface OperationWatch {
  /** Set where it is known that it does not throw. */
  readonly harmless?: true | undefined
  /** The span of the operation, under which whatever runs within it hangs. */
  readonly span: Tracer.AnySpan | undefined
  readonly attempt: (attempted: Attempted, request: Request) => AttemptWatch | undefined
  /** A decision; `to` is the model that it leads to and `from` the one that it leaves, where it leads from one to another. */
  readonly decided: (event: Receipt.Event, to: Target | undefined, from: Target | undefined) => void
  readonly noted: (note: Note) => void
  /** It takes part in requests that another operation began, whose span this is. */
  readonly joined: (other: Tracer.AnySpan | undefined) => void
  /** It is over. */
  readonly closed: (receipt: Receipt.Receipt, ending: Ending) => void
}

/** Watches the execution of a tool. */
export interface ToolWatch {
  /** Its span, under which whatever the tool does hangs. */
  readonly span: Tracer.Span
  readonly ended: (outcome: string) => void
}

export interface Instrument {
  /** A tool that a model has called, by its name, in the context of the operation's caller, which is where tools run. */
  readonly tool?: ((name: string, caller: Context.Context<never>) => ToolWatch | undefined) | undefined
  readonly operation: (begun: Begun, fiber: Fiber.Fiber<unknown, unknown>) => OperationWatch | undefined
}

/**
 * One place for each that may watch, so that none displaces another where their layers stand side by side.
 */
const place = (name: string): Context.Reference<Instrument | undefined> =>
  Context.Reference<Instrument | undefined>(`effect-bulwark/core/Instrument/${name}`, { defaultValue: () => undefined })

/** Spans and metrics. */
export const Telemetry = place("telemetry")

/** What is going on now. */
export const Live = place("live")

/** What is out of the ordinary. */
export const Alerts = place("alerts")

/** Has an operation watched by whoever watches what a fiber does. */
export const watch = (fiber: Fiber.Fiber<unknown, unknown>, begins: () => Begun): OperationWatch | undefined => {
  const telemetry = fiber.getRef(Telemetry)
  const live = fiber.getRef(Live)
  const alerts = fiber.getRef(Alerts)
  if (telemetry === undefined && live === undefined && alerts === undefined) return undefined
  const begun = begins()
  const report = reportOnce(fiber)
  return together(
    [telemetry, live, alerts].map((instrument) =>
      instrument === undefined ? undefined : unharmed(() => instrument.operation(begun, fiber), report)
    )
  )
}

/** Has the execution of a tool watched. */
export const watchTool = (
  fiber: Fiber.Fiber<unknown, unknown>,
  name: string,
  caller: Context.Context<never>
): ToolWatch | undefined => {
  const telemetry = fiber.getRef(Telemetry)
  if (telemetry?.tool === undefined) return undefined
  const report = reportOnce(fiber)
  const watch = attempted(() => telemetry.tool!(name, caller), report)
  return watch === undefined
    ? undefined
    : { span: watch.span, ended: (outcome) => attempted(() => watch.ended(outcome), report) }
}

/** What whoever watches has thrown. */
type Report = (defect: unknown) => void

/** Logs what was thrown first, at the level that Effect keeps for what nobody hears of. */
export const reportOnce = (fiber: Fiber.Fiber<unknown, unknown>): Report => {
  let reported = false
  return (defect) => {
    if (reported) return
    reported = true
    const level = fiber.getRef(References.UnhandledLogLevel)
    if (level === undefined) return
    const log = Effect.logWithLevel(level)(
      "What watches an operation has thrown, and the call goes on",
      Cause.die(defect)
    )
    // Lines of the log are put on spans, which may be what throws.
    Effect.runForkWith(Context.omit(Tracer.ParentSpan)(fiber.context))(log)
  }
}

const attempted = <A>(tell: () => A, report: Report): A | undefined => {
  try {
    return tell()
  } catch (defect) {
    report(defect)
    return undefined
  }
}

/** One who watches, and whose throwing harms nobody. */
export const unharmed = (
  begin: () => OperationWatch | undefined,
  report: Report
): OperationWatch | undefined => {
  const watch = attempted(begin, report)
  if (watch === undefined || watch.harmless) return watch
  return {
    harmless: true,
    span: watch.span,
    attempt: (record, request) => {
      const attempt = attempted(() => watch.attempt(record, request), report)
      return attempt === undefined ? undefined : {
        span: attempt.span,
        propagates: attempt.propagates,
        began: attempt.began === undefined ? undefined : () => attempted(() => attempt.began!(), report),
        arrived: attempt.arrived === undefined ? undefined : (parts, first) => {
          // (Once a piece of an answer: without a closure.)
          try {
            attempt.arrived!(parts, first)
          } catch (defect) {
            report(defect)
          }
        },
        ended: (error) => attempted(() => attempt.ended(error), report)
      }
    },
    decided: (event, to, from) => attempted(() => watch.decided(event, to, from), report),
    noted: (note) => attempted(() => watch.noted(note), report),
    joined: (other) => attempted(() => watch.joined(other), report),
    closed: (receipt, ending) => attempted(() => watch.closed(receipt, ending), report)
  }
}

/** Several who watch, as one. */
export const together = (all: ReadonlyArray<OperationWatch | undefined>): OperationWatch | undefined => {
  const watches = all.filter((watch) => watch !== undefined)
  return watches.length <= 1 ? watches[0] : several(watches)
}

const several = (watches: ReadonlyArray<OperationWatch>): OperationWatch => ({
  harmless: watches.every(({ harmless }) => harmless) || undefined,
  span: watches.find(({ span }) => span !== undefined)?.span,
  attempt: (record, request) => {
    const attempts = watches
      .map((watch) => watch.attempt(record, request))
      .filter((attempt) => attempt !== undefined)
    if (attempts.length <= 1) return attempts[0]
    const listening = attempts.filter(({ arrived }) => arrived !== undefined)
    const [only] = listening
    return {
      span: attempts.find(({ span }) => span !== undefined)?.span,
      propagates: attempts.some(({ propagates }) => propagates),
      began: () => {
        for (const attempt of attempts) attempt.began?.()
      },
      arrived: listening.length <= 1
        ? only?.arrived
        : (parts, first) => {
          for (const attempt of listening) attempt.arrived!(parts, first)
        },
      ended: (error) => {
        for (const attempt of attempts) attempt.ended(error)
      }
    }
  },
  decided: (event, to, from) => {
    for (const watch of watches) watch.decided(event, to, from)
  },
  noted: (note) => {
    for (const watch of watches) watch.noted(note)
  },
  joined: (other) => {
    for (const watch of watches) watch.joined(other)
  },
  closed: (receipt, ending) => {
    for (const watch of watches) watch.closed(receipt, ending)
  }
})

/** Whether the provider that is asked is told of the trace: set around one request. */
export const Propagates: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-bulwark/core/Instrument/Propagates",
  { defaultValue: () => false }
)

/**
 * Whether what runs is part of a request of another operation, as an `Llm` is that serves as the provider of another one. It has no receipt
 * of its own: what it asks and decides is that request's.
 */
export const Within: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-bulwark/core/Instrument/Within",
  { defaultValue: () => false }
)
