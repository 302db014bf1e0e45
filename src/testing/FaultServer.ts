/**
 * A real HTTP server on loopback that speaks OpenAI's Chat Completions and Responses, Anthropic's Messages and Google's Gemini API,
 * and misbehaves on command.
 *
 * It answers in the official wire format of each, full and streamed, so the official clients work against it unchanged. The path
 * decides, whatever stands before it:
 *
 * | Dialect | Paths |
 * | --- | --- |
 * | `openai-chat` | `POST .../chat/completions` |
 * | `openai-responses` | `POST .../responses` |
 * | `anthropic-messages` | `POST .../messages` |
 * | `gemini` | `POST .../models/{model}:generateContent`, `:streamGenerateContent` (an array, or events with `?alt=sse`) |
 * | as the client asks | `GET .../models` |
 *
 * Answers follow from the request alone: real sentences of the last user
 * message, a valid instance of the requested JSON schema, or a call of the first (or forced) tool; `answers` gives a model
 * words of its own. Faults follow from a script: refusals, delays, stalls, resets, cut and broken streams. A script is the same
 * for all dialects, and each says it as its provider does: a model that is overloaded answers 503 of OpenAI and Google, and 529
 * of Anthropic.
 *
 * - Each model has a queue of faults: the nth request for it takes the nth fault, after the last it is healthy. Models
 *   without a queue share the queue of `"*"`.
 * - A request that is not valid (404, 405, 401, 413, 400) is refused as the real API would, and takes no fault.
 * - Time comes from the `Clock` and ids from a counter, so two identical runs send identical bytes.
 * - Every request is logged, without its API key: what was asked, which fault it met, how many tokens went out, and who
 *   ended the connection.
 *
 * - Nothing is kept from one request to the next: a `previous_response_id` is not found.
 *
 * It never calls a model, and nothing beyond `127.0.0.1` can reach it.
 *
 * **Gotchas**
 *
 * Under a `TestClock` delays last until the clock is adjusted; the network itself takes real time.
 *
 * **Example** (A model that refuses once)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.make()
 *   yield* server.script("gpt-5-mini", [FaultServer.rateLimited({ retryAfter: "1 second" })])
 *   const ask = Effect.promise(() =>
 *     fetch(`${server.url}/chat/completions`, {
 *       method: "POST",
 *       body: JSON.stringify({ model: "gpt-5-mini", messages: [{ role: "user", content: "Hello" }] })
 *     })
 *   )
 *   const first = yield* ask // 429
 *   const second = yield* ask // 200
 *   const log = yield* server.requests
 *   return [first.status, second.status, log[0]?.fault] // [429, 200, "rateLimited"]
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { DialectName } from "./internal/dialect.ts"
import type { Fault } from "./internal/fault.ts"
import * as Journal from "./internal/journal.ts"
import { serve } from "./internal/serve.ts"

export type { DialectName } from "./internal/dialect.ts"
export * from "./internal/fault.ts"
export * from "./internal/faults.ts"

/**
 * One request the server has seen.
 *
 * **Details**
 *
 * Times are milliseconds of the `Clock`. Headers carry no keys and no cookies, and `path` no query.
 *
 * - `"complete"`: the whole response was handed to the operating system, errors and premature ends in good order included
 * - `"client-closed"`: the client hung up before
 * - `"server-cut"`: the server hung up, by its script or because its scope closed
 * - `"reset"`: the connection was reset before a byte was sent
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestRecord {
  /** The position in the log, from 0. */
  readonly index: number
  readonly arrivedAt: number
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The protocol that it came by; `undefined` where its path belongs to none. */
  readonly dialect: DialectName | undefined
  /** The JSON body; `undefined` if it was none, or has not arrived yet. */
  readonly body: unknown
  readonly model: string | undefined
  readonly stream: boolean
  /** What the fault met is called, `"healthy"` for none; `undefined` if the request did not get that far. */
  readonly fault: string | undefined
  /** The status sent, if one was. */
  readonly status: number | undefined
  /** How many tokens went out; a full answer counts only as a whole. */
  readonly tokensSent: number
  /** Who ended the exchange; `undefined` while it runs. */
  readonly end: "complete" | "client-closed" | "server-cut" | "reset" | undefined
  readonly endedAt: number | undefined
}

/**
 * The server could not listen.
 *
 * @category errors
 * @since 0.1.0
 */
