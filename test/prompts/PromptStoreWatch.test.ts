/**
 * Prompts in files that are written while they are read: old or new, and never a mix.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Stream } from "effect"
import { PromptStore } from "effect-bulwark/prompts"
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { openFiles, openFolder, served, write } from "./support/files.ts"
import { build, folder, type Store } from "./support/homes.ts"

const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), condition), { until: (so) => so })

/** A text that is of one piece: so many times the same word. */
const text = (word: string) => Array.from({ length: 2_000 }, () => word).join(" ")

const pieces = (store: Store) =>
  Effect.map(store.snapshot, ({ prompts }) =>
    new Set(
      Array.from(prompts.get("a")!.versions.values()).flatMap(({ content }) =>
        content.messages.flatMap(({ template }) => template.trim().split(" "))
      )
    ))

const lengthOf = (store: Store) =>
  Effect.map(
    store.snapshot,
    ({ prompts }) =>
      prompts.get("a")!.versions.get(1)!.content.messages.map(({ template }) => template.trim().split(" ").length)
  )

describe("a folder that is written while it is read", () => {
  it.live("files that are renamed into their place are old or new", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({ "a/v1.yaml": `user_template: ${text("w0")}\n` }, {
        debounce: "1 millis"
      })
      yield* store.snapshot
      let n = 0
      const writing = yield* Effect.forkChild(Effect.forever(Effect.gen(function*() {
        yield* write(directory, { "a/v1.yaml": `user_template: ${text(`w${++n}`)}\n` })
        // Now and then there is a pause, or nothing would ever be left alone.
        yield* Effect.sleep(n % 5 === 0 ? "40 millis" : "1 millis")
      })))
      const seen = new Set<string>()
      while (seen.size < 10) {
        const words = yield* pieces(store)
        assert.strictEqual(words.size, 1)
        assert.deepStrictEqual(yield* lengthOf(store), [2_000])
        for (const word of words) seen.add(word)
      }
      yield* Fiber.interrupt(writing)
      yield* until(Effect.map(pieces(store), (words) => words.has(`w${n}`)))
    }), 30_000)

  it.live("a file that is half written is not served, be it legal or not", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const file = join(directory, "a/v1.yaml")
      yield* write(directory, { "a/v1.yaml": `user_template: "${text("w0")}"\n` })
      const store = yield* openFolder(directory, { debounce: "300 millis" })
      yield* store.snapshot
      let writing = true
      const writer = yield* Effect.forkChild(Effect.gen(function*() {
        for (let n = 1; n <= 6; n++) {
          // Quoted, what is cut is no YAML; plain, it is.
          const whole = n % 2 === 0 ? `user_template: "${text(`w${n}`)}"\n` : `user_template: ${text(`w${n}`)}\n`
          writeFileSync(file, "")
          for (let at = 0; at < whole.length; at += 500) {
            appendFileSync(file, whole.slice(at, at + 500))
            yield* Effect.sleep("1 millis")
          }
        }
        writing = false
      }))
      let looked = 0
      while (writing) {
        assert.strictEqual((yield* pieces(store)).size, 1)
        assert.deepStrictEqual(yield* lengthOf(store), [2_000])
        looked++
      }
      assert.isAbove(looked, 0)
      yield* Fiber.join(writer)
      yield* until(Effect.map(pieces(store), (words) => words.has("w6")))
      assert.deepStrictEqual(yield* lengthOf(store), [2_000])
    }), 60_000)

  it.live("a file that is no YAML while it is written keeps the last good version, however long that takes", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({ "a/v1.yaml": "user_template: \"old\"\n" }, {
        debounce: "1 millis"
      })
      yield* store.snapshot
      for (const half of ["", "user", "user_template: \"ne", "\0\0\0\0"]) {
        writeFileSync(join(directory, "a/v1.yaml"), half)
        const { problems, versions } = yield* served(store)
        assert.deepStrictEqual(versions, { "a@1": "old" })
        assert.strictEqual(problems.length, 1)
        assert.include(problems[0], "(last good)")
      }
      writeFileSync(join(directory, "a/v1.yaml"), "user_template: \"new\"\n")
      assert.deepStrictEqual(yield* served(store), { versions: { "a@1": "new" }, labels: {}, problems: [] })
    }))

  it.live("files that belong together are taken over together", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({
        "a/v1.yaml": "user_template: w1\n",
        "a/labels.yaml": "production: 1\n"
      }, { debounce: "300 millis" })
      yield* store.snapshot
      const writing = yield* Effect.forkChild(Effect.gen(function*() {
        for (let n = 2; n <= 20; n++) {
          // The label first, for a while without its version.
          yield* write(directory, { "a/labels.yaml": `production: ${n}\n` })
          yield* Effect.sleep("2 millis")
          yield* write(directory, { [`a/v${n}.yaml`]: `user_template: w${n}\n` })
          yield* Effect.sleep("2 millis")
        }
      }))
      for (let production = 1; production < 20;) {
        const { labels, problems, versions } = yield* served(store)
        assert.deepStrictEqual(problems, [])
        production = labels["a/production"]!
        assert.strictEqual(versions[`a@${production}`], `w${production}`)
      }
      yield* Fiber.join(writing)
    }), 30_000)
})

