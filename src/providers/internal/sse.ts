/**
 * Server-sent events from bytes, however the network cut them.
 *
 * The parser is `effect/encoding`'s. Added here: decoding bytes that are cut inside a character, an end that flushes an
 * event whose blank line is missing, and telling apart a body that is no event stream at all.
 */
import * as Sse from "effect/encoding/Sse"

/** An event with data. */
export interface SseEvent {
  readonly event: string
  readonly data: string
}

/** What a body turned out to be: not known yet, an event stream, or something else. */
export type Nature = "unknown" | "events" | "other"

/**
 * The fields of an event stream begin with these: `data`, `event`, `error` (an old llama.cpp's own), `id`, `retry`,
 * `:`.
 */
const eventStart = /^(?::|d(?:$|a)|e(?:$|v|r)|i(?:$|d)|r(?:$|e))/

/** Whether a text that was not expected to be an event stream looks like one. */
export const startsLikeEvents = (body: string): boolean => /^[\uFEFF\s]*(?::|(?:data|event|id|retry):)/.test(body)

const maxTail = 16_384

export class SseDecoder {
  nature: Nature = "unknown"
  private readonly bytes = new TextDecoder()
  private readonly parser: Sse.Parser
  private events: Array<SseEvent> = []
  private start = ""
  private tail = ""

  constructor(maxEventSize: number) {
    this.parser = Sse.makeParser((event) => {
      if (event._tag === "Event") this.events.push(event)
    }, { maxEventSize })
  }

  /** Takes in bytes and gives the events they complete, or `undefined` where one is larger than allowed. */
  feed(chunk: Uint8Array): ReadonlyArray<SseEvent> | undefined {
    return this.take(this.bytes.decode(chunk, { stream: true }))
  }

  /** Takes note of the end of the body, and gives the last event, though its blank line be missing. */
  end(): ReadonlyArray<SseEvent> | undefined {
    return this.take(this.bytes.decode() + "\n\n")
  }

  /**
   * The text after the last event. Old llama.cpp servers report a failure in a field named `error`, which is in no
   * event.
   */
  get rest(): string {
    return this.tail
  }

  /** The beginning of a body that is no event stream. */
  get beginning(): string {
    return this.start
  }

  private take(text: string): ReadonlyArray<SseEvent> | undefined {
    if (this.nature === "other") {
      this.start += text
      return none
    }
    if (this.nature === "unknown") {
      text = text.replace(/^[\uFEFF\s]+/, "")
      if (text === "") return none
      this.nature = eventStart.test(text) ? "events" : "other"
      if (this.nature === "other") {
        this.start = text
        return none
      }
    }
    const error = this.parser.feed(text)
    if (error !== undefined) return undefined
    const events = this.events
    if (events.length > 0) {
      this.events = []
      this.tail = text.length > maxTail ? text.slice(-maxTail) : text
    } else if (this.tail.length < maxTail) {
      this.tail += text
    }
    return events
  }
}

const none: ReadonlyArray<SseEvent> = []

/** What a field named `error` holds, in text that follows the last event. */
export const errorField = (rest: string): string | undefined => {
  const match = /(?:^|[\r\n])error: ?(\{[^\r\n]*)/.exec(rest)
  return match?.[1]
}
