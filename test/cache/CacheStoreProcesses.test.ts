/**
 * A cache store that several processes share: their leases exclude each other, whatever becomes of those who have them.
 */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { get, minute, open, put, shared } from "./support/homes.ts"
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

const holders = ["one", "two", "three"]

for (const home of shared) {
  home.describe(`processes that share a cache: ${home.name}`, () => {
    it.live("make its tables at the same time, and one of them gets each lease", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const said = yield* Effect.forEach(holders, (holder) => run(place, { job: "lease", holder, keys: 50 }), {
          concurrency: "unbounded"
        })
        const got: ReadonlyArray<number> = said.flatMap((text) => JSON.parse(text))
        assert.deepStrictEqual(got.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, n) => n))
      }), 60_000)

    it.live("do one after the other what the lease is for", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        yield* put(store, "count", { count: 0 }, ["counts"])
        yield* Effect.forEach(holders, (holder) => run(place, { job: "count", holder, times: 30 }), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(yield* get(store, "count", ["counts"]), { count: 90 })
      }), 60_000)

    it.live("wait for a process that was killed until its lease is over, and no longer", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        const child = yield* begin({ place, job: { job: "hold", holder: "dead", millis: 1_500 } })
        while (!child.output().includes("true")) {
          assert.isNull(child.exitCode, child.output())
          yield* Effect.sleep("5 millis")
        }
        child.kill("SIGKILL")
        yield* ended(child)
        assert.isFalse(yield* store.lease("turn", "living", minute))
        yield* Effect.sleep("1600 millis")
        assert.isTrue(yield* store.lease("turn", "living", minute))
      }), 60_000)
  })
}
