/**
 * Everything that can be seen of a program from outside: its spans, its logs, its metrics, its receipts and its errors, each as the
 * texts in which people and exporters meet them.
 */
import { LlmError, Receipt } from "effect-bulwark"
import { Telemetry } from "effect-bulwark/telemetry"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"

/** Texts, by where they were seen. */
export interface Seen {
  readonly [where: string]: string
}

/** A value as debuggers and loggers print it, hidden fields and all. */
export const printed = (value: unknown): string => inspect(value, { depth: 12, showHidden: true, getters: true })

const encodeError = Schema.encodeSync(Schema.toCodecJson(LlmError.LlmError))

const isLlmError = Schema.is(LlmError.LlmError)

/** Every way in which an error may be seen. */
export const appearances = (error: LlmError.LlmError): Seen => ({
  message: error.message,
  string: String(error),
  stack: error.stack ?? "",
  inspect: inspect(error, { depth: 10 }),
  hidden: printed(error),
  json: JSON.stringify(error),
  pretty: Cause.pretty(Cause.fail(error)),
  aiError: inspect(LlmError.toAiError(error, "generateText"), { depth: 10 })
})

/** What is found by those who store an error or unwrap what is redacted in it. */
export const unwrapped = (error: LlmError.LlmError): string => JSON.stringify(encodeError(error))

/** A tracer that keeps its spans. */
export const makeSpans = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}

/** A console that keeps what it is given. */
const keeping = (lines: Array<string>): Console.Console => {
  const keep = (...args: ReadonlyArray<unknown>) =>
    void lines.push(args.map((arg) => typeof arg === "string" ? arg : printed(arg)).join(" "))
  return new Proxy(globalThis.console, { get: () => keep })
}

export interface Observation<A, E> {
  readonly exit: Exit.Exit<A, E>
  /** What anybody may see. */
  readonly seen: Seen
  /** What is seen of an error by those who unwrap it. */
  readonly unwrapped: string
  /** How much there was to see, so that a test of nothing is none. */
  readonly spans: number
  readonly receipts: ReadonlyArray<Receipt.Receipt>
}

/** All that can be told of a call but what was said. */
const telemetry = Telemetry.layer({
  attribution: ["user", "tenant", "feature", "requestId"],
  features: true
})

/** Runs a program, and watches it with all that is there to watch it. */
export const observe = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<Observation<A, E>, never, R> =>
  Effect.suspend(() => {
    const { spans, tracer } = makeSpans()
    const lines: Array<string> = []
    const receipts: Array<Receipt.Receipt> = []
    const metrics: typeof Metric.MetricRegistry.Service = new Map()
    const keep = (line: unknown) => void lines.push(typeof line === "string" ? line : printed(line))
    const loggers = Logger.layer([
      Logger.map(Logger.formatJson, keep),
      Logger.map(Logger.formatLogFmt, keep),
      Logger.map(Logger.formatSimple, keep),
      Logger.map(Logger.formatStructured, keep),
      Logger.consolePretty({ mode: "tty", colors: false }),
      Logger.tracerLogger
    ])
    return program.pipe(
      Receipt.observe((receipt) => {
        receipts.push(receipt)
        return Effect.logTrace("receipt", receipt)
      }),
      // What fails is logged, as applications do it.
      Effect.tapCause((cause) => Effect.logError("failed", cause)),
      Effect.exit,
      Effect.provide([loggers, telemetry]),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provideService(Console.Console, keeping(lines)),
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, metrics),
      Effect.map((exit) => {
        const errors = Exit.isFailure(exit)
          ? exit.cause.reasons.filter(Cause.isFailReason).map(({ error }) => error)
          : []
        const ours = errors.filter((error): error is E & LlmError.LlmError => isLlmError(error))
        const seen: { [where: string]: string } = {
          spans: printed(spans),
          attributes: JSON.stringify(
            spans.map((span) => [span.name, ...span.attributes]),
            (_, value: unknown) => typeof value === "bigint" ? String(value) : value
          ),
          logs: lines.join("\n"),
          metrics: printed(metrics),
          prometheus: PrometheusMetrics.formatUnsafe(Context.make(Metric.MetricRegistry, metrics)),
          receipts: printed(receipts) + JSON.stringify(receipts) + receipts.map(Receipt.render).join("\n"),
          cause: Exit.isFailure(exit) ? Cause.pretty(exit.cause) + printed(exit.cause) : ""
        }
        for (const error of ours) {
          for (const [how, text] of Object.entries(appearances(error))) seen[`error: ${how}`] = text
        }
        return { exit, seen, unwrapped: ours.map(unwrapped).join("\n"), spans: spans.length, receipts }
      })
    )
  })
