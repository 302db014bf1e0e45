/**
 * How many calls more than were asked for may be sent, over all calls of a process or of a fleet.
 *
 * A retry helps one call, and in an outage the retries of all calls together are what keeps a provider down: with two
 * retries each, it gets three times the load. A budget lets ordinary failures be retried, and stops retries where nearly
 * everything fails.
 *
 * - It is a bucket of permissions. It begins full, with `capacity` of them; each retry and each hedge inside {@link guard}
 *   takes one; where there is none, a retry fails at once with the error at hand, and a hedge is not sent.
 * - An answer puts `ratio` of a permission back: over time at most so many extra calls a call. Besides, `perSecond` trickle
 *   in, so that a quiet program gets its own back.
 * - The first request of a call is never held up, and needs no permission.
 * - {@link layerMemory} keeps the bucket in the process; {@link layerRedis} shares it between processes.
 *
 * **What goes inside, what outside**
 *
 * Inside: retries and hedges. Outside: what makes no requests of its own, like a total limit, a cache or a template instead of
 * an answer. A fallback may stand on either side: outside, with a `key` for each provider, one provider's outage takes no
 * permission from the others.
 *
 * **Gotchas**
 *
 * - A fallback, or one more tier of a cascade, is no extra call: it asks another model, and is not what a budget holds back.
 * - A retry outside {@link guard} asks nobody.
 * - A stream has answered when it has opened.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Llm from "../core/Llm.ts"
import * as Plan from "../core/Plan.ts"
import type { Bucket } from "./internal/retryBudgetBucket.ts"
import { cover, payIn } from "./internal/retryBudgetCover.ts"
import { type Limits, makeBucket as makeMemoryBucket } from "./internal/retryBudgetMemory.ts"
import { makeBucket as makeRedisBucket, type Store } from "./internal/retryBudgetRedis.ts"

export {
  /**
   * Permissions for extra calls, for all who share one key: `withdraw` takes one, `deposit` puts back what an answer earns,
   * `remaining` is how many there are.
   *
   * @category models
   * @since 0.1.0
   */
  type Bucket
}

/**
 * Hands out the permissions for retries and hedges.
 *
 * @category services
 * @since 0.1.0
 */
export class RetryBudget extends Context.Service<RetryBudget, {
  /** The bucket of a key: the same one each time. */
  readonly bucket: (key: string) => Bucket
}>()("effect-bulwark/policies/RetryBudget") {}

/**
 * How large a budget is.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How many permissions there are at most, and to begin with. Default: 20. */
  readonly capacity?: number | undefined
  /** How much of a permission an answer puts back. Default: 0.1, which is one extra call in ten calls. */
  readonly ratio?: number | undefined
  /** How many permissions trickle in each second. Default: 0.5. */
  readonly perSecond?: number | undefined
}

/**
 * How large a shared budget is, and what happens without its store.
 *
 * @category options
 * @since 0.1.0
 */
export interface RedisOptions extends Options {
  /** What its keys in Redis begin with. Default: `bulwark:retrybudget:`. */
  readonly prefix?: string | undefined
  /** How long Redis is waited for. Default: 250 milliseconds. */
  readonly storeTimeout?: Duration.Input | undefined
  /**
   * Who decides while Redis fails or does not answer: a bucket of the same size in each process (`local`), or nobody, and there
   * are no extra calls (`deny`). Default: `local`.
   */
  readonly onStoreError?: "local" | "deny" | undefined
}

/**
 * Settings of {@link guard} and {@link remaining}.
 *
 * @category options
 * @since 0.1.0
 */
export interface KeyOptions {
  /** Which bucket, where there are several: the name of a provider, say. Each one is kept as long as the layer. */
  readonly key?: string | undefined
}

const limitsOf = (name: string, options: Options | undefined): Limits => {
  const limits = {
    capacity: options?.capacity ?? 20,
    ratio: options?.ratio ?? 0.1,
    perSecond: options?.perSecond ?? 0.5
  }
  if (!(limits.capacity >= 1 && Number.isFinite(limits.capacity))) {
    throw new RangeError(`RetryBudget.${name}: capacity must be a finite number of at least 1, got ${limits.capacity}`)
  }
  for (const setting of ["ratio", "perSecond"] as const) {
    if (!(limits[setting] >= 0 && Number.isFinite(limits[setting]))) {
      throw new RangeError(`RetryBudget.${name}: ${setting} must be a finite number from 0 up, got ${limits[setting]}`)
    }
  }
  return limits
}

const make = (makeBucket: (key: string) => Bucket): RetryBudget["Service"] => {
  const buckets = new Map<string, Bucket>()
  return RetryBudget.of({
    bucket: (key) => {
      let bucket = buckets.get(key)
      if (bucket === undefined) buckets.set(key, bucket = makeBucket(key))
      return bucket
    }
  })
}