describe("a folder that is watched", () => {
  const watching = (store: Store) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(store.changes, () =>
        Effect.match(served(store), {
          onSuccess: ({ versions }) => void seen.push(JSON.stringify(versions)),
          onFailure: ({ _tag }) => void seen.push(_tag)
        })))
      return {
        seen,
        sees: (expected: object | string) =>
          until(Effect.sync(() => seen.at(-1) === (typeof expected === "string" ? expected : JSON.stringify(expected))))
      }
    })

  it.live("says so when something is written, once for many files", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({ "a/v1.yaml": "user_template: one\n" }, {
        watch: true,
        debounce: "50 millis",
        // So that it is not what tells.
        pollEvery: "1 hour"
      })
      const { seen, sees } = yield* watching(store)
      yield* sees({ "a@1": "one" })
      yield* write(directory, { "a/v2.yaml": "user_template: two\n" })
      yield* sees({ "a@1": "one", "a@2": "two" })
      // Another file in the place of the first, again and again.
      for (const word of ["uno", "eins", "un"]) {
        yield* write(directory, { "a/v1.yaml": `user_template: ${word}\n` })
        yield* sees({ "a@1": word, "a@2": "two" })
      }
      const before = seen.length
      const many = Object.fromEntries(
        Array.from({ length: 50 }, (_, n) => [`b/v${n + 1}.yaml`, `user_template: "${n + 1}"\n`])
      )
      yield* write(directory, many)
      yield* until(Effect.map(served(store), ({ versions }) => versions["b@50"] === "50"))
      yield* until(Effect.sync(() => seen.at(-1)!.includes("b@50")))
      assert.isBelow(seen.length - before, 25)
    }), 30_000)

  it.live("is watched again when it is another one, or was away", () =>
    Effect.gen(function*() {
      const directory = join(yield* folder, "prompts")
      mkdirSync(directory)
      yield* write(directory, { "a/v1.yaml": "user_template: one\n" })
      const store = yield* openFolder(directory, { watch: true, pollEvery: "1 hour" })
      const { sees } = yield* watching(store)
      yield* sees({ "a@1": "one" })
      rmSync(directory, { recursive: true })
      yield* sees("PromptStoreError")
      yield* write(`${directory}.new`, { "a/v1.yaml": "user_template: two\n" })
      renameSync(`${directory}.new`, directory)
      yield* sees({ "a@1": "two" })
      yield* write(directory, { "a/v1.yaml": "user_template: three\n" })
      yield* sees({ "a@1": "three" })
    }), 30_000)

  it.live("is looked at from time to time where the system gives no watchers", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      yield* write(directory, { "a/v1.yaml": "user_template: one\n" })
      const fs = yield* FileSystem.FileSystem
      const store = yield* Effect.orDie(build(
        PromptStore.layerFiles({ directory, watch: true, debounce: "1 millis", pollEvery: "20 millis" }).pipe(
          // As Node's does, with EMFILE say.
          Layer.provide(Layer.succeed(FileSystem.FileSystem, {
            ...fs,
            watch: () =>
              Stream.fromEffect(Effect.sync(() => {
                throw new Error("EMFILE: too many open files, watch")
              }))
          })),
          Layer.provide(NodeServices.layer)
        )
      ))
      const { sees } = yield* watching(store)
      yield* sees({ "a@1": "one" })
      yield* write(directory, { "a/v1.yaml": "user_template: two\n" })
      yield* sees({ "a@1": "two" })
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("can be looked at from time to time instead", () =>
    Effect.gen(function*() {
      const { directory, store } = yield* openFiles({ "a/v1.yaml": "user_template: one\n" }, { pollEvery: "20 millis" })
      const { sees } = yield* watching(store)
      yield* sees({ "a@1": "one" })
      yield* write(directory, { "a/v1.yaml": "user_template: two\n" })
      yield* sees({ "a@1": "two" })
    }))
})
