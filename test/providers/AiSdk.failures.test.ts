/**
 * What becomes of the errors of AI SDK models: thrown, rejected with, or handed on inside a stream.
 */
import {
  AISDKError,
  APICallError,
  EmptyResponseBodyError,
  InvalidArgumentError,
  InvalidPromptError,
  InvalidResponseDataError,
  JSONParseError,
  LoadAPIKeyError,
  LoadSettingError,
  NoContentGeneratedError,
  NoSuchModelError,
  NoSuchProviderReferenceError,
  TooManyEmbeddingValuesForCallError,
  TypeValidationError,
  UnsupportedFunctionalityError
} from "@ai-sdk/provider"
import { createProviderStreamError } from "@ai-sdk/provider-utils"
import { assert, describe, it } from "@effect/vitest"
import { Llm, LlmError } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { answer, P, streamed, streamOf, v3, v4, whole } from "./support/aiSdkModel.ts"

/** The failures of a model that throws at once, and of those that reject, whole and streamed. */
const thrown = (error: unknown): Effect.Effect<ReadonlyArray<LlmError.ProviderError>> => {
  const fail = () => Promise.reject(error)
  const throws = () => {
    throw error
  }
  const failing = <A>(run: Effect.Effect<A, LlmError.ProviderError>): Effect.Effect<LlmError.ProviderError> =>
    Effect.catch(Effect.flip(run), () => Effect.die("it has not failed"))
  return Effect.all([v4, v3].flatMap((make) =>
    [fail, throws].flatMap((way) => [
      failing(whole(make({ generate: way }).model)),
      failing(streamed(make({ stream: way }).model))
    ])
  ))
}

/** The failure of a stream in which an error comes, as a part or by breaking it, after some words. */
const inside = (error: unknown, as: "part" | "break" = "part"): Effect.Effect<LlmError.ProviderError> => {
  const said = { type: "text-delta", id: "t", delta: "one" } as const
  const stream = as === "part"
    ? () => Promise.resolve({ stream: streamOf([said, { type: "error", error }]), response: { headers: {} } })
    : () => {
      let pulls = 0
      return Promise.resolve({
        stream: new ReadableStream({
          pull: (controller) => pulls++ === 0 ? controller.enqueue(said) : controller.error(error)
        }, { highWaterMark: 0 })
      })
    }
  return Effect.catch(Effect.flip(streamed(v4({ stream }).model)), () => Effect.die("it has not failed"))
}

const call = (rest: Partial<ConstructorParameters<typeof APICallError>[0]> = {}) =>
  new APICallError({ message: "no", url: "https://example.com/v1", requestBodyValues: {}, ...rest })

const withCode = (code: string) => Object.assign(new Error("socket"), { code })

const causes = (error: Error, cause: unknown) => Object.assign(error, { cause })

const errorBody = (error: object) => JSON.stringify({ error: { message: "no", ...error } })

interface Expected {
  readonly _tag: LlmError.ProviderError["_tag"]
  readonly [field: string]: unknown
}

