/**
 * Budgets: how much money, how many tokens and requests calls may use, for whom, and in what time.
 *
 * - Limits are data: a resource (`usd`, `tokens`, `requests`), an amount, a window ({@link perCall}, {@link rolling}, {@link calendar},
 *   {@link total}) and a scope (everybody, each tenant, each user, each session, ...).
 * - {@link enforce} has every request of a stack paid for: *before* it is sent, the most that it can cost is held against all limits
 *   at once, or it fails with `BudgetExceeded` and nothing is sent. When it has ended, however it ended, what it has really used is
 *   booked, once, and the rest is let go.
 * - Each request is quoted at the price of its own model. Retries, hedges, resumed answers and fallbacks are requests like any other,
 *   wherever `enforce` stands; an answer of a cache around it is none, and costs nothing.
 * - What is used and what is held never are more than a limit together, on one machine or many. The one exception is a provider that
 *   uses more than it was allowed to, which the books then say.
 * - {@link status}, {@link remaining} and {@link changes} tell how things stand, {@link adjust} corrects the books.
 *
 * **What goes inside, what outside**
 *
 * Around everything that sends requests. A cache goes around it, and so does `Llm.orElseSucceed`.
 *
 * **Gotchas**
 *
 * - The most that a request can cost is reckoned from its longest possible answer: set `maxOutputTokens`, or few calls are enough to
 *   hold all that is left.
 * - What models cost is what `Pricing` says, and their tokens what `TokenCount` counts in advance and the provider reports afterwards.
 * - What a stack asks without `Llm.model` is not counted.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as Attribution from "../core/Attribution.ts"
import * as Llm from "../core/Llm.ts"
import { type BudgetExceeded, StoreUnavailable, type UnknownPrice } from "../core/LlmError.ts"
import type { Decimal, MicroUsd } from "../core/Money.ts"
import * as Plan from "../core/Plan.ts"
import { reportUnhandled } from "../policies/internal/reportUnhandled.ts"
import { BudgetStore, type BudgetStoreError, type Unsettled } from "./BudgetStore.ts"
import { Books, type Change } from "./internal/budgetBooks.ts"
import { cover, reservationId } from "./internal/budgetCharge.ts"
import { amountBy, Limit, type Ready, ready, Resource, Scope, Window } from "./internal/budgetLimits.ts"
import { Pricing } from "./Pricing.ts"
import { TokenCount } from "./TokenCount.ts"

export {
  /**
   * Something that happened to a budget: a request was paid for in advance (`Reserved`), has ended (`Settled`, or `Voided` where it was
   * not sent), or was refused (`Exceeded`); a fraction of a limit was reached (`Warned`); the books were corrected (`Adjusted`); or the
   * store could not be told how a request ended (`Unsettled`, with what it used). Amounts of money are micro-dollars.
   *
   * @category models
   * @since 0.1.0
   */
  type Change,
  /**
   * A limit, as data: it can come from a file.
   *
   * @category models
   * @since 0.1.0
   */
  Limit,
  /**
   * What can be limited.
   *
   * @category models
   * @since 0.1.0
   */
  Resource,
  /**
   * For whom a limit is: `global`, or a key or several keys of the attribution. Of several keys, each combination has an account.
   *
   * @category models
   * @since 0.1.0
   */
  Scope,
  /**
   * The time in which a limit holds.
   *
   * @category models
   * @since 0.1.0
   */
  Window
}

/**
 * A limit of each call by itself, with all its retries, hedges and fallbacks.
 *
 * @category windows
 * @since 0.1.0
 */
export const perCall: Window = { _tag: "PerCall" }

/**
 * A limit for all time.
 *
 * @category windows
 * @since 0.1.0
 */
export const total: Window = { _tag: "Total" }

/**
 * A limit of what was used in the last hour, or whatever time it is.
 *
 * **Details**
 *
 * The time is cut into 60 slots, and all of the slot counts in which it begins: use is forgotten up to a sixtieth late, and never
 * early.
 *
 * @category windows
 * @since 0.1.0
 */
