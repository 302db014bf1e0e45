/**
 * What AI SDK models are to the types. This file is compiled, never run.
 */
import { anthropic } from "@ai-sdk/anthropic"
import { createOpenAI, openai } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import type { LanguageModelV2, LanguageModelV3, LanguageModelV4, ProviderV4 } from "@ai-sdk/provider"
import type { Effect, Layer, Stream } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

// ---- a layer needs nothing and cannot fail ----
expectTypeOf(AiSdk.layer(OpenAi, openai)).toEqualTypeOf<Layer.Layer<OpenAi>>()
expectTypeOf(AiSdk.make("openai", openai)).toEqualTypeOf<Provider.Provider>()

// ---- sources: models of both specifications, and whatever finds one by its name ----
declare const v4: LanguageModelV4
declare const v3: LanguageModelV3
declare const registry: ProviderV4
AiSdk.layer(OpenAi, v4)
AiSdk.layer(OpenAi, v3)
AiSdk.layer(OpenAi, registry.languageModel)
AiSdk.layer(OpenAi, createOpenAI({ apiKey: "k" }))
AiSdk.layer(OpenAi, openai.chat)
AiSdk.layer(OpenAi, openai("gpt-5-mini"))
AiSdk.layer(OpenAi, anthropic)
AiSdk.layer(OpenAi, createOpenAICompatible({ name: "c", baseURL: "http://127.0.0.1" }))
AiSdk.layer(OpenAi, (modelId) => modelId === "old" ? v3 : v4)

declare const v2: LanguageModelV2
// @ts-expect-error specification v2 is not understood
AiSdk.layer(OpenAi, v2)
// @ts-expect-error a name is no model
AiSdk.layer(OpenAi, "openai/gpt-5-mini")
// @ts-expect-error nor is a model of another kind
AiSdk.layer(OpenAi, openai.embedding)
// @ts-expect-error the key is the SDK's
AiSdk.layer(OpenAi, openai, { apiKey: "k" })

// ---- models fail like those of any provider, and need it ----
const llm = Llm.model(OpenAi, "gpt-5-mini")
expectTypeOf(llm).toEqualTypeOf<Llm.Llm<LlmError.ProviderError, OpenAi>>()
expectTypeOf(Llm.generateText(llm, { prompt: "Hello?" })).toEqualTypeOf<
  Effect.Effect<Llm.Answer<{}>, LlmError.ProviderError, OpenAi>
>()
expectTypeOf(AiSdk.make("openai", openai).stream).returns.toExtend<Stream.Stream<unknown, LlmError.ProviderError>>()
