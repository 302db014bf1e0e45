/**
 * What answers become, whole and streamed, in all the ways in which servers write them.
 */
import { assert, describe, it } from "@effect/vitest"
import type { LlmError, Part } from "effect-bulwark"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { failure, finishOf, ofType, piece, streamed, text, whole } from "./support/ask.ts"
import * as Wire from "./support/wire.ts"

const metadata = {
  type: "response-metadata",
  id: "chatcmpl-1",
  modelId: "served-model",
  timestamp: "2023-11-14T22:13:20.000Z"
}

describe("a stream", () => {
  it.effect("becomes parts", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event(Wire.chunk({ role: "assistant", content: "" })) +
          Wire.event(Wire.chunk({ reasoning_content: "hm" })) +
          Wire.textChunk("Hel") +
          Wire.textChunk("lo") +
          piece({ index: 0, id: "c1" }, { name: "f", arguments: "" }) +
          piece({ index: 0 }, { arguments: "{\"x\":" }) +
          piece({ index: 0 }, { arguments: "1}" }) +
          Wire.finishChunk("tool_calls", { system_fingerprint: "fp_1", service_tier: "default" }) +
          Wire.event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }) +
          Wire.done
      )
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts, [
        metadata,
        { type: "reasoning-start", id: "0" },
        { type: "reasoning-delta", id: "0", delta: "hm" },
        { type: "reasoning-end", id: "0" },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "Hel" },
        { type: "text-delta", id: "1", delta: "lo" },
        { type: "text-end", id: "1" },
        { type: "tool-params-start", id: "c1", name: "f" },
        { type: "tool-params-delta", id: "c1", delta: "{\"x\":" },
        { type: "tool-params-delta", id: "c1", delta: "1}" },
        { type: "tool-params-end", id: "c1" },
        { type: "tool-call", id: "c1", name: "f", params: { x: 1 } },
        {
          type: "finish",
          reason: "tool-calls",
          usage: { inputTokens: { uncached: 9, total: 9 }, outputTokens: { total: 3, text: 3 } },
          response: undefined,
          metadata: {
            openai: {
              finishReason: "tool_calls",
              systemFingerprint: "fp_1",
              serviceTier: "default",
              usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 }
            }
          }
        }
      ])
    }))

  it.effect("is described by the first chunk that describes it", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event({ id: "", model: "", created: 0, choices: [], prompt_filter_results: [] }) + Wire.streamOf("hi")
      )
      assert.deepStrictEqual<unknown>(parts[0], metadata)
      assert.strictEqual(ofType(parts, "response-metadata").length, 1)
    }))

  const say = Wire.streamOf("Hello", ", \u2028\u0085 wörld 🌍")
  const framings: { readonly [name: string]: string } = {
    "CRLF": say.replaceAll("\n", "\r\n"),
    "CR": say.replaceAll("\n", "\r"),
    "a byte order mark": `\uFEFF${say}`,
    "blank lines before it": `\n\n\r\n${say}`,
    "comments": `: hi\n\n: ping\n${say.replaceAll("data:", ": keep-alive\ndata:")}`,
    "other fields": say.replaceAll("data:", "id: 1\nretry: 10\nx: y\nevent: message\ndata:"),
    "no space after the colon": say.replaceAll("data: ", "data:"),
    "data on several lines": say.replaceAll(",\"object\"", ",\ndata: \"object\""),
    "no [DONE]": say.replace(Wire.done, ""),
    "no blank line at the end": say.replace(`\n\n${Wire.done}`, ""),
    "[DONE] without a line end": say.trimEnd(),
    "anything after [DONE]": `${say}data: {no json}\n\n${Wire.textChunk("more")}`,
    "annotations": say.replaceAll(
      "data: {",
      `${Wire.event({ id: "", choices: [{ index: 0, content_filter_offsets: {} }] })}data: {`
    )
  }
  for (const [name, body] of Object.entries(framings)) {
    it.effect(`may have ${name}`, () =>
      Effect.gen(function*() {
        const parts = yield* streamed(body)
        assert.strictEqual(text(parts), "Hello, \u2028\u0085 wörld 🌍")
        assert.strictEqual(finishOf(parts).reason, "stop")
      }))
  }

  it.effect("is not whole without a finish reason", () =>
    Effect.gen(function*() {
      const bodies = [
        "",
        ": nothing\n\n",
        Wire.textChunk("one"),
        Wire.textChunk("one") + Wire.done,
        Wire.textChunk("one") + Wire.finishChunk("") + Wire.done,
        Wire.streamOf("one").slice(0, -100)
      ]
      for (const body of bodies) {
        const { error } = yield* failure(body, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), body.includes("one") ? "one" : "")
      }
    }))

  it.effect("may have a chunk that is no JSON", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.textChunk("one") + Wire.event("{oops") + Wire.event("7") + Wire.finishChunk() + Wire.done
      )
      assert.strictEqual(text(parts), "one")
      assert.deepInclude(finishOf(parts).metadata?.["openai"], { malformedChunks: 2 })
    }))

  it.effect("is none where no chunk is JSON", () =>
    Effect.gen(function*() {
      for (const body of [Wire.event("{oops"), Wire.event("{oops") + Wire.done]) {
        const { error } = yield* failure(body, "stream")
        assert.strictEqual(error._tag, "MalformedResponse")
      }
    }))

  it.effect("says what its first choice says", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event({ choices: [{ index: 0, delta: { content: "a" } }, { index: 1, delta: { content: "b" } }] }) +
          Wire.event({ choices: [{ index: 1, delta: {}, finish_reason: "length" }] }) +
          Wire.event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })
      )
      assert.strictEqual(text(parts), "a")
      assert.strictEqual(finishOf(parts).reason, "stop")
    }))

  it.effect("endures chunks of any shape", () =>
    Effect.gen(function*() {
      const strange = [
        {},
        { choices: null },
        { choices: [null, 1, "x", []] },
        { choices: [{}] },
        { choices: [{ delta: null }] },
        { choices: [{ delta: { content: 7, tool_calls: "x", reasoning: {} } }] },
        { choices: [{ delta: { tool_calls: [] } }] },
        { choices: [{ delta: { content: [null, { type: "image" }, { type: "text" }] } }] },
        { usage: "lots", system_fingerprint: 7, created: "now", id: 7 },
        []
      ]
      const parts = yield* streamed(
        Wire.textChunk("a") + strange.map(Wire.event).join("") + Wire.textChunk("b") + Wire.finishChunk()
      )
      assert.strictEqual(text(parts), "ab")
    }))

  it.effect("may come where none was asked for, and the other way round", () =>
    Effect.gen(function*() {
      const answered = yield* whole(Wire.streamOf("Hel", "lo"))
      assert.deepStrictEqual(ofType(answered as ReadonlyArray<Part.Part>, "finish").length, 1)
      assert.deepInclude(answered as ReadonlyArray<unknown>, { type: "text", text: "Hello" })
      const parts = yield* streamed(Wire.answer({ content: "Hello" }))
      assert.strictEqual(text(parts), "Hello")
      assert.strictEqual(finishOf(parts).reason, "stop")
      const { error } = yield* failure(Wire.textChunk("one"), "whole")
      assert.strictEqual(error._tag, "StreamInterrupted")
    }))
})

