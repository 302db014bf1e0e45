/**
 * Any number of calls, arriving at any time, of any kind, that end in any way, or are interrupted: the limit holds at every
 * moment, nobody waits while there is room, and nothing is left in the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Limiter, Llm, LlmError, type Part } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { TestClock } from "effect/testing"
import { makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"

const key = "openai/gpt-5-mini"

/** A generator of its own, so that a seed says all. */
const generator = (seed: number) => {
  let state = seed * 0x9e3779b9
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    below: (limit: number) => Math.floor(next() * limit),
    pick: <A>(values: ReadonlyArray<A>): A => values[Math.floor(next() * values.length)]!
  }
}

const endings = ["end", "end", "end", "fail", "cut", "die", "silence"] as const
type Ending = typeof endings[number]

interface Plan {
  readonly arrives: number
  readonly mode: "whole" | "stream"
  readonly priority: "interactive" | "batch"
  readonly first: number
  readonly between: number
  readonly ending: Ending
  /** When the caller goes away. */
  readonly leaves: number | undefined
  /** How many parts a consumer reads of a stream. */
  readonly reads: number
  /** How long it takes for each. */
  readonly reading: number
}

const finish: Part.ProviderPart = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 5 }, outputTokens: { total: 5 } }
}

/** Does what the plan of a call says, and counts how many are at it. */
const serving = (limit: number, wrong: Array<string>) => {
  let running = 0
  let sent = 0
  const begin = Effect.sync(() => {
    sent++
    running++
    if (running > limit) wrong.push(`${running} at once`)
  })
  const end = Effect.sync(() => void running--)
  const fail = (ending: Ending): Effect.Effect<void, LlmError.ProviderError> =>
    ending === "fail"
      ? Effect.fail(new LlmError.Overloaded({}))
      : ending === "cut"
      ? Effect.fail(new LlmError.ConnectionFailed({}))
      : ending === "die"
      ? Effect.die("a defect")
      : ending === "silence"
      ? Effect.never
      : Effect.void
  const planOf = (request: Provider.Request): Plan => plans.get(request.settings.seed!)!
  const plans = new Map<number, Plan>()
  const provider: Provider.Provider = {
    whole: (request) => {
      const plan = planOf(request)
      return Effect.acquireUseRelease(
        begin,
        () =>
          Effect.sleep(plan.first).pipe(
            Effect.andThen(fail(plan.ending)),
            Effect.as<ReadonlyArray<Part.AnswerPart>>([{ type: "text", text: "a" }, finish])
          ),
        () => end
      )
    },
    stream: (request) => {
      const plan = planOf(request)
      const words = Array.from({ length: 3 }, () => ({ type: "text-delta", id: "0", delta: "a" } as const))
      // With the last part the answer is over, whatever the reader does then.
      let ended = false
      const once = Effect.suspend(() => {
        if (ended) return Effect.void
        ended = true
        return end
      })
      return Stream.unwrap(Effect.as(
        Effect.acquireRelease(begin, () => once),
        Stream.fromIterable<Part.ProviderPart>([...words, finish]).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((part, index) =>
            Effect.sleep(index === 0 ? plan.first : plan.between).pipe(
              Effect.andThen(part.type === "finish" ? Effect.andThen(fail(plan.ending), once) : Effect.void),
              Effect.as(part)
            )
          )
        )
      ))
    }
  }
  return { provider, plans, running: () => running, sent: () => sent }
}

