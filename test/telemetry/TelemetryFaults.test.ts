/**
 * What telemetry does where something is wrong: with a tracer, a registry, a clock, a function of the application, or with whoever asks or
 * answers. The call goes on, what was counted adds up, and nothing gets out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Schedule, Scheduler, Stream, Tracer } from "effect"
import { Breaker, Llm, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache, SingleFlight } from "effect-bulwark/cache"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, type Numbers, numbers } from "./support/recorded.ts"
import { watched } from "./support/watched.ts"

const usage = { inputTokens: { total: 100 }, outputTokens: { total: 20 } }
const answer = ScriptedProvider.text(["330", " m"], { delay: 200, between: 100, usage })

const ask = <E, R>(llm: Llm.Llm<E, R>) => Llm.generateText(llm, question)
const read = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))

const total = (counted: Numbers, name: string): number =>
  Object.entries(counted)
    .filter(([series]) => series === name || series.startsWith(`${name}{`))
    .reduce((sum, [, value]) => sum + (typeof value === "number" ? value : value[0]), 0)

// ---------------------------------------------------------------------------------------------------------------------
// who throws
// ---------------------------------------------------------------------------------------------------------------------

describe("a call goes on, is counted and paid for, where", () => {
  const paid = openai.pipe(Llm.retry(Schedule.recurs(1)), Budget.enforce({ maxOutputTokens: 500 }))
  const books = Budget.layer({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }).pipe(Layer.provide([
    BudgetStore.layerMemory,
    TokenCount.layerEstimate(),
    Pricing.layerOf([Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 10 } })])
  ]))

  const throws = (what: string): never => {
    throw new Error(what)
  }

  /** Tracers of which one method throws. */
  const tracers = (["span", "attribute", "event", "end"] as const).map((method) =>
    [
      `a tracer throws: ${method}`,
      Layer.succeed(
        Tracer.Tracer,
        Tracer.make({
          span: (options) => {
            if (method === "span") return throws(method)
            const span = new Tracer.NativeSpan(options)
            span[method] = () => throws(method)
            return span
          }
        })
      )
    ] as const
  )

  for (const [name, layer] of tracers) {
    for (const [mode, run] of [["whole", ask(paid)], ["stream", read(paid)]] as const) {
      it.effect(`${name} (${mode})`, () =>
        Effect.gen(function*() {
          const receipts = makeReceipts()
          const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.fail("Overloaded"), answer])
          const fiber = yield* run.pipe(
            receipts.observe,
            Effect.andThen(numbers),
            Effect.provide([Telemetry.layer(), provider.layer, books, layer]),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust("1 hour")
          const counted = yield* Fiber.join(fiber)
          const receipt = receipts.one()
          assert.strictEqual(receipt.outcome, "success")
          assert.isAbove(receipt.attempts[1]!.cost!, 0)
          // What watches beside the tracer has seen all of it.
          assert.strictEqual(total(counted, "llm_attempts_total"), 2)
          assert.strictEqual(total(counted, "llm_request_duration_seconds"), 1)
          assert.strictEqual(total(counted, "llm_requests_in_flight"), 0)
          assert.strictEqual(total(counted, "llm_attempts_in_flight"), 0)
        }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
    }
  }

  it.effect("a registry of metrics throws", () =>
    Effect.gen(function*() {
      const registry = new Map()
      registry.get = () => throws("get")
      registry.set = () => throws("set")
      const { tracer, trees } = makeTracer()
      const receipts = makeReceipts()
      const provider = ScriptedProvider.make(OpenAi, [answer])
      const fiber = yield* ask(paid).pipe(
        receipts.observe,
        Effect.provide([Telemetry.layer(), provider.layer, books, Layer.succeed(Tracer.Tracer, tracer)]),
        Effect.provideService(Metric.MetricRegistry, registry),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(receipts.one().outcome, "success")
      assert.deepStrictEqual(trees().map(({ below, to }) => [to, below.length]), [[600, 1]])
    }))

  it.effect("a function that takes out gives no text", () =>
    Effect.gen(function*() {
      for (const wrong of [undefined, null, 7, {}, Promise.resolve("")]) {
        // As a program without types may.
        const redact = (() => wrong) as unknown as (text: string) => string
        const { exit, trees } = yield* watched(ask(openai), { openai: [answer] }, { content: { redact } })
        assert.strictEqual(exit._tag, "Success")
        assert.include(String(trees[0]!.attributes["gen_ai.input.messages"]), "(could not be redacted)")
        assert.notInclude(JSON.stringify(trees), "Eiffel")
      }
    }))

  it.effect("prices cannot be said", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const { tracer, trees } = makeTracer()
      const pricing = Pricing.Pricing.of({ lookup: () => throws("lookup") })
      const provider = ScriptedProvider.make(OpenAi, [answer])
      const fiber = yield* ask(openai).pipe(
        receipts.observe,
        Effect.provide([
          Layer.provide(Telemetry.layerPriced(), Layer.succeed(Pricing.Pricing, pricing)),
          provider.layer,
          Layer.succeed(Tracer.Tracer, tracer)
        ]),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(receipts.one().outcome, "success")
      assert.strictEqual(trees()[0]?.to, 600)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

// ---------------------------------------------------------------------------------------------------------------------
// who is interrupted
// ---------------------------------------------------------------------------------------------------------------------

/** A scheduler that has a fiber yield after so many steps, once. */
const yieldsAfter = (steps: number): Scheduler.Scheduler => {
  const inner = new Scheduler.MixedScheduler("async")
  let seen = 0
  return {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount > 1 && ++seen === steps,
    makeDispatcher: () => inner.makeDispatcher()
  }
}

type Services = OpenAi | Anthropic | SingleFlight.SingleFlight | Breaker.Breaker | Cache.Cache | RetryBudget.RetryBudget

describe("whoever is interrupted at any step leaves no span open and no gauge up", () => {
  const shared = openai.pipe(SingleFlight.share({ key: () => "the same" }))
  const stack = openai.pipe(
    Llm.retry(Schedule.recurs(2)),
    Breaker.guard(),
    Llm.orElse(anthropic),
    Cache.through({ timeToLive: "1 hour" })
  )
  const programs: { readonly [name: string]: Effect.Effect<unknown, unknown, Services> } = {
    "a whole answer": ask(openai),
    "a stream": read(openai),
    "a shared answer": Effect.all([ask(shared), read(shared)], { concurrency: 2 }),
    "a stack": ask(stack),
    "a stream of a stack": read(stack)
  }
  for (const [name, program] of Object.entries(programs)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        let finished = false
        let steps = 0
        while (!finished) {
          const { spans, tracer } = makeTracer()
          const receipts = makeReceipts()
          const provider = ScriptedProvider.make(OpenAi, [
            ScriptedProvider.text("330 m"),
            ScriptedProvider.text("330 m")
          ])
          const layers = Layer.mergeAll(
            Telemetry.layer(),
            provider.layer,
            ScriptedProvider.layer(Anthropic, []),
            SingleFlight.layer(),
            Breaker.layerMemory(),
            RetryBudget.layerMemory(),
            Cache.layerMemory(),
            Layer.succeed(Tracer.Tracer, tracer)
          )
          const counted = yield* Effect.gen(function*() {
            const context = yield* Layer.build(layers)
            const fiber = yield* receipts.observe(program).pipe(
              Effect.provideContext(context),
              Effect.provideService(Scheduler.Scheduler, yieldsAfter(++steps)),
              Effect.forkChild({ startImmediately: true })
            )
            finished = fiber.pollUnsafe() !== undefined
            yield* Fiber.interrupt(fiber)
            return yield* numbers
          }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
          const operations = spans.filter((span) => span.name.startsWith("chat ")).length
          const attempts = receipts.seen.flatMap(({ attempts }) => attempts).length
          assert.deepStrictEqual(
            {
              open: spans.filter(({ status }) => status._tag !== "Ended").map((span) => span.name),
              operations,
              attempts: spans.length - operations,
              counted: total(counted, "llm_attempts_total"),
              inFlight: total(counted, "llm_requests_in_flight") + total(counted, "llm_attempts_in_flight")
            },
            { open: [], operations: receipts.seen.length, attempts, counted: attempts, inFlight: 0 },
            `after ${steps} steps`
          )
        }
        // It was interrupted between all of them.
        assert.isAbove(steps, 20)
      }))
  }
})
