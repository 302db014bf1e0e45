/**
 * Where a ledger may be, as data that another process can be told.
 */
import { PgClient } from "@effect/sql-pg"
import { Layer } from "effect"
import { Sqlite } from "effect-bulwark/sqlite"
import { Ledger } from "effect-bulwark/telemetry"
import * as addresses from "../../support/addresses.ts"

export type Place =
  | { readonly home: "memory" }
  | { readonly home: "sqlite"; readonly filename: string }
  | { readonly home: "postgres"; readonly schema: string }

/** A store of its own in a place: one more client, as another process would be. */
export const layerOf = (place: Place): Layer.Layer<Ledger.LedgerStore> => {
  switch (place.home) {
    case "memory":
      return Layer.fresh(Ledger.layerStoreMemory())
    case "sqlite":
      return Layer.fresh(Ledger.layerStoreSql()).pipe(
        // Tests run on loaded machines.
        Layer.provide(Sqlite.layer({ filename: place.filename, busyTimeout: "60 seconds" })),
        Layer.orDie
      )
    case "postgres":
      return Layer.fresh(Ledger.layerStoreSql()).pipe(
        Layer.provide(
          PgClient.layer({
            ...addresses.postgres,
            username: "postgres",
            database: "postgres",
            maxConnections: 4,
            startupParameters: { search_path: place.schema }
          })
        ),
        Layer.orDie
      )
  }
}
