/**
 * The rule of generations, under many who look up, write, remove, invalidate and clear at once, while records are lost: what was made invalid
 * after a value was begun, and before a look-up, is not found by it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { CacheStoreError } from "../../src/cache/CacheStore.ts"
import { makeLeases } from "../../src/cache/internal/storePersistence.ts"
import { makeStore, type Read, type Records } from "../../src/cache/internal/storeRecords.ts"
import { dice } from "./support/dice.ts"
import { alone, type Home, minute, open, shared, type Store, vandalOf } from "./support/homes.ts"

const sequences = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 30)

/** Records in a map, with some turns of the scheduler before and after each step, and now and then one that is lost. */
const makeShaky = (seed: number, options: { readonly atomic: boolean; readonly loses: boolean }): Store => {
  const { below, chance } = dice(seed + 1_000_000)
  const records = new Map<string, Read>()
  const shaky = <A>(step: () => A) =>
    Effect.gen(function*() {
      for (let n = below(4); n > 0; n--) yield* Effect.yieldNow
      if (options.loses && chance(0.1)) {
        const generations = [...records.keys()].filter((name) => name.startsWith("g"))
        if (generations.length > 0) {
          const name = generations[below(generations.length)]!
          if (chance(0.7)) records.delete(name)
          else records.set(name, chance(0.5) ? {} : null)
        }
      }
      const answer = step()
      for (let n = below(4); n > 0; n--) yield* Effect.yieldNow
      return answer
    })
  const home: Records = {
    // One after the other: no home says that it reads all of them at one moment.
    read: (names) => Effect.forEach(names, (name) => shaky(() => records.get(name))),
    write: (name, record) => shaky(() => void records.set(name, record)),
    establish: (name, record) =>
      options.atomic
        ? shaky(() => {
          if (!records.has(name)) records.set(name, record)
          return records.get(name)
        })
        : Effect.flatMap(
          shaky(() => records.get(name)),
          (there): Effect.Effect<Read> =>
            there === undefined
              ? Effect.andThen(shaky(() => void records.set(name, record)), shaky(() => records.get(name)))
              : Effect.succeed(there)
        ),
    remove: (name) => shaky(() => void records.delete(name)),
    clear: shaky(() => {
      for (const name of records.keys()) if (!name.startsWith("r")) records.delete(name)
    })
  }
  return makeStore(home, makeLeases())
}

interface Scale {
  readonly steps: number
  readonly fibers: number
  /** How many turns of the scheduler an answer takes at most. */
  readonly patience: number
}

interface Step {
  readonly from: number
  readonly to: number
}

const tags: Record<string, ReadonlyArray<string>> = { a: ["x"], b: ["x", "y"], c: ["y", "z"], d: [] }

const tagsOf = (key: string) => tags[key]!

/** Runs a sequence and says how many hits there were, and how many values that were made invalid while they were made. */
const run = (seed: number, store: Store, { fibers, patience, steps }: Scale) =>
  Effect.gen(function*() {
    let time = 0
    let [hits, late] = [0, 0]
    const begun = new Map<number, Step & { readonly key: string }>()
    const invalid: Array<Step & { readonly hits: (key: string) => boolean; readonly what: string }> = []
    const step = <A>(effect: Effect.Effect<A, CacheStoreError>) =>
      Effect.gen(function*() {
        const from = ++time
        const answer = yield* effect
        return { answer, from, to: ++time }
      })
    const fiber = (which: number) =>
      Effect.gen(function*() {
        const { below, chance } = dice(seed * 31 + which)
        const pause = Effect.gen(function*() {
          for (let n = below(8); n > 0; n--) yield* Effect.yieldNow
        })
        for (let n = 0; n < steps; n++) {
          yield* pause
          const key = "abcd"[below(4)]!
          const tag = "xyz"[below(3)]!
          if (chance(0.2)) {
            const [effect, hits, what] = chance(0.6)
              ? [store.invalidate(tag), (key: string) => tagsOf(key).includes(tag), `tag ${tag}`] as const
              : chance(0.8)
              ? [store.remove(key), (other: string) => other === key, `key ${key}`] as const
              : [store.clear, () => true, "everything"] as const
            const { from, to } = yield* step(effect)
            invalid.push({ from, to, hits, what })
            continue
          }
          const { answer: found, from, to } = yield* step(store.lookup(key, tagsOf(key)))
          const id = found.value?.["id"]
          if (typeof id === "number") {
            hits++
            const value = begun.get(id)!
            assert.strictEqual(value.key, key)
            const between = invalid.find((one) => one.hits(key) && one.from > value.to && one.to < from)
            assert.isUndefined(between, `seed ${seed}: ${key} was begun before ${between?.what} was made invalid`)
          }
          if (id === undefined || chance(0.3)) {
            const id = begun.size
            begun.set(id, { from, to, key })
            // It takes its time, in which the others do something.
            const until = time + below(12)
            for (let n = 0; n < patience && time < until; n++) yield* Effect.yieldNow
            if (invalid.some((one) => one.hits(key) && one.from > to)) late++
            yield* store.write(key, { id }, { generation: found.generation, timeToLive: minute })
          }
        }
      })
    yield* Effect.forEach(Array.from({ length: fibers }, (_, n) => n), fiber, {
      concurrency: "unbounded",
      discard: true
    })
    return { hits, late }
  })

