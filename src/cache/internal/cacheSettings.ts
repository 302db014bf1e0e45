/**
 * The options of a policy, checked and in milliseconds.
 */
import * as Duration from "effect/Duration"
import type { Call } from "../../core/Call.ts"
import * as CacheKey from "../CacheKey.ts"
import type { Candidate, Options } from "./cacheOptions.ts"

export interface Settings {
  readonly timeToLive: number
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
  /** How early an answer may be refreshed, in times that it took to get; 0 where it is not. */
  readonly beta: number
  readonly scope: (call: Call) => CacheKey.Scope | undefined
  readonly cacheable: (candidate: Candidate) => boolean
  readonly negative: { readonly errors: ReadonlySet<string>; readonly timeToLive: number } | undefined
  readonly pace: number
  readonly tags: (call: Call) => ReadonlyArray<string>
  readonly own: ((call: Call) => unknown) | undefined
  readonly storeFails: boolean
  readonly storeTimeout: number
  readonly coalesce: boolean
  readonly waitForOthers: number
  readonly lease: number
}

const none: ReadonlyArray<string> = []

export const settingsOf = (options: Options): Settings => {
  const { cacheable, coalesce, earlyRefresh, negative, replay, tags } = options
  const sharing = typeof coalesce === "object" ? coalesce : undefined
  const shares = coalesce !== false
  const beta = earlyRefresh === undefined || earlyRefresh === false
    ? 0
    : earlyRefresh === true
    ? 1
    : earlyRefresh.beta
  if (!(beta >= 0 && Number.isFinite(beta))) {
    throw new RangeError(`Cache.through: earlyRefresh.beta must be finite and not negative, got ${beta}`)
  }
  return {
    timeToLive: longer("timeToLive", options.timeToLive),
    staleWhileRevalidate: notNegative("staleWhileRevalidate", options.staleWhileRevalidate ?? 0),
    staleIfError: notNegative("staleIfError", options.staleIfError ?? 0),
    beta,
    scope: scopeOf(options.scope ?? "tenant"),
    cacheable: cacheable ?? (options.toolCalls === true ? isWholeAnswer : isWholeText),
    negative: negative === undefined
      ? undefined
      : { errors: new Set(negative.errors), timeToLive: longer("negative.timeToLive", negative.timeToLive) },
    pace: replay === undefined || replay === "atOnce" ? 0 : notNegative("replay.every", replay.every),
    tags: tags === undefined ? () => none : typeof tags === "function" ? tags : () => tags,
    own: options.key,
    storeFails: options.onStoreError === "fail",
    storeTimeout: longer("storeTimeout", options.storeTimeout ?? "250 millis"),
    coalesce: shares,
    waitForOthers: shares ? notNegative("coalesce.waitForOthers", sharing?.waitForOthers ?? "10 seconds") : 0,
    lease: longer("coalesce.lease", sharing?.lease ?? "2 minutes")
  }
}

/** How a plan says it. */
export const detailOf = (options: Options): string =>
  [
    Duration.format(Duration.fromInputUnsafe(options.timeToLive)),
    typeof options.scope === "function" ? "own scope" : `by ${options.scope ?? "tenant"}`,
    ...(options.staleWhileRevalidate === undefined
      ? []
      : [`${Duration.format(Duration.fromInputUnsafe(options.staleWhileRevalidate))} stale while revalidated`]),
    ...(options.staleIfError === undefined
      ? []
      : [`${Duration.format(Duration.fromInputUnsafe(options.staleIfError))} stale if there is an error`])
  ].join(", ")

const millis = (name: string, input: Duration.Input, valid: (millis: number) => boolean, must: string): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (!(Number.isFinite(millis) && valid(millis))) {
    throw new RangeError(`Cache.through: ${name} must be finite and ${must}, got ${millis} ms`)
  }
  return millis
}

const longer = (name: string, input: Duration.Input): number =>
  millis(name, input, (millis) => millis > 0, "longer than zero")

const notNegative = (name: string, input: Duration.Input): number =>
  millis(name, input, (millis) => millis >= 0, "not negative")

const scopeOf = (scope: NonNullable<Options["scope"]>): Settings["scope"] => {
  if (typeof scope === "function") {
    return (call) => {
      const name = scope(call)
      return name === undefined ? undefined : { _tag: "Own", name }
    }
  }
  switch (scope) {
    case "tenant":
      return (call) => CacheKey.tenantOf(call.attribution)
    case "user":
      return (call) => CacheKey.userOf(call.attribution)
    case "public":
      return () => CacheKey.everybody
  }
}

/** A text that the model has ended by itself. */
const isWholeText = (candidate: Candidate): boolean => candidate.finishReason === "stop" && !candidate.callsTools

/** The same, or calls of tools. */
const isWholeAnswer = (candidate: Candidate): boolean =>
  candidate.finishReason === "stop" || candidate.finishReason === "tool-calls"
