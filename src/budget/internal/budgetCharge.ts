/**
 * One request in the books: reserved before it is sent, settled once after, at whichever end comes first.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Account, Asked, Call, Charge, Cost, Ending, Settings } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"
import * as Money from "../../core/Money.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import type { Balance, BudgetStoreError, Line, Outcome } from "../BudgetStore.ts"
import type { Books, Change, Requested } from "./budgetBooks.ts"
import type { Ready } from "./budgetLimits.ts"
import { type Amounts, atMost, nothing, type Quote, quote, type Quoting, type Spent, spent } from "./budgetQuote.ts"

export interface AccountOptions extends Pick<Quoting, "pricing" | "counter" | "maxOutputTokens"> {
  readonly books: Books
  readonly onStoreError: "allow" | "fail"
  readonly unreported: "seen" | "quote"
}

/** What the call itself has used and holds, for the limits of one call. */
interface OfCall {
  used: number
  held: number
}

/** The account of one call. */
export class CallAccount implements Account {
  readonly options: AccountOptions
  readonly call: Call
  readonly ofCall: ReadonlyArray<OfCall>

  constructor(options: AccountOptions, call: Call, ofCall?: ReadonlyArray<OfCall>) {
    this.options = options
    this.call = call
    this.ofCall = ofCall ?? options.books.ofCall.map(() => ({ used: 0, held: 0 }))
  }

  /** The same account, where requests without a bound of their answer get another one. */
  within(maxOutputTokens: number | undefined): CallAccount {
    return maxOutputTokens === undefined
      ? this
      : new CallAccount({ ...this.options, maxOutputTokens }, this.call, this.ofCall)
  }

  charge(asked: Asked): Charge {
    return new BudgetCharge(this, asked)
  }
}

/** 96 random bits. */
export const reservationId = (fiber: Fiber.Fiber<unknown, unknown>): string => {
  const random = fiber.getRef(Random.Random)
  const bits = () => Math.floor(random.nextDoubleUnsafe() * 2 ** 48).toString(16).padStart(12, "0")
  return `res_${bits()}${bits()}`
}

const noCost: Cost = { amount: undefined, estimated: false }

const unsent: Spent = { amounts: nothing, cost: Money.zero, estimated: false }

class BudgetCharge implements Charge {
  /**
   * `asking`: the store may hold it. `held`: it does. `uncounted`: it could not be asked, and the request is sent all the same.
   * `over`: there is nothing left to do.
   */
  private state: "idle" | "asking" | "held" | "uncounted" | "over" = "idle"
  private id = ""
  private reservedAt = 0
  private quoted: Quote | undefined = undefined
  private lines: ReadonlyArray<Line> = []
  private balances: ReadonlyArray<Balance> = []
  private cost = noCost
  private readonly account: CallAccount
  private readonly asked: Asked
  private readonly books: Books

  constructor(account: CallAccount, asked: Asked) {
    this.account = account
    this.asked = asked
    this.books = account.options.books
  }

  get reserve(): Effect.Effect<Settings, LlmError.BudgetExceeded | LlmError.StoreUnavailable | LlmError.UnknownPrice> {
    const { books } = this
    return Effect.flatMap(
      quote(this.asked, { ...this.account.options, limited: books.limited }),
      (quoted) =>
        Effect.withFiber((fiber) => {
          const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
          this.id = reservationId(fiber)
          this.reservedAt = now
          this.quoted = quoted
          const full = this.takeOfCall(quoted.most)
          if (full !== undefined) return this.exceeded(full.limit, { used: full.used, reserved: full.held })
          this.state = "asking"
          this.lines = books.lines(this.attribution, quoted.most, now)
          const held = this.lines.length === 0 ? this.holds([]) : this.askStore
          return Effect.as(held, quoted.settings)
        })
    )
  }

  private get attribution() {
    return this.account.call.attribution
  }

  private get askStore(): Effect.Effect<void, LlmError.BudgetExceeded | LlmError.StoreUnavailable> {
    const { books, id, lines } = this
    return Effect.matchCauseEffect(books.reserve(id, lines, this.reservedAt), {
      onFailure: (cause) =>
        // It is settled where it ends: the store may hold it.
        Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : this.unavailable(cause),
      onSuccess: (verdict) => {
        switch (verdict._tag) {
          case "Reserved":
            return this.holds(verdict.balances)
          case "Exceeded":
            return this.exceeded(books.shared[verdict.line]!, verdict.balance)
          case "Repeated":
            return Effect.die(new Error("The id of a reservation was used before: the ids of `Random` repeat"))
        }
      }
    })
  }

  private holds(balances: ReadonlyArray<Balance>): Effect.Effect<void> {
    this.state = "held"
    this.balances = balances
    if (this.account.call.recorder.watch !== undefined) {
      const { most, price } = this.quoted!
      this.noteAmounts("Reserved", most.tokens, price === undefined ? undefined : most.usd, false)
      this.noteBalances(undefined)
    }
    return Effect.andThen(
      this.books.publish((at) => this.change("Reserved", at, this.quoted!.most)),
      this.warn(nothing)
    )
  }

