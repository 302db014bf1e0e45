import { assert, describe, it } from "@effect/vitest"
import { ApiError, BlockedReason, FinishReason, FunctionCallingConfigMode, GoogleGenAI, Type } from "@google/genai"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { countTokens } from "../../src/testing/internal/tokens.ts"
import {
  attempt,
  breaks,
  collect,
  failing,
  rejection,
  story,
  Summary,
  summarySchema,
  WeatherParameters,
  weatherParameters,
  weatherQuestion
} from "./support/clients.ts"

// The client does not retry unless it is told to
const clientOf = (server: FaultServer.FaultServer, apiKey = "test-key") =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: new URL(server.url).origin } })

const asking = { model: "m", contents: story }

const stream = (
  client: GoogleGenAI,
  parameters: Parameters<GoogleGenAI["models"]["generateContentStream"]>[0] = asking
) => attempt(async () => collect(await client.models.generateContentStream(parameters)))

const fails = failing(
  clientOf,
  async (client, streamed) =>
    streamed ? collect(await client.models.generateContentStream(asking)) : client.models.generateContent(asking)
)

/** What an error of the client quotes. */
const Quoted = Schema.fromJsonString(Schema.Struct({
  error: Schema.Struct({
    code: Schema.Int,
    message: Schema.String,
    status: Schema.String,
    details: Schema.optionalKey(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))
  })
}))

const quoted = (error: unknown) => {
  assert(error instanceof ApiError)
  const said = Schema.decodeSync(Quoted)(error.message).error
  assert.strictEqual(said.code, error.status)
  return said
}

const detailOf = (error: unknown, type: string) =>
  quoted(error).details?.find((detail) => detail["@type"] === `type.googleapis.com/google.rpc.${type}`)

