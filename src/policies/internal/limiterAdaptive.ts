/**
 * A limit on calls in flight that finds itself: raised while the server keeps up, lowered when it refuses or slows down.
 *
 * It thinks in *rounds*: about as many answers as there are calls in flight, one round trip. What was sent before a change says
 * nothing of it, so the samples of a round are the answers to what was sent in it.
 *
 * - A round with refusals (a rate limit, an overload, silence) lowers the limit, though not below what the server has just been
 *   serving: one that refuses the eleventh call serves ten. Between rounds, a refused slot is not filled again before another
 *   call is served, or the queue would be burnt on a server that has said no.
 * - Two rounds in which answers took longer than `tolerance` times the baseline lower it in proportion: the calls in excess
 *   stand in the server's own queue.
 * - Any other round in which the limit was reached raises it: twofold until the first decrease, step by step from then on.
 *
 * The baseline is how long an answer takes where no queue stands. Under steady load one stands all the time, so that now and
 * then a round runs well below the limit and measures it anew. That is also what tells a server that has become slow for
 * reasons of its own from one that we are too many for.
 *
 * Single answers differ more than servers do (an answer has ten words or a thousand), which is why it compares means, of no less
 * than a dozen answers.
 */
import type { Adaptive } from "./limiterLimits.ts"

/** How a call ended, for the limit. */
export type Outcome = "served" | "refused" | "unknown"

/** Answers in a round, at most: after those, more would only take longer. */
const most = 24
/** Answers that a mean says something about: of small rounds, those of several. */
const telling = 12

/** Refusals for each answer that are no reason to send less. */
const tolerated = 0.1
const decreaseFactor = 0.9
/** Rounds without an increase after a refusal: the edge has been found, and trying it costs refusals. */
const patience = 2

/** Rounds between two measurements of the baseline: few at first, twice as many each time. */
const firstProbe = 8
const lastProbe = 64
/** A probe that takes so many times as long as the baseline shows that the server has changed. */
const changed = 1.5

export class AdaptiveLimit {
  private readonly settings: Adaptive
  /** A fraction is the way to the next whole number. */
  private limit: number
  private slowStart = true
  /** How many calls may be in flight until another one is served, after a refusal. */
  private suspended = Infinity

  // ---- the baseline, in milliseconds ----
  private baseline: number | undefined = undefined
  private probing = false
  private readonly probeFactor: number
  private probeGap = firstProbe
  private untilProbe = firstProbe

  // ---- the rounds before this one ----
  private waitRounds = 0
  /** How many calls the server was at when it last began to refuse. */
  private capacity = 0
  private slowBefore = false
  /** How many decreases in a row were for slowness, and what the limit was before the first of them. */
  private decreases = 0
  private before = 0

  // ---- this round ----
  private round = 0
  private startedAt: number | undefined = undefined
  private peak = 0
  private refused = 0
  private answers = 0
  private served = 0
  private servedMillis = 0
  /** Since the last comparison, which may be longer than this round. */
  private readonly latencies: Array<number> = []

  constructor(settings: Adaptive) {
    this.settings = settings
    this.limit = settings.initial
    this.probeFactor = 0.8 / settings.tolerance
  }

  /** How many calls may be in flight now. */
  current(): number {
    return Math.min(this.suspended, this.allowed())
  }

  private allowed(): number {
    return Math.floor(this.probing ? Math.max(this.settings.minimum, this.limit * this.probeFactor) : this.limit)
  }

  /** A call is sent, and so many are in flight with it. Returns the round that it is of. */
  sent(now: number, inFlight: number): number {
    this.startedAt ??= now
    if (inFlight > this.peak) this.peak = inFlight
    return this.round
  }

