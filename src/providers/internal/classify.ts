/**
 * Decides which failure it is. Reading what a server wrote is done before, in `errorBody.ts`; here all dialects are
 * one.
 *
 * The order: a code that means one thing beats the status; the status beats the words; but where servers are known to
 * send the wrong status, the words beat it: an overflowing context (with 400, 403, 413, 422 and 500), an empty account,
 * a refused key and a forbidden region (with 400).
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as LlmError from "../../core/LlmError.ts"
import { type Kind, kindOfCode, kindOfStatus } from "./classifyCodes.ts"
import * as Words from "./classifyText.ts"
import { type ErrorFacts, readErrorBody, readErrorValue } from "./errorBody.ts"
import { Names } from "./read.ts"
import * as RetryAfter from "./retryAfter.ts"

/** Where a failure comes from: what every error says. */
export interface Origin {
  readonly provider: string
  readonly model: string
  /** What must not stand in an error: the key and other secrets. */
  readonly secrets: ReadonlyArray<string>
}

/** The response a failure was found in. */
export interface Exchange {
  readonly origin: Origin
  readonly status: number
  readonly headers: RetryAfter.HeaderFields
  /** Milliseconds since 1970. */
  readonly now: number
}

/** A failure that can be classified: anything but an interruption of a stream. */
export type Failure = Exclude<LlmError.ProviderError, LlmError.StreamInterrupted>

/** Classifies an error response. */
export const classifyResponse = (exchange: Exchange, body: string): Failure => classify(exchange, readErrorBody(body))

/**
 * Classifies an error that came inside a response which had begun well. `statuses` are those that stand for an error's type, where
 * the protocol has one for it.
 */
export const classifyInBand = (
  exchange: Exchange,
  error: unknown,
  statuses: { readonly [type: string]: number } = {}
): Failure => {
  const facts = readErrorValue(error)
  const type = facts.codes.find((code) => Object.hasOwn(statuses, code))
  return classify(exchange, type === undefined ? facts : { ...facts, status: facts.status ?? statuses[type] })
}

/**
 * Classifies a failure that another library has read before and takes for `claimed`. Our own reading counts where it says more:
 * that an overflowing context is behind an invalid request, say. `aside` is what else is to stand in `detail`.
 */
export const classifyClaimed = (
  exchange: Omit<Exchange, "status"> & { readonly status: number | undefined },
  facts: ErrorFacts,
  claimed: Kind,
  aside: string
): Failure => {
  const status = exchange.status ?? facts.status
  const words = wordsOf(facts.message)
  const read = decide(facts, words, status)
  const difference = exactness(read) - exactness(claimed)
  // Between two of a kind, whoever has seen the status knows better.
  const kind = difference > 0 || difference === 0 && status !== undefined ? read : claimed
  const message = [facts.message, aside].filter((part) => part !== "").join(" | ")
  return build({ ...exchange, status: status ?? 0 }, { ...facts, message }, words, status, kind)
}

/** How much a kind says. Most failures have a status that says the same; what a policy refuses does not. */
const exactness = (kind: Kind): number => {
  switch (kind) {
    case "ServerError":
    case "InvalidRequest":
    case "ModelErred":
      return 0
    case "RateLimited":
    case "RequestTimeout":
      return 1
    case "ContentFiltered":
      return 3
    default:
      return 2
  }
}

const maxDetail = 500

// What matters is said at once; the rest of a long message is the request it quotes.
const maxWords = 8192

// Links hold words ("billing", "rate-limits") that say nothing about this failure.
const wordsOf = (message: string): string => message.slice(0, maxWords).replaceAll(/https?:\/\/\S+/g, "")

const classify = (exchange: Exchange, facts: ErrorFacts): Failure => {
  const { status: httpStatus } = exchange
  if (httpStatus >= 300 && httpStatus < 400 || httpStatus === 0) return redirected(exchange)
  const succeeded = httpStatus < 300
  if (succeeded && !facts.json) return facts.html ? webPage(exchange) : malformed(exchange, "it is not JSON")
  // A gateway's own status says less than the rate limit that its upstream reports.
  const status = succeeded
    ? facts.status
    : httpStatus >= 500 && facts.status === 429
    ? 429
    : httpStatus
  const words = wordsOf(facts.message)
  return build(exchange, facts, words, status, decide(facts, words, status))
}

