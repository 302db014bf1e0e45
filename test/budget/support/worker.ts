/**
 * One process of several that share a store. What it is to do comes as a message, each time with a client of its own, and so goes
 * what came of it.
 */
import { Effect } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { writeSync } from "node:fs"
import { layerOf, type Place } from "./places.ts"

export type Job =
  /** Holds 1, so many times, at most so many at once, and says how often it could. */
  | {
    readonly job: "reserve"
    readonly name: string
    readonly account: string
    readonly limit: number
    readonly tries: number
  }
  /** Settles all with 3, and says how often it was the one. */
  | { readonly job: "settle"; readonly ids: ReadonlyArray<string> }
  /** Reserves and settles 1 of two accounts until it is killed; says of each reservation when it begins and when it has ended. */
  | { readonly job: "churn"; readonly name: string; readonly accounts: readonly [string, string] }

/** How often it was the one. */
export type Said = number

export interface Task {
  readonly place: Place
  readonly job: Job
}

// Whole, before anything else happens: the process may be killed.
const say = (line: string) => Effect.sync(() => void writeSync(1, `${line}\n`))

const line = (account: string, limit: number, slot = 0) => ({
  account,
  limit,
  amount: 1,
  slot,
  since: 0,
  until: undefined
})

const work = (job: Job) =>
  Effect.gen(function*() {
    const store = yield* BudgetStore.BudgetStore
    switch (job.job) {
      case "reserve": {
        const verdicts = yield* Effect.forEach(
          Array.from({ length: job.tries }, (_, n) => n),
          // A rolling window: what is counted are many slots, of which some are not there yet.
          (n) =>
            store.reserve({
              id: `${job.name}/${n}`,
              lines: [line(job.account, job.limit, n % 7)],
              leasedUntil: Number.MAX_SAFE_INTEGER
            }),
          { concurrency: 20 }
        )
        return verdicts.filter(({ _tag }) => _tag === "Reserved").length
      }
      case "settle": {
        const outcomes = yield* Effect.forEach(job.ids, (id) => store.settle(id, [3]), { concurrency: 5 })
        return outcomes.filter((outcome) => outcome === "applied").length
      }
      case "churn": {
        const [a, b] = job.accounts
        const churn = (fiber: number) =>
          Effect.gen(function*() {
            for (let n = 0;; n++) {
              const id = `${job.name}/${fiber}/${n}`
              yield* say(`begin ${id}`)
              const lines = [line(a, 100_000), line(b, 100_000)]
              yield* store.reserve({ id, lines: n % 2 === 0 ? lines : lines.toReversed(), leasedUntil: 1 })
              const outcome = n % 5 === 0 ? yield* store.void(id) : yield* store.settle(id, [1, 1])
              yield* say(`${n % 5 === 0 ? "voided" : "settled"} ${id} ${outcome}`)
            }
          })
        yield* Effect.forEach([0, 1, 2], churn, { concurrency: "unbounded", discard: true })
        return 0
      }
    }
  })

// A work that fails ends the process.
process.on("message", async ({ job, place }: Task) => {
  const said = await Effect.runPromise(Effect.provide(work(job), layerOf(place)))
  process.send?.(said satisfies Said)
})
