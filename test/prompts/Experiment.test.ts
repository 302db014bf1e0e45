import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Random, References, Stream } from "effect"
import { Attribution, LlmError, type Receipt } from "effect-bulwark"
import { Comparison, Experiment, PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { deploy, failureOf, flaky, Ollama, OpenAi, outage, setup, summarize } from "./support/registry.ts"

const { generateText } = PromptRegistry

const test = (
  name: string,
  body: (of: ReturnType<typeof setup>) => Effect.Effect<
    unknown,
    unknown,
    PromptRegistry.PromptRegistry | PromptStore.PromptStore | OpenAi | Ollama
  >
) =>
  it.effect(name, () => {
    const of = setup()
    // What guard-rails say is tested by what they do.
    return Effect.provide(body(of), [of.layer, Logger.layer([])])
  })

/** Two versions, the first in production. */
const versions = Effect.gen(function*() {
  yield* deploy({ user: "one {{ document }}" })
  yield* PromptRegistry.publish(summarize, { user: "two {{ document }}" })
  yield* PromptRegistry.publish(summarize, { user: "three {{ document }}" })
})

const half = { control: { weight: 50 }, candidate: { version: 2, weight: 50 } } as const
const whole = { control: { weight: 0 }, candidate: { version: 2, weight: 100 } } as const

const as = (user: string) => Attribution.annotate({ user })
const resolve = PromptRegistry.resolve(summarize)
const users = Array.from({ length: 200 }, (_, index) => `user-${index}`)
const variants = Effect.forEach(users, (user) => Effect.map(as(user)(resolve), ({ variant }) => variant))
const count = <A>(values: ReadonlyArray<A>, value: A) => values.filter((other) => other === value).length

/** Calls that go as they are told to, in the candidate. */
const calls = (
  script: ReadonlyArray<"good" | "bad" | ScriptedProvider.Step>,
  user = "ada"
): Effect.Effect<void, never, PromptRegistry.PromptRegistry | Ollama> =>
  Effect.forEach(
    script,
    (step) =>
      generateText(summarize, { document: "x" }).pipe(
        as(user),
        Effect.provide(ScriptedProvider.layer(OpenAi, [
          step === "good"
            ? ScriptedProvider.text("yes")
            : step === "bad"
            ? ScriptedProvider.fail(new LlmError.ServerError({ provider: "openai" }))
            : step
        ])),
        Effect.ignore
      ),
    { discard: true }
  )

/** Other fibers have their turn, and what is to be written is. */
const settle = Effect.forEach(Array.from({ length: 200 }), () => Effect.yieldNow, { discard: true })

const stored = (id: string) =>
  Effect.map(Experiment.list(summarize), (experiments) => experiments.find((experiment) => experiment.id === id)!)

describe("an experiment", () => {
  test("shares callers out, and receipts say so", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: half, by: "eve", reason: "is it as good?" })
      const before = yield* variants
      assert.deepStrictEqual(yield* variants, before)
      assert.isAbove(count(before, "candidate"), 60)
      assert.isAbove(count(before, "control"), 60)
      const user = users[before.indexOf("candidate")]!
      const { receipt, text } = yield* as(user)(generateText(summarize, { document: "x" }))
      assert.strictEqual(text, "user: two x")
      assert.deepInclude(receipt.prompt, {
        version: 2,
        label: "production",
        experiment: "shorter",
        variant: "candidate"
      })
      // Nobody in particular, and whoever asks for something else, takes no part.
      assert.deepInclude(yield* resolve, { version: 1, label: "production" })
      assert.notProperty(yield* resolve, "experiment")
      assert.notProperty(yield* as(user)(PromptRegistry.withVersion(resolve, summarize, 1)), "experiment")
      yield* PromptRegistry.label(summarize, { label: "staging", version: 3 })
      assert.deepInclude(yield* as(user)(PromptRegistry.withLabel(resolve, "staging")), {
        version: 3,
        label: "staging"
      })
      const history = yield* Experiment.history(summarize, "shorter")
      assert.deepStrictEqual(history.map(({ by, reason, revision }) => [by, reason, revision]), [
        ["eve", "is it as good?", 1]
      ])
    }))

  test("is over where its label is moved, and goes on where it is moved back", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: whole })
      const seen = Effect.map(as("ada")(resolve), ({ variant, version }) => [version, variant])
      assert.deepStrictEqual(yield* seen, [2, "candidate"])
      yield* PromptRegistry.label(summarize, { label: "production", version: 3 })
      assert.deepStrictEqual(yield* seen, [3, undefined])
      yield* PromptRegistry.rollback(summarize)
      assert.deepStrictEqual(yield* seen, [2, "candidate"])
    }))

  test("is stopped once, and started again with the same callers", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: half })
      const before = yield* variants
      yield* Experiment.stop(summarize, "shorter", { by: "ada", reason: "lunch" })
      assert.strictEqual(count(yield* variants, undefined), users.length)
      const { stopped } = yield* Experiment.stop(summarize, "shorter", { by: "eve" })
      assert.deepInclude(stopped, { by: "ada", reason: "lunch" })
      assert.strictEqual(
        (yield* failureOf(Experiment.reweigh(summarize, "shorter", {
          weights: { control: 50, candidate: 50 }
        })))._tag,
        "ExperimentRefused"
      )
      yield* Experiment.start(summarize, { id: "shorter", variants: half })
      assert.deepStrictEqual(yield* variants, before)
    }))

  test("goes up its ramp by the clock, and other weights take the place of the rest of it", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, {
        id: "shorter",
        variants: { control: { weight: 90 }, candidate: { version: 2, weight: 10 } },
        ramp: [
          { after: "1 day", weights: { control: 50, candidate: 50 } },
          { after: "2 days", weights: { control: 0, candidate: 100 } }
        ]
      })
      const first = yield* variants
      yield* TestClock.adjust("1 day")
      const second = yield* variants
      assert.isBelow(count(first, "candidate"), 45)
      assert.isAbove(count(second, "candidate"), 60)
      for (const [index, variant] of first.entries()) {
        if (variant === "candidate") assert.strictEqual(second[index], "candidate")
      }
      yield* Experiment.reweigh(summarize, "shorter", { weights: { control: 75, candidate: 25 }, by: "ada" })
      const third = yield* variants
      for (const [index, variant] of second.entries()) {
        if (variant === "control") assert.strictEqual(third[index], variant)
      }
      yield* TestClock.adjust("3 days")
      assert.deepStrictEqual(yield* variants, third)
    }))

  test("is promoted: its label moves, and it is over; and that can be rolled back", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: half })
      const { stopped } = yield* Experiment.promote(summarize, "shorter", "candidate", { by: "ada" })
      assert.deepInclude(stopped, { by: "ada", reason: "promoted candidate" })
      assert.deepInclude(yield* as("ada")(resolve), { version: 2, label: "production" })
      assert.strictEqual(
        (yield* PromptRegistry.history(summarize)).at(-1)?.reason,
        "candidate of the experiment shorter"
      )
      yield* PromptRegistry.rollback(summarize)
      assert.strictEqual((yield* as("ada")(resolve)).version, 1)
      assert.strictEqual(
        (yield* failureOf(Experiment.promote(summarize, "shorter", "candidate")))._tag,
        "ExperimentRefused"
      )
    }))

  test("that was promoted half-way leaves all with the winner, and the rest can be done later", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: half })
      // Killed after the label was moved.
      yield* PromptRegistry.label(summarize, { label: "production", version: 2 })
      assert.strictEqual(count(yield* variants, undefined), users.length)
      assert.strictEqual((yield* as("ada")(resolve)).version, 2)
      yield* Experiment.promote(summarize, "shorter", "candidate")
      assert.isDefined((yield* stored("shorter")).stopped)
      // One whose label somebody else has moved elsewhere promotes nothing.
      yield* Experiment.start(summarize, { id: "other", variants: { ...half, candidate: { version: 1, weight: 50 } } })
      yield* PromptRegistry.label(summarize, { label: "production", version: 3 })
      assert.strictEqual((yield* failureOf(Experiment.promote(summarize, "other", "candidate")))._tag, "PromptConflict")
      assert.strictEqual((yield* resolve).version, 3)
    }))

  test("is refused where it makes no sense", () =>
    Effect.gen(function*() {
      const refused = (options: Partial<Experiment.StartOptions<"candidate">>) =>
        Effect.map(
          failureOf(Experiment.start(summarize, { id: "shorter", variants: half, ...options })),
          (error) => error._tag === "ExperimentRefused" ? error.reason : error._tag
        )
      assert.strictEqual(yield* refused({}), "NotFound")
      yield* versions
      const weights = (control: number, candidate: number) => ({
        control: { weight: control },
        candidate: { version: 2, weight: candidate }
      })
      assert.strictEqual(yield* refused({ variants: weights(50, 40) }), "Invalid")
      assert.strictEqual(yield* refused({ variants: weights(-10, 110) }), "Invalid")
      assert.strictEqual(yield* refused({ variants: weights(99.999, 0.001) }), "Invalid")
      assert.strictEqual(yield* refused({ variants: weights(Number.NaN, 100) }), "Invalid")
      assert.strictEqual(yield* refused({ variants: { ...half, candidate: { version: 9, weight: 50 } } }), "NotFound")
      assert.strictEqual(yield* refused({ id: "no/name" }), "Invalid")
      assert.strictEqual(yield* refused({ label: "staging" }), "NotFound")
      assert.strictEqual(yield* refused({ group: { name: "g", from: 50, to: 50 } }), "Invalid")
      assert.strictEqual(yield* refused({ guardRails: [{ measure: "errorRate", above: 1 }] }), "Invalid")
      assert.strictEqual(yield* refused({ guardRails: [{ measure: "cost", above: "ten" }] }), "Invalid")
      assert.strictEqual(
        yield* refused({ guardRails: [{ measure: "latency", above: "1 second", quantile: 2 }] }),
        "Invalid"
      )
      assert.strictEqual(yield* refused({ guardRails: [{ measure: "errorRate", above: 0.1, calls: 0 }] }), "Invalid")
      assert.strictEqual(
        yield* refused({ ramp: [{ after: "1 day", weights: { control: 50, candidate: 60 } }] }),
        "Invalid"
      )
      // What does not fit the definition is refused as it is for a label.
      const store = yield* PromptStore.PromptStore
      yield* store.publish({ name: "summarize", content: { messages: [{ role: "user", template: "{{ nothing }}" }] } })
      assert.strictEqual(
        yield* refused({ variants: { ...half, candidate: { version: 4, weight: 50 } } }),
        "PromptUnfit"
      )
      assert.deepStrictEqual(yield* Experiment.list(), [])

      yield* Experiment.start(summarize, { id: "first", variants: half, group: { name: "g", from: 0, to: 50 } })
      assert.strictEqual(yield* refused({ id: "first" }), "Running")
      assert.strictEqual(yield* refused({}), "Overlap")
      assert.strictEqual(yield* refused({ group: { name: "g", from: 40, to: 60 } }), "Overlap")
      assert.strictEqual(yield* refused({ group: { name: "g", from: 50, to: 60 }, subject: "tenant" }), "Overlap")
      yield* Experiment.start(summarize, { id: "second", variants: half, group: { name: "g", from: 50, to: 100 } })
      assert.strictEqual((yield* failureOf(Experiment.stop(summarize, "third")))._tag, "ExperimentRefused")
      assert.strictEqual(
        (yield* failureOf(Experiment.stopVariant(summarize, "first", "third")))._tag,
        "ExperimentRefused"
      )
    }))

  test("that is none is reported, and nobody takes part in it", () =>
    Effect.gen(function*() {
      yield* versions
      const store = yield* PromptStore.PromptStore
      yield* store.saveExperiment({ name: "summarize", id: "broken", document: { secret: "s3cret" }, from: 0 })
      yield* PromptRegistry.reload
      const { experimentFaults } = yield* PromptRegistry.status
      assert.deepStrictEqual(experimentFaults.map(({ id, name }) => [name, id]), [["summarize", "broken"]])
      assert.notInclude(JSON.stringify(experimentFaults), "s3cret")
      assert.strictEqual((yield* as("ada")(resolve)).version, 1)
    }))
})

