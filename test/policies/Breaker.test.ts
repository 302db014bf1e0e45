import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Redacted, Schedule, Schema, Stream } from "effect"
import { Breaker, type Call, Llm, LlmError, Opened, Plan } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { full } from "../core/support/errors.ts"
import { makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const ok = ScriptedProvider.text(["330", " m"])
const fails = (tag: LlmError.ProviderError["_tag"]) => ScriptedProvider.fail(tag)
const key = "openai/gpt-5-mini"

const text = <E, R>(llm: Llm.Llm<E, R>) => Effect.asVoid(Llm.generateText(llm, question))
const stream = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))
const kinds = { "a full answer": text, "a stream": stream } as const

/** A provider that does as it is told at the moment, behind circuits of its own. */
const world = (options?: Breaker.Options) => {
  const now: { step: ScriptedProvider.Step } = { step: ok }
  const provider = ScriptedProvider.make(OpenAi, () => now.step)
  return {
    now,
    calls: provider.calls,
    layer: Layer.mergeAll(provider.layer, Breaker.layerMemory(options))
  }
}

const three = { trip: Breaker.consecutive(3), openDuration: "10 seconds" } as const
const once = { trip: Breaker.consecutive(1), openDuration: "10 seconds" } as const
const llm = openai.pipe(Breaker.guard())

const stateOf = (key: string) => Effect.flatMap(Breaker.Breaker, (breaker) => breaker.state(key))
const tagOf = (key: string) => Effect.map(stateOf(key), (state) => state._tag)

/** Keeps the transitions from now on. */
const watching = Effect.gen(function*() {
  const breaker = yield* Breaker.Breaker
  const seen: Array<Breaker.Transition> = []
  const fiber = yield* breaker.transitions.pipe(
    Stream.runForEach((transition) => Effect.sync(() => void seen.push(transition))),
    Effect.forkChild({ startImmediately: true })
  )
  return { seen, edges: () => seen.map(({ from, to }) => `${from} > ${to}`), fiber }
})

/** A call to an `Llm` that does this, without asking anybody. */
const spy = <E>(open: (call: Call.Call) => Effect.Effect<Opened.Opened, E>): Llm.Llm<E, never> =>
  Llm.make({ plan: openai.plan, open })

