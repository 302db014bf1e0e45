/**
 * Limits on what is sent to a model: calls in flight, and requests and tokens per minute. A call that would be too much waits
 * for its turn.
 *
 * - {@link enforce} has every call of an `Llm` pass a gate, one for each key. A call that finds it open passes at once; others
 *   wait in a queue with a bound and a longest wait, or fail with `Saturated`, of which nothing was sent.
 * - A permit is held from the sending until the answer has ended: to the end of a stream, not only to its first part. Whatever
 *   becomes of a call (a failure, an interruption, a stream that nobody reads on), it is given back once.
 * - `concurrency` is a number, or finds itself ({@link adaptive}): it grows while the provider keeps up, and shrinks when it
 *   refuses or slows down.
 * - `requestsPerMinute` and `tokensPerMinute` are token buckets: a minute's worth at once, refilled steadily, shared by all
 *   processes under {@link layerRedis}. Tokens are taken by an estimate, and what an answer used beyond it is taken afterwards.
 * - What a provider's headers say is left counts too: where nothing is, calls wait until as much as they need has flowed in.
 * - What was not sent costs nothing: a call that goes away while it waits, that a policy inside refuses, or whose account has
 *   been told to wait, gives back what it took of the minute's limits.
 * - Interactive calls go before batch calls ({@link withPriority}); within a priority, who comes first goes first.
 *
 * **What goes inside, what outside**
 *
 * Inside: one model with its limits for each attempt; around the limiter, `firstPart` would take the wait for a turn for the silence
 * of a model. Outside: the retry (each attempt takes a permit of its own, and none is held while it waits), then fallbacks and
 * the total limit.
 *
 * **Gotchas**
 *
 * - A batch call waits for as long as interactive ones queue; its longest wait bounds that. Give it a key of its own where it
 *   must get on all the same.
 * - A bucket that is full lets a minute's worth through at once, so that in the first minute up to twice the limit is sent. Where
 *   a provider counts by the clock's minute, set half.
 * - Fleets count by the clocks of their machines, which should agree within a fraction of a second.
 * - Headers and latencies are kept by key: models with quotas of their own should have keys of their own, which is the default.
 * - Headers are read as those of buckets that refill steadily, as OpenAI's and Anthropic's do. Of a provider that counts by fixed
 *   windows a call may be sent too early: that is refused once, and a retry outside waits for what the refusal asks.
 * - `Saturated` says "in a minute" of every limit on requests and tokens; the window of a header may be another one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type * as Call from "../core/Call.ts"
import { targetOf } from "../core/internal/target.ts"
import * as Llm from "../core/Llm.ts"
import type { Saturated, StoreUnavailable } from "../core/LlmError.ts"
import type { Opened } from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import { Buckets } from "./internal/limiterBuckets.ts"
import { Entry, Gate } from "./internal/limiterGate.ts"
import { type Adaptive, estimateTokens, type GateLimits, gateLimits, type Limits } from "./internal/limiterLimits.ts"
import { MemoryBuckets } from "./internal/limiterMemory.ts"
import { hold, listening, settle } from "./internal/limiterPermit.ts"
import { admit } from "./internal/limiterTurn.ts"
import { sharedKey } from "./internal/sharedKey.ts"

export { type Adaptive, type Limits }

/**
 * Marks values of {@link Limiter}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: TypeId = "~effect-bulwark/policies/Limiter"

/**
 * Marks values of {@link Limiter}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export type TypeId = "~effect-bulwark/policies/Limiter"

/**
 * The gates of all keys, and the store of what they share.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limiter {
  readonly [TypeId]: TypeId
  /** What goes on at the gate of a key. */
  readonly status: (key: string) => Effect.Effect<Status>
  /**
   * The gate of a key; none where it has no limits.
   *
   * @internal
   */
  readonly gate: (key: string) => Gate | undefined
  /** @internal */
  readonly buckets: Buckets
  /** @internal */
  readonly estimateTokens: (request: Call.Request) => number
}

/**
 * The gates of all keys, and the store of what they share.
 *
 * @category services
 * @since 0.1.0
 */
export const Limiter: Context.Service<Limiter, Limiter> = Context.Service<Limiter>("effect-bulwark/policies/Limiter")

/**
 * What goes on at the gate of a key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  /** Calls that have been sent and whose answers have not ended. */
  readonly inFlight: number
  /** Calls that wait, those whose turn it is among them. */
  readonly queued: { readonly interactive: number; readonly batch: number }
  /** How many calls may be in flight now; none where that is not limited. */
  readonly limit: number | undefined
}

