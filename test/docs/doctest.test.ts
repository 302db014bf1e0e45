import { assert, describe, it } from "@effect/vitest"
import { type Example, fromMarkdown, fromSource } from "./extract.ts"
import { instrument } from "./instrument.ts"
import { verify } from "./verify.ts"

const page = (...lines: ReadonlyArray<string>): string => lines.join("\n")

const only = (examples: ReadonlyArray<Example>): Example => {
  assert.strictEqual(examples.length, 1)
  return examples[0]!
}

describe("finding examples", () => {
  it("takes the ts blocks of a page, and knows where they stand", () => {
    const markdown = [
      ["# Title", "```ts", "const a = 1", "```"],
      ["```sh", "npm ci", "```"],
      ["- ```ts twice", "  let b", "  ```"],
      ["> ```ts", "> let c", "> ```"]
    ]
    const examples = fromMarkdown("page.md", page(...markdown.flat()))
    assert.deepStrictEqual(examples, [
      { file: "page.md", line: 3, indents: [0], code: "const a = 1\n" },
      { file: "page.md", line: 9, indents: [2], code: "let b\n" },
      { file: "page.md", line: 12, indents: [2], code: "let c\n" }
    ])
  })

  it("leaves blocks within blocks alone", () => {
    assert.deepStrictEqual(fromMarkdown("page.md", page("````md", "```ts", "const a = 1", "```", "````")), [])
  })

  it("takes the ts blocks of doc comments only, and cuts off what stands before the code", () => {
    const source = page(
      "const glob = \"/**/*.ts\"",
      "/* ```ts",
      "no()",
      "``` */",
      "class A {",
      "  /**",
      "   * Says.",
      "   * ```ts",
      "   * if (true) {",
      "   *",
      "   *   yes()",
      "   * }",
      "   * ```",
      "   */",
      "}"
    )
    assert.deepStrictEqual(fromSource("a.ts", source), [
      { file: "a.ts", line: 9, indents: [5, 4, 5, 5], code: "if (true) {\n\n  yes()\n}\n" }
    ])
  })

  it("refuses a block without an end", () => {
    assert.throws(() => fromMarkdown("page.md", page("", "```ts", "const a = 1")), /page\.md:3/)
  })
})

describe("reading results", () => {
  const read = (...lines: ReadonlyArray<string>) =>
    instrument(only(fromMarkdown("p.md", page("```ts", ...lines, "```"))))

  it("finds them beside and below expressions, declarations and returns, and in logs", () => {
    const { stated, unclear } = read(
      "f(1) // => 1",
      "f(",
      "  2",
      ")",
      "// => [",
      "//   2",
      "// ]",
      "const three = await f(3) // => 3",
      "const four = () => {",
      "  return 4 // => 4",
      "}",
      "console.log(5) // => 5"
    )
    assert.deepStrictEqual(unclear, [])
    assert.deepStrictEqual(stated, [
      { line: 0, text: "1" },
      { line: 4, text: "[ 2 ]" },
      { line: 7, text: "3" },
      { line: 9, text: "4" },
      { line: 11, text: "5" }
    ])
  })

  it("moves no line", () => {
    const { code } = read("f(", "  1", ")", "// => [", "//   1", "// ]", "throw new Error()")
    assert.strictEqual(code.split("\n").indexOf("throw new Error()"), 6)
  })

  it("does not pass over one it cannot read", () => {
    const { stated, unclear } = read("f(1) // => about one", "", "// => 2", "const list = [", "  f(3), // => 3", "]")
    assert.deepStrictEqual(stated, [])
    assert.deepStrictEqual(unclear, [
      { line: 0, text: "about one" },
      { line: 2, text: "2" },
      { line: 4, text: "3" }
    ])
  })
})

it("wrong examples are caught, where they stand", { timeout: 120_000 }, async () => {
  const pages = [
    page("```ts", "import { Equal } from \"effect\"", "", "Equal.equals([1], [1]) // => true", "```"),
    page("", "```ts", "const a = 1 + 1", "a // => 3", "```"),
    page("- ```ts", "  const a = 1", "  const b: string = a", "  ```"),
    page("```ts", "import { Nothing } from \"effect-bulwark\"", "", "export { Nothing }", "```"),
    page("```ts", "export const never = () => {", "  return 1 // => 1", "}", "```"),
    page("```ts", "const a: { b?: { c: number } } = {}", "", "a.b!.c // => 1", "```"),
    page("```ts", "1 + 1 // => two or so", "```"),
    page("```ts", "import { exit } from \"node:process\"", "", "await exit(3) // => 1", "```"),
    page("```ts", "await new Promise((resolve) => setTimeout(resolve, 60_000)) // => 1", "```"),
    page("```ts", "await fetch(\"http://192.0.2.1/\").then(() => 1) // => 1", "```"),
    page("```ts", "await Promise.resolve({ a: [1, new Set([2])] }) // => { a: [1, new Set([2])] }", "```")
  ]
  const problems = await verify(pages.flatMap((text, index) => fromMarkdown(`docs/${index}.md`, text)), {
    folder: "wrong",
    timeout: 10_000
  })
  const found = problems.map((problem) => problem.message.split("\n")[0]).toSorted()
  assert.deepStrictEqual(found.map((message) => message?.replace(/(TS\d+): .*/, "$1")), [
    "docs/1.md:4 states 3, but the result is 2",
    "docs/2.md:3:9 error TS2322",
    "docs/3.md:2:10 error TS2305",
    "docs/4.md:3 states 1, but is never reached",
    "docs/5.md:4 fails: TypeError: Cannot read properties of undefined (reading 'c')",
    "docs/6.md:2 \"=> two or so\" is not a value after an expression whose result it could be",
    "docs/7.md:2 fails: the process ended",
    "docs/8.md:2 fails: takes longer than 10000 ms",
    "docs/9.md:2 fails: [TypeError: fetch failed] {"
  ])
  assert.match(problems.at(-1)?.message ?? "", /There is no network here/)
})
