/**
 * Where budgets are kept: what has been used of each account, what is reserved, and what became of each reservation.
 *
 * A reservation has two phases. The first holds an amount of one or more accounts, all of them or none. The second either *settles* it
 * with what was really used, or *voids* it; one of the two, once.
 *
 * - *pending*: it holds its amounts.
 * - *settled*: what was used counts, and nothing is held. An actual amount may be more than was held: the books say what was used.
 * - *voided*: nothing counts and nothing is held.
 * - *unsettled*: it is pending and its lease has run out, since whoever made it died or hangs. Its amounts may have been spent, so they
 *   are held on and count against the limit, and they are visible. It can still be settled or voided, late, by whoever made it or by hand.
 *
 * So what is used and what is held of an account are never more than its limit together, except where more was used than was held, or
 * someone says so by hand.
 *
 * Every step is atomic, and repeating it changes nothing: ids are made by the client, so a step whose answer was lost can be sent again.
 *
 * **Homes**
 *
 * - {@link layerMemory}: one process. What it holds is gone with it.
 * - {@link layerSql}: SQLite, for one machine and the processes on it, or Postgres, for a fleet.
 * - {@link layerRedis}: a fleet.
 *
 * **Details**
 *
 * Amounts are safe integers that are not negative: tokens, requests or micro-USD. An account is a name, and time is cut into slots, so that a
 * window can pass: a line names the slot it is charged to and the first slot that still counts. A calendar day has one slot and counts that
 * one; a rolling hour has many short ones and counts those of an hour; a total has a single slot for all time. A reservation stays with the
 * slots it was made for, however long it takes.
 *
 * Slots and leases are the caller's times, from its `Clock`. A clock that steps back charges an older slot, and what newer slots hold still
 * counts.
 *
 * What is over is forgotten some time later (`remember`, 10 minutes if nothing else is said): settled and voided reservations after they
 * ended, slots after nobody counts them any more, and reservations that nobody settles after nobody counts any of their slots; one that
 * holds something of a total stays until someone settles or voids it.
 *
 * **Gotchas**
 *
 * A store answers or fails; it does not wait for ever, but who asks it should set a limit of their own. Whoever gives up waiting for a
 * reservation does not know whether it holds, and should void it: then it does not, even if it arrives later.
 *
 * A step reads all slots of a window: some dozens for a rolling one are plenty.
 *
 * A home of one's own has to let go of whoever is interrupted while they wait: that is how a store that hangs costs a bounded time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import {
  type Adjustment,
  type Balance,
  BudgetStore,
  BudgetStoreError,
  type Hold,
  type Line,
  type Outcome,
  type Reservation,
  type Standing,
  type State,
  type Unsettled,
  type Verdict
} from "./internal/store.ts"
import { type HomeOptions, makeStore, rememberMillis } from "./internal/storeHome.ts"
import { MemoryStore } from "./internal/storeMemory.ts"
import { makeHome as makeRedisHome } from "./internal/storeRedis.ts"
import { makeHome as makeSqlHome } from "./internal/storeSql.ts"

export {
  type Adjustment,
  type Balance,
  BudgetStore,
  BudgetStoreError,
  type Hold,
  type Line,
  type Outcome,
  type Reservation,
  type Standing,
  type State,
  type Unsettled,
  type Verdict
}

/**
 * Keeps budgets in the process.
 *
 * **When to use**
 *
 * Use for one process whose budgets need not outlive it, and in tests.
 *
 * **Details**
 *
 * Of what is over it remembers the last 10 minutes, and of reservations at most 100,000.
 *
 * **Example** (A day's budget)
 *
 * ```ts
 * import { BudgetStore } from "effect-bulwark/budget"
 * import { Effect } from "effect"
 *
 * const day = { account: "acme", limit: 1_000, slot: 0, since: 0, until: 86_400_000 }
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* BudgetStore.BudgetStore
 *   yield* store.reserve({ id: "a", lines: [{ ...day, amount: 800 }], leasedUntil: 60_000 })
 *   const second = yield* store.reserve({ id: "b", lines: [{ ...day, amount: 300 }], leasedUntil: 60_000 })
 *   const settled = yield* store.settle("a", [650])
 *   const third = yield* store.reserve({ id: "c", lines: [{ ...day, amount: 300 }], leasedUntil: 60_000 })
 *   return [second._tag, settled, third._tag]
 * })
 *
 * const answers = await Effect.runPromise(Effect.provide(program, BudgetStore.layerMemory))
 *
 * answers // => ["Exceeded", "applied", "Reserved"]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<BudgetStore> = Layer.sync(
  BudgetStore,
  () => makeStore(new MemoryStore(rememberMillis("layerMemory", undefined)))
)

/**
 * Where budgets are in a SQL database.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlOptions extends HomeOptions {
  /**
   * What the names of the tables begin with: at most 40 lower-case letters, digits and underscores, and no digit first. Default:
   * `"bulwark_budget_"`.
   */
  readonly prefix?: string | undefined
}