export const rolling = (duration: Duration.Input): Window => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  if (!(millis >= 1 && Number.isFinite(millis))) {
    throw new RangeError(`Budget.rolling: the duration must be finite and at least a millisecond, got ${millis} ms`)
  }
  return { _tag: "Rolling", millis: Math.ceil(millis) }
}

/**
 * A limit of an hour, day, week (from Monday) or month of the calendar.
 *
 * **Details**
 *
 * Days begin at midnight of the time zone, `UTC` by default. Use is booked to the day in which the request began.
 *
 * @category windows
 * @since 0.1.0
 */
export const calendar = (
  unit: "hour" | "day" | "week" | "month",
  options?: { readonly timeZone?: string | undefined }
): Window => ({ _tag: "Calendar", unit, timeZone: options?.timeZone ?? "UTC" })

/**
 * How a limit stands. Amounts of money are micro-dollars.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly resource: Resource
  /** For whom, in words: `global`, `tenant`, `tenant, user`, ... */
  readonly scope: string
  /** In what time, in words. */
  readonly window: string
  /** The name of the account in the store. */
  readonly account: string
  readonly limit: number
  readonly used: number
  /** What is held by requests under way, and by those that nobody has settled. */
  readonly reserved: number
  /** The part of `reserved` that nobody has settled in time. */
  readonly unsettled: number
  /** What is left. */
  readonly remaining: number
  /** When what is used now will no longer count, in milliseconds since 1970. */
  readonly resetsAt: number | undefined
}

/**
 * What is left: of each resource the least that any limit leaves, and nothing said where it is not limited.
 *
 * @category models
 * @since 0.1.0
 */
export interface Remaining {
  /** The smallest fraction that is left of any limit, from 0 to 1. */
  readonly fraction: number
  readonly usd: MicroUsd | undefined
  readonly tokens: number | undefined
  readonly requests: number | undefined
}

/**
 * Keeps budgets.
 *
 * @category services
 * @since 0.1.0
 */
export class Budget extends Context.Service<Budget, {
  /** The limits. */
  readonly limits: ReadonlyArray<Limit>
  /** How the limits stand for someone. Limits of one call are not among them. */
  readonly status: (who: Attribution.Attribution) => Effect.Effect<ReadonlyArray<Status>, StoreUnavailable>
  /** Books that someone has used more, or less. */
  readonly adjust: (adjustment: Adjustment) => Effect.Effect<void, StoreUnavailable>
  /** Requests that nobody has settled in time, the oldest first. */
  readonly unsettled: (limit: number) => Effect.Effect<ReadonlyArray<Unsettled>, StoreUnavailable>
  /** Settles one of them by hand. */
  readonly resolve: (unsettled: Unsettled, as: "used" | "unused") => Effect.Effect<boolean, StoreUnavailable>
  /** What happens, from now on, in this process. */
  readonly changes: Stream.Stream<Change>
  /** @internal */
  readonly books: Books
  /** @internal */
  readonly pricing: Pricing["Service"]
  /** @internal */
  readonly counter: TokenCount
}>()("effect-bulwark/budget/Budget") {}

/**
 * A correction of the books by hand.
 *
 * @category options
 * @since 0.1.0
 */
export interface Adjustment {
  readonly resource: Resource
  /** How much more was used, in dollars, tokens or requests; where it is negative, how much less. */
  readonly by: Decimal
  /** Whose books: all accounts that a call of theirs is booked to. Default: the attribution in force. */
  readonly attribution?: Attribution.Attribution | undefined
  /**
   * A name of its own for this correction, such as that of an invoice. Corrections of one name count once, for as long as the store
   * remembers what is over (10 minutes, if nothing else is said): whoever got no answer can ask again. Default: each counts.
   */
  readonly id?: string | undefined
}

