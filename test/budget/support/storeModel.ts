/**
 * A budget store that is simple enough to be believed: it forgets nothing, and adds up everything each time.
 */
import type { BudgetStore } from "effect-bulwark/budget"

interface Entry {
  readonly account: string
  readonly slot: number
  amount: number
}

interface Made {
  state: BudgetStore.State
  readonly leasedUntil: number
  readonly holds: ReadonlyArray<Entry>
}

const most = Number.MAX_SAFE_INTEGER

export class Model {
  private readonly made = new Map<string, Made>()
  private readonly used: Array<Entry> = []

  reserve({ id, leasedUntil, lines }: BudgetStore.Reservation): BudgetStore.Verdict {
    const known = this.made.get(id)
    if (known !== undefined) return { _tag: "Repeated", state: known.state }
    const balances: Array<BudgetStore.Balance> = []
    for (const [line, { account, amount, limit, since }] of lines.entries()) {
      const { reserved, used } = this.balance(account, since, 0)
      if (BigInt(used) + BigInt(reserved) + BigInt(amount) > BigInt(limit)) {
        return { _tag: "Exceeded", line, balance: { used, reserved } }
      }
      balances.push({ used, reserved: reserved + amount })
    }
    const holds = lines.map(({ account, amount, slot }) => ({ account, slot, amount }))
    this.made.set(id, { state: "pending", leasedUntil, holds })
    return { _tag: "Reserved", balances }
  }

  finish(id: string, state: "settled" | "voided", amounts: ReadonlyArray<number>): BudgetStore.Outcome {
    const known = this.made.get(id)
    if (known === undefined) {
      if (state === "voided") this.made.set(id, { state, leasedUntil: 0, holds: [] })
      return "unknown"
    }
    if (known.state !== "pending") return known.state === state ? "repeated" : "refused"
    known.state = state
    if (state === "settled") {
      for (const [n, { account, slot }] of known.holds.entries()) this.use(account, slot, amounts[n]!)
    }
    return "applied"
  }

  adjust({ account, by, id, slot }: BudgetStore.Adjustment): "applied" | "repeated" {
    if (this.made.has(id)) return "repeated"
    this.made.set(id, { state: "settled", leasedUntil: 0, holds: [] })
    this.use(account, slot, by)
    return "applied"
  }

  private use(account: string, slot: number, amount: number): void {
    let entry = this.used.find((entry) => entry.account === account && entry.slot === slot)
    if (entry === undefined) this.used.push(entry = { account, slot, amount: 0 })
    entry.amount = Math.max(0, sum([entry.amount, amount]))
  }

  /** What is pending. */
  get pending(): ReadonlyArray<readonly [id: string, made: Made]> {
    return [...this.made].filter(([, { state }]) => state === "pending")
  }

  balance(account: string, since: number, now: number): BudgetStore.Standing {
    const count = (entries: ReadonlyArray<Entry>) =>
      sum(entries.filter((entry) => entry.account === account && entry.slot >= since).map(({ amount }) => amount))
    const held = this.pending
    return {
      used: count(this.used),
      reserved: count(held.flatMap(([, { holds }]) => holds)),
      unsettled: count(held.filter(([, { leasedUntil }]) => leasedUntil <= now).flatMap(([, { holds }]) => holds))
    }
  }
}

const sum = (amounts: ReadonlyArray<number>): number => {
  const exact = amounts.reduce((total, amount) => total + BigInt(amount), 0n)
  return exact > BigInt(most) ? most : Number(exact)
}
