/**
 * A receipt under construction. It is mutable on purpose: it is written on the hot path of every part, by one fiber at a
 * time, and read once.
 */
import type * as Response from "effect/ai/Response"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type { Attribution } from "../Attribution.ts"
import * as Money from "../Money.ts"
import * as Part from "../Part.ts"
import type { PromptReference } from "../PromptReference.ts"
import type * as Receipt from "../Receipt.ts"
import * as Usage from "../Usage.ts"
import { type InterruptionCause, StreamInterrupted } from "./errors.ts"
import type { AttemptWatch, Note, OperationWatch } from "./instrument.ts"
import type { Request, Target } from "./request.ts"
import { merged, type Timeline } from "./timeline.ts"

export interface Cost {
  /** In micro-dollars, where that is known. */
  readonly amount: Money.MicroUsd | undefined
  /** Whether it is an upper estimate, since the provider did not say what was used. */
  readonly estimated: boolean
}

export class AttemptRecord {
  readonly provider: string
  readonly model: string
  readonly startedAt: number
  servedModel: string | undefined = undefined
  firstPartAt: number | undefined = undefined
  endedAt: number | undefined = undefined
  outcome: string | undefined = undefined
  usage: Usage.Usage | undefined = undefined
  finishReason: string | undefined = undefined
  finishMetadata: Response.ProviderMetadata | undefined = undefined
  cost: Cost | undefined = undefined
  /** Whoever is told of it as it happens. */
  watch: AttemptWatch | undefined = undefined
  private readonly text: Array<string> = []
  /** What arrived beside the text: reasoning, and parameters of tools. */
  private readonly beside: Array<string> = []
  /** The attempt that this one goes on from, and the text that was delivered of both. */
  private continued: { readonly from: AttemptRecord | undefined; readonly delivered: () => string } | undefined =
    undefined

  constructor(provider: string, model: string, startedAt: number) {
    this.provider = provider
    this.model = model
    this.startedAt = startedAt
  }

  /** Takes note of a part; true when it is content. */
  see(part: Part.Part): boolean {
    if (part.type === "text-delta") this.text.push(part.delta)
    else if (part.type === "reasoning-delta" || part.type === "tool-params-delta") this.beside.push(part.delta)
    else if (part.type === "response-metadata") this.servedModel = part.modelId ?? this.servedModel
    else if (part.type === "finish") {
      this.usage = Usage.fromFinish(part)
      this.finishReason = part.reason
      this.finishMetadata = part.metadata
    }
    return Part.isContent(part)
  }

  /** Takes note of parts as they arrive; true when there is content among them. */
  arrived(parts: ReadonlyArray<Part.Part>, clock: Clock.Clock): boolean {
    let content = false
    for (const part of parts) {
      if (this.see(part)) content = true
    }
    const first = content && this.firstPartAt === undefined
    if (first) this.firstPartAt = clock.currentTimeMillisUnsafe()
    if (this.watch !== undefined) {
      if (first) this.watch.began?.()
      this.watch.arrived?.(parts, first)
    }
    return content
  }

  end(outcome: string, now: number, error?: unknown): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    this.endedAt = now
    this.watch?.ended(error)
  }

  /** Says that it goes on from another attempt, and how much of it and of that one has been delivered. */
  continueFrom(from: AttemptRecord | undefined, delivered: () => string): void {
    this.continued = { from, delivered }
  }

  /** When the answer began that it serves, or goes on from. */
  get answerBeganAt(): number | undefined {
    return this.continued?.from?.answerBeganAt ?? this.firstPartAt
  }

  /** What the answer has used and cost that it serves, with what it goes on from; nothing where one of them is not known. */
  get answerSpent(): { readonly usage: Usage.Usage | undefined; readonly cost: Money.MicroUsd | undefined } {
    const before = this.continued?.from?.answerSpent
    const amount = this.cost?.amount
    if (before === undefined) return { usage: this.usage, cost: amount }
    return {
      usage: before.usage === undefined || this.usage === undefined ? undefined : Usage.add(before.usage, this.usage),
      cost: before.cost === undefined || amount === undefined ? undefined : Money.add(before.cost, amount)
    }
  }

  /** The same request as another call sees it that shares the answer, with what has been delivered to that one of it. */
  seenBy(delivered: () => string): AttemptRecord {
    const view = new AttemptRecord(this.provider, this.model, this.startedAt)
    view.servedModel = this.servedModel
    view.continueFrom(undefined, delivered)
    return view
  }

  /** The text that has arrived; of an answer that was continued, what was delivered. */
  partial(): string {
    return this.continued?.delivered() ?? this.text.join("")
  }

  /** All that has arrived as text: words, reasoning, and parameters of tools. */
  seen(): string {
    return this.text.join("") + this.beside.join("")
  }

  /** The error of an answer that broke off, with what had arrived of it. */
  interrupted(reason: StreamInterrupted["reason"], failure?: InterruptionCause): StreamInterrupted {
    return new StreamInterrupted({
      provider: this.provider,
      model: this.model,
      partial: Redacted.make(this.partial()),
      reason,
      ...(this.usage === undefined ? undefined : { usage: this.usage }),
      ...(failure === undefined ? undefined : { failure })
    })
  }
}

