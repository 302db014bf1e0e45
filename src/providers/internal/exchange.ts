/**
 * One request to a provider over HTTP and its answer, whole or streamed: what all protocols have in common. What a request
 * and an answer look like is the protocol's.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { InvalidRequest, ProviderError } from "../../core/LlmError.ts"
import * as Part from "../../core/Part.ts"
import type { Request } from "../Provider.ts"
import { utf8, utf8Lossy } from "./bytes.ts"
import { classifyResponse, type Exchange, malformed } from "./classify.ts"
import { brokenStream, classifyConnection, classifyUnsent } from "./classifyTransport.ts"
import type { Endpoint } from "./endpoint.ts"
import { type BytesPull, collect, pullBytes, type Send } from "./http.ts"
import { rateLimits } from "./rateLimits.ts"
import { natureOf, type Problem, SseDecoder } from "./sse.ts"

/** The parts of an answer, or why it is none. */
export type Read = { readonly parts: ReadonlyArray<Part.AnswerPart> } | { readonly failure: ProviderError }

/** Folds the events of a streamed answer into parts. */
export interface EventFold {
  /** The stream has said its last word, whatever bytes follow. */
  readonly done: boolean
  /** Whether the answer is complete, whatever may still come. */
  readonly finished: boolean
  readonly failure: ProviderError | undefined
  /** Takes in one event. */
  readonly event: (data: string, name: string) => void
  /** Takes note of the end of the body; `error` is what a field of that name holds. */
  readonly end: (error: string | undefined) => void
  /** Ends the stream with a failure. */
  readonly stop: (failure: ProviderError) => void
  /** The parts that have become known since the last time. */
  readonly take: () => ReadonlyArray<Part.ProviderPart>
}

/** How requests are written and answers are read. */
export interface Protocol {
  /** The text of a request's body. */
  readonly encode: (request: Request, streamed: boolean) => Result.Result<string, InvalidRequest>
  /** Reads the body of a response with status 200, which may be an error all the same. */
  readonly readAnswer: (exchange: Exchange, body: string, request: Request) => Read
  /** Makes what folds a streamed answer; `maxParams` bounds what it may keep of tool parameters. */
  readonly fold: (exchange: Exchange, request: Request, maxParams: number) => EventFold
}

/** Where requests of one kind go. */
export interface Line {
  readonly provider: string
  readonly endpoint: Endpoint
  readonly send: Send<ProviderError>
}

/** What every request of one provider shares. */
export interface Channel extends Line {
  /** Where streams are asked for, where that is elsewhere. */
  readonly streamEndpoint?: Endpoint | undefined
  readonly protocol: Protocol
}

/** Asks for the whole answer. */
export const whole = (
  channel: Channel,
  request: Request
): Effect.Effect<ReadonlyArray<Part.AnswerPart>, ProviderError> =>
  Effect.scoped(
    Effect.flatMap(open(channel, request, false), (opened) =>
      Effect.flatMap(readBody(channel, opened), (body) => {
        const { exchange } = opened
        // Some gateways stream whether asked to or not.
        if (natureOf(body) === "events") return readEvents(new Reader(channel, exchange, request), body)
        const read = readWhole(channel, exchange, request, body)
        return "failure" in read ? Effect.fail(read.failure) : Effect.succeed(read.parts)
      }))
  )

/** Asks for the answer in parts. */
export const stream = (channel: Channel, request: Request): Stream.Stream<Part.ProviderPart, ProviderError> =>
  Stream.unwrap(
    Effect.flatMap(
      open(channel, request, true),
      ({ exchange, response }) =>
        Effect.flatMap(pullBytes(response), (bytes) => {
          const reader = new Reader(channel, exchange, request)
          return Effect.as(
            Effect.addFinalizer(() => reader.ended || !reader.fold.done ? Effect.void : drain(bytes)),
            Stream.fromPull(Effect.succeed(pullParts(bytes, reader)))
          )
        })
    )
  )

/** A response of success, whose body is still to be read. */
export interface Opened {
  readonly exchange: Exchange
  readonly response: HttpClientResponse.HttpClientResponse
}

