/**
 * The books: every operation with its requests, what they used and cost, for whom, and how long they took.
 *
 * - {@link layer} prices receipts and writes them in the background. {@link record} around a program, or {@link layerRecord} under an
 *   application, hands it the receipts of every operation inside, also of those that failed or were interrupted.
 * - {@link layerStoreSql} (SQLite, Postgres) and {@link layerStoreMemory} are where the books are.
 * - {@link spend}, {@link latency}, {@link requestLatency} and {@link find} read them; {@link prune} forgets.
 *
 * **Details**
 *
 * A call never waits for the store: its receipt goes into a bounded buffer after the answer is there. What happens when that is full is a
 * choice, `onFull`. While the store fails, batches stay in the buffer and are tried again. When the layer is closed, what is left is
 * written. What is dropped is counted and reported. What a killed process had not written is lost: at most `flushEvery` of it, while the
 * store keeps up.
 *
 * An operation is written whole, with all its requests, or not at all; writing it again changes nothing. A request costs what its receipt
 * says (`Budget.enforce`), or else has the price of the time it was sent. Where that is not known, or nobody knows what was used, its cost
 * is unknown and not 0: sums leave it out and count it.
 *
 * Text longer than 512 characters is cut. Neither prompts nor answers are in a receipt, and so none are in the ledger. What an application writes into attribution, and the reasons
 * it gives for asking a better model, are.
 *
 * **Gotchas**
 *
 * There is no home in Redis. The ledger is kept for months and read by time, group and rank: Redis would keep all of it in memory to answer
 * none of these.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Pricing } from "../budget/Pricing.ts"
import * as Receipt from "../core/Receipt.ts"
import { reportUnhandled } from "../policies/internal/reportUnhandled.ts"
import { MemoryLedger } from "./internal/ledgerMemory.ts"
import {
  type Bucket,
  find as findEntries,
  type FindQuery,
  latencyOf,
  type LatencyQuery,
  type LatencyRow,
  type Page,
  prune as pruneEntries,
  type Query,
  spend as spendOf,
  type SpendRow,
  type Where
} from "./internal/ledgerQuery.ts"
import { makeHome } from "./internal/ledgerSql.ts"
import {
  type Condition,
  type Cursor,
  type Dimension,
  type Entry,
  type Grouping,
  LedgerStore,
  LedgerStoreError,
  type Measuring,
  type OperationDimension,
  type Paging,
  promptVersionTag,
  type RankedValue,
  type Span,
  type SpendGroup,
  type Sums
} from "./internal/ledgerStore.ts"
import { type Settings, type Status, Writer } from "./internal/ledgerWriter.ts"
import { natural } from "./internal/option.ts"

export {
  type Bucket,
  type Condition,
  type Cursor,
  type Dimension,
  type Entry,
  type FindQuery,
  type Grouping,
  type LatencyQuery,
  type LatencyRow,
  LedgerStore,
  LedgerStoreError,
  type Measuring,
  type OperationDimension,
  type Page,
  type Paging,
  /**
   * The tag of an attribution that says which version of a prompt was used: `promptVersion`. A prompt of a registry stands on the receipt itself, and
   * wins over it.
   *
   * @category attribution
   * @since 0.1.0
   */
  promptVersionTag,
  type Query,
  type RankedValue,
  type Span,
  type SpendGroup,
  type SpendRow,
  /**
   * What became of the receipts: how many are in the buffer, were written, were dropped, and why the last write failed, if it did.
   *
   * @category models
   * @since 0.1.0
   */
  type Status,
  type Sums,
  type Where
}

/**
 * Takes receipts, and writes them.
 *
 * @category services
 * @since 0.1.0
 */
export class Ledger extends Context.Service<Ledger, {
  /** Takes the receipt of an operation that is over. */
  readonly record: (receipt: Receipt.Receipt) => Effect.Effect<void>
  /** Writes all receipts that were taken before, at once. Where it fails they are kept. */
  readonly flush: Effect.Effect<void, LedgerStoreError>
  /** What became of the receipts so far. */
  readonly status: Effect.Effect<Status>
}>()("effect-bulwark/telemetry/Ledger") {}