/**
 * Settings of {@link layer}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The limits. All of them hold at once. */
  readonly limits: ReadonlyArray<Limit>
  /** How long to wait for the store. Default: 1 second. */
  readonly storeTimeout?: Duration.Input | undefined
  /**
   * How long a request may take at most: one that has not been settled by then is listed as unsettled, and holds on to what it was
   * reserved. Default: 15 minutes.
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * Budgets with limits, kept in a `BudgetStore`.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the setting, where one makes no sense.
 *
 * A call without the attribution that a scope asks for shares an account with all others of those: nobody is without limits because
 * they did not say who they are.
 *
 * What was used is written when a request has ended. A store that fails then is asked again and again, in the background, for as long
 * as the lease runs. A layer that closes waits for such writes, for `storeTimeout` at most. What could not be written in the end is logged
 * with its amounts, and is an `Unsettled` change.
 *
 * **Gotchas**
 *
 * An account is named by resource, window and scope. The amount of a limit can be changed at any time, and what was used stays; with
 * another window or scope it is another account, and an empty one.
 *
 * **Example** (A day's money for all, an hour's for each tenant)
 *
 * ```ts
 * import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
 * import { Layer } from "effect"
 *
 * const budget = Budget.layer({
 *   limits: [
 *     { resource: "usd", limit: "250", window: Budget.calendar("day"), warnAt: [0.5, 0.8] },
 *     { resource: "usd", limit: "2.50", window: Budget.rolling("1 hour"), scope: "tenant" },
 *     { resource: "tokens", limit: 200_000, window: Budget.total, scope: { tag: "session" } },
 *     { resource: "usd", limit: "0.25", window: Budget.perCall }
 *   ]
 * }).pipe(Layer.provide([BudgetStore.layerMemory, Pricing.layer(), TokenCount.layer()]))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Budget, never, BudgetStore | Pricing | TokenCount> => {
  const limits = ready(options.limits)
  const storeTimeout = positive("storeTimeout", options.storeTimeout ?? "1 second")
  const lease = positive("lease", options.lease ?? "15 minutes")
  return Layer.effect(
    Budget,
    Effect.gen(function*() {
      const writes = yield* FiberSet.make()
      const changes = yield* PubSub.sliding<Change>(4096)
      const store = yield* BudgetStore
      const context = yield* Effect.context()
      const books = new Books({ store, limits, storeTimeout, lease, writes, context, changes })
      yield* Effect.addFinalizer(() => books.close)
      const ask = <A>(operation: string, question: Effect.Effect<A, BudgetStoreError>) =>
        asking(books, operation, question)
      return Budget.of({
        limits: options.limits,
        status: (who) => ask("balance", statuses(books, who)),
        adjust: (adjustment) => ask("adjust", adjusting(books, adjustment)),
        unsettled: (limit) => ask("unsettled", store.unsettled({ limit })),
        resolve: ({ holds, id }, as) =>
          Effect.map(
            ask("settle", as === "used" ? store.settle(id, holds.map(({ amount }) => amount)) : store.void(id)),
            (outcome) => outcome === "applied"
          ),
        changes: Stream.fromPubSub(changes),
        books,
        pricing: yield* Pricing,
        counter: yield* TokenCount
      })
    })
  )
}

const positive = (name: string, duration: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  if (!(millis > 0 && Number.isFinite(millis))) {
    throw new RangeError(`Budget.layer: ${name} must be finite and longer than zero, got ${millis} ms`)
  }
  return millis
}

const asking = <A>(
  books: Books,
  operation: string,
  question: Effect.Effect<A, BudgetStoreError>
): Effect.Effect<A, StoreUnavailable> =>
  Effect.catchCause(books.inTime(question), (cause) =>
    Cause.hasFails(cause)
      ? Effect.andThen(
        reportUnhandled("Budget could not reach its store", cause),
        Effect.fail(new StoreUnavailable({ store: "budget", operation }))
      )
      // A defect or an interruption: neither is the store's failure to answer.
      : Effect.failCause(cause as Cause.Cause<never>))

const statuses = (
  { options: { store }, shared }: Books,
  who: Attribution.Attribution
): Effect.Effect<ReadonlyArray<Status>, BudgetStoreError> =>
  Clock.clockWith((clock) => {
    const now = clock.currentTimeMillisUnsafe()
    return Effect.forEach(shared, (limit) => {
      const { most, resource, scope, window } = limit
      const { since, until } = limit.period(now)
      const account = limit.account(who)
      return Effect.map(store.balance({ account, since }), ({ reserved, unsettled, used }): Status => ({
        resource,
        scope,
        window,
        account,
        limit: most,
        used,
        reserved,
        unsettled,
        remaining: Math.max(0, most - used - reserved),
        resetsAt: until
      }))
    }, { concurrency: "unbounded" })
  })

const adjusting = (books: Books, adjustment: Adjustment): Effect.Effect<void, BudgetStoreError> =>
  Effect.withFiber((fiber) => {
    const { resource } = adjustment
    const by = amountBy(resource, adjustment.by)
    const attribution = adjustment.attribution ?? fiber.getRef(Attribution.Current)
    const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
    const id = `adjust/${adjustment.id ?? reservationId(fiber)}`
    return Effect.flatMap(
      Effect.forEach(
        books.shared.filter((limit) => limit.resource === resource),
        (limit: Ready) => {
          const { slot, until } = limit.period(now)
          const account = limit.account(attribution)
          return books.options.store.adjust({ id: `${id}/${account}`, account, slot, until, by })
        }
      ),
      (outcomes) =>
        outcomes.includes("applied")
          ? books.publish((at) => ({ _tag: "Adjusted", at, attribution, resource, by }))
          : Effect.void
    )
  })

/**
 * How the limits stand for someone; by default for the attribution in force.
 *
 * @category getters
 * @since 0.1.0
 */
