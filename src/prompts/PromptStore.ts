/**
 * Where prompts are kept: their versions, the labels that point to them, experiments, and scores.
 *
 * - A *version* is immutable and numbered: 1, 2, ... Whoever publishes gets the next number.
 * - A *label* points to a version. Moving it is atomic, can be made to depend on where it points, and is recorded: who, when, why.
 * - An *experiment* is a document whose meaning the store does not know. It is kept each time it is saved.
 * - A *score* says how good one answer was. Scores are appended.
 * - A *snapshot* is all that prompts are served from, as it was at one moment. Serving from it, nobody asks a store while a call is made.
 *
 * **Homes**
 *
 * - {@link layerFiles}: YAML and markdown, for reading.
 * - {@link layerSql}: SQLite, for one machine and the processes on it, or Postgres, for a fleet.
 * - {@link layerOver}: a store over another, which is what was shipped.
 * - {@link layerMemory}: one process. What it holds is gone with it.
 *
 * **Details**
 *
 * Each step is whole or nothing, and repeating it changes nothing: a version that is the last one already is not published again, a label
 * that is where it shall be is not moved again, a score that has the same id is not kept again. So a step whose answer was lost can be sent
 * again.
 *
 * A step fails with {@link PromptStoreError} where the store could not be asked, with {@link PromptConflict} where somebody else was first,
 * and with {@link PromptRefused} where it can never be done so. None of them quotes what a prompt says.
 *
 * What is kept and cannot be served, a file that is no YAML say, is a {@link Problem} in the snapshot, and the rest is served.
 *
 * **Gotchas**
 *
 * A store answers or fails; it does not wait for ever, but who asks it should set a limit of their own. {@link layerOver} does.
 *
 * There is no home in Redis. Versions, and what became of labels, are kept for good, and Redis would keep all of it in memory, for a question
 * a second.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { MigrationError } from "effect/sql/Migrator"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
} from "./internal/store.ts"
import { makeFolder, makeHome as makeFilesHome, type Pin, pin } from "./internal/storeFiles.ts"
import { watch } from "./internal/storeFilesWatch.ts"
import { makeStore, outage } from "./internal/storeHome.ts"
import { makeHome as makeLayeredHome, makeUpper } from "./internal/storeLayered.ts"
import { makeHome as makeMemoryHome } from "./internal/storeMemory.ts"
import { makeHome as makeSqlHome } from "./internal/storeSql.ts"

export {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Pin,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
}

/**
 * Keeps prompts in the process.
 *
 * **When to use**
 *
 * Use in tests, and over the files of a project while it is developed.
 *
 * **Details**
 *
 * Of scores it keeps the last 100,000.
 *
 * **Example** (Published, rolled out, rolled back)
 *
 * ```ts
 * import { PromptStore } from "effect-bulwark/prompts"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* PromptStore.PromptStore
 *   const publish = (template: string) =>
 *     store.publish({ name: "greet", content: { messages: [{ role: "user", template }] } })
 *   const one = yield* publish("Greet {{ name }}")
 *   const two = yield* publish("Greet {{ name }} warmly")
 *   yield* store.label({ name: "greet", label: "production", version: one.version })
 *   const event = yield* store.label({ name: "greet", label: "production", version: two.version, by: "ada" })
 *   yield* store.label({ name: "greet", label: "production", version: event.from, reason: "too warm" })
 *   return (yield* store.history("greet")).map(({ version }) => version)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, PromptStore.layerMemory)) // => [1, 2, 1]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<PromptStore> = Layer.effect(PromptStore, Effect.map(makeMemoryHome, makeStore))

/**
 * Where prompts are in a SQL database, and how changes are noticed.
 *
 * @category models
 * @since 0.1.0
 */
export interface SqlOptions {
  /**
   * What the names of the tables begin with: at most 40 lower-case letters, digits and underscores, and no digit first. Default:
   * `"bulwark_prompts_"`.
   */
  readonly prefix?: string | undefined
  /** How often `changes` asks whether another process has changed anything: one row is read. Default: 1 second. */
  readonly pollEvery?: Duration.Input | undefined
  /** How long scores are kept: what is older is forgotten, hourly. Default: for ever. */
  readonly keepScores?: Duration.Input | undefined
}

