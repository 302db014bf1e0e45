/**
 * Records of a cache in Redis: a record is a key that holds JSON, and so is a lease that holds its holder's name.
 *
 * Keys begin with `{prefix}:`. In a cluster the braces make them live on one node, so that several can be read by one command.
 */
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { type LeaseHome, type Read, recordOf, type Records } from "./storeRecords.ts"

export const makeRecords = (
  { prefix, redis }: { readonly redis: Redis.Redis["Service"]; readonly prefix: string }
): Records => {
  const keyOf = (name: string) => `{${prefix}}:${name}`
  const expiry = (millis: number | undefined) => millis === undefined ? [] : ["PX", String(millis)]
  return {
    read: (names) =>
      Effect.map(
        redis.send<ReadonlyArray<string | null>>("MGET", ...names.map(keyOf)),
        (texts) => texts.map(readOf)
      ),
    write: (name, record, millis) =>
      Effect.suspend(() => redis.send("SET", keyOf(name), JSON.stringify(record), ...expiry(millis))),
    establish: (name, record, millis) =>
      Effect.flatMap(
        redis.send<string | null>("SET", keyOf(name), JSON.stringify(record), "NX", ...expiry(millis)),
        (done) =>
          done === null ? Effect.map(redis.send<string | null>("GET", keyOf(name)), readOf) : Effect.succeed(record)
      ),
    remove: (name) => redis.send("UNLINK", keyOf(name)),
    clear: sweep(redis, `{${prefix}}:`)
  }
}

const readOf = (text: string | null): Read => {
  if (text === null) return
  try {
    return recordOf(JSON.parse(text))
  } catch {
    return null
  }
}

/** Some values at a time, so that nobody waits for long. What is written meanwhile may go too. */
const sweep = (redis: Redis.Redis["Service"], start: string): Effect.Effect<void, Redis.RedisError> =>
  Effect.gen(function*() {
    const pattern = `${start.replace(/[\\*?[\]]/g, "\\$&")}v:*`
    let cursor = "0"
    do {
      const [next, keys] = yield* redis.send<readonly [string, ReadonlyArray<string>]>(
        "SCAN",
        cursor,
        "MATCH",
        pattern,
        "COUNT",
        "1000"
      )
      if (keys.length > 0) yield* redis.send("UNLINK", ...keys)
      cursor = String(next)
    } while (cursor !== "0")
  })

export const makeLeases = (
  { prefix, redis }: { readonly redis: Redis.Redis["Service"]; readonly prefix: string }
): LeaseHome => {
  const keyOf = (name: string) => `{${prefix}}:${name}`
  const [lease, release] = [redis.eval(leaseScript), redis.eval(releaseScript)]
  return {
    lease: (name, holder, millis) => Effect.map(lease(keyOf(name), holder, millis), (leased) => Number(leased) === 1),
    release: (name, holder) => release(keyOf(name), holder)
  }
}

const leaseScript = Redis.script((key: string, holder: string, millis: number) => [key, holder, millis], {
  numberOfKeys: 1,
  lua: `
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`
}).withReturnType<number>()

const releaseScript = Redis.script((key: string, holder: string) => [key, holder], {
  numberOfKeys: 1,
  lua: `
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 0`
})