/**
 * Keeps budgets in a SQL database, SQLite or Postgres, and makes its tables where they are missing.
 *
 * **When to use**
 *
 * Use for budgets that outlive the process, and for several processes that share them.
 *
 * **Details**
 *
 * The tables are made by `effect/sql`'s `Migrator`, which keeps account in a table of its own, next to that of the application. In Postgres
 * there are functions beside them (PL/pgSQL), so that a step is one round trip, and no client ever holds a lock while it talks.
 *
 * A step is not part of the transaction it is taken in: what was spent stays spent when that is rolled back. In Postgres it has a connection
 * of its own. SQLite's client has only one connection, so inside a transaction of the same client a step fails, at once; give the store a
 * client of its own, and do not ask it while a transaction writes.
 *
 * Whoever is interrupted while they wait goes at once; the question is withdrawn in the background.
 *
 * What is over is deleted in the background, when the layer is built and then about once a minute.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Another database than these is one as well, as a defect.
 *
 * **Gotchas**
 *
 * Postgres' default isolation level must be `READ COMMITTED`, as it is if nobody has changed it: steps fail under another.
 *
 * **Example** (In a file)
 *
 * ```ts
 * import { BudgetStore } from "effect-bulwark/budget"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Layer } from "effect"
 *
 * const store = BudgetStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: "budgets.db" })))
 * ```
 *
 * **Example** (In Postgres)
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { BudgetStore } from "effect-bulwark/budget"
 * import { Config, Layer } from "effect"
 *
 * const store = BudgetStore.layerSql({ prefix: "spend_" }).pipe(
 *   Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (
  options?: SqlOptions
): Layer.Layer<BudgetStore, SqlError | MigrationError, SqlClient> => {
  const prefix = options?.prefix ?? "bulwark_budget_"
  const remember = rememberMillis("layerSql", options)
  // In Postgres the prefix stands in functions, and 63 characters of a name count.
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(prefix)) {
    throw new RangeError(
      `BudgetStore.layerSql: \`prefix\` must be at most 40 of a-z, 0-9 and _, with no digit first, got ${
        JSON.stringify(prefix)
      }`
    )
  }
  return Layer.effect(BudgetStore, Effect.map(makeSqlHome({ prefix, remember }), makeStore))
}

/**
 * Where budgets are in Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions extends HomeOptions {
  /** What all keys begin with, in braces. Default: `"bulwark:budget"`. */
  readonly prefix?: string | undefined
}

/**
 * Keeps budgets in Redis, so that all processes with one prefix share them.
 *
 * **When to use**
 *
 * Use for a fleet with many calls at once.
 *
 * **Details**
 *
 * A step is one script and one round trip. Keys begin with `{prefix}:`: in a cluster the braces make a store live on one node, whose scripts
 * see all of it. Use stores with several prefixes to spread budgets.
 *
 * Redis forgets by itself what is over.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * Redis keeps what its configuration says: without an append-only file, budgets are as old as the last snapshot when it starts again, and
 * with a `maxmemory-policy` other than `noeviction` it may drop some of them at any time.
 *
 * **Example** (Shared by a fleet)
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { BudgetStore } from "effect-bulwark/budget"
 * import { Layer } from "effect"
 *
 * const store = BudgetStore.layerRedis({ prefix: "summaries:budget" }).pipe(
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options?: RedisOptions): Layer.Layer<BudgetStore, never, Redis.Redis> => {
  const prefix = options?.prefix ?? "bulwark:budget"
  const remember = rememberMillis("layerRedis", options)
  // Or the braces would be no hash tag.
  if (prefix === "" || prefix.startsWith("}")) {
    throw new RangeError(
      `BudgetStore.layerRedis: \`prefix\` must not be empty or begin with a brace, got ${JSON.stringify(prefix)}`
    )
  }
  return Layer.effect(
    BudgetStore,
    Effect.map(Redis.Redis, (redis) => makeStore(makeRedisHome({ redis, prefix, remember })))
  )
}