const positive = (where: string, input: Duration.Input): Duration.Duration => {
  const duration = Duration.fromInputUnsafe(input)
  if (Duration.isFinite(duration) && Duration.isPositive(duration)) return duration
  throw new RangeError(`PromptStore.${where} must be a time longer than none, got ${Duration.format(duration)}`)
}

/**
 * Keeps prompts in a SQL database, SQLite or Postgres, and makes its tables where they are missing.
 *
 * **When to use**
 *
 * Use for prompts that are published and rolled back while the application runs.
 *
 * **Details**
 *
 * The tables are made by `effect/sql`'s `Migrator`, which keeps account in a table of its own, next to that of the application. Versions,
 * events of labels and what experiments were are only ever appended.
 *
 * Changes are made one after the other, each whole or not at all; scores are no changes, and wait for nobody. A snapshot is one moment, and
 * reads only what was written since the one before.
 *
 * A step is not part of the transaction it is taken in. SQLite's client has only one connection, so inside a transaction of the same client
 * a step fails, at once.
 *
 * Throws a `RangeError` that names the option, where one is not legal. Another database than these is one as well, as a defect.
 *
 * **Gotchas**
 *
 * A version whose row was edited by hand is not served: its hash tells. Rows that were deleted by hand are served on by processes that have
 * read them.
 *
 * In Postgres, whoever stops in the middle of a change, and does not even end, keeps all other changes waiting for up to 10 seconds. Reading
 * waits for nobody.
 *
 * **Example** (In a file)
 *
 * ```ts
 * import { PromptStore } from "effect-bulwark/prompts"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Layer } from "effect"
 *
 * const store = PromptStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: "prompts.db" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSql = (options?: SqlOptions): Layer.Layer<PromptStore, SqlError | MigrationError, SqlClient> => {
  const prefix = options?.prefix ?? "bulwark_prompts_"
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(prefix)) {
    throw new RangeError(
      `PromptStore.layerSql: \`prefix\` must be at most 40 of a-z, 0-9 and _, with no digit first, got ${
        JSON.stringify(prefix)
      }`
    )
  }
  const settings = {
    prefix,
    pollEvery: positive("layerSql: `pollEvery`", options?.pollEvery ?? "1 second"),
    keepScores: options?.keepScores === undefined ? undefined : positive("layerSql: `keepScores`", options.keepScores)
  }
  return Layer.effect(PromptStore, Effect.map(makeSqlHome(settings), makeStore))
}

/**
 * Where prompts are in files, and how much is read of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface FilesOptions {
  /** The folder with a folder for each prompt. */
  readonly directory: string
  /** Whether `changes` says when files are written. A new folder is seen within a second. Default: no. */
  readonly watch?: boolean | undefined
  /** How long files that have changed must be left alone before they are taken over. Default: 100 milliseconds. */
  readonly debounce?: Duration.Input | undefined
  /**
   * How often `changes` says that something may have changed, for file systems that do not tell, and for events that are lost. Default: 10
   * seconds where files are watched, and else never.
   */
  readonly pollEvery?: Duration.Input | undefined
  /**
   * Whether a version must be in `prompts.lock.yaml` to be served (`"required"`), or, where it is there, have the hash that is
   * (`"optional"`). Default: `"optional"`.
   */
  readonly pins?: "optional" | "required" | undefined
  /** How large a file may be, in bytes. Default: 262,144. */
  readonly maxFileSize?: number | undefined
  /** How many files there may be. Default: 10,000. */
  readonly maxFiles?: number | undefined
}

const natural = (where: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`PromptStore.${where} must be a whole number of at least 1, got ${value}`)
}

