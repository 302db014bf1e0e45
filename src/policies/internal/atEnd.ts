/**
 * Doing something when an answer that flows has ended.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { toPull } from "../../core/internal/pull.ts"
import type { StreamInterrupted } from "../../core/LlmError.ts"
import type { Part } from "../../core/Part.ts"

/** What to do at the end of an answer; more than one of them may come to pass, a failure after the `finish` for one. */
export interface Endings {
  /** It is whole, whether or not anybody pulls once more: its `finish` is among these parts. */
  readonly finished: (parts: ReadonlyArray<Part>) => Effect.Effect<void>
  /** It has broken off, or its reader was interrupted. */
  readonly failed: (cause: Cause.Cause<StreamInterrupted>) => Effect.Effect<void>
  /** There are no more parts. */
  readonly done: Effect.Effect<void>
}

/** The parts as they are, and what is to be done at their end before it is handed on. */
export const atEnd = (
  parts: Stream.Stream<Part, StreamInterrupted>,
  { done, failed, finished }: Endings
): Stream.Stream<Part, StreamInterrupted> =>
  Stream.unwrap(Effect.map(toPull(parts), (pull) =>
    Stream.fromPull(Effect.succeed(
      Pull.matchEffect(pull, {
        onSuccess: (parts) =>
          parts.some((part) => part.type === "finish")
            ? Effect.as(finished(parts), parts)
            : Effect.succeed(parts),
        onFailure: (cause: Cause.Cause<StreamInterrupted>) => Effect.andThen(failed(cause), Effect.failCause(cause)),
        onDone: () => Effect.andThen(done, Cause.done())
      })
    ))))
