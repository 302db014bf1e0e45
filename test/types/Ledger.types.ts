/**
 * Rows of the ledger have the fields that were asked for, and no others.
 */
import type { Effect, Layer } from "effect"
import type { Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { expectTypeOf } from "vitest"

const rows = Ledger.spend({ from: 0, by: ["tenant", "tag:team"] })

expectTypeOf<Effect.Success<typeof rows>[number]["by"]>().toEqualTypeOf<
  { readonly tenant: string | undefined; readonly "tag:team": string | undefined }
>()
expectTypeOf<Effect.Error<typeof rows>>().toEqualTypeOf<Ledger.LedgerStoreError>()
expectTypeOf<Effect.Services<typeof rows>>().toEqualTypeOf<Ledger.LedgerStore>()

const bare = Ledger.spend({ from: 0 })
expectTypeOf<keyof Effect.Success<typeof bare>[number]["by"]>().toEqualTypeOf<never>()

// @ts-expect-error: there is no such dimension
void Ledger.spend({ from: 0, by: ["colour"] })

const latency = Ledger.latency({ from: 0, percentiles: [50, 99.9] })
expectTypeOf<Effect.Success<typeof latency>[number]["total"]>().toEqualTypeOf<
  { readonly p50: number; readonly "p99.9": number }
>()
const usual = Ledger.latency({ from: 0 })
expectTypeOf<keyof Effect.Success<typeof usual>[number]["total"]>().toEqualTypeOf<"p50" | "p95" | "p99">()

// @ts-expect-error: an operation may have several models
void Ledger.latency({ from: 0, by: ["model"] })
void Ledger.requestLatency({ from: 0, by: ["model"] })

expectTypeOf(Ledger.layer()).toEqualTypeOf<Layer.Layer<Ledger.Ledger, never, Ledger.LedgerStore | Pricing.Pricing>>()