/**
 * A budget for the calls of this process.
 *
 * **Details**
 *
 * With the defaults, 100 calls a second that all fail for a minute lead to at most 50 retries: 20 that were there, and 30 that
 * trickle in.
 *
 * **Example** (Two retries, and then none until something has succeeded)
 *
 * ```ts
 * import { Llm, Retry, RetryBudget } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer, Schedule } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.retry(Schedule.recurs(2)), RetryBudget.guard())
 * const openai = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("Overloaded"))
 *
 * const call = Effect.exit(Llm.generateText(llm, { prompt: "Hello?" }))
 *
 * await Effect.runPromise(
 *   Effect.andThen(call, call).pipe(
 *     Effect.provide([openai.layer, RetryBudget.layerMemory({ capacity: 2, perSecond: 0 })])
 *   )
 * )
 *
 * openai.calls.length // => 4
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: Options): Layer.Layer<RetryBudget> => {
  const limits = limitsOf("layerMemory", options)
  return Layer.sync(RetryBudget, () => make(() => makeMemoryBucket(limits)))
}

/**
 * A budget that all processes share which use the same Redis, prefix and key.
 *
 * **Details**
 *
 * Answers are counted in the process and sent along with the next withdrawal, so that a call that succeeds costs no network. A
 * withdrawal is one atomic script, by the clock of Redis. What a process earned while the shared bucket was full does
 * not count later. Redis 5 or later.
 *
 * **Gotchas**
 *
 * A retry waits for Redis, at most `storeTimeout`. A failure of the store is logged at `References.UnhandledLogLevel`, and no
 * call fails of it. What a process has earned and sends in vain is lost.
 *
 * **Example** (One budget for all instances of a service)
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { RetryBudget } from "effect-bulwark"
 * import { Layer } from "effect"
 *
 * const budget = RetryBudget.layerRedis({ prefix: "summaries:retrybudget:" }).pipe(
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options?: RedisOptions): Layer.Layer<RetryBudget, never, Redis.Redis> => {
  const limits = limitsOf("layerRedis", options)
  const timeout = Duration.fromInputUnsafe(options?.storeTimeout ?? "250 millis")
  if (!(Duration.toMillis(timeout) > 0 && Duration.isFinite(timeout))) {
    throw new RangeError(
      `RetryBudget.layerRedis: storeTimeout must be finite and longer than zero, got ${Duration.format(timeout)}`
    )
  }
  return Layer.effect(
    RetryBudget,
    Effect.map(Redis.Redis, (redis) => {
      const store: Store = {
        redis,
        prefix: options?.prefix ?? "bulwark:retrybudget:",
        timeout,
        onError: options?.onStoreError ?? "local"
      }
      return make((key) => makeRedisBucket(key, limits, store))
    })
  )
}

const defaultKey = "default"

/**
 * Lets retries and hedges inside send only what the budget has permissions for.
 *
 * **Details**
 *
 * Failures stay as they are: a retry without permission fails with the error at hand. Where one guard is around another, an extra
 * call needs a permission of both, and one of both where they have the same key.
 *
 * **Example** (A bucket for each provider)
 *
 * ```ts
 * import { Llm, Retry, RetryBudget } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Groq extends Provider.Service<Groq>()("groq") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.retry(Retry.transient),
 *   RetryBudget.guard({ key: "openai" }),
 *   Llm.orElse(
 *     Llm.model(Groq, "llama-3.3-70b").pipe(Llm.retry(Retry.transient), RetryBudget.guard({ key: "groq" }))
 *   )
 * )
 *
 * String(llm).split("\n")[1] // => "├─ retryBudget openai"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const guard: {
  (options?: KeyOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | RetryBudget>
  <E, R>(self: Llm.Llm<E, R>, options?: KeyOptions): Llm.Llm<E, R | RetryBudget>
} = dual(
  (args) => Llm.isLlm(args[0]),
  <E, R>(self: Llm.Llm<E, R>, options?: KeyOptions): Llm.Llm<E, R | RetryBudget> => {
    const key = options?.key ?? defaultKey
    return Llm.make({
      plan: Plan.policy("retryBudget", { detail: options?.key ?? "", children: [self.plan] }),
      open: (call) =>
        Effect.flatMap(RetryBudget, (budget) => {
          const bucket = budget.bucket(key)
          const covered = cover(call, bucket)
          return covered === call
            ? self.open(call)
            : Effect.tap(self.open(covered), () => payIn(call, bucket))
        })
    })
  }
)

/**
 * How many permissions a bucket has.
 *
 * @category getters
 * @since 0.1.0
 */
export const remaining = (options?: KeyOptions): Effect.Effect<number, never, RetryBudget> =>
  Effect.flatMap(RetryBudget, (budget) => budget.bucket(options?.key ?? defaultKey).remaining)
