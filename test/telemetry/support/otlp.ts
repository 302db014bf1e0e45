/**
 * A receiver of OpenTelemetry's protocol over HTTP, on loopback: what a collector is to those who export.
 *
 * It takes traces, metrics and logs as protobuf, which it reads with the official generated schema, and as JSON, both also gzipped, and
 * hands out both in one shape (`otlpRead.ts`). It can be told to misbehave as collectors do.
 *
 * **Gotchas**
 *
 * What it cannot read it answers with 400, as a collector, and keeps as a problem: `waitFor` fails on problems, so a test that waits
 * for what it expects also learns why it does not come.
 *
 * It lives in real time, whatever clock the test has.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createRequire } from "node:module"
import { gunzipSync } from "node:zlib"
import { type Log, logsOf, type Metric, metricsOf, type Span, spansOf } from "./otlpRead.ts"

export type { Attributes, Log, Metric, Point, Span, SpanEvent, SpanLink, Value } from "./otlpRead.ts"

export type Signal = "traces" | "metrics" | "logs"

export interface Request {
  readonly signal: Signal
  readonly contentType: string
  readonly encoding: string | undefined
  /** As they came: compressed, where they are. */
  readonly bytes: number
  readonly headers: { readonly [name: string]: string }
}

/** What a receiver does with requests. */
export type Behaviour =
  | { readonly _tag: "Accept" }
  /** Reads them, and never answers. */
  | { readonly _tag: "Hang" }
  /** Answers with a status, and keeps nothing. */
  | { readonly _tag: "Fail"; readonly status: number; readonly retryAfter?: number }
  /** Ends the connection in place of an answer. */
  | { readonly _tag: "Close" }
  /** Accepts, but answers only so many milliseconds later. */
  | { readonly _tag: "Slow"; readonly millis: number }
  /** Nobody listens. */
  | { readonly _tag: "Refuse" }

/** What has come, growing as it comes. */
export interface Received {
  readonly spans: ReadonlyArray<Span>
  /** Of all exports, one after another. */
  readonly metrics: ReadonlyArray<Metric>
  readonly logs: ReadonlyArray<Log>
  readonly requests: ReadonlyArray<Request>
  /** Why requests could not be read. */
  readonly problems: ReadonlyArray<string>
}

export interface Receiver {
  /** Where exporters send to, without the path of a signal. */
  readonly url: string
  readonly received: Received
  readonly behave: (behaviour: Behaviour) => Effect.Effect<void>
  /** How many requests are read and not answered, now. */
  readonly held: () => number
  /**
   * Waits until something has come: until `find` finds it. Looks whenever a request has come, and for 5 seconds.
   */
  readonly waitFor: <A>(what: string, find: (received: Received) => A | undefined) => Effect.Effect<A, NotReceived>
}

