/**
 * A cache store that several processes share: their leases exclude each other, whatever becomes of those who have them.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Processes from "../support/processes.ts"
import { get, minute, open, shared } from "./support/homes.ts"
import type { Place } from "./support/places.ts"
import type { Job, Task } from "./support/worker.ts"

const worker = new URL("./support/worker.ts", import.meta.url)

const begin = (task: Task) => Processes.begin(worker, task)

/** What a process says. */
const run = (place: Place, job: Job) => Processes.run(worker, { place, job } satisfies Task)

for (const home of shared) {
  home.describe(`processes that share a cache: ${home.name}`, () => {
    it.live(
      "lease each key to one of them, do one after the other what the lease is for, and wait for one that was killed until it is over",
      () =>
        Effect.gen(function*() {
          const place = yield* home.place
          // All of them make the tables.
          const dead = yield* begin({ place, job: { job: "hold", holder: "dead", millis: 6_000 } })
          const said = yield* Effect.forEach(
            ["one", "two", "three"],
            (holder) => run(place, { job: "share", holder, keys: 50, times: 30 }),
            { concurrency: "unbounded" }
          )
          const store = yield* open(place)
          const got: ReadonlyArray<number> = said.flatMap((text) => JSON.parse(text))
          assert.deepStrictEqual(got.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, n) => n))
          assert.deepStrictEqual(yield* get(store, "count", ["counts"]), { count: 90 })

          while (!dead.output().includes("true")) {
            assert.isNull(dead.exitCode, dead.output())
            yield* Effect.sleep("5 millis")
          }
          dead.kill("SIGKILL")
          yield* Processes.ended(dead)
          // It may be over by now, where the others took their time.
          let waited = 0
          while (!(yield* store.lease("held", "living", minute))) {
            assert.isBelow(++waited, 1_000)
            yield* Effect.sleep("10 millis")
          }
          assert.isFalse(yield* store.lease("held", "dead", minute))
        }),
      60_000
    )
  })
}
