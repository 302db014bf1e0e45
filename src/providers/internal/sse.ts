/**
 * Server-sent events from bytes, however the network cut them.
 *
 * The grammar is WHATWG's: lines end with LF, CR or CR LF and with nothing else; the first byte order mark is skipped; `data` lines
 * are joined; what is not known is passed over. It differs where answers of models do:
 *
 * - The last event counts though its blank line be missing: that it is whole shows in its JSON.
 * - What is an event stream shows in its first bytes and not in its content type, which gateways get wrong. White space before them
 *   is a gateway's sign of life.
 * - Bytes that are not UTF-8 end the stream: U+FFFD in an answer would be words that nobody has said.
 * - A line, and the data of an event, may be as long as the limit says.
 * - A field named `error` with an object is how old llama.cpp servers report a failure.
 * - `id` and `retry` are for those who connect again, which nobody does with a POST.
 *
 * `effect/encoding`'s parser reads strings: it sees neither invalid bytes nor how many there are, and walks through every character of
 * a line, which takes three times as long as this one does. Here all complete lines of a chunk are decoded at once and their ends are
 * found natively. Each byte is looked at a fixed number of times, however it comes: of a line that has not ended only what is
 * new is searched, and its text is made once.
 */
import { ByteBuffer, utf8, wholeCharacters } from "./bytes.ts"

/** What a body turned out to be: not known yet, an event stream, or something else. */
export type Nature = "unknown" | "events" | "other"

/** Why a stream cannot be read any further: a line or an event is larger than allowed, or it is not UTF-8. */
export type Problem = "size" | "encoding"

const lf = 10
const cr = 13

export class SseDecoder {
  nature: Nature = "unknown"
  /** The object in a field named `error`, which is in no event. */
  error: string | undefined = undefined
  private readonly maxBytes: number
  private readonly emit: (data: string, event: string) => void
  /** The line that has not ended; before the nature is known, or where it is no event stream, everything. */
  private readonly pending = new ByteBuffer()
  /** How many of the pending bytes say nothing about the nature. */
  private blank = 0
  private afterCr = false
  private data: string | undefined = undefined
  private event = ""

  /** `emit` takes the events: their data and their name. */
  constructor(maxBytes: number, emit: (data: string, event: string) => void) {
    this.maxBytes = maxBytes
    this.emit = emit
  }

  /** Takes in bytes, and hands on the events that they complete. After a problem nothing may follow. */
  feed(chunk: Uint8Array): Problem | undefined {
    if (this.nature === "events") return this.lines(chunk)
    this.pending.push(chunk)
    return this.nature === "other" ? undefined : this.tell(false)
  }

  /** Takes note of the end of the body, and hands on the last event, though its blank line be missing. */
  end(): Problem | undefined {
    if (this.nature === "unknown") {
      const problem = this.tell(true)
      if (problem !== undefined) return problem
    }
    if (this.nature !== "events") return undefined
    const line = utf8(wholeCharacters(this.pending.view()))
    return line === undefined ? "encoding" : this.parse(`${line}\n\n`)
  }

  /** A body that is no event stream, as far as it has come. */
  get body(): Uint8Array {
    return this.pending.view()
  }

  private tell(ended: boolean): Problem | undefined {
    const bytes = this.pending.view()
    while (this.blank < bytes.length && isBlank(bytes[this.blank]!)) this.blank++
    this.nature = nature(bytes.subarray(this.blank), ended)
    if (this.nature !== "events") return undefined
    const start = bytes.slice(blanks(bytes))
    this.pending.clear()
    return this.lines(start)
  }

  private lines(chunk: Uint8Array): Problem | undefined {
    if (chunk.length === 0) return undefined
    const start = this.afterCr && chunk[0] === lf ? 1 : 0
    const end = lastLineEnd(chunk, start)
    let problem: Problem | undefined
    if (end > start) {
      const last = chunk.subarray(start, end)
      if (this.pending.length === 0) problem = this.complete(last)
      else {
        this.pending.push(last)
        problem = this.complete(this.pending.view())
        this.pending.clear()
      }
    }
    this.afterCr = end === chunk.length && chunk[end - 1] === cr
    if (problem !== undefined || end === chunk.length) return problem
    this.pending.push(chunk.subarray(end))
    return this.pending.length > this.maxBytes ? "size" : undefined
  }

