/**
 * Whether calls take more tokens than they used to: a control chart with exponential weights on the logarithm of the tokens of a call.
 *
 * The running mean is of some eighty calls, however long they take. It is compared with the means of past windows: their median, and a
 * spread made of how far they usually are from it and of the noise that so few calls have. Logarithms, because what matters is how many
 * times as many they are, and because one long document among many short ones is nothing out of the ordinary.
 *
 * Roberts, S. W.: Control Chart Tests Based on Geometric Moving Averages. Technometrics 1 (1959).
 */
import type { Finding } from "./alertModel.ts"
import type { Settings, TokensPerCallSettings } from "./alertSettings.ts"
import { robust } from "./alertSlots.ts"
import { rounded } from "./alertSpend.ts"
import { type Change, Watch } from "./alertWatch.ts"

/** So many windows are kept, and so many are needed. */
const kept = 432
const needed = 6

/** A window must have so many calls to say what is usual. */
const windowCalls = 20

/** The least spread there is taken to be, as a logarithm to base 2: 7 %. */
const least = 0.1

/** Over how many calls the noise of a single one is learned. */
const noiseCalls = 1_000
const noiseMeans = 100

const critical = 5

/** Without a call for so many minutes there is nothing left that an alert could be about. */
const idleMinutes = 60

/** Sums must not depend on the order of what is added: logarithms are whole numbers of this fraction. */
export const fraction = 2 ** 20

export interface TokensState {
  readonly means: ReadonlyArray<number>
  readonly mean: number
  readonly variance: number
  readonly calls: number
  readonly noise: number
}

export class Tokens {
  /** This minute: calls, and the sums of their logarithms and of the squares of these, in fractions. */
  calls = 0
  sum = 0
  squares = 0
  readonly watch: Watch
  private mean = 0
  private variance = 1
  private known = 0
  /** The window under construction. */
  private windowCalls = 0
  private windowSum = 0
  private readonly means = new Float64Array(kept)
  private count = 0
  private median = 0
  private spread = 0
  /** How much of the spread of the means is that of single calls. */
  private meanNoise = 0
  private readonly settings: TokensPerCallSettings
  private readonly window: number
  private hotCalls = 0
  private idle = 0

  constructor(settings: Settings, own: TokensPerCallSettings) {
    this.settings = own
    this.window = settings.window
    this.watch = new Watch(settings, own)
  }

  private get samples(): number {
    return Math.min(this.count, kept)
  }

  private get score(): number {
    return (this.mean - this.median) / this.deviation
  }

  private get deviation(): number {
    const between = Math.max(0, this.spread * this.spread - this.meanNoise)
    return Math.sqrt(between + this.variance / this.settings.calls + least * least)
  }

  /** To be asked once a minute. */
  check(minute: number, held: boolean): Change {
    const { calls, settings, watch } = this
    if (calls > 0) {
      const value = this.sum / calls / fraction
      this.known += calls
      const weight = 1 - (1 - 2 / (settings.calls + 1)) ** Math.min(calls, this.known)
      this.mean = this.known === calls ? value : this.mean + weight * (value - this.mean)
      if (!watch.firing) {
        const noise = Math.max(0, this.squares / calls / fraction - value * value) + (value - this.median) ** 2 / calls
        this.variance += (noise - this.variance) * Math.min(1, calls / Math.min(this.known, noiseCalls))
        this.windowCalls += calls
        this.windowSum += value * calls
      }
    }
    let change: Change
    if (this.samples < needed) {
      change = undefined
    } else {
      const observed = 2 ** this.mean
      const expected = 2 ** this.median
      const hot = this.score >= settings.sensitivity && observed >= settings.ratio * expected &&
        observed - expected >= settings.minimumExcess
      const cool = this.score < settings.sensitivity / 2 || observed < expected * (1 + settings.ratio) / 2
      // A minute without calls says nothing: it is neither one more that is out of the ordinary nor one that is not.
      change = calls > 0 || watch.firing ? watch.update(minute, hot, cool, held) : undefined
      this.idle = calls > 0 ? 0 : this.idle + 1
      if (change === undefined && watch.firing && this.idle >= idleMinutes) change = watch.end(minute, "gone")
      this.hotCalls = watch.firing || hot ? this.hotCalls + calls : 0
      if (change === "accepted") this.restart()
    }
    this.calls = 0
    this.sum = 0
    this.squares = 0
    if ((minute + 1) % this.window === 0) this.closeWindow()
    return change
  }

  private closeWindow(): void {
    if (this.watch.firing) {
      this.windowCalls = 0
      this.windowSum = 0
      return
    }
    // One with few calls goes on until it has enough.
    if (this.windowCalls < windowCalls) return
    this.put(this.windowSum / this.windowCalls)
    this.meanNoise += (this.variance / this.windowCalls - this.meanNoise) / Math.min(this.count, noiseMeans)
    this.windowCalls = 0
    this.windowSum = 0
    this.learn()
  }

  private put(mean: number): void {
    this.means[this.count % kept] = mean
    this.count++
  }

  private learn(): void {
    const { median, spread } = robust(this.means.slice(0, this.samples))
    this.median = median
    this.spread = spread
  }

  /** It is what is usual now. */
  private restart(): void {
    this.count = 0
    this.windowCalls = 0
    this.windowSum = 0
  }

  found(): Finding {
    const observed = 2 ** this.mean
    const expected = 2 ** this.median
    return {
      _tag: "TokensPerCall",
      severity: observed >= critical * expected ? "critical" : "warning",
      observed: Math.round(observed),
      expected: Math.round(expected),
      evidence: {
        windowMillis: this.window * 60_000,
        calls: Math.max(this.hotCalls, Math.min(this.known, this.settings.calls)),
        baseline: "hours",
        samples: this.samples,
        median: rounded(this.median),
        spread: rounded(this.deviation),
        score: rounded(this.score),
        threshold: this.settings.sensitivity
      }
    }
  }

  save(): TokensState {
    const { count, samples } = this
    const means = Array.from({ length: samples }, (_, index) => rounded(this.means[(count - samples + index) % kept]!))
    return { means, mean: this.mean, variance: this.variance, calls: this.known, noise: this.meanNoise }
  }

  load(state: TokensState): void {
    for (const mean of state.means.slice(-kept)) this.put(mean)
    this.mean = state.mean
    this.variance = state.variance
    this.known = state.calls
    this.meanNoise = state.noise
    if (this.count > 0) this.learn()
  }
}
