/**
 * The catalogue: the package that carries the prices, in our own words. Which model a name means, and which of its prices holds
 * when, is for the package to say.
 */
import type * as Catalogue from "@pydantic/genai-prices"
import * as BigDecimal from "effect/BigDecimal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Fact, factsOf } from "./pricingFacts.ts"
import { isFree, mapRates, type Price, priceOf, resolve, type Said } from "./pricingRates.ts"

const name = "@pydantic/genai-prices"

/** Where a statement comes from. */
export interface Source {
  readonly name: string
  readonly version?: string | undefined
  readonly asOf?: string | undefined
}

/** What the catalogue knows of a model. */
export interface Known {
  readonly id: string
  readonly contextWindow: number | undefined
  readonly maxOutput: number | undefined
  readonly price: Price
  readonly batch: Price | undefined
  readonly sources: ReadonlyArray<Source>
}

/** Finds models. */
export interface Finder {
  /** The catalogue's own name of a provider, where it knows the provider. */
  readonly provider: (name: string) => string | undefined
  /** A model of a provider of the catalogue, at a time in milliseconds. */
  readonly model: (provider: string, model: string, at: number) => Known | undefined
}

/** Names that many use, and what the catalogue calls them. It knows its own names besides. */
const names: { readonly [name: string]: string } = {
  "amazon-bedrock": "aws",
  "azure-openai": "azure",
  bedrock: "aws",
  claude: "anthropic",
  gemini: "google",
  "google-vertex": "google",
  moonshot: "moonshotai",
  "together-ai": "together",
  togetherai: "together",
  vertex: "google",
  xai: "x-ai"
}

/** The versions of the package whose day of publication is known: their prices are of that day or before. */
export const published: { readonly [version: string]: string } = { "0.1.8": "2026-09-23" }

type Package = typeof Catalogue

/** Loads the package. It is an optional peer: to be without it is a mistake of who set the program up, and so a defect. */
export const load = (
  options: { readonly asOf: string | undefined },
  importPackage: () => Promise<Package> = () => import("@pydantic/genai-prices")
): Effect.Effect<Finder> =>
  Effect.gen(function*() {
    const found = yield* Effect.tryPromise(importPackage).pipe(
      Effect.mapError(({ cause }) =>
        new Error(
          `Pricing.layer: the package ${name}, which carries the prices, cannot be loaded. Install it (npm install ${name}), ` +
            "or give the prices yourself with Pricing.layerOf",
          { cause }
        )
      ),
      Effect.orDie
    )
    const version = options.asOf === undefined ? yield* installedVersion : undefined
    return make(found, {
      name,
      version,
      asOf: options.asOf ??
        (version !== undefined && Object.hasOwn(published, version) ? published[version] : undefined)
    })
  })

/** What is used of Node, where this runs on it: the library itself does without its types. */
interface Builtins {
  readonly "node:module": { readonly createRequire: (url: string) => { readonly resolve: (name: string) => string } }
  readonly "node:fs": { readonly readFileSync: (path: URL, encoding: "utf8") => string }
  readonly "node:url": { readonly pathToFileURL: (path: string) => URL }
}

