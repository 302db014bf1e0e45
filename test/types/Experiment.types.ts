/**
 * What experiments, scores and comparisons fail with and need, and which weights compile, pinned. This file is compiled, never run.
 */
import { type Effect, Schema, Stream } from "effect"
import type { Receipt } from "effect-bulwark"
import { type Comparison, Experiment, PromptRegistry, type PromptStore } from "effect-bulwark/prompts"
import type { Ledger } from "effect-bulwark/telemetry"
import { expectTypeOf } from "vitest"

const summarize = PromptRegistry.define("summarize", { variables: Schema.Struct({ document: Schema.String }) })

type Failure =
  | Experiment.ExperimentRefused
  | PromptStore.PromptStoreError
  | PromptStore.PromptConflict
  | PromptStore.PromptRefused

// ---- E and R ----
const variants = { control: { weight: 90 }, candidate: { version: 2, weight: 10 } } as const
expectTypeOf(Experiment.start(summarize, { id: "shorter", variants })).toEqualTypeOf<
  Effect.Effect<Experiment.Experiment, Failure | PromptRegistry.PromptUnfit, PromptRegistry.PromptRegistry>
>()
expectTypeOf(Experiment.promote(summarize, "shorter", "candidate")).toEqualTypeOf<
  Effect.Effect<Experiment.Experiment, Failure | PromptRegistry.PromptUnfit, PromptRegistry.PromptRegistry>
>()
expectTypeOf(Experiment.stop("summarize", "shorter")).toEqualTypeOf<
  Effect.Effect<Experiment.Experiment, Failure, PromptRegistry.PromptRegistry>
>()
expectTypeOf(Experiment.list()).toEqualTypeOf<
  Effect.Effect<ReadonlyArray<Experiment.Experiment>, PromptStore.PromptStoreError, PromptRegistry.PromptRegistry>
>()
expectTypeOf(PromptRegistry.score("op_1", "helpful", 1)).toEqualTypeOf<
  Effect.Effect<
    PromptStore.Score,
    PromptRegistry.UnknownOperation | PromptStore.PromptStoreError | PromptStore.PromptRefused,
    PromptRegistry.PromptRegistry
  >
>()
expectTypeOf(PromptRegistry.compare(summarize, [1, 2])).toEqualTypeOf<
  Effect.Effect<Comparison.Comparison, PromptStore.PromptStoreError, PromptRegistry.PromptRegistry>
>()

// ---- receipts bring their own failures and services ----
expectTypeOf(
  PromptRegistry.compare(summarize, [1, 2], {
    receipts: Stream.empty as Stream.Stream<Receipt.Receipt, "Gone", Ledger.Ledger>
  })
).toEqualTypeOf<
  Effect.Effect<
    Comparison.Comparison,
    "Gone" | PromptStore.PromptStoreError,
    Ledger.Ledger | PromptRegistry.PromptRegistry
  >
>()
// @ts-expect-error nothing to compare
PromptRegistry.compare(summarize, [])
// @ts-expect-error a receipt has an operation
PromptRegistry.score({ prompt: undefined }, "helpful", 1)

// ---- variants and their weights ----
// @ts-expect-error there must be a control
Experiment.start(summarize, { id: "shorter", variants: { candidate: { version: 2, weight: 100 } } })
// @ts-expect-error only the control may leave out its version
Experiment.start(summarize, { id: "shorter", variants: { control: { weight: 50 }, candidate: { weight: 50 } } })
Experiment.start(summarize, {
  id: "shorter",
  variants,
  ramp: [{ after: "1 day", weights: { control: 50, candidate: 50 } }],
  guardRails: [
    { measure: "errorRate", above: 0.1 },
    { measure: "latency", above: "2 seconds", quantile: 0.99 },
    { measure: "cost", above: "0.01", calls: 50 }
  ],
  subject: { tag: "session" },
  group: { name: "checkout", from: 0, to: 50 }
})
Experiment.start(summarize, {
  id: "shorter",
  variants,
  // @ts-expect-error a weight is missing
  ramp: [{ after: "1 day", weights: { control: 50 } }]
})
Experiment.start(summarize, {
  id: "shorter",
  variants,
  // @ts-expect-error there is no such variant
  ramp: [{ after: "1 day", weights: { control: 50, candidate: 25, other: 25 } }]
})
// @ts-expect-error only latency has quantiles
Experiment.start(summarize, { id: "shorter", variants, guardRails: [{ measure: "cost", above: 1, quantile: 0.5 }] })
// @ts-expect-error nobody is told apart by that
Experiment.start(summarize, { id: "shorter", variants, subject: "country" })
