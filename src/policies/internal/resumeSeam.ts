/**
 * Where two texts meet: what the second one repeats of the first is left out, however it is cut into pieces.
 */

// What is shorter, or made of fewer characters, is repeated by chance too often: an indentation, a rule of dashes.
const convincingLength = 12
const convincingCharacters = 6
// Of a text that begins again from its start, a word is enough; less than that may be the half of a mark, like "``".
const convincingWhole = 3

/** The last position at which a repetition may begin to be taken for one. */
const lastStart = (text: string): number => {
  const characters = new Set<number>()
  for (let start = text.length - 1; start > 0; start--) {
    if (characters.size < convincingCharacters) characters.add(text.charCodeAt(start))
    if (characters.size >= convincingCharacters && text.length - start >= convincingLength) return start
  }
  return 0
}

/**
 * Finds the longest end of a text that another one begins with, while that one arrives.
 *
 * The search of Knuth, Morris and Pratt, whose pattern (what arrives) grows while it is searched for: whenever all that
 * has arrived fits, it waits for more. What it holds back stands in the text itself, so that it keeps no copy.
 */
class Overlap {
  private readonly text: string
  private readonly lastStart: number
  /** Where in the text it has got to, and how much before that fits what has arrived. */
  private at = 0
  private matched = 0
  /** For each beginning of what has arrived: how much of its end is a beginning of it. */
  private readonly borders: Array<number> = []

  constructor(text: string) {
    this.text = text
    this.lastStart = lastStart(text)
  }

  /** What follows the repetition, where that is decided, or else nothing; it is where no more comes. */
  next(delta: string, isLast: boolean): string | undefined {
    const { borders, text } = this
    const from = this.at - this.matched
    const known = this.matched
    const arrived = known + delta.length
    const code = (index: number): number =>
      index < known ? text.charCodeAt(from + index) : delta.charCodeAt(index - known)
    const border = (index: number): number => {
      for (let next = borders.length; next <= index; next++) {
        let length = next === 0 ? 0 : borders[next - 1]!
        while (length > 0 && code(next) !== code(length)) length = borders[length - 1]!
        borders.push(next > 0 && code(next) === code(length) ? length + 1 : 0)
      }
      return borders[index]!
    }
    const after = (index: number): string =>
      index < known ? text.slice(from + index, from + known) + delta : delta.slice(index - known)
    while (this.at < text.length) {
      if (this.matched === arrived && !isLast) return undefined
      if (this.matched < arrived && text.charCodeAt(this.at) === code(this.matched)) {
        this.at++
        this.matched++
        continue
      }
      if (this.matched > 0) this.matched = border(this.matched - 1)
      else this.at++
      if (this.at - this.matched > this.lastStart) return after(0)
    }
    return after(this.matched)
  }
}

/** The end of a text that is not sent as one to go on from: whitespace, which some refuse, and half of a character. */
const tailOf = (text: string): string => {
  const last = text.charCodeAt(text.length - 1)
  const wellFormed = last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text
  return text.slice(wellFormed.trimEnd().length)
}

/** The seam between what was delivered and what goes on from it. */
export class Seam {
  /** The text to go on from. */
  readonly sent: string
  /** What was delivered after that, and how much of it has come again. */
  private readonly tail: string
  private tailSeen = 0
  private overlap: Overlap | undefined

  constructor(delivered: string, overlap: "remove" | "keep") {
    this.tail = tailOf(delivered)
    this.sent = delivered.slice(0, delivered.length - this.tail.length)
    this.overlap = overlap === "remove" && this.sent.length >= convincingWhole ? new Overlap(this.sent) : undefined
  }

  /** What is new in the next piece; it may be held back for now. */
  next(delta: string): string {
    if (this.overlap === undefined) return this.afterTail(delta)
    const rest = this.overlap.next(delta, false)
    if (rest === undefined) return ""
    this.overlap = undefined
    return this.afterTail(rest)
  }

  /** What is left of what was held back, where no more comes. */
  flush(): string {
    const rest = this.overlap?.next("", true)
    this.overlap = undefined
    return rest === undefined ? "" : this.afterTail(rest)
  }

  private afterTail(text: string): string {
    const { tail } = this
    if (this.tailSeen === tail.length) return text
    let index = 0
    while (index < text.length && this.tailSeen < tail.length && text[index] === tail[this.tailSeen]) {
      index++
      this.tailSeen++
    }
    // What differs from there on comes after all that was delivered.
    if (index < text.length) this.tailSeen = tail.length
    return text.slice(index)
  }
}
