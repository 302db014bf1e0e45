import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { generated } from "./generated.ts"
import { fill } from "./telemetryTables.ts"

describe("generated documentation", () => {
  it("has one source for each page", () => {
    assert.strictEqual(new Set(generated.map(({ file }) => file)).size, generated.length)
  })

  for (const { file, render } of generated) {
    it(`${file} is what the code makes it (npm run docs)`, () => {
      const page = new URL(`../../${file}`, import.meta.url)
      assert.strictEqual(existsSync(page) ? readFileSync(page, "utf8") : "", render())
    })
  }

  it("replaces sections of a page, and leaves what is around them", () => {
    const page = (content: string) => `# A\n<!-- b: made by npm run docs -->\n${content}<!-- end of b -->\nC\n`
    assert.strictEqual(fill(page(""), { b: "new" }), page("\nnew\n\n"))
    assert.strictEqual(fill(page("\nold\n\n"), { b: "new" }), page("\nnew\n\n"))
  })

  it("finds every section once, or fails", () => {
    const begin = "<!-- b: made by npm run docs -->\n"
    const end = "<!-- end of b -->"
    for (const page of ["", begin, end, `${end}${begin}`, `${begin}${end}${begin}${end}`, `${begin}${end}${end}`]) {
      assert.throws(() => fill(page, { b: "new" }), /needs one section/)
    }
  })
})
