/**
 * How answers of the Responses API end, well and badly, and what they say beside their words.
 */
import { assert, describe, it } from "@effect/vitest"
import { Part, Usage } from "effect-bulwark"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { finishOf, ofType, text } from "./support/ask.ts"
import { events, failure, forms, openai, own, streamed, whole } from "./support/responsesForms.ts"
import * as Wire from "./support/responsesWire.ts"

describe("the end", () => {
  const incomplete = (reason: unknown) => ({ status: "incomplete", incomplete_details: { reason } })

  const reasons: ReadonlyArray<readonly [rest: object, reason: string, raw: string]> = [
    [{}, "stop", "completed"],
    [{ status: undefined }, "stop", "completed"],
    [incomplete("max_output_tokens"), "length", "max_output_tokens"],
    [incomplete("content_filter"), "content-filter", "content_filter"],
    [incomplete("max_messages"), "other", "max_messages"],
    [incomplete("something_new"), "other", "something_new"],
    [incomplete(null), "other", "incomplete"],
    [{ status: "incomplete" }, "other", "incomplete"]
  ]
  for (const [rest, reason, raw] of reasons) {
    it.effect(`${raw} is ${reason}`, () =>
      Effect.gen(function*() {
        const bodies = [
          Wire.answer([Wire.message("hi")], rest),
          events([Wire.message("hi")], Wire.event({ type: "response.done", response: Wire.response([], rest) }))
        ]
        for (const body of bodies) {
          const finish = finishOf(yield* streamed(body))
          assert.strictEqual(finish.reason, reason)
          assert.strictEqual(own(finish)["finishReason"], raw)
        }
      }))
  }

  it.effect("is what its event says", () =>
    Effect.gen(function*() {
      const body = Wire.begun("one") + Wire.incomplete("max_output_tokens", [Wire.message("one two")])
      const parts = yield* streamed(body)
      assert.strictEqual(text(parts), "one two")
      assert.strictEqual(finishOf(parts).reason, "length")
      const odd = Wire.begun("one") + Wire.completed([Wire.message("one")], { status: "in_progress" })
      assert.strictEqual(finishOf(yield* streamed(odd)).reason, "stop")
    }))

  it.effect("is missing: the stream is interrupted", () =>
    Effect.gen(function*() {
      const ends = ["", "data: [DONE]\n\n", Wire.done(0, Wire.message("one"))]
      for (const end of ends) {
        const { error } = yield* failure(Wire.begun("one") + end, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), "one")
      }
      assert.strictEqual((yield* failure(Wire.created(), "stream")).error._tag, "StreamInterrupted")
    }))

  it.effect("is not there yet, of what goes on in the background", () =>
    Effect.gen(function*() {
      for (const status of ["queued", "in_progress", "cancelled"]) {
        for (const mode of ["whole", "stream"] as const) {
          const { error } = yield* failure(Wire.answer([], { status }), mode)
          assert(error._tag === "MalformedResponse")
          assert.include(error.problem, "background")
          assert.isFalse(error.retryable)
        }
      }
    }))

  it.effect("takes nothing that comes after it", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.streamOf("one") + Wire.textDelta(0, "two") + Wire.error("server_error") + "data: [DONE]\n\n"
      )
      assert.strictEqual(text(parts), "one")
      assert.strictEqual(finishOf(parts).reason, "stop")
    }))
})

describe("usage", () => {
  const usageOf = (usage: unknown) =>
    Effect.map(forms([Wire.message("x")], { usage }), (parts) => finishOf(parts).usage)

  it.effect("is counted in buckets that do not overlap", () =>
    Effect.gen(function*() {
      const usage = yield* usageOf({
        input_tokens: 100,
        input_tokens_details: { cached_tokens: 80, cache_write_tokens: 7 },
        output_tokens: 42,
        output_tokens_details: { reasoning_tokens: 12 },
        total_tokens: 142
      })
      assert.deepStrictEqual<unknown>(usage, {
        inputTokens: { uncached: 13, total: 100, cacheRead: 80, cacheWrite: 7 },
        outputTokens: { total: 42, text: 30, reasoning: 12 }
      })
      const buckets = Usage.fromEncoded(usage)
      assert.strictEqual(Usage.input(buckets) + Usage.output(buckets), 142)
    }))

  it.effect("is what is said, and no more", () =>
    Effect.gen(function*() {
      for (const usage of [null, undefined, {}, { input_tokens: "many" }]) {
        assert.deepStrictEqual<unknown>(yield* usageOf(usage), { inputTokens: {}, outputTokens: {} })
      }
    }))
})

