/**
 * A cache that is shared, where its readers and writers are interrupted.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { dice } from "./support/dice.ts"
import { get, minute, open, put, shared } from "./support/homes.ts"

// SQLite answers before anybody can be interrupted.
for (const home of shared.filter(({ name }) => !name.startsWith("SQLite"))) {
  // Postgres takes back each question, which is a round trip and a connection of its own.
  const count = home.name === "Redis" ? 10_000 : 300
  home.describe(`a cache whose readers are interrupted: ${home.name}`, () => {
    it.live(
      `gives nobody the value of another key, beside ${count} look-ups that are cancelled`,
      () =>
        Effect.gen(function*() {
          const store = yield* Effect.flatMap(home.place, open)
          const keys = Array.from({ length: 50 }, (_, n) => `key ${n}`)
          for (const key of keys) yield* put(store, key, { key, text: "x".repeat(key.length * 20) }, [`tag of ${key}`])
          let [cancelled, finished, read] = [0, 0, 0]
          const { below } = dice(1)
          const reader = (from: number) =>
            Effect.gen(function*() {
              for (let n = from;; n++) {
                const key = keys[n % keys.length]!
                assert.strictEqual((yield* get(store, key, [`tag of ${key}`]))?.["key"], key)
                read++
                yield* Effect.yieldNow
              }
            })
          const canceller = Effect.gen(function*() {
            for (let n = 0; n < count; n++) {
              const key = keys[below(keys.length)]!
              const fiber = yield* Effect.forkChild(get(store, key, [`tag of ${key}`]), { startImmediately: true })
              // Before it is sent, while it is on its way, or when it is nearly there.
              for (let turns = below(3); turns > 0; turns--) yield* Effect.yieldNow
              yield* Fiber.interrupt(fiber)
              const exit = yield* Fiber.await(fiber)
              if (exit._tag === "Success") {
                finished++
                assert.strictEqual(exit.value?.["key"], key)
              } else cancelled++
            }
          })
          yield* Effect.raceFirst(
            canceller,
            Effect.forEach([0, 10, 20, 30], reader, { concurrency: "unbounded", discard: true })
          )
          assert.isAbove(cancelled, count / 2, `${finished} finished`)
          assert.isAbove(read, 10)
          // The connections are as good as before.
          for (const key of keys) assert.strictEqual((yield* get(store, key, [`tag of ${key}`]))?.["key"], key)
        }),
      120_000
    )

    it.live(
      "keeps a value that was being written when its writer was interrupted whole, or not at all",
      () =>
        Effect.gen(function*() {
          const store = yield* Effect.flatMap(home.place, open)
          for (let n = 0; n < 50; n++) {
            const value = { n, text: `${n} `.repeat(5_000) }
            const fiber = yield* Effect.forkChild(put(store, "a", value, ["x"], Duration.minutes(1)), {
              startImmediately: true
            })
            for (let turns = n % 7; turns > 0; turns--) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            const found = yield* store.lookup("a", ["x"])
            assert.isUndefined(found.unreadable)
            if (found.value !== undefined) {
              assert.strictEqual(found.value["text"], `${Number(found.value["n"])} `.repeat(5_000))
            }
          }
          assert.isTrue(yield* store.lease("a", "me", minute))
        }),
      60_000
    )
  })
}
