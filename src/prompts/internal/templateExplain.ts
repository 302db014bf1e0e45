/**
 * What the engine of templates throws, in words of ours: it quotes templates, and values.
 */
import { type Bounds, NoFragment, NoText, TooLong, type Use } from "./templateEngine.ts"

interface Explained {
  readonly problem: string
  readonly remedy: string
  readonly line?: number
  readonly column?: number
}

const positionOf = (error: unknown, lines: number): { readonly line?: number; readonly column?: number } => {
  const position = (error as { readonly token?: { readonly getPosition?: () => [number, number] } }).token
    ?.getPosition?.()
  return position === undefined ? {} : { line: position[0] + lines, column: position[1] }
}

/** Explains what was thrown; `lines` were left out before the template, and only variables that `uses` names are named. */
export const explain = (error: unknown, lines: number, uses: ReadonlyArray<Use>, bounds?: Bounds): Explained => {
  const at = positionOf(error, lines)
  const cause = (error as { readonly originalError?: unknown }).originalError ?? error
  const message = cause instanceof Error ? cause.message : ""
  const says = (problem: string, remedy: string): Explained => ({ problem, remedy, ...at })

  if (cause instanceof NoFragment) {
    return says(message, "Write `{% include \"name\" %}`, with a name that stands under `includes` of this version")
  }
  if (cause instanceof NoText) {
    return says(
      `${message} is written, which has no one form as a text`,
      message === "a list" ? "Use `| join: \", \"`, or `| json`, or a loop" : "Write one of its fields, or use `| json`"
    )
  }
  if (cause instanceof TooLong) {
    return says(
      `it writes more than ${bounds?.outputLength} characters`,
      "Pass less, write less, or raise `outputLength`"
    )
  }
  if (message.startsWith("memory alloc limit")) {
    return says(
      `it works on more than ${bounds?.renderMemory} characters and items`,
      "Make loops and texts smaller, or raise `renderMemory`"
    )
  }
  if (message.startsWith("template render limit")) {
    return says(
      `it takes longer than ${bounds?.renderMillis} ms`,
      "Make loops and texts smaller, or raise `renderMillis`"
    )
  }
  if (cause instanceof RangeError) return says("it is nested too deeply, or too large", "Make it simpler")
  const undefinedVariable = /^undefined variable: (.*)$/s.exec(message)
  if (undefinedVariable !== null) {
    const name = uses.map(({ path }) => path.join(".")).find((name) => {
      const missing = undefinedVariable[1]!
      return name === missing || name.startsWith(`${missing}.`)
    })
    return says(
      name === undefined
        ? "something is written that is not there"
        : `${JSON.stringify(name)} is written and not there`,
      "Ask for it first (`{% if %}`), or give it a value (`| default: \"...\"`)"
    )
  }
  const filter = /^undefined filter: ([\w-]{1,40})/.exec(message)
  if (filter !== null) return says(`there is no filter \`${filter[1]}\``, "See PromptTemplate for those that there are")
  const tag = /^tag "([\w-]{1,40})" not found/.exec(message)
  if (tag !== null) return says(`there is no tag \`${tag[1]}\``, "See PromptTemplate for those that there are")
  if (/not closed/.test(message)) {
    return says("a tag or an output is not closed", "Close it; write `{% raw %}` around braces that are text")
  }
  return says(
    "it is no template",
    "See PromptTemplate for what can be written; write `{% raw %}` around braces that are text"
  )
}
