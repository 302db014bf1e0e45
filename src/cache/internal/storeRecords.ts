/**
 * A cache in records that some home keeps by name: values, the generations of tags, and marks of keys that were removed.
 *
 * - `v:<key>`: `{ g, v }`, a value and what it was begun under.
 * - `r:<key>`: `{ g }`, an id, where the key was removed, since somebody may still be making a value that was begun before.
 * - `g` and `g:<tag>`: `{ g }`, the generation of everything and that of a tag.
 *
 * One rule makes this right without locks: a generation is only ever replaced by a fresh random id, whoever writes it and for whatever
 * reason. So every such write can only make values unfindable, never findable again, and no order of reads and writes, and no loss of a
 * record, brings back what was invalidated. A look-up that finds no generation writes one before it says that nothing was found.
 *
 * Marks of removed keys cannot be so, since a key that was never removed shall cost no record: one that is lost hides nothing any more. They
 * are kept for longer than any value.
 */
import type { NonEmptyArray } from "effect/Array"
import { uuidV4Unsafe } from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { recordName } from "./recordName.ts"
import { CacheStore, CacheStoreError, type Found, isValue } from "./store.ts"

/** A record, `undefined` where there is none, and `null` where there is something that is no JSON. */
export type Read = Schema.JsonObject | null | undefined

/** What was parsed, as a record. What is no object has nothing that a record has. */
export const recordOf = (parsed: unknown): Schema.JsonObject =>
  // It comes from JSON.
  isValue(parsed as Schema.Json) ? parsed as Schema.JsonObject : {}

/** What a home does. Times to live are in whole, positive milliseconds; `undefined` is for ever. */
export interface Records {
  /** Reads several at once, in their order. */
  readonly read: (names: NonEmptyArray<string>) => Effect.Effect<ReadonlyArray<Read>, unknown>
  readonly write: (
    name: string,
    record: Schema.JsonObject,
    millis: number | undefined
  ) => Effect.Effect<unknown, unknown>
  /**
   * Writes a record where none is, and says which one is there in the end. A home that cannot do both at once may replace what is there:
   * what was begun under it is lost then, and nothing else.
   */
  readonly establish: (
    name: string,
    record: Schema.JsonObject,
    millis: number | undefined
  ) => Effect.Effect<Read, unknown>
  readonly remove: (name: string) => Effect.Effect<unknown, unknown>
  readonly clear: Effect.Effect<unknown, unknown>
}

/** Leases, wherever they are. */
export interface LeaseHome {
  readonly lease: (name: string, holder: string, millis: number) => Effect.Effect<boolean, unknown>
  readonly release: (name: string, holder: string) => Effect.Effect<unknown, unknown>
}

/** Generations are forgotten in the end, so that tags nobody uses any more do not stay. Whoever uses one then has misses, once. */
const generationMillis = Duration.toMillis(Duration.days(400))

const mostMillis = generationMillis

/** A value may be written for some time after the mark, and is kept as long as it may. */
const markMillis = Duration.toMillis(Duration.days(402))

const everything = "g"

export const makeStore = (records: Records, leases: LeaseHome): CacheStore["Service"] => {
  /** Says which id stands for a generation that is missing or broken. */
  const establish = (name: string, broken: boolean): Effect.Effect<string, unknown> =>
    Effect.suspend(() => {
      const record = fresh()
      const millis = name === everything ? undefined : generationMillis
      const replace = Effect.as(records.write(name, record, millis), record.g)
      return broken ? replace : Effect.flatMap(records.establish(name, record, millis), (there) => {
        const id = idOf(there)
        return id === undefined ? replace : Effect.succeed(id)
      })
    })

  const write = (name: string, record: Schema.JsonObject, millis: number | undefined) =>
    Effect.asVoid(records.write(name, record, millis))

  return CacheStore.of({
    lookup: (key, tags) =>
      ask(
        "lookup",
        Effect.gen(function*() {
          const value = yield* recordName("v", key)
          const mark = yield* recordName("r", key)
          const generations = [everything]
          for (const tag of new Set(tags)) generations.push(yield* recordName("g", tag))
          generations.sort()
          const [found, marked, ...known] = yield* records.read([value, mark, ...generations])
          const ids = yield* Effect.forEach(generations, (name, n) => {
            const id = idOf(known[n])
            return id === undefined ? establish(name, known[n] !== undefined) : Effect.succeed(id)
          })
          return foundOf(found, ids.join("."), idOf(marked))
        })
      ),
    write: (key, value, { generation, timeToLive }) =>
      ask(
        "write",
        Duration.toMillis(timeToLive) > 0
          ? Effect.flatMap(
            recordName("v", key),
            (name) => write(name, { g: generation, v: value }, wholeMillis(timeToLive))
          )
          : Effect.void
      ),
    remove: (key) =>
      ask(
        "remove",
        Effect.gen(function*() {
          // First the mark: whoever dies in between has hidden the value all the same.
          yield* write(yield* recordName("r", key), fresh(), markMillis)
          yield* records.remove(yield* recordName("v", key))
        })
      ),
    invalidate: (tag) =>
      ask("invalidate", Effect.flatMap(recordName("g", tag), (name) => write(name, fresh(), generationMillis))),
    clear: ask(
      "clear",
      // First the generation: from then on nothing is found, however long it takes to sweep.
      Effect.asVoid(Effect.andThen(Effect.suspend(() => write(everything, fresh(), undefined)), records.clear))
    ),
    lease: (key, holder, duration) =>
      ask("lease", Effect.flatMap(recordName("l", key), (name) => leases.lease(name, holder, wholeMillis(duration)))),
    release: (key, holder) =>
      ask("release", Effect.asVoid(Effect.flatMap(recordName("l", key), (name) => leases.release(name, holder)))),
    statistics: Effect.succeed({})
  })
}

const ask = <A>(
  operation: CacheStoreError["operation"],
  step: Effect.Effect<A, unknown>
): Effect.Effect<A, CacheStoreError> => Effect.mapError(step, (cause) => new CacheStoreError({ operation, cause }))

/** Chance for once not from `Random`: a seed that is used twice would make an id twice, and bring back what is invalid. */
const fresh = (): { readonly g: string } => ({ g: uuidV4Unsafe() })

const idOf = (record: Read): string | undefined => {
  const id = record?.["g"]
  return typeof id === "string" && id !== "" ? id : undefined
}

/** What it was begun under is the generations and, where the key was removed before, the mark. */
const foundOf = (record: Read, generations: string, mark: string | undefined): Found => {
  const generation = mark === undefined ? generations : `${generations}/${mark}`
  if (record === undefined) return { value: undefined, generation }
  if (record === null) return { value: undefined, generation, unreadable: "notJson" }
  const { g, v } = record
  if (typeof g !== "string" || !isValue(v)) return { value: undefined, generation, unreadable: "malformed" }
  // Where a mark is over, those that were written under it are none the worse.
  const valid = mark === undefined ? g.split("/", 1)[0] === generations : g === generation
  return { value: valid ? v : undefined, generation }
}

const wholeMillis = (duration: Duration.Duration): number =>
  Math.max(1, Math.min(Math.ceil(Duration.toMillis(duration)), mostMillis))
