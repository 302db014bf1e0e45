/**
 * A cache in memory: its bounds, against a naive model, and what it shares.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as CacheStore from "../../src/cache/CacheStore.ts"
import { jsonBytes } from "../../src/cache/internal/jsonSize.ts"
import { dice } from "./support/dice.ts"
import { get, put } from "./support/homes.ts"

const sequences = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 60)

const withStore = <A, E>(
  options: CacheStore.MemoryOptions,
  body: (store: CacheStore.CacheStore["Service"]) => Effect.Effect<A, E>
) => Effect.provide(Effect.flatMap(CacheStore.CacheStore, body), CacheStore.layerMemory(options))

/** What is kept, the one that was not used for the longest time first. */
class Model {
  readonly maxEntries: number
  readonly maxBytes: number
  entries: Array<{ readonly key: string; readonly n: number; readonly bytes: number; readonly expires: number }> = []
  evictions = 0

  constructor(options: { readonly maxEntries: number; readonly maxBytes: number }) {
    this.maxEntries = options.maxEntries
    this.maxBytes = options.maxBytes
  }

  bytes() {
    return this.entries.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  take(key: string) {
    const found = this.entries.find((entry) => entry.key === key)
    this.entries = this.entries.filter((entry) => entry !== found)
    return found
  }

  lookup(key: string, now: number) {
    const found = this.take(key)
    if (found === undefined || found.expires <= now) return undefined
    this.entries.push(found)
    return found.n
  }

  write(key: string, n: number, bytes: number, expires: number) {
    this.take(key)
    if (bytes > this.maxBytes) {
      this.evictions++
      return
    }
    this.entries.push({ key, n, bytes, expires })
    while (this.entries.length > this.maxEntries || this.bytes() > this.maxBytes) {
      this.entries.shift()
      this.evictions++
    }
  }
}

describe("a cache in memory", () => {
  it.effect(`keeps what was used last, within its bounds (${sequences} sequences)`, () =>
    Effect.gen(function*() {
      let [hits, misses, evictions, over] = [0, 0, 0, 0]
      for (let seed = 0; seed < sequences; seed++) {
        const { below, chance } = dice(seed)
        const bounds = { maxEntries: 1 + below(8), maxBytes: 500 + below(4_000) }
        const model = new Model(bounds)
        yield* withStore(bounds, (store) =>
          Effect.gen(function*() {
            let now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            // The generation of all keys: no tag is invalidated, and no key is removed.
            const { generation } = yield* store.lookup("none", [])
            for (let n = 0; n < 200; n++) {
              const key = `key ${below(10)}`
              if (chance(0.1)) {
                const passed = below(40)
                now += passed
                yield* TestClock.adjust(passed)
              } else if (chance(0.5)) {
                const found = (yield* store.lookup(key, [])).value
                const expected = model.lookup(key, now)
                assert.strictEqual(found?.["n"], expected, `seed ${seed}, step ${n}`)
                if (expected === undefined) misses++
                else hits++
              } else {
                const value = { n, text: "x".repeat(below(900)) }
                const timeToLive = 1 + below(100)
                const alone = yield* withStore({}, (store) =>
                  Effect.gen(function*() {
                    const { generation } = yield* store.lookup(key, [])
                    yield* store.write(key, value, { generation, timeToLive: Duration.minutes(1) })
                    return (yield* store.statistics).bytes!
                  }))
                if (alone > bounds.maxBytes) over++
                yield* store.write(key, value, { generation, timeToLive: Duration.millis(timeToLive) })
                model.write(key, n, alone, now + timeToLive)
              }
              assert.deepStrictEqual(yield* store.statistics, {
                entries: model.entries.length,
                bytes: model.bytes(),
                evictions: model.evictions
              })
              assert.isAtMost(model.bytes(), bounds.maxBytes)
            }
            evictions += model.evictions
          }))
      }
      // A test of nothing is none.
      for (const count of [hits, misses, evictions, over]) assert.isAbove(count, sequences)
    }), 600_000)

  it.effect("hands out the very value that it was given", () =>
    withStore({}, (store) =>
      Effect.gen(function*() {
        const value = Object.freeze({ n: 1 })
        yield* put(store, "a", value, ["x"])
        assert.strictEqual(yield* get(store, "a", ["x"]), value)
      })))

  it.effect("does not keep generations of tags that nobody uses any more", () =>
    withStore({}, (store) =>
      Effect.gen(function*() {
        for (let hour = 0; hour < 5; hour++) {
          for (let n = 0; n < 1_000; n++) yield* store.lookup("a", [`tag ${hour}/${n}`])
          yield* TestClock.adjust("2 hours")
        }
        // Seen from outside: what is old has another generation than it had, and what is young has not.
        const first = yield* store.lookup("a", ["tag 0/0"])
        yield* put(store, "b", { n: 1 }, ["young"])
        for (let n = 0; n < 5_000; n++) yield* store.lookup("a", [`other ${n}`])
        assert.notStrictEqual((yield* store.lookup("a", ["tag 0/0"])).generation, "0.1")
        assert.strictEqual((yield* store.lookup("a", ["tag 0/0"])).generation, first.generation)
        assert.deepStrictEqual(yield* get(store, "b", ["young"]), { n: 1 })
      })))

  it.effect("does not keep leases that nobody gave back", () =>
    withStore({}, (store) =>
      Effect.gen(function*() {
        for (let n = 0; n < 5_000; n++) {
          assert.isTrue(yield* store.lease(`${n}`, "dead", Duration.seconds(1)))
          if (n % 1_000 === 0) yield* TestClock.adjust("2 seconds")
        }
        assert.isTrue(yield* store.lease("0", "other", Duration.seconds(1)))
      })))

  it.each([["maxEntries", 0], ["maxEntries", 1.5], ["maxEntries", -1], ["maxBytes", NaN], ["maxBytes", Infinity]])(
    "refuses %s of %s",
    (name, value) => {
      assert.throws(
        () => CacheStore.layerMemory({ [name]: value }),
        RangeError,
        `\`${name}\` must be a positive integer`
      )
    }
  )

  it("knows about how large a value is", () => {
    const latin = "x".repeat(1_000)
    assert.isAbove(jsonBytes({ latin }), 1_000)
    assert.isBelow(jsonBytes({ latin }), 1_100)
    assert.isAbove(jsonBytes({ wide: "漢".repeat(1_000) }), 2_000)
    assert.isAbove(jsonBytes([[1, 2, 3], { a: null, b: true, c: 1.5 }]), 100)
  })
})

describe("options of cache stores", () => {
  it.each(["", "A", "1a", "a-b", "a".repeat(41), "a\""])("refuses the SQL prefix %s", (prefix) => {
    assert.throws(() => CacheStore.layerSql({ prefix }), RangeError, "`prefix` must be")
  })

  it.each(["", "}a"])("refuses the Redis prefix %s", (prefix) => {
    assert.throws(() => CacheStore.layerRedis({ prefix }), RangeError, "`prefix` must not be")
  })
})
