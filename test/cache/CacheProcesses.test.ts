/**
 * A fleet of processes with one cache in Redis, all of which want the same answer in the moment in which it is over.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { describeRedis, tidyPrefix } from "../support/redis.ts"
import type { Fleet, Round } from "./support/fleet.ts"

const processes = Number(process.env["BULWARK_TEST_PROCESSES"] ?? 3)
const rounds = Number(process.env["BULWARK_TEST_ROUNDS"] ?? 2)

const begin = (fleet: Fleet) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const script = fileURLToPath(new URL("./support/fleet.ts", import.meta.url))
      const child = spawn(process.execPath, ["--conditions=effect-bulwark/source", script, JSON.stringify(fleet)], {
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
      return {
        child,
        next: Effect.promise(async (): Promise<unknown> => JSON.parse((await lines.next()).value as string))
      }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, n) => sum + n, 0)

describeRedis("the moment in which an answer is over", () => {
  it.live(
    `${processes} processes ask once, and at most twice, whether or not it is given on`,
    () =>
      Effect.gen(function*() {
        const options = { callers: 100, timeToLive: 500, answerMillis: 100, prefix: `{${yield* tidyPrefix}}` }
        const fleet = yield* Effect.forEach(Array.from({ length: processes }), () => begin(options))
        for (const { next } of fleet) assert.strictEqual(yield* next, "ready")
        for (const stack of ["over", "given"] as const) {
          for (let n = 0; n <= rounds; n++) {
            for (const { child } of fleet) child.stdin!.write(`${stack}\n`)
            const round = yield* Effect.forEach(fleet, ({ next }) => next as Effect.Effect<Round>, {
              concurrency: "unbounded"
            })
            const words = `${stack}, round ${n}: ${JSON.stringify(round)}`
            const requests = round.map(({ requests }) => requests)
            assert.isAtMost(Math.max(...requests), 1, words)
            // (Processes that all see a tag for the first time in the same moment may each begin it anew; this is about what was there.)
            if (n > 0) assert.isAtMost(sum(requests), 2, words)
            assert.isAtLeast(sum(requests), 1, words)
            // Everybody was answered, and where the old answer is given on nobody has waited.
            assert.strictEqual(sum(round.flatMap(({ results }) => Object.values(results))), processes * 100, words)
            if (n > 0 && stack === "given") {
              assert.isTrue(
                round.every(({ results }) => (results["hit"] ?? 0) + (results["stale"] ?? 0) === 100),
                words
              )
            }
            // Until the answer is over.
            yield* Effect.sleep(options.timeToLive + 20)
          }
        }
      }),
    120_000
  )
})
