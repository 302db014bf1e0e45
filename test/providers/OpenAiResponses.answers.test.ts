/**
 * What answers of the Responses API become, whole and streamed: texts, thoughts and calls.
 */
import { assert, describe, it } from "@effect/vitest"
import { Part } from "effect-bulwark"
import * as Effect from "effect/Effect"
import { calls, finishOf, ofType, text, thoughts } from "./support/ask.ts"
import { events, failure, forms, openai, own, streamed, whole } from "./support/responsesForms.ts"
import * as Wire from "./support/responsesWire.ts"

const metadata = {
  type: "response-metadata",
  id: "resp_1",
  modelId: "served-model",
  timestamp: "2023-11-14T22:13:20.000Z"
}

const rs = (ordinal: number, rest: object = {}) => openai({ itemId: "rs_1", outputIndex: ordinal, ...rest })

describe("an answer", () => {
  it.effect("becomes parts as it comes", () =>
    Effect.gen(function*() {
      const output = [Wire.reasoning(["h", "m"]), Wire.message("Hello"), Wire.call("f", "{\"x\":1}")]
      const parts = yield* streamed(
        Wire.created() + Wire.reasoningItem(0, ["h", "m"]) + Wire.textItem(1, "Hel", "lo") +
          Wire.callItem(2, "f", ["{\"x\"", ":1}"]) + Wire.completed(output)
      )
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts, [
        metadata,
        { type: "reasoning-start", id: "0.0" },
        { type: "reasoning-delta", id: "0.0", delta: "h" },
        { type: "reasoning-start", id: "0.1" },
        { type: "reasoning-delta", id: "0.1", delta: "m" },
        { type: "reasoning-end", id: "0.0", ...rs(0) },
        { type: "reasoning-end", id: "0.1", ...rs(0) },
        { type: "text-start", id: "1.0" },
        { type: "text-delta", id: "1.0", delta: "Hel" },
        { type: "text-delta", id: "1.0", delta: "lo" },
        { type: "text-end", id: "1.0", ...openai({ itemId: "msg_1", outputIndex: 1 }) },
        { type: "tool-params-start", id: "call_1", name: "f" },
        { type: "tool-params-delta", id: "call_1", delta: "{\"x\"" },
        { type: "tool-params-delta", id: "call_1", delta: ":1}" },
        { type: "tool-params-end", id: "call_1" },
        {
          type: "tool-call",
          id: "call_1",
          name: "f",
          params: { x: 1 },
          ...openai({ itemId: "fc_1", outputIndex: 2, responseId: "resp_1" })
        },
        {
          type: "finish",
          reason: "tool-calls",
          usage: {
            inputTokens: { uncached: 9, total: 9, cacheRead: 0 },
            outputTokens: { total: 3, text: 3, reasoning: 0 }
          },
          response: undefined,
          metadata: { openai: { finishReason: "completed", usage: Wire.usage } }
        }
      ])
      assert.deepStrictEqual(Part.toAnswer(parts), yield* whole(Wire.answer(output)))
    }))

  it.effect("is the same in every form", () =>
    Effect.gen(function*() {
      const parts = yield* forms([
        Wire.reasoning(["h", "m"], { encrypted_content: "e1" }),
        Wire.message("Let me see.", { phase: "commentary" }),
        Wire.call("f", "{\"x\":1}"),
        Wire.call("g", "", { id: "fc_2", call_id: "call_2" })
      ], { service_tier: "flex" })
      const called = (fields: object) => openai({ ...fields, responseId: "resp_1" })
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts.slice(0, -1), [
        metadata,
        { type: "reasoning", text: "h", ...rs(0) },
        { type: "reasoning", text: "m", ...rs(0, { encryptedContent: "e1" }) },
        { type: "text", text: "Let me see.", ...openai({ itemId: "msg_1", outputIndex: 1, phase: "commentary" }) },
        { type: "tool-call", id: "call_1", name: "f", params: { x: 1 }, ...called({ itemId: "fc_1", outputIndex: 2 }) },
        { type: "tool-call", id: "call_2", name: "g", params: {}, ...called({ itemId: "fc_2", outputIndex: 3 }) }
      ])
      assert.strictEqual(own(finishOf(parts))["serviceTier"], "flex")
    }))

  it.effect("may be silent", () =>
    Effect.gen(function*() {
      for (const output of [[], [Wire.message("")], [Wire.message("", { content: [] })], [{}]]) {
        const [described, finish, ...more] = yield* forms(output)
        assert.strictEqual(described?.type, "response-metadata")
        assert.strictEqual(finish?.type === "finish" && finish.reason, "stop")
        assert.deepStrictEqual(more, [])
      }
    }))

  it.effect("may say more than one text", () =>
    Effect.gen(function*() {
      const part = (text: string) => ({ type: "output_text", text, annotations: [] })
      const parts = yield* forms([
        Wire.message("", { content: [part("one"), part("two")] }),
        Wire.message("three", { id: "msg_2" })
      ])
      assert.deepStrictEqual<ReadonlyArray<unknown>>(ofType(parts, "text" as "text-delta"), [
        { type: "text", text: "one", ...openai({ itemId: "msg_1", outputIndex: 0 }) },
        { type: "text", text: "two", ...openai({ itemId: "msg_1", outputIndex: 0 }) },
        { type: "text", text: "three", ...openai({ itemId: "msg_2", outputIndex: 1, responseId: "resp_1" }) }
      ])
    }))

  it.effect("may be of a server that leaves out what it can", () =>
    Effect.gen(function*() {
      const body = {
        output: [
          { type: "message", content: [{ type: "output_text", text: "hi" }] },
          { type: "function_call", name: "f", arguments: { x: 1 } }
        ]
      }
      for (const parts of [yield* whole(JSON.stringify(body)), yield* streamed(JSON.stringify(body))]) {
        assert.strictEqual(Part.text(parts), "hi")
        assert.deepStrictEqual<unknown>(calls(parts), [{ id: "call_1", name: "f", params: { x: 1 } }])
        assert.strictEqual(finishOf(parts).reason, "tool-calls")
      }
    }))
})

