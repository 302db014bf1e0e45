/**
 * What a hedge knows of the calls before: how long they took to open, and how many second requests they have paid for.
 */
import type { Call } from "../../core/Call.ts"
import { LatencyWindow } from "./hedgeLatencies.ts"

// Enough for a handful of stragglers at once.
const capacity = 5

export class Allowance {
  private readonly perCall: number
  private paid = 0
  // The first part of a stream comes much sooner than a whole answer.
  private readonly windows: { readonly [Mode in Call["mode"]]: LatencyWindow } | undefined

  constructor(perCall: number, window: number | undefined) {
    this.perCall = perCall
    this.windows = window === undefined
      ? undefined
      : { whole: new LatencyWindow(window), stream: new LatencyWindow(window) }
  }

  /** A call has come. */
  earn(): void {
    this.paid = Math.min(capacity, this.paid + this.perCall)
  }

  /** Takes one second request, where the calls so far have paid for it. */
  take(): boolean {
    // Fifty fiftieths make one, whatever the sum of them says.
    if (this.paid < 1 - 1e-9) return false
    this.paid = Math.max(0, this.paid - 1)
    return true
  }

  giveBack(): void {
    this.paid = Math.min(capacity, this.paid + 1)
  }

  /** From 0, where there is as much as there can be, to 1, where there is nothing. */
  get scarcity(): number {
    return 1 - this.paid / capacity
  }

  latencies(mode: Call["mode"]): LatencyWindow | undefined {
    return this.windows?.[mode]
  }
}
