/**
 * Compiles examples, and runs those that state results.
 */
import { type ChildProcess, execFile, fork } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Example } from "./extract.ts"
import { hook, instrument } from "./instrument.ts"
import type { Answer } from "./worker.ts"

/** What is wrong with an example, and where: `file:line:column message`. */
export interface Problem {
  /** Absent where the fault is not in an example, but in what the examples import. */
  readonly example?: Example
  readonly message: string
}

const root = fileURLToPath(new URL("../../", import.meta.url))

/**
 * Compiles all examples in one run of the compiler, and runs those that state results, one after another.
 *
 * They are written into a folder of this repository, because "effect-bulwark" and "effect" have a meaning only there.
 */
export const verify = async (
  examples: ReadonlyArray<Example>,
  options: { readonly folder: string; readonly timeout?: number }
): Promise<ReadonlyArray<Problem>> => {
  const folder = join(root, ".doctest", options.folder)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, "run"), { recursive: true })
  const [compiled, ran] = await Promise.all([
    compile(examples, folder),
    run(examples, join(folder, "run"), options.timeout ?? 20_000)
  ])
  return [...compiled, ...ran]
}

const fileOf = (example: Example): string => `${example.file.replaceAll("/", "_")}.${example.line}.ts`

const at = (example: Example, line: number, column?: number): string =>
  `${example.file}:${example.line + line}` + (column === undefined ? "" : `:${column + (example.indents[line] ?? 0)}`)

const compile = async (examples: ReadonlyArray<Example>, folder: string): Promise<ReadonlyArray<Problem>> => {
  const byFile = new Map(examples.map((example) => [fileOf(example), example]))
  for (const [file, example] of byFile) writeFileSync(join(folder, file), example.code)
  writeFileSync(
    join(folder, "tsconfig.json"),
    // An example may well define what it does not use.
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: { noUnusedLocals: false },
      include: ["*.ts"]
    })
  )
  const compiler = fileURLToPath(import.meta.resolve("typescript/package.json")).replace("package.json", "bin/tsc")
  const output = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      [compiler, "--project", folder, "--pretty", "false"],
      { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error !== null && !stdout.includes("error TS")
          ? reject(new Error(stdout + stderr, { cause: error }))
          : resolve(stdout)
    )
  })
  // A message goes on in the indented lines below it.
  return output.split(/\n(?=\S)/).filter((message) => message.includes("error TS")).map((message): Problem => {
    const [whole, file = "", line = "", column = "", text = ""] =
      /^(.+?)\((\d+),(\d+)\): ([\s\S]*)$/.exec(message.trimEnd()) ?? [message]
    const example = byFile.get(file)
    return example === undefined
      ? { message: whole }
      : { example, message: `${at(example, Number(line) - 1, Number(column))} ${text}` }
  })
}

const run = async (
  examples: ReadonlyArray<Example>,
  folder: string,
  timeout: number
): Promise<ReadonlyArray<Problem>> => {
  const problems: Array<Problem> = []
  let worker: ChildProcess | undefined
  for (const example of examples) {
    const { code, stated, unclear } = instrument(example)
    const report = (line: number, message: string) =>
      problems.push({ example, message: `${at(example, line)} ${message}` })
    for (const result of unclear) {
      report(result.line, `"=> ${result.text}" is not a value after an expression whose result it could be`)
    }
    if (stated.length === 0) continue
    const file = join(folder, fileOf(example))
    writeFileSync(file, code)
    worker ??= start()
    const answer = await ask(worker, file, timeout)
    if (answer.ended) worker = undefined
    if (answer.error !== undefined) {
      const line = parseInt(answer.error.split(`${fileOf(example)}:`)[1] ?? "1")
      report(line - 1, `fails: ${answer.error}`)
      continue
    }
    stated.forEach((result, index) => {
      const outcomes = answer.outcomes.filter((outcome) => outcome.index === index)
      const wrong = outcomes.find((outcome) => !outcome.equal)
      if (wrong !== undefined) report(result.line, `states ${wrong.expected}, but the result is ${wrong.actual}`)
      if (outcomes.length === 0) report(result.line, `states ${result.text}, but is never reached`)
    })
  }
  worker?.kill()
  return problems
}

const start = (): ChildProcess =>
  fork(fileURLToPath(new URL("worker.ts", import.meta.url)), [hook], {
    cwd: root,
    execArgv: ["--conditions=effect-bulwark/source", "--import", new URL("../offline.ts", import.meta.url).href],
    // What they print is of no interest, and a pipe that nobody empties would stop them.
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })

const ask = async (
  worker: ChildProcess,
  file: string,
  timeout: number
): Promise<Answer & { readonly ended?: boolean }> => {
  const done = new AbortController()
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(timeout)])
  let stderr = ""
  const listen = (chunk: Buffer) => stderr += chunk.toString()
  worker.stderr?.on("data", listen)
  worker.send(file)
  try {
    return await Promise.race([
      once(worker, "message", { signal }).then(([answer]) => answer as Answer),
      once(worker, "close", { signal }).then(() => ({
        error: `the process ended\n${stderr}`,
        outcomes: [],
        ended: true
      }))
    ])
  } catch {
    worker.kill("SIGKILL")
    return { error: `takes longer than ${timeout} ms`, outcomes: [], ended: true }
  } finally {
    done.abort()
    worker.stderr?.off("data", listen)
  }
}
