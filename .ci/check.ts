/**
 * Everything that must hold before a change goes in: `npm run check`. Stops at the first step that fails.
 */
import { spawn } from "node:child_process"
import { delimiter } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

type Step = readonly [name: string, command: string]

/** Steps that need nothing of each other but the machine, side by side; those of a row one after the other. */
const rows: ReadonlyArray<ReadonlyArray<Step>> = [
  [["effect diagnostics", "effect-tsgo diagnostics --project tsconfig.json --strict --format text"]],
  [
    ["format", "dprint check"],
    ["lint", "oxlint"],
    ["types", "tsc --project tsconfig.json"],
    ["types without Node", "tsc --project .ci/tsconfig.portable.json"],
    // To pack it is to build it.
    ["build and package", "node .ci/packed.ts"],
    ["publint", "publint --strict"]
  ]
]

/** They take the whole machine, and some of them need their time. */
const tests: ReadonlyArray<Step> = [["tests, doc examples, examples", "vitest run"]]

// Whoever has just run the tests need not run them again.
const done = process.env["BULWARK_TESTS_PASSED"] === "yes" ? ["vitest run"] : []

const run = (command: string) =>
  new Promise<{ readonly code: number | null; readonly output: string }>((resolve, reject) => {
    const child = spawn(command, {
      cwd: root,
      shell: true,
      env: { ...process.env, PATH: `${root}node_modules/.bin${delimiter}${process.env["PATH"]}` },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output += chunk.toString())
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, output }))
  })

const follow = async (steps: ReadonlyArray<Step>): Promise<void> => {
  for (const [name, command] of steps) {
    if (done.includes(command)) {
      console.log(`${name.padEnd(34)}passed before`)
      continue
    }
    const start = performance.now()
    const { code, output } = await run(command)
    console.log(
      `${name.padEnd(34)}${code === 0 ? "ok" : "FAILED"} ${((performance.now() - start) / 1000).toFixed(1)} s`
    )
    if (code !== 0) {
      console.log(`\n> ${command}\n\n${output}`)
      process.exit(1)
    }
  }
}

await Promise.all(rows.map(follow))
await follow(tests)
