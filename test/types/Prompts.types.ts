/**
 * What prompts do to `E` and `R`, and what their variables are, pinned. This file is compiled, never run.
 */
import { type Effect, type Layer, Schema, type Stream } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { PromptRegistry, type PromptStore, type PromptVersion } from "effect-bulwark/prompts"
import { Provider } from "effect-bulwark/providers"
import { Tool, Toolkit } from "effect/ai"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Ollama extends Provider.Service<Ollama>()("ollama") {}

const small = Llm.model(OpenAi, "gpt-5-mini")
const local = Llm.model(Ollama, "llama3.3").pipe(Llm.timeout({ total: "1 minute" }))

const summarize = PromptRegistry.define("summarize", {
  variables: Schema.Struct({ document: Schema.String, words: Schema.optionalKey(Schema.Int) }),
  output: Schema.Struct({ summary: Schema.String }),
  models: { small, local },
  model: "small"
})
type Unmade = LlmError.PromptInvalid | LlmError.PromptNotFound
type Fails = LlmError.ProviderError | LlmError.TimedOut | Unmade
type Needs = OpenAi | Ollama | PromptRegistry.PromptRegistry

// ---- E and R are those of all models that may be named ----
expectTypeOf(PromptRegistry.generateText(summarize, { document: "" })).toEqualTypeOf<
  Effect.Effect<Llm.Answer<{}>, Fails, Needs>
>()
expectTypeOf(PromptRegistry.generateObject(summarize, { document: "" })).toEqualTypeOf<
  Effect.Effect<
    Llm.ObjectAnswer<{}, { readonly summary: string }>,
    Fails | LlmError.OutputTruncated | LlmError.InvalidOutput,
    Needs
  >
>()
const stream = PromptRegistry.streamText(summarize, { document: "" })
expectTypeOf<Stream.Error<typeof stream>>().toEqualTypeOf<Fails | LlmError.StreamInterrupted>()
expectTypeOf<Stream.Services<typeof stream>>().toEqualTypeOf<Needs>()
const text = PromptRegistry.generateText(summarize, { document: "" })
// @ts-expect-error not of one model alone
expectTypeOf<Effect.Error<typeof text>>().toEqualTypeOf<LlmError.ProviderError | Unmade>()
// @ts-expect-error not of one model alone
expectTypeOf<Effect.Services<typeof text>>().toEqualTypeOf<OpenAi | PromptRegistry.PromptRegistry>()

// ---- a prompt that is only rendered needs no model, and fails only for itself ----
expectTypeOf(PromptRegistry.render(summarize, { document: "" })).toEqualTypeOf<
  Effect.Effect<PromptRegistry.Rendered, Unmade, PromptRegistry.PromptRegistry>
>()
const tone = PromptRegistry.define("tone", { variables: Schema.Struct({}) })
PromptRegistry.render(tone, {})
// @ts-expect-error it has no models
PromptRegistry.generateText(tone, {})
// @ts-expect-error it has no models
PromptRegistry.streamText(tone, {})
const plain = PromptRegistry.define("plain", { variables: Schema.Struct({}), models: { small } })
// @ts-expect-error it has no output
PromptRegistry.generateObject(plain, {})

// ---- variables: all that must be there, and nothing else ----
PromptRegistry.generateText(summarize, { document: "", words: 3 })
// @ts-expect-error one is missing
PromptRegistry.generateText(summarize, {})
// @ts-expect-error one is missing
PromptRegistry.render(summarize, { words: 3 })
// @ts-expect-error one is mistyped
PromptRegistry.generateText(summarize, { document: 3 })
// @ts-expect-error one is mistyped
PromptRegistry.streamText(summarize, { document: "", words: "three" })
// @ts-expect-error there is no such one
PromptRegistry.generateObject(summarize, { document: "", word: 3 })

// ---- what a schema of variables is in the program, not in the template ----
const dated = PromptRegistry.define("dated", {
  variables: Schema.Struct({ words: Schema.NumberFromString, tags: Schema.Array(Schema.String) })
})
PromptRegistry.render(dated, { words: 3, tags: ["a"] })
// @ts-expect-error as encoded
PromptRegistry.render(dated, { words: "3", tags: ["a"] })

declare const needy: Schema.Struct<{ a: Schema.Codec<string, string, never, OpenAi> }>
// @ts-expect-error variables are encoded without services
PromptRegistry.define("needy", { variables: needy })

// ---- models ----
// @ts-expect-error the definition has no such model
PromptRegistry.define("wrong", { variables: Schema.Struct({}), models: { small }, model: "large" })
// @ts-expect-error nor one at all
PromptRegistry.define("wrong", { variables: Schema.Struct({}), model: "large" })
PromptRegistry.publish(summarize, { user: "{{ document }}", model: "local" })
// @ts-expect-error a version names one of them
PromptRegistry.publish(summarize, { user: "{{ document }}", model: "large" })
// @ts-expect-error settings are those of calls
PromptRegistry.publish(summarize, { user: "{{ document }}", settings: { temperatur: 1 } })

// ---- deploying ----
type Deploying =
  | InstanceType<typeof PromptRegistry.PromptUnfit>
  | PromptStore.PromptStoreError
  | PromptStore.PromptConflict
  | PromptStore.PromptRefused
expectTypeOf(PromptRegistry.publish(summarize, { user: "{{ document }}" })).toEqualTypeOf<
  Effect.Effect<PromptVersion.PromptVersion, Deploying, PromptRegistry.PromptRegistry>
>()
expectTypeOf(PromptRegistry.rollback("summarize")).toEqualTypeOf<
  Effect.Effect<PromptStore.LabelEvent, Deploying, PromptRegistry.PromptRegistry>
>()

// ---- layers ----
expectTypeOf(PromptRegistry.layer()).toEqualTypeOf<
  Layer.Layer<PromptRegistry.PromptRegistry, PromptStore.PromptStoreError, PromptStore.PromptStore>
>()
expectTypeOf(PromptRegistry.layer({ onStoreError: "allow" })).toEqualTypeOf<
  Layer.Layer<PromptRegistry.PromptRegistry, never, PromptStore.PromptStore>
>()

// ---- another version changes no types ----
expectTypeOf(text.pipe(PromptRegistry.withLabel("staging"))).toEqualTypeOf<typeof text>()
expectTypeOf(PromptRegistry.withVersion(text, summarize, 3)).toEqualTypeOf<typeof text>()

// ---- tools: their failures and services are added ----
class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}
const Weather = Tool.make("Weather", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String,
  failure: Broken
})
const toolkit = Toolkit.make(Weather)
const tooled = PromptRegistry.generateText(summarize, { document: "" }, { toolkit, toolChoice: "required" })
expectTypeOf<Effect.Error<typeof tooled>>().toEqualTypeOf<
  Fails | Broken | LlmError.InvalidOutput | LlmError.ToolFailed
>()
expectTypeOf<Effect.Services<typeof tooled>>().toEqualTypeOf<Needs | Tool.Handler<"Weather">>()