describe("a full answer", () => {
  it.effect("becomes parts", () =>
    Effect.gen(function*() {
      const parts = yield* whole(Wire.answer({
        content: "Hello",
        reasoning: "hm",
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{\"x\":1}" } }]
      }, { finish_reason: "tool_calls" }))
      assert.deepStrictEqual<ReadonlyArray<unknown>>(parts.slice(0, -1), [
        metadata,
        { type: "reasoning", text: "hm" },
        { type: "text", text: "Hello" },
        { type: "tool-call", id: "c1", name: "f", params: { x: 1 } }
      ])
      assert.strictEqual(finishOf(parts).reason, "tool-calls")
    }))

  it.effect("may have blank lines before it", () =>
    Effect.gen(function*() {
      const parts = yield* whole(`\n\n  \n${Wire.answer({ content: "Hello" })}\n`)
      assert.deepInclude(parts as ReadonlyArray<unknown>, { type: "text", text: "Hello" })
    }))

  it.effect("is malformed where it is none", () =>
    Effect.gen(function*() {
      const bodies = [
        "",
        "{\"id\":",
        "7",
        "[]",
        "{}",
        "{\"choices\":null}",
        "{\"choices\":[]}",
        "{\"choices\":[{}]}",
        "<html></html>",
        "words"
      ]
      for (const body of bodies) {
        const { error } = yield* failure(body, "whole")
        assert.strictEqual(error._tag, "MalformedResponse", body)
      }
    }))
})

describe("any bytes at all", () => {
  const seeds = [
    Wire.streamOf("one", "two"),
    piece({ index: 0, id: "a" }, { name: "f", arguments: "{\"x\":1}" }) + Wire.finishChunk("tool_calls") + Wire.done,
    Wire.textChunk("one") + Wire.event({ error: { message: "slow down", code: 429 } }),
    Wire.answer({ content: "Hello", tool_calls: [{ id: "c1", function: { name: "f", arguments: "{}" } }] }),
    JSON.stringify({ error: { message: "Limit 5, Requested 9", code: 400, metadata: { raw: "{}" }, details: [{}] } })
  ]
  const scraps = [
    "null",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "\n\n",
    "data: ",
    "1e999",
    "-1",
    "{}",
    "\r",
    "\uFEFF",
    "9e9"
  ]

  it.effect("become an answer or a failure that has a name", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 3000; round++) {
        let body = yield* pick(seeds)
        const times = yield* Random.nextIntBetween(1, 4)
        for (let time = 0; time < times; time++) {
          const at = yield* Random.nextIntBetween(0, body.length)
          const cut = yield* Random.nextIntBetween(0, 20)
          body = body.slice(0, at) + (yield* pick(scraps)) + body.slice(at + cut)
        }
        const runs: ReadonlyArray<Effect.Effect<unknown, LlmError.ProviderError>> = [whole(body), streamed(body)]
        for (const run of runs) {
          const exit = yield* Effect.exit(run)
          if (Exit.isFailure(exit)) assert.isFalse(Cause.hasDies(exit.cause), body)
        }
      }
    }).pipe(Random.withSeed("any bytes")))

  const pick = <A>(values: ReadonlyArray<A>): Effect.Effect<A> =>
    Effect.map(Random.nextIntBetween(0, values.length - 1), (index) => values[index]!)
})
