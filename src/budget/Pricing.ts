/**
 * What models cost: which prices hold for a model at a time, and what a usage costs by them.
 *
 * - {@link layer} has the list prices of the providers, as dated data, from the package `@pydantic/genai-prices`. It is an optional
 *   peer, loaded when the layer is built.
 * - {@link layerOf} has the prices you give it and no others; {@link layerExtend} puts them over those of another layer.
 * - A price is an exact decimal. A cost is a whole number of micro-dollars: the sum over all buckets, rounded once, half up.
 * - What has no price fails with `UnknownPrice`. Nothing is taken to be free unless somebody has said {@link free}.
 *
 * **Details**
 *
 * Each bucket of `Usage` has one price. What a provider does not price apart costs what it is a part of: cache reads and writes cost
 * input, writes for an hour cost other writes, reasoning costs output. Where a price has tiers, the whole request has the price of the
 * tier that its input is in, cached or not.
 *
 * **Gotchas**
 *
 * - List prices are in dollars, without tax. What a provider charges for beside tokens and requests (searches, storage of caches, seconds
 *   of sound) is not in `Usage`, and so in no cost. Pictures and sound count at the price of text.
 * - A request of a few tokens may cost less than half a micro-dollar, which is booked as 0. Where there are millions of those, add up
 *   their usage and price the sum.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { UnknownPrice } from "../core/LlmError.ts"
import type * as Money from "../core/Money.ts"
import type * as Usage from "../core/Usage.ts"
import { load } from "./internal/pricingCatalogue.ts"
import { type PriceInput, readDiscount, readPriceInput, readSince, scale, tokens } from "./internal/pricingOwn.ts"
import { costOf as costByPrice, free as freePrice, type Price, type Rates } from "./internal/pricingRates.ts"

export {
  /**
   * Rates by the size of the input: those of the last tier that begins below it hold for the whole request.
   *
   * @category models
   * @since 0.1.0
   */
  type Price,
  /**
   * A price as one writes it: US dollars for a million tokens (`request`: for each request), as numbers or, to be sure of every digit,
   * as text.
   *
   * **Details**
   *
   * Only `input` must be there. What is left out costs what it is a part of, so a model without `output` cannot be asked to write. In
   * `tiers`, what a tier does not name stays as it is without it.
   *
   * @category models
   * @since 0.1.0
   */
  type PriceInput,
  /**
   * What each bucket of `Usage` costs, in US dollars for a million tokens, and the request itself.
   *
   * @category models
   * @since 0.1.0
   */
  type Rates
}

/**
 * Knows prices.
 *
 * @category services
 * @since 0.1.0
 */
export class Pricing extends Context.Service<Pricing, {
  /** What is known of a model, with the prices that hold at the time. */
  readonly lookup: (query: Query) => Effect.Effect<Entry, UnknownPrice>
}>()("effect-bulwark/budget/Pricing") {}

/**
 * Which model, of which provider, and when.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  /** The name of the provider service, as receipts have it. */
  readonly provider: string
  /** The provider's name for the model. */
  readonly model: string
  /** The time of the request, in milliseconds since 1970. Default: now. */
  readonly at?: number | undefined
}

/**
 * Where a statement comes from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Source {
  /** A package, a page, or `application`. */
  readonly name: string
  /** The version of the package. */
  readonly version?: string | undefined
  /** The day of the data: prices that changed later are not in it. */
  readonly asOf?: string | undefined
}

/**
 * What is known of a model.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The provider that was asked about. */
  readonly provider: string
  /** The model that was asked about. */
  readonly model: string
  /** The name under which the price is listed: aliases and dated versions share one. */
  readonly id: string
  /** How many tokens the model takes in all, where that is known. */
  readonly contextWindow: number | undefined
  /** How many tokens it writes at most, where that is known. */
  readonly maxOutput: number | undefined
  /** What it costs. */
  readonly price: Price
  /** What it costs in batches, where that is known. */
  readonly batch: Price | undefined
  /** Where this comes from: the price first, then the rest. */
  readonly sources: ReadonlyArray<Source>
}

