/**
 * What every home of prompts that can be written to has to do.
 */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { type PromptStore, PromptVersion } from "effect-bulwark/prompts"
import { TestClock } from "effect/testing"
import { content, draft, type Home, type Store, test as testOf } from "./homes.ts"

const numbers = (store: Store, name: string) =>
  Effect.map(store.versions(name), (versions) => versions.map(({ version }) => version))

const labels = (store: Store, name: string) =>
  Effect.map(store.snapshot, ({ prompts }) => Object.fromEntries(prompts.get(name)?.labels ?? []))

/** Real time passes until it is so. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(Effect.andThen(TestClock.withLive(Effect.sleep("5 millis")), condition), { until: (so) => so })

export const score = (
  id: string,
  more?: Partial<PromptStore.Score> & { readonly version?: number }
): PromptStore.Score => {
  const { version = 1, ...rest } = more ?? {}
  return {
    id,
    operationId: `operation ${id}`,
    prompt: { name: "a", version, hash: "0".repeat(64) },
    metric: "helpful",
    value: 1,
    at: 0,
    ...rest
  }
}

export const suite = (home: Home): void => {
  const test = testOf(home)

  home.describe(`a prompt store: ${home.name}`, () => {
    test("publishes versions that are numbered and found again", (store) =>
      Effect.gen(function*() {
        yield* TestClock.adjust(1_000)
        const first = yield* store.publish(draft("a", "one", {
          author: "ada",
          message: "It begins",
          metadata: { ticket: 7 },
          content: {
            model: "small",
            settings: { temperature: 0.5, extra: { nested: [1, null, "é\u0000"] } },
            messages: [{ role: "system", template: "Be brief" }, { role: "user", template: "{{ text }}" }],
            examples: [{ user: "2 + 2", assistant: "4" }],
            includes: { tone: { name: "tone", version: 3 } }
          }
        }))
        assert.strictEqual(first.version, 1)
        assert.strictEqual(first.createdAt, 1_000)
        assert.strictEqual(first.hash, yield* PromptVersion.hash(first.content))
        const second = yield* store.publish(draft("a", "two"))
        assert.strictEqual(second.version, 2)
        assert.strictEqual((yield* store.publish(draft("b", "two"))).version, 1)
        assert.deepStrictEqual(yield* store.version("a", 1), first)
        assert.deepStrictEqual(yield* store.versions("a"), [first, second])
        const { problems, prompts, staleSince } = yield* store.snapshot
        assert.deepStrictEqual([...prompts.keys()], ["a", "b"])
        assert.deepStrictEqual([...prompts.get("a")!.versions], [[1, first], [2, second]])
        assert.deepStrictEqual([problems, staleSince], [[], undefined])
      }))

    test("knows nothing of what is not there", (store) =>
      Effect.gen(function*() {
        yield* store.publish(draft("a", "one"))
        assert.isUndefined(yield* store.version("a", 2))
        assert.isUndefined(yield* store.version("b", 1))
        assert.deepStrictEqual(yield* store.versions("b"), [])
        assert.deepStrictEqual(yield* store.history("b"), [])
        assert.deepStrictEqual(yield* store.experiments("b"), [])
        assert.deepStrictEqual(yield* store.experimentHistory("b", "c"), [])
        assert.deepStrictEqual(yield* store.scores({ name: "b" }), [])
        assert.deepStrictEqual(yield* store.scoreTotals({ name: "b" }), [])
        assert.deepStrictEqual([...(yield* store.snapshot).prompts.keys()], ["a"])
      }))

    test("publishes nothing twice", (store) =>
      Effect.gen(function*() {
        const first = yield* store.publish(draft("a", "one", { author: "ada" }))
        const { revision } = yield* store.snapshot
        yield* TestClock.adjust(1_000)
        assert.deepStrictEqual(yield* store.publish(draft("a", "one", { author: "bob" })), first)
        assert.deepStrictEqual(yield* store.publish(draft("a", "one", { version: 1 })), first)
        assert.strictEqual((yield* store.snapshot).revision, revision)
        assert.strictEqual((yield* store.publish(draft("a", "two"))).version, 2)
        // Back to what was before is a version of its own, but a number is what it was.
        assert.deepStrictEqual(yield* store.publish(draft("a", "one", { version: 1 })), first)
        assert.strictEqual((yield* store.publish(draft("a", "one"))).version, 3)
        assert.deepStrictEqual(yield* numbers(store, "a"), [1, 2, 3])
      }))

    test("refuses a number that is taken, or not the next one", (store) =>
      Effect.gen(function*() {
        yield* store.publish(draft("a", "one", { version: 1 }))
        for (const version of [1, 3]) {
          const error = yield* Effect.flip(store.publish(draft("a", "two", { version })))
          assert(error._tag === "PromptConflict")
          assert.deepInclude({ ...error }, { name: "a", subject: "version", key: String(version) })
          assert.notInclude(error.message, "two")
        }
        assert.strictEqual(
          (yield* Effect.flip(store.publish(draft("b", "one", { version: 2 }))))._tag,
          "PromptConflict"
        )
        assert.strictEqual((yield* store.publish(draft("a", "two", { version: 2 }))).version, 2)
      }))

    test("refuses what is not legal, says where, and does not quote it", (store) =>
      Effect.gen(function*() {
        const secret = "very secret"
        const refused = <A>(
          step: Effect.Effect<A, { readonly _tag: string; readonly message: string }>,
          where: string
        ) =>
          Effect.map(Effect.flip(step), (error) => {
            assert.strictEqual(error._tag, "PromptRefused")
            assert.include(error.message, where)
            assert.notInclude(error.message, secret)
          })
        for (const name of ["", "A", "../a", "a/b", "a".repeat(101), "__proto__", ".a"]) {
          yield* refused(store.publish(draft(name, secret)), "name")
        }
        // (The type forbids all of these.)
        const odd = (more: object) => ({ ...draft("a", secret), ...more }) as never
        yield* refused(store.publish(odd({ version: 0 })), "version")
        yield* refused(store.publish(odd({ version: 1.5 })), "version")
        yield* refused(store.publish(odd({ content: { messages: [] } })), "content.messages")
        yield* refused(
          store.publish(odd({ content: { messages: [{ role: "tool", template: secret }] } })),
          "content.messages.0.role"
        )
        yield* refused(store.publish(odd({ [secret.slice(0, 4)]: secret })), "very")
        yield* refused(store.publish(draft("a", secret.repeat(1_000_000))), "characters")
        yield* store.publish(draft("a", "one"))
        yield* refused(store.label({ name: "a", label: "Production", version: 1 }), "label")
        yield* refused(store.label({ name: "a", label: "b", version: 1, reason: secret.repeat(1_000) }), "reason")
        yield* refused(store.saveExperiment({ name: "a", id: "", document: {}, from: 0 }), "id")
        yield* refused(store.saveExperiment({ name: "a", id: "x", document: {}, from: -1 }), "from")
        yield* refused(store.score([score("1"), score("2", { value: NaN })]), "value")
        yield* refused(store.score([score("1"), score("2", { metric: "\0" })]), "metric")
        yield* refused(store.score([score("", {})]), "id")
        assert.deepStrictEqual(yield* store.scores({ name: "a" }), [])
        assert.deepStrictEqual(yield* numbers(store, "a"), [1])
        assert.deepStrictEqual(yield* store.history("a"), [])
      }))

    test("takes over versions with their numbers, if they are what they say", (store) =>
      Effect.gen(function*() {
        const version = (text: string, version: number) =>
          PromptVersion.make(draft("a", text), { version, createdAt: 17 })
        const third = yield* version("three", 3)
        assert.deepStrictEqual(yield* store.adopt(third), third)
        assert.deepStrictEqual(yield* store.adopt({ ...third, author: "eve" }), third)
        assert.deepStrictEqual(yield* store.adopt(yield* version("one", 1)), yield* version("one", 1))
        assert.strictEqual((yield* Effect.flip(store.adopt(yield* version("other", 3))))._tag, "PromptConflict")
        const error = yield* Effect.flip(store.adopt({ ...third, version: 2, content: content("not three") }))
        assert(error._tag === "PromptRefused")
        assert.strictEqual(error.reason, "Hash")
        assert.strictEqual((yield* store.publish(draft("a", "four"))).version, 4)
        assert.deepStrictEqual(yield* numbers(store, "a"), [1, 3, 4])
      }))

    test("moves labels, and remembers who did so, when and why", (store) =>
      Effect.gen(function*() {
        for (const text of ["one", "two"]) yield* store.publish(draft("a", text))
        yield* store.publish(draft("b", "one"))
        yield* TestClock.adjust(10)
        const first = yield* store.label({ name: "a", label: "production", version: 1, by: "ada" })
        assert.deepStrictEqual(first, {
          name: "a",
          label: "production",
          sequence: 1,
          from: undefined,
          version: 1,
          at: 10,
          by: "ada"
        })
        yield* store.label({ name: "a", label: "staging", version: 2 })
        yield* store.label({ name: "b", label: "production", version: 1 })
        yield* TestClock.adjust(10)
        const rollout = yield* store.label({ name: "a", label: "production", version: 2, from: 1, reason: "better" })
        assert.deepStrictEqual(yield* labels(store, "a"), { production: 2, staging: 2 })
        const back = yield* store.label({ name: "a", label: "production", version: 1, reason: "worse" })
        const away = yield* store.label({ name: "a", label: "staging", version: undefined, from: 2 })
        assert.deepStrictEqual(yield* labels(store, "a"), { production: 1 })
        assert.deepStrictEqual(yield* labels(store, "b"), { production: 1 })
        const history = yield* store.history("a")
        assert.deepStrictEqual(
          history.map(({ at, from, label, sequence, version }) => [sequence, label, from, version, at]),
          [
            [1, "production", undefined, 1, 10],
            [2, "staging", undefined, 2, 10],
            [3, "production", 1, 2, 20],
            [4, "production", 2, 1, 20],
            [5, "staging", 2, undefined, 20]
          ]
        )
        assert.deepStrictEqual(history.slice(2), [rollout, back, away])
        // A label that was taken away can come again.
        assert.strictEqual(
          (yield* store.label({ name: "a", label: "staging", version: 1, from: "nothing" })).sequence,
          6
        )
      }))

    test("moves no label that is not where it is said to be, and none to nowhere", (store) =>
      Effect.gen(function*() {
        for (const text of ["one", "two"]) yield* store.publish(draft("a", text))
        yield* store.label({ name: "a", label: "production", version: 1, from: "nothing" })
        const { revision } = yield* store.snapshot
        for (const from of [2, "nothing"] as const) {
          const error = yield* Effect.flip(store.label({ name: "a", label: "production", version: 2, from }))
          assert(error._tag === "PromptConflict")
          assert.deepInclude({ ...error }, { subject: "label", key: "production", actual: "pointing to version 1" })
        }
        const nowhere = yield* Effect.flip(store.label({ name: "a", label: "staging", version: 2, from: 1 }))
        assert(nowhere._tag === "PromptConflict")
        for (const name of ["a", "b"]) {
          const unknown = yield* Effect.flip(store.label({ name, label: "staging", version: 3 }))
          assert(unknown._tag === "PromptRefused")
          assert.strictEqual(unknown.reason, "UnknownVersion")
        }
        assert.strictEqual((yield* store.history("a")).length, 1)
        assert.strictEqual((yield* store.snapshot).revision, revision)
        assert.deepStrictEqual([...(yield* store.snapshot).prompts.keys()], ["a"])
      }))

    test("a move that is asked for again is not made again", (store) =>
      Effect.gen(function*() {
        for (const text of ["one", "two"]) yield* store.publish(draft("a", text))
        yield* store.label({ name: "a", label: "production", version: 1 })
        const move = { name: "a", label: "production", version: 2, from: 1 }
        const event = yield* store.label(move)
        const { revision } = yield* store.snapshot
        yield* TestClock.adjust(5)
        assert.deepStrictEqual(yield* store.label(move), event)
        assert.strictEqual((yield* store.history("a")).length, 2)
        const away = yield* store.label({ name: "a", label: "production", version: undefined })
        assert.deepStrictEqual(yield* store.label({ name: "a", label: "production", version: undefined }), away)
        assert.strictEqual((yield* store.label({ name: "a", label: "never", version: undefined })).sequence, 0)
        assert.strictEqual((yield* store.history("a")).length, 3)
        assert.notStrictEqual((yield* store.snapshot).revision, revision)
      }))

    test("a snapshot stays what it was", (store) =>
      Effect.gen(function*() {
        yield* store.publish(draft("a", "one"))
        yield* store.label({ name: "a", label: "production", version: 1 })
        const before = yield* store.snapshot
        const same = yield* store.snapshot
        assert.strictEqual(same.revision, before.revision)
        yield* store.publish(draft("a", "two"))
        yield* store.publish(draft("b", "one"))
        yield* store.label({ name: "a", label: "production", version: 2 })
        yield* store.saveExperiment({ name: "a", id: "x", document: 1, from: 0 })
        const entry = before.prompts.get("a")!
        assert.deepStrictEqual([entry.versions.size, entry.labels.get("production"), entry.experiments.size], [1, 1, 0])
        assert.strictEqual(before.prompts.size, 1)
        const after = yield* store.snapshot
        assert.notStrictEqual(after.revision, before.revision)
        assert.strictEqual(after.prompts.get("a")!.labels.get("production"), 2)
      }))

    test("keeps experiments, each time they are saved", (store) =>
      Effect.gen(function*() {
        yield* store.publish(draft("a", "one"))
        const document = { weights: [0.9, 0.1], note: "é", nothing: null }
        const first = yield* store.saveExperiment({ name: "a", id: "tone", document, from: 0, by: "ada" })
        assert.deepStrictEqual(first, { name: "a", id: "tone", revision: 1, document, at: 0, by: "ada" })
        const other = yield* store.saveExperiment({ name: "b", id: "tone", document: "b", from: 0 })
        yield* TestClock.adjust(5)
        for (const from of [0, 2]) {
          const error = yield* Effect.flip(store.saveExperiment({ name: "a", id: "tone", document, from }))
          assert(error._tag === "PromptConflict")
          assert.deepInclude({ ...error }, { subject: "experiment", key: "tone", actual: "at revision 1" })
        }
        const second = yield* store.saveExperiment({
          name: "a",
          id: "tone",
          document: { stopped: true },
          from: 1,
          reason: "dear"
        })
        assert.deepStrictEqual([second.revision, second.at], [2, 5])
        const early = yield* store.saveExperiment({ name: "a", id: "early", document: [], from: 0 })
        assert.deepStrictEqual(yield* store.experiments("a"), [early, second])
        assert.deepStrictEqual(yield* store.experiments(), [early, second, other])
        assert.deepStrictEqual(yield* store.experimentHistory("a", "tone"), [first, second])
        const { prompts } = yield* store.snapshot
        assert.deepStrictEqual([...prompts.get("a")!.experiments], [["early", early], ["tone", second]])
        assert.deepStrictEqual([...prompts.get("b")!.experiments.keys()], ["tone"])
      }))

    test("keeps scores, and sums them up", (store) =>
      Effect.gen(function*() {
        const { revision } = yield* store.snapshot
        const variant = (version: number, variant: string) => ({
          name: "a",
          version,
          hash: "0".repeat(64),
          label: "production",
          experiment: "tone",
          variant
        })
        const all = [
          score("1", { at: 1, value: 1, by: "ada", comment: "well\u0000done" }),
          score("2", { at: 2, value: 0 }),
          score("3", { at: 3, value: 0.5 }),
          score("4", { at: 3, value: 4, metric: "stars" }),
          score("5", { at: 4, version: 2, value: 1e6 }),
          score("6", { at: 5, version: 2, value: 1e6 + 1 }),
          score("7", { at: 6, prompt: variant(2, "short"), value: -2.5 }),
          score("8", { at: 7, prompt: { ...variant(2, "short"), name: "b" }, value: 9 })
        ]
        yield* store.score([])
        yield* store.score(all)
        // What is sent again changes nothing.
        yield* store.score([score("1", { value: 100 }), score("9", { at: 8, prompt: variant(2, "long"), value: 3 })])
        const ids = (query: Omit<PromptStore.ScoreQuery, "name"> & { readonly limit?: number }) =>
          Effect.map(store.scores({ name: "a", ...query }), (scores) => scores.map(({ id }) => id).join(""))
        assert.strictEqual(yield* ids({}), "97653421")
        assert.strictEqual(yield* ids({ limit: 2 }), "97")
        assert.strictEqual(yield* ids({ versions: [1] }), "3421")
        assert.strictEqual(yield* ids({ versions: [2, 7] }), "9765")
        assert.strictEqual(yield* ids({ versions: [] }), "")
        assert.strictEqual(yield* ids({ metric: "stars" }), "4")
        assert.strictEqual(yield* ids({ experiment: "tone" }), "97")
        assert.strictEqual(yield* ids({ from: 2, until: 4 }), "342")
        assert.deepStrictEqual((yield* store.scores({ name: "a" })).at(-1), all[0])
        const plain = { experiment: undefined, variant: undefined, metric: "helpful" }
        const tried = { version: 2, experiment: "tone", metric: "helpful", count: 1, squares: 0 }
        assert.deepStrictEqual(yield* store.scoreTotals({ name: "a" }), [
          { ...plain, version: 1, count: 3, mean: 0.5, squares: 0.5, least: 0, most: 1 },
          { ...plain, metric: "stars", version: 1, count: 1, mean: 4, squares: 0, least: 4, most: 4 },
          { ...plain, version: 2, count: 2, mean: 1e6 + 0.5, squares: 0.5, least: 1e6, most: 1e6 + 1 },
          { ...tried, variant: "long", mean: 3, least: 3, most: 3 },
          { ...tried, variant: "short", mean: -2.5, least: -2.5, most: -2.5 }
        ])
        assert.strictEqual((yield* store.scoreTotals({ name: "a", metric: "stars", until: 3 })).length, 0)
        // Scores are not served from.
        assert.strictEqual((yield* store.snapshot).revision, revision)
      }))

    test("forgets scores from before a time", (store) =>
      Effect.gen(function*() {
        yield* store.score(Array.from({ length: 1_203 }, (_, n) => score(`${n}`, { at: n })))
        assert.strictEqual(yield* store.pruneScores(1_200), 1_200)
        assert.deepStrictEqual((yield* store.scores({ name: "a" })).map(({ id }) => id), ["1202", "1201", "1200"])
        assert.strictEqual(yield* store.pruneScores(1_200), 0)
      }))

    test("says when something has changed, and first of all at once", (store) =>
      Effect.gen(function*() {
        let signals = 0
        const fiber = yield* Effect.forkChild(
          Stream.runForEach(store.changes, () => Effect.sync(() => void signals++)),
          { startImmediately: true }
        )
        yield* until(Effect.sync(() => signals >= 1))
        let before = signals
        yield* store.publish(draft("a", "one"))
        yield* until(Effect.sync(() => signals > before))
        before = signals
        yield* store.label({ name: "a", label: "production", version: 1 })
        yield* until(Effect.sync(() => signals > before))
        yield* Fiber.interrupt(fiber)
      }))

    test("of many who publish at once each has a number of its own", (store) =>
      Effect.gen(function*() {
        const published = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) => store.publish(draft("a", `text ${n}`)),
          { concurrency: "unbounded" }
        )
        const sorted = published.map(({ version }) => version).toSorted((one, other) => one - other)
        assert.deepStrictEqual(sorted, Array.from({ length: 20 }, (_, n) => n + 1))
      }))

    test("of many who move a label at once from the same place one does", (store) =>
      Effect.gen(function*() {
        for (let n = 1; n <= 9; n++) yield* store.publish(draft("a", `text ${n}`))
        yield* store.label({ name: "a", label: "production", version: 1 })
        const moved = yield* Effect.forEach(
          [2, 3, 4, 5, 6, 7, 8, 9],
          (version) => Effect.result(store.label({ name: "a", label: "production", version, from: 1 })),
          { concurrency: "unbounded" }
        )
        const won = moved.flatMap((result) => result._tag === "Success" ? [result.success.version] : [])
        assert.strictEqual(won.length, 1)
        for (const result of moved) {
          if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "PromptConflict")
        }
        assert.deepStrictEqual(yield* labels(store, "a"), { production: won[0]! })
        assert.strictEqual((yield* store.history("a")).length, 2)
      }))
  })
}
