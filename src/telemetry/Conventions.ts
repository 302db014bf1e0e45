/**
 * The names of all that telemetry says: spans, events, attributes and metrics, in one place.
 *
 * Names of the field come from OpenTelemetry's semantic conventions for generative AI, **v1.41.0**, and stay pinned to them; ours stand
 * beside them under `bulwark.`, and, for metrics, under the `llm_` names that operators know.
 *
 * The tables of `docs/telemetry.md` are made of what stands here, and tests hold the shipped rules and dashboards to it.
 *
 * @since 0.1.0
 */

/**
 * The version of OpenTelemetry's semantic conventions that the names follow.
 *
 * @category models
 * @since 0.1.0
 */
export const version = "1.41.0"

/**
 * Where a name comes from: OpenTelemetry's semantic conventions, or this library.
 *
 * @category models
 * @since 0.1.0
 */
export type Source = "OpenTelemetry" | "Bulwark"

/**
 * What a span is called, and what it stands for.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpanDefinition {
  readonly name: string
  readonly kind: "internal" | "client"
  readonly meaning: string
}

/**
 * One attribute of spans or events.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttributeDefinition {
  readonly key: string
  readonly type: "string" | "string[]" | "int" | "double" | "boolean"
  /** On which spans or events it stands. */
  readonly on: ReadonlyArray<"operation" | "attempt" | "http" | "tool" | "event">
  readonly meaning: string
}

/**
 * One event on the span of an operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventDefinition {
  readonly name: string
  /** The keys of its attributes. */
  readonly attributes: ReadonlyArray<string>
  readonly meaning: string
}

/**
 * One metric.
 *
 * @category models
 * @since 0.1.0
 */
export interface MetricDefinition {
  readonly name: string
  readonly type: "counter" | "gauge" | "histogram"
  /**
   * As UCUM writes it. What UCUM does not know is in braces, which adds nothing to the name that Prometheus makes of a metric that it
   * receives over OTLP.
   */
  readonly unit: string
  /** The keys of its attributes, which Prometheus calls labels. */
  readonly labels: ReadonlyArray<string>
  /** Whether `feature` is added to the labels where features are asked for. */
  readonly byFeature: boolean
  /** The upper bounds of the buckets of a histogram. */
  readonly buckets?: ReadonlyArray<number>
  readonly meaning: string
}

/**
 * The spans.
 *
 * @category tables
 * @since 0.1.0
 */
export const spans = {
  operation: {
    name: "chat {model}",
    kind: "internal",
    meaning: "One operation, from the call until its answer is over. Of a stream that is the end of the flow."
  },
  attempt: {
    name: "attempt {provider}/{model}",
    kind: "client",
    meaning: "One request to one provider: below the operation, one for each retry, fallback and hedge."
  },
  http: {
    name: "{method}",
    kind: "client",
    meaning: "The HTTP request, below the attempt, until its response begins. Of providers over HTTP."
  },
  embeddings: {
    name: "embeddings {model}",
    kind: "internal",
    meaning: "One request for embeddings, as an operation with one attempt."
  },
  tool: {
    name: "execute_tool {tool}",
    kind: "internal",
    meaning:
      "One execution of a tool of a toolkit that a model has called, below the caller's span, until its last result."
  }
} as const satisfies Record<string, SpanDefinition>

const attribute = (
  key: string,
  type: AttributeDefinition["type"],
  on: AttributeDefinition["on"],
  meaning: string
): AttributeDefinition => ({ key, type, on, meaning })

/**
 * The attributes of spans and events.
 *
 * @category tables
 * @since 0.1.0
 */
