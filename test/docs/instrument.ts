/**
 * Turns what an example says about its results into code that checks it.
 */
import { type ESTree, parseSync, Visitor } from "vite"
import type { Example } from "./extract.ts"

/** A result that an example states. */
export interface Stated {
  /** The line within the example, from 0. */
  readonly line: number
  readonly text: string
}

/** The global that a check calls, with the number of the stated result, what came out, and what should have. */
export const hook = "__bulwarkDocExample"

/**
 * The code with a check in place of each expression whose result is stated: `expression // => value`, or with the comment
 * on the next line, continued on further ones if need be. No line moves. A comment that follows no expression, or that
 * states no value, is in `unclear`.
 */
export const instrument = (example: Example): {
  readonly code: string
  readonly stated: ReadonlyArray<Stated>
  readonly unclear: ReadonlyArray<Stated>
} => {
  const { code } = example
  const { comments, program } = parseSync("example.ts", code)
  const targets = expressions(program)
  const stated: Array<Stated> = []
  const unclear: Array<Stated> = []
  const edits: Array<{ readonly at: number; readonly text: string }> = []

  comments.forEach((comment, index) => {
    if (comment.type !== "Line" || !/^\s*=>/.test(comment.value)) return
    const target = targets.findLast(({ end }) =>
      end <= comment.start && /^[ \t;]*(\n[ \t]*)?$/.test(code.slice(end, comment.start))
    )
    let text = comment.value.replace(/^\s*=>/, "").trim()
    // A long value goes on in the comments below, until it is whole.
    for (let next = index + 1; !isExpression(text) && next < comments.length; next++) {
      const [above, below] = [comments[next - 1], comments[next]]
      if (above === undefined || below?.type !== "Line") break
      if (!/^\n[ \t]*$/.test(code.slice(above.end, below.start)) || /^\s*=>/.test(below.value)) break
      text += ` ${below.value.trim()}`
    }
    const result: Stated = { line: code.slice(0, comment.start).split("\n").length - 1, text }
    if (target === undefined || !isExpression(text)) {
      unclear.push(result)
      return
    }
    const number = stated.push(result) - 1
    edits.push({ at: target.start, text: `${hook}(${number}, (` }, { at: target.stop, text: `), () => (${text}))` })
  })

  // From the back, so that no edit moves the place of another.
  return {
    code: edits.toSorted((a, b) => b.at - a.at).reduce(
      (text, { at, text: inserted }) => text.slice(0, at) + inserted + text.slice(at),
      code
    ),
    stated,
    unclear
  }
}

/** The expressions a result may be stated of, with the end of the statement each stands in, in the order of the ends. */
const expressions = (program: ESTree.Program) => {
  const found: Array<{ readonly start: number; readonly stop: number; readonly end: number }> = []
  const add = (statement: ESTree.Span, expression: ESTree.Span) =>
    found.push({ start: expression.start, stop: expression.end, end: statement.end })
  new Visitor({
    ExpressionStatement: (statement) => {
      const { expression } = statement
      const logged = expression.type === "CallExpression" && expression.callee.type === "MemberExpression" &&
        expression.callee.object.type === "Identifier" && expression.callee.object.name === "console" &&
        expression.arguments.length === 1
      add(statement, logged ? expression.arguments[0] ?? expression : expression)
    },
    ReturnStatement: (statement) => {
      if (statement.argument !== null) add(statement, statement.argument)
    },
    VariableDeclaration: (statement) => {
      const init = statement.declarations.at(-1)?.init
      if (init) add(statement, init)
    }
  }).visit(program)
  return found.toSorted((a, b) => a.end - b.end)
}

const isExpression = (text: string): boolean => text !== "" && parseSync("value.ts", `(${text}\n)`).errors.length === 0
