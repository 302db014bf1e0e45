/**
 * Packs the package, installs it into an empty project together with `effect`, and uses it there as a stranger would.
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const project = mkdtempSync(join(tmpdir(), "bulwark-packed-"))

const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
  } catch (cause) {
    const { stderr, stdout } = cause as { readonly stderr?: string; readonly stdout?: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause })
  }
}

const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target === "object" && target !== null)
  .map(([entry]) => manifest.name + entry.slice(1))

const closed = ["internal/x", "internal/errors", "core/Llm", "dist/index.js", "src/index.ts"]
  .map((path) => `${manifest.name}/${path}`)

/** Entry points that are nothing without an optional peer, and say so. */
const needs: Readonly<Record<string, string>> = { [`${manifest.name}/prompts`]: "liquidjs" }

/** Imports every entry point, and is refused whatever is none. */
const visit = `
const needs = ${JSON.stringify(needs)}
const complete = process.argv[2] === "complete"
for (const entry of ${JSON.stringify(entries)}) {
  const peer = needs[entry]
  if (peer !== undefined && !complete) {
    const error = await import(entry).then(() => undefined, (error) => error)
    if (error?.code !== "ERR_MODULE_NOT_FOUND" || !error.message.includes(peer)) throw new Error(entry + ": " + error)
    continue
  }
  const module = await import(entry)
  if (Object.keys(module).length === 0) throw new Error(entry + " exports nothing")
}
for (const path of ${JSON.stringify(closed)}) {
  const code = await import(path).then(() => "none", (error) => error.code)
  if (code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error("import of " + path + ": error " + code)
}
`

const install = (...packages: ReadonlyArray<string>): string =>
  run(
    project,
    "npm",
    "install",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    ...packages
  )

const compile = (program: string, options: { readonly skipLibCheck: boolean }): void => {
  copyFileSync(join(root, `.ci/${program}.ts`), join(project, `${program}.ts`))
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        target: "es2024",
        lib: ["es2024", "dom", "dom.iterable"],
        module: "nodenext",
        moduleResolution: "nodenext",
        types: [],
        ...options
      },
      files: [`${program}.ts`]
    })
  )
  run(project, process.execPath, join(root, "node_modules/typescript/bin/tsc"), "--project", ".")
}

/** Node of this run, and Node of this machine where the package supports it. */
const nodes = (): ReadonlyArray<string> => {
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"))
  for (const folder of path) {
    const node = join(folder, "node")
    try {
      const [major = 0, minor = 0] = run(project, node, "--version").slice(1).split(".").map(Number)
      return major > 22 || (major === 22 && minor >= 19) ? [process.execPath, node] : [process.execPath]
    } catch {
      // It has none: the next folder may.
    }
  }
  return [process.execPath]
}

try {
  run(root, "npm", "pack", "--silent", "--pack-destination", project)
  const tarball = readdirSync(project).find((file) => file.endsWith(".tgz"))
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  install(`./${tarball}`, `effect@${manifest.devDependencies["effect"]}`)

  // What is no module: documents, and what others load.
  for (
    const file of ["docs/telemetry.md", "monitoring/prometheus/alerts.rules.yml", "monitoring/grafana/bulwark.json"]
  ) {
    if (!existsSync(join(project, "node_modules", manifest.name, file))) {
      throw new Error(`${file} is not in the package`)
    }
  }
  writeFileSync(join(project, "visit.js"), visit)
  // Without the optional peers: what needs none of them must not miss them.
  compile("consumer", { skipLibCheck: false })
  for (const node of nodes()) {
    run(project, node, "visit.js")
    run(project, node, "consumer.js")
  }

  // With them. The declarations of others are not ours to check.
  install(...["@ai-sdk/provider", ...Object.values(needs)].map((peer) => `${peer}@${manifest.devDependencies[peer]}`))
  compile("consumerAiSdk", { skipLibCheck: true })
  for (const node of nodes()) {
    run(project, node, "consumerAiSdk.js")
    run(project, node, "visit.js", "complete")
  }
} finally {
  rmSync(project, { recursive: true, force: true })
}
