/**
 * What counting does to `E` and `R`, pinned. This file is compiled, never run.
 */
import type { Effect, Layer } from "effect"
import { type Call, Llm, type LlmError } from "effect-bulwark"
import { ContextWindow, TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import type { Prompt, Tokenizer } from "effect/ai"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

const openai = Llm.model(OpenAi, "gpt-5-mini")
const anthropic = Llm.model(Anthropic, "claude-haiku-4-5")
type Provided = LlmError.ProviderError

declare const mine: Llm.Llm<{ readonly _tag: "Mine" }, OpenAi>
declare const infallible: Llm.Llm<never, Anthropic>

// ---- ContextWindow.enforce: the failure is one of each model's own, so that E stays as it is ----
expectTypeOf(openai.pipe(ContextWindow.enforce())).toEqualTypeOf<Llm.Llm<Provided, OpenAi | TokenCount.TokenCount>>()
expectTypeOf<Extract<Provided, { readonly _tag: "ContextLengthExceeded" | "InvalidRequest" }>>().toEqualTypeOf<
  LlmError.ContextLengthExceeded | LlmError.InvalidRequest
>()
expectTypeOf(ContextWindow.enforce(mine, { mode: "trim", keepTurns: 2 })).toEqualTypeOf<
  Llm.Llm<{ readonly _tag: "Mine" }, OpenAi | TokenCount.TokenCount>
>()
// ... wherever it stands: what is handled inside stays handled.
expectTypeOf(openai.pipe(Llm.orElse(anthropic), ContextWindow.enforce())).toEqualTypeOf<
  Llm.Llm<Provided, OpenAi | Anthropic | TokenCount.TokenCount>
>()
expectTypeOf(openai.pipe(Llm.orElseOn("ContextLengthExceeded", infallible), ContextWindow.enforce())).toEqualTypeOf<
  Llm.Llm<Exclude<Provided, LlmError.ContextLengthExceeded>, OpenAi | Anthropic | TokenCount.TokenCount>
>()
// @ts-expect-error there is no such mode
ContextWindow.enforce(openai, { mode: "split" })

// ---- Call.Prepare: what it fails with, every model fails with ----
expectTypeOf<Effect.Error<ReturnType<Call.Prepare>>>().toEqualTypeOf<
  LlmError.ContextLengthExceeded | LlmError.InvalidRequest
>()

// ---- ContextWindow.mapReduce: E exact, with those of whoever approves ----
const options = {
  input: "",
  map: (part: string): Prompt.RawInput => part,
  reduce: (answers: ReadonlyArray<string>) => answers.join()
}
type Added = LlmError.ContextLengthExceeded | LlmError.OutputTruncated | ContextWindow.MapReduceRefused
expectTypeOf(ContextWindow.mapReduce(infallible, options)).toEqualTypeOf<
  Effect.Effect<ContextWindow.MapReduced, Added, Anthropic | TokenCount.TokenCount>
>()
expectTypeOf(ContextWindow.mapReduce(mine, {
  ...options,
  approve: (plan) => {
    expectTypeOf(plan).toEqualTypeOf<ContextWindow.MapReducePlan>()
    return null! as Effect.Effect<boolean, "no", Anthropic>
  }
})).toEqualTypeOf<
  Effect.Effect<
    ContextWindow.MapReduced,
    Added | { readonly _tag: "Mine" } | "no",
    OpenAi | Anthropic | TokenCount.TokenCount
  >
>()
expectTypeOf(ContextWindow.planMapReduce(mine, options)).toEqualTypeOf<
  Effect.Effect<ContextWindow.MapReducePlan, LlmError.ContextLengthExceeded, TokenCount.TokenCount>
>()
expectTypeOf(ContextWindow.chunks("", { provider: "", model: "", maxTokens: 100 })).toEqualTypeOf<
  Effect.Effect<ReadonlyArray<ContextWindow.Chunk>, never, TokenCount.TokenCount>
>()

// ---- TokenCount: only the layer with encodings can fail ----
expectTypeOf(TokenCount.layer()).toEqualTypeOf<Layer.Layer<TokenCount.TokenCount, TokenCount.EncodingUnavailable>>()
expectTypeOf(TokenCount.layerEstimate()).toEqualTypeOf<Layer.Layer<TokenCount.TokenCount>>()
expectTypeOf(TokenCount.tokenizer({ provider: "", model: "" })).toEqualTypeOf<
  Layer.Layer<Tokenizer.Tokenizer, never, TokenCount.TokenCount>
>()
