/**
 * Budgets in process. Whatever it keeps of the past is bounded, and no step stops for the whole of it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Balance, Hold, Reservation, State, Unsettled } from "./store.ts"
import { type Home, maxAmount, mismatch, pendingForgottenAt, slotForgottenAt } from "./storeHome.ts"

interface Slot {
  readonly slot: number
  used: number
  reserved: number
  forgetAt: number
}

/** Of an account that is new, or has been forgotten, there are none. */
type Slots = Array<Slot>

interface Pending {
  readonly leasedUntil: number
  readonly forgetAt: number
  readonly holds: ReadonlyArray<Hold>
  /** Where each of the holds is: in a slot that has been forgotten, it is nowhere else. */
  readonly slots: ReadonlyArray<Slot>
}

interface Finished {
  readonly state: Exclude<State, "pending">
  readonly forgetAt: number
}

/** How many reservations that are over are remembered, whatever time has passed. */
const maxFinished = 100_000

export class MemoryStore implements Home {
  private readonly accounts = new Map<string, Slots>()
  private readonly pending = new Map<string, Pending>()
  private readonly finished = new Map<string, Finished>()
  /** What ends in the same millisecond shares it: a hundred thousand are kept. */
  private last: Finished = { state: "settled", forgetAt: 0 }
  private readonly remember: number
  private readonly old: Sweep<Finished>
  private readonly idle: Sweep<Slots>
  private readonly lost: Sweep<Pending>

  constructor(remember: number) {
    this.remember = remember
    this.old = new Sweep(this.finished)
    this.idle = new Sweep(this.accounts)
    this.lost = new Sweep(this.pending)
  }

  /** How much is kept. */
  get size(): { readonly accounts: number; readonly pending: number; readonly finished: number } {
    return { accounts: this.accounts.size, pending: this.pending.size, finished: this.finished.size }
  }

  readonly reserve: Home["reserve"] = (reservation) =>
    Clock.clockWith((clock) => Effect.succeed(this.hold(reservation, clock.currentTimeMillisUnsafe())))

  private hold(reservation: Reservation, now: number): Effect.Success<ReturnType<Home["reserve"]>> {
    const { id, leasedUntil, lines } = reservation
    const state = this.stateOf(id)
    if (state !== undefined) return { _tag: "Repeated", state }
    // Before accounts are looked up: it lets go those that have no slots.
    this.sweep(now, lines.length)
    const accounts: Array<Slots | undefined> = []
    const balances: Array<Balance> = []
    for (let n = 0; n < lines.length; n++) {
      const { account, amount, limit, since } = lines[n]!
      const found = this.accounts.get(account)
      const balance = balanceOf(found, since, now)
      // Exact as far as it matters: a sum that is no safe integer is more than any limit.
      if (balance.used + balance.reserved + amount > limit) return { _tag: "Exceeded", line: n, balance }
      accounts.push(found)
      balances.push({ used: balance.used, reserved: balance.reserved + amount })
    }
    const holds: Array<Hold> = []
    const slots: Array<Slot> = []
    for (let n = 0; n < lines.length; n++) {
      const { account, amount, slot, until } = lines[n]!
      const held = slotOf(accounts[n] ?? this.open(account), slot, slotForgottenAt(until, now, this.remember))
      held.reserved += amount
      holds.push({ account, slot, amount })
      slots.push(held)
    }
    this.pending.set(id, {
      leasedUntil,
      forgetAt: pendingForgottenAt(reservation, now, this.remember),
      holds,
      slots
    })
    return { _tag: "Reserved", balances }
  }

