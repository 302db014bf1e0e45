/**
 * Records of a cache in any of Effect's backing stores.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { BackingPersistenceStore } from "effect/persistence/Persistence"
import type * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { Leases } from "./leases.ts"
import { type LeaseHome, type Read, recordOf, type Records } from "./storeRecords.ts"

export const makeRecords = (backing: BackingPersistenceStore): Records => {
  const write = (name: string, record: Schema.JsonObject, millis: number | undefined) =>
    backing.set(name, record, millis === undefined ? undefined : Duration.millis(millis))
  // Not `get`, which fails where there is no JSON.
  const read = (name: string) => Effect.map(backing.getMany([name]), ([found]) => readOf(found))
  const alone = Semaphore.makeUnsafe(1).withPermits(1)
  return {
    read: (names) => Effect.map(backing.getMany(names), (found) => found.map(readOf)),
    write,
    // Within a process nobody replaces what another has just written, and of two processes the one that comes first mostly sees it.
    establish: (name, record, millis) =>
      alone(
        Effect.filterOrElse(
          read(name),
          (there) => there !== undefined,
          () => Effect.andThen(write(name, record, millis), read(name))
        )
      ),
    remove: backing.remove,
    clear: backing.clear
  }
}

const readOf = (found: object | undefined): Read => found === undefined ? undefined : recordOf(found)

/** Leases of this process. */
export const makeLeases = (): LeaseHome => {
  const leases = new Leases()
  return {
    lease: (name, holder, millis) =>
      Effect.clockWith((clock) => Effect.succeed(leases.lease(name, holder, clock.currentTimeMillisUnsafe(), millis))),
    release: (name, holder) => Effect.sync(() => leases.release(name, holder))
  }
}
