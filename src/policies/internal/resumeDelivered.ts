/**
 * An answer that is continued: what has been delivered of it, and how the parts of another one become parts of it.
 */
import type { Part } from "../../core/Part.ts"
import type { Seam } from "./resumeSeam.ts"

/** What has been delivered of an answer, as far as whoever goes on from it has to know. */
export class Delivered {
  /** The block of text that the answer consists of. */
  block: string | undefined = undefined
  private texts: Array<string> = []
  private reasoning = false
  /** Whether there is something that a text to go on from does not tell. */
  private more = false

  see(part: Part): void {
    switch (part.type) {
      case "text-delta":
        this.texts.push(part.delta)
        if (this.block === undefined) this.block = part.id
        else if (this.block !== part.id) this.more = true
        break
      case "text-start":
        if (this.block === undefined) this.block = part.id
        else this.more = true
        break
      case "reasoning-start":
      case "reasoning-delta":
        this.reasoning = true
        if (this.block !== undefined) this.more = true
        break
      case "reasoning-end":
        this.reasoning = false
        break
      case "response-metadata":
      case "source":
        break
      case "retract":
        this.block = undefined
        this.texts = []
        this.reasoning = false
        this.more = false
        break
      default:
        // An end of the block is seen only where something came after it.
        this.more = true
    }
  }

  text(): string {
    const text = this.texts.join("")
    this.texts = [text]
    return text
  }

  /** The text to go on from and its block, where that is all there is. */
  continuable(): { readonly block: string; readonly text: string } | undefined {
    if (this.more || this.reasoning || this.block === undefined) return undefined
    const text = this.text()
    return text.trim() === "" ? undefined : { block: this.block, text }
  }
}

/** Makes the parts of an answer that goes on from another one parts of that one. */
export class Continuation {
  private readonly block: string
  private readonly seam: Seam
  /** The block of text that goes on, by its own name. */
  private theirs: string | undefined = undefined
  /** Whether the block that it goes on in has ended. */
  private ended = false

  constructor(block: string, seam: Seam) {
    this.block = block
    this.seam = seam
  }

  map(parts: ReadonlyArray<Part>): Array<Part> {
    const mapped: Array<Part> = []
    for (const part of parts) this.next(part, mapped)
    return mapped
  }

  /** What was held back, where no more comes. */
  flush(mapped: Array<Part>): void {
    this.text(this.seam.flush(), mapped)
  }

  private text(delta: string, mapped: Array<Part>): void {
    if (delta !== "") mapped.push({ type: "text-delta", id: this.block, delta })
  }

  private end(part: Part, mapped: Array<Part>): void {
    this.flush(mapped)
    mapped.push(part)
    this.ended = true
  }

  private next(part: Part, mapped: Array<Part>): void {
    if (this.ended) {
      mapped.push(part)
      return
    }
    switch (part.type) {
      case "text-start":
        // It goes on in a block that has been started.
        if (this.theirs === undefined) this.theirs = part.id
        else mapped.push(part)
        break
      case "text-delta": {
        this.theirs ??= part.id
        if (part.id !== this.theirs) {
          mapped.push(part)
          break
        }
        const delta = this.seam.next(part.delta)
        if (delta === part.delta && part.id === this.block) mapped.push(part)
        else this.text(delta, mapped)
        break
      }
      case "text-end":
        if (part.id === this.theirs) this.end({ ...part, id: this.block }, mapped)
        else mapped.push(part)
        break
      case "reasoning-start":
      case "reasoning-delta":
      case "reasoning-end":
        // It would stand in the middle of a text, and before it there is no place any more.
        break
      case "response-metadata":
      case "source":
        mapped.push(part)
        break
      default:
        // Nothing of the text comes after its end, and where there is none, the one that broke off was all of it.
        if (part.type === "finish" || this.theirs === undefined) {
          this.end({ type: "text-end", id: this.block }, mapped)
        } else {
          this.flush(mapped)
        }
        mapped.push(part)
    }
  }
}
