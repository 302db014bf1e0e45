/**
 * The gate of one key: who is in flight, who waits, and whose turn it is. All of it is synchronous: a call that finds the gate
 * open costs a few counters.
 *
 * A call is *queued*, has its *turn*, and is *granted* a permit. Only where there is something to wait for besides a permit (a
 * minute's limit, a provider's headers) does anyone stay at the turn, one at a time, and only while a permit is free: so
 * priorities hold for those waits too, and nobody holds a permit who cannot be sent.
 *
 * A call's state is the truth, and to wake it says no more than that it should look.
 */
import type { Call, RateLimit, Target } from "../../core/Call.ts"
import { AdaptiveLimit, type Outcome } from "./limiterAdaptive.ts"
import { HeaderLimits, type HeaderWait, type Mark } from "./limiterHeaders.ts"
import type { GateLimits } from "./limiterLimits.ts"

export type Resource = "concurrency" | "requests" | "tokens"

export type Priority = "interactive" | "batch"

/** What holds for every call of an `Llm`. */
export interface Asking {
  readonly onStoreError: "allow" | "fail"
  /** `provider/model`, where there is but one. */
  readonly model: string | undefined
  /** The same, as errors give it. */
  readonly asked: Target | undefined
}

/** One call at a gate. */
export class Entry {
  readonly gate: Gate
  readonly call: Call
  readonly priority: Priority
  readonly asking: Asking
  readonly arrivedAt: number
  /** When it waits no longer. */
  readonly giveUpAt: number
  state: "arriving" | "queued" | "turn" | "granted" | "refused" | "over" = "arriving"
  /** How many tokens it is taken to cost. */
  tokens = 0

  // ---- while it waits ----
  waited = false
  /** What it waited for last, or was refused for, and the limit of that. */
  resource: Resource = "concurrency"
  limit = 0
  /** At the turn: whether it sleeps, so that somebody else may take its place. */
  pausing = false
  /** Whether it has had its request of the minute's limit, so that it does not take a second one. */
  hasRequest = false
  /** What it took from the minute's limits: nothing where it was sent without the store. */
  requestsTaken = 0
  tokensTaken = 0
  /** Set by whoever changes its state. */
  woken = false
  resume: (() => void) | undefined = undefined

  // ---- once it is sent ----
  sentAt = 0
  /** Whether what is inside has been asked. */
  passedOn = false
  /** Whether a request has been sent, and whether a response to it has begun: known of calls that are listened to. */
  attempted = false
  responded = false
  firstPartAt: number | undefined = undefined
  round = 0
  mark: Mark | undefined = undefined

  constructor(gate: Gate, call: Call, priority: Priority, asking: Asking) {
    this.gate = gate
    this.call = call
    this.priority = priority
    this.asking = asking
    this.arrivedAt = call.recorder.now()
    this.giveUpAt = this.arrivedAt + gate.limits.maxWait
  }

  wake(): void {
    this.woken = true
    this.resume?.()
  }
}

export class Gate {
  readonly key: string
  readonly limits: GateLimits
  readonly headers = new HeaderLimits()
  private readonly adaptive: AdaptiveLimit | undefined
  inFlight = 0
  private readonly interactive = new Set<Entry>()
  private batch = new Set<Entry>()
  turn: Entry | undefined = undefined
  /** When it was last used. */
  usedAt = 0

  constructor(key: string, limits: GateLimits) {
    this.key = key
    this.limits = limits
    this.adaptive = limits.adaptive === undefined ? undefined : new AdaptiveLimit(limits.adaptive)
  }

  /** Whether latencies are of use. */
  get adapts(): boolean {
    return this.adaptive !== undefined
  }

  get hasRates(): boolean {
    return this.limits.requests !== undefined || this.limits.tokens !== undefined
  }

  /** How many calls may be in flight. */
  concurrency(): number {
    return this.adaptive === undefined ? this.limits.concurrency : this.adaptive.current()
  }

  /** How many wait, those at the turn among them. */
  queued(priority: Priority): number {
    const waiting = priority === "interactive" ? this.interactive.size : this.batch.size
    return this.turn?.priority === priority ? waiting + 1 : waiting
  }

  /** Tells a call what it waits for in the queue. */
  bottleneck(entry: Entry): void {
    const { turn } = this
    const { requests, tokens } = this.limits
    if (turn === undefined || this.inFlight >= this.concurrency()) {
      entry.resource = "concurrency"
      entry.limit = this.concurrency()
    } else if (turn.pausing) {
      entry.resource = turn.resource
      entry.limit = turn.limit
    } else {
      entry.resource = requests === undefined ? "tokens" : "requests"
      entry.limit = requests ?? tokens ?? 0
    }
  }

  /** Whether the one whose turn it is has nothing to wait for but the store. */
  isMoving(): boolean {
    return this.turn !== undefined && !this.turn.pausing && this.inFlight < this.concurrency()
  }

  isIdle(): boolean {
    return this.inFlight === 0 && this.turn === undefined && this.interactive.size === 0 && this.batch.size === 0
  }