/** What a call has to do with requests that it shares with other calls. They stand on the receipt of one of them. */
export interface Share {
  /** Where the requests and decisions are recorded. */
  readonly recorder: Recorder
  /** Whether they stand on the receipt of this call. Whoever shares them out changes it, until the receipt is closed. */
  owned: boolean
  /** Told that the call gives up waiting, and why: it is about to leave. */
  readonly givesUp: (outcome: string) => void
}

export class Recorder {
  readonly operationId: string
  readonly attribution: Attribution
  readonly clock: Clock.Clock
  readonly startedAt: number
  /** The attempts of this recorder, and of those that branched off it. */
  readonly attempts: Array<AttemptRecord> = []
  readonly events: Array<Receipt.Event>
  /** Which version of which prompt the call was made with. */
  private ownPrompt: PromptReference | undefined = undefined
  /** What a cache did for the call so far, and what that spared. */
  private ownCache: Receipt.CacheResult | undefined = undefined
  saved: { readonly usage: Usage.Usage | undefined; readonly cost: Money.MicroUsd | undefined } | undefined = undefined
  /** The branch whose answer is that of the call, where there is one. */
  private adopted: Recorder | undefined = undefined
  private own: AttemptRecord | undefined = undefined
  private ownDegraded = false
  private closed: Receipt.Receipt | undefined = undefined
  private isQuiet = false
  /** Whoever is told of the operation as it happens. */
  readonly watch: OperationWatch | undefined
  private readonly parent: Recorder | undefined
  /** What it shares with other calls, and after how much of its own each of that began. */
  private shares: Array<{ readonly share: Share; readonly attempts: number; readonly events: number }> | undefined =
    undefined

  constructor(
    operationId: string,
    attribution: Attribution,
    clock: Clock.Clock,
    parent?: Recorder,
    startedAt = parent?.startedAt ?? clock.currentTimeMillisUnsafe(),
    watch = parent?.watch
  ) {
    this.operationId = operationId
    this.attribution = attribution
    this.clock = clock
    this.startedAt = startedAt
    this.events = parent?.events ?? []
    this.parent = parent
    this.watch = watch
  }

  /** A recorder for requests that the call is about to share with others: on no receipt, until one of them owns a {@link share}. */
  apart(): Recorder {
    return new Recorder(this.operationId, this.attribution, this.clock, undefined, this.startedAt, this.watch)
  }

  /** Takes part in what is recorded {@link apart}. */
  share(share: Share): void {
    this.shares ??= []
    this.shares.push({ share, attempts: this.attempts.length, events: this.events.length })
    // (Of branches, the call itself: it is one.)
    if (this.parent !== undefined) this.parent.share(share)
    else if (this.watch !== share.recorder.watch) this.watch?.joined(share.recorder.watch?.span)
  }

  /**
   * A recorder for one of several branches of a call that run at once: it writes to the same receipt, and knows apart which
   * attempts are its own and which of them serves.
   */
  branch(): Recorder {
    return new Recorder(this.operationId, this.attribution, this.clock, this)
  }

  /** Makes the answer of a branch that of the call, whoever serves it in the end. */
  adopt(branch: Recorder): void {
    this.adopted = branch
  }

