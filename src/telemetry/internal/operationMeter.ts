/**
 * The metrics of operations. Each thing is counted once: what happened in one operation when it is over, from its receipt, and what is true of
 * a moment at that moment.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type { Target } from "../../core/Call.ts"
import type { Attempted, AttemptWatch, Begun, Ending, Note, OperationWatch } from "../../core/internal/instrument.ts"
import { between } from "../../core/internal/recorder.ts"
import type * as Money from "../../core/Money.ts"
import * as Plan from "../../core/Plan.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { metrics, other } from "../Conventions.ts"
import { Bounded, errorType, outcomeLabel, reasonLabel } from "./labels.ts"
import { Meter } from "./meters.ts"

export interface MeterOptions {
  /** The features that have series of their own; the first so many where they are not named, and none where it is absent. */
  readonly features: ReadonlyArray<string> | number | undefined
  /** The most values that any label has. */
  readonly maxValues: number
}

/** Where nobody says for which feature a call is made. */
const noFeature = "none"

const micros = 1_000_000

export class Meters {
  readonly meters: { readonly [Name in keyof typeof metrics]: Meter }
  /** Whether every request ought to have a price. */
  readonly priced: boolean
  readonly models: Bounded
  private readonly targets: Bounded
  readonly endpoints: Bounded
  readonly circuits: Bounded
  readonly limiters: Bounded
  readonly budgets: Bounded
  private readonly features: Bounded | undefined

  constructor({ features, maxValues }: MeterOptions, priced: boolean) {
    this.priced = priced
    const byFeature = features !== undefined
    const entries = Object.entries(metrics).map(([name, definition]) => [name, new Meter(definition, byFeature)])
    // (`Object.entries` forgets the names.)
    this.meters = Object.fromEntries(entries) as Meters["meters"]
    this.models = new Bounded(maxValues)
    this.targets = new Bounded(maxValues)
    this.endpoints = new Bounded(maxValues)
    this.circuits = new Bounded(maxValues)
    this.limiters = new Bounded(maxValues)
    this.budgets = new Bounded(maxValues)
    this.features = features === undefined
      ? undefined
      : typeof features === "number"
      ? new Bounded(features + 1, [noFeature])
      : new Bounded(0, [...features, noFeature])
  }

  feature(feature: string | undefined): string | undefined {
    return this.features?.of(feature ?? noFeature)
  }

  model(name: string): string {
    return this.models.of(name)
  }

  target({ model, provider }: Target): string {
    return this.targets.of(`${provider}/${model}`)
  }
}

export class OperationMeter implements OperationWatch {
  readonly span: undefined
  private readonly all: Meters
  private readonly begun: Begun
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  /** Whether it is counted by another operation, which has it on its receipt: then it says only what stands on none. */
  private readonly within: boolean
  private last: Target | undefined

  constructor(all: Meters, begun: Begun, clock: Clock.Clock, context: Context.Context<never>, within: boolean) {
    this.all = all
    this.begun = begun
    this.clock = clock
    this.context = context
    this.within = within
    this.last = Plan.first(begun.plan)
    if (!within) all.meters.inFlight.modify(context, 1)
  }

  attempt(record: Attempted): AttemptWatch | undefined {
    if (this.within) return undefined
    const { all, context } = this
    const { meters } = all
    const model = all.model(record.model)
    const endpoint = all.endpoints.of(record.provider)
    this.last = record
    meters.attemptsInFlight.modify(context, 1, model, endpoint)
    const { clock } = this
    // Of an answer that is asked for as a whole, no piece comes after another.
    const streamed = this.begun.mode === "stream"
    const gaps = streamed ? meters.timePerOutputChunk.of(this.begun.operation, endpoint, model) : undefined
    let before = -1
    return {
      span: undefined,
      propagates: false,
      arrived: gaps === undefined ? undefined : (_, first) => {
        if (before < 0 && !first) return
        const now = clock.currentTimeMillisUnsafe()
        if (before >= 0) gaps.updateUnsafe(between(before, now) / 1000, context)
        before = now
      },
      ended: () => meters.attemptsInFlight.modify(context, -1, model, endpoint)
    }
  }

  decided({ delayMillis, reason, type }: Receipt.Event, to: Target | undefined, from: Target | undefined): void {
    if (this.within) return
    const { all, context } = this
    const { meters } = all
    const why = reasonLabel(reason)
    meters.decisions.update(context, 1, type, why)
    switch (type) {
      case "retry":
        meters.retries.update(context, 1, this.last === undefined ? undefined : all.model(this.last.model), why)
        return
      case "fallback":
      case "escalate":
        meters.fallbacks.update(
          context,
          1,
          from === undefined ? undefined : all.target(from),
          to === undefined ? undefined : all.target(to),
          why
        )
        return
      case "queue":
        if (delayMillis !== undefined) meters.queueWait.update(context, delayMillis / 1000, why)
    }
  }