describe("what is said", () => {
  const said = (body: string) => Effect.map(streamed(Wire.created() + body), (parts) => Part.toAnswer(parts))

  const at = { item_id: "msg_1", output_index: 0, content_index: 0 }

  const ends: { readonly [how: string]: string } = {
    "in its text": Wire.event({ type: "response.output_text.done", ...at, text: "Hello" }) + Wire.completed([]),
    "in its part": Wire.event({
      type: "response.content_part.done",
      ...at,
      part: { type: "output_text", text: "Hello" }
    }) + Wire.completed([]),
    "in its item": Wire.done(0, Wire.message("Hello")) + Wire.completed([]),
    "in the answer": Wire.completed([Wire.message("Hello")]),
    "everywhere": Wire.event({ type: "response.output_text.done", ...at, text: "Hello" }) +
      Wire.done(0, Wire.message("Hello")) + Wire.completed([Wire.message("Hello")]),
    "in the answer, under another id": Wire.completed([Wire.message("Hello", { id: "msg_9" })]),
    "in the answer, without an id": Wire.completed([Wire.message("Hello", { id: undefined })])
  }
  for (const [how, end] of Object.entries(ends)) {
    it.effect(`is neither lost nor said twice, where its end stands ${how}`, () =>
      Effect.gen(function*() {
        const beginnings = [
          "",
          Wire.growing(0),
          Wire.growing(0, "Hel"),
          Wire.growing(0, "Hel", "lo"),
          Wire.textDelta(0, "Hel"),
          Wire.textDelta(0, "Hel") + Wire.textDelta(0, "lo"),
          // A gateway that changes the ids from event to event.
          Wire.added(0, Wire.message("", { id: "a", content: [] })) + Wire.textDelta(0, "Hel", "b") +
          Wire.textDelta(0, "lo", "c")
        ]
        for (const beginning of beginnings) {
          const parts = yield* said(beginning + end)
          assert.deepStrictEqual(ofType(parts, "text" as "text-delta").length, 1)
          assert.strictEqual(Part.text(parts), "Hello")
          assert.strictEqual(finishOf(parts).reason, "stop")
        }
      }))
  }

  it.effect("stands, where a server trims it in the end", () =>
    Effect.gen(function*() {
      const parts = yield* said(
        Wire.growing(0, " Hello ") + Wire.done(0, Wire.message("Hello")) +
          Wire.completed([Wire.message("Hello")])
      )
      assert.strictEqual(Part.text(parts), " Hello ")
    }))

  it.effect("is told apart, though all items have one index", () =>
    Effect.gen(function*() {
      const ids = (n: number) => ({ id: `fc_${n}`, call_id: `call_${n}` })
      const parts = yield* said(
        Wire.textItem(0, "hi") + Wire.callItem(0, "f", ["{\"x\":1}"], ids(1)) +
          Wire.callItem(0, "f", ["{\"x\":2}"], ids(2)) +
          Wire.completed([Wire.message("hi"), Wire.call("f", "{\"x\":1}", ids(1)), Wire.call("f", "{\"x\":2}", ids(2))])
      )
      assert.strictEqual(Part.text(parts), "hi")
      assert.deepStrictEqual<unknown>(calls(parts), [
        { id: "call_1", name: "f", params: { x: 1 } },
        { id: "call_2", name: "f", params: { x: 2 } }
      ])
    }))

  it.effect("is said late, where its item was empty when it was done", () =>
    Effect.gen(function*() {
      const empty = Wire.message("", { content: [] })
      const parts = yield* said(
        Wire.added(0, empty) + Wire.done(0, empty) + Wire.callItem(1, "f", ["{}"]) +
          Wire.completed([Wire.message("Hello"), Wire.call("f", "{}")])
      )
      assert.strictEqual(Part.text(parts), "Hello")
      assert.deepStrictEqual<unknown>(calls(parts), [{ id: "call_1", name: "f", params: {} }])
    }))

  it.effect("may come in turns", () =>
    Effect.gen(function*() {
      const second = Wire.added(1, Wire.message("", { id: "msg_2", content: [] }))
      const parts = yield* said(
        Wire.growing(0, "a") + second + Wire.textDelta(1, "x", "msg_2") + Wire.textDelta(0, "b") +
          Wire.textDelta(1, "y", "msg_2") + Wire.completed([])
      )
      assert.deepStrictEqual(ofType(parts, "text" as "text-delta").map((part) => (part as { text?: string }).text), [
        "ab",
        "xy"
      ])
    }))

  it.effect("may be in the end an item more, or less, than there was", () =>
    Effect.gen(function*() {
      const more = yield* said(
        Wire.textItem(0, "one") +
          Wire.completed([Wire.message("one"), Wire.message(" two", { id: "msg_2" })])
      )
      assert.strictEqual(Part.text(more), "one two")
      const before = yield* said(
        Wire.textItem(0, "one") +
          Wire.completed([Wire.message(" two", { id: "msg_2" }), Wire.message("one")])
      )
      assert.strictEqual(Part.text(before), "one two")
      const less = yield* said(
        Wire.reasoningItem(0, ["hm"]) + Wire.textItem(1, "one") +
          Wire.completed([Wire.message("one", { id: "msg_9" })])
      )
      assert.strictEqual(Part.text(less), "one")
    }))
})

