import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { ContextWindow, TokenCount } from "effect-bulwark/budget"
import { counting } from "./support/counting.ts"

const target = { provider: "any", model: "gpt-4o" }

/** Texts with all that they can be cut at, and without. */
const texts = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(Schema.Literals([
      "One sentence. ",
      "Is it? Yes! ",
      "word ",
      "word\n",
      "\n\n",
      "\n \n",
      "東京は大きい。",
      "🗼",
      "x".repeat(300),
      "1234567890",
      "   ",
      ""
    ])),
    { maxLength: 60 }
  ),
  (pieces) => pieces.join("")
)

const layers = { "exact counts": TokenCount.layer(), "estimates": TokenCount.layerEstimate() }

for (const [name, layer] of Object.entries(layers)) {
  describe(`ContextWindow.chunks, with ${name}`, () => {
    it.effect.prop(
      "are within their bound, and put together the text again",
      [texts, Arbitrary.schema(Schema.Literals([32, 50, 100])), Arbitrary.schema(Schema.Literals([0, 10, 16]))],
      ([text, maxTokens, overlapTokens]) =>
        Effect.gen(function*() {
          for (const model of ["gpt-4o", "claude-opus-5"]) {
            const chunks = yield* ContextWindow.chunks(text, { ...target, model, maxTokens, overlapTokens })
            let whole = ""
            let before = { start: -1, end: 0 }
            for (const chunk of chunks) {
              assert.strictEqual(chunk.text, text.slice(chunk.start, chunk.end))
              assert.strictEqual(chunk.tokens, (yield* TokenCount.countText({ ...target, model }, chunk.text)).tokens)
              assert.isAtMost(chunk.tokens, maxTokens)
              assert.isAtMost(chunk.start, before.end)
              assert.isAbove(chunk.start, before.start)
              assert.isAbove(chunk.end, before.end)
              const again = text.slice(chunk.start, before.end)
              // What is joined may count for a little more than its parts.
              assert.isAtMost((yield* TokenCount.countText({ ...target, model }, again)).tokens, overlapTokens + 2)
              if (overlapTokens === 0) assert.strictEqual(again, "")
              whole += text.slice(before.end, chunk.end)
              before = chunk
              // No character is cut.
              assert.isTrue(chunk.text.isWellFormed())
            }
            assert.strictEqual(whole, text)
          }
        }).pipe(Effect.provide(layer))
    )
  })
}

describe("ContextWindow.chunks", () => {
  it.effect("end where paragraphs, lines, sentences and words do, in this order", () =>
    Effect.gen(function*() {
      const cut = (text: string) =>
        Effect.map(
          ContextWindow.chunks(text, { ...target, maxTokens: 32 }),
          (chunks) => chunks.map(({ text }) => text)
        )
      const words = (count: number) => "word ".repeat(count)
      assert.deepStrictEqual(yield* cut(words(32)), [words(32)])
      assert.deepStrictEqual(yield* cut(words(70)), [words(32), words(32), words(6)])
      const sentence = `${words(19)}word. `
      assert.deepStrictEqual(yield* cut(sentence.repeat(3)), [sentence, sentence, sentence])
      const line = `${words(19)}word\n`
      assert.deepStrictEqual(yield* cut(line.repeat(2)), [line, line])
      const paragraph = `${words(7)}\n\n`
      assert.deepStrictEqual(yield* cut(paragraph.repeat(6)), [paragraph.repeat(4), paragraph.repeat(2)])
    }).pipe(Effect.provide(counting())))

  it.effect("say again what they are told to", () =>
    Effect.gen(function*() {
      const sentences = Array.from({ length: 12 }, (_, index) => `This is sentence number ${index}. `)
      const chunks = yield* ContextWindow.chunks(sentences.join(""), { ...target, maxTokens: 32, overlapTokens: 6 })
      const [first, second] = chunks.map(({ text }) => text.match(/\d+/g))
      assert.deepStrictEqual([first, second], [["0", "1", "2", "3", "4", "5"], ["5", "6", "7", "8", "9", "10"]])
    }).pipe(Effect.provide(counting())))

  it.effect("of nothing are none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ContextWindow.chunks("", { ...target, maxTokens: 32 }), [])
    }).pipe(Effect.provide(counting())))

  it.effect("of hostile texts are found with as many counts as there are parts, or a few times that", () =>
    Effect.gen(function*() {
      for (const unit of ["a", "\n\n", ". ", " ", "漢"]) {
        let counted = 0
        const { cutText } = yield* Effect.promise(() => import("../../src/budget/internal/windowChunks.ts"))
        const count = (text: string) =>
          Effect.sync(() => {
            counted += text.length
            return text.length
          })
        const text = unit.repeat(20_000 / unit.length)
        const chunks = yield* cutText(text, count, 200, 0)
        assert.strictEqual(chunks.map(({ text }) => text).join(""), text)
        // Each level of the text once, and what was found once more.
        assert.isAtMost(counted, text.length * 8)
      }
    }))

  it("cannot be too small, nor overlap by more than half", () => {
    assert.throws(() => ContextWindow.chunks("", { ...target, maxTokens: 31 }), RangeError)
    assert.throws(() => ContextWindow.chunks("", { ...target, maxTokens: 100, overlapTokens: 51 }), RangeError)
    assert.throws(() => ContextWindow.chunks("", { ...target, maxTokens: 100, overlapTokens: -1 }), RangeError)
  })
})