const filesSettings = (where: string, options: FilesOptions) => {
  const { pins = "optional" } = options
  if (options.directory === "") throw new RangeError(`PromptStore.${where}: \`directory\` must not be empty`)
  if (pins !== "optional" && pins !== "required") {
    throw new RangeError(`PromptStore.${where}: \`pins\` must be "optional" or "required", got ${JSON.stringify(pins)}`)
  }
  return {
    directory: options.directory,
    pinned: pins === "required",
    settle: positive(`${where}: \`debounce\``, options.debounce ?? "100 millis"),
    pollEvery: options.pollEvery === undefined ? undefined : positive(`${where}: \`pollEvery\``, options.pollEvery),
    maxFileSize: natural(`${where}: \`maxFileSize\``, options.maxFileSize ?? 262_144),
    maxFiles: natural(`${where}: \`maxFiles\``, options.maxFiles ?? 10_000)
  }
}

const withFiles = <Settings extends object>(settings: Settings, operation: "snapshot" | "pin") =>
  Effect.gen(function*() {
    const yaml = yield* Effect.tryPromise({
      try: () => import("yaml"),
      catch: (cause) =>
        outage(
          operation,
          new Error("the package `yaml` cannot be loaded: install it with `npm install yaml`", { cause })
        )
    })
    return { ...settings, yaml, fs: yield* FileSystem.FileSystem, path: yield* Path.Path }
  })

/**
 * Keeps prompts in files, for reading.
 *
 * **When to use**
 *
 * Use for prompts that are written, reviewed and shipped with the code; under a store that can be written to, for what is shipped by default.
 *
 * **Details**
 *
 * There is a folder for each prompt, with a file for each version, and one that says where labels point to:
 *
 * ```text
 * prompts/
 *   prompts.lock.yaml
 *   summarize/
 *     v1.yaml
 *     v2.md
 *     labels.yaml
 * ```
 *
 * A version has the fields `system` and `user_template`, or `messages` with `role` and `template`; `model`, `temperature`, `top_p`,
 * `max_output_tokens`, `stop`, `seed`, `reasoning_effort`, `extra`; `examples` with `user` and `assistant`; `includes`; `author`, `message`,
 * `created_at`, `metadata`; and `version`, which must be the number of the file. In markdown the fields are front matter, and the text below
 * is `user_template`, or, with `body: system`, `system`.
 *
 * What cannot be served is a {@link Problem} of the snapshot, with its line and column, and the rest is served. Of a version, or a label,
 * that was served before, what it was then is served on. Where the folder is not there, the snapshot fails.
 *
 * Files are read when a snapshot is asked for. Of those that have changed, none is taken over before all of them were left alone for a
 * while.
 *
 * Nothing is read that is outside the folder, also through links. Aliases of YAML are not read. Files that begin with a dot or with `README.`
 * are none, and so are all that are neither `.yaml`, `.yml` nor `.md`. A byte order mark at the beginning, and carriage returns at the ends of
 * lines, are no part of a text, so that it has one hash on all machines.
 *
 * Needs the package `yaml`; fails where it cannot be loaded. Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * Labels, experiments and scores cannot be written: whoever tries fails with `PromptRefused`. Who moved a label is in the history of the
 * files, not here.
 *
 * A file that is written in pieces, with longer pauses than `debounce`, may be read in between, and what is cut may be legal. Pinned versions
 * are safe from that; others are if files are written under another name and then renamed, as most editors and `git` do.
 *
 * **Example** (Watched while it is developed)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { PromptStore } from "effect-bulwark/prompts"
 * import { Layer } from "effect"
 *
 * const store = PromptStore.layerFiles({ directory: "prompts", watch: true }).pipe(Layer.provide(NodeServices.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFiles = (
  options: FilesOptions
): Layer.Layer<PromptStore, PromptStoreError, FileSystem.FileSystem | Path.Path> => {
  const settings = filesSettings("layerFiles", options)
  return Layer.effect(
    PromptStore,
    Effect.gen(function*() {
      const root = yield* withFiles(settings, "snapshot")
      const folder = yield* makeFolder(root)
      const changes = options.watch === true
        ? watch(root, { debounce: settings.settle, pollEvery: settings.pollEvery ?? Duration.seconds(10) })
        : Stream.concat(
          Stream.succeed(undefined),
          settings.pollEvery === undefined ? Stream.never : Stream.tick(settings.pollEvery)
        )
      return makeStore(makeFilesHome(folder, changes))
    })
  )
}

/**
 * Publishes the versions in a folder: writes their hashes to `prompts.lock.yaml`, beside those that are there, and says which are new.
 *
 * **When to use**
 *
 * Use when a version is done, before it is committed, and in CI, to see that nothing was forgotten: nothing should be new.
 *
 * **Details**
 *
 * From then on a version whose file says something else is not served. A hash that is there is never changed: it fails with `PromptRefused`
 * where a file does not have it, and where there is any other problem with the folder.
 *
 * @category publishing
 * @since 0.1.0
 */
