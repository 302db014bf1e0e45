/**
 * Budgets in Redis: a step is a script, which is one round trip, and nobody else's step runs meanwhile.
 *
 * - `{prefix}:account:<name>`: a hash, of each slot `used reserved forgetAt`.
 * - `{prefix}:reservation:<id>`: a hash of `state`, `leased` and `holds` (JSON, its numbers as text).
 * - `{prefix}:pending`: a sorted set of ids, by when their leases run out.
 *
 * Numbers are doubles in Lua, which hold safe integers exactly, and are written out in full. Times until something may be forgotten
 * cross the wire as lengths, so that Redis can count them by its own clock; -1 is never.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import type { Balance, Outcome, Reservation, State, Verdict } from "./store.ts"
import { type Home, maxAmount, mismatch, pendingForgottenAt, slotForgottenAt } from "./storeHome.ts"

export const makeHome = (
  { prefix, redis, remember }: {
    readonly redis: Redis.Redis["Service"]
    readonly prefix: string
    readonly remember: number
  }
): Home => {
  const root = `{${prefix}}:`
  const pendingKey = `${root}pending`
  const accountKey = (account: string) => `${root}account:${account}`
  const reservationKey = (id: string) => `${root}reservation:${id}`
  const [reserve, finish, adjust, balance, unsettled] = [
    redis.eval(reserveScript),
    redis.eval(finishScript),
    redis.eval(adjustScript),
    redis.eval(balanceScript),
    redis.eval(unsettledScript)
  ]
  return {
    reserve: (reservation) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        const { id, leasedUntil, lines } = reservation
        return Effect.map(
          reserve(
            [pendingKey, reservationKey(id), ...lines.map(({ account }) => accountKey(account))],
            [
              root,
              id,
              leasedUntil,
              timeLeft(pendingForgottenAt(reservation, now, remember), now),
              holdsJson(reservation),
              ...lines.flatMap(({ amount, limit, since, slot, until }) => [
                amount,
                limit,
                slot,
                since,
                timeLeft(slotForgottenAt(until, now, remember), now)
              ])
            ]
          ),
          ([tag, ...rest]): Verdict => {
            if (tag === "repeated") return { _tag: "Repeated", state: rest[0] as State }
            if (tag === "exceeded") return { _tag: "Exceeded", line: Number(rest[0]), balance: balanceOf(rest, 1) }
            return { _tag: "Reserved", balances: lines.map((_, n) => balanceOf(rest, n * 2)) }
          }
        )
      }),
    finish: (id, amounts) =>
      finish([pendingKey, reservationKey(id)], [
        root,
        id,
        amounts === undefined ? "voided" : "settled",
        remember,
        ...(amounts ?? [])
      ]).pipe(Effect.filterOrElse((outcome) => outcome !== "mismatch", () => mismatch)),
    adjust: ({ account, by, id, slot, until }) =>
      Clock.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        return adjust([reservationKey(id), accountKey(account)], [
          slot,
          by,
          timeLeft(slotForgottenAt(until, now, remember), now),
          remember
        ])
      }),
    balance: (account, since) =>
      Clock.clockWith((clock) =>
        Effect.map(
          balance([pendingKey, accountKey(account)], [root, account, since, clock.currentTimeMillisUnsafe()]),
          (sums) => {
            const { reserved, used } = balanceOf(sums, 0)
            // A reservation may outlive its slots.
            return { used, reserved, unsettled: Math.min(Number(sums[2]), reserved) }
          }
        )
      ),
    unsettled: (limit) =>
      Clock.clockWith((clock) =>
        Effect.map(
          unsettled([pendingKey], [root, clock.currentTimeMillisUnsafe(), limit]),
          (found) =>
            found.map(([id, leasedUntil, holds]) => ({
              id,
              leasedUntil: Number(leasedUntil),
              // What `holdsJson` has written.
              holds: (JSON.parse(holds) as ReadonlyArray<readonly [string, string, string]>).map(
                ([account, slot, amount]) => ({ account, slot: Number(slot), amount: Number(amount) })
              )
            }))
        )
      )
  }
}

const timeLeft = (forgottenAt: number, now: number): number => forgottenAt === Infinity ? -1 : forgottenAt - now

/** Numbers as text, since Lua's JSON rounds them to 14 digits. */
const holdsJson = ({ lines }: Reservation): string =>
  JSON.stringify(lines.map(({ account, amount, slot }) => [account, String(slot), String(amount)]))

