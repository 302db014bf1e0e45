/**
 * Folds a Responses answer into parts, streamed or whole: a stream is a sequence of events, of which the last holds the whole answer.
 *
 * An answer is complete when it has had its last event: `response.completed` or `response.incomplete`.
 */
import type * as Response from "effect/ai/Response"
import type { ProviderError } from "../../core/LlmError.ts"
import * as Part from "../../core/Part.ts"
import { readObject } from "./answerBody.ts"
import { finishedParams } from "./chatContent.ts"
import { classifyInBand, type Exchange, malformed, note } from "./classify.ts"
import { isError } from "./errorBody.ts"
import type { Read } from "./exchange.ts"
import { finishReason, mergeUsage, metadataPart } from "./finish.ts"
import { Fold } from "./fold.ts"
import { type Fields, fields, isFields, items, text } from "./read.ts"
import { finishPart } from "./responsesFinish.ts"
import { type Circumstances, Item, type Kind, kindOf, type Sink, type Slot } from "./responsesItem.ts"
import type { RestoreParams } from "./toolSchema.ts"

/** What has to be known of the request to read its answer. */
export interface Expectation {
  readonly restore: RestoreParams
  readonly maxParams: number
}

/** The events that say a text, as deltas and when it is done: of what item, where in it, and in which field the done one has it. */
const spoken: {
  readonly [event: string]: {
    readonly item: string
    readonly slot: Slot
    readonly index: string
    readonly whole: string
  }
} = {
  "response.output_text": { item: "message", slot: "text", index: "content_index", whole: "text" },
  "response.refusal": { item: "message", slot: "refusal", index: "content_index", whole: "refusal" },
  "response.reasoning_summary_text": { item: "reasoning", slot: "summary", index: "summary_index", whole: "text" },
  "response.reasoning_text": { item: "reasoning", slot: "thought", index: "content_index", whole: "text" },
  "response.function_call_arguments": { item: "function_call", slot: "params", index: "-", whole: "arguments" },
  "response.custom_tool_call_input": { item: "custom_tool_call", slot: "params", index: "-", whole: "input" }
}

export class ResponsesStream extends Fold {
  private readonly restore: RestoreParams
  private readonly items: Array<Item> = []
  private readonly byIndex = new Map<unknown, Item>()
  private readonly byId = new Map<string, Item>()
  private readonly ignoredItems = new Set<string>()
  private readonly sink: Sink
  /** The answer, as far as the events so far have said. */
  private response: Fields = {}
  private described = false
  private raw: string | undefined = undefined
  private usage: Fields | undefined = undefined

  constructor(exchange: Exchange, { maxParams, restore }: Expectation) {
    super(exchange, maxParams)
    this.restore = restore
    this.sink = {
      emit: (part) => this.parts.push(part),
      keep: (characters) => this.keep(characters),
      ignore: (type) => note(this.ignoredItems, nameOf(type))
    }
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
    // OpenAI sends an error, and then that the answer has failed, for which it has a vaguer code: the first one counts.
    if (name === "error" || type === "error" || !type.startsWith("response.") && isBareError(event)) {
      return this.fail(event)
    }
    if (isFields(event["response"])) this.describe(event["response"])
    switch (type) {
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        return
      case "response.output_item.added":
        this.item(event)
        return
      case "response.output_item.done":
        this.item(event).done = true
        return
      case "response.content_part.added":
      case "response.content_part.done":
        return this.part(event, "message", event["content_index"])
      case "response.reasoning_summary_part.added":
      case "response.reasoning_summary_part.done":
        return this.part(event, "reasoning", event["summary_index"])
      case "response.output_text.annotation.added":
        return this.find(event, "message").annotate(event["content_index"], event["annotation"])
      case "response.completed":
        return this.ending("completed")
      case "response.incomplete":
        return this.ending("incomplete")
      case "response.failed":
        return this.ending("failed")
      // OpenRouter has one name for all of them.
      case "response.done":
        return this.ending(text(fields(event["response"])["status"]) ?? "completed")
      default:
        return this.words(type, event)
    }
  }

