/**
 * Going on from the text that was delivered.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Arr from "effect/Array"
import * as Redacted from "effect/Redacted"
import type { Call } from "../../core/Call.ts"
import { StreamInterrupted } from "../../core/LlmError.ts"
import type { Part } from "../../core/Part.ts"
import { Continuation, Delivered } from "./resumeDelivered.ts"
import type { Answer, Parts, Taken, Way } from "./resumeFlow.ts"
import { Seam } from "./resumeSeam.ts"

/** The prompt with the beginning of its answer, which is one message with whatever beginning it has already. */
const withBeginning = (prompt: Prompt.Prompt, text: string): Prompt.Prompt => {
  const last = prompt.content.at(-1)
  if (last?.role !== "assistant") {
    const answer = Prompt.assistantMessage({ content: [Prompt.textPart({ text })] })
    return Prompt.fromMessages([...prompt.content, answer])
  }
  const begun = last.content.at(-1)
  const content = begun?.type === "text"
    ? [...last.content.slice(0, -1), Prompt.textPart({ ...begun, text: begun.text + text })]
    : [...last.content, Prompt.textPart({ text })]
  return Prompt.fromMessages([...prompt.content.slice(0, -1), Prompt.assistantMessage({ ...last, content })])
}

export class Continuing implements Way {
  private readonly call: Call
  private readonly overlap: "remove" | "keep"
  private readonly delivered = new Delivered()
  private continuation: Continuation | undefined = undefined
  private upcoming: Continuation | undefined = undefined
  /** The end of a block, held back until it is known that the answer does not break off there. */
  private blockEnd: Part | undefined = undefined

  constructor(call: Call, overlap: "remove" | "keep") {
    this.call = call
    this.overlap = overlap
  }

  readonly hand = (arrived: Parts): Parts | undefined => {
    const parts = this.continuation === undefined ? arrived : this.continuation.map(arrived)
    const last = parts.at(-1)
    if (last === undefined) return undefined
    const before = this.blockEnd
    this.blockEnd = last.type === "text-end" ? last : undefined
    if (before === undefined && this.blockEnd === undefined) return this.see(parts)
    const all = before === undefined ? parts : [before, ...parts]
    return this.see(this.blockEnd === undefined ? all : all.slice(0, -1))
  }

  readonly rest = (ended: boolean): Parts | undefined => {
    const parts: Array<Part> = []
    // What is held back when it breaks off may be there already.
    if (ended) this.continuation?.flush(parts)
    if (this.blockEnd !== undefined) parts.push(this.blockEnd)
    this.blockEnd = undefined
    return this.see(parts)
  }

  readonly next = (): Call | undefined => {
    const begun = this.delivered.continuable()
    if (begun === undefined) return undefined
    const seam = new Seam(begun.text, this.overlap)
    if (seam.sent === "") return undefined
    this.upcoming = new Continuation(begun.block, seam)
    const { call } = this
    return {
      ...call,
      request: { ...call.request, prompt: withBeginning(call.request.prompt, seam.sent) },
      openBy: undefined,
      // What has been delivered stays, so nothing of what comes now can be unsaid.
      retractable: false,
      continues: begun.text,
      recorder: call.recorder.branch()
    }
  }

  readonly takeOver = (answer: Answer): Taken | undefined => {
    // A template is no end of what a model began.
    if (answer.recorder.degraded) return undefined
    const { recorder } = this.call
    const from = recorder.serving
    recorder.adopt(answer.recorder)
    recorder.serving?.continueFrom(from, () => this.delivered.text())
    this.continuation = this.upcoming
    this.blockEnd = undefined
    return { parts: answer.first === undefined ? undefined : this.hand(answer.first) }
  }

  readonly failure = (error: StreamInterrupted): StreamInterrupted => {
    if (this.continuation === undefined) return error
    const partial = this.delivered.text()
    return Redacted.value(error.partial) === partial
      ? error
      : new StreamInterrupted({ ...error, partial: Redacted.make(partial) })
  }

  private see(parts: ReadonlyArray<Part>): Parts | undefined {
    for (const part of parts) this.delivered.see(part)
    return Arr.isReadonlyArrayNonEmpty(parts) ? parts : undefined
  }
}
