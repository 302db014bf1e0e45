/**
 * Server-sent events by the standard, wherever the network cuts; and where answers of models differ from it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isDeepStrictEqual } from "node:util"
import { type Nature, natureOf, type Problem, SseDecoder } from "../../../src/providers/internal/sse.ts"
import { pieces } from "../support/replayServer.ts"
import { vectors } from "../support/sseVectors.ts"

interface Decoded {
  readonly nature: Nature
  readonly events: ReadonlyArray<readonly [event: string, data: string]>
  readonly problem: Problem | undefined
  readonly error: string | undefined
}

const decode = (chunks: Iterable<Uint8Array>, maxBytes = 1_000_000): Decoded => {
  const events: Array<readonly [string, string]> = []
  const decoder = new SseDecoder(maxBytes, (data, event) => events.push([event, data]))
  let problem: Problem | undefined
  for (const chunk of chunks) {
    problem = decoder.feed(chunk)
    if (problem !== undefined) break
  }
  problem ??= decoder.end()
  return { nature: decoder.nature, events, problem, error: decoder.error }
}

const bytesOf = (stream: string): Uint8Array => Buffer.from(stream)

const messages = (...data: ReadonlyArray<string>) => data.map((data) => ["message", data] as const)

/** Every way to cut bytes into two pieces and into pieces of 1, 2 and 3 bytes, and small ones into every three. */
const splits = function*(bytes: Uint8Array): Generator<ReadonlyArray<Uint8Array>> {
  const { length } = bytes
  for (let first = 1; first < length; first++) {
    yield pieces(bytes, [first])
    if (length <= 120) { for (let second = first + 1; second < length; second++) yield pieces(bytes, [first, second]) }
  }
  for (const size of [1, 2, 3]) {
    for (let phase = 0; phase < size; phase++) {
      const cuts = Array.from({ length: Math.ceil(length / size) }, (_, index) => phase + index * size)
      yield pieces(bytes, cuts)
    }
  }
}

/** Decodes bytes in one piece and in every other way, which must be the same. */
const everyWay = (bytes: Uint8Array, maxBytes?: number): Decoded => {
  const decoded = decode([bytes], maxBytes)
  for (const chunks of splits(bytes)) {
    const cut = decode(chunks, maxBytes)
    // Much quicker than an assertion, which there is only to say what differs.
    if (isDeepStrictEqual(cut, decoded)) continue
    assert.deepStrictEqual(cut, decoded, `cut into ${chunks.map(({ length }) => length).join(", ")}`)
  }
  return decoded
}

describe("the web-platform-tests of EventSource", () => {
  it("are 24", () => assert.strictEqual(Object.keys(vectors).length, 24))

  for (const [name, { events, flushed, stream }] of Object.entries(vectors)) {
    it(`${name}, cut anywhere`, () => {
      const decoded = everyWay(bytesOf(stream))
      const expected = [...events, ...(flushed === undefined ? [] : [flushed])]
      assert.deepStrictEqual(decoded, {
        nature: "events",
        events: expected.map((event) => typeof event === "string" ? ["message", event] as const : event),
        problem: undefined,
        error: undefined
      })
    })
  }
})

