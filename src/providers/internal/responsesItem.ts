/**
 * One item of a Responses answer as it grows: a message, a thought, a tool call, or something that is not read.
 *
 * Servers say everything several times: as deltas, when a text is done, when its part is done, when its item is done, and when the
 * answer is. What has been said is not said again, and what has not been said is not lost.
 */
import type * as Response from "effect/ai/Response"
import type * as Schema from "effect/Schema"
import type { ProviderPart } from "../../core/Part.ts"
import { compact, type Fields, fields, isFields, items, text } from "./read.ts"

/** What an item is. */
export type Kind = "message" | "reasoning" | "call" | "other"

/** Where in an item something stands: what kind of text it is. */
export type Slot = "text" | "refusal" | "summary" | "thought" | "params"

/** What an item says to the answer it is part of. */
export interface Sink {
  readonly emit: (part: ProviderPart) => void
  /** Takes note of characters that have to be kept; false where they are too many. */
  readonly keep: (characters: number) => boolean
  /** Takes note of content that is not read. */
  readonly ignore: (type: unknown) => void
}

/** What there is to know of the answer when one of its items ends. */
export interface Circumstances {
  /** What comes after the item is not read: the API would miss it, were the item sent back. */
  readonly orphaned: boolean
  /** The API keeps the answer. */
  readonly stored: boolean
  /** The id of the answer, once it is complete and can be gone on from. */
  readonly responseId: string | undefined
}

/** A text that grows: one part of a message or of a thought. */
interface Block {
  readonly id: string
  readonly slot: Slot
  said: string
  readonly annotations: Array<Schema.JsonObject>
}

export class Item {
  readonly kind: Kind
  /** What has been refused instead of said. */
  refusal = ""
  /** The parameters of a call, as far as they have come. */
  params = ""
  name: string | undefined = undefined
  /** Whether the parameters are free text and not JSON. */
  readonly custom: boolean
  /** The server's id of it. */
  itemId: string | undefined = undefined
  status: string | undefined = undefined
  /** Nothing more is to come of it. */
  done = false
  private readonly ordinal: number
  private readonly sink: Sink
  private readonly blocks = new Map<string, Block>()
  private callId: string | undefined = undefined
  private announced: string | undefined = undefined
  private phase: string | undefined = undefined
  private encryptedContent: string | undefined = undefined
  private closed = false

  constructor(type: unknown, ordinal: number, sink: Sink) {
    this.kind = kindOf(type)
    this.custom = type === "custom_tool_call"
    this.ordinal = ordinal
    this.sink = sink
  }

  /** The id of a call, under which its result is sent back. */
  get id(): string {
    return this.announced ?? this.callId ?? this.itemId ?? `call_${this.ordinal}`
  }

  /** Takes in more of a text. */
  say(slot: Slot, index: unknown, words: unknown): void {
    const delta = text(words)
    if (delta === undefined || this.closed) return
    if (slot === "params") return this.grow(delta)
    const block = this.block(slot, index)
    if (slot !== "refusal") {
      if (block.said === "") this.emit(block, "start")
      this.sink.emit({ type: slot === "text" ? "text-delta" : "reasoning-delta", id: block.id, delta })
    } else this.refusal += delta
    block.said += delta
  }

  /** Takes in a text as it is in the end, of which some may have been said. */
  settle(slot: Slot, index: unknown, whole: unknown): void {
    const final = text(whole)
    if (final === undefined || this.closed) return
    if (slot === "params") return this.finishParams(final)
    const { said } = this.block(slot, index)
    // Some servers trim in the end what they have said: what has been said stands.
    if (final.startsWith(said)) this.say(slot, index, final.slice(said.length))
  }

  /** Takes in a part of the content, as far as it is there. */
  content(part: Fields, index: unknown): void {
    switch (part["type"]) {
      case "output_text":
      case "text":
        if (this.kind === "reasoning") return this.settle("thought", index, part["text"])
        this.settle("text", index, part["text"])
        for (const annotation of items(part["annotations"]).slice(this.block("text", index).annotations.length)) {
          this.annotate(index, annotation)
        }
        return
      case "refusal":
        return this.settle("refusal", index, part["refusal"])
      case "summary_text":
        return this.settle("summary", index, part["text"])
      case "reasoning_text":
        return this.settle("thought", index, part["text"])
      default:
        this.sink.ignore(part["type"])
    }
  }

  annotate(index: unknown, annotation: unknown): void {
    if (!isFields(annotation) || this.closed || !this.sink.keep(JSON.stringify(annotation).length)) return
    // It came from JSON, and so it is JSON.
    this.block("text", index).annotations.push(annotation as Schema.JsonObject)
  }

