/**
 * What can happen to calls, and so to what is told of them: every policy in every weather, caches, budgets, prompts, tools, and HTTP.
 */
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Attribution, Fallback, Limiter, Llm } from "effect-bulwark"
import { Budget, ContextWindow, TokenCount } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
import { Embedding, OpenAiChat } from "effect-bulwark/providers"
import { FaultServer, ScriptedProvider } from "effect-bulwark/testing"
import { Tool, Toolkit } from "effect/ai"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { budget } from "../../budget/support/budget.ts"
import { Anthropic, anthropic, OpenAi, openai } from "../../core/support/stack.ts"
import { policies, type PolicyName, services, type Stack } from "../../scenarios/support/policies.ts"

/** What a prompt says that nobody who looks at metrics may read, or, without content, at spans. */
export const secret = "Atlant1s"

const usage = {
  inputTokens: { total: 100, uncached: 50, cacheRead: 30, cacheWrite: 20 },
  outputTokens: { total: 30, text: 20, reasoning: 10 }
}

/** How a provider is. */
export const weather: { readonly [name: string]: ScriptedProvider.Step } = {
  fine: ScriptedProvider.text(["one ", "two ", secret], { delay: "300 millis", between: "100 millis", usage }),
  slow: ScriptedProvider.text(["one ", "two ", "three"], { delay: "20 seconds", between: "1 second" }),
  silence: ScriptedProvider.silence,
  overloaded: ScriptedProvider.fail("Overloaded", { delay: "50 millis" }),
  limited: ScriptedProvider.fail("RateLimited"),
  invalid: ScriptedProvider.fail("InvalidRequest"),
  cut: ScriptedProvider.breakOff(["one "], "cut", { between: "1 second" }),
  broken: ScriptedProvider.breakOff(["one "], "ServerError"),
  truncated: ScriptedProvider.text(["one "], { finishReason: "length" }),
  filtered: ScriptedProvider.text(["one "], { finishReason: "content-filter" })
}

const asked = {
  prompt: [
    { role: "system", content: `You know of ${secret}.` },
    { role: "user", content: [{ type: "text", text: `Where is ${secret}?` }] }
  ],
  settings: { maxOutputTokens: 50, temperature: 0.5, topP: 1, seed: 7, stop: ["END"] }
} as const

const who = { user: "ada", tenant: "acme", feature: "summaries", requestId: "r-1", tags: { plan: "gold" } }

export type Mode = "whole" | "stream" | "object"

/** One call, whatever comes of it. */
const call = <E, R>(llm: Llm.Llm<E, R>, mode: Mode = "whole"): Effect.Effect<void, never, R> => {
  const calling: Effect.Effect<unknown, unknown, R> = mode === "whole"
    ? Llm.generateText(llm, asked)
    : mode === "stream"
    ? Stream.runDrain(Llm.streamText(llm, asked))
    : Llm.generateObject(llm, { ...asked, schema: Schema.Struct({ city: Schema.String }) })
  return Effect.ignoreCause(calling)
}

/** Gives something an hour, and ends it. */
const within = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<void, never, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    yield* Fiber.interrupt(fiber)
  })

const scripted = (step: ScriptedProvider.Step, second: ScriptedProvider.Step = ScriptedProvider.text("Bonjour")) =>
  Layer.merge(ScriptedProvider.layer(OpenAi, () => step), ScriptedProvider.layer(Anthropic, () => second))

/** One policy in one weather: four calls, so that circuits open. */
const inWeather = (policy: PolicyName, name: string, mode: "whole" | "stream"): Effect.Effect<void> => {
  const llm: Stack = policies[policy](openai)
  return within(Effect.repeat(Effect.andThen(call(llm, mode), Effect.sleep("5 seconds")), { times: 3 })).pipe(
    Effect.provide(Layer.merge(services(), scripted(weather[name] ?? ScriptedProvider.silence)), { local: true })
  )
}

const cached = within(Effect.gen(function*() {
  const llm = openai.pipe(
    Cache.through({ timeToLive: "1 second", staleWhileRevalidate: "10 seconds", coalesce: true })
  )
  yield* Effect.all([call(llm), call(llm)], { concurrency: 2 })
  yield* call(llm)
  yield* Cache.withDirective(call(llm), { mode: "skip" })
  yield* Effect.sleep("2 seconds")
  yield* call(llm, "stream")
})).pipe(Effect.provide(Layer.merge(Cache.layerMemory(), scripted(weather["fine"]!)), { local: true }))

const budgeted = within(Effect.gen(function*() {
  const llm = openai.pipe(Budget.enforce(), Llm.orElse(anthropic.pipe(Budget.enforce())))
  yield* call(llm)
  yield* call(llm, "stream")
  yield* call(llm)
  yield* call(llm)
})).pipe(Effect.provide(
  Layer.merge(
    budget({
      limits: [
        { resource: "usd", limit: "1", window: Budget.total, warnAt: [0.0001] },
        { resource: "tokens", limit: 1_000, window: Budget.calendar("day"), scope: "feature" },
        { resource: "requests", limit: 3, window: Budget.calendar("hour") }
      ]
    }),
    scripted(weather["fine"]!)
  ),
  { local: true }
))

