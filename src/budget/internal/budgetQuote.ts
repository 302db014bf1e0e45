/**
 * What a request can cost at most, and what it did cost.
 */
import * as Effect from "effect/Effect"
import type { Asked, Ending, Settings } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"
import * as Money from "../../core/Money.ts"
import * as Usage from "../../core/Usage.ts"
import { neverConnected } from "../../providers/internal/classifyTransport.ts"
import * as Pricing from "../Pricing.ts"
import type { TokenCount } from "../TokenCount.ts"
import { answersOf, boundOf } from "./budgetBound.ts"
import type { Resource } from "./budgetLimits.ts"

/** How much of each resource. */
export interface Amounts {
  readonly usd: number
  readonly tokens: number
  readonly requests: number
}

export const nothing: Amounts = { usd: 0, tokens: 0, requests: 0 }

export interface Quote {
  /** The most that the request can use. */
  readonly most: Amounts
  readonly input: number
  readonly output: number
  /** Its prices at the time of the quote, where they are known. */
  readonly price: Pricing.Entry | undefined
  /** What to send it with. */
  readonly settings: Settings
}

export interface Quoting {
  readonly pricing: Pricing.Pricing["Service"]
  readonly counter: TokenCount
  /** Which resources are limited. */
  readonly limited: ReadonlySet<Resource>
  /** The bound that is set where the request has none. */
  readonly maxOutputTokens: number | undefined
}

/** Quotes a request at the price of its own model. */
export const quote = (asked: Asked, quoting: Quoting): Effect.Effect<Quote, LlmError.UnknownPrice> =>
  Effect.gen(function*() {
    const { model, provider, request } = asked
    const { limited } = quoting
    const found = yield* Effect.result(quoting.pricing.lookup({ provider, model }))
    if (found._tag === "Failure" && limited.has("usd")) return yield* found.failure
    const price = found._tag === "Success" ? found.success : undefined
    if (!limited.has("usd") && !limited.has("tokens")) {
      return { most: { ...nothing, requests: 1 }, input: 0, output: 0, price, settings: request.settings }
    }
    const own = boundOf(request.settings)
    const settings = own === undefined && quoting.maxOutputTokens !== undefined
      ? { ...request.settings, maxOutputTokens: quoting.maxOutputTokens }
      : request.settings
    const bound = own ?? quoting.maxOutputTokens ?? price?.maxOutput ?? price?.contextWindow
    if (bound === undefined) return yield* new LlmError.UnknownPrice({ provider, model, missing: "bound" })
    const input = atMostSafe((yield* quoting.counter.count({ ...request, provider, model })).tokens)
    const output = atMostSafe(bound * answersOf(settings))
    const usd = price === undefined ? 0 : yield* Effect.catch(
      highest(price, input, output),
      (error) => limited.has("usd") ? Effect.fail(error) : Effect.succeed(0)
    )
    const tokens = atMostSafe(input + output)
    return { most: { usd, tokens, requests: 1 }, input, output, price, settings }
  })

/** A number that stores and prices take, whatever a counter or a server says. */
const atMostSafe = (amount: number): number => Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(amount))

const inputBuckets = ["inputUncached", "inputCacheRead", "inputCacheWrite", "inputCacheWrite1h"] as const
const outputBuckets = ["outputText", "outputReasoning"] as const

/**
 * The most that so many tokens can cost: all of them in the bucket that costs most. An input of fewer tokens may be in a tier that
 * costs more for each of them, and so the last one of each tier is looked at too.
 */
const highest = (
  price: Pricing.Entry,
  input: number,
  output: number
): Effect.Effect<number, LlmError.UnknownPrice> => {
  const inputs = [input, ...price.price.tiers.map(({ above }) => above).filter((above) => above > 0 && above < input)]
  const usages = inputs.flatMap((tokens) =>
    inputBuckets.flatMap((bucket) =>
      outputBuckets.map((other): Usage.Usage => Object.assign({ ...Usage.zero }, { [bucket]: tokens, [other]: output }))
    )
  )
  return Effect.map(
    Effect.forEach(usages, (usage) => Pricing.costOf(price, usage)),
    (costs) => Math.max(...costs)
  )
}

// With these the provider has refused: it charges nothing. What else goes wrong may have come after it had begun to work.
const free: ReadonlySet<string> = new Set([
  "RateLimited",
  "QuotaExhausted",
  "Overloaded",
  "ServerError",
  "AuthenticationFailed",
  "PermissionDenied",
  "ModelNotFound",
  "InvalidRequest",
  "ContextLengthExceeded"
])

const isFree = (error: unknown): boolean => {
  const tag = LlmError.tagOf(error)
  return tag !== undefined && (free.has(tag) ||
    (error instanceof LlmError.ContentFiltered && error.stage === "prompt") ||
    // One that broke later may have carried the request there.
    (error instanceof LlmError.ConnectionFailed && neverConnected(error.code)))
}

/** What a request has used, and whether somebody has said so. */
export interface Spent {
  readonly amounts: Amounts
  readonly cost: Money.MicroUsd | undefined
  readonly estimated: boolean
}

/** What a request has used of which nothing is known: the most that it can have. */
export const atMost = ({ most, price }: Quote): Spent => ({
  amounts: most,
  cost: price === undefined ? undefined : Money.MicroUsd.make(most.usd),
  estimated: true
})

/** What a request has used, by its end. */
export const spent = (
  asked: Asked,
  quoted: Quote,
  ending: Ending,
  options: { readonly counter: TokenCount; readonly unreported: "seen" | "quote" }
): Effect.Effect<Spent> => {
  const { price } = quoted
  const ofUsage = (usage: Usage.Usage, estimated: boolean): Effect.Effect<Spent> => {
    const tokens = atMostSafe(Usage.input(usage) + Usage.output(usage))
    const of = (cost: Money.MicroUsd | undefined, estimated: boolean): Spent => ({
      amounts: { usd: cost ?? 0, tokens, requests: 1 },
      cost,
      estimated
    })
    if (price === undefined) return Effect.succeed(of(undefined, estimated))
    return Effect.match(Pricing.costOf(price, usage), {
      onSuccess: (cost) => of(cost, estimated),
      // Tokens that have no price: what was held for them stands.
      onFailure: () => of(Money.MicroUsd.make(quoted.most.usd), true)
    })
  }
  const theQuote = atMost(quoted)
  if (ending.usage !== undefined) return ofUsage(ending.usage, false)
  const seen = ending.seen()
  if (seen === "" && isFree(ending.error)) {
    return Effect.succeed({
      amounts: { ...nothing, requests: 1 },
      cost: price === undefined ? undefined : Money.zero,
      estimated: false
    })
  }
  if (ending.whole || options.unreported === "quote" || asked.transport === "whole") return Effect.succeed(theQuote)
  return Effect.flatMap(
    options.counter.countText(asked, seen),
    ({ tokens: output }) =>
      ofUsage(
        { ...Usage.zero, inputUncached: quoted.input, outputText: Math.min(atMostSafe(output), quoted.output) },
        true
      )
  )
}
