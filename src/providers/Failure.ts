/**
 * What a refusal means: an error response, an error inside an answer, a broken connection, as one of the typed failures.
 *
 * The adapters of this package ask it, and a provider of one's own can: it reads the error bodies of all protocols and of
 * the gateways in front of them, the headers that say when to come again, and the words that servers are known to use.
 *
 * - Codes beat the status, the status beats the words, but where servers are known to send a wrong status.
 * - What a server wrote is in `detail`, redacted and shortened; messages are Bulwark's own words.
 * - Nothing here retries or waits.
 *
 * **Gotchas**
 *
 * A server may echo the key it was sent. Name the `secrets` of a request, and they are in no field of an error.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Redacted from "effect/Redacted"
import type { ConnectionFailed, ProviderError, RequestTimeout, StreamInterrupted } from "../core/LlmError.ts"
import { classifyInBand, classifyResponse, type Origin as InternalOrigin } from "./internal/classify.ts"
import { classifyConnection } from "./internal/classifyTransport.ts"

/**
 * Who was asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Origin {
  /** The provider's name, as errors give it. */
  readonly provider: string
  /** The provider's name for the model. */
  readonly model: string
  /** What must not stand in an error: the key, and whatever else was sent to be trusted. Default: none. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
}

/**
 * An error response.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorResponse extends Origin {
  /** The HTTP status. */
  readonly status: number
  /** The headers, by their names in either case. Default: none. */
  readonly headers?: { readonly [name: string]: string | undefined } | undefined
  /** The body as text, whatever it is: JSON, a web page, nothing. */
  readonly body: string
}

/**
 * Fails with what an error response means.
 *
 * **Details**
 *
 * Any status that is not of a success will do; a redirect is an `InvalidRequest`, since a provider follows none. The fields of
 * the error say what the server said: `retryAfter` (a header, a field or the words of the body), `limit` and `requested` tokens,
 * the request's id.
 *
 * **Example** (Words beat the status)
 *
 * ```ts
 * import { Failure } from "effect-bulwark/providers"
 * import { Effect } from "effect"
 *
 * const failure = Failure.fromResponse({
 *   provider: "acme",
 *   model: "acme-1",
 *   status: 500,
 *   body: JSON.stringify({ error: "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens." })
 * })
 *
 * Effect.runSync(Effect.flip(failure))._tag // => "ContextLengthExceeded"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResponse = (
  response: ErrorResponse
): Effect.Effect<never, Exclude<ProviderError, StreamInterrupted>> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.fail(classifyResponse(
      { origin: originOf(response), status: response.status, headers: Headers.fromInput(response.headers), now },
      response.body
    )))

/**
 * Fails with what an error means that came inside an answer which had begun well, such as an event of a stream.
 *
 * **Details**
 *
 * `error` is the decoded JSON: the object that holds an `error`, the error itself, or a text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromAnswer = (
  origin: Origin,
  error: unknown
): Effect.Effect<never, Exclude<ProviderError, StreamInterrupted>> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.fail(classifyInBand({ origin: originOf(origin), status: 200, headers: {}, now }, error))
  )

/**
 * Fails with what a broken connection means: of an HTTP client's error, or of what `fetch` rejects with, only the system's
 * code is kept.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromConnection = (
  origin: Origin,
  error: unknown
): Effect.Effect<never, ConnectionFailed | RequestTimeout> =>
  Effect.suspend(() => Effect.fail(classifyConnection(originOf(origin), error)))

const originOf = ({ model, provider, secrets }: Origin): InternalOrigin => ({
  provider,
  model,
  secrets: (secrets ?? []).map(Redacted.value)
})
