/**
 * What a view does to a terminal, and that it leaves it as it was.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Layer, PlatformError, Stream } from "effect"
import { LiveView } from "effect-bulwark/telemetry"
import { TestClock } from "effect/testing"
import { ask, begin, close, receiptOf } from "./support/live.ts"
import { make, type Options, type TestTerminal } from "./support/terminal.ts"

const broken = PlatformError.badArgument({ module: "Terminal", method: "display", description: "gone" })

/** Runs a view on a terminal, while something else is done. */
const beside = <A, E, R>(
  terminal: TestTerminal,
  meanwhile: (
    fiber: Fiber.Fiber<void, PlatformError.PlatformError>
  ) => Effect.Effect<A, E, R>,
  options?: LiveView.RunOptions
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(LiveView.run(options), { startImmediately: true })
    yield* TestClock.adjust(0)
    return yield* meanwhile(fiber)
  }).pipe(Effect.provide(Layer.mergeAll(LiveView.layer(), terminal.layer)))

const assertRestored = (terminal: TestTerminal): void => {
  assert.deepStrictEqual(
    [terminal.screen(), terminal.cursor(), terminal.wraps(), terminal.listeners()],
    ["usual", true, true, 0]
  )
}

const assertShown = (terminal: TestTerminal): void => {
  assert.deepStrictEqual([terminal.screen(), terminal.cursor(), terminal.wraps()], ["other", false, false])
}