  /** Takes in an answer that came whole. */
  whole(answer: Fields): Read {
    this.describe(answer)
    this.ending(text(answer["status"]) ?? "completed")
    return this.failure === undefined ? { parts: Part.toAnswer(this.parts) } : { failure: this.failure }
  }

  protected override classify(error: unknown): ProviderError {
    return classifyError(this.exchange, error)
  }

  private describe(response: Fields): void {
    this.response = { ...this.response, ...response }
    this.usage = mergeUsage(this.usage, response["usage"])
    if (this.described) return
    const metadata = metadataPart(this.names, { ...response, created: response["created_at"] })
    if (metadata === undefined) return
    this.described = true
    this.parts.push(metadata)
  }

  private words(type: string, event: Fields): void {
    const dot = type.lastIndexOf(".")
    const [subject, verb] = [type.slice(0, dot), type.slice(dot + 1)]
    const said = Object.hasOwn(spoken, subject) ? spoken[subject] : undefined
    if (said !== undefined && verb === "delta") {
      this.find(event, said.item).say(said.slot, event[said.index], event["delta"])
    } else if (said !== undefined && verb === "done") {
      this.find(event, said.item).settle(said.slot, event[said.index], event[said.whole])
    } else this.ignore(type)
  }

  private part(event: Fields, type: string, index: unknown): void {
    const part = fields(event["part"])
    // Thoughts of open models have content too.
    this.find(event, part["type"] === "reasoning_text" ? "reasoning" : type).content(part, index)
  }

  /** The item that an event belongs to. Gateways leave out where it begins. */
  private find(event: Fields, type: string): Item {
    const { item_id: id, output_index: index } = event
    return this.known(type, index, id) ?? this.begin(type, index, id)
  }

  // Some servers give each event an id of its own, some give all items one index.
  private known(type: unknown, index: unknown, id: unknown): Item | undefined {
    const kind = kindOf(type)
    return [this.byId.get(text(id) ?? ""), this.byIndex.get(index)].find((item) => item?.kind === kind)
  }

  private item(event: Fields): Item {
    const whole = fields(event["item"])
    const { id, type } = whole
    const known = this.known(type, event["output_index"], id)
    // A new id begins a new item, unless it is where an item ends: some servers change the id until then.
    const ends = event["type"] === "response.output_item.done"
    const same = known !== undefined && !known.done && (ends || known.itemId === text(id))
    const item = same ? known : this.begin(type, event["output_index"], id)
    item.whole(whole)
    return item
  }

  private begin(type: unknown, index: unknown, id: unknown): Item {
    const next = new Item(type, this.items.length, this.sink)
    // A thought is over when something else begins; a text may be the last one, which carries the id of the answer.
    for (const [position, item] of this.items.entries()) {
      if (item.done && (next.kind !== "other" || item.kind === "reasoning")) this.close(item, position, next.kind)
    }
    this.items.push(next)
    if (index !== undefined) this.byIndex.set(index, next)
    const known = text(id)
    if (known !== undefined) this.byId.set(known, next)
    if (next.kind === "other") note(this.ignoredItems, nameOf(type))
    return next
  }

  private close(item: Item, position: number, next?: Kind): void {
    item.end({ ...this.circumstances, orphaned: (this.items[position + 1]?.kind ?? next) === "other" })
  }

  private get circumstances(): Omit<Circumstances, "orphaned"> {
    const stored = this.response["store"] !== false
    return { stored, responseId: this.finished && stored ? text(this.response["id"]) : undefined }
  }

  private ending(status: string): void {
    const { error, incomplete_details: details, output } = this.response
    if (status === "failed" || isFields(error)) return this.stop(this.classify({ error: error ?? {} }))
    if (unfinished.has(status)) {
      const problem = `it is not finished but ${status.replace("_", " ")}: answers in the background are not read`
      return this.stop(malformed(this.exchange, problem, { retryable: false }))
    }
    this.settle(items(output).map(fields))
    if (this.done) return
    this.raw = status === "incomplete" ? text(fields(details)["reason"]) ?? status : status
    this.terminate()
  }

