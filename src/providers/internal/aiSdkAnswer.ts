/**
 * Folds an AI SDK answer into parts, streamed or whole.
 *
 * An answer is complete with its finish part, unless that says `interrupted`. Nothing of a model's is trusted to be as its types say:
 * models come from many hands, and through middleware.
 */
import type { ProviderError } from "../../core/LlmError.ts"
import * as Part from "../../core/Part.ts"
import { classifyError, type Where } from "./aiSdkError.ts"
import { type Ending, finishPart, readEnding } from "./aiSdkFinish.ts"
import { keysIn } from "./aiSdkKeys.ts"
import { jsonObjectOf, jsonOf, metadataOf, readPiece, readResponse } from "./aiSdkPart.ts"
import { finishedParams } from "./chatContent.ts"
import { malformed } from "./classify.ts"
import type { Read } from "./exchange.ts"
import { type Fields, fields, isFields, items, Names, text } from "./read.ts"
import type { RestoreParams } from "./toolSchema.ts"

type Kind = "text" | "reasoning"

export class AiSdkAnswer {
  /** The answer has said its last word. */
  done = false
  failure: ProviderError | undefined = undefined
  private readonly where: Where
  private readonly restore: RestoreParams
  private parts: Array<Part.ProviderPart> = []
  /** The texts and thoughts that are being written. */
  private readonly open = new Map<string, { readonly kind: Kind; readonly id: string }>()
  /** The calls that are being written: whether their parameters are a text rather than JSON. */
  private readonly params = new Map<string, boolean>()
  /** Calls become parts when it is known how the answer ends: what was cut must never be run. */
  private calls: Array<Fields> = []
  /** Whether what came last is a call of these. */
  private endsWithCall = false
  private warnings: unknown = undefined
  private readonly ignored = new Set<string>()

  constructor(where: Where, restore: RestoreParams) {
    this.where = where
    this.restore = restore
  }

  take(): ReadonlyArray<Part.ProviderPart> {
    const { parts } = this
    if (parts.length > 0) this.parts = []
    return parts
  }

  /** Takes in a part of a stream. */
  part(value: unknown): void {
    if (this.done) return
    const part = fields(value)
    switch (part["type"]) {
      case "text-start":
        return this.start("text", part)
      case "text-delta":
        return this.delta("text", part)
      case "text-end":
        return this.end("text", part)
      case "reasoning-start":
        return this.start("reasoning", part)
      case "reasoning-delta":
        return this.delta("reasoning", part)
      case "reasoning-end":
        return this.end("reasoning", part)
      case "tool-input-start":
        return this.startParams(part)
      case "tool-input-delta":
        return this.growParams(part)
      case "tool-input-end":
        return this.endParams(part)
      case "stream-start":
        this.warnings = part["warnings"]
        return
      case "response-metadata":
        return this.describe(part)
      case "finish":
        return this.finish(part)
      case "error":
        return this.stop(classifyError(this.where, part["error"]))
      case "raw":
      case "ping":
        return
      default:
        return this.piece(part)
    }
  }

  /** Ends the answer with a failure. */
  stop(failure: ProviderError): void {
    this.done = true
    this.failure ??= failure
  }

  /** Takes in an answer that came whole. `asJson` is whether JSON of a schema was asked for. */
  whole(result: Fields, asJson: boolean): Read {
    const { content } = result
    if (!Array.isArray(content)) return { failure: malformed(this.where.exchange, "it has no content") }
    this.warnings = result["warnings"]
    this.describe(fields(result["response"]))
    const pieces = selected(content, asJson ? result["structuredOutputText"] : undefined)
    const ending = readEnding(result["finishReason"], pieces.some(isOwnCall))
    for (const [index, piece] of pieces.entries()) {
      if (this.done) break
      if (isOwnCall(piece)) this.call(piece, ending, index === pieces.length - 1)
      else this.wholePiece(piece, String(index))
    }
    if (!this.done) this.complete(ending, result)
    return this.failure === undefined ? { parts: Part.toAnswer(this.parts) } : { failure: this.failure }
  }

  private wholePiece(piece: Fields, id: string): void {
    const kind = piece["type"]
    if (kind !== "text" && kind !== "reasoning") return this.piece(piece)
    this.start(kind, { ...piece, id })
    this.delta(kind, { id, delta: piece["text"] })
    this.end(kind, { id, citations: piece["citations"] })
  }

  private describe(response: Fields): void {
    const metadata = readResponse(response)
    if (metadata !== undefined) this.parts.push(metadata)
  }

  private start(kind: Kind, part: Fields): void {
    const id = text(part["id"]) ?? ""
    this.close(kind, id)
    this.endsWithCall = false
    this.open.set(`${kind}:${id}`, { kind, id })
    this.parts.push({ type: `${kind}-start`, id, ...metadataOf(part) })
  }

  private delta(kind: Kind, part: Fields): void {
    const id = text(part["id"]) ?? ""
    if (!this.open.has(`${kind}:${id}`)) this.start(kind, { id })
    const delta = text(part["delta"]) ?? ""
    const metadata = metadataOf(part)
    if (delta !== "" || metadata !== undefined) this.parts.push({ type: `${kind}-delta`, id, delta, ...metadata })
  }

  private end(kind: Kind, part: Fields): void {
    const id = text(part["id"]) ?? ""
    const citations = items(part["citations"])
    this.close(kind, id, metadataOf(part, citations.length === 0 ? undefined : jsonObjectOf({ citations })))
  }

