/**
 * Finds the examples of the documentation: every `ts` code block of a page, or of a doc comment.
 */
import { globSync, readFileSync } from "node:fs"
import { parseSync } from "vite"

/** A code block, and where it stands. */
export interface Example {
  /** The file it stands in, relative to the repository. */
  readonly file: string
  /** The line of that file its first line of code stands on. */
  readonly line: number
  /** How many characters stand before the code on each of its lines. */
  readonly indents: ReadonlyArray<number>
  readonly code: string
}

/** Every example of the repository, pages first. */
export const collect = (root: string): ReadonlyArray<Example> => [
  ...find(root, ["README.md", "docs/**/*.md"]).flatMap(([file, text]) => fromMarkdown(file, text)),
  ...find(root, ["src/**/*.ts"]).flatMap(([file, text]) => fromSource(file, text))
]

/** The examples of a page. */
export const fromMarkdown = (file: string, text: string): ReadonlyArray<Example> =>
  blocks(file, text.split("\n").map((line, index) => ({ text: line, line: index + 1, indent: 0 })))

/** The examples of the doc comments of a module. */
export const fromSource = (file: string, text: string): ReadonlyArray<Example> =>
  parseSync(file, text).comments
    .filter((comment) => comment.type === "Block" && comment.value.startsWith("*"))
    .flatMap((comment) => {
      const first = text.slice(0, comment.start).split("\n").length
      return blocks(
        file,
        text.slice(comment.start, comment.end).split("\n").map((line, index) => {
          const indent = /^\s*(?:\/\*\*|\*(?!\/)) ?/.exec(line)?.[0].length ?? 0
          return { text: line.slice(indent), line: first + index, indent }
        })
      )
    })

interface Line {
  readonly text: string
  readonly line: number
  readonly indent: number
}

const blocks = (file: string, lines: ReadonlyArray<Line>): ReadonlyArray<Example> => {
  const examples: Array<Example> = []
  let open: { readonly fence: string; readonly typescript: boolean; readonly lines: Array<Line> } | undefined
  for (const line of lines) {
    const [, indent = "", fence, info = ""] = /^((?:\s|[-*+>]\s|\d+\.\s)*)(`{3,}|~{3,})\s*(\S*)/.exec(line.text) ?? []
    if (open === undefined) {
      if (fence !== undefined) open = { fence, typescript: /^(ts|typescript)$/.test(info), lines: [] }
    } else if (fence?.startsWith(open.fence) && info === "") {
      // A block in a list or a quotation is indented, or quoted, as its last fence is.
      const columns = open.lines.map((row) => /^[\s>]*/.exec(row.text.slice(0, indent.length))?.[0].length ?? 0)
      if (open.typescript) {
        examples.push({
          file,
          line: open.lines[0]?.line ?? line.line,
          indents: open.lines.map((row, index) => row.indent + (columns[index] ?? 0)),
          code: open.lines.map((row, index) => `${row.text.slice(columns[index])}\n`).join("")
        })
      }
      open = undefined
    } else {
      open.lines.push(line)
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.lines[0]?.line}: a code block without an end`)
  return examples
}

const find = (root: string, patterns: ReadonlyArray<string>): ReadonlyArray<readonly [file: string, text: string]> =>
  globSync(patterns, { cwd: root }).toSorted().map((file) =>
    [file.replaceAll("\\", "/"), readFileSync(`${root}/${file}`, "utf8")] as const
  )