/** What is spared by an answer that is kept, and what one costs that breaks off. */
const priced = within(Effect.gen(function*() {
  const llm = openai.pipe(Budget.enforce(), Cache.through({ timeToLive: "1 minute" }))
  yield* call(llm)
  yield* call(llm)
  yield* call(anthropic.pipe(Budget.enforce()), "stream")
})).pipe(Effect.provide(
  Layer.mergeAll(
    budget({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }),
    Cache.layerMemory(),
    scripted(weather["fine"]!, weather["cut"])
  ),
  { local: true }
))

/** Longer than a window. */
const conversation = Array.from({ length: 21 }, (_, index) => ({
  role: index % 2 === 0 ? "user" as const : "assistant" as const,
  content: [{ type: "text" as const, text: `This is what was said as number ${index} of all.` }]
}))

const Answer = Schema.Struct({ question: Schema.String })

const prompted = within(Effect.gen(function*() {
  const ask = PromptRegistry.define("ask", { variables: Answer, models: { small: openai }, model: "small" })
  const { version } = yield* PromptRegistry.publish(ask, { user: "{{ question }}", author: "ada" })
  yield* PromptRegistry.label(ask, { label: "production", version, by: "ada", reason: "first" })
  yield* PromptRegistry.generateText(ask, { question: secret })
})).pipe(Effect.provide(
  Layer.merge(PromptRegistry.layer().pipe(Layer.provide(PromptStore.layerMemory)), scripted(weather["fine"]!)),
  { local: true }
))

const Weather = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
const toolkit = Toolkit.make(Weather)

const tooled = within(Llm.generateText(openai, { ...asked, toolkit })).pipe(Effect.provide(
  Layer.merge(
    toolkit.toLayer({ Weather: () => Effect.succeed("sunny") }),
    scripted(ScriptedProvider.toolCall("Weather", { city: secret }))
  ),
  { local: true }
))

const embedded = within(
  Embedding.embedMany(Embedding.model(OpenAi, "text-embedding-3-small"), [secret, "Where is it?"])
).pipe(Effect.provide(scripted(weather["fine"]!), { local: true }))

const various = within(Effect.gen(function*() {
  yield* call(openai, "object")
  yield* call(openai.pipe(ContextWindow.enforce({ window: 200, mode: "trim" })))
  yield* call(openai.pipe(ContextWindow.enforce({ window: 20 })))
  yield* Effect.ignoreCause(Llm.generateText(
    openai.pipe(ContextWindow.enforce({ window: 60, mode: "trim" })),
    { prompt: conversation, settings: { maxOutputTokens: 10 } }
  ))
  yield* call(Fallback.cascade([{ llm: openai, quality: 1, price: 1 }, { llm: anthropic, quality: 2, price: 2 }], {
    shortcoming: () => "vague"
  }))
})).pipe(
  Effect.provide(Layer.merge(scripted(weather["fine"]!, weather["overloaded"]), TokenCount.layerEstimate()), {
    local: true
  })
)

const queued = within(
  Effect.all(Array.from({ length: 4 }, (_, index) => call(Limiter.enforce(openai), index % 2 ? "whole" : "stream")), {
    concurrency: "unbounded"
  })
).pipe(Effect.provide(
  Layer.merge(Limiter.layerMemory({ limits: { concurrency: 1 } }), scripted(weather["fine"]!)),
  { local: true }
))

/** Over HTTP, in real time: what a server answers, and what it refuses. */
const overHttp = Effect.gen(function*() {
  const server = yield* FaultServer.make({ script: { "gpt-5-mini": [FaultServer.status(503), FaultServer.healthy] } })
  const provider = OpenAiChat.layer(OpenAi, { baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
  yield* Effect.provide(Effect.andThen(call(openai), call(openai, "stream")), provider, { local: true })
}).pipe(Effect.scoped, Effect.orDie)

/** All of it, by name. It is to be run under a `TestClock`. */
export const scenarios: { readonly [name: string]: Effect.Effect<void, unknown> } = {
  ...Object.fromEntries(
    Object.keys(policies).flatMap((policy) =>
      Object.keys(weather).flatMap((name) =>
        (["whole", "stream"] as const).map((mode) => [
          `${policy}, ${name}, ${mode}`,
          inWeather(policy as PolicyName, name, mode)
        ])
      )
    )
  ),
  "a cache": cached,
  "a budget": budgeted,
  "what is spared": priced,
  "a prompt": prompted,
  tools: tooled,
  embeddings: embedded,
  "objects, windows and cascades": various,
  queues: queued,
  HTTP: overHttp
}

const run = (names: ReadonlyArray<string>): Effect.Effect<void, unknown> =>
  Effect.forEach(names, (name) => scenarios[name] ?? Effect.die(`no scenario ${name}`), { discard: true }).pipe(
    Attribution.annotate(who)
  )

/** Every one of them, one after the other, for somebody. */
export const all: Effect.Effect<void, unknown> = run(Object.keys(scenarios))

/** Enough of them that everything is told of that there is. */
export const some: Effect.Effect<void, unknown> = run(
  Object.keys(scenarios).filter((name) => {
    const [, weather, mode] = name.split(", ")
    return mode === undefined || (mode === "stream" && ["fine", "overloaded", "slow", "cut"].includes(weather ?? ""))
  })
)
