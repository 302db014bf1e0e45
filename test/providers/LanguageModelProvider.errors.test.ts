/**
 * What an `AiError` of each reason becomes, what it becomes when the server's own words say more, and that what was a failure
 * of ours is one again.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { LanguageModelProvider } from "effect-bulwark/providers"
import { AiError, type Response } from "effect/ai"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import { full } from "../core/support/errors.ts"
import { collect } from "../core/support/stack.ts"
import { asks, failing, finish, llm, modelOf, P, question, type Script } from "./support/scriptedModel.ts"

const serving = (script: Script) => LanguageModelProvider.layer(P).pipe(Layer.provide(modelOf(script)))

const aiError = (reason: AiError.AiErrorReason) =>
  AiError.make({ module: "OpenAiLanguageModel", method: "any", reason })

/** What a call becomes whose model fails, whole and streamed alike. */
const failureOf = (reason: AiError.AiErrorReason) =>
  Effect.gen(function*() {
    const errors: Array<LlmError.ProviderError> = []
    for (const [, run] of asks) {
      const error = yield* run.pipe(
        Effect.flip,
        Effect.provide(serving(failing(aiError(reason)))),
        Effect.catch(() => Effect.die(new Error("it has not failed")))
      )
      errors.push(error)
    }
    assert.deepStrictEqual(errors[1], errors[0])
    return errors[0]!
  })

const http = (status: number, body?: unknown, headers: { readonly [name: string]: string } = {}) => ({
  http: {
    response: { status, headers },
    ...(body === undefined ? undefined : { body: typeof body === "string" ? body : JSON.stringify(body) })
  }
})

const openai = (errorCode: string | null, errorType: string | null = null) => ({
  metadata: { openai: { errorCode, errorType, requestId: "req_9" } }
})

const description = "so it says"

type Case = readonly [name: string, reason: AiError.AiErrorReason, tag: LlmError.ProviderError["_tag"]]

const plain: ReadonlyArray<Case> = [
  ["RateLimitError", new AiError.RateLimitError({}), "RateLimited"],
  ["QuotaExhaustedError", new AiError.QuotaExhaustedError({}), "QuotaExhausted"],
  ...(["InvalidKey", "ExpiredKey", "MissingKey", "Unknown"] as const).map((kind): Case => [
    `AuthenticationError ${kind}`,
    new AiError.AuthenticationError({ kind }),
    "AuthenticationFailed"
  ]),
  [
    "AuthenticationError InsufficientPermissions",
    new AiError.AuthenticationError({ kind: "InsufficientPermissions" }),
    "PermissionDenied"
  ],
  ["ContentPolicyError", new AiError.ContentPolicyError({ description }), "ContentFiltered"],
  ["InvalidRequestError", new AiError.InvalidRequestError({}), "InvalidRequest"],
  ["InvalidResponseError", new AiError.InvalidResponseError({ description }), "MalformedResponse"],
  ["InternalProviderError", new AiError.InternalProviderError({ description }), "ServerError"],
  ["UnknownError", new AiError.UnknownError({}), "ServerError"],
  ["InvalidOutputError", new AiError.InvalidOutputError({ description }), "MalformedResponse"],
  ["StructuredOutputError", new AiError.StructuredOutputError({ description, responseText: "" }), "MalformedResponse"],
  ["UnsupportedSchemaError", new AiError.UnsupportedSchemaError({ description }), "InvalidRequest"],
  ["ToolNotFoundError", new AiError.ToolNotFoundError({ toolName: "T", availableTools: [] }), "MalformedResponse"],
  [
    "ToolParameterValidationError",
    new AiError.ToolParameterValidationError({ toolName: "T", description }),
    "MalformedResponse"
  ],
  ["InvalidToolResultError", new AiError.InvalidToolResultError({ toolName: "T", description }), "MalformedResponse"],
  [
    "ToolResultEncodingError",
    new AiError.ToolResultEncodingError({ toolName: "T", toolResult: 1, description }),
    "MalformedResponse"
  ],
  ["ToolConfigurationError", new AiError.ToolConfigurationError({ toolName: "T", description }), "InvalidRequest"],
  ["ToolkitRequiredError", new AiError.ToolkitRequiredError({ pendingApprovals: ["T"] }), "InvalidRequest"],
  ["InvalidUserInputError", new AiError.InvalidUserInputError({ description }), "InvalidRequest"],
  ...([["TransportError", "ConnectionFailed"], ["EncodeError", "InvalidRequest"], [
    "InvalidUrlError",
    "InvalidRequest"
  ]] as const)
    .map(([reason, tag]): Case => [
      `NetworkError ${reason}`,
      new AiError.NetworkError({ reason, method: "POST", url: "https://example.org/" }),
      tag
    ])
]