  /** Lets a call in, where it has to wait for nothing; queues it, has it take its turn, or refuses it. */
  enter(entry: Entry): void {
    const now = entry.arrivedAt
    this.usedAt = now
    if (this.turn === undefined && this.interactive.size === 0 && this.batch.size === 0) {
      if (this.inFlight < this.concurrency()) {
        if (this.mustTakeTurn(entry, now)) this.giveTurn(entry)
        else this.grant(entry, now)
        return
      }
    } else if (this.mayPushAside(entry)) {
      this.pushAside()
      this.giveTurn(entry)
      return
    }
    if (this.interactive.size + this.batch.size >= this.limits.queueSize && !this.makeRoom(entry)) {
      this.refuse(entry)
      return
    }
    entry.state = "queued"
    entry.waited = true
    this.bottleneck(entry)
    if (entry.priority === "interactive") this.interactive.add(entry)
    else this.batch.add(entry)
    this.tell(entry)
  }

  /** Tells whoever watches a call how many wait. */
  private tell({ call: { recorder } }: Entry): void {
    if (recorder.watch === undefined) return
    recorder.note({
      _tag: "Queue",
      limiter: this.key,
      interactive: this.queued("interactive"),
      batch: this.queued("batch")
    })
  }

  /** The call at the turn has all it waited for. */
  pass(entry: Entry): void {
    this.turn = undefined
    this.grant(entry, entry.call.recorder.now())
    if (entry.waited) this.tell(entry)
    this.drain(entry.sentAt)
  }

  /** The call at the turn has to wait; false where it has to give way to an interactive one for that. */
  pauses(entry: Entry): boolean {
    if (entry.priority === "batch" && this.interactive.size > 0) {
      this.pushAside()
      this.drain(entry.call.recorder.now())
      return false
    }
    entry.pausing = true
    return true
  }

  /** The response to a call has begun. */
  saw(entry: Entry, limits: ReadonlyArray<RateLimit>): void {
    if (limits.length === 0 || entry.mark === undefined) return
    this.headers.saw(limits, entry.mark, entry.call.recorder.now())
    this.freed()
  }

  /** A call that was counted as sent has not reached the provider. */
  unsent(entry: Entry): void {
    if (entry.mark === undefined) return
    this.headers.unsent(entry.mark)
    this.freed()
  }

  /** Whoever waits at the turn may have less to wait for. */
  freed(): void {
    if (this.turn?.pausing === true) this.turn.wake()
  }

  /** What a call has to wait for by what headers have said. */
  headerWait(entry: Entry, now: number): HeaderWait | undefined {
    return this.headers.isSilent()
      ? undefined
      : this.headers.wait(now, entry.tokens, entry.call.request.settings.maxOutputTokens ?? 0)
  }

  /** A call is over, or is not to be; each call once. */
  leave(entry: Entry, outcome: Outcome): void {
    const state = entry.state
    if (state === "over") return
    entry.state = "over"
    const now = entry.call.recorder.now()
    if (state === "granted") {
      this.inFlight--
      this.usedAt = now
      this.adaptive?.ended(
        now,
        this.inFlight,
        entry.round,
        outcome,
        entry.sentAt,
        entry.firstPartAt === undefined ? undefined : entry.firstPartAt - entry.sentAt
      )
    } else if (state === "turn") this.turn = undefined
    else if (state === "queued") {
      this.interactive.delete(entry)
      this.batch.delete(entry)
      this.tell(entry)
      return
    } else return
    if (state === "turn" && entry.waited) this.tell(entry)
    this.drain(now)
  }

  private mustTakeTurn(entry: Entry, now: number): boolean {
    return this.hasRates || this.headerWait(entry, now) !== undefined
  }

  private giveTurn(entry: Entry): void {
    entry.state = "turn"
    this.turn = entry
  }

  private mayPushAside(entry: Entry): boolean {
    return entry.priority === "interactive" && this.interactive.size === 0 && this.turn?.priority === "batch" &&
      this.turn.pausing
  }

  /** Puts the batch call at the turn back to the front of its queue. */
  private pushAside(): void {
    const aside = this.turn
    if (aside === undefined) return
    aside.state = "queued"
    aside.pausing = false
    this.turn = undefined
    this.batch = new Set([aside, ...this.batch])
    aside.wake()
  }

  /** Refuses the newest batch call in favour of an interactive one. */
  private makeRoom(entry: Entry): boolean {
    if (entry.priority === "batch" || this.batch.size === 0) return false
    const newest = [...this.batch].at(-1)
    if (newest === undefined) return false
    this.batch.delete(newest)
    this.tell(newest)
    this.refuse(newest)
    newest.wake()
    return true
  }

  private refuse(entry: Entry): void {
    this.bottleneck(entry)
    entry.state = "refused"
  }

  private grant(entry: Entry, now: number): void {
    this.inFlight++
    entry.state = "granted"
    entry.sentAt = now
    entry.mark = this.headers.sent(entry.tokens)
    if (this.adaptive !== undefined) entry.round = this.adaptive.sent(now, this.inFlight)
  }

  private drain(now: number): void {
    while (this.turn === undefined && this.inFlight < this.concurrency()) {
      const queue = this.interactive.size > 0 ? this.interactive : this.batch
      const next = queue.values().next().value
      if (next === undefined) return
      queue.delete(next)
      if (this.mustTakeTurn(next, now)) this.giveTurn(next)
      else this.grant(next, now)
      this.tell(next)
      next.wake()
    }
  }
}
