/**
 * The classes behind `LlmError`; `../LlmError.ts` is where they are documented as a whole.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Money from "../Money.ts"
import { Attempt } from "../Receipt.ts"
import { Usage } from "../Usage.ts"
import { describe } from "./describe.ts"

const fields = {
  /** The name of the provider service that failed. */
  provider: Schema.optionalKey(Schema.String),
  /** The model that was asked. */
  model: Schema.optionalKey(Schema.String),
  /** The HTTP status, where there was one. */
  status: Schema.optionalKey(Schema.Int),
  /** The provider's machine-readable code or type. */
  code: Schema.optionalKey(Schema.String),
  /** The provider's id of the request, to quote in a support case. */
  requestId: Schema.optionalKey(Schema.String),
  /** How long the provider asked to wait before the next request. In JSON: milliseconds. */
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis),
  /** Set where this very failure is known to be (not) worth sending again, whatever its kind. */
  retryable: Schema.optionalKey(Schema.Boolean),
  /** The provider's own words, at most 500 characters, redacted because they can quote the request. */
  detail: Schema.optionalKey(Schema.RedactedFromValue(Schema.String))
}

const make = <Self>() => <Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, own: Fields) =>
  Schema.TaggedError<Self>(`effect-bulwark/LlmError/${tag}`)(tag, { ...fields, ...own })

/**
 * The provider refuses more requests or tokens for now; `scope` says of what, where it is known.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends make<RateLimited>()("RateLimited", {
  scope: Schema.optionalKey(Schema.Literals(["requests", "tokens", "day", "concurrency", "upstream"])),
  /** Set where nothing was sent: another call of the same account has been told to wait, and this one waits with it. */
  parked: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    return describe(this, {
      what: this.parked === true
        ? "the account has been told to wait, so nothing was sent"
        : this.scope === undefined
        ? "the rate limit is reached"
        : `the rate limit is reached (${this.scope})`,
      mend: this.retryable === false
        ? "this one request is larger than the limit allows: waiting cannot help"
        : this.retryAfter === undefined
        ? "wait before the next request"
        : `wait ${Duration.format(this.retryAfter)} before the next request`
    })
  }
}

/**
 * The account has no credit, or a spending limit is reached: no request succeeds before a person or a date changes that.
 *
 * @category errors
 * @since 0.1.0
 */
export class QuotaExhausted extends make<QuotaExhausted>()("QuotaExhausted", {
  /** When the quota is renewed. In JSON: an ISO date. */
  resetsAt: Schema.optionalKey(Schema.DateTimeUtcFromString)
}) {
  override get message(): string {
    return describe(this, {
      what: "the account's quota or credit is used up",
      mend: this.resetsAt === undefined
        ? "check billing and limits with the provider"
        : `it is renewed at ${this.resetsAt.toString()}`
    })
  }
}

/**
 * The provider, or the model, has no capacity for the moment.
 *
 * @category errors
 * @since 0.1.0
 */
export class Overloaded extends make<Overloaded>()("Overloaded", {}) {
  override get message(): string {
    return describe(this, { what: "the provider is overloaded", mend: "try again later or ask another model" })
  }
}

/**
 * The provider failed while it handled the request.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerError extends make<ServerError>()("ServerError", {}) {
  override get message(): string {
    return describe(this, { what: "the provider failed", mend: "try again or ask another model" })
  }
}

/**
 * The provider, or a proxy before it, gave up waiting for the answer (408, 504, 524).
 *
 * @category errors
 * @since 0.1.0
 */
export class RequestTimeout extends make<RequestTimeout>()("RequestTimeout", {}) {
  override get message(): string {
    return describe(this, {
      what: "the provider or a proxy gave up waiting for the answer",
      mend: "try again, stream the answer, or ask for a shorter one"
    })
  }
}

