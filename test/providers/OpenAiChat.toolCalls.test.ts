/**
 * Tool calls, as servers and gateways cut them up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { calls, failure, finishOf, ofType, piece, streamed, whole } from "./support/ask.ts"
import * as Wire from "./support/wire.ts"

describe("tool calls", () => {
  const f = { name: "f" }
  const shapes: ReadonlyArray<readonly [name: string, body: string, expected: ReadonlyArray<unknown>]> = [
    [
      "in pieces, by index",
      piece({ index: 0, id: "a" }, f) + piece({ index: 1, id: "b" }, { name: "g" }) +
      piece({ index: 0 }, { arguments: "{\"x\"" }) + piece({ index: 1 }, { arguments: "{}" }) +
      piece({ index: 0 }, { arguments: ":1}" }),
      [
        { id: "a", name: "f", params: { x: 1 } },
        { id: "b", name: "g", params: {} }
      ]
    ],
    ["with indices that begin anywhere", piece({ index: 3, id: "a" }, f) + piece({ index: 3 }, { arguments: "{}" }), [
      { id: "a", name: "f", params: {} }
    ]],
    ["at once", piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\":1}" }), [{
      id: "a",
      name: "f",
      params: { x: 1 }
    }]],
    ["without parameters", piece({ index: 0, id: "a" }, { name: "f", arguments: "" }), [{
      id: "a",
      name: "f",
      params: {}
    }]],
    [
      "all with one index",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{}" }) +
      piece({ index: 0, id: "b" }, { name: "f", arguments: "{}" }),
      [
        { id: "a", name: "f", params: {} },
        { id: "b", name: "f", params: {} }
      ]
    ],
    [
      "without an index",
      piece({ id: "a" }, { name: "f", arguments: "{\"x\"" }) + piece({}, { arguments: ":1}" }) +
      piece({ id: "b" }, { name: "g", arguments: "{}" }),
      [
        { id: "a", name: "f", params: { x: 1 } },
        { id: "b", name: "g", params: {} }
      ]
    ],
    ["without index and id", piece({}, { name: "f", arguments: "{}" }) + piece({}, { name: "g", arguments: "{}" }), [
      { id: "call_0", name: "f", params: {} },
      { id: "call_1", name: "g", params: {} }
    ]],
    [
      "with id and name in every piece",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\"" }) +
      piece({ index: 0, id: "a" }, { name: "f", arguments: ":1}" }),
      [{ id: "a", name: "f", params: { x: 1 } }]
    ],
    [
      "with another id in every piece",
      piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\"" }) +
      piece({ index: 0, id: "z" }, { arguments: ":1}" }),
      [{ id: "a", name: "f", params: { x: 1 } }]
    ],
    ["with parameters that are an object", piece({ index: 0, id: "a" }, { name: "f", arguments: { x: 1 } }), [
      { id: "a", name: "f", params: { x: 1 } }
    ]],
    [
      "of the first generation",
      Wire.event(Wire.chunk({ function_call: { name: "f", arguments: "{\"x\"" } })) +
      Wire.event(Wire.chunk({ function_call: { arguments: ":1}" } })),
      [{ id: "call_0", name: "f", params: { x: 1 } }]
    ],
    [
      "with free text",
      Wire.event(
        Wire.chunk({ tool_calls: [{ index: 0, id: "a", type: "custom", custom: { name: "f", input: "no" } }] })
      ),
      [
        { id: "a", name: "f", params: "no" }
      ]
    ]
  ]
  for (const [name, body, expected] of shapes) {
    it.effect(`come ${name}`, () =>
      Effect.gen(function*() {
        for (const reason of ["tool_calls", "stop"]) {
          const parts = yield* streamed(body + Wire.finishChunk(reason) + Wire.done)
          assert.deepStrictEqual<ReadonlyArray<unknown>>(calls(parts), expected)
          assert.strictEqual(finishOf(parts).reason, "tool-calls")
          // Every call that began has ended, before it is a call.
          for (const { id } of ofType(parts, "tool-params-start")) {
            const types = parts.filter((part) => "id" in part && part.id === id).map(({ type }) => type)
            assert.deepStrictEqual(types.filter((type) => type !== "tool-params-delta"), [
              "tool-params-start",
              "tool-params-end",
              "tool-call"
            ])
          }
        }
      }))
  }

  const half = piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\":" })

  it.effect("that are cut are none", () =>
    Effect.gen(function*() {
      const cut = yield* streamed(half + Wire.finishChunk("length") + Wire.done)
      assert.deepStrictEqual(calls(cut), [])
      assert.strictEqual(finishOf(cut).reason, "length")
      for (const reason of ["content_filter", "error"]) {
        const whole = piece({ index: 0, id: "a" }, { name: "f", arguments: "{}" })
        assert.deepStrictEqual(calls(yield* streamed(whole + Wire.finishChunk(reason))), [])
      }
      const { error } = yield* failure(half, "stream")
      assert.strictEqual(error._tag, "StreamInterrupted")
    }))

  it.effect("that are no JSON are malformed", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(half + Wire.finishChunk("tool_calls") + Wire.done, "stream")
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
      const full = Wire.answer({ tool_calls: [{ id: "a", function: { name: "f", arguments: "{\"x\":" } }] }, {
        finish_reason: "tool_calls"
      })
      assert.strictEqual((yield* failure(full, "whole")).error._tag, "MalformedResponse")
      const nameless = Wire.answer({ tool_calls: [{ id: "a", function: { arguments: "{}" } }] })
      assert.strictEqual((yield* failure(nameless, "whole")).error._tag, "MalformedResponse")
    }))

  it.effect("of strict tools have the parameters that the tools expect", () =>
    Effect.gen(function*() {
      const tool = Tool.make("f", {
        parameters: Schema.Struct({ x: Schema.Int, y: Schema.optionalKey(Schema.Int) })
      }).annotate(Tool.Strict, true)
      const params = { tools: [tool], toolChoice: "auto" as const }
      const call = { name: "f", arguments: "{\"x\":1,\"y\":null}" }
      const parts = yield* streamed(piece({ index: 0, id: "a" }, call) + Wire.finishChunk("tool_calls"), params)
      assert.deepStrictEqual(calls(parts)[0]?.params, { x: 1 })
      const answered = yield* whole(Wire.answer({ tool_calls: [{ id: "a", function: call }] }), params)
      assert.deepStrictEqual(calls(answered)[0]?.params, { x: 1 })
    }))
})