describe("LiveView.run", () => {
  it.effect("draws what changes, and nothing where nothing has changed", () => {
    const terminal = make()
    return beside(terminal, (fiber) =>
      Effect.gen(function*() {
        assertShown(terminal)
        assert.match(terminal.lines()[0]!, /^BULWARK {2}0 in flight +q quits, r redraws$/)
        const idle = terminal.writes()
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(terminal.writes(), idle)

        const operation = yield* begin("op", { attribution: { feature: "search" } })
        ask(operation)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(terminal.writes(), idle + 1)
        assert.deepStrictEqual(terminal.lines().slice(4), [
          "IN FLIGHT 1",
          "0.1s  search  openai/gpt-5-mini  #1  first part 0.1s"
        ])
        // Many events, one frame; and lines that stand there are not written again.
        for (let n = 0; n < 100; n++) ask(operation)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(terminal.writes(), idle + 2)
        assert.notInclude(terminal.written.at(-1), "IN FLIGHT")
        assert.notInclude(terminal.written.at(-1), "BULWARK")

        close(operation, receiptOf([{}]))
        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(terminal.lines().slice(4), [
          "FINISHED 1",
          "1.0s  search  openai/gpt-5-mini  success"
        ])
        yield* Fiber.interrupt(fiber)
        assertRestored(terminal)
      }))
  })

  it.effect("draws ten frames a second at most, and as few as it is told", () => {
    const terminal = make()
    const slow = make()
    const busy = (terminal: TestTerminal) => () =>
      Effect.gen(function*() {
        const before = terminal.writes()
        yield* begin("op")
        for (let n = 0; n < 400; n++) {
          yield* begin("op")
          yield* TestClock.adjust("10 millis")
        }
        return terminal.writes() - before
      })
    return Effect.gen(function*() {
      assert.strictEqual(yield* beside(terminal, busy(terminal)), 40)
      assert.strictEqual(yield* beside(slow, busy(slow), { interval: "1 second" }), 4)
    })
  })

  it.effect("follows the size of the terminal", () => {
    const terminal = make({ columns: 100, rows: 40 })
    return beside(terminal, () =>
      Effect.gen(function*() {
        for (let n = 0; n < 30; n++) yield* begin("op", { attribution: { feature: "a feature with a long name" } })
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(terminal.lines().length, 35)
        terminal.resize(30, 10)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(terminal.lines().length, 10)
        for (const line of terminal.lines()) assert.isAtMost(line.length, 30)
        // What stands on a terminal that is made narrower is not what was drawn.
        terminal.resize(29, 10)
        yield* TestClock.adjust("100 millis")
        assert.include(terminal.written.at(-1), "\u001b[2J")
        assert.include(terminal.written.at(-1), "BULWARK")
        // A terminal that does not know its size.
        terminal.resize(0, 0)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(terminal.lines().length, 24)
      }))
  })

  it.effect("draws everything again when asked to, whatever others have written", () => {
    const terminal = make()
    return beside(terminal, () =>
      Effect.gen(function*() {
        const before = terminal.lines()
        for (const [key, options] of [["r", {}], ["l", { ctrl: true }]] as const) {
          terminal.scribble(0, "a log line")
          terminal.scribble(20, "another one")
          yield* terminal.press("x")
          yield* TestClock.adjust("1 second")
          assert.strictEqual(terminal.lines()[0], "a log line")
          yield* terminal.press(key, options)
          yield* TestClock.adjust("100 millis")
          assert.deepStrictEqual(terminal.lines(), before)
        }
      }))
  })

  for (const [key, options] of [["q", {}], ["escape", {}], ["d", { ctrl: true }]] as const) {
    it.effect(`ends when ${JSON.stringify(options)} ${key} is pressed`, () => {
      const terminal = make()
      return beside(terminal, (fiber) =>
        Effect.gen(function*() {
          assert.strictEqual(terminal.listeners(), 1)
          yield* terminal.press(key, options)
          assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.void)
          assertRestored(terminal)
        }))
    })
  }

  it.effect("ends by interruption when Ctrl+C is pressed, and what it is raced with ends as well", () => {
    const terminal = make()
    let interrupted = false
    const application = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted = true))
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.raceFirst(application, LiveView.run()), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* terminal.press("c", { ctrl: true })
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.isTrue(interrupted)
      assertRestored(terminal)
    }).pipe(Effect.provide(Layer.mergeAll(LiveView.layer(), terminal.layer)))
  })

  it.effect("restores the terminal when what it is raced with ends, fails or dies", () =>
    Effect.gen(function*() {
      for (const application of [Effect.succeed("done"), Effect.fail("failed"), Effect.die("died")]) {
        const terminal = make()
        const fiber = yield* Effect.raceFirst(Effect.delay(application, "1 second"), LiveView.run()).pipe(
          Effect.provide(Layer.mergeAll(LiveView.layer(), terminal.layer)),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("500 millis")
        assertShown(terminal)
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(yield* Fiber.await(fiber), yield* Effect.exit(application))
        assertRestored(terminal)
      }
    }))

  it.effect("restores the terminal when it dies itself", () => {
    const terminal = make()
    const view = LiveView.LiveView.of({
      state: Effect.flatMap(Clock.currentTimeMillis, (now) =>
        now < 1_000
          ? Effect.provide(LiveView.state, LiveView.layer())
          : Effect.die("broken")),
      changes: Stream.never
    })
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(LiveView.run(), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assertShown(terminal)
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.die("broken"))
      assertRestored(terminal)
    }).pipe(Effect.provide(Layer.mergeAll(Layer.succeed(LiveView.LiveView, view), terminal.layer)))
  })

  it.effect("fails where the terminal cannot be written to", () =>
    Effect.gen(function*() {
      for (const write of [0, 1, 2]) {
        const terminal = make({ failsFrom: { write, error: broken } })
        const exit = yield* beside(terminal, (fiber) =>
          Effect.gen(function*() {
            yield* begin("op")
            yield* TestClock.adjust("1 second")
            return yield* Fiber.await(fiber)
          }))
        assert.deepStrictEqual(exit, Exit.fail(broken))
        assert.strictEqual(terminal.listeners(), 0)
      }
    }))

  it.effect("restores the terminal when it is interrupted at once", () => {
    const terminal = make()
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(LiveView.run(), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assertRestored(terminal)
    }).pipe(Effect.provide(Layer.mergeAll(LiveView.layer(), terminal.layer)))
  })

  it.effect("goes on where there are no more keys, and reads none where input is no terminal", () =>
    Effect.gen(function*() {
      const terminal = make()
      yield* beside(terminal, (fiber) =>
        Effect.gen(function*() {
          yield* terminal.endInput
          yield* TestClock.adjust("1 second")
          assert.isUndefined(fiber.pollUnsafe())
          assertShown(terminal)
          yield* Fiber.interrupt(fiber)
          assertRestored(terminal)
        }))

      const piped = make({ capabilities: { canPrompt: false } })
      yield* beside(piped, () =>
        Effect.sync(() => {
          assertShown(piped)
          assert.strictEqual(piped.listeners(), 0)
          assert.strictEqual(piped.lines()[0], "BULWARK  0 in flight")
        }))
    }))

  it.effect("where output is no terminal, prints one frame at its end", () => {
    const terminal = make({ columns: 0, rows: 0, capabilities: { canAnimate: false, canPrompt: false } })
    return beside(terminal, (fiber) =>
      Effect.gen(function*() {
        close(yield* begin("op", { attribution: { feature: "search" } }), receiptOf([{}]))
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(terminal.written, [])
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(terminal.written, [[
          "BULWARK  0 in flight",
          "last 60s  0 calls",
          "in all    1 call  0% errors  1 without a price",
          "",
          "FINISHED 1",
          "1.0s  search  openai/gpt-5-mini  success",
          ""
        ].join("\n")])
      }))
  })

  it.effect("has colours where the terminal has them, unless it is told otherwise", () =>
    Effect.gen(function*() {
      const colours = (capabilities: Options["capabilities"], color?: boolean) => {
        const terminal = make(capabilities === undefined ? {} : { capabilities })
        return beside(
          terminal,
          () => Effect.sync(() => terminal.written.join("").includes("\u001b[1mBULWARK")),
          color === undefined ? {} : { color }
        )
      }
      assert.isTrue(yield* colours({ canColor: true }))
      assert.isFalse(yield* colours({ canColor: true }, false))
      assert.isFalse(yield* colours({ canColor: false }))
      assert.isTrue(yield* colours({ canColor: false }, true))
    }))
})
