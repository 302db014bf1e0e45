/**
 * Values of labels, of which there are only so many, whatever comes in: every value that a label has had is a series that somebody keeps.
 */
import { table } from "../../core/LlmError.ts"
import { other } from "../Conventions.ts"

/** Longer names are no names, and neither are those that no text can show: control characters, and halves of characters. */
const isName = (value: string): boolean =>
  value.length > 0 && value.length <= 128 && !/\p{Cc}/u.test(value) && value.isWellFormed()

/** The first so many values stay what they are; those that come later are `_OTHER`. */
export class Bounded {
  private readonly known: Set<string>
  private readonly most: number

  constructor(most: number, known: Iterable<string> = []) {
    this.known = new Set(known)
    this.most = most
  }

  of(value: string): string {
    if (this.known.has(value)) return value
    if (this.known.size >= this.most || !isName(value)) return other
    this.known.add(value)
    return value
  }
}

/** How something ended, as metrics and spans say it: errors that are not of our table are one, whatever they are called. */
export const outcomeLabel = (outcome: string): string =>
  outcome === "success" || outcome === "interrupted" || outcome === "defect" || Object.hasOwn(table, outcome)
    ? outcome
    : other

/** The type of the error with which something ended, where that is one. */
export const errorType = (outcome: string): string | undefined =>
  outcome === "success" || outcome === "interrupted" ? undefined : outcomeLabel(outcome)

/** What policies give as reasons beside the tags of failures. */
const reasons: ReadonlySet<string> = new Set([
  "connect",
  "firstPart",
  "idle",
  "total",
  "slow",
  "concurrency",
  "requests",
  "tokens",
  "input-tokens",
  "output-tokens",
  "unfinished",
  "closed",
  "failed",
  "timedOut",
  "truncated",
  "failure",
  "refusal",
  "length"
])

/** A reason of a decision. Those that an application makes up, and those in words, are one. */
export const reasonLabel = (reason: string): string =>
  reasons.has(reason) || Object.hasOwn(table, reason) ? reason : other

/** As long as any name has to be. */
const maxShown = 1_024

/**
 * Text as it stands on spans. Names may come from whoever asks or answers, and be of any length; and half a character, or a NUL, is more
 * than some that keep them can take.
 */
export const shown = (text: string): string =>
  text.length <= maxShown && text.isWellFormed() && !text.includes("\0")
    ? text
    : (text.length > maxShown ? `${text.slice(0, maxShown)}…` : text).toWellFormed().replaceAll("\0", "\uFFFD")