describe("a reason by itself", () => {
  for (const [name, reason, tag] of plain) {
    it.effect(`${name} is ${tag}`, () =>
      Effect.gen(function*() {
        const error = yield* failureOf(reason)
        assert.deepStrictEqual([error._tag, error.provider, error.model], [tag, "p", "m"])
        // No status is made up.
        assert.isUndefined(error.status)
        assert.notInclude(error.message, description)
      }))
  }

  it("is in the table, whichever effect/ai knows", () => {
    const known = AiError.AiErrorReason.members.map((member) => member.fields._tag.schema.literal)
    assert.sameMembers([...new Set(plain.map(([, reason]) => reason._tag))], known)
  })

  it.effect("keeps the times it gives", () =>
    Effect.gen(function*() {
      const limited = yield* failureOf(new AiError.RateLimitError({ retryAfter: Duration.seconds(3) }))
      assert.deepStrictEqual(limited.retryAfter, Duration.seconds(3))
      const resetAt = DateTime.makeUnsafe("2026-03-01T00:00:00.000Z")
      const exhausted = yield* failureOf(new AiError.QuotaExhaustedError({ resetAt }))
      assert(exhausted._tag === "QuotaExhausted")
      assert.deepStrictEqual(exhausted.resetsAt, DateTime.toUtc(resetAt))
      // No time to wait is none.
      for (const retryAfter of [Duration.zero, Duration.infinity]) {
        const error = yield* failureOf(new AiError.RateLimitError({ retryAfter }))
        if (Duration.isZero(retryAfter)) assert.isUndefined(error.retryAfter)
        else assert.isTrue(Duration.isFinite(error.retryAfter!))
      }
    }))

  it.effect("keeps the parameter it names, where that is a name", () =>
    Effect.gen(function*() {
      const named = yield* failureOf(new AiError.InvalidRequestError({ parameter: "temperature" }))
      assert(named._tag === "InvalidRequest")
      assert.strictEqual(named.parameter, "temperature")
      const quoted = yield* failureOf(new AiError.InvalidRequestError({ parameter: "what you said of Ada" }))
      assert(quoted._tag === "InvalidRequest")
      assert.isUndefined(quoted.parameter)
    }))

  it.effect("keeps words and metadata in its detail, and nowhere else", () =>
    Effect.gen(function*() {
      const metadata = { openai: { requestId: "req_9", limit: "tokens of Ada" } }
      for (
        const reason of [
          new AiError.InternalProviderError({ description: "Ada said so", metadata }),
          new AiError.InvalidOutputError({ description: "Ada said so", metadata })
        ]
      ) {
        const error = yield* failureOf(reason)
        assert(error.detail !== undefined)
        assert.include(Redacted.value(error.detail), "Ada said so")
        assert.include(Redacted.value(error.detail), "tokens of Ada")
        assert.notInclude(JSON.stringify(error) + error.message, "Ada")
      }
    }))
})