for (const [kind, ask] of Object.entries(kinds)) {
  describe(`guard: ${kind}`, () => {
    it.effect("opens after so many failures in a row, and refuses without sending anything", () => {
      const { calls, layer, now } = world(three)
      return Effect.gen(function*() {
        now.step = fails("Overloaded")
        for (let n = 0; n < 3; n++) {
          assert.strictEqual(yield* tagOf(key), "Closed")
          assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "Overloaded")
        }
        assert.deepStrictEqual(yield* stateOf(key), {
          _tag: "Open",
          key,
          retryAfter: Duration.seconds(10),
          consecutiveOpenings: 1
        })
        yield* TestClock.adjust("4 seconds")
        const refused = yield* Effect.flip(ask(llm))
        assert(refused instanceof LlmError.CircuitOpen)
        assert.strictEqual(refused.key, key)
        assert.strictEqual(refused.provider, "openai")
        assert.strictEqual(refused.model, "gpt-5-mini")
        assert.deepStrictEqual(refused.retryAfter, Duration.seconds(6))
        assert.strictEqual(calls.length, 3)
      }).pipe(Effect.provide(layer))
    })

    it.effect("counts from the last success", () => {
      const { layer, now } = world(three)
      return Effect.gen(function*() {
        for (const step of ["Overloaded", "Overloaded", "", "ServerError", "ConnectionFailed"] as const) {
          now.step = step === "" ? ok : fails(step)
          yield* Effect.exit(ask(llm))
          assert.strictEqual(yield* tagOf(key), "Closed")
        }
        now.step = fails("RequestTimeout")
        yield* Effect.exit(ask(llm))
        assert.strictEqual(yield* tagOf(key), "Open")
      }).pipe(Effect.provide(layer))
    })

    it.effect("opens when too large a part of the last calls has failed", () => {
      const { layer, now } = world({ trip: Breaker.rate({ threshold: 0.5, size: 10, minimumCalls: 4 }) })
      return Effect.gen(function*() {
        const states: Array<string> = []
        for (const step of [fails("Overloaded"), ok, fails("ServerError"), ok]) {
          now.step = step
          yield* Effect.exit(ask(llm))
          states.push(yield* tagOf(key))
        }
        // The fourth outcome is a success, and the one that makes it enough.
        assert.deepStrictEqual(states, ["Closed", "Closed", "Closed", "Open"])
        assert.deepStrictEqual((yield* Effect.flip(ask(llm)))._tag, "CircuitOpen")
        const state = yield* stateOf(key)
        assert(state._tag === "Open")
        assert.deepStrictEqual(state.retryAfter, Duration.seconds(15))
      }).pipe(Effect.provide(layer))
    })

    it.effect("closes when the probe succeeds, and counts anew", () => {
      const { calls, layer, now } = world(three)
      return Effect.gen(function*() {
        const { edges } = yield* watching
        now.step = fails("Overloaded")
        for (let n = 0; n < 3; n++) yield* Effect.exit(ask(llm))
        yield* TestClock.adjust("9999 millis")
        assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "CircuitOpen")
        yield* TestClock.adjust("1 millis")
        now.step = ok
        yield* ask(llm)
        assert.strictEqual(yield* tagOf(key), "Closed")
        now.step = fails("Overloaded")
        for (let n = 0; n < 2; n++) yield* Effect.exit(ask(llm))
        assert.strictEqual(yield* tagOf(key), "Closed")
        assert.strictEqual(calls.length, 6)
        yield* Effect.yieldNow
        assert.deepStrictEqual(edges(), ["Closed > Open", "Open > HalfOpen", "HalfOpen > Closed"])
      }).pipe(Effect.provide(layer))
    })

    it.effect("opens again when the probe fails, for as long as the schedule says", () => {
      const { calls, layer, now } = world({
        trip: Breaker.consecutive(1),
        openDuration: Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 }))
      })
      return Effect.gen(function*() {
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        // Then the last delay holds on.
        for (const seconds of [1, 2, 4, 4]) {
          const state = yield* stateOf(key)
          assert(state._tag === "Open")
          assert.strictEqual(Duration.toSeconds(state.retryAfter), seconds)
          yield* TestClock.adjust(Duration.millis(seconds * 1_000 - 1))
          assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "CircuitOpen")
          yield* TestClock.adjust(1)
          assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "Overloaded")
        }
        assert.strictEqual(calls.length, 5)
      }).pipe(Effect.provide(layer))
    })

    it.effect("stays open for as long as the provider asks, up to a limit", () =>
      Effect.gen(function*() {
        for (const [asked, stays] of [["5 seconds", 10], ["40 seconds", 40], ["2 hours", 600]] as const) {
          const { layer } = world({ ...once, maxOpenDuration: "10 minutes" })
          const failing = spy(() =>
            Effect.fail(new LlmError.Overloaded({ retryAfter: Duration.fromInputUnsafe(asked) }))
          ).pipe(Breaker.guard())
          yield* Effect.gen(function*() {
            yield* Effect.exit(ask(failing))
            const state = yield* stateOf(key)
            assert(state._tag === "Open")
            assert.strictEqual(Duration.toSeconds(state.retryAfter), stays)
          }).pipe(Effect.provide(layer))
        }
      }))

    it.effect("counts against the provider what the table says, and nothing else", () =>
      Effect.gen(function*() {
        class Mine extends Schema.TaggedError<Mine>()("Mine", {}) {}
        const counts = (error: unknown) =>
          Effect.gen(function*() {
            yield* Effect.exit(ask(spy(() => Effect.fail(error)).pipe(Breaker.guard())))
            return (yield* tagOf(key)) === "Open"
          }).pipe(Effect.provide(world(once).layer))
        for (const error of Object.values(full)) {
          if (error._tag === "StreamInterrupted") continue
          assert.strictEqual(yield* counts(error), LlmError.table[error._tag].breaker === "failure", error._tag)
        }
        for (const error of [new Mine(), "no", new Error("no"), { _tag: "toString" }, undefined]) {
          assert.isFalse(yield* counts(error))
        }
        const cut = { partial: Redacted.make(""), reason: "closed" } as const
        assert.isTrue(yield* counts(new LlmError.StreamInterrupted(cut)))
        assert.isTrue(yield* counts(new LlmError.StreamInterrupted({ ...cut, failure: full.Overloaded })))
        assert.isFalse(yield* counts(new LlmError.StreamInterrupted({ ...cut, failure: full.ContentFiltered })))
        assert.isFalse(yield* counts(new LlmError.StreamInterrupted({ ...cut, reason: "truncated" })))
        // Nothing was sent.
        assert.isFalse(yield* counts(new LlmError.RateLimited({ parked: true, retryAfter: Duration.seconds(1) })))
        // One request that is too large says nothing about others.
        assert.isFalse(yield* counts(new LlmError.RateLimited({ retryable: false })))
        assert.isTrue(yield* counts(new LlmError.RateLimited({})))
      }))

    it.effect("counts a defect against the provider, and lets it through", () => {
      const { layer } = world(once)
      return Effect.gen(function*() {
        const bug = new Error("a bug")
        const throwing = spy((): Effect.Effect<Opened.Opened> => {
          throw bug
        })
        for (const broken of [spy(() => Effect.die(bug)), throwing]) {
          const breaker = yield* Breaker.Breaker
          yield* breaker.close(key)
          const exit = yield* Effect.exit(ask(broken.pipe(Breaker.guard())))
          assert(Exit.isFailure(exit))
          assert.deepStrictEqual(exit.cause.reasons.map((reason) => Cause.isDieReason(reason) && reason.defect), [bug])
          assert.strictEqual(yield* tagOf(key), "Open")
        }
      }).pipe(Effect.provide(layer))
    })

    it.effect("takes no interruption for a failure, nor for a success", () => {
      const { calls, layer, now } = world({ trip: Breaker.consecutive(2), openDuration: "10 seconds" })
      return Effect.gen(function*() {
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        now.step = ScriptedProvider.silence
        for (let n = 0; n < 5; n++) {
          const fiber = yield* Effect.forkChild(ask(llm), { startImmediately: true })
          yield* TestClock.adjust("1 second")
          yield* Fiber.interrupt(fiber)
        }
        assert.strictEqual(yield* tagOf(key), "Closed")
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        assert.strictEqual(yield* tagOf(key), "Open")
        assert.strictEqual(calls.length, 7)
      }).pipe(Effect.provide(layer))
    })

    it.effect("sends one probe, however many ask at once and however long it takes", () =>
      Effect.gen(function*() {
        const steps: ReadonlyArray<ScriptedProvider.Step> = [
          ok,
          { ...ok, delay: "5 seconds" },
          { ...ok, delay: "1 second", between: "2 seconds" }
        ]
        for (const step of steps) {
          const { calls, layer, now } = world(once)
          yield* Effect.gen(function*() {
            now.step = fails("Overloaded")
            yield* Effect.exit(ask(llm))
            yield* TestClock.adjust("10 seconds")
            now.step = step
            const fibers = yield* Effect.forEach(
              Array.from({ length: 1_000 }),
              () => Effect.forkChild(Effect.exit(ask(llm)), { startImmediately: true })
            )
            if (step.delay !== undefined) assert.strictEqual(yield* tagOf(key), "HalfOpen")
            yield* TestClock.adjust("1 minute")
            const exits = yield* Fiber.joinAll(fibers)
            const refused = exits.flatMap((exit) => Exit.isFailure(exit) ? [Cause.findErrorOption(exit.cause)] : [])
            // Where the probe takes no time, those that ask after it find the circuit closed.
            if (step.delay !== undefined) {
              assert.strictEqual(calls.length, 2)
              assert.strictEqual(refused.length, 999)
            }
            for (const error of refused) {
              assert(error._tag === "Some" && error.value instanceof LlmError.CircuitOpen)
              assert.isUndefined(error.value.retryAfter)
              assert.strictEqual(error.value.key, key)
            }
            assert.strictEqual(yield* tagOf(key), "Closed")
          }).pipe(Effect.provide(layer))
        }
      }))

    it.effect("asks for one request only when it probes", () => {
      const { layer } = world(once)
      return Effect.gen(function*() {
        const singles: Array<boolean> = []
        let fail = true
        const noting = spy((call) => {
          singles.push(call.single)
          return fail
            ? Effect.fail(new LlmError.Overloaded({}))
            : Effect.succeed(Opened.whole([]))
        }).pipe(Breaker.guard())
        yield* Effect.exit(ask(noting))
        yield* TestClock.adjust("10 seconds")
        yield* Effect.exit(ask(noting))
        yield* TestClock.adjust("10 seconds")
        fail = false
        yield* ask(noting)
        yield* ask(noting)
        assert.deepStrictEqual(singles, [false, true, true, false])
      }).pipe(Effect.provide(layer))
    })

    it.effect("does not let a retry inside repeat the probe", () => {
      const { calls, layer, now } = world(once)
      const retrying = openai.pipe(
        Llm.retry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))),
        Breaker.guard()
      )
      return Effect.gen(function*() {
        now.step = fails("Overloaded")
        const first = yield* Effect.forkChild(Effect.exit(ask(retrying)), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(first)
        // Three requests are one outcome.
        assert.strictEqual(calls.length, 3)
        assert.strictEqual(yield* tagOf(key), "Open")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Effect.flip(ask(retrying)))._tag, "Overloaded")
        assert.strictEqual(calls.length, 4)
      }).pipe(Effect.provide(layer))
    })

    it.effect("gives the slot of a probe that is interrupted, or says nothing, to the next call", () => {
      const { calls, layer, now } = world(once)
      return Effect.gen(function*() {
        const { edges } = yield* watching
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        yield* TestClock.adjust("10 seconds")
        now.step = ScriptedProvider.silence
        const probe = yield* Effect.forkChild(ask(llm), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "CircuitOpen")
        yield* Fiber.interrupt(probe)
        const state = yield* stateOf(key)
        assert(state._tag === "HalfOpen")
        assert.isFalse(state.probing)
        now.step = fails("InvalidRequest")
        assert.strictEqual((yield* Effect.flip(ask(llm)))._tag, "InvalidRequest")
        now.step = ok
        yield* ask(llm)
        assert.strictEqual(yield* tagOf(key), "Closed")
        assert.strictEqual(calls.length, 4)
        yield* Effect.yieldNow
        assert.deepStrictEqual(edges(), ["Closed > Open", "Open > HalfOpen", "HalfOpen > Closed"])
      }).pipe(Effect.provide(layer))
    })

    it.effect("says in the receipt that nothing was sent", () => {
      const { layer, now } = world(once)
      return Effect.gen(function*() {
        const receipts = makeReceipts()
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        yield* TestClock.adjust("1 second")
        yield* Effect.exit(receipts.observe(ask(llm)))
        const receipt = receipts.one()
        assert.strictEqual(receipt.outcome, "CircuitOpen")
        assert.deepStrictEqual(receipt.attempts, [])
        assert.deepStrictEqual(receipt.events.map(({ atMillis, reason, type }) => [type, reason, atMillis]), [
          ["rejected", "CircuitOpen", 0]
        ])
      }).pipe(Effect.provide(layer))
    })

    it.effect("is a reason to ask the next model at once", () => {
      const { calls, layer, now } = world(once)
      const other = Llm.make({ plan: Plan.model("local", "tiny"), open: () => Effect.succeed(Opened.whole([])) })
      return Effect.gen(function*() {
        const receipts = makeReceipts()
        now.step = fails("Overloaded")
        yield* Effect.exit(ask(llm))
        yield* receipts.observe(ask(llm.pipe(Llm.orElse(other))))
        assert.deepStrictEqual(receipts.one().events.map(({ reason, type }) => [type, reason]), [
          ["rejected", "CircuitOpen"],
          ["fallback", "CircuitOpen"]
        ])
        assert.strictEqual(calls.length, 1)
      }).pipe(Effect.provide(layer))
    })

    it.effect("counts a first part that was too slow, also of a good answer", () =>
      Effect.gen(function*() {
        for (const [delay, opens] of [["3 seconds", false], ["3001 millis", true]] as const) {
          const { calls, layer, now } = world({ ...once, slowFirstPart: "3 seconds" })
          yield* Effect.gen(function*() {
            // Content from the first part on, and slow ones after it, which is no slow beginning.
            now.step = { parts: ok.parts.slice(1), delay, between: "5 seconds" }
            const fiber = yield* Effect.forkChild(ask(llm), { startImmediately: true })
            yield* TestClock.adjust("1 minute")
            yield* Fiber.join(fiber)
            assert.strictEqual(calls[0]?.transport, "stream")
            assert.strictEqual(yield* tagOf(key), opens ? "Open" : "Closed")
          }).pipe(Effect.provide(layer))
        }
      }))

    it.effect("does not take the waits of a retry inside for slowness", () => {
      const { layer, now } = world({ ...once, slowFirstPart: "3 seconds" })
      const retrying = openai.pipe(Llm.retry(Schedule.spaced("20 seconds")), Breaker.guard())
      return Effect.gen(function*() {
        now.step = fails("Overloaded")
        const fiber = yield* Effect.forkChild(ask(retrying), { startImmediately: true })
        yield* TestClock.adjust("10 seconds")
        now.step = { ...ok, delay: "2 seconds" }
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* tagOf(key), "Closed")
      }).pipe(Effect.provide(layer))
    })

    it.effect("leaves nothing behind", () => {
      const { layer, now } = world(three)
      return Effect.gen(function*() {
        const probe = yield* makeProbe
        const watched = probe.watch(ask(llm))
        for (
          const step of [ok, fails("Overloaded"), fails("InvalidRequest"), fails("Overloaded"), fails("Overloaded")]
        ) {
          now.step = step
          yield* Effect.exit(watched)
        }
        yield* Effect.exit(watched)
        yield* TestClock.adjust("10 seconds")
        now.step = ok
        yield* watched
        now.step = ScriptedProvider.silence
        const silent = yield* Effect.forkChild(watched, { startImmediately: true })
        yield* Fiber.interrupt(silent)
        assert.strictEqual(probe.timers() + probe.fibers(), 0)
        assert.strictEqual(probe.sleeps(), 0)
      }).pipe(Effect.provide(layer))
    })
  })
}

