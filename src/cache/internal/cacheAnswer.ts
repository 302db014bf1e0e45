/**
 * Which answers are kept.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Call } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import * as Part from "../../core/Part.ts"
import type { Answer } from "../SingleFlight.ts"
import type { Settings } from "./cacheSettings.ts"
import type { AnswerEntry } from "./cacheValue.ts"

/** The entry of an answer; nothing where it is none to keep. */
export const entryOf = (
  key: string,
  answer: Answer,
  call: Call,
  settings: Settings,
  began: number,
  now: number
): Effect.Effect<AnswerEntry | undefined> => {
  const { cost, degraded, finishReason, model, parts, provider, usage } = answer
  if (
    degraded || provider === undefined || model === undefined || finishReason === undefined ||
    finishReason === "content-filter" || finishReason === "error" ||
    // What another cache within has given has an age of its own, which nobody would know of any more.
    call.recorder.cache === "hit" || call.recorder.cache === "stale"
  ) return Effect.succeed(undefined)
  const candidate = {
    provider,
    model,
    finishReason,
    callsTools: callsTools(parts),
    text: Part.text(parts),
    parts,
    usage,
    cost
  }
  if (!settings.cacheable(candidate)) return Effect.succeed(undefined)
  return Effect.map(decodes(call, candidate.text), (decodes) =>
    decodes
      ? {
        _tag: "Answer",
        key,
        storedAt: now,
        freshFor: settings.timeToLive,
        staleFor: settings.staleWhileRevalidate,
        staleIfErrorFor: settings.staleIfError,
        // (A clock may step back.)
        computeMillis: Math.max(0, now - began),
        provider,
        model,
        finishReason,
        usage,
        cost,
        parts
      }
      : undefined)
}

const callsTools = (parts: ReadonlyArray<Part.ProviderPart>): boolean =>
  parts.some((part) =>
    (part.type === "tool-call" && part.providerExecuted !== true) || part.type === "tool-approval-request"
  )

/** Whether an answer is the object that was asked for. One that is not would be given again and again, and never be read. */
const decodes = ({ request: { responseFormat } }: Call, text: string): Effect.Effect<boolean> =>
  responseFormat.type === "text"
    ? Effect.succeed(true)
    : Effect.map(
      // (The schema may ask for services: whoever asked for the object has them, and what dies without them is not kept.)
      Effect.exit(structuredOutput(responseFormat.schema).decode(text) as Effect.Effect<unknown, unknown>),
      Exit.isSuccess
    )
