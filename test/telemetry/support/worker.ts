/**
 * One process of several that share a ledger. What it is to do comes as JSON, what came of it goes to the standard output.
 */
import { Effect, Layer } from "effect"
import { Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { writeSync } from "node:fs"
import { attempt, entry, usage } from "./entries.ts"
import { layerOf, type Place } from "./places.ts"

export interface Task {
  readonly place: Place
  readonly name: string
  /** How many operations; it goes on for ever without. */
  readonly count: number | undefined
}

const { count = Infinity, name, place }: Task = JSON.parse(process.argv[2]!)

const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 1 } })
])

/** Of three requests each, so that there are halves to be had. */
const operation = (n: number) =>
  entry(`${name}/${n}`, n, [1, 2, 3].map(() => ({ attempt: attempt({ usage: usage(500_000, 500_000) }) }))).receipt

const work = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  for (let n = 0; n < count; n++) {
    yield* ledger.record(operation(n))
    if (n % 10 === 9) {
      yield* ledger.flush
      // Whole, before anything else happens: the process may be killed.
      writeSync(1, `${n + 1}\n`)
    } else if (n % 3 === 0) yield* Effect.sleep("1 millis")
  }
})

await Effect.runPromise(
  Effect.provide(
    work,
    Ledger.layer({ batchSize: 4, flushEvery: "3 millis" }).pipe(
      Layer.provide(prices),
      Layer.provideMerge(layerOf(place))
    )
  )
)
