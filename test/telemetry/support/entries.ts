/**
 * Operations to put into a ledger.
 */
import { Money, type Receipt, Usage } from "effect-bulwark"
import type { Ledger } from "effect-bulwark/telemetry"
import { withCost } from "../../../src/telemetry/internal/ledgerEntry.ts"

export const usage = (uncached: number, text: number, more?: Partial<Usage.Usage>): Usage.Usage => ({
  ...Usage.zero,
  inputUncached: uncached,
  outputText: text,
  ...more
})

/** A request that was answered, unless it says otherwise. */
export const attempt = (more?: Partial<Receipt.Attempt>): Receipt.Attempt => ({
  provider: "openai",
  model: "gpt-5-mini",
  startMillis: 0,
  durationMillis: 100,
  outcome: "success",
  ...more
})

/** The entry of an operation that began at a time. */
export const entry = (
  operationId: string,
  startedAt: number,
  attempts: ReadonlyArray<{ readonly attempt: Receipt.Attempt; readonly cost?: number }>,
  more?: Partial<Receipt.Receipt>
): Ledger.Entry => ({
  receipt: withCost({
    operationId,
    startedAt,
    attribution: {},
    outcome: "success",
    degraded: false,
    attempts: attempts.map(({ attempt, cost }) =>
      cost === undefined ? attempt : { ...attempt, cost: Money.MicroUsd.make(cost) }
    ),
    events: [],
    usage: attempts.reduce(
      (sum, { attempt: { usage } }) => usage === undefined ? sum : Usage.add(sum, usage),
      Usage.zero
    ),
    timings: { totalMillis: 100 },
    ...more
  })
})
