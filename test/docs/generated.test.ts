import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { generated } from "./generated.ts"

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
})