const run = (seed: number, limits: Limiter.Limits) =>
  Effect.gen(function*() {
    const { below, pick } = generator(seed)
    const limit = 1 + below(4)
    const wrong: Array<string> = []
    const { plans, provider, running, sent } = serving(limit, wrong)
    const receipts = makeReceipts()
    const probe = yield* makeProbe
    const layer = Layer.merge(
      Layer.succeed(OpenAi, provider),
      Limiter.layerMemory({
        limits: { concurrency: limit, queue: { size: 1 + below(20), maxWait: pick([500, 5_000]) }, ...limits },
        estimateTokens: () => 8
      })
    )
    const llm = openai.pipe(Limiter.enforce())
    yield* Effect.gen(function*() {
      const fibers = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index): Plan & { readonly id: number } => ({
          id: index,
          arrives: below(4_000),
          mode: pick(["whole", "stream"]),
          priority: pick(["interactive", "batch"]),
          first: below(400),
          between: below(200),
          ending: pick(endings),
          leaves: pick([undefined, below(1_500)]),
          reads: pick([1, 2, 10, 10]),
          reading: pick([0, 0, below(300)])
        })),
        (plan) => {
          plans.set(plan.id, plan)
          const ask = Llm.withSettings(llm, { seed: plan.id })
          const call = plan.mode === "whole"
            ? Effect.asVoid(Llm.generateText(ask, question))
            : Llm.streamText(ask, question).pipe(
              Stream.take(plan.reads),
              Stream.runForEach(() => Effect.sleep(plan.reading))
            )
          const bounded = plan.leaves === undefined ? call : Effect.timeoutOption(call, plan.leaves)
          return Effect.sleep(plan.arrives).pipe(
            Effect.andThen(probe.watch(receipts.observe(Limiter.withPriority(bounded, plan.priority)))),
            Effect.exit,
            Effect.forkChild({ startImmediately: true })
          )
        }
      )
      for (let step = 0; step < 150; step++) {
        yield* TestClock.adjust(step < 100 ? 73 : 200)
        const { inFlight, queued } = yield* Limiter.status(key)
        if (inFlight > limit) wrong.push(`${inFlight} permits`)
        if (inFlight < running()) wrong.push(`${running()} run on ${inFlight} permits`)
        const waiting = queued.interactive + queued.batch
        if (limits.requestsPerMinute === undefined && waiting > 0 && inFlight < limit) {
          wrong.push(`${waiting} wait though there is room`)
        }
      }
      // Those that are silent for ever are given up.
      yield* Effect.forEach(fibers, Fiber.interrupt)
      assert.deepStrictEqual(wrong, [], `seed ${seed}`)
      assert.deepStrictEqual(yield* Limiter.status(key), {
        inFlight: 0,
        queued: { interactive: 0, batch: 0 },
        limit
      }, `seed ${seed}`)
      assert.strictEqual(running(), 0, `seed ${seed}`)
      assert.strictEqual(probe.timers() + probe.fibers(), 0, `seed ${seed}`)
      assert.isAtLeast(sent(), 1)
      // Nothing was sent for those that say so, and something for all others that have an attempt.
      assert.strictEqual(receipts.seen.reduce((sum, receipt) => sum + receipt.attempts.length, 0), sent())
      for (const receipt of receipts.seen) {
        if (receipt.outcome === "Saturated") assert.deepStrictEqual(receipt.attempts, [])
      }
      // The gate works as if nothing had been.
      plans.set(-1, { ...plans.get(0)!, first: 0, ending: "end" })
      const last = yield* Effect.forkChild(
        Effect.exit(Llm.generateText(Llm.withSettings(llm, { seed: -1 }), question)),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(last)), `seed ${seed}`)
    }).pipe(Effect.provide(layer))
  }).pipe(Effect.provide(Layer.fresh(TestClock.layer())))

describe("whatever comes", () => {
  const limits: Record<string, Limiter.Limits> = {
    "calls in flight": {},
    "calls in flight, requests and tokens": { requestsPerMinute: 120, tokensPerMinute: 600 }
  }
  for (const [what, more] of Object.entries(limits)) {
    it.effect(`the limit holds: ${what}`, () =>
      Effect.gen(function*() {
        for (let seed = 1; seed <= 100; seed++) yield* run(seed, more)
      }), 60_000)
  }
})