describe("an event", () => {
  const streams: { readonly [name: string]: readonly [stream: string, ...data: ReadonlyArray<string>] } = {
    "comes with its blank line, and not later": ["data: a\n\ndata: b\n\n", "a", "b"],
    "may have CR CR": ["data: a\r\rdata: b\r\r", "a", "b"],
    "may have CR LF CR LF": ["data: a\r\n\r\ndata: b\r\n\r\n", "a", "b"],
    "may have line ends of every kind": ["data: a\n\r\ndata: b\r\ndata: c\r\n\rdata: d\r\n\n", "a", "b\nc", "d"],
    "is not ended by what ends lines elsewhere": [
      "data: \u2028\u2029\u0085\v\f\x1C\n\n",
      "\u2028\u2029\u0085\v\f\x1C"
    ],
    "loses one space": ["data:  a\n\ndata:b \n\n", " a", "b "],
    "may hold colons": ["data: a: b: c\n\n", "a: b: c"],
    "may hold characters of every length": ["data: aé€🌍\n\ndata: 🌍\n\n", "aé€🌍", "🌍"],
    "may hold a byte order mark": ["data: \uFEFFa\n\n", "\uFEFFa"],
    "is not one without data": ["event: ping\n\nid: 1\n\n: hi\n\ndata: a\n\n", "a"]
  }
  for (const [name, [stream, ...data]] of Object.entries(streams)) {
    it(name, () => assert.deepStrictEqual(everyWay(bytesOf(stream)).events, messages(...data)))
  }

  it("keeps its name to itself", () =>
    assert.deepStrictEqual(everyWay(bytesOf("event: a\nevent: b\ndata: 1\n\nevent: c\n\ndata: 2\n\n")).events, [
      ["b", "1"],
      ["message", "2"]
    ]))

  it("is handed on when its blank line has come", () => {
    const events: Array<string> = []
    const decoder = new SseDecoder(100, (data) => events.push(data))
    for (
      const [chunk, seen] of [["data: a", 0], ["\r", 0], ["\n", 0], ["\r", 1], ["\n", 1], ["data: b\n", 1], [
        "\n",
        2
      ]] as const
    ) {
      decoder.feed(bytesOf(chunk))
      assert.strictEqual(events.length, seen, JSON.stringify(chunk))
    }
  })
})

describe("answers of models differ from the standard", () => {
  it("in their last event, which counts without its blank line", () => {
    for (const end of ["", "\n", "\r", "\r\n"]) {
      assert.deepStrictEqual(everyWay(bytesOf(`data: a\n\ndata: b${end}`)).events, messages("a", "b"))
    }
  })

  it("in white space before the first one", () => {
    for (const start of [" ", "\n\n\r\n", "  \n \n", "\uFEFF\n", "\t\r"]) {
      assert.deepStrictEqual(everyWay(bytesOf(`${start}data: a\n\n`)).events, messages("a"), JSON.stringify(start))
    }
  })

  it("in a field named error", () => {
    const decoded = everyWay(bytesOf("data: a\n\nerror: {\"code\":500}\n\n"))
    assert.deepStrictEqual(decoded.events, messages("a"))
    assert.strictEqual(decoded.error, "{\"code\":500}")
    assert.strictEqual(everyWay(bytesOf("error: {\"code\":500}")).error, "{\"code\":500}")
    assert.strictEqual(everyWay(bytesOf("data: a\n\nerror: none\n\n")).error, undefined)
  })

  it("in what else a body may be", () => {
    const others = [
      "{\"id\":\"x\"}",
      "[{}]",
      " \n \uFEFF{}",
      "<html>",
      "data base is down",
      "error: upstream failed",
      "error code: 502",
      "identity unknown",
      "retry later",
      "events",
      "d",
      "e\n",
      "\u00EF\u00BB\u00BF"
    ]
    for (const body of others) {
      assert.strictEqual(everyWay(bytesOf(body)).nature, "other", body)
      assert.strictEqual(natureOf(bytesOf(body)), "other", body)
    }
    for (const body of ["", " ", "\n\n", "\uFEFF"]) {
      assert.strictEqual(everyWay(bytesOf(body)).nature, "unknown", JSON.stringify(body))
      assert.strictEqual(natureOf(bytesOf(body)), "unknown", JSON.stringify(body))
    }
    for (const body of [":", ": ping", "data", "data\n", "data:", "event: x", "id", "retry: 1", "\uFEFF\n error:{"]) {
      assert.strictEqual(everyWay(bytesOf(body)).nature, "events", body)
      assert.strictEqual(natureOf(bytesOf(body)), "events", body)
    }
  })

  it("in keeping a body that is none", () => {
    const decoder = new SseDecoder(10, () => {})
    for (const chunk of pieces(bytesOf(`\uFEFF{"a":"${"é".repeat(100)}"}`), 3)) decoder.feed(chunk)
    decoder.end()
    assert.strictEqual(Buffer.from(decoder.body).toString(), `\uFEFF{"a":"${"é".repeat(100)}"}`)
  })
})