  private exceeded(limit: Ready, balance: Balance): Effect.Effect<never, LlmError.BudgetExceeded> {
    const { model, provider } = this.asked
    const { most, resource, scope, window } = limit
    const { until } = limit.period(this.reservedAt)
    // Of the limits of one call something is held only where the store has refused.
    this.leaveOfCall(this.state === "asking" ? nothing : undefined)
    this.state = "over"
    this.account.call.recorder.note({ _tag: "Refused", scope, resource, window })
    const error = new LlmError.BudgetExceeded({
      provider,
      model,
      scope,
      resource,
      window,
      limit: most,
      used: balance.used,
      reserved: balance.reserved,
      requested: this.quoted!.most[resource],
      ...(until === undefined ? undefined : { resetsAt: DateTime.makeUnsafe(until) })
    })
    return Effect.andThen(
      this.books.publish((at) => ({ _tag: "Exceeded", at, attribution: this.attribution, error })),
      Effect.fail(error)
    )
  }

  private unavailable(cause: Cause.Cause<unknown>): Effect.Effect<void, LlmError.StoreUnavailable> {
    const { model, provider } = this.asked
    if (this.account.options.onStoreError === "allow") {
      this.state = "uncounted"
      return reportUnhandled("Budget could not reach its store: the request is sent, and booked when it can be", cause)
    }
    return Effect.andThen(
      reportUnhandled("Budget could not reach its store: nothing is sent", cause),
      Effect.fail(new LlmError.StoreUnavailable({ provider, model, store: "budget", operation: "reserve" }))
    )
  }

  settle(ending: Ending): Effect.Effect<Cost> {
    return Effect.uninterruptibleMask((restore) => {
      const { quoted, state } = this
      if (state === "idle" || state === "over" || quoted === undefined) return Effect.succeed(this.cost)
      this.state = "over"
      return Effect.flatMap(
        ending.sent && state !== "asking" ? this.spentBy(quoted, ending) : Effect.succeed(unsent),
        (spent) => {
          this.leaveOfCall(spent.amounts)
          this.cost = { amount: spent.cost, estimated: spent.estimated }
          if (this.account.call.recorder.watch !== undefined) {
            if (ending.sent) this.noteAmounts("Settled", spent.amounts.tokens, spent.cost, spent.estimated)
            this.noteBalances(spent.amounts)
          }
          // Only the wait can be cut short: the write itself has begun by then.
          return Effect.flatMap(this.write(state, ending.sent, spent), (wait) => Effect.as(restore(wait), this.cost))
        }
      )
    })
  }

  /** Whatever goes wrong here, something is booked: at worst the most that it can be. */
  private spentBy(quoted: Quote, ending: Ending): Effect.Effect<Spent> {
    return Effect.catchCause(
      spent(this.asked, quoted, ending, this.account.options),
      (cause) => Effect.as(reportUnhandled("Budget could not count an answer", cause), atMost(quoted))
    )
  }

  /** Begins to write how it ended, and gives the wait for it. */
  private write(
    state: "asking" | "held" | "uncounted",
    sent: boolean,
    spent: Spent
  ): Effect.Effect<Effect.Effect<void>> {
    const { attribution, books, lines } = this
    const amounts = books.shared.map(({ resource }) => spent.amounts[resource])
    const used = amounts.some((amount) => amount > 0)
    const told = sent && state !== "asking"
      ? books.publish((at) => ({ ...this.change("Settled", at, spent.amounts), estimated: spent.estimated }))
      : state === "held"
      ? books.publish((at) => this.change("Voided", at, nothing))
      : Effect.void
    const written = lines.length === 0
      ? Effect.succeed(Effect.void)
      : books.write(
        this.requested(spent.amounts),
        attribution,
        // Whether the store holds what it was asked for and has not answered is not known: voided, it does not.
        used ? this.booked(amounts) : books.options.store.void(this.id)
      )
    const warned = state === "held" && used ? this.warn(spent.amounts) : Effect.void
    return Effect.flatMap(written, (wait) =>
      Effect.as(
        Effect.andThen(told, warned),
        // Nobody is kept by a request that was not sent, whose store has kept them long enough.
        state === "asking" ? Effect.void : wait
      ))
  }

