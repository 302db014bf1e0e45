/**
 * What a cache has done since it was made.
 */
import * as Money from "../../core/Money.ts"
import * as Usage from "../../core/Usage.ts"

export class Counts {
  hits = 0
  stale = 0
  misses = 0
  coalesced = 0
  bypassed = 0
  writes = 0
  refused = 0
  refreshes = 0
  failedRefreshes = 0
  storeErrors = 0
  undecodable = 0
  savedUsage: Usage.Usage = Usage.zero
  saved: Money.MicroUsd = Money.zero

  /** Takes note of what an answer that was not asked for would have cost. */
  save(usage: Usage.Usage | undefined, cost: Money.MicroUsd | undefined): void {
    if (usage !== undefined) this.savedUsage = Usage.add(this.savedUsage, usage)
    if (cost !== undefined) this.saved = Money.add(this.saved, cost)
  }

  /** As of now. */
  get now() {
    return { ...this }
  }
}