/**
 * A limit on calls in flight that finds itself.
 *
 * **When to use**
 *
 * Use where nobody knows how much the provider can take, or where it changes: a server of one's own, a provider at its busy
 * hours.
 *
 * **Details**
 *
 * It starts at `initial` (4) and doubles with every round of answers until the provider refuses for the first time (`RateLimited`,
 * `Overloaded`, `RequestTimeout`, or a `connect` or `firstPart` limit inside), or answers take `tolerance` (2) times as long
 * to begin as they do when the provider is not busy. From then on it grows by one a round, and shrinks by a tenth, or by as much
 * as the latency says. It stays between `minimum` (1) and `maximum` (1,000). A refused slot stays empty until another call is
 * served, so that a queue is not burnt on a provider that has said no.
 *
 * Every 64 rounds, and more often at first, one round runs at 40 % of the limit, to see how fast the provider is without a
 * queue.
 *
 * **Gotchas**
 *
 * - It compares latencies, so that calls of one key should be alike: all streamed, or all whole.
 * - It limits how many, not how fast: against a provider that refuses two requests in the same instant, set a rate.
 *
 * @category options
 * @since 0.1.0
 */
export const adaptive = (options?: {
  readonly initial?: number | undefined
  readonly minimum?: number | undefined
  readonly maximum?: number | undefined
  readonly tolerance?: number | undefined
}): Adaptive => {
  const { initial = 4, maximum = 1000, minimum = 1, tolerance = 2 } = options ?? {}
  const whole = (name: string, value: number, least: number) => {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`Limiter.adaptive: ${name} must be an integer of at least ${least}, got ${value}`)
    }
  }
  whole("minimum", minimum, 1)
  whole("initial", initial, minimum)
  whole("maximum", maximum, initial)
  if (!(tolerance > 1) || !Number.isFinite(tolerance)) {
    throw new RangeError(`Limiter.adaptive: tolerance must be greater than 1, got ${tolerance}`)
  }
  return { initial, minimum, maximum, tolerance }
}

/**
 * Settings of the layers.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The limits of every key, or of each by its name; `undefined` for a key without limits. */
  readonly limits: Limits | ((key: string) => Limits | undefined)
  /**
   * What a request is taken to cost, in tokens, before it is sent. Default: a quarter of the characters of its text, and
   * `maxOutputTokens` where it is set. What the answer used beyond that is taken afterwards, and what it did not use is not given
   * back: providers count by `maxOutputTokens` too.
   */
  readonly estimateTokens?: ((request: Call.Request) => number) | undefined
  /** How long to wait for the store. Default: 250 milliseconds. In process there is none to wait for. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * A limiter over the `RateLimiterStore` of `effect/persistence`.
 *
 * **Details**
 *
 * Calls in flight are counted in this process; requests and tokens per minute in the store, under the key of the limiter and
 * `:requests` or `:tokens`. Limits that cannot be are a `RangeError`: at once, or, of a function, when a key is first used.
 *
 * What an answer used beyond its estimate, and what is given back, is written while the answer is handed on already. A layer that
 * closes waits for such writes, for `storeTimeout` at most.
 *
 * **Gotchas**
 *
 * `RateLimiter.layerStoreMemory` of effect never forgets a bucket: with a key for each tenant, use {@link layerMemory}. What is
 * given back to a bucket of it that is full already is one too many, until the next one would have flowed in.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Limiter, never, RateLimiter.RateLimiterStore> => {
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.storeTimeout ?? "250 millis"))
  if (!(timeout > 0)) throw new RangeError(`Limiter.layer: storeTimeout must be longer than zero, got ${timeout} ms`)
  const make = maker(options)
  return Layer.effect(
    Limiter,
    Effect.flatMap(RateLimiter.RateLimiterStore, (store) => {
      const buckets = new Buckets(store, timeout)
      return Effect.as(Effect.addFinalizer(() => buckets.written), make(buckets))
    })
  )
}

/**
 * A limiter for one process.
 *
 * **Details**
 *
 * Keys may be many: from a thousand on, those are forgotten that nobody has used for ten minutes, and buckets that are full again.
 *
 * **Example** (Two calls at a time)
 *
 * ```ts
 * import { Limiter, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Limiter.enforce())
 *
 * const layer = Layer.merge(
 *   Limiter.layerMemory({ limits: { concurrency: 2 } }),
 *   ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Hello!", { delay: "10 millis" }))
 * )
 *
 * const ask = Llm.generateText(llm, { prompt: "Hello?" })
 *
 * const answers = await Effect.runPromise(
 *   Effect.all([ask, ask, ask], { concurrency: "unbounded" }).pipe(Effect.provide(layer))
 * )
 *
 * answers.map((answer) => answer.receipt.events.map((event) => event.reason)) // => [[], [], ["concurrency"]]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options: Options): Layer.Layer<Limiter> => {
  const make = maker(options)
  return Layer.sync(Limiter, () => make(new Buckets(new MemoryBuckets(), undefined)))
}

/**
 * A limiter of which all processes share the requests and tokens per minute, through Redis.
 *
 * **Details**
 *
 * Each process counts its own calls in flight. Keys in Redis begin with `prefix` (`bulwark:limiter:`). They are forgotten when a
 * bucket is full again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: Options & { readonly prefix?: string | undefined }
): Layer.Layer<Limiter, never, Redis.Redis> =>
  layer(options).pipe(
    Layer.provide(RateLimiter.layerStoreRedis({ prefix: options.prefix ?? "bulwark:limiter:" }))
  )

/** Checks what can be checked now, and makes limiters. */
const maker = (options: Options): (buckets: Buckets) => Limiter => {
  const { limits } = options
  const fixed = typeof limits === "function" ? undefined : gateLimits(limits)
  const limitsOf = (key: string): GateLimits | undefined => {
    if (typeof limits !== "function") return fixed
    const own = limits(key)
    return own === undefined ? undefined : gateLimits(own)
  }
  return (buckets) => {
    const gates = makeGates(limitsOf)
    return {
      [TypeId]: TypeId,
      status: (key) => Effect.sync(() => statusOf(gates(key))),
      gate: gates,
      buckets,
      estimateTokens: options.estimateTokens ?? estimateTokens
    }
  }
}

