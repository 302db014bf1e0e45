/**
 * What telemetry does where something is wrong: with a tracer, a registry, a clock, a function of the application, or with whoever asks or
 * answers. The call goes on, what was counted adds up, and nothing gets out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Metric, Redacted, Schedule, Scheduler, Stream, Tracer } from "effect"
import { Attribution, Breaker, Llm, LlmError, Plan, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache, SingleFlight } from "effect-bulwark/cache"
import { OpenAiChat } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { HttpClient, HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { policies, policyNames, type Services as Policies, services } from "../scenarios/support/policies.ts"
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

  for (const [name, layer] of tracers) {
    it.effect(`${name} (HTTP)`, () =>
      Effect.gen(function*() {
        let sent = 0
        const client = HttpClient.make((request) => {
          sent++
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
          )
        })
        const provider = OpenAiChat.layer(OpenAi, { apiKey: Redacted.make("sk-1") }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
        )
        const error = yield* Effect.flip(ask(openai)).pipe(Effect.provide([Telemetry.layer(), provider, layer]))
        assert.deepStrictEqual([error._tag, sent], ["ConnectionFailed", 1])
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
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

type Services = Policies | SingleFlight.SingleFlight | Cache.Cache

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
    "a stream of a stack": read(stack),
    ...Object.fromEntries(policyNames.flatMap((name) => {
      const llm = policies[name](openai)
      return [[name, ask(llm)], [`a stream through ${name}`, read(llm)]]
    }))
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
            services(),
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

// ---------------------------------------------------------------------------------------------------------------------
// what comes in from outside
// ---------------------------------------------------------------------------------------------------------------------

describe("names from outside", () => {
  const odd = [
    "",
    "a\0b",
    "line\nbreak",
    "\u009b31mred",
    "half \ud800",
    "x".repeat(100_000)
  ]

  it.effect("are labels only where they are names", () =>
    Effect.gen(function*() {
      const { counted } = yield* watched(
        Effect.forEach([...odd, "summaries", undefined], (feature) =>
          feature === undefined ? ask(openai) : ask(openai).pipe(Attribution.annotate({ feature }))),
        {
          openai: () =>
            answer
        },
        { features: true }
      )
      const operations = Object.entries(counted).filter(([name]) => name.startsWith("llm_request_duration_seconds"))
      assert.deepStrictEqual(
        operations.map(([name, value]) => [/feature=([^}]*)/s.exec(name)?.[1], (value as ReadonlyArray<number>)[0]]),
        [["_OTHER", odd.length], ["summaries", 1], ["none", 1]]
      )
    }))

  it.effect("leave `none` to those who have none, however many come before", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 60 }, (_, n) => `feature ${n}`)
      const { counted } = yield* watched(
        Effect.andThen(
          Effect.forEach(names, (feature) => ask(openai).pipe(Attribution.annotate({ feature }))),
          ask(openai)
        ),
        { openai: () => answer },
        { features: true }
      )
      const of = (feature: string) =>
        counted[`llm_request_duration_seconds{model=gpt-5-mini,endpoint=openai,outcome=success,feature=${feature}}`]
      assert.deepStrictEqual([of("feature 49"), of("_OTHER"), of("none")], [[1, 0.6], [10, 6], [1, 0.6]])
    }))

  it.effect("stand on spans in bounded length, as text that can be kept", () =>
    Effect.gen(function*() {
      const long = "x".repeat(100_000)
      const script = ScriptedProvider.parts([
        {
          type: "response-metadata",
          id: undefined,
          modelId: `served \0\ud800 ${long}`,
          timestamp: undefined
        },
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "330 m" },
        { type: "text-end", id: "0" },
        { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, response: undefined }
      ])
      const { spans } = yield* watched(
        ask(Llm.model(OpenAi, `asked ${long}`)).pipe(
          Attribution.annotate({ feature: long, requestId: `\0${long}`, user: long, tenant: long })
        ),
        { openai: [script] },
        { attribution: ["user", "tenant", "feature", "requestId"] }
      )
      const texts = spans.flatMap(({ attributes, name }) => Array.from(attributes.values()).concat(name))
        .filter((text) => typeof text === "string")
      assert.isTrue(texts.some((text) => text.startsWith("served ")))
      for (const text of texts) {
        assert.isAtMost(text.length, 1_050)
        assert.isTrue(text.isWellFormed() && !text.includes("\0"), text.slice(0, 40))
      }
    }))

  it.effect("of models are as many as may be, whatever is said of where calls go", () =>
    Effect.gen(function*() {
      const { counted } = yield* watched(
        ask(openai.pipe(Llm.orElse(anthropic))),
        { openai: [ScriptedProvider.fail("Overloaded")], anthropic: [answer] },
        { maxLabelValues: 2 }
      )
      assert.deepStrictEqual(Object.keys(counted).filter((name) => name.includes("_OTHER")), [])
    }))

  it.effect("of circuits that are too many have no state, since it would be that of another", () =>
    Effect.gen(function*() {
      const circuits = Array.from({ length: 5 }, (_, n) => openai.pipe(Breaker.guard({ key: `circuit ${n}` })))
      const { counted } = yield* watched(
        Effect.forEach(circuits, (llm) => Effect.ignore(Effect.replicateEffect(Effect.exit(ask(llm)), 3))).pipe(
          Effect.provide(Breaker.layerMemory({ trip: Breaker.consecutive(2) }))
        ),
        { openai: () => ScriptedProvider.fail("Overloaded") },
        { maxLabelValues: 2 }
      )
      assert.deepStrictEqual(
        Object.entries(counted).filter(([name]) => name.startsWith("llm_circuit_state")),
        [["llm_circuit_state{circuit=circuit 0}", 2], ["llm_circuit_state{circuit=circuit 1}", 2]]
      )
      assert.strictEqual(counted["llm_circuit_transitions_total{circuit=_OTHER,to=Open}"], 3)
    }))

  it.effect("of errors are ours only where the errors are", () =>
    Effect.gen(function*() {
      class Overloaded extends Error {
        readonly _tag = "Overloaded"
      }
      const own = (error: unknown): Llm.Llm<unknown, never> =>
        Llm.make({ plan: Plan.policy("own", { children: [] }), open: () => Effect.fail(error) })
      const { trees } = yield* watched(Effect.forEach(
        [new Overloaded("this quotes the prompt"), new LlmError.Overloaded({})],
        (error) => Effect.exit(ask(own(error)))
      ))
      assert.deepStrictEqual(trees.map(({ status }) => status), [
        "Overloaded: Overloaded",
        "Overloaded: the provider is overloaded; try again later or ask another model"
      ])
    }))
})

describe("a clock that is set back", () => {
  for (const [mode, run] of [["whole", ask(openai)], ["stream", read(openai)]] as const) {
    it.effect(`takes no time away (${mode})`, () =>
      Effect.gen(function*() {
        const receipts = makeReceipts()
        const provider = ScriptedProvider.make(OpenAi, [answer])
        // Every time it is asked, it is an hour earlier.
        const clock = yield* Clock.Clock
        let asked = 0
        const back: Clock.Clock = {
          ...clock,
          currentTimeMillisUnsafe: () => 1e12 - 3_600_000 * ++asked,
          sleep: (duration) => clock.sleep(duration)
        }
        const fiber = yield* receipts.observe(run).pipe(
          Effect.provide([Telemetry.layer(), provider.layer]),
          Effect.provideService(Clock.Clock, back),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        const { attempts, timings } = receipts.one()
        for (const millis of [...Object.values(timings), ...attempts.map(({ durationMillis }) => durationMillis)]) {
          assert.isAtLeast(millis, 0)
        }
        for (const metric of yield* Metric.snapshot) {
          if (metric.type === "Histogram") assert.isAtLeast(metric.state.min, 0, metric.id)
        }
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
  }
})

describe("branches of one call", () => {
  it.effect("point once to the call whose answer they share", () =>
    Effect.gen(function*() {
      const shared = openai.pipe(SingleFlight.share({ key: () => "the same" }))
      const { trees } = yield* watched(
        Effect.all([ask(shared), ask(shared.pipe(Llm.hedge({ after: "50 millis" })))], { concurrency: 2 }).pipe(
          Effect.provide([SingleFlight.layer(), RetryBudget.layerMemory()])
        ),
        { openai: () => answer }
      )
      assert.deepStrictEqual(trees.map(({ links }) => links), [0, 1])
    }))
})

describe("what is recorded of a long prompt", () => {
  it.effect("is looked through as far as it is shown", () =>
    Effect.gen(function*() {
      let seen = 0
      const redact = (text: string): string => {
        seen += text.length
        return text
      }
      const prompt = Array.from(
        { length: 100 },
        (_, n) => ({ role: "user" as const, content: `${n}`.padEnd(1_000, ".") })
      )
      const { trees } = yield* watched(
        Llm.generateText(openai, { prompt }),
        { openai: [answer] },
        { content: { maxLength: 2_500, redact } }
      )
      const messages: ReadonlyArray<{ readonly parts: ReadonlyArray<{ readonly content: string }> }> = JSON.parse(
        String(trees[0]!.attributes["gen_ai.input.messages"])
      )
      const texts = messages.map(({ parts }) => parts[0]!.content)
      assert.deepStrictEqual(texts.map((text) => text.replace(/\.+/, "")), [
        "0",
        "1",
        "2… (500 more characters)",
        ...Array.from({ length: 97 }, () => "… (1000 more characters)")
      ])
      assert.isAtMost(seen, 3_100)
    }))
})