/** All of a body. */
export const readBody = (
  { endpoint }: Line,
  { exchange, response }: Opened
): Effect.Effect<Uint8Array, ProviderError, Scope.Scope> =>
  Effect.matchEffect(collect(response, endpoint.maxBodyBytes), {
    onFailure: (error) => Effect.fail(classifyConnection(exchange.origin, error)),
    onSuccess: ({ bytes, whole }) => whole ? Effect.succeed(bytes) : Effect.fail(tooLarge(exchange))
  })

// Enough for what an error has to say, whatever a server appends to it.
const maxErrorBytes = 65_536

const open = (
  channel: Channel,
  request: Request,
  streamed: boolean
): Effect.Effect<Opened, ProviderError, Scope.Scope> =>
  post({ ...channel, endpoint: streamed ? channel.streamEndpoint ?? channel.endpoint : channel.endpoint }, {
    model: request.model,
    encode: () => channel.protocol.encode(request, streamed),
    accept: streamed ? "text/event-stream, application/json" : "application/json",
    onResponse: request.onResponse
  })

/** What is sent. */
interface Message {
  readonly model: string
  readonly encode: () => Result.Result<string, InvalidRequest>
  readonly accept: string
  readonly onResponse?: Request["onResponse"]
}

/** Sends one request. Any response but one of success is a failure. */
export const post = (
  { endpoint, provider, send }: Line,
  { accept, encode, model, onResponse }: Message
): Effect.Effect<Opened, ProviderError, Scope.Scope> =>
  // Anew for each run: a request that is sent twice is two.
  Effect.suspend(() => {
    const body = encode()
    if (Result.isFailure(body)) return Effect.fail(body.failure)
    const origin = { provider, model, secrets: endpoint.secrets }
    const sent = send(
      endpoint.request(model, body.success, accept),
      (error) => classifyUnsent(origin, error.reason._tag, error)
    )
    return Effect.flatMap(sent, (response) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        onResponse?.(rateLimits(response.headers, now))
        return receive({ origin, status: response.status, headers: response.headers, now }, response)
      }))
  })

