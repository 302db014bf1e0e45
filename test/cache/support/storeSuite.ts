/**
 * What every home of a cache has to do.
 */
import { assert } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { get, type Home, minute, open, pass, put, test as testOf, vandalOf } from "./homes.ts"

/** Texts that some home might not like, or take for another one. */
const texts = [
  "",
  "a",
  "A",
  "a:b",
  "g",
  "g:a",
  "%",
  "%25",
  "%\"a\"",
  "#",
  "a b\n",
  "*",
  "a?[b]\\",
  "é",
  "e\u0301",
  "漢字",
  "🙂",
  "\u0000",
  "a\u0000",
  "\ud83d",
  "\ude42",
  "\ufffd",
  "__proto__",
  "constructor",
  "'; DROP TABLE effect_persistence; --",
  "{a}",
  "x".repeat(200),
  "x".repeat(201),
  "x".repeat(10_000),
  "y".repeat(10_000),
  "\ud83d".repeat(10_000)
]

export const suite = (home: Home): void => {
  const test = testOf(home)

  home.describe(`a cache store: ${home.name}`, () => {
    test("finds what was written, until something else is", (store) =>
      Effect.gen(function*() {
        assert.isUndefined(yield* get(store, "a"))
        yield* put(store, "a", { answer: 42 })
        assert.deepStrictEqual(yield* get(store, "a"), { answer: 42 })
        assert.isUndefined(yield* get(store, "b"))
        yield* put(store, "a", { answer: 43 })
        assert.deepStrictEqual(yield* get(store, "a"), { answer: 43 })
      }))

    test("keeps any JSON as it is", (store) =>
      Effect.gen(function*() {
        const value = {
          texts,
          numbers: [0, -1, 1.5, 1e300, Number.MAX_SAFE_INTEGER],
          nothing: null,
          yes: true,
          nested: { "": [[], {}, [{ "\u0000": "\ud83d" }]] },
          long: "é".repeat(1_000_000)
        }
        yield* put(store, "a", value)
        assert.deepStrictEqual(yield* get(store, "a"), value)
      }))

    test("takes keys and tags of any kind, and takes none for another", (store) =>
      Effect.gen(function*() {
        for (const [n, key] of texts.entries()) yield* put(store, key, { n }, texts)
        for (const [n, key] of texts.entries()) assert.deepStrictEqual(yield* get(store, key, texts), { n }, key)

        for (const [n, tag] of texts.entries()) yield* put(store, `of ${n}`, { n }, [tag])
        for (const [n, tag] of texts.entries()) {
          yield* store.invalidate(tag)
          assert.isUndefined(yield* get(store, `of ${n}`, [tag]))
          if (n + 1 < texts.length) {
            assert.deepStrictEqual(yield* get(store, `of ${n + 1}`, [texts[n + 1]!]), { n: n + 1 }, texts[n + 1])
          }
        }
      }))

    test("finds a value under the tags that it was looked up with, in any order", (store) =>
      Effect.gen(function*() {
        yield* put(store, "a", { n: 1 }, ["x", "y", "x"])
        assert.deepStrictEqual(yield* get(store, "a", ["y", "x"]), { n: 1 })
        for (const tags of [[], ["x"], ["x", "z"], ["x", "y", "z"], ["xy"]]) {
          yield* put(store, "a", { n: 2 }, ["x", "y"])
          assert.isUndefined(yield* get(store, "a", tags), tags.join())
        }
      }))

    test("finds nothing with a tag that was invalidated since, and everything else", (store) =>
      Effect.gen(function*() {
        yield* put(store, "a", { n: 1 }, ["x"])
        yield* put(store, "b", { n: 2 }, ["x", "y"])
        yield* put(store, "c", { n: 3 }, ["y"])
        yield* put(store, "d", { n: 4 })
        yield* store.invalidate("x")
        assert.isUndefined(yield* get(store, "a", ["x"]))
        assert.isUndefined(yield* get(store, "b", ["x", "y"]))
        assert.deepStrictEqual(yield* get(store, "c", ["y"]), { n: 3 })
        assert.deepStrictEqual(yield* get(store, "d"), { n: 4 })
        yield* put(store, "a", { n: 5 }, ["x"])
        assert.deepStrictEqual(yield* get(store, "a", ["x"]), { n: 5 })
        // One that was never used.
        yield* store.invalidate("z")
        yield* put(store, "e", { n: 6 }, ["z"])
        assert.deepStrictEqual(yield* get(store, "e", ["z"]), { n: 6 })
      }))

    test("does not find what was begun before it was made invalid, however late it is written", (store) =>
      Effect.gen(function*() {
        for (
          const [how, invalidate] of [
            ["one of its tags", store.invalidate("y")],
            ["its key", store.remove("a")],
            ["everything", store.clear]
          ] as const
        ) {
          const before = yield* store.lookup("a", ["x", "y"])
          yield* invalidate
          const old = store.write("a", { old: how }, { generation: before.generation, timeToLive: minute })
          yield* old
          assert.isUndefined(yield* get(store, "a", ["x", "y"]), how)
          const after = yield* store.lookup("a", ["x", "y"])
          yield* store.write("a", { new: how }, { generation: after.generation, timeToLive: minute })
          assert.deepStrictEqual(yield* get(store, "a", ["x", "y"]), { new: how })
          yield* old
          assert.isUndefined(yield* get(store, "a", ["x", "y"]), how)
        }
      }))

    test("forgets a key that is removed, and no other", (store) =>
      Effect.gen(function*() {
        yield* put(store, "a", { n: 1 })
        yield* put(store, "b", { n: 2 })
        yield* store.remove("a")
        yield* store.remove("a")
        yield* store.remove("c")
        assert.isUndefined(yield* get(store, "a"))
        assert.deepStrictEqual(yield* get(store, "b"), { n: 2 })
        yield* put(store, "a", { n: 3 })
        assert.deepStrictEqual(yield* get(store, "a"), { n: 3 })
      }))

    test("forgets everything when it is cleared, and goes on", (store) =>
      Effect.gen(function*() {
        for (let n = 0; n < 20; n++) yield* put(store, `${n}`, { n }, [`tag ${n % 3}`])
        yield* store.clear
        for (let n = 0; n < 20; n++) assert.isUndefined(yield* get(store, `${n}`, [`tag ${n % 3}`]))
        yield* put(store, "1", { n: 1 }, ["tag 1"])
        assert.deepStrictEqual(yield* get(store, "1", ["tag 1"]), { n: 1 })
        yield* store.clear
        yield* store.clear
      }))

    test("forgets what is over, to the millisecond where the clock is ours", (store) =>
      Effect.gen(function*() {
        yield* put(store, "short", { n: 1 }, [], Duration.millis(150))
        yield* put(store, "long", { n: 2 }, [], Duration.hours(1))
        yield* put(store, "ever", { n: 3 }, [], Duration.infinity)
        yield* put(store, "never", { n: 4 }, [], Duration.zero)
        yield* put(store, "gone", { n: 5 }, [], Duration.negate(minute))
        yield* put(store, "kept", { n: 6 })
        yield* put(store, "kept", { n: 7 }, [], Duration.zero)
        yield* put(store, "blink", { n: 8 }, [], Duration.micros(1n))
        if (home.clock === "test") {
          yield* pass(home, 149)
          assert.deepStrictEqual(yield* get(store, "short"), { n: 1 })
          yield* pass(home, 1)
          assert.isUndefined(yield* get(store, "short"))
          yield* pass(home, 1)
        } else yield* pass(home, 250)
        assert.isUndefined(yield* get(store, "short"))
        assert.isUndefined(yield* get(store, "blink"))
        assert.deepStrictEqual(yield* get(store, "long"), { n: 2 })
        assert.deepStrictEqual(yield* get(store, "ever"), { n: 3 })
        assert.isUndefined(yield* get(store, "never"))
        assert.isUndefined(yield* get(store, "gone"))
        // It writes nothing: what is there stays.
        assert.deepStrictEqual(yield* get(store, "kept"), { n: 6 })
      }))

    // Where time passes for nobody else.
    if (["memory", "a backing store in memory"].includes(home.name)) {
      test("does not bring back with time what was made invalid", (store) =>
        Effect.gen(function*() {
          for (const key of ["a", "b"]) {
            const { generation } = yield* store.lookup(key, ["x"])
            yield* (key === "a" ? store.remove("a") : store.invalidate("x"))
            yield* store.write(key, { old: true }, { generation, timeToLive: Duration.infinity })
          }
          for (let month = 0; month < 20; month++) {
            yield* pass(home, "30 days")
            assert.isUndefined(yield* get(store, "a", ["x"]))
            // Many others come and go, so that what is old is swept away.
            for (let n = 0; n < 60; n++) yield* store.invalidate(`${month}/${n}`)
          }
          assert.isUndefined(yield* get(store, "b", ["x"]))
        }))
    }

    test("leases a key to one holder at a time", (store) =>
      Effect.gen(function*() {
        assert.isTrue(yield* store.lease("a", "one", minute))
        assert.isFalse(yield* store.lease("a", "two", minute))
        assert.isTrue(yield* store.lease("b", "two", minute))
        assert.isTrue(yield* store.lease("a", "one", minute))
        yield* store.release("a", "two")
        yield* store.release("c", "two")
        assert.isFalse(yield* store.lease("a", "two", minute))
        // It has nothing to do with values.
        yield* put(store, "a", { n: 1 })
        yield* store.remove("a")
        yield* store.clear
        assert.isFalse(yield* store.lease("a", "two", minute))
        yield* store.release("a", "one")
        yield* store.release("a", "one")
        assert.isTrue(yield* store.lease("a", "two", minute))
      }))

    test("leases a key anew when the time is over", (store) =>
      Effect.gen(function*() {
        assert.isTrue(yield* store.lease("a", "one", Duration.millis(150)))
        if (home.clock === "test") {
          yield* pass(home, 149)
          assert.isFalse(yield* store.lease("a", "two", minute))
          yield* pass(home, 1)
        } else yield* pass(home, 250)
        assert.isTrue(yield* store.lease("a", "two", minute))
        assert.isFalse(yield* store.lease("a", "one", minute))
        // One that has lost it gives back nothing.
        yield* store.release("a", "one")
        assert.isFalse(yield* store.lease("a", "one", minute))
        // The holder may prolong it.
        assert.isTrue(yield* store.lease("b", "one", Duration.millis(100)))
        assert.isTrue(yield* store.lease("b", "one", minute))
        yield* pass(home, 200)
        assert.isFalse(yield* store.lease("b", "two", minute))
      }))

    test("gives one of many who ask at once the lease", (store) =>
      Effect.gen(function*() {
        for (let round = 0; round < 5; round++) {
          const leased = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, n) => `${n}`),
            (holder) => store.lease(`key ${round}`, holder, minute),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(leased.filter(Boolean).length, 1)
        }
      }))

    test("says the same generation to many who look up a new tag at once", (store) =>
      Effect.gen(function*() {
        const found = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          () => store.lookup("a", ["x", "y"]),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(found.map(({ generation }) => generation)).size, 1)
      }))

    test("tells what it knows of itself", (store) =>
      Effect.gen(function*() {
        for (const count of Object.values(yield* store.statistics)) assert.strictEqual(count, 0)
      }))
  })
}