  noted(note: Note): void {
    const { all, context } = this
    const { meters } = all
    switch (note._tag) {
      case "Circuit": {
        const circuit = all.circuits.of(note.circuit)
        this.circuit(circuit, note.to)
        meters.circuitTransitions.update(context, 1, circuit, note.to)
        return
      }
      case "CircuitSeen":
        return this.circuit(all.circuits.of(note.circuit), note.state)
      case "Hedged":
        return meters.hedges.update(context, 1, note.winner)
      case "Balance":
        return this.balance(note)
      case "Refused":
        return meters.budgetRefusals.update(context, 1, all.budgets.of(note.scope), note.resource, note.window)
      case "Queue": {
        const limiter = all.limiters.of(note.limiter)
        if (limiter === other) return
        meters.queueDepth.update(context, note.interactive, limiter, "interactive")
        meters.queueDepth.update(context, note.batch, limiter, "batch")
        return
      }
    }
  }

  // Of all whose names are too many there would be one state, that of whoever was seen last: a gauge says nothing then.
  private circuit(circuit: string, state: string): void {
    if (circuit !== other) this.all.meters.circuitState.update(this.context, circuitStates[state] ?? 0, circuit)
  }

  private balance(note: Extract<Note, { readonly _tag: "Balance" }>): void {
    const { all, context } = this
    const feature = note.feature === undefined ? undefined : all.feature(note.feature)
    // Of features that nobody has asked for, or that are too many, there would be one number for all of them, that of whoever came last.
    if (feature === other || (note.scope === "feature" && feature === undefined)) return
    const unit = note.resource === "usd" ? micros : 1
    const labels = [note.scope, note.resource, note.window, feature]
    const used = note.limit === 0 ? 1 : note.used / note.limit
    all.meters.budgetUsed.update(context, used, ...labels)
    all.meters.budgetRemaining.update(context, Math.max(0, note.limit - note.used) / unit, ...labels)
  }

  /** Of requests that several share there is one metric, as there is one receipt. */
  joined(): void {}

  /** `served`: whose answer it was. */
  closed(receipt: Receipt.Receipt, { served }: Pick<Ending, "served">): void {
    if (this.within) return
    const { all, begun, context } = this
    const { meters } = all
    const { attribution, cache, outcome, saved, savedUsage, timings } = receipt
    const feature = all.feature(attribution.feature)
    meters.inFlight.modify(context, -1)
    const target = served ?? this.last
    const model = target === undefined ? undefined : all.model(target.model)
    const endpoint = target === undefined ? undefined : all.endpoints.of(target.provider)
    // Nobody waits for an answer that a cache renews for itself.
    if (!begun.refresh) {
      meters.requestDuration.update(
        context,
        timings.totalMillis / 1000,
        model,
        endpoint,
        outcomeLabel(outcome),
        feature
      )
      if (begun.mode === "stream" && timings.firstPartMillis !== undefined) {
        meters.firstPart.update(context, timings.firstPartMillis / 1000, model, endpoint)
      }
      if (cache !== undefined) meters.cacheResults.update(context, 1, cache)
    }
    if (savedUsage !== undefined) {
      meters.cacheSavedTokens.update(context, Usage.input(savedUsage) + Usage.output(savedUsage), model)
    }
    if (saved !== undefined) meters.cacheSavedCost.update(context, saved / micros, model)
    for (const attempt of receipt.attempts) this.attempted(attempt, feature)
  }

  private attempted(attempt: Receipt.Attempt, feature: string | undefined): void {
    const { all, begun, context } = this
    const { meters } = all
    const { cost, durationMillis, firstPartMillis, outcome, usage } = attempt
    const model = all.model(attempt.model)
    const endpoint = all.endpoints.of(attempt.provider)
    meters.attempts.update(context, 1, model, endpoint, outcomeLabel(outcome))
    meters.operationDuration.update(
      context,
      durationMillis / 1000,
      begun.operation,
      endpoint,
      model,
      errorType(outcome)
    )
    if (begun.mode === "stream" && firstPartMillis !== undefined) {
      meters.timeToFirstChunk.update(context, firstPartMillis / 1000, begun.operation, endpoint, model)
    }
    if (usage !== undefined) this.used(usage, model, endpoint, feature)
    if (cost !== undefined) meters.requestCost.update(context, dollars(cost), model, feature)
    else if (all.priced && mayHaveUsed(attempt)) meters.unpriced.update(context, 1, model)
  }

  private used(usage: Usage.Usage, model: string, endpoint: string, feature: string | undefined): void {
    const { begun, context } = this
    const { tokenUsage, tokensUsed } = this.all.meters
    tokenUsage.update(context, Usage.input(usage), begun.operation, endpoint, model, "input")
    // Vectors have no tokens.
    if (begun.operation === "chat") {
      tokenUsage.update(context, Usage.output(usage), begun.operation, endpoint, model, "output")
    }
    const count = (type: string, tokens: number): void => {
      if (tokens > 0) tokensUsed.update(context, tokens, model, type, feature)
    }
    count("input", usage.inputUncached)
    count("cache_read", usage.inputCacheRead)
    count("cache_write", usage.inputCacheWrite + (usage.inputCacheWrite1h ?? 0))
    count("output", usage.outputText)
    count("reasoning", usage.outputReasoning)
  }
}

const dollars = (cost: Money.MicroUsd): number => cost / micros

const circuitStates: { readonly [state: string]: number } = { Closed: 0, HalfOpen: 1, Open: 2 }

/** Whether a request of which nobody knows the cost can have had one: those that a provider has refused have not. */
export const mayHaveUsed = ({ outcome, usage }: Receipt.Attempt): boolean =>
  usage !== undefined || outcome === "success" || outcome === "interrupted" || outcome === "StreamInterrupted" ||
  outcome === "TimedOut"
