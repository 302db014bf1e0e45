/**
 * Retrying: a schedule for each kind of failure, and an account that is told to wait, with all of its calls.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect, Schedule } from "effect"
import { Llm, LlmError, Receipt, Retry } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.retry(Retry.byTag({
    ConnectionFailed: Schedule.spaced("10 millis").pipe(Schedule.upTo({ times: 1 })),
    RateLimited: Schedule.exponential("20 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))
  }))
)

const limited = new LlmError.RateLimited({ retryAfter: Duration.millis(200) })

// The first request meets a broken connection, the second one the rate limit; then all is well.
const openai = ScriptedProvider.make(OpenAi, (_, index) =>
  index === 0
    ? ScriptedProvider.fail("ConnectionFailed")
    : index === 1
    ? ScriptedProvider.fail(limited)
    : ScriptedProvider.text("Because of Rayleigh scattering."))

const ask = Llm.generateText(llm, { prompt: "Why is the sky blue?" }).pipe(
  Receipt.observe((receipt) => Console.log(Receipt.render(receipt), "\n"))
)

const main = Effect.gen(function*() {
  // The second caller comes while the account is waiting: it sends nothing until the time has come.
  yield* Effect.all([ask, Effect.delay(ask, "50 millis")], { concurrency: 2 })
  yield* Console.log(`${openai.calls.length} requests for two calls`)
}).pipe(Effect.provide(openai.layer))

NodeRuntime.runMain(main)
