/**
 * Prompts to test the registry with, and a store that can go away.
 */
import { Effect, Layer, Result, Schema } from "effect"
import { Llm } from "effect-bulwark"
import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import type { Prompt } from "effect/ai"

export class OpenAi extends Provider.Service<OpenAi>()("openai") {}
export class Ollama extends Provider.Service<Ollama>()("ollama") {}

export const models = {
  small: Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.withSettings({ temperature: 1, seed: 7 })),
  local: Llm.model(Ollama, "llama3.3")
}

export const summarize = PromptRegistry.define("summarize", {
  variables: Schema.Struct({ document: Schema.String, words: Schema.optionalKey(Schema.Int) }),
  output: Schema.Struct({ summary: Schema.String }),
  models,
  model: "small"
})

/** A registry over a store in memory, and two models that repeat what they were asked last. */
export const setup = (options?: PromptRegistry.Options) => {
  const echo = (request: Provider.Request) => ScriptedProvider.text(texts(request.prompt).at(-1) ?? "nothing")
  const openai = ScriptedProvider.make(OpenAi, echo)
  const ollama = ScriptedProvider.make(Ollama, echo)
  const store = PromptStore.layerMemory
  return {
    openai,
    ollama,
    layer: Layer.mergeAll(
      PromptRegistry.layer(options).pipe(Layer.provideMerge(store)),
      openai.layer,
      ollama.layer
    )
  }
}

/** The messages of a prompt, as `role: text`. */
export const texts = (prompt: Prompt.Prompt): ReadonlyArray<string> =>
  prompt.content.map((message) =>
    `${message.role}: ${
      typeof message.content === "string"
        ? message.content
        : message.content.map((part) => part.type === "text" ? part.text : `<${part.type}>`).join("|")
    }`
  )

/** Publishes a version and has production point to it. */
export const deploy = (options: PromptRegistry.PublishOptions<typeof models>) =>
  Effect.tap(
    PromptRegistry.publish(summarize, options),
    ({ version }) => PromptRegistry.label(summarize, { label: "production", version, by: "ada" })
  )

/** A store that does what `down` says before each question. */
export const flaky = (down: { current: Effect.Effect<void, PromptStore.PromptStoreError> }) =>
  Layer.effect(
    PromptStore.PromptStore,
    Effect.map(PromptStore.PromptStore, (store) => {
      const asked = <A, E>(question: Effect.Effect<A, E>) =>
        Effect.andThen(Effect.suspend(() => down.current), question)
      return PromptStore.PromptStore.of({
        ...store,
        snapshot: asked(store.snapshot),
        changes: store.changes,
        version: (name, version) => asked(store.version(name, version)),
        publish: (draft) => asked(store.publish(draft)),
        label: (move) => asked(store.label(move)),
        history: (name) => asked(store.history(name)),
        experiments: (name) => asked(store.experiments(name)),
        saveExperiment: (save) => asked(store.saveExperiment(save))
      })
    })
  )

export const outage = Effect.fail(new PromptStore.PromptStoreError({ operation: "snapshot", cause: new Error("gone") }))

export const failureOf = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.map(Effect.result(self), (result) => {
    if (Result.isSuccess(result)) throw new Error("it did not fail")
    return result.failure
  })
