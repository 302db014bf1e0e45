import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Part } from "effect-bulwark"
import * as Answers from "./support/answers.ts"

const cuts = Schema.Array(Schema.Literals([0, 1, 2, 3, 5]))

/** Cuts every delta into pieces of these lengths, in turn; a length of 0 makes an empty delta. */
const rechunk = (parts: ReadonlyArray<Part.Part>, lengths: ReadonlyArray<number>): Array<Part.Part> => {
  let next = 0
  return parts.flatMap((part): Array<Part.Part> => {
    if (part.type !== "text-delta" && part.type !== "reasoning-delta") return [part]
    const pieces: Array<Part.Part> = []
    let rest = part.delta
    while (rest.length > 0) {
      const length = lengths.length === 0 || next > 50 ? rest.length : lengths[next++ % lengths.length] ?? rest.length
      pieces.push({ ...part, delta: rest.slice(0, length) })
      rest = rest.slice(length)
    }
    return pieces
  })
}

describe("Part", () => {
  describe("fromAnswer and toAnswer", () => {
    it.prop("give back any answer, to the last key", [Answers.answer], ([answer]) => {
      assert.deepStrictEqual(Part.toAnswer(Part.fromAnswer(answer)), answer)
    })

    it.prop("give back any answer that went through JSON", [Answers.answer], ([answer]) => {
      const stored = JSON.parse(JSON.stringify(Part.fromAnswer(answer))) as Array<Part.Part>
      assert.deepStrictEqual(Part.toAnswer(stored), answer)
    })

    it.prop("make no difference between one delta and many", [Answers.answer, cuts], ([answer, lengths]) => {
      assert.deepStrictEqual(Part.toAnswer(rechunk(Part.fromAnswer(answer), lengths)), answer)
    })

    it.prop("lead any stream to a normal form, at once", [Answers.streamParts], ([parts]) => {
      const normal = Part.fromAnswer(Part.toAnswer(parts))
      assert.deepStrictEqual(Part.fromAnswer(Part.toAnswer(normal)), normal)
    })

    it.prop("leave what they are given as it is", [Answers.streamParts], ([parts]) => {
      const before = structuredClone(parts)
      Part.fromAnswer(Part.toAnswer(parts))
      assert.deepStrictEqual(parts, before)
    })

    it("give each block an id of its own", () => {
      assert.deepStrictEqual(
        Part.fromAnswer([{ type: "text", text: "a" }, { type: "reasoning", text: "" }, { type: "text", text: "b" }]),
        [
          { type: "text-start", id: "0" },
          { type: "text-delta", id: "0", delta: "a" },
          { type: "text-end", id: "0" },
          { type: "reasoning-start", id: "1" },
          { type: "reasoning-end", id: "1" },
          { type: "text-start", id: "2" },
          { type: "text-delta", id: "2", delta: "b" },
          { type: "text-end", id: "2" }
        ]
      )
    })

    const texts = Arbitrary.array(
      Arbitrary.schema(Schema.Struct({
        type: Schema.Literals(["text", "reasoning"]),
        pieces: Schema.Array(Schema.Literals(["x", "yy", ""])).check(Schema.isMaxLength(4)),
        turn: Schema.Array(Schema.Int).check(Schema.isMaxLength(4))
      })),
      { minLength: 1, maxLength: 4 }
    )

    it.prop("put a block where it started, however the deltas interleave", [texts], ([blocks]) => {
      // Every block has started before the first delta comes; the deltas come in an order of their own.
      const starts = blocks.map((block, id): Part.Part => ({ type: `${block.type}-start`, id: String(id) }))
      const deltas = blocks.flatMap((block, id) =>
        block.pieces.map((delta, index) => ({
          // Never before the previous piece of the same block.
          order: index * 10 + Math.abs(block.turn[index] ?? 0) % 10,
          part: { type: `${block.type}-delta`, id: String(id), delta } satisfies Part.Part
        }))
      ).toSorted((a, b) => a.order - b.order).map(({ part }): Part.Part => part)
      const ends = blocks.map((block, id): Part.Part => ({ type: `${block.type}-end`, id: String(id) })).toReversed()
      assert.deepStrictEqual(
        Part.toAnswer([...starts, ...deltas, ...ends]),
        blocks.map((block) => ({ type: block.type, text: block.pieces.join("") }))
      )
    })

    it("keep a text and a reasoning of the same id apart", () => {
      assert.deepStrictEqual(
        Part.toAnswer([
          { type: "reasoning-start", id: "0" },
          { type: "text-start", id: "0" },
          { type: "reasoning-delta", id: "0", delta: "hm" },
          { type: "text-delta", id: "0", delta: "yes" },
          { type: "reasoning-end", id: "0" },
          { type: "text-end", id: "0" }
        ]),
        [{ type: "reasoning", text: "hm" }, { type: "text", text: "yes" }]
      )
    })

    it("begin a new block where an id is used again", () => {
      const block = (delta: string): Array<Part.Part> => [
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta },
        { type: "text-end", id: "0" }
      ]
      assert.deepStrictEqual(Part.toAnswer([...block("a"), ...block("b")]), [
        { type: "text", text: "a" },
        { type: "text", text: "b" }
      ])
      // Also where the first one was never ended.
      assert.deepStrictEqual(Part.toAnswer([...block("a").slice(0, 2), ...block("b")]), [
        { type: "text", text: "a" },
        { type: "text", text: "b" }
      ])
    })

    it("take a delta whose block never started for one that did", () => {
      assert.deepStrictEqual(Part.toAnswer([{ type: "text-delta", id: "7", delta: "a" }]), [{
        type: "text",
        text: "a"
      }])
    })

    it("merge the metadata of a block's parts, key by key", () => {
      assert.deepStrictEqual(
        Part.toAnswer([
          { type: "reasoning-start", id: "0", metadata: { anthropic: { kind: "a", n: 1 }, openai: null } },
          { type: "reasoning-delta", id: "0", delta: "hm", metadata: { anthropic: { n: 2 }, openai: { id: "x" } } },
          { type: "reasoning-delta", id: "0", delta: "!" },
          { type: "reasoning-end", id: "0", metadata: { anthropic: { signature: "s" }, other: { list: [1] } } }
        ]),
        [{
          type: "reasoning",
          text: "hm!",
          metadata: {
            anthropic: { kind: "a", n: 2, signature: "s" },
            openai: { id: "x" },
            other: { list: [1] }
          }
        }]
      )
    })

    it("replace metadata that is no object, and let none be merged into it", () => {
      const values = [{ a: 1 }, "x", [1, 2], null, 7]
      for (const before of values) {
        for (const after of values) {
          const [part] = Part.toAnswer([
            { type: "text-start", id: "0", metadata: { openai: before } },
            { type: "text-end", id: "0", metadata: { openai: after } }
          ])
          assert.deepStrictEqual(part?.metadata, { openai: after })
        }
      }
    })

    it("drop the parameters of a call that was never completed", () => {
      const parameters: Array<Part.Part> = [
        { type: "tool-params-start", id: "c", name: "Weather" },
        { type: "tool-params-delta", id: "c", delta: `{"city":` }
      ]
      const call: Part.Part = { type: "tool-call", id: "c", name: "Weather", params: { city: "Paris" } }
      assert.deepStrictEqual(Part.toAnswer(parameters), [])
      assert.deepStrictEqual(Part.toAnswer([...parameters, { type: "tool-params-end", id: "c" }, call]), [call])
    })
  })

  describe("isContent", () => {
    const id = "0"
    const usage = { inputTokens: {}, outputTokens: {} }
    const content: Array<Part.Part> = [
      { type: "text-delta", id, delta: " " },
      { type: "reasoning-delta", id, delta: "a" },
      { type: "tool-params-delta", id, delta: "{" },
      { type: "tool-call", id, name: "Weather", params: {} },
      { type: "tool-result", id, name: "Weather", result: 1, isFailure: false },
      { type: "tool-approval-request", approvalId: id, toolCallId: id },
      { type: "file", mediaType: "image/png", data: "" },
      { type: "source", sourceType: "url", id, url: "https://example.org/", title: "" },
      { type: "source", sourceType: "document", id, mediaType: "text/plain", title: "" },
      { type: "finish", reason: "stop", usage }
    ]
    const none: Array<Part.Part> = [
      { type: "response-metadata", id, modelId: "m" },
      { type: "text-start", id },
      { type: "text-delta", id, delta: "" },
      { type: "text-end", id },
      { type: "reasoning-start", id },
      { type: "reasoning-delta", id, delta: "" },
      { type: "reasoning-end", id },
      { type: "tool-params-start", id, name: "Weather" },
      { type: "tool-params-delta", id, delta: "" },
      { type: "tool-params-end", id }
    ]
    it.each(content)("$type is content", (part) => assert.isTrue(Part.isContent(part)))
    it.each(none)("$type is none", (part) => assert.isFalse(Part.isContent(part)))
  })

  describe("text", () => {
    it.prop("is the same of an answer and of its parts", [Answers.answer], ([answer]) => {
      const text = answer.map((part) => part.type === "text" ? part.text : "").join("")
      assert.strictEqual(Part.text(answer), text)
      assert.strictEqual(Part.text(Part.fromAnswer(answer)), text)
    })
  })
})
