/**
 * Folds a Gemini answer into parts, streamed or whole: a stream is a sequence of answers, each with what is new.
 *
 * There is no event for the end: an answer is complete when it has had a finish reason and its body has ended. Servers are known to
 * send a finish reason with every chunk, so the last one counts.
 */
import * as Part from "../../core/Part.ts"
import { readObject } from "./answerBody.ts"
import { type Exchange, malformed, note } from "./classify.ts"
import { isError } from "./errorBody.ts"
import type { Read } from "./exchange.ts"
import { finishReason, mergeUsage, metadataPart } from "./finish.ts"
import { Fold } from "./fold.ts"
import { blockReason, finishPart, modelErred, promptBlocked } from "./geminiFinish.ts"
import { type Fields, fields, isFields, items, json, text, trimBody } from "./read.ts"
import type { RestoreParams } from "./toolSchema.ts"

interface Call {
  readonly id: string
  readonly name: string | undefined
  /** `undefined` where they are not the object they should be. */
  readonly params: Fields | undefined
  readonly metadata: { readonly google: { readonly [field: string]: string } } | undefined
}

/** What has to be known of the request to read its answer. */
export interface Expectation {
  readonly restore: RestoreParams
  readonly maxParams: number
}

export class GeminiStream extends Fold {
  private readonly restore: RestoreParams
  private responseId: string | undefined = undefined
  private described = false
  private candidateIndex: unknown = undefined
  private block: { readonly type: "text" | "reasoning"; readonly id: string } | undefined = undefined
  private blocks = 0
  private readonly calls: Array<Call> = []
  private readonly ignored = new Set<string>()
  private raw: string | undefined = undefined
  private facts: Fields = {}
  private usage: Fields | undefined = undefined

  constructor(exchange: Exchange, { maxParams, restore }: Expectation) {
    super(exchange, maxParams)
    this.restore = restore
  }

  get finished(): boolean {
    return this.raw !== undefined
  }

  event(data: string, name: string): void {
    if (this.done) return
    // Gateways are known to end every stream the way another protocol does.
    if (data.startsWith("[DONE]")) return this.terminate()
    const chunk = this.read(data)
    if (chunk === undefined) return
    if (name === "error") this.fail(chunk)
    else this.chunk(chunk)
  }

  /** Takes in an answer that came in one piece, or as a list of chunks, which may have been cut like any stream. */
  whole(chunks: ReadonlyArray<Fields>, streamed: boolean): Read {
    for (const chunk of chunks) if (!this.done) this.chunk(chunk)
    if (!this.done && (this.finished || !streamed)) this.complete()
    return this.failure === undefined ? { parts: Part.toAnswer(this.parts) } : { failure: this.failure }
  }

  private chunk(chunk: Fields): void {
    this.usage = mergeUsage(this.usage, chunk["usageMetadata"])
    if (isError(chunk)) return this.fail(chunk)
    this.describe(chunk)
    const reason = blockReason(chunk)
    if (reason !== undefined && !this.finished) return this.stop(promptBlocked(this.exchange, chunk, reason))
    for (const candidate of items(chunk["candidates"])) this.candidate(fields(candidate))
  }

  private describe(chunk: Fields): void {
    this.responseId ??= text(chunk["responseId"])
    if (this.described) return
    const metadata = metadataPart(this.names, {
      id: chunk["responseId"],
      model: chunk["modelVersion"],
      created: Math.floor(Date.parse(String(chunk["createTime"])) / 1000)
    })
    if (metadata === undefined) return
    this.described = true
    this.parts.push(metadata)
  }

  private candidate(candidate: Fields): void {
    // More than one candidate comes only of an extra field that asks for it; an answer is the first.
    if (this.candidateIndex === undefined) this.candidateIndex = candidate["index"]
    else if (candidate["index"] !== undefined && candidate["index"] !== this.candidateIndex) return
    for (const part of items(fields(candidate["content"])["parts"])) this.part(fields(part))
    const { content: _, ...facts } = candidate
    this.facts = { ...this.facts, ...facts }
    const raw = text(candidate["finishReason"])
    if (raw !== undefined && raw !== "FINISH_REASON_UNSPECIFIED") this.raw = raw
  }

  private part(part: Fields): void {
    const signature = text(part["thoughtSignature"])
    const { functionCall, inlineData, text: words, thought } = part
    if (isFields(functionCall)) this.call(functionCall, signature)
    else if (isFields(inlineData) && thought !== true) this.file(inlineData, signature)
    else if (typeof words === "string") this.say(thought === true ? "reasoning" : "text", words, signature)
    else {
      const kind = Object.keys(part).find((key) => key !== "thought" && key !== "thoughtSignature")
      if (kind !== undefined) note(this.ignored, kind)
      // What carries a signature goes back with it, though it say nothing.
      else if (signature !== undefined) this.say(thought === true ? "reasoning" : "text", "", signature)
    }
  }