describe("a guard-rail", () => {
  const guarded = (guardRails: ReadonlyArray<Experiment.GuardRailOptions>) =>
    Effect.andThen(
      versions,
      Experiment.start(summarize, {
        id: "shorter",
        variants: { control: { weight: 0 }, candidate: { version: 2, weight: 50 }, other: { version: 3, weight: 50 } },
        guardRails
      })
    )
  const inVariant = (variant: string) => Effect.map(variants, (found) => users[found.indexOf(variant)]!)

  test("stops a variant when more fail than may, exactly then, and no other one", () =>
    Effect.gen(function*() {
      yield* guarded([{ measure: "errorRate", above: 0.2, calls: 10 }])
      const user = yield* inVariant("candidate")
      const variant = Effect.map(as(user)(resolve), ({ variant }) => variant)
      const two = ["bad", "bad", "good", "good", "good", "good", "good", "good", "good", "good"] as const
      yield* calls(["bad", ...two.slice(1, 9)], user)
      assert.strictEqual(yield* variant, "candidate")
      // Two of ten are at the bound, not above it, and they pass out of sight.
      yield* calls(["good", ...two, "good"], user)
      assert.strictEqual(yield* variant, "candidate")
      yield* calls(["bad", "bad"], user)
      assert.strictEqual(yield* variant, "candidate")
      yield* calls(["bad"], user)
      assert.strictEqual(yield* variant, undefined)
      assert.strictEqual((yield* as(user)(resolve)).version, 1)
      yield* settle
      const { stopped, variants } = yield* stored("shorter")
      assert.isUndefined(stopped)
      assert.deepStrictEqual(variants.map(({ name, stopped }) => [name, stopped?.by, stopped?.reason]), [
        ["control", undefined, undefined],
        ["candidate", "guard-rail", "3 of the last 10 calls failed: more than 20 %"],
        ["other", undefined, undefined]
      ])
      const other = yield* inVariant("other")
      assert.strictEqual((yield* as(other)(resolve)).version, 3)
    }))

  test("says nothing before it has seen enough, nor of calls that say nothing", () =>
    Effect.gen(function*() {
      yield* guarded([{ measure: "errorRate", above: 0, calls: 5 }])
      const user = yield* inVariant("candidate")
      yield* calls(["bad", "bad", "bad", "bad"], user)
      // Whoever goes away has not failed.
      const hanging = yield* calls([ScriptedProvider.silence], user).pipe(Effect.forkChild({ startImmediately: true }))
      yield* Fiber.interrupt(hanging)
      assert.strictEqual((yield* as(user)(resolve)).variant, "candidate")
      yield* calls(["good"], user)
      assert.strictEqual((yield* as(user)(resolve)).variant, undefined)
    }))

  test("stops a variant that takes too long", () =>
    Effect.gen(function*() {
      yield* guarded([{ measure: "latency", above: "2 seconds", quantile: 0.5, calls: 4 }])
      const user = yield* inVariant("candidate")
      const taking = (...seconds: ReadonlyArray<number>) =>
        Effect.gen(function*() {
          const script = seconds.map((delay) => ScriptedProvider.text("yes", { delay: `${delay} seconds` }))
          const fiber = yield* Effect.forkChild(calls(script, user), { startImmediately: true })
          yield* TestClock.adjust("1 minute")
          yield* Fiber.join(fiber)
        })
      yield* taking(2, 2, 9, 9)
      assert.strictEqual((yield* as(user)(resolve)).variant, "candidate")
      yield* taking(9)
      assert.strictEqual((yield* as(user)(resolve)).variant, undefined)
      yield* settle
      assert.match((yield* stored("shorter")).variants[1]!.stopped!.reason!, /0\.5 quantile .* 9000 ms/)
    }))

  test("stops a variant whose prompt fails before anything is sent, and streams that break", () =>
    Effect.gen(function*() {
      yield* guarded([{ measure: "errorRate", above: 0.5, calls: 2 }])
      const user = yield* inVariant("candidate")
      const cut = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.breakOff(["a", "b"]))
      const stream = PromptRegistry.streamText(summarize, { document: "x" }).pipe(
        Stream.runDrain,
        as(user),
        Effect.provide(cut),
        Effect.ignore
      )
      yield* stream
      assert.strictEqual((yield* as(user)(resolve)).variant, "candidate")
      yield* stream
      assert.strictEqual((yield* as(user)(resolve)).variant, undefined)
    }))

  test("of an experiment that was started again begins anew", () =>
    Effect.gen(function*() {
      yield* guarded([{ measure: "errorRate", above: 0.5, calls: 2 }])
      const user = yield* inVariant("candidate")
      yield* calls(["bad", "bad"], user)
      yield* settle
      yield* Experiment.stop(summarize, "shorter")
      yield* TestClock.adjust("1 minute")
      yield* Experiment.start(summarize, {
        id: "shorter",
        variants: whole,
        guardRails: [{ measure: "errorRate", above: 0.5, calls: 2 }]
      })
      assert.strictEqual((yield* as(user)(resolve)).variant, "candidate")
      yield* calls(["bad"], user)
      assert.strictEqual((yield* as(user)(resolve)).variant, "candidate")
      yield* calls(["bad"], user)
      assert.strictEqual((yield* as(user)(resolve)).variant, undefined)
    }))
})