  get prompt(): PromptReference | undefined {
    return this.ownPrompt
  }

  set prompt(prompt: PromptReference | undefined) {
    if (prompt !== undefined) this.watch?.noted({ _tag: "Prompt", prompt })
    this.ownPrompt = prompt
  }

  get cache(): Receipt.CacheResult | undefined {
    return this.ownCache
  }

  set cache(result: Receipt.CacheResult | undefined) {
    if (result !== undefined && result !== this.ownCache) this.watch?.noted({ _tag: "Cache", result })
    this.ownCache = result
  }

  /** Whether the answer comes from no model. */
  get degraded(): boolean {
    return this.ownDegraded || this.adopted?.degraded === true
  }

  set degraded(degraded: boolean) {
    this.ownDegraded = degraded
  }

  /** The attempt whose answer is being handed on. */
  get serving(): AttemptRecord | undefined {
    return this.adopted === undefined ? this.own : this.adopted.serving
  }

  set serving(attempt: AttemptRecord | undefined) {
    this.adopted = undefined
    this.own = attempt
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  begin(provider: string, model: string, request: Request): AttemptRecord {
    const attempt = new AttemptRecord(provider, model, this.now())
    this.record(attempt)
    if (this.watch !== undefined) attempt.watch = this.watch.attempt(attempt, request)
    return attempt
  }

  private record(attempt: AttemptRecord): void {
    this.attempts.push(attempt)
    this.parent?.record(attempt)
  }

  /** Every request of the call so far, as its receipt will have them. */
  attemptsSoFar(): ReadonlyArray<Receipt.Attempt> {
    const now = this.now()
    return this.root.timeline.attempts.map((attempt) => this.attempt(attempt, now))
  }

  /** What its receipt has: its own requests and decisions, and those that it shares and owns. */
  private get timeline(): Timeline<AttemptRecord, Receipt.Event> {
    const owned = this.shares?.filter(({ share }) => share.owned)
    return owned === undefined || owned.length === 0
      ? this
      : merged(this, owned.map(({ attempts, events, share }) => ({ attempts, events, of: share.recorder.timeline })))
  }

  private get root(): Recorder {
    return this.parent === undefined ? this : this.parent.root
  }

  /**
   * Ends the attempts that still run of those that began at an index or later. Those that it shares are not its own to end: they hear
   * that it gives up.
   */
  endSince(index: number, outcome: string): void {
    const now = this.now()
    for (const attempt of this.attempts.slice(index)) attempt.end(outcome, now)
    for (const { attempts, share } of this.shares ?? []) {
      if (attempts >= index) share.givesUp(outcome)
    }
  }

  /** Takes note of a decision; `to` and `from` are models, where it leads from one to another. */
  event(type: Receipt.Event["type"], reason: string, delayMillis?: number, to?: Target, from?: Target): void {
    if (this.root.isQuiet) return
    // Whoever goes on after an answer that would not do has no answer yet.
    if (type === "retry" || type === "fallback" || type === "escalate" || type === "degraded") this.serving = undefined
    const event: Receipt.Event = {
      type,
      atMillis: between(this.startedAt, this.now()),
      afterAttempts: this.root.attempts.length,
      reason,
      ...(delayMillis === undefined ? undefined : { delayMillis: Math.max(0, delayMillis) })
    }
    this.events.push(event)
    this.watch?.decided(event, to, from)
  }

  /** Tries something out: what is decided meanwhile is no decision of the call. */
  trying<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const { root } = this
    return Effect.ensuring(
      Effect.suspend(() => {
        root.isQuiet = true
        return effect
      }),
      Effect.sync(() => {
        root.isQuiet = false
      })
    )
  }

  /** Tells whoever watches what stands on no receipt. */
  note(note: Note): void {
    this.watch?.noted(note)
  }

  /** What a cache did, around the branches of the call or within the one that serves. */
  private get cached(): Pick<Recorder, "cache" | "saved"> {
    return this.cache === undefined && this.adopted !== undefined ? this.adopted.cached : this
  }

