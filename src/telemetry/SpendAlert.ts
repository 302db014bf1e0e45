/**
 * Tells within minutes when spending, tokens, failures or loops of calls are out of the ordinary, without limits set by hand.
 *
 * - {@link layer} watches every operation of the program it is provided to; {@link observe} takes receipts from elsewhere.
 * - {@link SpendAlert} has the `alerts` as a stream; {@link log}, {@link webhook} and {@link hook} do something with each.
 * - {@link replay} runs the same detectors over receipts of the past: to see what they would have said, and to begin with a history.
 *
 * | Alert | What is out of the ordinary | How it is told |
 * |---|---|---|
 * | `SpendRate` | more is spent than at this time on other days | robust z-score: median and MAD of the same time of the day |
 * | `SpendStep` | spending has jumped, and stays there | CUSUM on the logarithm of the rate |
 * | `TokensPerCall` | calls take more tokens than they used to | EWMA control chart on the logarithm of the tokens |
 * | `ErrorRate` | more calls fail than usual | likelihood-ratio test of the share, over the last minutes |
 * | `Loop` | the same is asked again and again | Space-Saving sketch of fingerprints |
 *
 * **Details**
 *
 * Spending is watched for each feature and model, for each feature, and over all; failures of requests for each feature and model, and of
 * operations for each feature and over all; tokens for each feature and model. Where an alert about a part explains it, there is none
 * about the whole.
 *
 * There is one alert when something begins (`state: "firing"`) and one when it is over (`"resolved"`). A call adds up numbers and no more:
 * decisions are taken once a minute, by the clock, and those about loops at once. Memory is bounded by `maxSeries`, whatever names there
 * are.
 *
 * No prompt, answer, key or user is in an alert. Names of features and models are.
 *
 * **Gotchas**
 *
 * The first three hours of a series are only learned from, and the first three days are compared with the hours before: then it takes more
 * until somebody is told. Begin with a `history` where there is one. What is spent is known of requests under `Budget.enforce`, and
 * with {@link layerPriced} of those whose model has a price; of others the tokens are watched in its place.
 *
 * Each process sees its own calls. To watch a fleet as one, feed one process with the receipts of all, from their ledger.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Pricing } from "../budget/Pricing.ts"
import { Alerts } from "../core/internal/instrument.ts"
import type * as Receipt from "../core/Receipt.ts"
import { reportUnhandled } from "../policies/internal/reportUnhandled.ts"
import { Engine } from "./internal/alertEngine.ts"
import * as history from "./internal/alertHistory.ts"
import { Hub, type Status } from "./internal/alertHub.ts"
import * as model from "./internal/alertModel.ts"
import {
  type ErrorRateOptions,
  type LoopOptions,
  type Options,
  settingsOf,
  type SpendRateOptions,
  type SpendStepOptions,
  type TokensPerCallOptions
} from "./internal/alertSettings.ts"
import { makeDeliver, type WebhookSettings } from "./internal/alertWebhook.ts"
import type { Priced } from "./internal/instrument.ts"
import { natural } from "./internal/option.ts"
import { pricedBy } from "./internal/priced.ts"

export {
  type ErrorRateOptions,
  type LoopOptions,
  type Options,
  type SpendRateOptions,
  type SpendStepOptions,
  /**
   * What became of the calls and the alerts: how many operations were `observed`, how many could not be counted (`failed`), how many `series`
   * there are, and how many alerts were `dropped` since a subscriber was too slow.
   *
   * @category models
   * @since 0.1.0
   */
  type Status,
  type TokensPerCallOptions
}

/**
 * What an alert is compared with, and how far it is from it: the numbers that led to it.
 *
 * @category models
 * @since 0.1.0
 */
export const Evidence = model.Evidence

/**
 * What an alert is compared with, and how far it is from it: the numbers that led to it.
 *
 * @category models
 * @since 0.1.0
 */
export type Evidence = model.Evidence