describe("several registries", () => {
  const two = (store: Layer.Layer<PromptStore.PromptStore>) =>
    Effect.gen(function*() {
      const shared = yield* Layer.build(store)
      const registry = Effect.map(
        Layer.build(Layer.fresh(PromptRegistry.layer())).pipe(Effect.provide(shared)),
        (registry) => Layer.succeedContext(registry)
      )
      return [yield* registry, yield* registry, Layer.succeedContext(shared)] as const
    })
  const rails = [{ measure: "errorRate", above: 0.5, calls: 2 }] as const

  it.effect("stop a variant once, and all of them", () =>
    Effect.gen(function*() {
      const [one, other] = yield* two(PromptStore.layerMemory)
      const ollama = ScriptedProvider.layer(Ollama, [])
      yield* versions.pipe(Effect.provide(one))
      yield* Experiment.start(summarize, { id: "shorter", variants: whole, guardRails: rails }).pipe(
        Effect.provide(one)
      )
      yield* PromptRegistry.reload.pipe(Effect.provide(other))
      for (const registry of [one, other]) yield* calls(["bad"]).pipe(Effect.provide([registry, ollama]))
      yield* Effect.forEach([one, other], (registry) => calls(["bad"]).pipe(Effect.provide([registry, ollama])), {
        concurrency: 2
      })
      yield* settle
      for (const registry of [one, other]) {
        assert.strictEqual((yield* as("ada")(resolve).pipe(Effect.provide(registry))).version, 1)
      }
      const history = yield* Experiment.history(summarize, "shorter").pipe(Effect.provide(other))
      assert.deepStrictEqual(history.map(({ by, revision }) => [revision, by]), [[1, undefined], [2, "guard-rail"]])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))

  it.effect("change one experiment at once, and nothing is lost", () =>
    Effect.gen(function*() {
      const [one, other] = yield* two(PromptStore.layerMemory)
      yield* versions.pipe(Effect.provide(one))
      yield* Experiment.start(summarize, {
        id: "shorter",
        variants: { control: { weight: 0 }, a: { version: 2, weight: 50 }, b: { version: 3, weight: 50 } }
      }).pipe(Effect.provide(one))
      yield* Effect.all([
        Experiment.stopVariant(summarize, "shorter", "a", { by: "one" }).pipe(Effect.provide(one)),
        Experiment.stopVariant(summarize, "shorter", "b", { by: "other" }).pipe(Effect.provide(other)),
        Experiment.reweigh(summarize, "shorter", { weights: { control: 98, a: 1, b: 1 } }).pipe(Effect.provide(one))
      ], { concurrency: 3 })
      const { steps, variants } = yield* stored("shorter").pipe(Effect.provide(other))
      assert.deepStrictEqual(variants.map(({ stopped }) => stopped?.by), [undefined, "one", "other"])
      assert.strictEqual(steps.length, 2)
    }).pipe(Effect.scoped))

  it.effect("stop here at once while the store is out, and for all when it is back", () =>
    Effect.gen(function*() {
      const down: { current: Effect.Effect<void, PromptStore.PromptStoreError> } = { current: Effect.void }
      const [one, other, store] = yield* two(flaky(down).pipe(Layer.provide(PromptStore.layerMemory)))
      const ollama = ScriptedProvider.layer(Ollama, [])
      yield* versions.pipe(Effect.provide(one))
      yield* Experiment.start(summarize, { id: "shorter", variants: whole, guardRails: rails }).pipe(
        Effect.provide(one)
      )
      yield* PromptRegistry.reload.pipe(Effect.provide(other))
      yield* settle
      down.current = outage
      yield* calls(["bad", "bad"]).pipe(Effect.provide([one, ollama]))
      const seen = (registry: typeof one) =>
        Effect.map(as("ada")(resolve).pipe(Effect.provide(registry)), (r) => r.version)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual([yield* seen(one), yield* seen(other)], [1, 2])
      down.current = Effect.void
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual([yield* seen(one), yield* seen(other)], [1, 1])
      const { experimentHistory } = yield* PromptStore.PromptStore.pipe(Effect.provide(store))
      assert.strictEqual((yield* experimentHistory("summarize", "shorter")).length, 2)
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([])),
      Effect.provideService(References.UnhandledLogLevel, undefined)
    ))
})

describe("scores", () => {
  test("are of the version and the variant that made the answer", () =>
    Effect.gen(function*() {
      yield* versions
      yield* Experiment.start(summarize, { id: "shorter", variants: whole })
      const { receipt } = yield* as("ada")(generateText(summarize, { document: "x" }))
      const first = yield* PromptRegistry.score(receipt.operationId, "helpful", 1, { by: "ada", comment: "short" })
      assert.deepStrictEqual(first.prompt, receipt.prompt)
      // Sent twice, it counts once.
      yield* PromptRegistry.score(receipt, "helpful", 1, { by: "ada" })
      yield* PromptRegistry.score(receipt, "helpful", 0, { by: "eve" })
      yield* PromptRegistry.score({ operationId: "elsewhere", prompt: receipt.prompt }, "stars", 4)
      const store = yield* PromptStore.PromptStore
      const totals = yield* store.scoreTotals({ name: "summarize", experiment: "shorter" })
      assert.deepStrictEqual(
        totals.map(({ count, mean, metric, variant, version }) => [version, variant, metric, count, mean]),
        [
          [2, "candidate", "helpful", 2, 0.5],
          [2, "candidate", "stars", 1, 4]
        ]
      )
    }))

  test("of operations that nobody knows, or of no prompt, are refused", () =>
    Effect.gen(function*() {
      yield* versions
      const { receipt } = yield* generateText(summarize, { document: "x" })
      const { prompt: _, ...bare } = receipt
      assert.strictEqual((yield* failureOf(PromptRegistry.score("op_1", "helpful", 1)))._tag, "UnknownOperation")
      assert.strictEqual((yield* failureOf(PromptRegistry.score(bare, "helpful", 1)))._tag, "UnknownOperation")
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.strictEqual((yield* failureOf(PromptRegistry.score(receipt, "helpful", value)))._tag, "PromptRefused")
      }
    }))

  it.effect("are known of the last calls only", () => {
    const { layer } = setup({ remember: 2 })
    return Effect.gen(function*() {
      yield* versions
      const [first, ...others] = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.map(generateText(summarize, { document: "x" }), ({ receipt }) => receipt.operationId)
      )
      assert.strictEqual((yield* failureOf(PromptRegistry.score(first!, "helpful", 1)))._tag, "UnknownOperation")
      for (const id of others) yield* PromptRegistry.score(id, "helpful", 1)
    }).pipe(Effect.provide(layer))
  })

  it("options that are not legal throw", () => {
    assert.throws(() => PromptRegistry.layer({ remember: 0 }), RangeError)
    assert.throws(() => PromptRegistry.compare("a", [1], { confidence: 1 }), RangeError)
    assert.throws(() => PromptRegistry.compare("a", [1], { minimum: 1 }), RangeError)
  })
})

