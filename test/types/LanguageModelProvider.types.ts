/**
 * What the layers of `LanguageModelProvider` fail with and need, pinned. This file is compiled, never run.
 */
import { Context, Effect, type Layer } from "effect"
import { type Call, LlmError } from "effect-bulwark"
import { LanguageModelProvider, Provider } from "effect-bulwark/providers"
import { type AiError, type LanguageModel, Model } from "effect/ai"
import { expectTypeOf } from "vitest"

class P extends Provider.Service<P>()("p") {}
class ClientA extends Context.Service<ClientA, string>()("test/ClientA") {}
class ClientB extends Context.Service<ClientB, string>()("test/ClientB") {}

declare const a: Layer.Layer<LanguageModel.LanguageModel, "no key", ClientA>
declare const b: Layer.Layer<LanguageModel.LanguageModel, never, ClientB>
declare const lost: Layer.Layer<LanguageModel.LanguageModel, LlmError.ConnectionFailed, ClientB>
declare const nothing: Layer.Layer<ClientA>

// ---- one model ----
expectTypeOf(LanguageModelProvider.layer(P)).toEqualTypeOf<Layer.Layer<P, never, LanguageModel.LanguageModel>>()
expectTypeOf(LanguageModelProvider.make("p")).toEqualTypeOf<
  Effect.Effect<Provider.Provider, never, LanguageModel.LanguageModel>
>()

// ---- a record: what any of them fails with and needs ----
expectTypeOf(LanguageModelProvider.layerModels(P, { a, b })).toEqualTypeOf<
  Layer.Layer<P, "no key", ClientA | ClientB>
>()
expectTypeOf(LanguageModelProvider.layerModels(P, { b: Model.make("b", "b-1", b) })).toEqualTypeOf<
  Layer.Layer<P, never, ClientB>
>()
// @ts-expect-error no model is built by it
LanguageModelProvider.layerModels(P, { nothing })

// ---- a function: its failures are those of calls ----
expectTypeOf(LanguageModelProvider.layerLookup(P, (id) => id === "b" ? b : id === "c" ? lost : undefined))
  .toEqualTypeOf<Layer.Layer<P, never, ClientB>>()
declare const free: Layer.Layer<LanguageModel.LanguageModel>
expectTypeOf(LanguageModelProvider.layerLookup(P, (id) => id === "b" ? b : free)).toEqualTypeOf<
  Layer.Layer<P, never, ClientB>
>()
// @ts-expect-error a call cannot fail with that
LanguageModelProvider.layerLookup(P, () => a)

// ---- the hook ----
LanguageModelProvider.layer(P, {
  settings: ["temperature"],
  withRequest: (answer, { settings }) => {
    expectTypeOf(settings).toEqualTypeOf<Call.Settings>()
    return Effect.provideService(answer, ClientA, String(settings.temperature))
  }
})
// As packages declare theirs: it takes what it provides out of what is needed.
declare const withConfigOverride: <A, E, R>(
  self: Effect.Effect<A, E, R>,
  overrides: { readonly temperature?: number | undefined }
) => Effect.Effect<A, E, Exclude<R, ClientA>>
LanguageModelProvider.layer(P, {
  settings: ["temperature"],
  withRequest: (answer, { settings }) => withConfigOverride(answer, { temperature: settings.temperature })
})
LanguageModelProvider.layer(P, {
  withRequest: (answer) => Effect.andThen(Effect.fail(new LlmError.InvalidRequest({})), answer)
})
LanguageModelProvider.layer(P, {
  // @ts-expect-error it may fail with nothing that a provider does not fail with
  withRequest: (answer) => Effect.andThen(Effect.fail("no" as const), answer)
})
LanguageModelProvider.layer(P, {
  // @ts-expect-error it may need nothing
  withRequest: (answer) => Effect.andThen(ClientA, answer)
})
// @ts-expect-error there is no such setting
LanguageModelProvider.layer(P, { settings: ["top"], withRequest: (answer) => answer })

// ---- the way back ----
declare const aiError: AiError.AiError
expectTypeOf(LlmError.fromAiError(aiError)).toEqualTypeOf<LlmError.LlmError | undefined>()
