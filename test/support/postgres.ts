/**
 * A real Postgres on loopback, for suites that need one.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import * as addresses from "./addresses.ts"
import { describeService } from "./service.ts"

/** Connections of their own, in a schema. */
export const layer = (
  schema: string,
  more?: Partial<PgClient.PgPoolConfig>
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient> =>
  Layer.orDie(
    PgClient.layer({
      ...addresses.postgres,
      ...more,
      startupParameters: { search_path: schema, ...more?.startupParameters }
    })
  )

/** A schema that no other suite, and no other run, has, for as long as the scope lasts. */
export const schema: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(() => {
  const name = `bulwark_test_${randomUUID().replaceAll("-", "")}`
  const ask = (statement: string) =>
    SqlClient.SqlClient.use((sql) => sql.unsafe(statement)).pipe(
      Effect.provide(layer("public", { maxConnections: 1 }), { local: true }),
      Effect.orDie
    )
  return Effect.as(
    Effect.acquireRelease(ask(`CREATE SCHEMA ${name}`), () => ask(`DROP SCHEMA ${name} CASCADE`)),
    name
  )
})

/** `describe`, where Postgres is there. */
export const describePostgres = await describeService("Postgres", addresses.postgres)