  /** A call of a round has ended, and so many are left in flight; `latency` is the time to its first part. */
  ended(
    now: number,
    inFlight: number,
    round: number,
    outcome: Outcome,
    sentAt: number,
    latency: number | undefined
  ): void {
    if (outcome === "unknown") return
    if (outcome === "refused") this.suspended = Math.max(this.settings.minimum, inFlight)
    else {
      // Of what has begun before a round as much counts for it as of what ends after it does not.
      this.served++
      this.servedMillis += now - sentAt
      if (this.suspended !== Infinity) {
        // The slot that is free now, and one more to try.
        this.suspended = Math.max(this.suspended, inFlight + 2)
        if (this.suspended >= this.limit) this.suspended = Infinity
      }
    }
    if (round !== this.round) return
    if (outcome === "refused") this.refused++
    else {
      this.answers++
      if (latency !== undefined) this.latencies.push(latency)
    }
    const enough = Math.max(this.probing ? telling : 1, Math.min(this.peak, most))
    const elapsed = now - (this.startedAt ?? now)
    if (
      this.answers >= enough ||
      // Refusals are quick: they end a round once answers have had the time to come.
      (this.refused > 0 && (this.baseline === undefined ? this.refused >= enough : elapsed >= 2 * this.baseline))
    ) this.endRound(now, inFlight, elapsed)
  }

  private endRound(now: number, inFlight: number, elapsed: number): void {
    const reached = this.peak >= this.allowed()
    const latency = this.latencies.length >= telling ? mean(this.latencies) : undefined
    this.measure(latency)
    if (latency !== undefined) this.latencies.length = 0
    const ratio = latency === undefined || this.baseline === undefined ? 1 : latency / this.baseline
    const probed = this.probing
    this.probing = false
    if (probed) this.latencies.length = 0
    if (this.refused > tolerated * this.served) {
      const serving = elapsed > 0 ? this.servedMillis / elapsed / Math.max(1, ratio) : 0
      // What was in flight is what was refused; but where that was little, it may not have been too much.
      const tried = probed ? this.limit : Math.max(this.limit / 2, Math.min(this.limit, this.peak))
      this.lower(Math.max(tried * decreaseFactor, serving))
      this.capacity = this.waitRounds === 0 ? serving : Math.max(this.capacity, serving)
      this.waitRounds = patience
      this.decreases = 0
      this.untilProbe++
    } else if (reached && !probed && ratio > this.settings.tolerance) {
      if (this.slowBefore) this.lowerSlow(ratio)
      this.slowBefore = true
    } else {
      if (latency !== undefined) {
        this.slowBefore = false
        if (!probed) this.decreases = 0
      }
      if (this.waitRounds > 0 && 2 * this.limit > this.capacity) this.waitRounds--
      else if (reached && !probed) this.raise()
    }
    this.untilProbe--
    const settled = this.waitRounds === 0 && this.limit >= this.capacity
    if (this.untilProbe <= 0 && settled && !probed && !this.slowStart && this.baseline !== undefined) {
      this.probing = true
      this.probeGap = Math.min(lastProbe, this.probeGap * 2)
      this.untilProbe = this.probeGap
      this.latencies.length = 0
    }
    this.round++
    this.startedAt = inFlight > 0 ? now : undefined
    this.peak = inFlight
    this.refused = 0
    this.answers = 0
    this.served = 0
    this.servedMillis = 0
  }

  private measure(latency: number | undefined): void {
    if (this.baseline === undefined) {
      if (latency !== undefined) this.baseline = latency
    } else if (latency === undefined) return
    else if (this.probing || this.peak <= this.limit * this.probeFactor) {
      if (this.decreases > 0 && latency >= changed * this.baseline) {
        // It is as slow without a queue: sending less has not helped, and was not called for.
        this.limit = Math.max(this.limit, this.before)
        this.decreases = 0
      }
      this.baseline = latency
    } else if (latency < this.baseline) {
      // A little at a time: the smallest of many means is smaller than the server is fast.
      this.baseline += (latency - this.baseline) * 0.1
    }
  }

  private lowerSlow(ratio: number): void {
    if (this.decreases === 0) this.before = this.limit
    this.lower(this.limit * Math.max(0.5, this.settings.tolerance / ratio))
    this.decreases++
    // It may not be our queue that makes it slow.
    if (this.decreases > 1) this.untilProbe = 0
  }

  private lower(to: number): void {
    this.slowStart = false
    this.limit = Math.max(this.settings.minimum, Math.min(this.limit, to))
  }

  private raise(): void {
    const step = this.slowStart ? this.limit : Math.max(1, this.limit / 20)
    // After an outage, the way back to what is known to work is short.
    const back = Math.min(2 * this.limit, this.capacity)
    this.limit = Math.min(this.settings.maximum, Math.max(this.limit + step, back))
  }
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length
