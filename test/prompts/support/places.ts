/**
 * Where a store may be, as data that another process can be told.
 */
// Not the indices: a process that begins has to read all that they name.
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as PgClient from "@effect/sql-pg/PgClient"
import { PromptStore } from "effect-bulwark/prompts"
import { Sqlite } from "effect-bulwark/sqlite"
import * as Layer from "effect/Layer"
import * as addresses from "../../support/addresses.ts"

export type Place =
  | { readonly home: "memory" }
  | { readonly home: "sqlite"; readonly filename: string }
  | { readonly home: "postgres"; readonly schema: string; readonly prefix: string }
  /** A database over a folder of files. */
  | { readonly home: "layered"; readonly filename: string; readonly directory: string }

/** A store of its own in a place: one more client, as another process would be. */
export const layerOf = (
  place: Place,
  options?: PromptStore.SqlOptions
): Layer.Layer<PromptStore.PromptStore> => {
  switch (place.home) {
    case "memory":
      return Layer.fresh(PromptStore.layerMemory)
    case "sqlite":
      return PromptStore.layerSql(options).pipe(
        // Tests run on loaded machines.
        Layer.provide(Sqlite.layer({ filename: place.filename, busyTimeout: "60 seconds" })),
        Layer.orDie
      )
    case "postgres":
      return PromptStore.layerSql({ prefix: place.prefix, ...options }).pipe(
        Layer.provide(
          PgClient.layer({
            ...addresses.postgres,
            maxConnections: 6,
            startupParameters: { search_path: place.schema }
          })
        ),
        Layer.orDie
      )
    case "layered":
      return PromptStore.layerOver(
        layerOf({ home: "sqlite", filename: place.filename }, options),
        PromptStore.layerFiles({ directory: place.directory }).pipe(Layer.provide(NodeServices.layer), Layer.orDie),
        { timeout: "60 seconds" }
      )
  }
}