const cases: ReadonlyArray<readonly [name: string, error: unknown, expected: Expected]> = [
  // Responses, which are classified as those of an adapter over HTTP.
  ["429", call({ statusCode: 429, responseBody: errorBody({}) }), { _tag: "RateLimited", status: 429 }],
  [
    "429 of an empty account",
    call({ statusCode: 429, responseBody: errorBody({ code: "insufficient_quota" }) }),
    { _tag: "QuotaExhausted", code: "insufficient_quota" }
  ],
  ["401", call({ statusCode: 401, responseBody: "" }), { _tag: "AuthenticationFailed" }],
  ["403", call({ statusCode: 403 }), { _tag: "PermissionDenied" }],
  [
    "400 of an overflowing context",
    call({ statusCode: 400, responseBody: errorBody({ code: "context_length_exceeded" }) }),
    { _tag: "ContextLengthExceeded" }
  ],
  [
    "400 without a body, but with data",
    call({ statusCode: 400, data: { error: { message: "no", code: "context_length_exceeded" } } }),
    { _tag: "ContextLengthExceeded" }
  ],
  ["400", call({ statusCode: 400, responseBody: errorBody({ param: "top_p" }) }), {
    _tag: "InvalidRequest",
    parameter: "top_p"
  }],
  ["404 of a model", call({ statusCode: 404, responseBody: errorBody({ code: "model_not_found" }) }), {
    _tag: "ModelNotFound"
  }],
  ["500", call({ statusCode: 500 }), { _tag: "ServerError" }],
  ["529", call({ statusCode: 529, responseBody: errorBody({ type: "overloaded_error" }) }), { _tag: "Overloaded" }],
  ["504", call({ statusCode: 504, responseBody: "<html></html>" }), { _tag: "RequestTimeout" }],
  ["a redirect", call({ statusCode: 307, responseHeaders: { location: "https://example.com" } }), {
    _tag: "InvalidRequest",
    status: 307
  }],
  ["an answer that is no JSON", call({ statusCode: 200, responseBody: "{\"a\":" }), { _tag: "MalformedResponse" }],
  ["a web page", call({ statusCode: 200, responseBody: "<html></html>" }), {
    _tag: "MalformedResponse",
    retryable: false
  }],
  ["an answer of another form", call({ statusCode: 200, responseBody: "{\"choices\":1}" }), {
    _tag: "MalformedResponse",
    status: 200
  }],
  ["an answer that is an error", call({ statusCode: 200, responseBody: errorBody({ code: "rate_limit_exceeded" }) }), {
    _tag: "RateLimited"
  }],
  ["an empty answer", call({ statusCode: 200, responseBody: "" }), { _tag: "MalformedResponse" }],
  ["an answer that has no body", call({ statusCode: 200, cause: new EmptyResponseBodyError() }), {
    _tag: "MalformedResponse"
  }],
  [
    "an answer that is too large",
    call({ statusCode: 200, cause: new AISDKError({ name: "AI_DownloadError", message: "" }) }),
    { _tag: "MalformedResponse", retryable: false }
  ],
  [
    "a whole answer that has failed",
    call({ statusCode: 400, responseBody: { error: { code: "server_error", message: "no" } } as unknown as string }),
    { _tag: "ServerError", code: "server_error" }
  ],
  ["a cut body", call({ statusCode: 200, cause: causes(new TypeError("terminated"), withCode("UND_ERR_SOCKET")) }), {
    _tag: "ConnectionFailed",
    code: "UND_ERR_SOCKET"
  }],
  // Connections.
  ["a refused connection", call({ cause: withCode("ECONNREFUSED") }), {
    _tag: "ConnectionFailed",
    code: "ECONNREFUSED"
  }],
  ["a timeout of the client", call({ cause: withCode("UND_ERR_HEADERS_TIMEOUT") }), { _tag: "RequestTimeout" }],
  ["a bad certificate", call({ cause: withCode("CERT_HAS_EXPIRED") }), { _tag: "ConnectionFailed", retryable: false }],
  ["fetch's own error", causes(new TypeError("fetch failed"), withCode("ENOTFOUND")), {
    _tag: "ConnectionFailed",
    code: "ENOTFOUND"
  }],
  ["fetch's error of a browser", new TypeError("Failed to fetch"), { _tag: "ConnectionFailed" }],
  ["somebody else's timeout", new DOMException("", "TimeoutError"), { _tag: "RequestTimeout" }],
  ["somebody else's abort", new DOMException("", "AbortError"), { _tag: "ConnectionFailed" }],
  ["an illegal URL", causes(new TypeError("Failed to parse URL"), withCode("ERR_INVALID_URL")), {
    _tag: "InvalidRequest"
  }],
  // The SDK's own, before anything is sent.
  ["no key", new LoadAPIKeyError({ message: "OpenAI API key is missing." }), { _tag: "AuthenticationFailed" }],
  ["no setting", new LoadSettingError({ message: "no region" }), { _tag: "InvalidRequest" }],
  ["no such model", new NoSuchModelError({ modelId: "m", modelType: "languageModel" }), { _tag: "ModelNotFound" }],
  [
    "no such provider",
    new NoSuchModelError({ errorName: "AI_NoSuchProviderError", modelId: "m", modelType: "languageModel" }),
    {
      _tag: "ModelNotFound"
    }
  ],
  ["what is not supported", new UnsupportedFunctionalityError({ functionality: "video" }), { _tag: "InvalidRequest" }],
  ["an invalid prompt", new InvalidPromptError({ prompt: [], message: "no" }), {
    _tag: "InvalidRequest",
    parameter: "prompt"
  }],
  ["an invalid argument", new InvalidArgumentError({ argument: "providerOptions", message: "no" }), {
    _tag: "InvalidRequest",
    parameter: "providerOptions"
  }],
  ["another provider's file", new NoSuchProviderReferenceError({ provider: "p", reference: {} }), {
    _tag: "InvalidRequest"
  }],
  [
    "too many values",
    new TooManyEmbeddingValuesForCallError({ provider: "p", modelId: "m", maxEmbeddingsPerCall: 1, values: [] }),
    { _tag: "InvalidRequest" }
  ],
  // The SDK's own, of answers.
  ["what is not valid", new TypeValidationError({ value: { a: 1 }, cause: "no" }), { _tag: "MalformedResponse" }],
  [
    "what is not valid because it is an error",
    new TypeValidationError({ value: { error: { code: "server_is_overloaded" } }, cause: "no" }),
    { _tag: "Overloaded" }
  ],
  ["no JSON", new JSONParseError({ text: "x", cause: "no" }), { _tag: "MalformedResponse" }],
  ["invalid data", new InvalidResponseDataError({ data: {} }), { _tag: "MalformedResponse" }],
  ["an empty body", new EmptyResponseBodyError(), { _tag: "MalformedResponse" }],
  ["no content", new NoContentGeneratedError(), { _tag: "MalformedResponse" }],
  // Those of another copy, or of a package of its own.
  ["a name without a mark", Object.assign(new Error("no"), { name: "AI_LoadAPIKeyError" }), {
    _tag: "AuthenticationFailed"
  }],
  ["a mark without a name", { [Symbol.for("vercel.ai.error.AI_APICallError")]: true, statusCode: 429 }, {
    _tag: "RateLimited"
  }],
  [
    "a gateway's error, with its cause",
    causes(Object.assign(new Error("no"), { statusCode: 500 }), call({ statusCode: 429 })),
    { _tag: "RateLimited" }
  ],
  ["an error with a status", Object.assign(new Error("no"), { statusCode: 503 }), { _tag: "Overloaded", status: 503 }],
  // What a server has sent, as it was.
  ["an error as JSON", { error: { code: "rate_limit_exceeded" } }, { _tag: "RateLimited" }],
  ["an error as a text", "This model's maximum context length is 8192 tokens.", {
    _tag: "ContextLengthExceeded",
    limit: 8192
  }],
  [
    "an error of a stream",
    createProviderStreamError({ message: "no", code: "rate_limit_exceeded", statusCode: 429, data: { message: "no" } }),
    { _tag: "RateLimited" }
  ],
  [
    "an error of a stream that knows its status only",
    createProviderStreamError({ message: "no", statusCode: 401, data: { message: "no" } }),
    { _tag: "AuthenticationFailed" }
  ],
  [
    "an error of a stream whose status is made up",
    createProviderStreamError({ message: "no", statusCode: 500, data: { type: "overloaded_error", message: "no" } }),
    { _tag: "Overloaded" }
  ],
  // Anything else.
  ["a mistake in the package", new TypeError("Cannot read properties of undefined"), { _tag: "ServerError" }],
  ["any error", new Error("no"), { _tag: "ServerError" }],
  ["nothing", undefined, { _tag: "ServerError" }],
  ["null", null, { _tag: "ServerError" }],
  ["a number", 42, { _tag: "ServerError" }],
  [
    "an error that cannot be looked at",
    new Proxy({}, {
      get: () => {
        throw new Error("no")
      }
    }),
    { _tag: "ServerError" }
  ]
]

