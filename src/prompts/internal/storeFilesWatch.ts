/**
 * Watching a folder of prompts.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Root } from "./storeFilesRead.ts"

export interface WatchSettings {
  /** How long to wait for further events after the first. */
  readonly debounce: Duration.Duration
  /** How often to say that something may have changed, whether or not there was an event. */
  readonly pollEvery: Duration.Duration | undefined
}

/** How often to look whether the folder is still the one that is watched. */
const lookEvery = Duration.seconds(1)

/** At once; and whenever something happens in the folder, which may come later, or go and come again. */
export const watch = (
  { directory, fs }: Root,
  { debounce, pollEvery }: WatchSettings
): Stream.Stream<void> => {
  const identity = Effect.match(fs.stat(directory), {
    onFailure: () => "nothing",
    onSuccess: ({ dev, ino }) => `${dev}/${Option.getOrElse(ino, () => 0n)}`
  })
  const events = Stream.callback<void>((queue) => {
    const signal = () => void Queue.offerUnsafe(queue, undefined)
    const once = Effect.gen(function*() {
      const watched = yield* identity
      const replaced = Effect.repeat(Effect.andThen(Effect.sleep(lookEvery), identity), {
        until: (now) => now !== watched
      })
      yield* fs.watch(directory, { recursive: true, onReady: signal }).pipe(
        Stream.runForEach(() => Effect.sync(signal)),
        // It ends only where it cannot go on.
        Effect.ignore,
        Effect.andThen(Effect.sleep(lookEvery)),
        Effect.raceFirst(replaced)
      )
      // What has happened meanwhile was not seen.
      signal()
    })
    return Effect.forever(once)
  }, { bufferSize: 1, strategy: "sliding" })
  return Stream.concat(
    Stream.succeed(undefined),
    // What happens while one waits is one with what one waits for.
    Stream.merge(
      Stream.mapEffect(events, () => Effect.sleep(debounce)),
      pollEvery === undefined ? Stream.empty : Stream.tick(pollEvery)
    )
  )
}