  private say(type: "text" | "reasoning", words: string, signature: string | undefined): void {
    if (words === "" && signature === undefined) return
    let block = this.block
    // A part that is signed goes back as it came, so it is a block by itself.
    if (block === undefined || block.type !== type || signature !== undefined) {
      this.closeBlock()
      block = this.block = { type, id: String(this.blocks++) }
      this.parts.push({ type: `${type}-start`, id: block.id })
    }
    if (words !== "") this.parts.push({ type: `${type}-delta`, id: block.id, delta: words })
    if (signature !== undefined) this.closeBlock(signature)
  }

  private closeBlock(signature?: string): void {
    if (this.block === undefined) return
    const { id, type } = this.block
    this.block = undefined
    this.parts.push({ type: `${type}-end`, id, ...signedBy(signature) })
  }

  private file(inlineData: Fields, signature: string | undefined): void {
    const mediaType = text(inlineData["mimeType"])
    const data = text(inlineData["data"])
    if (mediaType === undefined || data === undefined || !isBase64(data)) {
      note(this.ignored, "inlineData")
      return
    }
    this.closeBlock()
    this.parts.push({ type: "file", mediaType, data, ...signedBy(signature) })
  }

  private call(call: Fields, signature: string | undefined): void {
    const name = text(call["name"])
    const given = text(call["id"])
    const args = call["args"] ?? {}
    const params = JSON.stringify(args)
    if (!this.keep(params.length)) return
    this.closeBlock()
    // Many models name no ids. One that is made up has to differ from those of earlier turns.
    const id = given ?? `${this.responseId ?? "call"}_${this.calls.length}`
    const google = {
      ...(given === undefined ? undefined : { functionCallId: given }),
      ...(signature === undefined ? undefined : { thoughtSignature: signature })
    }
    this.calls.push({
      id,
      name,
      params: isFields(args) ? args : undefined,
      metadata: Object.keys(google).length === 0 ? undefined : { google }
    })
    if (name === undefined) return
    this.parts.push(
      { type: "tool-params-start", id, name },
      { type: "tool-params-delta", id, delta: params },
      { type: "tool-params-end", id }
    )
  }

  protected complete(): void {
    this.done = true
    this.closeBlock()
    const raw = this.raw ?? ""
    const mapped = finishReason(raw)
    if (mapped === "error") {
      this.failure = modelErred(this.exchange, {
        raw,
        finishMessage: this.facts["finishMessage"],
        responseId: this.responseId
      })
      return
    }
    const reason = this.calls.length > 0 && (mapped === "stop" || mapped === "other" || mapped === "unknown")
      ? "tool-calls"
      : mapped
    if (reason !== "content-filter") {
      for (const call of this.calls) if (!this.finishCall(call)) return
    }
    this.cite()
    this.parts.push(finishPart(this.names, reason, {
      raw,
      candidate: this.facts,
      usage: this.usage,
      ignoredParts: this.ignored,
      malformedChunks: this.malformedChunks,
      errorAfterFinish: this.errorAfterFinish
    }))
  }

  /** A call becomes one only when the answer has ended well. Each comes in one piece, so none is ever cut. */
  private finishCall({ id, metadata, name, params }: Call): boolean {
    if (name === undefined || params === undefined) {
      this.failure = malformed(
        this.exchange,
        name === undefined ? "a tool call has no name" : "the parameters of a tool call are not an object"
      )
      return false
    }
    this.parts.push({
      type: "tool-call",
      id,
      name,
      params: this.restore(name, params),
      ...(metadata === undefined ? undefined : { metadata })
    })
    return true
  }

  /** The pages that an answer rests on. */
  private cite(): void {
    const chunks = items(fields(this.facts["groundingMetadata"])["groundingChunks"])
    for (const [index, chunk] of chunks.entries()) {
      const web = fields(fields(chunk)["web"])
      const url = text(web["uri"])
      if (url === undefined || !URL.canParse(url)) continue
      this.parts.push({ type: "source", sourceType: "url", id: String(index), url, title: text(web["title"]) ?? url })
    }
  }
}

const signedBy = (signature: string | undefined) =>
  signature === undefined ? undefined : { metadata: { google: { thoughtSignature: signature } } }

const isBase64 = (data: string): boolean => data.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(data)

/**
 * Reads the body of a response with status 200, which may be an error all the same. A server that streams, and does not know
 * `alt=sse`, sends a list of chunks.
 */
export const readAnswer = (exchange: Exchange, body: string, expectation: Expectation): Read => {
  const value = json(trimBody(body))
  const list = Array.isArray(value) ? value.filter(isFields) : []
  const read = list.length > 0 ? { list } : readObject(exchange, body)
  if ("failure" in read) return read
  const chunks = "list" in read ? read.list : [read.value]
  return chunks.some(saysSomething)
    ? new GeminiStream(exchange, expectation).whole(chunks, "list" in read)
    : { failure: malformed(exchange, "it has no candidates") }
}

const saysSomething = (chunk: Fields): boolean =>
  isError(chunk) || blockReason(chunk) !== undefined || items(chunk["candidates"]).length > 0
