import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import OpenAI from "openai"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import {
  attempt,
  breaks,
  collect,
  failing,
  openAiOf,
  rejection,
  story,
  Summary,
  summarySchema,
  WeatherParameters,
  weatherParameters,
  weatherQuestion
} from "./support/clients.ts"

const user = (content: string) => ({ role: "user" as const, content })

const fails = failing(openAiOf, async (client, streamed) => {
  const parameters = { model: "m", messages: [user(story)] }
  return streamed
    ? collect(await client.chat.completions.create({ ...parameters, stream: true }))
    : client.chat.completions.create(parameters)
})

const weather = {
  type: "function" as const,
  function: { name: "get_weather", parameters: weatherParameters }
}

const Arguments = Schema.fromJsonString(WeatherParameters)

describe("FaultServer and the official openai client", () => {
  it.live("full answer", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "test-key" })
      const client = openAiOf(server)
      const answer = yield* attempt(() => client.chat.completions.create({ model: "m", messages: [user(story)] }))
      const [choice] = answer.choices
      assert.strictEqual(choice?.finish_reason, "stop")
      for (const sentence of choice?.message.content?.split(/(?<=\.) /) ?? [""]) assert.include(story, sentence)
      assert.strictEqual(
        answer.usage?.total_tokens,
        (answer.usage?.prompt_tokens ?? 0) + (answer.usage?.completion_tokens ?? 0)
      )
      assert.match(answer._request_id ?? "", /^req_/)
      const page = yield* attempt(() => client.models.list())
      assert.deepEqual(page.data.map((model) => model.id), ["m"])
    }))

  it.live("stream, with and without usage", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const parameters = { model: "m", messages: [user(story)] }
      const full = yield* attempt(() => client.chat.completions.create(parameters))
      const chunks = yield* attempt(async () => {
        const stream = await client.chat.completions.create({
          ...parameters,
          stream: true,
          stream_options: { include_usage: true }
        })
        const found: Array<OpenAI.ChatCompletionChunk> = []
        for await (const chunk of stream) found.push(chunk)
        return found
      })
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")
      assert.strictEqual(text, full.choices[0]?.message.content)
      assert.strictEqual(new Set(chunks.map((chunk) => chunk.id)).size, 1)
      assert.deepEqual(chunks.at(-1)?.usage, full.usage)
      // The client's own accumulator accepts the chunks too
      const final = yield* attempt(() => client.chat.completions.stream(parameters).finalChatCompletion())
      assert.strictEqual(final.choices[0]?.message.content, text)
      assert.strictEqual(final.choices[0]?.finish_reason, "stop")
    }))

  it.live("tools: a call, full and streamed, then an answer that quotes the results", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const messages = [user(weatherQuestion)]
      const parameters = { model: "m", messages, tools: [weather] }
      const full = yield* attempt(() => client.chat.completions.create(parameters))
      assert.strictEqual(full.choices[0]?.finish_reason, "tool_calls")
      assert.isNull(full.choices[0]?.message.content)
      const call = full.choices[0]?.message.tool_calls?.[0]
      assert(call?.type === "function")
      assert.strictEqual(call.function.name, "get_weather")
      yield* Schema.decodeEffect(Arguments)(call.function.arguments)

      const streamed = yield* attempt(() => client.chat.completions.stream(parameters).finalChatCompletion())
      const again = streamed.choices[0]?.message.tool_calls?.[0]
      assert(again?.type === "function")
      assert.strictEqual(again.function.arguments, call.function.arguments)
      assert.strictEqual(streamed.choices[0]?.finish_reason, "tool_calls")

      const forced = yield* attempt(() =>
        client.chat.completions.create({
          ...parameters,
          tools: [weather, { type: "function", function: { name: "other" } }],
          tool_choice: { type: "function", function: { name: "other" } }
        })
      )
      const other = forced.choices[0]?.message.tool_calls?.[0]
      assert(other?.type === "function")
      assert.deepEqual([other.function.name, other.function.arguments], ["other", "{}"])

      const none = yield* attempt(() => client.chat.completions.create({ ...parameters, tool_choice: "none" }))
      assert.strictEqual(none.choices[0]?.finish_reason, "stop")

      const answered = yield* attempt(() =>
        client.chat.completions.create({
          ...parameters,
          messages: [
            ...messages,
            { role: "assistant", tool_calls: [call] },
            { role: "tool", tool_call_id: call.id, content: "18 degrees and rain" }
          ]
        })
      )
      assert.include(answered.choices[0]?.message.content, "get_weather: \"18 degrees and rain\"")
      assert.strictEqual(answered.choices[0]?.finish_reason, "stop")
    }))

  it.live("the client's own tool loop comes to an end", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const content = yield* attempt(() =>
        client.chat.completions.runTools({
          model: "m",
          messages: [user(weatherQuestion)],
          tools: [{
            type: "function",
            function: {
              ...weather.function,
              description: "Tells the weather.",
              function: (city: { city: string }) => `It rains in ${city.city}.`,
              parse: (text: string) => Schema.decodeSync(Arguments)(text)
            }
          }]
        }).finalContent()
      )
      assert.include(content, "It rains in Paris.")
    }))

  it.live("json schema and json object", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const parameters = {
        model: "m",
        messages: [user(story)],
        response_format: {
          type: "json_schema" as const,
          json_schema: { name: "summary", strict: true, schema: summarySchema }
        }
      }
      const answer = yield* attempt(() => client.chat.completions.parse(parameters))
      const summary = yield* Schema.decodeUnknownEffect(Summary)(answer.choices[0]?.message.parsed)
      assert.include(story, summary.keyPoints[0] ?? "?")
      const streamed = yield* attempt(() => client.chat.completions.stream(parameters).finalChatCompletion())
      assert.strictEqual(streamed.choices[0]?.message.content, answer.choices[0]?.message.content)
      const object = yield* attempt(() =>
        client.chat.completions.create({ ...parameters, response_format: { type: "json_object" } })
      )
      assert.isObject(JSON.parse(object.choices[0]?.message.content ?? ""))
    }))

  it.live("max_completion_tokens and stop", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = openAiOf(server)
      const parameters = { model: "m", messages: [user(story)] }
      const whole = yield* attempt(() => client.chat.completions.create(parameters))
      const short = yield* attempt(() => client.chat.completions.create({ ...parameters, max_completion_tokens: 5 }))
      assert.deepEqual([short.choices[0]?.finish_reason, short.usage?.completion_tokens], ["length", 5])
      const text = whole.choices[0]?.message.content ?? ""
      assert.isTrue(text.startsWith(short.choices[0]?.message.content ?? "?"))
      const stopped = yield* attempt(() => client.chat.completions.create({ ...parameters, stop: ["zebra", "the"] }))
      assert.strictEqual(stopped.choices[0]?.message.content, text.slice(0, text.indexOf("the")))
      assert.strictEqual(stopped.choices[0]?.finish_reason, "stop")
      // Nothing is left when the answer begins with the stop sequence
      const nothing = yield* attempt(() =>
        client.chat.completions.stream({ ...parameters, stop: text.slice(0, 3) }).finalContent()
      )
      assert.strictEqual(nothing, "")
    }))

  it.live("refusals become the client's own errors", () =>
    Effect.gen(function*() {
      const limited = yield* fails(FaultServer.rateLimited({ retryAfter: "3 seconds" }))
      assert(limited instanceof OpenAI.RateLimitError)
      assert.strictEqual(limited.code, "rate_limit_exceeded")
      assert.strictEqual(limited.headers.get("retry-after"), "3")
      const long = yield* fails(FaultServer.contextLengthExceeded({ limit: 10, requested: 20 }))
      assert(long instanceof OpenAI.BadRequestError)
      assert.deepEqual([long.code, long.param], ["context_length_exceeded", "messages"])
      const quota = yield* fails(FaultServer.insufficientQuota, true)
      assert(quota instanceof OpenAI.RateLimitError)
      assert.strictEqual(quota.type, "insufficient_quota")
      assert.instanceOf(yield* fails(FaultServer.contentFiltered), OpenAI.BadRequestError)
      assert.instanceOf(yield* fails(FaultServer.overloaded, true), OpenAI.InternalServerError)
      assert.instanceOf(yield* fails(FaultServer.status(404)), OpenAI.NotFoundError)
      const server = yield* FaultServer.make({ apiKey: "right" })
      const wrong = yield* rejection(() => openAiOf(server, "wrong").models.list())
      assert(wrong instanceof OpenAI.AuthenticationError)
      assert.strictEqual(wrong.code, "invalid_api_key")
    }))

  it.live("what breaks on the way breaks the call", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* fails(FaultServer.resetConnection), OpenAI.APIConnectionError)
      assert.instanceOf(yield* fails(FaultServer.resetConnection, true), OpenAI.APIConnectionError)
      const event = yield* fails(FaultServer.errorEventAfter(2, { message: "broken", code: "server_error" }), true)
      assert(event instanceof OpenAI.APIError)
      assert.deepEqual([event.status, event.code], [undefined, "server_error"])
      for (const [fault, streamed] of breaks) assert.instanceOf(yield* fails(fault, streamed), Error)
    }))

  it.live("the client's timeout and abort reach the server", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.silence(), FaultServer.stallAfter(2)] } })
      const client = openAiOf(server)
      const parameters = { model: "m", messages: [user(story)] }
      const late = yield* rejection(() => client.chat.completions.create(parameters, { timeout: 50 }))
      assert.instanceOf(late, OpenAI.APIConnectionTimeoutError)
      yield* attempt(async () => {
        const stream = await client.chat.completions.create({ ...parameters, stream: true })
        for await (const chunk of stream) {
          if (chunk.choices[0]?.delta.content) stream.controller.abort()
        }
      }).pipe(Effect.ignore)
      yield* server.awaitIdle
      assert.deepEqual((yield* server.requests).map((request) => request.end), ["client-closed", "client-closed"])
    }))
})
