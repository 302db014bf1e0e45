/**
 * The recorded answers of real servers, and what each of them should become. The corpus holds the words of others and
 * is not part of this repository: `BULWARK_WIRE_CORPUS` says where it lies.
 */
import { Llm, LlmError } from "effect-bulwark"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import { inspect, isDeepStrictEqual } from "node:util"

export interface ToolCall {
  readonly id?: string
  readonly name: string
  readonly arguments: unknown
}

export interface Details {
  readonly alsoAcceptable?: ReadonlyArray<string>
  readonly alsoAcceptableRetryAfterMs?: ReadonlyArray<number>
  readonly derivableRetryAfterMs?: number
  readonly bodyRetryAfterMs?: number
  readonly retryableContested?: boolean
  readonly cause?: string
  readonly code?: string
  readonly limit?: number
  readonly requested?: number
  readonly scope?: string
  readonly param?: string
  readonly requestId?: string
  readonly resetsAt?: string
  readonly reasons?: ReadonlyArray<string>
  readonly now?: string
}

export interface Case {
  readonly id: string
  readonly protocol: string
  readonly kind: "error" | "success" | "stream"
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: string
  readonly transport?: {
    readonly phase?: "connect" | "headers" | "body"
    readonly name?: string
    readonly message?: string
    readonly code?: string
    readonly cause?: string
    readonly splitAt?: ReadonlyArray<number>
    readonly splitEvery?: number
  }
  readonly expect: {
    readonly tag: string
    readonly retryable: boolean
    readonly retryAfterMs?: number
    readonly text?: string
    readonly reasoning?: string
    readonly finishReason?: string
    readonly rawFinishReason?: string
    readonly usage?: { readonly [bucket: string]: number }
    readonly toolCalls?: ReadonlyArray<ToolCall>
    readonly details?: Details
  }
}

export const read = (path: string, protocol: string): ReadonlyArray<Case> =>
  readFileSync(path, "utf8").split("\n").filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as Case)
    .filter((entry) => entry.protocol === protocol)

/** What became of a case. */
export interface Outcome {
  readonly tag: string
  readonly error: LlmError.ProviderError | undefined
  readonly text: string
  readonly reasoning: string
  readonly finishReason: string | undefined
  readonly rawFinishReason: string | undefined
  readonly usage: { readonly [bucket: string]: number | undefined }
  readonly toolCalls: ReadonlyArray<ToolCall>
}

type Loose = { readonly type: string; readonly [field: string]: unknown }

const outcome = (parts: ReadonlyArray<Loose>, exit: Exit.Exit<unknown, LlmError.ProviderError>): Outcome => {
  const joined = (...types: ReadonlyArray<string>) =>
    parts.filter((part) => types.includes(part.type)).map((part) => part["delta"] ?? part["text"]).join("")
  const finish = parts.find((part) => part.type === "finish") as
    | {
      readonly reason: string
      readonly metadata: { readonly [provider: string]: { readonly finishReason?: string } }
      readonly usage: {
        readonly inputTokens: {
          readonly total?: number
          readonly uncached?: number
          readonly cacheRead?: number
          readonly cacheWrite?: number
        }
        readonly outputTokens: { readonly total?: number; readonly reasoning?: number }
      }
    }
    | undefined
  let error: LlmError.ProviderError | undefined
  if (Exit.isFailure(exit)) {
    const found = Cause.findErrorOption(exit.cause)
    if (found._tag === "None") throw new Error(`no typed failure: ${Cause.pretty(exit.cause)}`)
    error = found.value
  }
  return {
    tag: error?._tag ?? "Success",
    error,
    text: joined("text", "text-delta"),
    reasoning: joined("reasoning", "reasoning-delta"),
    finishReason: finish?.reason,
    rawFinishReason: Object.values(finish?.metadata ?? {}).find(({ finishReason }) => finishReason !== undefined)
      ?.finishReason,
    usage: {
      inputTokens: finish?.usage.inputTokens.total,
      uncachedInputTokens: finish?.usage.inputTokens.uncached,
      outputTokens: finish?.usage.outputTokens.total,
      cacheReadTokens: finish?.usage.inputTokens.cacheRead,
      cacheWriteTokens: finish?.usage.inputTokens.cacheWrite,
      reasoningTokens: finish?.usage.outputTokens.reasoning
    },
    toolCalls: parts.filter((part) => part.type === "tool-call").map((part) => ({
      id: String(part["id"]),
      name: String(part["name"]),
      arguments: part["params"]
    }))
  }
}

/** Asks for the whole answer. */
export const runWhole = <R>(llm: Llm.Llm<LlmError.ProviderError, R>): Effect.Effect<Outcome, never, R> =>
  Llm.generateText(llm, { prompt: "Hello?" }).pipe(
    Effect.exit,
    Effect.map((exit) =>
      outcome(Exit.isSuccess(exit) ? exit.value.content as unknown as ReadonlyArray<Loose> : [], exit)
    )
  )