describe("thoughts", () => {
  it.effect("can go back by their id, or encrypted", () =>
    Effect.gen(function*() {
      const back = (item: object, rest?: Parameters<typeof forms>[1]) =>
        Effect.map(forms([item, Wire.message("hi")], rest), (parts) =>
          parts.flatMap((part) => part.type === "reasoning" ? [[part.text, own(part)]] : []))
      assert.deepStrictEqual<unknown>(yield* back(Wire.reasoning()), [["", { itemId: "rs_1", outputIndex: 0 }]])
      assert.deepStrictEqual<unknown>(
        yield* back(Wire.reasoning([], { encrypted_content: "e1" }), { store: false }),
        [["", { itemId: "rs_1", outputIndex: 0, encryptedContent: "e1" }]]
      )
      // Neither stored nor encrypted: there is nothing to give back.
      assert.deepStrictEqual<unknown>(yield* back(Wire.reasoning(), { store: false }), [])
      assert.deepStrictEqual<unknown>(yield* back(Wire.reasoning(["hm"]), { store: false }), [["hm", {
        outputIndex: 0
      }]])
      assert.deepStrictEqual<unknown>(yield* back(Wire.reasoning(["hm"], { id: undefined })), [["hm", {
        outputIndex: 0
      }]])
    }))

  it.effect("that led to what is not read cannot go back without it", () =>
    Effect.gen(function*() {
      const parts = yield* forms([
        Wire.reasoning(["one"], { encrypted_content: "e1" }),
        Wire.search,
        Wire.reasoning(["two"], { id: "rs_2", encrypted_content: "e2" }),
        Wire.message("hi")
      ])
      assert.deepStrictEqual<unknown>(
        parts.flatMap((part) => part.type === "reasoning" ? [[part.text, own(part)]] : []),
        [["one", { outputIndex: 0 }], ["two", { itemId: "rs_2", outputIndex: 2, encryptedContent: "e2" }]]
      )
      assert.deepStrictEqual(own(finishOf(parts))["ignoredParts"], ["web_search_call"])
    }))

  it.effect("are those of the last word, where they have grown", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.created() + Wire.added(0, Wire.reasoning([], { encrypted_content: "half" })) +
          Wire.done(0, Wire.reasoning([], { encrypted_content: "e1" })) + Wire.textItem(1, "hi") + Wire.completed([])
      )
      assert.strictEqual(own(ofType(parts, "reasoning-end")[0])["encryptedContent"], "e1")
    }))

  it.effect("of open models are told as they are", () =>
    Effect.gen(function*() {
      const item = Wire.reasoning(["short"], { content: [{ type: "reasoning_text", text: "raw thought" }] })
      const expected = [
        { type: "reasoning", text: "short", ...rs(0) },
        { type: "reasoning", text: "raw thought", ...rs(0, { kind: "text" }) }
      ]
      const parts = yield* forms([item, Wire.message("hi")])
      assert.deepStrictEqual<unknown>(parts.slice(1, 3), expected)
      const at = { item_id: "rs_1", output_index: 0, content_index: 0 }
      const live = yield* streamed(
        Wire.created() + Wire.added(0, Wire.reasoning()) +
          Wire.event({ type: "response.content_part.added", ...at, part: { type: "reasoning_text", text: "" } }) +
          Wire.event({ type: "response.reasoning_text.delta", ...at, delta: "raw " }) +
          Wire.event({ type: "response.reasoning_text.delta", ...at, delta: "thought" }) +
          Wire.event({ type: "response.reasoning_text.done", ...at, text: "raw thought" }) +
          Wire.event({
            type: "response.content_part.done",
            ...at,
            part: { type: "reasoning_text", text: "raw thought" }
          }) +
          Wire.done(0, Wire.reasoning([], { content: [{ type: "reasoning_text", text: "raw thought" }] })) +
          Wire.textItem(1, "hi") + Wire.completed([])
      )
      assert.strictEqual(thoughts(live), "raw thought")
      assert.strictEqual(text(live), "hi")
    }))

  it.effect("end when something else begins, and not only with the answer", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(Wire.created() + Wire.reasoningItem(0, ["hm"]) + Wire.growing(1, "hi"))
      assert.deepStrictEqual(parts.map(({ type }) => type), [
        "response-metadata",
        "reasoning-start",
        "reasoning-delta",
        "reasoning-delta",
        "reasoning-end",
        "text-start",
        "text-delta"
      ])
    }))
})

