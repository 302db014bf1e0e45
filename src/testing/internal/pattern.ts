/**
 * Writes a string that a regular expression accepts.
 *
 * It knows literals, classes, groups, alternatives, quantifiers and anchors; look-arounds and back references are
 * passed over, so what it writes is a candidate that the caller tests.
 */
const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + ((i + 64) % 94)))

const shorthand: Record<string, string> = { d: "1", w: "a", s: " ", D: "a", W: "-", S: "a", t: "\t", n: "\n", r: "\r" }

class Unsupported extends Error {}

class Reader {
  private readonly source: string
  private readonly extra: number
  private at = 0

  constructor(source: string, extra: number) {
    this.source = source
    this.extra = extra
  }

  write(): string {
    const written = this.alternatives()
    if (this.at < this.source.length) throw new Unsupported()
    return written
  }

  private peek(): string {
    return this.source.charAt(this.at)
  }

  private take(): string {
    if (this.at >= this.source.length) throw new Unsupported()
    return this.source.charAt(this.at++)
  }

  // The first alternative is written; the others are read only to get past them
  private alternatives(): string {
    const first = this.sequence()
    while (this.peek() === "|") {
      this.at++
      this.sequence()
    }
    return first
  }

  private sequence(): string {
    let written = ""
    while (this.at < this.source.length && this.peek() !== "|" && this.peek() !== ")") {
      const atom = this.atom()
      written += atom.repeat(this.times())
    }
    return written
  }

  private atom(): string {
    const char = this.take()
    switch (char) {
      case "^":
      case "$":
        return ""
      case ".":
        return "a"
      case "(":
        return this.group()
      case "[":
        return this.oneOf()
      case "\\":
        return this.escape()
      default:
        return char
    }
  }

  private group(): string {
    let silent = false
    if (this.peek() === "?") {
      const opening = /^\?(?::|<?[=!]|<[^>]*>)/.exec(this.source.slice(this.at))?.[0]
      if (opening === undefined) throw new Unsupported()
      silent = /[=!]$/.test(opening)
      this.at += opening.length
    }
    const written = this.alternatives()
    if (this.take() !== ")") throw new Unsupported()
    return silent ? "" : written
  }

  private oneOf(): string {
    const start = this.at - 1
    while (this.peek() !== "]") {
      if (this.take() === "\\") this.take()
    }
    this.at++
    const expression = compile(`^${this.source.slice(start, this.at)}$`)
    const found = ["a", "A", "1", ...printable, " "].find((char) => expression?.test(char) ?? false)
    if (found === undefined) throw new Unsupported()
    return found
  }

  private escape(): string {
    const char = this.take()
    if (char === "b" || char === "B" || /[1-9k]/.test(char)) return ""
    if (char === "p" || char === "P" || char === "u" || char === "x") return this.coded(char)
    return shorthand[char] ?? char
  }

  private coded(kind: string): string {
    const shape = kind === "x" ? /^[0-9a-f]{2}/i : kind === "u" ? /^(?:[0-9a-f]{4}|\{[0-9a-f]+\})/i : /^\{[^}]*\}/
    const code = shape.exec(this.source.slice(this.at))?.[0]
    if (code === undefined) throw new Unsupported()
    this.at += code.length
    if (kind === "x" || kind === "u") return String.fromCodePoint(Number.parseInt(code.replace(/[{}]/g, ""), 16))
    const expression = compile(`^\\${kind}${code}$`)
    const found = ["a", "A", "1", ...printable, " "].find((char) => expression?.test(char) ?? false)
    if (found === undefined) throw new Unsupported()
    return found
  }

  private times(): number {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.source.slice(this.at))
    if (found === null) return 1
    this.at += found[0].length
    const mark = found[0].charAt(0)
    if (mark === "?") return Math.min(1, this.extra)
    const least = mark === "{" ? Number(found[1]) : mark === "+" ? 1 : 0
    const most = mark !== "{" || (found[2] === "," && found[3] === "")
      ? Number.POSITIVE_INFINITY
      : found[2] === ","
      ? Number(found[3])
      : least
    return Math.min(most, least + this.extra, 1000)
  }
}

/**
 * The expression as JSON Schema reads it (unicode), or as old patterns need it, or nothing if it is neither.
 */
export const compile = (pattern: string): RegExp | undefined => {
  for (const flags of ["u", ""]) {
    try {
      return new RegExp(pattern, flags)
    } catch {
      continue
    }
  }
  return undefined
}

/**
 * Candidates for a pattern, from the shortest on: every open repetition gets a little longer from one to the next.
 */
export const candidates = function*(pattern: string): Generator<string> {
  for (const extra of [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 255]) {
    try {
      yield new Reader(pattern, extra).write()
    } catch (error) {
      if (error instanceof Unsupported) return
      throw error
    }
  }
}
