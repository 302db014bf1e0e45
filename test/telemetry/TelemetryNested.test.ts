/**
 * What telemetry says of an `Llm` that is the provider of another one, and of regions and layers within each other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Redacted, Schedule, Tracer } from "effect"
import { Breaker, Llm } from "effect-bulwark"
import { SingleFlight } from "effect-bulwark/cache"
import { LanguageModelProvider, OpenAiChat, Provider } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { HttpClient, HttpClientError, type HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, type Numbers, numbers, type Tree } from "./support/recorded.ts"

const usage = { inputTokens: { total: 100 }, outputTokens: { total: 20 } }

class Gateway extends Provider.Service<Gateway>()("gateway") {}

/** The gateway's answers are those of an `Llm`. */
const bridged = <E, R>(llm: Llm.Llm<E, R>) =>
  Layer.provide(LanguageModelProvider.layer(Gateway), Llm.layerLanguageModel(llm))

const ask = Llm.generateText(Llm.model(Gateway, "any"), question)

describe("an Llm within an Llm", () => {
  it.effect("tells its provider of the trace only where that one may know of it", () =>
    Effect.gen(function*() {
      for (const known of [["gateway"], ["openai"], [], ["gateway", "openai"]]) {
        const sent: Array<HttpClientRequest.HttpClientRequest> = []
        const client = HttpClient.make((request) => {
          sent.push(request)
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
          )
        })
        const layers = Layer.mergeAll(
          Telemetry.layer({ propagate: ({ provider }) => known.includes(provider) }),
          Layer.provide(bridged(openai), OpenAiChat.layer(OpenAi, { apiKey: Redacted.make("sk-1") })).pipe(
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
          ),
          Layer.succeed(Tracer.Tracer, makeTracer().tracer)
        )
        yield* Effect.exit(Effect.provide(ask, layers))
        assert.strictEqual(sent.length, 1)
        assert.strictEqual("traceparent" in sent[0]!.headers, known.includes("openai"), known.join(" "))
      }
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("is counted once, as its receipt is", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const { tracer, trees } = makeTracer()
      const provider = ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.fail("Overloaded"),
        ScriptedProvider.text("330 m", { usage })
      ])
      const inner = openai.pipe(Breaker.guard({ key: "inner" }), Llm.retry(Schedule.recurs(1)))
      yield* receipts.observe(ask).pipe(
        Effect.provide([
          Telemetry.layer(),
          Layer.provide(bridged(inner), [provider, Breaker.layerMemory({ trip: Breaker.consecutive(1) })])
        ]),
        Effect.exit,
        Effect.provideService(Tracer.Tracer, tracer)
      )
      const { attempts } = receipts.one()
      assert.strictEqual(attempts.length, 1)
      const counted = yield* numbers
      const series = (name: string) => Object.keys(counted).filter((key) => key.startsWith(name))
      assert.deepStrictEqual(series("llm_attempts_total"), [
        `llm_attempts_total{model=any,endpoint=gateway,outcome=${attempts[0]!.outcome}}`
      ])
      assert.strictEqual(series("llm_request_duration_seconds").length, 1)
      assert.deepStrictEqual(series("llm_policy_events_total"), [])
      assert.deepStrictEqual(series("llm_requests_in_flight").concat(series("llm_attempts_in_flight")), [])
      // What stands on no receipt is not lost.
      assert.strictEqual(counted["llm_circuit_transitions_total{circuit=inner,to=Open}"], 1)
      const names = (tree: Tree): ReadonlyArray<string> => [tree.span, ...tree.below.flatMap(names)]
      assert.includeMembers(trees().flatMap(names), [
        "chat any",
        "attempt gateway/any",
        "chat gpt-5-mini",
        "attempt openai/gpt-5-mini"
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("a region without traces", () => {
  it.effect("tells no provider of one", () =>
    Effect.gen(function*() {
      const sent: Array<HttpClientRequest.HttpClientRequest> = []
      const client = HttpClient.make((request) => {
        sent.push(request)
        return Effect.fail(
          new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
        )
      })
      const provider = OpenAiChat.layer(OpenAi, { apiKey: Redacted.make("sk-1") }).pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
      )
      const hidden = Llm.make({
        plan: openai.plan,
        open: (call) => Effect.withTracerEnabled(openai.open(call), false)
      })
      const layers = Layer.mergeAll(
        Telemetry.layer({ propagate: true }),
        provider,
        Layer.succeed(Tracer.Tracer, makeTracer().tracer)
      )
      for (const llm of [hidden, openai]) {
        yield* Effect.exit(Llm.generateText(llm, question)).pipe(Effect.provide(layers))
      }
      assert.deepStrictEqual(sent.map(({ headers }) => "traceparent" in headers), [false, true])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("of two layers around each other", () => {
  const total = (counted: Numbers, name: string): number =>
    Object.entries(counted)
      .filter(([series]) => series.startsWith(name))
      .reduce((sum, [, value]) => sum + (typeof value === "number" ? value : value[0]), 0)

  it.effect("each counts its own, where a flight outlives the inner one", () =>
    Effect.gen(function*() {
      const shared = Llm.generateText(openai.pipe(SingleFlight.share({ key: () => "the same" })), question)
      const [inner, outer] = [new Map(), new Map()]
      const provider = ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("330 m", { delay: 200, usage })])
      yield* Effect.gen(function*() {
        const leader = yield* shared.pipe(
          Effect.provide(Telemetry.layer()),
          Effect.provideService(Metric.MetricRegistry, inner),
          Effect.forkChild({ startImmediately: true })
        )
        const follower = yield* Effect.forkChild(shared, { startImmediately: true })
        yield* TestClock.adjust(100)
        yield* Fiber.interrupt(leader)
        yield* TestClock.adjust(100)
        yield* Fiber.join(follower)
      }).pipe(
        Effect.provide([Telemetry.layer(), provider, SingleFlight.layer()]),
        Effect.provideService(Metric.MetricRegistry, outer)
      )
      const seen = yield* Effect.forEach([inner, outer], (registry) =>
        Effect.map(Effect.provideService(numbers, Metric.MetricRegistry, registry), (counted) => [
          total(counted, "llm_request_duration_seconds"),
          total(counted, "llm_attempts_total"),
          total(counted, "llm_requests_in_flight") + total(counted, "llm_attempts_in_flight")
        ]))
      assert.deepStrictEqual(seen, [[1, 0, 0], [1, 1, 0]])
    }))
})
