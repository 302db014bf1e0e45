/**
 * `npm run wall`: every scenario at its published times, over real HTTP, side by side. Writes the table of `docs/wall.md`, and ends
 * with 1 where a check does not hold.
 *
 * `npm run wall -- S08 X15` runs some of them, and writes nothing.
 */
import { Clock, Console, Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { attempt, failed, http } from "./attempt.ts"
import { seconds } from "./checks.ts"
import type { Mode } from "./lab.ts"
import type { Scenario } from "./scenario.ts"
import { scenarios } from "./scenarios.ts"
import * as Table from "./table.ts"

/** How late this machine may be, in milliseconds: all scenarios run side by side. */
const slack = 1_000

const only = process.argv.slice(2)

const tests = scenarios
  .filter((scenario) => only.length === 0 || only.includes(scenario.name))
  .flatMap((scenario) => scenario.modes.map((mode) => ({ scenario, mode })))

const run = ({ mode, scenario }: { readonly scenario: Scenario; readonly mode: Mode }): Effect.Effect<Table.Result> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const { asked, checks } = yield* attempt(scenario, http({ mode, seed: 0, scale: 1, slack }))
    const result = {
      scenario,
      mode,
      asked,
      failed: failed(checks),
      took: (yield* Clock.currentTimeMillis) - began
    }
    yield* Console.log(
      [
        result.failed.length === 0 ? "ok    " : "FAILED",
        scenario.name.padEnd(14),
        mode.padEnd(8),
        seconds(result.took).padStart(8),
        `  ${scenario.sentence}`,
        ...result.failed.map((check) => `\n       ${check}`)
      ].join(" ")
    )
    return result
  })

const main = Effect.gen(function*() {
  // What makes a load would make the others late.
  const heavy = tests.filter(({ scenario }) => scenario.name === "X15")
  const results = [
    // One after the other they begin, so that none is late because all begin at once.
    ...(yield* Effect.forEach(
      tests.filter((test) => !heavy.includes(test)),
      (test, index) => Effect.andThen(Effect.sleep(index * 100), run(test)),
      { concurrency: "unbounded" }
    )),
    ...(yield* Effect.forEach(heavy, run))
  ]
  const wrong = results.filter((result) => result.failed.length > 0).length
  if (only.length === 0) {
    const page = new URL("../../docs/wall.md", import.meta.url)
    const day = new Date(yield* Clock.currentTimeMillis).toISOString().slice(0, 10)
    const head = `Node ${process.version}, ${day}: ${results.length - wrong} of ${results.length} runs hold.`
    writeFileSync(page, Table.write(readFileSync(page, "utf8"), `${head}\n\n${Table.render(results)}`))
  }
  yield* Console.log(`${results.length - wrong} of ${results.length} runs hold`)
  return wrong
})

process.exitCode = (await Effect.runPromise(main)) === 0 ? 0 : 1