export const pinFiles = (
  options: Pick<FilesOptions, "directory" | "maxFileSize" | "maxFiles">
): Effect.Effect<ReadonlyArray<Pin>, PromptStoreError | PromptRefused, FileSystem.FileSystem | Path.Path> =>
  Effect.suspend(() => withFiles(filesSettings("pinFiles", options), "pin")).pipe(
    Effect.flatMap(pin),
    Effect.mapError((error) => error._tag === "PromptRefused" ? error : outage("pin", error))
  )

/**
 * What becomes of the upper one of two stores.
 *
 * @category models
 * @since 0.1.0
 */
export interface OverOptions {
  /** How long the upper store may take to be opened when the layer is built, and to answer. Default: 5 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** How long to wait before it is tried again to open an upper store that could not be opened. Default: 5 seconds. */
  readonly reopenAfter?: Duration.Input | undefined
}

/**
 * Lays a store over another: a database, in which prompts are published and rolled back, over the files that the application was shipped
 * with.
 *
 * **Details**
 *
 * What is read is of both, prompt by prompt:
 *
 * - Versions of both are there. Of two with one number the upper one is served; where their contents differ, that is a {@link Problem}.
 * - A label of the upper store wins. One that it does not have, or that was taken away from it, points to where the lower one says.
 * - Experiments, scores and the history of labels are those of the upper store.
 *
 * What is written goes to the upper store. A version that is published has the number after the last one of both. A label that moves takes
 * along the version that it points to: what the upper store points to is there, whatever the files of the next deployment are. When a label
 * of the lower store is moved first, its history begins with where it was (`as shipped`), so that it can be moved back.
 *
 * The lower store must be there for the layer to be built; the upper one need not. While it is not there, or does not answer, what was last
 * read of it is served, or the lower one alone; the snapshot says so in `staleSince` and in its problems, and whoever writes fails. It is
 * opened as soon as it can be. The same holds for a lower store that goes away later.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Gotchas**
 *
 * A process that begins while the upper store is away serves the labels that it was shipped with: a version that was rolled back in the
 * upper store may be among them.
 *
 * A label that was moved in the upper store stays there: another place for it in the files of a later deployment changes nothing.
 *
 * **Example** (A database over files)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { PromptStore } from "effect-bulwark/prompts"
 * import { Sqlite } from "effect-bulwark/sqlite"
 * import { Layer } from "effect"
 *
 * const store = PromptStore.layerOver(
 *   PromptStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: "prompts.db" }))),
 *   PromptStore.layerFiles({ directory: "prompts" }).pipe(Layer.provide(NodeServices.layer))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOver = <E, R, E2, R2>(
  upper: Layer.Layer<PromptStore, E, R>,
  lower: Layer.Layer<PromptStore, E2, R2>,
  options?: OverOptions
): Layer.Layer<PromptStore, E2, R | R2> => {
  const settings = {
    timeout: positive("layerOver: `timeout`", options?.timeout ?? "5 seconds"),
    reopenAfter: positive("layerOver: `reopenAfter`", options?.reopenAfter ?? "5 seconds")
  }
  const open = <E, R>(layer: Layer.Layer<PromptStore, E, R>) => Effect.map(Layer.build(layer), Context.get(PromptStore))
  return Layer.effect(
    PromptStore,
    Effect.gen(function*() {
      const below = yield* open(lower)
      const above = yield* makeUpper(open(upper), settings)
      return makeStore(yield* makeLayeredHome(above, below))
    })
  )
}
