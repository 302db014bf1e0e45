/**
 * What calls are doing right now, in the terminal: a day of traffic on a clock that runs fast, until a provider goes down in the
 * afternoon and time slows. Where nobody watches, as in a pipe, only the last frame is printed.
 */
import { NodeRuntime, NodeTerminal } from "@effect/platform-node"
import { Console, Effect, Layer, Random, Stream } from "effect"
import { Attribution, Limiter, Llm } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { Provider } from "effect-bulwark/providers"
import { LiveView } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TerminalCapabilities } from "effect/cli"
import { TestClock } from "effect/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

const llm = Llm.standard({
  models: [Llm.model(OpenAi, "gpt-5-mini"), Llm.model(Anthropic, "claude-haiku-4-5")],
  limiter: true,
  hedge: { after: "12 seconds" }
}).pipe(
  Budget.enforce({ maxOutputTokens: 1_000 }),
  Cache.through({ timeToLive: "20 minutes" })
)

// ---------------------------------------------------------------------------------------------------------------------
// the day
// ---------------------------------------------------------------------------------------------------------------------

const midnight = Date.UTC(2026, 2, 2)
const minute = 60_000
const hour = 60 * minute

/** When the first provider goes down. */
const outage = midnight + 17 * hour

/** How many calls a minute there are: few at night, more in the afternoon, and most when everybody asks what is the matter. */
const traffic = (now: number): number =>
  now < outage - minute ? 0.2 + 2.5 * Math.sin((((now - midnight) / hour - 5) * Math.PI) / 17) ** 4 : 60

const words = Array.from({ length: 60 }, (_, n) => `word ${n} `)

const answers = (random: Random.Random, faults: number) => (): ScriptedProvider.Step => {
  const chance = random.nextDoubleUnsafe()
  if (chance < faults) return ScriptedProvider.fail(chance < faults / 2 ? "Overloaded" : "RateLimited")
  return ScriptedProvider.text(words.slice(random.nextIntUnsafe() % 30), {
    // Now and then a request hangs.
    delay: chance > 0.98 ? "30 seconds" : 400 + 4_000 * random.nextDoubleUnsafe(),
    between: 100 + 200 * random.nextDoubleUnsafe(),
    usage: {
      inputTokens: { total: 400 + Math.floor(4_000 * random.nextDoubleUnsafe()) },
      outputTokens: { total: 50 + Math.floor(600 * random.nextDoubleUnsafe()) }
    }
  })
}

const providers = Layer.unwrap(Effect.gen(function*() {
  const random = yield* Random.Random
  const clock = yield* Effect.clockWith(Effect.succeed)
  const openai = answers(random, 0.02)
  return Layer.merge(
    ScriptedProvider.layer(OpenAi, () =>
      clock.currentTimeMillisUnsafe() < outage
        ? openai()
        : { ...ScriptedProvider.fail("ServerError"), delay: "1 second" }),
    ScriptedProvider.layer(Anthropic, answers(random, 0.01))
  )
}))

/** What the application does all day; it knows nothing of the view. */
const application = Effect.gen(function*() {
  while (true) {
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    yield* Effect.sleep(-Math.log(1 - (yield* Random.next)) * minute / traffic(now))
    const feature = ["search", "support", "summaries", "translation"][yield* Random.nextIntBetween(0, 3)]!
    // Many ask the same.
    const prompt = `Question ${Math.floor(300 * (yield* Random.next) ** 3)} of ${feature}`
    const call = feature === "search" || feature === "summaries"
      ? Llm.generateText(llm, { prompt })
      : Stream.runDrain(Llm.streamText(llm, { prompt }))
    yield* call.pipe(Effect.ignore, Attribution.annotate({ feature, tenant: "acme" }), Effect.forkScoped)
  }
})

const services = Layer.mergeAll(
  Llm.layerStandard(),
  Limiter.layerMemory({ limits: { concurrency: 3 } }),
  Cache.layerMemory(),
  Budget.layer({
    limits: [
      { resource: "usd", limit: "8", window: Budget.calendar("day") },
      { resource: "tokens", limit: 1_000_000, window: Budget.rolling("1 hour"), scope: "feature" }
    ]
  }).pipe(Layer.provide([
    BudgetStore.layerMemory,
    TokenCount.layerEstimate(),
    Pricing.layerOf([
      Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: "0.25", output: "2" } }),
      Pricing.model({ provider: "anthropic", model: "claude-haiku-4-5", price: { input: "1", output: "5" } })
    ])
  ])),
  providers,
  LiveView.layer()
).pipe(Layer.provideMerge(TestClock.layer()))

// ---------------------------------------------------------------------------------------------------------------------
// the view
// ---------------------------------------------------------------------------------------------------------------------

const main = Effect.gen(function*() {
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  /** Time passes, in steps that last a tenth of a second where somebody watches. */
  const pass = (until: number, step: number) =>
    Effect.gen(function*() {
      while ((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) < until) {
        yield* TestClock.adjust(step)
        if (canAnimate) yield* TestClock.withLive(Effect.sleep("100 millis"))
      }
    })
  const day = Effect.andThen(pass(outage - 20_000, 30 * minute), pass(outage + 90_000, 3_000))

  yield* TestClock.setTime(midnight)
  yield* Effect.forkScoped(application)
  // This is all that an application has to do: run the view beside it, until one of the two ends.
  yield* Effect.raceFirst(day, TestClock.withLive(LiveView.run()))
  if (!canAnimate) return
  const state = yield* LiveView.state
  yield* Console.log(LiveView.render(state, { columns: 80, rows: 24 }).join("\n"))
})

NodeRuntime.runMain(
  Effect.scoped(main).pipe(Effect.provide(Layer.merge(services, NodeTerminal.layer)), Random.withSeed("a day"))
)