describe("sources", () => {
  const annotations = [
    { type: "url_citation", url: "https://example.com/a", title: "A", start_index: 0, end_index: 2 },
    { type: "url_citation", url: "https://example.com/b", start_index: 0, end_index: 2 },
    { type: "url_citation", url: "no address", title: "?" },
    { type: "file_citation", file_id: "file-1", filename: "a.pdf", index: 1 },
    { type: "file_path", file_id: "file-2", index: 1 },
    { type: "something_new" }
  ]

  const expected = (block: string) => [
    { type: "source", sourceType: "url", id: `${block}.0`, url: "https://example.com/a", title: "A" },
    {
      type: "source",
      sourceType: "url",
      id: `${block}.1`,
      url: "https://example.com/b",
      title: "https://example.com/b"
    },
    {
      type: "source",
      sourceType: "document",
      id: `${block}.3`,
      mediaType: "application/octet-stream",
      title: "a.pdf",
      fileName: "a.pdf",
      ...openai({ fileId: "file-1" })
    },
    {
      type: "source",
      sourceType: "document",
      id: `${block}.4`,
      mediaType: "application/octet-stream",
      title: "file-2",
      ...openai({ fileId: "file-2" })
    }
  ]

  it.effect("are the annotations of texts", () =>
    Effect.gen(function*() {
      const parts = yield* forms([Wire.search, Wire.message("hi", {}, { annotations })])
      assert.deepStrictEqual<unknown>(ofType(parts, "source"), expected("1.0"))
      assert.deepStrictEqual(own(parts.find(({ type }) => type === "text"))["annotations"], annotations)
    }))

  it.effect("are told once, however often the server does", () =>
    Effect.gen(function*() {
      const at = { item_id: "msg_1", output_index: 0, content_index: 0 }
      const live = Wire.growing(0, "hi") +
        annotations.map((annotation, annotation_index) =>
          Wire.event({ type: "response.output_text.annotation.added", ...at, annotation_index, annotation })
        ).join("")
      const item = Wire.message("hi", {}, { annotations })
      for (const end of [Wire.completed([]), Wire.done(0, item) + Wire.completed([item])]) {
        const parts = yield* streamed(Wire.created() + live + end)
        assert.deepStrictEqual<unknown>(ofType(parts, "source"), expected("0.0"))
        for (const part of parts) Part.decode(part)
      }
    }))
})

describe("content policies", () => {
  it.effect("let the model refuse, which is paid for all the same", () =>
    Effect.gen(function*() {
      const at = { item_id: "msg_1", output_index: 0, content_index: 0 }
      const live = Wire.created() + Wire.added(0, Wire.message("", { content: [] })) +
        Wire.event({ type: "response.content_part.added", ...at, part: { type: "refusal", refusal: "" } }) +
        Wire.event({ type: "response.refusal.delta", ...at, delta: "I will " }) +
        Wire.event({ type: "response.refusal.delta", ...at, delta: "not." }) +
        Wire.event({ type: "response.refusal.done", ...at, refusal: "I will not." }) +
        Wire.event({ type: "response.content_part.done", ...at, part: { type: "refusal", refusal: "I will not." } }) +
        Wire.done(0, Wire.refusal("I will not.")) + Wire.completed([Wire.refusal("I will not.")])
      const bodies = [
        [Wire.answer([Wire.refusal("I will not.")]), "whole"],
        [events([Wire.refusal("I will not.")]), "stream"],
        [live, "stream"]
      ] as const
      for (const [body, mode] of bodies) {
        const { error, receipt } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.strictEqual(error.stage, "answer")
        assert.strictEqual(Redacted.value(error.detail!), "I will not.")
        assert.notInclude(error.message, "I will not.")
        assert.strictEqual(receipt.usage.inputUncached, 9)
        assert.strictEqual(receipt.usage.outputText, 3)
      }
    }))

  it.effect("may withhold an answer, and say why", () =>
    Effect.gen(function*() {
      const filtered = (category: string) => ({
        blocked: true,
        content_filter_results: { [category]: { filtered: true, severity: "high" }, hate: { filtered: false } }
      })
      const body = Wire.answer([], {
        status: "incomplete",
        incomplete_details: { reason: "content_filter" },
        content_filters: [filtered("violence"), filtered("sexual"), null]
      })
      for (const mode of ["whole", "stream"] as const) {
        const { error } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.deepStrictEqual(error.categories, ["violence", "sexual"])
      }
      const { error } = yield* failure(Wire.begun("one") + Wire.incomplete("content_filter"), "stream")
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(Redacted.value(error.partial), "one")
      assert.strictEqual(error.failure?._tag, "ContentFiltered")
    }))
})