/** Asks for the answer in parts. */
export const runStream = <R>(llm: Llm.Llm<LlmError.ProviderError, R>): Effect.Effect<Outcome, never, R> =>
  Effect.suspend(() => {
    const parts: Array<Loose> = []
    return Llm.streamText(llm, { prompt: "Hello?" }).pipe(
      Stream.runForEach((part) => Effect.sync(() => parts.push(part as unknown as Loose))),
      Effect.exit,
      Effect.map((exit) => outcome(parts, exit))
    )
  })

// The corpus takes a reached output limit for a failure; here only those who demand a whole answer see it as one.
const expectedTag = ({ tag }: Case["expect"]): string => tag === "OutputTruncated" ? "Success" : tag

const scopes: { readonly [scope: string]: string } = { in_flight: "concurrency", input_tokens: "tokens" }

/** In what an outcome is not as expected; empty when it is. */
export const grade = ({ expect }: Case, actual: Outcome, mode: "whole" | "stream"): Array<string> => {
  const details = expect.details ?? {}
  const wrong: Array<string> = []
  const check = (what: string, is: unknown, should: unknown) => {
    if (!isDeepStrictEqual(is, should)) wrong.push(`${what}: is ${inspect(is)}, should be ${inspect(should)}`)
  }
  const expected = expectedTag(expect)
  const { error } = actual
  // The corpus says what ended an answer; here words that have been said are interrupted by it.
  if (expected === "ContentFiltered" && error?._tag === "StreamInterrupted" && error.failure?._tag === expected) {
    check("partial", Redacted.value(error.partial), expect.text ?? "")
    check("retryable", LlmError.isTransient(error), expect.retryable)
    return wrong
  }
  if (actual.tag !== expected && details.alsoAcceptable?.includes(actual.tag) !== true) {
    check("tag", actual.tag, expected)
    return wrong
  }
  if (expect.text !== undefined) check("text", actual.text, expect.text)
  if (expect.reasoning !== undefined && mode === "stream") check("reasoning", actual.reasoning, expect.reasoning)
  if (error === undefined) {
    if (expect.finishReason !== undefined) check("finishReason", actual.finishReason, expect.finishReason)
    if (expect.rawFinishReason !== undefined) check("rawFinishReason", actual.rawFinishReason, expect.rawFinishReason)
    for (const [bucket, tokens] of Object.entries(expect.usage ?? {})) {
      if (bucket !== "totalTokens") check(`usage.${bucket}`, actual.usage[bucket], tokens)
    }
    for (const [index, call] of (expect.toolCalls ?? []).entries()) {
      const { id, ...rest } = actual.toolCalls[index] ?? { name: undefined, arguments: undefined }
      // What has no id on the wire is given one.
      check(`toolCalls[${index}]`, call.id === undefined ? rest : { id, ...rest }, call)
    }
    if (expect.tag === "Success") check("toolCalls", actual.toolCalls.length, expect.toolCalls?.length ?? 0)
    return wrong
  }
  if (details.retryableContested !== true) check("retryable", LlmError.isTransient(error), expect.retryable)
  gradeRetryAfter(expect, error, check)
  if (error._tag === "StreamInterrupted") {
    check("partial", Redacted.value(error.partial), expect.text ?? "")
    if (details.cause !== undefined && error.failure !== undefined) {
      const causes = [details.cause, ...details.alsoAcceptable ?? []]
      if (!causes.includes(error.failure._tag)) check("cause", error.failure._tag, details.cause)
    }
    return wrong
  }
  if (details.code !== undefined) check("code", error.code, details.code)
  if (details.requestId !== undefined) check("requestId", error.requestId, details.requestId)
  if (error._tag === "ContextLengthExceeded") {
    check("limit", error.limit, details.limit)
    check("requested", error.requested, details.requested)
  }
  if (error._tag === "RateLimited" && details.scope !== undefined) {
    check("scope", error.scope, scopes[details.scope] ?? details.scope)
  }
  if (error._tag === "QuotaExhausted" && details.resetsAt !== undefined) {
    check("resetsAt", error.resetsAt && DateTime.toEpochMillis(error.resetsAt), Date.parse(details.resetsAt))
  }
  if (error._tag === "InvalidRequest" && details.param !== undefined) check("param", error.parameter, details.param)
  if (error._tag === "ContentFiltered" && details.reasons !== undefined) {
    check("categories", error.categories, details.reasons)
  }
  return wrong
}

const gradeRetryAfter = (
  expect: Case["expect"],
  error: LlmError.ProviderError,
  check: (what: string, is: unknown, should: unknown) => void
): void => {
  const details = expect.details ?? {}
  const is = error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
  // A hint in the body alone need not be read, and one that is read has to be right.
  const acceptable = [
    expect.retryAfterMs,
    details.derivableRetryAfterMs,
    details.bodyRetryAfterMs,
    ...details.alsoAcceptableRetryAfterMs ?? []
  ]
  if (!acceptable.includes(is)) check("retryAfterMs", is, expect.retryAfterMs)
}
