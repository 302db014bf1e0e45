import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Duration, Effect, Logger, Redacted, Schema } from "effect"
import { LlmError } from "effect-bulwark"
import { inspect } from "node:util"
import { all, full, named, secret } from "./support/errors.ts"

const encode = Schema.encodeUnknownSync(Schema.fromJsonString(LlmError.LlmError))
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(LlmError.LlmError))

/** Errors carry stacks and redacted values, so they are compared by what they encode to, class by class. */
const same = (actual: LlmError.LlmError, expected: LlmError.LlmError): void => {
  assert.strictEqual(Object.getPrototypeOf(actual), Object.getPrototypeOf(expected))
  assert.strictEqual(encode(actual), encode(expected))
}

describe("a failure in JSON", () => {
  it("comes back as it was", () => {
    for (const error of all) {
      const back = decode(encode(error))
      same(back, error)
      assert.strictEqual(back.message, error.message)
      assert.instanceOf(back, Error)
    }
  })

  it("keeps every field", () => {
    assert.deepStrictEqual(JSON.parse(encode(full.StreamInterrupted)), {
      _tag: "StreamInterrupted",
      provider: "openai",
      model: "gpt-5-mini",
      status: 418,
      code: "teapot",
      requestId: "req_1",
      retryAfter: 1_500,
      retryable: true,
      detail: `Incorrect API key provided: ${secret}`,
      partial: secret,
      usage: { inputUncached: 1, inputCacheRead: 2, inputCacheWrite: 3, outputText: 4, outputReasoning: 5 },
      reason: "timedOut",
      failure: {
        _tag: "TimedOut",
        provider: "openai",
        model: "gpt-5-mini",
        status: 418,
        code: "teapot",
        requestId: "req_1",
        retryAfter: 1_500,
        retryable: true,
        detail: `Incorrect API key provided: ${secret}`,
        phase: "idle",
        limit: 15_000
      }
    })
    assert.deepInclude(JSON.parse(encode(full.QuotaExhausted)), { resetsAt: "2026-03-01T00:00:00.000Z" })
  })

  it("needs nothing but what the failure cannot do without", () => {
    const json = (error: LlmError.LlmError) => JSON.parse(encode(error))
    assert.deepStrictEqual(json(new LlmError.RateLimited({})), { _tag: "RateLimited" })
    assert.deepStrictEqual(json(new LlmError.ContentFiltered({ stage: "answer", categories: [] })), {
      _tag: "ContentFiltered",
      stage: "answer",
      categories: []
    })
    assert.throws(() => decode(`{"_tag":"StreamInterrupted","reason":"closed"}`))
    assert.throws(() => decode(`{"_tag":"Unheard"}`))
    assert.throws(() => decode(`{"_tag":"RateLimited","retryAfter":"soon"}`))
  })

  it("has values that policies can use", () => {
    const back = decode(encode(full.StreamInterrupted))
    assert(back._tag === "StreamInterrupted")
    assert.strictEqual(Redacted.value(back.partial), secret)
    assert.isTrue(Redacted.isRedacted(back.detail))
    assert.strictEqual(back.failure?._tag, "TimedOut")
    assert.deepStrictEqual(LlmError.retryAfter(back), Duration.millis(1_500))
  })

  // JSON has no word for infinity.
  const finite = (error: LlmError.LlmError): boolean =>
    [error.retryAfter, "limit" in error ? error.limit : undefined].every((duration) =>
      !Duration.isDuration(duration) || Number.isFinite(Duration.toMillis(duration))
    ) && (error._tag !== "StreamInterrupted" || error.failure === undefined || finite(error.failure)) &&
    (error._tag !== "AllModelsExhausted" || error.failures.every(finite))

  const anyError = Arbitrary.filter(Arbitrary.schema(LlmError.LlmError), finite)

  it.prop("comes back as it was, whatever is set", [anyError], ([error]) => {
    same(decode(encode(error)), error)
  })
})

