/**
 * Answers that are paid for once: kept, shared while they are under way, and given again to those who may see them.
 *
 * {@link through} puts a cache around a stack. A call is told by a hash of everything that determines its answer, and of who may see it
 * (see `CacheKey`): by default the calls of one tenant share, and no tenant is ever given another's.
 *
 * - **Hit**: the answer is there and fresh. It is given as the same parts, whole or as a stream, and nothing is sent. The receipt says
 *   `cache: "hit"`, has no usage, and tells in `saved` and `savedUsage` what it would have cost.
 * - **Miss**: a model is asked. All who ask the same meanwhile share that one request (`coalesced`), streams too; each has its own
 *   deadline, and whoever is interrupted harms nobody else (see `SingleFlight`). In other processes with the same store they wait for it,
 *   for some time.
 * - **Stale**: the answer is past its time and given all the same, since a new one is being asked for behind it
 *   (`staleWhileRevalidate`), or is not to be had for now (`staleIfError`).
 * - **Bypass**: the cache stands aside: it was told to, or the call has no scope or key.
 *
 * What is kept is decided by the answer: one that the model has ended by itself, and that calls no tools. What was cut, withheld, is not
 * whole, comes from no model, or does not decode as the object that was asked for is never kept, and failures only by `negative`.
 *
 * **What goes inside, what outside**
 *
 * Inside: all that sends requests, and what pays for them: models, retries, breakers, fallbacks, `Budget.enforce`. The one shared call is
 * charged once. Outside: limits on how long a caller waits (`Llm.timeout({ total })`), and `Llm.orElseSucceed`.
 *
 * **Gotchas**
 *
 * - Calls share what is under way only where they go through the same `Llm` value: make it once, and not in every request. What is kept is
 *   shared by all stacks that ask the same models the same.
 * - Without a tenant (`Attribution.annotate`) all calls share with each other. Annotate, or set the scope.
 * - A request that holds the time of day, or an id, is never asked twice.
 * - The parts of a hit are those of the original, the usage in its `finish` included. What the call itself has used is on its receipt.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import { digestSync } from "../core/internal/digest.ts"
import * as Llm from "../core/Llm.ts"
import { StoreUnavailable } from "../core/LlmError.ts"
import type { MicroUsd } from "../core/Money.ts"
import * as Plan from "../core/Plan.ts"
import type { Usage } from "../core/Usage.ts"
import type * as CacheKey from "./CacheKey.ts"
import * as CacheStore from "./CacheStore.ts"
import { type Change, Engine, randomId } from "./internal/cacheEngine.ts"
import { makeIdentify, modelTag, ownTag, promptTag, scopeTag } from "./internal/cacheIdentity.ts"
import { CachePolicy, type Directed } from "./internal/cacheOpen.ts"
import type { Candidate, Directive, Options } from "./internal/cacheOptions.ts"
import { detailOf, settingsOf } from "./internal/cacheSettings.ts"
import { canonical } from "./internal/canonical.ts"
import * as SingleFlight from "./SingleFlight.ts"

export {
  /**
   * An answer that may be kept.
   *
   * @category models
   * @since 0.1.0
   */
  type Candidate,
  /**
   * Something that a cache did: an answer was found (`Hit`), or is past its time and given all the same (`Stale`); a model is asked
   * (`Miss`), or another call was joined (`Coalesced`); the cache was passed by (`Bypassed`); an answer was kept (`Written`), or is none
   * to keep (`Refused`); a new one was got in the background (`Refreshed`), or was not to be had (`NotRefreshed`). Times are in
   * milliseconds since 1970.
   *
   * @category models
   * @since 0.1.0
   */
  type Change,
  /**
   * What one call wants of the cache.
   *
   * @category options
   * @since 0.1.0
   */
  type Directive,
  /**
   * Settings of {@link through}.
   *
   * @category options
   * @since 0.1.0
   */
  type Options
}

/**
 * What a cache has done in this process since its layer was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statistics {
  /** Calls that were given a fresh answer, or a failure that is kept. */
  readonly hits: number
  /** Calls that were given an answer past its time. */
  readonly stale: number
  /** Calls for which a model was asked. */
  readonly misses: number
  /** Calls that shared the request of another one, here or in another process. */
  readonly coalesced: number
  /** Calls that passed by the cache. */
  readonly bypassed: number
  /** Answers and failures that were kept. */
  readonly writes: number
  /** Answers that were not: by their kind, or because they are too large. */
  readonly refused: number
  /** Answers that were got anew in the background. */
  readonly refreshes: number
  /** Refreshes that came to nothing. */
  readonly failedRefreshes: number
  /** Questions that the store has failed to answer, or not in time. */
  readonly storeErrors: number
  /** Entries that could not be read: of another version, changed, or encrypted with an unknown key. */
  readonly undecodable: number
  /** The tokens that were spared. */
  readonly savedUsage: Usage
  /** The money that was spared, where costs are known. In micro-dollars. */
  readonly saved: MicroUsd
  /** What the store says of itself, where it answers. */
  readonly store: CacheStore.Statistics | undefined
}

