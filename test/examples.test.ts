import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))

// No key of whoever runs this, and no network: an example runs as it stands.
const env = Object.fromEntries(
  ["PATH", "HOME", "TMPDIR", "TEMP", "SystemRoot", "NODE_COMPILE_CACHE"].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
)

const run = (file: string) =>
  new Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      ["--conditions=effect-bulwark/source", "--import", "./test/offline.ts", file],
      { cwd: root, env, timeout: 60_000, killSignal: "SIGKILL" },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code ?? error.signal, stdout, stderr })
    )
  })

describe("examples", () => {
  for (const file of globSync("examples/*.ts", { cwd: root }).toSorted()) {
    it.concurrent(`${file} runs`, { timeout: 70_000 }, async () => {
      const { code, stderr, stdout } = await run(file)
      assert.strictEqual(code, 0, `it ended with ${code}\n${stdout}\n${stderr}`)
      assert.notStrictEqual(stdout.trim(), "")
    })
  }
})
