/**
 * What servers' own words give away, where codes and statuses do not. This is the only place in the library that reads
 * messages; they are those that servers are documented, or known, to send.
 */

/** The numbers in a message about the context window. */
export interface ContextNumbers {
  readonly limit: number | undefined
  readonly requested: number | undefined
}

interface ContextRule {
  readonly pattern: RegExp
  /** Which group holds the limit, and which groups add up to what was requested. */
  readonly limit?: number
  readonly requested?: ReadonlyArray<number>
}

const n = "([\\d,]+)"

const contextRule = (pattern: string, limit?: number, ...requested: ReadonlyArray<number>): ContextRule => ({
  pattern: new RegExp(pattern, "i"),
  ...(limit === undefined ? undefined : { limit }),
  ...(requested.length === 0 ? undefined : { requested })
})

const contextRules: ReadonlyArray<ContextRule> = [
  // OpenAI, DeepSeek, OpenRouter, vLLM in three generations
  contextRule(
    `maximum context length is ${n} tokens?[.,]? However,? you requested ${n} output tokens and your prompt contains ` +
      `(?:at least )?${n} input tokens, for a total of (?:at least )?${n}`,
    1,
    4
  ),
  contextRule(
    `maximum context length is ${n} tokens?[.,]? However,? ` +
      `(?:you requested(?: about)?|your (?:messages|prompt|input) resulted in) ${n} tokens`,
    1,
    2
  ),
  contextRule(
    `is too large: ${n}\\. This model's maximum context length is ${n} tokens and your request has ${n} input tokens`,
    2,
    1,
    3
  ),
  contextRule(`maximum context length is ${n} tokens and your request has ${n} input tokens`, 1, 2),
  contextRule(
    `You passed ${n} input tokens and requested ${n} output tokens\\. However, the model's context length is only ${n}`,
    3,
    1,
    2
  ),
  contextRule(`prompt \\(length ${n}\\) is longer than the maximum model length of ${n}`, 2, 1),
  // SGLang
  contextRule(`exceeds the model's maximum context length of ${n} tokens\\. You requested a total of ${n}`, 1, 2),
  contextRule(`The input \\(${n} tokens\\) is longer than the model's context length \\(${n} tokens\\)`, 2, 1),
  // Anthropic
  contextRule(`prompt is too long: ${n} tokens > ${n} maximum`, 2, 1),
  contextRule(`exceed context limit: ${n} \\+ ${n} > ${n}`, 3, 1, 2),
  // Gemini, Vertex
  contextRule(`input token count \\(?${n}\\)? exceeds the maximum number of tokens allowed \\(?${n}`, 2, 1),
  // llama.cpp
  contextRule(`request \\(${n} tokens\\) exceeds the available context size \\(${n} tokens\\)`, 2, 1),
  contextRule("exceeds the available context size"),
  contextRule("context size has been exceeded"),
  // Mistral
  contextRule(
    `Prompt contains ${n} tokens and ${n} draft tokens, too large for model with ${n} maximum context length`,
    3,
    1
  ),
  contextRule(`Prompt contains ${n} tokens.*?too large for model with ${n} maximum context length`, 2, 1),
  // Text Generation Inference, Together
  contextRule(`.inputs. tokens \\+ .max_new_tokens. must be <= ${n}\\. Given: ${n} .inputs. tokens and ${n}`, 1, 2, 3),
  contextRule(`.inputs. tokens \\+ .max_new_tokens. must be`),
  // xAI
  contextRule(`maximum prompt length is ${n} but the request contains ${n} tokens`, 1, 2),
  // LM Studio
  contextRule(`Trying to keep the first ${n} tokens when context the overflows.*?context length of only ${n}`, 2, 1),
  contextRule(`n_keep: ${n} >= n_ctx: ${n}`, 2, 1),
  // Ollama, Cerebras, Perplexity, Cohere, and what others have in common with them
  contextRule(`Current length is ${n} while limit is ${n}`, 2, 1),
  contextRule(`Input length \\(?${n}\\)? exceeds (?:the )?model's maximum context length \\(?${n}`, 2, 1),
  contextRule("prompt too long; exceeded max context length"),
  contextRule("total length of all messages is too long"),
  contextRule("too many tokens: size limit exceeded"),
  contextRule(`maximum input length is ${n} tokens`, 1),
  contextRule("exceeds? the context window"),
  contextRule("exceeds the maximum number of tokens allowed"),
  contextRule("model's maximum context limit"),
  contextRule("is longer than the model's context length"),
  contextRule("input tokens exceed the configured limit"),
  contextRule("context(?: length| window)? (?:is |was )?exceeded"),
  contextRule("exceed(?:s|ed)? (?:the )?(?:model's )?(?:maximum )?context (?:length|limit|size)"),
  contextRule("prompt is too long|input is too long for requested model"),
  contextRule(`maximum context length (?:is|of) ${n}`, 1),
  contextRule("reduce the length of the (?:messages|prompt|input)")
]

const tokens = (match: RegExpExecArray, group: number): number | undefined => {
  const value = Number((match[group] ?? "").replaceAll(",", ""))
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}

/** Whether the words say that the context window is too small, and by how much. */
export const contextLength = (words: string): ContextNumbers | undefined => {
  for (const { limit, pattern, requested } of contextRules) {
    const match = pattern.exec(words)
    if (match === null) continue
    const amounts = (requested ?? []).map((group) => tokens(match, group))
    return {
      limit: limit === undefined ? undefined : tokens(match, limit),
      requested: amounts.length === 0 || amounts.includes(undefined)
        ? undefined
        : amounts.reduce<number>((sum, amount) => sum + (amount ?? 0), 0)
    }
  }
  return undefined
}

const anyOf = (...phrases: ReadonlyArray<string>): RegExp => new RegExp(phrases.join("|"), "i")

