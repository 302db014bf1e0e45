/**
 * The floors of the house: a module imports from its own folder and from lower ones, never from higher ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"
import { parseSync, Visitor } from "vite"

/** From the ground up. */
const floors = [
  "core",
  "sqlite",
  "providers",
  "policies",
  "budget",
  "cache",
  "prompts",
  "output",
  "telemetry",
  "jobs",
  "gateway",
  "testing",
  "cli"
]

/** What stands on all floors and is imported by none. */
const roof = ["Llm.ts", "index.ts"]

/** Code for tests, and code of the command: of no use to the rest. */
const apart = ["testing", "cli"]

const violation = (file: string, specifier: string): string | undefined => {
  if (/^effect-bulwark(\/|$)/.test(specifier)) return "imports the package itself"
  if (!specifier.startsWith(".")) return
  const target = posix.join(posix.dirname(file), specifier)
  const [from = "", to = ""] = [file, target].map((path) => path.split("/")[0])
  if (from === to) return
  if (roof.includes(from)) {
    if (apart.includes(to)) return `imports ${to}, which is apart`
    if (roof.includes(to) || floors.includes(to)) return
  }
  const [above, below] = [floors.indexOf(from), floors.indexOf(to)]
  if (above < 0) return `${from} is no floor`
  if (below < 0) return `imports ${to}, which is no floor`
  if (above < below) return `imports upwards, from ${to}`
}

const importsOf = (file: string, text: string): ReadonlyArray<string> => {
  const { errors, program } = parseSync(file, text)
  assert.deepStrictEqual(errors, [])
  const specifiers: Array<string> = []
  const add = (source: unknown) => {
    const { value } = source as { readonly value?: unknown }
    // What is computed cannot be known.
    specifiers.push(typeof value === "string" ? value : "./?")
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source)
    },
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    TSExternalModuleReference: (node) => add(node.expression)
  }).visit(program)
  return specifiers
}

const violations = (file: string, text: string): ReadonlyArray<string> =>
  importsOf(file, text).flatMap((specifier) => {
    const found = violation(file, specifier)
    return found === undefined ? [] : [`${file} ${found} (${specifier})`]
  })

describe("architecture", () => {
  const src = fileURLToPath(new URL("../src", import.meta.url))

  it("arrows point down", () => {
    const files = globSync("**/*.ts", { cwd: src }).map((file) => file.replaceAll("\\", "/"))
    assert.include(files, "index.ts")
    assert.deepStrictEqual(files.flatMap((file) => violations(file, readFileSync(`${src}/${file}`, "utf8"))), [])
  })

  it("whatever the kind of import", () => {
    for (
      const text of [
        "import { a } from \"../policies/A.ts\"",
        "import \"../policies/A.ts\"",
        "import type { A } from \"../policies/A.ts\"",
        "import { type A } from \"../policies/A.ts\"",
        "export * from \"../policies/A.ts\"",
        "export * as A from \"../policies/A.ts\"",
        "export type { A } from \"../policies/A.ts\"",
        "export const a = import(\"../policies/A.ts\")",
        "export type A = import(\"../policies/A.ts\").A"
      ]
    ) {
      assert.strictEqual(violations("core/B.ts", text).length, 1, text)
      assert.deepStrictEqual(violations("budget/B.ts", text), [])
    }
  })

  it.each([
    ["core/internal/a.ts", "../../providers/Provider.ts"],
    ["core/A.ts", "../Llm.ts"],
    ["core/A.ts", "../index.ts"],
    ["core/A.ts", "../attic/A.ts"],
    ["core/A.ts", "effect-bulwark/testing"],
    ["attic/A.ts", "../core/A.ts"],
    ["gateway/A.ts", "../testing/A.ts"],
    ["Llm.ts", "./testing/A.ts"],
    ["index.ts", "./cli/A.ts"]
  ])("not from %s to %s", (file, specifier) => {
    assert.isDefined(violation(file, specifier))
  })

  it.each([
    ["core/internal/a.ts", "../A.ts"],
    ["policies/A.ts", "../core/A.ts"],
    ["testing/A.ts", "../providers/A.ts"],
    ["cli/A.ts", "../testing/A.ts"],
    ["index.ts", "./Llm.ts"],
    ["index.ts", "./core/A.ts"],
    ["core/A.ts", "effect/Effect"]
  ])("but from %s to %s", (file, specifier) => {
    assert.isUndefined(violation(file, specifier))
  })
})
