/**
 * Folds the events of a streamed Chat Completions answer into parts.
 *
 * Servers differ in nearly everything here: where usage stands, whether `[DONE]` comes, how tool calls are indexed, in
 * which shape an error interrupts. What they agree on is the finish reason: an answer that has had one is complete.
 */
import { type CallPiece, finishedParams, readCalls, readContent, type Sink } from "./chatContent.ts"
import { finishPart, isNativeError, usageField } from "./chatFinish.ts"
import { type Exchange, identifiers, malformed, note } from "./classify.ts"
import { filteredCategories, isError } from "./errorBody.ts"
import { finishReason, metadataPart } from "./finish.ts"
import { Fold } from "./fold.ts"
import { type Fields, fields, isFields, text } from "./read.ts"
import type { RestoreParams } from "./toolSchema.ts"

interface OpenCall {
  id: string
  name: string | undefined
  readonly index: number | undefined
  readonly custom: boolean
  params: string
  started: boolean
}

export class ChatStream extends Fold {
  private readonly restore: RestoreParams
  private described = false
  private choiceIndex: unknown = undefined
  private block: { readonly type: "text" | "reasoning"; readonly id: string } | undefined = undefined
  private blocks = 0
  private readonly calls: Array<OpenCall> = []
  private raw: string | undefined = undefined
  private native: string | undefined = undefined
  private nativeError = false
  private refusal = ""
  private readonly categories: Array<string> = []
  private readonly ignoredParts = new Set<string>()
  private usage: Fields | undefined = undefined
  private systemFingerprint: string | undefined = undefined
  private serviceTier: string | undefined = undefined
  private readonly sink: Sink

  constructor(exchange: Exchange, options: { readonly restore: RestoreParams; readonly maxParams: number }) {
    super(exchange, options.maxParams)
    this.restore = options.restore
    this.sink = {
      text: (delta) => this.delta("text", delta),
      reasoning: (delta) => this.delta("reasoning", delta),
      refusal: (words) => {
        this.refusal += words
      },
      ignored: (name) => note(this.ignoredParts, name)
    }
  }

  get finished(): boolean {
    return this.raw !== undefined
  }

  protected override get settled(): boolean {
    return this.raw !== undefined && !this.nativeError && finishReason(this.raw) !== "error"
  }

  /** Takes in one event. */
  event(data: string, name: string): void {
    if (this.done) return
    if (data.startsWith("[DONE]")) return this.terminate()
    const chunk = this.read(data)
    if (chunk === undefined) return
    const usage = usageField(chunk)
    // Usage is cumulative wherever it stands: the last one counts.
    if (usage !== undefined) this.usage = usage
    if (name === "error" || isError(chunk)) return this.fail(chunk)
    this.describe(chunk)
    const { choices } = chunk
    if (!Array.isArray(choices)) {
      if (usage === undefined) this.ignore(kindOf(chunk, name))
      return
    }
    for (const choice of choices) this.choice(fields(choice))
    // OpenAI's last chunk: nothing but the usage.
    if (choices.length === 0 && usage !== undefined && this.raw !== undefined) this.complete()
  }

  private choice(choice: Fields): void {
    // More than one choice comes only of an extra field that asks for it; an answer is the first.
    if (this.choiceIndex === undefined) this.choiceIndex = choice["index"]
    else if (choice["index"] !== undefined && choice["index"] !== this.choiceIndex) return
    const delta = choice["delta"]
    if (isFields(delta)) {
      readContent(delta, this.sink)
      for (const piece of readCalls(delta)) this.call(piece)
    }
    const raw = text(choice["finish_reason"])
    if (raw !== undefined && this.raw === undefined) {
      this.raw = raw
      this.native = text(choice["native_finish_reason"])
    }
    if (isNativeError(choice)) this.nativeError = true
    if ("content_filter_results" in choice) {
      this.categories.push(...filteredCategories(choice["content_filter_results"]))
    }
  }

  private delta(type: "text" | "reasoning", delta: string): void {
    let block = this.block
    if (block === undefined || block.type !== type) {
      this.closeBlock()
      block = this.block = { type, id: String(this.blocks++) }
      this.parts.push({ type: `${type}-start`, id: block.id })
    }
    this.parts.push({ type: `${type}-delta`, id: block.id, delta })
  }

