/**
 * Folders of prompts, for suites about them.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer, type Scope } from "effect"
import { PromptStore } from "effect-bulwark/prompts"
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { build, folder, type Store } from "./homes.ts"

export type Contents = { readonly [path: string]: string | Uint8Array | undefined }

/** Writes files, each whole; `undefined` takes one away. */
export const write = (directory: string, contents: Contents): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const [path, content] of Object.entries(contents)) {
      const full = join(directory, path)
      if (content === undefined) rmSync(full, { recursive: true, force: true })
      else {
        mkdirSync(dirname(full), { recursive: true })
        writeFileSync(`${full}.tmp`, content)
        renameSync(`${full}.tmp`, full)
      }
    }
  })

/** A store in a folder that is there. */
export const openFolder = (
  directory: string,
  options?: Omit<PromptStore.FilesOptions, "directory">
): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.orDie(build(
    PromptStore.layerFiles({ directory, debounce: "10 millis", ...options }).pipe(Layer.provide(NodeServices.layer))
  ))

/** A folder of its own, with files, and a store in it. */
export const openFiles = (contents: Contents, options?: Omit<PromptStore.FilesOptions, "directory">) =>
  Effect.gen(function*() {
    const directory = yield* folder
    yield* write(directory, contents)
    return { directory, store: yield* openFolder(directory, options) }
  })

export const pinFiles = (directory: string) => Effect.provide(PromptStore.pinFiles({ directory }), NodeServices.layer)

/** What a store serves: the text of each version, and labels. */
export const served = (store: Store) =>
  Effect.map(store.snapshot, ({ problems, prompts }) => ({
    versions: Object.fromEntries(
      Array.from(prompts.values()).flatMap(({ name, versions }) =>
        Array.from(versions.values(), ({ content, version }) =>
          [
            `${name}@${version}`,
            content.messages.map(({ template }) => template.trim()).join("|")
          ] as const)
      )
    ),
    labels: Object.fromEntries(
      Array.from(prompts.values()).flatMap(({ labels, name }) =>
        Array.from(labels, ([label, version]) => [`${name}/${label}`, version] as const)
      )
    ),
    problems: problems.map(({ column, kind, lastGood, line, source }) =>
      `${kind} ${source}${line === undefined ? "" : `:${line}:${column}`}${lastGood ? " (last good)" : ""}`
    )
  }))