export class FaultServerError extends Schema.TaggedError<FaultServerError>()("FaultServerError", {
  /** The port asked for; 0 stands for any. */
  port: Schema.Int,
  cause: Schema.Defect()
}) {
  /**
   * Says which port could not be used.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `FaultServer could not listen on 127.0.0.1:${this.port}`
  }
}

/**
 * A running server.
 *
 * @category services
 * @since 0.1.0
 */
export interface FaultServer {
  /**
   * The base URL to give to a client, such as `http://127.0.0.1:41234/v1`. Clients that add `/v1` or `/v1beta` themselves may be
   * given it too.
   */
  readonly url: string
  /**
   * Replaces the queue of faults of a model, or of all models without one of their own (`"*"`). A model with a queue never
   * looks at the queue of `"*"`, even when its own is empty.
   */
  readonly script: (model: string, faults: ReadonlyArray<Fault>) => Effect.Effect<void>
  /** Every request since the start or the last reset, in order of arrival. */
  readonly requests: Effect.Effect<ReadonlyArray<RequestRecord>>
  /** How many TCP connections are open, idle ones that clients keep for later included. */
  readonly openConnections: Effect.Effect<number>
  /** How many requests have arrived whose response is not closed yet. */
  readonly inFlight: Effect.Effect<number>
  /** Waits until no request is in flight. */
  readonly awaitIdle: Effect.Effect<void>
  /** Empties the log, and restores the script the server was made with; what is in flight goes on unlogged. */
  readonly reset: Effect.Effect<void>
}

/**
 * The key of a running server, for programs that share one by way of {@link layer}.
 *
 * @category services
 * @since 0.1.0
 */
export const FaultServer: Context.Service<FaultServer, FaultServer> = Context.Service<FaultServer>(
  "effect-bulwark/testing/FaultServer"
)

/**
 * How a server is set up.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The port to listen on; default 0, any free one. */
  readonly port?: number | undefined
  /** The faults to begin with, by model; default none. */
  readonly script?: Readonly<Record<string, ReadonlyArray<Fault>>> | undefined
  /**
   * The only key accepted, where the dialect has it: as a bearer token, or in the header `api-key` (OpenAI), `x-api-key` (Anthropic) or
   * `x-goog-api-key` or the parameter `key` (Gemini); default any key, or none.
   */
  readonly apiKey?: string | undefined
  /** The only models served; default any. */
  readonly models?: ReadonlyArray<string> | undefined
  /** The time between two tokens; default 0, as fast as possible. */
  readonly pace?: Duration.Input | undefined
  /** The largest request body accepted, in bytes; default 16777216 (16 MiB). */
  readonly maxBodyBytes?: number | undefined
  /**
   * What models answer with, by model, where a text is asked for and no tool has to be called: to tell from an answer who gave
   * it. Default: what follows from the request.
   */
  readonly answers?: Readonly<Record<string, string>> | undefined
  /**
   * What models do with a request that ends with words of the assistant, by model: answer as if they were not there (`ignore`), go
   * on where they end (`continue`; where the answer does not begin with them, all of it follows), or refuse the request with 400,
   * which takes no fault (`reject`). Default: `ignore`.
   */
  readonly prefill?: Readonly<Record<string, "ignore" | "continue" | "reject">> | undefined
}

/**
 * Starts a server that runs until the scope closes, which ends every open response and connection at once.
 *
 * **When to use**
 *
 * Use it where one test or program needs a server of its own; to share one, see {@link layer}.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` when `port` is not an integer from 0 to 65535, when `pace` is negative, or when `maxBodyBytes` is
 * not an integer of at least 1.
 *
 * **Example** (A stream that is cut after three tokens)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.make({
 *     pace: "20 millis",
 *     script: { "*": [FaultServer.forever(FaultServer.cutAfter(3))] }
 *   })
 *   return server.url
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<FaultServer, FaultServerError, Scope.Scope> => {
  const port = options.port ?? 0
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RangeError(`FaultServer.make: port must be an integer in [0, 65535], got ${port}`)
  }
  const pace = Duration.toMillis(Duration.fromInputUnsafe(options.pace ?? 0))
  if (!(pace >= 0)) throw new RangeError(`FaultServer.make: pace must not be negative, got ${pace} ms`)
  const maxBodyBytes = options.maxBodyBytes ?? 16 * 1024 * 1024
  if (!Number.isInteger(maxBodyBytes) || maxBodyBytes < 1) {
    throw new RangeError(`FaultServer.make: maxBodyBytes must be an integer >= 1, got ${maxBodyBytes}`)
  }
  return Effect.gen(function*() {
    const journal = Journal.make(options.script ?? {})
    const running = yield* serve({
      port,
      apiKey: options.apiKey,
      models: options.models,
      pace: pace === Number.POSITIVE_INFINITY ? "Infinity" : pace,
      maxBodyBytes,
      answers: new Map(Object.entries(options.answers ?? {})),
      prefill: new Map(Object.entries(options.prefill ?? {}))
    }, journal).pipe(Effect.mapError((cause) => new FaultServerError({ port, cause })))
    return FaultServer.of({
      url: `http://127.0.0.1:${running.port}/v1`,
      script: (model, faults) => Effect.sync(() => journal.script(model, faults)),
      requests: Effect.sync(journal.entries),
      openConnections: Effect.sync(running.openConnections),
      inFlight: Effect.sync(journal.inFlight),
      awaitIdle: journal.idle.await,
      reset: Effect.sync(journal.reset)
    })
  })
}

/**
 * A server as a layer, so that several tests can share it.
 *
 * **Example** (Sharing a server)
 *
 * ```ts
 * import { FaultServer } from "effect-bulwark/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.FaultServer
 *   yield* server.reset
 *   return server.url
 * }).pipe(Effect.provide(FaultServer.layer({ apiKey: "test-key" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<FaultServer, FaultServerError> =>
  Layer.effect(FaultServer, make(options))