/**
 * Something is out of the ordinary, or is over.
 *
 * **Details**
 *
 * `key` is the same each time it is about the same: to silence by, and to match the end with the beginning. `severity` is `critical` from
 * five times what is usual on, where half of all calls fail, or where a loop takes a quarter of its window. Amounts of money are
 * micro-dollars; those of `SpendRate` and `SpendStep` are per hour, and of tokens where `unit` says so.
 *
 * **Example** (A line for a chat)
 *
 * ```ts
 * import { SpendAlert } from "effect-bulwark/telemetry"
 *
 * const line = (alert: SpendAlert.Alert): string =>
 *   alert._tag === "Loop" ? `a loop in ${alert.feature}, ${alert.observed} times` : `${alert.state}: ${alert.message}`
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const Alert = model.Alert

/**
 * Something is out of the ordinary, or is over.
 *
 * @category models
 * @since 0.1.0
 */
export type Alert = model.Alert

/**
 * What is known of the past, as plain JSON: what a restart would otherwise lose.
 *
 * **Details**
 *
 * It has sums by window, feature and model, and no calls. Alerts that are not over are not in it: what is still out of the ordinary after
 * a restart is told again.
 *
 * @category models
 * @since 0.1.0
 */
export const History = history.History

/**
 * What is known of the past, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type History = history.History

/**
 * Watches what calls spend, and tells what is out of the ordinary.
 *
 * @category services
 * @since 0.1.0
 */
export class SpendAlert extends Context.Service<SpendAlert, {
  /**
   * The alerts from the moment it is run on. It ends with the layer. One that is read too slowly loses the oldest, counted as `dropped`.
   */
  readonly alerts: Stream.Stream<Alert>
  /** The same, from the moment this is run on. */
  readonly subscribe: Effect.Effect<Stream.Stream<Alert>, never, Scope.Scope>
  /** Those that are not over. */
  readonly active: Effect.Effect<ReadonlyArray<Alert>>
  /** The last 100, the oldest first. */
  readonly recent: Effect.Effect<ReadonlyArray<Alert>>
  /** Counts an operation that is over, at the time it is now. Loops are found among those with a fingerprint. */
  readonly observe: (receipt: Receipt.Receipt, fingerprint?: string) => Effect.Effect<void>
  /** What is known of the past. */
  readonly snapshot: Effect.Effect<History>
  readonly status: Effect.Effect<Status>
}>()("effect-bulwark/telemetry/SpendAlert") {}

/**
 * What is watched, and what is known of the past.
 *
 * @category options
 * @since 0.1.0
 */
export interface LayerOptions extends Options {
  /** What was known when the program was last run: a {@link snapshot}, or what {@link replay} has learned. Default: nothing. */
  readonly history?: History | undefined
  /** How many alerts wait for a slow subscriber at most. Default: 256. */
  readonly bufferSize?: number | undefined
}

/** A history of other windows says nothing of these. */
const fitting = (known: History | undefined, window: number): History | undefined => {
  if (known === undefined || known.windowMillis === window * 60_000) return known
  throw new RangeError(
    `SpendAlert: \`history\` must be of windows of ${window} minutes, got ${known.windowMillis / 60_000}`
  )
}

