/**
 * Prices at once, where no fiber is at hand.
 */
import * as Effect from "effect/Effect"
import { Pricing } from "../../budget/Pricing.ts"
import type { Priced } from "./instrument.ts"
import { price } from "./ledgerEntry.ts"

/** Prices that cannot be had without waiting are not known. */
export const pricedBy = (pricing: Pricing["Service"]): Priced => (receipt) => {
  if (receipt.attempts.every(({ cost, usage }) => cost !== undefined || usage === undefined)) return receipt
  const exit = Effect.runSyncExit(Effect.provideService(Effect.suspend(() => price(receipt)), Pricing, pricing))
  return exit._tag === "Success" ? exit.value.receipt : receipt
}