describe("bytes that are not UTF-8", () => {
  const broken: { readonly [name: string]: ReadonlyArray<number> } = {
    "a byte that begins nothing": [0xFF],
    "Latin-1": [0xE9],
    "a character that is cut": [0xE2, 0x82],
    "a byte that continues nothing": [0x80],
    "more bytes than needed": [0xC0, 0xAF],
    "half of a pair": [0xED, 0xA0, 0x80]
  }
  for (const [name, bytes] of Object.entries(broken)) {
    it(`${name} end the stream where they stand`, () => {
      for (const prefix of ["data: ", ": ", "event: ", "x"]) {
        const stream = Buffer.concat([
          bytesOf("data: before\n\ndata: with it\n"),
          bytesOf(prefix),
          Uint8Array.from(bytes),
          bytesOf("\"}\n\ndata: after\n\n")
        ])
        const { events, problem } = everyWay(stream)
        assert.strictEqual(problem, "encoding")
        assert.deepStrictEqual(events, messages("before"))
      }
    })
  }

  it("are not what is cut off at the end", () => {
    const character = bytesOf("🌍")
    for (let length = 1; length < 4; length++) {
      const stream = Buffer.concat([bytesOf("data: a\n\ndata: b"), character.subarray(0, length)])
      assert.deepStrictEqual(everyWay(stream), {
        nature: "events",
        events: messages("a", "b"),
        problem: undefined,
        error: undefined
      })
    }
    assert.strictEqual(everyWay(Buffer.concat([bytesOf("data: a"), Uint8Array.of(0xFF)])).problem, "encoding")
  })

  it("are none where they have been replaced before", () =>
    assert.deepStrictEqual(everyWay(bytesOf("data: \uFFFD\n\n")).events, messages("\uFFFD")))
})

describe("what is too large", () => {
  it("is told to the byte, wherever it is cut", () => {
    for (const field of ["data: ", "event: ", "id: ", ": ", "x"]) {
      const line = (length: number) =>
        `data: a\n\n${field}${"é".repeat(20)}`.padEnd(9 + length - 20, "x") + "\n\ndata: b\n\n"
      const fits = everyWay(bytesOf(line(60)), 60)
      assert.strictEqual(fits.problem, undefined, field)
      assert.deepStrictEqual(fits.events.at(-1), ["message", "b"])
      const tooLarge = everyWay(bytesOf(line(61)), 60)
      assert.strictEqual(tooLarge.problem, "size", field)
      assert.deepStrictEqual(tooLarge.events, messages("a"))
    }
  })

  it("may be many lines, together", () => {
    const lines = (count: number) => bytesOf(`data: a\n\n${"data:xxx\n".repeat(count)}\ndata: b\n\n`)
    assert.deepStrictEqual(everyWay(lines(15), 60).events.length, 3)
    assert.strictEqual(everyWay(lines(16), 60).problem, "size")
    assert.strictEqual(everyWay(bytesOf("data\n".repeat(70)), 60).problem, "size")
  })

  it("is not many events, comments or unknown fields", () => {
    for (const piece of ["data: a\n\n", ": ping\n", "id: 1\n", "event: x\n", "x\n", "\n"]) {
      const { problem } = decode(pieces(bytesOf(`data: a\n\n${piece.repeat(2000)}`), 1000), 60)
      assert.strictEqual(problem, undefined, JSON.stringify(piece))
    }
  })

  for (const start of ["data: ", "data: a\ndata: ", ": ", "id: ", "event: ", "retry: ", "x: "]) {
    it(`is not read on: ${JSON.stringify(start)} without an end`, () => {
      let read = 0
      const endless = function*() {
        yield bytesOf(`data: a\n\n${start}`)
        for (;;) {
          read += 1000
          yield new Uint8Array(1000).fill(120)
        }
      }
      assert.strictEqual(decode(endless(), 100_000).problem, "size")
      assert.isAtMost(read, 101_000)
    })
  }
})

