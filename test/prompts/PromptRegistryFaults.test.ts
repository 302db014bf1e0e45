/**
 * The registry when things go wrong: a store that is out, slow or broken, versions that change under load, and deploys that end half-way.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Layer, Logger, References, Schema, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { deploy, failureOf, flaky, Ollama, OpenAi, outage, setup, summarize, texts } from "./support/registry.ts"

/** How many calls are made while versions change. */
const calls = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 2_000)

/** What a store in memory says, with a fault in front of it. */
const faulty = () => {
  const down: { current: Effect.Effect<void, PromptStore.PromptStoreError> } = { current: Effect.void }
  const store = PromptStore.layerMemory
  return { down, store: flaky(down).pipe(Layer.provide(store)), behind: store }
}

const version = Effect.map(PromptRegistry.resolve(summarize), ({ version }) => version)

const put = (store: PromptStore.PromptStore["Service"], template: string) =>
  Effect.gen(function*() {
    const { version } = yield* store.publish({ name: "summarize", content: { messages: [{ role: "user", template }] } })
    yield* store.label({ name: "summarize", label: "production", version })
  })

describe("versions that change under load", () => {
  it.live("each answer is of one version: messages, settings and model", () => {
    const { layer, ollama, openai } = setup()
    return Effect.gen(function*() {
      const versions = 5
      for (let n = 1; n <= versions; n++) {
        yield* deploy({
          system: `version ${n}`,
          user: `version ${n}: {{ document }}`,
          examples: [{ user: `version ${n}?`, assistant: `version ${n}!` }],
          settings: { maxOutputTokens: n, extra: { version: n } },
          model: n % 2 === 0 ? "small" : "local"
        })
      }
      let done = false
      let moves = 0
      const moving = Effect.gen(function*() {
        while (!done) {
          // A rollback may find nothing to go back to.
          yield* Effect.ignore(PromptRegistry.rollback(summarize))
          yield* PromptRegistry.label(summarize, { label: "production", version: 1 + moves++ % versions })
          yield* Effect.yieldNow
        }
      })
      const reloading = Effect.gen(function*() {
        while (!done) {
          yield* PromptRegistry.reload
          yield* Effect.yieldNow
        }
      })
      const background = yield* Effect.forkChild(Effect.all([moving, reloading], { concurrency: 2 }))
      const seen = new Set<number>()
      yield* Effect.forEach(Array.from({ length: calls }, (_, n) => n), (n) =>
        Effect.gen(function*() {
          if (n % 10 === 0) yield* Effect.sleep(0)
          const { receipt } = yield* PromptRegistry.generateText(summarize, { document: "x" })
          seen.add(receipt.prompt!.version)
          assert.strictEqual(receipt.provider, receipt.prompt!.version % 2 === 0 ? "openai" : "ollama")
        }), { concurrency: 8 })
      done = true
      yield* Fiber.join(background)
      assert.isTrue(moves > 5 && seen.size > 1, `${moves} moves, ${seen.size} versions`)
      const all = [...openai.calls, ...ollama.calls]
      assert.strictEqual(all.length, calls)
      for (const { request: { prompt, settings } } of all) {
        const numbers = new Set(texts(prompt).map((text) => /version (\d)/.exec(text)?.[1]))
        assert.deepStrictEqual([...numbers], [String(settings.maxOutputTokens)])
        assert.strictEqual(settings.extra?.["version"], settings.maxOutputTokens)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("a call that has begun keeps its version, and so does a stream", () => {
    const { layer, openai } = setup()
    return Effect.gen(function*() {
      yield* deploy({ user: "one {{ document }}" })
      const stream = PromptRegistry.streamText(summarize, { document: "x" }).pipe(Llm.textDeltas)
      const read = yield* Effect.forkChild(
        Stream.runCollect(stream).pipe(
          Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(["a", "b"], { between: "1 second" })]))
        ),
        { startImmediately: true }
      )
      yield* deploy({ user: "two {{ document }}" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(read), ["a", "b"])
      // A stream is of the version in use when it is run, not when it was made.
      assert.deepStrictEqual(yield* Stream.runCollect(stream), ["user: two x"])
      assert.strictEqual(openai.calls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("two who roll back at once roll back once", () => {
    const { layer } = setup()
    return Effect.gen(function*() {
      for (const n of [1, 2, 3]) yield* deploy({ user: `${n} {{ document }}` })
      const exits = yield* Effect.all(
        [1, 2, 3].map(() => Effect.exit(PromptRegistry.rollback(summarize))),
        { concurrency: "unbounded" }
      )
      const current = yield* version
      // Those that came after another had finished went one further.
      assert.strictEqual(current, 3 - exits.filter(Exit.isSuccess).length)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a reading that was slow does not take the place of a newer one", () =>
    Effect.gen(function*() {
      const { behind, down, store } = faulty()
      const latch = yield* Latch.make(true)
      down.current = latch.await
      const layer = PromptRegistry.layer({ storeTimeout: "1 hour" }).pipe(Layer.provide(store))
      yield* Effect.gen(function*() {
        const memory = yield* PromptStore.PromptStore
        yield* put(memory, "one {{ document }}")
        yield* PromptRegistry.reload
        latch.closeUnsafe()
        const slow = yield* Effect.forkChild(PromptRegistry.reload, { startImmediately: true })
        yield* put(memory, "two {{ document }}")
        const next = yield* Effect.forkChild(PromptRegistry.reload, { startImmediately: true })
        assert.strictEqual(yield* version, 1)
        latch.openUnsafe()
        yield* Fiber.join(next)
        yield* Fiber.join(slow)
        assert.strictEqual(yield* version, 2)
      }).pipe(Effect.provide(layer.pipe(Layer.provideMerge(behind))))
    }))
})

describe("deploys that end half-way", () => {
  it.effect("between publishing and moving the label: nothing changes until it is moved", () => {
    const { layer } = setup()
    return Effect.gen(function*() {
      yield* deploy({ user: "one {{ document }}" })
      const published = yield* Deferred.make<void>()
      const deploying = yield* Effect.forkChild(
        Effect.gen(function*() {
          const { version } = yield* PromptRegistry.publish(summarize, { user: "two {{ document }}" })
          yield* Deferred.succeed(published, undefined)
          yield* Effect.sleep("1 day")
          yield* PromptRegistry.label(summarize, { label: "production", version })
        }),
        { startImmediately: true }
      )
      yield* Deferred.await(published)
      yield* Fiber.interrupt(deploying)
      yield* PromptRegistry.reload
      assert.strictEqual((yield* PromptRegistry.inspect(summarize))?.versions.size, 2)
      assert.strictEqual(yield* version, 1)
      // To begin again finds the version that is there.
      const again = yield* PromptRegistry.publish(summarize, { user: "two {{ document }}" })
      assert.strictEqual(again.version, 2)
      yield* PromptRegistry.label(summarize, { label: "production", version: again.version })
      assert.strictEqual(yield* version, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a move whose answer is lost happened or did not, and can be sent again", () =>
    Effect.gen(function*() {
      const { behind, store } = faulty()
      const lost = Layer.effect(
        PromptStore.PromptStore,
        Effect.map(PromptStore.PromptStore, (store) =>
          PromptStore.PromptStore.of({
            ...store,
            label: (move) => Effect.andThen(store.label(move), Effect.andThen(outage, Effect.die("never")))
          }))
      )
      const layer = PromptRegistry.layer().pipe(Layer.provide(lost), Layer.provide(store))
      yield* Effect.gen(function*() {
        yield* PromptRegistry.publish(summarize, { user: "one {{ document }}" })
        const move = PromptRegistry.label(summarize, { label: "production", version: 1 })
        for (let n = 0; n < 2; n++) assert.strictEqual((yield* failureOf(move))._tag, "PromptStoreError")
        yield* PromptRegistry.reload
        assert.strictEqual(yield* version, 1)
        const memory = yield* PromptStore.PromptStore
        assert.strictEqual((yield* memory.history("summarize")).length, 1)
      }).pipe(Effect.provide(layer.pipe(Layer.provideMerge(behind))))
    }))
})

describe("a store that is out", () => {
  const open = (options?: PromptRegistry.Options) => {
    const { behind, down, store } = faulty()
    const openai = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("ok"))
    const ollama = ScriptedProvider.layer(Ollama, [])
    const layer = Layer.mergeAll(
      PromptRegistry.layer(options).pipe(Layer.provide(store), Layer.provideMerge(behind)),
      openai.layer,
      ollama
    )
    return { behind, down, layer }
  }

  it.effect("changes nothing for calls, is told, and is asked again until it is back", () => {
    const { down, layer } = open()
    return Effect.gen(function*() {
      const store = yield* PromptStore.PromptStore
      yield* put(store, "one {{ document }}")
      yield* PromptRegistry.reload
      assert.deepInclude(yield* PromptRegistry.status, { staleSince: undefined, prompts: 1, problems: [], faults: [] })
      yield* TestClock.adjust("1 minute")
      down.current = outage
      yield* put(store, "two {{ document }}")
      yield* TestClock.adjust("10 minutes")
      const answer = yield* PromptRegistry.generateText(summarize, { document: "x" })
      assert.deepStrictEqual([answer.text, answer.receipt.prompt?.version], ["ok", 1])
      assert.strictEqual((yield* PromptRegistry.status).staleSince, 60_000)
      assert.strictEqual(
        (yield* failureOf(PromptRegistry.publish(summarize, { user: "{{ document }}" })))._tag,
        "PromptStoreError"
      )
      assert.strictEqual((yield* failureOf(PromptRegistry.rollback(summarize)))._tag, "PromptStoreError")
      assert.strictEqual(yield* version, 1)
      down.current = Effect.void
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* version, 2)
      assert.strictEqual((yield* PromptRegistry.status).staleSince, undefined)
    }).pipe(Effect.provide(layer))
  })

  it.effect("follows its changes by itself", () => {
    const { layer } = open()
    return Effect.gen(function*() {
      const store = yield* PromptStore.PromptStore
      for (const n of [1, 2, 3]) {
        yield* put(store, `${n} {{ document }}`)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* version, n)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("that does not answer is out", () => {
    const { down, layer } = open({ storeTimeout: "2 seconds" })
    return Effect.gen(function*() {
      const store = yield* PromptStore.PromptStore
      yield* put(store, "one {{ document }}")
      yield* PromptRegistry.reload
      down.current = Effect.never
      const reload = yield* Effect.forkChild(failureOf(PromptRegistry.reload), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(reload))._tag, "PromptStoreError")
      assert.strictEqual((yield* PromptRegistry.status).staleSince, 2_000)
      assert.strictEqual(yield* version, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that dies is out, and followed on", () => {
    const { down, layer } = open()
    return Effect.gen(function*() {
      const store = yield* PromptStore.PromptStore
      yield* put(store, "one {{ document }}")
      yield* PromptRegistry.reload
      down.current = Effect.die(new Error("bug"))
      yield* put(store, "two {{ document }}")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* version, 1)
      down.current = Effect.void
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* version, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("at the start fails the layer, or leaves it without prompts until the store is back", () =>
    Effect.gen(function*() {
      const failing = open()
      failing.down.current = outage
      assert.strictEqual((yield* failureOf(Effect.provide(version, failing.layer)))._tag, "PromptStoreError")

      const allowing = open({ onStoreError: "allow" })
      allowing.down.current = outage
      yield* Effect.gen(function*() {
        yield* put(yield* PromptStore.PromptStore, "one {{ document }}")
        assert.strictEqual((yield* failureOf(version))._tag, "PromptNotFound")
        assert.deepInclude(yield* PromptRegistry.status, { staleSince: 0, loadedAt: 0 })
        allowing.down.current = Effect.void
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual(yield* version, 1)
      }).pipe(Effect.provide(allowing.layer))
    }))

  it.effect("over what was shipped starts with that, marked, and is made up for when it is back", () =>
    Effect.gen(function*() {
      const { behind, down, store } = faulty()
      const shipped = Layer.effect(
        PromptStore.PromptStore,
        Effect.tap(PromptStore.PromptStore, (store) => put(store, "shipped {{ document }}"))
      ).pipe(Layer.provide(Layer.fresh(PromptStore.layerMemory)))
      down.current = Effect.never
      const layer = PromptRegistry.layer().pipe(
        Layer.provide(PromptStore.layerOver(store, shipped)),
        Layer.provideMerge(behind)
      )
      let started = false
      const starting = yield* Effect.forkChild(
        Effect.gen(function*() {
          started = true
          const said = Effect.map(PromptRegistry.render(summarize, { document: "x" }), ({ prompt }) => texts(prompt)[0])
          assert.strictEqual(yield* said, "user: shipped x")
          assert.isDefined((yield* PromptRegistry.status).staleSince)
          down.current = Effect.void
          yield* TestClock.adjust("1 minute")
          assert.isUndefined((yield* PromptRegistry.status).staleSince)
          assert.include((yield* failureOf(PromptRegistry.rollback(summarize))).message, "no other version before")
          const { version } = yield* PromptRegistry.publish(summarize, { user: "better {{ document }}" })
          assert.strictEqual(version, 2)
          yield* PromptRegistry.label(summarize, { label: "production", version })
          assert.strictEqual(yield* said, "user: better x")
          yield* PromptRegistry.rollback(summarize)
          assert.strictEqual(yield* said, "user: shipped x")
        }).pipe(Effect.provide(layer)),
        { startImmediately: true }
      )
      // What is hashed on the way takes its own time: how often the clock has to be set on before the upper store is waited for is open.
      yield* Effect.repeat(
        Effect.andThen(
          Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          TestClock.adjust("5 seconds")
        ),
        { until: () => started }
      )
      yield* Fiber.join(starting)
    }))

  it.effect("in part is marked as the store marks it", () => {
    const { behind } = open()
    const stale = Layer.effect(
      PromptStore.PromptStore,
      Effect.map(PromptStore.PromptStore, (store) =>
        PromptStore.PromptStore.of({
          ...store,
          snapshot: Effect.map(store.snapshot, (snapshot) => ({ ...snapshot, staleSince: 42 }))
        }))
    )
    return Effect.gen(function*() {
      assert.strictEqual((yield* PromptRegistry.status).staleSince, 42)
    }).pipe(Effect.provide(PromptRegistry.layer().pipe(Layer.provide(stale), Layer.provide(behind))))
  })

  it.effect("is logged once an outage, without what prompts say", () => {
    const { down, layer } = open()
    const logged: Array<string> = []
    return Effect.gen(function*() {
      yield* put(yield* PromptStore.PromptStore, "s3cret {{ document }}")
      yield* PromptRegistry.reload
      down.current = outage
      for (let n = 0; n < 3; n++) yield* failureOf(PromptRegistry.reload)
      down.current = Effect.void
      yield* PromptRegistry.reload
      down.current = outage
      yield* failureOf(PromptRegistry.reload)
      assert.strictEqual(logged.filter((line) => line.includes("could not reach its store")).length, 2)
      assert.notInclude(logged.join(), "s3cret")
    }).pipe(
      Effect.provide(layer),
      Effect.provideService(References.UnhandledLogLevel, "Error"),
      Effect.provide(
        Logger.layer([
          Logger.make(({ cause, message }) => void logged.push(`${String(message)} ${Cause.pretty(cause)}`))
        ])
      )
    )
  })
})

describe("what is parsed", () => {
  it.effect("is parsed once, and kept from one reading to the next", () => {
    const { layer } = setup()
    return Effect.gen(function*() {
      yield* deploy({ user: "one {{ document }}" })
      const { prompts } = yield* PromptRegistry.PromptRegistry
      const compiled = () => prompts.serving.compile(prompts.serving.find("summarize", 1)!)
      const before = compiled()
      const { serving } = prompts
      yield* deploy({ user: "two {{ document }}" })
      assert.notStrictEqual(prompts.serving, serving)
      assert.strictEqual(compiled(), before)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is parsed anew where a fragment of it has changed", () =>
    Effect.gen(function*() {
      const files: { current: string } = { current: "calm" }
      const prompt = (name: string, content: Parameters<PromptStore.PromptStore["Service"]["publish"]>[0]["content"]) =>
        Effect.gen(function*() {
          const store = yield* PromptStore.PromptStore
          const { version } = yield* store.publish({ name, content })
          yield* store.label({ name, label: "production", version })
        })
      // Files that are edited while a program is developed: one number, another content.
      const edited = Layer.effect(
        PromptStore.PromptStore,
        Effect.gen(function*() {
          const store = yield* PromptStore.PromptStore
          return PromptStore.PromptStore.of({
            ...store,
            snapshot: Effect.suspend(() =>
              Effect.gen(function*() {
                yield* prompt("tone", { messages: [{ role: "user", template: files.current }] })
                yield* prompt("greet", {
                  messages: [{ role: "user", template: "{% include 'tone' %}" }],
                  includes: { tone: { name: "tone", version: 1 } }
                })
                return yield* (yield* PromptStore.PromptStore).snapshot
              }).pipe(
                Effect.catchTag(["PromptConflict", "PromptRefused"], Effect.die),
                Effect.provide(Layer.fresh(PromptStore.layerMemory))
              )
            )
          })
        })
      )
      const greet = PromptRegistry.define("greet", { variables: Schema.Struct({}) })
      yield* Effect.gen(function*() {
        const said = Effect.map(PromptRegistry.render(greet, {}), ({ prompt }) => texts(prompt))
        assert.deepStrictEqual(yield* said, ["user: calm"])
        files.current = "wild"
        yield* PromptRegistry.reload
        assert.deepStrictEqual(yield* said, ["user: wild"])
      }).pipe(
        Effect.provide(PromptRegistry.layer().pipe(Layer.provide(edited), Layer.provide(PromptStore.layerMemory)))
      )
    }))
})
