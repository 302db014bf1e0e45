/**
 * A provider at 80 % load stops for ten seconds. What comes afterwards is the question: retries and timeouts that pile up work
 * keep a server down long after its trouble is over.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Random, Schedule, Stream } from "effect"
import { Breaker, Llm, Retry, RetryBudget } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import { TestClock } from "effect/testing"
import { finish } from "../core/support/chunked.ts"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { counted } from "../support/counted.ts"

const seconds = 1_000
const slots = 3
const service = 600
// Three slots of 0.6 seconds each serve five requests a second.
const perSecond = 4
const stall = { from: 8 * seconds, to: 18 * seconds }
const end = 36 * seconds
// What began later may not have had its time when the load ends.
const last = 33 * seconds
const openFor = 5 * seconds

/**
 * A server with a queue. It goes on with what it has begun, whether anybody waits for it or not; what it has not begun is dropped
 * when its client hangs up, unless it does not notice (`deaf`).
 */
const makeServer = (deaf: boolean) => {
  interface Job {
    readonly done: Deferred.Deferred<void>
    readonly millis: number
    gone: boolean
  }
  const queue: Array<Job> = []
  let busy = 0
  let stalled = false
  let served = 0
  const next: Effect.Effect<void> = Effect.suspend(() => {
    if (stalled || busy >= slots) return Effect.void
    const job = queue.shift()
    if (job === undefined) return Effect.void
    if (job.gone && !deaf) return next
    busy++
    served++
    const work: Effect.Effect<void> = Effect.andThen(
      Effect.sleep(job.millis),
      // What was begun before a stall is held up by it.
      Effect.suspend(() =>
        stalled ? Effect.delay(work, stall.to - stall.from) : Effect.asVoid(Deferred.succeed(job.done, undefined))
      )
    )
    return Effect.asVoid(Effect.forkDetach(Effect.andThen(
      work,
      Effect.suspend(() => {
        busy--
        return next
      })
    )))
  })
  const ask = Effect.gen(function*() {
    const job: Job = {
      done: yield* Deferred.make<void>(),
      millis: service * (yield* Random.nextBetween(0.8, 1.2)),
      gone: false
    }
    queue.push(job)
    yield* next
    yield* Effect.onInterrupt(Deferred.await(job.done), () =>
      Effect.sync(() => {
        job.gone = true
      }))
  })
  const provider: Provider.Provider = {
    whole: () => Effect.as(ask, [{ type: "text", text: "330 m" }, finish()]),
    stream: () =>
      Stream.unwrap(Effect.as(ask, Stream.make({ type: "text-delta", id: "0", delta: "330 m" } as const, finish())))
  }
  return {
    layer: Layer.succeed(OpenAi, provider),
    served: () => served,
    stall: Effect.gen(function*() {
      yield* Effect.sleep(stall.from)
      stalled = true
      yield* Effect.sleep(stall.to - stall.from)
      stalled = false
      for (let slot = 0; slot < slots; slot++) yield* next
    })
  }
}

/** A call that began at a time, and whether it was answered. */
interface Made {
  readonly at: number
  answered: boolean
}

const simulate = <E, R>(llm: Llm.Llm<E, R>, deaf: boolean) =>
  Effect.gen(function*() {
    const server = makeServer(deaf)
    const made: Array<Made> = []
    const call = (at: number) =>
      Effect.suspend(() => {
        const record: Made = { at, answered: false }
        made.push(record)
        return Effect.map(Effect.exit(Llm.generateText(llm, question)), (exit) => {
          record.answered = Exit.isSuccess(exit)
        })
      })
    const load = Effect.gen(function*() {
      let at = 0
      while (at < end) {
        const gap = -Math.log(1 - (yield* Random.next)) * seconds / perSecond
        yield* Effect.sleep(gap)
        at += gap
        yield* Effect.forkChild(call(at))
      }
    })
    yield* Effect.gen(function*() {
      yield* Effect.forkChild(server.stall, { startImmediately: true })
      yield* Effect.forkChild(load, { startImmediately: true })
      yield* TestClock.adjust(end + 30 * seconds)
    }).pipe(Effect.provide(server.layer))
    /** The share of the calls of a span of time that were answered. */
    const goodput = (from: number, to: number): number => {
      const calls = made.filter(({ at }) => at >= from && at < to)
      return calls.filter((record) => record.answered).length / calls.length
    }
    return { goodput, calls: made.length, served: server.served() }
  })

const limits = Llm.timeout({ firstPart: 4 * seconds })

const guarded = openai.pipe(
  limits,
  Llm.retry(Retry.transient),
  Breaker.guard(),
  RetryBudget.guard(),
  Llm.timeout({ total: "1 minute" })
)

const services = () => Layer.merge(Breaker.layerMemory({ openDuration: openFor }), RetryBudget.layerMemory())

const seeds = counted(100, 1_000)

describe("after a stall of ten seconds at 80 % load", () => {
  it.effect(
    `nearly all calls are answered again within five seconds and one probe, with ${seeds} seeds`,
    () =>
      Effect.gen(function*() {
        const sum = { before: 0, within: 0, after: 0 }
        let recovered = 0
        for (let seed = 0; seed < seeds; seed++) {
          const { goodput } = yield* simulate(guarded, false).pipe(
            Effect.provide(services()),
            Random.withSeed(seed),
            Effect.provide(TestClock.layer())
          )
          const after = goodput(stall.to + openFor + 5 * seconds, last)
          sum.before += goodput(0, stall.from - 4 * seconds) / seeds
          sum.within += goodput(stall.from + 3 * seconds, stall.to - 4 * seconds) / seeds
          sum.after += after / seeds
          if (after >= 0.95) recovered++
        }
        // At 80 % load a burst can cost a call at any time; it costs no more afterwards than before.
        assert.isAtLeast(sum.before, 0.99)
        assert.isAtMost(sum.within, 0.2)
        assert.isAtLeast(sum.after, 0.99)
        assert.isAtLeast(recovered / seeds, 0.99)
      }),
    240_000
  )

  it.effect("they are not with retries alone, when the server does not notice who has gone", () =>
    Effect.gen(function*() {
      const naive = openai.pipe(limits, Llm.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 4 }))))
      const { goodput } = yield* Effect.provide(simulate(naive, true), TestClock.layer())
      assert.isAtMost(goodput(stall.to + openFor + 5 * seconds, last), 0.5)
    }))
})