  private close(kind: Kind, id: string, metadata?: ReturnType<typeof metadataOf>): void {
    if (this.open.delete(`${kind}:${id}`)) this.parts.push({ type: `${kind}-end`, id, ...metadata })
  }

  private startParams(part: Fields): void {
    const id = text(part["id"])
    const name = text(part["toolName"])
    if (id === undefined || name === undefined || this.params.has(id)) return
    const isText = part["inputEncoding"] === "text"
    this.params.set(id, isText)
    this.parts.push({
      type: "tool-params-start",
      id,
      name,
      ...(part["providerExecuted"] === true ? { providerExecuted: true } : undefined),
      ...metadataOf(part)
    })
    if (isText) this.parts.push({ type: "tool-params-delta", id, delta: "\"" })
  }

  private growParams(part: Fields): void {
    const id = text(part["id"])
    const delta = text(part["delta"])
    const isText = id === undefined ? undefined : this.params.get(id)
    if (id === undefined || delta === undefined || isText === undefined) return
    // Pieces of a text are pieces of a JSON text once they are escaped.
    this.parts.push({ type: "tool-params-delta", id, delta: isText ? JSON.stringify(delta).slice(1, -1) : delta })
  }

  private endParams(part: Fields): void {
    const id = text(part["id"])
    const isText = id === undefined ? undefined : this.params.get(id)
    if (id === undefined || isText === undefined) return
    this.params.delete(id)
    if (isText) this.parts.push({ type: "tool-params-delta", id, delta: "\"" })
    this.parts.push({ type: "tool-params-end", id, ...metadataOf(part) })
  }

  /** A piece that stands by itself. */
  private piece(part: Fields): void {
    if (isOwnCall(part)) {
      this.calls.push(part)
      this.endsWithCall = true
      return
    }
    this.endsWithCall = false
    if (part["type"] === "tool-call") return this.remoteCall(part)
    if (part["type"] === "custom") return this.custom(part)
    const piece = readPiece(part)
    if (piece === undefined) this.ignored.add(text(part["type"]) ?? "unknown")
    else this.parts.push(piece)
  }

  /** A call that the provider answers itself. Nobody here runs it, whatever its parameters are. */
  private remoteCall(part: Fields): void {
    const id = text(part["toolCallId"])
    const name = text(part["toolName"])
    if (id === undefined || name === undefined) {
      this.ignored.add("tool-call")
      return
    }
    const { input } = part
    const params = typeof input === "string" ? finishedParams(input, false) ?? input : jsonOf(input) ?? {}
    this.parts.push({ type: "tool-call", id, name, params, providerExecuted: true, ...metadataOf(part) })
  }

  /** What only the provider understands has to go back to it: it is kept as the metadata of a text without a word. */
  private custom(part: Fields): void {
    const kind = text(part["kind"])
    if (kind === undefined) {
      this.ignored.add("custom")
      return
    }
    const id = `${kind}:${this.ignored.size + this.parts.length}`
    this.parts.push({ type: "text-start", id, ...metadataOf(part, { custom: kind }) }, { type: "text-end", id })
  }

  private finish(part: Fields): void {
    const ending = readEnding(part["finishReason"], this.calls.length > 0)
    for (const { id, kind } of this.open.values()) this.close(kind, id)
    for (const id of this.params.keys()) this.endParams({ id })
    for (const [index, call] of this.calls.entries()) {
      if (this.done) return
      this.call(call, ending, this.endsWithCall && index === this.calls.length - 1)
    }
    if (!this.done) this.complete(ending, part)
  }

  private call(call: Fields, { reason }: Ending, isLast: boolean): void {
    if (reason === "content-filter" || reason === "error" || reason === "interrupted") return
    // At the output limit, the last one was being written. Some providers close it, and it may look whole.
    if (reason === "length" && isLast) return
    const id = text(call["toolCallId"])
    const name = text(call["toolName"])
    const { input } = call
    const params = typeof input === "string" ? finishedParams(input, false) : jsonOf(input)
    if (id === undefined || name === undefined || params === undefined) {
      const problem = params === undefined
        ? "the parameters of a tool call are not JSON"
        : `a tool call has no ${name === undefined ? "name" : "id"}`
      return this.stop(malformed(this.where.exchange, problem))
    }
    this.parts.push({ type: "tool-call", id, name, params: this.restore(name, params), ...metadataOf(call) })
  }

  private complete({ raw, reason }: Ending, part: Fields): void {
    this.done = true
    // Without its finish part, an answer is one that broke off.
    if (reason === "interrupted") return
    const { usage, providerMetadata } = part
    const ignoredParts = [...this.ignored]
    const names = new Names([...this.where.exchange.origin.secrets, ...keysIn([{ data: [raw, ignoredParts] }])])
    const { warnings } = this
    this.parts.push(finishPart(names, reason, { raw, usage, providerMetadata, warnings, ignoredParts }))
  }
}

const isOwnCall = (part: Fields): boolean => part["type"] === "tool-call" && part["providerExecuted"] !== true

/** The pieces of an answer. Where the model says which text is the JSON it was asked for, the drafts before it are left out. */
const selected = (content: ReadonlyArray<unknown>, output: unknown): ReadonlyArray<Fields> => {
  const pieces = content.filter(isFields)
  if (typeof output !== "string") return pieces
  const last = pieces.findLastIndex(({ type }) => type === "text")
  if (last === -1) return [...pieces, { type: "text", text: output }]
  return pieces.flatMap((piece, index) =>
    piece["type"] !== "text" ? [piece] : index === last ? [{ ...piece, text: output }] : []
  )
}