const builtin = <Name extends keyof Builtins>(name: Name): Builtins[Name] => {
  const { process } = globalThis as {
    readonly process?: { readonly getBuiltinModule?: (name: string) => unknown }
  }
  const found = process?.getBuiltinModule?.(name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  return found as Builtins[Name]
}

// The package does not export what it says of itself, and within a bundle there is nothing to read.
const installedVersion: Effect.Effect<string | undefined> = Effect.try(() => {
  const main = builtin("node:module").createRequire(import.meta.url).resolve(name)
  const file = new URL("../package.json", builtin("node:url").pathToFileURL(main))
  const about: unknown = JSON.parse(builtin("node:fs").readFileSync(file, "utf8"))
  return typeof about === "object" && about !== null && "version" in about && typeof about.version === "string"
    ? about.version
    : undefined
}).pipe(Effect.orElseSucceed(() => undefined))

/** How many models are remembered: names come from callers. */
const remembered = 1_000

const make = (found: Package, source: Source): Finder => {
  const providerOf = (asked: string): Catalogue.Provider | undefined => {
    const id = asked.trim().toLowerCase()
    const providerId = Object.hasOwn(names, id) ? names[id] : id
    if (providerId === undefined) return undefined
    // The package takes whatever contains a name for it; money is not guessed.
    const provider = found.findProvider({ providerId })
    return provider?.id === providerId ? provider : undefined
  }

  const prices = new WeakMap<Catalogue.ModelPrice, Option.Option<Price>>()
  const priceOfModel = (said: Catalogue.ModelPrice): Option.Option<Price> => {
    let price = prices.get(said)
    if (price === undefined) prices.set(said, price = readPrice(said))
    return price
  }

  const find = (provider: string, model: string, at: number) => {
    // It throws where its own data is at odds with itself. Then it knows no price.
    const quote = Option.getOrUndefined(
      Option.liftThrowable(() => found.calcPrice({}, model, { providerId: provider, timestamp: new Date(at) }))()
    )
    if (quote === undefined || quote === null) return { known: undefined, always: quote === null }
    const always = !Array.isArray(quote.model.prices)
    const price = Option.getOrUndefined(priceOfModel(quote.model_price))
    return { known: price === undefined ? undefined : describe(provider, model, quote.model, price, source), always }
  }

  // A match takes up to 0.2 ms, so what does not depend on the time is remembered, for as long as the package's data is the same.
  const memory = new Map<string, { readonly provider: Catalogue.Provider; readonly known: Known | undefined }>()

  return {
    provider: (asked) => providerOf(asked)?.id,
    model: (asked, model, at) => {
      const provider = providerOf(asked)
      if (provider === undefined) return undefined
      const key = `${provider.id} ${model}`
      const hit = memory.get(key)
      if (hit?.provider === provider) return hit.known
      const { always, known } = find(provider.id, model, at)
      if (always) {
        if (memory.size >= remembered) memory.clear()
        memory.set(key, { provider, known })
      }
      return known
    }
  }
}

const describe = (
  provider: string,
  model: string,
  info: Catalogue.ModelInfo,
  price: Price,
  source: Source
): Known => {
  const facts = factsOf(provider, model)
  const batch = facts.find((fact) => fact.batch !== undefined)?.batch
  return {
    id: info.id,
    contextWindow: info.context_window,
    maxOutput: facts.find((fact) => fact.maxOutput !== undefined)?.maxOutput,
    price,
    batch: batch === undefined ? undefined : batchOf(price, batch),
    sources: [source, ...facts.map((fact) => ({ name: fact.source, asOf: fact.asOf }))]
  }
}

const batchOf = (price: Price, { except = [], share }: NonNullable<Fact["batch"]>): Price => {
  const factor = BigDecimal.fromStringUnsafe(share)
  return mapRates(
    price,
    (rate, name) => except.some((kept) => kept === name) ? rate : BigDecimal.multiply(rate, factor)
  )
}

// For what `Usage` counts. Prices for what it does not (searches, sounds, pictures, hours) are of no use here.
const keys = {
  input: "input_mtok",
  cacheRead: "cache_read_mtok",
  cacheWrite: "cache_write_mtok",
  cacheWrite1h: "cache_write_1h_mtok",
  output: "output_mtok",
  reasoning: "output_reasoning_mtok",
  request: "requests_kcount"
} as const

const thousandth = BigDecimal.fromStringUnsafe("0.001")

/** Reads a price, where it is one for tokens. One that says nothing, or that all is for nothing, is none. */
export const readPrice = (said: Catalogue.ModelPrice): Option.Option<Price> =>
  Option.liftThrowable(() => {
    const starts = new Set(
      Object.values(keys).flatMap((key) => {
        const value = said[key]
        return typeof value === "object" ? value.tiers.map(({ start }) => start) : []
      })
    )
    const price = priceOf(
      ratesAbove(said, undefined),
      [...starts].map((above) => ({ above, rates: ratesAbove(said, above) }))
    )
    if (isFree(price)) throw new RangeError("free, or not known")
    return price
  })()

const ratesAbove = (said: Catalogue.ModelPrice, above: number | undefined) => {
  const rate = (name: keyof typeof keys): BigDecimal.BigDecimal | undefined => {
    const value = said[keys[name]]
    if (value === undefined) return undefined
    const number = typeof value === "number" ? value : tierOf(value, above)
    if (!(number >= 0)) throw new RangeError(`${keys[name]} is ${number}`)
    const exact = BigDecimal.fromNumberUnsafe(number)
    return name === "request" ? BigDecimal.multiply(exact, thousandth) : exact
  }
  const input = rate("input")
  if (input === undefined) throw new RangeError("no price for input")
  const rates: Said<BigDecimal.BigDecimal> = {
    input,
    cacheRead: rate("cacheRead"),
    cacheWrite: rate("cacheWrite"),
    cacheWrite1h: rate("cacheWrite1h"),
    output: rate("output"),
    reasoning: rate("reasoning"),
    request: rate("request")
  }
  return resolve(rates)
}

const tierOf = ({ base, tiers }: Catalogue.TieredPrices, above: number | undefined): number =>
  above === undefined
    ? base
    : tiers.filter(({ start }) => start <= above).reduce(
      (highest, tier) => tier.start >= highest.start ? tier : highest,
      { start: -1, price: base }
    ).price
