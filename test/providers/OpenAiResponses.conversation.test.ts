/**
 * Conversations over the Responses API: what comes back goes out again, whole or by the id of the last answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, type LlmError, type Part } from "effect-bulwark"
import { OpenAiResponses, Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Replay from "./support/replayServer.ts"
import * as Wire from "./support/responsesWire.ts"

class P extends Provider.Service<P>()("p") {}

class Stateless extends Provider.Service<Stateless>()("stateless") {}

const llm = Llm.model(P, "gpt-5-mini")

const Add = Tool.make("add", {
  parameters: Schema.Struct({ a: Schema.Int, b: Schema.Int }),
  success: Schema.Int
})

const toolkit = Toolkit.make(Add)

const handlers = toolkit.toLayer({ add: ({ a, b }) => Effect.succeed(a + b) })

const output = [
  Wire.reasoning(["I add."], { encrypted_content: "e1" }),
  Wire.call("add", "{\"a\":1,\"b\":2}"),
  Wire.reasoning(["Once more."], { id: "rs_2", encrypted_content: "e2" }),
  Wire.call("add", "{\"a\":3,\"b\":4}", { id: "fc_2", call_id: "call_2" })
]

/** A server that calls two tools, and then knows the answer. */
const start = Effect.gen(function*() {
  const server = yield* Replay.make
  server.onRequest((request, response) => {
    const { stream } = JSON.parse(request.body) as { readonly stream?: boolean }
    const answer = request.body.includes("function_call_output")
      ? Wire.answer([Wire.message("3 and 7", { id: "msg_2" })], { id: "resp_2" })
      : Wire.answer(output)
    const events = Wire.created() +
      output.map((item, index) => Wire.added(index, item) + Wire.done(index, item)).join("") + Wire.completed(output)
    return Replay.reply({ body: stream === true && !answer.includes("resp_2") ? events : answer })(request, response)
  })
  const bodies = () => server.requests.map(({ body }) => JSON.parse(body) as { readonly [field: string]: unknown })
  return { server, bodies }
})

const provide = (server: Replay.ReplayServer, options: OpenAiResponses.Options = {}) =>
  Effect.provide(Layer.merge(
    OpenAiResponses.layer(P, { ...options, baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer)),
    handlers
  ))

const question = { role: "user", content: "1 + 2, 3 + 4?" }

const calls = [
  { type: "function_call", id: "fc_1", call_id: "call_1", name: "add", arguments: "{\"a\":1,\"b\":2}" },
  { type: "function_call", id: "fc_2", call_id: "call_2", name: "add", arguments: "{\"a\":3,\"b\":4}" }
]

const results = [
  { type: "function_call_output", call_id: "call_1", output: "3" },
  { type: "function_call_output", call_id: "call_2", output: "7" }
]

const thought = (id: string, text: string, encrypted_content: string) => ({
  type: "reasoning",
  id,
  summary: [{ type: "summary_text", text }],
  encrypted_content
})

