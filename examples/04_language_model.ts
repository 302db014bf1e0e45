/**
 * Code written against `effect/ai` becomes resilient without a changed line: a chat, served by a stack of policies.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Llm, Retry } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { Chat } from "effect/ai"

// ---- this part knows nothing of Bulwark ----
const conversation = Effect.gen(function*() {
  const chat = yield* Chat.fromPrompt([{ role: "system", content: "You answer in one word." }])
  const first = yield* chat.generateText({ prompt: "What is the capital of France?" })
  const second = yield* chat.generateText({ prompt: "And of Italy?" })
  yield* Console.log(first.text, second.text)
})

// ---- this part gives it a model that survives ----
class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Groq extends Provider.Service<Groq>()("groq") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.retry(Retry.transient),
  Llm.orElse(Llm.model(Groq, "llama-3.3-70b"))
)

const providers = Layer.mergeAll(
  ScriptedProvider.layer(OpenAi, [
    ScriptedProvider.fail("ServerError"),
    ScriptedProvider.text("Paris."),
    ScriptedProvider.fail("QuotaExhausted")
  ]),
  ScriptedProvider.layer(Groq, [ScriptedProvider.text("Rome.")])
)

NodeRuntime.runMain(
  Effect.provide(conversation, Llm.layerLanguageModel(llm).pipe(Layer.provide(providers)))
)
