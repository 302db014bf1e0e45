/**
 * A client for exporters, which gives up: the exporters keep every batch that is on its way, and do not ask how long that has been.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Layer from "effect/Layer"

/** As long as OpenTelemetry's own exporters wait. */
const patience = "10 seconds"

const description = `no answer for ${patience}`

/** The client of the application, which waits for {@link patience} and no longer. */
export const layerClient: Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    HttpClient.HttpClient,
    HttpClient.transform((sending, request) =>
      Effect.timeoutOrElse(sending, {
        duration: patience,
        orElse: () =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, description })
            })
          )
      })
    )
  )
)