/** How many gates there may be before those are looked for that nobody uses. */
const manyGates = 1000

const forgottenAfter = 600_000

const makeGates = (limitsOf: (key: string) => GateLimits | undefined): (key: string) => Gate | undefined => {
  const gates = new Map<string, Gate | undefined>()
  let sweepAt = manyGates
  return (key) => {
    const known = gates.get(key)
    if (known !== undefined || gates.has(key)) return known
    const limits = limitsOf(key)
    const gate = limits === undefined ? undefined : new Gate(key, limits)
    if (gates.size >= sweepAt) {
      let latest = 0
      for (const gate of gates.values()) latest = Math.max(latest, gate?.usedAt ?? 0)
      for (const [key, gate] of gates) {
        // What has been learned lately is kept.
        if (gate === undefined || (gate.isIdle() && gate.usedAt < latest - forgottenAfter)) gates.delete(key)
      }
      sweepAt = Math.max(manyGates, gates.size * 2)
    }
    gates.set(key, gate)
    return gate
  }
}

const statusOf = (gate: Gate | undefined): Status => {
  const limit = gate?.concurrency() ?? Infinity
  return {
    inFlight: gate?.inFlight ?? 0,
    queued: { interactive: gate?.queued("interactive") ?? 0, batch: gate?.queued("batch") ?? 0 },
    limit: limit === Infinity ? undefined : limit
  }
}

/**
 * What goes on at the gate of a key.
 *
 * @category getters
 * @since 0.1.0
 */
export const status = (key: string): Effect.Effect<Status, never, Limiter> =>
  Effect.flatMap(Limiter, (limiter) => limiter.status(key))

/**
 * Whose calls go first: those that somebody waits for (`interactive`, the default), or those that can wait (`batch`).
 *
 * **Details**
 *
 * Set it with {@link withPriority}; of a stream, with `Stream.provideService(Limiter.Priority, "batch")`.
 *
 * @category references
 * @since 0.1.0
 */
export const Priority: Context.Reference<"interactive" | "batch"> = Context.Reference<"interactive" | "batch">(
  "effect-bulwark/policies/Limiter/Priority",
  { defaultValue: () => "interactive" }
)

/**
 * Sets the priority of all calls inside an effect.
 *
 * **Example** (A nightly job lets users go first)
 *
 * ```ts
 * import { Limiter } from "effect-bulwark"
 * import { Effect } from "effect"
 *
 * const nightly = Effect.gen(function*() {
 *   return yield* Limiter.Priority
 * }).pipe(Limiter.withPriority("batch"))
 *
 * Effect.runSync(nightly) // => "batch"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPriority: {
  (priority: "interactive" | "batch"): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, priority: "interactive" | "batch"): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, priority: "interactive" | "batch"): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Priority, priority)
)

/**
 * Settings of {@link enforce}.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnforceOptions {
  /** Whose limits hold: calls with the same key share them. Default: the models inside, as `provider/model`, joined by `+`. */
  readonly key?: string | ((call: Call.Call) => string) | undefined
  /**
   * What becomes of a call when the store of the limits per minute fails or does not answer: it is sent all the same (`allow`,
   * the default), or fails with `StoreUnavailable` (`fail`). Either way it is logged, at `References.UnhandledLogLevel`.
   */
  readonly onStoreError?: "allow" | "fail" | undefined
}

