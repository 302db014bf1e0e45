/**
 * Alerts are a union that can be told apart, and hooks need what they use.
 */
import { type Config, type Context, Effect, type Layer, type Scope, type Stream } from "effect"
import type { Receipt } from "effect-bulwark"
import type { Pricing } from "effect-bulwark/budget"
import { SpendAlert } from "effect-bulwark/telemetry"
import type { HttpClient } from "effect/http"
import { expectTypeOf } from "vitest"

expectTypeOf(SpendAlert.layer()).toEqualTypeOf<Layer.Layer<SpendAlert.SpendAlert>>()
expectTypeOf(SpendAlert.alerts).toEqualTypeOf<Stream.Stream<SpendAlert.Alert, never, SpendAlert.SpendAlert>>()
expectTypeOf(SpendAlert.snapshot).toEqualTypeOf<Effect.Effect<SpendAlert.History, never, SpendAlert.SpendAlert>>()
expectTypeOf(SpendAlert.observe).toEqualTypeOf<
  (receipt: Receipt.Receipt, fingerprint?: string) => Effect.Effect<void, never, SpendAlert.SpendAlert>
>()
expectTypeOf<Context.Service.Shape<typeof SpendAlert.SpendAlert>["subscribe"]>().toEqualTypeOf<
  Effect.Effect<Stream.Stream<SpendAlert.Alert>, never, Scope.Scope>
>()

expectTypeOf<SpendAlert.Alert["_tag"]>().toEqualTypeOf<
  "SpendRate" | "SpendStep" | "TokensPerCall" | "ErrorRate" | "Loop"
>()
expectTypeOf<Extract<SpendAlert.Alert, { readonly _tag: "Loop" }>["fingerprint"]>().toEqualTypeOf<string>()
expectTypeOf<Extract<SpendAlert.Alert, { readonly _tag: "SpendRate" }>["unit"]>().toEqualTypeOf<"microUsd" | "tokens">()
expectTypeOf<SpendAlert.Alert["severity"]>().toEqualTypeOf<"warning" | "critical">()
expectTypeOf<SpendAlert.Alert["feature"]>().toEqualTypeOf<string | undefined>()

// @ts-expect-error: only a loop has a fingerprint
type _Fingerprint = Extract<SpendAlert.Alert, { readonly _tag: "ErrorRate" }>["fingerprint"]

// @ts-expect-error: amounts of money are micro-dollars, not any number
void SpendAlert.layer({ spendRate: { minimumExcess: 5 } })

expectTypeOf(SpendAlert.layerPriced({ loop: false })).toEqualTypeOf<
  Layer.Layer<SpendAlert.SpendAlert, never, Pricing.Pricing>
>()

expectTypeOf(SpendAlert.log).toEqualTypeOf<Layer.Layer<never, never, SpendAlert.SpendAlert>>()
expectTypeOf(SpendAlert.webhook({ url: "https://example.com" })).toEqualTypeOf<
  Layer.Layer<never, never, SpendAlert.SpendAlert | HttpClient.HttpClient>
>()

declare const notify: Effect.Effect<void, Config.ConfigError, HttpClient.HttpClient>
// What a hook fails with is reported, and no failure of the layer.
expectTypeOf(SpendAlert.hook(() => notify)).toEqualTypeOf<
  Layer.Layer<never, never, SpendAlert.SpendAlert | HttpClient.HttpClient>
>()
void Effect