describe("errors in an answer", () => {
  const kinds: ReadonlyArray<readonly [code: string | null, tag: string, message?: string]> = [
    ["server_error", "ServerError"],
    ["server_is_overloaded", "Overloaded"],
    ["rate_limit_exceeded", "RateLimited"],
    ["insufficient_quota", "QuotaExhausted"],
    ["context_length_exceeded", "ContextLengthExceeded"],
    ["invalid_prompt", "ContentFiltered"],
    ["bio_policy", "ContentFiltered"],
    ["misalignment_policy_violation", "ContentFiltered"],
    ["image_content_policy_violation", "ContentFiltered"],
    ["vector_store_timeout", "RequestTimeout"],
    ["data_residency_mismatch", "PermissionDenied"],
    ["invalid_base64_image", "InvalidRequest"],
    ["failed_to_download_image", "InvalidRequest"],
    ["previous_response_not_found", "InvalidRequest"],
    ["something_new", "ServerError"],
    [null, "ServerError"]
  ]
  for (const [code, tag] of kinds) {
    it.effect(`${code} is ${tag}, wherever it stands`, () =>
      Effect.gen(function*() {
        const failed = { code, message: "no" }
        const bodies = [
          [Wire.answer([], { status: "failed", error: failed }), "whole"],
          [Wire.answer([], { status: "failed", error: failed }), "stream"],
          [Wire.created() + Wire.failed(failed), "stream"],
          [Wire.created() + Wire.event({ type: "error", error: { ...failed, type: code } }), "stream"],
          [Wire.event({ type: "error", ...failed, param: null }), "stream"],
          [`data: ${JSON.stringify({ error: failed })}\n\n`, "stream"],
          [`event: error\ndata: ${JSON.stringify(failed)}\n\n`, "stream"]
        ] as const
        for (const [body, mode] of bodies) {
          const { error } = yield* failure(body, mode)
          assert.strictEqual(error._tag, tag)
          if (code !== null) assert.strictEqual(error.code, code)
        }
        const { error } = yield* failure(Wire.begun("one") + Wire.failed(failed), "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(Redacted.value(error.partial), "one")
        assert.strictEqual(error.failure?._tag, tag)
      }))
  }

  it.effect("are the request's fault where their type says so", () =>
    Effect.gen(function*() {
      const body = Wire.created() + Wire.error(null, "no", { type: "invalid_request_error" })
      assert.strictEqual((yield* failure(body, "stream")).error._tag, "InvalidRequest")
    }))

  it.effect("are known by the first, which is the more exact", () =>
    Effect.gen(function*() {
      for (const flat of [true, false]) {
        const body = Wire.created() + (flat
          ? Wire.event({ type: "error", code: "server_is_overloaded", message: "no" })
          : Wire.error("server_is_overloaded")) +
          Wire.failed({ code: "server_error", message: "no" })
        const { error } = yield* failure(body, "stream")
        assert.strictEqual(error._tag, "Overloaded")
        assert.strictEqual(error.code, "server_is_overloaded")
      }
    }))

  it.effect("may say nothing at all", () =>
    Effect.gen(function*() {
      const bodies = [
        [Wire.answer([], { status: "failed" }), "whole"],
        [Wire.created() + Wire.failed(null), "stream"],
        [JSON.stringify({ status: "failed" }), "whole"],
        [Wire.event({ type: "error" }), "stream"]
      ] as const
      for (const [body, mode] of bodies) assert.strictEqual((yield* failure(body, mode)).error._tag, "ServerError")
    }))
})

describe("what is not known", () => {
  it.effect("does no harm, and is named", () =>
    Effect.gen(function*() {
      const hologram = { id: "h_1", type: "hologram_call", status: "completed", depth: 3 }
      const parts = yield* streamed(
        Wire.created({ something_new: 1 }) + Wire.event({ type: "keepalive", sequence_number: 1 }) +
          Wire.added(0, hologram) + Wire.event({ type: "response.hologram_call.turning", output_index: 0 }) +
          Wire.done(0, hologram) + Wire.added(1, Wire.search) +
          Wire.event({ type: "response.web_search_call.searching", output_index: 1 }) + Wire.done(1, Wire.search) +
          Wire.textItem(2, "hi") +
          Wire.event({
            type: "response.content_part.added",
            output_index: 2,
            content_index: 1,
            part: { type: "smell" }
          }) +
          "data: {\"type\":\n\n" + Wire.event({ type: "<script>" }) +
          Wire.completed([hologram, Wire.search, Wire.message("hi")])
      )
      assert.strictEqual(text(parts), "hi")
      const finish = finishOf(parts)
      assert.strictEqual(finish.reason, "stop")
      assert.deepStrictEqual(own(finish)["ignoredParts"], ["hologram_call", "web_search_call", "smell"])
      assert.deepStrictEqual(own(finish)["ignoredEvents"], [
        "keepalive",
        "response.hologram_call.turning",
        "response.web_search_call.searching"
      ])
      assert.strictEqual(own(finish)["malformedChunks"], 1)
    }))

  it.effect("is not remembered without end", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 1000 }, (_, index) => Wire.event({ type: `response.new.${index}` })).join("")
      const ignored = own(finishOf(yield* streamed(many + Wire.streamOf("hi"))))["ignoredEvents"]
      assert.strictEqual((ignored as ReadonlyArray<string>).length, 16)
    }))

  it.effect("is malformed where it is no answer", () =>
    Effect.gen(function*() {
      const bodies = {
        "it is empty": "",
        "it is not JSON": "{\"output\":[{\"content\"",
        "it is not a JSON object": "[]",
        "it is a web page": "<!DOCTYPE html><title>Responses</title>",
        "it has no output": JSON.stringify({ id: "resp_1", status: "completed", usage: Wire.usage })
      }
      for (const [problem, body] of Object.entries(bodies)) {
        const { error } = yield* failure(body, "whole")
        assert(error._tag === "MalformedResponse", problem)
        assert.include(error.problem, problem)
      }
      assert.strictEqual((yield* failure("data: x\n\n", "stream")).error._tag, "MalformedResponse")
    }))
})