describe("errors", () => {
  for (const [name, error, { _tag, ...fields }] of cases) {
    it.effect(`${name}: ${_tag}`, () =>
      Effect.gen(function*() {
        for (const failure of [...yield* thrown(error), yield* inside(error)]) {
          // A connection that breaks interrupts a stream.
          const found = failure._tag === "StreamInterrupted" ? failure.failure : failure
          assert.strictEqual(found?._tag, _tag)
          assert.deepInclude(found as object, fields)
          assert.strictEqual(failure.provider, "p")
          assert.strictEqual(failure.model, "model-x")
        }
      }))
  }

  it.effect("that break a stream interrupt it", () =>
    Effect.gen(function*() {
      const broken = yield* inside(call({ statusCode: 200, cause: withCode("ECONNRESET") }), "break")
      assert(broken._tag === "StreamInterrupted")
      assert.strictEqual(broken.reason, "closed")
      assert.strictEqual(broken.failure?._tag, "ConnectionFailed")
      assert.strictEqual((yield* inside(new Error("no"), "break"))._tag, "ServerError")
    }))

  it.effect("by which v3 says that a stream ended too early are just that", () =>
    Effect.gen(function*() {
      const message = "Response stream ended without a finish reason."
      const error = yield* inside(new InvalidResponseDataError({ data: undefined, message }))
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(error.reason, "unfinished")
    }))

  it.effect("after the first words interrupt the stream, with the error behind it", () =>
    Effect.gen(function*() {
      const stream = [
        { type: "text-delta" as const, id: "t", delta: "one" },
        { type: "error" as const, error: call({ statusCode: 429, responseHeaders: { "Retry-After": "7" } }) }
      ]
      const error = yield* Stream.runDrain(Llm.streamText(Llm.model(P, "model-x"), { prompt: "Hello?" })).pipe(
        Effect.flip,
        Effect.provide(AiSdk.layer(P, v4({ stream }).model))
      )
      assert(error._tag === "StreamInterrupted")
      assert.strictEqual(Redacted.value(error.partial), "one")
      assert.strictEqual(error.failure?._tag, "RateLimited")
      assert.deepStrictEqual(LlmError.retryAfter(error), Duration.seconds(7))
    }))

  it.effect("say how long to wait, which holds for the account", () =>
    Effect.gen(function*() {
      const { model, seen } = v4({
        generate: () => Promise.reject(call({ statusCode: 429, responseHeaders: { "Retry-After-Ms": "1500" } }))
      })
      const ask = Effect.flip(Llm.generateText(Llm.model(P, "model-x"), { prompt: "Hello?" }))
      const [first, second] = yield* Effect.all([ask, ask]).pipe(Effect.provide(AiSdk.layer(P, model)))
      assert.deepStrictEqual(first.retryAfter, Duration.millis(1500))
      assert(second._tag === "RateLimited")
      assert.isTrue(second.parked)
      assert.strictEqual(seen.length, 1)
    }))

  it.effect("of options of a provider's own tool are the request's", () =>
    Effect.gen(function*() {
      const search = Tool.providerDefined({
        id: "openai.web_search",
        customName: "search",
        providerName: "web_search",
        args: Schema.Struct({ size: Schema.String })
      })({ size: "huge" })
      const { model } = v4({
        generate: ({ tools }) => {
          const [tool] = tools ?? []
          const value = tool?.type === "provider" ? tool.args : undefined
          return Promise.reject(new TypeValidationError({ value, cause: new Error("no") }))
        }
      })
      const error = yield* Effect.flip(whole(model, { tools: [search], toolChoice: "auto" }))
      assert(error._tag === "InvalidRequest")
      assert.strictEqual(error.parameter, "tools")
    }))

  it.effect("of files that the package cannot download are the request's, unless the answer has begun", () =>
    Effect.gen(function*() {
      const error = new AISDKError({ name: "AI_DownloadError", message: "no" })
      for (const failure of yield* thrown(error)) assert.strictEqual(failure._tag, "InvalidRequest")
      assert.strictEqual((yield* inside(error))._tag, "MalformedResponse")
    }))

  it.effect("of a function that finds models are the call's", () =>
    Effect.gen(function*() {
      const source = (modelId: string): AiSdk.Model => {
        throw new NoSuchModelError({ modelId, modelType: "languageModel" })
      }
      assert.strictEqual((yield* Effect.flip(whole(source)))._tag, "ModelNotFound")
    }))

  it.effect("of the addresses that a model takes are the call's", () =>
    Effect.gen(function*() {
      const supportedUrls = Promise.reject(new LoadAPIKeyError({ message: "no key" }))
      const file = { type: "file" as const, mediaType: "image/png", data: "https://example.com/a.png" }
      const error = yield* Effect.flip(
        whole(v4({ supportedUrls }).model, { prompt: Prompt.make([{ role: "user", content: [file] }]) })
      )
      assert.strictEqual(error._tag, "AuthenticationFailed")
    }))
})