export const attributes = {
  operationName: attribute(
    "gen_ai.operation.name",
    "string",
    ["operation", "attempt", "tool"],
    "What is done: `chat`, `embeddings` or `execute_tool`."
  ),
  providerName: attribute(
    "gen_ai.provider.name",
    "string",
    ["operation", "attempt"],
    "The name of the provider service; of an operation, the one that served."
  ),
  requestModel: attribute(
    "gen_ai.request.model",
    "string",
    ["operation", "attempt"],
    "The model that is asked; of an operation, the first one of its plan."
  ),
  requestStream: attribute(
    "gen_ai.request.stream",
    "boolean",
    ["operation"],
    "Whether the answer is read as it comes."
  ),
  outputType: attribute("gen_ai.output.type", "string", ["operation"], "What is asked for: `text` or `json`."),
  maxTokens: attribute("gen_ai.request.max_tokens", "int", ["attempt"], "The bound of the answer, in tokens."),
  temperature: attribute("gen_ai.request.temperature", "double", ["attempt"], "The temperature."),
  topP: attribute("gen_ai.request.top_p", "double", ["attempt"], "The share of the likeliest tokens."),
  seed: attribute("gen_ai.request.seed", "int", ["attempt"], "The seed."),
  stopSequences: attribute("gen_ai.request.stop_sequences", "string[]", ["attempt"], "Where the answer is to stop."),
  responseModel: attribute(
    "gen_ai.response.model",
    "string",
    ["operation", "attempt"],
    "The model that says it answered, where the provider tells."
  ),
  finishReasons: attribute(
    "gen_ai.response.finish_reasons",
    "string[]",
    ["operation", "attempt"],
    "Why the answer ended."
  ),
  timeToFirstChunk: attribute(
    "gen_ai.response.time_to_first_chunk",
    "double",
    ["operation", "attempt"],
    "Seconds until the first content part of a stream."
  ),
  inputTokens: attribute(
    "gen_ai.usage.input_tokens",
    "int",
    ["attempt"],
    "Tokens of the prompt, those read from and written to the provider's cache among them."
  ),
  outputTokens: attribute(
    "gen_ai.usage.output_tokens",
    "int",
    ["attempt"],
    "Tokens of the answer, reasoning among them."
  ),
  cacheReadTokens: attribute(
    "gen_ai.usage.cache_read.input_tokens",
    "int",
    ["attempt"],
    "Of the tokens of the prompt, those read from the provider's cache."
  ),
  cacheWriteTokens: attribute(
    "gen_ai.usage.cache_creation.input_tokens",
    "int",
    ["attempt"],
    "Of the tokens of the prompt, those written to the provider's cache."
  ),
  reasoningTokens: attribute(
    "gen_ai.usage.reasoning.output_tokens",
    "int",
    ["attempt"],
    "Of the tokens of the answer, those of reasoning."
  ),
  systemInstructions: attribute(
    "gen_ai.system_instructions",
    "string",
    ["operation"],
    "The system messages, as JSON. Only where content is captured."
  ),
  inputMessages: attribute(
    "gen_ai.input.messages",
    "string",
    ["operation"],
    "The other messages of the prompt, as JSON. Only where content is captured."
  ),
  outputMessages: attribute(
    "gen_ai.output.messages",
    "string",
    ["operation"],
    "The answer, as JSON. Only where content is captured."
  ),
  promptName: attribute(
    "gen_ai.prompt.name",
    "string",
    ["operation", "event"],
    "The prompt of a registry that was used."
  ),
  toolName: attribute(
    "gen_ai.tool.name",
    "string",
    ["tool"],
    "The tool; `unknown` where the model called one that is not there."
  ),
  errorType: attribute(
    "error.type",
    "string",
    ["operation", "attempt", "http", "tool"],
    "How it failed: the tag of the error, `defect`, or `_OTHER` where the error is none of ours. Of HTTP, the status."
  ),
  httpMethod: attribute("http.request.method", "string", ["http"], "The method."),
  httpStatus: attribute("http.response.status_code", "int", ["http"], "The status."),
  urlFull: attribute("url.full", "string", ["http"], "The address, without its query."),
  serverAddress: attribute("server.address", "string", ["http"], "The host."),
  serverPort: attribute("server.port", "int", ["http"], "The port."),
  operationId: attribute("bulwark.operation.id", "string", ["operation"], "The id on the receipt."),
  outcome: attribute(
    "bulwark.outcome",
    "string",
    ["operation", "attempt", "tool"],
    "How it ended: `success`, `interrupted`, or what `error.type` says."
  ),
  attempts: attribute("bulwark.attempts", "int", ["operation"], "How many requests the operation has on its receipt."),
  attempt: attribute("bulwark.attempt", "int", ["attempt"], "Which request of the operation it is, from 1."),
  degraded: attribute("bulwark.degraded", "boolean", ["operation"], "Set where the answer came from no model."),
  cost: attribute(
    "bulwark.cost.micro_usd",
    "int",
    ["operation"],
    "What all requests together cost, in micro-dollars, where that is known of each."
  ),
  costEstimated: attribute(
    "bulwark.cost.estimated",
    "boolean",
    ["operation"],
    "Set where part of the cost is an upper estimate, since a provider did not say what was used."
  ),
  cacheResult: attribute(
    "bulwark.cache.result",
    "string",
    ["operation", "event"],
    "What a cache did: `hit`, `stale`, `miss`, `coalesced` or `bypass`."
  ),
  cacheRefresh: attribute(
    "bulwark.cache.refresh",
    "boolean",
    ["operation"],
    "Set where nobody waits for the answer but the cache, which renews it."
  ),
  saved: attribute(
    "bulwark.saved.micro_usd",
    "int",
    ["operation"],
    "What a cache spared, in micro-dollars, where the cost of the answer was known."
  ),
  promptVersion: attribute("bulwark.prompt.version", "int", ["operation", "event"], "The version of the prompt."),
  promptHash: attribute("bulwark.prompt.hash", "string", ["operation"], "The hash of that version."),
  feature: attribute("bulwark.feature", "string", ["operation"], "The feature that the call was made for."),
  tenant: attribute("bulwark.tenant", "string", ["operation"], "The tenant. Only where it is asked for."),
  requestId: attribute("bulwark.request.id", "string", ["operation"], "The application's id of the request."),
  user: attribute("user.id", "string", ["operation"], "The user. Only where it is asked for."),
  reason: attribute("bulwark.reason", "string", ["event"], "Why: the tag of the failure, or what was short."),
  delay: attribute(
    "bulwark.delay_ms",
    "double",
    ["event"],
    "How long the policy waits, or has waited, in milliseconds."
  ),
  from: attribute(
    "bulwark.from",
    "string",
    ["event"],
    "`provider/model` that was asked before; the state of a circuit before."
  ),
  to: attribute(
    "bulwark.to",
    "string",
    ["event"],
    "`provider/model` that is asked next; the state of a circuit after."
  ),
  circuit: attribute("bulwark.circuit", "string", ["event"], "The key of the circuit."),
  winner: attribute(
    "bulwark.hedge.winner",
    "string",
    ["event"],
    "Which request of the race answered: `first` or `second`."
  ),
  target: attribute("bulwark.target", "string", ["event"], "`provider/model` that it is about."),
  amount: attribute("bulwark.amount.micro_usd", "int", ["event"], "An amount of money, in micro-dollars."),
  tokens: attribute("bulwark.amount.tokens", "int", ["event"], "An amount of tokens."),
  estimated: attribute("bulwark.amount.estimated", "boolean", ["event"], "Whether the amount is an upper estimate.")
} as const satisfies Record<string, AttributeDefinition>

