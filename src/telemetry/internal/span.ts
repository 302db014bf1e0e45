/**
 * Spans that begin and end where a fiber is not at hand, with the tracer and under the settings of the fiber that began the operation.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import * as LlmError from "../../core/LlmError.ts"
import { errorType, shown } from "./labels.ts"

/** Begins spans for one operation. */
export class Spans {
  private readonly tracer: Tracer.Tracer
  private readonly clock: Clock.Clock
  private readonly timed: boolean

  private constructor(tracer: Tracer.Tracer, clock: Clock.Clock, timed: boolean) {
    this.tracer = tracer
    this.clock = clock
    this.timed = timed
  }

  /** Nothing where nobody would see them. */
  static of(context: Context.Context<never>, clock: Clock.Clock): Spans | undefined {
    const tracer = Context.get(context, Tracer.Tracer)
    return tracer === Tracer.nativeTracer || !Context.get(context, References.TracerEnabled)
      ? undefined
      : new Spans(tracer, clock, Context.get(context, References.TracerTimingEnabled))
  }

  now(): bigint {
    return this.timed ? this.clock.currentTimeNanosUnsafe() : BigInt(0)
  }

  /** Below the span of a context, with whatever the application puts on all spans. */
  outermost(context: Context.Context<never>, name: string): Tracer.Span {
    const parent = visible(
      Context.getOrUndefined(context as Context.Context<Tracer.ParentSpan>, Tracer.ParentSpan)
    )
    const level = Context.get(context, Tracer.CurrentTraceLevel)
    const span = this.tracer.span({
      name: shown(name),
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: [...Context.get(context, References.TracerSpanLinks)],
      startTime: this.now(),
      kind: "internal",
      root: parent === undefined,
      sampled: parent?.sampled !== false &&
        !LogLevel.isGreaterThan(Context.get(context, Tracer.MinimumTraceLevel), level)
    })
    const annotations = Context.get(context, References.TracerSpanAnnotations)
    for (const key in annotations) span.attribute(key, annotations[key])
    return span
  }

  below(parent: Tracer.Span, name: string, kind: Tracer.SpanKind): Tracer.Span {
    return this.tracer.span({
      name: shown(name),
      parent: Option.some(parent),
      annotations: Context.empty(),
      links: [],
      startTime: this.now(),
      kind,
      root: false,
      sampled: parent.sampled
    })
  }

  end(span: Tracer.Span, outcome: string, error: unknown): void {
    span.end(this.now(), exitOf(outcome, error))
  }
}

/** Spans that an application hides are not there: what is below them hangs from what is above. */
const visible = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined => {
  if (span === undefined || !Context.get(span.annotations, Tracer.DisablePropagation)) return span
  return span._tag === "Span" ? visible(Option.getOrUndefined(span.parent)) : undefined
}

const interrupted = Exit.interrupt()

/** The exit of a span, which exporters print: it has the words of our own failures and of no others. */
const exitOf = (outcome: string, error: unknown): Exit.Exit<unknown, unknown> => {
  const type = errorType(outcome)
  if (type !== undefined) return Exit.failCause(Cause.fail(new Failure(type, error)))
  return outcome === "success" ? Exit.void : interrupted
}

/** A failure as it stands on a span. What led to it stays behind, and so does the place in the code, which says nothing. */
class Failure {
  readonly name: string
  readonly message: string
  readonly stack: string

  constructor(type: string, error: unknown) {
    this.name = type
    // The messages of our own errors hold no key, prompt or answer; those of others may, whatever they call themselves.
    this.message = isOurs(error) && error._tag === type ? shown(error.message) : type
    this.stack = `${type}: ${this.message}`
  }
}

const ours = LlmError.LlmError.members

const isOurs = (error: unknown): error is LlmError.LlmError => ours.some((own) => error instanceof own)
