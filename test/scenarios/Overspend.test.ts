/**
 * What the table of the benchmarks says of Bulwark, with fewer calls: no scenario comes to more than the limit, and the books are right.
 */
import { assert, describe, it } from "@effect/vitest"
import { scenarios } from "../bench/overspend.ts"

const calls = 100

/** How many requests there is room for, of those that are asked. */
const room = { atOnce: 10, longer: 5, sequence: 10, agent: 8, cutStreams: 10, killed: 10 }

describe("a limit for ten calls", () => {
  for (const [name, { run, words }] of Object.entries(scenarios)) {
    it(`is kept: ${words(calls)}`, async () => {
      const { billed, held, limit, sent, used } = await run("Bulwark: `Budget.enforce`", calls)
      assert.strictEqual(sent, room[name as keyof typeof scenarios])
      assert.isAtMost(billed, limit)
      assert.strictEqual(used + held, billed)
      // What a process that died has begun is held until somebody says what became of it.
      assert.strictEqual(held, name === "killed" ? limit / 2 : 0)
    }, 60_000)
  }
})