  /**
   * Settles it. Where the store does not know it, since it could not be asked or has lost it, it is put on record first, whatever the
   * limits say: it was spent. Whoever dies between the two leaves it in sight.
   */
  private booked(amounts: ReadonlyArray<number>): Effect.Effect<Outcome, BudgetStoreError> {
    const { books: { options: { lease, store } }, id, lines } = this
    const settle = store.settle(id, amounts)
    const record = Clock.clockWith((clock) =>
      store.reserve({
        id,
        lines: lines.map((line, n): Line =>
          Object.assign({ ...line }, { amount: amounts[n]!, limit: Number.MAX_SAFE_INTEGER })
        ),
        leasedUntil: Math.ceil(clock.currentTimeMillisUnsafe() + lease)
      })
    )
    return Effect.flatMap(
      settle,
      (outcome) => outcome === "unknown" ? Effect.andThen(record, settle) : Effect.succeed(outcome)
    )
  }

  /** By the time at which it was reserved: that is the window of the balances. */
  private warn(own: Amounts): Effect.Effect<void> {
    const { balances, books } = this
    return Effect.forEach(
      balances,
      (balance, n) =>
        books.warn(
          books.shared[n]!,
          balance.used + own[books.shared[n]!.resource],
          this.reservedAt,
          this.attribution,
          (words) => this.account.call.recorder.event("warning", words)
        ),
      { discard: true }
    )
  }

  private noteAmounts(
    _tag: "Reserved" | "Settled",
    tokens: number,
    cost: number | undefined,
    estimated: boolean
  ): void {
    const { model, provider } = this.asked
    this.account.call.recorder.note({ _tag, provider, model, cost, tokens, estimated })
  }

  /** How far the limits are used up, as the store said when it was asked, and with what has been booked since for this request. */
  private noteBalances(booked: Amounts | undefined): void {
    const { recorder } = this.account.call
    this.balances.forEach(({ reserved, used }, n) => {
      const { limit, most, resource, scope, window } = this.books.shared[n]!
      const keys = limit.scope ?? "global"
      // One number each for all, or for all of a feature. Whoever has an account of their own is none of a metric's business.
      if (keys !== "global" && keys !== "feature") return
      const change = booked === undefined ? 0 : booked[resource] - this.quoted!.most[resource]
      recorder.note({
        _tag: "Balance",
        scope,
        resource,
        window,
        feature: keys === "feature" ? this.attribution.feature : undefined,
        used: used + reserved + change,
        limit: most
      })
    })
  }

  private requested(amounts: Amounts): Requested {
    const { model, provider } = this.asked
    return { id: this.id, provider, model, ...amounts }
  }

  private change<Tag extends Change["_tag"]>(_tag: Tag, at: number, amounts: Amounts) {
    return { _tag, at, attribution: this.attribution, ...this.requested(amounts) }
  }

  /** Takes what it can use at most of the limits of one call, all or nothing: the first that has no room is the answer. */
  private takeOfCall(most: Amounts): ({ readonly limit: Ready } & OfCall) | undefined {
    const { ofCall } = this.account
    const limits = this.books.ofCall
    const full = limits.findIndex((limit, n) => ofCall[n]!.used + ofCall[n]!.held + most[limit.resource] > limit.most)
    if (full !== -1) return { limit: limits[full]!, ...ofCall[full]! }
    limits.forEach(({ resource }, n) => ofCall[n]!.held += most[resource])
    return undefined
  }

  private leaveOfCall(used: Amounts | undefined): void {
    if (used === undefined) return
    this.books.ofCall.forEach(({ resource }, n) => {
      const own = this.account.ofCall[n]!
      own.held -= this.quoted!.most[resource]
      own.used += used[resource]
    })
  }
}

/** Several budgets around each other: a request needs room in each. */
export class SeveralAccounts implements Account {
  private readonly inner: Account
  private readonly outer: Account

  constructor(inner: Account, outer: Account) {
    this.inner = inner
    this.outer = outer
  }

  charge(asked: Asked): Charge {
    const inner = this.inner.charge(asked)
    let outer: Charge | undefined
    return {
      reserve: Effect.flatMap(inner.reserve, (settings) => {
        outer = this.outer.charge({ ...asked, request: { ...asked.request, settings } })
        return outer.reserve
      }),
      settle: (ending) =>
        Effect.flatMap(inner.settle(ending), (cost) =>
          outer === undefined
            ? Effect.succeed(cost)
            : Effect.map(outer.settle(ending), (other) => cost.amount === undefined ? other : cost))
    }
  }

  /** Whether one of them keeps these books. */
  has(books: Books): boolean {
    return keeps(this.inner, books) || keeps(this.outer, books)
  }
}

const keeps = (account: Account | undefined, books: Books): boolean =>
  account instanceof CallAccount
    ? account.options.books === books
    : account instanceof SeveralAccounts && account.has(books)

/** The call under one more budget; where that budget is around it already, it is the outer one that keeps the books. */
export const cover = (call: Call, options: AccountOptions): Call => {
  const outer = call.account
  if (keeps(outer, options.books)) {
    return outer instanceof CallAccount ? { ...call, account: outer.within(options.maxOutputTokens) } : call
  }
  const own = new CallAccount(options, call)
  return { ...call, account: outer === undefined ? own : new SeveralAccounts(own, outer) }
}