describe("a reason with what the server said", () => {
  const words = (message: string) => ({ error: { message } })
  const tooLong = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
  const refined: ReadonlyArray<Case> = [
    // by the words of a body
    ["a long prompt", new AiError.InvalidRequestError(http(400, words(tooLong))), "ContextLengthExceeded"],
    [
      "an empty account",
      new AiError.RateLimitError(
        http(429, { error: { message: "You exceeded your current quota", code: "insufficient_quota" } })
      ),
      "QuotaExhausted"
    ],
    [
      "no capacity",
      new AiError.InternalProviderError({ description, ...http(500, words("The model is overloaded")) }),
      "Overloaded"
    ],
    ["no capacity, of the day", new AiError.RateLimitError(http(429, words("The model is at capacity"))), "Overloaded"],
    ["a key, with 400", new AiError.InvalidRequestError(http(400, words("API key not valid"))), "AuthenticationFailed"],
    [
      "a policy, with 400",
      new AiError.InvalidRequestError(http(400, { error: { message: "no", code: "content_policy_violation" } })),
      "ContentFiltered"
    ],
    // by the status
    ["a status of overload", new AiError.InternalProviderError({ description, ...http(529) }), "Overloaded"],
    ["a gateway's timeout", new AiError.InternalProviderError({ description, ...http(504) }), "RequestTimeout"],
    ["a bill", new AiError.UnknownError(http(402)), "QuotaExhausted"],
    [
      "a model that is not there",
      new AiError.UnknownError(http(404, words("The model `m` does not exist"))),
      "ModelNotFound"
    ],
    ["a path that is not there", new AiError.UnknownError(http(404, "Not Found")), "InvalidRequest"],
    [
      "a status of failure, not read",
      new AiError.InvalidResponseError({ description, ...http(503, "<html>") }),
      "Overloaded"
    ],
    ["a redirect", new AiError.UnknownError(http(307)), "ServerError"],
    // by the codes in the metadata
    ["a code", new AiError.InvalidRequestError(openai("context_length_exceeded")), "ContextLengthExceeded"],
    ["a type", new AiError.RateLimitError(openai(null, "insufficient_quota")), "QuotaExhausted"],
    [
      "a code under another key",
      new AiError.InternalProviderError({
        description,
        metadata: { anthropic: { errorType: "overloaded_error" }, other: null }
      }),
      "Overloaded"
    ],
    // by the description
    ["a description", new AiError.InvalidRequestError({ description: tooLong }), "ContextLengthExceeded"],
    ["a description of a failure", new AiError.UnknownError({ description: "Too many requests" }), "RateLimited"],
    [
      "an empty body",
      new AiError.InvalidRequestError({ description: tooLong, ...http(400, " ") }),
      "ContextLengthExceeded"
    ],
    // where the reason says more
    ["a known quota", new AiError.QuotaExhaustedError(http(429, words("Slow down"))), "QuotaExhausted"],
    ["a known policy", new AiError.ContentPolicyError({ description, ...http(400, words("No.")) }), "ContentFiltered"],
    ["a known policy, with 403", new AiError.ContentPolicyError({ description, ...http(403) }), "ContentFiltered"],
    [
      "a known key",
      new AiError.AuthenticationError({ kind: "InvalidKey", ...http(400, words("No.")) }),
      "AuthenticationFailed"
    ],
    ["a rate limit under 400", new AiError.RateLimitError(http(400, words("No."))), "RateLimited"]
  ]
  for (const [name, reason, tag] of refined) {
    it.effect(`${name}: ${reason._tag} is ${tag}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* failureOf(reason))._tag, tag)
      }))
  }

  it.effect("keeps status, code, request id, time to wait and numbers", () =>
    Effect.gen(function*() {
      const limited = yield* failureOf(
        new AiError.RateLimitError({
          retryAfter: Duration.seconds(1),
          ...http(429, { error: { message: "Rate limit reached for requests per min", code: "rate_limit_exceeded" } }, {
            "Retry-After": "7",
            "X-Request-Id": "req_1",
            "x-should-retry": "false"
          })
        })
      )
      assert(limited._tag === "RateLimited")
      assert.deepStrictEqual(
        [limited.status, limited.code, limited.requestId, limited.scope, limited.retryable],
        [429, "rate_limit_exceeded", "req_1", "requests", false]
      )
      // The server's own header is what counts.
      assert.deepStrictEqual(limited.retryAfter, Duration.seconds(7))
      const long = yield* failureOf(new AiError.InvalidRequestError(http(400, words(tooLong))))
      assert(long._tag === "ContextLengthExceeded")
      assert.deepStrictEqual([long.limit, long.requested], [8192, 9000])
      const coded = yield* failureOf(new AiError.RateLimitError(openai("rate_limit_exceeded")))
      assert.deepStrictEqual([coded.code, coded.requestId], ["rate_limit_exceeded", "req_9"])
    }))

  it.effect("reads no header that is secret", () =>
    Effect.gen(function*() {
      const headers = { "x-request-id": Redacted.make("sk-5ecret") }
      const error = yield* failureOf(new AiError.RateLimitError({ http: { response: { status: 429, headers } } }))
      assert.isUndefined(error.requestId)
    }))
})

describe("a network", () => {
  const broken = (cause: Error, description?: string) =>
    AiError.NetworkError.fromHttpClientError(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request: HttpClientRequest.post("https://example.org/").pipe(
            HttpClientRequest.setHeader("authorization", "Bearer sk-5ecret")
          ),
          cause,
          ...(description === undefined ? undefined : { description })
        })
        // (What `fromHttpClientError` takes is a narrower type of the same class.)
      }) as HttpClientError.HttpClientError & { readonly reason: HttpClientError.RequestError }
    )

  it.effect("that is not there is ConnectionFailed, with the system's code", () =>
    Effect.gen(function*() {
      const error = yield* failureOf(broken(Object.assign(new Error("no"), { code: "ECONNREFUSED" }), "fetch failed"))
      assert.deepStrictEqual([error._tag, error.code], ["ConnectionFailed", "ECONNREFUSED"])
      assert(error.detail !== undefined)
      assert.strictEqual(Redacted.value(error.detail), "fetch failed")
      assert.notInclude(JSON.stringify(error), "sk-5ecret")
    }))

  it.effect("that is too slow is RequestTimeout, and one with a wrong certificate is not tried again", () =>
    Effect.gen(function*() {
      const slow = yield* failureOf(broken(Object.assign(new Error("no"), { code: "UND_ERR_HEADERS_TIMEOUT" })))
      assert.strictEqual(slow._tag, "RequestTimeout")
      const forged = yield* failureOf(broken(Object.assign(new Error("no"), { code: "CERT_HAS_EXPIRED" })))
      assert.deepStrictEqual([forged._tag, LlmError.isTransient(forged)], ["ConnectionFailed", false])
    }))
})

describe("a failure in a stream", () => {
  const text = (delta: string) => ({ type: "text-delta", id: "0", delta }) as const
  const broken = (stream: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>) =>
    Effect.gen(function*() {
      const { exit, parts } = yield* collect(Llm.streamText(llm, question)).pipe(
        Effect.provide(serving({ stream: () => stream }))
      )
      return { parts, error: yield* Effect.flip(exit) }
    })

  it.effect("interrupts it, by what it is", () =>
    Effect.gen(function*() {
      const network = new AiError.NetworkError({
        reason: "TransportError",
        method: "POST",
        url: "https://example.org/"
      })
      const cases = [
        [network, "closed", "ConnectionFailed"],
        [new AiError.InternalProviderError({ description: "overloaded" }), "failed", "Overloaded"],
        [new AiError.ContentPolicyError({ description }), "failed", "ContentFiltered"]
      ] as const
      for (const [reason, kind, tag] of cases) {
        const { error, parts } = yield* broken(Stream.concat(Stream.make(text("330")), Stream.fail(aiError(reason))))
        assert.strictEqual(parts.length, 1)
        assert(error._tag === "StreamInterrupted")
        assert.deepStrictEqual([error.reason, error.failure?._tag], [kind, tag])
        assert.strictEqual(Redacted.value(error.partial), "330")
      }
    }))

  const errorParts: ReadonlyArray<readonly [name: string, error: unknown, tag: string]> = [
    ["an error object", { type: "overloaded_error", message: "Overloaded" }, "Overloaded"],
    ["a wrapped error object", { error: { code: "context_length_exceeded", message: "no" } }, "ContextLengthExceeded"],
    ["a text", "rate limit reached", "RateLimited"],
    ["an exception", new Error("request timeout"), "RequestTimeout"],
    ["an AiError", aiError(new AiError.QuotaExhaustedError({})), "QuotaExhausted"],
    ["a reason", new AiError.QuotaExhaustedError({}), "QuotaExhausted"],
    ["a failure of ours", LlmError.toAiError(full.ModelNotFound, "streamText"), "ModelNotFound"],
    ["nothing", undefined, "ServerError"]
  ]
  for (const [name, error, tag] of errorParts) {
    it.effect(`that is a part (${name}) is ${tag}, after what was said before it`, () =>
      Effect.gen(function*() {
        const late = yield* broken(Stream.make(text("a"), text("b"), { type: "error", error }, text("c"), finish))
        assert.deepStrictEqual(late.parts.map((part) => part.type === "text-delta" && part.delta), ["a", "b"])
        assert(late.error._tag === "StreamInterrupted")
        assert.strictEqual(late.error.failure?._tag, tag)
        const early = yield* broken(Stream.make({ type: "error", error }))
        assert.strictEqual(early.error._tag, tag)
        assert.strictEqual(early.parts.length, 0)
      }))
  }
})

describe("a failure of an Llm that is served as a model", () => {
  const bridged = (error: LlmError.LlmError) => {
    const inner = Llm.make({ plan: llm.plan, open: () => Effect.fail(error) })
    return LanguageModelProvider.layer(P).pipe(Layer.provide(Llm.layerLanguageModel(inner)))
  }

  // What a policy of that Llm has failed with is, to whoever asks it, a failure of the model.
  const policies: { readonly [Tag in Exclude<LlmError.LlmError["_tag"], LlmError.ProviderError["_tag"]>]: string } = {
    TimedOut: "RequestTimeout",
    CircuitOpen: "Overloaded",
    Saturated: "RateLimited",
    StoreUnavailable: "ServerError",
    BudgetExceeded: "QuotaExhausted",
    UnknownPrice: "ModelNotFound",
    AllModelsExhausted: "Overloaded",
    OutputTruncated: "MalformedResponse",
    InvalidOutput: "MalformedResponse",
    ToolFailed: "InvalidRequest",
    PromptInvalid: "InvalidRequest",
    PromptNotFound: "InvalidRequest"
  }

  for (const error of Object.values(full)) {
    const mapped: string | undefined = Object.hasOwn(policies, error._tag)
      ? policies[error._tag as keyof typeof policies]
      : undefined
    it.effect(`${error._tag} is ${mapped ?? "the very same again"}`, () =>
      Effect.gen(function*() {
        for (const [, run] of asks) {
          const again: LlmError.ProviderError = yield* run.pipe(
            Effect.flip,
            Effect.provide(bridged(error)),
            Effect.catch(() => Effect.die(new Error("it has not failed")))
          )
          if (error._tag === "StreamInterrupted") {
            // What had arrived is for the core to say: here, nothing.
            assert(again._tag === "StreamInterrupted")
            assert.deepStrictEqual([again.reason, again.failure], [error.reason, error.failure])
          } else if (mapped === undefined) {
            assert.strictEqual<unknown>(again, error)
          } else {
            assert.strictEqual(again._tag, mapped)
            assert.strictEqual(again.code, error._tag)
            assert.strictEqual(LlmError.isTransient(again), LlmError.isTransient(error))
            assert.deepStrictEqual(
              [again.provider, again.model, again.status, again.requestId, again.retryAfter, again.detail],
              [error.provider, error.model, error.status, error.requestId, error.retryAfter, error.detail]
            )
          }
        }
      }))
  }

  it.effect("that was stored and read back is known by its reason", () =>
    Effect.gen(function*() {
      const stored = yield* Schema.encodeEffect(AiError.AiError)(LlmError.toAiError(full.RateLimited, "generateText"))
      const read = yield* Schema.decodeEffect(AiError.AiError)(stored)
      assert.isUndefined(LlmError.fromAiError(read))
      const error = yield* failureOf(read.reason)
      assert.deepStrictEqual([error._tag, error.retryAfter], ["RateLimited", full.RateLimited.retryAfter])
    }))

  it("that is not one of ours has nothing behind it", () => {
    assert.isUndefined(LlmError.fromAiError(LlmError.toAiError({ _tag: "Mine" }, "generateText")))
    assert.isUndefined(LlmError.fromAiError(aiError(new AiError.RateLimitError({}))))
  })
})
