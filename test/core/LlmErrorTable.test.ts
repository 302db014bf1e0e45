import { assert, describe, it } from "@effect/vitest"
import { Duration, Redacted, Schema } from "effect"
import { LlmError } from "effect-bulwark"
import { AiError } from "effect/ai"
import { all, full, secret } from "./support/errors.ts"

const partial = Redacted.make("")

/** The failure, without what it may know better than the table. */
const plain: { readonly [E in LlmError.LlmError as E["_tag"]]: E } = {
  RateLimited: new LlmError.RateLimited({}),
  QuotaExhausted: new LlmError.QuotaExhausted({}),
  Overloaded: new LlmError.Overloaded({}),
  ServerError: new LlmError.ServerError({}),
  RequestTimeout: new LlmError.RequestTimeout({}),
  ConnectionFailed: new LlmError.ConnectionFailed({}),
  AuthenticationFailed: new LlmError.AuthenticationFailed({}),
  PermissionDenied: new LlmError.PermissionDenied({}),
  ModelNotFound: new LlmError.ModelNotFound({}),
  InvalidRequest: new LlmError.InvalidRequest({}),
  ContextLengthExceeded: new LlmError.ContextLengthExceeded({}),
  ContentFiltered: new LlmError.ContentFiltered({ stage: "prompt", categories: [] }),
  MalformedResponse: new LlmError.MalformedResponse({ problem: "" }),
  OutputTruncated: new LlmError.OutputTruncated({ partial }),
  InvalidOutput: new LlmError.InvalidOutput({ problem: "" }),
  ToolFailed: new LlmError.ToolFailed({ problem: "" }),
  StreamInterrupted: new LlmError.StreamInterrupted({ partial, reason: "closed" }),
  TimedOut: new LlmError.TimedOut({ phase: "idle", limit: Duration.seconds(1) }),
  CircuitOpen: new LlmError.CircuitOpen({ key: "openai/gpt-5-mini" }),
  Saturated: new LlmError.Saturated({
    key: "openai/gpt-5-mini",
    resource: "requests",
    reason: "waitTooLong",
    limit: 60,
    queued: 3
  }),
  StoreUnavailable: new LlmError.StoreUnavailable({ store: "breaker", operation: "admit" }),
  BudgetExceeded: new LlmError.BudgetExceeded({
    scope: "tenant",
    resource: "usd",
    window: "total",
    limit: 10,
    used: 8,
    reserved: 1,
    requested: 2
  }),
  UnknownPrice: new LlmError.UnknownPrice({ provider: "openai", model: "gpt-5-mini" }),
  AllModelsExhausted: new LlmError.AllModelsExhausted({ failures: [], attempts: [] }),
  PromptInvalid: new LlmError.PromptInvalid({ prompt: "greet", problems: [] }),
  PromptNotFound: new LlmError.PromptNotFound({ prompt: "greet", wanted: { version: 1 }, labels: [] })
}

const isInterruptionCause = Schema.is(LlmError.InterruptionCause)

const rows = Object.entries(plain).map(([tag, error]) =>
  [tag, error, LlmError.table[tag as LlmError.LlmError["_tag"]]] as const
)

describe("the table of failures", () => {
  it("has a row for each failure, and for nothing else", () => {
    const tags = LlmError.LlmError.members.map((member) => member.fields._tag.ast.literal)
    assert.deepStrictEqual(Object.keys(LlmError.table).toSorted(), tags.toSorted())
    assert.strictEqual(new Set(tags).size, tags.length)
  })

  it.each(rows)("%s: its row is what the functions read", (tag, error, row) => {
    assert.strictEqual(LlmError.tagOf(error), tag)
    assert.strictEqual(LlmError.isTransient(error), row.transient)
    assert.strictEqual(LlmError.failsOver(error), row.failsOver)
    assert.strictEqual(LlmError.toHttpStatus(error), row.httpStatus)
    assert.strictEqual(LlmError.toAiError(error, "generateText").reason._tag, row.aiReason)
    assert.isTrue(row.meaning.length > 0 && row.strategy.length > 0)
  })

  // The policies stand on these, so they are written out here once more.
  it("retries what a second try can mend", () => {
    assert.deepStrictEqual(rows.filter(([, error]) => LlmError.isTransient(error)).map(([tag]) => tag), [
      "RateLimited",
      "Overloaded",
      "ServerError",
      "RequestTimeout",
      "ConnectionFailed",
      "MalformedResponse",
      "StreamInterrupted",
      "TimedOut"
    ])
  })

  it("does not fail over with what is the caller's own, or is not to be routed around", () => {
    assert.deepStrictEqual(rows.filter(([, error]) => !LlmError.failsOver(error)).map(([tag]) => tag), [
      "InvalidRequest",
      "ContentFiltered",
      "ToolFailed",
      "StoreUnavailable",
      "PromptInvalid",
      "PromptNotFound"
    ])
  })

  it("opens no circuit because of the caller", () => {
    assert.deepStrictEqual(rows.filter(([, , row]) => row.breaker === "ignore").map(([tag]) => tag), [
      "PermissionDenied",
      "ModelNotFound",
      "InvalidRequest",
      "ContextLengthExceeded",
      "ContentFiltered",
      "OutputTruncated",
      "InvalidOutput",
      "ToolFailed",
      "CircuitOpen",
      "Saturated",
      "StoreUnavailable",
      "BudgetExceeded",
      "UnknownPrice",
      "AllModelsExhausted",
      "PromptInvalid",
      "PromptNotFound"
    ])
  })

  it("becomes an AiError that says what failed, and nothing of what was said", () => {
    for (const error of all) {
      const aiError = LlmError.toAiError(error, "streamText")
      assert.isTrue(AiError.isAiError(aiError))
      assert.strictEqual(aiError.module, "effect-bulwark")
      assert.strictEqual(aiError.method, "streamText")
      const encoded = JSON.stringify(Schema.encodeUnknownSync(AiError.AiError)(aiError))
      assert.notInclude(encoded, secret, error._tag)
      assert.notInclude(aiError.message, secret, error._tag)
      if ("metadata" in aiError.reason) assert.include(encoded, `"tag":"${error._tag}"`)
    }
  })

  it("keeps in an AiError what code written against it can use", () => {
    const reasonOf = (error: unknown) => LlmError.toAiError(error, "generateText").reason
    const limited = reasonOf(full.RateLimited)
    assert(limited._tag === "RateLimitError")
    assert.deepStrictEqual(limited.retryAfter, Duration.millis(1_500))
    assert.isTrue(limited.isRetryable)
    const quota = reasonOf(full.QuotaExhausted)
    assert(quota._tag === "QuotaExhaustedError")
    assert.strictEqual(quota.resetAt, full.QuotaExhausted.resetsAt)
    const tool = reasonOf(full.ToolFailed)
    assert(tool._tag === "InvalidToolResultError")
    assert.strictEqual(tool.toolName, "Weather")
    const invalid = reasonOf(full.InvalidRequest)
    assert(invalid._tag === "InvalidRequestError")
    assert.strictEqual(invalid.parameter, "temperature")
    const kinds = [full.AuthenticationFailed, full.PermissionDenied].map((error) => {
      const reason = reasonOf(error)
      return reason._tag === "AuthenticationError" ? reason.kind : undefined
    })
    assert.deepStrictEqual(kinds, ["InvalidKey", "InsufficientPermissions"])
  })
})