/**
 * How receipts are written.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How many receipts wait to be written at most. Default: 10,000. */
  readonly bufferSize?: number | undefined
  /** How many are written at once at most. Default: 500. */
  readonly batchSize?: number | undefined
  /** How long one waits for others to be written with. Default: 1 second. */
  readonly flushEvery?: Duration.Input | undefined
  /**
   * What happens to a receipt when the buffer is full: it is dropped and counted (`"drop"`), or the operation that it is of, whose answer is
   * there, ends later (`"wait"`), by `maxWait` at most, and then it is dropped and counted. Default: `"drop"`.
   */
  readonly onFull?: "wait" | "drop" | undefined
  /** How long an operation waits for room in the buffer. Default: 1 second. */
  readonly maxWait?: Duration.Input | undefined
  /** How long a write may take until it counts as failed. Default: 10 seconds. */
  readonly writeTimeout?: Duration.Input | undefined
  /** How long the end of the layer may take to write what is left. Default: 10 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** How long operations are kept: what is older is forgotten, hourly. Default: for ever. */
  readonly keep?: Duration.Input | undefined
}

const positive = (name: keyof Options, input: Duration.Input): Duration.Duration => {
  const duration = Duration.fromInputUnsafe(input)
  if (Duration.isFinite(duration) && Duration.isPositive(duration)) return duration
  throw new RangeError(`Ledger.layer: \`${name}\` must be a time longer than none, got ${Duration.format(duration)}`)
}

const settingsOf = (options: Options = {}): Settings => {
  const onFull = options.onFull ?? "drop"
  if (onFull !== "drop" && onFull !== "wait") {
    throw new RangeError(`Ledger.layer: \`onFull\` must be "wait" or "drop", got ${JSON.stringify(onFull)}`)
  }
  return {
    bufferSize: natural("Ledger.layer", "bufferSize", options.bufferSize ?? 10_000),
    batchSize: natural("Ledger.layer", "batchSize", options.batchSize ?? 500),
    flushEvery: positive("flushEvery", options.flushEvery ?? "1 second"),
    onFull,
    maxWait: positive("maxWait", options.maxWait ?? "1 second"),
    writeTimeout: positive("writeTimeout", options.writeTimeout ?? "10 seconds"),
    shutdownTimeout: positive("shutdownTimeout", options.shutdownTimeout ?? "10 seconds")
  }
}

/**
 * Prices receipts and writes them in the background, for as long as it lives; when it is closed it writes what is left.
 *
 * **Details**
 *
 * By itself it is handed no receipts: see {@link record} and {@link layerRecord}.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Failures of the store are reported at `UnhandledLogLevel`, and so
 * are drops, at once and then every 10 seconds at most.
 *
 * A request of which the receipt has no `cost` is priced by the model that was asked for, or, where that has no price, by the one that
 * says it answered.
 *
 * **Example** (Who spent what)
 *
 * ```ts
 * import { Attribution, Llm } from "effect-bulwark"
 * import { Pricing } from "effect-bulwark/budget"
 * import { Provider } from "effect-bulwark/providers"
 * import { Ledger } from "effect-bulwark/telemetry"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Hello?" }).pipe(
 *     Attribution.annotate({ tenant: "acme" }),
 *     Ledger.record
 *   )
 *   yield* Ledger.flush
 *   const rows = yield* Ledger.spend({ from: "2026-01-01", by: ["tenant", "model"] })
 *   return rows.map(({ by, operations }) => [by.tenant, by.model, operations])
 * })
 *
 * const ledger = Ledger.layer().pipe(
 *   Layer.provide(Pricing.layerOf([])),
 *   Layer.provideMerge(Ledger.layerStoreMemory())
 * )
 *
 * await Effect.runPromise(
 *   Effect.provide(program, [ledger, ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")])])
 * ) // => [["acme", "gpt-5-mini", 1]]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Ledger, never, LedgerStore | Pricing> => {
  const settings = settingsOf(options)
  const keep = options?.keep === undefined ? undefined : positive("keep", options.keep)
  return Layer.effect(
    Ledger,
    Effect.gen(function*() {
      const store = yield* LedgerStore
      const writer = new Writer(settings, store, yield* Pricing, yield* Clock.Clock)
      yield* Effect.addFinalizer(() => writer.close)
      yield* Effect.forkScoped(writer.run)
      if (keep !== undefined) yield* Effect.forkScoped(forget(store, Duration.toMillis(keep)))
      return Ledger.of({ record: writer.record, flush: writer.flush, status: Effect.sync(() => writer.status) })
    })
  )
}

const forget = (store: LedgerStore["Service"], keep: number): Effect.Effect<unknown> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => store.prune(now - keep)).pipe(
    Effect.catchCause((cause) => reportUnhandled("Ledger could not forget what is old", cause)),
    Effect.repeat(Schedule.spaced("1 hour"))
  )

/**
 * Records every operation inside an effect, and in the fibers it starts.
 *
 * **When to use**
 *
 * Use around the whole application: `main.pipe(Ledger.record, Effect.provide(ledger))`, or, where that is made of layers,
 * `Layer.launch(app).pipe(Ledger.record, Effect.provide(ledger))`.
 *
 * **Details**
 *
 * It is a {@link Receipt.observe}: other observers, inside and around it, see the same receipts. Two of them around one operation record
 * it once.
 *
 * @see {@link layerRecord} for applications that are run by a `ManagedRuntime`.
 * @category combinators
 * @since 0.1.0
 */
