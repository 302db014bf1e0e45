/**
 * One of each failure, with everything set that can be set.
 */
import { DateTime, Duration, Redacted, Schema } from "effect"
import { LlmError, type Usage } from "effect-bulwark"

/** Stands for whatever must never be printed: a key, a prompt, an answer. */
export const secret = "sk-5ecret"

const usage: Usage.Usage = {
  inputUncached: 1,
  inputCacheRead: 2,
  inputCacheWrite: 3,
  outputText: 4,
  outputReasoning: 5
}

const common = {
  provider: "openai",
  model: "gpt-5-mini",
  status: 418,
  code: "teapot",
  requestId: "req_1",
  retryAfter: Duration.millis(1_500),
  retryable: true,
  detail: Redacted.make(`Incorrect API key provided: ${secret}`)
}

const hidden = Redacted.make(secret)

const timedOut = new LlmError.TimedOut({ ...common, phase: "idle", limit: Duration.seconds(15) })

/** By tag, so that the compiler misses none. */
export const full: { readonly [E in LlmError.LlmError as E["_tag"]]: E } = {
  RateLimited: new LlmError.RateLimited({ ...common, scope: "tokens" }),
  QuotaExhausted: new LlmError.QuotaExhausted({
    ...common,
    resetsAt: DateTime.toUtc(DateTime.makeUnsafe("2026-03-01T00:00:00.000Z"))
  }),
  Overloaded: new LlmError.Overloaded(common),
  ServerError: new LlmError.ServerError(common),
  RequestTimeout: new LlmError.RequestTimeout(common),
  ConnectionFailed: new LlmError.ConnectionFailed(common),
  AuthenticationFailed: new LlmError.AuthenticationFailed(common),
  PermissionDenied: new LlmError.PermissionDenied(common),
  ModelNotFound: new LlmError.ModelNotFound(common),
  InvalidRequest: new LlmError.InvalidRequest({ ...common, parameter: "temperature", problem: "it is too hot" }),
  ContextLengthExceeded: new LlmError.ContextLengthExceeded({ ...common, limit: 8_192, requested: 9_000 }),
  ContentFiltered: new LlmError.ContentFiltered({ ...common, stage: "prompt", categories: ["violence", "self-harm"] }),
  MalformedResponse: new LlmError.MalformedResponse({ ...common, problem: "no choices" }),
  OutputTruncated: new LlmError.OutputTruncated({ ...common, partial: hidden, usage }),
  InvalidOutput: new LlmError.InvalidOutput({
    ...common,
    problem: "Expected string at name",
    text: hidden,
    toolName: "Weather",
    usage
  }),
  ToolFailed: new LlmError.ToolFailed({ ...common, toolName: "Weather", problem: "InvalidToolResultError" }),
  StreamInterrupted: new LlmError.StreamInterrupted({
    ...common,
    partial: hidden,
    usage,
    reason: "timedOut",
    failure: timedOut
  }),
  TimedOut: timedOut,
  CircuitOpen: new LlmError.CircuitOpen({ ...common, key: "openai/gpt-5-mini" }),
  Saturated: new LlmError.Saturated({
    ...common,
    key: "openai/gpt-5-mini",
    resource: "concurrency",
    reason: "queueFull",
    limit: 8,
    queued: 100
  }),
  StoreUnavailable: new LlmError.StoreUnavailable({ ...common, store: "breaker", operation: "admit" }),
  BudgetExceeded: new LlmError.BudgetExceeded({
    ...common,
    scope: "tenant",
    resource: "usd",
    window: "calendar day (UTC)",
    limit: 1_000_000,
    used: 900_000,
    reserved: 50_000,
    requested: 60_000,
    resetsAt: DateTime.makeUnsafe("2026-03-01T00:00:00Z")
  }),
  UnknownPrice: new LlmError.UnknownPrice({ ...common, missing: "output" }),
  AllModelsExhausted: new LlmError.AllModelsExhausted({
    ...common,
    failures: [timedOut, new LlmError.InvalidOutput({ ...common, problem: "Expected string at name", text: hidden })],
    attempts: [{
      provider: "openai",
      model: "gpt-5-mini",
      startMillis: 0,
      durationMillis: 1_500,
      outcome: "TimedOut",
      usage
    }]
  }),
  PromptInvalid: new LlmError.PromptInvalid({
    ...common,
    prompt: "greet",
    version: 3,
    problems: ["\"name\" is missing"]
  }),
  PromptNotFound: new LlmError.PromptNotFound({
    ...common,
    prompt: "greet",
    wanted: { labels: ["production"] },
    labels: ["staging"]
  })
}

const isInterruptionCause = Schema.is(LlmError.InterruptionCause)

/** One of each, and an interruption by each failure that can be behind one. */
export const all: ReadonlyArray<LlmError.LlmError> = [
  ...Object.values(full),
  ...Object.values(full).flatMap((failure) =>
    isInterruptionCause(failure) ? [new LlmError.StreamInterrupted({ partial: hidden, reason: "failed", failure })] : []
  )
]

/** What tells one from another in the name of a test. */
export const named = all.map((error) =>
  [error._tag === "StreamInterrupted" ? `${error._tag} by ${error.failure?._tag}` : error._tag, error] as const
)
