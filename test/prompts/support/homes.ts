/**
 * The homes that prompts have, for the suites that each of them has to pass.
 */
import { afterAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { PromptStore, type PromptVersion } from "effect-bulwark/prompts"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Postgres from "../../support/postgres.ts"
import { layerOf, type Place } from "./places.ts"

export type Store = PromptStore.PromptStore["Service"]

export interface Home {
  readonly name: string
  readonly describe: (title: string, suite: () => void) => void
  /** A place that nobody else has, for as long as the scope lasts. */
  readonly place: Effect.Effect<Place, never, Scope.Scope>
}

/** A folder of its own. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-prompts-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A file of its own. */
export const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  folder,
  (folder) => join(folder, "prompts.db")
)

/** Those that only one process sees. */
export const alone: ReadonlyArray<Home> = [
  { name: "memory", describe, place: Effect.succeed({ home: "memory" }) },
  { name: "SQLite in memory", describe, place: Effect.succeed({ home: "sqlite", filename: ":memory:" }) }
]

/** One schema for all tests of a suite, which have tables of their own in it: to make and to drop one takes most of a test. */
let made: { readonly scope: Scope.Closeable; readonly schema: Effect.Effect<string> } | undefined
const schema = Effect.suspend(() => {
  if (made === undefined) {
    const scope = Scope.makeUnsafe()
    made = { scope, schema: Effect.runSync(Effect.cached(Scope.provide(Postgres.schema, scope))) }
  }
  return made.schema
})

const describePostgres = (title: string, suite: () => void): void =>
  Postgres.describePostgres(title, () => {
    // For each suite anew: files may share this module.
    afterAll(async () => {
      if (made !== undefined) await Effect.runPromise(Scope.close(made.scope, Exit.void))
      made = undefined
    })
    suite()
  })

let places = 0

/** Those that processes share. */
export const shared: ReadonlyArray<Home> = [
  { name: "SQLite in a file", describe, place: Effect.map(file, (filename) => ({ home: "sqlite", filename })) },
  {
    name: "Postgres",
    describe: describePostgres,
    place: Effect.map(schema, (schema) => ({ home: "postgres", schema, prefix: `n${++places}_` }))
  },
  {
    name: "SQLite over files",
    describe,
    place: Effect.map(folder, (directory) => ({ home: "layered", filename: join(directory, "prompts.db"), directory }))
  }
]

/** One more client of a place. */
export const open = (place: Place, options?: PromptStore.SqlOptions): Effect.Effect<Store, never, Scope.Scope> =>
  build(layerOf(place, options))

export const build = <E>(layer: Layer.Layer<PromptStore.PromptStore, E>): Effect.Effect<Store, E, Scope.Scope> =>
  Effect.map(Layer.build(layer), Context.get(PromptStore.PromptStore))

/** A test with a store of its own, at time 0. */
export const test =
  (home: Home) => (title: string, body: (store: Store) => Effect.Effect<void, unknown, Scope.Scope>) =>
    // Disks of loaded machines take their time.
    it.effect(title, () => Effect.flatMap(Effect.flatMap(home.place, open), body), 60_000)

export const content = (text: string): PromptVersion.Content => ({ messages: [{ role: "user", template: text }] })

export const draft = (name: string, text: string, more?: Partial<PromptVersion.Draft>): PromptVersion.Draft => ({
  name,
  content: content(text),
  ...more
})