describe("keys", () => {
  it.effect("a model has one circuit, whoever calls it; another one has its own", () => {
    const { calls, layer, now } = world(once)
    return Effect.gen(function*() {
      const nano = Llm.model(OpenAi, "gpt-5-nano").pipe(Breaker.guard())
      now.step = fails("Overloaded")
      yield* Effect.exit(text(llm))
      const again = openai.pipe(Llm.timeout({ firstPart: "1 second" }), Breaker.guard())
      assert.strictEqual((yield* Effect.flip(text(again)))._tag, "CircuitOpen")
      assert.strictEqual((yield* Effect.flip(text(nano)))._tag, "Overloaded")
      assert.strictEqual(calls.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are as they are named", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      now.step = fails("Overloaded")
      yield* Effect.exit(text(openai.pipe(Breaker.guard({ key: "openai" }))))
      const other = Llm.model(OpenAi, "gpt-5-nano").pipe(Breaker.guard({ key: "openai" }))
      const refused = yield* Effect.flip(text(other))
      assert(refused instanceof LlmError.CircuitOpen)
      assert.strictEqual(refused.key, "openai")
      assert.strictEqual(refused.model, "gpt-5-nano")
    }).pipe(Effect.provide(layer))
  })

  it.effect("may depend on the call", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      const byLimit = openai.pipe(
        Breaker.guard({ key: (call) => String(call.request.settings.maxOutputTokens ?? "none") })
      )
      now.step = fails("Overloaded")
      yield* Effect.exit(text(byLimit.pipe(Llm.withSettings({ maxOutputTokens: 7 }))))
      assert.strictEqual(yield* tagOf("7"), "Open")
      assert.strictEqual(yield* tagOf("none"), "Closed")
      assert.strictEqual((yield* Effect.flip(text(byLimit)))._tag, "Overloaded")
    }).pipe(Effect.provide(layer))
  })

  it.effect("of several models are those of all of them, and no one model is named", () => {
    const { layer } = world(once)
    return Effect.gen(function*() {
      const failing = Llm.make({
        plan: Plan.policy("either", { children: [openai.plan, Plan.model("local", "org/tiny")] }),
        open: () => Effect.fail(new LlmError.Overloaded({}))
      }).pipe(Breaker.guard())
      yield* Effect.exit(text(failing))
      const refused = yield* Effect.flip(text(failing))
      assert(refused instanceof LlmError.CircuitOpen)
      assert.strictEqual(refused.key, "openai/gpt-5-mini+local/org/tiny")
      assert.isUndefined(refused.provider)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that throw are a defect, before anything is sent", () => {
    const { calls, layer } = world(once)
    return Effect.gen(function*() {
      const exit = yield* Effect.exit(text(openai.pipe(Breaker.guard({
        key: () => {
          throw new Error("no key")
        }
      }))))
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(calls.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it("have to be there", () => {
    const nobody = Llm.make({ plan: Plan.policy("nobody", { children: [] }), open: () => Effect.never })
    assert.throws(() => Breaker.guard(nobody), RangeError)
    assert.throws(() => Breaker.guard(openai, { key: "" }), RangeError)
    Breaker.guard(nobody, { key: "nobody" })
  })

  it("stand in the plan where they are given", () => {
    assert.strictEqual(String(llm), "breaker\n└─ openai/gpt-5-mini")
    assert.strictEqual(String(Breaker.guard(openai, { key: "eu" })), "breaker eu\n└─ openai/gpt-5-mini")
    assert.strictEqual(
      String(Breaker.guard(openai, { key: () => "eu" })),
      "breaker by call\n└─ openai/gpt-5-mini"
    )
  })
})

describe("settings", () => {
  it("that make no sense are refused", () => {
    for (
      const options of [
        { openDuration: 0 },
        { openDuration: Duration.infinity },
        { maxOpenDuration: 0 },
        { slowFirstPart: 0 },
        { storeTimeout: 0 },
        { storeTimeout: Duration.infinity }
      ] satisfies ReadonlyArray<Breaker.Options>
    ) {
      assert.throws(() => Breaker.layer(options), RangeError)
    }
    assert.throws(() => Breaker.consecutive(0), RangeError)
    assert.throws(() => Breaker.rate({ threshold: 2 }), RangeError)
  })

  it.effect("have defaults", () => {
    const { layer, now } = world()
    return Effect.gen(function*() {
      now.step = fails("Overloaded")
      for (let n = 0; n < 5; n++) {
        assert.strictEqual(yield* tagOf(key), "Closed")
        yield* Effect.exit(text(llm))
      }
      const state = yield* stateOf(key)
      assert(state._tag === "Open")
      assert.deepStrictEqual(state.retryAfter, Duration.seconds(15))
    }).pipe(Effect.provide(layer))
  })
})

describe("calls that were let through before the circuit opened", () => {
  it.effect("change nothing when they end", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      now.step = { ...ok, delay: "5 seconds" }
      const early = yield* Effect.forkChild(text(llm), { startImmediately: true })
      const late = yield* Effect.forkChild(
        text(spy(() => Effect.delay(Effect.fail(new LlmError.Overloaded({})), "12 seconds")).pipe(Breaker.guard())),
        { startImmediately: true }
      )
      now.step = fails("Overloaded")
      yield* Effect.exit(text(llm))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(early)
      assert.strictEqual(yield* tagOf(key), "Open")
      yield* TestClock.adjust("5 seconds")
      now.step = ok
      yield* text(llm)
      assert.strictEqual(yield* tagOf(key), "Closed")
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.await(late)
      assert.strictEqual(yield* tagOf(key), "Closed")
    }).pipe(Effect.provide(layer))
  })
})

describe("by hand", () => {
  it.effect("a circuit opens for some time, and probes as ever", () => {
    const { calls, layer } = world(three)
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      const { seen } = yield* watching
      yield* breaker.open(key, "2 minutes")
      assert.deepStrictEqual(yield* breaker.state(key), {
        _tag: "Open",
        key,
        retryAfter: Duration.minutes(2),
        consecutiveOpenings: 1
      })
      const refused = yield* Effect.flip(text(llm))
      assert(refused instanceof LlmError.CircuitOpen)
      assert.deepStrictEqual(refused.retryAfter, Duration.minutes(2))
      assert.strictEqual(refused.key, key)
      yield* TestClock.adjust("2 minutes")
      yield* text(llm)
      assert.strictEqual(yield* tagOf(key), "Closed")
      assert.strictEqual(calls.length, 1)
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [
        { key, from: "Closed", to: "Open", retryAfter: Duration.minutes(2), consecutiveOpenings: 1 },
        { key, from: "Open", to: "HalfOpen" },
        { key, from: "HalfOpen", to: "Closed" }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("for an hour where nothing is said, and for as good as ever where that is said", () =>
    Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      yield* breaker.open("a")
      yield* breaker.open("b", Duration.infinity)
      yield* TestClock.adjust("59 minutes")
      const a = yield* breaker.state("a")
      assert(a._tag === "Open")
      assert.deepStrictEqual(a.retryAfter, Duration.minutes(1))
      yield* TestClock.adjust("30 days")
      const b = yield* breaker.state("b")
      assert(b._tag === "Open")
      assert.isTrue(Duration.isGreaterThan(b.retryAfter, Duration.days(300)))
      assert.throws(() => breaker.open("a", 0), RangeError)
    }).pipe(Effect.provide(world(three).layer)))

  it.effect("a circuit closes with a clean slate", () => {
    const { calls, layer, now } = world({
      trip: Breaker.consecutive(2),
      openDuration: Schedule.exponential("10 seconds")
    })
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      const { edges } = yield* watching
      const fail = Effect.exit(text(llm))
      now.step = fails("Overloaded")
      for (let round = 0; round < 3; round++) {
        yield* fail
        yield* fail
        const state = yield* breaker.state(key)
        assert(state._tag === "Open")
        // Not the second opening in a row, nor the third.
        assert.deepStrictEqual(state.retryAfter, Duration.seconds(10))
        assert.strictEqual(state.consecutiveOpenings, 1)
        yield* breaker.close(key)
        assert.deepStrictEqual(yield* breaker.state(key), { _tag: "Closed", key })
      }
      yield* fail
      yield* breaker.close(key)
      yield* fail
      assert.strictEqual(yield* tagOf(key), "Closed")
      assert.strictEqual(calls.length, 8)
      yield* Effect.yieldNow
      const round = ["Closed > Open", "Open > HalfOpen", "HalfOpen > Closed"]
      assert.deepStrictEqual(edges(), [...round, ...round, ...round])
    }).pipe(Effect.provide(layer))
  })

  it.effect("whatever is under way changes nothing any more, be it a probe", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      const { edges } = yield* watching
      const slow = (step: ScriptedProvider.Step) =>
        Effect.suspend(() => {
          now.step = { ...step, delay: "5 seconds" }
          return Effect.forkChild(Effect.exit(text(llm)), { startImmediately: true })
        })
      // A failure that was let through before does not open what was closed by hand.
      yield* slow(fails("Overloaded"))
      yield* breaker.close(key)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* tagOf(key), "Closed")
      // A probe neither closes nor keeps what was opened by hand.
      now.step = fails("Overloaded")
      yield* Effect.exit(text(llm))
      yield* TestClock.adjust("10 seconds")
      yield* slow(ok)
      assert.strictEqual(yield* tagOf(key), "HalfOpen")
      yield* breaker.open(key, "1 minute")
      yield* TestClock.adjust("5 seconds")
      const state = yield* breaker.state(key)
      assert(state._tag === "Open")
      assert.deepStrictEqual(state.retryAfter, Duration.seconds(55))
      // Nor does it open what was closed by hand.
      yield* TestClock.adjust("55 seconds")
      yield* slow(fails("Overloaded"))
      yield* breaker.close(key)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* tagOf(key), "Closed")
      yield* Effect.yieldNow
      assert.deepStrictEqual(edges(), [
        "Closed > Open",
        "Open > HalfOpen",
        "HalfOpen > Open",
        "Open > HalfOpen",
        "HalfOpen > Closed"
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("an open circuit opens for another time", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      const { edges } = yield* watching
      now.step = fails("Overloaded")
      yield* Effect.exit(text(llm))
      yield* breaker.open(key, "1 second")
      const state = yield* breaker.state(key)
      assert(state._tag === "Open")
      assert.deepStrictEqual(state.retryAfter, Duration.seconds(1))
      yield* Effect.yieldNow
      assert.deepStrictEqual(edges(), ["Closed > Open", "Open > HalfOpen", "HalfOpen > Open"])
    }).pipe(Effect.provide(layer))
  })
})

