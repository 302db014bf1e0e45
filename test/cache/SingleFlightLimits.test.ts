/**
 * Limits on time around a shared request are each caller's own; those of the one who began it are not those of the others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Llm, LlmError } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { openai } from "../core/support/stack.ts"
import { type Caller, makeWorld, shared } from "./support/flights.ts"

const hello = ScriptedProvider.text(["Hel", "lo ", "all!"], { delay: 100, between: 10 })

const phaseOf = (caller: Caller<unknown>) => {
  const ended = caller.ended()
  return ended instanceof LlmError.TimedOut
    ? ended.phase
    : ended instanceof LlmError.StreamInterrupted && ended.failure?._tag === "TimedOut"
    ? `${ended.reason} ${ended.failure.phase}`
    : ended
}

const requests = (caller: Caller<unknown>) =>
  caller.receipt().attempts.map(({ durationMillis, outcome, startMillis }) => [startMillis, durationMillis, outcome])

describe("SingleFlight", () => {
  for (const kind of ["whole", "stream"] as const) {
    describe(kind, () => {
      it.effect("a limit that passes is that of its own caller", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([hello])
          const first = yield* world[kind](shared)
          yield* TestClock.adjust(20)
          const hurried = yield* world[kind](shared.pipe(Llm.timeout({ total: 50 })))
          yield* TestClock.adjust(50)
          assert.strictEqual(phaseOf(hurried), "total")
          assert.deepStrictEqual(requests(hurried), [])
          assert.deepStrictEqual(hurried.receipt().events.map(({ atMillis, type }) => [type, atMillis]), [[
            "timeout",
            50
          ]])
          yield* TestClock.adjust(1000)
          assert.strictEqual(first.text(), "Hello all!")
          yield* world.settled
        }))

      it.effect("of the one who began it, it is not that of the others", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([hello])
          const first = yield* world[kind](shared.pipe(Llm.timeout({ total: 50 })))
          yield* TestClock.adjust(20)
          const second = yield* world[kind](shared)
          yield* TestClock.adjust(1000)
          assert.strictEqual(phaseOf(first), "total")
          assert.deepStrictEqual(requests(first), [])
          assert.strictEqual(second.text(), "Hello all!")
          assert.deepStrictEqual(requests(second), [[-20, 150, "success"]])
          assert.strictEqual(world.calls.length, 1)
          yield* world.settled
        }))

      it.effect("of the only one, it is told of the request", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([hello])
          const caller = yield* world[kind](shared.pipe(Llm.timeout({ total: 50 })))
          yield* TestClock.adjust(1000)
          assert.strictEqual(phaseOf(caller), "total")
          assert.deepStrictEqual(requests(caller), [[0, 50, "TimedOut"]])
          const { events } = caller.receipt()
          assert.deepStrictEqual(events, [{ type: "timeout", atMillis: 50, afterAttempts: 1, reason: "total" }])
          yield* world.settled
        }))

      it.effect("around, it hears what the request does, also where it was begun by another", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([
            ScriptedProvider.breakOff(["Hel", "lo "], "stall", { delay: 40, between: 30 })
          ])
          const watched = (limits: Parameters<typeof Llm.timeout>[1]) => shared.pipe(Llm.timeout(limits))
          const first = yield* world[kind](watched({ idle: 100 }))
          yield* TestClock.adjust(20)
          const patient = yield* world[kind](watched({ firstPart: 60, idle: 40 }))
          const hasty = yield* world[kind](watched({ firstPart: 15 }))
          yield* TestClock.adjust(15)
          assert.strictEqual(phaseOf(hasty), "firstPart")
          // The last part comes after 100 (the start of the text is one).
          yield* TestClock.adjust(104)
          assert.strictEqual(patient.ended(), undefined)
          yield* TestClock.adjust(1)
          assert.strictEqual(phaseOf(patient), kind === "whole" ? "idle" : "timedOut idle")
          yield* TestClock.adjust(59)
          assert.strictEqual(first.ended(), undefined)
          yield* TestClock.adjust(1)
          assert.strictEqual(phaseOf(first), kind === "whole" ? "idle" : "timedOut idle")
          assert.strictEqual(world.calls.length, 1)
          yield* world.settled
        }))

      it.effect("inside, it is that of those who were there from the beginning: who came later asks anew", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([ScriptedProvider.silence, hello])
          const limited = openai.pipe(Llm.timeout({ firstPart: 120 }), SingleFlight.share({ key: () => "" }))
          const first = yield* world[kind](limited)
          const second = yield* world[kind](limited)
          yield* TestClock.adjust(30)
          const late = [yield* world[kind](limited), yield* world[kind](limited)]
          const over = yield* world[kind](limited.pipe(Llm.timeout({ total: 90 })))
          yield* TestClock.adjust(1000)
          assert.deepStrictEqual([first, second].map(phaseOf), ["firstPart", "firstPart"])
          // Its own time is up at the same moment.
          assert.strictEqual(phaseOf(over), "firstPart")
          assert.deepStrictEqual(late.map((caller) => caller.text()), ["Hello all!", "Hello all!"])
          assert.deepStrictEqual(late.map((caller) => caller.receipt().cache), [undefined, "coalesced"])
          assert.deepStrictEqual(late.map(requests), [[[90, 150, "success"]], []])
          assert.strictEqual(world.calls.length, 2)
          yield* world.settled
        }))

      it.effect("that has passed for the one who began it, nobody joins any more", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([ScriptedProvider.silence, hello])
          const first = yield* world[kind](shared.pipe(Llm.timeout({ total: 50 })))
          const stays = yield* world[kind](shared)
          yield* TestClock.adjust(49)
          const joins = yield* world[kind](shared)
          yield* TestClock.adjust(1)
          assert.strictEqual(phaseOf(first), "total")
          const anew = yield* world[kind](shared)
          yield* TestClock.adjust(1000)
          assert.strictEqual(anew.text(), "Hello all!")
          assert.deepStrictEqual([stays, joins].map((caller) => caller.ended()), [undefined, undefined])
          yield* stays.leave
          yield* joins.leave
          yield* world.settled
        }))

      it.effect("inside, it holds where a nearer one is gone with the one who had it", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([ScriptedProvider.silence, hello])
          const limited = openai.pipe(Llm.timeout({ total: 200 }), SingleFlight.share({ key: () => "" }))
          const first = yield* world[kind](limited.pipe(Llm.timeout({ total: 200 })))
          yield* TestClock.adjust(50)
          const second = yield* world[kind](limited)
          yield* TestClock.adjust(1000)
          assert.strictEqual(phaseOf(first), "total")
          assert.strictEqual(second.text(), "Hello all!")
          assert.strictEqual(world.calls.length, 2)
          yield* world.settled
        }))
    })
  }

  it.effect("those who have more time ask anew together, the one who has most for all", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([
        ScriptedProvider.fail("Overloaded", { delay: 60 }),
        ScriptedProvider.fail("ServerError", { delay: 60 })
      ])
      const within = (total: number) => shared.pipe(Llm.timeout({ total }))
      const began = yield* world.whole(within(50))
      const callers = []
      for (const total of [100, 5000, 200, 80]) callers.push(yield* world.whole(within(total)))
      yield* TestClock.adjust(1000)
      assert.strictEqual(phaseOf(began), "total")
      // The first request failed after its caller's time; the second one is that of the caller with 5 seconds.
      assert.deepStrictEqual(callers.map((caller) => (caller.ended() as { _tag: string })._tag), [
        "TimedOut",
        "ServerError",
        "ServerError",
        "TimedOut"
      ])
      assert.deepStrictEqual(callers.map((caller) => caller.receipt().attempts.map(({ outcome }) => outcome)), [
        ["Overloaded"],
        ["ServerError"],
        [],
        []
      ])
      yield* world.settled
    }))

  it.effect("1,000 who wait for a provider that is down ask it once", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.fail("Overloaded", { delay: 60 })])
      const callers = yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, n) => n),
        (n) => world.whole(shared.pipe(Llm.timeout({ total: 100 + n })))
      )
      yield* TestClock.adjust(5000)
      assert.isTrue(callers.every((caller) => caller.ended() instanceof LlmError.Overloaded))
      assert.strictEqual(world.calls.length, 1)
      yield* world.settled
    }))
})
