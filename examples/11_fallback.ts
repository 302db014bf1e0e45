/**
 * Falling back: by name, one after the other, through tiers, and to no model at all.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { Fallback, Llm, Receipt } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Gemini extends Provider.Service<Gemini>()("gemini") {}

const mini = Llm.model(OpenAi, "gpt-5-mini")
const flash = Llm.model(Gemini, "gemini-3.5-flash")

const stacks = {
  "a larger window, by name": mini.pipe(Llm.orElseOn("ContextLengthExceeded", flash)),
  "one after the other": Fallback.firstOf([mini, flash]),
  "a better one, where the answer will not do": Fallback.cascade([
    { llm: mini, quality: 1, price: 0.25 },
    { llm: flash, quality: 2, price: 0.3 }
  ]),
  "no model at all": Fallback.firstOf([mini, mini]).pipe(
    Llm.orElseSucceed((error) => `No answer for now: ${error.message}.`)
  )
}

const steps: Record<keyof typeof stacks, ReadonlyArray<ScriptedProvider.Step>> = {
  "a larger window, by name": [ScriptedProvider.fail("ContextLengthExceeded")],
  "one after the other": [ScriptedProvider.fail("Overloaded")],
  "a better one, where the answer will not do": [ScriptedProvider.text("I'm sorry, but I can't help with that.")],
  "no model at all": [ScriptedProvider.fail("QuotaExhausted"), ScriptedProvider.fail("QuotaExhausted")]
}

const names = Object.keys(stacks) as Array<keyof typeof stacks>

const main = Effect.forEach(
  names,
  (name) =>
    Llm.generateText<unknown, OpenAi | Gemini>(stacks[name], { prompt: "Summarise: ..." }).pipe(
      Effect.flatMap((answer) => Console.log(`${name}: ${answer.text}\n${Receipt.render(answer.receipt)}\n`)),
      Effect.provide(Layer.merge(
        ScriptedProvider.layer(OpenAi, steps[name]),
        ScriptedProvider.layer(Gemini, [ScriptedProvider.text("It says: ...")])
      ))
    )
)

NodeRuntime.runMain(main)
