/**
 * What a request holds (a socket, a permit) is let go of exactly once, and as soon as nobody needs it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, OpenAi, openai, question } from "../core/support/stack.ts"

/** A provider that holds a socket for each request: the log says when it was opened and closed. */
const holding = (log: Array<string>, script: ScriptedProvider.Script) => {
  const inner = ScriptedProvider.layer(OpenAi, script)
  let sockets = 0
  const note = (what: string, socket: number) =>
    Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now / 1_000} ${what} ${socket}`))
  const socket = Effect.acquireRelease(
    Effect.suspend(() => {
      const number = ++sockets
      return Effect.as(note("opens", number), number)
    }),
    (number) => note("closes", number)
  )
  return Layer.effect(
    OpenAi,
    Effect.map(OpenAi, (provider) =>
      OpenAi.of({
        whole: (request) => Effect.scoped(Effect.andThen(socket, provider.whole(request))),
        stream: (request) => Stream.unwrap(Effect.as(socket, provider.stream(request)))
      }))
  ).pipe(Layer.provide(inner))
}

const slowly = { delay: "1 second", between: "1 second" } as const
const answer = ScriptedProvider.text(["a", "b"], slowly)

const stack = openai.pipe(
  Llm.timeout({ firstPart: "5 seconds", idle: "5 seconds" }),
  Llm.retry(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 1 }))),
  Llm.orElse(anthropic),
  Llm.timeout({ total: "1 minute" })
)

const text = Effect.asVoid(Llm.generateText(stack, question))
const stream = Stream.runDrain(Llm.streamText(stack, question))

/** What was opened and closed, and when, in seconds. */
const sockets = <E>(
  run: Effect.Effect<void, E, OpenAi | Anthropic>,
  script: ScriptedProvider.Script,
  interruptAfter?: number
) =>
  Effect.gen(function*() {
    const log: Array<string> = []
    const fiber = yield* run.pipe(
      Effect.provide([holding(log, script), ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("c", slowly)])]),
      Effect.forkChild({ startImmediately: true })
    )
    if (interruptAfter !== undefined) {
      yield* TestClock.adjust(interruptAfter * 1_000)
      yield* Fiber.interrupt(fiber)
    }
    yield* TestClock.adjust("1 hour")
    yield* Fiber.await(fiber)
    return log
  })

for (const [kind, run] of Object.entries({ "a full answer": text, "a stream": stream })) {
  describe(`the socket of ${kind} is closed`, () => {
    it.effect("with the answer", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sockets(run, [answer]), ["0 opens 1", "5 closes 1"])
      }))

    it.effect("with the failure, before the next one is opened", () =>
      Effect.gen(function*() {
        const overloaded = ScriptedProvider.fail("Overloaded", { delay: "1 second" })
        assert.deepStrictEqual(yield* sockets(run, [overloaded, answer]), [
          "0 opens 1",
          "1 closes 1",
          "3 opens 2",
          "8 closes 2"
        ])
      }))

    it.effect("with the limit, before the next one is opened", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sockets(run, [ScriptedProvider.silence, answer]), [
          "0 opens 1",
          "5 closes 1",
          "7 opens 2",
          "12 closes 2"
        ])
      }))

    it.effect("when the caller goes away: before the first part, between two attempts, in mid-answer", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* sockets(run, [answer], 0.5), ["0 opens 1", "0.5 closes 1"])
        assert.deepStrictEqual(yield* sockets(run, [answer], 2.5), ["3600.5 opens 1", "3603 closes 1"])
        const failed = yield* sockets(run, [ScriptedProvider.fail("Overloaded")], 1)
        assert.deepStrictEqual(failed.map((line) => line.split(" ").slice(1).join(" ")), ["opens 1", "closes 1"])
      }))
  })
}

describe("the socket of a stream is closed", () => {
  it.effect("when the answer is cut", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sockets(stream, [ScriptedProvider.breakOff(["a"], "cut", slowly)]), [
        "0 opens 1",
        "2 closes 1"
      ])
    }))

  it.effect("when it comes to a halt", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sockets(stream, [ScriptedProvider.breakOff(["a"], "stall", slowly)]), [
        "0 opens 1",
        "7 closes 1"
      ])
    }))

  it.effect("when it goes on for too long", () =>
    Effect.gen(function*() {
      const words = Array.from({ length: 100 }, () => "a")
      assert.deepStrictEqual(yield* sockets(stream, [ScriptedProvider.text(words, slowly)]), [
        "0 opens 1",
        "60 closes 1"
      ])
    }))

  it.effect("when the reader has had enough, or fails", () =>
    Effect.gen(function*() {
      const parts = Llm.textDeltas(Llm.streamText(stack, question))
      const enough = Stream.runDrain(Stream.take(parts, 1))
      assert.deepStrictEqual(yield* sockets(enough, [answer]), ["0 opens 1", "2 closes 1"])
      const failing = Effect.asVoid(Effect.exit(Stream.runForEach(parts, () => Effect.fail("full"))))
      const log = yield* sockets(failing, [answer])
      assert.strictEqual(log.length, 2)
    }))

  it.effect("even where a reader holds on to the stream's pull, with its scope", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const exit = yield* Effect.gen(function*() {
        const pull = yield* Stream.toPull(Llm.streamText(openai, question))
        yield* pull
        return yield* Effect.fail("enough")
      }).pipe(
        Effect.scoped,
        Effect.provide(holding(log, [ScriptedProvider.text(["a", "b"])])),
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(log, ["0 opens 1", "0 closes 1"])
    }))
})