/** All the ways in which an error gets into a log without anyone meaning it to. */
const printed: Record<string, (error: LlmError.LlmError) => string> = {
  "message": (error) => error.message,
  "String()": (error) => String(error),
  "a template": (error) => `${error}`,
  "stack": (error) => error.stack ?? "",
  "inspect": (error) => inspect(error, { depth: 10, showHidden: true, getters: true }),
  "JSON.stringify": (error) => JSON.stringify(error) + JSON.stringify({ error }),
  "Cause.pretty": (error) => Cause.pretty(Cause.fail(error)) + Cause.pretty(Cause.die(error)),
  "inspect of a cause": (error) => inspect(Cause.fail(error), { depth: 10 }) + JSON.stringify(Cause.fail(error)),
  "a schema error around it": (error) => {
    try {
      Schema.decodeUnknownSync(Schema.Struct({ a: Schema.String }), { errors: "all" })({ a: error })
      return ""
    } catch (problem) {
      return String(problem)
    }
  }
}

describe("a failure in print", () => {
  for (const [name, print] of Object.entries(printed)) {
    it(`holds nothing of what was said: ${name}`, () => {
      for (const [tag, error] of named) assert.notInclude(print(error), secret, tag)
    })
  }

  it.effect("holds nothing of what was said: the log", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const loggers = [Logger.formatLogFmt, Logger.formatStructured, Logger.formatJson, Logger.formatSimple].map((
        format
      ) =>
        Logger.map(format as Logger.Logger<unknown, unknown>, (line) =>
          void lines.push(typeof line === "string" ? line : inspect(line, { depth: 10 })))
      )
      yield* Effect.forEach(all, (error) =>
        Effect.andThen(
          Effect.logError(error),
          Effect.andThen(
            Effect.logError("it failed", { error }),
            Effect.fail(error).pipe(
              Effect.tapCause((cause) =>
                Effect.logError(cause)
              ),
              Effect.ignore
            )
          )
        )).pipe(Effect.provide(Logger.layer(loggers)))
      assert.strictEqual(lines.length, all.length * 3 * loggers.length)
      // That they have been logged at all shows in what may be said.
      assert.include(lines.join("\n"), "teapot")
      assert.notInclude(lines.join("\n"), secret)
    }))

  it("says who failed, and how to quote it", () => {
    for (const error of Object.values(full)) {
      assert.isTrue(error.message.startsWith("openai/gpt-5-mini: "), error._tag)
      assert.include(error.message, "[status 418, code teapot, request req_1]")
    }
    assert.isTrue(new LlmError.Overloaded({ provider: "openai" }).message.startsWith("openai: "))
    assert.isTrue(new LlmError.Overloaded({ model: "gpt-5-mini" }).message.startsWith("gpt-5-mini: "))
    assert.isTrue(new LlmError.Overloaded({}).message.startsWith("the provider is overloaded"))
  })

  it("is in words", () => {
    const words = (error: LlmError.LlmError) => error.message
    assert.strictEqual(
      words(full.RateLimited),
      "openai/gpt-5-mini: the rate limit is reached (tokens) [status 418, code teapot, request req_1]; " +
        "wait 1s 500ms before the next request"
    )
    assert.strictEqual(words(new LlmError.RateLimited({})), "the rate limit is reached; wait before the next request")
    assert.include(words(new LlmError.RateLimited({ retryable: false })), "waiting cannot help")
    assert.include(words(new LlmError.MalformedResponse({ problem: "it is empty" })), "it is empty; try again")
    assert.include(
      words(new LlmError.MalformedResponse({ problem: "it is a web page", retryable: false })),
      "it is a web page; trying again cannot help"
    )
    assert.include(words(full.QuotaExhausted), "2026-03-01")
    assert.strictEqual(words(new LlmError.InvalidRequest({ provider: "openai" })), "openai: the request is not valid")
    assert.include(words(new LlmError.InvalidRequest({ parameter: "stop" })), "parameter stop")
    assert.include(words(full.ContextLengthExceeded), "8192 tokens (9000 requested)")
    assert.include(words(full.ContentFiltered), "refused the prompt (violence, self-harm)")
    assert.include(words(full.StreamInterrupted), `broke off after ${secret.length} characters: a limit passed`)
    assert.include(words(full.StreamInterrupted), "no further part within 15s")
    assert.strictEqual(
      words(new LlmError.TimedOut({ phase: "firstPart", limit: Duration.seconds(8) })),
      "no first part within 8s"
    )
    assert.strictEqual(
      words(new LlmError.TimedOut({ phase: "total", limit: Duration.minutes(1) })),
      "no end of the answer within 1m"
    )
  })
})
