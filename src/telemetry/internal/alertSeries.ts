/**
 * What is watched of the calls of one feature to one model, of one feature, or of all calls.
 */
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { Errors } from "./alertErrors.ts"
import type { SeriesState } from "./alertHistory.ts"
import { type Alert, alertOf, type Finding, keyOf, type Subject, type Unit } from "./alertModel.ts"
import { minute as minuteMillis, type Settings } from "./alertSettings.ts"
import { Spend } from "./alertSpend.ts"
import { fraction, Tokens } from "./alertTokens.ts"
import type { Change, Watch } from "./alertWatch.ts"

/** Which alerts there are, as bits: what explains a part explains the whole. */
export type Explained = number

const bit = { microUsd: 1, tokens: 4, errors: 16 } as const

export type Emit = (alert: Alert) => void

/** What a request used, where that can be a number of tokens. */
const tokensOf = (usage: Usage.Usage | undefined): number | undefined => {
  if (usage === undefined) return undefined
  const tokens = Usage.input(usage) + Usage.output(usage)
  return tokens >= 0 && tokens < Infinity ? tokens : undefined
}

export class Series {
  /** The last minute with a call. */
  seen: number
  /** What firing alerts there are. */
  explained: Explained = 0
  private money: Spend | undefined = undefined
  private tokens: Spend | undefined = undefined
  private perCall: Tokens | undefined = undefined
  private errors: Errors | undefined = undefined
  readonly subject: Subject
  private readonly settings: Settings
  private readonly emit: Emit
  private alerts = new Map<string, { readonly watch: Watch; readonly found: () => Finding }>()

  constructor(settings: Settings, subject: Subject, minute: number, emit: Emit) {
    this.settings = settings
    this.subject = subject
    this.seen = minute
    this.emit = emit
  }

  /** A request has been made. */
  request(attempt: Receipt.Attempt, minute: number): void {
    this.seen = minute
    const { settings } = this
    const tokens = tokensOf(attempt.usage)
    if (settings.spendRate !== undefined || settings.spendStep !== undefined) {
      const { cost } = attempt
      if (cost !== undefined && cost >= 0 && cost < Infinity) this.spent("microUsd", cost, minute)
      else if (tokens !== undefined && tokens > 0) this.spent("tokens", tokens, minute)
    }
    if (this.subject.scope !== "model") return
    if (settings.tokensPerCall !== undefined && tokens !== undefined && tokens > 0) {
      const perCall = this.perCall ??= new Tokens(settings, settings.tokensPerCall)
      const logarithm = Math.log2(tokens)
      perCall.calls++
      perCall.sum += Math.round(logarithm * fraction)
      perCall.squares += Math.round(logarithm * logarithm * fraction)
    }
    this.ended(attempt.outcome, minute)
  }

  /** A request or an operation has ended. Whoever goes away before has not failed. */
  ended(outcome: string, minute: number): void {
    this.seen = minute
    if (this.settings.errorRate === undefined || outcome === "interrupted") return
    const errors = this.errors ??= new Errors(this.settings, this.settings.errorRate)
    errors.calls++
    if (outcome !== "success") errors.errors++
  }

  private spent(unit: Unit, amount: number, minute: number): void {
    const spend = unit === "microUsd"
      ? this.money ??= new Spend(this.settings, unit, minute)
      : this.tokens ??= new Spend(this.settings, unit, minute)
    spend.add(amount)
  }

  /** A minute is over: decides, and tells. `explained` is what the parts have alerts of. */
  close(minute: number, explained: Explained): void {
    this.explained = explained
    for (const spend of [this.money, this.tokens]) if (spend !== undefined) this.closeSpend(spend, minute, explained)
    const { errors, perCall } = this
    if (perCall !== undefined) {
      this.tell(perCall.check(minute, false), perCall.watch, () => perCall.found(), minute, "")
    }
    if (errors !== undefined) {
      const change = errors.check(minute, (explained & bit.errors) !== 0)
      this.tell(change, errors.watch, () => errors.found(), minute, "")
      if (errors.watch.firing) this.explained |= bit.errors
    }
  }

  private closeSpend(spend: Spend, minute: number, explained: Explained): void {
    const { unit } = spend
    const more = unit === "tokens" ? "/tokens" : ""
    const [rate, jump] = [bit[unit], bit[unit] * 2]
    spend.close(minute)
    const began = (change: Change) => change === "begins"
    const rated = spend.checkRate(minute, (explained & rate) !== 0)
    this.tell(rated, spend.rate, () => spend.foundRate(), minute, more)
    const jumped = spend.checkJump(minute, (explained & jump) !== 0)
    const first = began(jumped)
    this.tell(jumped, spend.jump, () => spend.foundJump(first), minute, more)
    if (spend.rate.firing) this.explained |= rate
    if (spend.jump.firing) this.explained |= jump
    spend.next(minute)
  }

  private tell(change: Change, watch: Watch, found: () => Finding, minute: number, more: string): void {
    if (change === undefined) return
    const finding = found()
    const key = keyOf(finding._tag, this.subject, more)
    const resolution = change === "begins" || change === "again" ? undefined : change
    if (resolution === undefined) this.alerts.set(key, { watch, found })
    else this.alerts.delete(key)
    this.emit(
      alertOf(finding, this.subject, key, watch.began * minuteMillis, (minute + 1) * minuteMillis, resolution)
    )
  }

  /** Whether there are alerts of it. */
  get firing(): boolean {
    return this.alerts.size > 0
  }

  /** The time from the last minute to this one was not watched. */
  skip(minute: number): void {
    this.money?.skip(minute)
    this.tokens?.skip(minute)
    this.errors?.skip()
  }

  save(): SeriesState {
    const { feature, model, scope } = this.subject
    return {
      scope,
      ...(feature === undefined ? undefined : { feature }),
      ...(model === undefined ? undefined : { model }),
      seen: this.seen,
      ...(this.money === undefined ? undefined : { money: this.money.save() }),
      ...(this.tokens === undefined ? undefined : { tokens: this.tokens.save() }),
      ...(this.perCall === undefined ? undefined : { perCall: this.perCall.save() }),
      ...(this.errors === undefined ? undefined : { errors: this.errors.save() })
    }
  }

  load(state: SeriesState, minute: number, fresh: boolean): void {
    const { settings } = this
    this.seen = Math.min(minute, state.seen)
    if (state.money !== undefined) {
      this.money = new Spend(settings, "microUsd", minute)
      this.money.load(state.money, minute, fresh)
    }
    if (state.tokens !== undefined) {
      this.tokens = new Spend(settings, "tokens", minute)
      this.tokens.load(state.tokens, minute, fresh)
    }
    if (state.perCall !== undefined && settings.tokensPerCall !== undefined) {
      this.perCall = new Tokens(settings, settings.tokensPerCall)
      this.perCall.load(state.perCall)
    }
    if (state.errors !== undefined && settings.errorRate !== undefined) {
      this.errors = new Errors(settings, settings.errorRate)
      this.errors.load(state.errors)
    }
  }
}