/**
 * No connection: refused, reset before an answer, no such host, or a certificate that is not trusted.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionFailed extends make<ConnectionFailed>()("ConnectionFailed", {}) {
  override get message(): string {
    return describe(this, { what: "no connection to the provider", mend: "check the base URL and the network" })
  }
}

/**
 * The key is missing, wrong or expired.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationFailed extends make<AuthenticationFailed>()("AuthenticationFailed", {}) {
  override get message(): string {
    return describe(this, {
      what: "the provider does not accept the key",
      mend: "check the key that the layer is given"
    })
  }
}

/**
 * The key is good, but not for this.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermissionDenied extends make<PermissionDenied>()("PermissionDenied", {}) {
  override get message(): string {
    return describe(this, {
      what: "the account may not do this",
      mend: "check the project's permissions, region and access to the model"
    })
  }
}

/**
 * The provider does not know the model, or no longer serves it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ModelNotFound extends make<ModelNotFound>()("ModelNotFound", {}) {
  override get message(): string {
    return describe(this, {
      what: "there is no such model",
      mend: "check the model's name and the account's access to it"
    })
  }
}

/**
 * The provider does not accept the request as it stands: sending it again cannot help.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends make<InvalidRequest>()("InvalidRequest", {
  /** The request parameter that is at fault, where the provider names one. */
  parameter: Schema.optionalKey(Schema.String),
  /** What is wrong, in our own words, where we found it ourselves. */
  problem: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return describe(this, {
      what: this.problem ??
        (this.parameter === undefined
          ? "the request is not valid"
          : `the request is not valid: parameter ${this.parameter}`),
      mend: this.detail === undefined ? undefined : "the provider's words are in `detail` (redacted)"
    })
  }
}

/**
 * Prompt and requested output together are larger than the model's context window.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContextLengthExceeded extends make<ContextLengthExceeded>()("ContextLengthExceeded", {
  /** The model's context window, in tokens. */
  limit: Schema.optionalKey(Schema.Int),
  /** What the request needs, in tokens. */
  requested: Schema.optionalKey(Schema.Int),
  /** Set where it was counted in advance, and nothing was sent. */
  unsent: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    return describe(this, {
      what: "the request is larger than the model's context window" +
        (this.limit === undefined ? "" : ` of ${this.limit} tokens`) +
        (this.requested === undefined ? "" : ` (${this.requested} requested)`) +
        (this.unsent === true ? ", so nothing was sent" : ""),
      mend: "shorten the prompt, split it, or ask a model with a larger window"
    })
  }
}

/**
 * The provider's content policy refused the prompt or withheld the answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContentFiltered extends make<ContentFiltered>()("ContentFiltered", {
  /** What was refused. */
  stage: Schema.Literals(["prompt", "answer"]),
  /** The policy's names for what it found, where it gives them. */
  categories: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return describe(this, {
      what: `the provider's content policy refused the ${this.stage}` +
        (this.categories.length === 0 ? "" : ` (${this.categories.join(", ")})`),
      mend: "the prompt is not sent to another model"
    })
  }
}

/**
 * The provider answered with something that is not an answer: HTML, broken JSON, a missing or misshapen field.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedResponse extends make<MalformedResponse>()("MalformedResponse", {
  /** What is wrong with it. */
  problem: Schema.String
}) {
  override get message(): string {
    return describe(this, {
      what: `the response is malformed: ${this.problem}`,
      mend: this.retryable === false
        ? "trying again cannot help: check the base URL, the options and the request"
        : "try again; if it stays so, check that the base URL is an API of this kind"
    })
  }
}

/**
 * The answer arrived whole but was cut by the output limit, where a whole answer was demanded.
 *
 * **Details**
 *
 * Only `Llm.generateObject` and `Llm.whole` demand it. Elsewhere a text that reached its limit ends with the finish
 * reason `length`.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutputTruncated extends make<OutputTruncated>()("OutputTruncated", {
  /** The text that did arrive, redacted. */
  partial: Schema.RedactedFromValue(Schema.String),
  /** What it cost, in tokens. */
  usage: Schema.optionalKey(Usage)
}) {
  override get message(): string {
    return describe(this, {
      what: "the answer was cut by the output limit",
      mend: "raise `maxOutputTokens` or ask for a shorter answer"
    })
  }
}

/**
 * The answer arrived, but is not what was asked for: it does not decode, or calls a tool wrongly.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOutput extends make<InvalidOutput>()("InvalidOutput", {
  /** What does not fit, and where; never the value itself. */
  problem: Schema.String,
  /** The answer's text, redacted. */
  text: Schema.optionalKey(Schema.RedactedFromValue(Schema.String)),
  /** The tool that was called wrongly. */
  toolName: Schema.optionalKey(Schema.String),
  /** What it cost, in tokens. */
  usage: Schema.optionalKey(Usage)
}) {
  override get message(): string {
    return describe(this, { what: `the answer is not what was asked for: ${this.problem}`, mend: undefined })
  }
}

