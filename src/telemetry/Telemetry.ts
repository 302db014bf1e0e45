/**
 * Every call, attempt and cent, as spans and metrics: what failed how, what was tried next, what it cost and why.
 *
 * - {@link layer} has all operations of whatever it is provided to traced and counted. Where spans and metrics go is up to the tracer and
 *   the exporters of the application: `@effect/opentelemetry`, `effect/observability`, or {@link layerOtlp}, which has both in one line.
 * - {@link layerPrometheus} serves the metrics as a route of an `HttpRouter`.
 * - All names are in `Conventions`, those of the field by OpenTelemetry's conventions for generative AI.
 *
 * **Details**
 *
 * One span stands for the operation, from the call until its answer is over; below it is one for each request to a provider, and below that
 * the one of HTTP. Tokens are on the requests, money is on the operation, and what was decided stands between them as events. Metrics
 * count each thing once: requests that several calls share are on one of them.
 *
 * Prompts and answers are not recorded, unless `content` says so. Labels of metrics have a bounded number of values, whatever the names are
 * that come in: the rest is `_OTHER`, of which counters and histograms tell, and gauges do not. Names on spans are cut. Users have no
 * labels: who spent what is the ledger's to say.
 *
 * A call never waits for an exporter. Without a tracer no span is begun. Where a tracer or a registry of metrics throws, that is logged, and
 * the call goes on.
 *
 * **Gotchas**
 *
 * - It watches what runs under it: provide it to the whole program, as the outermost of its layers.
 * - Of two such layers around an operation the inner one watches. `LiveView` and `SpendAlert` have places of their own beside it.
 * - Costs are those of `Budget.enforce`. Without one, use {@link layerPriced}.
 * - The keys of circuits and limiters are labels, and stand on spans. Where a function makes them of tenants or users, so do those.
 * - An `Llm` that is the provider of another one has spans of its own, below the request that it serves, and is counted with that request.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import type * as OtlpExporter from "effect/observability/OtlpExporter"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { Pricing } from "../budget/Pricing.ts"
import type { Target } from "../core/Call.ts"
import * as Instrument from "../core/internal/instrument.ts"
import type { Place } from "./internal/content.ts"
import { makeInstrument, type Settings } from "./internal/instrument.ts"
import { natural } from "./internal/option.ts"
import { layerClient } from "./internal/otlpClient.ts"
import { named } from "./internal/otlpResource.ts"
import { layerSerialization } from "./internal/otlpSerialization.ts"
import { pricedBy } from "./internal/priced.ts"

/**
 * What is recorded of prompts and answers, on the span of the operation.
 *
 * @category options
 * @since 0.1.0
 */
export interface Content {
  /** The most characters of text on one attribute. What is longer is cut, and says so. Default: 8,192. */
  readonly maxLength?: number | undefined
  /**
   * Takes out of a text what must not be seen, before it is cut. Where it throws, or gives no text, nothing of that text is recorded. Files
   * are never recorded. Default: nothing is taken out.
   */
  readonly redact?: ((text: string, place: Place) => string) | undefined
}

export {
  /**
   * Where a text stands: among the system messages, the other messages of the prompt, or in the answer.
   *
   * @category options
   * @since 0.1.0
   */
  type Place
}

/**
 * What is traced and counted.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Whether to trace. Default: `true`. */
  readonly spans?: boolean | undefined
  /** Whether to count. Default: `true`. */
  readonly metrics?: boolean | undefined
  /** What is recorded of prompts and answers: `true` for all of it, within the defaults. Default: nothing. */
  readonly content?: boolean | Content | undefined
  /** Which parties of the attribution stand on spans. Default: `feature` and `requestId`. */
  readonly attribution?: ReadonlyArray<"user" | "tenant" | "feature" | "requestId"> | undefined
  /**
   * Whether providers are told of the trace (`traceparent`): all of them, or those that a function says. Where it throws they are not.
   * Default: `false`.
   */
  readonly propagate?: boolean | ((target: Target) => boolean) | undefined
  /**
   * Whether durations, tokens, costs and budgets are counted by feature: those that are named here, or, with `true`, the first 50 that
   * come. All others are `_OTHER`, and calls for no feature `none`. Default: `false`.
   */
  readonly features?: boolean | ReadonlyArray<string> | undefined
  /** The most values that a label has: models, providers, circuits, limiters. Default: 100. */
  readonly maxLabelValues?: number | undefined
}

/** Whoever cannot say whether to tell a provider does not tell it: the call goes on. */
const unlessItThrows = (propagate: (target: Target) => boolean) => (target: Target): boolean => {
  try {
    return propagate(target)
  } catch {
    return false
  }
}