  /** Takes in the whole item, as far as it is there. */
  whole(item: Fields): void {
    this.itemId = text(item["id"]) ?? this.itemId
    this.status = text(item["status"]) ?? this.status
    this.phase = text(item["phase"]) ?? this.phase
    this.callId ??= text(item["call_id"])
    switch (this.kind) {
      case "message":
        for (const [index, part] of items(item["content"]).entries()) this.content(fields(part), index)
        break
      case "reasoning": {
        const encrypted = text(item["encrypted_content"])
        if (encrypted !== undefined && encrypted !== this.encryptedContent && this.sink.keep(encrypted.length)) {
          this.encryptedContent = encrypted
        }
        for (const [index, part] of items(item["summary"]).entries()) this.content(fields(part), index)
        for (const [index, part] of items(item["content"]).entries()) this.content(fields(part), index)
        break
      }
      case "call": {
        this.name ??= text(item["name"])
        const params = item[this.custom ? "input" : "arguments"]
        // Some servers send the parameters as the object itself.
        this.settle("params", 0, isFields(params) ? JSON.stringify(params) : params)
        this.grow("")
        break
      }
    }
  }

  /** Ends its parts, and says what there is to know of it for the next turn. */
  end(answer: Circumstances): void {
    if (this.closed) return
    if (this.kind === "reasoning" && this.blocks.size === 0 && this.isReturnable(answer)) {
      this.emit(this.block("summary", 0), "start")
    }
    if (this.announced !== undefined) this.sink.emit({ type: "tool-params-end", id: this.announced })
    const blocks = [...this.blocks.values()].filter(({ said, slot }) =>
      slot !== "refusal" && (said !== "" || this.kind === "reasoning")
    )
    // What has said nothing may still be told of when the answer is done.
    this.closed = this.announced !== undefined || blocks.length > 0
    for (const [index, block] of blocks.entries()) {
      this.emit(block, "end", {
        ...this.metadata(answer),
        ...compact({
          phase: this.phase,
          annotations: block.annotations.length === 0 ? undefined : block.annotations,
          kind: block.slot === "thought" ? "text" : undefined,
          // It belongs to all of them, and is long.
          encryptedContent: index === blocks.length - 1 && this.isReturnable(answer) ? this.encryptedContent : undefined
        })
      })
      for (const [index, annotation] of block.annotations.entries()) {
        const source = sourceOf(annotation, `${block.id}.${index}`)
        if (source !== undefined) this.sink.emit(source)
      }
    }
  }

  /** What of it goes with a part, and from there back with the next request. */
  metadata(answer: Circumstances): Schema.JsonObject {
    return compact({
      itemId: this.kind === "reasoning" && !this.isReturnable(answer) ? undefined : this.itemId,
      outputIndex: this.ordinal,
      responseId: answer.responseId,
      custom: this.custom ? true : undefined
    })
  }

  // What can be sent back by its id has been stored; what is encrypted needs no store.
  private isReturnable({ orphaned, stored }: Circumstances): boolean {
    return this.itemId !== undefined && !orphaned && (stored || this.encryptedContent !== undefined)
  }

  private block(slot: Slot, index: unknown): Block {
    const key = `${slot}:${typeof index === "number" ? index : 0}`
    let block = this.blocks.get(key)
    if (block === undefined) {
      block = { id: `${this.ordinal}.${this.blocks.size}`, slot, said: "", annotations: [] }
      this.blocks.set(key, block)
    }
    return block
  }

  private emit(block: Block, edge: "start" | "end", openai?: Schema.JsonObject): void {
    const type = block.slot === "text" ? "text" : "reasoning"
    this.sink.emit({
      type: `${type}-${edge}`,
      id: block.id,
      ...(openai === undefined ? undefined : { metadata: { openai } })
    })
  }

  private grow(piece: string): void {
    if (this.closed || !this.sink.keep(piece.length)) return
    this.params += piece
    if (this.name === undefined) return
    let delta = piece
    if (this.announced === undefined) {
      this.announced = this.id
      this.sink.emit({ type: "tool-params-start", id: this.id, name: this.name })
      delta = this.params
    }
    if (delta !== "") this.sink.emit({ type: "tool-params-delta", id: this.id, delta })
  }

  private finishParams(final: string): void {
    if (final.startsWith(this.params)) this.grow(final.slice(this.params.length))
    // A call is what it is in the end: its parameters are read then.
    else if (this.sink.keep(final.length)) this.params = final
  }
}

/** What an item of a type is. */
export const kindOf = (type: unknown): Kind => {
  switch (type) {
    case "message":
    case "reasoning":
      return type
    case "function_call":
    case "custom_tool_call":
      return "call"
    default:
      return "other"
  }
}

/** What a text rests on: a page, or a file. */
const sourceOf = (
  annotation: Fields,
  id: string
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded | undefined => {
  const url = text(annotation["url"])
  if (url !== undefined) {
    if (!URL.canParse(url)) return undefined
    return { type: "source", sourceType: "url", id, url, title: text(annotation["title"]) ?? url }
  }
  const fileId = text(annotation["file_id"])
  if (fileId === undefined) return undefined
  const fileName = text(annotation["filename"])
  return {
    type: "source",
    sourceType: "document",
    id,
    // Of a file that is somewhere else nothing but the name is known.
    mediaType: "application/octet-stream",
    title: fileName ?? fileId,
    ...(fileName === undefined ? undefined : { fileName }),
    metadata: { openai: { fileId } }
  }
}