/**
 * A tool could not be run: its handler returned something its own schema does not allow, or failed within `effect/ai`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ToolFailed extends make<ToolFailed>()("ToolFailed", {
  /** The tool, where it is known. */
  toolName: Schema.optionalKey(Schema.String),
  /** The `effect/ai` reason behind it. */
  problem: Schema.String
}) {
  override get message(): string {
    return describe(this, {
      what: this.toolName === undefined ? "a tool failed" : `the tool ${this.toolName} failed`,
      mend: this.problem
    })
  }
}

/**
 * One of our own limits passed.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimedOut extends make<TimedOut>()("TimedOut", {
  /** Which limit: until the response begins, until the first content part, between two parts, or over all. */
  phase: Schema.Literals(["connect", "firstPart", "idle", "total"]),
  /** The limit. In JSON: milliseconds. */
  limit: Schema.DurationFromMillis
}) {
  override get message(): string {
    const phase = {
      connect: "no response",
      firstPart: "no first part",
      idle: "no further part",
      total: "no end of the answer"
    }[this.phase]
    return describe(this, { what: `${phase} within ${Duration.format(this.limit)}`, mend: undefined })
  }
}

/**
 * A failure that can be the reason for a {@link StreamInterrupted}.
 *
 * @category models
 * @since 0.1.0
 */
export const InterruptionCause = Schema.Union([
  RateLimited,
  QuotaExhausted,
  Overloaded,
  ServerError,
  RequestTimeout,
  ConnectionFailed,
  AuthenticationFailed,
  PermissionDenied,
  ModelNotFound,
  InvalidRequest,
  ContextLengthExceeded,
  ContentFiltered,
  MalformedResponse,
  OutputTruncated,
  TimedOut
])

/**
 * A failure that can be the reason for a {@link StreamInterrupted}.
 *
 * @category models
 * @since 0.1.0
 */
export type InterruptionCause = typeof InterruptionCause.Type

/**
 * The answer broke off after it had begun: what had arrived is in `partial`, never to be taken for the whole.
 *
 * @category errors
 * @since 0.1.0
 */
export class StreamInterrupted extends make<StreamInterrupted>()("StreamInterrupted", {
  /** The text that had arrived, redacted. */
  partial: Schema.RedactedFromValue(Schema.String),
  /** What it cost, in tokens, where the provider had said so. */
  usage: Schema.optionalKey(Usage),
  /**
   * Why: the connection `closed`, the stream ended `unfinished` (no terminal part), the provider `failed` mid-answer, one
   * of our limits `timedOut`, or the answer was `truncated` where a whole one was demanded.
   */
  reason: Schema.Literals(["closed", "unfinished", "failed", "timedOut", "truncated"]),
  /** The failure behind it, where there is one. */
  failure: Schema.optionalKey(InterruptionCause)
}) {
  override get message(): string {
    const reason = {
      closed: "the connection closed",
      unfinished: "the stream ended without its terminal event",
      failed: "the provider failed",
      timedOut: "a limit passed",
      truncated: "the output limit was reached"
    }[this.reason]
    return describe(this, {
      what: `the answer broke off after ${Redacted.value(this.partial).length} characters: ${reason}`,
      mend: this.failure?.message
    })
  }
}

/**
 * The circuit of a model is open, or its one probe is under way: nothing was sent. `retryAfter` says how long it stays so,
 * where that is known.
 *
 * @category errors
 * @since 0.1.0
 */
export class CircuitOpen extends make<CircuitOpen>()("CircuitOpen", {
  /** The key of the circuit. */
  key: Schema.String
}) {
  override get message(): string {
    return describe(this, {
      what: `the circuit of ${this.key} is open, so nothing was sent`,
      mend: this.retryAfter === undefined
        ? "a probe is under way"
        : `it stays so for ${Duration.format(this.retryAfter)}`
    })
  }
}

