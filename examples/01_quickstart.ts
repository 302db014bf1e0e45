/**
 * Summarises a document through a provider that has a bad day.
 *
 * Without a key it talks to a server on this machine that misbehaves on purpose: the first model is rate limited, then cut
 * off, then well again; later it breaks off in mid-answer and is overloaded, and the second model takes over. With
 * `OPENAI_API_KEY` or `OPENAI_BASE_URL` set it talks to the real thing; `OPENAI_MODEL` and `OPENAI_FALLBACK_MODEL` name the
 * models.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Console, Effect, FileSystem, Layer, Option, type Redacted, Schema, Stream } from "effect"
import { Attribution, Llm, Plan, Receipt, Retry } from "effect-bulwark"
import { OpenAiChat, Provider } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"
import { styleText } from "node:util"

// ---- the upstreams, and the stack around them -----------------------------------------------------------------------

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Backup extends Provider.Service<Backup>()("backup") {}

const makeSummarizer = (model: string, fallback: string) =>
  Llm.model(OpenAi, model).pipe(
    Llm.timeout({ firstPart: "8 seconds", idle: "15 seconds" }),
    Llm.retry(Retry.transient),
    Llm.orElse(Llm.model(Backup, fallback)),
    Llm.timeout({ total: "60 seconds" })
  )

// ---- the program ----------------------------------------------------------------------------------------------------

const Facts = Schema.Struct({
  claims: Schema.Array(Schema.String).annotate({ description: "Up to three claims it makes" })
})

const program = Effect.fn("quickstart")(function*(model: string, fallback: string) {
  const files = yield* FileSystem.FileSystem
  const document = yield* files.readFileString(new URL("../docs/architecture.md", import.meta.url).pathname)
  const summarizer = makeSummarizer(model, fallback)

  yield* heading("The stack")
  yield* Console.log(Plan.render(summarizer.plan))
  yield* Console.log(styleText("dim", `at most ${Plan.worstCase(summarizer.plan)} requests a call`))

  yield* heading("A summary, as it comes")
  yield* Llm.streamText(summarizer, { prompt: `Summarise this document in a few sentences:\n\n${document}` }).pipe(
    Llm.textDeltas,
    Stream.runForEach((text) => Effect.sync(() => process.stdout.write(text)))
  )

  yield* heading("The same document, as data")
  const facts = yield* Llm.generateObject(summarizer, {
    prompt: `What does this document say?\n\n${document}`,
    schema: Facts
  })
  yield* Console.log(facts.value.claims.map((claim) => `- ${claim}`).join("\n"))
})

const heading = (text: string) => Console.log(`\n${styleText(["bold", "cyan"], text)}\n`)

// Every call leaves a receipt, whether it succeeded or not.
const showReceipt = (receipt: Receipt.Receipt) =>
  Console.log(
    `\n\n${styleText("dim", `${Receipt.render(receipt)}\n(${receipt.operationId}, seconds after the call began)`)}`
  )

// ---- where the models are -------------------------------------------------------------------------------------------

/** One server for both upstreams. */
const providers = (options: OpenAiChat.Options) =>
  Layer.mergeAll(OpenAiChat.layer(OpenAi, options), OpenAiChat.layer(Backup, options)).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const real = (options: { readonly baseUrl?: string | undefined; readonly apiKey?: Redacted.Redacted | undefined }) =>
  Effect.gen(function*() {
    const model = yield* Config.String("OPENAI_MODEL").pipe(Config.withDefault("gpt-5-mini"))
    const fallback = yield* Config.String("OPENAI_FALLBACK_MODEL").pipe(Config.withDefault(model))
    yield* Effect.provide(program(model, fallback), providers(options))
  })

const rehearsed = Effect.gen(function*() {
  const server = yield* FaultServer.make({ pace: "12 millis" })
  yield* server.script("gpt-5-mini", [
    FaultServer.rateLimited({ retryAfter: "1 second" }),
    FaultServer.cutAfter(0),
    FaultServer.healthy,
    // ... and for the second call:
    FaultServer.cutAfter(12),
    FaultServer.overloaded,
    FaultServer.overloaded
  ])
  yield* Console.log(
    styleText("dim", `No OPENAI_API_KEY and no OPENAI_BASE_URL: talking to a server with faults at ${server.url}`)
  )
  yield* Effect.provide(program("gpt-5-mini", "gpt-5-nano"), providers({ baseUrl: server.url }))
})

const main = Effect.gen(function*() {
  const apiKey = Option.getOrUndefined(yield* Config.option(Config.Redacted("OPENAI_API_KEY")))
  const baseUrl = Option.getOrUndefined(yield* Config.option(Config.String("OPENAI_BASE_URL")))
  yield* apiKey === undefined && baseUrl === undefined ? rehearsed : real({ apiKey, baseUrl })
}).pipe(
  Receipt.observe(showReceipt),
  Attribution.annotate({ feature: "quickstart" }),
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)

NodeRuntime.runMain(main)