  /** Closes the receipt, of an operation with this answer or this error; whoever comes later gets the same one. */
  close(outcome: string, error?: unknown, answer?: ReadonlyArray<Part.AnswerPart>): Receipt.Receipt {
    if (this.closed !== undefined) return this.closed
    const now = this.now()
    const serving = this.serving
    const firstPartAt = serving?.answerBeganAt
    const { attempts, events } = this.timeline
    const cost = costOf(attempts)
    const { cache, saved } = this.cached
    this.closed = {
      operationId: this.operationId,
      attribution: this.attribution,
      startedAt: this.startedAt,
      outcome,
      ...(serving === undefined ? undefined : {
        provider: serving.provider,
        model: serving.servedModel ?? serving.model,
        ...(serving.finishReason === undefined ? undefined : { finishReason: serving.finishReason })
      }),
      degraded: this.degraded,
      ...(this.prompt === undefined ? undefined : { prompt: this.prompt }),
      ...(cache === undefined ? undefined : { cache }),
      ...(saved?.usage === undefined ? undefined : { savedUsage: saved.usage }),
      ...(saved?.cost === undefined ? undefined : { saved: saved.cost }),
      attempts: attempts.map((attempt) => this.attempt(attempt, now)),
      events: [...events],
      usage: attempts.reduce(
        (sum, attempt) => attempt.usage === undefined ? sum : Usage.add(sum, attempt.usage),
        Usage.zero
      ),
      ...(cost === undefined ? undefined : { cost }),
      timings: {
        ...(firstPartAt === undefined ? undefined : { firstPartMillis: between(this.startedAt, firstPartAt) }),
        totalMillis: between(this.startedAt, now)
      }
    }
    this.watch?.closed(this.closed, {
      error,
      answer,
      text: () => serving?.partial() ?? "",
      served: serving === undefined ? undefined : { provider: serving.provider, model: serving.model }
    })
    return this.closed
  }

  private attempt(attempt: AttemptRecord, now: number): Receipt.Attempt {
    return {
      provider: attempt.provider,
      model: attempt.model,
      ...(attempt.servedModel === undefined ? undefined : { servedModel: attempt.servedModel }),
      // (One that the call shares may have begun before it.)
      startMillis: attempt.startedAt - this.startedAt,
      durationMillis: between(attempt.startedAt, attempt.endedAt ?? now),
      ...(attempt.firstPartAt === undefined ? undefined : {
        firstPartMillis: between(attempt.startedAt, attempt.firstPartAt)
      }),
      outcome: attempt.outcome ?? "interrupted",
      ...(attempt.usage === undefined ? undefined : { usage: attempt.usage }),
      ...(attempt.cost?.amount === undefined ? undefined : { cost: attempt.cost.amount }),
      ...(attempt.cost?.amount !== undefined && attempt.cost.estimated ? { costEstimated: true } : undefined)
    }
  }
}

/** How long it was from one time to another. A clock that is set back meanwhile has taken no time away. */
export const between = (from: number, to: number): number => Math.max(0, to - from)

/** The cost of all attempts, where that of each is known. */
const costOf = (attempts: ReadonlyArray<AttemptRecord>): Money.MicroUsd | undefined => {
  if (attempts.length === 0) return undefined
  let sum = Money.zero
  for (const { cost } of attempts) {
    if (cost?.amount === undefined) return undefined
    sum = Money.add(sum, cost.amount)
  }
  return sum
}

/** The outcome of an exit, as receipts name it. */
export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "success" : outcomeOfCause(exit.cause)

/** What an exit has failed with, where it did. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isSuccess(exit) ? undefined : errorOfCause(exit.cause)

/** What a cause has failed with, where it did. */
export const errorOfCause = <E>(cause: Cause.Cause<E>): E | undefined => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" ? error.value : undefined
}

/** The outcomes that are no failure with a tag: an error that is called like one of them is a failure all the same. */
const ends: ReadonlySet<string> = new Set(["success", "interrupted", "defect"])

/** The outcome of a cause, as receipts name it: an interruption is one only where nothing else went wrong. */
export const outcomeOfCause = (cause: Cause.Cause<unknown>): string => {
  for (const reason of cause.reasons) {
    if (Cause.isDieReason(reason)) return "defect"
  }
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason)) {
      const error = reason.error
      const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "failure"
      return ends.has(tag) ? "failure" : tag
    }
  }
  return "interrupted"
}
