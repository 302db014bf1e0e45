/**
 * One request and its response, and the few things that can be done with a connection.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Http from "node:http"
import type { Dialect, Headers, Refusal, Said, Target } from "./dialect.ts"
import type { Addressed } from "./dialects.ts"
import type { Entry, Journal } from "./journal.ts"

/** Milliseconds, or no end. */
export type Wait = number | "Infinity"

export interface Settings {
  readonly port: number
  readonly apiKey: string | undefined
  readonly models: ReadonlyArray<string> | undefined
  readonly pace: Wait
  readonly maxBodyBytes: number
  /** The text that a model answers with, by model. */
  readonly answers: ReadonlyMap<string, string>
  /** What a model does with a request that ends with words of the assistant, by model. */
  readonly prefill: ReadonlyMap<string, "ignore" | "continue" | "reject">
}

export interface Exchange {
  readonly request: Http.IncomingMessage
  readonly response: Http.ServerResponse
  readonly entry: Entry
  readonly target: Target
  readonly dialect: Dialect
  readonly resource: Addressed["resource"]
  /** The number of the request, from 1, which all ids are made of. */
  readonly ordinal: number
  readonly clock: Clock.Clock
  readonly settings: Settings
  readonly journal: Journal
}

export const wait = (duration: Wait): Effect.Effect<void> =>
  duration === 0 ? Effect.void : duration === "Infinity" ? Effect.never : Effect.sleep(duration)

/**
 * The body as text; none if it is larger than allowed. The rest is read all the same, because a client that is still
 * sending would not see the answer.
 */
export const readBody = ({ request, settings }: Exchange): Effect.Effect<Option.Option<string>> =>
  Effect.callback((resume) => {
    const parts: Array<Uint8Array> = []
    let size = 0
    request.on("data", (part: Uint8Array) => {
      size += part.length
      if (size <= settings.maxBodyBytes) parts.push(part)
      else parts.length = 0
    })
    request.once("end", () =>
      resume(Effect.succeed(
        size > settings.maxBodyBytes ? Option.none() : Option.some(Buffer.concat(parts).toString("utf8"))
      )))
  })

export const writeHead = (exchange: Exchange, status: number, headers: Headers): void => {
  const now = exchange.clock.currentTimeMillisUnsafe()
  exchange.entry.status = status
  exchange.response.writeHead(status, {
    date: DateTime.toDateUtc(DateTime.makeUnsafe(now)).toUTCString(),
    ...exchange.dialect.headers(exchange.ordinal, now - exchange.entry.arrivedAt),
    ...headers
  })
}

/**
 * Hands a piece to the connection, and waits while the client reads slower than we write.
 */
export const write = ({ response }: Exchange, piece: string | Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (response.write(piece)) return resume(Effect.void)
    const drained = () => resume(Effect.void)
    response.once("drain", drained)
    return Effect.sync(() => {
      response.off("drain", drained)
    })
  })

export const end = ({ response }: Exchange, piece?: string | Uint8Array): Effect.Effect<void> =>
  Effect.sync(() => {
    response.end(piece)
  })

/**
 * Ends the connection after what was written, whatever was promised to follow.
 */
export const cut = ({ entry, response }: Exchange): Effect.Effect<void> =>
  Effect.sync(() => {
    entry.end = "server-cut"
    response.socket?.destroySoon()
  })

/**
 * Ends the connection with a TCP reset.
 */
export const reset = ({ entry, request }: Exchange): Effect.Effect<void> =>
  Effect.sync(() => {
    entry.end = "reset"
    request.socket.resetAndDestroy()
  })

export const send = (exchange: Exchange, status: number, headers: Headers, body: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const bytes = Buffer.from(body)
    writeHead(exchange, status, { "content-length": String(bytes.length), ...headers })
    return end(exchange, bytes)
  })

export const sendJson = (exchange: Exchange, status: number, body: unknown, headers: Headers = {}) =>
  send(exchange, status, { "content-type": exchange.dialect.jsonType, ...headers }, JSON.stringify(body))

/** Answers with an error. */
export const say = (exchange: Exchange, said: Said): Effect.Effect<void> =>
  sendJson(exchange, said.status, exchange.dialect.errorBody(said, exchange.ordinal), said.headers)

export const refuse = (exchange: Exchange, why: Refusal): Effect.Effect<void> =>
  Effect.suspend(() => say(exchange, exchange.dialect.refusal(why, exchange.clock.currentTimeMillisUnsafe())))
