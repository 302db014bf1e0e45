/**
 * What one series spends, in money or in tokens: minute by minute, against the same time on the days before, and against what came just
 * before.
 */
import type { Finding, Unit } from "./alertModel.ts"
import type { Settings } from "./alertSettings.ts"
import { type Expectation, Slots } from "./alertSlots.ts"
import { Step, type StepState } from "./alertStep.ts"
import { type Change, Watch } from "./alertWatch.ts"

/** From here on it is critical: so many times what is usual. */
const critical = 5

export interface SpendState {
  readonly from: number
  readonly values: ReadonlyArray<number | null>
  readonly step: StepState
}

export class Spend {
  /** This minute: what was spent, in how many calls, and by the dearest. */
  private amount = 0
  private calls = 0
  private largest = 0
  readonly rate: Watch
  readonly jump: Watch
  private readonly slots: Slots
  private readonly step: Step | undefined
  private readonly amounts: Float64Array
  private readonly counts: Float64Array
  private readonly most: Float64Array
  readonly unit: Unit
  private readonly settings: Settings
  private readonly window: number
  private since: number
  private expectation: Expectation | undefined = undefined
  /** Since it is above what is usual: what was spent, and what would have been. */
  private spent = 0
  private expected = 0
  private stepExcess = 0
  /** What spending was before the jump, as a part of what it was taken to be at that time. */
  private usual = 0

  constructor(settings: Settings, unit: Unit, minute: number) {
    const { days } = settings
    this.settings = settings
    this.unit = unit
    this.window = settings.window
    this.since = minute
    this.amounts = new Float64Array(settings.window)
    this.counts = new Float64Array(settings.window)
    this.most = new Float64Array(settings.window)
    this.slots = new Slots(settings.window, days.days, days.minimumDays)
    this.slots.last = Math.floor(minute / settings.window) - 1
    this.rate = new Watch(settings, settings.spendRate ?? { confirm: 1, acceptAfter: 1 })
    this.jump = new Watch(settings, { confirm: 1, acceptAfter: settings.spendStep?.acceptAfter ?? 1 })
    this.step = settings.spendStep === undefined
      ? undefined
      : new Step(settings.spendStep, this.least(settings.spendStep))
  }

  private least(settings: { readonly minimumExcess: number; readonly minimumExcessTokens: number }): number {
    return this.unit === "microUsd" ? settings.minimumExcess : settings.minimumExcessTokens
  }

  /** In the window, as it is now. */
  get total(): number {
    let total = 0
    for (const amount of this.amounts) total += amount
    return total
  }

  /** Without the dearest call: a single one is no reason to wake anybody, so it must be too much without it. */
  private get broad(): number {
    return this.total - Math.max(...this.most)
  }

  /** A call has been made. */
  add(amount: number): void {
    this.amount += amount
    this.calls++
    if (amount > this.largest) this.largest = amount
  }

  private get called(): number {
    let called = 0
    for (const count of this.counts) called += count
    return called
  }

  /** Whether so much was hardly ever spent before. Before anything is known, nothing is news; where little is, it takes more. */
  private isNews(times: number): boolean {
    const { expectation } = this
    if (expectation === undefined) return false
    return this.broad >= (expectation.baseline === "days" ? times : 2 * times) * expectation.ceiling
  }

  private get hourly(): number {
    return 60 / this.window
  }

  /** A minute is over. */
  close(minute: number): void {
    const at = minute % this.window
    this.amounts[at] = this.amount
    this.counts[at] = this.calls
    this.most[at] = this.largest
  }

  /** Whether spending is above what is usual at this time. To be asked once a minute, after it is closed. */
  checkRate(minute: number, held: boolean): Change {
    const settings = this.settings.spendRate
    const { expectation } = this
    if (settings === undefined || expectation === undefined) {
      return undefined
    }
    const total = this.broad
    const least = this.least(settings) / this.hourly
    const { expected } = expectation
    const ratio = expectation.baseline === "days" ? settings.ratio : settings.ratio * 2
    const score = (total - expected) / this.spread
    const hot = total - expected >= least && total >= ratio * expected && score >= settings.sensitivity &&
      this.called >= settings.minimumCalls && this.isNews(settings.news)
    // Not by the spread, which yesterday's part of it would widen.
    const cool = total - expected < least / 2 || total < expected * (1 + ratio) / 2
    if (this.rate.firing) {
      this.spent += this.amount
      this.expected += expected / this.window
    }
    const change = this.rate.update(minute, hot, cool, held)
    if (change === "begins") {
      this.spent = this.total
      this.expected = expected
    }
    if (change === "accepted") this.accept(minute)
    return change
  }

