/**
 * Where the words of two answers meet: none is said twice, and none is lost.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Layer, Schema, Stream } from "effect"
import { Llm, LlmError, Opened, Part, Resume } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { cut, finish } from "../core/support/chunked.ts"
import { Anthropic, anthropic, collect, OpenAi, openai, question } from "../core/support/stack.ts"

/** A provider that sends texts, each in a chunk of its own; which ones depends on the beginning it is asked to go on from. */
const saying = <Self>(
  provider: Provider.Key<Self>,
  texts: (beginning: string) => ReadonlyArray<string>,
  options: { readonly whole: boolean; readonly id: string }
): Layer.Layer<Self> =>
  Layer.succeed(provider, {
    whole: () => Effect.die(new Error("this provider only streams")),
    stream: (request) => {
      const last = request.prompt.content.at(-1)
      const beginning = last?.role === "assistant" && last.content[0]?.type === "text" ? last.content[0].text : ""
      const { id } = options
      const parts: ReadonlyArray<Part.ProviderPart> = [
        { type: "text-start", id },
        ...texts(beginning).map((delta): Part.ProviderPart => ({ type: "text-delta", id, delta })),
        ...(options.whole ? [{ type: "text-end", id } as const, finish()] : [])
      ]
      return Stream.fromIterable(parts).pipe(Stream.rechunk(1))
    }
  })

const inPieces = (text: string, lengths: ReadonlyArray<number>): ReadonlyArray<string> =>
  cut(text.split(""), lengths).map((letters) => letters.join(""))

interface Meeting {
  readonly delivered: string
  readonly lengths: ReadonlyArray<number>
  /** What the second model says, which has been told of all but the end of what was delivered. */
  readonly continuation: (beginning: string) => string
  readonly overlap: "remove" | "keep"
}

const meet = ({ continuation, delivered, lengths, overlap }: Meeting) =>
  Effect.gen(function*() {
    const parts: Array<Part.Part> = []
    const llm = openai.pipe(Resume.continue(anthropic, { overlap }))
    const tapped = Llm.make({
      plan: llm.plan,
      open: (call) =>
        Effect.map(
          llm.open(call),
          (opened) => Opened.mapFlow(opened, Stream.tap((part) => Effect.sync(() => parts.push(part))))
        )
    })
    const { exit } = yield* Effect.provide(collect(Llm.streamText(tapped, question)), [
      saying(OpenAi, () => inPieces(delivered, lengths), { whole: false, id: "0" }),
      saying(Anthropic, (beginning) => inPieces(continuation(beginning), [...lengths].toReversed()), {
        whole: true,
        id: "msg_7"
      })
    ])
    return { exit, parts }
  })

/** The text of an answer that must be whole: one block, from its start to its finish. */
const wholeText = (ran: Effect.Success<ReturnType<typeof meet>>): string => {
  assert.isTrue(Exit.isSuccess(ran.exit), "it broke off")
  const { parts } = ran
  assert.deepStrictEqual(
    parts.filter((part) => part.type !== "text-delta").map((part) => "id" in part ? [part.type, part.id] : [part.type]),
    [["text-start", "0"], ["text-end", "0"], ["finish"]]
  )
  for (const part of parts) assert(part.type !== "text-delta" || (part.id === "0" && part.delta !== ""))
  const [answer, ...rest] = Part.toAnswer(parts)
  assert.deepStrictEqual(rest.map((part) => part.type), ["finish"])
  assert(answer?.type === "text")
  assert.strictEqual(Part.text(parts), answer.text)
  return answer.text
}