/**
 * One of our own limits on what may be sent is reached, and the call could not wait for its turn: nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class Saturated extends make<Saturated>()("Saturated", {
  /** The key of the limiter. */
  key: Schema.String,
  /** Which limit: calls in flight, requests in a minute, or tokens in a minute. */
  resource: Schema.Literals(["concurrency", "requests", "tokens"]),
  /** Why the call did not wait: the queue was full, the wait too long, or the request larger than the limit itself. */
  reason: Schema.Literals(["queueFull", "waitTooLong", "tooLarge"]),
  /** The limit. */
  limit: Schema.Finite,
  /** How many calls were waiting. */
  queued: Schema.Int
}) {
  override get message(): string {
    const resource = {
      concurrency: "calls in flight",
      requests: "requests in a minute",
      tokens: "tokens in a minute"
    }[this.resource]
    const reason = {
      queueFull: `the queue of ${this.queued} calls is full`,
      waitTooLong: `the wait would be too long (${this.queued} calls in the queue)`,
      tooLarge: "this one request is larger than that"
    }[this.reason]
    return describe(this, {
      what: `${this.key} is limited to ${this.limit} ${resource}, and ${reason}: nothing was sent`,
      mend: this.reason === "tooLarge" ? "raise the limit or make the request smaller" : "try again later"
    })
  }
}

/**
 * A store that a policy needs did not answer, or not in time, and the policy was told not to go on without it.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable extends make<StoreUnavailable>()("StoreUnavailable", {
  /** Whose store it is. */
  store: Schema.String,
  /** What it was asked to do. */
  operation: Schema.String
}) {
  override get message(): string {
    return describe(this, {
      what: `the store of the ${this.store} is not available (${this.operation})`,
      mend: "check the store, or go on without it: `onStoreError: \"allow\"`"
    })
  }
}

/**
 * The request could cost more than is left of a budget: nothing was sent. Amounts are tokens, requests, or micro-dollars (`usd`).
 *
 * @category errors
 * @since 0.1.0
 */
export class BudgetExceeded extends make<BudgetExceeded>()("BudgetExceeded", {
  /** Whose budget it is: `global`, `tenant`, `tenant, user`, ... */
  scope: Schema.String,
  /** What is limited. */
  resource: Schema.Literals(["usd", "tokens", "requests"]),
  /** In what time: `call`, `calendar day (UTC)`, `rolling 1 hour`, `total`. */
  window: Schema.String,
  /** The limit. */
  limit: Schema.Finite,
  /** What was used of it. */
  used: Schema.Finite,
  /** What is held by requests under way. */
  reserved: Schema.Finite,
  /** The most that this request can use. */
  requested: Schema.Finite,
  /** When what is used now will no longer count; absent where that is never. In JSON: an ISO date. */
  resetsAt: Schema.optionalKey(Schema.DateTimeUtcFromString)
}) {
  override get message(): string {
    const amount = (value: number) =>
      this.resource === "usd" ? Money.format(Money.MicroUsd.make(value)) : `${value} ${this.resource}`
    const period = this.window === "call" || this.window === "total" ? this.window : `per ${this.window}`
    return describe(this, {
      what: `the budget (${this.scope}, ${period}) of ${amount(this.limit)} has no room: ${amount(this.used)} used, ` +
        `${amount(this.reserved)} held, at most ${amount(this.requested)} asked for, so nothing was sent`,
      mend: this.requested > this.limit
        ? "this one request is larger than that: ask for less output (`maxOutputTokens`) or raise the limit"
        : this.resetsAt === undefined
        ? undefined
        : `what is used now counts until ${DateTime.formatIso(this.resetsAt)}`
    })
  }
}

/**
 * What a model costs is not known. It is never taken to be 0.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPrice extends make<UnknownPrice>()("UnknownPrice", {
  /**
   * What is not known, where the rest is: the price of its output, or of its requests in batches; or how long its answer can be
   * (`bound`), without which there is no most that it can cost.
   */
  missing: Schema.optionalKey(Schema.Literals(["output", "batch", "bound"]))
}) {
  override get message(): string {
    if (this.missing === "bound") {
      return describe(this, {
        what: "what the answer can cost at most is not known, since nothing bounds its length",
        mend: "set `maxOutputTokens`, of the request or of `Budget.enforce`"
      })
    }
    const what = this.missing === undefined
      ? "the price is not known"
      : { output: "the price of its output is not known", batch: "the price in batches is not known" }[this.missing]
    return describe(this, {
      what,
      mend: "give it one with `Pricing.model`, or say which provider of the catalogue it is"
    })
  }
}

