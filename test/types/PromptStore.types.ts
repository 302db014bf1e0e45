/**
 * What prompt stores need, and how they fail.
 */
import type { Effect, FileSystem, Layer, Path, Stream } from "effect"
import { PromptStore, type PromptVersion } from "effect-bulwark/prompts"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import { expectTypeOf } from "vitest"

type Store = PromptStore.PromptStore["Service"]

type Refusal = PromptStore.PromptStoreError | PromptStore.PromptConflict | PromptStore.PromptRefused

expectTypeOf(PromptStore.layerMemory).toEqualTypeOf<Layer.Layer<PromptStore.PromptStore>>()

const sql = PromptStore.layerSql()
expectTypeOf(sql).toEqualTypeOf<
  Layer.Layer<PromptStore.PromptStore, SqlError.SqlError | Migrator.MigrationError, SqlClient.SqlClient>
>()

const files = PromptStore.layerFiles({ directory: "prompts" })
expectTypeOf(files).toEqualTypeOf<
  Layer.Layer<PromptStore.PromptStore, PromptStore.PromptStoreError, FileSystem.FileSystem | Path.Path>
>()

// That the upper one cannot be opened is no failure; that the lower one cannot is.
expectTypeOf(PromptStore.layerOver(sql, files)).toEqualTypeOf<
  Layer.Layer<
    PromptStore.PromptStore,
    PromptStore.PromptStoreError,
    SqlClient.SqlClient | FileSystem.FileSystem | Path.Path
  >
>()
expectTypeOf(PromptStore.layerOver(sql, PromptStore.layerMemory)).toEqualTypeOf<
  Layer.Layer<PromptStore.PromptStore, never, SqlClient.SqlClient>
>()

expectTypeOf(PromptStore.pinFiles({ directory: "prompts" })).toEqualTypeOf<
  Effect.Effect<
    ReadonlyArray<PromptStore.Pin>,
    PromptStore.PromptStoreError | PromptStore.PromptRefused,
    FileSystem.FileSystem | Path.Path
  >
>()

expectTypeOf<Store["snapshot"]>().toEqualTypeOf<
  Effect.Effect<PromptStore.Snapshot, PromptStore.PromptStoreError>
>()
expectTypeOf<Store["changes"]>().toEqualTypeOf<Stream.Stream<void>>()
expectTypeOf<ReturnType<Store["publish"]>>().toEqualTypeOf<Effect.Effect<PromptVersion.PromptVersion, Refusal>>()
expectTypeOf<ReturnType<Store["label"]>>().toEqualTypeOf<Effect.Effect<PromptStore.LabelEvent, Refusal>>()
expectTypeOf<ReturnType<Store["score"]>>().toEqualTypeOf<
  Effect.Effect<void, PromptStore.PromptStoreError | PromptStore.PromptRefused>
>()

declare const store: Store
// @ts-expect-error a move says where to, also where that is nowhere
store.label({ name: "a", label: "production" })
// @ts-expect-error a content has messages
store.publish({ name: "a", content: { messages: [] } })