/**
 * Which answers to forget.
 *
 * - `key`: one, by its key (`CacheKey.make`, {@link changes}).
 * - `tag`: those with a name of yours.
 * - `prompt`: those of a prompt, or of one of its versions.
 * - `model`: those of stacks with a model, as `provider/model`, whichever of their models has answered.
 * - `scope`: those of a tenant, with all of its users, or those of one of them; those of the calls without a tenant (`{}`); those of
 *   everybody (`"public"`); or those of a scope of your own.
 *
 * @category models
 * @since 0.1.0
 */
export type Target =
  | { readonly key: string }
  | { readonly tag: string }
  | { readonly prompt: string; readonly version?: number | undefined }
  | { readonly model: string }
  | {
    readonly scope:
      | "public"
      | { readonly tenant?: string | undefined; readonly user?: string | undefined }
      | { readonly own: string }
  }

/**
 * A cache: what its policies share.
 *
 * @category services
 * @since 0.1.0
 */
export class Cache extends Context.Service<Cache, {
  /** Forgets answers, for all processes that share the store. */
  readonly invalidate: (target: Target) => Effect.Effect<void, StoreUnavailable>
  /** Forgets everything, for all processes that share the store. */
  readonly clear: Effect.Effect<void, StoreUnavailable>
  /** What it has done. */
  readonly statistics: Effect.Effect<Statistics>
  /** What it does, from now on, in this process. */
  readonly changes: Stream.Stream<Change>
  /** @internal */
  readonly engine: Engine
}>()("effect-bulwark/cache/Cache") {}

/**
 * Settings of {@link layer}.
 *
 * @category options
 * @since 0.1.0
 */
