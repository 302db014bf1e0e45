/**
 * All that is watched: from receipts, in the order of time, to alerts.
 *
 * A call only adds numbers up. What they mean is decided once a minute, for at most so many series, by time as it is told: so a month can
 * pass in a second.
 */
import type * as Receipt from "../../core/Receipt.ts"
import { other } from "../Conventions.ts"
import { Fingerprint } from "./alertFingerprint.ts"
import type { History, SeriesState } from "./alertHistory.ts"
import { Loops } from "./alertLoops.ts"
import { type Alert, alertOf, type Finding, keyOf, type Resolution, type Subject } from "./alertModel.ts"
import { type Emit, type Explained, Series } from "./alertSeries.ts"
import { type LoopSettings, minute as minuteMillis, type Settings } from "./alertSettings.ts"

/** Longer names are not kept. */
const longestName = 128

/** What had no call for so many minutes makes room where that is needed, or, after so many, anyway. */
const idleMinutes = 1_440

/** After a step of the clock beyond that, the past is not what came just before. In minutes. */
const jump = 10

/** No more loops are told of at once. */
const mostLoops = 100

interface Feature {
  readonly series: Series
  readonly models: Map<string, Series>
}

interface Looping {
  readonly subject: Subject
  readonly hash: number
  readonly entry: number
  readonly began: number
  readonly tenant: string | undefined
  toldAt: number
}

export class Engine {
  private readonly features = new Map<string | undefined, Feature>()
  private leaves = 0
  private readonly all: Series
  private readonly otherFeature: Feature
  private readonly otherLeaf: Series
  private readonly loops: Loops | undefined
  private readonly looping = new Map<string, Looping>()
  private readonly ended = new Map<string, number>()
  private readonly firing = new Map<string, Alert>()
  /** The minute under way, once there is one. */
  private minute: number | undefined = undefined
  /** The latest time that was told. */
  private now = 0
  private readonly settings: Settings
  private readonly tell: Emit

  constructor(settings: Settings, emit: Emit) {
    this.settings = settings
    this.tell = (alert) => {
      if (alert.state === "firing") {
        this.firing.set(alert.key, alert)
        return emit(alert)
      }
      // Whoever was told of the beginning is to be told of the end.
      const severity = this.firing.get(alert.key)?.severity ?? alert.severity
      this.firing.delete(alert.key)
      emit({ ...alert, severity })
    }
    this.all = this.make({ scope: "all", feature: undefined, model: undefined }, 0)
    this.otherFeature = this.makeFeature(other, 0)
    this.otherLeaf = this.make({ scope: "model", feature: other, model: other }, 0)
    this.loops = settings.loop === undefined ? undefined : new Loops(settings.loop.windowMillis)
  }

  private make(subject: Subject, minute: number): Series {
    return new Series(this.settings, subject, minute, this.tell)
  }

  private makeFeature(feature: string | undefined, minute: number): Feature {
    return { series: this.make({ scope: "feature", feature, model: undefined }, minute), models: new Map() }
  }

  /** Whether there is anything to decide. */
  get started(): boolean {
    return this.minute !== undefined
  }

  /** How many series there are. */
  get size(): number {
    return this.features.size + this.leaves
  }

  /** Alerts that are not over, the oldest first. */
  get active(): ReadonlyArray<Alert> {
    return [...this.firing.values()]
  }

  /** An operation is over. */
  observe(receipt: Receipt.Receipt, fingerprint: string | number | undefined, at: number): void {
    const minute = this.minute ??= this.begin(at)
    this.now = Math.max(this.now, at)
    const feature = this.featureOf(receipt.attribution.feature, minute)
    const { attempts, outcome } = receipt
    feature.series.ended(outcome, minute)
    this.all.ended(outcome, minute)
    for (const attempt of attempts) {
      this.leafOf(feature, attempt.model, minute).request(attempt, minute)
      feature.series.request(attempt, minute)
      this.all.request(attempt, minute)
    }
    // What a cache has answered has cost nothing, however often it is asked.
    if (fingerprint !== undefined && this.loops !== undefined && attempts.length > 0) {
      this.count(this.loops, this.settings.loop!, receipt, fingerprint, feature)
    }
  }

