/**
 * Pulling a stream by hand.
 */
import type * as Arr from "effect/Array"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * The pull of a stream, in the current scope. Unlike `Stream.toPull` it takes no lock and does not restore the context with
 * every pull, which cost more than all else that happens to a part here: the pull must be run by one fiber at a time, and by
 * one that has the services the stream was made for (ours need none).
 */
export const toPull = <A, E>(
  stream: Stream.Stream<A, E>
): Effect.Effect<Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E>, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    // A stream that fails to start fails with its first pull.
    Effect.catchCause(
      Channel.toPullScoped(Stream.toChannel(stream), scope),
      (cause) => Effect.succeed(Effect.failCause(cause))
    ))