  readonly finish: Home["finish"] = (id, amounts) =>
    Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const as = amounts === undefined ? "voided" : "settled"
      const pending = this.pending.get(id)
      if (pending === undefined) {
        const state = this.stateOf(id)
        if (state !== undefined) return Effect.succeed(state === as ? "repeated" : "refused")
        if (as === "voided") this.remembering(id, as, now)
        return Effect.succeed("unknown")
      }
      const { holds, slots } = pending
      if (amounts !== undefined && amounts.length !== slots.length) return mismatch
      for (let n = 0; n < slots.length; n++) {
        const slot = slots[n]!
        slot.reserved -= holds[n]!.amount
        if (amounts !== undefined) slot.used = Math.min(slot.used + amounts[n]!, maxAmount)
      }
      this.pending.delete(id)
      this.remembering(id, as, now)
      return Effect.succeed("applied")
    })

  readonly balance: Home["balance"] = (account, since) =>
    Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const { reserved, used } = balanceOf(this.accounts.get(account), since, now)
      let unsettled = 0
      for (const { holds, leasedUntil } of this.pending.values()) {
        if (leasedUntil > now) continue
        for (const hold of holds) {
          if (hold.account === account && hold.slot >= since) unsettled += hold.amount
        }
      }
      return Effect.succeed({ used, reserved, unsettled: Math.min(unsettled, reserved) })
    })

  readonly adjust: Home["adjust"] = ({ account, by, id, slot, until }) =>
    Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      if (this.stateOf(id) !== undefined) return Effect.succeed("repeated")
      this.sweep(now, 1)
      const slots = this.accounts.get(account) ?? this.open(account)
      const changed = slotOf(slots, slot, slotForgottenAt(until, now, this.remember))
      changed.used = Math.max(0, Math.min(changed.used + by, maxAmount))
      this.remembering(id, "settled", now)
      return Effect.succeed("applied")
    })

  readonly unsettled: Home["unsettled"] = (limit) =>
    Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const found: Array<Unsettled> = []
      for (const [id, { holds, leasedUntil }] of this.pending) {
        if (leasedUntil <= now) found.push({ id, leasedUntil, holds })
      }
      return Effect.succeed(found.toSorted((a, b) => a.leasedUntil - b.leasedUntil).slice(0, limit))
    })

  private stateOf(id: string): State | undefined {
    return this.pending.has(id) ? "pending" : this.finished.get(id)?.state
  }

  private open(account: string): Slots {
    const slots: Slots = []
    this.accounts.set(account, slots)
    return slots
  }

  private remembering(id: string, state: Finished["state"], now: number): void {
    const forgetAt = now + this.remember
    if (this.last.forgetAt !== forgetAt || this.last.state !== state) this.last = { state, forgetAt }
    this.finished.set(id, this.last)
    // In the order in which they ended, so that what is not old yet has nothing old behind it.
    while (this.old.next(({ forgetAt }) => forgetAt <= now || this.finished.size > maxFinished) === "forgotten");
  }

  /** Looks at more of what there is than a step adds, so that what may be forgotten is never most of it. */
  private sweep(now: number, added: number): void {
    this.lost.pass(({ forgetAt }) => forgetAt <= now)
    this.lost.pass(({ forgetAt }) => forgetAt <= now)
    for (let n = 0; n <= added; n++) {
      this.idle.pass((slots) => {
        forget(slots, now)
        return slots.length === 0
      })
    }
  }
}

const balanceOf = (slots: Slots | undefined, since: number, now: number): Balance => {
  let used = 0
  let reserved = 0
  if (slots !== undefined) {
    forget(slots, now)
    for (let n = 0; n < slots.length; n++) {
      const slot = slots[n]!
      if (slot.slot < since) continue
      used += slot.used
      reserved += slot.reserved
    }
  }
  return { used: Math.min(used, maxAmount), reserved: Math.min(reserved, maxAmount) }
}

const slotOf = (slots: Slots, slot: number, forgetAt: number): Slot => {
  for (let n = slots.length - 1; n >= 0; n--) {
    const known = slots[n]!
    if (known.slot !== slot) continue
    known.forgetAt = Math.max(known.forgetAt, forgetAt)
    return known
  }
  const made: Slot = { slot, used: 0, reserved: 0, forgetAt }
  slots.push(made)
  return made
}

/** Lets go the slots whose time is over. */
const forget = (slots: Slots, now: number): void => {
  for (let n = slots.length - 1; n >= 0; n--) {
    if (slots[n]!.forgetAt > now) continue
    const last = slots.pop()!
    if (n < slots.length) slots[n] = last
  }
}

/** Goes round a map, a few entries at a time. An iterator keeps its place while the map changes. */
class Sweep<A> {
  private readonly map: Map<string, A>
  private entries: Iterator<readonly [string, A]>
  private at: readonly [string, A] | undefined

  constructor(map: Map<string, A>) {
    this.map = map
    this.entries = map.entries()
  }

  /** Looks at one entry, and stays with it unless it is forgotten. */
  next(forgettable: (value: A) => boolean): "forgotten" | "kept" | "empty" {
    this.at ??= this.advance()
    if (this.at === undefined) return "empty"
    const [key, value] = this.at
    if (!forgettable(value)) return "kept"
    this.map.delete(key)
    this.at = undefined
    return "forgotten"
  }

  /** Looks at one entry, and goes on to the next. */
  pass(forgettable: (value: A) => boolean): void {
    this.next(forgettable)
    this.at = undefined
  }

  private advance(): readonly [string, A] | undefined {
    const next = this.entries.next()
    if (next.done !== true) return next.value
    // All round.
    this.entries = this.map.entries()
    const first = this.entries.next()
    return first.done === true ? undefined : first.value
  }
}
