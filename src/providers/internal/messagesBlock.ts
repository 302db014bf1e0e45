/**
 * One block of content of a Messages answer as it grows: a text, a thought, a tool call, or the answer in a tool's clothes.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import type { ProviderPart } from "../../core/Part.ts"
import { type Fields, fields, isFields, items, json, text } from "./read.ts"

/** A tool that is not one: the form in which an answer of a schema is asked for where there is no other. */
export interface JsonTool {
  readonly name: string
  /** The answer stands in the field `value`, because it is not an object and the parameters of a tool have to be one. */
  readonly wrapped: boolean
}

/** The types of deltas by which blocks grow. */
export const knownDeltas: ReadonlySet<unknown> = new Set([
  "text_delta",
  "thinking_delta",
  "signature_delta",
  "citations_delta",
  "input_json_delta"
])

/** What a block is: text, a thought, a call, the answer as JSON, or something that is not read. */
export type Kind = "text" | "reasoning" | "call" | "json" | "other"

export class Block {
  readonly kind: Kind
  /** The id of its parts; for a call, the call's own. */
  readonly id: string
  readonly name: string
  /** The parameters of a call, as far as they have come. */
  params = ""
  private readonly emit: (part: ProviderPart) => void
  private readonly wrapped: boolean
  /** What a call had from the beginning, where nothing follows. */
  private readonly input: unknown
  private readonly citations: Array<Schema.Json> = []
  private signature = ""
  private redacted: string | undefined = undefined
  private started = false
  private ended = false

  constructor(start: Fields, ordinal: number, jsonTool: JsonTool | undefined, emit: (part: ProviderPart) => void) {
    this.emit = emit
    this.name = text(start["name"]) ?? ""
    this.kind = kindOf(start, jsonTool)
    this.wrapped = jsonTool?.wrapped === true
    this.input = start["input"]
    this.id = this.kind === "call" ? text(start["id"]) ?? `call_${ordinal}` : String(ordinal)
    switch (this.kind) {
      case "text":
        this.say(start["text"])
        for (const citation of items(start["citations"])) this.cite(citation)
        break
      case "reasoning":
        this.redacted = text(start["data"])
        this.begin()
        this.say(start["thinking"])
        this.signature = text(start["signature"]) ?? ""
        break
      case "call":
        this.begin()
        break
    }
  }

  /** Takes in a delta, and gives the number of characters that it keeps. */
  delta(delta: Fields): number {
    if (this.ended) return 0
    switch (delta["type"]) {
      case "text_delta":
        if (this.kind === "text") this.say(delta["text"])
        return 0
      case "thinking_delta":
        if (this.kind === "reasoning") this.say(delta["thinking"])
        return 0
      case "signature_delta": {
        const signature = text(delta["signature"]) ?? ""
        this.signature += signature
        return signature.length
      }
      case "citations_delta":
        return this.cite(delta["citation"])
      case "input_json_delta":
        return this.grow(text(delta["partial_json"]) ?? "")
      default:
        return 0
    }
  }

  end(): void {
    if (this.ended) return
    if ((this.kind === "call" || this.kind === "json") && this.params === "" && isFilled(this.input)) {
      this.grow(JSON.stringify(this.input))
    }
    if (this.kind === "json" && this.wrapped) this.unwrap()
    this.ended = true
    if (!this.started) return
    switch (this.kind) {
      case "call":
        this.emit({ type: "tool-params-end", id: this.id })
        break
      case "reasoning":
        this.emit({
          type: "reasoning-end",
          id: this.id,
          ...(this.signature === "" ? undefined : { metadata: { anthropic: { signature: this.signature } } })
        })
        break
      default:
        this.emit({
          type: "text-end",
          id: this.id,
          ...(this.citations.length === 0 ? undefined : { metadata: { anthropic: { citations: this.citations } } })
        })
        for (const [index, citation] of this.citations.entries()) {
          const source = sourceOf(fields(citation), `${this.id}.${index}`)
          if (source !== undefined) this.emit(source)
        }
    }
  }

  private begin(): void {
    if (this.started) return
    this.started = true
    if (this.kind === "call") this.emit({ type: "tool-params-start", id: this.id, name: this.name })
    else if (this.kind === "reasoning") {
      this.emit({
        type: "reasoning-start",
        id: this.id,
        ...(this.redacted === undefined ? undefined : { metadata: { anthropic: { redactedData: this.redacted } } })
      })
    } else this.emit({ type: "text-start", id: this.id })
  }

  private say(words: unknown): void {
    const delta = text(words)
    if (delta === undefined) return
    this.begin()
    this.emit({ type: this.kind === "reasoning" ? "reasoning-delta" : "text-delta", id: this.id, delta })
  }

  private grow(piece: string): number {
    if (piece === "") return 0
    if (this.kind === "call") {
      this.params += piece
      this.emit({ type: "tool-params-delta", id: this.id, delta: piece })
    } else if (this.kind === "json") {
      // What is wrapped cannot be handed on before it is whole.
      if (this.wrapped) this.params += piece
      else {
        this.say(piece)
        return 0
      }
    } else return 0
    return piece.length
  }

  private unwrap(): void {
    const value = fields(json(this.params))["value"]
    // What cannot be read is handed on as it is: whoever decodes it says what is wrong with it.
    this.say(value === undefined ? this.params : JSON.stringify(value))
  }

  private cite(citation: unknown): number {
    if (this.kind !== "text" || !isFields(citation)) return 0
    // It came from JSON, and so it is JSON.
    this.citations.push(citation as Schema.JsonObject)
    return JSON.stringify(citation).length
  }
}

const kindOf = (start: Fields, jsonTool: JsonTool | undefined): Kind => {
  switch (start["type"]) {
    case "text":
      return "text"
    case "thinking":
    case "redacted_thinking":
      return "reasoning"
    case "tool_use":
      return jsonTool !== undefined && start["name"] === jsonTool.name ? "json" : "call"
    default:
      return "other"
  }
}

const isFilled = (input: unknown): boolean => isFields(input) && Object.keys(input).length > 0

/** What a text quotes: a page, or one of the documents in the prompt. */
const sourceOf = (
  citation: Fields,
  id: string
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded | undefined => {
  const url = text(citation["url"])
  if (url !== undefined) {
    if (URL.canParse(url)) return { type: "source", sourceType: "url", id, url, title: text(citation["title"]) ?? url }
    return undefined
  }
  const mediaType = citation["type"] === "page_location"
    ? "application/pdf"
    : citation["type"] === "char_location" || citation["type"] === "content_block_location"
    ? "text/plain"
    : undefined
  if (mediaType === undefined) return undefined
  const title = text(citation["document_title"]) ?? `document ${String(citation["document_index"] ?? 0)}`
  return { type: "source", sourceType: "document", id, mediaType, title }
}