describe("transitions", () => {
  it.effect("end with the layer, and are heard by all who listen", () =>
    Effect.gen(function*() {
      const { layer, now } = world(once)
      const fibers = yield* Effect.gen(function*() {
        const breaker = yield* Breaker.Breaker
        now.step = fails("Overloaded")
        const listening = yield* Effect.forEach(
          [1, 2],
          () => Effect.forkDetach(Stream.runCollect(breaker.transitions), { startImmediately: true })
        )
        yield* Effect.exit(text(llm))
        return listening
      }).pipe(Effect.provide(layer))
      const heard = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(heard.map((transitions) => transitions.map(({ to }) => to)), [["Open"], ["Open"]])
    }))
})

describe("guard: a caller in a hurry", () => {
  const template = Llm.make<never, never>({ plan: openai.plan, open: () => Effect.succeed(Opened.whole([])) })

  for (const limits of [undefined, { firstPart: "1 minute" }] as const) {
    it.effect(`says nothing about a model that would have answered (${limits === undefined ? "watched from outside" : "watched by its own limit"})`, () => {
      const { calls, layer, now } = world(once)
      const inner = limits === undefined ? openai : openai.pipe(Llm.timeout(limits))
      const guarded = inner.pipe(Breaker.guard())
      const inTime = guarded.pipe(
        Llm.orElse(template),
        Llm.timeout({ total: "2 seconds" })
      )
      return Effect.gen(function*() {
        now.step = ScriptedProvider.text("330 m", { delay: "3 seconds" })
        const fiber = yield* Effect.forkChild(Effect.exit(text(inTime)), { startImmediately: true })
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(calls.length, 1)
        assert.strictEqual(yield* tagOf(key), "Closed")
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("but a total limit inside, of its own, counts", () => {
    const { layer, now } = world(once)
    return Effect.gen(function*() {
      now.step = ScriptedProvider.silence
      const own = openai.pipe(Llm.timeout({ total: "2 seconds" }), Breaker.guard())
      const fiber = yield* Effect.forkChild(Effect.exit(text(own)), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* tagOf(key), "Open")
    }).pipe(Effect.provide(layer))
  })
})