const event = (
  name: string,
  keys: ReadonlyArray<keyof typeof attributes>,
  meaning: string
): EventDefinition => ({ name, attributes: keys.map((key) => attributes[key].key), meaning })

/**
 * The events on the span of an operation: what was decided, and why.
 *
 * @category tables
 * @since 0.1.0
 */
export const events = {
  retry: event("bulwark.retry", ["reason", "delay", "from"], "The same is tried again, after a delay."),
  fallback: event("bulwark.fallback", ["reason", "from", "to"], "Another model is asked."),
  escalate: event(
    "bulwark.escalate",
    ["reason", "from", "to"],
    "A better model is asked, since the answer would not do."
  ),
  timeout: event("bulwark.timeout", ["reason"], "A limit has passed: which one is the reason."),
  degraded: event("bulwark.degraded", ["reason"], "The answer comes from no model."),
  hedge: event("bulwark.hedge", ["reason", "delay"], "A second request is sent beside the first."),
  hedged: event("bulwark.hedge.won", ["winner"], "One of the two has answered: the other is ended."),
  rejected: event("bulwark.rejected", ["reason"], "Nothing is sent: a circuit, a limit, a budget or a window says so."),
  queue: event("bulwark.queue", ["reason", "delay"], "The call has waited for its turn: for what is the reason."),
  resume: event("bulwark.resume", ["reason"], "The answer broke off, and is gone on with."),
  trim: event("bulwark.trim", [], "The oldest of a conversation is left out."),
  warning: event("bulwark.warning", ["reason"], "A budget is used up in part."),
  circuit: event("bulwark.circuit", ["circuit", "from", "to"], "A circuit has changed its state."),
  cache: event("bulwark.cache", ["cacheResult"], "A cache has said what it does for the call."),
  prompt: event("bulwark.prompt", ["promptName", "promptVersion"], "A version of a prompt is what is asked."),
  reserved: event(
    "bulwark.budget.reserved",
    ["target", "amount", "tokens"],
    "Room was taken in a budget, before a request."
  ),
  settled: event(
    "bulwark.budget.settled",
    ["target", "amount", "tokens", "estimated"],
    "What a request used was booked, after it."
  ),
  firstPart: event("bulwark.first_part", ["target"], "The first content part of a stream has come.")
} as const satisfies Record<string, EventDefinition>

