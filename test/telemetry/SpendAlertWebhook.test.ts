/**
 * Alerts by HTTP: what is sent, when it is tried again, and what is never said.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, References, Schema, Tracer } from "effect"
import { SpendAlert } from "effect-bulwark/telemetry"
import { FetchHttpClient, HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { receiptOf } from "./support/traffic.ts"

const url = "https://hooks.example/services/T0/s3cret-path?token=s3cret-query"

interface Sent {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly body: string
}

type Answer = number | "unreachable" | "hangs" | "dies"

/** A receiver that answers as it is told, and goes on as it did last. */
const receiver = (...answers: ReadonlyArray<Answer>) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const { body } = request
      sent.push({ request, body: body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "" })
      const answer = answers[Math.min(sent.length, answers.length) - 1] ?? 204
      if (answer === "hangs") return Effect.never
      if (answer === "dies") return Effect.die(new Error(`a bug at ${request.url}`))
      if (answer === "unreachable") {
        return Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, description: `no way to ${request.url}` })
          })
        )
      }
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: answer })))
    })
  )
  return { sent, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const logs = () => {
  const lines: Array<string> = []
  return {
    lines,
    layer: Logger.layer([
      Logger.make(({ cause, message }) => void lines.push(`${String(message)} ${JSON.stringify(cause)}`))
    ])
  }
}

const loop = (feature: string) =>
  Effect.gen(function*() {
    for (let n = 0; n < 30; n++) yield* SpendAlert.observe(receiptOf({ at: 0, feature }), "same")
    for (let n = 0; n < 20; n++) yield* Effect.yieldNow
  })

const provided = (
  options: Omit<SpendAlert.WebhookOptions, "url"> & { readonly url?: SpendAlert.WebhookOptions["url"] },
  client: Layer.Layer<HttpClient.HttpClient>,
  log: Layer.Layer<never> = Layer.empty
) =>
  SpendAlert.webhook({ url, ...options }).pipe(
    Layer.provideMerge(SpendAlert.layer()),
    Layer.provide([client, log])
  )

/** HMACs are made by the system, outside of the clock of the test, and when it has time. */
const settled = (sent: ReadonlyArray<Sent>, count: number) =>
  Effect.gen(function*() {
    const until = performance.now() + 10_000
    while (sent.length < count && performance.now() < until) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    assert.strictEqual(sent.length, count)
  })

describe("SpendAlert.webhook", () => {
  it.effect("sends the alert as JSON, signed", () => {
    const { layer, sent } = receiver(204)
    const secret = Redacted.make("k3y")
    return Effect.gen(function*() {
      yield* TestClock.setTime(1_750_000_000_500)
      yield* loop("agent")
      yield* settled(sent, 1)
      const [{ body, request }] = sent as [Sent]
      const alert = yield* Schema.decodeEffect(Schema.fromJsonString(SpendAlert.Alert))(body)
      assert.deepStrictEqual([alert], yield* SpendAlert.recent)
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.url, url.replace(/\?.*/, "") + "?token=s3cret-query")
      assert.strictEqual(request.headers["content-type"], "application/json")
      assert.strictEqual(request.headers["x-bulwark-timestamp"], "1750000000")
      assert.strictEqual(request.headers["x-bulwark-delivery"], `${alert.key}@${alert.at}`)
      assert.strictEqual(request.headers["authorization"], "Bearer t0ken")
      const expected = createHmac("sha256", "k3y").update(`1750000000.${body}`).digest("hex")
      assert.strictEqual(request.headers["x-bulwark-signature"], `sha256=${expected}`)
    }).pipe(Effect.provide(provided({ secret, headers: { authorization: Redacted.make("Bearer t0ken") } }, layer)))
  })

  it.effect("is not signed without a secret, sends what is asked for, and only what passes", () => {
    const { layer, sent } = receiver(200)
    const options = {
      url: Redacted.make(url),
      filter: (alert: SpendAlert.Alert) => alert.feature === "two",
      body: (alert: SpendAlert.Alert) => ({ text: alert.message })
    }
    return Effect.gen(function*() {
      yield* loop("one")
      yield* loop("two")
      yield* settled(sent, 1)
      assert.isUndefined(sent[0]?.request.headers["x-bulwark-signature"])
      const [, alert] = yield* SpendAlert.recent
      assert.deepStrictEqual(JSON.parse(sent[0]?.body ?? ""), { text: alert?.message })
    }).pipe(Effect.provide(provided(options, layer)))
  })

  it.effect("tries again what may pass, as the same delivery, and then reports it", () => {
    const { layer, sent } = receiver(503, "unreachable", 429)
    const { layer: log, lines } = logs()
    return Effect.gen(function*() {
      yield* loop("agent")
      assert.strictEqual(sent.length, 1)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(sent.length, 4)
      assert.strictEqual(new Set(sent.map(({ request }) => request.headers["x-bulwark-delivery"])).size, 1)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "SpendAlert.webhook could not deliver an alert: it answered with status 429")
      // The next one goes out.
      yield* loop("other")
      assert.strictEqual(sent.length, 5)
      yield* TestClock.adjust("20 seconds")
    }).pipe(
      Effect.provide(provided({}, layer, log)),
      Effect.provideService(References.UnhandledLogLevel, "Warn")
    )
  })

  it.effect("does not try again what will not pass, and follows no redirect", () => {
    const { layer, sent } = receiver(404, 302)
    const { layer: log, lines } = logs()
    return Effect.gen(function*() {
      yield* loop("one")
      yield* loop("two")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(sent.filter(({ body }) => body.includes("firing")).length, 2)
      assert.deepStrictEqual(lines.map((line) => /status \d+/.exec(line)?.[0]).slice(0, 2), [
        "status 404",
        "status 302"
      ])
    }).pipe(
      Effect.provide(provided({}, layer, log)),
      Effect.provideService(References.UnhandledLogLevel, "Warn")
    )
  })

  it.effect("a receiver that hangs costs the calls nothing, and is given up", () => {
    const { layer, sent } = receiver("hangs")
    const { layer: log, lines } = logs()
    return Effect.gen(function*() {
      yield* loop("agent")
      assert.strictEqual((yield* SpendAlert.status).observed, 30)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(sent.length, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(sent.length, 2)
      assert.include(lines[0], "it did not answer within 2s")
    }).pipe(
      Effect.provide(provided({ timeout: "2 seconds", retries: 1 }, layer, log)),
      Effect.provideService(References.UnhandledLogLevel, "Warn")
    )
  })

  it.effect("nothing of the address, the secret or the headers is in logs or spans, whatever goes wrong", () => {
    const { layer, sent } = receiver("dies", "unreachable", 500, "hangs")
    const { layer: log, lines } = logs()
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function*() {
      for (const feature of ["one", "two", "three"]) {
        yield* loop(feature)
        yield* TestClock.adjust("1 minute")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.isAtLeast(sent.length, 2)
      assert.isAtLeast(lines.length, 1)
      assert.notMatch(lines.join("\n"), /s3cret|hooks\.example|t0ken/)
      assert.deepStrictEqual(spans.map(({ name }) => name), [])
    }).pipe(
      Effect.provide(provided({ headers: { authorization: "Bearer t0ken" } }, layer, log)),
      Effect.withTracer(tracer),
      Effect.provideService(References.UnhandledLogLevel, "Warn")
    )
  })

  it.live("reaches a real receiver by fetch, and is not sent elsewhere", () => {
    const seen: Array<
      { readonly path: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: string }
    > = []
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        seen.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() })
        response.writeHead(seen.length === 1 ? 204 : 307, { location: "/elsewhere" }).end()
      })
    })
    const listening = Effect.acquireRelease(
      Effect.callback<number>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    return Effect.gen(function*() {
      const port = yield* listening
      // The end of the layer waits for what is still to be sent.
      yield* Effect.andThen(loop("one"), loop("two")).pipe(
        Effect.provide(provided(
          { url: `http://127.0.0.1:${port}/alerts`, secret: Redacted.make("k3y"), retries: 0 },
          FetchHttpClient.layer
        ))
      )
      assert.deepStrictEqual(seen.map(({ path }) => path), ["/alerts", "/alerts"])
      for (const { body, headers } of seen) {
        const text = `${String(headers["x-bulwark-timestamp"])}.${body}`
        assert.strictEqual(
          headers["x-bulwark-signature"],
          `sha256=${createHmac("sha256", "k3y").update(text).digest("hex")}`
        )
        yield* Schema.decodeEffect(Schema.fromJsonString(SpendAlert.Alert))(body)
      }
    })
  })

  it.each([
    [{ url: "ftp://s3cret" }, /^SpendAlert\.webhook: `url` must be an address of http or https, got something else$/],
    [{ url: "s3cret" }, /^SpendAlert\.webhook: `url` must be an address/],
    [{ url, timeout: 0 }, /^SpendAlert\.webhook: `timeout` must be a time longer than none, got 0/],
    [{ url, retries: -1 }, /^SpendAlert\.webhook: `retries` must be a whole number of at least 0, got -1/]
  ] as ReadonlyArray<[SpendAlert.WebhookOptions, RegExp]>)("options that are not legal: %j", (options, message) => {
    assert.throws(() => SpendAlert.webhook(options), RangeError, message)
  })
})
