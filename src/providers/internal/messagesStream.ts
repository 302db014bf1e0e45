/**
 * Folds an answer of the Messages API into parts, streamed or whole.
 *
 * An answer is complete when it has had its stop reason, with or without the `message_stop` after it.
 */
import type * as Response from "effect/ai/Response"
import type { ProviderError } from "../../core/LlmError.ts"
import * as Part from "../../core/Part.ts"
import { readObject } from "./answerBody.ts"
import { finishedParams } from "./chatContent.ts"
import { classifyInBand, type Exchange, identifiers, malformed, note } from "./classify.ts"
import { isError } from "./errorBody.ts"
import type { Read } from "./exchange.ts"
import { finishReason, mergeUsage, metadataPart } from "./finish.ts"
import { Fold } from "./fold.ts"
import { Block, type JsonTool, knownDeltas } from "./messagesBlock.ts"
import { finishPart } from "./messagesFinish.ts"
import { type Fields, fields, isFields, items, text } from "./read.ts"
import type { RestoreParams } from "./toolSchema.ts"

/** What has to be known of the request to read its answer. */
export interface Expectation {
  readonly restore: RestoreParams
  readonly jsonTool: JsonTool | undefined
  readonly maxParams: number
}

export class MessagesStream extends Fold {
  private readonly restore: RestoreParams
  private readonly jsonTool: JsonTool | undefined
  private readonly blocks: Array<Block> = []
  /** The blocks that are being written, by their index. */
  private readonly open = new Map<unknown, Block>()
  private readonly ignored = new Set<string>()
  private described = false
  private raw: string | undefined = undefined
  private stopSequence: string | undefined = undefined
  private stopDetails: Fields = {}
  private usage: Fields | undefined = undefined

  constructor(exchange: Exchange, { jsonTool, maxParams, restore }: Expectation) {
    super(exchange, maxParams)
    this.restore = restore
    this.jsonTool = jsonTool
  }

  get finished(): boolean {
    return this.raw !== undefined
  }

  event(data: string, name: string): void {
    if (this.done) return
    // Gateways are known to end every stream the way another protocol does.
    if (data.startsWith("[DONE]")) return this.terminate()
    const event = this.read(data)
    if (event === undefined) return
    const type = text(event["type"]) ?? name
    if (name === "error" || type === "error" || isFields(event["error"])) return this.fail(event)
    switch (type) {
      case "message_start":
        return this.message(fields(event["message"]))
      case "content_block_start":
        this.start(event["index"], fields(event["content_block"]))
        return
      case "content_block_delta":
        return this.delta(event["index"], fields(event["delta"]))
      case "content_block_stop":
        return this.close(event["index"])
      case "message_delta":
        this.usage = mergeUsage(this.usage, event["usage"])
        return this.ending(fields(event["delta"]))
      case "message_stop":
        return this.terminate()
      case "ping":
        return
      default:
        return this.ignore(type)
    }
  }

  /** Takes in an answer that came whole. */
  whole(answer: Fields): ReadonlyArray<Part.AnswerPart> {
    this.message(answer)
    for (const [index, block] of items(answer["content"]).entries()) {
      this.start(index, fields(block))
      this.close(index)
    }
    this.ending(answer)
    this.complete()
    return Part.toAnswer(this.parts)
  }

  protected override classify(error: unknown): ProviderError {
    return classifyError(this.exchange, error)
  }

  private message(message: Fields): void {
    this.usage = mergeUsage(this.usage, message["usage"])
    // Gateways are known to send it twice.
    if (this.described) return
    const metadata = metadataPart(this.names, message)
    if (metadata === undefined) return
    this.described = true
    this.parts.push(metadata)
  }

  private start(index: unknown, start: Fields): Block {
    this.close(index)
    const block = new Block(start, this.blocks.length, this.jsonTool, (part) => this.parts.push(part))
    this.blocks.push(block)
    this.open.set(index, block)
    if (block.kind === "other") note(this.ignored, text(start["type"]) ?? "unknown")
    return block
  }