/** The conventions' own buckets of times, in seconds. */
const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] as const

/** The conventions' own buckets of tokens. */
const tokens = [
  1,
  4,
  16,
  64,
  256,
  1_024,
  4_096,
  16_384,
  65_536,
  262_144,
  1_048_576,
  4_194_304,
  16_777_216,
  67_108_864
] as const

/** The same steps as the conventions' times, and two more: whole operations wait and retry. */
const operationSeconds = [...seconds, 163.84, 327.68] as const

/** From a hundredth of a cent to 16 dollars, by factors of 4. */
const dollars = [0.0001, 0.0004, 0.0016, 0.0064, 0.0256, 0.1024, 0.4096, 1.6384, 6.5536, 26.2144] as const

const metric = (
  name: string,
  type: MetricDefinition["type"],
  unit: string,
  labels: ReadonlyArray<string>,
  meaning: string,
  more: { readonly byFeature?: boolean; readonly buckets?: ReadonlyArray<number> } = {}
): MetricDefinition => ({ name, type, unit, labels, meaning, byFeature: false, ...more })

const genAi = ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"] as const

/**
 * The metrics.
 *
 * @category tables
 * @since 0.1.0
 */
export const metrics = {
  tokenUsage: metric(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    [...genAi, "gen_ai.token.type"],
    "Tokens of one request to a provider: of its prompt (`input`) and of its answer (`output`).",
    { buckets: tokens }
  ),
  operationDuration: metric(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    [...genAi, "error.type"],
    "How long one request to a provider took, until its answer was over. `error.type` where it failed.",
    { buckets: seconds }
  ),
  timeToFirstChunk: metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    genAi,
    "How long the first content part of a streamed request took.",
    { buckets: seconds }
  ),
  timePerOutputChunk: metric(
    "gen_ai.client.operation.time_per_output_chunk",
    "histogram",
    "s",
    genAi,
    "How long each piece of a streamed answer after the first took to come after the one before.",
    { buckets: seconds }
  ),
  requestDuration: metric(
    "llm_request_duration_seconds",
    "histogram",
    "s",
    ["model", "endpoint", "outcome"],
    "How long one operation took, with all that it tried. `model` and `endpoint` (the provider) are those that served, or that were " +
      "asked last.",
    { byFeature: true, buckets: operationSeconds }
  ),
  firstPart: metric(
    "llm_first_part_seconds",
    "histogram",
    "s",
    ["model", "endpoint"],
    "How long the reader of a stream waited for the first content part, with all that was tried before it.",
    { buckets: operationSeconds }
  ),
  attempts: metric(
    "llm_attempts_total",
    "counter",
    "{request}",
    ["model", "endpoint", "outcome"],
    "Requests to providers."
  ),
  tokensUsed: metric(
    "llm_tokens_used_total",
    "counter",
    "{token}",
    ["model", "type"],
    "Tokens, each counted once: `input` that was not cached, `cache_read`, `cache_write`, `output` that is no reasoning, `reasoning`.",
    { byFeature: true }
  ),
  requestCost: metric(
    "llm_request_cost_dollars",
    "histogram",
    "{USD}",
    ["model"],
    "What one request to a provider cost, where that is known.",
    { byFeature: true, buckets: dollars }
  ),
  unpriced: metric(
    "llm_unpriced_requests_total",
    "counter",
    "{request}",
    ["model"],
    "Requests that used tokens, or may have, whose cost is not known: they are missing from `llm_request_cost_dollars`. Of " +
      "`Telemetry.layerPriced`, since elsewhere nobody says that there are prices."
  ),
  retries: metric("llm_retries_total", "counter", "{retry}", ["model", "reason"], "Retries, by what had failed."),
  fallbacks: metric(
    "llm_fallbacks_total",
    "counter",
    "{fallback}",
    ["from", "to", "reason"],
    "Times that another model was asked, since one had failed or its answer would not do."
  ),
  hedges: metric(
    "llm_hedges_total",
    "counter",
    "{race}",
    ["winner"],
    "Races of two requests that were decided, by which one answered: `first` or `second`."
  ),
  decisions: metric(
    "llm_policy_events_total",
    "counter",
    "{event}",
    ["type", "reason"],
    "Every decision of a policy, by the names of the receipt."
  ),
  circuitState: metric(
    "llm_circuit_state",
    "gauge",
    "{state}",
    ["circuit"],
    "The state of a circuit, as this process has last seen it: 0 closed, 1 half open, 2 open."
  ),
  circuitTransitions: metric(
    "llm_circuit_transitions_total",
    "counter",
    "{transition}",
    ["circuit", "to"],
    "Changes of state that calls of this process led to."
  ),
  budgetUsed: metric(
    "llm_budget_used_ratio",
    "gauge",
    "1",
    ["scope", "resource", "window"],
    "How far a limit is used up, reservations among it: 1 is all of it. Of limits that all calls share, and, where features are asked " +
      "for, of those of a feature.",
    { byFeature: true }
  ),
  budgetRemaining: metric(
    "llm_budget_remaining",
    "gauge",
    "{amount}",
    ["scope", "resource", "window"],
    "What is left of a limit: dollars (`usd`), tokens or requests, as `resource` says.",
    { byFeature: true }
  ),
  budgetRefusals: metric(
    "llm_budget_refusals_total",
    "counter",
    "{request}",
    ["scope", "resource", "window"],
    "Requests that a limit has refused."
  ),
  cacheResults: metric(
    "llm_cache_results_total",
    "counter",
    "{request}",
    ["result"],
    "Operations that passed a cache, by what it did: `hit`, `stale`, `miss`, `coalesced`, `bypass`."
  ),
  cacheSavedTokens: metric(
    "llm_cache_saved_tokens_total",
    "counter",
    "{token}",
    ["model"],
    "Tokens that answers from a cache had used when a model gave them."
  ),
  cacheSavedCost: metric(
    "llm_cache_saved_dollars_total",
    "counter",
    "{USD}",
    ["model"],
    "What answers from a cache had cost when a model gave them."
  ),
  queueDepth: metric(
    "llm_queue_depth",
    "gauge",
    "{call}",
    ["limiter", "priority"],
    "Calls that wait for their turn at a limiter, as this process has last seen it."
  ),
  queueWait: metric(
    "llm_queue_wait_seconds",
    "histogram",
    "s",
    ["resource"],
    "How long calls that had to wait for their turn have waited, by what was short.",
    { buckets: operationSeconds }
  ),
  inFlight: metric("llm_requests_in_flight", "gauge", "{request}", [], "Operations that have begun and are not over."),
  attemptsInFlight: metric(
    "llm_attempts_in_flight",
    "gauge",
    "{request}",
    ["model", "endpoint"],
    "Requests to providers that are not over."
  )
} as const satisfies Record<string, MetricDefinition>

/**
 * Where a name of an attribute or a metric comes from.
 *
 * @category getters
 * @since 0.1.0
 */
export const sourceOf = (name: string): Source =>
  name.startsWith("bulwark.") || name.startsWith("llm_") ? "Bulwark" : "OpenTelemetry"

/**
 * What stands in place of a value that is not one of those which a label may have: OpenTelemetry's word for it.
 *
 * @category constants
 * @since 0.1.0
 */
export const other = "_OTHER"
