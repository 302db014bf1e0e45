/**
 * The parts of an answer that several read at their own pace: kept from the first one, until it is too large for that.
 */
import type * as Arr from "effect/Array"
import * as Part from "../../core/Part.ts"

export type Parts = Arr.NonEmptyReadonlyArray<Part.Part>

export class FlightBuffer {
  /** How many bytes of text it holds. */
  bytes = 0
  /** Where the parts begin that no `retract` has unsaid. */
  saidFrom = 0
  private parts: Array<Part.Part> = []
  /** How many parts have been dropped, from the first one on, and how many characters of the text that is still said they had. */
  private dropped = 0
  private droppedText = 0
  /** Whether any part has something in it that a reader could change for the others. */
  private nested = false

  /** The index after the last part. */
  get end(): number {
    return this.dropped + this.parts.length
  }

  push(parts: ReadonlyArray<Part.Part>): void {
    for (const part of parts) {
      this.parts.push(part)
      this.bytes += bytesOf(part)
      if (part.type === "retract") this.saidFrom = this.end
      else if (isNested(part)) this.nested = true
    }
  }

  /** The parts from an index up to another one, which is their end by default. What is in them is the reader's own. */
  read(from: number, to = this.end): ReadonlyArray<Part.Part> {
    const parts = this.parts.slice(from - this.dropped, to - this.dropped)
    return this.nested ? parts.map((part) => isNested(part) ? copy(part) : part) : parts
  }

  /** The parts as they are, for those who change nothing. */
  said(): ReadonlyArray<Part.ProviderPart> {
    // No `retract` stands after the last one.
    return this.parts.slice(this.saidFrom - this.dropped) as Array<Part.ProviderPart>
  }

  /** The first `retract` from an index on. */
  retractFrom(index: number): { readonly index: number; readonly part: Part.Retract } | undefined {
    for (let n = index; n < this.saidFrom; n++) {
      const part = this.parts[n - this.dropped]
      if (part?.type === "retract") return { index: n, part }
    }
    return undefined
  }

  /** Forgets what comes before an index. */
  drop(to: number): void {
    if (to <= this.dropped) return
    const gone = this.parts.splice(0, to - this.dropped)
    this.dropped = to
    for (const part of gone) {
      this.bytes -= bytesOf(part)
      if (part.type === "retract") this.droppedText = 0
      else if (part.type === "text-delta") this.droppedText += part.delta.length
    }
  }

  /** The text up to an index; `whole` is all of the text that is said, to take from it what was dropped. */
  textTo(index: number, whole: () => string): string {
    const parts = this.parts.slice(0, Math.max(0, index - this.dropped))
    const kept = Part.text(parts)
    if (this.droppedText === 0 || parts.some((part) => part.type === "retract")) return kept
    // Of words that are unsaid by now, the beginning is gone.
    return index < this.saidFrom ? "" : whole().slice(0, this.droppedText + kept.length)
  }
}

const isNested = (part: Part.Part): boolean => {
  switch (part.type) {
    case "text-start":
    case "text-delta":
    case "text-end":
    case "reasoning-start":
    case "reasoning-delta":
    case "reasoning-end":
    case "response-metadata":
      return part.metadata !== undefined
    case "retract":
    case "tool-params-delta":
      return false
    default:
      return true
  }
}

/** A copy of JSON. What is not plain stays what it is. */
const copy = <A>(value: A): A => {
  if (Array.isArray(value)) return value.map(copy) as A
  if (typeof value !== "object" || value === null) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)])) as A
}

const bytesOf = (part: Part.Part): number => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return utf8Bytes(part.delta)
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
    case "retract":
      return 0
    default:
      return utf8Bytes(JSON.stringify(part))
  }
}

const utf8Bytes = (text: string): number => {
  let bytes = text.length
  for (let n = 0; n < text.length; n++) {
    const unit = text.charCodeAt(n)
    // Each half of a surrogate pair is two of its four.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2
  }
  return bytes
}
