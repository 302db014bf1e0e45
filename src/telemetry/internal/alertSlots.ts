/**
 * What was spent in each window of the past days, and what that lets one expect of one.
 *
 * Expected is the median of the windows within half an hour of the same time on the days before: a daily rhythm is in it, and a day out of
 * the ordinary is not. The spread is the median absolute deviation, made comparable to a standard deviation, or how far the 95th percentile
 * is from the median where that is more: what is dearer on one day of the week has its place in it.
 *
 * Traffic that comes in bursts has no hour of its own. So there is a ceiling as well: the second highest of what each day reached within
 * three hours of the same time, or within the whole day where there is usually nothing at this time. What was reached on two days is no news, and one day out of the ordinary does not hide the next one.
 *
 * Rousseeuw, P. J.; Croux, C.: Alternatives to the Median Absolute Deviation. Journal of the American Statistical Association 88 (1993).
 */

const minutesOfDay = 1_440

/** Makes the median absolute deviation of normal values their standard deviation. */
const consistent = 1.4826

/** How many standard deviations the 95th percentile of normal values is above the median. */
const percentile95 = 1.645

/** Windows within so many minutes of the same time are compared with. */
const around = 30

/** Within so many minutes of the same time lies what is no news. */
const wide = 180

/** The hours before are so many minutes. */
const recentMinutes = 180

/** How much of the hours before must be known. */
const enoughMinutes = 180

/** Where a value is in sorted ones, between two of them if need be. */
export const quantile = (sorted: Float64Array, q: number): number => {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const below = sorted[low] ?? 0
  return below + ((sorted[low + 1] ?? below) - below) * (at - low)
}

/** The middle of values, and how far they are usually from it. Sorts them. */
export const robust = (values: Float64Array): { readonly median: number; readonly spread: number } => {
  values.sort()
  const median = quantile(values, 0.5)
  const upper = (quantile(values, 0.95) - median) / percentile95
  const deviations = values.map((value) => Math.abs(value - median)).toSorted()
  return { median, spread: Math.max(consistent * quantile(deviations, 0.5), upper) }
}

export interface Expectation {
  readonly baseline: "days" | "hours"
  /** In all of a window. */
  readonly expected: number
  readonly spread: number
  readonly samples: number
  /** What is no news, in all of a window. */
  readonly ceiling: number
}

export class Slots {
  /** By the number of the window since 1970, round and round; `NaN` where it was not watched. */
  private readonly values: Float32Array
  private readonly perDay: number
  private readonly window: number
  private readonly days: number
  private readonly minimumDays: number
  private readonly samples: Float64Array
  private readonly recent: Float64Array
  private readonly highest: Float64Array
  /** The last window that is known, or was passed over. */
  last = -1

  constructor(window: number, days: number, minimumDays: number) {
    this.window = window
    this.perDay = minutesOfDay / window
    this.days = days
    this.minimumDays = minimumDays
    // Half a day more, so that the oldest day has all of the windows around the same time.
    this.values = new Float32Array(days * this.perDay + this.perDay / 2).fill(Number.NaN)
    this.samples = new Float64Array(days * (2 * around / window + 1))
    this.recent = new Float64Array(recentMinutes / window)
    this.highest = new Float64Array(days)
  }

  get length(): number {
    return this.values.length
  }

  /** The next one; those between the last one and it were not watched. */
  put(slot: number, value: number): void {
    const { length } = this.values
    for (let missing = Math.max(this.last + 1, slot - length); missing < slot; missing++) {
      this.values[missing % length] = Number.NaN
    }
    this.values[slot % length] = value
    this.last = slot
  }

  /** What it was; `NaN` where that is not known. */
  get(slot: number): number {
    return slot > this.last || slot <= this.last - this.values.length || slot < 0
      ? Number.NaN
      : this.values[slot % this.values.length]!
  }

  /** Puts another value in the place of one that is there. */
  set(slot: number, value: number): void {
    if (slot <= this.last && slot > this.last - this.values.length) this.values[slot % this.values.length] = value
  }

  /** What is to be expected of one that is not over. */
  expect(slot: number): Expectation | undefined {
    const { days, minimumDays, perDay, samples, window } = this
    const reach = around / window
    let count = 0
    let known = 0
    for (let day = 1; day <= days; day++) {
      const before = count
      const same = slot - day * perDay
      for (let other = same - reach; other <= same + reach; other++) {
        const value = this.get(other)
        if (!Number.isNaN(value)) samples[count++] = value
      }
      if (count > before) known++
    }
    if (known >= minimumDays) {
      const { median, spread } = robust(samples.slice(0, count))
      const ceiling = this.ceiling(slot, median > 0 ? wide / window : this.perDay / 2)
      return { baseline: "days", expected: median, spread: Math.max(spread, median / 10), samples: count, ceiling }
    }
    const { recent } = this
    let found = 0
    for (let other = slot - recent.length; other < slot; other++) {
      const value = this.get(other)
      if (!Number.isNaN(value)) recent[found++] = value
    }
    if (found < enoughMinutes / window) return undefined
    const { median, spread } = robust(recent.slice(0, found))
    // Of one or two days that are known it is at least taken that they may be like this one.
    const yesterday = count === 0 ? 0 : robust(samples.slice(0, count)).median
    const expected = Math.max(median, yesterday)
    // Of so little that is known, all of it is no news.
    let ceiling = 0
    for (let other = Math.max(0, slot - this.values.length); other < slot; other++) {
      const value = this.get(other)
      if (value > ceiling) ceiling = value
    }
    return { baseline: "hours", expected, spread: Math.max(spread, expected / 4), samples: found, ceiling }
  }

  private ceiling(slot: number, reach: number): number {
    const { days, highest, perDay } = this
    let known = 0
    for (let day = 1; day <= days; day++) {
      let most = -1
      const same = slot - day * perDay
      for (let other = same - reach; other <= same + reach && other < slot; other++) {
        const value = this.get(other)
        if (value > most) most = value
      }
      if (most >= 0) highest[known++] = most
    }
    const sorted = highest.slice(0, known).toSorted()
    return sorted[Math.max(0, known - 2)] ?? 0
  }
}
