/**
 * The page of the wall: what it says is what the scenarios are.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { scenarios } from "../wall/scenarios.ts"
import * as Table from "../wall/table.ts"

const page = readFileSync(new URL("../../docs/wall.md", import.meta.url), "utf8")

const scenario = { name: "S00", sentence: "Rain: an umbrella", modes: ["streamed", "full"] } as const

const result = (mode: "streamed" | "full", failed: ReadonlyArray<string>, primary: number, took: number) => ({
  scenario,
  mode,
  failed,
  asked: { primary, backup: 1 },
  took
})

const head = [
  "|  | Fault, and what is expected | streamed | full | requests | time |",
  "| --- | --- | --- | --- | --- | --- |"
]

describe("the table", () => {
  it("has a row a scenario", () => {
    assert.strictEqual(
      Table.render([result("streamed", [], 1, 1_234), result("full", [], 1, 20)]),
      [...head, "| S00 | Rain: an umbrella | ok | ok | 1 + 1 | 1.23 s / 0.02 s |"].join("\n")
    )
  })

  it("says what failed", () => {
    assert.strictEqual(
      Table.render([result("streamed", [], 1, 0), result("full", ["it is dry: no", "it is warm: no"], 3, 0)]),
      [
        ...head,
        "| S00 | Rain: an umbrella | ok | **failed** | 1 + 1 / 3 + 1 | 0.00 s / 0.00 s |",
        "",
        "Failed:",
        "",
        "- S00, full: it is dry: no",
        "- S00, full: it is warm: no"
      ].join("\n")
    )
  })

  it("leaves a cell empty where there is nothing to run", () => {
    assert.include(Table.render([result("full", [], 1, 0)]), "| S00 | Rain: an umbrella |  | ok | 1 + 1 | 0.00 s |")
  })

  it("takes its place in a page, again and again", () => {
    const once = Table.write(page, "one")
    assert.strictEqual(Table.written(once), "one")
    assert.strictEqual(Table.write(Table.write(once, "two"), "one"), once)
    assert.strictEqual(Table.write(once, Table.written(page)), Table.write(page, Table.written(page)))
    assert.throws(() => Table.write("a page without a place", "one"), /no place/)
  })
})

describe("docs/wall.md", () => {
  const rows = Table.written(page).split("\n").filter((line) => /^\| [SX]\d/.test(line)).map((line) =>
    line.slice(2, -2).split(" | ")
  )

  it("has these scenarios, in these words", () => {
    assert.deepStrictEqual(
      rows.map(([name, sentence]) => [name, sentence]),
      scenarios.map(({ name, sentence }) => [name, sentence])
    )
  })

  it("says that all hold", () => {
    assert.notInclude(page, "**failed**")
    for (const [index, [, , streamed, full]] of rows.entries()) {
      const { modes } = scenarios[index]!
      assert.deepStrictEqual([streamed, full], [
        modes.includes("streamed") ? "ok" : "",
        modes.includes("full") ? "ok" : ""
      ])
    }
  })
})
