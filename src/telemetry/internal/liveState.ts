/**
 * What a live view knows at one moment, as plain data.
 */
import * as Schema from "effect/Schema"
import * as Money from "../../core/Money.ts"
import * as Receipt from "../../core/Receipt.ts"
import { Counts } from "./liveTally.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

export const Phase = Schema.Literals([
  "starting",
  "queued",
  "sending",
  "receiving",
  "retrying",
  "sharing",
  "between"
])

export const InFlight = Schema.Struct({
  /** The id that its receipt will have. */
  id: Schema.String,
  /** The part of the application that it was made for. */
  feature: Schema.optionalKey(Schema.String),
  /** Whether its answer is read as it comes. */
  stream: Schema.Boolean,
  /** Whether nobody waits for it but a cache, which renews an answer. */
  refresh: Schema.Boolean,
  /** When it began, in milliseconds since 1970. */
  startedAt: Schema.Finite,
  /** How long it has taken so far, in milliseconds. */
  elapsedMillis: Schema.Finite,
  /** The provider of the request that is shown: of several at once, the one that has brought the most. */
  provider: Schema.optionalKey(Schema.String),
  /** The model of that request. */
  model: Schema.optionalKey(Schema.String),
  /** How many requests it has sent so far. */
  requests: Count,
  /** How many of them are under way. */
  running: Count,
  /**
   * What it waits for: nothing was sent so far (`starting`), its turn at a limiter (`queued`), the first part of an answer (`sending`), the
   * next one (`receiving`), the delay before a retry (`retrying`), a request of another call (`sharing`), or nothing is under way after
   * requests were (`between`).
   */
  phase: Phase,
  /** How long it has waited for that, in milliseconds. */
  phaseMillis: Schema.Finite,
  /** How long the delay before a retry still is, in milliseconds. */
  leftMillis: Schema.optionalKey(Schema.Finite),
  /** What it waits for by name: the limiter, or the tag of the failure before a retry. */
  on: Schema.optionalKey(Schema.String),
  /** How many parts of the answer have come. */
  parts: Count,
  /** How many characters there are in them: of words, reasoning and parameters of tools. */
  characters: Count
})

export const Finished = Schema.Struct({
  /** The id of its receipt. */
  id: Schema.String,
  /** The part of the application that it was made for. */
  feature: Schema.optionalKey(Schema.String),
  /** Whether nobody waited for it but a cache, which renewed an answer. */
  refresh: Schema.Boolean,
  /** The provider that served it, or that was asked last. */
  provider: Schema.optionalKey(Schema.String),
  /** The model that served it, or that was asked last. */
  model: Schema.optionalKey(Schema.String),
  /** How it ended. */
  outcome: Receipt.Outcome,
  /** Whether the answer came from no model. */
  degraded: Schema.Boolean,
  /** When it ended, in milliseconds since 1970. */
  endedAt: Schema.Finite,
  /** How long it took, in milliseconds. */
  tookMillis: Schema.Finite,
  /** How long its first part took, in milliseconds. */
  firstPartMillis: Schema.optionalKey(Schema.Finite),
  /** How many requests are on its receipt. */
  requests: Count,
  /** Tokens of the prompts of all of them. */
  inputTokens: Count,
  /** Tokens of the answers of all of them. */
  outputTokens: Count,
  /** What they cost, where that is known of each, in micro-dollars. */
  cost: Schema.optionalKey(Money.MicroUsd),
  /** What a cache did for it. */
  cache: Schema.optionalKey(Receipt.CacheResult)
})

export const Circuit = Schema.Struct({
  /** Its key. */
  circuit: Schema.String,
  /** Its state: `Closed`, `HalfOpen` or `Open`. */
  state: Schema.String,
  /** Since when it is known to be in that state, in milliseconds since 1970. */
  since: Schema.Finite
})

export const BudgetUse = Schema.Struct({
  /** For whom, in words. */
  scope: Schema.String,
  /** What is limited: `usd`, `tokens` or `requests`. */
  resource: Schema.String,
  /** In what time, in words. */
  window: Schema.String,
  /** The feature, of a limit for each. */
  feature: Schema.optionalKey(Schema.String),
  /** What is used up, with what is held for requests under way. Of money, in micro-dollars. */
  used: Schema.Finite,
  /** How much there is. Of money, in micro-dollars. */
  limit: Schema.Finite
})

export const Queue = Schema.Struct({
  /** The key of the limiter. */
  limiter: Schema.String,
  /** How many calls with a user in front of them wait. */
  interactive: Count,
  /** How many others wait. */
  batch: Count
})

export const State = Schema.Struct({
  /** When it was like this, in milliseconds since 1970. */
  at: Schema.Finite,
  /** Since when it has been counted, in milliseconds since 1970. */
  since: Schema.Finite,
  /** How many calls are in flight. */
  running: Count,
  /** The calls in flight, the oldest first, as many as the view shows at most. */
  inFlight: Schema.Array(InFlight),
  /** The calls that ended last, the last one first. */
  finished: Schema.Array(Finished),
  /** Everything that was counted. */
  total: Counts,
  /** What was counted in the last 60 seconds. */
  lastMinute: Counts,
  /** What was counted in each of the last 60 minutes, the oldest first; `at` is when it began. The last one is not over. */
  minutes: Schema.Array(Schema.Struct({ at: Schema.Finite, ...Counts.fields })),
  /** The circuits that calls have asked, as last seen. */
  circuits: Schema.Array(Circuit),
  /** The limits of budgets that all calls share, or all of one feature, as last seen. */
  budgets: Schema.Array(BudgetUse),
  /** The limiters at which calls have waited, as last seen. */
  queues: Schema.Array(Queue)
})

export type Phase = typeof Phase.Type
export type InFlight = typeof InFlight.Type
export type Finished = typeof Finished.Type
export type Circuit = typeof Circuit.Type
export type BudgetUse = typeof BudgetUse.Type
export type Queue = typeof Queue.Type
export type State = typeof State.Type