const decide = (facts: ErrorFacts, words: string, status: number | undefined): Kind => {
  for (const code of facts.codes) {
    const kind = kindOfCode(code)
    if (kind !== undefined) return kind
    // Together gives this type to plain rate limits too.
    if (code === "credit_limit") return Words.rateLimited(words) ? "RateLimited" : "QuotaExhausted"
    if (code === "resource_exhausted") return googleQuota(facts, words)
  }
  if (Words.contextLength(words) !== undefined) return "ContextLengthExceeded"
  if (facts.flagged || (status === undefined || status < 500) && Words.contentPolicy(words) !== undefined) {
    return "ContentFiltered"
  }
  if (mayBeQuota(status) && Words.quotaExhausted(words)) return "QuotaExhausted"
  if (status === 400 || status === undefined) {
    if (Words.authentication(words)) return "AuthenticationFailed"
    if (Words.region(words)) return "PermissionDenied"
    if (Words.modelNotFound(words)) return "ModelNotFound"
  }
  if (status === undefined) return decideByWords(words)
  // From 520 on, statuses are those of Cloudflare, whose words are about the origin.
  const general = status === 429 || status >= 500 && status < 520 && status !== 504
  if (general && Words.overloaded(words)) return "Overloaded"
  // Azure answers a wrong path and a wrong deployment alike.
  if ((status === 404 || status === 410) && !Words.namesModel(words)) return "InvalidRequest"
  return kindOfStatus(status)
}

const mayBeQuota = (status: number | undefined): boolean =>
  status === undefined || status === 400 || status === 402 || status === 403 || status === 429

const decideByWords = (words: string): Kind =>
  Words.rateLimited(words)
    ? "RateLimited"
    : Words.overloaded(words)
    ? "Overloaded"
    : Words.timedOut(words)
    ? "RequestTimeout"
    : "ServerError"

/** Google sends one sentence for an empty minute and an empty day: the quota's name, or its size, tells them apart. */
const googleQuota = (facts: ErrorFacts, words: string): Kind => {
  if (facts.codes.includes("model_capacity_exhausted") || Words.overloaded(words)) return "Overloaded"
  const daily = facts.quotas.some((quota) => /PerDay|Daily/i.test(quota))
  return daily || isDistant(facts) || /\blimit: 0\b/.test(words) || /prepayment credits|billing account/i.test(words)
    ? "QuotaExhausted"
    : "RateLimited"
}

const isDistant = ({ retryAfterMillis }: ErrorFacts): boolean =>
  retryAfterMillis !== undefined && retryAfterMillis > 300_000

const build = (
  exchange: Exchange,
  facts: ErrorFacts,
  words: string,
  status: number | undefined,
  kind: Kind
): Failure => {
  const common = describe(exchange, facts, words, status, kind)
  switch (kind) {
    case "RateLimited": {
      const scope = scopeOf(facts, words)
      const hopeless = common.retryable === undefined && Words.oversized(words)
      return new LlmError.RateLimited({
        ...common,
        ...(scope === undefined ? undefined : { scope }),
        ...(hopeless ? { retryable: false } : undefined)
      })
    }
    case "QuotaExhausted": {
      const resetsAt = resetDate(facts, words)
      return new LlmError.QuotaExhausted({ ...common, ...(resetsAt === undefined ? undefined : { resetsAt }) })
    }
    case "ContextLengthExceeded": {
      const numbers = Words.contextLength(words)
      const limit = facts.contextLimit ?? numbers?.limit
      const requested = facts.contextRequested ?? numbers?.requested
      return new LlmError.ContextLengthExceeded({
        ...common,
        ...(limit === undefined ? undefined : { limit }),
        ...(requested === undefined ? undefined : { requested })
      })
    }
    case "ContentFiltered": {
      const names = new Names(exchange.origin.secrets)
      return new LlmError.ContentFiltered({
        ...common,
        stage: Words.contentPolicy(words) ?? "prompt",
        categories: identifiers(names, facts.categories)
      })
    }
    case "InvalidRequest": {
      const parameter = new Names(exchange.origin.secrets).parameter(facts.param)
      return new LlmError.InvalidRequest({ ...common, ...(parameter === undefined ? undefined : { parameter }) })
    }
    case "ModelErred":
      return new LlmError.MalformedResponse({
        ...common,
        problem: "the provider could not read what the model had written"
      })
    default:
      return new LlmError[kind](common)
  }
}

/** The most names that an error or an answer quotes. */
const maxNames = 16

/** Takes note of a name that may be quoted. */
export const note = (noted: Set<string>, name: string): void => {
  if (name !== "" && noted.size < maxNames) noted.add(name)
}

/** Machine-readable names only, each once, and not without end. */
export const identifiers = (names: Names, values: Iterable<string>): Array<string> =>
  [...new Set(values)].flatMap((value) => names.identifier(value) ?? []).slice(0, maxNames)

const describe = (
  exchange: Exchange,
  facts: ErrorFacts,
  words: string,
  status: number | undefined,
  kind: Kind
) => {
  const { headers, origin } = exchange
  const names = new Names(origin.secrets)
  const code = codeOf(names, facts)
  const requestId = requestIdOf(names, headers) ?? names.identifier(facts.requestId ?? Words.requestId(words))
  const millis = retryAfterMillis(exchange, facts, words, kind)
  const shouldRetry = headers["x-should-retry"]?.trim().toLowerCase()
  return {
    provider: origin.provider,
    model: origin.model,
    ...(status === undefined ? undefined : { status }),
    ...(code === undefined ? undefined : { code }),
    ...(requestId === undefined ? undefined : { requestId }),
    ...(millis === undefined ? undefined : { retryAfter: Duration.millis(millis) }),
    ...(shouldRetry === "true" ? { retryable: true } : shouldRetry === "false" ? { retryable: false } : undefined),
    ...(facts.message === "" ? undefined : {
      detail: Redacted.make(names.scrub(facts.message).slice(0, maxDetail))
    })
  }
}

