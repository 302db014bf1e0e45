/**
 * One process of several that share a store. What it is to do comes as JSON, what came of it goes to the standard output.
 */
import { Duration, Effect } from "effect"
import { writeSync } from "node:fs"
import * as CacheStore from "../../../src/cache/CacheStore.ts"
import { layerOf, type Place } from "./places.ts"

export type Job =
  /**
   * Tries to lease each of so many keys. Then takes leases of another key, so many times, and adds 1 to a number that is a value of the
   * cache while it has it, which can only be right where nobody else has the lease. Says which of the first leases it got.
   */
  | { readonly job: "share"; readonly holder: string; readonly keys: number; readonly times: number }
  /** Takes a lease, says so, and goes on for ever. */
  | { readonly job: "hold"; readonly holder: string; readonly millis: number }

export interface Task {
  readonly place: Place
  readonly job: Job
}

// Whole, before anything else happens: the process may be killed.
const say = (line: string) => Effect.sync(() => void writeSync(1, `${line}\n`))

const work = (job: Job) =>
  Effect.gen(function*() {
    const store = yield* CacheStore.CacheStore
    switch (job.job) {
      case "share": {
        const got = yield* Effect.filter(
          Array.from({ length: job.keys }, (_, n) => n),
          (n) => store.lease(`${n}`, job.holder, Duration.minutes(1)),
          { concurrency: 20 }
        )
        for (let n = 0; n < job.times; n++) {
          while (!(yield* store.lease("turn", job.holder, Duration.minutes(1)))) yield* Effect.sleep(2)
          const { generation, value } = yield* store.lookup("count", ["counts"])
          yield* store.write("count", { count: Number(value?.["count"] ?? 0) + 1 }, {
            generation,
            timeToLive: Duration.minutes(1)
          })
          yield* store.release("turn", job.holder)
        }
        return yield* say(JSON.stringify(got))
      }
      case "hold": {
        yield* say(String(yield* store.lease("held", job.holder, Duration.millis(job.millis))))
        return yield* Effect.never
      }
    }
  })

const { job, place }: Task = JSON.parse(process.argv[2]!)

await Effect.runPromise(Effect.provide(work(job), layerOf(place)))