/**
 * Watches every operation of the program it is provided to, for as long as it lives.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the option, where one is not legal. A detector is switched off with `false`.
 *
 * A call never waits for anything here. A receipt that cannot be counted is counted as `failed`, and reported at `UnhandledLogLevel`.
 *
 * **Example** (Alerts in the log)
 *
 * ```ts
 * import { Llm, Money } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { SpendAlert } from "effect-bulwark/telemetry"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   const { text } = yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" })
 *   return [text, yield* SpendAlert.active]
 * })
 *
 * const alerts = SpendAlert.log.pipe(
 *   Layer.provideMerge(SpendAlert.layer({ spendRate: { minimumExcess: Money.usd(20) }, loop: { times: 50 } }))
 * )
 *
 * await Effect.runPromise(
 *   Effect.provide(program, [alerts, ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])])
 * ) // => ["Hello!", []]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: LayerOptions): Layer.Layer<SpendAlert> =>
  make(options, Effect.succeed((receipt) => receipt))

/**
 * Like {@link layer}, and requests that no budget keeps account of have the price of their model.
 *
 * **Details**
 *
 * What a budget has booked goes first. A price that is not known, or that cannot be had without waiting, stays unknown: such requests count
 * by their tokens.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPriced = (options?: LayerOptions): Layer.Layer<SpendAlert, never, Pricing> =>
  make(options, Effect.map(Pricing, pricedBy))

const make = <R>(
  options: LayerOptions = {},
  pricing: Effect.Effect<Priced, never, R>
): Layer.Layer<SpendAlert, never, R> => {
  const settings = settingsOf(options)
  const bufferSize = natural("SpendAlert", "bufferSize", options.bufferSize ?? 256)
  const known = fitting(options.history, settings.window)
  return Layer.effectContext(Effect.gen(function*() {
    const hub = new Hub(settings, bufferSize, yield* Clock.Clock, known, yield* pricing)
    yield* Effect.addFinalizer(() => hub.close)
    yield* Effect.forkScoped(hub.run)
    const service = SpendAlert.of({
      alerts: Stream.unwrap(hub.subscribe),
      subscribe: hub.subscribe,
      active: Effect.sync(() => hub.active),
      recent: Effect.sync(() => hub.recent),
      observe: (receipt, fingerprint) => Effect.sync(() => hub.observe(receipt, () => fingerprint)),
      snapshot: Effect.sync(() => hub.history),
      status: Effect.sync(() => hub.status)
    })
    return Context.make(SpendAlert, service).pipe(Context.add(Alerts, hub.instrument))
  }))
}

/**
 * The alerts from the moment it is run on, for as long as the layer lives.
 *
 * **Example** (Until the first that is critical)
 *
 * ```ts
 * import { SpendAlert } from "effect-bulwark/telemetry"
 * import { Stream } from "effect"
 *
 * const critical = SpendAlert.alerts.pipe(
 *   Stream.filter((alert) => alert.severity === "critical" && alert.state === "firing"),
 *   Stream.runHead
 * )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const alerts: Stream.Stream<Alert, never, SpendAlert> = Stream.unwrap(
  Effect.map(SpendAlert, (service) => service.alerts)
)

/**
 * Alerts that are not over, the oldest first.
 *
 * @category getters
 * @since 0.1.0
 */
export const active: Effect.Effect<ReadonlyArray<Alert>, never, SpendAlert> = Effect.flatMap(
  SpendAlert,
  (service) => service.active
)

/**
 * The last 100 alerts, the oldest first.
 *
 * @category getters
 * @since 0.1.0
 */
export const recent: Effect.Effect<ReadonlyArray<Alert>, never, SpendAlert> = Effect.flatMap(
  SpendAlert,
  (service) => service.recent
)

/**
 * What became of the calls and the alerts so far.
 *
 * @category getters
 * @since 0.1.0
 */
export const status: Effect.Effect<Status, never, SpendAlert> = Effect.flatMap(SpendAlert, (service) => service.status)

/**
 * What is known of the past: to be kept, and given to {@link layer} as `history` when the program is run again.
 *
 * **Example** (Once an hour, to a file)
 *
 * ```ts
 * import { SpendAlert } from "effect-bulwark/telemetry"
 * import { Effect, FileSystem, Schedule, Schema } from "effect"
 *
 * const Json = Schema.fromJsonString(SpendAlert.History)
 *
 * const keep = Effect.gen(function*() {
 *   const files = yield* FileSystem.FileSystem
 *   const text = yield* Schema.encodeEffect(Json)(yield* SpendAlert.snapshot)
 *   yield* files.writeFileString("spend-history.json", text)
 * }).pipe(Effect.repeat(Schedule.spaced("1 hour")))
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const snapshot: Effect.Effect<History, never, SpendAlert> = Effect.flatMap(
  SpendAlert,
  (service) => service.snapshot
)

/**
 * Counts an operation that is over: one that the layer does not see by itself, of another process for instance.
 *
 * **Details**
 *
 * It counts at the time it is now, whatever the receipt says: for receipts of the past there is {@link replay}. Loops are found among
 * receipts with a fingerprint, any text that is the same where the same was asked.
 *
 * **Gotchas**
 *
 * The operations of the program itself are counted already.
 *
 * @category combinators
 * @since 0.1.0
 */
