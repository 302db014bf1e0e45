/**
 * Whether more calls fail than usual: a test of the share of failures against what it was, over the last minutes.
 *
 * The score is the signed root of the likelihood ratio of a binomial share: as many standard deviations as the share of this many calls is
 * from what is usual, and right also for few calls and for shares near 0, where the usual z-test is not. The last one, two, three and so on
 * minutes of the window are tested, and the highest score counts, so that a sudden outage does not have to fill the window. What is usual
 * is the share of the past days, of which half is forgotten a day, and of one failure in a hundred calls where nothing is known yet.
 *
 * Wilks, S. S.: The Large-Sample Distribution of the Likelihood Ratio for Testing Composite Hypotheses. Annals of Mathematical Statistics 9
 * (1938); Kulldorff, M.: A Spatial Scan Statistic. Communications in Statistics 26 (1997).
 */
import type { Finding } from "./alertModel.ts"
import type { ErrorRateSettings, Settings } from "./alertSettings.ts"
import { rounded } from "./alertSpend.ts"
import { type Change, Watch } from "./alertWatch.ts"

/** What is taken to be known of calls of which nothing is. */
const priorErrors = 1
const priorCalls = 100

/** Calls until it is known what is usual. */
const needed = 100

/** What is left of the past after a minute. */
const retained = 0.5 ** (1 / 1_440)

/** Half of the calls. */
const critical = 0.5

export interface ErrorsState {
  readonly errors: number
  readonly calls: number
}

/** How many standard deviations a share of `errors` in `calls` is above another one. */
export const deviations = (errors: number, calls: number, usual: number): number => {
  const share = errors / calls
  if (share <= usual) return 0
  const divergence = share * Math.log(share / usual) +
    (share < 1 ? (1 - share) * Math.log((1 - share) / (1 - usual)) : 0)
  return Math.sqrt(2 * calls * Math.max(0, divergence))
}

export class Errors {
  /** This minute. */
  errors = 0
  calls = 0
  readonly watch: Watch
  private readonly failed: Float64Array
  private readonly asked: Float64Array
  private knownErrors = 0
  private knownCalls = 0
  /** The stretch with the highest score. */
  private score = 0
  private minutes = 1
  private stretchErrors = 0
  private stretchCalls = 0
  private readonly settings: ErrorRateSettings
  private readonly window: number

  constructor(settings: Settings, own: ErrorRateSettings) {
    this.settings = own
    this.window = settings.window
    this.failed = new Float64Array(settings.window)
    this.asked = new Float64Array(settings.window)
    this.watch = new Watch(settings, own)
  }

  /** The share of calls that usually fail. */
  get usual(): number {
    // Where all calls have failed, one more that does says nothing.
    return Math.min(0.99, (this.knownErrors + priorErrors) / (this.knownCalls + priorCalls))
  }

  /** To be asked once a minute. */
  check(minute: number, held: boolean): Change {
    const { asked, failed, settings, watch, window } = this
    const at = minute % window
    this.knownErrors *= retained
    this.knownCalls *= retained
    if (!watch.firing) {
      // What leaves the window is part of the past.
      this.knownErrors += failed[at]!
      this.knownCalls += asked[at]!
    }
    failed[at] = this.errors
    asked[at] = this.calls
    this.errors = 0
    this.calls = 0
    this.scan(minute)
    const { stretchCalls, stretchErrors, usual } = this
    const share = stretchCalls === 0 ? 0 : stretchErrors / stretchCalls
    const hot = this.knownCalls >= needed && this.score >= settings.sensitivity &&
      stretchErrors >= settings.minimumErrors && share - usual >= settings.minimumIncrease
    const cool = this.score < settings.sensitivity / 2 || share - usual < settings.minimumIncrease / 2
    const began = watch.firing ? watch.began : minute - this.minutes + 1
    const change = watch.update(minute, hot, cool, held)
    if (change === "begins") watch.began = Math.min(watch.began, began)
    if (change === "accepted") this.restart()
    return change
  }

  private scan(minute: number): void {
    const { asked, failed, settings, usual, window } = this
    let errors = 0
    let calls = 0
    this.score = 0
    this.minutes = window
    for (let back = 0; back < window; back++) {
      const at = (minute - back + window) % window
      errors += failed[at]!
      calls += asked[at]!
      // With too few calls in all of the window, the window is what there is.
      if (calls < settings.minimumCalls) continue
      const score = deviations(errors, calls, usual)
      if (score <= this.score) continue
      this.score = score
      this.minutes = back + 1
      this.stretchErrors = errors
      this.stretchCalls = calls
    }
    if (this.score > 0) return
    this.stretchErrors = errors
    this.stretchCalls = calls
  }

  /** It is what is usual now. */
  private restart(): void {
    this.knownErrors = 0
    this.knownCalls = 0
    for (const count of this.failed) this.knownErrors += count
    for (const count of this.asked) this.knownCalls += count
    // It must outweigh what is taken to be known.
    const weight = Math.max(1, priorCalls * 10 / Math.max(1, this.knownCalls))
    this.knownErrors *= weight
    this.knownCalls *= weight
  }

  /** Nobody watched for a time. */
  skip(): void {
    this.errors = 0
    this.calls = 0
    this.failed.fill(0)
    this.asked.fill(0)
  }

  found(): Finding {
    const { stretchCalls, stretchErrors, usual } = this
    const share = stretchCalls === 0 ? 0 : stretchErrors / stretchCalls
    return {
      _tag: "ErrorRate",
      severity: share >= critical ? "critical" : "warning",
      observed: rounded(share),
      expected: rounded(usual),
      errors: stretchErrors,
      evidence: {
        windowMillis: this.minutes * 60_000,
        calls: stretchCalls,
        baseline: "days",
        samples: Math.round(this.knownCalls),
        median: rounded(usual),
        spread: rounded(Math.sqrt(usual * (1 - usual) / Math.max(1, stretchCalls))),
        score: rounded(this.score),
        threshold: this.settings.sensitivity
      }
    }
  }

  save(): ErrorsState {
    let { knownCalls, knownErrors } = this
    if (!this.watch.firing) {
      for (const count of this.failed) knownErrors += count
      for (const count of this.asked) knownCalls += count
    }
    return { errors: knownErrors, calls: knownCalls }
  }

  load(state: ErrorsState): void {
    this.knownErrors = state.errors
    this.knownCalls = state.calls
  }
}
