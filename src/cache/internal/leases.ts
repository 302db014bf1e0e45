/**
 * Leases that one process knows of.
 */
export class Leases {
  private readonly held = new Map<string, { readonly holder: string; readonly until: number }>()
  private sweepAt = 1_000

  lease(key: string, holder: string, now: number, millis: number): boolean {
    const lease = this.held.get(key)
    if (lease !== undefined && lease.holder !== holder && lease.until > now) return false
    this.held.set(key, { holder, until: now + millis })
    if (this.held.size >= this.sweepAt) this.sweep(now)
    return true
  }

  release(key: string, holder: string): void {
    if (this.held.get(key)?.holder === holder) this.held.delete(key)
  }

  // What nobody has released, because it died, goes when there is twice as much as was held when it was last looked at.
  private sweep(now: number): void {
    for (const [key, { until }] of this.held) {
      if (until <= now) this.held.delete(key)
    }
    this.sweepAt = Math.max(1_000, this.held.size * 2)
  }
}