describe("a comparison", () => {
  const reference = (version: number) => ({ name: "summarize", version, hash: "h" })

  /** What a ledger would give. */
  const receipt = (version: number, index: number, more: Partial<Receipt.Receipt>): Receipt.Receipt => ({
    operationId: `op-${version}-${index}`,
    attribution: {},
    startedAt: index,
    outcome: "success",
    degraded: false,
    prompt: reference(version),
    attempts: [{ provider: "openai", model: "m", startMillis: 0, durationMillis: 1, outcome: "success" }],
    events: [],
    usage: { inputUncached: 10, inputCacheRead: 0, inputCacheWrite: 0, outputText: 5, outputReasoning: 0 },
    timings: { totalMillis: 100 },
    ...more
  })

  test("gives each version's figures", () =>
    Effect.gen(function*() {
      yield* versions
      const receipts = [
        ...Array.from({ length: 100 }, (_, index) =>
          receipt(1, index, index < 10 ? { outcome: "ServerError" } : { timings: { totalMillis: index } })),
        receipt(1, 200, { outcome: "interrupted" }),
        receipt(1, 201, { outcome: "BudgetExceeded", attempts: [] }),
        receipt(1, 202, { cache: "hit", timings: { totalMillis: 0 } }),
        receipt(2, 1, { outcome: "PromptInvalid", attempts: [] }),
        receipt(3, 1, {}),
        { ...receipt(1, 203, {}), prompt: { ...reference(1), name: "other" } }
      ]
      const comparison = yield* PromptRegistry.compare(summarize, [1, 2], { receipts: Stream.fromIterable(receipts) })
      const [one, two] = comparison.sides
      assert.deepInclude(one, { version: 1, calls: 101 })
      assert.deepInclude(one!.success, { kind: "rate", count: 101, mean: 91 / 101 })
      assert.deepInclude(one!.latency, { count: 90, p50: 54, p95: 95, p99: 99 })
      assert.deepInclude(one!.inputTokens, { mean: 10, low: 10, high: 10 })
      assert.isUndefined(one!.cost)
      assert.deepInclude(two, { version: 2, calls: 1, latency: undefined })
      assert.strictEqual(Comparison.difference(comparison, 2, "success")?.verdict, "too few")
      assert.deepInclude(Comparison.difference(comparison, 2, "latency"), { verdict: "too few", pValue: undefined })
      const text = Comparison.render(comparison)
      assert.include(text, "summarize@1: 101 calls")
      assert.include(text, "too few: it takes 30 values of each")
    }))

  test("looks at one experiment and one time, where it is told to", () =>
    Effect.gen(function*() {
      yield* versions
      yield* generateText(summarize, { document: "x" })
      yield* TestClock.adjust("1 hour")
      yield* Experiment.start(summarize, { id: "shorter", variants: half })
      yield* Effect.forEach(users, (user) => as(user)(generateText(summarize, { document: "x" })))
      const callsOf = (options: PromptRegistry.CompareOptions) =>
        Effect.map(PromptRegistry.compare(summarize, [1, 2], options), ({ sides }) =>
          sides.reduce((sum, { calls }) => sum + calls, 0))
      assert.strictEqual(yield* callsOf({}), 201)
      assert.strictEqual(yield* callsOf({ experiment: "shorter" }), 200)
      assert.strictEqual(yield* callsOf({ from: 1 }), 200)
      assert.strictEqual(yield* callsOf({ until: 1 }), 1)
      assert.strictEqual(yield* callsOf({ experiment: "other" }), 0)
    }))

  /** How often versions are found to differ. */
  const found = (trials: number, rateOfSecond: number, meanOfSecond: number) =>
    Effect.gen(function*() {
      const counts: Record<string, number> = { success: 0, latency: 0, "quality.helpful": 0, "quality.stars": 0 }
      const draw = Effect.map(Random.next, (chance) => chance)
      for (let trial = 0; trial < trials; trial++) {
        const metrics = [`helpful`, `stars`] as const
        const receipts: Array<Receipt.Receipt> = []
        const store = yield* PromptStore.PromptStore
        const scores: Array<PromptStore.Score> = []
        for (const version of [1, 2]) {
          for (let index = 0; index < 100; index++) {
            const rate = version === 1 ? 0.7 : rateOfSecond
            const mean = version === 1 ? 3 : meanOfSecond
            receipts.push(receipt(version, index, {
              outcome: (yield* draw) < rate ? "success" : "ServerError",
              timings: { totalMillis: 1_000 * mean + 1_000 * (yield* draw) }
            }))
            const values = [(yield* draw) < rate ? 1 : 0, mean + 2 * (yield* draw)] as const
            for (const [at, metric] of metrics.entries()) {
              const operationId = `${trial}-${version}-${index}`
              scores.push({
                id: `${operationId}/${metric}`,
                operationId,
                prompt: { ...reference(version), experiment: `trial-${trial}` },
                metric,
                value: values[at]!,
                at: 0
              })
            }
          }
        }
        yield* store.score(scores)
        const quality = yield* PromptRegistry.compare(summarize, [1, 2], { experiment: `trial-${trial}` })
        const calls = yield* PromptRegistry.compare(summarize, [1, 2], {
          receipts: Stream.fromIterable(receipts),
          from: 0
        })
        for (const measure of Object.keys(counts)) {
          const comparison = measure.startsWith("quality") ? quality : calls
          if (Comparison.difference(comparison, 2, measure)?.verdict === "significant") counts[measure]!++
        }
        yield* store.pruneScores(1)
      }
      return counts
    }).pipe(Random.withSeed("comparison"))

  const trials = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 100)

  test("finds what differs", () =>
    Effect.gen(function*() {
      yield* versions
      for (const [measure, count] of Object.entries(yield* found(10, 0.95, 4))) assert.strictEqual(count, 10, measure)
    }))

  test("finds nothing where nothing differs, but for the one time in twenty that it is bound to", () =>
    Effect.gen(function*() {
      yield* versions
      // Four standard deviations.
      const most = trials * 0.05 + 4 * Math.sqrt(trials * 0.05 * 0.95)
      for (const [measure, count] of Object.entries(yield* found(trials, 0.7, 3))) {
        assert.isAtMost(count, most, measure)
        if (trials >= 1_000) assert.isAtLeast(count, trials * 0.025, measure)
      }
    }))
})
