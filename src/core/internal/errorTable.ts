/**
 * One row a failure. The tags are written out, and checked against the union in `LlmErrorPolicy.ts`, so that types can be
 * computed from the rows.
 */
export interface Row {
  /** Whether sending the same request again may succeed. */
  readonly transient: boolean
  /** Whether another model may succeed where this one failed. */
  readonly failsOver: boolean
  /** Whether the failure counts against the provider's circuit. */
  readonly breaker: "failure" | "ignore"
  /** The HTTP status to answer one's own caller with. */
  readonly httpStatus: number
  /** The reason it becomes inside an `effect/ai` `AiError`. */
  readonly aiReason: string
  /** What happened. */
  readonly meaning: string
  /** What to do about it. */
  readonly strategy: string
}

export const table = {
  RateLimited: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 429,
    aiReason: "RateLimitError",
    meaning: "The provider refuses more requests or tokens for now.",
    strategy: "Wait at least `retryAfter`, then retry; fall back if that is too long."
  },
  QuotaExhausted: {
    transient: false,
    failsOver: true,
    breaker: "failure",
    httpStatus: 429,
    aiReason: "QuotaExhaustedError",
    meaning: "The account's credit or spending limit is used up.",
    strategy: "Fall back to another provider; mend billing."
  },
  Overloaded: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 503,
    aiReason: "InternalProviderError",
    meaning: "The provider or the model has no capacity.",
    strategy: "Back off and retry a little, then fall back."
  },
  ServerError: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 502,
    aiReason: "InternalProviderError",
    meaning: "The provider failed while handling the request.",
    strategy: "Retry a little, then fall back."
  },
  RequestTimeout: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 504,
    aiReason: "InternalProviderError",
    meaning: "The provider or a proxy gave up waiting (408, 504, 524).",
    strategy: "Retry, stream, or ask for less output."
  },
  ConnectionFailed: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 502,
    aiReason: "NetworkError",
    meaning: "No connection, or it broke before an answer.",
    strategy: "Retry a little, then fall back."
  },
  AuthenticationFailed: {
    transient: false,
    failsOver: true,
    breaker: "failure",
    httpStatus: 502,
    aiReason: "AuthenticationError",
    meaning: "The provider does not accept the key.",
    strategy: "Fall back to another provider; mend the key."
  },
  PermissionDenied: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 502,
    aiReason: "AuthenticationError",
    meaning: "The key is good, but not for this model, region or feature.",
    strategy: "Fall back; mend the account's permissions."
  },
  ModelNotFound: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 404,
    aiReason: "InvalidRequestError",
    meaning: "The provider does not know or no longer serves the model.",
    strategy: "Fall back; mend the model's name."
  },
  InvalidRequest: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 400,
    aiReason: "InvalidRequestError",
    meaning: "The request is not valid as it stands.",
    strategy: "Fail fast and mend the request: no other attempt can help."
  },
  ContextLengthExceeded: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 400,
    aiReason: "InvalidRequestError",
    meaning: "Prompt and output do not fit the model's context window.",
    strategy: "Fall back to a larger window, shorten or split the prompt."
  },
  ContentFiltered: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 400,
    aiReason: "ContentPolicyError",
    meaning: "A content policy refused the prompt or withheld the answer.",
    strategy: "Log and handle it; it is not routed around."
  },
  MalformedResponse: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 502,
    aiReason: "InvalidResponseError",
    meaning: "The response is not one: HTML, broken JSON, missing fields.",
    strategy: "Retry a little, then fall back; check the base URL."
  },
  StreamInterrupted: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 502,
    aiReason: "InternalProviderError",
    meaning: "The answer broke off after it had begun.",
    strategy: "Retried and failed over only while nothing has reached the consumer; after that the caller decides."
  },
  OutputTruncated: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 502,
    aiReason: "InvalidOutputError",
    meaning: "A whole answer was demanded, and the output limit cut it.",
    strategy: "Raise the limit, or ask for less."
  },
  InvalidOutput: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 502,
    aiReason: "InvalidOutputError",
    meaning: "The answer does not decode, or calls a tool wrongly.",
    strategy: "Ask again with a reminder of the format, or another model."
  },
  ToolFailed: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 500,
    aiReason: "InvalidToolResultError",
    meaning: "One of the application's own tools could not be run.",
    strategy: "Mend the tool's handler."
  },
  TimedOut: {
    transient: true,
    failsOver: true,
    breaker: "failure",
    httpStatus: 504,
    aiReason: "InternalProviderError",
    meaning: "One of our own limits passed: connect, first part, idle or total.",
    strategy: "Retried while time is left (never after the total), then failed over."
  },
  CircuitOpen: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 503,
    aiReason: "InternalProviderError",
    meaning: "The model has failed too often lately, so it is not asked: nothing was sent.",
    strategy: "Fall back; the circuit closes by itself when a probe succeeds."
  },
  Saturated: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 429,
    aiReason: "RateLimitError",
    meaning: "One of our own limits on calls in flight, requests or tokens is reached: nothing was sent.",
    strategy: "Fall back, or tell the caller to come back later."
  },
  StoreUnavailable: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 503,
    aiReason: "InternalProviderError",
    meaning: "A store that a policy must not go on without does not answer.",
    strategy: "Mend the store, or let the policy go on without it (`onStoreError`)."
  },
  BudgetExceeded: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 429,
    aiReason: "QuotaExhaustedError",
    meaning: "The request could cost more than is left of one of our own budgets: nothing was sent.",
    strategy: "Fall back to a cheaper model, ask for less output, or wait until `resetsAt`."
  },
  UnknownPrice: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 500,
    aiReason: "InvalidRequestError",
    meaning: "What the model costs is not known, and what costs money is not sent uncounted.",
    strategy: "Give the model a price (`Pricing.layer`); fall back to one that has a price."
  },
  AllModelsExhausted: {
    transient: false,
    failsOver: true,
    breaker: "ignore",
    httpStatus: 503,
    aiReason: "InternalProviderError",
    meaning: "Every candidate of a fallback has failed; `failures` and `attempts` say how.",
    strategy: "Answer without a model, or tell the caller to come back later."
  },
  PromptInvalid: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 500,
    aiReason: "InvalidRequestError",
    meaning: "The variables do not fit the prompt, or its version does not fit this program: nothing was sent.",
    strategy: "Mend what `problems` names; roll the prompt back."
  },
  PromptNotFound: {
    transient: false,
    failsOver: false,
    breaker: "ignore",
    httpStatus: 500,
    aiReason: "InvalidRequestError",
    meaning: "There is no such version of the prompt, or nothing that the label points to: nothing was sent.",
    strategy: "Publish a version and move the label to it."
  }
} as const satisfies Record<string, Row>
