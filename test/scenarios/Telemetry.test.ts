/**
 * What telemetry says of calls over real HTTP: held against what the server has seen.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Random, Redacted, Schedule, Stream, Tracer } from "effect"
import { Llm } from "effect-bulwark"
import { AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses, Provider } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient, type HttpClient } from "effect/http"
import { makeTracer, numbers, type Tree } from "../telemetry/support/recorded.ts"

class Primary extends Provider.Service<Primary>()("primary") {}
class Backup extends Provider.Service<Backup>()("backup") {}

const prompt = "Why is the sky blue? It is a question that many have asked, and some have answered."

const run = <E>(llm: Llm.Llm<E, Primary | Backup>, streamed: boolean) =>
  Effect.exit(streamed ? Stream.runDrain(Llm.streamText(llm, { prompt })) : Llm.generateText(llm, { prompt }))

interface Account {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
}

const adapters: Record<string, (account: Account) => Layer.Layer<Primary | Backup, never, HttpClient.HttpClient>> = {
  chat: (account) => Layer.merge(OpenAiChat.layer(Primary, account), OpenAiChat.layer(Backup, account)),
  responses: (account) => Layer.merge(OpenAiResponses.layer(Primary, account), OpenAiResponses.layer(Backup, account)),
  messages: (account) =>
    Layer.merge(AnthropicMessages.layer(Primary, account), AnthropicMessages.layer(Backup, account)),
  gemini: (account) => Layer.merge(Gemini.layer(Primary, account), Gemini.layer(Backup, account))
}

const all = (trees: ReadonlyArray<Tree>): ReadonlyArray<Tree> => trees.flatMap((tree) => [tree, ...all(tree.below)])

/** Everything below a span lies within it, and all of it is over. */
const nested = (tree: Tree): void => {
  for (const below of tree.below) {
    assert.isAtLeast(below.from, tree.from, below.span)
    if (below.to === "still open" || tree.to === "still open") return assert.fail(`${tree.span} is still open`)
    assert.isAtMost(below.to, tree.to, below.span)
    nested(below)
  }
}

describe("a request", () => {
  for (const [name, adapter] of Object.entries(adapters)) {
    for (const streamed of [false, true]) {
      it.live(`hangs below its attempt, and that below its operation: ${name}, ${streamed ? "streamed" : "whole"}`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make({ script: { m: [FaultServer.status(500)] } })
          const { spans, tracer, trees } = makeTracer()
          const propagates: Array<string> = []
          const telemetry = Telemetry.layer({
            propagate: ({ model, provider }) => {
              propagates.push(`${provider}/${model}`)
              return provider === "backup"
            }
          })
          const account = { baseUrl: server.url, apiKey: Redacted.make("key") }
          yield* run(Llm.model(Primary, "m").pipe(Llm.orElse(Llm.model(Backup, "m"))), streamed).pipe(
            Effect.provide([
              telemetry,
              Layer.provide(adapter(account), FetchHttpClient.layer)
            ]),
            Effect.provideService(Tracer.Tracer, tracer)
          )
          const [tree] = trees()
          assert.strictEqual(trees().length, 1)
          nested(tree!)
          const shape = ({ attributes, below, kind, span, status }: Tree): unknown => [
            span,
            kind,
            status.split(":")[0],
            attributes["http.response.status_code"] ?? attributes["bulwark.outcome"],
            below.map(shape)
          ]
          assert.deepStrictEqual(shape(tree!), ["chat m", "internal", "ok", "success", [
            ["attempt primary/m", "client", "ServerError", "ServerError", [["POST", "client", "500", 500, []]]],
            ["attempt backup/m", "client", "ok", "success", [["POST", "client", "ok", 200, []]]]
          ]])
          // The provider that may know hears of the very span of its request, and the other one of none.
          assert.deepStrictEqual(propagates, ["primary/m", "backup/m"])
          const requests = yield* server.requests
          const http = spans.filter(({ name }) => name === "POST")
          assert.deepStrictEqual(requests.map(({ headers }) => headers["traceparent"]), [
            undefined,
            `00-${http[1]!.traceId}-${http[1]!.spanId}-01`
          ])
          assert.isUndefined(requests[0]!.headers["b3"])
        }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map())))
    }
  }
})

const faults: ReadonlyArray<FaultServer.Fault> = [
  FaultServer.healthy,
  FaultServer.healthy,
  FaultServer.overloaded,
  FaultServer.status(500),
  FaultServer.status(400),
  FaultServer.status(504),
  FaultServer.resetConnection,
  FaultServer.cutAfter(2),
  FaultServer.cutAfter(5),
  FaultServer.errorEventAfter(3),
  FaultServer.malformedChunkAt(1),
  FaultServer.truncatedJson,
  FaultServer.finish("length"),
  FaultServer.contentFiltered
]

