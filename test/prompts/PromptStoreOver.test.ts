/**
 * A prompt store over another: what each of them contributes, and what is served while one of them is away.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { PromptStore, PromptVersion } from "effect-bulwark/prompts"
import { TestClock } from "effect/testing"
import { join } from "node:path"
import { served, write } from "./support/files.ts"
import { build, draft, folder, open, type Store } from "./support/homes.ts"
import { score, until } from "./support/storeSuite.ts"

const layerOf = (store: Store): Layer.Layer<PromptStore.PromptStore> => Layer.succeed(PromptStore.PromptStore, store)

const memory = build(Layer.fresh(PromptStore.layerMemory))

/** A store whose every step fails, or waits for ever, when it is told to. */
const fragile = (store: Store) => {
  const state: { mode: "well" | "down" | "hanging" } = { mode: "well" }
  const step = <A, E>(operation: PromptStore.PromptStoreError["operation"], effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | PromptStore.PromptStoreError> =>
      state.mode === "well"
        ? effect
        : state.mode === "hanging"
        ? Effect.never
        : Effect.fail(new PromptStore.PromptStoreError({ operation, cause: "down" }))
    )
  const layer = layerOf(PromptStore.PromptStore.of({
    snapshot: step("snapshot", store.snapshot),
    changes: store.changes,
    version: (...of) => step("version", store.version(...of)),
    versions: (...of) => step("versions", store.versions(...of)),
    publish: (...of) => step("publish", store.publish(...of)),
    adopt: (...of) => step("adopt", store.adopt(...of)),
    label: (...of) => step("label", store.label(...of)),
    history: (...of) => step("history", store.history(...of)),
    experiments: (...of) => step("experiments", store.experiments(...of)),
    saveExperiment: (...of) => step("saveExperiment", store.saveExperiment(...of)),
    experimentHistory: (...of) => step("experimentHistory", store.experimentHistory(...of)),
    score: (...of) => step("score", store.score(...of)),
    scores: (...of) => step("scores", store.scores(...of)),
    scoreTotals: (...of) => step("scoreTotals", store.scoreTotals(...of)),
    pruneScores: (...of) => step("pruneScores", store.pruneScores(...of))
  }))
  return { layer, state }
}

/** Two in memory: the lower one as it was shipped. */
const two = Effect.gen(function*() {
  const [above, below] = [yield* memory, yield* memory]
  yield* below.publish(draft("a", "one"))
  yield* below.publish(draft("a", "two"))
  yield* below.publish(draft("b", "one"))
  yield* below.label({ name: "a", label: "production", version: 2 })
  yield* below.label({ name: "b", label: "production", version: 1 })
  const [upper, lower] = [fragile(above), fragile(below)]
  const store = yield* build(PromptStore.layerOver(upper.layer, lower.layer))
  return { above, below, upper: upper.state, lower: lower.state, store }
})