const post = (
  server: FaultServer.FaultServer,
  path: string,
  body: unknown = { contents: [{ parts: [{ text: story }] }] }
) =>
  attempt(async () => {
    const response = await fetch(new URL(path, server.url), { method: "POST", body: JSON.stringify(body) })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

const weather = { name: "get_weather", parametersJsonSchema: weatherParameters }

describe("FaultServer and the official Gemini client", () => {
  it.live("full answer, with its usage", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "test-key" })
      const answer = yield* attempt(() =>
        clientOf(server).models.generateContent({ ...asking, config: { systemInstruction: "Be brief." } })
      )
      const text = answer.text ?? ""
      for (const sentence of text.split(/(?<=\.) /)) assert.include(story, sentence)
      assert.strictEqual(answer.candidates?.[0]?.finishReason, FinishReason.STOP)
      assert.strictEqual(answer.modelVersion, "m")
      assert.isString(answer.responseId)
      const prompt = countTokens(story) + countTokens("Be brief.")
      assert.deepInclude(answer.usageMetadata, {
        promptTokenCount: prompt,
        candidatesTokenCount: countTokens(text),
        totalTokenCount: prompt + countTokens(text)
      })
      assert.deepInclude((yield* server.requests)[0], {
        dialect: "gemini",
        path: "/v1/models/m:generateContent",
        model: "m",
        stream: false
      })
      assert.notInclude(JSON.stringify(yield* server.requests), "test-key")
      const page = yield* attempt(() => clientOf(server).models.list())
      assert.deepStrictEqual(page.page.map(({ name }) => name), ["models/m"])
    }))

  it.live("a stream, whose usage grows", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = clientOf(server)
      const full = yield* attempt(() => client.models.generateContent(asking))
      const chunks = yield* stream(client)
      assert.strictEqual(chunks.map((chunk) => chunk.text ?? "").join(""), full.text)
      assert.isAbove(chunks.length, 10)
      const reasons = chunks.map((chunk) => chunk.candidates?.[0]?.finishReason)
      assert.deepStrictEqual(reasons.filter((reason) => reason !== undefined), [FinishReason.STOP])
      const counts = chunks.map((chunk) => chunk.usageMetadata?.candidatesTokenCount ?? 0)
      assert.deepStrictEqual(counts, counts.toSorted((a, b) => a - b))
      assert.deepStrictEqual(chunks.at(-1)?.usageMetadata, full.usageMetadata)
      const log = yield* server.requests
      assert.deepInclude(log[1], { stream: true, path: "/v1/models/m:streamGenerateContent" })
    }))

  it.effect("events end with CRLF, and without alt=sse it is one array", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { m: "One two three." } })
      const events = yield* post(server, "/v1beta/models/m:streamGenerateContent?alt=sse")
      assert.strictEqual(events.type, "text/event-stream")
      assert.isTrue(events.text.endsWith("}\r\n\r\n"))
      const chunks = events.text.trimEnd().split("\r\n\r\n").map((event): unknown => {
        assert.match(event, /^data: \{/)
        return JSON.parse(event.slice("data: ".length))
      })
      const array = yield* post(server, "/v1beta/models/m:streamGenerateContent")
      assert.strictEqual(array.type, "application/json; charset=UTF-8")
      const ids = /"responseId":"\d+"/g
      assert.deepStrictEqual(
        JSON.parse(array.text.replaceAll(ids, "\"\":\"\"")),
        JSON.parse(JSON.stringify(chunks).replaceAll(ids, "\"\":\"\""))
      )
      yield* server.script("m", [
        FaultServer.errorEventAfter(2),
        FaultServer.omitFinish,
        FaultServer.truncatedJson,
        FaultServer.all(FaultServer.cutAfter(0))
      ])
      const failed = JSON.parse((yield* post(server, "/v1beta/models/m:streamGenerateContent")).text) as Array<object>
      assert.strictEqual(failed.length, 3)
      assert.property(failed.at(-1), "error")
      const unfinished = (yield* post(server, "/v1beta/models/m:streamGenerateContent")).text
      assert.notInclude(unfinished, "finishReason")
      assert.strictEqual((JSON.parse(unfinished) as Array<object>).length, chunks.length - 1)
      const truncated = (yield* post(server, "/v1beta/models/m:streamGenerateContent")).text
      assert.throws(() => JSON.parse(truncated))
      assert.isTrue((yield* Effect.exit(post(server, "/v1beta/models/m:streamGenerateContent")))._tag === "Failure")
    }))

  it.live("tools: a call, full and streamed, then an answer that quotes the results", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const parameters = {
        model: "m",
        contents: weatherQuestion,
        config: { tools: [{ functionDeclarations: [weather] }] }
      }
      const full = yield* attempt(() => client.models.generateContent(parameters))
      const [call] = full.functionCalls ?? []
      assert.strictEqual(call?.name, "get_weather")
      yield* Schema.decodeUnknownEffect(WeatherParameters)(call?.args)
      const chunks = yield* stream(client, parameters)
      assert.deepStrictEqual(chunks.flatMap((chunk) => chunk.functionCalls ?? []).map(({ args }) => args), [call?.args])
      assert.strictEqual(chunks.at(-1)?.candidates?.[0]?.finishReason, FinishReason.STOP)

      // As the API had them first: OpenAPI's types, in capitals
      const other = {
        name: "other",
        parameters: {
          type: Type.OBJECT,
          properties: {
            day: { type: Type.STRING, enum: ["monday"] },
            hours: { type: Type.ARRAY, items: { type: Type.INTEGER }, minItems: "2" }
          },
          required: ["day", "hours"]
        }
      }
      const config = (mode: FunctionCallingConfigMode, ...allowedFunctionNames: ReadonlyArray<string>) => ({
        tools: [{ functionDeclarations: [weather, other] }],
        toolConfig: { functionCallingConfig: { mode, allowedFunctionNames: [...allowedFunctionNames] } }
      })
      const forced = yield* attempt(() =>
        client.models.generateContent({ ...parameters, config: config(FunctionCallingConfigMode.ANY, "other") })
      )
      assert.strictEqual(forced.functionCalls?.[0]?.name, "other")
      assert.strictEqual(forced.functionCalls?.[0]?.args?.["day"], "monday")
      assert.lengthOf(forced.functionCalls?.[0]?.args?.["hours"] as Array<unknown>, 2)
      const none = yield* attempt(() =>
        client.models.generateContent({ ...parameters, config: config(FunctionCallingConfigMode.NONE) })
      )
      assert.isUndefined(none.functionCalls)

      const answered = yield* attempt(() =>
        client.models.generateContent({
          ...parameters,
          contents: [
            { role: "user", parts: [{ text: weatherQuestion }] },
            full.candidates?.[0]?.content ?? {},
            {
              role: "user",
              parts: [{ functionResponse: { name: "get_weather", response: { output: "18 degrees and rain" } } }]
            }
          ]
        })
      )
      assert.strictEqual(answered.text, "According to get_weather: \"18 degrees and rain\".")
    }))

  it.live("json of a schema, in both ways to write one", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* FaultServer.make())
      const answer = yield* attempt(() =>
        client.models.generateContent({
          ...asking,
          config: { responseMimeType: "application/json", responseJsonSchema: summarySchema }
        })
      )
      const summary = yield* Schema.decodeEffect(Schema.fromJsonString(Summary))(answer.text ?? "")
      assert.include(story, summary.keyPoints[0] ?? "?")
      const old = yield* attempt(() =>
        client.models.generateContent({
          ...asking,
          config: {
            responseMimeType: "application/json",
            responseSchema: {
              type: Type.OBJECT,
              properties: { title: { type: Type.STRING }, pages: { type: Type.INTEGER, nullable: true } },
              required: ["title", "pages"]
            }
          }
        })
      )
      const Old = Schema.Struct({ title: Schema.String, pages: Schema.NullOr(Schema.Int) })
      yield* Schema.decodeEffect(Schema.fromJsonString(Old))(old.text ?? "")
      const object = yield* attempt(() =>
        client.models.generateContent({ ...asking, config: { responseMimeType: "application/json" } })
      )
      assert.isObject(JSON.parse(object.text ?? ""))
    }))

  it.live("limits, stop sequences and filters", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const client = clientOf(server)
      const short = yield* attempt(() => client.models.generateContent({ ...asking, config: { maxOutputTokens: 5 } }))
      assert.strictEqual(short.candidates?.[0]?.finishReason, FinishReason.MAX_TOKENS)
      assert.strictEqual(short.usageMetadata?.candidatesTokenCount, 5)
      const cut = yield* attempt(() =>
        client.models.generateContent({
          ...asking,
          config: { maxOutputTokens: 3, tools: [{ functionDeclarations: [weather] }] }
        })
      )
      assert.strictEqual(cut.candidates?.[0]?.finishReason, FinishReason.MAX_TOKENS)
      assert.isUndefined(cut.functionCalls)
      const whole = yield* attempt(() => client.models.generateContent(asking))
      const stopped = yield* attempt(() =>
        client.models.generateContent({ ...asking, config: { stopSequences: ["the"] } })
      )
      assert.strictEqual(stopped.text, whole.text?.slice(0, whole.text.indexOf("the")))
      yield* server.script("*", [
        FaultServer.finish("content_filter"),
        FaultServer.finish("content_filter"),
        FaultServer.finish("RECITATION")
      ])
      const filtered = yield* attempt(() => client.models.generateContent(asking))
      assert.strictEqual(filtered.candidates?.[0]?.finishReason, FinishReason.SAFETY)
      assert.strictEqual((yield* stream(client)).at(-1)?.candidates?.[0]?.finishReason, FinishReason.SAFETY)
      const recited = yield* attempt(() => client.models.generateContent(asking))
      assert.strictEqual(recited.candidates?.[0]?.finishReason, FinishReason.RECITATION)
    }))

  it.live("a prompt that is refused is answered without a candidate", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ script: { "*": [FaultServer.forever(FaultServer.contentFiltered)] } })
      const client = clientOf(server)
      for (
        const answer of [
          yield* attempt(() => client.models.generateContent(asking)),
          ...(yield* stream(client))
        ]
      ) {
        assert.strictEqual(answer.promptFeedback?.blockReason, BlockedReason.SAFETY)
        assert.isUndefined(answer.candidates)
      }
      assert.deepStrictEqual(
        (yield* server.requests).map(({ fault, status, tokensSent }) => [fault, status, tokensSent]),
        [
          ["contentFiltered", 200, 0],
          ["contentFiltered", 200, 0]
        ]
      )
    }))

  it.live("words of the model at the end", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { m: "One two three." }, prefill: { m: "continue" } })
      const contents = [
        { role: "user", parts: [{ text: "Count!" }] },
        { role: "model", parts: [{ text: "One two" }] }
      ]
      const answer = yield* attempt(() => clientOf(server).models.generateContent({ model: "m", contents }))
      assert.strictEqual(answer.text, " three.")
    }))

  it.live("refusals are ApiErrors that quote the whole error", () =>
    Effect.gen(function*() {
      for (const streamed of [false, true]) {
        const limited = yield* fails(FaultServer.rateLimited({ retryAfter: "1500 millis" }), streamed)
        assert.deepInclude(quoted(limited), { status: "RESOURCE_EXHAUSTED", code: 429 })
        assert.include(quoted(limited).message, "Please retry in 1.5s.")
        assert.strictEqual(detailOf(limited, "RetryInfo")?.["retryDelay"], "1.5s")
        assert.include(JSON.stringify(detailOf(limited, "QuotaFailure")), "PerMinute")
      }
      assert.isUndefined(detailOf(yield* fails(FaultServer.rateLimited()), "RetryInfo"))
      const poor = yield* fails(FaultServer.insufficientQuota)
      assert.include(JSON.stringify(detailOf(poor, "QuotaFailure")), "PerDay")
      assert.deepInclude(quoted(yield* fails(FaultServer.overloaded)), { code: 503, status: "UNAVAILABLE" })
      const long = quoted(yield* fails(FaultServer.contextLengthExceeded({ limit: 10, requested: 20 })))
      assert.deepStrictEqual(long, {
        code: 400,
        message: "The input token count (20) exceeds the maximum number of tokens allowed (10).",
        status: "INVALID_ARGUMENT"
      })
      const own = yield* fails(FaultServer.status(403, { message: "No.", code: "CONSUMER_SUSPENDED", param: "model" }))
      assert.deepInclude(quoted(own), { code: 403, message: "No.", status: "PERMISSION_DENIED" })
      assert.strictEqual(detailOf(own, "ErrorInfo")?.["reason"], "CONSUMER_SUSPENDED")
      assert.deepStrictEqual(detailOf(own, "BadRequest")?.["fieldViolations"], [{ field: "model", description: "No." }])
      for (const [code, status] of [[500, "INTERNAL"], [504, "DEADLINE_EXCEEDED"], [499, "CANCELLED"]] as const) {
        assert.deepInclude(quoted(yield* fails(FaultServer.status(code))), { code, status })
      }
    }))

  it.live("keys, models and requests that are not right", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ apiKey: "right", models: ["m"] })
      const wrong = yield* rejection(() => clientOf(server, "wrong").models.generateContent(asking))
      assert.deepInclude(quoted(wrong), { code: 400, status: "INVALID_ARGUMENT" })
      assert.strictEqual(detailOf(wrong, "ErrorInfo")?.["reason"], "API_KEY_INVALID")
      const unknown = yield* rejection(() =>
        clientOf(server, "right").models.generateContent({ ...asking, model: "n" })
      )
      assert.deepInclude(quoted(unknown), { code: 404, status: "NOT_FOUND" })
      assert.include(quoted(unknown).message, "models/n is not found")

      const at = "/v1beta/models/m:generateContent"
      assert.strictEqual((yield* post(server, at)).status, 403)
      assert.strictEqual((yield* post(server, `${at}?key=right`)).status, 200)
      const astray = yield* post(server, "/v1beta/models/m:embedContent?key=right")
      assert.strictEqual(astray.status, 404)
      assert.include(astray.text, "NOT_FOUND")
      const cases: ReadonlyArray<readonly [body: unknown, message: string]> = [
        [{}, "contents is not specified"],
        [{ contents: [] }, "contents is not specified"],
        [{ contents: "hi" }, "Invalid value at 'contents'"],
        [{ contents: [{ role: "robot", parts: [{ text: "hi" }] }] }, "Please use a valid role: user, model."],
        [{ contents: [{ parts: [] }] }, "contents.parts must not be empty"],
        [
          { contents: [{ parts: [{ text: "hi" }] }], generation_config: { max_output_tokens: 0 } },
          "max_output_tokens must be positive"
        ],
        [
          {
            contents: [{ parts: [{ text: "hi" }] }],
            tool_config: { function_calling_config: { mode: "ANY", allowed_function_names: ["f"] } }
          },
          "'f'"
        ]
      ]
      for (const [body, message] of cases) {
        const { status, text } = yield* post(server, `${at}?key=right`, body)
        const { error } = yield* Schema.decodeEffect(Quoted)(text)
        assert.deepStrictEqual([status, error.code, error.status], [400, 400, "INVALID_ARGUMENT"])
        assert.include(error.message, message)
      }
      assert.notInclude(JSON.stringify(yield* server.requests), "right")
    }))

  it.live("an error inside the stream breaks it, with what it is about", () =>
    Effect.gen(function*() {
      const error = yield* fails(FaultServer.errorEventAfter(2, { reason: "overloaded" }), true)
      assert(error instanceof ApiError)
      assert.strictEqual(error.status, 503)
      assert.include(error.message, "UNAVAILABLE")
    }))

  it.live("what breaks on the way breaks the call", () =>
    Effect.gen(function*() {
      for (
        const [fault, streamed] of [...breaks, [FaultServer.resetConnection, false], [
          FaultServer.resetConnection,
          true
        ], [FaultServer.truncatedJson, true]] as const
      ) {
        assert.instanceOf(yield* fails(fault, streamed), Error)
      }
    }))
})
