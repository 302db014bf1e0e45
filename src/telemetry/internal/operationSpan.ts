/**
 * The spans of one operation: its own, with what was decided as events, and one below it for each request.
 */
import type * as Context from "effect/Context"
import type * as Tracer from "effect/Tracer"
import type { Attribution } from "../../core/Attribution.ts"
import type { Request, Target } from "../../core/Call.ts"
import type { Attempted, AttemptWatch, Begun, Ending, Note, OperationWatch } from "../../core/internal/instrument.ts"
import { between } from "../../core/internal/recorder.ts"
import * as Plan from "../../core/Plan.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { attributes, events } from "../Conventions.ts"
import * as Content from "./content.ts"
import { errorType, outcomeLabel, shown } from "./labels.ts"
import type { Spans } from "./span.ts"

export interface SpanOptions {
  readonly content: Content.Capture | undefined
  readonly attribution: ReadonlyArray<"user" | "tenant" | "feature" | "requestId">
  readonly propagate: (target: Target) => boolean
}

const attributionKeys = {
  user: attributes.user.key,
  tenant: attributes.tenant.key,
  feature: attributes.feature.key,
  requestId: attributes.requestId.key
} as const satisfies Record<keyof Omit<Attribution, "tags">, string>

const label = ({ model, provider }: Target): string => `${provider}/${model}`

type Value = string | number | boolean | ReadonlyArray<string> | undefined

const readable = (value: Value): Value =>
  typeof value === "string" ? shown(value) : Array.isArray(value) ? value.map(shown) : value

const put = (span: Tracer.Span, { key }: { readonly key: string }, value: Value): void => {
  if (value !== undefined) span.attribute(key, readable(value))
}

/** What was said is as long as somebody has asked for. */
const putContent = (span: Tracer.Span, { key }: { readonly key: string }, text: string | undefined): void => {
  if (text !== undefined) span.attribute(key, text)
}

export class OperationSpan implements OperationWatch {
  readonly span: Tracer.Span
  private readonly spans: Spans
  private readonly begun: Begun
  private readonly options: SpanOptions
  private attempts = 0
  private asked: Attempted | undefined = undefined
  private readonly linked: Array<Tracer.AnySpan> = []

  constructor(spans: Spans, begun: Begun, context: Context.Context<never>, options: SpanOptions) {
    const { attribution, id, mode, operation, plan, refresh, request } = begun
    const model = Plan.first(plan)?.model
    const span = spans.outermost(context, model === undefined ? operation : `${operation} ${model}`)
    this.spans = spans
    this.begun = begun
    this.options = options
    this.span = span
    put(span, attributes.operationName, operation)
    put(span, attributes.requestModel, model)
    if (operation === "chat") {
      put(span, attributes.requestStream, mode === "stream")
      put(span, attributes.outputType, request.responseFormat.type)
      put(span, attributes.operationId, id)
    }
    for (const party of options.attribution) put(span, { key: attributionKeys[party] }, attribution[party])
    if (refresh) put(span, attributes.cacheRefresh, true)
    if (options.content !== undefined) {
      putContent(span, attributes.systemInstructions, Content.systemInstructions(request.prompt, options.content))
      putContent(span, attributes.inputMessages, Content.inputMessages(request.prompt, options.content))
    }
  }

  private event({ name }: { readonly name: string }, values: Record<string, Value>): void {
    for (const key in values) values[key] = readable(values[key])
    this.span.event(name, this.spans.now(), values)
  }

  attempt(record: Attempted, request: Request): AttemptWatch {
    const target: Target = record
    const span = this.spans.below(this.span, `attempt ${label(target)}`, "client")
    this.attempts++
    this.asked = record
    const { settings } = request
    put(span, attributes.operationName, this.begun.operation)
    put(span, attributes.providerName, target.provider)
    put(span, attributes.requestModel, target.model)
    put(span, attributes.attempt, this.attempts)
    put(span, attributes.maxTokens, settings.maxOutputTokens)
    put(span, attributes.temperature, settings.temperature)
    put(span, attributes.topP, settings.topP)
    put(span, attributes.seed, settings.seed)
    if (settings.stop !== undefined && settings.stop.length > 0) put(span, attributes.stopSequences, settings.stop)
    return {
      span,
      propagates: this.options.propagate(target),
      began: () => {
        if (this.begun.mode === "stream") {
          this.event(events.firstPart, { [attributes.target.key]: label(target) })
        }
      },
      ended: (error) => {
        this.describe(span, record)
        this.spans.end(span, record.outcome ?? "interrupted", error)
      }
    }
  }

