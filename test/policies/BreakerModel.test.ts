/**
 * Random days of a circuit, against a model of it that is simple enough to be believed.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Random, Stream } from "effect"
import { Breaker, Llm, type LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { makeProbe, OpenAi, openai, question } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"
const openMillis = 10_000

/** What a circuit is. */
class Model {
  state: "Closed" | "Open" | "HalfOpen" = "Closed"
  openUntil = 0
  /** What an admission was given under; the one of a probe is its own. */
  generation = 0
  probing = false
  streak = 0
  ring: Array<boolean> = []
  private readonly trip: Breaker.TripPolicy

  constructor(trip: Breaker.TripPolicy) {
    this.trip = trip
  }

  admit(now: number): { readonly generation: number; readonly probe: boolean } | undefined {
    if (this.state === "Open" && now >= this.openUntil) this.state = "HalfOpen"
    if (this.state === "Open" || this.probing) return undefined
    if (this.state === "Closed") return { generation: this.generation, probe: false }
    this.probing = true
    return { generation: ++this.generation, probe: true }
  }

  record(now: number, generation: number, outcome: "success" | "failure" | "neutral"): void {
    if (generation !== this.generation) return
    if (this.state === "HalfOpen") {
      this.probing = false
      if (outcome === "success") this.begin("Closed")
      if (outcome === "failure") this.open(now, openMillis)
      return
    }
    if (outcome === "neutral") return
    this.streak = outcome === "failure" ? this.streak + 1 : 0
    this.ring.push(outcome === "failure")
    if (this.trips()) this.open(now, openMillis)
  }

  private trips(): boolean {
    if (this.trip._tag === "Consecutive") return this.streak >= this.trip.failures
    const last = this.ring.slice(-this.trip.size)
    const failures = last.filter((failed) => failed).length
    return last.length >= this.trip.minimumCalls && failures > 0 && failures / last.length >= this.trip.threshold
  }

  open(now: number, millis: number): void {
    this.begin("Open")
    this.openUntil = now + millis
  }

  begin(state: "Closed" | "Open"): void {
    this.state = state
    this.generation++
    this.probing = false
    this.streak = 0
    this.ring = []
  }
}

interface Running {
  readonly fiber: Fiber.Fiber<string>
  /** What it was let through with; absent where it was refused. */
  readonly admission: { readonly generation: number; readonly probe: boolean } | undefined
  readonly endsAt: number
  readonly outcome: "success" | "failure" | "neutral"
}

const tags = {
  failure: ["Overloaded", "ServerError", "ConnectionFailed", "RequestTimeout", "MalformedResponse"],
  neutral: ["InvalidRequest", "ContentFiltered", "ModelNotFound"]
} as const satisfies Record<string, ReadonlyArray<LlmError.ProviderError["_tag"]>>

const day = (trip: Breaker.TripPolicy) =>
  Effect.gen(function*() {
    const now: { step: ScriptedProvider.Step } = { step: ScriptedProvider.text("") }
    const provider = ScriptedProvider.make(OpenAi, () => now.step)
    const probe = yield* makeProbe
    yield* Effect.gen(function*() {
      const breaker = yield* Breaker.Breaker
      const model = new Model(trip)
      const llm = openai.pipe(Breaker.guard())
      let running: Array<Running> = []
      let clock = 0
      let sent = 0
      const pick = <A>(list: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, list.length - 1), (n) => list[n]!)

      const asking = (mode: "whole" | "stream") =>
        Effect.match(
          mode === "whole"
            ? Effect.asVoid(Llm.generateText(llm, question))
            : Stream.runDrain(Llm.streamText(llm, question)),
          { onFailure: (error) => error._tag, onSuccess: () => "success" }
        )

      const settle = function*(until: number) {
        // In the order in which they end; those that end at once, in the order in which they began.
        for (const call of running.filter(({ endsAt }) => endsAt <= until).toSorted((a, b) => a.endsAt - b.endsAt)) {
          if (call.endsAt > clock) {
            yield* TestClock.adjust(Duration.millis(call.endsAt - clock))
            clock = call.endsAt
          }
          if (call.admission !== undefined) model.record(clock, call.admission.generation, call.outcome)
          const ended = yield* Fiber.join(call.fiber)
          assert.strictEqual(ended === "CircuitOpen", call.admission === undefined)
        }
        running = running.filter(({ endsAt }) => endsAt > until)
        if (until > clock) {
          yield* TestClock.adjust(Duration.millis(until - clock))
          clock = until
        }
      }

      for (let n = 0; n < 120; n++) {
        const action = yield* pick(["call", "call", "call", "call", "wait", "wait", "interrupt", "open", "close"])
        switch (action) {
          case "call": {
            const mode = yield* pick(["whole", "stream"] as const)
            const outcome = yield* pick(["success", "failure", "failure", "neutral"] as const)
            // No two calls end at one moment: which is first then is nobody's to say.
            const millis = (yield* Random.nextIntBetween(0, 30)) * 500 + n + 1
            const midway = mode === "stream" && outcome === "failure" && (yield* Random.nextBoolean)
            const delay = Duration.millis(millis)
            now.step = outcome === "success"
              ? { ...ScriptedProvider.text("a"), delay }
              : midway
              ? { ...ScriptedProvider.breakOff("a"), delay }
              : ScriptedProvider.fail(yield* pick(tags[outcome]), { delay })
            const admission = model.admit(clock)
            if (admission !== undefined) sent++
            const fiber = yield* Effect.forkChild(probe.watch(asking(mode)), { startImmediately: true })
            running.push({
              fiber,
              admission,
              endsAt: admission === undefined ? clock : clock + millis,
              outcome
            })
            break
          }
          case "wait":
            yield* settle(clock + (yield* Random.nextIntBetween(1, 12_000)))
            break
          case "interrupt": {
            const call = running.length === 0 ? undefined : yield* pick(running)
            if (call === undefined || call.endsAt <= clock) break
            yield* Fiber.interrupt(call.fiber)
            running = running.filter((other) => other !== call)
            if (call.admission !== undefined) model.record(clock, call.admission.generation, "neutral")
            break
          }
          case "open": {
            const millis = yield* Random.nextIntBetween(1_000, 30_000)
            yield* breaker.open(key, millis)
            model.open(clock, millis)
            break
          }
          case "close":
            yield* breaker.close(key)
            model.begin("Closed")
            break
        }
        yield* settle(clock)
        const state = yield* breaker.state(key)
        assert.strictEqual(state._tag, model.state, `after ${n} actions, the last one: ${action}`)
        if (state._tag === "Open") {
          assert.strictEqual(Duration.toMillis(state.retryAfter), Math.max(0, model.openUntil - clock))
        }
        if (state._tag === "HalfOpen") assert.strictEqual(state.probing, model.probing)
        assert.strictEqual(provider.calls.length, sent)
      }
      yield* settle(clock + 60_000)
      assert.strictEqual(probe.timers() + probe.fibers(), 0)
    }).pipe(Effect.provide(Layer.mergeAll(
      provider.layer,
      Breaker.layerMemory({ trip, openDuration: openMillis })
    )))
  })

for (
  const [name, trip] of [
    ["in a row", Breaker.consecutive(2)],
    ["by rate", Breaker.rate({ threshold: 0.6, size: 5, minimumCalls: 3 })]
  ] as const
) {
  for (let seed = 1; seed <= 25; seed++) {
    it.effect(`a circuit that trips ${name} does as the model says: day ${seed}`, () =>
      day(trip).pipe(Random.withSeed(`${name} ${seed}`)))
  }
}