export const record = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Ledger> =>
  Effect.flatMap(Ledger, (ledger) => Receipt.observe(self, ledger.record))

/**
 * Records every operation of whatever it is provided to.
 *
 * **When to use**
 *
 * Use where there is no one effect to put {@link record} around: in the layer of a `ManagedRuntime`.
 *
 * **Gotchas**
 *
 * It takes the place of the observer in force, which it calls as well. Of two layers that do so, merged side by side, only the last is in
 * force: build one on the other, with `Layer.provideMerge`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRecord: Layer.Layer<never, never, Ledger> = Layer.effectContext(
  Effect.gen(function*() {
    const ledger = yield* Ledger
    const outer = yield* Receipt.Observer
    const observer = (receipt: Receipt.Receipt) => Effect.andThen(ledger.record(receipt), outer(receipt))
    return Context.make(Receipt.Observer, observer)
  })
)

/**
 * Writes all receipts that were taken before, at once.
 *
 * **When to use**
 *
 * Use before reading what was just recorded, and before a process is frozen, as functions in a cloud are after they have answered.
 *
 * **Details**
 *
 * Where it fails, the receipts are kept and written later. It takes `writeTimeout` a batch at most.
 *
 * @category combinators
 * @since 0.1.0
 */
export const flush: Effect.Effect<void, LedgerStoreError, Ledger> = Effect.flatMap(Ledger, (ledger) => ledger.flush)

/**
 * What became of the receipts so far.
 *
 * @category getters
 * @since 0.1.0
 */
export const status: Effect.Effect<Status, never, Ledger> = Effect.flatMap(Ledger, (ledger) => ledger.status)

/**
 * What was used and spent: by user, tenant, feature, provider, model, prompt version or tag, and by time.
 *
 * **Details**
 *
 * Rows come by time, then the dearest first. `provider` and `model` are those that requests were sent to, so the requests of one operation
 * may be in several rows; no request is in two. An operation that sent none has a row without them.
 *
 * An option that is not legal is a `RangeError`, as a defect.
 *
 * **Example** (By tenant and day)
 *
 * ```ts
 * import { Ledger } from "effect-bulwark/telemetry"
 * import { Effect } from "effect"
 *
 * const report = Effect.gen(function*() {
 *   const rows = yield* Ledger.spend({
 *     from: "2026-03-01",
 *     to: "2026-04-01",
 *     by: ["tenant", "tag:team"],
 *     bucket: "day",
 *     timeZone: "Europe/Berlin",
 *     where: { feature: ["search", "chat"] }
 *   })
 *   return rows.map(({ by, cost, start, unpriced }) => [new Date(start), by.tenant, by["tag:team"], cost, unpriced])
 * })
 * ```
 *
 * @category queries
 * @since 0.1.0
 */
export const spend: <const By extends ReadonlyArray<Dimension> = []>(
  query: Query<By>
) => Effect.Effect<ReadonlyArray<SpendRow<By[number]>>, LedgerStoreError, LedgerStore> = spendOf

/**
 * How long operations took, with all their requests and waits, and until the first part of the answer came.
 *
 * **Details**
 *
 * A percentile is a value that was measured: the smallest that at least so many percent of the values are not above. Rows come by time,
 * then the most first.
 *
 * Operations that failed count as well: `where: { outcome: "success" }` leaves them out. With `where: { model }` it is about those that sent
 * it a request.
 *
 * @see {@link requestLatency} for how long models take.
 * @category queries
 * @since 0.1.0
 */
export const latency: <
  const By extends ReadonlyArray<OperationDimension> = [],
  const Percentiles extends ReadonlyArray<number> = [50, 95, 99]
>(
  query: LatencyQuery<By, Percentiles>
) => Effect.Effect<ReadonlyArray<LatencyRow<By[number], Percentiles[number]>>, LedgerStoreError, LedgerStore> =
  latencyOf<OperationDimension>("operations")

