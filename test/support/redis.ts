/**
 * A real Redis on loopback, for suites that need one.
 */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { randomUUID } from "node:crypto"
import * as addresses from "./addresses.ts"
import { describeService } from "./service.ts"

/** A connection of its own. */
export const layer: Layer.Layer<Redis.Redis> = Layer.orDie(NodeRedis.layer({ socket: addresses.redis }))

/** A prefix for keys that no other suite, and no other run, has. */
export const prefix = (): string => `bulwark-test:${randomUUID()}:`

/** Such a prefix in braces, whose keys are deleted with the scope: for those that Redis would keep for ever. */
export const tidyPrefix: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(prefix),
  (prefix) =>
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const keys = yield* redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
      if (keys.length > 0) yield* redis.send("DEL", ...keys)
    }).pipe(Effect.orDie, Effect.provide(layer, { local: true }))
)

/** `describe`, where Redis is there. */
export const describeRedis = await describeService("Redis", addresses.redis)