describe("the id of an answer", () => {
  const ids = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>) =>
    parts.flatMap((part) => own(part as Part.ProviderPart)["responseId"] ?? [])

  it.effect("stands on what came last, once it is complete", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(ids(yield* forms([Wire.message("hi")])), ["resp_1"])
      assert.deepStrictEqual(ids(yield* forms([Wire.message("hi"), Wire.search])), ["resp_1"])
      assert.deepStrictEqual(ids(yield* forms([Wire.message("hi"), Wire.call("f", "{}")])), ["resp_1"])
      assert.deepStrictEqual(ids(yield* streamed(Wire.created() + Wire.textItem(0, "hi"))), [])
      assert.deepStrictEqual(
        ids(yield* streamed(Wire.created() + Wire.reasoningItem(0, ["x"]) + Wire.growing(1, "hi"))),
        []
      )
    }))

  it.effect("is of no use where nothing is stored", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(ids(yield* forms([Wire.message("hi"), Wire.call("f", "{}")], { store: false })), [])
    }))
})

describe("calls", () => {
  it.effect("may take free text", () =>
    Effect.gen(function*() {
      const item = {
        id: "ctc_1",
        type: "custom_tool_call",
        status: "completed",
        call_id: "call_1",
        name: "run",
        input: "print(1)"
      }
      const parts = yield* forms([item])
      assert.deepStrictEqual<unknown>(parts[1], {
        type: "tool-call",
        id: "call_1",
        name: "run",
        params: "print(1)",
        ...openai({ itemId: "ctc_1", outputIndex: 0, responseId: "resp_1", custom: true })
      })
      const at = { item_id: "ctc_1", output_index: 0 }
      const live = yield* streamed(
        Wire.created() + Wire.added(0, { ...item, input: "" }) +
          Wire.event({ type: "response.custom_tool_call_input.delta", ...at, delta: "print" }) +
          Wire.event({ type: "response.custom_tool_call_input.delta", ...at, delta: "(1)" }) +
          Wire.event({ type: "response.custom_tool_call_input.done", ...at, input: "print(1)" }) +
          Wire.done(0, item) + Wire.completed([item])
      )
      assert.deepStrictEqual(Part.toAnswer(live), parts)
    }))

  it.effect("are announced when their name is known", () =>
    Effect.gen(function*() {
      const at = { item_id: "fc_1", output_index: 0 }
      const parts = yield* streamed(
        Wire.event({ type: "response.function_call_arguments.delta", ...at, delta: "{\"x\"" }) +
          Wire.done(0, Wire.call("f", "{\"x\":1}")) + Wire.completed([])
      )
      assert.deepStrictEqual<unknown>(parts.slice(0, 3), [
        { type: "tool-params-start", id: "call_1", name: "f" },
        { type: "tool-params-delta", id: "call_1", delta: "{\"x\":1}" },
        metadata
      ])
      assert.deepStrictEqual<unknown>(calls(parts), [{ id: "call_1", name: "f", params: { x: 1 } }])
    }))

  it.effect("are what they are in the end", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.created() + Wire.callItem(0, "f", ["{\"x\":1}"]) + Wire.completed([Wire.call("f", "{\"x\":2}")])
      )
      assert.deepStrictEqual<unknown>(calls(parts), [{ id: "call_1", name: "f", params: { x: 2 } }])
    }))

  it.effect("that cannot be run are no answer", () =>
    Effect.gen(function*() {
      const bad = [
        [Wire.call("", "{}"), "no name"],
        [Wire.call("f", "{\"x\":"), "not JSON"],
        [Wire.call("f", "x"), "not JSON"]
      ] as const
      for (const [item, problem] of bad) {
        for (const mode of ["whole", "stream"] as const) {
          for (const body of [Wire.answer([item]), events([item])]) {
            const { error } = yield* failure(body, mode)
            const cause = error._tag === "StreamInterrupted" ? error.failure : error
            assert(cause?._tag === "MalformedResponse")
            assert.include(cause.problem, problem)
          }
        }
      }
    }))

  it.effect("of an answer that did not end well are none, unless they are complete", () =>
    Effect.gen(function*() {
      const output = [
        Wire.call("f", "{\"x\":1}"),
        Wire.call("g", "{\"x\":2}", { id: "fc_2", call_id: "call_2", status: "incomplete" }),
        Wire.call("h", "{\"x\":", { id: "fc_3", call_id: "call_3", status: "incomplete" })
      ]
      const names = (reason: string) =>
        Effect.map(
          forms(output, { status: "incomplete", incomplete_details: { reason } }),
          (parts) => [finishOf(parts).reason, ...calls(parts).map(({ name }) => name)]
        )
      assert.deepStrictEqual(yield* names("max_output_tokens"), ["length", "f"])
      assert.deepStrictEqual(yield* names("something_new"), ["other", "f"])
      assert.deepStrictEqual(yield* names("content_filter"), ["content-filter"])
      for (
        const body of [
          Wire.created() + Wire.callItem(0, "f", ["{}"]),
          events(output, Wire.failed({ code: "server_error" }))
        ]
      ) {
        assert.deepStrictEqual(calls(yield* Effect.orElseSucceed(streamed(body), () => [])), [])
        assert.strictEqual((yield* failure(body, "stream")).error._tag, "StreamInterrupted")
      }
    }))
})