/** What was waited for has not come. */
export class NotReceived extends Schema.TaggedError<NotReceived>()("NotReceived", {
  what: Schema.String,
  problems: Schema.Array(Schema.String),
  seen: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.what}: not received. Problems: ${this.problems.join("; ") || "none"}. Seen: ${this.seen.join(", ")}`
  }
}

/** Reads bytes of protobuf: `skipType` is what it does with a field that the schema does not know. */
interface Reader {
  skipType: (wireType: number) => Reader
}

/** A type of the official schema, as protobufjs generates it: its declarations say no more than that there is a root. */
interface MessageType {
  readonly decode: (reader: Reader) => object
  readonly toObject: (message: object, options: object) => unknown
}

const load = createRequire(import.meta.url)
const generated = "@opentelemetry/otlp-transformer/build/src/generated/root.js"

const { opentelemetry } = load(generated) as {
  readonly opentelemetry: {
    readonly proto: {
      readonly collector: {
        readonly trace: { readonly v1: { readonly ExportTraceServiceRequest: MessageType } }
        readonly metrics: { readonly v1: { readonly ExportMetricsServiceRequest: MessageType } }
        readonly logs: { readonly v1: { readonly ExportLogsServiceRequest: MessageType } }
      }
    }
  }
}

/** The one that the generated schema itself has. */
const { Reader } = createRequire(load.resolve(generated))("protobufjs/minimal") as {
  readonly Reader: { readonly create: (bytes: Uint8Array) => Reader }
}

const { logs, metrics, trace } = opentelemetry.proto.collector

const types: { readonly [signal in Signal]: MessageType } = {
  traces: trace.v1.ExportTraceServiceRequest,
  metrics: metrics.v1.ExportMetricsServiceRequest,
  logs: logs.v1.ExportLogsServiceRequest
}

const ids = new Set(["traceId", "spanId", "parentSpanId"])

/** The protocol writes ids as hex in its JSON, where protobuf's own JSON has base64. */
const withHex = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withHex)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      ids.has(key) && typeof inner === "string"
        ? [key, Buffer.from(inner, "base64").toString("hex")]
        : [key, withHex(inner)]
    )
  )
}

/** Protobuf, as the protocol's JSON. Throws where the schema does not know something. */
export const jsonOfProtobuf = (signal: Signal, bytes: Uint8Array): unknown => {
  const type = types[signal]
  const reader = Reader.create(bytes)
  reader.skipType = (wireType) => {
    throw new TypeError(`a field, of wire type ${wireType}, that the schema does not know`)
  }
  return withHex(type.toObject(type.decode(reader), { longs: String, bytes: String, json: true }))
}

const signals: { readonly [path: string]: Signal } = {
  "/v1/traces": "traces",
  "/v1/metrics": "metrics",
  "/v1/logs": "logs"
}

const waitLimit = 5_000

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** A receiver, for as long as the scope lasts. */
export const receiver: Effect.Effect<Receiver, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const received = {
      spans: [] as Array<Span>,
      metrics: [] as Array<Metric>,
      logs: [] as Array<Log>,
      requests: [] as Array<Request>,
      problems: [] as Array<string>
    }
    const watchers = new Set<() => void>()
    const timers = new Set<NodeJS.Timeout>()
    const held = new Set<ServerResponse>()
    let behaviour: Behaviour = { _tag: "Accept" }

    const keep = (signal: Signal, json: unknown): void => {
      switch (signal) {
        case "traces":
          return void received.spans.push(...spansOf(json))
        case "metrics":
          return void received.metrics.push(...metricsOf(json))
        case "logs":
          return void received.logs.push(...logsOf(json))
      }
    }

    const end = (response: ServerResponse, status: number, contentType: string, headers: object = {}) => {
      const isJson = contentType === "application/json"
      // An empty message is no bytes at all.
      response.writeHead(status, { "content-type": contentType, ...headers })
      response.end(isJson ? "{}" : "")
    }

    const accept = (request: Request, body: Buffer): number => {
      try {
        const bytes = request.encoding === "gzip" ? gunzipSync(body) : body
        keep(
          request.signal,
          request.contentType === "application/json"
            ? JSON.parse(bytes.toString("utf8"))
            : jsonOfProtobuf(request.signal, bytes)
        )
        return 200
      } catch (error) {
        received.problems.push(`${request.signal} as ${request.contentType}: ${String(error)}`)
        return 400
      }
    }

    const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
      const body = await bodyOf(incoming)
      const signal = signals[incoming.url ?? ""]
      const contentType = (incoming.headers["content-type"] ?? "").split(";")[0] ?? ""
      const encoding = incoming.headers["content-encoding"]
      const refusal = incoming.method !== "POST"
        ? 405
        : signal === undefined
        ? 404
        : contentType !== "application/json" && contentType !== "application/x-protobuf"
        ? 415
        : encoding !== undefined && encoding !== "gzip"
        ? 415
        : undefined
      if (refusal !== undefined || signal === undefined) {
        received.problems.push(`${incoming.method} ${incoming.url} as ${contentType}, ${encoding}: ${refusal}`)
        return end(response, refusal ?? 404, "application/json")
      }
      const request: Request = {
        signal,
        contentType,
        encoding,
        bytes: body.length,
        headers: Object.fromEntries(
          Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])
        )
      }
      received.requests.push(request)
      switch (behaviour._tag) {
        case "Accept":
          return end(response, accept(request, body), contentType)
        case "Slow": {
          hold(response)
          const timer = setTimeout(() => {
            timers.delete(timer)
            held.delete(response)
            end(response, accept(request, body), contentType)
            tell()
          }, behaviour.millis)
          timers.add(timer)
          return
        }
        case "Fail": {
          const { retryAfter, status } = behaviour
          return end(response, status, contentType, retryAfter === undefined ? {} : { "retry-after": retryAfter })
        }
        case "Close":
          return void incoming.socket.destroy()
        case "Hang":
        case "Refuse":
          return hold(response)
      }
    }

    const hold = (response: ServerResponse): void => {
      held.add(response)
      response.on("close", () => {
        held.delete(response)
        tell()
      })
    }

    const tell = (): void => {
      for (const watcher of watchers) watcher()
    }

    const server = createServer((incoming, response) => {
      // A client that goes away while its request is read has nothing to be told.
      answer(incoming, response).then(tell, tell)
    })
    const listen = (port: number) =>
      new Promise<void>((resolve, reject) => {
        server.once("error", reject)
        server.listen(port, "127.0.0.1", () => {
          server.off("error", reject)
          resolve()
        })
      })
    const close = () =>
      new Promise<void>((resolve) => {
        for (const timer of timers) clearTimeout(timer)
        server.close(() => resolve())
        server.closeAllConnections()
      })
    await listen(0)
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0

    const waitFor: Receiver["waitFor"] = (what, find) =>
      Effect.callback((resume) => {
        const look = () => {
          const found = received.problems.length > 0 ? undefined : find(received)
          if (found !== undefined) settle(Effect.succeed(found))
          else if (received.problems.length > 0) settle(Effect.fail(missing()))
        }
        const missing = () =>
          new NotReceived({
            what,
            problems: received.problems,
            seen: [...received.spans, ...received.metrics].map(({ name }) => name)
          })
        const timer = setTimeout(() => settle(Effect.fail(missing())), waitLimit)
        const stop = () => {
          clearTimeout(timer)
          watchers.delete(look)
        }
        const settle = (exit: Parameters<typeof resume>[0]) => {
          stop()
          resume(exit)
        }
        watchers.add(look)
        look()
        return Effect.sync(stop)
      })

    return {
      close,
      receiver: {
        url: `http://127.0.0.1:${port}`,
        received,
        held: () => held.size,
        waitFor,
        behave: (next: Behaviour) =>
          Effect.promise(async () => {
            const was = behaviour
            behaviour = next
            if (next._tag === "Refuse" && was._tag !== "Refuse") await close()
            else if (next._tag !== "Refuse" && was._tag === "Refuse") await listen(port)
          })
      } satisfies Receiver
    }
  }),
  ({ close }) => Effect.promise(close)
).pipe(Effect.map(({ receiver }) => receiver))

/** The last export of a metric. */
export const lastOf = ({ metrics }: Received, name: string): Metric | undefined =>
  metrics.findLast((metric) => metric.name === name)
