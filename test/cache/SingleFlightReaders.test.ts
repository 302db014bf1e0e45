/**
 * Readers of one shared stream that read at their own pace: what is kept for them, and what is not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Redacted, Stream } from "effect"
import { type Call, Llm, LlmError, Opened, Part } from "effect-bulwark"
import { TestClock } from "effect/testing"
import { FlightBuffer } from "../../src/cache/internal/flightBuffer.ts"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { AttemptRecord } from "../../src/core/internal/recorder.ts"
import { openai } from "../core/support/stack.ts"
import { makeWorld } from "./support/flights.ts"

const finish: Part.Part = {
  type: "finish",
  reason: "stop",
  usage: {
    inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 }
  }
}

const word = (n: number): Part.Part => ({ type: "text-delta", id: "0", delta: `${n} `.padStart(5, "0") })
const words = Array.from({ length: 40 }, (_, n) => word(n))
const text = Part.text(words)

/** An answer of 200 bytes that comes after a while, and then as fast as it is read; and how much of it has been. */
const flood = () => {
  const read = { parts: 0, calls: 0 }
  const record = new AttemptRecord("openai", "gpt-5-mini", 0)
  const upstream = Stream.fromIterable([...words, finish]).pipe(
    Stream.rechunk(1),
    Stream.tap((part) =>
      Effect.sync(() => {
        record.see(part)
        read.parts++
      })
    ),
    (parts) => Stream.unwrap(Effect.as(Effect.sleep(5), parts))
  )
  const told: Array<SingleFlight.Answer> = []
  const llm = Llm.make({
    plan: openai.plan,
    open: (call: Call.Call) =>
      Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
        Effect.map(
          flights.open("k", call, (call) => {
            read.calls++
            call.recorder.serving = record
            return Effect.succeed(call.mode === "whole" ? Opened.whole([...words, finish]) : Opened.flow(upstream))
          }, { whole: (answer) => Effect.sync(() => told.push(answer)) }),
          ({ opened }) => opened
        ))
  })
  return { llm, read, told }
}

const limit = { maxBytes: 50 }

