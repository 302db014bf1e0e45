/**
 * An answer that was kept, given once more: the same parts, and a receipt that says who gave it and what that spared.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Call } from "../../core/Call.ts"
import { AttemptRecord } from "../../core/internal/recorder.ts"
import * as Opened from "../../core/Opened.ts"
import type { CacheResult } from "../../core/Receipt.ts"
import type { AnswerEntry } from "./cacheValue.ts"

/** Who has given an answer: not among the requests of this call, since none was sent. */
export const servedBy = (call: Call, entry: AnswerEntry): AttemptRecord => {
  const now = call.recorder.now()
  const served = new AttemptRecord(entry.provider, entry.model, now)
  served.usage = entry.usage
  served.cost = { amount: entry.cost, estimated: false }
  served.finishReason = entry.finishReason
  served.firstPartAt = now
  return served
}

/** Replays an answer. `paceMillis`: how long to wait before each part of a stream but the first. */
export const replay = (
  call: Call,
  entry: AnswerEntry,
  result: CacheResult,
  paceMillis: number
): Opened.Opened => {
  const served = servedBy(call, entry)
  call.recorder.cache = result
  call.recorder.saved = { usage: entry.usage, cost: entry.cost }
  call.recorder.serving = served
  if (call.mode === "whole" || paceMillis === 0) {
    served.end("success", served.startedAt)
    return Opened.whole(entry.parts)
  }
  const last = entry.parts.length - 1
  return Opened.flow(
    Stream.fromIterable(entry.parts.entries()).pipe(
      // One part a pull, as it would come over a wire.
      Stream.rechunk(1),
      Stream.mapEffect(([index, part]) => {
        const hand = Effect.sync(() => {
          served.see(part)
          if (index === last) served.end("success", call.recorder.now())
          return part
        })
        return index === 0 ? hand : Effect.andThen(Effect.sleep(paceMillis), hand)
      }),
      Stream.onExit(() => Effect.sync(() => served.end("interrupted", call.recorder.now())))
    )
  )
}