export interface LayerOptions {
  /** The largest answer that is kept, in bytes as `CacheStore.layerMemory` estimates them: a positive integer. Default: 1,048,576 (1 MiB). */
  readonly maxEntryBytes?: number | undefined
  /** How much of an answer under way is kept for those who join it, in bytes. See `SingleFlight`. Default: 4 MiB. */
  readonly maxFlightBytes?: number | undefined
  /** How long to wait for the store to invalidate or tell, and, when the layer closes, to write. Default: 1 second. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * A cache over the store that is provided.
 *
 * **Details**
 *
 * What is refreshed in the background belongs to the layer and ends with it; what is being written then is waited for, for `storeTimeout`
 * at most.
 *
 * Throws a `RangeError` that names the setting, where one makes no sense.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: LayerOptions): Layer.Layer<Cache, never, CacheStore.CacheStore> => {
  const maxEntryBytes = options?.maxEntryBytes ?? 1_048_576
  if (!(Number.isSafeInteger(maxEntryBytes) && maxEntryBytes > 0)) {
    throw new RangeError(`Cache.layer: maxEntryBytes must be a positive integer, got ${maxEntryBytes}`)
  }
  const millis = Duration.toMillis(Duration.fromInputUnsafe(options?.storeTimeout ?? "1 second"))
  if (!(millis > 0 && Number.isFinite(millis))) {
    throw new RangeError(`Cache.layer: storeTimeout must be finite and longer than zero, got ${millis} ms`)
  }
  return Layer.effect(
    Cache,
    Effect.gen(function*() {
      const store = yield* CacheStore.CacheStore
      const changes = yield* PubSub.sliding<Change>(4096)
      const writes = yield* FiberSet.make()
      const flights = yield* SingleFlight.make({ maxBytes: options?.maxFlightBytes })
      const refreshes = yield* FiberSet.make()
      const engine = new Engine({
        store,
        flights,
        writes,
        refreshes,
        changes,
        holder: yield* randomId,
        maxEntryBytes,
        flushMillis: millis
      })
      yield* Effect.addFinalizer(() => engine.close)
      const asking = <A>(
        operation: string,
        question: Effect.Effect<A, CacheStore.CacheStoreError>
      ): Effect.Effect<A, StoreUnavailable> =>
        Effect.catchCause(engine.ask(question, millis), (cause) =>
          Cause.hasFails(cause)
            ? Effect.fail(new StoreUnavailable({ store: "cache", operation }))
            // A defect or an interruption: neither is the store's failure to answer.
            : Effect.failCause(cause as Cause.Cause<never>))
      return Cache.of({
        invalidate: (target) =>
          "key" in target
            ? asking("remove", store.remove(target.key))
            : Effect.flatMap(engine.tagsOf([tagOf(target)]), ([tag]) => asking("invalidate", store.invalidate(tag!))),
        clear: asking("clear", store.clear),
        statistics: Effect.map(
          Effect.orElseSucceed(engine.ask(store.statistics, millis), () => undefined),
          (store): Statistics => ({ ...engine.counts.now, store })
        ),
        changes: Stream.fromPubSub(changes),
        engine
      })
    })
  )
}

const tagOf = (target: Exclude<Target, { readonly key: string }>): string => {
  if ("tag" in target) return ownTag(target.tag)
  if ("prompt" in target) return promptTag(target.prompt, target.version)
  if ("model" in target) return modelTag(target.model)
  const { scope } = target
  return scopeTag(
    scope === "public"
      ? { _tag: "Public" }
      : "own" in scope
      ? { _tag: "Own", name: scope.own }
      : scope.user === undefined
      ? { _tag: "Tenant", tenant: scope.tenant }
      : { _tag: "User", tenant: scope.tenant, user: scope.user } satisfies CacheKey.Scope
  )
}

/**
 * A cache in this process: what was not used for the longest time goes first.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: LayerOptions & CacheStore.MemoryOptions): Layer.Layer<Cache> =>
  Layer.provide(layer(options), CacheStore.layerMemory(options))

// ---------------------------------------------------------------------------------------------------------------------
// the policy
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Settings of {@link through} with which a call never fails because of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface AllowingOptions extends Options {
  readonly onStoreError?: "allow" | undefined
}

let instances = 0

/**
 * Keeps the answers of a stack, and shares those that are under way.
 *
 * **Details**
 *
 * An answer is fresh for `timeToLive`, from when it was there. An answer of exactly that age is not. The times of this policy count, also
 * for answers that another one has kept.
 *
 * The store is asked before anything is sent, and waited for no longer than `storeTimeout`; where it fails or is silent the call goes on
 * without it, and its answer is not kept. With `onStoreError: "fail"` it fails with `StoreUnavailable`. An entry that cannot be read is a
 * miss, and is logged.
 *
 * The choice between processes is made by leases in the store: one of them asks, and the others wait for its answer, until
 * `coalesce.waitForOthers` is over. Between an expiry and the next answer a fleet asks once, and a second time only where the first one
 * takes longer than the others wait.
 *
 * A refresh in the background is an operation of its own, with a receipt of its own for the observer in force (`cache: "miss"`), on behalf
 * of the call that led to it. It keeps using the services that the call had. One that fails is tried again after 5 seconds at the
 * earliest.
 *
 * Throws a `RangeError` where an option makes no sense.
 *
 * **Gotchas**
 *
 * - The failures that `negative` keeps are given again for as long as it says, whatever has become of their cause.
 * - Tool calls that are kept (`toolCalls`) are given again with the same ids.
 *
 * **Example** (The second time it costs nothing)
 *
 * ```ts
 * import { Attribution, Llm } from "effect-bulwark"
 * import { Cache } from "effect-bulwark/cache"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Cache.through({ timeToLive: "1 hour" }),
 *   Llm.timeout({ total: "60 seconds" })
 * )
 *
 * const openai = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("330 metres."))
 *
 * const ask = Llm.generateText(llm, { prompt: "How high is the Eiffel tower?" })
 *
 * const program = Effect.gen(function*() {
 *   const first = yield* ask.pipe(Attribution.annotate({ tenant: "acme" }))
 *   const second = yield* ask.pipe(Attribution.annotate({ tenant: "acme" }))
 *   const other = yield* ask.pipe(Attribution.annotate({ tenant: "umbrella" }))
 *   return [first, second, other].map(({ receipt }) => receipt.cache)
 * })
 *
 * const results = await Effect.runPromise(Effect.provide(program, [Cache.layerMemory(), openai.layer]))
 *
 * results // => ["miss", "hit", "miss"]
 * openai.calls.length // => 2
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const through: {
  (options: AllowingOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | Cache>
  (options: Options): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | StoreUnavailable, R | Cache>
  <E, R>(self: Llm.Llm<E, R>, options: AllowingOptions): Llm.Llm<E, R | Cache>
  <E, R>(self: Llm.Llm<E, R>, options: Options): Llm.Llm<E | StoreUnavailable, R | Cache>
} = dual(2, cached)

function cached<E, R>(self: Llm.Llm<E, R>, options: AllowingOptions): Llm.Llm<E, R | Cache>
function cached<E, R>(self: Llm.Llm<E, R>, options: Options): Llm.Llm<E | StoreUnavailable, R | Cache>
function cached<E, R>(self: Llm.Llm<E, R>, options: Options): Llm.Llm<E | StoreUnavailable, R | Cache> {
  const settings = settingsOf(options)
  const stack = canonical(self.plan)
  const policy = new CachePolicy({
    self,
    settings,
    identify: makeIdentify(self.plan, settings),
    instance: String(++instances),
    stack: digestSync?.(stack) ?? stack
  })
  return Llm.make({
    plan: Plan.policy("cache", { detail: detailOf(options), children: [self.plan] }),
    open: (call) =>
      Effect.withFiber((fiber) => {
        const { engine } = Context.get(fiber.context as Context.Context<Cache>, Cache)
        return policy.open(engine, call, directedOf(fiber.getRef(CurrentDirective)))
      })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// directives
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What the calls of a region of a program want of the cache; nothing special unless {@link withDirective} has said so.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentDirective: Context.Reference<Directive> = Context.Reference<Directive>(
  "effect-bulwark/cache/Cache/CurrentDirective",
  { defaultValue: () => ({}) }
)

const plainly: Directed = { mode: "default", maximumAge: Infinity, tags: [] }

const directedOf = (directive: Directive): Directed =>
  directive.mode === undefined && directive.maximumAge === undefined && directive.tags === undefined ? plainly : {
    mode: directive.mode ?? "default",
    maximumAge: directive.maximumAge === undefined
      ? Infinity
      : Duration.toMillis(Duration.fromInputUnsafe(directive.maximumAge)),
    tags: directive.tags ?? []
  }

/**
 * Tells the caches of all calls inside an effect what they want of them. What is further in wins, and tags add up.
 *
 * **Details**
 *
 * A stream is directed by the effect that runs it.
 *
 * **Example** (A new answer, whatever is kept)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Cache } from "effect-bulwark/cache"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Cache.through({ timeToLive: "1 hour" }))
 *
 * const anew = Llm.generateText(llm, { prompt: "What is new?" }).pipe(Cache.withDirective({ mode: "refresh" }))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDirective: {
  (directive: Directive): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, directive: Directive): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, directive: Directive): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentDirective, (outer) => ({
      ...outer,
      ...directive,
      ...(outer.tags === undefined && directive.tags === undefined
        ? undefined
        : { tags: [...outer.tags ?? [], ...directive.tags ?? []] })
    }))
)

// ---------------------------------------------------------------------------------------------------------------------
// what one does with a cache
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Forgets answers, in all processes that share the store.
 *
 * **Details**
 *
 * An answer that was asked for before is not kept any more either, and nobody who comes after joins the call for it in this process.
 *
 * **Example** (A document has changed)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Cache } from "effect-bulwark/cache"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Cache.through({ timeToLive: "1 day" }))
 *
 * const ask = Llm.generateText(llm, { prompt: "Sum up our terms." }).pipe(Cache.withDirective({ tags: ["terms"] }))
 *
 * const program = Effect.gen(function*() {
 *   yield* ask
 *   yield* Cache.invalidate({ tag: "terms" })
 *   const { receipt } = yield* ask
 *   return receipt.cache
 * })
 *
 * const openai = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("Be nice."))
 *
 * await Effect.runPromise(Effect.provide(program, [Cache.layerMemory(), openai])) // => "miss"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const invalidate = (target: Target): Effect.Effect<void, StoreUnavailable, Cache> =>
  Cache.use((cache) => cache.invalidate(target))

/**
 * Forgets everything, in all processes that share the store.
 *
 * @category combinators
 * @since 0.1.0
 */
export const clear: Effect.Effect<void, StoreUnavailable, Cache> = Cache.use((cache) => cache.clear)

/**
 * What the cache has done in this process since its layer was made.
 *
 * @category getters
 * @since 0.1.0
 */
export const statistics: Effect.Effect<Statistics, never, Cache> = Cache.use((cache) => cache.statistics)

/**
 * What the cache does, from now on, in this process, with the keys of the answers.
 *
 * **Details**
 *
 * Nobody waits for whoever reads: who is more than some thousand changes behind misses the oldest.
 *
 * @category getters
 * @since 0.1.0
 */
export const changes: Stream.Stream<Change, never, Cache> = Stream.unwrap(Cache.useSync(({ changes }) => changes))