describe("whatever a server sends", () => {
  const item = (at: object) => ({ output_index: 0, content_index: 0, summary_index: 0, item_id: "msg_1", ...at })

  const stream: ReadonlyArray<object> = [
    { type: "response.created", response: Wire.response([], { status: "in_progress" }) },
    item({ type: "response.output_item.added", item: Wire.reasoning(["hm"], { encrypted_content: "e" }) }),
    item({ type: "response.reasoning_summary_text.delta", delta: "hm" }),
    item({ type: "response.output_item.done", item: Wire.reasoning(["hm"]) }),
    item({ type: "response.content_part.added", output_index: 1, part: { type: "output_text", text: "h" } }),
    item({ type: "response.output_text.delta", output_index: 1, delta: "i" }),
    item({
      type: "response.output_text.annotation.added",
      output_index: 1,
      annotation: { url: "https://example.com" }
    }),
    item({ type: "response.output_item.added", output_index: 2, item: Wire.call("f", "{}") }),
    item({ type: "response.function_call_arguments.done", output_index: 2, arguments: "{}" })
  ]
  const end = {
    type: "response.completed",
    response: Wire.response([
      Wire.reasoning(["hm"]),
      Wire.message("hi", {}, { annotations: [{ type: "url_citation", url: "https://example.com", title: "t" }] }),
      Wire.call("f", "{}")
    ], { service_tier: "default", content_filters: [{ content_filter_results: {} }] })
  }

  /** The value with each of its values, at any depth, replaced by another. */
  const damaged = (value: unknown, by: unknown): ReadonlyArray<unknown> => {
    if (typeof value !== "object" || value === null) return [by]
    const copies = [by]
    for (const [key, inner] of Object.entries(value)) {
      for (const next of damaged(inner, by)) {
        copies.push(Array.isArray(value) ? value.with(Number(key), next) : { ...value, [key]: next })
      }
    }
    return copies
  }

  it.effect("is an answer or a typed failure", () =>
    Effect.gen(function*() {
      let answers = 0
      for (const by of [null, "", "x", -1, 1e308, true, [], {}, [null], { error: {} }]) {
        for (const sent of damaged([...stream, end], by)) {
          const events = Array.isArray(sent) ? sent : [sent]
          const body = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
          const parts = yield* Effect.orElseSucceed(streamed(body), () => [])
          // What the rest of the library does with them.
          for (const part of parts) Part.decode(part)
          if (parts.some(({ type }) => type === "finish")) answers++
        }
        for (const sent of damaged(end.response, by)) {
          const parts = yield* Effect.orElseSucceed(whole(JSON.stringify(sent)), () => [])
          for (const part of parts) Part.decodeAnswer(part)
          if (parts.length > 0) answers++
        }
      }
      assert.isAbove(answers, 1000)
    }))
})