export const observe = (receipt: Receipt.Receipt, fingerprint?: string): Effect.Effect<void, never, SpendAlert> =>
  Effect.flatMap(SpendAlert, (service) => service.observe(receipt, fingerprint))

/**
 * How receipts of the past are run through the detectors.
 *
 * @category options
 * @since 0.1.0
 */
export interface ReplayOptions extends Options {
  /** What was known before the first receipt. Default: nothing. */
  readonly history?: History | undefined
  /** Tells what was asked from what else was asked, to find loops. Default: no loops are looked for. */
  readonly fingerprint?: ((receipt: Receipt.Receipt) => string | undefined) | undefined
}

const endOf = (receipt: Receipt.Receipt): number => receipt.startedAt + receipt.timings.totalMillis

/**
 * What would have been told of receipts of the past, and what can be learned from them.
 *
 * **When to use**
 *
 * Use to try out options on the months that one knows, and to begin with a history that a ledger has.
 *
 * **Details**
 *
 * Receipts may come in any order; those whose times are no numbers are left out. Time without any receipts counts as time in which nothing
 * was spent, up to `spendRate.days`.
 *
 * **Example** (A ledger's past as a history)
 *
 * ```ts
 * import { Ledger, SpendAlert } from "effect-bulwark/telemetry"
 * import { Effect, Layer } from "effect"
 *
 * const alerts = Layer.unwrap(Effect.gen(function*() {
 *   const page = yield* Ledger.find({ limit: 1_000 })
 *   const { history } = SpendAlert.replay(page.entries.map(({ receipt }) => receipt))
 *   return SpendAlert.layer({ history })
 * }))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const replay = (
  receipts: Iterable<Receipt.Receipt>,
  options: ReplayOptions = {}
): { readonly alerts: ReadonlyArray<Alert>; readonly history: History } => {
  const settings = settingsOf(options)
  const known = fitting(options.history, settings.window)
  const alerts: Array<Alert> = []
  const engine = new Engine(settings, (alert) => alerts.push(alert))
  const sorted = [...receipts]
    .filter((receipt) => Number.isFinite(endOf(receipt)))
    .toSorted((one, two) => endOf(one) - endOf(two))
  const [first] = sorted
  if (known !== undefined) engine.load(known, first === undefined ? known.at : endOf(first))
  for (const receipt of sorted) {
    const at = endOf(receipt)
    engine.advance(at, settings.days.days * 1_440)
    engine.observe(receipt, options.fingerprint?.(receipt), at)
  }
  return { alerts, history: engine.save() }
}

/** How long the end of a program waits for what hooks have not done yet. */
const hookTimeout = Duration.seconds(5)

/**
 * Does something with each alert, one after the other, for as long as the layer lives.
 *
 * **Details**
 *
 * What fails or dies is reported at `UnhandledLogLevel`, and the next alert comes. What takes long holds up nobody but itself: alerts wait,
 * and beyond `bufferSize` the oldest are dropped. When the layer is closed, it has 5 seconds for those that wait.
 *
 * **Example** (Stopping a feature that runs away)
 *
 * ```ts
 * import { SpendAlert } from "effect-bulwark/telemetry"
 * import { Effect } from "effect"
 *
 * const disabled = new Set<string>()
 *
 * const brake = SpendAlert.hook((alert) =>
 *   Effect.sync(() => {
 *     if (alert._tag === "Loop" && alert.severity === "critical" && alert.feature !== undefined) {
 *       disabled.add(alert.feature)
 *     }
 *   })
 * )
 * ```
 *
 * @category hooks
 * @since 0.1.0
 */
export const hook = <E, R>(
  f: (alert: Alert) => Effect.Effect<unknown, E, R>
): Layer.Layer<never, never, SpendAlert | R> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const service = yield* SpendAlert
    const subscription = yield* Scope.make()
    const stream = yield* Scope.provide(service.subscribe, subscription)
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (alert) =>
        Effect.catchCause(
          Effect.suspend(() => f(alert)),
          (cause) => reportUnhandled("A hook of SpendAlert failed", cause)
        ))
    )
    // The last alerts are often those of what ends the program.
    yield* Effect.addFinalizer((exit) =>
      Effect.andThen(
        Scope.close(subscription, exit),
        Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), hookTimeout)
      )
    )
  }))