export const status = (
  who?: Attribution.Attribution
): Effect.Effect<ReadonlyArray<Status>, StoreUnavailable, Budget> =>
  Effect.gen(function*() {
    const budget = yield* Budget
    return yield* budget.status(who ?? (yield* Attribution.Current))
  })

/**
 * What is left for someone; by default for the attribution in force.
 *
 * **When to use**
 *
 * Use to choose a cheaper model while there still is a choice.
 *
 * **Example** (A cheaper model when less than a fifth is left)
 *
 * ```ts
 * import { Llm, Plan } from "effect-bulwark"
 * import { Budget } from "effect-bulwark/budget"
 * import { Provider } from "effect-bulwark/providers"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const good = Llm.model(OpenAi, "gpt-5")
 * const cheap = Llm.model(OpenAi, "gpt-5-nano")
 *
 * const byBudget = Llm.make({
 *   plan: Plan.policy("byBudget", { children: [good.plan, cheap.plan] }),
 *   open: (call) =>
 *     Effect.flatMap(
 *       Budget.remaining(call.attribution),
 *       ({ fraction }) => (fraction < 0.2 ? cheap : good).open(call)
 *     )
 * })
 *
 * const llm = byBudget.pipe(Budget.enforce({ maxOutputTokens: 1_000 }))
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const remaining = (who?: Attribution.Attribution): Effect.Effect<Remaining, StoreUnavailable, Budget> =>
  Effect.map(status(who), (all) => {
    const least = (resource: Resource): number | undefined =>
      all.reduce<number | undefined>(
        (least, one) => one.resource === resource ? Math.min(least ?? Infinity, one.remaining) : least,
        undefined
      )
    return {
      fraction: Math.min(1, ...all.map(({ limit, remaining }) => limit === 0 ? 0 : remaining / limit)),
      // What is left of whole micro-dollars is a number of them.
      usd: least("usd") as MicroUsd | undefined,
      tokens: least("tokens"),
      requests: least("requests")
    }
  })

/**
 * What happens to the budgets of this process, from now on.
 *
 * **Details**
 *
 * Nobody waits for whoever reads: who is more than some thousand changes behind misses the oldest.
 *
 * @category getters
 * @since 0.1.0
 */