/**
 * Settings of {@link enforce} with which a call never fails because of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface AllowingOptions extends EnforceOptions {
  readonly onStoreError?: "allow" | undefined
}

/**
 * Has every call wait for its turn.
 *
 * **Details**
 *
 * Adds `Saturated`: the queue was full (`queueFull`), the wait longer than `maxWait` or than the call has time for
 * (`waitTooLong`; at once, where that is known), or the request larger than a whole minute's tokens (`tooLarge`). Another model
 * may have room: `Saturated` fails over. With `onStoreError: "fail"` it adds `StoreUnavailable` too.
 *
 * Receipts say `queue` for a call that has waited, with what for and how long, and `rejected` for one that was not sent.
 *
 * **Example** (Within the limits of an account)
 *
 * ```ts
 * import { Limiter, Llm, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.timeout({ firstPart: "8 seconds", idle: "15 seconds" }),
 *   Limiter.enforce(),
 *   Llm.retry(Retry.transient),
 *   Llm.timeout({ total: "60 seconds" })
 * )
 *
 * const layer = Limiter.layerMemory({
 *   limits: {
 *     concurrency: Limiter.adaptive(),
 *     requestsPerMinute: 500,
 *     tokensPerMinute: 200_000,
 *     queue: { size: 200, maxWait: "10 seconds" }
 *   }
 * })
 * ```
 *
 * **Example** (A share for each tenant)
 *
 * ```ts
 * import { Limiter, Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Limiter.enforce({ key: (call) => `tenant:${call.attribution.tenant ?? "none"}` })
 * )
 *
 * const layer = Limiter.layerMemory({
 *   limits: (key) => key === "tenant:acme" ? { concurrency: 20 } : { concurrency: 5 }
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const enforce: {
  (options?: AllowingOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | Saturated, R | Limiter>
  (options: EnforceOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | Saturated | StoreUnavailable, R | Limiter>
  <E, R>(self: Llm.Llm<E, R>, options?: AllowingOptions): Llm.Llm<E | Saturated, R | Limiter>
  <E, R>(self: Llm.Llm<E, R>, options: EnforceOptions): Llm.Llm<E | Saturated | StoreUnavailable, R | Limiter>
} = dual((args) => Llm.isLlm(args[0]), enforced)

function enforced<E, R>(self: Llm.Llm<E, R>, options?: AllowingOptions): Llm.Llm<E | Saturated, R | Limiter>
function enforced<E, R>(
  self: Llm.Llm<E, R>,
  options: EnforceOptions
): Llm.Llm<E | Saturated | StoreUnavailable, R | Limiter>
function enforced<E, R>(
  self: Llm.Llm<E, R>,
  options?: EnforceOptions
): Llm.Llm<E | Saturated | StoreUnavailable, R | Limiter> {
  const { detail, models, of } = sharedKey("Limiter.enforce", self.plan, options?.key)
  // What one model's headers say is nothing to another one that it falls back to.
  const model = new Set(models).size === 1 ? models[0] : undefined
  const asking = { onStoreError: options?.onStoreError ?? "allow", model, asked: targetOf(model) }
  return Llm.make({
    plan: Plan.policy("limiter", { detail, children: [self.plan] }),
    open: (call) =>
      Effect.withFiber((fiber): Effect.Effect<
        Opened,
        E | Saturated | StoreUnavailable,
        R | Limiter | Scope.Scope
      > => {
        const limiter = Context.getUnsafe(fiber.context, Limiter)
        const gate = limiter.gate(of(call))
        if (gate === undefined) return self.open(call)
        const { buckets } = limiter
        const entry = new Entry(gate, call, fiber.getRef(Priority), asking)
        if (gate.limits.tokens !== undefined || gate.headers.countsTokens) {
          const tokens = limiter.estimateTokens(call.request)
          entry.tokens = tokens > 0 ? Math.ceil(tokens) : 0
        }
        const send = Effect.suspend(() => {
          entry.passedOn = true
          const opened = self.open(listening(entry))
          return call.mode === "whole" ? opened : Effect.flatMap(opened, (opened) => hold(entry, buckets, opened))
        })
        // A permit is taken inside of what gives it back: between two steps a fiber may be interrupted.
        return Effect.onExit(
          Effect.suspend(() => {
            const admitted = admit(entry, buckets)
            return entry.state === "granted" ? send : Effect.flatMap(admitted, () => send)
          }),
          (exit) => settle(entry, buckets, exit)
        )
      })
  })
}