const lengths = Arbitrary.schema(Schema.Array(Schema.Literals([1, 2, 3, 7, 30])))
// Little letters in long rows, with spaces, line breaks and characters of two halves: what is most easily taken for another.
const letters = Arbitrary.schema(Schema.Array(Schema.Literals(["a", "b", "ab", " ", "\n", "🗼", "🎉", "ü"])))
const place = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
const anywhere = (text: string, place: number): number => text.length === 0 ? 0 : place % (text.length + 1)
// No two words of it are the same, so that only what is said again looks as if it were.
const words = Arbitrary.map(
  Arbitrary.schema(Schema.Array(Schema.Literals([" ", "  ", ", ", "\n", "\n\n", "🗼 "]))),
  (gaps) => "It begins" + gaps.map((gap, index) => `${gap}${(index + 1) * 7919}-th`).join("")
)
const options = { arbitrary: { runs: 400 }, timeout: 60_000 }

describe("Resume.continue: a text that is gone on with exactly", () => {
  it.effect.prop("has every character once, whatever it is, wherever it is cut", [letters, place, lengths], (
    [letters, place, lengths]
  ) =>
    Effect.gen(function*() {
      const text = `x${letters.join("")}`
      const at = 1 + anywhere(text.slice(1), place)
      const ran = yield* meet({
        delivered: text.slice(0, at),
        lengths,
        continuation: (beginning) => {
          assert.strictEqual(beginning, beginning.trimEnd())
          return text.slice(beginning.length)
        },
        overlap: "keep"
      })
      assert.strictEqual(wholeText(ran), text)
    }), options)

  it.effect.prop("has every character once where repetitions are looked for", [words, place, lengths], (
    [text, place, lengths]
  ) =>
    Effect.gen(function*() {
      const at = 1 + anywhere(text.slice(1), place)
      const ran = yield* meet({
        delivered: text.slice(0, at),
        lengths,
        continuation: (beginning) => text.slice(beginning.length),
        overlap: "remove"
      })
      assert.strictEqual(wholeText(ran), text)
    }), options)

  it.effect.prop("goes on after the whitespace where the second answer leaves that out", [words, place, lengths], (
    [text, place, lengths]
  ) =>
    Effect.gen(function*() {
      const at = 1 + anywhere(text.slice(1), place)
      const delivered = text.slice(0, at)
      const isHalf = /[\ud800-\udbff]$/.test(delivered)
      const ran = yield* meet({
        delivered,
        lengths,
        // Half of a character is said again, for it cannot be told of.
        continuation: () => text.slice(isHalf ? at - 1 : at),
        overlap: "remove"
      })
      // Whitespace that comes after what was delivered is told from that only where it is more.
      const rest = text.slice(at)
      const said = delivered.slice(delivered.trimEnd().length)
      let again = 0
      while (again < said.length && again < rest.length && said[again] === rest[again]) again++
      assert.strictEqual(wholeText(ran), isHalf ? text : delivered + rest.slice(again))
    }), options)
})

describe("Resume.continue: a text that is said again", () => {
  it.effect.prop("has every character once, however much is said again", [words, place, place, lengths], (
    [text, place, from, lengths]
  ) =>
    Effect.gen(function*() {
      const at = 1 + anywhere(text.slice(1), place)
      const delivered = text.slice(0, at)
      const again = (beginning: string): number => {
        const start = anywhere(beginning, from)
        const repeated = beginning.slice(start)
        const isConvincing = start === 0
          ? repeated.length >= 3
          : repeated.length >= 12 && new Set(repeated).size >= 6
        return isConvincing ? start : beginning.length
      }
      const ran = yield* meet({
        delivered,
        lengths,
        continuation: (beginning) => text.slice(again(beginning)),
        overlap: "remove"
      })
      assert.strictEqual(wholeText(ran), text)
    }), options)

  it.effect.prop(
    "is said again where that is to be kept",
    [words, lengths],
    ([text, lengths]) =>
      Effect.gen(function*() {
        const ran = yield* meet({ delivered: text, lengths, continuation: () => text, overlap: "keep" })
        assert.strictEqual(wholeText(ran), text + text)
      }),
    options
  )

  // Straight from what the options say, one end of the text after the other.
  const removed = (beginning: string, continuation: string): number => {
    for (let start = 0; start < beginning.length; start++) {
      const end = beginning.slice(start)
      const isConvincing = (start === 0 && end.length >= 3) || (end.length >= 12 && new Set(end).size >= 6)
      if (isConvincing && continuation.startsWith(end)) return end.length
    }
    return 0
  }
  const few = Arbitrary.schema(Schema.Array(Schema.Literals(["abcdef", "abcdefg", "a", "b", "c", "abc"])))

  it.effect.prop(
    "is found by the longest end that the second answer begins with",
    [few, few, few, lengths],
    ([before, again, after, lengths]) =>
      Effect.gen(function*() {
        const delivered = `x${[...before, ...again].join("")}`
        const continuation = [...again, ...after].join("")
        const ran = yield* meet({ delivered, lengths, continuation: () => continuation, overlap: "remove" })
        assert.strictEqual(wholeText(ran), delivered + continuation.slice(removed(delivered, continuation)))
      }),
    { arbitrary: { runs: 1_000 }, timeout: 60_000 }
  )
})

