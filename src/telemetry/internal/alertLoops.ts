/**
 * How often the same is asked, in bounded memory: the Space-Saving sketch, within each of 256 sets of 8 counters.
 *
 * What is asked belongs to one set by its hash. If it has no counter there, it takes over the one that counts least, with its count as the
 * error: so the most a set can be wrong is known, and what is certain (the count less the error) is what decides. All of it takes the time
 * of looking at eight counters. A window slides as far as two periods of it can tell: all of this one, and what is left of the last.
 *
 * Metwally, A.; Agrawal, D.; El Abbadi, A.: Efficient Computation of Frequent and Top-k Elements in Data Streams. ICDT (2005).
 */

const sets = 256
const ways = 8

const none = -1

export class Loops {
  private readonly hashes = new Float64Array(sets * ways).fill(none)
  private readonly counts = new Float64Array(sets * ways)
  private readonly errors = new Float64Array(sets * ways)
  /** What was certain of the period before. */
  private readonly before = new Float64Array(sets * ways)
  private readonly costs = new Float64Array(sets * ways)
  private readonly costsBefore = new Float64Array(sets * ways)
  private readonly firsts = new Float64Array(sets * ways)
  private readonly periods = new Float64Array(sets * ways)
  private readonly window: number

  /** In milliseconds. */
  constructor(window: number) {
    this.window = window
  }

  /** Counts it; where it is counted, to ask the others. */
  add(hash: number, at: number, cost: number): number {
    const first = (hash % sets) * ways
    let least = first
    let fewest = Infinity
    for (let entry = first; entry < first + ways; entry++) {
      this.roll(entry, at)
      if (this.hashes[entry] === hash) {
        this.counts[entry]! += 1
        this.costs[entry]! += cost
        return entry
      }
      const count = this.hashes[entry] === none ? -1 : this.counts[entry]! + this.before[entry]! * this.left(at)
      if (count < fewest) {
        fewest = count
        least = entry
      }
    }
    const inherited = Math.max(0, fewest)
    this.hashes[least] = hash
    this.counts[least] = inherited + 1
    this.errors[least] = inherited
    this.before[least] = 0
    this.costs[least] = cost
    this.costsBefore[least] = 0
    this.firsts[least] = at
    return least
  }

  /** How often it was counted in the window that ends now, at least. 0 where the counter is another's by now. */
  count(entry: number, hash: number, at: number): number {
    if (this.hashes[entry] !== hash) return 0
    this.roll(entry, at)
    return this.counts[entry]! - this.errors[entry]! + this.before[entry]! * this.left(at)
  }

  /** What these calls have cost. */
  cost(entry: number): number {
    return this.costs[entry]! + this.costsBefore[entry]!
  }

  /** When it was first counted, of late. */
  first(entry: number): number {
    return this.firsts[entry]!
  }

  /** How much of the period before is in the window. */
  private left(at: number): number {
    return 1 - (at % this.window) / this.window
  }

  private roll(entry: number, at: number): void {
    const period = Math.floor(at / this.window)
    const last = this.periods[entry]!
    if (last === period) return
    this.periods[entry] = period
    const next = last === period - 1
    this.before[entry] = next ? this.counts[entry]! - this.errors[entry]! : 0
    this.costsBefore[entry] = next ? this.costs[entry]! : 0
    if (!next) this.firsts[entry] = at
    this.counts[entry] = 0
    this.errors[entry] = 0
    this.costs[entry] = 0
  }
}
