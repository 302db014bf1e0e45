/**
 * What answers of the Messages API become, whole and streamed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, Part, Usage } from "effect-bulwark"
import { AnthropicMessages, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { asking, calls, finishOf, ofType, text, thoughts } from "./support/ask.ts"
import * as Wire from "./support/messagesWire.ts"
import * as Replay from "./support/replayServer.ts"

const { failure, streamed, whole } = asking(AnthropicMessages.make("p", {}))

const reasonOf = (raw: string) =>
  Effect.gen(function*() {
    const parts = yield* streamed(Wire.streamOf(Wire.textBlock(0, "hi"), raw))
    const answer = yield* whole(Wire.textAnswer("hi", { stop_reason: raw }))
    assert.strictEqual(finishOf(answer).reason, finishOf(parts).reason)
    return finishOf(parts).reason
  })

describe("stop reasons", () => {
  const reasons = {
    end_turn: "stop",
    stop_sequence: "stop",
    max_tokens: "length",
    model_context_window_exceeded: "length",
    pause_turn: "pause",
    refusal: "content-filter",
    something_new: "other"
  }
  for (const [raw, reason] of Object.entries(reasons)) {
    it.effect(`${raw} is ${reason}`, () => Effect.map(reasonOf(raw), (is) => assert.strictEqual(is, reason)))
  }

  it.effect("are kept as they came, with the sequence that was met", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.start() + Wire.textBlock(0, "hi") + Wire.ending("stop_sequence", { stop_sequence: "END" }) + Wire.stop
      )
      const own = finishOf(parts).metadata?.["anthropic"] as { readonly [field: string]: unknown }
      assert.strictEqual(own["finishReason"], "stop_sequence")
      assert.strictEqual(own["stopSequence"], "END")
    }))

  it.effect("that are missing are unknown in a whole answer", () =>
    Effect.gen(function*() {
      const answer = yield* whole(Wire.textAnswer("hi", { stop_reason: null }))
      assert.strictEqual(finishOf(answer).reason, "unknown")
    }))

  it.effect("a refusal is a filtered answer, with its category and its words", () =>
    Effect.gen(function*() {
      const stop_details = { type: "refusal", category: "cyber", explanation: "It is about break-ins." }
      for (const mode of ["whole", "stream"] as const) {
        const body = mode === "whole"
          ? Wire.answer([], { stop_reason: "refusal", stop_details })
          : Wire.start() + Wire.ending("refusal", { stop_details }) + Wire.stop
        const { error, receipt } = yield* failure(body, mode)
        assert(error._tag === "ContentFiltered")
        assert.deepStrictEqual(error.categories, ["cyber"])
        assert.strictEqual(error.detail && Redacted.value(error.detail), "It is about break-ins.")
        assert.notInclude(error.message, "break-ins")
        assert.strictEqual(Usage.output(receipt.usage), 3)
      }
    }))
})

describe("streams", () => {
  it.effect("are complete without `message_stop`, and with anything unknown in them", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.event({ type: "ping" }) + Wire.start() + Wire.start() +
          Wire.event({ type: "future_event", message: "hello", detail: "x" }) +
          Wire.blockStart(0, { type: "text", text: "", future: 1 }) +
          Wire.delta(0, { type: "future_delta", text: "no" }) +
          Wire.delta(0, { type: "text_delta", text: "one" }) +
          Wire.blockStop(0) +
          Wire.block(1, { type: "server_tool_use", id: "s", name: "web_search", input: {} }) +
          "data: {half\n\n" +
          Wire.ending()
      )
      assert.strictEqual(text(parts), "one")
      assert.strictEqual(ofType(parts, "response-metadata").length, 1)
      const own = finishOf(parts).metadata?.["anthropic"] as { readonly [field: string]: unknown }
      assert.deepStrictEqual(own["ignoredParts"], ["server_tool_use"])
      assert.strictEqual(own["malformedChunks"], 1)
    }))

  it.effect("say which message it is", () =>
    Effect.gen(function*() {
      const [metadata] = yield* streamed(Wire.streamOf(Wire.textBlock(0, "hi")))
      assert.deepStrictEqual(metadata, { type: "response-metadata", id: "msg_1", modelId: "served-model" })
    }))

  it.effect("are interrupted without a stop reason, `message_stop` or not", () =>
    Effect.gen(function*() {
      for (const body of [Wire.begun("one"), Wire.begun("one") + Wire.blockStop(0) + Wire.stop]) {
        const { error } = yield* failure(body, "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.reason, "unfinished")
        assert.strictEqual(Redacted.value(error.partial), "one")
      }
    }))

  it.effect("that leave out the start of a block are read all the same", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.start() + Wire.delta(0, { type: "thinking_delta", thinking: "hm" }) +
          Wire.delta(1, { type: "text_delta", text: "one" }) +
          Wire.delta(2, { type: "input_json_delta", partial_json: "{}" }) + Wire.ending() + Wire.stop
      )
      assert.strictEqual(text(parts), "one")
      assert.strictEqual(thoughts(parts), "hm")
      assert.deepStrictEqual(calls(parts), [])
    }))

  it.effect("that come where a whole answer was asked for are read", () =>
    Effect.gen(function*() {
      const answer = yield* whole(Wire.streamOf(Wire.textBlock(0, "one", " two")))
      assert.deepStrictEqual(ofType(answer, "text" as never), [{ type: "text", text: "one two" }] as never)
    }))

  it.effect("whole answers that come where a stream was asked for are read", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(Wire.textAnswer("one"))
      assert.strictEqual(text(parts), "one")
      assert.strictEqual(finishOf(parts).reason, "stop")
    }))

  it.effect("fold to what a whole answer says", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.streamOf(
          Wire.block(
            0,
            { type: "thinking", thinking: "", signature: "" },
            { type: "thinking_delta", thinking: "h" },
            { type: "thinking_delta", thinking: "m" },
            { type: "signature_delta", signature: "sig" }
          ) + Wire.textBlock(1, "one", " two") + Wire.callBlock(2, "t1", "f", "{\"a\"", ":1}"),
          "tool_use"
        )
      )
      const answer = yield* whole(Wire.answer([
        { type: "thinking", thinking: "hm", signature: "sig" },
        { type: "text", text: "one two" },
        { type: "tool_use", id: "t1", name: "f", input: { a: 1 } }
      ], { stop_reason: "tool_use" }))
      const kept = (all: ReadonlyArray<Part.AnswerPart>) => all.filter(({ type }) => type !== "finish")
      assert.deepStrictEqual(kept(Part.toAnswer(parts)), kept(answer))
    }))
})

describe("errors inside a stream", () => {
  const types = {
    overloaded_error: "Overloaded",
    rate_limit_error: "RateLimited",
    api_error: "ServerError",
    invalid_request_error: "InvalidRequest",
    authentication_error: "AuthenticationFailed",
    timeout_error: "RequestTimeout",
    something_new: "ServerError"
  }
  for (const [type, tag] of Object.entries(types)) {
    it.effect(`${type} is ${tag}, or the reason of an interruption`, () =>
      Effect.gen(function*() {
        const before = yield* failure(Wire.start() + Wire.error(type, "no"), "stream")
        assert.strictEqual(before.error._tag, tag)
        const after = yield* failure(Wire.begun("one") + Wire.error(type, "no"), "stream")
        assert(after.error._tag === "StreamInterrupted")
        assert.strictEqual(after.error.reason, "failed")
        assert.strictEqual(after.error.failure?._tag, tag)
        const whole = yield* failure(JSON.stringify({ type: "error", error: { type, message: "no" } }), "whole")
        assert.strictEqual(whole.error._tag, tag)
      }))
  }

  it.effect("undo nothing when the answer is complete", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.start() + Wire.textBlock(0, "one") + Wire.ending() + Wire.error("api_error", "too late")
      )
      assert.strictEqual(text(parts), "one")
      const own = finishOf(parts).metadata?.["anthropic"] as { readonly [field: string]: unknown }
      assert.strictEqual(own["errorAfterFinish"], "api_error")
    }))

  it.effect("and answers that are none are malformed", () =>
    Effect.gen(function*() {
      for (const body of ["", "[]", "{}", "{\"type\":\"message\"}", "{\"content\":"]) {
        assert.strictEqual((yield* failure(body, "whole")).error._tag, "MalformedResponse", body)
      }
      assert.strictEqual((yield* failure("data: nonsense\n\n", "stream")).error._tag, "MalformedResponse")
    }))
})

describe("usage", () => {
  it.effect("counts each token once", () =>
    Effect.gen(function*() {
      const usage = {
        input_tokens: 10,
        cache_read_input_tokens: 200,
        cache_creation_input_tokens: 3000,
        cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 2000 },
        output_tokens: 50,
        output_tokens_details: { thinking_tokens: 30 }
      }
      const finish = finishOf(yield* whole(Wire.textAnswer("hi", { usage })))
      assert.deepStrictEqual(finish.usage, {
        inputTokens: { uncached: 10, total: 3210, cacheRead: 200, cacheWrite: 3000 },
        outputTokens: { total: 50, text: 20, reasoning: 30 }
      })
      assert.deepStrictEqual(Usage.fromEncoded(finish.usage), {
        inputUncached: 10,
        inputCacheRead: 200,
        inputCacheWrite: 3000,
        outputText: 20,
        outputReasoning: 30
      })
      // What stays for an hour has a price of its own, and so a bucket of its own.
      assert.deepStrictEqual(Usage.fromFinish(finish), {
        inputUncached: 10,
        inputCacheRead: 200,
        inputCacheWrite: 1000,
        inputCacheWrite1h: 2000,
        outputText: 20,
        outputReasoning: 30
      })
      const own = finish.metadata?.["anthropic"] as { readonly usage: { readonly cache_creation: unknown } }
      assert.deepStrictEqual(own.usage.cache_creation, usage.cache_creation)
    }))

  it.effect("is cumulative in a stream, and what is not repeated stays", () =>
    Effect.gen(function*() {
      const start = {
        input_tokens: 10,
        cache_read_input_tokens: 5,
        cache_creation: { ephemeral_5m_input_tokens: 7, ephemeral_1h_input_tokens: 0 },
        output_tokens: 1
      }
      const parts = yield* streamed(
        Wire.start(start) + Wire.textBlock(0, "hi") +
          Wire.ending("end_turn", {}, { output_tokens: 9, input_tokens: 12, cache_read_input_tokens: null }) + Wire.stop
      )
      assert.deepStrictEqual(finishOf(parts).usage, {
        inputTokens: { uncached: 12, total: 24, cacheRead: 5, cacheWrite: 7 },
        outputTokens: { total: 9, text: 9 }
      })
    }))

  it.effect("that is not said is not made up", () =>
    Effect.gen(function*() {
      const finish = finishOf(yield* whole(Wire.textAnswer("hi", { usage: null })))
      assert.deepStrictEqual(finish.usage, { inputTokens: {}, outputTokens: {} })
    }))
})

describe("thoughts", () => {
  const body = Wire.streamOf(
    Wire.block(
      0,
      { type: "thinking", thinking: "", signature: "" },
      { type: "thinking_delta", thinking: "hm" },
      { type: "signature_delta", signature: "sig-" },
      { type: "signature_delta", signature: "1" }
    ) + Wire.block(1, { type: "redacted_thinking", data: "sealed" }) +
      Wire.block(2, { type: "thinking", thinking: "", signature: "" }, {
        type: "signature_delta",
        signature: "sig-2"
      }) +
      Wire.textBlock(3, "So.")
  )

  it.effect("come with their signatures", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(ofType(Part.toAnswer(yield* streamed(body)), "reasoning" as never), [
        { type: "reasoning", text: "hm", metadata: { anthropic: { signature: "sig-1" } } },
        { type: "reasoning", text: "", metadata: { anthropic: { redactedData: "sealed" } } },
        { type: "reasoning", text: "", metadata: { anthropic: { signature: "sig-2" } } }
      ] as never)
    }))

  it.effect("go back unchanged in the next turn", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body }))
      class P extends Provider.Service<P>()("p") {}
      const llm = Llm.model(P, "m")
      yield* Effect.gen(function*() {
        const question = Prompt.make("Why?")
        const parts = yield* Stream.runCollect(Llm.streamText(llm, { prompt: question }))
        const turn = Prompt.fromResponseParts(parts.filter((part) => part.type !== "retract"))
        yield* Stream.runDrain(Llm.streamText(llm, {
          prompt: Prompt.concat(Prompt.concat(question, turn), "And then?")
        }))
      }).pipe(
        Effect.provide(AnthropicMessages.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer)))
      )
      const { messages } = JSON.parse(server.requests[1]?.body ?? "{}") as { readonly messages: unknown }
      assert.deepStrictEqual(messages, [
        { role: "user", content: [{ type: "text", text: "Why?" }] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "sig-1" },
            { type: "redacted_thinking", data: "sealed" },
            { type: "thinking", thinking: "", signature: "sig-2" },
            { type: "text", text: "So." }
          ]
        },
        { role: "user", content: [{ type: "text", text: "And then?" }] }
      ])
    }))
})

describe("tool calls", () => {
  it.effect("in parallel, without parameters, and with all of them at once", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.streamOf(
          Wire.callBlock(0, "t1", "f", "", "{\"a\":", "1}") + Wire.callBlock(1, "t2", "g", "") +
            Wire.block(2, { type: "tool_use", id: "t3", name: "h", input: { b: 2 } }),
          "tool_use"
        )
      )
      assert.deepStrictEqual(calls(parts), [
        { id: "t1", name: "f", params: { a: 1 } },
        { id: "t2", name: "g", params: {} },
        { id: "t3", name: "h", params: { b: 2 } }
      ])
      assert.strictEqual(finishOf(parts).reason, "tool-calls")
      assert.strictEqual(ofType(parts, "tool-params-end").length, 3)
    }))

  it.effect("that were cut are none", () =>
    Effect.gen(function*() {
      const first = Wire.callBlock(0, "t1", "f", "{\"a\":1}")
      for (const cut of [Wire.callBlock(1, "t2", "g", "{\"b\":"), Wire.callBlock(1, "t2", "g", "")]) {
        const parts = yield* streamed(Wire.streamOf(first + cut, "max_tokens"))
        assert.deepStrictEqual(calls(parts).map(({ id }) => id), ["t1"])
        assert.strictEqual(finishOf(parts).reason, "length")
      }
      const refused = yield* streamed(Wire.streamOf(first, "refusal"))
      assert.deepStrictEqual(calls(refused), [])
    }))

  it.effect("whose parameters are not JSON are malformed", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(Wire.streamOf(Wire.callBlock(0, "t1", "f", "{\"a\":"), "tool_use"), "stream")
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.failure?._tag, "MalformedResponse")
    }))

  it.effect("are run, and their results go back", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest((request, response) =>
        Replay.reply({
          body: request.body.includes("tool_result")
            ? Wire.textAnswer("It is noon.")
            : Wire.answer(
              [
                { type: "thinking", thinking: "hm", signature: "sig" },
                { type: "tool_use", id: "toolu_1", name: "time", input: { zone: "UTC" } },
                { type: "tool_use", id: "toolu_2", name: "time", input: { zone: "CET" } }
              ],
              { stop_reason: "tool_use" }
            )
        })(request, response)
      )
      class P extends Provider.Service<P>()("p") {}
      const llm = Llm.model(P, "m")
      const Time = Tool.make("time", {
        parameters: Schema.Struct({ zone: Schema.String }),
        success: Schema.Struct({ at: Schema.String })
      })
      const toolkit = Toolkit.make(Time)
      const last = yield* Effect.gen(function*() {
        const question = Prompt.make("What time is it?")
        const first = yield* Llm.generateText(llm, { prompt: question, toolkit })
        assert.strictEqual(first.toolResults.length, 2)
        return yield* Llm.generateText(llm, {
          prompt: Prompt.concat(question, Prompt.fromResponseParts(first.content)),
          toolkit
        })
      }).pipe(
        Effect.provide(Layer.merge(
          toolkit.toLayer({ time: ({ zone }) => Effect.succeed({ at: `noon in ${zone}` }) }),
          AnthropicMessages.layer(P, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
        ))
      )
      assert.strictEqual(last.text, "It is noon.")
      const { messages } = JSON.parse(server.requests[1]?.body ?? "{}") as { readonly messages: ReadonlyArray<unknown> }
      assert.deepStrictEqual(messages.slice(1), [
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "sig" },
            { type: "tool_use", id: "toolu_1", name: "time", input: { zone: "UTC" } },
            { type: "tool_use", id: "toolu_2", name: "time", input: { zone: "CET" } }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", content: "{\"at\":\"noon in UTC\"}" },
            { type: "tool_result", tool_use_id: "toolu_2", content: "{\"at\":\"noon in CET\"}" }
          ]
        }
      ])
    }))
})

describe("objects", () => {
  class P extends Provider.Service<P>()("p") {}

  const llm = Llm.model(P, "m")

  const object = <A, I>(schema: Schema.Codec<A, I>, body: string, options: AnthropicMessages.Options = {}) =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest(Replay.reply({ body }))
      const answer = yield* Llm.generateObject(llm, { prompt: "Read.", schema }).pipe(
        Effect.provide(
          AnthropicMessages.layer(P, { baseUrl: server.url, ...options }).pipe(Layer.provide(FetchHttpClient.layer))
        )
      )
      const sent = JSON.parse(server.requests[0]?.body ?? "{}") as {
        readonly tools?: ReadonlyArray<{ readonly name: string }>
      }
      return { value: answer.value, tool: sent.tools?.[0]?.name, reason: answer.finishReason }
    })

  const Fact = Schema.Struct({ name: Schema.String, year: Schema.optional(Schema.Int.check(Schema.isGreaterThan(0))) })

  const asTool = (input: unknown) =>
    Wire.answer([{ type: "tool_use", id: "t", name: "output", input }], { stop_reason: "tool_use" })

  it.effect("are read from structured output", () =>
    Effect.gen(function*() {
      const full = yield* object(Fact, Wire.textAnswer("{\"name\":\"Ada\",\"year\":1815}"))
      assert.deepStrictEqual(full, { value: { name: "Ada", year: 1815 }, tool: undefined, reason: "stop" })
      const optional = yield* object(Fact, Wire.textAnswer("{\"name\":\"Ada\",\"year\":null}"))
      assert.deepStrictEqual(optional.value, { name: "Ada" })
    }))

  it.effect("are read from the parameters of a tool, whole and streamed", () =>
    Effect.gen(function*() {
      const name = (yield* object(Fact, Wire.textAnswer("{\"name\":\"Ada\",\"year\":1}"), { jsonFormat: "tool" })).tool
      assert.isString(name)
      const input = { name: "Ada", year: 1815 }
      const body = asTool(input).replace("\"output\"", JSON.stringify(name))
      const read = yield* object(Fact, body, { jsonFormat: "tool" })
      assert.deepStrictEqual(read, { value: input, tool: name, reason: "stop" })
      const events = Wire.streamOf(Wire.callBlock(0, "t", name!, "{\"name\":\"Ada\"", ",\"year\":1815}"), "tool_use")
      assert.deepStrictEqual((yield* object(Fact, events, { jsonFormat: "tool" })).value, input)
    }))

  it.effect("that are no objects are unwrapped", () =>
    Effect.gen(function*() {
      const List = Schema.Array(Schema.String)
      const { tool } = yield* object(List, Wire.textAnswer("[]"))
      assert.isString(tool)
      const read = yield* object(List, asTool({ value: ["a", "b"] }).replace("\"output\"", JSON.stringify(tool)))
      assert.deepStrictEqual(read.value, ["a", "b"])
      const events = Wire.streamOf(Wire.callBlock(0, "t", tool!, "{\"value\":", "[\"a\"]}"), "tool_use")
      assert.deepStrictEqual((yield* object(List, events)).value, ["a"])
    }))

  it.effect("that refer to themselves are asked for as a tool", () =>
    Effect.gen(function*() {
      interface Tree {
        readonly name: string
        readonly children: ReadonlyArray<Tree>
      }
      const Tree = Schema.Struct({
        name: Schema.String,
        children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
      })
      const value = { name: "a", children: [{ name: "b", children: [] }] }
      const { tool } = yield* object(Tree, Wire.textAnswer(JSON.stringify(value)))
      assert.isString(tool)
      const read = yield* object(Tree, asTool(value).replace("\"output\"", JSON.stringify(tool)))
      assert.deepStrictEqual(read.value, value)
    }))
})

describe("citations", () => {
  const page = { type: "web_search_result_location", url: "https://example.com/a", title: "A", cited_text: "x" }
  const passage = {
    type: "page_location",
    document_index: 0,
    document_title: "B",
    cited_text: "y",
    start_page_number: 1
  }

  it.effect("stand with their text, and as sources", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(
        Wire.streamOf(
          Wire.block(
            0,
            { type: "text", text: "" },
            { type: "text_delta", text: "So." },
            { type: "citations_delta", citation: page },
            { type: "citations_delta", citation: passage },
            { type: "citations_delta", citation: { type: "web_search_result_location", url: "no url" } }
          )
        )
      )
      const sources = ofType(parts, "source")
      assert.deepStrictEqual(sources, [
        { type: "source", sourceType: "url", id: "0.0", url: "https://example.com/a", title: "A" },
        { type: "source", sourceType: "document", id: "0.1", mediaType: "application/pdf", title: "B" }
      ])
      const [end] = ofType(parts, "text-end")
      const own = end?.metadata?.["anthropic"] as { readonly citations: ReadonlyArray<unknown> }
      assert.deepStrictEqual(own.citations.slice(0, 2), [page, passage])
      assert.strictEqual(parts.map((part) => Part.decode(part)).length, parts.length)
      const answer = yield* whole(Wire.answer([{ type: "text", text: "So.", citations: [page, passage] }]))
      assert.deepStrictEqual(answer.filter(({ type }) => type === "source"), sources)
    }))
})
