/**
 * The types of errors that telemetry knows are few, whatever providers answer and applications fail with.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Random, Stream, Tracer } from "effect"
import { Breaker, Llm, LlmError, Plan } from "effect-bulwark"
import { Failure } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, numbers } from "./support/recorded.ts"

const pick = <A>(all: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, all.length - 1), (n) => all[n]!)

const word = Effect.map(
  Effect.all(Array.from({ length: 8 }, () => Random.nextIntBetween(97, 122))),
  (codes) => String.fromCharCode(...codes)
)

const origin = { provider: "openai", model: "gpt-5-mini" }

/** The body of an error as one of many servers might write it. */
const body = Effect.gen(function*() {
  const [type, code, message] = [yield* word, yield* word, yield* word]
  return yield* pick([
    "",
    message,
    `<html><body>${message}</body></html>`,
    JSON.stringify({ error: { type, code, message } }),
    JSON.stringify({ error: { code: 429, status: "RESOURCE_EXHAUSTED", message } }),
    JSON.stringify({ type: "error", error: { type: "overloaded_error", message } }),
    JSON.stringify({ error: { type: "invalid_request_error", code: "context_length_exceeded", message } }),
    JSON.stringify({ error: { code: "content_filter", message } }),
    JSON.stringify({ error: { type: "insufficient_quota", code: "insufficient_quota", message } }),
    JSON.stringify({ error: { type: "not_found_error", code: "model_not_found", message } }),
    JSON.stringify([type, code]),
    "{\"error\":"
  ])
})

const fromServer = Effect.gen(function*() {
  const status = yield* Random.nextIntBetween(300, 599)
  return yield* Failure.fromResponse({
    ...origin,
    status: yield* pick([status, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 524, 529]),
    headers: yield* pick<Record<string, string>>([{}, { "retry-after": "1" }, { "retry-after": "never" }]),
    body: yield* body
  })
})

const inAnswer = Effect.flatMap(body, (text) => Failure.fromAnswer(origin, { error: { message: text, code: text } }))

const fromConnection = Effect.flatMap(
  pick(["ECONNRESET", "ECONNREFUSED", "ENOTFOUND", "ETIMEDOUT", "CERT_HAS_EXPIRED", "UND_ERR_HEADERS_TIMEOUT", "?"]),
  (code) => Failure.fromConnection(origin, Object.assign(new Error(code), { code }))
)

class Own extends Error {
  readonly _tag: string

  constructor(tag: string) {
    super(`this quotes the prompt: ${tag}`)
    this._tag = tag
  }
}

/** What is none of our errors, and whatever somebody has called it. */
const foreign: Effect.Effect<never, unknown> = Effect.flatMap(word, (name) =>
  Effect.flatMap(
    pick<Effect.Effect<never, unknown>>([
      Effect.fail(name),
      // @effect-diagnostics-next-line globalErrorInEffectFailure:off
      Effect.fail(new Error(name)),
      Effect.fail(new Own(name)),
      Effect.fail({ _tag: name, message: name }),
      Effect.fail({ _tag: "success" }),
      Effect.fail({ _tag: "interrupted" }),
      Effect.fail({ _tag: "constructor" }),
      Effect.fail({ _tag: "__proto__" }),
      Effect.fail({ _tag: 7 }),
      Effect.fail(null),
      Effect.fail([name]),
      Effect.die(name),
      Effect.die(new Own(name)),
      Effect.interrupt
    ]),
    (failure) => failure
  ))

describe("errors", () => {
  it.effect("of 10,000 kinds have at most 20 types", () =>
    Effect.gen(function*() {
      const types = new Set<unknown>()
      const exits = new Set<string>()
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          const { end } = span
          span.end = (time, exit) => {
            end.call(span, time, exit)
            if (span.attributes.has("error.type")) types.add(span.attributes.get("error.type"))
            if (exit._tag === "Failure") {
              for (const reason of exit.cause.reasons) {
                if (reason._tag === "Fail") exits.add(JSON.stringify(reason.error))
              }
            }
          }
          return span
        }
      })
      const failures = [fromServer, fromServer, inAnswer, fromConnection, foreign]
      // A provider of somebody's own, that fails with what it is not allowed to fail with.
      const fails: Effect.Effect<never, LlmError.ProviderError> = Effect.flatMap(
        pick<Effect.Effect<never, unknown>>(failures),
        (failure) => failure as Effect.Effect<never, LlmError.ProviderError>
      )
      let calls = 0
      const provider = Layer.succeed(OpenAi, {
        whole: () => fails,
        stream: () => Stream.fromEffect(fails),
        // What one request is told holds for no other.
        quotaDomain: () => String(calls++)
      })
      const own: Llm.Llm<unknown, never> = Llm.make({ plan: Plan.policy("own", { children: [] }), open: () => foreign })
      const guarded = openai.pipe(Breaker.guard())
      yield* Effect.forEach(Array.from({ length: 10_000 }), (_, n) =>
        Effect.exit(
          n % 10 === 0
            ? Llm.generateText(own, question)
            : n % 3 === 0
            ? Stream.runDrain(Llm.streamText(openai, question))
            : Llm.generateText(n % 50 === 1 ? guarded : openai, question)
        ), { discard: true }).pipe(
          Effect.provide([Telemetry.layer(), provider, Breaker.layerMemory()]),
          Effect.provideService(Tracer.Tracer, tracer)
        )
      const counted = yield* numbers
      const outcomes = new Set(
        Object.keys(counted).flatMap((series) => /[{,](?:outcome|error\.type)=([^},]*)/.exec(series)?.[1] ?? [])
      )
      assert.isAtMost(types.size, 20, [...types].join(", "))
      assert.isAtLeast(types.size, 12, [...types].join(", "))
      const known: ReadonlySet<unknown> = new Set([...Object.keys(LlmError.table), "defect", "_OTHER"])
      for (const type of types) assert.isTrue(known.has(type), String(type))
      for (const outcome of outcomes) {
        assert.isTrue(known.has(outcome) || outcome === "success" || outcome === "interrupted", outcome)
      }
      // Nothing that somebody else has written is in the words of a span.
      for (const exit of exits) assert.notInclude(exit, "this quotes the prompt")
    }).pipe(
      Random.withSeed("errors"),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

  it.effect("that call themselves a success are none", () =>
    Effect.gen(function*() {
      const { tracer, trees } = makeTracer()
      const own = (tag: string): Llm.Llm<unknown, never> =>
        Llm.make({ plan: Plan.policy("own", { children: [] }), open: () => Effect.fail({ _tag: tag }) })
      yield* Effect.forEach(["success", "interrupted"], (tag) => Effect.exit(Llm.generateText(own(tag), question)))
        .pipe(
          Effect.provide(Telemetry.layer()),
          Effect.provideService(Tracer.Tracer, tracer)
        )
      assert.deepStrictEqual(trees().map(({ attributes, status }) => [attributes["error.type"], status]), [
        ["_OTHER", "_OTHER: _OTHER"],
        ["_OTHER", "_OTHER: _OTHER"]
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
