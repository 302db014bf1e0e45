/**
 * What a call has become once it is open: the whole answer, or a stream of which the first content part is there.
 *
 * **Details**
 *
 * In a `whole` call opening ends with the answer, so nothing can fail any more. In a `stream` the consumer has begun to
 * read: retry and fallback are over, and what can still go wrong is one error, `StreamInterrupted`.
 *
 * @since 0.1.0
 */
import * as Stream from "effect/Stream"
import type { StreamInterrupted } from "./LlmError.ts"
import type { Part } from "./Part.ts"

/**
 * All parts of an answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Whole {
  readonly _tag: "Whole"
  readonly parts: ReadonlyArray<Part>
}

/**
 * An answer that is still arriving.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flow {
  readonly _tag: "Flow"
  readonly parts: Stream.Stream<Part, StreamInterrupted>
}

/**
 * What a call has become once it is open.
 *
 * @category models
 * @since 0.1.0
 */
export type Opened = Whole | Flow

/**
 * An answer that is all there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const whole = (parts: ReadonlyArray<Part>): Opened => ({ _tag: "Whole", parts })

/**
 * An answer that is still arriving.
 *
 * @category constructors
 * @since 0.1.0
 */
export const flow = (parts: Stream.Stream<Part, StreamInterrupted>): Opened => ({ _tag: "Flow", parts })

/**
 * The parts of either, as a stream.
 *
 * @category converting
 * @since 0.1.0
 */
export const stream = (self: Opened): Stream.Stream<Part, StreamInterrupted> =>
  self._tag === "Flow" ? self.parts : Stream.fromIterable(self.parts)

/**
 * Changes what is still arriving; an answer that is all there stays as it is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const mapFlow = (
  self: Opened,
  f: (parts: Stream.Stream<Part, StreamInterrupted>) => Stream.Stream<Part, StreamInterrupted>
): Opened => self._tag === "Flow" ? flow(f(self.parts)) : self
