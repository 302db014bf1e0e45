import { beforeAll, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "node:assert"
import { fileURLToPath } from "node:url"
import { collect } from "./extract.ts"
import { type Problem, verify } from "./verify.ts"

const examples = collect(fileURLToPath(new URL("../../", import.meta.url)))

describe("documentation examples", () => {
  let problems: ReadonlyArray<Problem> = []

  beforeAll(async () => {
    problems = await verify(examples, { folder: "examples" })
  }, 300_000)

  it("import what compiles", () => {
    deepStrictEqual(problems.filter((problem) => problem.example === undefined).map((problem) => problem.message), [])
  })

  for (const example of examples) {
    it(`${example.file}:${example.line}`, () => {
      const found = problems.filter((problem) => problem.example === example)
      if (found.length > 0) throw new Error(found.map((problem) => problem.message).join("\n"))
    })
  }
})
