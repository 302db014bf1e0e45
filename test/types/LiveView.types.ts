/**
 * What a live view asks for, and what it can fail with.
 */
import type { Effect, Layer, PlatformError, Stream, Terminal } from "effect"
import type { Pricing } from "effect-bulwark/budget"
import { LiveView } from "effect-bulwark/telemetry"
import { expectTypeOf } from "vitest"

expectTypeOf(LiveView.layer()).toEqualTypeOf<Layer.Layer<LiveView.LiveView>>()
expectTypeOf(LiveView.layerPriced()).toEqualTypeOf<Layer.Layer<LiveView.LiveView, never, Pricing.Pricing>>()
expectTypeOf(LiveView.state).toEqualTypeOf<Effect.Effect<LiveView.State, never, LiveView.LiveView>>()
expectTypeOf(LiveView.changes).toEqualTypeOf<Stream.Stream<LiveView.State, never, LiveView.LiveView>>()
expectTypeOf(LiveView.run()).toEqualTypeOf<
  Effect.Effect<void, PlatformError.PlatformError, LiveView.LiveView | Terminal.Terminal>
>()
expectTypeOf(LiveView.render).returns.toEqualTypeOf<ReadonlyArray<string>>()

declare const state: LiveView.State
expectTypeOf(state.inFlight).toEqualTypeOf<ReadonlyArray<LiveView.InFlight>>()
expectTypeOf(state.finished).toEqualTypeOf<ReadonlyArray<LiveView.Finished>>()
expectTypeOf(state.circuits).toEqualTypeOf<ReadonlyArray<LiveView.Circuit>>()
expectTypeOf(state.budgets).toEqualTypeOf<ReadonlyArray<LiveView.BudgetUse>>()
expectTypeOf(state.queues).toEqualTypeOf<ReadonlyArray<LiveView.Queue>>()
expectTypeOf(state.total).toEqualTypeOf<LiveView.Counts>()

// @ts-expect-error: nobody knows how large the terminal is
void LiveView.render(state, {})
// @ts-expect-error: there are no users in it
void state.inFlight[0]?.user
