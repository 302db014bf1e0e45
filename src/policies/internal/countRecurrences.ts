/**
 * How often a schedule recurs, found by running it dry: no time is spent between its delays, so that a limit on the
 * elapsed time counts for as much as it can.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"

// Whoever retries more often than this has no bound worth naming.
const most = 1_000

// Where a schedule looks at the error and its maker knows the bound all the same.
const known = new WeakMap<object, number>()

/** Makes the number of times that a schedule recurs known. */
export const setRecurrences = (schedule: Schedule.Schedule<unknown>, times: number): void => {
  known.set(schedule, times)
}

/**
 * The number of times a schedule recurs; `Infinity` where there is no bound, or where it depends on what only a real call
 * has: the error, or a service.
 */
export const countRecurrences = <Output, Input, Error, Services>(
  schedule: Schedule.Schedule<Output, Input, Error, Services>
): number => {
  const times = known.get(schedule)
  if (times !== undefined) return times
  let inputSeen = false
  // Stands in for the error: a schedule that looks at it cannot be counted without one.
  const input = new Proxy({}, {
    get: () => {
      inputSeen = true
      return undefined
    },
    has: () => {
      inputSeen = true
      return false
    },
    getPrototypeOf: () => {
      inputSeen = true
      return null
    },
    ownKeys: () => {
      inputSeen = true
      return []
    },
    getOwnPropertyDescriptor: () => {
      inputSeen = true
      return undefined
    }
  }) as Input
  const count = Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    let now = 0
    for (let times = 0; times < most; times++) {
      const delay = yield* Pull.matchEffect(step(now, input), {
        onSuccess: ([, delay]): Effect.Effect<Duration.Duration | void> => Effect.succeed(delay),
        onDone: () => Effect.void,
        onFailure: Effect.failCause
      })
      if (!Duration.isDuration(delay)) return times
      now += Duration.toMillis(delay)
    }
    return Infinity
  })
  // A service that is missing here ends it with a defect, which is read as "cannot be told".
  const exit = Effect.runSyncExit(count as Effect.Effect<number, Error>)
  return inputSeen || Exit.isFailure(exit) ? Infinity : exit.value
}
