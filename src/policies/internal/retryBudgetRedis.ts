/**
 * A bucket of permissions in Redis, which a fleet of processes shares.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { reportUnhandled } from "./reportUnhandled.ts"
import type { Bucket } from "./retryBudgetBucket.ts"
import { type Limits, makeBucket as makeMemoryBucket } from "./retryBudgetMemory.ts"

export interface Store {
  readonly redis: Redis.Redis["Service"]
  readonly prefix: string
  readonly timeout: Duration.Duration
  readonly onError: "local" | "deny"
}

/** A bucket that is full as long as Redis knows nothing of it. */
export const makeBucket = (key: string, limits: Limits, store: Store): Bucket => {
  const run = store.redis.eval(script)
  const local = makeMemoryBucket(limits)
  const redisKey = `${store.prefix}${key}`

  // Deposits that Redis has yet to hear of, and when the first and the last one of them was made.
  let pending = 0
  let firstAt = 0
  let lastAt = 0

  const step = <A>(
    cost: 0 | 1,
    read: (result: Result) => A,
    otherwise: Effect.Effect<A>
  ): Effect.Effect<A> =>
    Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const deposit = pending
      // Taken before it is sent, so that two at once do not send it twice. Where the store fails it is lost: what is paid
      // in twice would be load that nobody allowed.
      pending = 0
      const ages = deposit === 0 ? [0, 0] as const : [Math.max(0, now - firstAt), Math.max(0, now - lastAt)] as const
      return run(redisKey, limits.capacity, limits.perSecond, cost, deposit, ...ages).pipe(
        Effect.map(read),
        Effect.timeoutOrElse({
          duration: store.timeout,
          orElse: () => Effect.fail(new Cause.TimeoutError("Redis did not answer in time"))
        }),
        Effect.catch((error) =>
          Effect.andThen(reportUnhandled("RetryBudget could not reach its store", Cause.fail(error)), otherwise)
        )
      )
    })

  return {
    withdraw: step(1, ([granted]) => granted === 1, store.onError === "local" ? local.withdraw : Effect.succeed(false)),
    deposit: Effect.andThen(
      local.deposit,
      Clock.clockWith((clock) => {
        lastAt = clock.currentTimeMillisUnsafe()
        if (pending === 0) firstAt = lastAt
        pending += limits.ratio
        return Effect.void
      })
    ),
    remaining: step(0, ([, tokens]) => Number(tokens), store.onError === "local" ? local.remaining : Effect.succeed(0))
  }
}

type Result = readonly [granted: number, remaining: string]

// A process may not have withdrawn for hours, and its deposits of all that time come with the first withdrawal of an outage.
// Those made while the bucket was full would have flowed over, so that only what came after `fullAt`, the last time the bucket
// was known to be full, counts; deposits are taken to be spread evenly from the first to the last. Ages, and not times, cross
// the wire, so that the clocks of the processes do not matter.
//
// An absent bucket is a full one: it expires when it would be full.
const script = Redis.script(
  (
    key: string,
    capacity: number,
    perSecond: number,
    cost: 0 | 1,
    deposit: number,
    firstAge: number,
    lastAge: number
  ) => [key, capacity, perSecond, cost, deposit, firstAge, lastAge],
  {
    numberOfKeys: 1,
    lua: `
local key = KEYS[1]
local capacity = tonumber(ARGV[1])
local perSecond = tonumber(ARGV[2])
local cost = tonumber(ARGV[3])
local deposit = tonumber(ARGV[4])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local first = now - tonumber(ARGV[5])
local last = now - tonumber(ARGV[6])

local fields = redis.call("HMGET", key, "tokens", "filledAt", "fullAt")
local tokens = tonumber(fields[1]) or capacity
local filledAt = tonumber(fields[2]) or now
local fullAt = tonumber(fields[3]) or now

if last <= fullAt then
  deposit = 0
elseif first < fullAt then
  deposit = deposit * (last - fullAt) / (last - first)
end

tokens = tokens + math.max(0, now - filledAt) / 1000 * perSecond + deposit
if tokens >= capacity then
  tokens = capacity
  fullAt = now
end

local granted = 0
if cost == 1 and tokens >= 1 - 1e-9 then
  tokens = math.max(0, tokens - 1)
  granted = 1
end

-- 17 significant digits bring a fraction back as it was.
redis.call(
  "HSET", key,
  "tokens", string.format("%.17g", tokens),
  "filledAt", string.format("%.0f", now),
  "fullAt", string.format("%.0f", fullAt)
)
if perSecond > 0 then
  local untilFull = math.ceil((capacity - tokens) / perSecond * 1000)
  redis.call("PEXPIRE", key, string.format("%.0f", math.min(untilFull + 1000, 1e15)))
else
  redis.call("PERSIST", key)
end
return { granted, string.format("%.17g", tokens) }
`
  }
).withReturnType<Result>()