describe("a prompt store over another", () => {
  it.effect("serves what was shipped, until something else is published", () =>
    Effect.gen(function*() {
      const { above, store } = yield* two
      const shipped = { "a@1": "one", "a@2": "two", "b@1": "one" }
      assert.deepStrictEqual(yield* served(store), {
        versions: shipped,
        labels: { "a/production": 2, "b/production": 1 },
        problems: []
      })
      const first = yield* store.snapshot
      assert.strictEqual(yield* store.snapshot, first)
      const third = yield* store.publish(draft("a", "three"))
      assert.strictEqual(third.version, 3)
      yield* store.label({ name: "a", label: "production", version: 3, from: 2 })
      assert.deepStrictEqual(yield* served(store), {
        versions: { ...shipped, "a@3": "three" },
        labels: { "a/production": 3, "b/production": 1 },
        problems: []
      })
      assert.deepStrictEqual((yield* store.versions("a")).map(({ version }) => version), [1, 2, 3])
      assert.deepStrictEqual(yield* store.version("a", 3), third)
      assert.strictEqual((yield* store.version("a", 1))?.version, 1)
      assert.isUndefined(yield* store.version("a", 4))
      // The first version of the upper one is the third of both.
      assert.deepStrictEqual((yield* above.versions("a")).map(({ version }) => version), [2, 3])
      assert.notStrictEqual((yield* store.snapshot).revision, first.revision)
    }))

  it.effect("what was shipped can be rolled back to, by the history", () =>
    Effect.gen(function*() {
      const { above, store } = yield* two
      yield* store.publish(draft("a", "three"))
      const event = yield* store.label({ name: "a", label: "production", version: 3, by: "ada" })
      assert.deepInclude(event, { from: 2, version: 3, by: "ada" })
      assert.deepStrictEqual(
        (yield* store.history("a")).map(({ from, reason, version }) => [from, version, reason]),
        [[undefined, 2, "as shipped"], [2, 3, undefined]]
      )
      yield* store.label({ name: "a", label: "production", version: event.from, reason: "worse" })
      assert.strictEqual((yield* store.snapshot).prompts.get("a")!.labels.get("production"), 2)
      yield* store.label({ name: "a", label: "production", version: 1 })
      // What the upper one points to, it has.
      assert.deepStrictEqual((yield* above.versions("a")).map(({ version }) => version), [1, 2, 3])
    }))

  it.effect("publishes nothing that was shipped, and no number that is taken", () =>
    Effect.gen(function*() {
      const { above, store } = yield* two
      assert.strictEqual((yield* store.publish(draft("a", "two"))).version, 2)
      assert.strictEqual((yield* store.publish(draft("a", "one", { version: 1 }))).version, 1)
      assert.deepStrictEqual(yield* above.versions("a"), [])
      assert.strictEqual(
        (yield* Effect.flip(store.publish(draft("a", "three", { version: 2 }))))._tag,
        "PromptConflict"
      )
      const other = yield* PromptVersion.make(draft("a", "other"), { version: 2, createdAt: 0 })
      assert.strictEqual((yield* Effect.flip(store.adopt(other)))._tag, "PromptConflict")
      assert.strictEqual((yield* store.publish(draft("a", "three", { version: 3 }))).version, 3)
    }))

  it.effect("compares a label with where it points to for all", () =>
    Effect.gen(function*() {
      const { store } = yield* two
      for (const from of [1, "nothing"] as const) {
        const error = yield* Effect.flip(store.label({ name: "a", label: "production", version: 1, from }))
        assert(error._tag === "PromptConflict")
        assert.strictEqual(error.actual, "pointing to version 2")
      }
      assert.deepStrictEqual(yield* store.history("a"), [])
      const unknown = yield* Effect.flip(store.label({ name: "a", label: "production", version: 7 }))
      assert.strictEqual(unknown._tag, "PromptRefused")
      // Where it is already: from now on that is so whatever is shipped.
      const event = yield* store.label({ name: "a", label: "production", version: 2, by: "ada" })
      assert.deepInclude(event, { from: undefined, version: 2, by: "ada" })
      assert.deepStrictEqual(yield* store.label({ name: "a", label: "production", version: 2 }), event)
    }))

  it.effect("a label that is taken away is where it was shipped", () =>
    Effect.gen(function*() {
      const { store } = yield* two
      const refused = yield* Effect.flip(store.label({ name: "a", label: "production", version: undefined }))
      assert(refused._tag === "PromptRefused")
      assert.strictEqual(refused.reason, "ReadOnly")
      yield* store.label({ name: "a", label: "production", version: 1 })
      yield* store.label({ name: "a", label: "production", version: undefined })
      assert.strictEqual((yield* store.snapshot).prompts.get("a")!.labels.get("production"), 2)
      yield* store.label({ name: "a", label: "staging", version: 1 })
      yield* store.label({ name: "a", label: "staging", version: undefined })
      assert.isFalse((yield* store.snapshot).prompts.get("a")!.labels.has("staging"))
      assert.strictEqual((yield* store.label({ name: "a", label: "x", version: undefined })).sequence, 0)
    }))

  it.effect("of two versions with one number the upper one is served, and that is said", () =>
    Effect.gen(function*() {
      const { below, store } = yield* two
      yield* store.publish(draft("a", "three"))
      // The next deployment brings another.
      yield* below.publish(draft("a", "shipped later"))
      yield* below.publish(draft("b", "two"))
      const { problems, versions } = yield* served(store)
      assert.strictEqual(versions["a@3"], "three")
      assert.deepStrictEqual(problems, ["Conflict the lower store: a@3"])
      assert.strictEqual((yield* store.version("a", 3))?.content.messages[0].template, "three")
      assert.strictEqual((yield* store.publish(draft("a", "four"))).version, 4)
    }))

  it.effect("experiments, scores and history are those of the upper store", () =>
    Effect.gen(function*() {
      const { above, below, store } = yield* two
      yield* below.saveExperiment({ name: "a", id: "lower", document: 1, from: 0 })
      yield* below.saveExperiment({ name: "c", id: "lower", document: 1, from: 0 })
      yield* below.score([score("1")])
      const saved = yield* store.saveExperiment({ name: "a", id: "x", document: 1, from: 0 })
      yield* store.score([score("2")])
      assert.deepStrictEqual(yield* store.experiments(), [saved])
      assert.deepStrictEqual(yield* store.experimentHistory("a", "x"), [saved])
      const { prompts } = yield* store.snapshot
      assert.deepStrictEqual([...prompts.get("a")!.experiments.keys()], ["x"])
      assert.strictEqual(prompts.get("c")!.experiments.size, 0)
      assert.deepStrictEqual((yield* store.scores({ name: "a" })).map(({ id }) => id), ["2"])
      assert.strictEqual((yield* store.scoreTotals({ name: "a" }))[0]!.count, 1)
      assert.strictEqual(yield* store.pruneScores(1), 1)
      assert.deepStrictEqual(yield* above.scores({ name: "a" }), [])
    }))

  for (const mode of ["down", "hanging"] as const) {
    it.effect(`serves what it knows while the upper store is ${mode}, and says since when`, () =>
      Effect.gen(function*() {
        const { store, upper } = yield* two
        const patient = <A, E>(step: Effect.Effect<A, E>) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(step, { startImmediately: true })
            while (fiber.pollUnsafe() === undefined) {
              yield* TestClock.withLive(Effect.sleep("1 millis"))
              if (mode === "hanging") yield* TestClock.adjust("5 seconds")
            }
            return yield* Fiber.await(fiber)
          })
        yield* store.publish(draft("a", "three"))
        yield* store.label({ name: "a", label: "production", version: 3 })
        const before = yield* store.snapshot
        upper.mode = mode
        const exit = yield* patient(store.snapshot)
        assert(Exit.isSuccess(exit))
        assert.deepStrictEqual([...exit.value.prompts], [...before.prompts])
        assert.isAtLeast(exit.value.staleSince!, mode === "hanging" ? 5_000 : 0)
        assert.deepStrictEqual(exit.value.problems.map(({ lastGood, source }) => [source, lastGood]), [
          ["the upper store", true]
        ])
        yield* TestClock.adjust("1 minute")
        const later = yield* patient(store.snapshot)
        assert(Exit.isSuccess(later))
        assert.strictEqual(later.value, exit.value)
        const version = yield* patient(store.version("a", 3))
        assert(Exit.isSuccess(version))
        assert.strictEqual(version.value?.version, 3)
        for (
          const step of [
            store.publish(draft("a", "four")),
            store.label({ name: "a", label: "production", version: 1 }),
            store.history("a"),
            store.score([score("1")])
          ]
        ) {
          const exit = yield* patient(step as Effect.Effect<unknown, PromptStore.PromptStoreError>)
          assert(Exit.isFailure(exit))
          assert.strictEqual((Cause.squash(exit.cause) as PromptStore.PromptStoreError)._tag, "PromptStoreError")
        }
        upper.mode = "well"
        const again = yield* store.snapshot
        assert.deepStrictEqual([again.staleSince, again.problems, again.revision], [undefined, [], before.revision])
      }))
  }

  it.effect("serves what it knows while the lower store is away", () =>
    Effect.gen(function*() {
      const { lower, store, upper } = yield* two
      yield* store.publish(draft("a", "three"))
      const before = yield* served(store)
      lower.mode = "down"
      const { problems, ...rest } = yield* served(store)
      assert.deepStrictEqual({ ...rest, problems: [] }, before)
      assert.deepStrictEqual(problems, ["Unreadable the lower store (last good)"])
      // Its numbers are known.
      assert.strictEqual((yield* store.publish(draft("a", "four"))).version, 4)
      upper.mode = "down"
      assert.strictEqual((yield* store.snapshot).problems.length, 2)
    }))

  it.effect("publishes nothing while it does not know which numbers are taken", () =>
    Effect.gen(function*() {
      const below = fragile(yield* memory)
      below.state.mode = "down"
      const store = yield* build(PromptStore.layerOver(layerOf(yield* memory), below.layer))
      assert.strictEqual((yield* Effect.flip(store.publish(draft("a", "one"))))._tag, "PromptStoreError")
      assert.strictEqual((yield* Effect.flip(store.versions("a")))._tag, "PromptStoreError")
      assert.isDefined((yield* store.snapshot).staleSince)
    }))

  it.effect("begins without the upper store, and opens it as soon as it is there", () =>
    Effect.gen(function*() {
      const { above, below } = yield* two
      let opened = 0
      let closed = 0
      let there = false
      const upper = Layer.effect(
        PromptStore.PromptStore,
        Effect.gen(function*() {
          yield* Effect.acquireRelease(Effect.sync(() => opened++), () => Effect.sync(() => closed++))
          if (!there) return yield* Effect.fail("away" as const)
          return above
        })
      )
      const store = yield* build(PromptStore.layerOver(upper, layerOf(below)))
      const first = yield* store.snapshot
      assert.strictEqual(first.staleSince, 0)
      assert.strictEqual(first.prompts.get("a")!.labels.get("production"), 2)
      assert.deepStrictEqual(first.problems.map(({ lastGood }) => lastGood), [false])
      assert.strictEqual((yield* Effect.flip(store.publish(draft("a", "three"))))._tag, "PromptStoreError")
      assert.strictEqual((yield* Effect.flip(store.versions("a")))._tag, "PromptStoreError")
      assert.deepStrictEqual([opened, closed], [1, 1])
      let signals = 0
      yield* Effect.forkScoped(Stream.runForEach(store.changes, () => Effect.sync(() => void signals++)), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([opened, closed], [2, 2])
      yield* above.publish(draft("b", "above"))
      there = true
      const before = signals
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([opened, closed], [3, 2])
      yield* until(Effect.sync(() => signals > before))
      assert.isUndefined((yield* store.snapshot).staleSince)
      assert.strictEqual((yield* store.publish(draft("a", "three"))).version, 3)
    }))

  it.effect("does not wait for ever for the upper store to be opened", () =>
    Effect.gen(function*() {
      const { below } = yield* two
      const upper = Layer.effect(PromptStore.PromptStore, Effect.never)
      const fiber = yield* Effect.forkScoped(build(PromptStore.layerOver(upper, layerOf(below))), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")
      const store = yield* Fiber.join(fiber)
      assert.strictEqual((yield* store.snapshot).prompts.size, 2)
    }))

  it.effect("what is wrong with the program is no outage", () =>
    Effect.gen(function*() {
      const { below } = yield* two
      const upper = Layer.effect(PromptStore.PromptStore, Effect.die(new RangeError("wrong")))
      const exit = yield* Effect.exit(build(PromptStore.layerOver(upper, layerOf(below))))
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasDies(exit.cause))
      assert.throws(() => PromptStore.layerOver(upper, upper, { timeout: 0 }), RangeError, "timeout")
      assert.throws(() => PromptStore.layerOver(upper, upper, { reopenAfter: -1 }), RangeError, "reopenAfter")
    }))

  it.effect("closes both with the layer", () =>
    Effect.gen(function*() {
      const closed: Array<string> = []
      const closing = (name: string) =>
        Layer.effect(
          PromptStore.PromptStore,
          Effect.acquireRelease(memory, () => Effect.sync(() => closed.push(name)))
        )
      yield* Effect.scoped(Effect.map(
        Layer.build(PromptStore.layerOver(closing("upper"), closing("lower"))),
        Context.get(PromptStore.PromptStore)
      ))
      assert.sameMembers(closed, ["upper", "lower"])
    }))

  it.live("a database over files: what is published survives the next deployment", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const place = { home: "layered", filename: join(directory, "prompts.db"), directory } as const
      yield* write(directory, {
        "a/v1.yaml": "user_template: one\n",
        "a/v2.yaml": "user_template: two\n",
        "a/labels.yaml": "production: 2\n"
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* open(place)
        assert.strictEqual((yield* store.publish(draft("a", "three"))).version, 3)
        yield* store.label({ name: "a", label: "production", version: 3 })
        yield* store.label({ name: "a", label: "production", version: 2, reason: "worse" })
      }))
      // Without the version that the label points to.
      yield* write(directory, {
        "a/v2.yaml": undefined,
        "a/labels.yaml": "production: 1\nstaging: 1\n"
      })
      const store = yield* open(place)
      assert.deepStrictEqual(yield* served(store), {
        versions: { "a@1": "one", "a@2": "two", "a@3": "three" },
        labels: { "a/production": 2, "a/staging": 1 },
        problems: []
      })
    }))
})
