/**
 * What folding the events of a streamed answer has in common, whatever the protocol: what has been read, what has not been
 * JSON, what is kept, and how it ends.
 */
import type { ProviderError } from "../../core/LlmError.ts"
import type { ProviderPart } from "../../core/Part.ts"
import { classifyInBand, type Exchange, identifiers, malformed, note } from "./classify.ts"
import { readErrorValue } from "./errorBody.ts"
import type { EventFold } from "./exchange.ts"
import { type Fields, isFields, json, Names } from "./read.ts"

export abstract class Fold implements EventFold {
  done = false
  failure: ProviderError | undefined = undefined

  protected readonly exchange: Exchange
  protected readonly names: Names
  protected parts: Array<ProviderPart> = []
  protected malformedChunks = 0
  /** The code of an error that came when the answer was complete. */
  protected errorAfterFinish: string | undefined = undefined
  /** The types of events that are not known. */
  protected readonly ignoredEvents = new Set<string>()
  private readonly maxParams: number
  private wellFormedChunks = 0
  private kept = 0

  constructor(exchange: Exchange, maxParams: number) {
    this.exchange = exchange
    this.names = new Names(exchange.origin.secrets)
    this.maxParams = maxParams
  }

  abstract get finished(): boolean

  abstract event(data: string, name: string): void

  /** Hands on what belongs to the end of a complete answer. */
  protected abstract complete(): void

  /** Whether an error that comes now comes too late to undo the answer. */
  protected get settled(): boolean {
    return this.finished
  }

  /** What an error inside the stream is. */
  protected classify(error: unknown): ProviderError {
    return classifyInBand(this.exchange, error)
  }

  stop(failure: ProviderError): void {
    this.done = true
    this.failure ??= failure
  }

  take(): ReadonlyArray<ProviderPart> {
    const parts = this.parts
    if (parts.length > 0) this.parts = []
    return parts
  }

  end(error: string | undefined): void {
    if (this.done) return
    const value = !this.finished && error !== undefined ? json(error) : undefined
    if (value !== undefined) this.stop(this.classify(value))
    else this.terminate()
  }

  /** Takes note of an event that is not known, so that the answer can say what it may have missed. */
  protected ignore(type: string): void {
    note(this.ignoredEvents, type)
  }

  /** The object that an event holds; one that holds none is counted and skipped. */
  protected read(data: string): Fields | undefined {
    const value = json(data)
    const chunk = Array.isArray(value) ? value.find(isFields) : value
    if (!isFields(chunk)) {
      this.malformedChunks++
      return undefined
    }
    this.wellFormedChunks++
    return chunk
  }

  protected fail(chunk: Fields): void {
    if (this.settled) {
      // The answer was complete: an upstream that complains afterwards (of the limit it has reached) does not undo it.
      const { rawCodes } = readErrorValue(chunk)
      this.errorAfterFinish = identifiers(this.names, rawCodes)[0] ?? "error"
      return
    }
    this.stop(this.classify(chunk))
  }

  protected terminate(): void {
    if (this.finished) this.complete()
    else if (this.wellFormedChunks === 0 && this.malformedChunks > 0) {
      this.stop(malformed(this.exchange, "no event of the stream is JSON"))
    }
    this.done = true
  }

  /** Takes note of characters that have to be kept until the end; false where they are too many. */
  protected keep(characters: number): boolean {
    this.kept += characters
    if (this.kept <= this.maxParams) return true
    this.stop(malformed(this.exchange, "the parameters of its tool calls are larger than `maxBodyBytes` allows"))
    return false
  }
}