  private closeBlock(): void {
    if (this.block === undefined) return
    this.parts.push({ type: `${this.block.type}-end`, id: this.block.id })
    this.block = undefined
  }

  private call(piece: CallPiece): void {
    const call = this.continued(piece) ?? this.begin(piece)
    call.name ??= piece.name
    if (!this.keep(piece.params.length)) return
    call.params += piece.params
    if (call.name === undefined) return
    let delta = piece.params
    if (!call.started) {
      call.started = true
      this.closeBlock()
      this.parts.push({ type: "tool-params-start", id: call.id, name: call.name })
      delta = call.params
    }
    if (delta !== "") this.parts.push({ type: "tool-params-delta", id: call.id, delta })
  }

  /** The call that a piece continues. Gateways give all calls one index, or none: then a new id begins a new call. */
  private continued({ id, index, name }: CallPiece): OpenCall | undefined {
    const last = this.calls.at(-1)
    if (index === undefined) {
      const same = id === undefined ? undefined : this.calls.find((call) => call.id === id)
      return same ?? (name === undefined ? last : undefined)
    }
    const call = this.calls.findLast((open) => open.index === index)
    const isOther = id !== undefined && id !== call?.id && name !== undefined && call?.name !== undefined
    return isOther ? undefined : call
  }

  private begin(piece: CallPiece): OpenCall {
    const call: OpenCall = {
      id: piece.id ?? `call_${this.calls.length}`,
      name: undefined,
      index: piece.index,
      custom: piece.custom,
      params: "",
      started: false
    }
    this.calls.push(call)
    return call
  }

  private describe(chunk: Fields): void {
    if (!this.described) {
      const metadata = metadataPart(this.names, chunk)
      if (metadata !== undefined) {
        this.described = true
        this.parts.push(metadata)
      }
    }
    this.systemFingerprint ??= text(chunk["system_fingerprint"])
    this.serviceTier ??= text(chunk["service_tier"])
  }

  protected complete(): void {
    this.done = true
    this.closeBlock()
    const raw = this.raw ?? ""
    const mapped = this.nativeError ? "error" : finishReason(raw)
    const reason = this.refusal !== "" && mapped === "stop"
      ? "content-filter"
      : this.calls.length > 0 && (mapped === "stop" || mapped === "other")
      ? "tool-calls"
      : mapped
    for (const call of this.calls) {
      if (!this.finishCall(call, reason)) return
    }
    const { names } = this
    this.parts.push(finishPart(names, reason, {
      raw,
      native: this.native,
      systemFingerprint: this.systemFingerprint,
      serviceTier: this.serviceTier,
      usage: this.usage,
      refusal: text(names.scrub(this.refusal)),
      categories: identifiers(names, this.categories),
      ignoredParts: this.ignoredParts,
      ignoredEvents: this.ignoredEvents,
      malformedChunks: this.malformedChunks,
      errorAfterFinish: this.errorAfterFinish
    }))
  }

  /** A call becomes one only when the answer has ended well: what was cut must never be run. */
  private finishCall(call: OpenCall, reason: string): boolean {
    if (call.started) this.parts.push({ type: "tool-params-end", id: call.id })
    if (reason === "content-filter" || reason === "error") return true
    const params = finishedParams(call.params, call.custom)
    if (call.name !== undefined && params !== undefined) {
      const { id, name } = call
      this.parts.push({ type: "tool-call", id, name, params: this.restore(name, params) })
      return true
    }
    if (reason === "length") return true
    this.failure = malformed(
      this.exchange,
      call.name === undefined ? "a tool call has no name" : "the parameters of a tool call are not JSON"
    )
    return false
  }
}

/** What an event without choices calls itself. A chunk of the answer may say nothing. */
const kindOf = (chunk: Fields, name: string): string => {
  const kind = text(chunk["type"]) ?? text(chunk["object"]) ?? name
  return kind === "chat.completion.chunk" || kind === "message" ? "" : kind
}