  private begin(at: number): number {
    return Math.floor(at / minuteMillis)
  }

  private featureOf(name: string | undefined, minute: number): Feature {
    const known = this.features.get(name)
    if (known !== undefined) return known
    if (name !== undefined && (name.length > longestName || name === other)) return this.otherFeature
    if (this.features.size >= this.settings.maxSeries) return this.otherFeature
    const feature = this.makeFeature(name, minute)
    this.features.set(name, feature)
    return feature
  }

  private leafOf(feature: Feature, model: string, minute: number): Series {
    const known = feature.models.get(model)
    if (known !== undefined) return known
    if (feature === this.otherFeature || model.length > longestName || this.leaves >= this.settings.maxSeries) {
      return this.otherLeaf
    }
    const leaf = this.make({ scope: "model", feature: feature.series.subject.feature, model }, minute)
    feature.models.set(model, leaf)
    this.leaves++
    return leaf
  }

  /** Time has come to a moment. Where it has come further than `maxGap` minutes, nobody watched meanwhile. */
  advance(at: number, maxGap = jump): void {
    if (this.minute === undefined) return
    const target = Math.floor(at / minuteMillis)
    if (target < this.minute - jump || target > this.minute + maxGap) return this.skip(target)
    while (this.minute < target) this.close(this.minute++)
    this.now = Math.max(this.now, at)
  }

  /** Decides about a minute that is over. */
  private close(minute: number): void {
    let overall: Explained = 0
    for (const feature of this.features.values()) overall |= this.closeFeature(feature, minute)
    this.otherLeaf.close(minute, 0)
    this.otherFeature.series.close(minute, this.otherLeaf.explained)
    this.all.close(minute, overall | this.otherFeature.series.explained)
    this.closeLoops((minute + 1) * minuteMillis)
    if ((minute + 1) % 60 === 0) this.makeRoom(minute)
  }

  private closeFeature({ models, series }: Feature, minute: number): Explained {
    let explained: Explained = 0
    for (const leaf of models.values()) {
      leaf.close(minute, 0)
      explained |= leaf.explained
    }
    series.close(minute, explained)
    return series.explained
  }

  private skip(minute: number): void {
    this.minute = minute
    this.now = minute * minuteMillis
    for (const { models, series } of [...this.features.values(), this.otherFeature]) {
      series.skip(minute)
      for (const leaf of models.values()) leaf.skip(minute)
    }
    this.otherLeaf.skip(minute)
    this.all.skip(minute)
  }

  /** Forgets whom nobody has seen for long, so that those who come late have their place. */
  private makeRoom(minute: number): void {
    const { days, maxSeries } = this.settings
    const full = this.leaves >= maxSeries || this.features.size >= maxSeries
    const least = minute - (full ? idleMinutes : days.days * idleMinutes)
    const idle = (series: Series) => series.seen < least && !series.firing
    for (const [name, { models, series }] of this.features) {
      for (const [model, leaf] of models) {
        if (!idle(leaf)) continue
        models.delete(model)
        this.leaves--
      }
      if (models.size === 0 && idle(series)) this.features.delete(name)
    }
  }

