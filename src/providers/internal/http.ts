/**
 * One HTTP request, as every provider over HTTP makes it: sent once, never redirected, read within bounds, and gone
 * with its scope.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Pull from "effect/Pull"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { Propagates } from "../../core/internal/instrument.ts"
import { toPull } from "../../core/internal/pull.ts"
import { tagOf } from "../../core/LlmError.ts"
import { ByteBuffer } from "./bytes.ts"

/** Sends a request. The connection is closed with the scope, wherever reading the answer has got to by then. */
export type Send<E> = (
  request: HttpClientRequest.HttpClientRequest,
  onError: (error: HttpClientError.HttpClientError) => E
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E, Scope.Scope>

/**
 * Prepares a client; `secretHeaders` are the names of the headers whose values must not be recorded.
 *
 * The client's own span would hold the request with its headers and the response, which may echo them, as its exit. So
 * it is replaced by one that holds neither. Providers have no use for our trace either, so none is sent along, unless the application
 * says so.
 */
export const makeSend = <E>(client: HttpClient.HttpClient, secretHeaders: ReadonlyArray<string>): Send<E> => {
  const scoped = HttpClient.withScope(withoutRedirects(client))
  const unrecorded = <R>(context: Context.Context<R>): Context.Context<R> =>
    context.pipe(
      Context.add(HttpClient.TracerDisabledWhen, constTrue),
      Context.add(HttpClient.TracerPropagationEnabled, false),
      Context.add(Headers.CurrentRedactedNames, [
        ...Context.get(context, Headers.CurrentRedactedNames),
        ...secretHeaders
      ])
    )
  return (request, onError) => {
    const send = (request: HttpClientRequest.HttpClientRequest) => {
      const executed: Effect.Effect<
        HttpClientResponse.HttpClientResponse,
        HttpClientError.HttpClientError,
        Scope.Scope
      > = Effect.updateContext(scoped.execute(request), unrecorded)
      return Effect.catch(executed, (error) =>
        // A client that the application has told to fail on a status still has the response.
        error.reason._tag === "StatusCodeError" ? Effect.succeed(error.reason.response) : Effect.fail(onError(error)))
    }
    return Effect.withFiber((fiber) =>
      fiber.getRef(Tracer.DisablePropagation) || fiber.getRef(HttpClient.TracerDisabledWhen)(request)
        ? send(request)
        : traced(
          request,
          fiber.getRef(HttpClient.SpanNameGenerator)(request),
          // (Without traces there is a span all the same, that is none.)
          fiber.getRef(Propagates) && fiber.getRef(References.TracerEnabled),
          send
        )
    )
  }
}

const traced = <E>(
  request: HttpClientRequest.HttpClientRequest,
  name: string,
  propagates: boolean,
  send: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, E, Scope.Scope>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E, Scope.Scope> => {
  let answered: HttpClientResponse.HttpClientResponse | undefined
  const within = (span: Tracer.Span) => {
    const url = URL.parse(request.url)
    put(span, "http.request.method", request.method)
    if (url !== null) {
      put(span, "url.full", url.origin + url.pathname)
      put(span, "server.address", url.hostname)
      put(span, "server.port", url.port === "" ? url.protocol === "https:" ? 443 : 80 : Number(url.port))
    }
    const sent = propagates ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span)) : request
    return Effect.matchEffect(send(sent), {
      onFailure: (error) => {
        put(span, "error.type", tagOf(error) ?? "_OTHER")
        return Effect.fail(error)
      },
      onSuccess: (response) => {
        answered = response
        put(span, "http.response.status_code", response.status)
        if (response.status < 400) return Effect.void
        const status = String(response.status)
        put(span, "error.type", status)
        return Effect.fail(new Refused(status))
      }
    })
  }
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.exit(Effect.makeSpan(name, { kind: "client" })), (made) =>
      made._tag === "Failure"
        // The tracer has thrown, which is no reason not to ask.
        ? restore(send(request))
        : Effect.matchEffect(Effect.onExit(restore(within(made.value)), (exit) => ended(made.value, exit)), {
          // What a status means is not for here to say: there is a response.
          onFailure: (error) => error instanceof Refused ? Effect.succeed(answered!) : Effect.fail(error),
          onSuccess: () => Effect.succeed(answered!)
        }))
  )
}

const unlessItThrows = (tell: () => void): void => {
  try {
    tell()
  } catch {
    // A tracer that throws harms no request. The operation says so, once.
  }
}

const put = (span: Tracer.Span, key: string, value: string | number): void =>
  unlessItThrows(() => span.attribute(key, value))

const ended = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const timed = fiber.getRef(References.TracerTimingEnabled)
    unlessItThrows(() => span.end(timed ? fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() : BigInt(0), exit))
    return Effect.void
  })

/** How a span ends whose response has the status of an error: for exporters to print, and for nobody else. */
class Refused {
  readonly name: string
  readonly message: string
  readonly stack: string

  constructor(status: string) {
    this.name = status
    this.message = `HTTP ${status}`
    this.stack = this.message
  }
}

/**
 * A redirect would send the prompt, and with headers of one's own the key, to wherever it points. `fetch` follows them
 * unless told otherwise; the clients of Node do not.
 *
 * What the application has set for `fetch` (a proxy, say) may have been given to the client's layer, where only the
 * client itself sees it. So it is changed there: while the client reads its request.
 */
const withoutRedirects = (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.makeWith(
    (request) => client.postprocess(Effect.tap(request, setManualRedirect)),
    client.preprocess
  )

const setManualRedirect = Effect.withFiber((fiber) => {
  const init = Context.getOrUndefined(
    fiber.context as Context.Context<FetchHttpClient.RequestInit>,
    FetchHttpClient.RequestInit
  )
  if (init?.redirect !== "manual") {
    fiber.setContext(Context.add(fiber.context, FetchHttpClient.RequestInit, { ...init, redirect: "manual" }))
  }
  return Effect.void
})

/** The bytes of a response, pulled from its connection. A response without a body has none. */
export type BytesPull = Pull.Pull<ReadonlyArray<Uint8Array>, HttpClientError.HttpClientError, unknown>

/** Starts to read a response. */
export const pullBytes = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<BytesPull, never, Scope.Scope> =>
  Effect.map(
    toPull(response.stream),
    (pull): BytesPull =>
      Effect.catch(pull, (error): BytesPull =>
        Cause.isDone(error) || error.reason._tag !== "EmptyBodyError" ? Effect.fail(error) : Cause.done())
  )

/** A body, as far as it was read. */
export interface Collected {
  readonly bytes: Uint8Array
  /** Whether that is all of it. */
  readonly whole: boolean
}

/** Reads a body up to a size, and not a byte further than that takes. */
export const collect = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<Collected, HttpClientError.HttpClientError, Scope.Scope> =>
  Effect.flatMap(pullBytes(response), (pull) => {
    const body = new ByteBuffer()
    const next: Effect.Effect<Collected, HttpClientError.HttpClientError> = Pull.matchEffect(pull, {
      onSuccess: (chunks) => {
        for (const chunk of chunks) {
          if (body.length + chunk.length > maxBytes) return Effect.succeed({ bytes: body.view(), whole: false })
          body.push(chunk)
        }
        return next
      },
      onFailure: Effect.failCause,
      onDone: () => Effect.succeed({ bytes: body.view(), whole: true })
    })
    return next
  })
