/**
 * An outage of half a second: the circuit opens, the next model answers meanwhile, and a probe brings the first one back.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer, Stream } from "effect"
import { Breaker, Llm } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Groq extends Provider.Service<Groq>()("groq") {}

const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Breaker.guard(),
  Llm.orElse(Llm.model(Groq, "llama-3.3-70b"))
)

// Short times, so that the example is quick.
const breakers = Breaker.layerMemory({ trip: Breaker.consecutive(3), openDuration: "200 millis" })

const main = Effect.gen(function*() {
  const start = yield* Clock.currentTimeMillis
  const elapsed = Effect.map(Clock.currentTimeMillis, (now) => `${String(now - start).padStart(4)} ms`)
  let down = true
  const openai = ScriptedProvider.make(
    OpenAi,
    () => down ? ScriptedProvider.fail("Overloaded") : ScriptedProvider.text("Hello!")
  )

  const calls = Effect.gen(function*() {
    const breaker = yield* Breaker.Breaker
    yield* breaker.transitions.pipe(
      Stream.runForEach(({ from, key, to }) =>
        Effect.flatMap(elapsed, (at) => Console.log(`${at}  circuit of ${key}: ${from} > ${to}`))
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    for (let call = 0; call < 10; call++) {
      const answer = yield* Llm.generateText(llm, { prompt: "Hello?" })
      const before = answer.receipt.events.map((event) => `${event.type} (${event.reason})`).join(", ")
      yield* Console.log(
        `${yield* elapsed}  answered by ${answer.receipt.model}${before === "" ? "" : ` after ${before}`}`
      )
      yield* Effect.sleep("80 millis")
      if (call === 5) down = false
    }
    yield* Console.log(`${openai.calls.length} of 10 calls were sent to openai`)
  })

  yield* calls.pipe(Effect.provide(Layer.mergeAll(
    breakers,
    openai.layer,
    ScriptedProvider.layer(Groq, () => ScriptedProvider.text("Bonjour!"))
  )))
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