const check = (
  count: number,
  make: (seed: number) => Effect.Effect<Store, never, Scope.Scope>,
  scale: Scale
) =>
  Effect.gen(function*() {
    let [hits, late] = [0, 0]
    for (let seed = 0; seed < count; seed++) {
      const ran = yield* Effect.scoped(Effect.flatMap(make(seed), (store) => run(seed, store, scale)))
      hits += ran.hits
      late += ran.late
    }
    // A test of nothing is none.
    assert.isAbove(hits, count / 2)
    assert.isAbove(late, count / 2)
  })

describe("generations of a cache", () => {
  for (const atomic of [true, false]) {
    for (const loses of [true, false]) {
      it.effect(
        `bring nothing back: records that are ${atomic ? "established in one step" : "established in several"}${
          loses ? ", and are lost" : ""
        } (${sequences} sequences)`,
        () =>
          check(sequences, (seed) => Effect.sync(() => makeShaky(seed, { atomic, loses })), {
            steps: 25,
            fibers: 4,
            patience: 60
          }),
        600_000
      )
    }
  }

  const realHome = (home: Home) => {
    const count = Math.max(1, Math.ceil(sequences * home.share))
    home.describe(`of ${home.name}`, () => {
      it.effect(
        `bring nothing back (${count} sequences)`,
        () =>
          check(count, () => Effect.flatMap(home.place, open), {
            steps: 20,
            fibers: 4,
            patience: home.share < 0.2 ? 2_000 : 60
          }),
        600_000
      )
    })
  }
  for (const home of [...alone, ...shared]) realHome(home)

  for (const home of shared) {
    home.describe(`of ${home.name}, with several clients`, () => {
      it.effect("bring nothing back while records are lost", () =>
        Effect.gen(function*() {
          const place = yield* home.place
          const [one, two, vandal] = yield* Effect.all([open(place), open(place), vandalOf(place)])
          let n = 0
          // Each step by another client, and some of them while records are lost.
          const either = <A>(step: (store: Store) => Effect.Effect<A, CacheStoreError>) =>
            Effect.suspend(() => {
              const asked = step(++n % 2 === 0 ? one : two)
              return n % 25 > 0 ? asked : Effect.map(
                Effect.all([asked, Effect.orDie(vandal.lose("g"))], { concurrency: "unbounded" }),
                ([answer]) => answer
              )
            })
          const store: Store = {
            ...one,
            lookup: (...args) => either((store) => store.lookup(...args)),
            write: (...args) => either((store) => store.write(...args)),
            remove: (...args) => either((store) => store.remove(...args)),
            invalidate: (...args) => either((store) => store.invalidate(...args)),
            clear: either((store) => store.clear)
          }
          const { hits } = yield* run(1, store, { steps: 60, fibers: 4, patience: 2_000 })
          assert.isAbove(hits, 0)
        }), 60_000)
    })
  }
})