/** Adds up the series of a counter, or the counts of a histogram. */
const total = (
  counted: Readonly<Record<string, unknown>>,
  name: string,
  having: (labels: string) => boolean = () => true
) =>
  Object.entries(counted)
    .filter(([series]) => (series === name || series.startsWith(`${name}{`)) && having(series))
    .reduce((sum, [, value]) => sum + (Array.isArray(value) ? value[0] as number : value as number), 0)

describe("the sums", () => {
  it.live("are those of the server's log", () =>
    Effect.gen(function*() {
      const calls = 300
      const script = (count: number) =>
        Effect.forEach(
          Array.from({ length: count }),
          () => Effect.map(Random.nextIntBetween(0, faults.length - 1), (n) => faults[n]!)
        )
      const server = yield* FaultServer.make({
        script: { primary: yield* script(calls * 3), backup: yield* script(calls) }
      })
      const { tracer, trees } = makeTracer()
      const options = { baseUrl: server.url }
      const quickly = Schedule.spaced("1 millis").pipe(Schedule.upTo({ times: 2 }))
      const llm = Llm.model(Primary, "primary").pipe(Llm.retry(quickly), Llm.orElse(Llm.model(Backup, "backup")))
      yield* Effect.forEach(
        Array.from({ length: calls }, (_, n) => n),
        (n) =>
          // Some leave in the middle.
          n % 7 === 0
            ? Effect.exit(Stream.runDrain(Stream.take(Llm.streamText(llm, { prompt }), 2)))
            : run(llm, n % 2 === 0),
        { concurrency: 10, discard: true }
      ).pipe(
        Effect.provide([
          Telemetry.layer(),
          Layer.mergeAll(OpenAiChat.layer(Primary, options), OpenAiChat.layer(Backup, options)).pipe(
            Layer.provide(FetchHttpClient.layer)
          )
        ]),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      yield* server.awaitIdle
      const requests = yield* server.requests
      const counted = yield* numbers
      const operations = trees()
      operations.forEach(nested)
      const spans = all(operations)
      const attempts = spans.filter(({ span }) => span.startsWith("attempt "))

      assert.isAbove(requests.length, calls)
      assert.strictEqual(operations.length, calls)
      assert.strictEqual(total(counted, "llm_request_duration_seconds"), calls)
      assert.strictEqual(total(counted, "llm_requests_in_flight"), 0)
      assert.strictEqual(total(counted, "llm_attempts_in_flight"), 0)
      for (const model of ["primary", "backup"]) {
        const seen = requests.filter((request) => request.model === model)
        const ofModel = (labels: string) => labels.includes(`model=${model}`)
        assert.strictEqual(total(counted, "llm_attempts_total", ofModel), seen.length, model)
        assert.strictEqual(total(counted, "gen_ai.client.operation.duration", ofModel), seen.length, model)
        assert.strictEqual(
          attempts.filter(({ attributes }) => attributes["gen_ai.request.model"] === model).length,
          seen.length
        )
      }
      // What was tried again or elsewhere is what the server has seen beyond one request a call.
      const retries = total(counted, "llm_retries_total")
      const fallbacks = total(counted, "llm_fallbacks_total")
      assert.strictEqual(requests.length, calls + retries + fallbacks)
      assert.strictEqual(retries, total(counted, "llm_policy_events_total", (labels) => labels.includes("type=retry")))
      assert.isAbove(retries, 0)
      assert.isAbove(fallbacks, 0)
      // By status: what the server refused is what is counted as refused so.
      const status = (code: number) => requests.filter((request) => request.status === code).length
      const outcome = (tag: string) =>
        total(counted, "llm_attempts_total", (labels) => labels.includes(`outcome=${tag}}`))
      assert.strictEqual(outcome("RequestTimeout"), status(504))
      assert.strictEqual(outcome("Overloaded"), requests.filter(({ fault }) => fault === "overloaded").length)
      // Of the spans of HTTP each that has a response has the status that the server gave.
      const answered = spans.filter(({ attributes }) => attributes["http.response.status_code"] !== undefined)
      for (const code of [200, 400, 500, 504]) {
        assert.strictEqual(
          answered.filter(({ attributes }) => attributes["http.response.status_code"] === code).length,
          status(code),
          `${code}`
        )
      }
      // The tokens of whole answers.
      const output = total(
        counted,
        "llm_tokens_used_total",
        (labels) => labels.includes("type=output")
      )
      const onSpans = attempts.reduce(
        (sum, { attributes }) => sum + ((attributes["gen_ai.usage.output_tokens"] as number | undefined) ?? 0),
        0
      )
      assert.strictEqual(output, onSpans)
      assert.isAbove(output, 0)
    }).pipe(Effect.scoped, Random.withSeed("sums"), Effect.provideService(Metric.MetricRegistry, new Map())))
})
