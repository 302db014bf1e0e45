/**
 * A provider whose parts come in pieces of a test's choosing, as they would from a socket.
 */
import { Effect, Layer, Stream } from "effect"
import type { LlmError, Part } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"

/** Sends the parts piece by piece, and then ends, fails or dies. */
export const chunked = <Self>(
  provider: Provider.Key<Self>,
  pieces: ReadonlyArray<ReadonlyArray<Part.ProviderPart>>,
  end: Effect.Effect<void, LlmError.ProviderError> = Effect.void
): Layer.Layer<Self> =>
  Layer.succeed(provider, {
    whole: () => Effect.die(new Error("this provider only streams")),
    stream: () =>
      Stream.fromIterable(pieces).pipe(
        Stream.rechunk(1),
        Stream.flatMap((parts) => Stream.fromArray(parts)),
        Stream.concat(Stream.drain(Stream.fromEffect(end)))
      )
  })

/** Cuts a list into pieces of these lengths, in turn. */
export const cut = <A>(list: ReadonlyArray<A>, lengths: ReadonlyArray<number>): Array<Array<A>> => {
  const pieces: Array<Array<A>> = []
  for (let at = 0, next = 0; at < list.length; next++) {
    const length = Math.max(1, lengths[next % Math.max(1, lengths.length)] ?? list.length)
    pieces.push(list.slice(at, at + length))
    at += length
  }
  return pieces
}

/** The part every complete stream ends with. */
export const finish = (
  reason: Extract<Part.ProviderPart, { readonly type: "finish" }>["reason"] = "stop"
): Extract<Part.ProviderPart, { readonly type: "finish" }> => ({
  type: "finish",
  reason,
  usage: {
    inputTokens: { uncached: 7, total: 10, cacheRead: 3, cacheWrite: 0 },
    outputTokens: { total: 5, text: 4, reasoning: 1 }
  }
})

/** What {@link finish} costs, in the buckets of a receipt. */
export const finishUsage = {
  inputUncached: 7,
  inputCacheRead: 3,
  inputCacheWrite: 0,
  outputText: 4,
  outputReasoning: 1
}

/** A piece of visible text. */
export const delta = (text: string): Part.ProviderPart => ({ type: "text-delta", id: "0", delta: text })