describe("answers that are none", () => {
  it.effect("are malformed", () =>
    Effect.gen(function*() {
      for (const odd of [undefined, null, 1, {}, { content: "hi" }]) {
        assert.strictEqual(
          (yield* Effect.flip(whole(v4({ generate: () => Promise.resolve(odd) }).model)))._tag,
          "MalformedResponse"
        )
        assert.strictEqual(
          (yield* Effect.flip(streamed(v4({ stream: () => Promise.resolve(odd) }).model)))._tag,
          "MalformedResponse"
        )
      }
      const locked = streamOf([])
      locked.getReader()
      assert.strictEqual(
        (yield* Effect.flip(streamed(v4({ stream: () => Promise.resolve({ stream: locked }) }).model)))._tag,
        "MalformedResponse"
      )
    }))
})

describe("limits", () => {
  it.effect("are told of every response", () =>
    Effect.gen(function*() {
      const headers = { "X-RateLimit-Limit-Requests": "10", "x-ratelimit-remaining-requests": "9" }
      const seen: Array<number | undefined> = []
      const onResponse: Provider.Request["onResponse"] = (limits) => void seen.push(limits[0]?.remaining)
      yield* whole(v4({ generate: () => answer([], { response: { headers } }) }).model, { onResponse })
      const stream = () => Promise.resolve({ stream: streamOf([]), response: { headers } })
      yield* streamed(v4({ stream }).model, { onResponse })
      const fails = () => Promise.reject(call({ statusCode: 400, responseHeaders: headers }))
      yield* Effect.flip(whole(v4({ generate: fails }).model, { onResponse }))
      yield* Effect.flip(whole(v4({ generate: () => Promise.reject(call()) }).model, { onResponse }))
      assert.deepStrictEqual(seen, [9, 9, 9])
    }))
})