/**
 * Logs each alert: at the level of a warning, of an error where it is critical, and for information when it is over.
 *
 * **Details**
 *
 * The message is the alert's, and its parts are annotations: `alert`, `key`, `state`, `severity`, `observed`, `expected`.
 *
 * @category hooks
 * @since 0.1.0
 */
export const log: Layer.Layer<never, never, SpendAlert> = hook((alert) => {
  const level = alert.state === "resolved" ? "Info" : alert.severity === "critical" ? "Error" : "Warn"
  const { expected, key, observed, severity, state } = alert
  return Effect.annotateLogs(Effect.logWithLevel(level)(alert.message), {
    alert: alert._tag,
    key,
    state,
    severity,
    observed,
    expected
  })
})

/**
 * Where alerts are sent, and how.
 *
 * @category options
 * @since 0.1.0
 */
export interface WebhookOptions {
  /** The address. Many are secrets: then give it as `Redacted`. It is in no log and no span either way. */
  readonly url: string | Redacted.Redacted
  /** The key that requests are signed with. Default: they are not signed. */
  readonly secret?: Redacted.Redacted | undefined
  /** Headers to send along, an authorization for instance. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** How long the receiver may take to answer. Default: 5 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** How often it is tried again, where that makes sense: after a second, then less and less often. Default: 3. */
  readonly retries?: number | undefined
  /** Which alerts are sent. Default: all. */
  readonly filter?: ((alert: Alert) => boolean) | undefined
  /** What is sent of an alert. Default: all of it. */
  readonly body?: ((alert: Alert) => Schema.Json) | undefined
}

const encode = Schema.encodeSync(Schema.toCodecJson(model.Alert))

const webhookSettings = (options: WebhookOptions): WebhookSettings => {
  const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
  // What it was is not said: it may be a secret.
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new RangeError("SpendAlert.webhook: `url` must be an address of http or https, got something else")
  }
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 seconds")
  if (!Duration.isFinite(timeout) || !Duration.isPositive(timeout)) {
    throw new RangeError(
      `SpendAlert.webhook: \`timeout\` must be a time longer than none, got ${Duration.format(timeout)}`
    )
  }
  const retries = natural("SpendAlert.webhook", "retries", options.retries ?? 3, 0)
  return {
    url,
    secret: options.secret === undefined ? undefined : Redacted.value(options.secret),
    headers: options.headers ?? {},
    timeout,
    retries,
    body: options.body ?? encode
  }
}

/**
 * Sends each alert to an address, as JSON.
 *
 * **Details**
 *
 * It is a `POST`. `x-bulwark-delivery` is the same when it is tried again. With a `secret`, `x-bulwark-signature` is `sha256=` and the
 * HMAC-SHA256, in hexadecimal digits, of what `x-bulwark-timestamp` says (seconds since 1970), a dot, and the body: a receiver compares it
 * in constant time, and refuses what is older than a few minutes.
 *
 * It is tried again where the receiver cannot be reached, does not answer in time, or answers with 408, 425, 429 or 5xx. Redirects are not
 * followed. What could not be delivered is reported at `UnhandledLogLevel`.
 *
 * **Example** (A chat)
 *
 * ```ts
 * import { SpendAlert } from "effect-bulwark/telemetry"
 * import { Config, Effect, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const slack = Layer.unwrap(Effect.map(Config.Redacted("SLACK_WEBHOOK"), (url) =>
 *   SpendAlert.webhook({
 *     url,
 *     filter: (alert) => alert.severity === "critical",
 *     body: (alert) => ({ text: alert.message })
 *   })
 * )).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @category hooks
 * @since 0.1.0
 */
export const webhook = (options: WebhookOptions): Layer.Layer<never, never, SpendAlert | HttpClient.HttpClient> => {
  const settings = webhookSettings(options)
  const { filter } = options
  return Layer.unwrap(Effect.map(HttpClient.HttpClient, (client) => {
    const deliver = makeDeliver(client, settings)
    return hook((alert) => filter === undefined || filter(alert) ? deliver(alert) : Effect.void)
  }))
}
