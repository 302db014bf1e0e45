import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { type Call, Limiter, Llm, LlmError, Opened, Plan, type Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"
const llm = openai.pipe(Limiter.enforce())

const text = <E, R>(llm: Llm.Llm<E, R>) => Effect.asVoid(Llm.generateText(llm, question))
const stream = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))
const kinds = { "a full answer": text, "a stream": stream } as const

/** Takes a second to begin, and half of one for each of its five parts. */
const slow = ScriptedProvider.text(["a", "b"], { delay: "1 second", between: "500 millis" })

const world = (limits: Limiter.Limits, script: ScriptedProvider.Script = () => slow) => {
  const provider = ScriptedProvider.make(OpenAi, script)
  return { calls: provider.calls, layer: Layer.merge(provider.layer, Limiter.layerMemory({ limits })) }
}

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const outcomes = (calls: ReadonlyArray<ScriptedProvider.SeenCall>) => calls.map((call) => call.outcome)
const times = (calls: ReadonlyArray<ScriptedProvider.SeenCall>) => calls.map((call) => call.at)

const spaced = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))

const idle = { inFlight: 0, queued: { interactive: 0, batch: 0 } }

const saturated = <A, E>(exit: Exit.Exit<A, E>) =>
  Effect.map(Effect.flip(exit), (error) => {
    assert(error instanceof LlmError.Saturated, `it failed with ${LlmError.tagOf(error)}`)
    const { key, limit, model, provider, queued, reason, resource, retryAfter } = error
    assert.deepStrictEqual({ key, provider, model }, {
      key: "openai/gpt-5-mini",
      provider: "openai",
      model: "gpt-5-mini"
    })
    return { resource, reason, limit, queued, retryAfter: retryAfter && Duration.toMillis(retryAfter) }
  })

