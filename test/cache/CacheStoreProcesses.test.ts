/**
 * A cache store that several processes share: their leases exclude each other, whatever becomes of those who have them.
 */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { get, minute, open, shared } from "./support/homes.ts"
import type { Place } from "./support/places.ts"
import type { Job, Task } from "./support/worker.ts"

const begin = (task: Task): Effect.Effect<ChildProcess & { readonly output: () => string }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const script = fileURLToPath(new URL("./support/worker.ts", import.meta.url))
      const child = spawn(process.execPath, ["--conditions=effect-bulwark/source", script, JSON.stringify(task)], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => output += chunk.toString())
      }
      return Object.assign(child, { output: () => output })
    }),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("close", () => resume(Effect.void))
  })

/** What a process says. */
const run = (place: Place, job: Job) =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* begin({ place, job })
    yield* ended(child)
    assert.strictEqual(child.exitCode, 0, child.output())
    return child.output().trim()
  }))

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
          yield* ended(dead)
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
