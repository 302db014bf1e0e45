/**
 * A program of somebody else's: it is compiled and run against the packed package, in a project of its own.
 */
import { Llm, type LlmError, Retry } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Backup extends Provider.Service<Backup>()("backup") {}

const llm: Llm.Llm<LlmError.ProviderError | LlmError.TimedOut, OpenAi | Backup> = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.retry(Retry.transient),
  Llm.orElse(Llm.model(Backup, "llama3.3")),
  Llm.timeout({ total: "60 seconds" })
)

const answer = await Effect.runPromise(
  Llm.generateText(llm, { prompt: "Hello?" }).pipe(
    Effect.provide(Layer.mergeAll(
      ScriptedProvider.layer(OpenAi, [ScriptedProvider.fail("QuotaExhausted")]),
      ScriptedProvider.layer(Backup, [ScriptedProvider.text("Hello!")])
    ))
  )
)

const text: string = answer.text
if (text !== "Hello!") throw new Error(`The packed package answers ${JSON.stringify(text)}`)