const answerPolicy = anyOf("output blocked by content filtering policy", "response was blocked")

const promptPolicy = anyOf(
  "content_policy_violation",
  "responsibleaipolicyviolation",
  "content_filter_policy",
  "content management policy",
  "content filtering polic",
  "violating our usage policy",
  "(?:rejected|failed) as a result of (?:the|our) safety system",
  "requires moderation and your input was flagged"
)

/** What a content policy refused, where the words say that one did. */
export const contentPolicy = (words: string): "prompt" | "answer" | undefined =>
  answerPolicy.test(words) ? "answer" : promptPolicy.test(words) ? "prompt" : undefined

const quota = anyOf(
  "insufficient[_ ](?:quota|balance|credits?|funds)",
  "exceeded your current quota",
  "credit balance is too low",
  "prepayment credits are depleted",
  "requires more credits",
  "out of credits",
  "key limit exceeded",
  "api usage limits",
  "spend(?:ing)? limit",
  "billing (?:hard limit|is not|not enabled|details|settings)",
  "check your (?:plan and )?billing",
  "enable billing",
  "account is not active",
  "free-models-per-day",
  "no resource package",
  "extra usage is required",
  // z.ai, in Chinese: insufficient balance
  "余额不足"
)

const perMinute = anyOf("per[\\s-]minute", "rate limit is \\d", "queries per", "requests per (?:second|minute)")

/** The account is out of credit or over a spending limit. */
export const quotaExhausted = (words: string): boolean => quota.test(words) && !perMinute.test(words)

const key = anyOf(
  "(?:incorrect|invalid|missing|expired|no) api[ _-]?key",
  "api[ _-]?key (?:is |was )?(?:not valid|invalid|expired|missing|not found)",
  "authentication fail",
  "invalid (?:private key|authentication)",
  "unauthorized"
)

/** The key is not accepted. */
export const authentication = (words: string): boolean => key.test(words)

const forbiddenRegion = anyOf(
  "user location is not supported",
  "country, region, or territory not supported",
  "not available in your (?:country|region)"
)

/** The account's region may not use the service. */
export const region = (words: string): boolean => forbiddenRegion.test(words)

const unknownModel = anyOf(
  "is not a valid model",
  "no endpoints found",
  "no allowed providers are available",
  "model(?: name| id)? [^.]{1,200}(?:does not exist|not found|is not available)",
  "model(?: name| id)? [^.]{1,200}has been (?:decommissioned|deprecated|removed|shut ?down)",
  "(?:unknown|unsupported|invalid) model\\b",
  "unable to access non-serverless model"
)

/** The model is not known, or not served. */
export const modelNotFound = (words: string): boolean => unknownModel.test(words)

const model = anyOf("\\bmodels?\\b", "\\bdeployments?\\b", "no endpoints found", "no allowed providers")

const unknownPath = anyOf("(?:unknown|unrecognized) request url", "invalid url")

/** The words name a model or a deployment at all: a 404 that does not is about a path. */
export const namesModel = (words: string): boolean => model.test(words) && !unknownPath.test(words)

const capacity = anyOf(
  "overloaded",
  "no capacity available",
  "(?:at|over|out of) capacity",
  "server (?:is )?busy",
  "too busy",
  "no available workers",
  "loading model",
  "not ready yet"
)

/** There is no capacity. */
export const overloaded = (words: string): boolean => capacity.test(words)

const timeout = anyOf("timed out", "timeout occurred", "request timeout", "deadline exceeded")

/** Somebody gave up waiting. */
export const timedOut = (words: string): boolean => timeout.test(words)

const rate = anyOf(
  "rate[\\s_-]*limit",
  "too many requests",
  "(?:tokens?|requests?) per min",
  "quota exceeded for",
  "resource (?:has been )?exhausted",
  "service tier capacity exceeded",
  "\\b429\\b"
)

/** A rate limit. */
export const rateLimited = (words: string): boolean => rate.test(words)

/** Whether a single request is larger than what the limit allows in a whole minute: waiting cannot help. */
export const oversized = (words: string): boolean => {
  if (/request too large/i.test(words)) return true
  const limit = /\blimit:? ([\d,]+)/i.exec(words)
  const requested = /\brequested:? ([\d,]+)/i.exec(words)
  if (limit === null || requested === null) return false
  const [most, wanted] = [tokens(limit, 1), tokens(requested, 1)]
  return most !== undefined && wanted !== undefined && wanted > most
}

const scopes = [
  ["day", anyOf("per[ -]?day", "\\b[TR]PD\\b", "daily")],
  ["concurrency", anyOf("in[- ]flight", "concurren", "parallel requests", "simultaneous")],
  [
    "tokens",
    anyOf("tokens? per (?:min|second|hour)", "tokens?Per", "\\bTPM\\b", "tokens? rate limit", "token[_ ]count")
  ],
  ["requests", anyOf("requests? ?per", "\\bRP[MS]\\b", "queries per", "call rate limit", "requests? rate limit")]
] as const

/** What of it there is a limit. A limit of tokens a day is one of the day: that is what decides how to go on. */
export const limitScope = (words: string): (typeof scopes)[number][0] | undefined =>
  scopes.find(([, pattern]) => pattern.test(words))?.[0]

/** Anthropic says in its message when a monthly limit ends. */
export const regainsAccessAt = (words: string): string | undefined => {
  const match = /regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?/i.exec(words)
  return match === null ? undefined : `${match[1]}T${match[2] ?? "00:00"}:00Z`
}

/** The id of the request, which some servers give in their message only. */
export const requestId = (words: string): string | undefined =>
  /\brequest id:? ["'`(]?((?=[\w-]*\d)[\w-]{16,64})/i.exec(words)?.[1]