describe("a failure that knows better than its row", () => {
  it("is (not) retried as it says itself", () => {
    assert.isFalse(LlmError.isTransient(new LlmError.RateLimited({ retryable: false })))
    assert.isTrue(LlmError.isTransient(new LlmError.InvalidRequest({ retryable: true })))
    // Whether another model may succeed is another question.
    assert.isTrue(LlmError.failsOver(new LlmError.RateLimited({ retryable: false })))
  })

  it("is not retried when the total limit has passed", () => {
    const timedOut = (phase: LlmError.TimedOut["phase"]) => new LlmError.TimedOut({ phase, limit: Duration.seconds(1) })
    assert.isTrue(LlmError.isTransient(timedOut("firstPart")))
    assert.isTrue(LlmError.isTransient(timedOut("idle")))
    assert.isFalse(LlmError.isTransient(timedOut("total")))
    assert.isTrue(LlmError.failsOver(timedOut("total")))
  })

  it("is as transient as what interrupted it", () => {
    for (const [, error, row] of rows) {
      if (!isInterruptionCause(error)) continue
      const interrupted = new LlmError.StreamInterrupted({ partial, reason: "failed", failure: error })
      assert.strictEqual(LlmError.isTransient(interrupted), row.transient, error._tag)
    }
    const own = new LlmError.StreamInterrupted({
      partial,
      reason: "failed",
      retryable: true,
      failure: plain.AuthenticationFailed
    })
    assert.isTrue(LlmError.isTransient(own))
  })

  it("waits as long as it was told to, by itself or by what interrupted it", () => {
    const after = Duration.seconds(3)
    assert.isUndefined(LlmError.retryAfter(plain.RateLimited))
    assert.deepStrictEqual(LlmError.retryAfter(new LlmError.Overloaded({ retryAfter: after })), after)
    const failure = new LlmError.RateLimited({ retryAfter: after })
    assert.deepStrictEqual(
      LlmError.retryAfter(new LlmError.StreamInterrupted({ partial, reason: "failed", failure })),
      after
    )
    const own = new LlmError.StreamInterrupted({ partial, reason: "failed", failure, retryAfter: Duration.seconds(9) })
    assert.deepStrictEqual(LlmError.retryAfter(own), Duration.seconds(9))
  })
})

describe("a failure that is not Bulwark's", () => {
  const strangers: Array<unknown> = [
    undefined,
    null,
    "no",
    new Error("no"),
    { _tag: "Mine", retryAfter: Duration.seconds(1) },
    { _tag: "toString" },
    { _tag: "__proto__" },
    { _tag: 7 },
    new AiError.RateLimitError({})
  ]

  it.each(strangers)("%s has no row", (error) => {
    assert.isFalse(LlmError.isTransient(error))
    assert.isFalse(LlmError.failsOver(error))
    assert.strictEqual(LlmError.toHttpStatus(error), 500)
    assert.isUndefined(LlmError.retryAfter(error))
    assert.strictEqual(LlmError.toAiError(error, "m").reason._tag, "UnknownError")
  })

  it("is named by its tag, and by nothing else", () => {
    const { reason } = LlmError.toAiError({ _tag: "Mine", message: secret }, "m")
    assert(reason._tag === "UnknownError")
    assert.strictEqual(reason.description, "Mine")
    assert.notInclude(JSON.stringify(LlmError.toAiError(new Error(secret), "m").reason), secret)
    assert.strictEqual(LlmError.tagOf({ _tag: "Mine" }), "Mine")
    assert.isUndefined(LlmError.tagOf(new Error("no")))
  })

  it("stays as it is where it already is an AiError", () => {
    const error = AiError.make({
      module: "m",
      method: "n",
      reason: new AiError.InvalidOutputError({ description: "d" })
    })
    assert.strictEqual(LlmError.toAiError(error, "other"), error)
  })
})
