/**
 * Whether spending has jumped: a cumulative sum of how far the logarithm of its rate is above where it was.
 *
 * Rates are taken over blocks of at least ten calls, or of five minutes where there are fewer. What is usual follows them slowly, and moves
 * with the time of the day where that is known, so that neither a morning nor slow growth is a jump. Deviations below half of the jump that
 * is looked for, or below three quarters of the usual noise, count against one; no single block counts for more than three.
 *
 * Page, E. S.: Continuous Inspection Schemes. Biometrika 41 (1954). The centre by exponential weights is that of Roberts, S. W.: Control
 * Chart Tests Based on Geometric Moving Averages. Technometrics 1 (1959).
 */
import type { SpendStepSettings } from "./alertSettings.ts"

const blockCalls = 10
const blockMinutes = 5

/** Blocks until it is known what is usual. */
const warmUp = 30

/** How fast what is usual follows, in minutes: with the time of the day in it, and without. */
const slow = 60
const quick = 20

/** The least noise there is taken to be, and how fast it is learned, in blocks. */
const leastNoise = 0.15
const noiseBlocks = 100

/** How much one block counts at most, and what is taken off each. */
const most = 3
const allowance = 0.75

/** The parts that are kept over a restart. */
export interface StepState {
  readonly level: number
  readonly variance: number
  readonly blocks: number
}

export class Step {
  /** The logarithm of what is usual a minute, at this time. */
  private level = 0
  private variance = 0.25
  private blocks = 0
  /** The sum. */
  sum = 0
  /** The excursion that the sum is of: its first minute, and what was spent in it. */
  began = 0
  private spent = 0
  private lasted = 0
  private called = 0
  private counted = 0
  /** The block under construction. */
  private amount = 0
  private calls = 0
  private minutes = 0
  /** What the time of the day was taken to be. */
  private season: number | undefined = undefined

  private readonly settings: SpendStepSettings
  /** A minute, below which differences are of no account. */
  private readonly floor: number
  private readonly minimumExcess: number

  constructor(settings: SpendStepSettings, minimumExcess: number) {
    this.settings = settings
    this.minimumExcess = minimumExcess / 60
    this.floor = minimumExcess / 240
  }

  /** What is usual a minute. */
  get usual(): number {
    return Math.max(0, Math.exp(this.level) - this.floor)
  }

  get noise(): number {
    return Math.max(leastNoise, Math.sqrt(this.variance))
  }

  get samples(): number {
    return this.blocks
  }

  /** What has been spent a minute since it began. */
  get rate(): number {
    return this.lasted === 0 ? 0 : this.spent / this.lasted
  }

  get callsSince(): number {
    return this.called
  }

  get minutesSince(): number {
    return this.lasted
  }

  get ratio(): number {
    return this.season === undefined ? this.settings.ratio * 2 : this.settings.ratio
  }

  /**
   * One minute, with what the time of the day lets one expect of it, where that is known. `firing` while there is an alert: what is usual
   * stays what it was. Returns whether there is a jump.
   */
  update(minute: number, amount: number, calls: number, season: number | undefined, firing: boolean): boolean {
    if (season !== undefined && this.season !== undefined) {
      this.level += Math.log((season + this.floor) / (this.season + this.floor))
    }
    this.season = season
    this.amount += amount
    this.calls += calls
    this.minutes++
    if (firing) {
      // What it is measured by goes on with the block that ends it.
      this.reset()
      return false
    }
    if (this.calls < blockCalls && this.minutes < blockMinutes) return false
    const value = Math.log(this.amount / this.minutes + this.floor)
    const jumped = this.block(minute, value)
    this.amount = 0
    this.calls = 0
    this.minutes = 0
    return jumped
  }

  private block(minute: number, value: number): boolean {
    this.blocks++
    if (this.blocks === 1) this.level = value
    const { minutes, noise } = this
    const deviation = value - this.level
    const drift = Math.max(Math.log(this.ratio) / (2 * noise), allowance)
    const before = this.sum
    this.sum = this.blocks <= warmUp ? 0 : Math.max(0, before + Math.min(most, deviation / noise - drift))
    if (before === 0 || this.sum === 0) {
      this.began = minute - minutes + 1
      this.spent = 0
      this.lasted = 0
      this.called = 0
      this.counted = 0
    }
    if (this.sum > 0) {
      this.spent += this.amount
      this.lasted += minutes
      this.called += this.calls
      this.counted++
    }
    const { settings, usual } = this
    const jumped = this.sum >= settings.threshold && this.counted >= 3 && this.called >= settings.minimumCalls &&
      this.rate - usual >= this.minimumExcess && this.rate >= this.ratio * usual
    if (jumped) return true
    // As long as it looks like a jump, it does not become what is usual.
    if (this.sum < settings.threshold / 2 || this.lasted > slow) {
      const weight = 1 - Math.exp(-minutes / (this.season === undefined ? quick : slow))
      // The first minutes of a jump must not hide how high it is.
      this.level += weight * Math.min(most * noise, deviation)
    }
    const clipped = Math.max(-most * noise, Math.min(most * noise, deviation))
    this.variance += (clipped * clipped - this.variance) / Math.min(this.blocks, noiseBlocks)
    return false
  }

  private reset(): void {
    this.amount = 0
    this.calls = 0
    this.minutes = 0
  }

  /** There is an end to it: what is usual from now on is what it was, or what it is now. */
  settle(rate: number | undefined): void {
    this.sum = 0
    this.reset()
    if (rate !== undefined) this.level = Math.log(rate + this.floor)
  }

  /** Time has passed in which nobody watched. */
  skip(): void {
    this.sum = 0
    this.blocks = 0
    this.season = undefined
    this.reset()
  }

  save(): StepState {
    return { level: this.level, variance: this.variance, blocks: this.blocks }
  }

  load(state: StepState): void {
    this.level = state.level
    this.variance = state.variance
    this.blocks = state.blocks
  }
}