const balanceOf = (sums: ReadonlyArray<string>, from: number): Balance => ({
  used: Number(sums[from]),
  reserved: Number(sums[from + 1])
})

/** What all scripts know. */
const common = `
local most = ${maxAmount}
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function whole(number)
  return string.format("%.0f", number)
end

-- Redis counts no further than about 2^63 milliseconds.
local function keep(key, left)
  local expiry = redis.call("PTTL", key)
  if left < 0 then
    redis.call("PERSIST", key)
  elseif expiry >= 0 and left > expiry then
    redis.call("PEXPIRE", key, whole(math.min(left, 1e15)))
  end
end

local function read(value)
  local used, reserved, forgetAt = string.match(value, "^(%S+) (%S+) (%S+)$")
  return tonumber(used), tonumber(reserved), tonumber(forgetAt)
end

local function write(key, slot, used, reserved, forgetAt)
  redis.call("HSET", key, slot, whole(used) .. " " .. whole(reserved) .. " " .. whole(forgetAt))
end

-- Changes a slot, which is made where there is none, and is kept at least for so long.
local function change(key, slot, moreUsed, moreReserved, left)
  local used, reserved, forgetAt = 0, 0, left < 0 and -1 or now + left
  local value = redis.call("HGET", key, slot)
  if value then
    local knownForgetAt
    used, reserved, knownForgetAt = read(value)
    if knownForgetAt < 0 or forgetAt < 0 then forgetAt = -1 else forgetAt = math.max(forgetAt, knownForgetAt) end
  end
  local fresh = redis.call("EXISTS", key) == 0
  write(key, slot, math.max(0, math.min(used + moreUsed, most)), reserved + moreReserved, forgetAt)
  if fresh and left >= 0 then
    redis.call("PEXPIRE", key, whole(math.min(left, 1e15)))
  else
    keep(key, left)
  end
end

-- What an account holds, from a slot on; slots whose time is over are forgotten on the way.
local function balance(key, since)
  local used, reserved = 0, 0
  local slots = redis.call("HGETALL", key)
  for n = 1, #slots, 2 do
    local slotUsed, slotReserved, forgetAt = read(slots[n + 1])
    if forgetAt >= 0 and forgetAt <= now then
      redis.call("HDEL", key, slots[n])
    elseif tonumber(slots[n]) >= since then
      used = used + slotUsed
      reserved = reserved + slotReserved
    end
  end
  return math.min(used, most), math.min(reserved, most)
end

local function over(key, state, left)
  redis.call("DEL", key)
  redis.call("HSET", key, "state", state)
  redis.call("PEXPIRE", key, whole(math.min(left, 1e15)))
end
`

type Keys = ReadonlyArray<string>
type Arguments = ReadonlyArray<string | number>

const script = (lua: string) =>
  Redis.script((keys: Keys, args: Arguments) => [...keys, ...args], {
    numberOfKeys: (keys) => keys.length,
    lua: common + lua
  })

