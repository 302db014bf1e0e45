/**
 * Where a store may be, as data that another process can be told.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Layer } from "effect"
import { BudgetStore } from "effect-bulwark/budget"
import { Sqlite } from "effect-bulwark/sqlite"
import * as addresses from "../../support/addresses.ts"

export type Place =
  | { readonly home: "memory" }
  | { readonly home: "sqlite"; readonly filename: string }
  | { readonly home: "postgres"; readonly schema: string }
  | { readonly home: "redis"; readonly prefix: string }

/** A store of its own in a place: one more client, as another process would be. */
export const layerOf = (place: Place): Layer.Layer<BudgetStore.BudgetStore> => {
  switch (place.home) {
    case "memory":
      return Layer.fresh(BudgetStore.layerMemory)
    case "sqlite":
      return BudgetStore.layerSql().pipe(
        // Tests run on loaded machines.
        Layer.provide(Sqlite.layer({ filename: place.filename, busyTimeout: "60 seconds" })),
        Layer.orDie
      )
    case "postgres":
      return BudgetStore.layerSql().pipe(
        Layer.provide(
          PgClient.layer({
            ...addresses.postgres,
            maxConnections: 6,
            startupParameters: { search_path: place.schema }
          })
        ),
        Layer.orDie
      )
    case "redis":
      return BudgetStore.layerRedis({ prefix: place.prefix }).pipe(
        Layer.provide(Layer.orDie(NodeRedis.layer({ socket: addresses.redis })))
      )
  }
}
