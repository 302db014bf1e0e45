/**
 * What telemetry costs: of a call, and of each part of a stream, with and without somebody to send it to; beside the AI SDK's.
 *
 * Whoever receives what is sent is a process of its own, so that it costs nothing here.
 */
import { OpenTelemetry } from "@ai-sdk/otel"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto"
import { BatchSpanProcessor, type SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node"
import { generateText, streamText } from "ai"
import { Context, Effect, Exit, Layer, Logger, Scope, Stream, Tracer } from "effect"
import { Llm, type Part } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { FetchHttpClient } from "effect/http"
import { spawn } from "node:child_process"
import { measure, micros, table } from "./measure.ts"
import { aiModel } from "./peers.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const bare = Llm.model(OpenAi, "gpt-5-mini")

const deltas = 1_000

const usage = { inputTokens: { total: 10 }, outputTokens: { total: 1 } } as const

const answer: ReadonlyArray<Part.AnswerPart> = [
  { type: "text", text: "Hello!" },
  { type: "finish", reason: "stop", usage }
]

const parts: ReadonlyArray<Part.ProviderPart> = [
  { type: "text-start", id: "0" },
  ...Array.from({ length: deltas }, () => ({ type: "text-delta", id: "0", delta: "word " } as const)),
  { type: "text-end", id: "0" },
  { type: "finish", reason: "stop", usage }
]

/** Answers at once; its streams come one part a pull, as they would over a wire. */
const provider: Provider.Provider = {
  whole: () => Effect.succeed(answer),
  stream: () => Stream.rechunk(Stream.fromIterable(parts), 1)
}

/** A tracer that keeps its spans as they are, and forgets them. */
const forgetful = Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))

/** Takes whatever is posted, in another process. */
const receiver = async (): Promise<{ readonly url: string; readonly close: () => void }> => {
  const source = `
    const server = require("node:http").createServer((request, response) => {
      request.resume().on("end", () => response.writeHead(200).end())
    })
    server.listen(0, "127.0.0.1", () => process.stdout.write(String(server.address().port) + "\\n"))
    process.stdin.on("end", () => process.exit()).resume()
  `
  const child = spawn(process.execPath, ["-e", source], { stdio: ["pipe", "pipe", "inherit"] })
  const port = await new Promise<string>((resolve) => child.stdout.once("data", (data) => resolve(String(data).trim())))
  return { url: `http://127.0.0.1:${port}`, close: () => void child.stdin.end() }
}

const pairs = async (layers: Record<string, Layer.Layer<never, unknown>>, scope: Scope.Scope) => {
  const built = await Promise.all(
    Object.entries(layers).map(async ([name, layer]) =>
      [name, await Effect.runPromise(Layer.buildWithScope(layer, scope))] as const
    )
  )
  const run = <A>(program: Effect.Effect<A, unknown, OpenAi>, context: Context.Context<never>) => {
    const provided = Effect.provideContext(program, Context.add(context, OpenAi, provider))
    return () => Effect.runPromise(provided)
  }
  return {
    calls: Object.fromEntries(
      built.map(([name, context]) => [name, run(Llm.generateText(bare, { prompt: "Hello?" }), context)])
    ),
    streams: Object.fromEntries(
      built.map(([name, context]) => [name, run(Stream.runDrain(Llm.streamText(bare, { prompt: "Hello?" })), context)])
    )
  }
}

/** The AI SDK's telemetry, over OpenTelemetry's own SDK. */
const aiSdk = (processors: Array<SpanProcessor>) => {
  const provider = new NodeTracerProvider({ spanProcessors: processors })
  return { provider, telemetry: { integrations: [new OpenTelemetry({ tracer: provider.getTracer("ai") })] } }
}

const aiCall = (telemetry?: object) => {
  const model = aiModel(1)
  return () => generateText({ model, prompt: "Hello?", ...(telemetry === undefined ? undefined : { telemetry }) })
}

const aiStream = (telemetry?: object) => async () => {
  const result = streamText({
    model: aiModel(deltas),
    prompt: "Hello?",
    ...(telemetry === undefined ? undefined : { telemetry })
  })
  let length = 0
  for await (const text of result.textStream) length += text.length
  return length
}

export const telemetryTable = async (): Promise<string> => {
  const scope = Scope.makeUnsafe()
  const { close, url } = await receiver()
  const quiet = Logger.layer([])
  const off = "Bulwark: without telemetry"
  const ours = await pairs({
    [off]: quiet,
    "Bulwark: metrics, and no tracer": Layer.merge(Telemetry.layer(), quiet),
    "Bulwark: spans and metrics, sent to nobody": Layer.mergeAll(Telemetry.layer(), forgetful, quiet),
    "Bulwark: spans and metrics, sent over OTLP": Layer.merge(
      Telemetry.layerOtlp({ baseUrl: url, resource: { serviceName: "bench" } }).pipe(
        Layer.provide(FetchHttpClient.layer)
      ),
      quiet
    )
  }, scope)
  const kept = aiSdk([])
  const sent = aiSdk([new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))])
  const aiOff = "AI SDK: without telemetry"
  try {
    const calls = await measure({
      ...ours.calls,
      [aiOff]: aiCall(),
      "AI SDK: spans, sent to nobody": aiCall(kept.telemetry),
      "AI SDK: spans, sent over OTLP": aiCall(sent.telemetry)
    }, 200)
    const streams = await measure(
      {
        ...ours.streams,
        [aiOff]: aiStream(),
        "AI SDK: spans, sent to nobody": aiStream(kept.telemetry),
        "AI SDK: spans, sent over OTLP": aiStream(sent.telemetry)
      },
      300,
      16
    )
    const none = (name: string) => name.startsWith("Bulwark") ? off : aiOff
    return table(
      ["", "a call, µs", "added, µs", "a part of 1,000, µs", "added, µs"],
      Object.keys(calls).map((name) => {
        const [call, stream] = [calls[name]!, streams[name]! / deltas]
        const [callOff, streamOff] = [calls[none(name)]!, streams[none(name)]! / deltas]
        return name === none(name)
          ? [name, micros(call), "", micros(stream), ""]
          : [name, micros(call), micros(call - callOff), micros(stream), (stream - streamOff).toFixed(3)]
      })
    )
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await kept.provider.shutdown()
    await sent.provider.shutdown()
    close()
  }
}

if (import.meta.main) process.stdout.write(`${await telemetryTable()}\n`)