  /** What is known of a request when it is over. */
  private describe(span: Tracer.Span, record: Attempted): void {
    const { finishReason, firstPartAt, servedModel, startedAt, usage } = record
    const outcome = record.outcome ?? "interrupted"
    put(span, attributes.outcome, outcomeLabel(outcome))
    put(span, attributes.errorType, errorType(outcome))
    put(span, attributes.responseModel, servedModel)
    if (finishReason !== undefined) put(span, attributes.finishReasons, [finishReason])
    if (this.begun.mode === "stream" && firstPartAt !== undefined) {
      put(span, attributes.timeToFirstChunk, between(startedAt, firstPartAt) / 1000)
    }
    if (usage === undefined) return
    put(span, attributes.inputTokens, Usage.input(usage))
    if (this.begun.operation === "chat") put(span, attributes.outputTokens, Usage.output(usage))
    if (usage.inputCacheRead > 0) put(span, attributes.cacheReadTokens, usage.inputCacheRead)
    const written = usage.inputCacheWrite + (usage.inputCacheWrite1h ?? 0)
    if (written > 0) put(span, attributes.cacheWriteTokens, written)
    if (usage.outputReasoning > 0) put(span, attributes.reasoningTokens, usage.outputReasoning)
  }

  decided({ delayMillis, reason, type }: Receipt.Event, to: Target | undefined, from: Target | undefined): void {
    switch (type) {
      case "retry":
        return this.event(events.retry, {
          [attributes.reason.key]: reason,
          ...(delayMillis === undefined ? undefined : { [attributes.delay.key]: delayMillis }),
          ...(this.asked === undefined ? undefined : { [attributes.from.key]: label(this.asked) })
        })
      case "fallback":
      case "escalate":
        return this.event(events[type], {
          [attributes.reason.key]: reason,
          ...(from === undefined ? undefined : { [attributes.from.key]: label(from) }),
          ...(to === undefined ? undefined : { [attributes.to.key]: label(to) })
        })
      case "hedge":
      case "queue":
        return this.event(events[type], {
          [attributes.reason.key]: reason,
          ...(delayMillis === undefined ? undefined : { [attributes.delay.key]: delayMillis })
        })
      case "trim":
        // Its reason is how much was cut off, in words.
        return this.event(events.trim, {})
      default:
        return this.event(events[type], { [attributes.reason.key]: reason })
    }
  }

  noted(note: Note): void {
    switch (note._tag) {
      case "Cache":
        return this.event(events.cache, { [attributes.cacheResult.key]: note.result })
      case "Prompt": {
        const { hash, name, version } = note.prompt
        put(this.span, attributes.promptName, name)
        put(this.span, attributes.promptVersion, version)
        put(this.span, attributes.promptHash, hash)
        return this.event(events.prompt, {
          [attributes.promptName.key]: name,
          [attributes.promptVersion.key]: version
        })
      }
      case "Circuit":
        return this.event(events.circuit, {
          [attributes.circuit.key]: note.circuit,
          [attributes.from.key]: note.from,
          [attributes.to.key]: note.to
        })
      case "Hedged":
        return this.event(events.hedged, { [attributes.winner.key]: note.winner })
      case "Reserved":
      case "Settled":
        return this.event(note._tag === "Reserved" ? events.reserved : events.settled, {
          [attributes.target.key]: label(note),
          ...(note.cost === undefined ? undefined : { [attributes.amount.key]: note.cost }),
          [attributes.tokens.key]: note.tokens,
          ...(note._tag === "Settled" ? { [attributes.estimated.key]: note.estimated } : undefined)
        })
      case "CircuitSeen":
      case "Balance":
      case "Refused":
      case "Queue":
        // These are of all calls: metrics have them.
        return
    }
  }

  joined(other: Tracer.AnySpan | undefined): void {
    // Whoever tries again, or sends a second request, may come upon the same call.
    if (other === undefined || this.linked.includes(other)) return
    this.linked.push(other)
    this.span.addLinks([{ span: other, attributes: {} }])
  }

  closed(receipt: Receipt.Receipt, ending: Ending): void {
    const { span } = this
    const { error, served } = ending
    const { cache, cost, degraded, finishReason, model, outcome, saved, timings } = receipt
    put(span, attributes.outcome, outcomeLabel(outcome))
    put(span, attributes.errorType, errorType(outcome))
    put(span, attributes.providerName, served?.provider)
    put(span, attributes.responseModel, model)
    if (finishReason !== undefined) put(span, attributes.finishReasons, [finishReason])
    if (this.begun.mode === "stream" && timings.firstPartMillis !== undefined) {
      put(span, attributes.timeToFirstChunk, timings.firstPartMillis / 1000)
    }
    put(span, attributes.attempts, receipt.attempts.length)
    if (degraded) put(span, attributes.degraded, true)
    put(span, attributes.cost, cost)
    if (receipt.attempts.some(({ costEstimated }) => costEstimated === true)) put(span, attributes.costEstimated, true)
    put(span, attributes.cacheResult, cache)
    put(span, attributes.saved, saved)
    this.output(ending, finishReason)
    this.spans.end(span, outcome, error)
  }

  private output({ answer, text }: Ending, finish: string | undefined): void {
    const { content } = this.options
    if (content === undefined) return
    const read = answer === undefined ? text() : ""
    if (answer !== undefined) putContent(this.span, attributes.outputMessages, Content.outputMessage(answer, content))
    else if (read !== "") putContent(this.span, attributes.outputMessages, Content.outputText(read, finish, content))
  }
}