  private count(
    loops: Loops,
    settings: LoopSettings,
    receipt: Receipt.Receipt,
    fingerprint: string | number,
    feature: Feature
  ): void {
    const { attribution, attempts } = receipt
    const { now } = this
    const hash = new Fingerprint()
      .add(attribution.feature)
      .add(attribution.tenant)
      .add(attribution.user)
      .add(fingerprint)
      .number
    const cost = receipt.cost ?? 0
    const entry = loops.add(hash, now, cost >= 0 && cost < Infinity ? cost : 0)
    const count = loops.count(entry, hash, now)
    if (count < settings.times || this.looping.size >= mostLoops) return
    if (receipt.cost !== undefined && loops.cost(entry) < settings.minimumCost) return
    const model = attempts.at(-1)?.model
    const leaf = model === undefined ? this.otherLeaf : this.leafOf(feature, model, this.minute!)
    const key = keyOf("Loop", leaf.subject, `/${fingerprintOf(hash)}`)
    if (this.looping.has(key) || now < (this.ended.get(key) ?? -Infinity)) return
    const looping: Looping = {
      subject: leaf.subject,
      hash,
      entry,
      began: loops.first(entry),
      tenant: settings.tenant ? attribution.tenant : undefined,
      toldAt: now
    }
    this.looping.set(key, looping)
    this.tellLoop(loops, settings, key, looping, now, undefined)
  }

  private tellLoop(
    loops: Loops,
    settings: LoopSettings,
    key: string,
    looping: Looping,
    at: number,
    resolution: Resolution | undefined
  ): void {
    const { began, entry, hash, subject, tenant } = looping
    const count = Math.floor(loops.count(entry, hash, at))
    const cost = resolution === "gone" ? 0 : loops.cost(entry)
    const fast = at - began <= settings.windowMillis / 4
    const finding: Finding = {
      _tag: "Loop",
      severity: fast && resolution === undefined ? "critical" : "warning",
      observed: count,
      expected: settings.times,
      ...(cost > 0 ? { cost } : undefined),
      fingerprint: fingerprintOf(hash),
      ...(tenant === undefined ? undefined : { tenant }),
      evidence: {
        windowMillis: settings.windowMillis,
        calls: count,
        baseline: "limit",
        samples: 0,
        median: 0,
        spread: 0,
        score: count,
        threshold: settings.times
      }
    }
    this.tell(alertOf(finding, subject, key, began, at, resolution))
  }

  private closeLoops(at: number): void {
    const { loops, settings: { coolDown, loop, repeatEvery } } = this
    if (loops === undefined || loop === undefined) return
    for (const [key, until] of this.ended) if (until <= at) this.ended.delete(key)
    for (const [key, looping] of this.looping) {
      const count = loops.count(looping.entry, looping.hash, at)
      if (count < loop.times / 2) {
        this.looping.delete(key)
        this.ended.set(key, at + coolDown * minuteMillis)
        this.tellLoop(loops, loop, key, looping, at, count === 0 ? "gone" : "recovered")
      } else if (repeatEvery !== undefined && at - looping.toldAt >= repeatEvery * minuteMillis) {
        looping.toldAt = at
        this.tellLoop(loops, loop, key, looping, at, undefined)
      }
    }
  }

  /** What is known of the past. */
  save(): History {
    const series: Array<SeriesState> = []
    if (this.minute !== undefined) {
      series.push(this.all.save(), this.otherFeature.series.save(), this.otherLeaf.save())
      for (const feature of this.features.values()) {
        series.push(feature.series.save())
        for (const leaf of feature.models.values()) series.push(leaf.save())
      }
    }
    return { version: 1, at: this.now, windowMillis: this.settings.window * minuteMillis, series }
  }

  /** Begins with what is known of the past. To be called once, before anything else. */
  load(history: History, at: number): void {
    if (history.series.length === 0) return
    const minute = this.begin(at)
    this.minute = minute
    this.now = at
    const fresh = Math.abs(at - history.at) <= jump * minuteMillis
    for (const state of history.series) this.place(state, minute)?.load(state, minute, fresh)
  }

  /** Where it belongs; nowhere, where there is no more room for it. */
  private place({ feature, model, scope }: SeriesState, minute: number): Series | undefined {
    if (scope === "all") return this.all
    const place = this.featureOf(feature, minute)
    if (place === this.otherFeature && feature !== other) return undefined
    if (scope === "feature") return place.series
    const leaf = this.leafOf(place, model ?? other, minute)
    return leaf === this.otherLeaf && model !== other ? undefined : leaf
  }
}

/** For people to tell by. */
const fingerprintOf = (hash: number): string => hash.toString(16).padStart(14, "0")