describe("the work", () => {
  /** How many bytes and characters are copied, decoded or joined. */
  const workOf = (run: () => void): number => {
    let work = 0
    const arrays = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
    const set = arrays.set
    const decodeText = TextDecoder.prototype.decode
    // By hand: a spy would keep every call.
    arrays.set = function(this: Uint8Array, source, offset) {
      work += source.length
      set.call(this, source, offset)
    }
    TextDecoder.prototype.decode = function(this: TextDecoder, bytes, options) {
      work += bytes?.byteLength ?? 0
      return decodeText.call(this, bytes, options)
    }
    try {
      run()
    } finally {
      arrays.set = set
      TextDecoder.prototype.decode = decodeText
    }
    return work
  }

  const streams = {
    "one event": (size: number) => `data: ${"x".repeat(size)}\n\n`,
    "an event of many lines": (size: number) => `${"data: x\n".repeat(size / 8)}\n`,
    "one comment": (size: number) => `data: a\n\n:${"x".repeat(size)}\n\n`,
    "many events": (size: number) => "data: {\"a\":1}\n\n".repeat(size / 15),
    "many blank lines": (size: number) => `data: a\n${"\r\n".repeat(size / 2)}`,
    "one event and one CR": (size: number) => `data: ${"x".repeat(size)}\r${"data: y\n".repeat(100)}\n`
  }
  for (const [name, stream] of Object.entries(streams)) {
    for (const size of [1, 16, 16_384]) {
      it(`is linear in ${name}, in pieces of ${size}`, () => {
        const small = pieces(bytesOf(stream(30_000)), size)
        const large = pieces(bytesOf(stream(240_000)), size)
        const work = (chunks: ReadonlyArray<Uint8Array>) => workOf(() => assert.isUndefined(decode(chunks).problem))
        // Each byte is kept, kept again when the room grows, and decoded.
        const whole = work(large)
        assert.isAtMost(whole, 4 * 240_000 + 5000)
        assert.isAtMost(whole, 10 * work(small))
      })
    }
  }
})

const scraps = [
  "data: ",
  "data:",
  "data",
  "event: a",
  "error: {}",
  "id",
  ":",
  "\n",
  "\n\n",
  "\r",
  "\r\n",
  " ",
  "\uFEFF",
  "é",
  "🌍",
  "\u2028",
  "\0",
  "{\"a\":1}",
  "[DONE]",
  "x"
]
const stray = [0xFF, 0x80, 0xE2, 0xF0, 0xEF, 0xBB, 0xBF]
const anyStream = Arbitrary.map(
  Arbitrary.schema(Schema.Array(Schema.Literals([...scraps, ...stray]))),
  (scraps) => Buffer.concat(scraps.map((scrap) => typeof scrap === "string" ? bytesOf(scrap) : Uint8Array.of(scrap)))
)
const anyLengths = Arbitrary.schema(Schema.Array(Schema.Literals([1, 1, 2, 3, 5, 8, 40])))

describe("any bytes at all", () => {
  it.effect.prop(
    "are the same events wherever they are cut",
    [anyStream, anyLengths, anyLengths],
    ([stream, lengths, more]) =>
      Effect.sync(() => {
        const cuts: Array<number> = []
        let at = 0
        for (const length of [...lengths, ...more]) cuts.push(at += length)
        for (const maxBytes of [12, 1_000_000]) {
          for (const bytes of [stream, Buffer.concat([bytesOf("data: a\n"), stream])]) {
            const decoded = decode([bytes], maxBytes)
            for (const chunks of [pieces(bytes, cuts), pieces(bytes, 1)]) {
              const cut = decode(chunks, maxBytes)
              if (!isDeepStrictEqual(cut, decoded)) assert.deepStrictEqual(cut, decoded)
            }
          }
        }
      }),
    { arbitrary: { runs: 2000 }, timeout: 60_000 }
  )
})