/**
 * Settings of {@link cost} and {@link costOf}.
 *
 * @category options
 * @since 0.1.0
 */
export interface CostOptions {
  /** Whether the request was one of a batch. Default: no. */
  readonly batch?: boolean | undefined
}

/**
 * Something that an application says of prices: a {@link model}, an {@link alias} or a {@link discount}.
 *
 * @category models
 * @since 0.1.0
 */
export type Override = Model | Alias | Discount

/**
 * A model with a price of one's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Model extends Applies {
  readonly _tag: "Model"
  readonly contextWindow: number | undefined
  readonly maxOutput: number | undefined
  readonly price: Price
  readonly batch: Price | undefined
  readonly source: Source
}

/**
 * A model that costs what another costs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Alias extends Applies {
  readonly _tag: "Alias"
  readonly of: { readonly provider: string; readonly model: string }
}

/**
 * Models that cost less than is said of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Discount extends Applies {
  readonly _tag: "Discount"
  readonly apply: (price: Price) => Price
}

interface Applies {
  readonly provider: string
  readonly matches: (model: string) => boolean
  readonly since: number
}

/**
 * Which models, and from when on.
 *
 * @category options
 * @since 0.1.0
 */
export interface Scope {
  /** The name of the provider service. */
  readonly provider: string
  /** The model: its name exactly, or whatever passes the test. */
  readonly model: string | ((model: string) => boolean)
  /** From when on, as an ISO date (UTC). Default: always. */
  readonly since?: string | undefined
}

const applies = (scope: Scope | Omit<Scope, "model">, where: string): Applies => {
  const model = "model" in scope ? scope.model : undefined
  return {
    provider: scope.provider,
    matches: model === undefined ? () => true : typeof model === "string" ? (name) => name === model : model,
    since: readSince(`${where}: since`, scope.since)
  }
}

/**
 * What costs nothing: a model on a machine of your own, say. Nothing else is free.
 *
 * @category constructors
 * @since 0.1.0
 */
export const free = "free" as const

/**
 * Says what a model costs, and how large it is.
 *
 * **When to use**
 *
 * For models that no catalogue has: your own deployments, new models, models on your own machines.
 *
 * **Details**
 *
 * Throws a `RangeError` that names the setting, where one makes no sense. A price that is 0 throughout is one of those: say
 * {@link free}.
 *
 * **Example** (Models of your own)
 *
 * ```ts
 * import { Pricing } from "effect-bulwark/budget"
 *
 * const mine = Pricing.layerOf([
 *   Pricing.model({ provider: "ollama", model: () => true, price: Pricing.free }),
 *   Pricing.model({
 *     provider: "my-cloud",
 *     model: "llama-3.3-70b",
 *     contextWindow: 131_072,
 *     price: { input: "0.59", output: "0.79", tiers: [{ above: 32_768, input: "0.90" }] }
 *   })
 * ])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = (
  options: Scope & {
    /** What it costs. */
    readonly price: PriceInput | typeof free
    /** What it costs in batches. Default: not known. */
    readonly batch?: PriceInput | typeof free | undefined
    /** How many tokens it takes in all. */
    readonly contextWindow?: number | undefined
    /** How many tokens it writes at most. */
    readonly maxOutput?: number | undefined
    /** Where this comes from. Default: `application`. */
    readonly source?: Source | undefined
  }
): Model => {
  const read = (what: string, price: PriceInput | typeof free): Price =>
    price === free ? freePrice : readPriceInput(`Pricing.model: ${what}`, price)
  return {
    _tag: "Model",
    ...applies(options, "Pricing.model"),
    contextWindow: tokens("Pricing.model: contextWindow", options.contextWindow),
    maxOutput: tokens("Pricing.model: maxOutput", options.maxOutput),
    price: read("price", options.price),
    batch: options.batch === undefined ? undefined : read("batch", options.batch),
    source: options.source ?? { name: "application" }
  }
}

