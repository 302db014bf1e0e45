/**
 * Metrics as a route of the application's own router, beside the routes whose calls they count.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { Llm } from "effect-bulwark"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { OpenAi, openai, question } from "../core/support/stack.ts"

it.effect("metrics are served beside the routes whose calls they count", () =>
  Effect.gen(function*() {
    const answer = HttpRouter.add(
      "GET",
      "/answer",
      Llm.generateText(openai, question).pipe(Effect.orDie, Effect.map(({ text }) => HttpServerResponse.text(text)))
    ).pipe(HttpRouter.provideRequest(ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("330 m"))))
    const routes = Layer.merge(answer, Telemetry.layerPrometheus({ path: "/numbers", prefix: "shop" })).pipe(
      Layer.provideMerge(Layer.merge(Telemetry.layer(), Layer.sync(Metric.MetricRegistry, () => new Map())))
    )
    const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
    yield* Effect.addFinalizer(() => Effect.promise(dispose))
    const get = (path: string) =>
      Effect.promise(async () => {
        const response = await handler(new Request(`http://localhost${path}`))
        return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
      })
    for (const _ of [1, 2]) assert.strictEqual((yield* get("/answer")).text, "330 m")
    const { status, text, type } = yield* get("/numbers")
    assert.strictEqual(status, 200)
    assert.strictEqual(type, "text/plain; version=0.0.4; charset=utf-8")
    assert.deepStrictEqual(
      text.split("\n").filter((line) => /^shop_llm_(attempts_total|requests_in_flight)/.test(line)),
      [
        "shop_llm_requests_in_flight 0",
        "shop_llm_attempts_total{model=\"gpt-5-mini\",endpoint=\"openai\",outcome=\"success\"} 2"
      ]
    )
    assert.strictEqual((yield* get("/metrics")).status, 404)
  }))