  /**
   * Takes in the items of the whole answer. They are known by their ids; where those have changed, by their order among those of their
   * kind.
   */
  private settle(output: ReadonlyArray<Fields>): void {
    const known = new Map<Fields, Item>()
    const open = new Set(this.items)
    const match = (whole: Fields, item: Item | undefined) => {
      if (item === undefined) return
      known.set(whole, item)
      open.delete(item)
    }
    for (const whole of output) {
      const id = text(whole["id"])
      match(whole, id === undefined ? undefined : [...open].find(({ itemId }) => itemId === id))
    }
    for (const whole of output) {
      if (!known.has(whole)) match(whole, [...open].find(({ kind }) => kind === kindOf(whole["type"])))
    }
    for (const whole of output) {
      const item = known.get(whole) ?? this.begin(whole["type"], undefined, undefined)
      item.whole(whole)
      item.done = true
    }
  }

  protected complete(): void {
    this.done = true
    for (const [position, item] of this.items.entries()) this.close(item, position)
    const raw = this.raw ?? ""
    const reason = this.reason(raw)
    for (const item of this.items) {
      if (item.kind === "call" && !this.call(item, reason)) return
    }
    this.parts.push(finishPart(this.names, reason, {
      raw,
      response: this.response,
      usage: this.usage,
      refusal: this.items.map(({ refusal }) => refusal).join(""),
      ignoredItems: this.ignoredItems,
      ignoredEvents: this.ignoredEvents,
      malformedChunks: this.malformedChunks
    }))
  }

  private reason(raw: string): Response.FinishReason {
    const reason = finishReason(raw)
    if (reason !== "stop") return reason
    if (this.items.some(({ refusal }) => refusal !== "")) return "content-filter"
    return this.items.some(({ kind }) => kind === "call") ? "tool-calls" : reason
  }

  /** A call becomes one only when the answer has ended well: what was cut must never be run. */
  private call(item: Item, reason: Response.FinishReason): boolean {
    if (reason === "content-filter" || reason === "error") return true
    // Of an answer that was cut, the API says which items are complete.
    if (reason !== "tool-calls" && item.status !== "completed") return true
    const params = finishedParams(item.params, item.custom)
    if (item.name !== undefined && params !== undefined) {
      this.parts.push({
        type: "tool-call",
        id: item.id,
        name: item.name,
        params: this.restore(item.name, params),
        metadata: { openai: item.metadata({ ...this.circumstances, orphaned: false }) }
      })
      return true
    }
    this.failure = malformed(
      this.exchange,
      item.name === undefined ? "a tool call has no name" : "the parameters of a tool call are not JSON"
    )
    return false
  }
}

/** An error as other protocols send it. */
const isBareError = (event: Fields): boolean =>
  isFields(event["error"]) || event["type"] === undefined && isError(event)

const nameOf = (type: unknown): string => text(type) ?? "unknown"

const unfinished: ReadonlySet<string> = new Set(["queued", "in_progress", "cancelled"])

// The types that stand for a status where there is none, because the answer had begun well.
const statuses = { invalid_request_error: 400 }

/** Classifies an error that came with status 200. */
const classifyError = (exchange: Exchange, body: unknown): ProviderError => classifyInBand(exchange, body, statuses)

/** Reads the body of a response with status 200, which may be an error all the same. */
export const readAnswer = (exchange: Exchange, body: string, expectation: Expectation): Read => {
  const read = readObject(exchange, body)
  if ("failure" in read) return read
  const answer = read.value
  if (answer["status"] !== "failed" && !Array.isArray(answer["output"])) {
    return { failure: isError(answer) ? classifyError(exchange, answer) : malformed(exchange, "it has no output") }
  }
  return new ResponsesStream(exchange, expectation).whole(answer)
}
