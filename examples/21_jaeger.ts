/**
 * What calls went through, as Jaeger shows it: models that limit, refuse and break off, over real HTTP. The spans are sent to Jaeger,
 * where one listens, and printed as trees (docs/jaeger.md).
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Layer, Option, Schedule, Stream, Tracer } from "effect"
import { Attribution, Breaker, Llm } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Groq extends Provider.Service<Groq>()("groq") {}

// ---------------------------------------------------------------------------------------------------------------------
// an application, which knows nothing of telemetry
// ---------------------------------------------------------------------------------------------------------------------

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 1 }))),
  Breaker.guard(),
  Llm.orElse(Llm.model(Groq, "llama-3.3-70b")),
  Llm.timeout({ total: "10 seconds" }),
  Budget.enforce({ maxOutputTokens: 100 })
)

const question = { prompt: "Why is the sky blue? Many people have asked that, and some have found an answer." }

const read = Stream.runDrain(Llm.streamText(llm, question)).pipe(Effect.withSpan("GET /answer", { kind: "server" }))

const application = Effect.gen(function*() {
  // The first model limits the rate, and then is overloaded: the second one answers.
  yield* read
  // The circuit of the first one is open. The second one answers, and breaks off.
  yield* Effect.catchTag(
    read,
    "StreamInterrupted",
    ({ reason }) => Console.log(`the second answer broke off: ${reason}`)
  )
}).pipe(Attribution.annotate({ feature: "answers", tenant: "acme" }))

const budget = Budget.layer({ limits: [{ resource: "usd", limit: "1", window: Budget.calendar("day") }] }).pipe(
  Layer.provide([
    BudgetStore.layerMemory,
    TokenCount.layerEstimate(),
    Pricing.layerOf([
      Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: "0.25", output: 2 } }),
      Pricing.model({ provider: "groq", model: "llama-3.3-70b", price: { input: "0.59", output: "0.79" } })
    ])
  ])
)

// ---------------------------------------------------------------------------------------------------------------------
// its telemetry: one line, and a tracer that keeps what goes out, so that it can be printed here
// ---------------------------------------------------------------------------------------------------------------------

const telemetry = (baseUrl: string) =>
  Telemetry.layerOtlp({ baseUrl, resource: { serviceName: "answers" }, shutdownTimeout: "1 second" })

interface Kept {
  readonly span: Tracer.Span
  readonly startTime: bigint
  readonly events: Array<{ readonly name: string; readonly at: bigint; readonly attributes: Record<string, unknown> }>
}

const kept: Array<Kept> = []

const keeping = Layer.effect(
  Tracer.Tracer,
  Effect.map(Effect.tracer, (exporting) => ({
    ...exporting,
    span: (options) => {
      const span = exporting.span(options)
      const { event } = span
      const events: Kept["events"] = []
      span.event = (name, at, attributes = {}) => {
        events.push({ name, at, attributes })
        event.call(span, name, at, attributes)
      }
      kept.push({ span, startTime: options.startTime, events })
      return span
    }
  }))
)

// ---------------------------------------------------------------------------------------------------------------------
// the picture
// ---------------------------------------------------------------------------------------------------------------------

const below = (parent: Tracer.AnySpan | undefined) =>
  kept.filter(({ span }) => Option.getOrUndefined(span.parent) === parent)

const endOf = ({ span, startTime }: Kept): bigint => span.status._tag === "Ended" ? span.status.endTime : startTime

const failureOf = ({ span: { status } }: Kept) =>
  status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.prettyErrors(status.exit.cause)[0] : undefined

const millis = (nanos: bigint): string => `${Math.round(Number(nanos) / 1e6)} ms`.padStart(7)

/** What is ours, without the word for it. */
const short = (name: string): string => name.replace("bulwark.", "")

const said = (attributes: Record<string, unknown>): string =>
  Object.entries(attributes).map(([key, value]) => `${short(key)}=${String(value)}`).join(" ")