const reserveScript = script(`
local pending, reservation = KEYS[1], KEYS[2]
local root, id, leased, left, holds = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]

local state = redis.call("HGET", reservation, "state")
if state then return { "repeated", state } end

-- Reservations of which Redis has let go without this set: now and then one of them comes to light.
local any = redis.call("ZRANDMEMBER", pending)
if any and redis.call("EXISTS", root .. "reservation:" .. any) == 0 then redis.call("ZREM", pending, any) end

local answer = { "reserved" }
for line = 1, #KEYS - 2 do
  local at = 5 + (line - 1) * 5
  local amount, limit = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local used, reserved = balance(KEYS[line + 2], tonumber(ARGV[at + 4]))
  -- Exact as far as it matters: a sum that is no safe integer is more than any limit.
  if used + reserved + amount > limit then return { "exceeded", whole(line - 1), whole(used), whole(reserved) } end
  answer[line * 2] = whole(used)
  answer[line * 2 + 1] = whole(reserved + amount)
end
for line = 1, #KEYS - 2 do
  local at = 5 + (line - 1) * 5
  change(KEYS[line + 2], ARGV[at + 3], 0, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 5]))
end
redis.call("HSET", reservation, "state", "pending", "leased", leased, "holds", holds)
if left >= 0 then redis.call("PEXPIRE", reservation, whole(math.min(left, 1e15))) end
local fresh = redis.call("EXISTS", pending) == 0
redis.call("ZADD", pending, leased, id)
if fresh and left >= 0 then redis.call("PEXPIRE", pending, whole(math.min(left, 1e15))) else keep(pending, left) end
return answer
`).withReturnType<readonly [string, ...ReadonlyArray<string>]>()

const finishScript = script(`
local pending, reservation = KEYS[1], KEYS[2]
local root, id, final, remember = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local known = redis.call("HMGET", reservation, "state", "holds")
local state = known[1]
if not state then
  if final == "voided" then over(reservation, final, remember) end
  return "unknown"
end
if state ~= "pending" then return state == final and "repeated" or "refused" end

local holds = cjson.decode(known[2])
if final == "settled" and #ARGV - 4 ~= #holds then return "mismatch" end
for n, hold in ipairs(holds) do
  local key = root .. "account:" .. hold[1]
  local value = redis.call("HGET", key, hold[2])
  -- A slot that was forgotten is not made again.
  if value then
    local used, reserved, forgetAt = read(value)
    local more = final == "settled" and tonumber(ARGV[4 + n]) or 0
    write(key, hold[2], math.min(used + more, most), math.max(0, reserved - tonumber(hold[3])), forgetAt)
  end
end
redis.call("ZREM", pending, id)
over(reservation, final, remember)
return "applied"
`).withReturnType<Outcome | "mismatch">()

const adjustScript = script(`
if redis.call("EXISTS", KEYS[1]) == 1 then return "repeated" end
change(KEYS[2], ARGV[1], tonumber(ARGV[2]), 0, tonumber(ARGV[3]))
over(KEYS[1], "settled", tonumber(ARGV[4]))
return "applied"
`).withReturnType<"applied" | "repeated">()

const balanceScript = script(`
local root, account, since = ARGV[1], ARGV[2], tonumber(ARGV[3])
local used, reserved = balance(KEYS[2], since)
local unsettled = 0
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[4])) do
  local holds = redis.call("HGET", root .. "reservation:" .. id, "holds")
  if holds then
    for _, hold in ipairs(cjson.decode(holds)) do
      if hold[1] == account and tonumber(hold[2]) >= since then unsettled = unsettled + tonumber(hold[3]) end
    end
  end
end
return { whole(used), whole(reserved), whole(unsettled) }
`).withReturnType<ReadonlyArray<string>>()

const unsettledScript = script(`
local root, limit = ARGV[1], tonumber(ARGV[3])
local found = {}
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[2])) do
  if #found >= limit then break end
  local known = redis.call("HMGET", root .. "reservation:" .. id, "leased", "holds")
  if known[1] then found[#found + 1] = { id, known[1], known[2] } else redis.call("ZREM", KEYS[1], id) end
end
return found
`).withReturnType<ReadonlyArray<readonly [string, string, string]>>()