const receive = (
  exchange: Exchange,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Opened, ProviderError, Scope.Scope> =>
  exchange.status >= 200 && exchange.status < 300
    ? Effect.succeed({ exchange, response })
    : Effect.flatMap(readError(response), (text) => Effect.fail(classifyResponse(exchange, text)))

// The status stands, whatever becomes of the body.
const readError = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string, never, Scope.Scope> =>
  Effect.match(collect(response, maxErrorBytes), { onFailure: () => "", onSuccess: ({ bytes }) => utf8Lossy(bytes) })

const tooLarge = (exchange: Exchange): ProviderError =>
  malformed(exchange, "it is larger than `maxBodyBytes` allows", { retryable: false })

/** Why a stream cannot be read any further. What was garbled need not be garbled again. */
const unreadable = (exchange: Exchange, problem: Problem): ProviderError =>
  problem === "size"
    ? malformed(exchange, "an event is larger than `maxEventBytes` allows", { retryable: false })
    : malformed(exchange, notUtf8)

const notUtf8 = "it is not UTF-8"

type Failed = { readonly failure: ProviderError }

/** Reads a body as a text. One that is not UTF-8 can still say why it is no answer, but it is none. */
export const readText = <A extends object>(
  exchange: Exchange,
  bytes: Uint8Array,
  read: (text: string) => A | Failed
): A | Failed => {
  const text = utf8(bytes)
  const answer = read(text ?? utf8Lossy(bytes))
  return text === undefined && !("failure" in answer) ? { failure: malformed(exchange, notUtf8) } : answer
}

/** Reads a body that is no event stream. */
const readWhole = ({ protocol }: Channel, exchange: Exchange, request: Request, bytes: Uint8Array): Read =>
  readText(exchange, bytes, (text) => protocol.readAnswer(exchange, text, request))

/** Reads the bytes of a streamed answer. */
class Reader {
  readonly fold: EventFold
  ended = false
  private readonly decoder: SseDecoder
  private readonly channel: Channel
  private readonly exchange: Exchange
  private readonly request: Request
  private size = 0

  constructor(channel: Channel, exchange: Exchange, request: Request) {
    this.channel = channel
    this.exchange = exchange
    this.request = request
    this.fold = channel.protocol.fold(exchange, request, channel.endpoint.maxBodyBytes)
    const { fold } = this
    this.decoder = new SseDecoder(channel.endpoint.maxEventBytes, (data, name) => fold.event(data, name))
  }

  feed(chunks: ReadonlyArray<Uint8Array>): void {
    for (const chunk of chunks) {
      if (this.fold.done) return
      this.size += chunk.length
      this.take(this.decoder.feed(chunk))
      // An event stream is read as it comes and may be as long as it likes; anything else has to be kept.
      if (this.decoder.nature !== "events" && this.size > this.channel.endpoint.maxBodyBytes) {
        this.fold.stop(tooLarge(this.exchange))
      }
    }
  }

  /** The parts of a body that is no event stream: a server that does not stream, an error, a web page. */
  end(): ReadonlyArray<Part.ProviderPart> {
    this.ended = true
    if (this.fold.done) return []
    this.take(this.decoder.end())
    if (this.decoder.nature === "events") this.fold.end(this.decoder.error)
    else if (this.decoder.nature === "other") {
      const read = readWhole(this.channel, this.exchange, this.request, this.decoder.body)
      if ("failure" in read) this.fold.stop(read.failure)
      else return Part.fromAnswer(read.parts)
    }
    return []
  }

  /** Takes note of a broken connection. An answer that has had its finish reason is complete without the rest. */
  broken(error: HttpClientError.HttpClientError): void {
    this.ended = true
    if (this.fold.finished) this.fold.end(undefined)
    else this.fold.stop(brokenStream(this.exchange.origin, error))
  }

  private take(problem: Problem | undefined): void {
    // What follows the last word is nobody's concern.
    if (problem !== undefined && !this.fold.done) this.fold.stop(unreadable(this.exchange, problem))
  }
}

type PartsPull = Pull.Pull<Arr.NonEmptyReadonlyArray<Part.ProviderPart>, ProviderError>

const pullParts = (bytes: BytesPull, reader: Reader): PartsPull => {
  const { fold } = reader
  const settle = (more: ReadonlyArray<Part.ProviderPart>): PartsPull => {
    const parts = more.length === 0 ? fold.take() : [...fold.take(), ...more]
    // What was said before a failure is handed on first; the next pull fails.
    if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
    if (fold.failure !== undefined) return Effect.fail(fold.failure)
    return fold.done || reader.ended ? Cause.done() : next
  }
  const next: PartsPull = Pull.matchEffect(bytes, {
    onSuccess: (chunks) => {
      reader.feed(chunks)
      return settle([])
    },
    onFailure: (cause) => {
      const error = Cause.findErrorOption(cause)
      if (error._tag === "None") return Effect.failCause(cause as Cause.Cause<never>)
      reader.broken(error.value)
      return settle([])
    },
    onDone: () => settle(reader.end())
  })
  return Effect.suspend(() => fold.done || reader.ended ? settle([]) : next)
}

/** The parts of an event stream that came where a whole body was asked for. */
const readEvents = (
  reader: Reader,
  body: Uint8Array
): Effect.Effect<ReadonlyArray<Part.AnswerPart>, ProviderError> => {
  reader.feed([body])
  reader.end()
  const parts = reader.fold.take()
  return reader.fold.failure === undefined ? Effect.succeed(Part.toAnswer(parts)) : Effect.fail(reader.fold.failure)
}

/**
 * The end of a body follows its last event at once, mostly in the same packet. A connection that has been read to its
 * end serves the next request, and one that has not is closed; so a few turns of the event loop are given to it, but no
 * time.
 */
export const drain = (pull: Pull.Pull<unknown, unknown, unknown>): Effect.Effect<void> => {
  const rest: Effect.Effect<void, unknown> = Effect.flatMap(pull, () => rest)
  return Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(Effect.exit(rest), { startImmediately: true })
    for (let turn = 0; turn < 16 && fiber.pollUnsafe() === undefined; turn++) yield* Effect.yieldNow
    fiber.interruptUnsafe()
  })
}
