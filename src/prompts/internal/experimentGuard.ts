/**
 * What was observed of calls in this process: the last ones, for whoever scores or compares them, and the last ones of each variant, for
 * guard-rails.
 */
import type { PromptReference } from "../../core/PromptReference.ts"
import type { Receipt } from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { LatencyWindow } from "../../policies/internal/hedgeLatencies.ts"
import type { Experiment, GuardRail } from "./experimentDocument.ts"
import { type Traffic, variantKey } from "./experimentTraffic.ts"

/** A call, as far as it says something about its prompt. */
export interface Observed {
  readonly operationId: string
  readonly prompt: PromptReference
  /** When it began, in milliseconds since 1970. */
  readonly at: number
  /** Whether it succeeded; `undefined` where that says nothing about the prompt. */
  readonly success: boolean | undefined
  /** What a model took and used for it; `undefined` where none was asked, or where it did not succeed. */
  readonly served: {
    readonly millis: number
    readonly inputTokens: number
    readonly outputTokens: number
  } | undefined
  /** In micro-dollars, where it is known, also where it failed; `undefined` where it came from a cache. */
  readonly cost: number | undefined
}

const fromCache = ({ cache }: Receipt): boolean => cache === "hit" || cache === "stale" || cache === "coalesced"

/** What a prompt is to blame for though nothing was sent. */
const ownFault = ["PromptInvalid", "ContextLengthExceeded"]

/**
 * Whoever goes away says nothing. Neither does a failure before anything was sent, for want of money, a permit or a closed circuit: it would
 * have been the same with any version.
 */
const successOf = ({ attempts, outcome }: Receipt): boolean | undefined =>
  outcome === "success"
    ? true
    : outcome === "interrupted" || attempts.length === 0 && !ownFault.includes(outcome)
    ? undefined
    : false

export const observedOf = (receipt: Receipt): Observed | undefined => {
  const { attempts, cost, degraded, operationId, prompt, startedAt, timings, usage } = receipt
  if (prompt === undefined) return undefined
  const success = successOf(receipt)
  const asked = !fromCache(receipt) && attempts.length > 0
  return {
    operationId,
    prompt,
    at: startedAt,
    // Where no model gave the answer, those that were asked have failed.
    success: degraded && success === true ? attempts.length === 0 ? undefined : false : success,
    served: asked && success === true && !degraded
      ? { millis: timings.totalMillis, inputTokens: Usage.input(usage), outputTokens: Usage.output(usage) }
      : undefined,
    cost: asked ? cost : undefined
  }
}

/** The last calls, by their ids. */
export class Recent {
  private readonly calls = new Map<string, Observed>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** Whether it was not there before. */
  add(call: Observed): boolean {
    if (this.calls.has(call.operationId)) return false
    this.calls.set(call.operationId, call)
    if (this.calls.size > this.limit) this.calls.delete(this.calls.keys().next().value!)
    return true
  }

  find(operationId: string): Observed | undefined {
    return this.calls.get(operationId)
  }

  get all(): ReadonlyArray<Observed> {
    return Array.from(this.calls.values())
  }
}

/** The last values, and their sum: of whole numbers it is exact. */
class SumWindow {
  private readonly values: Float64Array
  private next = 0
  size = 0
  sum = 0

  constructor(size: number) {
    this.values = new Float64Array(size)
  }

  add(value: number): void {
    this.sum += value - this.values[this.next]!
    this.values[this.next] = value
    this.next = (this.next + 1) % this.values.length
    this.size = Math.min(this.size + 1, this.values.length)
  }
}

/** One guard-rail of one variant. */
class Watch {
  private readonly rail: GuardRail
  private readonly sums: SumWindow
  private readonly latencies: LatencyWindow | undefined

  constructor(rail: GuardRail) {
    this.rail = rail
    this.sums = new SumWindow(rail.measure === "latency" ? 1 : rail.calls)
    this.latencies = rail.measure === "latency" ? new LatencyWindow(rail.calls) : undefined
  }

  /** Why the variant is to be stopped, if it is. */
  add({ cost, served, success }: Observed): string | undefined {
    const { above, calls, measure, quantile } = this.rail
    if (measure === "errorRate") {
      if (success === undefined) return undefined
      this.sums.add(success ? 0 : 1)
      // Compared as counts: a rate at the bound is not above it, whatever its digits are.
      return this.sums.size === calls && this.sums.sum > above * calls + 1e-9
        ? `${this.sums.sum} of the last ${calls} calls failed: more than ${above * 100} %`
        : undefined
    }
    if (measure === "cost") {
      if (cost === undefined) return undefined
      this.sums.add(cost)
      return this.sums.size === calls && this.sums.sum > above * calls
        ? `the last ${calls} calls cost ${Math.round(this.sums.sum / calls)} micro-dollars each: more than ${above}`
        : undefined
    }
    if (served === undefined) return undefined
    this.latencies!.add(served.millis)
    const millis = this.latencies!.quantile(quantile!)
    return this.latencies!.size === calls && millis > above
      ? `the ${quantile} quantile of the last ${calls} calls took ${Math.round(millis)} ms: more than ${above} ms`
      : undefined
  }
}

/** A variant is to be stopped. */
export interface Trip {
  readonly experiment: Experiment
  readonly variant: string
  readonly reason: string
}

export class Guard {
  private readonly watches = new Map<string, ReadonlyArray<Watch>>()
  private readonly tripped = new Set<string>()

  readonly halted = (key: string): boolean => this.tripped.has(key)

  /** Every call that is new is given to it once. */
  observe(call: Observed, traffic: Traffic): Trip | undefined {
    const { experiment: id, name, variant } = call.prompt
    if (id === undefined || variant === undefined || variant === "control") return undefined
    const experiment = traffic.find(name, id)?.experiment
    // A call from before belongs to an earlier experiment of that name.
    if (experiment === undefined || experiment.guardRails.length === 0 || call.at < experiment.startedAt) {
      return undefined
    }
    if (experiment.variants.find((known) => known.name === variant)?.version !== call.prompt.version) return undefined
    const key = variantKey(experiment, variant)
    if (this.tripped.has(key)) return undefined
    const watches = this.watches.get(key) ?? experiment.guardRails.map((rail) => new Watch(rail))
    this.watches.set(key, watches)
    // Each of them sees each call.
    const reason = watches.map((watch) => watch.add(call)).find((reason) => reason !== undefined)
    if (reason === undefined) return undefined
    this.tripped.add(key)
    return { experiment, variant, reason }
  }

  /** Forgets experiments that are over. */
  keep(traffic: Traffic): void {
    const keys = new Set(
      traffic.all.flatMap(({ experiment }) => experiment.variants.map(({ name }) => variantKey(experiment, name)))
    )
    for (const key of this.watches.keys()) if (!keys.has(key)) this.watches.delete(key)
    for (const key of this.tripped) if (!keys.has(key)) this.tripped.delete(key)
  }
}