const settingsOf = (options: Options = {}): Settings => {
  const { content, features = false, propagate = false } = options
  const { maxLength, redact }: Content = typeof content === "object" ? content : {}
  return {
    spans: options.spans === false ? undefined : {
      content: content === undefined || content === false ? undefined : {
        maxLength: natural("Telemetry.layer", "content.maxLength", maxLength ?? 8_192),
        redact: redact ?? identity
      },
      attribution: options.attribution ?? ["feature", "requestId"],
      propagate: typeof propagate === "function" ? unlessItThrows(propagate) : () => propagate
    },
    metrics: options.metrics === false ? undefined : {
      features: features === false ? undefined : features === true ? 50 : features,
      maxValues: natural("Telemetry.layer", "maxLabelValues", options.maxLabelValues ?? 100)
    }
  }
}

/**
 * Traces and counts every operation of whatever it is provided to.
 *
 * **When to use**
 *
 * Use beside whatever exports: `Layer.mergeAll(Telemetry.layer(), NodeSdk.layer(...))`, or with {@link layerOtlp} in one.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (Counting calls)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { Telemetry } from "effect-bulwark/telemetry"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 * import { PrometheusMetrics } from "effect/observability"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" })
 *   const text = yield* PrometheusMetrics.format()
 *   return text.split("\n").filter((line) => line.startsWith("llm_attempts_total"))
 * })
 *
 * await Effect.runPromise(
 *   Effect.provide(program, [Telemetry.layer(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])])
 * )
 * // => [`llm_attempts_total{model="gpt-5-mini",endpoint="openai",outcome="success"} 1`]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never> => {
  const settings = settingsOf(options)
  return Layer.sync(Instrument.Telemetry, () => makeInstrument(settings, undefined))
}

/**
 * Like {@link layer}, and requests that no budget keeps account of have the price of their model.
 *
 * **Details**
 *
 * What a budget has booked goes first. A price that is not known stays unknown: such requests are counted by
 * `llm_unpriced_requests_total`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPriced = (options?: Options): Layer.Layer<never, never, Pricing> => {
  const settings = settingsOf(options)
  return Layer.effect(
    Instrument.Telemetry,
    Effect.map(Pricing, (pricing) => makeInstrument(settings, pricedBy(pricing)))
  )
}

/**
 * What is exported over OTLP, where to, and as whom.
 *
 * @category options
 * @since 0.1.0
 */
export interface OtlpOptions extends Options, Omit<Parameters<typeof Otlp.layer>[0], "baseUrl"> {
  /** Where the collector listens, without the paths of the signals. Default: `http://localhost:4318`. */
  readonly baseUrl?: string | undefined
  /** How it is written: `protobuf` or `json`. Default: `protobuf`. */
  readonly protocol?: "protobuf" | "json" | undefined
}

/**
 * Traces and counts, and sends spans, metrics and logs to a collector, or straight to Jaeger, over OTLP.
 *
 * **Details**
 *
 * It is {@link layer} with `effect/observability`'s `Otlp`, whose options it takes. It needs an `HttpClient`: `FetchHttpClient.layer`, or
 * that of the platform. Where nobody listens, calls go on as they are, and what cannot be sent is dropped. A collector that does not
 * answer within 10 seconds is one that fails; after a failure, and three more tries, all is dropped for a minute.
 *
 * The service is called what `resource.serviceName` says, or `OTEL_SERVICE_NAME`, or else `unknown_service`.
 *
 * **Example** (To Jaeger on this machine)
 *
 * ```ts
 * import { Telemetry } from "effect-bulwark/telemetry"
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const telemetry = Telemetry.layerOtlp({ resource: { serviceName: "summaries" } }).pipe(
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOtlp = (
  options: OtlpOptions = {}
): Layer.Layer<OtlpExporter.Flusher, never, HttpClient.HttpClient> => {
  const { baseUrl = "http://localhost:4318", protocol = "protobuf" } = options
  const exporters = Effect.map(named(options.resource), (resource) => Otlp.layer({ ...options, baseUrl, resource }))
  return Layer.merge(
    layer(options),
    Layer.unwrap(exporters).pipe(Layer.provide([layerSerialization(protocol), layerClient]))
  )
}

/**
 * Serves all metrics of the process as text for Prometheus, as a route of the application's `HttpRouter`.
 *
 * **Details**
 *
 * `path`: where. Default: `/metrics`. The other options are those of `effect/observability`'s `PrometheusMetrics`, which it is.
 *
 * **Gotchas**
 *
 * Routes are watched where {@link layer} is provided around `HttpRouter.serve`. `HttpRouter.toWebHandler` hands its handlers only what its
 * layer puts out: there it takes `Layer.provideMerge`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPrometheus: (
  options?: PrometheusMetrics.HttpOptions
) => Layer.Layer<never, never, HttpRouter.HttpRouter> = PrometheusMetrics.layerHttp