describe("a conversation", () => {
  const ask = Effect.gen(function*() {
    const prompt = Prompt.make(question.content)
    const first = yield* Llm.generateText(llm, { prompt, toolkit })
    const second = Prompt.concat(prompt, Prompt.fromResponseParts(first.content))
    const answer = yield* Llm.generateText(llm, { prompt: second, toolkit })
    assert.strictEqual(answer.text, "3 and 7")
    const third = second.pipe(Prompt.concat(Prompt.fromResponseParts(answer.content)), Prompt.concat("Thanks!"))
    yield* Llm.generateText(llm, { prompt: third, toolkit })
  })

  const live = Effect.gen(function*() {
    const prompt = Prompt.make(question.content)
    const first = yield* Stream.runCollect(Llm.streamText(llm, { prompt, toolkit }))
    const second = Prompt.concat(prompt, Prompt.fromResponseParts(first))
    const answer = yield* Stream.runCollect(Llm.streamText(llm, { prompt: second, toolkit }))
    const third = second.pipe(Prompt.concat(Prompt.fromResponseParts(answer)), Prompt.concat("Thanks!"))
    yield* Stream.runDrain(Llm.streamText(llm, { prompt: third, toolkit }))
  })

  for (const [mode, run] of Object.entries({ whole: ask, streamed: live })) {
    it.effect(`is sent again with all that was thought, in its order (${mode})`, () =>
      Effect.gen(function*() {
        const { bodies, server } = yield* start
        yield* run.pipe(provide(server, { store: false, encryptedReasoning: true }))
        const [first, second, third, ...more] = bodies()
        assert.deepStrictEqual(more, [])
        const inputs = [
          [question],
          [
            question,
            thought("rs_1", "I add.", "e1"),
            calls[0],
            thought("rs_2", "Once more.", "e2"),
            calls[1],
            ...results
          ]
        ]
        assert.deepStrictEqual([first?.["input"], second?.["input"]], inputs)
        assert.deepStrictEqual(third?.["input"], [
          ...inputs[1]!,
          { role: "assistant", content: "3 and 7" },
          { role: "user", content: "Thanks!" }
        ])
        for (const body of bodies()) {
          assert.strictEqual(body["store"], false)
          assert.deepStrictEqual(body["include"], ["reasoning.encrypted_content"])
          assert.notProperty(body, "previous_response_id")
        }
      }))

    it.effect(`goes on from its last answer, where the API remembers it (${mode})`, () =>
      Effect.gen(function*() {
        const { bodies, server } = yield* start
        yield* run.pipe(provide(server, { conversation: "previousResponse" }))
        assert.deepStrictEqual(
          bodies().map((body) => [body["previous_response_id"], body["input"]]),
          [
            [undefined, [question]],
            ["resp_1", results],
            ["resp_2", [{ role: "user", content: "Thanks!" }]]
          ]
        )
      }))
  }

  it.effect("goes on from an answer by hand", () =>
    Effect.gen(function*() {
      const { bodies, server } = yield* start
      yield* Effect.gen(function*() {
        const first = yield* Llm.generateText(llm, { prompt: "Hello?" })
        const described = first.content.find((part) => part.type === "response-metadata")
        const extra = { previous_response_id: described?.id ?? "" }
        yield* Llm.generateText(llm, { prompt: "And?", settings: { extra } })
      }).pipe(provide(server))
      assert.deepStrictEqual(bodies()[1], {
        model: "gpt-5-mini",
        input: [{ role: "user", content: "And?" }],
        previous_response_id: "resp_1"
      })
    }))

  it.effect("that broke off is not gone on from", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest((request, response) =>
        Replay.reply({ body: request.body.includes("\"stream\":true") ? Wire.begun("one") : Wire.textAnswer("hi") })(
          request,
          response
        )
      )
      yield* Effect.gen(function*() {
        const parts: Array<Part.Decoded> = []
        const error: LlmError.ProviderError = yield* Llm.streamText(llm, { prompt: "Hello?" }).pipe(
          Stream.runForEach((part) => Effect.sync(() => parts.push(part))),
          Effect.flip
        )
        assert.strictEqual(error._tag, "StreamInterrupted")
        const said = parts.flatMap((part) => part.type === "retract" ? [] : [part])
        const prompt = Prompt.make("Hello?").pipe(
          Prompt.concat(Prompt.fromResponseParts(said)),
          Prompt.concat("Go on.")
        )
        yield* Llm.generateText(llm, { prompt })
      }).pipe(provide(server, { conversation: "previousResponse" }))
      assert.deepStrictEqual(JSON.parse(server.requests[1]?.body ?? ""), {
        model: "gpt-5-mini",
        input: [
          { role: "user", content: "Hello?" },
          { role: "assistant", content: "one" },
          { role: "user", content: "Go on." }
        ]
      })
    }))

  it.effect("that the API has forgotten is told again by a fallback", () =>
    Effect.gen(function*() {
      const server = yield* Replay.make
      server.onRequest((request, response) =>
        Replay.reply(
          request.body.includes("previous_response_id")
            ? {
              status: 404,
              body: JSON.stringify({
                error: {
                  message: "Previous response with id 'resp_0' not found.",
                  type: "invalid_request_error",
                  param: "previous_response_id",
                  code: "previous_response_not_found"
                }
              })
            }
            : { body: Wire.textAnswer("hi") }
        )(request, response)
      )
      const prompt = Prompt.make([
        { role: "user", content: "Hello?" },
        {
          role: "assistant",
          content: [{ type: "text", text: "Yes?", options: { openai: { responseId: "resp_0" } } }]
        },
        { role: "user", content: "And?" }
      ])
      const told = llm.pipe(Llm.orElseOn("InvalidRequest", Llm.model(Stateless, "gpt-5-mini")))
      const answer = yield* Llm.generateText(told, { prompt }).pipe(
        Effect.provide(
          Layer.merge(
            OpenAiResponses.layer(P, { baseUrl: server.url, conversation: "previousResponse" }),
            OpenAiResponses.layer(Stateless, { baseUrl: server.url })
          ).pipe(Layer.provide(FetchHttpClient.layer))
        )
      )
      assert.strictEqual(answer.text, "hi")
      assert.deepStrictEqual(answer.receipt.attempts.map(({ outcome }) => outcome), ["InvalidRequest", "success"])
      assert.strictEqual((JSON.parse(server.requests[1]?.body ?? "") as { input: Array<unknown> }).input.length, 3)
    }))
})