describe("Resume.continue: by example", () => {
  const tower = "The Eiffel tower is"
  const examples: ReadonlyArray<readonly [what: string, delivered: string, continuation: string, whole: string]> = [
    ["words that follow", tower, " in Paris.", "The Eiffel tower is in Paris."],
    ["a space that is said again", `${tower} `, " in Paris.", "The Eiffel tower is in Paris."],
    ["a space that is not", `${tower} `, "in Paris.", "The Eiffel tower is in Paris."],
    ["half of the whitespace", "One.\n\n", "\nTwo.", "One.\n\nTwo."],
    ["more whitespace than before", "One.\n", "\n\nTwo.", "One.\n\nTwo."],
    ["a new beginning", `${tower} `, `${tower} in Paris.`, "The Eiffel tower is in Paris."],
    ["the last words again", `${tower} `, "Eiffel tower is in Paris.", "The Eiffel tower is in Paris."],
    ["all of it, and no more", tower, tower, tower],
    ["what only begins as a repetition", tower, "The Eiffel bridge", "The Eiffel tower isThe Eiffel bridge"],
    ["a repetition that is never completed", tower, "The Eiffel", "The Eiffel tower isThe Eiffel"],
    ["a short word twice", "that that", " that is", "that that that is"],
    ["a mark in two halves", "``", "`ts", "```ts"],
    ["a rule of dashes", "a\n----------------", "----------------\nb", "a\n--------------------------------\nb"],
    ["half of a character", "🗼 \ud83d", " 🗼.", "🗼 🗼."],
    ["another one that begins with it", "🗼 \ud83d", " 😀.", "🗼 😀."],
    ["nothing more", "That is all.", "", "That is all."]
  ]
  for (const [what, delivered, continuation, whole] of examples) {
    it.effect(what, () =>
      Effect.gen(function*() {
        for (const lengths of [[1], [3], [100]]) {
          const ran = yield* meet({ delivered, lengths, continuation: () => continuation, overlap: "remove" })
          assert.strictEqual(wholeText(ran), whole)
        }
      }))
  }

  it.effect("nothing that one can go on from", () =>
    Effect.gen(function*() {
      for (const delivered of [" ", "\n\n", "\ud83d"]) {
        const { exit } = yield* meet({ delivered, lengths: [], continuation: () => "no", overlap: "remove" })
        assert(Exit.isFailure(exit))
        const reason = exit.cause.reasons[0]
        assert(reason?._tag === "Fail" && reason.error instanceof LlmError.StreamInterrupted)
      }
    }))

  it.effect("a very long text, said again from its middle", () =>
    Effect.gen(function*() {
      // Repeats itself over and over, which is where a search goes wrong that looks at every place anew.
      const delivered = "abcdefgh".repeat(20_000)
      const began = performance.now()
      const ran = yield* meet({
        delivered,
        lengths: [97],
        continuation: () => `${delivered.slice(80_000)}!`,
        overlap: "remove"
      })
      assert.strictEqual(wholeText(ran), `${delivered}!`)
      assert.isBelow(performance.now() - began, 5_000)
    }))
})