  private delta(index: unknown, delta: Fields): void {
    const block = this.open.get(index) ?? this.unannounced(index, delta["type"])
    // What a block that is not read holds is not read either.
    if (block?.kind !== "other" && !knownDeltas.has(delta["type"])) this.ignore(text(delta["type"]) ?? "")
    if (block !== undefined) this.keep(block.delta(delta))
  }

  /** A block whose start a gateway has left out. A call cannot do without: nobody knows what it calls. */
  private unannounced(index: unknown, type: unknown): Block | undefined {
    const start = type === "text_delta" ? "text" : type === "thinking_delta" ? "thinking" : undefined
    return start === undefined ? undefined : this.start(index, { type: start })
  }

  private close(index: unknown): void {
    this.open.get(index)?.end()
    this.open.delete(index)
  }

  private ending(delta: Fields): void {
    const raw = text(delta["stop_reason"])
    if (raw === undefined || this.raw !== undefined) return
    this.raw = raw
    this.stopSequence = text(delta["stop_sequence"])
    this.stopDetails = fields(delta["stop_details"])
  }

  protected complete(): void {
    this.done = true
    for (const block of this.blocks) block.end()
    const reason = this.reason()
    for (const block of this.blocks) {
      if (block.kind === "call" && !this.call(block, reason)) return
    }
    const { names } = this
    this.parts.push(finishPart(names, reason, {
      raw: this.raw,
      stopSequence: this.stopSequence,
      usage: this.usage,
      refusal: text(names.scrub(text(this.stopDetails["explanation"]) ?? "")),
      categories: identifiers(names, [text(this.stopDetails["category"]) ?? []].flat()),
      ignoredBlocks: this.ignored,
      ignoredEvents: this.ignoredEvents,
      malformedChunks: this.malformedChunks,
      errorAfterFinish: this.errorAfterFinish
    }))
  }

  private reason(): Response.FinishReason {
    const reason = finishReason(this.raw ?? "")
    const calls = this.blocks.some(({ kind }) => kind === "call")
    // The answer itself came as the parameters of a tool.
    if (reason === "tool-calls" && !calls) return "stop"
    return calls && (reason === "stop" || reason === "other" || reason === "unknown") ? "tool-calls" : reason
  }

  /** A call becomes one only when the answer has ended well: what was cut must never be run. */
  private call(block: Block, reason: Response.FinishReason): boolean {
    if (reason === "content-filter" || reason === "error") return true
    // The API closes the block at which the limit was reached like any other, be it complete or not.
    if (reason === "length" && block === this.blocks.at(-1)) return true
    const params = finishedParams(block.params, false)
    if (block.name !== "" && params !== undefined) {
      this.parts.push({
        type: "tool-call",
        id: block.id,
        name: block.name,
        params: this.restore(block.name, params)
      })
      return true
    }
    this.failure = malformed(
      this.exchange,
      block.name === "" ? "a tool call has no name" : "the parameters of a tool call are not JSON"
    )
    return false
  }
}

// The types that stand for a status where there is none, because the answer had begun well.
const statuses: { readonly [type: string]: number } = {
  invalid_request_error: 400,
  not_found_error: 404,
  conflict_error: 409,
  api_error: 500
}

/** Classifies an error that came with status 200. */
const classifyError = (exchange: Exchange, body: unknown): ProviderError => classifyInBand(exchange, body, statuses)

/** Reads the body of a response with status 200, which may be an error all the same. */
export const readAnswer = (exchange: Exchange, body: string, expectation: Expectation): Read => {
  const answer = readObject(exchange, body)
  if ("failure" in answer) return answer
  return readFields(exchange, answer.value, expectation)
}

const readFields = (exchange: Exchange, answer: Fields, expectation: Expectation): Read => {
  if (!Array.isArray(answer["content"])) {
    return { failure: isError(answer) ? classifyError(exchange, answer) : malformed(exchange, "it has no content") }
  }
  const stream = new MessagesStream(exchange, expectation)
  const parts = stream.whole(answer)
  return stream.failure === undefined ? { parts } : { failure: stream.failure }
}