const isStatusLike = (code: string): boolean => /^[45]\d\d$/.test(code)

// The status of every error of Google's, beside which there may be a reason.
const general: ReadonlySet<string> = new Set([
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED"
])

/**
 * The code to quote: one that says what it is, the most exact first, before one that says anything, before one that
 * repeats the status.
 */
const codeOf = (names: Names, facts: ErrorFacts): string | undefined => {
  const codes = facts.rawCodes.flatMap((code) => names.identifier(code) ?? [])
  const known = codes.filter((code) => kindOfCode(code.toLowerCase()) !== undefined)
  return known.find((code) => !general.has(code)) ??
    known[0] ??
    codes.find((code) => !isStatusLike(code)) ??
    codes[0]
}

const requestIdHeaders = [
  "x-request-id",
  "request-id",
  "apim-request-id",
  "x-ms-client-request-id",
  "mistral-correlation-id",
  "x-kong-request-id",
  "x-ds-trace-id",
  "x-generation-id",
  "cf-ray"
]

/** The id under which the provider knows the request. */
export const requestIdOf = (names: Names, headers: RetryAfter.HeaderFields): string | undefined => {
  for (const header of requestIdHeaders) {
    const id = names.identifier(headers[header]?.trim())
    if (id !== undefined) return id
  }
  return undefined
}

const retryAfterMillis = (
  { headers, now }: Exchange,
  facts: ErrorFacts,
  words: string,
  kind: Kind
): number | undefined => {
  const header = RetryAfter.fromHeaders(headers, now)
  if (header !== undefined) return header
  // The words of other failures can quote the request, and a hint in it is not the provider's.
  if (!hasHint.has(kind)) return undefined
  // Google has a delay of seconds for every quota, also for one of the day, or one that is zero.
  if (kind === "QuotaExhausted" && facts.codes.includes("resource_exhausted") && !isDistant(facts)) return undefined
  const field = facts.retryAfterMillis
  return (field === undefined ? undefined : Math.min(field, RetryAfter.longestMillis)) ??
    RetryAfter.fromText(words) ??
    (kind === "RateLimited"
      ? RetryAfter.fromBuckets(headers, now) ?? RetryAfter.resetMillis(facts.resetsAt, now)
      : undefined)
}

const hasHint: ReadonlySet<Kind> = new Set<Kind>([
  "RateLimited",
  "QuotaExhausted",
  "Overloaded",
  "ServerError",
  "RequestTimeout"
])

const scopeOf = (facts: ErrorFacts, words: string) => {
  if (facts.codes.includes("upstream_provider_shared_pool")) return "upstream"
  if (facts.codes.includes("openrouter_in_flight_budget")) return "concurrency"
  const scope = Words.limitScope([words, ...facts.quotas].join(" "))
  if (scope !== undefined) return scope
  if (facts.codes.includes("tokens")) return "tokens"
  return facts.codes.includes("requests") ? "requests" : undefined
}

const resetDate = (facts: ErrorFacts, words: string): DateTime.Utc | undefined => {
  const date = facts.resetsAt ?? Words.regainsAccessAt(words)
  if (date === undefined) return undefined
  const epoch = /^\d{10,13}$/.test(date) ? Number(date) * (date.length > 10 ? 1 : 1000) : date
  return Option.getOrUndefined(Option.map(DateTime.make(epoch), DateTime.toUtc))
}

const redirected = ({ headers, origin, status }: Exchange): LlmError.InvalidRequest => {
  const requestId = requestIdOf(new Names(origin.secrets), headers)
  return new LlmError.InvalidRequest({
    provider: origin.provider,
    model: origin.model,
    ...(status === 0 ? undefined : { status }),
    ...(requestId === undefined ? undefined : { requestId }),
    problem: "the server redirects, which is not followed: set the base URL to where it redirects to"
  })
}

/** The error of a response that is none. */
export const malformed = (
  { headers, origin, status }: Exchange,
  problem: string,
  options?: { readonly retryable: boolean }
): LlmError.MalformedResponse => {
  const requestId = requestIdOf(new Names(origin.secrets), headers)
  return new LlmError.MalformedResponse({
    provider: origin.provider,
    model: origin.model,
    ...(status === 0 ? undefined : { status }),
    ...(requestId === undefined ? undefined : { requestId }),
    ...options,
    problem
  })
}

/** The error of a base URL that leads to a web application: it will lead there the next time too. */
export const webPage = (exchange: Exchange): LlmError.MalformedResponse =>
  malformed(exchange, "it is a web page", { retryable: false })