describe("SingleFlight", () => {
  it.effect("keeps an answer for a reader that stands still, where it is not too large", () =>
    Effect.gen(function*() {
      const { llm, read, told } = flood()
      const world = yield* makeWorld([])
      const gate = yield* Deferred.make<void>()
      const still = yield* world.stream(llm, () => Deferred.await(gate))
      yield* TestClock.adjust(5)
      assert.strictEqual(read.parts, 41)
      assert.strictEqual(told.length, 1)
      assert.strictEqual(still.text(), Part.text(words.slice(0, 1)))
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      assert.strictEqual(still.text(), text)
      yield* world.settled
    }))

  it.effect("waits for the only reader of one that is too large, and keeps no more of it than is allowed", () =>
    Effect.gen(function*() {
      const { llm, read, told } = flood()
      const world = yield* makeWorld([], limit)
      const slow = yield* world.stream(llm, () => Effect.sleep(10))
      yield* TestClock.adjust(5)
      const most = []
      for (let n = 0; n < 40; n++) {
        most.push((read.parts - slow.parts.length) * 5)
        yield* TestClock.adjust(10)
      }
      assert.isAtMost(Math.max(...most), 50 + 5 + 50)
      assert.strictEqual(slow.text(), text)
      assert.strictEqual(slow.ended(), "success")
      assert.deepStrictEqual(told, [])
      yield* world.settled
    }))

  it.effect("cuts off who holds up others, with what it has been handed, and only those", () =>
    Effect.gen(function*() {
      const { llm, read } = flood()
      const world = yield* makeWorld([], limit)
      const still = yield* world.stream(llm, (word) => word === "0002 " ? Effect.never : Effect.sleep(10))
      const slow = yield* world.stream(llm, () => Effect.sleep(10))
      const others = yield* Effect.forEach([1, 2, 3], () => world.stream(llm))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(others.map((caller) => caller.text()), others.map(() => text))
      assert.strictEqual(read.calls, 1)
      yield* still.leave
      const ended = slow.ended()
      assert.instanceOf(ended, LlmError.StreamInterrupted)
      assert.strictEqual(ended.reason, "closed")
      assert.strictEqual(ended.failure, undefined)
      assert.strictEqual(Redacted.value(ended.partial), slow.text())
      assert.isTrue(text.startsWith(slow.text()) && slow.text() !== "")
      assert.strictEqual(slow.receipt().outcome, "StreamInterrupted")
      yield* world.settled
    }))

  it.effect("waits where all stand still, and cuts off nobody", () =>
    Effect.gen(function*() {
      const { llm, read } = flood()
      const world = yield* makeWorld([], limit)
      const gate = yield* Deferred.make<void>()
      const callers = yield* Effect.forEach([1, 2, 3], () => world.stream(llm, () => Deferred.await(gate)))
      yield* TestClock.adjust(1000)
      assert.isBelow(read.parts, 25)
      yield* callers[0]!.leave
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(1000)
      // (Both read all that is there in one piece, so neither is too far behind.)
      assert.deepStrictEqual(callers.slice(1).map((caller) => caller.text()), [text, text])
      yield* world.settled
    }))

  it.effect("goes on where the one that stood still leaves", () =>
    Effect.gen(function*() {
      const { llm, read } = flood()
      const world = yield* makeWorld([], limit)
      const still = yield* world.stream(llm, () => Effect.never)
      const reads = yield* world.stream(llm, (word) => word === "0009 " ? Effect.sleep(100) : Effect.void)
      yield* TestClock.adjust(50)
      const before = read.parts
      assert.isBelow(before, 25)
      yield* still.leave
      yield* TestClock.adjust(49)
      // There is room for as many as all have read.
      assert.isAbove(read.parts, before)
      assert.isBelow(read.parts, 30)
      yield* TestClock.adjust(1000)
      assert.strictEqual(reads.text(), text)
      yield* world.settled
    }))

  it.effect("is not joined once it is too large, and kept whole for who waits for all of it", () =>
    Effect.gen(function*() {
      const { llm, read } = flood()
      const world = yield* makeWorld([], limit)
      const gate = yield* Deferred.make<void>()
      const first = yield* world.stream(llm, () => Deferred.await(gate))
      const early = yield* world.whole(llm)
      yield* TestClock.adjust(5)
      assert.strictEqual(early.text(), text)
      assert.strictEqual(read.calls, 1)
      const second = yield* world.whole(llm)
      assert.strictEqual(second.text(), text)
      assert.strictEqual(read.calls, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      assert.strictEqual(first.text(), text)
      yield* world.settled
    }))
})

describe("FlightBuffer", () => {
  it("forgets what all have read, and knows how much it holds", () => {
    const buffer = new FlightBuffer()
    buffer.push(words.slice(0, 4))
    assert.deepStrictEqual([buffer.bytes, buffer.end], [20, 4])
    buffer.drop(3)
    buffer.drop(2)
    assert.deepStrictEqual([buffer.bytes, buffer.end], [5, 4])
    assert.deepStrictEqual(buffer.read(3), [word(3)])
    assert.strictEqual(buffer.textTo(4, () => text), text.slice(0, 20))
    assert.strictEqual(buffer.textTo(3, () => text), text.slice(0, 15))
    // What was dropped is unsaid with all else.
    buffer.push([{ type: "retract", reason: "closed" }, word(7)])
    assert.strictEqual(buffer.textTo(6, () => "0007 "), "0007 ")
    assert.strictEqual(buffer.textTo(4, () => "0007 "), "")
    assert.deepStrictEqual(buffer.said(), [word(7)] as ReadonlyArray<unknown>)
    assert.deepStrictEqual(buffer.retractFrom(3)?.index, 4)
    assert.strictEqual(buffer.retractFrom(5), undefined)
  })

  it("counts UTF-8", () => {
    for (const delta of ["a", "é", "語", "😀", "a😀é"]) {
      const buffer = new FlightBuffer()
      buffer.push([{ type: "text-delta", id: "0", delta }])
      assert.strictEqual(buffer.bytes, new TextEncoder().encode(delta).length)
    }
  })
})
