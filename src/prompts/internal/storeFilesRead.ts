/**
 * Reading a folder of prompts: which files there are, and what is in them. Nothing outside the folder is read, nothing that is no file,
 * and never more than the limits say.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Name } from "../PromptVersion.ts"
import type { Problem } from "./store.ts"

export interface Limits {
  /** In bytes. */
  readonly maxFileSize: number
  readonly maxFiles: number
}

export interface Root extends Limits {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  readonly directory: string
}

/** A file that means something, before it is read. */
export interface Listed {
  /** Below the folder of prompts, with `/`. */
  readonly source: string
  readonly kind: "version" | "labels" | "lock"
  readonly name: string | undefined
  readonly version: number | undefined
}

export interface Listing {
  readonly files: ReadonlyArray<Listed>
  readonly problems: ReadonlyArray<Problem>
}

/** What was read of a file, or why it was not. */
export type Read =
  | {
    readonly _tag: "Text"
    readonly file: Listed
    readonly text: string
    readonly modified: number
    readonly state: string
  }
  | { readonly _tag: "Refused"; readonly file: Listed; readonly problem: Problem; readonly state: string }

export const lockName = "prompts.lock.yaml"

const isName = Schema.is(Name)

const documents = /\.(ya?ml|md)$/i

const problemOf = (
  file: { readonly source: string; readonly name?: string | undefined; readonly version?: number | undefined },
  kind: Problem["kind"],
  message: string,
  remedy: string
): Problem => ({
  kind,
  source: file.source,
  ...file.name === undefined ? {} : { name: file.name },
  ...file.version === undefined ? {} : { version: file.version },
  message,
  remedy,
  lastGood: false
})

/** The real path of the folder. Where it is not there, nothing is: that is no empty folder. */
const realRoot = ({ directory, fs }: Root): Effect.Effect<string, PlatformError> => fs.realPath(directory)

const isInside = ({ path }: Root, root: string, real: string): boolean => {
  const relative = path.relative(root, real)
  return relative === "" || relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative)
}

/** What a name in a folder stands for, links followed; undefined where that is nothing, or somewhere else. */
const typeOf = (root: Root, real: string, full: string, entry: FileSystem.DirectoryEntry) =>
  entry.type !== "SymbolicLink" ? Effect.succeed(entry.type) : Effect.matchEffect(root.fs.realPath(full), {
    onFailure: () => Effect.succeed("Unknown" as const),
    onSuccess: (target) =>
      isInside(root, real, target)
        ? Effect.match(root.fs.stat(target), { onFailure: () => "Unknown" as const, onSuccess: ({ type }) => type })
        : Effect.succeed("Outside" as const)
  })

const outside = (file: { readonly source: string; readonly name?: string | undefined }): Problem =>
  problemOf(
    file,
    "Outside",
    "it is a link to somewhere outside the folder of prompts",
    "Put the file itself into the folder, or a link to another place in the folder"
  )

/** Which files there are. What is neither YAML nor markdown, and what begins with a dot, is none of ours; nor is a README. */
export const list = (root: Root): Effect.Effect<Listing, PlatformError> =>
  Effect.gen(function*() {
    const real = yield* realRoot(root)
    const problems: Array<Problem> = []
    const files: Array<Listed> = []
    const entries = yield* sorted(root.fs.readDirectoryEntries(real))
    const folders: Array<string> = []
    for (const entry of entries) {
      const source = entry.name
      const type = yield* typeOf(root, real, root.path.join(real, entry.name), entry)
      if (type === "Outside") problems.push(outside({ source }))
      else if (type === "Directory") {
        if (isName(source)) folders.push(source)
        else {
          problems.push(problemOf(
            { source },
            "Name",
            "the name of the folder is no name of a prompt",
            "Call it by 1 to 100 of a-z, 0-9, `.`, `_` and `-`, with a letter or a digit first"
          ))
        }
      } else if (source === lockName) files.push({ source, kind: "lock", name: undefined, version: undefined })
      else if (documents.test(source)) {
        problems.push(problemOf(
          { source },
          "Name",
          "it is in no folder of a prompt",
          "Move it into a folder that is named as the prompt, and call it `v1.yaml`"
        ))
      }
    }
    for (const name of folders) {
      const found = yield* Effect.result(listPrompt(root, real, name))
      if (found._tag === "Success") {
        files.push(...found.success.files)
        problems.push(...found.success.problems)
      } else {
        problems.push(
          problemOf({ source: name, name }, "Unreadable", "the folder cannot be read", "See to its permissions")
        )
      }
    }
    const many = files.filter(({ kind }) => kind !== "lock")
    if (many.length <= root.maxFiles) return { files, problems }
    const kept = new Set(many.slice(0, root.maxFiles))
    return {
      files: files.filter((file) => file.kind === "lock" || kept.has(file)),
      problems: [
        ...problems,
        problemOf(
          { source: "." },
          "TooMany",
          `there are ${many.length} files, and ${root.maxFiles} are the limit: those after ${
            many[root.maxFiles - 1]?.source ?? "none"
          } are left out`,
          "Remove files, or raise `maxFiles`"
        )
      ]
    }
  })

const sorted = (
  entries: Effect.Effect<ReadonlyArray<FileSystem.DirectoryEntry>, PlatformError>
): Effect.Effect<ReadonlyArray<FileSystem.DirectoryEntry>, PlatformError> =>
  Effect.map(entries, (entries) =>
    entries
      .filter(({ name }) => !name.startsWith(".") && !/^readme\./i.test(name))
      .toSorted((one, other) => one.name < other.name ? -1 : 1))

