/**
 * Where a store may be, as data that another process can be told.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { Layer } from "effect"
import { Sqlite } from "effect-bulwark/sqlite"
import { Persistence, type Redis } from "effect/persistence"
import type { SqlClient } from "effect/sql"
import * as CacheStore from "../../../src/cache/CacheStore.ts"
import * as addresses from "../../support/addresses.ts"

export type Place =
  | { readonly home: "memory" }
  | { readonly home: "backing" }
  | { readonly home: "sqlite"; readonly filename: string }
  | { readonly home: "postgres"; readonly schema: string }
  | { readonly home: "redis"; readonly prefix: string }

/** A store of its own in a place: one more client, as another process would be. */
export const layerOf = (place: Place): Layer.Layer<CacheStore.CacheStore> => {
  switch (place.home) {
    case "memory":
      return CacheStore.layerMemory()
    case "backing":
      return CacheStore.layerPersistence().pipe(Layer.provide(Layer.fresh(Persistence.layerBackingMemory)))
    case "sqlite":
      return CacheStore.layerSql().pipe(Layer.provide(sqlite(place)), Layer.orDie)
    case "postgres":
      return CacheStore.layerSql().pipe(Layer.provide(postgres(place)), Layer.orDie)
    case "redis":
      return CacheStore.layerRedis({ prefix: place.prefix }).pipe(Layer.provide(redis))
  }
}

export const sqlite = (place: { readonly filename: string }): Layer.Layer<SqlClient.SqlClient> =>
  // Tests run on loaded machines.
  Layer.orDie(Sqlite.layer({ filename: place.filename, busyTimeout: "60 seconds" }))

export const postgres = (place: { readonly schema: string }): Layer.Layer<SqlClient.SqlClient> =>
  Layer.orDie(
    PgClient.layer({
      ...addresses.postgres,
      maxConnections: 6,
      startupParameters: { search_path: place.schema }
    })
  )

export const redis: Layer.Layer<Redis.Redis> = Layer.orDie(NodeRedis.layer({ socket: addresses.redis }))