/**
 * Says that a model is another by a name of your own, like a deployment.
 *
 * @category constructors
 * @since 0.1.0
 */
export const alias = (
  options: Scope & {
    /** The model it is. */
    readonly of: { readonly provider: string; readonly model: string }
  }
): Alias => ({ _tag: "Alias", ...applies(options, "Pricing.alias"), of: options.of })

/**
 * Says that models cost less than their price, as negotiated: `0.15` less is 85 % of it, in every bucket.
 *
 * **Details**
 *
 * Throws a `RangeError` where the discount is not from 0 up to less than 1. Without `model` it is for all models of the provider.
 *
 * @category constructors
 * @since 0.1.0
 */
export const discount = (
  options: Omit<Scope, "model"> & {
    readonly model?: Scope["model"] | undefined
    /** The part that is taken off. */
    readonly discount: Money.Decimal
  }
): Discount => {
  const left = readDiscount("Pricing.discount: discount", options.discount)
  return { _tag: "Discount", ...applies(options, "Pricing.discount"), apply: (price) => scale(price, left) }
}

type Resolved = Query & { readonly at: number }
type Find = (query: Resolved) => Effect.Effect<Entry, UnknownPrice>

const unknown = ({ model, provider }: Query) => new UnknownPrice({ provider, model })

/** The later of two that apply wins; one that builds on another sees those before it only, so there are no circles. */
const over = (overrides: ReadonlyArray<Override>, base: Find): Find =>
  overrides.reduce<Find>(
    (below, override) => (query) =>
      override.provider === query.provider && override.since <= query.at && override.matches(query.model)
        ? apply(override, query, below)
        : below(query),
    base
  )

const apply = (override: Override, query: Resolved, below: Find): Effect.Effect<Entry, UnknownPrice> => {
  const { model, provider } = query
  switch (override._tag) {
    case "Model": {
      const { batch, contextWindow, maxOutput, price, source } = override
      return Effect.succeed({ provider, model, id: model, contextWindow, maxOutput, price, batch, sources: [source] })
    }
    case "Alias":
      return below({ ...override.of, at: query.at }).pipe(
        Effect.map((entry) => ({ ...entry, provider, model })),
        Effect.mapError(() => unknown(query))
      )
    case "Discount":
      return Effect.map(below(query), (entry) => ({
        ...entry,
        price: override.apply(entry.price),
        batch: entry.batch === undefined ? undefined : override.apply(entry.batch),
        sources: [...entry.sources, { name: "application" }]
      }))
  }
}

const service = (find: Find): Pricing["Service"] =>
  Pricing.of({
    lookup: (query) =>
      query.at === undefined
        ? Effect.flatMap(Clock.currentTimeMillis, (at) => find({ ...query, at }))
        : find({ ...query, at: query.at })
  })

/**
 * Settings of {@link layer}.
 *
 * @category options
 * @since 0.1.0
 */
export interface CatalogueOptions {
  /**
   * Which provider of the catalogue stands behind a name of your own: `{ "my-azure": "azure" }`. Its own names (`openai`, `anthropic`,
   * `google`, `azure`, `aws`, `openrouter`, `groq`, `mistral`, ...) and common other ones (`gemini`, `vertex`, `bedrock`, `xai`) need
   * none.
   */
  readonly providers?: { readonly [name: string]: string } | undefined
  /** What you say of prices yourself: it is before the catalogue, and of two that apply the later wins. */
  readonly overrides?: ReadonlyArray<Override> | undefined
  /** The day of the data, where you have given the package other data than it came with (`updatePrices`). */
  readonly asOf?: string | undefined
}