/**
 * The variables do not fit the prompt, or the version that is served does not fit this program: nothing was sent. It never quotes a
 * variable's value or what a prompt says.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptInvalid extends make<PromptInvalid>()("PromptInvalid", {
  /** The name of the prompt. */
  prompt: Schema.String,
  /** The version that was to be used. */
  version: Schema.optionalKey(Schema.Int),
  /** What is wrong and where, one sentence each. */
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const prompt = this.version === undefined ? this.prompt : `${this.prompt}@${this.version}`
    return describe(this, { what: `the prompt ${prompt} cannot be used: ${this.problems.join("; ")}`, mend: undefined })
  }
}

/**
 * There is no such version of the prompt, or nothing that the label points to: nothing was sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptNotFound extends make<PromptNotFound>()("PromptNotFound", {
  /** The name of the prompt. */
  prompt: Schema.String,
  /** What was asked for: a label, several in order, or a version. */
  wanted: Schema.Union([
    Schema.Struct({ labels: Schema.Array(Schema.String) }),
    Schema.Struct({ version: Schema.Int })
  ]),
  /** The labels that the prompt has. */
  labels: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const wanted = "version" in this.wanted
      ? `version ${this.wanted.version}`
      : `version with the label ${this.wanted.labels.map((label) => JSON.stringify(label)).join(" or ")}`
    const labels = this.labels.length === 0
      ? "it has no labels"
      : `it has the labels ${this.labels.map((label) => JSON.stringify(label)).join(", ")}`
    return describe(this, {
      what: `the prompt ${JSON.stringify(this.prompt)} has no ${wanted}`,
      mend: "version" in this.wanted
        ? "publish it, or ask for one that is there"
        : `${labels}: publish a version, and move the label to it`
    })
  }
}

/**
 * A failure of one candidate among several.
 *
 * @category models
 * @since 0.1.0
 */
export const CandidateFailure = Schema.Union([
  ...InterruptionCause.members,
  InvalidOutput,
  ToolFailed,
  StreamInterrupted,
  CircuitOpen,
  Saturated,
  StoreUnavailable,
  BudgetExceeded,
  UnknownPrice
])

/**
 * A failure of one candidate among several.
 *
 * @category models
 * @since 0.1.0
 */
export type CandidateFailure = typeof CandidateFailure.Type

/**
 * Every model that could be asked has failed, with something that another one might not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class AllModelsExhausted extends make<AllModelsExhausted>()("AllModelsExhausted", {
  /** What each candidate failed with in the end, in the order in which they were asked. */
  failures: Schema.Array(CandidateFailure),
  /** Every request that was sent for this call so far. */
  attempts: Schema.Array(Attempt),
  /** The quality that was asked for, where no candidate has it. */
  minimumQuality: Schema.optionalKey(Schema.Finite)
}) {
  override get message(): string {
    return describe(this, {
      what: this.minimumQuality === undefined || this.failures.length > 0
        ? `all models failed: ${this.failures.map(nameOf).join("; ")}`
        : `no model has the quality that was asked for (${this.minimumQuality})`,
      mend: undefined
    })
  }
}

const nameOf = (failure: CandidateFailure): string =>
  failure.provider === undefined
    ? failure._tag
    : `${failure.provider}${failure.model === undefined ? "" : `/${failure.model}`} ${failure._tag}`

/**
 * All failures of a call that Bulwark itself knows.
 *
 * @category models
 * @since 0.1.0
 */
export const LlmError = Schema.Union([...CandidateFailure.members, AllModelsExhausted, PromptInvalid, PromptNotFound])

/**
 * All failures of a call that Bulwark itself knows.
 *
 * @category models
 * @since 0.1.0
 */
export type LlmError = typeof LlmError.Type

/**
 * What a provider can answer an attempt with: the `E` of `Llm.model`.
 *
 * @category models
 * @since 0.1.0
 */
export type ProviderError =
  | RateLimited
  | QuotaExhausted
  | Overloaded
  | ServerError
  | RequestTimeout
  | ConnectionFailed
  | AuthenticationFailed
  | PermissionDenied
  | ModelNotFound
  | InvalidRequest
  | ContextLengthExceeded
  | ContentFiltered
  | MalformedResponse
  | StreamInterrupted