for (const [kind, ask] of Object.entries(kinds)) {
  describe(`calls in flight: ${kind}`, () => {
    it.effect("are as many as the limit, and the others wait for the end of an answer", () => {
      const { calls, layer } = world({ concurrency: 2 })
      return Effect.gen(function*() {
        const fibers = yield* Effect.replicateEffect(fork(ask(llm)), 5)
        assert.strictEqual(calls.length, 2)
        assert.deepStrictEqual(yield* Limiter.status(key), {
          inFlight: 2,
          queued: { interactive: 3, batch: 0 },
          limit: 2
        })
        // The first part has come, but the answer has not ended.
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(calls.length, 2)
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.joinAll(fibers)
        assert.deepStrictEqual(times(calls), [0, 0, 3_000, 3_000, 6_000])
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 2 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("that fail make room, whatever they fail with", () => {
      const failing = ScriptedProvider.fail("InvalidRequest", { delay: "1 second" })
      const { calls, layer } = world({ concurrency: 1 }, [failing, failing, slow])
      return Effect.gen(function*() {
        const fibers = yield* Effect.replicateEffect(fork(Effect.exit(ask(llm))), 3)
        yield* TestClock.adjust("10 seconds")
        yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(times(calls), [0, 1_000, 2_000])
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("that break off or die make room", () => {
      const { layer } = world({ concurrency: 1 }, [ScriptedProvider.breakOff(["a"]), slow])
      const dying = Llm.make({ plan: openai.plan, open: () => Effect.die(new Error("a defect")) })
      return Effect.gen(function*() {
        yield* Effect.exit(ask(llm))
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
        yield* Effect.exit(ask(dying.pipe(Limiter.enforce())))
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
        const throwing = Llm.make<never, never>({
          plan: openai.plan,
          open: () => {
            throw new Error("a bug")
          }
        })
        const exit = yield* Effect.exit(ask(throwing.pipe(Limiter.enforce())))
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("that are interrupted make room: in the queue, before the first part, in the answer", () => {
      const { calls, layer } = world({ concurrency: 1 })
      return Effect.gen(function*() {
        const probe = yield* makeProbe
        const running = yield* fork(probe.watch(ask(llm)))
        const queued = yield* fork(probe.watch(ask(llm)))
        const last = yield* fork(probe.watch(ask(llm)))
        assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 2, batch: 0 })
        yield* Fiber.interrupt(queued)
        assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 1, batch: 0 })
        // In the answer of a stream, before the end of a full one.
        yield* TestClock.adjust("1700 millis")
        yield* Fiber.interrupt(running)
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(times(calls), [0, 1_700])
        yield* Fiber.interrupt(last)
        assert.deepStrictEqual(outcomes(calls), ["interrupted", "interrupted"])
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
      }).pipe(Effect.provide(layer))
    })

    it.effect("that are granted a permit and interrupted at the same moment give it back", () => {
      const { calls, layer } = world({ concurrency: 1 })
      return Effect.gen(function*() {
        const running = yield* fork(ask(llm))
        const next = yield* fork(ask(llm))
        // Both at once: the permit of the first is handed to the second, which is on its way out.
        running.interruptUnsafe()
        next.interruptUnsafe()
        yield* Fiber.await(running)
        yield* Fiber.await(next)
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
        assert.isAtMost(calls.length, 2)
      }).pipe(Effect.provide(layer))
    })

    it.effect("are refused when the queue is full", () => {
      const { calls, layer } = world({ concurrency: 1, queue: { size: 1 } })
      return Effect.gen(function*() {
        const receipts = makeReceipts()
        const fibers = yield* Effect.replicateEffect(fork(ask(llm)), 2)
        const exit = yield* Effect.exit(receipts.observe(ask(llm)))
        assert.deepStrictEqual(yield* saturated(exit), {
          resource: "concurrency",
          reason: "queueFull",
          limit: 1,
          queued: 1,
          retryAfter: undefined
        })
        assert.deepStrictEqual(receipts.one().events, [{
          type: "rejected",
          atMillis: 0,
          afterAttempts: 0,
          reason: "Saturated"
        }])
        assert.deepStrictEqual(receipts.one().attempts, [])
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.joinAll(fibers)
        assert.strictEqual(calls.length, 2)
      }).pipe(Effect.provide(layer))
    })

    it.effect("are refused at once where none may wait, and sent where one may", () => {
      const { calls, layer } = world({ concurrency: 1, queue: { size: 0 } })
      return Effect.gen(function*() {
        const fiber = yield* fork(ask(llm))
        const { queued, reason } = yield* saturated(yield* Effect.exit(ask(llm)))
        assert.deepStrictEqual([reason, queued], ["queueFull", 0])
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(calls.length, 1)
      }).pipe(Effect.provide(layer))
    })

    it.effect("give up after the longest wait", () => {
      const { calls, layer } = world({ concurrency: 1, queue: { maxWait: "2 seconds" } })
      return Effect.gen(function*() {
        const probe = yield* makeProbe
        const running = yield* fork(ask(llm))
        const waiting = yield* fork(probe.watch(Effect.exit(ask(llm))))
        yield* TestClock.adjust("1999 millis")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* saturated(yield* Fiber.join(waiting)), {
          resource: "concurrency",
          reason: "waitTooLong",
          limit: 1,
          queued: 1,
          retryAfter: undefined
        })
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(running)
        assert.strictEqual(calls.length, 1)
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("wait 30 seconds at most where nothing else is said, and no longer than the call has time", () => {
      const { layer } = world({ concurrency: 1 }, () => ScriptedProvider.silence)
      return Effect.gen(function*() {
        const running = yield* fork(ask(llm))
        const waiting = yield* fork(Effect.exit(ask(llm)))
        const bounded = yield* fork(Effect.flip(ask(llm.pipe(Llm.timeout({ total: "5 seconds" })))))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(bounded))._tag, "TimedOut")
        yield* TestClock.adjust("24999 millis")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* saturated(yield* Fiber.join(waiting))).reason, "waitTooLong")
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("are noted in the receipt where they waited, and how long", () => {
      const { layer } = world({ concurrency: 1 })
      return Effect.gen(function*() {
        const receipts = makeReceipts()
        const fibers = yield* Effect.replicateEffect(fork(receipts.observe(ask(llm))), 3)
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.joinAll(fibers)
        const events: ReadonlyArray<ReadonlyArray<Receipt.Event>> = receipts.seen.map((receipt) => receipt.events)
        assert.deepStrictEqual(events, [
          [],
          [{ type: "queue", atMillis: 3_000, afterAttempts: 0, reason: "concurrency", delayMillis: 3_000 }],
          [{ type: "queue", atMillis: 6_000, afterAttempts: 0, reason: "concurrency", delayMillis: 6_000 }]
        ])
      }).pipe(Effect.provide(layer))
    })

    it.effect("may be many that wait, and all of them at once", () => {
      const { calls, layer } = world(
        { concurrency: 1, queue: { size: 5_000 } },
        (_, index) =>
          index === 0 ? ScriptedProvider.text("Hello!", { delay: "1 second" }) : ScriptedProvider.text("Hello!")
      )
      return Effect.gen(function*() {
        const fibers = yield* Effect.replicateEffect(fork(ask(llm)), 3_000)
        yield* TestClock.adjust("1 second")
        yield* Fiber.joinAll(fibers)
        assert.strictEqual(calls.length, 3_000)
        assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      }).pipe(Effect.provide(layer))
    })

    it.effect("leave nothing running", () => {
      const { layer } = world({ concurrency: 1 })
      return Effect.gen(function*() {
        const probe = yield* makeProbe
        const fibers = yield* Effect.replicateEffect(fork(probe.watch(ask(llm))), 4)
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.joinAll(fibers)
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
      }).pipe(Effect.provide(layer))
    })

    it.effect("that find the gate open start no timer and no fiber", () => {
      const { layer } = world({ concurrency: 1 }, () => ScriptedProvider.text("Hello!"))
      return Effect.gen(function*() {
        const probe = yield* makeProbe
        yield* probe.watch(ask(llm))
        assert.strictEqual(probe.sleeps(), 0)
      }).pipe(Effect.provide(layer))
    })
  })
}

describe("the permit of a stream", () => {
  it.effect("is held until its last part, not until its scope closes", () => {
    const { calls, layer } = world({ concurrency: 1 })
    return Effect.gen(function*() {
      const next = yield* Effect.forkChild(text(llm))
      // A consumer that reads to the end and then takes its time.
      const fiber = yield* fork(
        Llm.streamText(llm, question).pipe(
          Stream.runForEach((part) => part.type === "finish" ? Effect.sleep("1 hour") : Effect.void)
        )
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(next)
      assert.deepStrictEqual(times(calls), [0, 3_000])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is given back by a consumer who stops reading", () => {
    const { calls, layer } = world({ concurrency: 1 })
    return Effect.gen(function*() {
      yield* fork(Stream.runDrain(Stream.take(Llm.streamText(llm, question), 2)))
      const next = yield* fork(text(llm))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(next)
      assert.deepStrictEqual(outcomes(calls), ["interrupted", "success"])
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("is given back by a scope that closes on a stream that nobody has read", () => {
    const { layer } = world({ concurrency: 1 }, () => ScriptedProvider.text(["a", "b"]))
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      let opened = false
      const unread = llm.pipe((self) =>
        Llm.make({
          plan: self.plan,
          open: (call) =>
            Effect.tap(self.open(call), () => {
              opened = true
              return Effect.never
            })
        })
      )
      const fiber = yield* fork(Scope.provide(Stream.runDrain(Llm.streamText(unread, question)), scope))
      assert.isTrue(opened)
      assert.strictEqual((yield* Limiter.status(key)).inFlight, 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("is given back by an attempt that lost, at once", () => {
    const { calls, layer } = world(
      { concurrency: 2 },
      (_, index) => index === 0 ? ScriptedProvider.silence : ScriptedProvider.text(["a", "b"], { between: "1 second" })
    )
    // As a hedge does it: two at once, and the first part decides.
    const racing = Llm.make({
      plan: llm.plan,
      open: (call: Call.Call) => Effect.raceFirst(Llm.attempt(llm.open(call)), Llm.attempt(llm.open(call)))
    })
    return Effect.gen(function*() {
      const fiber = yield* fork(stream(racing))
      assert.strictEqual((yield* Limiter.status(key)).inFlight, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(outcomes(calls), ["interrupted", undefined])
      assert.strictEqual((yield* Limiter.status(key)).inFlight, 1)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 2 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("is given back where a whole call ends with a stream, which it ought not", () => {
    const wrong = Llm.make({
      plan: openai.plan,
      open: () => Effect.succeed(Opened.flow(Stream.never))
    }).pipe(Limiter.enforce())
    return Effect.gen(function*() {
      const fiber = yield* fork(Effect.exit(text(wrong)))
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(Limiter.layerMemory({ limits: { concurrency: 1 } })))
  })

  it.effect("is given back where a stream's call ends with a whole answer", () => {
    const { layer } = world({ concurrency: 1 }, [ScriptedProvider.fail("Overloaded")])
    const degrading = openai.pipe(Llm.orElseSucceed(() => "no"), Limiter.enforce())
    return Effect.gen(function*() {
      yield* stream(degrading)
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: 1 })
    }).pipe(Effect.provide(layer))
  })
})

describe("who goes first", () => {
  const arrive = (order: Array<string>, name: string, priority: "interactive" | "batch") =>
    fork(
      Effect.exit(
        Llm.generateText(
          Llm.make({
            plan: openai.plan,
            open: () =>
              Effect.as(
                Effect.andThen(Effect.sync(() => void order.push(name)), Effect.sleep("1 second")),
                Opened.whole([])
              )
          }).pipe(Limiter.enforce()),
          question
        ).pipe(Limiter.withPriority(priority))
      )
    )

  it.effect("interactive calls before batch calls, and each in the order in which they came", () => {
    const order: Array<string> = []
    return Effect.gen(function*() {
      for (
        const [name, priority] of [
          ["b1", "batch"],
          ["b2", "batch"],
          ["i1", "interactive"],
          ["b3", "batch"],
          ["i2", "interactive"],
          ["i3", "interactive"]
        ] as const
      ) yield* arrive(order, name, priority)
      assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 3, batch: 2 })
      yield* TestClock.adjust("2500 millis")
      yield* arrive(order, "i4", "interactive")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(order, ["b1", "i1", "i2", "i3", "i4", "b2", "b3"])
    }).pipe(Effect.provide(Limiter.layerMemory({ limits: { concurrency: 1 } })))
  })

  it.effect("the newest batch call gives its place in a full queue to an interactive one", () => {
    const order: Array<string> = []
    return Effect.gen(function*() {
      yield* arrive(order, "running", "batch")
      yield* arrive(order, "b1", "batch")
      const newest = yield* arrive(order, "b2", "batch")
      yield* arrive(order, "i1", "interactive")
      const { queued, reason, resource } = yield* saturated(yield* Fiber.join(newest).pipe(Effect.map((exit) => exit)))
      assert.deepStrictEqual([resource, reason, queued], ["concurrency", "queueFull", 2])
      // A batch call has nobody to take the place of, and an interactive one not that of its like.
      const batch = yield* arrive(order, "b3", "batch")
      assert.strictEqual((yield* saturated(yield* Fiber.join(batch))).reason, "queueFull")
      yield* arrive(order, "i2", "interactive")
      const interactive = yield* arrive(order, "i3", "interactive")
      assert.strictEqual((yield* saturated(yield* Fiber.join(interactive))).reason, "queueFull")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(order, ["running", "i1", "i2"])
    }).pipe(Effect.provide(Limiter.layerMemory({ limits: { concurrency: 1, queue: { size: 2 } } })))
  })

  it.effect("a stream's priority is that of the stream", () => {
    const { calls, layer } = world({ concurrency: 1 })
    return Effect.gen(function*() {
      yield* fork(stream(llm))
      yield* fork(
        Llm.streamText(llm, question).pipe(Stream.provideService(Limiter.Priority, "batch"), Stream.runDrain)
      )
      assert.deepStrictEqual((yield* Limiter.status(key)).queued, { interactive: 0, batch: 1 })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(calls.length, 2)
    }).pipe(Effect.provide(layer))
  })
})

describe("keys", () => {
  it.effect("have limits of their own, and those without limits none", () => {
    const provider = ScriptedProvider.make(OpenAi, () => slow)
    const limits: Record<string, Limiter.Limits> = { a: { concurrency: 1 }, b: { concurrency: 2 } }
    const layer = Layer.merge(provider.layer, Limiter.layerMemory({ limits: (key) => limits[key] }))
    let asked: Array<string> = []
    const by = (key: string) =>
      openai.pipe(Limiter.enforce({
        key: (call) => {
          asked = [...asked, call.id]
          return key
        }
      }))
    return Effect.gen(function*() {
      for (const key of ["a", "b", "c"]) yield* Effect.replicateEffect(fork(text(by(key))), 4)
      assert.strictEqual(provider.calls.length, 1 + 2 + 4)
      assert.strictEqual(new Set(asked).size, 12)
      assert.deepStrictEqual(yield* Limiter.status("a"), {
        inFlight: 1,
        queued: { interactive: 3, batch: 0 },
        limit: 1
      })
      assert.deepStrictEqual(yield* Limiter.status("c"), { ...idle, limit: undefined })
    }).pipe(Effect.provide(layer))
  })

  it.effect("are the models inside, and shared by those who have the same", () => {
    const { calls, layer } = world({ concurrency: 1 })
    const other = openai.pipe(Llm.timeout({ total: "1 minute" }), Limiter.enforce())
    const both = openai.pipe(Llm.orElse(anthropic), Limiter.enforce())
    const named = Limiter.enforce(openai, { key: "account" })
    return Effect.gen(function*() {
      yield* fork(text(llm))
      yield* fork(text(other))
      assert.strictEqual(calls.length, 1)
      yield* fork(text(named))
      assert.strictEqual(calls.length, 2)
      assert.strictEqual((yield* Limiter.status("account")).inFlight, 1)
      const service = yield* Limiter.Limiter
      assert.strictEqual((yield* service.status(key)).queued.interactive, 1)
      assert.strictEqual(String(both), "limiter\n└─ orElse\n   ├─ openai/gpt-5-mini\n   └─ anthropic/claude-haiku-4-5")
      assert.strictEqual(String(named), "limiter account\n└─ openai/gpt-5-mini")
      assert.strictEqual(Plan.worstCase(named.plan), 1)
      assert.strictEqual(String(openai.pipe(Limiter.enforce({ key: () => "a" }))).split("\n")[0], "limiter by call")
    }).pipe(Effect.provide(layer))
  })

  it.effect("that nobody uses any more are forgotten", () => {
    const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Hello!"))
    let made = 0
    const layer = Layer.merge(
      provider.layer,
      Limiter.layerMemory({
        limits: () => {
          made++
          return { concurrency: 1 }
        }
      })
    )
    return Effect.gen(function*() {
      const ask = (name: string) => text(openai.pipe(Limiter.enforce({ key: name })))
      for (let index = 0; index < 1_000; index++) yield* ask(`tenant ${index}`)
      yield* ask("tenant 0")
      assert.strictEqual(made, 1_000)
      yield* TestClock.adjust("11 minutes")
      yield* ask("tenant 1")
      yield* ask("a new one")
      yield* ask("tenant 1")
      assert.strictEqual(made, 1_001)
      yield* ask("tenant 0")
      assert.strictEqual(made, 1_002)
    }).pipe(Effect.provide(layer))
  })
})

describe("where it is put", () => {
  it.effect("inside a retry each attempt takes a permit of its own, and none is held while it waits", () => {
    const { calls, layer } = world(
      { concurrency: 1 },
      (_, index) => index === 0 ? ScriptedProvider.fail("Overloaded") : slow
    )
    return Effect.gen(function*() {
      const fiber = yield* fork(text(llm.pipe(Llm.retry(spaced))))
      assert.strictEqual((yield* Limiter.status(key)).inFlight, 0)
      const other = yield* fork(text(llm))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll([fiber, other])
      assert.deepStrictEqual(times(calls), [0, 0, 3_000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("outside the limit of the first part, waiting is no silence of a model", () => {
    const { layer } = world({ concurrency: 1 })
    const patient = openai.pipe(Llm.timeout({ firstPart: "2 seconds" }), Limiter.enforce())
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(fork(text(patient)), 4)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.joinAll(fibers)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a call that is saturated is not retried, and another model is asked", () => {
    const { calls, layer } = world({ concurrency: 1, queue: { size: 0 } })
    const failing = llm.pipe(Llm.retry(spaced), Llm.orElseSucceed((error) => error._tag))
    return Effect.gen(function*() {
      yield* fork(text(llm))
      const answer = yield* Llm.generateText(failing, question)
      assert.strictEqual(answer.text, "Saturated")
      assert.strictEqual(calls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("without limits it changes nothing", () => {
    const { layer } = world({}, () => ScriptedProvider.text("Hello!"))
    return Effect.gen(function*() {
      yield* text(llm)
      assert.deepStrictEqual(yield* Limiter.status(key), { ...idle, limit: undefined })
    }).pipe(Effect.provide(layer))
  })
})

describe("limits that cannot be", () => {
  it("are refused when the layer is made", () => {
    const wrong: ReadonlyArray<Limiter.Limits> = [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { requestsPerMinute: 0 },
      { requestsPerMinute: Number.NaN },
      { tokensPerMinute: Infinity },
      { queue: { size: -1 } },
      { queue: { maxWait: -1 } }
    ]
    for (const limits of wrong) {
      assert.throws(() => Limiter.layerMemory({ limits }), RangeError, "Limiter.layer: ")
    }
    assert.throws(
      () => Limiter.layer({ limits: {}, storeTimeout: 0 }),
      "Limiter.layer: storeTimeout must be longer than zero, got 0 ms"
    )
    assert.throws(() => Limiter.layerMemory({ limits: { concurrency: 0 } }), "at least 1, got 0")
    assert.throws(() => Limiter.adaptive({ initial: 0 }), RangeError)
    assert.throws(() => Limiter.adaptive({ minimum: 5, maximum: 4 }), RangeError)
    assert.throws(() => Limiter.adaptive({ tolerance: 1 }), "Limiter.adaptive: tolerance must be greater than 1, got 1")
    assert.throws(() => Limiter.enforce(openai, { key: "" }), RangeError)
  })

  it.effect("of a function are a defect of the call that meets them first", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(text(llm))
      assert.isTrue(Exit.hasDies(exit))
    }).pipe(
      Effect.provide([
        Limiter.layerMemory({ limits: () => ({ concurrency: -1 }) }),
        ScriptedProvider.layer(OpenAi, [])
      ])
    ))
})