  /** Takes in lines that are complete. */
  private complete(lines: Uint8Array): Problem | undefined {
    const text = lines.length > this.maxBytes ? undefined : utf8(lines)
    return text === undefined ? this.oneByOne(lines) : this.parse(text)
  }

  /** Takes in lines of which one may be too long or no text, and those before it all the same. */
  private oneByOne(lines: Uint8Array): Problem | undefined {
    for (let start = 0; start < lines.length;) {
      let end = start
      while (lines[end] !== lf && lines[end] !== cr) end++
      if (end - start > this.maxBytes) return "size"
      const next = lines[end] === cr && lines[end + 1] === lf ? end + 2 : end + 1
      const text = utf8(lines.subarray(start, next))
      if (text === undefined) return "encoding"
      const problem = this.parse(text)
      if (problem !== undefined) return problem
      start = next
    }
    return undefined
  }

  private parse(text: string): Problem | undefined {
    // One kind of line end to look for: looking for the next of each is optimised into looking for both in every line.
    const lines = text.includes("\r") ? text.replaceAll("\r\n", "\n").replaceAll("\r", "\n") : text
    for (let start = 0; start < lines.length;) {
      const end = lines.indexOf("\n", start)
      if (end === start) this.dispatch()
      else if (!this.field(lines, start, end)) return "size"
      start = end + 1
    }
    return undefined
  }

  /** Takes in a line with something in it; false where the data becomes larger than allowed. */
  private field(text: string, start: number, end: number): boolean {
    if (text.startsWith("data:", start)) return this.append(value(text, start + 5, end))
    if (text.startsWith("event:", start)) {
      this.event = value(text, start + 6, end)
      return true
    }
    if (text.startsWith("error:", start)) {
      const error = value(text, start + 6, end)
      if (error.startsWith("{")) this.error ??= error
      return true
    }
    // A field without a colon has an empty value.
    if (end - start === 4 && text.startsWith("data", start)) return this.append("")
    if (end - start === 5 && text.startsWith("event", start)) this.event = ""
    return true
  }

  private append(line: string): boolean {
    this.data = this.data === undefined ? line : `${this.data}\n${line}`
    return this.data.length <= this.maxBytes
  }

  private dispatch(): void {
    const { data, event } = this
    this.data = undefined
    this.event = ""
    if (data !== undefined) this.emit(data, event === "" ? "message" : event)
  }
}

const value = (text: string, start: number, end: number): string =>
  text.slice(text.charCodeAt(start) === 32 ? start + 1 : start, end)

/** Where the last line that is complete ends. */
const lastLineEnd = (chunk: Uint8Array, start: number): number => {
  for (let index = chunk.length; index > start; index--) {
    const byte = chunk[index - 1]
    if (byte === lf || byte === cr) return index
  }
  return start
}

const isSpace = (byte: number): boolean => byte === 32 || byte === 9 || byte === lf || byte === cr

// Also the bytes of a byte order mark, which says nothing about what follows.
const isBlank = (byte: number): boolean => isSpace(byte) || byte === 0xEF || byte === 0xBB || byte === 0xBF

/** How many bytes at the beginning of an event stream are not part of it: one byte order mark, and white space. */
const blanks = (bytes: Uint8Array): number => {
  let start = bytes[0] === 0xEF && bytes[1] === 0xBB && bytes[2] === 0xBF ? 3 : 0
  while (start < bytes.length && isSpace(bytes[start]!)) start++
  return start
}

const eventStream = /^(?::|(?:data|event|id|retry)(?:[:\r\n]|$)|error: ?\{)/

const tellingBytes = 8

const nature = (bytes: Uint8Array, ended: boolean): Nature => {
  const start = String.fromCharCode(...bytes.subarray(0, tellingBytes))
  // So that it does not depend on where the network cut.
  if (start.length < tellingBytes && !/[\r\n]/.test(start) && !(ended && start !== "")) return "unknown"
  return eventStream.test(start) ? "events" : "other"
}

/** What a body is that has come as a whole. */
export const natureOf = (body: Uint8Array): Nature => {
  let start = 0
  while (start < body.length && isBlank(body[start]!)) start++
  return nature(body.subarray(start), true)
}