export const changes: Stream.Stream<Change, never, Budget> = Stream.unwrap(Budget.useSync(({ changes }) => changes))

/**
 * Books that someone has used more, or less, in the current windows.
 *
 * **When to use**
 *
 * Use for what was spent elsewhere, to refund, and to let someone go on after a limit.
 *
 * **Details**
 *
 * It is booked as a call of theirs would be: to all accounts of the resource that it would be. Use is never less than nothing. An amount
 * that is none is a `RangeError`, as a defect.
 *
 * **Gotchas**
 *
 * Where it fails with `StoreUnavailable` it may have been booked, in part or whole. To ask again, give it an `id`.
 *
 * **Example** (A refund that is retried)
 *
 * ```ts
 * import { Budget } from "effect-bulwark/budget"
 * import { Effect } from "effect"
 *
 * const refund = Budget.adjust({
 *   id: "refund/2026-0117",
 *   resource: "usd",
 *   by: "-2.50",
 *   attribution: { tenant: "acme" }
 * }).pipe(Effect.retry({ times: 3 }))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const adjust = (adjustment: Adjustment): Effect.Effect<void, StoreUnavailable, Budget> =>
  Budget.use((budget) => budget.adjust(adjustment))

/**
 * Requests that nobody has settled within their lease, the oldest first: their process died, or could not reach the store. What they
 * hold counts until someone resolves them. At most 100, if nothing else is asked for.
 *
 * @category getters
 * @since 0.1.0
 */
export const unsettled = (
  options?: { readonly limit?: number | undefined }
): Effect.Effect<ReadonlyArray<Unsettled>, StoreUnavailable, Budget> =>
  Budget.use((budget) => budget.unsettled(options?.limit ?? 100))

/**
 * Settles by hand what nobody has settled: all that it holds was `used`, or none of it. False where it was settled meanwhile.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resolve = (
  one: Unsettled,
  as: "used" | "unused"
): Effect.Effect<boolean, StoreUnavailable, Budget> => Budget.use((budget) => budget.resolve(one, as))

/**
 * Settings of {@link enforce}.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnforceOptions {
  /**
   * The longest answer of requests that set none themselves: it is set on them, so that the provider keeps to it. Without, what the
   * catalogue of `Pricing` knows as the longest answer of the model is held, or else its context window.
   */
  readonly maxOutputTokens?: number | undefined
  /**
   * What becomes of a request when the store fails or does not answer before it is sent: it fails with `StoreUnavailable` (`fail`, the
   * default), or it is sent all the same (`allow`), and booked as soon as the store can be reached, whatever the limits say by then. Either
   * way it is logged, at `References.UnhandledLogLevel`. A store that fails afterwards is no failure of the call, which has its answer.
   */
  readonly onStoreError?: "allow" | "fail" | undefined
  /**
   * What is booked for a streamed answer that broke off, or that nobody waited for, so that the provider never said what it used: the
   * input and what was seen of the answer (`seen`, the default), or the most that it can have been (`quote`). Reasoning that a provider
   * does not show is not seen.
   */
  readonly unreported?: "seen" | "quote" | undefined
}

