import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Random, Stream } from "effect"
import { Limiter, Llm, LlmError, type Part } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { TestClock } from "effect/testing"
import { AdaptiveLimit } from "../../src/policies/internal/limiterAdaptive.ts"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { counted } from "../support/counted.ts"

const llm = openai.pipe(Limiter.enforce())
const key = "openai/gpt-5-mini"

/** Half a second of service, 20 % more or less. */
const service = Effect.map(Random.next, (random) => 500 * (0.8 + 0.4 * random))

const answer: ReadonlyArray<Part.AnswerPart> = [
  { type: "text", text: "Hello!" },
  { type: "finish", reason: "stop", usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } } }
]

interface Server {
  readonly provider: Provider.Provider
  /** When answers were given, and how long they took. */
  readonly served: Array<{ readonly at: number; readonly latency: number }>
  readonly refused: Array<number>
}

const server = (
  serve: (served: () => void, refused: () => void) => Effect.Effect<void, LlmError.RateLimited>
): Server => {
  const served: Array<{ readonly at: number; readonly latency: number }> = []
  const refused: Array<number> = []
  return {
    served,
    refused,
    provider: {
      whole: () =>
        Clock.clockWith((clock) => {
          const from = clock.currentTimeMillisUnsafe()
          return Effect.as(
            serve(
              () => {
                const at = clock.currentTimeMillisUnsafe()
                served.push({ at, latency: at - from })
              },
              () => void refused.push(clock.currentTimeMillisUnsafe())
            ),
            answer
          )
        }),
      stream: () => Stream.empty
    }
  }
}

/** Answers 429 above 20 requests a second: a bucket of a second's worth. */
const refusing = (): Server => {
  let tokens = 20
  let last = 0
  return server((served, refused) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      tokens = Math.min(20, tokens + (now - last) * 0.02)
      last = now
      if (tokens < 1) {
        refused()
        return Effect.andThen(Effect.sleep(20), Effect.fail(new LlmError.RateLimited({})))
      }
      tokens--
      return Effect.map(Effect.flatMap(service, Effect.sleep), served)
    })
  )
}

/** Has 10 slots, and a queue without a bound: it never refuses, it only becomes slow. */
const queueing = (): Server => {
  const free = Array.from({ length: 10 }, () => 0)
  return server((served) =>
    Effect.flatMap(Effect.zip(Clock.currentTimeMillis, service), ([now, millis]) => {
      const slot = free.indexOf(Math.min(...free))
      const until = Math.max(now, free[slot]!) + millis
      free[slot] = until
      return Effect.map(Effect.sleep(until - now), served)
    })
  )
}

const ask = Effect.exit(Llm.generateText(llm, question))

/** A hundred who ask again as soon as they have an answer, or none. */
const closed = Effect.forEach(Array.from({ length: 100 }), () => Effect.forkChild(Effect.forever(ask)))

/** Sixty calls a second, whatever becomes of those before. */
const open = Effect.forkChild(
  Effect.forever(Effect.andThen(Effect.forkChild(ask), Effect.sleep(1_000 / 60)))
)

const loads = { "a hundred callers": closed, "sixty calls a second": open } as const