/** One row a span, with its place in time and what it failed with; below it what happened on it. */
const rows = (root: Kept, self: Kept, lead = "", deeper = ""): ReadonlyArray<string> => {
  const width = 24
  const at = (time: bigint) => Math.round(width * Number(time - root.startTime) / Number(endOf(root) - root.startTime))
  const [from, to] = [Math.min(at(self.startTime), width - 1), at(endOf(self))]
  const bar = "█".repeat(Math.max(1, to - from)).padStart(Math.max(from + 1, to)).padEnd(width)
  const failure = failureOf(self)
  const children = below(self.span)
  return [
    `${(lead + self.span.name).padEnd(36)} ${bar} ${millis(endOf(self) - self.startTime)}` +
    (failure === undefined ? "" : `  ! ${failure.name}`),
    ...self.events.map(({ at, attributes, name }) =>
      `${deeper}${children.length === 0 ? " " : "│"} ${millis(at - root.startTime)}  ${short(name)}: ${
        said(attributes)
      }`
    ),
    ...children.flatMap((child, index) =>
      index + 1 < children.length
        ? rows(root, child, `${deeper}├─ `, `${deeper}│  `)
        : rows(root, child, `${deeper}└─ `, `${deeper}   `)
    )
  ]
}

const detail = (kept: Kept): string =>
  [
    kept.span.name,
    ...[...kept.span.attributes].map(([key, value]) => `${key}=${String(value)}`),
    `status: ${failureOf(kept)?.message ?? "ok"}`
  ].join("\n  ")

const picture = Effect.gen(function*() {
  for (const root of below(undefined)) yield* Console.log(`\n${rows(root, root).join("\n")}`)
  const [call] = below(below(undefined)[0]?.span)
  const [limited, , answered] = below(call?.span)
  for (const span of [call, limited, answered]) {
    if (span !== undefined) yield* Console.log(`\n${detail(span)}`)
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// all of it
// ---------------------------------------------------------------------------------------------------------------------

/** Whether somebody there takes spans. */
const listens = (baseUrl: string) =>
  HttpClientRequest.post(`${baseUrl}/v1/traces`).pipe(
    HttpClientRequest.bodyJsonUnsafe({ resourceSpans: [] }),
    HttpClient.execute,
    Effect.timeout("1 second"),
    Effect.map(({ status }) => status === 200),
    Effect.orElseSucceed(() => false)
  )

const main = Effect.gen(function*() {
  const server = yield* FaultServer.make({
    pace: "15 millis",
    answers: { "llama-3.3-70b": "Air scatters blue light more than red light." },
    script: {
      "gpt-5-mini": [FaultServer.rateLimited({ retryAfter: "200 millis" }), FaultServer.overloaded],
      "llama-3.3-70b": [FaultServer.delayFirstToken("120 millis"), FaultServer.cutAfter(4)]
    }
  })
  const providers = Layer.merge(
    OpenAiChat.layer(OpenAi, { baseUrl: server.url }),
    OpenAiChat.layer(Groq, { baseUrl: server.url })
  )
  const endpoint = yield* Config.String("OTEL_EXPORTER_OTLP_ENDPOINT").pipe(
    Config.withDefault("http://localhost:4318")
  )
  const there = yield* listens(endpoint)
  yield* application.pipe(
    Effect.provide([providers, Breaker.layerMemory({ trip: Breaker.consecutive(1) }), budget]),
    // Outermost, and closed before the end: what it still has is sent then.
    Effect.provide(Layer.provideMerge(keeping, telemetry(endpoint)))
  )
  yield* picture
  yield* Console.log(
    there
      ? `\nsent to ${endpoint}: with Jaeger there, see http://localhost:16686/search?service=answers`
      : `\nnobody takes spans at ${endpoint}: docs/jaeger.md says how to have them taken`
  )
}).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))

NodeRuntime.runMain(main)
