/**
 * The seam between a text that broke off and its continuation: what the continuation says again is taken out, and nothing else.
 */

// What is shorter, or made of a few characters over and over, can well come twice by itself.
const convincingLength = 12
const convincingCharacters = 6
// A continuation that begins with all that was delivered, down to a word.
const wholeLength = 3

const trailingSpace = /\s*$/

/** What providers are asked to go on from: some do not accept a text that ends in white space. */
export const withoutTrailingSpace = (text: string): string => text.replace(trailingSpace, "")

/**
 * Takes in the continuation of a text, piece by piece. It holds back no more than what may still turn out to have been said
 * before.
 */
export class Seam {
  private readonly delivered: string
  /** The white space at the end, which the provider was not told of. */
  private readonly space: string
  private readonly removesOverlap: boolean
  private held = ""
  private closed = false

  constructor(delivered: string, removesOverlap: boolean) {
    this.delivered = delivered
    this.space = delivered.slice(withoutTrailingSpace(delivered).length)
    this.removesOverlap = removesOverlap
  }

  /** The next piece of the continuation, and what there is to hand on by now. */
  push(delta: string): string {
    if (this.closed) return delta
    this.held += delta
    return this.mayGrow() ? "" : this.close()
  }

  /** What is left, now that nothing more can come that would tell. */
  close(): string {
    if (this.closed) return ""
    this.closed = true
    const held = this.held
    this.held = ""
    return held.slice(this.said(held))
  }

  /** Whether what is held may be the beginning of more that was said before. */
  private mayGrow(): boolean {
    const { delivered, held, space } = this
    if (held.length < space.length && space.startsWith(held)) return true
    if (!this.removesOverlap || held.length >= delivered.length) return false
    // Some end of the delivered text begins with all of what is held, and is longer.
    const at = delivered.indexOf(held)
    return at !== -1 && at + held.length < delivered.length
  }

  /** How much of the beginning of a text was said before. */
  private said(text: string): number {
    const { delivered, space } = this
    if (this.removesOverlap) {
      for (let length = Math.min(text.length, delivered.length); length >= wholeLength; length--) {
        if (this.isConvincing(text, length) && delivered.endsWith(text.slice(0, length))) return length
      }
    }
    return space !== "" && text.startsWith(space) ? space.length : 0
  }

  private isConvincing(text: string, length: number): boolean {
    if (length === this.delivered.length) return true
    if (length < convincingLength) return false
    return new Set(text.slice(0, length)).size >= convincingCharacters
  }
}