const run = (make: () => Server, load: Effect.Effect<unknown, never, OpenAi | Limiter.Limiter>, seed: number) =>
  Effect.gen(function*() {
    const { provider, refused, served } = make()
    const layer = Layer.merge(
      Layer.succeed(OpenAi, provider),
      Limiter.layerMemory({ limits: { concurrency: Limiter.adaptive(), queue: { size: 2_000, maxWait: Infinity } } })
    )
    return yield* Effect.gen(function*() {
      yield* load
      yield* TestClock.adjust("45 seconds")
      const settled = served.filter(({ at }) => at > 15_000)
      const latencies = settled.map(({ latency }) => latency).toSorted((a, b) => a - b)
      return {
        rate: settled.length / 30,
        p50: latencies[latencies.length >> 1]!,
        p95: latencies[Math.floor(latencies.length * 0.95)]!,
        refusals: refused.filter((at) => at > 15_000).length / 30
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  }).pipe(Random.withSeed(seed), Effect.provide(Layer.fresh(TestClock.layer())))

const seeds = Array.from({ length: counted(5, 20) }, (_, index) => index + 1)

describe("an adaptive limit settles within 15 seconds", () => {
  for (const [what, load] of Object.entries(loads)) {
    it.effect(`with a server that refuses, under ${what}`, () =>
      Effect.gen(function*() {
        for (const seed of seeds) {
          const { rate, refusals } = yield* run(refusing, load, seed)
          assert.isTrue(rate >= 16 && rate <= 24, `seed ${seed}: ${rate} a second`)
          // At most one for three, though nobody waits before asking again.
          assert.isAtMost(refusals, rate / 3, `seed ${seed}`)
        }
      }), 60_000)

    it.effect(`with a server that queues, under ${what}`, () =>
      Effect.gen(function*() {
        for (const seed of seeds) {
          const { p50, p95, rate } = yield* run(queueing, load, seed)
          assert.isTrue(rate >= 16 && rate <= 24, `seed ${seed}: ${rate} a second`)
          assert.isAtMost(p50, 1_250, `seed ${seed}`)
          assert.isAtMost(p95, 1_500, `seed ${seed}`)
        }
      }), 60_000)
  }
})

const settings = { initial: 4, minimum: 1, maximum: 1_000, tolerance: 2 }

/** Calls in flight at once that all end at the same moment, round after round. */
const rounds = (limit: AdaptiveLimit) => {
  let now = 0
  return (latency: number, outcome: "served" | "refused" = "served", most = Infinity): number => {
    const inFlight = Math.min(limit.current(), most)
    const sent = Array.from({ length: inFlight }, (_, index) => limit.sent(now, index + 1))
    const sentAt = now
    now += latency
    sent.forEach((round, index) =>
      limit.ended(now, inFlight - index - 1, round, outcome, sentAt, outcome === "served" ? latency : undefined)
    )
    return limit.current()
  }
}

describe("an adaptive limit", () => {
  it("doubles until the first decrease, and goes up in steps from then on", () => {
    const round = rounds(new AdaptiveLimit(settings))
    assert.deepStrictEqual([round(500), round(500), round(500)], [8, 16, 32])
    // Twice in a row, since once may be chance.
    const before = round(1_600)
    assert.strictEqual(before, 32)
    const after = round(1_600)
    assert.strictEqual(after, 20)
    assert.deepStrictEqual([round(500), round(500)], [21, 22])
  })

  it("does not go up where it is not reached", () => {
    const limit = new AdaptiveLimit(settings)
    const round = rounds(limit)
    for (let index = 0; index < 50; index++) round(500, "served", 3)
    assert.strictEqual(limit.current(), 4)
  })

  it("stays between its bounds", () => {
    const limit = new AdaptiveLimit({ ...settings, minimum: 2, maximum: 20 })
    const round = rounds(limit)
    for (let index = 0; index < 10; index++) round(500)
    assert.strictEqual(limit.current(), 20)
    for (let index = 0; index < 200; index++) round(500, "refused")
    assert.strictEqual(limit.current(), 2)
    for (let index = 0; index < 5_000; index++) round(500)
    assert.strictEqual(limit.current(), 20)
  })

  it("is soon back where it was after an outage", () => {
    const limit = new AdaptiveLimit({ ...settings, maximum: 20 })
    const round = rounds(limit)
    for (let index = 0; index < 10; index++) round(500)
    // Some are still served while others are refused already.
    const sent = Array.from({ length: 20 }, (_, index) => limit.sent(5_000, index + 1))
    sent.forEach((round, index) =>
      limit.ended(5_500, 19 - index, round, index < 4 ? "refused" : "served", 5_000, index < 4 ? undefined : 500)
    )
    for (let index = 0; index < 100; index++) round(500, "refused")
    assert.strictEqual(limit.current(), 1)
    assert.deepStrictEqual([round(500), round(500), round(500)], [2, 4, 8])
  })

  it("leaves a refused slot empty until another call is served", () => {
    const limit = new AdaptiveLimit(settings)
    const sent = [1, 2, 3, 4].map((inFlight) => limit.sent(0, inFlight))
    limit.ended(10, 3, sent[0]!, "refused", 0, undefined)
    assert.strictEqual(limit.current(), 3)
    limit.ended(20, 2, sent[1]!, "refused", 0, undefined)
    assert.strictEqual(limit.current(), 2)
    // The slot that is free now, and one more to try.
    limit.ended(500, 1, sent[2]!, "served", 0, 500)
    assert.strictEqual(limit.current(), 3)
  })

  it("knows nothing of what was interrupted or failed otherwise", () => {
    const limit = new AdaptiveLimit(settings)
    for (let index = 0; index < 100; index++) limit.ended(index + 1, 0, limit.sent(index, 1), "unknown", index, 1)
    assert.strictEqual(limit.current(), 4)
  })

  it("sees that a server has become slow for reasons of its own, and comes back", () => {
    const limit = new AdaptiveLimit(settings)
    const round = rounds(limit)
    for (let index = 0; index < 4; index++) round(500)
    const before = limit.current()
    assert.strictEqual(before, 64)
    for (let index = 0; index < 10; index++) round(2_000)
    assert.isAtLeast(limit.current(), before)
  })
})

describe("an adaptive limit hears", () => {
  const failing = (error: LlmError.ProviderError) =>
    Effect.gen(function*() {
      const layer = Layer.merge(
        Layer.succeed(OpenAi, { whole: () => Effect.fail(error), stream: () => Stream.fail(error) }),
        Limiter.layerMemory({ limits: { concurrency: Limiter.adaptive({ initial: 100 }) } })
      )
      return yield* Effect.gen(function*() {
        for (let index = 0; index < 40; index++) yield* ask
        return (yield* Limiter.status(key)).limit
      }).pipe(Effect.provide(layer))
    })

  it.effect("refusals, and nothing else", () =>
    Effect.gen(function*() {
      for (
        const error of [
          new LlmError.RateLimited({}),
          new LlmError.Overloaded({}),
          new LlmError.RequestTimeout({})
        ]
      ) assert.isBelow((yield* failing(error))!, 100, error._tag)
      for (
        const error of [
          new LlmError.RateLimited({ retryable: false }),
          new LlmError.RateLimited({ scope: "day" }),
          new LlmError.InvalidRequest({}),
          new LlmError.ServerError({}),
          new LlmError.QuotaExhausted({})
        ]
      ) assert.strictEqual(yield* failing(error), 100, error._tag)
    }))

  it.effect("the silence of a model, where a limit on it is inside, and the first part of a stream", () => {
    const silent = openai.pipe(Llm.timeout({ firstPart: "1 second" }), Limiter.enforce())
    const layer = Layer.merge(
      Layer.succeed(OpenAi, { whole: () => Effect.never, stream: () => Stream.never }),
      Limiter.layerMemory({ limits: { concurrency: Limiter.adaptive({ initial: 8 }) } })
    )
    return Effect.gen(function*() {
      const fibers = yield* Effect.replicateEffect(
        Effect.forkChild(Effect.exit(Stream.runDrain(Llm.streamText(silent, question)))),
        16
      )
      // After the first eight, one at a time.
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.joinAll(fibers)
      assert.isBelow((yield* Limiter.status(key)).limit!, 8)
    }).pipe(Effect.provide(layer))
  })
})