/**
 * The list prices of the providers.
 *
 * **Details**
 *
 * They come from `@pydantic/genai-prices`, whose rules say which model a name means, and which price holds when. Its names of providers
 * are matched whole: what only resembles one is unknown. Without the package the layer dies with an error that says how to mend that;
 * with a name in `providers` that stands for none of the catalogue's, too.
 *
 * **Example** (The price of a call)
 *
 * ```ts
 * import { Pricing } from "effect-bulwark/budget"
 * import { Money } from "effect-bulwark"
 * import { Effect } from "effect"
 *
 * const usage = { inputUncached: 1_000, inputCacheRead: 9_000, inputCacheWrite: 0, outputText: 500, outputReasoning: 0 }
 *
 * const program = Effect.gen(function*() {
 *   return Money.format(yield* Pricing.cost({ provider: "openai", model: "gpt-5-mini" }, usage))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Pricing.layer())) // => "$0.001475"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: CatalogueOptions): Layer.Layer<Pricing> => {
  const { asOf, overrides = [], providers = {} } = options ?? {}
  return Layer.effect(
    Pricing,
    Effect.gen(function*() {
      const catalogue = yield* load({ asOf })
      for (const [name, provider] of Object.entries(providers)) {
        if (catalogue.provider(provider) === undefined) {
          return yield* Effect.die(
            new RangeError(
              `Pricing.layer: providers.${name}: the catalogue has no provider ${JSON.stringify(provider)}`
            )
          )
        }
      }
      return service(over(overrides, (query) => {
        const { at, model, provider } = query
        const name = Object.hasOwn(providers, provider) ? providers[provider] ?? provider : provider
        const known = catalogue.model(name, model, at)
        return known === undefined ? Effect.fail(unknown(query)) : Effect.succeed({ ...known, provider, model })
      }))
    })
  )
}

/**
 * The prices you give, and no others.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOf = (overrides: ReadonlyArray<Override>): Layer.Layer<Pricing> =>
  Layer.succeed(Pricing, service(over(overrides, (query) => Effect.fail(unknown(query)))))

/**
 * Puts what you say of prices over what another layer knows.
 *
 * **When to use**
 *
 * Where the two come from different places: `Pricing.layerExtend(ours).pipe(Layer.provide(Pricing.layer()))`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerExtend = (overrides: ReadonlyArray<Override>): Layer.Layer<Pricing, never, Pricing> =>
  Layer.effect(Pricing, Effect.map(Pricing, (below) => service(over(overrides, below.lookup))))

/**
 * What is known of a model: its prices at the time, its window, its longest answer, and how old that knowledge is.
 *
 * @category getters
 * @since 0.1.0
 */
export const lookup = (query: Query): Effect.Effect<Entry, UnknownPrice, Pricing> =>
  Effect.flatMap(Pricing, (pricing) => pricing.lookup(query))

/**
 * What the usage of one request costs.
 *
 * @category combinators
 * @since 0.1.0
 */
export const cost = (
  query: Query,
  usage: Usage.Usage,
  options?: CostOptions
): Effect.Effect<Money.MicroUsd, UnknownPrice, Pricing> =>
  Effect.flatMap(lookup(query), (entry) => costOf(entry, usage, options))

/**
 * What the usage of one request costs by an entry at hand.
 *
 * **Details**
 *
 * Fails with `UnknownPrice` where there are tokens without a price: output of a model that is known for its input only, or a batch
 * where the price in batches is not known.
 *
 * **Gotchas**
 *
 * Tiers go by the input of one request. The cost of several requests is the sum of their costs, not the cost of the sum.
 *
 * @category combinators
 * @since 0.1.0
 */
export const costOf = (
  entry: Entry,
  usage: Usage.Usage,
  options?: CostOptions
): Effect.Effect<Money.MicroUsd, UnknownPrice> => {
  const { model, provider } = entry
  const price = options?.batch === true ? entry.batch : entry.price
  if (price === undefined) return Effect.fail(new UnknownPrice({ provider, model, missing: "batch" }))
  return Effect.mapError(
    Effect.fromOption(costByPrice(price, usage)),
    () => new UnknownPrice({ provider, model, missing: "output" })
  )
}