/**
 * How long single requests took.
 *
 * **Details**
 *
 * As {@link latency}, but each request counts for itself, and `outcome` is that of the request.
 *
 * @category queries
 * @since 0.1.0
 */
export const requestLatency: <
  const By extends ReadonlyArray<Dimension> = [],
  const Percentiles extends ReadonlyArray<number> = [50, 95, 99]
>(
  query: LatencyQuery<By, Percentiles>
) => Effect.Effect<ReadonlyArray<LatencyRow<By[number], Percentiles[number]>>, LedgerStoreError, LedgerStore> =
  latencyOf<Dimension>("requests")

/**
 * Operations, newest first, a page at a time.
 *
 * **Details**
 *
 * What is written while one pages through is not in the way: a page begins after the last operation of the one before.
 *
 * @category queries
 * @since 0.1.0
 */
export const find: (query?: FindQuery) => Effect.Effect<Page, LedgerStoreError, LedgerStore> = findEntries

/**
 * Forgets operations that began before a time, and says how many it were.
 *
 * **Details**
 *
 * Some hundred at a time, so that nobody waits long for it.
 *
 * @category queries
 * @since 0.1.0
 */
export const prune: (
  options: { readonly before: DateTime.DateTime.Input }
) => Effect.Effect<number, LedgerStoreError, LedgerStore> = pruneEntries

/**
 * Keeps the ledger in the process.
 *
 * **When to use**
 *
 * Use in tests, and where a look at the last operations is enough.
 *
 * **Details**
 *
 * It keeps `capacity` operations, 100,000 if nothing else is said, and forgets the oldest for new ones.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStoreMemory = (
  options?: { readonly capacity?: number | undefined }
): Layer.Layer<LedgerStore> => {
  const capacity = natural("Ledger.layerStoreMemory", "capacity", options?.capacity ?? 100_000)
  return Layer.sync(LedgerStore, () => {
    const home = new MemoryLedger(capacity)
    return LedgerStore.of({
      write: (entries) => Effect.sync(() => home.write(entries)),
      spend: (grouping) => Effect.sync(() => home.spend(grouping)),
      latency: (measuring) => Effect.sync(() => home.latency(measuring)),
      find: (paging) => Effect.sync(() => home.find(paging)),
      prune: (before) => Effect.sync(() => home.prune(before))
    })
  })
}

/**
 * Keeps the ledger in a SQL database, SQLite or Postgres, and makes its tables where they are missing.
 *
 * **Details**
 *
 * The tables are `operations` and `attempts`, and `migrations` for `effect/sql`'s `Migrator`, each with the `prefix` before its name:
 * at most 40 lower-case letters, digits and underscores, and no digit first. Default: `"bulwark_ledger_"`.
 *
 * Batches are transactions of their own, never part of one around them.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Another database than these is one as well, as a defect.
 *
 * **Gotchas**
 *
 * Where the application writes to the same SQLite client in long transactions, give the ledger a client of its own.
 *
 * **Example** (In a file)
 *
 * ```ts
 * import { Pricing } from "effect-bulwark/budget"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Ledger } from "effect-bulwark/telemetry"
 * import { Layer } from "effect"
 *
 * const ledger = Ledger.layer({ keep: "90 days" }).pipe(
 *   Layer.provide(Pricing.layer()),
 *   Layer.provideMerge(Ledger.layerStoreSql()),
 *   Layer.provide(Sqlite.layer({ filename: "ledger.db" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStoreSql = (
  options?: { readonly prefix?: string | undefined }
): Layer.Layer<LedgerStore, SqlError | MigrationError, SqlClient> => {
  const prefix = options?.prefix ?? "bulwark_ledger_"
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(prefix)) {
    throw new RangeError(
      `Ledger.layerStoreSql: \`prefix\` must be at most 40 of a-z, 0-9 and _, with no digit first, got ${
        JSON.stringify(prefix)
      }`
    )
  }
  return Layer.effect(
    LedgerStore,
    Effect.map(makeHome(prefix), (home) => {
      const failing = (operation: LedgerStoreError["operation"]) => <A>(self: Effect.Effect<A, SqlError>) =>
        Effect.mapError(self, (cause) => new LedgerStoreError({ operation, cause }))
      return LedgerStore.of({
        write: (entries) => failing("write")(home.write(entries)),
        spend: (grouping) => failing("spend")(home.spend(grouping)),
        latency: (measuring) => failing("latency")(home.latency(measuring)),
        find: (paging) => failing("find")(home.find(paging)),
        prune: (before) => failing("prune")(home.prune(before))
      })
    })
  )
}
