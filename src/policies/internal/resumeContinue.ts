/**
 * How one text is continued in another answer: what can be continued, what is asked for, and how its parts fit the first ones.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Arr from "effect/Array"
import * as Redacted from "effect/Redacted"
import type { Call } from "../../core/Call.ts"
import { StreamInterrupted } from "../../core/LlmError.ts"
import type { Part } from "../../core/Part.ts"
import type { Parts, Resumption } from "./resumeFlow.ts"
import { Seam, withoutTrailingSpace } from "./resumeSeam.ts"

export class Continuation implements Resumption {
  private readonly call: Call
  private readonly removesOverlap: boolean
  private readonly delivered: Array<string> = []
  /** The one block of text that there may be: its id, and whether it is still open. */
  private block: string | undefined = undefined
  private open = false
  /** Something has been delivered that a text cannot be continued after. */
  private barred = false
  /** While an answer is continued: its own name for the block, once it has one, and the seam to what came before. */
  private seam: Seam | undefined = undefined
  private continued: string | undefined = undefined
  private round = 0

  constructor(call: Call, removesOverlap: boolean) {
    this.call = call
    this.removesOverlap = removesOverlap
  }

  see(parts: Parts): Parts | undefined {
    if (this.round === 0) {
      for (const part of parts) this.note(part)
      return parts
    }
    const fitted: Array<Part> = []
    for (const part of parts) this.fit(part, fitted)
    for (const part of fitted) this.note(part)
    return Arr.isReadonlyArrayNonEmpty(fitted) ? fitted : undefined
  }

  end(): Parts | undefined {
    const fitted: Array<Part> = []
    this.flush(fitted)
    for (const part of fitted) this.note(part)
    return Arr.isReadonlyArrayNonEmpty(fitted) ? fitted : undefined
  }

  ask(): Call | undefined {
    if (this.barred || !this.open) return undefined
    const delivered = this.text()
    // What was still held back is said again.
    const prefill = withoutTrailingSpace(delivered)
    if (prefill === "") return undefined
    const message = Prompt.assistantMessage({ content: [Prompt.textPart({ text: prefill })] })
    return {
      ...this.call,
      continues: delivered,
      request: { ...this.call.request, prompt: Prompt.fromMessages([...this.call.request.prompt.content, message]) }
    }
  }

  begin(): Parts | undefined {
    this.round++
    this.continued = undefined
    this.seam = new Seam(this.text(), this.removesOverlap)
    return undefined
  }

  complete(error: StreamInterrupted): StreamInterrupted {
    if (this.round === 0) return error
    const { failure, model, provider, reason, usage } = error
    return new StreamInterrupted({
      partial: Redacted.make(this.text()),
      reason,
      ...(provider === undefined ? undefined : { provider }),
      ...(model === undefined ? undefined : { model }),
      ...(usage === undefined ? undefined : { usage }),
      ...(failure === undefined ? undefined : { failure })
    })
  }

  private text(): string {
    if (this.delivered.length > 1) this.delivered.splice(0, this.delivered.length, this.delivered.join(""))
    return this.delivered[0] ?? ""
  }

  /** Takes note of what is delivered. */
  private note(part: Part): void {
    switch (part.type) {
      case "text-start":
        if (this.block !== undefined) this.barred = true
        this.block = part.id
        this.open = true
        break
      case "text-delta":
        if (this.block === undefined) {
          this.block = part.id
          this.open = true
        } else if (part.id !== this.block) this.barred = true
        this.delivered.push(part.delta)
        break
      case "text-end":
        this.open = false
        break
      case "response-metadata":
      case "finish":
        break
      default:
        // A tool call or a thought, half of which nobody can go on from.
        this.barred = true
    }
  }

  /** Fits a part of the continuation to what came before it. */
  private fit(part: Part, fitted: Array<Part>): void {
    switch (part.type) {
      case "text-start":
        if (this.continued === undefined) {
          this.continued = part.id
          return
        }
        break
      case "text-delta":
        this.continued ??= part.id
        if (part.id === this.continued) {
          const delta = this.seam?.push(part.delta) ?? part.delta
          if (delta !== "") fitted.push({ ...part, id: this.block!, delta })
          return
        }
        break
      case "text-end":
        if (part.id === this.continued) {
          this.flush(fitted)
          fitted.push({ ...part, id: this.block! })
          return
        }
        break
      case "response-metadata":
        fitted.push(part)
        return
      case "finish":
        this.flush(fitted)
        fitted.push(part)
        return
    }
    // Whatever else comes has names of its own, which must not be those of blocks before it.
    this.flush(fitted)
    fitted.push("id" in part && typeof part.id === "string" && !isCall(part) ? { ...part, id: `${this.round}:${part.id}` } : part)
  }

  /** Hands on what was held back: nothing more can come that would show it to have been said before. */
  private flush(fitted: Array<Part>): void {
    const delta = this.seam?.close() ?? ""
    if (delta !== "") fitted.push({ type: "text-delta", id: this.block!, delta })
  }
}

// The id of a tool call is the provider's, and its results refer to it.
const isCall = (part: Part): boolean =>
  part.type.startsWith("tool-") || part.type === "source"
