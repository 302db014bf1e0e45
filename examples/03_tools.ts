/**
 * Tools are `effect/ai` toolkits: what their handlers need and how they fail stands in the type of the call.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Llm, type LlmError, Retry } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Tool, Toolkit } from "effect/ai"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

class UnknownCity extends Schema.TaggedError<UnknownCity>()("UnknownCity", { city: Schema.String }) {
  override get message() {
    return `there is no weather for ${this.city}`
  }
}

const Weather = Tool.make("Weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Finite }),
  failure: UnknownCity,
  failureMode: "error"
})

const toolkit = Toolkit.make(Weather)

const handlers = toolkit.toLayer({
  Weather: ({ city }) => city === "Paris" ? Effect.succeed({ celsius: 21 }) : Effect.fail(new UnknownCity({ city }))
})

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.retry(Retry.transient))

const ask = (city: string): Effect.Effect<
  string,
  LlmError.ProviderError | LlmError.InvalidOutput | LlmError.ToolFailed | UnknownCity,
  OpenAi | Tool.Handler<"Weather">
> =>
  Effect.map(
    Llm.generateText(llm, { prompt: `What is the weather in ${city}?`, toolkit }),
    (answer) =>
      answer.toolResults.map((result) => result.isFailure ? "no answer" : `${result.result.celsius} °C`).join()
  )

const main = Effect.gen(function*() {
  yield* Console.log(`Paris: ${yield* ask("Paris")}`)
  yield* Console.log(
    `Atlantis: ${yield* Effect.catchTag(ask("Atlantis"), "UnknownCity", (error) => Effect.succeed(error.message))}`
  )
}).pipe(Effect.provide(Layer.mergeAll(
  handlers,
  ScriptedProvider.layer(OpenAi, [
    ScriptedProvider.fail("Overloaded"),
    ScriptedProvider.toolCall("Weather", { city: "Paris" }),
    ScriptedProvider.toolCall("Weather", { city: "Atlantis" })
  ])
)))

NodeRuntime.runMain(main)
