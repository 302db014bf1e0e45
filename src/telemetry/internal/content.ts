/**
 * What was said, on spans, where somebody has asked for that: in the form of the conventions, as JSON, cut, and past a function that
 * takes out what must not be seen.
 *
 * https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai (gen-ai-input-messages.json and its like)
 */
import type * as Prompt from "effect/ai/Prompt"
import type * as Part from "../../core/Part.ts"
import { shown as readable } from "./labels.ts"

export type Place = "system" | "input" | "output"

export interface Capture {
  /** The most characters of text on one attribute. */
  readonly maxLength: number
  readonly redact: (text: string, place: Place) => string
}

type Piece = { readonly type: string; readonly [field: string]: unknown }

/** Texts of one attribute, of which all together may be so long. */
class Texts {
  private left: number
  private readonly capture: Capture
  private readonly place: Place

  constructor(capture: Capture, place: Place) {
    this.left = capture.maxLength
    this.capture = capture
    this.place = place
  }

  of(text: string): string {
    // Nothing of it is shown, so nothing need be taken out: prompts are long.
    if (this.left === 0) return `… (${text.length} more characters)`
    // What is cut off could have been part of what is to be taken out: so that comes first.
    const clean = this.redacted(text)
    const shown = clean.slice(0, this.left).toWellFormed()
    this.left -= shown.length
    return shown.length === clean.length ? clean : `${shown}… (${clean.length - shown.length} more characters)`
  }

  private redacted(text: string): string {
    try {
      const clean: unknown = this.capture.redact(text, this.place)
      if (typeof clean === "string") return clean
    } catch {
      // As where it gives what is no text.
    }
    return "(could not be redacted)"
  }

  json(value: unknown): string {
    if (this.left === 0) return "…"
    let text: string | undefined
    try {
      text = JSON.stringify(value)
    } catch {
      text = undefined
    }
    return this.of(text ?? "")
  }
}

export const systemInstructions = (prompt: Prompt.Prompt, capture: Capture): string | undefined => {
  const texts = new Texts(capture, "system")
  const parts = prompt.content.flatMap((message) =>
    message.role === "system" ? [{ type: "text", content: texts.of(message.content) }] : []
  )
  return parts.length === 0 ? undefined : JSON.stringify(parts)
}

export const inputMessages = (prompt: Prompt.Prompt, capture: Capture): string => {
  const texts = new Texts(capture, "input")
  return JSON.stringify(prompt.content.flatMap((message) =>
    message.role === "system"
      ? []
      : [{
        role: message.role,
        parts: (message.content as ReadonlyArray<Prompt.Part>).map((part) => pieceOf(part, texts))
      }]
  ))
}

const pieceOf = (part: Prompt.Part, texts: Texts): Piece => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return { type: part.type, content: texts.of(part.text) }
    case "file":
      return { type: "blob", mime_type: readable(part.mediaType) }
    case "tool-call":
      return { type: "tool_call", id: readable(part.id), name: readable(part.name), arguments: texts.json(part.params) }
    case "tool-result":
      return { type: "tool_call_response", id: readable(part.id), response: texts.json(part.result) }
    default:
      return { type: part.type }
  }
}

export const outputMessage = (answer: ReadonlyArray<Part.AnswerPart>, capture: Capture): string => {
  const texts = new Texts(capture, "output")
  let finish: string | undefined
  const parts = answer.flatMap((part): ReadonlyArray<Piece> => {
    switch (part.type) {
      case "text":
      case "reasoning":
        return [{ type: part.type, content: texts.of(part.text) }]
      case "tool-call":
        return [{
          type: "tool_call",
          id: readable(part.id),
          name: readable(part.name),
          arguments: texts.json(part.params)
        }]
      case "file":
        return [{ type: "blob", mime_type: readable(part.mediaType) }]
      case "finish":
        finish = part.reason
        return []
      default:
        return []
    }
  })
  return JSON.stringify([{ role: "assistant", parts, finish_reason: finish ?? "error" }])
}

/** What was read of a stream, as text. */
export const outputText = (text: string, finish: string | undefined, capture: Capture): string =>
  JSON.stringify([{
    role: "assistant",
    parts: [{ type: "text", content: new Texts(capture, "output").of(text) }],
    finish_reason: finish ?? "error"
  }])
