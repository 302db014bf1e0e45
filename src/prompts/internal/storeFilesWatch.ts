/**
 * Watching a folder of prompts.
 *
 * Each folder is watched for itself: Node's recursive watching on Linux hears nothing any more of a file in whose place another one was
 * renamed (seen with Node 24).
 */
import * as Cause from "effect/Cause"
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

/** How often to look whether the folders are still those that are watched. */
const lookEvery = Duration.seconds(1)

const timeOf = (time: Option.Option<Date>): number | undefined => Option.getOrUndefined(time)?.getTime()

/** At once; and whenever something happens in the folder, which may come later, or go and come again. */
export const watch = (
  { directory, fs, path }: Root,
  { debounce, pollEvery }: WatchSettings
): Stream.Stream<void> => {
  const identify = (folder: string) =>
    Effect.match(fs.stat(folder), {
      onFailure: () => `${folder} is nothing`,
      // The number of one that is gone may be that of the next one, so times count as well.
      onSuccess: ({ birthtime, dev, ino, mtime }) =>
        [folder, dev, Option.getOrUndefined(ino), timeOf(birthtime), timeOf(mtime)].join(" ")
    })
  const folders = Effect.match(fs.readDirectoryEntries(directory), {
    onFailure: () => [directory],
    onSuccess: (entries) => [
      directory,
      ...entries
        .filter(({ name, type }) => !name.startsWith(".") && (type === "Directory" || type === "SymbolicLink"))
        .map(({ name }) => path.join(directory, name))
    ]
  })
  const identity = Effect.flatMap(folders, (folders) =>
    Effect.map(
      Effect.forEach(folders, identify, { concurrency: 16 }),
      (identities) => identities.join("\n")
    ))
  const events = Stream.callback<void>((queue) => {
    const signal = () => void Queue.offerUnsafe(queue, undefined)
    const hear = (folder: string) =>
      fs.watch(folder, { onReady: signal }).pipe(
        Stream.runForEach(() => Effect.sync(signal)),
        // Where it cannot be watched, or no longer: what changes the folders is seen all the same. Node throws where a folder has just gone
        // away, or the system gives no more watchers, and the file system takes that for a defect.
        Effect.catchCause((cause) => Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.void),
        Effect.andThen(Effect.never)
      )
    const once = Effect.gen(function*() {
      const watched = yield* identity
      yield* Effect.forEach(yield* folders, hear, { concurrency: "unbounded", discard: true }).pipe(
        Effect.raceFirst(
          Effect.repeat(Effect.andThen(Effect.sleep(lookEvery), identity), { until: (now) => now !== watched })
        )
      )
      // What has happened meanwhile was not heard.
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