/**
 * Settings of {@link enforce} with which a call never fails because of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface AllowingOptions extends EnforceOptions {
  readonly onStoreError: "allow"
}

/**
 * Has every request paid for.
 *
 * **Details**
 *
 * Adds `BudgetExceeded`, of which nothing was sent; `UnknownPrice`, where money is limited and a model has no price, or where nothing
 * says how long its answer can be; and `StoreUnavailable`, unless `onStoreError` is `allow`.
 *
 * They happen where the request would have been sent, and so pass through the policies inside, which go by their rows in the table of
 * errors: a retry does not repeat them, no circuit opens for them, and a fallback inside asks the next model, which is quoted at its
 * own price. `AllModelsExhausted` may have them in `failures`.
 *
 * What is booked: what the provider says that it used. Nothing, where it refused or was not reached. The most that it can be, where it
 * answered and did not say, or an answer that was asked for whole did not come. Of a stream that broke off, see `unreported`. A request
 * that was sent counts as one, whatever became of it.
 *
 * Receipts have the cost of each attempt and of the call, `rejected` for a request that was refused, and `warning` for a limit that
 * has reached one of its `warnAt`, once a window in each process; the same is logged.
 *
 * **Gotchas**
 *
 * A handler inside, of `Llm.orElseSucceed` say, gets these failures too, though its type does not say so. Put it around.
 *
 * **Example** (A loop that stops)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Budget.enforce({ maxOutputTokens: 100 }))
 *
 * const budget = Budget.layer({
 *   limits: [{ resource: "requests", limit: 3, window: Budget.calendar("day"), scope: "user" }]
 * }).pipe(Layer.provide([BudgetStore.layerMemory, Pricing.layerOf([]), TokenCount.layerEstimate()]))
 *
 * const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Once more!"))
 *
 * const stopped = await Effect.runPromise(
 *   Effect.forever(Llm.generateText(llm, { prompt: "Once more?" })).pipe(
 *     Effect.catchTag("BudgetExceeded", (error) => Effect.succeed(error.message)),
 *     Effect.provide([budget, provider.layer])
 *   )
 * )
 *
 * provider.calls.length // => 3
 * stopped.split(":")[1]!.trim() // => "the budget (user, per calendar day (UTC)) of 3 requests has no room"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const enforce: {
  (options: AllowingOptions): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | BudgetExceeded | UnknownPrice, R | Budget>
  (
    options?: EnforceOptions
  ): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | BudgetExceeded | StoreUnavailable | UnknownPrice, R | Budget>
  <E, R>(self: Llm.Llm<E, R>, options: AllowingOptions): Llm.Llm<E | BudgetExceeded | UnknownPrice, R | Budget>
  <E, R>(
    self: Llm.Llm<E, R>,
    options?: EnforceOptions
  ): Llm.Llm<E | BudgetExceeded | StoreUnavailable | UnknownPrice, R | Budget>
} = dual((args) => Llm.isLlm(args[0]), enforced)

function enforced<E, R>(
  self: Llm.Llm<E, R>,
  options: AllowingOptions
): Llm.Llm<E | BudgetExceeded | UnknownPrice, R | Budget>
function enforced<E, R>(
  self: Llm.Llm<E, R>,
  options?: EnforceOptions
): Llm.Llm<E | BudgetExceeded | StoreUnavailable | UnknownPrice, R | Budget>
function enforced<E, R>(
  self: Llm.Llm<E, R>,
  options: EnforceOptions = {}
): Llm.Llm<E | BudgetExceeded | StoreUnavailable | UnknownPrice, R | Budget> {
  const { maxOutputTokens, onStoreError = "fail", unreported = "seen" } = options
  if (maxOutputTokens !== undefined && !(Number.isInteger(maxOutputTokens) && maxOutputTokens > 0)) {
    throw new RangeError(`Budget.enforce: maxOutputTokens must be an integer of at least 1, got ${maxOutputTokens}`)
  }
  return Llm.make({
    plan: Plan.policy("budget", {
      detail: [
        maxOutputTokens === undefined ? undefined : `at most ${maxOutputTokens} tokens of output`,
        onStoreError === "allow" ? "without a store: allow" : undefined
      ].filter((detail) => detail !== undefined).join(", "),
      children: [self.plan]
    }),
    open: (call) =>
      Effect.flatMap(
        Budget,
        ({ books, counter, pricing }) =>
          self.open(cover(call, { books, counter, pricing, maxOutputTokens, onStoreError, unreported }))
      )
  })
}