/** What a home does besides that processes share. */
export const sharedSuite = (home: Home): void => {
  const test = testOf(home)

  home.describe(`a cache store that is shared: ${home.name}`, () => {
    test("shows what others write, and hides what others make invalid", (store, place) =>
      Effect.gen(function*() {
        const other = yield* open(place)
        yield* put(store, "a", { n: 1 }, ["x"])
        assert.deepStrictEqual(yield* get(other, "a", ["x"]), { n: 1 })
        const { generation } = yield* store.lookup("a", ["x"])
        yield* other.invalidate("x")
        assert.isUndefined(yield* get(store, "a", ["x"]))
        yield* store.write("a", { n: 2 }, { generation, timeToLive: minute })
        assert.isUndefined(yield* get(other, "a", ["x"]))
        yield* put(other, "a", { n: 3 }, ["x"])
        assert.deepStrictEqual(yield* get(store, "a", ["x"]), { n: 3 })
        yield* other.remove("a")
        assert.isUndefined(yield* get(store, "a", ["x"]))
        yield* put(other, "a", { n: 4 }, ["x"])
        yield* other.clear
        assert.isUndefined(yield* get(store, "a", ["x"]))
        assert.isTrue(yield* store.lease("a", "one", minute))
        assert.isFalse(yield* other.lease("a", "two", minute))
      }))

    test(
      "does not bring back what was invalidated when generations are lost or broken",
      (store, place) =>
        Effect.gen(function*() {
          const vandal = yield* vandalOf(place)
          const harm: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
            ["that of the tag is lost", vandal.lose("g:")],
            ["all are lost", vandal.lose("g")],
            ["no JSON", vandal.overwrite("g:x", "{\"g\":")],
            ["no object", vandal.overwrite("g:x", "[1]")],
            ["null", vandal.overwrite("g:x", "null")],
            ["no generation", vandal.overwrite("g:x", "{}")],
            ["an empty generation", vandal.overwrite("g:x", "{\"g\":\"\"}")],
            ["that of everything is broken", vandal.overwrite("g", "7")]
          ]
          for (const [how, vandalize] of harm) {
            const first = yield* store.lookup("a", ["x"])
            yield* store.invalidate("x")
            const before = yield* store.lookup("a", ["x"])
            yield* vandalize
            for (const { generation } of [first, before]) {
              yield* store.write("a", { old: how }, { generation, timeToLive: minute })
              assert.isUndefined(yield* get(store, "a", ["x"]), how)
            }
            // It mends itself.
            yield* put(store, "a", { new: how }, ["x"])
            assert.deepStrictEqual(yield* get(store, "a", ["x"]), { new: how }, how)
          }
        })
    )

    test("finds nothing where something else was put, and goes on", (store, place) =>
      Effect.gen(function*() {
        const vandal = yield* vandalOf(place)
        const tells = home.name === "Redis"
        for (
          const [text, reason] of [
            ["", tells ? "notJson" : undefined],
            ["{\"g\":\"", tells ? "notJson" : undefined],
            ["no JSON", tells ? "notJson" : undefined],
            ["null", "malformed"],
            ["[]", "malformed"],
            ["7", "malformed"],
            ["{}", "malformed"],
            ["{\"g\":1,\"v\":{}}", "malformed"],
            ["{\"g\":\"1\",\"v\":[]}", "malformed"],
            ["{\"g\":\"1\"}", "malformed"],
            ["{\"g\":\"1\",\"v\":{}}", undefined]
          ] as const
        ) {
          yield* put(store, "a", { n: 1 })
          yield* vandal.overwrite("v:a", text)
          const found = yield* store.lookup("a", [])
          assert.isUndefined(found.value, text)
          assert.strictEqual(found.unreadable, reason, text)
          yield* store.write("a", { n: 2 }, { generation: found.generation, timeToLive: minute })
          assert.deepStrictEqual(yield* get(store, "a"), { n: 2 }, text)
        }
      }))
  })
}
