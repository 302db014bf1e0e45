/**
 * Traffic of an application over months: days and nights, weekends, a batch at night, sessions of agents, noise.
 */
import { Effect, Random } from "effect"
import { Money, type Receipt, Usage } from "effect-bulwark"

export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** A Monday. */
export const start = Date.parse("2026-01-05T00:00:00Z")

/** What one feature does. */
export interface Stream {
  readonly feature: string
  readonly model: string
  /** Calls a minute at a time. */
  readonly rate: (at: number) => number
  /** Tokens of a typical call at a time, and how much they vary (the standard deviation of their logarithm). */
  readonly tokens: (at: number) => number
  readonly noise: number
  /** Micro-dollars a token. */
  readonly price: number
  /** The share of calls that fail at a time. */
  readonly errors: (at: number) => number
  /** What is asked, if always the same. */
  readonly fingerprint?: (at: number) => string | undefined
}

/** One call, and when it is over. */
export interface Call {
  readonly at: number
  readonly receipt: Receipt.Receipt
  readonly fingerprint: string | undefined
}

let id = 0

export const receiptOf = (options: {
  readonly at: number
  readonly feature?: string
  readonly tenant?: string
  readonly user?: string
  readonly model?: string
  readonly tokens?: number
  readonly cost?: number
  readonly outcome?: string
}): Receipt.Receipt => {
  const outcome = options.outcome ?? "success"
  const usage = options.tokens === undefined ? undefined : { ...Usage.zero, inputUncached: options.tokens }
  const cost = options.cost === undefined ? undefined : { cost: Money.MicroUsd.make(options.cost) }
  return {
    operationId: `op_${id++}`,
    attribution: {
      ...(options.feature === undefined ? undefined : { feature: options.feature }),
      ...(options.tenant === undefined ? undefined : { tenant: options.tenant }),
      ...(options.user === undefined ? undefined : { user: options.user })
    },
    startedAt: options.at - 500,
    outcome,
    degraded: false,
    attempts: [{
      provider: "openai",
      model: options.model ?? "gpt-5-mini",
      startMillis: 0,
      durationMillis: 500,
      outcome,
      ...(usage === undefined ? undefined : { usage }),
      ...cost
    }],
    events: [],
    usage: usage ?? Usage.zero,
    ...cost,
    timings: { totalMillis: 500 }
  }
}

/** How busy it is: from a tenth at night to all by day, and half of it at weekends. */
export const rhythm = (at: number): number => {
  const time = (at % day) / day
  const daily = 0.1 +
    0.9 * Math.max(0, Math.sin(Math.PI * (time * 24 - 6) / 14)) * (time * 24 >= 6 && time * 24 < 20 ? 1 : 0)
  const weekday = new Date(at).getUTCDay()
  return daily * (weekday === 0 || weekday === 6 ? 0.5 : 1)
}

/** As most applications are: five features, of which some are busy and some are not. */
export const usual: ReadonlyArray<Stream> = [
  {
    feature: "chat",
    model: "gpt-5-mini",
    rate: (at) => 5 * rhythm(at),
    tokens: () => 4_000,
    noise: 0.9,
    price: 2.5,
    errors: () => 0.01
  },
  {
    feature: "chat",
    model: "gpt-5",
    rate: (at) => 1.2 * rhythm(at),
    tokens: () => 5_000,
    noise: 0.9,
    price: 15,
    errors: () => 0.02
  },
  {
    feature: "search",
    model: "gpt-5-mini",
    rate: (at) => 2 * rhythm(at),
    tokens: () => 9_000,
    noise: 0.3,
    price: 2,
    errors: () => 0.005
  },
  {
    feature: "reports",
    model: "gpt-5",
    // An hour at night, and no call by day.
    rate: (at) => at % day < 3 * hour && at % day >= 2 * hour ? 12 : 0,
    tokens: () => 12_000,
    noise: 0.5,
    price: 8,
    errors: () => 0.01
  },
  {
    feature: "contracts",
    model: "gpt-5",
    rate: () => 5 / 1_440,
    tokens: () => 60_000,
    noise: 0.7,
    price: 10,
    errors: () => 0.02
  }
]

interface Chance {
  readonly nextDoubleUnsafe: () => number
}

const normal = (random: Chance): number =>
  Math.sqrt(-2 * Math.log(1 - random.nextDoubleUnsafe())) * Math.cos(2 * Math.PI * random.nextDoubleUnsafe())

const poisson = (random: Chance, mean: number): number => {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random.nextDoubleUnsafe(); product > limit; product *= random.nextDoubleUnsafe()) count++
  return count
}

/** The calls of a time, minute by minute. */
export const calls = function*(
  random: Chance,
  streams: ReadonlyArray<Stream>,
  from: number,
  to: number
): Generator<Call> {
  // Sessions of agents: a score of calls one after the other, each longer than the one before.
  let session = 0
  for (let at = from; at < to; at += minute) {
    for (const stream of streams) {
      const count = poisson(random, stream.rate(at))
      for (let n = 0; n < count; n++) {
        const ended = at + Math.floor((n + random.nextDoubleUnsafe()) * minute / count)
        const failed = random.nextDoubleUnsafe() < stream.errors(at)
        const tokens = Math.max(1, Math.round(stream.tokens(at) * Math.exp(stream.noise * normal(random))))
        yield {
          at: ended,
          receipt: receiptOf({
            at: ended,
            feature: stream.feature,
            model: stream.model,
            ...(failed ? { outcome: "Overloaded" } : { tokens, cost: Math.round(tokens * stream.price) })
          }),
          fingerprint: stream.fingerprint?.(at) ?? `${stream.feature}${random.nextDoubleUnsafe()}`
        }
      }
    }
    if (session === 0 && random.nextDoubleUnsafe() < rhythm(at) / 40) {
      session = 3 + Math.floor(random.nextDoubleUnsafe() * 8)
    }
    if (session > 0) {
      session--
      for (let n = 0; n < 3; n++) {
        const tokens = Math.round(6_000 + 20_000 * random.nextDoubleUnsafe())
        const ended = at + n * 20_000
        yield {
          at: ended,
          receipt: receiptOf({ at: ended, feature: "agent", model: "gpt-5", tokens, cost: tokens * 6 }),
          fingerprint: `agent${random.nextDoubleUnsafe()}`
        }
      }
    }
  }
}

/** Chance that is the same each time. */
export const chance = (seed: string | number): Chance => Effect.runSync(Random.withSeed(Random.Random, seed))