  /** Whether spending has jumped. To be asked once a minute, after it is closed. */
  checkJump(minute: number, held: boolean): Change {
    const { expectation, step } = this
    const settings = this.settings.spendStep
    if (settings === undefined || step === undefined) return undefined
    const season = expectation?.baseline === "days" ? expectation.expected / this.window : undefined
    const above = step.update(minute, this.amount, this.calls, season, this.jump.firing)
    if (!this.jump.firing) {
      const jumped = above && this.isNews(settings.news)
      const change = this.jump.update(minute, jumped, false, held)
      // What something else explains is not told later either, nor what is no news after all this time.
      if (above && (held || (!jumped && step.minutesSince >= 2 * this.window))) step.settle(step.rate)
      if (change !== "begins") return change
      this.jump.began = step.began
      this.usual = step.usual
      this.stepExcess = (step.rate - step.usual) * step.minutesSince
      return change
    }
    this.usual = step.usual
    this.stepExcess += this.amount - this.usual
    const now = this.total / this.window
    const change = this.jump.update(minute, false, now < this.usual * (1 + settings.ratio) / 2, held)
    if (change === "accepted") step.settle(now)
    if (change === "recovered") step.settle(undefined)
    return change
  }

  /** The minute is done with. */
  next(minute: number): void {
    this.amount = 0
    this.calls = 0
    this.largest = 0
    if ((minute + 1) % this.window !== 0) return
    const slot = Math.floor(minute / this.window)
    // Part of a window says nothing of all of it.
    this.slots.put(slot, slot * this.window >= this.since ? this.total : Number.NaN)
    this.expectation = this.slots.expect(slot + 1)
  }

  /** What came before is no longer what is usual. */
  private accept(minute: number): void {
    const began = Math.floor(this.rate.began / this.window)
    const factor = this.expected > 0 ? this.spent / this.expected : Number.NaN
    // The rhythm of the days stays, at the new height, where there was any.
    const { last, length } = this.slots
    for (let past = last - length + 1; past < began; past++) this.slots.set(past, this.slots.get(past) * factor)
    this.expectation = this.slots.expect(Math.floor(minute / this.window))
  }

  /** Nobody watched until a minute. */
  skip(minute: number): void {
    this.amount = 0
    this.calls = 0
    this.largest = 0
    this.amounts.fill(0)
    this.counts.fill(0)
    this.most.fill(0)
    this.since = minute
    this.step?.skip()
    this.slots.put(Math.floor(minute / this.window), Number.NaN)
    this.expectation = this.slots.expect(Math.floor(minute / this.window))
  }

  foundRate(): Finding {
    const settings = this.settings.spendRate
    const { expectation } = this
    const expected = (expectation?.expected ?? 0) * this.hourly
    const observed = this.total * this.hourly
    return {
      _tag: "SpendRate",
      severity: observed >= critical * expected ? "critical" : "warning",
      unit: this.unit,
      observed: Math.round(observed),
      expected: Math.round(expected),
      excess: Math.max(0, Math.round(this.spent - this.expected)),
      evidence: {
        windowMillis: this.window * 60_000,
        calls: this.called,
        baseline: expectation?.baseline ?? "hours",
        samples: expectation?.samples ?? 0,
        median: Math.round(expected),
        spread: Math.round((expectation?.spread ?? 0) * this.hourly),
        score: rounded((this.broad - (expectation?.expected ?? 0)) / this.spread),
        threshold: settings?.sensitivity ?? 0
      }
    }
  }

  /** What is of no account is no deviation either, however quiet it usually is. */
  private get spread(): number {
    const settings = this.settings.spendRate ?? this.settings.days
    return Math.max(this.expectation?.spread ?? 0, this.least(settings) / this.hourly / settings.sensitivity)
  }

  foundJump(began: boolean): Finding {
    const step = this.step!
    const observed = (began ? step.rate : this.total / this.window) * 60
    const expected = this.usual * 60
    return {
      _tag: "SpendStep",
      severity: observed >= critical * expected ? "critical" : "warning",
      unit: this.unit,
      observed: Math.round(observed),
      expected: Math.round(expected),
      excess: Math.max(0, Math.round(this.stepExcess)),
      evidence: {
        windowMillis: (began ? step.minutesSince : this.window) * 60_000,
        calls: began ? step.callsSince : this.called,
        baseline: "recent",
        samples: step.samples,
        median: rounded(Math.log2(Math.max(1, expected))),
        spread: rounded(step.noise / Math.LN2),
        score: rounded(step.sum),
        threshold: this.settings.spendStep?.threshold ?? 0
      }
    }
  }

  save(): SpendState {
    const { slots } = this
    const values: Array<number | null> = []
    let from = slots.last + 1
    for (let slot = Math.max(0, slots.last - slots.length + 1); slot <= slots.last; slot++) {
      const value = slots.get(slot)
      if (values.length === 0) {
        if (Number.isNaN(value)) continue
        from = slot
      }
      values.push(Number.isNaN(value) ? null : Math.round(value))
    }
    return { from, values, step: this.step?.save() ?? { level: 0, variance: 0.25, blocks: 0 } }
  }

  /** What was known before a minute; `fresh` where that was just before. */
  load(state: SpendState, minute: number, fresh: boolean): void {
    const current = Math.floor(minute / this.window)
    this.slots.last = -1
    state.values.forEach((value, index) => {
      const slot = state.from + index
      if (slot < current && slot >= 0) this.slots.put(slot, value ?? Number.NaN)
    })
    if (this.slots.last < current - 1) this.slots.put(current - 1, Number.NaN)
    if (fresh) this.step?.load(state.step)
    this.expectation = this.slots.expect(current)
  }
}

/** As many digits as mean anything. */
export const rounded = (value: number): number => Number(value.toPrecision(6))
