/**
 * Sends alerts to an address: signed, bounded in time, tried again a few times, and never known by their address or secret in what is logged.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import { constTrue } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { makeSend } from "../../providers/internal/http.ts"
import type { Alert } from "./alertModel.ts"

export interface WebhookSettings {
  readonly url: string
  readonly secret: string | undefined
  readonly headers: Readonly<Record<string, string | Redacted.Redacted>>
  readonly timeout: Duration.Duration
  readonly retries: number
  readonly body: (alert: Alert) => Schema.Json
}

export const timestampHeader = "x-bulwark-timestamp"
export const signatureHeader = "x-bulwark-signature"
export const deliveryHeader = "x-bulwark-delivery"

/** Why it was not delivered, in words that hold nothing of the address. */
class Undelivered extends Data.TaggedError("Undelivered")<{ readonly reason: string; readonly again: boolean }> {}

const encoder = new TextEncoder()

/** HMAC-SHA256, as 64 hexadecimal digits. */
export const sign = (secret: string, text: string): Effect.Effect<string> =>
  Effect.flatMap(WebCrypto, (crypto) =>
    Effect.promise(async () => {
      const algorithm = { name: "HMAC", hash: "SHA-256" }
      const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"])
      return Hex.encode(new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text))))
    }))

const plain = (value: string | Redacted.Redacted): string => Redacted.isRedacted(value) ? Redacted.value(value) : value

const backoff = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")]).pipe(Schedule.jittered)

const transient = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

export const makeDeliver = (
  client: HttpClient.HttpClient,
  settings: WebhookSettings
): (alert: Alert) => Effect.Effect<void> => {
  const send = makeSend<Undelivered>(client, [signatureHeader, ...Object.keys(settings.headers)])
  const headers = Object.fromEntries(Object.entries(settings.headers).map(([name, value]) => [name, plain(value)]))

  const attempt = (alert: Alert, body: string): Effect.Effect<void, Undelivered> =>
    Effect.gen(function*() {
      // Signed anew each time, so that a receiver may refuse what is old.
      const timestamp = String(Math.floor((yield* Clock.currentTimeMillis) / 1_000))
      const signature = settings.secret === undefined
        ? undefined
        : yield* sign(settings.secret, `${timestamp}.${body}`)
      const request = HttpClientRequest.post(settings.url).pipe(
        HttpClientRequest.bodyText(body, "application/json"),
        HttpClientRequest.setHeaders({
          ...headers,
          [timestampHeader]: timestamp,
          [deliveryHeader]: `${alert.key}@${alert.at}`,
          ...(signature === undefined ? undefined : { [signatureHeader]: `sha256=${signature}` })
        })
      )
      const { status } = yield* send(request, () => new Undelivered({ reason: "it cannot be reached", again: true }))
      if (status < 200 || status >= 300) {
        return yield* new Undelivered({ reason: `it answered with status ${status}`, again: transient(status) })
      }
    }).pipe(
      Effect.scoped,
      Effect.timeoutOrElse({
        duration: settings.timeout,
        orElse: () =>
          Effect.fail(
            new Undelivered({ reason: `it did not answer within ${Duration.format(settings.timeout)}`, again: true })
          )
      })
    )

  return (alert) =>
    Effect.suspend(() => attempt(alert, JSON.stringify(settings.body(alert)))).pipe(
      Effect.retry({ schedule: backoff, times: settings.retries, while: (error) => error.again }),
      // An address may be a secret, and a span would hold it.
      Effect.provideService(HttpClient.TracerDisabledWhen, constTrue),
      Effect.catchTag("Undelivered", ({ reason }) =>
        reportUnhandled(`SpendAlert.webhook could not deliver an alert: ${reason}`, Cause.empty)),
      // What dies may quote what it was given.
      Effect.catchDefect(() =>
        reportUnhandled("SpendAlert.webhook could not deliver an alert: the request could not be made", Cause.empty)
      )
    )
}
