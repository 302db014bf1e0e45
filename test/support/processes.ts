/**
 * Processes that a test begins and tells what to do in an argument.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Process extends ChildProcess {
  /** All that it has said so far. */
  readonly output: () => string
}

/** Begins a process, which is killed with the scope if it has not ended before. */
export const begin = (script: URL, task: unknown): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        ["--conditions=effect-bulwark/source", fileURLToPath(script), JSON.stringify(task)],
        { stdio: ["ignore", "pipe", "pipe"] }
      )
      let output = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk: Buffer) => output += chunk.toString())
      }
      return Object.assign(child, { output: () => output })
    }),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** Waits until a process has ended, whichever way. */
export const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("close", () => resume(Effect.void))
  })

/** What a process says that ends well. */
export const run = (script: URL, task: unknown): Effect.Effect<string> =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* begin(script, task)
    yield* ended(child)
    assert.strictEqual(child.exitCode, 0, child.output())
    return child.output().trim()
  }))
