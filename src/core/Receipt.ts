/**
 * What happened in one call: who served it, what was tried before, what was done about each failure, how long it took and
 * how many tokens it cost.
 *
 * A receipt is plain JSON. Every operation closes exactly one, however it ends: it stands on a full answer as `receipt`,
 * and {@link observe} hands over the receipts of all operations in a region of a program, also of streams, and of those
 * that failed or were interrupted.
 *
 * **Gotchas**
 *
 * A stream's receipt is closed when the stream is: at its end, at its failure, or when the consumer goes away.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import { Attribution } from "./Attribution.ts"
import * as Money from "./Money.ts"
import { PromptReference } from "./PromptReference.ts"
import * as Usage from "./Usage.ts"

/**
 * How an operation or an attempt ended: `success`, `interrupted`, `defect`, or the tag of the error.
 *
 * @category models
 * @since 0.1.0
 */
export const Outcome = Schema.String

/**
 * One request to one provider.
 *
 * @category models
 * @since 0.1.0
 */
export const Attempt = Schema.Struct({
  /** The name of the provider service. */
  provider: Schema.String,
  /** The model that was asked for. */
  model: Schema.String,
  /** The model that says it answered, where the provider tells. */
  servedModel: Schema.optionalKey(Schema.String),
  /** When it began, in milliseconds after the operation. Negative where another call had begun it, from which this one took it over. */
  startMillis: Schema.Finite,
  /** How long it took, in milliseconds. */
  durationMillis: Schema.Finite,
  /** How long the first content part took, in milliseconds. */
  firstPartMillis: Schema.optionalKey(Schema.Finite),
  /** `success`, `interrupted`, or the tag of the error. */
  outcome: Outcome,
  /** What it cost, in tokens, where the provider said so. */
  usage: Schema.optionalKey(Usage.Usage),
  /** What it cost in money, where somebody kept account of it (`Budget.enforce`) and the price is known. In micro-dollars. */
  cost: Schema.optionalKey(Money.MicroUsd),
  /** Set where the cost is an upper estimate, since the provider did not say what was used. */
  costEstimated: Schema.optionalKey(Schema.Boolean)
})

/**
 * One request to one provider.
 *
 * @category models
 * @since 0.1.0
 */
export type Attempt = typeof Attempt.Type

/**
 * A decision that a policy took.
 *
 * @category models
 * @since 0.1.0
 */
export const Event = Schema.Struct({
  /**
   * What was decided: to try again (`retry`), to ask another model (`fallback`, or a better one: `escalate`), to stop waiting
   * (`timeout`), to answer without a model (`degraded`), to send a second request beside the first (`hedge`), to send nothing
   * (`rejected`), to wait for a turn (`queue`), to go on after an answer broke off (`resume`), to leave out the oldest of a
   * conversation (`trim`), or to warn that a budget is used up in part (`warning`).
   */
  type: Schema.Literals([
    "retry",
    "fallback",
    "escalate",
    "timeout",
    "degraded",
    "hedge",
    "rejected",
    "queue",
    "resume",
    "trim",
    "warning"
  ]),
  /** When, in milliseconds after the operation began. Negative as with the start of a request. */
  atMillis: Schema.Finite,
  /** After how many requests: the next one of `attempts`, if there is one, came after it. */
  afterAttempts: Schema.Int,
  /** Why: the tag of the error that led to it, the limit that passed, or what was wrong with the answer. */
  reason: Schema.String,
  /** How long the policy waits before it acts, or has waited, in milliseconds. */
  delayMillis: Schema.optionalKey(Schema.Finite)
})

/**
 * A decision that a policy took.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = typeof Event.Type

/**
 * What a cache did for a call: its answer was there (`hit`), also though it was past its time (`stale`); a model was asked, by this call
 * (`miss`) or by another one of the same request, whose answer it shares (`coalesced`); or the cache stood aside (`bypass`).
 *
 * @category models
 * @since 0.1.0
 */
export const CacheResult = Schema.Literals(["hit", "stale", "miss", "coalesced", "bypass"])

/**
 * What a cache did for a call.
 *
 * @category models
 * @since 0.1.0
 */
export type CacheResult = typeof CacheResult.Type

/**
 * What happened in one call, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export const Receipt = Schema.Struct({
  /** The id of the operation, unique to the call. */
  operationId: Schema.String,
  /** Who it was made for. */
  attribution: Attribution,
  /** When it began, in milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** How it ended. */
  outcome: Outcome,
  /** The provider that served the answer, where one did. */
  provider: Schema.optionalKey(Schema.String),
  /** The model that served the answer, where one did. */
  model: Schema.optionalKey(Schema.String),
  /** Why the answer ended. */
  finishReason: Schema.optionalKey(Schema.String),
  /** Whether the answer came from no model: a template, a rule, the raw text. */
  degraded: Schema.Boolean,
  /** Which version of which prompt it was made with, where it came from a registry. */
  prompt: Schema.optionalKey(PromptReference),
  /** What a cache did for it, where it passed one. */
  cache: Schema.optionalKey(CacheResult),
  /** The tokens that the cache spared: what the answer had used when a model gave it. */
  savedUsage: Schema.optionalKey(Usage.Usage),
  /** What the cache spared in money, where the answer's cost was known. In micro-dollars. */
  saved: Schema.optionalKey(Money.MicroUsd),
  /**
   * Every request, in the order in which they began. One that several calls share (`cache: "coalesced"`) stands on the receipt of one of
   * them: the one that began it, or, if that one left early, the one that had waited longest.
   */
  attempts: Schema.Array(Attempt),
  /** Every decision, in order. */
  events: Schema.Array(Event),
  /** Tokens of all attempts together. */
  usage: Usage.Usage,
  /** What all attempts together cost, where that is known of each. In micro-dollars. */
  cost: Schema.optionalKey(Money.MicroUsd),
  /** Milliseconds until the first content part, where one came, and over all. */
  timings: Schema.Struct({
    firstPartMillis: Schema.optionalKey(Schema.Finite),
    totalMillis: Schema.Finite
  })
})

