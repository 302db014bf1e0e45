/**
 * Quantiles of what was measured last.
 */

/** Keeps the last measurements, in the order in which they came and in order of size: a call must not cost a sort. */
export class LatencyWindow {
  private readonly arrived: Float64Array
  private readonly sorted: Float64Array
  private count = 0
  private next = 0

  constructor(size: number) {
    this.arrived = new Float64Array(size)
    this.sorted = new Float64Array(size)
  }

  /** How many measurements there are. */
  get size(): number {
    return this.count
  }

  add(millis: number): void {
    const { arrived, sorted } = this
    if (this.count === arrived.length) {
      const oldest = this.firstAtLeast(arrived[this.next]!)
      sorted.copyWithin(oldest, oldest + 1, this.count)
      this.count--
    }
    const at = this.firstAtLeast(millis)
    sorted.copyWithin(at + 1, at, this.count)
    sorted[at] = millis
    arrived[this.next] = millis
    this.next = (this.next + 1) % arrived.length
    this.count++
  }

  /** The smallest measurement that a share of all is not above. There must be one. */
  quantile(share: number): number {
    return this.sorted[Math.max(0, Math.ceil(share * this.count) - 1)]!
  }

  private firstAtLeast(millis: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.sorted[middle]! < millis) low = middle + 1
      else high = middle
    }
    return low
  }
}
