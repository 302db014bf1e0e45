/**
 * Whoever leaves a shared request harms nobody, and whoever is the last ends it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Schedule, Scope, Stream } from "effect"
import { type Call, Llm, LlmError, Opened, type Part, type Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { openai } from "../core/support/stack.ts"
import { makeWorld, shared } from "./support/flights.ts"

const hello = ScriptedProvider.text(["Hel", "lo ", "all!"], { delay: 100, between: 10 })

const requests = (receipt: Receipt.Receipt) =>
  receipt.attempts.map(({ outcome, startMillis }) => [startMillis, outcome])

describe("SingleFlight", () => {
  for (const kind of ["whole", "stream"] as const) {
    describe(kind, () => {
      it.effect("goes on where the first one is interrupted before it opens", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([hello])
          const first = yield* world[kind](shared)
          yield* TestClock.adjust(20)
          const second = yield* world[kind](shared)
          const third = yield* world[kind](shared)
          yield* TestClock.adjust(20)
          yield* first.leave
          assert.deepStrictEqual([first.ended(), requests(first.receipt())], ["interrupted", []])
          yield* TestClock.adjust(1000)
          assert.deepStrictEqual([second.text(), third.text()], ["Hello all!", "Hello all!"])
          // It had waited longest. What it pays for it does not save.
          assert.deepStrictEqual(requests(second.receipt()), [[-20, "success"]])
          assert.strictEqual(second.receipt().savedUsage, undefined)
          assert.deepStrictEqual(requests(third.receipt()), [])
          assert.isDefined(third.receipt().savedUsage)
          yield* world.settled
        }))

      it.effect("ends at once where the last one leaves before it opens, and is begun anew in the same tick", () =>
        Effect.gen(function*() {
          const world = yield* makeWorld([ScriptedProvider.silence, hello])
          const callers = [yield* world[kind](shared), yield* world[kind](shared)]
          yield* TestClock.adjust(50)
          yield* callers[0]!.leave
          assert.strictEqual(world.calls[0]!.outcome, undefined)
          const leaving = yield* Effect.forkChild(callers[1]!.leave, { startImmediately: true })
          const next = yield* world[kind](shared)
          yield* Fiber.join(leaving)
          assert.strictEqual(world.calls[0]!.outcome, "interrupted")
          assert.deepStrictEqual(callers.map((caller) => requests(caller.receipt())), [[], [[0, "interrupted"]]])
          yield* TestClock.adjust(1000)
          assert.strictEqual(next.text(), "Hello all!")
          assert.strictEqual(next.receipt().cache, undefined)
          yield* world.settled
        }))
    })
  }

  it.effect("hands its requests on, once each time, as those who pay for it leave in the middle", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const callers = [yield* world.stream(shared), yield* world.stream(shared), yield* world.stream(shared)]
      yield* TestClock.adjust(115)
      yield* callers[0]!.leave
      yield* TestClock.adjust(10)
      yield* callers[1]!.leave
      assert.strictEqual(callers[1]!.text(), "Hello ")
      yield* TestClock.adjust(1000)
      assert.strictEqual(callers[2]!.text(), "Hello all!")
      assert.deepStrictEqual(callers.map((caller) => [caller.receipt().outcome, requests(caller.receipt())]), [
        ["interrupted", []],
        ["interrupted", []],
        ["success", [[0, "success"]]]
      ])
      yield* world.settled
    }))

  it.effect("ends at once where the last one leaves in the middle", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const callers = [yield* world.stream(shared), yield* world.stream(shared)]
      yield* TestClock.adjust(115)
      yield* Effect.forEach(callers, (caller) => caller.leave, { concurrency: "unbounded" })
      assert.strictEqual(world.calls[0]!.outcome, "interrupted")
      assert.deepStrictEqual(callers.map((caller) => caller.text()), ["Hel", "Hel"])
      yield* world.settled
    }))

  it.effect("gives each reader of an answer that breaks off its parts, and then the same failure", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.breakOff(["Hel", "lo "], "ServerError", { between: 10 })])
      const first = yield* world.stream(shared)
      yield* TestClock.adjust(15)
      const second = yield* world.stream(shared)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([first.text(), second.text()], ["Hello ", "Hello "])
      const failure = first.ended()
      assert.instanceOf(failure, LlmError.StreamInterrupted)
      assert.strictEqual(second.ended(), failure)
      assert.deepStrictEqual(world.receipts.map(({ outcome, savedUsage }) => [outcome, savedUsage]), [
        ["StreamInterrupted", undefined],
        ["StreamInterrupted", undefined]
      ])
      yield* world.settled
    }))

  it.effect("asks anew for whoever waits for all of an answer that breaks off", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.breakOff(["Hel", "lo "], "cut", { between: 10 }), hello])
      const reads = yield* world.stream(shared)
      const waits = [yield* world.whole(shared), yield* world.whole(shared)]
      yield* TestClock.adjust(1000)
      assert.instanceOf(reads.ended(), LlmError.StreamInterrupted)
      assert.deepStrictEqual(waits.map((caller) => caller.text()), ["Hello all!", "Hello all!"])
      assert.deepStrictEqual(waits.map((caller) => caller.receipt().cache), [undefined, "coalesced"])
      assert.strictEqual(world.calls.length, 2)
      yield* world.settled
    }))

  it.effect("hands nobody an answer without its end as a whole one", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const unfinished = Llm.make({
        plan: openai.plan,
        open: (call: Call.Call) =>
          Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
            Effect.map(
              flights.open("k", call, (call) =>
                call.mode === "whole" ? openai.open(call) : Effect.succeed(Opened.flow(
                  Stream.concat(
                    Stream.make<[Part.Part]>({ type: "text-delta", id: "0", delta: "Hel" }),
                    Stream.fromEffectDrain(Effect.sleep(10))
                  )
                ))),
              ({ opened }) => opened
            ))
      })
      const reads = yield* world.stream(unfinished)
      const waits = yield* world.whole(unfinished)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual([reads.text(), waits.text()], ["Hel", "Hello all!"])
      yield* world.settled
    }))

  it.effect("tells decisions on the receipt of whoever pays, in its own time", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.fail("Overloaded", { delay: 100 }), hello])
      const retried = openai.pipe(Llm.retry(Schedule.fixed(50)), SingleFlight.share({ key: () => "" }))
      const first = yield* world.whole(retried)
      yield* TestClock.adjust(30)
      const second = yield* world.whole(retried)
      yield* TestClock.adjust(90)
      yield* first.leave
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(requests(second.receipt()), [[-30, "Overloaded"], [120, "success"]])
      assert.deepStrictEqual(second.receipt().events, [
        { type: "retry", atMillis: 70, afterAttempts: 1, reason: "Overloaded", delayMillis: 50 }
      ])
      assert.deepStrictEqual(first.receipt().events, [])
      yield* world.settled
    }))

  it.effect("is told when it is whole, also where nobody waits any more, and is joined until that is done", () =>
    Effect.gen(function*() {
      const told: Array<SingleFlight.Answer> = []
      const done = yield* Deferred.make<void>()
      const world = yield* makeWorld([hello])
      const llm = Llm.make({
        plan: openai.plan,
        open: (call) =>
          Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
            Effect.map(
              flights.open("k", call, openai.open, {
                whole: (answer) => {
                  told.push(answer)
                  return Deferred.await(done)
                }
              }),
              ({ opened }) => opened
            ))
      })
      const first = yield* world.stream(llm)
      yield* TestClock.adjust(1000)
      assert.strictEqual(first.ended(), "success")
      assert.strictEqual(told.length, 1)
      assert.deepInclude(told[0], {
        degraded: false,
        provider: "openai",
        model: "gpt-5-mini",
        finishReason: "stop",
        usage: first.receipt().usage,
        cost: undefined,
        startedAt: 0,
        durationMillis: 150
      })
      assert.deepStrictEqual(told[0]!.parts, hello.parts)
      const late = [yield* world.whole(llm), yield* world.stream(llm)]
      assert.deepStrictEqual(late.map((caller) => [caller.text(), caller.ended()]), [
        ["Hello all!", "success"],
        ["Hello all!", "success"]
      ])
      assert.deepStrictEqual(late.map((caller) => caller.receipt().cache), ["coalesced", "coalesced"])
      assert.strictEqual(yield* world.flights.size, 1)
      yield* Deferred.succeed(done, undefined)
      assert.strictEqual(told.length, 1)
      yield* world.settled
    }))

  it.effect("is not harmed by one that is told and dies", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const world = yield* makeWorld([hello, hello])
      const llm = Llm.make({
        plan: openai.plan,
        open: (call) =>
          Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
            Effect.map(
              flights.open("k", call, openai.open, {
                whole: () => {
                  throw new Error("so the test says")
                }
              }),
              ({ opened }) => opened
            ))
      })
      const first = yield* world.whole(llm)
      yield* TestClock.adjust(1000)
      assert.strictEqual(first.ended(), "success")
      assert.strictEqual(logged.length, 1)
      yield* world.settled
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(message))])))
  })

  it.effect("dies for all where its request dies, also while it is closed, and is forgotten", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello, hello])
      const dying = Llm.make({
        plan: openai.plan,
        open: (call: Call.Call) =>
          Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
            Effect.map(
              flights.open("k", call, (call) =>
                Effect.andThen(Effect.addFinalizer(() => Effect.die("so the test says")), openai.open(call))),
              ({ opened }) =>
                opened
            ))
      })
      const callers = [yield* world.whole(dying), yield* world.whole(dying)]
      yield* TestClock.adjust(1000)
      for (const caller of callers) {
        const ended = caller.ended()
        assert.isTrue(Exit.isExit(ended) && Exit.hasDies(ended))
        assert.strictEqual(caller.receipt().outcome, "defect")
      }
      const reads = yield* world.stream(dying)
      yield* TestClock.adjust(1000)
      assert.strictEqual(reads.text(), "Hello all!")
      assert.strictEqual(world.calls.length, 2)
      yield* world.settled
    }))

  it.effect("is interrupted for all with the scope that it is kept in, and nothing is begun after", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld(() => hello)
      const scope = yield* Scope.make()
      const flights = yield* Scope.provide(SingleFlight.make(), scope)
      const llm = Llm.make({
        plan: openai.plan,
        open: (call) => Effect.map(flights.open("k", call, openai.open), ({ opened }) => opened)
      })
      const waits = yield* world.whole(llm)
      yield* TestClock.adjust(50)
      const reads = yield* world.stream(
        openai.pipe((other) =>
          Llm.make({
            plan: other.plan,
            open: (call) => Effect.map(flights.open("r", call, other.open), (one) => one.opened)
          })
        )
      )
      yield* TestClock.adjust(45)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([waits.ended(), reads.ended()], ["interrupted", "interrupted"])
      const late = yield* world.whole(llm)
      assert.strictEqual(late.ended(), "interrupted")
      assert.strictEqual(world.calls.length, 2)
      yield* world.settled
    }))

  it.effect("does not wait for itself", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([hello])
      const join = <E, R>(self: Llm.Llm<E, R>) =>
        Llm.make({
          plan: self.plan,
          open: (call) =>
            Effect.flatMap(
              SingleFlight.SingleFlight,
              (flights) => Effect.map(flights.open("k", call, self.open), ({ opened }) => opened)
            )
        })
      const caller = yield* world.whole(join(join(openai)))
      yield* TestClock.adjust(1000)
      assert.strictEqual(caller.text(), "Hello all!")
      yield* world.settled
    }))

  it.effect("lets no caller change what another one has", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([ScriptedProvider.toolCall("search", { words: ["a"] }, { delay: 10 })])
      const opened: Array<ReadonlyArray<Part.Part>> = []
      const looks = Llm.make({
        plan: shared.plan,
        open: (call: Call.Call) =>
          Effect.map(shared.open(call), (one) => {
            if (one._tag === "Whole") opened.push(one.parts)
            return one
          })
      })
      yield* world.whole(looks)
      yield* world.whole(looks)
      yield* TestClock.adjust(1000)
      const [mine, theirs] = opened.map((parts) => parts.find((part) => part.type === "tool-call"))
      const params = mine!.params as { words: Array<string> }
      params.words.push("b")
      assert.deepStrictEqual(theirs!.params, { words: ["a"] })
      yield* world.settled
    }))

  it.effect("leaves probes alone, and calls that go on from a text", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld(() => hello)
      const as = (change: Partial<Call.Call>) =>
        Llm.make({ plan: shared.plan, open: (call: Call.Call) => shared.open({ ...call, ...change }) })
      for (const llm of [shared, as({ single: true }), as({ continues: "Hel" })]) yield* world.whole(llm)
      yield* TestClock.adjust(1000)
      assert.strictEqual(world.calls.length, 3)
      assert.deepStrictEqual(world.receipts.map(({ cache }) => cache), [undefined, undefined, undefined])
      yield* world.settled
    }))

  it.effect("gives a reader who cannot read a retract what is not unsaid, or says that it broke off", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld([])
      const text = (delta: string): Part.Part => ({ type: "text-delta", id: "0", delta })
      const gate = yield* Deferred.make<void>()
      const end = yield* Deferred.make<void>()
      const finish = hello.parts.at(-1)!
      const llm = (retractable: boolean) =>
        Llm.make({
          plan: openai.plan,
          open: (call: Call.Call) =>
            Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
              Effect.map(
                flights.open("k", { ...call, retractable }, () =>
                  Effect.succeed(Opened.flow(Stream.concat(
                    Stream.make(text("No. ")),
                    Stream.unwrap(Effect.as(
                      Deferred.await(gate),
                      Stream.concat(
                        Stream.make<[Part.Part, Part.Part]>({ type: "retract", reason: "closed" }, text("Yes.")),
                        Stream.unwrap(Effect.as(Deferred.await(end), Stream.make(finish)))
                      )
                    ))
                  )))),
                ({ opened }) => opened
              ))
        })
      const can = yield* world.stream(llm(true))
      const cannot = yield* world.stream(llm(false))
      assert.deepStrictEqual([can.text(), cannot.text()], ["No. ", "No. "])
      yield* Deferred.succeed(gate, undefined)
      const late = yield* world.stream(llm(false))
      const all = yield* world.whole(llm(true))
      yield* Deferred.succeed(end, undefined)
      yield* Effect.yieldNow
      assert.deepStrictEqual(can.parts.map((part) => part.type), ["text-delta", "retract", "text-delta", "finish"])
      const failure = cannot.ended()
      assert.instanceOf(failure, LlmError.StreamInterrupted)
      assert.strictEqual(failure.reason, "closed")
      assert.deepStrictEqual(late.parts.map((part) => part.type), ["text-delta", "finish"])
      assert.strictEqual(all.text(), "Yes.")
      yield* world.settled
    }))
})