/**
 * What happened in one call, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type Receipt = typeof Receipt.Type

/**
 * The observer in force: called once an operation, when its receipt is closed. Set it with {@link observe}.
 *
 * @category references
 * @since 0.1.0
 */
export const Observer: Context.Reference<(receipt: Receipt) => Effect.Effect<void>> = Context.Reference<
  (receipt: Receipt) => Effect.Effect<void>
>("effect-bulwark/core/Receipt/Observer", { defaultValue: () => () => Effect.void })

/**
 * Hands the receipt of every operation inside an effect to a function, when it is closed.
 *
 * **When to use**
 *
 * Use to log, count or store what calls did, whether they succeeded, failed or were interrupted.
 *
 * **Details**
 *
 * Observers nest: the inner one runs first, then the outer one. They run uninterruptibly, as the last step of the
 * operation; one that dies is logged. A stream is observed by the effect that runs it.
 *
 * **Example** (Collecting receipts)
 *
 * ```ts
 * import { Llm, Receipt } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const outcomes: Array<string> = []
 *
 * await Effect.runPromise(
 *   Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" }).pipe(
 *     Receipt.observe((receipt) => Effect.sync(() => outcomes.push(`${receipt.model}: ${receipt.outcome}`))),
 *     Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")]))
 *   )
 * )
 *
 * outcomes // => ["gpt-5-mini: success"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const observe: {
  <R2>(
    observer: (receipt: Receipt) => Effect.Effect<unknown, never, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <A, E, R, R2>(
    self: Effect.Effect<A, E, R>,
    observer: (receipt: Receipt) => Effect.Effect<unknown, never, R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(
  2,
  <A, E, R, R2>(
    self: Effect.Effect<A, E, R>,
    observer: (receipt: Receipt) => Effect.Effect<unknown, never, R2>
  ): Effect.Effect<A, E, R | R2> =>
    Effect.contextWith((context: Context.Context<R2>) =>
      Effect.updateService(
        self,
        Observer,
        (outer) => (receipt: Receipt) =>
          Effect.andThen(
            // An observer that dies must neither change the operation it watches nor silence the ones around it.
            Effect.ignoreCause(Effect.provideContext(observer(receipt), context), { log: true }),
            outer(receipt)
          )
      )
    )
)

const seconds = (millis: number): string => `${(millis / 1000).toFixed(2)} s`

const tokens = (usage: Usage.Usage | undefined): string =>
  usage === undefined ? "" : `${Usage.input(usage)} in, ${Usage.output(usage)} out`

const describeEvent = (event: Event): string => {
  switch (event.type) {
    case "retry":
      return `${event.reason}: retry` +
        (event.delayMillis === undefined ? "" : ` after ${seconds(event.delayMillis)}`)
    case "fallback":
      return `${event.reason}: ask the next model`
    case "timeout":
      return `stop waiting (${event.reason})`
    case "degraded":
      return `${event.reason}: answer without a model`
    case "escalate":
      return `${event.reason}: ask a better model`
    case "hedge":
      return `${event.reason}: ask a second time`
    case "rejected":
      return `${event.reason}: nothing is sent`
    case "queue":
      return `${event.reason}: waited ${seconds(event.delayMillis ?? 0)} for its turn`
    case "resume":
      return `${event.reason}: go on after the break`
    case "warning":
      return event.reason
    case "trim":
      return `${event.reason}: leave out the oldest`
  }
}

/**
 * Prints a receipt as a small table: attempts and decisions in the order in which they happened.
 *
 * @category printing
 * @since 0.1.0
 */
export const render = (receipt: Receipt): string => {
  const attempts = receipt.attempts.map((attempt) => [
    seconds(attempt.startMillis),
    `${attempt.provider}/${attempt.model}`,
    attempt.outcome,
    seconds(attempt.durationMillis),
    tokens(attempt.usage)
  ])
  const decisions = (afterAttempts: number): ReadonlyArray<ReadonlyArray<string>> =>
    receipt.events.filter((event) => event.afterAttempts === afterAttempts).map((event) => [
      seconds(event.atMillis),
      `  ${describeEvent(event)}`,
      "",
      "",
      ""
    ])
  const rows = [...decisions(0), ...attempts.flatMap((cells, index) => [cells, ...decisions(index + 1)])]
  const total = [
    "total",
    receipt.degraded ? "no model" : receipt.model === undefined ? "" : `${receipt.provider}/${receipt.model}`,
    receipt.outcome,
    seconds(receipt.timings.totalMillis),
    tokens(receipt.usage)
  ]
  const head = ["at", "attempt", "outcome", "took", "tokens"]
  // A decision may be wider than its column: nothing stands to its right.
  const widths = head.map((_, column) =>
    Math.max(...[head, ...attempts, total].map((cells) => cells[column]?.length ?? 0))
  )
  const line = (cells: ReadonlyArray<string>): string =>
    cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  const rule = "─".repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  return [line(head), rule, ...rows.map(line), rule, line(total)].join("\n")
}
