/**
 * The limits of a key, checked and in milliseconds, and what a request is estimated to cost.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Duration from "effect/Duration"
import type { Request } from "../../core/Call.ts"

/**
 * A limit on calls in flight that finds itself: see `Limiter.adaptive`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Adaptive {
  readonly initial: number
  readonly minimum: number
  readonly maximum: number
  readonly tolerance: number
}

/**
 * The limits of one key. What is absent is not limited.
 *
 * @category options
 * @since 0.1.0
 */
export interface Limits {
  /** How many calls may be in flight: a number, or one that finds itself. */
  readonly concurrency?: number | Adaptive | undefined
  /** How many requests may be sent in a minute; all of them at once, where none was before. */
  readonly requestsPerMinute?: number | undefined
  /** How many tokens may be spent in a minute, in prompts and answers together. */
  readonly tokensPerMinute?: number | undefined
  /** Who may wait, and for how long. */
  readonly queue?: {
    /**
     * How many calls may wait behind the one whose turn it is. When it is full, an interactive call takes the place of the
     * newest batch call, if one waits. Default: 1,000.
     */
    readonly size?: number | undefined
    /** The longest wait. Default: 30 seconds. */
    readonly maxWait?: Duration.Input | undefined
  } | undefined
}

/** Limits, checked. */
export interface GateLimits {
  /** Infinity where there is none, or where it finds itself. */
  readonly concurrency: number
  readonly adaptive: Adaptive | undefined
  readonly requests: number | undefined
  readonly tokens: number | undefined
  readonly queueSize: number
  readonly maxWait: number
}

const illegal = (what: string, got: unknown): never => {
  throw new RangeError(`Limiter.layer: ${what}, got ${String(got)}`)
}

const count = (name: string, value: number, least: number): number =>
  Number.isInteger(value) && value >= least ? value : illegal(`${name} must be an integer of at least ${least}`, value)

const rate = (name: string, value: number | undefined): number | undefined =>
  value === undefined || (Number.isFinite(value) && value >= 1) ? value : illegal(`${name} must be at least 1`, value)

export const gateLimits = (limits: Limits): GateLimits => {
  const { concurrency, queue } = limits
  const maxWait = Duration.toMillis(Duration.fromInputUnsafe(queue?.maxWait ?? "30 seconds"))
  if (!(maxWait >= 0)) illegal("queue.maxWait must not be negative", maxWait)
  return {
    concurrency: typeof concurrency === "number" ? count("concurrency", concurrency, 1) : Infinity,
    adaptive: typeof concurrency === "object" ? concurrency : undefined,
    requests: rate("requestsPerMinute", limits.requestsPerMinute),
    tokens: rate("tokensPerMinute", limits.tokensPerMinute),
    queueSize: count("queue.size", queue?.size ?? 1000, 0),
    maxWait
  }
}

const charactersOf = (part: Prompt.Part): number => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return part.text.length
    case "tool-call":
      return part.name.length + json(part.params)
    case "tool-result":
      return json(part.result)
    // What a picture costs has nothing to do with its size in bytes.
    default:
      return 0
  }
}

const json = (value: unknown): number => JSON.stringify(value)?.length ?? 0

/** A token for four characters of text, and as many as the answer may have. */
export const estimateTokens = (request: Request): number => {
  let characters = 0
  for (const message of request.prompt.content) {
    if (typeof message.content === "string") characters += message.content.length
    else for (const part of message.content) characters += charactersOf(part)
  }
  return Math.ceil(characters / 4) + (request.settings.maxOutputTokens ?? 0)
}
