/**
 * One process of several that share a budget. What it is to do comes as JSON, what came of it goes to the standard output.
 */
import { Effect, Layer } from "effect"
import { Attribution, Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import { writeSync } from "node:fs"
import { counts, prices } from "../../budget/support/budget.ts"
import { layerOf, type Place } from "../../budget/support/places.ts"

export interface Task {
  readonly place: Place
  readonly limits: ReadonlyArray<Budget.Limit>
  /** In milliseconds. */
  readonly lease: number
  /** How many calls, at most 20 at once. */
  readonly calls: number
  /** Whether the provider answers: without, a call hangs until the process is killed. */
  readonly answers: boolean
}

/** What it says at its end. */
export interface Said {
  readonly served: number
  readonly refused: number
  /** What the provider has in its own books. */
  readonly sent: number
}

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const { answers, calls, lease, limits, place }: Task = JSON.parse(process.argv[2]!)

const say = (line: string) => void writeSync(1, `${line}\n`)

const provider = ScriptedProvider.make(OpenAi, () => {
  if (answers) return ScriptedProvider.text("Hi", { delay: "1 millis" })
  say("sent")
  return ScriptedProvider.silence
})

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Budget.enforce({ maxOutputTokens: 1 }))

const work = Effect.gen(function*() {
  const outcomes = yield* Llm.generateText(llm, { prompt: "Hello?" }).pipe(
    Attribution.annotate({ tenant: "acme" }),
    Effect.match({ onFailure: (error) => error._tag, onSuccess: () => "served" }),
    Effect.replicateEffect(calls, { concurrency: 20 })
  )
  const count = (outcome: string) => outcomes.filter((one) => one === outcome).length
  const said: Said = { served: count("served"), refused: count("BudgetExceeded"), sent: provider.calls.length }
  say(JSON.stringify(said))
})

// Tests run on loaded machines.
const budget = Budget.layer({ limits, lease, storeTimeout: "30 seconds" }).pipe(
  Layer.provide(Layer.mergeAll(layerOf(place), prices, counts))
)

await Effect.runPromise(Effect.provide(work, [budget, provider.layer]))