const listPrompt = (root: Root, real: string, name: string): Effect.Effect<Listing, PlatformError> =>
  Effect.gen(function*() {
    const problems: Array<Problem> = []
    const files: Array<Listed> = []
    const folder = root.path.join(real, name)
    for (const entry of yield* sorted(root.fs.readDirectoryEntries(folder))) {
      const source = `${name}/${entry.name}`
      const type = yield* typeOf(root, real, root.path.join(folder, entry.name), entry)
      const version = /^v([1-9][0-9]{0,8})\.(ya?ml|md)$/.exec(entry.name)?.[1]
      const file = { source, name, ...version === undefined ? {} : { version: Number(version) } }
      if (type === "Outside") problems.push(outside(file))
      else if (type === "Directory") {
        problems.push(
          problemOf(file, "Name", "folders of prompts have no folders in them", "Give the prompt a folder of its own")
        )
      } else if (documents.test(entry.name) && type !== "File") {
        problems.push(problemOf(file, "Unreadable", "it is no file, or a link to nowhere", "Put a file in its place"))
      } else if (/^labels\.ya?ml$/.test(entry.name)) files.push({ source, kind: "labels", name, version: undefined })
      else if (version !== undefined) files.push({ source, kind: "version", name, version: Number(version) })
      else if (documents.test(entry.name)) {
        problems.push(problemOf(
          file,
          "Name",
          "its name says no version",
          "Call it `v1.yaml`, `v2.yaml`, ... or `v1.md`, ..., or `labels.yaml`"
        ))
      }
    }
    // As numbers: v2 before v10.
    return { files: files.toSorted((one, other) => (one.version ?? 0) - (other.version ?? 0)), problems }
  })

const nowhere = "nothing"

/** What tells whether a file has changed, without reading it. */
export const stateOf = (root: Root, { source }: Listed): Effect.Effect<string> =>
  Effect.match(root.fs.stat(root.path.join(root.directory, source)), {
    onFailure: () => nowhere,
    onSuccess: (info) =>
      [
        info.size,
        Option.match(info.mtime, { onNone: () => "", onSome: (time) => time.getTime() }),
        Option.getOrElse(info.ino, () => 0n)
      ].join("/")
  })

/** What is in a file. */
export const read = (root: Root, file: Listed): Effect.Effect<Read> =>
  Effect.gen(function*() {
    const state = yield* stateOf(root, file)
    const refused = (kind: Problem["kind"], message: string, remedy: string): Read => ({
      _tag: "Refused",
      file,
      problem: problemOf(file, kind, message, remedy),
      state
    })
    const found = yield* Effect.result(Effect.scoped(bytesOf(root, file)))
    if (found._tag === "Failure") return refused("Unreadable", "it cannot be read", "See to its permissions")
    switch (found.success._tag) {
      case "Outside":
        return { _tag: "Refused", file, problem: outside(file), state }
      case "NoFile":
        return refused("Unreadable", "it is no file", "Put a file in its place")
      case "TooLarge":
        return refused(
          "TooLarge",
          `it is larger than ${root.maxFileSize} bytes`,
          "Shorten it, or raise `maxFileSize`"
        )
      default: {
        const text = decode(found.success.bytes)
        if (typeof text === "string") return { _tag: "Text", file, text, modified: found.success.modified, state }
        return {
          _tag: "Refused",
          file,
          problem: {
            ...problemOf(file, "Encoding", text.message, "Save it as UTF-8, and remove the character"),
            ...text.line === undefined ? {} : { line: text.line, column: text.column }
          },
          state
        }
      }
    }
  })

type Bytes =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array; readonly modified: number }
  | { readonly _tag: "Outside" | "NoFile" | "TooLarge" }

const bytesOf = (root: Root, { source }: Listed) =>
  Effect.gen(function*(): Effect.fn.Return<Bytes, PlatformError, Scope.Scope> {
    const { fs, path } = root
    const full = path.join(root.directory, source)
    const real = yield* fs.realPath(full)
    if (!isInside(root, yield* realRoot(root), real)) return { _tag: "Outside" }
    // Before it is opened: opening a pipe waits for somebody to write to it.
    if ((yield* fs.stat(real)).type !== "File") return { _tag: "NoFile" }
    const file = yield* fs.open(real)
    const info = yield* file.stat
    if (info.type !== "File") return { _tag: "NoFile" }
    const chunks: Array<Uint8Array> = []
    let size = 0
    // It may grow, or say that it has no size at all.
    while (size <= root.maxFileSize) {
      const chunk = yield* file.readAlloc(Math.min(65_536, root.maxFileSize + 1 - size))
      if (Option.isNone(chunk)) break
      chunks.push(chunk.value)
      size += chunk.value.length
    }
    if (size > root.maxFileSize) return { _tag: "TooLarge" }
    const bytes = new Uint8Array(size)
    let at = 0
    for (const chunk of chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    const modified = Option.match(info.mtime, { onNone: () => 0, onSome: (time) => time.getTime() })
    return { _tag: "Bytes", bytes, modified }
  })

interface Misspelt {
  readonly message: string
  readonly line?: number
  readonly column?: number
}

/**
 * Text as the same content is everywhere: without a byte order mark, and with line feeds alone. What no editor shows is refused.
 */
const decode = (bytes: Uint8Array): string | Misspelt => {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replaceAll("\r\n", "\n")
  } catch {
    return { message: "it is not UTF-8" }
  }
  // oxlint-disable-next-line no-control-regex
  const at = text.search(/[\u0000-\u0008\u000b-\u001f\u007f\ufeff\ufffe\uffff]/)
  if (at < 0) return text
  const lines = text.slice(0, at).split("\n")
  return {
    message: "it has a control character in it, or a byte order mark that is not at its beginning",
    line: lines.length,
    column: lines.at(-1)!.length + 1
  }
}
